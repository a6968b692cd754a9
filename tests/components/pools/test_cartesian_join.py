"""Every row beside every other."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_rows import content, files, leaves, many, split, texts, values

from data_juicer_sandbox.components.pools import cartesian_join
from data_juicer_sandbox.components.pools.cartesian_join import DataPoolCartesianJoin
from data_juicer_sandbox.errors import ConfigError, JobError


def fields(side: str):
    return st.dictionaries(texts.map(side.__add__), values | leaves, max_size=2)


@given(one=files(fields("1"), 4), two=files(fields("2"), 4), block=st.sampled_from([1, 1 << 20]))
@many
def test_each_row_with_each_field_by_field(laid, fresh, one, two, block, tmp_path):
    paths = laid(one, two)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cartesian_join, "BLOCK", block)
        (path,) = DataPoolCartesianJoin(paths[0], paths[1], str(tmp_path / "lab" / "out")).run(fresh())
    data = Path(path).read_bytes()
    pairs = list(product(split(one), split(two)))
    assert data.count(b"\n") == len(pairs)
    for made, (first, second) in zip(split(data), pairs, strict=True):
        both = json.dumps({**json.loads(first), **json.loads(second)}).encode()
        assert content(made) == content(both)
        for line in (first, second):
            assert line.strip()[1:-1].strip() in made  # as it is written


def test_pools_of_both_sets_in_order(job, jsonl, tmp_path):
    prompts = [jsonl(f"prompt_{n}.jsonl", [f'{{"p": {n}}}']) for n in range(2)]
    questions = [jsonl(f"q{n}.jsonl", [f'{{"q": "{n}{m}"}}' for m in range(2)]) for n in range(3)]
    made = DataPoolCartesianJoin(prompts, questions, str(tmp_path / "out")).run(job)
    names = [f"prompt_q_cartesian_join_{i}_{j}.jsonl" for i in range(2) for j in range(3)]
    assert made == [str(tmp_path / "out" / name) for name in names]
    assert Path(made[5]).read_text() == '{"p": 1, "q": "20"}\n{"p": 1, "q": "21"}\n'


def test_rows_of_the_first_pool_come_first(job, jsonl, tmp_path):
    one, two = jsonl("a.jsonl", ['{"a":1}', "{ }"]), jsonl("b.jsonl", ["{}", '{ "b":2 }'])
    (made,) = DataPoolCartesianJoin(one, two, str(tmp_path / "out")).run(job)
    assert Path(made).read_text() == '{"a":1}\n{"a":1, "b":2 }\n{}\n{"b":2 }\n'


def test_a_clash_of_names_is_an_error_however_it_is_spelled(job, jsonl, tmp_path):
    one = jsonl("a.jsonl", ['{"a": 1}', '{"b": NaN, "c": 2}'])
    two = jsonl("b.jsonl", ['{"x": 1}', '{"\\u0062": 1, "c": 2}'])
    with pytest.raises(JobError, match=r"both .*a.jsonl and .*b.jsonl have the fields 'b', 'c' \(rename or remove"):
        DataPoolCartesianJoin(one, two, str(tmp_path / "out")).run(job)
    assert not (tmp_path / "out").exists()


def test_a_join_that_cannot_fit_is_not_begun(job, jsonl, tmp_path, monkeypatch):
    one, two = jsonl("a.jsonl", ['{"a": 1}'] * 100), jsonl("b.jsonl", ['{"b": 1}'] * 100)
    free = cartesian_join.shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(cartesian_join.shutil, "disk_usage", lambda _: free)
    with pytest.raises(JobError, match=r"the join needs 0.0 GB, and 0.0 GB are free"):
        DataPoolCartesianJoin(one, two, str(tmp_path / "out")).run(job)


def test_a_file_is_no_place_for_several_pools(jsonl):
    with pytest.raises(ConfigError, match=r"'out.jsonl' is a file name"):
        DataPoolCartesianJoin("a.jsonl", "b.jsonl", "out.jsonl")
