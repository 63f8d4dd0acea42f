"""interface.md 6.4: check_finite sees every operation, whoever defined it, in whatever way and whenever."""

import gc
import math
import threading

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core import finite
from gradloom.core.operation import Operation
from gradloom.interop.torch import from_torch

X = gl.dlarray([4.0, 0.0])


def in_a_network(layer):
    net = gl.dlnetwork([gl.layers.FeatureInput(2), layer])
    return lambda x: gl.stripdims(net(gl.dlarray(gl.reshape(x, (2, 1)), "CB")))


def own_elementwise():
    return gl.elementwise("mylog", torch.log, lambda x: 1 / x)


def own_binary():
    f = gl.elementwise("myquotient", torch.div, lambda b: 1 / b, lambda a, b: -a / b**2)
    return lambda x: f(gl.dlarray(1.0), x)


def own_elementwise_with_a_parameter():
    f = gl.elementwise("mypower", lambda x, n: x**n, lambda x, n: n * x ** (n - 1))
    return lambda x: f(x, n=-1)


def own_elementwise_pulled_fused():
    return gl.elementwise("myroot", torch.sqrt, lambda y: 0.5 / y, fused_pull=lambda y_bar, y: y_bar * 0.5 / y)


def own_multilinear():
    return gl.multilinear("heavy", lambda x: x * 1e200 * 1e200, transposes={"x": lambda y_bar: y_bar * 1e200 * 1e200}, labels="x")


def own_general():
    return gl.general("reciprocals", lambda x: 1 / x, push=lambda x_dot, y: -y * y * x_dot, pull=lambda y_bar, y: -y * y * y_bar, labels="x")


def own_general_with_several_outputs():
    f = gl.general("both", lambda x: (x + 1, torch.log(x)), push=lambda x_dot, x: (x_dot, x_dot / x), pull=lambda y_bar, x: (y_bar[0], y_bar[1] / x), outputs=2)
    return lambda x: f(x)[1]


class Logarithm(gl.DifferentiableFunction):
    def forward(self, x):
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(x))

    def backward(self, y_bar, inputs):
        return y_bar / inputs[0]


def own_function():
    return Logarithm()


class LogLayer(gl.Layer):
    def predict(self, x):
        with np.errstate(divide="ignore"):
            return gl.dlarray(np.log(gl.extractdata(x)), x.dims)

    def backward(self, x, y, y_bar):
        return y_bar / x


def own_layer():
    return in_a_network(LogLayer())


def own_layer_with_an_own_operation():
    f = own_elementwise()

    class Plain(gl.Layer):
        def predict(self, x):
            return f(x)

    return in_a_network(Plain())


def torch_function_without_an_entry():
    return lambda x: torch.special.entr(x) + torch.logit(x / 4)


def torch_module():
    class Log(torch.nn.Module):
        def forward(self, x):
            return x.log()

    return from_torch(Log())


WAYS = [own_elementwise, own_binary, own_elementwise_with_a_parameter, own_multilinear, own_general, own_general_with_several_outputs, own_function, own_layer,
        own_layer_with_an_own_operation, torch_function_without_an_entry, torch_module]


@pytest.mark.parametrize("inside", [False, True], ids=["defined before", "defined inside"])
@pytest.mark.parametrize("way", WAYS, ids=lambda w: w.__name__)
def test_every_way_to_define_an_operation_is_seen(way, inside):
    before = None if inside else way()
    for traced in (False, True):
        with gl.check_finite(), pytest.raises(gl.NotFinite, match=r"(?s)infinity|NaN.*test_check_finite\.py"):
            call = way() if inside else before
            gl.dlfeval(call, X) if traced else call(X)
    assert not np.isfinite(np.asarray(way()(X))).all()  # outside it runs as ever


def test_the_line_and_the_operands_of_an_own_operation():
    mylog = own_elementwise()
    with gl.check_finite(), pytest.raises(gl.NotFinite, match=r"mylog\(x 2\) made an infinity in 1 of 2 elements, at test_check_finite\.py:\d+: mylog\(X\)"):
        mylog(X)
    cube = own_function()
    with gl.check_finite(), pytest.raises(gl.NotFinite, match=r"Logarithm\(x 2\) made an infinity"):
        cube(X)


# Finite forwards, infinite backwards: at 0.
def root_function():
    class Root(gl.DifferentiableFunction):
        def forward(self, x):
            return np.sqrt(np.asarray(x))

        def backward(self, y_bar, outputs):
            return y_bar * 0.5 / outputs[0]

    return Root()


