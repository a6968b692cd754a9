"""One self-contained HTML page from what a run left in its work directory."""

from __future__ import annotations

from pathlib import Path

REPORT_FILE = "report.html"


def build(work_dir: Path) -> Path:
    """Write `<work_dir>/report.html`, whole or not at all; returns its path.

    Raises:
        WorkDirError: no run has worked there.
    """
    from data_juicer_sandbox.files import replacing
    from data_juicer_sandbox.report.data import read_run
    from data_juicer_sandbox.report.page import render

    target = Path(work_dir) / REPORT_FILE
    with replacing(target) as part:
        part.write_text(render(read_run(Path(work_dir))), encoding="utf-8", errors="backslashreplace")
    return target
