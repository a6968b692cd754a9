"""The rows of a local data set in a Data-Juicer session: handed over, processed, and written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash
from loguru import logger

from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime
from data_juicer_sandbox.components.data.rows.hand_over import Demands, HandedRows, hand_over
from data_juicer_sandbox.components.data.rows.needed_fields import needed_fields
from data_juicer_sandbox.components.data.rows.results import Kept, ResultRows
from data_juicer_sandbox.components.data.sources import LocalData
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.columns import Columns, columns_of
from data_juicer_sandbox.components.io.data_files import data_files, file_format
from data_juicer_sandbox.files import remove
from data_juicer_sandbox.types import JsonValue, LibraryObject

_MEDIA = ("image_key", "audio_key", "video_key")
_DIGEST = "rows.digest"
"""The digest of the rows that a checkpoint of Data-Juicer belongs to."""


@dataclass
class SessionRows:
    """A local data set in a Data-Juicer session.

    Attributes:
        data: the data set.
        handed: what Data-Juicer gets of it.
        all_rows: the same, as Data-Juicer's data set.
        dataset: the rows that are processed: all of them, or a sample.
    """

    data: LocalData
    handed: HandedRows
    all_rows: LibraryObject
    dataset: LibraryObject

    def result(self, result: LibraryObject, kept: Kept) -> ResultRows:
        """The rows of a result."""
        return ResultRows(result, self.handed, self.all_rows, kept)

    def columns(self) -> Columns | None:
        """The columns of the source, if all of it is parquet."""
        files = [file for path in self.data.paths for file in data_files(path)]
        return columns_of(files) if all(file_format(file) == "parquet" for file in files) else None


def open_rows(
    dj: DataJuicerRuntime,
    config: LibraryObject,
    data: LocalData,
    *,
    allowance: Allowance,
    more_fields: Iterable[JsonValue] = (),
) -> SessionRows:
    """Read the data set of a recipe and hand it over.

    Args:
        dj: the session.
        config: its config.
        data: the data set.
        allowance: the bad rows that are skipped.
        more_fields: further values that name fields.

    Raises:
        JobError: a row is bad, there are no rows, or no row has a text.
    """
    text_keys = [config.text_keys] if isinstance(config.text_keys, str) else list(config.text_keys or ())
    process: Sequence[dict[str, JsonValue]] = config.process or []
    needed = needed_fields(process, text_keys, more_fields)
    if getattr(config, "validators", None):
        needed.everything = True
    media_keys = tuple(str(getattr(config, key)) for key in _MEDIA if getattr(config, key, None))
    needed.names.update(media_keys)
    demands = Demands(
        needed,
        tuple(text_keys),
        media_keys,
        any("suffix_filter" in entry for entry in process),
        _endings(getattr(config, "suffixes", None)),
    )
    if getattr(config, "load_dataset_kwargs", None):
        logger.warning("`load_dataset_kwargs` has no effect on local data sets, which Data-Juicer does not load itself")
    handed = hand_over(data.paths, demands, dj.folder / "rows", allowance)
    digest = handed.lines.digest()
    _forget_other_checkpoint(dj.folder, digest)
    if config.use_cache and Path(config.ds_cache_dir) != dj.folder / "cache":
        # Data-Juicer writes its cache next to the file that a data set was read from.
        fields = xxhash.xxh3_64_hexdigest(
            repr(sorted((name, kept.value) for name, kept in handed.types.items())).encode()
        )
        cache = Path(config.ds_cache_dir) / "dj_sandbox_rows" / f"{digest}-{fields}"
        cache.mkdir(parents=True, exist_ok=True)
        handed.arrow = Path(shutil.move(handed.arrow, cache / "rows.arrow"))
    dataset = dj.dataset(handed.arrow, digest)
    return SessionRows(data, handed, dataset, dj.drawn(dataset, handed.ranges, data.weights, data.max_rows))


def _endings(suffixes: str | list[str] | None) -> tuple[str, ...]:
    listed = [suffixes] if isinstance(suffixes, str) else suffixes or []
    return tuple(ending if ending.startswith(".") else f".{ending}" for ending in listed)


def _forget_other_checkpoint(folder: Path, digest: str) -> None:
    """Remove Data-Juicer's checkpoint if it is of other rows: row numbers would mean other rows."""
    path = folder / _DIGEST
    if not path.is_file() or path.read_text(encoding="utf-8") != digest:
        remove(folder / "ckpt")
    path.write_text(digest, encoding="utf-8")
