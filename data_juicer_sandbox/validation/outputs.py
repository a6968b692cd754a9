"""Check a job's output paths against its inputs and against what is on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.base import Role, Written
from data_juicer_sandbox.config.limits import path_fault
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import refuse_replacing
from data_juicer_sandbox.output_guard import OutputGuard, OutputLedger
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths, texts

_FILE_ENDINGS = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".gz", ".zst", ".yaml", ".yml", ".html")


def check_output_paths(view: PlannedJob, work_dir: str, config_files: Iterable[str]) -> list[ConfigError]:
    """The outputs of a job that it must not write, as far as that is known before the run.

    Args:
        view: the job.
        work_dir: the work directory of the run.
        config_files: the config of the run, and that of its search.
    """
    inputs = [*config_files, *(path for path in (view.job.dj_configs, view.job.extra_configs) if isinstance(path, str))]
    for role in (Role.INPUT, Role.MODEL):
        for path, _, key in view.paths(role):
            config = view.recipe if key[0] == "dj_configs" else view.extra
            if not config.skip(key[1:]):
                inputs.append(path)
    guard = OutputGuard(Path(work_dir), view.job.id, inputs, OutputLedger(Path(work_dir)))
    problems = []
    for key, path, written in declared_outputs(view, view.extra.value or {}, view.recipe.value):
        config = view.recipe if key[0] == "dj_configs" else view.extra
        if config.skip(key[1:]):
            continue
        try:
            check_output(guard, path, written)
        except JobError as error:
            what = f"job {view.job.label!r}: `{'.'.join(map(str, key))}`: {error.what}"
            problems.append(ConfigError(what, where=config.where(*key[1:]), hint=error.hint))
    return problems


def declared_outputs(
    view: PlannedJob, extra_configs: Mapping[str, Any], recipe: Mapping[str, Any] | None
) -> Iterator[tuple[KeyPath, str, Written]]:
    """Key, path and kind of everything that a job's configs say it writes on this machine."""
    if view.component is not None:
        for name, parameter in parameters(view.component)[0].items():
            if parameter.role is Role.OUTPUT:
                for path in texts(extra_configs.get(name)):
                    yield ("extra_configs", name), path, parameter.written
    if view.uses_recipe and recipe and view.hook is not None and view.hook.writes_export:
        for way, path in recipe_paths(recipe, Role.OUTPUT):
            if "://" not in path and "{" not in path:  # a remote store, or a name that Data-Juicer fills in
                yield ("dj_configs", *way), path, Written.FILE


def check_output(guard: OutputGuard, path: str, written: Written, *, claim: bool = False) -> None:
    """Refuse one output that must not be written; with `claim`, record it as the run's.

    Raises:
        JobError: says why.
    """
    if fault := path_fault(path):
        raise JobError(fault, hint="another path")
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
