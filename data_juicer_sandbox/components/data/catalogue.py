"""The catalogue of Data-Juicer's OPs, without importing Data-Juicer; made on first use, kept in the user's cache."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash
from loguru import logger

from data_juicer_sandbox.components.data.value_types import Type
from data_juicer_sandbox.errors import MissingDependency
from data_juicer_sandbox.files import replacing, state_key

_MAKERS = ("catalogue.py", "catalogue_build.py", "value_types.py")


@dataclass(frozen=True)
class Param:
    """A parameter of an OP.

    Args:
        name: its name.
        annotation: its type as Data-Juicer writes it; empty where it writes none.
        type: its type as `value_types` reads it.
        required: whether it has no default.
        default: the default; the text of it where it is computed.
    """

    name: str
    annotation: str
    type: Type
    required: bool
    default: Any

    @property
    def numeric(self) -> bool:
        """Whether it takes a number, and nothing but that or None."""
        return all(one["is"] in {"int", "float", "none"} for one in self.type)

    @property
    def integer(self) -> bool:
        """Whether it takes whole numbers only."""
        return self.numeric and all(one["is"] != "float" for one in self.type)


@dataclass(frozen=True)
class Bound:
    """A parameter that a filter compares a stat with.

    Args:
        param: the parameter.
        side: `min` or `max`.
        stat: the stat, as it is named in `__dj__stats__`.
        when: a boolean parameter and the value of it for which it is this stat; None where it always is.
    """

    param: str
    side: str
    stat: str
    when: tuple[str, bool] | None


@dataclass(frozen=True)
class Op:
    """An OP.

    Args:
        name: its name in a recipe.
        kind: `filter`, `mapper`, `deduplicator`, `selector`, `grouper`, `aggregator`, `pipeline` or `fused`.
        doc: what it does, in short.
        params: its own parameters by name, and those that all OPs have.
        stats: the stats it writes into `__dj__stats__`.
        bounds: which of its parameters bound which stat.
    """

    name: str
    kind: str
    doc: str
    params: Mapping[str, Param]
    stats: tuple[str, ...]
    bounds: tuple[Bound, ...]


class Catalogue:
    """All OPs of the Data-Juicer that is installed.

    Attributes:
        names: the OPs' names.
        base_names: the parameters that all OPs have (some of them only filters).
        keys: the top-level keys of a recipe: their type and default, by name (with dots: `checkpoint.enabled`).
    """

    def __init__(self, data: dict[str, Any]):
        self._ops: dict[str, Any] = data["ops"]
        self._base: dict[str, Any] = data["base"]
        self.keys: dict[str, Any] = data["keys"]
        self.names = tuple(self._ops)
        self.base_names = frozenset(self._base)
        self._made: dict[str, Op] = {}

    def find(self, name: str) -> Op | None:
        """The OP of a name, or None."""
        if name not in self._ops:
            return None
        if name not in self._made:
            self._made[name] = self._make(name, self._ops[name])
        return self._made[name]

    def _make(self, name: str, raw: dict[str, Any]) -> Op:
        base = {key: param for key, param in self._base.items() if raw["filters"] or not param["only_filters"]}
        params = {
            key: Param(key, one["annotation"], one["type"], one["required"], one["default"])
            for key, one in (base | raw["params"]).items()
        }
        bounds = tuple(
            Bound(one["param"], one["side"], one["stat"], tuple(one["when"]) if one["when"] else None)
            for one in raw["bounds"]
            if one["param"] in params
        )
        return Op(name, raw["kind"], raw["doc"], params, tuple(raw["stats"]), bounds)


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue of the installed Data-Juicer.

    Raises:
        MissingDependency: it is not installed.
    """
    package = _package()
    path = _cache_folder() / f"catalogue-{_version(package)}-{_state(package)}.json"
    try:
        return Catalogue(json.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("the catalogue at {} is not usable and is made again: {}", path, error)
    from data_juicer_sandbox.components.data.catalogue_build import build

    data = build(package)
    try:
        with replacing(path, shared=True) as part:
            part.write_text(json.dumps(data), encoding="utf-8")
    except OSError as error:
        logger.debug("the catalogue cannot be kept at {}: {}", path, error)
    return Catalogue(data)


def _package() -> Path:
    spec = importlib.util.find_spec("data_juicer")  # finds it, and runs nothing of it
    if spec is None or spec.origin is None:
        raise MissingDependency("Data-Juicer is not installed", hint="pip install py-data-juicer")
    return Path(spec.origin).parent


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "data_juicer_sandbox"


def _version(package: Path) -> str:
    """The version that the first lines of the package state; importing it, or its metadata, takes longer."""
    for line in (package / "__init__.py").read_text(encoding="utf-8").splitlines()[:20]:
        if line.startswith("__version__"):
            return line.split("=", 1)[1].strip().strip("\"'")
    return "unknown"


def _state(package: Path) -> str:
    """Changes with any source file, and with the code that reads them; no file is read."""
    state = xxhash.xxh3_64()
    for name in _MAKERS:
        state.update(f"{name} {state_key(Path(__file__).with_name(name).stat())};".encode())
    todo = [package / "ops", package / "config", package / "utils"]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.name.endswith(".py"):
                    state.update(f"{entry.name} {state_key(entry.stat())};".encode())
                elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                    todo.append(Path(entry.path))
    return str(state.hexdigest())
