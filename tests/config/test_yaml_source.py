"""YAML with line numbers."""

import pytest

from data_juicer_sandbox.config.yaml_source import parse, read
from data_juicer_sandbox.errors import ConfigError


def test_values_and_their_lines():
    source = parse("a: 1\nb:\n  - x\n  - c: {d: 1e-4}\n", "f.yaml")
    assert source.value == {"a": 1, "b": ["x", {"c": {"d": 1e-4}}]}
    assert [source.where(way).line for way in [("a",), ("b",), ("b", 0), ("b", 1, "c", "d")]] == [1, 2, 3, 4]


def test_the_nearest_line_is_given_for_what_is_not_there():
    assert str(parse("a:\n  b: 1\n", "f.yaml").where(("a", "nothing", 3))) == "f.yaml:1"


@pytest.mark.parametrize("text", ["1e-4", "1E5", "-2e3", "1_0e+2", "1.5e-3"])
def test_exponents_are_numbers(text):
    assert parse(f"x: {text}", "f").value["x"] == float(text)


@pytest.mark.parametrize("text", ["e5", "1e", "1e-4x", "0x1e5z", "v1e5"])
def test_what_only_looks_like_an_exponent_stays_text(text):
    assert parse(f"x: {text}", "f").value["x"] == text


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [1\n", 3, "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "duplicate key 'a' (first on line 1)"),
        ("x:\n  a: 1\n  a: 1\n", 3, "duplicate key 'a' (first on line 2)"),
        ("a: &x\n  b: *x\n", 1, "an anchor contains itself"),
        ("? [1]\n: 2\n", 1, "plain word"),
    ],
)
def test_faults_name_file_and_line(text, line, said):
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    assert caught.value.where.file == "f.yaml"
    assert caught.value.where.line == line
    assert said in str(caught.value)


def test_anchors_and_merges_work():
    source = parse("base: &b {k: 1}\none:\n  <<: *b\n  j: 2\ntwo: *b\n", "f")
    assert source.value == {"base": {"k": 1}, "one": {"k": 1, "j": 2}, "two": {"k": 1}}


def test_a_yaml_tag_that_would_run_code_is_refused():
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        parse("x: !!python/object/apply:os.getcwd []", "f")


def test_json_is_read_too(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{\n\t"a": [1, 2.5],\n\t"b": null\n}')
    assert read(path).value == {"a": [1, 2.5], "b": None}


def test_a_missing_file_and_a_binary_one(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "b.yaml")
