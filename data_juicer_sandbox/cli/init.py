"""`dj-sandbox init DATA HELDOUT`: a config for the user's own data."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path

from data_juicer_sandbox.cli.data_summary import DataSummary
from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.cli.starter_config import StarterConfig
from data_juicer_sandbox.errors import JobError, SandboxError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.installation import program

NAME = "init"
HELP = "write a commented config for your own data: which of its texts make the better model"
_MIN_ROWS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("data", metavar="DATA", help="the data set: a file, a folder or a pattern")
    parser.add_argument(
        "heldout", metavar="HELDOUT", help="texts of the kind that the model should be able to write; not in DATA"
    )
    parser.add_argument(
        "-o", "--output", default="sandbox.yaml", metavar="FILE", help="the config to write (default: sandbox.yaml)"
    )
    parser.add_argument("--text-key", metavar="FIELD", help="the field that holds the texts (default: found out)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def run(args: argparse.Namespace) -> int:
    """Look at the data, write the config, validate it; returns the exit code."""
    target = Path(args.output)
    if os.path.lexists(target) and not args.force:
        complain(f"dj-sandbox: {target} exists (use --force to overwrite it, or -o for another name)")
        return 2
    try:
        data, heldout = DataSummary.of(args.data), DataSummary.of(args.heldout)
        text_field = args.text_key or data.text_field()
        _check(data, heldout, text_field)
        for line in (*data.lines(text_field), *heldout.lines(text_field)):
            say(line)
        if shared := data.shared_texts(heldout, text_field):
            complain(f"warning: {shared:,} held-out texts are also in {data.path}: remove them there")
        name = re.sub(r"\W+", "_", Path(args.data).name.partition(".")[0]).strip("_") or "data"
        starter = StarterConfig(
            args.data,
            args.heldout,
            text_field,
            data.rows,
            data.tokens(text_field),
            heldout.tokens(text_field) // heldout.texts[text_field],
            name,
            shlex.quote(str(target)),
        )
        with replacing(target) as part:
            part.write_text(starter.text(), encoding="utf-8")
        warnings = _warnings(target)
    except OSError as error:
        complain(f"dj-sandbox: {error.filename or target}: {error.strerror}")
        return 2
    except SandboxError as error:
        complain(f"dj-sandbox: {error}")
        return 2
    for warning in warnings:
        complain(f"warning: {warning}")
    say(f"{target} is written and valid. It takes about {starter.minutes} min on 2 cores. Run it with:")
    say(f"  {program()} {shlex.quote(str(target))}")
    return 0


def _check(data: DataSummary, heldout: DataSummary, text_field: str) -> None:
    """Check that the texts are there and enough.

    Raises:
        JobError: they are not.
    """
    for summary in (data, heldout):
        if not summary.texts[text_field]:
            hint = f"its fields: {', '.join(list(summary.fields)[:10])}; --text-key names another field"
            raise JobError(f"no row has a text in {text_field!r}", where=summary.path, hint=hint)
    if data.texts[text_field] < _MIN_ROWS:
        what = f"{data.texts[text_field]} texts are too few to compare parts of them"
        raise JobError(what, where=data.path, hint=f"at least {_MIN_ROWS}, better 500 or more")


def _warnings(target: Path) -> list[str]:
    from data_juicer_sandbox.api import Sandbox

    return Sandbox(target).validate()
