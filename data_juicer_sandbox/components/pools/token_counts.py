"""Token counts of the rows of a pool."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.io.parse import BadRow, get_nested, parse
from data_juicer_sandbox.components.pools.scan import RowScanner
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    import numpy as np


_MAX_TOKENS = 1 << 40
"""Upper bound of a row's token count, so that sums fit into 64 bits."""


class TokenCounts(RowScanner):
    """Collects the token count of every row.

    Args:
        text_key: the field with the text; dots for nested fields.
        token_key: a field that holds the token count, which is then used instead of counting.
        tokenizer: a folder or hub id of the tokenizer; None counts words.
    """

    def __init__(self, text_key: str, token_key: str | None, tokenizer: str | None):
        self._key = token_key or text_key
        self._key_path, self._has_token_key = self._key.split("."), token_key is not None
        self._count = _counter(tokenizer)
        self._counts: list[int] = []

    def update(self, line: bytes) -> None:
        """Add the token count of the row."""
        value = get_nested(parse(line), self._key_path)
        if self._has_token_key:
            if type(value) not in (int, float) or not 0 <= value < _MAX_TOKENS or value != int(value):
                raise BadRow(f"{self._key!r} holds no number of tokens")
            self._counts.append(int(value))
        elif isinstance(value, str):
            self._counts.append(self._count(value))
        else:
            raise BadRow(f"{self._key!r} holds no text")

    def result(self) -> np.ndarray:
        """The token counts, int64."""
        import numpy as np

        return np.array(self._counts, np.int64)


@cache
def _counter(tokenizer: str | None) -> Callable[[str], int]:
    if tokenizer is None:
        return lambda text: len(text.split())
    loaded: LibraryObject = imports.load("transformers", extra="train").AutoTokenizer.from_pretrained(tokenizer)
    return lambda text: len(loaded(text, add_special_tokens=False, verbose=False)["input_ids"])
