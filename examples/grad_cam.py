"""Grad-CAM: where does a network look?

    python examples/grad_cam.py [--output FOLDER]

A small digit stands somewhere in a large, noisy image, and the network learns which digit it is, never where. Grad-CAM
(Selvaraju et al. 2017) weighs the channels of a hidden layer by the mean gradient of the class's score, and adds them
up: the map is bright where the digit stands. `outputs=` gives the hidden layer and the score of one forward pass, and
`dlgradient` takes the derivative of one with respect to the other. """
import numpy as np
from drawing import RED, bare, command_line, figure, saved
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits

import gradloom as gl

L = gl.layers
SIZE, SMALL = 24, 8


def scenes(count, rng):
    """Images, classes, and the row and column of each digit's corner."""
    data = load_digits()
    which = rng.integers(len(data.target), size=count)
    corners = rng.integers(SIZE - SMALL + 1, size=(count, 2))
    images = rng.normal(0, 0.1, (count, 1, SIZE, SIZE)).astype("float32")
    for image, digit, (i, j) in zip(images, data.images[which], corners, strict=True):
        image[0, i:i + SMALL, j:j + SMALL] += digit / 16
    return gl.dlarray(images, "BCSS"), gl.dlarray(data.target[which], "B", dtype="int64"), corners


def network():
    return gl.dlnetwork([
        L.ImageInput((SIZE, SIZE, 1)),
        L.Convolution2d(3, 16, padding="same"), L.BatchNormalization(), L.ReLU(),
        L.Convolution2d(3, 32, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2d(2, stride=2),
        L.Convolution2d(3, 64, padding="same"), L.BatchNormalization(), L.ReLU(name="features"),
        L.GlobalMaxPooling2d(), L.FullyConnected(10, name="scores"), L.Softmax(name="softmax"),
    ])


def grad_cam(net, x, classes):
    """The map of each image: relu of the features, weighed by the mean gradient of the score of its class."""
    features, scores = net.predict(x, outputs=["features", "scores"])
    score = gl.sum(scores[np.arange(len(classes)), classes])  # images do not mix: one gradient holds those of all
    weights = gl.mean(gl.dlgradient(score, features), axis="S", keepdims=True)
    return gl.relu(gl.sum(weights * features, axis="C"))


def model_loss(net, x, t):
    y, state = net.forward(x, return_state=True)
    loss = gl.crossentropy(y, t)
    return loss, gl.dlgradient(loss, net.learnables), state


def train(net, x, t, epochs):
    queue = gl.minibatchqueue((x, t), 64, formats=["BCSS", "B"])
    mean = square = None
    iteration = 0
    for epoch in range(epochs):
        queue.shuffle()
        for images, classes in queue:
            iteration += 1
            loss, gradients, state = gl.dlfeval(model_loss, net, images, classes)
            net = net.replace(state=state)
            net, mean, square = gl.adamupdate(net, gradients, mean, square, iteration, 0.003)
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    return net


def share_inside(maps, corners):
    """The share of each map's brightness that lies in the digit's frame."""
    enlarged = np.repeat(np.repeat(maps, 2, 1), 2, 2)
    inside = [m[i:i + SMALL, j:j + SMALL].sum() for m, (i, j) in zip(enlarged, corners, strict=True)]
    return np.array(inside) / np.maximum(enlarged.sum((1, 2)), 1e-12)


def main(output, count=2000, epochs=6):
    gl.rng(0)
    rng = np.random.default_rng(0)
    x, t, _ = scenes(count, rng)
    net = train(network(), x, t, epochs)
    x, t, corners = scenes(200, rng)
    found = net.predict(x).numpy().argmax(1)
    accuracy = (found == t.numpy()).mean()
    maps = gl.dlfeval(grad_cam, net, x, gl.dlarray(found, "B")).numpy()
    inside = share_inside(maps, corners).mean()
    print(f"Correct: {accuracy:.1%} of new images. The digit's frame is {SMALL ** 2 / SIZE ** 2:.0%} of the image and "
          f"holds {inside:.0%} of the map.")
    draw(output / "grad_cam.png", x.numpy()[:, 0], maps, corners, found)
    return {"accuracy": accuracy, "inside": inside}


def draw(path, images, maps, corners, found, count=6):
    fig = figure(1.8 * count, 4.3, "Grad-CAM: what made the network say so (the frame, where the digit is, it was "
                 "never told)")
    grid = fig.subplots(2, count)
    for k in range(count):
        i, j = corners[k]
        for axes in grid[:, k]:
            axes.imshow(images[k], cmap="gray", vmin=-0.2, vmax=1)
            bare(axes)
        grid[1, k].imshow(maps[k], cmap="inferno", alpha=0.75, extent=(-0.5, SIZE - 0.5, SIZE - 0.5, -0.5))
        grid[1, k].add_patch(Rectangle((j - 0.5, i - 0.5), SMALL, SMALL, fill=False, edgecolor=RED, lw=1.5))
        grid[0, k].set_title(f"says {found[k]}", fontsize=10)
    grid[0, 0].set_ylabel("image")
    grid[1, 0].set_ylabel("its map")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
