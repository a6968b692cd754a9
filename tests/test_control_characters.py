from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_juicer_sandbox.components.processes.program import Program
from data_juicer_sandbox.control_characters import escape_controls, log_entry, one_line
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.terminal.plain_view import PlainView
from data_juicer_sandbox.terminal.rich_view import RichView
from data_juicer_sandbox.terminal.view import FailedJob, SkippedJob

HOSTILE = "a\x1b[2Jb\rc\x9bd\u2028e\u202ef"
SHOWN = "a\\x1b[2Jb\\rc\\x9bd\\u2028e\\u202ef"


@given(st.text())
def test_no_control_character_is_left_and_all_else_stays(text):
    escaped = escape_controls(text)
    assert {character for character in escaped if unicodedata.category(character) == "Cc"} <= {"\t", "\n"}
    if not any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in text):
        assert escaped == text
    assert len(one_line(text).splitlines()) <= 1
    assert all(line.startswith("    ") or not line for line in log_entry(text).split("\n")[1:])


@pytest.mark.parametrize("view_class", [PlainView, RichView])
def test_a_view_shows_control_characters_escaped(view_class):
    stream = io.StringIO()
    view = view_class(stream)
    view.run_started(1, 1)
    view.message(HOSTILE)
    view.table(HOSTILE, ["metric", HOSTILE], [[HOSTILE + "\n", 1.0]])
    view.failure("p.j", HOSTILE, "log", HOSTILE)
    view.failures([FailedJob(HOSTILE, HOSTILE, HOSTILE)], [SkippedJob(HOSTILE, HOSTILE)], HOSTILE)
    view.job_skipped("p", HOSTILE, HOSTILE)
    view.job_failed("p", "j", 1.0, HOSTILE)
    view.close()
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u2028" not in text
    assert SHOWN in text


def test_the_last_lines_of_a_failing_program_are_shown_escaped():
    program = Program(["sh", "-c", "printf 'red \\033[31m alert'; exit 3"])
    with pytest.raises(JobError) as raised:
        list(program.run())
    assert "\x1b" not in str(raised.value)
    assert "red \\x1b[31m alert" in str(raised.value)


def test_a_row_of_a_csv_file_is_shown_escaped(tmp_path):
    from data_juicer_sandbox.components.io import read_rows

    path = tmp_path / "d\x1b[2J.csv"
    path.write_text("a,b\n1,2,3\n")
    with pytest.raises(JobError) as raised:
        list(read_rows(path))
    assert "\x1b" not in str(raised.value)
