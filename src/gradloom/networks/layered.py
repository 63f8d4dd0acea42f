"""A layered drawing of a graph: levels by longest paths, few crossings, straight lines where that is possible.

Edges over several levels bend around what stands between: at every level that they pass they have a place of their own.
"""
from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ..core.errors import needed

SWEEPS = 12


def levels_of(edges: Sequence[tuple[Any, Any]], nodes: Sequence[Any]) -> list[list[Any]]:
    """Nodes by levels, each below all that it reads; those that nothing feeds are right above their first reader."""
    networkx = needed("networkx", "plot()")
    graph = networkx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    level = {node: k for k, its in enumerate(networkx.topological_generations(graph)) for node in its}
    for node in nodes:
        if not graph.in_degree(node) and graph.out_degree(node):
            level[node] = min(level[reader] for reader in graph.successors(node)) - 1
    rows: list[list[Any]] = [[] for _ in range(max(level.values()) + 1)]
    for node in nodes:
        rows[level[node]].append(node)
    return rows


def arranged(edges: Sequence[tuple[Any, Any]], widths: Mapping[Hashable, float],
             gap: float) -> tuple[list[list[Any]], dict[Any, float], list[list[Any]]]:
    """Rows of nodes, the middle of each node, and for each edge the places that it passes. `widths` has every node; a
    passing edge is a place (edge, row)."""
    nodes = list(widths)
    rows = levels_of(edges, nodes)
    level = {node: k for k, row in enumerate(rows) for node in row}
    wide: dict[Any, float] = dict(widths)
    paths = []
    for n, (a, b) in enumerate(edges):
        between = [("edge", n, k) for k in range(level[a] + 1, level[b])]
        for place in between:
            rows[place[2]].append(place)
            wide[place] = gap / 2
        paths.append([a, *between, b])
    above: dict[Any, list[Any]] = {node: [] for node in wide}
    below: dict[Any, list[Any]] = {node: [] for node in wide}
    for path in paths:
        for a, b in itertools.pairwise(path):
            below[a].append(b)
            above[b].append(a)
    _uncross(rows, above, below)
    return rows, _placed(rows, above, below, wide, gap), paths


def _uncross(rows: list[list[Any]], above: Mapping[Any, list[Any]], below: Mapping[Any, list[Any]]) -> None:
    """Order each row by the mean place of what its nodes are joined to, downwards and upwards in turn; the order with
    the fewest crossings is kept."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for k in order:
            there = {node: i for i, node in enumerate(rows[k - 1 if down else k + 1])}
            joined = above if down else below
            here = {node: i for i, node in enumerate(rows[k])}
            rows[k].sort(key=lambda node, joined=joined, there=there, here=here: (  # type: ignore[misc]
                sum(there[x] for x in joined[node]) / len(joined[node]) if joined[node] else here[node]))
        crossed = _crossings(rows, below)
        if crossed < fewest:
            best, fewest = [list(row) for row in rows], crossed
    rows[:] = best


def _crossings(rows: Sequence[Sequence[Any]], below: Mapping[Any, list[Any]]) -> int:
    found = 0
    for row, following in itertools.pairwise(rows):
        there = {node: i for i, node in enumerate(following)}
        ends = [sorted(there[x] for x in below[node]) for node in row]
        flat = [(i, j) for i, its in enumerate(ends) for j in its]
        found += sum(a[0] < b[0] and a[1] > b[1] for a in flat for b in flat)
    return found


def _placed(rows: Sequence[Sequence[Any]], above: Mapping[Any, list[Any]], below: Mapping[Any, list[Any]],
            wide: Mapping[Any, float], gap: float) -> dict[Any, float]:
    """The middle of each node: near the middle of what it is joined to, without running into its neighbours."""
    x: dict[Any, float] = {}
    for row in rows:
        at = 0.0
        for node in row:
            x[node] = at + wide[node] / 2
            at += wide[node] + gap
        shift = (at - gap) / 2
        for node in row:
            x[node] -= shift
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for node in row:
                its = [x[other] for other in (*above[node], *below[node])]
                wanted.append(sum(its) / len(its) if its else x[node])
            left, right = list(wanted), list(wanted)
            for i in range(1, len(row)):
                room = (wide[row[i - 1]] + wide[row[i]]) / 2 + gap
                left[i] = max(left[i], left[i - 1] + room)
            for i in range(len(row) - 2, -1, -1):
                room = (wide[row[i]] + wide[row[i + 1]]) / 2 + gap
                right[i] = min(right[i], right[i + 1] - room)
            for node, a, b in zip(row, left, right, strict=True):
                x[node] = (a + b) / 2  # keeps the room: both orders do
    return x


__all__ = ["arranged"]
