"""Initial value problems: dlode45, whose derivative is that of its steps, or the solution of the adjoint equation."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...blocks import action
from ...blocks.block import Block
from ...core.array import dlarray, labels_of
from ...core.containers import flatten, unflatten
from ...core.declare import composite
from ...core.errors import GradloomError, LabelError, ShapeError, TraceError, TypeRefused, line_of, user_site
from ...core.kinds.multilinear import Multilinear
from ...core.labels import checked, described
from ...core.operation import Operation
from ...core.trace import Node, ancestors, current_trace, live
from ...machine.dtypes import Tensor
from ...operations.elementwise.arithmetic import astype, negative
from ...operations.movement.axes import permute_dims, reshape
from ...operations.movement.joining import stack
from ...operations.movement.selection import slice_axis
from ...operations.neural.softmax import floating
from ..words.evaluate import dlfeval
from ..words.functions import apart
from ..words.products import jvp, vjp

# Dormand and Prince: when each stage is, and its weights of the slopes before it; the last stage is the solution of
# order 5.
STAGES = (
    (1 / 5, (1 / 5,)), (3 / 10, (3 / 40, 9 / 40)), (4 / 5, (44 / 45, -56 / 15, 32 / 9)),
    (8 / 9, (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729)),
    (1.0, (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656)),
    (1.0, (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)))
# The solutions of order 5 and 4, subtracted.
ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
# Shampine's continuous extension of order 4: for each slope, coefficients of powers 1 to 4 of the part of the step.
DENSE = (
    (1, -183 / 64, 37 / 12, -145 / 128), (0, 0, 0, 0), (0, 1500 / 371, -1000 / 159, 1000 / 371),
    (0, -125 / 32, 125 / 12, -375 / 64),
    (0, 9477 / 3392, -729 / 106, 25515 / 6784), (0, -11 / 7, 11 / 3, -55 / 28), (0, 3 / 2, -4, 5 / 2))


class _Combination(Multilinear):
    """A sum of arrays of one shape with constant weights: one node for a stage."""

    def kept(self, nodes: Sequence[Any], values: list[Any], output: Any, hidden: Sequence[Any] = ()) -> list[Any]:
        return [*(v if n is None else None for v, n in zip(values, nodes, strict=True)), None]

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        return [y_bar * w if want else None for w, want in zip(params["weights"], wanted, strict=True)]

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        y_dot = None
        for w, dot in zip(params["weights"], dots, strict=True):
            if dot is not None:
                y_dot = dot * w if y_dot is None else y_dot + dot * w
        return y_dot


def _combined_kernel(*arrays: Tensor, weights: tuple[float, ...]) -> Tensor:
    y = arrays[0] * weights[0]
    for x, w in zip(arrays[1:], weights[1:], strict=True):
        y.add_(x, alpha=w)
    return y


_combination = _Combination("combination", _combined_kernel, ("arrays",), [("arrays",)], {}, samples=[
    ((2, 3), (2, 3), (2, 3), {"weights": (1.0, -0.5, 2.0)}), ((), {"weights": (3.0,)}),
    ((0, 1), (0, 1), {"weights": (1.0, 2.0)})])

State = list[Any]  # arrays: the solution, and in the adjoint equation what goes with it
Slope = Callable[[float, State], State]


@dataclass(frozen=True)
class _Options:
    relative: float
    absolute: float
    initial: float | None
    largest: float | None


def _moved(y: State, slopes: Sequence[State], weights: Sequence[float], step: float) -> State:
    """y + step * sum of weighted slopes."""
    used = [(k, w * step) for k, w in zip(slopes, weights, strict=False) if w]
    return [_combination.apply((x, *[k[j] for k, _ in used]), {"weights": (1.0, *[w for _, w in used])}, x._labels)
            for j, x in enumerate(y)]


def _largest_ratio(sizes: Sequence[Sequence[Tensor]], errors: Sequence[Tensor], options: _Options) -> float:
    """The largest error over what is allowed there; infinite where it is not a number."""
    worst = 0.0
    for own, error in zip(sizes, errors, strict=True):
        if error.numel():
            allowed = torch.stack([s.abs() for s in own]).amax(0).mul_(options.relative).clamp_min_(options.absolute)
            ratio = float((error.abs() / allowed).max())
            worst = max(worst, ratio if math.isfinite(ratio) else math.inf)
    return worst


def _first_step(y: State, slope: State, options: _Options, span: float) -> float:
    if options.initial is not None:
        return options.initial
    rate = _largest_ratio([(x._value,) for x in y], [k._value for k in slope],
                          options) * options.relative / (0.8 * options.relative ** 0.2)
    return min(span, 1 / rate) if 0 < rate < math.inf else span


def _solve(f: Slope, times: Sequence[float], y: State, options: _Options) -> list[State]:
    """The states at times[1:]. Which steps are taken depends on values alone: they are constants of the trace."""
    t, end = times[0], times[-1]
    direction, span = math.copysign(1.0, end - t), abs(end - t)
    largest = span / 10 if options.largest is None else options.largest
    slope = f(t, y)
    found: list[State] = []
    h = _first_step(y, slope, options, span)
    while len(found) < len(times) - 1:
        smallest = 16 * float(np.spacing(max(abs(t), abs(end) * 1e-3)))
        h = min(max(h, smallest), largest)
        failed = False
        while True:
            last = 1.1 * h >= abs(end - t)
            h = abs(end - t) if last else h
            step, slopes = direction * h, [slope]
            for at, weights in STAGES:
                new = _moved(y, slopes, weights, step)
                slopes.append(f(end if last and at == 1 else t + at * step, new))
            errors = [_combined_kernel(*[k[j]._value for k in slopes], weights=tuple(w * step for w in ERROR))
                      for j in range(len(y))]
            ratio = _largest_ratio([(a._value, b._value) for a, b in zip(y, new, strict=True)], errors, options)
            if ratio <= 1:
                break
            if h <= smallest:
                raise GradloomError(
                    f"dlode45 cannot keep the tolerance at t = {t:.6g} with steps of {h:.1e}, at {line_of(user_site())}: the solution "
                                    "may be singular there, or odefun not smooth; write larger relative_tolerance and absolute_tolerance, or a shorter tspan")
            h = max(smallest, h * (0.5 if failed else max(0.1, 0.8 * ratio ** -0.2)))
            failed = True
        reached = end if last else t + step
        while len(found) < len(times) - 1 and direction * (wanted := times[len(found) + 1]) <= direction * reached:
            part = (wanted - t) / step
            dense = [sum(c * part ** (n + 1) for n, c in enumerate(row)) for row in DENSE]
            found.append(new if wanted == reached else _moved(y, slopes, dense, step))
        y, t, slope = new, reached, slopes[-1]
        if not failed:
            h *= min(5.0, 0.8 * ratio ** -0.2) if ratio else 5.0
    return found


# ----- the function of the right-hand side ----------------------------------------------------------------------------


class _Right:
    """The right-hand side, with the arrays that it depends on (of theta, and of a network) taken apart."""

    def __init__(self, odefun: Any, theta: Any, labels: str | None):
        self.network = hasattr(odefun, "learnables")
        self.with_theta = theta is not None
        self.labels = labels
        leaves, self.structure = flatten((odefun if self.network else None, theta))
        self.odefun = odefun
        self.leaves = leaves
        self.places = [k for k, leaf in enumerate(leaves) if type(leaf) is dlarray]

    @property
    def parameters(self) -> list[dlarray]:
        return [self.leaves[k] for k in self.places]

    def __call__(self, t: float, y: dlarray, parameters: Sequence[dlarray]) -> dlarray:
        try:
            return self._slope(t, y, parameters)
        except TraceError:
            if current_trace() is None or all(live(x._node) is not None for x in (y, *parameters)):
                raise
        # It takes a derivative with respect to one of them, which is a constant so far.
        slope: dlarray = dlfeval(lambda y, *parameters: self._slope(t, y, parameters), y, *parameters)
        return slope

    def _slope(self, t: float, y: dlarray, parameters: Sequence[dlarray]) -> dlarray:
        leaves = list(self.leaves)
        for k, p in zip(self.places, parameters, strict=True):
            leaves[k] = dlarray._made(p._value, p._node, self.leaves[k]._labels)
        network, theta = unflatten(self.structure, leaves)
        y = dlarray._made(y._value, y._node, self.labels)
        slope = network(y) if self.network else self.odefun(t, y, theta) if self.with_theta else self.odefun(t, y)
        if not isinstance(slope, (dlarray, np.ndarray, Tensor, float)):
            raise TypeRefused(
                f"dlode45: odefun returns an array with the shape of y, not {type(slope).__name__}, at {line_of(user_site())}")
        slope = slope if isinstance(slope, dlarray) else dlarray(slope)
        if (labels_of(slope) not in (None, self.labels) and self.labels is not None
            and sorted(slope.dims) == sorted(self.labels)):
            slope = permute_dims(slope, self.labels)
        if slope.shape != y.shape:
            raise ShapeError(
                f"dlode45: odefun returned {described(slope.shape, slope._labels)} for y {described(y.shape, self.labels)}, "
                             f"at {line_of(user_site())}; it returns dy/dt, in the shape of y")
        return astype(slope, y.dtype) if slope.dtype is not y.dtype else slope


# ----- the adjoint equation -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """An initial value problem without its arrays."""

    right: _Right
    times: tuple[float, ...]
    options: _Options

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
                    f"dlode45 with gradient_mode=\"adjoint\": odefun uses a traced array that it was not given, at {line_of(user_site())}; "
                                 "pass it in theta, or write gradient_mode=\"direct\"")
            return [dlarray._made(k._value, None, k._labels)]

        states = [s[0] for s in _solve(slope, self.times, [y], self.options)]
        return states[0] if len(self.times) == 2 else stack(states, axis=-1)

    def pulled(self, values: Sequence[dlarray], y_bar: dlarray, recorded: bool) -> list[dlarray]:
        """Cotangents of the initial state and the parameters: the adjoint equation, from the last time to the first."""
        _, *parameters, y = values
        states, bars = ([y], [y_bar]) if len(self.times) == 2 else (_along_last(y), _along_last(y_bar))

        def slope(t: float, state: State) -> State:
            def products(y: dlarray, *parameters: dlarray) -> Any:
                k = self.right(t, y, parameters)
                return [k, *vjp(k, [y, *parameters], _plain(state[1]), enable_higher_derivatives=recorded)]

            k, *found = dlfeval(products, state[0], *parameters)
            return [_plain(k), *[negative(_plain(bar)) for bar in found]]

        a: Any = None
        others = [dlarray._made(torch.zeros_like(p._value), None) for p in parameters]
        for n in range(len(self.times) - 1, 0, -1):
            a = bars[n - 1] if a is None else a + bars[n - 1]
            _, a, *others = _solve(slope, self.times[n - 1:n + 1][::-1], [states[n - 1], a, *others], self.options)[0]
        return [a, *others]


    def pushed(self, values: Sequence[dlarray], rows: Sequence[Sequence[dlarray | None]],
               recorded: bool) -> list[dlarray]:
        """Tangents of the solution from each row of tangents of the initial state and the parameters: the tangent equation, alongside."""
        y0, *parameters, _ = values
        moving = [k for k, dot in enumerate(rows[0]) if dot is not None and k]

        def slope(t: float, state: State) -> State:
            def products(y: dlarray, *parameters: dlarray) -> Any:
                k = self.right(t, y, parameters)
                xs = [y, *[parameters[j - 1] for j in moving]]
                return [k, *[jvp(k, xs, [_plain(dot), *[row[j] for j in moving]], enable_higher_derivatives=recorded)
                             for dot, row in zip(state[1:], rows, strict=True)]]

            return [_plain(k) for k in dlfeval(products, state[0], *parameters)]

        nothing = dlarray._made(torch.zeros_like(y0._value), None)
        states = _solve(slope, self.times, [y0, *[nothing if row[0] is None else row[0] for row in rows]], self.options)
        found = list(zip(*[state[1:] for state in states], strict=True))
        return [dots[0] if len(self.times) == 2 else stack(dots, axis=-1) for dots in found]


def _plain(x: dlarray) -> dlarray:
    return dlarray._made(x._value, x._node, None)


def _along_last(x: dlarray) -> list[dlarray]:
    return [reshape(slice_axis(x, -1, k, k + 1), x.shape[:-1]) for k in range(x.shape[-1])]


def _adjoint_kernel(*values: Tensor, problem: _Problem) -> Tensor:
    y, *parameters = [dlarray._made(v, None) for v in values]
    return problem.solve(y, parameters, given=True)._value


class _Adjoint(Operation):
    """An initial state and parameters to states at times. The pull solves the adjoint equation, the push the tangent equation."""

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
    def _tangents(v: list[Any], problem: _Problem, node: Node, dots: Sequence[Any], lead: tuple[int, ...]) -> Any:
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


# ----- the public function --------------------------------------------------------------------------------------------


def _times(tspan: Any) -> tuple[float, ...]:
    times = np.asarray(tspan, dtype=np.float64)
    steps = np.diff(times.reshape(-1))
    if (times.ndim != 1 or len(times) < 2 or not np.isfinite(times).all()
        or not ((steps > 0).all() or (steps < 0).all())):
        raise ShapeError(
            f"dlode45: tspan is a vector of at least two times, all increasing or all decreasing, not {tspan!r}, at {line_of(user_site())}; "
                         "write (0.0, 1.0)")
    return tuple(float(t) for t in times)


def _positive(value: Any, name: str, optional: bool = False) -> Any:
    if value is None and optional:
        return None
    if not float(value) > 0:
        raise ShapeError(f"dlode45: {name} is a positive number, not {value!r}, at {line_of(user_site())}")
    return float(value)


@composite
def dlode45(odefun: Any, tspan: Any, y0: Any, theta: Any = None, /, *, gradient_mode: str = "direct",
            relative_tolerance: float = 1e-3,
            absolute_tolerance: float = 1e-6, initial_step_size: float | None = None,
            max_step_size: float | None = None,
            data_format: str | None = None) -> Any:
    """The solution of dy/dt = odefun(t, y, theta) with y(tspan[0]) = y0, by steps of Dormand and Prince's method of
    order 4(5).

    `odefun(t, y, theta)`, or `odefun(t, y)` without theta, takes a number t and returns dy/dt in the shape of y; a
    network is called with y. theta: any container of arrays. tspan: times, increasing or decreasing; of two times the
    result is the state at the last, in y0's shape and labels; of more, the states at tspan[1:] along a last axis T.
    Steps are chosen so that the error of each is at most max(absolute_tolerance, relative_tolerance |y|) everywhere,
    and are at most `max_step_size` long, a tenth of tspan unless given; states between them are interpolated. All are
    in the units of tspan and y. tspan and the choice of steps carry no derivative. Inside `dlfeval` odefun may itself
    take derivatives: `dlgradient(energy(y), y, enable_higher_derivatives=True)`.

    `gradient_mode="direct"` differentiates the steps, to any order and in every walk. "adjoint" solves the adjoint
    equation backwards: memory does not grow with the number of steps, gradients agree with direct ones to the
    tolerance, and odefun may use no traced array that is neither y nor in theta. Forwards (jvp, hvp, structured
    Jacobians) it solves the tangent equation alongside, once for each direction; there "direct" is quicker.
    Raises ShapeError for a tspan that is not monotone and where odefun returns another shape, GradloomError where steps
    become too small, TraceError for a captured traced array in adjoint mode.

    >>> import gradloom as gl
    >>> y = gl.dlode45(lambda t, y, theta: -theta * y, (0.0, 1.0), [1.0], gl.dlarray(2.0), relative_tolerance=1e-6)
    >>> print(f"{y.item():.4f}")
    0.1353

    Source: Dormand and Prince 1980, Shampine 1986, Chen et al. 2018; MATLAB dlode45.
    """
    times = _times(tspan)
    if gradient_mode not in ("direct", "adjoint"):
        raise ShapeError(
            f"dlode45: gradient_mode is \"direct\" or \"adjoint\", not {gradient_mode!r}, at {line_of(user_site())}")
    options = _Options(_positive(relative_tolerance, "relative_tolerance"),
                       _positive(absolute_tolerance, "absolute_tolerance"),
                       _positive(initial_step_size, "initial_step_size", True),
                       _positive(max_step_size, "max_step_size", True))
    given, y0 = y0, floating(y0)
    y0 = dlarray(y0) if isinstance(y0, Tensor) else y0
    labels = labels_of(y0)
    if labels is not None and data_format not in (None, labels):
        raise LabelError(
            f"dlode45: y0 is labelled {labels!r} already, data_format={data_format!r} contradicts it; leave data_format out")
    if "T" in (labels or checked(data_format, y0.ndim) or ""):
        raise LabelError(
            f"dlode45: T is the time of the solution, y0 is {described(y0.shape, labels or data_format)}, at {line_of(user_site())}; "
                         "label that axis S or U")
    problem = _Problem(_Right(odefun, theta, labels), times, options)
    if gradient_mode == "adjoint":
        y = ADJOINT.apply((_plain(y0), *[_plain(p) for p in problem.right.parameters]), {"problem": problem})
    else:
        y = problem.solve(_plain(y0), problem.right.parameters)
    if isinstance(given, Tensor) and not problem.right.parameters and y._node is None:
        return y._value
    return dlarray._made(y._value, y._node, labels if labels is None or len(times) == 2 else labels + "T")


__all__ = ["dlode45"]
