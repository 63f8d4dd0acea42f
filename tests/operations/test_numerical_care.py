"""Care with numbers: values, gradients, Hessian-vector products and Jacobians at +-1e4 and at degenerate points, in single and double precision.

References are formulas in long double (or SciPy's functions, which are accurate to a few units in the last place), and invariances.
"""

import math
from typing import Any

import numpy as np
import pytest
import scipy.special as special
import torch
from helpers import jacobian_of

import gradloom as gl
from gradloom import dlarray, dlfeval, dlgradient, jvp

LONG = np.longdouble
INF = math.inf
TYPES = [torch.float32, torch.float64]
EACH_TYPE = pytest.mark.parametrize("dtype", TYPES, ids=["float32", "float64"])


def close(found, expected, dtype, loose=1.0):
    """Equal to some units in the last place of the largest number."""
    found, expected = torch.as_tensor(found).detach(), torch.as_tensor(np.asarray(expected, dtype=np.float64))
    assert found.dtype == dtype, f"{found.dtype}, not {dtype}"
    info = torch.finfo(dtype)
    torch.testing.assert_close(found.double(), expected, rtol=16 * loose * info.eps, atol=4 * info.tiny if loose == 1 else loose * info.eps, equal_nan=True)


def walks(function, x, weights=None, direction=None, loose=1.0):
    """y, the gradient g of <weights, y>, the derivative of g along a direction; every walk must give the same."""
    direction = torch.linspace(1.0, 2.0, x.numel(), dtype=x.dtype).reshape(x.shape) if direction is None else direction

    def inside(x):
        y = function(x)
        w = dlarray(torch.linspace(1.0, 2.0, y.size, dtype=x.dtype).reshape(y.shape) if weights is None else weights, y.dims or None)
        total = gl.sum(y * w)
        v = dlarray(direction, x.dims or None)
        g = dlgradient(total, x, enable_higher_derivatives=True)
        raw = dlgradient(total, x, retain_data=True)
        return y, w, g, raw, jvp(y, x, v), dlgradient(gl.sum(g * v), x, retain_data=True), jvp(g, x, v)

    y, w, g, raw, pushed, curved, pushed_twice = (a._value for a in dlfeval(inside, x if isinstance(x, dlarray) else dlarray(x)))
    x = x._value if isinstance(x, dlarray) else x
    size = 1 + g.abs().max() if g.numel() else 1
    tolerance = {"rtol": 64 * torch.finfo(x.dtype).eps, "atol": float(64 * loose * torch.finfo(x.dtype).eps * size)}
    torch.testing.assert_close(raw, g, **tolerance)
    torch.testing.assert_close((pushed * w).sum(), (g * direction).sum(), rtol=tolerance["rtol"], atol=tolerance["atol"] * max(1, x.numel()))
    bend = curved.nan_to_num().abs().max() if x.numel() else 0
    torch.testing.assert_close(pushed_twice, curved, rtol=tolerance["rtol"], atol=float(tolerance["atol"] * (1 + bend)), equal_nan=True)
    torch.testing.assert_close(torch.tensordot(w, jacobian_of(function, x), w.ndim), g, **tolerance)
    return y, g, curved


# ----- one number: value, first and second derivative in long double ---------------------------------------------------------


