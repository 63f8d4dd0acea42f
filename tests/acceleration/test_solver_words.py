"""The functions for solvers, whose calls accelerate by themselves: the plain result, or the plain call."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import torch
from executor_cases import nothing_compiled  # noqa: F401
from helpers import stream

import gradloom as gl

rng = stream(21)
pytestmark = pytest.mark.usefixtures("nothing_compiled")
MATRIX = rng.normal(size=(5, 5))
TRACED_MATRIX = gl.dlarray(MATRIX)
WORDS = ("value_and_gradient", "jacobian", "hessian", "sparse_jacobian", "sparse_hessian")
CALLS = 7

VECTORS = {
    "stencil": lambda x: x[1:] * x[:-1],
    "stencil of functions": lambda x: gl.tanh(x[1:] * x[:-1]) + 3.0 * x[1:] - gl.exp(-x[:-1]),
    "sums of unequal length": lambda x: gl.concat([x * x[0], gl.sin(x[1:]) * x[0] + x[1:] ** 2, 2 * x]),
    "matrix of NumPy": lambda x: gl.matmul(MATRIX, gl.sin(x)),
    "matrix of the library": lambda x: TRACED_MATRIX @ gl.tanh(TRACED_MATRIX @ x),
    "norm": lambda x: x / gl.sqrt(gl.sum(x**2) + 1),
    "constant": lambda x: 2 * x - 1,
    "guard": lambda x: x * 2 * x if gl.sum(x) > 0 else gl.sin(x),
    "list of scalars": lambda x: [x[0] * x[1], x[2] ** 2, gl.sum(x)],
    "softmax": lambda x: gl.softmax(gl.reshape(x[:4], (2, 2)), axis=1),
    "relu": lambda x: gl.relu(x) * x,
    "where": lambda x: gl.where(x > 0.1, x**2, 0.5 * x),
    "sorted": lambda x: gl.sort(x) * x,
    "solve": lambda x: gl.solve(TRACED_MATRIX + gl.diag(gl.exp(x)), x),
    "half of a type": lambda x: (x.astype("float32") ** 2).astype("float64") * x,
}
FOUND_ANEW = ("sorted", "solve")  # positions that depend on values decide about the pattern, which is found in each call


def scalar(fun):
    return lambda x: sum([gl.sum(y**3) for y in found]) if isinstance(found := fun(x), list) else gl.sum(found**3)


def replayed(fast):
    return int(re.search(r"(\d+) of \d+ calls replayed", fast.explain())[1])


def arrays(result):
    """The numbers of a result, with their types."""
    if isinstance(result, tuple):
        return [a for x in result for a in arrays(x)]
    if hasattr(result, "indptr"):
        return [result.data, result.indices, result.indptr, np.array(result.shape)]
    return [np.asarray(result)]


def same(found, expected):
    assert type(found) is type(expected)
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.filterwarnings("ignore:the (Jacobian|Hessian) of")
def test_every_word_of_every_function(word, name):
    """Changing values, the branch of a guard, and another type in between."""
    fun = VECTORS[name] if "jacobian" in word else scalar(VECTORS[name])
    fast, plain = getattr(gl, word)(fun), getattr(gl, word)(fun, accelerate=False)
    for k in range(2 * CALLS):
        x = rng.normal(size=5) + (-1) ** k
        same(fast(x), plain(x))
        if k % 3 == 0 and "matrix" not in name and name not in ("solve", "half of a type"):
            same(fast(x.astype("float32")), plain(x.astype("float32")))
    plainly = word.startswith("sparse") and name in FOUND_ANEW
    assert replayed(fast) == 0 if plainly else replayed(fast) > 0, fast.explain()


@pytest.mark.parametrize("word", WORDS)
def test_each_shape_is_a_kind(word):
    fun = VECTORS["stencil of functions"] if "jacobian" in word else scalar(VECTORS["stencil of functions"])
    fast, plain = getattr(gl, word)(fun), getattr(gl, word)(fun, accelerate=False)
    for _ in range(CALLS):
        for n in (4, 7, 9):
            x = rng.normal(size=n)
            same(fast(x), plain(x))
    assert "3 recordings" in fast.explain(), fast.explain()


@pytest.mark.parametrize("word", WORDS)
def test_what_is_around_the_function_is_seen(word):
    scale, settings, weights = 1.0, {"shift": 0.5}, gl.dlarray(rng.normal(size=5))

    def fun(x):
        y = gl.tanh(x * scale + settings["shift"]) * weights
        return y if "jacobian" in word else gl.sum(y**2)

    fast, plain = getattr(gl, word)(fun), getattr(gl, word)(fun, accelerate=False)
    for k in range(4 * CALLS):
        x = rng.normal(size=5)
        same(fast(x), plain(x))
        if k == CALLS:
            scale = 3.0
        elif k == 2 * CALLS:
            settings["shift"] = -2.0
        elif k == 3 * CALLS:
            weights[2] = 7.0
    assert replayed(fast) > 0, fast.explain()


@pytest.mark.parametrize("word", WORDS)
def test_other_arguments_are_passed_through(word):
    """Numbers and small NumPy arrays count by value, dlarrays by shape; in place, by name, and with argument=."""

    def fun(p, x, c, *, data):
        y = p["a"] * gl.sin(x * c) * data
        return y if "jacobian" in word else gl.sum(y)

    for argument in (1, "x"):
        fast = getattr(gl, word)(fun, argument=argument)
        plain = getattr(gl, word)(fun, argument=argument, accelerate=False)
        for k in range(6 * CALLS):
            x, p, data = rng.normal(size=4), {"a": gl.dlarray(rng.normal(size=4))}, np.arange(4.0) + k % 2
            c = (2.0, 3.0, gl.dlarray(float(k)))[k % 3]
            if argument == "x":
                same(fast(p, x=x, c=c, data=data), plain(p, x=x, c=c, data=data))
            else:
                same(fast(p, x, c, data=data), plain(p, x, c, data=data))
        assert replayed(fast) > 0, fast.explain()


def test_gradients_of_containers_and_of_several_arguments():
    def fun(p, x, text):
        assert text == "t"
        return gl.sum(gl.tanh(p["w"] * x + p["b"][0])) * p["scale"]

    for argument in (0, (0,), (0, 1), ("x", 0)):
        fast, plain = gl.value_and_gradient(fun, argument=argument), gl.value_and_gradient(fun, argument=argument, accelerate=False)
        x = rng.normal(size=3)  # of NumPy, and not differentiated in all of them: by value
        for k in range(CALLS):
            p = {"w": rng.normal(size=3), "b": [rng.normal(size=3)], "scale": 2.0 + k, "name": "kept"}
            (v, g), (v0, g0) = fast(p, x, text="t"), plain(p, x, text="t")
            assert v == pytest.approx(v0, rel=1e-13) and type(v) is float
            if isinstance(argument, tuple):
                assert type(g) is tuple and len(g) == len(argument)
            inner = [h for h in (g if isinstance(g, tuple) else (g,)) if isinstance(h, dict)]
            for h, h0 in zip(inner, [h for h in (g0 if isinstance(g0, tuple) else (g0,)) if isinstance(h, dict)], strict=True):
                assert h["name"] == "kept" and type(h["scale"]) is float
                same((h["w"], h["b"][0], h["scale"]), (h0["w"], h0["b"][0], h0["scale"]))
                h["w"][:] = np.nan  # fresh memory: the next call does not see it
        assert replayed(fast) > 0, fast.explain()


@pytest.mark.parametrize("word", WORDS)
def test_what_comes_in_goes_out(word):
    fun = VECTORS["stencil of functions"] if "jacobian" in word else scalar(VECTORS["stencil of functions"])
    x = rng.normal(size=5)
    for given in (x, torch.tensor(x), gl.dlarray(x), x.astype("float32"), x[::-1], np.asfortranarray(x)):
        fast, plain = getattr(gl, word)(fun), getattr(gl, word)(fun, accelerate=False)
        for _ in range(CALLS):
            found, expected = fast(given), plain(given)
            same(found, expected)
            parts = found if isinstance(found, tuple) else (found,)
            for part in parts:
                if isinstance(part, np.ndarray):
                    part[...] = np.nan
                elif hasattr(part, "data") and hasattr(part, "indptr"):
                    part.data[:], part.indices[:] = np.nan, 0
        assert replayed(fast) > 0, fast.explain()
    fast = gl.jacobian(lambda x: x**2)
    assert [fast(3.0) for _ in range(CALLS)] == [6.0] * CALLS and type(fast(3.0)) is float


def test_inside_of_a_trace_and_of_another_recording():
    gradient = gl.value_and_gradient(lambda x: gl.sum(gl.sin(x) * x))
    x = rng.normal(size=4)
    for _ in range(CALLS):
        gradient(x)

    def outer(y):
        value, g = gradient(y)  # recorded, and differentiated again
        inside, constant = gradient(np.asarray(x))  # apart
        return gl.dlgradient(gl.sum(g * y) + value * inside, y), constant

    fast = gl.dlaccelerate(outer)
    for _ in range(CALLS):
        y = gl.dlarray(rng.normal(size=4))
        for a, b in zip(gl.dlfeval(fast, y), gl.dlfeval(outer, y), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)

    def closing(y):  # what is around it is traced: no recording holds it
        return gl.jacobian(lambda z: z * gl.detach(y))(x)

    found = [gl.dlfeval(closing, gl.dlarray(x * k)) for k in range(4)]
    np.testing.assert_allclose(found[3], np.diag(3 * x))


# ----- plain, and as fast as plain ------------------------------------------------------------------------------------------


def test_what_cannot_be_recorded_is_plain_and_says_so_once(caplog):
    def fun(x):
        return gl.sum(x**2 * float(gl.extractdata(x)[0]))

    fast, plain = gl.value_and_gradient(fun), gl.value_and_gradient(fun, accelerate=False)
    with caplog.at_level(logging.INFO, logger="gradloom"):
        for _ in range(4 * CALLS):
            x = rng.normal(size=3)
            same(fast(x), plain(x))
    assert [r.message for r in caplog.records if "stays plain" in r.message] == [r.message for r in caplog.records]
    assert len(caplog.records) == 1 and "numpy makes Python's a value" in caplog.text
    assert replayed(fast) == 0 and "numpy makes Python's" in fast.explain()
    assert "accelerate=False" in plain.explain() and gl.jacobian(fun).explain() == "no call has been made"


def test_a_refusal_is_of_its_kind_alone():
    def fun(x, exact):
        return x**2 * (float(gl.extractdata(x)[0]) if exact else 1.0)

    fast = gl.dlaccelerate(fun)
    for k in range(8 * CALLS):
        x = gl.dlarray(rng.normal(size=2 + k % 2))
        for exact in (True, False):
            np.testing.assert_array_equal(gl.extractdata(fast(x, exact)), gl.extractdata(fun(x, exact)))
    assert fast.hit_rate > 30 and "plain: " in fast.explain()


def test_where_each_call_is_another_kind_looking_is_given_up_and_taken_up_again(monkeypatch):
    from gradloom.acceleration import accelerated

    looked = []
    key = accelerated.key_of
    monkeypatch.setattr(accelerated, "key_of", lambda *args: looked.append(args) or key(*args))
    fast = gl.dlaccelerate(lambda x, t: x * t, cache_size=5)
    x = gl.dlarray([1.0, 2.0])
    for k in range(200):
        assert fast(x, 0.5 * k)[1] == k
    assert len(looked) < 35
    for k in range(100):
        assert fast(gl.dlarray([1.0, 2.0 + k]), 3.0)[1] == 3 * (2 + k)
    assert fast.hit_rate > 10


def test_accelerate_is_true_or_false():
    for word in WORDS:
        with pytest.raises(gl.TypeRefused, match=rf"accelerate is True or False, not 'no'.*write {word}\(fun, accelerate=False\)"):
            getattr(gl, word)(lambda x: x, accelerate="no")


# ----- SciPy ----------------------------------------------------------------------------------------------------------------


def test_solvers_of_scipy_find_the_same():
    def rosenbrock(x, a):
        return gl.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (a - x[:-1]) ** 2)

    def residuals(x):
        return gl.concat([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])

    found = []
    for accelerate in (True, False):
        options = {"accelerate": accelerate}
        start = np.full(6, -0.5)
        value = gl.value_and_gradient(rosenbrock, **options)
        a = scipy.optimize.minimize(value, start, args=(1.0,), jac=True, method="L-BFGS-B")
        b = scipy.optimize.minimize(value, start, args=(1.0,), jac=True, hess=gl.hessian(rosenbrock, **options), method="trust-exact")
        c = scipy.optimize.least_squares(lambda x: np.asarray(residuals(gl.dlarray(x))), start, jac=gl.sparse_jacobian(residuals, **options))
        d = scipy.integrate.solve_ivp(
            lambda t, y: np.asarray([y[1], 30 * (1 - y[0] ** 2) * y[1] - y[0]]), (0, 3), [2.0, 0.0], method="BDF",
            jac=gl.jacobian(lambda t, y: [y[1], 30 * (1 - y[0] ** 2) * y[1] - y[0]], argument=1, **options))
        assert a.success and b.success and c.success and d.success
        found.append([a.x, b.x, c.x, d.y[:, -1]])
    for x, y in zip(*found, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)
