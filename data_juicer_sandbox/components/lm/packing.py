"""Packing: documents as one token stream on disk, and blocks of it for a token budget."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.io import parse
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.data_files import data_files
from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.io.stream import numbered_lines
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.model_check import unknown_token
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject, Row

if TYPE_CHECKING:
    import numpy as np

BATCH = 1000
IGNORED = -100
"""The label that transformers' losses ignore."""


def read_texts(path: str, text_key: str, allowance: Allowance | None = None) -> Iterator[str]:
    """Yield the texts of a data set's rows, including empty ones.

    Args:
        path: the data set.
        text_key: the field of the text.
        allowance: the rows without a text that are skipped; none by default.

    Raises:
        JobError: a row has no text in that field; names file and line.
    """
    for _, text in read_rows_with_text(path, text_key, allowance):
        yield text


def read_rows_with_text(path: str, text_key: str, allowance: Allowance | None = None) -> Iterator[tuple[Row, str]]:
    """Yield the rows of a data set with their texts; arguments and errors are those of `read_texts`."""
    allowance = allowance or Allowance()
    for file in data_files(path):
        for number, line in numbered_lines(file, allowance):
            try:
                row = parse(line)
                text = text_of(row, text_key)
            except BadRow as error:
                allowance.skip(file, number, error)
            except BadText as error:
                allowance.skip(file, number, error.what, error.hint)
            else:
                yield row, text


class BadText(JobError):
    """A row has no text that a tokenizer can read.

    Args:
        what: the problem.
        row: the row.
        hint: what would be right.
    """

    def __init__(self, what: str, row: Row, hint: str | None = None):
        super().__init__(what, hint=hint)
        self.row = row


def text_of(row: Row, text_key: str) -> str:
    """The text of a row.

    Args:
        row: the row.
        text_key: the field of the text.

    Raises:
        BadText: the field is missing, not a string, or has half of a surrogate pair.
    """
    text = row.get(text_key)
    if not isinstance(text, str):
        what = f"is {type(text).__name__}, not a string" if text_key in row else "is missing"
        raise BadText(f"{text_key!r} {what}", row, hint=f"text_key: one of its fields: {', '.join(row)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadText(f"{text_key!r} has half of a surrogate pair, which UTF-8 cannot encode", row) from None
    return text


@dataclass(frozen=True)
class Packed:
    """A data set's documents as one token stream, with an EOS token after each document.

    Args:
        tokens: the stream, an array of shape (n,) on disk.
        rows: number of rows read.
        documents: number of rows with a non-empty text.
        unknown: number of tokens for characters that the tokenizer does not know.
    """

    tokens: np.ndarray
    rows: int
    documents: int
    unknown: int = 0


@contextmanager
def packed(
    path: str, text_key: str, tokenizer: LibraryObject, folder: Path, allowance: Allowance | None = None
) -> Iterator[Packed]:
    """Encode a data set in batches into an anonymous file, which is removed when the block or the process ends.

    A special token's name within a text is encoded as ordinary text.

    Args:
        path: the data set.
        text_key: the field of the text.
        tokenizer: encodes the texts.
        folder: folder of the anonymous file.
        allowance: the rows without a text that are skipped; none by default.

    Raises:
        JobError: the data set has no text.
    """
    import numpy

    dtype = numpy.uint16 if len(tokenizer) <= 1 << 16 else numpy.uint32
    rows = documents = unknown_tokens = 0
    unknown = unknown_token(tokenizer)
    end = tokenizer.eos_token_id
    end = tokenizer.bos_token_id if end is None else end
    with tempfile.TemporaryFile(dir=folder) as file:
        texts = read_texts(path, text_key, allowance)
        while batch := list(islice(texts, BATCH)):
            rows += len(batch)
            batch = [text for text in batch if text]
            documents += len(batch)
            if batch:
                for ids in encode(tokenizer, batch):
                    unknown_tokens += 0 if unknown is None else ids.count(unknown)
                    file.write(numpy.array([*ids, end], dtype).tobytes())
        if not documents:
            raise JobError(f"no text in {path}", hint=f"text_key is {text_key!r}")
        file.flush()
        yield Packed(numpy.memmap(file, dtype, mode="r"), rows, documents, unknown_tokens)


def encode(tokenizer: LibraryObject, texts: list[str]) -> list[list[int]]:
    """The tokens of each text, without added special tokens."""
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_attention_mask": False}
    encoded: list[list[int]] = tokenizer(texts, verbose=False, **options)["input_ids"]
    return encoded


class Blocks:
    """The training examples of a token budget: blocks of the stream, reshuffled in each pass.

    In every pass, the stream (as a ring) is split into blocks from a random offset on, and the blocks are shuffled.
    Labels of the last example are masked so that the budget is met exactly.

    Args:
        tokens: the stream, shape (n,).
        block_size: tokens of a block.
        budget: total number of tokens.
        seed: seed of the offsets and the order.
        multiple: the number of examples is a multiple of this; examples beyond the budget have no labels. Otherwise
            distributed training would repeat the first examples to give each process the same number.
    """

    def __init__(self, tokens: np.ndarray, block_size: int, budget: int, seed: int, multiple: int = 1):
        self.tokens, self.block_size, self.budget, self.seed = tokens, block_size, budget, seed
        self._multiple = multiple
        self._blocks_per_pass = max(1, len(tokens) // block_size)
        self._pass, self._starts = 0, self._block_starts(0)

    def __len__(self) -> int:
        return -(-self.budget // (self.block_size * self._multiple)) * self._multiple

    def __getitem__(self, index: int) -> dict[str, LibraryObject]:
        """Tokens and labels, int64 of shape (block_size,); labels beyond the budget are ignored."""
        import numpy

        pass_number, block = divmod(index, self._blocks_per_pass)
        if pass_number != self._pass:
            self._pass, self._starts = pass_number, self._block_starts(pass_number)
        positions = numpy.arange(self._starts[block], self._starts[block] + self.block_size) % len(self.tokens)
        input_ids = numpy.asarray(self.tokens[positions], numpy.int64)
        labels = input_ids.copy()
        labels[max(0, self.budget - index * self.block_size) :] = IGNORED
        tensor = torch_env.torch().from_numpy
        return {"input_ids": tensor(input_ids), "labels": tensor(labels)}

    def _block_starts(self, pass_number: int) -> np.ndarray:
        import numpy

        rng = numpy.random.default_rng([self.seed, pass_number])
        return rng.permutation(self._blocks_per_pass) * self.block_size + rng.integers(len(self.tokens))
