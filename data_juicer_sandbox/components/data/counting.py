"""Number of input rows, counted while Data-Juicer reads them."""

from __future__ import annotations

from loguru import logger

from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime
from data_juicer_sandbox.types import LibraryObject


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
