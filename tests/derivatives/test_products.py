"""interface.md 4.5: jvp, vjp, hvp, against torch and each other."""
import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl

rng = stream(0)
X, W1, B1 = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=5)
z0 = np.array([1 + 2j, -0.5 + 0.3j, -2j, 3.0 + 0j])


def layered(m, p):
    return [m.tanh(m.matmul(p["x"], p["w"][0])) + p["b"], m.sum(m.exp(p["b"]) * m.sin(m.sum(p["x"])))]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.func imports torch.jit
def test_jvp_and_vjp_against_torch():
    point = {"w": [W1], "b": B1, "x": X}
    v = {"w": [rng.normal(size=W1.shape)], "b": rng.normal(size=B1.shape), "x": rng.normal(size=X.shape)}
    w = [rng.normal(size=(4, 5)), rng.normal()]

    def fun(p):
        u = layered(gl, p)
        return u, gl.jvp(u, p, v), gl.vjp(u, p, w), gl.jvp(u[0], p["b"], v["b"]), gl.vjp(u[1], [p["b"]], w[1])

    u, forwards, backwards, one, another = gl.dlfeval(fun, {"w": [gl.dlarray(W1)], "b": gl.dlarray(B1), "x": gl.dlarray(X)})
    keys = lambda p: (p["w"][0], p["b"], p["x"])
    names = lambda *p: layered(torch, {"w": [p[0]], "b": p[1], "x": p[2]})
    tensors = tuple(map(torch.tensor, keys(point)))
    _, expected = torch.func.jvp(lambda *p: tuple(names(*p)), tensors, tuple(map(torch.tensor, keys(v))))
    _, pull = torch.func.vjp(lambda *p: tuple(names(*p)), *tensors)
    pulled = pull((torch.tensor(w[0]), torch.tensor(w[1])))
    assert type(forwards) is list and list(backwards) == ["w", "b", "x"]
    assert all(np.allclose(a, b) for a, b in zip(forwards, expected)) and all(np.allclose(a, b) for a, b in zip(keys(backwards), pulled))
    assert np.allclose(sum(np.sum(np.array(a) * b) for a, b in zip(forwards, w)), sum(np.sum(np.array(a) * b) for a, b in zip(keys(backwards), keys(v))))
    assert one.shape == (4, 5) and np.allclose(one, np.broadcast_to(v["b"], (4, 5))) and len(another) == 1


def test_hvp_against_torch_and_recorded():
    def loss(m, x, w):
        return m.sum(m.tanh(m.matmul(x, w)) ** 3)

    v = rng.normal(size=W1.shape)

    def fun(x, w):
        h = gl.hvp(loss(gl, x, w), w, v, enable_higher_derivatives=True)
        return h, gl.dlgradient(gl.sum(h ** 2), w)

    tx, tw, tv = torch.tensor(X), torch.tensor(W1, requires_grad=True), torch.tensor(v)
    g, = torch.autograd.grad(loss(torch, tx, tw), tw, create_graph=True)
    h, = torch.autograd.grad((g * tv).sum(), tw, create_graph=True)
    third, = torch.autograd.grad((h ** 2).sum(), tw)
    ours, ours_third = gl.dlfeval(fun, gl.dlarray(X), gl.dlarray(W1))
    assert np.allclose(ours, h.detach()) and np.allclose(ours_third, third)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_products_of_complex_and_labelled_arrays():
    z = gl.dlarray(z0, "C")
    u, u_dot = gl.dlfeval(lambda z: (gl.exp(z), gl.jvp(gl.exp(z), z, np.ones(4))), z)
    assert np.allclose(u_dot, u) and u_dot.dims == "C"
    _, pulled = gl.dlfeval(lambda z: (0, gl.vjp(gl.conj(z) * z, z, z0)), z)
    t = torch.tensor(z0)
    assert np.allclose(pulled, torch.func.vjp(lambda z: torch.conj(z) * z, t)[1](t)[0].resolve_conj())


def test_directions_that_do_not_fit():
    x = gl.dlarray([1.0, 2.0])
    for word in (gl.jvp, gl.vjp):
        for v in ([1.0, 2.0], np.ones(3), 1.0, gl.dlarray([[1.0, 2.0]])):
            with pytest.raises((gl.ShapeError, gl.TypeRefused)):
                gl.dlfeval(lambda x, v=v, word=word: word(x ** 2, x, v), x)


def test_a_traced_direction_is_no_constant():
    x0, w0 = gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, 4.0])
    for word in (gl.jvp, gl.vjp):
        recorded = gl.dlfeval(lambda x, w, word=word: gl.dlgradient(gl.sum(word(x ** 2, x, w, enable_higher_derivatives=True)), x, w), x0, w0)
        assert [g.tolist() for g in recorded] == [[6, 8], [2, 4]]
        for target in (0, 1):  # the direction's own variable too
            with pytest.raises(gl.TraceError, match="not recorded"):
                gl.dlfeval(lambda x, w, word=word, target=target: gl.dlgradient(gl.sum(word(x ** 2, x, w)), (x, w)[target]), x0, w0)
    hvp = gl.dlfeval(lambda x, w: gl.dlgradient(gl.sum(gl.hvp(gl.sum(x ** 3), x, w, enable_higher_derivatives=True)), x, w), x0, w0)
    assert [g.tolist() for g in hvp] == [[18, 24], [6, 12]]


def test_forwards_and_backwards_are_adjoint_with_one_place_twice_and_intermediates():
    def fun(x):
        h = gl.sin(x)
        u = h * x
        targets = [x, x.copy(), h]
        v, w = [np.array([1.0, 2.0]), np.array([3.0, -1.0]), np.array([0.5, 0.7])], np.array([2.0, 5.0])
        u_dot, bars = gl.jvp(u, targets, v), gl.vjp(u, targets, w)
        return sum(np.dot(gl.extractdata(b), d) for b, d in zip(bars, v)), np.dot(gl.extractdata(u_dot), w)

    assert np.isclose(*gl.dlfeval(fun, gl.dlarray([0.3, 1.1])))


def test_directions_are_matched_by_label():
    a, v = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    x = gl.dlarray(a, "CB")
    for word in (gl.jvp, gl.vjp):
        plain = gl.dlfeval(lambda x, word=word: word(x ** 2, x, v), x)
        turned = gl.dlfeval(lambda x, word=word: word(x ** 2, x, gl.dlarray(v.T, "BC")), x)
        assert np.array_equal(plain, turned) and turned.dims == "CB"
        with pytest.raises(gl.ShapeError, match="labels"):
            gl.dlfeval(lambda x, word=word: word(x ** 2, x, gl.dlarray(v, "SB")), x)


def test_targets_that_do_not_lead_to_the_result():
    x = gl.dlarray([1.0, 2.0])
    for word in (gl.jvp, gl.vjp):
        with pytest.raises(gl.TraceError, match="does not depend on the target computed in test_products.py"):
            gl.dlfeval(lambda x, word=word: word(x ** 2, x * 1.0, np.ones(2)), x)
        assert gl.dlfeval(lambda x, z, word=word: word(x ** 2, z, np.ones(2)), x, x * 1.0).tolist() == [0, 0]
