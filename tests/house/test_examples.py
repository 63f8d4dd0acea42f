"""Each example in a small size, held against what is known of it."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(request, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module(request.param)
    sys.modules.pop(request.param)


def of(name):
    return pytest.mark.parametrize("example", [name], indirect=True)


def drawn(folder):
    return all(p.read_bytes().startswith(b"\x89PNG") and p.stat().st_size > 10_000 for p in folder.iterdir()) \
        and len(list(folder.iterdir())) == 1


def test_every_example_is_tested_and_made():
    programs = {p.stem for p in EXAMPLES.glob("*.py") if "__main__" in p.read_text(encoding="utf-8")}
    tests = Path(__file__).read_text(encoding="utf-8")
    assert programs and all(f'of("{name}")' in tests for name in programs - {"digits"})  # digits: test_demo.py


@of("channel_drop")
def test_the_gradient_is_zero_where_the_channel_was_dropped(example, tmp_path):
    found = example.main(tmp_path, runs=8)
    zero = [[c for c in range(5) if not np.any(y[c])] for y, _ in found]
    assert all(len(z) == 1 for z in zero) and len({z[0] for z in zero}) > 1
    for (_, gradient), z in zip(found, zero, strict=True):
        assert [c for c in range(5) if not np.any(gradient[c])] == z
    assert drawn(tmp_path)


@of("grad_cam")
def test_grad_cam_is_what_finite_differences_say(example, tmp_path):
    example.main(tmp_path, count=64, epochs=1)
    assert drawn(tmp_path)
    net = example.network().to(dtype="float64")
    x, t, _ = example.scenes(2, np.random.default_rng(3))
    x = x.astype("float64")
    features = net.predict(x, outputs="features").numpy()
    w, b = (np.asarray(net.learnables["scores", name]) for name in ("weights", "bias"))
    score = lambda f, k: f.max((-1, -2)) @ w[t[k].item()] + b[t[k].item()]
    for k, found in enumerate(gl.dlfeval(example.grad_cam, net, x, t).numpy()):
        weights = np.zeros(len(features[k]))
        for c in range(len(weights)):  # the mean of the gradient: the largest element has all of it
            place = (c, *np.unravel_index(features[k, c].argmax(), features[k, c].shape))
            up = features[k].copy()
            up[place] += 1e-6
            weights[c] = (score(up, k) - score(features[k], k)) / 1e-6 / features[k, c].size
        np.testing.assert_allclose(found, np.maximum(np.tensordot(weights, features[k], 1), 0), atol=1e-7)


@of("gan")
def test_both_gradients_of_one_trace_are_those_of_two(example, tmp_path):
    assert len(example.main(tmp_path, steps=20)["history"]) == 20 and drawn(tmp_path)
    gl.rng(1)
    generator, discriminator = example.networks()
    z, x = gl.randn((16, 2), "BC", dtype="float32"), example.real_points(16, np.random.default_rng(0))
    _, _, of_g, of_d = gl.dlfeval(example.losses_and_gradients, generator, discriminator, z, x)
    alone = gl.dlfeval(lambda g: gl.dlgradient(gl.mean(gl.softplus(-discriminator(g(z)))), g.learnables), generator)
    made = generator(z)
    other = gl.dlfeval(lambda d: gl.dlgradient(gl.mean(gl.softplus(-d(x))) + gl.mean(gl.softplus(d(made))), d.learnables),
                       discriminator)
    for found, truth in ((of_g, alone), (of_d, other)):
        for key in truth:
            np.testing.assert_allclose(found[key], truth[key], atol=1e-6)


@of("gradient_fields")
def test_the_arrows_are_the_formulas(example, tmp_path):
    found = example.main(tmp_path, fine=20)
    x1, x2, d1, d2 = found["rosenbrock"]
    np.testing.assert_allclose(d1, -400 * x1 * (x2 - x1 ** 2) - 2 * (1 - x1), atol=1e-11)
    np.testing.assert_allclose(d2, 200 * (x2 - x1 ** 2), atol=1e-11)
    np.testing.assert_allclose(found["linear"][2], 2 - 3j)
    np.testing.assert_allclose(found["cubic"][2], np.conj(found["cubic"][1] ** 2), atol=1e-12)
    assert drawn(tmp_path)


@of("burgers")
def test_the_residual_vanishes_on_a_solution(example, tmp_path):
    losses = example.main(tmp_path, steps=15, inside=100, width=8, depth=2)["losses"]
    assert losses[-1] < losses[0] and drawn(tmp_path)

    class Wave:
        """A solution of Burgers' equation: u = x / (1 + t), halved because the example takes N(x, t) - N(-x, t)."""

        forward = staticmethod(lambda xt: xt[:, 0:1] / (1 + xt[:, 1:2]) / 2)

    xt = gl.dlarray(np.random.default_rng(0).uniform(0, 1, (5, 2)), "BC")
    np.testing.assert_allclose(gl.dlfeval(lambda xt: example.residual(Wave, xt), xt), 0, atol=1e-14)
    x = np.linspace(-0.9, 0.9, 7)
    np.testing.assert_allclose(example.exact(x, np.zeros(7)), -np.sin(np.pi * x), atol=1e-6)


@of("inverse_problem")
def test_the_coefficient_is_found(example, tmp_path):
    assert example.main(tmp_path, steps=8)["error"] < 0.15 and drawn(tmp_path)


@of("vae")
def test_the_autoencoder_learns(example, tmp_path):
    losses = example.main(tmp_path, epochs=2)["losses"]
    assert np.mean(losses[-5:]) < 0.8 * losses[0] and drawn(tmp_path)


@of("mixture_of_experts")
def test_the_mixture_is_drawn(example, tmp_path):
    assert len(example.main(tmp_path, steps=5)) == 2 and drawn(tmp_path)
