"""Each example in a small size, held against what is known of it."""

import importlib
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

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


@of("hamiltonian")
def test_rates_are_the_slopes_of_the_energy(example, tmp_path):
    found = example.main(tmp_path, steps=100, until=10)
    assert found["hamiltonian"]["losses"][-1] < found["hamiltonian"]["losses"][0] / 10 and drawn(tmp_path)

    class Pendulum:
        """A network that knows the energy."""

        forward = staticmethod(lambda x: x[:, 1:] ** 2 / 2 + 1 - gl.cos(x[:, :1]))

    x = np.random.default_rng(0).uniform(-2, 2, (5, 2))
    np.testing.assert_allclose(gl.dlfeval(example.hamiltonian, Pendulum, gl.dlarray(x, "BC")), np.stack([x[:, 1], -np.sin(x[:, 0])], 1), atol=1e-14)
    path = example.solve(example.hamiltonian, Pendulum, [1.0, 0.5], np.linspace(0, 20, 50))
    np.testing.assert_allclose(example.energy(*path.T), example.energy(1.0, 0.5), atol=1e-4)
    # whatever the network learned, its own energy stays
    net = found["hamiltonian"]["net"]
    path = example.solve(example.hamiltonian, net, [1.0, 0.5], np.linspace(0, 20, 50))
    own = net.predict(gl.dlarray(path, "BC")).numpy()
    assert np.ptp(own) < 1e-3 * np.ptp(net.predict(gl.dlarray(x, "BC")).numpy())


@of("neural_ode")
def test_the_motion_is_learned(example, tmp_path):
    found = example.main(tmp_path, steps=5, until=3.0)
    assert found["losses"][-1] < found["losses"][0] and drawn(tmp_path)
    path = example.true_path((2.0, 0.0), example.STEP * np.arange(15))
    x, t = example.windows(path)
    assert len(x) == len(t) == 5
    np.testing.assert_array_equal(t[2, :, 3], path[6])
    # the truth by the library's own solver
    solved = gl.dlode45(lambda t, x: gl.stack(list(example.velocity(x[0], x[1]))), (0.0, 1.4), gl.dlarray([2.0, 0.0]), relative_tolerance=1e-8)
    np.testing.assert_allclose(solved, path[14], atol=1e-5)


@of("forecasting")
def test_a_closed_loop_hears_itself(example, tmp_path):
    found = example.main(tmp_path, count=400, epochs=2, hidden=8, ahead=150)
    assert found["open"] < 1.5 and drawn(tmp_path)
    net, heard = found["network"], example.mackey_glass(30)[None]
    said = example.closed_loop(net, heard, 3)
    for _ in range(3):  # the same, each time from the beginning
        heard = np.append(heard, example.open_loop(net, heard)[0][:, -1:], axis=1)
    np.testing.assert_allclose(said, heard[:, 30:], atol=1e-6)


@of("sequence_classification")
def test_beliefs_end_with_the_classification(example, tmp_path):
    found = example.main(tmp_path, count=64, epochs=1)
    assert drawn(tmp_path)
    assert len({len(x) for x in found["heard"]}) > 1  # so that there is padding
    scores = gl.minibatchpredict(found["network"], found["heard"], input_data_formats=example.FORMAT)
    np.testing.assert_allclose([told[-1] for told in found["told"]], scores, atol=1e-6)


@of("custom_loop")
def test_the_loop_learns_both_outputs(example, tmp_path):
    found = example.main(tmp_path, count=200, turns=1, epochs=3)
    steps, losses = found["curves"]["loss"]
    assert len(losses) == steps[-1] == 9 and losses[-1] < losses[0] and drawn(tmp_path)
    image = np.zeros((8, 8))
    image[1, 2] = 16
    x, angle = example.turned_digits([image], np.random.default_rng(0))
    # turned back it has the spot where it was: row 1, column 2 of 8, in a frame of 1, 1.6 times as large
    back = example.turn(x[0, 0], -angle[0, 0])
    assert np.unravel_index(back.argmax(), back.shape) in {(2, 4), (3, 4), (2, 5), (3, 5)}


@of("parallel_training")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_find_what_one_finds(example, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(gl.__file__).parents[1]))
    found = example.main(tmp_path, epochs=1)
    assert len(found["apart"]) == 14 and found["apart"].max() < 1e-13 and found["difference"] < 1e-13
    assert found["loss"][-1] < found["loss"][0] / 2 and drawn(tmp_path)


