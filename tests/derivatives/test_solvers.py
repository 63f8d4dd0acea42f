"""interface.md 4.6: jacobian, hessian, sparse_jacobian, sparse_hessian, and SciPy's solvers that take them as they are."""
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.sparse
import torch
from helpers import stream

import gradloom as gl
from gradloom.core.trace import current_trace
from gradloom.derivatives.sparse import dense
from gradloom.derivatives.sparse import evaluation as compressed
from gradloom.derivatives.sparse.coloring import symmetric
from gradloom.derivatives.sparse.pattern import Pattern, pattern_of
from gradloom.derivatives.walks import pieces

RNG = stream(1)
WORDS = [gl.jacobian, gl.hessian, gl.sparse_jacobian, gl.sparse_hessian]


def rosenbrock(x):
    return gl.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def residuals(x):
    return gl.concat([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


def torch_rosenbrock(x):
    return torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def torch_hessian(f, x):
    return torch.func.jacrev(torch.func.jacrev(f))(torch.tensor(x)).numpy()


# ----- numbers and shapes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("u_shape, x_shape", [((3,), (3,)), ((2, 3), (4,)), ((), (2, 2)), ((5,), ()), ((7,), (2,)), ((2,), (7,)), ((1, 0), (3,)), ((3,), (0, 2))])
def test_jacobians_have_the_shape_of_u_and_then_of_x(u_shape, x_shape):
    m, n = int(np.prod(u_shape)), int(np.prod(x_shape))
    a = RNG.standard_normal((m, n))

    def f(x):
        return gl.reshape(gl.matmul(a, gl.sin(gl.reshape(x, (n,)))), u_shape)

    x = RNG.standard_normal(x_shape)
    expected = (a * np.cos(x.reshape(-1))).reshape(*u_shape, *x_shape)
    found = gl.jacobian(f)(x)
    assert found.shape == expected.shape and found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-14)
    sparse = gl.sparse_jacobian(f)(x)
    assert sparse.shape == (m, n)
    np.testing.assert_allclose(sparse.toarray(), expected.reshape(m, n), atol=1e-14)


@pytest.mark.parametrize("m, n", [(3, 200), (200, 3), (50, 50)])
def test_pieces_are_put_together(m, n, monkeypatch):
    a = RNG.standard_normal((m, n))
    x = RNG.standard_normal(n)
    expected = a * (1 - np.tanh(x) ** 2)
    for piece in (1, 8 * 200 * 2, 1 << 20):
        monkeypatch.setattr(pieces, "PIECE", piece)
        np.testing.assert_allclose(gl.jacobian(lambda x: gl.matmul(a, gl.tanh(x)))(x), expected, atol=1e-13)


def test_the_cheaper_direction_is_taken(monkeypatch):
    taken = []
    for name in ("pushed", "pulled"):
        walk = getattr(dense, name)
        monkeypatch.setattr(dense, name, lambda *args, name=name, walk=walk: taken.append(name) or walk(*args))
    gl.jacobian(lambda x: x[:2] * x[2:4])(np.ones(9))
    gl.jacobian(lambda x: gl.concat([x, x**2]))(np.ones(3))
    assert taken == ["pulled", "pushed"]


def test_hessians_against_torch():
    x = RNG.standard_normal(6)
    expected = torch_hessian(torch_rosenbrock, x)
    np.testing.assert_allclose(gl.hessian(rosenbrock)(x), expected, rtol=1e-12)
    found = gl.sparse_hessian(rosenbrock, check=True)(x)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12)
    assert found.nnz == 6 + 2 * 5
    square = RNG.standard_normal((2, 3))
    assert gl.hessian(lambda x: gl.sum(x**3))(square).shape == (2, 3, 2, 3)
    assert gl.hessian(lambda x: gl.sum(3 * x))(square).shape == (2, 3, 2, 3) and not gl.hessian(lambda x: gl.sum(3 * x))(square).any()
    assert not gl.hessian(lambda x: 3.0)(x).any() and gl.sparse_hessian(lambda x: 3.0)(x).nnz == 0
    assert gl.hessian(lambda x: gl.sum(gl.floor(x)))(x).shape == (6, 6)


