"""Arrays over named indices: their products, their diagonals, and arrays over whole axes read as arrays over
indices."""
from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..machine.dtypes import Tensor
from ..machine.questions import decided
from .axis import Axis, Ids, Index
from .product import as_matrix_products

Factor = tuple[Tensor, Ids]
LETTERS = string.ascii_letters  # the indices that einsum has


def without_repeats(array: Tensor, ids: Ids) -> Factor:
    """The diagonal where an index occurs twice."""
    while len(set(ids)) < len(ids):
        d, e = next((d, e) for e in range(len(ids)) for d in range(e) if ids[d] is ids[e])
        array = torch.diagonal(array, dim1=d, dim2=e)
        ids = (*(i for k, i in enumerate(ids) if k not in (d, e)), ids[d])
    return array, ids


def contracted(factors: Sequence[Factor], keep: Ids) -> Tensor:
    """The product of factors, summed over every index that is not kept, as one array over `keep`."""
    if len(factors) == 1 and set(factors[0][1]) == set(keep):
        array, ids = factors[0]
        return array if ids == keep else array.permute([ids.index(i) for i in keep])
    factors = two_of(factors, keep)
    dtype = factors[0][0].dtype
    for array, _ in factors[1:]:
        dtype = dtype if array.dtype is dtype else torch.promote_types(dtype, array.dtype)
    factors = [(array if array.dtype is dtype else array.to(dtype), ids) for array, ids in factors]
    if len(factors) == 2:
        if {*factors[0][1], *factors[1][1]} == set(keep):  # nothing is summed
            a, b = (repeated(array, ids, keep) for array, ids in factors)
            return torch.mul(a, b, out=a.new_empty(a.shape))  # in the order that is asked for, which what follows reads
        if (product := as_matrix_products(factors[0], factors[1], keep)) is not None:
            return product
    letter: dict[Index, str] = {}
    for _, ids in factors:
        for i in ids:
            letter.setdefault(i, LETTERS[len(letter)])
    words = ["".join([letter[i] for i in ids]) for ids in (*[ids for _, ids in factors], keep)]
    return torch.einsum(",".join(words[:-1]) + "->" + words[-1], *[array for array, _ in factors])


def repeated(array: Tensor, ids: Sequence[Index], order: Sequence[Index]) -> Tensor:
    """An array over `ids` as one over `order`, stride 0 where it is constant; moved together where it is read many
    times."""
    array = array.permute([ids.index(i) for i in order if i in ids])
    if array.numel() * 4 < math.prod(i.size for i in order):
        array = array.contiguous()
    return array.reshape([i.size if i in ids else 1 for i in order]).expand([i.size for i in order])


def two_of(factors: Sequence[Factor], keep: Ids) -> list[Factor]:
    """At most two factors with the same product over `keep`: two at a time multiplied, the smallest product first; the
    newest is last."""
    factors = list(factors)
    while len(factors) > 2:
        carriers = dict.fromkeys(keep, 3)  # of each index: more than two, or no other than a pair has
        for _, ids in factors:
            for i in ids:
                carriers[i] = carriers.get(i, 0) + 1
        best: Any = None
        for k, (_, second) in enumerate(factors):
            for j in range(k):
                first = factors[j][1]
                its = (*[i for i in first if carriers[i] > 1 + (i in second)],
                       *[i for i in second if i not in first and carriers[i] > 1])
                size = math.prod([i.size for i in its])
                if best is None or size < best[0]:
                    best = size, j, k, its
        _, j, k, its = best
        pair = [factors[j], factors[k]]
        factors = [f for n, f in enumerate(factors) if n != j and n != k]
        factors.append((contracted(pair, its), its))
    return factors


