"""What a job has made already: so that its rerun, after an interruption, makes the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import xxhash

from data_juicer_sandbox import __version__
from data_juicer_sandbox.files import open_append, state_key


class OutputManifest:
    """The record of the outputs that a job has finished, kept in its folder, a line each.

    An output is right still if it is as it was left, and was made of the same content in the same way. Whoever writes
    an output adds it, so that none that is finished goes unrecorded. The output of a damaged line is made again: a line
    counts only if it has the digest of recipe and content, and the output's size and time.

    Args:
        folder: the job's.
        recipe: everything but the content's key that decides on the bytes of the outputs, in plain values.
    """

    def __init__(self, folder: Path, recipe: Any):
        self._file = folder.absolute() / "made.jsonl"
        self._recipe = json.dumps([__version__, recipe], sort_keys=True, default=str)
        self._known: dict[str, list[Any]] = {}
        if self._file.is_file():
            for line in self._file.read_bytes().splitlines():
                try:
                    path, *facts = json.loads(line)
                except (ValueError, TypeError, RecursionError):  # damaged, or the half that a killed run left
                    continue
                if isinstance(path, str):
                    self._known[path] = facts

    def has(self, path: Path, key: str) -> bool:
        """Whether an output with a content of this key need not be made again."""
        known = self._known.get(str(path))
        try:
            return known is not None and known == self._facts(key, path.stat())
        except OSError:
            return False

    def add(self, path: Path, key: str, state: os.stat_result) -> None:
        """Record that an output is whole."""
        # A line break in front too: what stands last may be half a line. At once, since others may be adding theirs.
        line = "\n" + json.dumps([str(path), *self._facts(key, state)]) + "\n"
        with open_append(self._file) as stream:
            stream.write(line.encode())

    def _facts(self, key: str, state: os.stat_result) -> list[Any]:
        made_so = xxhash.xxh3_128_hexdigest(f"{self._recipe}\n{key}".encode())
        return [made_so, state_key(state)]
