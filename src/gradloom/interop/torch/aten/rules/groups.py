"""ATen's reductions over groups of elements, and writes at positions that views name. The argument names are ATen's."""
from __future__ import annotations

import math
from typing import Any

import torch

from .....core.array import raw
from ....by_position import added, positions, put_at, taken
from ....protocol import cast, constant, gl
from ...table import rule

# ----- writes at the positions of a view -----


def _written(name: str) -> None:
    view = getattr(torch.ops.aten, name)

    def scattered(x: Any, src: Any, *args: Any, **kwargs: Any) -> Any:
        return put_at(x, view(positions(x), *args, **kwargs), src)

    rule(f"{name}_scatter")(scattered)


for _name in ("diagonal", "as_strided"):
    _written(_name)

# ----- groups: for each place of x those elements of a source that are sent there -----

_NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": -math.inf, "amin": math.inf}


def _table(group: torch.Tensor, count: int, pad: int) -> torch.Tensor:
    """For each of `count` groups the places of its members, in order, and `pad` after them."""
    order = torch.argsort(group, stable=True)
    sizes = torch.bincount(group, minlength=count)
    starts = sizes.cumsum(0) - sizes
    table = torch.full((count, max(int(sizes.max()), 1) if count else 1), pad, dtype=torch.int64, device=group.device)
    its = group[order]
    table[its, torch.arange(len(order), device=group.device) - starts[its]] = order
    return table


def _reduced(rows: Any, reduce: str, axis: int, sizes: Any = None) -> Any:
    """Rows with neutral elements after their own, reduced; of equal extremes the first."""
    if reduce in ("sum", "mean"):
        y = gl.sum(rows, axis=axis)
        return y if reduce == "sum" else y / constant(sizes.to(y.dtype))
    return {"prod": gl.prod, "amax": gl.max, "amin": gl.min}[reduce](rows, axis=axis)


def _extended(parts: list[Any], fill: float, dtype: Any, device: Any) -> Any:
    """Arrays as one vector, with a neutral element at its end."""
    return gl.concat([*[gl.reshape(cast(x, dtype), (-1,)) for x in parts],
                      constant(torch.full((1,), fill, dtype=dtype, device=device))])


def _grouped(x: Any, where: torch.Tensor, src: Any, reduce: str, include_self: bool) -> Any:
    """x where nothing is sent to; elsewhere the reduction of what is, and of x itself if included."""
    if reduce == "sum" and include_self:
        return added(x, where, src)
    touched, group = torch.unique(where.reshape(-1), return_inverse=True)
    members, count = group, len(touched)
    parts = [src]
    if include_self:
        parts = [taken(x, touched), src]
        members = torch.cat([torch.arange(count, device=group.device), group])
    pad = len(members)
    rows = taken(_extended(parts, _NEUTRAL[reduce], x.dtype, x.device), _table(members, count, pad))
    return put_at(x, touched, _reduced(rows, reduce, 1, torch.bincount(members, minlength=count)))


def _shaped(src: Any, where: torch.Tensor, x: Any) -> Any:
    """The part of a source that an index reads; of a number, as many as it reads."""
    if not hasattr(src, "shape"):
        return constant(torch.full(where.shape, src, dtype=x.dtype, device=x.device))
    if tuple(src.shape) == tuple(where.shape):
        return src
    return src[tuple(slice(0, n) for n in where.shape)] if src.ndim else gl.broadcast_to(src, tuple(where.shape))


@rule("scatter_reduce.two")
def _scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    index = raw(index)
    where = positions(x).gather(dim, index) if x.ndim else positions(x).expand(index.shape)
    return _grouped(x, where, _shaped(src, where, x), reduce, include_self)


@rule("scatter.reduce", "scatter.value_reduce")
def _scatter_old(x: Any, dim: int, index: Any, src: Any, *, reduce: str) -> Any:
    return _scatter_reduce(x, dim, index, src, {"add": "sum", "multiply": "prod"}[reduce])


@rule("index_reduce")
def _index_reduce(x: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    where = positions(x).index_select(dim, raw(index)) if x.ndim else positions(x).expand(raw(index).shape)
    return _grouped(x, where, _shaped(source, where, x), reduce, include_self)


@rule("segment_reduce")
def _segment_reduce(data: Any, reduce: str, *, lengths: Any = None, indices: Any = None, offsets: Any = None,
                    axis: int = 0, unsafe: bool = False, initial: Any = None) -> Any:
    """Of segments along an axis, of `lengths` or between `offsets`; an empty one gives `initial`, or what torch has for
    nothing."""
    if indices is not None:
        return NotImplemented
    if lengths is not None:
        sizes = raw(lengths)
        starts = sizes.cumsum(-1) - sizes
    else:
        starts, sizes = raw(offsets)[..., :-1], raw(offsets).diff(dim=-1)
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    most = max(int(sizes.max()) if sizes.numel() else 0, 1)
    steps = torch.arange(most, device=data.device)
    own = steps < sizes[..., None]
    place = torch.where(own, starts[..., None] + steps, 0)
    shape = (*place.shape, *data.shape[axis + 1:])
    more = (...,) + (None,) * (data.ndim - axis - 1)
    where = positions(data).gather(axis, place.flatten(axis)[more].expand(
        *place.shape[:axis], -1, *data.shape[axis + 1:])).reshape(shape) if data.size else torch.zeros(
            shape, dtype=torch.int64, device=data.device)
    where = torch.where(own[more], where, data.size)
    rows = taken(_extended([data], _NEUTRAL[reduce], data.dtype, data.device), where)
    if reduce == "mean":
        total = gl.sum(rows, axis=axis + 1)
        total = total if initial is None else total + initial
        count = sizes[more].to(total.dtype)
        return total / constant(count if initial is None else count.clamp(min=1))
    y = _reduced(rows, reduce, axis + 1)
    if initial is None:
        return y
    return {"sum": gl.add, "prod": gl.multiply, "amax": gl.maximum, "amin": gl.minimum}[reduce](y, initial)


__all__: list[str] = []
