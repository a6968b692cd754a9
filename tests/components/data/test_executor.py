from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.executor import DataJuicerExecutor
from data_juicer_sandbox.components.data.isolation import NotInstalled
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import JobError


def last(quiet: NullJob) -> dict[str, Any]:
    return quiet.values[-1][1]


def test_result_is_that_of_py_data_juicer(
    dataset: str, process: list[Any], job: JobRun, quiet: NullJob, tmp_path: Path, plain: Path, recorder: Any
) -> None:
    recipe = {"dataset_path": dataset, "process": process, "np": 2}
    watched = dataclasses.replace(job, progress=recorder)
    path = DataJuicerExecutor({**recipe, "export_path": str(tmp_path / "out/kept.jsonl")}).run(watched)
    assert path == str(tmp_path / "out/kept.jsonl")
    assert (tmp_path / "out/kept.jsonl").read_bytes() == (plain / "kept.jsonl").read_bytes()
    stats = zip(read_rows(tmp_path / "out/kept_stats.jsonl"), read_rows(plain / "kept_stats.jsonl"), strict=True)
    for ours, theirs in stats:  # py-data-juicer cuts floats after ten decimals
        assert ours["__dj__stats__"] == pytest.approx(theirs["__dj__stats__"], abs=1e-10)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["kept.jsonl", "kept_stats.jsonl"]
    kept = list(read_rows(path))
    assert 0 < len(kept) < 120
    assert all(len(row["text"]) >= 40 for row in kept)
    values = last(quiet)
    assert (values["rows_in"], values["rows_out"]) == (120, len(kept))
    assert values["kept_ratio"] == pytest.approx(len(kept) / 120)
    assert values["seconds"] > 0
    assert {"text_length_filter", "words_num_filter", "special_characters_filter"} <= {
        name for name, _ in recorder.tasks
    }
    assert recorder.done["words_num_filter"] > 0


def test_where_things_lie_and_twice_the_same(dataset: str, process: list[Any], job: JobRun) -> None:
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    before = sorted(cache.rglob("*")) if cache.exists() else []
    executor = DataJuicerExecutor({"dataset_path": dataset, "process": process[:1], "np": 2})
    path = executor.run(job)
    assert path == str(job.folder / "processed.jsonl")
    first = Path(path).read_bytes()
    assert Path(executor.run(job)).read_bytes() == first
    assert Path(datasets.config.HF_DATASETS_CACHE) == cache
    assert (sorted(cache.rglob("*")) if cache.exists() else []) == before
    assert sorted(file.name for file in job.folder.iterdir()) == [
        "data_juicer",
        "processed.jsonl",
        "processed_stats.jsonl",
    ]
    assert not {"cache", "tmp"} & {file.name for file in (job.folder / "data_juicer").iterdir()}


def test_the_command_line_and_the_environment_do_not_reach_data_juicer(
    dataset: str, process: list[Any], job: JobRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/dj-sandbox", "--config", "sandbox.yaml", "--np", "7"])
    for name, value in {"RESUME": "true", "EXPORT_TYPE": "parquet", "TEXT_KEYS": "nothing", "CONFIG": "/none"}.items():
        monkeypatch.setenv(f"DJ_SANDBOX_{name}", value)
    monkeypatch.setenv("RAY_JOB", "1")
    path = DataJuicerExecutor({"dataset_path": dataset, "process": process[:1], "np": 1}).run(job)
    assert all(row["text"] for row in read_rows(path))


def test_rows_without_text_are_counted(jsonl: Callable[..., str], job: JobRun, quiet: NullJob) -> None:
    rows = [{"text": None if number % 4 == 0 else "word " * number} for number in range(40)]
    messages: list[str] = []
    sink = logger.add(messages.append, level="WARNING", format="{message}")
    DataJuicerExecutor({"dataset_path": jsonl("null.jsonl", rows), "process": [], "np": 1}).run(job)
    logger.remove(sink)
    assert (last(quiet)["rows_in"], last(quiet)["rows_out"]) == (40, 30)
    assert any("10 of 40 rows have no text" in message for message in messages)


def test_nothing_left_is_a_result_with_a_warning(dataset: str, job: JobRun, quiet: NullJob) -> None:
    messages: list[str] = []
    sink = logger.add(messages.append, level="WARNING", format="{message}")
    process = [{"text_length_filter": {"min_len": 10**6}}, {"words_num_filter": {}}]
    path = DataJuicerExecutor({"dataset_path": dataset, "process": process, "np": 1}).run(job)
    logger.remove(sink)
    assert Path(path).read_bytes() == b""
    assert last(quiet)["rows_out"] == 0
    assert last(quiet)["kept_ratio"] == 0.0
    assert any("the recipe filters out all 120 rows" in message for message in messages)


def test_an_op_that_fails_leaves_what_was_there(dataset: str, job: JobRun, tmp_path: Path) -> None:
    final = tmp_path / "out/kept.jsonl"
    final.parent.mkdir()
    final.write_text("earlier\n")
    failing = [{"python_lambda_mapper": {"lambda_str": "lambda row: row['nothing']"}}]
    with pytest.raises(JobError, match="nothing") as raised:
        DataJuicerExecutor({"dataset_path": dataset, "process": failing, "export_path": str(final), "np": 1}).run(job)
    assert raised.value.hint
    assert "skip_op_error" in raised.value.hint
    assert [file.name for file in final.parent.iterdir()] == ["kept.jsonl"]
    assert final.read_text() == "earlier\n"


def test_op_errors_are_skipped_only_on_request(dataset: str, job: JobRun, quiet: NullJob) -> None:
    failing = [{"python_lambda_mapper": {"lambda_str": "lambda row: {**row, 'x': 1 // (row['meta']['id'] % 2)}"}}]
    recipe = {"dataset_path": dataset, "process": failing, "np": 1}
    with pytest.raises(JobError, match="ZeroDivisionError"):
        DataJuicerExecutor(recipe).run(job)
    DataJuicerExecutor({**recipe, "skip_op_error": True}).run(job)
    assert last(quiet)["rows_out"] == 60


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"dataset_path": "missing.jsonl"}, "no data set at missing.jsonl"),
        ({"dataset_path": ["{dataset}", "gone.jsonl"]}, "no data set at gone.jsonl"),
        ({"dataset": {"configs": [{"type": "local", "path": "no/such.jsonl"}]}}, "no data set at no/such.jsonl"),
        ({}, "has no data set"),
        ({"dataset_path": "{dataset}", "np": 0}, "does not accept the recipe"),
        ({"dataset_path": "{dataset}", "process": [{"no_such_filter": {}}]}, "no_such_filter"),
        ({"dataset_path": "{dataset}", "text_keys": "body"}, "body"),
    ],
)
def test_what_the_user_can_mend(recipe: dict[str, Any], said: str, dataset: str, job: JobRun) -> None:
    filled = json.loads(json.dumps(recipe).replace("{dataset}", dataset))
    with pytest.raises(JobError, match=said):
        DataJuicerExecutor(filled).run(job)


