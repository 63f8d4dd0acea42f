"""Kinks, ties, singular points and large arguments: the values and the first two derivatives, by every walk."""

import math

import pytest
import torch
from helpers import jacobian_of, traced

import gradloom as gl
from gradloom import dlarray, dlfeval, dlgradient, jvp
from gradloom.core.tables import OPERATIONS, PUBLIC
from gradloom.derivatives.walks import pull as pulling
from gradloom.derivatives.walks import push as pushing
from gradloom.operations.elementwise.hard_activations import hardsigmoid, hardswish, hardtanh

INF, NAN = math.inf, math.nan


def derivatives(function, *values):
    """f and the first and second derivative of its sum with respect to each argument, by pull and by push, which must agree."""

    def inside(*xs):
        y = function(*xs)
        total = gl.sum(gl.real(y))
        first = dlgradient(total, *xs, enable_higher_derivatives=True)
        first = first if isinstance(first, tuple) else (first,)
        raw = dlgradient(total, *xs, retain_data=True)
        raw = raw if isinstance(raw, tuple) else (raw,)
        second = [dlgradient(gl.sum(gl.real(g)), x, retain_data=True) for g, x in zip(first, xs, strict=True)]
        pushed = [jvp(total, x, gl.ones(x.shape, dtype=x.dtype)) for x in xs]
        twice = [gl.sum(jvp(g, x, gl.ones(x.shape, dtype=x.dtype))) for g, x in zip(first, xs, strict=True)]
        return y, first, raw, second, pushed, twice

    y, first, raw, second, pushed, twice = dlfeval(inside, *[dlarray(v) for v in values])
    for g, r in zip(first, raw, strict=True):
        torch.testing.assert_close(g._value, r._value, rtol=1e-12, atol=0, equal_nan=True)
    for g, p in zip(first, pushed, strict=True):
        torch.testing.assert_close(g._value.real.sum(), p._value.reshape(()), rtol=1e-12, atol=1e-12, equal_nan=True)
    for g, p in zip(second, twice, strict=True):
        torch.testing.assert_close(g._value.real.sum(), p._value.real, rtol=1e-12, atol=1e-12, equal_nan=True)
    return y._value.tolist(), [g._value.tolist() for g in first], [s._value.tolist() for s in second]


# ----- large arguments --------------------------------------------------------------------------------------------------

FAR = 1e4
LARGE = [  # function, argument, value, first and second derivative
    (gl.tanh, FAR, 1, 0, 0),
    (gl.tanh, -FAR, -1, 0, 0),
    (gl.sigmoid, FAR, 1, 0, 0),
    (gl.sigmoid, -FAR, 0, 0, 0),
    (gl.sigmoid, -700.0, math.exp(-700), math.exp(-700), math.exp(-700)),
    (gl.softplus, FAR, FAR, 1, 0),
    (gl.softplus, -FAR, 0, 0, 0),
    (gl.silu, FAR, FAR, 1, 0),
    (gl.silu, -FAR, 0, 0, 0),
    (gl.gelu, FAR, FAR, 1, 0),
    (gl.gelu, -FAR, 0, 0, 0),
    (lambda x: gl.gelu(x, approximation="tanh"), FAR, FAR, 1, 0),
    (lambda x: gl.gelu(x, approximation="tanh"), -FAR, 0, 0, 0),
    (gl.elu, FAR, FAR, 1, 0),
    (gl.elu, -FAR, -1, 0, 0),
    (gl.leakyrelu, -FAR, -100, 0.01, 0),
    (gl.relu, FAR, FAR, 1, 0),
    (gl.erf, FAR, 1, 0, 0),
    (gl.erfc, FAR, 0, 0, 0),
    (gl.expm1, -FAR, -1, 0, 0),
    (gl.exp, -FAR, 0, 0, 0),
    (gl.exp, -INF, 0, 0, 0),
    (gl.atan, 1e200, math.pi / 2, 0, 0),
    (gl.log1p, 1e300, math.log(1e300), 1e-300, 0),
    (lambda x: gl.logsumexp(gl.stack([x, x])), FAR, FAR + math.log(2), 1, 0),
    (lambda x: gl.log_softmax(gl.stack([x, x * 0]), axis=0)[1], FAR, -FAR, -1, 0),
    (lambda x: gl.softmax(gl.stack([x, x * 0]), axis=0)[0], FAR, 1, 0, 0),
    (lambda x: gl.hypot(x, x), 1e200, 1e200 * math.sqrt(2), math.sqrt(2), 0),
]


