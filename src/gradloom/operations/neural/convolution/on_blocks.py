"""How convolution acts on structured Jacobians: windows where spatial axes are tied, a convolution of the in axes where
not.

Groups are an axis of their own: channels (g, c), filters (g, o).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ....blocks import action
from ....blocks.axis import Axis, Index, plain
from ....blocks.block import Block
from ....blocks.factors import contracted, spread_over, without_repeats
from ....blocks.term import Term
from ....machine.dtypes import Tensor
from ..spatial import Sizes
from .kernels import forward, patches_of, to_input
from .whole_axes import convolved_whole, parted

FEW_CHANNELS = 8  # of a group, below which a convolution with a group for each observation is slow


def _has_leading_axes(inputs: Any, params: dict[str, Any]) -> bool:
    """Whether a recorded walk gave one of the operands leading axes, of which the structured actions know nothing."""
    return any(x is not None and x.ndim != len(params["stride"]) + 2 for x in inputs)


def act_convolution(operation: Any, inputs: Any, params: dict[str, Any]) -> Block:
    """dlconv of a Block in the place of x or of the weight."""
    x, weight, _ = inputs
    if _has_leading_axes((x, weight), params):
        return action.untying(operation, action.in_one_rank(inputs), params)
    return _with_weight_block(x, weight, params) if type(weight) is Block else _with_input_block(x, weight, params)


def act_transposed(operation: Any, inputs: Any, params: dict[str, Any]) -> Block:
    """dltranspconv of a Block in the place of x or of the weight."""
    x, weight, _ = inputs
    if _has_leading_axes((x, weight), params):
        return action.untying(operation, action.in_one_rank(inputs), params)
    return (_transposed_weight_block(x, weight, params) if type(weight) is Block
            else _transposed_input_block(x, weight, params))


def act_weight(operation: Any, inputs: Any, params: dict[str, Any]) -> Block:
    """The cotangent of a weight of a Block in the place of x or of the cotangent: a contraction over observations and
    places."""
    x, bar = inputs
    kernel, g = params["kernel"], params["groups"]
    if _has_leading_axes(inputs, params):
        return action.untying(operation, action.in_one_rank(inputs), params)
    if type(bar) is Block and (apart := _each_alone(bar, x, kernel, params)) is not None:
        return apart  # quick way: no patches are written; the plain one is below
    if type(bar) is Block:
        block = _grouped(imaged(bar), g)
        patches = patches_of(x, kernel, params["stride"], params["padding"], params["dilation"])
        other: Any = patches.reshape(x.shape[0], g, x.shape[1] // g, *patches.shape[2:])
    elif x.terms and all(_spatially_tied(t) for t in x.terms):
        block, other = _patched(_grouped(x, g), kernel,
                                params), bar.reshape(bar.shape[0], g, bar.shape[1] // g, *bar.shape[2:])
    else:
        return action.untying(operation, inputs, params)
    d = len(kernel)
    s, k = _letters("s", d), _letters("k", d)
    windows, plain_ = ["n", "g", "c", *s, *k], ["n", "g", "o", *s]
    letters = [plain_, windows] if type(bar) is Block else [windows, plain_]
    w = _contracted(block, other, letters, ["g", "o", "c", *k])
    return action.reshaped(w, (w.shape[0] * w.shape[1], *w.shape[2:]))


def _each_alone(bar: Block, x: Tensor, kernel: Sizes, params: dict[str, Any]) -> Block | None:
    """The weight's cotangent of each observation, where a cotangent is one image for each: one convolution with the
    observations as groups, or one product with the patches of each. None where it is something else, or where patches
    are smaller to keep."""
    g, count = params["groups"], x.shape[0]
    if len(bar.terms) != 1 or x.is_complex() or bar.dtype is not x.dtype or count == 1:
        return None
    (term,) = bar.terms
    order = tuple(i for axis in term.out for i in axis.indices)
    if len(term.factors) != 1 or term.factors[0][1] != order or any(a.positions is not None for a in term.out):
        return None
    first, tied = term.out[0].indices, term.in_indices()
    if not tied.issuperset(first) or not tied.isdisjoint(order[len(first):]):
        return None
    channels, filters, places = x.shape[1], bar.shape[1], math.prod(bar.shape[2:])
    window = math.prod(kernel)
    made, kept = filters * channels // g * window, places * (filters + channels * window)
    if window == 1 or made > kept:
        return None
    options = [params[name] for name in ("stride", "padding", "dilation")]
    if channels // g >= FEW_CHANNELS:
        images = term.factors[0][0].reshape((1, count * filters, *bar.shape[2:]))
        weight = x.new_empty(1).expand(count * filters, channels // g, *kernel)
        w = torch.ops.aten.convolution_backward(
            images, x.reshape((1, count * channels, *x.shape[2:])), weight, None, *options, False, [0] * len(kernel),
            count * g, (False, True, False))[1]
    elif g == 1:
        d = len(kernel)
        axes = (0, 1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d))  # places last, as they lie in x
        # of an image whose channels lie together patches are copied number by number
        patches = patches_of(x.contiguous(), kernel, *options).permute(axes).reshape(count, channels * window, places)
        w = torch.bmm(patches, term.factors[0][0].reshape(count, filters, places).mT).mT
    else:
        return None
    out = [plain(n) for n in (channels // g, *kernel)]
    out.insert(0, plain(filters))
    ids = (*first, *[i for axis in out for i in axis.indices])
    shape = (filters, channels // g, *kernel)
    return bar.made([term.replaced([(w.reshape([i.size for i in ids]), ids)], out)], shape)


def imaged(block: Block) -> Block:
    """The same with one factor for what lies over places, made once for the convolutions that read a cotangent: its
    transpose and its weight's. For one of them alone it need not be made whole.

    Entries at places chosen by value (winners of a pooling) become an image: windows there would be read once for each
    of them.
    """
    if block.images is None:
        block.images = block.mapped(lambda term: [_image(term, block.like)], block.shape)
    return block.images


def _image(term: Term, like: Tensor) -> Term:
    chosen = [k for k in range(2, len(term.out)) if term.out[k].positions is not None and len(term.out[k].indices) > 1]
    if chosen and not {i for k in chosen for i in term.out[k].indices if i.size > 1} <= term.in_indices():
        term = term.untied(chosen, like)
    tied = term.in_indices()
    own = [i for a in (*term.out[2:], term.out[1]) for i in a.indices]  # channels last is how it is computed best
    if any(a.positions is not None for a in term.out[1:]) or tied & set(own):
        return term
    rest, factors, aside = parted(term, own)
    if len(factors) < 2:
        return term
    held = {i for _, ids in factors for i in ids}
    order = tuple(i for i in (*rest, *own) if i in held)
    return term.replaced(factors=(*aside, (contracted(factors, order), order)))


def _letters(name: str, d: int) -> list[str]:
    return [f"{name}{j}" for j in range(d)]


def _grouped(block: Block, groups: int, axis: int = 1) -> Block:
    """An axis of channels as (groups, channels of each)."""
    return action.reshaped(block, (*block.shape[:axis], groups, block.shape[axis] // groups, *block.shape[axis + 1:]))


def _contracted(block: Block, other: Tensor, letters: list[list[str]], out: list[str]) -> Block:
    sizes = dict(zip(letters[0], block.shape, strict=True)) | dict(zip(letters[1], other.shape, strict=True))
    return action.contract(block, 0, (block, other), letters, out, sizes)


def _with_weight_block(x: Tensor, block: Block, params: dict[str, Any]) -> Block:
    """A convolution with respect to its weight: a contraction of the unfolded input, filters tied."""
    d, g = len(params["stride"]), params["groups"]
    o, c = block.shape[0], block.shape[1]
    patches = patches_of(x, block.shape[2:], params["stride"], params["padding"], params["dilation"])
    out = patches.shape[2:2 + d]
    s, k = _letters("s", d), _letters("k", d)
    if g == 1:
        return _contracted(block, patches, [["o", "c", *k], ["n", "c", *s, *k]], ["n", "o", *s])
    patches = patches.reshape(x.shape[0], g, c, *patches.shape[2:])
    y = _contracted(_grouped(block, g, 0), patches, [["g", "o", "c", *k], ["n", "g", "c", *s, *k]], ["n", "g", "o", *s])
    return action.reshaped(y, (x.shape[0], o, *out))


def _with_input_block(block: Block, weight: Tensor, params: dict[str, Any]) -> Block:
    """A convolution of a Block: windows where its spatial axes are tied, else a convolution with the in axes in the
    batch."""
    sizes = _output_sizes(block.shape[2:], weight.shape[2:], params)
    return _by_terms(block, weight, (block.shape[0], weight.shape[0], *sizes), lambda part, term: (
        _windowed(part, weight, params) if _spatially_tied(term) and _windows_pay(block, term, weight)
        else convolved_whole(part, term, weight, params, weight.shape[0], sizes, forward)))


def _transposed_input_block(block: Block, weight: Tensor, params: dict[str, Any]) -> Block:
    """A transposed convolution of a Block: out axes at positions where its spatial axes are tied, else one with the in
    axes in the batch."""
    sizes = params["sizes"]
    filters = weight.shape[1] * params["groups"]

    def run(x: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Tensor:
        return to_input(x, weight, stride, padding, dilation, groups, sizes)

    return _by_terms(block, weight, (block.shape[0], filters, *sizes), lambda part, term: (
        _spread(part, weight, params) if _in_space(term) and _spreading_pays(block, term, weight, sizes)
        else convolved_whole(part, term, weight, params, filters, sizes, run)))


def _by_terms(block: Block, weight: Tensor, shape: Sequence[int], act: Callable[[Block, Term], Block]) -> Block:
    result = block.made([], shape, torch.promote_types(block.dtype, weight.dtype))
    for term in block.terms:
        part = act(block.made([term], block.shape), term)
        result = result.plus(part) if result.terms else part
    return result


# ----- windows: in = stride * out + dilation * k - padding ------------------------------------------------------------


def _spatially_tied(term: Term) -> bool:
    """Whether each spatial axis has an index of its own that in axes carry, at most one place to a value."""
    tied = term.in_indices()
    wide = [a for a in term.out[2:] if a.size > 1]
    others = [i for a in term.out if a.size > 1 or a.positions is not None for i in a.indices]
    return bool(wide) and all(len(a.indices) == 1 and a.indices[0] in tied and others.count(a.indices[0]) == 1 and (
        a.positions is None or _position_of(a) is not None) for a in wide)


def _position_of(axis: Axis) -> Tensor | None:
    """The value of the index at each place of a padded axis, -1 where there is none; None where two fall on one
    place."""
    assert axis.positions is not None
    places = axis.positions[axis.positions >= 0]
    if len(places) != len(torch.unique(places)):
        return None
    values = torch.full((axis.size,), -1, device="cpu")
    values[places] = torch.nonzero(axis.positions >= 0).reshape(-1)
    return values


def _in_space(term: Term) -> bool:
    """Whether spatial axes share indices with in axes, so that windows are fewer than all places."""
    tied = term.in_indices()
    return all(tied & set(a.indices) for a in term.out[2:] if a.size > 1)


def _windows_pay(block: Block, term: Term, weight: Tensor) -> bool:
    """Whether windows hold fewer entries than a Jacobian that is dense in space."""
    kernel = weight.shape[2:]
    window = math.prod(k for k, a in zip(kernel, term.out[2:], strict=True) if a.size > 1)
    inner = math.prod(i.size for i in term.in_indices()) // math.prod(a.size for a in term.out[2:])
    return window * inner <= math.prod(block.in_shape)


def _spreading_pays(block: Block, term: Term, weight: Tensor, sizes: Sizes) -> bool:
    """The same of a transposed convolution: its entries are all pairs of an input and a filter's position."""
    spatial = {i for a in term.out[2:] for i in a.indices} | term.in_indices()
    return math.prod(weight.shape[2:]) * math.prod(i.size
                                                   for i in spatial) <= math.prod(sizes) * math.prod(block.in_shape)


