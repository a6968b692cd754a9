"""Check that the files a job reads exist, or that an earlier job writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.errors import ConfigError, Where
from data_juicer_sandbox.files import is_special, path_exists
from data_juicer_sandbox.validation.original import original_names
from data_juicer_sandbox.workflow.planned_job import PlannedJob, texts

_GLOB = re.compile(r"[*?\[]")


def check_files(planned_job: PlannedJob, earlier: Sequence[PlannedJob]) -> list[ConfigError]:
    """Inputs of a job that do not exist and that no earlier job may write."""
    problems = []
    for config in (planned_job.recipe, planned_job.extra):
        if config.missing and not is_written_by(config.missing, earlier):
            problems.append(_missing_file(planned_job, config.missing, f"`{config.name}`", config.where()))
    skip_missing = (planned_job.extra.value or {}).get("skip_missing") is True
    for path, where, key in planned_job.paths(Role.INPUT):
        config = planned_job.recipe if key[0] == "dj_configs" else planned_job.extra
        if config.skip(key[1:]) or (skip_missing and key[0] == "extra_configs"):
            continue
        if "\0" not in path and is_special(path):
            what = f"job {planned_job.job.label!r}: `{'.'.join(map(str, key))}` names {path!r}, a pipe or device"
            problems.append(ConfigError(what, where=where, hint="a file, a folder or a pattern"))
            continue
        if _GLOB.search(path) or path_exists(path) or (key[0] == "dj_configs" and _may_be_remote(path)):
            continue
        if not is_written_by(path, earlier):
            problems.append(_missing_file(planned_job, path, f"`{'.'.join(map(str, key))}`", where))
    return problems


def _missing_file(planned_job: PlannedJob, path: str, what: str, where: Where) -> ConfigError:
    return ConfigError(
        f"job {planned_job.job.label!r}: {what} names {path!r}, which does not exist and which no earlier job writes",
        where=where,
        hint=original_names(planned_job).for_path(path) or f"relative paths are relative to {Path.cwd()}",
    )


def _may_be_remote(path: str) -> bool:
    """Whether a path may be a data set's id on a hub (`owner/name`) or a URL, which Data-Juicer resolves."""
    return "://" in path or (re.fullmatch(r"[\w-]+/[\w.-]+", path) is not None and not Path(path).suffix)


def is_written_by(path: str, earlier: Sequence[PlannedJob]) -> bool:
    """Whether the configs of an earlier job name this path, or a folder that contains it, other than as an input."""
    required_path = Path(path).absolute()
    for planned_job in earlier:
        for output, _, _ in planned_job.paths(Role.OUTPUT):
            output_path = Path(output).absolute()
            # A job may write further files with the stem of its output into the same folder: `<stem>_stats.jsonl`.
            shares_stem = (
                bool(output_path.suffix)
                and required_path.parent == output_path.parent
                and required_path.name.startswith(output_path.stem)
            )
            if required_path == output_path or shares_stem or output_path in required_path.parents:
                return True
        if (
            f"jobs/{planned_job.job.pipeline}/{planned_job.job.meta_name}/" in required_path.as_posix()
        ):  # in the job's own folder
            return True
        read = {text for role in (Role.INPUT, Role.MODEL) for text, _, _ in planned_job.paths(role)}
        for value in (planned_job.extra.value, planned_job.recipe.value, dict(planned_job.job.local)):
            if any(
                text not in read and Path(text).absolute() == required_path
                for text in texts(value)
                if text and "\0" not in text
            ):
                return True
    return False
