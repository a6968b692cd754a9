"""`iter_targets`: conditions on results, parsed and never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Callable

from data_juicer_sandbox.config.schema import Target
from data_juicer_sandbox.context.keys import CONTEXT_KEY_FORM, ContextKey
from data_juicer_sandbox.errors import ResolveError
from data_juicer_sandbox.types import JsonValue

_FORM = re.compile(r"^\s*(?P<key>[^\s<>=]+)\s*(?P<op>>=|<=|==|>|<)\s*(?P<number>\S+)\s*$")


def read_targets(entries: JsonValue, add_problem: Callable[..., None]) -> tuple[Target, ...]:
    """The targets of a config; `add_problem(what, path, hint)` is called for each invalid one."""
    targets = []
    for index, text in enumerate([entries] if isinstance(entries, str) else entries or []):
        match = _FORM.match(text) if isinstance(text, str) else None
        number = _number(match["number"]) if match else None
        if match is None or number is None or not _names_output(match["key"]):
            add_problem(
                f"{text!r} is not a valid target",
                ("iter_targets", index),
                f"{CONTEXT_KEY_FORM} [>|>=|<|<=|==] <number>",
            )
        else:
            targets.append(Target(match["key"], match["op"], number))
    return tuple(targets)


def _names_output(text: str) -> bool:
    try:
        return bool(ContextKey.parse(text).output)
    except ResolveError:
        return False


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
