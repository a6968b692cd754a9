"""Summaries of a run: one-line outputs and tables of scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.labels import short_labels
from data_juicer_sandbox.secrets import mask, shorten

TRAINED_ON = "train_dataset"
"""The key of a score that names the data set that the model was trained on."""
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Table:
    """A table with a title."""

    title: str
    columns: list[str]
    rows: Sequence[Sequence[object]]


def format_outputs(outputs: Mapping[str, object], limit: int = 120) -> str:
    """A job's outputs on one line, secrets masked."""
    parts = [f"{name} = {_short(value)}" for name, value in mask(outputs).items()]
    return shorten(", ".join(parts), limit, "…")


def tables(context: ContextInfos) -> Iterator[Table]:
    """The scores of all evaluation jobs: lists of mappings as rows, mappings as name and value."""
    for pipeline, record in context.records():
        if record.provenance.phase != Phase.EVALUATION.value or not record.done:
            continue
        for name, value in mask(record.outputs).items():
            title = f"{pipeline}.{record.meta_name}.{name}"
            if isinstance(value, Mapping) and value and all(isinstance(item, _SCALARS) for item in value.values()):
                yield Table(title, ["name", "value"], [[key, item] for key, item in value.items()])
            elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
                columns = list(dict.fromkeys(key for item in value for key in item if isinstance(item[key], _SCALARS)))
                yield Table(title, columns, labelled(columns, value))
            elif isinstance(value, (int, float)):
                yield Table(title, ["value"], [[value]])


def labelled(columns: Sequence[str], items: Sequence[Mapping[str, object]]) -> list[list[object]]:
    """The rows of a table; training data sets by their labels."""
    names = [name for item in items if isinstance(name := item.get(TRAINED_ON), str)]
    labels = short_labels(names)
    return [
        [
            labels.get(str(value), value) if column == TRAINED_ON else value
            for column in columns
            for value in [item.get(column)]
        ]
        for item in items
    ]


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return f"[{_short(value[0])}{f', … {len(value)} in all' if len(value) > 1 else ''}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in list(value.items())[:4]) + "}"
    return str(value) if isinstance(value, _SCALARS) else f"a {type(value).__name__}"
