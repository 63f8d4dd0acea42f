"""Sorting, medians, quantiles, reads along an axis, searching and sets: against NumPy, torch and definitions."""

import math

import numpy as np
import pytest
import torch
from helpers import drawing, seeded

import gradloom as gl
from gradloom import dlarray

drawn = drawing("sorting", low=-2, high=2)

NAN = math.nan


def gradient(function, x):
    """The gradient of the sum of function(x) times 1, 2, 3, ..."""

    def inside(x):
        y = function(x)
        return gl.dlgradient(gl.sum(y * gl.reshape(gl.arange(1, y.size + 1), y.shape)), x)

    return gl.dlfeval(inside, dlarray(x))


# ----- sort -----


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((7,), 0), ((4, 5), 0), ((4, 5), -1), ((2, 3, 4), 1), ((1, 3), 0), ((0, 3), 0), ((3, 0), 1)])
def test_sort(shape, axis, descending):
    x = drawn(*shape)
    expected, places = torch.sort(x, dim=axis, descending=descending, stable=True)
    assert torch.equal(gl.sort(dlarray(x), axis=axis, descending=descending)._value, expected)
    assert torch.equal(gl.argsort(x, axis=axis, descending=descending), places)
    weights = torch.arange(1, x.numel() + 1, dtype=torch.float64).reshape(shape)
    found = gradient(lambda x: gl.sort(x, axis=axis, descending=descending), x)
    assert torch.equal(found._value, torch.zeros_like(x).scatter(axis, places, weights))


def test_equal_elements_keep_their_order():
    x = [2.0, 1.0, 2.0, 1.0]
    assert gl.argsort(dlarray(x)).tolist() == [1, 3, 0, 2]
    assert gl.argsort(dlarray(x), descending=True).tolist() == [0, 2, 1, 3]
    assert gradient(gl.sort, x).tolist() == [3, 1, 4, 2]
    assert gradient(lambda x: gl.sort(x, descending=True), x).tolist() == [1, 3, 2, 4]
    assert gl.argsort(gl.zeros(100)).tolist() == list(range(100))


def test_nan_is_last():
    x = np.array([NAN, 1.0, -math.inf, NAN, math.inf])
    np.testing.assert_array_equal(np.asarray(gl.sort(x)), np.sort(x))
    assert gradient(gl.sort, x).tolist() == [4, 2, 1, 5, 3]


def test_labels_of_sorted_arrays():
    x = dlarray(drawn(2, 3), "CB")
    values, places = gl.topk(x, 2, axis="B")
    assert gl.sort(x, axis="C").dims == gl.argsort(x, axis="C").dims == values.dims == places.dims == "CB"
    assert gl.median(x, axis="C").dims == "B" and gl.median(x, axis="C", keepdims=True).shape == (1, 3)
    assert gl.take_along_axis(x, places, axis="B").dims == "CB"


def test_a_sorted_jacobian_is_a_selection():
    x = dlarray([3.0, 1.0, 2.0])
    j = gl.dlfeval(lambda x: gl.dljacobian(gl.sort(x), x), x)
    assert np.asarray(j.matrix()).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    big = gl.dlfeval(lambda x: gl.dljacobian(gl.sort(x), x), dlarray(drawn(20_000)))
    assert big.nbytes == 0  # 3.2 GB, were it dense


def test_higher_derivatives_through_sort():
    x = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    h = gl.dlfeval(
        lambda x: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(gl.sort(x) ** 3 * dlarray([1.0, 2.0, 3.0])), x, enable_higher_derivatives=True)), x),
        dlarray(x),
    )
    assert h.tolist() == [54, 6, 24]


# ----- the largest few -----


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("k", "axis"), [(0, 0), (2, 0), (4, 0), (3, 1)])
def test_topk(k, axis, largest):
    x = drawn(4, 5)
    values, places = gl.topk(dlarray(x), k, axis=axis, largest=largest)
    expected = torch.topk(x, k, dim=axis, largest=largest)
    assert torch.equal(values._value, expected.values) and torch.equal(places._value, expected.indices)
    found = gradient(lambda x: gl.topk(x, k, axis=axis, largest=largest)[0], x)
    weights = torch.arange(1, values.size + 1, dtype=torch.float64).reshape(values.shape)
    assert torch.equal(found._value, torch.zeros_like(x).scatter(axis, expected.indices, weights))


