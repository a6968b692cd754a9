"""The twelve hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.io.data_files import ENDINGS, is_data
from data_juicer_sandbox.components.metric_keys import MetricKey
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks.base import Hook, arguments
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.signatures import build
from data_juicer_sandbox.types import ConfigValues, LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.workflow.resolve import ResolvedJob


class ProbeViaAnalyzerHook(Hook):
    """Computes the stats of a data set with Data-Juicer's OPs, and records their overall table as metrics.

    Output: the path of the analyzed data set, every row with its stats. The table is also `overall.json` in the job's
    folder, which a k-sigma job of the same `meta_name` reads.
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
    def takes_recipe(cls, component: type[object]) -> bool:
        """True: the hook reads the recipe to draw the sample."""
        return True

    @classmethod
    def metrics(cls, component: type[object]) -> tuple[MetricKey, ...] | None:
        """What the evaluator reports, and the size of the sample."""
        declared: tuple[MetricKey, ...] | None = getattr(component, "metrics", None)
        return None if declared is None else (*declared, MetricKey("sample_rows"))

    def run(self, resolved: ResolvedJob, job: JobRun) -> object:
        """Draw the sample, then build and run the evaluator on it."""
        component = resolved.component or self.component_class(resolved.extra_configs)
        keyword_arguments = arguments(component, None, resolved.extra_configs)
        if resolved.dj_configs is not None:
            recipe = with_dataset(resolved.dj_configs, keyword_arguments.get("dataset_path"))
            executor: LibraryObject = build(FACTORIES["DataExecutorFactory"].find(None), {"dj_configs": recipe})
            keyword_arguments["dataset_path"] = unsampled_path(recipe) or executor.sample(job)
        return build(component, keyword_arguments).run(job)


class GeneralProbeHook(Hook):
    """Runs any probe; outputs what it returns."""

    phases = (Phase.PROBE,)
    factory = "GeneralProbeFactory"


_SOURCES = ("dataset_path", "dataset", "generated_dataset_config")


def with_dataset(recipe: Mapping[str, object], dataset_path: str | None) -> ConfigValues:
    """The recipe with a data set: its own, else `dataset_path` of the component.

    Raises:
        JobError: both name one, and they differ.
    """
    recipe_sources = [recipe[key] for key in _SOURCES if recipe.get(key)]
    if dataset_path is None or recipe_sources == [dataset_path]:
        return dict(recipe)
    if recipe_sources:
        what = f"dj_configs names the data set {shown(recipe_sources[0], 80)}, extra_configs {shown(dataset_path, 80)}"
        raise JobError(what, hint="one of them")
    return {**recipe, "dataset_path": dataset_path}


def unsampled_path(recipe: Mapping[str, object]) -> str | None:
    """The path of the recipe's data set if it is used without sampling, so that its rows stay unchanged; else None."""
    path = recipe.get("dataset_path")
    ratio, algo = recipe.get("data_probe_ratio"), recipe.get("data_probe_algo")
    if isinstance(path, list) and len(path) == 1:
        path = path[0]
    if ratio not in (None, 1) or algo not in (None, "uniform") or not isinstance(path, str):
        return None
    return path if path.endswith(ENDINGS) and is_data(path) else None


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


class EvaluateDataHook(Hook):
    """Evaluates a data set; outputs a score, or all results and the best one."""

    phases = (Phase.EVALUATION,)
    factory = "DataEvaluatorFactory"


class EvaluateModelHook(Hook):
    """Evaluates a model; outputs its scores."""

    phases = (Phase.EVALUATION,)
    factory = "ModelEvaluatorFactory"
