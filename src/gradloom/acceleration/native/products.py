"""Products of matrices that are small in some way, as pieces: products added up, over batch, rows, what is added up
and columns. A library's functions for matrices prepare more for these than there is to multiply."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from ...machine.dtypes import Tensor
from ..recorder import Slot, Step
from .lanes import KINDS, Lanes, NotFused, Value
from .places import Access, Piece, Read, between, rows

_LINEAR = {torch._C._nn.linear, getattr(torch.ops.mkldnn, "_linear_pointwise", None)} - {None}  # x w' + bias
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm, torch.mv, Tensor.mv, torch.dot,
            Tensor.dot, torch.bmm, Tensor.bmm, torch.einsum, *_LINEAR}
NARROW, SMALL = 1 << 20, 1 << 14  # products in all, up to which a loop does as well: with a vector, and of matrices
THIN = 64  # what the numbers that are added up, or rows and columns, must not exceed for a loop to do better
FEW = 4  # rows for which it is worth while to lay a matrix out anew
PANEL = 64  # columns that are done together: their sums stay in registers
LITTLE = 1 << 12  # products in all, for which alone no loop is called
Sizes = dict[str, int]  # of axes that are more than one long


class Operand(NamedTuple):
    """A slot, its strides by the letters of its axes."""

    slot: Slot
    strides: Sizes
    start: int = 0  # how many elements further on it begins


def product(step: Step, fresh: Callable[[Slot], Slot]) -> list[Piece]:
    """A product, before it the copy of a matrix that does not lie along the result's rows, after it a bias. `fresh`
    gives a slot for the copy."""
    bias = None
    if step.function in _LINEAR:
        a, b, bias, letters = _linear(step)
    else:
        a, b, letters = _einsum(step) if step.function is torch.einsum else _matmul(step)
    o = step.outputs[0]
    if a.number == b.number or None in (a.strides, b.strides, o.strides) or not a.dtype is b.dtype is o.dtype:
        raise NotFused("options")
    if o.dtype is torch.bool:
        raise NotFused("a product of truths")
    sizes, other, its = [_sizes(axes, s.shape) for axes, s in zip(letters, (a, b, o), strict=True)]
    sizes |= other
    if its != {k: sizes[k] for k in letters[2] if k in sizes}:
        raise NotFused("shapes that do not meet")
    left, right, target = [Operand(s, _strides(axes, s)) for axes, s in zip(letters, (a, b, o), strict=True)]
    made = product_of(left, right, target, sizes, fresh)
    if bias is not None:
        whole = Access(o, o.offset, o.strides or ())
        return [*made, Piece(lambda lanes, read: read(o) + read(bias), o.shape, whole, [whole, bias])]
    if len(sizes) in (len(left.strides), len(right.strides)) or math.prod(sizes.values()) <= LITTLE:
        made[-1].step = step if len(made) == 1 else None
    return made


def product_of(left: Operand, right: Operand, target: Operand, sizes: Sizes,
               fresh: Callable[[Slot], Slot]) -> list[Piece]:
    """The product of two operands whose axes have these sizes."""

    def numbers(axes: Sequence[str]) -> int:
        return math.prod([sizes[k] for k in axes])

    if any([k not in target.strides and (k not in left.strides or k not in right.strides) for k in sizes]):
        raise NotFused("sums over one operand alone")
    summed = [k for k in sizes if k not in target.strides]
    if not summed or len(sizes) in (len(left.strides), len(right.strides)):
        # each number of one operand is read once: the order in which it lies is the loops'
        if numbers([*sizes]) > NARROW:
            raise NotFused("a large product")
        return [_multiplied(left, right, target, [*sizes], sizes, bool(summed))]
    last = min(target.strides, key=target.strides.__getitem__)
    if last in left.strides and last in right.strides:
        raise NotFused("a layout for which loops are slow")
    if last in left.strides:
        left, right = right, left

    def outer(*axes: str) -> list[str]:
        return sorted(axes, key=lambda k: -target.strides[k])

    shared = outer(*[k for k in target.strides if k in left.strides and k in right.strides])
    columns = outer(*[k for k in target.strides if k in right.strides and k not in left.strides and k != last])
    above = outer(*[k for k in target.strides if k in left.strides and k not in right.strides])
    _, middle, _ = sorted([numbers(above), numbers(summed), sizes[last]])
    if numbers([*sizes]) > SMALL and middle > THIN < numbers(summed):
        raise NotFused("a large product")
    made = []
    if right.strides[last] != 1:
        if numbers(above) < FEW:
            raise NotFused("a layout for which loops are slow")
        copy, right = _laid_out(right, [*shared, *columns, *summed, last], sizes, fresh)
        made.append(copy)
    order = [*shared, *columns, *above, *summed, last]
    # with more that is added up, the sums of a panel would be added to what it has
    count = -(-sizes[last] // PANEL) if numbers(summed) <= PANEL else 1
    for start, end in pairwise([k * sizes[last] // count for k in range(count + 1)]):
        a, b, o = [x._replace(start=start * x.strides.get(last, 0)) for x in (left, right, target)]
        its = _multiplied(a, b, o, order, {**sizes, last: end - start}, True)
        its.alone = True
        made.append(its)
    return made


def _laid_out(given: Operand, order: Sequence[str], sizes: Sizes,
              fresh: Callable[[Slot], Slot]) -> tuple[Piece, Operand]:
    """A copy whose axes lie in this order."""
    source = given.slot
    order = [k for k in order if k in given.strides]
    shape = tuple([sizes[k] for k in order])
    made = between(fresh, source, shape)
    reads = Access(source, source.offset, tuple([given.strides[k] for k in order]))
    copy = Piece(lambda lanes, read: read(source), shape, Access(made, 0, rows(shape)), [reads])
    return copy, Operand(made, dict(zip(order, rows(shape), strict=True)))


def _multiplied(left: Operand, right: Operand, target: Operand, order: Sequence[str], sizes: Sizes,
                summed: bool) -> Piece:
    a, b, o = [Access(x.slot, x.slot.offset + x.start, tuple([x.strides.get(k, 0) for k in order]))
               for x in (left, right, target)]
    kind = KINDS[o.slot.dtype]

    def compute(lanes: Lanes, read: Read) -> Value:
        # rounded with the sum where the machine has that, as in every library's products
        return lanes.made(kind, f"fmul contract {lanes.type(kind)} {read(a.slot).name}, {read(b.slot).name}")

    return Piece(compute, tuple([sizes[k] for k in order]), o, [a, b], summed)


def _matmul(step: Step) -> tuple[Slot, Slot, tuple[str, str, str]]:
    """The operands, and the letters of the axes of these and the result."""
    a, b = step.args
    if step.kwargs:
        raise NotFused("options")
    many = "abcdefgh"[:max(len(a.shape), len(b.shape), 2) - 2]

    def batch(s: Slot) -> str:
        return many[len(many) - max(len(s.shape) - 2, 0):]

    up, down = "m" * (len(a.shape) > 1), "n" * (len(b.shape) > 1)
    return a, b, (batch(a) + up + "k", batch(b) + "k" + down, many + up + down)


def _linear(step: Step) -> tuple[Slot, Slot, Slot | None, tuple[str, str, str]]:
    x, weight, *options = step.args
    bias, *more = options or [None]
    if step.kwargs or more not in ([], ["none", [], ""]) or len(weight.shape) != 2:
        raise NotFused("options")
    many = "abcdefgh"[:len(x.shape) - 1]
    return x, weight, bias, (many + "k", "nk", many + "n")


def _einsum(step: Step) -> tuple[Slot, Slot, tuple[str, str, str]]:
    words, a, b = step.args
    operands, arrow, result = words.replace(" ", "").partition("->")
    one, other = operands.split(",")
    if step.kwargs or not arrow or any([len({*word}) != len(word) or not word.isalpha() for word in (one, other)]):
        raise NotFused("options")
    return a, b, (one, other, result)


def _sizes(axes: str, shape: Sequence[int]) -> Sizes:
    return {k: n for k, n in zip(axes, shape, strict=True) if n != 1}


def _strides(axes: str, s: Slot) -> Sizes:
    return {k: t for k, n, t in zip(axes, s.shape, s.strides or (), strict=True) if n != 1}


__all__ = ["PRODUCTS", "Operand", "product", "product_of"]
