"""Triangles and diagonals of matrices, and the products cross and kron."""
from __future__ import annotations

from typing import Any

import torch

from ...blocks import action
from ...core.array import labels_of, unlabelled
from ...core.calls import FULL, broadcast_operands
from ...core.declare import composite, multilinear, public
from ...core.errors import ShapeError, line_of, user_site
from ...core.labels import axes_of, described
from ...core.tables import OPERATIONS
from ...machine.dtypes import Tensor, broadcast_shapes
from ..elementwise.arithmetic import conj
from ..movement.axes import array, reshape
from ..movement.selection import take_operation
from .contraction import promoted_arrays
from .vector_products import kron_operation

# ----- triangles -----


def _triangle(name: str, kernel: Any) -> Any:
    def act(operation: Any, inputs: Any, params: Any) -> Any:
        """One more factor of 0 and 1, by selection."""
        block = inputs[0]
        mask = kernel(torch.ones(block.shape[-2:], dtype=torch.bool, device=block.device), params["k"])
        return OPERATIONS["where"].apply((mask, block, 0))

    return multilinear(name, lambda x, k: kernel(x, k),
                       transposes={"x": lambda y_bar, k: OPERATIONS[name].apply((y_bar,), {"k": k})}, act=act,
                       fused_pull=lambda y_bar, k: (kernel(y_bar, k),), matlab=name, selects=True,
                       samples=[((3, 4), {"k": 0}), ((2, 4, 3), {"k": 1}), ((2, 3), {"k": -1}),
                                ((1, 1), {"k": 1}), ((0, 2), {"k": 0})])


_tril = _triangle("tril", torch.tril)
_triu = _triangle("triu", torch.triu)


def _matrix(x: Any, word: str) -> Any:
    x = array(x)
    if x.ndim < 2:
        raise ShapeError(
            f"{word} is of matrices, in the last two axes, x is {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; write reshape(x, (1, -1)) for a row")
    return x


@public(_tril)
def tril(x: Any, /, *, k: int = 0) -> Any:
    """The lower triangle of matrices (the last two axes), zero above diagonal k; k > 0 is above the main one. Shape and
    labels of x.

    >>> import gradloom as gl
    >>> gl.tril(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]))
    2 x 2 dlarray float64
    [[1. 0.]
     [3. 4.]]

    Source: array API tril, MATLAB tril.
    """
    x = _matrix(x, "tril")
    return _tril.apply((x,), {"k": int(k)}, labels_of(x))


@public(_triu)
def triu(x: Any, /, *, k: int = 0) -> Any:
    """The upper triangle of matrices (the last two axes), zero below diagonal k; k > 0 is above the main one. Shape and
    labels of x.

    >>> import gradloom as gl
    >>> gl.triu(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]))
    2 x 2 dlarray float64
    [[1. 2.]
     [0. 4.]]

    Source: array API triu, MATLAB triu.
    """
    x = _matrix(x, "triu")
    return _triu.apply((x,), {"k": int(k)}, labels_of(x))


# ----- diagonals -----


def _count(rows: int, columns: int, offset: int) -> int:
    """How many entries a diagonal has."""
    return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))


def _places(rows: int, columns: int, offset: int) -> Tensor:
    """Where a diagonal is in a flattened matrix."""
    first = offset if offset > 0 else -offset * columns
    return torch.arange(_count(rows, columns, offset), device="cpu") * (columns + 1) + first


def _on_diagonal_kernel(x: Tensor, rows: int, columns: int, offset: int) -> Tensor:
    if rows == columns == x.shape[-1] + abs(offset):
        return torch.diag_embed(x, offset)
    y = x.new_zeros((*x.shape[:-1], rows, columns))
    y.diagonal(offset, -2, -1).copy_(x)
    return y


def _diagonal_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    block, (rows, columns) = inputs[0], inputs[0].shape[-2:]
    flat = action.reshaped(block, (*block.shape[:-2], rows * columns))
    return action.selected(flat, flat.ndim - 1, _places(rows, columns, params["offset"]))


