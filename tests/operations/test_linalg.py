"""Linear algebra against torch and SciPy, at degenerate points, with labels and errors."""
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from helpers import stream

import gradloom as gl
from gradloom.core.tables import OPERATIONS

RNG = stream(0)


def real(*shape):
    return RNG.standard_normal(shape) + 2 * np.eye(*shape[-2:])


def complex_(*shape):
    return real(*shape) + 1j * RNG.standard_normal(shape)


def spd(a):
    return a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(a.shape[-1])


def torch_gradient(function, *arrays):
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = function(*xs)
    return [g.numpy() for g in torch.autograd.grad(y, xs)]


def our_gradient(function, *arrays):
    def run(*xs):
        g = gl.dlgradient(function(*xs), *xs)
        return g if isinstance(g, tuple) else (g,)

    return [np.asarray(g) for g in gl.dlfeval(run, *[gl.dlarray(a) for a in arrays])]


def weighted(y, xp):
    """A real number of every entry of y that does not treat them alike."""
    weights = np.cos(np.arange(np.prod(y.shape))).reshape(y.shape)
    weights = torch.tensor(weights) if xp is torch else weights
    part = (y * weights).sum() if xp is torch else gl.sum(y * weights)
    return (part * (1 + 2j)).real if (part.is_complex() if xp is torch else part.dtype.is_complex) else part


A = {"real": real(4, 4), "complex": complex_(4, 4), "stack": real(2, 3, 3), "one": real(1, 1), "complex stack": complex_(2, 1, 3, 3)}
EACH = pytest.mark.parametrize("a", A.values(), ids=A.keys())
SQUARE = {
    "inv": (gl.inv, torch.linalg.inv), "det": (gl.det, torch.linalg.det), "pinv": (gl.pinv, torch.linalg.pinv), "expm": (gl.expm, torch.matrix_exp),
    "logdet": (lambda x: gl.slogdet(x).logabsdet, lambda x: torch.linalg.slogdet(x)[1]), "phase": (lambda x: gl.slogdet(x).sign, lambda x: torch.linalg.slogdet(x)[0]),
    "fourth power": (lambda x: gl.matrix_power(x, 4), lambda x: torch.linalg.matrix_power(x, 4)),
    "inverse cube": (lambda x: gl.matrix_power(x, -3), lambda x: torch.linalg.matrix_power(x, -3)),
    "singular values": (gl.svdvals, torch.linalg.svdvals), "trace": (gl.trace, lambda x: x.diagonal(dim1=-2, dim2=-1).sum(-1)),
    "diagonal": (lambda x: gl.diagonal(x, offset=-1), lambda x: x.diagonal(-1, -2, -1)),
    **{f"norm {o}": (lambda x, o=o: gl.matrix_norm(x, ord=o), lambda x, o=o: torch.linalg.matrix_norm(x, o))
       for o in ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf"))}}
HERMITIAN = {"eigenvalues": (gl.eigvalsh, torch.linalg.eigvalsh), "cholesky": (gl.cholesky, torch.linalg.cholesky),
             "upper": (lambda x: gl.cholesky(x, upper=True), lambda x: torch.linalg.cholesky(x, upper=True)),
             "projector": (lambda x: (lambda v: v @ v.H)(gl.eigh(x).eigenvectors[..., :1]), lambda x: (lambda v: v @ v.mH)(torch.linalg.eigh(x)[1][..., :1]))}


@EACH
@pytest.mark.parametrize("name", SQUARE)
def test_values_and_gradients_of_square_matrices(name, a):
    ours, theirs = SQUARE[name]
    np.testing.assert_allclose(ours(gl.dlarray(a)), theirs(torch.tensor(a)), rtol=1e-9, atol=1e-12)
    if name == "phase" and a.dtype.kind == "f":
        return
    if np.size(ours(gl.dlarray(a))):
        (found,), (expected,) = our_gradient(lambda x: weighted(ours(x), gl), a), torch_gradient(lambda x: weighted(theirs(x), torch), a)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


@EACH
@pytest.mark.parametrize("name", HERMITIAN)
def test_values_and_gradients_of_hermitian_matrices(name, a):
    ours, theirs = HERMITIAN[name]
    a = spd(a)
    np.testing.assert_allclose(ours(gl.dlarray(a)), theirs(torch.tensor(a)), rtol=1e-9, atol=1e-10)
    sym = lambda x: (x + x.mH) / 2  # torch reads one triangle
    (found,), (expected,) = our_gradient(lambda x: weighted(ours(x), gl), a), torch_gradient(lambda x: weighted(theirs(sym(x)), torch), a)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 3)])