def logistic(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def log_logistic(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def bell(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * LONG(np.pi))


def gauss(x):
    return -2 / np.sqrt(LONG(np.pi)) * np.exp(-x * x)


def normal(x):
    return special.ndtr(np.asarray(x, dtype=np.float64))


FAR = [-1e4, -100.0, -40.0, -1.0, -1e-4, -1e-10, 0.0, 1e-10, 1e-4, 1.0, 40.0, 100.0, 1e4]
POSITIVE = [1e-30, 1e-10, 1e-4, 1.0, 40.0, 1e4, 1e30]
ABOVE_MINUS_ONE = [-0.999, -1e-4, -1e-10, 0.0, 1e-10, 1e-4, 1.0, 1e4, 1e30]

NUMBERS: dict[str, Any] = {  # function, points, value, first and second derivative
    "sigmoid": (gl.sigmoid, FAR, logistic, lambda x: logistic(x) * logistic(-x), lambda x: logistic(x) * logistic(-x) * (1 - 2 * logistic(x))),
    "softplus": (gl.softplus, FAR, log_logistic, logistic, lambda x: logistic(x) * logistic(-x)),
    "tanh": (gl.tanh, FAR, np.tanh, lambda x: 4 * logistic(2 * x) * logistic(-2 * x), lambda x: -8 * np.tanh(x) * logistic(2 * x) * logistic(-2 * x)),
    "silu": (
        gl.silu,
        FAR,
        lambda x: x * logistic(x),
        lambda x: logistic(x) * (1 + x * logistic(-x)),
        lambda x: logistic(x) * logistic(-x) * (2 + x * (1 - 2 * logistic(x))),
    ),
    "gelu": (gl.gelu, [*FAR, 1e15, -1e15], lambda x: x * normal(x), lambda x: normal(x) + x * bell(x), lambda x: bell(x) * (2 - x * x)),
    "log1p": (gl.log1p, ABOVE_MINUS_ONE, np.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2),
    "expm1": (gl.expm1, [*FAR[:-2], 80.0], np.expm1, np.exp, np.exp),
    "exp": (gl.exp, [*FAR[:-2], 80.0], np.exp, np.exp, np.exp),
    "erf": (gl.erf, FAR, lambda x: special.erf(np.float64(x)), lambda x: -gauss(x), lambda x: 2 * x * gauss(x)),
    "erfc": (gl.erfc, [*FAR, 5.0, 8.0], lambda x: special.erfc(np.float64(x)), gauss, lambda x: -2 * x * gauss(x)),
    "sqrt": (gl.sqrt, POSITIVE[1:], np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda x: -0.25 * x ** LONG(-1.5)),
    "rsqrt": (gl.rsqrt, POSITIVE[1:-1], lambda x: x ** LONG(-0.5), lambda x: -0.5 * x ** LONG(-1.5), lambda x: 0.75 * x ** LONG(-2.5)),
    "log": (gl.log, POSITIVE[1:], np.log, lambda x: 1 / x, lambda x: -1 / x**2),
    "reciprocal": (gl.reciprocal, POSITIVE[1:-1], lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "square": (gl.square, FAR, lambda x: x * x, lambda x: 2 * x, lambda x: 2 + 0 * x),
    "atan": (gl.atan, [*FAR, 1e15, -1e15], np.arctan, lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    "asinh": (gl.asinh, FAR, np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x), lambda x: -x / (1 + x * x) ** LONG(1.5)),
    "gammaln": (
        gl.gammaln,
        [1e-5, 1e-3, 0.5, 3.5, 40.0, 1e4],
        lambda x: special.gammaln(np.float64(x)),
        lambda x: special.digamma(np.float64(x)),
        lambda x: special.polygamma(1, np.float64(x)),
    ),
    "power 3": (lambda x: x**3, FAR, lambda x: x**3, lambda x: 3 * x * x, lambda x: 6 * x),
    "power 2.5": (
        lambda x: x**2.5,
        [0.0, *POSITIVE[2:-1]],
        lambda x: x ** LONG(2.5),
        lambda x: 2.5 * x ** LONG(1.5),
        lambda x: 3.75 * x ** LONG(0.5),
    ),
    "power -2": (lambda x: x**-2, POSITIVE[2:-1], lambda x: x ** LONG(-2), lambda x: -2 * x ** LONG(-3), lambda x: 6 * x ** LONG(-4)),
    "to a power": (
        lambda x: gl.power(2.0, x),
        [-100.0, -1.0, 0.0, 1.0, 100.0],
        lambda x: LONG(2) ** x,
        lambda x: LONG(2) ** x * np.log(LONG(2)),
        lambda x: LONG(2) ** x * np.log(LONG(2)) ** 2,
    ),
    "3 / x": (lambda x: 3 / x, POSITIVE[2:-1], lambda x: 3 / x, lambda x: -3 / x**2, lambda x: 6 / x**3),
    "x / x": (lambda x: x / x, [1e-4, 1.0, 1e4, -1e4], lambda x: 1 + 0 * x, lambda x: 0 * x, lambda x: 0 * x),
    "logaddexp(x, x)": (lambda x: gl.logaddexp(x, x), FAR, lambda x: x + np.log(LONG(2)), lambda x: 1 + 0 * x, lambda x: 0 * x),
    "logaddexp(x, 0)": (lambda x: gl.logaddexp(x, 0.0), FAR, log_logistic, logistic, lambda x: logistic(x) * logistic(-x)),
    "xlogy": (lambda x: gl.xlogy(x, x), POSITIVE[1:-1], lambda x: x * np.log(x), lambda x: np.log(x) + 1, lambda x: 1 / x),
}


@EACH_TYPE
@pytest.mark.parametrize("name", NUMBERS)
def test_one_number(name, dtype):
    function, points, *formulas = NUMBERS[name]
    x = torch.tensor(points, dtype=dtype)
    exact = x.numpy().astype(LONG)
    found = walks(function, x, torch.ones_like(x), torch.ones_like(x))
    info = torch.finfo(dtype)
    for a, formula, loose in zip(found, formulas, (1, 4, 16), strict=True):
        expected = torch.as_tensor(np.asarray(formula(exact), dtype=np.float64))
        assert a.dtype == dtype
        size = expected.abs().clamp(min=1)
        error = (a.double() - expected).abs() / size
        assert torch.isfinite(a).all() and float(error.max()) < 16 * loose * info.eps, f"{points}\n{a}\n{expected}"


@EACH_TYPE
def test_small_results_keep_their_digits(dtype):
    """Relative accuracy where the value is close to 0."""
    x = torch.tensor([-1e-10, 1e-10, 1e-5, -1e-5], dtype=dtype)
    exact = x.numpy().astype(LONG)
    for function, formula in ((gl.log1p, np.log1p), (gl.expm1, np.expm1), (gl.tanh, np.tanh), (gl.asinh, np.arcsinh), (gl.atan, np.arctan)):
        close(function(dlarray(x))._value, formula(exact), dtype)
    x = torch.tensor([-80.0, -30.0, -5.0], dtype=dtype)
    exact = x.numpy().astype(LONG)
    for function, formulas in (
        (gl.sigmoid, NUMBERS["sigmoid"][2:]),
        (gl.softplus, NUMBERS["softplus"][2:]),
        (lambda x: gl.logaddexp(x, 0.0), NUMBERS["softplus"][2:]),
        (lambda x: gl.erfc(-0.1 * x), ()),
    ):
        for found, formula in zip(walks(function, x, torch.ones_like(x), torch.ones_like(x)), formulas, strict=False):
            close(found, formula(exact), dtype, 8 if dtype is torch.float32 else 4)
    close(gl.erfc(dlarray(torch.tensor([3.0, 8.0], dtype=dtype)))._value, special.erfc([3.0, 8.0]), dtype)


@pytest.mark.parametrize("approximation", ["none", "tanh"])
@EACH_TYPE
def test_gelu_far_from_0(dtype, approximation):
    x = torch.tensor([1e12, -1e12, 1e4, -1e4], dtype=dtype)
    y, g, h = walks(lambda x: gl.gelu(x, approximation=approximation), x, torch.ones_like(x), torch.ones_like(x))
    assert torch.equal(y, torch.relu(x)) and torch.equal(g, (x > 0).to(dtype)) and not h.any()


@pytest.mark.parametrize("order", [None, 1, INF])
def test_complex_absolute_values_at_0(order):
    """The second derivative there is 0, as that of the real absolute value."""
    def bent(x):
        y = gl.sum(gl.abs(x)) if order is None else gl.vector_norm(x, ord=order)
        g = dlgradient(y, x, enable_higher_derivatives=True)
        return g, dlgradient(gl.sum(gl.real(g)), x, retain_data=True), jvp(g, x, gl.ones(2, dtype=x.dtype))

    for dtype in (torch.complex128, torch.float64):
        assert not any(bool(a._value.any()) for a in dlfeval(bent, dlarray(torch.zeros(2, dtype=dtype))))


# ----- sums of exponentials ------------------------------------------------------------------------------------------------------

LOGITS = {
    "far apart": [1e4, -1e4, 0.0],
    "all far up": [1e4, 1e4 - 1, 1e4 + 1],
    "all far down": [-1e4, -1e4 - 1, -1e4 + 1],
    "equal": [7.0, 7.0, 7.0, 7.0],
    "equal and far": [-1e4, -1e4],
    "one": [1e4],
    "masked": [-INF, 1.0, 2.0],
    "one left": [-INF, 1e4, -INF],
    "none": [],
}


def exact_softmax(x):
    e = np.exp(x - x.max()) if x.size else x
    return e / e.sum() if x.size else x


def at_logits(test):
    return EACH_TYPE(pytest.mark.parametrize("name", LOGITS)(test))


def logits(name, dtype):
    x = torch.tensor(LOGITS[name], dtype=dtype)
    exact = x.numpy().astype(LONG)
    return x, exact, exact_softmax(exact), np.linspace(1, 2, x.numel(), dtype=LONG)


@at_logits
def test_softmax(name, dtype):
    x, _, p, w = logits(name, dtype)
    v = w
    y, g, h = walks(lambda x: gl.softmax(x, axis=0), x)
    close(y, p, dtype, 4)
    close(g, p * (w - (w * p).sum()), dtype, 4)
    a = w - (w * p).sum()
    dp = p * (v - (v * p).sum())
    close(h, dp * a - p * (w * dp).sum(), dtype, 16)


@at_logits
def test_log_softmax(name, dtype):
    if "masked" in name or "left" in name:
        return
    x, exact, p, w = logits(name, dtype)
    dp = p * (w - (w * p).sum())
    y, g, h = walks(lambda x: gl.log_softmax(x, axis=0), x)
    close(y, exact - (exact.max() + np.log(np.exp(exact - exact.max()).sum())) if x.numel() else exact, dtype, 4)
    close(g, w - w.sum() * p, dtype, 8)
    close(h, -w.sum() * dp, dtype, 32)


@at_logits
def test_logsumexp(name, dtype):
    x, exact, p, w = logits(name, dtype)
    y, g, h = walks(lambda x: gl.logsumexp(x), x, torch.ones((), dtype=dtype))
    close(y, exact.max() + np.log(np.exp(exact - exact.max()).sum()) if x.numel() else -INF, dtype, 4)
    close(g, p, dtype, 4)
    close(h, p * (w - (w * p).sum()), dtype, 16)


@EACH_TYPE
@pytest.mark.parametrize(
    ("x", "expected"), [([3.0, INF], [0, 1]), ([INF, 3.0, INF], [0.5, 0, 0.5]), ([-INF, INF], [0, 1]), ([-INF, -INF], [0, 0])], ids=str
)
def test_logsumexp_of_infinities(x, expected, dtype):
    """As `logaddexp`, by every walk; what is infinite stays so, that the shares do not change."""
    x = torch.tensor(x, dtype=dtype)
    functions = [gl.logsumexp] + [lambda x: gl.logaddexp(x[0], x[1])] * (x.numel() == 2)
    for function in functions:
        _, g, h = walks(function, x, torch.ones((), dtype=dtype))
        close(g, expected, dtype)
        if expected.count(0.5) == 0:
            close(h, [0] * x.numel(), dtype)


@pytest.mark.parametrize("index", [False, True], ids=["probabilities", "indices"])
@pytest.mark.parametrize("target", [0, -1])
@at_logits
def test_crossentropy_of_logits(name, dtype, target, index):
    if name in ("none", "masked", "one left") or len(LOGITS[name]) == 0:
        return
    x, exact, p, v = logits(name, dtype)
    t = np.zeros(x.numel())
    t[target] = 1
    at = int(np.argmax(t))
    targets: Any = dlarray(torch.tensor([at])) if index else dlarray(torch.tensor(t, dtype=dtype).reshape(-1, 1), "CB")
    loss = gl.indexcrossentropy if index else gl.crossentropy
    y, g, h = walks(lambda x: loss(gl.reshape(x, (-1, 1)), targets, from_logits=True, data_format="CB"), x)
    close(y, exact.max() + np.log(np.exp(exact - exact.max()).sum()) - exact[at], dtype, 4)
    close(g, p - t, dtype, 4)
    close(h, p * (v - (v * p).sum()), dtype, 16)


# ----- cross-entropy of probabilities, and multi-label --------------------------------------------------------------------------

TINY = {torch.float32: torch.finfo(torch.float32).tiny, torch.float64: torch.finfo(torch.float64).tiny}


@EACH_TYPE
@pytest.mark.parametrize("p", [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1.0], [1e-6, 1 - 1e-6]], ids=str)
def test_crossentropy_of_probabilities(p, dtype):
    """Where the target's probability is 0 the loss is large and finite, and its slope 0, as that of a clipped value."""
    x = torch.tensor(p, dtype=dtype)
    t = dlarray(torch.tensor([1.0] + [0.0] * (len(p) - 1), dtype=dtype).reshape(-1, 1), "CB")
    y, g, h = walks(lambda x: gl.crossentropy(gl.reshape(x, (-1, 1)), t, data_format="CB"), x)
    first = x[0].double().item()
    rest = [0.0] * (len(p) - 1)
    close(y, -math.log(first or TINY[dtype]), dtype, 4)
    close(g, [-1 / first if first else 0.0, *rest], dtype, 4)
    close(h, [1 / first**2 if first else 0.0, *rest], dtype, 8)
    indices = gl.indexcrossentropy(dlarray(x.reshape(-1, 1), "CB"), dlarray(torch.tensor([0]), "B"))
    close(indices._value, y.double(), dtype, 4)


@EACH_TYPE
def test_probabilities_are_clipped_where_one_is_too_small(dtype):
    """One probability below the smallest normal number has the value and the slope of a clipped one; the others do not notice."""
    small = TINY[dtype] / 4
    x, t = torch.tensor([[small, 1.0], [0.25, 0.75]], dtype=dtype), torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=dtype)
    y, g, _ = walks(lambda x: gl.crossentropy(x, dlarray(t), data_format="BC"), x)
    close(y, -0.25 * (math.log(TINY[dtype]) + math.log(0.25) + math.log(0.75)), dtype, 4)
    close(g, [[0.0, -0.25], [-1.0, -1 / 3]], dtype, 4)
    y, g, _ = walks(lambda x: gl.crossentropy(x[1:], dlarray(t[1:]), data_format="BC"), x)
    close(y, -0.5 * (math.log(0.25) + math.log(0.75)), dtype, 4)


@EACH_TYPE
def test_crossentropy_of_no_observations(dtype):
    x = dlarray(torch.zeros((3, 0), dtype=dtype), "CB")
    for logits in (False, True):
        g = dlfeval(lambda x, k=logits: dlgradient(gl.sum(gl.crossentropy(x, x, from_logits=k, normalization_factor="none")), x), x)
        assert g.shape == (3, 0)


@EACH_TYPE
def test_multilabel_crossentropy(dtype):
    x = torch.tensor([-1e4, 1e4, -1e4, 1e4, 0.0, 40.0], dtype=dtype)
    t = np.array([0.0, 1.0, 1.0, 0.0, 0.5, 1.0])
    targets = dlarray(torch.tensor(t, dtype=dtype).reshape(-1, 1), "CB")
    mode: Any = {"classification_mode": "multilabel", "data_format": "CB"}
    exact = x.numpy().astype(LONG)
    y, g, h = walks(lambda x: gl.crossentropy(gl.reshape(x, (-1, 1)), targets, from_logits=True, **mode), x, direction=torch.ones_like(x))
    close(y, (log_logistic(exact) - t * exact).sum(), dtype, 4)
    close(g, logistic(exact) - t, dtype, 4)
    close(h, logistic(exact) * logistic(-exact), dtype, 4)
    p = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5, 1.0], dtype=dtype)
    found = walks(lambda x: gl.crossentropy(gl.reshape(x, (-1, 1)), targets, **mode), p)
    assert all(bool(torch.isfinite(a).all()) for a in found)
    close(found[1], [1.0, -1.0, 0.0, 0.0, 0.0, -1.0], dtype, 4)


