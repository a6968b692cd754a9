"""Hooks that look at data and models."""

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
    """Computes the stats of a data set with Data-Juicer's OPs, and watches their overall table.

    Puts out the path of the analysed data set: every row with its stats.
    """

    phases = (Phase.PROBE, Phase.EVALUATION)
    factory = "DataAnalyzerFactory"
    writes_export = False  # it writes a file of a name of its own beside it


class ProbeViaModelInferHook(Hook):
    """Asks a model about a sample of a data set, row by row.

    The data set is that of the recipe or, where it names none, the component's own `dataset_path`. With
    `data_probe_ratio` or `data_probe_algo` in the recipe, Data-Juicer draws a sample of it (its OPs are not applied),
    which the component is asked about; the component's own parameters of these names draw without Data-Juicer, and
    leave the rows as they are. Puts out what the evaluator does: the rows with their feedback, and its summary.
    """

    phases = (Phase.PROBE, Phase.EVALUATION)
    factory = "ModelInferEvaluatorFactory"
    writes_export = False
    from_recipe = ("dataset_path",)

    @classmethod
    def takes_recipe(cls, component: type[Any]) -> bool:
        """The hook itself reads it, for the sample."""
        return True

    def run(self, resolved: ResolvedJob, job: JobRun) -> Any:
        """Draw the sample, then build and run the evaluator on it."""
        component = self.component_class(resolved.extra_configs)
        given = arguments(component, None, resolved.extra_configs)
        if resolved.dj_configs is not None:
            recipe = with_data(resolved.dj_configs, given.get("dataset_path"))
            executor = build(FACTORIES["DataExecutorFactory"].find(None), {"dj_configs": recipe})
            given["dataset_path"] = whole(recipe) or executor.sample(job)
        return build(component, given).run(job)


class GeneralProbeHook(Hook):
    """Runs a probe of any kind; puts out what it returns."""

    phases = (Phase.PROBE,)
    factory = "GeneralProbeFactory"
