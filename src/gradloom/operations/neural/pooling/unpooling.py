"""Unpooling: the values that `maxpool` chose, back at their places."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ....core.array import dlarray, labels_of
from ....core.declare import public
from ....core.errors import ShapeError, line_of, user_site
from ....core.labels import described
from ....machine.conversion import listed
from ...matrices.contraction import layout_of
from ..softmax import floating
from .plan import Plan, arranged, known_apart, pooled_axes, put_back
from .pooling import put


@public(put)
def maxunpool(y: Any, indices: Any, size: Any, /, *, pool_format: str | None = None,
              data_format: str | None = None) -> Any:
    """Values back at the places where `maxpool` found them, zeros elsewhere.

    y, indices: as `maxpool(x, ..., return_indices=True)` gives them (y of other values, too), in the same layout; size:
    the shape of the result, which is x's. `pool_format` and `data_format` are those of the call of maxpool.
    Raises ShapeError where shapes do not fit, positions lie outside, or two values go to one place: windows that
    overlap (a stride smaller than the pool size) cannot be unpooled.

    >>> import gradloom as gl
    >>> y, indices, size = gl.maxpool(gl.dlarray([[1.0, 4.0, 3.0, 2.0]], "CS"), 2, stride=2, return_indices=True)
    >>> gl.maxunpool(y, indices, size)
    1(C) x 4(S) dlarray float64
    [[0. 4. 3. 0.]]

    Source: MATLAB maxunpool.
    """
    y = floating(y)
    layout = layout_of(y, data_format, "maxunpool")
    size = tuple(int(n) for n in size)
    axes = pooled_axes(layout, tuple(y.shape), pool_format, "maxunpool")
    where = indices._value if type(indices) is dlarray else listed(indices)

    def shown() -> str:
        at = f"{described(where.shape, labels_of(indices))} to {size}, at {line_of(user_site())}"
        return f"maxunpool of y {described(y.shape, layout)} with indices {at}"

    if (tuple(where.shape) != tuple(y.shape) or where.dtype.is_floating_point or where.dtype.is_complex
        or where.dtype is torch.bool):
        raise ShapeError(
            f"{shown()}: indices are integers of y's shape; take them from maxpool(..., return_indices=True)")
    if len(size) != y.ndim or any(size[k] != n for k, n in enumerate(y.shape) if k not in axes):
        raise ShapeError(
            f"{shown()}: size is the shape of maxpool's x, equal to y's along all axes that were not pooled")
    order = (*(k for k in range(y.ndim) if k not in axes), *axes)
    plan = Plan(axes, None if order == tuple(range(y.ndim)) else order, tuple(order.index(k) for k in range(y.ndim)),
                None, (), (), ())
    spatial = tuple(size[k] for k in axes)
    place = arranged(where.to(device=y.device, dtype=torch.int64), plan)
    if not known_apart(where, axes, spatial):
        _check(place.reshape(*place.shape[:place.ndim - len(axes)], -1) if place.numel() else place,
               math.prod(spatial), shown)
    return put_back(put.apply((arranged(y, plan),), {"place": place, "spatial": spatial}), plan, labels_of(y))


def _check(place: torch.Tensor, count: int, shown: Callable[[], str]) -> None:
    """Refuse places outside, and places that two values share."""
    if not place.numel():
        return
    low, high = (int(bound) for bound in torch.aminmax(place))
    if low < 0 or high >= count:
        raise ShapeError(f"{shown()}: indices reach from {low} to {high}, there are {count} places")
    taken = torch.zeros((*place.shape[:-1], count),
                        device=place.device).scatter_add_(-1, place, torch.ones(place.shape, device=place.device))
    if float(taken.amax()) > 1:
        raise ShapeError(f"{shown()}: several values go to one place; pool with a stride of at least the pool size")


__all__ = ["maxunpool"]
