"""Equal, nearly equal and zero eigenvalues and singular values: derivatives of what does not depend on the choice of their vectors, in every walk.

The truth is closed forms: the Fréchet derivative of a spectral function Q f(W) Q.H along E is Q (D * (Q.H E Q)) Q.H with the divided
differences D of f (Daleckii and Krein); a product of a matrix and its transposes differentiates by hand.
"""
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl

RNG = stream(7)


@contextmanager
def drawing_from(seed):
    """The same draws whatever ran before."""
    global RNG
    outer, RNG = RNG, np.random.default_rng(seed)
    yield
    RNG = outer


def unitary(n, complex_):
    x = RNG.standard_normal((n, n)) + (1j * RNG.standard_normal((n, n)) if complex_ else 0)
    return np.linalg.qr(x)[0]


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def hermitian(x):
    return (x + adjoint(x)) / 2


def noise(shape, complex_):
    return RNG.standard_normal(shape) + (1j * RNG.standard_normal(shape) if complex_ else 0)


# f, and its divided differences without cancellation
FUNCTIONS = {
    "exp": (gl.exp, np.exp, lambda a, b: np.exp((a + b) / 2) * np.where(a == b, 1.0, np.sinh((a - b) / 2) / np.where(a == b, 1.0, (a - b) / 2))),
    "cube": (lambda w: w ** 3, lambda w: w ** 3, lambda a, b: a * a + a * b + b * b),
    "sqrt": (lambda w: gl.sqrt(w + 0.5), lambda w: np.sqrt(w + 0.5), lambda a, b: 1 / (np.sqrt(a + 0.5) + np.sqrt(b + 0.5))),
    "inverse": (lambda w: 1 / (w + 2), lambda w: 1 / (w + 2), lambda a, b: -1 / ((a + 2) * (b + 2))),
}
SPECTRA = {
    "all equal": [2.0, 2.0, 2.0], "a pair": [1.0, 2.0, 2.0], "two pairs": [1.0, 1.0, 3.0, 3.0], "zero": [0.0, 0.0, 0.0], "half zero": [0.0, 0.0, 1.0],
    "apart": [1.0, 2.0, 4.0], "one": [2.0], "1e-3": [1.0, 1.0 + 1e-3, 3.0], "1e-5": [1.0, 1.0 + 1e-5, 3.0], "1e-6": [1.0, 1.0 + 1e-6, 3.0], "1e-8": [1.0, 1.0 + 1e-8, 3.0],
    "1e-9": [1.0, 1.0 + 1e-9, 1.0 + 2e-9], "1e-11": [1.0, 1.0 + 1e-11, 3.0], "1e-13": [1.0, 1.0 + 1e-13, 3.0], "1e-15": [1.0, 1.0 + 1e-15, 3.0]}
EACH = pytest.mark.parametrize("spectrum", SPECTRA)


def tolerance(kind):
    """Near values have two thirds of the digits, whatever their gap."""
    return {"float64": 1e-9, "complex128": 1e-9, "float32": 1e-3, "complex64": 1e-3}[kind]


def spectral(spectrum, kind, exact=False):
    w, complex_ = np.array(SPECTRA[spectrum]), kind.startswith("complex")
    q = unitary(len(w), complex_)
    return w, q, hermitian((q * w) @ adjoint(q)).astype(kind)


def frechet(w, q, divided, e):
    d = divided(w[:, None], w[None, :])
    return q @ (d * (adjoint(q) @ hermitian(e) @ q)) @ adjoint(q)


def rebuilt(f):
    def function(x):
        w, v = gl.eigh(x)
        return (v * f(w)[..., None, :]) @ v.H

    return function


def along(F, x, e):
    """The derivative of F along e, by every walk that has one."""
    x, e, complex_ = gl.dlarray(x), gl.dlarray(e), np.iscomplexobj(x)

    def run(walk):
        return np.asarray(gl.dlfeval(lambda x: walk(F(x), x), x))

    def axis(u, x):
        return gl.sum(gl.dljacobian(gl.reshape(u, (-1,)), x, 0, enable_higher_derivatives=False) * e, axis=(1, 2)).reshape(u.shape)

    def rows(u, x):
        return gl.sum(gl.dljacobian(gl.reshape(u, (-1,)), x, 0) * e, axis=(1, 2)).reshape(u.shape)

    def one_by_one(u, x):
        grads = [gl.dlgradient(part, x, retain_data=True) for part in gl.reshape(u, (-1,))]
        return gl.stack([gl.sum(g * e) for g in grads]).reshape(u.shape)

    found = {"jvp": run(lambda u, x: gl.jvp(u, x, e)), "recorded jvp": run(lambda u, x: gl.jvp(u, x, e, enable_higher_derivatives=True)),
             "product": run(lambda u, x: gl.dljacobian(u, x) @ e)}
    if not complex_:
        matrix, dense = gl.dlfeval(lambda x: (lambda J: (J.matrix(), J.dense()))(gl.dljacobian(F(x), x)), x)
        found |= {"axis": run(axis), "rows": run(rows), "gradients": run(one_by_one),
                  "matrix": (np.asarray(matrix) @ np.ravel(e)).reshape(np.shape(found["jvp"])), "dense": np.tensordot(np.asarray(dense), np.asarray(e), np.ndim(e))}
    return found


