"""Pooling: the largest or the mean of each window. The operations work on the last axes of their input; all before them are batches."""
from __future__ import annotations

import itertools
import math
from typing import Any

import torch

from ..core.array import dlarray, labels_of
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.errors import LabelError, ShapeError, line_of, user_site
from ..core.labels import described, positions
from ..core.operation import general, multilinear, public
from ..kernels import Tensor
from .contraction import layout_of
from .convolution import padding_of, per_axis
from .movement import pad_axis, permute_dims
from .reduction import max, mean
from .softmax import floating

aten = torch.ops.aten
Sizes = tuple[int, ...]


# ----- kernels want (N, C, *S) with two or three S -----


def _folded(x: Tensor, d: int) -> Tensor:
    """x with all but its last d axes as two, and at least two spatial ones."""
    rest, spatial = x.shape[:x.ndim - d], x.shape[x.ndim - d:]
    if len(rest) != 2:
        x = x.reshape(math.prod(rest[:-1]), *(rest[-1:] or (1,)), *spatial)
    return x.unsqueeze(-2) if d == 1 else x


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


def _native(size: Sizes, before: Sizes, after: Sizes) -> bool:
    """Whether torch's kernels take this padding themselves."""
    return before == after and all(2 * p <= k for p, k in zip(before, size, strict=True))


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


_PLACE = torch.tensor([[[0, 3], [3, 5]], [[1, 1], [2, 4]]])
_pick = multilinear("pool_pick", _pick_kernel, act=action.untying, samples=[((2, 2, 3), {"place": _PLACE, "d": 2})],
                    transposes={"x": lambda y_bar, place, d, x_shape: _put.apply((y_bar,), {"place": place, "spatial": tuple(x_shape[-d:])})})
_put = multilinear("pool_put", _put_kernel, act=action.untying, samples=[((2, 2, 2), {"place": _PLACE, "spatial": (2, 3)})],
                   transposes={"x": lambda y_bar, place, spatial: _pick.apply((y_bar,), {"place": place, "d": len(spatial)})})


def _maxpool_kernel(x: Tensor, size: Sizes, stride: Sizes, before: Sizes, after: Sizes) -> tuple[Tensor, Tensor]:
    d = len(size)
    folded, padding = _folded(x, d), before
    if not _native(size, before, after):
        widths = list(itertools.chain.from_iterable(zip(reversed(before), reversed(after), strict=True)))
        folded, padding = torch.constant_pad_nd(folded, widths, -math.inf), (0,) * d
    kernel = torch._C._nn.max_pool3d_with_indices if d == 3 else torch._C._nn.max_pool2d_with_indices
    y, place = kernel(folded, _wide(size, 1), _wide(stride, 1), _wide(padding, 0))
    if padding != before:
        place = _without_padding(place, x.shape[x.ndim - d:], before, after)
    return _unfolded(y, x, d), _unfolded(place, x, d)


def _without_padding(place: Tensor, spatial: Sizes, before: Sizes, after: Sizes) -> Tensor:
    """Positions in a padded input as positions in the input; of an equal padding, the nearest."""
    found, step = torch.zeros_like(place), 1
    for n, b, a in zip(reversed(spatial), reversed(before), reversed(after), strict=True):
        found += ((place % (n + b + a)) - b).clamp_(0, n - 1) * step
        place = place // (n + b + a)
        step *= n
    return found


def _raw(place: Any) -> Tensor:
    return place._value if type(place) is dlarray else place


def _maxpool_fused(y_bar: Tensor, place: Tensor, size: Sizes, stride: Sizes, before: Sizes, after: Sizes, x_shape: Any) -> Tensor:
    d = len(size)
    spatial = tuple(x_shape[-d:])
    if not _native(size, before, after):
        return _put_kernel(y_bar, place, spatial)
    backward = aten.max_pool3d_with_indices_backward if d == 3 else aten.max_pool2d_with_indices_backward
    folded = _folded(y_bar, d)
    one = (1,) * len(_wide(size, 1))
    x_bar = backward(folded, _of_shape(folded, _wide(spatial, 1)), _wide(size, 1), _wide(stride, 1), _wide(before, 0), one, False, _folded(place, d))
    return _unfolded(x_bar, y_bar, d)


