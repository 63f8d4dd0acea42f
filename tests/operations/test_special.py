"""Special functions against SciPy, mpmath's digits where SciPy has none, and formulas; their derivatives against each other and at the edges."""

import math

import numpy as np
import pytest
import scipy.special as sp
import torch

import gradloom as gl
from gradloom import dlarray

INF, NAN = math.inf, math.nan
PLAIN = np.array([-3.7, -2.5, -1.2, -0.8, -0.3, 0.2, 0.5, 0.9, 1.0, 1.7, 3.0, 6.5])

TRUTHS = {
    "sec": (lambda x: 1 / np.cos(x), PLAIN),
    "csc": (lambda x: 1 / np.sin(x), PLAIN),
    "cot": (lambda x: 1 / np.tan(x), PLAIN),
    "sech": (lambda x: 1 / np.cosh(x), PLAIN),
    "csch": (lambda x: 1 / np.sinh(x), PLAIN),
    "coth": (lambda x: 1 / np.tanh(x), PLAIN),
    "asec": (lambda x: np.arccos(1 / x), np.array([-3, -1.5, -1, 1, 1.5, 3, 1e4])),
    "acsc": (lambda x: np.arcsin(1 / x), np.array([-3, -1.5, -1, 1, 1.5, 3, 1e4])),
    "acot": (lambda x: np.arctan(1 / x), PLAIN),
    "asech": (lambda x: np.arccosh(1 / x), np.array([0.1, 0.5, 0.9, 1])),
    "acsch": (lambda x: np.arcsinh(1 / x), PLAIN),
    "acoth": (lambda x: np.arctanh(1 / x), np.array([-3, -1.5, 1.5, 3, 1e4])),
    "gamma": (sp.gamma, PLAIN),
    "gammaln": (sp.gammaln, np.append(PLAIN, [1e-10, 1e4, -1e4 + 0.5])),
    "digamma": (sp.digamma, np.append(PLAIN, [1e-3, 1e4])),
    "erfinv": (sp.erfinv, np.array([-0.999, -0.5, 0, 1e-10, 0.3, 0.999999])),
    "erfcinv": (sp.erfcinv, np.array([1e-300, 1e-10, 0.1, 0.5, 1.5, 1.999])),
    "erfcx": (sp.erfcx, np.append(PLAIN, [-20, 25, 100, 1e4, 1e8])),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_values(name):
    truth, x = TRUTHS[name]
    np.testing.assert_allclose(np.asarray(getattr(gl, name)(x)), truth(x), rtol=2e-13, atol=1e-15)
    x = x[np.abs(x) > 1e-30]
    x = x[:5].astype("float32")
    single = np.asarray(getattr(gl, name)(x))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, truth(x.astype("float64")), rtol=2e-4)


