"""dllaplacian against gradients of gradients, input by input, in float64."""

import math
import random
import warnings

import numpy as np
import pytest
import torch
from helpers import stream
from laplacian_layers import LAYERS, D, N
from random_programs import SHAPES, drawn, program

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.errors import BatchDependenceWarning, ShapeError, TraceError, TypeRefused
from gradloom.core.tables import OPERATIONS
from gradloom.derivatives.curvature import walk as carrier

RNG = stream(3)


def normal(*shape, scale=1.0):
    return RNG.standard_normal(shape) * scale


def columnwise(fun, x, axis, channels=()):
    """The Laplacian by nested gradients, one for each entry along `axis`; the outputs `channels` of u one after the other."""

    def run(x):
        u = fun(x)
        total = []
        for c in channels or [None]:
            g = gl.dlgradient(gl.sum(u if c is None else u[c]), x, enable_higher_derivatives=True)
            parts = []
            for k in range(x.shape[axis]):
                at = (*(slice(None),) * (axis % x.ndim), k)
                parts.append(gl.stripdims(gl.dlgradient(gl.sum(g[at]), x, enable_higher_derivatives=True))[at])
            total.append(sum(parts[1:], parts[0]))
        return total

    return [np.asarray(t) for t in gl.dlfeval(run, x)]


def both(fun, x, axis, **options):
    """Recorded and not, which must agree."""
    plain, recorded = (gl.dlfeval(lambda x, r=r: gl.dllaplacian(fun(x), x, axis, enable_higher_derivatives=r, **options), x) for r in (False, True))
    np.testing.assert_allclose(np.asarray(plain), np.asarray(recorded), rtol=1e-12, atol=1e-12)
    assert gl.dims(plain) == gl.dims(recorded)
    return plain


# ----- networks of every kind of operation --------------------------------------------------------------------------------


def layered(seed, outputs=2):
    r = random.Random(seed)
    layers = [r.choice(LAYERS) for _ in range(r.randint(1, 4))]
    first, last = (dlarray(drawn(r, shape) * 0.7) for shape in ((D, 6), (6, outputs)))

    def run(x):
        x = gl.stripdims(x)
        h = x @ first
        for layer in layers:
            h = layer(h, x)
        return h @ last

    return run


@pytest.mark.parametrize("seed", range(70))
def test_networks_equal_gradients_of_gradients(seed):
    x = dlarray(normal(N, D))
    fun = layered(seed)
    expected = columnwise(fun, x, 1, channels=[(slice(None), c) for c in range(2)])
    found = np.asarray(both(fun, x, 1))
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-10, atol=1e-10 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("k", range(len(LAYERS)))
def test_each_layer_alone(k):
    x = dlarray(normal(N, D))
    w = dlarray(normal(D, 6))

    def fun(x):
        return gl.sum(LAYERS[k](gl.tanh(x @ w), x), axis=1)

    (expected,) = columnwise(fun, x, 1)
    np.testing.assert_allclose(np.asarray(both(fun, x, 1)), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed, monkeypatch):
    """All inputs, all outputs summed with weights: ties are found and lost in every way; pieces of one direction."""
    monkeypatch.setattr(carrier, "PIECE", 64)
    r = random.Random(seed)
    x = drawn(r, r.choice(SHAPES))
    fun = program(seed, 8)
    w = drawn(r, tuple(fun(x).shape))
    if not w.numel():
        pytest.skip("no output")
    with torch.enable_grad():
        hessian = torch.autograd.functional.hessian(lambda x: (fun(x * 1) * w).sum(), x)
    expected = float(hessian.reshape(x.numel(), x.numel()).diagonal().sum())
    found = both(lambda x: gl.sum(fun(x) * dlarray(w)), dlarray(x), tuple(range(x.ndim)))
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("labels", ["CB", "BC", "CBT", "TCB", "BTC", "BCT"])
def test_layout_does_not_matter(labels):
    sizes = {"C": D, "B": 3, "T": 2}
    values = normal(D, 3, 2)[..., : 2 if "T" in labels else 1]
    x = dlarray(values if "T" in labels else values[..., 0], "CBT" if "T" in labels else "CB")
    w1, w2 = normal(6, D), normal(2, 6)

    def fun(x):
        return gl.fullyconnect(gl.tanh(gl.fullyconnect(x, w1)), w2) * gl.sum(x, axis="C", keepdims=True)

    expected = both(fun, x, "C")
    found = both(fun, gl.permute_dims(x, labels), "C")
    assert set(gl.dims(found)) == set(labels) and found.sizes["C"] == 2 and found.sizes["B"] == sizes["B"]
    np.testing.assert_allclose(np.asarray(gl.permute_dims(found, gl.dims(expected))), np.asarray(expected), rtol=1e-12)
    one = dlarray(values[:, 0, 0].reshape(1, D))
    alone = columnwise(lambda x: (gl.tanh(x @ dlarray(w1.T)) @ dlarray(w2.T))[:, 1] * gl.sum(x, axis=1), one, 1)
    assert np.asarray(gl.permute_dims(expected, "CBT" if "T" in labels else "CB")).reshape(2, -1)[1, 0] == pytest.approx(alone[0].item(), rel=1e-10)


