"""Warn about packages and models that the OPs of a recipe need."""

from __future__ import annotations

from collections.abc import Mapping

from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def check_needs(planned_job: PlannedJob) -> list[ConfigError]:
    """Warnings for the OPs of a job's recipe that lack a package, or will download a model."""
    if not planned_job.uses_recipe or not planned_job.recipe.value:
        return []
    from data_juicer_sandbox.components.data.op_needs import needs

    process = planned_job.recipe.value.get("process")
    warnings = []
    for index, entry in enumerate(process if isinstance(process, list) else []):
        if not isinstance(entry, Mapping) or len(entry) != 1 or planned_job.recipe.skip(("process", index)):
            continue
        ((name, arguments),) = entry.items()
        for need in needs(str(name), arguments if isinstance(arguments, Mapping) else None):
            where = planned_job.recipe.where("process", index, name)
            warnings.append(ConfigError(f"job {planned_job.job.label!r}: {need.message}", where=where, hint=need.hint))
    return warnings
