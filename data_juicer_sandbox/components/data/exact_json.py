"""Columns of JSON texts in the `datasets` library keep their values exactly.

By itself it cuts floats after ten decimals, loses the last digits of others, and takes the text "2" for the number 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from data_juicer_sandbox.components.data import isolation
from data_juicer_sandbox.types import LibraryObject


@contextmanager
def exact_json() -> Iterator[None]:
    """Replace the parts of `datasets` that encode and decode such columns, while the block runs.

    Worker processes have them too, also those that are not forked from this process, as for OPs on a GPU.
    """
    import multiprocess

    original = multiprocess.Pool

    def pool(
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[object] = (),
        maxtasksperchild: int | None = None,
    ) -> LibraryObject:
        return original(processes, _start_worker, (initializer, tuple(initargs)), maxtasksperchild)

    with _replaced(), isolation.swapped(multiprocess, "Pool", pool):
        yield


def _start_worker(initializer: Callable[..., object] | None, initargs: tuple[object, ...]) -> None:
    """Replace them in a worker for as long as it lives; a forked one has inherited them."""
    if not _is_replaced:
        _worker.enter_context(_replaced())
    if initializer is not None:
        initializer(*initargs)


_worker = ExitStack()
_is_replaced = False


@contextmanager
def _replaced() -> Iterator[None]:
    global _is_replaced
    import datasets.arrow_writer as arrow_writer
    import datasets.features.features as features
    import datasets.utils.json as json_utils
    import pyarrow as pa
    from data_juicer.core.data import NestedDataset
    from datasets import Dataset

    original = arrow_writer.TypedSequence._arrow_array

    def arrow_array(sequence: LibraryObject, type: LibraryObject = None) -> LibraryObject:
        feature = sequence.try_type or sequence.type
        if isinstance(feature, features.Json) and isinstance(sequence.data, list):
            texts = [None if value is None else dumps(value) for value in sequence.data]
            return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts, pa.string()))
        return original(sequence, type)

    def from_list(*args: LibraryObject, **values: LibraryObject) -> LibraryObject:
        """For groupers: a list of the values of several rows may hold several types."""
        return NestedDataset(Dataset.from_list(*args, **{"on_mixed_types": "use_json", **values}))

    with ExitStack() as stack:
        stack.enter_context(isolation.swapped(arrow_writer.TypedSequence, "_arrow_array", arrow_array))
        for module in (json_utils, features, arrow_writer):
            stack.enter_context(isolation.swapped(module, "ujson_dumps", dumps))
        for module in (json_utils, arrow_writer):
            stack.enter_context(isolation.swapped(module, "json_encode_field", _encoded))
        stack.enter_context(isolation.swapped(NestedDataset, "from_list", from_list))
        for module in (json_utils, features):
            stack.enter_context(isolation.swapped(module, "ujson_loads", json.loads))
        _is_replaced = True
        try:
            yield
        finally:
            _is_replaced = False


def dumps(value: object) -> str:
    """Encode a value; numbers and arrays of NumPy as those of Python."""
    return json.dumps(value, default=_plain)


def _encoded(value: LibraryObject, path: list[LibraryObject]) -> LibraryObject:
    """Encode the part of a value at a path of keys; 0 stands for each item of a list."""
    if value is None:
        return None
    if not path:
        return dumps(value)
    key, *rest = path
    if key == 0:
        return [_encoded(item, rest) for item in value]
    return {**value, key: _encoded(value.get(key), rest)}


def _plain(value: LibraryObject) -> object:
    for method in ("tolist", "isoformat", "as_py"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored as JSON")
