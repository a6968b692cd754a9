"""The ten factories: tables that map `type` to a class. Classes are imported when they are needed."""

from __future__ import annotations

from dataclasses import dataclass, field

from data_juicer_sandbox.code_policy import check_user_code, own_code_only
from data_juicer_sandbox.components.base import Component
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.plugins import import_object, plugins
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import LibraryObject

_HERE = "data_juicer_sandbox.components."


@dataclass(frozen=True)
class Factory:
    """Finds the component classes of one hook.

    Args:
        name: the factory's name, and the last part of its entry-point group (`data_juicer_sandbox.<name>`).
        builtin: `type` -> `module:Class`, the module relative to `data_juicer_sandbox.components`.
        default: the type used if a config names none.
    """

    name: str
    builtin: dict[str, str] = field(default_factory=dict)
    default: str | None = None

    def types(self) -> dict[str, str]:
        """All types by name, including plug-ins, as `module:Class`."""
        return {**plugins(self.name), **{name: _HERE + target for name, target in self.builtin.items()}}

    def find(self, type_name: str | None) -> type[Component]:
        """The class of a type: a known name, or a dotted path such as `my_pkg.my_mod.MyTrainer`.

        Raises:
            ConfigError: the type is unknown (lists the known names and the nearest), or it is not a component.
        """
        component_class = self._find(type_name or self.default)
        if not issubclass(component_class, Component):
            hint = "a class derived from data_juicer_sandbox.components.base.Component"
            raise ConfigError(f"{component_class.__module__}.{component_class.__name__} is not a component", hint=hint)
        return component_class

    def _find(self, name: object) -> type[LibraryObject]:
        if name is not None and not isinstance(name, str):
            raise ConfigError(f"`type` is a name, not {shown(name)}")
        if name in self.builtin:
            return import_class(_HERE + self.builtin[name])
        if name and "." in name:
            check_user_code(name)
            return import_class(name)
        types = self.types()
        if name is None:
            raise ConfigError("`type` is missing", hint=f"one of {', '.join(sorted(types))}, or a dotted path")
        if name in types:
            return import_class(types[name])
        if own_code_only():  # a plug-in, or a wrong name
            check_user_code(name)
        hint = suggest(name, types) + "; or a dotted path"
        raise ConfigError(f"unknown type {name!r} for {self.name}", hint=hint)


def import_class(target: str) -> type[LibraryObject]:
    """The class at `package.module:Class` or `package.module.Class`.

    Raises:
        ConfigError: it does not exist, or is not a class.
    """
    target_object = import_object(target)
    if not isinstance(target_object, type):
        raise ConfigError(f"{target!r} is a {type(target_object).__name__}, not a class")
    return target_object


FACTORIES: dict[str, Factory] = {
    factory.name: factory
    for factory in (
        Factory("DataExecutorFactory", {"data_juicer": "data.executor:DataJuicerExecutor"}, default="data_juicer"),
        Factory("DataAnalyzerFactory", {"data_juicer": "data.analyzer:DataJuicerAnalyzer"}, default="data_juicer"),
        Factory(
            "DataPoolManipulatorFactory",
            {
                "data_pool_construction": "pools.construction:DataPoolConstruction",
                "data_pool_combination": "pools.combination:DataPoolCombination",
                "data_pool_duplication": "pools.duplication:DataPoolDuplication",
                "data_pool_downsampling": "pools.downsampling:DataPoolDownsampling",
                "data_pool_ranking": "pools.ranking:DataPoolRanking",
                "data_pool_merging": "pools.merging:DataPoolMerging",
                "data_pool_mixing": "pools.mixing:DataPoolMixing",
                "data_pool_cartesian_join": "pools.cartesian_join:DataPoolCartesianJoin",
            },
        ),
        Factory(
            "GeneralDataExecutorFactory",
            {
                "python_docs_corpus": "data.python_docs:PythonDocsCorpus",
                "inline_rows": "data.inline_rows:InlineRows",
                "unfold_lists": "data.unfold:UnfoldLists",
                "coco_caption_to_dj_conversion": "convert.coco_caption:CocoCaptionToDJ",
                "coco_caption_meta_generation": "convert.coco_meta:CocoCaptionMeta",
                "dj_to_easyanimate_video_dataset_conversion": "convert.easyanimate:DJToEasyAnimate",
            },
        ),
        Factory(
            "DataEvaluatorFactory",
            {
                "accuracy": "evaluate.accuracy:Accuracy",
                "dj_text_quality_classifier": "evaluate.quality_classifier:DJTextQualityClassifier",
                "mse": "evaluate.mse:MeanSquaredError",
            },
        ),
        Factory("GeneralProbeFactory", {"data_pool_ranking": "pools.ranking:DataPoolRanking"}),
        Factory(
            "ModelInferEvaluatorFactory",
            {
                "huggingface": "probe.huggingface:HuggingFaceInferEvaluator",
                "modelscope": "probe.modelscope:ModelScopeInferEvaluator",
            },
        ),
        Factory(
            "ModelTrainExecutorFactory",
            {
                "huggingface": "train.huggingface:HuggingFaceTrainer",
                "modelscope": "train.modelscope:ModelScopeTrainer",
                "trl_sft": "train.sft:SupervisedTrainer",
                "trl_dpo": "train.dpo:PreferenceTrainer",
                "trl_grpo": "train.grpo:RewardTrainer",
                "text_quality_classifier": "train.quality_classifier:TextQualityClassifier",
                "command": "train.command:CommandTrainer",
            },
        ),
        Factory(
            "ModelInferExecutorFactory",
            {
                "api": "infer.api:APIInference",
                "huggingface": "infer.huggingface:HuggingFaceInference",
                "vllm": "infer.vllm:VLLMInference",
            },
        ),
        Factory(
            "ModelEvaluatorFactory",
            {
                "huggingface_perplexity": "evaluate.perplexity:HuggingFacePerplexity",
                "lm_eval": "evaluate.lm_eval:LMEval",
                "evalscope": "evaluate.evalscope:EvalScope",
                "command": "evaluate.command:CommandEvaluator",
            },
        ),
    )
}