def test_hessian_of_a_small_network():
    inputs, targets, p = (RNG.standard_normal(s) for s in ((20, 3), (20, 1), 3 * 4 + 4 + 4 + 1))

    def loss(library, product, p):
        h = library.tanh(product(inputs, p[:12].reshape(3, 4)) + p[12:16])
        return library.mean((product(h, p[16:20].reshape(4, 1)) + p[20] - targets) ** 2)

    at = torch.tensor(inputs), torch.tensor(targets)

    def torch_loss(p):
        h = torch.tanh(at[0] @ p[:12].reshape(3, 4) + p[12:16])
        return torch.mean((h @ p[16:20].reshape(4, 1) + p[20] - at[1]) ** 2)

    found = gl.hessian(lambda p: loss(gl, gl.matmul, p))(p)
    np.testing.assert_allclose(found, torch_hessian(torch_loss, p), atol=1e-12)


def test_sparse_hessians_by_a_star_colouring(monkeypatch):
    n = 40

    def f(x):  # an arrow: each element meets the first; through a dense operation, so that walks are needed
        return gl.sum(gl.softmax(gl.stack([x[1:] * x[0], x[1:]]), axis=0)[0] * np.arange(1.0, n))

    colorings = []
    monkeypatch.setattr(compressed, "symmetric", lambda *args: colorings.append(symmetric(*args)) or colorings[-1])
    sparse = gl.sparse_hessian(f, check=True)
    for _ in range(3):
        x = RNG.standard_normal(n)
        found = sparse(x)
        np.testing.assert_allclose(found.toarray(), gl.hessian(f)(x), atol=1e-12)
        assert found.nnz == n + 2 * (n - 1)
    (coloring,) = colorings  # found once
    assert coloring.by == "star" and coloring.count == 2


def test_a_pattern_of_a_hessian_is_made_symmetric(monkeypatch):
    def lower(*args):
        p = pattern_of(*args)
        keep = p.columns <= p.rows
        starts = np.concatenate([[0], np.cumsum(np.bincount(p.rows[keep], minlength=p.shape[0]))]).astype(np.int32)
        return Pattern(starts, p.columns[keep], p.shape, None, p.grid)

    monkeypatch.setattr(compressed, "pattern_of", lower)
    x = RNG.standard_normal(9)
    np.testing.assert_allclose(gl.sparse_hessian(rosenbrock, check=True)(x).toarray(), gl.hessian(rosenbrock)(x), rtol=1e-12)


# ----- what goes in and comes out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [gl.jacobian, gl.hessian])
def test_numpy_in_fresh_writable_numpy_out(word):
    derivative = word((lambda x: x**2) if word is gl.jacobian else rosenbrock)
    x = np.arange(3.0)
    first = derivative(x)
    assert type(first) is np.ndarray and first.flags.writeable and first.flags.owndata and first.flags.c_contiguous
    kept = first.copy()
    first[:] = 7
    assert (derivative(x) == kept).all() and (x == np.arange(3.0)).all()
    assert derivative(x.astype("float32")).dtype == np.float32
    linear = gl.jacobian(lambda x: x[::-1])
    linear(x)[:] = 7
    assert (linear(x) == np.eye(3)[::-1]).all()


@pytest.mark.parametrize("f", [lambda x: x**2 + x[::-1], lambda x: x - x[::-1], lambda x: 2 * x + x[::-1], lambda x: gl.softmax(gl.reshape(x, (2, 2)), axis=1)])
def test_sparse_results_share_nothing(f):
    sparse = gl.sparse_jacobian(f)
    x = np.arange(4.0)
    first, expected = sparse(x), sparse(x).toarray()
    second = sparse(x)
    assert isinstance(first, scipy.sparse.csr_array) and first.dtype == np.float64 and first.has_canonical_format
    for name in ("data", "indices", "indptr"):
        assert getattr(first, name).flags.writeable and not np.shares_memory(getattr(first, name), getattr(second, name))
    first.data[:] = 0
    first.eliminate_zeros()
    first.indptr[:] = 0
    assert (second.toarray() == expected).all() and (sparse(x).toarray() == expected).all()
    second *= 2
    second.setdiag(5)
    assert (sparse(x).toarray() == expected).all()
    assert sparse(x.astype("float32")).dtype == np.float32


