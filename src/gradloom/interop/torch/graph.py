"""Operations on torch tensors that require gradients: where torch cannot differentiate the kernel, our rules join its
graph."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...core.array import dlarray
from ...core.operation import Operation
from ...derivatives.words.evaluate import dlfeval
from ...derivatives.words.gradient import dlgradient
from ...machine.dtypes import Tensor, differentiable
from ..protocol import gl


class Recorded(torch.autograd.Function):
    """A function of dlarrays on tensors; its backward is the same for the function's derivative, so that it has every
    order."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *tensors: Tensor) -> Any:
        ctx.function = function
        ctx.save_for_backward(*tensors)
        ys = function(*[dlarray._made(t.detach(), None, None) for t in tensors])
        found = tuple(y._value for y in ys)
        ctx.mark_non_differentiable(*[y for y in found if not differentiable(y.dtype)])
        return found

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:  # type: ignore[override]
        xs = ctx.saved_tensors
        wanted = [k for k, want in enumerate(ctx.needs_input_grad[1:]) if want]
        made = Recorded.apply(_pulled(ctx.function, len(xs), wanted), *xs,
                              *[bar for bar in bars if differentiable(bar.dtype)])
        grads: list[Any] = [None] * len(xs)
        for k, g in zip(wanted, made, strict=True):
            grads[k] = g
        return None, *grads


def _pulled(function: Callable[..., Any], count: int, wanted: Sequence[int]) -> Callable[..., Any]:
    """The cotangents of some inputs, as a function of all inputs and the cotangents of the outputs."""

    def pulled(*arrays: dlarray) -> tuple[Any, ...]:
        def inside(xs: Any, bars: Any) -> Any:
            ys = [y for y in function(*xs) if differentiable(y.dtype)]
            total = sum_of([gl.sum(gl.real(gl.conj(bar) * y)) if y.dtype.is_complex else gl.sum(bar * y)
                            for bar, y in zip(bars, ys, strict=True)])
            if not total.traced:
                return [gl.zeros(xs[k].shape, like=xs[k]) for k in wanted]
            return [dlgradient(total, xs[k], retain_data=True, enable_higher_derivatives=True) for k in wanted]

        return tuple(dlfeval(inside, list(arrays[:count]), list(arrays[count:])))

    return pulled


def sum_of(parts: Sequence[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def on_graph(operation: Operation, values: Sequence[Any], params: dict[str, Any]) -> Any:
    """The operation on tensors of which some require gradients."""
    places = [k for k, v in enumerate(values) if isinstance(v, Tensor)]

    def function(*arrays: dlarray) -> tuple[Any, ...]:
        inputs = list(values)
        for k, a in zip(places, arrays, strict=True):
            inputs[k] = a
        result = operation.apply(inputs, params)
        return result if operation.outputs > 1 else (result,)

    found = Recorded.apply(function, *[values[k] for k in places])
    return found if operation.outputs > 1 else found[0]


Operation.on_graph = on_graph
