"""A layer's own backward with several outputs, memory, states and networks, against the same layer without one."""
from typing import ClassVar

import numpy as np
import pytest
from helpers import stream

import gradloom as gl
from gradloom.core.containers import flatten

L = gl.layers
draws = stream(3)


def close(found, expected):
    found, expected = flatten(found)[0], flatten(expected)[0]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-9, atol=1e-11)


def without(kind):
    """The class without its backward."""
    held = {name: value for name, value in vars(kind).items()
            if name in ("predict", "forward", "initialize", "reset_state", "output_names", "input_names")}
    return type(f"Plain{kind.__name__}", (gl.Layer,), {**held, "__annotations__": dict(kind.__annotations__),
                                                       "__module__": __name__})


def both_ways(derivatives, own, plain, x):
    """A layer's own backward gives what the layer without it gives, in plain calls and replayed."""
    expected = gl.dlfeval(derivatives, plain, x)
    close(gl.dlfeval(derivatives, own, x), expected)
    fast = gl.dlaccelerate(derivatives)
    for _ in range(5):
        close(gl.dlfeval(fast, own, x), expected)
    assert fast.hit_rate > 0


def pair(make, *rest, **named):
    """A network with a layer that has its own backward, and the same one without."""
    return [gl.dlnetwork(make(kind), *rest, dtype="float64", **named) for kind in (lambda x: x, without)]


def first(net, x, training=True):
    y = (net.forward if training else net.predict)(x)
    ys = y if isinstance(y, tuple) else (y,)
    loss = sum(gl.sum(part * (k + 1)) for k, part in enumerate(ys))
    return y, gl.dlgradient(loss, (x, net.learnables))


def second(net, x):
    """First derivatives, those of their squares, tangents, and tangents of the first."""
    ys = net(x)
    loss = sum(gl.sum(part ** 2 * (k + 1)) for k, part in enumerate(ys if isinstance(ys, tuple) else (ys,)))
    g = gl.dlgradient(loss, (x, net.learnables), enable_higher_derivatives=True)
    total = sum(gl.sum(part ** 2) for part in (g[0], *g[1].values()))
    return (ys, g, gl.dlgradient(total, (x, net.learnables), retain_data=True), gl.jvp(ys, x, gl.ones_like(x)),
            gl.jvp(g[0], x, gl.ones_like(x)))


class SineAndSquare(gl.Layer):
    a: gl.Learnable
    output_names: ClassVar[tuple[str, ...]] = ("sine", "square")

    def initialize(self, layout):
        self.a = gl.full((1,), 2.0)

    def predict(self, x):
        return gl.sin(self.a * x), x ** 2

    def backward(self, x, sine, square, sine_bar, square_bar):
        slope = gl.cos(self.a * x)
        return self.a * slope * sine_bar + 2 * x * square_bar, gl.reshape(gl.sum(slope * x * sine_bar), (1,))


def test_several_outputs_to_second_order():
    x = gl.dlarray(draws.normal(size=(3, 4)), "CB")
    own, plain = pair(lambda kind: [L.FeatureInput(3), kind(SineAndSquare)(name="both")])
    own, plain = own.replace(learnables={("both", "a"): [1.5]}), plain.replace(learnables={("both", "a"): [1.5]})
    both_ways(second, own, plain, x)


def test_one_of_several_outputs_alone():
    """The output that nobody reads has a cotangent of zeros."""
    own, plain = pair(lambda kind: [L.FeatureInput(3), kind(SineAndSquare)(name="both")])
    x = gl.dlarray(draws.normal(size=(3, 2)), "CB")
    for which in ("both/sine", "both/square"):
        def gradient(net, x, which=which):
            y = net.predict(x, outputs=which)
            return y, gl.dlgradient(gl.sum(y), (x, net.learnables))

        close(gl.dlfeval(gradient, own, x), gl.dlfeval(gradient, plain, x))
    J, its = (gl.dlfeval(lambda net, x: gl.dljacobian(net.predict(x, outputs="both/sine"), x), net, x)
              for net in (own, plain))
    close(J.matrix(), its.matrix())


