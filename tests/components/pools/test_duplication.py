"""Pools repeated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from odd_rows import files, many, split

from data_juicer_sandbox.components.pools.duplication import DataPoolDuplication
from data_juicer_sandbox.errors import ConfigError


@given(data=files())
@many
def test_a_pool_follows_itself_or_is_shuffled(laid, fresh, data, tmp_path):
    (path,) = laid(data)
    lines = split(data)
    made = DataPoolDuplication(path, str(tmp_path / "lab" / "out"), [1, 3]).run(fresh())
    assert [Path(path).name for path in made] == ["p0_x1.jsonl", "p0_x3.jsonl"]
    assert [split(Path(path).read_bytes()) for path in made] == [lines, lines * 3]
    mixed = DataPoolDuplication(path, str(tmp_path / "lab" / "mixed"), [1, 3], shuffle=True).run(fresh())
    assert [Counter(split(Path(path).read_bytes())) for path in mixed] == [Counter(lines), Counter(lines * 3)]


def test_names_and_order_and_defaults(job, jsonl, tmp_path):
    pools = [jsonl("a.jsonl", ["{}"]), jsonl("b.jsonl", [])]
    made = DataPoolDuplication(pools, str(tmp_path / "out")).run(job)
    assert [Path(path).name for path in made] == [f"{name}_x{times}.jsonl" for name in "ab" for times in (2, 4, 8)]
    assert [Path(path).read_text() for path in made] == ["{}\n" * times for times in (2, 4, 8)] + [""] * 3


def test_the_seed_decides_on_the_order_and_repeats_are_mixed(job, jsonl, tmp_path):
    path = jsonl("a.jsonl", [f'{{"n": {n}}}' for n in range(50)])

    def mix(seed):
        return split(Path(DataPoolDuplication(path, str(tmp_path), [2], True, seed).run(job)[0]).read_bytes())

    first = mix(1)
    assert first == mix(1) != mix(2)
    assert sorted(first[:50]) != sorted(first[50:])


@pytest.mark.parametrize("times", [[], [2, 2]])
def test_times_must_differ(times):
    with pytest.raises(ConfigError, match="expected one or more different numbers"):
        DataPoolDuplication("a.jsonl", "out", times)
