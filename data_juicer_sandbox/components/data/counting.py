"""How many rows came in, counted as Data-Juicer reads them."""

from __future__ import annotations

from typing import Any

from loguru import logger

from data_juicer_sandbox.components.data.dj_runtime import DataJuicerRuntime


class RowsIn:
    """Counts the rows that come in, without reading them a second time.

    Args:
        dj: the Data-Juicer of the job.
        reader: its executor or analyser, before it runs.
    """

    def __init__(self, dj: DataJuicerRuntime, reader: Any):
        self._dj = dj
        self._loaded: Any = None
        builder: Any = getattr(reader, "dataset_builder", None) or getattr(reader, "datasetbuilder", None)
        self._sampled = bool(getattr(builder, "max_sample_num", None))
        load = builder.load_dataset

        def keep(*args: Any, **kwargs: Any) -> Any:
            loaded = load(*args, **kwargs)
            # What is done to a data set on Ray is done in place, but not to the data it held before.
            self._loaded = loaded.data if type(loaded).__name__ == "RayDataset" else loaded
            return loaded

        builder.load_dataset = keep

    def count(self) -> int:
        """The rows of the input, those without a text among them; says how many these are."""
        loaded = int(self._loaded.count()) if self._loaded is not None else 0
        read = self._dj.rows_read
        if self._sampled or not read or read < loaded:
            return loaded
        if read > loaded:
            logger.warning("{} of {} rows have no text; Data-Juicer leaves them out", read - loaded, read)
        return read
