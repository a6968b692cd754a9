"""Hooks that score data and models."""

from __future__ import annotations

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.hooks.base import Hook


class EvaluateDataHook(Hook):
    """Scores a data set; puts out a score, or all results and the best."""

    phases = (Phase.EVALUATION,)
    factory = "DataEvaluatorFactory"


class EvaluateModelHook(Hook):
    """Scores a model; puts out its scores."""

    phases = (Phase.EVALUATION,)
    factory = "ModelEvaluatorFactory"
