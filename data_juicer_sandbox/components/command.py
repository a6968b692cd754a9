"""What the `command` trainer and evaluator share: a program run, its metrics read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import PositiveFloat
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, ProgramOutput
from data_juicer_sandbox.components.processes.program import Line, Program
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import state_key
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import shown

Scalar = str | int | float
Metrics = dict[str, Any]

LOGGED = 2000
NOTED = 80


class CommandComponent(Component):
    """Runs a program and reads its metrics. See the classes made from it."""

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
        ways = {"metrics": metrics, "metrics_pattern": metrics_pattern, "metrics_file": metrics_file}
        self.ways = [name for name, value in ways.items() if value is not None]
        if len(self.ways) > 1:
            raise ConfigError(f"{' and '.join(self.ways)} are both given", hint="metrics are read in one way")
        given = {name: str(value) for name, value in (env or {}).items()}
        self.program = Program([str(part) for part in argv], cwd, given, timeout)
        self.metrics_file = metrics_file
        self._parse: Callable[[Line], Metrics] | None = None
        if metrics_pattern is not None:
            self._parse = pattern_parser(metrics_pattern)
        elif metrics is not None:
            self._parse = parse_json

    def execute(self, job: JobRun) -> Metrics | None:
        """Run the program; returns its last set of metrics, without the step, or None where there was none.

        Raises:
            JobError: it failed, or wrote no metrics file.
        """
        last: Metrics | None = None
        before = _state(self.metrics_file)
        name = Path(self.program.argv[0]).name
        logger.info("running {}", self.program.shown()[:LOGGED])
        with job.progress.task(name) as task, closing(self.program.run()) as lines:
            for line in lines:
                text = self.program.masked(line.text)
                logger.debug("{}: {}", name, text[:LOGGED])
                if text.strip():
                    task.update(note=text.strip()[:NOTED])
                if self._parse and (found := self._parse(line)):
                    last = watch(job, found) or last
        if self.metrics_file is not None:
            if _state(self.metrics_file) in (before, None):
                raise JobError(f"{name} did not write its metrics file {self.metrics_file}")
            for found in read_metrics(self.metrics_file):
                last = watch(job, found) or last
        return last


def watch(job: JobRun, found: Metrics) -> Metrics:
    """Hand a set of metrics to the watcher, `step` apart; returns it without the step."""
    values = dict(found)
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
        found = loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def pattern_parser(pattern: str) -> Callable[[Line], Metrics]:
    """What reads metrics from a line by a regular expression's named groups.

    Raises:
        ConfigError: it is none, or has no named group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"metrics_pattern {pattern!r} is no regular expression: {error}") from error
    if not set(compiled.groupindex) - {"step"}:
        raise ConfigError(
            f"metrics_pattern {pattern!r} has no named group for a metric", hint=r"such as loss: (?P<loss>[\d.]+)"
        )

    def parse(line: Line) -> Metrics:
        match = compiled.search(line.text)
        groups = match.groupdict() if match else {}
        return {name: number(value) for name, value in groups.items() if value is not None}

    return parse


def number(value: Any) -> Any:
    """A text that is a number, as the number; anything else as it is."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def read_metrics(path: str) -> Iterator[Metrics]:
    """The sets of metrics of a file: one JSON object, or one a line.

    Raises:
        JobError: the file holds something else.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    try:
        sets = [loads(text)]
    except ValueError:
        try:
            sets = [loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise JobError(f"{path} holds neither a JSON object nor JSON lines: {error}") from error
    for found in sets:
        if not isinstance(found, dict):
            raise JobError(f"{path} holds a {type(found).__name__} where metrics are wanted", hint="a JSON object")
        yield found


def _state(path: str | None) -> str | None:
    """What tells whether a file has been written; None where there is none."""
    if path is None or not Path(path).is_file():
        return None
    return state_key(Path(path).stat())
