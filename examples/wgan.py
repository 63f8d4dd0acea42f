"""A Wasserstein GAN with gradient penalty.

    python examples/wgan.py [--output FOLDER]

The critic scores points of the plane, and its slope between real and generated points is held near 1 (Gulrajani et al.
2017). Then the mean score of real points minus that of generated ones is close to how far the generated points must be
carried, on average, to become real ones; the generator makes it small. The penalty is a function of a gradient, and
training differentiates it: `enable_higher_derivatives=True`. That distance is measured in the end, by the best match of
1,000 points, and compared with that of two draws of real points, which is not zero either. """
import numpy as np
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled
from scipy.optimize import linear_sum_assignment

import gradloom as gl

L = gl.layers
LATENT, PENALTY, CRITIC_STEPS = 2, 0.3, 5
STAGES = (0.01, 0.05, 0.2, 1.0)  # shares of the training after which it is drawn


def real_points(count, rng):
    """Most of a turn of a spiral, a little blurred."""
    angle = np.pi * (1 + 1.8 * rng.random(count))
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * angle[:, None] / 7
    return gl.dlarray((points + 0.04 * rng.standard_normal(points.shape)).astype("float32"), "BC")


def networks(width=64):
    def network(inputs, outputs, activation):
        hidden = [layer for _ in range(3) for layer in (L.FullyConnected(width), activation())]
        return gl.dlnetwork([L.FeatureInput(inputs), *hidden, L.FullyConnected(outputs)])

    return network(LATENT, 2, L.ReLU), network(2, 1, L.Softplus)


def noise(count):
    return gl.randn((count, LATENT), "BC", dtype="float32")


def gradient_penalty(critic, x):
    """The mean of (|slope| - 1)^2 at the points x. Points do not mix, so the sum's gradient holds all slopes."""
    slope = gl.dlgradient(gl.sum(critic.forward(x)), x, enable_higher_derivatives=True)
    return gl.mean((gl.sqrt(gl.sum(slope ** 2, axis="C") + 1e-12) - 1) ** 2)


@gl.dlaccelerate
def critic_loss(critic, real, made):
    """The distance that the critic sees, and the gradients of its loss."""
    share = gl.rand((real.shape[0], 1), "BC", dtype="float32")
    distance = gl.mean(critic.forward(real)) - gl.mean(critic.forward(made))
    loss = PENALTY * gradient_penalty(critic, share * real + (1 - share) * made) - distance
    return distance, gl.dlgradient(loss, critic.learnables)


@gl.dlaccelerate
def generator_gradients(generator, critic, z):
    return gl.dlgradient(-gl.mean(critic.forward(generator.forward(z))), generator.learnables)


def train(steps, batch=256, rate=1e-3):
    """The generators of all stages, the last critic, and the distance that the critic saw before every step."""
    rng, stages = np.random.default_rng(0), {max(round(share * steps), 1) for share in STAGES}
    generator, critic = networks()
    state_g, state_c, generators, distances = (None, None), (None, None), {}, []
    for step in range(1, steps + 1):
        now = rate * (1 - step / (steps + 1))
        for k in range(CRITIC_STEPS):
            real, made = real_points(batch, rng), generator.predict(noise(batch))
            distance, gradients = gl.dlfeval(critic_loss, critic, real, made)
            count = (step - 1) * CRITIC_STEPS + k + 1
            critic, *state_c = gl.adamupdate(critic, gradients, *state_c, count, now, 0.5, 0.9)
        gradients = gl.dlfeval(generator_gradients, generator, critic, noise(batch))
        generator, *state_g = gl.adamupdate(generator, gradients, *state_g, step, now / 2, 0.5, 0.9)
        distances.append(distance.item())
        if step in stages:
            generators[step] = generator
    return generators, critic, np.array(distances)


def carried(a, b):
    """How far the points of a must be carried to become those of b: the best match (Wasserstein's distance)."""
    apart = np.linalg.norm(a[:, None] - b, axis=-1)
    return apart[linear_sum_assignment(apart)].mean()


def main(output, steps=2000, count=1000):
    gl.rng(0)
    generators, critic, distances = train(steps)
    made = {step: generator.predict(noise(count)).numpy() for step, generator in generators.items()}
    real, other = (real_points(count, np.random.default_rng(seed)).numpy() for seed in (1, 2))
    far = {step: carried(points, real) for step, points in made.items()}
    alike = carried(other, real)
    print("Distance of generated points from real ones: "
          + ", ".join(f"{value:.3f} after {step}" for step, value in far.items())
          + f" steps. Two draws of real points: {alike:.3f}.")
    draw(output / "wgan.png", real, made, far, critic, distances)
    return {"far": far, "alike": alike, "distances": distances}


def draw(path, real, made, far, critic, distances):
    fig = figure(12, 6.6, "A Wasserstein GAN whose critic has slope 1")
    above, below = fig.subfigures(2, 1, height_ratios=[1, 1.2])
    limits = {"xlim": (-1.4, 1.4), "ylim": (-1.2, 1.4), "aspect": "equal"}
    for axes, (step, points) in zip(above.subplots(1, len(made)), made.items(), strict=True):
        axes.scatter(*real.T, s=2, color=QUIET, alpha=0.5, linewidths=0)
        axes.scatter(*points.T, s=3, color=BLUE, alpha=0.7, linewidths=0)
        titled(axes, f"step {step:,}: {far[step]:.2f} from real", xticks=[], yticks=[], **limits)
    left, right = below.subplots(1, 2, width_ratios=[1, 1.5])
    a, b = np.meshgrid(np.linspace(-1.4, 1.4, 90), np.linspace(-1.2, 1.4, 90))
    grid = gl.dlarray(np.stack([a.ravel(), b.ravel()], 1).astype("float32"), "BC")
    score = critic.predict(grid).numpy().reshape(a.shape)
    drawn = left.contourf(a, b, score - score.mean(), 16, cmap="RdBu_r")
    left.scatter(*real.T, s=1, color="black", alpha=0.4, linewidths=0)
    below.colorbar(drawn, ax=left)
    titled(left, "the last critic's score, and real points", **limits)
    right.plot(np.arange(1, len(distances) + 1), distances, color=RED, linewidth=0.8)
    right.axhline(0, color=QUIET, linestyle=":")
    titled(right, "the distance that the critic sees", xlabel="step of the generator")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
