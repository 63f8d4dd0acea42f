"""Products of matrices that are small in some way, as pieces: products added up, over batch, rows, what is added up
and columns. Of these a library's function for matrices has more to prepare than to multiply."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ...machine.dtypes import Tensor
from ..recorder import Slot, Step
from .lanes import KINDS, Lanes, NotFused, Value
from .places import Access, Piece, Read, rows

PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm, torch.mv, Tensor.mv, torch.dot,
            Tensor.dot, torch.bmm, Tensor.bmm, torch.einsum}
NARROW, SMALL = 1 << 20, 1 << 14  # products in all, up to which a loop does as well: with a vector, and of matrices
THIN = 32  # what two of rows, columns and what is added up must not exceed, for a loop to do better in any number
FEW = 4  # rows for which it is worth while to lay a matrix out anew
Sizes = dict[str, int]


def product(step: Step, fresh: Callable[[Slot], Slot]) -> list[Piece]:
    """A product, and before it the copy of a matrix that does not lie along the result's rows. `fresh` gives a slot
    for that."""
    a, b, of_a, of_b, of_o = _einsum(step) if step.function is torch.einsum else _matmul(step)
    o = step.outputs[0]
    if a.number == b.number or None in (a.strides, b.strides, o.strides) or not a.dtype is b.dtype is o.dtype:
        raise NotFused("options")
    if o.dtype is torch.bool:
        raise NotFused("a product of truths")
    every = {**_sizes(of_a, a), **_sizes(of_b, b)}
    if _sizes(of_o, o) != {k: every[k] for k in of_o if k in every}:
        raise NotFused("shapes that do not meet")
    left, right, target = _strides(of_a, a), _strides(of_b, b), _strides(of_o, o)
    if any([k not in target and (k not in left or k not in right) for k in every]):
        raise NotFused("sums over one operand alone")
    summed = [k for k in every if k not in target]
    work = math.prod(every.values())
    if not summed or len(every) in (len(left), len(right)):
        # each number of one operand is read once: the order in which it lies is the loops', and torch does as well
        if work > NARROW:
            raise NotFused("a large product")
        made = [_piece((a, left), (b, right), (o, target), list(every), every, bool(summed))]
        made[0].step = step
        return made
    last = min(target, key=target.__getitem__)
    if last in left and last in right:
        raise NotFused("a layout for which loops are slow")
    if last in left:
        a, b, left, right = b, a, right, left
    many = [k for k in target if k in left and k in right]
    rest = sorted([k for k in target if k in right and k not in left and k != last], key=lambda k: -target[k])
    above = sorted([k for k in target if k in left and k not in right], key=lambda k: -target[k])
    three = sorted([math.prod([every[k] for k in its]) for its in (above, summed, [last])])
    if work > SMALL and three[1] > THIN and three[0] > FEW:
        raise NotFused("a large product")
    made = []
    if right[last] != 1:
        if math.prod([every[k] for k in above]) < FEW:
            raise NotFused("a layout for which loops are slow")
        order = [*sorted(set(right) - {last, *summed}), *summed, last]
        shape = tuple([every[k] for k in order])
        source, b = b, fresh(b)
        b.shape, b.strides, b.offset, b.whole = shape, rows(shape), 0, True
        its = Access(source, source.offset, tuple([right[k] for k in order]))
        made.append(Piece(lambda lanes, read: read(source), shape, Access(b, 0, rows(shape)), [its]))
        right = dict(zip(order, rows(shape), strict=True))
    order = [*sorted(many, key=lambda k: -target[k]), *rest, *above, *summed, last]
    return [*made, _piece((a, left), (b, right), (o, target), order, every, True)]


def _piece(a: tuple[Slot, Sizes], b: tuple[Slot, Sizes], o: tuple[Slot, Sizes], order: Sequence[str], sizes: Sizes,
           summed: bool) -> Piece:
    one, other, target = [Access(s, s.offset, tuple([its.get(k, 0) for k in order])) for s, its in (a, b, o)]
    kind = KINDS[target.slot.dtype]

    def compute(lanes: Lanes, read: Read) -> Value:
        # rounded with the sum where the machine has that, as in every library's products
        return lanes.made(kind, f"fmul contract {lanes.type(kind)} {read(one.slot).name}, {read(other.slot).name}")

    return Piece(compute, tuple([sizes[k] for k in order]), target, [one, other], summed)


def _matmul(step: Step) -> tuple[Slot, Slot, str, str, str]:
    """The operands, and the letters of the axes of these and the result."""
    a, b = step.args
    if step.kwargs:
        raise NotFused("options")
    many = "abcdefgh"[:max(len(a.shape), len(b.shape), 2) - 2]

    def batch(s: Slot) -> str:
        return many[len(many) - max(len(s.shape) - 2, 0):]

    rows, columns = "m" * (len(a.shape) > 1), "n" * (len(b.shape) > 1)
    return a, b, batch(a) + rows + "k", batch(b) + "k" + columns, many + rows + columns


def _einsum(step: Step) -> tuple[Slot, Slot, str, str, str]:
    words, a, b = step.args
    its, arrow, of_o = words.replace(" ", "").partition("->")
    of_a, of_b = its.split(",")
    if step.kwargs or not arrow or any([len({*word}) != len(word) or not word.isalpha() for word in (of_a, of_b)]):
        raise NotFused("options")
    return a, b, of_a, of_b, of_o


def _sizes(axes: str, s: Slot) -> Sizes:
    """The axes that are more than one long."""
    return {k: n for k, n in zip(axes, s.shape, strict=True) if n != 1}


def _strides(axes: str, s: Slot) -> Sizes:
    return {k: t for k, n, t in zip(axes, s.shape, s.strides or (), strict=True) if n != 1}


__all__ = ["PRODUCTS", "product"]
