"""Convolution: three bilinear operations that are each other's transposes, and how they act on structured Jacobians.

x: (N, C, *S), weight: (O, C / groups, *K), y: (N, O, *S'). Kernels take leading axes on any operand: those of x go into the
batch, of the weight into the filters, of a cotangent for the weight into its channels, of two operands into groups.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.blocks.term import Axis, Index, Term, plain
from ..core.errors import LabelError, ShapeError, line_of, user_site
from ..core.labels import described, positions, tidy
from ..core.multilinear import multilinear
from ..core.operation import public
from ..kernels import Tensor
from .arithmetic import conj
from .contraction import _unlabelled, layout_of, promoted_arrays
from .movement import array, pad_axis, permute_dims, reshape

aten = torch.ops.aten
Sizes = tuple[int, ...]


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


def _with_lead(run: Any, a: Tensor, b: Tensor, ndim: int, groups: int, fold_a: Any, fold_b: Any, fold_both: Any) -> Tensor:
    """Run a bilinear kernel with leading axes on a, on b, or on both."""
    lead_a, lead_b = _lead_of(a, ndim), _lead_of(b, ndim)
    if not lead_a and not lead_b:
        return _by_parts(run, a, b, groups)
    if 0 in lead_a + lead_b:
        y = _by_parts(run, a.new_zeros(a.shape[len(lead_a):]), b.new_zeros(b.shape[len(lead_b):]), groups)
        return y.new_zeros((*torch.broadcast_shapes(lead_a or (1,) * len(lead_b), lead_b or (1,) * len(lead_a)), *y.shape))
    if lead_a and lead_b:
        lead = torch.broadcast_shapes(lead_a, lead_b)
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


def _forward(x: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Tensor:
    ndim = len(stride) + 2

    def run(x: Tensor, w: Tensor, g: int) -> Tensor:
        return torch.convolution(x, w, None, stride, padding, dilation, False, (0,) * len(stride), g)

    def fold_x(x: Tensor, w: Tensor) -> Tensor:
        return _by_parts(run, x.flatten(0, 1), w, groups).unflatten(0, x.shape[:2])

    def fold_w(x: Tensor, w: Tensor) -> Tensor:
        return _from_channels(_by_parts(run, x, _into_channels(w, groups, 0), groups), w.shape[0], groups, 1)

    def fold_both(x: Tensor, w: Tensor) -> Tensor:
        n = x.shape[0]
        y = _by_parts(run, x.movedim(0, 1).flatten(1, 2), w.flatten(0, 1), n * groups)
        return y.unflatten(1, (n, -1)).movedim(1, 0)

    return _with_lead(run, x, weight, ndim, groups, fold_x, fold_w, fold_both)


def _to_input(y_bar: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, sizes: Sizes) -> Tensor:
    ndim = len(stride) + 2
    kernel = weight.shape[-len(stride):]
    extra = tuple(n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
                  for n, m, s, p, d, k in zip(sizes, y_bar.shape[-len(stride):], stride, padding, dilation, kernel, strict=True))

    def run(g_: Tensor, w: Tensor, g: int) -> Tensor:
        return torch.convolution(g_, w, None, stride, padding, dilation, True, extra, g)

    def fold_y(y: Tensor, w: Tensor) -> Tensor:
        return _by_parts(run, y.flatten(0, 1), w, groups).unflatten(0, y.shape[:2])

    def fold_w(y: Tensor, w: Tensor) -> Tensor:
        n = w.shape[0]
        wide = w.movedim(0, 1).flatten(1, 2)
        return _from_channels(_by_parts(run, y, wide, groups), n, groups, 1)

    def fold_both(y: Tensor, w: Tensor) -> Tensor:
        n = y.shape[0]
        return _by_parts(run, y.movedim(0, 1).flatten(1, 2), w.flatten(0, 1), n * groups).unflatten(1, (n, -1)).movedim(1, 0)

    return _with_lead(run, y_bar, weight, ndim, groups, fold_y, fold_w, fold_both)


def _to_weight(x: Tensor, y_bar: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, kernel: Sizes) -> Tensor:
    d = len(stride)

    def run(x: Tensor, y: Tensor, g: int) -> Tensor:
        shape = (y.shape[1], x.shape[1] // g, *kernel)
        weight = x.new_empty(1).expand(shape)
        return aten.convolution_backward(y, x, weight, None, stride, padding, dilation, False, (0,) * d, g, (False, True, False))[1]

    def fold_x(x: Tensor, y: Tensor) -> Tensor:
        n = x.shape[0]
        w = _by_parts(run, _into_channels(x, groups, 1), y, groups)
        return w.unflatten(1, (n, -1)).movedim(1, 0)

    def fold_y(x: Tensor, y: Tensor) -> Tensor:
        return _from_channels(_by_parts(run, x, _into_channels(y, groups, 1), groups), y.shape[0], groups, 0)

    def fold_both(x: Tensor, y: Tensor) -> Tensor:
        n = x.shape[0]
        return _by_parts(run, x.movedim(0, 1).flatten(1, 2), y.movedim(0, 1).flatten(1, 2), n * groups).unflatten(0, (n, -1))

    return _with_lead(run, x, y_bar, d + 2, groups, fold_x, fold_y, fold_both)


# ----- the three operations -----


def _same(params: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {k: params[k] for k in ("stride", "padding", "dilation", "groups")} | more


def _conj(x: Any) -> Any:
    return conj(x) if x.dtype.is_complex else x


def _channels_last(x: Tensor) -> Tensor:
    """The same array laid out with its channels together: torch's float32 convolutions on a CPU then take two thirds of the time.

    With one channel both layouts are the same memory, and the strides have to say which is meant.
    """
    n, c, h, w = x.shape
    if c == 1 and x.is_contiguous():
        return x.as_strided((n, c, h, w), (h * w, 1, w, 1))
    return x.contiguous(memory_format=torch.channels_last)


def _kernel(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Tensor:
    d = len(stride)
    if d == 2 and x.ndim == 4 and weight.ndim == 4 and x.dtype is torch.float32 and x.device.type == "cpu":
        x, weight = _channels_last(x), _channels_last(weight)
    if bias is not None and x.ndim == d + 2 and weight.ndim == d + 2 and bias.ndim == 1 and not x.is_complex():
        return torch.convolution(x, weight, bias, stride, padding, dilation, False, (0,) * d, groups)
    y = _forward(x, weight, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape(*bias.shape, *(1,) * d)


def _fused(y_bar: Tensor, x: Any, weight: Any, x_shape: Any, weight_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int,
           wanted: Any) -> Any:
    if y_bar.is_complex():
        options: Any = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
        return (_input_bar(y_bar, weight, x_shape, **options) if wanted[0] else None, _weight_bar(y_bar, x, weight_shape, **options) if wanted[1] else None,
                _bias_bar(y_bar, stride) if wanted[2] else None)
    x = x if x is not None else y_bar.new_empty(1).expand(x_shape)
    weight = weight if weight is not None else y_bar.new_empty(1).expand(weight_shape)
    return aten.convolution_backward(y_bar, x, weight, [y_bar.shape[1]], stride, padding, dilation, False, (0,) * len(stride), groups, tuple(wanted))


def _input_bar(y_bar: Any, weight: Any, x_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    return _convolution_input.apply((y_bar, _conj(weight)), dict(stride=stride, padding=padding, dilation=dilation, groups=groups,
                                                                 sizes=tuple(x_shape[2:])))


def _weight_bar(y_bar: Any, x: Any, weight_shape: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    return _convolution_weight.apply((_conj(x), y_bar), dict(stride=stride, padding=padding, dilation=dilation, groups=groups,
                                                             kernel=tuple(weight_shape[2:])))


def _channel_axes(bias: Any, node: Any, lead: Any, stride: Sizes, **_: Any) -> Any:
    return reshape(bias, (*lead, *(1,) * bool(lead), *bias.shape[len(lead):], *(1,) * len(stride)))


def _bias_bar(y_bar: Any, stride: Sizes) -> Any:
    from .reduction import sum

    d = len(stride)
    return sum(y_bar, axis=(-d - 2, *range(-d, 0)))


_OPTIONS = {"stride": (1,), "padding": (1,), "dilation": (1,), "groups": 1}
_STRIDED = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}

_convolution = multilinear(
    "dlconv", _kernel, ("x", "weight", "bias"), terms=[("x", "weight"), ("bias",)],
    transposes={"x": _input_bar, "weight": _weight_bar, "bias": _bias_bar}, monomials={("bias",): _channel_axes}, fused_pull=_fused,
    act=lambda operation, inputs, params: _act(inputs, params), matlab="dlconv",
    samples=[((2, 3, 5), (4, 3, 3), (4,), _OPTIONS), ((2, 4, 5, 6), (6, 2, 2, 3), (6,), _STRIDED), ((1, 2, 4), (3, 2, 2), None, _OPTIONS)])

_convolution_input = multilinear(
    "convolution_input", _to_input, ("bar", "weight"), act=action.untying,
    transposes={"bar": lambda y_bar, weight, stride, padding, dilation, groups: _convolution.apply(
                    (y_bar, _conj(weight), None), dict(stride=stride, padding=padding, dilation=dilation, groups=groups)),
                "weight": lambda y_bar, bar, weight_shape, stride, padding, dilation, groups: _convolution_weight.apply(
                    (y_bar, _conj(bar)), dict(stride=stride, padding=padding, dilation=dilation, groups=groups, kernel=tuple(weight_shape[2:])))},
    samples=[((2, 6, 3, 2), (6, 2, 2, 3), {**_STRIDED, "sizes": (5, 6)})])

_convolution_weight = multilinear(
    "convolution_weight", _to_weight, ("x", "bar"), act=action.untying,
    transposes={"x": lambda y_bar, bar, x_shape, stride, padding, dilation, groups: _convolution_input.apply(
                    (_conj(bar), y_bar), dict(stride=stride, padding=padding, dilation=dilation, groups=groups, sizes=tuple(x_shape[2:]))),
                "bar": lambda y_bar, x, stride, padding, dilation, groups: _convolution.apply(
                    (_conj(x), y_bar, None), dict(stride=stride, padding=padding, dilation=dilation, groups=groups))},
    samples=[((2, 4, 5, 6), (2, 6, 3, 2), {**_STRIDED, "kernel": (2, 3)})])


# ----- on structured Jacobians -----


def _act(inputs: Any, params: dict[str, Any]) -> Block:
    x, weight, _ = inputs
    return _with_weight_block(x, weight, params) if type(weight) is Block else _with_input_block(x, weight, params)


def _patches(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    """The unfolded input as a view: (N, C, *S', *K)."""
    d = len(kernel)
    if any(padding):
        x = torch.constant_pad_nd(x, [p for n in reversed(padding) for p in (n, n)])
    for k in range(d):
        x = x.unfold(2 + k, dilation[k] * (kernel[k] - 1) + 1, stride[k])
        if dilation[k] > 1:
            x = x[..., ::dilation[k]]
    return x


def _with_weight_block(x: Tensor, block: Block, params: dict[str, Any]) -> Block:
    """A convolution with respect to its weight: a contraction of the unfolded input, filters tied."""
    d, g = len(params["stride"]), params["groups"]
    o, c = block.shape[0], block.shape[1]
    kernel = block.shape[2:]
    patches = _patches(x, kernel, params["stride"], params["padding"], params["dilation"])
    out = patches.shape[2:2 + d]
    s, k = [f"s{j}" for j in range(d)], [f"k{j}" for j in range(d)]
    if g == 1:
        letters = [["n", "c", *s, *k], ["o", "c", *k]]
        sizes = dict(zip([*letters[0], "o"], [*patches.shape, o], strict=True))
        return action.contract(block, 1, (patches, block), letters, ["n", "o", *s], sizes)
    patches = patches.reshape(x.shape[0], g, c, *out, *kernel)
    block = action.reshaped(block, (g, o // g, c, *kernel))
    letters = [["n", "g", "c", *s, *k], ["g", "o", "c", *k]]
    sizes = dict(zip([*letters[0], "o"], [*patches.shape, o // g], strict=True))
    block = action.contract(block, 1, (patches, block), letters, ["n", "g", "o", *s], sizes)
    return action.reshaped(block, (x.shape[0], o, *out))


def _with_input_block(block: Block, weight: Tensor, params: dict[str, Any]) -> Block:
    """A convolution of a Block: windows where its spatial axes are tied, else a convolution with the in axes in the batch."""
    if not block.terms:
        shape = (block.shape[0], weight.shape[0], *_output_sizes(block.shape[2:], weight.shape[2:], params))
        return block.made([], shape, torch.promote_types(block.dtype, weight.dtype))
    parts = [_windowed(block, t, weight, params) if _spatially_tied(t) and _windows_pay(block, t, weight, params)
             else _convolved(block, t, weight, params) for t in block.terms]
    result = parts[0]
    for part in parts[1:]:
        result = result.plus(part)
    return result


def _spatially_tied(term: Term) -> bool:
    tied = term.in_indices()
    return any(a.size > 1 for a in term.out[2:]) and all(
        len(a.indices) == 1 and a.indices[0] in tied and (a.positions is None or _position_of(a) is not None) for a in term.out[2:] if a.size > 1)


def _position_of(axis: Axis) -> Tensor | None:
    """The value of the index at each place of a padded axis, -1 where there is none; None where two fall on one place."""
    assert axis.positions is not None
    places = axis.positions[axis.positions >= 0]
    if len(places) != len(torch.unique(places)):
        return None
    values = torch.full((axis.size,), -1)
    values[places] = torch.nonzero(axis.positions >= 0).reshape(-1)
    return values


def _windows_pay(block: Block, term: Term, weight: Tensor, params: dict[str, Any]) -> bool:
    """Whether windows hold fewer entries than a Jacobian that is dense in space."""
    kernel = weight.shape[2:]
    window = math.prod(k for k, a in zip(kernel, term.out[2:], strict=True) if a.size > 1)
    inner = math.prod(i.size for i in term.in_indices()) // math.prod(a.size for a in term.out[2:])
    return window * inner <= math.prod(block.in_shape) and params["groups"] == 1


def _output_sizes(sizes: Sequence[int], kernel: Sequence[int], params: dict[str, Any]) -> list[int]:
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(sizes, kernel, params["stride"], params["padding"], params["dilation"], strict=True)]


def _windowed(block: Block, term: Term, weight: Tensor, params: dict[str, Any]) -> Block:
    """in = stride * out + dilation * k - pad: each spatial index becomes a window's position."""
    kernel = weight.shape[2:]
    sizes = _output_sizes(block.shape[2:], kernel, params)
    out: list[Axis] = [term.out[0]]
    window: list[Index | None] = []
    channel = term.out[1]
    spatial: list[Axis] = []
    for d, (n, m, k) in enumerate(zip(block.shape[2:], sizes, kernel, strict=True)):
        o, w = Index(m), Index(k)
        where = (torch.arange(m) * params["stride"][d]).unsqueeze(1) + torch.arange(k) * params["dilation"][d] - params["padding"][d]
        where = torch.where((where < 0) | (where >= n), -1, where)
        if n > 1:
            values = None if term.out[2 + d].positions is None else _position_of(term.out[2 + d])
            if values is not None:
                where = torch.where(where < 0, -1, values[where.clamp(min=0)])
            term = term.substituted(term.out[2 + d].indices[0], where, (o, w))
        else:
            mask = (where >= 0).to(block.dtype).to(block.device)
            term = term.times(mask, (o, w))
        window.append(w)
        spatial.append(Axis((o,), m) if m > 1 else Axis((o,), 1, torch.zeros(1, dtype=torch.int64)))
    filters = plain(weight.shape[0])
    from ..core.blocks.term import restricted

    names = [Axis((w,), k) if w is not None else None for w, k in zip(window, kernel, strict=True)]
    factor, ids = restricted(weight, [filters if weight.shape[0] > 1 else None, channel if block.shape[1] > 1 else None, *names])
    out += [filters, *spatial]
    term = term.replaced(out=tuple(out)).times(factor, ids).eliminated()
    return block.made([term], (block.shape[0], weight.shape[0], *sizes), torch.promote_types(block.dtype, weight.dtype))


def _convolved(block: Block, term: Term, weight: Tensor, params: dict[str, Any]) -> Block:
    """Spatial axes whole; a tied channel makes it a convolution of each channel alone (a grouped one)."""
    notes: list[str] = []
    for k in range(2, block.ndim):
        before = term
        term = term.untied(k, block.like)
        if term is not before:
            notes.append("dlconv needs its spatial axes whole")
    channel = term.out[1]
    tied = channel.positions is None and len(channel.indices) == 1 and channel.indices[0] in term.in_indices() and params["groups"] == 1
    if not tied:
        before = term
        term = term.untied(1, block.like)
        if term is not before:
            notes.append("dlconv mixes channels")
    term = term.compressed(block.like)
    spatial = [i for a in term.out[2:] for i in a.indices]
    own = [*term.out[1].indices, *spatial]
    rest = [i for i in term.carried() if i not in own]
    values = term.values([*rest, *own], block.like)
    varying = [i for i, n in zip(rest, values.shape, strict=False) if n == i.size]
    channels = block.shape[1]
    images = values.reshape([i.size for i in varying] + list(values.shape[len(rest):])).expand([i.size for i in (*varying, *own)])
    images = images.reshape(math.prod(i.size for i in varying), channels, *block.shape[2:])
    if images.ndim == 4 and not images.is_complex():  # torch has no complex kernel for channels_last
        images = images.contiguous(memory_format=torch.channels_last)
    stride, padding, dilation = params["stride"], params["padding"], params["dilation"]
    filters = plain(weight.shape[0])
    sizes = _output_sizes(block.shape[2:], weight.shape[2:], params)
    axes = [plain(n) for n in sizes]
    if tied and channels > 1:
        grouped = weight.transpose(0, 1).reshape(channels * weight.shape[0], 1, *weight.shape[2:])
        y = _forward(images, grouped, stride, padding, dilation, channels)
        ids = (*varying, *term.out[1].indices, *filters.indices, *(i for a in axes for i in a.indices))
    else:
        y = _forward(images, weight, stride, padding, dilation, params["groups"])
        ids = (*varying, *filters.indices, *(i for a in axes for i in a.indices))
    factor = _unfolded(y, [i.size for i in varying], [i.size for i in ids[len(varying):]])
    made = Term([(factor, ids)], (term.out[0], filters, *axes), term.inn, conjugate=term.conjugate)
    return block.made([made], (block.shape[0], weight.shape[0], *sizes), y.dtype, tuple(dict.fromkeys(notes)))


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


# ----- dlconv -----


def per_axis(value: Any, d: int, word: str) -> Sizes:
    """An option for each spatial axis, from a number or a sequence."""
    values = (value,) * d if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != d:
        raise ShapeError(f"{word} has {len(values)} entries for {d} spatial axes, at {line_of(user_site())}")
    return values


def padding_of(padding: Any, sizes: Sequence[int], kernel: Sequence[int], stride: Sizes, dilation: Sizes, word: str) -> list[tuple[int, int]]:
    """(before, after) for each spatial axis; of an odd total in "same" the larger part goes to the end."""
    d = len(sizes)
    if padding == "same":
        pairs = []
        for n, k, s, e in zip(sizes, kernel, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * e + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return pairs
    if padding == "causal":
        return [((k - 1) * e, 0) for k, e in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str):
        raise ShapeError(f"{word}: padding is a number, one per spatial axis, pairs, \"same\" or \"causal\", not {padding!r}")
    if not isinstance(padding, int) and len(padding) and not isinstance(padding[0], int):
        pairs = [(int(a), int(b)) for a, b in padding]
        if len(pairs) != d:
            raise ShapeError(f"{word}: padding has {len(pairs)} pairs for {d} spatial axes")
        return pairs
    return [(p, p) for p in per_axis(padding, d, "padding")]


def arranged(x: Any, labels: str, word: str) -> tuple[Any, list[int], str, tuple[int, ...]]:
    """x with axes (B, C, *S), whichever it has: the array, the order used, the labels in that order, and the spatial sizes."""
    if "C" not in labels:
        raise LabelError(f"{word} needs an axis C, x is {described(x.shape, labels)}, at {line_of(user_site())}")
    spatial = positions(labels, "S") or positions(labels, "T")
    if not spatial:
        raise LabelError(f"{word} needs an axis S (or T), x is {described(x.shape, labels)}, at {line_of(user_site())}")
    channel = positions(labels, "C")
    rest = tuple(k for k in range(x.ndim) if k not in spatial + channel)
    order = [*rest, *channel, *spatial]
    if len(rest) == 1 and order == sorted(order):  # (B, C, *S) already
        return _unlabelled(x), order, labels, (x.shape[0],)
    sizes = tuple(x.shape[k] for k in order)
    x = permute_dims(_unlabelled(x), order)
    if len(rest) != 1:
        x = reshape(x, (math.prod(sizes[:len(rest)]), *sizes[len(rest):]))
    return x, order, "".join(labels[k] for k in order), sizes[:len(rest)]


def put_back(y: Any, order: list[int], labels: str, rest: tuple[int, ...], labelled: bool) -> Any:
    """The inverse of `arranged` for a result with the same axes."""
    if len(rest) != 1:
        y = reshape(y, (*rest, *y.shape[1:]))
    inverse = [0] * len(order)
    for k, o in enumerate(order):
        inverse[o] = k
    if order != sorted(order):
        y = permute_dims(y, inverse)
    if type(y) is dlarray:
        y = dlarray._made(y._value, y._node, tidy("".join(labels[k] for k in inverse)) if labelled else None)
    return y


@public(_convolution)
def dlconv(x: Any, weights: Any, bias: Any = None, /, *, stride: Any = 1, dilation_factor: Any = 1, padding: Any = 0, data_format: str | None = None) -> Any:
    """The convolution (cross-correlation) of x with filters, over its S axes, or over T where it has none.

    Formula: y[n, o, s] = bias[o] + sum over c, k of weights[o, c, k] x[n, c, stride s + dilation k - padding].
    x: any layout with C and up to three S; weights: (filters, channels per group, *spatial), the groups follow from x's
    channels; bias: (filters,) or None; y: x's layout. Options are one number or one per spatial axis; padding may also be
    (before, after) pairs, "same" or "causal".

    Raises LabelError without labels or data_format, ShapeError where sizes do not fit.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[[1.0, 2.0, 3.0]]], "BCS")
    >>> gl.dlconv(x, [[[1.0, 1.0]]])
    1(B) x 1(C) x 2(S) dlarray float64
    [[[3. 5.]]]

    Source: MATLAB dlconv.
    """
    x, weights = array(x), array(weights)
    bias = None if bias is None else array(bias)
    labelled = getattr(x, "_labels", None) is not None
    labels = layout_of(x, data_format, "dlconv")
    shape = x.shape
    x, order, ordered, rest = arranged(x, labels, "dlconv")
    d = x.ndim - 2
    if weights.ndim != d + 2:
        raise ShapeError(f"dlconv of x {described(shape, labels)} needs weights of {d + 2} axes (filters, channels, *spatial), not "
                         f"{described(weights.shape, None)}, at {line_of(user_site())}")
    filters, channels = weights.shape[:2]
    if channels == 0 or x.shape[1] % channels or filters % (x.shape[1] // channels):
        raise ShapeError(f"dlconv of x {described(shape, labels)} with weights {described(weights.shape, None)}: {x.shape[1]} channels do not divide into "
                         f"groups of {channels}, at {line_of(user_site())}; weights are (filters, channels per group, *spatial)")
    if bias is not None and math.prod(bias.shape) != filters:
        raise ShapeError(f"dlconv needs a bias of {filters} elements, not {described(bias.shape, None)}, at {line_of(user_site())}")
    x, weights, bias = promoted_arrays(x, _unlabelled(weights), _unlabelled(bias))
    if bias is not None and bias.ndim != 1:
        bias = reshape(bias, (filters,))
    strides, dilation = per_axis(stride, d, "stride"), per_axis(dilation_factor, d, "dilation_factor")
    pairs = padding_of(padding, x.shape[2:], weights.shape[2:], strides, dilation, "dlconv")
    for k, (before, after) in enumerate(pairs):
        if before != after:
            x = pad_axis(x, k - d, before, after)
            pairs[k] = (0, 0)
    for n, k, (p, _), e in zip(x.shape[2:], weights.shape[2:], pairs, dilation, strict=True):
        if n + 2 * p < e * (k - 1) + 1:
            raise ShapeError(f"dlconv: filters of {e * (k - 1) + 1} are larger than the padded input of {n + 2 * p}, x is {described(shape, labels)}, "
                             f"at {line_of(user_site())}")
    params = {"stride": strides, "padding": tuple(p for p, _ in pairs), "dilation": dilation, "groups": x.shape[1] // channels}
    y = _convolution.apply((x, weights, bias), params)
    return put_back(y, order, ordered, rest, labelled)


__all__ = ["arranged", "dlconv", "padding_of", "per_axis", "put_back"]