@pytest.mark.parametrize("kind", [real, complex_])
def test_factors_are_factors(kind, shape):
    x = kind(*shape)
    for full in (True, False):
        u, s, vh = map(np.asarray, gl.svd(x, full_matrices=full))
        k = min(shape[-2:])
        np.testing.assert_allclose(u[..., :k] * s[..., None, :] @ vh[..., :k, :], x, atol=1e-12)
        np.testing.assert_allclose(np.conj(np.swapaxes(u, -1, -2)) @ u, np.broadcast_to(np.eye(u.shape[-1]), (*x.shape[:-2], u.shape[-1], u.shape[-1])), atol=1e-12)
        assert u.shape[-1] == (shape[-2] if full else k) and vh.shape[-2] == (shape[-1] if full else k)
    for mode in ("reduced", "complete"):
        q, r = gl.qr(x, mode=mode)
        np.testing.assert_allclose(q @ r, x, atol=1e-12)
        assert q.shape == torch.linalg.qr(torch.tensor(x), mode)[0].shape


@pytest.mark.parametrize("kind", [real, complex_])
@pytest.mark.parametrize("shape", [(4, 2), (2, 3, 2), (2, 4)])
def test_what_does_not_depend_on_the_choice_of_vectors(kind, shape):
    """Projectors on the columns that svd and qr add; first and second derivatives."""
    x = gl.dlarray(kind(*shape))
    m, k = shape[-2], min(shape[-2:])

    def from_svd(x):
        u = gl.svd(x).U[..., k:]
        return u @ u.H

    def from_qr(x):
        q = gl.qr(x, mode="complete").Q[..., k:]
        return q @ q.H

    for function in ((from_svd, from_qr) if m > k else (lambda x: gl.svd(x).Vh[..., k:, :].H @ gl.svd(x).Vh[..., k:, :],)):
        assert gl.check_derivatives(function, x, order=2, tolerance=1e-5).ok


def test_phases_are_one_function():
    """A loss that depends on the phases of complex vectors is differentiated as it is."""
    a = gl.dlarray(complex_(3, 3))
    for function in (lambda x: gl.svd(x).U, lambda x: gl.svd(x).Vh, lambda x: gl.eigh(x).eigenvectors):
        assert gl.check_derivatives(function, a, order=2, tolerance=1e-5).ok
    for vectors in (gl.svd(a).U, gl.eigh(a).eigenvectors):
        v = np.asarray(vectors)
        largest = v[np.abs(v).argmax(0), range(3)]
        assert (largest.real > 0).all() and np.abs(largest.imag).max() < 1e-15


# ----- equations -----


