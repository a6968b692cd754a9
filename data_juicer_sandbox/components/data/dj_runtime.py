"""`DataJuicerRuntime`: one session of Data-Juicer. No other module imports Data-Juicer."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.components.data import isolation
from data_juicer_sandbox.components.data.exact_json import exact_json
from data_juicer_sandbox.errors import JobError, SandboxError
from data_juicer_sandbox.types import ConfigValues, LibraryObject

FOLDER = "data_juicer"
# Data-Juicer, `datasets` and this module change global state of the process, so only one such job runs at a time.
_one_at_a_time = threading.RLock()
_TOKENS = ("image", "audio", "video", "eoc")


class DataJuicerRuntime:
    """The Data-Juicer session of a job.

    Args:
        folder: folder for its logs, events and analyses; `cache` and `tmp` in it are removed when the job ends.

    Attributes:
        rows_read: number of rows read so far, including rows without a text, which Data-Juicer skips.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows_read = 0

    def config(self, recipe: Mapping[str, object]) -> LibraryObject:
        """Build Data-Juicer's config from a recipe, with the sandbox's own defaults for missing keys.

        Raises:
            JobError: Data-Juicer rejects the recipe.
        """
        from data_juicer.config import get_init_configs

        defaults: ConfigValues = {
            "work_dir": str(self.folder),
            "job_id": FOLDER,  # Data-Juicer's default contains the time, so paths would differ between runs
            "skip_op_error": False,  # Data-Juicer's default silently drops rows on which an OP fails
        }
        if "use_cache" not in recipe and "ds_cache_dir" not in recipe:
            defaults["ds_cache_dir"] = str(self.folder / "cache")  # so that no stale cache can change a result
        try:
            config = get_init_configs({**defaults, **recipe}, load_configs_only=True)
        except (Exception, SystemExit) as error:
            raise JobError(f"Data-Juicer does not accept the recipe: {error}") from error
        return config

    def executor(self, config: LibraryObject) -> LibraryObject:
        """The executor of the config's `executor_type`."""
        from data_juicer.core.executor.factory import ExecutorFactory

        return ExecutorFactory.create_executor(config.executor_type)(config)

    def analyzer(self, config: LibraryObject) -> LibraryObject:
        """The analyzer."""
        from data_juicer.core import Analyzer

        return Analyzer(config)

    def dataset(self, arrow: Path, fingerprint: str) -> LibraryObject:
        """The data set in an Arrow file.

        Args:
            arrow: the file.
            fingerprint: changes with its content, for Data-Juicer's cache.
        """
        from data_juicer.core.data import NestedDataset
        from datasets import Dataset

        dataset = Dataset.from_file(str(arrow))
        dataset._fingerprint = fingerprint
        return NestedDataset(dataset)

    def of_parquet(self, files: Sequence[Path], folder: Path) -> LibraryObject:
        """The data set in parquet files, with a cache in `folder`."""
        from data_juicer.core.data import NestedDataset
        from datasets import Dataset

        return NestedDataset(Dataset.from_parquet([str(file) for file in files], cache_dir=str(folder / "parquet")))

    def drawn(
        self,
        dataset: LibraryObject,
        ranges: Sequence[tuple[int, int]],
        weights: Sequence[float],
        max_rows: int | None,
    ) -> LibraryObject:
        """Draw rows of several data sets, as Data-Juicer does for `max_sample_num`; all rows if it is not set."""
        if not max_rows:
            return dataset
        from data_juicer.core.data import NestedDataset
        from data_juicer.core.data.dataset_builder import get_sample_numbers
        from data_juicer.utils.sample import random_sample
        from datasets import concatenate_datasets

        parts = []
        for (start, end), weight, number in zip(ranges, weights, get_sample_numbers(weights, max_rows), strict=True):
            if number > 0 and end > start:
                parts.append(random_sample(dataset.select(range(start, end)), weight, number))
        return NestedDataset(concatenate_datasets(parts))

    def encrypt(self, file: Path, key_path: str) -> None:
        """Encrypt a file in place, as Data-Juicer does for `encrypt_before_export`."""
        from data_juicer.utils.encryption_utils import encrypt_file, load_fernet_key

        encrypt_file(str(file), str(file), load_fernet_key(key_path or None))

    def upload(self, file: Path, target: str, executor: LibraryObject) -> None:
        """Copy a file to S3 or HDFS, with the access that Data-Juicer's exporter has."""
        from fsspec.core import url_to_fs

        options = dict(executor.exporter.storage_options or {})
        system = options.pop("filesystem", None) or url_to_fs(target, **options)[0]
        system.put_file(str(file), target)

    def write_jsonl(self, dataset: LibraryObject, path: Path) -> None:
        """Write a data set with Data-Juicer's exporter."""
        from data_juicer.core.exporter import Exporter

        Exporter.to_jsonl(dataset, str(path))


