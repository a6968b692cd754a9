"""The hooks by name. Nothing is imported before it is needed."""

from __future__ import annotations

from data_juicer_sandbox.code_policy import check_user_code
from data_juicer_sandbox.config.suggestions import nearest, suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import import_class
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.plugins import plugins

HOOKS: dict[str, str] = {
    name: f"data_juicer_sandbox.hooks.builtin:{name}"
    for name in (
        "ProbeViaAnalyzerHook",
        "ProbeViaModelInferHook",
        "GeneralProbeHook",
        "RefineRecipeViaKSigmaHook",
        "RefineRecipeViaModelFeedbackHook",
        "ProcessDataHook",
        "DataPoolManipulationHook",
        "GeneralDataExecutorHook",
        "TrainModelHook",
        "InferModelHook",
        "EvaluateDataHook",
        "EvaluateModelHook",
    )
}


def find_hook(name: str) -> type[Hook]:
    """The hook class of a built-in name, a plug-in (entry-point group `data_juicer_sandbox.hooks`) or a dotted path.

    Raises:
        ConfigError: the name is unknown, or the class is not a hook; lists the known names and the nearest.
    """
    if name not in HOOKS:
        check_user_code(name)
    if name in HOOKS or "." in name:
        hook = import_class(HOOKS.get(name, name))
    else:
        targets = {**plugins("hooks"), **HOOKS}
        if name not in targets:
            raise ConfigError(f"unknown hook {name!r}", hint=suggest(name, targets))
        hook = import_class(targets[name])
    if not issubclass(hook, Hook):
        raise ConfigError(f"{name!r} is not a hook", hint="a subclass of data_juicer_sandbox.hooks.base.Hook")
    return hook


def similar_hook(name: str) -> type[Hook] | None:
    """The built-in hook with the most similar name, for an unknown one; None if no name is similar."""
    similar = None if "." in name or name in plugins("hooks") else nearest(name, HOOKS)
    return None if similar is None else find_hook(similar)
