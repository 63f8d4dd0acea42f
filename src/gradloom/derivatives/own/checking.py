"""check_derivatives: whether what is stated as a derivative is one."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.containers import flatten, unflatten
from ...core.errors import GradloomError, ShapeError, TraceError, TypeRefused, line_of, user_site
from ...machine.dtypes import Tensor, differentiable
from ...machine.random import random_state, restore_random_state
from ...operations.elementwise.arithmetic import conj, multiply, real
from ...operations.sums.reduction import sum
from ..words.evaluate import dlfeval
from ..words.gradient import dlgradient
from ..words.products import jvp

STEP = 1e-3  # of finite differences of fourth order in double precision, relative to the size of an input
SMOOTH = 1e-5  # where differences with one step and half of it disagree by more, the function has a kink or a jump near
TINY = 1e-30  # a complex step: no difference is taken, so that nothing cancels


class DerivativeMismatch(GradloomError, AssertionError):
    """A derivative that is not the one that differences give; the message is the report."""


@dataclass
class Comparison:
    """One derivative with respect to one input (or of one output), against what it should be."""

    walk: str
    of: str
    entries: int = 0
    error: float = 0.0
    at: tuple[int, ...] = ()
    found: Any = None
    expected: Any = None
    ok: bool = True
    note: str = ""

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.at))}]" if self.at else ""
        numbers = "" if self.found is None else f"{_number(self.found):>14} {_number(self.expected):>14}"
        verdict = "ok" if self.ok else "WRONG"
        if not self.entries:
            return f"{self.walk:<14}{self.of:<24}{self.note}"
        note = self.note and "  " + self.note
        return (f"{self.walk:<14}{self.of:<24}{self.entries:>7}  {self.error:<9.1e}{place:<10}{numbers:<30} "
                f"{verdict}{note}")


def _number(x: Any) -> str:
    return f"{x:.6g}"


@dataclass
class DerivativeCheck:
    """What `check_derivatives` found: `ok`, `comparisons`, `failures`; printed, a table with the worst entry of each
    derivative."""

    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def failures(self) -> list[Comparison]:
        """The comparisons that failed."""
        return [c for c in self.comparisons if not c.ok]

    @property
    def ok(self) -> bool:
        """Whether every derivative is right."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = f"{'walk':<14}{'of':<24}{'entries':>7}  {'error':<9}{'worst at':<10}{'found':>14} {'expected':>14}"
        return "\n".join([head, *map(str, self.comparisons)])

    __repr__ = __str__


def check_derivatives(function: Callable[..., Any], /, *args: Any, order: int | None = None,
                      tolerance: float = 1e-6, entries: int = 100,
                      seed: int = 0, raises: bool = True) -> DerivativeCheck:
    """Compare every derivative of a function with finite differences: of any function, an own operation, a
    DifferentiableFunction.

    `function(*args)` returns arrays, alone or in containers; each floating or complex array in the arguments is a
    variable, in double precision. Checked are pull (gradients), push (tangents), that each is the transpose of the
    other, and with `order` 2 their derivatives, by both walks. `order=None` takes second derivatives where they can be
    had. Differences are of fourth order, in two steps, so that places near a kink are noticed and left out; where a
    complex step agrees with them it is taken instead, as it is exact. At most `entries` entries of an input are
    checked, drawn at random; `tolerance` is relative to the largest expected entry, or to 1. Random numbers that the
    function draws are the same in every evaluation.

    Returns a report; with `raises` a wrong derivative is an error, whose message is the report: which input, the worst
    entry, what was found, what was expected. Raises DerivativeMismatch, ShapeError where there is nothing to check.

    >>> import gradloom as gl
    >>> report = gl.check_derivatives(lambda a, b: gl.sin(a) @ b, gl.dlarray([[1.0, 2.0]]), gl.dlarray([3.0, 4.0]))
    >>> report.ok, len(report.failures)
    (True, 0)
    >>> wrong = gl.elementwise("wrong", lambda x: x ** 3, lambda x: 2 * x ** 2)
    >>> gl.check_derivatives(wrong, gl.dlarray([1.0, 2.0]), raises=False).failures[0].walk
    'pull'

    Source: MATLAB checkGradients, PyTorch gradcheck.
    """
    check = _Checker(function, args, tolerance, entries, seed)
    report = DerivativeCheck()
    report.comparisons += check.pulls()
    report.comparisons += check.pushes()
    if order is None or order >= 2:
        try:
            report.comparisons += check.seconds()
        except TraceError as error:
            if order is not None:
                raise
            report.comparisons.append(Comparison("second order", "", note=f"not to be had: {error}"))
    if raises and not report.ok:
        raise DerivativeMismatch(
            f"{len(report.failures)} of {len(report.comparisons)} derivatives of {_name(function)} are wrong, at "
            f"{line_of(user_site())}; mend the rules of those below\n{report}")
    return report


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


