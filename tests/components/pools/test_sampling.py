"""Totals are apportioned by shares."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from odd_rows import quick

from data_juicer_sandbox.components.pools import mixing, sampling

weights = st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any)


@given(st.integers(0, 10_000), weights)
@quick
def test_a_total_is_apportioned_exactly_and_nobody_is_off_by_a_row(total, given):
    parts = mixing.normalized_shares([f"p{n}" for n in range(len(given))], given)
    assert sum(parts) == 1
    whole = sampling.apportion(total, parts)
    assert sum(whole) == total
    assert all(abs(rows - total * part) < 1 for rows, part in zip(whole, parts, strict=True))