def against(F, x, w):
    """The gradient of Re sum conj(w) F, by every walk that has one."""
    x, w = gl.dlarray(x), gl.dlarray(w)

    def loss(x):
        return gl.sum(gl.real(gl.conj(w) * F(x)))

    def run(walk):
        return np.asarray(gl.dlfeval(walk, x))

    return {"dlgradient": run(lambda x: gl.dlgradient(loss(x), x)), "kept": run(lambda x: gl.dlgradient(loss(x), x, retain_data=True)),
            "recorded": run(lambda x: gl.dlgradient(loss(x), x, enable_higher_derivatives=True)), "vjp": run(lambda x: gl.vjp(F(x), x, w)),
            "recorded vjp": run(lambda x: gl.vjp(F(x), x, w, enable_higher_derivatives=True)), "transposed": run(lambda x: gl.dljacobian(F(x), x).T @ w)}


def all_close(found, expected, tol):
    for name, value in found.items():
        np.testing.assert_allclose(value, expected, rtol=tol, atol=tol * max(1e-3, np.abs(expected).max()), err_msg=name)


@pytest.mark.parametrize(("name", "kind", "spectrum"), [
    *(("exp", k, s) for k in ("float64", "complex128") for s in SPECTRA), *(("sqrt", k, s) for k in ("float32", "complex64") for s in SPECTRA),
    *((n, "complex128", s) for n in ("cube", "sqrt", "inverse") for s in ("all equal", "a pair", "half zero", "1e-9"))])
def test_spectral_functions(name, spectrum, kind):
    """Right to 1e-9 relative at every distance of the values, and to rounding where they are equal."""
    f, _, divided = FUNCTIONS[name]
    w, q, x = spectral(spectrum, kind)
    e = noise(x.shape, np.iscomplexobj(x)).astype(kind)
    tol = tolerance(kind) if spectrum.startswith("1e") else 1e-11 if kind in ("float64", "complex128") else 1e-4
    all_close(along(rebuilt(f), x, e), frechet(w, q, divided, e), tol)
    all_close(against(rebuilt(f), x, e), frechet(w, q, divided, e), tol)


@pytest.mark.parametrize("complex_", [False, True])
def test_stacks(complex_):
    """A stack of matrices of every kind, each with its own pairs."""
    f, _, divided = FUNCTIONS["exp"]
    parts = [spectral(name, "complex128" if complex_ else "float64") for name in ("all equal", "a pair", "apart", "zero", "1e-9", "1e-13")]
    x = np.stack([p[2] for p in parts]).reshape(2, 3, 3, 3)
    e = noise(x.shape, complex_)
    expected = np.stack([frechet(w, q, divided, e1) for (w, q, _), e1 in zip(parts, e.reshape(6, 3, 3))]).reshape(x.shape)
    all_close(against(rebuilt(f), x, e), expected, 1e-8)
    x, e = gl.dlarray(x), gl.dlarray(e)
    for recorded in (False, True):
        np.testing.assert_allclose(np.asarray(gl.dlfeval(lambda x, r: gl.jvp(rebuilt(f)(x), x, e, enable_higher_derivatives=r), x, recorded)), expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.asarray(gl.dlfeval(lambda x: gl.dljacobian(rebuilt(f)(x), x) @ e, x)), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("distance", "first", "second"), [(0.0, 1e-13, 1e-12), (1e-9, 1e-12, 1e-7), (1e-6, 1e-10, 1e-4), (1e-4, 1e-8, 1e-3), (1e-2, 1e-11, 1e-7)])
def test_many_values_near_each_other(distance, first, second):
    """A cloud of 24 eigenvalues around one: the exponential is the referee."""
    n = 24
    x, w, e = np.eye(n) + distance * hermitian(noise((n, n), False)) / 5, noise((n, n), False), noise((n, n), False)
    exponential = lambda x: gl.expm((x + x.mT) / 2)
    expected = np.asarray(gl.dlfeval(lambda x: gl.jvp(exponential(x), x, gl.dlarray(w)), gl.dlarray(x)))
    all_close(against(rebuilt(gl.exp), x, w), expected, first)
    np.testing.assert_allclose(gl.dlfeval(lambda x: gl.jvp(rebuilt(gl.exp)(x), x, gl.dlarray(w)), gl.dlarray(x)), expected, atol=first)
    expected = twice(exponential, x, e)
    np.testing.assert_allclose(twice(rebuilt(gl.exp), x, e), expected, atol=second * np.abs(expected).max())


