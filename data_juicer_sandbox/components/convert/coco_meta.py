"""Meta file of the data sets for InternVL's training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

from loguru import logger

from data_juicer_sandbox.components.base import InputPaths, OutputPath
from data_juicer_sandbox.components.convert.conversion import Conversion, absolute, below
from data_juicer_sandbox.components.convert.input_rows import InputRows
from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.names import as_list, stem
from data_juicer_sandbox.components.number_types import NonNegativeInt, OpenUnitInterval, PositiveInt
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.types import Row


class CocoCaptionMeta(Conversion):
    """Write the meta file of data sets for InternVL's training (its `--meta_path`).

    It maps a data set's name to `root` (folder of the images), `annotation` (the data set's absolute path),
    `data_augment`, `repeat_time` and `length` (its rows, counted).

    Bad rows: not a JSON object, without a list `conversations`. They are not counted in `length`, but stay in the data
    set, so InternVL reads them.

    Args:
        dataset_path: the data set(s), each one `.jsonl` file, since InternVL reads no other format.
        export_path: folder of the new files, `<name>_meta.json` after the data sets (if names are equal, the folder's
            name is put in front); or, for a single output, a `.json` file. Files are written atomically.
        image_root: folder (or URL) that the rows' `image` is relative to; the data set's folder by default.
        together: one file for all data sets, named by the common prefix of their names (`data_meta.json` if there is
            none); InternVL then trains on all of them.
        data_augment: whether InternVL augments the images at random during training.
        repeat_time: number of times that each row is used per epoch; a fraction below 1 uses only the first rows.
        conversations_key: the field with the conversation.
        image_key: the field with the image's path, used only for a warning if the first image is missing.
        skip_missing: skip missing data sets with a warning, instead of failing.
        skip_bad_rows: number of bad rows, over all data sets, that are named in the log and not counted; one more
            fails the job.
    """

    label = "counting rows"
    ending = "_meta.json"

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        image_root: str | None = None,
        together: bool = False,
        data_augment: bool = False,
        repeat_time: PositiveInt | OpenUnitInterval = 1,
        conversations_key: str = "conversations",
        image_key: str = "image",
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        for path in as_list(dataset_path):
            if not path.endswith(".jsonl"):
                raise ConfigError(f"InternVL reads .jsonl files only, not {path!r}")
        super().__init__(dataset_path, export_path, skip_missing, skip_bad_rows, files=1 if together else 0)
        self.image_root = None if image_root is None else absolute(image_root)
        self.together = together
        self.settings = {"data_augment": data_augment, "repeat_time": repeat_time}
        self.conversations_key, self.image_key = conversations_key, image_key

    def plan(self, sources: list[InputRows]) -> list[tuple[Path, list[InputRows]]]:
        """One file for each data set, or one for all."""
        if not self.together:
            return super().plan(sources)
        stems = [stem(path) for path in self.datasets]
        common = os.path.commonprefix(stems).rstrip("_-.")  # noqa: RUF071  # a prefix of characters, not of folders
        return [(self.output_path(common or "data"), sources)]

    def write(self, stream: BinaryIO, sources: list[InputRows]) -> None:
        """Write the mapping."""
        meta = {rows.name: self._entry(rows) for rows in sources}
        stream.write((json.dumps(meta, ensure_ascii=False, indent=2) + "\n").encode())

    def _entry(self, rows: InputRows) -> Row:
        annotation = Path(rows.path).absolute()
        if not annotation.is_file():
            raise JobError(
                f"InternVL reads single files only, but {rows.path} is not a file", hint="merge its files first"
            )
        root = self.image_root or str(annotation.parent)
        for image in rows.each(self._image):
            if rows.good == 1 and isinstance(image, str):
                path = below(root, image)
                if "://" not in path and not path_exists(path, file=True):
                    logger.warning("no image at {}, the path in the first row of {}", path, rows.path)
        return {"root": root, "annotation": str(annotation), **self.settings, "length": rows.good}

    def _image(self, row: Row, line: bytes) -> object:
        if not isinstance(row.get(self.conversations_key), list):
            raise BadRow(f"`{self.conversations_key}` is not a list")
        return row.get(self.image_key)
