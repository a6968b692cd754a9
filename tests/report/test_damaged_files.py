"""Files of a run that are damaged, hostile or hold extreme numbers: the report is drawn, and says what is missing."""

import json
import math
import random
import warnings

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_juicer_sandbox import report
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.report.compare import compare, render
from data_juicer_sandbox.report.data import MAX_POINTS, read_run
from data_juicer_sandbox.results import load_results
from data_juicer_sandbox.watchers.watcher import Watcher

FILES = ("metrics.jsonl", "config.json", "context_infos.json")
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.text(), st.just("\ud83d")
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
keys = ["time", "iteration", "pipeline", "job", "name", "value", "step", "event"]
fuzz = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def draw_all(folder):
    """The three readers; none of them may fail."""
    page = report.build(folder).read_text()
    render(compare([folder, folder]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = load_results(folder)
        assert len(results.metrics) >= 0
    return page


@pytest.fixture
def originals(run):
    return {name: (run / name).read_bytes() for name in FILES}


def restore(run, originals):
    for name, content in originals.items():
        (run / name).write_bytes(content)


@fuzz
@given(line=st.dictionaries(st.sampled_from(keys), values))
@example({"job": "a", "pipeline": "p", "name": "a.x", "value": 1, "time": 1e300})
@example({"job": "a", "pipeline": "p", "name": "a.x", "value": 1, "step": 10**30})
@example({"job": "a", "pipeline": "p", "name": "x", "value": 1})
@example({"job": ["a"], "pipeline": "p", "name": "a.x", "value": 1})
@example({"job": "a", "pipeline": {}, "name": "a.x", "value": 1})
@example({"job": "a", "pipeline": "p", "name": "a.x", "value": {"deep": [1]}})
@example({"job": "a", "pipeline": "p", "value": 1})
def test_any_json_object_as_a_line_of_metrics(run, originals, line):
    restore(run, originals)
    for job in (line, {"job": "train", "pipeline": "main", "name": "train.a.loss", "value": 1, **line}):
        with (run / "metrics.jsonl").open("a") as stream:
            stream.write(json.dumps(job) + "\n")
    assert "main.train.a" in draw_all(run)


@fuzz
@given(data=st.data())
def test_any_byte_of_any_file_changed_or_cut(run, originals, data):
    restore(run, originals)
    name = data.draw(st.sampled_from(FILES))
    content = bytearray(originals[name])
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (run / name).write_bytes(content)
    draw_all(run)


@fuzz
@given(record=values, iteration=st.integers(0, 5), extra=values)
@example({"meta_name": "x", "__job__": {"started": "yesterday"}}, 0, None)
@example({"meta_name": "x", "__job__": {"started": 1e300, "seconds": 1e308}}, 0, None)
@example({"meta_name": "x", "__job__": {"started": float("nan")}}, 0, None)
@example({"meta_name": 3, "__job__": []}, 0, [[]])
@example({"meta_name": "x", "scores": [{"a": {"b": 10**400}}]}, 0, None)
def test_any_value_as_a_record_of_the_copy(run, originals, record, iteration, extra):
    restore(run, originals)
    content = json.loads(originals["context_infos.json"])
    content["iterations"][0]["main"].append(record)
    content["iterations"].append({"main": extra} if iteration % 2 else extra)
    (run / "context_infos.json").write_text(json.dumps(content))
    assert "probe_after" in draw_all(run)


def test_damaged_lines_are_counted(run):
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"job": "x"}\n[1, 2]\n\xff\n{"time": 1, "pipeline": "ma')
    context = json.loads((run / "context_infos.json").read_text())
    context["iterations"][0]["main"] += [3, {"meta_name": None}]
    (run / "context_infos.json").write_text(json.dumps(context))
    (run / "config.json").write_text('{"project_name": "pr')
    faults = read_run(run).faults
    assert faults[0].startswith("config.json is damaged: ")
    assert faults[1:] == ["context_infos.json: 2 damaged records skipped", "metrics.jsonl: 4 damaged lines skipped"]
    assert "4 damaged lines skipped" in report.build(run).read_text()
    assert compare([run]).faults == [f"run1: {fault}" for fault in faults]
    with pytest.warns(UserWarning, match=r"metrics.jsonl: 4 damaged line\(s\) skipped"):
        assert len(load_results(run).metrics) == 48


EXTREME = {
    "far apart": [1.7e308, -1.7e308],
    "denormal": [5e-324, 0],
    "infinite": [math.inf, -math.inf, math.nan, 1],
    "400 digits": [10**400, 1],
    "5,000 digits": [10**5000, 1],
    "surrogates": ["\ud83d", "\udc00x"],
}


@pytest.mark.parametrize("numbers", EXTREME.values(), ids=list(EXTREME))
def test_extreme_metrics_keep_the_tracker_and_the_report(tmp_path, numbers):
    config = {"a": math.nan, "b": [math.inf], math.inf: {"\ud83d": -math.inf}, "n": 10**5000, "when": {1, 2}}
    watcher = Watcher.open(tmp_path, project="p", experiment="e", names=["local"], config=config)
    watcher.start("p", "j", {"extra_configs": config})
    for step, number in enumerate(numbers):
        watcher.of("p", "j").watch({"x": number, "nested": {"y": [number]}}, step=step)
    for step in (math.nan, math.inf, 10**30):
        watcher.of("p", "j").watch({"last": 1}, step=step)
    watcher.close()
    (job,) = read_run(tmp_path).measured
    assert job.last["last"] == 1
    assert set(job.last) == {"x", "nested.y.0", "last"}
    assert read_run(tmp_path).faults == []
    json.loads((tmp_path / "config.json").read_text(), parse_constant=pytest.fail)
    assert "<h2>Metrics</h2>" in report.build(tmp_path).read_text()


def test_a_long_series_keeps_its_extremes_in_bounded_memory(tmp_path):
    draw = random.Random(3)
    points = [draw.random() for _ in range(30_000)]
    points[12_345], points[23_456] = 5.0, -5.0
    with (tmp_path / "metrics.jsonl").open("w") as stream:
        for step, value in enumerate(points):
            line = {"time": 1, "pipeline": "p", "job": "j", "name": "j.x", "value": value, "step": step}
            stream.write(json.dumps(line) + "\n")
    (job,) = read_run(tmp_path).measured
    series = job.series["x"]
    assert len(series) < 2 * MAX_POINTS
    assert {(12_345, 5.0), (23_456, -5.0), (0, points[0]), (29_999, points[-1])} <= set(series)
    assert series == sorted(series)


def test_the_report_of_a_running_run_has_the_jobs_of_the_journal(run):
    checkpoint = Checkpoint(run)
    context = checkpoint.read()
    checkpoint.write(context)
    record = context.find("main", "probe", "probe")
    for name in ("later", "probe"):
        record = type(record)(name, {"path": f"/data/new_{name}"}, record.provenance)
        context.put("main", record)
        checkpoint.append(context, "main", record)
    jobs = read_run(run).jobs
    assert [job.name for job in jobs] == ["probe", "probe_after", "train", "score", "later"]
    assert jobs[0].outputs == {"path": "/data/new_probe"}
    assert jobs[0].job["status"] == "done"
