"""Catalogue of Data-Juicer's OPs, built from source without importing Data-Juicer, and cached in the user's cache."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import xxhash
from loguru import logger

from data_juicer_sandbox.components.data.value_types import Type
from data_juicer_sandbox.errors import MissingDependency
from data_juicer_sandbox.file_digests import state_key
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.types import JsonValue

_BUILDERS = ("catalogue.py", "catalogue_build.py", "value_types.py")


@dataclass(frozen=True)
class Param:
    """A parameter of an OP.

    Args:
        name: the name.
        annotation: the type annotation in Data-Juicer's source; empty if there is none.
        type: the type as parsed by `value_types`.
        required: whether the parameter has no default.
        default: the default value; its source text if it is a computed expression.
    """

    name: str
    annotation: str
    type: Type
    required: bool
    default: JsonValue

    @property
    def numeric(self) -> bool:
        """Whether it accepts only numbers and None."""
        return all(alternative["is"] in {"int", "float", "none"} for alternative in self.type)

    @property
    def integer(self) -> bool:
        """Whether it accepts only integers and None."""
        return self.numeric and all(alternative["is"] != "float" for alternative in self.type)


@dataclass(frozen=True)
class Bound:
    """A parameter of a filter that is a bound of a stat.

    Args:
        param: the parameter.
        side: `min` or `max`.
        stat: the stat's name in `__dj__stats__`.
        when: a boolean parameter and its value for which the bound applies to this stat; None if it always applies.
    """

    param: str
    side: str
    stat: str
    when: tuple[str, bool] | None


@dataclass(frozen=True)
class Op:
    """An OP.

    Args:
        name: the name in a recipe.
        category: `filter`, `mapper`, `deduplicator`, `selector`, `grouper`, `aggregator`, `pipeline` or `fused`.
        doc: a short description.
        params: the parameters by name, including those that all OPs have.
        stats: the stats that it writes into `__dj__stats__`.
        bounds: the parameters that are bounds of stats.
        key_params: the parameters that name a field, and that its code uses, such as `text_key`.
        fields: the names of fields, among other keys, that stand in its code.
        tagging: whether it writes into `__dj__meta__` only.
    """

    name: str
    category: str
    doc: str
    params: Mapping[str, Param]
    stats: tuple[str, ...]
    bounds: tuple[Bound, ...]
    key_params: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    tagging: bool = False


class Catalogue:
    """All OPs of the installed Data-Juicer.

    Attributes:
        names: the names of the OPs.
        base_names: the parameters that all OPs, or all filters, have.
        keys: the top-level keys of a recipe: type and default by name (dotted if nested: `checkpoint.enabled`).
    """

    def __init__(self, data: dict[str, JsonValue]):
        self._ops: dict[str, JsonValue] = data["ops"]
        self._base: dict[str, JsonValue] = data["base"]
        self.keys: dict[str, JsonValue] = data["keys"]
        self.names = tuple(self._ops)
        self.base_names = frozenset(self._base)
        self._loaded: dict[str, Op] = {}

    def find(self, name: str) -> Op | None:
        """The OP with this name, or None."""
        if name not in self._ops:
            return None
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._ops[name])
        return self._loaded[name]

    def _load(self, name: str, raw: dict[str, JsonValue]) -> Op:
        base = {key: param for key, param in self._base.items() if raw["filters"] or not param["only_filters"]}
        params = {
            key: Param(key, param["annotation"], param["type"], param["required"], param["default"])
            for key, param in (base | raw["params"]).items()
        }
        bounds = tuple(
            Bound(bound["param"], bound["side"], bound["stat"], tuple(bound["when"]) if bound["when"] else None)
            for bound in raw["bounds"]
            if bound["param"] in params
        )
        return Op(
            name,
            raw["category"],
            raw["doc"],
            params,
            tuple(raw["stats"]),
            bounds,
            tuple(raw["key_params"]),
            tuple(raw["fields"]),
            raw["tagging"],
        )


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue of the installed Data-Juicer.

    Raises:
        MissingDependency: Data-Juicer is not installed.
    """
    package = _package()
    path = _cache_folder() / f"catalogue-{_version(package)}-{_state(package)}.json"
    try:
        return Catalogue(json.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("the catalogue at {} is invalid and is built again: {}", path, error)
    from data_juicer_sandbox.components.data.catalogue_build import build

    data = build(package)
    try:
        with replacing(path, shared=True) as part:
            part.write_text(json.dumps(data), encoding="utf-8")
    except OSError as error:
        logger.debug("the catalogue cannot be cached at {}: {}", path, error)
    return Catalogue(data)


def _package() -> Path:
    spec = importlib.util.find_spec("data_juicer")  # locates the package without running it
    if spec is None or spec.origin is None:
        raise MissingDependency("Data-Juicer is not installed", hint="pip install py-data-juicer")
    return Path(spec.origin).parent


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "data_juicer_sandbox"


def _version(package: Path) -> str:
    """The version from the first lines of the package, which is faster than importing it or reading its metadata."""
    for line in (package / "__init__.py").read_text(encoding="utf-8").splitlines()[:20]:
        if line.startswith("__version__"):
            return line.split("=", 1)[1].strip().strip("\"'")
    return "unknown"


def _state(package: Path) -> str:
    """A digest of the stat data of all source files, and of the code that reads them; it reads no file."""
    state = xxhash.xxh3_64()
    for name in _BUILDERS:
        state.update(f"{name} {state_key(Path(__file__).with_name(name).stat())};".encode())
    folders = [package / "ops", package / "config", package / "utils"]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.endswith(".py"):
                    state.update(f"{entry.name} {state_key(entry.stat())};".encode())
                elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                    folders.append(Path(entry.path))
    return str(state.hexdigest())
