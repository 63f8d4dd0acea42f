"""Every elementwise operation's slopes and second derivatives, by every walk, against mpmath: over the whole range of float64 and float32."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
from helpers import stream
from slope_references import REFERENCES, WITHOUT

import gradloom as gl
from gradloom import dlarray, dlfeval, dlgradient, jvp
from gradloom.core.tables import OPERATIONS

TYPES = [torch.float64, torch.float32]
STEP = mp.mpf(2) ** -100
SMALL_STEP = mp.mpf(2) ** -600  # whose square is nothing beside the smallest number
DIGITS = {torch.float64: 53, torch.float32: 24}


# ----- the grid: tiny, moderate and huge numbers, near zeros and poles, where functions saturate, where results are below the smallest normal number


def both_signs(numbers: Any) -> list[float]:
    return [s * v for v in numbers for s in (1.0, -1.0)]


_random = stream(0)
FLOATS = [0.0, 1e-45, 1e-40, 1e-38, 1e-30, 1e-16, 1e-10, 1e-7, 1e-5, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1 - 2**-24, 1.0, 1 + 2**-23, 1.01, 1.5, 1.57079637, 2.0,
          3.14159274, 3.5, 5.0, 7.3, 8.9, 9.7, 10.0, 12.5, 13.4, 15.0, 17.2, 20.0, 26.0, 30.0, 37.0, 40.0, 44.4, 50.0, 88.5, 89.3, 100.0, 103.5, 170.5, 1e4, 1e9,
          1e17, 1e19, 1e20, 1e30, 3e38, *_random.uniform(0, 3, 12), *_random.uniform(0, 60, 10), *10 ** _random.uniform(-15, 15, 8)]
NUMBERS = both_signs([float(np.float32(v)) for v in FLOATS] +
                     [5e-324, 1e-310, 3e-308, 1e-300, 1e-200, 1e-154, 1e-100, 1 - 2**-53, 1 + 2**-52, 1e-8 + 1, math.pi / 2, math.pi, 18.4, 19.1, 27.3, 36.8, 38.4,
                      200.1, 354.5, 372.3, 500.7, 700.2, 709.5, 716.4, 720.0, 740.0, 745.0, 800.0, 1e15 + 0.5, 1e50, 1e100, 1e150, 1e154, 1e155, 1e160, 1e200, 3e200,
                      1e300, 1.7e308])
SEVERAL = both_signs([0.0, 1e-310, 1e-200, 1e-100, 1e-30, 1e-5, 0.25, 0.9, 1.0, 1.75, 2.0, 3.3, 7.0, 19.5, 41.0, 90.3, 300.7, 760.3, 1e5, 1e17, 1e100, 3e200, 4e200,
                      1e300])


def grid(n: int) -> list[tuple[float, ...]]:
    if n == 1:
        return [(v,) for v in NUMBERS]
    stream = np.random.default_rng(n)
    drawn = [tuple(float(v) for v in stream.choice(SEVERAL, n)) for _ in range(90)]
    drawn += [tuple(float(v) for v in np.float32(stream.uniform(low, 5, n))) for low in (-5, 0.1) for _ in range(30)]
    return drawn + [(3e200, 4e200, 1.0)[:n], (1.0, 1.0, 1.0)[:n], (1e-5, 1e-5, 1e-5)[:n]]


def precision(point: tuple[Any, ...]) -> int:
    """Bits that the differences need: what two steps lose, the size of the point, and what saturates."""
    return 500 + sum(4 * abs(math.frexp(x)[1]) + int(4 * min(abs(x), 800)) for x in point)


def derivatives(reference: Any, point: tuple[float, ...], params: dict[str, Any]) -> dict[tuple[int, ...], Any]:
    """All first and second derivatives at a point."""
    n = len(point)
    wanted = [(k,) for k in range(n)] + [(i, j) for i in range(n) for j in range(i, n)]
    if reference.slopes is not None:
        with mp.workprec(600):
            xs = [mp.mpf(x) for x in point]
            return {w: mp.mpf(reference.slopes[w](*xs, **params)) for w in wanted if w in reference.slopes}
    return differences(reference, point, params, wanted, STEP, precision(point))


def differences(reference: Any, point: tuple[float, ...], params: dict[str, Any], wanted: Any, step: Any, bits: int) -> dict[tuple[int, ...], Any]:
    with mp.workprec(bits):
        xs = [mp.mpf(x) for x in point]
        steps = [step * min(abs(x), 1) if x else step for x in xs]

        @cache
        def at(*moved: int) -> Any:
            return reference.value(*[x + moved.count(k + 1) * h - moved.count(-k - 1) * h for k, (x, h) in enumerate(zip(xs, steps, strict=True))], **params)

        found = {}
        for w in wanted:
            i, j = w[0] + 1, w[-1] + 1
            if len(w) == 1:
                found[w] = (at(i) - at(-i)) / (2 * steps[i - 1])
            elif i == j:
                found[w] = (at(i) - 2 * at() + at(-i)) / steps[i - 1] ** 2
            else:
                found[w] = (at(i, j) - at(i, -j) - at(-i, j) + at(-i, -j)) / (4 * steps[i - 1] * steps[j - 1])
        return found


@cache
def exact(name: str, sample: int) -> dict[tuple[float, ...], dict[tuple[int, ...], Any]]:
    """The derivatives at every point of the grid where the operation is checked."""
    reference, operation = REFERENCES[name], OPERATIONS[name]
    return {p: derivatives(reference, p, samples(operation)[sample]) for p in grid(len(operation.inputs)) if reference.where(*map(mp.mpf, p))}


def samples(operation: Any) -> list[dict[str, Any]]:
    return operation.samples if isinstance(operation.samples, list) and isinstance(operation.samples[0], dict) else [{}]


# ----- what every walk gives


def walks(operation: Any, params: dict[str, Any], xs: list[torch.Tensor], laplacian: bool) -> dict[str, tuple[tuple[int, ...], torch.Tensor]]:
    """By the name of the walk: which derivative it is, and its numbers."""

    def inside(*xs: Any) -> Any:
        y = operation.apply(xs, params)
        total = gl.sum(y)
        found = {}
        ones = gl.ones(xs[0].shape, dtype=xs[0].dtype)
        for k, x in enumerate(xs):
            found[f"pull {k}"] = (k,), dlgradient(total, x, retain_data=True)
            found[f"push {k}"] = (k,), jvp(y, x, ones)
            g = dlgradient(total, x, enable_higher_derivatives=True)
            found[f"recorded pull {k}"] = (k,), g
            for j, other in enumerate(xs):
                which = (min(j, k), max(j, k))
                found[f"pull {j} of pull {k}"] = which, dlgradient(gl.sum(g), other, retain_data=True)
                found[f"push {j} of pull {k}"] = which, jvp(g, other, ones)
            if laplacian:
                found[f"laplacian {k}"] = (k, k), gl.dllaplacian(y, x, 1)
        return found

    made = dlfeval(inside, *[dlarray(x) for x in xs])
    return {name: (which, g._value.flatten()) for name, (which, g) in made.items()}


def unit(number: Any, dtype: Any) -> Any:
    """A unit in the last place of a number."""
    info = torch.finfo(dtype)
    smallest = mp.mpf(info.smallest_normal) * info.eps
    return smallest if number == 0 else max(mp.mpf(2) ** (mp.frexp(abs(number))[1] - DIGITS[dtype]), smallest)


def off(found: float, expected: Any, allowed: float, cancels: float, lost: float, dtype: Any) -> float:
    """By how many times what is allowed a number is off."""
    info = torch.finfo(dtype)
    if math.isnan(found):
        return math.inf
    if math.isinf(found):
        return 0.0 if abs(expected) > mp.mpf(info.max) * (1 - 16 * info.eps) and (expected > 0) == (found > 0) else math.inf
    smallest = mp.mpf(info.smallest_normal) * info.eps
    return float(abs(found - expected) / max(allowed * unit(max(abs(expected), mp.mpf(cancels)), dtype), lost * smallest))


def is_surely_near(found: float, expected: float, allowed: float, cancels: float, dtype: Any) -> bool:
    """Whether a number is within a unit less than what is allowed of `expected`, which may be half a unit off: a few float operations."""
    if not (allowed >= 1 and math.isfinite(found) and math.isfinite(expected)):
        return False
    info = torch.finfo(dtype)
    size = math.nextafter(max(abs(expected), cancels), 0.0)
    unit = max(math.ldexp(1.0, math.frexp(size)[1] - DIGITS[dtype]) if size else 0.0, info.smallest_normal * info.eps)
    return abs(found - expected) <= (allowed - 1) * unit


@cache
def allowances(name: str, sample: int) -> dict[tuple[float, ...], dict[tuple[int, ...], Any]]:
    """How many units each derivative of `exact` may be off, where it is compared."""
    reference, params = REFERENCES[name], samples(OPERATIONS[name])[sample]
    found = {}
    for p, derivatives in exact(name, sample).items():
        xs = [mp.mpf(x) for x in p]
        second = reference.second_where is None or reference.second_where(*xs)
        first_ulps, second_ulps = (u(*xs, **params) if callable(u) else u for u in (reference.ulps, reference.second_ulps))
        found[p] = {w: first_ulps if len(w) == 1 else second_ulps for w in derivatives if len(w) == 1 or second}
    return found


def check(name: str, dtype: Any) -> None:
    operation, reference = OPERATIONS[name], REFERENCES[name]
    wrong = []
    for number, params in enumerate(samples(operation)):
        points = {p: e for p, e in exact(name, number).items() if all(math.isfinite(v) and v == x for v, x in zip(torch.tensor(p, dtype=dtype).tolist(), p, strict=True))}
        assert len(points) > 20, f"{name} is checked at {len(points)} points"
        rounded = {p: {w: float(v) for w, v in e.items()} for p, e in points.items()}
        xs = [torch.tensor(x, dtype=dtype).reshape(-1, 1) for x in zip(*points, strict=True)]
        for walk, (which, numbers) in walks(operation, params, xs, len(xs) == 1).items():
            cancels = reference.cancels if len(which) == 1 else reference.second_cancels
            for found, p in zip(numbers.tolist(), points, strict=True):
                ulps = allowances(name, number)[p].get(which)
                if ulps is None or is_surely_near(found, rounded[p][which], ulps, cancels, dtype):
                    continue
                expected = points[p][which]
                by = off(found, expected, ulps, cancels, reference.lost, dtype)
                if by > 1 and found == 0 and reference.slopes is None:  # is it as small as expected, or is that what differences leave of a zero?
                    by = off(found, differences(reference, p, params, [which], SMALL_STEP, precision(p) + 2000)[which], ulps, cancels, reference.lost, dtype)
                if by > 1:
                    wrong.append((by, f"{walk} at {p} {params or ''}: {found!r}, not {mp.nstr(expected, 17)}: {by * float(ulps):.3g} units"))
    assert not wrong, f"{name}: {len(wrong)} derivatives are off\n" + "\n".join(line for _, line in sorted(wrong, reverse=True)[:12])


# ----- the tests


def test_every_elementwise_operation_has_a_reference_or_says_why():
    elementwise = {name for name, operation in OPERATIONS.items() if operation.kind == "elementwise"}
    assert not set(REFERENCES) & set(WITHOUT)
    assert set(REFERENCES) | set(WITHOUT) == elementwise, set(REFERENCES).union(WITHOUT) ^ elementwise


def test_what_is_allowed_beyond_the_rule_is_reasoned():
    for name, reference in REFERENCES.items():
        loose = callable(reference.ulps) or reference.ulps > 4 or callable(reference.second_ulps) or reference.second_ulps > 8 or reference.lost > 16
        assert not loose or reference.why, name


@pytest.mark.parametrize("dtype", TYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("name", REFERENCES)
def test_slopes(name, dtype):
    check(name, dtype)


PLANTED = {  # the slopes that are written with y and 1, and with squares that overflow
    "tanh": lambda v, p, node, g: torch.ops.aten.tanh_backward(g, v[1]),
    "sigmoid": lambda v, p, node, g: torch.ops.aten.sigmoid_backward(g, torch.sigmoid(v[0])),
    "expm1": lambda v, p, node, g: g * (torch.expm1(v[0]) + 1),
    "asinh": lambda v, p, node, g: g / torch.sqrt(1 + v[0] * v[0]),
    "gelu": lambda v, p, node, g: torch.ops.aten.gelu_backward(g, v[0], approximate=p["approximation"]),
    "coth": lambda v, p, node, g: g * (1 - torch.tanh(v[0]) ** -2),
    "erf": lambda v, p, node, g: g * (2 / math.sqrt(math.pi)) * torch.exp(-v[0] * v[0]),
}


@pytest.mark.parametrize("dtype", TYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_slope_is_found(name, dtype, monkeypatch):
    monkeypatch.setattr(OPERATIONS[name], "raw_pulls", [PLANTED[name]])
    with pytest.raises(AssertionError, match=r"are off\n  pull 0 at"):
        check(name, dtype)
