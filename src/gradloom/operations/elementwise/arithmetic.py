"""Sums, products, powers, and the conversions that a walk itself needs."""
from __future__ import annotations

import cmath
import functools
import math
import operator
from typing import Any

import torch

from ...blocks.block import Block
from ...core.array import dlarray, operand
from ...core.calls import left_to_the_other, unary
from ...core.declare import composite, elementwise, public
from ...core.kinds.elementwise import Elementwise
from ...core.operation import square_of
from ...core.options import dtype_asked
from ...core.tables import OPERATIONS
from ...machine.caches import cache
from ...machine.dtypes import COMPLEX_OF, HALF, NUMBER_TYPES, Tensor, differentiable
from ...machine.finite import all_finite, finite

add = elementwise("add", operator.add, 1, 1, doc="a + b.", matlab="plus",
                  promotes=False, takes_numbers=True, commutes=True)
subtract = elementwise("subtract", operator.sub, 1, -1, doc="a - b.", matlab="minus",
                       promotes=False, takes_numbers=True)
negative = elementwise("negative", operator.neg, -1, doc="-x.", matlab="uminus",
                       promotes=False, torch=("negative", "neg"))
positive = elementwise("positive", lambda x: x, 1, doc="x.", matlab="uplus", promotes=False)


def _multiply_on_block(operation: Elementwise, inputs: Any, params: dict[str, Any]) -> Block:
    a, b = inputs
    block, other = (a, b) if type(a) is Block else (b, a)
    if type(other) in NUMBER_TYPES:
        return block.times(other) if other != 0 or not block.is_finite() else block.made([], block.shape)
    if type(other) is Block:
        raise TypeError("the product of two structured Jacobians is not linear")
    return block.scaled(other)


multiply = elementwise("multiply", operator.mul, "b", "a", repeats=True,
                       doc="a * b, element by element.", act=_multiply_on_block,
                       matlab="times", promotes=False, takes_numbers=True, commutes=True, torch=("multiply", "mul"))


def _guarded(a: Any, b: Any) -> Any:
    """a * b with 0 where a or b is 0, even where the other is not finite; one more pass over the product only where
    that is not finite."""
    product = a * b
    if not isinstance(product, Tensor) or product.is_meta or not isinstance(a, Tensor):
        return product
    if finite(product):
        return product
    return torch.where((a == 0) | (b == 0), torch.zeros((), dtype=product.dtype, device=product.device), product)


def _scale_on_block(operation: Elementwise, inputs: Any, params: dict[str, Any]) -> Block:
    """Where a partial, or what it meets, is not finite, each term's factors are folded first, so that 0 times infinity
    is 0 entry by entry."""
    block, p = inputs
    if type(p) is Block or type(block) is not Block or p.is_meta or not block.folded and all_finite((p,)):
        return _multiply_on_block(operation, inputs, params)
    return block.guarded(p, _guarded)


scale = elementwise("scale", _guarded, "b", "a", singular=True, act=_scale_on_block,
                    doc="a * b where 0 times infinity is 0: how a walk multiplies a cotangent `a` with a partial `b` "
                        "where something was selected.")


# a + b * c, in one pass
multiply_add = Elementwise("multiply_add", lambda a, b, c: torch.addcmul(a, b, c), [1, "c", "b"], ("a", "b", "c"))


def _inverse(b: Any) -> Any:
    """1 / b, infinite for the number 0 as it is for arrays."""
    return math.copysign(math.inf, b) if type(b) in NUMBER_TYPES and b == 0 and not isinstance(b, complex) else 1 / b


_numbers: dict[Any, Tensor] = cache(f"{__name__}._numbers", {})


def number_like(value: int, like: Tensor) -> Tensor:
    """A number as a scalar tensor, made once: what a fused sum starts from."""
    number = _numbers.get((value, like.dtype, like.device))
    if number is None:
        number = torch.full((), value, dtype=like.dtype, device=like.device)
        if type(number) is Tensor:  # not one of a mode of torch's, which ends
            _numbers[value, like.dtype, like.device] = number
    return number


def fused_product(a: Tensor, b: Tensor, factor: float = 1) -> Tensor:
    """factor * a * b in one pass."""
    return torch.addcmul(number_like(0, a), a, b, value=factor)


