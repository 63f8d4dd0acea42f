"""Every walk gives the same number where slopes are infinite or undefined, at ties, and for numbers that are not finite.

In a trace in which something was selected 0 times infinity is 0, in every walk; in any other it is NaN, in every walk: never a silent 0
in one of them where another has NaN or the right number.
"""

import concurrent.futures
import itertools
import math

import numpy as np
import pytest
import torch
from helpers import seeded, uniform
from operation_cases import carrying, cases, is_variable
from operation_table import CHECKED

import gradloom as gl
from gradloom import dlarray
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.core.tables import OPERATIONS, PUBLIC
from gradloom.derivatives.jacobians import structural_zeros

POINTS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, math.inf, -math.inf, math.nan]
ELEMENTWISE = [n for n, o in CHECKED.items() if isinstance(o, Elementwise) and o.kind == "elementwise"]
# Of real arrays they make, or take, nothing real.
COMPLEX_ONLY = {"complex", "imag"}


def callable_of(name):
    """An elementwise operation on dlarrays, with the options of its first sample."""
    operation = OPERATIONS[name]
    params = next((dict(s) if isinstance(s, dict) else dict(s[-1]) for s in operation.samples or ()), {}) if not callable(operation.samples) else {}
    return lambda *xs: operation.apply(xs, params)


AROUND = {
    "alone": lambda f: f,
    "squared": lambda f: lambda *xs: PUBLIC["square"](f(*xs)),
    "of a square root": lambda f: lambda x, *xs: f(gl.sqrt(x), *xs),
    "times a factor of 0": lambda f: lambda *xs: f(*xs) * dlarray(0.0),
    "in an exponential": lambda f: lambda *xs: gl.exp(f(*xs)),
}


def of_argument(f, xs, k, marked):
    """Runs a word on the result and argument k, in a trace in which something was selected or nothing."""
    def run(word):
        def fun(x):
            if marked:
                gl.where(x == x, x, 0.0)
            given = [x if j == k else dlarray(v) for j, v in enumerate(xs)]
            return word(f(*given), x)

        return gl.dlfeval(fun, dlarray(xs[k]))

    return run


def walks(f, xs, k, marked):
    """The derivative with respect to argument k at each point, by every walk."""
    run = of_argument(f, xs, k, marked)
    ones = np.ones(len(xs[k]))
    found = {
        "pull": run(lambda y, x: gl.dlgradient(gl.sum(y), x)),
        "recorded pull": run(lambda y, x: gl.dlgradient(gl.sum(y), x, enable_higher_derivatives=True)),
        "vjp": run(lambda y, x: gl.vjp(y, x, ones)),
        "push": run(lambda y, x: gl.jvp(y, x, ones)),
        "recorded push": run(lambda y, x: gl.jvp(y, x, ones, enable_higher_derivatives=True)),
        "rows": gl.diagonal(run(lambda y, x: gl.dljacobian(y, x, 0, enable_higher_derivatives=False))),
        "recorded rows": gl.diagonal(run(lambda y, x: gl.dljacobian(y, x, 0))),
        "Block": gl.diagonal(run(gl.dljacobian).dense()),
        "matrix": np.diagonal(run(gl.dljacobian).matrix()),
    }
    return {way: np.asarray(v) for way, v in found.items()}


def seconds(f, xs, k, marked):
    """The second derivative at each point, by every pair of walks."""
    run = of_argument(f, xs, k, marked)
    ones, higher = np.ones(len(xs[k])), dict(enable_higher_derivatives=True)
    found = {
        "pull of pull": run(lambda y, x: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(y), x, **higher)), x)),
        "push of pull": run(lambda y, x: gl.hvp(gl.sum(y), x, ones)),
        "pull of push": run(lambda y, x: gl.dlgradient(gl.sum(gl.jvp(y, x, ones, **higher)), x)),
        "push of push": run(lambda y, x: gl.jvp(gl.jvp(y, x, ones, **higher), x, ones)),
        "Laplacian": run(lambda y, x: gl.dllaplacian(y, x, 0, enable_higher_derivatives=False)),
        "recorded Laplacian": run(lambda y, x: gl.dllaplacian(y, x, 0)),
    }
    return {way: np.asarray(v) for way, v in found.items()}


