"""A term of a structured Jacobian: a product of factors over named indices.

Every out axis and every in axis is a function of indices: one index, several (a flattened axis, in C order), or a table
of positions over them (a slice, a pad, a gather, a window). An index that an out axis and an in axis both carry is a
tie: the Jacobian is diagonal along it. An index that no axis carries is summed. An index in no factor is constant.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..machine.dtypes import Tensor
from ..machine.questions import decided
from .axis import Axis, Ids, Index, plain
from .factors import Factor, absent_entries, contracted, gathered, no_element_twice, spread_over, without_repeats


class Term:
    """coefficient * product of factors, placed at (out, in); multiplies conj(x_dot) where `conjugate`."""

    __slots__ = ("_carried", "_pattern", "coefficient", "conjugate", "factors", "inn", "out")

    def __init__(self, factors: Sequence[Factor], out: Sequence[Axis], inn: Sequence[Axis],
                 coefficient: Any = 1, conjugate: bool = False):
        self._carried: dict[Index, None] | None = None
        self._pattern: Any = None
        self.factors = tuple(factors)
        self.out = tuple(out)
        self.inn = tuple(inn)
        self.coefficient = coefficient
        self.conjugate = conjugate

    def replaced(self, factors: Sequence[Factor] | None = None, out: Sequence[Axis] | None = None,
                 inn: Sequence[Axis] | None = None,
                 coefficient: Any = None, conjugate: bool | None = None) -> Term:
        """A copy with some fields changed; what is known of its axes stays known where they stay."""
        term: Term = _new(Term)  # terms are made many times in each walk: without `__init__`, which says the same
        term.factors = self.factors if factors is None else tuple(factors)
        term.out = self.out if out is None else tuple(out)
        term.inn = self.inn if inn is None else tuple(inn)
        term.coefficient = self.coefficient if coefficient is None else coefficient
        term.conjugate = self.conjugate if conjugate is None else conjugate
        term._carried = self._carried if out is None and inn is None else None
        term._pattern = None
        return term

    # ----- what it is made of -----

    def carried(self) -> dict[Index, None]:
        """The indices of all axes, out axes first: to be read, not changed."""
        found = self._carried
        if found is None:
            found = self._carried = {}
            for axis in (*self.out, *self.inn):
                for i in axis.indices:
                    found[i] = None
        return found

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
        return math.prod([i.size for i in self.carried()])

    def pattern(self) -> tuple[Any, ...]:
        """Equal for two terms whose entries lie at the same places."""
        if self._pattern is None:
            number = {i: k for k, i in enumerate(self.carried())}
            self._pattern = (self.conjugate, *[_shape_of_axis(axis, number) for axis in (*self.out, *self.inn)])
        return self._pattern

    def __repr__(self) -> str:
        return "*".join(str(tuple(a.shape)) for a, _ in self.factors) + f" out {list(self.out)} in {list(self.inn)}"

    # ----- changing indices -----

    def eliminated(self, room: int = 0) -> Term:
        """Sum the indices that no axis carries, where that makes the term smaller, or no larger than `room` numbers;
        only the factors that hold one are multiplied."""
        carried = self._carried or self.carried()
        summed: dict[Index, None] = {}
        for _, ids in self.factors:
            for i in ids:
                if i not in carried:
                    summed[i] = None
        if not summed:
            return self
        factors, gone = list(self.factors), list(summed)
        while gone:
            found: Any = None  # the sum with the smallest result first
            for i in gone:
                for together in ([i], _linked(i, gone, factors)):
                    hit = [f for f in factors if not set(together).isdisjoint(f[1])]
                    keep = tuple(dict.fromkeys(k for _, ids in hit for k in ids if k not in together))
                    size = math.prod(k.size for k in keep)
                    if ((len(hit) == 1 or size <= max(room, sum(a.numel() for a, _ in hit)))
                        and (found is None or size < found[0])):
                        found = size, together, hit, keep
                    if len(together) == 1 and len(gone) == 1:
                        break
            if found is None:
                break
            _, together, hit, keep = found
            gone = [i for i in gone if i not in together]
            factors = [f for f in factors if set(together).isdisjoint(f[1])]
            factors.append((contracted(hit, keep), keep))
        return self.replaced(factors=tuple(factors))

    def without(self, gone: Sequence[Axis], like: Tensor, read: Sequence[Axis] = (), room: int = 0) -> Term:
        """The sum over axes that are no longer there: positions that are nowhere masked, except on axes at which an
        array was `read`, which is zero there; indices in no factor counted.

        `room`: a product no larger than that costs what the ordinary walk does, and spares what comes after.
        """
        term, carried, count, some = self, self.carried(), 1, False
        for axis in gone:
            if axis.positions is not None and axis not in read:
                term = term.replaced(factors=(*term.factors, *absent_entries([axis], like)))
        known = set(carried)
        for _, ids in term.factors:
            known.update(ids)
        summed = len(known) > len(carried)
        for axis in gone:
            some = some or axis.positions is not None or bool(axis.indices)
            for i in axis.indices:
                if i not in known:  # constant along it
                    known.add(i)
                    count *= i.size
        if count != 1:
            term = term.replaced(coefficient=term.coefficient * count)
        return term.eliminated(room) if some and summed else term

    def times(self, array: Tensor, ids: Ids) -> Term:
        """One more factor; multiplied into one over the same indices where there is one."""
        if len(set(ids)) < len(ids):
            array, ids = without_repeats(array, ids)
        for k, (other, its) in enumerate(self.factors):
            if its == ids:
                return self.replaced(factors=(*self.factors[:k], (other * array, ids), *self.factors[k + 1:]))
        return self.replaced(factors=(*self.factors, (array, ids)))

    def within(self, array: Tensor, ids: Ids) -> Term:
        """One more factor; multiplied into one that holds its indices among others, which is then no larger and read
        once by each that follows."""
        if len(set(ids)) < len(ids):
            array, ids = without_repeats(array, ids)
        for k, (other, its) in enumerate(self.factors):
            if set(ids) <= set(its) and no_element_twice(other):
                return self.replaced(factors=(*self.factors[:k], (other * spread_over(array, ids, its), its),
                                              *self.factors[k + 1:]))
        return self.replaced(factors=(*self.factors, (array, ids)))

    def split(self, index: Index, parts: Sequence[Index]) -> Term:
        """Write an index as several (C order)."""
        sizes = [p.size for p in parts]

        def of_ids(ids: Ids) -> Ids:
            return tuple(p for i in ids for p in (parts if i is index else (i,)))

        def of_array(array: Tensor, ids: Ids) -> Tensor:
            return array.reshape([n for i in ids for n in (sizes if i is index else [i.size])])

        factors = [(of_array(a, ids), of_ids(ids)) if index in ids else (a, ids) for a, ids in self.factors]
        axes = [[Axis(of_ids(x.indices), x.size, None if x.positions is None else of_array(x.positions, x.indices))
                 if index in x.indices else x
                 for x in side] for side in (self.out, self.inn)]
        return self.replaced(factors=tuple(factors), out=tuple(axes[0]), inn=tuple(axes[1]))

    def substituted(self, index: Index, where: Tensor, new: Ids) -> Term:
        """Replace an index by `where[new]`, a table of its values; entries at -1 are nowhere, as their axes then
        say."""
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
            if decided((where < 0).any()):
                present = (where >= 0).reshape([n for i in axis.indices for n in (sizes if i is index else [1])])
                table = torch.where(present, table, -1)
            return Axis(ids, axis.size, table)

        axes = [[of_axis(x) for x in side] for side in (self.out, self.inn)]
        return self.replaced(factors=tuple(factors), out=tuple(axes[0]), inn=tuple(axes[1]))

    def read_at(self, tables: dict[Index, tuple[Tensor, Ids]]) -> Term:
        """Indices replaced by tables of their values over other indices, old or new; no entry of a table is absent."""

        def of_axis(axis: Axis) -> Axis:
            if not set(axis.indices) & set(tables):
                return axis
            return Axis((found := gathered(axis.table(), axis.indices, tables))[1], axis.size, found[0])

        return self.replaced(factors=tuple(gathered(a, ids, tables) for a, ids in self.factors),
                             out=tuple(map(of_axis, self.out)),
                             inn=tuple(map(of_axis, self.inn)))

    def joined(self, indices: Ids) -> tuple[Term, Index]:
        """Write several indices as one that counts them together (C order): a flattened axis that is read at
        positions."""
        whole = Index(math.prod(i.size for i in indices))
        count = torch.arange(whole.size, device="cpu").reshape([i.size for i in indices])

        def place(ids: Ids) -> Tensor:
            """Where each value of the whole falls among the values of some of its parts."""
            table = torch.zeros_like(count)
            for i in ids:
                shape = [-1 if k is i else 1 for k in indices]
                table = table * i.size + torch.arange(i.size, device="cpu").reshape(shape)
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
        return self.replaced(factors=factors, out=tuple(map(of_axis, self.out)),
                             inn=tuple(map(of_axis, self.inn))), whole

    def untied(self, axes: int | Sequence[int], like: Tensor) -> Term:
        """Make out axes fresh indices of their own, together where they share indices. Always correct."""
        axes = [k for k in ([axes] if isinstance(axes, int) else axes) if not self.has_own(k)]
        term = self
        while axes:
            together = [axes.pop(0)]
            shared = set(term.out[together[0]].indices)
            for k in list(axes):
                if shared & set(term.out[k].indices):
                    together.append(k)
                    axes.remove(k)
                    shared |= set(term.out[k].indices)
            term = term._spread_out(together, like)
        return term

    def has_own(self, k: int) -> bool:
        """Whether out axis k is a plain index that no other axis carries."""
        axis = self.out[k]
        elsewhere = {i for j, other in enumerate((*self.out, *self.inn)) if j != k for i in other.indices}
        return axis.positions is None and len(axis.indices) <= 1 and not elsewhere & set(axis.indices)

    def _spread_out(self, axes: Sequence[int], like: Tensor) -> Term:
        """Some out axes as fresh indices: what they alone carry is added up at the places where it lies."""
        fresh = {k: plain(self.out[k].size) for k in axes}
        others = [a for k, a in enumerate((*self.out, *self.inn)) if k not in fresh]
        elsewhere = {i for a in others for i in a.indices}
        ids = tuple(dict.fromkeys(i for k in axes for i in self.out[k].indices))
        stay, gone = tuple(i for i in ids if i in elsewhere), tuple(i for i in ids if i not in elsewhere)
        hit = [f for f in self.factors if not set(gone).isdisjoint(f[1])]
        rest = tuple(dict.fromkeys(i for _, its in hit for i in its if i not in ids))
        sizes = [i.size for i in (*stay, *gone)]
        flat, there = torch.zeros((), dtype=torch.int64, device="cpu"), torch.ones((), dtype=torch.bool, device="cpu")
        for k in axes:
            axis = self.out[k]
            table = spread_over(*without_repeats(axis.present(), axis.indices), (*stay, *gone))
            flat = table if k == axes[0] else flat * axis.size + table
            if axis.absent:
                assert axis.positions is not None
                there = there & spread_over(*without_repeats(axis.positions >= 0, axis.indices), (*stay, *gone))
        whole = math.prod(a.size for a in fresh.values())
        count = math.prod(i.size for i in stay)
        order = (*stay, *gone, *rest)
        array = (Term(hit, (), ()).values(order, like).expand([i.size for i in order]) if hit
                 else torch.ones(sizes, dtype=like.dtype, device=like.device))
        result = torch.zeros((count * whole, math.prod(i.size for i in rest)), dtype=array.dtype, device=array.device)
        if not result.is_meta:
            start = (torch.arange(count, device="cpu") * whole).reshape([i.size for i in stay] + [1] * len(gone))
            flat = (flat + start).expand(sizes).reshape(-1)
            rows = array.reshape(flat.numel(), result.shape[1])
            if there.ndim:
                kept = there.expand(sizes).reshape(-1)
                rows, flat = rows[kept.to(rows.device)], flat[kept]
            result.index_add_(0, flat.to(result.device), rows)
        new = tuple(i for k in axes for i in fresh[k].indices)
        result = result.reshape([i.size for i in (*stay, *new, *rest)])
        factors = [f for f in self.factors if set(gone).isdisjoint(f[1])]
        out = tuple(fresh.get(k, a) for k, a in enumerate(self.out))
        return self.replaced(factors=(*factors, (result, (*stay, *new, *rest))), out=out).eliminated()

    def compressed(self, like: Tensor) -> Term:
        """In axes that are read at positions over more indices than they have places, which no out axis shares, as
        indices of their own."""
        term = self
        for k, axis in enumerate(self.inn):
            shared = {i for j, other in enumerate((*term.inn, *term.out)) if j != k for i in other.indices}
            if (axis.positions is None or math.prod(i.size for i in axis.indices) <= axis.size
                or shared & set(axis.indices)):
                continue
            fresh = plain(axis.size)
            hot = (axis.positions.unsqueeze(-1) == torch.arange(axis.size, device="cpu")).to(like.device, like.dtype)
            factor = (hot if fresh.indices else hot.squeeze(-1), (*axis.indices, *fresh.indices))
            term = term.replaced(factors=(*term.factors, factor), inn=(*term.inn[:k], fresh, *term.inn[k + 1:]))
        return term

    # ----- numbers -----

    def values(self, order: Sequence[Index], like: Tensor) -> Tensor:
        """One array over `order` (every carried index), size 1 where the term is constant; summed indices are
        summed."""
        if not self.factors:
            return torch.full([1] * len(order), self.coefficient, dtype=like.dtype, device=like.device)
        held = {i for _, ids in self.factors for i in ids}
        ids = tuple([i for i in order if i in held])
        array = contracted(self.factors, ids)
        if self.coefficient != 1:
            array = array * self.coefficient
        return array.reshape([i.size if i in ids else 1 for i in order])


_new = object.__new__


def _linked(i: Index, gone: Sequence[Index], factors: Sequence[Factor]) -> list[Index]:
    """Index i and the other ones to be summed that a chain of factors links with it."""
    found, pending = [i], [i]
    while pending:
        j = pending.pop()
        for _, ids in factors:
            if j in ids:
                new = [k for k in ids if k in gone and k not in found]
                found += new
                pending += new
    return found


def _shape_of_axis(axis: Axis, number: dict[Index, int]) -> Any:
    return tuple([(number[i], i.size) for i in axis.indices]), axis.size, axis.table_key
