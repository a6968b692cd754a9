"""Scores texts with a Spark ML pipeline. Runs as a script, with an interpreter that has PySpark; imports nothing of
this package.

python spark_run.py REQUEST.json

The request names `model`, `texts`, `scores`, `memory` in MiB and `threads`; it is removed after reading. `texts` is a
jsonl file with `n` and either `text` or `words` (a list); `scores` is written in the same order: a number a line.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    """Score the texts."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import SparkSession

    file = Path(sys.argv[1])
    request = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    model, texts, scores = request["model"], request["texts"], request["scores"]
    memory, threads = request["memory"], str(request["threads"])
    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", f"{memory}m")  # in local mode there are no executors
        .config("spark.sql.shuffle.partitions", threads)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    rows = spark.read.schema("n LONG, text STRING, words ARRAY<STRING>").json(texts)
    rows = rows.drop("words" if '"text":' in open(texts, encoding="utf-8").readline() else "text")  # noqa: PTH123, SIM115
    probability = vector_to_array("probability")[1].alias("score")
    predictions = PipelineModel.load(model).transform(rows).select("n", probability)
    with open(scores, "w", encoding="utf-8") as stream:  # noqa: PTH123
        for row in predictions.orderBy("n").toLocalIterator():
            stream.write(f"{row.score!r}\n")
    spark.stop()


if __name__ == "__main__":
    main()
