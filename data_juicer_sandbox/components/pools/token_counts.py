"""How many tokens each row of a pool has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.io.get_nested import get_nested
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.pools.scanners import RowScanner

if TYPE_CHECKING:
    import numpy as np


_MOST = 1 << 40
"""No row has so many tokens: their sum must be a 64-bit number."""


class TokenCounts(RowScanner):
    """A number of tokens for every row.

    Args:
        text_key: the field with the text; dots go deeper.
        token_key: the field with the number of tokens, should there be one.
        tokenizer: a folder or hub id, to count the text's tokens by; its words otherwise.
    """

    def __init__(self, text_key: str, token_key: str | None, tokenizer: str | None):
        self._key = token_key or text_key
        self._way, self._given = self._key.split("."), token_key is not None
        self._count = _counter(tokenizer)
        self._found: list[int] = []

    def see(self, line: bytes) -> None:
        """Count the row's tokens."""
        value = get_nested(parse(line), self._way)
        if self._given:
            if type(value) not in (int, float) or not 0 <= value < _MOST or value != int(value):
                raise BadRow(f"{self._key!r} holds no number of tokens")
            self._found.append(int(value))
        elif isinstance(value, str):
            self._found.append(self._count(value))
        else:
            raise BadRow(f"{self._key!r} holds no text")

    def told(self) -> np.ndarray:
        """The numbers, int64."""
        import numpy as np

        return np.array(self._found, np.int64)


@cache
def _counter(tokenizer: str | None) -> Callable[[str], int]:
    if tokenizer is None:
        return lambda text: len(text.split())
    made: Any = imports.load("transformers", extra="train").AutoTokenizer.from_pretrained(tokenizer)
    return lambda text: len(made(text, add_special_tokens=False, verbose=False)["input_ids"])
