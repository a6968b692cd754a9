"""`PathRelocator`: moves the output paths of an iteration or a trial into a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.files import is_there
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths
from data_juicer_sandbox.workflow.resolve import ResolvedJob


@dataclass(frozen=True)
class PathRelocator:
    """Moves what jobs write into a folder, and what they read of it with it.

    Args:
        work_dir: the run's work directory.
        folder: where to, below the work directory (`iter_1`, `trials/trial_3`); empty to move nothing.
        written: the paths that the config's jobs write, as the config names them.
        only: ids of the jobs that are moved; None for all.
    """

    work_dir: Path
    folder: str = ""
    written: frozenset[str] = frozenset()
    only: frozenset[str] | None = None

    @classmethod
    def of(
        cls, work_dir: Path, folder: str, planned_jobs: Iterable[PlannedJob], only: frozenset[str] | None = None
    ) -> PathRelocator:
        """The places of a config whose jobs are `planned_jobs`; only what these write is moved."""
        written = frozenset(path for planned_job in planned_jobs for path, _, _ in planned_job.paths(Role.OUTPUT))
        return cls(work_dir, folder, written, only)

    @property
    def root(self) -> Path:
        """The folder that everything goes to, that of the jobs too."""
        return self.work_dir / self.folder

    def relocate(self, path: str) -> str:
        """A path of its own for what is written to `path`: below the work directory it keeps its way from there,
        another keeps its own beside the folder's name (`out/a.jsonl` becomes `out/iter_1/a.jsonl`).
        """
        if not self.folder:
            return path
        inside = _below(path, str(self.work_dir))
        if inside is not None:
            return path if _below(path, str(self.root)) is not None else os.path.join(self.root, inside)  # noqa: PTH118
        given = Path(path)
        return path if self.folder in str(given.parent) else str(given.parent / self.folder / given.name)

    def relocate_job(self, planned_job: PlannedJob, resolved: ResolvedJob) -> ResolvedJob:
        """A resolved job with its paths moved: all it writes, and all it reads that the config names as written."""
        if not self.folder or (self.only is not None and planned_job.job.id not in self.only):
            return resolved
        extra = {name: self._read(value) for name, value in resolved.extra_configs.items()}
        recipe = None if resolved.dj_configs is None else self._read(resolved.dj_configs)
        if planned_job.component is not None:
            for name, parameter in parameters(planned_job.component)[0].items():
                if parameter.role is Role.OUTPUT and name in resolved.extra_configs:
                    extra[name] = self._write(resolved.extra_configs[name])
        if recipe is not None and planned_job.uses_recipe:
            for way, path in recipe_paths(resolved.dj_configs or {}, Role.OUTPUT):
                recipe[way[0]] = self.relocate(path)
        return replace(resolved, extra_configs=extra, dj_configs=recipe)

    def _write(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.relocate(value)
        return [self._write(item) for item in value] if isinstance(value, list) else value

    def _read(self, value: Any) -> Any:
        """A copy in which every path that lies where a job of this config writes is moved."""
        if isinstance(value, Mapping):
            return {key: self._read(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._read(item) for item in value]
        if isinstance(value, str) and ("/" in value or "." in value) and any(_of(value, path) for path in self.written):
            moved = self.relocate(value)
            # The user's own file may lie in a folder that jobs write to; it has no counterpart.
            return value if is_there(value) and not is_there(moved) else moved
        return value


def _below(path: str, folder: str) -> str | None:
    """The way from a folder to a path in it, or None."""
    way = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))  # noqa: PTH100
    return None if way.split(os.sep, 1)[0] == os.pardir else way


def _of(path: str, written: str) -> bool:
    """Whether a path is what is written there, in it, or beside it with its stem (`<stem>_stats.jsonl`)."""
    if _below(path, written) is not None:
        return True
    mine, its = Path(path), Path(written)
    return bool(its.suffix) and mine.parent == its.parent and mine.name.startswith(its.stem)