def carried(y_bar: Tensor, slope: Tensor) -> Tensor:
    """y_bar * slope, for a pull: in the memory of the slope, which nobody else has, where the product fits there."""
    return slope.mul_(y_bar) if slope.shape == y_bar.shape else y_bar * slope


def fused_quotient(y_bar: Tensor, b: Any, factor: float = 1) -> Tensor:
    """factor * y_bar / b in one pass, for a pull."""
    if type(b) in NUMBER_TYPES:
        return y_bar * (factor * _inverse(b))
    return torch.addcdiv(number_like(0, y_bar), y_bar, b, value=factor)


def _divide_fused(y_bar: Tensor, y: Tensor, b: Any) -> Tensor:
    """The pull of the denominator."""
    return fused_product(y_bar, y, -1).div_(b)


def _divide_on_block(operation: Elementwise, inputs: Any, params: dict[str, Any]) -> Block:
    block, other = inputs
    if type(other) is Block:
        raise TypeError("a structured Jacobian in a denominator is not linear")
    return block.times(1 / other) if type(other) in NUMBER_TYPES else block.scaled(1 / other)


divide = elementwise("divide", operator.truediv, lambda b: _inverse(b), lambda y, b: -y / b, singular=True,
                     fused_pull=(lambda y_bar, b: fused_quotient(y_bar, b), _divide_fused),
                     doc="a / b, element by element.",
                     act=_divide_on_block, matlab="rdivide", domain=(0.5, 2.0), takes_numbers=True,
                     torch=("true_divide",))


def _square_fused(y_bar: Tensor, x: Tensor) -> Tensor:
    zero = _numbers.get((0, y_bar.dtype, y_bar.device))
    return torch.addcmul(number_like(0, y_bar) if zero is None else zero, y_bar, x, value=2)


_square = elementwise("square", torch.square, lambda x: x + x, fused_pull=_square_fused, promotes=False)


@public(_square.operation)  # type: ignore[attr-defined]
def square(x: Any, /) -> Any:
    """x * x, element by element.

    Any shape and labels, which the result keeps. The square of a length, such as `norm(x)`, `hypot(a, b)` or `abs(x)`,
    is made from what it is the length of: so it has all derivatives at 0, where the length has none.

    >>> import gradloom as gl
    >>> gl.square(gl.dlarray(3.0))
    dlarray float64 9.0
    """
    if (type(x) is dlarray and x._node is not None and x._node.operation.squared is not None
        and (squared := square_of(x)) is not None):
        return squared
    return _square(x)


def tensor_beside(number: Any, like: Tensor) -> Tensor:
    """A number as a tensor in an array's type, or in that of its own kind where the array's cannot hold it."""
    kind = type(number)
    if like.dtype is torch.bool and kind is not bool or kind is complex:
        dtype = torch.result_type(like, number) if like.dtype not in HALF else torch.complex64
    else:
        dtype = like.dtype
    return torch.as_tensor(number, dtype=dtype, device=like.device)


def pair(kernel: Any) -> Any:
    """A kernel that needs tensors, given a number on one side."""

    def run(a: Any, b: Any) -> Any:
        if not isinstance(a, Tensor):
            a = tensor_beside(a, b)
        elif not isinstance(b, Tensor):
            b = tensor_beside(b, a)
        return kernel(a, b)

    return run


def _power(a: Any, b: Any) -> Any:
    if type(a) in NUMBER_TYPES and isinstance(b, Tensor):
        return torch.pow(tensor_beside(a, b), b)
    return torch.pow(a, tensor_beside(b, a) if type(b) is bool else b)


def _power_base(a: Any, b: Any) -> Any:
    if type(b) in NUMBER_TYPES:
        return 0 if b == 0 else b * power(a, b - 1)
    return scale(power(a, b - 1), b)


def _power_fused(y_bar: Tensor, a: Any, b: Any) -> Any:
    """Two passes where the exponent is a number."""
    if type(b) not in NUMBER_TYPES or isinstance(b, complex):
        return y_bar * _power_base(a, b)
    return y_bar * 0 if b == 0 else fused_product(y_bar, torch.pow(a, b - 1), b)


