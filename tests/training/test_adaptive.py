"""adamupdate and rmspropupdate: step by step as torch, on networks with settings, on record."""
import numpy as np
import pytest
import torch

import gradloom as gl

L = gl.layers
DTYPES = {"float32": 1e-6, "float64": 1e-12, "complex64": 1e-6, "complex128": 1e-12}
SHAPES = [(3, 4), (), (0, 2), (5,), (2, 3, 4)]


def gradients(steps, dtype):
    stream = torch.Generator().manual_seed(7)
    scale = 10.0 ** torch.linspace(-6, 2, steps, dtype=torch.float64)  # from where epsilon counts to where it does not
    return [[(torch.randn(shape, generator=stream, dtype=dtype) * scale[k]).to(dtype) for shape in SHAPES] for k in range(steps)]


def start(dtype):
    stream = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=stream, dtype=dtype) for shape in SHAPES]


def ours(kind, p, g, state, t, **options):
    if kind == "rmsprop":
        p, state = gl.rmspropupdate(p, g, state, 0.02, 0.95, 1e-7)
        return p, state
    p, *state = gl.adamupdate(p, g, *(state or (None, None)), t, 0.02, 0.8, 0.99, 1e-7, **options)
    return p, state


def theirs(kind, parameters, decay):
    if kind == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=0.02, alpha=0.95, eps=1e-7)
    maker = torch.optim.AdamW if decay else torch.optim.Adam
    return maker(parameters, lr=0.02, betas=(0.8, 0.99), eps=1e-7, weight_decay=decay, foreach=True)


