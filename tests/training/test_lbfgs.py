"""lbfgsupdate: certified regression problems, a network, the line searches, the state."""
import numpy as np
import pytest
import scipy.optimize
import torch
from nist_problems import MODELS, problem

import gradloom as gl
from gradloom.training.lbfgs import descent
from gradloom.training.line_search import Sample, search

L = gl.layers
METHODS = ["weak-wolfe", "strong-wolfe", "backtracking"]


def solved(function, x, most=3000, **options):
    """Updates until the steps are no more than rounding, or the line search fails twice in a row."""
    state, failed = None, 0
    for _ in range(most):
        x, state = gl.lbfgsupdate(x, function, state, **options)
        failed = failed + 1 if state.line_search_status == "failed" else 0
        if failed == 2 or not failed and state.step_norm < 1e-11:
            break
    return x, state


# ----- truths from elsewhere -----


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", METHODS)
def test_nist_certified_values(name, method):
    """In units of the second starting values, whose sizes differ by up to 10 powers of ten."""
    start, residuals, certified, rss = problem(name)
    scale = gl.dlarray(start)

    def loss(u):
        y = gl.sum(residuals(scale * u) ** 2)
        return y, gl.dlgradient(y, u)

    u, state = solved(lambda u: gl.dlfeval(loss, u), gl.dlarray(np.ones_like(start)), line_search_method=method, initial_step_size=0.01)
    np.testing.assert_allclose(start * np.asarray(u), certified, rtol=1e-6)
    if name != "Lanczos1":  # its residuals are those of rounding the data to 14 digits
        assert state.loss == pytest.approx(rss, rel=1e-8)


def rosenbrock(x):
    y = gl.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return y, gl.dlgradient(y, x)


@pytest.mark.parametrize("method", METHODS)
def test_rosenbrock_in_twenty_variables(method):
    calls = []
    x, state = solved(lambda x: calls.append(1) or gl.dlfeval(rosenbrock, x), gl.dlarray(np.linspace(-1, 2, 20)), line_search_method=method)
    found = scipy.optimize.minimize(scipy.optimize.rosen, np.linspace(-1, 2, 20), jac=scipy.optimize.rosen_der, method="L-BFGS-B", tol=1e-14)
    np.testing.assert_allclose(x, found.x, atol=1e-4)
    np.testing.assert_allclose(x, 1, atol=1e-8)
    assert len(calls) < 4 * found.nfev


def test_the_direction_is_that_of_the_bfgs_matrix():
    rng = np.random.default_rng(0)
    n, factor = 5, 0.7
    a = rng.normal(size=(n, n))
    hessian = a @ a.T + np.eye(n)
    steps = [rng.normal(size=n) for _ in range(3)]
    changes = [hessian @ s for s in steps]
    inverse = factor * np.eye(n)
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (y @ s)
        left = np.eye(n) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    g = rng.normal(size=n)
    found = descent(torch.tensor(g), [torch.tensor(s) for s in steps], [torch.tensor(y) for y in changes], factor)
    np.testing.assert_allclose(found, -inverse @ g, rtol=1e-12)


# ----- line searches -----


def along(f, df):
    return lambda t: Sample(t, f(t), df(t))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("f", "df", "first"), [
    (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3), 1.0),
    (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3), 1e6),
    (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2, 1e-3),
    (lambda t: np.exp(t) - 9 * t, lambda t: np.exp(t) - 9, 900.0),  # infinite at the first step
    (lambda t: abs(t - 0.01) + 1e-3 * t * t, lambda t: np.sign(t - 0.01) + 2e-3 * t, 1.0),
])
def test_what_a_line_search_promises(method, f, df, first):
    with np.errstate(over="ignore"):
        start = along(f, df)(0.0)
        at = search(along(f, df), start, method, 40, first)
    if method == "strong-wolfe" and at is None:
        assert f is not None and abs(df(0.0099)) > 0.9 * abs(start.slope)  # a kink: no step has a small slope
        return
    assert at.value <= start.value + 1e-4 * at.step * start.slope
    if method != "backtracking":
        assert at.slope >= 0.9 * start.slope
    if method == "strong-wolfe":
        assert abs(at.slope) <= 0.9 * abs(start.slope)


def test_a_search_that_finds_nothing_ends():
    assert search(along(lambda t: t, lambda t: -1.0), Sample(0.0, 0.0, -1.0), "weak-wolfe", 7, 1.0) is None


def test_where_it_fails_the_parameters_stay():
    calls = []

    def wrong(x):
        calls.append(1)
        return gl.sum(x * x), -2 * x  # the gradient points downwards

    x = gl.dlarray([1.0, 2.0])
    same, state = gl.lbfgsupdate(x, wrong, max_num_line_search_iterations=5)
    assert same is x and state.line_search_status == "failed" and state.step_norm == 0 and len(calls) == 6
    assert state.loss == 5 and state.step_history == ()
    # the next update begins anew, and knows loss and gradients
    again, state = gl.lbfgsupdate(x, lambda x: (gl.sum(x * x), 2 * x), gl.LBFGSState())
    assert state.line_search_status == "completed" and state.loss < 5


# ----- networks, containers, types -----


