"""NumPy arrays, pandas frames, series and indexes as plain values: their numbers and texts are Arrow IPC bytes.

The data may come from an untrusted file: only known types of columns are built, lengths are checked against the bytes,
and compressed data is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from data_juicer_sandbox.context.hash_limits import refuse_collisions
from data_juicer_sandbox.context.time_zones import checked_zone, frequency_name, zone_name
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from pandas.api.extensions import ExtensionArray

TAG = "__dj_value__"
"""The key that marks an encoded value, in contrast to a mapping of the user."""

Encoded = dict[str, Any]
"""The encoded form of a value, as the checkpoint holds it: plain containers and scalars."""
Encode = Callable[[object, str], object]
Decode = Callable[[object], Any]

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,9}|[mM]8(\[\d{0,9}[A-Za-zμ]{1,7}\])?)")
"""The types of NumPy arrays that are stored: those of Arrow, and those with the same bytes."""
MAX_DIMENSIONS = 32
"""The maximum of NumPy 1."""
MAX_EMPTY = 1_000_000
"""Lists that an array without a number may have as a list of lists: a shape of (2**40, 0) takes no bytes."""
MAX_CATEGORIES = 10_000_000
"""Categories that may be a range, which takes no bytes either: pandas makes an array of it."""
MAX_CODE_POINT = 0x10FFFF
"""The largest character of Unicode: NumPy stops with a `SystemError` for a larger one in an array of texts."""
_MASKED = {
    **{f"{sign}Int{bits}": "IntegerArray" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"Float{bits}": "FloatingArray" for bits in (32, 64)},
    "boolean": "BooleanArray",
}


class Unsupported(Exception):
    """A value cannot be encoded; the message names its type."""


def is_array(value: object) -> bool:
    """Whether a value is a NumPy array, or a frame, series or index of pandas. Imports neither."""
    value_type = type(value)
    if value_type.__module__.startswith("numpy"):
        return value_type.__name__ == "ndarray"
    return value_type.__module__.partition(".")[0] == "pandas" and (
        value_type.__name__ in ("DataFrame", "Series") or value_type.__name__.endswith("Index")
    )


def encode(value: LibraryObject, encode_other: Encode) -> Encoded:
    """The plain form of an array, frame, series or index.

    Args:
        value: the array, frame, series or index.
        encode_other: encodes names of columns and the like, and the items of columns of Python objects.

    Raises:
        Unsupported: it has a type that cannot be kept.
    """
    name = type(value).__name__
    if name == "ndarray":
        return _encode_numbers(value)
    if name == "DataFrame":
        columns = [_encode_column(value.iloc[:, position].array, encode_other) for position in range(value.shape[1])]
        return {
            TAG: "dataframe",
            "columns": _encode_index(value.columns, encode_other),
            "index": _encode_index(value.index, encode_other),
            "data": columns,
            "attrs": encode_other(dict(value.attrs), "attrs"),
        }
    if name == "Series":
        about = {"name": encode_other(value.name, "name"), "index": _encode_index(value.index, encode_other)}
        about["attrs"] = encode_other(dict(value.attrs), "attrs")
        return {TAG: "series", **about, "data": _encode_column(value.array, encode_other)}
    return _encode_index(value, encode_other)


def decode(value: Encoded, decode_other: Decode) -> LibraryObject:
    """The reverse of `encode`.

    Raises:
        ValueError: the plain form is not one that `encode` makes.
    """
    type_tag = value[TAG]
    if type_tag == "ndarray":
        return _decode_numbers(value)
    import pandas as pd

    if type_tag == "dataframe":
        index = _decode_index(value["index"], decode_other)
        columns = [_decode_column(column, decode_other) for column in value["data"]]
        if any(len(column) != len(index) for column in columns):
            raise ValueError("a frame's columns differ in length")
        # As series: pandas would look through a bare column of objects for dates.
        parts = [pd.Series(column, index=index, dtype=column.dtype) for column in columns]
        frame = pd.DataFrame(dict(enumerate(parts)), index=index)
        frame.columns = _decode_index(value["columns"], decode_other)
        frame.attrs = decode_other(value["attrs"])
        return frame
    if type_tag == "series":
        data, index = _decode_column(value["data"], decode_other), _decode_index(value["index"], decode_other)
        if len(data) != len(index):
            raise ValueError("a series and its index differ in length")
        series = pd.Series(data, index=index, name=decode_other(value["name"]), dtype=data.dtype)
        series.attrs = decode_other(value.get("attrs", {}))  # earlier checkpoints have none
        return series
    return _decode_index(value, decode_other)


def _encode_index(index: pd.Index, encode_other: Encode) -> Encoded:
    type_name = type(index).__name__
    names = encode_other(list(index.names), "names")
    if type_name == "RangeIndex":
        return {TAG: "index", "range": [index.start, index.stop, index.step], "names": names}
    if type_name == "MultiIndex":
        levels = [
            _encode_column(index.get_level_values(position).array, encode_other) for position in range(index.nlevels)
        ]
        return {TAG: "index", "levels": levels, "names": names}
    if type_name in ("PeriodIndex", "IntervalIndex"):
        raise Unsupported(f"a pandas {type_name}")
    frequency = getattr(index, "freq", None)
    freq = None if frequency is None else frequency_name(frequency)
    if frequency is not None and freq is None:
        raise Unsupported(f"an index of frequency {frequency}, which has no name (set its `freq` to None)")
    return {TAG: "index", "data": _encode_column(index.array, encode_other), "names": names, "freq": freq}


def _decode_index(value: Encoded, decode_other: Decode) -> pd.Index:
    import pandas as pd

    names = decode_other(value["names"])
    if "range" in value:
        bounds = [int(number) for number in value["range"]]
        if any(abs(number) >= 1 << 62 for number in bounds):
            raise ValueError("a range has no end")
        return pd.RangeIndex(*bounds, name=names[0])
    if "levels" in value:
        return pd.MultiIndex.from_arrays(
            [_decode_column(level, decode_other) for level in value["levels"]], names=names
        )
    data = _decode_column(value["data"], decode_other)
    if value.get("freq"):
        return type(pd.Index(data))(data, freq=str(value["freq"]), name=names[0])
    return pd.Index(data, dtype=data.dtype, name=names[0])


def _encode_column(array: ExtensionArray, encode_other: Encode) -> Encoded:
    """A column: a pandas extension array, or a NumPy array of numbers or Python objects."""
    import pandas as pd

    dtype = array.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _encode_index(dtype.categories, encode_other)
        codes = _encode_numbers(array.codes)
        return {TAG: "categorical", "codes": codes, "categories": categories, "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.StringDtype):
        missing = array.isna()
        texts = [None if gone else str(text) for text, gone in zip(array, missing, strict=True)]
        na_is_nan = dtype.na_value is not pd.NA
        return {TAG: "strings", "storage": dtype.storage, "na_is_nan": na_is_nan, "data": _write_texts(texts)}
    if isinstance(dtype, pd.DatetimeTZDtype):
        utc = pd.DatetimeIndex(array).tz_convert("UTC").tz_localize(None)
        name = zone_name(dtype.tz)
        if name is None:
            raise Unsupported(f"times of the zone {dtype.tz}, which has no name that pandas knows")
        return {TAG: "datetimes", "tz": name, "data": _encode_numbers(utc.to_numpy())}
    if str(dtype) in _MASKED:
        missing = array.isna()
        numpy_dtype = str(dtype).lower().replace("boolean", "bool")
        fill = False if numpy_dtype == "bool" else 0
        values = array.to_numpy(dtype=numpy_dtype, na_value=fill)
        return {
            TAG: "masked",
            "dtype": str(dtype),
            "data": _encode_numbers(values),
            "missing": _encode_numbers(missing),
        }
    if not isinstance(array, (pd.arrays.NumpyExtensionArray, pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray)):
        raise Unsupported(f"a pandas column of type {dtype}")
    numbers = array.to_numpy()
    if numbers.dtype == object:
        return {TAG: "objects", "data": encode_other(list(numbers), "column")}
    return _encode_numbers(numbers)


def _decode_column(value: Encoded, decode_other: Decode) -> np.ndarray | ExtensionArray:
    import numpy as np
    import pandas as pd

    type_name = value[TAG]
    if type_name == "ndarray":
        numbers = _decode_numbers(value)
        if numbers.ndim != 1:
            raise ValueError("a column has more than one dimension")
        return numbers
    if type_name == "objects":
        objects = np.empty(len(value["data"]), object)
        items = [decode_other(item) for item in value["data"]]
        objects[:] = items
        refuse_collisions((item for item in items if type(item) in (int, complex)), {})  # an index hashes its items
        return objects
    if type_name == "categorical":
        categories = _decode_index(value["categories"], decode_other)
        if isinstance(categories, pd.RangeIndex) and len(categories) > MAX_CATEGORIES:
            raise ValueError(f"a range of {len(categories):,} categories, and {MAX_CATEGORIES:,} are allowed")
        return pd.Categorical.from_codes(_decode_numbers(value["codes"]), categories, ordered=bool(value["ordered"]))
    if type_name == "strings":
        na_value = np.nan if value["na_is_nan"] else pd.NA
        dtype: LibraryObject = pd.StringDtype(str(value["storage"]), na_value=na_value)
        return pd.array(_read_texts(value["data"]), dtype=dtype)
    if type_name == "datetimes":
        utc = pd.DatetimeIndex(_decode_numbers(value["data"])).tz_localize("UTC")
        return utc.tz_convert(checked_zone(str(value["tz"]))).array
    if type_name == "masked":
        values, missing = _decode_numbers(value["data"]), _decode_numbers(value["missing"])
        return getattr(pd.arrays, _MASKED[str(value["dtype"])])(values, missing)
    raise ValueError(f"unknown kind of column {type_name!r:.40}")


def _encode_numbers(array: np.ndarray) -> Encoded:
    """A NumPy array of numbers, times or fixed-length texts."""
    import numpy as np

    if _DTYPE.fullmatch(array.dtype.str) is None:
        raise Unsupported(f"a NumPy array of type {array.dtype}")
    if array.ndim > MAX_DIMENSIONS or array.dtype.itemsize == 0 or _lists(array.shape) > MAX_EMPTY:
        raise Unsupported(f"a NumPy array of {array.ndim} dimensions, type {array.dtype} and shape {array.shape}")
    flat = np.ascontiguousarray(array).reshape(-1)
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    return {TAG: "ndarray", "dtype": array.dtype.str, "shape": list(array.shape), "data": _write(_storable(native))}


def _decode_numbers(value: Encoded) -> np.ndarray:
    import numpy as np

    match = _DTYPE.fullmatch(str(value["dtype"]))
    if match is None:
        raise ValueError(f"unknown type {value['dtype']!r:.40}")
    dtype, shape = np.dtype(match[0]), list(value["shape"])
    if dtype.itemsize == 0 or len(shape) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array has no size")
    if _lists(shape) > MAX_EMPTY:
        raise ValueError("an array without a number has too large a shape")
    flat = _read(bytes(value["data"]))
    flat = flat.view(np.uint8)
    count = 1
    for length in shape:
        count *= length  # of Python, which does not overflow
    if count * dtype.itemsize != flat.nbytes:
        raise ValueError(f"an array of shape {shape} has {flat.nbytes} bytes")
    native = dtype.newbyteorder("=")
    if dtype.kind == "U" and flat.view(np.uint32).max(initial=0) > MAX_CODE_POINT:
        raise ValueError("a text holds a character that Unicode does not have")
    return flat.view(native).astype(dtype, copy=False).reshape(shape)


def _lists(shape: Sequence[int]) -> int:
    """Lists in an array that holds no number, when it is a list of lists; 0 for other arrays."""
    if 0 not in shape:
        return 0
    count = 1
    for length in shape[: list(shape).index(0)]:
        count *= length
    return count


def _storable(flat: np.ndarray) -> np.ndarray:
    """The same bytes as an array of a type that Arrow supports."""
    import numpy as np

    column_type = flat.dtype.kind
    if column_type in "mM":
        return flat.view(np.int64)
    if column_type == "c":
        return flat.view(np.dtype(f"f{flat.dtype.itemsize // 2}"))
    if column_type in "SU":
        return flat.view(np.uint8)
    return flat


def _write(numbers: object) -> bytes:
    import pyarrow as pa

    return _write_column(pa.array(numbers))


def _write_texts(texts: list[str | None]) -> bytes:
    import pyarrow as pa

    try:
        return _write_column(pa.array(texts, pa.large_string()))
    except UnicodeEncodeError as error:
        raise Unsupported("a text with half of a surrogate pair") from error


def _write_column(column: object) -> bytes:
    import pyarrow as pa

    batch = pa.record_batch([column], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _read(data: bytes) -> np.ndarray:
    """The numbers of an Arrow stream with one column, as a new NumPy array."""
    import numpy as np
    import pyarrow as pa

    column = _read_column(data)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise ValueError(f"a column of type {column.type}")
    if column.null_count:
        raise ValueError("a number is missing")
    return np.array(column.to_numpy(zero_copy_only=False), copy=True)


def _read_texts(data: bytes) -> list[str | None]:
    import pyarrow as pa

    column = _read_column(bytes(data))
    if not pa.types.is_large_string(column.type):
        raise ValueError(f"a column of type {column.type}")
    return list(column.to_pylist())


def _read_column(data: bytes) -> pa.Array:
    """The one column of an Arrow stream of one batch, validated.

    Raises:
        ValueError: it is none, or compressed, or its lengths do not fit its bytes.
    """
    import pyarrow as pa

    reader = pa.BufferReader(data)
    try:
        first = pa.ipc.read_message(reader)
        if first.type != "schema":  # the process would die of it
            raise ValueError("a stream that does not begin with a schema")
        schema = pa.ipc.read_schema(first)
        if len(schema) != 1 or pa.types.is_nested(schema.types[0]) or pa.types.is_dictionary(schema.types[0]):
            raise ValueError(f"a stream of {len(schema)} columns, or of one that is not plain")
        if schema.metadata or schema.field(0).metadata or isinstance(schema.types[0], pa.BaseExtensionType):
            raise ValueError("a column of an extension type")
        message = pa.ipc.read_message(reader)
        if message.type != "record batch" or _is_compressed(bytes(message.metadata)):
            raise ValueError("a batch that is compressed, or no batch")
        column = pa.ipc.read_record_batch(message, schema).column(0)
        column.validate(full=True)
    except (pa.ArrowException, EOFError, OSError, MemoryError, struct.error) as error:
        raise ValueError(f"Arrow data that cannot be read: {str(error)[:200]}") from error
    return column


def _is_compressed(metadata: bytes) -> bool:
    """Whether the header of a record batch has the field `compression` (Arrow's `Message.fbs`, a FlatBuffers table)."""
    message = struct.unpack_from("<I", metadata)[0]
    header = _field(metadata, message, 2)
    if header is None:
        return True
    return _field(metadata, header + struct.unpack_from("<I", metadata, header)[0], 3) is not None


def _field(data: bytes, table: int, number: int) -> int | None:
    """The position of a field of a FlatBuffers table; None if the table omits it."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0 or 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + offset if offset else None
