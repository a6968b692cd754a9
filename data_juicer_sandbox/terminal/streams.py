"""Standard output and standard error that may go away while a run lasts: a closed pipe or terminal, a full disk.

A failed write to them never raises. The first one is reported once, the descriptor is pointed at /dev/null (for the
processes that inherit it, and for the interpreter's flush at its exit), and all further output is dropped.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TextIO, cast

STANDARD = {1: "standard output", 2: "standard error"}
"""Descriptors that are pointed at /dev/null when writing to them fails."""


class Outputs:
    """The standard streams of a process, and whether they were lost.

    Args:
        stdout: standard output; None where its descriptor was closed before the interpreter started.
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
            _point_at_null(self._streams[number])
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if 1 in lost and not isinstance(error, BrokenPipeError):  # whoever closes a pipe early has read enough
            self.stdout_error = reason
        if lost:
            self._lost(lost, reason)

    def report_to(self, report: Callable[[str], None] | None) -> None:
        """Set who is told of a loss; what was lost before is told at once."""
        self._report = report
        while report is not None and self._losses:
            report(self._losses.pop(0))

    def _lost(self, numbers: list[int], reason: str) -> None:
        if os.getpid() == self._process:  # the process that a worker was forked from finds out by itself
            what = "the terminal is gone" if 2 in numbers else "standard output is gone"
            names = " and ".join(STANDARD[number] for number in numbers)
            self._losses.append(f"{what}: {names}: {reason}; the run continues without it")
            self.report_to(self._report)


class SurvivingStream:
    """A stream whose writes never raise because the terminal, the pipe or the disk behind it is gone.

    Args:
        stream: a text stream, or the binary stream behind one.
        outputs: is told of the first failure.
    """

    def __init__(self, stream: IO[Any], outputs: Outputs):
        self._stream, self._outputs = stream, outputs
        self.is_gone = False
        self._first = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # a copy that is being made has none yet
            raise AttributeError(name)
        return getattr(self._stream, name)

    def take_loss(self) -> bool:
        """Drop all further output; True for the first caller only."""
        self.is_gone = True
        # Never released: nobody waits for it, so that it is safe in forked processes and in signal handlers.
        return self._first.acquire(blocking=False)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    @property
    def buffer(self) -> Any:
        """The binary stream, which survives too."""
        return _Buffer(self._stream.buffer, self)  # type: ignore[attr-defined]

    def write(self, text: Any) -> int:
        """Write, or drop, a text."""
        if not self.is_gone:
            with self.surviving():
                self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write, or drop, several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or do nothing."""
        if not self.is_gone:
            with self.surviving():
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal, and still there."""
        try:
            return not self.is_gone and self._stream.isatty()
        except ValueError:  # closed
            return False

    def close(self) -> None:
        """Close the stream; what is written afterwards is dropped."""
        with self.surviving():
            self._stream.close()
        self.is_gone = True

    @contextlib.contextmanager
    def surviving(self) -> Iterator[None]:
        """Take an error of the stream for its end."""
        try:
            yield
        except BlockingIOError:
            pass  # a pipe that does not wait, and is full: this text is lost, the pipe is not
        except OSError as error:
            self._outputs.gone(self, error)
        except ValueError as error:
            if not _is_closed(self._stream):
                raise  # a text that cannot be encoded, say
            self._outputs.gone(self, error)


class _Buffer:
    """The binary stream below a surviving one."""

    def __init__(self, stream: IO[bytes], text: SurvivingStream):
        self._stream, self._text = stream, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: Any) -> int:
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
    """While the block runs, `sys.stdout` and `sys.stderr` survive the end of what they lead to.

    Args:
        restore: put the streams back that were there before. False for a process that ends after the block: the
            interpreter's last flush is to survive too.
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
    """Set who is told, once, that the terminal is gone; None for nobody."""
    if _outputs is not None:
        _outputs.report_to(report)


def _open_standard_descriptors() -> None:
    """Open /dev/null where descriptor 0, 1 or 2 is closed: the next file to be opened would get its number, and what a
    library or another process writes to standard error would end up in that file.
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


def _point_at_null(stream: SurvivingStream) -> None:
    descriptor = _descriptor(stream)
    if descriptor not in STANDARD:
        return
    with contextlib.suppress(OSError, ValueError):  # no free descriptor, or a stream that was closed
        opened = os.open(os.devnull, os.O_WRONLY)
        os.dup2(opened, descriptor)
        os.close(opened)
        stream._stream.flush()  # what it still holds would be written, and fail, at the interpreter's exit


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _descriptor(stream: SurvivingStream) -> int | None:
    try:
        return stream._stream.fileno()
    except (OSError, ValueError, AttributeError):  # a stream in memory, or a closed one
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
