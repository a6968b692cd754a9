"""Errors for what `--untrusted` refuses, as far as it is known before the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.output_guard import has_run
from data_juicer_sandbox.validation.files import WrittenPaths
from data_juicer_sandbox.watchers.watcher import LOCAL
from data_juicer_sandbox.workflow.planned_job import PlannedJob
from data_juicer_sandbox.workflow.untrusted import output_problem, refusals

_HINT = "run without --untrusted only what you would also run as a script"


def check_untrusted_job(planned_job: PlannedJob, written: WrittenPaths, work_dir: str) -> list[ConfigError]:
    """What a job must not do; what `input` and `local` set is refused when the job starts."""
    if not is_untrusted() or planned_job.component is None:
        return []

    def skip(path: KeyPath) -> bool:
        config = planned_job.recipe if path[0] == "dj_configs" else planned_job.extra
        return config.skip(path[1:])

    refused = refusals(
        planned_job.component,
        planned_job.extra.value or {},
        planned_job.recipe.value,
        work_dir,
        skip=skip,
        may_be_written=lambda path: path in written,
    )
    problems = []
    for refusal in refused:
        config = planned_job.recipe if refusal.path[0] == "dj_configs" else planned_job.extra
        key = ".".join(map(str, refusal.path))
        what = f"job {planned_job.job.label!r}: refused by --untrusted: `{key}`: {refusal.what}"
        problems.append(ConfigError(what, where=config.where(*refusal.path[1:]), hint=_HINT))
    return problems


def check_untrusted_run(config: SandboxConfig) -> Iterator[ConfigError]:
    """What the keys of the run and of its search must not do."""
    if not is_untrusted():
        return
    if (problem := output_problem(config.work_dir) or _work_dir_problem(Path(config.work_dir))) is not None:
        yield _refused(config.where("work_dir"), "work_dir", problem)
    if config.cache_dir is not None:
        yield _refused(config.where("cache_dir"), "cache_dir", "results of runs that may be somebody else's")
    if config.parallel.backend in ("slurm", "ray"):
        what = "a cluster, whose settings may run commands or name a server"
        yield _refused(config.where("parallel"), "parallel", what)
    for name in config.watchers or ():
        if name != LOCAL:
            yield _refused(config.where("watchers"), "watchers", f"{name} is a plug-in or reaches a server")
    sweep = config.sweep
    if sweep is not None:
        if sweep.storage is not None:
            yield _refused(sweep.where("storage"), "storage", "a server or a file outside of the work directory")
        if sweep.backend == "wandb":
            yield _refused(sweep.where("backend"), "backend", "a server")


def _work_dir_problem(work_dir: Path) -> str | None:
    """Why a folder must not become a work directory, in which a config may write any settings file; None if it may."""
    if work_dir.resolve() == Path.cwd().resolve():
        return f"{work_dir} is the current folder; expected a folder in it"
    if work_dir.is_dir() and any(work_dir.iterdir()) and not has_run(work_dir):
        return f"{work_dir} is a folder of something else: it is not empty, and no run has worked in it"
    return None


def _refused(where: Where | str, key: str, what: str) -> ConfigError:
    return ConfigError(f"refused by --untrusted: `{key}`: {what}", where=where, hint=_HINT)
