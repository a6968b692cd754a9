from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("torch", reason="needs the extra `train`")

QUICK = {"max_tokens": 12_000, "block_size": 64, "batch_size": 4, "threads": 1}


@pytest.fixture
def fresh(jsonl):
    """Texts unlike those that the model knows."""
    return jsonl("fresh.jsonl", [{"text": f"{n} sheep, {n + 1} goats. " * 5} for n in range(50)])


def losses(quiet):
    return [figures["loss"] for _, values in quiet.values for figures in values.values()]


def weights(folder):
    from safetensors.torch import load_file

    return load_file(Path(folder) / "model.safetensors")


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_learns_new_texts_and_can_be_loaded_by_others(job, quiet, fresh, tiny_model, method):
    rate, fall, ratio = {"full": (1e-3, 0.5, 0.9), "lora": (4e-2, 0.3, 0.99)}[method]
    (folder,) = HuggingFaceTrainer(fresh, method=method, model=tiny_model, learning_rate=rate, **QUICK).run(job)
    told = losses(quiet)
    assert sum(told[-5:]) < sum(told[:5]) - 5 * fall
    before, after = weights(tiny_model), weights(folder)
    assert before.keys() == after.keys()
    assert any((before[key] != after[key]).any() for key in before)
    scores, _ = HuggingFacePerplexity([tiny_model, folder], fresh, threads=1).run(job)
    assert scores[1]["bits_per_byte"] < ratio * scores[0]["bits_per_byte"]
    assert scores[1]["train_tokens"] == 12_000
    told = json.loads((Path(folder) / "training.json").read_text())
    assert told["parameters"]["model"] == {"path": tiny_model, "digest": digest(tiny_model)}
    assert not {"n_layer", "vocab_size", "dropout", "max_steps"} & told["parameters"].keys()


def test_an_adapter_scores_as_the_merged_model_does_and_leaves_the_rest_alone(job, fresh, tiny_model, tmp_path):
    common = {"method": "lora", "model": tiny_model, "lora_r": 4, "learning_rate": 1e-2, **QUICK, "max_tokens": 4000}
    merged, alone = (
        HuggingFaceTrainer(fresh, str(tmp_path / str(merge)), merge=merge, **common).run(job)[0]
        for merge in (True, False)
    )
    assert (Path(alone) / "adapter_model.safetensors").stat().st_size < 50_000
    assert not (Path(alone) / "model.safetensors").exists()
    scores, _ = HuggingFacePerplexity([merged, alone], fresh, threads=1).run(job)
    assert scores[0]["loss"] == pytest.approx(scores[1]["loss"], rel=1e-4)
    changed = {key for key, value in weights(merged).items() if (value != weights(tiny_model)[key]).any()}
    assert changed
    assert all(".attn." in key or ".mlp." in key for key in changed)


def test_an_adapter_goes_on_from_its_checkpoint_with_the_same_bytes(job, quiet, other_job, fresh, tiny_model, killed):
    settings = {"method": "lora", "model": tiny_model, "merge": False, "lora_dropout": 0.1, "save_steps": 9, **QUICK}
    killed(HuggingFaceTrainer, 25, dataset_path=fresh, **settings)
    (resumed,) = HuggingFaceTrainer(fresh, **settings).run(job)
    assert quiet.values[0][0] == 19
    (undisturbed,) = HuggingFaceTrainer(fresh, **settings).run(other_job)
    assert digest(resumed) == digest(undisturbed)


def test_the_budget_is_equal_whatever_the_size_of_the_data(job, quiet, jsonl, fresh, tiny_model):
    short = jsonl("short.jsonl", [{"text": "One sheep."}])
    common = {"method": "full", "model": tiny_model, "block_size": 32, "batch_size": 2, "threads": 1}
    for budget in ({"max_steps": 5}, {"max_tokens": 5 * 2 * 32}):
        folders = HuggingFaceTrainer([short, fresh], **common, **budget).run(job)
        told = [json.loads((Path(folder) / "training.json").read_text()) for folder in folders]
        assert [one["steps"] for one in told] == [5, 5]
        assert [one["parameters"]["max_tokens"] for one in told] == [320, 320]
        assert [round(one["epochs"] * one["dataset_tokens"]) for one in told] == [320, 320]
    assert len(quiet.values) == 12  # the second time the same models were wanted


def test_steps_in_pieces_are_the_same_steps(job, quiet, other_job, corpus, tiny):
    HuggingFaceTrainer(corpus, **tiny).run(job)
    HuggingFaceTrainer(corpus, device_batch_size=2, **tiny).run(other_job)
    assert losses(quiet) == pytest.approx(losses(other_job.watcher), rel=1e-3)


def test_more_arguments_for_the_trainer(job, fresh, tiny_model):
    common = {"method": "full", "model": tiny_model, "block_size": 32, "max_steps": 1, "threads": 1}
    HuggingFaceTrainer(fresh, training_args={"lr_scheduler_type": "constant"}, **common).run(job)
    with pytest.raises(ConfigError, match=r"has no argument 'lr_scheduler'.*lr_scheduler_type"):
        HuggingFaceTrainer(fresh, training_args={"lr_scheduler": "constant"}, **common)
    with pytest.raises(ConfigError, match="training_args cannot set learning_rate"):
        HuggingFaceTrainer(fresh, training_args={"learning_rate": 1.0}, **common)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "full"}, "method full needs a model"),
        ({"method": "full", "model": "m", "n_layer": 2}, "n_layer: for method scratch, not for full"),
        ({"method": "full", "model": "m", "lora_r": 2, "merge": False}, "lora_r, merge: for method lora, not for full"),
        ({"model": "m"}, "model: for method full, not for scratch"),
        ({"max_steps": 1, "max_tokens": 1}, "both given"),
        ({"tokenizer_path": "t", "tokenizer_per_dataset": True}, "exclude each other"),
        ({"batch_size": 3, "num_processes": 2}, "not a multiple of num_processes"),
        ({"batch_size": 4, "device_batch_size": 3}, "not a multiple of device_batch_size"),
    ],
)
def test_parameters_of_another_method_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        HuggingFaceTrainer("a.jsonl", **given)


def test_a_context_that_is_too_short_and_a_model_that_is_not_there(job, fresh, tiny_model):
    with pytest.raises(JobError, match="block_size 300 is more than the model's context of 256"):
        HuggingFaceTrainer(fresh, method="full", model=tiny_model, block_size=300).run(job)
    with pytest.raises(JobError, match="'nowhere/at-all' is neither a folder nor an available model on the hub"):
        HuggingFaceTrainer(fresh, method="full", model="nowhere/at-all").run(job)
