"""Process the rows of a local data set on Ray, which reads them from a parquet file and writes its result to others."""

from __future__ import annotations

from pathlib import Path

from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime
from data_juicer_sandbox.components.data.rows.field_types import FieldType
from data_juicer_sandbox.components.data.rows.session import SessionRows
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject


def run_on_ray(dj: DataJuicerRuntime, config: LibraryObject, rows: SessionRows) -> tuple[LibraryObject, LibraryObject]:
    """The executor and its result.

    Raises:
        JobError: an OP needs a field that Ray's columns cannot hold, or the data set is drawn from several.
    """
    refuse_types(rows.handed.types)
    folder = dj.folder / "rows"
    source, export = folder / "handed.parquet", folder / "ray_export"
    _write_parquet(rows.dataset, source)
    config.dataset_path, config.dataset = str(source), None
    config.export_path, config.export_type = str(export), "parquet"
    config.keep_stats_in_res_ds = config.keep_hashes_in_res_ds = True
    executor = dj.executor(config)
    executor.run()
    files = sorted(export.rglob("*.parquet")) if export.is_dir() else []
    return executor, dj.of_parquet(files, folder) if files else rows.dataset.select([])


def refuse_types(types: dict[str, FieldType]) -> None:
    """Refuse fields whose values have no common type.

    Raises:
        JobError: there is one; names it.
    """
    for name, field_type in types.items():
        if field_type is FieldType.JSON:
            raise JobError(
                f"an OP needs the field {name!r}, which holds mappings or values of several types; on Ray they would "
                "be changed",
                hint="executor_type: default keeps them",
            )


def _write_parquet(dataset: LibraryObject, path: Path) -> None:
    import pyarrow.parquet as pq
    from datasets import Dataset

    arrow = Dataset.with_format(dataset, "arrow")
    with pq.ParquetWriter(path, dataset.features.arrow_schema.remove_metadata()) as writer:
        for start in range(0, len(dataset), 10_000):
            table = Dataset.__getitem__(arrow, slice(start, min(start + 10_000, len(dataset))))
            writer.write_table(table.replace_schema_metadata(None))
