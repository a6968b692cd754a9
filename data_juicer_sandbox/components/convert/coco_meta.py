"""The file that tells InternVL's training which data sets there are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import InputPaths, OutputPath
from data_juicer_sandbox.components.convert.conversion import Conversion, absolute, below
from data_juicer_sandbox.components.convert.rows_in import Row, RowsIn
from data_juicer_sandbox.components.io.parse import BadRow
from data_juicer_sandbox.components.names import as_list, stem
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import is_there


class CocoCaptionMeta(Conversion):
    """Write the meta file of data sets that InternVL is to be trained on (its `--meta_path`).

    It maps a data set's name to `root` (where images lie), `annotation` (the data set's absolute path), `data_augment`,
    `repeat_time` and `length` (its rows, counted).

    Bad rows: not a JSON object, no list of `conversations`. They are not counted in `length`, but stay in the data set,
    and so InternVL meets them.

    Args:
        dataset_path: the data set(s), each one `.jsonl` file, since InternVL reads nothing else.
        export_path: folder of the new files, `<name>_meta.json` after the data sets (those that share a name get that
            of their folder in front); or, where it is one file, that `.json` file. A file appears when it is complete.
        image_root: folder (or address) that the rows' `image` is relative to; the data set's own by default.
        together: one file for all data sets, named by what their names begin with in common (`data_meta.json` if they
            have nothing in common): InternVL then trains on all of them.
        data_augment: whether InternVL alters the images at random while it trains.
        repeat_time: how often InternVL sees each row in one epoch; a share below 1 takes that many from the beginning.
        conversations_key: the field with what was said.
        image_key: the field with the image's path. It is only looked at to warn, where the first is not there.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        skip_bad_rows: so many bad rows, in all data sets together, are named in the log and not counted. One more
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

    def plan(self, sources: list[RowsIn]) -> list[tuple[Path, list[RowsIn]]]:
        """One file for each data set, or one for all."""
        if not self.together:
            return super().plan(sources)
        stems = [stem(path) for path in self.datasets]
        common = os.path.commonprefix(stems).rstrip("_-.")  # noqa: RUF071  # letter by letter is what is wanted
        return [(self.place(common or "data"), sources)]

    def write(self, stream: BinaryIO, sources: list[RowsIn]) -> None:
        """Write the mapping."""
        meta = {rows.name: self._entry(rows) for rows in sources}
        stream.write((json.dumps(meta, ensure_ascii=False, indent=2) + "\n").encode())

    def _entry(self, rows: RowsIn) -> Row:
        annotation = Path(rows.path).absolute()
        if not annotation.is_file():
            raise JobError(f"InternVL reads single files only, and {rows.path} is none", hint="merge its files first")
        root = self.image_root or str(annotation.parent)
        for image in rows.each(self._image):
            if rows.good == 1 and isinstance(image, str):
                path = below(root, image)
                if "://" not in path and not is_there(path, file=True):
                    logger.warning("there is no image at {}, which the first row of {} names", path, rows.path)
        return {"root": root, "annotation": str(annotation), **self.settings, "length": rows.good}

    def _image(self, row: Row, line: bytes) -> object:
        if not isinstance(row.get(self.conversations_key), list):
            raise BadRow(f"there is no list of `{self.conversations_key}`")
        return row.get(self.image_key)
