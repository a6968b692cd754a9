"""The batch script of a job array: each element runs the command of one task. submitit writes the `#SBATCH` lines.

The script names the folders of its tasks, and SLURM keeps the script: no other file has to outlive the run.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_juicer_sandbox import imports
from data_juicer_sandbox.config.parallel import SLURM, Resources
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.parallel.backend import Submission
from data_juicer_sandbox.parallel.tasks import LOG
from data_juicer_sandbox.types import JsonValue, LibraryObject

SUBMITTED = "submitted.json"
"""The file in a task's folder that names the job array which runs it."""
TIMEOUTS = "timeouts"
"""The file in a task's folder with the number of its time-outs."""
NOT_VISIBLE = 66
"""Exit status if the node does not see the task's folder."""
MAX_TIMEOUTS = 3
"""How often a task is queued again after its time is over; the default of submitit."""
_TIMEOUT_KEY = "max_num_timeout"
_OWN = {
    "array_parallelism": "`max_workers`",
    "num_gpus": "`resources: {gpus: ...}`",
    "srun_args": "nothing: tasks are started without srun",
    "use_srun": "nothing: tasks are started without srun",
    "stderr_to_stdout": "nothing: the output goes to log.txt in the task's folder",
}
"""Parameters of submitit that this backend sets itself, and what to write instead."""
_LISTS = ("setup", "teardown")
_NOT_PASSED = (*_LISTS, _TIMEOUT_KEY, "additional_parameters")
DELAY = 90
"""Seconds before the end of its time at which a task is queued again; the default of submitit."""

_BEGIN = """\
case "$SLURM_ARRAY_TASK_ID" in
{cases}
esac
[ -d "$folder" ] || exit {not_visible}
# Else a later job has taken over the task.
grep -qsF {name} "$folder/{submitted}" || exit 0
exec >>"$folder/{log}" 2>&1
export PYTHONPATH={path}
export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-${{SLURM_CPUS_ON_NODE:-1}}}}"
export OMP_WAIT_POLICY="${{OMP_WAIT_POLICY:-PASSIVE}}"
"""
_RUN = """\
timed_out() {{
    count=$(cat "$folder/{timeouts}" 2>/dev/null || echo 0)
    if [ "$count" -lt {max_timeouts} ]; then
        echo $((count + 1)) > "$folder/{timeouts}"
        echo "the time is over; queued again ($((count + 1)) of {max_timeouts})"
        scontrol requeue "$SLURM_JOB_ID"
    fi
}}
trap timed_out USR2
"${{command[@]}}" &
task=$!
trap 'kill -TERM "$task" 2>/dev/null' TERM
wait "$task"
status=$?
while kill -0 "$task" 2>/dev/null; do
    wait "$task"
    status=$?
done
"""


