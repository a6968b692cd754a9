"""Migrate paths of outputs: the original put `iter_<n>` into every export path, also in a single pass."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from data_juicer_sandbox.components.names import stem
from data_juicer_sandbox.migrate.document import Document
from data_juicer_sandbox.migrate.jobs import OldJob
from data_juicer_sandbox.types import JsonValue

_ITERATION = re.compile(r"(?:(?<=/)|^)iter_(\d+)(?:/|$)")
_REASON = "the original put iter_<n> into export paths; here a single pass has no such folder"


@dataclass(frozen=True)
class _Export:
    """An export path of the original, as written there."""

    path: str
    job: OldJob
    is_recipe: bool

    @property
    def is_file(self) -> bool:
        """Whether the original took it for a file."""
        return "." in PurePath(self.path).name[1:]

    @property
    def folder(self) -> str:
        """The folder that `iter_<n>` was put into."""
        return os.path.dirname(self.path) if self.is_file else self.path  # noqa: PTH120  # "" for none

    def holds(self, path: str) -> bool:
        """Whether a path, without `iter_<n>`, is an output of this job."""
        path, folder = os.path.normpath(path), os.path.normpath(self.folder or ".")
        if not self.is_file:
            return path == folder or path.startswith(f"{folder}/")
        if path == folder:
            return True
        parent, name = os.path.split(path)
        begins_alike = name.startswith(stem(self.path))
        return ((parent or ".") == folder and begins_alike) or path.startswith(os.path.normpath(self.path) + "/")


def exports(jobs: Sequence[OldJob]) -> list[_Export]:
    """Every export path of the jobs, as it is before it is migrated."""
    return [export for job in jobs for export in _exports(job)]


def _exports(job: OldJob) -> Iterator[_Export]:
    for name in ("dj_configs", "extra_configs"):
        document, path = job.config(name)
        local = job.document.mapping((*job.path, "local")) or {}
        for value in (document.at((*path, "export_path")), local.get(f"{name}.export_path")):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and text:
                    yield _Export(text, job, name == "dj_configs")


def migrate_paths(documents: Sequence[Document], written: Sequence[_Export], passes: JsonValue) -> None:
    """Take `iter_<n>` out of the paths that name outputs of jobs.

    Args:
        documents: all files of the config.
        written: the export paths as the original's config has them.
        passes: `max_iter_num`.
    """
    if not written:
        return
    for document in documents:
        for path, text in document.texts():
            if not _ITERATION.search(text) or str(path[-1]).endswith("export_path"):
                continue
            # Data-Juicer's older syntax for several data sets: `<weight> <path> <weight> <path>`
            parts = text.split() if re.match(r"[\d.]+\s", text) else [text]
            results = [_migrated(part, written) for part in parts]
            for later_pass in [part for part, new in zip(parts, results, strict=True) if new is None]:
                what = (
                    f"{later_pass} is of a later pass; here each pass reads its own file, by the path without iter_<n>"
                )
                document.note(path, what)
            new = " ".join(part if new is None else new for part, new in zip(parts, results, strict=True))
            if new != text:
                document.set(path[:-1], path[-1], new, _REASON)
                if passes not in (None, 1):
                    what = "each pass reads its own file here; the original's path was that of the first pass"
                    document.note(path, what)


def _migrated(path: str, written: Sequence[_Export]) -> str | None:
    """The path here; the same if it names no output of a job, None if it names an output of a later pass."""
    match, bare = _ITERATION.search(path), path
    while again := _ITERATION.search(bare):  # passes without `iter_updater` were nested
        bare = bare[: again.start()] + bare[again.end() :]
    matching = [export for export in written if export.holds(bare)]
    if match is None or not matching:
        return path
    if match[1] != "1":
        return None
    return _analyzed(_as_folder(bare, matching), matching, written) or "."


def _as_folder(path: str, matching: Sequence[_Export]) -> str:
    """A path in a folder that was named like a file, and has another name here."""
    for export in matching:
        document, config_path = export.job.config("extra_configs")
        new = document.at((*config_path, "export_path"))
        if not export.is_recipe and isinstance(new, str) and new != export.path and path.startswith(f"{export.path}/"):
            return new + path[len(export.path) :]
    return path


def _analyzed(path: str, matching: Sequence[_Export], written: Sequence[_Export]) -> str:
    """The name of an analyzed data set here, or of a pool that is cut from one."""
    probes = [
        export for export in written if export.is_recipe and export.job.values.get("hook") == "ProbeViaAnalyzerHook"
    ]
    # A refined recipe is a file that a later job runs; it exports to the same path.
    processed = {
        export.path
        for export in written
        if export.is_recipe and str(export.job.values.get("hook")).startswith(("ProcessData", "RefineRecipe"))
    }
    for export in probes:
        name = export.job.new_name
        if export.path in processed or not export.is_file:
            continue
        old_stem = stem(export.path)
        new_stem = f"{PurePath(export.path).stem}_{name}_analyzed"
        folder, file = os.path.split(path)
        if export in matching and file in (PurePath(export.path).name, f"{old_stem}_stats.jsonl"):
            return os.path.join(folder, f"{new_stem}.jsonl")  # noqa: PTH118
        pools = [other for other in matching if not other.is_recipe]
        if pools and file.startswith(f"{old_stem}_"):
            return os.path.join(folder, new_stem + file[len(old_stem) :])  # noqa: PTH118
    return path


def note_passes(document: Document, written: Sequence[_Export]) -> None:
    """Note where the outputs of several passes are."""
    passes = document.value.get("max_iter_num")
    if passes in (None, 1) or not written:
        return
    what = (
        "pass n writes to <work_dir>/iter_<n>/<rest of the path> for a path in the work directory, else to"
        " <folder>/iter_<n>/<name>; the original wrote a folder <path> to <path>/iter_<n>"
    )
    document.note(("max_iter_num",), what)
