"""Networks: layers, names, parameters, states, outputs, and the derivatives of all of it."""
import copy
import pickle
import threading

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.containers import flatten, unflatten

L = gl.layers


def small(**options):
    """An image network with every kind of parameter."""
    return gl.dlnetwork([L.ImageInput((6, 5, 2)), L.Convolution2d(3, 4, padding="same", name="conv1"), L.BatchNormalization(),
                         L.ReLU(name="relu1"), L.MaxPooling2d(2, stride=2), L.FullyConnected(3), L.Softmax()], **options)


def images(n=4, seed=0):
    gl.rng(seed)
    return gl.rand((n, 2, 6, 5), "BCSS", dtype="float32")


# ----- names, layouts, printing -----


def test_default_names_are_matlabs():
    net = gl.dlnetwork([L.ImageInput((8, 8, 1)), L.Convolution2d(3, 2), L.BatchNormalization(), L.ReLU(), L.Convolution2d(3, 2), L.ReLU(),
                        L.MaxPooling2d(2), L.Dropout(), L.FullyConnected(2), L.ReLU(), L.Softmax()])
    assert [layer.name for layer in net.layers] == [
        "imageinput", "conv", "batchnorm", "relu", "conv_1", "relu_1", "maxpool", "dropout", "fc", "relu_2", "softmax"]


def test_default_names_keep_clear_of_given_ones():
    net = gl.dlnetwork([L.FeatureInput(2), L.ReLU(), L.ReLU(name="relu"), L.ReLU(name="relu_1"), L.ReLU()])
    assert [layer.name for layer in net.layers] == ["input", "relu_2", "relu", "relu_1", "relu_3"]


def test_learnables_and_state_in_layer_order():
    net = small()
    assert list(net.learnables) == [("conv1", "weights"), ("conv1", "bias"), ("batchnorm", "offset"), ("batchnorm", "scale"),
                                    ("fc", "weights"), ("fc", "bias")]
    assert list(net.state) == [("batchnorm", "trained_mean"), ("batchnorm", "trained_variance")]
    assert net.learnables["conv1", "weights"].shape == (4, 2, 3, 3)
    assert net.learnables["fc", "weights"].shape == (3, 4 * 3 * 2)
    assert all(x.dtype == torch.float32 for x in [*net.learnables.values(), *net.state.values()])


def test_tables():
    net = small()
    text = repr(net.learnables).splitlines()
    assert text[0].split() == ["Layer", "Parameter", "Value"]
    assert text[1] == "conv1      weights    4 x 2 x 3 x 3 float32"
    table = net.learnables.table()
    assert list(table.columns) == ["Layer", "Parameter", "Value"] and len(table) == 6
    assert table["Value"][0].shape == (4, 2, 3, 3)
    assert "<td>conv1</td>" in net.learnables._repr_html_()
    assert repr(gl.dlnetwork([L.ReLU()]).learnables) == "no parameters"


def test_networks_print_sizes_and_counts():
    text = repr(small()).splitlines()
    assert text[0] == "dlnetwork of 7 layers, 159 learnables float32"
    assert text[3].split()[:2] == ["conv1", "Convolution2d(3,"] and "6(S) x 5(S) x 4(C) x 1(B)" in text[3] and text[3].endswith(" 76")
    assert "<td>conv1</td>" in small()._repr_html_()


def test_layers_print_as_they_are_written():
    assert repr(L.Convolution2d((3, 5), 8, padding="same", name="c")) == "Convolution2d((3, 5), 8, padding='same', name='c')"
    assert repr(L.Function(np.tanh)) == "Function(tanh)"


def test_rng_repeats_the_initial_values():
    gl.rng(3)
    first = small()
    gl.rng(3)
    second = small()
    for a, b in zip(first.learnables.values(), second.learnables.values(), strict=True):
        assert np.array_equal(a, b)
    w = np.asarray(first.learnables["conv1", "weights"])
    assert 0 < abs(w).max() <= np.sqrt(6 / (2 * 9 + 4 * 9))


