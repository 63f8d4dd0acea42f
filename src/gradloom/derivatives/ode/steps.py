"""Steps of Dormand and Prince, their sizes, and the solution between them."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...core.errors import GradloomError, line_of, user_site
from ...core.kinds.multilinear import Multilinear
from ...machine.dtypes import Tensor

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
class Options:
    relative: float
    absolute: float
    initial: float | None
    largest: float | None


def _moved(y: State, slopes: Sequence[State], weights: Sequence[float], step: float) -> State:
    """y + step * sum of weighted slopes."""
    used = [(k, w * step) for k, w in zip(slopes, weights, strict=False) if w]
    return [_combination.apply((x, *[k[j] for k, _ in used]), {"weights": (1.0, *[w for _, w in used])}, x._labels)
            for j, x in enumerate(y)]


def _largest_ratio(sizes: Sequence[Sequence[Tensor]], errors: Sequence[Tensor], options: Options) -> float:
    """The largest error over what is allowed there; infinite where it is not a number."""
    worst = 0.0
    for own, error in zip(sizes, errors, strict=True):
        if error.numel():
            allowed = torch.stack([s.abs() for s in own]).amax(0).mul_(options.relative).clamp_min_(options.absolute)
            ratio = float((error.abs() / allowed).max())
            worst = max(worst, ratio if math.isfinite(ratio) else math.inf)
    return worst


def _first_step(y: State, slope: State, options: Options, span: float) -> float:
    if options.initial is not None:
        return options.initial
    rate = _largest_ratio([(x._value,) for x in y], [k._value for k in slope],
                          options) * options.relative / (0.8 * options.relative ** 0.2)
    return min(span, 1 / rate) if 0 < rate < math.inf else span


def solved(f: Slope, times: Sequence[float], y: State, options: Options) -> list[State]:
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
                    f"dlode45 cannot keep the tolerance at t = {t:.6g} with steps of {h:.1e}, at "
                    f"{line_of(user_site())}: the solution may be singular there, or odefun not smooth; write larger "
                    "relative_tolerance and absolute_tolerance, or a shorter tspan")
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
