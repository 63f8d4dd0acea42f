"""Small convolutions as pieces: what each weight meets laid side by side, and a product with that. A library's function
for convolutions takes longer to prepare one than there is to multiply."""
from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ..recorder import Slot, Step
from .lanes import KINDS, NotFused
from .places import Access, Piece, Shape, between, rows
from .products import Operand, product_of

CONVOLUTIONS = {torch.convolution}
PATCHES = 1 << 16  # numbers in all patches, beyond which laying them side by side costs more than it gains


def convolution(step: Step, fresh: Callable[[Slot], Slot]) -> list[Piece]:
    """A convolution, as a product with patches of x that are laid side by side. `fresh` gives slots for these, and
    for x with zeros around it."""
    if len(step.args) != 9 or step.kwargs:
        raise NotFused("options")
    x, weights, bias, stride, padding, dilation, transposed, _, groups = step.args
    o = step.outputs[0]
    size, window, over = x.shape[2:], weights.shape[2:], o.shape[2:]
    if (transposed or not len(x.shape) == len(o.shape) == len(stride) + 2 or not x.dtype is weights.dtype is o.dtype
            or o.strides != rows(o.shape)):
        raise NotFused("options")
    inputs, outputs = weights.shape[1], o.shape[1] // groups
    patches = (x.shape[0], groups, inputs, *window, *over)
    if math.prod(patches) > PATCHES or weights.strides != rows(weights.shape):
        raise NotFused("a large convolution")
    made: list[Piece] = []
    source = Access(x, x.offset, x.strides or ())
    if any(padding):
        source = _padded(source, size, padding, fresh, made)
    batch, channel, *steps = source.strides
    side_by_side = between(fresh, x, patches)
    strides = (batch, inputs * channel, channel, *[t * d for t, d in zip(steps, dilation, strict=True)],
               *[t * s for t, s in zip(steps, stride, strict=True)])
    its = source.slot
    made.append(Piece(lambda lanes, read: read(its), patches, Access(side_by_side, 0, rows(patches)),
                      [Access(its, source.offset, strides)]))
    terms, places = inputs * math.prod(window), math.prod(over)
    sizes = {k: n for k, n in zip("bgmkp", (x.shape[0], groups, outputs, terms, places), strict=True) if n != 1}

    def operand(s: Slot, **strides: int) -> Operand:
        return Operand(s, {k: t for k, t in strides.items() if k in sizes})

    made += product_of(
        operand(weights, g=outputs * terms, m=terms, k=1),
        operand(side_by_side, b=groups * terms * places, g=terms * places, k=places, p=1),
        operand(o, b=groups * outputs * places, g=outputs * places, m=places, p=1), sizes, fresh)
    if bias is not None:
        whole = Access(o, o.offset, o.strides)
        added = Access(bias, bias.offset, (0, *bias.strides, *[0] * len(over)))
        made.append(Piece(lambda lanes, read: read(o) + read(bias), o.shape, whole, [whole, added]))
    return made


def _padded(source: Access, size: Shape, padding: Shape, fresh: Callable[[Slot], Slot], made: list[Piece]) -> Access:
    """The same with zeros around it."""
    x, shape = source.slot, (*source.slot.shape[:2], *[n + 2 * p for n, p in zip(size, padding, strict=True)])
    if math.prod(shape) > PATCHES:
        raise NotFused("a large convolution")
    around = between(fresh, x, shape)
    whole = Access(around, 0, rows(shape))
    inner = sum([p * t for p, t in zip(padding, whole.strides[2:], strict=True)])
    made.append(Piece(lambda lanes, read: lanes.number(0.0, KINDS[x.dtype]), shape, whole, []))
    made.append(Piece(lambda lanes, read: read(x), x.shape, Access(around, inner, whole.strides), [source]))
    return whole


__all__ = ["CONVOLUTIONS", "convolution"]
