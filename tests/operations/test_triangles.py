"""Triangles, diagonals, cross, kron; arrays taken apart and brought to one shape; data brought to one scale."""

import numpy as np
import pytest
import torch
from helpers import drawing

import gradloom as gl
from gradloom.core.array import dlarray

drawn = drawing("triangles", low=-2, high=2)


def gradient(function, *xs):
    def inside(*xs):
        y = function(*xs)
        return gl.dlgradient(gl.sum(gl.abs(y * gl.reshape(gl.arange(1, y.size + 1), y.shape))), *xs)

    return gl.dlfeval(inside, *[dlarray(x) for x in xs])


def rival(function, *xs):
    xs = [x.clone().requires_grad_() for x in xs]
    y = function(*xs)
    return torch.autograd.grad((y * torch.arange(1, y.numel() + 1).reshape(y.shape)).abs().sum(), xs)


@pytest.mark.parametrize("k", [-5, -1, 0, 2, 7])
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (2, 3, 3), (1, 1), (0, 3), (3, 0)])
def test_triangles(shape, k):
    x = drawn(*shape)
    for own, other in [(gl.tril, torch.tril), (gl.triu, torch.triu)]:
        assert torch.equal(own(dlarray(x), k=k)._value, other(x, k))
        torch.testing.assert_close(gradient(lambda x, own=own: own(x, k=k), x)._value, rival(lambda x, other=other: other(x, k), x)[0])
    assert gl.tril(dlarray(x[None], "CSSB"[: x.ndim + 1])).dims == "CSSB"[: x.ndim + 1]


def test_what_a_triangle_leaves_out_does_not_leak():
    x = torch.tensor([[1.0, np.nan], [2.0, 3.0]], dtype=torch.float64)
    assert gl.tril(x).tolist() == [[1, 0], [2, 3]]
    j = gl.dlfeval(lambda x: gl.dljacobian(gl.tril(1 / x), x), dlarray([[1.0, 0.0], [2.0, 4.0]]))
    assert np.asarray(j.matrix()).tolist() == np.diag([-1, 0, -0.25, -0.0625]).tolist()


@pytest.mark.parametrize("k", [-4, -1, 0, 1, 3])
@pytest.mark.parametrize("shape", [(3,), (1,), (0,), (3, 4), (4, 2), (0, 2)])
def test_diagonals(shape, k):
    x = drawn(*shape)
    assert np.array_equal(np.asarray(gl.diag(x, k=k)), np.diag(x.numpy(), k)) or not x.numel()
    if x.numel() and gl.diag(x, k=k).numel():
        torch.testing.assert_close(gradient(lambda x: gl.diag(x, k=k), x)._value, rival(lambda x: torch.diag(x, k), x)[0])


CROSSES = [((3,), (3,), -1), ((2, 3), (2, 3), -1), ((3, 4), (3, 1), 0), ((5, 3), (3,), -1), ((3,), (2, 5, 3), -1), ((0, 3), (3,), -1)]


@pytest.mark.parametrize(("a", "b", "axis"), CROSSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_cross(a, b, axis, dtype):
    a, b = drawn(*a, dtype=dtype), drawn(*b, dtype=dtype) + 1
    k = axis if axis < 0 else axis - max(a.ndim, b.ndim)

    def other(a, b):
        a0, a1, a2 = a.unbind(k)
        b0, b1, b2 = b.unbind(k)
        return torch.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], k)

    torch.testing.assert_close(gl.cross(dlarray(a), b, axis=axis)._value, other(a, b))
    for g, expected in zip(gradient(lambda a, b: gl.cross(a, b, axis=axis), a, b), rival(other, a, b), strict=True):
        torch.testing.assert_close(g._value, expected)


def test_cross_matches_labels():
    a, b = drawn(2, 3), drawn(3, 2)
    y = gl.cross(dlarray(a, "BC"), dlarray(b, "CB"), axis="C")
    assert y.dims == "BC"
    torch.testing.assert_close(y._value, torch.linalg.cross(a, b.T))


@pytest.mark.parametrize(("a", "b"), [((2, 3), (4, 5)), ((3,), (2,)), ((2, 3), (2,)), ((), (2,)), ((2, 2, 2), (3, 1)), ((0, 2), (2, 2))])
def test_kron(a, b):
    a, b = drawn(*a), drawn(*b) + 1
    np.testing.assert_allclose(np.asarray(gl.kron(dlarray(a), b)), np.kron(a.numpy(), b.numpy()))
    if a.numel():
        for g, expected in zip(gradient(gl.kron, a, b), rival(torch.kron, a, b), strict=True):
            torch.testing.assert_close(g._value, expected.reshape(g.shape))


# ----- apart, and in one shape -----


