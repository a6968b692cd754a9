"""`NamedList`: a list of jobs or records with an index by pipeline and name, so that a look-up takes constant time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")
Name = tuple[str, str]
"""Pipeline and `meta_name`."""


class NamedList(Sequence[T]):
    """A sequence to which items are added at its end.

    Args:
        name_of: the pipeline and the `meta_name` of an item.
        items: the first items.
    """

    def __init__(self, name_of: Callable[[T], Name], items: Iterable[T] = ()):
        self._name_of = name_of
        self._items: list[T] = []
        self._by_name: dict[Name, list[T]] = {}
        for item in items:
            self.append(item)

    def append(self, item: T) -> None:
        """Add an item."""
        self._items.append(item)
        self._by_name.setdefault(self._name_of(item), []).append(item)

    def named(self, pipeline: str, meta_name: str) -> Sequence[T]:
        """The items of a name, in order; a probe and its refine job share one."""
        return self._by_name.get((pipeline, meta_name), ())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)
