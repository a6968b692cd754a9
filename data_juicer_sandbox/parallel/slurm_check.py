"""What has to be right before tasks are submitted to SLURM."""

from __future__ import annotations

import os
import shlex
import time
import uuid
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from data_juicer_sandbox.config.parallel import Resources
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.parallel import slurm_commands as commands
from data_juicer_sandbox.parallel.backend import Submission
from data_juicer_sandbox.parallel.shared_folder import is_local, probe_file
from data_juicer_sandbox.parallel.slurm_script import NOT_VISIBLE, ScriptWriter

PROBE_SECONDS = 15.0
"""Maximum time to wait for the job that checks whether a node sees the folder of the run."""


def check_cluster(writer: ScriptWriter, resources: Sequence[tuple[str, Resources]], folder: Path | None = None) -> None:
    """Check that the cluster answers and accepts such tasks, and that its nodes see a folder.

    Args:
        writer: writes the batch scripts.
        resources: what the tasks need, with the label of each.
        folder: the folder that holds those of the tasks.

    Raises:
        JobError: one line that says what is wrong.
    """
    missing = commands.missing_programs()
    if missing:
        what = f"SLURM is not installed here: no {', '.join(f'`{name}`' for name in missing)}"
        raise JobError(what, hint="start the run on a login node of the cluster, or choose another `parallel.backend`")
    try:
        commands.read_config()
    except commands.SlurmError as error:
        raise JobError(f"the SLURM cluster does not answer: {error.what}") from error
    first: dict[Resources, str] = {}
    for label, needed in resources:
        first.setdefault(needed, label)
    for needed, label in first.items():
        reason = commands.refusal(writer.script("check", needed, [Submission(Path("/"), label, needed)]))
        if reason:
            raise JobError(f"SLURM would not run {label} ({_described(needed)}): {reason}")
    this_machine = os.uname().nodename.split(".")[0]
    if folder is not None and is_local(folder) and commands.node_names() != {this_machine}:
        _check_visible(writer, folder)


def _check_visible(writer: ScriptWriter, folder: Path) -> None:
    """Let a job look for a file in a folder. If the cluster is busy, this is not waited for: tasks look for it too."""
    name = f"{writer.prefix}-{uuid.uuid4().hex[:12]}"
    with probe_file(folder) as path:
        text = f"[ -e {shlex.quote(str(path))} ] || exit {NOT_VISIBLE}"
        job = commands.submit(writer.probe(name, text))
        deadline = time.monotonic() + PROBE_SECONDS
        try:
            while time.monotonic() < deadline:
                state = commands.job_states([name]).get((name, 0))
                if state is None or state.state not in commands.ACTIVE:
                    break
                time.sleep(0.5)
        finally:
            commands.cancel([job])
    if state is not None and commands.exit_status(state.job) == f"exit status {NOT_VISIBLE}":
        what = f"the node {state.node} does not see the folder {folder}"
        raise JobError(what, hint="use a `work_dir` on a file system that all nodes share")


def _described(resources: Resources) -> str:
    values = {part.name: getattr(resources, part.name) for part in fields(resources)}
    return ", ".join(f"{name}: {value:g}" for name, value in values.items() if value is not None) or "no `resources`"