@pytest.mark.parametrize("b", [real(4, 4)[0], real(4, 2), real(3, 4, 2), complex_(4, 2), real(4, 0)], ids=["vector", "matrix", "stack", "complex", "none"])
def test_solve(b):
    a = A["real"]
    y = np.asarray(gl.solve(a, b))
    np.testing.assert_allclose(y, np.linalg.solve(a, b if b.ndim > 1 else b[:, None]).reshape(b.shape), atol=1e-12)
    np.testing.assert_allclose(gl.lstsq(a, b), y, atol=1e-11)
    for upper in (False, True):
        t = np.triu(a) if upper else np.tril(a)
        np.testing.assert_allclose(gl.solve_triangular(a, b, upper=upper), gl.solve(t, b), atol=1e-11)
    if b.size and b.dtype.kind == "f":
        vector = (lambda y: y[..., 0]) if b.ndim == 1 else (lambda y: y)
        theirs = lambda a, b: weighted(vector(torch.linalg.solve(a, b[:, None] if b.ndim == 1 else b)), torch)
        for found, expected in zip(our_gradient(lambda a, b: weighted(gl.solve(a, b), gl), a, b), torch_gradient(theirs, a, b)):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_stacks_of_equations_broadcast():
    a, b = real(3, 1, 2, 2), real(1, 4, 2, 3)
    np.testing.assert_allclose(gl.solve(a, b), np.linalg.solve(np.broadcast_to(a, (3, 4, 2, 2)), np.broadcast_to(b, (3, 4, 2, 3))), atol=1e-12)
    assert gl.check_derivatives(gl.solve, gl.dlarray(a), gl.dlarray(b)).ok
    # (3, 2, 2) and (3, 2) are a stack of matrices and one matrix, never a stack of vectors
    with pytest.raises(gl.ShapeError, match="a 3 x 2 x 2 has 2 rows, b is 3 x 2"):
        gl.solve(real(3, 2, 2), real(3, 2))


def test_least_squares():
    a, b = real(5, 3), real(5, 2)
    np.testing.assert_allclose(gl.lstsq(a, b), np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-12)
    low = a[:, :1] * np.ones((1, 3))  # of rank one: the solution of least norm
    np.testing.assert_allclose(gl.lstsq(low, b), np.linalg.lstsq(low, b, rcond=None)[0], atol=1e-12)
    assert gl.check_derivatives(gl.lstsq, gl.dlarray(a), gl.dlarray(b)).ok


# ----- degenerate points -----


def minors_gradient(a):
    """The derivative of the determinant from its minors."""
    n = len(a)
    return np.array([[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) if n > 1 else 1.0 for j in range(n)] for i in range(n)])


SINGULAR = [np.zeros((1, 1)), np.zeros((2, 2)), np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 2.0, 0.0, 0.0]), np.arange(9.0).reshape(3, 3),
            np.diag([1e-200, 1.0, 1.0]), np.diag([1e8, 1e8, 1e-8]), complex_(3, 1) @ complex_(1, 3)]


@pytest.mark.parametrize("a", SINGULAR, ids=range(len(SINGULAR)))
def test_the_determinant_of_singular_matrices(a):
    (g,) = our_gradient(lambda x: gl.real(gl.det(x)), a)
    expected = np.conj(minors_gradient(a))
    np.testing.assert_allclose(g, expected, rtol=1e-12, atol=1e-13 * max(1, np.abs(expected).max()))
    if np.abs(a).max() < 100:
        assert gl.check_derivatives(gl.det, gl.dlarray(a), order=2).ok


def test_the_third_derivative_of_a_determinant_at_zero():
    e = np.eye(3)

    def third(x):
        y = gl.det(x)
        for k in range(3):
            y = gl.dlgradient(y, x, enable_higher_derivatives=True)[k, k]
        return y

    assert abs(float(gl.dlfeval(third, gl.dlarray(0 * e))) - 1) < 1e-12  # det = x00 x11 x22 + ...
    assert abs(float(gl.dlfeval(third, gl.dlarray(np.diag([0.0, 3.0, 0.0])))) - 1) < 1e-12


