"""`Program`: run an external program, stream its output, and end it with all its children."""

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
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from data_juicer_sandbox.components.processes import supervisor
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import MASK, mask, mask_text

LONGEST = 1 << 16
"""Bytes of a line; a longer one is cut into pieces."""
NEAR = 1 << 13
"""Bytes from the end of a piece in which a space is looked for."""
TAIL = 20
SHOWN = 500
_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A line of output.

    Args:
        text: without its end; what is not UTF-8 is replaced.
        error: it came on standard error.
    """

    text: str
    error: bool


@dataclass
class Program:
    """A program, run without a shell.

    Args:
        argv: program and arguments.
        cwd: the folder it runs in; the current one when None.
        env: added to the inherited environment.
        timeout: seconds it may take.
    """

    argv: list[str]
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    _word: int | None = field(default=None, init=False, repr=False)
    """The pipe to its supervisor, while it runs."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def stop(self) -> None:
        """End it in good order, also from another thread than the one that reads its lines."""
        with self._lock, suppress(BrokenPipeError):  # it may have ended just now
            if self._word is not None:
                os.write(self._word, b"t")

    def run(self) -> Generator[Line, None, None]:
        """Start it and give its lines as they come. When this ends, for whatever reason, nothing of the program is
        left.

        Raises:
            JobError: it cannot be started, took too long, or ended with another status than 0.
        """
        if self.cwd is not None and not Path(self.cwd).is_dir():
            raise JobError(f"there is no folder {self.cwd} to run {self.argv[0]} in")
        tail: deque[str] = deque(maxlen=TAIL)
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        with self._started() as process:
            try:
                for line in _lines(process, deadline):
                    if line.text.strip():
                        tail.append(line.text)
                    yield line
                status = process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise JobError(f"{self.argv[0]} took longer than {self.timeout:g} s{self._shown(tail)}") from None
        if status:
            raise JobError(f"{self.argv[0]} {_ended(status)}{self._shown(tail)}")

    def masked(self, text: str) -> str:
        """The text without secrets: those by their looks, and the values of variables named after keys or tokens."""
        for secret in self._secrets():
            text = text.replace(secret, MASK)
        return mask_text(text)

    def shown(self) -> str:
        """The command line, for reading."""
        return " ".join(shlex.quote(word) if word != MASK else word for word in map(self.masked, mask(self.argv)))

    def _secrets(self) -> list[str]:
        values = {value for name, value in {**os.environ, **self.env}.items() if _SECRET.search(name)}
        telling = (value for value in values if len(value) > 3 and value not in ("true", "false"))
        return sorted(telling, key=len, reverse=True)  # one may be part of another

    def _shown(self, tail: deque[str]) -> str:
        if not tail:
            return ", without any output"
        lines = self.masked("\n".join(tail)).split("\n")  # together: a private key has several
        return "; its last lines:\n" + "\n".join(f"  {line[:SHOWN]}" for line in lines)

    @contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        listening, word = os.pipe()
        command = [
            sys.executable,
            "-I",
            "-S",
            str(Path(supervisor.__file__).absolute()),
            str(listening),
            str(os.getpid()),
        ]
        try:
            process = subprocess.Popen(
                [*command, *self.argv],
                cwd=self.cwd,
                env={"PYTHONUNBUFFERED": "1", **os.environ, **self.env},  # or Python's output comes late, in blocks
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[listening],
                start_new_session=True,  # Ctrl-C reaches us alone, and we end it in good order
            )
        except BaseException:
            os.close(word)
            raise
        finally:
            os.close(listening)
        self._word = word
        try:
            yield process
        finally:
            try:
                if process.poll() is None:
                    os.write(word, b"t")
                    process.wait()
            finally:
                with self._lock:
                    self._word = None
                    os.close(word)  # kills it at once if the wait above was interrupted too
                for stream in (process.stdout, process.stderr):
                    if stream:
                        stream.close()


def _lines(process: subprocess.Popen[bytes], deadline: float | None) -> Iterator[Line]:
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, _Splitter(error=False))  # type: ignore[arg-type]
        selector.register(process.stderr, selectors.EVENT_READ, _Splitter(error=True))  # type: ignore[arg-type]
        while selector.get_map():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, LONGEST)
                if not chunk:
                    selector.unregister(key.fileobj)
                yield from key.data.feed(chunk)


@dataclass
class _Splitter:
    """Cuts a stream of bytes into lines; a carriage return ends one too, as progress bars use it."""

    error: bool
    rest: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[Line]:
        *whole, self.rest = re.split(rb"\r\n|\n|\r", self.rest + chunk)
        if self.rest and not chunk:
            whole, self.rest = [*whole, self.rest], b""
        elif len(self.rest) >= LONGEST:
            # between two words, if there is a space near the end: a secret that is cut is not known as one
            end = self.rest.rfind(b" ", LONGEST - NEAR) + 1 or len(self.rest)
            whole, self.rest = [*whole, self.rest[:end]], self.rest[end:]
        for line in whole:
            yield Line(line.decode("utf-8", "replace"), self.error)


def _ended(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return f"was ended by the signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