@pytest.mark.parametrize(("function", "x", "value", "first", "second"), LARGE, ids=[str(k) for k in range(len(LARGE))])
def test_large_arguments(function, x, value, first, second):
    y, (g,), (h,) = derivatives(function, x)
    assert y == pytest.approx(value, rel=1e-12, abs=1e-320)
    assert g == pytest.approx(first, rel=1e-12, abs=1e-320)
    assert h == pytest.approx(second, rel=1e-9, abs=1e-9)


# ----- kinks and ties ---------------------------------------------------------------------------------------------------

KINKS = [  # function, arguments, gradients
    (gl.relu, [[-1.0, 0.0, 2.0]], [[0, 0, 1]]),
    (gl.abs, [[-1.0, 0.0, 2.0]], [[-1, 0, 1]]),
    (gl.sign, [[-1.0, 0.0]], [[0, 0]]),
    (gl.floor, [[0.0, 0.5]], [[0, 0]]),
    (lambda x: gl.leakyrelu(x, 0.1), [[-1.0, 0.0, 2.0]], [[0.1, 0.1, 1]]),
    (gl.elu, [[0.0, 2.0]], [[1, 1]]),
    (lambda x: gl.clip(x, -1, 1), [[-2.0, -1.0, 1.0, 2.0]], [[0, 1, 1, 0]]),
    (lambda x: hardtanh(x, -1.0, 1.0), [[-2.0, -1.0, 0.5, 1.0, 2.0]], [[0, 0, 1, 0, 0]]),
    (hardsigmoid, [[-4.0, -3.0, 0.0, 3.0, 4.0]], [[0, 0, 1 / 6, 0, 0]]),
    (hardswish, [[-4.0, -3.0, 0.0, 3.0, 4.0]], [[0, 0, 0.5, 1, 1]]),
    (gl.maximum, [[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]], [[0, 1, 1], [1, 0, 0]]),
    (gl.minimum, [[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]], [[1, 1, 0], [0, 0, 1]]),
    (lambda x: gl.maximum(x, 0.0), [[-1.0, 0.0, 1.0]], [[0, 1, 1]]),
    (lambda x: gl.maximum(0.0, x), [[-1.0, 0.0, 1.0]], [[0, 0, 1]]),
    (lambda x: gl.max(x), [[3.0, 1.0, 3.0]], [[1, 0, 0]]),
    (lambda x: gl.min(x), [[3.0, 1.0, 1.0]], [[0, 1, 0]]),
    (lambda x: gl.max(x, axis=0), [[[1.0, 5.0], [1.0, 7.0], [1.0, 7.0]]], [[[1, 0], [0, 1], [0, 0]]]),
    (lambda x: gl.maxpool(dlarray(x, "BCS"), 2), [[[[2.0, 2.0, 1.0, 2.0]]]], [[[[1, 1, 0, 1]]]]),
    (lambda x: gl.where(x > 0, x, -x), [[-1.0, 0.0, 1.0]], [[-1, -1, 1]]),
    (gl.square, [0.0], [0.0]),
    (lambda x: x**2, [[0.0, -3.0]], [[0, -6]]),
    (lambda x: x**3, [[0.0, -2.0]], [[0, 12]]),
    (lambda x: x**0, [[0.0, -2.0]], [[0, 0]]),
    (lambda x: x**1, [[0.0, -2.0]], [[1, 1]]),
    (gl.power, [[0.0, -2.0, 2.0, 0.0], [2.0, 3.0, 0.0, 0.0]], [[0, 12, 0, 0], [0, NAN, math.log(2), 0]]),
    (lambda x: 0.0**x, [[1.0, 2.0]], [[0, 0]]),
    (lambda x: gl.prod(x), [[2.0, 0.0, 3.0]], [[0, 6, 0]]),
    (lambda x: gl.prod(x), [[2.0, 0.0, 0.0]], [[0, 0, 0]]),
    (lambda x: gl.norm(x), [[0.0, 0.0]], [[0, 0]]),
    (lambda x: gl.std(x), [[2.0, 2.0]], [[0, 0]]),
    (lambda x: gl.norm(x, axis=0), [[[3.0, 0.0], [4.0, 0.0]]], [[[0.6, 0], [0.8, 0]]]),
    (gl.abs, [[3 + 4j, 0j]], [[0.6 + 0.8j, 0]]),
    (gl.mod, [[5.0, -5.0], [3.0, 3.0]], [[1, 1], [-1, 2]]),
    (lambda x: gl.logsumexp(x), [[-INF, 0.0]], [[0, 1]]),
    (lambda x: gl.logsumexp(x, axis=0), [[[-INF, 1.0], [-INF, 1.0]]], [[[0, 0.5], [0, 0.5]]]),
    (lambda x: gl.softmax(x, axis=0)[1], [[-INF, 0.0, 0.0]], [[0, 0.25, -0.25]]),
    (lambda x: gl.round(x), [[0.5, 1.5]], [[0, 0]]),
]


