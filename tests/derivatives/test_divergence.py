"""dldivergence against gradients, component by component."""

import random

import numpy as np
import pytest
from helpers import stream
from laplacian_layers import LAYERS, D, N
from random_programs import drawn

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.errors import ShapeError, TraceError, TypeRefused

RNG = stream(3)


def normal(*shape):
    return RNG.standard_normal(shape)


def columnwise(fun, x, axis):
    def run(x):
        u, total = fun(x), None
        for k in range(x.shape[axis]):
            at = (*(slice(None),) * axis, k)
            part = gl.dlgradient(gl.sum(u[at]), x, enable_higher_derivatives=True)[at]
            total = part if total is None else total + part
        return total

    return np.asarray(gl.dlfeval(run, x))


@pytest.mark.parametrize("seed", range(40))
def test_networks_equal_gradients(seed):
    r = random.Random(seed)
    layers = [r.choice(LAYERS) for _ in range(r.randint(0, 3))]
    first, last = (dlarray(drawn(r, shape)) for shape in ((D, 6), (6, D)))
    x = dlarray(normal(N, D))

    def fun(x):
        h = x @ first
        for layer in layers:
            h = layer(h, x)
        return h @ last

    expected = columnwise(fun, x, 1)
    for recorded in (False, True):
        found = gl.dlfeval(lambda x, recorded=recorded: gl.dldivergence(fun(x), x, 1, enable_higher_derivatives=recorded), x)
        assert found.shape == (N, 1)
        np.testing.assert_allclose(np.asarray(found)[:, 0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("labels", ["CB", "BC", "CBT", "TBC", "BCT"])
def test_layout_does_not_matter(labels):
    x = dlarray(normal(3, 4, 2) if "T" in labels else normal(3, 4), "CBT" if "T" in labels else "CB")
    w = normal(3, 3)
    expected = gl.dlfeval(lambda x: gl.dldivergence(gl.tanh(gl.fullyconnect(x, w)), x, "C"), x)
    found = gl.dlfeval(lambda x: gl.dldivergence(gl.tanh(gl.fullyconnect(x, w)), x, "C"), gl.permute_dims(x, labels))
    assert found.sizes["C"] == 1 and set(gl.dims(found)) == set(labels)
    np.testing.assert_allclose(np.asarray(gl.permute_dims(found, gl.dims(expected))), np.asarray(expected), rtol=1e-12)


def test_several_axes_count_in_their_order():
    x = dlarray(normal(2, 3, 4))
    m = normal(24, 24)
    fun = lambda x: gl.reshape(dlarray(m) @ gl.reshape(x, (24,)), (2, 3, 4))
    for axes in ((0, 1, 2), (2, 0, 1)):
        assert gl.dlfeval(lambda x, axes=axes: gl.dldivergence(fun(x), x, axes), x).item() == pytest.approx(np.trace(m))
    y = dlarray(normal(3, 4, 2))
    turned = gl.dlfeval(lambda y: gl.dldivergence(gl.permute_dims(fun(gl.permute_dims(y, (2, 0, 1))), (1, 2, 0)), y, (0, 1, 2)), y)
    assert turned.item() == pytest.approx(np.trace(m))


def test_of_a_gradient_it_is_the_laplacian():
    x = dlarray(normal(5, 3))

    def fun(x):
        u = gl.sin(gl.sum(x * x, axis=1, keepdims=True))
        g = gl.dlgradient(gl.sum(u), x, enable_higher_derivatives=True)
        return gl.dldivergence(g, x, 1), gl.dllaplacian(u, x, 1)

    one, other = gl.dlfeval(fun, x)
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-12)


def test_recorded_and_zero():
    x = dlarray(normal(4, 2), "BC")
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dldivergence(x ** 3, x, "C")), x), x)
    np.testing.assert_allclose(np.asarray(g), 6 * np.asarray(x), rtol=1e-12)
    zero = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dldivergence(gl.flip(x, axis="C") * 2, x, "C")), x), x)
    assert not np.asarray(zero).any()
    with pytest.raises(TraceError, match="enable_higher_derivatives"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dldivergence(x ** 3, x, "C", enable_higher_derivatives=False)), x), x)


def test_refusals():
    x = dlarray(normal(4, 3), "BC")
    with pytest.raises(ShapeError, match="same size"):
        gl.dlfeval(lambda x: gl.dldivergence(gl.sum(x, axis="C", keepdims=True), x, "C"), x)
    with pytest.raises(TraceError, match="not independent"):
        gl.dlfeval(lambda x: gl.dldivergence(x * gl.mean(x, axis="B", keepdims=True), x, "C"), x)
    with pytest.raises(ShapeError, match="neither"):
        gl.dlfeval(lambda x: gl.dldivergence(gl.sum(x ** 2, axis="B"), x, "C"), x)
    with pytest.raises(TypeRefused, match="complex"):
        gl.dlfeval(lambda x: gl.dldivergence(gl.exp(1j * x), x, "C"), x)
