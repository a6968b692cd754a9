"""`ModelInferEvaluator`: draws rows, scores them with a model, writes the feedback into the rows, and summarizes it."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.data_files import refuse_overwriting
from data_juicer_sandbox.components.io.edit_fields import append_fields
from data_juicer_sandbox.components.io.parse import BadRow, parse
from data_juicer_sandbox.components.io.stream import valid_lines
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.packing import BadText
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.probe.sampling import PARAMETERS, Algo, Sample
from data_juicer_sandbox.components.probe.scorers import Feedback, RowScorer, figure
from data_juicer_sandbox.errors import ConfigError, JobError, Where
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import libraries
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.types import Metrics, Row

if TYPE_CHECKING:
    import numpy as np

FIELD = "__feedback__"
_BATCHES_TOGETHER = 16
"""Number of batches whose rows are scored together, so that sorting by length reduces padding."""


@dataclass(frozen=True)
class DrawnRow:
    """A row to score.

    Args:
        number: its index in the data set, from 0.
        line: its bytes.
        row: its content.
        where: its file and line.
    """

    number: int
    line: bytes
    row: Row
    where: Where


class ModelInferEvaluator(Component):
    """Base of the components that score rows with a model.

    Args:
        dataset_path: the data set.
        export_path: the output file; None for `feedback.jsonl` in the job's folder.
        field: the name of the field for the feedback.
        sample: selects the rows to score.
        batch_size: rows in a batch.
        threads: CPU threads; None for torch's default.
        skip_bad_rows: number of rows that may be invalid (no JSON object, or without what the model reads); they are
            counted, named in the log and skipped.

    Raises:
        ConfigError: `export_path` is not a jsonl file.
    """

    outputs = ("feedback_path", "summary")
    requires = libraries(torch_env.EXTRA, "torch", "transformers")
    metrics = (*metric_keys("rows", "probed", "unscored", "tokens", "<feedback>.<statistic or text>"), *BAD_ROWS)
    numbers = number_keys(feedback_path=(), summary=tuple(metric.key for metric in metrics[:-1]))

    def __init__(
        self,
        dataset_path: str,
        export_path: str | None,
        field: str,
        sample: Sample,
        batch_size: int,
        threads: int | None,
        skip_bad_rows: int = 0,
    ):
        if export_path is not None and not export_path.endswith(".jsonl"):
            raise ConfigError(f"export_path {export_path!r} is not a .jsonl file")
        self.dataset_path, self.export_path, self.field = dataset_path, export_path, field
        self.sample, self.batch_size, self.threads, self.skip_bad_rows = sample, batch_size, threads, skip_bad_rows

    def run(self, job: JobRun) -> tuple[str, Metrics]:
        """Score every row of the sample.

        Returns:
            The path of the rows with their feedback, and its summary.

        Raises:
            JobError: the data set or the model is missing, or the model cannot score its rows.
        """
        path = Path(self.export_path) if self.export_path else job.folder / "feedback.jsonl"
        refuse_overwriting(path, [self.dataset_path])
        allowance = Allowance(self.skip_bad_rows)
        count, row_numbers = self.sample.draw(self.dataset_path, allowance)
        summary, probed = Summary(), 0
        logger.info("scoring {:,} of {:,} rows of {}", len(row_numbers), count, self.dataset_path)
        with torch_env.deterministic(self.threads), job.progress.task("scoring rows", total=len(row_numbers)) as task:
            scorer = self.load_scorer()
            with replacing(path) as part, part.open("wb") as stream:
                rows = self._rows(row_numbers, allowance)
                while batch := list(islice(rows, self.batch_size * _BATCHES_TOGETHER)):
                    scored = _score(scorer, batch, allowance)
                    probed += len(scored)
                    for drawn, feedback in scored:
                        stream.write(append_fields(drawn.line, {self.field: {"row": drawn.number, **feedback}}))
                        summary.add(feedback)
                    task.advance(len(batch))
        if summary.unscored:
            logger.warning("the model gave no feedback for {:,} rows", summary.unscored)
        figures = {"rows": count, "probed": probed, "unscored": summary.unscored, **summary.figures()}
        job.watcher.watch(figures)
        allowance.report(job)
        return str(path), figures

    @abstractmethod
    def load_scorer(self) -> RowScorer:
        """Load the model."""

    def _rows(self, row_numbers: np.ndarray, allowance: Allowance) -> Iterator[DrawnRow]:
        """The drawn rows.

        Raises:
            JobError: a line is not a row, or has feedback already.
        """
        remaining = iter(row_numbers.tolist())
        next_row = next(remaining, None)
        for row_number, (file, line_number, line) in enumerate(valid_lines(self.dataset_path, allowance)):
            if row_number != next_row:
                continue
            next_row = next(remaining, None)
            try:
                row = parse(line)
                append_fields(line, {self.field: None})
            except BadRow as error:
                allowance.skip(file, line_number, error)
                continue
            if self.field in row:
                hint = "another `feedback_field`"
                raise JobError(f"the row has {self.field!r} already", where=Where(str(file), line_number), hint=hint)
            yield DrawnRow(row_number, line, row, Where(str(file), line_number))


def _score(scorer: RowScorer, batch: list[DrawnRow], allowance: Allowance) -> list[tuple[DrawnRow, Feedback]]:
    """The rows of a batch with their feedback, without those that the model cannot read, if they are tolerated.

    Raises:
        JobError: the model cannot read a row; names file and line.
    """
    while batch:
        try:
            return list(zip(batch, scorer.score([drawn.row for drawn in batch]), strict=True))
        except BadText as error:
            bad = next((drawn for drawn in batch if drawn.row is error.row), None)
            if bad is None:
                raise
            allowance.skip(Path(bad.where.file), bad.where.line or 0, error.what, error.hint)
            batch = [drawn for drawn in batch if drawn is not bad]
    return []


def sample_of(
    ratio: float, algo: Algo, frequency_key: str | None, strata_key: str | None, strata: int, seed: int
) -> Sample:
    """The sampling method of a config.

    Raises:
        ConfigError: the ratio is out of range, the algorithm's field is missing, or a field is set that it ignores.
    """
    keys = {"frequency_key": frequency_key, "strata_key": strata_key}
    key_parameter = PARAMETERS.get(algo)
    for name, key in keys.items():
        if key is not None and name != key_parameter:
            matching_algo = next(other for other, parameter in PARAMETERS.items() if parameter == name)
            raise ConfigError(f"{name} is set, but data_probe_algo is {algo}", hint=f"data_probe_algo: {matching_algo}")
    return Sample(ratio, algo, keys.get(key_parameter or ""), strata, seed)


_WORDS = 50
"""Number of different texts of a field that are counted separately; further ones are counted together."""
_OTHERS = "(others)"


class Summary:
    """Collects feedback; only numbers and counts are kept in memory."""

    def __init__(self) -> None:
        self._numbers: dict[str, array[float]] = {}
        self._words: dict[str, Counter[str]] = {}
        self.unscored = 0

    def add(self, feedback: Feedback) -> None:
        """Add the feedback on one row; nested mappings are flattened with dots."""
        flat = dict(flatten(feedback))
        if all(value is None for name, value in flat.items() if name != "tokens"):
            self.unscored += 1
        for name, value in flat.items():
            if isinstance(value, str | bool):
                counts = self._words.setdefault(name, Counter())
                counts[str(value) if str(value) in counts or len(counts) < _WORDS else _OTHERS] += 1
            elif value is not None:
                self._numbers.setdefault(name, array("d")).append(value)

    def figures(self) -> Metrics:
        """For each number `count`, `mean`, `std`, `min`, `25%`, `50%`, `75%`, `max`, as in a data analyzer's overall
        table; for each text its frequency; the sum of the tokens.
        """
        import numpy as np

        figures: Metrics = {}
        for name, numbers in self._numbers.items():
            values = np.asarray(numbers)
            if name == "tokens":
                figures[name] = int(values.sum())
                continue
            low, quarter, half, three_quarters, high = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            std = values.std(ddof=1) if len(values) > 1 else 0.0
            statistics = {
                "mean": values.mean(),
                "std": std,
                "min": low,
                "25%": quarter,
                "50%": half,
                "75%": three_quarters,
            }
            figures[name] = {
                "count": len(values),
                **{label: figure(float(value)) for label, value in {**statistics, "max": high}.items()},
            }
        return figures | {name: dict(counts.most_common()) for name, counts in self._words.items()}
