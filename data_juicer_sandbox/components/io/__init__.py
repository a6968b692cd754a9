"""Streaming readers and writers of data sets, for all supported formats."""

from data_juicer_sandbox.components.io.parse import parse
from data_juicer_sandbox.components.io.stream import read_lines, read_rows, write_rows

__all__ = ["parse", "read_lines", "read_rows", "write_rows"]
