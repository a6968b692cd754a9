"""Evaluation by any program."""

from __future__ import annotations

from typing import Literal

from jsonargparse.typing import PositiveFloat

from data_juicer_sandbox.components.base import InputPaths, JobRun, ProgramOutput
from data_juicer_sandbox.components.command import CommandComponent, Metrics, Scalar
from data_juicer_sandbox.errors import ConfigError, JobError


class CommandEvaluator(CommandComponent):
    """Evaluate with any program; its last set of metrics, without `step`, is the result.

    The program is run without a shell, standard input closed. Its lines go to the log (level DEBUG), its last one to
    the progress display, its metrics to the watcher as they come. When it ends, or the run ends in any way, everything
    that it started is ended too. Relative paths, but for those in `argv`, are relative to the folder of the run, not
    to `cwd`.

    Args:
        argv: the program and its arguments.
        cwd: the folder it runs in; the current one by default.
        env: variables added to the inherited environment. The values of those whose names speak of a key, token,
            secret or password are masked wherever its output is shown.
        timeout: seconds it may take; as long as it likes by default.
        metrics: `jsonl`: each line of its standard output that is a JSON object is a set of metrics, its `step` the
            step. One of the three ways must be given.
        metrics_pattern: a regular expression with named groups, looked for in every line of its output: each group a
            metric, `step` the step.
        metrics_file: a file of JSON lines, or of one JSON object, read when it has ended; it must have been written by
            then.
        reads: files or folders it reads; when one of them changes, a resumed run does this job again.
    """

    outputs = ("scores",)

    def __init__(
        self,
        argv: list[Scalar],
        cwd: str | None = None,
        env: dict[str, Scalar] | None = None,
        timeout: PositiveFloat | None = None,
        metrics: Literal["jsonl"] | None = None,
        metrics_pattern: str | None = None,
        metrics_file: ProgramOutput | None = None,
        reads: InputPaths | None = None,
    ):
        super().__init__(argv, cwd, env, timeout, metrics, metrics_pattern, metrics_file, reads)
        if not self.ways:
            raise ConfigError("nothing says how to read the result", hint="metrics, metrics_pattern or metrics_file")

    def run(self, job: JobRun) -> Metrics:
        """Run the program; returns its last set of metrics."""
        found = self.execute(job)
        if not found:
            raise JobError(
                f"{self.program.argv[0]} ended well, but no metrics were found", hint=f"read by {self.ways[0]}"
            )
        return found
