"""Code with a backward of its own, as one operation: what a custom layer and a `DifferentiableFunction` share.

The pull is the backward that is stated; the push is that map transposed. Where the backward is written in operations of
this library both can be differentiated again, to any order. Where it is not (it converts its arrays to NumPy), a walk
that is to be differentiated again takes numbers and marks them, so that to differentiate through them is an error.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray
from ...core.errors import ShapeError, TraceError, line_of, user_site
from ...core.labels import described
from ...core.operation import NO_PARAMS, Operation, item
from ...core.trace import Node, different_traces, live, walking
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ...operations.elementwise.arithmetic import conj, real
from ...operations.movement.axes import permute_dims, reshape
from ...operations.movement.joining import stack
from ...operations.sums.reduction import sum
from ..words.evaluate import dlfeval
from ..words.gradient import dlgradient
from ..words.marks import VARIABLE, marked


class OwnBackward:
    """One call of such code: all about it except the values. `labels` are the inputs', `names` theirs in messages."""

    word = ""  # the author's function, such as "Cube.backward"
    labels: Sequence[str | None]
    names: Sequence[str]
    shapes: Sequence[tuple[int, ...]]
    y_labels: Sequence[str | None]
    y_likes: Sequence[Tensor]  # of each output: its shape, type and device, without data

    def identified_by(self) -> Sequence[Any] | None:
        """What tells one call from others, as far as derivatives go: class and fields.

        None where it cannot be told; then nothing is kept of its trace.
        """
        return None

    def _told(self) -> list[Any]:
        """Of it, what all such calls have."""
        return [self.word, list(self.labels), list(self.shapes), list(self.y_labels), list(self.y_likes)]

    def run(self, values: Sequence[Tensor]) -> Any:
        """The code on constants: its derivative is what it states, not what it runs. It says `y_labels` and
        `y_likes`."""
        raise NotImplementedError

    def backward(self, xs: Sequence[Any], ys: Sequence[Any], y_bars: Sequence[dlarray], wanted: Sequence[bool],
                 recorded: bool) -> Any:
        """What the author's backward returns, for labelled arrays."""
        raise NotImplementedError

    def pulled(self, values: Sequence[Any], y_bars: Sequence[Any], wanted: Sequence[bool],
               node: Node, recorded: bool = False) -> list[Any]:
        """Cotangents of the inputs in their shapes, dlarrays; marked where they cannot be differentiated as asked."""
        n = len(self.labels)
        if not recorded:
            bars = walking(self.backward, *self._handles(values, y_bars), wanted, False, walk=False)
            return self._fitted(bars, wanted)
        trace, constants = node.trace, [_constant(v) for v in (*values[:n], values[n])]
        seeds = [y_bar if live(y_bar._node) is not None else
                 dlarray._made(y_bar._value, Node(VARIABLE, trace, (), [y_bar._value], {}, y_bar._value, node.site))
                 for y_bar in y_bars]
        try:
            bars = walking(self.backward, *self._handles(values, seeds), wanted, True, walk=False)
            bars = self._fitted(bars, wanted)
            if all(bar is None or live(bar._node) is not None or not decided(bar._value.any()) for bar in bars):
                return bars  # an array without a trace has lost it: a cotangent depends on y_bar
        except TraceError:
            pass
        bars = self.pulled(constants, [_constant(y_bar) for y_bar in y_bars], wanted, node)
        ancestors = [p for p in (*node.parents, *(y_bar._node for y_bar in y_bars)) if p is not None and p.trace.open]
        return [None if bar is None else marked(bar._value, None, ancestors, f"{self.word} in operations of gradloom",
                                                site=node.site) for bar in bars]

    def _handles(self, values: Sequence[Any], y_bars: Sequence[dlarray]) -> tuple[list[Any], list[Any], list[Any]]:
        """Inputs, outputs and cotangents with their labels; None where a value is not kept."""
        n = len(self.labels)
        ys = values[n] if isinstance(values[n], tuple) else (values[n],) * len(self.y_labels)
        return tuple([None if v is None else dlarray._made(v._value, v._node, its)
                      for v, its in zip(arrays, labels, strict=True)]  # type: ignore
                     for arrays, labels in ((values[:n], self.labels), (ys, self.y_labels), (y_bars, self.y_labels)))

    def _fitted(self, bars: Any, wanted: Sequence[bool]) -> list[Any]:
        """Those of the inputs, in their shapes. What is stated of a number that is a constant is not looked at: it was
        broadcast, and nobody adds up for nothing."""
        return [None if bar is None or not want and not shape else self._in_shape(bar, name, shape, labels)
                for bar, want, name, shape, labels in zip(self._counted(bars, self.names), wanted, self.names,
                                                          self.shapes, self.labels, strict=True)]

    def _counted(self, bars: Any, names: Sequence[str]) -> list[Any]:
        """What backward returned, one for each name."""
        bars = list(bars) if isinstance(bars, (tuple, list)) else [bars]
        if len(bars) != len(names):
            raise ShapeError(
                f"{self.word} returned {len(bars)} cotangents, the {self.kind} has {len(names)} "
                f"({', '.join(names)}), at {line_of(user_site())}; return one for each, None where it is zero")
        return bars

    kind = "function"

    def _in_shape(self, bar: Any, name: str, shape: tuple[int, ...], labels: str | None) -> dlarray:
        bar = bar if isinstance(bar, dlarray) else dlarray(bar)
        if (bar._labels is not None and labels is not None and bar._labels != labels
            and sorted(bar._labels) == sorted(labels)):
            bar = permute_dims(bar, labels)
        if bar.shape != shape:
            raise ShapeError(f"{self.word}: the cotangent of {name} is {described(bar.shape, bar._labels)}, "
                             f"{name} is {described(shape, labels)}, at {line_of(user_site())}; they must be the same")
        return dlarray._made(bar._value, bar._node, None)