def _output_sizes(sizes: Sequence[int], kernel: Sequence[int], params: dict[str, Any]) -> list[int]:
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(sizes, kernel, params["stride"], params["padding"], params["dilation"],
                                     strict=True)]


def _places(n: int, m: int, k: int, stride: int, padding: int, dilation: int) -> Tensor:
    """(m, k): where in n places window o has its position k, -1 where outside."""
    where = (torch.arange(m, device="cpu") * stride).unsqueeze(1) + torch.arange(k, device="cpu") * dilation - padding
    return torch.where((where < 0) | (where >= n), -1, where)


def _places_of(sizes: Sequence[int], out: Sequence[int], kernel: Sequence[int], params: dict[str, Any]) -> list[Tensor]:
    return [_places(*p) for p in zip(sizes, out, kernel, params["stride"], params["padding"],
                                     params["dilation"], strict=True)]


def _patched(block: Block, kernel: Sizes, params: dict[str, Any]) -> Block:
    """The unfolded Block (N, g, c, *S', *K) of spatially tied terms: each spatial index becomes a window's position."""
    spatial = block.shape[3:]
    sizes = _output_sizes(spatial, kernel, params)

    def act(term: Term) -> Sequence[Term]:
        own, window = [], []
        for d, (n, m, k, where) in enumerate(zip(spatial, sizes, kernel, _places_of(spatial, sizes, kernel, params),
                                                 strict=True)):
            o, w = Index(m), Index(k)
            if n > 1:
                values = None if term.out[3 + d].positions is None else _position_of(term.out[3 + d])
                if values is not None:
                    where = torch.where(where < 0, -1, values[where.clamp(min=0)])
                term = term.substituted(term.out[3 + d].indices[0], where, (o, w))
            else:
                term = term.times((where >= 0).to(block.dtype).to(block.device), (o, w))
            own.append(_whole(o))
            window.append(_whole(w))
        return [term.replaced(out=(*term.out[:3], *own, *window))]

    return block.mapped(act, (*block.shape[:3], *sizes, *kernel))


