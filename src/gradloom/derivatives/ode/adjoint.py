"""The adjoint equation: the derivative of a solution without its steps."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray
from ...core.errors import TraceError, line_of, user_site
from ...core.operation import Operation
from ...core.trace import Node, ancestors, current_trace, live
from ...machine.dtypes import Tensor
from ...operations.elementwise.arithmetic import negative
from ...operations.movement.axes import reshape
from ...operations.movement.joining import stack
from ...operations.movement.slices import slice_axis
from ..words.evaluate import dlfeval
from ..words.functions import apart
from ..words.products import jvp, vjp
from .right_side import Right, plain
from .steps import Options, State, solved


@dataclass(frozen=True)
class Problem:
    """An initial value problem without its arrays."""

    right: Right
    times: tuple[float, ...]
    options: Options

    def solve(self, y: dlarray, parameters: Sequence[dlarray], given: bool = False) -> dlarray:
        """The states; `given` says that odefun may use no other traced array."""
        def slope(t: float, state: State) -> State:
            trace = current_trace()
            start = trace.number if trace is not None else 0
            k = self.right(t, state[0], parameters)
            if not given:
                return [k]
            made = live(k._node)  # by a derivative inside odefun; anything older is not odefun's own
            if made is not None and (made.trace is not trace or any(node.number < start for node in ancestors([made]))):
                raise TraceError(
                    "dlode45 with gradient_mode=\"adjoint\": odefun uses a traced array that it was not given, at "
                    f"{line_of(user_site())}; pass it in theta, or write gradient_mode=\"direct\"")
            return [dlarray._made(k._value, None, k._labels)]

        states = [s[0] for s in solved(slope, self.times, [y], self.options)]
        return states[0] if len(self.times) == 2 else stack(states, axis=-1)

    def pulled(self, values: Sequence[dlarray], y_bar: dlarray, recorded: bool) -> list[dlarray]:
        """Cotangents of the initial state and the parameters: the adjoint equation, from the last time to the first."""
        _, *parameters, y = values
        states, bars = ([y], [y_bar]) if len(self.times) == 2 else (_along_last(y), _along_last(y_bar))

        def slope(t: float, state: State) -> State:
            def products(y: dlarray, *parameters: dlarray) -> Any:
                k = self.right(t, y, parameters)
                return [k, *vjp(k, [y, *parameters], plain(state[1]), enable_higher_derivatives=recorded)]

            k, *found = dlfeval(products, state[0], *parameters)
            return [plain(k), *[negative(plain(bar)) for bar in found]]

        a: Any = None
        others = [dlarray._made(torch.zeros_like(p._value), None) for p in parameters]
        for n in range(len(self.times) - 1, 0, -1):
            a = bars[n - 1] if a is None else a + bars[n - 1]
            _, a, *others = solved(slope, self.times[n - 1:n + 1][::-1], [states[n - 1], a, *others], self.options)[0]
        return [a, *others]

    def pushed(self, values: Sequence[dlarray], rows: Sequence[Sequence[dlarray | None]],
               recorded: bool) -> list[dlarray]:
        """Tangents of the solution from each row of tangents of the initial state and the parameters: the tangent
        equation, alongside."""
        y0, *parameters, _ = values
        moving = [k for k, dot in enumerate(rows[0]) if dot is not None and k]

        def slope(t: float, state: State) -> State:
            def products(y: dlarray, *parameters: dlarray) -> Any:
                k = self.right(t, y, parameters)
                xs = [y, *[parameters[j - 1] for j in moving]]
                return [k, *[jvp(k, xs, [plain(dot), *[row[j] for j in moving]], enable_higher_derivatives=recorded)
                             for dot, row in zip(state[1:], rows, strict=True)]]

            return [plain(k) for k in dlfeval(products, state[0], *parameters)]

        nothing = dlarray._made(torch.zeros_like(y0._value), None)
        states = solved(slope, self.times, [y0, *[nothing if row[0] is None else row[0] for row in rows]], self.options)
        found = list(zip(*[state[1:] for state in states], strict=True))
        return [dots[0] if len(self.times) == 2 else stack(dots, axis=-1) for dots in found]


def _along_last(x: dlarray) -> list[dlarray]:
    return [reshape(slice_axis(x, -1, k, k + 1), x.shape[:-1]) for k in range(x.shape[-1])]


def _adjoint_kernel(*values: Tensor, problem: Problem) -> Tensor:
    y, *parameters = [dlarray._made(v, None) for v in values]
    return problem.solve(y, parameters, given=True)._value


class _Adjoint(Operation):
    """An initial state and parameters to states at times. The pull solves the adjoint equation, the push the tangent
    equation."""

    kind = "general"
    recomputable = False  # it may draw random numbers

    def kept(self, nodes: Sequence[Node | None], values: list[Any], output: Any,
             hidden: Sequence[Any] = ()) -> list[Any]:
        return [*values, output]

    def pull(self, v: list[Any], params: dict[str, Any], node: Node, y_bar: Any, lead: tuple[int, ...],
             wanted: Sequence[bool]) -> Sequence[Any]:
        raw = type(y_bar) is Tensor
        values = [dlarray._made(x, None) if type(x) is Tensor else x for x in v]
        y_bar = dlarray._made(y_bar, None) if raw else y_bar
        rows = reshape(y_bar, (-1, *node.shape)) if lead else [y_bar]
        columns = list(zip(*[apart(raw, params["problem"].pulled, values, row, not raw) for row in rows], strict=True))
        bars = [reshape(stack(list(c)), (*lead, *c[0].shape)) if lead else c[0] for c in columns]
        return [bar._value if raw else bar for bar in bars]

    def push(self, v: list[Any], params: dict[str, Any], node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        blocks = [(k, dot) for k, dot in enumerate(dots) if type(dot) is Block]
        if not blocks:
            return self._tangents(v, params["problem"], node, dots, lead)
        y_dot = None
        for k, block in blocks:
            def rows(array: Tensor, lead: tuple[int, ...], k: int = k) -> Tensor:
                if array.is_meta:  # the structure of a dense Block is its shape
                    return array.new_empty((*lead, *node.shape), dtype=node.dtype)
                only: list[Any] = [array if j == k else None for j in range(len(dots))]
                return self._tangents([x._value if type(x) is dlarray else x for x in v], params["problem"],
                                      node, only, lead)

            part = action.through_arrays(block, rows, range(block.ndim),
                                         "dlode45 in adjoint mode mixes all entries of its state")
            y_dot = part if y_dot is None else y_dot.plus(part)
        return y_dot

    @staticmethod
    def _tangents(v: list[Any], problem: Problem, node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
        raw = all(type(d) is not dlarray for d in dots)
        def arrays(xs: Sequence[Any]) -> list[Any]:
            return [x if x is None or type(x) is dlarray else dlarray._made(x, None) for x in xs]

        values, seeds = arrays(v), arrays(dots)
        rows = math.prod(lead)
        if not rows:
            nothing = torch.zeros((*lead, *node.shape), dtype=node.dtype,
                                  device=next(d.device for d in dots if d is not None))
            return nothing if raw else dlarray._made(nothing, None)
        parts = [None if d is None else _rows(d, rows, lead) for d in seeds]
        tangents = [[None if p is None else p[r] for p in parts] for r in range(rows)]
        found = apart(raw, problem.pushed, values, tangents, not raw)
        y_dot = reshape(stack(found), (*lead, *node.shape)) if lead else found[0]
        return y_dot._value if raw else y_dot


def _rows(x: dlarray, rows: int, lead: tuple[int, ...]) -> list[dlarray]:
    """What stands at each place of the leading axes."""
    shape = x.shape[len(lead):]
    flat = reshape(x, (rows, *shape))
    return [reshape(slice_axis(flat, -flat.ndim, r, r + 1), shape) for r in range(rows)]


ADJOINT = _Adjoint("ode", _adjoint_kernel, ("y0",))
