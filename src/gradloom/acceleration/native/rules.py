"""What elementwise calls compute, as formulas of lanes: the same formulas as torch's, special values included."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ...machine.dtypes import Tensor
from .exponentials import exp, expm1, tanh
from .lanes import NotFused, Value, chosen

Rule = Callable[..., Value]
RULES: dict[Any, Rule] = {}  # by the function that is called; the first argument of those in WRITES is written to
WRITES: set[Any] = set()
_NN = torch._C._nn
_OWNERS = (torch, Tensor, torch.special, _NN)


def found(names: str) -> list[tuple[Any, bool]]:
    """(function, whether it writes over its first argument) of torch's functions of these names."""
    its = []
    for name in names.split():
        for owner in _OWNERS:
            its += [(f, n != name or name in IN_PLACE) for n in (name, name + "_")
                    if callable(f := getattr(owner, n, None))]
        packet = getattr(torch.ops.aten, name, None) if not name.startswith("_") else None
        if packet is not None:
            its += [(getattr(packet, o), False) for o in packet.overloads() if o in OVERLOADS] + [(packet, False)]
    return its


IN_PLACE = ("__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__")
OVERLOADS = ("default", "Tensor", "Scalar", "Tensor_Scalar", "grad_input", "out")


def _rule(names: str, rule: Rule) -> None:
    for f, writes in found(names):
        RULES[f] = rule
        if writes:
            WRITES.add(f)


def _times(k: Any, x: Value) -> Value:
    return x if type(k) is not bool and k == 1 else x * k


def _added(a: Any, b: Any, alpha: Any = 1) -> Any:
    """a + alpha b, rounded once, as torch does."""
    if alpha == 1:
        return a + b
    b = b if isinstance(b, Value) else a.lanes.number(b, a.kind)
    return b.times_plus(alpha, a)


def _power(x: Any, n: Any) -> Any:
    """As torch has it: the powers that are a few products are these."""
    if isinstance(n, Value):
        return x.call("pow", n) if isinstance(x, Value) else _raised(x, n)
    if type(n) not in (int, float):
        raise NotFused("a power of another type")
    if n == 2:
        return x * x
    if n == 3:
        return x * x * x
    if n == 0.5:
        return x.intrinsic("sqrt")
    if n == -0.5:
        return 1 / x.intrinsic("sqrt")
    if n == -1:
        return 1 / x
    if n == -2:
        return 1 / (x * x)
    if n in (0, 1):
        return x if n == 1 else x.lanes.number(1.0, x.kind)
    return x.call("pow", x.lanes.number(n, x.kind))


def _raised(x: Any, n: Value) -> Value:
    return n.lanes.number(x, n.kind).call("pow", n)


def _larger(a: Value, b: Any) -> Value:
    a, b = a._pair(b)
    return chosen(a.isnan(), a, chosen(b.isnan() | (b > a), b, a))


def _smaller(a: Value, b: Any) -> Value:
    a, b = a._pair(b)
    return chosen(a.isnan(), a, chosen(b.isnan() | (b < a), b, a))


def _clamped(x: Value, min: Any = None, max: Any = None) -> Value:
    if isinstance(min, Value) or isinstance(max, Value):
        raise NotFused("bounds that are arrays")
    for bound in (min, max):
        if bound is not None and math.isnan(bound):
            raise NotFused("a bound that is not a number")
    if min is not None:
        x = chosen(x < min, min, x)
    return x if max is None else chosen(x > max, max, x)


def _sigmoid(x: Value) -> Value:
    return 1 / (1 + exp(-x))


def _softplus(x: Value, beta: Any = 1, threshold: Any = 20) -> Value:
    return chosen(x * beta > threshold, x, exp(x * beta).call("log1p") / beta)


def _softplus_slope(g: Value, x: Value, beta: Any = 1, threshold: Any = 20) -> Value:
    z = exp(x * beta)
    return chosen(x * beta > threshold, g, g * z / (z + 1))


def _elu(x: Value, alpha: Any = 1.0, scale: Any = 1, input_scale: Any = 1) -> Value:
    positive = x * scale
    return chosen(x <= 0, expm1(x * input_scale) * (alpha * scale), positive)


def _silu_slope(g: Value, x: Value) -> Value:
    s = _sigmoid(x)
    return g * s * (1 + x * (1 - s))


def _leaky(x: Value, negative_slope: Any = 0.01) -> Value:
    return chosen(x > 0, x, x * negative_slope)


def _sign(x: Value) -> Value:
    return (x > 0).to(x.kind) - (x < 0).to(x.kind)


def _where(condition: Value, a: Any, b: Any) -> Value:
    if not isinstance(condition, Value) or condition.kind != "i1":
        raise NotFused("a condition that is no array of truths")
    return chosen(condition, a, b)


def _masked(x: Value, mask: Value, value: Any) -> Value:
    return chosen(mask, x.lanes.number(value, x.kind) if not isinstance(value, Value) else value, x)


def _hardtanh(x: Value, min_val: Any = -1.0, max_val: Any = 1.0) -> Value:
    return _clamped(x, min_val, max_val)


