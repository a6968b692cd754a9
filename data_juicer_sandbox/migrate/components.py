"""Migrate the `extra_configs` of a job: names, defaults, keys that the original ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data_juicer_sandbox.components.helpers import BUILTIN, arguments, find_helper
from data_juicer_sandbox.components.io.data_files import ENDINGS
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.hooks import HOOKS as KNOWN_HOOKS
from data_juicer_sandbox.hooks import find_hook
from data_juicer_sandbox.migrate import tables
from data_juicer_sandbox.migrate.document import Document
from data_juicer_sandbox.migrate.jobs import OldJob
from data_juicer_sandbox.migrate.tables import ComponentTable
from data_juicer_sandbox.signatures import parameters
from data_juicer_sandbox.types import JsonValue

EXTRA = "extra_configs"
_LENGTHS = ("max_new_tokens", "max_tokens", "max_completion_tokens")
_TASKS_HERE = (None, "causal-lm", "classification")


def migrate_component(job: OldJob) -> None:
    """Change the parameters of a job's component."""
    table = job.table
    hook_path = (*job.path, "hook")
    if table is None:
        hook = job.values.get("hook")
        if isinstance(hook, str) and hook not in KNOWN_HOOKS and "." not in hook:
            job.document.note(hook_path, f"{hook} is not a hook of this version; see the developer guide for own hooks")
        return
    if not job.exists:
        what = f"this version has no component `{job.type_name}` for {job.values['hook']} yet: the job is kept as it is"
        job.document.note(hook_path, what)
        return
    document, path = job.config(EXTRA)
    names, open_ended = _accepted(job)
    if document.mapping(path) is not None:
        _Special(document, path).apply(str(job.values.get("hook")), job.type_name)
    for settings, key, name in [*_settings(job)]:
        _migrate_key(settings, key, name, table, names | ({name} if open_ended else set()))
    if document.mapping(path) is not None:
        _add_defaults(job, document, path, table, names)
    _add_notes(job, document, path, table)


def _accepted(job: OldJob) -> tuple[set[str], bool]:
    """The parameters of a job's component here, and whether it takes any others."""
    hook = find_hook(str(job.values["hook"]))
    component = hook.component_class({"type": job.type_name} if job.type_name is not None else None)
    names, open_ended = parameters(component)
    return {"type", *names}, open_ended


Settings = tuple[Document, KeyPath]


def _settings(job: OldJob) -> Iterator[tuple[Settings, JsonValue, str]]:
    """Every place that sets a parameter: the mapping, the key there, and the name of the parameter."""
    document, path = job.config(EXTRA)
    for key in list(document.mapping(path) or {}):
        yield (document, path), key, str(key)
    for section in ("local", "input"):
        for key in list(job.document.mapping((*job.path, section)) or {}):
            config, _, name = str(key).partition(".")
            if config == EXTRA and name:
                yield (job.document, (*job.path, section)), key, name.partition(".")[0]


def _migrate_key(settings: Settings, key: JsonValue, name: str, table: ComponentTable, names: set[str]) -> None:
    """Rename, drop or move a parameter."""
    document, path = settings
    is_reference = str(key) != name
    if name in table.renamed and name not in names:
        new_name = table.renamed[name]
        document.rename(path, key, _with_name(key, name, new_name), "its name here")
    elif name in table.ignored:
        document.drop(path, key, table.ignored[name])
    elif name in names:
        return
    elif name in tables.ENVIRONMENT_KEYS:
        document.drop(path, key, "the original did not read it for this component")
    elif name in table.removed:
        document.drop(path, key, table.removed[name])
    elif table.rest is None:
        document.drop(path, key, "the original ignored it, and here it is an error")
    elif is_reference:
        document.rename(
            path, key, _with_name(key, name, f"{table.rest}.{name}"), f"it is a part of `{table.rest}` here"
        )
    else:
        _move(document, path, key, table.rest)


def _with_name(key: JsonValue, name: str, new_name: str) -> str:
    """A key such as `extra_configs.a.b`, with another name instead of `a`."""
    parts = str(key).split(".")
    index = 1 if parts[0] == EXTRA and parts[1:2] == [name] else 0
    return ".".join([*parts[:index], new_name, *parts[index + 1 :]])


