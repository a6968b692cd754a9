"""Check a job's output paths against its inputs and against what is on the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from data_juicer_sandbox.components.base import Role, Written
from data_juicer_sandbox.config.limits import path_problem
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import refuse_replacing
from data_juicer_sandbox.output_guard import OutputGuard, OutputLedger
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE_ENDINGS = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".gz", ".zst", ".yaml", ".yml", ".html")


def check_output_paths(planned_job: PlannedJob, work_dir: str, config_files: Iterable[str]) -> list[ConfigError]:
    """Errors for outputs that a job must not write, as far as they are known before the run.

    Args:
        planned_job: the job.
        work_dir: the work directory of the run.
        config_files: the config file of the run, and that of its search.
    """
    inputs = [
        *config_files,
        *(path for path in (planned_job.job.dj_configs, planned_job.job.extra_configs) if isinstance(path, str)),
    ]
    for role in (Role.INPUT, Role.MODEL):
        for path, _, key in planned_job.paths(role):
            config = planned_job.recipe if key[0] == "dj_configs" else planned_job.extra
            if not config.skip(key[1:]):
                inputs.append(path)
    # A hook that refines a recipe does not read its data set, and must not replace it either.
    inputs += [path for _, path in recipe_paths(planned_job.recipe.value or {}, Role.INPUT)]
    guard = OutputGuard(Path(work_dir), planned_job.job.id, inputs, OutputLedger(Path(work_dir)))
    problems = []
    for key, path, written in declared_outputs(planned_job, planned_job.extra.value or {}, planned_job.recipe.value):
        config = planned_job.recipe if key[0] == "dj_configs" else planned_job.extra
        if config.skip(key[1:]):
            continue
        try:
            check_output(guard, path, written)
        except JobError as error:
            what = f"job {planned_job.job.label!r}: `{'.'.join(map(str, key))}`: {error.what}"
            problems.append(ConfigError(what, where=config.where(*key[1:]), hint=error.hint))
    return problems


def declared_outputs(
    planned_job: PlannedJob, extra_configs: Mapping[str, object], recipe: Mapping[str, object] | None
) -> Iterator[tuple[KeyPath, str, Written]]:
    """Key path, path and kind of every local output that a job's configs declare."""
    if planned_job.component is not None:
        for name, parameter in parameters(planned_job.component)[0].items():
            if parameter.role is Role.OUTPUT:
                for path in texts(extra_configs.get(name)):
                    yield ("extra_configs", name), path, parameter.written
    if planned_job.uses_recipe and recipe and planned_job.hook is not None and planned_job.hook.writes_export:
        # On Ray an export is a folder of files.
        written = Written.FILE if recipe.get("executor_type") in (None, "default") else Written.FOLDER
        for key_path, path in recipe_paths(recipe, Role.OUTPUT):
            if not is_remote(path) and "{" not in path:  # not a remote store, nor a pattern that Data-Juicer fills in
                yield ("dj_configs", *key_path), path, written


def is_remote(path: str) -> bool:
    """Whether a path is in a remote store, such as `s3://bucket/a.jsonl`."""
    return "://" in path and not path.startswith("file:")


def check_output(guard: OutputGuard, path: str, written: Written, *, claim: bool = False) -> None:
    """Check that an output may be written; with `claim`, record that this run owns it.

    Raises:
        JobError: the output must not be written; gives the reason.
    """
    if fault := path_problem(path):
        raise JobError(fault, hint="another path")
    if _URL.match(path):
        local = unquote(path.removeprefix("file://")) if path.startswith("file:///") else "a path on this machine"
        raise JobError(f"{path} is a URL, and the output is written to this machine's disk", hint=f"write {local}")
    output = Path(path)
    if written is Written.BY_NAME:
        if not output.name.endswith(_FILE_ENDINGS):
            guard.check_folder(output)
            return
        written = Written.FILE
    guard.check(output, folder=written is Written.FOLDER)
    if written is not Written.BY_PROGRAM:
        refuse_replacing(output, written is Written.FOLDER, guard.owner)
    if claim and written is Written.FILE:
        guard.claim(output)
