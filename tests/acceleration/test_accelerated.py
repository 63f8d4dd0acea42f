"""dlaccelerate around whole programs: networks, derivatives of every kind, updates, states, random numbers, threads, memory."""

from __future__ import annotations

import collections
import gc
import logging
import threading
import warnings
import weakref

import numpy as np
import pytest
from helpers import stream

import gradloom as gl
from gradloom import layers
from gradloom.machine.questions import ends_recording

rng = stream(14)
CALLS = 8


def leaves(result):
    """The numbers of a result: of arrays, networks, Jacobians, in containers."""
    found = []
    for x in result if isinstance(result, (tuple, list)) else [result]:
        if isinstance(x, (tuple, list)):
            found += leaves(x)
        elif isinstance(x, dict) or hasattr(x, "keys"):
            found += leaves(list(x.values()))
        elif isinstance(x, gl.dlnetwork):
            found += leaves([*x.learnables.values(), *x.state.values()])
        elif isinstance(x, gl.Jacobian):
            found.append(x.matrix() if x.shape[0] * x.shape[1] < 10**6 else x.gram())
        else:
            found.append(x)
    return [np.asarray(gl.extractdata(x) if isinstance(x, gl.dlarray) else x) for x in found]


def same(found, expected, tolerance=1e-12):
    found, expected = leaves(found), leaves(expected if not isinstance(expected, list) or type(expected[0]) is not float else np.array(expected))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))


def network(*more, inputs=3, dtype="float64"):
    gl.rng(1)
    return gl.dlnetwork([layers.FeatureInput(inputs), layers.FullyConnected(5), layers.Tanh(), *more, layers.FullyConnected(2)], dtype=dtype)


def batch(n=4, inputs=3):
    return gl.dlarray(rng.normal(size=(inputs, n)), "CB")


def loss_and_gradient(net, x):
    loss = gl.sum(net.forward(x) ** 2)
    return loss, gl.dlgradient(loss, net.learnables)


def penalty(net, x):
    y = gl.sum(net.forward(x))
    g = gl.dlgradient(y, x, enable_higher_derivatives=True)
    loss = gl.sum(g**2)
    return loss, gl.dlgradient(loss, net.learnables)


PROGRAMS = {
    "loss and gradient": loss_and_gradient,
    "gradient of a gradient": penalty,
    "Jacobian by the weights": lambda net, x: gl.dljacobian(net.forward(x), net.learnables),
    "Jacobian by x, dense": lambda net, x: gl.dljacobian(net.forward(x), x).dense(),
    "Jacobian along an axis": lambda net, x: gl.dljacobian(net.forward(x), x, "C"),
    "Laplacian": lambda net, x: gl.dllaplacian(net.forward(x)[0:1], x, "C"),
    "divergence": lambda net, x: gl.dldivergence(net.forward(x)[0:1] * x, x, "C"),
    "Laplacian, and a gradient of it": lambda net, x: gl.dlgradient(gl.sum(gl.dllaplacian(net.forward(x)[0:1], x, "C", enable_higher_derivatives=True)), net.learnables),
    "outputs by name": lambda net, x: net.predict(x, outputs=["fc", "tanh"]),
    "a branch that goes both ways": lambda net, x: loss_and_gradient(net, x if gl.sum(x) > 0 else 2 * x),
}


