"""Pooling: the largest or the mean of each window. The operations work on the last axes of their input; all before them
are batches."""
from __future__ import annotations

import itertools
import math
from typing import Any

import torch

from ....blocks import action
from ....blocks.block import Block
from ....core.array import dlarray, labels_of, raw
from ....core.declare import discrete, general, multilinear, public
from ....core.errors import ShapeError, line_of, user_site
from ....machine.caches import remembered
from ....machine.dtypes import Tensor
from ....machine.layouts import channels_last
from ...sums.extremes import max as largest
from ...sums.reduction import mean
from ..softmax import floating
from ..spatial import Sizes, zeros_around
from .plan import Plan, arranged, know_apart, planned, put_back

aten = torch.ops.aten


# ----- kernels want (N, C, *S) with two or three S -----


MANY = 8  # channels from which torch's pooling is several times faster where they lie together in memory
LAID_OUT = frozenset((torch.float32, torch.float64, torch.int64))


def _folded(x: Tensor, d: int, laid_out: bool = True) -> Tensor:
    """x with all but its last d axes as two, and at least two spatial ones; channels together in memory unless told not
    to."""
    rest, spatial = x.shape[:x.ndim - d], x.shape[x.ndim - d:]
    if len(rest) != 2:
        x = x.reshape(math.prod(rest[:-1]), *(rest[-1:] or (1,)), *spatial)
    x = x.unsqueeze(-2) if d == 1 else x
    if laid_out and x.ndim == 4 and x.shape[1] >= MANY and x.device.type == "cpu" and x.dtype in LAID_OUT:
        x = channels_last(x)
    return x


def _unfolded(y: Tensor, x: Tensor, d: int) -> Tensor:
    """The inverse of `_folded` for a result with the batches of x."""
    if d == 1:
        y = y.squeeze(-2)
    return y if x.ndim == d + 2 else y.reshape(*x.shape[:x.ndim - d], *y.shape[y.ndim - d:])


def _wide(sizes: Sizes, fill: int) -> Sizes:
    """An option of one axis as that of two."""
    return sizes if len(sizes) > 1 else (fill, *sizes)


def _of_shape(y: Tensor, spatial: Sizes) -> Tensor:
    """Memory that nobody reads, in the shape and memory order that a fused backward asks of its input."""
    shape = (*y.shape[:2], *spatial)
    if y.ndim == 4 and not y.is_contiguous() and y.is_contiguous(memory_format=torch.channels_last):
        return torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
    return torch.empty(shape, dtype=y.dtype, device=y.device)


@remembered(4096)
def _native(spatial: Sizes, size: Sizes, stride: Sizes, before: Sizes, after: Sizes) -> bool | None:
    """Whether torch's kernels place these windows without padding by hand: with ceil_mode True or False, or not
    (None)."""
    if any(2 * p > k for p, k in zip(before, size, strict=True)):
        return None
    for ceil in (False, True):
        for n, k, s, b, a in zip(spatial, size, stride, before, after, strict=True):
            count = (n + 2 * b - k + (s - 1 if ceil else 0)) // s + 1
            if ceil and (count - 1) * s >= n + b:
                count -= 1
            if count != (n + b + a - k) // s + 1:
                break
        else:
            return ceil
    return None


# ----- the largest of each window -----


def _pick_kernel(x: Tensor, place: Tensor, d: int) -> Tensor:
    spatial, own = x.shape[x.ndim - d:], place.shape[place.ndim - d:]
    flat = x.reshape(*x.shape[:x.ndim - d], math.prod(spatial))
    where = place.reshape(*place.shape[:place.ndim - d], math.prod(own)).expand(*flat.shape[:-1], -1)
    return flat.gather(-1, where).reshape(*flat.shape[:-1], *own)


def _put_kernel(y: Tensor, place: Tensor, spatial: Sizes) -> Tensor:
    d = len(spatial)
    flat = y.reshape(*y.shape[:y.ndim - d], math.prod(y.shape[y.ndim - d:]))
    where = place.reshape(*place.shape[:place.ndim - d], flat.shape[-1]).expand(flat.shape)
    x = torch.zeros((*flat.shape[:-1], math.prod(spatial)), dtype=y.dtype, device=y.device)
    return x.scatter_add_(-1, where, flat).reshape(*flat.shape[:-1], *spatial)


def _unravelled(place: Tensor, spatial: Sizes) -> list[Tensor]:
    """Flat positions as one for each axis."""
    tables = []
    for n in reversed(spatial[1:]):
        above = place // n
        tables.append(place - above * n)
        place = above
    return [place, *tables[::-1]]


def _pick_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), place, d = inputs, params["place"], params["d"]
    return action.gathered_at(block, _unravelled(place, block.shape[block.ndim - d:]), place.shape[place.ndim - d:])


