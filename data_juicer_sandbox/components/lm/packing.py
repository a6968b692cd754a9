"""Documents as one stream of tokens on disk, and the blocks of it that make up a token budget."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError

BATCH = 1000
IGNORED = -100
"""The label that transformers' losses leave out."""


def read_texts(path: str, text_key: str) -> Iterator[str]:
    """The texts of a data set's rows, empty ones too.

    Raises:
        JobError: a row has no text under that key.
    """
    for number, row in enumerate(read_rows(path), 1):
        text = row.get(text_key)
        if not isinstance(text, str):
            what = f"is {type(text).__name__}, not text" if text_key in row else "is missing"
            raise JobError(f"{text_key!r} {what} in row {number} of {path}", hint=f"fields there: {', '.join(row)}")
        yield text


@dataclass(frozen=True)
class Packed:
    """A data set's documents as one stream of tokens, an EOS after each document.

    Args:
        tokens: the stream, an array of shape (n,), on disk.
        rows: rows read.
        documents: rows whose text is not empty.
    """

    tokens: Any
    rows: int
    documents: int


@contextmanager
def packed(path: str, text_key: str, tokenizer: Any, folder: Path) -> Iterator[Packed]:
    """Encode a data set, a thousand rows at a time, into a nameless file that goes away with the block or the process.

    Text that spells a special token is encoded as text.

    Raises:
        JobError: the data set has no text.
    """
    import numpy

    dtype = numpy.uint16 if len(tokenizer) <= 1 << 16 else numpy.uint32
    rows = documents = 0
    end = tokenizer.eos_token_id
    end = tokenizer.bos_token_id if end is None else end
    with tempfile.TemporaryFile(dir=folder) as file:
        texts = read_texts(path, text_key)
        while batch := list(islice(texts, BATCH)):
            rows += len(batch)
            batch = [text for text in batch if text]
            documents += len(batch)
            if batch:
                for ids in encode(tokenizer, batch):
                    file.write(numpy.array([*ids, end], dtype).tobytes())
        if not documents:
            raise JobError(f"there is no text in {path}", hint=f"its key is {text_key!r}")
        file.flush()
        yield Packed(numpy.memmap(file, dtype, mode="r"), rows, documents)


def encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """The tokens of each text, nothing put before or after."""
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_attention_mask": False}
    encoded: list[list[int]] = tokenizer(texts, verbose=False, **options)["input_ids"]
    return encoded


class Blocks:
    """The training examples of a token budget: blocks out of the stream, drawn anew each time it has gone by.

    For every pass the stream (taken as a ring) is cut into blocks from a random place on, and the blocks are
    shuffled. The last example is cut short so that the budget is met to the token.

    Args:
        tokens: the stream, shape (n,).
        block_size: tokens of a block.
        budget: tokens in all.
        seed: of the cuts and the order.
        multiple: there are a multiple of so many examples, those beyond the budget without any label: processes that
            train together would begin again at the first example to have one each.
    """

    def __init__(self, tokens: Any, block_size: int, budget: int, seed: int, multiple: int = 1):
        self.tokens, self.block_size, self.budget, self.seed = tokens, block_size, budget, seed
        self._multiple = multiple
        self._each = max(1, len(tokens) // block_size)
        self._pass, self._starts = 0, self._cut(0)

    def __len__(self) -> int:
        return -(-self.budget // (self.block_size * self._multiple)) * self._multiple

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Tokens and labels, int64 of shape (block_size,); labels beyond the budget are ignored."""
        import numpy

        number, place = divmod(index, self._each)
        if number != self._pass:
            self._pass, self._starts = number, self._cut(number)
        positions = numpy.arange(self._starts[place], self._starts[place] + self.block_size) % len(self.tokens)
        block = numpy.asarray(self.tokens[positions], numpy.int64)
        labels = block.copy()
        labels[max(0, self.budget - index * self.block_size) :] = IGNORED
        tensor = torch_env.torch().from_numpy
        return {"input_ids": tensor(block), "labels": tensor(labels)}

    def _cut(self, number: int) -> Any:
        import numpy

        draw = numpy.random.default_rng([self.seed, number])
        return draw.permutation(self._each) * self.block_size + draw.integers(len(self.tokens))
