"""Operations that only move elements: reshape, permute, broadcast, stack, pad, flip. Their derivatives move them back."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray, labels_of, operand
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.errors import LabelError, ShapeError, line_of, user_site
from ..core.labels import axes_of, described, tidy
from ..core.multilinear import Multilinear, multilinear
from ..core.operation import composite, public
from ..kernels import NUMBER_TYPES, Tensor, promoted


def array(x: Any) -> Any:
    """An operand that has a shape: a number becomes a dlarray."""
    x = operand(x)
    return dlarray(x) if type(x) in NUMBER_TYPES else x


def fresh(x: Any) -> Any:
    """A handle of its own, for a result that is what was given: writing into one must not change the other."""
    return dlarray(x) if type(x) is dlarray else x


def negative_axes(axis: Any, x: Any) -> tuple[int, ...]:
    """Axes of x counted from the end, as rules need them."""
    return tuple(k - x.ndim for k in axes_of(axis, x.ndim, labels_of(x), x.shape))


# ----- reshape -----

_reshape = multilinear(
    "reshape", lambda x, shape: x.reshape(shape),
    transposes={"x": lambda y_bar, lead, x_shape: reshape(y_bar, (*lead, *x_shape))},
    lead_params=lambda params, lead: {"shape": (*lead, *params["shape"])},
    act=lambda operation, inputs, params: action.reshaped(inputs[0], params["shape"]), samples=[((2, 3), {"shape": (3, 2)}), ((2, 3, 2), {"shape": (2, 6)})])


@public(_reshape, method=True)
def reshape(x: Any, shape: Any, *more: int, order: str = "C") -> Any:
    """The same elements in another shape, in C order; one size may be -1. `order="F"` reads and writes columns first, as MATLAB does.

    The result is unlabelled, unless the shape is the same.

    >>> import gradloom as gl
    >>> gl.reshape(gl.dlarray([1.0, 2.0, 3.0, 4.0]), (2, 2))
    2 x 2 dlarray float64
    [[1. 2.]
     [3. 4.]]

    Source: array API reshape.
    """
    x = array(x)
    shape = (shape, *more) if more or not isinstance(shape, Sequence) else tuple(shape)
    if order == "F":
        return permute_dims(reshape(permute_dims(x, tuple(range(x.ndim))[::-1]), shape[::-1]), tuple(range(len(shape)))[::-1])
    if order != "C":
        raise ValueError(f"order is 'C' or 'F', not {order!r}")
    shape = tuple(int(n) for n in shape)
    size = math.prod(x.shape)
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        if not rest or size % rest:
            raise ShapeError(f"cannot reshape {described(x.shape, labels_of(x))} ({size} elements) to {shape}, at {line_of(user_site())}")
        shape = tuple(size // rest if n == -1 else n for n in shape)
    if math.prod(shape) != size or any(n < 0 for n in shape):
        raise ShapeError(f"cannot reshape {described(x.shape, labels_of(x))} ({size} elements) to {shape}, at {line_of(user_site())}; "
                         "the number of elements must stay the same")
    if shape == tuple(x.shape):
        return dlarray(x) if type(x) is dlarray else x
    return _reshape.apply((x,), {"shape": shape})


# ----- permute -----


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    n = len(axes)
    inverse = [0] * n
    for k, a in enumerate(axes):
        inverse[a + n] = k - n
    return tuple(inverse)


def _permute(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    lead = x.ndim - len(axes)
    return x.permute(tuple(range(lead)) + tuple(a + x.ndim for a in axes)) if lead else x.permute(axes)


_permute_dims = multilinear(
    "permute_dims", _permute, transposes={"x": lambda y_bar, axes: _permute_dims.apply((y_bar,), {"axes": _inverse(axes)})},
    act=lambda operation, inputs, params: inputs[0].with_axes(params["axes"], [inputs[0].shape[a] for a in params["axes"]]),
    matlab="permute", samples=[((2, 3, 4), {"axes": (-1, -3, -2)})])


@public(_permute_dims)
def permute_dims(x: Any, axes: Any, /) -> Any:
    """The axes in another order; `axes` are positions or, for a labelled array, a string of its labels in the new order.

    >>> import gradloom as gl
    >>> gl.permute_dims(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), "BC")
    2(B) x 2(C) dlarray float64
    [[1. 3.]
     [2. 4.]]

    Source: array API permute_dims, MATLAB permute.
    """
    x = array(x)
    labels = labels_of(x)
    if isinstance(axes, str):
        if labels is None or sorted(axes) != sorted(labels):
            raise LabelError(f"axes {axes!r} are not the labels of {described(x.shape, labels)}, at {line_of(user_site())}; name each label once")
        seen = {letter: list(axes_of(letter, x.ndim, labels)) for letter in set(axes)}
        order = tuple(seen[letter].pop(0) - x.ndim for letter in axes)
    else:
        order = negative_axes(tuple(axes), x)
        if len(order) != x.ndim:
            raise ShapeError(f"permute_dims needs each of the {x.ndim} axes once, not {tuple(axes)}, at {line_of(user_site())}")
    if order == tuple(range(-x.ndim, 0)):
        return dlarray(x) if type(x) is dlarray else x
    return _permute_dims.apply((x,), {"axes": order}, None if labels is None else "".join(labels[a] for a in order))


def _transposed(x: dlarray) -> dlarray:
    return permute_dims(x, tuple(range(x.ndim))[::-1])


def _matrix_transposed(x: Any) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"mT needs at least two axes, the array is {described(x.shape, labels_of(x))}")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@composite
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged.

    >>> import gradloom as gl
    >>> gl.matrix_transpose(gl.dlarray([[1.0, 2.0]])).shape
    (2, 1)
    """
    return _matrix_transposed(array(x))


