"""Torch's functions whose derivative is not torch's own, or that torch has none of: against finite differences and what is known of them."""

import math

import mpmath as mp
import numpy as np
import pytest
import scipy.special
import torch
from helpers import stream

import gradloom as gl
from gradloom import dlarray, dlfeval, dlgradient

rng = stream(0)


def gradient(fun, *xs):
    return [np.asarray(g) for g in dlfeval(lambda *xs: dlgradient(fun(*xs), list(xs)), *map(dlarray, xs))]


def differences(fun, xs, k, step=1e-6):
    """The gradient of a function of tensors by one of them, by central differences."""
    found = np.zeros_like(xs[k])
    for at in np.ndindex(xs[k].shape):
        values = []
        for sign in (1, -1):
            moved = [x.copy() for x in xs]
            moved[k][at] += sign * step
            values.append(float(fun(*map(torch.tensor, moved))))
        found[at] = (values[0] - values[1]) / (2 * step)
    return found


def check_gradient(fun, *xs):
    for k, g in enumerate(gradient(fun, *xs)):
        np.testing.assert_allclose(g, differences(fun, xs, k), rtol=1e-6, atol=1e-7)


# ----- where torch's own gradient is another's


def test_what_as_strided_scatter_overwrites_has_no_derivative():
    w = torch.tensor(rng.normal(size=(3, 3)))
    check_gradient(lambda x, s: (torch.as_strided_scatter(x, s, (2, 2), (1, 2), 0) * w).sum(), rng.normal(size=(3, 3)), rng.normal(size=(2, 2)))


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_solve_reads_one_triangle(upper):
    w = torch.tensor(rng.normal(size=(3, 2)))
    factor = np.eye(3) * 2 + rng.normal(size=(3, 3)) * 0.3
    check_gradient(lambda b, a: (torch.cholesky_solve(b, a, upper=upper) * w).sum(), rng.normal(size=(3, 2)), factor)


# ----- groups


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce_is_the_reduction_of_what_is_sent(reduce, include_self):
    index = torch.tensor([[0, 1, 0, 0], [2, 2, 1, 0]])
    w = torch.tensor(rng.normal(size=(2, 3)))
    check_gradient(lambda x, s: (torch.scatter_reduce(x, 1, index, s, reduce, include_self=include_self) * w).sum(), rng.normal(size=(2, 3)), rng.normal(size=(2, 4)))


def test_products_of_groups_go_through_zeros():
    index = torch.tensor([0, 0, 0])
    (g,) = gradient(lambda s: torch.scatter_reduce(gl.ones(2), 0, index, s, "prod").sum(), np.array([0.0, 2.0, 3.0]))
    np.testing.assert_array_equal(g, [6, 0, 0])


def test_of_equal_extremes_the_first_has_the_derivative():
    index = torch.tensor([0, 0])
    x, s = gradient(lambda x, s: torch.scatter_reduce(x, 0, index, s, "amax").sum(), np.array([1.0]), np.array([1.0, 1.0]))
    np.testing.assert_array_equal([*x, *s], [1, 0, 0])


def test_segments_of_no_elements():
    y = torch.segment_reduce(dlarray([1.0, 2.0, 3.0]), "sum", lengths=torch.tensor([2, 0, 1]))
    np.testing.assert_array_equal(y, [3, 0, 3])


@pytest.mark.parametrize("x", [1e-310, -0.7, 0.0, 1e308, 5e-324, -3.0])
def test_frexp_at_the_ends_of_the_range(x):
    expected = math.frexp(x)
    y, e = torch.frexp(dlarray([x]))
    assert (float(y), int(e)) == expected
    (g,) = gradient(lambda x: torch.frexp(x)[0].sum(), np.array([x]))
    if x == 0 or abs(x) > 1e-300:
        assert g == 2.0 ** -expected[1]


# ----- matrices


