"""Elementwise mathematics: one line of calculus each."""
from __future__ import annotations

import math
from typing import Any

import torch

from ...core.array import dlarray, operand
from ...core.declare import elementwise
from ...core.kinds.elementwise import Elementwise
from ...core.trace import Node
from ...machine.dtypes import HALF, NUMBER_TYPES, Tensor
from ...machine.finite import finite
from .arithmetic import (
    PAIRS_OF_ARRAYS,
    carried,
    conj,
    divide,
    fused_product,
    fused_quotient,
    number_like,
    pair,
    real,
    square,
)
from .complex_values import acos_kernel, expm1_kernel, log1p_kernel, tanh_kernel
from .slopes import (
    asinh_slope,
    atan_slope,
    bell,
    inverse_length,
    left,
    logistic_twice,
    minus_twice,
    one_minus_square,
    one_plus_square,
    shared,
    slope_of,
)

aten = torch.ops.aten
TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


# ----- mathematics -----


exp = elementwise("exp", torch.exp, lambda y: y, doc="e ** x.", matlab="exp")
expm1 = elementwise("expm1", expm1_kernel, lambda x: exp(x), fused_pull=lambda y_bar, x: carried(y_bar, torch.exp(x)),
                    doc="e ** x - 1, accurate near 0.", matlab="expm1", torch=("expm1", "special.expm1"))
exp2 = elementwise("exp2", torch.exp2, lambda y: y * math.log(2),
                   fused_pull=lambda y_bar, y: fused_product(y_bar, y, math.log(2)),
                   doc="2 ** x.", matlab="pow2", torch=("exp2", "special.exp2"))
log = elementwise("log", torch.log, lambda x: 1 / x, singular=True, domain=(0.5, 3),
                  fused_pull=lambda y_bar, x: fused_quotient(y_bar, x),
                  doc="The natural logarithm.", matlab="log")
