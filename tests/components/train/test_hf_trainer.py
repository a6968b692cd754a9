from __future__ import annotations

from pathlib import Path

import pytest
from training_workers import workers

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.train.hf_trainer import evaluation_mode
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("torch", reason="needs the extra `train`")


@pytest.fixture
def held(jsonl, docstrings):
    """Texts that no training sees; some are longer than the context, one is empty."""
    return jsonl("held.jsonl", [{"text": text} for text in ["", *docstrings[300:340]]])


@pytest.fixture
def pools(jsonl, docstrings):
    return [
        jsonl(f"{name}.jsonl", [{"text": text} for text in docstrings[start : start + 60]])
        for name, start in (("low", 0), ("high", 60))
    ]


@pytest.fixture
def settings(tiny, tiny_model):
    """Parameters by method, 16 steps each, with dropout where the method has it."""
    further = {"model": tiny_model, "block_size": 48, "max_steps": 16, "threads": 1, "learning_rate": 1e-2}
    return {
        "scratch": {**tiny, "max_tokens": 16 * 128, "dropout": 0.1},
        "full": {"method": "full", **further},
        "lora": {"method": "lora", **further, "lora_dropout": 0.1},
        "adapter": {"method": "lora", **further, "lora_dropout": 0.1, "merge": False},
        "bfloat16": {**tiny, "max_tokens": 16 * 128, "dropout": 0.1, "precision": "bfloat16"},
    }


def scored(quiet):
    """What was told of held-out texts, by model and step."""
    return {
        (name, step): figures["eval"]
        for step, values in quiet.values
        for name, figures in values.items()
        if "eval" in figures
    }


@pytest.mark.parametrize("which", ["scratch", "full", "lora", "adapter", "bfloat16"])
def test_scores_are_those_of_the_evaluator_and_do_not_change_the_training(
    job, quiet, other_job, corpus, held, settings, which
):
    given, asked = settings[which], {"eval_dataset_path": held, "eval_steps": 6, "eval_max_rows": 30}
    (folder,) = HuggingFaceTrainer(corpus, **given, **asked).run(job)
    (unscored,) = HuggingFaceTrainer(corpus, **given).run(other_job)
    assert digest(folder) == digest(unscored)  # dropout included
    losses = [{name: v["loss"] for name, v in values.items() if "loss" in v} for _, values in quiet.values]
    others = [{name: v["loss"] for name, v in values.items()} for _, values in other_job.watcher.values]
    assert [one for one in losses if one] == others
    assert not scored(other_job.watcher)

    found = scored(quiet)
    assert list(found) == [("corpus_seed42", step) for step in (6, 12, 16)]
    assert len({one["bits_per_byte"] for one in found.values()}) == 3
    block = given["block_size"]
    (score,), _ = HuggingFacePerplexity(folder, held, max_rows=30, block_size=block, threads=1).run(other_job)
    assert score["documents"] == 29
    exactly = which != "lora"  # matrices beside the weights, or added to them: rounding differs
    last = found["corpus_seed42", 16]
    for key in ("loss", "bits_per_byte"):
        assert last[key] == (score[key] if exactly else pytest.approx(score[key], rel=1e-5))

    HuggingFaceTrainer(corpus, **given, **asked, max_parallel=2).run(job)  # it stands: scored, not trained
    assert [step for step, _ in quiet.values[-2:]] == [16, 16]
    assert quiet.values[-1][1]["corpus_seed42"]["eval"] == {key: score[key] for key in ("loss", "bits_per_byte")}


def test_a_model_is_left_as_it_was(tiny_model):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model).train()
    model.transformer.h[0].eval()
    before = [module.training for module in model.modules()]
    model.forward = wrapped = object()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert model.forward.__func__ is type(model).forward
    assert [module.training for module in model.modules()] == before
    assert model.forward is wrapped


@pytest.mark.slow
def test_side_by_side_tells_the_same(job, quiet, other_job, pools, tiny, held):
    asked = {"eval_dataset_path": held, "eval_steps": 20, "eval_max_rows": 20}
    HuggingFaceTrainer(pools, max_parallel=2, **tiny, **asked).run(job)
    HuggingFaceTrainer(pools, **tiny, **asked).run(other_job)
    assert len(scored(quiet)) == 4
    assert scored(quiet) == scored(other_job.watcher)


@pytest.mark.slow
def test_processes_that_train_together_score_once(job, quiet, other_job, pools, tiny, held):
    asked = {"eval_dataset_path": held, "eval_steps": 20, "eval_max_rows": 20}
    (together,) = HuggingFaceTrainer(pools[0], num_processes=2, **tiny, **asked).run(job)
    told = [(step, figures) for step, values in quiet.values for figures in values.values() if "eval" in figures]
    assert [step for step, _ in told] == [20, 32]
    (score,), _ = HuggingFacePerplexity(together, held, max_rows=20, threads=1).run(other_job)
    assert told[-1][1]["eval"]["bits_per_byte"] == score["bits_per_byte"]
    (unscored,) = HuggingFaceTrainer(pools[0], num_processes=2, **tiny).run(other_job)
    assert digest(together) == digest(unscored)