def _lerp(a: Value, b: Value, weight: Any) -> Value:
    if isinstance(weight, Value):
        raise NotFused("weights that are an array")
    return (b - a).times_plus(weight, a) if abs(weight) < 0.5 else (b - a).times_plus(weight - 1, b)


def _same(x: Value, memory_format: Any = None) -> Value:
    return x


def _bits(*values: Any) -> tuple[Any, ...]:
    """These, where they are truths, of which bits and logic are the same."""
    if any([not isinstance(v, Value) or v.kind != "i1" for v in values]):
        raise NotFused("bits of numbers")
    return values


def _divided(a: Any, b: Any, rounding_mode: Any = None) -> Value:
    if rounding_mode is not None:
        raise NotFused("a division that rounds")
    return a / b


_rule("mul multiply __mul__ __rmul__ __imul__", lambda a, b: a * b)
_rule("div divide true_divide __truediv__ __itruediv__", _divided)
_rule("__rtruediv__ __rdiv__", lambda a, b: b / a)
_rule("add __add__ __radd__ __iadd__", _added)
_rule("sub subtract __sub__ __isub__", lambda a, b, alpha=1: a - b if alpha == 1 else _added(a, b, -alpha))
_rule("rsub __rsub__", lambda a, b, alpha=1: b - a if alpha == 1 else _added(b, a, -alpha))
_rule("neg negative __neg__", lambda a: -a)
_rule("addcmul", lambda a, b, c, value=1: _times(value, b).times_plus(c, a))
_rule("addcdiv", lambda a, b, c, value=1: a + _times(value, b) / c)
_rule("square", lambda a: a * a)
_rule("pow __pow__ __ipow__", _power)
_rule("__rpow__", lambda a, b: _raised(b, a))
_rule("reciprocal", lambda a: 1 / a)
_rule("sqrt", lambda a: a.intrinsic("sqrt"))
_rule("rsqrt", lambda a: 1 / a.intrinsic("sqrt"))
_rule("abs absolute __abs__", lambda a: abs(a))
_rule("sign sgn", _sign)
for _name in ("floor", "ceil", "trunc"):
    _rule(_name, lambda a, _name=_name: a.intrinsic(_name))
_rule("round", lambda a: a.intrinsic("roundeven"))
for _name in ("exp2", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh",
              "asin", "acos", "atan", "atanh", "erf", "erfc"):  # Sleef's asinh and acosh overflow where theirs do not
    _rule(f"{_name} arc{_name[1:]}" if _name.startswith("a") else _name, lambda a, _name=_name: a.call(_name))
for _name, _exponential in {"exp": exp, "expm1": expm1, "tanh": tanh}.items():
    _rule(_name, _exponential)
_rule("atan2 arctan2", lambda a, b: a.call("atan2", b))
_rule("sigmoid expit", _sigmoid)
_rule("relu", lambda a: chosen(a < 0, 0.0, a))
_rule("leaky_relu", _leaky)
_rule("softplus", _softplus)
_rule("elu", _elu)
_rule("silu", lambda a: a / (1 + exp(-a)))
_rule("hardtanh", _hardtanh)
_rule("threshold", lambda a, threshold, value: chosen(a <= threshold, a.lanes.number(value, a.kind), a))
_rule("threshold_backward", lambda g, a, threshold: chosen(a <= threshold, 0.0, g))
_rule("tanh_backward", lambda g, y: g * (1 - y * y))
_rule("sigmoid_backward", lambda g, y: g * (1 - y) * y)
_rule("softplus_backward", _softplus_slope)
_rule("silu_backward", _silu_slope)
_rule("maximum", _larger)
_rule("minimum", _smaller)
_rule("clamp clip", _clamped)
_rule("clamp_min", lambda a, min: _clamped(a, min))
_rule("clamp_max", lambda a, max: _clamped(a, None, max))
_rule("lerp", _lerp)
_rule("clone contiguous detach positive __pos__", _same)
_rule("gt greater __gt__", lambda a, b: a > b)
_rule("ge greater_equal __ge__", lambda a, b: a >= b)
_rule("lt less __lt__", lambda a, b: a < b)
_rule("le less_equal __le__", lambda a, b: a <= b)
_rule("eq __eq__", lambda a, b: a == b)
_rule("ne not_equal __ne__", lambda a, b: a != b)
_rule("isnan", lambda a: a.isnan())
_rule("isinf", lambda a: abs(a) == math.inf)
_rule("isfinite", lambda a: abs(a) < math.inf)
_rule("logical_and", lambda a, b: a & b)
_rule("logical_or", lambda a, b: a | b)
_rule("logical_xor", lambda a, b: a ^ b)
_rule("logical_not", lambda a: a.to("i1") ^ True)
_rule("bitwise_not __invert__", lambda a: _bits(a)[0] ^ True)
_rule("bitwise_and __and__", lambda a, b: _bits(a, b)[0] & b)
_rule("bitwise_or __or__", lambda a, b: _bits(a, b)[0] | b)
_rule("where", _where)
_rule("masked_fill", _masked)
RULES[Tensor.where] = lambda a, condition, b: _where(condition, a, b)
RULES[Tensor.copy_] = lambda a, b: b
WRITES.add(Tensor.copy_)

__all__ = ["RULES", "WRITES", "found"]