def test_a_stack_with_one_singular_matrix():
    a = np.stack([real(3, 3), np.ones((3, 3)), np.diag([1.0, 0, 0])])
    (g,) = our_gradient(lambda x: gl.sum(gl.det(x)), a)
    np.testing.assert_allclose(g, [minors_gradient(m) for m in a], atol=1e-12)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_stack_with_a_matrix_that_is_not_finite(recorded):
    a = np.stack([[[np.nan, 1.0], [2.0, 3.0]], [[np.inf, 1.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]])
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.det(x)), x, enable_higher_derivatives=recorded), gl.dlarray(a))
    assert np.isnan(np.asarray(g)[:2]).all()
    np.testing.assert_allclose(np.asarray(g)[2:], [minors_gradient(m) for m in a[2:]], atol=1e-14)


@pytest.mark.parametrize("kind", [real, complex_])
def test_determinants_of_matrices_in_every_order_of_memory(kind):
    """The factors of the forward pass serve the derivative, whichever way the matrix lies."""
    a = torch.as_tensor(kind(2, 4, 4))
    for x in (a, a.mT.contiguous().mT, a.movedim(0, -1).contiguous().movedim(-1, 0), a[:, ::2, ::2], a.conj()):
        inverse = torch.linalg.inv(x)
        of_det, of_log = (torch.linalg.det(x)[:, None, None] * inverse.mT).conj(), inverse.mH
        for y, expected in ((lambda x: gl.real(gl.det(x)), of_det), (lambda x: gl.slogdet(x).logabsdet, of_log)):
            for recorded in (False, True):
                g = gl.dlfeval(lambda x, y, r: gl.dlgradient(gl.sum(y(x)), x, enable_higher_derivatives=r), gl.dlarray(x, copy=False), y, recorded)
                np.testing.assert_allclose(np.asarray(g), expected.resolve_conj(), rtol=1e-10, atol=1e-12)


SINGULAR_FOR_LOG = [np.zeros((2, 2)), np.diag([1.0, 0.0]), np.array([[1.0, 2.0], [2.0, 4.0]]), np.zeros((1, 1)), np.array([[1j, 1.0], [-1.0, 1j]])]


@pytest.mark.parametrize("a", SINGULAR_FOR_LOG, ids=range(len(SINGULAR_FOR_LOG)))
def test_slogdet_of_singular_matrices(a):
    """Its derivative is infinite: an error that says so, unless nothing comes of it; torch and jax give inf and nan there."""
    assert np.isinf(gl.slogdet(a).logabsdet.item()) and gl.slogdet(a).sign.item() == 0
    message = r"slogdet: the derivative at a singular matrix is infinite, at test_linalg\.py.*write det\(x\)"
    with pytest.raises(gl.linalg.LinAlgError, match=message):
        our_gradient(lambda x: gl.slogdet(x).logabsdet, a)
    with pytest.raises(gl.linalg.LinAlgError, match=message):
        gl.dlfeval(lambda x: gl.dlgradient(gl.slogdet(x).logabsdet, x, enable_higher_derivatives=True), gl.dlarray(a))
    with pytest.raises(gl.linalg.LinAlgError, match=message):
        gl.dlfeval(lambda x: gl.jvp(gl.slogdet(x).logabsdet, x, gl.ones_like(x)), gl.dlarray(a))


def test_a_singular_matrix_that_is_left_out_of_a_sum_of_logarithms():
    regular = real(3, 3)
    a = np.stack([regular, np.ones((3, 3)), np.zeros((3, 3))])
    expected = np.stack([np.linalg.inv(regular).T, np.zeros((3, 3)), np.zeros((3, 3))])

    def loss(x):
        sign, logarithm = gl.slogdet(x)
        return gl.sum(gl.where(sign == 0, 0.0, logarithm))

    for recorded in (False, True):
        g = gl.dlfeval(lambda x, r: gl.dlgradient(loss(x), x, enable_higher_derivatives=r), gl.dlarray(a), recorded)
        np.testing.assert_allclose(np.asarray(g), expected, rtol=1e-12)
    direction = np.stack([real(3, 3), np.zeros((3, 3)), np.zeros((3, 3))])
    tangent = gl.dlfeval(lambda x: gl.jvp(gl.slogdet(x).logabsdet, x, gl.dlarray(direction)), gl.dlarray(a))
    np.testing.assert_allclose(np.asarray(tangent), [np.trace(np.linalg.solve(regular, direction[0])), 0, 0], rtol=1e-12)

    def squared(x):
        return gl.sum(gl.dlgradient(loss(x), x, enable_higher_derivatives=True) ** 2)

    np.testing.assert_array_equal(np.asarray(gl.dlfeval(lambda x: gl.dlgradient(squared(x), x), gl.dlarray(a)))[1:], 0)


