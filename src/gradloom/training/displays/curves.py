"""Curves of a monitor as SVG, and what it says as HTML: for the page and for the report."""
from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 640.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 12.0, 12.0, 34.0
# on white, and on black
COLORS = (("#1f5fa8", "#7ab3f5"), ("#c4501b", "#f59563"), ("#2c7a3f", "#74c98a"), ("#7d3f98", "#cf95e8"),
          ("#8a6d1d", "#d9bb62"), ("#3a7d8c", "#7dccdc"))
MOST = 400  # points of a curve, twice: the least and the largest of each part of it


def _variables(which: int) -> str:
    return " ".join([f"--curve{k}: {colors[which]};" for k, colors in enumerate(COLORS)])


STYLE = f"""
:root {{ color-scheme: light dark; {_variables(0)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(1)} }} }}
""" + """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 0; }
table { border-collapse: collapse; margin: 0.8rem 0; } td { padding: 0.1rem 1rem 0.1rem 0; vertical-align: top; }
td:first-child { opacity: 0.7; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.5rem 2rem; }
figure { margin: 0; } figcaption { display: flex; gap: 1rem; align-items: baseline; }
figcaption span::before { content: ""; display: inline-block; width: 1.2em; height: 3px; margin-right: 0.4em;
  vertical-align: middle; background: var(--curve); }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: currentColor; }
.bar { background: #8884; height: 0.5rem; border-radius: 0.25rem; overflow: hidden; }
.bar div { background: var(--curve0); height: 100%; }
button { font: inherit; padding: 0.3rem 1rem; }
"""


def body_of(monitor: Any) -> str:
    """What a monitor holds, as HTML: status, progress, information, curves."""
    recorded = {name: (list(steps), list(values)) for name, (steps, values) in monitor.recorded.items() if steps}
    last = max((steps[-1] for steps, _ in recorded.values()), default="")
    rows = [("status", monitor.status), ("time", _duration(monitor.elapsed)), (monitor.x_label, last),
            *monitor.said.items()]
    table = "".join(f"<tr><td>{escape(str(name))}</td><td>{escape(_shown(value))}</td></tr>" for name, value in rows
                    if value != "")
    pictures = ""
    for name, its in monitor.pictures().items():
        members = [(metric, *recorded[metric]) for metric in its if metric in recorded]
        if members:
            names = "".join(f'<span style="--curve: {_color(k)}">{escape(metric)}</span>'
                            for k, (metric, _, _) in enumerate(members)) if len(its) > 1 else ""
            drawn = curves(members, monitor.x_label, monitor.scales.get(name, "linear"))
            pictures += f"<figure><figcaption><h2>{escape(name)}</h2>{names}</figcaption>{drawn}</figure>"
    return (f'<div class="bar"><div style="width:{monitor.progress:.1f}%"></div></div><table>{table}</table>'
            f'<div class="pictures">{pictures or "<p>Nothing was recorded yet.</p>"}</div>')


def page_of(body: str, title: str, head: str = "") -> str:
    """A whole HTML page that needs nothing else."""
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{escape(title)}</title>"
            f"<style>{STYLE}</style>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>")


def curves(series: Sequence[tuple[str, Sequence[float], Sequence[float]]], x_label: str, scale: str) -> str:
    """One picture: (name, steps, values) for each curve. What is not finite is left out."""
    lines = [_points(steps, values, scale) for _, steps, values in series]
    every = [point for points in lines for point in points]
    if not every:
        return '<svg viewBox="0 0 640 60"><text x="20" y="34">no number is finite</text></svg>'
    x0, x1 = min(x for x, _ in every), max(x for x, _ in every)
    y_ticks = _ticks(min(y for _, y in every), max(y for _, y in every))
    x_ticks = [x for x in _ticks(x0, x1) if x0 <= x <= x1]
    y0, y1 = y_ticks[0], y_ticks[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        return (LEFT + (x - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (y - y0) / ((y1 - y0) or 1) * (HEIGHT - TOP - BOTTOM))

    parts = [f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">']
    for tick in y_ticks:
        y, number = at(x0, tick)[1], _number(10 ** tick if scale == "log" else tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8886"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number}</text>')
    for tick in x_ticks:
        x = at(tick, y0)[0]
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{_number(tick)}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 3}" text-anchor="middle">{escape(x_label)}</text>')
    for k, points in enumerate(lines):
        color = _color(k)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" style="stroke:{color}" stroke-width="1.6"/>'
                     if len(points) > 1 else "".join(
                         f'<circle cx="{at(*point)[0]:.1f}" cy="{at(*point)[1]:.1f}" r="3" style="fill:{color}"/>'
                         for point in points))
    return "".join([*parts, "</svg>"])


def _color(k: int) -> str:
    return f"var(--curve{k % len(COLORS)})"


def _points(steps: Sequence[float], values: Sequence[float], scale: str) -> list[tuple[float, float]]:
    count = min(len(steps), len(values))  # another thread may be recording
    points = [(float(x), float(y)) for x, y in zip(steps[:count], values[:count], strict=True) if math.isfinite(y)]
    if scale == "log":
        points = [(x, math.log10(y)) for x, y in points if y > 0]
    if len(points) <= 2 * MOST:
        return points
    size = -(-len(points) // MOST)
    kept = []
    for k in range(0, len(points), size):
        part = points[k:k + size]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from about low to about high."""
    if high <= low:  # one number stands in the middle
        return [low - (abs(low) or 1) / 2, low, low + (abs(low) or 1) / 2]
    raw = (high - low) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= raw)
    first = math.floor(low / step)
    return [step * k for k in range(first, math.ceil(high / step - 1e-9) + 1)]


def _number(x: float) -> str:
    return f"{x:.4g}"


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


__all__ = ["body_of", "curves", "page_of"]
