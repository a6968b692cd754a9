"""Line plots as inline SVG: axes, grid, legend, and no library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from operator import itemgetter

_height = itemgetter(1)

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 520, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 34
_MOST = 400
LARGEST = 1e300
"""Absolute value above which a point is left out: the span of the axis would overflow to infinity."""
_SMALLEST_SPAN = 1e-300
"""Span below which a line is drawn as flat: a fifth of it may underflow to 0, whose logarithm does not exist."""
# Okabe and Ito's palette: distinguishable with any colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#555555")


def line_plot(lines: Mapping[str, Points], *, title: str, x_label: str = "step") -> str:
    """A plot of several lines over one axis.

    Args:
        lines: points by name; values that are not finite or exceed 1e300 are left out, long lines are thinned.
        title: for those who do not see the plot.
        x_label: name of the horizontal axis.

    Returns:
        an `<svg>` element, or an empty text without points.
    """
    drawable = {
        name: [point for point in points if all(abs(value) <= LARGEST for value in point)]
        for name, points in lines.items()
    }
    kept = {name: thin(points, _MOST) for name, points in drawable.items() if points}
    if not kept:
        return ""
    xs = ticks(*_range([x for points in kept.values() for x, _ in points]))
    ys = ticks(*_range([y for points in kept.values() for _, y in points]))
    legend = 18 * len(kept) if len(kept) > 1 else 0
    x0, x1, y0, y1 = _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM, _TOP

    def at_x(x: float) -> float:
        return x0 + (x - xs[0]) / (xs[-1] - xs[0]) * (x1 - x0)

    def at_y(y: float) -> float:
        return y0 + (y - ys[0]) / (ys[-1] - ys[0]) * (y1 - y0)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + legend}" width="{WIDTH}" role="img" class="plot">',
        f"<title>{escape(title)}</title>",
    ]
    for y in ys:
        parts.append(f'<line class="grid" x1="{x0}" x2="{x1}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>')
        parts.append(f'<text x="{x0 - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{number(y)}</text>')
    for x in xs:
        parts.append(f'<line class="axis" x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{y0}" y2="{y0 + 4}"/>')
        parts.append(f'<text x="{at_x(x):.1f}" y="{y0 + 16}" text-anchor="middle">{number(x)}</text>')
    parts.append(f'<line class="axis" x1="{x0}" x2="{x1}" y1="{y0}" y2="{y0}"/>')
    parts.append(f'<text x="{(x0 + x1) / 2}" y="{HEIGHT - 3}" text-anchor="middle">{escape(x_label)}</text>')
    for index, (name, points) in enumerate(kept.items()):
        colour, dash = _COLOURS[index % len(_COLOURS)], ("", "6 3", "2 3")[index // len(_COLOURS) % 3]
        style = f'stroke="{colour}" stroke-dasharray="{dash}"' if dash else f'stroke="{colour}"'
        drawn = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        parts.append(f'<polyline {style} points="{drawn}"/>')
        if len(points) == 1:
            parts.append(f'<circle fill="{colour}" cx="{at_x(points[0][0]):.1f}" cy="{at_y(points[0][1]):.1f}" r="3"/>')
        if legend:
            y = HEIGHT + 18 * index + 8
            parts.append(f'<line {style} stroke-width="2" x1="{x0}" x2="{x0 + 24}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text x="{x0 + 32}" y="{y + 4}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that reach from below `low` to above `high`; `low` is less than `high`."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's label."""
    return f"{value:.4g}" if value else "0"


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    if high - low > max(1e-12 * largest, _SMALLEST_SPAN):
        return low, high
    pad = largest * 0.05 if largest > _SMALLEST_SPAN else 1.0  # a flat line needs an axis too
    return low - pad, high + pad


def thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most about so many points: the lowest and the highest of each stretch, in order.

    Args:
        points: the points.
        most: how many.
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(2 * len(points) / most)
    thinned = [points[0]]
    for begin in range(0, len(points), size):
        part = points[begin : begin + size]
        low, high = min(part, key=_height), max(part, key=_height)
        thinned += [low] if low is high else [low, high] if part.index(low) < part.index(high) else [high, low]
    return [*thinned, points[-1]]
