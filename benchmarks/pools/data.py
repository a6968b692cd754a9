"""The pools that are measured, made from a seed and streamed to the disk: nothing is downloaded or shipped."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

ROWS = 100_000
STATS = ("text_len", "num_words", "alnum_ratio", "special_char_ratio", "avg_line_length")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def texts(rng: random.Random) -> Iterator[str]:
    """Texts of 450 to 550 characters, some words with letters outside ASCII, some lines broken."""
    words = ["".join(rng.choices(LETTERS, k=rng.randint(2, 10))) for _ in range(5000)]
    words += ["été", "größe", "数据", "модель", '"quoted"', "back\\slash"] * 20
    ends = [" "] * 12 + ["\n"]
    while True:
        yield rng.choice(ends).join(rng.choices(words, k=90))[: rng.randint(450, 550)]


def metas(rng: random.Random) -> Iterator[dict[str, object]]:
    """A small nested mapping, its keys differing from row to row."""
    while True:
        yield {"source": "web", "url": {"host": f"h{rng.randint(1, 999)}.example", "depth": rng.randint(0, 9)}}
        yield {"source": "book", "page": rng.randint(1, 900), "authors": [rng.choice(LETTERS), "N. N."]}
        yield {"source": "chat", "turns": [{"role": "user", "tokens": rng.randint(1, 99)}], "language": None}
        yield {"score": rng.random(), "tags": [], "pages": "IV-X"}


def rows(count: int = ROWS, seed: int = 7) -> Iterator[bytes]:
    """Rows with `id`, `text`, `meta` and five stats, as jsonl lines of about 720 bytes."""
    rng = random.Random(seed)
    for number, text, meta in zip(range(count), texts(rng), metas(rng), strict=False):
        stats = (len(text), text.count(" ") + 1, rng.random(), rng.uniform(0, 0.4), rng.uniform(10, 500))
        row = {"id": number, "text": text, "meta": meta, "__dj__stats__": dict(zip(STATS, stats, strict=True))}
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def write(path: Path, lines: Iterator[bytes] | Sequence[bytes]) -> Path:
    with path.open("wb") as stream:
        stream.writelines(lines)
    return path


def members(size: int, seed: int) -> list[int]:
    """Which rows a pool holds, in its order: `size` of all, drawn at random. No two pools have the same order."""
    return random.Random(seed).sample(range(ROWS), size)


# Seeds under which a row lies in all ten thirds, so that every one of the 1,023 subsets has one.
THIRDS = {f"third_{number}": (ROWS // 3, 110 + number) for number in range(10)}
HALVES = {f"half_{number}": (ROWS // 2, 200 + number) for number in range(4)}
PROMPTS = [{"prompt_id": 0, "prompt": "Describe."}, {"prompt_id": 1, "prompt": "Décris en détail."}]


def make(folder: Path) -> None:
    """All pools: `pool`, ten random thirds and four halves of it, its first tenth, prompts, and a file of answers."""
    lines = list(rows())
    write(folder / "pool.jsonl", lines)
    write(folder / "tenth.jsonl", lines[: ROWS // 10])
    for name, (size, seed) in {**THIRDS, **HALVES}.items():
        write(folder / f"{name}.jsonl", [lines[place] for place in members(size, seed)])
    write(folder / "prompts.jsonl", [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in PROMPTS])
    rng = random.Random(9)
    answers = (b'"label": "%s", "predicted": "%s", "truth": %r, "guess": %r}\n' % answer for answer in answered(rng))
    write(folder / "answers.jsonl", (line[:-2] + b", " + answer for line, answer in zip(lines, answers, strict=False)))


def answered(rng: random.Random) -> Iterator[tuple[bytes, bytes, float, float]]:
    """A label and a predicted one, a number and a guess of it; about two labels in three are right."""
    while True:
        label, truth = rng.choice([b"yes", b"no", b"maybe"]), rng.uniform(0, 10)
        yield label, label if rng.random() < 0.5 else rng.choice([b"yes", b"no", b"maybe"]), truth, truth + rng.random()