def test_given_parameters_and_initializers():
    w = np.arange(6.0).reshape(2, 3)
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2, weights=w, bias_initializer="ones")])
    assert np.array_equal(net.learnables["fc", "weights"], w)
    assert np.array_equal(net.learnables["fc", "bias"], [1, 1])
    made = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2, weights_initializer=lambda shape: gl.full(shape, 7.0))])
    assert float(made.learnables["fc", "weights"][0, 0]) == 7
    with pytest.raises(ValueError, match=r"'glorrot'; did you mean 'glorot'"):
        gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(2, weights_initializer="glorrot")])


# ----- running -----


@pytest.mark.parametrize("layout", ["BCSS", "BSSC", "SSCB", "CSBS"])
def test_results_do_not_depend_on_the_layout(layout):
    net, x = small(), images()
    want = np.asarray(net(x))
    y = net(gl.permute_dims(x, layout))
    assert y.sizes == {"B": 4, "C": 3}
    np.testing.assert_allclose(gl.permute_dims(y, "BC"), want, rtol=2e-5)


def test_against_torch():
    net, x = small(), images()
    p = {key: torch.from_numpy(np.array(value)) for key, value in net.learnables.items()}
    h = torch.conv2d(torch.from_numpy(np.array(x)), p["conv1", "weights"], p["conv1", "bias"], padding=1)
    b = torch.batch_norm(h, p["batchnorm", "scale"], p["batchnorm", "offset"], None, None, True, 0.1, 1e-5, False)
    y = torch.max_pool2d(b.relu(), 2, 2).flatten(1) @ p["fc", "weights"].T + p["fc", "bias"]
    np.testing.assert_allclose(net.forward(x), y.softmax(1), rtol=1e-4)
    _, state = net.forward(x, return_state=True)
    np.testing.assert_allclose(state["batchnorm", "trained_mean"], 0.1 * h.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(state["batchnorm", "trained_variance"], 0.9 + 0.1 * h.var((0, 2, 3), correction=0), atol=1e-6)


def test_prediction_uses_trained_statistics():
    net, x = small(), images()
    _, state = net.forward(x, return_state=True)
    moved = net.replace(state=state)
    assert not np.allclose(net(x), moved(x))
    assert np.array_equal(net.state["batchnorm", "trained_mean"], np.zeros(4))  # the first network is what it was
    h = net.predict(x, outputs="conv1")
    mean, variance = state["batchnorm", "trained_mean"], state["batchnorm", "trained_variance"]
    want = gl.batchnorm(h, gl.zeros(4), gl.ones(4), mean, variance)
    np.testing.assert_allclose(moved.predict(x, outputs="batchnorm"), want, atol=1e-6)


def test_outputs():
    net, x = small(), images()
    h = net.predict(x, outputs="relu1")
    assert h.sizes == {"B": 4, "C": 4, "S": (6, 5)}
    a, y = net.predict(x, outputs=["relu1", "softmax/out"])
    assert np.array_equal(a, h) and np.array_equal(y, net(x))
    assert isinstance(net.predict(x, outputs=["fc"]), tuple)
    (a,), state = net.forward(x, outputs=["conv1"], return_state=True)
    assert a.shape == (4, 4, 6, 5) and not np.array_equal(state["batchnorm", "trained_mean"], np.zeros(4))
    y, state = net.predict(x, return_state=True)
    assert np.array_equal(state["batchnorm", "trained_mean"], np.zeros(4))
    assert net.predict(x, outputs=[]) == ()


def test_unknown_outputs_are_named_with_the_nearest():
    net, x = small(), images()
    with pytest.raises(KeyError, match=r"no layer 'relu'.*did you mean 'relu1'"):
        net.predict(x, outputs="relu")
    with pytest.raises(KeyError, match=r"'conv1' has no output 'oot'; did you mean 'out'"):
        net.predict(x, outputs=["conv1/oot"])
    with pytest.raises(TypeError, match="names of layers"):
        net.predict(x, outputs=[3])


def test_inputs_are_checked():
    net = small()
    with pytest.raises(ValueError, match=r"takes images 6\(S\) x 5\(S\) x 2\(C\), x is 4\(B\) x 3\(C\) x 6\(S\) x 5\(S\)"):
        net(gl.zeros((4, 3, 6, 5), "BCSS"))
    with pytest.raises(gl.LabelError, match=r"unlabelled \(4 x 2 x 6 x 5\).*\"BCSS\" \(PyTorch\)"):
        net(np.zeros((4, 2, 6, 5)))
    features = gl.dlnetwork([L.FeatureInput(3), L.ReLU()])
    with pytest.raises(ValueError, match=r"takes 3\(C\), x is 2\(C\) x 3\(B\)"):
        features(gl.zeros((2, 3), "CB"))
    assert features(gl.zeros(3, "C")).shape == (3,)


def test_inputs_are_cast_to_the_type_of_the_learnables():
    net = small()
    x = gl.dlarray(np.asarray(images()), "BCSS", dtype="float64")

    def fun(net, x):
        y = net(x)
        return y, gl.dlgradient(gl.sum(y * y), x)

    y, g = gl.dlfeval(fun, net, x)
    assert y.dtype == torch.float32 and g.dtype == torch.float64
    assert net(gl.dlarray(np.zeros((1, 2, 6, 5), np.uint8), "BCSS")).dtype == torch.float32
    double = net.to(dtype="float64")
    assert double(images()).dtype == torch.float64 and double.state["batchnorm", "trained_mean"].dtype == torch.float64
    assert gl.dlnetwork([L.FeatureInput(1), L.FullyConnected(1)], dtype="float64").learnables["fc", "bias"].dtype == torch.float64
    plain = gl.dlnetwork([L.FeatureInput(3), L.ReLU()])
    assert plain(gl.zeros(3, "C")).dtype == torch.float64


def test_dropout_drops_in_training_only():
    net = gl.dlnetwork([L.FeatureInput(1000), L.Dropout(0.25)])
    x = gl.ones((1000,), "C")
    gl.rng(0)
    y = np.asarray(net.forward(x))
    assert set(np.round(np.unique(y), 5)) == {0, 1.33333} and 0.2 < (y == 0).mean() < 0.3
    assert not np.array_equal(y, net.forward(x))
    assert np.array_equal(net(x), x)

    def fun(net, x):
        y = net.forward(x)
        return y, gl.dlgradient(gl.sum(y), x)

    y, g = gl.dlfeval(fun, net, x)
    assert np.array_equal(y, g)


def test_flatten_pools_and_functions():
    gl.rng(0)
    x = gl.rand((3, 4, 5, 2), "BSSC")
    flat = gl.dlnetwork([L.ImageInput((4, 5, 2)), L.Flatten()])(x)
    assert flat.dims == "BC"
    assert np.array_equal(flat, np.asarray(x).transpose(0, 3, 1, 2).reshape(3, -1))
    pooled = gl.dlnetwork([L.ImageInput((4, 5, 2)), L.GlobalAveragePooling2d()])(x)
    assert pooled.shape == (3, 1, 1, 2)
    np.testing.assert_allclose(np.squeeze(np.asarray(pooled)), np.asarray(x).mean((1, 2)))
    mean = gl.dlnetwork([L.ImageInput((4, 5, 2)), L.AveragePooling2d((2, 5))])(x)
    assert mean.shape == (3, 3, 1, 2)
    acts = [L.LeakyReLU(scale=0.1), L.Tanh(), L.Sigmoid(), L.GELU(approximation="tanh"), L.Function(lambda x: 2 * x)]
    x = gl.dlarray([-1.0, 0.0, 1.0, 2.0], "C")
    want = 2 * gl.gelu(gl.sigmoid(gl.tanh(gl.leakyrelu(x, 0.1))), approximation="tanh")
    np.testing.assert_allclose(gl.dlnetwork([L.FeatureInput(4), *acts])(x), want)


def test_networks_without_input_layers_take_examples():
    net = gl.dlnetwork([L.FullyConnected(3), L.Tanh()], gl.zeros((4, 7), "CB"))
    assert net.learnables["fc", "weights"].shape == (3, 4)
    assert net(gl.zeros((9, 4), "BC")).shape == (9, 3)
    with pytest.raises(ValueError, match="size of its input is needed"):
        gl.dlnetwork([L.FullyConnected(3)])
    with pytest.raises(TypeError, match="leave the examples out"):
        gl.dlnetwork([L.FeatureInput(2)], gl.zeros((2, 1), "CB"))


def test_a_network_runs_in_several_threads():
    net, x = small(), images()
    want, results = np.asarray(net(x)), []

    def work():
        for _ in range(5):
            _, state = net.forward(x, return_state=True)
            results.append(np.array_equal(net(x), want) and np.asarray(state["batchnorm", "trained_mean"]).any())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 20 and all(results)


# ----- a network is a value -----


def test_attributes_are_not_assigned():
    net = small()
    with pytest.raises(TypeError, match=r"net = net\.replace\(state=state\)"):
        net.state = net.state
    with pytest.raises(TypeError, match=r"net = net\.replace\(learnables=learnables\)"):
        net.learnables = net.learnables
    with pytest.raises(TypeError, match="a network is a value"):
        net.stat = 1
    with pytest.raises(TypeError, match=r"net\.replace\(learnables="):
        net.learnables["fc", "bias"] = gl.zeros(3)
    handle = net.learnables["fc", "bias"]
    handle[0] = 5.0
    assert float(net.learnables["fc", "bias"][0]) == 0


def test_replace():
    net = small()
    new = net.replace(learnables={("fc", "bias"): np.array([1.0, 2.0, 3.0], np.float32)})
    assert np.array_equal(new.learnables["fc", "bias"], [1, 2, 3]) and np.array_equal(net.learnables["fc", "bias"], [0, 0, 0])
    assert np.array_equal(new.learnables["fc", "weights"], net.learnables["fc", "weights"])
    assert np.array_equal(net.replace(learnables=new.learnables.table()).learnables["fc", "bias"], [1, 2, 3])
    assert np.array_equal(net.replace(learnables=dict(new.learnables), state=net.state).learnables["fc", "bias"], [1, 2, 3])
    with pytest.raises(KeyError, match=r"no parameter \('fc', 'biass'\): layer 'fc' has weights, bias"):
        net.replace(learnables={("fc", "biass"): 1})
    with pytest.raises(KeyError, match=r"no parameter \('fd', 'bias'\); did you mean 'fc'"):
        net.replace(learnables={("fd", "bias"): 1})
    with pytest.raises(ValueError, match=r"learnables of \('fc', 'bias'\) has shape 2, the parameter is 3"):
        net.replace(learnables={("fc", "bias"): gl.zeros(2)})
    with pytest.raises(TypeError, match="give a Mapping"):
        net.replace(state=np.zeros(4))
    with pytest.raises(TypeError, match="floating numbers"):
        net.replace(learnables={("fc", "bias"): np.zeros(3, int)})


def test_unknown_parameters_are_named():
    with pytest.raises(KeyError, match=r"no parameter \('fc', 'weight'\): layer 'fc' has weights, bias"):
        small().learnables["fc", "weight"]
    assert ("fc", "weight") not in small().learnables
    assert small().learnables.get(("fc", "weight")) is None


def test_copies_and_pickles():
    net, x = small(), images()
    for other in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert np.array_equal(other(x), net(x))
    state = pickle.loads(pickle.dumps(net.state))
    assert list(state) == list(net.state)


def test_layers_carry_their_parameters():
    net = small()
    fc = net.layers[5]
    assert isinstance(fc, L.FullyConnected) and np.array_equal(fc.weights, net.learnables["fc", "weights"])
    again = gl.dlnetwork(list(net.layers))
    assert np.array_equal(again(images()), net(images()))


# ----- tracing -----


def test_gradients_come_in_the_same_mapping():
    net, x = small(), images()

    def fun(net, x):
        y, state = net.forward(x, return_state=True)
        assert net.learnables["fc", "bias"].traced
        loss = gl.sum(y * y)
        return loss, state, gl.dlgradient(loss, net.learnables), gl.dlgradient(loss, net.learnables["conv1", "bias"])

    loss, state, gradients, one = gl.dlfeval(fun, net, x)
    assert type(gradients) is gl.Learnables and list(gradients) == list(net.learnables)
    assert not gradients["fc", "bias"].traced and not state["batchnorm", "trained_mean"].traced
    np.testing.assert_allclose(one, gradients["conv1", "bias"], atol=1e-7)

    def of_some(net, x):
        return gl.dlgradient(gl.sum(net.forward(x) ** 2), {k: v for k, v in net.learnables.items() if k[0] == "fc"})

    subset = gl.dlfeval(of_some, net, x)
    assert list(subset) == [("fc", "weights"), ("fc", "bias")]
    np.testing.assert_allclose(subset["fc", "weights"], gradients["fc", "weights"], atol=1e-7)


def test_gradients_are_right():
    net, x = small(dtype="float64"), gl.dlarray(np.asarray(images()), "BCSS", dtype="float64")

    def loss(net, x):
        return gl.sum(net.forward(x)[:, 0] ** 2)

    gradients = gl.dlfeval(lambda net, x: gl.dlgradient(loss(net, x), net.learnables), net, x)
    rng = np.random.default_rng(0)
    for key, value in net.learnables.items():
        v = rng.standard_normal(value.shape)
        up, down = (float(loss(net.replace(learnables={key: np.asarray(value) + s * 1e-6 * v}), x)) for s in (1, -1))
        np.testing.assert_allclose((up - down) / 2e-6, (v * np.asarray(gradients[key])).sum(), rtol=1e-4, atol=1e-9)


def test_a_network_in_a_container_is_traced_and_leaves_untraced():
    net = small()

    def fun(nets):
        return nets["a"], gl.dlgradient(gl.sum(nets["a"](images()) ** 2), nets["a"].learnables)

    out, gradients = gl.dlfeval(fun, {"a": net, "b": small()})
    assert isinstance(out, gl.dlnetwork) and not any(x.traced for x in out.learnables.values())
    assert set(gradients) == set(net.learnables)


def test_a_captured_network_is_a_constant():
    net = small()
    with pytest.raises(gl.TraceError, match="captured"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(net(x) ** 2), net.learnables), images())


