"""One self-contained HTML page from what a run left in its work directory."""

from __future__ import annotations

from pathlib import Path

REPORT_FILE = "report.html"


def build(work_dir: Path) -> Path:
    """Write `<work_dir>/report.html`, whole or not at all; returns its path.

    A file of that name that this program did not write is renamed to a dated name.

    Raises:
        WorkDirError: no run has used this folder.
    """
    from data_juicer_sandbox.files import move_aside, refuse_special, replacing
    from data_juicer_sandbox.report.data import read_run
    from data_juicer_sandbox.report.html import is_own_page
    from data_juicer_sandbox.report.page import render

    target = Path(work_dir) / REPORT_FILE
    content = render(read_run(Path(work_dir)))
    refuse_special(target)
    if target.exists() and not is_own_page(target):
        move_aside(target)
    with replacing(target) as part:
        part.write_text(content, encoding="utf-8", errors="backslashreplace")
    return target
