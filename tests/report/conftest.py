"""A run as it lies on disk, written by the real watcher and the real checkpoint."""

import pytest

from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.watchers.watcher import Watcher


def write_run(folder, *, lr=0.1, bpb=2.5, extra_job=None):
    folder.mkdir(parents=True, exist_ok=True)
    config = {"project_name": "proj", "experiment_name": folder.name, "lr": lr, "api_key": "abcdefgh123"}
    watcher = Watcher.open(folder, project="proj", experiment=folder.name, names=["local"], config=config)
    context = ContextInfos()

    def job(name, phase, hook, outputs, status="done", **more):
        about = {
            "hook": hook,
            "phase": phase,
            "status": status,
            "started": 1e9,
            "ended": 1e9 + 2,
            "seconds": 2.0,
            **more,
        }
        context.put("main", JobRecord(name, outputs, Provenance.from_plain(about)))

    for name, mean in (("probe", 100.0), ("probe_after", 80.0)):
        watcher.start("main", name)
        watcher.of("main", name).watch({"text_len": {"mean": mean, "std": 3.0}, "rows": 10})
        job(name, "probe", "ProbeViaAnalyzerHook", {"path": f"/data/{name}.jsonl"})
    watcher.start("main", "train")
    for step in range(20):
        for model in ("a", "b"):
            watcher.of("main", "train").watch({model: {"loss": 5 - step / 10}}, step=step)
    job("train", "execution", "TrainModelHook", {"models": ["/m/a", "/m/b"]})
    watcher.of("main", "score").watch({"bpb": bpb, "bad": float("nan")})
    scores = [{"model": "<b>a</b>", "bpb": bpb}, {"model": "b", "bpb": 3, "note": "x"}]
    job("score", "evaluation", "EvaluateModelHook", {"scores": scores, "long": "y" * 500})
    if extra_job:
        job(*extra_job[:4], **extra_job[4])
    Checkpoint(folder).write(context)
    watcher.close()
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run1")


@pytest.fixture
def make_run(tmp_path):
    return lambda name, **options: write_run(tmp_path / name, **options)
