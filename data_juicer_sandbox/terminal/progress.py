"""Choice of the view for a stream."""

from __future__ import annotations

import os
from typing import TextIO

from data_juicer_sandbox.terminal.view import View


def view_for(stream: TextIO) -> View:
    """A `RichView` for an interactive terminal, a `PlainView` for files, pipes, CI and dumb terminals."""
    if stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb"):
        from data_juicer_sandbox.terminal.rich_view import RichView

        return RichView(stream)
    from data_juicer_sandbox.terminal.plain_view import PlainView

    return PlainView(stream)
