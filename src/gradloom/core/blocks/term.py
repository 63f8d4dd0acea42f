"""A term of a structured Jacobian: a product of factors over named indices.

Every out axis and every in axis is a function of indices: one index, several (a flattened axis, in C order), or a table of
positions over them (a slice, a pad, a gather, a window). An index that an out axis and an in axis both carry is a tie: the
Jacobian is diagonal along it. An index that no axis carries is summed. An index in no factor is constant.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ...kernels import Tensor


class Index:
    """A name for something that is counted: identity is what matters, `size` is how far it counts."""

    __slots__ = ("size",)

    def __init__(self, size: int):
        self.size = size

    def __repr__(self) -> str:
        return f"i{id(self) // 16 % 9973}:{self.size}"


Ids = tuple[Index, ...]


class Axis:
    """One array axis of `size`, at `positions[indices]`, or at the indices themselves (C order) where positions is None.

    A position of -1 is nowhere: that entry of the term is not there.
    """

    __slots__ = ("_key", "indices", "positions", "size")

    def __init__(self, indices: Ids, size: int, positions: Tensor | None = None):
        self._key: Any = None
        self.indices = indices
        self.size = size
        self.positions = positions

    def table(self) -> Tensor:
        """Positions over the grid of the indices."""
        if self.positions is not None:
            return self.positions
        return torch.arange(self.size).reshape([i.size for i in self.indices])

    @property
    def table_key(self) -> Any:
        """Equal for equal tables of positions; None where there is none."""
        if self._key is None and self.positions is not None:
            self._key = tuple(self.positions.shape), self.positions.numpy().tobytes()
        return self._key

    def affine(self) -> tuple[int, list[int]] | None:
        """(start, step of each index) where positions grow evenly, else None."""
        sizes = [i.size for i in self.indices]
        if self.positions is None:
            steps, step = [], 1
            for n in reversed(sizes):
                steps.append(step)
                step *= n
            return 0, steps[::-1]
        table = self.positions
        if not table.numel():
            return None
        start = int(table[(0,) * table.ndim])
        steps = [int(table[tuple(int(k == d) for k in range(table.ndim))]) - start if n > 1 else 0 for d, n in enumerate(sizes)]
        if any(s < 0 for s in steps) or start < 0:
            return None
        expected = torch.full_like(table, start)
        for d, (n, s) in enumerate(zip(sizes, steps, strict=True)):
            expected = expected + (torch.arange(n) * s).reshape([-1 if k == d else 1 for k in range(table.ndim)])
        return (start, steps) if torch.equal(expected, table) else None

    def __repr__(self) -> str:
        return f"{list(self.indices)}" + ("" if self.positions is None else f"@{self.size}")


def plain(size: int) -> Axis:
    """A fresh axis; axes of size 1 carry no index and are never tied."""
    return Axis((Index(size),), size) if size != 1 else Axis((), 1)


Factor = tuple[Tensor, Ids]


class Term:
    """coefficient * product of factors, placed at (out, in); multiplies conj(x_dot) where `conjugate`."""

    __slots__ = ("coefficient", "conjugate", "factors", "inn", "out")

    def __init__(self, factors: Sequence[Factor], out: Sequence[Axis], inn: Sequence[Axis], coefficient: Any = 1, conjugate: bool = False):
        self.factors = tuple(factors)
        self.out = tuple(out)
        self.inn = tuple(inn)
        self.coefficient = coefficient
        self.conjugate = conjugate

    def replaced(self, **changes: Any) -> Term:
        """A copy with some fields changed."""
        fields = {name: getattr(self, name) for name in Term.__slots__} | changes
        return Term(**fields)

    # ----- what it is made of -----

    def carried(self) -> dict[Index, None]:
        """The indices of all axes, out axes first."""
        return dict.fromkeys(i for axis in (*self.out, *self.inn) for i in axis.indices)

    def in_indices(self) -> set[Index]:
        """The indices that in axes carry."""
        return {i for axis in self.inn for i in axis.indices}

    @property
    def stored(self) -> int:
        """How many numbers its factors hold."""
        return sum(array.numel() for array, _ in self.factors)

    @property
    def represented(self) -> int:
        """How many entries of the Jacobian it fills."""
        return math.prod(i.size for i in self.carried())

    def pattern(self) -> tuple[Any, ...]:
        """Equal for two terms whose entries lie at the same places."""
        number = {i: k for k, i in enumerate(self.carried())}
        return (self.conjugate, *(_shape_of_axis(axis, number) for axis in (*self.out, *self.inn)))

    def __repr__(self) -> str:
        return "*".join(str(tuple(a.shape)) for a, _ in self.factors) + f" out {list(self.out)} in {list(self.inn)}"

    # ----- changing indices -----

    def eliminated(self) -> Term:
        """Sum the indices that no axis carries, where that makes the term smaller; only the factors that hold one are multiplied."""
        carried = self.carried()
        factors = list(self.factors)
        gone = list(dict.fromkeys(i for _, ids in factors for i in ids if i not in carried))
        while gone:
            found: Any = None  # the sum with the smallest result first
            for i in gone:
                hit = [f for f in factors if i in f[1]]
                keep = tuple(dict.fromkeys(k for _, ids in hit for k in ids if k is not i))
                size = math.prod(k.size for k in keep)
                if (len(hit) == 1 or size <= sum(a.numel() for a, _ in hit)) and (found is None or size < found[0]):
                    found = size, i, hit, keep
            if found is None:
                break
            _, i, hit, keep = found
            gone.remove(i)
            factors = [f for f in factors if i not in f[1]]
            factors.append((contracted(hit, keep), keep))
        return self.replaced(factors=tuple(factors))

    def times(self, array: Tensor, ids: Ids) -> Term:
        """One more factor; multiplied into one over the same indices where there is one."""
        array, ids = without_repeats(array, ids)
        for k, (other, its) in enumerate(self.factors):
            if its == ids:
                return self.replaced(factors=(*self.factors[:k], (other * array, ids), *self.factors[k + 1:]))
        return self.replaced(factors=(*self.factors, (array, ids)))

    def split(self, index: Index, parts: Sequence[Index]) -> Term:
        """Write an index as several (C order)."""
        sizes = [p.size for p in parts]

        def of_ids(ids: Ids) -> Ids:
            return tuple(p for i in ids for p in (parts if i is index else (i,)))

        def of_array(array: Tensor, ids: Ids) -> Tensor:
            return array.reshape([n for i in ids for n in (sizes if i is index else [i.size])])

        factors = [(of_array(a, ids), of_ids(ids)) if index in ids else (a, ids) for a, ids in self.factors]
        axes = [[Axis(of_ids(x.indices), x.size, None if x.positions is None else of_array(x.positions, x.indices)) if index in x.indices else x
                 for x in side] for side in (self.out, self.inn)]
        return self.replaced(factors=tuple(factors), out=tuple(axes[0]), inn=tuple(axes[1]))

    def substituted(self, index: Index, where: Tensor, new: Ids) -> Term:
        """Replace an index by `where[new]`, a table of its values; entries at -1 are nowhere, as their axes then say."""
        flat = where.reshape(-1).clamp(min=0)
        sizes = [i.size for i in new]

        def of_ids(ids: Ids) -> Ids:
            return tuple(p for i in ids for p in (new if i is index else (i,)))

        def of_array(array: Tensor, ids: Ids) -> Tensor:
            for d, i in enumerate(ids):
                if i is index:
                    picked = array.index_select(d, flat.to(array.device))
                    array = picked.reshape((*array.shape[:d], *sizes, *array.shape[d + 1:]))
            return array

        factors = [(of_array(a, ids), of_ids(ids)) if index in ids else (a, ids) for a, ids in self.factors]
        def of_axis(axis: Axis) -> Axis:
            if index not in axis.indices:
                return axis
            ids, table = of_ids(axis.indices), of_array(axis.table(), axis.indices)
            if bool((where < 0).any()):
                present = (where >= 0).reshape([n for i in axis.indices for n in (sizes if i is index else [1])])
                table = torch.where(present, table, -1)
            return Axis(ids, axis.size, table)

        axes = [[of_axis(x) for x in side] for side in (self.out, self.inn)]
        return self.replaced(factors=tuple(factors), out=tuple(axes[0]), inn=tuple(axes[1]))

    def joined(self, indices: Ids) -> tuple[Term, Index]:
        """Write several indices as one that counts them together (C order): a flattened axis that is read at positions."""
        whole = Index(math.prod(i.size for i in indices))
        count = torch.arange(whole.size).reshape([i.size for i in indices])

        def place(ids: Ids) -> Tensor:
            """Where each value of the whole falls among the values of some of its parts."""
            table = torch.zeros_like(count)
            for i in ids:
                shape = [-1 if k is i else 1 for k in indices]
                table = table * i.size + torch.arange(i.size).reshape(shape)
            return table.reshape(-1)

        def of_array(array: Tensor, ids: Ids) -> tuple[Tensor, Ids]:
            mine = tuple(i for i in ids if i in indices)
            rest = tuple(i for i in ids if i not in indices)
            if not mine:
                return array, ids
            flat = array.permute([ids.index(i) for i in (*mine, *rest)]).reshape(-1, *[i.size for i in rest])
            return flat if mine == indices else flat.index_select(0, place(mine).to(array.device)), (whole, *rest)

        def of_axis(axis: Axis) -> Axis:
            if not set(axis.indices) & set(indices):
                return axis
            if axis.positions is None and axis.indices == indices:
                return Axis((whole,), axis.size)
            table, ids = of_array(axis.table(), axis.indices)
            return Axis(ids, axis.size, table)

        factors = tuple(of_array(a, ids) for a, ids in self.factors)
        return self.replaced(factors=factors, out=tuple(map(of_axis, self.out)), inn=tuple(map(of_axis, self.inn))), whole

    def untied(self, k: int, like: Tensor) -> Term:
        """Make out axis k a fresh index of its own: a one-hot factor says where the entries lie. Always correct."""
        axis = self.out[k]
        shared = set(i for j, other in enumerate((*self.out, *self.inn)) if j != k for i in other.indices)
        if axis.positions is None and len(axis.indices) <= 1 and not shared & set(axis.indices):
            return self
        fresh = plain(axis.size)
        out = (*self.out[:k], fresh, *self.out[k + 1:])
        if not fresh.indices:
            return self.replaced(out=out)
        table = axis.table().to(like.device)
        hot = (table.unsqueeze(-1) == torch.arange(axis.size, device=like.device)).to(like.dtype)
        return self.replaced(factors=(*self.factors, (hot, (*axis.indices, *fresh.indices))), out=out).eliminated()

    def compressed(self, like: Tensor) -> Term:
        """In axes that are read at positions over more indices than they have places, which no out axis shares, as indices of their own."""
        term = self
        for k, axis in enumerate(self.inn):
            shared = {i for j, other in enumerate((*term.inn, *term.out)) if j != k for i in other.indices}
            if axis.positions is None or math.prod(i.size for i in axis.indices) <= axis.size or shared & set(axis.indices):
                continue
            fresh = plain(axis.size)
            hot = (axis.positions.unsqueeze(-1) == torch.arange(axis.size)).to(like.device, like.dtype)
            factor = (hot if fresh.indices else hot.squeeze(-1), (*axis.indices, *fresh.indices))
            term = term.replaced(factors=(*term.factors, factor), inn=(*term.inn[:k], fresh, *term.inn[k + 1:]))
        return term

    # ----- numbers -----

    def values(self, order: Sequence[Index], like: Tensor) -> Tensor:
        """One array over `order` (every carried index), size 1 where the term is constant; summed indices are summed."""
        if not self.factors:
            return torch.full([1] * len(order), self.coefficient, dtype=like.dtype, device=like.device)
        ids = tuple(i for i in order if any(i in its for _, its in self.factors))
        array = contracted(self.factors, ids)
        if self.coefficient != 1:
            array = array * self.coefficient
        return array.reshape([i.size if i in ids else 1 for i in order])


def _shape_of_axis(axis: Axis, number: dict[Index, int]) -> Any:
    return tuple((number[i], i.size) for i in axis.indices), axis.size, axis.table_key


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
    number: dict[Index, int] = {}
    operands: list[Any] = []
    dtype = factors[0][0].dtype
    for array, _ in factors[1:]:
        dtype = torch.promote_types(dtype, array.dtype)
    for array, ids in factors:
        operands += [array.to(dtype), [number.setdefault(i, len(number)) for i in ids]]
    return torch.einsum(*operands, [number[i] for i in keep])


def restricted(array: Tensor, axes: Sequence[Axis | None]) -> tuple[Tensor, Ids]:
    """An array over whole axes as one over their indices: axis by axis reshaped, or read at the positions. None: an axis of size 1."""
    ids: list[Index] = []
    d = 0
    for axis in axes:
        if axis is None:
            array = array.squeeze(d)
            continue
        sizes = [i.size for i in axis.indices]
        if axis.positions is not None:
            table = axis.positions.reshape(-1)
            absent = table < 0
            array = array.index_select(d, table.clamp(min=0).to(array.device))
            if bool(absent.any()):
                array = array * (~absent).to(array).reshape([-1] + [1] * (array.ndim - d - 1))
        if len(sizes) != 1:
            array = array.reshape((*array.shape[:d], *sizes, *array.shape[d + 1:]))
        ids += axis.indices
        d += len(sizes)
    return array, tuple(ids)


def absent_entries(axes: Iterable[Axis], like: Tensor) -> list[Factor]:
    """Factors of 0 and 1 for positions that are nowhere, for axes that are summed away."""
    return [((axis.positions >= 0).to(like), axis.indices) for axis in axes if axis.positions is not None and bool((axis.positions < 0).any())]
