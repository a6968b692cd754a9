"""Hooks that evaluate data and models."""

from __future__ import annotations

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.hooks.base import Hook


class EvaluateDataHook(Hook):
    """Evaluates a data set; outputs a score, or all results and the best one."""

    phases = (Phase.EVALUATION,)
    factory = "DataEvaluatorFactory"


class EvaluateModelHook(Hook):
    """Evaluates a model; outputs its scores."""

    phases = (Phase.EVALUATION,)
    factory = "ModelEvaluatorFactory"