@pytest.mark.parametrize(("function", "values", "gradients"), KINKS, ids=[str(k) for k in range(len(KINKS))])
def test_kinks_and_ties(function, values, gradients):
    if any(isinstance(g, list) and NAN in g for g in gradients):  # the derivative of (-2) ** 3 in the exponent does not exist
        found = dlfeval(lambda *xs: dlgradient(gl.sum(function(*xs)), *xs), *[dlarray(v) for v in values])
        found = [g._value.tolist() for g in found]
    else:
        _, found, _ = derivatives(function, *values)
    for g, expected in zip(found, gradients, strict=True):
        torch.testing.assert_close(
            torch.tensor(g), torch.tensor(expected, dtype=torch.tensor(g).dtype), equal_nan=True, rtol=1e-12, atol=1e-12
        )


def test_products_with_zeros_have_second_derivatives():
    x = dlarray([2.0, 0.0, 0.0, 5.0])
    hessian = dlfeval(
        lambda x: gl.stack([dlgradient(g, x, retain_data=True) for g in dlgradient(gl.prod(x), x, enable_higher_derivatives=True)]), x
    )
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[1, 2] = expected[2, 1] = 10
    assert torch.equal(hessian._value, expected)


# ----- singular points: 0 times infinity is 0 -----------------------------------------------------------------------------

# Where the partial of each singular operation is infinite or not a number; each argument list, and which arguments vary.
SINGULAR = {
    "log": [0.0],
    "log1p": [-1.0],
    "log2": [0.0],
    "log10": [0.0],
    "sqrt": [0.0],
    "rsqrt": [0.0],
    "reciprocal": [0.0],
    "asin": [1.0],
    "acos": [-1.0],
    "acosh": [1.0],
    "atanh": [-1.0],
    "divide": [1.0, 0.0],
    "power": [0.0, 0.5],
    "atan2": [0.0, 0.0],
    "hypot": [0.0, 0.0],
    "sign": [0j],
    "angle": [0j],
    "scale": [0.0, INF],
    "cot": [0.0],
    "csc": [0.0],
    "coth": [0.0],
    "csch": [0.0],
    "acoth": [1.0],
    "acsc": [1.0],
    "asec": [1.0],
    "asech": [0.0],
    "acsch": [0.0],
    "erfinv": [1.0],
    "erfcinv": [0.0],
    "gamma": [0.0],
    "gammaln": [0.0],
    "digamma": [0.0],
    "polygamma": [0.0],
    "beta": [0.0, 0.5],
    "xlogy": [0.0, 0.0],
}
BEYOND_ONE = ("acosh", "acoth", "acsc", "asec")  # defined from 1 on


def called(name):
    return (lambda x: gl.polygamma(1, x)) if name == "polygamma" else OPERATIONS[name].public


