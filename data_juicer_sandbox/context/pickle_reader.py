"""Read a pickle that holds plain Python values only, without the `pickle` module: no opcode here can call code.

The reader knows the opcodes that `pickle.dumps` writes for dict, list, tuple, set, frozenset, str, bytes, int, float,
bool and None (protocol 2 to 4). Each other opcode, such as those that name a class, ends it. Length fields must fit
into the file, nesting and what repeated values unfold to are bounded, keys cannot be made to collide, and no container
can hold itself.
"""

from __future__ import annotations

import pickle  # for the codes of its operations; nothing of it runs
import struct
import sys
from collections.abc import Callable
from typing import Any

from data_juicer_sandbox.context.hash_limits import Counts, refuse_collisions

MAX_DEPTH = 200
"""Maximum nesting depth of containers."""
MAX_COPIED = 1_000_000
"""Values that repeated containers may unfold to, in all; no more than the file has bytes, and 10,000."""
FREE_REPEATS = 128 << 20
REPEATS_PER_BYTE = 32
"""Characters and bytes that repeated texts may unfold to, in all: a fixed number, and so many per byte of the file.

The readable twin holds a repeated text in full each time, so a small file could fill a disk. What `Checkpoint` writes
repeats nothing; pickles of earlier versions do.
"""
MAX_INT_BYTES = 1700
"""About 4,000 decimal digits: Python refuses to print more."""

_MARK = object()


class NotPlain(pickle.UnpicklingError):
    """The pickle holds something other than plain values; `names` is the class or function it names, if any."""

    def __init__(self, message: str, names: str = ""):
        super().__init__(message)
        self.names = names