def test_eigenvalues_that_are_equal_warn():
    for fun in (gl.eigvals, torch.linalg.eigvals, lambda x: gl.eig(x).eigenvectors):
        with pytest.warns(gl.GradloomWarning, match="eigenvalues of a matrix are equal.*eigh"):
            gradient(lambda x, fun=fun: gl.sum(gl.real(fun(x))), np.eye(2))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("adjoint", [False, True])
def test_lu_solve_differentiates_the_packed_factors(left, adjoint):
    a, b = rng.normal(size=(3, 3)) + np.eye(3) * 3, rng.normal(size=(3, 3))
    w = torch.tensor(rng.normal(size=(3, 3)))

    def solved(a, b):
        factors, pivots = torch.linalg.lu_factor(a)
        return (torch.linalg.lu_solve(factors, pivots, b, left=left, adjoint=adjoint) * w).sum()

    check_gradient(solved, a, b)


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (4, 2), (2, 4)])
def test_lu_of_any_shape(rows, columns):
    a = dlarray(rng.normal(size=(rows, columns)))
    p, low, up = gl.lu(a)
    np.testing.assert_allclose(p @ low @ up, a, atol=1e-12)
    assert not p.traced and np.allclose(np.triu(low, 1), 0) and np.allclose(np.diag(low), 1)


# ----- special functions


@pytest.mark.parametrize("name", ["i0", "i0e", "i1", "i1e"])
def test_modified_bessel_functions(name):
    x = np.array([-800.0, -30.0, -3.0, 0.0, 1e-5, 0.5, 7.4, 12.0, 31.9, 32.1, 500.0])
    x = x if name.endswith("e") else x[1:]
    np.testing.assert_allclose(getattr(gl, name)(dlarray(x)), getattr(scipy.special, name)(x), rtol=4e-15)
    single = torch.tensor(x, dtype=torch.float32)
    assert getattr(torch.special, name)(dlarray(single)).dtype is torch.float32


def test_third_derivatives_of_bessel_functions():
    def third(x):
        y = gl.i0e(x)
        for _ in range(3):
            y = dlgradient(gl.sum(y), x, enable_higher_derivatives=True)
        return y

    for x in (0.3, 5.0, 40.0):
        expected = mp.diff(lambda t: mp.exp(-t) * mp.besseli(0, t), x, 3)
        assert float(gl.extractdata(dlfeval(third, dlarray([x])))[0]) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(("name", "order", "limit"), [("i0", 2, 0.5), ("i1", 1, 0.5), ("i1", 3, 0.375), ("i0e", 2, 1.5), ("i1e", 1, 0.5), ("i1e", 3, 1.875)])
def test_derivatives_of_bessel_functions_at_0_are_the_limits_of_both_sides(name, order, limit):
    def derivative(x):
        y = getattr(gl, name)(x)
        for _ in range(order):
            y = dlgradient(y, x, enable_higher_derivatives=True)
        return y

    for x in (0.0, -0.0):
        assert float(gl.extractdata(dlfeval(derivative, dlarray(x)))) == pytest.approx(limit, rel=1e-12)


# ----- arrays without axes


SCALAR = {
    "sum": lambda x: torch.sum(x, 0), "mean": lambda x: torch.mean(x, 0), "amax": lambda x: torch.amax(x, 0), "logsumexp": lambda x: torch.logsumexp(x, 0),
    "cumsum": lambda x: torch.cumsum(x, 0), "gather": lambda x: torch.gather(x, 0, torch.tensor(0)), "transpose": lambda x: torch.transpose(x, 0, -1),
    "squeeze": lambda x: torch.squeeze(x, 0), "norm": lambda x: torch.norm(x, 2, 0), "vector_norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
    "prod": lambda x: torch.prod(x, 0), "flip": lambda x: torch.flip(x, (0,)), "movedim": lambda x: torch.movedim(x, 0, 0),
    "argsort": lambda x: torch.argsort(x, 0), "count_nonzero": lambda x: torch.count_nonzero(x, 0), "normalize": lambda x: torch.nn.functional.normalize(x, dim=0),
}


