"""The model in the folder is the one that was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.lm import lora
from data_juicer_sandbox.components.train import saved
from data_juicer_sandbox.components.train.dpo import PreferenceTrainer
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.components.train.sft import SupervisedTrainer
from data_juicer_sandbox.errors import JobError

pytest.importorskip("torch", reason="needs the extra `train`")

QUICK = {"max_steps": 20, "block_size": 64, "batch_size": 4, "threads": 1, "learning_rate": 3e-2}


@pytest.fixture
def fresh(jsonl):
    return jsonl("fresh.jsonl", [{"text": f"{n} sheep, {n + 1} goats. " * 5} for n in range(50)])


@pytest.fixture(scope="session")
def tied_llama(tmp_path_factory, tiny_model):
    """A small Llama whose output layer shares the weight of the input embedding, with the tokenizer of the GPT-2."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder, tokenizer = tmp_path_factory.mktemp("llama"), AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


TARGETS = {
    "GPT-2, output": ("tiny_model", ["lm_head"]),
    "GPT-2, input": ("tiny_model", ["wte"]),
    "GPT-2, both": ("tiny_model", ["wte", "lm_head"]),
    "GPT-2, by expression": ("tiny_model", r".*(wte|c_attn)"),
    "Llama, output": ("tied_llama", ["lm_head"]),
    "Llama, input": ("tied_llama", ["embed_tokens", "q_proj"]),
    "Llama, both": ("tied_llama", ["embed_tokens", "lm_head"]),
}


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("case", TARGETS)
def test_adapters_on_tied_embeddings(job, quiet, fresh, request, case, merge):
    fixture, targets = TARGETS[case]
    model = request.getfixturevalue(fixture)
    settings = {"method": "lora", "lora_target_modules": targets, "merge": merge, **QUICK}
    (folder,) = HuggingFaceTrainer(fresh, model=model, eval_dataset_path=fresh, **settings).run(job)
    trained = [values["fresh_seed42"]["eval"]["loss"] for _, values in quiet.values if "eval" in values["fresh_seed42"]]
    scores, _ = HuggingFacePerplexity([model, folder], fresh, block_size=64, threads=1).run(job)
    assert scores[1]["loss"] == pytest.approx(trained[-1], rel=1e-4)
    assert scores[1]["loss"] < scores[0]["loss"] - 0.1
    if merge:
        assert json.loads((Path(folder) / "config.json").read_text())["tie_word_embeddings"] is False


def test_embeddings_without_adapters_stay_tied(job, fresh, tiny_model):
    (folder,) = HuggingFaceTrainer(fresh, method="lora", model=tiny_model, **QUICK).run(job)
    assert json.loads((Path(folder) / "config.json").read_text())["tie_word_embeddings"] is True


def test_adapters_on_tied_embeddings_through_trl(job, jsonl, tiny_model):
    pytest.importorskip("trl")
    rows = [{"prompt": f"{n} and", "completion": " more sheep", "chosen": " a", "rejected": " b"} for n in range(20)]
    path = jsonl("rows.jsonl", rows)
    settings = {"lora": True, "lora_target_modules": ["wte"], "max_steps": 5, "batch_size": 4, "threads": 1}
    for number, kind in enumerate((SupervisedTrainer, PreferenceTrainer)):
        out = job.folder / str(number)
        (folder,) = kind(path, tiny_model, str(out), learning_rate=3e-2, **settings).run(job)
        assert json.loads((Path(folder) / "config.json").read_text())["tie_word_embeddings"] is False


def test_layers_trained_whole_beside_adapters(tiny_model, tmp_path):
    """`modules_to_save` of peft: a copy of the output layer is trained, which merging puts in the layer's place."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    shape = lora.peft().LoraConfig(task_type="CAUSAL_LM", target_modules=["c_attn"], modules_to_save=["lm_head"])
    lora.untie(model, shape)
    model = lora.peft().get_peft_model(model, shape)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    saved.save(model, tokenizer, tmp_path / "saved", "m", True, [[1, 2, 3, 4]])  # raises if it is another model


def test_merged_in_bfloat16_the_difference_is_that_of_rounding(job, fresh, tiny_model):
    settings = {
        "method": "lora",
        "precision": "bfloat16",
        "lora_target_modules": ["lm_head", "c_attn", "c_fc"],
        **QUICK,
    }
    (folder,) = HuggingFaceTrainer(fresh, model=tiny_model, **settings).run(job)
    assert json.loads((Path(folder) / "config.json").read_text())["dtype"] == "bfloat16"


def test_weights_that_are_not_the_trained_ones_fail_the_job(job, corpus, tiny, monkeypatch):
    """The folder of the finished model (not those of checkpoints) gets other weights."""
    from transformers import GPT2LMHeadModel

    whole = GPT2LMHeadModel.save_pretrained

    def save_other_weights(self, folder, **options):
        finished = ".part-" in Path(folder).name
        whole(type(self)(self.config) if finished else self, folder, **options)

    monkeypatch.setattr(GPT2LMHeadModel, "save_pretrained", save_other_weights)
    settings = {**tiny, "max_tokens": 1280, "save_steps": 4}
    with pytest.raises(JobError, match="the model saved for corpus_seed42 differs from the trained model"):
        HuggingFaceTrainer(corpus, **settings).run(job)
    assert [path.name for path in job.folder.iterdir()] == ["checkpoints"]
    monkeypatch.undo()
    (folder,) = HuggingFaceTrainer(corpus, **settings).run(job)
    assert Path(folder).is_dir()


def test_small_and_large_differences(tiny_model, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, batch = AutoModelForCausalLM.from_pretrained(tiny_model), [[5, 6, 7, 8], [9, 10]]
    expected = saved.logits(model, batch)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    assert saved.difference(expected, saved.logits(model, batch)) == 0
    for factor, same in ((1 + 1e-6, True), (2.0, False), (float("nan"), False)):
        other = AutoModelForCausalLM.from_pretrained(tiny_model)
        other.transformer.h[1].mlp.c_proj.weight.data *= factor
        other.save_pretrained(tmp_path)
        if same:
            saved.check(tmp_path, "m", expected, batch, torch.float32, merged=False)
        else:
            with pytest.raises(JobError, match="differs from the trained model"):
                saved.check(tmp_path, "m", expected, batch, torch.float32, merged=False)


def test_logits_of_other_shapes_are_other_logits():
    import torch

    assert saved.difference([torch.ones(2, 3)], [torch.ones(2, 4)]) == float("inf")
    assert saved.difference([torch.ones(2, 3)], []) == float("inf")


def test_a_sample_is_of_examples_with_tokens_and_fits_the_context():
    assert saved.sample([[], [1, 2, 3], []], 2) == [[1, 2]]
    assert [len(tokens) for tokens in saved.sample([range(1000)] * 9)] == [saved.TOKENS] * saved.ROWS
