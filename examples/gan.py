"""A generative adversarial network: two gradients from one trace.

    python examples/gan.py [--output FOLDER]

The generator makes points of the plane from noise; the discriminator tells them from real ones, which lie in eight
clouds on a ring. Both losses come from one forward pass of both networks. The first `dlgradient` keeps the trace
(`retain_data=True`), the second uses it again: nothing is run twice, and nothing is detached. """
import numpy as np
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers
LATENT, MODES = 2, 8
CENTRES = 2 * np.stack([np.cos(a := 2 * np.pi * np.arange(MODES) / MODES), np.sin(a)], 1)


def real_points(count, rng):
    points = CENTRES[rng.integers(MODES, size=count)] + rng.normal(0, 0.1, (count, 2))
    return gl.dlarray(points.astype("float32"), "BC")


def networks():
    generator = gl.dlnetwork([L.FeatureInput(LATENT), L.FullyConnected(64), L.ReLU(), L.FullyConnected(64), L.ReLU(),
                              L.FullyConnected(2)])
    discriminator = gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(64), L.LeakyReLU(scale=0.2), L.FullyConnected(64),
                                  L.LeakyReLU(scale=0.2), L.FullyConnected(1)])
    return generator, discriminator


def losses_and_gradients(generator, discriminator, z, x):
    """Both losses, of scores s: -log sigmoid(s) is softplus(-s)."""
    real, made = discriminator.forward(x), discriminator.forward(generator.forward(z))
    loss_d = gl.mean(gl.softplus(-real)) + gl.mean(gl.softplus(made))
    loss_g = gl.mean(gl.softplus(-made))
    gradients_d = gl.dlgradient(loss_d, discriminator.learnables, retain_data=True)
    gradients_g = gl.dlgradient(loss_g, generator.learnables)
    return loss_g, loss_d, gradients_g, gradients_d


def train(steps, batch=256):
    """The generator, and both losses of every step."""
    rng = np.random.default_rng(0)
    generator, discriminator = networks()
    state_g, state_d, history = (None, None), (None, None), []
    for step in range(1, steps + 1):
        z, x = gl.randn((batch, LATENT), "BC", dtype="float32"), real_points(batch, rng)
        loss_g, loss_d, gradients_g, gradients_d = gl.dlfeval(losses_and_gradients, generator, discriminator, z, x)
        rate = 1e-3 * (1 - step / (steps + 1))
        generator, *state_g = gl.adamupdate(generator, gradients_g, *state_g, step, rate, 0.5)
        discriminator, *state_d = gl.adamupdate(discriminator, gradients_d, *state_d, step, rate, 0.5)
        history.append((loss_g.item(), loss_d.item()))
    return generator, np.array(history)


def modes_found(points):
    """How many clouds have at least a quarter of their share of the points within 0.4, and the share of all that do."""
    distance = np.linalg.norm(points[:, None] - CENTRES, axis=-1)
    near = distance.min(1) < 0.4
    counts = np.bincount(distance.argmin(1)[near], minlength=MODES)
    return int((counts > len(points) / MODES / 4).sum()), near.mean()


def main(output, steps=5000):
    gl.rng(0)
    generator, history = train(steps)
    points = generator.predict(gl.randn((2000, LATENT), "BC", dtype="float32")).numpy()
    modes, near = modes_found(points)
    print(f"The generator finds {modes} of {MODES} clouds; {near:.0%} of its points lie in one.")
    draw(output / "gan.png", real_points(2000, np.random.default_rng(1)).numpy(), points, history)
    return {"modes": modes, "near": near, "history": history}


def draw(path, real, made, history):
    fig = figure(11, 4.2, "A GAN: both networks' gradients from one trace")
    left, middle, right = fig.subplots(1, 3, width_ratios=[1, 1, 1.2])
    for axes, points, colour, title in ((left, real, QUIET, "real points"), (middle, made, BLUE, "generated points")):
        axes.scatter(*points.T, s=3, color=colour, alpha=0.5, linewidths=0)
        titled(axes, title, xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    width = max(len(history) // 50, 1)
    smooth = history[:len(history) // width * width].reshape(-1, width, 2).mean(1)
    for k, (name, colour, chance) in enumerate((("generator", BLUE, np.log(2)), ("discriminator", RED, np.log(4)))):
        right.plot(width * (np.arange(len(smooth)) + 0.5), smooth[:, k], color=colour, label=name)
        right.axhline(chance, color=colour, linestyle=":", linewidth=1)
    right.legend(frameon=False)
    titled(right, "losses (dotted: where nobody can tell)", xlabel="step")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
