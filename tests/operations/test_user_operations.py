"""A user's own operations, functions with their own backward, and the checker of both."""
import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.tables import OPERATIONS, PUBLIC

X = gl.dlarray([[0.3, -1.2, 2.0], [1.0, 0.5, -0.7]])


# ----- own operations -----


def softsign():
    return gl.elementwise("softsign", lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + gl.abs(x)) ** 2)


def test_an_elementwise_operation():
    f = softsign()
    assert gl.check_derivatives(f, X, order=2).ok
    y = gl.dlfeval(lambda x: f(x), gl.dlarray(X, "CB"))
    assert y.dims == "CB" and f.__name__ == "softsign" and "elementwise" in f.__doc__
    assert type(f(torch.ones(2))) is torch.Tensor
    J = gl.dlfeval(lambda x: gl.dljacobian(f(x), x), gl.dlarray(np.ones(1000)))
    assert J.nbytes < 20_000  # structured
    np.testing.assert_allclose(np.diag(J.matrix()), np.full(1000, 0.25))

    def third(x):
        y = f(x)
        for _ in range(3):
            y = gl.sum(gl.dlgradient(gl.sum(y), x, enable_higher_derivatives=True))
        return y

    assert abs(float(gl.dlfeval(third, gl.dlarray(1.0))) - 6 / 16) < 1e-12


def test_parameters_and_several_inputs():
    power = gl.elementwise("scaled_product", lambda a, b, *, scale=2.0: scale * a * b, lambda b, scale: scale * b, lambda a, scale: scale * a)
    a, b = gl.dlarray(X, "CB"), gl.dlarray([1.0, 2.0, 3.0], "B")
    np.testing.assert_allclose(power(a, b), 2 * np.asarray(X) * [1, 2, 3])
    assert power(a, b, scale=3.0).dims == "CB"
    assert gl.check_derivatives(lambda a, b: power(a, b, scale=3.0), a, b, order=2).ok
    for call, message in ((lambda: power(a), r"takes 2 arrays \(a, b\), 1 were given"), (lambda: power(a, b, size=1), "no parameter 'size'.*scale")):
        with pytest.raises(gl.TypeRefused, match=message):
            call()
    plain = gl.elementwise("twice_sine", torch.sin, lambda x: gl.cos(x))  # a kernel whose signature cannot be read
    assert gl.check_derivatives(plain, X, order=2).ok
    complex_ = gl.elementwise("squared_size", lambda x: (x * x.conj()).real, lambda x: 2 * x, complex_partials=[(lambda x: gl.conj(x), lambda x: x)])
    assert gl.check_derivatives(complex_, gl.dlarray([1 + 2j, -0.5j])).ok


def test_a_multilinear_operation():
    mixed = gl.multilinear("mixed", lambda x, w: x @ w, axes="n i, i o -> n o",
                           transposes={"x": lambda y_bar, w: y_bar @ gl.matrix_transpose(w), "w": lambda y_bar, x: gl.matrix_transpose(x) @ y_bar})
    x, w = gl.dlarray(X, "BC"), gl.dlarray(np.ones((3, 4)))
    assert gl.dlfeval(mixed, x, w).dims == "BU" and mixed(X, w).dims == ""
    assert gl.check_derivatives(mixed, X, w, order=2).ok
    J = gl.dlfeval(lambda x, w: gl.dljacobian(mixed(x, w), w), X, w)
    np.testing.assert_allclose(J.matrix(), np.einsum("ni,op->noip", X, np.eye(4)).reshape(8, 12))
    with pytest.raises(gl.TypeRefused, match="inputs x and transposes for w"):
        gl.multilinear("half_mixed", lambda x, *, w: x, transposes={"w": lambda y_bar: y_bar})
    with pytest.raises(gl.TypeRefused, match="labels='z' is none of its inputs"):
        gl.multilinear("kept", lambda x: x, transposes={"x": lambda y_bar: y_bar}, labels="z")