def _move(document: Document, path: KeyPath, key: JsonValue, target: str) -> None:
    """Move a parameter into the mapping `target`."""
    values = document.mapping(path) or {}
    inner = values.get(target)
    if inner is not None and not isinstance(inner, dict):
        return
    value = values[key]
    document.drop(path, key, f"it is a part of `{target}` here")
    document.set(path, target, {**(inner or {}), key: value}, "the original passed all of `extra_configs` on")


def _add_defaults(job: OldJob, document: Document, path: KeyPath, table: ComponentTable, names: set[str]) -> None:
    """Write out the original's defaults."""
    values = document.mapping(path) or {}
    set_elsewhere = {str(key) for (settings, _), key, _ in _settings(job) if settings is job.document}
    for dotted, (default, reason) in table.defaults.items():
        name, _, inner_name = dotted.partition(".")
        if name not in names or {f"{EXTRA}.{name}", f"{EXTRA}.{dotted}"} & set_elsewhere:
            continue
        if not inner_name:
            if name not in values:
                document.set(path, name, default, reason)
            continue
        inner = values.get(name) if values.get(name) is not None else {}
        if not isinstance(inner, dict) or inner_name in inner or not _is_needed(dotted, values, inner):
            continue
        if inner:
            document.set((*path, name), inner_name, default, reason)
        else:
            document.set(path, name, {inner_name: default}, reason)


def _is_needed(dotted: str, values: dict[str, JsonValue], inner: dict[str, JsonValue]) -> bool:
    if dotted == "func_kwargs.strip":
        nested = inner.get("parse_output_func")
        is_set = isinstance(nested, dict) and "strip" in nested
        return values.get("parse_output_func") in (None, "parse_output") and not is_set
    return not set(_LENGTHS) & set(inner)


def _add_notes(job: OldJob, document: Document, path: KeyPath, table: ComponentTable) -> None:
    """Note the differences that remain."""
    present = {name for _, _, name in _settings(job)}
    for name, text in table.notes.items():
        if not name:
            job.document.note((*job.path, "hook"), text)
        elif document.at((*path, name)) is not None:
            document.note((*path, name), text)
    for name, text in table.absent_notes.items():
        if name not in present:
            job.document.note((*job.path, "hook"), text)