def _constant(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_constant, x))
    return dlarray._made(x._value, None) if type(x) is dlarray else x


def _handle(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_handle, x))
    return dlarray._made(x, None) if type(x) is Tensor else x


class OwnBackwardOperation(Operation):
    """Inputs of the code, any number of them. The pull is its backward; the push is that map transposed."""

    kind = "general"
    recomputable = False  # it may draw random numbers
    keeps = (True, True)  # inputs, outputs

    def __init__(self, name: str, **rest: Any):
        super().__init__(name, lambda *values, call: call.run(values), ("x",), **rest)

    def apply(self, inputs: Sequence[Any], params: dict[str, Any] = NO_PARAMS, labels: Any = None) -> Any:
        """Run the code on dlarrays, with errors that are its author's, and record it; only then are its labels
        known."""
        nodes = [live(x._node) for x in inputs]
        traced = [n for n in nodes if n is not None]
        for node in traced:
            if node.trace is not traced[0].trace:
                raise different_traces(traced[0], node)
        values = [x._value for x in inputs]
        result = self.kernel(*values, **params)
        labels = params["call"].y_labels
        made = (Node(self, traced[0].trace, nodes, self.kept(nodes, values, result), params, result, user_site(2))
                if traced else None)
        if self.outputs > 1:
            return tuple([item(result, made, k, its) for k, its in enumerate(labels)])
        return dlarray._made(result, made, labels[0])

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any,
             hidden: Sequence[Any] = ()) -> list[Any]:
        return [*(values if self.keeps[0] else [None] * len(values)), output if self.keeps[1] else None]

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        call: OwnBackward = params["call"]
        y_bars = list(y_bar) if self.outputs > 1 else [y_bar]
        raw = any(type(bar) is Tensor for bar in y_bars)
        values = [_handle(x) for x in v]
        y_bars = [dlarray._made(like.new_zeros((*lead, *like.shape), device=_device(y_bars)), None)
                  if bar is None else _handle(bar)
                  for bar, like in zip(y_bars, call.y_likes, strict=True)]
        if not lead:
            bars = call.pulled(values, y_bars, wanted, node, not raw)
        else:
            rows = [reshape(bar, (math.prod(lead), *like.shape))
                    for bar, like in zip(y_bars, call.y_likes, strict=True)]
            columns = list(zip(*[call.pulled(values, [r[k] for r in rows], wanted, node, not raw)
                                 for k in range(math.prod(lead))], strict=True))
            bars = [None if all(bar is None for bar in column) else _stacked(column, lead) for column in columns]
        return [None if bar is None or not want else bar._value if raw else bar
                for bar, want in zip(bars, wanted, strict=True)]

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        call: OwnBackward = params["call"]
        if any(type(d) is Block for d in dots):
            found = self._push_blocks(v, params, node, dots)
            return tuple(found) if self.outputs > 1 else found[0]
        raw = any(type(d) is Tensor for d in dots)
        arrays, values = [_handle(d) for d in dots], [_handle(x) for x in v]
        if any(d is not None and d._value.is_meta for d in arrays):
            if not raw:  # that it cannot be told is no proof that nothing depends on the inputs
                raise TraceError(f"what {call.word} depends on cannot be told without data")
            found = [torch.empty((*lead, *like.shape), dtype=like.dtype, device="meta") for like in call.y_likes]
        elif lead:
            flat = [None if d is None else reshape(d, (math.prod(lead), *d.shape[len(lead):])) for d in arrays]
            rows = [_transposed(call, values, [None if d is None else d[k] for d in flat], node, not raw)
                    for k in range(math.prod(lead))]
            found = [_stacked(column, lead) for column in zip(*rows, strict=True)]
        else:
            found = _transposed(call, values, arrays, node, not raw)
        found = [d._value if raw and type(d) is dlarray else d for d in found]
        return tuple(found) if self.outputs > 1 else found[0]

    def _push_blocks(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any]) -> list[Any]:
        total: list[Any] = [None] * self.outputs
        for k, block in enumerate(dots):
            if block is None:
                continue
            for j in range(self.outputs):

                def run(array: Tensor, lead: tuple[int, ...], k: int = k, j: int = j) -> Tensor:
                    y_dot = self.push(v, params, node, [array if i == k else None for i in range(len(dots))], lead)
                    return y_dot[j] if self.outputs > 1 else y_dot

                why = f"{params['call'].word} is its own backward, which has no structured action"
                part = action.through_arrays(block, run, range(block.ndim), why)
                total[j] = part if total[j] is None else total[j].plus(part)
        return total


