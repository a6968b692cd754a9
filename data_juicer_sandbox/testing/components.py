"""`check_component`: runs a component and checks that it keeps to what a run of the sandbox relies on."""

from __future__ import annotations

import copy
import os
import pickle
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import yaml

from data_juicer_sandbox.components.base import Component, FanOut, Role, Written
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.context.tagged_values import encode
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.signatures import build, check, parameters
from data_juicer_sandbox.testing.class_checks import (
    class_checks,
    light_constructor,
    undeclared_metrics,
    undeclared_numbers,
)
from data_juicer_sandbox.testing.observation import Bench, Observation, is_below, unfinished_tasks
from data_juicer_sandbox.testing.reporting import Check, describe, report
from data_juicer_sandbox.testing.resuming import declared_inputs, lets_interruptions_through, resumes


def check_component(
    cls: type[Component],
    values: Mapping[str, object],
    *,
    folder: Path | str,
    deterministic: bool = True,
    hook: str = "GeneralProbeHook",
    metrics: Mapping[str, Mapping[str, object]] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Check a component: its class, its constructor, and several runs of it.

    The component runs about five times, each time in a new copy of `folder`, which is itself not changed. Choose small
    inputs, and put nothing else into the folder.

    Args:
        cls: the class.
        values: its parameters, as `extra_configs` would hold them (a recipe as `dj_configs`). Paths are relative to
            `folder`, or lie in it.
        folder: the folder with the inputs.
        deterministic: whether two runs with the same values write and return the same.
        hook: the hook of the job that is resumed.
        metrics: what `job.watcher.query` returns, by the name of the job.
        skip: names of checks that are not run.

    Raises:
        AssertionError: a check failed; lists all that did.
    """
    with tempfile.TemporaryDirectory(prefix="dj_sandbox_", ignore_cleanup_errors=True) as temporary:
        bench = Bench(cls, values, Path(folder), Path(temporary), metrics or {})
        name = f"{cls.__module__}.{cls.__qualname__}"
        report(name, component_checks(bench, deterministic, hook), skip)


def component_checks(bench: Bench, deterministic: bool, hook: str) -> dict[str, Check]:
    """All checks by name, in the order in which they are run."""
    checks = class_checks(bench.cls, bench.values, bench.source)
    checks["light_constructor"] = lambda: light_constructor(bench.cls, bench.values, bench.renew())
    checks["portable_values"] = lambda: portable_values(bench)
    checks["runs"] = lambda: runs(bench)
    of_run: dict[str, Check] = {
        "declared_results": lambda: declared_results(bench),
        "declared_metrics": lambda: declared_metrics(bench),
        "paths_with_roles": lambda: paths_with_roles(bench),
        "declared_files": lambda: declared_files(bench),
        "claimed_files": lambda: claimed_files(bench),
        "unchanged_inputs": lambda: unchanged_inputs(bench),
        "closed_progress": lambda: closed_progress(bench),
        "repeatable": lambda: repeatable(bench, deterministic),
        "divisible": lambda: divisible(bench, deterministic),
        "interruptible": lambda: lets_interruptions_through(bench, deterministic),
        "resumable": lambda: resumes(bench, hook),
    }
    return {**checks, **{name: _after_run(bench, check) for name, check in of_run.items()}}


def _after_run(bench: Bench, checked: Check) -> Check:
    """A check that has nothing to look at if the run failed, which `runs` reports."""

    def run() -> Iterator[str]:
        if _makes(bench) and bench.first().error is None:
            yield from checked()

    return run


def _makes(bench: Bench) -> bool:
    return not check(bench.cls, bench.values)


def portable_values(bench: Bench) -> Iterator[str]:
    """The values fit, and the component is the same after they went through YAML and pickle; they are not changed."""
    if problems := check(bench.cls, bench.values):
        yield from (problem.what for problem in problems)
        return
    passed_values = copy.deepcopy(bench.values)
    with bench.fresh():
        attributes = _attributes(bench, bench.values)  # the values themselves, to see whether they are changed
        if bench.values != passed_values:
            yield "the constructor changes a value that is passed to it; copy the value first"
            bench.values = copy.deepcopy(passed_values)
        for medium, values in (
            ("YAML", yaml.safe_load(yaml.safe_dump(passed_values))),
            ("pickle", pickle.loads(pickle.dumps(passed_values))),  # noqa: S301  # of this line
        ):
            for name, value in _attributes(bench, values).items():
                if value != attributes.get(name):
                    yield f"the attribute {name!r} differs after its value went through {medium}"


def _attributes(bench: Bench, values: Mapping[str, object]) -> dict[str, object]:
    """The attributes that are named as a parameter, as far as they are plain."""
    built = vars(build(bench.cls, values))
    plain = (str, int, bool, list, dict, type(None))
    return {
        name: copy.deepcopy(value)
        for name, value in built.items()
        if name in parameters(bench.cls)[0] and isinstance(value, plain)
    }


def runs(bench: Bench) -> Iterator[str]:
    """`run` ends without an error."""
    if not _makes(bench):
        return
    error = bench.first().error
    if error is not None:
        yield f"it raises {describe(error)}"


def declared_results(bench: Bench) -> Iterator[str]:
    """`run` returns as many values as `outputs` names, and the checkpoint can keep each."""
    result = bench.first().result
    results = result if isinstance(result, tuple) else (result,)
    names = bench.cls.outputs
    if names is not None and len(names) != len(results):
        yield f"`run` returns {len(results)} value(s), and `outputs` names {len(names)}: {', '.join(names)}"
    for index, value in enumerate(results):
        name = names[index] if names is not None and index < len(names) else f"res_{index + 1}"
        try:
            encode(to_plain(value, name), name)
        except SandboxError as error:
            yield f"{error.what}; return plain Python, NumPy or pandas objects"
        except Exception as error:
            yield f"the checkpoint cannot keep {name}: {error}"


def declared_metrics(bench: Bench) -> Iterator[str]:
    """`metrics` declares what the component reports, and `numbers` the numbers in its outputs, if they are set."""
    first = bench.first()
    yield from undeclared_metrics(bench.cls, bench.values, first.events.metrics)
    yield from undeclared_numbers(bench.cls, first.result)


def paths_with_roles(bench: Bench) -> Iterator[str]:
    """Every parameter that names a file or folder of the inputs says that it is a path."""
    declared = parameters(bench.cls)[0]
    for name, value in bench.values.items():
        if name not in declared or declared[name].role is not None or not isinstance(value, str) or not value:
            continue
        if "\0" not in value and len(value) < 1000 and (bench.source / value).exists():
            yield (
                f"{name!r} is the path of an input, and its type does not say so: neither the plan nor the protection"
                " of inputs knows it; use InputPath or Model"
            )


def declared_files(bench: Bench) -> Iterator[str]:
    """Files are written only where the parameters declare outputs, and in the job's folder."""
    outputs = [path for _, path, _ in bench.declared(Role.OUTPUT)]
    for name in bench.first().written:
        if not bench.in_job_folder(name) and not any(_belongs(bench.project / name, path, bench) for path in outputs):
            yield f"{name} is written, and no parameter declares it; write it into `job.folder`, or use OutputPath"


def _belongs(path: Path, output: str, bench: Bench) -> bool:
    """Whether a file is a declared output, lies in it, or is a sibling with its stem, as `<stem>_stats.jsonl`."""
    declared = bench.project / output
    sibling = bool(declared.suffix) and path.parent == declared.parent and path.name.startswith(declared.stem)
    return sibling or is_below(path, declared)


def claimed_files(bench: Bench) -> Iterator[str]:
    """Outputs are written through `files.replacing`, or announced by `files.claim`; those of programs are exempt."""
    first = bench.first()
    programs = [path for _, path, written in bench.declared(Role.OUTPUT) if written is Written.BY_PROGRAM]
    for name in first.written:
        path = bench.project / name
        if bench.in_job_folder(name) or any(is_below(path, bench.project / output) for output in programs):
            continue
        if not any(is_below(path, bench.project / claimed) for claimed in first.events.claims):
            yield f"{name} is written without `files.replacing` or `files.claim`"


def unchanged_inputs(bench: Bench) -> Iterator[str]:
    """What was there before the run is there unchanged after it."""
    first = bench.first()
    for name, digest in first.before.items():
        if name not in first.after:
            yield f"{name} is removed"
        elif first.after[name] != digest:
            yield f"{name} is changed"
    for path in declared_inputs(bench):
        if path.is_absolute() and not path.exists():
            yield f"{path} is removed"


def closed_progress(bench: Bench) -> Iterator[str]:
    """Progress tasks are closed, and never go beyond their total."""
    events = bench.first().events
    yield from events.problems
    for description in unfinished_tasks(events.tasks):
        yield f"the task {description!r} is not closed; use `with job.progress.task(...)`"


def repeatable(bench: Bench, deterministic: bool) -> Iterator[str]:
    """A second run leaves nothing in the process, and gives the same if the component is deterministic.

    The state of the process is compared in the second run, since the first one imports libraries that change it.
    """
    first = bench.first()
    with bench.fresh():
        second = bench.observe(seed=1)
    if second.error is not None:
        yield f"a second run raises {describe(second.error)}"
        return
    yield from second.state_changes
    if deterministic:
        yield from _differences(bench, first, second, "a second run with the same values")


def divisible(bench: Bench, deterministic: bool) -> Iterator[str]:
    """A component of the type `FanOut` gives the same by its items, as in a parallel run, as by `run`."""
    if not issubclass(bench.cls, FanOut):
        return
    with bench.fresh():
        divided = bench.observe(by_items=True)
    if divided.error is not None:
        yield f"a run by items raises {describe(divided.error)}"
    elif deterministic:
        yield from _differences(bench, bench.first(), divided, "a run by items")


def _differences(bench: Bench, first: Observation, second: Observation, what: str) -> Iterator[str]:
    """How the files and results of two runs differ."""
    results = {os.path.normpath(text) for text in texts(_as_list(first.result)) if "\0" not in text}
    for name in sorted({*first.written, *second.written}):
        if bench.in_job_folder(name) and not any(is_below(bench.project / name, bench.project / r) for r in results):
            continue  # the job's own records, such as those of its progress
        if first.after.get(name) != second.after.get(name):
            yield f"{what} writes another {name}"
    if _encoded(first.result) != _encoded(second.result):
        yield f"{what} returns another result"


def _as_list(result: object) -> object:
    return list(result) if isinstance(result, tuple) else result


def _encoded(result: object) -> bytes | None:
    """A result in a form that can be compared; None if the checkpoint cannot keep it, which another check reports."""
    try:
        results = result if isinstance(result, tuple) else (result,)
        return pickle.dumps([encode(to_plain(value, "result"), "result") for value in results])
    except Exception:
        return None
