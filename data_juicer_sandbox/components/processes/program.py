"""`Program`: run an external program, stream its output, and terminate it with all its children."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.processes import supervisor
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import MASK, mask, mask_text

MAX_LINE = 1 << 16
"""Maximum bytes of a line; a longer line is split."""
MAX_JSON_LINE = 1 << 22
"""The same for a line of standard output that begins like a JSON object, since it may hold metrics."""
SPLIT_RANGE = 1 << 13
"""Bytes at the end of a part of a split line, in which a space is searched."""
TAIL = 20
MAX_TAIL_LINE = 500
_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A line of output.

    Args:
        text: the line without its line break; invalid UTF-8 is replaced.
        error: whether it is from standard error.
    """

    text: str
    error: bool


@dataclass
class Program:
    """A program that is run without a shell.

    Args:
        argv: program and arguments.
        cwd: the working folder; None for the current folder.
        env: variables to add to the inherited environment.
        timeout: maximum run time in seconds.
    """

    argv: list[str]
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    _pipe: int | None = field(default=None, init=False, repr=False)
    """The pipe to the supervisor while the program runs."""
    _known_secrets: list[str] | None = field(default=None, init=False, repr=False)
    """The secrets of the environment that the program was started with."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def stop(self) -> None:
        """Terminate the program gracefully; may be called from another thread than `run`."""
        with self._lock, suppress(BrokenPipeError):  # the program may have ended already
            if self._pipe is not None:
                os.write(self._pipe, b"t")

    def run(self) -> Generator[Line, None, None]:
        """Start the program and yield its lines; see `batches`."""
        with closing(self.batches()) as batches:
            for lines in batches:
                yield from lines

    def batches(self) -> Generator[list[Line], None, None]:
        """Start the program and yield the lines that arrive together: one by one from a slow program, many from a fast
        one. When the generator ends, for any reason, no process of it is left.

        Raises:
            JobError: the program cannot be started, exceeds the timeout, or exits with a status other than 0.
        """
        if self.cwd is not None and not Path(self.cwd).is_dir():
            raise JobError(f"cannot run {self.argv[0]} in {self.cwd}: no such folder")
        tail: deque[str] = deque(maxlen=TAIL)
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        self._known_secrets = self._secrets()
        with self._started() as process:
            try:
                for lines in _batches(process, deadline):
                    tail.extend(line.text for line in lines[-TAIL:] if line.text.strip())
                    yield lines
                status = process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise JobError(f"{self.argv[0]} took longer than {self.timeout:g} s{self._tail_text(tail)}") from None
        if status:
            raise JobError(f"{self.argv[0]} {exit_reason(status)}{self._tail_text(tail)}")

    def masked(self, text: str) -> str:
        """Mask secrets in a text: by their format, and the values of variables named like keys or tokens."""
        for secret in self._secrets() if self._known_secrets is None else self._known_secrets:
            text = text.replace(secret, MASK)
        return mask_text(text)

    def shown(self) -> str:
        """The command line as readable text, without secrets."""
        return " ".join(shlex.quote(word) if word != MASK else word for word in map(self.masked, mask(self.argv)))

    def _secrets(self) -> list[str]:
        values = {value for name, value in {**os.environ, **self.env}.items() if _SECRET.search(name)}
        secrets = (value for value in values if len(value) > 3 and value not in ("true", "false"))
        return sorted(secrets, key=len, reverse=True)  # longest first, since one may contain another

    def _tail_text(self, tail: deque[str]) -> str:
        if not any(map(str.strip, tail)):
            return ", without any output"
        lines = self.masked("\n".join(tail)).split("\n")  # masked as one text, since a private key has several lines
        return "; its last lines:\n" + "\n".join(f"  {line[:MAX_TAIL_LINE]}" for line in lines)

    @contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        read_end, write_end = os.pipe()
        try:
            process = subprocess.Popen(
                supervised(self.argv, read_end),
                cwd=self.cwd,
                env={"PYTHONUNBUFFERED": "1", **os.environ, **self.env},  # Python would delay its output by buffering
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[read_end],
                start_new_session=True,  # Ctrl-C reaches only this process, which then terminates the program
            )
        except BaseException:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
        self._pipe = write_end
        try:
            yield process
        finally:
            try:
                if process.poll() is None:
                    os.write(write_end, b"t")
                    process.wait()
            finally:
                with self._lock:
                    self._pipe = None
                    os.close(write_end)  # the supervisor then kills the program at once, if the wait was interrupted
                for stream in (process.stdout, process.stderr):
                    if stream:
                        stream.close()


def supervised(argv: Sequence[str], pipe: int) -> list[str]:
    """The command that runs a program under the supervisor.

    Args:
        argv: the program and its arguments.
        pipe: the read end of the pipe that the supervisor inherits.
    """
    script = str(Path(supervisor.__file__).absolute())
    return [sys.executable, "-I", "-S", script, str(pipe), str(os.getpid()), *argv]


def exit_reason(status: int) -> str:
    """How a process ended, in words.

    Args:
        status: its exit status, negative for a signal, as `subprocess.Popen.returncode`.
    """
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return f"was ended by the signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _batches(process: subprocess.Popen[bytes], deadline: float | None) -> Iterator[list[Line]]:
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, _Splitter(error=False))  # type: ignore[arg-type]
        selector.register(process.stderr, selectors.EVENT_READ, _Splitter(error=True))  # type: ignore[arg-type]
        while selector.get_map():
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in selector.select(remaining):
                chunk = os.read(key.fd, MAX_LINE)
                if not chunk:
                    selector.unregister(key.fileobj)
                if lines := key.data.feed(chunk):
                    yield lines


@dataclass
class _Splitter:
    """Splits a byte stream into lines; a carriage return also ends a line, since progress bars use it."""

    error: bool
    rest: bytes = b""

    def feed(self, chunk: bytes) -> list[Line]:
        *lines, self.rest = re.split(rb"\r\n|\n|\r", self.rest + chunk)
        if self.rest and not chunk:
            lines, self.rest = [*lines, self.rest], b""
        elif len(self.rest) >= (MAX_JSON_LINE if not self.error and self.rest.startswith(b"{") else MAX_LINE):
            if self.rest.startswith(b"{"):
                logger.warning("a JSON line of {} bytes is split: its metrics cannot be read", len(self.rest))
            # at a space near the end, since a secret that is split is not recognized
            end = self.rest.rfind(b" ", len(self.rest) - SPLIT_RANGE) + 1 or len(self.rest)
            lines, self.rest = [*lines, self.rest[:end]], self.rest[end:]
        return [Line(line.decode("utf-8", "replace"), self.error) for line in lines]
