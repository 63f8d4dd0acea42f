"""dlode45 against closed forms, SciPy's solver and finite differences; its two gradients against each other."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import gradloom as gl

MODES = ["direct", "adjoint"]
TIGHT = {"relative_tolerance": 1e-9, "absolute_tolerance": 1e-11}
TIMES = np.linspace(0.0, 3.0, 7)


def van_der_pol(t, y, mu):
    return gl.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0] + math.sin(t)])


def reference(times, mu=1.5, y0=(2.0, 0.0)):
    def slope(t, y):
        return [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0] + math.sin(t)]

    return solve_ivp(slope, (times[0], times[-1]), y0, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13).y


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("times", [TIMES, TIMES[::-1], [0.0, 0.01, 0.02, 3.0]], ids=["forwards", "backwards", "uneven"])
def test_solutions_are_scipys(mode, times):
    y = gl.dlode45(van_der_pol, times, [2.0, 0.0], gl.dlarray(1.5), gradient_mode=mode, **TIGHT)
    assert y.shape == (2, len(times) - 1)
    np.testing.assert_allclose(y, reference(times)[:, 1:], atol=2e-8)
    last = gl.dlode45(van_der_pol, (times[0], times[-1]), [2.0, 0.0], gl.dlarray(1.5), gradient_mode=mode, **TIGHT)
    np.testing.assert_allclose(last, reference(times)[:, -1], atol=2e-8)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
def test_errors_follow_the_tolerance(tolerance):
    evaluations = []

    def slope(t, y):
        evaluations.append(t)
        return -y

    y = gl.dlode45(slope, np.linspace(0, 2, 9), [1.0], relative_tolerance=tolerance, absolute_tolerance=1e-12)
    assert abs(np.asarray(y)[0] - np.exp(-np.linspace(0, 2, 9)[1:])).max() < 2 * tolerance
    assert len(evaluations) < 30 * tolerance ** -0.2


def test_steps_are_as_long_as_they_are_let():
    def times(**options):
        seen = []
        gl.dlode45(lambda t, y: (seen.append(t), y * 0)[1], (0.0, 1.0), [1.0], **options)
        return np.unique(seen)

    assert len(times(max_step_size=1.0)) == 5 + 1  # one step
    assert np.diff(times(max_step_size=0.01)).max() <= 0.01
    assert times(initial_step_size=1e-3)[1] == pytest.approx(2e-4)


def test_a_step_that_is_too_long_is_taken_again():
    y = gl.dlode45(lambda t, y: -20 * y, (0.0, 0.2), [1.0], initial_step_size=0.2, max_step_size=0.2)
    assert np.asarray(y)[0] == pytest.approx(math.exp(-4), rel=5e-3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("times", [TIMES, (0.0, 1.0), (1.0, 0.0)], ids=["several times", "the last time", "backwards"])
def test_gradients_are_finite_differences(mode, times):
    weights = gl.dlarray(np.cos(np.arange(12.0)).reshape(2, 6))

    def loss(y0, mu):
        y = gl.dlode45(van_der_pol, times, y0, mu, gradient_mode=mode, **TIGHT)
        return gl.sum(y * (weights if y.ndim == 2 else weights[:, 0]) + y * y)

    y0, mu = gl.dlarray([2.0, 0.3]), gl.dlarray(1.5)
    gradients = gl.dlfeval(lambda *a: gl.dlgradient(loss(*a), *a), y0, mu)
    h = 1e-5
    expected = [(loss(y0 + h * gl.dlarray(e), mu + h * d) - loss(y0 - h * gl.dlarray(e), mu - h * d)).item() / (2 * h)
                for e, d in (([1.0, 0.0], 0), ([0.0, 1.0], 0), ([0.0, 0.0], 1))]
    found = [*gradients[0].tolist(), gradients[1].item()]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_second_derivatives_of_both_modes_agree():
    def run(y0, mu, mode):
        y = gl.dlode45(van_der_pol, TIMES, y0, mu, gradient_mode=mode, **TIGHT)
        g, g_mu = gl.dlgradient(gl.sum(y * y), y0, mu, enable_higher_derivatives=True)
        return gl.dlgradient(gl.sum(g * g) + g_mu ** 2, y0, mu)

    direct, adjoint = (gl.dlfeval(run, gl.dlarray([2.0, 0.3]), gl.dlarray(1.5), mode) for mode in MODES)
    for d, a in zip(direct, adjoint):
        np.testing.assert_allclose(a, d, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_exponential_decay(mode):
    g = gl.dlfeval(lambda y0: gl.dlgradient(gl.dlode45(lambda t, y: -y, (0.0, 1.0), y0, gradient_mode=mode), y0), gl.dlarray(1.0))
    assert g.item() == pytest.approx(math.exp(-1), rel=1e-3)


def test_forward_and_structured_derivatives_in_direct_mode():
    A = gl.dlarray([[0.0, 1.0], [-2.0, -0.5]])
    y0 = gl.dlarray([1.0, -1.0])
    exact = torch.linalg.matrix_exp(A._value)

    def run(y0):
        y = gl.dlode45(lambda t, y: gl.matmul(A, y), (0.0, 1.0), y0, **TIGHT)
        return gl.jvp(y, y0, gl.dlarray([1.0, 0.0])), gl.dljacobian(y, y0)

    tangent, jacobian = gl.dlfeval(run, y0)
    np.testing.assert_allclose(tangent, exact[:, 0], atol=1e-8)
    np.testing.assert_allclose(np.asarray(jacobian.matrix()), exact, atol=1e-8)


@pytest.mark.parametrize("times", [TIMES, (0.0, 1.0), (1.0, 0.0)], ids=["several times", "the last time", "backwards"])
def test_tangents_in_adjoint_mode_are_finite_differences(times):
    def run(y0, mu):
        return gl.dlode45(van_der_pol, times, y0, mu, gradient_mode="adjoint", **TIGHT)

    y0, mu, d, e = gl.dlarray([2.0, 0.3]), gl.dlarray(1.5), gl.dlarray([0.7, -0.4]), gl.dlarray(0.3)
    h = 1e-5
    both, state, parameter = gl.dlfeval(
        lambda y0, mu: (gl.jvp(y := run(y0, mu), [y0, mu], [d, e]), gl.jvp(y, y0, d), gl.jvp(y, mu, e)), y0, mu)
    np.testing.assert_allclose(both, np.asarray(run(y0 + h * d, mu + h * e) - run(y0 - h * d, mu - h * e)) / (2 * h), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both, np.asarray(state + parameter), atol=1e-8)
    assert float(abs(state).max()) > 0.01 and float(abs(parameter).max()) > 0.01


def test_what_is_pushed_agrees_in_both_modes():
    """Structured Jacobians, Hessian-vector products and the gradient of a tangent."""
    options = {"relative_tolerance": 1e-7, "absolute_tolerance": 1e-9}
    d, e = gl.dlarray([0.7, -0.4]), gl.dlarray(0.3)

    def run(y0, mu, mode):
        y = gl.dlode45(van_der_pol, [0.0, 0.2, 0.4], y0, mu, gradient_mode=mode, **options)
        g, _ = gl.dlgradient(gl.sum(y * y * y), y0, mu, enable_higher_derivatives=True)
        tangent = gl.jvp(y, [y0, mu], [d, e], enable_higher_derivatives=True)
        columns = [gl.jvp(y, y0, gl.dlarray([1.0, 0.0])), gl.jvp(y, y0, gl.dlarray([0.0, 1.0])), gl.jvp(y, mu, gl.dlarray(1.0))]
        structured = gl.dljacobian(y, {"y0": y0, "mu": mu}) if mode == "adjoint" else None
        return [gl.jvp(g, y0, d), *gl.dlgradient(gl.sum(tangent * tangent), y0, mu), *columns], structured

    direct, _ = gl.dlfeval(run, gl.dlarray([2.0, 0.3]), gl.dlarray(1.5), "direct")
    adjoint, J = gl.dlfeval(run, gl.dlarray([2.0, 0.3]), gl.dlarray(1.5), "adjoint")
    for found, expected in zip(adjoint, direct, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(J.matrix(), np.stack([np.asarray(c).ravel() for c in direct[3:]], 1), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_slope_that_does_not_depend_on_the_state(mode):
    def run(y0, k):
        y = gl.dlode45(lambda t, y, k: k * t, (0.0, 2.0), y0, k, gradient_mode=mode)
        return gl.jvp(y, [y0, k], [gl.ones(2), gl.dlarray([1.0, 0.0])])

    np.testing.assert_allclose(gl.dlfeval(run, gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, 4.0])), [3.0, 1.0], atol=1e-9)


def test_rows_of_a_jacobian_in_adjoint_mode():
    A = gl.dlarray([[0.0, 1.0], [-2.0, -0.5]])
    J = gl.dlfeval(lambda y0: gl.dljacobian(gl.dlode45(lambda t, y: gl.matmul(A, y), (0.0, 1.0), y0, gradient_mode="adjoint", **TIGHT), y0, 0),
                   gl.dlarray([1.0, -1.0]))
    np.testing.assert_allclose(J, torch.linalg.matrix_exp(A._value), atol=1e-8)


@pytest.mark.parametrize("mode", MODES)
def test_labels_containers_and_networks(mode):
    net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(8), gl.layers.Tanh(), gl.layers.FullyConnected(2)])
    y0 = gl.dlarray(np.random.default_rng(0).normal(size=(2, 5)).astype("float32"), "CB")

    def loss(net, y0, function):
        y = function(net, y0)
        assert y.dims == "CBT" and y.shape == (2, 5, 2) and y.dtype is torch.float32
        return gl.dlgradient(gl.sum(y * y), net.learnables)

    options = {"gradient_mode": mode, "relative_tolerance": 1e-5}
    as_network = gl.dlfeval(loss, net, y0, lambda net, y0: gl.dlode45(net, [0, 0.5, 1], y0, **options))
    as_theta = gl.dlfeval(loss, net, y0, lambda net, y0: gl.dlode45(lambda t, y, p: p["net"](y), [0, 0.5, 1], y0, {"net": net}, **options))
    direct = gl.dlfeval(loss, net, y0, lambda net, y0: gl.dlode45(net, [0, 0.5, 1], y0, relative_tolerance=1e-5))
    direction = {key: gl.ones(v.shape, like=v) for key, v in net.learnables.items()}
    tangents = [gl.dlfeval(lambda net, y0, o: gl.jvp(gl.dlode45(net, [0, 0.5, 1], y0, **o), net.learnables, direction), net, y0, o)
                for o in (options, {"relative_tolerance": 1e-5})]
    assert tangents[0].dims == "CBT"
    np.testing.assert_allclose(*tangents, rtol=2e-3, atol=2e-3)
    for key, g in direct.items():
        assert g.shape == net.learnables[key].shape and float(abs(g).max()) > 0
        np.testing.assert_allclose(as_network[key], g, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(as_theta[key], g, rtol=2e-3, atol=2e-3)


def test_unlabelled_tensors_and_a_slope_in_another_order():
    y = gl.dlode45(lambda t, y: -y, (0.0, 1.0), torch.ones(2, 3), data_format="CB")
    assert type(y) is torch.Tensor and y.shape == (2, 3)
    start = gl.dlarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "CB")
    y = gl.dlode45(lambda t, y: gl.permute_dims(-y, "BC"), (0.0, 1.0), start, **TIGHT)
    np.testing.assert_allclose(y, np.asarray(start) * math.exp(-1), atol=1e-8)
    assert y.dims == "CB"
    assert gl.dlode45(lambda t, y: -y, (0.0, 1.0, 2.0), torch.ones(0, 3)).shape == (0, 3, 2)


def rotation(t, y, theta):
    """The flow of the energy theta (q^2 + p^2) / 2, its slopes by a derivative inside odefun."""
    energy = theta * gl.sum(y * y) / 2
    q_dot, p_dot = gl.dlgradient(energy, y, enable_higher_derivatives=True)
    return gl.stack([p_dot, -q_dot])


@pytest.mark.parametrize("traced", ["both", "theta", "y0", "neither"])
@pytest.mark.parametrize("mode", MODES)
def test_a_derivative_inside_odefun(mode, traced):
    y0, theta, other = gl.dlarray([2.0, 0.3]), gl.dlarray(1.5), gl.dlarray(1.0)
    names = {"both": ["y0", "theta"], "theta": ["theta"], "y0": ["y0"], "neither": []}[traced]

    def run(given):
        y = gl.dlode45(rotation, (0.0, 2.0), given.get("y0", y0), given.get("theta", theta), gradient_mode=mode, **TIGHT)
        loss = gl.sum(y * gl.dlarray([1.0, 3.0])) + 0 * given["other"]
        return y, gl.dlgradient(loss, {name: given[name] for name in names}) if names else {}

    y, found = gl.dlfeval(run, {"other": other, **{name: {"y0": y0, "theta": theta}[name] for name in names}})
    c, s = math.cos(3.0), math.sin(3.0)
    np.testing.assert_allclose(y, [2 * c + 0.3 * s, 0.3 * c - 2 * s], atol=1e-7)
    expected = {"y0": [c - 3 * s, s + 3 * c], "theta": 2 * (-2 * s + 0.3 * c + 3 * (-0.3 * s - 2 * c))}
    for name, g in found.items():
        np.testing.assert_allclose(g, expected[name], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_functions_that_differentiate_inside_odefun(mode):
    def slope(t, y, theta):
        return -gl.value_and_gradient(lambda y: theta * gl.sum(y * y) / 2)(y)[1]

    def run(y0, theta):
        y = gl.dlode45(slope, (0.0, 1.0), y0, theta, gradient_mode=mode, **TIGHT)
        return gl.dlgradient(gl.sum(y), y0, theta)

    g, g_theta = gl.dlfeval(run, gl.dlarray([1.0, 2.0]), gl.dlarray(0.5))
    np.testing.assert_allclose(g, [math.exp(-0.5)] * 2, rtol=1e-6)
    assert g_theta.item() == pytest.approx(-3 * math.exp(-0.5), rel=1e-6)


def test_a_derivative_inside_odefun_that_cannot_be_taken():
    """Outside dlfeval the remedy is dlfeval; a derivative that was not recorded, and one of a captured array, say what they say elsewhere."""
    with pytest.raises(gl.TraceError, match=r"write dlfeval\(fun, x"):
        gl.dlode45(rotation, (0.0, 1.0), [1.0, 0.0], gl.dlarray(1.0), gradient_mode="adjoint")

    def plain(t, y, theta):
        return -gl.dlgradient(theta * gl.sum(y * y) / 2, y)

    for mode in MODES:
        with pytest.raises(gl.TraceError, match="enable_higher_derivatives=True"):
            gl.dlfeval(lambda y0, mode: gl.dlgradient(gl.sum(gl.dlode45(plain, (0.0, 1.0), y0, gl.dlarray(1.0), gradient_mode=mode)), y0),
                       gl.dlarray([1.0]), mode)

    def run(k):
        return gl.dlode45(lambda t, y: -gl.dlgradient(k * gl.sum(y * y), y, enable_higher_derivatives=True), (0.0, 1.0), [1.0], gradient_mode="adjoint")

    with pytest.raises(gl.TraceError, match="traced array that it was not given"):
        gl.dlfeval(run, gl.dlarray(2.0))


# ----- errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tspan", [(0.0,), (0.0, 0.0), (0.0, 1.0, 0.5), (0.0, math.nan), [[0.0, 1.0]]])
def test_times_that_are_not_monotone(tspan):
    with pytest.raises(gl.ShapeError, match="all increasing or all decreasing"):
        gl.dlode45(lambda t, y: y, tspan, [1.0])


@pytest.mark.parametrize("mode", MODES)
def test_what_odefun_returns(mode):
    with pytest.raises(gl.ShapeError, match="returned 2 for y 3.*in the shape of y"):
        gl.dlode45(lambda t, y: y[:2], (0.0, 1.0), [1.0, 2.0, 3.0], gradient_mode=mode)
    with pytest.raises(gl.TypeRefused, match="not tuple"):
        gl.dlode45(lambda t, y: (y, y), (0.0, 1.0), [1.0], gradient_mode=mode)


@pytest.mark.parametrize("slope", [lambda t, y: y * y, lambda t, y: gl.sqrt(y - 5)], ids=["a pole", "not a number"])
def test_steps_that_become_too_small(slope):
    with pytest.raises(gl.GradloomError, match=r"cannot keep the tolerance at t = .*test_ode\.py"):
        gl.dlode45(slope, (0.0, 2.0), [1.0])


def test_traced_arrays_reach_the_adjoint_by_theta_alone():
    def run(k):
        return gl.dlode45(lambda t, y: -k * y, (0.0, 1.0), [1.0], gradient_mode="adjoint")

    with pytest.raises(gl.TraceError, match=r"traced array that it was not given.*test_ode\.py.*theta.*direct"):
        gl.dlfeval(run, gl.dlarray(2.0))


def test_other_options_are_refused():
    with pytest.raises(gl.ShapeError, match="gradient_mode"):
        gl.dlode45(lambda t, y: y, (0.0, 1.0), [1.0], gradient_mode="backward")
    with pytest.raises(ValueError, match="relative_tolerance is a positive number"):
        gl.dlode45(lambda t, y: y, (0.0, 1.0), [1.0], relative_tolerance=0)
    with pytest.raises(gl.LabelError, match="T is the time"):
        gl.dlode45(lambda t, y: y, (0.0, 1.0), gl.dlarray([1.0], "T"))
    with pytest.raises(gl.TraceError, match="traced"):
        gl.dlfeval(lambda t: gl.dlode45(lambda t, y: y, t, [1.0]), gl.dlarray([0.0, 1.0]))