def agree_where_defined(found, what):
    """NaN says that there is no answer; two answers are the same."""
    for (first, a), (way, b) in itertools.combinations(found.items(), 2):
        with np.errstate(all="ignore"):
            bad = ~(np.isnan(a) | np.isnan(b) | (a == b) | (np.abs(a - b) <= 1e-10 * np.maximum(1, np.maximum(np.abs(a), np.abs(b)))))
        assert not bad.any(), f"{what}: at {np.flatnonzero(bad).tolist()} {first} gives {a[bad]}, {way} {b[bad]}"


def agree(found, what):
    (first, expected), *others = found.items()
    for way, numbers in others:
        with np.errstate(all="ignore"):
            bad = ~((numbers == expected) | np.isnan(numbers) & np.isnan(expected) | (np.abs(numbers - expected) <= 1e-12 * np.maximum(1, np.abs(expected))))
        assert not bad.any(), f"{what}: at {np.flatnonzero(bad).tolist()} {first} gives {expected[bad]}, {way} {numbers[bad]}"


def arguments(name):
    count = len(OPERATIONS[name].inputs)
    if count == 1:
        return [np.array(POINTS)]
    few = POINTS[:4] + [2.0, math.inf, math.nan]
    return [np.array(v) for v in zip(*itertools.product(few, repeat=count))]


@pytest.mark.parametrize("marked", [False, True], ids=["unmarked", "marked"])
@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if n not in COMPLEX_ONLY and n != "where"])
def test_walks_agree(name, marked):
    xs = arguments(name)
    for around in AROUND:
        f = AROUND[around](callable_of(name))
        for k in range(len(xs)):
            agree(walks(f, xs, k, marked), f"{name}, argument {k}, {around}")
            agree_where_defined(seconds(f, xs, k, marked), f"{name}, argument {k}, {around}, second order")


INVERSES = {
    "the square of a square root": lambda x: gl.sqrt(x) ** 2,
    "the exponential of a logarithm": lambda x: gl.exp(gl.log(x)),
    "one over one over": lambda x: 1 / (1 / x),
    "the square root of a square": lambda x: gl.sqrt(gl.square(x)),
}


@pytest.mark.parametrize("f", [lambda x: 0 * gl.sqrt(x), lambda x: gl.sqrt(x) ** 0, lambda x: 0.0 * gl.log(x) + x * 0], ids=["0 * sqrt", "sqrt ** 0", "0 * log"])
def test_the_number_zero_times_an_infinite_slope_is_nan_in_every_walk(f):
    """Rows along an axis too: what they know of structure says where a direction goes, not that a factor is 0."""
    for way, numbers in walks(f, [np.array([0.0, 1.0])], 0, False).items():
        assert np.isnan(numbers[0]) and numbers[1] == 0, way


@pytest.mark.parametrize("name", INVERSES)
def test_a_silent_zero_is_no_answer(name):
    """Each is x (or |x|): its slope at 0 may be undefined to a walk, but is not 0; a selection says that it counts for nothing."""
    for way, numbers in walks(INVERSES[name], [np.array([0.0, 1.0])], 0, False).items():
        assert np.isnan(numbers[0]) and numbers[1] == 1, way
    for way, numbers in walks(INVERSES[name], [np.array([0.0, 1.0])], 0, True).items():
        assert numbers.tolist() == [0, 1], way


SELECTING = {
    "where": lambda x: gl.where(x > -1, x, 0.0), "clip": lambda x: gl.clip(x, -9, 9), "maximum": lambda x: gl.maximum(x, -9.0), "relu": gl.relu,
    "an index": lambda x: x[0:1], "two indices": lambda x: gl.reshape(x, (1, -1))[0, 0], "positions": lambda x: x[[0, 1]], "sort": gl.sort,
    "max": gl.max, "median": gl.median, "topk": lambda x: gl.topk(x, 1), "a triangle": lambda x: gl.tril(gl.reshape(x, (1, -1))),
    "pooling": lambda x: gl.maxpool(gl.reshape(x, (1, 1, -1)), 2, data_format="BCS"), "a mask": lambda x: x[x > -1], "cummax": gl.cummax,
    "dropout": lambda x: gl.dropout(x, 0.5), "take_along_axis": lambda x: gl.take_along_axis(x, gl.dlarray([0], dtype="int64")),
}