OF_NUMBERS = {
    "power": (gl.elementwise("power_of_numbers", lambda x, p: torch.pow(x, p), lambda x, p: p * gl.power(x, p - 1), lambda x, p, y: y * gl.log(x)),
              lambda f, x: f(3.0, x), lambda x: 3.0 ** x),
    "parameter": (gl.elementwise("parameter_of_numbers", lambda x, base=2.0: x / np.log(base), lambda base: 1 / gl.log(base)), lambda f, x: f(x), lambda x: x / np.log(2.0)),
    "made": (gl.elementwise("made_of_shapes", lambda x: x * 2, lambda x: gl.full(x.shape, 2.0)), lambda f, x: f(x), lambda x: x * 2),
    "multilinear": (gl.multilinear("halves", lambda x: x / 2, axes="n -> n", transposes={"x": lambda y_bar: y_bar * gl.exp(-np.log(2.0))}), lambda f, x: f(x),
                    lambda x: x / 2),
    "general": (gl.general("doubles", lambda x: x * 2, push=lambda x_dot: x_dot * 2, pull=lambda y_bar: y_bar * gl.asarray(2.0), labels="x"), lambda f, x: f(x),
                lambda x: x * 2)}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_rules_may_make_arrays_of_numbers(name, dtype):
    """Operands that are numbers, and rules that make dlarrays where they are given tensors, in every walk; `axes` of a kernel that is no einsum."""
    f, call, truth = OF_NUMBERS[name]
    v = gl.dlarray([1.0, -2.0], dtype=dtype)
    words = [lambda u, x: u, lambda u, x: gl.dlgradient(gl.sum(u ** 2), x), lambda u, x: gl.dlgradient(gl.sum(u ** 2), x, enable_higher_derivatives=True),
             lambda u, x: gl.dljacobian(u, x).matrix(), lambda u, x: gl.dljacobian(u, x, 0), lambda u, x: gl.jvp(u, x, v), lambda u, x: gl.vjp(u, x, v),
             lambda u, x: gl.hvp(gl.sum(u ** 2), x, v), lambda u, x: gl.dllaplacian(gl.sum(u ** 2), x, 0)]
    for word in words:
        found, expected = [gl.dlfeval(lambda x, of=of, word=word: word(of(x), x), gl.dlarray([2.0, 3.0], dtype=dtype)) for of in (lambda x: call(f, x), truth)]
        assert type(found._value) is torch.Tensor and found.dtype is expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-12 if dtype == "float64" else 1e-5)


def test_a_general_operation():
    normalized = gl.general(
        "normalized", lambda x, *, axis: (x / x.norm(dim=axis, keepdim=True), x.norm(dim=axis, keepdim=True)), hidden=("size",), labels="x",
        push=lambda x_dot, x, axis: push(x_dot, x, axis), pull=lambda y_bar, x, axis: push(y_bar, x, axis))

    def push(x_dot, x, axis):
        size = gl.norm(x, axis=axis, keepdims=True)
        unit = x / size
        return (x_dot - unit * gl.sum(unit * x_dot, axis=axis, keepdims=True)) / size

    f = lambda x: normalized(x, axis=-1)
    assert gl.check_derivatives(f, X, order=2).ok
    assert f(gl.dlarray(X, "BC")).dims == "BC"
    J = gl.dlfeval(lambda x: gl.dljacobian(f(x), x).matrix(), X)
    rows = gl.dlfeval(lambda x: gl.dljacobian(gl.reshape(f(x), (6,)), x, 0), X)
    np.testing.assert_allclose(J, np.asarray(rows).reshape(6, 6), atol=1e-12)
    with pytest.raises(gl.TypeRefused, match="needs axis="):
        normalized(X)
    pair = gl.general("sum_and_difference", lambda a, b: (a + b, a - b), outputs=2, push=lambda a_dot, b_dot: both(a_dot, b_dot),
                      pull=lambda y_bar: both(*y_bar))

    def both(a, b):
        a, b = (gl.zeros_like(o) if x is None else x for x, o in ((a, b), (b, a)))
        return a + b, a - b

    assert gl.check_derivatives(lambda a, b: pair(a, b)[0] * pair(a, b)[1], X, X, order=2).ok


def test_names():
    first = softsign()
    second = gl.elementwise("softsign", lambda x: 2 * x, 2)  # declared again, as in a notebook
    assert float(first(gl.dlarray(1.0))) == 0.5 and float(second(gl.dlarray(1.0))) == 2
    assert "softsign" not in OPERATIONS and "softsign" not in PUBLIC

    def jacobian(f):
        return np.asarray(gl.dlfeval(lambda x: gl.dljacobian(f(gl.sum(x, axis=1)), x).matrix(), X))

    assert jacobian(first).max() < 1 and jacobian(second).max() == 2  # plans are not mixed up by the name
    with pytest.raises(ValueError, match=r"has an operation named 'tanh', at test_user_operations.py.*another name"):
        gl.elementwise("tanh", torch.tanh, 1)
    assert OPERATIONS["tanh"].public is gl.tanh


