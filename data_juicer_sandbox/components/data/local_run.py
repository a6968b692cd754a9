"""Process the rows of a local data set, on this machine or on Ray, and write the result."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime
from data_juicer_sandbox.components.data.exporting import exporting
from data_juicer_sandbox.components.data.rows.field_types import FieldType
from data_juicer_sandbox.components.data.rows.output import export_format, shard_names, shard_slices, write_export
from data_juicer_sandbox.components.data.rows.results import Kept, ResultRows
from data_juicer_sandbox.components.data.rows.session import SessionRows, open_rows
from data_juicer_sandbox.components.data.sources import LocalData
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.io.columns import Columns
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import ConfigValues, LibraryObject

_REMOTE = ("s3://", "hdfs://")


def export_local(
    dj: DataJuicerRuntime, recipe: ConfigValues, data: LocalData, allowance: Allowance
) -> tuple[list[str], int, int]:
    """Process a local data set.

    Args:
        dj: the Data-Juicer session.
        recipe: the recipe, without its data set.
        data: the data set.
        allowance: the bad rows that are skipped.

    Returns:
        The exported files, the number of rows read and the number of rows written.

    Raises:
        JobError: a row is bad, the format of the export is unknown, or an OP failed.
    """
    config = dj.config(recipe)
    final = str(recipe["export_path"])
    if "{" in final:  # a placeholder of Data-Juicer
        final = str(config.export_path)
    try:
        file_format = export_format(final, config.export_type)
    except ValueError as error:
        raise JobError(str(error)) from error
    kept = Kept(config.keep_stats_in_res_ds, config.keep_hashes_in_res_ds)
    shard_size, key = config.export_shard_size, _encryption(config)
    remote = final.lower().startswith(_REMOTE)
    config.export_type, config.export_shard_size = "jsonl", 0
    if not remote:
        config.export_path = str(dj.folder / "export.jsonl")  # nothing is written there
    local = str(dj.folder / "rows" / Path(final).name) if remote else final
    on_ray = config.executor_type != "default"
    if on_ray and remote:
        raise JobError(
            f"executor_type: {config.executor_type} cannot write rows as they were read to {final}",
            hint="executor_type: default, or a local export_path",
        )
    with exporting(local, folder=on_ray) as export:
        rows = open_rows(dj, config, data, allowance=allowance)
        executor, result = run_on_ray(dj, config, rows) if on_ray else _processed(dj, config, rows)
        result_rows = rows.result(result, kept)
        part = Path(export.part)
        if on_ray:  # as Ray's own exports, a folder
            part.mkdir()
            part = part / f"{_stem(part.name)}.{file_format}"
        count = _shards(result_rows, shard_size)
        names = shard_names(part.name, count) if shard_size > 0 else [part.name]
        files = _write(result_rows, [part.with_name(name) for name in names], file_format, rows.columns())
        stats = part.with_name(f"{_stem(part.name)}_stats.jsonl")
        if not on_ray and result_rows.has_stats:
            write_export(stats, result_rows.stats_lines, "jsonl", None)
            files.append(stats)
        if key is not None and not remote:
            for file in files:
                dj.encrypt(file, key)
    if remote:
        folder = final.rpartition("/")[0]
        for file in (Path(local).with_name(file.name) for file in files):
            dj.upload(file, f"{folder}/{file.name}", executor)
        return [f"{folder}/{name}" for name in names], rows.handed.rows_in, result_rows.count
    return export.files, rows.handed.rows_in, result_rows.count


def _processed(dj: DataJuicerRuntime, config: LibraryObject, rows: SessionRows) -> tuple[LibraryObject, LibraryObject]:
    """The executor and its result."""
    executor = dj.executor(config)
    for validator in executor.dataset_builder.validators:
        validator.validate(rows.dataset)
    saved = executor.ckpt_manager is not None and executor.ckpt_manager.ckpt_available
    return executor, executor.run(dataset=None if saved else rows.dataset, skip_export=True)


def _shards(rows: ResultRows, size: int) -> int:
    return max(1, min(rows.bytes_estimated() // size + 1, rows.count)) if size > 0 else 1


def _write(rows: ResultRows, files: list[Path], file_format: str, columns: Columns | None) -> list[Path]:
    if len(files) == 1:
        write_export(files[0], rows.lines, file_format, columns)
        return files
    for file, part in zip(files, shard_slices(rows.count, len(files)), strict=True):
        write_export(file, partial(rows.lines, part.start, part.stop), file_format, columns)
    return files


def _stem(name: str) -> str:
    for ending in (".gz", ".zst", ".jsonl", ".ndjson", ".json", ".parquet"):
        name = name.removesuffix(ending)
    return name


def _encryption(config: LibraryObject) -> str | None:
    """The path of the key that files are encrypted with, empty for the one in the environment; None if they are not."""
    if not getattr(config, "encrypt_before_export", False):
        return None
    config.encrypt_before_export = False
    return getattr(config, "encryption_key_path", None) or ""


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
