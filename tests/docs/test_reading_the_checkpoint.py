"""The script of `docs/faq.md` reads a checkpoint where this package is not installed."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_juicer_sandbox.context.checkpoint import Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos, JobRecord
from data_juicer_sandbox.context.provenance import Provenance

FAQ = Path(__file__).parents[2] / "docs/faq.md"
WITHOUT_PACKAGE = "import sys; sys.modules['data_juicer_sandbox'] = None\n"
SAVE = """
read = {name: plain(record[name]) for name in record}
types = {name: value.dtype.str for name, value in read.items() if isinstance(value, np.ndarray)}
with open("read.pkl", "wb") as file:
    pickle.dump((read, types), file)  # NumPy gives up the byte order in some pickles
"""
VALUES = {
    "little-endian": np.array([[1, 2], [3, 4]], "<i4"),
    "big-endian": np.array([[1, 2], [3, 4]], ">i4"),
    "big-endian floats": np.array([1.5, -0.0, np.nan], ">f8"),
    "big-endian texts": np.array(["ab", "c"], ">U2"),
    "big-endian times": np.array(["2026-01-01", "NaT"], ">M8[s]"),
    "big-endian complex numbers": np.array([1 + 2j], ">c16"),
    "truth values": np.array([True, False]),
    "no numbers": np.zeros((0, 3)),
    "a frame": pd.DataFrame(
        {
            "n": [1.5, -2],
            "s": ["a", None],
            "c": pd.Categorical(["x", "y"], ["y", "x"]),
            "o": pd.array([[1], None], dtype=object),
            "i": pd.array([1, None], "Int64"),
            "t": pd.to_datetime(["2026-01-01", None]).tz_localize("Asia/Tokyo"),
        },
        index=pd.Index(["r", "q"], name="key"),
    ),
    "a frame of several levels": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["l", None])
    ),
    "a series": pd.Series([1, 2], index=pd.RangeIndex(5, 1, -2, name="r"), name="s"),
    "a text": "text",
}


@pytest.fixture(scope="module")
def read_back(tmp_path_factory):
    """The values as the script read them, in a process that cannot import the package."""
    folder = tmp_path_factory.mktemp("checkpoint")
    context = ContextInfos()
    context.put("p", JobRecord("j", VALUES, Provenance(phase="probe", status="done")))
    Checkpoint(folder).write(context)
    (script,) = re.findall(r"^```python\n(# read_checkpoint.py\n.*?)^```", FAQ.read_text(), re.MULTILINE | re.DOTALL)
    code = WITHOUT_PACKAGE + script + SAVE
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "big-endian" in done.stdout
    return pickle.loads((folder / "read.pkl").read_bytes())


@pytest.mark.parametrize("name", VALUES)
def test_the_script_of_the_faq_reads(read_back, name):
    value, read, types = VALUES[name], read_back[0][name], read_back[1]
    assert type(read) is type(value)
    if isinstance(value, np.ndarray):
        assert types[name] == value.dtype.str
        np.testing.assert_array_equal(read, value)
    elif isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(read, value)
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(read, value)
    else:
        assert read == value


def test_the_package_cannot_be_imported_there():
    code = WITHOUT_PACKAGE + "import data_juicer_sandbox"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 1
