"""fullyconnect wherever the channels lie: one node where they are last or the array is a matrix, the same numbers, the same structure."""
import numpy as np
import pytest

import gradloom as gl

L = gl.layers


def nodes_between(y, *xs):
    """How many operations were recorded between arrays and a result."""
    ends, seen, left = {x._node for x in xs}, set(), [y._node]
    while left:
        node = left.pop()
        if node not in ends and node not in seen:
            seen.add(node)
            left += [p for p in node.parents if p is not None]
    return len(seen)


def drawn(labels, **sizes):
    return gl.randn([sizes[letter] for letter in labels], labels=labels, dtype="float64")


@pytest.fixture(autouse=True)
def same_numbers():
    gl.rng(0)


@pytest.mark.parametrize(("labels", "count"), [("BC", 1), ("CB", 1), ("CT", 1), ("TC", 1), ("SB", 1), ("BS", 1), ("CBT", 3), ("BTC", 1), ("SBTC", 3), ("CSB", 2)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_dense_layer_is_one_node(labels, count, with_bias):
    x = drawn(labels, C=3, B=5, T=2, S=4)
    w = gl.randn((2, int(np.prod([x.shape[k] for k in range(x.ndim) if labels[k] in "CS"]))), dtype="float64")
    b = gl.randn((2,), dtype="float64") if with_bias else None

    def fun(x, w, b):
        y = gl.fullyconnect(x, w, b)
        assert nodes_between(y, x, w, *([b] if with_bias else [])) == count
        return y

    gl.dlfeval(fun, x, w, b)


def test_a_network_on_columns_records_one_node_for_each_layer():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4), L.Tanh(), L.FullyConnected(2)], dtype="float64")

    def fun(net, x):
        assert nodes_between(net(x), x, *net.learnables.values()) == 3

    for labels in ("CB", "BC"):
        gl.dlfeval(fun, net, drawn(labels, C=3, B=5))


@pytest.mark.parametrize("labels", ["CB", "BC", "CBT", "TCB", "CSB", "SCB", "BSC", "CSS", "SSC", "S", "C", "CS"])
def test_every_layout_gives_the_same_numbers(labels):
    x = drawn(labels, C=3, B=5, T=2, S=4)
    rest = [k for k in range(x.ndim) if labels[k] in "BT"]
    merged = [k for k in range(x.ndim) if labels[k] == "C"] + [k for k in range(x.ndim) if labels[k] == "S"]
    flat = np.asarray(x).transpose(*rest, *merged).reshape(*[x.shape[k] for k in rest], -1)
    w, b = gl.randn((2, flat.shape[-1]), dtype="float64"), gl.randn((2,), dtype="float64")
    y = gl.fullyconnect(x, w, b)
    want = flat @ np.asarray(w).T + np.asarray(b)
    letters = "".join(labels[k] for k in rest) + "C"
    np.testing.assert_allclose(gl.permute_dims(y, letters) if y.ndim > 1 else y, want, rtol=1e-12)


def derivatives(net, x):
    """Everything that walks through a dense layer in other ways."""
    y = net(x)
    loss = gl.sum(y ** 2)
    J = gl.dljacobian(y, net.learnables)
    g = gl.dlgradient(loss, net.learnables, enable_higher_derivatives=True)
    second = gl.dlgradient(sum(gl.sum(v ** 2) for v in g.values()), [*net.learnables.values(), x])
    return (gl.dlgradient(loss, [*net.learnables.values()]), J, gl.dljacobian(y, x, "C"), gl.dllaplacian(y, x, "C"), second,
            gl.jvp(y, net.learnables, net.learnables), gl.hvp(loss, x, x))


def test_derivatives_on_columns_are_those_on_rows():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4), L.Tanh(), L.FullyConnected(2), L.Sigmoid(), L.FullyConnected(2)], dtype="float64")
    x = drawn("BC", C=3, B=16)  # with a handful, plain rows and the structured walk cost the same
    rows, columns = gl.dlfeval(derivatives, net, x), gl.dlfeval(derivatives, net, gl.permute_dims(x, "CB"))

    def equal(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)

    for a, b in zip(rows[0], columns[0]):
        equal(a, b)
    for key in net.learnables:
        equal(rows[1][key].dense(), np.swapaxes(np.asarray(columns[1][key].dense()), 0, 1))
        assert repr(rows[1][key]).count("x") == repr(columns[1][key]).count("x")
        assert rows[1][key].nbytes == columns[1][key].nbytes
    equal(rows[2], np.swapaxes(np.asarray(columns[2]), 1, 2))
    equal(rows[3], np.asarray(columns[3]).T)
    for a, b in zip(rows[4][:-1], columns[4][:-1]):
        equal(a, b)
    equal(rows[4][-1], np.asarray(columns[4][-1]).T)
    equal(rows[5], np.asarray(columns[5]).T)
    equal(rows[6], np.asarray(columns[6]).T)


def test_the_weights_jacobian_on_columns_stays_an_outer_product():
    net = gl.dlnetwork([L.FeatureInput(300), L.FullyConnected(200)], dtype="float64")
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), net.learnables), net, drawn("CB", C=300, B=2))
    assert J["fc", "weights"].nbytes <= 300 * 2 * 8 and J["fc", "bias"].nbytes <= 64
