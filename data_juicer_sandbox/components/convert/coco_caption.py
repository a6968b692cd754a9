"""Image captions as InternVL trains on them, in the form that Data-Juicer works on."""

from __future__ import annotations

from typing import Any, BinaryIO

from jsonargparse.typing import NonNegativeInt

from data_juicer_sandbox.components.base import InputPaths, OutputPath
from data_juicer_sandbox.components.convert.conversion import Conversion, absolute, below
from data_juicer_sandbox.components.convert.rows_in import Row, RowsIn
from data_juicer_sandbox.components.convert.tokens import IMAGE
from data_juicer_sandbox.components.io.append_fields import append_fields
from data_juicer_sandbox.components.io.parse import BadRow

_ANSWERERS = ("gpt", "assistant")


class CocoCaptionToDJ(Conversion):
    """Give InternVL's COCO caption rows the fields that Data-Juicer works on, `images` and `text`.

    A row `{"image": "a.jpg", "conversations": [{"from": "human", ...}, {"from": "gpt", "value": "A cat."}]}` gets
    `"images": ["a.jpg"], "text": "<__dj__image> A cat."` at its end. All that was there stays, byte for byte, so what
    Data-Juicer leaves of the rows can be trained on as it is. The caption is the first thing that `gpt` or `assistant`
    says, or else the second entry. Where `image` is a list, each image has its token.

    Bad rows: not a JSON object, no image or caption, a field already there that would be added, a caption that holds
    the image token itself.

    Args:
        dataset_path: the data set(s): a jsonl, json (a list), parquet or csv file, also .gz or .zst; a folder or a
            pattern of them. Several give several files.
        export_path: folder of the new files, `<name>_dj_fmt.jsonl` after the data sets (those that share a name get
            that of their folder in front); or, for one data set, a `.jsonl` file. A file appears when it is complete.
        image_root: folder (or address) that relative paths in `images` are joined to; `image` stays as it is. Without
            it they stay relative, and Data-Juicer takes them from the folder of the file it reads, the new one.
        image_key: the field with the path of the image, or a list of paths.
        conversations_key: the field with what was said, a list of `{"from", "value"}`.
        images_key: the new field with the list of paths.
        text_key: the new field with tokens and caption.
        image_token: what stands for an image in the text; a recipe with another `image_special_token` needs it here.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        skip_bad_rows: so many bad rows, in all data sets together, are counted, named in the log and left out. One
            more fails the job.
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

    def write(self, stream: BinaryIO, sources: list[RowsIn]) -> None:
        """Write the rows, each with its new fields."""
        for rows in sources:
            for line in rows.each(self._with_fields):
                stream.write(line)

    def _with_fields(self, row: Row, line: bytes) -> bytes:
        for key in (self.images_key, self.text_key):
            if key in row:
                raise BadRow(f"there is a field `{key}` already")
        images, text = images_of(row, self.image_key), caption(row, self.conversations_key)
        if self.image_token in text:  # Data-Juicer counts the tokens: there must be as many as images
            raise BadRow(f"the caption holds {self.image_token} itself")
        new = {
            self.images_key: [below(self.image_root, image) for image in images],
            self.text_key: " ".join([self.image_token] * len(images) + [text]),
        }
        return append_fields(line, new)


def images_of(row: Row, key: str) -> list[str]:
    """The paths of a row's images.

    Raises:
        BadRow: there are none, or they are no texts.
    """
    value = row.get(key)
    images: list[Any] = value if isinstance(value, list) else [value]
    if not images or not all(isinstance(image, str) and image for image in images):
        raise BadRow(f"`{key}` is no path of an image, nor a list of them" if key in row else f"there is no `{key}`")
    return images


def caption(row: Row, key: str) -> str:
    """What is said of a row's image.

    Raises:
        BadRow: nothing is.
    """
    said = row.get(key)
    if not isinstance(said, list):
        raise BadRow(f"`{key}` is no list" if key in row else f"there is no `{key}`")
    answers = (entry for entry in said if isinstance(entry, dict) and entry.get("from") in _ANSWERERS)
    answer: Any = next(answers, said[1] if len(said) > 1 else None)
    value = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise BadRow(f"`{key}` holds no answer with a text as its `value`")
    return value