# ----- lengths, variances ---------------------------------------------------------------------------------------------------------

VECTORS = {
    "far": [1e4, -1e4, 3e3],
    "zeros": [0.0, 0.0, 0.0],
    "one zero": [3.0, 0.0, -4.0],
    "equal": [5.0, 5.0, 5.0],
    "one": [-1e4],
    "none": [],
    "small": [1e-12, -2e-12, 0.0],
}


def at_vectors(test):
    return EACH_TYPE(pytest.mark.parametrize("name", VECTORS)(test))


def exact_norm(x):
    """Norm, gradient, derivative of the gradient along 1 ... 2; at 0 the gradient is 0 by convention, which has no derivative."""
    n, v = np.sqrt((x * x).sum()), np.linspace(1, 2, x.size, dtype=LONG)
    if n == 0:
        return n, 0 * x, np.nan * x
    return n, x / n, v / n - x * (x * v).sum() / n**3


@pytest.mark.parametrize("function", [gl.norm, gl.vector_norm, lambda x: gl.matrix_norm(gl.reshape(x, (1, -1)))], ids=["norm", "vector", "matrix"])
@at_vectors
def test_norm(function, name, dtype):
    x = torch.tensor(VECTORS[name], dtype=dtype)
    y, g, h = walks(function, x, torch.ones((), dtype=dtype))
    value, first, second = exact_norm(x.numpy().astype(LONG))
    close(y, value, dtype)
    close(g, first, dtype, 4)
    close(h * max(value, 1e-30), second * max(value, 1e-30), dtype, 16)


