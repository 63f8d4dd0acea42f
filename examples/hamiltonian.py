"""A pendulum, learned by a network that cannot help keeping energy.

    python examples/hamiltonian.py [--output FOLDER]

What is seen are angles q, momenta p, and noisy rates of both. A plain network maps (q, p) to the rates. A Hamiltonian
network (Greydanus, Dzamba and Yosinski 2019) has one output, H(q, p), and its rates are q' = dH/dp, p' = -dH/dq: so H
stays what it is along every solution, whatever was learned. The rates are a derivative, and training differentiates
them: `enable_higher_derivatives=True`. Both are then solved for thirteen swings with `dlode45`. """
import numpy as np
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers


def energy(q, p):
    """Of a pendulum of length, mass and gravity 1; 2 is the pendulum that stands on its head."""
    return p ** 2 / 2 + 1 - np.cos(q)


def observations(count, noise, rng):
    """States of swings below energy 1.8, and their rates with noise."""
    q, p = rng.uniform(-3, 3, (2, 20 * count))
    q, p = np.array([q, p])[:, energy(q, p) < 1.8][:, :count]
    rates = np.stack([p, -np.sin(q)], 1) + noise * rng.standard_normal((len(q), 2))
    return gl.dlarray(np.stack([q, p], 1), "BC"), gl.dlarray(rates, "BC")


def network(outputs):
    return gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(64), L.Tanh(), L.FullyConnected(64), L.Tanh(),
                         L.FullyConnected(outputs)], dtype="float64")


def plain(net, x):
    """The rates are what the network says."""
    return net.forward(x)


def hamiltonian(net, x):
    """The rates are H's slopes, turned by a right angle. States do not mix, so the sum's gradient holds all of them."""
    slope = gl.dlgradient(gl.sum(net.forward(x)), x, enable_higher_derivatives=True)
    return slope[:, ::-1] * np.array([1.0, -1.0])


def train(field, net, x, rates, steps):
    """The network, and its loss at every step."""
    @gl.dlaccelerate
    def model_loss(net, x):
        loss = gl.mse(field(net, x), rates)
        return loss, gl.dlgradient(loss, net.learnables)

    state, losses = (None, None), []
    for step in range(1, steps + 1):
        loss, gradients = gl.dlfeval(model_loss, net, x)
        net, *state = gl.adamupdate(net, gradients, *state, step, 5e-3 * (1 - step / (steps + 1)))
        losses.append(loss.item())
    return net, losses


def solve(field, net, start, times):
    """The states at `times`, from `start`: time, (q, p)."""
    rate = lambda t, x: gl.dlfeval(field, net, x)
    path = gl.dlode45(rate, times, gl.dlarray([start], "BC"), relative_tolerance=1e-6, absolute_tolerance=1e-8)
    return np.concatenate([[start], path.numpy()[0].T])


def main(output, steps=2000, until=100):
    gl.rng(0)
    x, rates = observations(300, 0.1, np.random.default_rng(0))
    times, start = np.linspace(0, until, 10 * until + 1), np.array([1.8, 0.0])
    learned, found = {}, {}
    for name, field, outputs in (("plain", plain, 2), ("hamiltonian", hamiltonian, 1)):
        net, losses = train(field, network(outputs), x, rates, steps)
        path = solve(field, net, start, times)
        drift = np.abs(energy(*path.T) - energy(*start)).max()
        print(f"{name:12} loss {losses[0]:.3f} to {losses[-1]:.4f}; energy {energy(*start):.3f}, off by up to "
              f"{drift:.3f}.")
        learned[name], found[name] = path, {"net": net, "losses": losses, "drift": drift}
    truth = gl.dlode45(lambda t, x: gl.concat([x[1:], -gl.sin(x[:1])], axis=0), times, gl.dlarray(start),
                       relative_tolerance=1e-9, absolute_tolerance=1e-10)
    draw(output / "hamiltonian.png", times, np.concatenate([[start], truth.numpy().T]), learned)
    return found


def draw(path, times, truth, learned):
    fig = figure(12, 5, "A pendulum for thirteen swings: a network of its rates, and a network of its energy")
    left, right = fig.subfigures(1, 2, width_ratios=[1, 1.35])
    phase, (above, below) = left.subplots(), right.subplots(2, 1, sharex=True)
    q, p = np.meshgrid(np.linspace(-3.3, 3.3, 200), np.linspace(-2.4, 2.4, 200))
    phase.contour(q, p, energy(q, p), np.arange(0.25, 3, 0.25), colors="#dddddd", linewidths=0.8)
    for axes, series in ((above, lambda x: x[:, 0]), (below, lambda x: energy(*x.T))):
        axes.plot(times, series(truth), color=QUIET, linewidth=3, alpha=0.5, label="pendulum")
    for name, colour in (("plain", RED), ("hamiltonian", BLUE)):
        phase.plot(*learned[name].T, color=colour, linewidth=1, label=name)
        above.plot(times, learned[name][:, 0], color=colour, linewidth=1)
        below.plot(times, energy(*learned[name].T), color=colour, linewidth=1.5, label=name)
    titled(phase, "the plane of states, with lines of equal energy", xlabel="angle q", ylabel="momentum p",
           xlim=(-3.3, 3.3), ylim=(-2.4, 2.4), aspect="equal")
    titled(above, "angle")
    titled(below, "energy", xlabel="time")
    below.legend(frameon=False, ncols=3)
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
