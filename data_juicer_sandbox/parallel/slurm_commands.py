"""The commands of SLURM: `sbatch`, `squeue`, `scontrol`, `scancel`, `sinfo`. They need no accounting database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_juicer_sandbox.errors import JobError

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo")
ACTIVE = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"} | {
    *("RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"),
}
"""The states of a job that is queued or running. In all others it has ended."""
_FORMAT = "%j|%F|%K|%T|%B|%r"
_INPUT_VARIABLES = ("SLURM_CONF", "SLURM_CLUSTERS")
_TIMEOUT = 120
_BATCH = 500
"""Maximum number of job ids in the arguments of one command."""


@dataclass(frozen=True)
class JobState:
    """The state of one element of a job array.

    Args:
        state: such as `RUNNING` or `OUT_OF_MEMORY`; empty if SLURM does not know the job.
        job: its id, such as `12_3`.
        node: where it runs or ran; empty if it has not started.
        reason: why it waits or has ended; empty if SLURM says nothing.
    """

    state: str
    job: str = ""
    node: str = ""
    reason: str = ""


class SlurmError(JobError):
    """A command of SLURM failed."""


def missing_programs() -> list[str]:
    """The commands that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def read_config() -> dict[str, str]:
    """The configuration of the cluster, by the names of `slurm.conf`.

    Raises:
        SlurmError: the cluster does not answer.
    """
    lines = _run(["scontrol", "show", "config"]).splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line]
    return {name.strip(): value.strip() for name, value in pairs}


def node_names() -> set[str]:
    """The names of all nodes.

    Raises:
        SlurmError: the cluster does not answer.
    """
    return set(_run(["sinfo", "--noheader", "--Node", "--format=%N"]).split())


def submit(script: str) -> str:
    """Submit a batch script; returns the job id.

    Raises:
        SlurmError: it is refused, or the cluster does not answer. In the second case it may have been submitted.
    """
    return _run(["sbatch", "--parsable"], script).strip().split(";")[0]


def refusal(script: str) -> str:
    """Why the cluster would refuse a batch script; empty if it would not.

    A node that is busy or down now is no reason, since SLURM then lets the job wait.
    """
    try:
        _run(["sbatch", "--test-only"], script)
    except SlurmError as error:
        waits = re.search(r"nodes are busy|not available \(down|temporarily unable", error.what, re.IGNORECASE)
        return "" if waits else error.what
    return ""


def job_states(names: Iterable[str]) -> dict[tuple[str, int], JobState]:
    """The states of all elements of job arrays, also of those that ended some minutes ago.

    Args:
        names: the names of the arrays.

    Returns:
        the states by name and index. An element that SLURM has forgotten is missing.

    Raises:
        SlurmError: the cluster does not answer.
    """
    names = sorted(names)
    if not names:
        return {}
    options = ["--me", "--array", "--noheader", "--states=all", f"--name={','.join(names)}", f"--format={_FORMAT}"]
    states = {}
    for line in _run(["squeue", *options]).splitlines():
        name, job, index, state, node, reason = [*line.split("|", 5), *[""] * 6][:6]
        if index.isdigit():  # else it is not an array, or a headline, which `SLURM_CLUSTERS` adds
            node, reason = (("" if text in ("n/a", "None", "(null)") else text) for text in (node, reason))
            states[name, int(index)] = JobState(state, f"{job}_{index}", node, reason)
    return states


def exit_status(job: str) -> str:
    """The exit status of an ended job in words, such as `exit status 1` or `signal 9`; empty if it is not known."""
    try:
        match = re.search(r"\bExitCode=(\d+):(\d+)", _run(["scontrol", "--oneliner", "show", "job", job]))
    except SlurmError:  # forgotten meanwhile
        return ""
    if match is None or match[0].endswith("=0:0"):
        return ""
    return f"signal {match[2]}" if match[2] != "0" else f"exit status {match[1]}"


def limit_running(job: str, count: int) -> None:
    """Set how many elements of a job array may run at the same time; 0: all.

    Raises:
        SlurmError: it cannot be set; for instance, no element waits any longer.
    """
    _run(["scontrol", "update", f"JobId={job}", f"ArrayTaskThrottle={count}"])


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; those that have ended are ignored.

    Raises:
        SlurmError: the cluster does not answer.
    """
    for start in range(0, len(jobs), _BATCH):
        _run(["scancel", "--quiet", *jobs[start : start + _BATCH]])


def _run(command: list[str], text: str | None = None) -> str:
    # A run that is itself a job of SLURM has variables of its own job, which must not reach the new ones.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name in _INPUT_VARIABLES
    }
    try:
        process = subprocess.run(
            command,
            input="" if text is None else text,
            env=environment,
            text=True,
            errors="replace",
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it: a job might be lost
        )
    except FileNotFoundError as error:
        raise SlurmError(f"`{command[0]}` is not installed here") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"`{command[0]}` did not answer within {_TIMEOUT} seconds") from error
    if process.returncode:
        lines = (process.stderr.strip() or process.stdout.strip()).splitlines()
        texts = [re.sub(rf"^{command[0]}: (error: )?", "", line).strip() for line in lines]
        raise SlurmError(f"`{command[0]}` failed: {'; '.join(texts) or f'exit status {process.returncode}'}")
    return process.stdout
