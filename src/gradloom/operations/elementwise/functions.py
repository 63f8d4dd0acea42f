"""Elementwise mathematics and activations: one line of calculus each."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...blocks.block import Block
from ...core.array import dlarray, operand
from ...core.calls import broadcast_operands, mixed
from ...core.declare import elementwise, public
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.kinds.elementwise import Elementwise
from ...machine.dtypes import HALF, NUMBER_TYPES, Tensor
from ...machine.finite import finite
from .arithmetic import (
    add,
    divide,
    fused_product,
    fused_quotient,
    multiply,
    number_like,
    pair,
    positive,
    real,
    square,
)
from .slopes import (
    asinh_slope,
    atan2_slope,
    atan_slope,
    bell,
    elu_slope,
    gelu_fused,
    gelu_slope,
    hypot_slope,
    inverse_length,
    left,
    logistic,
    logistic_fused,
    logistic_slope,
    one_minus_square,
    one_plus_square,
    scaled_logistic,
    silu_fused,
    silu_slope,
    tanh_fused,
    tanh_slope,
)

aten = torch.ops.aten
TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


# ----- mathematics -----


exp = elementwise("exp", torch.exp, lambda y: y, doc="e ** x.", matlab="exp")
expm1 = elementwise("expm1", torch.expm1, lambda x: exp(x), fused_pull=lambda y_bar, x: torch.exp(x).mul_(y_bar),
                    doc="e ** x - 1, accurate near 0.", matlab="expm1", torch=("expm1", "special.expm1"))
exp2 = elementwise("exp2", torch.exp2, lambda y: y * math.log(2),
                   fused_pull=lambda y_bar, y: fused_product(y_bar, y, math.log(2)),
                   doc="2 ** x.", matlab="pow2", torch=("exp2", "special.exp2"))
log = elementwise("log", torch.log, lambda x: 1 / x, singular=True, domain=(0.5, 3),
                  fused_pull=lambda y_bar, x: fused_quotient(y_bar, x),
                  doc="The natural logarithm.", matlab="log")
log1p = elementwise("log1p", torch.log1p, lambda x: 1 / (1 + x), singular=True, domain=(-0.5, 2),
                    fused_pull=lambda y_bar, x: fused_quotient(y_bar, 1 + x), doc="log(1 + x), accurate near 0.",
                    matlab="log1p", torch=("log1p", "special.log1p"))
log2 = elementwise("log2", torch.log2, lambda x: divide(1 / math.log(2), x), singular=True, domain=(0.5, 3),
                   fused_pull=lambda y_bar, x: fused_quotient(y_bar, x, 1 / math.log(2)),
                   doc="The logarithm to base 2.", matlab="log2")
log10 = elementwise("log10", torch.log10, lambda x: divide(1 / math.log(10), x), singular=True, domain=(0.5, 3),
                    fused_pull=lambda y_bar, x: fused_quotient(y_bar, x, 1 / math.log(10)),
                    doc="The logarithm to base 10.", matlab="log10")
sqrt = elementwise("sqrt", torch.sqrt, lambda y: 0.5 / y, singular=True, domain=(0.5, 3), doc="The square root.",
                   matlab="sqrt",
                   fused_pull=lambda y_bar, y: fused_quotient(y_bar, y, 0.5))
rsqrt = elementwise("rsqrt", torch.rsqrt, lambda y, x: -0.5 * y / x, singular=True, domain=(0.5, 3), doc="1 / sqrt(x).",
                    fused_pull=lambda y_bar, y, x: fused_product(y_bar, y, -0.5).div_(x))
reciprocal = elementwise("reciprocal", torch.reciprocal, lambda y: -(y * y), singular=True,
                         domain=(0.5, 3), doc="1 / x.",
                         fused_pull=lambda y_bar, y: fused_product(y_bar, y, -1).mul_(y))

sin = elementwise("sin", torch.sin, lambda x: cos(x), fused_pull=lambda y_bar, x: y_bar * torch.cos(x),
                  doc="The sine; x in radians.", matlab="sin")
cos = elementwise("cos", torch.cos, lambda x: -sin(x),
                  fused_pull=lambda y_bar, x: fused_product(y_bar, torch.sin(x), -1),
                  doc="The cosine; x in radians.", matlab="cos")
tan = elementwise("tan", torch.tan, lambda y: one_plus_square(y), domain=(-1, 1), doc="The tangent; x in radians.",
                  matlab="tan")
asin = elementwise("asin", torch.asin, lambda x: 1 / sqrt(one_minus_square(x)), singular=True, domain=(-0.9, 0.9),
                   fused_pull=lambda y_bar, x: fused_quotient(y_bar, one_minus_square(x).sqrt_()),
                   doc="The inverse sine, in radians.", matlab="asin", torch=("asin", "arcsin"))
acos = elementwise("acos", torch.acos, lambda x: -1 / sqrt(one_minus_square(x)), singular=True, domain=(-0.9, 0.9),
                   fused_pull=lambda y_bar, x: fused_quotient(y_bar, one_minus_square(x).sqrt_(), -1),
                   doc="The inverse cosine, in radians.", matlab="acos", torch=("acos", "arccos"))
atan = elementwise("atan", torch.atan, lambda x: atan_slope(x), fused_pull=lambda y_bar, x: atan_slope(x).mul_(y_bar),
                   doc="The inverse tangent, in radians.", matlab="atan", torch=("atan", "arctan"))
sinh = elementwise("sinh", torch.sinh, lambda x: cosh(x), doc="The hyperbolic sine.", matlab="sinh")
cosh = elementwise("cosh", torch.cosh, lambda x: sinh(x), doc="The hyperbolic cosine.", matlab="cosh")
tanh = elementwise("tanh", torch.tanh, lambda y, x, y_place: left(y_place, tanh_slope(x, y)),
                   fused_pull=tanh_fused, finds_output=True, leaves="slope",
                   doc="The hyperbolic tangent.", matlab="tanh")
asinh = elementwise("asinh", torch.asinh, lambda x: asinh_slope(x),
                    fused_pull=lambda y_bar, x: asinh_slope(x).mul_(y_bar),
                    doc="The inverse hyperbolic sine.", matlab="asinh", torch=("asinh", "arcsinh"))
acosh = elementwise("acosh", torch.acosh, lambda x: 1 / (sqrt(x - 1) * sqrt(x + 1)), singular=True, domain=(1.5, 3),
                    fused_pull=lambda y_bar, x: fused_quotient(y_bar, (x - 1).sqrt_().mul_((x + 1).sqrt_())),
                    doc="The inverse hyperbolic cosine.", matlab="acosh", torch=("acosh", "arccosh"))
atanh = elementwise("atanh", torch.atanh, lambda x: 1 / one_minus_square(x), singular=True, domain=(-0.9, 0.9),
                    fused_pull=lambda y_bar, x: fused_quotient(y_bar, one_minus_square(x)),
                    doc="The inverse hyperbolic tangent.",
                    matlab="atanh", torch=("atanh", "arctanh"))
erf = elementwise("erf", torch.erf, lambda x: TWO_OVER_ROOT_PI * bell(x),
                  fused_pull=lambda y_bar, x: fused_product(y_bar, bell(x), TWO_OVER_ROOT_PI),
                  doc="The error function.", matlab="erf", real_only="of real numbers in SciPy, or in torch",
                  torch=("erf", "special.erf"))
erfc = elementwise("erfc", torch.erfc, lambda x: -TWO_OVER_ROOT_PI * bell(x),
                   fused_pull=lambda y_bar, x: fused_product(y_bar, bell(x), -TWO_OVER_ROOT_PI),
                   doc="1 - erf(x).", matlab="erfc", real_only="of real numbers in SciPy, or in torch",
                   torch=("erfc", "special.erfc"))

# ----- activations -----

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
    """0 where y <= 0, else 1, in y's type: a constant, by the kernel of the fused pull, so that they agree on what is no number."""
    if isinstance(y, Tensor):
        return _threshold_into(number_like(1, y), y, 0, grad_input=torch.empty_like(y))
    return dlarray._made(_step(y._value), None, y._labels)