# samples of slopes in two arrays
PAIRS_OF_ARRAYS: list[Any] = [((3,), (3,), {}), ((2, 1), (1, 3), {}), ((), (2, 3), {}), ((0, 1), (1,), {})]


def _power_exponent(y: Any, a: Any, b: Any) -> Any:
    if type(a) in NUMBER_TYPES:
        if a == 0:
            return 0 * y
        if not isinstance(a, complex) and a > 0:
            return y * math.log(a)
        # real powers of a negative number are at single exponents
        return y * (cmath.log(a) if y.dtype.is_complex else math.nan)
    return _power_log.apply((a, b))


def _power_log_kernel(a: Tensor, b: Any) -> Tensor:
    return (torch.pow(a, b) * torch.log(a)).masked_fill(a == 0, 0)


def _log(a: Any) -> Any:
    return OPERATIONS["log"].public(a)  # type: ignore[misc]


# a ** b log(a), the slope of a power in its exponent, 0 where a is 0
_power_log = Elementwise("power_log", _power_log_kernel, [lambda a, b: scale(power(a, b - 1), 1 + b * _log(a)),
                                                          lambda y, a: scale(y, _log(a))], ("a", "b"),
                         singular=True, domain=(0.5, 2), samples=PAIRS_OF_ARRAYS)
any_power = elementwise("power", _power, _power_base, _power_exponent, singular=True, fused_pull=(_power_fused, None),
                        doc="a ** b.", matlab="power", domain=(0.5, 2.0), promotes=False)


def _as_operator(function: Any) -> Any:
    """`power` with its quick way as an operator: x ** 2 of a traced array that is no length. The plain one is `power`
    itself."""
    squared = unary(_square.operation, 2)  # type: ignore[attr-defined]
    general = left_to_the_other(function)

    def operator(a: Any, b: Any, /) -> Any:
        if type(b) is int or type(b) is float:
            if b == 2 and type(a) is dlarray and a._node is not None and a._node.operation.squared is None:
                return squared(a)
            return function(a, b)
        return general(a, b)

    function.operator = operator
    return function


