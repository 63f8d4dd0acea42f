"""A layer's own backward as an operation: one node for the whole layer, whose rules are what the layer states."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.blocks import action
from ..core.blocks.block import Block
from ..core.errors import ShapeError, TypeRefused
from ..core.labels import described
from ..core.operation import Operation
from ..core.trace import Node
from ..derivatives.operators import dlfeval, dlgradient
from ..kernels import Tensor
from ..operations.arithmetic import conj, real
from ..operations.joining import stack
from ..operations.movement import permute_dims, reshape
from ..operations.reduction import sum
from .layer import Layer, copied


class Call:
    """One call of a layer with its own backward: everything about it except the values."""

    __slots__ = ("count", "fields", "labels", "layer", "method", "ran", "states", "wrapped", "y_labels")

    def __init__(self, layer: Layer, method: Callable[..., Any], xs: Sequence[dlarray], fields: Sequence[str],
                 parameters: Sequence[dlarray], wrapped: Callable[[Any], dlarray]):
        self.layer = layer
        self.method = method
        self.fields = tuple(fields)
        self.count = len(xs)
        self.labels = [x._labels for x in (*xs, *parameters)]
        self.wrapped = wrapped
        self.y_labels: str | None = None
        self.ran: Any = None
        self.states: Layer | None = None

    def bound(self, arrays: Sequence[Any]) -> Any:
        """The layer with these learnables."""
        allowed = [n for n, role in self.layer.roles.items() if role == "state"]
        return copied(self.layer, dict(zip(self.fields, arrays, strict=True)), allowed)

    def run(self, values: Sequence[Tensor]) -> Tensor:
        """The layer on constants: its derivative is what it states, not what it runs."""
        arrays = [dlarray._made(v, None, its) for v, its in zip(values, self.labels, strict=True)]
        layer = self.bound(arrays[self.count:])
        y = self.wrapped(self.method(layer, *arrays[:self.count]))
        self.states, self.y_labels = layer, y._labels
        return y._value

    def pulled(self, values: Sequence[Any], y_bar: Any) -> list[Any]:
        """What `backward` says: the cotangents of the inputs, then of the learnables, in their shapes; dlarrays."""
        n = len(self.labels)
        arrays = [dlarray._made(v._value, v._node, its) for v, its in zip(values[:n], self.labels, strict=True)]
        y = dlarray._made(values[n]._value, values[n]._node, self.y_labels)
        y_bar = dlarray._made(y_bar._value, y_bar._node, self.y_labels)
        bars = self.bound(arrays[self.count:]).backward(*arrays[:self.count], y, y_bar)
        bars = list(bars) if isinstance(bars, (tuple, list)) else [bars]
        names = [*(f"input {k}" for k in range(self.count)), *self.fields]
        if len(bars) != n:
            kind = type(self.layer).__name__
            raise ShapeError(f"{kind}.backward returned {len(bars)} cotangents, the layer has {n} ({', '.join(names)}); "
                             "return one for each, None where it is zero")
        return [self._fitted(bar, x, name) for bar, x, name in zip(bars, arrays, names, strict=True)]

    def _fitted(self, bar: Any, x: dlarray, name: str) -> Any:
        if bar is None:
            return None
        if not isinstance(bar, dlarray):
            bar = dlarray(bar)
        if bar._labels is not None and x._labels is not None and bar._labels != x._labels and sorted(bar._labels) == sorted(x._labels):
            bar = permute_dims(bar, x._labels)
        if bar.shape != x.shape:
            raise ShapeError(f"{type(self.layer).__name__}.backward: the cotangent of {name} is {described(bar.shape, bar._labels)}, "
                             f"{name} is {described(x.shape, x._labels)}; they must be the same")
        return dlarray._made(bar._value, bar._node, None)


def _kernel(*values: Tensor, call: Call) -> Tensor:
    y, call.ran = call.ran, None
    return call.run(values) if y is None else y


class _LayerOperation(Operation):
    """Inputs of a layer, then its learnables. The pull is the layer's backward; the push is that map transposed."""

    kind = "general"
    recomputable = False  # it may draw random numbers

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any, hidden: Sequence[Any] = ()) -> list[Any]:
        return [*values, output]

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        call: Call = params["call"]
        raw = type(y_bar) is Tensor
        values = [dlarray._made(x, None) if type(x) is Tensor else x for x in v]
        y_bar = dlarray._made(y_bar, None) if raw else y_bar
        if not lead:
            bars = call.pulled(values, y_bar)
        else:
            rows = reshape(y_bar, (-1, *node.shape))
            columns = list(zip(*[call.pulled(values, rows[k]) for k in range(rows.shape[0])], strict=True))
            bars = [None if column[0] is None else reshape(stack(list(column)), (*lead, *column[0].shape))
                    for column in columns]
        bars = [bar if want else None for bar, want in zip(bars, wanted, strict=True)]
        return [bar._value if raw and bar is not None else bar for bar in bars]

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        if any(type(d) is Block for d in dots):
            return self._push_blocks(v, params, node, dots)
        raw = any(type(d) is Tensor for d in dots)
        arrays = [dlarray._made(d, None) if type(d) is Tensor else d for d in dots]
        values = [dlarray._made(x, None) if type(x) is Tensor else x for x in v]
        if any(d is not None and d._value.is_meta for d in arrays):
            return torch.empty((*lead, *node.shape), dtype=node.dtype, device="meta")
        if lead:
            flat = [None if d is None else reshape(d, (-1, *d.shape[len(lead):])) for d in arrays]
            rows = [_transposed(params["call"], values, [None if d is None else d[k] for d in flat], not raw)
                    for k in range(math.prod(lead))]
            y_dot = reshape(stack(rows), (*lead, *node.shape))
        else:
            y_dot = _transposed(params["call"], values, arrays, not raw)
        return y_dot._value if raw else y_dot

    def _push_blocks(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any]) -> Block:
        total: Any = None
        for k, block in enumerate(dots):
            if block is None:
                continue

            def run(array: Tensor, lead: tuple[int, ...], k: int = k) -> Tensor:
                return self.push(v, params, node, [array if j == k else None for j in range(len(dots))], lead)

            why = f"the layer {type(params['call'].layer).__name__} has its own backward, which has no structured action"
            part = action.through_arrays(block, run, range(block.ndim), why)
            total = part if total is None else total.plus(part)
        return total