def test_empty_matrices():
    e = gl.zeros((0, 0))
    assert float(gl.det(e)) == 1 and gl.inv(e).shape == (0, 0) and gl.svdvals(e).shape == (0,) and gl.eigh(e).eigenvectors.shape == (0, 0)
    assert float(gl.trace(e)) == 0 and gl.expm(e).shape == gl.cholesky(e).shape == gl.qr(e).Q.shape == (0, 0)
    assert our_gradient(lambda x: gl.det(x), np.zeros((0, 0)))[0].shape == (0, 0)
    assert gl.solve(e, gl.zeros((0,))).shape == (0,)


def test_equal_eigenvalues():
    """First derivatives of sums over equal eigenvalues, and of spectral functions, are finite and right; the next order warns."""
    a = np.diag([1.0, 2.0, 2.0, 2.0 + 1e-17])
    q = np.linalg.qr(real(4, 4))[0]
    x = q @ a @ q.T
    x = (x + x.T) / 2
    (g,) = our_gradient(lambda x: gl.sum(gl.eigvalsh(x) ** 3), x)
    np.testing.assert_allclose(g, 3 * x @ x, atol=1e-12)

    def rebuilt(x):
        w, v = gl.eigh(x)
        return weighted((v * gl.exp(w)) @ v.H, gl)

    (g,), (expected,) = our_gradient(rebuilt, np.eye(3) * 2), our_gradient(lambda x: weighted(gl.expm((x + x.H) / 2), gl), np.eye(3) * 2)
    assert np.isfinite(g).all()
    np.testing.assert_allclose(np.diag(g), np.diag(expected), atol=1e-12)
    with pytest.warns(gl.GradloomWarning, match=r"are equal, at test_linalg.py.*second derivatives are not"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.eigh(x).eigenvectors), x, enable_higher_derivatives=True), gl.dlarray(np.eye(2)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.eigh(x).eigenvectors), x, enable_higher_derivatives=True), gl.dlarray(np.diag([1.0, 2.0])))


def test_equal_singular_values():
    x = np.eye(3) * 2
    (g,) = our_gradient(lambda x: gl.matrix_norm(x, ord="nuc"), x)
    np.testing.assert_allclose(g, np.eye(3), atol=1e-14)
    for zero in (np.zeros((2, 2)), np.zeros((3, 2))):
        with pytest.warns(gl.GradloomWarning, match="depends on the choice"):
            assert np.isfinite(our_gradient(lambda x: gl.sum(gl.svd(x, full_matrices=False).U), zero)[0]).all()
        for f in (lambda x: gl.matrix_norm(x), lambda x: gl.matrix_norm(x, ord=2), gl.norm,
                  lambda x: gl.vector_norm(x, ord=3), lambda x: gl.vector_norm(x, ord=0.5)):
            assert np.isfinite(our_gradient(f, zero)[0]).all()