# ----- shapes, labels, options ---------------------------------------------------------------------------------------------


def test_shape_and_labels_are_those_of_u():
    x = dlarray(normal(2, 3), "CB")
    u = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x ** 3, axis="C", keepdims=True), x, "C"), x)
    assert gl.dims(u) == "CB" and u.shape == (1, 3)
    v = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x ** 3, axis="C"), x, "C"), x)
    assert gl.dims(v) == "B"
    np.testing.assert_allclose(np.asarray(v), 6 * np.asarray(x).sum(0))
    np.testing.assert_allclose(np.asarray(gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x ** 3), x, "CB"), x)), 6 * np.asarray(x).sum())


def test_presummed_observations_and_axes_that_only_x_has():
    x = dlarray(normal(3, 5))
    found = gl.dlfeval(lambda x: gl.dllaplacian(gl.reshape(gl.sum(gl.sin(gl.sum(x, axis=0))), (1, 1)), x, 0), x)
    np.testing.assert_allclose(np.asarray(found), [[-3 * np.sin(np.asarray(x).sum(0)).sum()]])


def test_constant_linear_and_independent_results_are_zero():
    x = dlarray(normal(3, 2), "BC")
    assert not np.asarray(gl.dlfeval(lambda x: gl.dllaplacian(gl.relu(x) * 2 + 1, x, "C"), x)).any()
    assert not np.asarray(gl.dlfeval(lambda x: gl.dllaplacian(dlarray(np.ones((3, 1)), "BC"), x, "C"), x)).any()
    assert not np.asarray(gl.dlfeval(lambda x: gl.dllaplacian(x, x, "C"), x)).any()


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (3, 1), (1, 1)])
def test_sizes_zero_and_one(shape):
    x = dlarray(normal(*shape))
    np.testing.assert_allclose(np.asarray(both(lambda x: gl.sum(x ** 4, axis=1), x, 1)), (12 * np.asarray(x) ** 2).sum(1))


@pytest.mark.parametrize("shape", [(3, 0), (0, 0)])
def test_no_inputs_at_all(shape):
    x, w = dlarray(np.zeros(shape)), dlarray(np.ones((0, 2)))
    assert not np.asarray(both(lambda x: gl.sum(gl.tanh(x @ w), axis=1), x, 1)).any()
    assert both(lambda x: gl.sum(gl.tanh(x @ w)), x, (0, 1)).item() == 0


def quartic(x):
    a, b, c = x[:, 0], x[:, 1], x[:, 2]
    return a * a * b * c + gl.sin(a * b) + c ** 3


def hessians(x):
    with torch.enable_grad():
        t = torch.tensor(np.asarray(x))
        f = lambda p: p[0] ** 2 * p[1] * p[2] + torch.sin(p[0] * p[1]) + p[2] ** 3
        return np.stack([torch.autograd.functional.hessian(f, row).numpy() for row in t])


def test_weights_of_a_vector_and_a_matrix():
    x = dlarray(normal(4, 3))
    h = hessians(x)
    a = np.array([2.0, -1.5, 0.0])
    np.testing.assert_allclose(np.asarray(both(quartic, x, 1, weights=a)), np.einsum("nii,i->n", h, a), rtol=1e-10)
    m = normal(3, 3)
    np.testing.assert_allclose(np.asarray(both(quartic, x, 1, weights=m)), np.einsum("nij,ij->n", h, m), rtol=1e-10)
    np.testing.assert_allclose(np.asarray(both(quartic, x, 1, weights=dlarray(-np.eye(3)))), -np.trace(h, axis1=1, axis2=2), rtol=1e-10)
    assert not np.asarray(both(quartic, x, 1, weights=np.zeros(3))).any()
    tied = both(lambda x: gl.sum(x ** 3), x, (1, 0), weights=np.arange(12.0))
    assert tied.item() == pytest.approx((6 * np.asarray(x).T.ravel() * np.arange(12)).sum())


