"""Colourings: columns (or rows) of a sparse matrix that never meet share a colour, and are found by one walk together.

Greedy: each column takes the first colour that none of its rows has met; the colours that a row has met are the bits of
one number. Where x is a grid and the pattern the same all over it, colours that are linear in the position (modulo the
number of colours, with steps that close evenly around a periodic axis) need fewer. A star colouring serves symmetric
matrices: two colours never alternate along a path of four columns, so that each entry can be read from one of its two
places.
"""
from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Indices = np.ndarray
SOME_ROWS = 64  # of which the offsets may tell those of all
TRIES = 8  # linear colourings of one number of colours that are tried
# colours along an axis; for each offset the bits of what it changes them by, and of the negatives
Line = tuple[np.ndarray, dict[int, tuple[int, int]]]
MOST_OFFSETS = 128  # of a pattern that is the same all over a grid
FURTHER_ORDERS = 1 << 16  # entries up to which greedy colouring is tried in other orders


@dataclass
class Coloring:
    """A colour for each column (`by` "columns"), row ("rows") or both alike ("star"), and where the compressed products
    hold each entry."""

    by: str
    colors: Indices
    count: int
    # of each entry, in the order of the pattern: its place in the compressed array, (count, other size) in C order
    gather: Indices


def transposed(starts: Indices, columns: Indices, n: int) -> tuple[Indices, Indices, Indices]:
    """(starts, rows, which entry) of the same pattern column by column."""
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.argsort(columns, kind="stable")
    counts = np.bincount(columns, minlength=n)
    return np.concatenate([[0], np.cumsum(counts)]), rows[order], order


def colored(starts: Indices, columns: Indices, shape: tuple[int, int], grid: Sequence[int] = (),
            backwards: float = 2.0) -> Coloring:
    """Columns or rows, whichever costs less: a walk backwards costs `backwards` times one forwards."""
    m, n = shape
    rows = np.repeat(np.arange(m), np.diff(starts))
    by_columns = column_colors(starts, columns, n, grid)
    best = Coloring("columns", by_columns, _count(by_columns), by_columns[columns].astype(np.int64) * m + rows)
    fewest = int(np.bincount(columns, minlength=1).max()) if len(columns) else 0
    if fewest * backwards < best.count:
        down, its, _ = transposed(starts, columns, n)
        by_rows = column_colors(down, its, m)
        if _count(by_rows) * backwards < best.count:
            return Coloring("rows", by_rows, _count(by_rows), by_rows[rows].astype(np.int64) * n + columns)
    return best