@dataclass(frozen=True)
class ScriptWriter:
    """Writes batch scripts.

    Args:
        slurm: the keys `slurm_*` of the config.
    """

    slurm: Mapping[str, JsonValue]

    def check(self) -> None:
        """Check the keys.

        Raises:
            MissingDependency: submitit is not installed.
            JobError: a key is unknown, or its value has the wrong type.
        """
        defaults = _submitit()._get_default_parameters()
        valid_keys = [f"{SLURM}{name}" for name in [*defaults, _TIMEOUT_KEY] if name not in _OWN]
        for key, value in self.slurm.items():
            name = key.removeprefix(SLURM)
            if name in _OWN:
                raise JobError(f"`{key}` cannot be set", hint=f"write {_OWN[name]}")
            if key not in valid_keys:
                raise JobError(f"unknown parameter of SLURM `{key}`", hint=suggest(key, valid_keys))
            _check_value(key, name, value)

    def script(
        self, name: str, resources: Resources, submissions: Sequence[Submission], parallelism: int | None = None
    ) -> str:
        """The script of a job array.

        Args:
            name: the name of the array; no other one has it.
            resources: what each task needs.
            submissions: its tasks.
            parallelism: how many of them run at the same time; None: all.
        """
        begin = _BEGIN.format(
            cases="\n".join(_case(number, task) for number, task in enumerate(submissions)),
            not_visible=NOT_VISIBLE,
            name=shlex.quote(f'"{name}"'),
            submitted=SUBMITTED,
            log=LOG,
            path=shlex.quote(os.pathsep.join(entry for entry in sys.path if entry)),
        )
        values = self._values()
        run = _RUN.format(timeouts=TIMEOUTS, max_timeouts=values.get(_TIMEOUT_KEY, MAX_TIMEOUTS))
        command = "\n".join([run, *values.get("teardown", []), 'exit "$status"'])
        setup = [begin, *values.get("setup", [])]
        return self._sbatch(
            name, _parameters(resources), command, setup, len(submissions), parallelism or len(submissions)
        )

    def probe(self, name: str, command: str) -> str:
        """The script of an array of one element that runs a shell command and needs as little as possible."""
        return self._sbatch(name, {"time": 1, "cpus_per_task": 1}, command)

    def _sbatch(
        self,
        name: str,
        parameters: Mapping[str, LibraryObject],
        command: str,
        setup: Sequence[str] = (),
        count: int = 1,
        parallelism: int = 1,
    ) -> str:
        values = self._values()
        delay = values.get("signal_delay_s", DELAY)
        options = {key.replace("_", "-"): value for key, value in values.get("additional_parameters", {}).items()}
        # `B:`: to the script, which has no steps.
        additional = {"signal": f"B:USR2@{delay}", **options, "output": os.devnull, "error": os.devnull}
        if "no-requeue" not in options:
            additional["requeue"] = True
        values = {key: value for key, value in values.items() if key not in _NOT_PASSED}
        return str(
            _submitit()._make_sbatch_string(
                command=command,
                folder=os.devnull,
                setup=list(setup),
                map_count=count,
                array_parallelism=parallelism,
                additional_parameters=additional,
                use_srun=False,
                stderr_to_stdout=True,
                **{"time": None, "wckey": None, **values, **parameters, "job_name": name},
            )
        )

    @property
    def prefix(self) -> str:
        """The beginning of the names of job arrays."""
        return str(self._values().get("job_name", "dj-sandbox"))

    def _values(self) -> dict[str, LibraryObject]:
        return {key.removeprefix(SLURM): value for key, value in self.slurm.items() if value is not None}


def _case(number: int, task: Submission) -> str:
    return f"{number}) folder={shlex.quote(str(task.folder))} command=({shlex.join(task.command)}) ;;"


def _parameters(resources: Resources) -> dict[str, LibraryObject]:
    """What a task needs, by the names of submitit."""
    values = {
        "cpus_per_task": resources.cpus,
        "gpus_per_node": resources.gpus or None,
        "mem": None if resources.memory_gb is None else f"{math.ceil(resources.memory_gb * 1e9 / (1 << 20))}M",
        "time": None if resources.minutes is None else math.ceil(resources.minutes),
    }
    return {name: value for name, value in values.items() if value is not None}


def _check_value(key: str, name: str, value: JsonValue) -> None:
    if name == _TIMEOUT_KEY:
        if type(value) is not int or value < 0:
            raise JobError(f"`{key}` must be a whole number of 0 or more, not {value!r}")
        return
    if name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
            raise JobError(f"`{key}` must be a list of shell commands, not {value!r}")
        return
    if name == "additional_parameters":
        if not isinstance(value, dict):
            raise JobError(f"`{key}` must be a mapping of options of sbatch, not {value!r}")
        for option, entry in value.items():
            _check_value(f"{key}.{option}", option, entry)
        return
    # A line break would begin a line of the script.
    if isinstance(value, list | dict) or "\n" in str(value):
        raise JobError(f"`{key}` must be a number or one line of text, not {value!r}")
    if name == "job_name" and not re.fullmatch(r"[\w.-]+", str(value)):
        raise JobError(f"`{key}` may contain letters, digits, and `_.-` only, not {value!r}")


def _submitit() -> LibraryObject:
    imports.load("submitit", extra="slurm")
    return imports.load("submitit.slurm.slurm", extra="slurm")
