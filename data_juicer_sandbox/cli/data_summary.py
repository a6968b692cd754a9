"""What `dj-sandbox init` finds out about a data set."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from data_juicer_sandbox.components.io.stream import read_rows
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import Row

_BYTES_PER_TOKEN = 4
"""Roughly, for English text and common tokenizers."""
_CHAT = ("messages", "conversations", "chosen", "prompt")
_PREFERRED = ("text", "content", "body")
_MAX_COMPARED = 1_000_000
"""Number of texts that are compared with the held-out ones."""


@dataclass
class DataSummary:
    """A data set in short.

    Args:
        path: its path.
        rows: number of rows.
        fields: for each field the number of rows that have it.
        text_bytes: for each field with texts, their UTF-8 bytes in total.
        texts: for each such field, the number of texts that are not blank.
        digests: digests of the texts by field.
    """

    path: str
    rows: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    text_bytes: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    digests: dict[str, set[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str) -> DataSummary:
        """Read a data set.

        Raises:
            JobError: it does not exist, is damaged, or has no rows.
        """
        summary = cls(path)
        for row in read_rows(path):
            summary._add(row)
        if not summary.rows:
            raise JobError("the data set has no rows", where=path)
        return summary

    def _add(self, row: Row) -> None:
        self.rows += 1
        for key, value in row.items():
            self.fields[key] += 1
            if isinstance(value, str) and value.strip():
                data = value.encode("utf-8", "surrogatepass")
                self.text_bytes[key] += len(data)
                self.texts[key] += 1
                digests = self.digests.setdefault(key, set())
                if len(digests) < _MAX_COMPARED:
                    digests.add(hashlib.blake2b(data, digest_size=12).digest())

    def text_field(self) -> str:
        """The field that holds the texts: `text` or the like, else the one with the longest texts.

        Raises:
            JobError: no field holds texts.
        """
        candidates = [name for name in self.text_bytes if self.texts[name] * 2 >= self.rows]
        if not candidates:
            chat = [name for name in _CHAT if name in self.fields]
            hint = f"the rows have {', '.join(map(repr, list(self.fields)[:10]))}"
            if chat:
                hint = f"{chat[0]!r} looks like chat data: see trl_sft in docs/language_models.md"
            raise JobError("no field holds a text in at least half of the rows", where=self.path, hint=hint)
        preferred = [name for name in _PREFERRED if name in candidates]
        return preferred[0] if preferred else max(candidates, key=lambda name: self.text_bytes[name])

    def tokens(self, name: str) -> int:
        """The approximate number of tokens of a field."""
        return self.text_bytes[name] // _BYTES_PER_TOKEN

    def shared_texts(self, other: DataSummary, name: str) -> int:
        """The number of different texts in a field that both data sets have."""
        return len(self.digests.get(name, set()) & other.digests.get(name, set()))

    def lines(self, name: str) -> list[str]:
        """The summary in words.

        Args:
            name: the field that holds the texts.
        """
        mean = self.text_bytes[name] / max(1, self.texts[name])
        others = _fields({key: count for key, count in self.fields.items() if key != name}, self.rows)
        return [
            f"{self.path}: {self.rows:,} rows; texts in {name!r}: about {self.tokens(name):,} tokens, "
            f"{mean:,.0f} bytes each",
            *([f"  other fields: {others}"] if others else []),
            *([f"  {self.rows - self.texts[name]:,} rows have no text"] if self.texts[name] < self.rows else []),
        ]


def _fields(counts: Mapping[str, int], rows: int) -> str:
    shown = [key if count == rows else f"{key} (in {count:,} rows)" for key, count in list(counts.items())[:10]]
    return ", ".join(shown) + (f" and {len(counts) - 10} more" if len(counts) > 10 else "")
