"""Training by any program."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from data_juicer_sandbox.components.base import InputPaths, JobRun, ProgramOutput, ProgramOutputs
from data_juicer_sandbox.components.command import CommandComponent, Scalar
from data_juicer_sandbox.components.number_types import PositiveFloat
from data_juicer_sandbox.errors import JobError


class CommandTrainer(CommandComponent):
    """Train with any program.

    The program runs without a shell and with standard input closed. Its output goes to the log (level DEBUG), the last
    line to the progress display, its metrics to the watcher as they appear. When the program or the run ends, all
    processes that it started are stopped too. Relative paths, except those in `argv`, are relative to the folder of the
    run, not to `cwd`.

    Args:
        argv: the program and its arguments.
        result: the path or paths that the program creates; they must exist when it has ended. They are the output.
        cwd: working directory of the program; the current one by default.
        env: variables added to the inherited environment. Values of variables whose name contains key, token, secret or
            password are masked wherever the program's output is shown.
        timeout: time limit in seconds; none by default.
        metrics: `jsonl`: each line of standard output that is a JSON object is a set of metrics, with its `step`.
        metrics_pattern: a regular expression with named groups, searched in every line of output: each group is a
            metric, `step` the step.
        metrics_file: a file of JSON lines, or of one JSON object, that the program writes; read when it has ended.
        reads: files or folders that the program reads; if one changes, a resumed run repeats this job.
        writes: files or folders that the program writes, besides `result` and `metrics_file`; `[]` if
            none. If it is not set, it may write every path in `argv` and `env`, and does not run beside a job that uses
            one of them.
    """

    outputs = ("models",)

    def __init__(
        self,
        argv: list[Scalar],
        result: ProgramOutputs,
        cwd: str | None = None,
        env: dict[str, Scalar] | None = None,
        timeout: PositiveFloat | None = None,
        metrics: Literal["jsonl"] | None = None,
        metrics_pattern: str | None = None,
        metrics_file: ProgramOutput | None = None,
        reads: InputPaths | None = None,
        writes: ProgramOutputs | None = None,
    ):
        super().__init__(argv, cwd, env, timeout, metrics, metrics_pattern, metrics_file, reads)
        self.result = result

    def run(self, job: JobRun) -> str | list[str]:
        """Run the program; returns `result`."""
        self.execute(job)
        result_paths = [self.result] if isinstance(self.result, str) else self.result
        if missing := [path for path in result_paths if not Path(path).exists()]:
            raise JobError(
                f"{self.program.argv[0]} succeeded, but did not create {', '.join(missing)}",
                hint=f"relative paths in `result` start from {Path.cwd()}",
            )
        return self.result
