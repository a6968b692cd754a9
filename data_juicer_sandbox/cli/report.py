"""`dj-sandbox report --work_dir DIR`: the page of a run, also of one that is still going or has failed."""

from __future__ import annotations

import argparse
from pathlib import Path

from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.errors import SandboxError

NAME = "report"
HELP = "write the HTML report of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("path", nargs="?", metavar="DIR", help="the run's work directory, or its config")
    which.add_argument("--work_dir", metavar="DIR", help="the run's work directory")
    which.add_argument("--config", metavar="FILE", help="the run's config, which names its work directory")


def run(args: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    from data_juicer_sandbox import report

    try:
        say(str(report.build(Path(_work_dir(args)))))
    except SandboxError as error:
        complain(f"dj-sandbox: {error}")
        return error.exit_code
    except OSError as error:
        complain(f"dj-sandbox: the report cannot be written: {error}")
        return 2
    return 0


def _work_dir(args: argparse.Namespace) -> str:
    config = args.config or (args.path if args.path and Path(args.path).is_file() else None)
    if config is None:
        return str(args.work_dir or args.path)
    from data_juicer_sandbox.config.loader import load_or_raise

    return load_or_raise(config).work_dir