@pytest.mark.parametrize(("kind", "decay"), [("adam", 0.0), ("adam", 0.1), ("rmsprop", 0.0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_step_by_step_as_torch(kind, decay, dtype):
    p = [gl.dlarray(x) for x in start(getattr(torch, dtype))]
    other = [torch.nn.Parameter(x) for x in start(getattr(torch, dtype))]
    solver, state = theirs(kind, other, decay), None
    options = {"weight_decay": decay} if decay else {}
    for t, gs in enumerate(gradients(40, getattr(torch, dtype)), 1):
        p, state = ours(kind, p, [gl.dlarray(g) for g in gs], state, t, **options)
        for x, g in zip(other, gs, strict=True):
            x.grad = g.clone()
        solver.step()
        for x, y in zip(p, other, strict=True):
            torch.testing.assert_close(x._value, y.detach(), rtol=DTYPES[dtype], atol=DTYPES[dtype])


@pytest.mark.parametrize(("kind", "decay"), [("adam", 0.0), ("adam", 0.1), ("rmsprop", 0.0)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_on_record_the_same(kind, decay, dtype):
    p, state = [gl.dlarray(x) for x in start(getattr(torch, dtype))], None
    q, traced = p, None
    options = {"weight_decay": decay} if decay else {}
    for t, gs in enumerate(gradients(4, getattr(torch, dtype)), 1):
        gs = [gl.dlarray(g) for g in gs]
        p, state = ours(kind, p, gs, state, t, **options)
        q, traced = gl.dlfeval(lambda q, gs, state, t=t: ours(kind, q, gs, state, t, **options), q, gs, traced)
        for x, y in zip(p, q, strict=True):
            torch.testing.assert_close(x._value, y._value, rtol=1e-12, atol=1e-12)


def test_a_step_of_adam_is_differentiated():
    """d/dg of the first step is 0 but for epsilon: p - learn_rate g / (|g| + epsilon)."""
    def outer(g):
        p, _, _ = gl.adamupdate(gl.dlarray([1.0]), g, None, None, 1, 0.5, epsilon=0.25)
        return p, gl.dlgradient(gl.sum(p), g)

    p, slope = gl.dlfeval(outer, gl.dlarray([2.0]))
    assert p.tolist() == pytest.approx([1 - 0.5 * 2 / 2.25]) and slope.tolist() == pytest.approx([-0.5 * 0.25 / 2.25 ** 2])


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_memory_layouts_do_not_matter_and_nothing_changes_in_place(kind):
    base = torch.randn(4, 6, 5, dtype=torch.float64)
    views = [lambda x: x, lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0), lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
             lambda x: torch.stack([x, x], -1)[..., 0]]
    want = None
    for own in views:
        for its in views:
            p, g, state = gl.dlarray._made(own(base), None, None), gl.dlarray._made(its(base.sin()), None, None), None
            for t in (1, 2, 3):
                before = [np.array(p), np.array(g)]
                new, state = ours(kind, p, g, state, t)
                assert np.array_equal(before[0], p) and np.array_equal(before[1], g)
                p = new
            want = np.array(p) if want is None else want
            np.testing.assert_allclose(p, want, rtol=1e-13)


def test_states_are_not_changed_and_types_and_labels_stay():
    p = {"a": gl.dlarray(np.ones((2, 1), np.float32), "CB"), "b": gl.dlarray([1.0, 2.0]), "c": gl.ones(2, dtype="bfloat16")}
    g = {"a": gl.ones((2, 1)), "b": gl.ones(2, dtype="float32"), "c": gl.ones(2)}
    new, m, v = gl.adamupdate(p, g, None, None, 1)
    kept = {k: np.array(x.astype("float64")) for k, x in m.items()}
    newer, _, _ = gl.adamupdate(new, g, m, v, 2)
    assert all(np.array_equal(m[k].astype("float64"), kept[k]) for k in kept)
    assert [x.dtype for x in newer.values()] == [torch.float32, torch.float64, torch.bfloat16] and newer["a"].dims == "CB" == m["a"].dims
    np.testing.assert_allclose(newer["b"], [0.998, 1.998], rtol=1e-7)


# ----- networks with settings -----


def network():
    gl.rng(2)
    return gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4), L.Tanh(), L.FullyConnected(2)])


def of_network(net, which=None):
    x = gl.dlarray(np.linspace(-1, 1, 15).reshape(3, 5), "CB")
    return gl.dlfeval(lambda net: gl.dlgradient(gl.sum(net.forward(x) ** 2), which(net) if which else net.learnables), net)


UPDATES = {
    "sgdm": lambda net, g, s, t, lr: (lambda p, v: (p, (v,)))(*gl.sgdmupdate(net, g, *(s or (None,)), lr)),
    "adam": lambda net, g, s, t, lr: (lambda p, *v: (p, v))(*gl.adamupdate(net, g, *(s or (None, None)), t, lr)),
    "rmsprop": lambda net, g, s, t, lr: (lambda p, v: (p, (v,)))(*gl.rmspropupdate(net, g, *(s or (None,)), lr)),
}


@pytest.mark.parametrize("kind", UPDATES)
def test_factors_multiply_the_learning_rate(kind):
    net = network().set_learn_rate_factor("fc", "bias", 3.0).set_learn_rate_factor("fc_1", "weights", 0.0)
    g = of_network(net)
    new, state = UPDATES[kind](net, g, None, 1, 0.01)
    new, state = UPDATES[kind](new, g, state, 2, 0.01)
    for key, factor in ((("fc", "weights"), 1.0), (("fc", "bias"), 3.0), (("fc_1", "weights"), 0.0), (("fc_1", "bias"), 1.0)):
        alone, s = UPDATES[kind](net.learnables[key], g[key], None, 1, 0.01 * factor)
        alone, s = UPDATES[kind](alone, g[key], s, 2, 0.01 * factor)
        np.testing.assert_allclose(new.learnables[key], alone, rtol=1e-6)
        assert (factor == 0) == np.array_equal(new.learnables[key], net.learnables[key])
    assert new.settings == net.settings


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", UPDATES)
def test_frozen_parameters_stay(kind, whole):
    """With gradients of all learnables, and of those that are not frozen."""
    net = network().freeze("fc")
    g = of_network(net, None if whole else lambda net: net.trainable)
    new, state = UPDATES[kind](net, g, None, 1, 0.01)
    new, state = UPDATES[kind](new, g, state, 2, 0.01)
    plain, s = UPDATES[kind](network(), of_network(network()), None, 1, 0.01)
    plain, s = UPDATES[kind](plain, of_network(network()), s, 2, 0.01)
    for key, value in new.learnables.items():
        assert np.array_equal(value, net.learnables[key]) == (key[0] == "fc")
        if key[0] != "fc":
            np.testing.assert_allclose(value, plain.learnables[key], rtol=1e-6)
    assert all(list(part) == [("fc_1", "weights"), ("fc_1", "bias")] for part in state) and list(new.trainable) == list(net.trainable)
    inside, part = UPDATES[kind]({"net": net, "k": gl.dlarray(1.0)}, {"net": g, "k": gl.dlarray(0.5)}, None, 1, 0.01)
    assert np.array_equal(inside["net"].learnables["fc", "bias"], net.learnables["fc", "bias"]) and list(part[0]["net"]) == list(net.trainable)
    assert not np.array_equal(inside["net"].learnables["fc_1", "bias"], net.learnables["fc_1", "bias"])


def test_weight_decay_follows_the_l2_factors():
    """Biases of the catalogue's layers are not regularized."""
    net = network().set_l2_factor("fc", "weights", 2.0)
    zero = gl.dlupdate(gl.zeros_like, net.learnables)
    new, _, _ = gl.adamupdate(net, zero, None, None, 1, 0.1, weight_decay=0.5)
    for key, factor in ((("fc", "weights"), 0.9), (("fc_1", "weights"), 0.95), (("fc", "bias"), 1.0)):
        np.testing.assert_allclose(new.learnables[key], factor * np.asarray(net.learnables[key]), rtol=1e-6)


def test_dlupdate_means_frozen_ones_too():
    net = network().freeze()
    assert np.array_equal(gl.dlupdate(lambda p: 2 * p, net).learnables["fc", "weights"], 2 * np.asarray(net.learnables["fc", "weights"]))
    same, velocity = gl.sgdmupdate(net, of_network(network()))
    assert same is net and len(velocity) == 0


def test_refusals():
    p, g = gl.dlarray([1.0]), gl.dlarray([1.0])
    with pytest.raises(TypeError, match=r"iteration is 0.*counted from 1"):
        gl.adamupdate(p, g, None, None, 0)
    with pytest.raises(TypeError, match=r"average gradient is numpy ndarray.*pass None to start"):
        gl.adamupdate(network(), of_network(network()), np.zeros((2, 2)), None, 1)
    with pytest.raises(ValueError, match="average squared gradient of its first argument has shape 2"):
        gl.rmspropupdate(p, g, gl.zeros(2))
    with pytest.raises(TypeError, match=r"adamupdate has no betas="):
        gl.adamupdate(p, g, None, None, 1, betas=(0.9, 0.99))
    with pytest.raises(TypeError, match="complex, the parameter is real"):
        gl.rmspropupdate(p, gl.dlarray([1j]))