def test_biharmonic():
    x = dlarray(normal(3, 2), "BC")

    def fun(x):
        a, b = x[:, 0], x[:, 1]
        return gl.sin(a) * gl.exp(b) + a ** 4 * b ** 2 + gl.tanh(a * b)

    def biharmonic(x):
        return gl.dllaplacian(gl.dllaplacian(fun(x), x, "C"), x, "C")

    def by_gradients(x):
        def laplacian(u):
            g = gl.dlgradient(gl.sum(u), x, enable_higher_derivatives=True)
            return sum(gl.dlgradient(gl.sum(g[:, k]), x, enable_higher_derivatives=True)[:, k] for k in range(2))

        return laplacian(laplacian(fun(x)))

    np.testing.assert_allclose(np.asarray(gl.dlfeval(biharmonic, x)), np.asarray(gl.dlfeval(by_gradients, x)), rtol=1e-8)
    third = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(biharmonic(x)), x), x)
    expected = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(by_gradients(x)), x), x)
    np.testing.assert_allclose(np.asarray(third), np.asarray(expected), rtol=1e-8)


@pytest.mark.filterwarnings("ignore::gradloom.core.errors.BatchDependenceWarning")
def test_mixed_with_gradients_in_either_order():
    x = dlarray(normal(4, 3))
    one = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dllaplacian(quartic(x), x, 1)), x), x)
    other = gl.dlfeval(lambda x: gl.dllaplacian(gl.dlgradient(gl.sum(quartic(x)), x, enable_higher_derivatives=True), x, 1), x)
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "silu", "sin", "softplus", "square", "sigmoid"])
def test_a_residual_loss_trains(activation):
    """The gradient of a loss on the Laplacian with respect to weights, against torch."""
    x, w1, b1, w2 = normal(6, 3), normal(3, 7), normal(7), normal(7, 1)
    act = getattr(gl, activation)

    def loss(p, x):
        u = act(act(x @ p[0] + p[1]) @ dlarray(np.eye(7)[::-1].copy())) @ p[2]
        return gl.mean((gl.dllaplacian(u, x, 1) + u) ** 2)

    found = gl.dlfeval(lambda p, x: gl.dlgradient(loss(p, x), p), [dlarray(v) for v in (w1, b1, w2)], dlarray(x))
    with torch.enable_grad():
        t = torch.tensor(x, requires_grad=True)
        p = [torch.tensor(v, requires_grad=True) for v in (w1, b1, w2)]
        f = {"tanh": torch.tanh, "silu": torch.nn.functional.silu, "sin": torch.sin, "softplus": lambda x: torch.logaddexp(x, torch.zeros(())),
             "square": torch.square, "sigmoid": torch.sigmoid}[activation]
        u = f(f(t @ p[0] + p[1]).flip(1)) @ p[2]
        (g,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        lap = sum(torch.autograd.grad(g[:, k].sum(), t, create_graph=True)[0][:, k: k + 1] for k in range(3))
        expected = torch.autograd.grad(((lap + u) ** 2).mean(), p)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), b.numpy(), rtol=1e-9, atol=1e-11)


def test_a_target_that_was_computed():
    x = dlarray(normal(4, 2))

    def fun(x):
        z = gl.sin(x)
        return gl.dllaplacian(gl.sum(z ** 3, axis=1), z, 1)

    np.testing.assert_allclose(np.asarray(gl.dlfeval(fun, x)), 6 * np.sin(np.asarray(x)).sum(1))


# ----- random directions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", ["signs", "normal"])
def test_random_directions_are_unbiased_with_the_documented_variance(draws):
    gl.rng(5)
    m = normal(6, 6)
    h = m + m.T
    x, n = dlarray(normal(6)), 4

    def estimate(x):
        return gl.dllaplacian(0.5 * gl.sum(x * (dlarray(h) @ x)), x, 0, directions=n, draws=draws, enable_higher_derivatives=False)

    found = np.array([gl.dlfeval(estimate, x).item() for _ in range(1500)])
    variance = 2 / n * ((h ** 2).sum() - (np.diag(h) ** 2).sum() * (draws == "signs"))
    assert abs(found.mean() - np.trace(h)) < 5 * math.sqrt(variance / len(found))
    assert found.var() == pytest.approx(variance, rel=0.25)


