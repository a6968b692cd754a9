"""The Chinese pages do not drift from the English ones: same code, names, links, sections and table rows."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = {"README.md": "README_ZH.md", "docs/tutorial.md": "docs/tutorial_zh.md"}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HAN = re.compile("[\u4e00-\u9fff]")


def shape(text: str) -> dict[str, list[str] | Counter[str]]:
    """What a page and its translation have in common.

    The targets of links are compared without the anchor, since headings are translated, and without the suffix `_zh`.
    Code within a line may be in another order, since Chinese sentences have another word order.
    """
    prose = FENCE.sub("", text)
    targets = [re.sub(r"_(zh|ZH)\.md", ".md", target) for target in LINK.findall(prose)]
    return {
        "code blocks": FENCE.findall(text),
        "code within lines": Counter(re.findall(r"`[^`\n]+`", prose)),
        "links": Counter(target.partition("#")[0] for target in targets),
        "headings": re.findall(r"^#+ ", prose, re.MULTILINE),
        "table rows": Counter(str(row.count("|")) for row in prose.splitlines() if row.startswith("|")),
    }


def shape_without_language_link(name: str, text: str) -> dict[str, list[str] | Counter[str]]:
    """The shape without the link to the other language, which each page must have."""
    without = re.sub(r"^\[(English|中文)\]\(\S+\)$", "", text, flags=re.MULTILINE)
    assert without != text, f"{name} does not link to its other language"
    return shape(without)


@pytest.mark.parametrize(("english", "chinese"), PAIRS.items())
@pytest.mark.parametrize(
    "part",
    ["code blocks", "code within lines", "links", "headings", "table rows"],
    ids=lambda part: part.replace(" ", "_"),
)
def test_the_chinese_page_has_the_parts_of_the_english_page(english, chinese, part):
    expected, actual = (
        shape_without_language_link(name, (ROOT / name).read_text())[part] for name in (english, chinese)
    )
    assert actual == expected


@pytest.mark.parametrize(("english", "chinese"), PAIRS.items())
def test_each_page_links_to_its_other_language(english, chinese):
    assert f"[中文]({Path(chinese).name})" in (ROOT / english).read_text()
    assert f"[English]({Path(english).name})" in (ROOT / chinese).read_text()


@pytest.mark.parametrize("chinese", PAIRS.values())
def test_every_paragraph_and_table_row_of_the_chinese_page_is_translated(chinese):
    prose = FENCE.sub("", (ROOT / chinese).read_text())
    for paragraph in re.split(r"\n\n|\n(?=\||- )", prose):
        words = re.sub(
            r"`[^`]*`|\[English\]\(\S+\)|^# Data-Juicer Sandbox$|^!?\[[^\]]*\]\(\S+\)$", "", paragraph.strip()
        )
        if re.search(r"[a-z]{3,}", words):  # capitals alone are abbreviations, such as SFT
            assert HAN.search(words), paragraph


def test_a_changed_block_a_missing_section_and_a_missing_name_are_found():
    page = "## A\n\n`name` [link](a.md#x)\n\n```bash\ntrue\n```\n"
    assert shape(page) == shape(page.replace("A\n", "甲\n").replace("link", "链接").replace("#x", "#甲"))
    for before, after, part in (
        ("true", "false", "code blocks"),
        ("## A", "A", "headings"),
        ("`name`", "name", "code within lines"),
        ("a.md", "b.md", "links"),
    ):
        assert shape(page)[part] != shape(page.replace(before, after))[part]