def at_point(name):
    operation = called(name)
    point = SINGULAR[name]

    def guarded(*xs):
        """The operation behind a guard, at the point and beside it."""
        beside = [gl.stack([x, x * 0 + (1.6 if name in BEYOND_ONE else 0.6)]) for x in xs]
        return gl.where(dlarray([False, True]), operation(*beside), 0.0)

    return guarded, point


def test_every_singular_operation_is_here():
    """Those with a name for users; the slopes among operations come with them."""
    assert {name for name, o in OPERATIONS.items() if getattr(o, "singular", False) and o.public} == {name for name in SINGULAR if name != "hypot"}


@pytest.mark.parametrize("name", SINGULAR)
def test_guarded_branches_do_not_leak(name):
    guarded, point = at_point(name)
    if name == "scale":
        guarded, point = (lambda a: gl.where(dlarray([False, True]), gl.scale(gl.stack([a, a]), dlarray([INF, 2.0])), 0.0)), [0.0]
    y, first, second = derivatives(guarded, *point)
    for numbers in (y, first, second):
        assert torch.isfinite(torch.tensor(numbers)).all(), numbers


@pytest.mark.parametrize(
    "name", [n for n, o in OPERATIONS.items() if getattr(o, "singular", False) and o.public and n not in ("scale", "sign", "angle")]
)
def test_guarded_branches_do_not_leak_into_jacobians_and_leading_axes(name):
    operation, point = called(name), SINGULAR[name]
    safe = 1.6 if name in BEYOND_ONE else 0.6
    for k in range(len(point)):
        others = list(point)

        def guarded(x, k=k, others=others):
            arguments = [x if j == k else dlarray([p, safe]) for j, p in enumerate(others)]
            return gl.where(dlarray([False, True]), operation(*arguments), 0.0)

        x = torch.tensor([point[k], safe], dtype=torch.float64)
        found = jacobian_of(guarded, x)
        assert torch.isfinite(found).all(), found
        y, (node,) = traced(guarded, x)
        for recorded in (False, True):
            seeds = torch.eye(2, dtype=torch.float64)
            bars = pulling.pull({y._node: dlarray._made(seeds, None) if recorded else seeds}, [node], lead=(2,), recorded=recorded)[0]
            dots = pushing.push([y._node], {node: dlarray._made(seeds, None) if recorded else seeds}, lead=(2,), recorded=recorded)[0]
            torch.testing.assert_close(bars._value if recorded else bars, found)
            torch.testing.assert_close(dots._value if recorded else dots, found.T)


def test_a_guard_by_where_is_exact_to_second_order():
    x = dlarray([0.0, 4.0])
    y, (g,), (h,) = derivatives(lambda x: gl.where(x > 0, gl.sqrt(x) + gl.log(x), 0.0), x)
    assert y == [0.0, 2 + math.log(4)]
    assert g == [0.0, 0.5]
    assert h == [0.0, -0.25 / 8 - 1 / 16]


def test_unguarded_singular_points_are_infinite():
    _, (g,), _ = derivatives(gl.log, [0.0, 1.0])
    assert g == [INF, 1.0]
    assert dlfeval(lambda x: dlgradient(gl.sum(gl.sqrt(x)), x), dlarray([0.0]))._value.tolist() == [INF]


def test_nan_on_the_side_not_taken_stays_there():
    y, (g,), (h,) = derivatives(lambda x: gl.where(dlarray([True, False]), x * x, gl.sqrt(x - 10)), [2.0, 3.0])
    assert (y[0], g[0], h[0]) == (4.0, 4.0, 2.0)
    assert jacobian_of(lambda x: gl.where(dlarray([True, True]), x * x, gl.sqrt(x - 10)), [2.0, 3.0]).tolist() == [[4.0, 0.0], [0.0, 6.0]]


def test_softmax_and_masks():
    mask = dlarray([True, False, True])
    x = dlarray([1.0, 2.0, 3.0])
    y, (g,), (h,) = derivatives(lambda x: gl.softmax(gl.where(mask, x, -INF), axis=0)[0], x)
    assert torch.isfinite(torch.tensor([g, h])).all()
    assert g[1] == h[1] == 0
    assert PUBLIC["isfinite"](dlarray(y))