def test_random_directions_of_a_diagonal_hessian_are_exact_and_repeat():
    x = dlarray(normal(4, 3))
    values = [both_seeded(x) for _ in range(2)]
    np.testing.assert_allclose(values[0], 6 * np.asarray(x).sum(1), rtol=1e-12)
    np.testing.assert_array_equal(*values)
    weighted = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x ** 3, axis=1), x, 1, directions=2, weights=np.array([1.0, -2.0, 0.5])), x)
    np.testing.assert_allclose(np.asarray(weighted), (6 * np.asarray(x) * [1, -2, 0.5]).sum(1), rtol=1e-12)


def both_seeded(x):
    gl.rng(1)
    return np.asarray(gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(x ** 3, axis=1), x, 1, directions=3), x))


# ----- structure -----------------------------------------------------------------------------------------------------------


def rows_seen(monkeypatch, fun, x, axis):
    """The largest number of directions that any operation saw, and the Laplacian."""
    seen = []
    original = carrier.Walk._pushed

    def watched(self, node, parts, lead):
        seen.extend(lead)
        return original(self, node, parts, lead)

    monkeypatch.setattr(carrier.Walk, "_pushed", watched)
    return gl.dlfeval(lambda x: gl.dllaplacian(fun(x), x, axis, enable_higher_derivatives=False), x), max(seen)


def test_independent_points_share_their_directions(monkeypatch):
    x, w1, w2 = dlarray(normal(3, 5, 4)), dlarray(normal(4, 6)), dlarray(normal(6, 6))
    found, rows = rows_seen(monkeypatch, lambda x: gl.sum(gl.silu(gl.silu(x @ w1) @ w2)), x, (0, 1, 2))
    assert rows == 4
    with torch.enable_grad():
        f = torch.nn.functional.silu
        hessian = torch.autograd.functional.hessian(lambda t: f(f(t @ w1._value) @ w2._value).sum(), x._value)
    assert found.item() == pytest.approx(float(hessian.reshape(60, 60).diagonal().sum()), rel=1e-10)


def test_an_elementwise_function_needs_one_direction(monkeypatch):
    x = dlarray(normal(1000))
    found, rows = rows_seen(monkeypatch, lambda x: gl.sum(gl.sin(x) * gl.exp(x)), x, 0)
    assert rows == 1
    assert found.item() == pytest.approx((2 * np.cos(np.asarray(x)) * np.exp(np.asarray(x))).sum())


def test_more_inputs_than_outputs_of_the_first_layer(monkeypatch):
    """The tangents that tanh and exp see have three directions, not thirty."""
    x, w = dlarray(normal(4, 30)), dlarray(normal(30, 3))
    seen = {}
    original = carrier.source
    monkeypatch.setattr(carrier, "source", lambda node, values, dots, *rest: (seen.update({node.operation.name: dots[0].shape[0]}),
                                                                              original(node, values, dots, *rest))[1])
    found = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(gl.exp(gl.tanh(x @ w)), axis=1), x, 1), x)
    assert seen == {"tanh": 3, "exp": 3}
    (expected,) = columnwise(lambda x: gl.sum(gl.exp(gl.tanh(x @ w)), axis=1), x, 1)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-10)


# ----- refusals ------------------------------------------------------------------------------------------------------------


def test_observations_that_mix_are_an_error():
    x = dlarray(normal(4, 3), "BC")
    with pytest.raises(TraceError, match=r"not independent.*(mean|sum|subtract)[\s\S]*dljacobian\(u, x\)"):
        gl.dlfeval(lambda x: gl.dllaplacian(gl.sum((x - gl.mean(x, axis="B", keepdims=True)) ** 2, axis="C"), x, "C"), x)


def test_what_cannot_be_proved_is_a_warning():
    x = dlarray(normal(4, 6))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(gl.cumprod(gl.reshape(x, (3, 8)), axis=1).reshape((4, 6)) ** 2, axis=1), x, 1), x)
    assert all(issubclass(w.category, BatchDependenceWarning) for w in caught)