@pytest.mark.parametrize("order", [1, 3, 2.5, INF, -INF])
@at_vectors
def test_vector_norms_of_every_order(name, order, dtype):
    if not VECTORS[name]:
        return
    x = torch.tensor(VECTORS[name], dtype=dtype)
    y, g, h = walks(lambda x: gl.vector_norm(x, ord=order), x, torch.ones((), dtype=dtype))
    exact = x.numpy().astype(LONG)
    close(y, np.linalg.norm(exact.astype(np.float64), order), dtype, 4)
    assert torch.isfinite(g).all() and (torch.isnan(h).all() if name == "zeros" and order in (3, 2.5) else torch.isfinite(h).all())
    close((g * x).sum(), y.double(), dtype, 16)  # of degree 1


@pytest.mark.parametrize("correction", [0, 1])
@at_vectors
def test_variance_and_deviation(name, correction, dtype):
    x = torch.tensor(VECTORS[name], dtype=dtype)
    n = x.numel() - correction
    if n <= 0:
        assert math.isnan(gl.var(dlarray(x), correction=correction).item())
        return
    exact, v = x.numpy().astype(LONG), np.linspace(1, 2, x.numel(), dtype=LONG)
    centred = exact - exact.mean()
    one = torch.ones((), dtype=dtype)
    y, g, h = walks(lambda x: gl.var(x, correction=correction), x, one)
    close(y, (centred**2).sum() / n, dtype, 4)
    close(g, 2 * centred / n, dtype, 4)
    close(h, 2 * (v - v.mean()) / n, dtype, 4)
    y, g, h = walks(lambda x: gl.std(x, correction=correction), x, one)
    value, first, second = exact_norm(centred)
    close(y, value / np.sqrt(LONG(n)), dtype, 4)
    close(g, first / np.sqrt(LONG(n)), dtype, 8)
    if x.numel() == 1:
        assert (h == 0).all()  # the deviation of one element is 0 everywhere: no kink
        return
    assert torch.isfinite(h).all() if value else torch.isnan(h).all()


