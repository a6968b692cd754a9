"""`iter_targets`: conditions on results, parsed and never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from data_juicer_sandbox.config.schema import Target

_FORM = re.compile(r"^\s*(?P<key>[^\s<>=]+)\s*(?P<op>>=|<=|==|>|<)\s*(?P<number>\S+)\s*$")


def read_targets(entries: Any, add_problem: Callable[..., None]) -> tuple[Target, ...]:
    """The targets of a config; `add_problem(what, path, hint)` is called for each invalid one."""
    targets = []
    for index, text in enumerate([entries] if isinstance(entries, str) else entries or []):
        match = _FORM.match(text) if isinstance(text, str) else None
        number = _number(match["number"]) if match else None
        if match is None or number is None or len(match["key"].split(".")) < 3:
            add_problem(
                f"{text!r} is not a valid target",
                ("iter_targets", index),
                "<pipeline>.<meta_name>.<output> [>|>=|<|<=|==] <number>",
            )
        else:
            targets.append(Target(match["key"], match["op"], number))
    return tuple(targets)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
