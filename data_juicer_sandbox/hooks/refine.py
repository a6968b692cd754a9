"""Hooks that refine a recipe."""

from __future__ import annotations

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.hooks.base import Hook


class RefineRecipeViaKSigmaHook(Hook):
    """Sets each OP's bounds to the mean plus and minus k standard deviations of the probe of the same `meta_name`.

    Output: the path of the new recipe.
    """

    phases = (Phase.REFINE,)
    component = "data_juicer_sandbox.components.refine.k_sigma:KSigmaRefiner"
    reads_probe = True
    runs_recipe = False


class RefineRecipeViaModelFeedbackHook(Hook):
    """Sets each OP's bounds to the range in which the per-row feedback of a model is better.

    Output: the path of the new recipe.
    """

    phases = (Phase.REFINE,)
    component = "data_juicer_sandbox.components.refine.model_feedback:ModelFeedbackRefiner"
    runs_recipe = False
