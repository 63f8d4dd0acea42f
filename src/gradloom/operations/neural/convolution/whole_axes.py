"""Convolutions of structured Jacobians whose spatial axes are whole, in pieces that fit the cache."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ....blocks.axis import Index, plain
from ....blocks.block import Block
from ....blocks.term import Term
from ....machine.dtypes import Tensor
from .columns import few_columns, transposed_of_product
from .kernels import forward, laid_out

PIECE = 1 << 23  # bytes of images convolved at once


def convolved_whole(block: Block, term: Term, weight: Tensor, params: dict[str, Any], filters: int,
                    sizes: Sequence[int], run: Any) -> Block:
    """Spatial axes whole; a tied channel makes it a convolution of each channel alone (a grouped one)."""
    notes: list[str] = []
    before = term
    term = term.untied(range(2, block.ndim), block.like)
    if term is not before:
        notes.append("dlconv needs its spatial axes whole")
    channel = term.out[1]
    tied = (channel.positions is None and len(channel.indices) == 1 and channel.indices[0] in term.in_indices()
            and params["groups"] == 1)
    if not tied:
        before = term
        term = term.untied(1, block.like)
        if term is not before:
            notes.append("dlconv mixes channels")
    term = term.compressed(block.like)
    channel = term.out[1]
    spatial = [i for a in term.out[2:] for i in a.indices]
    own = [*term.out[1].indices, *spatial]
    rest, factors, aside = parted(term, own)
    held = {i for _, ids in factors for i in ids}
    varying = [i for i in rest if i in held]
    last = [*spatial, *term.out[1].indices]  # channels last is how it is computed best
    alone = tied and block.shape[1] > 1
    if alone:
        weight = weight.transpose(0, 1).reshape(-1, 1, *weight.shape[2:]) if run is forward else weight
    groups = block.shape[1] if alone else params["groups"]
    options = params["stride"], params["padding"], params["dilation"], groups

    named = plain(filters)
    axes = [plain(n) for n in sizes]
    shape = (block.shape[0], filters, *sizes)
    if run is not forward and not alone and len(factors) > 1 and few_columns(weight, groups):
        columns = transposed_of_product(factors, tuple(varying), channel.indices, [a.indices for a in term.out[2:]],
                                        weight, named.indices,
                                        [a.indices for a in axes], **params)
        made = Term([*aside, columns], (term.out[0], named, *axes), term.inn, term.coefficient, term.conjugate)
        return block.made([made.eliminated(math.prod(shape))], shape, untied=tuple(dict.fromkeys(notes)))

    def convolved(factors: Sequence[Any], varying: Sequence[Index]) -> Tensor:
        values = term.replaced(factors=tuple(factors)).values([*varying, *last], block.like)
        values = values.expand([i.size for i in (*varying, *last)])
        images = values.reshape(math.prod(i.size for i in varying), *block.shape[2:], block.shape[1]).movedim(-1, 1)
        if images.ndim != 4 or images.is_complex():  # torch has no complex kernel for channels_last
            images = images.contiguous()
        return run(*laid_out(images, weight, params["dilation"]), *options)

    y = _in_pieces(convolved, factors, varying, math.prod(block.shape[1:]) * block.dtype.itemsize)
    ids = (*varying, *(term.out[1].indices if alone else ()), *named.indices, *(i for a in axes for i in a.indices))
    factor = _unfolded(y, [i.size for i in varying], [i.size for i in ids[len(varying):]])
    made = Term([*aside, (factor, ids)], (term.out[0], named, *axes), term.inn, conjugate=term.conjugate)
    return block.made([made.eliminated(math.prod(shape))], shape, y.dtype, tuple(dict.fromkeys(notes)))


def _in_pieces(convolved: Callable[..., Tensor], factors: Sequence[Any], varying: Sequence[Index],
               image: int) -> Tensor:
    """What `convolved` makes of many images, some at a time, so that they stay in cache between being made and being
    used."""
    count = math.prod(i.size for i in varying)
    limit = PIECE if len(factors) > 1 else 4 * PIECE  # one factor alone is there already
    if count * image <= limit or not varying:
        return convolved(factors, varying)
    first, rest = varying[0], varying[1:]
    step = max(1, limit * first.size // (count * image))
    result: Any = None
    per = count // first.size
    for start in range(0, first.size, step):
        part = Index(min(step, first.size - start))
        narrow = [(a.narrow(ids.index(first), start, part.size), tuple(part if i is first else i for i in ids))
                  if first in ids else (a, ids)
                  for a, ids in factors]
        made = convolved(narrow, [part, *rest])
        if result is None:
            result = torch.empty_like(made[:1].expand(count, *made.shape[1:]))
        result[start * per:start * per + len(made)] = made
    return result


def parted(term: Term, own: Sequence[Index]) -> tuple[list[Index], list[Any], list[Any]]:
    """What counts the images, the factors that make them, and those that can wait: without a channel or a place, where
    there are no more images without them."""
    carried = [i for i in term.carried() if i not in own]
    held = {i for _, ids in term.factors for i in ids}
    images = [f for f in term.factors if set(own) & set(f[1])]
    waiting = [f for f in term.factors if not set(own) & set(f[1])]
    wanted = {*carried, *(i for _, ids in waiting for i in ids)}
    rest = [i for i in dict.fromkeys(i for _, ids in images for i in ids) if i in wanted and i not in own]
    if waiting and math.prod(i.size for i in rest) <= math.prod(i.size for i in carried if i in held):
        return rest, images, waiting
    return carried, list(term.factors), []


def _unfolded(y: Tensor, batch: list[int], own: list[int]) -> Tensor:
    """(R, channels, *S) with its axes apart, without moving it in memory."""
    y = y.unflatten(0, batch) if len(batch) > 1 else y if batch else y.squeeze(0)
    d = len(batch)
    spatial = [k for k in range(d + 1, y.ndim) if y.shape[k] == 1]
    for k in reversed(spatial):
        y = y.squeeze(k)
    channels = own[:len(own) - (y.ndim - d - 1)]
    if len(channels) == 0:
        return y.squeeze(d)
    return y.unflatten(d, channels) if len(channels) > 1 else y