def test_several_outputs_in_a_graph():
    own, plain = pair(lambda kind: [[L.FeatureInput(3), kind(SineAndSquare)(name="both")], [L.Multiplication(name="times")],
                                    [L.FullyConnected(2, weights=np.arange(6.0).reshape(2, 3), bias=np.ones(2))]],
                      connections=[("both/sine", "times/in1"), ("both/square", "times/in2"), ("times", "fc")])
    x = gl.dlarray(draws.normal(size=(3, 4)), "CB")
    close(gl.dlfeval(second, own, x), gl.dlfeval(second, plain, x))


class Drop(gl.Layer):
    """Dropout whose mask is the memory: of booleans, so that it selects and is nothing to differentiate."""

    def predict(self, x):
        return x

    def forward(self, x):
        mask = gl.rand(x.shape, like=x) > 0.5
        return gl.where(mask, x ** 2, 0), mask

    def backward(self, x, y, y_bar, memory):
        if not memory:
            return y_bar
        mask, = memory
        return gl.where(mask, 2 * x * y_bar, 0)


def test_memory_is_what_was_drawn():
    net = gl.dlnetwork([L.FeatureInput(4), Drop(name="drop")], dtype="float64")
    x = gl.dlarray(draws.normal(size=(4, 5)), "CB")

    def fun(net, x):
        y = net.forward(x)
        g = gl.dlgradient(gl.sum(y), x, enable_higher_derivatives=True)
        return y, g, gl.dlgradient(gl.sum(g ** 2), x)

    fast = gl.dlaccelerate(fun)
    seen = set()
    for call in (gl.dlfeval,) * 3 + (lambda fun, *args: gl.dlfeval(fast, *args),) * 5:
        y, g, h = (np.asarray(a) for a in call(fun, net, x))
        kept, v = y != 0, np.asarray(x)
        np.testing.assert_allclose(g, np.where(kept, 2 * v, 0))
        np.testing.assert_allclose(h, np.where(kept, 8 * v, 0))
        seen.add(kept.tobytes())
    assert len(seen) == 8 and fast.hit_rate > 0  # each call drew anew
    assert np.array_equal(gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x)), x), net, x), np.ones((4, 5)))
    assert net.forward(x).shape == (4, 5) and not isinstance(net.forward(x), tuple)  # the memory is no output


class Remembering(gl.Layer):
    """Two outputs and a floating memory, as MATLAB's [Z1, Z2, memory] = forward(layer, X)."""

    output_names: ClassVar[tuple[str, ...]] = ("sine", "cosine")

    def predict(self, x):
        return gl.sin(x), gl.cos(x), gl.cos(x)

    def backward(self, x, sine, cosine, sine_bar, cosine_bar, memory):
        kept, = memory
        return kept * sine_bar - sine * cosine_bar


def test_a_floating_memory_is_a_number():
    net = gl.dlnetwork([L.FeatureInput(3), Remembering(name="r")], dtype="float64")
    x = gl.dlarray(draws.normal(size=(3, 2)), "CB")
    v = np.asarray(x)
    y, (g, _) = gl.dlfeval(first, net, x)
    assert len(y) == 2
    np.testing.assert_allclose(g, np.cos(v) - 2 * np.sin(v))

    def again(net, x):
        sine, _ = net(x)
        g = gl.dlgradient(gl.sum(sine), x, enable_higher_derivatives=True)
        return gl.dlgradient(gl.sum(g), x)

    with pytest.raises(gl.TraceError, match="a value that forward kept for backward in .* was not recorded"):
        gl.dlfeval(again, net, x)


def test_what_comes_after_the_outputs_needs_a_memory():
    class Beyond(gl.Layer):
        def predict(self, x):
            return x, x

        def backward(self, x, y, y_bar):
            return y_bar

    with pytest.raises(TypeError, match=r"Beyond returned 2 results and names 1 output \(out\).*a parameter memory"):
        gl.dlnetwork([L.FeatureInput(3), Beyond()])

    class Fewer(SineAndSquare):
        def forward(self, x):
            return (x,)

    with pytest.raises(TypeError, match=r"Fewer returned 1 outputs and names 2 \(sine, square\)"):
        gl.dlnetwork([L.FeatureInput(3), Fewer()]).forward(gl.ones(3, "C"))


