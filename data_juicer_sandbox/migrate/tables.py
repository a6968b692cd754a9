"""What differs from the original implementation: a table for the top level, each hook and each component type.

The tables hold data only. A type that this version does not have is left as it is; as soon as it exists, its table (or
an empty one) applies. A key that a component neither has nor renames is dropped, since the original ignored it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data_juicer_sandbox.types import JsonValue

Reasoned = tuple[JsonValue, str]
"""A value, and the reason for it."""


@dataclass(frozen=True)
class ComponentTable:
    """What differs in one component.

    Args:
        renamed: new names of keys.
        defaults: values that are written out if the key is absent, so that the behaviour stays; dots for nested keys.
        ignored: keys that the original had in its configs, but did not read, and that mean something here.
        removed: keys without an equivalent, and why.
        rest: the key that takes all other keys, because the original passed them on.
        outputs: how many results the original had.
        numbers: of results that were numbers there and are mappings here, the key of the number, by their index.
        notes: differences that no key expresses, by the key that they concern; an empty key: always.
        absent_notes: the same, if the key is absent.
        makes_folder: whether `export_path` is always a folder there, even if it is named like a file.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Reasoned] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    rest: str | None = None
    outputs: int = 1
    numbers: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    absent_notes: Mapping[str, str] = field(default_factory=dict)
    makes_folder: bool = False


_SKIP: Mapping[str, Reasoned] = {"skip_missing": (True, "the original skipped paths that do not exist")}
_PAIRS = {"predicted_dataset_path": "dataset_path", "ground_truth_dataset_path": "label_path"}
_INFERENCE_DEFAULTS: Mapping[str, Reasoned] = {
    **_SKIP,
    "func_kwargs.strip": (False, "the original's `parse_output` kept blanks around the answer"),
}
_LOCAL_INFERENCE: Mapping[str, Reasoned] = {
    **_INFERENCE_DEFAULTS,
    "max_failures": (0, "the original stopped at the first row that failed"),
}
_PREFIX = (
    "file names begin with what the inputs' names have in common, here without a trailing `_`, `-` or `.`,"
    " and with `pools` instead of `default_prefix`"
)

