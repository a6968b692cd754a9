"""Signal handlers: SIGTERM, and SIGHUP from a closed terminal, end a run cleanly, as Ctrl-C does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130


class Interruption:
    """Turns the first SIGTERM or SIGHUP into a KeyboardInterrupt.

    Later signals are ignored during the cleanup (a closed terminal sends SIGHUP up to three times), except a second
    SIGTERM, which ends the process at once.
    """

    def __init__(self) -> None:
        self._interrupted = False
        self.hung_up = False
        """Whether a SIGHUP was received."""
        self._n_terms = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal.

        Raises:
            KeyboardInterrupt: it is the first one.
        """
        if number == signal.SIGTERM:
            self._n_terms += 1
            if self._n_terms > 1:
                os._exit(EXIT_CODE)
        else:
            self.hung_up = True
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP interrupt it. A SIGHUP that is ignored (`nohup`) stays ignored.

    The block restores the previous handlers at its end, with one exception: after a SIGHUP, further ones stay ignored.
    """
    interruption = Interruption()
    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, interruption)
    try:
        yield
    finally:
        for number, handler in before.items():
            if number != signal.SIGHUP or not interruption.hung_up:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def is_failure(error: BaseException, process: int) -> bool:
    """Whether an error of a component means that its job has failed; else the program is to end.

    A component that calls `sys.exit` has failed; so has one in which a library in Rust panics, such as a tokenizer.

    Args:
        error: the error.
        process: the process that called the component. A child that was forked there may end by `SystemExit`.
    """
    if isinstance(error, SystemExit):
        return os.getpid() == process
    return not isinstance(error, (KeyboardInterrupt, GeneratorExit))