def _on_diagonal_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    block, rows, columns = inputs[0], params["rows"], params["columns"]
    flat = action.placed(block, block.ndim - 1, _places(rows, columns, params["offset"]), rows * columns)
    return action.reshaped(flat, (*block.shape[:-1], rows, columns))


def _diagonal_transpose(y_bar: Any, offset: int, x_shape: Any) -> Any:
    return _on_diagonal.apply((y_bar,), {"rows": x_shape[-2], "columns": x_shape[-1], "offset": offset})


diagonal_operation = multilinear(
    "diagonal", lambda x, offset: x.diagonal(offset, -2, -1), transposes={"x": _diagonal_transpose},
    act=_diagonal_on_block, matlab="diag",
    fused_pull=lambda y_bar, offset, x_shape: (_on_diagonal_kernel(y_bar, x_shape[-2], x_shape[-1], offset),),
    samples=[((3, 4), {"offset": 0}), ((2, 3, 2), {"offset": -1}), ((1, 3), {"offset": 2}),
             ((2, 2), {"offset": 2}), ((0, 3), {"offset": 0})],
    selects=True)
_on_diagonal = multilinear(
    "on_diagonal", _on_diagonal_kernel,
    transposes={"x": lambda y_bar, offset: diagonal_operation.apply((y_bar,), {"offset": offset})},
    act=_on_diagonal_on_block,
    fused_pull=lambda y_bar, offset: (y_bar.diagonal(offset, -2, -1),),
    samples=[((3,), {"rows": 3, "columns": 3, "offset": 0}), ((2, 2), {"rows": 3, "columns": 2, "offset": -1}),
             ((1,), {"rows": 1, "columns": 3, "offset": 2}), ((0,), {"rows": 0, "columns": 0, "offset": 0})])


def _trace_kernel(x: Tensor, offset: int) -> Tensor:
    return torch.trace(x) if x.ndim == 2 and not offset and x.dtype in FULL else x.diagonal(offset, -2, -1).sum(-1)


def _trace_transpose(y_bar: Any, offset: int, x_shape: Any) -> Any:
    rows, columns = x_shape[-2:]
    y_bar = reshape(y_bar, (*y_bar.shape, 1))
    along = OPERATIONS["broadcast_to"].apply((y_bar,), {"shape": (*y_bar.shape[:-1], _count(rows, columns, offset))})
    return _on_diagonal.apply((along,), {"rows": rows, "columns": columns, "offset": offset})


def _trace_fused(y_bar: Tensor, offset: int, x_shape: Any) -> tuple[Tensor]:
    x_bar = y_bar.new_zeros(x_shape)
    x_bar.diagonal(offset, -2, -1).copy_(y_bar.unsqueeze(-1))
    return (x_bar,)


trace_operation = multilinear(
    "trace", _trace_kernel, transposes={"x": _trace_transpose}, fused_pull=_trace_fused, matlab="trace",
    act=lambda operation, inputs, params: OPERATIONS["sum"].apply(
        (diagonal_operation.apply(inputs, params),), {"axis": (-1,), "keepdims": False}),
    samples=[((3, 3), {"offset": 0}), ((3, 4), {"offset": 1}), ((2, 3, 2), {"offset": -1}),
             ((1, 3), {"offset": 2}), ((2, 2), {"offset": 2}),
             ((0, 3), {"offset": 0})], selects=True)


@composite
def diag(x: Any, /, *, k: int = 0) -> Any:
    """A square matrix with a vector on diagonal k, or diagonal k of a matrix as a vector; k > 0 is above the main one.
    Unlabelled.

    Raises ShapeError for anything but a vector or a matrix; `diagonal` reads those of stacks of matrices.

    >>> import gradloom as gl
    >>> gl.diag(gl.dlarray([1.0, 2.0]))
    2 x 2 dlarray float64
    [[1. 0.]
     [0. 2.]]

    Source: MATLAB diag, NumPy diag.
    """
    x = unlabelled(array(x))
    if x.ndim not in (1, 2):
        raise ShapeError(
            f"diag is of a vector or a matrix, x is {described(x.shape, None)}, at {line_of(user_site())}; write "
            "diagonal(x) for stacks of matrices")
    rows, columns = x.shape if x.ndim == 2 else (x.shape[0] + abs(k),) * 2
    if x.ndim == 2:
        return diagonal_operation.apply((x,), {"offset": max(-rows, min(k, columns))})
    return _on_diagonal.apply((x,), {"rows": rows, "columns": columns, "offset": k})


