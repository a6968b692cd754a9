"""The dependency graph: which job reads from which, by context keys, files and probe tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.workflow.planned_job import PlannedJob, texts


def edges(views: Sequence[PlannedJob], context: ContextInfos) -> dict[str, set[str]]:
    """For each job, the ids of the earlier jobs it reads from.

    Args:
        views: all jobs in order.
        context: what earlier runs left; the files that jobs are known to have written are taken from it.
    """
    written: dict[Path, set[str]] = {}
    found: dict[str, set[str]] = {}
    for index, view in enumerate(views):
        earlier = views[:index]
        reads: set[str] = set()
        for source in view.job.input.values():
            reads.update(other.job.id for other in (referenced(view, source, earlier) or ([],))[0])
        if view.hook is not None and view.hook.reads_probe:
            name = (view.extra.value or {}).get("probe") or view.job.meta_name
            reads.update(
                other.job.id
                for other in earlier
                if (other.job.pipeline, other.job.meta_name) == (view.job.pipeline, name)
                and other.job.phase is Phase.PROBE
            )
        for path in _read(view):
            for place in (path, *path.parents):
                reads.update(written.get(place, ()))
        found[view.job.id] = reads - {view.job.id}
        for path in _written(view, context):
            written.setdefault(path, set()).add(view.job.id)
    return found


def _read(view: PlannedJob) -> set[Path]:
    """Every path that a job's configs hold, other than those it writes."""
    values = [view.extra.value, dict(view.job.local)]
    if view.uses_recipe or view.recipe.value is None:
        values.append(view.recipe.value)
    mentioned = {text for text in texts(values) if text and "\0" not in text and len(text) < 4096}
    mentioned -= {path for path, _, _ in view.paths(Role.OUTPUT)}
    mentioned.update(config for config in (view.job.dj_configs, view.job.extra_configs) if isinstance(config, str))
    return {Path(text).absolute() for text in mentioned if "/" in text or "." in text}


def _written(view: PlannedJob, context: ContextInfos) -> set[Path]:
    record = context.find(view.job.pipeline, view.job.phase.value, view.job.meta_name)
    known = set((record.job.get("trace") or {}).get("outputs", {})) if record else set()
    return {Path(path).absolute() for path in known | {path for path, _, _ in view.paths(Role.OUTPUT)}}


def referenced(view: PlannedJob, source: str, earlier: Sequence[PlannedJob]) -> tuple[list[PlannedJob], str] | None:
    """The earlier jobs that a context key may mean (a probe and its refine job share a name), and the output."""
    head, _, rest = source.partition(".")
    if head == "-1":
        return ([earlier[-1]], rest.partition(".")[0]) if earlier else None
    name, _, way = rest.partition(".")
    for wanted, way_there in (((head, name), way), ((view.job.pipeline, head), rest)):
        found = [job for job in earlier if (job.job.pipeline, job.job.meta_name) == wanted]
        if found:
            return found, way_there.partition(".")[0]
    return None
