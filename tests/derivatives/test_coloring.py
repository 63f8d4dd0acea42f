"""Colourings of random patterns, of stencils on periodic grids, and star colourings of symmetric patterns."""
import itertools
import math

import numpy as np
import pytest
import scipy.sparse

from gradloom.derivatives.sparse.coloring import (
    _apart,
    _lines,
    colored,
    column_colors,
    linear_colors,
    star_colors,
    symmetric,
    valid,
)


def random_pattern(seed, m, n, density):
    a = scipy.sparse.random_array((m, n), density=density, format="csr", rng=np.random.default_rng(seed))
    a.sort_indices()
    return a


def stencil(*sizes, fields=1, periodic=True):
    """The pattern of a five-point (2 d + 1) stencil in each field, coupled at each point; columns in C order of (*sizes, fields)."""
    place = np.arange(math.prod(sizes) * fields).reshape(*sizes, fields)
    rows, columns = [], []
    for axis, shift in [(0, 0), *itertools.product(range(len(sizes)), (1, -1))]:
        moved = np.roll(place, shift, axis)
        inside = np.ones(place.shape, dtype=bool)
        if not periodic and shift:
            edge = [slice(None)] * place.ndim
            edge[axis] = slice(0, 1) if shift > 0 else slice(-1, None)
            inside[tuple(edge)] = False
        rows.append(place[inside])
        columns.append(moved[inside])
    for f in range(1, fields):
        rows.append(place.ravel())
        columns.append(np.roll(place, f, -1).ravel())
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    a = scipy.sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(place.size, place.size))
    a.sort_indices()
    return a


def decompressed(a, coloring):
    """The entries of a from its products with the colours."""
    seeds = coloring.colors[None] == np.arange(coloring.count)[:, None]
    product = seeds @ a if coloring.by == "rows" else (a @ seeds.T).T
    return np.asarray(product).reshape(-1)[coloring.gather]


@pytest.mark.parametrize("seed", range(12))
def test_columns_of_one_colour_never_meet(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 60, 2)
    a = random_pattern(seed, m, n, rng.uniform(0, 0.3))
    colors = column_colors(a.indptr, a.indices, n)
    assert len(colors) == n and valid(a.indptr, a.indices, colors)
    assert colors.max(initial=0) + 1 >= np.diff(a.indptr).max(initial=0)
    for coloring in (colored(a.indptr, a.indices, (m, n)), colored(a.indptr, a.indices, (m, n), backwards=0.1)):
        np.testing.assert_allclose(decompressed(a, coloring), a.data)


def test_a_colouring_that_meets_is_not_valid():
    a = stencil(7, 7)
    colors = column_colors(a.indptr, a.indices, 49, (7, 7))
    colors[0] = colors[1]
    assert not valid(a.indptr, a.indices, colors)


def test_rows_are_coloured_where_they_are_cheaper():
    a = scipy.sparse.csr_array(np.concatenate([np.ones((1, 40)), np.zeros((3, 40))]) + np.eye(4, 40))  # one dense row
    assert colored(a.indptr, a.indices, a.shape).by == "rows"
    assert colored(a.indptr, a.indices, a.shape).count == 2  # the dense row, and the others together
    b = scipy.sparse.csr_array(a.T)
    assert colored(b.indptr, b.indices, b.shape).by == "columns"


@pytest.mark.parametrize("n", [*range(2, 32), 37, 47, 64, 101])
def test_the_brusselator_has_ten_colours_or_fewer_at_any_size(n):
    a = stencil(n, n, fields=2)
    colors = column_colors(a.indptr, a.indices, 2 * n * n, (n, n, 2))
    assert valid(a.indptr, a.indices, colors) and colors.max() + 1 <= 10
    if n % 6 == 0 or not n % 7 or not n % 8:
        assert colors.max() + 1 == next(k for k in (6, 7, 8) if not n % k)  # six is the least: a row has six entries


@pytest.mark.parametrize("sizes", [(9, 14), (30, 7), (5, 6, 7)])
def test_grids_that_are_not_periodic_have_the_least_number_of_colours(sizes):
    a = stencil(*sizes, periodic=False)
    found = linear_colors(a.indptr, a.indices, math.prod(sizes), sizes, 2 * len(sizes) + 1)
    assert valid(a.indptr, a.indices, found) and found.max() + 1 == 2 * len(sizes) + 1


