"""The context infos: iterations > pipelines > job records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_juicer_sandbox.context.key_paths import get_path
from data_juicer_sandbox.errors import ResolveError

BOOKKEEPING = "__job__"
_LATEST = 1e12
"""Seconds since the epoch, far beyond any date: no time or duration of a job is as large, infinite or NaN."""


@dataclass
class JobRecord:
    """What one job left.

    Args:
        meta_name: its name.
        outputs: its results by name, in order.
        job: what is needed to judge it again: hook, phase, status (`done`, `failed`), started and ended (seconds
            since the epoch), seconds, and `trace` (config, inputs and outputs as digests).
    """

    meta_name: str
    outputs: dict[str, Any]
    job: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> tuple[str, str]:
        """Phase and name: what tells it from the other records of its pipeline."""
        return str(self.job.get("phase")), self.meta_name

    @property
    def done(self) -> bool:
        """Whether the job ended well."""
        return self.job.get("status") == "done"

    def plain(self) -> dict[str, Any]:
        """The record in the guide's shape, the bookkeeping under one key beside the outputs."""
        return {"meta_name": self.meta_name, **self.outputs, BOOKKEEPING: self.job}


Records = dict[str, dict[tuple[str, str], JobRecord]]
"""One iteration: pipeline -> (phase, name) -> record, in order."""


class ContextInfos:
    """All records of a run, in the order the jobs finished.

    `context["pipeline.job.output"]` looks a value up, deeper parts by further dots, in the latest iteration that
    has it.
    """

    def __init__(self, iterations: list[Records] | None = None):
        self.iterations: list[Records] = iterations if iterations is not None else [{}]
        self._at = len(self.iterations) - 1

    def turn_to(self, number: int) -> None:
        """Make an iteration the current one, from 0; a new one has no records."""
        self.iterations += [{} for _ in range(number + 1 - len(self.iterations))]
        self._at = number

    def end_with(self, number: int) -> None:
        """Forget the iterations behind this one."""
        del self.iterations[number + 1 :]
        self.turn_to(number)

    @property
    def current(self) -> Records:
        """The records of the iteration that is running, by pipeline, then by phase and name."""
        return self.iterations[self._at]

    def records(self) -> Iterator[tuple[str, JobRecord]]:
        """Pipeline and record of every job of the current iteration."""
        for pipeline, records in self.current.items():
            for record in records.values():
                yield pipeline, record

    def find(self, pipeline: str, phase: str, meta_name: str) -> JobRecord | None:
        """The record of one job in the current iteration."""
        return self.current.get(pipeline, {}).get((phase, meta_name))

    def put(self, pipeline: str, record: JobRecord) -> None:
        """Add a record; the one it supersedes goes."""
        self.current.setdefault(pipeline, {})[record.id] = record

    def drop(self, pipeline: str, phase: str, meta_name: str) -> None:
        """Forget a job that will run again."""
        self.current.get(pipeline, {}).pop((phase, meta_name), None)

    def arrange(self, order: Sequence[tuple[str, str, str]]) -> None:
        """Bring the current records into an order of (pipeline, phase, name); those it does not name go last."""
        rank = {key: place for place, key in enumerate(order)}
        first = {pipeline: place for place, (pipeline, _, _) in reversed(list(enumerate(order)))}
        self.iterations[self._at] = {
            pipeline: dict(
                sorted(self.current[pipeline].items(), key=lambda item: rank.get((pipeline, *item[0]), len(order)))
            )
            for pipeline in sorted(self.current, key=lambda name: first.get(name, len(order)))
        }

    def __getitem__(self, key: str) -> Any:
        pipeline, _, rest = key.partition(".")
        name, _, way = rest.partition(".")
        for iteration in reversed(self.iterations[: self._at + 1]):
            for record in reversed(list(iteration.get(pipeline, {}).values())):
                if record.done and record.meta_name == name and way.partition(".")[0] in ("", *record.outputs):
                    return get_path(record.outputs, way) if way else dict(record.outputs)
        known = [f"{pipe}.{record.meta_name}.{out}" for pipe, record in self.records() for out in record.outputs]
        raise ResolveError(
            f"nothing in the context is named {key!r}", hint="there are: " + (", ".join(known) or "none")
        )

    def plain(self) -> list[dict[str, list[dict[str, Any]]]]:
        """The guide's shape: per iteration `{pipeline: [{meta_name, output: value, ..., __job__: {...}}, ...]}`."""
        return [
            {pipeline: [record.plain() for record in records.values()] for pipeline, records in iteration.items()}
            for iteration in self.iterations
        ]

    @classmethod
    def from_plain(cls, value: Any) -> ContextInfos:
        """The reverse of `plain`.

        Raises:
            ValueError: the value has another shape.
        """
        if not isinstance(value, list) or not all(isinstance(iteration, Mapping) for iteration in value):
            raise ValueError("not a list of iterations")
        iterations: list[Records] = []
        for iteration in value:
            pipelines: Records = {}
            for pipeline, records in iteration.items():
                if not isinstance(pipeline, str) or not isinstance(records, list | tuple):
                    raise ValueError(f"{pipeline!r:.60} is not a pipeline with a list of records")
                pipelines[pipeline] = {}
                for found in records:
                    if not isinstance(found, Mapping) or not isinstance(found.get("meta_name"), str):
                        raise ValueError(f"a record of pipeline {pipeline!r} has no meta_name")
                    outputs = {key: item for key, item in found.items() if key not in ("meta_name", BOOKKEEPING)}
                    job = found.get(BOOKKEEPING, {})
                    problem = _job_problem(job) if all(isinstance(key, str) for key in outputs) else "names of outputs"
                    if problem:
                        raise ValueError(f"record {found['meta_name']!r:.60} has a damaged part: {problem}")
                    record = JobRecord(found["meta_name"], outputs, dict(job))
                    pipelines[pipeline][record.id] = record
            iterations.append(pipelines)
        return cls(iterations or [{}])


def _job_problem(job: Any) -> str | None:
    """The part of a record's bookkeeping that does not have its type; None where all have. Parts may be missing."""
    if not isinstance(job, Mapping):
        return BOOKKEEPING
    for key in ("hook", "phase", "status"):
        if not isinstance(job.get(key, ""), str):
            return key
    for key in ("started", "ended", "seconds"):
        value = job.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LATEST:
            return key
    return _trace_problem(job["trace"]) if job.get("trace") is not None else None


def _trace_problem(trace: Any) -> str | None:
    """The same for the digests of what a job was made from."""
    if not isinstance(trace, Mapping):
        return "trace"
    for key in ("config", "code", "inputs", "outputs"):
        part = trace.get(key, {})
        if not isinstance(part, Mapping) or not all(map(_is_entry, part.items())):
            return f"trace.{key}"
    changed = trace.get("changed_inputs", ())
    if not isinstance(changed, list | tuple) or not all(isinstance(path, str) for path in changed):
        return "trace.changed_inputs"
    return None


def _is_entry(entry: tuple[Any, Any]) -> bool:
    """Whether a name has a digest, or the digests of a file."""
    name, digests = entry
    if not isinstance(name, str):
        return False
    return isinstance(digests, str) or (isinstance(digests, list | tuple) and len(digests) > 0)
