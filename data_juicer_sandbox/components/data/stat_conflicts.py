"""Filters of one recipe that would share a stat although they mean different values.

Data-Juicer computes a stat once per row: the second filter on it takes the value of the first, even if it works on
another field, or if a mapper changed the text in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from data_juicer_sandbox.components.data.catalogue import Op, catalogue
from data_juicer_sandbox.types import JsonValue

_GLOBAL_KEYS = {"text_key": "text_keys"}
"""Parameters of OPs whose default is a key of the recipe with another name."""
_CODE = {"python_lambda_mapper", "python_file_mapper"}
"""Mappers that may change any field."""


@dataclass(frozen=True)
class StatConflict:
    """A filter that would reuse the wrong value of a stat.

    Attributes:
        index: its position in `process`.
        op: its name.
        message: what is wrong.
    """

    index: int
    op: str
    message: str


@dataclass
class _Computed:
    index: int
    op: str
    fields: frozenset[str]
    changed_by: str = ""


def stat_conflicts(recipe: Mapping[str, JsonValue]) -> Iterator[StatConflict]:
    """Find the filters of a recipe that would reuse the wrong value of a stat."""
    process = recipe.get("process")
    computed: dict[str, _Computed] = {}
    for index, entry in enumerate(process if isinstance(process, list) else []):
        if not isinstance(entry, Mapping) or len(entry) != 1:
            continue
        ((name, args),) = entry.items()
        op = catalogue().find(str(name))
        if op is None:
            continue
        values = args if isinstance(args, Mapping) else {}
        fields = _fields(op, values, recipe)
        if op.category == "mapper" and not op.tagging:
            for stat in computed.values():
                if name in _CODE or not fields.isdisjoint(stat.fields):
                    stat.changed_by = stat.changed_by or str(name)
        elif op.category == "filter":
            yield from _of_filter(op, index, _stats(op, values), fields, computed)


def _of_filter(
    op: Op, index: int, stats: list[str], fields: frozenset[str], computed: dict[str, _Computed]
) -> Iterator[StatConflict]:
    for stat in stats:
        first = computed.get(stat)
        if first is None:
            computed[stat] = _Computed(index, op.name, fields)
        elif first.fields != fields:
            message = (
                f"`{op.name}` works on {_listed(fields)}, but it would reuse the stat `{stat}` that `{first.op}` "
                f"(process.{first.index}) computes on {_listed(first.fields)}: Data-Juicer computes a stat once per row"
            )
            yield StatConflict(index, op.name, message)
            return
        elif first.changed_by:
            message = (
                f"`{op.name}` would reuse the stat `{stat}` that `{first.op}` (process.{first.index}) computes before "
                f"`{first.changed_by}` changes {_listed(fields)}: Data-Juicer computes a stat once per row"
            )
            yield StatConflict(index, op.name, message)
            return


def _stats(op: Op, args: Mapping[str, JsonValue]) -> list[str]:
    """The stats that a filter computes with these parameters."""
    active = []
    for stat in op.stats:
        conditions = [bound.when for bound in op.bounds if bound.stat == stat]
        if not conditions or any(
            when is None or args.get(when[0], op.params[when[0]].default if when[0] in op.params else None) == when[1]
            for when in conditions
        ):
            active.append(stat)
    return active


def _fields(op: Op, args: Mapping[str, JsonValue], recipe: Mapping[str, JsonValue]) -> frozenset[str]:
    """The fields that an OP works on."""
    names: set[str] = set()
    for param in op.key_params:
        if param not in op.params:
            continue
        value = args.get(param) or recipe.get(_GLOBAL_KEYS.get(param, param)) or op.params[param].default
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, str):
            names.add(value)
    return frozenset(names)


def _listed(fields: frozenset[str]) -> str:
    return " and ".join(map(repr, sorted(fields))) or "no field"
