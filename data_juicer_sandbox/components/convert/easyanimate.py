"""Videos with captions, as EasyAnimate's training reads them."""

from __future__ import annotations

import re
from typing import BinaryIO

from jsonargparse.typing import NonNegativeInt

from data_juicer_sandbox.components.base import InputPaths, OutputPath
from data_juicer_sandbox.components.convert import tokens
from data_juicer_sandbox.components.convert.conversion import Conversion, absolute, below
from data_juicer_sandbox.components.convert.rows_in import Row, RowsIn
from data_juicer_sandbox.components.io.append_fields import to_json
from data_juicer_sandbox.components.io.parse import BadRow


class DJToEasyAnimate(Conversion):
    """Turn Data-Juicer's video rows into the list that EasyAnimate trains on (its `--train_data_meta`).

    The list has an entry `{"file_path", "text", "type": "video"}` for every video; the videos of one row share its
    text. Data-Juicer's special tokens are taken out of the text, with the white space around them, which leaves one
    blank between words. The list is written as it is read, never held in memory.

    Bad rows: not a JSON object, no list of videos or an empty one, no text, nothing but tokens in it.

    Args:
        dataset_path: the data set(s): a jsonl, json (a list), parquet or csv file, also .gz or .zst; a folder or a
            pattern of them. Several give several files.
        export_path: folder of the new files, `<name>_ea_fmt.json` after the data sets (those that share a name get
            that of their folder in front); or, for one data set, a `.json` file. A file appears when it is complete.
        video_root: folder (or address) that relative paths are joined to. Without it they stay relative, and
            EasyAnimate takes them from its `--train_data_dir`.
        videos_key: the field with the list of videos.
        text_key: the field with the caption.
        special_tokens: what is taken out of the text; Data-Juicer's own four by default.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        skip_bad_rows: so many bad rows, in all data sets together, are counted, named in the log and left out. One
            more fails the job.
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
        taken_out = sorted(filter(None, tokens.ALL if special_tokens is None else special_tokens), key=len)
        # The longer first: one token may begin with another.
        self._token = re.compile(rf"\s*(?:{'|'.join(map(re.escape, reversed(taken_out)))})\s*") if taken_out else None

    def write(self, stream: BinaryIO, sources: list[RowsIn]) -> None:
        """Write the list, entry by entry."""
        before = b"[\n"
        for rows in sources:
            for entries in rows.each(self._entries):
                for entry in entries:
                    stream.write(before + to_json(entry))
                    before = b",\n"
        stream.write(b"\n]\n")

    def _entries(self, row: Row, line: bytes) -> list[Row]:
        videos, text = row.get(self.videos_key), row.get(self.text_key)
        if not isinstance(videos, list) or not videos or not all(isinstance(path, str) and path for path in videos):
            raise BadRow(f"`{self.videos_key}` is no list of videos' paths")
        if not isinstance(text, str):
            raise BadRow(f"`{self.text_key}` is no text")
        bare = (self._token.sub(" ", text) if self._token else text).strip()
        if not bare:
            raise BadRow(f"`{self.text_key}` holds no words")
        return [{"file_path": below(self.video_root, path), "text": bare, "type": "video"} for path in videos]
