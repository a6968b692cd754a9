from __future__ import annotations

import datetime
import json
import random
from decimal import Decimal
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from data_juicer_sandbox.components.io.columns import Columns, columns_of, merge_schemas
from data_juicer_sandbox.components.io.parquet import write_parquet
from data_juicer_sandbox.components.io.stream import read_lines, read_rows
from data_juicer_sandbox.components.pools.downsampling import DataPoolDownsampling
from data_juicer_sandbox.components.pools.merging import DataPoolMerging
from data_juicer_sandbox.components.pools.mixing import DataPoolMixing
from data_juicer_sandbox.errors import JobError

ZONES = [None, "UTC", "Europe/Berlin", "+05:30", "Nowhere/Such"]
TIMES = [pa.timestamp(unit, zone) for unit in ("ms", "us", "ns") for zone in ZONES]
COUNTS = [0, 1, -1, 1_577_836_800_123_456_789, -(2**62), 2**63 - 1, -3_000_000_000_000]
INSTANTS = [pa.array([None, *COUNTS], pa.int64()).cast(kind) for kind in TIMES]
CASES = [
    *INSTANTS,
    pa.array([None, 5, -800_000, 10_000_000], pa.int32()).cast(pa.date32()),
    pa.array([None, 5, 86_399_999], pa.int32()).cast(pa.time32("ms")),
    pa.array([None, 5, 86_399_999_999], pa.int64()).cast(pa.time64("us")),
    pa.array([None, 5, 86_399_999_999_999], pa.int64()).cast(pa.time64("ns")),
    *(pa.array([None, *COUNTS], pa.int64()).cast(pa.duration(unit)) for unit in ("s", "ms", "us", "ns")),
    pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(38, 2)),
    pa.array([Decimal("12345678901234567890123456789012345678901234567.001")], pa.decimal256(60, 3)),
    *(pa.array([1, None, 2 ** (bits - 1) - 1], f"int{bits}") for bits in (8, 16, 32, 64)),
    *(pa.array([1, None, 2**bits - 1], f"uint{bits}") for bits in (8, 16, 32, 64)),
    *(pa.array([0.1, None, -0.0, float("inf"), 5e-8], kind) for kind in (pa.float16(), pa.float32(), pa.float64())),
    *(pa.array([b"\xff\x00a", b"", None], kind) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())),
    pa.array([b"ab", None], pa.binary(2)),
    *(pa.array(["é\n", "", None], kind) for kind in (pa.string(), pa.large_string(), pa.string_view())),
    pa.array([True, None, False]),
    pa.nulls(2),
    pa.array([b"0123456789abcdef", None], pa.uuid()),
    pa.array([[("a", 5), ("b", None)], [], None], pa.map_(pa.string(), pa.timestamp("ns"))),
    pa.array([[(datetime.date(2020, 1, 1), b"x")]], pa.map_(pa.date32(), pa.binary())),
    pa.array([[1, None], [2, 3], None], pa.list_(pa.int8(), 2)),
    *(pa.array([[5, None], [], None], make(pa.timestamp("ns"))) for make in (pa.list_, pa.large_list, pa.list_view)),
    pa.array([{"bytes": b"\x89PNG", "path": "a.png"}, None, {"bytes": None, "path": None}]),
    pa.array(
        [[{"t": 5, "d": {"x": [Decimal("1.0")]}}, None], None],
        pa.list_(
            pa.struct(
                [("t", pa.timestamp("ns", "Europe/Berlin")), ("d", pa.struct([("x", pa.list_(pa.decimal128(5, 1)))]))]
            )
        ),
    ),
]


def through(folder: Path, *tables: pa.Table) -> pa.Table:
    """Tables read as rows, and their rows written as one table."""
    paths = [folder / f"{number}.parquet" for number in range(len(tables))]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path)
    lines = [line for path in paths for line in read_lines(path)]
    assert all(isinstance(json.loads(line), dict) for line in lines)
    write_parquet(folder / "out.parquet", lambda: lines, columns_of(paths))
    return pq.read_table(folder / "out.parquet")


def written(folder: Path, *rows) -> pa.Table:
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    write_parquet(folder / "out.parquet", lambda: lines)
    return pq.read_table(folder / "out.parquet")