def test_complex_traced_weights_and_wrong_shapes():
    x = dlarray(normal(4, 3))
    with pytest.raises(TypeRefused, match="complex"):
        gl.dlfeval(lambda x: gl.dllaplacian(gl.exp(1j * x), x, 1), x)
    with pytest.raises(TypeRefused, match="detach"):
        gl.dlfeval(lambda x, a: gl.dllaplacian(quartic(x), x, 1, weights=a), x, dlarray(np.ones(3)))
    with pytest.raises(ShapeError, match=r"\(3,\) or \(3, 3\)"):
        gl.dlfeval(lambda x: gl.dllaplacian(quartic(x), x, 1, weights=np.ones(4)), x)
    with pytest.raises(ShapeError, match="no axis of x"):
        gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(gl.reshape(x, (6, 2)) ** 2, axis=1), x, 1), x)
    with pytest.raises(TypeRefused, match="at least 1"):
        gl.dlfeval(lambda x: gl.dllaplacian(quartic(x), x, 1, directions=0), x)
    with pytest.raises(TraceError, match="dlfeval"):
        gl.dllaplacian(x, x, 1)


def test_through_complex_numbers_in_between():
    x = dlarray(normal(4, 2))
    found = both(lambda x: gl.sum(gl.abs(gl.exp((0.5 + 1j) * x)) ** 2, axis=1), x, 1)
    np.testing.assert_allclose(np.asarray(found), np.exp(np.asarray(x)).sum(1), rtol=1e-10)


def test_an_unrecorded_laplacian_is_never_a_silent_constant():
    x = dlarray(normal(4, 3))
    with pytest.raises(TraceError, match="enable_higher_derivatives"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dllaplacian(quartic(x), x, 1, enable_higher_derivatives=False)), x), x)


# ----- memory of the walk -----


@pytest.mark.parametrize("piece", [64, 1 << 20])
@pytest.mark.parametrize("name", ["sum", "reshape", "slice", "both", "product", "chain"])
def test_a_tangent_is_scaled_in_place_only_where_nothing_else_reads_it(name, piece, monkeypatch):
    """An array and another name for its tangent (a sum with a constant, a reshape), of which one is read after the other's slope was multiplied in."""
    monkeypatch.setattr(carrier, "PIECE", piece)
    weights = normal(4, 4)
    v, w = gl.dlarray(normal(3, 4)), gl.dlarray(weights)
    shapes = {
        "sum": lambda z: (z + 1, gl.tanh(z)),
        "reshape": lambda z: (gl.reshape(gl.reshape(z, (5, 2, 2)), (5, 4)), gl.sigmoid(z)),
        "slice": lambda z: (z[:, :], gl.tanh(z)),
        "both": lambda z: (gl.tanh(z), gl.sigmoid(z) * z),
        "product": lambda z: (z @ gl.ones((4, 4)), gl.exp(z) * gl.tanh(z)),
        "chain": lambda z: (gl.sin(gl.tanh(gl.exp(z))), gl.tanh(z)),
    }

    def fun(x):
        a, b = shapes[name](gl.tanh(x @ v) @ w)
        return gl.sum(gl.sin(a), axis=1) * gl.sum(gl.tanh(b), axis=1)

    x = gl.dlarray(normal(5, 3))
    found = gl.dlfeval(lambda x: gl.dllaplacian(fun(x), x, 1, enable_higher_derivatives=False), x)
    np.testing.assert_allclose(np.asarray(found), columnwise(fun, x, 1)[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(np.asarray(w), weights)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "silu", "gelu", "erf", "tan", "atan"])
def test_a_slope_is_computed_once_for_gradient_and_laplacian(activation, monkeypatch):
    """While the recorded gradient lives the Laplacian finds its slopes; once nothing needs them they are computed again; the numbers are the same."""
    fun = getattr(gl, activation)
    slope = {"tanh": "tanh_slope", "sigmoid": "logistic_slope", "silu": "silu_slope", "gelu": "gelu_slope", "erf": "bell", "atan": "atan_slope"}.get(activation,
                                                                                                                          "one_plus_square")
    operation, calls = OPERATIONS[slope], []
    kernel = operation.kernel
    monkeypatch.setattr(operation, "kernel", lambda x, **params: calls.extend([] if x.is_meta else [1]) or kernel(x, **params))

    def both(x):
        u = fun(0.3 * x)
        g = gl.dlgradient(gl.sum(u * u), x, enable_higher_derivatives=True)
        seen = len(calls)
        together = gl.dllaplacian(u, x, 1)
        more = len(calls) - seen
        del g
        return gl.dlgradient(gl.sum(together * u), x), seen, more

    def alone(x):
        u = fun(0.3 * x)
        return gl.dlgradient(gl.sum(gl.dllaplacian(u, x, 1) * u), x)

    x = gl.dlarray(normal(4, 1))
    found, seen, more = gl.dlfeval(both, x)
    assert (seen, more) == (1, 0)
    np.testing.assert_allclose(np.asarray(found), np.asarray(gl.dlfeval(alone, x)), rtol=1e-12)
    expected = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(fun(0.3 * x)), x, enable_higher_derivatives=True)), x,
                                                                       enable_higher_derivatives=True) * fun(0.3 * x)), x), x)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-9)


