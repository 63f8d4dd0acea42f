"""The walk of scalar code, written out: the same gradient as the ordinary walk, and the ordinary walk wherever the code changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import forget

import gradloom as gl
from gradloom.derivatives.walks import unrolled
from gradloom.derivatives.walks.pull import pull

TIMES = unrolled.WORTHWHILE + 3


@pytest.fixture(autouse=True)
def _fresh():
    forget()


def written():
    return [w for w in unrolled._walks.values() if callable(w)]


def both(f, x, times=TIMES):
    """The last gradients by dlgradient and by the ordinary walk."""

    def run(x):
        y = f(x)
        found = gl.dlgradient(y, x)
        return found, gl.dlarray(pull({y._node: torch.ones_like(y._value)}, [x._node])[0])

    for _ in range(times):
        found, expected = gl.dlfeval(run, gl.dlarray(x))
    return found.numpy(), expected.numpy()


FUNCTIONS = {
    "rosenbrock": lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
    "shared": lambda x: (lambda a: a * a + gl.sin(a) * a - a)(x[0] * x[2]),
    "one entry": lambda x: gl.exp(x[1]) / 3,
    "negative index": lambda x: x[-1] * x[2] - x[-3],
    "a read alone": lambda x: x[1],
    "singular": lambda x: gl.sqrt(x[0] ** 2) + gl.log(x[1] ** 2 + 1) ** 1.5,
    "constants": lambda x: np.float64(2.0) * x[0] + gl.dlarray(3.0) * x[1] / gl.dlarray(0.5),
    "zero partial": lambda x: x[0] * x[1] + gl.sign(x[2]) * x[2],
    "power": lambda x: x[0] ** 3 * 2.0 ** x[1],
    "exponent 0": lambda x: x[0] ** 0 * x[1] + x[2] ** 0.0 + 3 * x[0],
    "imaginary part": lambda x: x[0] * x[1] + gl.imag(x[2]) * x[2],
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_gradient(name, dtype):
    found, expected = both(FUNCTIONS[name], np.array([0.7, -1.2, 2.0], dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-14)


def test_scalar_code_is_written_out_and_other_code_is_not():
    both(FUNCTIONS["rosenbrock"], np.array([-1.0, 2.0]))
    assert len(written()) == 1
    forget()
    both(lambda x: gl.sum(x * x) + x[0], np.array([-1.0, 2.0]))
    both(lambda x: (x[0:1] * x[1])[0], np.array([-1.0, 2.0]))
    both(lambda x: gl.real(x[0] * 1j) + x[1], np.array([-1.0, 2.0]))
    assert not written() and unrolled._walks


CHANGES = {
    "another operation": lambda x, late: (gl.sin if late else gl.cos)(x[0]) * x[1],
    "another entry": lambda x, late: x[2 if late else 0] * x[1],
    "another place": lambda x, late: (lambda a, b: (b if late else a) * b)(gl.sin(x[0]), gl.cos(x[1])),
    "a constant": lambda x, late: (2.0 if late else x[0]) * x[1],
    "operands exchanged": lambda x, late: (x[0] / x[1]) if not late else (x[1] / x[0]),
    "one step more": lambda x, late: (gl.sin(gl.sin(x[0])) if late else gl.sin(x[0])) * x[1],
    "a vector between": lambda x, late: (gl.sum(gl.stack([x[0], x[1]])) if late else x[0]) * x[1],
    "detached": lambda x, late: (gl.detach(x[0]) if late else x[0]) * x[1],
}


@pytest.mark.parametrize("name", CHANGES)
def test_code_that_changes_takes_the_ordinary_walk(name):
    """The same line, after its walk was written out for another trace."""
    late = []
    x = np.array([0.7, -1.2, 2.0])

    def f(x):
        return CHANGES[name](x, bool(late))

    both(f, x)
    assert written()
    late.append(1)
    found, expected = both(f, x, 1)
    forget()
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    plain, _ = both(f, x, 1)
    np.testing.assert_allclose(found, plain, rtol=1e-14)


def test_another_size_or_type_takes_the_ordinary_walk():
    f = FUNCTIONS["rosenbrock"]
    both(f, np.array([-1.0, 2.0]))
    for x in (np.array([-1.0, 2.0, 0.0]), np.array([-1.0, 2.0], "float32"), np.array([-1 + 1j, 2.0])):
        g = (lambda x: gl.real(f(x))) if x.dtype.kind == "c" else f
        found, expected = both(g, x, 2)
        assert found.shape == x.shape and found.dtype == x.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_it_gives_is_marked_and_owned():
    def run(x):
        y = FUNCTIONS["rosenbrock"](x)
        g = gl.dlgradient(y, x)
        with pytest.raises(gl.TraceError, match="enable_higher_derivatives"):
            gl.dlgradient(gl.sum(g), x)
        return g

    results = [gl.dlfeval(run, gl.dlarray([-1.0, 2.0])) for _ in range(TIMES)]
    assert written()
    assert len({g._value.data_ptr() for g in results}) == TIMES
    assert [float(v) for v in results[-1]] == [396.0, 200.0]


def test_a_zero_gradient_and_several_targets_stay_with_the_ordinary_walk():
    def run(x, z):
        return gl.dlgradient(x[0] * z[1], x, z), gl.dlgradient(x[0] * 2, z)

    for _ in range(TIMES):
        (gx, gz), zero = gl.dlfeval(run, gl.dlarray([3.0, 4.0]), gl.dlarray([5.0, 6.0]))
    assert gx.tolist() == [6.0, 0.0] and gz.tolist() == [0.0, 3.0] and zero.tolist() == [0.0, 0.0]


def test_a_second_variable_that_is_not_asked_for():
    def run(x, z):
        return gl.dlgradient(gl.sin(x[0]) * z[1] + x[1] * x[0], x)

    for _ in range(TIMES):
        g = gl.dlfeval(run, gl.dlarray([3.0, 4.0]), gl.dlarray([5.0, 6.0]))
    np.testing.assert_allclose(g.numpy(), [np.cos(3.0) * 6 + 4, 3.0], rtol=1e-14)


def test_another_device_takes_the_ordinary_walk():
    x = gl.dlarray(torch.ones(3, dtype=torch.float64))

    def f(x):
        return gl.dlgradient(x[0] + x[1], x)

    for arrays in ([x] * TIMES, [x.to(device="meta"), x], [x.to(device="meta")] * TIMES):
        forget() if len(arrays) > 2 else None
        for a in arrays:
            assert gl.dlfeval(f, a).device == a.device
    assert written()
