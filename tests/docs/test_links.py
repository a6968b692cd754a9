"""Relative links and anchors of the documentation resolve, and the site has every page; checked without MkDocs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """The page without its code blocks, in which nothing is a link or a heading."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub and MkDocs make them; equal ones get a number there, and are rejected."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(text), re.MULTILINE)
    slugs = [re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings]
    return set(slugs)


def broken_links(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    broken = []
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(text))):
        if re.match(r"[a-z]+://", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if not other.exists() or (anchor and anchor not in anchors(other.read_text())):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_anchors_resolve(page):
    assert broken_links(page, page.read_text()) == []


def test_a_broken_link_and_a_broken_anchor_are_found():
    page = DOCS / "index.md"
    text = "[a](gone.md) [b](faq.md#gone) [c](#gone) [d](faq.md#reading-the-checkpoint) ![e](img/gone.png)\n"
    assert broken_links(page, text) == ["gone.md", "faq.md#gone", "#gone", "img/gone.png"]
    assert broken_links(page, "```\n[a](gone.md)\n```\n") == []


def test_every_page_is_in_the_navigation_of_the_site():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    entries = re.findall(r"[\w/]+\.md", str(config["nav"]))
    assert sorted(entries) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert config["strict"] is True


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_no_link_of_the_site_leaves_its_folder(page):
    """The hook rewrites links to configs, examples and the README; MkDocs reports any other as broken."""
    spec = importlib.util.spec_from_file_location("site_links", DOCS / "site_links.py")
    site_links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site_links)
    links = LINK.findall(prose(site_links.on_page_markdown(page.read_text())))
    outside = [link for link in links if not (page.parent / link.partition("#")[0]).resolve().is_relative_to(DOCS)]
    assert outside == []


def test_every_page_of_the_documentation_is_reached_from_its_index():
    reached, pending = set(), [DOCS / "index.md"]
    while pending:
        page = pending.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        pending += [
            (page.parent / link.partition("#")[0]).resolve()
            for link in LINK.findall(page.read_text())
            if ".md" in link and "://" not in link
        ]
    assert set(DOCS.rglob("*.md")) <= reached
