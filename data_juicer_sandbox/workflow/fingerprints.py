"""Fingerprints of configs, files and user code: what a job was computed from and what it wrote."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import xxhash

from data_juicer_sandbox.components.base import Role
from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.file_digests import content_stamp, quick_key, total_size, walk
from data_juicer_sandbox.files import is_pattern, path_exists
from data_juicer_sandbox.hooks import find_hook
from data_juicer_sandbox.plain_json import flatten, texts
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.user_code import UserCode
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths
from data_juicer_sandbox.workflow.resolve import ResolvedJob

Fingerprint = tuple[str, str]
"""What `content_stamp` returns. A fingerprint of an earlier version has three parts, the content digest last."""

LARGE = 64 << 20
"""Total size in bytes from which files are hashed in several threads."""


class FingerprintCache:
    """Caches digests of files by their quick keys, so that an unchanged file is read once, and of the user's code."""

    def __init__(self) -> None:
        self._cache: dict[str, Fingerprint] = {}
        self._code = UserCode()

    def take_code(self, planned_job: PlannedJob, resolved: ResolvedJob | None = None) -> dict[str, str]:
        """The digests of the modules of the user's code that a job runs, by name.

        Args:
            planned_job: the job.
            resolved: the job with its final configs; if None, the configs known before the run are used.

        Raises:
            ConfigError: the resolved configs name an unknown component.
        """
        component = planned_job.component
        configs = [planned_job.extra.value, planned_job.recipe.value]
        if resolved is not None:
            configs = [resolved.extra_configs, resolved.dj_configs]
            if component is None and planned_job.hook is not None:  # `input` or `local` has set its type
                component = planned_job.hook.component_class(resolved.extra_configs)
        return self._code.digests([planned_job.hook, component], [planned_job.job.hook, configs])

    def get(self, path: str) -> Fingerprint | None:
        """The fingerprint of a file or folder; None if it does not exist or cannot be read."""
        try:
            fingerprint = self._cache.get(path)
            if fingerprint is None or fingerprint[0] != quick_key(path):
                fingerprint = self._cache[path] = content_stamp(path)
            return fingerprint
        except OSError:
            return None

    def get_all(self, paths: Sequence[str]) -> dict[str, Fingerprint]:
        """The fingerprints of those paths that exist; large files are hashed in threads, which releases the GIL."""
        workers = min(4, cores())
        if workers > 1 and len(paths) > 1 and sum(map(_size, paths)) > LARGE:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(workers) as pool:
                stamps = list(pool.map(self.get, paths))
        else:
            stamps = [self.get(path) for path in paths]
        return {path: stamp for path, stamp in zip(paths, stamps, strict=True) if stamp}

    def is_unchanged(self, path: str, stamp: Sequence[str]) -> bool:
        """Whether a file or folder still has a fingerprint; it is read only if its quick key differs."""
        try:
            if len(stamp) == 2 and stamp[0] == quick_key(path):
                self._cache[path] = (stamp[0], stamp[1])
                return True
        except OSError:
            return False
        now = self.get(path)
        return now is not None and now[1] == stamp[-1]


def content_of(stamp: Sequence[str]) -> str:
    """The content digest of a fingerprint, including those of earlier versions."""
    return str(stamp[-1])


def config_digests(resolved: ResolvedJob) -> dict[str, str]:
    """A short digest of every value of a resolved job by its key path, so that a change can be named.

    Secrets are masked first: a new API key does not change the experiment, and its digest must not be stored. The
    component's `result_version` counts if it is above 1.
    """
    value = {
        "hook": resolved.job.hook,
        "output": list(resolved.job.output or ()),
        "dj_configs": mask(resolved.dj_configs),
        "extra_configs": mask(resolved.extra_configs),
    }
    if (version := _result_version(resolved)) > 1:
        value["component"] = {"result_version": version}
    return {
        key_path: xxhash.xxh3_64_hexdigest(json.dumps(item, default=repr).encode())
        for key_path, item in flatten(value, keep_empty=True)
    }


