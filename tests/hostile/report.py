"""What was measured, in words, as a table and as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tests.hostile.measure import CALLBACK_MS, SLOWER, Result


def plain(what: str) -> str:
    """Without the line breaks and escape codes that an attacker was told back."""
    return "".join(c if c.isprintable() else "·" for c in what)


def line(result: Result) -> str:
    told = ", ".join(f"{count} × {what}" for what, count in list(result.told.items())[:2])
    verdict = "  FAILS: " + "; ".join(result.failures) if result.failures else ""
    return (
        f"{result.name}: longest callback {result.callback_ms:.0f} ms, {result.before:.0f} → {result.peak:.0f} → "
        f"{result.after:.0f} MB, p95 {result.p95:.0f} ms ({result.slower:.2f}), told {plain(told)[:110]}{verdict[:400]}"
    )


def headline(results: Sequence[Result], kinds: int) -> str:
    failed = [result.name for result in results if result.failures]
    worst = max(results, key=lambda result: result.callback_ms)
    slowest = max(results, key=lambda result: result.slower)
    kept = max(results, key=lambda result: result.after - result.before)
    return (
        f"\n{len(results)} of {kinds} kinds, {len(failed)} fail. Longest callback {worst.callback_ms:.0f} ms "
        f"({worst.name}), most that stays {kept.after - kept.before:.0f} MB ({kept.name}), neighbours' p95 at most "
        f"{slowest.slower:.2f} times the {slowest.idle:.0f} ms of an idle server ({slowest.name})."
        + "".join(f"\n  fails: {name}" for name in failed)
    )


def table(results: Sequence[Result], before: Mapping[str, Result]) -> str:
    rows = [
        "| kind | longest callback, ms | memory before, peak, after, MB | p95 beside idle | told |",
        "|---|---|---|---|---|",
    ]
    for found in results:
        earlier = before.get(found.name)
        told = "; ".join(f"{plain(what)} ({count})" for what, count in list(found.told.items())[:2]).replace("|", "/")
        cells = (
            found.name,
            _both(_callback(earlier), _callback(found)),
            _both(_memory(earlier), _memory(found)),
            _both(_slower(earlier), _slower(found)),
            told[:120],
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join((*rows, ""))


def _both(before: str, now: str) -> str:
    return f"{before} → **{now}**" if before else now


def _callback(found: Result | None) -> str:
    return "" if found is None else "hung" if found.hung else f"{found.callback_ms:,.0f}"


def _memory(found: Result | None) -> str:
    return "" if found is None else f"{found.before:,.0f}, {found.peak:,.0f}, {found.after:,.0f}"


def _slower(found: Result | None) -> str:
    return "" if found is None else f"{found.slower:.2f}"


# --- the chart --------------------------------------------------------------------------------------------------------

ROW, NAMES, WIDTH, TOP = 13, 280, 900, 46
GREY, OLD, NEW = "#808080", "#c2410c", "#2563eb"
MOST_MS, MOST_SLOWER = 10_000.0, 4.0


def chart(results: Sequence[Result], before: Mapping[str, Result]) -> str:
    """The longest callback of each kind (on a scale of powers of ten) and the neighbours' p95 beside an idle server."""
    height = TOP + ROW * len(results) + 30
    half = (WIDTH - NAMES - 60) / 2

    def ms(value: float) -> float:
        import math

        return NAMES + half * math.log10(max(1.0, min(value, MOST_MS))) / math.log10(MOST_MS)

    def ratio(value: float) -> float:
        return NAMES + half + 40 + half * min(value, MOST_SLOWER) / MOST_SLOWER

    style = f'font-family="sans-serif" font-size="10" fill="{GREY}"'
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {style}>']
    out.append(f'<text x="{NAMES}" y="14">longest callback, ms of CPU</text>')
    out.append(f'<text x="{ratio(0):.0f}" y="14">neighbours\' p95, times that of an idle server</text>')
    out.append(f'<circle cx="14" cy="10" r="3.5" fill="{OLD}"/><text x="22" y="14">before</text>')
    out.append(f'<circle cx="74" cy="10" r="3.5" fill="{NEW}"/><text x="82" y="14">now</text>')
    marks = (1, 10, CALLBACK_MS, 100, 1000, MOST_MS)
    out += [_rule(ms(v), height, _edge(v, MOST_MS), bar=v == CALLBACK_MS) for v in marks]
    out += [_rule(ratio(v), height, _edge(v, MOST_SLOWER), bar=v == SLOWER) for v in (0, 1, SLOWER, 2, 3, 4)]
    for number, found in enumerate(results):
        y = TOP + ROW * number + 8
        out.append(f'<text x="{NAMES - 8}" y="{y + 3}" text-anchor="end">{escape(found.name)}</text>')
        for one, colour in ((before.get(found.name), OLD), (found, NEW)):
            if one is not None:
                at = ms(MOST_MS if one.hung else one.callback_ms)
                out.append(f'<circle cx="{at:.1f}" cy="{y}" r="3.5" fill="{colour}" fill-opacity="0.8"/>')
                at = ratio(one.slower)
                out.append(f'<circle cx="{at:.1f}" cy="{y}" r="3.5" fill="{colour}" fill-opacity="0.8"/>')
    return "\n".join((*out, "</svg>", ""))


def _edge(value: float, most: float) -> str:
    """What is more, or a server that hung, is drawn at the edge."""
    return "≥ " * (value == most) + f"{value:,g}"


def _rule(x: float, height: int, label: str, *, bar: bool) -> str:
    dash = 'stroke-dasharray="4 3" stroke-opacity="0.9"' if bar else 'stroke-opacity="0.25"'
    return (
        f'<path d="M{x:.1f} {TOP - 6}V{height - 20}" stroke="{GREY}" {dash}/>'
        f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle">{label}</text>'
    )
