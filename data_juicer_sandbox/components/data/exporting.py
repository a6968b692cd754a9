"""Atomic exports, although Data-Juicer writes several files over a long time."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox.files import claim, output_owner, real_path, refuse_replacing, remove
from data_juicer_sandbox.output_folders import mark

_MARK = ".dj_sandbox_temporary"
"""Marks a folder that this program created, so that no other folder with such a name is removed."""
_STEM = 40
"""Characters of the export's name in the name of its temporary folder; file names are limited to 255 bytes."""


class Export:
    """The temporary and the final path of an export.

    Args:
        final: the path in the recipe.
        part: the path that Data-Juicer writes to: a file of the same name in a hidden folder next to the final one.
    """

    def __init__(self, final: str, part: str):
        self.final, self.part = final, part
        self.files: list[str] = []
        """The final paths of the exported files, set after the export; several if the export is sharded."""


@contextmanager
def exporting(path: str, *, folder: bool = False) -> Iterator[Export]:
    """Write an export into a temporary folder; rename all its files to their final paths when the block succeeds.

    Args:
        path: a local path, or one on S3 or HDFS, which is written directly.
        folder: whether the export is a folder, as those of Ray are; it replaces one that the same job wrote.
    """
    if "://" in path:
        export = Export(path, path)
        yield export
        export.files = [path]
        return
    claim(path, folder=folder)
    final = real_path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    # A folder for each output, as jobs may export `pool.v1.jsonl` and `pool.v2.jsonl` side by side. Its name must not
    # contain the suffix, which Data-Juicer replaces anywhere in the path.
    digest = hashlib.sha256(os.fsencode(final.name)).hexdigest()[:16]
    hidden = f".{final.stem.split('.')[0][:_STEM]}.{digest}.part"
    for abandoned in final.parent.glob(glob.escape(hidden) + "*"):  # by a killed run
        if re.fullmatch(r"\d+", abandoned.name.removeprefix(hidden)) and (abandoned / _MARK).is_file():
            remove(abandoned)
    temporary = final.parent / f"{hidden}{os.getpid()}"
    temporary.mkdir()
    (temporary / _MARK).touch()
    export = Export(path, str(temporary / final.name))
    try:
        yield export
        exported = sorted(file for file in temporary.iterdir() if file.name != _MARK)
        extras = [file for file in exported if file.name.endswith("_stats.jsonl") and file.name != final.name]
        for file in [
            *extras,
            *(file for file in exported if file not in extras),
        ]:  # the data set last: it marks the export as done
            destination = final.parent / file.name
            claim(destination, folder=file.is_dir())
            if file.is_dir():
                refuse_replacing(destination, True, output_owner())  # once more: the work may have taken hours
                mark(file, output_owner())
                remove(destination)
            file.replace(destination)
            if file not in extras:
                export.files.append(str(Path(path).parent / file.name))
    finally:
        remove(temporary)
