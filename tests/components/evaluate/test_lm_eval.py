from __future__ import annotations

import importlib.util
import json
import os
import sys

import model_server
import pytest
import yaml

from data_juicer_sandbox.components.evaluate.lm_eval import LMEval, read
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import digest

PYTHON = os.environ.get("DJ_TEST_LM_EVAL_PYTHON") or (sys.executable if importlib.util.find_spec("lm_eval") else None)
runs = pytest.mark.skipif(PYTHON is None, reason="no lm-eval here, and DJ_TEST_LM_EVAL_PYTHON names none")


def test_metrics_are_read_with_their_filters():
    answer = {
        "results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": "N/A", "exact_match,strict-match": 1}}
    }
    assert read(answer) == {"t": {"acc": 0.5, "exact_match_strict-match": 1.0}}


def test_what_cannot_be_asked_is_said(job, tmp_path):
    with pytest.raises(ConfigError, match="no task is named"):
        LMEval("m")
    with pytest.raises(ConfigError, match="`tokenizer` requires `api_endpoint`"):
        LMEval("m", "t", tokenizer="x")
    if importlib.util.find_spec("lm_eval") is None:
        with pytest.raises(JobError, match=r"'lm_eval' is not installed.*evaluate.*`python` names"):
            LMEval("m", "t").run(job)
    with pytest.raises(JobError, match="cannot run"):
        LMEval("m", "t", python=str(tmp_path / "nowhere")).run(job)


@pytest.mark.parametrize(
    ("endpoint", "kind", "address"),
    [
        ("http://h/v1/", "completions", "http://h/v1/completions"),
        ("http://h/v1/chat/completions", "chat", "http://h/v1/chat/completions"),
    ],
)
def test_addresses_of_servers(endpoint, kind, address):
    assert LMEval("m", "t", api_endpoint=endpoint, api_kind=kind).request["model_args"]["base_url"] == address


@pytest.fixture
def models(tmp_path, docstrings):
    """Two tiny random models."""
    torch = pytest.importorskip("torch")
    from transformers import GPT2Config, GPT2LMHeadModel

    from data_juicer_sandbox.components.train.methods import train_tokenizer

    tokenizer, folders = train_tokenizer(docstrings[:50], 300), []
    config = GPT2Config(vocab_size=300, n_positions=64, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    for seed in (0, 1):
        torch.manual_seed(seed)
        folders.append(str(tmp_path / f"model{seed}"))
        GPT2LMHeadModel(config).save_pretrained(folders[-1])
        tokenizer.save_pretrained(folders[-1])
    return folders


@pytest.fixture
def tasks(tmp_path, jsonl):
    """A task of multiple choice whose right answer is by far the shortest, or the longest, and one of generation."""
    words = ["list", "value", "name", "path"]
    rows = [{"q": f"A {w} is", "choices": [f" {w}", f" {w} and nothing else but what it is"], "a": 0} for w in words]
    folder = tmp_path / "tasks"
    folder.mkdir()
    common = (
        f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {jsonl('q.jsonl', rows)}}}}}\ntest_split: test\n"
    )
    for name, answer in (("short", "a"), ("long", "1 - a")):
        (folder / f"{name}.yaml").write_text(
            f"task: own_{name}\n{common}output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: choices\n"
            f"doc_to_target: '{{{{{answer}}}}}'\nmetric_list: [{{metric: acc}}]\n"
        )
    (folder / "generation.yaml").write_text(
        f"task: own_generation\n{common}output_type: generate_until\ndoc_to_text: q\n"
        "doc_to_target: '{{choices[0]}}'\n"
        "generation_kwargs: {until: ['zzz'], max_gen_toks: 4, do_sample: false}\nmetric_list: [{metric: exact_match}]\n"
    )
    return str(folder)


@pytest.mark.slow
@runs
def test_own_tasks_on_local_models(models, tasks, job, quiet):
    run = LMEval(models, task_path=tasks, python=PYTHON, device="cpu", threads=1, log_samples=True).run
    scores = run(job)
    assert [(one["model"], one["task"]) for one in scores] == [
        (model, task) for model in models for task in ("own_generation", "own_long", "own_short")
    ]
    for one in scores:
        assert one["samples"] == 4
        if "acc" in one:  # each further token costs a random model 5.7 nats
            assert (one["acc"], one["acc_stderr"]) == (float(one["task"] == "own_short"), 0.0)
        else:
            assert one["exact_match"] == 0.0
    assert quiet.query("a_job")["model1"]["own_short"]["acc"] == 1.0
    json.dumps(scores)
    assert sorted(file.name for file in job.folder.iterdir()) == sorted(
        f"model{n}_own_{task}_samples.jsonl" for n in (0, 1) for task in ("generation", "long", "short")
    )
    (first, *_) = read_rows(job.folder / "model0_own_short_samples.jsonl")
    assert first["doc"]["q"] == "A list is"
    assert first["acc"] == 1.0
    before = digest(job.folder)
    assert run(job) == scores
    assert digest(job.folder) == before


@pytest.mark.slow
@runs
def test_limits_and_unknown_tasks(models, tasks, job):
    (one,) = LMEval(models[0], ["own_short"], tasks, python=PYTHON, device="cpu", limit=2, num_fewshot=1).run(job)
    assert (one["samples"], one["num_fewshot"]) == (2, 1)
    assert list(job.folder.iterdir()) == []
    with pytest.raises(JobError, match=r"lm-eval has no task 'own_shrt'; similar names: own_short"):
        LMEval(models[0], "own_shrt", tasks, python=PYTHON).run(job)


CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Germany": "Berlin", "Norway": "Oslo", "China": "Beijing"}


@pytest.mark.slow
@runs
@pytest.mark.skipif(bool(model_server.MISSING), reason=model_server.REASON)
@pytest.mark.parametrize(
    ("kind", "words"), [("chat", "Name the capital city of {}."), ("completions", "The capital of {} is")]
)
def test_a_real_model_behind_a_server(job, jsonl, tmp_path, quiet, kind, words):
    rows = [{"q": words.format(country), "a": city} for country, city in CAPITALS.items()]
    (tmp_path / "tasks").mkdir()
    task = {
        "task": "capitals",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": jsonl("q.jsonl", rows)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "q",
        "doc_to_target": "a",
        "generation_kwargs": {"until": ["."], "max_gen_toks": 16, "temperature": 0},
        "metric_list": [{"metric": "exact_match"}],
        "filter_list": [
            {
                "name": "city",
                "filter": [
                    {"function": "regex", "regex_pattern": f"({'|'.join(CAPITALS.values())})"},
                    {"function": "take_first"},
                ],
            }
        ],
    }
    (tmp_path / "tasks" / "capitals.yaml").write_text(yaml.safe_dump(task))
    with model_server.serving() as address:
        (score,) = LMEval(
            "SmolLM2",
            task_path=str(tmp_path / "tasks"),
            api_endpoint=address,
            api_kind=kind,
            model_args={"num_concurrent": 2},
            python=PYTHON,
            log_samples=True,
        ).run(job)
    assert (score["model"], score["task"], score["samples"]) == ("SmolLM2", "capitals", 5)
    assert score["exact_match_city"] >= 0.6
    assert quiet.query("a_job")["SmolLM2"]["capitals"]["exact_match_city"] == score["exact_match_city"]
    (samples,) = job.folder.iterdir()
    assert {row["doc"]["q"] for row in read_rows(samples)} == {row["q"] for row in rows}
