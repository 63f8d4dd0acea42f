"""A transposed convolution of images that are products of smaller arrays, which are never multiplied out.

The channels are summed in one product with the filters: columns, one for each place and position of a filter, which are
then added where they lie. Worth it where columns are no larger than the images: few filters over many channels, as at
the input of a network.
"""
from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import torch

from ....blocks.axis import Ids, Index
from ....blocks.factors import Factor, contracted, two_of
from ....machine.dtypes import Tensor
from ..spatial import Sizes

PIECE = 1 << 22  # bytes of columns made at once


def few_columns(weight: Tensor, groups: int) -> bool:
    """Whether columns are no larger than images, so that images need not be made."""
    return groups == 1 and math.prod(weight.shape[1:]) <= weight.shape[0]


def transposed_of_product(factors: Sequence[Factor], varying: Ids, channel: Ids, spatial: Sequence[Ids],
                          weight: Tensor, named: Ids,
                          axes: Sequence[Ids], stride: Sizes, padding: Sizes, dilation: Sizes,
                          sizes: Sizes, groups: int = 1) -> Factor:
    """The transposed convolution of the product of `factors` over (varying, channel, spatial), over (varying, named,
    axes) in some order.

    `named` are the filters, `axes` the places in the result. What has size 1 is in no index: its ids are empty.
    """
    filters = named[0] if named else Index(1)
    kernel = tuple(Index(n) for n in weight.shape[2:])
    held = {i for _, ids in factors for i in ids}
    own = [math.prod(i.size for i in ids) for ids in spatial]
    reach = [max(n + 2 * p, (m - 1) * s + (k.size - 1) * e + 1)
             for n, m, k, s, p, e in zip(sizes, own, kernel, stride, padding, dilation, strict=True)]
    factors = [(weight if channel else weight[0], (*channel, filters, *kernel)), *factors]
    dtype = functools.reduce(torch.promote_types, [a.dtype for a, _ in factors])
    image = [filters.size, *(i.size for i in varying)]
    whole = torch.zeros([*reach, *image], dtype=dtype, device=weight.device)
    inner = [tuple(i for i in ids if i in held) for ids in spatial]  # what does not vary over places is not repeated
    place = inner[0][0] if inner[0] else None
    row = math.prod([*own[1:], *weight.shape[2:], *image]) * dtype.itemsize
    step = own[0] if place is None else max(1, PIECE // max(row, 1))
    for start in range(0, own[0], step):
        count = min(step, own[0] - start)
        part, here = factors, inner
        if place is not None and count < own[0]:
            rows = Index(count)
            part = [(a.narrow(ids.index(place), start, count), tuple(rows if i is place else i for i in ids))
                    if place in ids else (a, ids)
                    for a, ids in factors]
            here = [(rows,), *inner[1:]]
        keep = (*(i for ids in here for i in ids), *kernel, filters, *varying)
        # what varies is last, so that it lies together in memory
        pair = sorted(two_of(part, keep), key=lambda f: filters not in f[1])
        columns = contracted(pair, keep).reshape([*(math.prod(i.size for i in ids) for ids in here),
                                                  *weight.shape[2:], *image])
        columns = columns.expand([count, *own[1:], *weight.shape[2:], *image])
        for position in itertools.product(*(range(k.size) for k in kernel)):
            first = [k * e + start * s * (axis == 0)
                     for axis, (k, s, e) in enumerate(zip(position, stride, dilation, strict=True))]
            places = tuple(slice(n, n + (m - 1) * s + 1, s)
                           for n, m, s in zip(first, columns.shape, stride, strict=False))
            whole[places].add_(columns[(slice(None),) * len(own) + position])
    for axis, (n, p) in enumerate(zip(sizes, padding, strict=True)):
        whole = whole.narrow(axis, p, n)
    d = len(own)
    # in this order it is multiplied further without being moved twice
    whole = whole.permute([*range(d + 1, whole.ndim), d, *range(d)])
    ids = (*varying, *named, *(i for its in axes for i in its))
    return whole.reshape([i.size for i in ids]), ids
