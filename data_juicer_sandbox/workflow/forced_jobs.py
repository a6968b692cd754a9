"""The jobs that `--force` and `--from` redo, although nothing they depend on has changed."""

from __future__ import annotations

from collections.abc import Sequence

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.suggestions import nearest_names
from data_juicer_sandbox.errors import ConfigError, ConfigErrors
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.workflow.planned_job import PlannedJob

FORCE, FROM = "--force", "--from"


def forced_jobs(
    force: str | Sequence[str], from_job: str | Sequence[str], config: SandboxConfig, planned_jobs: Sequence[PlannedJob]
) -> frozenset[str]:
    """The ids of the jobs to redo.

    Args:
        force: names of jobs, as `pipeline.job` or `job`; a text may hold several, with commas between them.
        from_job: names of jobs; each adds all jobs after it too.
        config: the config of the run.
        planned_jobs: its jobs, in the order of the run.

    Raises:
        ConfigErrors: a name is unknown, or stands for jobs of several pipelines; or such a run is not possible.
    """
    names = [(FORCE, name) for name in _names(force, planned_jobs)]
    names += [(FROM, name) for name in _names(from_job, planned_jobs)]
    if not names:
        return frozenset()
    flags = " and ".join(dict.fromkeys(f"`{flag}`" for flag, _ in names))
    if config.sweep is not None:
        what = f"{flags} cannot be used with `hpo_config`: trials whose jobs were redone cannot be compared with others"
        raise ConfigErrors([ConfigError(what, hint="`--resume false` starts the search again")])
    if not config.resume:
        what = f"{flags} redo jobs of an earlier run, but `resume` is false"
        raise ConfigErrors([ConfigError(what, hint="leave `--resume` out: these flags imply `--resume true`")])
    order = [planned_job.job.id for planned_job in planned_jobs]
    ids: set[str] = set()
    problems = []
    for flag, name in names:
        matches = _matches(name, planned_jobs)
        labels = {planned_job.job.label for planned_job in matches}
        if len(labels) == 1:
            first = order.index(matches[0].job.id)
            ids.update(order[first:] if flag == FROM else (planned_job.job.id for planned_job in matches))
        elif labels:
            what = f"several pipelines have a job {shown(name)}"
            problems.append(ConfigError(what, where=flag, hint=f"one of {', '.join(sorted(labels))}"))
        else:
            available = [planned_job.job.label for planned_job in planned_jobs]
            candidates = available if "." in name else [planned_job.job.meta_name for planned_job in planned_jobs]
            hint = nearest_names(name, candidates, what="jobs")
            problems.append(ConfigError(f"there is no job {shown(name)}", where=flag, hint=hint))
    if problems:
        raise ConfigErrors(problems)
    return frozenset(ids)


def _names(value: str | Sequence[str], planned_jobs: Sequence[PlannedJob]) -> list[str]:
    """The names in an argument. A comma separates them, unless it is part of a job's name."""
    names: list[str] = []
    for text in [value] if isinstance(value, str) else value:
        names += [text] if _matches(text, planned_jobs) else [part.strip() for part in text.split(",") if part.strip()]
    return names


def _matches(name: str, planned_jobs: Sequence[PlannedJob]) -> list[PlannedJob]:
    """The jobs that a name stands for: a probe and its refine job have one."""
    return [planned_job for planned_job in planned_jobs if name in (planned_job.job.label, planned_job.job.meta_name)]