@pytest.mark.parametrize("name", SCALAR)
def test_scalars_along_axis_0_in_torch(name):
    expected, found = SCALAR[name](torch.tensor(2.5, dtype=torch.float64)), SCALAR[name](dlarray(2.5))
    assert found.shape == tuple(expected.shape) and float(found) == float(expected)
    if expected.is_floating_point():
        (g,) = gradient(lambda x: gl.sum(SCALAR[name](x)), np.array(2.5))
        x = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
        assert g == pytest.approx(float(torch.autograd.grad(SCALAR[name](x), x)[0]))


@pytest.mark.parametrize("axis", [0, -1, (0,)])
def test_scalars_along_axis_0_here_and_in_numpy(axis):
    x = dlarray(2.5)
    for name in ("sum", "mean", "max", "min", "prod", "logsumexp", "any", "all", "squeeze"):
        y = getattr(gl, name)(x, axis=axis)
        assert y.shape == () and float(y) == (1.0 if name in ("any", "all") else 2.5)
    for name in ("sum", "max", "min", "prod", "any", "all", "squeeze") if isinstance(axis, int) else ():
        y = getattr(np, name)(x, axis=axis)
        assert y.shape == getattr(np, name)(np.array(2.5), axis=axis).shape and float(y) == getattr(np, name)(np.array(2.5), axis=axis)
    for name in ("cumsum", "cumprod"):
        assert getattr(gl, name)(x, axis=0).shape == np.cumsum(np.array(2.5), axis=0).shape == (1,)
    for wrong in (1, (0, 0), "C", 0.0):
        with pytest.raises(gl.LabelError):
            gl.sum(x, axis=wrong)


# ----- what tensors answer


def test_only_torchs_own_code_sees_the_methods_of_tensors():
    x = dlarray([[1.0, 2.0], [3.0, 4.0]])
    for name in ("expand", "layout", "view", "unfold", "sum_to_size", "new_zeros", "is_sparse"):
        assert not hasattr(x, name) and not hasattr(dlarray, name) and name not in dir(x), name
    with pytest.raises(AttributeError, match="no attribute 'expand'"):
        x.expand(2, 2, 2)
    assert "reshape" in dir(x) and "T" in dir(x)


def test_masked_functions_of_torch():
    mask = torch.tensor([[True, False], [True, True]])
    x = rng.normal(size=(2, 2))
    np.testing.assert_allclose(torch.masked.logsumexp(dlarray(x), 0, mask=mask), torch.masked.logsumexp(torch.tensor(x), 0, mask=mask))
    check_gradient(lambda x: torch.masked.logsumexp(x, 0, mask=mask).sum(), x)


def test_low_rank_factors():
    x = rng.normal(size=(5, 3)) @ rng.normal(size=(3, 4))
    for fun in (torch.svd_lowrank, torch.pca_lowrank):
        u, s, v = fun(dlarray(x), q=3)
        expected = x if fun is torch.svd_lowrank else x - x.mean(0)
        np.testing.assert_allclose(u * s @ v.T, expected, atol=1e-10)


def test_the_nuclear_norm_and_splits_at_a_tensor():
    x = rng.normal(size=(4, 3))
    assert float(torch.norm(dlarray(x), "nuc")) == pytest.approx(np.linalg.norm(x, "nuc"))
    parts = torch.tensor_split(dlarray(x), torch.tensor([1, 3]))
    assert [p.shape for p in parts] == [(1, 3), (2, 3), (1, 3)]


def test_sparse_results_are_refused():
    from gradloom.interop.torch import from_torch

    class Sparse(torch.nn.Module):
        def forward(self, x):
            return x.to_sparse()

    with pytest.raises(gl.TypeRefused, match=r"dense"):
        from_torch(Sparse())(dlarray(np.eye(2)))