@pytest.mark.parametrize(("declare", "message"), [
    (lambda: gl.elementwise("none", lambda x: x), "states no partial"),
    (lambda: gl.elementwise("misspelled", lambda value: value, lambda vaule: 1), "reads 'vaule', which it has not.*did you mean 'value'"),
    (lambda: gl.elementwise("one", lambda x: x, 1, 1), "takes x and 2 derivatives are stated"),
    (lambda: gl.elementwise("output", lambda y: y, 1), "y is the output's name"),
    (lambda: gl.elementwise("numpy_kernel", lambda x: np.sin(x.numpy()), 1)(X), "returned a ndarray.*DifferentiableFunction"),
    (lambda: gl.general("unreadable", torch.sin, push=lambda x_dot: x_dot, pull=lambda y_bar: y_bar), "signature cannot be read"),
    (lambda: gl.general("hidden_rule", lambda x: x, push=lambda x_dot, z: x_dot, pull=lambda y_bar: y_bar), "reads 'z'"),
])
def test_declarations_that_do_not_fit(declare, message):
    with pytest.raises(gl.TypeRefused, match=message):
        declare()


def test_memory_is_saved_only_where_it_can_be_computed_again():
    assert not softsign().operation.recomputable
    assert gl.elementwise("pure_sign", lambda x: x / 2, 0.5, pure=True).operation.recomputable


# ----- functions with their own backward -----


class Product(gl.DifferentiableFunction):
    """a b and sin(a), in NumPy forwards."""

    num_outputs = 2

    def forward(self, a, b):
        return np.asarray(a) * np.asarray(b), gl.sin(a)

    def backward(self, y_bar, z_bar, inputs, wanted):
        a, b = inputs
        self.wanted = wanted
        return y_bar * b + z_bar * gl.cos(a), a * y_bar if wanted[1] else None


class NumPyCube(gl.DifferentiableFunction):
    def forward(self, x):
        x = np.asarray(x)
        return x ** 3, x ** 2

    def backward(self, y_bar, memory):
        return 3 * memory[0] * np.asarray(y_bar)


class Exponential(gl.DifferentiableFunction):
    def forward(self, x):
        return gl.dlarray(np.exp(np.asarray(x)), x.dims or None)

    def backward(self, y_bar, outputs):
        return outputs[0] * y_bar


def test_any_order_and_both_directions():
    a, b = gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, -4.0])
    assert gl.check_derivatives(Product(), a, b, order=2).ok
    assert gl.check_derivatives(lambda x: Exponential()(x) * x, X, order=2).ok

    def fourth(x):
        y = Exponential()(2 * x)
        for _ in range(4):
            y = gl.dlgradient(y, x, enable_higher_derivatives=True)
        return y

    assert abs(float(gl.dlfeval(fourth, gl.dlarray(0.5))) - 16 * np.e) < 1e-10


def test_which_gradients_are_wanted():
    f = Product()
    a, b = gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, -4.0])
    g = gl.dlfeval(lambda a: gl.dlgradient(gl.sum(f(a, b)[0]), a), a)
    assert f.wanted == (True, False)
    np.testing.assert_array_equal(g, b)


def test_one_output_of_two():
    a, b = gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, -4.0])
    g = gl.dlfeval(lambda a, b: gl.dlgradient(gl.sum(Product()(a, b)[1]), a, b), a, b)
    np.testing.assert_allclose(g[0], np.cos([1.0, 2.0]))
    np.testing.assert_array_equal(g[1], [0, 0])


def test_only_what_is_asked_for_is_kept():
    def nodes(x):
        y = Exponential()(x)
        z = NumPyCube()(x)
        return y._node.values[0] is None, y._node.values[1] is not None, z._node.values == [None, None]

    assert gl.dlfeval(nodes, X) == (True, True, True)


