"""Checks for components and trackers of your own, to be called in their tests; see docs/developer_guide.md."""

from data_juicer_sandbox.testing.class_checks import check_component_class
from data_juicer_sandbox.testing.components import check_component
from data_juicer_sandbox.testing.trackers import check_tracker

__all__ = ["check_component", "check_component_class", "check_tracker"]
