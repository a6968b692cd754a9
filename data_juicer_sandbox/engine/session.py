"""Session: opens the checkpoint, the log and the watchers of a run, and closes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.engine.runner import RunContext
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.watchers.watcher import Watcher

BESIDE = (
    "metrics.jsonl", "config.json", "iterations.json", "wandb_run.json", "wandb_sweep.json", "report.html",
    "study.journal", "trials",
    "trials.csv", "best.yaml", "front", "plots", logs.FILE,
)  # fmt: skip
"""Files of a run that are moved aside together with its checkpoint."""


@contextmanager
def session(config: SandboxConfig, screen: View, trust_checkpoint: bool = False) -> Iterator[RunContext]:
    """Load or create the context of a run; open its log and watchers until the block ends.

    Raises:
        WorkDirError: the work directory is not writable.
        CheckpointError: the checkpoint is damaged.
    """
    work_dir = Path(config.work_dir)
    checkpoint = Checkpoint(work_dir)
    context = _start_context(config, checkpoint, screen, trust_checkpoint)
    try:
        logs.setup(work_dir / logs.FILE, config.debug)
        watcher = Watcher.open(
            work_dir,
            project=config.project_name,
            experiment=config.experiment_name,
            names=config.watchers,
            config=config.given,
        )
    except OSError as error:
        raise WorkDirError(f"the work directory cannot be written: {error.strerror}", where=str(work_dir)) from error
    try:
        yield RunContext(
            work_dir / logs.FILE,
            context,
            checkpoint,
            watcher,
            screen,
            config.variables,
            config_files=config.files,
            trust_checkpoint=trust_checkpoint,
        )
    finally:
        watcher.close()


def _start_context(config: SandboxConfig, checkpoint: Checkpoint, screen: View, trust: bool) -> ContextInfos:
    work_dir = Path(config.work_dir)
    if config.resume and checkpoint.exists():
        return checkpoint.read(trust=trust)
    try:
        backup_folder = checkpoint.set_aside(*(work_dir / name for name in BESIDE))
    except OSError as error:
        raise WorkDirError(f"an old run cannot be moved aside: {error.strerror}", where=str(work_dir)) from error
    if backup_folder:
        screen.message(f"existing files of a run were moved to {backup_folder}")
    return ContextInfos()
