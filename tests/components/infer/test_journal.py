"""Answers on disk that were damaged: never in the output, always asked again."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from rule_server import RuleServer

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.infer.base.dataset import Fields, InferenceSettings, assemble
from data_juicer_sandbox.components.infer.base.journal import Journal
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import temporary_path

ROWS = 8
FIELDS = Fields("response", "infer_error")
ASKING = InferenceSettings(dict, str, FIELDS)


def outcome(row):
    """What a row is answered with, always: every third row fails; the texts look like lines of a journal."""
    if row % 3 == 2:
        return {"response": None, "infer_error": {"kind": "broken", "message": f"no {row}"}}, True
    return {"response": f'é{row} "{{"response": "1 + 2 3 {{}}"}}"'}, False


def add(journal, row):
    fields, failed = outcome(row)
    text = json.dumps(fields, ensure_ascii=False).encode()
    journal.add(row, text, failed=failed, prompt_tokens=row, completion_tokens=2)


def infer_in(folder):
    """What continues an inference from the bytes of a journal; it returns the output and the rows that were asked."""
    data = folder / "d.jsonl"
    data.write_text("".join(f'{{"n": {row}}}\n' for row in range(ROWS)))

    def call(content=None):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            place, target = Path(name) / "answers", Path(name) / "out.jsonl"
            if content is not None:
                place.write_bytes(content)
            journal = Journal(place, "abc", ROWS, FIELDS.fit)
            asked = [row for row in range(ROWS) if not journal.has(row)]
            for row in asked:
                add(journal, row)
            assert len(journal) == ROWS
            assemble(str(data), target, ASKING, journal)
            journal.close()
            return target.read_bytes(), asked

    return call


@pytest.fixture
def infer(tmp_path):
    return infer_in(tmp_path)


@pytest.fixture(scope="module")
def infer_once(tmp_path_factory):
    """`infer`, the bytes of a journal, those of one for other data, and the output of an undisturbed run."""
    folder = tmp_path_factory.mktemp("journals")
    infer = infer_in(folder)
    return infer, written(folder), written(folder, "other"), infer()[0]


def written(folder, digest="abc", rows=range(ROWS - 2), retry_after=3):
    """A journal's bytes: six of eight rows answered, with failures forgotten on the way and asked again."""
    path = Path(folder) / f"journal-{digest}"
    path.unlink(missing_ok=True)
    journal = Journal(path, digest, ROWS, FIELDS.fit)
    for row in rows:
        add(journal, row)
        if row == retry_after:
            journal.forget_failures()
    for row in rows:
        if not journal.has(row):
            add(journal, row)
    journal.close()
    return path.read_bytes()


def first_form(content):
    """The same journal as it was written before there were checksums."""
    head, *lines = content.splitlines(keepends=True)
    old = [line if line == b"retry\n" else b" ".join([*line.split(b" ")[:4], *line.split(b" ")[5:]]) for line in lines]
    return b"".join([head.replace(b"answers 2 ", b"answers 1 "), *old])


@pytest.fixture
def warnings():
    said: list[str] = []
    number = logger.add(said.append, level="WARNING", format="{message}")
    yield said
    logger.remove(number)


MUTATIONS = ("flip", "cut", "insert", "duplicate", "swap", "zeros", "foreign", "end")


def mutate(content, kind, draw, foreign):
    place = draw.randrange(len(content))
    length = draw.randint(1, 40)
    lines = content.splitlines(keepends=True)
    one, two = draw.randrange(len(lines)), draw.randrange(len(lines))
    if kind == "flip":
        return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]
    if kind == "cut":
        return content[:place] + content[place + length :]
    if kind == "insert":
        return content[:place] + content[(start := draw.randrange(len(content))) : start + length] + content[place:]
    if kind == "duplicate":
        lines.insert(one, lines[two])
    elif kind == "swap":
        lines[one], lines[two] = lines[two], lines[one]
    elif kind == "zeros":
        return content[:place] + bytes(length) + content[place + length :]
    elif kind == "foreign":
        lines.insert(one, draw.choice(foreign.splitlines(keepends=True)))
    else:
        return content[:place]
    return b"".join(lines)


