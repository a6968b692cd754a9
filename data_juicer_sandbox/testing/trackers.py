"""`check_tracker`: checks that a tracker accepts what a run reports to it, and costs the run nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.testing.class_checks import light_tracker_constructor
from data_juicer_sandbox.testing.process_state import ProcessState
from data_juicer_sandbox.testing.reporting import Check, describe, report
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.watchers.base import RunInfo, Tracker
from data_juicer_sandbox.watchers.watcher import Watcher

Stored = Callable[[Path], bytes]
"""What a tracker stored for the run in a work directory."""

VALUES: tuple[object, ...] = (
    True, False, 0, -1, 2**80, 0.5, float("nan"), float("inf"), float("-inf"), 1e-320, None, "", "text",
    "two\nlines", "\u00e4\u4e2d\U0001f600", "\0", "\ud800", "x" * 100_000,
)  # fmt: skip
"""One of each kind of plain value that `watch` may be passed."""
NAMES = ("loss", "train.loss", "a b", "\u00e4/\u4e2d", "", "quote\"'", "1", "__private", "x" * 300)
"""Names of values."""
STEPS = (None, 0, 1, 1, 0, 10**12)
"""Steps, which may be repeated and go back."""


def check_tracker(
    cls: type[Tracker], *, folder: Path | str, stored: Stored | None = None, skip: Collection[str] = ()
) -> None:
    """Check a tracker.

    Args:
        cls: the class.
        folder: an existing folder, below which work directories are made.
        stored: returns what the tracker stored for the run in a work directory; None: all files there. Give one for
            a tracker that stores in a service, or compresses what it stores.
        skip: names of checks that are not run.

    Raises:
        AssertionError: a check failed; lists all that did.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="tracker_", ignore_cleanup_errors=True) as temporary:
        bench = _Bench(cls, Path(temporary).resolve(), stored or files_below)
        report(f"{cls.__module__}.{cls.__qualname__}", _checks(bench), skip)


class _Bench:
    """A tracker class and the folder in which its runs are made."""

    def __init__(self, cls: type[Tracker], folder: Path, stored: Stored):
        self.cls, self._folder, self.stored = cls, folder, stored

    def work_dir(self) -> Path:
        """A new work directory."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def make(self, work_dir: Path, resume: bool = True, config: Mapping[str, object] | None = None) -> Tracker:
        """A new tracker."""
        run = RunInfo(work_dir, "project", "experiment", mask(dict(config or {"work_dir": "out"})), resume)
        return self.cls(run)

    @contextmanager
    def tracker(self) -> Iterator[Tracker]:
        """A tracker that is closed at the end of the block."""
        tracker = self.make(self.work_dir())
        try:
            yield tracker
        finally:
            tracker.close()


def _checks(bench: _Bench) -> dict[str, Check]:
    """All checks by name, in the order in which they are run."""
    return {
        "derives_from_tracker": lambda: derives_from_tracker(bench),
        "light_constructor": lambda: light_tracker_constructor(bench.cls),
        "plain_values": lambda: plain_values(bench),
        "any_order": lambda: any_order(bench),
        "durable": lambda: durable(bench),
        "appends": lambda: appends(bench),
        "no_secrets": lambda: no_secrets(bench),
        "harmless_failure": lambda: harmless_failure(bench),
        "clean_process": lambda: clean_process(bench),
    }


def files_below(folder: Path) -> bytes:
    """The content of all files below a folder."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def derives_from_tracker(bench: _Bench) -> Iterator[str]:
    """The class derives from `Tracker`."""
    if not issubclass(bench.cls, Tracker):
        yield "it does not derive from data_juicer_sandbox.watchers.base.Tracker"


def plain_values(bench: _Bench) -> Iterator[str]:
    """`start` and `watch` take every plain value, name and step."""
    starts: tuple[Mapping[str, object] | None, ...] = (
        None,
        {},
        {"dj_configs": None, "extra_configs": {"a": [1, float("nan"), None, {"b": "\ud800"}]}},
    )
    watches: list[tuple[str, dict[str, object], int | None]] = [
        (f"watch of {_short(value)}", {"x": value}, 1) for value in VALUES
    ]
    watches += [(f"watch of the name {_short(name)}", {name: 1}, 1) for name in NAMES]
    watches += [(f"watch at the step {step}", {"x": 1}, step) for step in STEPS]
    watches.append(("watch of several values", {f"value_{i}": value for i, value in enumerate(VALUES)}, None))
    calls = [(f"start with the config {_short(config)}", partial(_start, config=config)) for config in starts]
    calls += [(title, partial(_watch, values=values, step=step)) for title, values, step in watches]
    with bench.tracker() as tracker:
        for title, call in calls:
            try:
                call(tracker)
            except Exception as error:
                yield f"{title} raises {describe(error)}"


def _start(tracker: Tracker, config: Mapping[str, object] | None) -> None:
    tracker.start("pipeline", "job", config, 1.5)


def _watch(tracker: Tracker, values: Mapping[str, object], step: int | None) -> None:
    tracker.watch("pipeline", "job", values, step, 1.5)