def network_and_loss(dtype="float64"):
    gl.rng(3)
    net = gl.dlnetwork([L.FeatureInput(1), L.FullyConnected(16), L.Tanh(), L.FullyConnected(1)], dtype=dtype)
    x = gl.dlarray(np.linspace(-2, 2, 41)[None], "CB", dtype=dtype)
    t = gl.sin(2 * x)

    def loss(net):
        y = net.forward(x)
        value = gl.mse(y, t)
        return value, gl.dlgradient(value, net.learnables), gl.detach(y)

    return net, lambda net: gl.dlfeval(loss, net)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_is_trained(dtype):
    net, loss = network_and_loss(dtype)
    state = gl.LBFGSState(history_size=5)
    first = float(loss(net)[0])
    for _ in range(150):
        net, state = gl.lbfgsupdate(net, loss, state, line_search_method="strong-wolfe")
    assert state.loss < 0.01 * first and state.loss == pytest.approx(float(loss(net)[0]), rel=1e-12)
    assert len(state.step_history) == len(state.gradients_difference_history) == 5
    assert isinstance(state.gradients, gl.Learnables) and state.gradients["fc", "weights"].shape == (16, 1)
    assert state.additional_loss_function_outputs[0].shape == (1, 41)
    assert all(str(p.dtype)[6:] == dtype for p in net.learnables.values())
    norm = np.sqrt(sum((np.asarray(g, dtype=np.float64) ** 2).sum() for g in state.gradients.values()))
    assert state.gradients_norm == pytest.approx(norm, rel=1e-5)


def test_each_update_of_a_known_point_costs_no_evaluation():
    calls = []
    x, state = gl.dlarray([3.0]), None

    def loss(x):
        calls.append(1)
        return gl.sum(x * x), 2 * x

    x, state = gl.lbfgsupdate(x, loss, state, initial_step_size=1.0)
    first = len(calls)
    x, state = gl.lbfgsupdate(x, loss, state)
    assert len(calls) == first + 1 and float(gl.abs(x[0])) < 1e-12
    moved, state = gl.lbfgsupdate(x + 5.0, loss, state)  # somebody changed the parameters
    assert len(calls) == first + 3 and float(gl.abs(moved[0])) < 1e-12


def test_complex_parameters_and_containers():
    target = gl.dlarray([1 + 2j, -1j])

    def loss(p):
        y = gl.sum(gl.abs(p["z"] - target) ** 2) + (p["k"] - 3) ** 2
        return y, gl.dlgradient(y, p)

    p, state = {"z": gl.dlarray([0j, 1.0]), "k": gl.dlarray(0.0, dtype="float32")}, None
    for _ in range(8):
        p, state = gl.lbfgsupdate(p, lambda p: gl.dlfeval(loss, p), state)
    np.testing.assert_allclose(p["z"], target, atol=1e-6)
    assert float(p["k"]) == pytest.approx(3) and p["k"].dtype == torch.float32 and p["z"].dtype == torch.complex128


def test_a_state_is_saved(tmp_path):
    net, loss = network_and_loss()
    state = None
    for _ in range(4):
        net, state = gl.lbfgsupdate(net, loss, state)
    gl.save(tmp_path / "run.safetensors", {"net": net, "state": state})
    kept = gl.load(tmp_path / "run.safetensors")
    went_on, _ = gl.lbfgsupdate(net, loss, state)
    resumed, _ = gl.lbfgsupdate(kept["net"], loss, kept["state"])
    for key, value in went_on.learnables.items():
        assert np.array_equal(value, resumed.learnables[key])


# ----- what is refused -----


def test_refusals():
    x, loss = gl.dlarray([1.0]), lambda x: (gl.sum(x * x), 2 * x)
    with pytest.raises(TypeError, match="a function of the parameters, not dlarray"):
        gl.lbfgsupdate(x, x)
    with pytest.raises(TypeError, match=r"no line search 'wolfe'.*weak-wolfe"):
        gl.lbfgsupdate(x, loss, line_search_method="wolfe")
    with pytest.raises(TypeError, match=r"the state is dict.*LBFGSState"):
        gl.lbfgsupdate(x, loss, {"a": 1})
    with pytest.raises(TypeError, match=r"the loss function returned dlarray.*return \(loss, gradients\)"):
        gl.lbfgsupdate(x, lambda x: gl.sum(x))
    with pytest.raises(ValueError, match=r"the loss has shape \(2,\).*a real scalar"):
        gl.lbfgsupdate(x, lambda x: (gl.zeros(2), x))
    with pytest.raises(ValueError, match="gradients of its first argument has shape 2"):
        gl.lbfgsupdate(x, lambda x: (gl.sum(x), gl.zeros(2)))
    _, state = gl.lbfgsupdate(x, loss)
    with pytest.raises(ValueError, match="a state is one of|the state is one of 1 numbers, the parameters have 2"):
        gl.lbfgsupdate(gl.zeros(2), loss, state)
    with pytest.raises(TypeError, match="history_size is a positive integer, not 0"):
        gl.LBFGSState(0)
    with pytest.raises(TypeError, match="positive number"):
        gl.LBFGSState(3, -1.0)