def restricted(array: Tensor, axes: Sequence[Axis | None]) -> tuple[Tensor, Ids]:
    """An array over whole axes as one over their indices: axis by axis reshaped, or read at the positions. None: an
    axis of size 1."""
    for axis in axes:
        if axis is not None and axis.positions is not None and _share_tables(axes):
            return _read_together(array, axes)
    ids: list[Index] = []
    d = 0
    for axis in axes:
        if axis is None:
            array = array.squeeze(d)
            continue
        if axis.positions is not None:
            table = axis.positions.reshape(-1)
            absent = table < 0
            array = array.index_select(d, table.clamp(min=0).to(array.device))
            if decided(absent.any()):
                array = array * (~absent).to(array).reshape([-1] + [1] * (array.ndim - d - 1))
        if len(axis.indices) != 1:
            array = array.reshape((*array.shape[:d], *[i.size for i in axis.indices], *array.shape[d + 1:]))
        ids += axis.indices
        d += len(axis.indices)
    return array, tuple(ids)


def _share_tables(axes: Sequence[Axis | None]) -> bool:
    """Whether an axis that is read at positions shares an index with another."""
    tabled = [k for k, a in enumerate(axes) if a is not None and a.positions is not None and a.indices]
    others = [(k, j, b) for k in tabled for j, b in enumerate(axes) if b is not None and j != k]
    return any(set(axes[k].indices) & set(b.indices) for k, j, b in others)  # type: ignore[union-attr]


def _read_together(array: Tensor, axes: Sequence[Axis | None]) -> Factor:
    """`restricted` where tables of positions share indices: entries are picked one by one, never the product of all of
    them."""
    array = array.reshape([n for n, a in zip(array.shape, axes, strict=True) if a is not None])
    present = [a for a in axes if a is not None]
    ids = tuple(a.indices[0] if len(a.indices) == 1 and a.positions is None else Index(a.size) for a in present)
    tables = {i: (a.present(), a.indices) for i, a in zip(ids, present, strict=True) if a.indices != (i,)}
    array, union = gathered(array, ids, tables)
    for mask, its in absent_entries(present, array):
        array = array * spread_over(mask, its, union)
    return array, union


def spread_over(array: Tensor, ids: Ids, order: Sequence[Index]) -> Tensor:
    """An array over `ids` as one that broadcasts over `order`, which holds them."""
    return array.permute([ids.index(i) for i in order if i in ids]).reshape([i.size if i in ids else 1 for i in order])


def no_element_twice(array: Tensor) -> bool:
    """Whether each element has memory of its own: not so of windows that overlap, or of what is repeated along an
    axis."""
    reach = 0
    for step, size in sorted(zip(array.stride(), array.shape, strict=True)):
        if size > 1:
            if step <= reach:
                return False
            reach += (size - 1) * step
    return True


def gathered(array: Tensor, ids: Ids, tables: dict[Index, tuple[Tensor, Ids]]) -> Factor:
    """An array over `ids` with some of them read at tables over other indices, which may be among `ids` too; no entry
    is absent."""
    others = {j for i in ids if i in tables for j in tables[i][1]}
    moved = [d for d, i in enumerate(ids) if i in tables or i in others]
    if not moved:
        return array, ids
    free = [d for d in range(len(ids)) if d not in moved]
    array = array.permute([*moved, *free])
    order = tuple(dict.fromkeys(j for d in moved for j in (tables[ids[d]][1] if ids[d] in tables else (ids[d],))))
    where: list[Any] = []
    for d in moved:
        table, its = tables.get(ids[d], (torch.arange(ids[d].size, device="cpu"), (ids[d],)))
        where.append(spread_over(table, its, order).to(array.device) if order else int(table))
    return array[tuple(where)], (*order, *(ids[d] for d in free))


def absent_entries(axes: Iterable[Axis], like: Tensor) -> list[Factor]:
    """Factors of 0 and 1 for positions that are nowhere, for axes that are summed away."""
    return [((axis.positions >= 0).to(like), axis.indices) for axis in axes if axis.positions is not None
            and axis.absent]