def test_what_is_given_comes_back():
    f = gl.jacobian(lambda x: x**2)
    assert isinstance(f(torch.tensor([1.0, 2.0])), torch.Tensor) and f(torch.tensor([1.0, 2.0])).dtype is torch.float32
    assert isinstance(f(gl.dlarray([1.0, 2.0])), gl.dlarray) and not f(gl.dlarray([1.0, 2.0])).traced
    assert f(3.0) == 6.0 and type(f(3.0)) is float and gl.hessian(lambda x: x**3)(2.0) == 12
    assert gl.jacobian(lambda x: gl.stack([x, 2 * x]))(3.0).tolist() == [1, 2]
    assert gl.sparse_jacobian(lambda x: x**2)(gl.dlarray([1.0, 2.0], "C")).toarray().tolist() == [[2, 0], [0, 4]]
    assert gl.jacobian(lambda x: [x[0] * x[1], x[0]])(np.array([2.0, 3.0])).tolist() == [[3, 2], [1, 0]]
    assert gl.jacobian(lambda x: np.ones(2))(np.ones(3)).tolist() == np.zeros((2, 3)).tolist()


def test_inside_a_trace_it_is_recorded():
    x = gl.dlarray([1.0, 2.0, 3.0])

    def loss(x):
        J = gl.jacobian(lambda x: x[1:] ** 2 * x[:-1])(x)
        H = gl.hessian(lambda x: gl.sum(x**3))(x)
        assert J.traced and J.shape == (2, 3) and H.shape == (3, 3)
        return gl.dlgradient(gl.sum(J**2) + gl.sum(H), x)

    value = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    expected = torch.func.grad(lambda x: (torch.func.jacrev(lambda x: x[1:] ** 2 * x[:-1])(x) ** 2).sum() + (6 * x).sum())(value)
    np.testing.assert_allclose(np.array(gl.dlfeval(loss, x)), expected.numpy())

    def through(x, a):  # a is only reached through the closure
        J = gl.jacobian(lambda x: a * x**2)(gl.dlarray([1.0, 2.0, 3.0]))
        return gl.dlgradient(gl.sum(J), a)

    assert gl.dlfeval(through, x, gl.dlarray([1.0, 1.0, 1.0])).tolist() == [2, 4, 6]
    for word in (gl.jacobian, gl.sparse_jacobian):  # NumPy comes out: a would be a constant by accident
        with pytest.raises(gl.TraceError, match="different traces"):
            gl.dlfeval(lambda a, word=word: word(lambda x: a * x**2)(np.ones(3)), x)
    for word in (gl.sparse_jacobian, gl.sparse_hessian):
        with pytest.raises(gl.TraceError, match=rf"{word.__name__} is not recorded.*test_solvers"):
            gl.dlfeval(lambda x, word=word: word(rosenbrock)(x), x)
    inner = gl.dlfeval(lambda x: gl.sparse_jacobian(lambda z: z**2)(np.ones(2)).sum() * x, x)
    assert inner.tolist() == [4, 8, 12] and current_trace() is None


def test_other_arguments_are_passed_through():
    def f(t, y, k=1.0, *, offset=0.0):
        return k * y**2 + t + offset

    y = np.array([1.0, 2.0])
    for word in (gl.jacobian, gl.sparse_jacobian):
        def full(a):
            return a.toarray() if scipy.sparse.issparse(a) else a

        assert (full(word(f, argument=1)(3.0, y)) == np.diag([2, 4])).all()
        assert (full(word(f, argument="y")(3.0, y, 2.0, offset=1.0)) == np.diag([4, 8])).all()
        assert (full(word(f, argument="y")(t=3.0, y=y, k=3.0)) == np.diag([6, 12])).all()
        assert (full(word(f, argument="k")(0.0, y, np.array(2.0))).reshape(-1) == [1, 4]).all()
    assert gl.jacobian(f).__name__ == "f"


@pytest.mark.parametrize("word", WORDS)
def test_refusals(word):
    f = word(lambda x: gl.sum(x**2) if "hessian" in word.__name__ else x**2)
    with pytest.raises(gl.TypeRefused, match=r'argument 0 is int64; write x.astype\("float64"\)'):
        f(np.array([1, 2]))
    with pytest.raises(gl.TypeRefused, match="complex128; write a function of its real and imaginary parts"):
        f(np.array([1j]))
    with pytest.raises(gl.TypeRefused, match="is a dict; pass a NumPy array"):
        f({"a": np.ones(2)})
    with pytest.raises(gl.TypeRefused, match="argument='y' was not given"):
        word(lambda x: x, argument="y")(np.ones(2))
    with pytest.raises(gl.TypeRefused, match="position or name of one argument"):
        word(lambda x: x, argument=(0, 1))
    with pytest.raises(gl.TypeRefused, match="generator"):
        word(_generator)
    if "hessian" in word.__name__:
        with pytest.raises(gl.ShapeError, match="dljacobian"):
            word(lambda x: x**2)(np.ones(3))
    else:
        with pytest.raises(gl.TypeRefused, match="complex, at .*test_solvers.*gl.real"):
            word(lambda x: gl.exp(1j * x))(np.ones(2))
    assert current_trace() is None


