"""Names from which a time zone, or the frequency of an index, can be built again.

A name is kept only if it builds the same zone or frequency: `str` of a zone by dateutil, or of a fixed offset with a
name of its own, is not a name that pandas knows, and a checkpoint that holds it could not be read.
"""

from __future__ import annotations

import re
from datetime import timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from pandas.tseries.offsets import BaseOffset

_NAME = re.compile(r"(?!dateutil/)[A-Za-z0-9_+\-/:]{1,64}|tzlocal\(\)")
"""pandas reads `dateutil/<path>` as the path of a file; no encoded value has such a name."""


def zone_name(zone: tzinfo) -> str | None:
    """The name by which pandas builds this time zone; None if there is none.

    Args:
        zone: the zone of a column, an index or a `Timestamp`.
    """
    name = str(timezone(zone.utcoffset(None))) if isinstance(zone, timezone) else str(zone)
    try:
        rebuilt = checked_zone(name)
    except (ValueError, KeyError, OSError):  # what pandas and zoneinfo raise for names they do not know
        return None
    # A zone by pytz is another object than the one by zoneinfo of the same name.
    return name if rebuilt == zone or str(rebuilt) == str(zone) else None


def checked_zone(name: str) -> tzinfo | None:
    """The time zone of a name that `zone_name` gave.

    Raises:
        ValueError: the text is not such a name.
        KeyError: this machine has no zone of the name.
    """
    import pandas as pd

    if _NAME.fullmatch(name) is None:
        raise ValueError(f"unknown time zone {name!r:.60}")
    return pd.Timestamp(0, tz=name).tz


def zone_key(zone: tzinfo | None) -> str | None:
    """The key by which zoneinfo builds this time zone; None for a zone of another kind, or built from a file."""
    if type(zone) is not ZoneInfo or not zone.key:
        return None
    try:
        return zone.key if ZoneInfo(zone.key) == zone else None
    except (ValueError, KeyError, OSError):  # its key is not one of this machine's
        return None


def frequency_name(frequency: BaseOffset) -> str | None:
    """The name by which pandas builds the frequency of an index; None if there is none, as for own business days."""
    from pandas.tseries.frequencies import to_offset

    try:
        return str(frequency.freqstr) if to_offset(frequency.freqstr) == frequency else None
    except ValueError:
        return None
