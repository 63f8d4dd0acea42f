"""interp1 against SciPy and NumPy, and its derivatives in places, values and sample points."""

import math

import numpy as np
import pytest
import scipy.interpolate as si
import torch

import gradloom as gl
from gradloom import dlarray
from gradloom.operations.positions.interpolation import METHODS

X = np.array([0.0, 1.0, 2.5, 3.0, 5.0])
V = np.array([1.0, 3.0, 2.0, 2.0, 7.0])
Q = np.linspace(0, 5, 101)
RIVALS = {
    "linear": lambda x, v: si.interp1d(x, v, axis=0, fill_value="extrapolate"),
    "nearest": lambda x, v: si.interp1d(x, v, kind="nearest-up", axis=0),
    "next": lambda x, v: si.interp1d(x, v, kind="next", axis=0),
    "previous": lambda x, v: si.interp1d(x, v, kind="previous", axis=0),
    "pchip": lambda x, v: si.PchipInterpolator(x, v, extrapolate=True),
    "makima": lambda x, v: si.Akima1DInterpolator(x, v, method="makima", extrapolate=True),
    "cubic": lambda x, v: si.CubicHermiteSpline(x, v, np.gradient(v, x, axis=0, edge_order=min(2, len(x) - 1))),
    "spline": lambda x, v: si.CubicSpline(x, v),
}
SMOOTH = ("linear", "pchip", "makima", "cubic", "spline")
EVEN = np.linspace(0.0, 5.0, 5)  # which "cubic" asks for


def points(method):
    return EVEN if method == "cubic" else X