# ----- cross and kron -----


def _cross_kernel(a: Tensor, b: Tensor, axis: int) -> Tensor:
    return torch.linalg.cross(*torch.broadcast_tensors(a, b), dim=axis)


def _turned(x: Any, axis: int, by: int) -> Any:
    where = torch.tensor([by % 3, (1 + by) % 3, (2 + by) % 3], device="cpu")
    where = where.to(x.device) if isinstance(x, Tensor) and not x.is_meta else where
    return take_operation.apply((x,), {"where": where, "axis": axis})


def _cross_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    """Selections and products, which act on a Block."""
    (a, b), axis = inputs, params["axis"]
    return _turned(a, axis, 1) * _turned(b, axis, 2) - _turned(a, axis, 2) * _turned(b, axis, 1)


def _cross_of(a: Any, b: Any, axis: int) -> Any:
    return _cross.apply((a, b), {"axis": axis})


_cross = multilinear("cross", _cross_kernel, ("a", "b"), broadcast=True, act=_cross_on_block, matlab="cross",
                     transposes={"a": lambda y_bar, b, axis: _cross_of(conj(b), y_bar, axis),
                                 "b": lambda y_bar, a, axis: _cross_of(y_bar, conj(a), axis)},
                     samples=[((2, 3), (2, 3), {"axis": -1}), ((3, 2), (3, 1), {"axis": -2}),
                              ((3,), (3,), {"axis": -1}), ((0, 3), (1, 3), {"axis": -1})])


@public(_cross)
def cross(a: Any, b: Any, /, *, axis: Any = -1) -> Any:
    """The vector product of vectors of three along an axis; the other axes broadcast.

    Formula: y = (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0). Labels match by name. Raises ShapeError for other sizes.

    >>> import gradloom as gl
    >>> gl.cross(gl.dlarray([1.0, 0.0, 0.0]), gl.dlarray([0.0, 1.0, 0.0]))
    3 dlarray float64
    [0. 0. 1.]

    Source: array API linalg.cross, MATLAB cross.
    """
    a, b = array(a), array(b)
    shown = f"cross of {described(a.shape, labels_of(a))} and {described(b.shape, labels_of(b))} along axis {axis!r}"
    (a, b), labels = broadcast_operands(_cross, (a, b))
    try:
        shape = broadcast_shapes(a.shape, b.shape)
    except ValueError:
        shape = ()
    axes = axes_of(axis, len(shape), labels, shape) if shape else ()
    k = axes[0] - len(shape) if len(axes) == 1 else 0
    if not k or a.ndim < -k or b.ndim < -k or not a.shape[k] == b.shape[k] == 3:
        raise ShapeError(
            f"{shown}: vectors of three are needed along one axis, in shapes that broadcast, at "
            f"{line_of(user_site())}; vectors of two are given a third entry of 0 by pad")
    a, b = promoted_arrays(unlabelled(a), unlabelled(b))
    return _cross.apply((a, b), {"axis": k}, labels)


@public(kron_operation)
def kron(a: Any, b: Any, /) -> Any:
    """The Kronecker product: b times each element of a, laid out as a is. Unlabelled.

    Shapes: (m, n) and (p, q) give (m p, n q); with fewer axes on one side, axes of size 1 are put in front.

    >>> import gradloom as gl
    >>> gl.kron(gl.dlarray([1.0, 10.0]), gl.dlarray([1.0, 2.0]))
    4 dlarray float64
    [ 1.  2. 10. 20.]

    Source: MATLAB kron, NumPy kron.
    """
    a, b = promoted_arrays(unlabelled(array(a)), unlabelled(array(b)))
    rank = max(a.ndim, b.ndim)
    a, b = [x if x.ndim == rank else reshape(x, (*(1,) * (rank - x.ndim), *x.shape)) for x in (a, b)]
    return kron_operation.apply((a, b), {"ndim": rank})


__all__ = ["cross", "diag", "kron", "tril", "triu"]