@EACH_TYPE
def test_variance_far_from_0(dtype):
    """A shift by 1e4, exact in both types, changes nothing."""
    x = torch.tensor([0.5, -1.25, 3.0, 2.0], dtype=dtype)
    for function in (gl.var, gl.std):
        one = torch.ones((), dtype=dtype)
        for a, b in zip(walks(function, x + 8192, one), walks(function, x, one), strict=True):
            close(a, b.double(), dtype, 8)


@EACH_TYPE
@pytest.mark.parametrize("labels", ["BCSS", "BSSC", "CB", "BC"])
@pytest.mark.parametrize("value", [1e10, -3.3e9, 3.3e5])
def test_a_constant_channel_is_0_with_given_statistics(value, labels, dtype):
    shape = tuple({"B": 9, "C": 3, "S": 5}[letter] for letter in labels)
    x, one = dlarray(torch.full(shape, value, dtype=dtype), labels), torch.ones(3, dtype=dtype)
    for variance in (0.0, 1.0):
        assert not gl.batchnorm(x, 0.0, 1.0, one * value, one * variance)._value.any()
        beside = gl.batchnorm(x + 2.0**12, 0.0, 1.0, one * value, one * variance)
        close(beside._value, ((x._value + 2.0**12) - x._value).double() / math.sqrt(variance + 1e-5), dtype, 4)


