"""What every inference executor has from its base, seen through one that answers from its prompt."""

from __future__ import annotations

import importlib
import json
import random
import shutil
import sys
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.infer.base.component import LLMInference
from data_juicer_sandbox.components.infer.base.types import Completion, Failure, as_text
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import temporary_path


class Shouting(LLMInference):
    """Answers with the prompt in capitals, in batches, each batch in an order of its own; fails where told to."""

    def __init__(self, dataset_path, export_path, batch=3, stop_after=None, fails=(), model="m", **others):
        super().__init__(model=model, dataset_path=dataset_path, export_path=export_path, **others)
        self.batch, self.stop_after, self.fails = batch, stop_after, fails
        self.asked, self.entered = [], 0

    @contextmanager
    def inference_function(self, job: JobRun):
        self.entered += 1
        yield self._answer

    def _answer(self, questions, put):
        while batch := list(islice(questions, self.batch)):
            random.Random(0).shuffle(batch)
            for question in batch:
                if self.stop_after is not None and len(self.asked) >= self.stop_after:
                    raise KeyboardInterrupt
                text = as_text(question.prompt)
                self.asked.append(text)
                if any(part in text for part in self.fails):
                    put(question, Failure("broken", f"no answer to {text}", 5))
                else:
                    put(question, Completion([f" {text.upper()}{n or ''} " for n in range(self.samples)], 10, 2))


@pytest.fixture
def dataset(jsonl):
    return jsonl("d.jsonl", [{"query": f"q{n}", "n": n} for n in range(20)])


@pytest.fixture
def infer(job, tmp_path):
    """Run; returns the executor and its rows."""

    def call(dataset_path, **given):
        made = Shouting(dataset_path, str(tmp_path / "out"), **given)
        found = made.run(job)
        return made, [json.loads(line) for line in Path(found).read_text().splitlines()]

    return call


