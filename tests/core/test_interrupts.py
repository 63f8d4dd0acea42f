"""Ctrl-C at any moment leaves nothing behind: interface.md 6.2."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from interrupts import assert_nothing_is_left, collector_on, interrupted, interrupted_at_random, interrupted_everywhere
from torch.utils.checkpoint import checkpoint

import gradloom as gl
from gradloom.core import progress
from gradloom.derivatives.jacobians import writing as jacobian_large
from gradloom.derivatives.walks import kept_plans as planning
from gradloom.interop.torch import from_torch

# Python itself loses an interrupt that comes while it closes a generator or calls a finalizer, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ESCAPED: list = []
X, V = gl.dlarray([1.0, 2.0]), np.array([1.0, 2.0, 3.0])
SEQUENCE, WEIGHTS = gl.dlarray(np.ones((3, 1, 2), "float32")), gl.dlarray(np.ones((8, 2), "float32") / 4)


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, y_bar):
        return 2 * ctx.saved_tensors[0] * y_bar


class OwnDerivatives(torch.nn.Module):
    """Functions with a backward of their own, torch's derivatives, gradients off and on, numbers that a call leaves behind."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.steps = torch.nn.Buffer(torch.zeros(2, dtype=torch.float64))
        self.seen = torch.zeros(2)

    def forward(self, x):
        type(self).calls += 1
        self.seen += 1
        with torch.no_grad():
            self.steps += x
        y = checkpoint(torch.sin, Squared.apply(x), use_reentrant=True) - torch.sin(x * x)
        y = y + Squared.apply(x)
        y.data = y.data + 1
        return torch.autograd.grad(y.sum(), x, create_graph=True)[0] + torch.squeeze(self.steps.clone().unsqueeze_(0), 0) * 0


OWN = from_torch(OwnDerivatives())
NET = from_torch(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh()))


def gradients():
    def fun(x):
        ESCAPED.append(x * 2)
        inner = gl.dlfeval(lambda z: gl.dlgradient(gl.sum(z**3), z, enable_higher_derivatives=True), x)
        return gl.dlgradient(gl.sum(inner), x), gl.sum(inner)

    return gl.dlfeval(fun, X)[0].tolist() == [6, 12]


def checked():
    with gl.check_finite():
        y = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.exp(x) * 0 + x), x, enable_higher_derivatives=True), X)
        with gl.check_finite():
            y = y + 1
    return y.tolist() == [2, 2]


def functions_in_functions():
    def fun(x):
        ESCAPED.append(x + 1)
        value, gradient = gl.value_and_gradient(lambda v: gl.sum(v * v))(V)
        return x * value + gl.sum(gl.dlarray(gradient)) * 0

    return gl.value_and_gradient(lambda x: gl.sum(fun(x)))(X)[1].tolist() == [14, 14]


def jacobians():
    planning._plans.clear()

    def fun(x):
        y = gl.tanh(gl.matmul(gl.dlarray([[1.0, 2.0], [3.0, 4.0], [0.5, 0.0]]), x))
        return gl.dljacobian(y, x), gl.dllaplacian(gl.sum(y), x, 0)

    return gl.dlfeval(fun, X)[0].matrix().shape == (3, 2)


def adjoints():
    def fun(y0, k):
        y = gl.dlode45(lambda t, y, k: -gl.dlgradient(k * gl.sum(y * y) / 2, y, enable_higher_derivatives=True), (0.0, 0.02), y0, k, gradient_mode="adjoint", max_step_size=0.02)
        return gl.dlgradient(gl.sum(y), y0)

    return np.allclose(gl.dlfeval(fun, X, gl.dlarray(0.5)), np.exp(-0.01), rtol=1e-3)


def torch_code():
    def fun(x):
        y = torch.special.xlog1py(NET(gl.reshape(x, (1, 2))), 2.0)
        ESCAPED.append(y)
        return gl.dlgradient(gl.sum(y), x)

    return np.isfinite(np.asarray(gl.dlfeval(fun, X))).all()


def derivatives_in_torch_code():
    def fun(x):
        y = OWN(x)
        ESCAPED.append(y)
        return gl.dlgradient(gl.sum(y * y), x)

    return [round(g, 6) for g in gl.dlfeval(fun, X).tolist()] == [8, 16]


