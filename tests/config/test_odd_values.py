"""Values that YAML's own readers trip over: read, or one error with its line."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.config.limits import LARGE_KEY, MAX_VALUES
from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import ConfigError

REFUSED = {
    "!!bool maybe": "it is no bool",
    "!!bool [x]": "expected a scalar",
    "!!int ''": "it is no int",
    "!!int x": "invalid literal",
    "!!int {=: x}": "cannot be read as a value",
    "!!float x": "could not convert",
    "!!float ''": "it is no float",
    "!!timestamp ''": "it is no timestamp",
    "!!timestamp x": "it is no timestamp",
    "!!set {x}": "a type that no config holds",
    "!!binary eA==": "a type that no config holds",
    "!!omap [x: 1]": "a type that no config holds",
    "!!pairs [x: 1]": "a type that no config holds",
    "!!map x": "expected a mapping",
    "!!python/name:os.system x": "could not determine a constructor",
    "!own x": "could not determine a constructor",
    "0x_": "cannot be read as a value",
    "2001-12-14t21:59:43-25:99": "cannot be read as a value",
    "0x" + "f" * 5_000: "more than 4,000 digits",
    "0" + "7" * 5_000: "more than 4,000 digits",
    "0b" + "1" * 5_000: "more than 4,000 digits",
    "1" + ":1" * 100_000: "more than 4,000 digits",
    "1" + ":1" * 3_000 + ".5": "more than 4,000 digits",
    "-" + "9" * 4_100: "more than 4,000 digits",
    "!!int '" + "9" * 5_000 + "'": "more than 4,000 digits",
    "&a [*a]": "holds itself",
    "&a {<<: *a}": "holds itself",
    "&a {? *a : 1}": "holds itself",
    "&a !!str {=: *a}": "holds itself",
    f"{{{LARGE_KEY}: 1}}": "an integer of more than 18 digits as a key",
    f"{{{-LARGE_KEY}: 1}}": "an integer of more than 18 digits as a key",
    "\0": "control characters are not allowed",
    "é😀\x07": "control characters are not allowed",
    "'\ud800'": "half of a surrogate pair",
}


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: ascii(value[:30]))
def test_what_is_no_value_is_an_error_with_its_line(value):
    with pytest.raises(ConfigError) as caught:
        parse(f"first: ü\n\nodd: {value}\n", "f.yaml")
    assert (caught.value.where.file, caught.value.where.line) == ("f.yaml", 3)
    assert REFUSED[value] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("=", "="),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!bool yes", True),
        ("!!null x", None),
        ("0x1F", 31),
        ("190:20:30", 685230),
        ("1_000", 1000),
        ("12ab" * 3_000, "12ab" * 3_000),
        ("'" + "9" * 5_000 + "'", "9" * 5_000),
        (f"{{{LARGE_KEY - 1}: 1, '{LARGE_KEY}': 2}}", {LARGE_KEY - 1: 1, str(LARGE_KEY): 2}),
        ("[&a [1, 2], *a, *a]", [[1, 2]] * 3),
    ],
)
def test_what_is_a_value_is_read(text, value):
    assert parse(f"odd: {text}\n", "f.yaml").value == {"odd": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a " + "x" * 1_000_000 + "\nb: [" + "*a," * 90_000 + "]", "more than 16 MiB of text"),
        ("- 1\n" * (MAX_VALUES + 1), "more than 500,000 values"),
        ("[" + "1," * MAX_VALUES + "1]", "more than 500,000 values"),
    ],
    ids=["a long text aliased", "many in YAML", "many in JSON"],
)
def test_what_is_too_much_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "f.yaml")
