"""ModelScope's trainers. modelscope wants a `datasets` below 5, so the real ones run in an environment of its own:

python -m venv ms && ms/bin/pip install -e ".[modelscope]" pytest hypothesis
ms/bin/python -m pytest -m slow tests/components/train/test_modelscope.py
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.train.modelscope import ModelScopeTrainer
from data_juicer_sandbox.errors import ConfigError, JobError, MissingDependency

HAS_MODELSCOPE = importlib.util.find_spec("modelscope") is not None
needs_modelscope = pytest.mark.skipif(not HAS_MODELSCOPE, reason="needs modelscope")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def texts(jsonl, docstrings):
    """Rows as Data-Juicer leaves them; every fourth is twice as long."""
    rows = [{"text": text[:200], "__dj__stats__": {"len": [len(text)]}, "n": n} for n, text in enumerate(docstrings)]
    return jsonl("texts.jsonl", rows[:48])


@pytest.fixture
def train(texts, tmp_path):
    """A trainer of the shape that is usual here."""

    def make(model, **given):
        settings = {
            "trainer_name": "text-generation-trainer",
            "dataset_path": texts,
            "export_path": str(tmp_path / "models"),
            "key_remapping": {"text": "src_txt"},
            "log_steps": 4,
            "threads": 1,
        }
        return ModelScopeTrainer(model=model, **{**settings, **given})

    return make


@pytest.fixture
def gpt2(tiny_model):
    """The folder of a small GPT-2, and ModelScope's word on how to train it."""
    configuration = {
        "framework": "pytorch",
        "task": "text-generation",
        "model": {"type": "gpt2"},
        "preprocessor": {"type": "text-gen-tokenizer", "sequence_length": 32},
        "train": {
            "max_epochs": 5,
            "dataloader": {"batch_size_per_gpu": 8, "workers_per_gpu": 0},
            "optimizer": {"type": "AdamW", "lr": 3e-3},
            "lr_scheduler": {"type": "StepLR", "step_size": 100},
        },
        "evaluation": {"dataloader": {"batch_size_per_gpu": 8, "workers_per_gpu": 0}, "metrics": ["ppl"]},
    }
    (Path(tiny_model) / "configuration.json").write_text(json.dumps(configuration))
    return tiny_model


@pytest.mark.skipif(importlib.util.find_spec("megatron_util") is not None, reason="megatron_util is there")
@pytest.mark.parametrize("trainer", ["nlp-gpt3-trainer", "nlp-gpt-moe-trainer", "nlp-plug-trainer"])
def test_a_missing_megatron_is_told_before_any_work(train, job, tmp_path, trainer):
    with pytest.raises(JobError, match=f"{trainer} needs the library megatron_util, which is not installed") as told:
        train("no/such-model", trainer_name=trainer, dataset_path="no.jsonl").run(job)
    assert "the PyPI package of that name is another program" in str(told.value)
    assert not (tmp_path / "models").exists()
    assert not any(job.folder.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("megatron_util") is not None, reason="megatron_util is there")
def test_the_shipped_gpt3_config_is_refused_before_its_first_job(dj_sandbox, tmp_path):
    made = dj_sandbox("--config", str(ROOT / "configs/modelscope/gpt3.yaml"))
    assert made.returncode == 2
    assert re.search(r"gpt3\.yaml:\d+: job .*: not installed here: (modelscope, )?.*megatron_util", made.stderr)
    assert "the PyPI package of that name is another program" in made.stderr
    assert not any(tmp_path.iterdir())
    assert "Traceback" not in made.stderr


@pytest.mark.skipif(HAS_MODELSCOPE, reason="modelscope is there")
def test_without_modelscope_the_command_is_told(train, job):
    with pytest.raises(MissingDependency, match=r"pip install -e '.*\[modelscope\]'"):
        train("no/such-model").run(job)


@needs_modelscope
@pytest.mark.slow
def test_a_local_gpt2_is_trained(train, gpt2, job, quiet, texts):
    import torch

    folder = train(gpt2, eval_dataset_path=texts).run(job)
    steps = [(step, values["texts"]) for step, values in quiet.values if "loss" in values.get("texts", {})]
    assert [step for step, _ in steps] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert steps[-1][1]["loss"] < steps[0][1]["loss"] - 0.2
    assert steps[0][1]["learning_rate"] == pytest.approx(3e-3)
    assert quiet.query("a_job")["texts"]["eval"]["ppl"] > 1

    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert not list(job.folder.iterdir())
    assert Path(folder).name == "output"
    trained, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    before = AutoModelForCausalLM.from_pretrained(gpt2)
    inputs = AutoTokenizer.from_pretrained(folder)([row["text"][:80] for row in read_rows(texts)])["input_ids"]

    def loss(model):
        return sum(float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss) for ids in inputs if len(ids) > 1)

    with torch.inference_mode():
        assert loss(trained.eval()) < 0.95 * loss(before.eval())


