"""What `--untrusted` refuses: code of a config, a recipe or a model, servers, and files outside of the current folder.

Everything is refused that is not known to be harmless: components, their text parameters, keys of a recipe, OPs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.components.base import Component, Role, Written
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import open_regular
from data_juicer_sandbox.plain_json import flatten, loads
from data_juicer_sandbox.signatures import Parameter, parameters
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.workflow.resolve import ResolvedJob

_COMPONENTS = frozenset(
    f"data_juicer_sandbox.components.{name}"
    for name in (
        "data.executor.DataJuicerExecutor", "data.analyzer.DataJuicerAnalyzer", "data.python_docs.PythonDocsCorpus",
        "data.inline_rows.InlineRows", "data.unfold.UnfoldLists", "pools.construction.DataPoolConstruction",
        "pools.combination.DataPoolCombination", "pools.duplication.DataPoolDuplication",
        "pools.downsampling.DataPoolDownsampling", "pools.ranking.DataPoolRanking", "pools.merging.DataPoolMerging",
        "pools.mixing.DataPoolMixing", "pools.cartesian_join.DataPoolCartesianJoin",
        "convert.coco_caption.CocoCaptionToDJ", "convert.coco_meta.CocoCaptionMeta",
        "convert.easyanimate.DJToEasyAnimate", "evaluate.accuracy.Accuracy", "evaluate.mse.MeanSquaredError",
        "evaluate.quality_classifier.DJTextQualityClassifier", "evaluate.perplexity.HuggingFacePerplexity",
        "refine.k_sigma.KSigmaRefiner", "refine.model_feedback.ModelFeedbackRefiner",
        "probe.huggingface.HuggingFaceInferEvaluator", "train.huggingface.HuggingFaceTrainer",
        "train.sft.SupervisedTrainer", "train.dpo.PreferenceTrainer",
        "train.quality_classifier.TextQualityClassifier", "infer.huggingface.HuggingFaceInference",
    )
)  # fmt: skip
"""Components that run no code of the config's author and reach no server. Others, such as `command`, are refused."""
_TEXTS = frozenset(
    {
        "text_key", "token_key", "id_key", "key", "list_key", "entry_key", "keep_keys", "predicted_key", "label_key",
        "conversations_key", "images_key", "image_key", "videos_key", "messages_key", "prompt_key", "completion_key",
        "chosen_key", "rejected_key", "feedback_key", "match_key", "frequency_key", "strata_key", "infer_res_key",
        "raw_key", "feedback_field", "stats_keys", "ranking_keys", "image_token", "probe", "rows", "metrics", "shares",
        "pool_scores", "split_quantiles", "split_values", "split_ratios", "keep_top", "baseline", "special_tokens",
        "image_root", "video_root", "lora_target_modules", "sampling_params", "seeds", "dj_configs",
    }
)  # fmt: skip
"""Parameters whose texts and mappings name fields or values; they are neither run nor opened."""
_FUNCTIONS = ("build_messages_func", "parse_output_func")
"""Parameters that name a helper of this package; a dotted path is refused."""
_OPS = frozenset(
    {
        "average_line_length_filter", "character_repetition_filter", "maximum_line_length_filter",
        "special_characters_filter", "specified_field_filter", "specified_numeric_field_filter", "suffix_filter",
        "text_length_filter", "words_num_filter", "word_repetition_filter", "alphanumeric_filter",
        "document_deduplicator", "document_line_deduplicator", "document_minhash_deduplicator",
        "document_simhash_deduplicator", "frequency_specified_field_selector", "random_selector",
        "range_specified_field_selector", "tags_specified_field_selector", "topk_specified_field_selector",
        "chinese_convert_mapper", "clean_copyright_mapper", "clean_email_mapper", "clean_html_mapper",
        "clean_ip_mapper", "clean_links_mapper", "expand_macro_mapper", "fix_unicode_mapper",
        "punctuation_normalization_mapper", "remove_bibliography_mapper", "remove_comments_mapper",
        "remove_header_mapper", "remove_long_words_mapper", "remove_non_chinese_character_mapper",
        "remove_specific_chars_mapper", "remove_table_text_mapper", "replace_content_mapper",
        "whitespace_normalization_mapper",
    }
)  # fmt: skip
"""OPs that work on texts and numbers of a row alone: no code, no program, no file, no model of the config's choice."""
_OP_PARAMETERS = ("runtime_env", "work_dir", "stats_export_path", "tokenization", "ray_execution_mode")
"""Parameters that every or some of these OPs take, and that start something else, write a file or load a model."""
_RECIPE_KEYS = frozenset(
    {
        "project_name", "dataset_path", "dataset", "export_path", "export_type", "export_shard_size",
        "export_in_parallel", "export_original_dataset", "keep_stats_in_res_ds", "keep_hashes_in_res_ds", "np",
        "text_keys", "suffixes", "process", "percentiles", "data_probe_algo", "data_probe_ratio", "executor_type",
        "skip_op_error", "debug", "save_stats_in_one_file", "op_fusion", "turbo", "use_cache",
    }
)  # fmt: skip
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_ROWS = (".jsonl", ".ndjson", ".parquet", ".csv", ".gz", ".zst")
"""Endings of data sets, which no program runs."""
_SETTINGS = (".json", ".yaml", ".yml")
"""Endings of data sets and recipes, but also of files such as `package.json` and a model's `config.json`."""