def test_labels_and_tensors():
    y = gl.dlfeval(lambda x: Exponential()(x), gl.dlarray(X, "CB"))
    assert y.dims == "CB" and not y.traced
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(Exponential()(x)), x), gl.dlarray(X, "CB"))
    assert g.dims == "CB"
    assert type(NumPyCube()(torch.ones(2))) is torch.Tensor and NumPyCube()(2.0).item() == 8


def test_a_backward_in_numpy():
    """Gradients, tangents and Jacobians; a second derivative is an error, not a wrong number."""
    f = NumPyCube()
    report = gl.check_derivatives(f, X)
    assert report.ok and "not to be had" in str(report)
    J = gl.dlfeval(lambda x: gl.dljacobian(f(x), x).matrix(), X)
    np.testing.assert_allclose(J, np.diag(3 * np.asarray(X).ravel() ** 2))
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(f(x)), x, enable_higher_derivatives=True), X)  # asked for, not used
    np.testing.assert_allclose(g, 3 * np.asarray(X) ** 2)

    def second(x):
        g = gl.dlgradient(gl.sum(f(x)), x, enable_higher_derivatives=True)
        return gl.dlgradient(gl.sum(g), x)

    with pytest.raises(gl.TraceError, match=r"was not recorded.*write NumPyCube\.backward in operations of gradloom"):
        gl.dlfeval(second, X)


def test_a_lost_trace_is_an_error():
    """What is taken out of the trace in a backward is not taken for a constant."""
    class Lost(gl.DifferentiableFunction):
        def forward(self, x):
            return x * x

        def backward(self, y_bar, inputs):
            return 2 * gl.detach(inputs[0]) * gl.detach(y_bar)

    class Memory(gl.DifferentiableFunction):
        def forward(self, x):
            return x * x, 2 * np.asarray(x)

        def backward(self, y_bar, memory):
            return memory[0] * y_bar

    for f in (Lost(), Memory()):
        assert gl.check_derivatives(f, X).ok
        with pytest.raises(gl.TraceError, match="was not recorded"):
            gl.check_derivatives(f, X, order=2)


def test_masks_in_memory_are_constants():
    class Drop(gl.DifferentiableFunction):
        def forward(self, x):
            keep = np.asarray(gl.rand(x.shape)) > 0.5
            return np.where(keep, np.asarray(x) ** 2, 0), keep

        def backward(self, y_bar, inputs, memory):
            return gl.where(memory[0], 2 * inputs[0] * y_bar, 0.0)

    assert gl.check_derivatives(Drop(), gl.dlarray(np.ones((4, 5))), order=2).ok


def test_what_does_not_fit_is_said():
    class Short(Exponential):
        def backward(self, y_bar, inputs):
            return ()

    class Wrong(Exponential):
        def backward(self, y_bar):
            return gl.ones((7,))

    class Nothing(Exponential):
        def forward(self, x):
            return None

    class Many(Exponential):
        num_outputs = 0.5 and 3

        def backward(self, *y_bars):
            return y_bars[0]

    run = lambda f: gl.dlfeval(lambda x: gl.dlgradient(gl.sum(f(x)), x), X)
    for f, message in ((Short(), r"Short\.backward returned 0 cotangents, the function has 1 \(input 0\)"), (Wrong(), "the cotangent of input 0 is 7, input 0 is 2 x 3"),
                       (Nothing(), r"Nothing\.forward returned 1 results"), (Many(), "returned 1 results and num_outputs is 3")):
        with pytest.raises(gl.ShapeError, match=message):
            run(f)
    with pytest.raises(gl.TypeRefused, match="num_outputs is 0"):
        type("Zero", (Exponential,), {"num_outputs": 0})
    with pytest.raises(gl.TypeRefused, match="without arrays"):
        Exponential()()
    with pytest.raises(NotImplementedError, match="write def backward"):
        run(type("Half", (gl.DifferentiableFunction,), {"forward": lambda self, x: x})())


def test_in_a_layer_and_a_jacobian():
    class Layer(gl.Layer):
        w: gl.Learnable

        def initialize(self, layout):
            self.w = gl.ones(layout.shape[:1]) * 0.5

        def predict(self, x):
            return Exponential()(x * gl.dlarray(self.w, "C"))

    net = gl.dlnetwork([gl.layers.FeatureInput(3), Layer()], dtype="float64")
    x = gl.dlarray(np.ones((3, 2)), "CB")
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), net.learnables).matrix(), net, x)
    assert np.asarray(J).shape == (6, 3) and abs(np.asarray(J)).sum() > 0


