"""Comparisons, logic and rounding: results that carry no derivative."""
from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

from ...core.array import dlarray
from ...core.calls import broadcast_operands, mixed
from ...core.declare import discrete, dressed, elementwise
from ...core.operation import NO_PARAMS, Operation
from ...machine.dtypes import Tensor, differentiable


def _declared(name: str, kernel: Callable[..., Any], doc: str, inputs: tuple[str, ...] = ("a", "b"),
              matlab: str | None = None, **rest: Any) -> Callable[..., Any]:
    operation: Operation = discrete(name, kernel, inputs, matlab=matlab, **{"torch": (name,), **rest})

    def binary(a: Any, b: Any, /) -> Any:
        return _constant(operation, (a, b))

    def unary(x: Any, /) -> Any:
        return _constant(operation, (x,))

    call = unary if len(inputs) == 1 else binary
    call.__name__ = "call"
    return dressed(call, operation, doc)


def _constant(operation: Operation, args: tuple[Any, ...]) -> Any:
    inputs, labels = broadcast_operands(operation, args)
    return operation.apply(mixed([dlarray._made(x._value, None, x._labels) if type(x) is dlarray
                                  else x for x in inputs]), NO_PARAMS, labels)


def _logical(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Any, b: Any) -> Any:
        like = a if isinstance(a, Tensor) else b
        return kernel(*(x if isinstance(x, Tensor) else torch.as_tensor(x, device=like.device) for x in (a, b)))

    return run


def _compared(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Integers as they are: torch would bring one without axes into the type of the other, where it may not fit."""

    def run(a: Any, b: Any) -> Any:
        if (isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype is not b.dtype and not (a.ndim and b.ndim)
                and not (differentiable(a.dtype) or differentiable(b.dtype))):
            common = torch.promote_types(a.dtype, b.dtype)
            a, b = a.to(common), b.to(common)
        return kernel(a, b)

    return run


equal = _declared("equal", _compared(operator.eq), "a == b, element by element.", matlab="eq",
                  torch=("eq",))
not_equal = _declared("not_equal", _compared(operator.ne), "a != b, element by element.", matlab="ne",
                      torch=("not_equal", "ne"))
less = _declared("less", _compared(operator.lt), "a < b, element by element.", matlab="lt",
                 torch=("less", "lt"))
less_equal = _declared("less_equal", _compared(operator.le), "a <= b, element by element.", matlab="le",
                       torch=("less_equal", "le"))
greater = _declared("greater", _compared(operator.gt), "a > b, element by element.", matlab="gt",
                    torch=("greater", "gt"))
greater_equal = _declared("greater_equal", _compared(operator.ge), "a >= b, element by element.",
                          matlab="ge", torch=("greater_equal", "ge"))
logical_and = _declared("logical_and", _logical(torch.logical_and), "Both are not zero.", matlab="and")
logical_or = _declared("logical_or", _logical(torch.logical_or), "One or both are not zero.", matlab="or")
logical_xor = _declared("logical_xor", _logical(torch.logical_xor), "Exactly one is not zero.", matlab="xor")
logical_not = _declared("logical_not", torch.logical_not, "x is zero.", ("x",), matlab="not")
bitwise_and = _declared("bitwise_and", operator.and_, "a & b.",
                        torch=("bitwise_and", "__and__"))
bitwise_or = _declared("bitwise_or", operator.or_, "a | b.",
                       torch=("bitwise_or", "__or__"))
bitwise_xor = _declared("bitwise_xor", operator.xor, "a ^ b.",
                        torch=("bitwise_xor", "__xor__"))
bitwise_left_shift = _declared("bitwise_left_shift", operator.lshift, "a << b.", matlab="bitshift")
bitwise_right_shift = _declared("bitwise_right_shift", operator.rshift, "a >> b.")
bitwise_invert = _declared("bitwise_invert", torch.bitwise_not, "~x.", ("x",),
                           torch=("bitwise_not",))
isnan = _declared("isnan", torch.isnan, "x is NaN.", ("x",), matlab="isnan")
isinf = _declared("isinf", torch.isinf, "x is infinite.", ("x",), matlab="isinf")
isfinite = _declared("isfinite", torch.isfinite, "x is neither NaN nor infinite.", ("x",), matlab="isfinite")
signbit = _declared("signbit", torch.signbit, "x is negative.", ("x",))


def _rounding(name: str, kernel: Callable[..., Any], doc: str, matlab: str | None = None,
              **rest: Any) -> Callable[..., Any]:
    """A piecewise constant function: its derivative is 0, which is recorded, so that it is never a constant by
    accident. Integers stay what they are."""
    return elementwise(name, lambda x: kernel(x) if differentiable(x.dtype) else x, 0, doc=doc,
                       matlab=matlab, promotes=False, real_only="rounding is of real numbers",
                       **rest)


floor = _rounding("floor", torch.floor, "The largest integer not above x; derivative 0.", "floor")
ceil = _rounding("ceil", torch.ceil, "The smallest integer not below x; derivative 0.", "ceil")
round = _rounding("round", torch.round, "The nearest integer, halves to even; derivative 0.", "round")
trunc = _rounding("trunc", torch.trunc, "x without its fraction; derivative 0.", "fix",
                  torch=("trunc", "fix"))

__all__ = ["bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
           "ceil", "equal", "floor", "greater", "greater_equal", "isfinite", "isinf", "isnan",
           "less", "less_equal", "logical_and", "logical_not",
           "logical_or", "logical_xor", "not_equal", "round", "signbit", "trunc"]
