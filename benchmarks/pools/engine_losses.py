"""The effect of an engine on unusual rows: each kind is mixed with ten plain rows, and compared with the output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from data import STATS

STAT = b'"__dj__stats__": {%s}' % b", ".join(b'"%s": 0.5' % stat.encode() for stat in STATS)


def row(odd: bytes, end: bytes = b"\n") -> bytes:
    return b'{"id": 1, %s, "text": "t", %s}' % (odd, STAT) + end


def meta(number: bytes = b"1", ratio: bytes = b"0.5", source: bytes = b"web", more: bytes = b"") -> bytes:
    return b'"meta": {"source": "%s", "n": %s, "ratio": %s, "deep": []%s}' % (source, number, ratio, more)


PLAIN = [row(meta(b"%d" % number)) for number in range(10)]

ODD: dict[str, bytes] = {
    "other keys in `meta`": row(b'"meta": {"source": "book", "pages": [1, 2]}'),
    "another kind of value": row(meta(b'"four"')),
    "an unknown field": row(meta() + b', "extra": {"a": 1}'),
    "another order of keys": b'{%s, "text": "t", %s, "id": 1}\n' % (STAT, meta()),
    "`1.00` and `1e-3`": row(meta(ratio=b"1.00")) + row(meta(ratio=b"1e-3")),
    "18 digits of a float": row(meta(ratio=b"0.123456789012345678")),
    "a huge integer": row(meta(b"1180591620717411303424")),
    "NaN": row(meta(ratio=b"NaN")),
    "dates as text": b"".join(PLAIN).replace(b"web", b"2024-01-01T10:00:00"),
    "an escaped letter": row(meta(source=rb"\u00e9\/")),
    "half of a surrogate pair": row(meta(source=rb"\ud83d")),
    "a key twice": row(meta(more=b', "n": 2')),
    "100 levels": row(meta().replace(b"[]", b"[" * 100 + b"]" * 100)),
    "no spaces": row(meta()).replace(b", ", b",").replace(b": ", b":"),
    "CRLF": row(meta(), b"\r\n"),
    "no last newline": row(meta(), b""),
    "a row of 20 MB": row(meta(source=b"x" * 20_000_000)),
}


def losses(command: Sequence[str], folder: Path) -> str:
    """One line: which kinds of row lose their spelling only, which their values, which are refused."""
    kinds_by_verdict: dict[str, list[str]] = {"re-encoded": [], "other values": [], "refused": []}
    all_re_encoded = tried(command, folder, PLAIN[0]) == "re-encoded"
    for kind, odd in ODD.items():
        if verdict := tried(command, folder, odd):
            kinds_by_verdict[verdict].append(kind)
    if all_re_encoded:
        kinds_by_verdict["re-encoded"] = ["every row"]
    return (
        "; ".join(f"{verdict}: {', '.join(kinds)}" for verdict, kinds in kinds_by_verdict.items() if kinds) or "nothing"
    )


def tried(command: Sequence[str], folder: Path, odd: bytes) -> str | None:
    """What became of the odd row and its plain neighbours in the parts by one stat; None if nothing."""
    pool, out = folder / "odd.jsonl", folder / "odd"
    out.mkdir()
    # What is like all its neighbours brings them along.
    content = odd if odd.count(b"\n") == len(PLAIN) else b"".join([*PLAIN, odd])
    pool.write_bytes(content)
    try:
        made = subprocess.run([*command, pool, out], cwd=folder, capture_output=True, timeout=120, check=False)
        if made.returncode:
            return "refused"
        lines = b"".join(path.read_bytes() for path in sorted(out.glob(f"{STATS[0]}_*"))).splitlines(keepends=True)
    finally:
        for path in [*out.iterdir()]:
            path.unlink()
        out.rmdir()
    wanted = (content if content.endswith(b"\n") else content + b"\n").splitlines(keepends=True)
    if sorted(lines) == sorted(wanted):
        return None
    return "re-encoded" if values(lines) == values(wanted) else "other values"


def values(lines: list[bytes]) -> list[str]:
    """What a reader gets to see, without the order of the keys."""
    return sorted(json.dumps(json.loads(line), sort_keys=True) for line in lines)
