"""Pools cut by stats: what a plain sort says, byte for byte, whatever the rows."""

from __future__ import annotations

import json
from itertools import chain, groupby, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from odd_rows import NAMES, STATS, files, many, number, split

from data_juicer_sandbox.components.pools.construction import DataPoolConstruction
from data_juicer_sandbox.errors import ConfigError, JobError


def row(**stats) -> str:
    return json.dumps({"text": "t", STATS: stats})


def values(path: str, stat: str = "s") -> list[float]:
    return [json.loads(line)[STATS][stat] for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def cut(job, jsonl, tmp_path):
    """Cut a pool whose rows have these values of the stat `s`."""

    def call(numbers, **parameters):
        path = jsonl("p.jsonl", [row(s=value) for value in numbers])
        parameters.setdefault("export_path", str(tmp_path / "out"))
        return DataPoolConstruction(path, **parameters).run(job)

    return call


def names(paths) -> list[str]:
    return [Path(path).name for path in paths]


@given(data=files())
@many
def test_parts_follow_each_other_as_a_stable_sort_puts_them(laid, fresh, data, tmp_path):
    (path,) = laid(data)
    lines = split(data)
    expected = {}
    for name in NAMES:
        ranked = sorted((value, at) for at, line in enumerate(lines) if (value := number(line, name)) is not None)
        if ranked and (len(ranked) == 1 or ranked[0][0] != ranked[-1][0]):  # a constant stat is not cut by row order
            cuts = [0, (2 * len(ranked) + 3) // 6, (4 * len(ranked) + 3) // 6, len(ranked)]
            expected[name.replace("/", "_")] = [[lines[at] for _, at in ranked[a:b]] for a, b in pairwise(cuts)]
    component = DataPoolConstruction(path, str(tmp_path / "lab" / "out"))
    if not expected:
        with pytest.raises(JobError, match=r"p0.jsonl has no rows|has numbers|too few rows"):
            component.run(fresh())
        return
    made = {}
    for folder, group in groupby(map(Path, component.run(fresh())), key=lambda path: path.parent.name):
        made[folder] = [[], [], []]
        for part in group:
            made[folder][int(part.stem[-1])] = part.read_bytes().removesuffix(b"\n").split(b"\n")
            assert part.name == f"p0_{folder}_{part.stem[-1]}.jsonl"
            assert part.read_bytes().endswith(b"\n")
    assert made == expected


@given(data=files())
@many
def test_without_stats_parts_are_the_rows_in_their_order(laid, fresh, data, tmp_path):
    (path,) = laid(data)
    lines = split(data)
    component = DataPoolConstruction(path, str(tmp_path / "lab" / "out"), split_num=3, ignore_stats=True)
    if not lines:
        with pytest.raises(JobError, match="has no rows"):
            component.run(fresh())
        return
    made = component.run(fresh())
    assert names(made) == [f"p0_ignore_stats_{part}.jsonl" for part in range(-(-len(lines) // 3))]
    assert [split(Path(path).read_bytes()) for path in made] == [lines[at : at + 3] for at in range(0, len(lines), 3)]


def test_a_stat_that_is_the_same_in_all_rows_gives_no_pools(job, jsonl, tmp_path, log):
    path = jsonl("p.jsonl", [row(s=value, constant=0.5) for value in (3, 1, 2)])
    parts = DataPoolConstruction(path, str(tmp_path / "out")).run(job)
    assert {Path(part).parent.name for part in parts} == {"s"}
    assert len(parts) == 3
    assert "'constant' is 0.5 in all rows that have it: its pools would differ only by the order of the rows" in log[0]
    for parameters in ({"keep_top": 1}, {"split_num": 2}, {}):
        with pytest.raises(JobError, match=r"too few rows for a pool: 3 \(a stat that is the same in all rows"):
            DataPoolConstruction(path, str(tmp_path / "no"), stats_keys="constant", **parameters).run(job)
    (whole,) = DataPoolConstruction(path, str(tmp_path / "b"), stats_keys="constant", split_quantiles=[0.5]).run(job)
    assert values(whole) == [3, 1, 2]  # equal values stay together: nothing depends on the order


def test_thirds_by_default_ties_keep_their_order(job, jsonl, tmp_path):
    path = jsonl("p.jsonl", [json.dumps({"n": n, STATS: {"s": [5, 1, 5, 1, 5, 1][n]}}) for n in range(6)])
    parts = DataPoolConstruction(path, str(tmp_path / "out")).run(job)
    orders = [[json.loads(line)["n"] for line in Path(part).read_text().splitlines()] for part in parts]
    assert orders == [[1, 3], [5, 0], [2, 4]]


def test_ratios_as_numbers_and_texts(cut):
    assert [values(path) for path in cut(range(10), split_ratios=[0.2, "1/2", 0.9])] == [
        [0, 1],
        [2, 3, 4],
        [5, 6, 7, 8],
        [9],
    ]


def test_sizes_by_equal_ratios_differ_by_one_row_at_most(cut, tmp_path):
    for rows in range(5, 30):
        ratios = [f"{part}/5" for part in range(1, 5)]
        sizes = [len(values(path)) for path in cut(range(rows), split_ratios=ratios)]
        assert sum(sizes) == rows
        assert max(sizes) - min(sizes) <= 1


def test_a_number_wins_over_ratios_and_the_last_part_has_the_rest(cut):
    parts = cut([3, 1, 2, 5, 4], split_ratios=[0.5], split_num=2)
    assert [values(path) for path in parts] == [[1, 2], [3, 4], [5]]
    assert names(parts) == ["p_s_0.jsonl", "p_s_1.jsonl", "p_s_2.jsonl"]


def test_equal_sizes_exactly_keep_both_ends(cut):
    for rows in range(3, 20):
        parts = [values(path) for path in cut(range(rows), remainder="drop")]
        assert [len(part) for part in parts] == [rows // 3] * 3
        assert parts[0] == list(range(rows // 3))
        assert parts[2] == list(range(rows - rows // 3, rows))
        assert len(set(chain(*parts))) == len(list(chain(*parts)))
    assert [len(values(path)) for path in cut(range(11), split_num=4, remainder="drop")] == [4, 4]


def test_a_pool_with_too_few_rows_for_equal_parts(cut):
    with pytest.raises(JobError, match=r"p.jsonl has too few rows for a pool: 3"):
        cut(range(3), split_num=4, remainder="drop")
    with pytest.raises(ConfigError, match="remainder: drop needs pools of equal size"):
        cut(range(3), split_ratios=[0.25], remainder="drop")


def test_quantiles_keep_ties_together(cut, log):
    parts = cut([1, 1, 1, 1, 2, 3], split_quantiles=["1/3", "2/3"])
    assert [values(path) for path in parts] == [[1, 1, 1, 1], [2, 3]]
    assert names(parts) == ["p_s_0.jsonl", "p_s_2.jsonl"]
    assert "s: part 1 has no rows and is not written" in log
    assert [values(path) for path in cut(range(1, 11), split_quantiles=[0.1, 0.5])] == [
        [1],
        [2, 3, 4, 5],
        [6, 7, 8, 9, 10],
    ]


def test_values_for_all_stats_or_by_stat(job, jsonl, tmp_path, cut):
    assert [values(path) for path in cut([1, 2, 3, 4], split_values=[2, 3.5])] == [[1], [2, 3], [4]]
    path = jsonl("q.jsonl", [row(a=n, b=-n) for n in range(4)])
    made = DataPoolConstruction(path, str(tmp_path / "out"), split_values={"a": [1.0], "b": [-2.5, 0]}).run(job)
    assert [values(path, "a") for path in made[:2]] == [[0], [1, 2, 3]]
    assert [values(path, "b") for path in made[2:]] == [[-3], [-2, -1], [0]]
    with pytest.raises(JobError, match="split_values has no values for the stat 'b'"):
        DataPoolConstruction(path, str(tmp_path / "out"), split_values={"a": [1.0]}).run(job)


def test_keep_top_by_number_and_by_share(cut, log):
    (path,) = cut([5, 1, 4, 2, 3], keep_top=2)
    assert (Path(path).name, values(path)) == ("p_s_top.jsonl", [4, 5])
    assert values(cut([5, 1, 4, 2, 3], keep_top=0.6)[0]) == [3, 4, 5]
    assert values(cut([5, 1, 4, 2, 3, 0], keep_top="1/3")[0]) == [4, 5]
    with pytest.raises(JobError, match="keep_top 6: only 5 rows have the stat 's'"):
        cut([5, 1, 4, 2, 3], keep_top=6)
    with pytest.raises(JobError, match="too few rows"):
        cut([5, 1], keep_top=0.1)
    assert "s: part top has no rows and is not written" in log


def test_the_control_is_as_large_as_the_smallest_part_and_of_all_rows(cut, tmp_path):
    *parts, control = cut(range(100), split_ratios=[0.1, 0.6], with_control=True)
    assert Path(control) == tmp_path / "out" / "p_control.jsonl"
    assert [len(values(path)) for path in parts] == [10, 50, 40]
    drawn = values(control)
    assert (len(set(drawn)), drawn) == (10, sorted(drawn))
    assert max(drawn) - min(drawn) > 30
    assert values(cut(range(100), split_ratios=[0.1, 0.6], with_control=True, seed=1)[-1]) != drawn
    assert len(values(cut(range(100), split_ratios=[0.3, 0.6], with_control=True)[-1])) == 30


def test_every_data_set_is_cut_by_itself(job, jsonl, tmp_path):
    paths = [jsonl(f"{name}.jsonl", [row(s=n) for n in range(rows)]) for name, rows in (("a", 4), ("b", 2))]
    made = DataPoolConstruction(paths, str(tmp_path / "out"), ["1/2"], with_control=True).run(job)
    assert names(made) == [
        "a_s_0.jsonl",
        "a_s_1.jsonl",
        "a_control.jsonl",
        "b_s_0.jsonl",
        "b_s_1.jsonl",
        "b_control.jsonl",
    ]
    assert [len(values(path)) for path in made] == [2, 2, 2, 1, 1, 1]


def test_what_counts_as_a_number(job, jsonl, tmp_path, log, quiet):
    given = [
        "1",
        "NaN",
        "[1, 2]",
        "[1, NaN]",
        "[]",
        "true",
        '"3"',
        "null",
        "[true]",
        "1e999",
        "-1e999",
        "1" + "0" * 400,
        '{"a": 1}',
    ]
    lines = [f'{{"n": {at}, "{STATS}": {{"s": {value}, "x{at}": true}}}}' for at, value in enumerate(given)]
    path = jsonl("p.jsonl", [*lines, '{"n": 13}', f'{{"n": 14, "{STATS}": null}}', f'{{"n": 15, "{STATS}": [1]}}'])
    (top,) = DataPoolConstruction(path, str(tmp_path / "out"), split_num=100).run(job)  # x0, x1, ... are no numbers
    assert [json.loads(line)["n"] for line in Path(top).read_text().splitlines()] == [0, 3, 2]
    assert f"{path}: 13 of 16 rows have no 's'" in log


def test_what_parts_hold_is_watched(cut, quiet):
    cut([3, 1, 2, 9], split_ratios=[0.5])
    assert quiet.values == [
        (None, {"p": {"s": {"0": {"rows": 2, "min": 1.0, "max": 2.0}}}}),
        (None, {"p": {"s": {"1": {"rows": 2, "min": 3.0, "max": 9.0}}}}),
    ]


def test_names_of_stats_stay_inside_the_folder(job, jsonl, tmp_path):
    stats = {"a/b": 1, "..": 2, "": 3, "/etc": 4, "x y": 5, "größe": 6}
    path = jsonl("p.jsonl", [row(**{name: value + n for name, value in stats.items()}) for n in range(2)])
    made = [
        Path(p).relative_to(tmp_path / "out")
        for p in DataPoolConstruction(
            path, str(tmp_path / "out"), split_num=2, stats_keys=["a/b", "..", "/etc", "x y", "größe"]
        ).run(job)
    ]
    assert [str(name) for name in made] == [f"{name}/p_{name}_0.jsonl" for name in ("a_b", "_", "_etc", "x_y", "größe")]
    assert Path(
        DataPoolConstruction(path, str(tmp_path / "out"), split_num=2, stats_keys="").run(job)[0]
    ).is_relative_to(tmp_path / "out")


def test_two_stats_of_one_file_name_are_told(job, jsonl, tmp_path):
    path = jsonl("p.jsonl", [row(**{"a/b": 1, "a b": 2})])
    with pytest.raises(JobError, match=r"two new pools have the same path: .*a_b_0.jsonl"):
        DataPoolConstruction(path, str(tmp_path / "out"), split_num=1).run(job)


def test_stats_keys_choose_once_each_and_in_their_order(job, jsonl, tmp_path):
    path = jsonl("p.jsonl", [row(a=n, b=n, c=n) for n in range(2)])
    made = DataPoolConstruction(path, str(tmp_path / "out"), split_num=2, stats_keys=["c", "a", "c"]).run(job)
    assert names(made) == ["p_c_0.jsonl", "p_a_0.jsonl"]
    with pytest.raises(JobError, match=r"no row of .*p.jsonl has a number as stat 'aa'.*did you mean 'a'"):
        DataPoolConstruction(path, str(tmp_path / "out"), stats_keys="aa").run(job)


def test_a_stat_that_the_first_rows_lack_is_not_lost(job, jsonl, tmp_path):
    path = jsonl("p.jsonl", [row(c=1), row(a=1), row(a=2, b=5), row(b=6), row(b="7"), row(a=3, b=[8, 9])])
    for keys in (None, ["a", "b"], ["b", "a"]):
        made = DataPoolConstruction(path, str(tmp_path / "out"), split_num=9, stats_keys=keys).run(job)
        found = {Path(path).parent.name: values(path, Path(path).parent.name) for path in made}
        assert found.pop("c", [1]) == [1]
        assert found == {"a": [1, 2, 3], "b": [5, 6, [8, 9]]}


def test_a_pool_without_stats_is_told_what_to_do(job, jsonl, tmp_path):
    with pytest.raises(JobError, match="analyse it first"):
        DataPoolConstruction(jsonl("p.jsonl", [{"text": "t"}]), str(tmp_path / "out")).run(job)


def test_other_choices_in_one_place_are_made_anew(job, jsonl, tmp_path):
    """The control's size hangs on which stats there are, its name does not."""
    path = jsonl("p.jsonl", [row(**({"a": n} | ({"b": n} if n < 6 else {}))) for n in range(30)])
    both = DataPoolConstruction(path, str(tmp_path / "out"), with_control=True).run(job)
    assert len(values(both[-1], "a")) == 2
    one = DataPoolConstruction(path, str(tmp_path / "out"), with_control=True, stats_keys="a").run(job)
    assert one[-1] == both[-1]
    assert len(values(one[-1], "a")) == 10


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"split_ratios": [0.5, 0.5]}, "in ascending order"),
        ({"split_ratios": [0]}, r"numbers in \(0, 1\)"),
        ({"split_ratios": []}, r"numbers in \(0, 1\)"),
        ({"split_ratios": ["1/0"]}, "split_ratios"),
        ({"split_ratios": ["a"]}, "split_ratios"),
        ({"split_quantiles": [1.5]}, "split_quantiles"),
        ({"split_values": [2, 1]}, "split_values"),
        ({"split_values": [float("nan")]}, "split_values"),
        ({"split_values": {"s": [1, 1]}}, "split_values"),
        ({"keep_top": 1.5}, "keep_top"),
        ({"keep_top": 3, "split_num": 2}, "keep_top and split_num exclude each other"),
        ({"keep_top": 3, "split_values": [1.0]}, "split_values and keep_top exclude each other"),
        ({"keep_top": 3, "ignore_stats": True}, "keep_top needs stats"),
        ({"keep_top": 3, "remainder": "drop"}, "remainder"),
    ],
)
def test_what_is_no_way_to_cut(parameters, message):
    with pytest.raises(ConfigError, match=message):
        DataPoolConstruction("p.jsonl", "out", **parameters)