def any_order(bench: _Bench) -> Iterator[str]:
    """A run may have no job, several iterations and several calls of `sync`; `close` may be called twice."""

    def value(tracker: Tracker) -> None:
        tracker.watch("p", "job", {"x": 1}, None, 1.0)

    sequences: dict[str, list[Callable[[Tracker], object]]] = {
        "close of a run without a job": [lambda t: t.close()],
        "sync of a run without a job": [lambda t: t.sync(), lambda t: t.close()],
        "a value of a job that was not started": [value, lambda t: t.close()],
        "a second call of sync": [value, lambda t: t.sync(), lambda t: t.sync(), lambda t: t.close()],
        "a second call of close": [value, lambda t: t.close(), lambda t: t.close()],
        "turn_to": [*(lambda t, n=n: t.turn_to(n) for n in (1, 2, 3, 1)), value, lambda t: t.close()],
    }
    for title, calls in sequences.items():
        try:
            tracker = bench.make(bench.work_dir())
            for call in calls:
                call(tracker)
        except Exception as error:
            yield f"{title} raises {describe(error)}"


def durable(bench: _Bench) -> Iterator[str]:
    """A value is stored once `sync` returns, before `close`."""
    work_dir, text = bench.work_dir(), _unique()
    tracker = bench.make(work_dir)
    tracker.start("pipeline", "job", {}, 1.0)
    tracker.watch("pipeline", "job", {"x": text}, 1, 1.0)
    tracker.sync()
    synced = bench.stored(work_dir)
    tracker.close()
    if text.encode() in synced:
        return
    if text.encode() in bench.stored(work_dir):
        yield "a value is stored by `close` only; `sync` must store it, so that it survives a crash"
    else:
        yield "a value is not found in what is stored; if it is not a file in the work directory, pass `stored`"


def appends(bench: _Bench) -> Iterator[str]:
    """A resumed run keeps the records of the runs before it."""
    work_dir, texts = bench.work_dir(), [_unique() for _ in range(3)]
    for text in texts:
        tracker = bench.make(work_dir, resume=True)
        tracker.start("pipeline", "job", {}, 1.0)
        tracker.watch("pipeline", "job", {"x": text}, 1, 1.0)
        tracker.close()
    stored = bench.stored(work_dir)
    for number, text in enumerate(texts, 1):
        if text.encode() not in stored:
            yield f"the value of run {number} of {len(texts)} in the same work directory is not found in what is stored"


def no_secrets(bench: _Bench) -> Iterator[str]:
    """Neither a secret of the config nor one of the environment is stored."""
    work_dir = bench.work_dir()
    secrets = {name: f"sk-{_unique()}" for name in ("in the environment", "of the config", "in a value")}
    before = os.environ.get("OPENAI_API_KEY")
    os.environ["OPENAI_API_KEY"] = secrets["in the environment"]
    try:
        tracker = bench.make(work_dir, config={"api_key": secrets["of the config"]})
        watcher = Watcher({"checked": tracker}, work_dir / local.FILE)
        watcher.start("pipeline", "job", {"extra_configs": {"api_key": secrets["of the config"]}})
        watcher.watch("pipeline", "job", {"note": f"Authorization: Bearer {secrets['in a value']}"})
        watcher.sync()
        watcher.close()
    finally:
        if before is None:
            del os.environ["OPENAI_API_KEY"]
        else:
            os.environ["OPENAI_API_KEY"] = before
    stored = bench.stored(work_dir)
    for position, secret in secrets.items():
        if secret.encode() in stored:
            yield f"a secret {position} is stored; store only what `start`, `watch` and `run.config` hold"


def harmless_failure(bench: _Bench) -> Iterator[str]:
    """If the work directory is gone or unusable, the tracker raises no more than an `Exception`."""
    missing = bench.work_dir() / "file"
    missing.write_text("not a folder")
    for title, break_folder in (
        ("the work directory is removed", lambda path: shutil.rmtree(path)),
        ("the work directory is replaced by a file", _replace_by_file),
    ):
        work_dir = bench.work_dir()
        try:
            watcher = Watcher({"checked": bench.make(work_dir)}, work_dir / local.FILE)
            watcher.start("pipeline", "job", {})
            watcher.watch("pipeline", "job", {"x": 1}, 1)
            break_folder(work_dir)
            with _silent():
                watcher.start("pipeline", "job", {})
                watcher.watch("pipeline", "job", {"x": 2}, 2)
                watcher.turn_to(2)
                watcher.sync()
                watcher.close()
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            yield f"{title}: the run ends with {describe(error)}"
    try:
        bench.make(missing).close()
    except Exception:  # noqa: S110  # the run goes on without the tracker
        pass
    except (SystemExit, KeyboardInterrupt) as error:
        yield f"the work directory is a file: the run ends with {describe(error)}"


def _replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a folder")


def clean_process(bench: _Bench) -> Iterator[str]:
    """After `close` the process is as it was; compared for a second run, since the first one imports libraries."""
    for number in range(2):
        state = ProcessState()
        tracker = bench.make(bench.work_dir())
        tracker.start("pipeline", "job", {}, 1.0)
        tracker.watch("pipeline", "job", {"x": 1}, 1, 1.0)
        tracker.close()
        changes = list(state.changes())
        state.restore()
        if number:
            yield from changes


def _unique() -> str:
    return f"conformance{uuid.uuid4().hex}"


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


@contextmanager
def _silent() -> Iterator[None]:
    """Without the warnings of the watcher about a tracker that fails as it should."""
    logger.disable("data_juicer_sandbox.watchers")
    try:
        yield
    finally:
        logger.enable("data_juicer_sandbox.watchers")
