"""Every static error of a config at once, before any work starts, without importing a heavy library."""

from __future__ import annotations

from data_juicer_sandbox.checks.check import Findings, check, look

__all__ = ["Findings", "check", "look"]
