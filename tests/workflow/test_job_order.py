"""The order of jobs side by side: who waits for whom."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_juicer_sandbox.config.schema import Job, Phase
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance, Trace
from data_juicer_sandbox.workflow.job_order import JobOrder, job_order
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob, plan_job


def order_of(*jobs: PlannedJob, context: ContextInfos | None = None, variables=None) -> JobOrder:
    return job_order(jobs, context or ContextInfos(), PathRelocator(Path("out")), variables or {})


def waits(*jobs: PlannedJob, **keys) -> dict[str, set[str]]:
    """For each job that waits: the names of those it waits for."""
    order = order_of(*jobs, **keys)
    assert all(order.reads[job] <= order.waits[job] for job in order.waits)
    return {name_of(job): set(map(name_of, others)) for job, others in order.waits.items() if others}


def reads(*jobs: PlannedJob, **keys) -> dict[str, set[str]]:
    return {name_of(job): set(map(name_of, others)) for job, others in order_of(*jobs, **keys).reads.items() if others}


def name_of(job_id: str) -> str:
    return job_id.split("/")[2]


def hook_job(name: str, hook: str, phase: Phase = Phase.EXECUTION, **keys) -> PlannedJob:
    job = Job("p", phase, 1, hook, name, True, **keys)
    planned_job = plan_job(job, {})
    assert planned_job.problems == []
    return planned_job


def program(name: str, *argv: str, **keys) -> PlannedJob:
    extra = {"type": "command", "argv": ["python", *argv], "result": f"models/{name}", **keys}
    return hook_job(name, "TrainModelHook", extra_configs=extra)


def processing(name: str, recipe, **keys) -> PlannedJob:
    return hook_job(name, "ProcessDataHook", dj_configs=recipe, **keys)


def recipe(export: str, dataset: str = "raw.jsonl") -> dict:
    return {"dataset_path": dataset, "export_path": export, "process": [{"text_length_filter": {"min_len": 2}}]}


def test_a_job_waits_for_those_it_reads_from(plan):
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    other = plan("other", "MakeRows", export_path="b.jsonl")
    scale = plan("scale", "ScaleRows", input={"extra_configs.dataset_path": "rows.path"}, export_path="c.jsonl")
    last = plan("last", "ScaleRows", input={"extra_configs.dataset_path": "-1.path"}, export_path="d.jsonl")
    by_file = plan("by_file", "ScaleRows", dataset_path="./x/../b.jsonl", export_path="e.jsonl")
    expected = {"scale": {"rows"}, "last": {"scale"}, "by_file": {"other"}}
    assert waits(rows, other, scale, last, by_file) == expected
    assert reads(rows, other, scale, last, by_file) == expected


def test_a_writer_waits_for_earlier_readers_and_writers_of_its_path(plan):
    Path("a.jsonl").touch()
    reader = plan("reader", "ScaleRows", dataset_path="a.jsonl", export_path="b.jsonl")
    writer = plan("writer", "MakeRows", export_path="a.jsonl")
    again = plan("again", "MakeRows", export_path="a.jsonl")
    assert waits(reader, writer, again) == {"writer": {"reader"}, "again": {"reader", "writer"}}
    assert reads(reader, writer, again) == {}


def test_folders_contain_paths_both_ways(plan):
    folder = plan("folder", "MakeRows", export_path="data")
    inside = plan("inside", "MakeRows", export_path="data/sub/a.jsonl")
    around = plan("around", "ScaleRows", dataset_path="data/sub", export_path="b.jsonl")
    beside = plan("beside", "MakeRows", export_path="data_2/a.jsonl")
    assert waits(folder, inside, around, beside) == {"inside": {"folder"}, "around": {"folder", "inside"}}


def test_a_pattern_reads_from_its_folder(plan):
    pool = plan("pool", "MakeRows", export_path="pools/a.jsonl")
    other = plan("other", "MakeRows", export_path="other/a.jsonl")
    merge = plan("merge", "ScaleRows", dataset_path="pools/*.jsonl", export_path="m.jsonl")
    assert waits(pool, other, merge) == {"merge": {"pool"}}


def test_a_link_is_the_path_that_it_names(plan):
    Path("real").mkdir()
    Path("link").symlink_to("real")
    rows = plan("rows", "MakeRows", export_path="real/a.jsonl")
    scale = plan("scale", "ScaleRows", dataset_path="link/a.jsonl", export_path="b.jsonl")
    assert waits(rows, scale) == {"scale": {"rows"}}


def test_a_file_beside_an_output(plan):
    for name in ("pool_1", "pool_10"):
        Path(f"{name}.jsonl").touch()
    one = plan("one", "MakeRows", export_path="pool_1.jsonl")
    ten = plan("ten", "MakeRows", export_path="pool_10.jsonl")
    stats = plan("stats", "ScaleRows", dataset_path="pool_1_stats.jsonl", export_path="s.jsonl")
    exact = plan("exact", "ScaleRows", dataset_path="pool_10.jsonl", export_path="t.jsonl")
    rewrite = plan("rewrite", "MakeRows", export_path="pool_1.parquet")
    assert waits(one, ten, stats, exact) == {"stats": {"one"}, "exact": {"ten"}}
    assert waits(stats, rewrite) == {"rewrite": {"stats"}}


def test_what_local_and_input_set_counts_not_what_they_replace(plan):
    shared = recipe("shared.jsonl")
    first = processing("first", shared, local={"dj_configs.export_path": "1.jsonl"})
    second = processing("second", shared, local={"dj_configs.export_path": "2.jsonl"})
    third = processing(
        "third", shared, local={"dj_configs.dataset_path": "2.jsonl", "dj_configs.export_path": "3.jsonl"}
    )
    assert waits(first, second, third) == {"third": {"second"}}
    assert waits(processing("a", shared), processing("b", shared)) == {"b": {"a"}}
    Path("in.jsonl").touch()
    unknown = plan("unknown", "MakeRows", export_path="in.jsonl", input={"extra_configs.export_path": "first.res_1"})
    reader = plan("reader", "ScaleRows", dataset_path="absent.jsonl", export_path="z.jsonl")
    assert waits(first, unknown, reader) == {"unknown": {"first"}, "reader": {"unknown"}}


def test_a_probe_does_not_write_the_export(plan):
    probes = [hook_job(name, "ProbeViaAnalyzerHook", Phase.PROBE, dj_configs=recipe("a.jsonl")) for name in ("x", "y")]
    analyzed = plan("analyzed", "ScaleRows", dataset_path="a_y_analyzed.jsonl", export_path="b.jsonl")
    assert waits(*probes) == {}
    assert waits(*probes, analyzed)["analyzed"] == {"x", "y"}


def test_a_refiner_waits_for_its_probe_and_passes_on_the_paths_of_its_recipe(plan):
    def variant(number: int) -> list[PlannedJob]:
        paths = recipe(f"{number}.jsonl", dataset="raw.jsonl")
        name = f"v{number}"
        refined = {"path_k_sigma_recipe": f"out/{number}.yaml"}
        return [
            hook_job(name, "ProbeViaAnalyzerHook", Phase.PROBE, dj_configs=paths),
            hook_job(name, "RefineRecipeViaKSigmaHook", Phase.REFINE, dj_configs=paths, extra_configs=refined),
            processing(f"by_key_{number}", None, input={"dj_configs": f"{name}.refined_recipe_path"}),
            processing(f"by_file_{number}", f"out/{number}.yaml", local={"dj_configs.export_path": f"f{number}.jsonl"}),
        ]

    first, second = variant(1), variant(2)
    reader = plan("reader", "ScaleRows", dataset_path="2.jsonl", export_path="z.jsonl")
    order = order_of(*first, *second, reader).waits
    for jobs in (first, second):
        probe, refiner, by_key, by_file = (job.job.id for job in jobs)
        assert order[probe] == set()
        assert order[refiner] == {probe}
        assert order[by_key] == {probe, refiner}
        assert order[by_file] == {refiner}
    assert order[reader.job.id] == {second[0].job.id, second[2].job.id}  # the graph counts a probe's `export_path`


def test_a_refiner_uses_the_probe_of_another_pipeline(plan):
    probe = hook_job("v", "ProbeViaAnalyzerHook", Phase.PROBE, dj_configs=recipe("a.jsonl"))
    job = Job("q", Phase.REFINE, 1, "RefineRecipeViaKSigmaHook", "v", True, dj_configs=recipe("b.jsonl"))
    refiner = plan_job(job, {})
    assert order_of(probe, refiner).waits[job.id] == {probe.job.id}


def test_programs_may_read_and_write_their_arguments(plan):
    for name in ("train.py", "data.jsonl"):
        Path(name).touch()
    first = program("first", "train.py", "--out=models/first")
    second = program("second", "train.py", "--save", "models/second")
    assert waits(first, second) == {}
    make = program("make", "-c", "open('made.bin', 'w')")
    use = program("use", "train.py", "--data=./made.bin")
    assert waits(make, use) == {"use": {"make"}}
    assert reads(make, use) == {"use": {"make"}}
    written = program("written", "m.py", writes=["a.bin", "b/c"])
    assert waits(written, program("d", "t.py", "./b", writes=[]), program("e", "t.py", "z", writes=[])) == {
        "d": {"written"}
    }
    shared = [program(name, "train.py", "data.jsonl") for name in ("s", "t")]
    assert waits(*shared) == {"t": {"s"}}
    declared = [program(name, "train.py", "data.jsonl", reads="data.jsonl") for name in ("s", "t")]
    assert waits(*declared) == {}
    complete = [program(name, "train.py", "data.jsonl", "HuggingFaceTB/SmolLM2", writes=[]) for name in ("s", "t")]
    assert waits(*complete) == {}


def test_a_path_that_does_not_exist_may_come_from_any_program(plan):
    Path("there.jsonl").touch()
    Path("out").mkdir()
    Path("out/old.jsonl").touch()
    make, rows = program("make", "m.py", "-x"), plan("rows", "MakeRows", export_path="rows.jsonl")
    readers = {
        "absent": "absent.jsonl",
        "pattern": "none/*.jsonl",
        "in_work_dir": "out/old.jsonl",
        "there": "there.jsonl",
        "declared": "rows.jsonl",
        "folder_of_a_job": "out/jobs/p/rows/x.jsonl",
    }
    jobs = [plan(name, "ScaleRows", dataset_path=path, export_path=f"x/{name}.jsonl") for name, path in readers.items()]
    assert waits(make, rows, *jobs) == {
        "absent": {"make"},
        "pattern": {"make"},
        "in_work_dir": {"make"},
        "declared": {"rows"},
        "folder_of_a_job": {"rows"},
    }
    assert reads(make, rows, *jobs) == {"declared": {"rows"}, "folder_of_a_job": {"rows"}}  # no sign of `make`


def test_a_config_file_that_an_earlier_job_writes(plan):
    make = program("make", "m.py", "x/made.yaml")
    use = processing("use", "x/made.yaml")
    hidden = program("hidden", "m.py")
    assert waits(make, use) == {"use": {"make"}}
    assert waits(hidden, use) == {"use": {"hidden"}}


def test_a_plugin_without_outputs_may_write_what_it_names_and_query_jobs(plan):
    writer = plan("writer", "PlainWriter", target="x/y", text="a")
    other = plan("other", "PlainWriter", target="x/z", text="a")
    reader = plan("reader", "NeedsFile", path="x/y")
    asks = plan("asks", "Ask", job="other")
    assert waits(writer, other, reader) == {"other": {"writer"}, "reader": {"writer", "other"}}
    assert waits(other, asks) == {"asks": {"other"}}
    Path("x").mkdir()
    for name in "yz":
        Path("x", name).touch()
    assert waits(writer, other, reader) == {"reader": {"writer"}}  # what exists needs no writer


def test_a_file_that_only_a_record_names(plan):
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    scale = plan("scale", "ScaleRows", dataset_path="side", export_path="b.jsonl")
    context = ContextInfos()
    trace = Trace(outputs={"side": ("1", "2")})
    context.put("p", JobRecord("rows", {}, Provenance(phase="execution", status="done", trace=trace)))
    assert waits(rows, scale) == {}
    assert waits(rows, scale, context=context) == {"scale": {"rows"}}


@pytest.mark.parametrize("content", ["dataset_path: ${raw}\nexport_path: e.jsonl\n", "- a list\n"])
def test_a_recipe_that_local_names_is_read_and_one_that_cannot_be_read_stops_all(plan, content):
    Path("recipe.yaml").write_text(content)
    rows = plan("rows", "MakeRows", export_path="a.jsonl")
    other = plan("other", "MakeRows", export_path="b.jsonl")
    process = processing("process", None, local={"dj_configs": "recipe.yaml"})
    reader = plan("reader", "ScaleRows", dataset_path="e.jsonl", export_path="z.jsonl")
    order = waits(rows, other, process, reader, variables={"raw": "a.jsonl"})
    assert order["reader"] == {"process"}
    assert order["process"] == ({"rows"} if "raw" in content else {"rows", "other"})


def test_the_order_of_two_thousand_jobs_takes_no_quadratic_time(plan):
    jobs = []
    for number in range(1000):
        jobs.append(plan(f"make_{number}", "MakeRows", export_path=f"out/data/{number}.jsonl"))
        jobs.append(
            plan(
                f"use_{number}",
                "ScaleRows",
                dataset_path=f"out/data/{number}.jsonl",
                export_path=f"out/b/{number}.jsonl",
            )
        )
    started = time.process_time()
    order = order_of(*jobs)
    seconds = time.process_time() - started
    assert [len(order.waits[job.job.id]) for job in jobs] == [0, 1] * 1000
    assert seconds < 5  # 0.4 s on an idle core; a comparison of all pairs of paths takes longer than this


PATHS = ("d", "d/a", "d/a/x", "d/b", "e", "e/a.jsonl", "f.jsonl")


def simulated(jobs: list[tuple[str, str, str]], sequence: list[int]) -> dict[str, str]:
    """What lies at each path after jobs (name, path read, path written) have run in a sequence."""
    content: dict[str, str] = {}
    for position in sequence:
        name, source, target = jobs[position]
        seen = sorted(item for item in content.items() if overlaps(item[0], source))
        for path in [path for path in content if path.startswith(f"{target}/")]:
            del content[path]  # a folder is replaced as a whole
        content[target] = f"{name} of {seen}"
        content[f"job {name}"] = str(seen)
    return content


def overlaps(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")


@given(
    st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)), max_size=8), st.randoms(use_true_random=False)
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_sequence_that_keeps_the_order_gives_the_same_files(plan, pairs, random):
    jobs = [(f"j{number}", source, target) for number, (source, target) in enumerate(pairs)]
    planned_jobs = [plan(name, "ScaleRows", dataset_path=source, export_path=target) for name, source, target in jobs]
    ids = [planned_job.job.id for planned_job in planned_jobs]
    order = order_of(*planned_jobs).waits
    sequence: list[int] = []
    while len(sequence) < len(jobs):
        ended = {ids[position] for position in sequence}
        ready = [position for position, job in enumerate(ids) if job not in ended and order[job] <= ended]
        sequence.append(random.choice(ready))
    assert simulated(jobs, sequence) == simulated(jobs, list(range(len(jobs))))
