"""Run one job: resolve its configs, build its component, record its outputs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import JobRun, Progress, Role
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.context.provenance import Provenance, Trace
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.errors import JobError, SandboxError
from data_juicer_sandbox.files import guarded_by, make_folder
from data_juicer_sandbox.hooks import find_hook
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.interruption import is_failure
from data_juicer_sandbox.output_guard import OutputGuard, OutputLedger
from data_juicer_sandbox.secrets import mask_text
from data_juicer_sandbox.types import Variables
from data_juicer_sandbox.validation.outputs import check_output, declared_outputs
from data_juicer_sandbox.watchers.watcher import JobWatcher, Watcher
from data_juicer_sandbox.workflow.fingerprints import (
    Fingerprint,
    FingerprintCache,
    config_digests,
    content_of,
    declared_inputs,
    input_paths,
    missing_inputs,
    output_paths,
)
from data_juicer_sandbox.workflow.output_paths import PathRelocator, job_folder
from data_juicer_sandbox.workflow.planned_job import PlannedJob, recipe_paths
from data_juicer_sandbox.workflow.resolve import Finished, ResolvedJob, resolve
from data_juicer_sandbox.workflow.untrusted import refuse_untrusted

if TYPE_CHECKING:
    from data_juicer_sandbox.engine.cache_entry import CachedJob, RecordingWatcher
    from data_juicer_sandbox.engine.job_cache import JobCache
    from data_juicer_sandbox.types import LibraryObject


@dataclass(frozen=True)
class PreparedJob:
    """A job that is ready to run, and the state of what it reads.

    Args:
        planned_job: the job.
        resolved: its final configs.
        hook: its hook.
        folder: its own folder; it exists.
        guard: decides what it may write; its declared outputs are claimed.
        code: the digests of the user's code.
        fingerprints: those of the files that it may read; None for one that does not exist.
        missing: its declared inputs that do not exist.
        finished: the records that it may read.
        started: when it was prepared, in seconds since the epoch.
        watcher: receives its metrics.
        cached: its entry in the cache; None without a cache, or if the job cannot be in one.
        recorder: receives its metrics instead of `watcher` if they are kept for the cache.
        redo: the user asked to redo the job: its component must not reuse results of an earlier run.
    """

    planned_job: PlannedJob
    resolved: ResolvedJob
    hook: type[Hook]
    folder: Path
    guard: OutputGuard
    code: Mapping[str, str]
    fingerprints: Mapping[str, Fingerprint | None]
    missing: list[str]
    finished: Finished
    started: float
    watcher: JobWatcher
    cached: CachedJob | None
    recorder: RecordingWatcher | None
    redo: bool

    def restored(self) -> dict[str, LibraryObject] | None:
        """Take the results of the job from the cache; returns its outputs, None if it is to be run.

        Raises:
            JobError: the job must not write a file of the entry.
        """
        if self.cached is None or self.redo:
            return None
        with guarded_by(self.guard):
            return self.cached.restore(self.watcher)


def run_job(
    planned_job: PlannedJob,
    finished: Finished,
    *,
    relocator: PathRelocator,
    variables: Variables,
    watcher: Watcher,
    progress: Progress,
    fingerprints: FingerprintCache,
    ledger: OutputLedger,
    config_files: Sequence[str] = (),
    redo: bool = False,
    cache: JobCache | None = None,
) -> JobRecord:
    """Resolve a job, run its hook or take its results from the cache, and record its outputs.

    Args:
        redo: the user asked to redo the job: its component must not reuse results of an earlier run.
        cache: the finished jobs of other work directories.

    Raises:
        Exception: any error of the job's component; JobError for outputs that do not match `output`.
    """
    prepared = prepare_job(
        planned_job,
        finished,
        relocator=relocator,
        variables=variables,
        watcher=watcher,
        fingerprints=fingerprints,
        ledger=ledger,
        config_files=config_files,
        redo=redo,
        cache=cache,
    )
    job, process = prepared.planned_job.job, os.getpid()
    reports = prepared.recorder or prepared.watcher
    run = JobRun(job.pipeline, job.meta_name, prepared.folder, reports, progress, redo)
    try:
        if (outputs := prepared.restored()) is not None:
            return finish_job(prepared, outputs, fingerprints, is_from_cache=True)
        with guarded_by(prepared.guard):
            outputs = name_outputs(prepared.planned_job, prepared.hook().run(prepared.resolved, run))
    except BaseException as error:
        prepared.guard.settle(completed=False)
        if isinstance(error, Exception) or not is_failure(error, process):
            raise
        raise JobError(f"{type(error).__name__}: {error}") from error
    return finish_job(prepared, outputs, fingerprints)


def prepare_job(
    planned_job: PlannedJob,
    finished: Finished,
    *,
    relocator: PathRelocator,
    variables: Variables,
    watcher: Watcher,
    fingerprints: FingerprintCache,
    ledger: OutputLedger,
    config_files: Sequence[str] = (),
    redo: bool = False,
    cache: JobCache | None = None,
) -> PreparedJob:
    """Resolve a job, and take the fingerprints of what it reads.

    Raises:
        SandboxError: its configs cannot be resolved, or it must not write one of its outputs.
    """
    job = planned_job.job
    started = time.time()
    resolved = resolve(job, finished, variables)
    is_as_planned = resolved.extra_configs == (planned_job.extra.value or {})
    resolved = relocator.relocate_job(planned_job, resolved)
    _check_recipe(planned_job, resolved)
    watcher.start(
        job.pipeline, job.meta_name, {"dj_configs": resolved.dj_configs, "extra_configs": resolved.extra_configs}
    )
    folder = job_folder(relocator.root, planned_job)
    make_folder(relocator.work_dir, folder)
    hook = planned_job.hook or find_hook(job.hook)
    component = planned_job.component
    if component is None or not is_as_planned:  # an earlier job has written its config, or `input` has set its `type`
        component = hook.component_class(resolved.extra_configs)
    if component is not planned_job.component:
        planned_job = PlannedJob(job, hook, component, planned_job.recipe, planned_job.extra)
        resolved = relocator.relocate_job(planned_job, resolved)
    refuse_untrusted(resolved, component, str(relocator.work_dir))
    resolved = replace(resolved, component=component)
    code = fingerprints.take_code(planned_job, resolved)
    fingerprints_before = {path: fingerprints.get(path) for path in input_paths(planned_job, resolved)}
    missing = missing_inputs(planned_job, resolved)
    job_watcher = watcher.of(job.pipeline, job.meta_name)
    cached = None if cache is None else cache.job(planned_job, resolved, relocator, code, fingerprints_before)
    recorder = None if cached is None else cached.recorder(job_watcher)
    guard = _guard_outputs(planned_job, resolved, relocator, folder, ledger, config_files)
    return PreparedJob(
        planned_job,
        resolved,
        hook,
        folder,
        guard,
        code,
        fingerprints_before,
        missing,
        finished,
        started,
        job_watcher,
        cached,
        recorder,
        redo,
    )


def finish_job(
    prepared: PreparedJob,
    outputs: dict[str, LibraryObject],
    fingerprints: FingerprintCache,
    *,
    is_from_cache: bool = False,
) -> JobRecord:
    """Record the outputs of a job that has run, or whose results came from the cache.

    Args:
        prepared: the job.
        outputs: its outputs by name.
        fingerprints: the fingerprints of the current files.
        is_from_cache: whether they came from the cache.
    """
    planned_job, resolved, job = prepared.planned_job, prepared.resolved, prepared.planned_job.job
    prepared.guard.settle()
    fingerprints.take_code(planned_job, resolved)  # keeps the digests of modules that the job has imported
    written_paths = _written_paths(planned_job, resolved, outputs, prepared.fingerprints, prepared.finished)
    inputs = {path: stamp for path, stamp in prepared.fingerprints.items() if stamp and path not in written_paths}
    changed = [path for path, stamp in inputs.items() if _content_digest(fingerprints.get(path)) != content_of(stamp)]
    for path in changed:
        logger.warning("{} changed while job {} read it: a resumed run does this job again", path, job.label)
    ended = time.time()
    written = fingerprints.get_all(written_paths)
    trace = Trace(config_digests(resolved), dict(prepared.code), inputs, written, changed, prepared.missing)
    seconds = round(ended - prepared.started, 3)
    cached = prepared.cached
    cache_key = cached.key if cached is not None and is_from_cache else None
    provenance = Provenance(job.hook, job.phase.value, "done", prepared.started, ended, seconds, None, cache_key, trace)
    record = JobRecord(job.meta_name, outputs, provenance)
    if cached is not None and prepared.recorder is not None and not is_from_cache and not changed:
        cached.store(record, prepared.recorder, prepared.guard)
    return record


def _written_paths(
    planned_job: PlannedJob,
    resolved: ResolvedJob,
    outputs: Mapping[str, object],
    read_paths: Iterable[str],
    finished: Finished,
) -> list[str]:
    """The paths that a job wrote: those declared in its configs and those named in its results, without inputs.

    A result may also name an input, as that of a ranking does. A path that existed before the job is an input if the
    component declares it as one, or if an earlier job wrote it. Any other path counts as an output if a result names
    it.
    """
    paths = output_paths(planned_job, resolved, outputs)
    inputs = set(read_paths).intersection(declared_inputs(planned_job, resolved))
    if ambiguous_paths := set(read_paths).intersection(paths) - inputs:
        for _, record in finished:
            inputs |= ambiguous_paths.intersection(record.provenance.outputs)
    return [path for path in paths if path not in inputs]


def _content_digest(stamp: Fingerprint | None) -> str | None:
    return None if stamp is None else content_of(stamp)


def _guard_outputs(
    planned_job: PlannedJob,
    resolved: ResolvedJob,
    relocator: PathRelocator,
    folder: Path,
    ledger: OutputLedger,
    config_files: Sequence[str],
) -> OutputGuard:
    """Create the guard of a job's outputs and check the declared outputs.

    Raises:
        JobError: the job must not write one of them; names the key in its config.
    """
    inputs = [*config_files, *resolved.files, *declared_inputs(planned_job, resolved)]
    # A hook that refines a recipe does not read its data set, and must not replace it either.
    inputs += [path for _, path in recipe_paths(resolved.dj_configs or {}, Role.INPUT)]
    guard = OutputGuard(relocator.work_dir, planned_job.job.id, inputs, ledger, folder, relocator.root)
    for key, path, written in declared_outputs(planned_job, resolved.extra_configs, resolved.dj_configs):
        try:
            check_output(guard, path, written, claim=True)
        except JobError as error:
            name = ".".join(map(str, key))
            raise JobError(f"`{name}`: {error.what}", where=planned_job.job.where(key[0]), hint=error.hint) from error
    return guard


def failed_record(planned_job: PlannedJob, error: BaseException, started: float) -> JobRecord:
    """The record of a job that ended with an error: no outputs, but the cause."""
    ended = time.time()
    job, seconds = planned_job.job, round(ended - started, 3)
    provenance = Provenance(job.hook, job.phase.value, "failed", started, ended, seconds, error=cause(error))
    return JobRecord(job.meta_name, {}, provenance)


def cause(error: BaseException) -> str:
    """The message of an error, secrets masked; with the class name unless it is a SandboxError (`KeyError: 'x'`)."""
    return mask_text(str(error) if isinstance(error, SandboxError) else f"{type(error).__name__}: {error}")


def name_outputs(planned_job: PlannedJob, result: object) -> dict[str, LibraryObject]:
    """Name the results of a job: a tuple holds several results, any other value, also a falsy one, is a single result.

    Raises:
        JobError: the number of results differs from that of the `output` names, or a value cannot be stored.
    """
    results = result if isinstance(result, tuple) else (result,)
    names = planned_job.job.output or tuple(f"res_{number}" for number in range(1, len(results) + 1))
    if len(names) != len(results):
        what = f"the job returned {len(results)} result(s), but `output` names {len(names)}: {', '.join(names)}"
        raise JobError(what, where=planned_job.job.where("output"))
    return {name: to_plain(value, name) for name, value in zip(names, results, strict=True)}


def _check_recipe(planned_job: PlannedJob, resolved: ResolvedJob) -> None:
    """Check the final recipe: values that `input` and `local` set could not be checked before the run."""
    if resolved.dj_configs is None or planned_job.hook is None:
        return
    from data_juicer_sandbox.components.data import recipe_check  # reads its index of OPs: only where there is a recipe

    faults = recipe_check.check(resolved.dj_configs, lambda path: False)
    if faults:
        messages = "; ".join(f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in faults)
        raise JobError(
            f"its recipe is wrong: {messages}", where=planned_job.job.where("dj_configs"), hint=faults[0].hint
        )