def _unary_with_options(name: str, kernel: Any, slope: Any, **rest: Any) -> Elementwise:
    return Elementwise(name, kernel, [slope], ("x",), **rest)


def apply_unary(operation: Elementwise, x: Any, params: dict[str, Any]) -> Any:
    """Run an elementwise operation of one array and some options."""
    x = operand(x)
    if type(x) in NUMBER_TYPES:
        x = dlarray(x)
    if type(x) is dlarray and not (x.dtype.is_floating_point or x.dtype.is_complex):
        x = dlarray._made(x._value.to(torch.float64), None, x._labels)
    return operation.apply((x,), params, getattr(x, "_labels", None))


_leakyrelu = _unary_with_options("leakyrelu", lambda x, scale: torch._C._nn.leaky_relu(x, scale),
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


_elu = _unary_with_options("elu", lambda x, alpha: torch._C._nn.elu(x, alpha), lambda x, alpha: elu_slope(x, alpha),
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


_gelu = _unary_with_options("gelu", lambda x, approximation: torch._C._nn.gelu(x, approximate=approximation),
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


# ----- not holomorphic -----

sign = elementwise("sign", torch.sgn, 0, complex_partials=[(lambda x: 0.5 * inverse_length(absolute(x)),
                                                            lambda y, x: -0.5 * y * y * inverse_length(absolute(x)))],
                   singular=True, doc="x / abs(x), 0 at 0.", matlab="sign", promotes=False, torch=("sign", "sgn"))
absolute = elementwise("abs", torch.abs, lambda x: sign(x),
                       complex_partials=[(lambda x: 0.5 * _conj(sign(x)), lambda x: 0.5 * sign(x))],
                       fused_pull=lambda y_bar, x: torch.sgn(x).mul_(y_bar), complex_fused=True, operators=("__abs__",),
                       squared=lambda x: real(_conj(x) * x) if x.dtype.is_complex else square(x),
                       doc="The absolute value, with derivative 0 at 0.", matlab="abs", promotes=False,
                       torch=("abs", "absolute"))
angle = elementwise("angle", torch.angle, 0, complex_partials=[(lambda x: divide(-0.5j, x),
                                                                lambda x: divide(0.5j, _conj(x)))], singular=True,
                    doc="The phase of a complex number, in radians.", matlab="angle")


def _conj(x: Any) -> Any:
    from .arithmetic import conj

    return conj(x)


# ----- two operands -----


maximum = elementwise("maximum", pair(torch.maximum), lambda a, b: _first(a, b, torch.ge),
                      lambda a, b: 1 - _first(a, b, torch.ge),
                      doc="The larger of a and b; the derivative goes to a where they are equal.", matlab="max",
                      selects=True, promotes=False, real_only="complex numbers have no order")
minimum = elementwise("minimum", pair(torch.minimum), lambda a, b: _first(a, b, torch.le),
                      lambda a, b: 1 - _first(a, b, torch.le),
                      doc="The smaller of a and b; the derivative goes to a where they are equal.", matlab="min",
                      selects=True, promotes=False, real_only="complex numbers have no order")
atan2 = elementwise("atan2", pair(torch.atan2), lambda a, b: atan2_slope(a, b), lambda a, b: -atan2_slope(b, a),
                    singular=True, domain=(0.5, 2), doc="The angle of the point (b, a), in radians.", matlab="atan2",
                    real_only="takes two real coordinates", torch=("atan2", "arctan2"))
hypot = elementwise("hypot", pair(torch.hypot), lambda a, b: hypot_slope(a, b), lambda a, b: hypot_slope(b, a),
                    domain=(0.5, 2),
                    fused_pull=(lambda y_bar, y, a: _share_of(y_bar, a, y), lambda y_bar, y, b: _share_of(y_bar, b, y)),
                    squared=lambda a, b: square(a) + square(b),
                    doc="sqrt(a**2 + b**2) without overflow; derivative 0 at (0, 0).", matlab="hypot",
                    real_only="takes two real coordinates")


def _share_of(y_bar: Tensor, a: Any, y: Tensor) -> Tensor:
    """y_bar a / y, 0 where y is 0."""
    bar = (y_bar * a).div_(y)
    return bar if finite(bar) else y_bar * (a / y.masked_fill(y == 0, 1))


def _first(a: Any, b: Any, compare: Any) -> Any:
    """1 where compare(a, b), else 0: a constant in the operands' type."""
    raw = [x._value if type(x) is dlarray else x for x in (a, b)]
    like = next(x for x in raw if isinstance(x, Tensor))
    mask = pair(compare)(*raw).to(like.dtype)
    return dlarray._made(mask, None) if dlarray in (type(a), type(b)) else mask


# ----- selection: where selects, it never multiplies -----


def _where(condition: Any, a: Any, b: Any) -> Any:
    return torch.where(condition, a, b)


class _Where(Elementwise):
    """Selection: the condition carries no derivative, and a cotangent is selected, never multiplied."""

    def __init__(self, *args: Any, **rest: Any):
        super().__init__(*args, **rest)
        self.raw_pulls = None

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        c = v[0]
        return [None, where(c, y_bar, 0) if wanted[1] else None, where(c, 0, y_bar) if wanted[2] else None]

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        from ...core.operation import padded

        c, a_dot, b_dot = v[0], dots[1], dots[2]
        parts = []
        if a_dot is not None:
            parts.append(where(c, padded(a_dot, lead, node.ndim), 0))
        if b_dot is not None:
            parts.append(where(c, 0, padded(b_dot, lead, node.ndim)))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def reads(self, name: str) -> set[str]:
        return {"condition"}


_MASK = torch.tensor([[True, False, True], [False, False, True]], device="cpu")
def _where_on_block(operation: Any, inputs: Any, params: Any) -> Any:
    """Selecting between a Block and 0: one more factor of 0 and 1; it does not multiply what is infinite or not a number."""
    c, a, b = inputs
    block, keep = (a, c) if type(a) is Block else (b, ~c)
    keep = keep.to(block.dtype)
    if block.is_finite():
        return block.scaled(keep)
    return block.guarded(keep, lambda values, mask: torch.where(mask == 0,
                                                                torch.zeros((), dtype=values.dtype,
                                                                            device=values.device), values))


_where_operation = _Where("where", _where, [0, 1, 1], ("condition", "a", "b"),
                          samples=[(_MASK, (2, 3), (2, 3), {}), (_MASK[0], (2, 1), (2, 3), {}),
                                   (_MASK, (3,), 0.5, {}), (_MASK, 0.5, (2, 1), {})],
                          selects=True, act=_where_on_block)


@public(_where_operation)
def where(condition: Any, a: Any, b: Any, /) -> Any:
    """a where the condition holds, else b: it selects and never multiplies, so a NaN on the side not taken does not
    leak.

    Shapes broadcast, labels match by name.

    >>> import gradloom as gl
    >>> x = gl.dlarray([-1.0, 4.0])
    >>> gl.where(x > 0, gl.sqrt(x), 0.0)
    2 dlarray float64
    [0. 2.]

    Source: array API where.
    """
    inputs, labels = broadcast_operands(_where_operation, (condition, a, b))
    c = inputs[0]
    if type(c) in NUMBER_TYPES:
        c = dlarray(bool(c))
    elif c.dtype is not torch.bool:
        raise TypeRefused(f"where needs a condition of bools, at {line_of(user_site())}; write x != 0")
    chosen = inputs[1:]
    if all(type(x) in NUMBER_TYPES for x in chosen) and {float, complex} & set(map(type, chosen)):
        chosen[0] = dlarray(chosen[0])  # Python numbers are float64
    return _where_operation.apply((c, *mixed(chosen)), {}, labels)


_clip = Elementwise("clip", lambda x, low, high: torch.clamp(x, low, high),
                    [lambda x, low, high: _inside(x, low, high)], ("x",),
                    samples=[{"low": -0.5, "high": 0.7}], selects=True, real_only="complex numbers have no order")


def _inside(x: Any, low: Any, high: Any) -> Any:
    value = x._value if type(x) is dlarray else x
    mask = torch.ones_like(value, dtype=torch.bool)
    if low is not None:
        mask = mask & (value >= low)
    if high is not None:
        mask = mask & (value <= high)
    mask = mask.to(value.dtype)
    return dlarray._made(mask, None) if type(x) is dlarray else mask


@public(_clip)
def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max], numbers or arrays; derivative 1 on the bounds.

    >>> import gradloom as gl
    >>> gl.clip(gl.dlarray([-2.0, 0.5, 2.0]), -1, 1)
    3 dlarray float64
    [-1.   0.5  1. ]

    Source: array API clip.
    """
    if min is None and max is None:
        return positive(x)
    if (all(bound is None or type(bound) in NUMBER_TYPES for bound in (min, max))
        and getattr(x, "dtype", None) is not torch.bool):
        if float not in (type(min), type(max)) and hasattr(x, "dtype"):
            # integers stay integers
            return _clip.apply((operand(x),), {"low": min, "high": max}, getattr(x, "_labels", None))
        return apply_unary(_clip, x, {"low": min, "high": max})
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


def _same(a: Any, b: Any) -> Any:
    dtype = torch.result_type(a, b)
    if dtype in HALF:
        raise TypeError("there are no complex numbers in half precision; write x.astype('float32') first")
    return torch.broadcast_tensors(a.to(dtype), b.to(dtype))


_complex = elementwise("complex", pair(lambda a, b: torch.complex(*_same(a, b))), 1, 1j, complex_fused=True,
                       doc="a + b i.", matlab="complex",
                       fused_pull=(lambda y_bar: y_bar.real, lambda y_bar: y_bar.imag),
                       real_only="takes two real coordinates", without_half="no complex numbers are made of it")


__all__ = ["absolute", "acos", "acosh", "add", "angle", "asin", "asinh", "atan", "atan2", "atanh",
           "clip", "cos", "cosh", "elu", "erf", "erfc",
           "exp", "exp2", "expm1", "gelu", "hypot", "leakyrelu", "log", "log1p", "log2", "log10",
           "maximum", "minimum", "multiply", "reciprocal",
           "relu", "rsqrt", "sigmoid", "sign", "silu", "sin", "sinh", "softplus", "sqrt", "tan", "tanh", "where"]
