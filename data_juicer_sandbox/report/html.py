"""Pieces of a page: tables, cells, folds, and the page around them. All text is escaped here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

import xxhash

GENERATOR = '<meta name="generator" content="data_juicer_sandbox">'
"""Marks a page that this program wrote."""

_HEAD = '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">' + GENERATOR

_STYLE = """
:root{--fg:#1d2329;--dim:#5c6670;--bg:#fff;--line:#d9dee3;--head:#f3f5f7;--ok:#137333;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--fg:#e4e8ec;--dim:#9aa5b0;--bg:#15191d;--line:#39424a;
--head:#20262c;--ok:#7bd88f;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);
margin:2rem auto;padding:0 1.2rem;max-width:75rem}
h1{font-size:1.6rem;margin:0 0 .2rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
p{margin:.3rem 0}.dim{color:var(--dim)}.ok{color:var(--ok)}.bad{color:var(--bad)}.t{white-space:nowrap}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;margin:.4rem 0}
th,td{border:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top}
th{background:var(--head)}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre{font:.85rem/1.4 ui-monospace,monospace}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}
td code{overflow-wrap:anywhere}td:has(>code){min-width:14rem}details{margin:.4rem 0}summary{cursor:pointer}
.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}figcaption{font-weight:600;font-size:.9rem}
svg.plot{max-width:100%;height:auto;font:11px system-ui,sans-serif}.plot text{fill:var(--fg)}
.plot .grid{stroke:var(--line)}.plot .axis{stroke:var(--dim)}.plot polyline{fill:none;stroke-width:1.6}
"""


def page(title: str, body: Sequence[str]) -> str:
    """A self-contained page."""
    text = (
        f'{_HEAD}<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )
    return text + _seal(text.encode("utf-8", "backslashreplace")).decode()


def is_own_page(path: Path) -> bool:
    """Whether a file is a page as this program wrote it, which may be replaced; not one that somebody edited."""
    with path.open("rb") as stream:
        if stream.read(len(_HEAD)) != _HEAD.encode():
            return False
        text, end, seal = (_HEAD.encode() + stream.read()).rpartition(b"</html>\n")
    return seal == _seal(text + end)


def _seal(text: bytes) -> bytes:
    """A comment with the digest of a page, to detect edits."""
    return f"<!-- {xxhash.xxh3_128_hexdigest(text)} -->\n".encode()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; a cell that is `Raw` is taken as it is."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(cell(value) for value in row) + "</tr>\n" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


class Raw(str):
    """Text that is HTML already."""


def cell(value: object) -> str:
    """A table's cell: numbers at the right, long text folded."""
    if isinstance(value, Raw):
        return f"<td>{value}</td>"
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return f"<td>{text(value)}</td>"
    if isinstance(value, (int, float)):
        return f'<td class="n">{figure(value)}</td>'
    return f"<td>{text(value)}</td>"


def figure(value: float) -> str:
    """A number in at most six digits, whole numbers in full."""
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:.6g}"


def text(value: object) -> str:
    """Any value as text, folded where it is long."""
    if value is None:
        return ""
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(words) <= 200:
        return f"<code>{escape(words)}</code>" if not isinstance(value, str) or "/" in words else escape(words)
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, default=str)
    return fold(words[:80] + " …", f"<pre>{escape(whole)}</pre>")


def faults(sentences: Sequence[str]) -> list[str]:
    """What could not be read, as a list; nothing without any."""
    if not sentences:
        return []
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return [f'<p class="bad">Some parts could not be read:</p><ul>{items}</ul>']


def fold(summary: str, content: str, *, shown: bool = False) -> str:
    """Content behind a line that opens it."""
    return f"<details{' open' * shown}><summary>{escape(summary)}</summary>{content}</details>"
