"""A picture of a network: boxes of layers that follow one another, lines for what they read, sizes beside them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.errors import TypeRefused, line_of, needed, user_site
from .body import WithBody
from .layered import arranged

Rows = list[tuple[str, str, str]]  # name, kind, size

LINE, PAD, GAP, BETWEEN = 0.19, 0.09, 0.45, 0.55  # inches: a line of text, around it, beside boxes, between levels
CHARACTER = 0.075  # inches of one character at this size of type
SIZE = 8
FILL, EDGE, FAINT = "#eef3fa", "#4a6fa5", "#5b6472"


def plot(network: Any, /, ax: Any = None) -> Any:
    """Draw a network: a box for each run of layers that follow one another, with each layer's name, kind and output
    size, and lines for what reads what, from above to below.

    `ax` are matplotlib axes to draw into; without them a figure of the right size is made. Returns the axes. A torch
    module is drawn as torch.fx sees it, modules and functions, without sizes.

    Raises TypeRefused for what is no network, and an error that names the extra `plot` where matplotlib is missing.

    >>> import gradloom as gl
    >>> gl.plot(gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])).get_title()
    'dlnetwork of 2 layers, 8 learnables float32'

    Source: MATLAB plot(net); Sugiyama, Tagawa, Toda 1981.
    """
    if not isinstance(network, WithBody):
        raise TypeRefused(f"plot takes a dlnetwork, not {type(network).__name__}, at {line_of(user_site())}; a torch "
                          "module becomes one with from_torch(module)")
    body: Any = network._body
    if not hasattr(body, "picture"):
        raise TypeRefused(f"{body.heading(network._values)} has no picture, at {line_of(user_site())}; print it")
    parts, edges = body.picture(network._values)
    boxes, joined = grouped(parts, edges)
    rows, middle, paths = arranged(joined, {k: _width(box) for k, box in enumerate(boxes)}, GAP)
    top: dict[Any, float] = {}
    height = {k: LINE * len(box) + 2 * PAD for k, box in enumerate(boxes)}
    at = 0.0
    for row in rows:
        tall = max((height[node] for node in row if node in height), default=0.0)
        top.update({node: at for node in row})
        for node in row:
            height.setdefault(node, tall)  # of an edge that passes
        at += tall + BETWEEN
    left = min(middle[k] - _width(box) / 2 for k, box in enumerate(boxes))
    right = max(middle[k] + _width(box) / 2 for k, box in enumerate(boxes))
    left, right = min([left, *middle.values()]), max([right, *middle.values()])
    if ax is None:
        figures = needed("matplotlib.figure", "plot()")
        wide, tall = max(right - left + 0.6, 3), at - BETWEEN + 0.8
        figure = figures.Figure(figsize=(wide, tall), dpi=150)
        ax = figure.add_axes((0.1 / wide, 0.1 / tall, 1 - 0.2 / wide, 1 - 0.5 / tall))
    for path in paths:
        _draw_edge(ax, path, middle, top, height)
    for k, box in enumerate(boxes):
        _draw_box(ax, box, middle[k], top[k])
    ax.set_xlim(left - 0.2, right + 0.2)
    ax.set_ylim(at - BETWEEN + 0.1, -0.1)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(body.heading(network._values), fontsize=SIZE + 1, color=FAINT)
    return ax


def grouped(parts: Rows, edges: Sequence[tuple[str, str]]) -> tuple[list[Rows], list[tuple[int, int]]]:
    """Runs of parts in which each reads the one before alone and is read by the next alone, and the edges between
    them."""
    above: dict[str, list[str]] = {name: [] for name, _, _ in parts}
    below: dict[str, list[str]] = {name: [] for name, _, _ in parts}
    for a, b in edges:
        above[b].append(a)
        below[a].append(b)
    known = {part[0]: part for part in parts}
    place: dict[str, int] = {}
    boxes: list[Rows] = []
    for name in known:
        begins = len(above[name]) != 1 or len(below[above[name][0]]) != 1
        if not begins:
            continue
        box = [known[name]]
        while len(below[name]) == 1 and len(above[below[name][0]]) == 1:
            name = below[name][0]
            box.append(known[name])
        place.update({part[0]: len(boxes) for part in box})
        boxes.append(box)
    between = dict.fromkeys((place[a], place[b]) for a, b in edges if place[a] != place[b])
    return boxes, list(between)


def _columns(box: Rows) -> list[float]:
    return [CHARACTER * max(len(row[k]) for row in box) for k in range(3)]


def _width(box: Rows) -> float:
    return sum(_columns(box)) + 2 * PAD + 2 * 0.14


def _draw_box(ax: Any, box: Rows, middle: float, top: float) -> None:
    patches = needed("matplotlib.patches", "plot()")
    width, columns = _width(box), _columns(box)
    left = middle - width / 2
    ax.add_patch(patches.FancyBboxPatch((left, top), width, LINE * len(box) + 2 * PAD, facecolor=FILL, edgecolor=EDGE,
                                        linewidth=0.8, zorder=2, boxstyle="round,pad=0,rounding_size=0.05"))
    for k, (name, kind, size) in enumerate(box):
        y = top + PAD + LINE * (k + 0.5)
        style = {"fontsize": SIZE, "va": "center", "zorder": 3}
        ax.text(left + PAD, y, name, weight="bold", **style)
        ax.text(left + PAD + columns[0] + 0.14, y, kind, color=FAINT, **style)
        ax.text(left + width - PAD, y, size, ha="right", color=EDGE, **style)


def _draw_edge(ax: Any, path: Sequence[Any], middle: Any, top: Any, height: Any) -> None:
    """A smooth line down from the first place to the last, straight past those between."""
    patches = needed("matplotlib.patches", "plot()")
    paths = needed("matplotlib.path", "plot()")
    points, codes = [(middle[path[0]], top[path[0]] + height[path[0]])], [paths.Path.MOVETO]
    for node in path[1:]:
        x0, y0 = points[-1]
        x1, y1 = middle[node], top[node]
        bend = (y1 - y0) * 0.5
        points += [(x0, y0 + bend), (x1, y1 - bend), (x1, y1)]
        codes += [paths.Path.CURVE4] * 3
        if node != path[-1]:
            points.append((x1, y1 + height[node]))
            codes.append(paths.Path.LINETO)
    ax.add_patch(patches.FancyArrowPatch(path=paths.Path(points, codes), arrowstyle="-|>,head_length=4,head_width=2",
                                         color=EDGE, linewidth=0.9, zorder=1, shrinkA=0, shrinkB=0))


__all__ = ["plot"]
