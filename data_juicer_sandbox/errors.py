"""The errors that this package raises. Imports nothing heavy, so every module can use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_juicer_sandbox.control_characters import escape_controls

MAX_PROBLEMS = 200
"""Reading a config stops after this number of problems."""


@dataclass(frozen=True)
class Where:
    """File and line of an error."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class SandboxError(Exception):
    """Base class of all errors: what is wrong, where, and what would be right.

    Args:
        what: the problem, in one sentence.
        where: the file and line, or the job.
        hint: what would be right.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: Where | str | None = None, hint: str | None = None):
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return escape_controls(f"{text} ({self.hint})" if self.hint else text)


class ConfigError(SandboxError):
    """One problem in a config."""

    exit_code = 2


class ConfigErrors(ConfigError):
    """All errors of a config, at most `MAX_PROBLEMS`, as a list in `problems`."""

    def __init__(self, problems: Sequence[ConfigError], warnings: Sequence[str] = ()):
        self.warnings = tuple(warnings)
        self.problems = sorted(problems[:MAX_PROBLEMS], key=_file_and_line)
        count, more = len(self.problems), " or more" if len(problems) >= MAX_PROBLEMS else ""
        super().__init__(f"{count}{more} error{'s' if count != 1 else ''} in the config")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems, self.warnings)

    def __str__(self) -> str:
        return "\n".join([f"{self.what}:", *(f"  {problem}" for problem in self.problems)])


class TooManyProblems(Exception):
    """Raised when a config has `MAX_PROBLEMS` problems: reading stops."""


class Problems(list[ConfigError]):
    """Collects the problems of a config."""

    def append(self, problem: ConfigError) -> None:
        """Add a problem.

        Raises:
            TooManyProblems: the list has reached `MAX_PROBLEMS`.
        """
        super().append(problem)
        if len(self) >= MAX_PROBLEMS:
            raise TooManyProblems


def _file_and_line(problem: ConfigError) -> tuple[str, int]:
    where = problem.where
    return (where.file, where.line or 0) if isinstance(where, Where) else (str(where or ""), 0)


class ResolveError(SandboxError):
    """A key of `input` or `local` refers to something that does not exist."""


class CheckpointError(SandboxError):
    """A checkpoint is damaged, refused, or cannot be written."""

    exit_code = 2


class WorkDirError(SandboxError):
    """The work directory cannot be used: in use by another run, or not writable."""

    exit_code = 2


class JobError(SandboxError):
    """A job cannot continue. Components raise it for problems that the user can fix."""


class MissingDependency(SandboxError):
    """An optional library is not installed; the hint is the command that installs it."""


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all exceptions that it came from (`__cause__` and `__context__`), nearest first, each once.

    Chains can contain circles: `raise a from b`, where `b` came from `a`.

    Args:
        error: the exception; None gives nothing.
    """
    pending, visited = [error], set()
    while pending:
        current = pending.pop(0)
        if current is not None and id(current) not in visited:
            visited.add(id(current))
            yield current
            pending += [current.__cause__, current.__context__]
