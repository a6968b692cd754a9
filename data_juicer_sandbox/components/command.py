"""Base of the `command` trainer and evaluator: runs a program and reads its metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from math import isfinite
from pathlib import Path
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, ProgramOutput
from data_juicer_sandbox.components.number_types import PositiveFloat
from data_juicer_sandbox.components.processes.program import Line, Program
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import state_key
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import Metrics

Scalar = str | int | float

LOGGED = 2000
NOTED = 80
TOGETHER = 50
"""Number of lines that are logged as one message if they arrive together."""


class CommandComponent(Component):
    """Runs a program and reads its metrics. See the subclasses."""

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
        if not argv or not str(argv[0]):
            raise ConfigError("argv is empty", hint="the program, then its arguments: [python, train.py, --epochs, 3]")
        if isinstance(argv, str):
            raise ConfigError(
                f"argv {shown(argv, 200)} is one string", hint="a list: program and arguments; there is no shell"
            )
        sources = {"metrics": metrics, "metrics_pattern": metrics_pattern, "metrics_file": metrics_file}
        self.metric_sources = [name for name, value in sources.items() if value is not None]
        if len(self.metric_sources) > 1:
            raise ConfigError(f"{' and '.join(self.metric_sources)} are both given", hint="set only one of them")
        variables = {name: str(value) for name, value in (env or {}).items()}
        self.program = Program([str(part) for part in argv], cwd, variables, timeout)
        self.metrics_file = metrics_file
        self._parse: Callable[[Line], Metrics] | None = None
        if metrics_pattern is not None:
            self._parse = pattern_parser(metrics_pattern)
        elif metrics is not None:
            self._parse = parse_json

    def execute(self, job: JobRun) -> Metrics | None:
        """Run the program; returns its last set of metrics, without the step, or None if there is none.

        Raises:
            JobError: the program failed, or did not write its metrics file.
        """
        last: Metrics | None = None
        initial_state = _state(self.metrics_file)
        name = Path(self.program.argv[0]).name
        logger.info("running {}", self.program.shown()[:LOGGED])
        with job.progress.task(name) as task, closing(self.program.batches()) as batches:
            for lines in batches:
                texts = self.program.masked("\n".join(line.text for line in lines)).split("\n")
                log_lines(name, texts)
                if note := next((text.strip() for text in reversed(texts) if text.strip()), ""):
                    task.update(note=note[:NOTED])
                for line in lines if self._parse else ():
                    if self._parse and (metrics := self._parse(line)):
                        last = watch(job, metrics) or last
        if self.metrics_file is not None:
            if _state(self.metrics_file) in (initial_state, None):
                raise JobError(f"{name} did not write its metrics file {self.metrics_file}")
            for metrics in read_metrics(self.metrics_file):
                last = watch(job, metrics) or last
        return last


def log_lines(name: str, lines: list[str]) -> None:
    """Log the lines of a program: each as a message, but many that arrive together as one, since a message takes
    longer than a line of metrics.
    """
    lines = [line[:LOGGED] for line in lines]
    for message in lines if len(lines) < TOGETHER else ["\n".join(lines)]:
        logger.debug("{}: {}", name, message)


def watch(job: JobRun, metrics: Metrics) -> Metrics:
    """Report a set of metrics to the watcher, with `step` as the step; returns it without the step."""
    values = dict(metrics)
    step = number(values.pop("step", None))
    if values:
        job.watcher.watch(values, step=int(step) if isinstance(step, int | float) and isfinite(step) else None)
    return values


def parse_json(line: Line) -> Metrics:
    """The metrics of a line of standard output that is a JSON object; empty for any other line."""
    text = line.text.strip()
    if line.error or not text.startswith("{"):
        return {}
    try:
        content = loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def pattern_parser(pattern: str) -> Callable[[Line], Metrics]:
    """Create a parser that reads metrics from a line by the named groups of a regular expression.

    Raises:
        ConfigError: the regular expression is invalid, or has no named group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"metrics_pattern {pattern!r} is not a regular expression: {error}") from error
    if not set(compiled.groupindex) - {"step"}:
        raise ConfigError(
            f"metrics_pattern {pattern!r} has no named group for a metric", hint=r"such as loss: (?P<loss>[\d.]+)"
        )

    def parse(line: Line) -> Metrics:
        match = compiled.search(line.text)
        groups = match.groupdict() if match else {}
        return {name: number(value) for name, value in groups.items() if value is not None}

    return parse


def number(value: object) -> object:
    """Convert a text that is a number; return any other value unchanged."""
    if isinstance(value, str):
        for number_type in (int, float):
            try:
                return number_type(value)
            except ValueError:
                continue
    return value


def read_metrics(path: str) -> Iterator[Metrics]:
    """Yield the sets of metrics in a file: one JSON object, or one per line.

    Raises:
        JobError: the file contains anything else.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    try:
        sets = [loads(text)]
    except ValueError:
        try:
            sets = [loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise JobError(f"{path} holds neither a JSON object nor JSON lines: {error}") from error
    for metrics in sets:
        if not isinstance(metrics, dict):
            raise JobError(f"{path} holds a {type(metrics).__name__}, expected metrics", hint="a JSON object")
        yield metrics


def _state(path: str | None) -> str | None:
    """The state of a file, to detect whether it was written; None if it does not exist."""
    if path is None or not Path(path).is_file():
        return None
    return state_key(Path(path).stat())