class Pruned(RuntimeError):
    """What a search ends a training with."""


class Pruner(NullJob):
    """Ends the training that comes to its second scoring first."""

    def watch(self, values, step=None):
        super().watch(values, step)
        ((name, figures),) = values.items()
        if "eval" in figures and sum(model == name for model, _ in scored(self)) == 2:
            raise Pruned(name)


@pytest.mark.parametrize("parallel", [1, 2])
def test_what_the_watcher_raises_ends_the_training_which_can_go_on(job, other_job, pools, tiny, held, parallel):
    given = {**tiny, "max_tokens": 250 * 128, "save_steps": 8, "tokenizer_per_dataset": True}
    asked = {"eval_dataset_path": held, "eval_steps": 20, "eval_max_rows": 5}
    pruner = Pruner()
    with pytest.raises(Pruned) as raised:
        HuggingFaceTrainer(pools, **given, **asked, max_parallel=parallel).run(
            JobRun("p", "n", job.folder, *[pruner] * 2)
        )
    assert workers(job.folder) == []
    name = str(raised.value)
    assert scored(pruner)[name, 40]
    assert not (job.folder / name).exists()
    kept = {int(path.name.rpartition("-")[2]) for path in job.folder.glob(f"checkpoints/{name}/*/checkpoint-*")}
    assert max(kept) >= 32
    if parallel == 1:  # a process of its own goes on until it is ended
        assert kept == {24, 32}

    quiet = NullJob()
    (pool,) = (path for path in pools if name.startswith(Path(path).stem))
    (resumed,) = HuggingFaceTrainer(pool, **given).run(JobRun("p", "n", job.folder, quiet, quiet))  # unscored now
    assert min(step for step, _ in quiet.values) > 32
    (undisturbed,) = HuggingFaceTrainer(pool, **given).run(other_job)
    assert digest(resumed) == digest(undisturbed)


def test_a_killed_training_goes_on_to_the_same_scores(job, quiet, other_job, corpus, tiny, held, killed):
    given = {**tiny, "max_tokens": 60 * 128, "dropout": 0.1}
    asked = {"eval_dataset_path": held, "eval_max_rows": 10}
    killed(HuggingFaceTrainer, 40, dataset_path=corpus, save_steps=7, **given, **asked, eval_steps=9)
    (resumed,) = HuggingFaceTrainer(corpus, save_steps=7, **given, **asked, eval_steps=20).run(job)
    assert min(step for step, _ in quiet.values) == 36
    (undisturbed,) = HuggingFaceTrainer(corpus, **given, **asked, eval_steps=20).run(other_job)
    assert digest(resumed) == digest(undisturbed)
    assert list(scored(quiet)) == [("corpus_seed42", 40), ("corpus_seed42", 60)]
    assert scored(quiet).items() <= scored(other_job.watcher).items()


def test_what_cannot_be_scored_is_said_before_the_training(job, quiet, corpus, jsonl, tiny):
    with pytest.raises(ConfigError, match="eval_steps: only with an eval_dataset_path"):
        HuggingFaceTrainer(corpus, eval_steps=5)
    for path, message in (
        ("nowhere.jsonl", "no data set at nowhere.jsonl"),
        (jsonl("empty.jsonl", [{"text": ""}]), "no text in .*empty.jsonl"),
        (jsonl("other.jsonl", [{"body": "words"}]), r"other.jsonl:1: 'text' is missing"),
    ):
        with pytest.raises(JobError, match=message):
            HuggingFaceTrainer(corpus, eval_dataset_path=path, **tiny).run(job)
    assert quiet.values == []


@pytest.mark.gpu
@pytest.mark.parametrize("which", ["scratch", "full", "lora"])
def test_scoring_on_a_gpu(job, quiet, other_job, corpus, held, settings, which):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    given, asked = settings[which], {"eval_dataset_path": held, "eval_steps": 6}
    (folder,) = HuggingFaceTrainer(corpus, **given, **asked).run(job)
    (unscored,) = HuggingFaceTrainer(corpus, **given).run(other_job)
    assert digest(folder) == digest(unscored)
    (score,), _ = HuggingFacePerplexity(folder, held, block_size=given["block_size"]).run(other_job)
    close = 2e-2 if which == "lora" else 1e-6  # the weights beside the matrices are held in bfloat16
    assert scored(quiet)["corpus_seed42", 16]["bits_per_byte"] == pytest.approx(score["bits_per_byte"], rel=close)
