"""Where sorted rows are cut."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import quick

from data_juicer_sandbox.components.pools import splits
from data_juicer_sandbox.errors import ConfigError

shares = st.lists(st.fractions(Fraction(1, 1000), Fraction(999, 1000)), min_size=1, max_size=6, unique=True).map(sorted)


@given(st.integers(0, 1000), shares)
@quick
def test_ratios_use_every_row_and_cut_at_the_nearest(rows, ratios):
    parts = splits.by_ratios(rows, ratios)
    assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == rows
    assert all(abs(end - rows * ratio) <= Fraction(1, 2) for (_, end), ratio in zip(parts, ratios, strict=False))


@given(st.integers(0, 200), st.integers(1, 50))
@quick
def test_numbers(rows, number):
    parts = splits.by_number(rows, number)
    assert [at for start, end in parts for at in range(start, end)] == list(range(rows))
    assert all(end - start == number for start, end in parts[:-1])


@given(st.integers(1, 50), st.integers(1, 8), st.integers(0, 40))
@quick
def test_equal_parts_do_not_overlap_and_hold_both_ends(number, parts, over):
    rows = number * parts + over
    found = splits.equal(rows, number, parts)
    assert [end - start for start, end in found] == [number] * parts
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
    assert found[0][0] == 0
    assert parts == 1 or found[-1][1] == rows


@given(st.lists(st.integers(0, 6), max_size=40).map(sorted), shares)
@quick
def test_quantiles_never_part_ties_and_are_the_values_they_should_be(values, quantiles):
    parts = splits.by_quantiles(np.array(values, float), quantiles)
    assert [at for start, end in parts for at in range(start, end)] == list(range(len(values)))
    assert all(not 0 < end < len(values) or values[end - 1] < values[end] for _, end in parts)
    for (_, end), quantile in zip(parts, quantiles, strict=False):
        if values:  # at least that share of the rows lies below the cut, and without the last value less would
            assert end >= quantile * len(values)
            assert values.index(values[end - 1]) < quantile * len(values)


@given(
    st.lists(st.integers(0, 9), max_size=20).map(sorted),
    st.lists(st.integers(0, 9), min_size=1, unique=True).map(sorted),
)
@quick
def test_a_row_of_the_very_value_belongs_above(values, borders):
    parts = splits.by_values(np.array(values, float), borders)
    between = list(zip([-1, *borders], [*borders, 99], strict=True))
    assert [values[a:b] for a, b in parts] == [[v for v in values if low <= v < high] for low, high in between]


def test_shares_are_exactly_what_is_written():
    assert splits.parse_fractions("x", ["1/3", 0.4, "0.5"]) == [Fraction(1, 3), Fraction(2, 5), Fraction(1, 2)]
    with pytest.raises(ConfigError, match="x"):
        splits.parse_fractions("x", [float("nan")])
