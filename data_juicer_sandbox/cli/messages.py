"""Messages of the commands. They name files, fields and values of others, so control characters are escaped."""

from __future__ import annotations

import sys
from typing import TextIO

from data_juicer_sandbox.control_characters import escape_controls
from data_juicer_sandbox.secrets import mask_text


def say(text: str, *, file: TextIO | None = None) -> None:
    """Print a message, to standard output by default; secrets are masked."""
    print(escape_controls(mask_text(text)), file=file or sys.stdout)


def complain(text: str) -> None:
    """Print a message to standard error; secrets are masked."""
    say(text, file=sys.stderr)