def test_the_examples():
    x = gl.dlarray(np.eye(2))

    def root(x):
        w, v = gl.eigh(x)
        return ((v * gl.sqrt(w)) @ v.T)[0, 1]

    np.testing.assert_allclose(gl.dlfeval(lambda x: gl.dlgradient(root(x), x), x), [[0, 0.25], [0.25, 0]], atol=1e-15)
    for v in ([[1.0, 2.0], [2.0, -1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]):
        found = gl.dlfeval(lambda x, v: gl.hvp(gl.sum(gl.eigvalsh(x) ** 3), x, gl.detach(v)), x, gl.dlarray(v))
        np.testing.assert_allclose(found, 6 * np.array(v), atol=1e-14)
    a, w = RNG.standard_normal((4, 2)) @ RNG.standard_normal((2, 4)), RNG.standard_normal((4, 4))

    def weighted(x):
        u, s, vh = gl.svd(x)
        return gl.sum(((u * s) @ vh) * w)

    np.testing.assert_allclose(gl.dlfeval(lambda x: gl.dlgradient(weighted(x), x), gl.dlarray(a)), w, atol=1e-13)


def test_functions_of_functions():
    """Roots of roots at the identity: each meeting is seen through the next."""
    def fourth_root(x):
        return rebuilt(gl.sqrt)(rebuilt(gl.sqrt)(x))

    x, e = np.diag([4.0, 4.0, 4.0]), noise((3, 3), False)
    all_close(along(fourth_root, x, e), hermitian(e) * 0.25 * 4 ** -0.75, 1e-12)
    all_close(against(fourth_root, x, e), hermitian(e) * 0.25 * 4 ** -0.75, 1e-12)
    back = lambda x: rebuilt(lambda w: w * w)(rebuilt(gl.sqrt)(x))  # the identity
    all_close(along(back, x, e), hermitian(e), 1e-12)
    all_close(against(back, x, e), hermitian(e), 1e-12)


# ----- singular values -----


def low(m, n, rank, complex_, s=None):
    s = np.arange(1.0, rank + 1) if s is None else np.array(s)
    return (unitary(m, complex_)[:, :rank] * s) @ unitary(n, complex_)[:rank]


MATRICES = {
    "equal": lambda c: 2 * unitary(3, c), "a pair": lambda c: low(3, 3, 3, c, [1.0, 1.0, 2.0]), "tall, equal": lambda c: low(5, 2, 2, c, [3.0, 3.0]),
    "wide, equal": lambda c: low(2, 4, 2, c, [3.0, 3.0]), "zero": lambda c: np.zeros((3, 3)) * (1j if c else 1), "tall zero": lambda c: np.zeros((4, 2)) * (1j if c else 1),
    "wide zero": lambda c: np.zeros((2, 3)) * (1j if c else 1), "rank 1 of 2": lambda c: low(2, 2, 1, c), "rank 2 of 4": lambda c: low(4, 4, 2, c),
    "tall, rank 1": lambda c: low(4, 3, 1, c), "wide, rank 1": lambda c: low(3, 5, 1, c), "column": lambda c: np.zeros((3, 1)) * (1j if c else 1),
    "full": lambda c: low(3, 3, 3, c), "nearly": lambda c: low(3, 3, 3, c, [1.0, 1.0 + 1e-9, 2.0]), "nearly zero": lambda c: low(4, 3, 3, c, [1e-9, 2e-9, 1.0]),
    "hardly": lambda c: low(3, 3, 3, c, [1.0, 1.0 + 1e-13, 2.0]), "hardly zero": lambda c: low(4, 3, 3, c, [1e-13, 3e-13, 1.0]),
}
POWERS = {  # sums over s**p, as functions of the matrix and their derivatives along e
    "x": (lambda u, s, vh: (u * s[..., None, :]) @ vh, lambda x, e: e),
    "x x.H x": (lambda u, s, vh: (u * (s ** 3)[..., None, :]) @ vh, lambda x, e: e @ adjoint(x) @ x + x @ adjoint(e) @ x + x @ adjoint(x) @ e),
    "x x.H": (lambda u, s, vh: (u * (s ** 2)[..., None, :]) @ u.H, lambda x, e: e @ adjoint(x) + x @ adjoint(e)),
    "x.H x": (lambda u, s, vh: (vh.H * (s ** 2)[..., None, :]) @ vh, lambda x, e: adjoint(e) @ x + adjoint(x) @ e),
}


@pytest.mark.parametrize(("power", "kind", "full"), [("x", "float64", True), ("x", "complex128", False), ("x x.H x", "float64", False), ("x x.H x", "complex128", True),
                                                     ("x x.H", "complex128", False), ("x.H x", "float64", True), ("x x.H", "float32", False), ("x x.H x", "complex64", False)])
@pytest.mark.parametrize("name", MATRICES)
def test_functions_of_singular_values_and_vectors(power, name, kind, full):
    of_factors, derivative = POWERS[power]
    x = MATRICES[name](kind.startswith("complex")).astype(kind)
    e = noise(x.shape, np.iscomplexobj(x)).astype(kind)
    k = min(x.shape)

    def F(x):
        u, s, vh = gl.svd(x, full_matrices=full)
        return of_factors(u[..., :k], s, vh[..., :k, :])

    tol = 1e-9 if "ly" in name and kind in ("float64", "complex128") else 1e-11 if kind in ("float64", "complex128") else 2e-4
    with warnings.catch_warnings():
        if kind in ("float32", "complex64"):
            warnings.simplefilter("ignore", gl.BatchDependenceWarning)
        all_close(along(F, x, e), derivative(x, e), tol)
        w = noise(derivative(x, e).shape, np.iscomplexobj(x)).astype(kind)
        found = against(F, x, w)
    basis = np.eye(x.size).reshape(x.size, *x.shape)
    parts = [np.sum(np.real(np.conj(w) * derivative(x, b))) + (1j * np.sum(np.real(np.conj(w) * derivative(x, 1j * b))) if np.iscomplexobj(x) else 0) for b in basis]
    all_close(found, np.array(parts).reshape(x.shape), tol)


def test_the_polar_factor():
    """u @ vh is smooth where no singular value is 0: at 2 q its derivative along q k is the skew part of k, halved."""
    for complex_ in (False, True):
        q, k = unitary(3, complex_), noise((3, 3), complex_)
        F = lambda x: (lambda f: f.U @ f.Vh)(gl.svd(x))
        all_close(along(F, 2 * q, q @ k), q @ (k - adjoint(k)) / 4, 1e-12)
        all_close(against(F, 2 * q, q @ k), q @ (k - adjoint(k)) / 4, 1e-12)


# ----- values alone, to second order -----


def hessian_along(function, x, v):
    """The second derivative of a scalar along v, by every walk that has one."""
    x, v = gl.dlarray(x), gl.dlarray(v)

    def gradient(x):
        return gl.dlgradient(function(x), x, enable_higher_derivatives=True)

    def run(walk):
        return np.asarray(gl.dlfeval(walk, x))

    found = {"hvp": run(lambda x: gl.hvp(function(x), x, v)), "recorded hvp": run(lambda x: gl.hvp(function(x), x, v, enable_higher_derivatives=True)),
             "gradient of gradient": run(lambda x: gl.dlgradient(gl.sum(gl.real(gl.conj(v) * gradient(x))), x)),
             "gradient of tangent": run(lambda x: gl.dlgradient(gl.jvp(function(x), x, v, enable_higher_derivatives=True), x)),
             "jacobian": run(lambda x: gl.dljacobian(gradient(x), x) @ v)}
    if not np.iscomplexobj(v):
        found["hessian"] = np.tensordot(np.asarray(gl.hessian(function)(x)), np.asarray(v), np.ndim(v))
    return found


SUMS = {"cubes": (lambda w: gl.sum(w ** 3), lambda a: 3 * a ** 2, lambda a, b: 3 * (a + b)),
        "exponentials": (lambda w: gl.sum(gl.exp(w)), np.exp, FUNCTIONS["exp"][2]),
        "square of the sum of squares": (lambda w: gl.sum(w ** 2) ** 2, None, None)}


@pytest.mark.parametrize("complex_", [False, True])
@EACH
@pytest.mark.parametrize("name", SUMS)
def test_second_derivatives_of_sums_over_eigenvalues(name, spectrum, complex_):
    function, slope, divided = SUMS[name]
    w, q, x = spectral(spectrum, "complex128" if complex_ else "float64")
    e = noise(x.shape, complex_)
    if slope is None:
        h = hermitian(e)
        expected = 4 * np.sum(w ** 2) * h + 8 * x * np.real(np.trace(adjoint(h) @ x))
    else:
        expected = frechet(w, q, divided, e)
    all_close(hessian_along(lambda x: function(gl.eigvalsh(x)), x, e), expected, 1e-9 if spectrum.startswith("1e") else 1e-10)
    all_close(hessian_along(lambda x: function(gl.eigh(x).eigenvalues), x, e), expected, 1e-9 if spectrum.startswith("1e") else 1e-10)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_second_derivatives_of_sums_over_singular_values(name, complex_):
    x = MATRICES[name](complex_)
    e = noise(x.shape, complex_)
    tol = 1e-9 if "ly" in name else 1e-11
    all_close(hessian_along(lambda x: gl.sum(gl.svdvals(x) ** 2), x, e), 2 * e, tol)
    expected = 4 * (e @ adjoint(x) @ x + x @ adjoint(e) @ x + x @ adjoint(x) @ e)
    all_close(hessian_along(lambda x: gl.sum(gl.svdvals(x) ** 4), x, e), expected, tol)


SECOND = {  # second derivatives of Q f(W) Q.H along e twice
    "cube": (lambda w: w ** 3, lambda x, e: 2 * (e @ e @ x + e @ x @ e + x @ e @ e)),
    "inverse": (lambda w: 1 / (w + 2), lambda x, e: (lambda y: 2 * y @ e @ y @ e @ y)(np.linalg.inv(x + 2 * np.eye(len(x))))),
    "exp": (gl.exp, None),
}


def twice(F, x, e):
    x, e = gl.dlarray(x), gl.dlarray(e)
    return np.asarray(gl.dlfeval(lambda x: gl.jvp(gl.jvp(F(x), x, e, enable_higher_derivatives=True), x, e), x))


@EACH
@pytest.mark.parametrize(("name", "complex_"), [("cube", False), ("cube", True), ("inverse", False), ("exp", True)])
def test_second_derivatives_of_spectral_functions(name, spectrum, complex_):
    """Of vectors and values: right to rounding where values are equal, to a third of the digits wherever they are."""
    f, bend = SECOND[name]
    _, _, x = spectral(spectrum, "complex128" if complex_ else "float64")
    e, w = noise(x.shape, complex_), noise(x.shape, complex_)
    expected = bend(x, hermitian(e)) if bend else twice(lambda x: gl.expm((x + x.H) / 2), x, e)
    tol = 1e-11 if not spectrum.startswith("1e") else 2e-5 if spectrum in ("1e-5", "1e-6") else 1e-6
    found = twice(rebuilt(f), x, e)
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * max(1, np.abs(expected).max()))
    paired = {k: np.sum(np.real(np.conj(g) * e)) for k, g in hessian_along(lambda x: gl.sum(gl.real(gl.conj(gl.dlarray(w)) * rebuilt(f)(x))), x, e).items()}
    all_close(paired, np.sum(np.real(np.conj(w) * expected)), tol * 10)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("name", ["equal", "tall, equal", "zero", "rank 2 of 4", "wide, rank 1", "column", "nearly", "nearly zero", "hardly zero"])