PAIRS = {
    "beta": (sp.beta, [0.3, 2.0, 5.5, -0.5, 1e4], [1.2, 3.0, 0.1, 2.2, 2.0]),
    "logaddexp": (np.logaddexp, [1e4, -1e4, 0.0, -INF, 3.0, INF], [-1e4, -1e4, 1.0, -INF, -INF, 1.0]),
    "xlogy": (sp.xlogy, [0.0, 0.0, 2.0, -1.0, 1.0], [0.0, -1.0, 3.0, 0.5, 0.0]),
    "copysign": (np.copysign, [1.0, -2.0, 0.0, 3.0], [-0.0, 2.0, -1.0, -INF]),
    "nextafter": (np.nextafter, [1.0, -2.0, 0.0, INF], [2.0, -INF, -1.0, 0.0]),
    "fmod": (np.fmod, [5.0, -5.0, 5.0, -7.5], [3.0, 3.0, -3.0, 2.0]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_of_two(name):
    truth, a, b = PAIRS[name]
    function = getattr(gl, name)
    np.testing.assert_allclose(np.asarray(function(a, b)), truth(a, b), rtol=1e-10 if name == "beta" else 1e-13)
    np.testing.assert_allclose(np.asarray(function(a, 2.0)), truth(a, 2.0), rtol=1e-10 if name == "beta" else 1e-13)
    np.testing.assert_allclose(np.asarray(function(2.0, b)), truth(2.0, b), rtol=1e-10 if name == "beta" else 1e-13)


def gradients(function, *xs, order=1):
    def inside(*xs):
        y = function(*xs)
        for _ in range(order):
            y = gl.dlgradient(gl.sum(y), xs[0], enable_higher_derivatives=True)
        return y

    return np.asarray(gl.dlfeval(inside, *[dlarray(x) for x in xs]))


# ----- exact points -----


def test_factorials_are_exact():
    n = np.arange(1, 172)
    assert gl.gamma(n.astype(float)).tolist() == [float(math.factorial(k - 1)) for k in n]
    np.testing.assert_array_equal(np.asarray(gl.gamma([0.0, -1.0, 172.0, NAN, INF, -1e4 + 0.5])), [INF, INF, INF, NAN, INF, 0])
    assert str(gl.gamma(dlarray([3.0], dtype="float32")).dtype) == "torch.float32"
    assert gl.gamma(gl.zeros(0)).shape == (0,)


def test_multiples_of_pi():
    x = np.array([0, 0.5, 1, 1.5, 2, -0.5, -1, 1e4, 1e4 + 0.5, 1e15, 1e300, -3.5])
    assert (np.asarray(gl.sinpi(x)) + 0.0).tolist() == [0, 1, 0, -1, 0, -1, 0, 0, 1, 0, 0, 1]
    assert (np.asarray(gl.cospi(x)) + 0.0).tolist() == [1, 0, -1, 0, 1, 0, -1, 1, 0, 1, 1, 0]
    between = np.linspace(-3, 3, 101)
    np.testing.assert_allclose(np.asarray(gl.sinpi(between)), np.sin(np.pi * between), atol=1e-14)
    np.testing.assert_allclose(np.asarray(gl.cospi(between)), np.cos(np.pi * between), atol=1e-14)
    assert np.isnan(np.asarray(gl.sinpi([INF, NAN]))).all()
    np.testing.assert_allclose(gradients(gl.sinpi, x), np.pi * np.asarray(gl.cospi(x)))


def test_inverses_are_inverse():
    x = np.linspace(0.05, 1.95, 39)
    np.testing.assert_allclose(sp.erfc(np.asarray(gl.erfcinv(x))), x, rtol=1e-13)
    np.testing.assert_array_equal(np.asarray(gl.erfcinv([0.0, 1.0, 2.0, -1.0])), [INF, 0, -INF, NAN])
    np.testing.assert_array_equal(np.asarray(gl.erfinv([-1.0, 0.0, 1.0, 2.0])), [-INF, 0, INF, NAN])
    np.testing.assert_allclose(np.asarray(gl.cot(gl.acot([0.4, 3.0]))), [0.4, 3])
    np.testing.assert_allclose(np.asarray(gl.sech(gl.asech([0.4, 0.9]))), [0.4, 0.9])
    assert gl.acot(0.0).item() == math.pi / 2


# ----- derivatives -----


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_derivatives_of_gammaln(n):
    x = np.array([0.1, 0.7, 2.5, 30.0, 1e4])
    np.testing.assert_allclose(gradients(gl.gammaln, x, order=n), sp.polygamma(n - 1, x), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(gl.polygamma(n, x)), sp.polygamma(n, x), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_polygamma_at_infinity(n, dtype):
    x = dlarray([INF, 2.0], dtype=dtype)
    assert np.asarray(gl.polygamma(n, x))[0] == 0
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.digamma(x) if n == 1 else gl.polygamma(n - 1, x)), x), x)
    assert np.asarray(g)[0] == 0 and np.isfinite(np.asarray(g)).all()
    assert math.isnan(gl.polygamma(n, NAN).item())


@pytest.mark.parametrize(
    ("function", "a", "b", "expected"),
    [
        (gl.xlogy, 0.0, 3.0, 1 / 3),  # the slope of log(b) at a = 0, which is 0 by convention where b is 0 too
        (gl.power, 2.0, 0.0, 1 / 2),  # that of b a ** (b - 1) at b = 0
    ],
)
def test_a_special_point_of_a_slope_is_not_differentiated(function, a, b, expected):

    def mixed(a, b):
        first = gl.dlgradient(function(a, b), a, enable_higher_derivatives=True)
        second = gl.dlgradient(function(a, b), b, enable_higher_derivatives=True)
        return gl.dlgradient(first, b, retain_data=True), gl.dlgradient(second, a, retain_data=True), gl.jvp(first, b, dlarray(1.0))

    assert [g.item() for g in gl.dlfeval(mixed, dlarray(a), dlarray(b))] == pytest.approx([expected] * 3)


