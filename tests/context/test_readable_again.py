"""What the context takes can be written and read again; all else fails its job, and not the run when it resumes."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timedelta, timezone
from enum import Enum
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance
from data_juicer_sandbox.context.serialization import to_plain
from data_juicer_sandbox.errors import JobError


def nested(levels, wrap, value):
    for _ in range(levels):
        value = wrap(value)
    return value


def in_series(value):
    series = pd.Series([None], dtype=object)
    series.iat[0] = value
    return series


def through(folder, value):
    """An output after its job ended, and the run was resumed."""
    context = ContextInfos()
    context.put("p", JobRecord("j", {"x": to_plain(value, "x")}, Provenance(phase="probe", status="done")))
    Checkpoint(folder).write(context)
    return Checkpoint(folder).read()["p.j.x"]


def torch_tensor():
    return pytest.importorskip("torch").zeros(2)


def list_that_holds_itself():
    value = []
    value.append(value)
    return value


def zoned(zone):
    return pd.Series(pd.date_range("2026-01-01", periods=2, tz=zone))


KEPT = {
    "64 levels": lambda: nested(64, lambda value: [value], []),
    "64 levels with the tag": lambda: nested(64, lambda value: {"__dj_value__": value}, {}),
    "series in series": lambda: nested(15, in_series, pd.Series([1])),
    "half a surrogate pair": lambda: {"\ud800": ["\udfff"]},
    "dates in frozensets in sets": lambda: {(1, frozenset({datetime(2026, 1, 1)}))},
    "a time of a named zone": lambda: datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    "the second of two equal times": lambda: datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "a time in UTC": lambda: datetime(2026, 7, 1, tzinfo=timezone.utc),
    "a time far away": lambda: pd.Series([pd.Timestamp("9999-01-01"), pd.Timedelta("1h"), "x"], dtype=object),
    "times of a fixed offset": lambda: zoned(timezone(timedelta(hours=5, minutes=30))),
    "attributes of a series": lambda: pd.Series([1]),
    "frequency": lambda: pd.Series([1, 2], index=pd.bdate_range("2026-01-01", periods=2)),
    "range": lambda: pd.RangeIndex(10**12, name="r"),
    "many empty frozensets": lambda: [frozenset()] * 12_000,
    "the same long text": lambda: ["a" * 100_000] * 1_500,
    "a time of pandas": lambda: pd.Timestamp("2026-01-01T00:00:00.123456789", tz="Europe/Berlin"),
    "a duration of pandas": lambda: {"longest": pd.Timedelta("1.5s")},
    "missing values of pandas": lambda: [pd.NA, pd.NaT],
    "keys that differ by type": lambda: {1: "a", "1": "b", b"1": "c", (1,): "d", None: "e", "None": "f", 1.5: "g"},
    "zeros and numbers without a value": lambda: [-0.0, float("nan"), float("inf"), -float("inf"), complex(-0.0, 1)],
    "the same long bytes": lambda: {"k": [b"b" * 1000] * 3, "l": (b"b" * 1000,)},
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_kept(tmp_path, name):
    value = KEPT[name]()
    if name == "attributes of a series":
        value.attrs["unit"] = "s"
    read = through(tmp_path, value)
    if isinstance(value, pd.Series):
        assert read.attrs == value.attrs
        assert getattr(read.index, "freq", None) == getattr(value.index, "freq", None)
    assert type(read) is type(value)
    assert repr(read) == repr(value)
    json.loads((tmp_path / "context_infos.json").read_text(encoding="utf-8"))


def test_arrays_of_other_classes_become_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "numbers", "f8", "w+", shape=(3,))
    mapped[:] = 2
    kept = to_plain(mapped, "x")
    mapped[:] = 3
    assert type(kept) is np.ndarray
    assert through(tmp_path, kept).tolist() == [2, 2, 2]


REFUSED = {
    "65 levels": lambda: nested(65, lambda value: [value], []),
    "series in 100 series": lambda: nested(100, in_series, pd.Series([1])),
    "a fixed offset with a name": lambda: zoned(timezone(timedelta(hours=2, seconds=7), "X")),
    "seconds in an offset": lambda: zoned(timezone(timedelta(hours=2, seconds=7))),
    "a zone by dateutil": lambda: zoned("dateutil/Europe/Berlin"),
    "a time of a zone by dateutil": lambda: in_series(pd.Timestamp("2026-01-01", tz="dateutil/Europe/Berlin")),
    "own business days": lambda: pd.Series(
        [1, 2], pd.date_range("2026-01-01", periods=2, freq=pd.offsets.CustomBusinessDay(weekmask="Sun Mon"))
    ),
    "own business hours": lambda: pd.date_range("2026-01-01", periods=2, freq=pd.offsets.BusinessHour(start="10:00")),
    "a duration of NumPy": lambda: np.timedelta64(5, "s"),
    "a duration in a record of NumPy": lambda: np.array([(1, np.timedelta64(5, "s"))], "i4,m8[s]")[0],
    "nanoseconds of NumPy": lambda: np.datetime64("2026-01-01", "ns"),
    "a path and its text as keys": lambda: {Path("a"): 1, "a": 2},
    "a path and its text in a set": lambda: {Path("a"), "a"},
    "keys of one hash": lambda: dict.fromkeys(product((-1, -2), repeat=8)),  # hash(-1) is hash(-2)
    "items of one hash": lambda: set(product((-1, -2), repeat=8)),
    "a tensor": lambda: {"loss": torch_tensor()},
    "an integer of 4,090 digits": lambda: 10**4090,
    "an integer subclass of 4,090 digits": lambda: type("Big", (int,), {})(10**4090),
    "a list that holds itself": list_that_holds_itself,
    "structures": lambda: np.zeros(2, "i4,f8"),
    "Python objects": lambda: np.array([1, "a"], dtype=object),
    "periods": lambda: pd.Series(pd.period_range("2026-01", periods=2, freq="M")),
    "intervals": lambda: pd.Series([1, 2], index=pd.interval_range(0, 2)),
    "a long double": lambda: np.longdouble(1.5),
    "long doubles": lambda: np.zeros(3, np.longdouble),
    "complex long doubles": lambda: np.zeros(3, np.clongdouble),
    "a masked array": lambda: np.ma.masked_array([1, 2], [0, 1]),
    "40 dimensions": lambda: np.zeros((1,) * 40),
    "texts of no size": lambda: np.zeros(2, np.dtype([("a", "S0"), ("b", "i4")]))["a"],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_when_the_job_ends(name):
    with pytest.raises(JobError, match="output 'x"):
        to_plain(REFUSED[name](), "x")


class Colour(str, Enum):
    RED = "red"


class Loud(int):
    def __int__(self):
        return 7


@pytest.mark.parametrize(("value", "plain"), [(Colour.RED, "red"), ({Colour.RED: 1}, {"red": 1}), (Loud(5), 5)])
def test_a_subclass_becomes_the_value_it_is(value, plain):
    kept = to_plain(value, "x")
    assert kept == plain
    assert type(kept) is type(plain)


def test_a_series_that_holds_itself_fails_its_job():
    series = pd.Series([None], dtype=object)
    series.iat[0] = series
    with pytest.raises(JobError, match="levels deep"):
        to_plain(series, "x")


def test_a_record_that_iterations_share_is_written_for_each(tmp_path):
    record = JobRecord("j", {"x": [(n,) for n in range(6_000)]}, Provenance(phase="probe", status="done"))
    Checkpoint(tmp_path).write(ContextInfos([{"p": {record.id: record}} for _ in range(20)]))
    read = Checkpoint(tmp_path).read()
    assert len(read.iterations) == 20
    assert all(iteration["p"][record.id].outputs == record.outputs for iteration in read.iterations)
    assert len({id(job) for iteration in pickle.loads((tmp_path / "context_infos.pkl").read_bytes())
                for job in iteration["p"]}) == 20  # fmt: skip