_WINDOWS = {"size": (2, 2), "stride": (2, 1), "before": (1, 0), "after": (1, 0)}
_maxpool = general(
    "maxpool", _maxpool_kernel, hidden=("place",), push=lambda x_dot, place, size: _pick.apply((x_dot,), {"place": _raw(place), "d": len(size)}),
    pull=lambda y_bar, place, size, x_shape: _put.apply((y_bar,), {"place": _raw(place), "spatial": tuple(x_shape[-len(size):])}),
    fused_pull=_maxpool_fused, matlab="maxpool",
    samples=[((2, 3, 4, 5), _WINDOWS), ((2, 7), {"size": (3,), "stride": (2,), "before": (0,), "after": (2,)}),
             ((1, 2, 3, 4, 3), {"size": (2, 2, 2), "stride": (1, 2, 1), "before": (0, 0, 0), "after": (0, 0, 0)})])


# ----- the mean of each window, and its transpose -----


def _avgpool_kernel(x: Tensor, size: Sizes, stride: Sizes, padding: Sizes, count_padding: bool) -> Tensor:
    d = len(size)
    kernel = torch._C._nn.avg_pool3d if d == 3 else torch._C._nn.avg_pool2d
    return _unfolded(kernel(_folded(x, d), _wide(size, 1), _wide(stride, 1), _wide(padding, 0), False, count_padding), x, d)


def _spread_kernel(x: Tensor, size: Sizes, stride: Sizes, padding: Sizes, count_padding: bool, spatial: Sizes) -> Tensor:
    d = len(size)
    folded = _folded(x, d)
    backward = aten.avg_pool3d_backward if d == 3 else aten.avg_pool2d_backward
    spread = backward(folded, _of_shape(folded, _wide(spatial, 1)), _wide(size, 1), _wide(stride, 1), _wide(padding, 0), False, count_padding, None)
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


_MEANS = {"size": (2, 3), "stride": (1, 2), "padding": (1, 1), "count_padding": True}
_avgpool = multilinear(
    "avgpool", _avgpool_kernel, act=lambda operation, inputs, params: _along_axes(inputs[0], params, False), matlab="avgpool",
    transposes={"x": lambda y_bar, size, stride, padding, count_padding, x_shape: _spread.apply(
        (y_bar,), dict(size=size, stride=stride, padding=padding, count_padding=count_padding, spatial=tuple(x_shape[-len(size):])))},
    samples=[((2, 3, 4, 5), _MEANS), ((2, 4, 5), _MEANS | {"count_padding": False}),
             ((2, 7), {"size": (3,), "stride": (2,), "padding": (0,), "count_padding": True})])
_spread = multilinear(
    "avgpool_transpose", _spread_kernel, act=lambda operation, inputs, params: _along_axes(inputs[0], params, True),
    transposes={"x": lambda y_bar, size, stride, padding, count_padding: _avgpool.apply(
        (y_bar,), dict(size=size, stride=stride, padding=padding, count_padding=count_padding))},
    samples=[((2, 3, 5, 3), _MEANS | {"spatial": (4, 5)}), ((2, 3), {"size": (3,), "stride": (2,), "padding": (0,), "count_padding": True, "spatial": (7,)})])


# ----- what is pooled -----


def _windows(x: Any, pool_size: Any, stride: Any, padding: Any, data_format: str | None, word: str) -> Any:
    """Axes to pool, the order that puts them last, and size, stride and (before, after) of each; None where all is one window."""
    labels = layout_of(x, data_format, word)
    axes = positions(labels, "S") or positions(labels, "T")
    if not axes:
        raise LabelError(f"{word} needs an axis S (or T), x is {described(x.shape, labels)}, at {line_of(user_site())}; label it, or write data_format=")
    channel = positions(labels, "C")
    order = [*(k for k in range(x.ndim) if k not in axes + channel), *channel, *axes]  # C next to S keeps channels_last memory as it is
    if isinstance(pool_size, str):
        if pool_size != "global":
            raise ShapeError(f"{word}: pool_size is a number, one per spatial axis or \"global\", not {pool_size!r}, at {line_of(user_site())}")
        return axes, order, None, None, None
    if len(axes) > 3:
        raise ShapeError(f"{word} pools 1, 2 or 3 axes, x has {len(axes)} axes S, at {line_of(user_site())}; reshape it, or pool \"global\"")
    extents = [x.shape[k] for k in axes]
    size, stride = per_axis(pool_size, len(axes), f"{word} pool_size"), per_axis(stride, len(axes), f"{word} stride")
    if any(n < 1 for n in (*size, *stride)):
        raise ShapeError(f"{word}: pool_size {size} and stride {stride} must be positive, at {line_of(user_site())}")
    pairs = padding_of(padding, extents, size, stride, (1,) * len(axes), word)
    for n, k, (b, a) in zip(extents, size, pairs, strict=True):
        if not (0 <= b < k and 0 <= a < k):
            raise ShapeError(f"{word}: padding {b}, {a} for windows of {k}, at {line_of(user_site())}; it must be less than the window, and not negative")
        if n + b + a < k:
            raise ShapeError(f"{word}: windows of {k} in an axis of {n} with padding {b}, {a}, at {line_of(user_site())}; pool_size is at most {n + b + a}, "
                             "or \"global\"")
    return axes, order, size, stride, pairs