@pytest.mark.parametrize("executor", ["replay", "native"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_in_dlfeval(name, executor):
    net, fun = network(), PROGRAMS[name]
    fast = gl.dlaccelerate(fun, executor=executor)
    for _ in range(CALLS):
        x = batch()
        same(gl.dlfeval(fast, net, x), gl.dlfeval(fun, net, x))
        net = gl.dlupdate(lambda p: p * 0.9, net)
    assert fast.hit_rate >= 25, fast.explain()


@pytest.mark.parametrize("word", ["jacobian", "hessian", "value_and_gradient", "hvp"])
def test_words_of_solvers_inside(word):
    matrix = gl.dlarray(rng.normal(size=(4, 4)))

    def scalar(x):
        return gl.sum(gl.tanh(matrix @ x) ** 2)

    def fun(x):
        if word == "hvp":
            return gl.dlfeval(lambda x: gl.hvp(scalar(x), x, gl.ones(4)), x)
        if word == "jacobian":
            return gl.jacobian(lambda x: gl.sin(matrix @ x))(x)
        return getattr(gl, word)(scalar)(x)

    fast = gl.dlaccelerate(fun)
    for _ in range(CALLS):
        x = gl.dlarray(rng.normal(size=4))
        same(fast(x), fun(x))
    assert fast.hit_rate >= 50, fast.explain()


def test_a_training_loop_with_states_updates_and_random_numbers():
    """Dropout, batch normalization and Adam: the same bits, and the generators where the plain loop leaves them."""
    start = network(layers.BatchNormalization(), layers.Dropout(0.4))

    def step(net, x, average, square, iteration):
        y, state = net.forward(x, return_state=True)
        loss = gl.sum(y**2)
        net2, average, square = gl.adamupdate(net.replace(state=state), gl.dlgradient(loss, net.learnables), average, square, iteration)
        return loss, net2, average, square

    data = [batch() for _ in range(12)]
    results = []
    for fun in (step, gl.dlaccelerate(step)):
        gl.rng(7)
        net, average, square, losses = start, None, None, []
        for x in data:
            loss, net, average, square = gl.dlfeval(fun, net, x, average, square, 3)
            losses.append(loss)
        results.append([losses, net, gl.rand(3)])
    same(results[1], results[0])
    assert fun.hit_rate > 50, fun.explain()


Sample = collections.namedtuple("Sample", "x t")


def test_a_named_tuple_is_an_argument_like_any_other():
    fast = gl.dlaccelerate(lambda sample, w: gl.dlgradient(gl.mse(w * sample.x, sample.t, data_format="B"), w))
    for _ in range(6):
        sample, w = Sample(*[gl.dlarray(rng.standard_normal(3)) for _ in range(2)]), gl.dlarray(rng.standard_normal())
        same(gl.dlfeval(fast, sample, w), gl.dlfeval(fast.function, sample, w))
    assert fast.hit_rate > 40


def test_shapes_types_labels_and_options_are_kinds_of_their_own():
    def fun(x, p=2, *, scale=1.0):
        return gl.sum(x**p * scale)

    fast = gl.dlaccelerate(fun)
    for _ in range(CALLS):
        for x in (rng.normal(size=3), rng.normal(size=(2, 3)), rng.normal(size=3).astype("f"), rng.normal(size=(3, 2)).T):
            for labels in (None, "CB"[: x.ndim]):
                for p in (2, 3):
                    for scale in (1.0, -0.0, 0.0):
                        a = gl.dlarray(x, labels, copy=False)
                        found, expected = fast(a, p, scale=scale), fun(a, p, scale=scale)
                        assert found.dtype is expected.dtype and found.dims == expected.dims
                        assert np.allclose(found.numpy(), expected.numpy(), rtol=8 * np.finfo(x.dtype).eps) and np.signbit(found.numpy()) == np.signbit(expected.numpy())
    assert fast.hit_rate > 50


def test_a_traced_argument_makes_the_call_a_part_of_the_trace():
    fast = gl.dlaccelerate(lambda x: gl.sin(x) * x)
    for _ in range(6):
        fast(gl.dlarray([0.5, 1.0]))
    got = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(fast(x)), x), gl.dlarray([0.5, 1.0]))
    same(got, np.cos([0.5, 1.0]) * [0.5, 1.0] + np.sin([0.5, 1.0]))
    assert fast.hit_rate > 0


def test_one_within_another():
    inner = gl.dlaccelerate(lambda x: gl.exp(x))
    outer = gl.dlaccelerate(lambda x: inner(x) * 2)
    for k in range(CALLS):
        same(outer(gl.dlarray([0.1 * k])), 2 * np.exp([0.1 * k]))
    assert outer.hit_rate > 0


def test_check_finite_sees_what_runs():
    fast = gl.dlaccelerate(lambda x: gl.log(x))
    for _ in range(6):
        fast(gl.dlarray([1.0]))
    with gl.check_finite(), pytest.raises(gl.NotFinite):
        fast(gl.dlarray([0.0]))


def test_an_error_of_the_function_is_its_own():
    def fun(x):
        if gl.sum(x) < 0:
            raise KeyError("below")
        return x * 2

    fast = gl.dlaccelerate(fun)
    for k in range(CALLS):
        same(fast(gl.dlarray([1.0 + k])), [2.0 + 2 * k])
        with pytest.raises(KeyError):
            fast(gl.dlarray([-1.0 - k]))
    assert fast.hit_rate > 0


def test_properties():
    fast = gl.dlaccelerate(lambda x: x * 3, cache_size=2)
    for n in range(1, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gl.GradloomWarning)
            for _ in range(5):
                fast(gl.ones(n))
    assert fast.occupancy == 100 and 0 < fast.hit_rate < 100
    assert "2 recordings" in fast.explain() and "3 calls" not in fast.explain()
    fast.clear_cache()
    assert fast.occupancy == fast.hit_rate == 0
    fast.enabled = False
    for _ in range(5):
        same(fast(gl.ones(2)), [3.0, 3.0])
    assert fast.hit_rate == 0
    with pytest.raises(TypeError, match="no executor 'replai'.*did you mean 'replay'"):
        gl.dlaccelerate(lambda x: x, executor="replai")
    with pytest.raises(TypeError, match="function"):
        gl.dlaccelerate(3)


