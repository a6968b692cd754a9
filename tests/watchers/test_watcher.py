"""Which trackers there are, and what becomes of one that fails."""

import sys

import pytest
from loguru import logger

from data_juicer_sandbox.components.base import NullJob
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.watchers import watcher as room
from data_juicer_sandbox.watchers.base import Tracker
from data_juicer_sandbox.watchers.watcher import Watcher, chosen


class Memory(Tracker):
    """Keeps what it is told."""

    last = None

    def __init__(self, run):
        super().__init__(run)
        self.told = []
        Memory.last = self

    def start(self, pipeline, job, config, time):
        self.told.append(("start", job, config))

    def watch(self, pipeline, job, values, step, time):
        self.told.append((job, values, step))

    def close(self):
        self.told.append("closed")


class Broken(Tracker):
    """Takes nothing."""

    def watch(self, pipeline, job, values, step, time):
        raise ConnectionError("no way out")


class NeverThere(Tracker):
    """Cannot even be made."""

    def __init__(self, run):
        raise OSError("no server")


@pytest.fixture
def plugins(monkeypatch):
    names = {cls.__name__.lower(): f"{__name__}:{cls.__name__}" for cls in (Memory, Broken, NeverThere)}
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").ModuleType(__name__))
    for cls in (Memory, Broken, NeverThere):
        monkeypatch.setattr(sys.modules[__name__], cls.__name__, cls, raising=False)
    monkeypatch.setattr(room, "known_trackers", lambda: {**room.TRACKERS, **names})


@pytest.fixture
def warnings():
    found = []
    sink = logger.add(found.append, level="WARNING", format="{message}")
    yield found
    logger.remove(sink)


def open_one(tmp_path, names, **options):
    return Watcher.open(tmp_path, project="p", experiment="e", names=names, config={"password": "x"}, **options)


def test_several_at_once(tmp_path, plugins):
    one = open_one(tmp_path, ["memory"])
    one.start("p", "j", {"api_key": "y"})
    one.of("p", "j").watch({"a": {"b": 1}}, step=2)
    one.close()
    assert Memory.last.run.config == {"password": "***"}
    assert Memory.last.told == [("start", "j", {"api_key": "***"}), ("j", {"a.b": 1}, 2), "closed"]
    assert room.local.last_values(tmp_path / "metrics.jsonl", "j") == {"a.b": 1}


def test_a_tracker_that_fails_is_warned_about_once_and_dropped(tmp_path, plugins, warnings):
    one = open_one(tmp_path, ["broken", "neverthere", "memory"])
    for value in range(3):
        one.of("p", "j").watch({"x": value})
    assert one.query("j") == {"x": 2}
    assert len(Memory.last.told) == 3
    assert [("broken" in w, "no way out" in w) for w in warnings if "broken" in w] == [(True, True)]
    assert [w for w in warnings if "neverthere" in w and "no server" in w]
    assert len(warnings) == 2
    one.close()


def test_names(monkeypatch):
    assert chosen(None) == ["local"]
    assert chosen([]) == ["local"]
    with pytest.raises(ConfigError, match=r"unknown watcher 'wanbd' .*did you mean 'wandb'"):
        chosen(["wanbd"])
    with pytest.raises(ConfigError, match="WANDB_MODE=offline"):
        chosen(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert chosen(None) == ["local", "wandb"]
    assert chosen(["wandb"]) == ["local", "wandb"]


def test_what_a_job_is_handed_answers_as_a_quiet_one_does(tmp_path):
    """`NullJob` stands in for a watcher in components' own tests: both must give the same for the same."""
    one = open_one(tmp_path, None)
    for watching in (quiet := NullJob(), job := one.of("p", "j")):
        watching.watch({"x": 1.5}, step=1)
        watching.watch({"x": 2.5, "y": 1})
    assert quiet.query("j") == job.query("j") == {"x": 2.5, "y": 1}
    one.close()