def _adjoint(x: Any) -> Any:
    from .arithmetic import conj

    return conj(_matrix_transposed(x)) if x.dtype.is_complex else _matrix_transposed(x)


dlarray.T = property(_transposed, doc="All axes in reverse order.")  # type: ignore[attr-defined]
dlarray.mT = property(_matrix_transposed, doc="The last two axes exchanged.")  # type: ignore[attr-defined]
dlarray.H = property(_adjoint, doc="The conjugate of mT.")  # type: ignore[attr-defined]


@composite
def transpose(x: Any, *axes: Any) -> Any:
    """Axes in reverse order, or in the order given: NumPy's method.

    >>> import gradloom as gl
    >>> gl.dlarray([[1.0, 2.0]]).transpose().shape
    (2, 1)
    """
    x = array(x)
    if len(axes) == 1 and not isinstance(axes[0], int):
        axes = tuple(axes[0])
    return permute_dims(x, axes or tuple(range(x.ndim))[::-1])


dlarray.transpose = transpose  # type: ignore[attr-defined]


@composite
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """Axes moved to other places, the rest in their order.

    >>> import gradloom as gl
    >>> gl.moveaxis(gl.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)

    Source: array API moveaxis.
    """
    x = array(x)
    sources, targets = axes_of(source, x.ndim, labels_of(x), x.shape), axes_of(destination, x.ndim, None)
    order = [k for k in range(x.ndim) if k not in sources]
    for target, s in sorted(zip(targets, sources, strict=True)):
        order.insert(target, s)
    return permute_dims(x, tuple(order))


# ----- axes of size 1 -----


@composite
def expand_dims(x: Any, /, *, axis: Any = 0) -> Any:
    """A new axis of size 1 (labelled U) at `axis`, counted in the result.

    >>> import gradloom as gl
    >>> gl.expand_dims(gl.dlarray([1.0, 2.0]), axis=1).shape
    (2, 1)

    Source: array API expand_dims.
    """
    x = array(x)
    axes = sorted(axes_of(axis, x.ndim + (len(axis) if isinstance(axis, (tuple, list)) else 1), None))
    shape, labels = list(x.shape), labels_of(x)
    letters = None if labels is None else list(labels)
    for k in axes:
        shape.insert(k, 1)
        if letters is not None:
            letters.insert(k, "U")
    return _labelled(_reshape.apply((x,), {"shape": tuple(shape)}), None if letters is None else "".join(letters))


@composite
def squeeze(x: Any, /, *, axis: Any = None) -> Any:
    """Without axes of size 1: all of them, or those given.

    >>> import gradloom as gl
    >>> gl.squeeze(gl.dlarray([[1.0, 2.0]])).shape
    (2,)

    Source: array API squeeze.
    """
    x = array(x)
    axes = tuple(k for k, n in enumerate(x.shape) if n == 1) if axis is None else axes_of(axis, x.ndim, labels_of(x), x.shape)
    for k in axes:
        if x.shape[k] != 1:
            raise ShapeError(f"axis {k} of {described(x.shape, labels_of(x))} is not of size 1, at {line_of(user_site())}")
    if not axes:
        return dlarray(x) if type(x) is dlarray else x
    labels = labels_of(x)
    shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    return _labelled(_reshape.apply((x,), {"shape": shape}), None if labels is None else "".join(c for k, c in enumerate(labels) if k not in axes))