def test_the_first_of_equal_ones_is_taken():
    assert gl.topk(dlarray([1.0, 2.0, 2.0, 2.0]), 2)[1].tolist() == [1, 2]
    assert gl.topk(dlarray([1.0, 0.0, 0.0]), 1, largest=False)[1].tolist() == [1]
    assert gl.topk(dlarray([3, 1, 3, 3]), 2)[1].tolist() == [0, 2]
    x = torch.zeros(3, 3000, dtype=torch.float16)  # more equal ones than half precision can count
    x[1] = torch.arange(3000)
    assert gl.topk(dlarray(x), 1)[1].tolist() == [[0], [2999], [0]]
    rows = torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 4.0], [2.0, math.inf, math.inf]])  # only some rows have equal ones
    assert gl.topk(dlarray(rows), 2)[1].tolist() == [[2, 1], [0, 1], [1, 2]]
    found = gradient(lambda x: gl.median(x, axis=1), rows.double()[:2])
    assert torch.equal(found._value, torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]], dtype=torch.float64))


# ----- median and quantiles -----


def test_a_traced_q_is_no_silent_constant():
    for several in (lambda q: q, lambda q: [q, 0.5], lambda q: gl.stack([q, q])):
        with pytest.raises(gl.TraceError, match=r"would make a constant"):
            gl.dlfeval(lambda q, f: gl.dlgradient(gl.sum(gl.quantile([1.0, 2.0, 4.0], f(q))), q), gl.dlarray(0.3), several)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), -1])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 2), (2, 3, 1)])
def test_median_and_quantiles(shape, axis):
    x = drawn(*shape).numpy()
    for keepdims in (False, True):
        np.testing.assert_allclose(np.asarray(gl.median(x, axis=axis, keepdims=keepdims)), np.median(x, axis=axis, keepdims=keepdims))
        for q in (0, 0.1, 0.25, 0.5, 0.77, 1):
            found = gl.quantile(x, q, axis=axis, keepdims=keepdims)
            np.testing.assert_allclose(np.asarray(found), np.quantile(x, q, axis=axis, keepdims=keepdims))


METHODS = ("linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "normal_unbiased")


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
@pytest.mark.parametrize("method", METHODS)
def test_several_quantiles_by_every_method(method, axis):
    x = drawn(3, 4, 5).numpy()
    for q in (0.3, [0.1, 0.5, 0.9], [[0.0, 0.33], [1.0, 0.7]], [], np.linspace(0, 1, 21)):
        for keepdims in (False, True):
            found, expected = (f(x, q, axis=axis, keepdims=keepdims, method=method) for f in (gl.quantile, np.quantile))
            assert found.shape == expected.shape
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12)


def test_derivatives_of_several_quantiles():
    """Against differences, which are exact: the order does not change; the tangent is the same linear map."""
    x, d = drawn(4, 5).numpy(), np.random.default_rng(5).normal(size=(4, 5))
    q, weights = [0.1, 0.35, 0.5, 0.9], np.random.default_rng(6).normal(size=(4, 4))

    def loss(x):
        return gl.sum(gl.quantile(x, q, axis=1) ** 2 * weights)

    h = 1e-5
    g, tangent = gl.dlfeval(lambda x: (gl.dlgradient(loss(x), x), gl.jvp(gl.quantile(x, q, axis=1), x, gl.dlarray(d))), dlarray(x))
    assert np.sum(np.asarray(g) * d) == pytest.approx((loss(x + h * d) - loss(x - h * d)).item() / (2 * h), rel=1e-7)
    np.testing.assert_allclose(np.asarray(tangent), (np.quantile(x + h * d, q, axis=1) - np.quantile(x - h * d, q, axis=1)) / (2 * h), atol=1e-9)
    hessian = gl.dlfeval(lambda x: gl.hvp(gl.sum(gl.quantile(x, q) ** 2), x, gl.dlarray(d)), dlarray(x))
    order, expected = np.argsort(x.ravel()), np.zeros(20)
    for part in q:  # 2 r (r' d) for the row r that reads each quantile
        low, row = int(part * 19), np.zeros(20)
        row[order[low]], row[order[low + 1]] = 1 - (part * 19 - low), part * 19 - low
        expected += 2 * row * (row @ d.ravel())
    np.testing.assert_allclose(np.asarray(hessian).ravel(), expected, atol=1e-12)


