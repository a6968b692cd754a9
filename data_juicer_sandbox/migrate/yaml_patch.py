"""Change values in a YAML text, and keep everything else of it: comments, order of keys, quotes, blank lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import yaml

from data_juicer_sandbox.config.dump import dump_config, dump_fragment
from data_juicer_sandbox.config.yaml_source import ConfigLoader, KeyPath, parse
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import ConfigValues, JsonValue

MARK = "# migrate: "
"""The comments that `migrate` writes begin with it."""
_WIDTH = 116


class NotPatchable(Exception):
    """The change cannot be made within the text, such as in a mapping that other places repeat."""


def patched(text: str, old: ConfigValues, new: ConfigValues) -> tuple[str, bool]:
    """A text whose values are `old`, changed so that they are `new`.

    Returns:
        the new text, and whether the comments of the old one are kept, except those on lines that are gone. They are
        lost if the change cannot be made within the text: then all values are written anew.
    """
    if same(old, new):
        return text, True
    try:
        patcher = _Patcher(text)
        candidate = patcher.apply(old, new)
        if same(parse(candidate, "line").value, new):
            return candidate, not patcher.loses_comments
    except (NotPatchable, ConfigError, yaml.YAMLError):
        pass
    return dump_config(new), "#" not in text


def commented(text: str, notes: Iterable[tuple[KeyPath, str]]) -> str:
    """A YAML text with comments above some of its keys.

    Args:
        text: the text.
        notes: the path of a key, and the comment. A comment that is above the key already is not repeated.
    """
    value = parse(text, "line").value
    positions = Positions(text)
    by_line: dict[int, list[str]] = {}
    for path, note in notes:
        line = positions.line_above(path)
        present = [*positions.comments_above(line), *by_line.get(line, [])]
        if _plain(note) not in map(_plain, present):
            by_line.setdefault(line, []).append(note)
    if not by_line:
        return text
    result = positions.with_comments(by_line)
    try:
        if same(parse(result, "line").value, value):
            return result
    except ConfigError:
        pass
    at_top = [note for line in sorted(by_line) for note in by_line[line]]
    return "".join(_comment_lines(note, "", "\n") for note in at_top) + text


def same(first: JsonValue, second: JsonValue) -> bool:
    """Whether two values are equal, with their types: 1, 1.0 and true differ, NaN equals NaN."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        keys = {(type(key), key) for key in first}
        return keys == {(type(key), key) for key in second} and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second or (first != first and second != second))


def _plain(text: str) -> str:
    """A text on one line, without characters that YAML does not admit."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _nodes(text: str) -> tuple[ConfigLoader, yaml.Node | None]:
    loader = ConfigLoader(text)
    return loader, loader.get_single_node()


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """The index behind the line break of the line that contains `index`."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


