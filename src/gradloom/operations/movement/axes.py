"""Operations that only move elements: reshape, permute, broadcast. Their derivatives move them back."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...blocks import action
from ...core.array import dlarray, labels_of, operand
from ...core.declare import composite, multilinear, public
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import axes_of, described, reduced_axes, without
from ...core.operand import Operand
from ...machine.caches import remembered
from ...machine.dtypes import NUMBER_TYPES
from ..elementwise.arithmetic import conj


def array(x: Any) -> Any:
    """An operand that has a shape: a number becomes a dlarray."""
    if isinstance(x, Operand):
        return x
    x = operand(x)
    return dlarray(x) if type(x) in NUMBER_TYPES else x


def fresh(x: Any) -> Any:
    """A handle of its own, for a result that is what was given: writing into one must not change the other."""
    return dlarray(x) if type(x) is dlarray else x


def negative_axes(axis: Any, x: Any) -> tuple[int, ...]:
    """Axes of x counted from the end, as rules need them."""
    n = x.ndim
    if axis is None:
        return tuple(range(-n, 0))
    if type(axis) is int and -n <= axis < n:
        return (axis - n if axis >= 0 else axis,)
    if type(axis) is tuple:
        found = tuple([a - n if a >= 0 else a for a in axis if type(a) is int and -n <= a < n])
        if len(found) == len(axis) == len(set(found)):
            return found
    return tuple([k - n for k in axes_of(axis, n, labels_of(x), x.shape)])


# ----- reshape -----

_reshape = multilinear(
    "reshape", lambda x, shape: x.reshape(shape),
    transposes={"x": lambda y_bar, lead, x_shape: reshape(y_bar, (*lead, *x_shape))},
    fused_pull=lambda y_bar, x_shape, lead: (y_bar.reshape((*lead, *x_shape) if lead else x_shape),),
    lead_params=lambda params, lead: {"shape": (*lead, *params["shape"])},
    act=lambda operation, inputs, params: action.reshaped(inputs[0], params["shape"]),
    samples=[((2, 3), {"shape": (3, 2)}), ((2, 3, 2), {"shape": (2, 6)})])


@public(_reshape)
def reshape(x: Any, /, shape: Any, *more: int, order: str = "C", copy: bool | None = None) -> Any:
    """The same elements in another shape, in C order; one size may be -1. `order="F"` reads and writes columns first,
    as MATLAB does.

    The result is unlabelled, unless the shape is the same. Values never change, so that `copy` makes no difference.

    >>> import gradloom as gl
    >>> gl.reshape(gl.dlarray([1.0, 2.0, 3.0, 4.0]), (2, 2))
    2 x 2 dlarray float64
    [[1. 2.]
     [3. 4.]]

    Source: array API reshape, MATLAB reshape (which reads columns first).
    """
    x = array(x)
    if more or type(shape) is not tuple:
        shape = (shape, *more) if more or not isinstance(shape, Sequence) else tuple(shape)
    if order == "F":
        return permute_dims(reshape(permute_dims(x, tuple(range(x.ndim))[::-1]), shape[::-1]),
                            tuple(range(len(shape)))[::-1])
    if order != "C":
        raise ShapeError(f"reshape: order is 'C' or 'F', not {order!r}, at {line_of(user_site())}")
    if [] in shape or None in shape:
        written = tuple(-1 if n in ([], None) else n for n in shape)
        raise ShapeError(f"reshape: the size that is to be found out is -1, at {line_of(user_site())}; write "
                         f"reshape(x, {written})")
    shape = tuple([int(n) for n in shape])
    before = tuple(x.shape)
    size = math.prod(before)
    if shape.count(-1) == 1:
        rest = -math.prod(shape)
        if not rest or size % rest:
            raise ShapeError(
                f"cannot reshape {described(x.shape, labels_of(x))} ({size} elements) to {shape}, at "
                f"{line_of(user_site())}")
        shape = tuple(size // rest if n == -1 else n for n in shape)
    if math.prod(shape) != size or min(shape, default=0) < 0:
        raise ShapeError(
            f"cannot reshape {described(x.shape, labels_of(x))} ({size} elements) to {shape}, at "
            f"{line_of(user_site())}; the number of elements must stay the same")
    return fresh(x) if shape == before else _reshape.apply((x,), {"shape": shape})


# ----- permute -----


@remembered(128)
def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    n = len(axes)
    inverse = [0] * n
    for k, a in enumerate(axes):
        inverse[a + n] = k - n
    return tuple(inverse)


@remembered(128)
def _with_lead(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """The same order for an array of `ndim` axes, whose leading ones stay where they are."""
    return (*range(-ndim, -len(axes)), *axes)


_permute_dims = multilinear(
    "permute_dims", lambda x, axes: x.permute(axes), matlab="permute",
    transposes={"x": lambda y_bar, axes: _permute_dims.apply(
                    (y_bar,), {"axes": _with_lead(_inverse(axes), y_bar.ndim)})},
    lead_params=lambda params, lead: {"axes": _with_lead(params["axes"], len(lead) + len(params["axes"]))},
    fused_pull=lambda y_bar, axes, lead: (y_bar.permute(_with_lead(_inverse(axes), y_bar.ndim)),),
    act=lambda operation, inputs, params: inputs[0].with_axes(
        params["axes"], [*map(inputs[0].shape.__getitem__, params["axes"])]),
    samples=[((2, 3, 4), {"axes": (-1, -3, -2)})])


@public(_permute_dims)
def permute_dims(x: Any, /, axes: Any) -> Any:
    """The axes in another order; `axes` are positions or, for a labelled array, a string of its labels in the new
    order.

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
            raise LabelError(
                f"axes {axes!r} are not the labels of {described(x.shape, labels)}, at {line_of(user_site())}; name "
                "each label once")
        seen = {letter: list(axes_of(letter, x.ndim, labels)) for letter in set(axes)}
        order = tuple(seen[letter].pop(0) - x.ndim for letter in axes)
    else:
        order = negative_axes(tuple(axes), x)
        if len(order) != x.ndim:
            raise ShapeError(
                f"permute_dims needs each of the {x.ndim} axes once, not {tuple(axes)}, at {line_of(user_site())}")
    return _permuted(x, order)


