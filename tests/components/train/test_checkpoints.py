"""Damaged checkpoints are not used: the one before is, or training starts again; the weights are the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.train.checkpoints import MANIFEST, MARK, find_fault, finish
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("torch", reason="needs the extra `train`")

STEPS, SAVED = 10, (3, 6)


class Interrupting(NullJob):
    """Breaks a training off at a step."""

    def watch(self, values, step=None):
        super().watch(values, step)
        if step == 8:
            raise KeyboardInterrupt


def job_in(folder, watcher=None):
    watcher = watcher or NullJob()
    folder.mkdir(parents=True, exist_ok=True)
    return JobRun("anonymous", "a_job", folder, watcher, watcher)


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory, docstrings):
    """The parameters of a training, its job's folder when it was broken off at step 8, and the digest of the model of
    an undisturbed one.
    """
    root = tmp_path_factory.mktemp("broken_off")
    data = root / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in docstrings[:40]))
    settings = {
        "dataset_path": str(data),
        "max_tokens": STEPS * 64,
        "vocab_size": 300,
        "n_layer": 1,
        "n_embd": 16,
        "n_head": 1,
        "dropout": 0.1,
        "block_size": 16,
        "save_steps": 3,
        "threads": 1,
    }
    (model,) = HuggingFaceTrainer(**settings).run(job_in(root / "undisturbed"))
    with pytest.raises(KeyboardInterrupt):
        HuggingFaceTrainer(**settings).run(job_in(root / "broken_off", Interrupting()))
    assert [int(path.name.split("-")[1]) for path in checkpoints(root / "broken_off")] == list(SAVED)
    return settings, root / "broken_off", digest(model)


@pytest.fixture
def resume(broken_off, tmp_path):
    """Copy the folder of the training that was broken off, damage it, and resume; returns the first step of the resumed
    training and what was warned of. The model must be that of an undisturbed training.
    """
    settings, folder, expected = broken_off

    def call(damage):
        shutil.copytree(folder, tmp_path / "job", dirs_exist_ok=True)
        damage(*checkpoints(tmp_path / "job"))
        said: list[str] = []
        number = logger.add(said.append, level="WARNING", format="{message}")
        try:
            job = job_in(tmp_path / "job")
            (model,) = HuggingFaceTrainer(**settings).run(job)
        finally:
            logger.remove(number)
        assert digest(model) == expected
        assert [path.name for path in job.folder.iterdir()] == [Path(model).name]
        return job.watcher.values[0][0], said

    return call


def checkpoints(folder):
    return sorted(folder.glob("checkpoints/*/*/checkpoint-*"))


def as_before(checkpoint):
    """Give a checkpoint the form of an earlier version: an empty mark instead of a manifest."""
    (checkpoint / MANIFEST).unlink()
    (checkpoint / MARK).touch()


FILES = ("optimizer.pt", "scheduler.pt", "model.safetensors", "rng_state.pth", "trainer_state.json", MANIFEST)


def test_every_file_of_a_checkpoint_is_in_its_manifest(broken_off):
    for checkpoint in checkpoints(broken_off[1]):
        content = json.loads((checkpoint / MANIFEST).read_text())["files"]
        assert {file.name for file in checkpoint.iterdir()} == {*content, MANIFEST}
        assert set(FILES) <= {*content, MANIFEST}
        assert find_fault(checkpoint) is None


def test_an_undamaged_checkpoint_is_used(resume):
    assert resume(lambda first, second: None) == (7, [])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", [0, 0.5])
def test_a_file_that_is_cut_off(resume, name, part):
    def damage(first, second):
        content = (second / name).read_bytes()
        (second / name).write_bytes(content[: int(len(content) * part)])

    step, said = resume(damage)
    assert step == 4
    assert len(said) == 1
    assert "checkpoint-6 is damaged and is not used: " in said[0]
    assert name in said[0]


def test_a_byte_that_is_flipped_and_a_file_that_is_missing(resume):
    def flip(first, second):
        content = bytearray((second / "optimizer.pt").read_bytes())
        content[len(content) // 2] ^= 1
        (second / "optimizer.pt").write_bytes(content)

    step, (said,) = resume(flip)
    assert (step, "the content of optimizer.pt has changed" in said) == (4, True)


def test_a_file_that_is_missing(resume):
    step, (said,) = resume(lambda first, second: (second / "scheduler.pt").unlink())
    assert (step, "scheduler.pt is missing" in said) == (4, True)


def test_no_checkpoint_is_undamaged(resume):
    def damage(*all_of_them):
        for checkpoint in all_of_them:
            (checkpoint / "optimizer.pt").write_bytes(b"")

    step, said = resume(damage)
    assert step == 1
    assert len(said) == 2


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_damaged_checkpoint_of_an_earlier_version(resume, name):
    def damage(first, second):
        as_before(first)
        as_before(second)
        (second / name).write_bytes((second / name).read_bytes()[:50])

    step, said = resume(damage)
    assert step == 4
    assert len(said) == 1
    assert f"{name} cannot be loaded" in said[0]


def test_an_undamaged_checkpoint_of_an_earlier_version_is_used(resume):
    def damage(first, second):
        as_before(first)
        as_before(second)

    assert resume(damage) == (7, [])


def test_of_an_earlier_version_without_its_optimizer(resume):
    def damage(first, second):
        as_before(second)
        (second / "optimizer.pt").unlink()

    step, (said,) = resume(damage)
    assert (step, "optimizer.pt is missing" in said) == (4, True)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"files": {}}', b'{"files": 3}', b'{"files": {"a": 1}}', b"[" * 100_000, b"\xff"]
)
def test_a_manifest_that_is_none(tmp_path, content):
    (tmp_path / "a").write_text("a")
    finish(tmp_path)
    assert find_fault(tmp_path) is None
    (tmp_path / MANIFEST).write_bytes(content)
    assert MANIFEST in (find_fault(tmp_path) or "")