def _put_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    (block,), spatial = inputs, params["spatial"]
    return action.scattered_to(block, _unravelled(params["place"], spatial), spatial, len(spatial))


_PLACE = torch.tensor([[[0, 3], [3, 5]], [[1, 1], [2, 4]]], device="cpu")
put: Any


def _pick_transpose(y_bar: Any, place: Any, d: int, x_shape: Any) -> Any:
    return put.apply((y_bar,), {"place": place, "spatial": tuple(x_shape[-d:])})


_pick = multilinear(
    "pool_pick", _pick_kernel, act=_pick_on_block, samples=[((2, 2, 3), {"place": _PLACE, "d": 2})],
    transposes={"x": _pick_transpose}, selects=True)
put = multilinear(
    "maxunpool", _put_kernel, matlab="maxunpool", act=_put_on_block,
    samples=[((2, 2, 2), {"place": _PLACE, "spatial": (2, 3)})],
    transposes={"x": lambda y_bar, place, spatial: _pick.apply((y_bar,), {"place": place, "d": len(spatial)})})


def _maxpool_kernel(x: Tensor, size: Sizes, stride: Sizes, before: Sizes, after: Sizes) -> tuple[Tensor, Tensor]:
    d = len(size)
    spatial = tuple(x.shape[x.ndim - d:])
    folded = _folded(x, d, size != spatial)
    ceil = _native(spatial, size, stride, before, after)
    kernel = torch._C._nn.max_pool3d_with_indices if d == 3 else torch._C._nn.max_pool2d_with_indices
    one = (1,) * max(d, 2)
    if ceil is not None:
        y, place = kernel(folded, _wide(size, 1), _wide(stride, 1), _wide(before, 0), one, ceil)
    else:
        widths = list(itertools.chain.from_iterable(zip(reversed(before), reversed(after), strict=True)))
        y, place = kernel(torch.constant_pad_nd(folded, widths, -math.inf), _wide(size, 1), _wide(stride, 1))
        place = _without_padding(place, spatial, before, after)
    return _unfolded(y, x, d), _unfolded(place, x, d)


def _without_padding(place: Tensor, spatial: Sizes, before: Sizes, after: Sizes) -> Tensor:
    """Positions in a padded input as positions in the input; of an equal padding, the nearest."""
    found, step = torch.zeros_like(place), 1
    for n, b, a in zip(reversed(spatial), reversed(before), reversed(after), strict=True):
        found += ((place % (n + b + a)) - b).clamp_(0, n - 1) * step
        place = place // (n + b + a)
        step *= n
    return found


def _maxpool_fused(y_bar: Tensor, place: Tensor, size: Sizes, stride: Sizes, before: Sizes,
                   after: Sizes, x_shape: Any) -> Tensor:
    d = len(size)
    spatial = tuple(x_shape[-d:])
    ceil = _native(spatial, size, stride, before, after)
    if ceil is None:
        return _put_kernel(y_bar, place, spatial)
    backward = aten.max_pool3d_with_indices_backward if d == 3 else aten.max_pool2d_with_indices_backward
    folded = _folded(y_bar, d)
    size, stride, before, spatial = _wide(size, 1), _wide(stride, 1), _wide(before, 0), _wide(spatial, 1)
    x_bar = backward(folded, _of_shape(folded, spatial), size, stride, before, (1,) * len(size),
                     ceil, _folded(place, d))
    return _unfolded(x_bar, y_bar, d)


_WINDOWS = {"size": (2, 2), "stride": (2, 1), "before": (1, 0), "after": (1, 0)}
_maxpool = general(
    "maxpool", _maxpool_kernel, hidden=("place",),
    push=lambda x_dot, place, size: _pick.apply((x_dot,), {"place": raw(place), "d": len(size)}),
    pull=lambda y_bar, place, size, x_shape: _pick_transpose(y_bar, raw(place), len(size), x_shape),
    fused_pull=_maxpool_fused, matlab="maxpool",
    samples=[((2, 3, 4, 5), _WINDOWS), ((2, 4, 5), _WINDOWS | {"before": (0, 1), "after": (1, 1)}),
             ((4, 5), _WINDOWS | {"stride": (1, 1), "before": (1, 0), "after": (0, 1)}),
             ((2, 7), {"size": (3,), "stride": (2,), "before": (0,), "after": (2,)}),
             ((1, 2, 3, 4, 3), {"size": (2, 2, 2), "stride": (1, 2, 1), "before": (0, 0, 0), "after": (0, 0, 0)})],
    selects=True, real_only="complex numbers have no order")


