"""How arrays lie in memory: strides that mean nothing, and channels together."""
from __future__ import annotations

from collections.abc import Sequence

import torch

from .caches import remembered
from .dtypes import Tensor

_TOGETHER = {4: ((0, 2, 3, 1), torch.channels_last), 5: ((0, 2, 3, 4, 1), torch.channels_last_3d)}


def settled(x: Tensor) -> Tensor:
    """The same memory with strides along axes of size 1 as they are where an array of its layout is new.

    There strides mean nothing, but torch reads the layout off them too, and kernels that ask for one take the array for
    what it is not: they refuse it, or, where two operands differ, compute wrong numbers in silence.
    """
    shape = x.shape
    if 1 not in shape:
        return x
    order, layout = _TOGETHER.get(x.ndim, ((), torch.contiguous_format))
    if order and x.stride() == (together := _strides(shape, order)):
        return x  # with one channel the memory is that of both layouts, and the strides say which was meant
    if x.is_contiguous():
        return x.as_strided(shape, _strides(shape, range(x.ndim)))
    return x.as_strided(shape, together) if order and x.is_contiguous(memory_format=layout) else x


@remembered(1024)
def _strides(shape: tuple[int, ...], order: Sequence[int]) -> tuple[int, ...]:
    """Those of new memory in which the axes lie in an order."""
    strides, step = [0] * len(shape), 1
    for k in reversed(order):
        strides[k] = step
        step *= shape[k]
    return tuple(strides)


def laid_out_as(models: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors laid out in memory as these are: kernels that run over memory read them side by side."""
    return [x if x.stride() == model.stride() else torch.empty_like(model).copy_(x)
            for x, model in zip(tensors, models, strict=True)]


def channels_last(x: Tensor) -> Tensor:
    """The same images laid out with their channels together; with one channel, the same memory with strides that say
    so."""
    if 1 not in x.shape:
        return x.contiguous(memory_format=torch.channels_last)
    together = _strides(x.shape, _TOGETHER[4][0])
    if x.stride() == together:
        return x
    if x.shape[1] == 1 and x.is_contiguous():  # quick way: the same memory; the plain one is below
        return x.as_strided(x.shape, together)
    return settled(x.movedim(1, -1).contiguous()).movedim(-1, 1)