def test_second_derivatives_of_functions_of_singular_vectors(name, complex_):
    x = MATRICES[name](complex_)
    e, w = noise(x.shape, complex_), noise(x.shape, complex_)
    tol = 1e-6 if "ly" in name else 1e-10

    def check(power, bend):
        F = lambda x: POWERS[power][0](*gl.svd(x, full_matrices=False))
        np.testing.assert_allclose(twice(F, x, e), bend, atol=tol * max(1, np.abs(bend).max()))
        paired = {k: np.sum(np.real(np.conj(g) * e)) for k, g in hessian_along(lambda x: gl.sum(gl.real(gl.conj(gl.dlarray(w)) * F(x))), x, e).items()}
        all_close(paired, np.sum(np.real(np.conj(w) * bend)) if power != "x" else 0.0, tol * 10)

    check("x", 0 * x)
    check("x x.H x", 2 * (e @ adjoint(e) @ x + e @ adjoint(x) @ e + x @ adjoint(e) @ e))


@pytest.mark.parametrize("complex_", [False, True])
def test_the_null_space(complex_):
    """Of a tall matrix of low rank: svd's vectors of zeros and those that full_matrices adds, together; also to second order."""
    with drawing_from(7):  # in one of a hundred the zeros come out apart enough for a warning
        x, e = low(4, 3, 1, complex_), noise((4, 3), complex_)
    others = lambda x: (lambda u: u[:, 1:] @ u[:, 1:].H)(gl.svd(x).U)
    its = lambda x: np.eye(4) - (lambda u: u[:, :1] @ u[:, :1].H)(gl.svd(x).U)
    all_close(along(others, x, e), along(its, x, e)["jvp"], 1e-12)
    np.testing.assert_allclose(twice(others, x, e), twice(its, x, e), atol=1e-10)
    h = lambda t: np.asarray(its(gl.dlarray(x + t * e)))
    np.testing.assert_allclose(twice(its, x, e), (h(1e-4) - 2 * h(0) + h(-1e-4)) / 1e-8, atol=1e-5 * np.abs(twice(its, x, e)).max())


