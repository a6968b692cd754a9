"""The local tracker: what is written, what is read back, and what a crash leaves."""

import json
import math
import time

import numpy as np
import pytest

from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.watchers.watcher import Watcher


@pytest.fixture
def watcher(tmp_path):
    opened = []

    def make(**options):
        given = {"project": "p", "experiment": "e", "names": ["local"], "config": {}, **options}
        opened.append(Watcher.open(tmp_path, **given))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


def test_values_are_flat_plain_and_strict_json(tmp_path, watcher):
    watch = watcher().of("main", "train").watch
    watch(
        {"a": {"b": np.float32(0.5), "c": [1, np.int64(2)]}, "nan": math.nan, "inf": -np.inf, "t": "top"},
        step=np.int64(3),
    )

    def refuse(word):
        raise AssertionError(word)

    found = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {row["name"]: row["value"] for row in found} == {
        "train.a.b": 0.5, "train.a.c.0": 1, "train.a.c.1": 2, "train.nan": "NaN",
        "train.inf": "-Infinity", "train.t": "top",
    }  # fmt: skip
    assert all(row["step"] == 3 and row["pipeline"] == "main" and row["job"] == "train" for row in found)
    assert abs(found[0]["time"] - time.time()) < 60


def test_every_watch_is_in_the_file_at_once(tmp_path, watcher):
    one = watcher()
    one.of("p", "j").watch({"x": 1})
    assert lines(tmp_path)[-1]["value"] == 1
    one.sync()


def test_query_gives_the_latest_attempt_also_after_a_resume(watcher):
    first = watcher()
    first.start("p", "probe")
    first.of("p", "probe").watch({"old": 1, "x": 1})
    first.start("p", "probe")
    first.of("p", "probe").watch({"x": 2, "n": math.nan})
    first.of("p", "probe").watch({"x": 3})
    first.of("p", "other").watch({"x": 4})
    first.close()
    again = watcher()
    found = again.query("probe")
    assert found.pop("n") != found
    assert found == {"x": 3}
    again.start("p", "probe")  # an attempt that has watched nothing yet, such as the refine job of the same name
    assert again.query("probe")["x"] == 3


def test_pipelines_are_told_apart(watcher):
    one = watcher()
    for pipeline, value in (("p1", 1), ("p2", 2)):
        one.start(pipeline, "probe")
        one.of(pipeline, "probe").watch({"x": value})
    assert one.query("probe", "p1") == {"x": 1}
    assert one.query("probe") == {"x": 2}
    assert one.of("p1", "refine").query("probe") == {"x": 1}
    assert one.of("p3", "refine").query("probe") == {"x": 2}
    assert one.query("nothing") == {}


def test_names_that_hold_other_names(watcher):
    one = watcher()
    one.of("p", 'a"b').watch({"x": 1})
    one.of("p", "a").watch({"x": '"job": "z"'})
    assert one.query('a"b') == {"x": 1}
    assert one.query("z") == {}


@pytest.mark.parametrize("torn", ['{"time": 1, "pipe', "{", '{"time": 1}' + " " * 70_000])
def test_a_torn_last_line_is_skipped_and_repaired(tmp_path, watcher, torn):
    one = watcher()
    one.of("p", "j").watch({"x": 1})
    one.close()
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write(torn)
    assert local.last_values(tmp_path / "metrics.jsonl", "j") == {"x": 1}
    two = watcher()
    two.of("p", "j").watch({"y": 2})
    assert [row["value"] for row in lines(tmp_path)] == [1, 2]
    assert two.query("j") == {"x": 1, "y": 2}


def test_a_file_of_one_torn_line_is_emptied(tmp_path, watcher):
    (tmp_path / "metrics.jsonl").write_text('{"ti')
    watcher()
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_config_and_job_configs_are_recorded_masked(tmp_path, watcher):
    one = watcher(config={"project_name": "p", "api_key": "abcdefgh123"})
    one.start("p", "j", {"extra_configs": {"api_key": "abcdefgh123", "max_tokens": 7}})
    one.of("p", "j").watch({"said": "abcdefgh123"})
    assert json.loads((tmp_path / "config.json").read_text()) == {"project_name": "p", "api_key": "***"}
    assert lines(tmp_path)[0]["config"] == {"extra_configs": {"api_key": "***", "max_tokens": 7}}
    assert "abcdefgh123" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_config_with_nan_is_recorded_as_strict_json(tmp_path, watcher):
    config = {"a": [math.nan, {"b": (-math.inf, 1)}], None: 1, math.nan: True}
    one = watcher(config=config)
    one.start("p", "j", config)
    one.of("p", "j").watch({"x": 1})
    expected = {"a": ["NaN", {"b": ["-Infinity", 1]}], "null": 1, "nan": True}
    assert json.loads((tmp_path / "config.json").read_text(), parse_constant=pytest.fail) == expected
    assert lines(tmp_path)[0]["config"] == expected
    assert one.query("j") == {"x": 1}


def test_a_new_run_moves_the_old_metrics_aside(tmp_path, watcher):
    one = watcher()
    one.of("p", "j").watch({"x": 1})
    one.close()
    assert watcher(resume=False).query("j") == {}
    (aside,) = tmp_path.glob("metrics.*.jsonl")
    assert local.last_values(aside, "j") == {"x": 1}


def test_a_hundred_thousand_lines(tmp_path, watcher):
    one = watcher()
    for step in range(1000):
        one.of("p", f"job{step % 5}").watch({f"m{key}": step for key in range(100)}, step=step)
    assert one.query("job4")["m7"] == 999
