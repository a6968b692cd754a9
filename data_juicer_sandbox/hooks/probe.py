"""Hooks that analyze data and models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.probe.source import whole, with_data
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks.base import Hook, arguments
from data_juicer_sandbox.signatures import build

if TYPE_CHECKING:
    from data_juicer_sandbox.workflow.resolve import ResolvedJob


class ProbeViaAnalyzerHook(Hook):
    """Computes the stats of a data set with Data-Juicer's OPs, and records their overall table as metrics.

    Output: the path of the analyzed data set, every row with its stats.
    """

    phases = (Phase.PROBE, Phase.EVALUATION)
    factory = "DataAnalyzerFactory"
    writes_export = False  # it writes another file next to that path


class ProbeViaModelInferHook(Hook):
    """Scores each row of a sample of a data set with a model.

    The data set is that of the recipe, or the component's `dataset_path` if the recipe names none. With
    `data_probe_ratio` or `data_probe_algo` in the recipe, Data-Juicer draws the sample (without applying its OPs). The
    component's parameters of the same names draw without Data-Juicer and do not change the rows. Outputs: those of the
    evaluator, which are the rows with their feedback, and a summary.
    """

    phases = (Phase.PROBE, Phase.EVALUATION)
    factory = "ModelInferEvaluatorFactory"
    writes_export = False
    from_recipe = ("dataset_path",)

    @classmethod
    def takes_recipe(cls, component: type[Any]) -> bool:
        """True: the hook reads the recipe to draw the sample."""
        return True

    def run(self, resolved: ResolvedJob, job: JobRun) -> Any:
        """Draw the sample, then build and run the evaluator on it."""
        component = resolved.component or self.component_class(resolved.extra_configs)
        keyword_arguments = arguments(component, None, resolved.extra_configs)
        if resolved.dj_configs is not None:
            recipe = with_data(resolved.dj_configs, keyword_arguments.get("dataset_path"))
            executor = build(FACTORIES["DataExecutorFactory"].find(None), {"dj_configs": recipe})
            keyword_arguments["dataset_path"] = whole(recipe) or executor.sample(job)
        return build(component, keyword_arguments).run(job)


class GeneralProbeHook(Hook):
    """Runs any probe; outputs what it returns."""

    phases = (Phase.PROBE,)
    factory = "GeneralProbeFactory"