def dense(outputs, inputs):
    return gl.dlnetwork([L.FeatureInput(inputs), L.FullyConnected(outputs), L.Tanh()], dtype="float64")


class Residual(gl.Layer):
    """x + scale * body(x), whose backward differentiates the body."""

    body: gl.dlnetwork
    scale: gl.Learnable

    def initialize(self, layout):
        self.scale = gl.full((1,), 0.5)

    def predict(self, x):
        return x + self.scale * self.body.predict(x)

    def backward(self, x, y, y_bar):
        h = self.body(x)
        x_bar, body_bar = gl.dlfeval(lambda body, x: gl.vjp(body(x), (x, body.learnables), self.scale * y_bar,
                                                            enable_higher_derivatives=True), self.body, x)
        return y_bar + x_bar, gl.reshape(gl.sum(h * y_bar), (1,)), body_bar


def test_a_network_in_a_layer_with_its_own_backward():
    body = dense(3, 3)
    own, plain = pair(lambda kind: [L.FeatureInput(3), kind(Residual)(body, name="res")])
    assert list(own.learnables) == [("res", "scale"), ("res/fc", "weights"), ("res/fc", "bias")]
    x = gl.dlarray(draws.normal(size=(3, 4)), "CB")
    both_ways(second, own, plain, x)
    J, its = (gl.dlfeval(lambda net, x: gl.dljacobian(net(x), net.learnables), net, x) for net in (own, plain))
    close(J.matrix(), its.matrix())


class Experts(gl.Layer):
    """The sum of linear experts, in a list, whose backward is written out."""

    experts: list[gl.dlnetwork]

    def predict(self, x):
        return self.experts[0](x) + 2 * self.experts[1](x)

    def backward(self, x, y, y_bar):
        found, x_bar = [], 0
        for k, expert in enumerate(self.experts):
            bar = (k + 1) * y_bar
            x_bar = x_bar + gl.matmul(expert.learnables["fc", "weights"].T, gl.stripdims(bar))
            found.append({("fc", "weights"): gl.matmul(gl.stripdims(bar), gl.stripdims(x).T),
                          ("fc", "bias"): gl.sum(gl.stripdims(bar), axis=1)})
        return gl.dlarray(x_bar, "CB"), found


def test_networks_in_a_list():
    def linear():
        return gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2)], dtype="float64")

    experts = [linear(), linear()]
    own, plain = pair(lambda kind: [L.FeatureInput(3), kind(Experts)(experts, name="e"), L.Sigmoid()])
    x = gl.dlarray(draws.normal(size=(3, 4)), "CB")
    close(gl.dlfeval(second, own, x), gl.dlfeval(second, plain, x))


def test_cotangents_of_networks_are_checked():
    def net(returned):
        class Wrong(gl.Layer):
            body: gl.dlnetwork

            def predict(self, x):
                return self.body(x)

            def backward(self, x, y, y_bar):
                return returned(y_bar)

        return gl.dlnetwork([L.FeatureInput(3), Wrong(dense(3, 3))], dtype="float64")

    x = gl.ones((3, 2), "CB")
    for returned, error, message in (
            (lambda y_bar: y_bar, ValueError, r"returned 1 cotangents, the layer has 2 \(input 0, body\)"),
            (lambda y_bar: (y_bar, 3.0), TypeError, "returned float for the network body; return a Mapping"),
            (lambda y_bar: (y_bar, {("fc", "wieghts"): 0}), KeyError, "the cotangent of body from Wrong.backward.*'wieghts'"),
            (lambda y_bar: (y_bar, {("fc", "bias"): gl.ones(4)}), ValueError, "the cotangent of fc/bias is 4, fc/bias is 3")):
        with pytest.raises(error, match=message):
            gl.dlfeval(first, net(returned), x)
    _, (g, of_net) = gl.dlfeval(first, net(lambda y_bar: (y_bar, None)), x)
    assert np.array_equal(g, np.ones((3, 2))) and not any(np.any(v) for v in of_net.values())


