"""A neural differential equation: what moves like this?

    python examples/neural_ode.py [--output FOLDER]

A point spirals onto a cycle, by van der Pol's equations. Two runs are seen, one from inside and one from outside: where
the point is at 120 moments, a little wrong. The layer `NeuralODE` is the solution of dx/dt = network(x) at given times
(Chen et al. 2018), and its derivative is that of the solver's steps. So `trainnet` trains it as it trains any network,
here by L-BFGS: to say from each place where the point is at the next ten moments. In the end the network runs on its
own, twice as long, from places that it has never seen. Far from what it saw it is wrong about the speed, and comes to
the cycle early; it stays on the cycle all the same. """
import numpy as np
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled
from scipy.integrate import solve_ivp

import gradloom as gl

L = gl.layers
STEP, AHEAD = 0.1, 10
SEEN, UNSEEN = ((0.2, 0.0), (-3.0, 2.5)), ((3.0, -1.0), (-0.5, -3.0))


def velocity(x, y):
    """Van der Pol's equations."""
    return y, (1 - x ** 2) * y - x


def true_path(start, times):
    """The solution: time, place."""
    found = solve_ivp(lambda t, x: velocity(*x), (times[0], times[-1]), start, t_eval=times, rtol=1e-9, atol=1e-9)
    return found.y.T


def windows(path):
    """Places, and those that follow each: (count, 2), (count, 2, AHEAD)."""
    starts = np.arange(len(path) - AHEAD)
    return path[starts], path[starts[:, None] + np.arange(1, AHEAD + 1)].swapaxes(1, 2)


def network():
    """The places at the next moments. The network inside says how fast the point moves, and where to."""
    inside = gl.dlnetwork([L.FullyConnected(50), L.Tanh(), L.FullyConnected(50), L.Tanh(), L.FullyConnected(2)],
                          initialize=False)
    times = [STEP * k for k in range(AHEAD + 1)]
    return gl.dlnetwork([L.FeatureInput(2), L.NeuralODE(inside, times, relative_tolerance=1e-4, name="motion")])


def train(net, paths, steps):
    x, t = (np.concatenate(parts).astype("float32") for parts in zip(*map(windows, paths), strict=True))
    options = gl.TrainingOptions("lbfgs", max_iterations=steps, history_size=30, l2_regularization=0,
                                 mini_batch_size=len(x), target_data_formats="BCT", verbose=False)
    return gl.trainnet(x, t, net, "mse", options)


def run(net, start, times):
    """The learned motion from `start`: time, place."""
    inside = net["motion"].network
    path = gl.dlode45(inside, times, gl.dlarray([start], "BC", dtype="float32"), relative_tolerance=1e-5)
    return np.concatenate([[start], path.numpy()[0].T])


def main(output, steps=250, until=24.0):
    gl.rng(0)
    rng, moments, times = np.random.default_rng(0), STEP * np.arange(120), np.arange(0, until, STEP / 2)
    clean = [true_path(start, moments) for start in SEEN]
    paths = [path + 0.03 * rng.standard_normal(path.shape) for path in clean]
    net, info = train(network(), paths, steps)
    losses = info.training["loss"]
    print(f"Loss {losses[0]:.3f} to {losses[-1]:.5f}, in {info.training['time'][-1]:.0f} s.")
    truth, found = {}, {}
    for start in SEEN + UNSEEN:
        truth[start], found[start] = true_path(start, times), run(net, start, times)
        error = np.sqrt(np.mean((truth[start] - found[start]) ** 2))
        print(f"From {start}: off by {error:.3f} in the root mean square, until t = {until:g}"
              f"{'' if start in SEEN else ' (a start it has not seen)'}.")
    draw(output / "neural_ode.png", net, paths, times, truth, found)
    return {"losses": losses, "paths": found}


def draw(path, net, paths, times, truth, found):
    fig = figure(12, 5.4, "A differential equation, learned from two noisy runs")
    left, right = fig.subfigures(1, 2, width_ratios=[1, 1.3])
    plane, cuts = left.subplots(), right.subplots(2, 1, sharex=True)
    x, y = np.meshgrid(np.linspace(-3.4, 3.4, 24), np.linspace(-3.6, 3.6, 24))
    places = gl.dlarray(np.stack([x.ravel(), y.ravel()], 1).astype("float32"), "BC")
    u, v = net["motion"].network.predict(places).numpy().T.reshape(2, *x.shape)
    plane.streamplot(x, y, u, v, color="#d5d5d5", linewidth=0.7, arrowsize=0.7, density=1.3)
    for k, seen in enumerate(paths):
        plane.plot(*seen.T, ".", color=QUIET, markersize=4, label="seen" if k == 0 else None)
    for k, (start, axes) in enumerate(zip(UNSEEN, cuts, strict=True)):
        plane.plot(*found[start].T, color=(BLUE, RED)[k], linewidth=1.4, label=f"learned, from {start}")
        plane.plot(*start, "o", color=(BLUE, RED)[k], markersize=6)
        axes.plot(times, truth[start][:, 0], color=QUIET, linewidth=4, alpha=0.4, label="true")
        axes.plot(times, found[start][:, 0], color=(BLUE, RED)[k], linewidth=1.2, label="learned")
        axes.axvline(12, color=QUIET, linestyle=":", linewidth=1)
        titled(axes, f"x from {start}, which was never seen", ylim=(-3.6, 3.6))
        axes.legend(frameon=False, loc="lower right", ncols=2, fontsize=8)
    cuts[1].set(xlabel="time (dotted: as long as a run that was seen)")
    titled(plane, "the learned motion", xlabel="x", ylabel="y", xlim=(-3.4, 3.4), ylim=(-3.6, 3.6), aspect="equal")
    plane.legend(frameon=False, loc="lower right", fontsize=8)
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
