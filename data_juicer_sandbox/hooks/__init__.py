"""The hooks by name. Nothing is imported before it is needed."""

from __future__ import annotations

from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import import_class
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.plugins import plugins

HOOKS: dict[str, str] = {
    name: f"data_juicer_sandbox.hooks.{module}:{name}"
    for module, names in {
        "probe": ("ProbeViaAnalyzerHook", "ProbeViaModelInferHook", "GeneralProbeHook"),
        "refine": ("RefineRecipeViaKSigmaHook", "RefineRecipeViaModelFeedbackHook"),
        "execution": (
            "ProcessDataHook",
            "DataPoolManipulationHook",
            "GeneralDataExecutorHook",
            "TrainModelHook",
            "InferModelHook",
        ),
        "evaluation": ("EvaluateDataHook", "EvaluateModelHook"),
    }.items()
    for name in names
}


def find_hook(name: str) -> type[Hook]:
    """The hook of a name, of a plug-in (entry-point group `data_juicer_sandbox.hooks`), or at a dotted path.

    Raises:
        ConfigError: there is none; names the known ones and the nearest.
    """
    if name in HOOKS or "." in name:
        found = import_class(HOOKS.get(name, name))
    else:
        known = {**plugins("hooks"), **HOOKS}
        if name not in known:
            raise ConfigError(f"unknown hook {name!r}", hint=suggest(name, known))
        found = import_class(known[name])
    if not issubclass(found, Hook):
        raise ConfigError(f"{name!r} is no hook", hint="a subclass of data_juicer_sandbox.hooks.base.Hook")
    return found
