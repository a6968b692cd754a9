"""Hook of MkDocs: adds the linked configs and examples, and turns links to the README into links to the index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_LINKED_FILE = re.compile(r"\]\(\.\./((?:configs|examples)/[^)#\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the shipped configs and the notebooks of the examples to the files of the site.

    Args:
        files: the files of MkDocs.
        config: its config.
    """
    from mkdocs.structure.files import File

    for path in [*sorted((ROOT / "configs").rglob("*.yaml")), *sorted((ROOT / "examples").glob("*.ipynb"))]:
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Rewrite the links of one page; the page in the repository keeps its relative links.

    Args:
        markdown: the text of the page.
    """
    return _LINKED_FILE.sub(r"](\1)", markdown).replace("](../README.md)", "](index.md)")
