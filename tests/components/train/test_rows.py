"""Rows that the trainers of trl cannot use: found with file and row before a model is loaded."""

from __future__ import annotations

import json
import re

import pytest

from data_juicer_sandbox.components.train.dpo import PreferenceTrainer
from data_juicer_sandbox.components.train.grpo import RewardTrainer
from data_juicer_sandbox.components.train.sft import SupervisedTrainer
from data_juicer_sandbox.errors import JobError, error_chain

pytest.importorskip("trl")

USER = {"role": "user", "content": "Is it?"}
ASSISTANT = {"role": "assistant", "content": "Yes."}
REFUSING = (
    "{% for m in messages %}"
    "{% if m['role'] not in ['user', 'assistant'] %}{{ raise_exception('unknown role ' + m['role']) }}{% endif %}"
    "{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
)

BAD_VALUES = {
    "null": (None, "is null; a text or a list of messages"),
    "number": (3, "is a number; a text or a list of messages"),
    "object": (USER, "is an object; a text or a list of messages"),
    "truth": (True, "is a truth value; a text or a list of messages"),
    "empty list": ([], "is an empty list; one message"),
    "list of texts": (["Is it?"], r"\[0\] is a text; a message \(role, content\) is expected"),
    "message without role": ([{"content": "a"}], r"\[0\].role is missing; a text is expected"),
    "message without content": ([USER, {"role": "user"}], r"\[1\].content is missing; a text is expected"),
    "null content": ([{"role": "user", "content": None}], r"\[0\].content is null; a text is expected"),
    "list content": ([{"role": "user", "content": ["a"]}], r"\[0\].content is a list; a text is expected"),
    "surrogate": ("\ud800", "has half of a surrogate pair"),
    "surrogate in a message": ([{"role": "user", "content": "\ud800"}], r"\[0\].content has half of a surrogate pair"),
}
TEXT = {"prompt": "a", "completion": "b", "chosen": "c", "rejected": "d"}
USED = {"sft": ("prompt", "completion"), "dpo": ("prompt", "chosen", "rejected"), "grpo": ("prompt",)}


@pytest.fixture
def train(job, tiny_model, quiet):
    """Train on a file of rows by one of the trainers of trl."""

    def call(kind, path, **given):
        if kind == "sft":
            trainer = SupervisedTrainer(path, tiny_model, batch_size=4, max_steps=1, threads=1, **given)
        elif kind == "dpo":
            trainer = PreferenceTrainer(path, tiny_model, batch_size=4, max_steps=1, threads=1, **given)
        else:
            trainer = RewardTrainer(path, tiny_model, reward="json.dumps", max_steps=1, threads=1, **given)
        return trainer.run(job)

    return call


@pytest.fixture
def refused(train, job, monkeypatch):
    """Train on rows that must be refused before a model is loaded; returns the error."""

    def call(kind, path, **given):
        with pytest.raises(JobError) as caught:
            train(kind, path, **given)
        links = list(error_chain(caught.value))
        assert all(link.__cause__ is not caught.value for link in links)
        assert list(job.folder.iterdir()) == []
        return str(caught.value)

    return call


@pytest.mark.parametrize("shape", BAD_VALUES)
@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in USED.items() for key in keys])
def test_a_field_of_the_wrong_shape(refused, jsonl, kind, key, shape):
    value, message = BAD_VALUES[shape]
    good = {name: TEXT[name] for name in USED[kind]}
    path = jsonl("bad.jsonl", [good, good, json.dumps({**good, key: value}), good])
    said = refused(kind, path)
    assert said.startswith(f"{path}:3: ")
    assert key in said
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("kind", "key"),
    [("sft", "prompt"), ("sft", "completion"), ("dpo", "chosen"), ("dpo", "rejected"), ("grpo", "prompt")],
)
def test_a_field_that_is_missing(refused, jsonl, kind, key):
    good = {name: TEXT[name] for name in USED[kind]}
    path = jsonl("bad.jsonl", [good, {name: value for name, value in good.items() if name != key} | {"other": 1}])
    said = refused(kind, path)
    assert said.startswith(f"{path}:2: ")
    assert repr(key) in said
    assert "other" in said


MESSAGES = {
    "null": (None, "'messages' is null; a list of messages"),
    "text": ("Is it?", "'messages' is a text; a list of messages"),
    "empty": ([], "'messages' is an empty list"),
    "null content": ([USER, {**ASSISTANT, "content": None}], r"messages\[1\].content is null"),
    "no assistant": ([USER], "'messages' has no text of the assistant"),
}


