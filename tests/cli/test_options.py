"""Flags and variables are read as a config file is: within its limits, and by its types."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.cli.main import main

REFUSED = {
    ("parameters", "&a {x: *a}"): "an anchor contains itself",
    ("parameters", "{x: !!bool maybe}"): "it is not a valid bool",
    ("parameters", "{x: !!python/name:os.system y}"): "could not determine a constructor",
    ("pipelines", "!!set {x}"): "is not a supported type",
    ("max_iter_num", "0x" + "f" * 5_000): "more than 4,000 digits",
    ("max_iter_num", "!!int"): "it is not a valid int",
    ("max_iter_num", "x"): "must be a whole number, not 'x'",
    ("resume", "7"): "must be true or false, not 7",
    ("project_name", "\udcff"): "not UTF-8",
    ("parameters", "{x: '\udcff'}"): "half of a surrogate pair",
    ("watchers", "[" * 50_000): "nested more than 100 levels deep",
}


@pytest.mark.parametrize("by_flag", [True, False], ids=["flag", "variable"])
@pytest.mark.parametrize(("key", "text"), REFUSED, ids=lambda part: ascii(part[:20]))
def test_odd_values_are_one_error_that_names_its_source(key, text, by_flag, config_file, capsys, monkeypatch):
    arguments = ["validate", "--config", str(config_file({}))]
    if by_flag:
        arguments.append(f"--{key}={text}")
    else:
        monkeypatch.setenv(f"DJ_SANDBOX_{key.upper()}", text)
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert REFUSED[key, text] in message
    assert "Traceback" not in message
    if "must be" not in message:
        assert (f"--{key}" if by_flag else f"DJ_SANDBOX_{key.upper()}") in message


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("parameters", '{"x": "\\ud83d\\ude00"}', {"x": "😀"}),
        ("parameters", '{"' + "k" * 2_000 + '": 1e-5}', {"k" * 2_000: 1e-5}),
        ("project_name", "2024-05-06", "2024-05-06"),
        ("project_name", "[[[", "[[["),
        ("work_dir", "1e5", "1e5"),
        ("work_dir", "null", None),
        ("max_hours", "1e-1", 0.1),
        ("max_iter_num", "", None),
        ("resume", "yes", True),
        ("watchers", "local", "local"),
        ("watchers", "[local, wandb]", ["local", "wandb"]),
        ("watchers", "7", "7"),
        ("parallel", "local", "local"),
        ("parallel", "{backend: local, retries: 2}", {"backend": "local", "retries": 2}),
        ("iter_targets", "a.b.c >= 3", "a.b.c >= 3"),
        ("iter_targets", "%x", "%x"),
    ],
)
def test_values_have_the_types_of_a_file(key, text, value):
    given = options.read(options.parser("validate", ""), ["--config", "x.yaml", f"--{key}", text])
    flags = {"untrusted": False, "no_plugins": False}
    assert given == ({"config": "x.yaml", **flags}, {key: value})


def test_a_switch_needs_no_value():
    _, overrides = options.read(options.parser("validate", ""), ["--resume", "--config", "x.yaml", "--debug=false"])
    assert overrides == {"resume": True, "debug": False}


def test_an_unknown_argument_of_any_length_is_a_short_error(config_file, capsys):
    assert main(["validate", "--config", str(config_file({})), "--bogus", "[" * 50_000]) == 2
    assert len(capsys.readouterr().err) < 700
