from __future__ import annotations

from pathlib import Path

import pytest

from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("torch", reason="needs the extra `train`")


def checkpoints(job):
    return sorted(path.name for path in job.folder.glob("checkpoints/*/*/checkpoint-*"))


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(job, quiet, other_job, corpus, tiny, killed):
    settings = {**tiny, "max_tokens": 110 * 128, "dropout": 0.1}
    killed(HuggingFaceTrainer, 40, dataset_path=corpus, save_steps=7, **settings)
    assert [path.name for path in job.folder.iterdir() if path.name == "corpus_seed42"] == []
    assert checkpoints(job) == ["checkpoint-28", "checkpoint-35"]
    (half_written,) = job.folder.glob("checkpoints/*/*/")
    (half_written / "checkpoint-91").mkdir()
    (half_written / "checkpoint-91" / "model.safetensors").write_bytes(b"half")

    (resumed,) = HuggingFaceTrainer(corpus, save_steps=7, **settings).run(job)
    assert min(step for step, _ in quiet.values) == 36
    (undisturbed,) = HuggingFaceTrainer(corpus, **settings).run(other_job)
    assert digest(resumed) == digest(undisturbed)
    assert [path.name for path in job.folder.iterdir() if not path.name.startswith(".")] == ["corpus_seed42"]

    (step, last), (other_step, other) = quiet.values[-1], other_job.watcher.values[-1]
    assert step == other_step == 110
    assert last["corpus_seed42"]["loss"] == other["corpus_seed42"]["loss"]


def test_checkpoints_of_other_parameters_or_data_are_of_no_use(job, quiet, corpus, tiny, killed):
    killed(HuggingFaceTrainer, 20, dataset_path=corpus, save_steps=6, **tiny)
    assert checkpoints(job) == ["checkpoint-12", "checkpoint-18"]
    HuggingFaceTrainer(corpus, **{**tiny, "learning_rate": 1e-3}).run(job)
    assert [step for step, _ in quiet.values] == list(range(1, 33))
    assert not Path(job.folder / "checkpoints").exists()
