"""Logging: all messages go to the run's log file, warnings also to the terminal.

In both, secrets are masked and control characters escaped.

Messages of libraries that use the standard `logging` are forwarded to loguru.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from loguru import logger
from loguru._logger import Core

from data_juicer_sandbox.control_characters import escape_controls, log_entry
from data_juicer_sandbox.files import open_append
from data_juicer_sandbox.secrets import mask_text, remember_environment
from data_juicer_sandbox.terminal.streams import report_loss_to
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    from loguru import Message, Record

FILE = "sandbox.log"
_FILE_FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {extra[job]} | {name}:{line} | {message}"
# Libraries that add handlers to their own loggers and disable propagation. Many of their warnings concern things that a
# user of the sandbox cannot change, so the terminal shows only their errors; the log file contains everything.
_LIBRARIES = (
    "accelerate", "datasets", "evalscope", "huggingface_hub", "modelscope", "optuna", "peft", "ray", "transformers",
    "trl", "vllm", "wandb",
)  # fmt: skip
_CHATTY = (
    "asyncio", "filelock", "fsspec", "h5py", "httpcore", "httpx", "matplotlib", "numba", "PIL", "urllib3",
)  # fmt: skip


class _Logs:
    """The log of one run."""

    def __init__(self, path: Path, debug: bool, file_only: bool):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.debug, self.file_only = path, debug, file_only
        file = io.BufferedWriter(open_append(path))
        self.stream = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self.show: Callable[[str], None] | None = None
        self.stdout, self.stderr = sys.stdout, sys.stderr
        self._undo = ExitStack()
        self._take_over()

    def _take_over(self) -> None:
        """Prepare the process's logging for this log; `close` restores it as it was."""
        # loguru cannot give back sinks that it removed. With a core of our own, the caller's sinks stay untouched.
        self._undo.callback(setattr, logger, "_core", logger._core)  # type: ignore[attr-defined]
        setattr(logger, "_core", Core())  # noqa: B010
        self._undo.callback(logging.root.setLevel, logging.root.level)
        self._undo.callback(setattr, logging.root, "handlers", logging.root.handlers[:])
        if logging._warnings_showwarning is None:  # type: ignore[attr-defined]
            logging.captureWarnings(True)
            self._undo.callback(logging.captureWarnings, False)
        for name in _CHATTY:
            library = logging.getLogger(name)
            self._undo.callback(library.setLevel, library.level)
        for name in _LIBRARIES:
            self._undo.callback(_redirect_library(name))

    def install(self) -> None:
        logger.remove()
        logger.configure(extra={"job": "-"}, patcher=lambda record: None)
        # A traceback must not show the values of variables (diagnose), since they may contain API keys.
        plain: dict[str, LibraryObject] = {"colorize": False, "backtrace": False, "diagnose": False, "catch": True}
        logger.add(self._to_file, level="DEBUG", format=_FILE_FORMAT, **plain)
        level = "DEBUG" if self.debug else "WARNING"
        logger.add(self._to_terminal, level=level, format=self._terminal_format, filter=self._for_terminal, **plain)
        logging.root.handlers = [_IntoLoguru()]
        logging.root.setLevel(logging.DEBUG if self.debug else logging.INFO)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.INFO if self.debug else logging.WARNING)

    def _to_file(self, message: Message) -> None:
        self.stream.write(log_entry(mask_text(str(message))))

    def note_loss(self, text: str) -> None:
        """Write to the log file that the terminal is gone. Does not use loguru: a loguru sink may have detected the
        loss, and a sink must not log.
        """
        now = datetime.now().astimezone()
        milliseconds = now.microsecond // 1000
        with suppress(OSError):  # a full disk may affect the log file, too
            self.stream.write(f"{now:%Y-%m-%d %H:%M:%S}.{milliseconds:03} | WARNING  | - | {__name__} | {text}\n")

    def _to_terminal(self, message: Message) -> None:
        text = escape_controls(mask_text(str(message))).rstrip("\n")
        if self.show:
            self.show(text)
        else:
            self.stderr.write(text + "\n")

    def _for_terminal(self, record: Record) -> bool:
        return not self.file_only and (self.debug or not record["extra"].get("file_only"))

    def _terminal_format(self, record: Record) -> str:
        return "{level}: {message}\n{exception}" if self.debug else "{level}: {message}\n"

    def close(self) -> None:
        self._undo.close()
        try:
            self.stream.close()
        except OSError as error:
            self.stderr.write(f"WARNING: the log {self.path} is not complete: {error.strerror}\n")


