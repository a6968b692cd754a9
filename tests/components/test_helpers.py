from __future__ import annotations

import sys

import pytest

from data_juicer_sandbox.components.helpers import BUILTIN, find_helper, helpers
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.plugins import _entry_points


def test_every_built_in_helper_is_there():
    for name in BUILTIN:
        assert find_helper(name).__name__ == name


def test_a_dotted_path_with_arguments():
    assert find_helper("json.dumps", {"indent": None})([1]) == "[1]"


def test_a_plug_in_of_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "shouting.py").write_text("def shout(row, *, mark='!'):\n    return row['text'].upper() + mark\n")
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[data_juicer_sandbox.helpers]\nshout = shouting:shout\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _entry_points.cache_clear()
    try:
        assert "shout" in helpers()
        assert find_helper("shout", {"mark": "?"})({"text": "hey"}) == "HEY?"
    finally:
        sys.modules.pop("shouting", None)
        _entry_points.cache_clear()


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("build_mesages", None, "unknown helper 'build_mesages'.*did you mean 'build_messages'.*known: .*parse_output"),
        ("json.nothing", None, "cannot import 'json.nothing'"),
        ("no_such_package.f", None, "cannot import"),
        ("json.__name__", None, "is a str, not a function"),
        ("build_messages", {"querykey": "q"}, "build_messages takes no 'querykey'.*did you mean 'query_key'"),
        ("parse_output", {"output": "x"}, "parse_output takes no 'output'"),
    ],
)
def test_what_is_wrong_is_said(name, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        find_helper(name, kwargs)