def test_flattening_a_network():
    net = small()
    leaves, structure = flatten(net)
    assert len(leaves) == 8 and structure.paths()[0] == (("conv1", "weights"),)
    again = unflatten(structure, leaves)
    assert np.array_equal(again(images()), net(images()))
    assert flatten(net.replace(state=net.state))[1] == structure


def test_the_jacobian_with_respect_to_every_learnable():
    net, x = small(dtype="float64"), images(2)
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), net.learnables), net, x)
    assert J["conv1", "weights"].dense().shape == (2, 3, 4, 2, 3, 3)
    row = gl.dlfeval(lambda net, x: gl.dlgradient(net(x)[1, 2], net.learnables), net, x)
    np.testing.assert_allclose(np.asarray(J["conv1", "weights"].dense())[1, 2], row["conv1", "weights"], atol=1e-12)


def test_seed_002():
    """The loss, its gradients and the Jacobian of a network's output, with labels stripped after the forward pass."""
    gl.rng(0)
    net = gl.dlnetwork([L.ImageInput((16, 16, 3)), L.Convolution2d(3, 64), L.ReLU(), L.FullyConnected(5), L.Softmax()])
    X = gl.rand((16, 16, 3, 8), "SSCB")
    T = gl.rand((5, 8), "CB")

    def model_loss(net, X, T):
        Y = net.forward(X)
        loss = gl.l1loss(Y, T)
        X = gl.stripdims(X)
        Y = gl.stripdims(Y)
        jac = gl.dljacobian(Y, X, Y.shape.index(5))
        gradients = gl.dlgradient(loss, net.learnables)
        return loss, gradients, jac

    loss, gradients, jac = gl.dlfeval(model_loss, net, X, T)
    assert jac.shape == (5, 16, 16, 3, 8) and loss.shape == ()
    assert set(gradients) == set(net.learnables)
    alone = gl.dlfeval(lambda net, X: gl.dlgradient(net(X)[2, 0], X), net, X[..., :1])
    np.testing.assert_allclose(np.asarray(jac)[2, ..., :1], alone, atol=1e-6)


