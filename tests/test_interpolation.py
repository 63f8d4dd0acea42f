"""interp1 against SciPy and NumPy, and its derivatives in places, values and sample points."""

import math

import numpy as np
import pytest
import scipy.interpolate as si
import torch

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.operations.interpolation import METHODS

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
}
SMOOTH = ("linear", "pchip", "makima")


def test_every_method_is_here():
    assert set(RIVALS) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_values(method):
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
        q = rng.uniform(x[0], x[-1], 50)
        np.testing.assert_allclose(np.asarray(gl.interp1(x, v, q, method)), RIVALS[method](x, v)(q), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_two_points(method):
    expected = {"nearest": [1, 3, 3], "next": [1, 3, 3], "previous": [1, 1, 3]}.get(method, [1, 2, 3])
    assert gl.interp1([0.0, 1.0], [1.0, 3.0], [0.0, 0.5, 1.0], method).tolist() == expected


@pytest.mark.parametrize("method", METHODS)
def test_outside(method):
    q = [-1.0, 2.0, 6.0, math.nan]
    found = np.asarray(gl.interp1(X, V, q, method))
    assert np.isnan(found).tolist() == [True, False, True, True]
    assert np.asarray(gl.interp1(X, V, q, method, extrapolation=-9.0))[[0, 2]].tolist() == [-9, -9]
    assert np.isnan(np.asarray(gl.interp1(X, V, q, method, extrapolation=-9.0))[3])
    if method in SMOOTH:
        np.testing.assert_allclose(np.asarray(gl.interp1(X, V, q, method, extrapolation="extrap"))[[0, 2]], RIVALS[method](X, V)([-1.0, 6.0]))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("method", ["pchip", "makima", "linear"])
def test_derivatives_in_the_places(method, order):
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

    def loss(x, v, q):
        return gl.sum(gl.interp1(x, v, q, method) ** 2 * weights)

    def first(*arrays):
        g = gl.dlgradient(loss(*arrays), *arrays, enable_higher_derivatives=True)
        return sum(gl.sum(a * d) for a, d in zip(g, (dx, dv, dq), strict=True))

    def at(function, t):
        return gl.dlfeval(function, *[dlarray(a + t * d) for a, d in ((X, dx), (v, dv), (q, dq))]).item()

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
        (lambda: gl.interp1(X, V, Q, "cubic"), r"'cubic'.*one of linear, nearest"),
        (lambda: gl.interp1(X, V, Q, extrapolation="yes"), r"number or \"extrap\""),
        (lambda: gl.interp1(X, V, Q * 1j), r"places are real.*real\(x\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()