@needs_modelscope
@pytest.mark.slow
def test_the_same_seed_trains_the_same_and_the_config_can_be_changed(train, gpt2, job, quiet, texts, tmp_path):
    from transformers import AutoModelForCausalLM

    short = {"cfg_modify": {"train.max_epochs": 3, "train": {"optimizer": {"lr": 1e-3}}}}
    found = []
    for number, given in enumerate([{}, {}, {"seed": 7}]):
        target = str(tmp_path / f"out{number}")
        (folder,) = train(gpt2, export_path=target, dataset_path=[texts], max_epochs=1, **short, **given).run(job)
        found.append(AutoModelForCausalLM.from_pretrained(folder).transformer.h[0].attn.c_attn.weight)
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])
    assert [step for step, _ in quiet.values] == [4, 6] * 3  # max_epochs wins over the config
    assert quiet.query("a_job")["texts"]["learning_rate"] == pytest.approx(1e-3)


@needs_modelscope
@pytest.mark.slow
@pytest.mark.parametrize("hooks", [None, [{"type": "EvaluationHook", "interval": 1}]])
def test_every_data_set_has_the_checkpoints_and_logs_of_the_first(train, gpt2, job, jsonl, docstrings, hooks):
    """In ModelScope, the first trainer of a process takes the default hooks and the log file from all later ones."""
    paths = [jsonl(f"{name}.jsonl", [{"text": text[:200]} for text in docstrings[:88]]) for name in ("one", "two")]
    given = {"cfg_modify": {"train.hooks": hooks}, "eval_dataset_path": paths[0]} if hooks else {}
    first, second = (Path(folder).parent for folder in train(gpt2, dataset_path=paths, max_epochs=2, **given).run(job))
    assert {"epoch_1.pth", "epoch_2.pth", "TIME.log", "TIME.log.json"} <= left_by(first)
    assert left_by(second) == left_by(first)
    (steps, _), (others, text) = map(logged, (first, second))
    assert steps
    assert others == steps
    assert "Saving checkpoint at 2 epoch" in text


def left_by(folder):
    """The files of a training, without the times in their names."""
    return {re.sub(r"[0-9]{8}_[0-9]{6}", "TIME", str(file.relative_to(folder))) for file in folder.rglob("*")}


def logged(folder):
    """The steps that ModelScope's own log of a training tells of, and its text."""
    (table,), (text,) = folder.glob("*.log.json"), folder.glob("*.log")
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    return [(row["mode"], row["epoch"], row["iter"]) for row in rows], text.read_text()


@needs_modelscope
@pytest.mark.slow
def test_a_function_may_change_the_config(train, gpt2, job, quiet, tmp_path, monkeypatch):
    (tmp_path / "my_changes.py").write_text("def slower(cfg):\n    cfg.train.optimizer.lr /= 10\n    return cfg\n")
    monkeypatch.syspath_prepend(tmp_path)
    train(gpt2, cfg_modify={"train.max_epochs": 1}, cfg_modify_fn="my_changes.slower").run(job)
    assert quiet.query("a_job")["texts"]["learning_rate"] == pytest.approx(3e-4)
    with pytest.raises(ConfigError, match=r"cannot import 'my_changes\.faster'"):
        train(gpt2, cfg_modify_fn="my_changes.faster").run(job)


@needs_modelscope
@pytest.mark.slow
def test_mistakes_are_told(train, gpt2, job, jsonl, tmp_path):
    with pytest.raises(JobError, match=r"no trainer 'text_generation_trainer' \(similar: text-generation-trainer"):
        train(gpt2, trainer_name="text_generation_trainer").run(job)
    with pytest.raises(
        JobError, match=r"bad\.jsonl:2: the row has no 'text', which key_remapping names \(its fields: other\)"
    ):
        train(gpt2, dataset_path=jsonl("bad.jsonl", [{"text": "a"}, {"other": "b"}])).run(job)
    with pytest.raises(JobError, match="there are no rows in"):
        train(gpt2, dataset_path=jsonl("empty.jsonl", [])).run(job)
    assert not list((tmp_path / "models").iterdir())