class _Patcher:
    """Collects the edits of one text."""

    def __init__(self, text: str):
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._loader, self._root = _nodes(text)
        self._edits: dict[tuple[int, int, str], None] = {}
        self.loses_comments = False
        """Whether a comment may stand in what is replaced."""

    def apply(self, old: ConfigValues, new: ConfigValues) -> str:
        """The text with all edits."""
        if self._root is None:
            raise NotPatchable
        self._value(self._root, old, new)
        result, position = [], 0
        ordered = sorted(enumerate(self._edits), key=lambda item: (item[1][0], item[1][1], item[0]))
        for _, (start, end, replacement) in ordered:
            if start < position:
                raise NotPatchable
            result += [self.text[position:start], replacement]
            position = end
        return "".join([*result, self.text[position:]])

    def _edit(self, start: int, end: int, replacement: str) -> None:
        self._edits[start, end, replacement] = None  # an alias repeats the edits of its anchor

    def _value(self, node: yaml.Node, old: JsonValue, new: JsonValue) -> None:
        if same(old, new):
            return
        if isinstance(node, yaml.MappingNode) and isinstance(old, dict) and isinstance(new, dict):
            self._mapping(node, old, new)
        elif (
            isinstance(node, yaml.SequenceNode)
            and isinstance(old, list)
            and isinstance(new, list)
            and len(old) == len(new) == len(node.value)
        ):
            for child, old_item, new_item in zip(node.value, old, new, strict=True):
                self._value(child, old_item, new_item)
        else:
            self._replace(node, new)

    def _replace(self, node: yaml.Node, new: JsonValue) -> None:
        start, end = node.start_mark.index, self._end(node)
        replacement = dump_fragment(new, quote=getattr(node, "style", None))
        if isinstance(node, yaml.CollectionNode):
            self.loses_comments |= "#" in self.text[start:end]
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            replacement += self.newline
        if start == end and self.text[start - 1 : start] not in ("", " ", "\n"):
            replacement = f" {replacement}"
        self._edit(start, end, replacement)

    def _end(self, node: yaml.Node) -> int:
        """Where a node ends, without the comments and blank lines behind it."""
        if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
            return int(node.end_mark.index)
        last = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
        if last.start_mark.index < node.start_mark.index:
            raise NotPatchable  # an alias, whose node is that of its anchor
        return self._end(last)

    def _mapping(self, node: yaml.MappingNode, old: ConfigValues, new: ConfigValues) -> None:
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, child in node.value:
            if key_node.tag != "tag:yaml.org,2002:merge":
                entries[self._loader.construct_object(key_node)] = (key_node, child)
        merged = [key for key in old if key not in entries]
        if any(key not in new for key in merged):
            raise NotPatchable
        renames = _renames(list(entries), [key for key in new if key not in merged])
        kept = {renames.get(key, key): key for key in entries if renames.get(key, key) in new}
        added = [key for key in new if key not in kept and not (key in merged and same(old[key], new[key]))]
        at_end = [*kept, *added] == [key for key in new if key in kept or key in added]
        if not kept or (node.flow_style and (len(kept) < len(entries) or not at_end)):
            self._replace(node, new)
            return
        for new_key, old_key in kept.items():
            key_node, child = entries[old_key]
            if new_key != old_key:
                replacement = dump_fragment(new_key, quote=getattr(key_node, "style", None))
                self._edit(key_node.start_mark.index, key_node.end_mark.index, replacement)
            self._value(child, old[old_key], new[new_key])
        self._delete(list(entries.values()), [key not in kept.values() for key in entries])
        if node.flow_style and added:
            # Behind the last value; an alias there ends where the mapping does.
            end = self._end(node.value[-1][1])
            if node.value[-1][1].start_mark.index < node.start_mark.index:
                raise NotPatchable
            items = "".join(f", {dump_fragment({key: new[key]})[1:-1]}" for key in added)
            self._edit(end, end, items)
            return
        self._insert(entries, kept, added, new)

    def _delete(self, entries: Sequence[tuple[yaml.Node, yaml.Node]], deleted: Sequence[bool]) -> None:
        """Delete entries of a block mapping."""
        for index, (key_node, child) in enumerate(entries):
            if not deleted[index]:
                continue
            start = key_node.start_mark.index
            line_start = _line_start(self.text, start)
            if self.text[line_start:start].strip(" "):
                if self.text[line_start:start].strip(" -") or index:
                    raise NotPatchable
                # The first key behind `- `: the next one takes its place.
                following = next(i for i in range(index, len(entries)) if not deleted[i])
                end = entries[following][0].start_mark.index
                self.loses_comments |= any(line.lstrip(" ")[:1] == "#" for line in self.text[start:end].split("\n"))
                self._edit(start, end, "")
                deleted = [*([False] * following), *deleted[following:]]
                continue
            if child.start_mark.index < start:
                raise NotPatchable
            end = self._end(child)
            self._edit(line_start, end if self.text[end - 1 : end] == "\n" else _line_end(self.text, end), "")

    def _insert(
        self,
        entries: Mapping[str, tuple[yaml.Node, yaml.Node]],
        kept: Mapping[str, str],
        added: Sequence[str],
        new: ConfigValues,
    ) -> None:
        """Insert entries into a block mapping, each behind the one that precedes it in `new`."""
        if not added:
            return
        first = next(iter(entries.values()))[0]
        indent = " " * (first.start_mark.index - _line_start(self.text, first.start_mark.index))
        order = list(new)
        for key in added:
            before = [other for other in order[: order.index(key)] if other in kept]
            lines = dump_fragment({key: new[key]}, flow=False).split("\n")
            block = "".join(f"{indent}{line}{self.newline}" for line in lines)
            anchor = entries[kept[before[-1]] if before else next(iter(kept.values()))]
            end = self._end(anchor[1])
            if anchor[1].start_mark.index < anchor[0].start_mark.index:
                end = anchor[0].end_mark.index  # an alias stands on the line of its key, as a rule
            if self.text[end - 1 : end] != "\n":
                end = _line_end(self.text, end)
            if end and self.text[end - 1 : end] != "\n":
                block = self.newline + block
            self._edit(end, end, block)


