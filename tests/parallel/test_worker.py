"""The standard streams of a worker process: whole lines, in bounded time, with all that a component may use of them."""

import io
import sys
import time

import pytest
from loguru import logger

from data_juicer_sandbox.parallel import worker
from data_juicer_sandbox.parallel.worker import LoggedStream


@pytest.fixture
def logged():
    lines = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


@pytest.fixture
def stream():
    return LoggedStream(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))


def test_lines_are_logged_whole_and_a_last_one_at_the_end(stream, logged):
    for text in ("a ", "b\nc", "\n\n  \nd"):
        stream.write(text)
    assert logged == ["a b", "c"]
    stream.end()
    assert logged == ["a b", "c", "d"]


def test_of_a_progress_bar_the_last_state_is_logged(stream, logged):
    for text in ("\r10%", "\r50%", "\r", "100%", "\n", "10%\r", "20%\r", "next\r\n"):
        stream.write(text)
    stream.write("30%\r")
    stream.end()
    assert logged == ["100%", "next", "30%"]


@pytest.mark.parametrize("text", ["x" * 50, "\r" + "x" * 50, "x" * 50 + "\r"])
def test_what_has_no_line_break_takes_linear_time(stream, text):
    seconds = []
    for count in (5_000, 50_000):
        started = time.process_time()
        for _ in range(count):
            stream.write(text)
        seconds.append(time.process_time() - started)
    assert seconds[1] < 40 * seconds[0] + 0.5  # ten times as much; it was a hundred times as long


def test_a_line_without_end_is_logged_in_parts(stream, logged, monkeypatch):
    monkeypatch.setattr(worker, "MAX_LINE", 10)
    for _ in range(3):
        stream.write("123456")
    assert logged == ["123456123456"]


def test_a_component_may_use_it_like_a_standard_stream(monkeypatch):
    below = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", LoggedStream(below))
    sys.stdout.buffer.write(b"bytes")
    assert below.buffer.getvalue() == b"bytes"
    assert (sys.stdout.encoding, sys.stdout.writable(), sys.stdout.isatty()) == ("utf-8", True, False)
    sys.stdout.reconfigure(line_buffering=True)