COMPONENTS: Mapping[tuple[str, str], ComponentTable] = {
    ("DataPoolManipulatorFactory", "data_pool_construction"): ComponentTable(defaults=_SKIP, makes_folder=True),
    ("DataPoolManipulatorFactory", "data_pool_combination"): ComponentTable(
        defaults=_SKIP,
        notes={"": f"subsets are listed by their first pool here (0_1, 0_2, 0_3, 1_2); {_PREFIX}"},
        makes_folder=True,
    ),
    ("DataPoolManipulatorFactory", "data_pool_duplication"): ComponentTable(
        defaults=_SKIP,
        absent_notes={
            "duplicating_times": "without `duplicating_times` the original made no pool; here it makes x2, x4, x8"
        },
        notes={"shuffle": "the same seed gives another order than the original's"},
        makes_folder=True,
    ),
    ("DataPoolManipulatorFactory", "data_pool_downsampling"): ComponentTable(
        defaults=_SKIP,
        ignored={"seed": "the original did not read it, and drew by `shuffle_seed` (42)"},
        notes={
            "target_num_samples": "a pool with fewer rows is an error here; the original took it whole",
            "": "the same seed draws other rows than the original's, and rows keep their order here",
        },
        makes_folder=True,
    ),
    ("DataPoolManipulatorFactory", "data_pool_ranking"): ComponentTable(
        defaults=_SKIP,
        notes={"ranking_keys": "a key that the metrics lack is an error here; the original ignored it"},
    ),
    ("DataPoolManipulatorFactory", "data_pool_merging"): ComponentTable(
        defaults=_SKIP, notes={"": _PREFIX}, makes_folder=True
    ),
    ("DataPoolManipulatorFactory", "data_pool_cartesian_join"): ComponentTable(
        defaults=_SKIP, notes={"": _PREFIX}, makes_folder=True
    ),
    ("GeneralProbeFactory", "data_pool_ranking"): ComponentTable(
        defaults=_SKIP,
        notes={"ranking_keys": "a key that the metrics lack is an error here; the original ignored it"},
    ),
    ("GeneralDataExecutorFactory", "coco_caption_to_dj_conversion"): ComponentTable(defaults=_SKIP, makes_folder=True),
    ("GeneralDataExecutorFactory", "coco_caption_meta_generation"): ComponentTable(
        defaults=_SKIP,
        removed={"data_root_path": "`annotation` is an absolute path here, not one relative to this folder"},
        notes={
            "": "`root` is an absolute folder here, that of the data set or `image_root`;"
            " the original always wrote data/coco/"
        },
        makes_folder=True,
    ),
    ("GeneralDataExecutorFactory", "dj_to_easyanimate_video_dataset_conversion"): ComponentTable(
        defaults=_SKIP,
        notes={
            "": "the list has `file_path`, `text` and `type` only, and an entry for every video of a row;"
            " the original kept all fields and used the first video"
        },
        makes_folder=True,
    ),
    ("DataEvaluatorFactory", "dj_text_quality_classifier"): ComponentTable(),
    ("DataEvaluatorFactory", "vbench_video_evaluator"): ComponentTable(),
    ("DataEvaluatorFactory", "video_inception_evaluator"): ComponentTable(),
    ("DataEvaluatorFactory", "accuracy"): ComponentTable(
        renamed={**_PAIRS, "predicted_label_key": "predicted_key", "ground_truth_label_key": "label_key"},
        outputs=2,
        numbers={1: "accuracy"},
        notes={
            "": "texts are compared without case and outer blanks here, and numbers by value; the original compared all"
            " values as texts, exactly. With `normalize: false` values are compared exactly,"
            " and a number never equals a text"
        },
    ),
    ("DataEvaluatorFactory", "mse"): ComponentTable(
        renamed={**_PAIRS, "predicted_value_key": "predicted_key", "ground_truth_value_key": "label_key"},
        outputs=2,
        numbers={1: "mse"},
    ),
    ("ModelInferEvaluatorFactory", "modelscope"): ComponentTable(rest="pipeline_params"),
    ("ModelTrainExecutorFactory", "modelscope"): ComponentTable(
        renamed={
            "model_name": "model",
            "train_dataset": "dataset_path",
            "eval_dataset": "eval_dataset_path",
            "work_dir": "export_path",
        },
        rest="cfg_modify",
        notes={
            "": "the result is `<export_path>/<data set>/output` here, the original's was `work_dir`",
            "key_remapping": "a field that the data lacks is an error here; the original ignored it",
        },
    ),
    ("ModelTrainExecutorFactory", "easyanimate"): ComponentTable(),
    ("ModelTrainExecutorFactory", "trinity-rft"): ComponentTable(),
    ("ModelTrainExecutorFactory", "internvl_coco_caption"): ComponentTable(),
    ("ModelInferExecutorFactory", "easyanimate"): ComponentTable(),
    ("ModelInferExecutorFactory", "huggingface"): ComponentTable(
        defaults={
            **_LOCAL_INFERENCE,
            "sampling_params.max_new_tokens": (
                512,
                "the original's default, unless the model's own config sets another",
            ),
        },
        removed={"model_path": "the original did not read it; the model is `model`"},
        notes={
            "": "the most probable token is taken here, unless `sampling_params` ask to draw (`do_sample: true`);"
            " the original drew if the model's generation config says so"
        },
        makes_folder=True,
    ),
    ("ModelInferExecutorFactory", "vllm"): ComponentTable(
        defaults=_LOCAL_INFERENCE,
        removed={"model_path": "the original did not read it; the model is `model`"},
        absent_notes={"tensor_parallel_size": "one GPU is used here; the original used all of the machine"},
        notes={"": "answers have 256 tokens here, and the most probable ones, unless `sampling_params` say otherwise"},
        makes_folder=True,
    ),
    ("ModelInferExecutorFactory", "api"): ComponentTable(
        defaults=_INFERENCE_DEFAULTS,
        notes={"": "a row whose requests fail is marked here (`infer_error`); the original gave it an empty answer"},
        makes_folder=True,
    ),
    ("ModelEvaluatorFactory", "internvl_coco_caption"): ComponentTable(),
}
"""The original's 25 types, by factory."""

EXTRA_OUTPUTS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("DataEvaluatorFactory", "dj_text_quality_classifier"): ("results", "scored"),
    ("ModelInferEvaluatorFactory", "modelscope"): ("summary",),
}
"""Results that a component has here beside those of the original."""

ENVIRONMENT_KEYS = ("env_name", "env_manager", "env_params")
"""Keys of six types of the original: the environment that their program runs in."""

FACTORY_OF_HOOK: Mapping[str, str] = {
    "ProbeViaModelInferHook": "ModelInferEvaluatorFactory",
    "GeneralProbeHook": "GeneralProbeFactory",
    "DataPoolManipulationHook": "DataPoolManipulatorFactory",
    "GeneralDataExecutorHook": "GeneralDataExecutorFactory",
    "TrainModelHook": "ModelTrainExecutorFactory",
    "InferModelHook": "ModelInferExecutorFactory",
    "EvaluateDataHook": "DataEvaluatorFactory",
    "EvaluateModelHook": "ModelEvaluatorFactory",
}
"""The hooks whose component is chosen by `type`."""

HOOKS: Mapping[str, ComponentTable] = {
    "ProbeViaAnalyzerHook": ComponentTable(
        notes={
            "": "every row with its stats is written, to `<name of export_path>_<meta_name>_analyzed.jsonl`;"
            " the original wrote rows only with `export_original_dataset: true`, to `export_path`"
        },
    ),
    "RefineRecipeViaKSigmaHook": ComponentTable(
        notes={
            "": "bounds that the recipe does not set are set too, and whole numbers are rounded; the original changed"
            " only the bounds in the recipe"
        },
    ),
    "RefineRecipeViaModelFeedbackHook": ComponentTable(),
    "ProcessDataHook": ComponentTable(),
}
"""Hooks with one component, which has no `type`."""