@pytest.mark.parametrize("complex_", [False, True])
def test_whether_values_meet_is_told_from_neighbours(complex_):
    from gradloom.operations.matrices.equal_values import Eigenvectors, SingularVectors

    for _ in range(200):
        m, n = RNG.integers(1, 5, 2)
        s = np.sort(RNG.random(min(m, n)) * 10.0 ** RNG.integers(-9, 1, min(m, n)) * (RNG.random(min(m, n)) > 0.2))
        u, vh = torch.tensor(unitary(m, complex_)[:, :len(s)]), torch.tensor(unitary(n, complex_)[:len(s)])
        for rules, y in ((SingularVectors(), (u, torch.tensor(s[::-1].copy()), vh)), (Eigenvectors(), (torch.tensor(s), torch.tensor(unitary(len(s), complex_))))):
            assert rules.meets(y) >= any(bool(p.any()) for p in rules.pairs(y))


def test_two_gradients_of_what_was_dropped():
    def f(x):
        y = gl.sum(rebuilt(gl.exp)(x) * np.arange(9.0).reshape(3, 3))
        return gl.dlgradient(y, x), gl.dlgradient(y, x)

    a, b = gl.dlfeval(f, gl.dlarray(np.eye(3)))
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    np.testing.assert_allclose(a, np.e * hermitian(np.arange(9.0).reshape(3, 3)), atol=1e-13)