@pytest.mark.parametrize("array", CASES, ids=[f"{number}-{array.type}" for number, array in enumerate(CASES)])
def test_every_type_comes_through(tmp_path, array):
    if pa.types.is_fixed_size_list(array.type) and array.null_count and int(pa.__version__.split(".")[0]) < 26:
        pytest.skip("pyarrow 25, the last for Python 3.10, cannot read what it wrote: a missing list of fixed size")
    before = pa.table({"x": array, "n": pa.array(range(len(array)))})
    after = through(tmp_path, before)
    assert after.schema.types == pq.read_table(tmp_path / "0.parquet").schema.types
    assert after.equals(pq.read_table(tmp_path / "0.parquet"))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1), max_size=5), st.sampled_from(TIMES))
def test_any_instant_comes_through(tmp_path_factory, counts, kind):
    table = pa.table({"x": pa.array([{"t": [count]} for count in counts], pa.struct([("t", pa.list_(kind))]))})
    assert through(tmp_path_factory.mktemp("t"), table).equals(table)


def test_how_they_look_in_json(tmp_path):
    table = pa.table({
        "ns": pa.array([5], pa.int64()).cast(pa.timestamp("ns")),
        "ms": pa.array([5], pa.int64()).cast(pa.timestamp("ms")),
        "zone": pa.array([0], pa.int64()).cast(pa.timestamp("us", "Asia/Tokyo")),
        "date": pa.array([0], pa.int32()).cast(pa.date32()),
        "time": pa.array([1_500], pa.int32()).cast(pa.time32("ms")),
        "took": pa.array([-1_500], pa.int64()).cast(pa.duration("ms")),
        "decimal": pa.array([Decimal("1.50")]),
        "bytes": pa.array([b"ab"]),
        "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        "category": pa.array(["a"]).dictionary_encode(),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet")) == [
        {
            "ns": "1970-01-01T00:00:00.000000005",
            "ms": "1970-01-01T00:00:00.005",
            "zone": "1970-01-01T00:00:00.000000+00:00",
            "date": "1970-01-01",
            "time": "00:00:01.500",
            "took": "PT-1.500S",
            "decimal": "1.50",
            "bytes": "YWI=",
            "map": [["a", 1]],
            "category": "a",
        }
    ]


def test_categories_become_what_they_stand_for(tmp_path):
    frame = pandas.DataFrame({"c": pandas.Categorical(["a", None, "b"])})
    after = through(tmp_path, pa.table(frame))
    assert after.schema.field("c").type == pa.string()
    assert after["c"].to_pylist() == ["a", None, "b"]


def test_what_hugging_face_notes_stays_and_what_pandas_notes_goes(tmp_path):
    notes = {b"huggingface": b'{"info": {"features": {"image": {"_type": "Image"}}}}', b"pandas": b"{}"}
    table = pa.table({"image": pa.array([{"bytes": b"\x89", "path": None}])}).replace_schema_metadata(notes)
    after = through(tmp_path, table)
    assert after.schema.metadata == {b"huggingface": notes[b"huggingface"]}
    assert not through(tmp_path, table, table.replace_schema_metadata(None)).schema.metadata


def test_tables_that_differ_keep_what_they_share(tmp_path):
    time = pa.array([5], pa.int64()).cast(pa.timestamp("ns"))
    one = {"t": time, "n": pa.array([1], "int32"), "s": ["x"], "a": pa.nulls(1), "m": [{"p": b"1"}], "only": [True]}
    two = {"t": time, "n": pa.array([2], "int64"), "s": [b"y"], "a": time, "m": [{"q": 1}]}
    after = through(tmp_path, pa.table(one), pa.table(two))
    types = {field.name: field.type for field in after.schema}
    assert types["t"] == types["a"] == pa.timestamp("ns")
    assert types["n"] == pa.int64()  # of the values: the tables do not agree
    assert types["s"] == pa.string()  # text is not taken for bytes: these are in base64
    assert types["m"] == pa.struct([("p", pa.binary()), ("q", pa.int64())])
    assert after["s"].to_pylist() == ["x", "eQ=="]
    assert after["m"].to_pylist() == [{"p": b"1", "q": None}, {"p": None, "q": 1}]
    assert after["only"].to_pylist() == [True, None]


def test_together():
    one, two = Columns({"a": pa.int8(), "b": pa.string()}), Columns({"a": pa.int16(), "c": pa.int8()})
    assert merge_schemas([one, two]) == Columns({"a": None, "b": pa.string(), "c": pa.int8()})
    assert merge_schemas([one, two, one]).types["a"] is None
    assert merge_schemas([one, None]) is None is merge_schemas([])
    assert merge_schemas([one]) == one


