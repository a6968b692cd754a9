from __future__ import annotations

import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_juicer_sandbox.components.evaluate.quality_classifier import Distribution, DJTextQualityClassifier
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.components.quality import published, spark_ml
from data_juicer_sandbox.components.quality.spark import memory
from data_juicer_sandbox.components.train.quality_classifier import TextQualityClassifier
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("sklearn", reason="needs the extra `evaluate`")


@pytest.fixture
def model(good_and_bad, job):
    """A classifier of one's own."""
    return TextQualityClassifier(*good_and_bad).run(job)


def test_good_texts_score_higher_and_every_row_keeps_its_place(model, good_and_bad, job, quiet):
    score, results, paths = DJTextQualityClassifier(list(good_and_bad), model).run(job)
    good, bad = results
    assert good["mean"] > 0.7 > 0.3 > bad["mean"]
    assert score == good["mean"]
    for given, path, result in zip(good_and_bad, paths, results, strict=True):
        rows, before = list(read_rows(path)), list(read_rows(given))
        scores = [row.pop("doc_score") for row in rows]
        assert rows == before
        assert result["mean"] == pytest.approx(sum(scores) / len(scores))
        assert (result["min"], result["max"], result["rows"]) == (min(scores), max(scores), len(rows))
        assert sum(result["histogram"]) == len(rows)
        assert result["p50"] == pytest.approx(sorted(scores)[len(scores) // 2], abs=0.02)
    assert quiet.query("a_job")["good"]["mean"] == good["mean"]
    json.dumps(results)


def test_rows_to_keep(tmp_path, jsonl, job):
    path = jsonl("a.jsonl", [{"text": "x"}] * 2000)
    for name, intercept, score in (("likely", 2.2, 0.90025), ("unlikely", -0.2, 0.45017)):
        model = str(spark_pipeline(tmp_path / name, {}, intercept))
        run = partial(DJTextQualityClassifier, path, model)
        _, (label,), (scored,) = run(keep_method="label").run(job)
        assert {row["should_keep"] for row in read_rows(scored)} == {int(score > 0.5)}
        assert label["kept"] == (score > 0.5)
        _, (pareto,), _ = run(keep_method="gpt3").run(job)
        first = digest(scored)
        # P(pareto(9) > x) = (1 + x)^-9: 0.42 and 0.019
        assert pareto["kept"] == pytest.approx((2 - score) ** -9, rel=0.3)
        assert pareto["kept"] == sum(row["should_keep"] for row in read_rows(scored)) / 2000
        run(keep_method="gpt3").run(job)
        assert digest(scored) == first
        run(keep_method="gpt3", seed=8).run(job)
        assert digest(scored) != first


def test_the_distribution_of_known_scores():
    seen = Distribution()
    for number in range(101):
        seen.add(number / 100, number > 50)
    found = seen.summary()
    assert found["mean"] == pytest.approx(0.5)
    assert found["std"] == pytest.approx(0.2915476)
    assert [found[key] for key in ("min", "p05", "p50", "p95", "max")] == pytest.approx(
        [0, 0.05, 0.5, 0.95, 1], abs=1e-4
    )
    assert found["histogram"] == [10] * 9 + [11]
    assert seen.kept == 50


def spark_pipeline(folder: Path, weights: dict[int, float], intercept: float, places: int = 64, **changes) -> Path:
    """A pipeline as Spark ML lays it down."""
    stages = [
        ("Tokenizer_a", "org.apache.spark.ml.feature.Tokenizer", {}),
        ("HashingTF_b", "org.apache.spark.ml.feature.HashingTF", {"numFeatures": places, "binary": False}),
        ("LogisticRegression_c", "org.apache.spark.ml.classification.LogisticRegressionModel", {}),
    ]
    if changes.get("bare"):
        stages = stages[1:]
    (folder / "metadata").mkdir(parents=True)
    for number, (name, kind, settings) in enumerate(stages):
        place = folder / "stages" / f"{number}_{name}" / "metadata"
        place.mkdir(parents=True)
        about = {"class": kind, "sparkVersion": changes.get("version", "3.1.2"), "paramMap": settings}
        (place / "part-00000").write_text(json.dumps(about) + "\n")
    matrix = {"type": 0, "numRows": 1, "numCols": places, "colPtrs": [0, len(weights)], "rowIndices": list(weights)}
    matrix |= {"values": list(weights.values()), "isTransposed": True}
    vector = {"type": 1, "size": None, "indices": None, "values": [intercept]}
    row = {"numClasses": 2, "numFeatures": places, "interceptVector": vector, "coefficientMatrix": matrix}
    row["isMultinomial"] = changes.get("multinomial", False)
    (place.parent / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), place.parent / "data" / "part-00000.snappy.parquet")
    return folder


def test_a_pipeline_of_spark_is_read_without_spark(tmp_path, jsonl, job):
    places = spark_ml.load(spark_pipeline(tmp_path / "m", {}, 0.0)).hashing(["good bad"]).indices.tolist()
    folder = spark_pipeline(tmp_path / "n", {places[0]: 2.0, places[1]: -1.0}, 0.5)
    path = jsonl("a.jsonl", [{"text": "GOOD"}, {"text": "good bad bad bad"}, {"text": "   "}])
    _, (result,), (scored,) = DJTextQualityClassifier(path, str(folder)).run(job)
    scores = [row["doc_score"] for row in read_rows(scored)]
    assert scores == pytest.approx([0.92414182, 0.37754067, 0.62245933])  # 1 / (1 + e^-x) of 2.5, -0.5, 0.5
    assert result["mean"] == pytest.approx(sum(scores) / 3)


def test_what_only_spark_can_run_is_left_to_it(tmp_path):
    for number, changes in enumerate(({"version": "2.4.8"}, {"multinomial": True})):
        with pytest.raises(spark_ml.UnsupportedPipeline):
            spark_ml.load(spark_pipeline(tmp_path / str(number), {}, 0.0, **changes))
    with pytest.raises(JobError, match="has no tokenizer"):
        spark_ml.load(spark_pipeline(tmp_path / "bare", {}, 0.0, bare=True))
    assert 1024 <= memory() <= 8192


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a published classifier as Data-Juicer's store does."""
    folder = tmp_path / "served"
    spark_pipeline(tmp_path / "made" / "gpt3_quality_model", {0: 1.0}, 1.0)
    folder.mkdir()
    with zipfile.ZipFile(folder / "gpt3_quality_model.zip", "w") as archive:
        for file in sorted((tmp_path / "made").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "made"))
    (folder / "chinese_quality_model.zip").write_bytes(b"not an archive")

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        monkeypatch.setattr(published, "LINKS", f"http://127.0.0.1:{served.server_port}/")
        monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", str(tmp_path / "cache"))
        yield folder
        served.shutdown()