def test_third_derivatives_of_values():
    """Sums over equal values are right to the third order: of trace(exp(c + t e)), exp(c) trace(e**3)."""
    e = hermitian(noise((3, 3), False))

    def third(x):
        return gl.jvp(gl.hvp(gl.sum(gl.exp(gl.eigvalsh(x))), x, gl.dlarray(e), enable_higher_derivatives=True), x, gl.dlarray(e))

    found = np.asarray(gl.dlfeval(third, gl.dlarray(2 * np.eye(3))))
    np.testing.assert_allclose(found, np.exp(2) * e @ e, atol=1e-12)


def test_laplacians_and_divergences():
    """Sums over eigenvalues are traces of powers."""
    for w in ([2.0, 2.0], [1.0, 2.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0 + 1e-9, 3.0]):
        q, n = unitary(len(w), False), len(w)
        x = gl.dlarray(hermitian((q * w) @ q.T))
        # of trace(h**3), h = (x + x.T) / 2: the sum of the second derivative along all entries, 6 trace(e h e) over symmetric e
        basis = [hermitian(b) for b in np.eye(n * n).reshape(-1, n, n)]
        expected = sum(6 * np.trace(b @ np.asarray(x) @ b) for b in basis)
        for recorded in (False, True):
            found = gl.dlfeval(lambda x, r: gl.dllaplacian(gl.sum(gl.eigvalsh(x) ** 3), x, (0, 1), enable_higher_derivatives=r), x, recorded)
            assert abs(found.item() - expected) < 1e-7 * max(1, abs(expected))
        found = gl.dlfeval(lambda x: gl.dldivergence(rebuilt(FUNCTIONS["cube"][0])(x), x, (0, 1)), x)
        expected = sum(np.sum(b * frechet(np.array(w), q, FUNCTIONS["cube"][2], b)) for b in np.eye(n * n).reshape(-1, n, n))
        assert abs(found.item() - expected) < 1e-7 * max(1, abs(expected))
    stack = np.stack([np.eye(2), np.diag([1.0, 3.0]), np.zeros((2, 2))])
    found = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(gl.sum(gl.svdvals(x) ** 2, axis=-1)), x, (0, 1, 2)), gl.dlarray(stack))
    assert abs(found.item() - 24) < 1e-12


def test_the_laplacian_of_a_function_of_vectors():
    """Of one entry of the cube of a matrix: second derivatives along every entry, and the gradient of their sum."""
    w = noise((3, 3), False)
    for values in ([2.0, 2.0, 2.0], [1.0, 2.0, 2.0]):
        q = unitary(3, False)
        x = hermitian((q * values) @ q.T)
        basis = [hermitian(b) for b in np.eye(9).reshape(-1, 3, 3)]
        expected = sum(np.sum(w * SECOND["cube"][1](x, b)) for b in basis)
        found = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(rebuilt(lambda w: w ** 3)(x) * w), x, (0, 1)), gl.dlarray(x))
        assert abs(found.item() - expected) < 1e-11 * max(1, abs(expected))


def test_projectors_to_second_order():
    """What needs no limit is right to second order too, without a warning: the projector on a pair of equal eigenvalues, by differences."""
    q = unitary(3, False)
    x = hermitian((q * [1.0, 1.0, 3.0]) @ q.T)
    e, w = hermitian(noise((3, 3), False)), noise((3, 3), False)

    def projected(x):
        v = gl.eigh(x).eigenvectors[:, :2]
        return gl.sum((v @ v.T) * w)

    gradient = lambda x: np.asarray(gl.dlfeval(lambda x: gl.dlgradient(projected(x), x), gl.dlarray(x)))
    expected = (gradient(x + 1e-4 * e) - gradient(x - 1e-4 * e)) / 2e-4
    all_close(hessian_along(projected, x, e), expected, 1e-6)


# ----- what has no derivative, and what is not right, warns -----

