"""PySpark as Data-Juicer's tool uses it. It comes in an environment of its own: name its interpreter in
DJ_TEST_SPARK_PYTHON, or have pyspark here.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys

import pytest

from data_juicer_sandbox.components.evaluate.quality_classifier import DJTextQualityClassifier
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import JobError

PYTHON = os.environ.get("DJ_TEST_SPARK_PYTHON") or (sys.executable if importlib.util.find_spec("pyspark") else None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PYTHON is None, reason="no pyspark; name DJ_TEST_SPARK_PYTHON")]
pytest.importorskip("sklearn", reason="needs the extra `evaluate`")

TRAIN = """
import sys
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import HashingTF, NGram, Tokenizer
from pyspark.sql import SparkSession

good, bad, folder = sys.argv[1:]
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
spark = spark.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
read = lambda path, label: spark.read.json(path).selectExpr("text", f"{label} as label")
data = read(good, 1).unionAll(read(bad, 0)).coalesce(1).cache()
words, regression = Tokenizer(inputCol="text", outputCol="words"), LogisticRegression(regParam=0.01, maxIter=10)
count = HashingTF(inputCol="words", outputCol="features")
Pipeline(stages=[words, count, regression]).fit(data).write().overwrite().save(folder + "/usual")
pairs = NGram(inputCol="words", outputCol="pairs")
count = HashingTF(inputCol="pairs", outputCol="features", numFeatures=4096)
Pipeline(stages=[words, pairs, count, regression]).fit(data).write().overwrite().save(folder + "/unusual")
data = data.selectExpr("label", "split(text, 'e') as words")
count = HashingTF(inputCol="words", outputCol="features", numFeatures=4096)
Pipeline(stages=[count, regression]).fit(data).write().overwrite().save(folder + "/bare")
"""


START = 300
"""Seconds in which Spark has trained three pipelines on any machine."""


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """Where pipelines of Spark ML are trained once, and by what."""
    folder = tmp_path_factory.mktemp("spark")

    def train(good, bad):
        if not (folder / "bare").exists():
            argv = [PYTHON, "-c", TRAIN, good, bad, str(folder)]
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=START)
            assert done.returncode == 0, done.stderr[-3000:]
        return folder

    return train


@pytest.fixture
def both(good_and_bad, jsonl):
    """All texts in one data set, since each one scored is a start of Spark; `good` tells which is which."""
    return jsonl("both.jsonl", [{**row, "good": n == 0} for n in (0, 1) for row in read_rows(good_and_bad[n])])


def scores(job, model, path, **options):
    """The score of each text, and the mean ones of the good and of the bad."""
    _, (result,), (scored,) = DJTextQualityClassifier(path, str(model), python=PYTHON, **options).run(job)
    rows = list(read_rows(scored))
    assert len(rows) == result["rows"]
    means = (statistics.fmean(row["doc_score"] for row in rows if row["good"] is good) for good in (True, False))
    return [row["doc_score"] for row in rows], *means


def test_read_without_spark_gives_what_spark_gives(pipelines, good_and_bad, both, job):
    folder = pipelines(*good_and_bad)
    ours, good, bad = scores(job, folder / "usual", both)
    sparks, *_ = scores(job, folder / "usual", both, engine="spark", spark_memory=1024)
    assert ours == pytest.approx(sparks, rel=1e-9)
    assert good > 0.8 > 0.2 > bad


def test_other_pipelines_are_run_by_spark(pipelines, good_and_bad, both, job):
    _, good, bad = scores(job, pipelines(*good_and_bad) / "unusual", both)
    assert good > 0.8 > 0.2 > bad
    assert not [entry for entry in job.folder.iterdir() if entry.is_dir()]


def test_what_spark_says_is_shown(pipelines, good_and_bad, both, job):
    folder = pipelines(*good_and_bad)
    with pytest.raises(JobError, match="has no tokenizer"):
        scores(job, folder / "bare", both)
    (folder / "broken" / "metadata").mkdir(parents=True)
    (folder / "broken" / "stages").mkdir()
    with pytest.raises(JobError, match="ended with status 1"):
        scores(job, folder / "broken", both, engine="spark")


def test_words_of_a_sentencepiece_model(pipelines, good_and_bad, both, job, tmp_path):
    library = pytest.importorskip("sentencepiece")
    texts = [row["text"] for row in read_rows(both)]
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(tmp_path / "pieces"), vocab_size=600, minloglevel=2
    )
    options = {"tokenizer_path": str(tmp_path / "pieces.model")}
    folder = pipelines(*good_and_bad) / "bare"
    ours, *_ = scores(job, folder, both, **options)
    sparks, *_ = scores(job, folder, both, engine="spark", **options)
    assert ours == pytest.approx(sparks, rel=1e-9)
    assert len({round(score, 6) for score in ours}) > 100
