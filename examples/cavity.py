"""The flow in a cavity under a moving lid, by a network and by finite differences.

    python examples/cavity.py [--output FOLDER]

A square of fluid, whose lid moves with the speed 16 x^2 (1 - x)^2; Reynolds' number is 100. The network gives the
stream function psi: u = psi_y, v = -psi_x, so that nothing is compressed whatever it says. What it gives is multiplied
by a function that keeps all walls as they are, and one thing is left to train: the equation of the vorticity, psi_y lap
psi_x - psi_x lap psi_y = lap lap psi / Re, of order four. `partials` gives its nine derivatives from one walk. What the
equation leaves at each point is the output of a layer, and `trainnet` brings it to zero by Levenberg and Marquardt's
method. The truth is a scheme of second order on two grids, solved by Newton's method with a `sparse_jacobian`. What the
network misses are the two weak eddies in the lower corners, a thousand times slower than the one in the middle. """
import numpy as np
import scipy.sparse.linalg
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers
REYNOLDS = 100


# ----- the network ----------------------------------------------------------------------------------------------------


def stream(net, xy):
    """psi, which is 0 at all walls, with u = v = 0 there but for u = 16 x^2 (1 - x)^2 at the lid."""
    x, y = xy[:, :1], xy[:, 1:]
    side = (x * (1 - x)) ** 2
    return 16 * side * y ** 2 * (y - 1) + 16 * side * (y * (1 - y)) ** 2 * net.forward(2 * xy - 1)


def residual(psi, xy):
    """What the equation of the vorticity leaves."""
    x, y, xxx, xyy, xxy, yyy, xxxx, xxyy, yyyy = gl.partials(
        psi, xy, ["x", "y", "xxx", "xyy", "xxy", "yyy", "xxxx", "xxyy", "yyyy"], names="xy")
    return y * (xxx + xyy) - x * (xxy + yyy) - (xxxx + 2 * xxyy + yyyy) / REYNOLDS


class Residual(gl.Layer):
    """What the equation leaves at points (x, y), of a network inside that gives the stream function. Near a wall it
    weighs less: there the flow hardly answers to a force."""

    net: gl.dlnetwork

    def predict(self, xy):
        left = gl.dlfeval(lambda xy: residual(stream(self.net, xy), xy), xy)
        return 16 * gl.prod(xy * (1 - xy), axis="C", keepdims=True) * left


def network(width, depth):
    hidden = [layer for _ in range(depth) for layer in (L.FullyConnected(width), L.Tanh())]
    net = gl.dlnetwork([L.FeatureInput(2), *hidden, L.FullyConnected(1)])
    return gl.dlnetwork([Residual(net, name="equation")], gl.Layout((1, 2), "BC"), dtype="float64")


def train(net, xy, steps):
    options = gl.TrainingOptions("lm", max_iterations=steps, mini_batch_size=len(xy), step_tolerance=1e-9,
                                 gradient_tolerance=1e-9, input_data_formats="BC", verbose=False)
    return gl.trainnet(xy, np.zeros((len(xy), 1)), net, "mse", options)


def velocity(net, xy):
    """psi, u and v."""
    psi = stream(net, xy)
    x, y = gl.partials(psi, xy, ["x", "y"], names="xy", enable_higher_derivatives=False)
    return psi, y, -x


# ----- finite differences ---------------------------------------------------------------------------------------------


def scheme(unknown, cells):
    """What stream function and vorticity leave on the inner points of a grid: both equations, central differences.
    The vorticity at a wall is that of a parabola through its neighbour (Thom 1933)."""
    h = 1 / cells
    psi, w = unknown.reshape(2, cells - 1, cells - 1)  # x, y
    x = np.linspace(0, 1, cells + 1)[1:-1]
    lid = 16 * (x * (1 - x)) ** 2
    walls = [-2 / h ** 2 * row for row in (psi[:1], psi[-1:], psi[:, :1], psi[:, -1:] + h * lid[:, None])]
    w = gl.pad(gl.concat([walls[2], w, walls[3]], axis=1), ((1, 1), (0, 0)))
    w = gl.concat([gl.pad(walls[0], ((0, 0), (1, 1))), w[1:-1], gl.pad(walls[1], ((0, 0), (1, 1)))], axis=0)
    psi = gl.pad(psi, ((1, 1), (1, 1)))
    dx = lambda f: (f[2:, 1:-1] - f[:-2, 1:-1]) / (2 * h)
    dy = lambda f: (f[1:-1, 2:] - f[1:-1, :-2]) / (2 * h)
    laplacian = lambda f: (f[2:, 1:-1] + f[:-2, 1:-1] + f[1:-1, 2:] + f[1:-1, :-2] - 4 * f[1:-1, 1:-1]) / h ** 2
    return gl.ravel(gl.stack([laplacian(psi) + w[1:-1, 1:-1],
                              dy(psi) * dx(w) - dx(psi) * dy(w) - laplacian(w) / REYNOLDS]))[0]