def bars():
    J = gl.dlfeval(lambda x: gl.dljacobian(x * x, x), gl.dlarray(np.arange(6.0)))
    out = np.zeros((6, 6))
    J.dense(out=out)
    return np.array_equal(out, np.diag(2 * np.arange(6.0)))


def libraries():
    y, _, _ = gl.lstm(SEQUENCE, gl.zeros((2, 1), dtype="float32"), gl.zeros((2, 1), dtype="float32"), WEIGHTS, WEIGHTS, gl.zeros(8, dtype="float32"),
                      data_format="TBC")
    z = gl.matmul(scipy.sparse.csr_array(np.eye(3)), gl.dlarray(V))
    J = gl.sparse_jacobian(lambda x: x[1:] * x[:-1])(V)
    return y.shape == (3, 1, 2) and z.tolist() == [1, 2, 3] and J.toarray().tolist() == [[2, 1, 0], [0, 3, 2]]


FEWER = {jacobians: 150, adjoints: 60, derivatives_in_torch_code: 250}  # at how many places the longer programs are interrupted
PROGRAMS = [gradients, checked, functions_in_functions, jacobians, adjoints, torch_code, derivatives_in_torch_code, bars, libraries]


@pytest.fixture(autouse=True)
def around(monkeypatch):
    """Bars are shown at once, and work is in pieces."""
    monkeypatch.setattr(progress, "watched", lambda: True)
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "_bar", lambda total, what, done: Bar())
    monkeypatch.setattr(jacobian_large, "PIECE", 48)
    Bar.shown = 0
    ESCAPED.clear()
    with collector_on():
        yield
    ESCAPED.clear()


class Bar:
    """As tqdm's, one that nothing refers to is closed."""

    shown = 0

    def __init__(self):
        self.open = True
        Bar.shown += 1

    def update(self, n):
        pass

    def close(self):
        if self.open:
            Bar.shown -= 1
            self.open = False

    __del__ = close


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_an_interrupt_at_any_place_leaves_nothing(program):
    assert program()
    places, filters = 0, warnings.filters
    for _ in interrupted_everywhere(program, FEWER.get(program, 400)):
        assert_nothing_is_left(ESCAPED)
        assert Bar.shown == 0, "a progress bar stayed"
        assert warnings.filters is filters, "warnings stayed filtered"
        assert OwnDerivatives.calls == 0, "a module's class stayed changed"
        ESCAPED.clear()
        places += 1
    assert places >= 60
    assert program()
    assert_nothing_is_left(ESCAPED)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_an_interrupt_at_many_places_leaves_nothing(program):
    for _ in interrupted_everywhere(program, 4000):
        assert_nothing_is_left(ESCAPED)
        ESCAPED.clear()
        assert Bar.shown == 0 and program()
        ESCAPED.clear()


@pytest.mark.parametrize("program", [gradients, checked], ids=lambda p: p.__name__)
def test_interrupts_at_random_moments_leave_nothing(program):
    for _ in interrupted_at_random(program, 500):
        assert_nothing_is_left(ESCAPED)
        ESCAPED.clear()
    assert program()


MANY = {gradients: 12_000, checked: 9_000, functions_in_functions: 9_000, bars: 4_000, torch_code: 2_000, derivatives_in_torch_code: 1_000, libraries: 1_000,
        jacobians: 1_500, adjoints: 500}


@pytest.mark.slow
def test_forty_thousand_interrupts_leave_nothing():
    assert sum(MANY.values()) == 40_000 and set(MANY) == set(PROGRAMS)
    for program, count in MANY.items():
        for _ in interrupted_at_random(program, count):
            assert_nothing_is_left(ESCAPED)
            ESCAPED.clear()
            assert Bar.shown == 0, f"a progress bar stayed in {program.__name__}"
        assert program(), program.__name__


def test_the_places_are_those_where_python_lets_an_interrupt_in():
    """The tool itself: it strikes where it is told to, once, and everywhere between the first line and the last."""
    seen = []

    def program():
        seen.clear()
        for n in range(3):
            seen.append(n)
        len(seen)

    total = interrupted(program, 0)
    lengths = []
    for place in range(1, total + 1):
        interrupted(program, place)
        lengths.append(len(seen))
    assert lengths[0] <= lengths[-1] == 3 and {1, 2} <= set(lengths)
