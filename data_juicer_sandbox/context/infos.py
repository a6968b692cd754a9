"""The context infos: iterations > pipelines > job records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from data_juicer_sandbox.context.key_paths import get_path
from data_juicer_sandbox.context.keys import ContextKey
from data_juicer_sandbox.context.provenance import BOOKKEEPING, FORCED, Provenance
from data_juicer_sandbox.errors import ResolveError
from data_juicer_sandbox.types import LibraryObject


@dataclass
class JobRecord:
    """The record of one job: its outputs, and how it produced them.

    Args:
        meta_name: its name.
        outputs: its results by name, in order.
        provenance: the facts that decide whether the outputs are still valid.
    """

    meta_name: str
    outputs: dict[str, LibraryObject]
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def id(self) -> tuple[str, str]:
        """Phase and name, which are unique in its pipeline."""
        return str(self.provenance.phase), self.meta_name

    @property
    def done(self) -> bool:
        """Whether the job finished without an error."""
        return self.provenance.status == "done"

    @property
    def forced(self) -> bool:
        """Whether the user asked to redo the job, and it has not run since."""
        return self.provenance.status == FORCED

    def plain(self, *, trace: bool = True) -> dict[str, LibraryObject]:
        """The record in the guide's shape, with the provenance under `__job__` beside the outputs.

        Args:
            trace: whether to include the digests.
        """
        return {"meta_name": self.meta_name, **self.outputs, BOOKKEEPING: self.provenance.plain(trace=trace)}

    @classmethod
    def from_plain(cls, value: object) -> JobRecord:
        """The reverse of `plain`.

        Raises:
            ValueError: the value has another shape.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("meta_name"), str):
            raise ValueError("a record has no meta_name")
        outputs = {key: item for key, item in value.items() if key not in ("meta_name", BOOKKEEPING)}
        try:
            if not all(isinstance(name, str) for name in outputs):
                raise ValueError("names of outputs")
            return cls(value["meta_name"], outputs, Provenance.from_plain(value.get(BOOKKEEPING, {})))
        except ValueError as error:
            raise ValueError(f"record {value['meta_name']!r:.60} has a damaged part: {error}") from error


Records = dict[str, dict[tuple[str, str], JobRecord]]
"""One iteration: pipeline -> (phase, name) -> record, in order."""


class ContextInfos:
    """All records of a run, in the order in which the jobs finished.

    `context["pipeline.job.output"]` is a value of the latest iteration that has it; further dots name parts of it.
    """

    def __init__(self, iterations: list[Records] | None = None):
        self.iterations: list[Records] = iterations if iterations is not None else [{}]
        self._index = len(self.iterations) - 1
        self.has_removals = False
        """Whether records were removed since the checkpoint was last written."""

    @property
    def index(self) -> int:
        """The index of the current iteration, from 0."""
        return self._index

    def turn_to(self, number: int) -> None:
        """Select the current iteration, counted from 0; a new iteration has no records."""
        self.iterations += [{} for _ in range(number + 1 - len(self.iterations))]
        self._index = number

    def end_with(self, number: int) -> None:
        """Remove the iterations after this one."""
        self.has_removals |= len(self.iterations) > number + 1
        del self.iterations[number + 1 :]
        self.turn_to(number)

    @property
    def current(self) -> Records:
        """The records of the current iteration by pipeline, then by phase and name."""
        return self.iterations[self._index]

    def records(self) -> Iterator[tuple[str, JobRecord]]:
        """Pipeline and record of every job of the current iteration."""
        for pipeline, records in self.current.items():
            for record in records.values():
                yield pipeline, record

    def find(self, pipeline: str, phase: str, meta_name: str) -> JobRecord | None:
        """The record of one job in the current iteration."""
        return self.current.get(pipeline, {}).get((phase, meta_name))

    def put(self, pipeline: str, record: JobRecord) -> None:
        """Add a record; it replaces an earlier one of the same job."""
        self.current.setdefault(pipeline, {})[record.id] = record

    def drop(self, pipeline: str, phase: str, meta_name: str) -> None:
        """Remove the record of a job that will run again."""
        removed = self.current.get(pipeline, {}).pop((phase, meta_name), None)
        self.has_removals |= removed is not None

    def force(self, job_ids: Collection[str]) -> None:
        """Mark the records of these jobs, in all iterations, so that the jobs run again even if nothing has changed.

        The mark is part of the checkpoint: a run that is interrupted before it has redone them does so when resumed.
        """
        for iteration in self.iterations:
            for pipeline, records in iteration.items():
                for (phase, name), record in records.items():
                    if f"{pipeline}/{phase}/{name}" in job_ids:
                        record.provenance = replace(record.provenance, status=FORCED)

    def arrange(self, order: Sequence[tuple[str, str, str]]) -> None:
        """Sort the current records by a list of (pipeline, phase, name); records that it does not name come last."""
        rank = {key: position for position, key in enumerate(order)}
        first = {pipeline: position for position, (pipeline, _, _) in reversed(list(enumerate(order)))}
        self.iterations[self._index] = {
            pipeline: dict(
                sorted(self.current[pipeline].items(), key=lambda item: rank.get((pipeline, *item[0]), len(order)))
            )
            for pipeline in sorted(self.current, key=lambda name: first.get(name, len(order)))
        }

    def __getitem__(self, key: str) -> LibraryObject:
        record, path = self._find_output(key)
        if record is not None:
            return get_path(record.outputs, path) if path else dict(record.outputs)
        existing = [f"{pipe}.{record.meta_name}.{out}" for pipe, record in self.records() for out in record.outputs]
        hint = f"available: {', '.join(existing) or 'none'}"
        raise ResolveError(f"the context has no result {key!r}", hint=hint)

    def _find_output(self, text: str) -> tuple[JobRecord | None, str]:
        """The latest record that a key names, and the path inside its outputs."""
        try:
            key = ContextKey.parse(text)
        except ResolveError:
            return None, ""
        for iteration in reversed(self.iterations[: self._index + 1]):
            for record in reversed(list(iteration.get(key.pipeline, {}).values())):
                if record.done and record.meta_name == key.job and key.output in ("", *record.outputs):
                    return record, key.path
        return None, ""

    def plain(self) -> list[dict[str, list[dict[str, LibraryObject]]]]:
        """The guide's shape: per iteration `{pipeline: [{meta_name, output: value, ..., __job__: {...}}, ...]}`."""
        return [
            {pipeline: [record.plain() for record in records.values()] for pipeline, records in iteration.items()}
            for iteration in self.iterations
        ]

    @classmethod
    def from_plain(cls, value: object) -> ContextInfos:
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
                for plain_record in records:
                    record = JobRecord.from_plain(plain_record)
                    pipelines[pipeline][record.id] = record
            iterations.append(pipelines)
        return cls(iterations or [{}])
