"""Short labels for the names of data sets and pools, which are chains of what was done to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

CONTROL = "control"
"""The label of the control pool of `data_pool_construction`."""
_PARTS = {2: ("low", "high"), 3: ("low", "middle", "high")}


def short_labels(names: Iterable[str]) -> dict[str, str]:
    """A short, distinct label for each name, which depends on all names.

    What all names begin and end with is left out, in whole words between underscores: `docs_stats_analyzed_text_len_0`
    and `docs_stats_analyzed_control` become `text_len_0` and `control`. Beside a control, the two or three parts of a
    stat become `low`, `middle` and `high`, since parts are numbered from the lowest.

    Args:
        names: the names; repeated ones count once.

    Returns:
        labels by name, in the order of the names.
    """
    distinct = list(dict.fromkeys(names))
    start, end = shared_ends(distinct)
    labels = {name: name[start : len(name) - end] for name in distinct}
    if not all(re.search(r"[^\W\d_]", label) for label in labels.values()):
        return {name: name for name in distinct}  # a number alone says nothing
    if CONTROL in labels.values():
        words = _part_words(list(labels.values()))
        labels = {name: words.get(label, label) for name, label in labels.items()}
    return labels if len(set(labels.values())) == len(labels) else {name: name for name in distinct}


def shared_ends(names: Sequence[str], separators: str = "_") -> tuple[int, int]:
    """The number of characters that all names begin with, and end with, in whole words; something remains of each.

    Args:
        names: different names; 0 and 0 for fewer than two.
        separators: characters that end a word.
    """
    if len(names) < 2:
        return 0, 0
    words = [re.findall(rf"[^{re.escape(separators)}]*[{re.escape(separators)}]|[^{re.escape(separators)}]+$", name)
             for name in names]  # fmt: skip
    shortest = min(map(len, words))
    first = 0
    while first < shortest - 1 and len({tuple(parts[: first + 1]) for parts in words}) == 1:
        first += 1
    last = 0
    while last < shortest - first - 1 and len({tuple(parts[-last - 1 :]) for parts in words}) == 1:
        last += 1
    start = len("".join(words[0][:first]))
    end = len("".join(words[0][len(words[0]) - last :])) if last else 0
    return start, end + bool(end)  # with the separator before it


def _part_words(labels: Sequence[str]) -> dict[str, str]:
    """The labels of numbered parts with words for the numbers, where all parts of a stat are among the labels."""
    numbers: dict[str, set[int]] = {}
    for label in labels:
        if match := re.fullmatch(r"(.+)_(\d)", label):
            numbers.setdefault(match[1], set()).add(int(match[2]))
    return {
        f"{base}_{number}": f"{base}_{word}"
        for base, parts in numbers.items()
        if parts == set(range(len(parts))) and not base.endswith("ignore_stats")
        for number, word in enumerate(_PARTS.get(len(parts), ()))
    }
