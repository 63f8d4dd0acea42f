"""Losses of the difference between predictions and targets: mse, l1loss, l2loss, huber."""
from __future__ import annotations

from typing import Any

import torch

from ....core.declare import general, public
from ....core.errors import ShapeError, line_of, user_site
from ....core.kinds.general import General
from ....machine.dtypes import Tensor
from ...elementwise.arithmetic import square
from ...elementwise.choice import clip
from ...elementwise.mathematics import absolute, sign
from .crossentropy import crossentropy, indexcrossentropy
from .weighted_sums import (
    elementwise_push,
    finished,
    labels_for,
    like_predictions,
    placed,
    predictions_of,
    product,
    reduced,
    spread,
    targets_of,
    weighted_total,
)

aten = torch.ops.aten
NONE, SUM = 0, 2  # torch's reductions


def _difference_loss(name: str, kernel: Any, slope: Any, value: Any, fused: Any, half: float = 1.0) -> General:
    """`half * kernel(x, targets, delta, SUM or NONE)` of tensors; `slope(d, delta)` and `value(d, delta)` of one
    element, in library operations; `fused(half * g, x, targets, delta, SUM or NONE)` the cotangent of x in one pass.
    `delta` is huber's alone.
    """

    def run(x: Tensor, targets: Tensor, weights: Tensor | None, factor: float, reduction: str, delta: float) -> Tensor:
        if weights is None and reduction == "sum":
            return kernel(x, targets, delta, SUM) * (factor * half)
        e = kernel(x, targets, delta, NONE)
        return weighted_total(e if reduction == "sum" or half == 1 else e.mul_(half), weights, factor * half, reduction)

    def push(x_dot: Any, targets_dot: Any, weights_dot: Any, x: Any, targets: Any, weights: Any,
             factor: float, reduction: str,
             delta: float) -> Any:
        d = x - targets
        slopes = lambda: slope(d, delta), lambda: -slope(d, delta)
        parts = elementwise_push((x_dot, targets_dot, weights_dot), slopes, lambda: value(d, delta), weights)
        return reduced(parts, factor, reduction, x.ndim)

    def pull(y_bar: Any, x: Any, targets: Any, weights: Any, factor: float, reduction: str,
             delta: float, wanted: Any) -> Any:
        d = x - targets
        g = spread(y_bar, factor, reduction, x.ndim)
        bar: Any = product(g, weights, slope(d, delta)) if wanted[0] or wanted[1] else None
        return bar if wanted[0] else None, -bar if wanted[1] else None, g * value(d, delta) if wanted[2] else None

    def fused_pull(y_bar: Tensor, x: Tensor, targets: Tensor, weights: Any, factor: float, reduction: str, delta: float,
                   wanted: Any) -> Any:
        if weights is not None or x.dtype != targets.dtype:
            return pull(y_bar, x, targets, weights, factor, reduction, delta, wanted)
        scale = (factor if reduction == "sum" else 1) * half
        bar = fused(y_bar if scale == 1 else y_bar * scale, x, targets, delta, SUM if reduction == "sum" else NONE)
        return bar if wanted[0] else None, -bar if wanted[1] else None, None

    params = {"factor": 0.25, "reduction": "sum", "delta": 0.7}
    samples = [((3, 4), (3, 4), None, params), ((3, 4), (3, 4), (3, 4), params),
               ((3, 4), (3, 4), (3, 1), params | {"factor": 1, "reduction": "none"})]
    return general(name, run, ("x", "targets", "weights"), push=push, pull=pull, fused_pull=fused_pull,
                   samples=samples, matlab=name, real_only="losses take real predictions")


def _huber_value(d: Any, delta: float) -> Any:
    c = clip(d, -delta, delta)
    return c * (d - 0.5 * c)


def _difference(word: str, operation: General, y: Any, targets: Any, weights: Any, mask: Any,
                reduction: str, normalization_factor: str,
                data_format: str | None, weights_format: str | None, delta: float = 1.0) -> Any:
    y, targets = predictions_of(y, word), targets_of(targets)
    free = reduction == "none" or normalization_factor in ("none", "all-elements", "mask-included", "target-included")
    labels = labels_for(y, targets, data_format, word, "U" * y.ndim if free else None)
    targets = like_predictions(placed(targets, y, labels, "targets", word), y, "targets", word)
    return finished(operation, y, targets, weights, mask, {"delta": delta}, labels, reduction,
                    normalization_factor, word, weights_format)


def _absolute_difference(x: Tensor, targets: Tensor, delta: float, total: int) -> Tensor:
    d = (x - targets).abs_()
    return d.sum() if total == SUM else d


def _squared_difference(x: Tensor, targets: Tensor, delta: float, total: int) -> Tensor:
    return torch._C._nn.mse_loss(x, targets, total)  # type: ignore[arg-type]