def reference(cells):
    """psi on the grid, walls included: Newton's method."""
    function = lambda z: scheme(z, cells)
    jacobian, z = gl.sparse_jacobian(function), np.zeros(2 * (cells - 1) ** 2)
    for _ in range(12):
        step = scipy.sparse.linalg.spsolve(scipy.sparse.csc_array(jacobian(z)), function(gl.dlarray(z)).numpy())
        z = z - step
        if np.abs(step).max() < 1e-9:
            break
    return np.pad(z.reshape(2, cells - 1, cells - 1)[0], 1)


# ----- the whole run --------------------------------------------------------------------------------------------------


def main(output, steps=120, side=32, width=16, depth=3, cells=120):
    gl.rng(0)
    middles = (np.arange(side) + 0.5) / side
    net, info = train(network(width, depth), np.stack(np.meshgrid(middles, middles), -1).reshape(-1, 2), steps)
    losses = info.training["loss"]
    print(f"Loss {losses[0]:.2e}, after {len(losses)} steps of Levenberg and Marquardt's {losses[-1]:.2e}, in "
          f"{info.training['time'][-1]:.0f} s.")
    fine, coarse = reference(cells), reference(cells // 2)
    truth = (4 * fine[::2, ::2] - coarse) / 3  # both grids' errors of order two cancel
    line = np.linspace(0, 1, cells // 2 + 1)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    psi, u, v = (f.numpy().reshape(truth.shape) for f in gl.dlfeval(
        velocity, net["equation"].net, gl.dlarray(grid, "BC")))
    error, own = (np.abs(f - truth).max() / np.abs(truth).max() for f in (psi, fine[::2, ::2]))
    print(f"The eye of the vortex: psi = {psi.min():.5f}, by differences {truth.min():.5f}. Largest difference of psi "
          f"{error:.2%} of that; the finer grid alone is off by {own:.2%}.")
    draw(output / "cavity.png", line, psi, u, v, truth, losses)
    return {"losses": losses, "error": error, "own": own, "net": net}


def draw(path, line, psi, u, v, truth, losses):
    fig = figure(13.5, 4.9, "A cavity under a moving lid: Reynolds' number 100")
    left, middle, right = fig.subplots(1, 3, width_ratios=[1.25, 1, 1])
    drawn = left.contourf(line, line, np.hypot(u, v).T, np.linspace(0, 1, 21), cmap="Blues")
    levels = [*np.linspace(truth.min(), 0, 9)[1:-1], -1e-3, -1e-4, 1e-7, 1e-6, 4e-6]
    left.contour(line, line, psi.T, sorted(levels), colors=BLUE, linewidths=1, linestyles="solid")
    left.contour(line, line, truth.T, sorted(levels), colors=RED, linewidths=1, linestyles="dotted")
    fig.colorbar(drawn, ax=left, label="speed", ticks=[0, 0.25, 0.5, 0.75, 1])
    titled(left, "streamlines (red dots: differences)", xlabel="x", ylabel="y", aspect="equal")
    half, h = len(line) // 2, line[1]
    curves = {"u on x = 1/2": (u[half], np.gradient(truth[half], h, edge_order=2), BLUE),
              "v on y = 1/2": (v[:, half], -np.gradient(truth[:, half], h, edge_order=2), RED)}
    for name, (found, by_differences, colour) in curves.items():
        middle.plot(line, found, color=colour, label=name)
        middle.plot(line[::3], by_differences[::3], "o", color=colour, markersize=4, markerfacecolor="white")
    middle.axhline(0, color=QUIET, linewidth=0.6)
    middle.legend(frameon=False)
    titled(middle, "velocities (circles: differences)", xlabel="y, x")
    right.semilogy(losses, color=BLUE)
    titled(right, "loss", xlabel="step of Levenberg and Marquardt's")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