def test_published_classifiers_are_downloaded_once(server, jsonl, job):
    path = jsonl("a.jsonl", [{"text": "one two"}])
    score, *_ = DJTextQualityClassifier(path).run(job)
    assert score > 0.5
    (server / "gpt3_quality_model.zip").unlink()
    assert DJTextQualityClassifier(path, "gpt3").run(job)[0] == score
    with pytest.raises(JobError, match="is not a zip archive"):
        DJTextQualityClassifier(path, "chinese").run(job)
    with pytest.raises(JobError, match=r"code_quality_model.zip cannot be downloaded.*set `model` to the folder"):
        DJTextQualityClassifier(path, "code").run(job)
    assert [entry.name for entry in published.cache().iterdir()] == ["gpt3_quality_model"]


def test_what_cannot_be_done_is_said(model, jsonl, job, tmp_path):
    path = jsonl("a.jsonl", [{"text": "x"}])
    with pytest.raises(JobError, match=r"no classifier at .*nowhere.*gpt3, chinese, code"):
        DJTextQualityClassifier(path, str(tmp_path / "nowhere")).run(job)
    with pytest.raises(JobError, match="there are no rows in"):
        DJTextQualityClassifier(jsonl("e.jsonl", []), model).run(job)
    assert not (job.folder / "e_scored.jsonl").exists()
    with pytest.raises(JobError, match=r"f\.jsonl:1: 'text' is missing"):
        DJTextQualityClassifier(jsonl("f.jsonl", [{"body": "x"}]), model).run(job)
