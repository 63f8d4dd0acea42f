"""A variational autoencoder of handwritten digits, with a plane of codes.

    python examples/vae.py [--output FOLDER]

The encoder gives each image a Gaussian in the plane; the decoder makes an image of a point that is drawn from it. The
draw is stored with the trace, so that the gradient goes through it (Kingma and Welling 2014). The loss is what the
image is short of being explained, plus the divergence of the Gaussians from the standard one. """
import numpy as np
from drawing import bare, command_line, figure, saved, titled
from sklearn.datasets import load_digits

import gradloom as gl

L = gl.layers
LATENT, PIXELS = 2, 64


def networks():
    encoder = gl.dlnetwork([L.FeatureInput(PIXELS), L.FullyConnected(128), L.ReLU(), L.FullyConnected(64), L.ReLU(),
                            L.FullyConnected(2 * LATENT)])
    decoder = gl.dlnetwork([L.FeatureInput(LATENT), L.FullyConnected(64), L.ReLU(), L.FullyConnected(128), L.ReLU(),
                            L.FullyConnected(PIXELS)])
    return {"encoder": encoder, "decoder": decoder}


def codes(encoder, x):
    """Mean and logarithm of the variance."""
    y = encoder.forward(x)
    return y[:, :LATENT], y[:, LATENT:]


def model_loss(nets, x):
    """Minus the bound on log p(x), a mean over the images; the decoder's outputs are log-odds of a pixel."""
    mean, log_variance = codes(nets["encoder"], x)
    z = mean + gl.exp(log_variance / 2) * gl.randn(mean.shape, like=mean)
    logits = nets["decoder"].forward(z)
    misfit = gl.sum(gl.softplus(logits) - x * logits, axis="C")
    divergence = gl.sum(gl.exp(log_variance) + mean ** 2 - 1 - log_variance, axis="C") / 2
    loss = gl.mean(misfit + divergence)
    return loss, gl.dlgradient(loss, {name: net.learnables for name, net in nets.items()})


def train(x, epochs):
    nets, losses = networks(), []
    states = {name: (None, None) for name in nets}
    queue = gl.minibatchqueue(x, 64, formats="BC")
    step = 0
    for epoch in range(epochs):
        queue.shuffle()
        rate = 3e-3 * (1 - epoch / epochs)
        for batch in queue:
            step += 1
            loss, gradients = gl.dlfeval(model_loss, nets, batch)
            for name in nets:
                nets[name], *states[name] = gl.adamupdate(nets[name], gradients[name], *states[name], step, rate)
            losses.append(loss.item())
    return nets, losses


def main(output, epochs=100):
    gl.rng(0)
    digits = load_digits()
    x = (digits.data / 16).astype("float32")
    nets, losses = train(x, epochs)
    z = codes(nets["encoder"], gl.dlarray(x, "BC"))[0].numpy()
    print(f"Loss of the first batch {losses[0]:.1f}, of the last ten {np.mean(losses[-10:]):.1f} nats an image.")
    draw(output / "vae.png", nets["decoder"], z, digits.target)
    return {"losses": losses, "codes": z}


def draw(path, decoder, z, classes, count=14):
    fig = figure(11, 5.3, "Handwritten digits in a plane")
    left, right = fig.subplots(1, 2, width_ratios=[1.15, 1])
    drawn = left.scatter(*z.T, c=classes, cmap="tab10", vmin=-0.5, vmax=9.5, s=8)
    fig.colorbar(drawn, ax=left, ticks=range(10), label="the digit (not told)")
    titled(left, "the codes of the images", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal")
    line = np.linspace(-2.5, 2.5, count)
    a, b = np.meshgrid(line, line[::-1])
    grid = gl.dlarray(np.stack([a.ravel(), b.ravel()], 1).astype("float32"), "BC")
    images = gl.sigmoid(decoder.predict(grid)).numpy().reshape(count, count, 8, 8)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 1)))
    right.imshow(framed.transpose(0, 2, 1, 3).reshape(11 * count, 10 * count), cmap="gray_r")
    bare(right, "what the decoder makes of the points between -2.5 and 2.5")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
