"""Small pictures as SVG: lines over a logarithmic axis, and bars. Colours follow the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """\
  svg { font: 13px system-ui, sans-serif; }
  text { fill: #1f2328; } .quiet { fill: #59636e; } .grid { stroke: #d1d9e0; stroke-width: 1; }
  .a { fill: #2563eb; stroke: #2563eb; } .b { fill: #b45309; stroke: #b45309; } .c { fill: #8c959f; stroke: #8c959f; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }
    .a { fill: #60a5fa; stroke: #60a5fa; } .b { fill: #f59e0b; stroke: #f59e0b; } .c { fill: #6e7681; stroke: #6e7681; }
  }"""
WIDTH = 640
LEFT, RIGHT, TOP, BOTTOM = 60, 24, 48, 46


@dataclass(frozen=True)
class Spread:
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Frame:
    """Where a value stands: ``x`` by the logarithm of a point, ``low`` to ``high``, ``y`` by a rate up to ``top``."""

    low: float
    high: float
    top: float
    height: int

    def x(self, point: float) -> float:
        share = (math.log10(point) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(self, rate: float) -> float:
        return self.height - BOTTOM - (self.height - TOP - BOTTOM) * rate / self.top


def lines(title: str, axis: str, curves: Mapping[str, Mapping[int, Spread]], *, height: int = 280) -> str:
    """Jobs a second over a logarithmic axis; each point with its range. At most two curves."""
    points = sorted({point for curve in curves.values() for point in curve})
    top = _ceiling(max(spread.high for curve in curves.values() for spread in curve.values()))
    frame = Frame(points[0], max(points[-1], points[0] * 10), top, height)
    parts = [f'<text x="{LEFT}" y="20" font-weight="600">{escape(title)}</text>', *_grid(frame, points)]
    parts.append(f'<text class="quiet" x="{WIDTH - RIGHT}" y="{height - 8}" text-anchor="end">{escape(axis)}</text>')
    for curve, colour in zip(curves.values(), "ab", strict=False):
        parts += _track(frame, curve, colour)
    return _svg(title, height, [*parts, *_legend(list(curves))])


def _grid(frame: Frame, points: Sequence[int]) -> list[str]:
    parts = []
    for rate in (frame.top * step / 4 for step in range(5)):
        y = frame.y(rate)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="quiet" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{rate:,.0f}</text>')
    below = frame.height - BOTTOM + 18
    return parts + [
        f'<text x="{frame.x(point):.1f}" y="{below}" text-anchor="middle">{point:,}</text>' for point in points
    ]


def _track(frame: Frame, curve: Mapping[int, Spread], colour: str) -> list[str]:
    at = {frame.x(point): spread for point, spread in sorted(curve.items())}
    track = " ".join(f"{x:.1f},{frame.y(spread.median):.1f}" for x, spread in at.items())
    parts = [f'<polyline class="{colour}" style="fill:none" stroke-width="2" points="{track}"/>']
    for x, spread in at.items():
        ends = f'y1="{frame.y(spread.low):.1f}" y2="{frame.y(spread.high):.1f}"'
        parts.append(f'<line class="{colour}" x1="{x:.1f}" x2="{x:.1f}" {ends}/>')
        parts.append(f'<circle class="{colour}" cx="{x:.1f}" cy="{frame.y(spread.median):.1f}" r="4"/>')
    return parts


def bars(title: str, rates: Sequence[tuple[str, Spread]], *, marked: str) -> str:
    """One bar each, longest first as given; those whose name begins with ``marked`` stand out."""
    row, left = 26, 190
    height = TOP + row * len(rates) + 12
    scale = (WIDTH - left - 80) / max(spread.median for _, spread in rates)
    parts = [f'<text x="8" y="20" font-weight="600">{escape(title)}</text>']
    for place, (name, spread) in enumerate(rates):
        y = TOP + row * place
        colour = "a" if name.startswith(marked) else "c"
        parts.append(f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="{colour}" x="{left}" y="{y}" width="{spread.median * scale:.1f}" height="18" rx="2"/>'
        )
        parts.append(f'<text x="{left + spread.median * scale + 8:.1f}" y="{y + 13}">{spread.median:,.0f}</text>')
    return _svg(title, height, parts)


def _legend(names: list[str]) -> list[str]:
    if len(names) < 2:
        return []
    parts, at = [], LEFT
    for name, colour in zip(names, "ab", strict=False):
        parts.append(f'<circle class="{colour}" cx="{at + 5}" cy="35" r="4"/>')
        parts.append(f'<text class="quiet" x="{at + 14}" y="39">{escape(name)}</text>')
        at += 40 + 7 * len(name)
    return parts


def _ceiling(value: float) -> float:
    """The next round number above ``value`` that divides well by four."""
    size = 10.0 ** math.floor(math.log10(max(value, 1)))
    return next(size * factor for factor in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if size * factor >= value)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img"'
    return "\n".join([f'{head} aria-label="{escape(title)}">', f"<style>\n{STYLE}\n</style>", *parts, "</svg>\n"])
