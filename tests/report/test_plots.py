"""Plots: round ticks that hold the data, and nothing that is not finite."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.report.plots import HEIGHT, WIDTH, line_plot, ticks

finite = st.floats(-1e12, 1e12, allow_nan=False).map(lambda x: round(x, 6))


@given(finite, st.floats(1e-6, 1e9))
def test_ticks_hold_the_range(low, span):
    high = low + span
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return
    found = ticks(low, high)
    steps = {round((b - a) / (found[1] - found[0]), 3) for a, b in pairwise(found)}
    slack = 1e-6 * (found[1] - found[0])
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 8
    assert steps <= {1.0} or span < 1e-9 * abs(low)


def test_ticks_are_round():
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(2.31, 6.9) == [2, 3, 4, 5, 6, 7]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=True)), max_size=50))
def test_every_point_is_inside(points):
    svg = line_plot({"a": points}, title="t")
    drawn = re.findall(r'points="([^"]*)"', svg)
    assert bool(drawn) == any(abs(y) <= 1e300 for _, y in points)
    for pair in " ".join(drawn).split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0.0), (0, 5e-324)],
        [(0, 0.0), (1, 1e-310)],
        [(0, 1e-320), (1, 1e-320)],
        [(0, 1e-299), (1, 1e-299)],
        [(0, -1.7e308), (1, 1.7e308), (2, 0.0)],
        [(0, -1e300), (1, 1e300)],
    ],
)
def test_the_smallest_and_largest_floats_are_drawn(points):
    (drawn,) = re.findall(r'points="([^"]*)"', line_plot({"a": points}, title="t"))
    heights = [float(pair.split(",")[1]) for pair in drawn.split()]
    assert heights
    assert all(0 <= height <= HEIGHT for height in heights)


def test_long_lines_are_thinned_and_keep_their_peak():
    points = [(x, 1.0 if x != 77_777 else 9.0) for x in range(100_000)]
    (drawn,) = re.findall(r'points="([^"]*)"', line_plot({"a": points}, title="t"))
    heights = {pair.split(",")[1] for pair in drawn.split()}
    assert len(drawn.split()) < 1000
    assert len(heights) == 2


def test_names_are_escaped():
    assert "<b>" not in line_plot({"<b>": [(0, 1)], "x": [(0, 2)]}, title="<b>")