@pytest.mark.parametrize("name", SELECTING)
def test_what_selects_marks_the_trace(name):
    def fun(x):
        assert not x._node.trace.guarded
        SELECTING[name](x)
        assert x._node.trace.guarded

    gl.dlfeval(fun, dlarray([0.0, 1.0]))


def test_what_rules_select_marks_nothing():
    """The rules of recorded walks select too; that is no selection of the user's."""
    names = [n for n in ELEMENTWISE if not OPERATIONS[n].selects and n not in COMPLEX_ONLY and len(OPERATIONS[n].inputs) == 1]
    for f in [*map(callable_of, names), lambda x: gl.norm(x, axis=0), lambda x: gl.prod(x, axis=0), lambda x: gl.softmax(x, axis=0), lambda x: x ** 2.5]:
        def fun(x, f=f):
            y = gl.sum(f(x))
            before = x._node.trace.guarded
            g = gl.dlgradient(y, x, enable_higher_derivatives=True)
            gl.dllaplacian(y, x, 0)
            gl.jvp(g, x, np.ones(2), enable_higher_derivatives=True)
            assert x._node.trace.guarded is before

        gl.dlfeval(fun, dlarray([0.3, 0.7]))


def test_zeros_of_a_jacobian_that_structure_proves():
    x = np.array([0.0, 1.0])
    assert gl.jacobian(gl.sqrt)(x).tolist() == [[math.inf, 0], [0, 0.5]]
    assert gl.hessian(lambda x: gl.sum(x ** 1.5))(x).tolist() == [[math.inf, 0], [0, 0.75]]
    for recorded in (False, True):
        rows = gl.dlfeval(lambda x, recorded=recorded: gl.dljacobian(gl.sqrt(x), x, 0, enable_higher_derivatives=recorded), dlarray(x))
        assert rows.tolist() == [[math.inf, 0], [0, 0.5]]
        batch = gl.dlfeval(lambda x, recorded=recorded: gl.dljacobian(gl.sqrt(x), x, 1, enable_higher_derivatives=recorded), dlarray([[0.0, 1.0], [4.0, 0.0]]))
        assert batch.tolist() == [[[math.inf, 0], [0.25, 0]], [[0, 0.5], [0, math.inf]]]


# ----- the other operations: ties, zeros, numbers that are not finite -----------------------------------------------------------

