"""Session: opens what a run needs (its lock, log, checkpoint and watchers), and closes all of it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_juicer_sandbox.components.processes import orphan_guard
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.context.lock import locked
from data_juicer_sandbox.engine.process_state import preserved_process
from data_juicer_sandbox.engine.runner import RunContext, open_cache
from data_juicer_sandbox.engine.status_view import StatusView
from data_juicer_sandbox.errors import SandboxError, WorkDirError
from data_juicer_sandbox.output_guard import refuse_foreign_run_files, refuse_links
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.silent_view import SilentView
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.watchers.watcher import Watcher

BESIDE = (
    "metrics.jsonl", "config.json", "iterations.json", "wandb_run.json", "wandb_sweep.json", "report.html",
    "study.journal", "trials",
    "trials.csv", "search.json", "best.yaml", "front", "plots", logs.FILE,
)  # fmt: skip
"""Files of a run that are moved aside together with its checkpoint."""

_running = threading.Lock()


@contextmanager
def session(
    config: SandboxConfig, screen: View, trust_checkpoint: bool = False, forced: Collection[str] = ()
) -> Iterator[RunContext]:
    """Load or create the context of a run; hold its lock and open its log and watchers until the block ends.

    The jobs whose ids are in `forced` will run again.

    When the block ends, logging, environment and standard streams of the process are as they were before.

    Raises:
        WorkDirError: the work directory is in use or not writable.
        CheckpointError: the checkpoint is damaged.
        SandboxError: this process is executing another run.
    """
    work_dir = Path(config.work_dir)
    with ExitStack() as stack:
        stack.enter_context(only_run_of_process())
        refuse_links(work_dir)
        refuse_foreign_run_files(work_dir)
        stack.enter_context(preserved_process())
        stack.enter_context(orphan_guard.active())
        stack.enter_context(locked(work_dir))
        checkpoint = Checkpoint(work_dir)
        context = _start_context(config, checkpoint, screen, trust_checkpoint)
        if forced and checkpoint.exists():
            context.force(forced)
            checkpoint.write(context)
        try:
            logs.setup(work_dir / logs.FILE, config.debug, file_only=isinstance(screen, SilentView))
            stack.callback(logs.close)
            watcher = Watcher.open(
                work_dir,
                project=config.project_name,
                experiment=config.experiment_name,
                names=config.watchers,
                config=config.content,
            )
        except OSError as error:
            what = f"the work directory cannot be written: {error.strerror}"
            raise WorkDirError(what, where=str(work_dir)) from error
        stack.callback(watcher.close)
        status_view = StatusView(screen, work_dir, config.parallel.backend)
        stack.callback(status_view.close)
        yield RunContext(
            work_dir / logs.FILE,
            context,
            checkpoint,
            watcher,
            status_view,
            config.variables,
            config_files=config.files,
            trust_checkpoint=trust_checkpoint,
            parallel=config.parallel,
            debug=config.debug,
            on_error=config.on_error,
            cache=open_cache(config),
        )


@contextmanager
def only_run_of_process() -> Iterator[None]:
    """Allow one run at a time in a process: log, output guard and environment belong to the process as a whole.

    Raises:
        SandboxError: another thread is executing a run, or a component of a run started another one.
    """
    if not _running.acquire(blocking=False):
        what = "this process is executing another run"
        raise SandboxError(what, hint="wait for its end, or start `dj-sandbox` as a process of its own")
    try:
        yield
    finally:
        _running.release()


def _start_context(config: SandboxConfig, checkpoint: Checkpoint, screen: View, trust: bool) -> ContextInfos:
    work_dir = Path(config.work_dir)
    if config.resume and checkpoint.exists():
        return checkpoint.read(trust=trust)
    if config.resume:
        screen.message(f"nothing to resume: {work_dir} has no results of an earlier run, so all jobs run")
    n_done = 0 if config.resume else _finished_jobs(checkpoint)
    try:
        backup_folder = checkpoint.set_aside(*(work_dir / name for name in BESIDE))
    except OSError as error:
        raise WorkDirError(f"an old run cannot be moved aside: {error.strerror}", where=str(work_dir)) from error
    if backup_folder:
        kept = f"; `--resume true` would have kept its {n_done} finished job{'s'[: n_done != 1]}" if n_done else ""
        screen.message(f"existing files of a run were moved to {backup_folder}{kept}")
    return ContextInfos()


def _finished_jobs(checkpoint: Checkpoint) -> int:
    """The number of finished jobs in a checkpoint; 0 if there is none, or it cannot be read."""
    try:
        iterations = checkpoint.read().iterations if checkpoint.exists() else []
    except SandboxError:
        return 0
    return sum(record.done for iteration in iterations for records in iteration.values() for record in records.values())
