"""What is kept of one trace is used only for traces in which it says the same: warm plans against cleared ones.

Every operation is run with several numbers, masks, positions and options in turn, so that the plan of one is there when the next asks.
"""

import itertools
import warnings

import numpy as np
import pytest
import torch
from operation_cases import carrying, cases, is_variable
from test_operations import CHECKED, each

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.errors import BatchDependenceWarning, GradloomError
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.derivatives.jacobians import structure as planning

NUMBERS = [0, 1, 1.0, 3, 0.5, 2, -1, 0.0, True]


def altered(value):
    """The same kind of constant with another content; None where there is no other."""
    if isinstance(value, torch.Tensor) and value.dtype is torch.bool:
        return ~value
    if isinstance(value, torch.Tensor) and not is_variable(value) and value.numel() > 1 and value.layout is torch.strided:
        return value.flip(0)
    return None


def variants(operation):
    """Groups of runs that differ in nothing but numbers, masks, positions or options: functions of one variable, with its value."""
    for case in cases(operation):
        for k in case.variables:
            x = case.inputs[k]
            runs = [case]
            for j, value in enumerate(case.inputs):
                if j != k and (other := altered(value)) is not None:
                    runs.append(type(case)(operation, (*case.inputs[:j], other, *case.inputs[j + 1:]), case.params))
            for name, value in case.params.items():
                if (other := altered(value)) is not None:
                    runs.append(type(case)(operation, case.inputs, {**case.params, name: other}))
            yield x, [(k, c.inputs, c.params) for c in runs]
    if isinstance(operation, Elementwise) and len(operation.inputs) == 2 and operation.samples is None:  # others are of arrays alone
        low, high = operation.domain
        x = torch.linspace(max(low, 0.1), high, 6, dtype=torch.float64).reshape(2, 3)
        for k in (0, 1):
            yield x, [(k, (x, n) if k == 0 else (n, x), {}) for n in NUMBERS]


def found(operation, x, run):
    """Everything that rests on a kept plan, of one run: the Laplacian, the independence of observations, the Block and what it holds."""
    k, inputs, params = run

    def fun(x):
        given = [dlarray._made(v, None) if is_variable(v) and j != k else v for j, v in enumerate(inputs)]
        given[k] = x * x  # so that the tangent bends, and is needed
        numbers = any(type(v) in (bool, int, float) for v in given)
        y = operation.public(*given) if numbers and not params and operation.public is not None else operation.apply(given, params)
        count = carrying(operation)
        outputs = [o for o in (y if isinstance(y, tuple) else (y,))[:len(count)] if type(o) is dlarray and o._node is not None]
        answers = []
        for u in outputs:
            for word in WORDS:
                with warnings.catch_warnings(record=True) as seen:
                    warnings.simplefilter("always", BatchDependenceWarning)
                    try:
                        answer = word(u, x)
                    except GradloomError as error:
                        answer = type(error).__name__
                answers.append((answer, [str(w.message).split(": ", 1)[1] for w in seen]))
        return answers

    return gl.dlfeval(fun, dlarray(x))


def laplacian(u, x):
    return np.asarray(gl.extractdata(gl.dllaplacian(gl.sum(u), x, tuple(range(x.ndim)), enable_higher_derivatives=False))) if x.ndim else None


def along_an_axis(u, x):
    return np.asarray(gl.extractdata(gl.dljacobian(u, x, -1, enable_higher_derivatives=False))) if u.ndim and x.ndim else None


def structured(u, x):
    J = gl.dljacobian(u, x)
    planned, dense = J.nbytes, J.dense()._value.numpy()
    assert planned == J.nbytes, "the Jacobian holds another number of bytes than was planned"
    return planned, dense


WORDS = (laplacian, along_an_axis, structured)


def equal(a, b):
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b


@each(CHECKED)
def test_a_kept_plan_is_that_of_the_same_numbers(operation):
    for x, runs in variants(operation):
        cold = []
        for run in runs:
            planning._plans.clear()
            cold.append(found(operation, x, run))
        planning._plans.clear()
        for (_, inputs, params), expected, run in itertools.chain(zip(runs, cold, runs), reversed(list(zip(runs, cold, runs)))):
            assert equal(found(operation, x, run), expected), f"{operation.name} {inputs} {params}: with plans of other runs at hand"


def test_the_exponent_decides():
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]])
    power = lambda x, n: gl.dllaplacian(gl.sum(x ** n, axis=1, keepdims=True), x, 1)
    base = lambda x, n: gl.dllaplacian(gl.sum(n ** x, axis=1, keepdims=True), x, 1)
    for n, expected in ((1, [0, 0]), (3, [18, 42]), (2, [4, 4]), (1.0, [0, 0]), (0, [0, 0])):
        assert np.allclose(gl.dlfeval(power, x, n).tolist(), np.reshape(expected, (2, 1)))
    for n in (1.0, 1.5, 1, 2):
        expected = (np.log(n) ** 2 * n ** np.asarray(x)).sum(1, keepdims=True)
        assert np.allclose(gl.dlfeval(base, x, n), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_factor_of_zero_proves_nothing_of_another(dtype):
    planning._plans.clear()
    x = gl.dlarray([[1.0, 2.0], [3.0, 4.0]], dtype=dtype)
    fun = lambda x, n: gl.dljacobian(n * gl.cumsum(x, axis=0), x, 1)
    for n in (0, 0.0):
        gl.dlfeval(fun, x, n)
    for n in (2, 0.5, -1, 1):
        with pytest.warns(BatchDependenceWarning, match="cumsum"):
            gl.dlfeval(fun, x, n)


def test_bytes_are_those_of_these_positions():
    planning._plans.clear()
    x = gl.dlarray(np.arange(8.0))

    def held(x, where):
        y = x * x
        for _ in range(6):  # so long a trace is planned
            y = gl.sin(y)
        J = gl.dljacobian(gl.take(y, where), x)
        return J.nbytes, J

    for where in ([0, 1, 2, 3], [0, 0, 0, 0], [7, 3, 3, 1]):
        planned, J = gl.dlfeval(held, x, gl.dlarray(where, dtype="int64"))
        assert planned == J.nbytes, where
