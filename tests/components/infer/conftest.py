"""Tiny random models that write: their predictions are far from uniform, so that a slip shows."""

from __future__ import annotations

import pytest

TEMPLATE = (
    "{%- for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{%- endfor %}"
    "{%- if messages[0]['content'] == 'refused' %}{{ raise_exception('not that') }}{%- endif %}"
    "{%- if add_generation_prompt %}<|assistant|>{{ mood or '' }}{%- endif %}"
)


@pytest.fixture(scope="session")
def writers(tmp_path_factory, docstrings):
    """Folders of two models: `plain`, a GPT-2 that takes 64 tokens, and `chat`, a Llama with a chat template."""
    torch = pytest.importorskip("torch", reason="needs the extra `train`")
    pytest.importorskip("transformers", reason="needs the extra `train`")
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    from data_juicer_sandbox.components.train.methods import train_tokenizer

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("writers")
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    configs = {
        "plain": GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=2, **ends),
        "chat": LlamaConfig(
            vocab_size=300,
            max_position_embeddings=256,
            hidden_size=64,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            **ends,
        ),
    }
    kinds = {"plain": GPT2LMHeadModel, "chat": LlamaForCausalLM}
    for name, config in configs.items():
        tokenizer = train_tokenizer(docstrings[:50], 300)
        tokenizer.chat_template = TEMPLATE if name == "chat" else None
        torch.manual_seed(5)
        model = kinds[name](config)
        for weights in model.parameters():
            weights.data *= 6
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return {name: str(folder / name) for name in configs}


@pytest.fixture
def adapter(writers, tmp_path):
    """The folders of a LoRA adapter for the model `chat`, without a tokenizer, and of both made one model."""
    peft = pytest.importorskip("peft", reason="needs the extra `train`")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(writers["chat"])
    shape = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=32, target_modules=["q_proj", "v_proj", "up_proj"])
    model = peft.get_peft_model(model, shape)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(tmp_path / "adapter")
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(writers["chat"]).save_pretrained(tmp_path / "merged")
    return str(tmp_path / "adapter"), str(tmp_path / "merged")


@pytest.fixture
def written(writers):
    """What a model writes after a prompt, alone and without padding: the tokens, by transformers itself."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def write(model, prompt, tokens=12, **options):
        tokenizer = AutoTokenizer.from_pretrained(writers.get(model, model))
        network = AutoModelForCausalLM.from_pretrained(writers.get(model, model)).eval()
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        options = {"do_sample": False, "pad_token_id": 0, **options}
        made = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, **options)
        new = made[0, ids.shape[1] :].tolist()
        return tokenizer.decode(new, skip_special_tokens=True), len(new), ids.shape[1]

    return write
