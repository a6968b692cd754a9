"""`JobCache`: finished jobs by what they were computed from, so that several work directories share them (`cache_dir`).

An entry is a folder `<first two digits of the key>/<key>`: a checkpoint with the results of one job, and copies of the
files that it wrote. The work directory is a placeholder in keys, results and text files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import xxhash

from data_juicer_sandbox import __version__
from data_juicer_sandbox.components.base import Role, Written
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.context.tagged_values import decode
from data_juicer_sandbox.engine.cache_entry import CachedJob
from data_juicer_sandbox.engine.portable_paths import PortablePaths
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.file_digests import digest, walk
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.types import LibraryObject, Variables
from data_juicer_sandbox.workflow.fingerprints import (
    Fingerprint,
    FingerprintCache,
    config_digests,
    content_of,
    declared_inputs,
    input_paths,
)
from data_juicer_sandbox.workflow.output_paths import PathRelocator
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths, texts
from data_juicer_sandbox.workflow.resolve import Finished, ResolvedJob, resolve

FORMAT = 1
"""Is raised when entries of an earlier version must not be used."""


class Forecast:
    """What `plan` says would come from the cache. The outputs of such jobs are known before they are there.

    Args:
        cache: the cache.
        relocator: relocates the outputs of the jobs.
        fingerprints: the fingerprints of the current files.
        variables: values of `${...}`.
    """

    def __init__(self, cache: JobCache, relocator: PathRelocator, fingerprints: FingerprintCache, variables: Variables):
        self._cache, self._relocator, self._fingerprints = cache, relocator, fingerprints
        self._variables = variables
        self._contents: dict[str, str] = {}

    def record(self, planned_job: PlannedJob, finished: Finished) -> JobRecord | None:
        """The record that a job would have if it came from the cache; None if it would run.

        Args:
            planned_job: the job.
            finished: the records before it.
        """
        try:
            resolved = self._relocator.relocate_job(planned_job, resolve(planned_job.job, finished, self._variables))
            code = self._fingerprints.take_code(planned_job, resolved)
        except SandboxError:
            return None
        inputs = {path: self._fingerprints.get(path) for path in input_paths(planned_job, resolved)}
        named = {*declared_inputs(planned_job, resolved), *texts([resolved.extra_configs, resolved.dj_configs])}
        named -= set(declared_paths(planned_job, resolved))
        ready = {path: self._contents[path] for path in named if path in self._contents}
        cached = self._cache.job(planned_job, resolved, self._relocator, code, inputs, ready)
        entry = None if cached is None else cached.entry(by_size=True)
        if cached is None or entry is None:
            return None
        self._contents.update(cached.paths.restored(entry.digests))
        job = planned_job.job
        outputs = decode(cached.paths.restored(entry.outputs))
        return JobRecord(job.meta_name, outputs, Provenance(job.hook, job.phase.value, "done"))


class JobCache:
    """A folder of finished jobs.

    Args:
        folder: the folder; it is created with the first entry.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._digests: dict[tuple[str, str], str] = {}

    def job(
        self,
        planned_job: PlannedJob,
        resolved: ResolvedJob,
        relocator: PathRelocator,
        code: Mapping[str, str],
        inputs: Mapping[str, Fingerprint | None],
        ready_digests: Mapping[str, str] = MappingProxyType({}),
    ) -> CachedJob | None:
        """The entry of a job, by its configs, the content of its inputs and the user's code; None if it has none.

        Args:
            planned_job: the job.
            resolved: the job with its final configs.
            relocator: relocates its outputs.
            code: the digests of the user's code.
            inputs: the fingerprint of each input; None for one that cannot be read.
            ready_digests: the digests of inputs that are not there yet, as entries have them.
        """
        if not _is_cacheable(planned_job, resolved):
            return None
        paths = PortablePaths(relocator.work_dir)
        declared = declared_paths(planned_job, resolved)
        digests = dict(ready_digests)
        for path, stamp in inputs.items():
            if path in digests:
                continue
            if stamp is None:
                return None
            digests[path] = self.digest(paths, path, content_of(stamp))
        named = {*declared, *digests}

        def key_of(value: object) -> LibraryObject:
            if isinstance(value, Mapping):
                return {key_of(key): key_of(item) for key, item in value.items()}
            if isinstance(value, list):
                return [key_of(item) for item in value]
            return paths.key_of(value) if isinstance(value, str) and value in named else value

        mentioned = texts([resolved.dj_configs, resolved.extra_configs])
        configs = {name: key_of(getattr(resolved, name)) for name in ("dj_configs", "extra_configs")}
        content = {
            "format": [FORMAT, __version__],
            "job": [planned_job.job.id, relocator.folder],  # two iterations may differ by chance
            "config": config_digests(replace(resolved, **configs)),
            "code": dict(code),
            "inputs": sorted((paths.key_of(path), content) for path, content in digests.items()),
        }
        key = xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())
        return CachedJob(self, self.folder / key[:2] / key, paths, declared, frozenset(mentioned))

    def digest(self, paths: PortablePaths, path: str, content: str) -> str:
        """The digest of a file or folder that does not depend on the work directory, though its files name it.

        Args:
            paths: the work directory of the run.
            path: the file or folder.
            content: its content digest.
        """
        if paths.of_path(path) == path:
            return content
        if (path, content) not in self._digests:
            try:
                files = {str(file.relative_to(path)): paths.of_text_file(file) for file in walk(Path(path))}
            except (OSError, ValueError, SandboxError):
                files = {}
            value = content
            if any(text is not None for text in files.values()):
                parts = {
                    name: digest(Path(path, name)) if text is None else xxhash.xxh3_128_hexdigest(text.encode())
                    for name, text in files.items()
                }
                value = xxhash.xxh3_128_hexdigest(json.dumps(parts).encode())
            self._digests[path, content] = value
        return self._digests[path, content]


def declared_paths(planned_job: PlannedJob, resolved: ResolvedJob) -> list[str]:
    """The paths that the configs of a job declare as outputs."""
    paths: list[str] = []
    if planned_job.component is not None:
        for name, parameter in parameters(planned_job.component)[0].items():
            if parameter.role is Role.OUTPUT:
                paths += texts(resolved.extra_configs.get(name))
    if resolved.dj_configs and planned_job.uses_recipe:
        paths += [path for _, path in recipe_paths(resolved.dj_configs, Role.OUTPUT)]
    return paths


def _is_cacheable(planned_job: PlannedJob, resolved: ResolvedJob) -> bool:
    """Whether all that a job reads and writes is known: not that of a program, nor a store on another machine."""
    component = planned_job.component
    if component is None or (planned_job.hook is not None and planned_job.hook.reads_probe):
        return False
    if any(parameter.written is Written.BY_PROGRAM for parameter in parameters(component)[0].values()):
        return False
    return not any("://" in path or "{" in path for path in declared_paths(planned_job, resolved))
