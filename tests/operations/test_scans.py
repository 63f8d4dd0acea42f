"""Running sums, products and extremes, the linear recurrence, differences and integrals: against torch, NumPy and formulas."""

import itertools
import math

import numpy as np
import pytest
import torch
from helpers import drawing, seeded, uniform

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.tables import OPERATIONS

drawn = drawing("scans", low=-2, high=2)

NAN = math.nan


def derivative(function, x, *orders):
    """The gradient of the weighted sum of function(x), and of that of its gradient, and so on."""

    def inside(x):
        y = function(x)
        for k in range(orders[0] if orders else 1):
            weights = dlarray(uniform(y.shape, torch.float64, seeded("weights", k)))
            y = gl.dlgradient(gl.sum(y * weights), x, enable_higher_derivatives=True)
        return y

    return gl.dlfeval(inside, dlarray(x))._value


def rival(function, x, order=1):
    x = x.clone().requires_grad_()
    y = function(x)
    for k in range(order):
        (y,) = torch.autograd.grad((y * uniform(y.shape, torch.float64, seeded("weights", k))).sum(), x, create_graph=True)
    return y.detach()


AXES = [((5,), 0), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), 1), ((1, 3), 0), ((0, 2), 0), ((2, 0), 1), ((3, 1), 1)]
RIVALS = {
    "cumsum": (gl.cumsum, torch.cumsum),
    "cumprod": (gl.cumprod, torch.cumprod),
    "cummax": (gl.cummax, lambda x, dim: torch.cummax(x, dim).values),
    "cummin": (gl.cummin, lambda x, dim: torch.cummin(x, dim).values),
    "diff": (gl.diff, lambda x, dim: torch.diff(x, dim=dim)),
}


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize(("shape", "axis"), AXES)
def test_values_and_gradients(name, shape, axis):
    own, other = RIVALS[name]
    x = drawn(*shape)
    torch.testing.assert_close(own(dlarray(x), axis=axis)._value, other(x, axis))
    torch.testing.assert_close(own(x, axis=axis), other(x, axis))
    torch.testing.assert_close(derivative(lambda x: own(x, axis=axis), x), rival(lambda x: other(x, axis), x))


def test_labels_and_the_value_before_the_first():
    x = dlarray(drawn(2, 3), "CT")
    for function, first in [(gl.cumulative_sum, 0), (gl.cumulative_prod, 1)]:
        y = function(x, axis="T", include_initial=True)
        assert (y.dims, y.shape) == ("CT", (2, 4))
        assert y[:, 0].tolist() == [first, first]
        torch.testing.assert_close(y[:, 1:]._value, function(x, axis="T")._value)
        assert str(function(x, axis=0, dtype="float32").dtype) == "torch.float32"
    assert gl.cummax(x, axis="T").dims == gl.diff(x, axis="T").dims == "CT"
    assert gl.cumsum(dlarray([True, True])).tolist() == [1, 2]
    assert gl.cumulative_sum(dlarray([], dtype="float64"), include_initial=True).tolist() == [0]


# ----- products through zeros -----


def product_of_others(x):
    """d y[i] / d x[j] of a running product, by the definition."""
    n = len(x)
    return torch.tensor([[math.prod(x[k] for k in range(i + 1) if k != j) if j <= i else 0.0 for j in range(n)] for i in range(n)], dtype=torch.float64)


@pytest.mark.parametrize("zeros", [z for n in range(4) for z in itertools.combinations(range(5), n)])
def test_products_are_exact_through_zeros(zeros):
    x = torch.tensor([2.0, -3.0, 0.5, 4.0, -1.5], dtype=torch.float64)
    x[list(zeros)] = 0
    expected = product_of_others(x.tolist())
    for row in range(5):
        weights = torch.eye(5, dtype=torch.float64)[row]
        found = gl.dlfeval(lambda x, w: gl.dlgradient(gl.sum(gl.cumprod(x) * w), x), dlarray(x), dlarray(weights))
        assert found.tolist() == expected[row].tolist()
    j = gl.dlfeval(lambda x: gl.dljacobian(gl.cumprod(x), x), dlarray(x))
    assert np.array_equal(np.asarray(j.matrix()), expected.numpy())
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.prod(x), x), dlarray(x)).tolist() == expected[-1].tolist()


@pytest.mark.parametrize("function", [gl.cumprod, lambda x: gl.prod(x, axis=0)])
@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (1, 2, 3)])
def test_higher_derivatives_of_products(function, zeros):
    x = drawn(5)
    x[list(zeros)] = 0

    def other(x):
        """Products by multiplication, which torch differentiates to any order."""
        y = [x[0]]
        for k in range(1, 5):
            y.append(y[-1] * x[k])
        return torch.stack(y) if function is gl.cumprod else y[-1]

    for order in (1, 2, 3, 4):
        torch.testing.assert_close(derivative(function, x, order), rival(other, x, order))


def test_products_that_underflow_are_not_divided():
    x = torch.tensor([1e-200, 1e-200, 1e200, 3.0], dtype=torch.float64)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.cumprod(x)[2], x), dlarray(x))
    torch.testing.assert_close(g._value, torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64))
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.prod(x), x), dlarray(x[:3]))
    torch.testing.assert_close(g._value, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))


