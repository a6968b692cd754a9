"""A config file is parsed once, and again after each change."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.config import yaml_source
from data_juicer_sandbox.errors import ConfigError


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_source, "_RECENT_NS", 0)
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\n")
    return path


def test_an_unchanged_file_is_parsed_once(file):
    assert yaml_source.read(file) is yaml_source.read(file)


def test_a_changed_file_is_read_again(file):
    assert yaml_source.read(file).value == {"a": 1}
    file.write_text("a: 22\n")
    assert yaml_source.read(file).value == {"a": 22}
    other = file.with_name("b.yaml")
    other.write_text("a: 33\n")
    other.replace(file)
    assert yaml_source.read(file).value == {"a": 33}
    file.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        yaml_source.read(file)


def test_a_file_that_has_just_changed_is_not_kept(file, monkeypatch):
    monkeypatch.setattr(yaml_source, "_RECENT_NS", 10**12)
    yaml_source.read(file)
    file.write_text("a: 2\n")  # the same size, perhaps within one tick of the clock
    assert yaml_source.read(file).value == {"a": 2}


def test_a_relative_path_is_of_the_current_folder(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert yaml_source.read("a.yaml").value == {"a": 1}
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("a: 4\n")
    monkeypatch.chdir(tmp_path / "sub")
    assert yaml_source.read("a.yaml").value == {"a": 4}