def loads(data: bytes, *, repeats: bool = True) -> object:
    """Read a pickle of plain values.

    Args:
        data: the pickle.
        repeats: whether it may repeat containers and long texts. What this version writes repeats none.

    Raises:
        NotPlain: it names a class or function, or refers to something outside.
        UnpicklingError: it is damaged, or larger when unfolded than is allowed.
    """
    try:
        return _Reader(data, repeats).read()
    except (struct.error, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise pickle.UnpicklingError(f"it is damaged: {error}") from error


class _Reader:
    def __init__(self, data: bytes, repeats: bool):
        self._data, self._at = data, 0
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self._depths: dict[int, int] = {}  # by id: all containers stay alive, since nothing is ever popped and dropped
        self._kept: list[object] = []
        self._copies_left = min(MAX_COPIED, len(data) + 10_000) if repeats else 0
        self._repeats_left = FREE_REPEATS * repeats + REPEATS_PER_BYTE * len(data)
        self._hashes: dict[int, Counts] = {}  # by id of the container, as `_depths`

    def read(self) -> object:
        while True:
            code = self._take(1)
            if code == pickle.STOP:
                if len(self._stack) != 1 or self._stack[0] is _MARK:
                    raise ValueError("it does not end with one value")
                if self._at < len(self._data):
                    raise ValueError("it goes on after its end")
                return self._stack[0]
            handler = _HANDLERS.get(code)
            if handler is None:
                raise self._refusal(code)
            handler(self)

    def _take(self, count: int) -> bytes:
        if count < 0 or count > len(self._data) - self._at:
            raise ValueError("a length goes beyond its end")
        self._at += count
        return self._data[self._at - count : self._at]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _refusal(self, code: bytes) -> pickle.UnpicklingError:
        """The error for an opcode that this reader refuses."""
        if code == pickle.GLOBAL or code == pickle.INST:
            lines = self._data[self._at : self._at + 1000].split(b"\n")
            names = b".".join(lines[:2]).decode("utf-8", "replace")
        elif code == pickle.STACK_GLOBAL:
            names = ".".join(str(name) for name in self._stack[-2:])
        elif code in _CALLS:
            names = "a class or function"
        elif code in (pickle.PERSID, pickle.BINPERSID):
            return NotPlain("it refers to something outside of it")
        else:
            return pickle.UnpicklingError(f"it is damaged: unknown code {code!r} at byte {self._at - 1}")
        return NotPlain(f"it names {names[:200]}, which is not a plain value", names[:200])

    # What puts a value on the stack

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _container(self, value: object, depth: int = 1) -> None:
        self._set_depth(value, depth)
        self._kept.append(value)
        self._stack.append(value)

    def _set_depth(self, value: object, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        self._depths[id(value)] = depth

    def _depth(self, value: object) -> int:
        return self._depths.get(id(value), 0) if isinstance(value, _CONTAINERS) else 0

    def _above_mark(self) -> list[object]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                items = self._stack[index + 1 :]
                del self._stack[index:]
                return items
        raise ValueError("a mark is missing")

    def _pop(self, count: int) -> list[object]:
        items = self._stack[-count:] if count else []
        if len(items) < count or any(item is _MARK for item in items):
            raise ValueError("a value is missing")
        if count:
            del self._stack[-count:]
        return items

    def _tuple(self, items: list[object]) -> None:
        self._container(tuple(items), 1 + max(map(self._depth, items), default=0))

    def _frozenset(self) -> None:
        items = self._above_mark()
        refuse_collisions(items, {})
        self._container(frozenset(items), 1 + max(map(self._depth, items), default=0))

    def _fill(self, container_type: type, items: list[object], put: Callable[[Any, list[object]], None]) -> None:
        target = self._stack[-1]
        if type(target) is not container_type:
            raise ValueError(f"a {container_type.__name__} is missing")
        if container_type is not list:
            counts = self._hashes.setdefault(id(target), {})
            refuse_collisions(items if container_type is set else items[::2], counts)
        put(target, items)
        self._set_depth(target, max(self._depths[id(target)], 1 + max(map(self._depth, items), default=0)))

    def _text(self, form: str) -> None:
        self._stack.append(str(self._take(self._number(form)), "utf-8", "surrogatepass"))

    def _bytes(self, form: str) -> None:
        self._stack.append(self._take(self._number(form)))

    def _long(self, form: str) -> None:
        size = self._number(form)
        if not 0 <= size <= MAX_INT_BYTES:
            raise ValueError("an integer is too long")
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    # The memo: what occurs again

    def _put(self, key: int) -> None:
        if self._stack[-1] is _MARK:
            raise ValueError("a value is missing")
        self._memo[key] = self._stack[-1]

    def _get(self, key: int) -> None:
        value = self._memo[key]
        # A copy of what it holds so far, so that no container can come to hold itself.
        if isinstance(value, _CONTAINERS):
            value = value if type(value) is frozenset and not value else self._copy(value)  # Python has but one
        else:
            self._pay_for(value)
        self._stack.append(value)

    def _pay_for(self, value: object) -> None:
        """Count what a repeated text, run of bytes or integer adds to all that is unfolded."""
        size = len(value) if isinstance(value, str | bytes) else value.bit_length() // 3 if type(value) is int else 0
        self._repeats_left -= size
        if self._repeats_left < 0:
            raise ValueError("its repeated texts unfold to too many characters")

    def _copy(self, value: object) -> Any:
        """A copy of a container; the copied values are counted against the limit."""
        self._copies_left -= 1
        if self._copies_left < 0:
            raise ValueError("its repeated parts unfold to too many values")
        if not isinstance(value, _CONTAINERS):
            self._pay_for(value)
            return value
        copied: Any
        if type(value) is dict:
            copied = {self._copy(key): self._copy(item) for key, item in value.items()}
        else:
            copied = type(value)(self._copy(item) for item in value)
        self._depths[id(copied)] = self._depths[id(value)]
        self._kept.append(copied)
        return copied


_CONTAINERS = (dict, list, tuple, set, frozenset)
_CALLS = (
    pickle.REDUCE, pickle.BUILD, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
)  # fmt: skip


def _pairs(target: dict[object, object], items: list[object]) -> None:
    if len(items) % 2:
        raise ValueError("a value is missing")
    # Equal keys of many mappings take memory once; the pickle holds each of them.
    keys = (sys.intern(key) if type(key) is str else key for key in items[::2])
    target.update(zip(keys, items[1::2], strict=True))


_HANDLERS: dict[bytes, Callable[[_Reader], object]] = {
    pickle.PROTO: lambda r: r._take(1),
    pickle.FRAME: lambda r: r._take(8),
    pickle.MARK: lambda r: r._push(_MARK),
    pickle.NONE: lambda r: r._push(None),
    pickle.NEWTRUE: lambda r: r._push(True),
    pickle.NEWFALSE: lambda r: r._push(False),
    pickle.BININT: lambda r: r._push(r._number("<i")),
    pickle.BININT1: lambda r: r._push(r._number("<B")),
    pickle.BININT2: lambda r: r._push(r._number("<H")),
    pickle.LONG1: lambda r: r._long("<B"),
    pickle.LONG4: lambda r: r._long("<i"),
    pickle.BINFLOAT: lambda r: r._push(r._number(">d")),
    pickle.SHORT_BINUNICODE: lambda r: r._text("<B"),
    pickle.BINUNICODE: lambda r: r._text("<I"),
    pickle.BINUNICODE8: lambda r: r._text("<Q"),
    pickle.SHORT_BINBYTES: lambda r: r._bytes("<B"),
    pickle.BINBYTES: lambda r: r._bytes("<I"),
    pickle.BINBYTES8: lambda r: r._bytes("<Q"),
    pickle.EMPTY_LIST: lambda r: r._container([]),
    pickle.EMPTY_DICT: lambda r: r._container({}),
    pickle.EMPTY_SET: lambda r: r._container(set()),
    pickle.EMPTY_TUPLE: lambda r: r._container(()),
    pickle.TUPLE: lambda r: r._tuple(r._above_mark()),
    pickle.TUPLE1: lambda r: r._tuple(r._pop(1)),
    pickle.TUPLE2: lambda r: r._tuple(r._pop(2)),
    pickle.TUPLE3: lambda r: r._tuple(r._pop(3)),
    pickle.FROZENSET: lambda r: r._frozenset(),
    pickle.APPEND: lambda r: r._fill(list, r._pop(1), list.extend),
    pickle.APPENDS: lambda r: r._fill(list, r._above_mark(), list.extend),
    pickle.SETITEM: lambda r: r._fill(dict, r._pop(2), _pairs),
    pickle.SETITEMS: lambda r: r._fill(dict, r._above_mark(), _pairs),
    pickle.ADDITEMS: lambda r: r._fill(set, r._above_mark(), set.update),
    pickle.BINPUT: lambda r: r._put(r._number("<B")),
    pickle.LONG_BINPUT: lambda r: r._put(r._number("<I")),
    pickle.MEMOIZE: lambda r: r._put(len(r._memo)),
    pickle.BINGET: lambda r: r._get(r._number("<B")),
    pickle.LONG_BINGET: lambda r: r._get(r._number("<I")),
}
