"""checkpoint(fun): the same derivatives from arguments alone, everything between computed again."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl
from gradloom import layers

rng = stream(33)
X, W = rng.normal(size=(3, 4)), rng.normal(size=(3, 3)) / 2


def layer(x, w):
    return gl.tanh(gl.matmul(w, x)) + gl.relu(x) * gl.exp(-x)


def chain(f):
    return lambda x, w: f(f(f(x, w), w), w)


def several(f):
    """Containers, several results, one that is an integer and one that is no array."""
    def inside(p, *, k):
        y = layer(p["x"], p["w"])
        return {"y": y, "two": (y * k, gl.argmax(y, axis=0)), "text": "t", "sum": gl.sum(y**2)}

    f = gl.checkpoint(inside) if f is not layer else inside

    def outer(x, w):
        found = f({"x": x, "w": w, "n": None}, k=2.0)
        assert found["text"] == "t" and str(found["two"][1].dtype).endswith("int64")
        return found["y"] * found["sum"] + found["two"][0]

    return outer


def inner_gradient(f):
    def inside(x, w):
        return gl.dlgradient(gl.sum(layer(x, w) ** 2), x, enable_higher_derivatives=True)

    return inside if f is layer else gl.checkpoint(inside)


SHAPES = {"chain": chain, "several": several, "one": lambda f: f, "gradient inside": inner_gradient}
ORDERS = {
    "gradient": lambda u, x, w: gl.dlgradient(gl.sum(gl.sin(u)), x, w),
    "second": lambda u, x, w: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(gl.sin(u)), x, enable_higher_derivatives=True) ** 2), x, w),
    "third": lambda u, x, w: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(gl.sin(u)), x, enable_higher_derivatives=True) ** 2), w,
                                                                enable_higher_derivatives=True) ** 2), x, w),
    "jvp": lambda u, x, w: gl.jvp(u, (x, w), (x * 0.3, w * 0 + 1)),
    "jvp of a gradient": lambda u, x, w: gl.hvp(gl.sum(gl.sin(u)), x, gl.dlarray(X) * 0.5),
    "gradient of a jvp": lambda u, x, w: gl.dlgradient(gl.sum(gl.jvp(u, x, gl.dlarray(X), enable_higher_derivatives=True) ** 2), x, w),
    "Jacobian": lambda u, x, w: gl.dljacobian(u, {"x": x, "w": w}).matrix(),
    "Jacobian backwards": lambda u, x, w: gl.dljacobian(gl.sum(u, axis=0), x).dense(),
    "Jacobian times": lambda u, x, w: gl.dljacobian(u, x) @ (x * 0.2),
    "twice": lambda u, x, w: (gl.dlgradient(gl.sum(u), x), gl.dlgradient(gl.sum(u**2), w)),
}


def numbers(result):
    return [a for x in result for a in numbers(x)] if isinstance(result, tuple) else [np.asarray(gl.extractdata(result) if isinstance(result, gl.dlarray) else result)]


def same(found, expected, tolerance=1e-12):
    for a, b in zip(numbers(found), numbers(expected), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max(initial=0))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_of_every_order(shape, order):
    def fun(f):
        return lambda x, w: ORDERS[order](SHAPES[shape](f)(x, w), x, w)

    checkpointed, plain = fun(gl.checkpoint(layer)), fun(layer)
    fast = gl.dlaccelerate(checkpointed)
    for k in range(6):
        x, w = gl.dlarray(X * (1 + 0.1 * k)), gl.dlarray(W + 0.05 * k)
        expected = gl.dlfeval(plain, x, w)
        same(gl.dlfeval(checkpointed, x, w), expected)
        same(gl.dlfeval(fast, x, w), expected)
    if "Jacobian" not in order:
        assert fast.hit_rate > 30, fast.explain()


@pytest.mark.parametrize("kind", ["checkpoint", "accelerated", "plain"])
def test_random_draws_are_those_of_the_first_run(kind):
    """The gradient of a product with what was drawn is what was drawn; draws afterwards go on as without checkpoint."""
    def drawn(x):
        return x * gl.rand(x.shape) * gl.rand(x.shape)

    f = drawn if kind == "plain" else gl.checkpoint(drawn)

    def fun(x):
        y = f(f(x))
        return y, gl.dlgradient(gl.sum(y), x), gl.rand(2)

    fast = gl.dlaccelerate(fun) if kind == "accelerated" else fun
    for k in range(7):
        gl.rng(k)
        x = gl.dlarray(X + k)
        y, g, after = gl.dlfeval(fast, x)
        np.testing.assert_allclose(gl.extractdata(g * x), gl.extractdata(y), rtol=1e-14)
        gl.rng(k)
        factors = [np.asarray(gl.rand(X.shape)) for _ in range(4)]
        np.testing.assert_allclose(gl.extractdata(y), (X + k) * np.prod(factors, axis=0), rtol=1e-13)
        same(after, gl.rand(2))
    if kind == "accelerated":
        assert fast.hit_rate > 50, fast.explain()


def test_networks_with_dropout_and_states():
    gl.rng(1)
    net = gl.dlnetwork([layers.FeatureInput(4), layers.FullyConnected(5), layers.BatchNormalization(), layers.Dropout(0.4), layers.Tanh()], dtype="float64")
    block = gl.checkpoint(lambda net, x: net.forward(x, return_state=True))

    def step(run):
        def inside(net, x):
            y, state = run(net, x)
            loss = gl.sum(y**2)
            return loss, gl.dlgradient(loss, net.learnables), state
        return inside

    fast = gl.dlaccelerate(step(block))
    for k in range(7):
        x = gl.dlarray(rng.normal(size=(4, 6)), "CB")
        results = []
        for fun in (step(block), fast, step(lambda net, x: net.forward(x, return_state=True))):
            gl.rng(k)
            loss, gradient, state = gl.dlfeval(fun, net, x)
            results.append((loss, *gradient.values(), *state.values(), gl.rand(2)))
        same(results[0], results[2])
        same(results[1], results[2])
    assert fast.hit_rate > 50, fast.explain()


def test_what_was_not_selected_counts_for_nothing():
    pick = gl.checkpoint(lambda x, y: gl.where(x > 0, y, 0.0))
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(pick(x, gl.log(x))), x), gl.dlarray([0.0, 2.0]))
    same(g, gl.dlarray([0.0, 0.5]))


def test_the_inner_function_runs_twice_and_only_where_it_is_traced():
    runs = []

    def counted(x):
        runs.append(1)
        return x**2

    f = gl.checkpoint(counted)
    same(f(gl.dlarray([3.0])), gl.dlarray([9.0]))
    assert len(runs) == 1 and f.__name__ == "counted"
    same(gl.dlfeval(lambda x: gl.dlgradient(gl.sum(f(x)), x), gl.dlarray([3.0])), gl.dlarray([6.0]))
    assert len(runs) == 3


def test_what_is_refused():
    def around(x, w):
        return gl.dlgradient(gl.sum(gl.checkpoint(lambda x: x * w)(x)), x)

    def alone(x, w):
        return gl.dlgradient(gl.sum(gl.checkpoint(lambda x: w * 2)(x)), x)

    for fun in (around, alone):
        with pytest.raises(gl.TraceError, match=r"checkpoint\(<lambda>\) reads a traced array from around it.*pass it as an argument"):
            gl.dlfeval(fun, gl.dlarray(X), gl.dlarray(X))
    with pytest.raises(gl.TypeRefused, match=r"returned a Jacobian.*return arrays"):
        gl.dlfeval(lambda x: gl.checkpoint(lambda x: gl.dljacobian(x**2, x))(x), gl.dlarray([1.0]))
    sizes = iter([2, 3])
    with pytest.raises(gl.TraceError, match="returned other arrays when it was run again"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.checkpoint(lambda x: x[: next(sizes)])(x)), x), gl.dlarray([1.0, 2.0, 3.0]))
    with pytest.raises(gl.TypeRefused, match="needs a function"):
        gl.checkpoint(3)


def peak(run):
    """The most bytes that a call has allocated at once."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    return np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max()


@pytest.mark.parametrize("accelerated", [False, True])
def test_a_deep_network_takes_less_than_half_of_the_memory(accelerated):
    weights = [gl.dlarray(rng.normal(size=(32, 32)) / 6) for _ in range(24)]
    x0 = gl.dlarray(rng.normal(size=(400, 32)))

    def block(x, w):
        return x + gl.tanh(gl.sin(gl.exp(gl.tanh(x @ w)) * 0.3) * 2)

    def loss(run):
        def inside(weights, x):
            for w in weights:
                x = run(x, w)
            return gl.dlgradient(gl.sum(x**2), weights)
        return gl.dlaccelerate(inside) if accelerated else inside

    runs = [functools.partial(gl.dlfeval, loss(f), weights, x0) for f in (gl.checkpoint(block), block)]
    for _ in range(4):
        results = [run() for run in runs]
    same(tuple(results[0]), tuple(results[1]))
    del results
    less, all_of_it = map(peak, runs)
    assert all_of_it > 24 * 4 * x0._value.nbytes  # what is kept of each block
    assert less < 0.5 * all_of_it
