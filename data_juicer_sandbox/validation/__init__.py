"""Every static error of a config at once, before any work starts, without importing a heavy library."""

from __future__ import annotations

from data_juicer_sandbox.validation.all_checks import ValidationResult, validate, validated_jobs

__all__ = ["ValidationResult", "validate", "validated_jobs"]