def test_rows_with_different_fields_and_numbers(tmp_path):
    after = written(tmp_path, {"a": 1, "m": {"x": 1}}, {"b": "x", "m": {"y": [None]}}, {"a": 1.5, "m": {}}, {})
    assert after.to_pylist() == [
        {"a": 1.0, "m": {"x": 1, "y": None}, "b": None},
        {"a": None, "m": {"x": None, "y": [None]}, "b": "x"},
        {"a": 1.5, "m": {"x": None, "y": None}, "b": None},
        {"a": None, "m": None, "b": None},
    ]


def test_types_found_late(tmp_path):
    rows = [{"n": number, "z": None, "l": [], "m": {}} for number in range(25_000)]
    after = written(tmp_path, *rows, {"n": 0.5, "z": "text", "l": [{"k": 1}], "m": {"new": True}, "late": 1})
    assert {field.name: str(field.type) for field in after.schema} == {
        "n": "double",
        "z": "string",
        "l": "list<element: struct<k: int64>>",
        "m": "struct<new: bool>",
        "late": "int64",
    }
    assert after.num_rows == 25_001
    assert after.slice(25_000).to_pylist() == [{"n": 0.5, "z": "text", "l": [{"k": 1}], "m": {"new": True}, "late": 1}]
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 2


def test_large_rows_make_small_groups(tmp_path):
    after = written(tmp_path, *({"text": "x" * 5_000_000, "n": number} for number in range(9)))
    assert after["n"].to_pylist() == list(range(9))
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3


def test_a_long_table_needs_the_memory_of_a_group_of_rows(tmp_path):
    path, noise = tmp_path / "a.parquet", random.Random(0)
    with pq.ParquetWriter(path, pa.schema([("data", pa.binary())])) as writer:
        for _ in range(30):
            writer.write_table(pa.table({"data": [noise.randbytes(100_000) for _ in range(30)]}))
    before = pa.total_allocated_bytes()
    assert max(pa.total_allocated_bytes() - before for _ in read_lines(path)) < path.stat().st_size / 2


def test_nothing_but_null(tmp_path):
    after = written(tmp_path, {"a": None, "b": [], "c": [None]}, {"a": None})
    assert after.to_pylist() == [{"a": None, "b": [], "c": [None]}, {"a": None, "b": None, "c": None}]


def test_no_rows(tmp_path):
    assert written(tmp_path).num_rows == 0
    assert list(read_rows(tmp_path / "out.parquet")) == []
    empty = pa.table({"t": pa.array([], pa.timestamp("ns")), "x": pa.array([], pa.uint8())})
    assert through(tmp_path, empty).equals(empty)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"a": 1}, {"a": "x"}], "'a'"),
        ([{"ok": 1, "a b": [1]}, {"a b": "x"}], "'a b'"),
        ([{"a": [1, "x"]}], "'a'"),
        ([{"a": [1, {"b": 2}]}], "'a'"),
        ([{"a": {"b": 1}}, {"a": {"b": "x"}}], "'a'"),
        ([{"a": 1}, {"a": True}], "'a'"),
        ([{"a": 10**30}], "'a'"),
        ([{"a": 2**60 + 1}, {"a": 0.5}], "'a'"),
        ([{"a": "\ud800"}], "'a'"),
        ([{"a": {}}, {"a": None}], "'a' holds a mapping that is empty in every row"),
        ([{"a": [{"b": {}}]}], "'a' holds a mapping that is empty in every row"),
        ([{}, {}], "no row has a field"),
    ],
)
@pytest.mark.parametrize("apart", [0, 20_000])
def test_what_does_not_fit_is_told_by_its_field(tmp_path, rows, why, apart):
    first, *rest = rows
    filler = [{"other": 1}] * apart if why != "no row has a field" else [{}] * apart
    with pytest.raises(JobError, match=why) as caught:
        written(tmp_path, first, *filler, *rest)
    assert "export_type: jsonl supports any row" in str(caught.value)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_damaged_file_is_told(tmp_path, compression):
    path, bad = tmp_path / "a.parquet", tmp_path / "bad.parquet"
    table = pa.table({"n": range(100), "t": [f"text {number * 7919}" for number in range(100)]})
    pq.write_table(table, path, compression=compression, write_page_checksum=True)
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        bad.write_bytes(data[:size])
        with pytest.raises(JobError, match=r"bad\.parquet: the parquet file is damaged"):
            list(read_rows(bad))
    pages = sum(pq.ParquetFile(path).metadata.row_group(0).column(number).total_compressed_size for number in (0, 1))
    for at in range(4, pages, 5):
        bad.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        assert rows_or_told(bad) in (table.to_pylist(), "told")


