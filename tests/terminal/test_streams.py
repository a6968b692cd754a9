"""Standard streams that survive the end of the terminal, and are put back afterwards."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest
from loguru import logger

from data_juicer_sandbox.components.data.isolation import output_to_log
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.streams import report_loss_to, surviving_outputs


class Broken(io.StringIO):
    """A stream that fails from a certain write on."""

    def __init__(self, error: Exception, good: int = 0):
        super().__init__()
        self.error, self.good = error, good

    def write(self, text):
        if self.good <= 0:
            raise self.error
        self.good -= 1
        return super().write(text)


ERRORS = [
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EBADF, "Bad file descriptor"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_reported_once_and_output_dropped(error, monkeypatch):
    stream, reports = Broken(error, good=1), []
    monkeypatch.setattr(sys, "stderr", stream)
    with surviving_outputs():
        report_loss_to(reports.append)
        sys.stderr.write("one\n")
        for _ in range(3):
            print("two", file=sys.stderr, flush=True)
        assert not sys.stderr.isatty()
    assert sys.stderr is stream
    assert stream.getvalue() == "one\n"
    assert reports == [f"the terminal is gone: standard error: {error.strerror}; the run continues without it"]


def test_what_was_lost_before_is_reported_at_once(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken(ERRORS[0]))
    reports = []
    with surviving_outputs():
        print("early", file=sys.stderr)
        report_loss_to(reports.append)
    assert len(reports) == 1


def test_a_stream_that_a_library_closed(monkeypatch):
    stream, reports = io.StringIO(), []
    monkeypatch.setattr(sys, "stderr", stream)
    with surviving_outputs():
        report_loss_to(reports.append)
        stream.close()
        print("late", file=sys.stderr)
        assert not sys.stderr.isatty()
    (report,) = reports
    assert "closed file" in report


def test_an_error_of_the_text_is_raised(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with surviving_outputs(), pytest.raises(UnicodeEncodeError):
        sys.stdout.write("é")


def test_a_full_pipe_that_does_not_wait_is_not_gone(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    reports = []
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb", buffering=0) as source:
        monkeypatch.setattr(sys, "stderr", stream)
        with surviving_outputs():
            report_loss_to(reports.append)
            for _ in range(100):
                print("x" * 8000, file=sys.stderr, flush=True)
            source.read(1 << 20)
            assert not sys.stderr.is_gone
        source.read(1 << 20)
    assert reports == []


def test_bytes_survive_too(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    with surviving_outputs():
        sys.stdout.buffer.write(b"x")
        sys.stdout.buffer.flush()
        sys.stdout.buffer.write(b"y")
        assert sys.stdout.is_gone
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_the_log_says_so_also_when_a_log_line_finds_out(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken(ERRORS[1]))
    with surviving_outputs():
        logs.setup(tmp_path / "sandbox.log", debug=False)
        logger.warning("take care")
        logger.warning("take care again")
        logs.close()
    text = (tmp_path / "sandbox.log").read_text()
    assert text.count("the terminal is gone: standard error: Input/output error; the run continues without it") == 1
    assert text.count("take care") == 2
    assert "Logging error" not in text


def test_the_output_of_data_juicer_is_captured_without_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken(ERRORS[0]))
    with surviving_outputs():
        logs.setup(tmp_path / "sandbox.log", debug=True)
        with output_to_log():
            print("from an OP")
            print("a bar", file=sys.stderr)
        logs.close()
    text = (tmp_path / "sandbox.log").read_text()
    assert "data-juicer | from an OP" in text
    assert "data-juicer | a bar" in text
    assert text.count("the terminal is gone") == 1


def test_the_log_is_private_and_never_a_link(tmp_path):
    logs.setup(tmp_path / "sandbox.log", debug=False)
    logs.close()
    assert (tmp_path / "sandbox.log").stat().st_mode & 0o777 == 0o600
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(WorkDirError, match="link is a symbolic link"):
        logs.setup(tmp_path / "link", debug=False)
    assert (tmp_path / "victim").read_text() == "mine"