def test_axes_of_several_quantiles():
    x = dlarray(drawn(3, 4, 5).numpy(), "CBS")
    assert gl.quantile(x, [0.1, 0.2], axis="B").dims == "UCS" and gl.quantile(x, [0.1, 0.2], axis="B", keepdims=True).dims == "UCBS"
    assert gl.quantile(x, [[0.1, 0.2]], axis="S").dims == "UUCB" and gl.quantile(x, 0.1, axis="S").dims == "CB"
    assert gl.quantile(x, [0.1, 0.2]).dims in ("", "U") and str(gl.quantile(np.float32([1, 2, 4]), [0.3]).dtype) == "torch.float32"
    assert gl.quantile([math.inf, 1.0, 2.0], [0.0, 0.25, 0.75, 1.0]).tolist() == [1, 1.5, math.inf, math.inf]


@pytest.mark.parametrize(
    ("x", "y", "g"),
    [
        ([3.0, 1.0, 2.0], 2, [0, 0, 1]),
        ([4.0, 1.0, 3.0, 2.0], 2.5, [0, 0, 0.5, 0.5]),
        ([5.0], 5, [1]),
        ([1.0, 1.0, 1.0], 1, [0, 1, 0]),
        ([2.0, 1.0, 2.0, 3.0], 2, [0.5, 0, 0.5, 0]),
        ([1.0, math.inf], math.inf, [0.5, 0.5]),
    ],
)
def test_the_derivative_goes_to_the_middle(x, y, g):
    found, gradient = gl.dlfeval(lambda x: (gl.median(x), gl.dlgradient(gl.median(x), x)), dlarray(x))
    assert found.item() == y and gradient.tolist() == g
    assert gl.quantile(x, 0.5).item() == pytest.approx(y)


def test_a_nan_is_the_median():
    x = np.array([[1.0, NAN, 3.0], [1.0, 5.0, 3.0]])
    np.testing.assert_array_equal(np.asarray(gl.median(x, axis=1)), [NAN, 3])
    np.testing.assert_array_equal(np.asarray(gl.quantile(x, 0.1, axis=1)), np.quantile(x, 0.1, axis=1))
    assert gl.median(dlarray([1, 2], dtype="int64")).item() == 1.5


def test_higher_derivatives_through_the_median():
    h = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dlgradient(gl.median(x**3), x, enable_higher_derivatives=True)), x), dlarray([3.0, 1.0, 2.0, 5.0]))
    assert h.tolist() == [9, 0, 6, 0]


# ----- reads along an axis -----