WALKS = {
    "raw pull": lambda f, x, v: gl.dlgradient(gl.sum(f(x)), x),
    "recorded pull": lambda f, x, v: gl.dlgradient(gl.sum(f(x)), x, enable_higher_derivatives=True),
    "push": lambda f, x, v: gl.jvp(f(x), x, v),
    "recorded push": lambda f, x, v: gl.jvp(f(x), x, v, enable_higher_derivatives=True),
    "jacobian": lambda f, x, v: gl.dljacobian(f(x), x).matrix(),
    "jacobian product": lambda f, x, v: gl.dljacobian(f(x), x) @ v,
    "transposed product": lambda f, x, v: gl.dljacobian(gl.sum(f(x)), x).T @ gl.dlarray(1.0),
    "rows": lambda f, x, v: gl.dljacobian(gl.reshape(f(x), (-1,)), x, 0),
    "hvp": lambda f, x, v: gl.hvp(gl.sum(f(x)), x, v),
    "laplacian": lambda f, x, v: gl.dllaplacian(gl.sum(f(x)), x, (0, 1)),
    "divergence": lambda f, x, v: gl.dldivergence(f(x), x, (0, 1)),
}
CHOSEN = {
    "eigenvectors": (lambda x: gl.eigh(x).eigenvectors, np.eye(2)), "one entry": (lambda x: gl.eigh(x).eigenvectors * np.array([[1.0, 0.0], [0.0, 0.0]]), 3 * np.eye(2)),
    "one vector": (lambda x: (lambda v: v[:, :1] @ v[:, :1].T)(gl.eigh(x).eigenvectors), np.eye(2)),
    "left vectors": (lambda x: gl.svd(x).U, np.eye(2)), "right vectors": (lambda x: gl.svd(x).Vh, np.diag([2.0, -2.0])),
    "vectors of zero": (lambda x: gl.svd(x).U, np.zeros((2, 2))), "polar factor of zero": (lambda x: (lambda f: f.U @ f.Vh)(gl.svd(x)), np.zeros((2, 2)))}


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("name", CHOSEN)
def test_what_depends_on_the_choice_of_vectors_warns(name, walk):
    f, x = CHOSEN[name]
    v = gl.dlarray([[0.3, 0.7], [-0.2, 0.5]])
    twice = walk in ("hvp", "laplacian")
    with pytest.warns(gl.GradloomWarning, match=r"are equal, at test_equal_values.py" + ("" if twice else ".*depends on the choice")):
        gl.dlfeval(lambda x: WALKS[walk](f, x, v), gl.dlarray(x))


@pytest.mark.parametrize("walk", ["raw pull", "recorded pull", "push", "jacobian", "rows"])
def test_what_does_not_depend_on_it_does_not_warn(walk):
    """Warnings are errors in these tests; also of different values."""
    v = gl.dlarray([[0.3, 0.7], [-0.2, 0.5]])
    for x in (np.eye(2), np.zeros((2, 2)), np.diag([1.0, 1.0 + 1e-9])):
        gl.dlfeval(lambda x: WALKS[walk](rebuilt(gl.exp), x, v), gl.dlarray(x))
    for x in (np.diag([1.0, 2.0]), np.diag([1.0, 1.0 + 1e-9])):
        gl.dlfeval(lambda x: WALKS[walk](lambda x: gl.eigh(x).eigenvectors, x, v), gl.dlarray(x))


THIRD = {
    "push over hvp": lambda f, x, v: gl.jvp(gl.hvp(f(x), x, v, enable_higher_derivatives=True), x, v),
    "pull over hvp": lambda f, x, v: gl.dlgradient(gl.sum(gl.hvp(f(x), x, v, enable_higher_derivatives=True)), x),
    "pushes": lambda f, x, v: gl.jvp(gl.jvp(gl.jvp(f(x), x, v, enable_higher_derivatives=True), x, v, enable_higher_derivatives=True), x, v),
    "pull over laplacian": lambda f, x, v: gl.dlgradient(gl.dllaplacian(f(x), x, (0, 1)), x),
    "jacobian": lambda f, x, v: gl.dljacobian(gl.hvp(f(x), x, v, enable_higher_derivatives=True), x).matrix(),
    "rows": lambda f, x, v: gl.dljacobian(gl.reshape(gl.hvp(f(x), x, v, enable_higher_derivatives=True), (-1,)), x, 0),
    "hvp of gradient": lambda f, x, v: gl.hvp(gl.sum(gl.dlgradient(f(x), x, enable_higher_derivatives=True) ** 2), x, v)}


@pytest.mark.parametrize("walk", THIRD)
@pytest.mark.parametrize("nearly", [0.0, 1e-13, 1e-9])
def test_third_derivatives_through_vectors_warn(walk, nearly):
    v, w = gl.dlarray([[0.3, 0.7], [-0.2, 0.5]]), np.array([[1.0, 2.0], [0.5, -1.0]])
    f = lambda x: gl.sum(rebuilt(gl.exp)(x) * w)
    with pytest.warns(gl.GradloomWarning, match=r"are equal, at test_equal_values.py.*third ones, which are asked for here, are not"):
        gl.dlfeval(lambda x: THIRD[walk](f, x, v), gl.dlarray(np.diag([1.0, 1.0 + nearly])))