# ----- what is refused when a network is made -----


@pytest.mark.parametrize(("layers", "message"), [
    ([], "at least one layer"),
    (3, "a list of layers"),
    ([L.ReLU], r"the class ReLU, not a layer; write ReLU\("),
    ([np.tanh], r"layers\.Function\(fun\)"),
    ([L.ReLU(name="a"), L.Tanh(name="a")], "two layers are named 'a'"),
    ([L.ReLU(name="a/b")], "without '/'"),
    ([L.FeatureInput(2), L.FeatureInput(2)], "can only be the first"),
])
def test_what_is_no_network(layers, message):
    with pytest.raises(TypeError, match=message):
        gl.dlnetwork(layers)


def test_a_layer_must_predict():
    class Nothing(gl.Layer):
        n: int = 1

    with pytest.raises(TypeError, match=r"Nothing has no predict; write def predict"):
        gl.dlnetwork([Nothing()])

    class Void(gl.Layer):
        def predict(self, x):
            pass

    with pytest.raises(TypeError, match="'void' \\(Void\\) returned None"):
        gl.dlnetwork([L.FeatureInput(1), Void()])


def test_errors_name_the_layer():
    class Picky(gl.Layer):
        def predict(self, x):
            if x.sizes["B"] > 2:
                raise RuntimeError("too many")
            return x

    with pytest.raises(RuntimeError, match="too many") as caught:
        gl.dlnetwork([L.FeatureInput(1), Picky(name="p")])(gl.zeros((1, 3), "CB"))
    assert caught.value.__notes__ == ["in the layer 'p', Picky(name='p')"]


