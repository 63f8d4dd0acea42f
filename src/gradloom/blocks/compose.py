"""Products of structured Jacobians: one after another, with a transpose, and of corresponding rows.

Two terms are multiplied by putting all their factors side by side and then identifying the axes over which they meet:
where an axis of one is at a plain index, that index is replaced by what the other says. What no remaining axis carries
is summed.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..machine.dtypes import Tensor
from ..machine.questions import decided
from .action import refinement
from .axis import Axis, Index
from .block import Block
from .dense import dense
from .factors import absent_entries, without_repeats
from .term import Term


def composed(a: Block, b: Block) -> Block:
    """d u / d v from a = d u / d x and b = d x / d v."""
    dtype = torch.promote_types(a.dtype, b.dtype)
    terms = []
    for s in a.terms:
        for t in b.terms:
            t = _renamed(_conjugated(t, b) if s.conjugate else t)
            term = _met(s.out, t.inn, s, t, list(zip(s.inn, t.out, strict=True)), a.like)
            terms += [term.replaced(conjugate=t.conjugate)] if term is not None else []
    return Block(terms, a.shape, b.in_shape, dtype, a.device, tuple(dict.fromkeys((*a.untied, *b.untied))),
                 b.complex_in)


def row_products(a: Block, b: Block) -> Tensor:
    """sum over x of a[u, x] b[u, x], for each entry of u: rows of two Jacobians of one shape, multiplied (real
    ones)."""
    terms = []
    for s in a.terms:
        for t in b.terms:
            t = _renamed(t)
            # the out axes of s stay; those of t are identified with them
            term = _met(s.out, (), s, t, [*zip(s.inn, t.inn, strict=True), *zip(s.out, t.out, strict=True)], a.like)
            terms += [term] if term is not None else []
    return dense(Block(terms, a.shape, (), torch.promote_types(a.dtype, b.dtype), a.device))


def _conjugated(t: Term, b: Block) -> Term:
    return t.replaced(factors=tuple((x.conj(), ids) for x, ids in t.factors), conjugate=b.complex_in
                      and not t.conjugate,
                      coefficient=t.coefficient.conjugate())


def _renamed(t: Term) -> Term:
    """The same term over fresh indices."""
    fresh: dict[Index, Index] = {}

    def of_ids(ids: Sequence[Index]) -> tuple[Index, ...]:
        return tuple(fresh.setdefault(i, Index(i.size)) for i in ids)

    def of_axis(axis: Axis) -> Axis:
        return Axis(of_ids(axis.indices), axis.size, axis.positions)

    return t.replaced(factors=tuple((x, of_ids(ids)) for x, ids in t.factors), out=tuple(map(of_axis, t.out)),
                      inn=tuple(map(of_axis, t.inn)))


def _met(out: Sequence[Axis], inn: Sequence[Axis], s: Term, t: Term, pairs: Sequence[tuple[Axis, Axis]],
         like: Tensor) -> Term | None:
    """The product of two terms whose axes meet in pairs; None where they never do."""
    n, m = len(out), len(pairs)
    # while axes are identified, all of them are out axes of one term
    term = Term((*s.factors, *t.factors), (*out, *(a for a, _ in pairs), *(b for _, b in pairs)),
                inn, s.coefficient * t.coefficient)
    for k in range(m):
        found = _identified(term, n + k, n + m + k, like)
        if found is None:
            return None
        term = found
    held = {i for _, ids in term.factors for i in ids}
    gone = {i for axis in term.out[n:] for i in axis.indices}
    term = term.replaced(out=term.out[:n])
    count = math.prod(i.size for i in gone - set(term.carried()) - held)
    return term.replaced(coefficient=term.coefficient * count).eliminated()


def _identified(term: Term, j: int, k: int, like: Tensor) -> Term | None:
    """Out axes j and k at the same position: one of them follows the other."""
    a, b = term.out[j], term.out[k]
    if not a.indices and not b.indices:
        return term if _only(a) == _only(b) and _only(a) >= 0 else None
    if a.positions is None and b.positions is None and a.indices and b.indices:
        step = _aligned(term, j, k)
        return term if step is None else _identified(step, j, k, like)
    if a.positions is None and a.indices or not b.indices and b.positions is not None:
        j, k, a, b = k, j, b, a  # a: at positions, or at one place; b: plain where one of them is
    if b.positions is not None or not b.indices:
        term = term.untied(k, like)
    elif len(b.indices) > 1:
        term, _ = term.joined(b.indices)
    a, b = term.out[j], term.out[k]
    if not b.indices:
        return (term if decided((a.table() >= 0).all())
                else term.replaced(factors=(*term.factors, *absent_entries([a], like))))
    if set(a.indices) & set(b.indices):  # an axis met with itself at other places
        term = term.untied(k, like)
        b = term.out[k]
    table, index = a.table(), b.indices[0]
    masks = absent_entries([a], like)
    term = _without_repeats(term.substituted(index, table, a.indices))
    return term.replaced(factors=(*term.factors, *masks))


def _only(axis: Axis) -> int:
    return 0 if axis.positions is None else int(axis.positions)


def _without_repeats(term: Term) -> Term:
    factors = tuple(without_repeats(x, ids) for x, ids in term.factors)

    def of_axis(axis: Axis) -> Axis:
        if len(set(axis.indices)) == len(axis.indices):
            return axis
        table, ids = without_repeats(axis.table(), axis.indices)
        return Axis(ids, axis.size, table)

    return term.replaced(factors=factors, out=tuple(map(of_axis, term.out)), inn=tuple(map(of_axis, term.inn)))


def _aligned(term: Term, j: int, k: int) -> Term | None:
    """One step towards the same indices on two plain axes, through a common refinement; None where they are the same. A
    step may change either axis: it may turn into one that is read at positions."""
    a, b = term.out[j], term.out[k]
    try:
        pairs = refinement([i.size for i in a.indices], [i.size for i in b.indices])
    except IndexError:
        pairs = [(list(range(len(a.indices))), list(range(len(b.indices))))]
    for left, right in pairs:
        ours, theirs = tuple(a.indices[p] for p in left), tuple(b.indices[p] for p in right)
        if ours == theirs:
            continue
        if len(ours) == 1 and len(theirs) == 1:
            return _same(term, ours[0], theirs[0])
        if len(ours) == 1:
            return _split(term, ours[0], theirs)
        return _split(term, theirs[0], ours) if len(theirs) == 1 else term.joined(theirs)[0]
    return None


def _same(term: Term, i: Index, j: Index) -> Term:
    """Index j is index i."""
    if i is j:
        return term

    def of_ids(ids: Sequence[Index]) -> tuple[Index, ...]:
        return tuple(i if x is j else x for x in ids)

    def of_axis(axis: Axis) -> Axis:
        return Axis(of_ids(axis.indices), axis.size, axis.positions)

    return _without_repeats(term.replaced(factors=tuple((x, of_ids(ids)) for x, ids in term.factors),
                                          out=tuple(map(of_axis, term.out)),
                                          inn=tuple(map(of_axis, term.inn))))


def _split(term: Term, index: Index, parts: tuple[Index, ...]) -> Term:
    """An index as the indices that another axis counts the same places with."""
    if index in parts:  # i against (i, j): only where the others are at zero
        raise ValueError("an index meets itself among others")
    return _without_repeats(term.split(index, parts))