def _result_version(resolved: ResolvedJob) -> int:
    component = resolved.component
    if component is None:
        try:
            component = find_hook(resolved.job.hook).component_class(resolved.extra_configs)
        except ConfigError:
            return 1
    return int(getattr(component, "result_version", 1))


def input_paths(planned_job: PlannedJob, resolved: ResolvedJob) -> list[str]:
    """Every file, folder and pattern that a resolved job may read.

    These are the declared inputs and models of its component and recipe, any other value that is the path of a file,
    the files among a program's arguments, and the source files in folders of custom OPs.
    """
    written: set[str] = set()
    if planned_job.component is not None:
        for name, parameter in parameters(planned_job.component)[0].items():
            if parameter.role is Role.OUTPUT:
                written.update(texts(resolved.extra_configs.get(name)))
    if resolved.dj_configs and planned_job.uses_recipe:
        written.update(path for _, path in recipe_paths(resolved.dj_configs, Role.OUTPUT))
    paths = {path for path in declared_inputs(planned_job, resolved) if path_exists(path) or is_pattern(path)}
    config_texts = texts([resolved.extra_configs, resolved.dj_configs])
    paths.update(text for text in config_texts if (os.sep in text or "." in text) and path_exists(text, file=True))
    paths.update(_program_files(resolved.extra_configs, written))
    for folder in texts((resolved.dj_configs or {}).get("custom_operator_paths")):
        if os.path.isdir(folder):  # noqa: PTH112  # the value may be any text
            # The folder itself is not an input: an import writes compiled files into it.
            paths.update(str(file) for file in walk(Path(folder)) if file.suffix == ".py")
    return sorted(paths - written)


def missing_inputs(planned_job: PlannedJob, resolved: ResolvedJob) -> list[str]:
    """The declared inputs that do not exist, such as those that `skip_missing` skips: a job runs again once they do."""
    return sorted(path for path in set(declared_inputs(planned_job, resolved)) if not _exists(path))


def appeared(paths: Sequence[str]) -> str | None:
    """The first of some missing inputs that exists now."""
    return next((path for path in paths if _exists(path)), None)


def _exists(path: str) -> bool:
    return path_exists(path) or (is_pattern(path) and bool(glob.glob(path, recursive=True)))  # noqa: PTH207


def _program_files(extra_configs: Mapping[str, object], written: set[str]) -> Iterator[str]:
    """The files that a program's arguments name relative to its working directory `cwd`, without its outputs."""
    cwd, outputs = extra_configs.get("cwd"), {os.path.abspath(path) for path in written}  # noqa: PTH100
    if not isinstance(cwd, str):
        return
    for text in texts(extra_configs.get("argv")):
        path = os.path.join(cwd, text)  # noqa: PTH118
        if path_exists(path, file=True) and os.path.abspath(path) not in outputs:  # noqa: PTH100
            yield path


def declared_inputs(planned_job: PlannedJob, resolved: ResolvedJob) -> list[str]:
    """Every path that a resolved job's component and recipe declare as inputs or models, whether it exists or not."""
    declared: list[str] = []
    if planned_job.component is not None:
        for name, parameter in parameters(planned_job.component)[0].items():
            if parameter.role in (Role.INPUT, Role.MODEL):
                declared += texts(resolved.extra_configs.get(name))
    if resolved.dj_configs and planned_job.uses_recipe:
        declared += [path for _, path in recipe_paths(resolved.dj_configs, Role.INPUT)]
    return declared


def output_paths(planned_job: PlannedJob, resolved: ResolvedJob, outputs: Mapping[str, object]) -> list[str]:
    """Every existing file and folder that a finished job names in its results, or declares as an output."""
    paths = {
        text
        for text in texts(dict(outputs))
        if (os.sep in text and path_exists(text)) or ("." in text and path_exists(text, file=True))
    }
    if planned_job.component is not None:
        for name, parameter in parameters(planned_job.component)[0].items():
            if parameter.role is Role.OUTPUT:
                paths.update(text for text in texts(resolved.extra_configs.get(name)) if path_exists(text, file=True))
    return sorted(paths)


def _size(path: str) -> int:
    try:
        return total_size(path)
    except OSError:
        return 0
