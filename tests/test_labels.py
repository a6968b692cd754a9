"""Labels are short, distinct, and say what a pool is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.labels import short_labels


def labels(*names: str) -> list[str]:
    return list(short_labels(names).values())


def test_the_parts_of_a_stat_beside_a_control():
    parts = [f"docs_stats_analyzed_{stat}_{n}" for stat in ("text_len", "char_ratio") for n in range(2)]
    expected = ["text_len_low", "text_len_high", "char_ratio_low", "char_ratio_high", "control"]
    assert labels(*parts, "docs_stats_analyzed_control") == expected
    thirds = [f"a_text_len_{n}" for n in range(3)]
    assert labels(*thirds, "a_control") == ["text_len_low", "text_len_middle", "text_len_high", "control"]


def test_an_incomplete_or_larger_set_of_parts_keeps_its_numbers():
    assert labels("a_text_len_1", "a_text_len_2", "a_control") == ["text_len_1", "text_len_2", "control"]
    assert labels(*(f"a_x_{n}" for n in range(4)), "a_control")[-2:] == ["x_3", "control"]
    assert labels("a_ignore_stats_0", "a_ignore_stats_1", "a_control")[0] == "ignore_stats_0"


def test_a_common_end_is_left_out():
    assert labels("raw_10469", "refined_10469") == ["raw", "refined"]
    assert labels("clean_336", "docs_336", "clean_336") == ["clean", "docs"]


def test_names_without_a_shared_part_and_numbers_alone_stay():
    assert labels("wiki", "books") == ["wiki", "books"]
    assert labels("docs_0", "docs_1") == ["docs_0", "docs_1"]
    assert labels("docs") == ["docs"]
    assert labels() == []
    assert labels("docs", "docs_clean") == ["docs", "docs_clean"]


@given(st.lists(st.text("ab01_", min_size=1, max_size=9), unique=True, max_size=6))
def test_labels_are_distinct_parts_of_the_names(names):
    found = short_labels(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    if "control" not in found.values():
        assert all(label and label in name for name, label in found.items())
