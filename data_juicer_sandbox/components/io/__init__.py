"""Rows of data sets, read and written one at a time, whatever format they lie in."""

from data_juicer_sandbox.components.io.parse import parse
from data_juicer_sandbox.components.io.stream import read_lines, read_rows
from data_juicer_sandbox.components.io.write import write_rows

__all__ = ["parse", "read_lines", "read_rows", "write_rows"]
