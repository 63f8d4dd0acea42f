"""ATen's operations that move elements: views, selections, joins, and writes at positions, as functions of dlarrays."""
from __future__ import annotations

from typing import Any

import torch

from .....core.array import raw
from .....core.errors import TypeRefused, line_of, user_site
from .....core.tables import OPERATIONS
from ....by_position import added, positions, put_at, taken
from ....protocol import cast, gl
from ...shapes import FUNCTIONS
from ...table import rule
from .pointwise import constant

aten = torch.ops.aten


# ----- views -----


@rule("view.default", "_unsafe_view", "_reshape_alias", "prims.reshape")
def _view(x: Any, size: Any, stride: Any = None) -> Any:
    return FUNCTIONS["reshape"](x, size)


@rule("view.dtype")
def _bits(x: Any, dtype: Any) -> Any:
    raise TypeRefused(
        f"view({dtype}) reads the bits of an array that is differentiated, at {line_of(user_site())}; write "
        f"x.to({dtype}) or detach(x)")


@rule("prims.transpose")
def _permute(x: Any, dims: Any) -> Any:
    return gl.permute_dims(x, tuple(dims))


@rule("expand")
def _expand(x: Any, size: Any, *, implicit: bool = False) -> Any:
    missing = len(size) - x.ndim
    size = tuple(x.shape[k - missing] if n == -1 else n for k, n in enumerate(size))
    return x if size == tuple(x.shape) else gl.broadcast_to(x, size)


@rule("prims.broadcast_in_dim")
def _broadcast_in_dim(x: Any, shape: Any, broadcast_dimensions: Any) -> Any:
    sizes = [1] * len(shape)
    for k, axis in enumerate(broadcast_dimensions):
        sizes[axis] = x.shape[k]
    return _expand(_view(x, sizes), tuple(shape))


@rule("prims.squeeze")
def _squeeze(x: Any, dim: Any = None) -> Any:
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, (list, tuple)) else (dim,)
    gone = {d % x.ndim for d in dims if x.ndim and x.shape[d] == 1}
    return _view(x, [n for k, n in enumerate(x.shape) if k not in gone])


@rule("slice.Tensor")
def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


@rule("split_with_sizes")
def _split_with_sizes(x: Any, split_sizes: Any, dim: int = 0) -> Any:
    parts, at = [], 0
    for size in split_sizes:
        parts.append(_slice(x, dim, at, at + size))
        at += size
    return parts


def _by_positions(name: str) -> None:
    family, _, short = name.rpartition(".")

    def moved(x: Any, *args: Any, **kwargs: Any) -> Any:
        func = getattr(torch.ops.prims if family else aten, short)
        return taken(x, func(positions(x), *[raw(a) for a in args], **{k: raw(v) for k, v in kwargs.items()}))

    rule(name)(moved)


_BY_POSITIONS = """
unfold as_strided diagonal_copy unfold_copy masked_select take
prims.collapse_view prims.split_dim prims.slice prims.rev prims.as_strided
"""
for _name in _BY_POSITIONS.split():
    _by_positions(_name)


@rule("alias", "lift_fresh", "lift_fresh_copy", "lift", "_lazy_clone", "prims.clone", "prims.view_of",
      "contiguous", "resolve_conj",
      "resolve_neg", "view_as")
def _same(x: Any, *args: Any, **options: Any) -> Any:
    return x


@rule("_neg_view")
def _negative(x: Any) -> Any:
    return -x


@rule("view_as_real")
def _view_as_real(x: Any) -> Any:
    return gl.stack([gl.real(x), gl.imag(x)], axis=-1)


@rule("view_as_complex")
def _view_as_complex(x: Any) -> Any:
    return gl.complex(FUNCTIONS["select"](x, -1, 0), FUNCTIONS["select"](x, -1, 1))


# ----- rearranged copies -----


