"""log(sum(exp(x))), and its slope, a softmax over any axes, which is right at infinities too."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.declare import general, public
from ...machine.dtypes import Tensor
from ...machine.finite import finite
from ..elementwise.arithmetic import conj
from ..movement.axes import fresh
from .reduction import SAMPLES, arguments, as_double, restored, sum


def _share_kernel(x: Tensor, axis: tuple[int, ...]) -> Tensor:
    """exp(x) over its sum: 0 where all are -infinity; of several that are infinity an equal part each."""
    if not axis or not x.numel():
        return torch.ones_like(x)
    largest = (x.real if x.is_complex() else x).amax(axis, keepdim=True)
    e = (x - largest).exp_()
    total = e.sum(axis, keepdim=True)
    if not finite(total):
        if x.is_complex():  # of infinity the phases decide, and there is no share
            e = (x - largest.masked_fill(largest == -math.inf, 0)).exp_()
        else:
            infinite = torch.isinf(largest) & (x == largest)
            e = torch.where(infinite, (largest > 0).to(e.dtype), e)
        total = e.sum(axis, keepdim=True)
        total.masked_fill_(total == 0, 1)
    return e.div_(total)


def _share_push(x_dot: Any, y: Any, axis: Any) -> Any:
    part = x_dot * y
    return part - sum(part, axis=axis, keepdims=True) * y


_logsumexp_share = general("logsumexp_share", _share_kernel, push=_share_push,
                           pull=lambda y_bar, y, axis: _share_push(y_bar, conj(y), axis),
                           samples=[((3, 4), {"axis": (-2,)}), ((2, 3), {"axis": (-1, -2)})],
                           opaque=True)  # the kernel writes in place


def _share(x: Any, axis: Any) -> Any:
    return _logsumexp_share.apply((x,), {"axis": axis})


def _logsumexp_fused(y_bar: Tensor, x: Tensor, y: Tensor, axis: Any, keepdims: Any, x_shape: Any) -> Tensor:
    if not keepdims:
        shape = [1 if k - len(x_shape) in axis else n for k, n in enumerate(x_shape)]
        y, y_bar = y.reshape(shape), y_bar.reshape(shape)
    if x.is_complex() or not finite(y):
        return y_bar * _share_kernel(x, axis).conj()
    e = (x - y).exp_()
    return e.mul_(y_bar / e.sum(axis, keepdim=True))  # summed again: exp(x - y) alone has the rounding of y


_logsumexp = general(
    "logsumexp", lambda x, axis, keepdims: torch.logsumexp(x, axis, keepdim=keepdims),
    push=lambda x_dot, x, axis, keepdims: sum(x_dot * _share(x, axis), axis=axis, keepdims=keepdims),
    pull=lambda y_bar, x, axis, keepdims, x_shape: restored(y_bar, axis, keepdims, len(x_shape))
    * conj(_share(x, axis)),
    fused_pull=_logsumexp_fused, samples=SAMPLES, torch=("logsumexp", "special.logsumexp"))


@public(_logsumexp)
def logsumexp(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over axes, without overflow.

    >>> import gradloom as gl
    >>> gl.logsumexp(gl.dlarray([1000.0, -1000.0]))
    dlarray float64 1000.0

    Source: SciPy logsumexp.
    """
    x, params, labels = arguments(x, axis, keepdims)
    x = as_double(x)
    # of no axes, which torch takes for all
    return _logsumexp.apply((x,), params, labels) if params["axis"] or not x.ndim else fresh(x)


__all__ = ["logsumexp"]
