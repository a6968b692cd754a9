"""`dj-sandbox report --work_dir DIR`: the page of a run, also of one that is still going or has failed."""

from __future__ import annotations

import argparse
from pathlib import Path

from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.cli.options import add_work_dir, work_dir_of
from data_juicer_sandbox.errors import SandboxError

NAME = "report"
HELP = "write the HTML report of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_work_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    from data_juicer_sandbox import report

    try:
        say(str(report.build(Path(work_dir_of(args)))))
    except SandboxError as error:
        complain(f"dj-sandbox: {error}")
        return error.exit_code
    except OSError as error:
        complain(f"dj-sandbox: the report cannot be written: {error}")
        return 2
    return 0
