"""What OPs need besides Data-Juicer itself: packages and models to download, read from their source without imports."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.components.data.catalogue import Op, catalogue
from data_juicer_sandbox.imports import is_installed
from data_juicer_sandbox.types import JsonValue

_ACCELERATORS = frozenset({"torch", "vllm", "ray", "transformers"})
"""Packages that many OPs name and use only on a GPU, or with a model; a model names its own below."""
_MODELS = {
    "fasttext": (("fasttext", "fasttext-predict"), "lid.176.bin"),
    "kenlm": (("kenlm", "kenlm"), "{lang}.arpa.bin"),
    "sentencepiece": (("sentencepiece", "sentencepiece"), "{lang}.sp.model"),
    "nltk": (("nltk", "nltk"), "punkt.{lang}.pickle"),
    "spacy": (("spacy", "spacy"), "{lang}_core_web_md-3.7.0"),
    "huggingface": (("transformers", "transformers"), ""),
    "vllm": (("vllm", "vllm"), ""),
    "api": (("openai", "openai"), ""),
}
"""The package that a type of model needs (import name, name on PyPI), and the file that Data-Juicer downloads."""
_HUB_PARAMETERS = ("pretrained_model_name_or_path", "model_path")


@dataclass(frozen=True)
class Need:
    """Something that an OP needs and that is not there.

    Args:
        message: what, in words.
        hint: how to get it.
    """

    message: str
    hint: str


def needs(name: str, arguments: Mapping[str, JsonValue] | None) -> list[Need]:
    """What an OP lacks with these parameters, as far as its source shows.

    Args:
        name: the OP.
        arguments: its parameters in the recipe.
    """
    op = catalogue().find(name)
    tree = _source(op) if op is not None else None
    if op is None or tree is None:
        return []
    values = {**{param.name: param.default for param in op.params.values()}, **(arguments or {})}
    op_class = next((node for node in tree.body if isinstance(node, ast.ClassDef) and _is_registered(node)), None)
    if op_class is None:
        return []
    packages = {
        module: package
        for variable, (module, package) in _lazy_modules(tree)
        if module not in _ACCELERATORS and _uses(op_class, variable, values)
    }
    downloads = []
    for call in _reachable(op_class, values):
        if isinstance(call.func, ast.Name) and call.func.id == "prepare_model":
            downloads += list(_model_needs(call, values, packages))
    missing = {package: None for module, package in packages.items() if not _is_installed(module)}
    return [
        *(Need(f"`{name}` needs the package {package!r}, which is not installed", f"pip install {package}")
          for package in missing),
        *(Need(f"`{name}` {need.message}", need.hint) for need in downloads),
    ]  # fmt: skip


def _model_needs(call: ast.Call, values: Mapping[str, JsonValue], packages: dict[str, str]) -> Iterator[Need]:
    """The download of a model; its package is added to `packages`."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    model_type = keywords.get("model_type", call.args[0] if call.args else None)
    if not isinstance(model_type, ast.Constant) or model_type.value not in _MODELS:
        return
    (module, package), file_name = _MODELS[model_type.value]
    packages[module] = package
    if file_name:
        file_name = file_name.replace("{lang}", str(_value(keywords.get("lang"), values) or "en"))
        if not (_cache() / file_name).exists():
            yield Need(
                f"downloads the model {file_name} from Data-Juicer's server when the job starts",
                f"without network: put it into {_cache()}",
            )
    elif model_type.value != "api":
        model = next((_value(keywords[key], values) for key in _HUB_PARAMETERS if key in keywords), None)
        if isinstance(model, str) and not Path(model).exists():
            yield Need(
                f"uses the model {model!r} of the Hugging Face hub, which is downloaded when the job starts",
                "unless it is in the cache; a folder works too",
            )


def _value(node: ast.expr | None, values: Mapping[str, JsonValue]) -> JsonValue:
    """The value of an argument that is a constant, a parameter, or an attribute with a parameter's name."""
    if isinstance(node, ast.Constant):
        return node.value
    name = _parameter(node)
    return values.get(name) if name else None


def _parameter(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return node.attr
    return None


def _reachable(op_class: ast.ClassDef, values: Mapping[str, JsonValue]) -> Iterator[ast.Call]:
    """The calls in the constructor, without those in branches that the parameters exclude."""
    for node in op_class.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            for child in _statements(node.body, values):
                yield from (call for call in ast.walk(child) if isinstance(call, ast.Call))


def _statements(body: list[ast.stmt], values: Mapping[str, JsonValue]) -> Iterator[ast.AST]:
    for node in body:
        if isinstance(node, ast.If):
            name = _parameter(node.test)
            branches = [node.body, node.orelse]
            if name is not None and name in values:
                branches = [node.body if values[name] else node.orelse]
            for branch in branches:
                yield from _statements(branch, values)
        else:
            yield node


def _uses(op_class: ast.ClassDef, variable: str, values: Mapping[str, JsonValue]) -> bool:
    """Whether a class uses a module, outside of branches of its constructor that the parameters exclude."""
    for node in op_class.body:
        is_constructor = isinstance(node, ast.FunctionDef) and node.name == "__init__"
        parts = _statements(node.body, values) if isinstance(node, ast.FunctionDef) and is_constructor else [node]
        for part in parts:
            if any(isinstance(name, ast.Name) and name.id == variable for name in ast.walk(part)):
                return True
    return False


def _lazy_modules(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Variable, module and package of each `variable = LazyLoader("module", "package")`."""
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        call, variable = node.value, node.targets[0]
        names = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        if (
            isinstance(call.func, ast.Name)
            and call.func.id == "LazyLoader"
            and isinstance(variable, ast.Name)
            and names
        ):
            module = str(names[0]).partition(".")[0]
            yield variable.id, (module, str(names[1]) if len(names) > 1 else module)


def _is_registered(node: ast.ClassDef) -> bool:
    return any("OPERATORS" in ast.unparse(decorator) for decorator in node.decorator_list)


@functools.lru_cache(maxsize=64)
def _source_at(path: Path) -> ast.Module | None:
    """The parsed source of an OP; None if it cannot be read, or loads no package and no model."""
    try:
        content = path.read_bytes()
        if b"LazyLoader" not in content and b"prepare_model" not in content:
            return None  # most OPs; parsing takes a few milliseconds
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes, which newer versions of Python warn about
            return ast.parse(content)
    except (OSError, SyntaxError, ValueError):
        return None


def _source(op: Op) -> ast.Module | None:
    folder = _package_folder()
    return _source_at(folder / "ops" / op.category / f"{op.name}.py") if folder else None


@functools.cache
def _package_folder() -> Path | None:
    spec = importlib.util.find_spec("data_juicer")
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) if folders else None


_is_installed = functools.cache(is_installed)


def _cache() -> Path:
    """The folder of Data-Juicer's models."""
    root = os.environ.get("DATA_JUICER_CACHE_HOME", str(Path.home() / ".cache/data_juicer"))
    return Path(os.environ.get("DATA_JUICER_MODELS_CACHE", f"{root}/models"))
