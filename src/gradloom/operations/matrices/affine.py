"""Weights times the channels of an array, plus a bias, wherever the channels lie: `fullyconnect`.

Two operations, which differ in where the channels are: `linear` has them last (one observation in each row),
`linear_columns` last but one (one in each column). Both run the same kernels, on the same memory.
"""
from __future__ import annotations

import math
from typing import Any

from ...blocks import action
from ...core.array import dlarray, labels_of, unlabelled
from ...core.declare import multilinear, public
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.labels import channel_last_order, described, tidy
from ...core.tables import OPERATIONS
from ...machine.dtypes import Tensor
from ...machine.products import affine_product, matrix_product
from ..elementwise.arithmetic import conj
from ..movement.axes import adjoint, array, expand_dims, matrix_transpose, moveaxis, permute_dims, reshape
from .contraction import layout_of, matmul_operation, promoted_arrays


def _linear_kernel(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if weight.ndim == 2 and (bias is None or bias.ndim == 1):
        return affine_product(x, weight, bias)
    y = matrix_product(x, weight.mT)
    return y if bias is None else y + (bias.unsqueeze(-2) if bias.ndim > 1 else bias)


def _linear_weight_bar(y_bar: Any, x: Any, weight_shape: Any, y_shape: Any, lead: tuple[int, ...]) -> Any:
    """One product over all observations; weights that differ along leading axes have one for each."""
    x = conj(x) if x.dtype.is_complex else x
    if len(weight_shape) == 2 < len(y_shape) and tuple(y_bar.shape) == (*lead, *x.shape[:-1], y_shape[-1]):
        n = math.prod(x.shape[:-1])
        y_bar, x = reshape(y_bar, (*lead, n, y_shape[-1])), reshape(x, (n, x.shape[-1]))
    return matmul_operation.apply((matrix_transpose(y_bar), x))


def _linear_weight_fused(y_bar: Tensor, x: Tensor, weight_shape: Any, y_shape: Any, lead: tuple[int, ...]) -> Tensor:
    if len(weight_shape) == 2 < len(y_shape) and y_bar.shape == (*lead, *x.shape[:-1], y_shape[-1]):
        y_bar, x = y_bar.reshape(*lead, -1, y_shape[-1]), x.reshape(-1, x.shape[-1])
    return matrix_product(y_bar.mT, x.conj())


# x may have any axes before its last; where tangents of weights and bias have leading axes, those stand before all of
# them
_linear = multilinear(
    "linear", _linear_kernel, ("x", "weight", "bias"), terms=[("x", "weight"), ("bias",)],
    axes="... n i, ... o i -> ... n o",
    act=action.contraction, broadcast=True, whole_axes=(-1, None, None),
    transposes={"x": lambda y_bar, weight: matmul_operation.apply(
                    (y_bar, conj(weight) if weight.dtype.is_complex else weight)),
                "weight": _linear_weight_bar, "bias": lambda y_bar: y_bar},
    fused_pull={"x": lambda y_bar, weight, lead: matrix_product(y_bar, weight.conj()), "weight": _linear_weight_fused},
    monomials={("bias",): lambda bias, node, lead: reshape(
        bias, (*bias.shape[:-1], *(1,) * (node.ndim + len(lead) - bias.ndim), bias.shape[-1]))}, matlab="fullyconnect",
    samples=[((5, 3), (2, 3), (2,), {}), ((5, 3), (2, 3), None, {}), ((2, 5, 3), (4, 3), (4,), {}),
             ((2, 1, 3, 2), (3, 2), None, {})])


_columns = multilinear(
    "linear_columns", lambda x, weight, bias: _linear_kernel(x.mT, weight, bias).mT, ("x", "weight", "bias"),
    terms=[("x", "weight"), ("bias",)], axes="... i n, ... o i -> ... o n",
    act=action.contraction, broadcast=True, whole_axes=(-2, None, None),
    transposes={"x": lambda y_bar, weight: _columns.apply((y_bar, adjoint(weight), None)),
                "weight": lambda y_bar, x: matmul_operation.apply((y_bar, adjoint(x))),
                "bias": lambda y_bar: OPERATIONS["sum"].apply((y_bar,), {"axis": (-1,), "keepdims": False})},
    fused_pull={"x": lambda y_bar, weight: matrix_product(y_bar.mT, weight.conj()).mT,
                "weight": lambda y_bar, x: matrix_product(y_bar, x.mH), "bias": lambda y_bar: y_bar.sum(-1)},
    monomials={("bias",): lambda bias, node, lead: expand_dims(bias, axis=-1)},
    samples=[((3, 5), (2, 3), (2,), {}), ((3, 5), (2, 3), None, {})])


def along_last(x: dlarray, weight: dlarray, bias: dlarray | None, labels: str | None = None) -> Any:
    """x weight.T + bias along the last axis of x: arrays of one type that fit."""
    if x.ndim > 1:
        return _linear.apply((x, weight, bias), labels=labels)
    reshaped = OPERATIONS["reshape"].apply
    row = reshaped((x,), {"shape": (1, x.shape[0])})
    return reshaped((_linear.apply((row, weight, bias)),), {"shape": (weight.shape[0],)}, labels)


@public(_linear)
def fullyconnect(x: Any, weights: Any, bias: Any = None, /, *, data_format: str | None = None) -> Any:
    """Weights times the channels of x, plus a bias. C and S axes are merged, C first, then S in their order.

    Formula: y[o] = sum over i of weights[o, i] x[i] + bias[o]. x: any layout with C or S; weights: (outputs, inputs);
    bias: (outputs,) or None; y: x's layout, with C in the place of the merged axes.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")
    >>> gl.fullyconnect(x, [[1.0, 1.0]], [0.5])
    1(C) x 2(B) dlarray float64
    [[4.5 6.5]]

    Source: MATLAB fullyconnect.
    """
    # quick way: what networks have, in one type, merging and moving no axis; the plain one is below
    if type(x) is type(weights) is type(bias) is dlarray and x._labels is not None and data_format is None:
        own = x._labels
        a, w, b = x._value, weights._value, bias._value
        last = own[-1:] == "C" and "S" not in own
        if ((last or own in ("CB", "CT")) and w.ndim == 2 and a.shape[-1 if last else 0] == w.shape[1]
            and b.shape == w.shape[:1] and a.dtype is w.dtype is b.dtype):
            return (along_last(x, weights, bias, own) if last else
                    _columns.apply((x, weights, bias), labels=own))
    x, weights = array(x), array(weights)
    bias = None if bias is None else array(bias)
    labelled = labels_of(x) is not None
    labels = layout_of(x, data_format, "fullyconnect")
    merged = channel_last_order(labels)
    if not merged:
        raise LabelError(
            f"fullyconnect needs an axis C or S, x is {described(x.shape, labels)}, at {line_of(user_site())}")
    if weights.ndim != 2:
        raise ShapeError(
            f"fullyconnect weights are (outputs, inputs), not {described(weights.shape, None)}, at "
            f"{line_of(user_site())}")
    features = math.prod(map(x.shape.__getitem__, merged))
    if weights.shape[1] != features or bias is not None and tuple(bias.shape) != (weights.shape[0],):
        raise ShapeError(
            f"fullyconnect of x {described(x.shape, labels)} ({features} features) with weights "
            f"{described(weights.shape, None)}"
            + ("" if bias is None else f" and bias {described(bias.shape, None)}")
            + f", at {line_of(user_site())}; weights are (outputs, inputs), bias is (outputs,)")
    rest = [k for k in range(x.ndim) if k not in merged]
    at = labels.index("C") if "C" in labels else merged[0]
    at = sum(1 for k in rest if k < at)
    x, weights, bias = promoted_arrays(unlabelled(x), unlabelled(weights), unlabelled(bias))
    if len(rest) == 1 == len(merged):  # quick way: a matrix, whose channels stay where they are; the plain one is below
        y = (_linear if at else _columns).apply((x, weights, bias))
    else:
        sizes = [x.shape[k] for k in rest]
        if rest and merged == tuple(range(len(merged))):  # the channels come first, in order: no axis is moved
            y = _columns.apply((reshape(x, (features, math.prod(sizes))), weights, bias))
            y = reshape(y, (weights.shape[0], *sizes))
        else:
            last = reshape(permute_dims(x, (*rest, *merged)), (*sizes, features))
            y = moveaxis(along_last(last, weights, bias), -1, at)
    letters = [labels[k] for k in rest]
    letters.insert(at, "C")
    if labelled:
        y = dlarray._made(y._value, y._node, tidy("".join(letters)))
    return y


__all__ = ["along_last", "fullyconnect"]