@dataclass(frozen=True)
class Refusal:
    """A value that is refused: its key path below the job, and why."""

    path: KeyPath
    what: str


def refuse_untrusted(resolved: ResolvedJob, component: type[Component], work_dir: str) -> None:
    """Refuse a job with its final configs, where the policy of the process is `--untrusted`.

    Args:
        resolved: the configs.
        component: the job's component.
        work_dir: the work directory of the run.

    Raises:
        JobError: the config does what `--untrusted` excludes; names everything.
    """
    if not is_untrusted():
        return
    problems = [
        f"`{'.'.join(map(str, refusal.path))}`: {refusal.what}"
        for refusal in refusals(component, resolved.extra_configs, resolved.dj_configs, work_dir)
    ]
    if problems:
        raise JobError("refused by --untrusted: " + "; ".join(problems))


def refusals(
    component: type[Component],
    extra_configs: Mapping[str, JsonValue],
    recipe: Mapping[str, JsonValue] | None,
    work_dir: str,
    *,
    skip: Callable[[KeyPath], bool] = lambda path: False,
    may_be_written: Callable[[str], bool] = lambda path: False,
) -> Iterator[Refusal]:
    """Everything in a job's configs that `--untrusted` refuses.

    Args:
        component: the job's component.
        extra_configs: its parameters.
        recipe: its recipe.
        work_dir: the work directory of the run.
        skip: whether the value at a key path is set later, and refused then.
        may_be_written: whether an earlier job may write a path, so that it is looked at when the job starts.
    """
    name = f"{component.__module__}.{component.__qualname__}"
    if name not in _COMPONENTS:
        yield Refusal(("extra_configs", "type"), f"the component {component.__name__} may run code or reach a server")
        return
    declared, _ = parameters(component)
    for key, value in extra_configs.items():
        path: KeyPath = ("extra_configs", key)
        parameter = declared.get(key)
        if key == "type" or parameter is None or value is None or value == parameter.default or skip(path):
            continue
        if parameter.role is Role.MODEL:
            continue  # below, with its default
        if parameter.role is Role.OUTPUT:
            yield from _output(path, value, work_dir, folder=parameter.written is not Written.FILE)
        elif parameter.role is Role.INPUT:
            if key == "tokenizer_path":
                yield from _folder_with_code(path, value)
        elif key in _FUNCTIONS:
            if not str(value).isidentifier():
                yield Refusal(path, f"a function by dotted path: {value}")
        elif not _is_harmless(parameter, value):
            yield Refusal(path, "a text or mapping that may name code, a program or a server")
    for key in (key for key, parameter in declared.items() if parameter.role is Role.MODEL):
        path, value = ("extra_configs", key), extra_configs.get(key, declared[key].default)
        if value is not None and not skip(path):
            yield from _models(path, value, component, may_be_written)
    if isinstance(sampling := extra_configs.get("sampling_params"), Mapping) and not skip(
        ("extra_configs", "sampling_params")
    ):
        for key, value in flatten(sampling):
            if not isinstance(value, bool | int | float):
                yield Refusal(("extra_configs", "sampling_params", key), "only numbers and true or false")
    if recipe is not None:
        for refusal in recipe_refusals(recipe, work_dir, may_be_written):
            if not skip(refusal.path):
                yield refusal


def recipe_refusals(
    recipe: Mapping[str, JsonValue],
    work_dir: str | None = None,
    may_be_written: Callable[[str], bool] = lambda path: False,
) -> Iterator[Refusal]:
    """Everything in a recipe that `--untrusted` refuses."""
    for key, value in recipe.items():
        path: KeyPath = ("dj_configs", key)
        if key not in _RECIPE_KEYS:
            yield Refusal(path, "a key that may run code, write a file or reach a server")
        elif key == "export_path":
            yield from _output(path, value, work_dir, folder=False)
        elif key == "use_cache" and value:
            yield Refusal(path, "Data-Juicer's cache is outside of the current folder")
        elif key == "executor_type" and value != "default":
            yield Refusal(path, "only the executor of this machine")
        elif key == "dataset_path":
            for text in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
                is_local = Path(str(text)).suffix or Path(str(text)).exists() or may_be_written(str(text))
                if "://" in str(text) or not is_local:
                    yield Refusal(path, f"{text} is not a local path that exists")
        elif key == "dataset":
            sources = value.get("configs") if isinstance(value, Mapping) else None
            for index, source in enumerate(sources if isinstance(sources, list) else [None]):
                extra = set(source) - {"type", "path", "weight"} if isinstance(source, Mapping) else {"?"}
                if extra or not isinstance(source, Mapping) or source.get("type") != "local":
                    yield Refusal((*path, "configs", index), "only local files: `type: local` and `path`")
        elif key == "process":
            yield from _process(value)


