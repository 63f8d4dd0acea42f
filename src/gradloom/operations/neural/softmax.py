"""Softmax and its logarithm over the channels. Their rules are products and sums, so that they run on structured
Jacobians."""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import labels_of
from ...core.declare import general, public
from ...core.errors import LabelError, line_of, user_site
from ...core.labels import described
from ...machine.dtypes import differentiable
from ..elementwise.arithmetic import astype
from ..elementwise.mathematics import exp
from ..matrices.contraction import layout_of
from ..movement.axes import array, negative_axes
from ..sums.reduction import sum

aten = torch.ops.aten


def floating(x: Any) -> Any:
    """An array of floating numbers: integers and bools become float64."""
    x = array(x)
    return x if differentiable(x.dtype) else astype(x, "float64")


def one_axis(x: Any, axis: Any, data_format: str | None, word: str) -> int:
    """The axis to work along, counted from the end: the one asked for, else C."""
    if axis is None:
        labels = layout_of(x, data_format, f"{word} without axis=")
        if "C" not in labels:
            raise LabelError(
                f"{word} works along C, x is {described(x.shape, labels)}, at {line_of(user_site())}; write axis=")
        return labels.index("C") - x.ndim
    axes = negative_axes(axis, x)
    if len(axes) != 1:
        raise LabelError(
            f"{word} works along one axis, axis={axis!r} names {len(axes)} of {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; reshape them into one")
    return axes[0]


def _softmax_push(x_dot: Any, y: Any, axis: int) -> Any:
    vy = x_dot * y
    return vy - sum(vy, axis=axis, keepdims=True) * y


_SAMPLES = [((3, 4), {"axis": -2}), ((2, 3), {"axis": -1}), ((1, 4), {"axis": -2})]
_softmax = general(
    "softmax", lambda x, axis: torch.softmax(x, axis), push=_softmax_push,
    pull=lambda y_bar, y, axis: _softmax_push(y_bar, y, axis),
    fused_pull=lambda y_bar, y, axis: aten._softmax_backward_data(y_bar, y, axis, y.dtype),
    samples=_SAMPLES, matlab="softmax", real_only="probabilities are real")


@public(_softmax)
def softmax(x: Any, /, *, axis: Any = None, data_format: str | None = None) -> Any:
    """exp(x) over the sum of exp(x) along the channels: positive numbers that sum to 1.

    Formula: y[c] = exp(x[c]) / sum over k of exp(x[k]), computed without overflow. Along C, or the axis that is asked
    for; shape and labels of x. An unlabelled x needs `axis=` or `data_format=`.
    Raises LabelError where there is no C, or more than one axis is meant.

    >>> import gradloom as gl
    >>> gl.softmax(gl.dlarray([[0.0, 1000.0], [0.0, 1000.0]], "CB"))
    2(C) x 2(B) dlarray float64
    [[0.5 0.5]
     [0.5 0.5]]

    Source: MATLAB softmax.
    """
    x = floating(x)
    return _softmax.apply((x,), {"axis": one_axis(x, axis, data_format, "softmax")}, labels_of(x))


_log_softmax = general(
    "log_softmax", lambda x, axis: torch.log_softmax(x, axis),
    push=lambda x_dot, y, axis: x_dot - sum(x_dot * exp(y), axis=axis, keepdims=True),
    pull=lambda y_bar, y, axis: y_bar - sum(y_bar, axis=axis, keepdims=True) * exp(y),
    fused_pull=lambda y_bar, y, axis: aten._log_softmax_backward_data(y_bar, y, axis, y.dtype), samples=_SAMPLES,
                       real_only="probabilities are real")


@public(_log_softmax)
def log_softmax(x: Any, /, *, axis: Any = None, data_format: str | None = None) -> Any:
    """The logarithm of softmax along the channels, exact also where softmax underflows.

    Formula: y[c] = x[c] - log(sum over k of exp(x[k])). Along C, or the axis that is asked for; shape and labels of x.
    An unlabelled x needs `axis=` or `data_format=`.
    Raises LabelError where there is no C, or more than one axis is meant.

    >>> import gradloom as gl
    >>> gl.log_softmax(gl.dlarray([0.0, 1000.0]), axis=0)
    2 dlarray float64
    [-1000.     0.]

    Source: PyTorch log_softmax.
    """
    x = floating(x)
    return _log_softmax.apply((x,), {"axis": one_axis(x, axis, data_format, "log_softmax")}, labels_of(x))


__all__ = ["log_softmax", "softmax"]
