"""Short, distinct names for paths, used for pools, models and metrics."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

_ENDINGS = (".gz", ".zst", ".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv")


def as_list(paths: str | list[str]) -> list[str]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str) else list(paths)


def stem(path: str | Path) -> str:
    """The name of a data set or a folder without its file endings: `wiki` for `a/wiki.jsonl.gz`."""
    name = Path(path).name
    while (shorter := next((name[: -len(end)] for end in _ENDINGS if name.endswith(end)), "")) and shorter != name:
        name = shorter
    return name or Path(path).resolve().name


def distinct_names(paths: list[str]) -> list[str]:
    """A unique name for each path, in order.

    A name is the path's stem. Equal stems are prefixed with their folder's name (`a_train` and `b_train` for
    `a/train.jsonl` and `b/train.jsonl`), and names that are still equal are numbered (`train`, `train-2`).
    """
    stems = [stem(path) for path in paths]
    shared = Counter(stems)
    parents = [Path(path).absolute().parent.name for path in paths]
    candidates = [f"{parent}_{name}" if shared[name] > 1 else name for parent, name in zip(parents, stems, strict=True)]
    taken: set[str] = set()
    names = []
    for name in candidates:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        names.append(unique)
    return names
