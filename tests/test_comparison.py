"""Intervals of changes, against scipy and by simulation."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.comparison import compare, t_quantile


@given(st.floats(0.501, 0.99999), st.one_of(st.integers(1, 300).map(float), st.floats(1, 50)))
def test_the_quantiles_are_those_of_scipy(probability, degrees):
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(probability, degrees) == pytest.approx(float(stats.t.ppf(probability, degrees)), rel=1e-8)


def test_a_known_quantile():
    assert t_quantile(0.99375, 4) == pytest.approx(4.315, abs=5e-4)


def test_groups_with_the_same_seeds_are_paired():
    reference = {1: 1.0, 2: 2.0, 3: 3.0}
    change = compare({seed: value + 0.5 + seed / 100 for seed, value in reference.items()}, reference)
    assert change.change == pytest.approx(0.52)
    half_width = 4.302653 * 0.01 / math.sqrt(3)
    assert (change.low, change.high) == pytest.approx((0.52 - half_width, 0.52 + half_width))
    assert change.verdict(True) == "better"
    assert change.verdict(False) == "worse"


def test_other_seeds_are_compared_by_welch():
    stats = pytest.importorskip("scipy.stats")
    group, reference = {1: 1.0, 2: 1.4, 3: 0.9}, {4: 2.0, 5: 2.3, 6: 2.9, 7: 2.1}
    expected = stats.ttest_ind(list(group.values()), list(reference.values()), equal_var=False).confidence_interval()
    change = compare(group, reference)
    assert (change.low, change.high) == pytest.approx((expected.low, expected.high))


def test_one_measurement_proves_nothing():
    change = compare({1: 1.0}, {1: 2.0})
    assert (change.low, change.high, change.n) == (None, None, 1)
    assert change.verdict(True) == "not proven"


@given(st.dictionaries(st.integers(1, 4), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_any_finite_numbers_can_be_compared(group):
    change = compare(group, {1: 1e308, 2: -1e308})
    assert change.verdict(True) in ("better", "worse", "not proven")


def test_groups_of_equal_noise_are_rarely_called_different():
    """Of 1,000 comparisons of equal groups some 50 may be called different."""
    draws = random.Random(1)
    groups = [({n: draws.gauss(0, 1) for n in range(4)}, {n: draws.gauss(0, 1) for n in range(4)}) for _ in range(1000)]
    assert 25 <= sum(compare(*pair).is_certain for pair in groups) <= 80
    assert sum(compare(*pair, comparisons=10).is_certain for pair in groups) <= 15
