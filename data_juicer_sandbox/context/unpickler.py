"""Pickles of plain values, NumPy arrays and pandas frames; everything else is refused by name, unexecuted."""

from __future__ import annotations

import io
import pickle  # only through the restricted unpickler below
from typing import Any

_NUMPY_CORES = ("numpy.core", "numpy._core")
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        *(("builtins", name) for name in ("set", "frozenset", "complex", "bytearray", "slice", "range")),
        ("collections", "OrderedDict"),
        *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
        ("_codecs", "encode"),  # how protocol 2 and below spell bytes
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *((f"{core}.multiarray", name) for core in _NUMPY_CORES for name in ("_reconstruct", "scalar")),
        *((f"{core}.numeric", "_frombuffer") for core in _NUMPY_CORES),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.series", "Series"),
        ("pandas", "DataFrame"),
        ("pandas", "Series"),
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas", "MultiIndex"),
        ("pandas", "DatetimeIndex"),
        ("pandas", "StringDtype"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas.core.internals.managers", "SingleBlockManager"),
        ("pandas.core.internals.blocks", "new_block"),
        ("pandas._libs.internals", "_unpickle_block"),
        *(("pandas.core.indexes.base", name) for name in ("_new_Index", "Index")),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.indexes.multi", "MultiIndex"),
        ("pandas.core.indexes.datetimes", "DatetimeIndex"),
        ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
        ("pandas.core.arrays.string_", "StringArray"),
        ("pandas.core.arrays.string_", "StringDtype"),
        ("pandas.core.arrays.string_arrow", "ArrowStringArray"),
        ("pandas.core.arrays.numpy_", "NumpyExtensionArray"),
        ("pandas.core.dtypes.dtypes", "CategoricalDtype"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("pyarrow.lib", "type_for_alias"),
        ("pyarrow.lib", "chunked_array"),
        ("pyarrow.lib", "_restore_array"),
        ("pyarrow.lib", "py_buffer"),
    }
)


class Refused(pickle.UnpicklingError):
    """The pickle names something that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Look up a class on the list.

        Raises:
            Refused: it is not there.
        """
        if (module, name) not in ALLOWED:
            raise Refused(f"it names {module}.{name}, which is no plain value")
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to things outside.

        Raises:
            Refused: always.
        """
        raise Refused("it refers to something outside of it")


def loads(data: bytes) -> Any:
    """Load a pickle that holds nothing but plain values, NumPy and pandas.

    Raises:
        Refused: it names anything else; nothing of it was called.
        Exception: it is damaged. The kinds of error the pickle machine has for this are many.
    """
    return _Unpickler(io.BytesIO(data)).load()