def test_reads_along_an_axis():
    x = drawn(2, 3, 4)
    for axis, shape in [(0, (5, 3, 4)), (1, (2, 5, 4)), (2, (2, 3, 5)), (-1, (2, 1, 5)), (1, (1, 2, 1))]:
        places = torch.randint(-x.shape[axis], x.shape[axis], shape, generator=seeded("places"))
        expected = np.take_along_axis(x.numpy(), places.numpy(), axis=axis)
        np.testing.assert_array_equal(np.asarray(gl.take_along_axis(dlarray(x), places, axis=axis)), expected)
        found = gradient(lambda x, places=places, axis=axis: gl.take_along_axis(x, places, axis=axis), x)
        add = np.zeros_like(x.numpy())
        index = list(np.indices(expected.shape))
        index[axis] = np.broadcast_to(places.numpy() % x.shape[axis], expected.shape)
        np.add.at(add, tuple(index), np.arange(1, expected.size + 1.0).reshape(expected.shape))
        np.testing.assert_array_equal(np.asarray(found), add)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gl.sort(dlarray(1.0)), r"sort of a scalar.*reshape"),
        (lambda: gl.sort(gl.zeros((2, 3), "CB"), axis="CB"), r"one axis.*names 2"),
        (lambda: gl.sort(dlarray([1j, 2j])), "sort"),
        (lambda: gl.topk(gl.zeros(3), 4), r"4 elements along an axis of 3.*0 to 3"),
        (lambda: gl.median(gl.zeros((0, 2)), axis=0), r"no elements: 0 x 2"),
        (lambda: gl.quantile(gl.zeros(3), 50), r"0 to 1, not 50.*divided by 100"),
        (lambda: gl.quantile(gl.zeros(3), [0.1, 1.5]), r"0 to 1, not \[0.1, 1.5\]"),
        (lambda: gl.quantile(gl.zeros(3), 0.5, method="inverted_cdf"), r"'inverted_cdf'.*one of linear.*midpoint"),
        (lambda: gl.repeat(gl.zeros(3), [1, 2], axis=0), r"3 of them, not 2 int64"),
        (lambda: gl.repeat(gl.zeros(3), -1, axis=0), r"not negative"),
        (lambda: gl.take_along_axis(gl.zeros((2, 3)), [[1.0]]), r"integers, not float64.*int64"),
        (lambda: gl.take_along_axis(gl.zeros((2, 3)), [[3]]), r"3.*from -3 to 2"),
        (lambda: gl.take_along_axis(gl.zeros((2, 3)), [1]), r"as many axes"),
        (lambda: gl.take_along_axis(gl.zeros((2, 3)), [[0], [0], [0]]), r"as many axes"),
        (lambda: gl.searchsorted(gl.zeros((2, 3)), 1.0), r"a vector, not in 2 x 3"),
        (lambda: gl.searchsorted(gl.zeros(3), 1.0, side="middle"), r"left"),
        (lambda: gl.nonzero(dlarray(1.0)), r"x != 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()


# ----- searching and sets -----


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side):
    a, b = drawn(6).numpy(), np.append(drawn(2, 3).numpy().ravel(), [NAN, math.inf]).reshape(2, 4)
    order = np.argsort(a)
    b[0, 0] = a[2]
    expected = np.searchsorted(a, b, side=side, sorter=order)
    assert np.asarray(gl.searchsorted(a, dlarray(b, "CB"), side=side, sorter=order)).tolist() == expected.tolist()
    assert gl.searchsorted(np.sort(a), dlarray(b, "CB"), side=side).dims == "CB"
    assert gl.searchsorted(dlarray([1, 2], dtype="int64"), 1.5).item() == 1


def test_counting_and_positions():
    x = np.array([[1.0, 0.0, NAN], [0.0, 0.0, 2.0]])
    assert gl.count_nonzero(x).item() == 3 and gl.count_nonzero(x, axis=0).tolist() == [1, 0, 2]
    assert gl.count_nonzero(x, axis=1, keepdims=True).tolist() == [[2], [1]] and gl.count_nonzero(dlarray(5.0)).item() == 1
    assert [p.tolist() for p in gl.nonzero(x)] == [p.tolist() for p in np.nonzero(x)]
    assert gl.dlarray(x)[gl.nonzero(x)].shape == (3,)
    assert isinstance(gl.nonzero(torch.ones(2))[0], torch.Tensor)


@pytest.mark.parametrize("x", [[3.0, 1.0, 3.0, 2.0, 1.0], [], [[2.0, 2.0], [1.0, 2.0]], 7.0, [NAN, 1.0, NAN]])
def test_sets(x):
    x = np.array(x)
    found = gl.unique_all(x)
    values, places, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    for own, expected in zip(found, (values, places, inverse.reshape(x.shape), counts), strict=True):
        np.testing.assert_array_equal(np.asarray(own), expected)
    np.testing.assert_array_equal(np.asarray(found.values[found.inverse_indices]) if x.size else x, x)
    for own, expected in [(gl.unique_values(x), values), (gl.unique_counts(x).counts, counts), (gl.unique_inverse(x).inverse_indices, found.inverse_indices)]:
        np.testing.assert_array_equal(np.asarray(own), np.asarray(expected))


def test_equality_of_arrays():
    assert gl.array_equal([1.0, 2.0], dlarray([1, 2])) and not gl.array_equal([1.0], [[1.0]])
    assert not gl.array_equal([NAN], [NAN]) and gl.array_equal([NAN, 1.0], [NAN, 1.0], equal_nan=True)
    assert not gl.array_equal([NAN, 1.0], [1.0, NAN], equal_nan=True)
    with pytest.raises(AttributeError, match="isequal is written array_equal"):
        gl.isequal