class _Special:
    """Changes of values that a table cannot express."""

    def __init__(self, document: Document, path: KeyPath):
        self.document, self.path = document, path

    def apply(self, hook: str, type_name: JsonValue) -> None:
        """Make the changes of a type."""
        by_type: dict[str, tuple[Callable[[], None], ...]] = {
            "accuracy": (self._no_labels,),
            "mse": (self._no_labels,),
            "data_pool_ranking": (self._ranking_keys,),
            "modelscope": (self._pipeline,) if hook == "ProbeViaModelInferHook" else (),
            "huggingface": (self._all_tokens, self._functions),
            "vllm": (self._all_tokens, self._tensor_parallel_size, self._functions),
            "api": (self._endpoint, self._refused, self._functions),
        }
        for change in by_type.get(str(type_name), ()):
            change()
        table = tables.table_of(hook, type_name)
        if table is not None and table.makes_folder:
            self._folder()

    def _get(self, *keys: str) -> JsonValue:
        return self.document.at((*self.path, *keys))

    def _set(self, key: str, value: JsonValue, reason: str) -> None:
        self.document.set(self.path, key, value, reason)

    def _drop(self, key: str, reason: str, *inside: str) -> None:
        self.document.drop((*self.path, *inside), key, reason)

    def _folder(self) -> None:
        path = self._get("export_path")
        if not isinstance(path, str) or not path.endswith(ENDINGS):
            return
        stem = path
        while stem.endswith(ENDINGS):
            stem = stem[: -max(len(ending) for ending in ENDINGS if stem.endswith(ending))]
        if stem and not stem.endswith("/"):
            self._set("export_path", stem, "it was always a folder there; a name with this ending is a file here")

    def _no_labels(self) -> None:
        if self._get("ground_truth_dataset_path") in ([], None, ""):
            self._drop("ground_truth_dataset_path", "without it the labels are in the predicted data set")

    def _ranking_keys(self) -> None:
        keys = self._get("ranking_keys")
        for index, key in enumerate(keys if isinstance(keys, list) else []):
            if isinstance(key, str) and key in tables.RANKING_KEYS:
                new_key = tables.RANKING_KEYS[key]
                self.document.set((*self.path, "ranking_keys"), index, new_key, "its name in the results here")

    def _pipeline(self) -> None:
        if self._get("task") not in _TASKS_HERE:
            self.document.rename(self.path, "task", "pipeline", "`task` is the type of the model here")

    def _all_tokens(self) -> None:
        if self._get("sampling_params", "top_k") in (-1, 0):
            self._drop("top_k", "without it all tokens may be drawn; here it is at least 1", "sampling_params")

    def _tensor_parallel_size(self) -> None:
        size = self._get("model_params", "tensor_parallel_size")
        if size is not None and self._get("tensor_parallel_size") is None:
            reason = "it is a parameter of its own here"
            self._drop("tensor_parallel_size", reason, "model_params")
            self._set("tensor_parallel_size", size, reason)

    def _endpoint(self) -> None:
        endpoint = self._get("api_endpoint")
        if not isinstance(endpoint, str) or not endpoint.strip("/"):
            return
        is_url = "://" in endpoint
        target = endpoint.rstrip("/")
        path = next((end for end in tables.ENDPOINT_PATHS if target.endswith(end)), None)
        if path is not None and tables.ENDPOINT_PATHS[path] != "chat" and self._get("endpoint") is None:
            self._set("endpoint", tables.ENDPOINT_PATHS[path], "the path of the requests is chosen by `endpoint` here")
        reason = "`api_endpoint` is the URL of the server here, without the path of the requests"
        if is_url and path is not None:
            self._set("api_endpoint", target.removesuffix(path), reason)
        elif not is_url:
            self._drop("api_endpoint", reason)
            prefix = target.removesuffix(path) if path is not None else ""
            server = self._get("model_params", "base_url")
            if prefix and isinstance(server, str):
                params = (*self.path, "model_params")
                self.document.set(params, "base_url", f"{server.rstrip('/')}/{prefix.strip('/')}", reason)
            if path is None:
                what = f"requests go to /chat/completions here, not to {endpoint}; embeddings are not supported"
                self.document.note(self.path, what)
        base_url = self._get("model_params", "base_url")
        if is_url and isinstance(base_url, str) and base_url.rstrip("/") != str(self._get("api_endpoint")).rstrip("/"):
            self._drop("base_url", "`api_endpoint` names the server", "model_params")

    def _refused(self) -> None:
        for key in tables.REFUSED_MODEL_PARAMS:
            self._drop(key, "`max_retry_num` is the number of retries", "model_params")
        for key in tables.REFUSED_SAMPLING_PARAMS:
            self._drop(key, "answers are not streamed", "sampling_params")

    def _functions(self) -> None:
        self._grader()
        build, parse = self._get("build_messages_func"), self._get("parse_output_func")
        chosen = {"build_messages_func": build or "build_messages", "parse_output_func": parse or "parse_output"}
        for key, name in chosen.items():
            if isinstance(name, str) and name not in BUILTIN and "." not in name:
                what = (
                    f"{name} is not registered here: name a function of your own by its dotted path (my_module.{name})."
                    " It is called with the row, or with the answer alone, and returns one list of messages"
                )
                self.document.note((*self.path, key), what)
        kwargs = self._get("func_kwargs")
        if isinstance(kwargs, dict) and all(name in BUILTIN for name in chosen.values() if isinstance(name, str)):
            accepted = {*chosen, *(key for name in chosen.values() for key in arguments(find_helper(str(name)))[0])}
            for key in [key for key in kwargs if key not in accepted]:
                self._drop(key, "the functions ignored it, and here it is an error", "func_kwargs")

    def _grader(self) -> None:
        """The original's helper built a grader's prompt; `build_messages` builds the same from a template."""
        kwargs = self._get("func_kwargs") or {}
        is_grader = self._get("build_messages_func") == tables.GRADER and isinstance(kwargs, dict)
        if not is_grader or {"question_key", "system_prompt", "build_messages_func"} & set(kwargs):
            return
        names = {key: kwargs.get(key, default) for key, default in tables.GRADER_KEYS.items()}
        template = tables.GRADER_TEMPLATE.format(**names)
        reason = "the helper of this name builds another prompt here; this template gives the original's"
        self._set("build_messages_func", "build_messages", reason)
        rest = {key: value for key, value in kwargs.items() if key not in names}
        self._set("func_kwargs", {**rest, "template": template}, reason)
