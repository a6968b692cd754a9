"""Conversion of InternVL's image captions to Data-Juicer's format."""

from __future__ import annotations

from typing import BinaryIO

from data_juicer_sandbox.components.base import InputPaths, OutputPath
from data_juicer_sandbox.components.convert.conversion import IMAGE, Conversion, absolute, below
from data_juicer_sandbox.components.convert.input_rows import InputRows
from data_juicer_sandbox.components.io.edit_fields import append_fields
from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.types import JsonValue, Row

_ANSWER_ROLES = ("gpt", "assistant")


class CocoCaptionToDJ(Conversion):
    """Add the fields that Data-Juicer needs, `images` and `text`, to InternVL's COCO caption rows.

    A row `{"image": "a.jpg", "conversations": [{"from": "human", ...}, {"from": "gpt", "value": "A cat."}]}` gets
    `"images": ["a.jpg"], "text": "<__dj__image> A cat."` at its end. The other fields keep their bytes, so the rows
    that Data-Juicer keeps can be used for training directly. The caption is the first message of `gpt` or
    `assistant`, or else the second entry. If `image` is a list, each image has its own token.

    Bad rows: not a JSON object, without image or caption, with a field that would be added, with the image token in the
    caption.

    Args:
        dataset_path: the data set(s): a jsonl, json (a list), parquet or csv file, also .gz or .zst; a folder or a
            pattern of them. Several data sets give several files.
        export_path: folder of the new files, `<name>_dj_fmt.jsonl` after the data sets (if names are equal,
            the folder's name is put in front); or, for one data set, a `.jsonl` file. Files are written atomically.
        image_root: folder (or URL) that relative paths in `images` are joined to; `image` does not change. Without
            it, they stay relative, and Data-Juicer resolves them from the folder of the new file.
        image_key: the field with the path of the image, or a list of paths.
        conversations_key: the field with the conversation, a list of `{"from", "value"}`.
        images_key: the new field for the list of paths.
        text_key: the new field for tokens and caption.
        image_token: the token for an image in the text; must equal the recipe's `image_special_token`.
        skip_missing: skip missing data sets with a warning, instead of failing.
        skip_bad_rows: number of bad rows, over all data sets, that are counted, named in the log and skipped; one more
            fails the job.
    """

    label = "converting captions"
    ending = "_dj_fmt.jsonl"

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        image_root: str | None = None,
        image_key: str = "image",
        conversations_key: str = "conversations",
        images_key: str = "images",
        text_key: str = "text",
        image_token: str = IMAGE,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        super().__init__(dataset_path, export_path, skip_missing, skip_bad_rows)
        self.image_root = None if image_root is None else absolute(image_root)
        self.image_key, self.conversations_key = image_key, conversations_key
        self.images_key, self.text_key, self.image_token = images_key, text_key, image_token

    def write(self, stream: BinaryIO, sources: list[InputRows]) -> None:
        """Write the rows, each with its new fields."""
        for rows in sources:
            for line in rows.each(self._with_fields):
                stream.write(line)

    def _with_fields(self, row: Row, line: bytes) -> bytes:
        for key in (self.images_key, self.text_key):
            if key in row:
                raise BadRow(f"the field `{key}` already exists")
        images, text = images_of(row, self.image_key), caption(row, self.conversations_key)
        if self.image_token in text:  # Data-Juicer requires as many tokens as images
            raise BadRow(f"the caption contains the image token {self.image_token}")
        fields = {
            self.images_key: [below(self.image_root, image) for image in images],
            self.text_key: " ".join([self.image_token] * len(images) + [text]),
        }
        return append_fields(line, fields)


def images_of(row: Row, key: str) -> list[str]:
    """The paths of a row's images.

    Raises:
        BadRow: the field is missing, empty, or not of strings.
    """
    value = row.get(key)
    images: list[JsonValue] = value if isinstance(value, list) else [value]
    if not images or not all(isinstance(image, str) and image for image in images):
        raise BadRow(f"`{key}` must be a path or a list of paths" if key in row else f"missing field `{key}`")
    return images


def caption(row: Row, key: str) -> str:
    """The caption of a row's image.

    Raises:
        BadRow: there is no conversation, or no answer in it.
    """
    conversation = row.get(key)
    if not isinstance(conversation, list):
        raise BadRow(f"`{key}` is not a list" if key in row else f"missing field `{key}`")
    answers = (entry for entry in conversation if isinstance(entry, dict) and entry.get("from") in _ANSWER_ROLES)
    answer: JsonValue = next(answers, conversation[1] if len(conversation) > 1 else None)
    value = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise BadRow(f"`{key}` has no answer whose `value` is a string")
    return value