def rows_or_told(path):
    try:
        return list(read_rows(path))
    except JobError as error:
        return "told" if f"{path.name}: the parquet file is damaged" in str(error) else error


def test_two_columns_of_one_name_are_told(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(JobError, match=r"a\.parquet: two columns have the same name"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.fixture
def warnings():
    messages = []
    handle = logger.add(lambda message: messages.append(message.record["message"]), level="WARNING")
    yield messages
    logger.remove(handle)


@pytest.fixture
def images(tmp_path):
    def make(name: str, size: int, **more) -> str:
        folder = tmp_path / name
        folder.mkdir()
        table = pa.table({
            "n": pa.array(range(size), pa.int16()),
            "image": pa.array([{"bytes": bytes([255, number]), "path": f"{number}.png"} for number in range(size)]),
            "at": pa.array(range(size), pa.int64()).cast(pa.timestamp("ns", "Europe/Berlin")),
            "price": pa.array([Decimal(number) / 4 for number in range(size)], pa.decimal128(9, 2)),
            **more,
        })  # fmt: skip
        pq.write_table(table.slice(0, size // 2), folder / "0.parquet")
        pq.write_table(table.slice(size // 2), folder / "1.parquet")
        return str(folder)

    return make


def test_downsampling_to_parquet_keeps_types_pool_by_pool(job, images, tmp_path, warnings):
    pools = [images("a", 9), images("b", 6, only=pa.array(range(6), pa.uint8()))]
    paths = DataPoolDownsampling(pools, str(tmp_path / "out"), export_type="parquet").run(job)
    for pool, path in zip(pools, paths, strict=True):
        before, after = pq.read_table(pool), pq.read_table(path)
        assert after.schema.equals(before.schema)
        assert after.equals(before.take(after["n"].cast("int64")))
        assert after.num_rows == 6
    assert warnings == []


def test_merging_and_mixing_to_parquet(job, images, tmp_path, warnings):
    pools = [images("a", 4), images("b", 5, only=pa.array(range(5), pa.uint8()))]
    (merged,) = DataPoolMerging(pools, str(tmp_path / "out" / "m.parquet")).run(job)
    tables = [pq.read_table(pool) for pool in pools]
    assert pq.read_table(merged).equals(pa.concat_tables(tables, promote_options="default"))
    (mixed,) = DataPoolMixing(pools, str(tmp_path / "mix.parquet"), total_num_samples=8).run(job)
    assert pq.read_table(mixed).schema.equals(pq.read_table(merged).schema)
    assert warnings == []


def test_bytes_that_become_text_are_told_once(job, images, jsonl, tmp_path, warnings):
    pools = [images("a", 4), images("b", 5, mask=[b"x"] * 5)]
    paths = DataPoolDownsampling(pools, str(tmp_path / "out")).run(job)
    assert next(read_rows(paths[0]))["image"]["bytes"] == "/wA="
    assert warnings == ["binary columns become base64 strings (parquet to parquet keeps them): image, mask"]
    both = [pools[0], jsonl("c.jsonl", [{"n": 1}])]
    (merged,) = DataPoolMerging(both, str(tmp_path / "m.parquet")).run(job)
    assert pq.read_table(merged).schema.field("image").type.field("bytes").type == pa.string()
    assert len(warnings) == 2


def test_a_pool_whose_types_changed_is_made_again(job, tmp_path):
    source, out = tmp_path / "a.parquet", str(tmp_path / "out")

    def made(kind):
        pq.write_table(pa.table({"n": pa.array([1, 2], kind)}), source)
        (path,) = DataPoolDownsampling(str(source), out, export_type="parquet").run(job)
        return pq.read_schema(path).field("n").type

    assert [made("int8"), made("int64"), made("int64")] == [pa.int8(), pa.int64(), pa.int64()]


def test_the_same_rows_make_the_same_file(tmp_path):
    written(tmp_path, {"a": 1}, {"b": [1.5]})
    first = (tmp_path / "out.parquet").read_bytes()
    written(tmp_path, {"a": 1}, {"b": [1.5]})
    assert (tmp_path / "out.parquet").read_bytes() == first
