"""The arithmetic of mixtures."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
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


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=4).filter(
        lambda p: any(w for _, w in p)
    )
)
@quick
def test_the_largest_total_is_possible_and_ends_where_a_pool_runs_out(pools):
    sizes, given = zip(*pools, strict=True)
    parts = [Fraction(weight, sum(given)) for weight in given]

    def fits(total):
        return all(rows <= size for rows, size in zip(sampling.apportion(total, parts), sizes, strict=True))

    total = mixing.largest_total(sizes, parts)
    assert fits(total)
    assert 0 <= min(Fraction(size) / part for size, part in zip(sizes, parts, strict=True) if part) - total < len(sizes)


@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 5))
@quick
def test_a_pool_is_repeated_in_whole_passes(size, wanted, seed):
    rows = mixing.draw_rows("p", size, wanted, True, seed).tolist()
    assert len(rows) == wanted
    often = Counter(rows)
    assert all(often[row] in (wanted // size, -(-wanted // size)) for row in range(size))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.fractions(0, 500), st.integers(0, 5))
@quick
def test_tokens_come_nearest_to_what_is_wanted(tokens, wanted, seed):
    counts = np.array(tokens, np.int64)
    rows = mixing.draw_rows_by_tokens("p", counts, wanted, True, seed)
    found = int(counts[rows].sum())
    assert abs(found - wanted) <= max(tokens)
    assert max(Counter(rows.tolist()).values(), default=0) <= max(1, -(-wanted // sum(tokens)))
