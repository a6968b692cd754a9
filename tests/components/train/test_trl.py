from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.train.dpo import PreferenceTrainer
from data_juicer_sandbox.components.train.grpo import RewardTrainer
from data_juicer_sandbox.components.train.sft import SupervisedTrainer
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("trl")

QUICK = {"batch_size": 4, "threads": 1}


@pytest.fixture
def chats(jsonl):
    def messages(n):
        question = {"role": "user", "content": f"What comes after {n}?"}
        return [question, {"role": "assistant", "content": f"After {n} comes {n + 1}."}]

    return jsonl("chats.jsonl", [{"messages": messages(n), "other": None} for n in range(40)])


@pytest.fixture
def pairs(jsonl):
    rows = [{"prompt": f"{n} and", "chosen": " more sheep", "rejected": " fewer goats"} for n in range(40)]
    return jsonl("pairs.jsonl", rows)


@pytest.fixture
def prompts(jsonl):
    return jsonl("prompts.jsonl", [{"prompt": f"def f{n}(", "letter": "e"} for n in range(16)])


def told(quiet, key):
    return [figures[key] for _, values in quiet.values for figures in values.values()]


def record(folder):
    return json.loads((Path(folder) / "training.json").read_text())


def unlike(folder, other):
    """Names of the weights that differ."""
    from safetensors.torch import load_file

    one, two = (load_file(Path(path) / "model.safetensors") for path in (folder, other))
    assert one.keys() == two.keys()
    return {key for key in one if (one[key] != two[key]).any()}


def test_a_model_learns_to_answer(job, quiet, chats, corpus, tiny_model):
    settings = {"max_steps": 25, "learning_rate": 1e-3, **QUICK}
    (folder,) = SupervisedTrainer(chats, tiny_model, **settings).run(job)
    losses = told(quiet, "loss")
    assert len(losses) == 25
    assert sum(losses[-5:]) < sum(losses[:5]) - 5
    found = record(folder)
    assert (found["rows"], found["train_rows"], found["steps"], found["epochs"]) == (40, 100, 25, 2.5)
    assert found["assistant_only"] is True
    assert found["final_loss"] == losses[-1]
    assert [path.name for path in job.folder.iterdir()] == ["chats_seed42"]

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Well?"}], tokenize=False, add_generation_prompt=True
    )
    assert asked == "<|im_start|>user\nWell?<|im_end|>\n<|im_start|>assistant\n"
    scores, _ = HuggingFacePerplexity(folder, corpus, max_rows=2, threads=1).run(job)
    assert scores[0]["tokens"] > 0
    before = len(quiet.values)
    SupervisedTrainer(chats, tiny_model, **settings).run(job)
    assert len(quiet.values) == before + 1  # it was there


def test_only_the_assistants_words_count(job, jsonl, tiny_model, tmp_path):
    asked, said = {"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Yes."}
    data = jsonl("a.jsonl", [{"messages": [asked, said]}] * 4)
    found = {}
    for alone in (True, False):
        folder = SupervisedTrainer(
            data, tiny_model, str(tmp_path / str(alone)), assistant_only=alone, max_steps=1, **QUICK
        ).run(job)[0]
        found[alone] = record(folder)

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(tiny_model)
    text = "<|im_start|>user\nIs it?<|im_end|>\n<|im_start|>assistant\nYes.<|endoftext|>\n"
    tokens = torch.tensor(tokenizer(text)["input_ids"])
    with torch.inference_mode():
        each = torch.nn.functional.cross_entropy(model(tokens[None]).logits[0, :-1], tokens[1:], reduction="none")
    start = len(tokenizer(text[: text.index("Yes")])["input_ids"]) - 1
    # transformers counts the first token too, which nothing predicts
    assert found[False]["final_loss"] == pytest.approx(float(each.sum()) / len(tokens), rel=1e-4)
    assert found[True]["final_loss"] == pytest.approx(float(each[start:-1].mean()), rel=1e-4)


def test_a_template_without_the_assistants_words(job, chats, tiny_model, tmp_path):
    template = tmp_path / "plain.jinja"
    template.write_text("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}")
    common = {"chat_template": str(template), "max_steps": 1, **QUICK}
    (folder,) = SupervisedTrainer(chats, tiny_model, **common).run(job)
    assert record(folder)["assistant_only"] is False
    with pytest.raises(JobError, match="does not mark the assistant's tokens"):
        SupervisedTrainer(chats, tiny_model, assistant_only=True, **common).run(job)


def test_prompts_and_completions_until_the_tokens_are_spent(job, jsonl, tiny_model):
    sets = [
        jsonl(f"{name}.jsonl", [{"prompt": f"{n}?", "completion": " Yes, indeed." * times} for n in range(9)])
        for name, times in (("short", 1), ("long", 5))
    ]
    folders = SupervisedTrainer(sets, tiny_model, max_tokens=1000, lora=True, lora_r=4, **QUICK).run(job)
    short, long = (record(folder) for folder in folders)
    longest = long["train_tokens"] / long["train_rows"]
    assert 1000 <= short["train_tokens"] < 1000 + longest
    assert 1000 <= long["train_tokens"] < 1000 + 2 * longest
    assert short["steps"] > 2 * long["steps"]


@pytest.mark.slow
def test_a_killed_training_on_chats_goes_on_with_the_same_bytes(job, quiet, other_job, chats, tiny_model, killed):
    settings = {"model": tiny_model, "max_steps": 20, "save_steps": 6, "lora": True, "lora_dropout": 0.1, **QUICK}
    killed(SupervisedTrainer, 14, dataset_path=chats, **settings)
    (resumed,) = SupervisedTrainer(chats, **settings).run(job)
    assert quiet.values[0][0] == 13
    (undisturbed,) = SupervisedTrainer(chats, **settings).run(other_job)
    assert digest(resumed) == digest(undisturbed)