def test_a_missing_package_is_named_not_installed(dataset: str, job: JobRun) -> None:
    recipe = {"dataset_path": dataset, "process": [{"python_lambda_mapper": {}}], "np": 1}
    from data_juicer_sandbox.components.data.dj_runtime import dj_runtime

    with dj_runtime(job):
        from data_juicer.utils.lazy_loader import LazyLoader

        with pytest.raises(NotInstalled, match="no_such_package") as raised:
            LazyLoader("no_such_package").anything  # noqa: B018
        assert raised.value.hint == "pip install 'no_such_package'"
        LazyLoader.check_packages(["py-data-juicer", "PyYAML>=1"])  # there, though no module is called so
        with pytest.raises(NotInstalled, match="another-one"):
            LazyLoader.check_packages(["another-one @ git+https://example.org/another-one.git"])
    assert DataJuicerExecutor(recipe).run(job)


def test_several_data_sets_and_blanks_in_a_path(jsonl: Callable[..., str], process: list[Any], job: JobRun) -> None:
    paths = [jsonl("a b.jsonl", [{"text": "one " * 20}]), jsonl("c'd.jsonl", [{"text": "two " * 20}])]
    both = DataJuicerExecutor({"dataset_path": paths, "process": process[:1], "np": 1}).run(job)
    assert [row["text"].split()[0] for row in read_rows(both)] == ["one", "two"]
    one = DataJuicerExecutor({"dataset_path": paths[0], "process": process[:1], "np": 1}).run(job)
    assert [row["text"].split()[0] for row in read_rows(one)] == ["one"]


def test_shards_are_all_named(dataset: str, job: JobRun, tmp_path: Path) -> None:
    recipe = {"dataset_path": dataset, "process": [], "np": 2, "export_shard_size": 4000, "use_cache": False}
    paths = DataJuicerExecutor({**recipe, "export_path": str(tmp_path / "s/all.jsonl")}).run(job)
    assert isinstance(paths, list)
    assert len(paths) > 1
    assert [row["meta"]["id"] for path in paths for row in read_rows(path)] == list(range(120))


def test_sample(dataset: str, job: JobRun) -> None:
    recipe = {"dataset_path": dataset, "data_probe_ratio": 0.1, "np": 1, "process": [{"text_length_filter": {}}]}
    path = DataJuicerExecutor(recipe).sample(job)
    first = Path(path).read_bytes()
    assert len(list(read_rows(path))) == 12
    assert Path(DataJuicerExecutor(recipe).sample(job)).read_bytes() == first
    top = {**recipe, "data_probe_algo": "topk_specified_field_selector"}
    with pytest.raises(JobError, match=r"data_probe_algo: topk.* needs a field.*in extra_configs: .*frequency_key"):
        DataJuicerExecutor(top).sample(job)
    rows = read_rows(DataJuicerExecutor(top, sample_params={"field_key": "meta.score", "topk": 7}).sample(job))
    assert {row["meta"]["score"] for row in rows} == {16}


@pytest.mark.slow
def test_on_ray(dataset: str, process: list[Any], job: JobRun, quiet: NullJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    recipe = {"dataset_path": dataset, "process": process, "np": 2}
    local = DataJuicerExecutor({**recipe, "export_path": str(job.folder / "here.jsonl")}).run(job)
    kept = last(quiet)["rows_out"]
    remote = {"executor_type": "ray", "ray_address": "local", "export_path": str(job.folder / "ray.jsonl")}
    folder = DataJuicerExecutor({**recipe, **remote}).run(job)
    assert (last(quiet)["rows_in"], last(quiet)["rows_out"]) == (120, kept)
    assert isinstance(folder, str)
    assert isinstance(local, str)
    rows = [row for file in sorted(Path(folder).glob("[!.]*")) for row in read_rows(file)]
    assert sorted(row["meta"]["id"] for row in rows) == [row["meta"]["id"] for row in read_rows(local)]
    assert DataJuicerExecutor({**recipe, **remote}).run(job) == folder  # it replaces what it wrote itself
    (Path(folder) / "mine.txt").write_text("mine")
    with pytest.raises(JobError, match=r"contains files that this job did not write: mine.txt"):
        DataJuicerExecutor({**recipe, **remote}).run(job)
    assert (Path(folder) / "mine.txt").read_text() == "mine"
    assert DataJuicerExecutor(recipe).run(job)  # and one that is not on Ray goes on as ever
