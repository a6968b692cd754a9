"""`PathRelocator`: moves the output paths of an iteration or a trial into a separate folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths
from data_juicer_sandbox.workflow.resolve import ResolvedJob


@dataclass(frozen=True)
class PathRelocator:
    """Moves the output paths of jobs into a folder, and the input paths that refer to such outputs.

    Args:
        work_dir: the run's work directory.
        folder: the target folder, relative to the work directory (`iter_1`, `trials/trial_3`); empty: move nothing.
        written: the output paths of the jobs, as the config spells them.
        only: ids of the jobs to relocate; None for all.
    """

    work_dir: Path
    folder: str = ""
    written: frozenset[str] = frozenset()
    only: frozenset[str] | None = None

    @classmethod
    def of(
        cls, work_dir: Path, folder: str, planned_jobs: Iterable[PlannedJob], only: frozenset[str] | None = None
    ) -> PathRelocator:
        """The relocator of these jobs; it moves only paths that they write."""
        written = frozenset(path for planned_job in planned_jobs for path, _, _ in planned_job.paths(Role.OUTPUT))
        return cls(work_dir, folder, written, only)

    @property
    def root(self) -> Path:
        """The target folder, which also contains the folders of the jobs."""
        return self.work_dir / self.folder

    def relocate(self, path: str) -> str:
        """The relocated path. A path below the work directory keeps its relative path below the target folder; any
        other gets the folder's name before its file name (`out/a.jsonl` becomes `out/iter_1/a.jsonl`).
        """
        if not self.folder:
            return path
        relative_path = _relative_below(path, str(self.work_dir))
        if relative_path is not None:
            return path if _relative_below(path, str(self.root)) is not None else os.path.join(self.root, relative_path)  # noqa: PTH118
        original = Path(path)
        return path if self.folder in str(original.parent) else str(original.parent / self.folder / original.name)

    def relocate_job(self, planned_job: PlannedJob, resolved: ResolvedJob) -> ResolvedJob:
        """A resolved job with relocated paths: its outputs, and those inputs that a job of the config writes."""
        if not self.folder or (self.only is not None and planned_job.job.id not in self.only):
            return resolved
        extra = {name: self._relocate_reference(value) for name, value in resolved.extra_configs.items()}
        recipe = None if resolved.dj_configs is None else self._relocate_reference(resolved.dj_configs)
        if planned_job.component is not None:
            for name, parameter in parameters(planned_job.component)[0].items():
                if parameter.role is Role.OUTPUT and name in resolved.extra_configs:
                    extra[name] = self._relocate_output(resolved.extra_configs[name])
        if recipe is not None and planned_job.uses_recipe:
            for key_path, path in recipe_paths(resolved.dj_configs or {}, Role.OUTPUT):
                recipe[key_path[0]] = self.relocate(path)
        return replace(resolved, extra_configs=extra, dj_configs=recipe)

    def _relocate_output(self, value: object) -> object:
        if isinstance(value, str):
            return self.relocate(value)
        return [self._relocate_output(item) for item in value] if isinstance(value, list) else value

    def _relocate_reference(self, value: object) -> JsonValue:
        """A copy in which every path that a job of this config writes is relocated."""
        if isinstance(value, Mapping):
            return {key: self._relocate_reference(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._relocate_reference(item) for item in value]
        if (
            isinstance(value, str)
            and ("/" in value or "." in value)
            and any(_belongs_to_output(value, path) for path in self.written)
        ):
            relocated = self.relocate(value)
            # The user's own file may lie in a folder that jobs write to; it has no counterpart.
            return value if path_exists(value) and not path_exists(relocated) else relocated
        return value


def job_folder(root: Path, planned_job: PlannedJob) -> Path:
    """The folder of a job. That of a refine job contains the phase, since it may share its name with a probe."""
    job = planned_job.job
    name = f"{job.meta_name}.{job.phase.value}" if job.phase is Phase.REFINE and job.named else job.meta_name
    return root / "jobs" / job.pipeline / name


def _relative_below(path: str, folder: str) -> str | None:
    """The path relative to a folder, or None if it lies outside."""
    relative_path = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))  # noqa: PTH100
    return None if relative_path.split(os.sep, 1)[0] == os.pardir else relative_path


def _belongs_to_output(path: str, written: str) -> bool:
    """Whether a path is the output `written`, lies in it, or is a sibling file with its stem (`<stem>_stats.jsonl`)."""
    if _relative_below(path, written) is not None:
        return True
    candidate, output = Path(path), Path(written)
    return bool(output.suffix) and candidate.parent == output.parent and candidate.name.startswith(output.stem)
