"""Scores of a Spark ML pipeline. Run as a script, by an interpreter that has pyspark; stands alone.

python spark_run.py MODEL TEXTS SCORES MEMORY THREADS

TEXTS is a jsonl file with `n` and either `text` or `words` (a list); SCORES is written in the same order: a number a
line. MEMORY is in MiB.
"""

import sys


def main() -> None:
    """Score the texts."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import SparkSession

    model, texts, scores, memory, threads = sys.argv[1:]
    spark = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", f"{memory}m")  # in local mode the driver is all there is
        .config("spark.sql.shuffle.partitions", threads)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    rows = spark.read.schema("n LONG, text STRING, words ARRAY<STRING>").json(texts)
    rows = rows.drop("words" if '"text":' in open(texts, encoding="utf-8").readline() else "text")  # noqa: PTH123, SIM115
    found = PipelineModel.load(model).transform(rows).select("n", vector_to_array("probability")[1].alias("score"))
    with open(scores, "w", encoding="utf-8") as file:  # noqa: PTH123
        for row in found.orderBy("n").toLocalIterator():
            file.write(f"{row.score!r}\n")
    spark.stop()


if __name__ == "__main__":
    main()
