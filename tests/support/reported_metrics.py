"""Checks in every test that what a built-in component reports is declared by its `metrics`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from data_juicer_sandbox.components.base import Component, NullJob
from data_juicer_sandbox.testing.class_checks import undeclared_metrics
from data_juicer_sandbox.watchers.base import flat_values
from data_juicer_sandbox.watchers.watcher import JobWatcher


def check_all_reports(monkeypatch: Any) -> None:
    """Make each watcher fail if a component reports a metric that it does not declare."""
    for watcher in (JobWatcher, NullJob):
        monkeypatch.setattr(watcher, "watch", _checked(watcher.watch))


def _checked(original: Any) -> Any:
    def watch(self: object, values: Mapping[str, object], step: int | None = None) -> None:
        component = _running_component(sys._getframe(1))
        if component is not None:
            reported = {key: step is not None for key, _ in flat_values(dict(values))}
            problems = list(undeclared_metrics(type(component), None, reported))
            assert not problems, f"{type(component).__name__}: {problems}"
        original(self, values, step)

    return watch


def _running_component(frame: FrameType | None) -> Component | None:
    """The component whose `run` is on the stack; None in other threads."""
    while frame is not None:
        owner = frame.f_locals.get("self")
        if frame.f_code.co_name == "run" and isinstance(owner, Component):
            return owner
        frame = frame.f_back
    return None