def _line_kernel(x: Tensor, size: Sizes, stride: Sizes, before: Sizes, after: Sizes) -> Tensor:
    if x.requires_grad or _native(tuple(x.shape[-1:]), size, stride, before, after) is not False or not x.numel():
        return _maxpool_kernel(x, size, stride, before, after)[0]
    y = torch.max_pool1d(x.reshape(1, -1, x.shape[-1]), size, stride, before)
    return y.reshape(*x.shape[:-1], y.shape[-1])


# of untraced x: nobody asks where they are, and that costs five times as much
_line_maxima = discrete("maxima_along_a_line", _line_kernel)


# ----- the mean of each window, and its transpose -----


def _avgpool_kernel(x: Tensor, size: Sizes, stride: Sizes, padding: Sizes, count_padding: bool) -> Tensor:
    d = len(size)
    kernel = torch._C._nn.avg_pool3d if d == 3 else torch._C._nn.avg_pool2d
    return _unfolded(kernel(_folded(x, d), _wide(size, 1), _wide(stride, 1), _wide(padding, 0), False, count_padding),
                     x, d)


def _spread_kernel(x: Tensor, size: Sizes, stride: Sizes, padding: Sizes, count_padding: bool,
                   spatial: Sizes) -> Tensor:
    d = len(size)
    folded = _folded(x, d)
    backward = aten.avg_pool3d_backward if d == 3 else aten.avg_pool2d_backward
    like = _of_shape(folded, _wide(spatial, 1))
    spread = backward(folded, like, _wide(size, 1), _wide(stride, 1), _wide(padding, 0), False, count_padding, None)
    return _unfolded(spread, x, d)


def _window_means(n: int, m: int, size: int, stride: int, padding: int, count_padding: bool, like: Tensor) -> Tensor:
    """(m, n): row o averages its window along one axis."""
    at = torch.arange(n, device=like.device) - (torch.arange(m, device=like.device) * stride - padding).unsqueeze(1)
    matrix = ((at >= 0) & (at < size)).to(like.dtype)
    return matrix / (size if count_padding else matrix.sum(1, keepdim=True))


def _along_axes(block: Block, params: dict[str, Any], transposed: bool) -> Block:
    """Window means are separable: a contraction along each axis, which leaves the others as they are."""
    size, stride, padding = params["size"], params["stride"], params["padding"]
    d = len(size)
    for k in range(d):
        at = block.ndim - d + k
        n = params["spatial"][k] if transposed else block.shape[at]
        m = block.shape[at] if transposed else (n + 2 * padding[k] - size[k]) // stride[k] + 1
        matrix = _window_means(n, m, size[k], stride[k], padding[k], params["count_padding"], block.like)
        letters = [f"a{j}" for j in range(block.ndim)]
        out = [*letters[:at], "new", *letters[at + 1:]]
        names = ["a" + str(at), "new"] if transposed else ["new", "a" + str(at)]
        sizes = dict(zip(letters, block.shape, strict=True)) | {"new": n if transposed else m}
        block = action.contract(block, 0, (block, matrix), [letters, names], out, sizes)
    return block


_ALONE = {"size": (3,), "stride": (2,), "padding": (0,), "count_padding": True}
_MEANS = {"size": (2, 3), "stride": (1, 2), "padding": (1, 1), "count_padding": True}
_spread: Any
_avgpool = multilinear(
    "avgpool", _avgpool_kernel, act=lambda operation, inputs, params: _along_axes(inputs[0], params, False),
    matlab="avgpool",
    transposes={"x": lambda y_bar, size, stride, padding, count_padding, x_shape: _spread.apply(
        (y_bar,), dict(size=size, stride=stride, padding=padding, count_padding=count_padding,
                       spatial=tuple(x_shape[-len(size):])))},
    samples=[((2, 3, 4, 5), _MEANS), ((2, 4, 5), _MEANS | {"count_padding": False}), ((2, 7), _ALONE)],
                       real_only="torch pools real numbers only; its error says so")
_spread = multilinear(
    "avgpool_transpose", _spread_kernel, act=lambda operation, inputs, params: _along_axes(inputs[0], params, True),
    transposes={"x": lambda y_bar, size, stride, padding, count_padding: _avgpool.apply(
        (y_bar,), dict(size=size, stride=stride, padding=padding, count_padding=count_padding))},
    samples=[((2, 3, 5, 3), _MEANS | {"spatial": (4, 5)}), ((2, 3), _ALONE | {"spatial": (7,)})],
                      real_only="torch pools real numbers only; its error says so")


# ----- maxpool and avgpool -----


