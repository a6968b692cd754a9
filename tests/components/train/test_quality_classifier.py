from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_juicer_sandbox.components.quality import stored
from data_juicer_sandbox.components.quality.classifier import Hashing, characters, words
from data_juicer_sandbox.components.quality.learn import Examples
from data_juicer_sandbox.components.train.quality_classifier import TextQualityClassifier
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("sklearn", reason="needs the extra `evaluate`")


@pytest.fixture
def sides(jsonl, docstrings):
    """Good texts and half as many bad ones: the same words backwards."""
    good = jsonl("good.jsonl", [{"text": text} for text in docstrings[:200]] + [{"text": ""}])
    return good, jsonl("bad.jsonl", [{"text": text[::-1]} for text in docstrings[200:300]])


def test_good_and_bad_are_told_apart_and_the_figures_tell_how_well(sides, job, quiet):
    folder = TextQualityClassifier(*sides, held_out=0.3).run(job)
    figures = json.loads((Path(folder) / "training.json").read_text())["figures"]
    assert 0.95 < figures["held_out_auc"] <= 1
    assert figures["train_positive"] + figures["held_out_positive"] == 200  # the empty one is passed over
    assert figures["train_negative"] + figures["held_out_negative"] == 100
    assert 0.2 < figures["held_out_positive"] / 200 < 0.4
    steps = [(step, values["held_out"]["auc"]) for step, values in quiet.values if "held_out" in values]
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5]
    assert steps[-1][1] == figures["held_out_auc"]
    good, bad = stored.load(folder).score(["the value of the argument", "tnemugra eht fo eulav eht"])
    assert good > 0.5 > bad


def test_labels_that_mean_nothing_are_not_learnt(jsonl, docstrings, job):
    """The figures come from texts that were not learnt from: by heart, all of these could be told apart."""
    paths = [jsonl(f"{n}.jsonl", [{"text": text} for text in docstrings[n::2]]) for n in (0, 1)]
    folder = TextQualityClassifier(*paths, held_out=0.4, epochs=20).run(job)
    figures = json.loads((Path(folder) / "training.json").read_text())["figures"]
    assert 0.3 < figures["held_out_auc"] < 0.7


def test_same_data_and_seed_same_bytes_and_no_second_learning(sides, job, quiet, tmp_path):
    first = TextQualityClassifier(*sides, export_path=str(tmp_path / "a")).run(job)
    second = TextQualityClassifier(*sides, export_path=str(tmp_path / "b")).run(job)
    assert digest(first) == digest(second)
    other = TextQualityClassifier(*sides, export_path=str(tmp_path / "c"), seed=1).run(job)
    assert digest(Path(other) / "weights.npz") != digest(Path(first) / "weights.npz")
    inode = (Path(first) / "weights.npz").stat().st_ino
    TextQualityClassifier(*sides, export_path=first).run(job)
    assert (Path(first) / "weights.npz").stat().st_ino == inode
    Path(sides[1]).write_text('{"text": "something else"}\n' * 3)
    TextQualityClassifier(*sides, export_path=first, held_out=0).run(job)
    assert (Path(first) / "weights.npz").stat().st_ino != inode


def test_the_same_text_is_never_on_both_sides(jsonl):
    texts = [{"text": f"text {number % 50}"} for number in range(200)]
    examples = Examples(([jsonl("b.jsonl", texts)], [jsonl("g.jsonl", texts)]), "text", 0.3, 7, None)
    learnt, held = set(examples.texts(0, False)), set(examples.texts(0, True))
    assert not learnt & held
    assert len(learnt | held) == 50
    counts = examples.counted(False)
    mixed = [label for _, label in examples.mixed((counts[0], counts[1]))]
    assert mixed.count(0) == mixed.count(1) == counts[0]
    assert all(abs(2 * sum(mixed[:n]) - n) <= 1 for n in range(len(mixed)))


def test_characters_for_languages_without_spaces(jsonl, job):
    good = [{"text": "春天来了花开了" + chr(0x4E00 + number)} for number in range(40)]
    bad = [{"text": "了开花了来天春" + chr(0x4E00 + number)} for number in range(40)]
    paths = jsonl("g.jsonl", good), jsonl("b.jsonl", bad)
    folder = TextQualityClassifier(*paths, tokenizer="characters", held_out=0.3).run(job)
    assert json.loads((Path(folder) / "training.json").read_text())["figures"]["held_out_auc"] == 1.0
    assert characters("Ab c") == ["a", "b", "c", "ab"]


def test_words_are_those_of_java():
    assert words("A  b\tC \n ") == ["a", "", "b", "c"]
    assert words("") == [""]
    assert words("  ") == []
    assert words(" a\u00a0b\u2003c") == ["", "a\u00a0b\u2003c"]


@pytest.mark.parametrize(
    ("text", "counts"),
    [  # what Tokenizer and HashingTF of Spark 4.3 give
        (
            "hi i heard about spark and i wish",
            {18700: 1, 19036: 2, 20719: 1, 33808: 1, 66273: 1, 173558: 1, 219915: 1},
        ),
        ("", {249180: 1}),
        ("  a  B ", {107107: 1, 148981: 1, 249180: 3}),
        ("İstanbul ΣΑΣ naïve 漢字\u00a0x", {91910: 1, 149954: 1, 152928: 1, 229860: 1}),
    ],
)
def test_words_are_counted_and_hashed_as_spark_does(text, counts):
    matrix = Hashing(words, 1 << 18, normalize=False)([text])
    assert dict(zip(matrix.indices.tolist(), matrix.data.tolist(), strict=True)) == counts


def test_counts_are_scaled_to_length_one():
    scaled = Hashing(words, 1 << 18, normalize=True)(["a a b", " "])
    assert scaled.power(2).sum(axis=1).ravel().tolist()[0] == pytest.approx([1.0, 0.0])


def test_what_cannot_be_done_is_said(sides, jsonl, job, tmp_path):
    with pytest.raises(ConfigError, match=r"held_out 1\.0 leaves no texts"):
        TextQualityClassifier(*sides, held_out=1.0)
    empty = jsonl("empty.jsonl", [{"text": ""}])
    with pytest.raises(JobError, match="no negative texts to train on"):
        TextQualityClassifier(sides[0], empty).run(job)
    with pytest.raises(JobError, match="none of the 1 negative texts is held out"):
        TextQualityClassifier(sides[0], jsonl("one.jsonl", [{"text": "a b"}]), held_out=0.01).run(job)
    folder = Path(TextQualityClassifier(*sides, export_path=str(tmp_path / "q")).run(job))
    whole = (folder / "weights.npz").read_bytes()
    (folder / "weights.npz").write_bytes(whole[:1000])
    with pytest.raises(JobError, match="cannot be read"):
        stored.load(folder)


def test_no_pickle_is_loaded(sides, job, tmp_path):
    import numpy

    folder = Path(TextQualityClassifier(*sides, export_path=str(tmp_path / "q")).run(job))
    bomb = numpy.array([_Bomb(str(tmp_path / "went_off"))], dtype=object)
    numpy.savez(folder / "weights.npz", weights=bomb, intercept=numpy.array(0.0))
    with pytest.raises(JobError, match="cannot be read: ValueError"):
        stored.load(folder)
    assert not (tmp_path / "went_off").exists()


class _Bomb:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)
