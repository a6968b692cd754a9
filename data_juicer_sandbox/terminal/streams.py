"""Standard output and standard error that survive a closed pipe or terminal, or a full disk, during a run.

A failed write never raises. The first failure is reported once, the descriptor is redirected to /dev/null (for the
processes that inherit it, and for the interpreter's flush at exit), and all further output is dropped.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TextIO, cast

STANDARD = {1: "standard output", 2: "standard error"}
"""Descriptors that are redirected to /dev/null if writing to them fails."""


class Outputs:
    """The standard streams of a process, and whether they were lost.

    Args:
        stdout: standard output; None if its descriptor was closed before the interpreter started.
        stderr: standard error, likewise.
    """

    def __init__(self, stdout: TextIO | None, stderr: TextIO | None):
        self._process = os.getpid()
        self._losses: list[str] = []
        self.stdout_error = ""
        self._report: Callable[[str], None] | None = None
        self._streams = {1: SurvivingStream(stdout or _null(), self), 2: SurvivingStream(stderr or _null(), self)}
        closed = [number for number, stream in ((1, stdout), (2, stderr)) if stream is None]
        for number in closed:
            self._streams[number].take_loss()
        if closed:
            self._lost(closed, "it is closed")

    @property
    def stdout(self) -> TextIO:
        """Standard output that survives."""
        return cast(TextIO, self._streams[1])

    @property
    def stderr(self) -> TextIO:
        """Standard error that survives."""
        return cast(TextIO, self._streams[2])

    def gone(self, stream: SurvivingStream, error: Exception) -> None:
        """Drop all further output of a stream, and of the other one if both lead to the same pipe, file or terminal."""
        identity = _identity(stream)
        lost = [
            number
            for number, other in self._streams.items()
            if (other is stream or (identity is not None and _identity(other) == identity)) and other.take_loss()
        ]
        for number in lost:
            _redirect_to_null(self._streams[number])
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if 1 in lost and not isinstance(error, BrokenPipeError):  # whoever closes a pipe early has read enough
            self.stdout_error = reason
        if lost:
            self._lost(lost, reason)

    def report_to(self, report: Callable[[str], None] | None) -> None:
        """Set the function that reports a loss; earlier losses are reported at once."""
        self._report = report
        while report is not None and self._losses:
            report(self._losses.pop(0))

    def _lost(self, numbers: list[int], reason: str) -> None:
        if os.getpid() == self._process:  # not in a forked worker: its parent detects the loss itself
            what = "the terminal is gone" if 2 in numbers else "standard output is gone"
            names = " and ".join(STANDARD[number] for number in numbers)
            self._losses.append(f"{what}: {names}: {reason}; the run continues without it")
            self.report_to(self._report)


class SurvivingStream:
    """A stream whose writes never raise because the terminal, the pipe or the disk behind it is gone.

    Args:
        stream: a text stream, or the binary stream behind one.
        outputs: notified of the first failure.
    """

    def __init__(self, stream: IO[Any], outputs: Outputs):
        self._stream, self._outputs = stream, outputs
        self.is_gone = False
        self._first = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # not yet set while an instance is copied
            raise AttributeError(name)
        return getattr(self._stream, name)

    def take_loss(self) -> bool:
        """Drop all further output; True for the first caller only."""
        self.is_gone = True
        # Never released and never waited for, so it is safe in forked processes and in signal handlers.
        return self._first.acquire(blocking=False)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    @property
    def buffer(self) -> _Buffer:
        """The binary stream, which survives too."""
        return _Buffer(self._stream.buffer, self)  # type: ignore[attr-defined]

    def write(self, text: Any) -> int:
        """Write, or drop, a text."""
        if not self.is_gone:
            with self.surviving():
                self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[object]) -> None:
        """Write, or drop, several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or do nothing."""
        if not self.is_gone:
            with self.surviving():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal that is still open."""
        try:
            return not self.is_gone and self._stream.isatty()
        except ValueError:  # closed
            return False

    def close(self) -> None:
        """Close the stream; further output is dropped."""
        with self.surviving():
            self._stream.close()
        self.is_gone = True

    @contextlib.contextmanager
    def surviving(self) -> Iterator[None]:
        """Treat an error of the stream as its end."""
        try:
            yield
        except BlockingIOError:
            pass  # a full non-blocking pipe: this text is lost, but the pipe still works
        except OSError as error:
            self._outputs.gone(self, error)
        except ValueError as error:
            if not _is_closed(self._stream):
                raise  # for example a text that cannot be encoded
            self._outputs.gone(self, error)


class _Buffer:
    """The binary stream below a surviving one."""

    def __init__(self, stream: IO[bytes], text: SurvivingStream):
        self._stream, self._text = stream, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> int:
        if not self._text.is_gone:
            with self._text.surviving():
                self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        if not self._text.is_gone:
            with self._text.surviving():
                self._stream.flush()


_outputs: Outputs | None = None


@contextlib.contextmanager
def surviving_outputs(*, restore: bool = True) -> Iterator[None]:
    """While the block runs, `sys.stdout` and `sys.stderr` survive the loss of their pipe, terminal or file.

    Args:
        restore: restore the previous streams at the end. False for a process that ends after the block, so that the
            interpreter's last flush survives too.
    """
    global _outputs
    _open_standard_descriptors()
    before = _outputs, sys.stdout, sys.stderr
    _outputs = Outputs(sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = installed = _outputs.stdout, _outputs.stderr
    try:
        yield
    finally:
        for stream in installed:
            stream.flush()
        if restore:
            _outputs, sys.stdout, sys.stderr = before


def flush_stdout() -> str:
    """Write what standard output still holds; returns why part of the output was lost, or an empty text."""
    sys.stdout.flush()
    return _outputs.stdout_error if _outputs is not None else ""


def report_loss_to(report: Callable[[str], None] | None) -> None:
    """Set the function that reports, once, that the terminal is gone; None for no report."""
    if _outputs is not None:
        _outputs.report_to(report)


def _open_standard_descriptors() -> None:
    """Open /dev/null for each of the descriptors 0, 1 and 2 that is closed. Otherwise the next opened file would get
    that number, and output to standard error would be written into it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _redirect_to_null(stream: SurvivingStream) -> None:
    descriptor = _descriptor(stream)
    if descriptor not in STANDARD:
        return
    with contextlib.suppress(OSError, ValueError):  # no free descriptor, or a stream that was closed
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
        stream._stream.flush()  # otherwise buffered text would be written at exit, which would fail


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _descriptor(stream: SurvivingStream) -> int | None:
    try:
        return stream._stream.fileno()
    except (OSError, ValueError, AttributeError):  # an in-memory or closed stream
        return None


def _identity(stream: SurvivingStream) -> tuple[int, int] | None:
    descriptor = _descriptor(stream)
    try:
        status = os.fstat(descriptor) if descriptor is not None else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status is not None else None


def _is_closed(stream: IO[Any]) -> bool:
    try:
        return stream.closed
    except ValueError:  # its buffer was detached
        return True
