"""Block: a structured Jacobian, a sum of terms. It stands in for a tangent, so that push rules run on it unchanged."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.operand import Operand
from ..machine.caches import remembered
from ..machine.dtypes import REAL_OF, Tensor, broadcast_shapes
from ..machine.questions import decided
from .axis import Axis, Index, plain
from .factors import contracted, restricted, without_repeats
from .term import Term

_new = object.__new__


class Block(Operand):
    """d out / d in as a sum of terms. `shape` is the out shape: to a rule, a Block is a tangent of that shape."""

    __slots__ = ("complex_in", "device", "dtype", "folded", "images", "in_shape", "ndim", "shape", "terms", "untied")

    def __init__(self, terms: Sequence[Term], shape: Sequence[int], in_shape: Sequence[int],
                 dtype: torch.dtype, device: Any,
                 untied: tuple[str, ...] = (), complex_in: bool | None = None):
        self.terms = list(terms) if len(terms) < 2 else merged(terms, empty(dtype, device))
        self.shape = tuple(shape)
        self.ndim = len(self.shape)
        self.in_shape = tuple(in_shape)
        self.dtype = dtype
        self.device = device
        self.images: Block | None = None  # the same with its last axes whole, which convolutions ask for more than once
        self.untied = untied
        self.folded = False  # whether an infinite or undefined partial was folded into it
        self.complex_in = dtype.is_complex if complex_in is None else complex_in

    structured = True

    def arrays(self) -> list[Tensor]:
        """The factors of all terms."""
        return [array for term in self.terms for array, _ in term.factors]

    def filled(self, arrays: Sequence[Tensor]) -> Block:
        """The same structure with other factors, in the order of `arrays`."""
        given = iter(arrays)
        made: Block = _new(Block)
        for name in Block.__slots__:
            setattr(made, name, getattr(self, name))
        made.terms = [term.replaced(factors=[(next(given), ids) for _, ids in term.factors]) for term in self.terms]
        made.images = None
        return made

    def zero(self) -> Block:
        """Nothing at all, in the same shape."""
        return self.made([], self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the factors hold now."""
        return sum(a.numel() * a.element_size() for t in self.terms for a, _ in t.factors)

    @property
    def like(self) -> Tensor:
        """An empty tensor of this type on this device."""
        return empty(self.dtype, self.device)

    def made(self, terms: Sequence[Term], shape: Sequence[int], dtype: Any = None,
             untied: tuple[str, ...] = ()) -> Block:
        """A Block of the same inputs."""
        untied = self.untied + tuple([u for u in untied if u not in self.untied]) if untied else self.untied
        made: Block = _new(Block)  # Blocks are made many times in each walk: without `__init__`, which says the same
        made.dtype = dtype or self.dtype
        made.terms = list(terms) if len(terms) < 2 else merged(terms, empty(made.dtype, self.device))
        made.shape = tuple(shape)
        made.ndim = len(made.shape)
        made.in_shape, made.device, made.images, made.untied = self.in_shape, self.device, None, untied
        made.folded, made.complex_in = self.folded, self.complex_in
        return made

    # ----- the vector space -----

    def times(self, number: Any) -> Block:
        """Multiplied by a Python number."""
        dtype = torch.promote_types(self.dtype, torch.complex64) if isinstance(number, complex) else self.dtype
        return self.made([t.replaced(coefficient=t.coefficient * number) for t in self.terms], self.shape, dtype)

    def plus(self, other: Block) -> Block:
        """The sum, broadcasting."""
        shape = broadcast_shapes(self.shape, other.shape)
        terms = self.broadcast(shape).terms + other.broadcast(shape).terms
        made = self.made(terms, shape, torch.promote_types(self.dtype, other.dtype), other.untied)
        made.folded = self.folded or other.folded
        return made

    def conjugated(self) -> Block:
        """conj of what it stands for: factors conjugated, and terms of a complex x_dot become terms of conj(x_dot)."""
        terms = [t.replaced(factors=tuple((a.conj(), ids) for a, ids in t.factors), conjugate=self.complex_in
                            and not t.conjugate,
                            coefficient=t.coefficient.conjugate()) for t in self.terms]
        return self.made(terms, self.shape)

    def real_part(self) -> Block:
        """The real part of what it stands for. Of complex x it is half of terms in x_dot and half in conj(x_dot), still
        complex."""
        if not self.dtype.is_complex:
            return self
        if self.complex_in:
            return self.plus(self.conjugated()).times(0.5)
        terms = []
        for t in self.terms:
            order = [i for i in t.carried() if any(i in ids for _, ids in t.factors)]
            terms.append(t.replaced(factors=((t.values(order, self.like).real, tuple(order)),), coefficient=1))
        return self.made(terms, self.shape, REAL_OF[self.dtype])

    def scaled(self, array: Tensor) -> Block:
        """Elementwise times an array: one more factor in each term."""
        shape = self.shape if self.shape == array.shape else broadcast_shapes(self.shape, array.shape)
        missing = len(shape) - array.ndim
        terms = []
        for term in self.terms if shape == self.shape else self.broadcast(shape).terms:
            axes = [None if n == 1 and shape[missing + k] == 1 or n == 1 else term.out[missing + k]
                    for k, n in enumerate(array.shape)]
            terms.append(term.within(*restricted(array, axes)))
        return self.made(terms, shape, torch.promote_types(self.dtype, array.dtype) if array.ndim
                         or array.dtype.is_complex else self.dtype)

    def guarded(self, array: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> Block:
        """Elementwise times an array by `product`, each term's factors folded first."""
        shape = broadcast_shapes(self.shape, array.shape)
        terms = []
        for term in self.broadcast(shape).terms:
            axes = [None if n == 1 else term.out[len(shape) - array.ndim + k] for k, n in enumerate(array.shape)]
            factor, ids = without_repeats(*restricted(array, axes))
            held = {i for _, its in term.factors for i in its}
            order = tuple(i for i in term.carried() if i in held or i in ids)
            folded = term.values(order, self.like).expand([i.size for i in order])
            spread = factor.permute([ids.index(i) for i in order
                                     if i in ids]).reshape([i.size if i in ids else 1 for i in order])
            terms.append(term.replaced(factors=((product(folded, spread), order),), coefficient=1))
        made = self.made(terms, shape)
        made.folded = True
        return made

    def is_finite(self) -> bool:
        """Whether every factor is finite; without data it is taken to be."""
        return all(a.is_meta or decided(torch.isfinite(a).all()) for t in self.terms for a, _ in t.factors)

    # ----- transposition and products with arrays -----

    def transposed(self) -> Block:
        """The transpose for the inner product Re(conj(a) b): out and in exchanged."""
        terms = []
        for t in self.terms:
            terms.append(t.replaced(out=t.inn, inn=t.out) if t.conjugate or not self.dtype.is_complex else
                         t.replaced([(a.conj(), ids) for a, ids in t.factors], t.inn, t.out, t.coefficient.conjugate()))
        return Block(terms, self.in_shape, self.shape, self.dtype, self.device, self.untied)

    def applied(self, v: Tensor) -> Block:
        """Times an array of the in shape: a Block without in axes."""
        terms = []
        for t in self.terms:
            axes = [None if n == 1 and not a.indices and a.positions is None else a
                    for n, a in zip(v.shape, t.inn, strict=True)]
            array, ids = restricted(v.conj() if t.conjugate else v, axes)
            new = t.replaced(inn=(), conjugate=False).times(array, ids)
            carried = new.carried()
            held = {i for _, its in new.factors for i in its}
            count = math.prod(i.size for i in t.in_indices() if i not in carried and i not in held)
            keep = tuple(i for i in carried if i in held)
            new = new.replaced(factors=((contracted(new.factors, keep), keep),), coefficient=new.coefficient * count)
            terms.append(new)
        return Block(terms, self.shape, (), torch.promote_types(self.dtype, v.dtype), self.device)

    # ----- out axes -----

    def broadcast(self, shape: Sequence[int]) -> Block:
        """Out axes of size 1, and missing ones, stretched: a fresh index in no factor."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        missing = len(shape) - self.ndim
        stretched = (1,) * missing + self.shape
        if broadcast_shapes(stretched, shape) != shape:
            raise ValueError(f"cannot broadcast {self.shape} to {shape}")
        terms = []
        for t in self.terms:
            out = [plain(n) if was != n else None for was, n in zip(stretched, shape, strict=True)]
            old: list[Axis] = [*[Axis((), 1)] * missing, *t.out]
            gone = [a for a, o in zip(old, out, strict=True) if o is not None]
            terms.append(t.replaced(out=[a if o is None else o
                                         for a, o in zip(old, out, strict=True)]).without(gone, self.like))
        return self.made(terms, shape)

    def with_axes(self, order: Sequence[int | None], shape: Sequence[int]) -> Block:
        """Out axes rearranged; None is a fresh axis of size 1, and axes left out have size 1."""
        n, terms = len(self.shape), []
        if len(order) == n and None not in order:  # quick way: nothing comes and nothing goes
            for t in self.terms:
                terms.append(t.replaced(out=[*map(t.out.__getitem__, order)]))  # type: ignore[arg-type]
            return self.made(terms, shape)
        left = [k for k in range(n) if k not in order and k - n not in order]
        for t in self.terms:
            new = t.replaced(out=[Axis((), 1) if k is None else t.out[k] for k in order])
            terms.append(new.without([t.out[k] for k in left], self.like))
        return self.made(terms, shape)

    def untie(self, axes: Sequence[int], why: str) -> Block:
        """Make some out axes plain indices of their own, and say why."""
        return self.made([t.untied(axes, self.like) for t in self.terms], self.shape, untied=(why,))

    def gathered(self, room: int) -> Block:
        """Terms that lie among the entries of another added to it, where that makes an array of no more than `room`
        numbers.

        The Jacobian of softmax is such a sum, a diagonal and an outer product: few outputs are one small matrix to what
        comes after.
        """
        if len(self.terms) < 2:
            return self
        widest = max(self.terms, key=lambda t: t.represented)
        own = [k for k in range(self.ndim) if widest.has_own(k)]
        if widest.represented > room or not own:
            return self
        terms = [t if t is widest else t.untied(own, self.like) for t in self.terms]
        if any([t.pattern() != widest.pattern() for t in terms]):
            return self
        return self.made(merged(terms, self.like, room), self.shape)

    def mapped(self, function: Callable[[Term], Sequence[Term]], shape: Sequence[int]) -> Block:
        """Each term replaced by others."""
        return self.made([new for t in self.terms for new in function(t)], shape)

    def __repr__(self) -> str:
        return f"<Block {self.shape} by {self.in_shape}: " + " + ".join(map(repr, self.terms)) + ">"


@remembered(64)
def empty(dtype: torch.dtype, device: Any) -> Tensor:
    """An empty tensor, which says a type and a device."""
    return torch.empty(0, dtype=dtype, device=device)


def identity(shape: Sequence[int], dtype: torch.dtype, device: Any) -> Block:
    """d x / d x: every axis tied, no factors at all."""
    axes = [plain(n) for n in shape]
    return Block([Term((), axes, axes)], shape, shape, dtype, device)


def merged(terms: Sequence[Term], like: Tensor, room: int = 0) -> list[Term]:
    """Terms at the same places added, where the sum is no larger than its parts or than `room`, or where they are
    many."""
    if len(terms) < 2:
        return list(terms)
    groups: dict[Any, list[Term]] = {}
    for t in terms:
        groups.setdefault(t.pattern(), []).append(t)
    result: list[Term] = []
    for group in groups.values():
        if len(group) == 1:
            result += group
            continue
        first = group[0]
        order = list(first.carried())
        held = [({i for _, ids in t.factors for i in ids}, list(t.carried())) for t in group]
        used = [k for k in range(len(order)) if any([its[k] in ids for ids, its in held])]
        size = math.prod(order[k].size for k in used)
        if size > max(room, sum(max(t.stored, 1) for t in group)) and len(group) <= 4:
            result += group
            continue
        total: Any = None
        for t in group:
            array = t.values(list(t.carried()), like)
            total = array if total is None else total + array
        keep = tuple(order[k] for k in used)
        total = total.expand([i.size if k in used else 1 for k, i in enumerate(order)]).reshape([i.size for i in keep])
        result.append(first.replaced(factors=((total, keep),) if keep else ((total, ()),), coefficient=1))
    return result


__all__ = ["Block", "Index", "identity", "merged"]
