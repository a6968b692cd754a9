"""Runs checks and reports all that failed in one AssertionError."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Mapping

Check = Callable[[], Iterable[str]]
"""Yields a sentence for each problem."""

MAX_SHOWN = 10
"""Problems of one check that the error lists."""


def report(subject: str, checks: Mapping[str, Check], skip: Collection[str] = ()) -> None:
    """Run all checks, and raise one error that names those that failed.

    Args:
        subject: what is checked, for the error.
        checks: the checks by name.
        skip: names of checks that are not run.

    Raises:
        AssertionError: a check failed; lists all problems.
        ValueError: `skip` has a name that no check has.
    """
    if unknown := sorted(set(skip) - set(checks)):
        raise ValueError(f"no check is named {', '.join(unknown)}; the checks: {', '.join(checks)}")
    failed: dict[str, list[str]] = {}
    for name, check in checks.items():
        if name not in skip and (problems := _problems(check)):
            failed[name] = problems
    if failed:
        lines = [f"{subject} fails {len(failed)} of {len(checks) - len(set(skip))} checks:"]
        for name, problems in failed.items():
            lines += [f"- {name}: {problem}" for problem in problems[:MAX_SHOWN]]
            if len(problems) > MAX_SHOWN:
                lines.append(f"- {name}: {len(problems) - MAX_SHOWN} more")
        raise AssertionError("\n".join(lines))


def _problems(check: Check) -> list[str]:
    problems: list[str] = []
    try:
        for problem in check():
            problems.append(problem)  # keeps those before an error
    except Exception as error:
        problems.append(f"the check could not end: {describe(error)}")
    return problems


def describe(error: BaseException) -> str:
    """An error with its type, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    position = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}".removesuffix(": ") + position