CONTENTS = {
    "ties": lambda x: torch.full_like(x, 0.5),
    "zeros": torch.zeros_like,
    "some zeros": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) % 2 == 0, 0.0, x),
    "an infinity": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) == 1, math.inf, x),
    "a negative infinity": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) == 1, -math.inf, x),
    "a NaN": lambda x: torch.where(torch.arange(x.numel()).reshape(x.shape) == 1, math.nan, x),
}
DEFINED = ("ties", "zeros", "some zeros")
# Where all cases are refused in words: singular matrices, and what has no factorization.
REFUSED = {
    "eig": ("zeros", "an infinity", "a negative infinity", "a NaN"), "qr": DEFINED, "inv": DEFINED, "slogdet": DEFINED, "pinv": ("a NaN",), "svd": ("a NaN",), "svdvals": ("a NaN",),
    "cholesky": ("zeros", "some zeros", "an infinity", "a negative infinity", "a NaN"),
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", [n for n in CHECKED if n not in ELEMENTWISE])
def test_walks_of_other_operations_agree(name, content):
    operation = CHECKED[name]
    checked = 0
    given = [(c, k) for c in cases(operation) for k in c.variables if c.inputs[k].numel() > 1]
    small = [(c, k) for c, k in given if c.inputs[k].numel() <= 24]
    for case, k in (small or given)[:3]:
        x = CONTENTS[content](case.inputs[k])

        def f(x, case=case, k=k):
            given = [dlarray._made(v, None) if is_variable(v) and j != k else v for j, v in enumerate(case.inputs)]
            given[k] = x
            y = operation.apply(given, case.params)
            outputs = list(y if isinstance(y, tuple) else (y,))[:len(carrying(operation))]
            return [u for u in outputs if is_variable(u._value)]

        try:
            count = len(gl.dlfeval(f, dlarray(x)))
        except gl.GradloomError:
            continue  # refused: such numbers have no factorization
        for j in range(count):
            y = gl.dlfeval(lambda x, f=f, j=j: f(x)[j], dlarray(x))
            weights = uniform(tuple(y.shape), y.dtype, seeded(name, "weights"))
            way = uniform(tuple(x.shape), x.dtype, seeded(name, "way"))
            try:
                found = every_walk(lambda x, f=f, j=j: f(x)[j], dlarray(x), dlarray(weights), dlarray(way))
            except (gl.GradloomError, gl.GradloomWarning):
                continue  # there is no derivative, in words
            for family in found:
                (agree if content in DEFINED else agree_where_defined)(family, f"{case}, input {k}, output {j}, {content}")
            checked += 1
    assert bool(checked) is (content not in REFUSED.get(name, ())), f"{name}: {checked} were checked"


def every_walk(f, x, w, v):
    """Gradients of <w, y>, and derivatives along v, by every walk: what is in one family is one number."""
    def inner(y):
        return gl.sum(gl.real(y * gl.conj(w)))

    backwards = {
        "pull": gl.dlfeval(lambda x: gl.vjp(f(x), x, w), x),
        "recorded pull": gl.dlfeval(lambda x: gl.vjp(f(x), x, w, enable_higher_derivatives=True), x),
        "gradient": gl.dlfeval(lambda x: gl.dlgradient(inner(f(x)), x), x),
        "rows": gl.dlfeval(lambda x: gl.dljacobian(gl.reshape(inner(f(x)), (1,)), x, 0, enable_higher_derivatives=False)[0], x),
        "recorded rows": gl.dlfeval(lambda x: gl.dljacobian(gl.reshape(inner(f(x)), (1,)), x, 0)[0], x),
    }
    forwards = {
        "push": gl.dlfeval(lambda x: gl.jvp(f(x), x, v), x),
        "recorded push": gl.dlfeval(lambda x: gl.jvp(f(x), x, v, enable_higher_derivatives=True), x),
        "product": gl.dlfeval(lambda x: gl.dljacobian(f(x), x) @ v, x),
    }
    return [{way: np.asarray(g) for way, g in family.items()} for family in (backwards, forwards)]


def test_factors_that_are_numbers_in_a_marked_trace():
    """0 as a Python number, and numbers that are infinite, are factors as arrays of them are."""
    for f, point, expected in ((lambda x: 0 * gl.sqrt(x[0:2]), [0.0, 1.0], [0, 0]), (lambda x: gl.where(x > 0, x, x / 0.0), [-1.0, 2.0], [math.inf, 1]),
                               (lambda x: gl.where(x > 0, x, x * math.nan), [-1.0, 2.0], [math.nan, 1]), (lambda x: gl.relu(gl.sqrt(x)) * 0.0, [0.0, 1.0], [0, 0])):
        found = walks(f, [np.array(point)], 0, False)
        found["sparse"] = gl.sparse_jacobian(f)(np.array(point)).diagonal()
        for way, numbers in found.items():
            np.testing.assert_array_equal(numbers, expected, err_msg=way)


@pytest.mark.parametrize("recorded", [False, True])
def test_a_divergence_is_made_of_the_entries_on_the_diagonal(recorded):
    found = gl.dlfeval(lambda x: gl.dldivergence(gl.sqrt(x), x, 0, enable_higher_derivatives=recorded), dlarray([0.0, 1.0]))
    assert found.tolist() == [math.inf]  # the zeros beside it are not multiplied with it


MASKED = {
    "mse": lambda a: gl.mse(a, np.ones((2, 2)), mask=np.array([[1, 0], [1, 1]]), data_format="CB"),
    "weights of 0": lambda a: gl.mse(a, np.ones((2, 2)), np.array([[1.0, 0.0], [1.0, 1.0]]), data_format="CB", weights_format="CB"),
    "l1loss": lambda a: gl.l1loss(a, np.ones((2, 2)), mask=np.array([[1, 0], [1, 1]]), data_format="CB"),
    "huber": lambda a: gl.huber(a, np.ones((2, 2)), mask=np.array([[1, 0], [1, 1]]), data_format="CB"),
    "indexcrossentropy": lambda a: gl.indexcrossentropy(gl.softmax(a, axis=0), np.array([0, -1]), mask_index=-1, data_format="CB"),
    "padding of attention": lambda a: gl.sum(gl.attention(np.full((2, 2, 1), 0.3), np.full((2, 2, 1), 0.2), gl.reshape(a, (2, 2, 1)), 1,
                                                          data_format="CTB", padding_mask=np.array([[True], [False]]))),
    "attention of torch": lambda a: gl.sum(torch.nn.functional.scaled_dot_product_attention(
        gl.ones((1, 2, 2)), gl.ones((1, 2, 2)), gl.reshape(gl.permute_dims(a, (1, 0)), (1, 2, 2)), attn_mask=gl.dlarray([[True, False], [True, False]]))),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_hides_counts_for_nothing(name):
    """The second column is hidden; the slope there is infinite."""
    found = gl.dlfeval(lambda x: gl.dlgradient(MASKED[name](gl.sqrt(x)), x), dlarray([[1.0, 0.0], [2.0, 0.0]] if name != "mse" else [[1.0, 0.0], [2.0, 3.0]]))
    assert np.isfinite(np.asarray(found)[:, 0]).all() and np.asarray(found)[0, 1] == 0, np.asarray(found)


class OwnEntropy(gl.DifferentiableFunction):
    def forward(self, x):
        x = np.asarray(x)
        return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)) - x, 0.0)

    def backward(self, y_bar, inputs):
        return gl.where(inputs[0] > 0, gl.log(inputs[0]), 0.0) * y_bar


