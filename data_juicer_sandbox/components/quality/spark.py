"""Scores by Spark itself, in a process of its own, in memory that the machine has."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.components.processes.handover import hand_over, private_folder
from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.components.quality import spark_run
from data_juicer_sandbox.components.quality.tokens import Tokenize
from data_juicer_sandbox.errors import JobError

LEAST, MOST = 1024, 8192
"""MiB: Spark starts with less than a quarter of the machine's memory between these. Data-Juicer's own tool asks for 64
GiB, which no small machine has."""


@dataclass(frozen=True)
class SparkClassifier:
    """A pipeline of Spark ML.

    Args:
        model: its folder.
        folder: where texts and scores lie meanwhile.
        tokenize: where it has no tokenizer of its own.
        python: an interpreter that has pyspark; this one when None.
        memory: MiB for Spark; see `memory` when None.
    """

    model: Path
    folder: Path
    tokenize: Tokenize | None = None
    python: str | None = None
    memory: int | None = None

    def score(self, texts: Iterable[str]) -> Iterator[float]:
        """How likely each text is a good one, 0 to 1, in order.

        Raises:
            JobError: pyspark is not there, or Spark failed.
        """
        if self.python is None and importlib.util.find_spec("pyspark") is None:
            raise JobError(
                f"the classifier at {self.model} needs PySpark, which is not installed",
                hint="pip install pyspark (it needs Java), or name an interpreter that has it in `python`",
            )
        with private_folder(self.folder) as place:
            given, found, request = place / "texts.jsonl", place / "scores.txt", place / "request.json"
            split = self.tokenize
            write_rows(
                given,
                (
                    {"n": n, **({"text": text} if split is None else {"words": split(text)})}
                    for n, text in enumerate(texts)
                ),
            )
            settings = {
                "model": str(self.model.absolute()),
                "texts": str(given),
                "scores": str(found),
                "memory": self.memory or memory(),
                "threads": os.cpu_count() or 1,
            }
            hand_over(request, settings)
            program = Program([self.python or sys.executable, str(spark_run.__file__), str(request)])
            with closing(program.run()) as lines:
                for line in lines:
                    logger.debug("spark: {}", program.masked(line.text))
            with found.open(encoding="utf-8") as stream:
                yield from map(float, stream)


def memory() -> int:
    """MiB for Spark: a quarter of the machine's, within bounds."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return max(LEAST, min(MOST, whole // 4))