def _generator(x):
    yield x


def test_what_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(dense, "free_memory", lambda: 1000)
    with pytest.raises(gl.ShapeError, match=r"needs 288 MB, .* are free, at .*sparse_jacobian"):
        gl.jacobian(lambda x: x**2)(np.ones(6000))
    assert gl.sparse_jacobian(lambda x: x**2)(np.ones(6000)).nnz == 6000


# ----- SciPy's solvers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word, method", [(gl.hessian, "trust-exact"), (gl.hessian, "Newton-CG"), (gl.hessian, "trust-constr"), (gl.sparse_hessian, "trust-constr")])
def test_minimize(word, method):
    found = scipy.optimize.minimize(gl.value_and_gradient(rosenbrock), np.full(5, -1.2), jac=True, hess=word(rosenbrock), method=method,
                                    options={"maxiter": 500})
    np.testing.assert_allclose(found.x, 1, atol=1e-3)


def test_root():
    def f(x):
        return gl.stack([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1, 0.5 * (x[1] - x[0]) ** 3 + x[1]])

    found = scipy.optimize.root(lambda x: np.array(f(gl.dlarray(x))), [0.0, 0.0], jac=gl.jacobian(f), method="hybr")
    assert found.success
    np.testing.assert_allclose(found.x, [0.8411639, 0.1588361])


@pytest.mark.parametrize("word", [gl.jacobian, gl.sparse_jacobian])
def test_least_squares(word):
    found = scipy.optimize.least_squares(lambda x: np.array(residuals(gl.dlarray(x))), np.full(6, -1.2), jac=word(residuals), method="trf")
    np.testing.assert_allclose(found.x, 1, atol=1e-6)
    assert found.njev > 1


@pytest.mark.parametrize("words", [(gl.jacobian, gl.hessian), (gl.sparse_jacobian, gl.sparse_hessian)])
def test_nonlinear_constraints(words):
    jacobian, hessian = words

    def c(x):
        return gl.stack([x[0] ** 2 + x[1] ** 2, x[1] * x[2]])

    constraint = scipy.optimize.NonlinearConstraint(lambda x: np.array(c(gl.dlarray(x))), [1, 0.25], [1, 0.25], jac=jacobian(c),
                                                    hess=hessian(lambda x, v: gl.sum(v * c(x))))
    found = scipy.optimize.minimize(gl.value_and_gradient(lambda x: gl.sum((x - 1) ** 2)), np.array([0.5, 0.5, 0.5]), jac=True, method="trust-constr",
                                    hess=hessian(lambda x: gl.sum((x - 1) ** 2)), constraints=[constraint], options={"gtol": 1e-10, "xtol": 1e-12})
    assert found.x[0] ** 2 + found.x[1] ** 2 == pytest.approx(1) and found.x[1] * found.x[2] == pytest.approx(0.25)
    np.testing.assert_allclose(hessian(lambda x, v: gl.sum(v * c(x)))(np.ones(3), np.array([2.0, 3.0])) @ np.ones(3), [4, 7, 3])


@pytest.mark.parametrize("word", [gl.jacobian, gl.sparse_jacobian])
@pytest.mark.parametrize("method", ["BDF", "Radau"])
def test_solve_ivp(word, method):
    def robertson(t, y):
        a, b, c = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
        return gl.stack([b - a, a - b - c, c])

    def heat(t, y):
        return 400 * (gl.roll(y, 1) - 2 * y + gl.roll(y, -1)) - y**3

    for f, y0, end in ((robertson, np.array([1.0, 0.0, 0.0]), 40.0), (heat, np.sin(2 * np.pi * np.arange(20) / 20), 0.1)):
        def plain(t, y, f=f):
            return np.array(f(t, gl.dlarray(y)))

        found = scipy.integrate.solve_ivp(plain, (0, end), y0, method=method, jac=word(f, argument=1), rtol=1e-8, atol=1e-10)
        reference = scipy.integrate.solve_ivp(plain, (0, end), y0, method="LSODA", rtol=1e-9, atol=1e-12)
        assert found.success and found.njev >= 1
        np.testing.assert_allclose(found.y[:, -1], reference.y[:, -1], rtol=1e-5, atol=1e-8)
