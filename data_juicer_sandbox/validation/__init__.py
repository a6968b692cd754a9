"""Validation: find every static error of a config before any work starts, without heavy imports."""

from __future__ import annotations

from data_juicer_sandbox.validation.all_checks import ValidationResult, validate, validated_jobs

__all__ = ["ValidationResult", "validate", "validated_jobs"]
