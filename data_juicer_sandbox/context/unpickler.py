"""Pickles of earlier versions: plain values, NumPy arrays and pandas frames; everything else is refused by name.

Only for files that their user trusts: names of NumPy and pandas are enough for a crafted file to do harm.
"""

from __future__ import annotations

import io
import pickle  # only through the restricted unpickler below

_MODULES: dict[str, str] = {
    "builtins": "set frozenset complex bytearray slice range",
    "collections": "OrderedDict",
    "datetime": "date datetime time timedelta timezone",
    "numpy": "ndarray dtype",
    # pandas 3 names its public modules, pandas 2 the private ones
    "pandas": "DataFrame Series Index RangeIndex MultiIndex DatetimeIndex TimedeltaIndex Categorical CategoricalIndex "
    "CategoricalDtype StringDtype DatetimeTZDtype BooleanDtype Int64Dtype Float64Dtype NA",
    "pandas.arrays": "ArrowStringArray StringArray BooleanArray IntegerArray FloatingArray DatetimeArray "
    "TimedeltaArray",
    "pandas.core.frame": "DataFrame",
    "pandas.core.series": "Series",
    "pandas.core.indexes.base": "_new_Index Index",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.indexes.multi": "MultiIndex",
    "pandas.core.indexes.category": "CategoricalIndex",
    "pandas.core.indexes.datetimes": "DatetimeIndex _new_DatetimeIndex",
    "pandas.core.indexes.timedeltas": "TimedeltaIndex",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas.core.internals.blocks": "new_block",
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.boolean": "BooleanArray BooleanDtype",
    "pandas.core.arrays.integer": "IntegerArray Int64Dtype",
    "pandas.core.arrays.floating": "FloatingArray Float64Dtype",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.timedeltas": "TimedeltaArray",
    "pandas.core.arrays.string_": "StringArray StringDtype",
    "pandas.core.arrays.string_arrow": "ArrowStringArray",
    "pandas.core.dtypes.dtypes": "CategoricalDtype DatetimeTZDtype",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.missing": "NA _create_NA",
    "pandas._libs.tslibs.offsets": "Day Hour Minute Second",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle",
    "pyarrow.lib": "_restore_array py_buffer type_for_alias chunked_array",
    **{f"numpy.{core}.multiarray": "_reconstruct scalar" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric": "_frombuffer" for core in ("core", "_core")},
}
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    (module, name) for module, names in _MODULES.items() for name in names.split()
)


class Refused(pickle.UnpicklingError):
    """The pickle names a class or function that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """Look up a class on the list.

        Raises:
            Refused: it is not there.
        """
        if (module, name) not in ALLOWED:
            raise Refused(f"it names {module}.{name}, which is not a plain value")
        return super().find_class(module, name)

    def persistent_load(self, pid: object) -> object:
        """Refuse references to things outside.

        Raises:
            Refused: always.
        """
        raise Refused("it refers to something outside of it")


def loads(data: bytes) -> object:
    """Load a pickle that holds nothing but plain values, NumPy and pandas.

    Raises:
        Refused: it names anything else; nothing of it was called.
        Exception: it is damaged. The kinds of error the pickle machine has for this are many.
    """
    return _Unpickler(io.BytesIO(data)).load()