@rule("channel_shuffle")
def _channel_shuffle(x: Any, groups: int) -> Any:
    n, c, *rest = x.shape
    return gl.reshape(gl.moveaxis(gl.reshape(x, (n, groups, c // groups, *rest)), 1, 2), x.shape)


@rule("pixel_shuffle")
def _pixel_shuffle(x: Any, r: int) -> Any:
    """(..., c r r, h, w) to (..., c, h r, w r)"""
    *lead, c, h, w = x.shape
    k, c = len(lead), c // r**2
    x = gl.permute_dims(gl.reshape(x, (*lead, c, r, r, h, w)), (*range(k + 1), k + 3, k + 1, k + 4, k + 2))
    return gl.reshape(x, (*lead, c, h * r, w * r))


@rule("pixel_unshuffle")
def _pixel_unshuffle(x: Any, r: int) -> Any:
    """(..., c, h r, w r) to (..., c r r, h, w)"""
    *lead, c, h, w = x.shape
    k, h, w = len(lead), h // r, w // r
    x = gl.permute_dims(gl.reshape(x, (*lead, c, h, r, w, r)), (*range(k + 1), k + 2, k + 4, k + 1, k + 3))
    return gl.reshape(x, (*lead, c * r**2, h, w))


@rule("prims.cat")
def _cat(tensors: Any, dim: int = 0) -> Any:
    return FUNCTIONS["cat"](tensors, dim)


@rule("repeat")
def _repeat(x: Any, repeats: Any) -> Any:
    return gl.tile(x, tuple(repeats))


@rule("constant_pad_nd")
def _constant_pad(x: Any, pad: Any, value: Any = 0) -> Any:
    pairs = [(pad[k], pad[k + 1]) for k in range(0, len(pad), 2)]
    for k, (before, after) in enumerate(pairs):
        if min(before, after) < 0:
            x = _slice(x, -1 - k, -min(before, 0), x.shape[-1 - k] + min(after, 0))
    y = gl.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + [(max(before, 0), max(after, 0))
                                                      for before, after in reversed(pairs)])
    if value != 0:
        grown = [max(n, 0) for pair in pairs for n in pair]
        y = gl.where(constant(torch.constant_pad_nd(torch.ones(x.shape, dtype=torch.bool, device=x.device),
                                                    grown, False)), y, value)
    return y


# ----- reading at positions -----


@rule("index.Tensor", "_unsafe_index.Tensor")
def _index(x: Any, indices: Any) -> Any:
    tables: list[Any] = [None if i is None else raw(i) for i in indices]
    used = [k for k, i in enumerate(tables) if i is not None]
    if len(used) == 1 and tables[used[0]].ndim == 1 and tables[used[0]].dtype is not torch.bool:
        return gl.take(x, tables[used[0]], axis=used[0])
    return taken(x, aten.index.Tensor(positions(x), tables))


@rule("embedding")
def _embedding(weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False,
               sparse: bool = False) -> Any:
    if scale_grad_by_freq:
        raise TypeRefused(
            "embedding(scale_grad_by_freq=True) divides its gradient by how often a row is used, which is the "
            f"derivative of nothing, at {line_of(user_site())}; leave it out, and divide the gradient")
    where = raw(indices)
    y = gl.reshape(gl.take(weight, where.reshape(-1), axis=0), (*where.shape, *weight.shape[1:]))
    if padding_idx >= 0:  # that row is not learned
        y = gl.where(constant((where == padding_idx)[..., None]), constant(y._value), y)
    return y


@rule("_embedding_bag", "_embedding_bag_forward_only")
def _embedding_bag(weight: Any, indices: Any, offsets: Any, scale_grad_by_freq: bool = False,
                   mode: int = 0, sparse: bool = False,
                   per_sample_weights: Any = None, include_last_offset: bool = False, padding_idx: int = -1) -> Any:
    """Sums (mode 0), means (1) or maxima (2) of the rows in each bag; those of `padding_idx` do not count."""
    if scale_grad_by_freq:
        return NotImplemented
    if mode == 2:
        _, bag, sizes, chosen = aten._embedding_bag_forward_only(
            raw(weight), raw(indices), raw(offsets), False, 2, False, None, include_last_offset, padding_idx)
        y = gl.take_along_axis(weight, constant(chosen.clamp(min=0).to(torch.int64)), axis=0)
        return (gl.where(constant(sizes[:, None] > 0), y, 0.0), constant(bag), constant(sizes), constant(chosen))
    starts = raw(offsets)[:-1] if include_last_offset else raw(offsets)
    where = raw(indices).reshape(-1)
    bag = torch.searchsorted(starts.contiguous(), torch.arange(where.numel(), dtype=starts.dtype, device=starts.device),
                             right=True) - 1
    counts = where != padding_idx
    rows = gl.take(weight, where, axis=0)
    if padding_idx >= 0:
        rows = gl.where(constant(counts[:, None]), rows, 0.0)
    if per_sample_weights is not None:
        rows = rows * gl.expand_dims(per_sample_weights, axis=-1)
    y = OPERATIONS["put"].apply((rows,), {"where": bag, "axis": -2, "size": len(starts)})
    sizes = torch.bincount(bag[counts], minlength=len(starts))
    if mode == 1:
        y = y / constant(sizes.clamp(min=1).to(y.dtype)[:, None])
    return y, constant(bag), constant(sizes), constant(torch.zeros_like(bag))


# ----- elements chosen by their values -----


def _chosen(name: str, count: int = 2) -> None:
    """values, positions = name(x, ..., dim, ...): the values are gathered at torch's own positions."""
    packet = getattr(aten, name)

    def chosen(x: Any, *args: Any, **kwargs: Any) -> Any:
        result = packet(x._value, *[raw(a) for a in args], **kwargs)
        if isinstance(result, torch.Tensor):  # of all elements
            place = packet(x._value.reshape(-1), *args, 0, **kwargs)[1]
            return taken(x, place)
        values, where = result
        if not x.ndim:
            return x, constant(where)
        named = {a.name: a.default_value for a in _overload_of(packet, args, kwargs)._schema.arguments}
        given = {**named, **dict(zip([n for n in named if n != "self"], args, strict=False)), **kwargs}
        dim = given["dim"]
        keep = given.get("keepdim", True)
        y = FUNCTIONS["gather"](x, dim, where if keep else where.unsqueeze(dim))
        return (y if keep else _squeeze(y, dim)), constant(where)

    rule(name)(chosen)


def _overload_of(packet: Any, args: Any, kwargs: Any) -> Any:
    """The overload of a chooser that has a dim."""
    for overload in packet.overloads():
        func = getattr(packet, overload)
        names = {a.name for a in func._schema.arguments}
        if "dim" in names and not func._schema.is_mutable and "dimname" not in overload and set(kwargs) <= names:
            return func
    raise LookupError(packet)


for _name in ["median", "nanmedian", "kthvalue", "mode", "cummax", "cummin", "topk"]:
    _chosen(_name)


# ----- writing at positions -----


@rule("scatter.src", "scatter.value")
def _scatter(x: Any, dim: int, index: Any, src: Any) -> Any:
    index = raw(index)
    where = positions(x).gather(dim, index) if x.ndim else positions(x)
    return put_at(x, where, _shaped(src, index))


def _shaped(src: Any, index: torch.Tensor) -> Any:
    """The part of a source that an index reads."""
    return (src[tuple(slice(0, n) for n in index.shape)] if hasattr(src, "shape") and src.ndim
            and tuple(src.shape) != tuple(index.shape) else src)


@rule("scatter_add")
def _scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    index = raw(index)
    return added(x, positions(x).gather(dim, index) if x.ndim else positions(x), _shaped(src, index))


@rule("index_add")
def _index_add(x: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    return added(x, positions(x).index_select(dim, raw(index)), source if alpha == 1 else source * alpha)


@rule("index_put", "_unsafe_index_put")
def _index_put(x: Any, indices: Any, values: Any, accumulate: bool = False, unsafe: bool = False) -> Any:
    where = aten.index.Tensor(positions(x), [None if i is None else raw(i) for i in indices])
    return added(x, where, values) if accumulate else put_at(x, where, values)


@rule("copy", "fill")
def _copy(x: Any, source: Any, non_blocking: bool = False) -> Any:
    if not hasattr(source, "shape"):
        return constant(torch.full(tuple(x.shape), source, dtype=x.dtype, device=x.device))
    return _expand(cast(source, x.dtype), tuple(x.shape))


@rule("masked_scatter")
def _masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    shape = torch.broadcast_shapes(tuple(x.shape), raw(mask).shape)
    x = _expand(x, shape)
    where = positions(x)[raw(mask).expand(shape)]
    return put_at(x, where, gl.reshape(source, (-1,))[:where.numel()])


@rule("put")
def _put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    where = positions(x).take(raw(index))
    return (added(x, where, gl.reshape(source, where.shape)) if accumulate
            else put_at(x, where, gl.reshape(source, where.shape)))