log1p = elementwise("log1p", log1p_kernel, lambda x: 1 / (1 + x), singular=True, domain=(-0.5, 2),
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
acos = elementwise("acos", acos_kernel, lambda x: -1 / sqrt(one_minus_square(x)), singular=True, domain=(-0.9, 0.9),
                   fused_pull=lambda y_bar, x: fused_quotient(y_bar, one_minus_square(x).sqrt_(), -1),
                   doc="The inverse cosine, in radians.", matlab="acos", torch=("acos", "arccos"))
atan = elementwise("atan", torch.atan, lambda x: atan_slope(x),
                   fused_pull=lambda y_bar, x: carried(y_bar, atan_slope(x)),
                   doc="The inverse tangent, in radians.", matlab="atan", torch=("atan", "arctan"))
sinh = elementwise("sinh", torch.sinh, lambda x: cosh(x), doc="The hyperbolic sine.", matlab="sinh")
cosh = elementwise("cosh", torch.cosh, lambda x: sinh(x), doc="The hyperbolic cosine.", matlab="cosh")


def tanh_fused(y_bar: Tensor, x: Tensor, slope: Tensor | None) -> Tensor:
    """y_bar times the slope of tanh, which is 4 logistic(2 x) logistic(-2 x)."""
    return logistic_twice(y_bar, x, 2).mul_(4) if slope is None else y_bar * slope


def _tanh_slope_kernel(x: Tensor) -> Tensor:
    return 1 - torch.tanh(x).square_() if x.is_complex() else logistic_twice(number_like(4, x), x, 2)


_tanh_there = shared("tanh", lambda x: tanh(x))


def _tanh_slope_fused(y_bar: Tensor, y: Tensor, x: Tensor, x_place: Node) -> Tensor:
    there = _tanh_there.value_at(x_place)  # type: ignore[attr-defined]
    return fused_product(y_bar, y, -2).mul_(torch.tanh(x) if there is None else there)


_tanh_slope = slope_of("tanh_slope", _tanh_slope_kernel, lambda y, x: minus_twice(_tanh_there(x), y),
                       fused_pull=_tanh_slope_fused)


def tanh_slope(x: Any, y: Any) -> Any:
    """The slope of tanh at x, where tanh is y, which is found again for the derivative of the slope."""
    if type(x) is dlarray and x._node is not None and type(y) is dlarray and y._node is not None:
        _tanh_there.keep(x._node, y)  # type: ignore[attr-defined]
    return _tanh_slope(x)


tanh = elementwise("tanh", tanh_kernel, lambda y, x, y_place: left(y_place, tanh_slope(x, y)),
                   fused_pull=tanh_fused, finds_output=True, leaves="slope",
                   doc="The hyperbolic tangent.", matlab="tanh")
asinh = elementwise("asinh", torch.asinh, lambda x: asinh_slope(x),
                    fused_pull=lambda y_bar, x: carried(y_bar, asinh_slope(x)),
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


def unary_with_options(name: str, kernel: Any, slope: Any, **rest: Any) -> Elementwise:
    return Elementwise(name, kernel, [slope], ("x",), **rest)


def apply_unary(operation: Elementwise, x: Any, params: dict[str, Any]) -> Any:
    """Run an elementwise operation of one array and some options."""
    x = operand(x)
    if type(x) in NUMBER_TYPES:
        x = dlarray(x)
    if type(x) is dlarray and not (x.dtype.is_floating_point or x.dtype.is_complex):
        x = dlarray._made(x._value.to(torch.float64), None, x._labels)
    return operation.apply((x,), params, getattr(x, "_labels", None))


# ----- not holomorphic -----


def _sign_kernel(x: Tensor) -> Tensor:
    y = torch.sgn(x)
    return y.masked_fill(x.isnan(), math.nan) if x.is_floating_point() else y  # torch's has 0 for the sign of NaN


sign = elementwise("sign", _sign_kernel, 0,
                   complex_partials=[(lambda x: 0.5 * inverse_length(absolute(x)),
                                      lambda y, x: -0.5 * y * y * inverse_length(absolute(x)))],
                   singular=True, doc="x / abs(x), 0 at 0, NaN of NaN.", matlab="sign", promotes=False,
                   torch=("sign", "sgn"))
absolute = elementwise("abs", torch.abs, lambda x: sign(x),
                       complex_partials=[(lambda x: 0.5 * conj(sign(x)), lambda x: 0.5 * sign(x))],
                       fused_pull=lambda y_bar, x: _sign_kernel(x) * y_bar, complex_fused=True,
                       squared=lambda x: real(conj(x) * x) if x.dtype.is_complex else square(x),
                       doc="The absolute value, with derivative 0 at 0.", matlab="abs", promotes=False,
                       torch=("abs", "absolute"))
angle = elementwise("angle", torch.angle, 0,
                    complex_partials=[(lambda x: divide(-0.5j, x), lambda x: divide(0.5j, conj(x)))],
                    singular=True, doc="The phase of a complex number, in radians.", matlab="angle")


# ----- two operands -----


# of two coordinates: b / (a * a + b * b), which is the slope of their angle in a, and a / sqrt(a * a + b * b), that of
# their length in a
_atan2_slope = Elementwise(
    "atan2_slope", pair(lambda a, b: _over_squares(a, b)),
    [lambda a, b: -2 * (atan2_slope(a, b) * atan2_slope(b, a)), lambda a, b: _atan2_bend(a, b)],
    ("a", "b"), singular=True, domain=(0.5, 2), samples=PAIRS_OF_ARRAYS, real_only="takes two real coordinates")
_hypot_slope = Elementwise(
    "hypot_slope", pair(lambda a, b: _share(a, b)),
    [lambda a, b: _turn(a, b, hypot_slope(b, a)), lambda a, b: -_turn(a, b, hypot_slope(a, b))],
    ("a", "b"), domain=(0.5, 2), samples=PAIRS_OF_ARRAYS, real_only="takes two real coordinates",
                           opaque=True)  # the kernel writes in place


def atan2_slope(a: Any, b: Any) -> Any:
    return _atan2_slope.apply((a, b))


def hypot_slope(a: Any, b: Any) -> Any:
    return _hypot_slope.apply((a, b))


def _atan2_bend(a: Any, b: Any) -> Any:
    """(a * a - b * b) / (a * a + b * b) ** 2."""
    length = hypot(a, b)
    return (((a - b) / length) / length) * (((a + b) / length) / length)


def _turn(a: Any, b: Any, share: Any) -> Any:
    """How much the direction of (a, b) turns as a or b grows: NaN at (0, 0), where the slope of the length is 0 by
    convention."""
    return (hypot_slope(b, a) / hypot(a, b)) * share


def _over_squares(a: Tensor, b: Tensor) -> Tensor:
    length = torch.hypot(a, b)
    return b / length / length


def _share(a: Tensor, b: Tensor) -> Tensor:
    length = torch.hypot(a, b)
    return a / length.masked_fill_(length == 0, 1)


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


def _same(a: Any, b: Any) -> Any:
    dtype = torch.result_type(a, b)
    if dtype in HALF:
        raise TypeError("there are no complex numbers in half precision; write x.astype('float32') first")
    return torch.broadcast_tensors(a.to(dtype), b.to(dtype))


_complex = elementwise("complex", pair(lambda a, b: torch.complex(*_same(a, b))), 1, 1j, complex_fused=True,
                       doc="a + b i.", matlab="complex",
                       fused_pull=(lambda y_bar: y_bar.real, lambda y_bar: y_bar.imag),
                       real_only="takes two real coordinates", without_half="no complex numbers are made of it")
