from __future__ import annotations

import pytest

from data_juicer_sandbox.components.infer.messages import build_messages, build_messages_for_math_qa, parse_output
from data_juicer_sandbox.errors import JobError


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


def test_a_question_with_all_that_may_come_before_it():
    row = {"query": "And now?", "history": [["Hello", "Hi"], ("Who?", "Me")], "system": "Be brief."}
    assert build_messages(row, system_prompt="Be long.") == [
        system("Be brief."),
        user("Hello"),
        {"role": "assistant", "content": "Hi"},
        user("Who?"),
        {"role": "assistant", "content": "Me"},
        user("And now?"),
    ]
    assert build_messages({"q": 3}, query_key="q") == [user("3")]
    assert build_messages({"query": "x", "history": None}, system_prompt="s") == [system("s"), user("x")]


def test_ready_messages_are_kept():
    ready = [user("a"), {"role": "assistant", "content": "b"}]
    assert build_messages({"messages": ready}) == ready
    assert build_messages({"messages": ready}, system_prompt="s") == [system("s"), *ready]
    assert build_messages({"messages": [system("own"), *ready]}, system_prompt="s") == [system("own"), *ready]


def test_mathematics_asks_for_what_the_parser_finds():
    messages = build_messages_for_math_qa({"question": "1 + 1?"})
    assert messages[1] == user("1 + 1?")
    assert "\\boxed{}" in messages[0]["content"]
    answer = "First \\boxed{3}. No:\n\\boxed{ 2 }"
    assert parse_output(answer, pattern=r"\\boxed\{(.*?)\}") == "2"


def test_answers():
    assert parse_output("  yes \n") == "yes"
    assert parse_output("  yes ", strip=False) == "  yes "
    assert parse_output("a1 b2", pattern=r"[a-z]\d") == "b2"
    assert parse_output("none here", pattern=r"\d") is None


@pytest.mark.parametrize("build", [build_messages, build_messages_for_math_qa])
def test_a_row_without_its_question(build):
    with pytest.raises(JobError, match=r"a row has no 'qu.*its fields: other"):
        build({"other": 1})


def test_a_question_of_several_fields():
    row = {"question": "How many {legs}?", "prompt": "In digits.", "meta": {"n": 3}}
    asked = build_messages(row, template="{question}\n{prompt} {{{meta.n}}}")
    assert asked == [{"role": "user", "content": "How many {legs}?\nIn digits. {3}"}]
    assert build_messages(row, template="{prompt}", system_prompt="Be short.")[0]["content"] == "Be short."
    with pytest.raises(JobError, match=r"a row has no 'answer' .*question, prompt, meta"):
        build_messages(row, template="{question} {answer}")
    with pytest.raises(JobError, match=r"a row has no 'question\.__class__'"):
        build_messages(row, template="{question.__class__}")
