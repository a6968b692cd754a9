"""The dependency graph: which job reads from which, by context keys, files and probe tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.keys import PREVIOUS, ContextKey
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.workflow.named_list import NamedList
from data_juicer_sandbox.workflow.planned_job import PlannedJob, named_jobs


def edges(planned_jobs: Sequence[PlannedJob], context: ContextInfos) -> dict[str, set[str]]:
    """For each job, the ids of the earlier jobs it reads from.

    Args:
        planned_jobs: all jobs in order.
        context: records of earlier runs; they name the files that jobs wrote.
    """
    written: dict[Path, set[str]] = {}
    dependencies: dict[str, set[str]] = {}
    earlier = named_jobs()
    for planned_job in planned_jobs:
        reads: set[str] = set()
        for source in planned_job.job.input.values():
            reads.update(other.job.id for other in (referenced(planned_job, source, earlier) or ([],))[0])
        if planned_job.hook is not None and planned_job.hook.reads_probe:
            name = (planned_job.extra.value or {}).get("probe") or planned_job.job.meta_name
            reads.update(
                other.job.id
                for other in earlier.named(planned_job.job.pipeline, name)
                if other.job.phase is Phase.PROBE
            )
        for path in _paths_read(planned_job):
            for candidate in (path, *path.parents):
                reads.update(written.get(candidate, ()))
        dependencies[planned_job.job.id] = reads - {planned_job.job.id}
        earlier.append(planned_job)
        for path in _paths_written(planned_job, context):
            written.setdefault(path, set()).add(planned_job.job.id)
    return dependencies


def _paths_read(planned_job: PlannedJob) -> set[Path]:
    """Every path in a job's configs, except those it writes."""
    values = [planned_job.extra.value, dict(planned_job.job.local)]
    if planned_job.uses_recipe or planned_job.recipe.value is None:
        values.append(planned_job.recipe.value)
    mentioned = {text for text in texts(values) if text and "\0" not in text and len(text) < 4096}
    mentioned -= {path for path, _, _ in planned_job.paths(Role.OUTPUT)}
    mentioned.update(
        config for config in (planned_job.job.dj_configs, planned_job.job.extra_configs) if isinstance(config, str)
    )
    declared = {path for role in (Role.INPUT, Role.MODEL) for path, _, _ in planned_job.paths(role)}
    return {Path(text).absolute() for text in mentioned if "/" in text or "." in text or text in declared}


def _paths_written(planned_job: PlannedJob, context: ContextInfos) -> set[Path]:
    record = context.find(planned_job.job.pipeline, planned_job.job.phase.value, planned_job.job.meta_name)
    recorded_paths = set(record.provenance.outputs) if record else set()
    return {Path(path).absolute() for path in recorded_paths | {path for path, _, _ in planned_job.paths(Role.OUTPUT)}}


def referenced(
    planned_job: PlannedJob, source: str, earlier: NamedList[PlannedJob]
) -> tuple[list[PlannedJob], str] | None:
    """The earlier jobs that a context key may refer to (a probe and its refine job share a name), and the output."""
    for key in ContextKey.interpretations(source, planned_job.job.pipeline):
        if key.job == PREVIOUS:
            return ([earlier[-1]], key.output) if earlier else None
        matches = earlier.named(key.pipeline, key.job)
        if matches:
            return list(matches), key.output
    return None
