"""Short, distinct names for paths: what pools, models and metrics are called after."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

_ENDINGS = (".gz", ".zst", ".jsonl", ".ndjson", ".json", ".parquet", ".csv")


def as_list(paths: str | list[str]) -> list[str]:
    """One path or several, always as a list."""
    return [paths] if isinstance(paths, str) else list(paths)


def stem(path: str | Path) -> str:
    """The name of a data set or a folder without the endings of its format: `a/wiki.jsonl.gz` is `wiki`."""
    name = Path(path).name
    while (shorter := next((name[: -len(end)] for end in _ENDINGS if name.endswith(end)), "")) and shorter != name:
        name = shorter
    return name or Path(path).resolve().name


def distinct_names(paths: list[str]) -> list[str]:
    """A name for each path, in order, no two alike.

    A name is the path's stem; those that share one get their folder's name in front (`a/train.jsonl` and
    `b/train.jsonl` are `a_train` and `b_train`), and what is still alike is numbered (`train`, `train-2`).
    """
    stems = [stem(path) for path in paths]
    shared = Counter(stems)
    parents = [Path(path).absolute().parent.name for path in paths]
    wanted = [f"{parent}_{name}" if shared[name] > 1 else name for parent, name in zip(parents, stems, strict=True)]
    taken: set[str] = set()
    names = []
    for name in wanted:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}-{number}"
        taken.add(unique)
        names.append(unique)
    return names