def _whole(index: Index) -> Axis:
    """An axis of one index, which it keeps where its size is 1."""
    if index.size > 1:
        return Axis((index,), index.size)
    return Axis((index,), 1, torch.zeros(1, dtype=torch.int64, device="cpu"))


def _windowed(block: Block, weight: Tensor, params: dict[str, Any]) -> Block:
    g, d = params["groups"], block.ndim - 2
    s, k = _letters("s", d), _letters("k", d)
    patched = _patched(_grouped(block, g), weight.shape[2:], params)
    filters = weight.reshape(g, weight.shape[0] // g, *weight.shape[1:])
    y = _contracted(patched, filters, [["n", "g", "c", *s, *k], ["g", "o", "c", *k]], ["n", "g", "o", *s])
    return action.reshaped(y, (y.shape[0], weight.shape[0], *y.shape[3:]))


# ----- transposed: out = stride * in + dilation * k - padding ---------------------------------------------------------


def _spread(block: Block, weight: Tensor, params: dict[str, Any]) -> Block:
    """Every input goes to each of the places where a filter lies over it."""
    g, d = params["groups"], block.ndim - 2
    s, k = _letters("s", d), _letters("k", d)
    filters = weight.reshape(g, weight.shape[0] // g, *weight.shape[1:])
    y = _contracted(_grouped(block, g), filters, [["n", "g", "c", *s], ["g", "c", "o", *k]], ["n", "g", "o", *s, *k])
    return _overlapped(y, params)


def _transposed_weight_block(x: Tensor, block: Block, params: dict[str, Any]) -> Block:
    """A transposed convolution with respect to its weight: x itself is the factor, filters tied."""
    g, d = params["groups"], block.ndim - 2
    s, k = _letters("s", d), _letters("k", d)
    x = x.reshape(x.shape[0], g, x.shape[1] // g, *x.shape[2:])
    y = _contracted(_grouped(block, g, 0), x, [["g", "c", "o", *k], ["n", "g", "c", *s]], ["n", "g", "o", *s, *k])
    return _overlapped(y, params)


def _overlapped(block: Block, params: dict[str, Any]) -> Block:
    """(N, g, o, *S, *K) as (N, g o, *S'): each pair of a place and a filter's position is a position of the result."""
    sizes = params["sizes"]
    d = len(sizes)
    inner, kernel = block.shape[3:3 + d], block.shape[3 + d:]
    tables = _places_of(sizes, inner, kernel, params)

    def act(term: Term) -> Sequence[Term]:
        axes = [_paired(term.out[3 + j], term.out[3 + d + j], tables[j], sizes[j]) for j in range(d)]
        return [term.replaced(out=(*term.out[:3], *axes))]

    y = block.mapped(act, (*block.shape[:3], *sizes))
    return action.reshaped(y, (y.shape[0], y.shape[1] * y.shape[2], *sizes))


def _paired(a: Axis, b: Axis, where: Tensor, size: int) -> Axis:
    """The axis of `size` at where[a, b]."""
    ids = tuple(dict.fromkeys((*a.indices, *b.indices)))
    i, j = (spread_over(*without_repeats(axis.table(), axis.indices), ids) for axis in (a, b))
    return Axis(ids, size, where[i.clamp(min=0), j.clamp(min=0)].masked_fill((i < 0) | (j < 0), -1))
