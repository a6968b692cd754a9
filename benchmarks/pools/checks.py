"""Whether the rows that came out are the right ones, found from the input by plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Wrong(Exception):
    """What came out is not what must come out."""


class Rows(Protocol):
    """What a file must hold."""

    @property
    def count(self) -> int:
        """How many rows."""

    def check(self, path: Path) -> None:
        """Look at every row.

        Raises:
            Wrong: a row is not as it must be.
        """


def prints(path: Path) -> Iterator[int]:
    """A hash of each line's bytes."""
    with path.open("rb") as stream:
        yield from map(hash, stream)


@dataclass(frozen=True)
class Exactly:
    """These lines, byte for byte, in this order.

    Args:
        lines: the prints of all there are to choose from.
        places: which of them.
    """

    lines: Sequence[int]
    places: Sequence[int]

    @property
    def count(self) -> int:
        return len(self.places)

    def check(self, path: Path) -> None:
        for number, (found, place) in enumerate(zip(prints(path), self.places, strict=True)):
            if found != self.lines[place]:
                raise Wrong(f"row {number} of {path.name} is not row {place} of its pool")


@dataclass(frozen=True)
class Drawn:
    """So many of these lines, byte for byte, in their order, none twice."""

    lines: Sequence[int]
    count: int

    def check(self, path: Path) -> None:
        rest = iter(self.lines)
        for number, found in enumerate(prints(path)):
            if found not in rest:  # moves on behind the line that is found
                raise Wrong(f"row {number} of {path.name} is not in its pool, or not at its place")


@dataclass(frozen=True)
class Joined:
    """Each row of one file with each of another, their fields side by side."""

    first: Path
    second: Path
    count: int

    def check(self, path: Path) -> None:
        with path.open("rb") as stream:
            for one in self.first.open("rb"):
                begin = json.loads(one)
                for two in self.second.open("rb"):
                    if list(json.loads(next(stream)).items()) != list({**begin, **json.loads(two)}.items()):
                        raise Wrong(f"{path.name} lacks {one[:80]!r} with {two[:80]!r}")


def check_files(folder: Path, expected: Mapping[str, Rows], *, thorough: bool) -> None:
    """See that the files that must be there are, and no others, with as many rows as they must have.

    Args:
        folder: where they are.
        expected: what each file must hold, by its path in the folder.
        thorough: whether to look at every row too.

    Raises:
        Wrong: something is not as it must be.
    """
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    if wrong := sorted(found ^ set(expected)):
        raise Wrong(f"{len(wrong)} files too many or too few: {', '.join(wrong[:5])}")
    for name, rows in expected.items():
        if (count := lines_of(folder / name)) != rows.count:
            raise Wrong(f"{name} has {count:,} rows, not {rows.count:,}")
        if thorough:
            rows.check(folder / name)


def lines_of(path: Path) -> int:
    """How many lines a file has."""
    with path.open("rb", buffering=0) as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))


def check_result(work: Path, expected: Mapping[str, Any]) -> None:
    """See that the best result of the one job of a run is this, but for the last digits of floats.

    Raises:
        Wrong: it is not.
    """
    (job,) = json.loads((work / "context_infos.json").read_text())["iterations"][0]["anonymous"]
    best = job["best"]
    if any(abs(best[key] - value) > 1e-9 for key, value in expected.items()):
        raise Wrong(f"{best} is not {expected}")
