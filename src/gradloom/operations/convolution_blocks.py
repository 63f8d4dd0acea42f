"""How convolution acts on structured Jacobians: windows where spatial axes are tied, a convolution of the in axes where not."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.blocks.term import Axis, Index, Term, plain, restricted
from ..kernels import Tensor
from .convolution_kernels import _forward
from .spatial import Sizes


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
