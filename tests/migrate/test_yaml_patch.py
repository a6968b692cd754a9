"""Values change within a YAML text; comments, order, quotes and blank lines stay."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.migrate.yaml_patch import Positions, commented, patched, same

TEXT = """\
# top
a: 1  # one
'b': "two"   # quoted

list:
  # first
  - x: 1   # kept
    y:     # empty
    z: |
      block
      text
  - {p: 1, q: [1, 2]}   # flow
last: end
"""


def change(text: str, edit) -> str:
    old = parse(text, "line").value
    new = unshared(old)
    new = edit(new) or new
    result, complete = patched(text, old, new)
    assert same(parse(result, "line").value, new)
    assert complete or "#" in text
    return result


def unshared(value):
    """A copy in which an alias is a value of its own."""
    if isinstance(value, dict):
        return {key: unshared(item) for key, item in value.items()}
    return [unshared(item) for item in value] if isinstance(value, list) else value


def renamed(mapping: dict, old: str, new: str) -> dict:
    items = [(new if key == old else key, value) for key, value in mapping.items()]
    mapping.clear()
    mapping.update(items)
    return mapping


def test_nothing():
    assert change(TEXT, lambda value: None) == TEXT


@pytest.mark.parametrize(
    ("edit", "old", "new"),
    [
        (lambda v: v.update(a=2), "a: 1  # one", "a: 2  # one"),
        (lambda v: v.update(b="it's"), '"two"', '"it\'s"'),
        (lambda v: renamed(v, "b", "c") and None, "'b':", "'c':"),
        (lambda v: v.pop("b") and None, "'b': \"two\"   # quoted\n", ""),
        (lambda v: v["list"][0].pop("x") and None, "x: 1   # kept\n    ", ""),
        (lambda v: v["list"][0].update(y=5), "y:     # empty", "y: 5     # empty"),
        (lambda v: v["list"][0].update(z="line"), "z: |\n      block\n      text\n", "z: line\n"),
        (lambda v: v["list"][0].pop("z") and None, "    z: |\n      block\n      text\n", ""),
        (lambda v: v["list"][0].update(w=[1]), "      text\n", "      text\n    w:\n    - 1\n"),
        (lambda v: v["list"][1].update(p=3), "{p: 1,", "{p: 3,"),
        (lambda v: v["list"][1].update(r="s, t"), "{p: 1, q: [1, 2]}", "{p: 1, q: [1, 2], r: 's, t'}"),
        (lambda v: v["list"][1].pop("q") and None, "{p: 1, q: [1, 2]}", "{p: 1}"),
        (lambda v: v.update(new={"k": None}), "last: end\n", "last: end\nnew:\n  k: null\n"),
        (lambda v: v.update(list=[]), TEXT[TEXT.index("- x") : TEXT.index("   # flow")], "[]"),
        (lambda v: v.update(last="two\nlines"), "last: end", 'last: "two\\nlines"'),
    ],
)
def test_one_change(edit, old, new):
    assert TEXT.count(old) == 1
    assert change(TEXT, edit) == TEXT.replace(old, new)


def test_a_key_in_between():
    def edit(value):
        return {"a": 1, "new": {"deep": [1]}, **{key: item for key, item in value.items() if key != "a"}}

    assert change(TEXT, edit) == TEXT.replace("# one\n", "# one\nnew:\n  deep:\n  - 1\n")


def test_without_a_line_break_at_the_end():
    assert change("a: 1", lambda v: v.update(b=2)) == "a: 1\nb: 2\n"
    assert change("a:", lambda v: v.update(a=2)) == "a: 2"


def test_line_breaks_of_windows():
    assert change("a: 1\r\nb: 2\r\n", lambda v: v.update(c=3)) == "a: 1\r\nb: 2\r\nc: 3\r\n"


def test_comments_in_a_flow_collection():
    text = "a: {b: 1, # one\n  c: 2} # two\n"
    assert change(text, lambda v: v["a"].update(d=3)) == "a: {b: 1, # one\n  c: 2, d: 3} # two\n"
    old = parse(text, "line").value
    assert patched(text, old, {"a": {"c": 2}}) == ("a: {c: 2} # two\n", False)


def test_signs_outside_the_basic_plane():
    assert change("'𝄞é': '𝄞' # 𝄞\nb: 1 # é\n", lambda v: v.update(b=2)) == "'𝄞é': '𝄞' # 𝄞\nb: 2 # é\n"


ANCHORS = "base: &base {a: 1, b: 2}\none: *base\ntwo:\n  <<: *base\n  c: 3 # c\n"


def test_aliases_that_change_alike():
    def edit(value):
        value["base"]["a"] = value["one"]["a"] = value["two"]["a"] = 5

    result = change(ANCHORS, edit)
    assert "base: &base {a: 5, b: 2}\none: *base\n" in result


def test_aliases_that_differ_are_written_out():
    def edit(value):
        value["one"]["a"] = 5

    assert change(ANCHORS, edit).startswith("base:\n  a: 1\n")


def test_a_merged_key_is_overridden():
    def edit(value):
        value["two"]["a"] = 5

    assert change(ANCHORS, edit) == ANCHORS + "  a: 5\n"


def test_comments_stand_above_their_lines_once():
    notes = [
        (("list", 0, "y"), "about y"),
        (("list", 1, "q", 0), "in a flow"),
        ((), "all " + "long " * 40),
        (("a",), "a"),
    ]
    result = commented(TEXT, notes)
    assert "    # migrate: about y\n    y:     # empty\n" in result
    assert "  # migrate: in a flow\n  - {p: 1" in result
    assert result.startswith("# top\n# migrate: all long")
    assert "\n#   long" in result
    assert "# migrate: a\na: 1  # one\n" in result
    assert same(parse(result, "line").value, parse(TEXT, "line").value)
    assert commented(result, notes) == result
    assert all(Positions(result).has_comment(path, note) for path, note in notes)
    assert not Positions(result).has_comment(("a",), "other")


def test_a_comment_in_a_text_of_several_lines_goes_above_it():
    text = 'a: {b: "x\n  y", c: 1}\n'
    assert commented(text, [(("a", "c"), "n")]) == "# migrate: n\n" + text


def test_values_are_compared_with_their_types():
    assert same({"a": [1, None, math.nan]}, {"a": [1, None, math.nan]})
    for first, second in ((1, True), (1, 1.0), ("1", 1), ({1: 2}, {True: 2}), ([1], [1, 2]), ({"a": 1}, {"b": 1})):
        assert not same(first, second)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(),
    st.text("aé𝄞 #:-,[]{}'\"&*!|>%@`\n\t0.1e~\u2028\x85", max_size=8),
    st.sampled_from(["2020-01-02", "null", "1e3", "<<", "=", "---", "..."]),
)
KEYS = st.one_of(st.text("abéx #:-0.", max_size=4), st.integers(0, 3), st.none(), st.booleans())
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
CONFIGS = st.dictionaries(KEYS, VALUES, max_size=5)


@given(CONFIGS, CONFIGS, st.sampled_from([True, False, None]), st.sampled_from([20, 200]), st.data())
def test_any_change_of_any_text(old, new, flow, width, data):
    """The values are the new ones, whatever the text looks like, also with comments on any of its keys."""
    text = yaml.safe_dump(old, default_flow_style=flow, width=width, allow_unicode=True, sort_keys=False)
    mixed = {**old, **{key: new[key] for key in list(new)[::2]}}
    for target in (new, mixed):
        old = parse(text, "line").value
        result, _ = patched(text, old, target)
        assert same(parse(result, "line").value, target)
        paths = list(parse(result, "line").lines) or [()]
        notes = [
            (path, f"note {number}")
            for number, path in enumerate(data.draw(st.lists(st.sampled_from(paths), max_size=3)))
        ]
        with_notes = commented(result, notes)
        assert same(parse(with_notes, "line").value, target)
        assert commented(with_notes, notes) == with_notes