@pytest.mark.parametrize("order", [1, 2, 3, 1.5, 0, -1, float("inf"), float("-inf")])
def test_vector_norms(order):
    x = RNG.standard_normal((3, 4))
    for axis in (None, 0, (0, 1)):
        expected = torch.linalg.vector_norm(torch.tensor(x), order, axis)
        np.testing.assert_allclose(gl.vector_norm(x, ord=order, axis=axis), expected, rtol=1e-12)
        assert gl.vector_norm(x, ord=order, axis=axis, keepdims=True).shape == tuple(torch.linalg.vector_norm(torch.tensor(x), order, axis, keepdim=True).shape)
    assert type(gl.vector_norm(torch.tensor(x), ord=order)) is torch.Tensor
    if order:
        assert gl.check_derivatives(lambda x: gl.vector_norm(x, ord=order, axis=1), gl.dlarray(x)).ok
    for big in (1e200, 1e-200):
        if order > 0 and order != 2:
            np.testing.assert_allclose(gl.vector_norm(x * big, ord=order), big * np.asarray(gl.vector_norm(x, ord=order)), rtol=1e-12)
    z = complex_(2, 3)
    np.testing.assert_allclose(gl.vector_norm(z, ord=order), torch.linalg.vector_norm(torch.tensor(z), order), rtol=1e-12)


def test_ranks_and_powers():
    assert int(gl.matrix_rank(np.ones((3, 3)))) == 1 and np.asarray(gl.matrix_rank(np.stack([np.eye(2), np.zeros((2, 2))]))).tolist() == [2, 0]
    assert int(gl.matrix_rank(np.diag([1.0, 1e-3]), rtol=1e-2)) == 1
    np.testing.assert_array_equal(gl.matrix_power(A["stack"], 0), np.broadcast_to(np.eye(3), (2, 3, 3)))
    np.testing.assert_allclose(gl.expm(A["real"]), scipy.linalg.expm(A["real"]), rtol=1e-12)
    for offset in range(-4, 5):
        np.testing.assert_array_equal(gl.diagonal(np.arange(12.0).reshape(3, 4), offset=offset), np.diagonal(np.arange(12.0).reshape(3, 4), offset))


# ----- labels, types, errors -----


def test_labels():
    x = gl.dlarray(spd(real(3, 2, 2)), "BCS")
    assert gl.dims(gl.inv(x)) == "BUU" and gl.dims(gl.det(x)) == "B" and gl.dims(gl.svdvals(x)) == "BU" and gl.dims(gl.eigh(x)[1]) == "BUU"
    assert gl.dims(gl.eigvalsh(x)) == "BU" and gl.dims(gl.trace(x)) == "B" and gl.dims(gl.diagonal(x)) == "BU" and gl.dims(gl.cholesky(x)) == "BUU"
    assert gl.dims(gl.svd(x).S) == "BU" and gl.dims(gl.qr(x).R) == "BUU" and gl.dims(gl.slogdet(x).sign) == "B" and gl.dims(gl.matrix_norm(x)) == "B"
    assert gl.dims(gl.solve(np.eye(2), gl.dlarray(np.ones((2, 3)), "CB"))) == "CB"
    assert gl.dims(gl.solve(np.ones((4, 1, 1)), gl.dlarray(np.ones((1, 3)), "CB"))) == "UCB"
    with pytest.raises(gl.LabelError, match="refused.*stripdims"):
        gl.solve(x, x)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.inv(x)), x), x)
    assert g.dims == "BCS"


