"""Exports that are whole or not there, although Data-Juicer writes several files, and slowly."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox.files import claim, output_owner, real_path, remove
from data_juicer_sandbox.output_folders import mark

_MARK = ".dj_sandbox_temporary"
"""Tells a folder that this program made from others of such a name."""


class Export:
    """Where an export is made, and where it goes.

    Args:
        final: the path that the recipe names.
        part: where Data-Juicer is to write: a file of the same name in a hidden folder beside it.
    """

    def __init__(self, final: str, part: str):
        self.final, self.part = final, part
        self.files: list[str] = []
        """What was exported, once it is in its place; more than one file where it is cut into shards."""


@contextmanager
def exporting(path: str) -> Iterator[Export]:
    """Let an export be written; when the block ends well, all files of it are renamed into their place.

    Args:
        path: a local path, or one on S3 or HDFS, which is written to directly.
    """
    if "://" in path:
        export = Export(path, path)
        yield export
        export.files = [path]
        return
    claim(path)
    final = real_path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    # Data-Juicer replaces the suffix wherever it finds it in the path, so it must not be in the folder's name.
    hidden = f".{final.stem.split('.')[0]}.part"
    for folder in final.parent.glob(glob.escape(hidden) + "*"):
        if re.fullmatch(r"\d+", folder.name.removeprefix(hidden)) and (folder / _MARK).is_file():  # of a killed run
            remove(folder)
    folder = final.parent / f"{hidden}{os.getpid()}"
    folder.mkdir()
    (folder / _MARK).touch()
    export = Export(path, str(folder / final.name))
    try:
        yield export
        made = sorted(file for file in folder.iterdir() if file.name != _MARK)
        extras = [file for file in made if file.name.endswith("_stats.jsonl") and file.name != final.name]
        for file in [*extras, *(file for file in made if file not in extras)]:  # stats first: the data set says "done"
            place = final.parent / file.name
            claim(place, folder=file.is_dir())
            if file.is_dir():
                mark(file, output_owner())
                remove(place)
            file.replace(place)
            if file not in extras:
                export.files.append(str(Path(path).parent / file.name))
    finally:
        remove(folder)
