"""Inference with transformers: what batches write is what each prompt alone would get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.infer.huggingface import HuggingFaceInference
from data_juicer_sandbox.errors import ConfigError, JobError

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("transformers", reason="needs the extra `train`")


@pytest.fixture
def queries(docstrings):
    """Prompts of all lengths, out of order; one is empty."""
    return [docstrings[n][: 2 + (n * 37) % 70].split("\n")[0] for n in range(22)] + [""]


@pytest.fixture
def infer(writers, job, jsonl, tmp_path):
    """Ask a model; returns the rows, as they are written, and as mappings."""

    def call(asked, model="plain", sampling=None, **given):
        rows = [one if isinstance(one, dict) else {"query": one} for one in asked]
        given.setdefault("func_kwargs", {"strip": False})
        path = HuggingFaceInference(
            writers.get(model, model),
            jsonl("asked.jsonl", rows),
            str(tmp_path / "out"),
            sampling_params={"max_tokens": 12, **(sampling or {})},
            threads=1,
            **given,
        ).run(job)
        return [json.loads(line) for line in Path(path).read_text().splitlines()]

    return call


def test_batches_write_what_each_prompt_alone_gets(infer, written, queries, quiet):
    rows = infer(queries, batch_size=4)
    alone = [written("plain", query or "<|endoftext|>") for query in queries]
    assert [row["query"] for row in rows] == queries
    assert [row["response"] for row in rows] == [text for text, _, _ in alone]
    assert len({row["response"] for row in rows}) > 10
    seen = quiet.query("a_job")
    assert seen["prompt_tokens"] == sum(prompt for _, _, prompt in alone)
    assert seen["completion_tokens"] == sum(tokens for _, tokens, _ in alone)
    assert seen["rows"] == 23
    assert seen["failed"] == 0


def test_messages_go_through_the_chat_template(infer, written):
    asked = [{"query": "abc", "system": "be"}, {"query": "which of these is it"}]
    rendered = ["<|system|>be\n<|user|>abc\n<|assistant|>", "<|user|>which of these is it\n<|assistant|>"]
    rendered = [text.replace("\n", "") for text in rendered]  # the template cuts line ends away
    assert [row["response"] for row in infer(asked, "chat")] == [written("chat", text)[0] for text in rendered]
    glad = infer(asked[:1], "chat", chat_template_kwargs={"mood": "gladly"})
    assert glad[0]["response"] == written("chat", rendered[0] + "gladly")[0]


def test_without_a_template_or_when_told_so_they_are_a_plain_text(infer, written):
    asked = [{"query": "abc", "system": "be"}]
    expected = written("chat", "be\n\nabc")[0]
    assert infer(asked, "chat", chat=False)[0]["response"] == expected
    assert infer(asked, "plain")[0]["response"] == written("plain", "be\n\nabc")[0]
    with pytest.raises(JobError, match="no chat template"):
        infer(asked, "plain", chat=True)


def test_prompts_that_cannot_be_asked_are_failures(infer, written):
    rows = infer(["refused", "yes"], "chat")
    assert rows[0]["infer_error"]["kind"] == "prompt"
    assert "not that" in rows[0]["infer_error"]["message"]
    assert rows[1]["response"] == written("chat", "<|user|>yes<|assistant|>")[0]
    rows = infer(["word " * 60, "yes"])
    assert rows[0]["infer_error"]["kind"] == "too_long"
    assert "with 12 new ones they exceed the model's context of 64" in rows[0]["infer_error"]["message"]
    assert rows[1]["response"] == written("plain", "yes")[0]
    with pytest.raises(JobError, match="leave no room for a prompt"):
        infer(["yes"], sampling={"max_tokens": 64})


def test_what_is_drawn_depends_on_the_seed_and_the_row_alone(infer, queries):
    drawn = {"temperature": 1.5, "seed": 7}
    answers = [row["response"] for row in infer(queries, sampling=drawn, batch_size=5)]
    assert [row["response"] for row in infer(queries, sampling=drawn, batch_size=1)] == answers
    assert [row["response"] for row in infer(queries[:9], sampling=drawn, batch_size=5)] == answers[:9]
    other = [row["response"] for row in infer(queries, sampling={**drawn, "seed": 8})]
    assert sum(one != two for one, two in zip(answers, other, strict=True)) > 15
    assert len({row["response"] for row in infer(["the same"] * 8, sampling=drawn)}) > 4


def test_several_samples_of_a_row(infer, written):
    rows = infer(["one", "another one"], sampling={"n": 5, "temperature": 2.0, "top_p": 0.95}, batch_size=3)
    assert all(len(row["response"]) == len(set(row["response"])) == 5 for row in rows)
    again = infer(["one", "another one"], sampling={"n": 3, "temperature": 2.0, "top_p": 0.95}, batch_size=16)
    assert [row["response"] for row in again] == [row["response"][:3] for row in rows]
    narrow = infer(["one"], sampling={"n": 2, "top_k": 1})
    assert narrow[0]["response"] == [written("plain", "one")[0]] * 2


def test_tokens_are_drawn_as_often_as_they_are_probable():
    import torch

    from data_juicer_sandbox.components.infer.local.generator import drawing

    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().repeat(4000, 1)

    def shares(**shape):
        found = scores
        for one in drawing(list(range(4000)), 3, shape):
            found = one(None, found)
        return (found.argmax(-1).bincount(minlength=4) / 4000).tolist()

    assert shares() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    assert shares(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert shares(top_p=0.9) == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0], abs=0.03)
    assert shares(min_p=0.2) == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0], abs=0.03)
    hot = [p**0.5 / sum(q**0.5 for q in (0.5, 0.3, 0.15, 0.05)) for p in (0.5, 0.3, 0.15, 0.05)]
    assert shares(temperature=2.0) == pytest.approx(hot, abs=0.03)


def test_a_stop_text_ends_an_answer(infer, written, quiet):
    whole, other = written("plain", "Create a"), written("plain", "Return the")
    assert "*" in whole[0]
    assert "*" not in other[0]
    rows = infer(["Create a", "Return the"], sampling={"stop": ["*", "never"]})
    assert [row["response"] for row in rows] == [whole[0][: whole[0].index("*")], other[0]]
    assert other[1] + 3 < quiet.query("a_job")["completion_tokens"] < other[1] + whole[1]


def test_a_models_own_wish_to_draw_is_not_followed(infer, written, writers, tmp_path):
    import shutil

    own = tmp_path / "own"
    shutil.copytree(writers["plain"], own)
    wish = {"do_sample": True, "temperature": 9.0, "top_k": 3, "eos_token_id": 0, "max_length": 20, "use_cache": True}
    (own / "generation_config.json").write_text(json.dumps(wish))
    asked = ["Return the first", "Create"]
    expected = [written("plain", text)[0] for text in asked]
    assert [row["response"] for row in infer(asked, str(own))] == expected
    drawn = [row["response"] for row in infer(asked, str(own), {"do_sample": True})]
    assert drawn != expected
    assert drawn == [row["response"] for row in infer(asked, "plain", {"temperature": 9.0, "top_k": 3})]


def test_an_adapter_writes_what_the_merged_model_writes(infer, written, adapter):
    apart, merged = adapter
    asked = ["Return the first", "Create"]
    rows = infer(asked, apart, chat=False)
    assert [row["response"] for row in rows] == [written(merged, text)[0] for text in asked]
    assert rows[0]["response"] != written("chat", asked[0])[0]


def test_an_interrupted_job_is_continued(infer, queries, monkeypatch, quiet):
    from data_juicer_sandbox.components.infer.local.generator import Generator

    whole, calls = infer(queries, sampling={"temperature": 1.0}, batch_size=4), []
    generate = Generator.generate

    def interrupted(self, batch):
        calls.append(batch)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return generate(self, batch)

    monkeypatch.setattr(Generator, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        infer([*queries, "one more"], sampling={"temperature": 1.0}, batch_size=4)
    assert infer([*queries, "one more"], sampling={"temperature": 1.0}, batch_size=4)[:-1] == whole
    assert quiet.query("a_job")["kept"] == 12
    assert sum(len(batch) for batch in calls) == 24 + 4  # those of the broken-off batch were asked twice


def test_few_rows_are_held_at_once():
    from data_juicer_sandbox.components.infer.base.types import Request
    from data_juicer_sandbox.components.infer.local.batches import WINDOW, GeneratedText, infer_in_batches

    taken, most, done = 0, 0, 0

    def questions():
        nonlocal taken, most
        for number in range(5000):
            taken += 1
            most = max(most, taken - done)
            yield Request(number, "x" * (number % 9))

    def put(question, answer):
        nonlocal done
        done += 1

    def encode(question):
        return [1] * len(question.prompt)

    infer_in_batches(questions(), put, encode, lambda batch: [GeneratedText("", 0)] * len(batch), 1, 4)
    assert done == 5000
    assert most <= WINDOW * 4


def test_wrong_parameters_are_told(infer, writers):
    with pytest.raises(
        JobError, match=r"transformers has no parameter 'repetition_penaltie' \(did you mean 'repetition_penal"
    ):
        infer(["a"], sampling={"repetition_penaltie": 1.5})
    for wrong, told in (
        ({"max_new_tokens": 5}, "max_tokens and max_new_tokens are the same"),
        ({"max_tokens": 0}, "max_tokens: expected an integer of at least 1, got 0"),
        ({"temperature": -1}, "temperature: -1 is out of range"),
        ({"top_p": 0}, "top_p: 0 is out of range"),
        ({"top_k": 1.5}, "top_k: 1.5 is out of range"),
        ({"do_sample": False, "n": 2}, "would give 2 equal samples"),
        ({"temperature": 0, "n": 2}, "does not allow sampling"),
        ({"stop": [1]}, "expected a text or a list of texts"),
    ):
        with pytest.raises(ConfigError, match=told):
            infer(["a"], sampling=wrong)
    with pytest.raises(JobError, match="beam search does not sample"):
        infer(["a"], sampling={"num_beams": 2, "temperature": 1.0})
    with pytest.raises(JobError, match="neither a folder nor an available model"):
        infer(["a"], "no/such-model")


def test_parameters_of_transformers_reach_it(infer, written):
    asked = ["Return the first", "Create"]
    for options in ({"repetition_penalty": 1.8}, {"num_beams": 3}):
        rows = infer(asked, sampling=options)
        assert [row["response"] for row in rows] == [written("plain", text, **options)[0] for text in asked]


@pytest.mark.slow
def test_a_real_model_answers_in_batches(infer, smollm2):
    cities = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Germany": "Berlin", "China": "Beijing"}
    cities |= {"Russia": "Moscow", "Greece": "Athens", "Norway": "Oslo"}
    asked = [f"Name the capital city of {country}." for country in cities]
    sampling = {"max_tokens": 16, "stop": "."}
    rows = infer(asked, smollm2, sampling, batch_size=5)
    assert sum(city in row["response"] for city, row in zip(cities.values(), rows, strict=True)) >= 6
    assert not any("." in row["response"] for row in rows)
    alone = infer(asked, smollm2, sampling, batch_size=1)
    same = sum(one["response"] == other["response"] for one, other in zip(alone, rows, strict=True))
    assert same >= 7  # sums of other shapes may round differently