@pytest.mark.parametrize("shape", MESSAGES)
def test_messages_of_the_wrong_shape(refused, jsonl, shape):
    value, message = MESSAGES[shape]
    path = jsonl("bad.jsonl", [{"messages": [USER, ASSISTANT]}, {"messages": value}])
    said = refused("sft", path)
    assert said.startswith(f"{path}:2: ")
    assert re.search(message, said), said


MIXED = {
    "sft, within a row": ("sft", {"prompt": "a", "completion": [ASSISTANT]}, "this row has prompt as text, compl"),
    "sft, messages and prompts": (
        "sft",
        {"messages": [USER, ASSISTANT]},
        "this row has messages as messages, the row at",
    ),
    "sft, texts and messages": (
        "sft",
        {"prompt": [USER], "completion": [ASSISTANT]},
        "prompt as messages, completion as",
    ),
    "dpo, within a row": ("dpo", {"prompt": "a", "chosen": "b", "rejected": [ASSISTANT]}, "rejected as messages"),
    "dpo, without a prompt": ("dpo", {"chosen": "b", "rejected": "c"}, "this row has chosen as text, rejected as text"),
    "dpo, empty": ("dpo", {"chosen": "", "rejected": "c"}, "'chosen' is empty; without 'prompt' it begins with"),
    "grpo": ("grpo", {"prompt": [USER]}, "this row has prompt as messages, the row at"),
}


@pytest.mark.parametrize("case", MIXED)
def test_rows_of_different_forms(refused, jsonl, case):
    kind, row, message = MIXED[case]
    path = jsonl("mixed.jsonl", [{name: TEXT[name] for name in USED[kind]}, row])
    said = refused(kind, path)
    assert said.startswith(f"{path}:2: ")
    assert message in said


SYSTEM = {"role": "system", "content": "Be brief."}
ROLES = {
    "sft": {"messages": [SYSTEM, ASSISTANT]},
    "dpo": {"prompt": [USER], "chosen": [SYSTEM], "rejected": [ASSISTANT]},
    "grpo": {"prompt": [SYSTEM]},
}


@pytest.mark.parametrize("kind", ROLES)
def test_a_role_that_the_template_refuses(refused, train, jsonl, tmp_path, kind):
    template = tmp_path / "refusing.jinja"
    template.write_text(REFUSING)
    path = jsonl("roles.jsonl", [ROLES[kind]])
    said = refused(kind, path, chat_template=str(template))
    assert said.startswith(f"{path}:1: the chat template rejects messages with the roles ")
    assert "unknown role system" in said


@pytest.mark.parametrize("kind", USED)
def test_lines_that_are_no_rows_and_data_without_rows(refused, jsonl, kind):
    good = {name: TEXT[name] for name in USED[kind]}
    assert refused(kind, path := jsonl("broken.jsonl", [good, "", "{"])).startswith(f"{path}:3: not a JSON row")
    assert "has no rows" in refused(kind, jsonl("none.jsonl", []))


def test_a_bad_row_of_the_second_data_set_is_found_before_the_first_is_trained_on(refused, jsonl, quiet):
    good, bad = jsonl("good.jsonl", [{"prompt": "a", "completion": "b"}] * 4), jsonl("bad.jsonl", [{"prompt": "a"}])
    assert refused("sft", [good, bad]).startswith(f"{bad}:1: ")
    assert quiet.values == []


def test_the_file_of_a_folder_is_named(refused, jsonl, tmp_path):
    jsonl("data/a.jsonl", [{"prompt": "a", "completion": "b"}] * 3)
    bad = jsonl("data/b.jsonl", [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": None}])
    assert refused("sft", str(tmp_path / "data")).startswith(f"{bad}:2: 'completion' is null")


def test_rows_that_make_no_table(refused, jsonl):
    path = jsonl("columns.jsonl", [{"prompt": "a", "goal": 1}, {"prompt": "b", "goal": 10**30}])
    assert "cannot be read as a table" in refused("grpo", path)


def test_fewer_prompts_than_a_batch_has_are_an_error_before_a_model_is_loaded(job, jsonl, tiny_model):
    path = jsonl("d.jsonl", [{"prompt": "a"}, {"prompt": "b"}])
    settings = {"reward": "trl.rewards.think_format_reward", "num_generations": 4, "threads": 1}
    with pytest.raises(JobError, match=r"d.jsonl has 2 rows, fewer than the 4 prompts of a batch .*at most 8\)"):
        RewardTrainer(path, tiny_model, batch_size=16, **settings).run(job)
    with pytest.raises(JobError, match=r"d.jsonl has 2 rows, fewer than the 4 prompts of a batch .*at most 4\)"):
        RewardTrainer(path, tiny_model, batch_size=8, training_args={"steps_per_generation": 2}, **settings).run(job)