def test_rows_stay_as_they_are_and_get_their_answer(infer, tmp_path, jsonl):
    lines = ['{"query":"a",  "x": 1.00}', '  {"query": "\\u00e9", "big": 123456789012345678901234567890 }']
    infer(jsonl("odd.jsonl", lines))
    assert (tmp_path / "out/odd_inference.jsonl").read_text(encoding="utf-8").splitlines() == [
        '{"query":"a",  "x": 1.00, "response": "A"}',
        '  {"query": "\\u00e9", "big": 123456789012345678901234567890 , "response": "É"}',
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["odd_inference.jsonl"]


def test_order_is_that_of_the_input_whatever_order_answers_come_in(infer, dataset):
    _, rows = infer(dataset, batch=7)
    assert [(row["n"], row["response"]) for row in rows] == [(n, f"Q{n}") for n in range(20)]


def test_several_samples_are_a_list(infer, dataset):
    _, rows = infer(dataset, sampling_params={"n": 3}, max_rows=2, infer_res_key="answers", raw_key="raw")
    assert [row["answers"] for row in rows] == [["Q0", "Q01", "Q02"], ["Q1", "Q11", "Q12"]]
    assert rows[0]["raw"] == [" Q0 ", " Q01 ", " Q02 "]


def test_too_few_samples_fail_the_row(job, dataset, tmp_path):
    made = Shouting(dataset, str(tmp_path / "out"))
    made.settings = type(made.settings)(made.settings.build, made.settings.parse, made.settings.fields, samples=2)
    with pytest.raises(JobError, match="all 20 rows failed; the last: parse: ValueError: expected 2 samples, got 1"):
        made.run(job)


def test_metrics_and_cost(infer, dataset, quiet):
    infer(dataset, fails=["q7"], price_per_million={"input": 1000, "output": 5000})
    seen = quiet.query("a_job")
    assert {key: seen[key] for key in ("rows", "failed", "kept", "prompt_tokens", "completion_tokens")} == {
        "rows": 20,
        "failed": 1,
        "kept": 0,
        "prompt_tokens": 19 * 10 + 5,
        "completion_tokens": 38,
    }
    assert seen["cost"] == pytest.approx((195 * 1000 + 38 * 5000) / 1e6)
    assert seen["rows_per_second"] > 0
    assert seen["tokens_per_second"] == pytest.approx(38 / seen["seconds"])


def test_failed_rows_are_marked_and_counted(infer, dataset, jsonl, quiet):
    with Path(dataset).open("a") as stream:
        stream.write('{"other": 1}\n')
    _, rows = infer(dataset, fails=["q3"])
    assert len(rows) == 21
    assert rows[3] == {
        "query": "q3",
        "n": 3,
        "response": None,
        "infer_error": {"kind": "broken", "message": "no answer to q3"},
    }
    assert rows[20]["infer_error"] == {"kind": "row", "message": "a row has no 'query' (its fields: other)"}
    assert "infer_error" not in rows[4]
    assert quiet.query("a_job")["failed"] == 2


def test_a_mark_of_an_earlier_inference_gives_way(infer, jsonl):
    old = {"kind": "old", "message": "x"}
    path = jsonl("m.jsonl", [{"query": f"q{n}", "answer": None, "infer_error": old} for n in range(3)])
    _, rows = infer(path, fails=["q1"])
    assert rows[0] == {"query": "q0", "answer": None, "infer_error": old, "response": "Q0"}
    assert rows[1]["infer_error"]["kind"] == "broken"


def test_what_cannot_be_read_is_a_failure(infer, dataset, jsonl):
    path = jsonl("j.jsonl", [{"q": "[1, 2]"}, {"q": "{"}, {"q": "null"}])
    _, rows = infer(path, parse_output_func="json.loads", func_kwargs={"query_key": "q"}, raw_key="raw")
    assert rows[0] == {"q": "[1, 2]", "response": [1, 2], "raw": " [1, 2] "}
    assert rows[1]["response"] is None
    assert rows[1]["raw"] == " { "
    assert rows[1]["infer_error"]["kind"] == "parse"
    assert rows[1]["infer_error"]["message"].startswith("JSONDecodeError: ")
    assert rows[2] == {"q": "null", "response": None, "infer_error": rows[2]["infer_error"], "raw": " NULL "}
    _, rows = infer(dataset, func_kwargs={"pattern": r"Q1\d?"}, max_rows=12)
    assert [row["response"] for row in rows] == [None, "Q1", *[None] * 8, "Q10", "Q11"]
    assert all("infer_error" not in row for row in rows)


def test_secrets_in_failures_are_masked(infer, dataset):
    secret = "sk-" + "a1B2" * 8
    _, rows = infer(dataset, fails=["q1 "], func_kwargs={"system_prompt": secret})
    assert len(rows) == 20
    _, rows = infer(dataset, fails=["q1"], func_kwargs={"system_prompt": secret}, max_rows=3)
    assert rows[1]["infer_error"]["message"].startswith("no answer to ***")


@pytest.mark.parametrize("stop", [0, 1, 7, 19])
def test_an_interrupted_file_is_continued(infer, dataset, tmp_path, quiet, stop, job):
    made = Shouting(dataset, str(tmp_path / "out"), stop_after=stop, fails=["q1"])
    journal = temporary_path(tmp_path / "out/d_inference.jsonl", ".answers")
    with pytest.raises(KeyboardInterrupt):
        made.run(job)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [journal.name]
    again, rows = infer(dataset, fails=["q1"])
    assert sorted(made.asked + again.asked) == sorted(f"q{n}" for n in range(20))
    assert quiet.query("a_job")["kept"] == stop
    assert quiet.query("a_job")["prompt_tokens"] == 9 * 10 + 11 * 5
    straight, wanted = infer(dataset, fails=["q1"])
    assert len(straight.asked) == 20
    assert rows == wanted


def test_failed_rows_of_an_interrupted_file_are_asked_again_where_that_is_wanted(infer, dataset, tmp_path, job):
    with pytest.raises(KeyboardInterrupt):
        Shouting(dataset, str(tmp_path / "out"), stop_after=15, fails=["q3", "q5"]).run(job)
    with pytest.raises(KeyboardInterrupt):
        Shouting(dataset, str(tmp_path / "out"), stop_after=1, fails=["q5"], retry_failed=True).run(job)
    again, rows = infer(dataset)
    assert len(again.asked) == 5 + 1  # what had no outcome, and the second of the two
    assert all(row["response"] for row in rows)


def test_failed_rows_are_asked_again_after_a_job_that_failed(infer, dataset, tmp_path, job):
    with pytest.raises(JobError, match=r"2 of 20 rows failed, more than max_failures: 0.05; the last: broken: no an"):
        Shouting(dataset, str(tmp_path / "out"), max_failures=0.05, fails=["q3", "q5"]).run(job)
    assert not (tmp_path / "out/d_inference.jsonl").exists()
    again, rows = infer(dataset, max_failures=0.05)
    assert "q3" in again.asked
    assert "q0" not in again.asked
    assert [row["response"] for row in rows] == [f"Q{n}" for n in range(20)]


def test_half_a_line_is_cut_off(infer, dataset, tmp_path, job):
    with pytest.raises(KeyboardInterrupt):
        Shouting(dataset, str(tmp_path / "out"), stop_after=6).run(job)
    journal = temporary_path(tmp_path / "out/d_inference.jsonl", ".answers")
    whole = journal.read_bytes()
    _, wanted = infer(dataset)
    for cut in range(1, len(whole.splitlines(keepends=True)[-1]) + 1):
        journal.write_bytes(whole[:-cut])
        made, rows = infer(dataset)
        assert len(made.asked) == 15
        assert rows == wanted


@pytest.mark.parametrize("change", ["settings", "data", "func_kwargs"])
def test_other_settings_or_data_begin_again(infer, dataset, tmp_path, job, change):
    with pytest.raises(KeyboardInterrupt):
        Shouting(dataset, str(tmp_path / "out"), stop_after=6).run(job)
    given = {}
    if change == "settings":
        given = {"sampling_params": {"temperature": 0.5}}
    elif change == "func_kwargs":
        given = {"func_kwargs": {"system_prompt": "x"}}
    else:
        Path(dataset).write_text(Path(dataset).read_text().replace("q19", "q20"))
    made, _ = infer(dataset, **given)
    assert len(made.asked) == 20


@pytest.mark.parametrize(("weights", "asked"), [("same", 14), ("else", 20)])
def test_an_interrupted_file_is_continued_where_the_model_was_copied(infer, dataset, tmp_path, job, weights, asked):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_text("same")
    with pytest.raises(KeyboardInterrupt):
        Shouting(dataset, str(tmp_path / "out"), stop_after=6, model=str(model)).run(job)
    shutil.copytree(model, tmp_path / "copy")
    (tmp_path / "copy/weights.bin").write_text(weights)
    shutil.rmtree(model)
    (tmp_path / "copy").rename(model)
    made, _ = infer(dataset, model=str(model))
    assert len(made.asked) == asked


def test_another_code_of_the_function_that_reads_answers_begins_again(infer, dataset, tmp_path, job, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "icode_reads.py"
    given = {"parse_output_func": "icode_reads.read"}

    def write(text):
        module.write_text(text)
        sys.modules.pop("icode_reads", None)
        importlib.invalidate_caches()

    write("def read(text):\n    return text.strip()\n")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Shouting(dataset, str(tmp_path / "out"), stop_after=6, **given).run(job)
    write("def read(text):\n    return text.strip() + '!'\n")
    made, rows = infer(dataset, **given)
    sys.modules.pop("icode_reads")
    assert len(made.asked) == 20
    assert [row["response"] for row in rows] == [f"Q{n}!" for n in range(20)]


def test_whole_files_of_an_unfinished_job_are_not_asked_for_again(job, jsonl, tmp_path, quiet):
    paths = [jsonl(f"{name}/d.jsonl", [{"query": f"{name}{n}"} for n in range(4)]) for name in "ab"]
    with pytest.raises(KeyboardInterrupt):
        Shouting(paths, str(tmp_path / "out"), stop_after=6).run(job)
    made = Shouting(paths, str(tmp_path / "out"))
    found = made.run(job)
    assert found == [str(tmp_path / f"out/{name}_d_inference.jsonl") for name in "ab"]
    assert len(made.asked) == 2
    assert quiet.query("")["rows"] == 8
    assert quiet.query("")["b_d"]["kept"] == 2
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_model_is_not_made_ready_for_nothing(job, dataset, tmp_path):
    other = tmp_path / "none.jsonl"
    with pytest.raises(JobError, match="no data set at"):
        Shouting([dataset, str(other)], str(tmp_path / "out")).run(job)
    other.write_text("")
    first = Shouting([dataset, str(other)], str(tmp_path / "out"))
    with pytest.raises(JobError, match="there are no rows in"):
        first.run(job)
    again = Shouting([dataset, str(tmp_path / "gone.jsonl")], str(tmp_path / "out"), skip_missing=True)
    assert again.run(job) == [str(tmp_path / "out/d_inference.jsonl")]
    assert (first.entered, again.entered) == (1, 0)


def test_when_all_fail_the_job_does(job, jsonl, tmp_path):
    path = jsonl("many.jsonl", [{"query": f"q{n}"} for n in range(150)])
    made = Shouting(path, str(tmp_path / "out"), fails=["q"])
    with pytest.raises(JobError, match="the first 100 requests all failed; the last: broken"):
        made.run(job)
    assert len(made.asked) == 100
    made = Shouting(path, str(tmp_path / "out"), fails=["q"], max_rows=9)
    with pytest.raises(JobError, match="all 9 rows failed; the last: broken"):
        made.run(job)
    with pytest.raises(JobError, match="4 of 150 rows failed, more than max_failures: 3"):
        Shouting(path, str(tmp_path / "out"), fails=["q5"], max_failures=3).run(job)
    with pytest.raises(JobError, match=r"all 150 rows failed; the last: row: a row has no 'nix'"):
        Shouting(path, str(tmp_path / "out"), func_kwargs={"query_key": "nix"}).run(job)


def test_formats(infer, tmp_path, jsonl):
    (tmp_path / "t.csv").write_text("query,n\nhello,1\nyou,2\n")
    _, rows = infer(str(tmp_path / "t.csv"))
    assert rows == [{"query": "hello", "n": 1, "response": "HELLO"}, {"query": "you", "n": 2, "response": "YOU"}]
    assert Shouting(str(tmp_path / "t.csv"), str(tmp_path / "own.jsonl"))._target("t") == tmp_path / "own.jsonl"


def test_what_is_wrong_is_said(job, jsonl, tmp_path, dataset):
    out = str(tmp_path / "out")
    with pytest.raises(
        JobError, match=r"has.jsonl:1: the row already has a field 'response' \(another infer_res_key\)"
    ):
        Shouting(jsonl("has.jsonl", [{"query": "x", "response": 1}]), out).run(job)
    with pytest.raises(JobError, match=r"bad.jsonl:2: not a JSON row"):
        Shouting(jsonl("bad.jsonl", [{"query": "x"}, "{"]), out).run(job)
    with pytest.raises(JobError, match="would be part of the data set"):
        Shouting(str(tmp_path), out).run(job)
    for given, said in (
        ({"build_messages_func": "build_mesages"}, "did you mean 'build_messages'"),
        ({"func_kwargs": {"patern": "x"}}, "neither build_messages nor parse_output takes 'patern'.*'pattern'"),
        ({"func_kwargs": {"parse_output_func": {"query_key": "x"}}}, "parse_output takes no 'query_key'"),
        ({"func_kwargs": {"parse_output_func": 3}}, "must be a mapping of arguments, not 3"),
        ({"infer_res_key": "infer_error"}, "must differ"),
        ({"max_failures": 1.5}, "expected a fraction below 1 or a number of rows"),
    ):
        with pytest.raises(ConfigError, match=said):
            Shouting(dataset, out, **given)
    with pytest.raises(ConfigError, match="is one file for several data sets"):
        Shouting([dataset, dataset], str(tmp_path / "a.jsonl"))
