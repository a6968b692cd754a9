"""Arrays, frames and plain values come back from the checkpoint as they were."""

from __future__ import annotations

import pickle
import pickletools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.context import pickle_reader
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.context.tagged_values import decode, encode
from data_juicer_sandbox.errors import JobError


def through(value):
    """A value after it was written and read."""
    return decode(pickle_reader.loads(pickle.dumps(encode(to_plain(value, "x")), protocol=4)))


FRAMES = {
    "numbers": lambda: pd.DataFrame({"i": [1, 2], "f": [1.5, np.nan], "b": [True, False], "u": np.array([1, 2], "u1")}),
    "texts": lambda: pd.DataFrame({"s": ["a", "é\n"], "n": ["x", None]}),
    "string dtypes": lambda: pd.DataFrame(
        {"p": pd.array(["a", None], dtype="string[python]"), "a": pd.array(["b", "c"], dtype="string[pyarrow]")}
    ),
    "nullable": lambda: pd.DataFrame(
        {
            "i": pd.array([1, None], "Int64"),
            "u": pd.array([None, 2], "UInt8"),
            "f": pd.array([1.5, None], "Float32"),
            "b": pd.array([True, None], "boolean"),
        }
    ),
    "categories": lambda: pd.DataFrame(
        {"c": pd.Categorical(["a", None, "b"], ["b", "a", "c"], ordered=True), "n": pd.Categorical([3, 1, 3])}
    ),
    "times": lambda: pd.DataFrame(
        {
            "t": pd.to_datetime(["2026-01-01", None]),
            "z": pd.to_datetime(["2026-01-01", None]).tz_localize("Asia/Shanghai"),
            "o": pd.to_datetime(["2026-01-01T01:02:03+02:00", None]),
            "d": pd.to_timedelta(["1h", None]),
        }
    ),
    "objects": lambda: pd.DataFrame(
        {
            "o": [1, "a", None],
            "l": [[1, {"x": 2.5}], None, 3],
            "t": pd.Series([pd.Timestamp(5), pd.NaT, pd.NA], dtype=object),
        }
    ),
    "several levels": lambda: pd.DataFrame(
        {("a", 1): [1], ("a", 2): [2]}, index=pd.MultiIndex.from_tuples([("x", 1.5)], names=["l", None])
    ),
    "same names": lambda: pd.DataFrame([[1, "a"]], columns=["x", "x"]),
    "no columns": lambda: pd.DataFrame(index=[3, 4]),
    "no rows": lambda: pd.DataFrame({"a": pd.Series([], dtype="float32"), "c": pd.Categorical([], ["x"])}),
    "dated": lambda: pd.DataFrame({"v": [1, 2]}, index=pd.date_range("2026-01-01", periods=2, name="day")),
    "named": lambda: pd.DataFrame({"v": [1, 2]}, index=pd.RangeIndex(0, 20, 10, name="r")).rename_axis(columns="c"),
    "categories as index": lambda: pd.DataFrame({"v": [1, 2]}, index=pd.CategoricalIndex(["a", "b"])),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_frames_series_and_indexes(name):
    frame = FRAMES[name]()
    assert to_plain(frame, "f") is frame
    pd.testing.assert_frame_equal(through(frame), frame, check_freq=True)
    pd.testing.assert_index_equal(through(frame.index), frame.index)
    for place in range(frame.shape[1]):
        pd.testing.assert_series_equal(through(frame.iloc[:, place]), frame.iloc[:, place])


DTYPES = ["?", "i1", "u8", ">i4", "f2", "<f4", "f8", "c8", "c16", "M8[ns]", "M8[D]", "m8[s]", "S3", "U2", ">U2"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (6,), (2, 3), (3, 0, 2), (1, 1, 6)])
def test_arrays(dtype, shape):
    count = int(np.prod(shape))
    array = np.arange(count).astype("U2" if "U" in dtype or "S" in dtype else "i8").astype(dtype).reshape(shape)
    for expected in (array, array.T):
        read = through(expected)
        assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(read, expected)
        assert read.flags.writeable


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"p": pd.period_range("2026", periods=2)}),
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.Series([{1, 2}, object()]),
        pd.interval_range(0, 2),
        np.zeros(2, "i4,f8"),
        np.array([object()]),
        10**5000,
        [[10**5000]],
    ],
    ids=["period", "sparse", "objects", "intervals", "structures", "array of objects", "integer", "in a list"],
)
def test_what_cannot_be_kept_fails_its_job(value):
    with pytest.raises(JobError, match=r"cannot be kept|Python objects|4,000 digits"):
        to_plain(value, "x")


def test_values_nested_too_deeply_fail_their_job():
    value: list = []
    for _ in range(500):
        value = [value]
    with pytest.raises(JobError, match="nested more than 64 levels deep"):
        to_plain(value, "x")


def test_a_mapping_of_the_users_may_hold_the_tag():
    value = {"__dj_value__": "ndarray", "data": [1], 3: {"__dj_value__": None}}
    assert through(value) == value


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.datetimes()
    | st.complex_numbers()
)  # fmt: skip
keys = st.text() | st.integers() | st.dates() | st.tuples(st.integers(), st.text()) | st.just("__dj_value__")


def containers(inner):
    lists = st.lists(inner, max_size=4) | st.tuples(inner, inner)
    return (
        lists | st.dictionaries(keys, inner, max_size=4) | st.frozensets(keys, max_size=1) | st.sets(keys, max_size=1)
    )


@given(st.recursive(scalars, containers, max_leaves=20))
def test_any_plain_value_with_its_types(value):
    body = pickle.dumps(encode(to_plain(value, "x")), protocol=4)
    assert repr(decode(pickle_reader.loads(body))) == repr(value)
    operations = {operation.name for operation, _, _ in pickletools.genops(body)}
    assert not operations & {"STACK_GLOBAL", "GLOBAL", "REDUCE", "BUILD"}
