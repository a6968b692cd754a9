"""`dj-sandbox compare DIR1 DIR2 ...`: compare runs in tables or on a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.errors import SandboxError

NAME = "compare"
HELP = "compare the metrics and configs of runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("work_dirs", nargs="+", metavar="DIR", help="work directories of the runs")
    parser.add_argument(
        "--metrics", default="*", metavar="PATTERN", help="only metrics that match, such as '*.bits_per_byte'"
    )
    parser.add_argument("--html", metavar="FILE", help="write an HTML page instead of printing tables")


def run(args: argparse.Namespace) -> int:
    """Compare; returns the exit code."""
    from data_juicer_sandbox.report.compare import compare, render

    try:
        comparison = compare([Path(folder) for folder in args.work_dirs], args.metrics)
    except SandboxError as error:
        complain(f"dj-sandbox: {error}")
        return error.exit_code
    for fault in comparison.faults:
        complain(f"warning: {fault}")
    if args.html:
        return _write_page(Path(args.html), render(comparison))
    from data_juicer_sandbox.terminal.progress import view_for

    view = view_for(sys.stdout)
    view.table("Metrics", ["metric", *comparison.names], comparison.metrics)
    view.table("Configs, where they differ", ["key", *comparison.names], comparison.configs)
    return 0


def _write_page(target: Path, page: str) -> int:
    """Write the page; it may replace only an unedited page of this program."""
    from data_juicer_sandbox.files import replacing
    from data_juicer_sandbox.report.html import is_own_page

    try:
        if target.is_symlink() or (target.is_file() and not is_own_page(target)):
            what = "exists, and is not a page as dj-sandbox wrote it: choose another file"
            complain(f"dj-sandbox: {target} {what}")
            return 2
        with replacing(target) as part:
            part.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        complain(f"dj-sandbox: {target} cannot be written: {error.strerror}")
        return 2
    except SandboxError as error:
        complain(f"dj-sandbox: {error}")
        return 2
    say(str(target))
    return 0
