"""Hooks that process data, train models and let them answer."""

from __future__ import annotations

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.hooks.base import Hook


class ProcessDataHook(Hook):
    """Applies a Data-Juicer recipe to a data set; puts out the path of the result."""

    phases = (Phase.EXECUTION,)
    factory = "DataExecutorFactory"


class DataPoolManipulationHook(Hook):
    """Cuts, ranks, combines, draws, repeats, mixes, merges, joins whole data pools; puts out the list of paths."""

    phases = (Phase.EXECUTION,)
    factory = "DataPoolManipulatorFactory"


class GeneralDataExecutorHook(Hook):
    """Makes or converts a data set by other means than Data-Juicer; puts out its path or paths."""

    phases = (Phase.EXECUTION,)
    factory = "GeneralDataExecutorFactory"


class TrainModelHook(Hook):
    """Trains a model; puts out the path or paths of its checkpoints."""

    phases = (Phase.EXECUTION,)
    factory = "ModelTrainExecutorFactory"


class InferModelHook(Hook):
    """Lets a model answer a data set; puts out the path or paths of the answers."""

    phases = (Phase.EXECUTION,)
    factory = "ModelInferExecutorFactory"