dlarray.squeeze = squeeze  # type: ignore[attr-defined]


def _labelled(x: Any, labels: str | None) -> Any:
    if type(x) is dlarray:
        x._labels = tidy(labels)
    return x


@composite
def flatten(x: Any, /) -> Any:
    """All elements in C order along one axis.

    >>> import gradloom as gl
    >>> gl.flatten(gl.dlarray([[1.0, 2.0], [3.0, 4.0]])).shape
    (4,)
    """
    x = array(x)
    return reshape(x, (math.prod(x.shape),))


# ----- broadcast -----

_broadcast_to = multilinear(
    "broadcast_to", lambda x, shape: x.expand(shape), transposes={"x": lambda y_bar: y_bar},
    lead_params=lambda params, lead: {"shape": (*lead, *params["shape"])}, broadcast=True,
    act=lambda operation, inputs, params: inputs[0].broadcast(params["shape"]), samples=[((3,), {"shape": (2, 3)}), ((2, 1), {"shape": (2, 3)})])


@public(_broadcast_to)
def broadcast_to(x: Any, shape: Any, /) -> Any:
    """x repeated along new axes and axes of size 1. Labels of a labelled array keep their axes; new axes are U.

    >>> import gradloom as gl
    >>> gl.broadcast_to(gl.dlarray([1.0, 2.0]), (2, 2))
    2 x 2 dlarray float64
    [[1. 2.]
     [1. 2.]]

    Source: array API broadcast_to.
    """
    x = array(x)
    shape = tuple(int(n) for n in shape)
    if shape == tuple(x.shape):
        return dlarray(x) if type(x) is dlarray else x
    labels = labels_of(x)
    return _broadcast_to.apply((x,), {"shape": shape}, None if labels is None else "U" * (len(shape) - x.ndim) + labels)


# ----- selections along axes: flip, roll, repeat, tile -----

_take = multilinear(
    "take", lambda x, where, axis: x.index_select(axis, where),
    transposes={"x": lambda y_bar, where, axis, x_shape, lead: _put.apply((y_bar,), {"where": where, "axis": axis, "size": x_shape[axis]})},
    act=lambda operation, inputs, params: action.selected(inputs[0], inputs[0].ndim + params["axis"], params["where"].cpu()),
    samples=[((4, 3), {"where": torch.tensor([2, 0, 0]), "axis": -2})])


def _index_add(x: Tensor, where: Tensor, axis: int, size: int) -> Tensor:
    shape = list(x.shape)
    shape[axis] = size
    return torch.zeros(shape, dtype=x.dtype, device=x.device).index_add_(axis, where, x)


def _put_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, where = inputs[0], params["where"].cpu()
    return action.placed(block, block.ndim + params["axis"], where, params["size"])


_put = multilinear(
    "put", _index_add, transposes={"x": lambda y_bar, where, axis: _take.apply((y_bar,), {"where": where, "axis": axis})}, act=_put_on_block,
    samples=[((3, 2), {"where": torch.tensor([3, 0, 1]), "axis": -2, "size": 5}), ((3, 2), {"where": torch.tensor([1, 1, 0]), "axis": -2, "size": 3})])


@public(_take)
def take(x: Any, indices: Any, /, *, axis: Any = None) -> Any:
    """Entries of x along one axis, at integer positions (a vector; negatives count from the end). The axis keeps its label.

    >>> import gradloom as gl
    >>> gl.take(gl.dlarray([10.0, 20.0, 30.0]), [2, 0], axis=0)
    2 dlarray float64
    [30. 10.]

    Source: array API take.
    """
    x = array(x)
    if axis is None and x.ndim != 1:
        raise ShapeError(f"take needs axis= for an array of {x.ndim} axes, at {line_of(user_site())}")
    (k,) = negative_axes(0 if axis is None else axis, x)
    where = positions_vector(indices, x.shape[k], getattr(x, "device", None))
    return _take.apply((x,), {"where": where, "axis": k}, labels_of(x))


def positions_vector(indices: Any, size: int, device: Any) -> Tensor:
    """Integer positions as a tensor, negatives resolved, checked against the size."""
    raw = indices._value if type(indices) is dlarray else torch.as_tensor(indices)
    if not raw.numel():
        raw = raw.to(torch.int64)
    if raw.dtype.is_floating_point or raw.dtype is torch.bool or raw.ndim != 1:
        raise ShapeError(f"positions are a vector of integers, not {raw.dtype} {tuple(raw.shape)}, at {line_of(user_site())}")
    raw = raw.to(device=device, dtype=torch.int64)
    if raw.numel() and (int(raw.min()) < -size or int(raw.max()) >= size):
        raise ShapeError(f"positions reach from {int(raw.min())} to {int(raw.max())}, the axis has size {size}, at {line_of(user_site())}")
    return torch.where(raw < 0, raw + size, raw)


