"""What a job has made already: so that its rerun, after an interruption, makes the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xxhash

from data_juicer_sandbox import __version__
from data_juicer_sandbox.components.pools.outputs import Output


class Made:
    """The record of the outputs that a job has finished, kept in its folder, a line each.

    An output is right still if it is as it was left, and was made of the same content in the same way.

    Args:
        folder: the job's.
        recipe: everything that decides on the bytes of the outputs, in plain values.
    """

    def __init__(self, folder: Path, recipe: Any):
        self._file = folder / "made.jsonl"
        self._recipe = xxhash.xxh3_128_hexdigest(
            json.dumps([__version__, recipe], sort_keys=True, default=str).encode()
        )
        self._known: dict[str, tuple[str, int, int]] = {}
        if self._file.is_file():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                try:
                    path, recipe, size, changed = json.loads(line)
                except ValueError:  # the half of a line that a killed run left
                    continue
                self._known[path] = (recipe, size, changed)

    def has(self, output: Output) -> bool:
        """Whether the output need not be made again."""
        known = self._known.get(str(output.path.absolute()))
        if known is None or known[0] != self._recipe:
            return False
        try:
            state = output.path.stat()
        except OSError:
            return False
        return known[1:] == (state.st_size, state.st_mtime_ns)

    def add(self, output: Output, size: int, changed: int) -> None:
        """Record that the output is whole."""
        with self._file.open("a", encoding="utf-8") as stream:
            # A line break in front too: what stands last may be half a line.
            stream.write("\n" + json.dumps([str(output.path.absolute()), self._recipe, size, changed]) + "\n")
