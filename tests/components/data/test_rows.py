"""Rows come out of Data-Juicer's hooks byte for byte, except for what an OP changes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.analyzer import DataJuicerAnalyzer
from data_juicer_sandbox.components.data.executor import DataJuicerExecutor
from data_juicer_sandbox.components.io import read_lines, read_rows
from data_juicer_sandbox.errors import JobError

LENGTH = [{"text_length_filter": {"min_len": 4}}]
EMAIL = [{"clean_email_mapper": {"repl": "<e>"}}]
ODD = [
    '{"id": 1, "text": "first", "meta": {"a": 1}}',
    '{"text":"second@x.org","id":"2" ,"meta":{"b":[1.5e-12,null]}}',
    '{ "id": "007", "text": "third", "meta": [], "type": "x", "message": 1 }',
    '{"id": null, "text": "caf\\u00e9", "n": 12345678901234567890}',
    '{"id": "null", "text": "a b@c.de d", "n": 1, "f": 0.1000000000000000055}',
    '{"id": 9007199254740993, "text": "sixth", "n": 0.5, "d": "2024-05-06T07:08:09+02:00"}',
    '{"id": 1.0, "text": "seventh", "n": NaN, "s": "\\ud800", "meta": "text"}',
    '{"id": [1, "a"], "text": "eighth", "d": "2024-05-06", "f": 1E5, "meta": {"a": "1", "c": {"d": -0.0}}}',
    '{"id": true, "text": "abc", "meta": null}',
]


def run(process: list[Any], job: JobRun, path: Any, **recipe: Any) -> Any:
    return DataJuicerExecutor({"dataset_path": str(path), "process": process, "np": 1, **recipe}).run(job)


def lines_of(path: Any) -> list[bytes]:
    return Path(path).read_bytes().splitlines(keepends=True)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.jsonl"
    path.write_text("\n".join(ODD), encoding="utf-8")
    return path


def test_a_filter_keeps_the_bytes_of_each_row(odd: Path, job: JobRun) -> None:
    kept = [line.encode() + b"\n" for line in ODD[:-1]]
    assert lines_of(run(LENGTH, job, odd)) == kept
    with_stats = lines_of(run(LENGTH, job, odd, keep_stats_in_res_ds=True))
    for line, whole in zip(kept, with_stats, strict=True):
        length = len(json.loads(line)["text"])
        assert whole.rstrip(b"\n").endswith(b', "__dj__stats__": {"text_len": %d}}' % length)
        assert whole.startswith(line.rstrip(b"\n }"))


def test_rows_go_round_an_op_that_may_read_any_field(odd: Path, job: JobRun) -> None:
    everything = [{"python_lambda_mapper": {"lambda_str": "lambda row: row"}}]
    assert lines_of(run(everything, job, odd)) == [line.encode() + b"\n" for line in ODD]
    condition = [{"general_field_filter": {"filter_condition": "id != 1 and text != 'abc'"}}]
    assert lines_of(run(condition, job, odd)) == [ODD[i].encode() + b"\n" for i in (1, 2, 4, 5, 7)]


def test_an_op_sees_the_values_themselves(odd: Path, job: JobRun) -> None:
    shown = [{"python_lambda_mapper": {"lambda_str": "lambda row: {**row, 'seen': repr((row['id'], row['n']))}"}}]
    rows = list(read_rows(run(shown, job, odd)))
    assert rows[4].pop("seen") == "('null', 1)"
    assert rows[3].pop("seen") == "(None, 12345678901234567890)"
    assert rows[5].pop("seen") == "(9007199254740993, 0.5)"
    assert rows[2].pop("seen") == "('007', None)"


def test_a_mapper_changes_its_field_only(odd: Path, job: JobRun) -> None:
    expected = [line.encode() + b"\n" for line in ODD]
    expected[1] = b'{"text":"<e>","id":"2" ,"meta":{"b":[1.5e-12,null]}}\n'
    expected[4] = expected[4].replace(b"b@c.de", b"<e>")
    assert lines_of(run(EMAIL, job, odd)) == expected


def test_a_mapper_that_makes_several_rows(tmp_path: Path, job: JobRun) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "007", "text": "ab\\n\\ncd", "f": 1.50}\n{"id": 7, "text": "ef"}\n')
    chunks = [{"text_chunk_mapper": {"split_pattern": "\n\n"}}]
    assert lines_of(run(chunks, job, path)) == [
        b'{"id": "007", "text": "ab", "f": 1.50}\n',
        b'{"id": "007", "text": "cd", "f": 1.50}\n',
        b'{"id": 7, "text": "ef"}\n',
    ]


def test_deduplicators_and_selectors_give_back_rows(tmp_path: Path, job: JobRun) -> None:
    path = tmp_path / "a.jsonl"
    rows = ['{"id": "007", "text": "same"}', '{"id": 7, "text": "same"}', '{"id": 1.50, "text": "other"}']
    path.write_text("\n".join(rows))
    assert lines_of(run([{"document_deduplicator": {}}], job, path)) == [
        rows[0].encode() + b"\n",
        rows[2].encode() + b"\n",
    ]
    top = [{"topk_specified_field_selector": {"field_key": "meta.score", "topk": 2, "reverse": True}}]
    scored = [f'{{"text": "{n}", "meta": {{"score": {n}.0, "x": [{n}, "a"]}}}}' for n in (3, 1, 5, 2)]
    path.write_text("\n".join(scored))
    assert sorted(lines_of(run(top, job, path))) == sorted(scored[i].encode() + b"\n" for i in (0, 2))


def test_groupers_make_rows_of_several(tmp_path: Path, job: JobRun) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": 1, "text": "a", "g": "x"}, {"id": "2", "text": "b", "g": "y"}, {"id": "3", "text": "c", "g": "x"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    grouped = list(read_rows(run([{"key_value_grouper": {"group_by_keys": ["g"]}}], job, path)))
    assert sorted(grouped, key=lambda row: str(row["text"])) == [
        {"id": [1, "3"], "text": ["a", "c"], "g": ["x", "x"]},
        {"id": ["2"], "text": ["b"], "g": ["y"]},
    ]


def test_a_filter_on_a_field_of_several_types(odd: Path, job: JobRun) -> None:
    process = [{"specified_field_filter": {"field_key": "id", "target_value": [2, "2", "007", "null"]}}]
    assert lines_of(run(process, job, odd)) == [ODD[i].encode() + b"\n" for i in (1, 2, 4)]


def test_stats_that_rows_have_are_reused_and_replaced(odd: Path, job: JobRun, tmp_path: Path) -> None:
    path = DataJuicerAnalyzer({"dataset_path": str(odd), "process": LENGTH, "np": 1}).run(job)
    analyzed = lines_of(path)
    assert json.loads(analyzed[0])["__dj__stats__"] == {"text_len": 5}
    more = [*LENGTH, {"words_num_filter": {"min_num": 2}}]
    kept = lines_of(run(more, job, path, export_path=str(tmp_path / "k.jsonl"), keep_stats_in_res_ds=True))
    (row,) = map(json.loads, kept)
    assert row["__dj__stats__"] == {"text_len": 10, "num_words": 3}
    assert kept[0].startswith(ODD[4].encode()[:-1])
    plain = lines_of(run(more, job, path, export_path=str(tmp_path / "p.jsonl")))
    assert plain == [ODD[4].encode() + b"\n"]


NESTED = [
    '{"text": "a", "m": {"s": 1}}',
    '{"text": "b", "m": {"t": 2}}',
    '{"text": "c", "m": null}',
    '{"text": "d"}',
    '{"text": "e", "m": {"s": 1, "s2": {"x": 0.10}}}',
    '{"text": "f", "m": {"s": null}}',
]


def test_a_nested_field_that_a_row_lacks_counts_as_null(tmp_path: Path, job: JobRun) -> None:
    lines = [line.encode() + b"\n" for line in NESTED]
    (path := tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    one = {"field_key": "m.s", "target_value": [1]}
    assert lines_of(run([{"specified_field_filter": one}], job, path)) == [lines[0], lines[4]]
    deeper = {"field_key": "m.s2.x", "target_value": [0.1]}
    assert lines_of(run([{"specified_field_filter": deeper}], job, path)) == [lines[4]]
    number = {"field_key": "m.s", "min_value": 0}
    assert lines_of(run([{"specified_numeric_field_filter": number}], job, path)) == [lines[0], lines[4]]
    best = {"field_key": "m.s", "topk": 2}
    assert sorted(lines_of(run([{"topk_specified_field_selector": best}], job, path))) == [lines[0], lines[4]]
    tagged = {"field_key": "m.s", "target_tags": [1]}
    assert lines_of(run([{"tags_specified_field_selector": tagged}], job, path)) == [lines[0], lines[4]]
    first = {"field_key": "m.s", "topk": 1}  # the most frequent value is null
    assert lines_of(run([{"frequency_specified_field_selector": first}], job, path)) == [*lines[1:4], lines[5]]


def test_a_nested_field_in_something_else_than_a_mapping(tmp_path: Path, job: JobRun) -> None:
    (path := tmp_path / "a.jsonl").write_text(NESTED[0] + '\n{"text": "b", "m": ["s"]}\n')
    op = {"specified_field_filter": {"field_key": "m.s", "target_value": [1]}}
    with pytest.raises(JobError, match=r"a.jsonl:2: the field 'm' is a list, but specified_field_filter needs 'm.s'"):
        run([op], job, path)


def test_stats_that_only_some_rows_have(tmp_path: Path, job: JobRun) -> None:
    rows = [
        b'{"text": "abcd", "__dj__stats__": {"n": 1}}\n',
        b'{"text": "abcde", "__dj__stats__": null}\n',
        b'{"text": "a"}\n',
    ]
    (path := tmp_path / "a.jsonl").write_bytes(b"".join(rows))
    kept = [json.loads(line) for line in lines_of(run(LENGTH, job, path, keep_stats_in_res_ds=True))]
    assert [row["__dj__stats__"] for row in kept] == [{"n": 1, "text_len": 4}, {"text_len": 5}]
    path.write_bytes(rows[1])
    kept = [json.loads(line) for line in lines_of(run(LENGTH, job, path, keep_stats_in_res_ds=True))]
    assert kept == [{"text": "abcde", "__dj__stats__": {"text_len": 5}}]
    path.write_bytes(rows[0] + b'{"text": "abcd", "__dj__stats__": "x"}\n')
    with pytest.raises(JobError, match=r"a.jsonl:2: the field '__dj__stats__' is a text, but Data-Juicer needs a map"):
        run(LENGTH, job, path)


def test_all_formats_folders_and_patterns(tmp_path: Path, job: JobRun) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "data"
    for name, packed in (
        ("a.jsonl.gz", gzip.compress(b'{"id": "007", "text": "jsonl gz"}\n')),
        ("b.ndjson.zst", zstd.compress(b'{"id": 1.50, "text": "ndjson zst"}\n')),
        ("c.json", b'[{"id": 1.50, "text": "json one"},\n {"id": "x", "text": "json two"}]'),
        ("d.csv", b"id,text\n007,csv one\nNA,null\n"),
        ("sub/e.tsv", b"id\ttext\n1\ttsv one\n"),
        (".ipynb_checkpoints/a.jsonl", b'{"id": 0, "text": "hidden"}\n'),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(packed)
    table = pa.table({"id": pa.array([1, None], pa.decimal128(5, 2)), "text": ["parquet", "two"], "b": [b"\xff", b""]})
    pq.write_table(table, root / "f.parquet")
    (root / "z.jsonl").symlink_to(root / "a.jsonl.gz")
    expected = list(read_lines(root))
    assert len(expected) == 9
    assert lines_of(run([], job, root)) == expected
    assert lines_of(run([], job, f"{root}/**/*.[ct]sv")) == [expected[4], expected[5], expected[8]]
    several = DataJuicerExecutor({"dataset_path": [str(root / "d.csv"), str(root / "c.json")], "np": 1}).run(job)
    assert lines_of(several) == [expected[i] for i in (4, 5, 2, 3)]


@pytest.mark.parametrize("name", ["d[1].jsonl", "d*.jsonl", "f[2024]/a.jsonl"])
def test_signs_of_patterns_in_names(name: str, tmp_path: Path, job: JobRun) -> None:
    for other in ("d1.jsonl", "dx.jsonl", "f2/a.jsonl", name):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_text(json.dumps({"text": other}) + "\n")
    path = tmp_path / name
    for dataset in (path, path.parent) if "/" in name else (path,):
        assert [row["text"] for row in read_rows(run([], job, dataset))] == [name]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".parquet"])
def test_formats_of_exports(ending: str, tmp_path: Path, job: JobRun) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {n}", "id": n, "f": n / 7}) + "\n" for n in range(1_500)))
    out = run([], job, path, export_path=str(tmp_path / f"out{ending}"))
    assert list(read_rows(out)) == list(read_rows(path))
    if ending == ".parquet":
        again = run([], job, out, export_path=str(tmp_path / "again.parquet"))
        import pyarrow.parquet as pq

        assert pq.read_table(again).equals(pq.read_table(out))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": \n{"text": "b"}\n', r"a\.jsonl:2: not a JSON row"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b\\ud800"}\n', r"a\.jsonl:2: .*half of a surrogate pair"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', r"a\.jsonl:2: a row is a JSON object, not a list"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": 5}\n',
            r"a\.jsonl:2: the field 'text' is a number, but text_length_filter n",
        ),
        ("a.jsonl", b'{"text": "\xe9"}\n', r"a\.jsonl:1: not a JSON row"),
        ("a.jsonl", b'[{"text": "a"},\n{"text": "b"}]\n', r"a\.jsonl:1: .*the file is a JSON list; call it a\.json"),
        ("a.jsonl", b'{\n "text": "a"\n}\n', r"a\.jsonl:1: .*a JSON object over several lines"),
        ("a.csv", b"text,b\nx,1\ny\n", r"a\.csv:3: expected 2 cells, got 1"),
        ("a.csv", "text,b\né,1\n".encode("latin-1"), r"a\.csv:2: not UTF-8"),
        ("a.csv", b'text,b\nx,1\n"y,2\nz,3\n', r"a\.csv:3: a quote is opened and never closed"),
        ("a.jsonl", b"", r"a\.jsonl has no rows"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 9)[:-9], r"a\.jsonl\.gz: the compressed file is damaged"),
        ("a.jsonl", b'{"body": "a"}\n', r"no row of .*a\.jsonl has a text in the field 'text'"),
    ],
)
def test_what_is_wrong_is_named_before_any_op_runs(
    name: str, data: bytes, reason: str, tmp_path: Path, job: JobRun
) -> None:
    (tmp_path / name).write_bytes(data)
    for component in (DataJuicerExecutor, DataJuicerAnalyzer):
        with pytest.raises(JobError, match=reason):
            component({"dataset_path": str(tmp_path / name), "process": LENGTH, "np": 1}).run(job)


def test_a_parquet_file_without_rows(tmp_path: Path, job: JobRun) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(JobError, match=r"a\.parquet has no rows"):
        run(LENGTH, job, tmp_path / "a.parquet")


def test_bad_rows_are_skipped_as_many_as_are_allowed(tmp_path: Path, job: JobRun, quiet: NullJob) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "first"}\n{"text": \n{"text": 5}\n{"text": "fourth"}\n')
    recipe = {"dataset_path": str(path), "process": LENGTH, "np": 1}
    messages: list[str] = []
    sink = logger.add(messages.append, level="WARNING", format="{message}")
    rows = list(read_rows(DataJuicerExecutor(recipe, skip_bad_rows=2).run(job)))  # type: ignore[arg-type]
    logger.remove(sink)
    assert [row["text"] for row in rows] == ["first", "fourth"]
    assert quiet.values[-1][1]["rows_in"] == 2
    named = [message.split(": ")[0].rpartition("/")[2] for message in messages if message.endswith("skipped\n")]
    assert named == ["a.jsonl:2", "a.jsonl:3"]
    assert len(list(read_rows(DataJuicerAnalyzer(recipe, skip_bad_rows=2).run(job)))) == 2
    with pytest.raises(JobError, match=r"a\.jsonl:3: .*skip_bad_rows: 1 is exceeded"):
        DataJuicerExecutor(recipe, skip_bad_rows=1).run(job)


def test_relative_paths_of_images_become_absolute(tmp_path: Path, job: JobRun) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.png").touch()
    path = tmp_path / "in/a.jsonl"
    path.write_text('{"text": "a", "images": ["x.png", "/y.png", "iVBORw0"], "f": 1.50}\n{"text": "b", "f": "1"}\n')
    assert lines_of(run([], job, path)) == [
        f'{{"text": "a", "images": ["{tmp_path}/in/x.png", "/y.png", "iVBORw0"], "f": 1.50}}\n'.encode(),
        b'{"text": "b", "f": "1"}\n',
    ]


def test_rows_drawn_from_several_data_sets(tmp_path: Path, job: JobRun) -> None:
    for name in "ab":
        lines = [f'{{"text": "{name}", "id": {n}.0}}\n' for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    configs = [
        {"type": "local", "path": str(tmp_path / f"{name}.jsonl"), "weight": w} for name, w in (("a", 3), ("b", 1))
    ]
    executor = DataJuicerExecutor({"dataset": {"configs": configs, "max_sample_num": 20}, "np": 1})
    first = lines_of(executor.run(job))
    assert [json.loads(line)["text"] for line in first] == ["a"] * 15 + ["b"] * 5
    assert set(first) <= set(lines_of(tmp_path / "a.jsonl") + lines_of(tmp_path / "b.jsonl"))
    assert lines_of(executor.run(job)) == first


def test_a_cache_between_runs_follows_the_rows(odd: Path, job: JobRun, tmp_path: Path) -> None:
    recipe = {"use_cache": True, "ds_cache_dir": str(tmp_path / "cache")}
    first = lines_of(run(LENGTH, job, odd, **recipe))
    assert lines_of(run(LENGTH, job, odd, **recipe)) == first
    odd.write_text(odd.read_text().replace('"first"', '"fir"').replace('"abc"', '"abcd"'))
    assert lines_of(run(LENGTH, job, odd, **recipe)) == [*first[1:], lines_of(odd)[-1] + b"\n"]


texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["007", "null", "2", "NaN", "2024-05-06T07:08:09+02:00", 1.5e-12, 9007199254740993, "\ud800"])
)  # fmt: skip
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3), max_leaves=5
)
rows = st.fixed_dictionaries({"text": texts}, optional={"id": values, "meta": values, "type": values, "x.y": values})


@given(odd_rows=st.lists(rows, min_size=1, max_size=30), everything=st.booleans())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_is_changed_whatever_it_holds(
    odd_rows: list[Any], everything: bool, tmp_path: Path, job: JobRun
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in odd_rows))
    process: list[Any] = [{"text_length_filter": {"min_len": 3}}]
    if everything:
        process.append({"python_lambda_mapper": {"lambda_str": "lambda row: {**row, 'text': row['text'] + '!'}"}})
    kept = [line for line, row in zip(lines_of(path), odd_rows, strict=True) if len(row["text"]) >= 3]
    found = lines_of(run(process, job, path, keep_stats_in_res_ds=not everything))
    assert len(found) == len(kept)
    for before, after in zip(kept, found, strict=True):
        row = json.loads(before)
        if everything:
            assert after == before.replace(
                json.dumps(row["text"]).encode(), json.dumps(row["text"] + "!", ensure_ascii=False).encode(), 1
            )
        else:
            assert after == before[:-2] + b', "__dj__stats__": {"text_len": %d}}\n' % len(row["text"])


def test_a_checkpoint_of_data_juicer_goes_on_with_the_same_rows_only(tmp_path: Path, job: JobRun) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "row {n}", "id": {n}.0}}\n' for n in range(20)))
    failing = [*LENGTH, {"python_lambda_mapper": {"lambda_str": "lambda row: 1 / 0"}}]
    working = [*LENGTH, {"words_num_filter": {"min_num": 1}}]
    for before, after in (("row", "row"), ("row 1", "long row 1")):
        with pytest.raises(JobError, match="ZeroDivisionError"):
            run(failing, job, path, use_checkpoint=True)
        path.write_text(path.read_text().replace(before, after))
        assert lines_of(run(working, job, path, use_checkpoint=True)) == lines_of(path)


def test_what_data_juicer_uploads(tmp_path: Path, job: JobRun) -> None:
    import fsspec

    from data_juicer_sandbox.components.data.dj_runtime import dj_runtime

    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a", "id": 1.0}\n')
    with dj_runtime(job) as dj:
        executor = dj.executor(dj.config({"dataset_path": str(path), "export_path": str(tmp_path / "b.jsonl")}))
        dj.upload(path, "memory://rows/a.jsonl", executor)
    assert fsspec.filesystem("memory").cat("/rows/a.jsonl") == path.read_bytes()


def test_deep_rows_and_files_of_some_endings(tmp_path: Path, job: JobRun) -> None:
    deep = '{"text": "a", "x": ' + "[" * 498 + "]" * 498 + "}"
    (tmp_path / "a.jsonl").write_text(deep + "\n")
    (tmp_path / "b.csv").write_text("text\nb\n")
    change = [{"python_lambda_mapper": {"lambda_str": "lambda row: {**row, 'text': row['text'] + '!'}"}}]
    assert lines_of(run(change, job, tmp_path, suffixes=["jsonl"])) == [deep.replace('"a"', '"a!"').encode() + b"\n"]
    with pytest.raises(JobError, match=r"no file of .* ends in \.tsv"):
        run(change, job, tmp_path, suffixes=[".tsv"])