_logs: _Logs | None = None


def setup(log_file: Path, debug: bool, *, file_only: bool = False) -> None:
    """Append the log to a file; close the log that was set up before.

    Args:
        log_file: receives all messages from DEBUG up, with time, level and job.
        debug: show all messages on the terminal too, with tracebacks; else only warnings and errors.
        file_only: show nothing on the terminal.
    """
    global _logs
    close()
    remember_environment()
    _logs = _Logs(log_file, debug, file_only)
    _logs.install()
    report_loss_to(_logs.note_loss)


def show_warnings_only() -> None:
    """Set what this process shows while no log is set up: warnings and errors, not loguru's default of everything.

    For processes that this program started; the logging of a caller from Python is left alone.
    """
    logger.remove()
    logger.add(sys.stderr, level="WARNING", diagnose=False)


def restore() -> None:
    """Reinstall the sinks after a library removed them, as Data-Juicer does; does nothing without `setup`."""
    if _logs is None:
        return
    for name in ("stdout", "stderr"):  # Data-Juicer also redirects these two to loguru
        if type(getattr(sys, name)).__module__.startswith("data_juicer."):
            setattr(sys, name, getattr(_logs, name))
    _logs.install()


def close() -> None:
    """Close the log file, and restore the logging configuration from before `setup`."""
    global _logs
    if _logs is not None:
        report_loss_to(None)
        _logs.close()
        _logs = None


def show_through(show: Callable[[str], None] | None) -> None:
    """Pass terminal lines to a view, which prints them above its bars; None: write them to standard error again."""
    if _logs is not None:
        _logs.show = show


def terminal() -> TextIO:
    """Standard error as it was at `setup`, even if libraries have replaced `sys.stderr` since."""
    return _logs.stderr if _logs is not None else sys.stderr


@contextmanager
def job(label: str) -> Iterator[None]:
    """Name the job in every line that is logged in the block."""
    with logger.contextualize(job=label):
        yield


class _IntoLoguru(logging.Handler):
    """Forwards records of the standard `logging` to loguru, with their original logger name and line."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name.partition(".")[0] == "wandb":
            return  # wandb writes these messages to its own log file at any level
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        is_library_message = record.name.partition(".")[0] in _LIBRARIES and record.levelno < logging.ERROR
        bound = logger.bind(file_only=True) if is_library_message or record.name == "py.warnings" else logger
        bound.patch(_origin_setter(record)).opt(exception=record.exc_info).log(level, "{}", record.getMessage())


def _origin_setter(record: logging.LogRecord) -> Callable[[Record], None]:
    """Return a function that sets the logger's name and line, which loguru would take from the handler's caller."""

    def set_origin(loguru_record: Record) -> None:
        loguru_record["name"], loguru_record["line"], loguru_record["function"] = (
            record.name,
            record.lineno,
            record.funcName,
        )

    return set_origin


class _LibraryLogger(logging.Logger):
    """A library's top logger that ignores terminal handlers and always propagates its records to the root logger."""

    @property
    def propagate(self) -> bool:
        return True

    @propagate.setter
    def propagate(self, value: bool) -> None:
        """Ignore what a library sets: records always propagate."""

    def addHandler(self, hdlr: logging.Handler) -> None:  # noqa: N802 - the standard library's name
        if type(hdlr) is not logging.StreamHandler:
            super().addHandler(hdlr)


def _redirect_library(name: str) -> Callable[[], None]:
    """Turn a library's top logger into a `_LibraryLogger`, before or after the library is imported.

    Returns:
        the function that restores it.
    """
    library_logger = logging.getLogger(name)
    if type(library_logger) is not logging.Logger:
        return lambda: None
    propagate, handlers, level = library_logger.propagate, library_logger.handlers[:], library_logger.level
    library_logger.__dict__.pop("propagate", None)
    library_logger.__class__ = _LibraryLogger
    for handler in handlers:
        if type(handler) is logging.StreamHandler:
            library_logger.removeHandler(handler)

    def restore_library() -> None:
        library_logger.__class__ = logging.Logger
        library_logger.propagate, library_logger.handlers = propagate, handlers
        library_logger.setLevel(level)

    return restore_library
