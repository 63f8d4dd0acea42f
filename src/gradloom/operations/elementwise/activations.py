"""Activations of networks."""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import dlarray
from ...core.declare import elementwise, public
from ...core.errors import ShapeError, line_of, user_site
from ...machine.dtypes import Tensor
from .activation_slopes import (
    elu_slope,
    gelu_fused,
    gelu_slope,
    logistic,
    logistic_fused,
    logistic_slope,
    silu_fused,
    silu_slope,
)
from .arithmetic import (
    number_like,
)
from .mathematics import apply_unary, aten, unary_with_options
from .slopes import (
    left,
    scaled_logistic,
)

sigmoid = elementwise("sigmoid", torch.sigmoid, lambda x, y_place: left(y_place, logistic_slope(x)), leaves="slope",
                      fused_pull=lambda y_bar, x, slope: logistic_fused(y_bar, x) if slope is None else y_bar * slope,
                      doc="1 / (1 + exp(-x)).", matlab="sigmoid", torch=("sigmoid", "special.expit"))
relu = elementwise("relu", torch.relu, lambda y: _step(y),
                   fused_pull=lambda y_bar, y: aten.threshold_backward(y_bar, y, 0),
                   doc="max(x, 0), with derivative 0 at 0.", matlab="relu", selects=True,
                   real_only="turns on the sign of a real number")
softplus = elementwise("softplus", lambda x: torch.logaddexp(x, torch.zeros((), dtype=x.dtype, device=x.device)),
                       lambda x, y_place: left(y_place, logistic(x)), leaves="slope",
                       fused_pull=lambda y_bar, x, slope: scaled_logistic(y_bar, x) if slope is None else y_bar * slope,
                       doc="log(1 + exp(x)), stable for every x.")
silu = elementwise("silu", torch._C._nn.silu, lambda x, y_place: left(y_place, silu_slope(x)), leaves="slope",
                   fused_pull=lambda y_bar, x, slope: silu_fused(y_bar, x) if slope is None else y_bar * slope,
                   doc="x sigmoid(x), also called swish.", matlab="swish")
_threshold_into = aten.threshold_backward.grad_input


def _step(y: Any) -> Any:
    """0 where y <= 0, else 1, in y's type: a constant, by the kernel of the fused pull, so that they agree on what is
    no number."""
    if isinstance(y, Tensor):
        return _threshold_into(number_like(1, y), y, 0, grad_input=torch.empty_like(y))
    return dlarray._made(_step(y._value), None, y._labels)


_leakyrelu = unary_with_options("leakyrelu", lambda x, scale: torch._C._nn.leaky_relu(x, scale),
                                lambda x, scale: _leaky_slope(x, scale),
                                fused_pull=lambda y_bar, x, scale: aten.leaky_relu_backward(y_bar, x, scale, False),
                                samples=[{"scale": 0.1}],
                                matlab="leakyrelu", selects=True, real_only="turns on the sign of a real number")


def _leaky_slope(x: Any, scale: float) -> Any:
    """1 where x > 0, else the scale: a constant, by the kernel of the fused pull."""
    if isinstance(x, Tensor):
        return aten.leaky_relu_backward(torch.ones((), dtype=x.dtype, device=x.device).expand(x.shape), x, scale, False)
    return dlarray._made(_leaky_slope(x._value, scale), None, x._labels)


@public(_leakyrelu)
def leakyrelu(x: Any, scale: float = 0.01) -> Any:
    """x where x > 0, else scale * x.

    >>> import gradloom as gl
    >>> gl.leakyrelu(gl.dlarray([-1.0, 2.0]), 0.1)
    2 dlarray float64
    [-0.1  2. ]

    Source: MATLAB leakyrelu.
    """
    return apply_unary(_leakyrelu, x, {"scale": scale})


_elu = unary_with_options("elu", lambda x, alpha: torch._C._nn.elu(x, alpha), lambda x, alpha: elu_slope(x, alpha),
                          samples=[{"alpha": 1.5}],
                          fused_pull=lambda y_bar, x, alpha: aten.elu_backward(y_bar, alpha, 1, 1, False, x),
                          selects=True, real_only="turns on the sign of a real number")


@public(_elu)
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1).

    >>> import gradloom as gl
    >>> gl.elu(gl.dlarray([0.0, 2.0]))
    2 dlarray float64
    [0. 2.]

    Source: Clevert, Unterthiner, Hochreiter 2016.
    """
    return apply_unary(_elu, x, {"alpha": alpha})


def _gelu_fused(y_bar: Tensor, x: Tensor, approximation: str, slope: Tensor | None) -> Tensor:
    return gelu_fused(y_bar, x, approximation) if slope is None else y_bar * slope


_gelu = unary_with_options("gelu", lambda x, approximation: torch._C._nn.gelu(x, approximate=approximation),
                           lambda x, approximation, y_place: left(y_place, gelu_slope(x, approximation)),
                           leaves="slope",
                           fused_pull=_gelu_fused,
                           samples=[{"approximation": "none"}, {"approximation": "tanh"}], matlab="gelu",
                           real_only="turns on the sign of a real number")


@public(_gelu)
def gelu(x: Any, *, approximation: str = "none") -> Any:
    """x times the standard normal distribution function, x / 2 (1 + erf(x / sqrt(2))), or its tanh approximation.

    >>> import gradloom as gl
    >>> gl.gelu(gl.dlarray([0.0]))
    1 dlarray float64
    [0.]

    Source: Hendrycks and Gimpel 2016; MATLAB gelu.
    """
    if approximation not in ("none", "tanh"):
        raise ShapeError(
            f"gelu: approximation is \"none\" or \"tanh\", not {approximation!r}, at {line_of(user_site())}")
    return apply_unary(_gelu, x, {"approximation": approximation})