class _Checker:
    """A function of a list of arrays, and its derivatives in given directions."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], tolerance: float, entries: int, seed: int):
        self.function, self.tolerance, self.limit = function, tolerance, entries
        self.leaves, self.structure = flatten(args)
        self.at = [k for k, leaf in enumerate(self.leaves) if _is_variable(leaf)]
        if not self.at:
            raise ShapeError(
                f"check_derivatives of {_name(function)}: no argument is a floating array, at {line_of(user_site())}; "
                "pass dlarrays or NumPy arrays of floating numbers")
        arrays = [leaf if isinstance(leaf, dlarray) else dlarray(leaf) for leaf in (self.leaves[k] for k in self.at)]
        self.labels = [x._labels for x in arrays]
        self.values = [x._value.to(torch.complex128 if x.dtype.is_complex else torch.float64) for x in arrays]
        self.names = [f"input {path}" for path, k in zip(self._paths(), range(len(self.leaves)), strict=True)
                      if k in self.at]
        self.stream = torch.Generator().manual_seed(seed)
        self.random = random_state()
        self.outputs = self.evaluate(self.values)
        if not self.outputs:
            raise TypeRefused(
                f"check_derivatives: {_name(function)} returns no floating dlarray, at {line_of(user_site())}")
        self.weights = [self.draw(y) for y in self.outputs]
        self.directions = [self.draw(x) for x in self.values]

    def _paths(self) -> list[str]:
        """Which argument, and where in it."""
        return [str(path[0]) + "".join(f"[{key!r}]" for key in path[1:]) for path in self.structure.paths()]

    def draw(self, like: Tensor) -> Tensor:
        """Entries between 0.5 and 1.5, of either sign: none is nearly 0."""
        def one() -> Tensor:
            sign = torch.randint(0, 2, like.shape, generator=self.stream, device="cpu") * 2.0 - 1
            return (torch.rand(like.shape, generator=self.stream, dtype=torch.float64, device="cpu") + 0.5) * sign

        return torch.complex(one(), one()) if like.is_complex() else one()

    # ----- the function -----

    def call(self, handles: Sequence[dlarray]) -> list[dlarray]:
        """The outputs that carry a derivative."""
        restore_random_state(self.random)
        filled = list(self.leaves)
        for k, x in zip(self.at, handles, strict=True):
            filled[k] = x
        found = flatten(self.function(*unflatten(self.structure, filled)))[0]
        return [y for y in found if isinstance(y, dlarray) and differentiable(y.dtype)]

    def handles(self, values: Sequence[Tensor]) -> list[dlarray]:
        return [dlarray._made(v.clone(), None, its) for v, its in zip(values, self.labels, strict=True)]

    def evaluate(self, values: Sequence[Tensor]) -> list[Tensor]:
        """On constants, without a trace."""
        return [y._value for y in self.call(self.handles(values))]

    def traced(self, run: Callable[[list[dlarray], list[dlarray]], Any]) -> Any:
        """run(inputs, outputs) inside dlfeval."""
        return dlfeval(lambda *xs: run(list(xs), self.call([dlarray(x) for x in xs])), *self.handles(self.values))

    def potential(self, outputs: Sequence[Any]) -> Any:
        """Re <weights, outputs>: one number of the outputs."""
        return _inner(self.weights, outputs)

    def gradient(self, values: Sequence[Tensor]) -> list[Tensor]:
        return [g._value for g in dlfeval(lambda *xs: self.gradients(list(xs), False), *self.handles(values))]

    def gradients(self, xs: list[dlarray], recorded: bool) -> Any:
        found = dlgradient(self.potential(self.call([dlarray(x) for x in xs])), *xs, enable_higher_derivatives=recorded)
        return found if isinstance(found, tuple) else (found,)

    # ----- comparisons -----

    def pulls(self) -> list[Comparison]:
        """Gradients, entry by entry."""
        gradients, results = self.gradient(self.values), []
        for k, (x, g) in enumerate(zip(self.values, gradients, strict=True)):
            n = x.numel()
            chosen = torch.randperm(n, generator=self.stream, device="cpu")[:self.limit].sort().values.tolist()
            found, expected, rough = [], [], 0
            for entry in chosen:
                unit = torch.zeros(n, dtype=x.dtype, device="cpu")
                unit[entry] = 1
                want: complex
                want, doubt = self.slope_of_potential(k, unit.reshape(x.shape))
                if x.is_complex():
                    other, more = self.slope_of_potential(k, 1j * unit.reshape(x.shape))
                    want, doubt = complex(want, other), max(doubt, more)
                rough += doubt > SMOOTH * max(1.0, abs(want))
                found.append(g.reshape(-1)[entry].item())
                expected.append(want if doubt <= SMOOTH * max(1.0, abs(want)) else found[-1])
            note = f"{rough} entries near a kink left out" if rough else ""
            results.append(self.compared("pull", self.names[k], np.array(found), np.array(expected),
                                         chosen, tuple(x.shape), note))
        return results

    def slope_of_potential(self, k: int, way: Tensor) -> tuple[float, float]:
        """The derivative of the potential in a direction of input k, and how much two steps disagree."""
        scale = max(1.0, float(self.values[k].abs().max()))

        def at(t: float) -> float:
            return float(self.potential(self.evaluate([x + t * way if j == k else x
                                                       for j, x in enumerate(self.values)])))

        slope, doubt = _slope(at, scale)
        exact = self.complex_step(k, way)
        return ((exact, doubt) if exact is not None and abs(exact - slope) <= self.tolerance * max(1.0, abs(slope))
                else (slope, doubt))

    def complex_step(self, k: int, way: Tensor) -> float | None:
        """The derivative by a step in the imaginary direction; None where the function does not take complex
        numbers."""
        if any(a.is_complex() for a in (*self.values, *self.outputs)):
            return None
        try:
            outputs = self.evaluate([x + TINY * 1j * way if j == k else x for j, x in enumerate(self.values)])
            total = math.fsum(float((w * y).sum().imag) for w, y in zip(self.weights, outputs, strict=True)
                              if y.is_complex())
        except (GradloomError, RuntimeError, TypeError, ValueError, NotImplementedError):
            return None
        return total / TINY if math.isfinite(total) else None

    def pushes(self) -> list[Comparison]:
        """Tangents in a random direction of each input; their inner products with the weights against those of the
        gradients."""
        results, gradients = [], self.gradient(self.values)
        for k, way in enumerate(self.directions):
            ways = [way if j == k else torch.zeros_like(x) for j, x in enumerate(self.values)]

            def tangents(xs: list[dlarray], ys: list[dlarray], ways: list[Tensor] = ways) -> Any:
                return tuple(jvp(y, xs, [dlarray._made(w, None, its)
                                         for w, its in zip(ways, self.labels, strict=True)]) for y in ys)

            found = [d._value for d in self.traced(tangents)]
            scale = max(1.0, float(self.values[k].abs().max())) if self.values[k].numel() else 1.0
            steps = [[x + t * w for x, w in zip(self.values, ways, strict=True)] for t in _POINTS * scale]
            sampled = [self.evaluate(values) for values in steps]
            for j, d in enumerate(found):
                want, doubt = _difference([s[j] for s in sampled], scale)
                smooth = doubt <= SMOOTH * (1 + want.abs())
                want = torch.where(smooth, want, d)
                of = self.names[k] + (f" in output {j}" if len(found) > 1 else "")
                note = f"{int((~smooth).sum())} entries near a kink left out" if not bool(smooth.all()) else ""
                results.append(self.compared("push", of, _flat(d), _flat(want), range(d.numel()), tuple(d.shape), note))
            one, other = float(_inner(self.weights, found)), float(_inner([way], [gradients[k]]))
            results.append(self.compared("transpose", self.names[k], np.array([other]), np.array([one]),
                                         (0,), (), "pull against push", 1e-8))
        return results

    def seconds(self) -> list[Comparison]:
        """The derivative of the gradients in a random direction, by a pull and by a push of the recorded gradient."""
        ways = [dlarray._made(w, None, its) for w, its in zip(self.directions, self.labels, strict=True)]

        def by_pull(*xs: dlarray) -> Any:
            found = dlgradient(_inner(self.directions, self.gradients(list(xs), True)), *xs)
            return found if isinstance(found, tuple) else (found,)

        def by_push(*xs: dlarray) -> Any:
            return tuple(jvp(g, list(xs), ways) for g in self.gradients(list(xs), True))

        scale = max([1.0, *(float(x.abs().max()) for x in self.values if x.numel())])
        sampled = [self.gradient([x + t * w for x, w in zip(self.values, self.directions, strict=True)])
                   for t in _POINTS * scale]
        results = []
        for walk, run in (("pull of pull", by_pull), ("push of pull", by_push)):
            for k, found in enumerate(dlfeval(run, *self.handles(self.values))):
                want, doubt = _difference([s[k] for s in sampled], scale)
                smooth = doubt <= SMOOTH * (1 + want.abs())
                note = f"{int((~smooth).sum())} entries near a kink left out" if not bool(smooth.all()) else ""
                want = torch.where(smooth, want, found._value)
                results.append(self.compared(walk, self.names[k], _flat(found._value), _flat(want),
                                             range(want.numel()), tuple(want.shape), note))
        return results

    def compared(self, walk: str, of: str, found: Any, expected: Any, chosen: Sequence[int],
                 shape: tuple[int, ...], note: str,
                 tolerance: float | None = None) -> Comparison:
        if not len(chosen):
            return Comparison(walk, of, note="no entries")
        errors = np.abs(found - expected) / max(1.0, float(np.abs(expected).max()))
        errors = np.where(np.isnan(errors), np.inf, errors)
        worst = int(errors.argmax())
        place = tuple(int(i) for i in np.unravel_index(chosen[worst], shape)) if shape else ()
        ok = bool(errors[worst] <= (self.tolerance if tolerance is None else tolerance))
        return Comparison(walk, of, len(chosen), float(errors[worst]), place, found[worst], expected[worst], ok, note)


# ----- numbers -----

_POINTS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]) * STEP


def _difference(at: Sequence[Any], scale: float) -> tuple[Any, Any]:
    """The derivative from values at the points, and how much two steps, or a hundredth of what the two sides,
    disagree."""
    a, b, c, here, d, e, f = at
    coarse = (8 * (e - b) - (f - a)) / (12 * STEP * scale)
    fine = (8 * (d - c) - (e - b)) / (6 * STEP * scale)
    sides = (4 * (c + d) - (b + e) - 6 * here) / (STEP * scale)
    return fine, abs(coarse - fine) + abs(sides) / 100


def _slope(at: Callable[[float], float], scale: float) -> tuple[float, float]:
    return _difference([at(float(t)) for t in _POINTS * scale], scale)


def _flat(x: Tensor) -> Any:
    return x.resolve_conj().resolve_neg().reshape(-1).numpy()


def _inner(a: Sequence[Tensor], b: Sequence[Any]) -> Any:
    """Re <a, b> over lists; b are tensors or dlarrays."""
    total: Any = 0.0
    for x, y in zip(a, b, strict=True):
        if isinstance(y, Tensor):
            total = total + (x.conj() * y).sum().real
        else:
            plain, weight = dlarray._made(y._value, y._node, None), dlarray._made(x, None)
            total = total + sum(real(multiply(conj(weight) if x.is_complex() else weight, plain)))
    return total


def _is_variable(leaf: Any) -> bool:
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind in "fc"
    return isinstance(leaf, float) or isinstance(leaf, (dlarray, Tensor)) and differentiable(leaf.dtype)


__all__ = ["DerivativeCheck", "DerivativeMismatch", "check_derivatives"]
