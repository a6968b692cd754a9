"""What the model infer evaluators share: rows drawn, a model asked about them, its feedback put beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.io.append_fields import append_fields
from data_juicer_sandbox.components.io.data_files import data_files, refuse_overwriting
from data_juicer_sandbox.components.io.lines import numbered_lines
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.sampling import PARAMETERS, Algo, Sample
from data_juicer_sandbox.components.probe.scorers import Row, RowScorer
from data_juicer_sandbox.components.probe.summary import Summary
from data_juicer_sandbox.errors import ConfigError, JobError, Where
from data_juicer_sandbox.files import replacing

FIELD = "__feedback__"
_BATCHES_TOGETHER = 16
"""Rows of so many batches are handed on together, to be sorted by length: little padding is needed then."""


class ModelInferEvaluator(Component):
    """Base of the components that ask a model about rows.

    Args:
        dataset_path: the rows.
        export_path: the file of the rows with feedback; `feedback.jsonl` in the job's folder when None.
        field: of the feedback in a row.
        sample: which rows are asked about.
        batch_size: rows that the model sees at once.
        threads: CPU threads; torch's choice when None.

    Raises:
        ConfigError: `export_path` is no jsonl file.
    """

    outputs = ("feedback_path", "summary")

    def __init__(
        self,
        dataset_path: str,
        export_path: str | None,
        field: str,
        sample: Sample,
        batch_size: int,
        threads: int | None,
    ):
        if export_path is not None and not export_path.endswith(".jsonl"):
            raise ConfigError(f"export_path {export_path!r} is no .jsonl file")
        self.dataset_path, self.export_path, self.field = dataset_path, export_path, field
        self.sample, self.batch_size, self.threads = sample, batch_size, threads

    def run(self, job: JobRun) -> tuple[str, dict[str, Any]]:
        """Ask the model about every row of the sample.

        Returns:
            The path of the rows with their feedback, and its summary.

        Raises:
            JobError: the data set or the model is not there, or they do not fit each other.
        """
        path = Path(self.export_path) if self.export_path else job.folder / "feedback.jsonl"
        refuse_overwriting(path, [self.dataset_path])
        count, chosen = self.sample.draw(self.dataset_path)
        summary = Summary()
        logger.info("asking about {:,} of {:,} rows of {}", len(chosen), count, self.dataset_path)
        with torch_env.deterministic(self.threads), job.progress.task("asking the model", total=len(chosen)) as task:
            judge = self.judge()
            with replacing(path) as part, part.open("wb") as stream:
                rows = self._rows(chosen)
                while group := list(islice(rows, self.batch_size * _BATCHES_TOGETHER)):
                    for (number, line, _), said in zip(group, judge.say([row for _, _, row in group]), strict=True):
                        stream.write(append_fields(line, {self.field: {"row": number, **said}}))
                        summary.add(said)
                    task.advance(len(group))
        if summary.unscored:
            logger.warning("of {:,} rows the model could say nothing", summary.unscored)
        figures = {"rows": count, "probed": len(chosen), "unscored": summary.unscored, **summary.figures()}
        job.watcher.watch(figures)
        return str(path), figures

    @abstractmethod
    def judge(self) -> RowScorer:
        """Load the model."""

    def _rows(self, chosen: Any) -> Iterator[tuple[int, bytes, Row]]:
        """The number, the line and the content of each row that was chosen.

        Raises:
            JobError: one is no row, or has feedback already.
        """
        wanted = iter(chosen.tolist())
        following = next(wanted, None)
        place = -1
        for file in data_files(self.dataset_path):
            for number, line in numbered_lines(file):
                place += 1
                if place != following:
                    continue
                following = next(wanted, None)
                try:
                    row = parse(line)
                    append_fields(line, {self.field: None})
                except BadRow as error:
                    raise JobError(str(error), where=Where(str(file), number)) from error
                if self.field in row:
                    hint = "another `feedback_field`"
                    raise JobError(f"the row has {self.field!r} already", where=Where(str(file), number), hint=hint)
                yield place, line, row


def sample_of(
    ratio: float, algo: Algo, frequency_key: str | None, strata_key: str | None, strata: int, seed: int
) -> Sample:
    """The sample that a config describes.

    Raises:
        ConfigError: the ratio is out of range, the algorithm's field is missing, or one is given that it does not use.
    """
    keys = {"frequency_key": frequency_key, "strata_key": strata_key}
    used = PARAMETERS.get(algo)
    for name, key in keys.items():
        if key is not None and name != used:
            wanted = next(other for other, parameter in PARAMETERS.items() if parameter == name)
            raise ConfigError(f"{name} is given, and data_probe_algo is {algo}", hint=f"data_probe_algo: {wanted}")
    return Sample(ratio, algo, keys.get(used or ""), strata, seed)