@public(any_power.operation)  # type: ignore[attr-defined]
@_as_operator
def power(a: Any, b: Any, /) -> Any:
    """a ** b, element by element.

    Formula: y = a ** b; dy/da = b a ** (b - 1), dy/db = y log(a), with 0 where b, or a, is 0. Shapes broadcast; labels
    match by name.

    >>> import gradloom as gl
    >>> gl.power(gl.dlarray([1.0, 2.0, 3.0]), 2)
    3 dlarray float64
    [1. 4. 9.]

    Source: MATLAB power, array API power.
    """
    if type(b) is int or type(b) is float:
        if b == 2 and hasattr(a, "dtype") and (type(b) is int or differentiable(a.dtype)):
            return square(a)
        if (type(a) is dlarray and a._node is not None and a._node.operation.squared is not None
            and b > 2 and b % 2 == 0):
            return any_power(square(a), b // 2)
    return any_power(a, b)


@composite
def pow(a: Any, b: Any, /) -> Any:
    """a ** b, element by element: `power` under the array API's name.

    >>> import gradloom as gl
    >>> gl.pow(gl.dlarray(3.0), 2)
    dlarray float64 9.0

    Source: array API pow.
    """
    return power(a, b)


def _conj_on_block(operation: Elementwise, inputs: Any, params: dict[str, Any]) -> Block:
    return inputs[0].conjugated() if inputs[0].dtype.is_complex else inputs[0]


conj = elementwise("conj", torch.conj, 1, complex_partials=[(0, 1)], fused_pull=lambda y_bar: y_bar.conj(),
                   complex_fused=True, act=_conj_on_block,
                   doc="The complex conjugate.", matlab="conj", promotes=False,
                   torch=("conj", "conj_physical", "_conj", "_conj_physical", "prims.conj"))
real = elementwise("real", lambda x: x.real.clone() if x.is_complex() else x, 1, complex_partials=[(0.5, 0.5)],
                   fused_pull=lambda y_bar: y_bar,
                   complex_fused=True, act=lambda operation, inputs, params: inputs[0].real_part(),
                   doc="The real part.", matlab="real", promotes=False)
imag = elementwise("imag", lambda x: x.imag.clone() if x.is_complex() else torch.zeros_like(x),
                   0, complex_partials=[(-0.5j, 0.5j)],
                   fused_pull=lambda y_bar: y_bar * 1j,
                   complex_fused=True, act=lambda operation, inputs, params: inputs[0].times(-1j).real_part(),
                   doc="The imaginary part.", matlab="imag", promotes=False)


class _Cast(Elementwise):
    """x in another type: the identity for a derivative, whose walk fits types itself."""


def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.real.to(dtype) if x.is_complex() and not dtype.is_complex else x.to(dtype)


def _cast_on_block(operation: Elementwise, inputs: Any, params: dict[str, Any]) -> Block:
    block, dtype = inputs[0], params["dtype"]
    if block.dtype.is_complex and not dtype.is_complex:
        block = block.real_part()
        # real values of a complex x: p x_dot + conj(p x_dot)
        dtype = COMPLEX_OF[dtype] if block.dtype.is_complex else dtype
    terms = [t.replaced(factors=tuple((a.to(dtype), ids) for a, ids in t.factors)) for t in block.terms]
    return block.made(terms, block.shape, dtype)


_astype = _Cast("astype", _cast, [1], ("x",), act=_cast_on_block,
                samples=[{"dtype": torch.float64}, {"dtype": torch.complex128}])


@public(_astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The same values in another type, on another device where one is given; recorded, so that a gradient has the type
    of x.

    A complex array that becomes real loses its imaginary part. Values never change, so that `copy` makes no difference.

    >>> import gradloom as gl
    >>> gl.astype(gl.dlarray([1.0, 2.0]), "float32").dtype
    torch.float32
    """
    x = operand(x)
    x = dlarray(x) if type(x) in NUMBER_TYPES else x
    wanted = dtype_asked(dtype)
    if device is not None:
        x = x.to(device=device)
    if x.dtype == wanted:
        return dlarray(x) if type(x) is dlarray else x
    return _astype.apply((x,), {"dtype": wanted}, getattr(x, "_labels", None))


def _floor_divide_kernel(a: Any, b: Any) -> Tensor:
    """floor(a / b) where a or b is infinite, as the array API has it: torch's has NaN and -1 there."""
    y: Tensor = operator.floordiv(a, b)
    if not y.is_floating_point():
        return y
    infinite = functools.reduce(torch.logical_or, [x.isinf() if isinstance(x, Tensor) else
                                                   torch.tensor(abs(x) == math.inf, device=y.device) for x in (a, b)])
    return torch.where(infinite, torch.floor(operator.truediv(a, b)).to(y.dtype), y)


floor_divide = elementwise("floor_divide", _floor_divide_kernel, 0, 0,
                           domain=(0.6, 0.9),
                           doc="The largest integer not above a / b, consistent with mod; derivative 0.",
                           promotes=False, real_only="rounding is of real numbers",
                           torch=("floor_divide", "__floordiv__"))


@composite
def remainder(a: Any, b: Any, /) -> Any:
    """a - floor(a / b) b, with the sign of b.

    >>> import gradloom as gl
    >>> gl.remainder(gl.dlarray([5.0, -5.0]), 3)
    2 dlarray float64
    [2. 1.]
    """
    return mod(a, b)


def _mod_kernel(a: Any, b: Any) -> Tensor:
    """A zero has the sign of b too, as in NumPy and the array API."""
    y: Tensor = operator.mod(a, b)
    return torch.copysign(y, b) if y.is_floating_point() else y


mod = elementwise("mod", _mod_kernel, 1, lambda a, b: -_floor(a / b), doc="a - floor(a / b) b, with the sign of b.",
                  matlab="mod", domain=(0.6, 0.9), promotes=False,
                  real_only="rounding is of real numbers", torch=("remainder",))


def _floor(x: Any) -> Any:
    return OPERATIONS["floor"].public(x)  # type: ignore[misc]


__all__ = ["add", "astype", "conj", "divide", "floor_divide", "imag", "mod", "multiply", "negative",
           "positive", "pow", "power", "real",
           "remainder", "scale", "square", "subtract"]