def test_fourth_derivatives_of_values_warn():
    def fourth(x):
        v = gl.dlarray([[0.3, 0.7], [0.7, 0.5]])
        found = gl.hvp(gl.sum(gl.exp(gl.eigvalsh(x))), x, v, enable_higher_derivatives=True)
        return gl.jvp(gl.jvp(found, x, v, enable_higher_derivatives=True), x, v)

    with pytest.warns(gl.GradloomWarning, match="are equal"):
        gl.dlfeval(fourth, gl.dlarray(np.eye(2)))


def test_what_cannot_be_differentiated_twice_warns():
    """A backward that was written in NumPy gives no second derivative, which the limit is made of."""
    class Halved(gl.DifferentiableFunction):
        def forward(self, v):
            return v / 2

        def backward(self, y_bar):
            return np.asarray(y_bar) / 2

    def f(x):
        w, v = gl.eigh(x)
        return gl.sum(((Halved()(v) * w) @ v.H) * np.array([[1.0, 2.0], [3.0, 4.0]]))

    v = gl.dlarray([[1.0, 0.5], [0.5, -1.0]])
    for walk in (lambda x: gl.dlgradient(f(x), x), lambda x: gl.jvp(f(x), x, v)):
        with pytest.warns(gl.GradloomWarning, match="cannot be differentiated twice"):
            gl.dlfeval(walk, gl.dlarray(np.eye(2)))
    for gap in (1e-9, 1e-6, 1e-3):  # near values have their quotient: half of the matrix, times the weights
        x = gl.dlarray(np.diag([1.0, 1.0 + gap]))
        np.testing.assert_allclose(gl.dlfeval(lambda x: gl.dlgradient(f(x), x), x), [[0.5, 1.25], [1.25, 2.0]], atol=1e-15 / gap)
        assert abs(gl.dlfeval(lambda x: gl.jvp(f(x), x, v), x).item() + 0.25) < 1e-15 / gap


# ----- values that are nearly equal -----


@pytest.mark.parametrize("gap", [1e-4, 1e-7, 1e-9, 1e-11])
def test_single_vectors_of_nearly_equal_values(gap):
    """Their derivative is as large as 1 / gap, and right as far as the gap itself is known."""
    x, e = np.diag([1.0, 1.0 + gap, 3.0]), hermitian(noise((3, 3), False))
    w = noise((3, 3), False)
    gaps = np.array([[0.0, gap, 2.0], [-gap, 0.0, 2.0 - gap], [-2.0, gap - 2.0, 0.0]])  # of w[j] - w[i]
    turn = np.where(gaps == 0, 0.0, e / np.where(gaps == 0, 1.0, gaps))
    all_close({k: found for k, found in along(lambda x: gl.eigh(x).eigenvectors, x, e).items()}, turn, 4e-16 / gap + 1e-12)
    expected = hermitian((w - w.T) / 2 * np.where(gaps == 0, 0.0, 1 / np.where(gaps == 0, 1.0, gaps)))
    all_close(against(lambda x: gl.eigh(x).eigenvectors, x, w), expected, 4e-16 / gap + 1e-12)


def test_second_derivatives_of_single_vectors_of_nearly_equal_values():
    x = np.diag([1.0, 1.0 + 1e-9])
    v = gl.dlarray([[0.0, 1.0], [1.0, 0.0]])
    # of cos(angle), where tan(2 angle) = 2 t / gap: -(1 / gap)**2 at t = 0
    found = gl.dlfeval(lambda x: gl.jvp(gl.jvp(gl.eigh(x).eigenvectors[0, 0], x, v, enable_higher_derivatives=True), x, v), gl.dlarray(x))
    gap = x[1, 1] - x[0, 0]
    assert abs(found.item() * gap * gap + 1) < 1e-6


# ----- planted mistakes -----


def test_planted_mistakes_are_found(monkeypatch):
    from gradloom.operations.matrices.equal_values import Meeting

    monkeypatch.setattr(Meeting, "meets", lambda self, y: False)
    with pytest.raises(AssertionError):
        test_the_examples()
    with pytest.raises(AssertionError):
        test_spectral_functions("exp", "a pair", "float64")
    monkeypatch.undo()
    split = Meeting.split
    monkeypatch.setattr(Meeting, "split", lambda self, y: split(self, y) ** 2 / 2)
    test_the_examples()  # any direction that parts them will do
    monkeypatch.setattr(Meeting, "split", lambda self, y: 0 * split(self, y) + 1)
    with pytest.raises(AssertionError):
        test_the_examples()
