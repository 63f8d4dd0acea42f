"""J1 + J2, c * J, -J and pickled Jacobians, against the same in matrices."""
import pickle

import numpy as np
import pytest
from helpers import stream

import gradloom as gl

DATA = np.array([0.5, -1.0, 2.0])


def first(p):
    return gl.tanh(p["w"] @ DATA + p["b"])


def second(p):
    return gl.sin(p["w"] @ DATA) * p["b"]


def third(p):
    return gl.cumsum(p["b"], axis=0)


def parameters():
    rng = stream(0)
    return {"w": gl.dlarray(rng.standard_normal((4, 3))), "b": gl.dlarray(rng.standard_normal(4))}


P = parameters()
MATRICES = [np.asarray(gl.dlfeval(lambda p, f=f: gl.dljacobian(f(p), p), P)) for f in (first, second, third)]
EXPECTED = 2 * MATRICES[0] - MATRICES[1] / 4 + MATRICES[2]


def combination(p, **options):
    a, b, c = (gl.dljacobian(f(p), p, **options) for f in (first, second, third))
    return 2 * a - b / 4 - (-c)


def of_returned(p):
    a, b, c = (gl.dlfeval(lambda p, f=f: gl.dljacobian(f(p), p), p) for f in (first, second, third))
    return combination_of(a, b, c)


def combination_of(a, b, c):
    return sum([np.float64(2) * a, -b * 0.25, +c])


@pytest.mark.parametrize("J", [gl.dlfeval(combination, P), of_returned(P), pickle.loads(pickle.dumps(gl.dlfeval(combination, P))),
                               pickle.loads(pickle.dumps(of_returned(P)))], ids=["made inside", "of returned ones", "pickled", "pickled later"])
def test_a_combination_is_what_its_matrix_is(J):
    rng = stream(1)
    w, b, u = rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal(4)
    close = lambda x, y: np.testing.assert_allclose(np.asarray(x), y, rtol=0, atol=1e-13)
    close(J, EXPECTED)
    close(J @ {"w": w, "b": b}, EXPECTED @ np.concatenate([w.ravel(), b]))
    back = J.T @ u
    close(np.concatenate([np.ravel(back["w"]), np.ravel(back["b"])]), EXPECTED.T @ u)
    close(J.gram(), EXPECTED @ EXPECTED.T)
    close(J.row_norms(), np.linalg.norm(EXPECTED, axis=1))
    close(J["w"].dense(), EXPECTED[:, :12].reshape(4, 4, 3))
    close(J.tosparse().toarray(), EXPECTED)
    assert J.shape == EXPECTED.shape and "diagonal along" in repr(J) and J.explain()
    close(-J - J, -2 * EXPECTED)


def test_inside_it_is_lazy_and_recorded_where_its_parts_are():
    def energy(p):
        J = combination(p, enable_higher_derivatives=True)
        return gl.dlgradient(gl.sum(J.matrix() ** 2), p), J @ {"w": p["w"], "b": p["b"]}, J["b"].dense(), repr(J)

    def plain(p):
        matrices = [gl.dljacobian(f(p), p, enable_higher_derivatives=True).matrix() for f in (first, second, third)]
        return gl.dlgradient(gl.sum((2 * matrices[0] - matrices[1] / 4 + matrices[2]) ** 2), p)

    gradient, product, part, _ = gl.dlfeval(energy, P)
    for key, expected in gl.dlfeval(plain, P).items():
        np.testing.assert_allclose(np.asarray(gradient[key]), np.asarray(expected), atol=1e-12)
    np.testing.assert_allclose(np.asarray(product), EXPECTED @ np.concatenate([np.ravel(P["w"]), np.ravel(P["b"])]), atol=1e-13)
    np.testing.assert_allclose(np.asarray(part), EXPECTED[:, 12:], atol=1e-13)
    for what in (lambda J, p: J.matrix(), lambda J, p: J @ p, lambda J, p: J["b"].dense(), lambda J, p: J.gram()):
        with pytest.raises(gl.TraceError, match="was not recorded"):
            gl.dlfeval(lambda p, what=what: gl.dlgradient(gl.sum(what(combination(p), p)), p), P)