def symmetric(starts: Indices, columns: Indices, n: int, grid: Sequence[int] = ()) -> Coloring:
    """For a symmetric pattern: the star colouring, or the columns' where it needs no more colours."""
    plain = colored(starts, columns, (n, n), grid, backwards=math.inf)
    widest = int(np.diff(starts).max()) if len(columns) else 0
    if plain.count <= max(widest // 2 + 1, 2):
        return plain
    colors = star_colors(starts, columns, n)
    if _count(colors) >= plain.count:
        return plain
    return Coloring("star", colors, _count(colors), _read_star(starts, columns, n, colors))


def _count(colors: Indices) -> int:
    return int(colors.max()) + 1 if len(colors) else 0


def valid(starts: Indices, columns: Indices, colors: Indices) -> bool:
    """Whether no row holds two columns of one colour."""
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    key = rows * np.int64(_count(colors)) + colors[columns]
    return bool(np.bincount(key).max(initial=0) <= 1)


# ----- columns --------------------------------------------------------------------------------------------------------


def column_colors(starts: Indices, columns: Indices, n: int, grid: Sequence[int] = ()) -> Indices:
    """Columns of one colour share no row."""
    least = int(np.diff(starts).max()) if len(starts) > 1 else 0
    if least <= 1:
        return np.zeros(n, dtype=np.int64)
    found = linear_colors(starts, columns, n, grid, least)
    if found is not None:
        return found
    down, rows, _ = transposed(starts, columns, n)
    m = len(starts) - 1
    degree = np.diff(down)
    orders: list[Indices] = [np.arange(n)]
    if len(columns) <= FURTHER_ORDERS:
        stream = np.random.default_rng(0)
        orders += [np.argsort(-degree, kind="stable"), np.argsort(degree, kind="stable"), stream.permutation(n)]
    best = None
    for order in orders:
        colors = _greedy(down, rows, m, order)
        if best is None or _count(colors) < _count(best):
            best = colors
        if _count(best) == least:
            break
    assert best is not None
    if len(columns) <= FURTHER_ORDERS:  # colour classes in reverse never need more, often fewer
        for _ in range(3):
            colors = _greedy(down, rows, m, np.argsort(-best, kind="stable"))
            best = colors if _count(colors) <= _count(best) else best
    return best


def _greedy(down: Indices, rows: Indices, m: int, order: Indices) -> Indices:
    met = [0] * m  # bit c: a column of colour c is in this row
    colors = np.zeros(len(order), dtype=np.int64)
    starts, its = down.tolist(), rows.tolist()
    for column in order.tolist():
        mine = its[starts[column]:starts[column + 1]]
        taken = 0
        for row in mine:
            taken |= met[row]
        bit = ~taken & (taken + 1)
        for row in mine:
            met[row] |= bit
        colors[column] = bit.bit_length() - 1
    return colors


# ----- grids ----------------------------------------------------------------------------------------------------------


def linear_colors(starts: Indices, columns: Indices, n: int, grid: Sequence[int], least: int) -> Indices | None:
    """A sum of colours along each axis modulo their number, with as few as such a sum allows; None where the pattern is
    not the same all over a grid."""
    axes = [k for k, size in enumerate(grid) if size > 1]
    if len(axes) < 2 or math.prod(grid) != n:
        return None
    sizes = [grid[k] for k in axes]
    # the first and the last row are in corners of the grid
    some = np.unique(np.linspace(0, len(starts) - 2, SOME_ROWS).astype(np.int64))
    for chosen in (some, None) if len(some) < len(starts) - 1 else (None,):
        offsets = _offsets(starts, columns, sizes, chosen)
        if offsets is None:
            return None
        for colors in itertools.islice(_linear(sizes, offsets, least), None if chosen is None else 1):
            if valid(starts, columns, colors):  # whatever offsets other rows have
                return colors
    return None


def _linear(sizes: Sequence[int], offsets: Sequence[tuple[int, ...]], least: int) -> Iterator[Indices]:
    """Linear colourings that tell apart what is at one of the offsets, up to TRIES with each number of colours, from
    the least up."""
    periodic = [any(abs(d[k]) > size // 2 for d in offsets) for k, size in enumerate(sizes)]
    wrapped = sorted({tuple(_nearest(d, size) if p else d for d, size, p in zip(o, sizes, periodic, strict=True))
                      for o in offsets})
    wrapped = [o for o in wrapped if any(o) and o > tuple(-d for d in o)]
    for count in range(least, 2 * least + 1):
        choices = [_lines(size, count, p, k, wrapped) for k, (size, p) in enumerate(zip(sizes, periodic, strict=True))]
        for chosen in itertools.islice(_fitting(choices, wrapped, count), TRIES):
            yield sum(np.ix_(*[line for line, _ in chosen])).reshape(-1) % count  # type: ignore[arg-type, union-attr]


def _fitting(choices: Sequence[Sequence[Line]], offsets: Sequence[tuple[int, ...]], count: int,
             chosen: tuple[Line, ...] = ()) -> Iterator[tuple[Line, ...]]:
    """One line for each axis, so that no two positions at one of the offsets have the same colour."""
    k = len(chosen)
    if k == len(choices):
        yield chosen
        return
    mine = [o for o in offsets if o[k] and not any(o[k + 1:])]
    for line in choices[k]:
        if all(_apart(o, (*chosen, line), count) for o in mine):
            yield from _fitting(choices, offsets, count, (*chosen, line))


def _nearest(d: int, size: int) -> int:
    return (d + size // 2) % size - size // 2


def _offsets(starts: Indices, columns: Indices, sizes: Sequence[int], chosen: Indices
             | None) -> list[tuple[int, ...]] | None:
    """Differences between positions of columns in one row, of all rows or of some; None where there are many."""
    counts = np.diff(starts)
    if chosen is not None:
        starts, counts = starts[chosen], counts[chosen]
        columns = columns[np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]
    rows = np.repeat(np.arange(len(counts)), counts)
    span = [2 * s - 1 for s in sizes]
    # where differences tell offsets apart; columns are in order
    place = np.ravel_multi_index(np.unravel_index(columns, sizes), span)
    there = np.zeros(math.prod(span), dtype=bool)
    for step in range(1, int(counts.max(initial=0))):
        there[(place[step:] - place[:-step]) * (rows[step:] == rows[:-step])] = True
        if step % 16 == 0 and np.count_nonzero(there) > MOST_OFFSETS:
            return None
    there[0] = False
    key = np.flatnonzero(there)
    if len(key) > MOST_OFFSETS:
        return None
    middle = [s - 1 for s in sizes]
    key = key + np.ravel_multi_index(middle, span)
    return [tuple(int(d) - c for d, c in zip(offset, middle, strict=True))
            for offset in np.stack(np.unravel_index(key, span)).T.tolist()]


def _lines(size: int, count: int, periodic: bool, axis: int, offsets: Sequence[tuple[int, ...]]) -> list[Line]:
    """Colours along one axis that tell apart the offsets along it alone, and by how much the colour changes for each
    offset there is.

    Around a periodic axis the colours go round a whole number of times: in even steps where that is possible, else in
    steps of two sizes.
    """
    turns: Sequence[int] = range(count)
    if periodic:
        turns = sorted({t for a in range(count) for t in (-(-a * size // count), a * size // count + 1,
                                                          ((a + 1) * size - 1) // count) if 0 < t < size})
    lines = np.arange(size) * np.array(turns, dtype=np.int64)[:, None]
    lines = (lines * count // size if periodic else lines) % count
    lines = lines[list({line.tobytes(): k for k, line in enumerate(lines)}.values())]
    alone = {abs(o[axis]) for o in offsets if o[axis] and not any(d for k, d in enumerate(o) if k != axis)}
    position = np.arange(size)
    changes: dict[int, np.ndarray] = {}
    for d in sorted({abs(o[axis]) for o in offsets} - {0}, key=lambda d: d not in alone):
        change = lines[:, (position + d) % size] - lines if periodic else lines[:, d:] - lines[:, :size - d]
        there = np.zeros((len(lines), count), dtype=bool)
        there[np.arange(len(lines))[:, None], change % count] = True
        changes[d] = there
        if d in alone and there[:, 0].any():
            apart = ~there[:, 0]
            lines, changes = lines[apart], {e: c[apart] for e, c in changes.items()}
    bits: list[dict[int, tuple[int, int]]] = [{0: (1, 1)} for _ in lines]
    for d, there in changes.items():
        for its, forwards, backwards in zip(bits, _bits(there), _bits(there[:, -np.arange(count)]), strict=True):
            its[d], its[-d] = (forwards, backwards), (backwards, forwards)
    return list(zip(lines, bits, strict=True))


def _bits(there: np.ndarray) -> list[int]:
    """Each row as the bits of one number."""
    return [int.from_bytes(row.tobytes(), "little") for row in np.packbits(there, axis=1, bitorder="little")]


def _apart(offset: tuple[int, ...], chosen: Sequence[Line], count: int) -> bool:
    """Whether two positions at this offset never have one colour: the changes along the axes never add up to a multiple
    of their number."""
    *others, (_, opposite) = [line[1][d] for d, line in zip(offset, chosen, strict=False) if d]
    sums = 1  # bit 0: nothing has changed
    for changes, _ in others:
        sums = changes if sums == 1 else _sums(sums, changes, count)
    return not sums & opposite


def _sums(a: int, b: int, count: int) -> int:
    """The bits of all sums, modulo count, of a bit of one number and a bit of the other."""
    found = 0
    for k in range(count):
        if b >> k & 1:
            found |= a << k
    return (found | found >> count) & ((1 << count) - 1)


# ----- star colouring -------------------------------------------------------------------------------------------------


def star_colors(starts: Indices, columns: Indices, n: int) -> Indices:
    """Neighbours differ, and no path of four vertices has only two colours; greedy, the most neighbours first.

    A vertex v may not take the colour of a neighbour w; nor that of w's neighbour z where that completes a path of two
    colours: w' - v - w - z with another neighbour w' of w's colour, or v - w - z - q with q of w's colour.
    """
    neighbours = [[int(w) for w in columns[starts[v]:starts[v + 1]] if w != v] for v in range(n)]
    colors = [-1] * n
    for v in np.argsort([-len(k) for k in neighbours], kind="stable").tolist():
        forbidden = set()
        by_color: dict[int, list[int]] = {}
        for w in neighbours[v]:
            if colors[w] >= 0:
                by_color.setdefault(colors[w], []).append(w)
        for color, mine in by_color.items():
            forbidden.add(color)
            for w in mine:
                if len(mine) > 1:
                    forbidden.update(colors[z] for z in neighbours[w] if z != v and colors[z] >= 0)
                    continue
                for z in neighbours[w]:
                    if z != v and colors[z] >= 0 and any(colors[q] == color for q in neighbours[z] if q != w):
                        forbidden.add(colors[z])
        colors[v] = next(c for c in itertools.count() if c not in forbidden)
    return np.array(colors, dtype=np.int64)


def _read_star(starts: Indices, columns: Indices, n: int, colors: Indices) -> Indices:
    """Each entry (i, j) from row i of colour j's product where j is alone of its colour there, else from row j of
    colour i's."""
    rows = np.repeat(np.arange(n), np.diff(starts))
    count = _count(colors)
    key = rows * np.int64(count) + colors[columns]
    alone = np.bincount(key, minlength=n * count)[key] == 1
    direct = colors[columns] * np.int64(n) + rows
    mirrored = colors[rows] * np.int64(n) + columns
    return np.where(alone, direct, mirrored)


__all__ = ["Coloring", "colored", "column_colors", "linear_colors", "star_colors", "symmetric", "transposed", "valid"]