def test_long_products_take_linear_memory():
    """A Jacobian with n^2 entries would take 80 GB."""
    x = torch.ones(100_000, dtype=torch.float64)
    x[5] = 0
    g, h = gl.dlfeval(
        lambda x: (gl.dlgradient(gl.sum(gl.cumprod(x)), x, retain_data=True), gl.jvp(gl.cumprod(x), x, gl.ones(x.shape))), dlarray(x)
    )
    assert g._value[:7].tolist() == [5, 4, 3, 2, 1, 99_995, 0]
    assert h._value[4:7].tolist() == [5, 1, 1]
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.prod(x), x), dlarray(x))._value[4:7].tolist() == [0, 1, 0]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_linear_recurrence(reverse):
    a, b = drawn(2, 7), drawn(7, 2).T.contiguous()
    y = OPERATIONS["linear_recurrence"].apply((a, b), {"axis": -1, "reverse": reverse})
    expected, s = torch.zeros_like(b), torch.zeros(2, dtype=torch.float64)
    for k in range(7)[:: -1 if reverse else 1]:
        s = expected[:, k] = a[:, k] * s + b[:, k]
    torch.testing.assert_close(y, expected)


# ----- extremes -----


@pytest.mark.parametrize(
    ("function", "x", "y", "g"),
    [
        (gl.cummax, [1.0, 3.0, 3.0, 2.0], [1, 3, 3, 3], [1, 3, 0, 0]),
        (gl.cummin, [2.0, 1.0, 1.0, 3.0], [2, 1, 1, 1], [1, 3, 0, 0]),
        (gl.cummax, [1.0, NAN, 5.0, NAN], [1, NAN, NAN, NAN], [1, 3, 0, 0]),
        (gl.cummin, [NAN, 1.0], [NAN, NAN], [2, 0]),
        (gl.cummax, [-math.inf, -math.inf], [-math.inf, -math.inf], [2, 0]),
    ],
)
def test_the_first_of_equal_extremes(function, x, y, g):
    found, gradient = gl.dlfeval(lambda x: (function(x), gl.dlgradient(gl.sum(function(x)), x)), dlarray(x))
    np.testing.assert_array_equal(np.asarray(found), y)
    np.testing.assert_array_equal(np.asarray(gradient), g)
    accumulate = (np.maximum if function is gl.cummax else np.minimum).accumulate
    np.testing.assert_array_equal(np.asarray(found), accumulate(x))


# ----- differences and integrals -----


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_differences(n, axis):
    x = drawn(4, 5).numpy()
    np.testing.assert_allclose(np.asarray(gl.diff(x, n=n, axis=axis)), np.diff(x, n=n, axis=axis), atol=1e-14)


def test_differences_with_more_at_the_ends():
    x = drawn(3, 4).numpy()
    for options in ({"prepend": 0.0}, {"append": x[:, :2]}, {"prepend": x, "append": 1.0}):
        np.testing.assert_allclose(np.asarray(gl.diff(x, **options)), np.diff(x, **options))
    assert gl.diff(gl.diff(dlarray([1.0, 2.0, 4.0]), prepend=0.0), prepend=0.0).shape == (3,)


@pytest.mark.parametrize("axis", [0, 1])
def test_integrals(axis):
    y = drawn(4, 5)
    places = drawn(y.shape[axis]).sort().values
    for options, rivals in [({}, {}), ({"dx": 0.5}, {"dx": 0.5}), ({"x": places}, {"x": places}), ({"x": y * 2}, {"x": y * 2})]:
        expected = torch.trapezoid(y, dim=axis, **rivals)
        torch.testing.assert_close(gl.trapz(dlarray(y), axis=axis, **options)._value, expected)
    x = dlarray(places)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.trapz(y.movedim(axis, -1), x=x)), x), x)
    p = places.clone().requires_grad_()
    (expected,) = torch.autograd.grad(torch.trapezoid(y, p, dim=axis).sum(), p)
    torch.testing.assert_close(g._value, expected)
    assert gl.trapz(dlarray(y, "CT"), axis="T").dims == "C"
    assert gl.trapz(dlarray([1.0])).item() == gl.trapz(gl.zeros(0)).item() == 0


# ----- what is refused -----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gl.cumsum(gl.zeros((2, 3))), r"cumulative_sum needs axis= .* 2 x 3.*axis=0"),
        (lambda: gl.cumprod(dlarray(1.0)), r"of a scalar.*reshape"),
        (lambda: gl.cummax(gl.zeros((2, 3, 1), "CBS"), axis="CB"), r"one axis.*names 2"),
        (lambda: gl.diff(gl.zeros(3), n=-1), r"not -1.*cumulative_sum"),
        (lambda: gl.trapz(gl.zeros((2, 3)), x=gl.zeros(2)), r"places 2 for samples 2 x 3.*vector of 3"),
        (lambda: gl.trapz(gl.zeros(3), gl.zeros(3)), r"trapz"),
        (lambda: gl.cummax(dlarray([1j, 2j])), r"cummax"),
        (lambda: gl.cumsum(gl.zeros((2, 3)), dim=0), r"axis"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((gl.GradloomError, TypeError), match=message):
        call()


def test_jacobians_keep_the_other_axes_tied():
    x = dlarray(drawn(6, 4), "BT")
    j = gl.dlfeval(lambda x: gl.dljacobian(gl.cumsum(x, axis="T"), x), x)
    assert j.nbytes <= 8 * 4 * 4
    expected = np.einsum("ij,ab->iajb", np.eye(6), np.tril(np.ones((4, 4))))
    np.testing.assert_array_equal(np.asarray(j.dense()), expected)
