"""Isolation of Data-Juicer: capture output, refuse installs, show progress bars. Light: imports no large library."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loguru import logger

from data_juicer_sandbox.components.base import Progress, Task
from data_juicer_sandbox.errors import MissingDependency

if TYPE_CHECKING:
    from loguru import Record

_INSTALLERS = re.compile(r"(^|/)(pip[\d.]*|uv|conda|mamba|poetry|mim)$")
_installs_forbidden = False
_hooked = False


class NotInstalled(MissingDependency, ImportError):
    """A package that an OP needs is missing. Also an ImportError, since Data-Juicer has fallbacks for it."""

    def __init__(self, package: str):
        super().__init__(
            f"Data-Juicer needs the Python package {package!r}, which is not installed",
            hint=f"pip install '{package}'",
        )
        self.package = package

    def __reduce__(self) -> tuple[type[NotInstalled], tuple[str]]:
        return type(self), (self.package,)  # pickles with its argument, for worker processes


def refuse_install(package: object, pip_args: object = None) -> bool:
    """Replaces Data-Juicer's installer: checks that a package is installed, and never installs it.

    Data-Juicer names packages as pip does; it takes a package for missing if its module has another name.

    Raises:
        NotInstalled: the package is missing.
    """
    requirement = str(package)
    name = re.split(r"[@<>=!~\[; ]", requirement)[0].rstrip("/").rpartition("/")[2].removesuffix(".git")
    try:
        version = importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        raise NotInstalled(requirement) from None
    logger.debug("data-juicer needs {}; {} {} is installed", requirement, name, version)
    return True


def _refuse_installer(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: some OPs start pip themselves, not by the installer that `refuse_install` replaces."""
    if not _installs_forbidden or event != "subprocess.Popen":
        return
    argv = args[1]
    words = (argv if isinstance(argv, str) else " ".join(os.fsdecode(word) for word in argv or ())).split()
    if "install" in words and any(_INSTALLERS.search(word) for word in words[: words.index("install")]):
        packages = [word for word in words[words.index("install") + 1 :] if not word.startswith("-")]
        raise NotInstalled(" ".join(packages))


@contextmanager
def no_installs() -> Iterator[None]:
    """Forbid installs in the block, in this process and in processes that it forks or spawns."""
    global _installs_forbidden, _hooked
    if not _hooked:
        sys.addaudithook(_refuse_installer)
        _hooked = True
    before = _installs_forbidden
    _installs_forbidden = True
    try:
        with environment(PIP_NO_INDEX="1", UV_OFFLINE="1"):  # for spawned processes, which lack the hook
            yield
    finally:
        _installs_forbidden = before


@contextmanager
def swapped(owner: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute of a module, a class or an object, for the block."""
    is_own_attribute = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_own_attribute:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Set environment variables for the block (None: unset), then restore the environment."""
    before = dict(os.environ)
    _set_environment(values)
    try:
        yield
    finally:
        changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
        _set_environment({name: before.get(name) for name in changed})


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class _ToLog(io.TextIOBase):
    """A stream that logs its lines at DEBUG; text before a carriage return is dropped."""

    def __init__(self, real: Any):
        # rich reads this attribute, so that its bars still reach the terminal
        self.rich_proxied_file = getattr(real, "rich_proxied_file", real)
        self._rest = ""
        self._busy = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._busy:  # avoids recursion if a log sink writes to sys.stderr
            self.rich_proxied_file.write(text)
            return len(text)
        self._busy = True
        try:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                visible = line.rstrip("\r").rpartition("\r")[2].rstrip()
                if visible:
                    logger.debug("data-juicer | {}", visible)
        finally:
            self._busy = False
        return len(text)


@contextmanager
def output_to_log() -> Iterator[None]:
    """Redirect printed output to the log at DEBUG, and Data-Juicer's messages below ERROR to the log file only."""

    def to_file_only(record: Record) -> None:
        is_sandbox = (record["name"] or "").startswith("data_juicer_sandbox.")
        # A forked worker may have a copy of the terminal view's lock in locked state.
        if (not is_sandbox and record["level"].no < 40) or os.getpid() != owner:
            record["extra"]["file_only"] = True

    owner = os.getpid()
    logger.configure(patcher=to_file_only)
    try:
        with (
            contextlib.redirect_stdout(_ToLog(sys.stdout)),
            contextlib.redirect_stderr(_ToLog(sys.stderr)),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.configure(patcher=lambda record: None)


def bars_of(progress: Progress) -> type[Bar]:
    """A tqdm-compatible class whose bars are tasks of `progress`."""
    return type("JobBar", (Bar,), {"progress": progress})


class Bar:
    """The part of tqdm's interface that the `datasets` library uses."""

    progress: Progress
    _lock: object

    def __init__(
        self,
        iterable: Iterable[object] | None = None,
        desc: str | None = None,
        total: float | None = None,
        disable: bool = False,
        initial: float = 0,
        **_ignored: object,
    ):
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self.iterable, self.total, self.n = iterable, total, initial
        self.disable = disable
        self._manager: contextlib.AbstractContextManager[Task] | None = None
        self._task: Task | None = None
        self._name = _short_name(desc)
        self._owner = os.getpid()
        if not disable:
            self._manager = self.progress.task(self._name, total)
            self._task = self._manager.__enter__()

    def update(self, n: float | None = 1) -> bool:
        """Advance by n."""
        self.n += n or 0
        if self._task is not None and os.getpid() == self._owner:
            self._task.advance(n or 0)
        return True

    def close(self) -> None:
        """Remove the bar."""
        manager, self._manager, self._task = self._manager, None, None
        if manager is not None and os.getpid() == self._owner:
            manager.__exit__(None, None, None)

    def __iter__(self) -> Iterator[object]:
        try:
            for item in self.iterable or ():
                yield item
                self.update(1)
        finally:
            self.close()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Show a description as the task's note; the bar keeps its first name."""
        if self._task is not None and desc and os.getpid() == self._owner:
            self._task.update(note=_short_name(desc))

    set_description_str = set_description

    def set_postfix(self, *_args: object, **_values: object) -> None:
        """Ignored."""

    set_postfix_str = set_postfix

    def refresh(self, *_args: object, **_values: object) -> None:
        """Ignored, since the task refreshes itself."""

    @classmethod
    def write(cls, text: str, *_args: object, **_values: object) -> None:
        """Log a line."""
        logger.debug("data-juicer | {}", text)

    @classmethod
    def get_lock(cls) -> contextlib.AbstractContextManager[None]:
        """A null context: threads that share a bar only add to it, so no lock is needed."""
        return contextlib.nullcontext()

    @classmethod
    def set_lock(cls, lock: object) -> None:
        """See `get_lock`; tqdm's own functions delete the attribute afterwards."""
        cls._lock = lock


def _short_name(description: str | None) -> str:
    """Shorten a description: `words_num_filter_compute_stats (num_proc=2)` becomes `words_num_filter`."""
    text = (description or "").split(" (num_proc=")[0]
    for ending in ("_compute_stats", "_compute_hash", "_process"):
        text = text.removesuffix(ending)
    return text or "data-juicer"