RECIPE_DEFAULTS: Mapping[str, Reasoned] = {
    "skip_op_error": (True, "Data-Juicer's default: rows on which an OP fails are dropped; here they fail the job"),
}
"""Keys of a recipe that is run, written out if they are absent."""

RECIPE_HOOKS = ("ProbeViaAnalyzerHook", "ProcessDataHook")

RANKING_KEYS: Mapping[str, str] = {"format_error": "format_errors", "pred_path": "dataset"}
"""New names of keys in the results of `accuracy` and `mse`."""

GRADER = "build_messages_for_math_qa"
"""A helper that builds a grader's prompt there, and a solver's here."""
GRADER_KEYS: Mapping[str, str] = {"query_key": "query", "response_key": "response"}
GRADER_TEMPLATE = "Question: {{{query_key}}}\nAnswer: {{{response_key}}}"

ENDPOINT_PATHS: Mapping[str, str] = {"/chat/completions": "chat", "/completions": "completions"}
"""The paths of `api_endpoint` there, and `endpoint` here."""
REFUSED_MODEL_PARAMS = ("max_retries",)
REFUSED_SAMPLING_PARAMS = ("stream",)

WORK_DIR = "./outputs/hello_world"
"""The original's default, for every project."""
UNNAMED = "anonymous_meta_name"
"""The name there of a job without `meta_name`."""


def factory_of(hook: object) -> str | None:
    """The factory of a hook of the original, if its component is chosen by `type`."""
    return FACTORY_OF_HOOK.get(hook) if isinstance(hook, str) else None


def table_of(hook: object, type_name: object) -> ComponentTable | None:
    """The table of a job's component; None if the original had no such component."""
    factory = factory_of(hook)
    if factory is None:
        return HOOKS.get(hook) if isinstance(hook, str) else None
    return COMPONENTS.get((factory, type_name)) if isinstance(type_name, str) else None


GENERAL: tuple[tuple[str, str, str], ...] = (
    ("top level", f"`work_dir` left out: `{WORK_DIR}` added, unless the project is `hello_world`", "the default there"),
    ("top level", "`'5'`, `'true'` for a number or truth value: quotes removed", "here they are texts"),
    ("top level", "`config` removed", "it is an option of the command line only"),
    ("job", "keys other than those of a job: removed", "ignored there, errors here"),
    ("job", "`meta_name` with dots or slashes, or a number: made a word", "it is a part of dotted keys"),
    ("job", "`meta_name` that repeats: `_2` added", "unique here, except for a probe and its refine job"),
    ("job", f"`{UNNAMED}` in a key: written as `meta_name`", "the name there of a job without one"),
    ("job", "`output` extended", "components with further results here"),
    ("job", "files of jobs, recipes, `extra_configs` and searches: migrated, too", "beside the new config"),
    (
        "keys of results",
        "`<pipeline>.<meta_name>.0`, `-1.0` -> `.res_1`, ...",
        "results without names are numbered from 1 here",
    ),
    ("keys of results", "`.<key>` added, as in `judge.mse.min_mse.mse`", "a number there that is a mapping here"),
    (
        "`iter_updater`",
        "an entry whose key the job's `input` sets: removed",
        "`input` won there, the updater wins here",
    ),
    (
        "search",
        "a metric that is only a `meta_name`: the key of the result",
        "a metric is a result or a watched value here",
    ),
    ("paths", "`iter_1/` removed from paths of outputs", "a single pass has no such folder here"),
    (
        "paths",
        "data that a probe analyzed: `<name>_<meta_name>_analyzed.jsonl`",
        "its name here, and in names of pools cut from it",
    ),
    ("paths", "`export_path: x.jsonl` of pools, conversions, inference -> `x`", "always a folder there, a file here"),
    ("recipe", "keys that Data-Juicer does not have: a remark", "recipes are checked here"),
    ("any text", "`${name}` -> `$${name}`, unless it is a top-level key", "`${` begins a variable here"),
    ("components", "parameters that a component does not have: removed", "ignored there, errors here"),
    ("components", "types that this version does not have: kept, with a remark", "they come with later versions"),
    (
        "`data_pool_ranking`",
        "`ranking_keys`: `format_error` -> `format_errors`, `pred_path` -> `dataset`",
        "names in the results",
    ),
    ("`api`", "`api_endpoint`: the path removed; `endpoint: completions` added", "it is the URL of the server here"),
    (
        "`api`",
        "`model_params.max_retries`, `sampling_params.stream`: removed",
        "`max_retry_num`; answers are not streamed",
    ),
    ("`huggingface`, `vllm`", "`top_k: -1` removed", "it is at least 1 here"),
    ("`vllm`", "`model_params.tensor_parallel_size` moved out", "a parameter of its own here"),
    ("inference", f"`{GRADER}` -> `build_messages` with a `template`", "a grader's prompt there, a solver's here"),
    ("inference", "arguments in `func_kwargs` that no function takes: removed", "ignored there, errors here"),
    ("`modelscope` (probe)", "`task` -> `pipeline`", "`task` is the type of the model here"),
)
"""The rules that are code, in words: what they concern, the change, the reason. For the documentation."""