@pytest.mark.parametrize("make", [
    lambda: L.ImageInput((28, 28)), lambda: L.ImageInput(28), lambda: L.FeatureInput(0), lambda: L.FeatureInput((3, 3, 1)),
    lambda: L.Convolution2d(0, 3), lambda: L.Convolution2d(3, 0), lambda: L.Convolution2d((3, 3, 3), 1),
    lambda: L.FullyConnected(0), lambda: L.FullyConnected(2.5),
    lambda: L.Dropout(1.5), lambda: L.MaxPooling2d(0), lambda: L.MaxPooling2d(2, stride=0),
])
def test_impossible_sizes_are_refused_at_once(make):
    with pytest.raises(ValueError, match="not"):
        make()


def test_layers_in_two_dimensions_need_two():
    for layer in (L.Convolution2d(3, 2), L.MaxPooling2d(2), L.AveragePooling2d(2), L.GlobalAveragePooling2d()):
        with pytest.raises(ValueError, match="two axes S"):
            gl.dlnetwork([L.FeatureInput(4), layer])
    for layer in (L.FullyConnected(2), L.Flatten()):
        with pytest.raises(ValueError, match="an axis C or S"):
            gl.dlnetwork([layer], gl.zeros((4, 2), "BT"))


def test_predict_is_replayed_with_the_numbers_of_plain_calls():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4), L.BatchNormalization(), L.ReLU(name="relu"), L.FullyConnected(2)], dtype="float64")
    rng = np.random.default_rng(0)
    for _ in range(8):
        net = net.replace(learnables={key: rng.standard_normal(x.shape) for key, x in net.learnables.items()})
        x = gl.dlarray(rng.standard_normal((5, 3)), "BC")
        for found, plain in zip((net(x), *net.predict(x, outputs=["relu"])), (net.predict(x, return_state=True)[0],
                                                                               net.predict(x, outputs="relu", return_state=True)[0]), strict=True):
            np.testing.assert_allclose(found, plain, rtol=1e-12)
            assert found.dims == plain.dims
    assert "relu" in net._body.fast.explain() or net._body.fast.hit_rate > 50


def test_a_layer_that_counts_its_calls_stays_plain(caplog):
    calls = []
    net = gl.dlnetwork([L.FeatureInput(3), L.Function(lambda x: calls.append(1) or 2 * x)])
    before = len(calls)
    with caplog.at_level("INFO", "gradloom"):
        for _ in range(6):
            net(gl.ones(3, "C"))
    assert len(calls) == before + 6 and sum("stays plain" in r.message for r in caplog.records) == 1


def test_predict_in_dlfeval_is_part_of_the_trace():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(1)], dtype="float64")
    x = gl.dlarray([1.0, 2.0, 3.0], "C")
    for _ in range(5):
        g = gl.dlfeval(lambda net: gl.dlgradient(gl.sum(net(x)), net.trainable), net)
        assert g["fc", "weights"].tolist() == [[1.0, 2.0, 3.0]]


def test_recordings_are_left_out_of_copies():
    net = gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(1)])
    for _ in range(5):
        net(gl.ones(3, "C"))
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(again(gl.ones(3, "C")), net(gl.ones(3, "C")))
