"""Curves and waterfalls as an SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from msgspec import Struct

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 24, 56
COLOURS = ("#c2410c", "#2563eb", "#15803d")
GREY = "#808080"


class Curve(Struct, frozen=True):
    """Points (x, y, label), both axes from 0."""

    name: str
    points: tuple[tuple[float, float, str], ...]


class Bar(Struct, frozen=True):
    """A step of a waterfall: its median and its 95th percentile, in ms."""

    name: str
    p50: float
    p95: float


def plot(curves: Sequence[Curve], x_title: str, y_title: str) -> str:
    points = [point for curve in curves for point in curve.points]
    x_end, y_end = _round_up(max(x for x, _, _ in points)), _round_up(max(y for _, y, _ in points))

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = x / x_end * (WIDTH - LEFT - RIGHT), y / y_end * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    out = [_begin(HEIGHT)]
    for i in range(11):
        (x, floor), (left, y) = at(x_end * i / 10, 0), at(0, y_end * i / 10)
        out.append(f'<path d="M{left} {y}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity="0.25"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{y_end * i / 10:g}</text>')
        out.append(f'<text x="{x}" y="{floor + 18}" text-anchor="middle">{x_end * i / 10:g}</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_title)}</text>')
    middle = HEIGHT / 2
    out.append(
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">{escape(y_title)}</text>'
    )
    for number, (curve, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        places = [(*at(x, y), label) for x, y, label in curve.points]
        line = " ".join(f"{x},{y}" for x, y, _ in places)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, label in places:
            out.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>')
            out.append(f'<text x="{x + 6}" y="{y - 6}" font-size="11" fill="{colour}">{escape(label)}</text>')
        place = f'x="{LEFT + 16}" y="{HEIGHT - BOTTOM - 40 + 18 * number}"'
        out.append(f'<text {place} font-weight="bold" fill="{colour}">{escape(curve.name)}</text>')
    return "\n".join((*out, "</svg>", ""))


def waterfall_plot(bars: Sequence[Bar], title: str) -> str:
    """All steps on one time axis that begins with 0, or with the earliest of them."""
    row, names, labels = 28, 170, 90
    height = TOP + row * len(bars) + BOTTOM
    start = min(0.0, *(bar.p50 for bar in bars))
    span = _round_up(max(bar.p95 for bar in bars) - start)

    def at(ms: float) -> float:
        return round(names + (ms - start) / span * (WIDTH - labels - names), 1)

    out = [_begin(height)]
    floor = height - BOTTOM
    for i in range(11):
        x = at(start + span * i / 10)
        out.append(f'<path d="M{x} {TOP}V{floor}" stroke="{GREY}" stroke-opacity="0.25"/>')
        out.append(f'<text x="{x}" y="{floor + 18}" text-anchor="middle">{start + span * i / 10:.0f}</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{height - 12}" text-anchor="middle">{escape(title)}</text>')
    for number, bar in enumerate(bars):
        y, colour = TOP + row * number + row // 2, COLOURS[number % len(COLOURS)]
        zero, middle, late = at(0), at(bar.p50), at(bar.p95)
        left, width = min(zero, middle), round(abs(middle - zero), 1)
        out.append(f'<text x="{names - 10}" y="{y + 4}" text-anchor="end">{escape(bar.name)}</text>')
        out.append(f'<rect x="{left}" y="{y - 7}" width="{width}" height="14" fill="{colour}" fill-opacity="0.75"/>')
        out.append(f'<path d="M{middle} {y}H{late}M{late} {y - 6}V{y + 6}" stroke="{colour}" stroke-width="2"/>')
        label = f"{bar.p50:.0f} / {bar.p95:.0f}"
        out.append(f'<text x="{max(late, middle) + 6}" y="{y + 4}" font-size="11" fill="{colour}">{label}</text>')
    return "\n".join((*out, "</svg>", ""))


def _begin(height: int) -> str:
    style = f'font-family="sans-serif" font-size="13" fill="{GREY}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {style}>'


def _round_up(value: float) -> float:
    """To the next number that ten steps divide well."""
    size = 10.0 ** (len(str(int(value))) - 1)
    return next(step * size for step in (1, 2, 4, 5, 8, 10) if step * size >= value)
