"""PySpark as Data-Juicer's tool uses it. It comes in an environment of its own: name its interpreter in
DJ_TEST_SPARK_PYTHON, or have pyspark here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from data_juicer_sandbox.components.evaluate.quality_classifier import DJTextQualityClassifier
from data_juicer_sandbox.components.rows import read_rows
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


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """Where pipelines of Spark ML are trained once, and by what."""
    folder = tmp_path_factory.mktemp("spark")

    def train(good, bad):
        if not (folder / "bare").exists():
            subprocess.run([PYTHON, "-c", TRAIN, good, bad, str(folder)], check=True, capture_output=True)
        return folder

    return train


def scores(job, model, paths, **options):
    _, results, scored = DJTextQualityClassifier(list(paths), str(model), python=PYTHON, **options).run(job)
    return results, [row["doc_score"] for path in scored for row in read_rows(path)]


def test_read_without_spark_gives_what_spark_gives(pipelines, good_and_bad, job):
    folder = pipelines(*good_and_bad)
    (good, bad), ours = scores(job, folder / "usual", good_and_bad)
    _, sparks = scores(job, folder / "usual", good_and_bad, engine="spark", spark_memory=1024)
    assert ours == pytest.approx(sparks, rel=1e-9)
    assert good["mean"] > 0.8 > 0.2 > bad["mean"]


def test_other_pipelines_are_run_by_spark(pipelines, good_and_bad, job):
    (good, bad), found = scores(job, pipelines(*good_and_bad) / "unusual", good_and_bad)
    assert good["mean"] > 0.8 > 0.2 > bad["mean"]
    assert len(found) == good["rows"] + bad["rows"]
    assert not [entry for entry in job.folder.iterdir() if entry.is_dir()]


def test_what_spark_says_is_shown(pipelines, good_and_bad, job, tmp_path):
    folder = pipelines(*good_and_bad)
    with pytest.raises(JobError, match="no tokenizer of its own"):
        scores(job, folder / "bare", good_and_bad)
    (folder / "broken" / "metadata").mkdir(parents=True)
    (folder / "broken" / "stages").mkdir()
    with pytest.raises(JobError, match="ended with status 1"):
        scores(job, folder / "broken", good_and_bad, engine="spark")


def test_words_of_a_sentencepiece_model(pipelines, good_and_bad, job, tmp_path, jsonl):
    library = pytest.importorskip("sentencepiece")
    texts = [row["text"] for path in good_and_bad for row in read_rows(path)]
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(tmp_path / "pieces"), vocab_size=600, minloglevel=2
    )
    options = {"tokenizer_path": str(tmp_path / "pieces.model")}
    folder = pipelines(*good_and_bad) / "bare"
    _, ours = scores(job, folder, good_and_bad, **options)
    _, sparks = scores(job, folder, good_and_bad, engine="spark", **options)
    assert ours == pytest.approx(sparks, rel=1e-9)
    assert len({round(score, 6) for score in ours}) > 100