@of("burgers_solvers")
def test_three_solvers_begin_with_one_network(example, tmp_path):
    found = example.main(tmp_path, steps={"adam": 4, "lbfgs": 4, "lm": 3}, inside=40, width=4, depth=1)
    assert all(table["loss"][-1] < table["loss"][0] for name, table in found["tables"].items() if name != "adam") and drawn(tmp_path)
    xt = gl.dlarray(np.random.default_rng(0).uniform(0, 1, (5, 2)), "BC")
    wave = lambda xt: example.residual(xt[:, :1] / (1 + xt[:, 1:]), xt)
    np.testing.assert_allclose(gl.dlfeval(wave, xt), 0, atol=1e-14)
    net = example.network(4, 1)["equation"].net
    edge = np.array([[-1, 0.3], [1, 0.7], [0.3, 0], [-0.6, 0]])
    np.testing.assert_allclose(example.solution(net, gl.dlarray(edge, "BC"))[:, 0], [0, 0, -np.sin(0.3 * np.pi), np.sin(0.6 * np.pi)], atol=1e-14)
    # the formula of the truth, with this viscosity, by differences
    u = lambda x, t: example.exact(np.array(x), np.array(t), example.NU)
    x, t, h = 0.3, 0.5, 1e-3
    u_x, u_t = (u(x + h, t) - u(x - h, t)) / (2 * h), (u(x, t + h) - u(x, t - h)) / (2 * h)
    u_xx = (u(x + h, t) - 2 * u(x, t) + u(x - h, t)) / h ** 2
    assert abs(u_t + u(x, t) * u_x - example.NU * u_xx) < 1e-4 < abs(u_t)


@of("wgan")
def test_the_penalty_is_of_the_slope(example, tmp_path):
    assert len(example.main(tmp_path, steps=10, count=50)["distances"]) == 10 and drawn(tmp_path)

    class Plane:
        """A critic of slope 5 everywhere."""

        forward = staticmethod(lambda x: 3 * x[:, :1] + 4 * x[:, 1:])

    x = gl.dlarray(np.random.default_rng(0).normal(size=(6, 2)), "BC")
    assert float(gl.dlfeval(lambda x: example.gradient_penalty(Plane, x), x)) == pytest.approx(16)
    a, b = np.random.default_rng(0).normal(size=(2, 5, 2))
    best = min(np.linalg.norm(a - b[list(order)], axis=1).mean() for order in itertools.permutations(range(5)))
    assert example.carried(a, b) == pytest.approx(best)


@of("cavity")
def test_the_flow_keeps_the_walls_and_the_scheme_converges(example, tmp_path):
    found = example.main(tmp_path, steps=2, side=5, width=4, depth=1, cells=12)
    assert found["losses"][-1] < found["losses"][0] and drawn(tmp_path)
    # psi = x^3 y^4, by hand
    xy = np.random.default_rng(0).uniform(0, 1, (5, 2))
    x, y = xy.T
    by_hand = (4 * x ** 3 * y ** 3 * (6 * y ** 4 + 36 * x ** 2 * y ** 2) - 3 * x ** 2 * y ** 4 * (24 * x * y ** 3 + 24 * x ** 3 * y)
               - (144 * x * y ** 2 + 24 * x ** 3) / example.REYNOLDS)
    flow = lambda xy: example.residual(xy[:, :1] ** 3 * xy[:, 1:] ** 4, xy)
    np.testing.assert_allclose(gl.dlfeval(flow, gl.dlarray(xy, "BC"))[:, 0], by_hand, atol=1e-12)
    line, zero, one = np.linspace(0, 1, 7), np.zeros(7), np.ones(7)
    net = found["net"]["equation"].net
    for x, y in ((line, zero), (line, one), (zero, line), (one, line)):
        psi, u, v = (f.numpy()[:, 0] for f in gl.dlfeval(example.velocity, net, gl.dlarray(np.stack([x, y], 1), "BC")))
        np.testing.assert_allclose(u, 16 * x ** 2 * (1 - x) ** 2 * (y == 1), atol=1e-14)
        np.testing.assert_allclose([psi, v], 0, atol=1e-14)
    coarse, middle, fine = (example.reference(cells)[::cells // 12, ::cells // 12] for cells in (12, 24, 48))
    assert 3 < abs(middle - coarse).max() / abs(fine - middle).max() < 5  # of order two


@of("transfer_learning")
def test_the_frozen_module_stays(example, tmp_path):
    found = example.main(tmp_path, counts=(1, 2), draws=1, epochs=1, steps=3)
    x, digit = example.images()
    frozen, holes = found["frozen"], example.HOLES[digit[:20]]
    np.testing.assert_allclose(frozen.predict(gl.dlarray(x[:20], "BCSS"), outputs="network").numpy(),
                               found["module"](torch.tensor(x[:20])).detach(), atol=1e-5)
    moved = example.train(frozen, x[:20], holes, 3)
    changed = {layer for (layer, name), p in moved.learnables.items() if not np.array_equal(p, frozen.learnables[layer, name])}
    assert changed == {"fc"} and drawn(tmp_path)
