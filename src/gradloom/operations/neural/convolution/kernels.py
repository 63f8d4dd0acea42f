"""The kernels of convolution and of its two transposes, with leading axes on any operand.

Leading axes of x go into the batch, of the weight into the filters, of a cotangent for the weight into its channels, of
two operands into groups.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ....machine.dtypes import Tensor, broadcast_shapes
from ....machine.layouts import channels_last, settled
from ..spatial import Sizes

aten = torch.ops.aten
SMALL = 20480  # numbers of one image up to which torch does not take oneDNN
# bytes of filters, one for each of many images, that are made at once: of more torch's kernel takes up to four times as
# long
PIECE = 1 << 21
FEW_PLACES = 64  # of small images, in all of a batch
COLUMNS = 1 << 15  # numbers of an image in columns up to which products with them are quicker than torch's kernels


def laying_out(like: Tensor, x_shape: Sequence[int], weight_shape: Sequence[int], dilation: Sizes) -> Any:
    """How images lie in memory where torch's convolution with filters is faster: the function that lays them out so;
    None where they are as well as they are.

    Of float32 images on a CPU it takes two thirds of the time with channels together, transposed a third and less. With
    filters that outweigh the images it takes up to twice the time, most of it for laying out the filters; and none is
    saved where they are dilated. One small image is computed as it lies.
    """
    if (len(x_shape) != 4 or len(weight_shape) != 4 or like.dtype is not torch.float32 or like.device.type != "cpu"
            or x_shape[0] <= 1 and math.prod(x_shape) <= SMALL):
        return None
    if math.prod(weight_shape) > math.prod(x_shape):
        return Tensor.contiguous
    return channels_last if dilation == (1, 1) else None


def laid_out(x: Tensor, weight: Tensor, dilation: Sizes) -> tuple[Tensor, Tensor]:
    """Both in the layout in which torch's convolution of them is faster."""
    lay = laying_out(x, x.shape, weight.shape, dilation)
    return (x, weight) if lay is None else (lay(x), lay(weight))


def _lead_of(x: Tensor, ndim: int) -> Sizes:
    return tuple(x.shape[:x.ndim - ndim])


def _flat_lead(x: Tensor, ndim: int) -> Tensor:
    """Leading axes as one."""
    return x.reshape(math.prod(_lead_of(x, ndim)), *x.shape[x.ndim - ndim:]) if x.ndim != ndim else x.unsqueeze(0)


def _by_parts(run: Any, a: Tensor, b: Tensor, groups: int) -> Tensor:
    """A bilinear kernel of real arrays, on complex ones, which torch's convolutions do not take."""
    if not (a.is_complex() or b.is_complex()):
        return run(a, b, groups)
    (p, q), (r, s) = ((x.real, x.imag) if x.is_complex() else (x, None) for x in (a, b))
    parts: list[Any] = [run(p, r, groups), None]
    for k, sign, left, right in ((0, -1, q, s), (1, 1, p, s), (1, 1, q, r)):
        if left is not None and right is not None:
            part = run(left, right, groups)
            parts[k] = part if parts[k] is None else parts[k].add_(part, alpha=sign)
    return torch.complex(*parts)


def _with_lead(run: Any, a: Tensor, b: Tensor, ndim: int, groups: int, fold_a: Any, fold_b: Any,
               fold_both: Any) -> Tensor:
    """Run a bilinear kernel with leading axes on a, on b, or on both."""
    lead_a, lead_b = _lead_of(a, ndim), _lead_of(b, ndim)
    if not lead_a and not lead_b:
        return _by_parts(run, a, b, groups)
    if 0 in lead_a + lead_b:
        y = _by_parts(run, a.new_zeros(a.shape[len(lead_a):]), b.new_zeros(b.shape[len(lead_b):]), groups)
        return y.new_zeros((*broadcast_shapes(lead_a or (1,) * len(lead_b), lead_b or (1,) * len(lead_a)),
                            *y.shape))
    if lead_a and lead_b:
        lead = broadcast_shapes(lead_a, lead_b)
        a, b = a.expand(*lead, *a.shape[len(lead_a):]), b.expand(*lead, *b.shape[len(lead_b):])
        y = fold_both(_flat_lead(a, ndim), _flat_lead(b, ndim))
    elif lead_a:
        lead = lead_a
        y = fold_a(_flat_lead(a, ndim), b)
    else:
        lead = lead_b
        y = fold_b(a, _flat_lead(b, ndim))
    return y.reshape(*lead, *y.shape[1:])