@EACH_TYPE
@pytest.mark.parametrize("count", [4, 7, 100])
@pytest.mark.parametrize("value", [1e10, -3.3e9, 7e15])
def test_a_constant_channel_is_0(value, count, dtype):
    """Whatever it is, and its derivatives by every walk are those at 0; beside 1024 deviations nothing is lost either."""
    for name in ("layernorm", "groupnorm", "instancenorm", "batchnorm"):
        function = NORMALIZATIONS[name]
        for constant in (value, 0.0):
            x = torch.full((2, count) if name in ("batchnorm", "instancenorm") else (count, 2), constant, dtype=dtype)
            found = walks(function, x, loose=16)
            if constant:
                far = found
        assert not far[0].any(), name
        for a, b in zip(far[1:], found[1:], strict=True):
            close(a, b.double(), dtype, 64)
        x = torch.linspace(-1, 1, x.numel(), dtype=dtype).reshape(x.shape) * 64
        moved = function(x.round() + 2.0**20)
        close(moved._value, function(x.round())._value.double(), dtype, 64)


NORMALIZATIONS = {
    "layernorm": lambda x: gl.layernorm(dlarray(x, "BC"), 0.0, 1.0),
    "groupnorm": lambda x: gl.groupnorm(dlarray(x, "BC"), 1, 0.0, 1.0),
    "instancenorm": lambda x: gl.instancenorm(dlarray(x, "CS"), 0.0, 1.0),
    "batchnorm": lambda x: gl.batchnorm(dlarray(x, "CB"), 0.0, 1.0)[0],
    "batchnorm, inference": lambda x: gl.batchnorm(dlarray(x, "CB"), 0.0, 1.0, gl.zeros(2, dtype=x.dtype), gl.zeros(2, dtype=x.dtype)),
    "crosschannelnorm": lambda x: gl.crosschannelnorm(dlarray(x, "BC"), 3),
    "rescale": lambda x: gl.rescale(x, axis=1),
    "normalize": lambda x: gl.normalize(x, axis=1),
}


@EACH_TYPE
@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("row", [[1e4, -1e4, 0.0], [8192.5, 8190.75, 8195.0], [7.0, 7.0, 7.0], [0.0, 0.0, 0.0], [5.0]], ids=str)
def test_normalizations(row, name, dtype):
    x = torch.tensor([row, [0.5, -1.25, 3.0][: len(row)]], dtype=dtype)
    found = walks(NORMALIZATIONS[name], x, loose=max(1.0, abs(x.mean().item())))  # the rounding of the mean
    assert all(bool(torch.isfinite(a).all()) for a in found)
    if len(set(row)) == 1 < len(row) and name in ("layernorm", "groupnorm", "instancenorm", "batchnorm"):
        assert found[0][0].abs().max() < 7 / 1e-5**0.5 * torch.finfo(dtype).eps  # of values 7, times 1 / sqrt(epsilon)
    if row[0] == 8192.5 and name in ("layernorm", "groupnorm", "instancenorm", "batchnorm"):
        moved = x.clone()
        moved[0] -= 8192
        for a, b in zip(found, walks(NORMALIZATIONS[name], moved), strict=True):
            close(a, b.double(), dtype, 8192)  # the mean's rounding


# ----- products, two operands ----------------------------------------------------------------------------------------------------