def test_every_method_is_here():
    assert set(RIVALS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_values(method):
    X = points(method)
    np.testing.assert_allclose(np.asarray(gl.interp1(X, V, Q, method)), RIVALS[method](X, V)(Q), atol=1e-13)
    table = np.stack([V, -V, V**2], 1)
    np.testing.assert_allclose(np.asarray(gl.interp1(X, table, Q, method)), RIVALS[method](X, table)(Q), atol=1e-12)
    order = [3, 0, 4, 1, 2]
    np.testing.assert_allclose(np.asarray(gl.interp1(X[order], V[order], Q, method)), RIVALS[method](X, V)(Q), atol=1e-13)
    np.testing.assert_allclose(np.asarray(gl.interp1(X[::-1], V[::-1], Q, method)), RIVALS[method](X, V)(Q), atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_random_samples(method):
    rng = np.random.default_rng(0)
    for n in (3, 4, 9):
        x, v = np.cumsum(rng.uniform(0.1, 1, n)), rng.normal(size=n)
        if method == "cubic":
            x = np.linspace(x[0], x[-1], n)
        q = rng.uniform(x[0], x[-1], 50)
        np.testing.assert_allclose(np.asarray(gl.interp1(x, v, q, method)), RIVALS[method](x, v)(q), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_two_points(method):
    expected = {"nearest": [1, 3, 3], "next": [1, 3, 3], "previous": [1, 1, 3]}.get(method, [1, 2, 3])
    assert gl.interp1([0.0, 1.0], [1.0, 3.0], [0.0, 0.5, 1.0], method).tolist() == expected


@pytest.mark.parametrize("method", METHODS)
def test_outside(method):
    X = points(method)
    q = [-1.0, 2.0, 6.0, math.nan]
    found = np.asarray(gl.interp1(X, V, q, method))
    assert np.isnan(found).tolist() == [True, False, True, True]
    assert np.asarray(gl.interp1(X, V, q, method, extrapolation=-9.0))[[0, 2]].tolist() == [-9, -9]
    assert np.isnan(np.asarray(gl.interp1(X, V, q, method, extrapolation=-9.0))[3])
    if method in SMOOTH:
        np.testing.assert_allclose(np.asarray(gl.interp1(X, V, q, method, extrapolation="extrap"))[[0, 2]], RIVALS[method](X, V)([-1.0, 6.0]))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("method", SMOOTH)
def test_derivatives_in_the_places(method, order):
    X = points(method)
    q = np.linspace(0.05, 4.9, 20)
    if method == "linear":
        expected = (np.diff(V) / np.diff(X))[np.searchsorted(X, q) - 1] if order == 1 else 0 * q
    else:
        expected = RIVALS[method](X, V).derivative(order)(q)

    def inside(q):
        y = gl.interp1(X, V, q, method)
        for _ in range(order):
            y = gl.dlgradient(gl.sum(y), q, enable_higher_derivatives=True)
        return y

    np.testing.assert_allclose(np.asarray(gl.dlfeval(inside, dlarray(q))), expected, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_in_values_and_sample_points(method):
    """Against differences, first and second order, away from kinks."""
    q = np.array([0.3, 1.4, 2.7, 4.1, 0.9])
    v = np.array([1.0, 3.0, 2.2, 1.9, 7.0])
    rng = np.random.default_rng(1)
    weights, dx, dv, dq = rng.normal(size=5), rng.normal(size=5), rng.normal(size=5), rng.normal(size=5)
    if method == "cubic":
        dx = 0.3 + 0.2 * EVEN  # so that they stay evenly spaced

    def loss(x, v, q):
        return gl.sum(gl.interp1(x, v, q, method) ** 2 * weights)

    def first(*arrays):
        g = gl.dlgradient(loss(*arrays), *arrays, enable_higher_derivatives=True)
        return sum(gl.sum(a * d) for a, d in zip(g, (dx, dv, dq), strict=True))

    def at(function, t):
        return gl.dlfeval(function, *[dlarray(a + t * d) for a, d in ((points(method), dx), (v, dv), (q, dq))]).item()

    h = 1e-4
    assert at(first, 0) == pytest.approx((at(loss, h) - at(loss, -h)) / (2 * h), rel=1e-5, abs=1e-6)

    def second(*arrays):
        g = gl.dlgradient(first(*arrays), *arrays)
        return sum(gl.sum(a * d) for a, d in zip(g, (dx, dv, dq), strict=True))

    assert at(second, 0) == pytest.approx((at(first, h) - at(first, -h)) / (2 * h), rel=1e-5, abs=1e-5)


def test_on_a_sample_point_the_interval_after_it_counts():
    g = gl.dlfeval(lambda q: gl.dlgradient(gl.sum(gl.interp1(X, V, q)), q), dlarray(X))
    assert g.tolist() == pytest.approx([2, -2 / 3, 0, 2.5, 2.5])


def test_outside_the_derivative_is_zero():
    v, q = dlarray(V), dlarray([-1.0, 2.0])
    gv, gq = gl.dlfeval(lambda v, q: gl.dlgradient(gl.sum(gl.interp1(X, v, q, extrapolation=0.0)), v, q), v, q)
    assert gq.tolist() == pytest.approx([0, -2 / 3]) and gv.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 0, 0])


def test_pchip_keeps_monotone_and_flat():
    assert (np.diff(np.asarray(gl.interp1([0.0, 1, 2, 3, 4], [0.0, 0, 1, 1, 5], Q[Q <= 4], "pchip"))) >= -1e-15).all()
    g = gl.dlfeval(lambda v: gl.dlgradient(gl.sum(gl.interp1(X, v, Q, "pchip")), v), gl.zeros(5))
    assert np.isfinite(np.asarray(g)).all()
    g = gl.dlfeval(lambda v: gl.dlgradient(gl.sum(gl.interp1(X, v, Q, "makima")), v), gl.zeros(5))
    assert np.isfinite(np.asarray(g)).all()


def test_cubic_is_the_convolution():
    """Keys' kernel with a = -1/2, and his values beyond the ends."""
    v = np.array([1.0, 3.0, 2.0, 2.5, 7.0])
    grown = np.concatenate([[3 * v[0] - 3 * v[1] + v[2]], v, [3 * v[-1] - 3 * v[-2] + v[-3]]])
    q = np.linspace(0, 4, 33)
    t = np.abs(q[:, None] - np.arange(-1, 6))
    kernel = np.where(t < 1, 1.5 * t**3 - 2.5 * t**2 + 1, np.where(t < 2, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2, 0))
    np.testing.assert_allclose(np.asarray(gl.interp1(np.arange(5.0), v, q, "cubic")), kernel @ grown, atol=1e-13)
    for dtype in ("float32", "float64"):  # spacing that is even to rounding is even
        x = np.cumsum(np.full(1000, 0.1, dtype=dtype))
        assert abs(np.asarray(gl.interp1(x, x**2, x[1:] - 0.05, "cubic", extrapolation="extrap")) - (x[1:] - 0.05) ** 2).max() < 1e-2


@pytest.mark.parametrize("n", [4, 5, 6, 17, 100])
def test_splines_reproduce_cubics_and_are_linear_in_the_values(n):
    rng = np.random.default_rng(n)
    x = np.cumsum(rng.uniform(0.1, 1, n))
    x = (x - x.mean()) / np.ptp(x)
    q = np.linspace(x[0], x[-1], 40)
    np.testing.assert_allclose(np.asarray(gl.interp1(x, x**3 - x, q, "spline")), q**3 - q, atol=1e-12)
    truth = si.CubicSpline(x, np.eye(n))(q)
    jacobian = gl.dlfeval(lambda v: gl.dljacobian(gl.interp1(x, v, q, "spline"), v), gl.zeros(n))
    np.testing.assert_allclose(np.asarray(jacobian.matrix()), truth, atol=1e-12)
    tangent = gl.dlfeval(lambda v: gl.jvp(gl.interp1(x, v, q, "spline"), v, gl.ones(n)), gl.zeros(n))
    np.testing.assert_allclose(np.asarray(tangent), 1, atol=1e-12)


def test_a_long_spline_is_scipys_on_very_uneven_points():
    x = np.cumsum(10.0 ** np.random.default_rng(2).uniform(-4, 0, 3001))
    q = np.linspace(x[0], x[-1], 5000)
    table = np.stack([np.sin(x / 20), np.cos(x / 7)], 1)
    np.testing.assert_allclose(np.asarray(gl.interp1(x, table, q, "spline")), si.CubicSpline(x, table)(q), atol=1e-9)


def test_shapes_labels_and_types():
    q = dlarray(np.full((2, 3), 0.5), "CB")
    assert gl.interp1(X, V, q).dims == "CB" and gl.interp1(X, V, q).shape == (2, 3)
    y = gl.interp1(X, dlarray(np.ones((5, 4)), "TC"), dlarray([0.5, 1.5], "T"))
    assert (y.shape, y.dims) == ((2, 4), "TC")
    assert gl.interp1(X, np.ones((5, 4, 2)), 0.5).shape == (4, 2)
    assert gl.interp1(X, V, np.zeros((0, 2))).shape == (0, 2)
    assert gl.interp1(X, np.ones((5, 0)), [1.0]).shape == (1, 0)
    assert isinstance(gl.interp1(torch.as_tensor(X), torch.as_tensor(V), torch.ones(2)), torch.Tensor)
    single = gl.interp1(X.astype("float32"), V.astype("float32"), np.ones(2, "float32"))
    assert str(single.dtype) == "torch.float32"
    assert gl.interp1([0, 1], [0, 10], 0.5).item() == 5
    assert gl.interp1(X, V * 1j, [0.5]).tolist() == [2j]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gl.interp1(X, V[:3], Q), r"sample points 5 for values 3.*two points or more"),
        (lambda: gl.interp1([1.0], [1.0], [1.0]), r"two points or more"),
        (lambda: gl.interp1([0.0, 1.0, 1.0], [1.0, 2.0, 3.0], Q), r"distinct"),
        (lambda: gl.interp1([0.0, math.nan], [1.0, 2.0], Q), r"distinct"),
        (lambda: gl.interp1(X, V, Q, "quintic"), r"'quintic'.*one of linear, nearest.*spline$"),
        (lambda: gl.interp1(X, V, Q, "v5cubic"), r"'v5cubic'.*here that is \"cubic\""),
        (lambda: gl.interp1(X, V, Q, "cubic"), r"evenly spaced.*distances are from 0.5 to 2, .*write \"spline\""),
        (lambda: gl.interp1(X, V, Q, extrapolation="yes"), r"number or \"extrap\""),
        (lambda: gl.interp1(X, V, Q * 1j), r"places are real.*real\(x\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()


def test_what_cubics_refuse():
    with pytest.raises(gl.ShapeError, match="evenly spaced"):
        gl.interp1([0.0, 1.0, 2.0, math.inf], [1.0, 2.0, 3.0, 4.0], [0.5], "cubic")
    with pytest.raises(gl.TypeRefused, match="pchip.*real"):
        gl.interp1([0.0, 1.0, 2.0], [1.0, 2.0j, 3.0], [0.5], "pchip")
