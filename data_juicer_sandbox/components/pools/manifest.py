"""Manifest of finished outputs: a rerun after an interruption writes only the missing ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import xxhash

from data_juicer_sandbox import __version__
from data_juicer_sandbox.file_digests import state_key
from data_juicer_sandbox.files import open_append
from data_juicer_sandbox.types import JsonValue


class OutputManifest:
    """The finished outputs of a job, one line each in `made.jsonl` in the job's folder.

    An entry is valid if the file's size and mtime are unchanged and its content key and recipe match. The process that
    writes an output adds its entry, so that every finished output is recorded. An output whose line is damaged is
    written again.

    Args:
        folder: the job's folder.
        recipe: all settings and inputs, besides the content key, that determine the outputs' bytes; plain values.
    """

    def __init__(self, folder: Path, recipe: JsonValue):
        self._file = folder.absolute() / "made.jsonl"
        self._recipe = json.dumps([__version__, recipe], sort_keys=True, default=str)
        self._entries: dict[str, list[object]] = {}
        if self._file.is_file():
            for line in self._file.read_bytes().splitlines():
                try:
                    path, *entry = json.loads(line)
                except (ValueError, TypeError, RecursionError):  # damaged, or written in part by a killed run
                    continue
                if isinstance(path, str):
                    self._entries[path] = entry

    def has(self, path: Path, key: str) -> bool:
        """Whether the manifest has a valid entry for an output with this content key."""
        entry = self._entries.get(str(path))
        try:
            return entry is not None and entry == self._entry(key, path.stat())
        except OSError:
            return False

    def add(self, path: Path, key: str, state: os.stat_result) -> None:
        """Record a finished output."""
        # The leading line break ends a line that a killed run left incomplete. It is a single write, since other
        # processes may append at the same time.
        line = "\n" + json.dumps([str(path), *self._entry(key, state)]) + "\n"
        with open_append(self._file) as stream:
            stream.write(line.encode())

    def _entry(self, key: str, state: os.stat_result) -> list[object]:
        recipe_digest = xxhash.xxh3_128_hexdigest(f"{self._recipe}\n{key}".encode())
        return [recipe_digest, state_key(state)]