def test_unstack():
    x = dlarray(drawn(2, 3), "CB")
    for axis, count, dims in [("C", 2, "B"), (1, 3, "C"), (-1, 3, "C")]:
        parts = gl.unstack(x, axis=axis)
        assert (type(parts), len(parts), parts[0].dims) == (tuple, count, dims)
        assert torch.equal(gl.stack([gl.stripdims(p) for p in parts], axis=0)._value, x._value if axis == "C" else x._value.T)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.unstack(x, axis="B")[1] ** 2), x), x)
    assert torch.equal(g._value, torch.stack([0 * x._value[:, 0], 2 * x._value[:, 1], 0 * x._value[:, 0]], 1))
    assert gl.unstack(gl.zeros((0, 2))) == ()


def test_broadcast_arrays():
    a, b = gl.broadcast_arrays(dlarray(drawn(2, 1), "CB"), dlarray(drawn(3), "B"))
    assert (a.shape, b.shape, a.dims, b.dims) == ((2, 3), (2, 3), "CB", "CB")
    assert [x.shape for x in gl.broadcast_arrays(1.0, gl.zeros((2, 0)))] == [(2, 0)] * 2
    assert gl.broadcast_arrays() == []
    assert [type(x) for x in gl.broadcast_arrays(torch.ones(2), torch.ones(3, 1))] == [torch.Tensor] * 2
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.broadcast_arrays(x, gl.zeros((3, 2)))[0]), x), dlarray([1.0, 2.0]))
    assert g.tolist() == [3, 3]


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(3,), (3, 2), (3, 2, 4), (3, 0), ()])
def test_meshgrid(sizes, indexing):
    vectors = [drawn(n) for n in sizes]
    found = gl.meshgrid(*vectors, indexing=indexing)
    for own, expected in zip(found, np.meshgrid(*[v.numpy() for v in vectors], indexing=indexing), strict=True):
        np.testing.assert_array_equal(np.asarray(own), expected)


# ----- scale -----


def test_rescale():
    x = drawn(3, 4)
    y = gl.rescale(dlarray(x, "CB"), -1, 3, axis="B")
    assert y.dims == "CB"
    np.testing.assert_allclose(y._value.amin(1), -1)
    np.testing.assert_allclose(y._value.amax(1), 3)
    low, high = x.min(), x.max()
    np.testing.assert_allclose(np.asarray(gl.rescale(x)), (x - low) / (high - low))
    constant, g = gl.dlfeval(lambda x: (gl.rescale(x, 2, 5), gl.dlgradient(gl.sum(gl.rescale(x, 2, 5)), x)), dlarray([4.0, 4.0]))
    assert constant.tolist() == [2, 2] and np.isfinite(np.asarray(g)).all()


def test_normalize():
    x = drawn(4, 3)
    centred = x - x.mean(0)
    expected = {
        "zscore": centred / x.std(0),
        "center": centred,
        "scale": x / x.std(0),
        "norm": x / x.norm(dim=0),
        "range": (x - x.amin(0)) / (x.amax(0) - x.amin(0)),
    }
    for method, value in expected.items():
        found = gl.normalize(dlarray(x, "TC"), method, axis="T")
        torch.testing.assert_close(found._value, value)
        assert found.dims == "TC"
        assert np.isfinite(np.asarray(gl.normalize([2.0], method))).all()
        flat, g = gl.dlfeval(lambda x, m=method: (gl.normalize(x, m), gl.dlgradient(gl.sum(gl.normalize(x, m)), x)), dlarray([3.0, 3.0]))
        assert np.isfinite(np.asarray(flat)).all() and np.isfinite(np.asarray(g)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gl.tril(gl.zeros(3)), r"tril is of matrices.*reshape"),
        (lambda: gl.diag(gl.zeros((2, 2, 2))), r"2 x 2 x 2.*diagonal"),
        (lambda: gl.cross(gl.zeros(2), gl.zeros(2)), r"vectors of three.*pad"),
        (lambda: gl.cross(gl.zeros((2, 3)), gl.zeros((4, 3))), r"2 x 3 and 4 x 3"),
        (lambda: gl.cross(1.0, gl.zeros(3)), r"scalar and 3"),
        (lambda: gl.unstack(gl.zeros((2, 2)), axis=(0, 1)), r"one axis.*names 2"),
        (lambda: gl.broadcast_arrays(gl.zeros(2), gl.zeros(3)), r"2, 3 do not broadcast"),
        (lambda: gl.meshgrid(gl.zeros((2, 2))), r"vectors, not 2 x 2"),
        (lambda: gl.meshgrid(gl.zeros(2), indexing="yx"), r"xy"),
        (lambda: gl.normalize(gl.zeros(2), "max"), r"one of zscore"),
        (lambda: gl.normalize(gl.zeros((2, 2))), r"needs axis="),
    ],
)
def test_refusals(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()
