"""Scores of Spark ML pipelines, computed by Spark in a separate process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder
from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.components.quality import spark_run
from data_juicer_sandbox.components.quality.classifier import Tokenize
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.imports import Library, is_installed

SPARK = Library("pyspark", command="pip install pyspark (it needs Java)")
LEAST, MOST = 1024, 8192
"""Bounds in MiB of Spark's default memory, a quarter of the machine's. Data-Juicer's tool requests 64 GiB, which small
machines do not have."""


@dataclass(frozen=True)
class SparkClassifier:
    """A Spark ML pipeline.

    Args:
        model: folder of the pipeline.
        folder: folder for temporary files.
        tokenize: tokenizer for a pipeline without one.
        python: a Python interpreter with PySpark; None: the current one.
        memory: memory for Spark in MiB; None: see the function `memory`.
    """

    model: Path
    folder: Path
    tokenize: Tokenize | None = None
    python: str | None = None
    memory: int | None = None

    def score(self, texts: Iterable[str]) -> Iterator[float]:
        """The probability that each text is good, in order.

        Raises:
            JobError: PySpark is not installed, or Spark failed.
        """
        if self.python is None and not is_installed(SPARK.module):
            raise JobError(
                f"the classifier at {self.model} needs PySpark, which is not installed",
                hint=f"{SPARK.install}, or name an interpreter that has it in `python`",
            )
        with private_folder(self.folder) as work_folder:
            text_file, score_file = work_folder / "texts.jsonl", work_folder / "scores.txt"
            request = work_folder / "request.json"
            split = self.tokenize
            write_rows(
                text_file,
                (
                    {"n": n, **({"text": text} if split is None else {"words": split(text)})}
                    for n, text in enumerate(texts)
                ),
            )
            settings = {
                "model": str(self.model.absolute()),
                "texts": str(text_file),
                "scores": str(score_file),
                "memory": self.memory or memory(),
                "threads": cores(),
            }
            hand_over(request, settings)
            program = Program([self.python or sys.executable, str(spark_run.__file__), str(request)])
            with closing(program.run()) as lines:
                for line in lines:
                    logger.debug("spark: {}", program.masked(line.text))
            with score_file.open(encoding="utf-8") as stream:
                yield from map(float, stream)


def memory() -> int:
    """Memory for Spark in MiB: a quarter of the machine's, within bounds."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return max(LEAST, min(MOST, total // 4))