def test_structure_is_kept():
    x = gl.dlarray(np.arange(1.0, 1001.0))
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.sin(x), x) + 3 * gl.dljacobian(x ** 2, x), x)
    assert J.nbytes == 8000
    np.testing.assert_allclose(np.asarray(J.diagonal()), np.cos(np.arange(1.0, 1001.0)) + 6 * np.arange(1.0, 1001.0))


def test_complex_factors():
    z, w = gl.dlarray([1 + 2j, 3 - 1j]), gl.dlarray([0.5 - 1j, 2j])
    both = lambda x: (J := gl.dljacobian(x * x + gl.conj(x), x), 2j * J + J)
    J, K = gl.dlfeval(both, z)
    np.testing.assert_allclose(np.asarray(K @ w), (1 + 2j) * np.asarray(J @ w))
    np.testing.assert_allclose(np.asarray(K.T @ w), np.asarray(J.T @ ((1 - 2j) * w)))
    x = gl.dlarray([1.0, 2.0])  # real x: what comes back is real, inside and outside
    inside, outside = gl.dlfeval(lambda x: ((K := 2j * gl.dljacobian((1 + 1j) * x, x)).T @ w, K), x)
    expected = np.real(np.conj(2j * (1 + 1j)) * np.asarray(w))
    np.testing.assert_allclose(np.asarray(inside), expected)
    np.testing.assert_allclose(np.asarray(outside.T @ w), expected)


def test_pickles_of_networks_and_parts():
    net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(4), gl.layers.ReLU(name="relu"), gl.layers.FullyConnected(2)])
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x, outputs="relu"), net.learnables), net, gl.dlarray(DATA, "C"))
    for which in (J, J["fc", "weights"], J.nonzero):
        back = pickle.loads(pickle.dumps(which))
        assert repr(back) == repr(which) and back.shape == which.shape and np.array_equal(np.asarray(back), np.asarray(which))
    assert "test_jacobian_sums" in pickle.loads(pickle.dumps(J)).explain()
    with pytest.raises(gl.TraceError, match="return it from there"):
        gl.dlfeval(lambda p: pickle.dumps(gl.dljacobian(first(p), p)), P)


def test_what_does_not_add_up():
    J = gl.dlfeval(lambda p: gl.dljacobian(first(p), p), P)
    with pytest.raises(gl.ShapeError, match=r"J1 \+ J2 needs Jacobians of one shape.*at test_jacobian_sums"):
        J + J["w"]
    with pytest.raises(gl.ShapeError, match="the same container"):
        J + gl.dlfeval(lambda p: gl.dljacobian(first({"w": p["a"], "b": p["c"]}), p), {"a": P["w"], "c": P["b"]})
    with pytest.raises(gl.TypeRefused, match=r"by a number, not by an array.*write c \* \(J @ v\)"):
        J * gl.ones(3)
    with pytest.raises(TypeError):
        J + 1


def test_explain_says_that_a_walk_is_shared():
    def energies(p):
        h = gl.dlarray(np.ones((8, 256)))
        for k in range(3):
            h = gl.tanh(h @ p[f"w{k}"])
        return gl.sum(h ** 2, axis=1)

    weights = {f"w{k}": gl.dlarray(stream(k).standard_normal((256, 256)) / 16) for k in range(3)}
    said = gl.dlfeval(lambda p: gl.dljacobian(energies(p), p).explain(), weights).splitlines()
    assert said[1].startswith("'w0', 'w1', 'w2': backwards from u, one walk for all 3 (") and "not forwards from each (" in said[1]
    assert all(line.startswith(f"'w{k}': in that walk; ") for k, line in enumerate(said[2:5]))