def test_polygamma_left_of_zero():
    x = np.array([-0.5, -3.7, -20.2, -1e9 + 0.5])
    np.testing.assert_allclose(np.asarray(gl.polygamma(1, x)), np.pi**2 / np.sin(np.pi * (x % 1)) ** 2 - sp.polygamma(1, 1 - x), rtol=1e-12)
    assert gl.polygamma(1, [0.0, -2.0]).tolist() == [INF, INF]
    h = 1e-5
    second = (np.asarray(gl.polygamma(1, x[:3] + h)) - np.asarray(gl.polygamma(1, x[:3] - h))) / (2 * h)
    np.testing.assert_allclose(np.asarray(gl.polygamma(2, x[:3])), second, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_derivatives_of_erfcx_keep_their_digits(n):
    """They are (-1)^n n! 2^n exp(x^2) times the n-th repeated integral of erfc."""
    x = np.array([-1.0, 0.0, 0.5, 1.9, 2.1, 5.0, 30.0, 1e4])
    expected = [integral(v, n) for v in x]
    np.testing.assert_allclose(gradients(gl.erfcx, x, order=n), expected, rtol=1e-11)


def integral(x, n):
    """The n-th derivative of 2 / sqrt(pi) times the integral of exp(-t^2 - 2 x t) over t > 0."""
    scale = 1 / max(1.0, x)
    t, w = np.polynomial.legendre.leggauss(400)
    t, w = (t + 1) * 20 * scale, w * 20 * scale
    return 2 / math.sqrt(math.pi) * float(np.sum(w * (-2 * t) ** n * np.exp(-t * t - 2 * x * t)))


def test_derivatives_far_out():
    assert gradients(gl.logaddexp, [1e4, -1e4, -INF, -INF], [-1e4, 1e4, 0.0, -INF]).tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(gradients(gl.gammaln, [1e4]), sp.digamma(1e4))
    np.testing.assert_allclose(gradients(gl.erfcx, [1e4]), -1 / (math.sqrt(math.pi) * 1e8), rtol=1e-7)
    assert gradients(gl.sech, [1e4, -1e4]).tolist() == [0, 0] and gradients(gl.coth, [1e4, -1e4]).tolist() == [0, 0]
    assert gradients(gl.csch, [1e4]).tolist() == [0]
    np.testing.assert_allclose(gradients(gl.acsc, [1e4]), -1e-8, rtol=1e-7)
    assert gradients(gl.acsch, [1e200]).tolist() == [0]


@pytest.mark.parametrize(
    ("function", "xs", "expected"),
    [
        (gl.xlogy, ([0.0, 0.0, 2.0], [0.0, 3.0, 3.0]), [0, math.log(3), math.log(3)]),
        (lambda b, a: gl.xlogy(a, b), ([0.0, 3.0, 4.0], [0.0, 0.0, 2.0]), [0, 0, 0.5]),
        (lambda b: gl.xlogy(0.0, b), ([0.0, 3.0],), [0, 0]),
        (lambda a: gl.xlogy(a, 2.0), ([0.0, 3.0],), [math.log(2)] * 2),
        (lambda a: gl.xlogy(a, 0.0), ([0.0],), [0]),
        (gl.copysign, ([2.0, -2.0, 0.0, -3.0], [1.0, 1.0, -1.0, -1.0]), [1, -1, 0, 1]),
        (lambda b, a: gl.copysign(a, b), ([2.0], [1.0]), [0]),
        (gl.fmod, ([5.0, -5.0], [3.0, 3.0]), [1, 1]),
        (lambda b, a: gl.fmod(a, b), ([3.0, 3.0], [5.0, -5.0]), [-1, 1]),
        (gl.nextafter, ([1.0], [2.0]), [1]),
        (gl.erfinv, ([0.0, 1.0],), [math.sqrt(math.pi) / 2, INF]),
    ],
)
def test_derivatives_at_edges(function, xs, expected):
    np.testing.assert_allclose(gradients(function, *xs), expected)


def test_complex_arguments():
    z = np.array([0.7 + 0.3j, -0.4 + 1.2j])
    for name in ("sec", "csc", "cot", "sech", "csch", "coth", "acot", "asech", "acsch", "asec"):
        truth = TRUTHS[name][0]
        np.testing.assert_allclose(np.asarray(getattr(gl, name)(z)), truth(z), rtol=1e-12)
    with pytest.raises(gl.TypeRefused, match="gamma"):
        gl.gamma(z)


def test_integers_and_labels():
    x = dlarray(np.array([[1, 2], [3, 4]]), "CB")
    assert (gl.gammaln(x).dims, str(gl.gammaln(x).dtype)) == ("CB", "torch.float64")
    assert (gl.erfcx(x).dims, gl.polygamma(2, x).dims, gl.beta(x, 2).dims) == ("CB", "CB", "CB")
    assert isinstance(gl.erfcx(torch.ones(2)), torch.Tensor) and isinstance(gl.beta(torch.ones(2), 2), torch.Tensor)
    assert gl.polygamma(0, dlarray(1.0)).item() == gl.digamma(1.0).item()


@pytest.mark.parametrize("n", [-1, 1.0, dlarray(1.0)])
def test_the_order_comes_first(n):
    with pytest.raises(gl.ShapeError, match=r"order first.*polygamma\(1, x\)"):
        gl.polygamma(n, dlarray([1.0, 2.0]))


def test_matlabs_names():
    for name, here in [("rem", "fmod"), ("psi", "digamma"), ("eps", "finfo"), ("maxk", "topk")]:
        with pytest.raises(AttributeError, match=f"{name} is written .*{here}"):
            getattr(gl, name)