@contextmanager
def dj_runtime(job: JobRun, *, plots: bool = False) -> Iterator[DataJuicerRuntime]:
    """Open a Data-Juicer session for one job: no output, no installs, no files outside its folder.

    Args:
        job: the job; its progress shows the OPs, its folder holds the output.
        plots: whether the analyzer draws figures.

    Raises:
        JobError: an OP, or Data-Juicer itself, failed.
    """
    folder = job.folder / FOLDER
    with _one_at_a_time, ExitStack() as stack:
        stack.callback(_clean, folder)
        stack.enter_context(isolation.no_installs())
        stack.enter_context(isolation.environment(RAY_JOB=None, MPLBACKEND=os.environ.get("MPLBACKEND", "Agg")))
        _clean(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with isolation.output_to_log():
            _import()
        stack.enter_context(isolation.output_to_log())
        stack.enter_context(_globals_restored(folder))
        stack.enter_context(exact_json())
        stack.enter_context(_bars(job))
        if not plots:
            stack.enter_context(_no_figures())
        runtime = DataJuicerRuntime(folder)
        stack.enter_context(_rows_read_counted(runtime))
        try:
            yield runtime
        except SandboxError:
            raise
        except Exception as error:
            in_worker = type(error.__cause__).__name__ == "RemoteTraceback"
            hint = "`skip_op_error: true` in the recipe drops the rows that an OP fails on" if in_worker else None
            if isinstance(error, ConnectionError) and "Ray" in str(error):
                hint = "`ray_address: local` in the recipe starts Ray on this machine"
            raise JobError(f"Data-Juicer failed: {type(error).__name__}: {error}", hint=hint) from error


def _clean(folder: Path) -> None:
    for name in ("cache", "tmp", "rows"):
        shutil.rmtree(folder / name, ignore_errors=True)


@functools.cache
def _import() -> None:
    """Import Data-Juicer, and undo the import's changes to global state."""
    from data_juicer_sandbox.terminal import logs

    # The import removes all sinks of loguru and adds its own.
    with isolation.swapped(logger, "remove", lambda *_: None), isolation.swapped(logger, "add", lambda *_, **__: 0):
        import data_juicer.config.config as config
        import data_juicer.core  # noqa: F401
        import data_juicer.ops.base_op as base_op
        import datasets
        from data_juicer.utils.lazy_loader import LazyLoader
    logs.restore()
    LazyLoader._install_package = staticmethod(isolation.refuse_install)
    datasets_logger = logging.getLogger(datasets.__name__)
    datasets_logger.handlers, datasets_logger.propagate = [], True
    free_original = base_op.free_models

    def free_models(*args: object, **values: object) -> None:
        # Its last step, which empties the GPU's cache after every OP, would install torch.
        with suppress(ImportError):
            free_original(*args, **values)

    base_op.free_models = free_models
    build = config.build_base_parser

    def parser() -> LibraryObject:
        base_parser = build()
        base_parser._default_env = False  # it would read the sandbox's variables, such as DJ_SANDBOX_NP, as its own
        base_parser.exit_on_error = False
        return base_parser

    config.build_base_parser = parser
    # A lock of the progress view that is held during a fork stays locked in the worker; workers write plain lines.
    os.register_at_fork(after_in_child=lambda: logs.show_through(None))


@contextmanager
def _globals_restored(folder: Path) -> Iterator[None]:
    """Restore the global state that a config changes, so that a job does not affect the next one's result."""
    import datasets
    from data_juicer.utils.mm_utils import SpecialTokens

    config, fingerprint = datasets.config, datasets.fingerprint
    caching, tempdir = datasets.is_caching_enabled(), tempfile.tempdir
    tokens = {name: getattr(SpecialTokens, name) for name in _TOKENS}
    paths = {
        name: getattr(config, name) for name in dir(config) if name.endswith(("_DATASETS_CACHE", "_DATASETS_PATH"))
    }
    files = getattr(fingerprint, "_TEMP_DIR_FOR_TEMP_CACHE_FILES", None)
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    if hasattr(fingerprint, "_TempCacheDir"):
        # Only for these files: sockets of worker processes need the short path of the usual folder.
        with isolation.environment(TMPDIR=str(folder / "tmp")):
            fingerprint._TEMP_DIR_FOR_TEMP_CACHE_FILES = fingerprint._TempCacheDir()
    datasets.enable_caching()
    try:
        yield
    finally:
        (datasets.enable_caching if caching else datasets.disable_caching)()
        tempfile.tempdir = tempdir
        fingerprint._TEMP_DIR_FOR_TEMP_CACHE_FILES = files
        for name, path in paths.items():
            setattr(config, name, path)
        for name, token in tokens.items():
            setattr(SpecialTokens, name, token)


@contextmanager
def _bars(job: JobRun) -> Iterator[None]:
    bar = isolation.bars_of(job.progress)
    with ExitStack() as stack:
        for name in ("arrow_dataset", "builder", "io.json"):
            module = sys.modules.get(f"datasets.{name}")
            if hasattr(module, "hf_tqdm"):
                stack.enter_context(isolation.swapped(module, "hf_tqdm", bar))
        yield


@contextmanager
def _rows_read_counted(runtime: DataJuicerRuntime) -> Iterator[None]:
    from data_juicer.core.data import load_strategy
    from data_juicer.format import formatter, json_formatter, text_formatter

    unify = formatter.unify_format

    def counted(dataset: LibraryObject, *args: object, **values: object) -> LibraryObject:
        splits = list(dataset.values()) if isinstance(dataset, dict) else [dataset]
        runtime.rows_read += sum(len(split) for split in splits)
        return unify(dataset, *args, **values)

    with ExitStack() as stack:
        for module in (formatter, json_formatter, text_formatter, load_strategy):
            stack.enter_context(isolation.swapped(module, "unify_format", counted))
        yield


@contextmanager
def _no_figures() -> Iterator[None]:
    """Replace the analyzer's drawing classes by no-ops, since Data-Juicer has no option to disable them."""
    import data_juicer.core.analyzer as analyzer

    class NoFigures:
        def __init__(self, *_args: object, **_values: object):
            pass

        def analyze(self, *_args: object, **_values: object) -> None:
            pass

    with (
        isolation.swapped(analyzer, "ColumnWiseAnalysis", NoFigures),
        isolation.swapped(analyzer, "CorrelationAnalysis", NoFigures),
    ):
        yield


class InputRowCounter:
    """Counts the input rows, without reading them a second time.

    Args:
        dj: the Data-Juicer session of the job.
        reader: its executor or analyzer, before it runs.
    """

    def __init__(self, dj: DataJuicerRuntime, reader: LibraryObject):
        self._dj = dj
        self._loaded: LibraryObject = None
        builder: LibraryObject = getattr(reader, "dataset_builder", None) or getattr(reader, "datasetbuilder", None)
        self._sampled = bool(getattr(builder, "max_sample_num", None))
        load = builder.load_dataset

        def load_and_remember(*args: object, **kwargs: object) -> LibraryObject:
            loaded = load(*args, **kwargs)
            # A RayDataset is processed in place; the data that it holds now does not change.
            self._loaded = loaded.data if type(loaded).__name__ == "RayDataset" else loaded
            return loaded

        builder.load_dataset = load_and_remember

    def count(self) -> int:
        """The number of input rows, including rows without a text; logs how many of these there are."""
        loaded = int(self._loaded.count()) if self._loaded is not None else 0
        read = self._dj.rows_read
        if self._sampled or not read or read < loaded:
            return loaded
        if read > loaded:
            logger.warning("{} of {} rows have no text; Data-Juicer skips them", read - loaded, read)
        return read
