"""Burgers' equation once more: adam, L-BFGS and Levenberg-Marquardt, by `trainnet`.

    python examples/burgers_solvers.py [--output FOLDER]

The equation of burgers.py, u_t + u u_x = nu u_xx, here with nu = 0.05/pi. The conditions hold by construction: u is
-sin(pi x) + t (1 - x^2) (N(x, t) - N(-x, t)). What the equation leaves at each point is the output of a layer, and
training a least-squares problem: `trainnet` with the loss "mse", targets of zero, and any of its solvers. Adam takes
mini-batches of the points, the other two all of them at each step. All begin with the same network. How long does each
take to the loss at which adam ends? """
import numpy as np
from burgers import exact
from drawing import BLUE, GREEN, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers
NU = 0.05 / np.pi
NAMES = {"adam": "adam", "lbfgs": "L-BFGS", "lm": "Levenberg-Marquardt"}


def solution(net, xt):
    """u: odd in x, -sin(pi x) at t = 0, and 0 at x = -1 and at x = 1."""
    x, t = xt[:, :1], xt[:, 1:]
    odd = net.forward(xt) - net.forward(xt * np.array([-1.0, 1.0]))
    return t * (1 - x ** 2) * odd - gl.sin(np.pi * x)


def residual(u, xt):
    """u_t + u u_x - nu u_xx at each point."""
    u_x, heat = gl.partials(u, xt, ["x", {"t": 1, "xx": -NU}], names="xt")  # heat: u_t - nu u_xx
    return heat + u * u_x


class Residual(gl.Layer):
    """What the equation leaves at points (x, t), of a network inside."""

    net: gl.dlnetwork

    def predict(self, xt):
        return gl.dlfeval(lambda xt: residual(solution(self.net, xt), xt), xt)


def network(width, depth):
    hidden = [layer for _ in range(depth) for layer in (L.FullyConnected(width), L.Tanh())]
    net = gl.dlnetwork([L.FeatureInput(2), *hidden, L.FullyConnected(1)])
    return gl.dlnetwork([Residual(net, name="equation")], gl.Layout((1, 2), "BC"), dtype="float64")


def options(solver, steps, points):
    """trainnet's options: `steps` of the solver."""
    common = {"max_iterations": steps, "verbose": False, "input_data_formats": "BC"}
    if solver == "adam":
        passes = steps * 250 // points + 1
        return gl.TrainingOptions("adam", initial_learn_rate=5e-3, max_epochs=passes, mini_batch_size=250,
                                  learn_rate_schedule=gl.cosine_learn_rate(period=passes), shuffle="every-epoch",
                                  l2_regularization=0, **common)
    more = {"lbfgs": {"history_size": 50, "l2_regularization": 0}, "lm": {}}[solver]
    return gl.TrainingOptions(solver, mini_batch_size=points, step_tolerance=1e-9, gradient_tolerance=1e-9,
                              **more, **common)


def train(solver, start, xt, steps):
    """The network's u and its training table, from the network that all begin with."""
    net, info = gl.trainnet(xt, np.zeros((len(xt), 1)), start, "mse", options(solver, steps, len(xt)))
    return net["equation"].net, info.training


def smooth(losses, solver, count=20):
    """Adam's losses are those of mini-batches: the mean of the last 20."""
    return np.convolve(losses, np.ones(count) / count)[:len(losses)] if solver == "adam" else losses


def reached(table, solver, loss):
    """The seconds after which the loss is first that small; None where it never is."""
    there = np.flatnonzero(smooth(table["loss"], solver)[20 * (solver == "adam"):] <= loss) + 20 * (solver == "adam")
    return table["time"][there[0]] if len(there) else None


def main(output, steps=None, inside=500, width=16, depth=3):
    steps = steps or {"adam": 5500, "lbfgs": 400, "lm": 60}
    gl.rng(0)
    rng, start = np.random.default_rng(0), network(width, depth)
    xt = np.stack([rng.uniform(-1, 1, inside), rng.uniform(0, 1, inside)], 1)
    x, t = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(0, 1, 51), indexing="ij")
    truth, found, tables = exact(x, t, NU), {}, {}
    for solver, count in steps.items():
        net, tables[solver] = train(solver, start, xt, count)
        grid = gl.dlarray(np.stack([x.ravel(), t.ravel()], 1), "BC")
        found[solver] = solution(net, grid).numpy().reshape(x.shape)
    goal = np.mean(tables["adam"]["loss"][-20:])  # the losses of mini-batches differ
    for solver, table in tables.items():
        when, error = reached(table, solver, goal), np.linalg.norm(found[solver] - truth) / np.linalg.norm(truth)
        print(f"{NAMES[solver]:20} {len(table['loss']):5} steps in {table['time'][-1]:5.1f} s: loss "
              f"{table['loss'][-1]:.1e}, error of u {error:.1e}; "
              + (f"at adam's last loss after {when:.1f} s." if when is not None else "never at adam's last loss."))
    draw(output / "burgers_solvers.png", x, t, truth, found, tables, goal)
    return {"tables": tables, "goal": goal, "found": found}


def draw(path, x, t, truth, found, tables, goal):
    fig = figure(12, 4.6, "Burgers' equation by three solvers of trainnet")
    left, right = fig.subplots(1, 2, width_ratios=[1.4, 1])
    colours = dict(zip(NAMES, (RED, BLUE, GREEN), strict=True))
    for solver, table in tables.items():
        if solver == "adam":
            left.loglog(table["time"], table["loss"], color=RED, linewidth=0.5, alpha=0.3)
        some = slice(19 * (solver == "adam"), None)
        left.loglog(table["time"][some], smooth(table["loss"], solver)[some], color=colours[solver],
                    label=NAMES[solver])
    left.axhline(goal, color=QUIET, linestyle=":", linewidth=1)
    left.legend(frameon=False)
    titled(left, "loss (dotted: where adam ends)", xlabel="seconds")
    for solver, u in found.items():
        right.semilogy(x[:, 0], np.abs(u - truth)[:, -1] + 1e-9, color=colours[solver], linewidth=1.2)
    beside = right.twinx()
    beside.plot(x[:, 0], truth[:, -1], color=QUIET, linewidth=4, alpha=0.3)
    beside.set(yticks=[], ylim=(-1.6, 0.8))
    beside.spines[:].set_visible(False)
    titled(right, "error of u at t = 1 (grey: the shape of u)", xlabel="x", ylim=(1e-7, 1))
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
