"""Which jobs must have ended before a job starts, so that jobs side by side give the same results as one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.keys import PREVIOUS, ContextKey
from data_juicer_sandbox.types import Variables
from data_juicer_sandbox.workflow.graph import edges, referenced
from data_juicer_sandbox.workflow.named_list import NamedList
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.path_accesses import AccessReader, is_own, real
from data_juicer_sandbox.workflow.planned_job import PlannedJob, named_jobs, texts


@dataclass(frozen=True)
class JobOrder:
    """The order that jobs must keep.

    Args:
        waits: for each job, the ids of all earlier jobs that must have ended before it starts. Jobs that are kept or
            skipped keep this order too.
        reads: for each job, those of them that it reads from, or may read from: it depends on their success.
    """

    waits: dict[str, frozenset[str]]
    reads: dict[str, frozenset[str]]


def job_order(
    planned_jobs: Sequence[PlannedJob], context: ContextInfos, relocator: PathRelocator, variables: Variables
) -> JobOrder:
    """The order that jobs must keep if they run side by side.

    A job waits for the earlier jobs whose results it reads, that write what it reads or writes, and that read what it
    writes. A job that does not declare all its outputs (a program, a plug-in without output parameters) may read and
    write every path in its configs; a job that reads a path that does not exist, or that lies in the work directory,
    waits for all earlier jobs of that kind unless an earlier job declares the path as an output.

    Args:
        planned_jobs: all jobs, in order.
        context: records of earlier runs; they name the files that jobs wrote.
        relocator: the relocator of their output paths; it has the work directory.
        variables: values of `${...}`.
    """
    graph = edges(planned_jobs, context)
    ids = [planned_job.job.id for planned_job in planned_jobs]
    positions = {job_id: position for position, job_id in enumerate(ids)}
    reader = AccessReader(planned_jobs, relocator, variables)
    written, declared, read, beside = _PathIndex(), _PathIndex(), _PathIndex(), _Stems()
    earlier, by_name = named_jobs(), dict[str, set[int]]()
    undeclared: set[int] = set()
    order = JobOrder({}, {})
    for position, planned_job in enumerate(planned_jobs):
        job = planned_job.job
        reads = {positions[other] for other in graph[job.id]}
        reads.update(positions[other.job.id] for other in _referenced(planned_job, earlier))
        if planned_job.hook is not None and planned_job.hook.reads_probe:
            reads |= by_name.get((planned_job.extra.value or {}).get("probe") or job.meta_name, set())
        if not is_own(planned_job.component):  # it may query the metrics of a job by its name
            for text in texts(planned_job.extra.value):
                reads |= by_name.get(text, set())
        accesses = reader.read(planned_job, _recipe_sources(planned_job, earlier, written))
        for path in accesses.reads | accesses.mentions:
            writers = written.overlapping(path)
            reads |= writers or beside.writers(path)
        waits = set(reads)
        if any(not declared.overlapping(path) for path in accesses.absent):
            waits |= undeclared
        for path in accesses.writes:
            waits |= written.overlapping(path) | read.overlapping(path)
        for path in accesses.beside:
            waits |= beside.readers(path)
        for path in accesses.mentions:
            waits |= read.overlapping(path)
        order.reads[job.id] = frozenset(ids[other] for other in reads)
        # the same set where both are equal: in long chains they are large
        order.waits[job.id] = frozenset(ids[other] for other in waits) if waits > reads else order.reads[job.id]
        record = context.find(job.pipeline, job.phase.value, job.meta_name)
        for path in accesses.writes | {real(path) for path in (record.provenance.outputs if record else ())}:
            declared.add(path, position)
            written.add(path, position)
        for path in accesses.beside:
            beside.add_output(path, position)
        for path in accesses.mentions:
            written.add(path, position)
        for path in accesses.reads | accesses.mentions:
            read.add(path, position)
            beside.add_input(path, position)
        if not accesses.is_declared:
            undeclared.add(position)
        earlier.append(planned_job)
        by_name.setdefault(job.meta_name, set()).add(position)
    return order


def _referenced(planned_job: PlannedJob, earlier: NamedList[PlannedJob]) -> Iterator[PlannedJob]:
    """The earlier jobs that the `input` of a job may refer to, whichever way its keys are understood."""
    for source in planned_job.job.input.values():
        for key in ContextKey.interpretations(source, planned_job.job.pipeline):
            yield from earlier[-1:] if key.job == PREVIOUS else earlier.named(key.pipeline, key.job)


def _recipe_sources(
    planned_job: PlannedJob, earlier: NamedList[PlannedJob], written: _PathIndex
) -> Sequence[PlannedJob]:
    """The earlier jobs that write the recipe of a job, the latest first."""
    job = planned_job.job
    if "dj_configs" in job.input:
        match = referenced(planned_job, job.input["dj_configs"], earlier)
        return match[0][::-1] if match else ()
    if isinstance(job.dj_configs, str):
        return [earlier[position] for position in sorted(written.overlapping(real(job.dj_configs)), reverse=True)]
    return ()


class _PathIndex:
    """Finds the jobs by their paths: those of a path, of the folders around it, and of what it contains."""

    def __init__(self) -> None:
        self._at: dict[str, set[int]] = {}
        self._below: dict[str, set[int]] = {}

    def add(self, path: str, position: int) -> None:
        """Add a path of the job at a position."""
        self._at.setdefault(path, set()).add(position)
        for folder in _parents(path):
            self._below.setdefault(folder, set()).add(position)

    def overlapping(self, path: str) -> set[int]:
        """The positions of the jobs with a path that is this one, contains it, or lies in it."""
        sets = [self._at.get(folder) for folder in (path, *_parents(path))]
        return set().union(*filter(None, (*sets, self._below.get(path))))


class _Stems:
    """Finds the jobs by the files beside an output: one that exports `a.jsonl` may also write `a_stats.jsonl`."""

    def __init__(self) -> None:
        self._writers: dict[str, set[int]] = {}
        self._readers: dict[str, set[int]] = {}

    def add_output(self, path: str, position: int) -> None:
        """Add an output of the job at a position."""
        if stem := _stem(path):
            self._writers.setdefault(stem, set()).add(position)

    def add_input(self, path: str, position: int) -> None:
        """Add an input."""
        for stem in _possible_stems(path):
            self._readers.setdefault(stem, set()).add(position)

    def writers(self, path: str) -> set[int]:
        """The positions of the jobs that may write an input beside their outputs."""
        return set().union(*(self._writers.get(stem, ()) for stem in _possible_stems(path)))

    def readers(self, path: str) -> set[int]:
        """The positions of the jobs that read a file which may be beside an output."""
        return self._readers.get(_stem(path), set())


def _stem(path: str) -> str:
    """The path of an output file without its ending; empty for a folder."""
    stem, ending = os.path.splitext(path)  # noqa: PTH122  # Path takes ten times longer
    return stem if ending else ""


def _possible_stems(path: str) -> Iterator[str]:
    """The stems beside whose outputs a file may have been written: its own path up to each punctuation mark."""
    folder, name = os.path.split(path)
    for at, character in enumerate(name):
        if at and not character.isalnum():
            yield f"{folder}/{name[:at]}"


def _parents(path: str) -> Iterator[str]:
    while path != "/":
        path = path[: path.rindex("/")] or "/"
        yield path