@public(_maxpool)
def maxpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, pool_format: str | None = None,
            return_indices: bool = False,
            data_format: str | None = None) -> Any:
    """The largest value of each window over the spatial axes.

    Formula: y[o] = max of x[o stride + k - padding], k = 0 ... pool_size - 1, for each channel and observation; padding
    never wins. Of equal values the first takes the derivative. x: any layout with one to three S (with T where there is
    no S); y: the same layout with floor((n + padding before and after - pool_size) / stride) + 1 along each S.

    pool_size: an integer, one per pooled axis, or "global" (all of S, which become of size 1). stride: an integer or
    one per axis; it is 1 unless you give it. padding: an integer, one per axis, (before, after) for each, or "same"
    (size n / stride, rounded up, of an odd total the larger part at the end). pool_format: "S", "T" or "ST", which
    axes. An unlabelled x needs data_format. With `return_indices=True` the result is (y, indices, size) for
    `maxunpool`: where each value was found, counted over the pooled axes in C order, and the shape of x.
    Raises ShapeError for windows that do not fit, LabelError where there is no S or x is unlabelled without
    data_format.

    >>> import gradloom as gl
    >>> gl.maxpool(gl.dlarray([[1.0, 4.0, 2.0, 3.0]], "CS"), 2, stride=2)
    1(C) x 2(S) dlarray float64
    [[4. 3.]]

    Source: MATLAB maxpool.
    """
    x = floating(x)
    plan = planned(x, pool_size, stride, padding, pool_format, data_format, "maxpool", return_indices)
    if plan.size is None:
        return largest(x, axis=plan.axes, keepdims=True)
    labels, moved = labels_of(x), arranged(x, plan)
    if not return_indices and len(plan.axes) == 1 and not (type(x) is dlarray and x.traced):
        return put_back(_line_maxima.apply((moved,), plan.params), plan, labels)
    y = _maxpool.apply((moved,), plan.params)
    if not return_indices:
        return put_back(y, plan, labels)
    traced = type(y) is dlarray and y._node is not None
    place = y._node.values[_PLACE_SLOT] if traced else _maxpool_kernel(raw(moved), **plan.params)[1]
    indices = put_back(dlarray._made(place, None) if type(y) is dlarray else place, plan, labels)
    if type(indices) is dlarray:  # into tensors users may write unseen, as through NumPy
        know_apart(indices._value, plan, tuple(x.shape))
    return put_back(y, plan, labels), indices, tuple(x.shape)


_PLACE_SLOT = len(_maxpool.inputs) + 1  # of a node's values: after the inputs and the output


@public(_avgpool)
def avgpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, padding_value: Any = 0,
            pool_format: str | None = None,
            data_format: str | None = None) -> Any:
    """The mean value of each window over the spatial axes.

    Formula: y[o] = mean of x[o stride + k - padding], k = 0 ... pool_size - 1, for each channel and observation.
    Padding counts as zeros; with `padding_value="mean"` it does not count. x, y, the other options and errors as in
    `maxpool`.

    >>> import gradloom as gl
    >>> gl.avgpool(gl.dlarray([[1.0, 4.0, 2.0, 3.0]], "CS"), 2, stride=2)
    1(C) x 2(S) dlarray float64
    [[2.5 2.5]]

    Source: MATLAB avgpool.
    """
    if padding_value not in (0, "mean"):
        raise ShapeError(f"avgpool: padding_value is 0 or \"mean\", not {padding_value!r}, at {line_of(user_site())}")
    x = floating(x)
    plan = planned(x, pool_size, stride, padding, pool_format, data_format, "avgpool")
    if plan.size is None:
        return mean(x, axis=plan.axes, keepdims=True)
    moved = arranged(x, plan)
    params = {"size": plan.size, "stride": plan.stride, "padding": plan.before, "count_padding": padding_value == 0}
    if plan.before == plan.after and all(2 * p <= k for p, k in zip(plan.before, plan.size, strict=True)):
        y = _avgpool.apply((moved,), params)
    else:
        pairs = tuple(zip(plan.before, plan.after, strict=True))
        params |= {"padding": (0,) * len(plan.size), "count_padding": True}
        y = _avgpool.apply((zeros_around(moved, pairs),), params)
        if padding_value == "mean":
            y = y * _corrections(moved, plan, pairs)
    return put_back(y, plan, labels_of(x))


def _corrections(x: Any, plan: Plan, pairs: Any) -> Any:
    """One over the share of each window that is not padding: a constant."""
    assert plan.size is not None
    d = len(plan.size)
    value = raw(x)
    share = _avgpool_kernel(zeros_around(value.new_ones(value.shape[value.ndim - d:]), pairs),
                            plan.size, plan.stride, (0,) * d, True)
    return dlarray._made(1 / share, None) if type(x) is dlarray else 1 / share


__all__ = ["avgpool", "maxpool"]
