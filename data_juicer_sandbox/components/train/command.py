"""Training by any program."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse.typing import PositiveFloat

from data_juicer_sandbox.components.base import InputPaths, JobRun, ProgramOutput, ProgramOutputs
from data_juicer_sandbox.components.command import CommandComponent, Scalar
from data_juicer_sandbox.errors import JobError


class CommandTrainer(CommandComponent):
    """Train with any program: its arguments, its environment, how to read its metrics, what it leaves.

    The program is run without a shell, standard input closed. Its lines go to the log (level DEBUG), its last one to
    the progress display, its metrics to the watcher as they come. When it ends, or the run ends in any way, everything
    that it started is ended too. Relative paths, but for those in `argv`, are relative to the folder of the run, not
    to `cwd`.

    Args:
        argv: the program and its arguments.
        result: what it makes: a path or several, which must exist when it has ended. They are put out.
        cwd: the folder it runs in; the current one by default.
        env: variables added to the inherited environment. The values of those whose names speak of a key, token,
            secret or password are masked wherever its output is shown.
        timeout: seconds it may take; as long as it likes by default.
        metrics: `jsonl`: each line of its standard output that is a JSON object is a set of metrics, its `step` the
            step.
        metrics_pattern: a regular expression with named groups, looked for in every line of its output: each group a
            metric, `step` the step.
        metrics_file: a file of JSON lines, or of one JSON object, read when it has ended; it must have been written by
            then.
        reads: files or folders it reads; when one of them changes, a resumed run does this job again.
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
    ):
        super().__init__(argv, cwd, env, timeout, metrics, metrics_pattern, metrics_file, reads)
        self.result = result

    def run(self, job: JobRun) -> str | list[str]:
        """Run the program; returns `result` as it was given."""
        self.execute(job)
        wanted = [self.result] if isinstance(self.result, str) else self.result
        if missing := [path for path in wanted if not Path(path).exists()]:
            raise JobError(
                f"{self.program.argv[0]} ended well, but left no {', no '.join(missing)}",
                hint=f"relative paths in `result` start from {Path.cwd()}",
            )
        return self.result
