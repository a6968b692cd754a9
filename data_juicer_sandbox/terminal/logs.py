"""Logging: everything into the run's log file, warnings onto the terminal, secrets into neither.

loguru is the one way in; what libraries say through the standard `logging` is led into it.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from data_juicer_sandbox.files import open_append
from data_juicer_sandbox.secrets import mask_text, remember_environment
from data_juicer_sandbox.terminal.streams import report_loss_to

if TYPE_CHECKING:
    from loguru import Message, Record

FILE = "sandbox.log"
_FILE_FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {extra[job]} | {name}:{line} | {message}"
# Libraries that hang a handler of their own onto their logger and keep it from the root's. They warn of much that a
# user of ours cannot mend: in the log it is kept, on the terminal only their errors are shown.
_LIBRARIES = (
    "accelerate", "datasets", "evalscope", "huggingface_hub", "modelscope", "optuna", "peft", "ray", "transformers",
    "trl", "vllm", "wandb",
)  # fmt: skip
_CHATTY = (
    "asyncio", "filelock", "fsspec", "h5py", "httpcore", "httpx", "matplotlib", "numba", "PIL", "urllib3",
)  # fmt: skip


class _Logs:
    """The log of one run."""

    def __init__(self, path: Path, debug: bool):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.debug = path, debug
        file = io.BufferedWriter(open_append(path))
        self.stream = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self.show: Callable[[str], None] | None = None
        self.stdout, self.stderr = sys.stdout, sys.stderr
        self.root_handlers, self.root_level = logging.root.handlers[:], logging.root.level

    def install(self) -> None:
        logger.remove()
        logger.configure(extra={"job": "-"}, patcher=lambda record: None)
        # A traceback never shows the values of variables (diagnose): there may be keys among them.
        plain: dict[str, Any] = {"colorize": False, "backtrace": False, "diagnose": False, "catch": True}
        logger.add(self._to_file, level="DEBUG", format=_FILE_FORMAT, **plain)
        level = "DEBUG" if self.debug else "WARNING"
        logger.add(self._to_terminal, level=level, format=self._terminal_format, filter=self._for_terminal, **plain)
        logging.root.handlers = [_IntoLoguru()]
        logging.root.setLevel(logging.DEBUG if self.debug else logging.INFO)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.INFO if self.debug else logging.WARNING)

    def _to_file(self, message: Message) -> None:
        self.stream.write(mask_text(str(message)))

    def note_loss(self, text: str) -> None:
        """Write that the terminal is gone. Not by way of loguru: a sink of it may be what found out, and it does not
        let a sink log.
        """
        now = datetime.now().astimezone()
        milliseconds = now.microsecond // 1000
        with suppress(OSError):  # a full disk may be what took both
            self.stream.write(f"{now:%Y-%m-%d %H:%M:%S}.{milliseconds:03} | WARNING  | - | {__name__} | {text}\n")

    def _to_terminal(self, message: Message) -> None:
        text = mask_text(str(message)).rstrip("\n")
        if self.show:
            self.show(text)
        else:
            self.stderr.write(text + "\n")

    def _for_terminal(self, record: Record) -> bool:
        return self.debug or not record["extra"].get("file_only")

    def _terminal_format(self, record: Record) -> str:
        return "{level}: {message}\n{exception}" if self.debug else "{level}: {message}\n"

    def close(self) -> None:
        logger.remove()
        logger.configure(extra={}, patcher=lambda record: None)
        logger.add(self.stderr, level="WARNING", diagnose=False)
        logging.root.handlers = self.root_handlers
        logging.root.setLevel(self.root_level)
        logging.captureWarnings(False)
        try:
            self.stream.close()
        except OSError as error:
            self.stderr.write(f"WARNING: the log {self.path} is not complete: {error.strerror}\n")


_logs: _Logs | None = None


def setup(log_file: Path, debug: bool) -> None:
    """Log into this file, in addition to what it holds; what was set up before is closed.

    Args:
        log_file: gets everything from DEBUG up, with time, level and job.
        debug: show it all on the terminal too, with tracebacks; if not, warnings and errors.
    """
    global _logs
    close()
    remember_environment()
    _logs = _Logs(log_file, debug)
    for name in _LIBRARIES:
        _tame(name)
    logging.captureWarnings(True)
    _logs.install()
    report_loss_to(_logs.note_loss)


def restore() -> None:
    """Put our sinks back after a library removed them, as Data-Juicer does; without `setup` there is nothing to do."""
    if _logs is None:
        return
    for name in ("stdout", "stderr"):  # Data-Juicer also leads these two into loguru
        if type(getattr(sys, name)).__module__.startswith("data_juicer."):
            setattr(sys, name, getattr(_logs, name))
    _logs.install()


def close() -> None:
    """Close the log file, and leave logging as it was found."""
    global _logs
    if _logs is not None:
        report_loss_to(None)
        _logs.close()
        _logs = None


def show_through(show: Callable[[str], None] | None) -> None:
    """Hand lines for the terminal to a view, which prints them above its bars; None to write them plainly again."""
    if _logs is not None:
        _logs.show = show


def terminal() -> TextIO:
    """Standard error as it was at `setup`, whatever libraries have put in its place since."""
    return _logs.stderr if _logs is not None else sys.stderr


@contextmanager
def job(label: str) -> Iterator[None]:
    """Name the job in every line that is logged in the block."""
    with logger.contextualize(job=label):
        yield


class _IntoLoguru(logging.Handler):
    """Hands a record of the standard library's logging to loguru, with its own place in the code."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name.partition(".")[0] == "wandb":
            return  # its chatter stands in a log of its own, whatever level it is asked for
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        known = record.name.partition(".")[0] in _LIBRARIES and record.levelno < logging.ERROR
        bound = logger.bind(file_only=True) if known or record.name == "py.warnings" else logger
        bound.patch(_placed(record)).opt(exception=record.exc_info).log(level, "{}", record.getMessage())


def _placed(record: logging.LogRecord) -> Callable[[Record], None]:
    """Sets the logger's name and line, which loguru would take from the handler's caller."""

    def set_place(found: Record) -> None:
        found["name"], found["line"], found["function"] = record.name, record.lineno, record.funcName

    return set_place


class _Tamed(logging.Logger):
    """A library's top logger: takes no terminal handler, and always passes its records on to the root's."""

    @property
    def propagate(self) -> bool:
        return True

    @propagate.setter
    def propagate(self, value: bool) -> None:
        """Whatever a library sets, its records go on."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the standard library's name
        if type(hdlr) is not logging.StreamHandler:
            super().addHandler(hdlr)


def _tame(name: str) -> None:
    """Make a library's top logger one of ours, whether the library is imported already or will be."""
    found = logging.getLogger(name)
    if type(found) is logging.Logger:
        found.__dict__.pop("propagate", None)
        found.__class__ = _Tamed
        for handler in found.handlers[:]:
            if type(handler) is logging.StreamHandler:
                found.removeHandler(handler)
