"""Configs as YAML that the reader reads back as the same values."""

from __future__ import annotations

import yaml

from data_juicer_sandbox.config.limits import MAX_BYTES
from data_juicer_sandbox.config.yaml_source import ConfigLoader, parse
from data_juicer_sandbox.errors import ConfigError


class _Dumper(yaml.SafeDumper):
    """Quotes what the reader would take for something else than a text; writes no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Whether a value is written out each time it occurs."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    """A text; with line breaks of other alphabets only as escapes, since the reader turns them into blanks."""
    text.encode()  # half of a surrogate pair is not a character: the reader refuses it
    style = '"' if set("\x85\u2028\u2029") & set(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.yaml_implicit_resolvers = ConfigLoader.yaml_implicit_resolvers
for _type in (set, bytes):  # a config has none of these
    _Dumper.add_representer(_type, _Dumper.represent_undefined)


class _FlowDumper(_Dumper):
    """Writes texts of several lines as escapes, since a line break in a flow collection is hard to read."""


def _represent_line(dumper: _Dumper, text: str) -> yaml.Node:
    if "\n" not in text:
        return _represent_text(dumper, text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_FlowDumper.add_representer(str, _represent_line)


def dump_config(value: object) -> str:
    """A config as YAML, keys in their order.

    Texts are written as they are: one that the reader would fill in (`${name}`) is escaped beforehand, by
    `words.escape`, if it is meant literally.

    Args:
        value: mappings, lists, texts, numbers, dates, booleans, null.

    Raises:
        ConfigError: it holds something else, or more than the reader of configs takes.
    """
    try:
        text = str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an integer of 5,000 digits
        raise ConfigError(f"the config cannot be written as YAML: {error}") from error
    try:
        if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
            raise ConfigError(f"larger than {MAX_BYTES >> 20} MiB")
        parse(text, "line")
    except ConfigError as error:
        raise ConfigError(f"the config cannot be written as YAML that can be read again: {error}") from error
    return text


def dump_fragment(value: object, *, flow: bool = True, quote: str | None = None) -> str:
    """A value as a part of a YAML text, without a line break at its end.

    Args:
        value: as in `dump_config`.
        flow: on one line, such as `{a: 1}`; otherwise indented lines.
        quote: how texts are quoted if they are the whole value: `'`, `"` or, by default, as it is needed.

    Raises:
        ConfigError: it cannot be written as YAML.
    """
    quote = quote if quote in ("'", '"') and isinstance(value, str) else None
    written = [value] if flow else value
    try:
        text = str(
            yaml.dump(
                written,
                Dumper=_FlowDumper if flow else _Dumper,
                default_flow_style=flow,
                default_style=quote,
                sort_keys=False,
                allow_unicode=True,
                width=1 << 30 if flow else 120,
            )
        )
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"the value cannot be written as YAML: {error}") from error
    return text.rstrip("\n")[1:-1] if flow else text.rstrip("\n")
