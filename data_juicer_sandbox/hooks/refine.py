"""Hooks that make a recipe better."""

from __future__ import annotations

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.hooks.base import Hook


class RefineRecipeViaKSigmaHook(Hook):
    """Sets each OP's bounds to the mean plus and minus k standard deviations of the probe of the same `meta_name`.

    Puts out the path of the new recipe.
    """

    phases = (Phase.REFINE,)
    component = "data_juicer_sandbox.components.refine.k_sigma:KSigmaRefiner"
    reads_probe = True
    runs_recipe = False


class RefineRecipeViaModelFeedbackHook(Hook):
    """Moves each OP's bounds to where a model's per-sample feedback says that it gains.

    Puts out the path of the new recipe.
    """

    phases = (Phase.REFINE,)
    component = "data_juicer_sandbox.components.refine.model_feedback:ModelFeedbackRefiner"
    runs_recipe = False
