"""The dotted keys: what they mean, and what a wrong one is told."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.context.keys import ConfigKey, ContextKey, SettingKey, WatchedKey
from data_juicer_sandbox.errors import ResolveError


@pytest.mark.parametrize(
    ("text", "key", "path"),
    [
        ("p.j.out", ContextKey("p", "j", "out"), "out"),
        ("p.j.out.0.loss", ContextKey("p", "j", "out", "0.loss"), "out.0.loss"),
        ("p.j", ContextKey("p", "j"), ""),
    ],
)
def test_a_context_key(text, key, path):
    parsed = ContextKey.parse(text)
    assert parsed == key
    assert (parsed.label, parsed.path) == ("p.j", path)


@pytest.mark.parametrize("text", ["", "p", "p.", ".j", ".j.out"])
def test_a_context_key_names_pipeline_and_job(text):
    with pytest.raises(ResolveError, match="is not the key of a result") as error:
        ContextKey.parse(text)
    assert error.value.hint == "<pipeline>.<meta_name>.<output>"


def test_an_input_key_is_absolute_or_in_the_own_pipeline():
    assert ContextKey.interpretations("a.b.c.d", "own") == (
        ContextKey("a", "b", "c", "d"),
        ContextKey("own", "a", "b", "c.d"),
    )
    assert ContextKey.interpretations("a.b", "own") == (ContextKey("a", "b"), ContextKey("own", "a", "b"))
    assert ContextKey.interpretations("-1.out.0", "own") == (ContextKey("own", "-1", "out", "0"),)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("dj_configs", ConfigKey("dj_configs")),
        ("extra_configs.model.lr", ConfigKey("extra_configs", ("model", "lr"))),
        ("dj_configs.process.0.op", ConfigKey("dj_configs", ("process", "0", "op"))),
    ],
)
def test_a_config_key(text, key):
    assert ConfigKey.parse(text) == key
    assert str(key) == text


@pytest.mark.parametrize("text", ["", "model.lr", "p.j.extra_configs.lr", "extra_config.lr"])
def test_a_config_key_starts_with_a_config(text):
    with pytest.raises(ResolveError, match="does not start with dj_configs or extra_configs"):
        ConfigKey.parse(text)


def test_a_setting_key():
    key = SettingKey.parse("p.j.extra_configs.lr")
    assert key == SettingKey("p", "j", ConfigKey("extra_configs", ("lr",)))
    assert (key.label, str(key)) == ("p.j", "p.j.extra_configs.lr")
    assert SettingKey.parse("dj_configs.j.dj_configs").pipeline == "dj_configs"


@pytest.mark.parametrize("text", ["", "op.min_len", "p.j", "extra_configs.lr", "p.j.out.lr"])
def test_a_setting_key_names_pipeline_job_and_config(text):
    with pytest.raises(ResolveError, match="is not a key of a job's configs") as error:
        SettingKey.parse(text)
    assert error.value.hint == "<pipeline>.<meta_name>.<dj_configs|extra_configs>.<key>"


def test_a_watched_key_is_split_at_the_first_dot():
    assert WatchedKey.parse("train.a.loss") == WatchedKey("train", "a.loss")
    assert WatchedKey.parse("train") == WatchedKey("train", "")
