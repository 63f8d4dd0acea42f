"""A training loop of one's own: which digit is it, and how far was it turned?

    python examples/custom_loop.py [--output FOLDER]

Digits were turned by up to 45 degrees. The network has two outputs, the scores of the digits and an angle, and the loss
adds a cross-entropy and a squared error: nothing that has a name, so the loop is written out. A `minibatchqueue` gives
the batches. `dlfeval` runs the function that returns the loss, the gradients, and the state that batch normalization
has moved. `adamupdate` gives the next network. A monitor keeps the curves. The last row turns held-out images back, by
what the network says. """
import numpy as np
from drawing import BLUE, RED, bare, command_line, figure, saved, titled
from scipy.ndimage import rotate, zoom
from sklearn.datasets import load_digits

import gradloom as gl

L = gl.layers
LARGEST = 45.0


def turned_digits(images, rng):
    """Images (1, 16, 16), turned, and by how much: in units of LARGEST."""
    angles = rng.uniform(-1, 1, len(images))
    large = [zoom(np.pad(image, 1) / 16, 1.6, order=1, grid_mode=True, mode="nearest") for image in images]
    turned = [turn(image, angle) for image, angle in zip(large, angles, strict=True)]
    return np.array(turned, "float32")[:, None], angles.astype("float32")[:, None]


def turn(image, angle):
    return rotate(image, LARGEST * angle, reshape=False, order=1)


def network():
    """One image in, scores and an angle out."""
    trunk = [L.ImageInput((16, 16, 1)),
             L.Convolution2d(3, 16, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2d(2, stride=2),
             L.Convolution2d(3, 32, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2d(2, stride=2),
             L.FullyConnected(64), L.ReLU(name="features")]
    heads = [[L.FullyConnected(10, name="digit")], [L.FullyConnected(1, name="angle")]]
    return gl.dlnetwork([trunk, *heads], connections=[("features", "digit"), ("features", "angle")],
                        outputs=["digit", "angle"])


def model_loss(net, x, digit, angle):
    """The loss, its gradients, and the network's state after this batch."""
    (scores, said), state = net.forward(x, return_state=True)
    loss = gl.crossentropy(gl.softmax(scores), digit) + gl.mse(said, angle)
    return loss, gl.dlgradient(loss, net.learnables), state


def measured(net, x, digit, angle):
    """Accuracy, and the root mean square error of the angle in degrees."""
    scores, said = net.predict(gl.dlarray(x, "BCSS"))
    return np.mean(scores.numpy().argmax(1) == digit), LARGEST * np.sqrt(np.mean((said.numpy() - angle) ** 2))


def train(training, held_out, epochs):
    net, average, square, step = network(), None, None, 0
    queue = gl.minibatchqueue(training, 64, formats=["BCSS", "B", "BC"])
    monitor = gl.TrainingProgressMonitor(metrics=["loss", "accuracy", "error"])
    for epoch in range(epochs):
        queue.shuffle()
        for batch in queue:
            step += 1
            loss, gradients, state = gl.dlfeval(model_loss, net, *batch)
            net = net.replace(state=state)
            net, average, square = gl.adamupdate(net, gradients, average, square, step, 3e-3 * (1 - epoch / epochs))
            gl.record_metrics(monitor, step, loss=loss.item())
        accuracy, error = measured(net, *held_out)
        gl.record_metrics(monitor, step, accuracy=accuracy, error=error)
        if monitor.stop:
            break
    return net, monitor.recorded


def main(output, count=1797, turns=4, epochs=15):
    gl.rng(0)
    rng, digits = np.random.default_rng(0), load_digits()
    order, share = rng.permutation(count), count * 3 // 4
    # each training image is turned several times
    some = {"training": np.repeat(order[:share], turns), "held out": order[share:]}
    data = {name: turned_digits(digits.images[its], rng) for name, its in some.items()}
    training, held_out = ((x, digits.target[some[name]], angle) for name, (x, angle) in data.items())
    net, curves = train(training, held_out, epochs)
    accuracy, error = measured(net, *held_out)
    print(f"{count - share} held-out images: {accuracy:.1%} of the digits right, the angle wrong by {error:.1f} "
          f"degrees in the root mean square (always 0 would be by {LARGEST * np.sqrt(np.mean(held_out[2] ** 2)):.1f}).")
    draw(output / "custom_loop.png", net, *held_out, curves)
    return {"net": net, "curves": curves, "accuracy": accuracy, "error": error}


def draw(path, net, x, digit, angle, curves, count=10):
    fig = figure(12, 5.6, "Which digit, and how far was it turned?")
    above, below = fig.subfigures(2, 1, height_ratios=[1, 1.15])
    titles = {"loss": "loss of each batch", "accuracy": "held out: digits right", "error": "held out: degrees off"}
    for axes, (name, title) in zip(above.subplots(1, 3), titles.items(), strict=True):
        axes.plot(*curves[name], color=BLUE if name == "loss" else RED, linewidth=0.8 if name == "loss" else 1.8)
        titled(axes, title, xlabel="step", yscale="log" if name == "loss" else "linear")
    scores, said = (y.numpy() for y in net.predict(gl.dlarray(x[:count], "BCSS")))
    for k, (top, bottom) in enumerate(below.subplots(2, count).T):
        top.imshow(x[k, 0], cmap="gray_r")
        bottom.imshow(turn(x[k, 0], -said[k, 0]), cmap="gray_r")
        bare(top, f"{LARGEST * angle[k, 0]:.0f}°")
        bare(bottom, f"a {scores[k].argmax()}, {LARGEST * said[k, 0]:.0f}°")
        bottom.title.set_color("black" if scores[k].argmax() == digit[k] else RED)
    top = below.get_axes()
    top[0].set_ylabel("as it is")
    top[count].set_ylabel("turned back")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