def _device(arrays: Sequence[Any]) -> Any:
    return next(a.device for a in arrays if a is not None)


def _stacked(column: Sequence[Any], lead: tuple[int, ...]) -> dlarray:
    like = next(x for x in column if x is not None)
    filled = [dlarray._made(torch.zeros_like(like._value), None) if x is None else x for x in column]
    return reshape(stack(filled), (*lead, *like.shape))


def _transposed(call: OwnBackward, values: Sequence[Any], dots: Sequence[Any], node: Node,
                recorded: bool) -> list[dlarray]:
    """J x_dot from the map y_bar -> J' y_bar that is stated: the gradient of <J' y_bar, x_dot> in y_bar."""
    wanted = [d is not None for d in dots]

    def paired(bars: Sequence[Any]) -> Any:
        total: Any = None
        for bar, dot in zip(bars, dots, strict=True):
            if bar is not None and dot is not None:
                pair = sum(bar * dot if not bar.dtype.is_complex else real(conj(bar) * dot))
                total = pair if total is None else total + pair
        return total

    def gradient(*y_bars: dlarray) -> Any:
        y_dot = paired(call.pulled(values, y_bars, wanted, node, True))
        if y_dot is None:
            return tuple(dlarray._made(torch.zeros_like(y_bar._value), None) for y_bar in y_bars)
        found = dlgradient(y_dot, *y_bars, enable_higher_derivatives=recorded, retain_data=True)
        return found if isinstance(found, tuple) else (found,)

    device = _device([*dots])
    zeros = [like.new_zeros(like.shape, device=device) for like in call.y_likes]
    try:
        # linear: the same everywhere
        return list(dlfeval(gradient, *[dlarray._made(torch.ones_like(z), None) for z in zeros]))
    except TraceError:
        if any(z.is_complex() for z in zeros):
            raise
    # The backward is no library code: J x_dot entry by entry, one backward each.
    constants, plain = [_constant(v) for v in values], [_constant(d) for d in dots]
    dots, found = plain, []
    for j, z in enumerate(zeros):
        entries = []
        for k in range(z.numel()):
            unit = torch.zeros_like(z).reshape(-1)
            unit[k] = 1
            seeds = [dlarray._made(unit.reshape(z.shape) if i == j else torch.zeros_like(other), None)
                     for i, other in enumerate(zeros)]
            entry = paired(call.pulled(constants, seeds, wanted, node))
            entries.append(z.new_zeros(()) if entry is None else entry._value.to(z.dtype))
        found.append((torch.stack(entries) if entries else z.reshape(-1)).reshape(z.shape))
    ancestors = [p for p in node.parents if p is not None and p.trace.open]
    return [marked(d, None, ancestors, f"{call.word} in operations of gradloom", site=node.site)
            if recorded else dlarray._made(d, None) for d in found]