@composite
def flip(x: Any, /, *, axis: Any = None) -> Any:
    """Axes in reverse direction; all of them where axis is None.

    >>> import gradloom as gl
    >>> gl.flip(gl.dlarray([1.0, 2.0, 3.0]))
    3 dlarray float64
    [3. 2. 1.]

    Source: array API flip.
    """
    x = fresh(array(x))
    for k in negative_axes(axis, x):
        x = _take.apply((x,), {"where": torch.arange(x.shape[k] - 1, -1, -1, device=x.device), "axis": k}, labels_of(x))
    return x


@composite
def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """Entries moved along axes by `shift`, those that leave one end entering at the other.

    >>> import gradloom as gl
    >>> gl.roll(gl.dlarray([1.0, 2.0, 3.0]), 1, axis=0)
    3 dlarray float64
    [3. 1. 2.]

    Source: array API roll.
    """
    x = fresh(array(x))
    if axis is None:
        return reshape(roll(flatten(x), shift, axis=0), x.shape)
    axes = negative_axes(axis, x)
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    for k, s in zip(axes, shifts, strict=True):
        if x.shape[k]:
            x = _take.apply((x,), {"where": (torch.arange(x.shape[k], device=x.device) - int(s)) % x.shape[k], "axis": k}, labels_of(x))
    return x


@composite
def repeat(x: Any, repeats: int, /, *, axis: Any = None) -> Any:
    """Each entry along an axis several times in a row.

    >>> import gradloom as gl
    >>> gl.repeat(gl.dlarray([1.0, 2.0]), 2, axis=0)
    4 dlarray float64
    [1. 1. 2. 2.]

    Source: array API repeat, MATLAB repelem.
    """
    x = array(x)
    if axis is None:
        x, axis = flatten(x), 0
    (k,) = negative_axes(axis, x)
    where = torch.arange(x.shape[k], device=x.device).repeat_interleave(repeats)
    return _take.apply((x,), {"where": where, "axis": k}, labels_of(x))


@composite
def tile(x: Any, repetitions: Any, /) -> Any:
    """x laid out several times along each axis.

    >>> import gradloom as gl
    >>> gl.tile(gl.dlarray([1.0, 2.0]), (2,))
    4 dlarray float64
    [1. 2. 1. 2.]

    Source: array API tile, MATLAB repmat.
    """
    x = fresh(array(x))
    counts = tuple(repetitions) if isinstance(repetitions, (tuple, list)) else (repetitions,)
    while x.ndim < len(counts):
        x = expand_dims(x, axis=0)
    counts = (1,) * (x.ndim - len(counts)) + counts
    for k, n in enumerate(counts):
        if n != 1:
            x = _take.apply((x,), {"where": torch.arange(x.shape[k], device=x.device).repeat(int(n)), "axis": k - x.ndim}, labels_of(x))
    return x


# ----- joining -----


def _join(arrays: Sequence[Any], axis: Any, what: str) -> tuple[list[Any], str | None, int]:
    arrays = [array(a) for a in arrays]
    if not arrays:
        raise ShapeError(f"{what} needs at least one array, at {line_of(user_site())}")
    first = next((labels_of(a) for a in arrays if labels_of(a) is not None), None)
    for a in arrays:
        if labels_of(a) not in (None, first):
            raise LabelError(f"{what} of arrays labelled {first!r} and {labels_of(a)!r}, at {line_of(user_site())}; the labels must be the same")
    (k,) = axes_of(axis, arrays[0].ndim, first, arrays[0].shape)
    return arrays, first, k


class _Concat(Multilinear):
    """Arrays, any number of them, one after the other along an axis; their sizes along it are all that a rule needs."""

    def kept(self, nodes: Sequence[Any], values: list[Any], output: Any, hidden: Sequence[Any] = ()) -> list[Any]:
        return [*(v if n is None else None for v, n in zip(values, nodes, strict=True)), None]

    def _sizes(self, v: Any, params: Any, node: Any) -> list[int]:
        return [(p.shape if p is not None else x.shape)[params["axis"]] for p, x in zip(node.parents, v, strict=False)]

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        bars, start = [], 0
        for size, want in zip(self._sizes(v, params, node), wanted, strict=True):
            bars.append(slice_axis(y_bar, params["axis"], start, start + size) if want else None)
            start += size
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        axis, total, start, y_dot = params["axis"], node.shape[params["axis"]], 0, None
        for size, dot in zip(self._sizes(v, params, node), dots, strict=True):
            if dot is not None:
                part = pad_axis(dot, axis, start, total - start - size)
                y_dot = part if y_dot is None else y_dot + part
            start += size
        return y_dot