def test_types():
    assert type(gl.inv(torch.eye(2))) is torch.Tensor and gl.inv(torch.eye(2)).dtype is torch.float32
    assert gl.det([[1, 2], [3, 4]]).dtype is torch.float64
    assert gl.solve(np.eye(2, dtype="float32"), np.ones(2)).dtype is torch.float64
    assert gl.eigh(complex_(2, 2)).eigenvalues.dtype is torch.float64
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.svdvals(x)), x), gl.dlarray(np.eye(2, dtype="float32"))).dtype is torch.float32


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: gl.inv(np.ones((2, 2))), gl.linalg.LinAlgError, r"inv: the matrix is singular, at test_linalg.py.*write pinv"),
    (lambda: gl.solve(np.ones((2, 2)), np.ones(2)), np.linalg.LinAlgError, r"solve: the matrix is singular.*lstsq"),
    (lambda: gl.solve_triangular(np.diag([1.0, 0.0]), np.ones(2)), gl.GradloomError, "a diagonal entry is 0"),
    (lambda: gl.cholesky(-np.eye(2)), gl.linalg.LinAlgError, "not positive definite.*eigh"),
    (lambda: gl.svd(np.full((2, 2), np.nan)), gl.linalg.LinAlgError, "holds NaN"),
    (lambda: gl.inv(np.ones((2, 3))), gl.ShapeError, r"inv takes square matrices, x is 2 x 3.*pinv or lstsq"),
    (lambda: gl.det(np.ones(3)), gl.ShapeError, "det takes a matrix in the last two axes, x is 3"),
    (lambda: gl.solve(np.eye(2), np.ones(3)), gl.ShapeError, "a 2 x 2 has 2 rows, b is 3"),
    (lambda: gl.qr(np.eye(2), mode="full"), gl.ShapeError, '"reduced" or "complete", not \'full\''),
    (lambda: gl.matrix_norm(np.eye(2), ord=3), gl.ShapeError, "not 3"),
])
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_the_namespace():
    for name in ("cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose",
                 "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm"):
        assert name in gl.linalg.__all__ and getattr(gl.linalg, name).__name__ == name


def test_structured_jacobians():
    a = gl.dlarray(real(3, 3))

    def jacobian(f):
        return np.asarray(gl.dlfeval(lambda b: gl.dljacobian(f(b), b).dense(), gl.dlarray(real(5, 3, 2))))

    J = jacobian(lambda b: gl.solve(a, b))
    expected = np.einsum("ij,mn,kl->miknjl", np.linalg.inv(np.asarray(a)), np.eye(5), np.eye(2))
    np.testing.assert_allclose(J, expected, atol=1e-12)

    def held(b):
        return gl.dljacobian(gl.solve(a, b), b).nbytes

    assert gl.dlfeval(held, gl.dlarray(real(5, 3, 2))) < 1000  # stack and columns stay tied


# ----- planted mistakes -----


def test_planted_mistakes_are_found(monkeypatch):
    a = gl.dlarray(spd(real(3, 3)))
    from gradloom.operations.matrices.equal_values import Meeting

    inverses = Meeting.inverses
    monkeypatch.setattr(Meeting, "inverses", lambda *args: [-i for i in inverses(*args)])
    for function in (lambda x: gl.svd(x).U, lambda x: gl.eigh(x).eigenvectors):
        assert not gl.check_derivatives(function, a, raises=False).ok
    monkeypatch.undo()
    rule = OPERATIONS["solve"].pull_rule
    call = rule.call
    monkeypatch.setattr(rule, "call", lambda *args: tuple(-b if b is not None else b for b in call(*args)))
    assert [c.walk for c in gl.check_derivatives(gl.solve, a, gl.dlarray(np.ones(3)), raises=False).failures].count("transpose") == 2


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e300])
@pytest.mark.parametrize("order", [2, 3])
def test_the_norm_of_large_and_small_vectors(size, order):
    x = gl.dlarray([[3 * size, -4 * size], [0.0, 0.0], [3.0, 4.0]])

    def f(x):
        y = gl.vector_norm(x, axis=1, ord=order)
        return y, gl.dlgradient(gl.sum(y), x)

    y, g = gl.dlfeval(f, x)
    length = (3.0 ** order + 4.0 ** order) ** (1 / order)
    slopes = np.array([3.0, 4.0]) ** (order - 1) / length ** (order - 1)
    np.testing.assert_allclose(np.array(y), [length * size, 0, length], rtol=1e-14)
    np.testing.assert_allclose(np.array(g), [slopes * [1, -1], [0, 0], slopes], rtol=1e-14)
    assert np.isinf(gl.norm(gl.dlarray([np.inf, 1.0])).item()) and np.isnan(gl.norm(gl.dlarray([np.nan, 1.0])).item())
