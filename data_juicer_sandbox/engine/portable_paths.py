"""`PortablePaths`: replaces the work directory in texts and files by a placeholder, and puts in that of another run.

Only a path that exists is replaced. What cannot be judged raises `NotPortable`: a result that names a path of another
run would be wrong without a sign of it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.types import LibraryObject

MAX_REWRITTEN = 64 << 20
"""Bytes of a file whose paths can be replaced; a larger one must not name the work directory."""
_CHUNK = 8 << 20
_LONGEST_PATH = 4096
_ROWS = (".jsonl", ".ndjson", ".csv", ".tsv")
_PACKED_ROWS = (".gz", ".zst", ".parquet")
_REST = re.compile(r"""/[^\s"'`\\,;<>|(){}\[\]\0]*""")
_PLACEHOLDER = re.compile(r"\0work_dir (\w+)\0")


class NotPortable(SandboxError):
    """A result of a job depends on the folder of its run."""


class PortablePaths:
    """The work directory of one run.

    Args:
        work_dir: the work directory.
    """

    def __init__(self, work_dir: Path):
        plain = str(work_dir)
        self._spellings = {
            "plain": plain,
            "dotted": plain if work_dir.is_absolute() else f"./{plain}",
            "absolute": str(work_dir.absolute()),
            "real": os.path.realpath(work_dir),
        }
        self._names: dict[str, str] = {}
        for name, text in self._spellings.items():
            self._names.setdefault(text, name)
        texts = self._texts = sorted(self._names, key=len, reverse=True)
        # `in/out/x` does not name the folder `out`; `file:///tmp/out/x` names `/tmp/out`.
        bounds = [r"(?<![\w.-])" if text.startswith("/") else r"(?<![\w./~-])" for text in texts]
        self._pattern = re.compile(
            "|".join(f"{bound}{re.escape(text)}(?=/)" for bound, text in zip(bounds, texts, strict=True))
        )
        self._literals = {f"{form}/" for text in texts for form in (text, json.dumps(text)[1:-1])}

    def of_path(self, path: str) -> str:
        """A path with a placeholder for the work directory."""
        for text in self._texts:
            if path == text or path.startswith(f"{text}/"):
                return self._placeholder(text) + path[len(text) :]
        return path

    def within(self, path: str) -> str | None:
        """The part of a path after the placeholder at its beginning; None if it has none."""
        match = _PLACEHOLDER.match(path)
        return None if match is None else path[match.end() :].lstrip("/")

    def key_of(self, path: str) -> str:
        """A path in the form that is the same for every spelling of the folder."""
        return _PLACEHOLDER.sub("\0work_dir\0", self.of_path(path))

    def _placeholder(self, text: str) -> str:
        return f"\0work_dir {self._names[text]}\0"

    def of_value(self, value: LibraryObject) -> LibraryObject:
        """A value of plain Python with placeholders in its texts.

        Raises:
            NotPortable: a text names a path in the work directory that does not exist, or bytes name it.
        """
        return _walk(value, self._of_result)

    def _of_result(self, text: str | bytes) -> str | bytes:
        if isinstance(text, bytes):
            if any(literal.encode() in text for literal in self._literals):
                raise NotPortable("a table among its results names the work directory")
            return text
        is_folder = os.sep in text and text in self._names and os.path.lexists(text)
        return self.of_path(text) if is_folder else self._of_text(text, "a result", is_data=False)

    def of_file(self, path: Path) -> str | None:
        """The text of a file with placeholders; None if it names nothing in the work directory.

        Compressed rows are read too, which takes long.

        Raises:
            NotPortable: it names something there, and is too large or not a text; or names a path that does not exist.
            SandboxError: it cannot be read.
        """
        if path.name.endswith(_PACKED_ROWS):
            from data_juicer_sandbox.components.io import read_rows

            for row in read_rows(path):
                self._refuse(json.dumps(row, default=str), path)
            return None
        return self.of_text_file(path)

    def of_text_file(self, path: Path) -> str | None:
        """As `of_file`, but a compressed file names nothing."""
        if not self._names_folders(path):
            return None
        if path.stat().st_size <= MAX_REWRITTEN:
            try:
                text = path.read_bytes().decode()
            except UnicodeDecodeError:
                pass
            else:
                abstract = self._of_text(text, path.name, is_data=path.name.endswith(_ROWS))
                return None if abstract == text else abstract
        for chunk in _chunks(path):
            self._refuse(chunk.decode("latin-1"), path)
        return None

    def restored(self, value: LibraryObject) -> LibraryObject:
        """A value with the work directory of this run in place of the placeholders."""
        return _walk(value, self._restored_text)

    def _restored_text(self, text: str | bytes) -> str | bytes:
        if isinstance(text, bytes):
            return text
        return _PLACEHOLDER.sub(lambda match: self._spellings[match[1]], text)

    def _of_text(self, text: str, name: str, *, is_data: bool) -> str:
        """A text with placeholders.

        Args:
            text: the text.
            name: its name for errors.
            is_data: it holds rows, whose words may look like a path by chance.
        """

        def placeholder(match: re.Match[str]) -> str:
            rest = _REST.match(text, match.end())
            path = match[0] + (rest[0][:_LONGEST_PATH] if rest else "/")
            if os.path.lexists(path) or os.path.lexists(path.rstrip(".:")):
                return self._placeholder(match[0])
            first = path[len(match[0]) + 1 :].partition("/")[0]
            if not is_data or (first and os.path.lexists(f"{match[0]}/{first}")):
                raise NotPortable(f"{name} names {path}, which does not exist")
            return match[0]

        abstract = self._pattern.sub(placeholder, text)
        if abstract != text and "\0" in text:
            raise NotPortable(f"{name} has zero bytes beside a path of the work directory")
        return abstract

    def _refuse(self, text: str, path: Path) -> None:
        if self._of_text(text, path.name, is_data=True) != text:
            raise NotPortable(f"{path.name} names files of the work directory, and is compressed, binary or large")

    def _names_folders(self, path: Path) -> bool:
        literals = [literal.encode() for literal in self._literals]
        return any(literal in chunk for chunk in _chunks(path) for literal in literals)


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in overlapping pieces, so that each path is whole in one of them."""
    tail = b""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield tail + chunk
            tail = chunk[-2 * _LONGEST_PATH :]


def _walk(value: LibraryObject, change: Callable[[str | bytes], str | bytes]) -> LibraryObject:
    """A copy of plain Python with all texts and bytes changed, keys included."""
    if isinstance(value, str | bytes):
        return change(value)
    if isinstance(value, Mapping):
        return {_walk(key, change): _walk(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_walk(item, change) for item in value)
    return value
