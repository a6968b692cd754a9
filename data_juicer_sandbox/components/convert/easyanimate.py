"""Conversion of captioned videos to EasyAnimate's format."""

from __future__ import annotations

import re
from typing import BinaryIO

from data_juicer_sandbox.components.base import InputPaths, OutputPath
from data_juicer_sandbox.components.convert.conversion import SPECIAL_TOKENS, Conversion, absolute, below
from data_juicer_sandbox.components.convert.input_rows import InputRows
from data_juicer_sandbox.components.io.parse import BadRow, to_json
from data_juicer_sandbox.components.number_types import NonNegativeInt
from data_juicer_sandbox.types import Row


class DJToEasyAnimate(Conversion):
    """Convert Data-Juicer's video rows to the list that EasyAnimate trains on (its `--train_data_meta`).

    The list has an entry `{"file_path", "text", "type": "video"}` for every video; the videos of a row share its text.
    Data-Juicer's special tokens, with the whitespace around them, are replaced by a space. The list is streamed, not
    held in memory.

    Bad rows: not a JSON object, without a non-empty list of videos, without a text, or with a text of tokens only.

    Args:
        dataset_path: the data set(s): a jsonl, json (a list), parquet or csv file, also .gz or .zst; a folder or a
            pattern of them. Several data sets give several files.
        export_path: folder of the new files, `<name>_ea_fmt.json` after the data sets (if names are equal,
            the folder's name is put in front); or, for one data set, a `.json` file. Files are written atomically.
        video_root: folder (or URL) that relative paths are joined to. Without it, they stay relative, and EasyAnimate
            resolves them from its `--train_data_dir`.
        videos_key: the field with the list of videos.
        text_key: the field with the caption.
        special_tokens: tokens to remove from the text; Data-Juicer's four by default.
        skip_missing: skip missing data sets with a warning, instead of failing.
        skip_bad_rows: number of bad rows, over all data sets, that are counted, named in the log and skipped; one more
            fails the job.
    """

    label = "converting videos"
    ending = "_ea_fmt.json"

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        video_root: str | None = None,
        videos_key: str = "videos",
        text_key: str = "text",
        special_tokens: list[str] | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
    ):
        super().__init__(dataset_path, export_path, skip_missing, skip_bad_rows)
        self.video_root = None if video_root is None else absolute(video_root)
        self.videos_key, self.text_key = videos_key, text_key
        removed_tokens = sorted(filter(None, SPECIAL_TOKENS if special_tokens is None else special_tokens), key=len)
        # Longer tokens first, since a token may be a prefix of another.
        self._token = (
            re.compile(rf"\s*(?:{'|'.join(map(re.escape, reversed(removed_tokens)))})\s*") if removed_tokens else None
        )

    def write(self, stream: BinaryIO, sources: list[InputRows]) -> None:
        """Write the list, entry by entry."""
        separator = b"[\n"
        for rows in sources:
            for entries in rows.each(self._entries):
                for entry in entries:
                    stream.write(separator + to_json(entry))
                    separator = b",\n"
        stream.write(b"\n]\n")

    def _entries(self, row: Row, line: bytes) -> list[Row]:
        videos, text = row.get(self.videos_key), row.get(self.text_key)
        if not isinstance(videos, list) or not videos or not all(isinstance(path, str) and path for path in videos):
            raise BadRow(f"`{self.videos_key}` is not a non-empty list of paths")
        if not isinstance(text, str):
            raise BadRow(f"`{self.text_key}` is not a string")
        caption = (self._token.sub(" ", text) if self._token else text).strip()
        if not caption:
            raise BadRow(f"`{self.text_key}` contains only special tokens")
        return [{"file_path": below(self.video_root, path), "text": caption, "type": "video"} for path in videos]