def _transposed(call: Call, values: Sequence[Any], dots: Sequence[Any], recorded: bool) -> dlarray:
    """J x_dot from the map y_bar -> J' y_bar that the layer states: the gradient of <J' y_bar, x_dot> in y_bar."""
    def product(y_bar: dlarray) -> dlarray:
        y_dot: Any = None
        for bar, dot in zip(call.pulled(values, y_bar), dots, strict=True):
            if bar is not None and dot is not None:
                pair = sum(bar * dot if not bar.dtype.is_complex else real(conj(bar) * dot))
                y_dot = pair if y_dot is None else y_dot + pair
        if y_dot is None:
            return dlarray._made(torch.zeros_like(y_bar._value), None)
        return dlgradient(y_dot, y_bar, enable_higher_derivatives=recorded, retain_data=True)

    like = values[len(call.labels)]._value
    return dlfeval(product, dlarray._made(torch.zeros_like(like), None))


LAYER = _LayerOperation("layer", _kernel, ("x",))


def called(layer: Layer, method: Callable[..., Any], xs: Sequence[dlarray], fields: Sequence[str], parameters: Sequence[dlarray],
           wrapped: Callable[[Any], Any]) -> tuple[dlarray, Layer]:
    """Run a layer as one operation: its output, and the copy that holds its new states."""

    def single(y: Any) -> dlarray:
        y = wrapped(y)
        if isinstance(y, tuple):
            raise TypeRefused(f"{type(layer).__name__} has its own backward and several outputs; return one output, or leave backward out")
        return y

    call = Call(layer, method, xs, fields, parameters, single)
    call.ran = call.run([x._value for x in (*xs, *parameters)])
    assert call.states is not None
    states, call.states = call.states, None
    y = LAYER.apply((*xs, *parameters), {"call": call}, call.y_labels)
    return y, states