def root_layer():
    class RootLayer(gl.Layer):
        def predict(self, x):
            return gl.sqrt(x)

        def backward(self, x, y, y_bar):
            return y_bar * 0.5 / y

    return in_a_network(RootLayer())


def root_general():
    return gl.general("root", lambda x: torch.sqrt(x), push=lambda x_dot, y: x_dot * 0.5 / y, pull=lambda y_bar, y: y_bar * 0.5 / y, labels="x")


def root_elementwise():
    return gl.elementwise("root", torch.sqrt, lambda y: 0.5 / y)


ROOTS = [own_elementwise_pulled_fused, root_function, root_layer, root_general, root_elementwise, lambda: gl.sqrt]
WALKS = {
    "raw": lambda f, x: gl.dlgradient(gl.sum(f(x)), x),
    "recorded": lambda f, x: gl.dlgradient(gl.sum(f(x)), x, enable_higher_derivatives=True),
    "forwards": lambda f, x: gl.jvp(f(x), x, gl.ones(2)),
    "rows": lambda f, x: gl.dljacobian(f(x), x, 0),
    "a Jacobian": lambda f, x: gl.dljacobian(f(x), x).matrix(),
}


@pytest.mark.parametrize("walk", list(WALKS))
@pytest.mark.parametrize("root", ROOTS, ids=["fused", "function", "layer", "general", "elementwise", "library"])
def test_every_walk_through_every_kind_of_operation_is_seen(root, walk):
    f = root()
    with gl.check_finite(), pytest.raises(gl.NotFinite, match=r"test_check_finite\.py"):
        gl.dlfeval(lambda x: WALKS[walk](f, x), X)
    found = gl.dlfeval(lambda x: WALKS[walk](f, x), X)
    assert not np.isfinite(np.asarray(found)).all()


def test_walks_that_were_written_out_are_seen():
    def f(x):
        return gl.sqrt(x[0]) * x[1]

    gradient = gl.value_and_gradient(f)
    for _ in range(40):
        gradient(np.array([1.0, 2.0]))
    with gl.check_finite(), pytest.raises(gl.NotFinite, match="the derivative of sqrt"):
        gradient(np.array([0.0, 2.0]))


def test_blocks_nest_end_and_decorate():
    def infinite():
        return math.isinf(gl.log(gl.dlarray(0.0)).item())

    for _ in range(50):
        with gl.check_finite():
            gl.exp(gl.dlarray(0.0))
    assert len(finite._blocks) <= 2  # what is over is forgotten
    block = gl.check_finite()
    assert infinite()  # not entered yet
    with block, gl.check_finite(), pytest.raises(gl.NotFinite):
        infinite()
    with pytest.raises(ValueError), gl.check_finite():
        raise ValueError
    assert infinite()

    @gl.check_finite()
    def checked():
        return infinite()

    for _ in range(2):
        with pytest.raises(gl.NotFinite):
            checked()
    assert infinite()
    del block, checked
    gc.collect()
    assert infinite() and "__getattribute__" not in vars(Operation)


def test_threads_check_for_themselves():
    results, entered, done = [], threading.Event(), threading.Event()

    def other():
        with gl.check_finite():
            entered.set()
            done.wait()
            try:
                gl.log(gl.dlarray(0.0))
            except gl.NotFinite:
                results.append("seen")

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    for _ in range(3):  # this thread is in no block: it neither checks, nor ends what the other does
        assert math.isinf(gl.log(gl.dlarray(0.0)).item())
        with gl.check_finite():
            pass
    done.set()
    thread.join()
    assert results == ["seen"]


def test_a_masked_score_may_be_infinite_in_torch_code():
    """What is given may be infinite, and memory that nobody has written is not looked at."""

    class Masked(torch.nn.Module):
        def forward(self, x):
            scores = torch.zeros_like(x).masked_fill(x < 1, float("-inf"))
            return torch.softmax(scores, -1) + torch.empty_like(x) * 0

    with gl.check_finite():
        assert from_torch(Masked())(X).shape == (2,)


@pytest.mark.parametrize("traced", [True, False])
def test_a_function_with_its_own_backward_in_torch_code_is_seen(traced):
    class Log(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.log(x)

        @staticmethod
        def backward(ctx, y_bar):
            return y_bar * 0

    class Layer(torch.nn.Module):
        def forward(self, x):
            return Log.apply(x)

    net, x = from_torch(Layer()), gl.dlarray([1.0, -1.0])
    with gl.check_finite(), pytest.raises(gl.NotFinite, match="Log.* made a NaN in 1 of 2 elements"):
        gl.dlfeval(net, x) if traced else net(x)