# ----- own backwards: what cannot be told without data is not taken for zero -----------------------------------------------


class OwnSquare(gl.DifferentiableFunction):
    def forward(self, x):
        return np.asarray(x) ** 2

    def backward(self, y_bar, inputs):
        return 2 * inputs[0] * y_bar


class OwnPair(gl.DifferentiableFunction):
    """a b**2 and sin(a)."""

    num_outputs = 2

    def forward(self, a, b):
        return np.asarray(a) * np.asarray(b) ** 2, np.sin(np.asarray(a))

    def backward(self, y_bar, z_bar, inputs):
        a, b = inputs
        return y_bar * b ** 2 + gl.cos(a) * z_bar, 2 * a * b * y_bar


class OwnInNumPy(gl.DifferentiableFunction):
    def forward(self, x):
        return np.asarray(x) ** 2

    def backward(self, y_bar, inputs):
        return gl.dlarray(2 * gl.extractdata(inputs[0]) * gl.extractdata(y_bar))


class OwnLinear(gl.DifferentiableFunction):
    def forward(self, x):
        return 3 * np.asarray(x)

    def backward(self, y_bar):
        return 3 * y_bar


class OwnLayer(gl.Layer):
    def predict(self, x):
        return x ** 3

    def backward(self, x, y, y_bar):
        return 3 * x ** 2 * y_bar


OWN_NET = gl.dlnetwork([gl.layers.FeatureInput(2), OwnLayer()])
OWN_BACKWARDS = {
    "square": (lambda x: gl.sum(OwnSquare()(x)), lambda x: gl.sum(x ** 2)),
    "square of a square": (lambda x: gl.sum(OwnSquare()(x * x)), lambda x: gl.sum(x ** 4)),
    "linear": (lambda x: gl.sum(OwnLinear()(x)), lambda x: gl.sum(3 * x)),
    "linear of a square": (lambda x: gl.sum(OwnLinear()(x * x) ** 2), lambda x: gl.sum(9 * x ** 4)),
    "two outputs": (lambda x: gl.sum(OwnPair()(x, x * x)[0]) + gl.sum(OwnPair()(x, x)[1]), lambda x: gl.sum(x ** 5 + gl.sin(x))),
    "a layer": (lambda x: gl.sum(OWN_NET.predict(gl.dlarray(x, "C"))), lambda x: gl.sum(x ** 3)),
}


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", OWN_BACKWARDS)
def test_behind_an_own_backward_it_is_that_of_the_function(name, recorded):
    own, plain = OWN_BACKWARDS[name]
    x = gl.dlarray([0.7, -1.3])

    def laplacian(fun):
        return gl.dlfeval(lambda x: gl.dllaplacian(fun(x), x, 0, enable_higher_derivatives=recorded), x).item()

    def slope(fun):
        return gl.dlfeval(lambda x: gl.dlgradient(gl.dllaplacian(fun(x), x, 0), x), x)

    assert laplacian(own) == pytest.approx(laplacian(plain), rel=1e-12)
    assert np.allclose(slope(own), slope(plain), rtol=1e-12)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_backward_in_numpy_is_no_proof_of_linearity(recorded):
    x = gl.dlarray([0.7, -1.3])
    with pytest.raises(TraceError, match=r"OwnInNumPy.backward in operations of gradloom"):
        gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(OwnInNumPy()(x)), x, 0, enable_higher_derivatives=recorded), x)
    with pytest.raises(TraceError, match=r"OwnInNumPy.backward in operations of gradloom"):
        gl.dlfeval(lambda x: gl.hvp(gl.sum(OwnInNumPy()(x)), x, x), x)
