"""A Wasserstein GAN with gradient penalty.

    python examples/wgan.py [--output FOLDER]

The critic scores points of the plane; its slope between real and generated points is held at 1 (Gulrajani et al. 2017).
The penalty is a function of a gradient, and training differentiates it: `enable_higher_derivatives=True`. The critic's
score is then an estimate of how far generated points must be carried to become real ones. """
import numpy as np
from drawing import BLUE, RED, command_line, figure, saved, titled
from sklearn.datasets import make_moons

import gradloom as gl

L = gl.layers
LATENT, PENALTY, CRITIC_STEPS = 2, 1.0, 3


def real_points(count, rng):
    points, _ = make_moons(count, noise=0.05, random_state=int(rng.integers(2 ** 31)))
    return gl.dlarray((points - [0.5, 0.25]).astype("float32"), "BC")


def networks():
    hidden = lambda: [L.FullyConnected(64), L.Softplus(), L.FullyConnected(64), L.Softplus()]
    return (gl.dlnetwork([L.FeatureInput(LATENT), L.FullyConnected(64), L.ReLU(), L.FullyConnected(64), L.ReLU(),
                          L.FullyConnected(2)]),
            gl.dlnetwork([L.FeatureInput(2), *hidden(), L.FullyConnected(1)]))


def gradient_penalty(critic, x):
    """The mean of (|slope| - 1)^2 at points x."""
    slope = gl.dlgradient(gl.sum(critic.forward(x)), x, enable_higher_derivatives=True)
    return gl.mean((gl.sqrt(gl.sum(slope ** 2, axis="C") + 1e-12) - 1) ** 2)


def critic_loss(critic, real, made, between):
    distance = gl.mean(critic.forward(real)) - gl.mean(critic.forward(made))
    loss = PENALTY * gradient_penalty(critic, between) - distance
    return distance, gl.dlgradient(loss, critic.learnables)


def generator_loss(generator, critic, z):
    loss = -gl.mean(critic.forward(generator.forward(z)))
    return loss, gl.dlgradient(loss, generator.learnables)


def train(steps, batch=256):
    """Generator, critic, and the critic's distance after every step."""
    rng = np.random.default_rng(0)
    generator, critic = networks()
    state_g, state_c, distances, count = (None, None), (None, None), [], 0
    for step in range(1, steps + 1):
        rate = 2e-3 * (1 - step / (steps + 1))
        for _ in range(CRITIC_STEPS):
            real, made = real_points(batch, rng), generator.predict(noise(batch))
            share, count = gl.rand((batch, 1), "BC", dtype="float32"), count + 1
            between = share * real + (1 - share) * made
            distance, gradients = gl.dlfeval(critic_loss, critic, real, made, between)
            critic, *state_c = gl.adamupdate(critic, gradients, *state_c, count, rate, 0.5, 0.9)
        _, gradients = gl.dlfeval(generator_loss, generator, critic, noise(batch))
        generator, *state_g = gl.adamupdate(generator, gradients, *state_g, step, rate, 0.5, 0.9)
        distances.append(distance.item())
    return generator, critic, np.array(distances)


def noise(count):
    return gl.randn((count, LATENT), "BC", dtype="float32")


def main(output, steps=1500):
    gl.rng(0)
    generator, critic, distances = train(steps)
    made, real = generator.predict(noise(1000)).numpy(), real_points(1000, np.random.default_rng(1)).numpy()
    nearest = np.linalg.norm(made[:, None] - real, axis=-1).min(1)
    print(f"Mean distance of a generated point from the nearest of 1,000 real ones: {nearest.mean():.3f}; "
          f"the critic's estimate {distances[-1]:.3f}.")
    draw(output / "wgan.png", real, made, critic, distances)
    return {"nearest": nearest.mean(), "distances": distances}


def draw(path, real, made, critic, distances):
    fig = figure(11, 4.2, "A Wasserstein GAN whose critic has slope 1")
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    a, b = np.meshgrid(np.linspace(-2, 2, 80), np.linspace(-1.5, 1.5, 60))
    grid = gl.dlarray(np.stack([a.ravel(), b.ravel()], 1).astype("float32"), "BC")
    drawn = left.contourf(a, b, critic.predict(grid).numpy().reshape(a.shape), 20, cmap="Greys")
    fig.colorbar(drawn, ax=left, label="the critic's score")
    for points, colour, name in ((real, RED, "real"), (made, BLUE, "generated")):
        left.scatter(*points.T, s=4, color=colour, alpha=0.7, linewidths=0, label=name)
    left.legend(loc="upper right", markerscale=4)
    titled(left, "points", xlim=(-2, 2), ylim=(-1.5, 1.5), aspect="equal")
    right.plot(distances, color=BLUE, linewidth=0.8)
    right.axhline(0, color=RED, linestyle=":")
    titled(right, "distance that the critic sees", xlabel="step of the generator")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