@given(kinds=st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_no_damage_changes_the_output(infer_once, kinds, seed):
    infer, content, foreign, expected = infer_once
    draw = random.Random(seed)
    for kind in kinds:
        content = mutate(content, kind, draw, foreign) or b"\n"
    assert infer(content)[0] == expected


@given(kinds=st.lists(st.sampled_from(MUTATIONS[:-1]), min_size=1, max_size=3), seed=st.integers(0, 2**32))
def test_of_a_journal_without_checksums_all_rows_are_json(infer_once, kinds, seed):
    infer, content, foreign, _ = infer_once
    content, draw = first_form(content), random.Random(seed)
    for kind in kinds:
        content = mutate(content, kind, draw, first_form(foreign)) or b"\n"
    rows = [json.loads(line) for line in infer(content)[0].splitlines()]
    assert [row["n"] for row in rows] == list(range(ROWS))
    for row in rows:
        assert set(row) in ({"n", "response"}, {"n", "response", "infer_error"})


def test_undamaged_journals_of_both_forms_are_taken_over(infer, tmp_path, warnings):
    content = written(tmp_path)
    expected, asked = infer()
    assert asked == list(range(ROWS))
    for form in (content, first_form(content)):
        assert infer(form) == (expected, [6, 7])
    assert warnings == []


BAD_LINES = {
    "no JSON": b"0 + 1 2 {this is no JSON}\n",
    "a list": b"0 + 1 2 [1]\n",
    "the shape of another row": b'0 + 1 2 {"answer": "x"}\n',
    "a failure as an answer": b'0 + 1 2 {"response": null, "infer_error": {"kind": "a", "message": "b"}}\n',
    "an answer as a failure": b'0 - 1 2 {"response": "x"}\n',
    "the same key twice": b'0 + 1 2 {"response": "x", "response": "y"}\n',
    "no UTF-8": b'0 + 1 2 {"response": "\xff"}\n',
    "zeros": bytes(40) + b"\n",
    "no such row": b'999 + 1 2 {"response": "x"}\n',
    "a number of 5,000 digits": b"9" * 5000 + b' + 1 2 {"response": "x"}\n',
    "too deep": b'0 + 1 2 {"response": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
}


@pytest.mark.parametrize("case", BAD_LINES)
@pytest.mark.parametrize("form", [lambda content: content, first_form])
def test_a_line_that_only_looks_right(infer, tmp_path, warnings, case, form):
    expected, _ = infer()
    head, first, *others = form(written(tmp_path)).splitlines(keepends=True)
    assert first.startswith(b"0 + ")
    content = b"".join([head, BAD_LINES[case], *others])
    output, asked = infer(content)
    assert output == expected
    assert asked == [0, 6, 7]
    assert len(warnings) == 1
    assert "1 damaged lines are ignored; requests without a result are repeated" in warnings[0]


def test_a_line_of_a_row_under_the_number_of_another(infer, tmp_path):
    head, first, *others = written(tmp_path).splitlines(keepends=True)
    content = b"".join([head, b"1" + first[1:], *others])
    assert infer(content) == (infer()[0], [0, 6, 7])


def test_a_line_without_a_checksum_in_a_journal_that_has_them(infer, tmp_path):
    head, first, *others = written(tmp_path).splitlines(keepends=True)
    plain = b" ".join([*first.split(b" ")[:4], *first.split(b" ")[5:]])
    assert infer(b"".join([head, plain, *others])) == (infer()[0], [0, 6, 7])


def test_an_answer_is_final_and_a_copied_line_counts_once(tmp_path):
    content = written(tmp_path, rows=[0, 1], retry_after=None)
    head, first, second = content.splitlines(keepends=True)
    (tmp_path / "answers").write_bytes(head + first + second + first + second)
    journal = Journal(tmp_path / "answers", "abc", ROWS, FIELDS.fit)
    assert (journal.answered, journal.failed, journal.prompt_tokens, journal.damaged) == (2, 0, 1, 0)
    journal.close()


def test_a_journal_that_changes_while_the_job_runs(tmp_path):
    path = tmp_path / "answers"
    path.write_bytes(written(tmp_path))
    journal = Journal(path, "abc", ROWS, FIELDS.fit)
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa90", b"\xc3\xa91"))
    with pytest.raises(JobError, match=r"the result of row 1 in .* was changed while the job ran"):
        journal.fields(0)
    journal.close()


def test_a_damaged_journal_of_a_server_run(tmp_path, jsonl):
    """The whole way: rows of damaged lines are asked again, and the file is that of an undisturbed run."""
    pytest.importorskip("openai")
    from data_juicer_sandbox.components.infer.api import APIInference

    data = jsonl("d.jsonl", [{"query": f"q{number}"} for number in range(6)])
    with RuleServer(lambda prompt, body: [] if prompt == "q5" and not mended else [prompt.upper()]) as server:

        def run(name):
            job = JobRun("p", "n", tmp_path, NullJob(), NullJob())
            # One request at a time: the failure of the last row must not end a job in which others are under way.
            settings = {"api_endpoint": server.url, "api_key": "k", "max_retry_num": 0, "max_failures": 0}
            settings["max_concurrency"] = 1
            return APIInference("m", data, str(tmp_path / name), **settings).run(job)

        mended = True
        expected = Path(run("undisturbed")).read_bytes()
        mended = False
        with pytest.raises(JobError, match="1 of 6 rows failed"):
            run("damaged")
        mended, server.asked = True, []
        journal = temporary_path(tmp_path / "damaged/d_inference.jsonl", ".answers")
        lines = journal.read_bytes().splitlines(keepends=True)
        broken = [line.replace(b'"Q2"', b"Q2") for line in lines]
        assert broken != lines
        journal.write_bytes(b"".join(broken))
        assert Path(run("damaged")).read_bytes() == expected
        assert sorted(server.asked) == ["q2", "q5"]