def _cat(*parts: Tensor, axis: int) -> Tensor:
    dtype = promoted(*[p.dtype for p in parts])
    return torch.cat([p.to(dtype) for p in parts], axis)


_concat = _Concat("concat", _cat, ("arrays",), [("arrays",)], {}, matlab="cat", samples=[
    ((2, 3), (1, 3), (4, 3), {"axis": -2}), ((2, 0), (2, 3), {"axis": -1}), ((2,), (1,), (2,), {"axis": -1})])


@public(_concat)
def concat(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays one after the other along an axis that they have.

    >>> import gradloom as gl
    >>> gl.concat([gl.dlarray([1.0, 2.0]), gl.dlarray([3.0])])
    3 dlarray float64
    [1. 2. 3.]

    Source: array API concat, MATLAB cat.
    """
    parts, labels, k = _join(list(arrays), axis, "concat")
    return fresh(parts[0]) if len(parts) == 1 else _concat.apply(parts, {"axis": k - parts[0].ndim}, labels)


@composite
def stack(arrays: Any, /, *, axis: Any = 0) -> Any:
    """Arrays of one shape along a new axis, labelled U.

    >>> import gradloom as gl
    >>> gl.stack([gl.dlarray(1.0), gl.dlarray(2.0)])
    2 dlarray float64
    [1. 2.]

    Source: array API stack.
    """
    parts = [expand_dims(a, axis=axis) for a in arrays]
    if len({tuple(p.shape) for p in parts}) > 1:
        raise ShapeError(f"stack needs arrays of one shape, not {sorted({tuple(p.shape) for p in parts})}, at {line_of(user_site())}")
    return concat(parts, axis=axis)


stack.operation = _concat  # type: ignore[attr-defined]


# ----- slices and pads along one axis -----

_slice = multilinear(
    "slice", lambda x, axis, start, stop: x.narrow(axis, start, stop - start),
    transposes={"x": lambda y_bar, axis, start, stop, x_shape: pad_axis(y_bar, axis, start, x_shape[axis] - stop)},
    act=lambda operation, inputs, params: action.selected(inputs[0], inputs[0].ndim + params["axis"], torch.arange(params["start"], params["stop"])),
    samples=[((4, 3), {"axis": -2, "start": 1, "stop": 3})])


def _zero_pad(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    return torch.constant_pad_nd(x, [0, 0] * (-axis - 1) + [before, after])


def _pad_on_block(operation: Any, inputs: Any, params: Any) -> Block:
    block, k = inputs[0], inputs[0].ndim + params["axis"]
    n = block.shape[k]
    return action.placed(block, k, torch.arange(n) + params["before"], n + params["before"] + params["after"])


_pad = multilinear(
    "pad", _zero_pad, transposes={"x": lambda y_bar, axis, before, x_shape: slice_axis(y_bar, axis, before, before + x_shape[axis])}, act=_pad_on_block,
    samples=[((2, 3), {"axis": -1, "before": 1, "after": 2})])


def slice_axis(x: Any, axis: int, start: int, stop: int) -> Any:
    """x[..., start:stop, ...] along one (negative) axis."""
    return _slice.apply((x,), {"axis": axis, "start": start, "stop": stop}, labels_of(x))


def pad_axis(x: Any, axis: int, before: int, after: int) -> Any:
    """Zeros before and after along one (negative) axis."""
    return _pad.apply((x,), {"axis": axis, "before": before, "after": after}, labels_of(x)) if before or after else x


@public(_pad)
def pad(x: Any, widths: Any, /) -> Any:
    """Zeros around x; `widths` is (before, after) for each axis, from the last backwards where fewer are given.

    >>> import gradloom as gl
    >>> gl.pad(gl.dlarray([1.0, 2.0]), [(1, 0)])
    3 dlarray float64
    [0. 1. 2.]

    Source: NumPy pad.
    """
    x = fresh(array(x))
    pairs = list(widths)
    for k, (before, after) in enumerate(reversed(pairs)):
        x = pad_axis(x, -1 - k, int(before), int(after))
    return x


__all__ = ["broadcast_to", "concat", "expand_dims", "flatten", "flip", "matrix_transpose", "moveaxis", "pad", "permute_dims", "repeat", "reshape",
           "roll", "squeeze", "stack", "take", "tile", "transpose"]