@EACH_TYPE
@pytest.mark.parametrize("row", [[1e4, -1e4, 2.0], [0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [1e-30, 1e30, 2.0], [5.0], []], ids=str)
def test_products(row, dtype):
    x = torch.tensor(row, dtype=dtype)
    exact, v = x.numpy().astype(LONG), np.linspace(1, 2, len(row), dtype=LONG)

    def without(*gone):
        return np.prod([a for k, a in enumerate(exact) if k not in gone], dtype=LONG)

    n = len(row)
    y, g, h = walks(lambda x: gl.prod(x), x, torch.ones((), dtype=dtype))
    close(y, without(), dtype)
    close(g, [without(k) for k in range(n)], dtype, 4)
    close(h, [sum((without(j, k) * v[j] for j in range(n) if j != k), LONG(0)) for k in range(n)], dtype, 4)
    y, g, h = walks(lambda x: gl.cumulative_prod(x, axis=0), x)
    w = np.linspace(1, 2, n, dtype=LONG)

    def part(i, *gone):
        return np.prod([exact[k] for k in range(i + 1) if k not in gone], dtype=LONG) if max(gone, default=0) <= i else LONG(0)

    close(y, [part(i) for i in range(n)], dtype)
    close(g, [sum((w[i] * part(i, k) for i in range(n)), LONG(0)) for k in range(n)], dtype, 4)
    expected = [sum((w[i] * v[j] * part(i, j, k) for i in range(n) for j in range(n) if j != k), LONG(0)) for k in range(n)]
    close(h, expected, dtype, 4)


PAIRS = [[1e4, 1e4], [-1e4, 1e4], [1e4, -1e-4], [1e-6, 1e-6], [3.0, 4.0], [0.0, 2.0], [2.0, 0.0]]


@EACH_TYPE
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_hypot_and_atan2(pair, dtype):
    x = torch.tensor(pair, dtype=dtype)
    a, b = x.numpy().astype(LONG)
    r, v = np.sqrt(a * a + b * b), np.array([1, 2], dtype=LONG)
    y, g, h = walks(lambda x: gl.hypot(x[0], x[1]), x, torch.ones((), dtype=dtype))
    close(y, r, dtype)
    close(g, [a / r, b / r], dtype, 4)
    close(h * float(r), (v / r - np.array([a, b]) * (a * v[0] + b * v[1]) / r**3) * r, dtype, 16)
    y, g, h = walks(lambda x: gl.atan2(x[0], x[1]), x, torch.ones((), dtype=dtype))
    close(y, np.arctan2(a, b), dtype)
    close(g * float(r), [b / r, -a / r], dtype, 4)
    second = np.array([[-2 * a * b, a * a - b * b], [a * a - b * b, 2 * a * b]]) / r**4 @ v
    close(h * float(r) ** 2, second * r**2, dtype, 16)


@EACH_TYPE
def test_hypot_at_the_origin(dtype):
    found = walks(lambda x: gl.hypot(x[0], x[1]), torch.zeros(2, dtype=dtype), torch.ones((), dtype=dtype))
    assert not found[0].any() and not found[1].any() and torch.isnan(found[2]).all()


@EACH_TYPE
@pytest.mark.parametrize("pair", [[1e4, -1e4], [-1e4, -1e4], [1e4, 1e4 + 1], [-INF, 1.0], [-INF, -INF], [INF, INF], [0.0, 0.0]], ids=str)
def test_logaddexp(pair, dtype):
    x = torch.tensor(pair, dtype=dtype)
    a, b = (float(v) for v in x)
    y, g, h = walks(lambda x: gl.logaddexp(x[0], x[1]), x, torch.ones((), dtype=dtype))
    p = 0.5 if a == b else logistic(LONG(a - b))
    close(y, np.logaddexp(a, b), dtype)
    close(g, [0, 0] if a == b == -INF else [p, 1 - p], dtype, 4)
    close(h, [0, 0] if a == b == -INF else [-p * (1 - p), p * (1 - p)], dtype, 4)


@EACH_TYPE
@pytest.mark.parametrize("pair", [[0.0, 2.0], [0.0, 3.0], [2.0, 0.0], [1e4, 3.0], [-1e4, 2.0], [1e-4, -3.0]], ids=str)
def test_power_of_two_variables(pair, dtype):
    """In the base, with a constant exponent as an array."""
    x = torch.tensor(pair[:1], dtype=dtype)
    a, b = LONG(x.item()), LONG(pair[1])
    exponent = dlarray(torch.tensor(pair[1:], dtype=dtype))
    y, g, h = walks(lambda x: gl.power(x, exponent), x, torch.ones(1, dtype=dtype), torch.ones(1, dtype=dtype))
    close(y, [a**b], dtype)
    close(g, [b * a ** (b - 1) if b else 0], dtype, 4)
    close(h, [b * (b - 1) * a ** (b - 2) if b not in (0, 1) else 0], dtype, 4)


# ----- singular values -----------------------------------------------------------------------------------------------------------

MATRICES = {
    "zero": [[0.0, 0.0], [0.0, 0.0]],
    "identity": [[1.0, 0.0], [0.0, 1.0]],
    "far": [[1e4, 0.0], [0.0, -1e4]],
    "rank 1": [[1.0, 2.0], [2.0, 4.0]],
    "one": [[-3.0]],
    "a row": [[3.0, 0.0, 4.0]],
    "far apart": [[1e4, 0.0], [0.0, 1e-4]],
}


@EACH_TYPE
@pytest.mark.filterwarnings("ignore:singular or eigenvalues are equal")
@pytest.mark.parametrize("name", MATRICES)
def test_singular_values(name, dtype):
    x = torch.tensor(MATRICES[name], dtype=dtype)

    def function(x):
        return gl.sum(gl.svd(x, full_matrices=False).S ** 2)

    y, g, h = walks(function, x, torch.ones((), dtype=dtype), torch.ones_like(x))
    close(y, (x.double() ** 2).sum(), dtype, 4)
    close(g, 2 * x.double(), dtype, 32 if name != "far apart" else 1e6)
    assert torch.isfinite(h).all()
    found = walks(lambda x: gl.svdvals(x), x, direction=torch.ones_like(x))
    assert all(bool(torch.isfinite(a).all()) for a in found)
    found = walks(lambda x: gl.matrix_norm(x, ord="nuc"), x, torch.ones((), dtype=dtype), direction=torch.ones_like(x))
    assert all(bool(torch.isfinite(a).all()) for a in found)
    close((found[1] * x).sum(), found[0].double(), dtype, 64)


# ----- guards by where ------------------------------------------------------------------------------------------------------------

GUARDED = {  # a function with no finite value or derivative at x = bad; safe inside
    "sqrt": (gl.sqrt, -1.0),
    "sqrt at 0": (gl.sqrt, 0.0),
    "log": (gl.log, -1.0),
    "log at 0": (gl.log, 0.0),
    "log1p": (gl.log1p, -2.0),
    "divide": (lambda x: 1 / x, 0.0),
    "0 / 0": (lambda x: x / x, 0.0),
    "power": (lambda x: x**0.5, -1.0),
    "power at 0": (lambda x: x**-1.5, 0.0),
    "x to the x": (lambda x: gl.power(x, x), 0.0),
    "gammaln": (gl.gammaln, -1.0),
    "acos": (gl.acos, 2.0),
    "atan2": (lambda x: gl.atan2(x, 0 * x), 0.0),
    "hypot": (lambda x: gl.hypot(x, 0 * x), 0.0),
    "logaddexp": (lambda x: gl.logaddexp(x, x), INF),
    "softplus": (gl.softplus, INF),
    "erfc": (lambda x: gl.erfc(x) / x, 0.0),
    "gelu": (lambda x: gl.gelu(x) / x, 0.0),
    "tanh": (lambda x: gl.atanh(x), 1.0),
    "norm": (lambda x: gl.norm(gl.stack([x, x]), axis=0), 0.0),
    "std": (lambda x: gl.std(gl.stack([x, -x]), axis=0), 0.0),
    "x log x": (lambda x: x * gl.log(x), 0.0),
    "cos of sqrt": (lambda x: gl.cos(gl.sqrt(x)), 0.0),
    "sin over x": (lambda x: gl.sin(x) * (1 / x), 0.0),
    "of not a number": (lambda x: gl.exp(gl.log(x)) * gl.tanh(gl.sqrt(x)), -1.0),
    "of an infinity": (lambda x: gl.tanh(gl.exp(x) - gl.exp(x)), 1e4),
}


@EACH_TYPE
@pytest.mark.parametrize("name", GUARDED)
def test_guarded_branches_do_not_leak(name, dtype):
    function, bad = GUARDED[name]
    x = torch.tensor([bad, 0.5], dtype=dtype)
    inside = dlarray([False, True])
    y, g, h = walks(lambda x: gl.where(inside, function(x), x * 2), x)
    for a in (y, g, h):
        assert torch.isfinite(a[1]), f"{name}: {a}"
    assert y[0] == 2 * x[0] and g[0] == 2 and h[0] == 0


@EACH_TYPE
def test_a_guard_inside_and_outside(dtype):
    """The usual way to guard where a partial is not declared singular: both sides."""
    x = torch.tensor([0.0, 4.0], dtype=dtype)
    y, g, h = walks(lambda x: gl.where(x > 0, gl.sqrt(gl.where(x > 0, x, 1.0)), 0.0), x, torch.ones_like(x), torch.ones_like(x))
    assert (y.tolist(), g.tolist(), h.tolist()) == ([0, 2], [0, 0.25], [0, -0.03125])
