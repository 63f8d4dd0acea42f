"""Burgers' equation, solved by a network that L-BFGS trains.

    python examples/burgers.py [--output FOLDER]

u_t + u u_x = nu u_xx for x in [-1, 1] and t in [0, 1], with u(x, 0) = -sin(pi x), u = 0 on both sides and nu = 0.01/pi:
a shock forms at x = 0. The loss is the mean square of what the equation leaves, at points inside, and of what the
conditions leave. The solution is odd in x, and the network is made so: u(x, t) = N(x, t) - N(-x, t), which holds the
shock where it belongs. u_x, u_t and u_xx come from one walk, and the loss is recorded and replayed.
The truth is Hopf's and Cole's formula, an integral that quadrature gives.
"""
import time

import numpy as np
from drawing import BLUE, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers
NU = 0.01 / np.pi


def exact(x, t, nu=NU):
    """Hopf and Cole: a quotient of two integrals over a Gaussian, by Gauss and Hermite's points (Basdevant 1986)."""
    z, w = np.polynomial.hermite.hermgauss(100)
    eta = x[..., None] - 2 * np.sqrt(nu * np.maximum(t, 1e-12))[..., None] * z
    f = w * np.exp(-np.cos(np.pi * eta) / (2 * np.pi * nu) + 1 / (2 * np.pi * nu) - 1 / (np.pi * nu))
    return -np.sum(np.sin(np.pi * eta) * f, -1) / np.sum(f, -1)


def network(width, depth):
    hidden = [layer for _ in range(depth) for layer in (L.FullyConnected(width), L.Tanh())]
    return gl.dlnetwork([L.FeatureInput(2), *hidden, L.FullyConnected(1)], dtype="float64")


def solution(net, xt):
    """u, odd in x."""
    return net.forward(xt) - net.forward(xt * np.array([-1.0, 1.0]))


def residual(net, xt):
    """u_t + u u_x - nu u_xx at each point."""
    u = solution(net, xt)
    u_x, u_t, u_xx = gl.partials(u, xt, ["x", "t", "xx"], "C", names="xt")
    return u_t + u * u_x - NU * u_xx


def model_loss(net, inside, edge, values):
    loss = gl.mean(residual(net, inside) ** 2) + gl.mean((solution(net, edge) - values) ** 2)
    return loss, gl.dlgradient(loss, net.learnables)


def points(inside, edge, rng):
    """Points inside, points of the three edges, and what u is there."""
    interior = np.stack([rng.uniform(-1, 1, inside), rng.uniform(0, 1, inside)], 1)
    start = np.stack([np.linspace(-1, 1, edge), np.zeros(edge)], 1)
    sides = np.stack([np.resize([-1.0, 1.0], edge), np.linspace(0, 1, edge)], 1)
    border = np.concatenate([start, sides])
    values = np.where(border[:, 1:] == 0, -np.sin(np.pi * border[:, :1]), 0.0)
    return [gl.dlarray(a, "BC") for a in (interior, border, values)]


def train(net, steps, data):
    """The network after L-BFGS, and the loss of every step."""
    state, losses, loss = gl.LBFGSState(history_size=50), [], gl.dlaccelerate(model_loss)
    for _ in range(steps):
        net, state = gl.lbfgsupdate(net, lambda net: gl.dlfeval(loss, net, *data), state)
        losses.append(state.loss)
        if state.line_search_status == "failed":
            break
    return net, losses


def main(output, steps=1000, inside=1000, width=24, depth=3):
    gl.rng(0)
    start = time.perf_counter()
    net, losses = train(network(width, depth), steps, points(inside, 100, np.random.default_rng(0)))
    x, t = np.meshgrid(np.linspace(-1, 1, 201), np.linspace(0, 1, 101), indexing="ij")
    u = solution(net, gl.dlarray(np.stack([x.ravel(), t.ravel()], 1), "BC")).numpy().reshape(x.shape)
    truth = exact(x, t)
    error = np.linalg.norm(u - truth) / np.linalg.norm(truth)
    print(f"Loss {losses[0]:.2e}, after {len(losses)} steps of L-BFGS {losses[-1]:.2e}, in "
          f"{time.perf_counter() - start:.0f} s; relative error of u {error:.2e}.")
    draw(output / "burgers.png", x, t, u, truth, losses)
    return {"losses": losses, "error": error}


def draw(path, x, t, u, truth, losses):
    fig = figure(12, 6.4, "Burgers' equation by a network and L-BFGS")
    top, bottom = fig.subfigures(2, 1, height_ratios=[1, 1.1])
    above = top.subplots()
    drawn = above.pcolormesh(t, x, u, cmap="RdBu_r", shading="gouraud")
    titled(above, "u, as the network says", xlabel="t", ylabel="x")
    top.colorbar(drawn, ax=above)
    *cuts, last = bottom.subplots(1, 4)
    for axes, when in zip(cuts, (0.25, 0.5, 0.75), strict=True):
        column = round(when * (t.shape[1] - 1))
        axes.plot(x[:, 0], truth[:, column], color=RED, linewidth=3, alpha=0.5, label="exact")
        axes.plot(x[:, 0], u[:, column], "--", color=BLUE, label="network")
        titled(axes, f"u at t = {when}", xlabel="x", ylim=(-1.1, 1.1))
    axes.legend(frameon=False, fontsize=8)
    last.semilogy(losses, color=BLUE)
    titled(last, "loss", xlabel="step of L-BFGS")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
