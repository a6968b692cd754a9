"""The fields of a data set that the OPs of a recipe work on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data_juicer_sandbox.components.data.catalogue import Op, catalogue
from data_juicer_sandbox.types import JsonValue, Row

PREFIX = "__dj__"
"""Data-Juicer's own fields start so: stats, tags, hashes. Its OPs reuse the ones that a data set already has."""
_ANY_FIELD = {"python_lambda_mapper", "python_file_mapper", "general_field_filter"}
"""OPs that run code or expressions of the user, which may read any field."""
_WHOLE_ROWS = {"grouper", "aggregator", "pipeline"}
"""Categories whose OPs make new rows of whole rows."""
_FIELD_KEY = "field_key"
"""The parameter of the OPs that filter or select by one field, which takes a path such as `meta.score`."""
_NAME = re.compile(r"[^\s,;:(){}\[\]'\"]+")


@dataclass
class NeededFields:
    """Which fields of a row Data-Juicer gets.

    Args:
        names: their names; a nested field by its top-level name.
        everything: whether it gets all fields.
        texts: the fields that must be texts, and the first OP that needs it.
        nested: the keys in mappings that an OP reads, such as `("meta", "score")`, and the first OP that needs it.
    """

    names: set[str] = field(default_factory=set)
    everything: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    nested: dict[tuple[str, ...], str] = field(default_factory=dict)

    def of(self, row: Row) -> Iterator[str]:
        """The needed fields that a row has."""
        for name in row:
            if self.everything or name in self.names or name.startswith(PREFIX):
                yield name


def needed_fields(
    process: Sequence[Mapping[str, JsonValue]], text_keys: Iterable[str], more: Iterable[JsonValue] = ()
) -> NeededFields:
    """The fields that the OPs of a recipe may read or change, from their parameters and their source.

    Args:
        process: the OPs, each with all parameters that Data-Juicer's config gives it.
        text_keys: the recipe's text fields.
        more: further values that name fields, such as the parameters of a selector.
    """
    needed = NeededFields(set(text_keys))
    for value in more:
        needed.names.update(_names(value))
    for entry in process:
        for name, args in entry.items():
            _add(needed, name, catalogue().find(name), args if isinstance(args, Mapping) else {})
    return needed


def _add(needed: NeededFields, name: str, op: Op | None, args: Mapping[str, JsonValue]) -> None:
    if op is None or name in _ANY_FIELD or op.category in _WHOLE_ROWS or args.get("stats_export_path"):
        needed.everything = True
    if op is None:
        return
    base = catalogue().base_names
    for param in op.params.values():
        value = args.get(param.name, param.default)
        # A parameter of all OPs, such as `text_key`, counts only where the OP's code uses it. Code that a mapper shares
        # with others may use more of them.
        of_all = param.name in base and not (op.category == "mapper" and param.name.endswith("_key"))
        if not of_all or param.name in op.key_params:
            needed.names.update(_names(value))
    needed.names.update(op.fields)
    path = args.get(_FIELD_KEY)
    if isinstance(path, str) and "." in path and not path.startswith(PREFIX):
        needed.nested.setdefault(tuple(path.split(".")), name)
    text_key = args.get("text_key") or op.params["text_key"].default
    if isinstance(text_key, str) and "text_key" in op.key_params:
        needed.texts.setdefault(text_key.partition(".")[0] if "." in text_key else text_key, name)


def _names(value: JsonValue) -> Iterator[str]:
    """All names that a parameter's value may mean, such as `meta.score` and `meta`."""
    if isinstance(value, str):
        yield value
        for name in _NAME.findall(value):
            parts = name.split(".")
            yield from (".".join(parts[:number]) for number in range(1, len(parts) + 1))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _names(key)
            yield from _names(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _names(item)