@pytest.mark.parametrize("periodic", [True, False])
def test_lines_tell_which_offsets_are_apart(periodic):
    sizes, count = (7, 5, 6), 4
    offsets = [(1, 2, 0), (1, -1, 0), (0, 2, 1), (2, 1, -1), (-2, 1, 3)]
    lines = [_lines(size, count, periodic, k, offsets) for k, size in enumerate(sizes)]
    for seed in range(20):
        chosen = [its[j] for its, j in zip(lines, np.random.default_rng(seed).integers(0, [len(its) for its in lines]), strict=True)]
        colors = sum(np.ix_(*[line for line, _ in chosen])) % count
        for offset in offsets:
            met = False
            for place in np.ndindex(sizes):
                other = [p + d for p, d in zip(place, offset, strict=True)]
                if periodic or all(0 <= p < size for p, size in zip(other, sizes, strict=True)):
                    met |= colors[place] == colors[tuple(p % size for p, size in zip(other, sizes, strict=True))]
            assert _apart(offset, chosen, count) is not bool(met)


def test_a_row_unlike_the_others_is_seen():
    n = 40
    a = scipy.sparse.lil_array(stencil(n, n))
    a[n * 17 + 5, n * 17 + 5 + np.array([5, 10, n * 5])] = 1  # in the colours of the others these would meet
    a = scipy.sparse.csr_array(a)
    a.sort_indices()
    same = linear_colors(stencil(n, n).indptr, stencil(n, n).indices, n * n, (n, n), 5)
    assert not valid(a.indptr, a.indices, same)
    colors = column_colors(a.indptr, a.indices, n * n, (n, n))
    assert valid(a.indptr, a.indices, colors)
    np.testing.assert_allclose(decompressed(a, colored(a.indptr, a.indices, a.shape, (n, n))), a.data)


def test_patterns_that_differ_from_place_to_place_are_no_grid():
    a = random_pattern(0, 400, 400, 0.02)
    assert linear_colors(a.indptr, a.indices, 400, (20, 20), 1) is None
    assert linear_colors(a.indptr, a.indices, 400, (400,), 1) is None
    assert linear_colors(a.indptr, a.indices, 400, (3, 3), 1) is None


@pytest.mark.parametrize("seed", range(10))
def test_star_colourings_give_every_entry(seed):
    a = random_pattern(seed, 40, 40, 0.06)
    a = scipy.sparse.csr_array(a + a.T + (scipy.sparse.eye_array(40) if seed % 2 else 0 * scipy.sparse.eye_array(40)))
    a.eliminate_zeros()
    a.sort_indices()
    colors = star_colors(a.indptr, a.indices, 40)
    neighbours = [set(a.indices[a.indptr[v]:a.indptr[v + 1]].tolist()) - {v} for v in range(40)]
    for v in range(40):
        assert all(colors[v] != colors[w] for w in neighbours[v])
        for w in neighbours[v]:
            for x in neighbours[w] - {v}:
                for y in neighbours[x] - {v, w}:
                    assert len({colors[v], colors[w], colors[x], colors[y]}) > 2
    np.testing.assert_allclose(decompressed(a, symmetric(a.indptr, a.indices, 40)), a.data)


def test_an_arrow_needs_two_colours():
    n = 50
    a = scipy.sparse.lil_array((n, n))
    a[0], a[:, 0] = 1, 1
    a.setdiag(np.arange(2.0, n + 2))
    a = scipy.sparse.csr_array(a)
    coloring = symmetric(a.indptr, a.indices, n)
    assert coloring.by == "star" and coloring.count == 2
    np.testing.assert_allclose(decompressed(a, coloring), a.data)


def test_a_pattern_without_entries_has_a_single_colour_or_none():
    empty = scipy.sparse.csr_array((3, 4))
    coloring = colored(empty.indptr, empty.indices, (3, 4))
    assert coloring.count == 1 and not len(coloring.gather)
    assert colored(np.zeros(1, dtype=int), np.zeros(0, dtype=int), (0, 0)).count == 0