def test_more_recordings_than_places_are_a_warning():
    fast = gl.dlaccelerate(lambda x: x * int(gl.argmax(x)), cache_size=3)
    with pytest.warns(gl.GradloomWarning, match="cache_size=3"):
        for n in range(1, 8):
            for _ in range(4):
                x = np.eye(9)[n]
                same(fast(gl.dlarray(x)), x * n)


def test_check_mode_compares_each_call():
    fast = gl.dlaccelerate(lambda x: x * 2)
    fast.check_mode = "tolerance"
    for k in range(6):
        same(fast(gl.dlarray([float(k)])), [2.0 * k])
    [entry] = next(iter(fast._entries.values()))
    entry.call = lambda args, kwargs: args[0] * 2.1  # as if it were wrong
    with pytest.warns(gl.GradloomWarning, match="differs from the plain one"):
        same(fast(gl.dlarray([3.0])), [6.0])


def test_a_replay_that_is_wrong_is_found_out_before_it_is_used(caplog):
    fast = gl.dlaccelerate(lambda x: x * 2)
    for k in range(3):
        fast(gl.dlarray([float(k)]))
    [entry] = next(iter(fast._entries.values()))
    entry.call = lambda args, kwargs: args[0] * 2.1
    with caplog.at_level(logging.WARNING, "gradloom"):
        for k in range(4):
            same(fast(gl.dlarray([float(k + 1)])), [2.0 * (k + 1)])
    assert "not the plain one" in caplog.text and "every call is plain" in fast.explain()


def test_why_a_function_stays_plain(caplog):
    fast = gl.dlaccelerate(lambda x: x * float(x[0]))
    with caplog.at_level(logging.INFO, "gradloom"):
        for k in range(4):
            same(fast(gl.dlarray([float(k + 1)])), [(k + 1.0) ** 2])
    assert "item makes Python's a value" in fast.explain() and "test_accelerated.py" in fast.explain()
    assert len(caplog.records) == 1


def test_results_are_fresh_memory():
    table = gl.dlarray([1.0, 2.0])
    fast = gl.dlaccelerate(lambda x: (x + 1, gl.ones(2), table))
    kept = [fast(gl.dlarray([1.0, 2.0])) for _ in range(8)]
    kept[-1][1]._value.add_(5)
    kept[-1][0]._value.add_(5)
    same(fast(gl.dlarray([1.0, 2.0])), [np.array([2.0, 3.0]), np.ones(2), np.array([1.0, 2.0])])
    same(table, np.array([1.0, 2.0]))


def test_nothing_of_a_call_is_kept_alive():
    net = network()
    fast = gl.dlaccelerate(PROGRAMS["Jacobian by the weights"])
    seen = []
    for _ in range(CALLS):
        x = batch()
        J = gl.dlfeval(fast, net, x)
        seen += [weakref.ref(x._value), *[weakref.ref(v) for v in J.__held__()]]
        net = gl.dlupdate(lambda p: p * 0.9, net)
        seen += [weakref.ref(v._value) for v in net.learnables.values()]
    del x, J, net
    gc.collect()
    assert fast.hit_rate > 0 and not [r for r in seen if r() is not None]


def test_threads():
    def fun(x):
        y = gl.sum(gl.sin(x) * gl.rand(3, like=x)) if gl.sum(x) > 0 else gl.sum(x)
        return y, gl.dlgradient(y, x)

    fast, wrong = gl.dlaccelerate(fun), []

    def work(k):
        try:
            drawn = np.random.default_rng(k)
            for n in range(30):
                x = gl.dlarray(drawn.normal(size=3))
                gl.rng(n)
                a = gl.dlfeval(fast, x)
                gl.rng(n)
                same(a, gl.dlfeval(fun, x))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong and fast.hit_rate > 0


def test_a_custom_layer_that_reads_a_global():
    class Scaled(gl.Layer):
        def predict(self, x):
            return x * FACTOR

    net = gl.dlnetwork([layers.FeatureInput(3), Scaled()], dtype="float64")
    fast = gl.dlaccelerate(lambda net, x: net(x))
    global FACTOR
    for k in range(12):
        FACTOR = 2.0 if k < 6 else 5.0
        x = batch()
        same(fast(net, x), net(x))
        same(net(x), FACTOR * x.numpy())
    assert fast.hit_rate > 0


FACTOR = 2.0


def test_what_acts_on_the_world_unheard_ends_a_recording():
    def fun(x):
        ends_recording("it exchanges numbers with other processes")
        return x * 2

    fast = gl.dlaccelerate(fun)
    for _ in range(5):
        same(fast(gl.dlarray([1.0])), [2.0])
    assert fast.hit_rate == 0 and "other processes" in fast.explain()