def test_what_an_own_backward_selects_is_a_selection():
    found = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dlgradient(gl.sum(OwnEntropy()(x)), x, enable_higher_derivatives=True)), x), dlarray([0.0, 1.0, 2.0]))
    assert found.tolist() == [0, 1, 0.5]


def test_walks_in_several_threads_leave_no_trace_deaf_to_selections():
    def fun(x):
        def gradient(k):
            return gl.dlgradient(gl.sum(gl.tanh(x) ** k), x, enable_higher_derivatives=True)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(gradient, range(2, 40)))
        assert not x._node.trace.guarded
        gl.relu(x)
        assert x._node.trace.guarded

    for _ in range(5):
        gl.dlfeval(fun, dlarray([0.3, 0.7]))


@pytest.mark.parametrize("error", [gl.ShapeError, RuntimeError, NotImplementedError])
def test_zeros_that_no_structure_proves_stay(monkeypatch, error):
    """Where an operation cannot be followed without its data every entry may be one; what is no such failure is not hidden."""
    x = gl.dlarray([0.0, 4.0])
    rows = lambda x: gl.dlfeval(lambda x: gl.extractdata(gl.dljacobian(gl.sqrt(x), x, 0)), x)
    assert np.array_equal(rows(x), [[math.inf, 0], [0, 0.25]])

    def failing(u, x, **options):
        raise error("it takes data")

    monkeypatch.setattr(structural_zeros, "remembered", lambda kind, u, x, find: find())
    monkeypatch.setattr(structural_zeros, "structure", failing)
    assert np.array_equal(rows(x), [[math.inf, 0], [math.nan, 0.25]], equal_nan=True)
    monkeypatch.setattr(structural_zeros, "structure", lambda u, x, **options: None.terms)
    with pytest.raises(AttributeError):
        rows(x)
    monkeypatch.undo()
    monkeypatch.setattr(structural_zeros, "places", failing)
    with pytest.raises(error):
        rows(gl.dlarray([0.0, 4.0, 1.0]))