class Carry(gl.Layer):
    """y = w x + s, and s becomes s * mean(x): MATLAB's dLdSin and dLdSout."""

    w: gl.Learnable
    s: gl.State

    def initialize(self, layout):
        self.w, self.s = gl.full((1,), 3.0), gl.full((1,), 2.0)

    def predict(self, x):
        y = self.w * x + self.s
        self.s = self.s * gl.mean(x)
        return y

    def backward(self, x, y, y_bar, state_bars):
        s_bar, = state_bars
        return (self.w * y_bar + self.s * s_bar / x.size, gl.reshape(gl.sum(x * y_bar), (1,)),
                gl.reshape(gl.sum(y_bar), (1,)) + s_bar * gl.mean(x))


def twice(net, x):
    """Through the state that the first call leaves."""
    y, state = net.forward(x, return_state=True)
    z = net.replace(state=state).forward(x)
    loss = gl.sum(y * z)
    g = gl.dlgradient(loss, (x, net.learnables, net.state), enable_higher_derivatives=True)
    return loss, g, gl.dlgradient(gl.sum(g[0] ** 2), (x, net.learnables, net.state))


def test_states_carry_derivatives():
    own, plain = pair(lambda kind: [L.FeatureInput(3), kind(Carry)(name="carry")])
    x = gl.dlarray(draws.normal(size=(3, 4)), "CB")
    both_ways(twice, own, plain, x)


def test_a_state_of_which_backward_says_nothing_is_no_constant():
    class Silent(Carry):
        def backward(self, x, y, y_bar):
            return self.w * y_bar, gl.reshape(gl.sum(x * y_bar), (1,))

    net = gl.dlnetwork([L.FeatureInput(3), Silent(name="silent")], dtype="float64")
    x = gl.dlarray(draws.normal(size=(3, 4)), "CB")
    assert gl.dlfeval(first, net, x)[1][0].shape == (3, 4)  # states that nobody differentiates cost nobody anything
    with pytest.raises(gl.TraceError, match="a state that a layer with its own backward left in .*state_bars among the"):
        gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net.forward(x, return_state=True)[1]["silent", "s"]), x), net, x)
    with pytest.raises(gl.TraceError, match="Silent.backward says nothing of the state s.*a parameter state_bars"):
        gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x)), net.state), net, x)

    class Keeps(Silent):
        def predict(self, x):
            return self.w * x

    net = gl.dlnetwork([L.FeatureInput(3), Keeps()], dtype="float64")  # its state is what it was
    state, g = gl.dlfeval(lambda net, x: (lambda state: (state, gl.dlgradient(gl.sum(state["keeps", "s"] ** 2), net.state)))(
        net.predict(x, return_state=True)[1]), net, x)
    assert float(g["keeps", "s"]) == 4


def test_own_backwards_are_saved_and_checked(tmp_path):
    report = gl.check_layer(Residual(dense(3, 3)), gl.Layout((3, 1), "CB"))
    assert report.ok
    assert gl.check_layer(SineAndSquare(), gl.Layout((3, 1), "CB")).ok

    class Wrong(SineAndSquare):
        def backward(self, x, sine, square, sine_bar, square_bar):
            return square_bar, None

    assert [trial.what for trial in gl.check_layer(Wrong(), gl.Layout((3, 1), "CB"), raises=False).failures] == [
        "derivatives in use"]
    body = dense(3, 3)
    net = gl.dlnetwork([L.FeatureInput(3), Residual(body, name="res")], dtype="float64")
    net.save(tmp_path / "net.safetensors")
    again = gl.load(tmp_path / "net.safetensors", layers=[Residual])
    x = gl.dlarray(draws.normal(size=(3, 2)), "CB")
    close(gl.dlfeval(second, again, x), gl.dlfeval(second, net, x))