def _squared_fused(g: Tensor, x: Tensor, targets: Tensor, delta: float, total: int) -> Tensor:
    return aten.mse_loss_backward(g, x, targets, total)


_l1loss = _difference_loss("l1loss", _absolute_difference, lambda d, delta: sign(d), lambda d, delta: absolute(d),
                           lambda g, x, targets, delta, total: (x - targets).sign_().mul_(g))
_l2loss = _difference_loss("l2loss", _squared_difference, lambda d, delta: 2 * d, lambda d, delta: square(d),
                           _squared_fused)
_mse = _difference_loss("mse", _squared_difference, lambda d, delta: d, lambda d, delta: 0.5 * square(d),
                        _squared_fused, half=0.5)
_huber = _difference_loss("huber", lambda x, targets, delta, total: torch._C._nn.huber_loss(x, targets, total, delta),  # type: ignore[arg-type]
                          lambda d, delta: clip(d, -delta, delta), _huber_value,
                          lambda g, x, targets, delta, total: aten.huber_loss_backward(g, x, targets, total, delta))


@public(_mse)
def mse(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: str = "sum",
        normalization_factor: str = "batch-size", data_format: str | None = None,
        weights_format: str | None = None) -> Any:
    """HALF the squared error over the batch size: sum((y - targets)**2) / (2 N), not the mean over all elements.

    Formula: (1 / 2N) sum of (y - t)**2. N is the size of B, 1 when absent; with `normalization_factor` "all-elements"
    the number of elements of y, "mask-included" the sum of the mask, "none" 1. y: any layout; targets: y's axes, in any
    order of labels. weights, mask: y's shape, or labelled (weights also by `weights_format`); what the mask hides has
    no influence. The result is an unlabelled scalar; `reduction="none"` gives each element's half square.

    Raises LabelError where y is unlabelled and data_format is missing, ShapeError where the shapes differ.

    >>> import gradloom as gl
    >>> gl.mse(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 7.5

    Source: MATLAB mse, which is PyTorch's mse_loss times (elements per observation) / 2.
    """
    return _difference("mse", _mse, y, targets, weights, mask, reduction, normalization_factor,
                       data_format, weights_format)


@public(_l2loss)
def l2loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: str = "sum",
           normalization_factor: str = "batch-size", data_format: str | None = None,
           weights_format: str | None = None) -> Any:
    """The squared error over the batch size, twice `mse`.

    Formula: (1/N) sum of (y - t)**2. Shapes, options and errors as in `mse`.

    >>> import gradloom as gl
    >>> gl.l2loss(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 15.0

    Source: MATLAB l2loss.
    """
    return _difference("l2loss", _l2loss, y, targets, weights, mask, reduction, normalization_factor,
                       data_format, weights_format)


@public(_l1loss)
def l1loss(y: Any, targets: Any, weights: Any = None, /, *, mask: Any = None, reduction: str = "sum",
           normalization_factor: str = "batch-size", data_format: str | None = None,
           weights_format: str | None = None) -> Any:
    """The absolute error over the batch size; derivative 0 where y equals its target.

    Formula: (1/N) sum of abs(y - t). Shapes, options and errors as in `mse`.

    >>> import gradloom as gl
    >>> gl.l1loss(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 5.0

    Source: MATLAB l1loss.
    """
    return _difference("l1loss", _l1loss, y, targets, weights, mask, reduction, normalization_factor,
                       data_format, weights_format)


@public(_huber)
def huber(y: Any, targets: Any, weights: Any = None, /, *, transition_point: float = 1.0, mask: Any = None,
          reduction: str = "sum",
          normalization_factor: str = "batch-size", data_format: str | None = None,
          weights_format: str | None = None) -> Any:
    """The Huber loss over the batch size: half the square of small errors, the absolute value of large ones.

    Formula: (1/N) sum of d**2 / 2 where abs(d) <= delta, else delta (abs(d) - delta / 2), with d = y - t and delta the
    transition point. Shapes, options and errors as in `mse`.

    >>> import gradloom as gl
    >>> gl.huber(gl.dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"), gl.zeros((2, 2)))
    dlarray float64 4.0

    Source: Huber 1964; MATLAB huber.
    """
    if not transition_point > 0:
        raise ShapeError(
            f"huber needs a transition_point above 0, not {transition_point!r}, at {line_of(user_site())}; write "
            "l1loss(y, targets) for none")
    return _difference("huber", _huber, y, targets, weights, mask, reduction, normalization_factor,
                       data_format, weights_format, float(transition_point))


__all__ = ["crossentropy", "huber", "indexcrossentropy", "l1loss", "l2loss", "mse"]
