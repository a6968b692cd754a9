"""Check that the files a job reads exist, or that an earlier job writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.config.limits import home_problem, path_problem
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.files import is_special, path_exists
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.validation.original import original_names
from data_juicer_sandbox.workflow.planned_job import PlannedJob

_GLOB = re.compile(r"[*?\[]")


def check_files(planned_job: PlannedJob, written: WrittenPaths) -> list[ConfigError]:
    """Inputs of a job that do not exist and that no earlier job may write.

    Args:
        planned_job: the job.
        written: what the jobs before it write.
    """
    problems = []
    for config in (planned_job.recipe, planned_job.extra):
        if config.missing and config.missing not in written:
            problems.append(_missing_file(planned_job, config.missing, f"`{config.name}`", config.where()))
    problems += _home_paths(planned_job)
    skip_missing = (planned_job.extra.value or {}).get("skip_missing") is True
    for path, where, key in planned_job.paths(Role.INPUT):
        config = planned_job.recipe if key[0] == "dj_configs" else planned_job.extra
        if config.skip(key[1:]) or (skip_missing and key[0] == "extra_configs"):
            continue
        if home_problem(path):
            continue
        if "\0" not in path and is_special(path):
            what = f"job {planned_job.job.label!r}: `{'.'.join(map(str, key))}` names {path!r}, a pipe or device"
            problems.append(ConfigError(what, where=where, hint="a file, a folder or a pattern"))
            continue
        if _GLOB.search(path) or path_exists(path) or (key[0] == "dj_configs" and _may_be_remote(path)):
            continue
        if path not in written:
            problems.append(_missing_file(planned_job, path, f"`{'.'.join(map(str, key))}`", where))
    return problems


def _home_paths(planned_job: PlannedJob) -> list[ConfigError]:
    """Paths that begin with `~`, which would name a folder of that name."""
    return [
        ConfigError(f"job {planned_job.job.label!r}: `{'.'.join(map(str, key))}`: {reason}", where=where)
        for role in Role
        for path, where, key in planned_job.paths(role)
        if (reason := home_problem(path))
    ]


def _missing_file(planned_job: PlannedJob, path: str, what: str, where: Where) -> ConfigError:
    return ConfigError(
        f"job {planned_job.job.label!r}: {what} names {path!r}, which does not exist and which no earlier job writes",
        where=where,
        hint=original_names(planned_job).for_path(path) or f"relative paths are relative to {Path.cwd()}",
    )


def _may_be_remote(path: str) -> bool:
    """Whether a path may be a data set's id on a hub (`owner/name`) or a URL, which Data-Juicer resolves."""
    return "://" in path or (re.fullmatch(r"[\w-]+/[\w.-]+", path) is not None and not Path(path).suffix)


class WrittenPaths:
    """The paths that the configs of earlier jobs name other than as inputs, so that these jobs may write them.

    Args:
        earlier: the jobs; those that are added later count too.
    """

    def __init__(self, earlier: Sequence[PlannedJob]):
        self._earlier = earlier
        self._n_indexed = 0
        self._outputs: set[Path] = set()
        self._stems: dict[Path, set[str]] = {}
        self._job_folders: set[tuple[str, str]] = set()
        self._mentioned: set[Path] = set()

    def __contains__(self, path: str) -> bool:
        """Whether an earlier job names this path, or a folder that contains it."""
        for planned_job in self._earlier[self._n_indexed :]:
            self._add(planned_job)
        self._n_indexed = len(self._earlier)
        required = Path(path).absolute()
        if required in self._outputs or any(parent in self._outputs for parent in required.parents):
            return True
        # A job may write further files with the stem of its output into the same folder: `<stem>_stats.jsonl`.
        stems = self._stems.get(required.parent, ())
        if any(required.name[:length] in stems for length in range(len(required.name) + 1)):
            return True
        parts = required.parts
        folders = (parts[at + 1 : at + 3] for at in range(len(parts) - 3) if parts[at] == "jobs")
        return any(folder in self._job_folders for folder in folders) or required in self._mentioned

    def _add(self, planned_job: PlannedJob) -> None:
        for output, _, _ in planned_job.paths(Role.OUTPUT):
            output_path = Path(output).absolute()
            self._outputs.add(output_path)
            if output_path.suffix:
                self._stems.setdefault(output_path.parent, set()).add(output_path.stem)
        self._job_folders.add((planned_job.job.pipeline, planned_job.job.meta_name))
        read = {text for role in (Role.INPUT, Role.MODEL) for text, _, _ in planned_job.paths(role)}
        for value in (planned_job.extra.value, planned_job.recipe.value, dict(planned_job.job.local)):
            named = (text for text in texts(value) if text and text not in read and path_problem(text) is None)
            self._mentioned.update(Path(text).absolute() for text in named)