# ----- the checker -----

MISTAKES = {
    "a wrong partial": (gl.elementwise("wrong_partial", lambda x: x ** 3, lambda x: 2 * x ** 2), {"pull", "push"}),
    "a partial that stops": (gl.elementwise("stopped_partial", lambda x: x ** 3, lambda x: 3 * gl.detach(x) ** 2 if isinstance(x, gl.dlarray) else 3 * x ** 2),
                             {"pull of pull", "push of pull"}),
    "a wrong transpose": (gl.multilinear("wrong_transpose", lambda x: x.cumsum(-1), transposes={"x": lambda y_bar: y_bar}), {"pull", "transpose"}),
    "a wrong push": (gl.general("wrong_push", lambda x: x * x, push=lambda x_dot, x: x * x_dot, pull=lambda y_bar, x: 2 * x * y_bar), {"push", "transpose"}),
    "a wrong pull": (gl.general("wrong_pull", lambda x: x * x, push=lambda x_dot, x: 2 * x * x_dot, pull=lambda y_bar, x: x * y_bar), {"pull", "transpose"}),
    "a missing conjugate": (gl.general("no_conjugate", lambda x: x * x, push=lambda x_dot, x: 2 * x * x_dot, pull=lambda y_bar, x: 2 * x * y_bar), {"pull", "transpose"}),
    "not a number": (gl.elementwise("nan_partial", lambda x: x, lambda x: 0 / (x - x)), {"pull", "push"}),
    "a small mistake": (gl.elementwise("nearly", lambda x: x ** 2, lambda x: 2.00001 * x), {"pull", "push"}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_found(name):
    f, walks = MISTAKES[name]
    x = gl.dlarray([1 + 2j, -0.5 - 1j]) if "conjugate" in name else X
    report = gl.check_derivatives(f, x, raises=False)
    assert not report.ok and not bool(report) and walks <= {c.walk for c in report.failures}
    with pytest.raises(gl.DerivativeMismatch, match=rf"derivatives of {f.__name__} are wrong, at test_user_operations\.py"):
        gl.check_derivatives(f, x)


def test_a_mistake_in_a_backward_is_located():
    class Off(Product):
        def backward(self, y_bar, z_bar, inputs):
            a, b = inputs
            mask = gl.dlarray([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]])
            return y_bar * b + z_bar * gl.cos(a), a * y_bar * mask

    report = gl.check_derivatives(Off(), X, 2 * X, raises=False)
    wrong = next(c for c in report.failures if c.walk == "pull")
    assert (wrong.of, wrong.at) == ("input 1", (1, 1)) and abs(wrong.found / wrong.expected - 2) < 1e-6
    assert all("input 1" in c.of or "of pull" in c.walk for c in report.failures)
    line = next(row for row in str(report).splitlines() if row.startswith("pull") and "input 1" in row)
    assert "[1, 1]" in line and "WRONG" in line and f"{wrong.expected:.6g}" in line


def test_the_checker_takes_any_function():
    net = {"w": gl.dlarray([[1.0, 2.0]]), "b": np.array([0.5])}
    report = gl.check_derivatives(lambda p, x, name: {"y": gl.tanh(p["w"] @ x + p["b"]), "n": len(name)}, net, gl.dlarray([1.0, -1.0]), "text")
    assert report.ok and {c.of for c in report.comparisons} == {"input 0['w']", "input 0['b']", "input 1"}
    assert gl.check_derivatives(gl.relu, gl.dlarray([0.0, 1.0, -1.0])).ok  # a kink is left out, and said
    assert "near a kink" in str(gl.check_derivatives(gl.relu, gl.dlarray([0.0, 1.0])))
    assert gl.check_derivatives(lambda x: x * gl.rand(x.shape), X).ok  # the same draws in every evaluation
    assert gl.check_derivatives(gl.sin, gl.dlarray(np.ones((50, 50), "float32")), entries=7).comparisons[0].entries == 7
    assert gl.check_derivatives(gl.sin, gl.zeros((0, 2))).ok
    for call, kind in ((lambda: gl.check_derivatives(gl.sin, 1), gl.ShapeError), (lambda: gl.check_derivatives(lambda x: 1.0, X), gl.TypeRefused)):
        with pytest.raises(kind):
            call()