def _into_channels(x: Tensor, groups: int, axis: int) -> Tensor:
    """(L, ..., g c, ...) -> (..., g L c, ...): leading axis into the channels of each group."""
    n = x.shape[0]
    x = x.unflatten(axis + 1, (groups, -1)).movedim(0, axis + 1)
    return x.reshape(*x.shape[:axis], groups * n * x.shape[axis + 2], *x.shape[axis + 3:])


def _from_channels(x: Tensor, n: int, groups: int, axis: int) -> Tensor:
    """The inverse of `_into_channels`."""
    x = x.unflatten(axis, (groups, n, -1)).movedim(axis + 1, 0)
    return x.reshape(*x.shape[:axis + 1], groups * x.shape[axis + 2], *x.shape[axis + 3:])


def forward(x: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Tensor:
    ndim = len(stride) + 2

    def run(x: Tensor, w: Tensor, g: int) -> Tensor:
        return torch.convolution(settled(x), settled(w), None, stride, padding, dilation, False, (0,) * len(stride), g)

    def fold_x(x: Tensor, w: Tensor) -> Tensor:
        return _by_parts(run, x.flatten(0, 1), w, groups).unflatten(0, x.shape[:2])

    def fold_w(x: Tensor, w: Tensor) -> Tensor:
        return _from_channels(_by_parts(run, x, _into_channels(w, groups, 0), groups), w.shape[0], groups, 1)

    def fold_both(x: Tensor, w: Tensor) -> Tensor:
        n = x.shape[0]
        y = _by_parts(run, x.movedim(0, 1).flatten(1, 2), w.flatten(0, 1), n * groups)
        return y.unflatten(1, (n, -1)).movedim(1, 0)

    return _with_lead(run, x, weight, ndim, groups, fold_x, fold_w, fold_both)


def _by_points(kernel: Sizes, padding: Sizes, groups: int, a: Tensor, b: Tensor) -> bool:
    """Whether a filter meets one place at a time, so that a convolution is a matrix product."""
    return groups == 1 and max(kernel) == 1 and not any(padding) and a.dtype is b.dtype and not a.is_complex()


def _points(x: Tensor, stride: Sizes) -> Tensor:
    """The places that such filters meet, along one axis: (..., places)."""
    places: list[Any] = [slice(None, None, s) for s in stride]
    x = x[(..., *places)] if max(stride) > 1 else x
    return x.reshape(*x.shape[:-len(stride)], -1)


def patches_of(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    """The unfolded input as a view: (N, C, *S', *K)."""
    d = len(kernel)
    if any(padding):
        x = torch.constant_pad_nd(x, [p for n in reversed(padding) for p in (n, n)])
    for k in range(d):
        x = x.unfold(2 + k, dilation[k] * (kernel[k] - 1) + 1, stride[k])
        if dilation[k] > 1:
            x = x[..., ::dilation[k]]
    return x


def beyond(sizes: Sizes, inner: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """What torch calls output_padding: how far a transposed convolution of the given sizes reaches beyond its last
    window."""
    return tuple(n - ((m - 1) * s - 2 * p + e * (k - 1) + 1)
                 for n, m, k, s, p, e in zip(sizes, inner, kernel, stride, padding, dilation, strict=True))


def to_input(y_bar: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes,
              groups: int, sizes: Sizes) -> Tensor:
    ndim = len(stride) + 2
    kernel = weight.shape[-len(stride):]
    extra = beyond(sizes, y_bar.shape[-len(stride):], kernel, stride, padding, dilation)

    def run(g_: Tensor, w: Tensor, g: int) -> Tensor:
        return torch.convolution(settled(g_), settled(w), None, stride, padding, dilation, True, extra, g)

    def fold_y(y: Tensor, w: Tensor) -> Tensor:
        if _by_points(kernel, padding, groups, y, w):  # quick way; the plain one is below
            made = (w.reshape(w.shape[:2]).mT @ y.flatten(3)).unflatten(-1, y.shape[3:])
            if made.shape[3:] == sizes:
                return made
            x = made.new_zeros((*made.shape[:3], *sizes))
            places: list[Any] = [slice(None, s * m, s) for s, m in zip(stride, made.shape[3:], strict=True)]
            x[(..., *places)] = made
            return x
        return _by_parts(run, y.flatten(0, 1), w, groups).unflatten(0, y.shape[:2])

    def fold_w(y: Tensor, w: Tensor) -> Tensor:
        n = w.shape[0]
        wide = w.movedim(0, 1).flatten(1, 2)
        return _from_channels(_by_parts(run, y, wide, groups), n, groups, 1)

    def fold_both(y: Tensor, w: Tensor) -> Tensor:
        n = y.shape[0]
        return _by_parts(run, y.movedim(0, 1).flatten(1, 2), w.flatten(0, 1),
                         n * groups).unflatten(1, (n, -1)).movedim(1, 0)

    return _with_lead(run, y_bar, weight, ndim, groups, fold_y, fold_w, fold_both)


def _each_channel(x: Tensor, y: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
                  kernel: Sizes) -> Tensor | None:
    """Cotangents of filters of one channel each from y with a leading axis: one product for each channel. None where
    that is no quicker.

    torch's kernel lays filters out in blocks of 16 by 16 channels: on small images that is more work and more memory
    than the patches of all channels.
    """
    lead, n, filters, *image = y.shape
    places = math.prod(image)
    if (len(kernel) != 2 or groups == 1 or groups != x.shape[1] or n * places > FEW_PLACES or not x.is_cpu
        or not y.dtype is x.dtype in (torch.float32, torch.float64)):
        return None
    options = kernel, stride, padding, dilation
    if places <= FEW_PLACES // 4:
        rows = aten.im2col(x, kernel, dilation, padding, stride).unflatten(1, (groups, -1)).permute(1, 0, 3, 2)
    else:
        rows = patches_of(x.contiguous(), *options).permute(1, 4, 5, 0, 2, 3).flatten(3).flatten(1, 2).mT
    bars = y.unflatten(2, (groups, -1)).permute(2, 0, 3, 1, 4, 5).reshape(groups, -1, n * places)
    w_bar = torch.bmm(bars, rows.reshape(groups, n * places, -1)).reshape(groups, lead, -1, 1, *kernel)
    return w_bar.transpose(0, 1).reshape(lead, filters, 1, *kernel)


def to_weight(x: Tensor, y_bar: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
               kernel: Sizes) -> Tensor:
    d = len(stride)

    def run(x: Tensor, y: Tensor, g: int) -> Tensor:
        shape = (y.shape[1], x.shape[1] // g, *kernel)
        weight = x.new_empty(1).expand(shape)
        return aten.convolution_backward(settled(y), settled(x), weight, None, stride, padding,
                                         dilation, False, (0,) * d, g, (False, True, False))[1]

    def columns_of(x: Tensor, y: Tensor) -> Tensor | None:
        """What each entry of a filter meets, one row for each; None where that is no quicker."""
        places = math.prod(y.shape[3:])
        if _by_points(kernel, padding, groups, x, y):
            columns = _points(x, stride)[..., :places]
        elif (d == 2 and groups == 1 and y.dtype is x.dtype in (torch.float32, torch.float64) and x.is_cpu
              and places * x.shape[0] * x.shape[1] * math.prod(kernel) <= COLUMNS):
            columns = aten.im2col(x, kernel, dilation, padding, stride)
        else:
            return None
        return columns.transpose(0, 1).reshape(columns.shape[1], -1)

    def fold_x(x: Tensor, y: Tensor) -> Tensor:
        n = x.shape[0]
        w = _by_parts(run, _into_channels(x, groups, 1), y, groups)
        return w.unflatten(1, (n, -1)).movedim(1, 0)

    def fold_y(x: Tensor, y: Tensor) -> Tensor:
        if (w_bar := _each_channel(x, y, stride, padding, dilation, groups, kernel)) is not None:
            return w_bar  # quick way; the plain one is below
        if (columns := columns_of(x, y)) is not None:  # quick way; the plain one is below
            rows = y.transpose(1, 2).reshape(y.shape[0] * y.shape[2], -1)
            return (rows @ columns.mT).reshape(y.shape[0], y.shape[2], x.shape[1], *kernel)
        return _from_channels(_by_parts(run, x, _into_channels(y, groups, 1), groups), y.shape[0], groups, 0)

    def fold_both(x: Tensor, y: Tensor) -> Tensor:
        n = x.shape[0]
        shape = n, y.shape[2], x.shape[2] // groups, *kernel
        dtype = torch.promote_types(x.dtype, y.dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes <= 2 * PIECE or x.is_meta or y.is_meta:
            return _by_parts(run, x.movedim(0, 1).flatten(1, 2), y.movedim(0, 1).flatten(1, 2),
                             n * groups).unflatten(0, (n, -1))
        w_bar = y.new_empty(shape, dtype=dtype)
        step = max(1, PIECE * n // nbytes)
        for start in range(0, n, step):
            part = slice(start, start + step)
            w_bar[part] = fold_both(x[part], y[part])
        return w_bar

    return _with_lead(run, x, y_bar, d + 2, groups, fold_x, fold_y, fold_both)
