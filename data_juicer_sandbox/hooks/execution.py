"""Hooks that process data, train models and run inference."""

from __future__ import annotations

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.hooks.base import Hook


class ProcessDataHook(Hook):
    """Applies a Data-Juicer recipe to a data set; outputs the path of the result."""

    phases = (Phase.EXECUTION,)
    factory = "DataExecutorFactory"


class DataPoolManipulationHook(Hook):
    """Constructs, ranks, combines, samples, repeats, mixes, merges and joins data pools; outputs their paths."""

    phases = (Phase.EXECUTION,)
    factory = "DataPoolManipulatorFactory"


class GeneralDataExecutorHook(Hook):
    """Creates or converts a data set without Data-Juicer; outputs its path or paths."""

    phases = (Phase.EXECUTION,)
    factory = "GeneralDataExecutorFactory"


class TrainModelHook(Hook):
    """Trains a model; outputs the path or paths of its checkpoints."""

    phases = (Phase.EXECUTION,)
    factory = "ModelTrainExecutorFactory"


class InferModelHook(Hook):
    """Runs inference on a data set; outputs the path or paths of the completions."""

    phases = (Phase.EXECUTION,)
    factory = "ModelInferExecutorFactory"
