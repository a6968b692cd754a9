"""Number types with bounds, for the parameters of components."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

PositiveInt = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
PositiveFloat = Annotated[float, Meta(gt=0)]
NonNegativeFloat = Annotated[float, Meta(ge=0)]
OpenUnitInterval = Annotated[float, Meta(gt=0, lt=1)]
"""Between 0 and 1, both excluded."""