def _arranged(x: Any, order: list[int]) -> Any:
    x = dlarray._made(x._value, x._node, None) if labels_of(x) is not None else x
    return permute_dims(x, order)


def _put_back(y: Any, order: list[int], labels: str | None) -> Any:
    y = permute_dims(y, [order.index(k) for k in range(y.ndim)])
    return dlarray._made(y._value, y._node, labels) if labels is not None else y


@public(_maxpool)
def maxpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, data_format: str | None = None) -> Any:
    """The largest value of each window over the spatial axes.

    Formula: y[o] = max of x[o stride + k - padding], k = 0 ... pool_size - 1, for each channel and observation; padding never wins.
    Of equal values the first takes the derivative. x: any layout with one to three S (with T where there is no S); y: the same layout
    with floor((n + padding before and after - pool_size) / stride) + 1 along each S.

    pool_size: an integer, one per S, or "global" (all of S, which become of size 1). stride: an integer or one per S; it is 1 unless
    you give it. padding: an integer, one per S, (before, after) for each, or "same" (size n / stride, rounded up, of an odd total the
    larger part at the end). An unlabelled x needs data_format.
    Raises ShapeError for windows that do not fit, LabelError where there is no S or x is unlabelled without data_format.

    >>> import gradloom as gl
    >>> gl.maxpool(gl.dlarray([[1.0, 4.0, 2.0, 3.0]], "CS"), 2, stride=2)
    1(C) x 2(S) dlarray float64
    [[4. 3.]]

    Source: MATLAB maxpool.
    """
    x = floating(x)
    axes, order, size, strides, pairs = _windows(x, pool_size, stride, padding, data_format, "maxpool")
    if size is None:
        return max(x, axis=axes, keepdims=True)
    moved = _arranged(x, order)
    before, after = zip(*pairs, strict=True)
    y = _maxpool.apply((moved,), {"size": size, "stride": strides, "before": before, "after": after})
    return _put_back(y, order, labels_of(x))


@public(_avgpool)
def avgpool(x: Any, pool_size: Any, /, *, stride: Any = 1, padding: Any = 0, padding_value: Any = 0, data_format: str | None = None) -> Any:
    """The mean value of each window over the spatial axes.

    Formula: y[o] = mean of x[o stride + k - padding], k = 0 ... pool_size - 1, for each channel and observation. Padding counts as
    zeros; with `padding_value="mean"` it does not count. x, y, pool_size, stride, padding and errors as in `maxpool`.

    >>> import gradloom as gl
    >>> gl.avgpool(gl.dlarray([[1.0, 4.0, 2.0, 3.0]], "CS"), 2, stride=2)
    1(C) x 2(S) dlarray float64
    [[2.5 2.5]]

    Source: MATLAB avgpool.
    """
    if padding_value not in (0, "mean"):
        raise ShapeError(f"avgpool: padding_value is 0 or \"mean\", not {padding_value!r}, at {line_of(user_site())}")
    x = floating(x)
    axes, order, size, strides, pairs = _windows(x, pool_size, stride, padding, data_format, "avgpool")
    if size is None:
        return mean(x, axis=axes, keepdims=True)
    moved = _arranged(x, order)
    before, after = zip(*pairs, strict=True)
    params = {"size": size, "stride": strides, "padding": before, "count_padding": padding_value == 0}
    if _native(size, before, after):
        y = _avgpool.apply((moved,), params)
    else:
        y = _avgpool.apply((_padded(moved, pairs),), params | {"padding": (0,) * len(size), "count_padding": True})
        if padding_value == "mean":
            y = y * _corrections(moved, size, strides, pairs)
    return _put_back(y, order, labels_of(x))


def _padded(x: Any, pairs: Any) -> Any:
    for k, (before, after) in enumerate(pairs):
        x = pad_axis(x, k - len(pairs), before, after)
    return x


def _corrections(x: Any, size: Sizes, stride: Sizes, pairs: Any) -> Any:
    """One over the share of each window that is not padding: a constant."""
    d = len(size)
    raw = x._value if type(x) is dlarray else x
    share = _avgpool_kernel(_padded(raw.new_ones(raw.shape[raw.ndim - d:]), pairs), size, stride, (0,) * d, True)
    return dlarray._made(1 / share, None) if type(x) is dlarray else 1 / share


__all__ = ["avgpool", "maxpool"]