def folder_problem(path: str) -> str | None:
    """Why a folder must not be loaded as a model or tokenizer: it brings code; None if it does not."""
    for file in sorted(Path(path).glob("*.json")) if Path(path).is_dir() else []:
        try:
            with open_regular(file) as stream:
                problem = _file_problem(file.name, loads(stream.read()))
        except (OSError, ValueError, RecursionError):
            return f"{file} cannot be read"
        if problem is not None:
            return f"{file} names {problem}"
    return None


def _file_problem(name: str, content: JsonValue) -> str | None:
    """What a JSON file of a model's folder names that must not be loaded."""
    if not isinstance(content, Mapping):
        return None
    if "auto_map" in content:
        return "Python code of the model (`auto_map`)"
    if name == "config.json":
        for key, value in flatten(content):
            # A name with a slash is that of code on a hub, which the package `kernels` downloads and runs.
            if "_implementation" in key and isinstance(value, str) and "/" in value:
                return f"code of a hub (`{key}`)"
    if name == _WEIGHTS[1]:
        for _, value in flatten(content.get("weight_map")):
            if "/" in str(value) or not str(value).endswith(".safetensors"):
                return f"{value}, not a safetensors file of the folder"
    return None


def model_problem(path: str) -> str | None:
    """Why a model must not be loaded: it is not a folder with safetensors; None if it is."""
    folder = Path(path)
    if not folder.is_dir():
        return f"{path} is not a local folder: a model of a hub cannot be checked before it is loaded"
    if not any((folder / name).is_file() for name in _WEIGHTS):
        return f"{path} has no {_WEIGHTS[0]}: other weights are pickles, which run code"
    if (folder / "adapter_config.json").exists():
        return f"{path} is an adapter, which names another model"
    return folder_problem(path)


def output_problem(path: str, work_dir: str | None = None, *, folder: bool = True) -> str | None:
    """Why a job must not write a path: another program may run what is written there; None if it may write it.

    Args:
        path: the output.
        work_dir: the work directory, in which no other program looks for its settings.
        folder: whether the output may be a folder, which has no ending.
    """
    target, current = Path(path).resolve(), Path.cwd().resolve()
    if current not in target.parents and target != current:
        return f"{path} is outside of the current folder"
    if any(part.startswith(".") for part in target.relative_to(current).parts):
        return f"{path} is hidden: programs read such files"
    ending = target.suffix.lower()
    if ending in _ROWS or (ending == "" and folder and not target.is_file()):
        return None
    if ending == "" and folder:
        return f"{path} is a file that exists"
    if ending not in _SETTINGS:
        return f"{path} has not the ending of a data set"
    if work_dir is None or Path(work_dir).resolve() not in target.parents:
        return f"{path} may be read as settings of a program; expected a path in the work directory, or .jsonl"
    return None


def _output(path: KeyPath, value: JsonValue, work_dir: str | None, *, folder: bool) -> Iterator[Refusal]:
    for text in value if isinstance(value, list) else [value]:
        if (problem := output_problem(str(text), work_dir, folder=folder)) is not None:
            yield Refusal(path, problem)


def _models(
    path: KeyPath, value: JsonValue, component: type[Component], may_be_written: Callable[[str], bool]
) -> Iterator[Refusal]:
    for text in map(str, value if isinstance(value, list) else [value]):
        if not Path(text).exists() and may_be_written(text):
            continue
        if component.__name__ == "DJTextQualityClassifier":
            if not (Path(text) / "weights.npz").is_file():
                yield Refusal(path, f"{text} is not a classifier of `text_quality_classifier`; Spark models run code")
        elif (problem := model_problem(text)) is not None:
            yield Refusal(path, problem)


def _folder_with_code(path: KeyPath, value: JsonValue) -> Iterator[Refusal]:
    for text in map(str, value if isinstance(value, list) else [value]):
        if (problem := folder_problem(text)) is not None:
            yield Refusal(path, problem)


def _process(process: JsonValue) -> Iterator[Refusal]:
    for index, entry in enumerate(process if isinstance(process, list) else []):
        for name, arguments in (entry if isinstance(entry, Mapping) else {entry: None}).items():
            path: KeyPath = ("dj_configs", "process", index, str(name))
            if name not in _OPS:
                yield Refusal(path, f"the OP {name} may run code, load a model, open a file or reach a server")
                continue
            for key, value in (arguments if isinstance(arguments, Mapping) else {}).items():
                if value and key in _OP_PARAMETERS:
                    yield Refusal((*path, key), "may run code, load a model or write a file")


def _is_harmless(parameter: Parameter, value: JsonValue) -> bool:
    """Whether a value can do no more than choose a number, one of some words, or a field."""
    if parameter.name in _TEXTS:
        return not any(key.endswith("trust_remote_code") and item for key, item in flatten({parameter.name: value}))
    if isinstance(value, Mapping):
        return False
    return all(isinstance(item, bool | int | float) or _is_choice(parameter.hint, item) for _, item in flatten(value))


def _is_choice(hint: object, value: object) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return any(_is_choice(option, value) for option in get_args(hint))
    return False