def _renames(old: Sequence[str], new: Sequence[str]) -> dict[str, str]:
    """New names of keys: one that is gone, and one that is new in its place."""
    renames: dict[str, str] = {}
    for index, key in enumerate(new):
        if key in old:
            continue
        before = new[index - 1] if index else ""
        before = next((name for name, other in renames.items() if other == before), before)
        if index and before not in old:
            continue
        position = list(old).index(before) + 1 if index else 0
        if position < len(old) and old[position] not in new:
            renames[old[position]] = key
    return renames


class Positions:
    """Where a comment on a key can stand: on a line of its own, directly above the line that begins with the key."""

    def __init__(self, text: str):
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._loader, self._root = _nodes(text)
        self._children: dict[int, dict[tuple[type, object], tuple[yaml.Node, yaml.Node]]] = {}
        self.first = 0 if self._root is None else _line_start(text, self._root.start_mark.index)

    def has_comment(self, path: KeyPath, note: str) -> bool:
        """Whether a comment is above a key already, or at the top of the text."""
        present = [*self.comments_above(self.line_above(path)), *self.comments_above(self.first)]
        return _plain(note) in map(_plain, present)

    def line_above(self, path: KeyPath) -> int:
        """The index of the start of the line that a comment on this key is to stand above."""
        node, line = self._root, self.first
        for name in path:
            if isinstance(node, yaml.MappingNode) and not node.flow_style:
                pair = self._entries(node).get((type(name), name))
                if pair is None:
                    break
                start, child = pair[0].start_mark.index, pair[1]
            elif isinstance(node, yaml.SequenceNode) and not node.flow_style and isinstance(name, int):
                if name >= len(node.value):
                    break
                child = node.value[name]
                start = child.start_mark.index
            else:
                break
            start_of_line = _line_start(self.text, start)
            if not self.text[start_of_line:start].strip(" -"):
                line = start_of_line
            if child.start_mark.index < start:
                break  # an alias
            node = child
        return line

    def _entries(self, node: yaml.MappingNode) -> dict[tuple[type, object], tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping by type and value of their keys."""
        if id(node) not in self._children:
            pairs = [pair for pair in node.value if pair[0].tag != "tag:yaml.org,2002:merge"]
            keys = [self._loader.construct_object(key_node) for key_node, _ in pairs]
            self._children[id(node)] = {(type(key), key): pair for key, pair in zip(keys, pairs, strict=True)}
        return self._children[id(node)]

    def comments_above(self, line: int) -> list[str]:
        """The comments of `migrate` directly above a line, each as one text."""
        comments: list[str] = []
        block: list[str] = []
        while line > 0:
            start = _line_start(self.text, line - 1)
            text = self.text[start:line].strip()
            if not text.startswith("#"):
                break
            block.append(text)
            line = start
        for text in reversed(block):
            if text.startswith(MARK.strip()):
                comments.append(text.removeprefix(MARK.strip()))
            elif comments and text.startswith("#  "):
                comments[-1] += text.removeprefix("#")
        return comments

    def with_comments(self, by_line: Mapping[int, Sequence[str]]) -> str:
        """The text with comments above lines."""
        result, position = [], 0
        for line in sorted(by_line):
            found_indent = re.match(r" *", self.text[line:])
            indent = found_indent[0] if found_indent else ""
            result.append(self.text[position:line])
            result += [_comment_lines(note, indent, self.newline) for note in by_line[line]]
            position = line
        return "".join([*result, self.text[position:]])


def _comment_lines(note: str, indent: str, newline: str) -> str:
    lines = textwrap.wrap(
        MARK + _plain(note),
        max(40, _WIDTH - len(indent)),
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{indent}{line}{newline}" for line in lines)
