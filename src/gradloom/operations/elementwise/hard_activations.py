"""Activations made of straight pieces, as torch has them: hardtanh (relu6 is one), hardsigmoid and hardswish.

Their slopes are constants of pieces, by the kernels of the fused pulls, so that they agree on the bounds and on what is
no number. On its bounds a slope is 0 where `clip` has 1.
"""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import dlarray
from ...core.kinds.elementwise import Elementwise
from ...machine.dtypes import Tensor
from .arithmetic import number_like
from .mathematics import apply_unary, aten, unary_with_options

_REAL = "turns on the order of real numbers"


def _constant(kernel: Any) -> Any:
    """A constant made of an operand's values."""

    def slope(x: Any, *options: Any) -> Any:
        if isinstance(x, Tensor):
            return kernel(x, *options)
        return dlarray._made(kernel(x._value, *options), None, x._labels)

    return slope


def _ones(x: Tensor) -> Tensor:
    return number_like(1, x).expand(x.shape)


_between = _constant(lambda x, low, high: aten.hardtanh_backward(_ones(x), x, low, high))
_hardtanh = unary_with_options(
    "hardtanh", lambda x, low, high: torch._C._nn.hardtanh(x, low, high), lambda x, low, high: _between(x, low, high),
    fused_pull=lambda y_bar, x, low, high: aten.hardtanh_backward(y_bar, x, low, high),
    samples=[{"low": -1.0, "high": 1.0}, {"low": 0.0, "high": 6.0}], selects=True, real_only=_REAL)

# not by torch's own backward, whose sixth has single precision
_hardsigmoid = Elementwise("hardsigmoid", torch._C._nn.hardsigmoid, [lambda x: _between(x, -3.0, 3.0) * (1 / 6)],
                           ("x",), fused_pull=lambda y_bar, x: aten.hardtanh_backward(y_bar, x, -3.0, 3.0) * (1 / 6),
                           domain=(-2.5, 2.5), selects=True, real_only=_REAL)

_hardswish_slope = Elementwise(
    "hardswish_slope", lambda x: aten.hardswish_backward(_ones(x), x), [lambda x: _between(x, -3.0, 3.0) * (1 / 3)],
    ("x",), domain=(-2.5, 2.5), selects=True, real_only=_REAL)
_hardswish = Elementwise("hardswish", torch._C._nn.hardswish, [lambda x: _hardswish_slope.apply((x,))], ("x",),
                         fused_pull=lambda y_bar, x: aten.hardswish_backward(y_bar, x), domain=(-2.5, 2.5),
                         selects=True, real_only=_REAL)


def hardtanh(x: Any, low: float, high: float) -> Any:
    """x between the bounds, which it does not leave."""
    return apply_unary(_hardtanh, x, {"low": low, "high": high})


def hardsigmoid(x: Any) -> Any:
    """x / 6 + 1 / 2 between 0 and 1, which it does not leave."""
    return apply_unary(_hardsigmoid, x, {})


def hardswish(x: Any) -> Any:
    """x hardsigmoid(x)."""
    return apply_unary(_hardswish, x, {})


__all__ = ["hardsigmoid", "hardswish", "hardtanh"]
