"""`migrate`: rewrite a config of the original, with the files that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.components.data.catalogue import catalogue
from data_juicer_sandbox.config.jobs import JOB_KEYS
from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.config.yaml_source import KeyPath, parse
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.migrate import tables
from data_juicer_sandbox.migrate.components import migrate_component
from data_juicer_sandbox.migrate.document import Change, Document
from data_juicer_sandbox.migrate.jobs import OldJob, job_lists
from data_juicer_sandbox.migrate.output_paths import exports, migrate_paths, note_passes
from data_juicer_sandbox.migrate.references import References

_VARIABLE = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
_FILLED = frozenset(("dj_configs", "extra_configs", "local", "input", "parameters"))
"""Keys below which variables are replaced."""
_MIGRATED = ".migrated"


@dataclass(frozen=True)
class NewFile:
    """A file of the new config.

    Args:
        path: where it is to be written; `-` for standard output.
        text: its content.
        old_path: the file that it comes from.
    """

    path: str
    text: str
    old_path: str


@dataclass(frozen=True)
class Migration:
    """The new config.

    Args:
        files: the files to write, the config itself last; empty if nothing changes.
        changes: all changes and warnings, by file and line.
        old_files: every file that was read.
    """

    files: tuple[NewFile, ...]
    changes: tuple[Change, ...]
    old_files: frozenset[str]

    @property
    def warnings(self) -> tuple[Change, ...]:
        """The differences that remain."""
        return tuple(change for change in self.changes if change.warning)


def migrate(path: str, output: str | None = None) -> Migration:
    """Rewrite a config of the original. Nothing is written.

    Args:
        path: the config.
        output: where the new one is to be written; `<name>.migrated.yaml` beside the old one by default. Files that
            it names and that change, too, are to be written into the same folder.

    Raises:
        ConfigError: the config, or a file that it names, cannot be read or cannot be written anew.
    """
    return _Migrating(Document(path), output if output is not None else _default_output(path)).run()


def _default_output(path: str) -> str:
    name = Path(path)
    return str(name.with_name(f"{name.stem.removesuffix(_MIGRATED)}{_MIGRATED}.yaml"))


class _Migrating:
    """One config while it is migrated."""

    def __init__(self, main: Document, output: str):
        self.main, self.output = main, output
        self._documents: dict[tuple[str, ...], Document] = {}
        self.jobs = [job for name, phase, path in job_lists(self.main) for job in self._jobs(name, phase, path)]
        self._links: list[tuple[Document, KeyPath, Document]] = []

    def run(self) -> Migration:
        """Make all changes."""
        for job in self.jobs:
            job.recipe, job.extra = self._file(job, "dj_configs"), self._file(job, "extra_configs")
        sweep = self._sweep()
        documents = [self.main, *self._documents.values()]
        for document in documents:
            _variables(
                document, is_filled=not any(document is job.document for job in self.jobs) and document is not self.main
            )
        written = exports(self.jobs)
        _top_level(self.main)
        references = References(self.jobs)
        references.migrate_names()
        references.migrate_inputs()
        references.migrate_targets(self.main)
        references.migrate_updater(self.main)
        if sweep is not None:
            references.migrate_sweep(sweep)
        references.migrate_outputs()
        for job in self.jobs:
            _job_keys(job)
            migrate_component(job)
            _recipe(job)
        migrate_paths(documents, written, self.main.value.get("max_iter_num"))
        note_passes(self.main, written)
        return self._finish(documents)

    def _jobs(self, pipeline: str, phase: Phase, jobs_path: KeyPath) -> Iterator[OldJob]:
        entries = self.main.at(jobs_path)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            path = (*jobs_path, index)
            if isinstance(entry, dict):
                yield OldJob(pipeline, phase, self.main, path)
            elif isinstance(entry, str):
                # A job that is used twice may get two names.
                document = self._linked(self.main, path, entry, "job", *map(str, path))
                if document is not None:
                    yield OldJob(pipeline, phase, document, (), path)

    def _linked(self, parent: Document, link: KeyPath, path: str, *use: str) -> Document | None:
        """The document of a file that another one names, for one use; a file with several may become several files."""
        if not path_exists(path, file=True):
            return None
        key = (path, *use)
        if key not in self._documents:
            try:
                self._documents[key] = Document(path)
            except ConfigError as error:
                parent.note(link, f"not migrated: {error}")
                return None
        return self._documents[key]

    def _file(self, job: OldJob, name: str) -> Document | None:
        path = job.values.get(name)
        if not isinstance(path, str):
            return None
        hook = str(job.values.get("hook"))
        link = (*job.path, name)
        document = self._linked(job.document, link, path, name, hook if name == "extra_configs" else "")
        if document is not None:
            self._links.append((job.document, link, document))
        return document

    def _sweep(self) -> Document | None:
        path = self.main.value.get("hpo_config")
        if not isinstance(path, str):
            return None
        beside = str(Path(self.main.path).parent / path)
        if not path_exists(path, file=True):
            path = beside  # where a run looks, too
        document = self._linked(self.main, ("hpo_config",), path, "sweep")
        if document is not None:
            self._links.append((self.main, ("hpo_config",), document))
            moves = Path(self.output).resolve().parent != Path(self.main.path).resolve().parent
            if path == beside != self.main.value["hpo_config"] and moves:
                self.main.set((), "hpo_config", path, "it was beside the old config, and the new one is elsewhere")
        return document

    def _finish(self, documents: Sequence[Document]) -> Migration:
        """Name the new files, and let the config refer to them."""
        files: list[NewFile] = []
        inputs = {os.path.realpath(document.path) for document in documents}
        links = [*self._links, *((self.main, job.reference, job.document) for job in self.jobs if job.reference)]
        names: dict[int, str] = {}
        # A job's file refers to its configs, so those are named first.
        order = [document for document in documents[1:] if not any(document is job.document for job in self.jobs)]
        order += [document for document in documents[1:] if document not in order]
        for document in [*order, self.main]:
            for parent, path, child in links:
                if parent is document and id(child) in names and parent.at(path) != names[id(child)]:
                    parent.set(path[:-1], path[-1], names[id(child)], "the migrated file")
            if not document.is_changed:
                continue
            is_main = document is self.main
            text, complete = document.render(as_json=is_main and self.output.endswith(".json"))
            if not complete:
                what = "values are written anew: some comments of the old file are not kept"
                document.changes.append(Change(document.where(()), what))
            target = self.output if is_main else self._name(document, text, files, inputs)
            names[id(document)] = target
            if all(target != file.path for file in files):
                files.append(NewFile(target, text, document.path))
        changes = {str(change): change for document in documents for change in document.changes}
        ordered = sorted(changes.values(), key=lambda change: (change.where.file, change.where.line or 0))
        return Migration(tuple(files), tuple(ordered), frozenset(document.path for document in documents))

    def _name(self, document: Document, text: str, files: Sequence[NewFile], inputs: set[str]) -> str:
        """The path of a new file: beside the config, and neither that of a file that is read nor of another new one."""
        stem = Path(document.path).stem.removesuffix(_MIGRATED)
        folder = Path(self.output).parent
        number = 1
        while True:
            ending = f"{_MIGRATED}.yaml" if number == 1 else f"{_MIGRATED}-{number}.yaml"
            path = str(folder / f"{stem}{ending}")
            same_path = [file for file in files if file.path == path]
            is_same = bool(same_path) and same_path[0].text == text and same_path[0].old_path == document.path
            is_free = not same_path and os.path.realpath(path) not in {*inputs, os.path.realpath(self.output)}
            if is_same or is_free:
                return path
            number += 1


def _top_level(document: Document) -> None:
    """Change the top-level keys."""
    values = document.value
    if "config" in values:
        document.drop((), "config", "the config itself, which only the command line names")
    for name, key in KEYS.items():
        value = values.get(name)
        if isinstance(value, str) and key.type in (bool, int):
            try:
                number = parse(value, name).value
            except ConfigError:
                continue
            if type(number) is key.type:
                document.set((), name, number, "a number or truth value without quotes")
    project = values.get("project_name", KEYS["project_name"].default)
    if values.get("work_dir") is None and project != KEYS["project_name"].default:
        before = "experiment_name" if "experiment_name" in values else "project_name"
        document.set((), "work_dir", tables.WORK_DIR, "the original's default, for every project", after=before)
    if values.get("resume") is True:
        document.note(("resume",), "a context_infos.json of the original is not read: the first run does all jobs")
    mode = values.get("iter_targets_mode", "all")
    if mode not in ("all", "any"):
        what = "the original took any other word than `all` and `any`, and then never ended by a target"
        document.note(("iter_targets_mode",), what)


def _job_keys(job: OldJob) -> None:
    for key in list(job.values):
        if key not in JOB_KEYS:
            job.document.drop(job.path, key, "the original ignored it, and here it is an error")


def _recipe(job: OldJob) -> None:
    """Write out Data-Juicer's defaults that differ here, where a job runs a recipe."""
    if job.values.get("hook") not in tables.RECIPE_HOOKS:
        return
    document, path = job.config("dj_configs")
    recipe = document.mapping(path)
    settings = {
        **(job.document.mapping((*job.path, "local")) or {}),
        **(job.document.mapping((*job.path, "input")) or {}),
    }
    for name, (value, reason) in tables.RECIPE_DEFAULTS.items():
        if name in (recipe or {}) or {"dj_configs", f"dj_configs.{name}"} & {str(key) for key in settings}:
            continue
        if recipe is not None and job.recipe is None:
            job.document.set(path, name, value, reason)
        elif isinstance(job.values.get("dj_configs"), str):
            if job.document.mapping((*job.path, "local")) is None:
                job.document.set(job.path, "local", {f"dj_configs.{name}": value}, reason)
            else:
                job.document.set((*job.path, "local"), f"dj_configs.{name}", value, reason)
    tops = {key.split(".")[0] for key in catalogue().keys} | {"process"}
    for name in recipe or {}:
        if name not in tops and catalogue().find(str(name)) is None:
            document.note((*path, name), f"the installed Data-Juicer has no key `{name}` in a recipe")


def _variables(document: Document, *, is_filled: bool) -> None:
    """Escape what would be filled in here, or be an unknown variable, and was text there.

    Args:
        document: a file.
        is_filled: whether variables are replaced in all of it, and not only in the configs of its jobs.
    """
    for path, text in document.texts():
        if not (is_filled or len(path) == 1 or _FILLED.intersection(map(str, path))):
            continue
        new = _VARIABLE.sub(lambda match: match[0] if match[1] in KEYS else f"${match[0]}", text)
        if new != text:
            document.set(path[:-1], path[-1], new, "`${` begins a variable here")