@pytest.mark.parametrize("lora", [False, True])
def test_preferences_are_learned(job, quiet, pairs, tiny_model, lora):
    rate = 3e-2 if lora else 1e-3
    (folder,) = PreferenceTrainer(pairs, tiny_model, max_steps=15, lora=lora, learning_rate=rate, **QUICK).run(job)
    margins = told(quiet, "rewards.margins")
    assert margins[0] == pytest.approx(0, abs=1e-5)  # it begins as the model that it is compared with
    assert margins[-1] > 0.1
    assert told(quiet, "rewards.accuracies")[-1] == 1.0
    assert record(folder)["final"]["rewards.margins"] == margins[-1]
    changed = unlike(tiny_model, folder)
    assert changed
    assert ("transformer.wte.weight" in changed) is not lora


def many_of(prompts, completions, letter, times=1.0, **_):
    """The reward of the test below: the more of a letter, the better."""
    return [times * text.count(one) / max(len(text), 1) for text, one in zip(completions, letter, strict=True)]


def test_rewards_rise(job, quiet, prompts, tiny_model, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    RewardTrainer(
        prompts,
        tiny_model,
        reward="test_trl.many_of",
        reward_kwargs={"times": 10.0},
        max_steps=20,
        max_completion_length=12,
        num_generations=8,
        learning_rate=5e-3,
        **{**QUICK, "batch_size": 32},
    ).run(job)
    rewards = told(quiet, "reward")
    assert len(rewards) == 20
    assert sum(rewards[-4:]) > 1.2 * sum(rewards[:4])


@pytest.fixture
def rewards(prompts, tiny_model, monkeypatch):
    """How to train by rewards, quickly; what finds the reward also in other processes."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", here)
    about = {"model": tiny_model, "reward": "test_trl.many_of", "num_generations": 4, "max_completion_length": 8}
    return {"dataset_path": prompts, **about, **QUICK}


@pytest.fixture
def preferences(pairs, tiny_model):
    """How to train by preferences, quickly."""
    return {"dataset_path": pairs, "model": tiny_model, **QUICK}


KINDS = {"preferences": PreferenceTrainer, "rewards": RewardTrainer}


@pytest.mark.slow
@pytest.mark.parametrize("way", KINDS)
@pytest.mark.parametrize("lora", [False, True])
def test_a_killed_tuning_goes_on_with_the_same_bytes(job, quiet, other_job, killed, request, way, lora):
    settings = {**request.getfixturevalue(way), "max_steps": 20, "save_steps": 6, "learning_rate": 1e-3, "lora": lora}
    killed(KINDS[way], 14, **settings)
    (resumed,) = KINDS[way](**settings).run(job)
    assert quiet.values[0][0] == 13
    (undisturbed,) = KINDS[way](**settings).run(other_job)
    assert unlike(undisturbed, settings["model"])
    assert digest(resumed) == digest(undisturbed)
    assert [path.name for path in job.folder.iterdir()] == [Path(resumed).name]


@pytest.mark.slow
@pytest.mark.parametrize("way", KINDS)
def test_tuned_side_by_side_they_have_the_same_bytes(job, quiet, other_job, request, way):
    settings = {**request.getfixturevalue(way), "max_steps": 5, "learning_rate": 1e-3, "seeds": [1, 2]}
    beside = KINDS[way](max_parallel=2, **settings).run(job)
    after = KINDS[way](**settings).run(other_job)
    assert digest(beside[0]) != digest(beside[1])
    assert [digest(path) for path in beside] == [digest(path) for path in after]
    told = [sorted(key for _, values in watcher.values for key in values) for watcher in (quiet, other_job.watcher)]
    assert len(told[0]) == 10
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (SupervisedTrainer, {"lora_r": 4}, "lora_r: only with `lora: true`"),
        (SupervisedTrainer, {"max_steps": 4, "epochs": 1.0}, "more than one is given"),
        (PreferenceTrainer, {"max_steps": 4, "epochs": 1.0}, "both given"),
        (RewardTrainer, {"reward": "a.b", "num_generations": 3}, "not a multiple of num_generations"),
        (RewardTrainer, {"reward": "a.b", "num_generations": 1}, "completions are compared with others"),
        (RewardTrainer, {"reward": ["a.b", "c.d"], "reward_weights": [1.0]}, "2 rewards, 1 reward_weights"),
    ],
)
def test_wrong_parameters_are_found_before_the_run(kind, given, message):
    with pytest.raises(ConfigError, match=message):
        kind("a.jsonl", "model", **given)


def test_a_reward_that_is_not_there(job, prompts, tiny_model):
    with pytest.raises(ConfigError, match=r"cannot import 'nowhere.at_all'"):
        RewardTrainer(prompts, tiny_model, reward="nowhere.at_all", **{**QUICK, "batch_size": 8}).run(job)


@pytest.mark.gpu
@pytest.mark.parametrize("lora", [False, True])
def test_chats_are_learned_on_a_gpu(job, quiet, chats, tiny_model, lora):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    (folder,) = SupervisedTrainer(chats, tiny_model, max_steps=25, lora=lora, learning_rate=1e-2, **QUICK).run(job)
    assert (record(folder)["device"], record(folder)["precision"]) == ("cuda", "bfloat16")
    losses = told(quiet, "loss")
    assert sum(losses[-5:]) < sum(losses[:5]) - 2