def _permuted(x: Any, order: tuple[int, ...]) -> Any:
    """The axes in an order, which is counted from the end."""
    if order == tuple(range(-len(order), 0)):
        return fresh(x)
    labels = labels_of(x)
    return _permute_dims.apply((x,), {"axes": order}, None if labels is None else "".join([labels[a] for a in order]))


def transposed(x: Any) -> Any:
    return _permuted(x, tuple(range(-1, -x.ndim - 1, -1)))


def matrix_transposed(x: Any) -> Any:
    n = x.ndim
    if n < 2:
        raise ShapeError(f"mT needs at least two axes, the array is {described(x.shape, labels_of(x))}")
    return _permuted(x, (*range(-n, -2), -1, -2))


@composite
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged.

    >>> import gradloom as gl
    >>> gl.matrix_transpose(gl.dlarray([[1.0, 2.0]])).shape
    (2, 1)
    """
    return matrix_transposed(array(x))


def adjoint(x: Any) -> Any:
    """The conjugate of the last two axes exchanged."""
    return conj(matrix_transposed(x)) if x.dtype.is_complex else matrix_transposed(x)


@composite
def transpose(x: Any, *axes: Any) -> Any:
    """Axes in reverse order, or in the order given: NumPy's method.

    >>> import gradloom as gl
    >>> gl.transpose(gl.dlarray([[1.0, 2.0]])).shape
    (2, 1)

    Source: NumPy transpose, MATLAB transpose.
    """
    x = array(x)
    if len(axes) == 1 and not isinstance(axes[0], int):
        axes = tuple(axes[0])
    return permute_dims(x, axes) if axes else transposed(x)


@composite
def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """Axes moved to other places, the rest in their order.

    >>> import gradloom as gl
    >>> gl.moveaxis(gl.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)

    Source: array API moveaxis.
    """
    x = array(x)
    n = x.ndim
    sources, targets = negative_axes(source, x), axes_of(destination, n, None)
    order = [k for k in range(-n, 0) if k not in sources]
    for target, s in sorted(zip(targets, sources, strict=True)):
        order.insert(target, s)
    return _permuted(x, tuple(order))


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
    return _reshape.apply((x,), {"shape": tuple(shape)}, None if letters is None else "".join(letters))


@composite
def squeeze(x: Any, /, axis: Any = None) -> Any:
    """Without axes of size 1: all of them, or those given.

    >>> import gradloom as gl
    >>> gl.squeeze(gl.dlarray([[1.0, 2.0]])).shape
    (2,)

    Source: array API squeeze, MATLAB squeeze.
    """
    x = array(x)
    shape, labels = x.shape, labels_of(x)
    axes = [k for k, n in enumerate(shape) if n == 1] if axis is None else reduced_axes(axis, len(shape), labels, shape)
    for k in axes:
        if shape[k] != 1:
            raise ShapeError(f"axis {k} of {described(shape, labels)} is not of size 1, at {line_of(user_site())}")
    if not axes:
        return fresh(x)
    return _reshape.apply((x,), {"shape": tuple([n for k, n in enumerate(shape) if k not in axes])},
                          without(labels, axes))


@composite
def flatten(x: Any, /) -> Any:
    """All elements in C order along one axis.

    >>> import gradloom as gl
    >>> gl.flatten(gl.dlarray([[1.0, 2.0], [3.0, 4.0]])).shape
    (4,)
    """
    x = array(x)
    return fresh(x) if x.ndim == 1 else _reshape.apply((x,), {"shape": (math.prod(x.shape),)})


# ----- broadcast -----

_broadcast_to = multilinear(
    "broadcast_to", lambda x, shape: x.expand(shape), transposes={"x": lambda y_bar: y_bar},
    lead_params=lambda params, lead: {"shape": (*lead, *params["shape"])}, broadcast=True,
    fused_pull=lambda y_bar, x_shape: (y_bar.sum_to_size(x_shape),),
    act=lambda operation, inputs, params: inputs[0].broadcast(params["shape"]),
    samples=[((3,), {"shape": (2, 3)}), ((2, 1), {"shape": (2, 3)})])


@public(_broadcast_to)
def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x repeated along new axes and axes of size 1. Labels of a labelled array keep their axes; new axes are U.

    >>> import gradloom as gl
    >>> gl.broadcast_to(gl.dlarray([1.0, 2.0]), (2, 2))
    2 x 2 dlarray float64
    [[1. 2.]
     [1. 2.]]

    Source: array API broadcast_to.
    """
    x = array(x)
    shape = tuple([int(n) for n in shape])
    if shape == tuple(x.shape):
        return fresh(x)
    labels = labels_of(x)
    return _broadcast_to.apply((x,), {"shape": shape}, None if labels is None else "U" * (len(shape) - x.ndim) + labels)


__all__ = ["broadcast_to", "expand_dims", "flatten", "matrix_transpose", "moveaxis", "permute_dims",
           "reshape", "squeeze", "transpose"]
