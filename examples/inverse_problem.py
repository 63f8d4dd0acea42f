"""An inverse problem: how well does the rod conduct, and where?

    python examples/inverse_problem.py [--output FOLDER]

Heat spreads in a rod by u_t = (k(x) u_x)_x, and k(x) is not known. Noisy thermometers are read at a few times. The
unknowns are the numbers of k on a grid; the solver of the equation is ordinary array code, `dlode45`, and `dlgradient`
goes back through it. L-BFGS finds the k that explains the readings best, with a small penalty on its bends. """
import numpy as np
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

CELLS = 24
X = (np.arange(CELLS) + 0.5) / CELLS
FACES = np.arange(1, CELLS) / CELLS
TIMES = np.linspace(0, 0.2, 9)
PLACES = np.arange(1, CELLS, 3)
STARTS = np.stack([np.exp(-60 * (X - 0.25) ** 2), np.exp(-60 * (X - 0.75) ** 2)])  # two experiments


def true_conductivity(x):
    return 0.4 + 0.6 * np.exp(-30 * (x - 0.6) ** 2)


def rate(t, u, k):
    """du/dt: what flows in minus what flows out, and nothing through the ends."""
    flow = k * (u[:, 1:] - u[:, :-1]) * CELLS ** 2
    return gl.pad(flow, ((0, 0), (0, 1))) - gl.pad(flow, ((0, 0), (1, 0)))


def temperatures(k):
    """Temperatures at the thermometers: experiment, place, time."""
    u = gl.dlode45(rate, TIMES, gl.dlarray(STARTS), k, relative_tolerance=1e-5, absolute_tolerance=1e-7)
    return u[:, PLACES]


def misfit(log_k, readings, weight):
    k = gl.exp(log_k)  # k is positive
    bend = log_k[2:] - 2 * log_k[1:-1] + log_k[:-2]
    loss = gl.sum((temperatures(k) - readings) ** 2) + weight * gl.sum(bend ** 2)
    return loss, gl.dlgradient(loss, log_k)


def solve(readings, steps, weight):
    log_k, state, losses = gl.dlarray(np.full(CELLS - 1, np.log(0.6))), None, []
    for _ in range(steps):
        log_k, state = gl.lbfgsupdate(log_k, lambda p: gl.dlfeval(misfit, p, readings, weight), state)
        losses.append(state.loss)
        if state.line_search_status == "failed" or state.gradients_norm < 1e-6:
            break
    return np.exp(log_k.numpy()), losses


def main(output, steps=60, noise=0.002, weight=3e-4):
    truth = true_conductivity(FACES)
    rng = np.random.default_rng(0)
    clean = temperatures(gl.dlarray(truth)).numpy()
    readings = clean + noise * rng.standard_normal(clean.shape)
    k, losses = solve(readings, steps, weight)
    error = np.linalg.norm(k - truth) / np.linalg.norm(truth)
    print(f"{len(losses)} steps of L-BFGS: misfit {losses[0]:.2e} to {losses[-1]:.2e}; error of k {error:.1%}.")
    draw(output / "inverse_problem.png", k, truth, readings, temperatures(gl.dlarray(k)).numpy())
    return {"k": k, "error": error, "losses": losses}


def draw(path, k, truth, readings, explained):
    fig = figure(11, 4.2, "A rod's conductivity, from eight noisy thermometers and two experiments")
    left, right = fig.subplots(1, 2)
    left.plot(FACES, truth, color=RED, linewidth=3, alpha=0.5, label="true k")
    left.plot(FACES, k, "o-", color=BLUE, markersize=4, label="found k")
    left.axhline(0.6, color=QUIET, linestyle=":", label="first guess")
    left.legend(frameon=False)
    titled(left, "conductivity", xlabel="x", ylabel="k(x)", ylim=(0, 1.2))
    for place, (found, read) in enumerate(zip(explained[0], readings[0], strict=True)):
        shade = 0.25 + 0.75 * place / (len(PLACES) - 1)
        right.plot(TIMES[1:], found, color=BLUE, alpha=shade, label="explained" if place == len(PLACES) - 1 else None)
        right.plot(TIMES[1:], read, ".", color=RED, alpha=shade, label="read" if place == len(PLACES) - 1 else None)
    right.legend(frameon=False)
    titled(right, "the first experiment's thermometers (paler: further left)", xlabel="t", ylabel="temperature")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
