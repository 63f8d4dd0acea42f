"""Train a small network on handwritten digits, then take the Jacobian of its first hidden layer.

    python examples/digits.py [--output FOLDER]

A network is trained on 1,437 digits in a custom training loop. Then, for one digit that it has not seen: how does every
one of the 12,544 outputs of the layer `relu1` change with every weight before that layer? The answer is a 12,544 x 192
matrix. Row by row it takes 12,544 backward passes; `dljacobian` gives it at once, because it keeps the structure that
the chain rule leaves. Twenty rows are compared with `dlgradient`, and what was found is drawn (digits_pictures.py).
"""
import argparse
import sys
import time
from pathlib import Path

import digits_pictures as pictures
import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

import gradloom as gl

SEED = 1
EPOCHS = 4
BATCH = 32
HELD_OUT = 360
GOOD_ENOUGH = 0.95


# ----- data and network -----------------------------------------------------------------------------------------------


def digits(seed=SEED, held_out=HELD_OUT):
    """Scikit-learn's handwritten digits as 28 x 28 images in [0, 1]: (images, classes) to train with, and the same held
    out."""
    data = load_digits()
    framed = np.pad(data.images / 16, ((0, 0), (1, 1), (1, 1)))  # 8 x 8 pixels and an empty margin
    images = np.stack([zoom(image, 28 / 10, order=1, mode="nearest", grid_mode=True) for image in framed])
    images = images[:, None].astype("float32")  # batch, channel, height, width
    order = np.random.default_rng(seed).permutation(len(images))
    parts = order[held_out:], order[:held_out]
    return [(gl.dlarray(images[part], "BCSS"), gl.dlarray(data.target[part], "B")) for part in parts]


def network():
    """Three blocks of convolution, batch normalization and relu."""
    layers = gl.layers
    return gl.dlnetwork([
        layers.ImageInput((28, 28, 1)),
        layers.Convolution2d(3, 16, padding="same", name="conv1"),
        layers.BatchNormalization(name="batchnorm1"),
        layers.ReLU(name="relu1"),
        layers.MaxPooling2d(2, stride=2),
        layers.Convolution2d(3, 32, padding="same", name="conv2"),
        layers.BatchNormalization(name="batchnorm2"),
        layers.ReLU(name="relu2"),
        layers.MaxPooling2d(2, stride=2),
        layers.Convolution2d(3, 64, padding="same", name="conv3"),
        layers.BatchNormalization(name="batchnorm3"),
        layers.ReLU(name="relu3"),
        layers.FullyConnected(10),
        layers.Softmax(),
    ])


# ----- training -------------------------------------------------------------------------------------------------------


def model_loss(net, images, classes):
    """The loss of a batch, its gradient, and the state that batch normalization has moved to."""
    y, state = net.forward(images, return_state=True)
    loss = gl.crossentropy(y, classes)
    return loss, gl.dlgradient(loss, net.learnables), state


def accuracy(net, images, classes):
    """The share of images whose most probable class is right."""
    return gl.mean(gl.argmax(net(images), axis="C") == classes).item()


def train(net, training, held_out, epochs=EPOCHS):
    """The trained network, the loss of every batch, and (number of batches, held-out accuracy) after every epoch."""
    images, classes = training
    batches = -(-len(images) // BATCH)
    losses, accuracies, velocity = [], [(0, accuracy(net, *held_out))], None
    with Progress(epochs * batches) as progress:
        for epoch in range(1, epochs + 1):
            order = gl.permutation(len(images))
            for k in range(batches):
                chosen = order[k * BATCH:(k + 1) * BATCH]
                loss, gradients, state = gl.dlfeval(model_loss, net, images[chosen], classes[chosen])
                net = net.replace(state=state)
                net, velocity = gl.sgdmupdate(net, gradients, velocity, learn_rate=0.01, momentum=0.9)
                losses.append(loss.item())
                progress.step(losses[-1])
            accuracies.append((len(losses), accuracy(net, *held_out)))
            progress.say(
                f"  epoch {epoch} of {epochs}:  loss {np.mean(losses[-batches:]):.3f},  held-out accuracy "
                f"{accuracies[-1][1]:.1%}")
    return net, losses, accuracies


class Progress:
    """Lines, and on a terminal a bar as well where tqdm is installed."""

    def __init__(self, total):
        self.bar = None
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self.bar = tqdm(total=total, desc="training", unit="batch", leave=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def step(self, loss):
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            self.bar.update()

    def say(self, line):
        if self.bar is not None:
            self.bar.clear()
        print(line, flush=True)


# ----- the Jacobian of a hidden layer ---------------------------------------------------------------------------------


def hidden_jacobian(net, image):
    """d relu1 / d every learnable. `nonzero` leaves out the learnables after relu1, on which it cannot depend."""
    return gl.dljacobian(net.predict(image, outputs="relu1"), net.learnables).nonzero


def rows_one_by_one(net, image, places, keys):
    """Rows of the same Jacobian the slow way: one backward pass for each output (filter, i, j) of relu1."""
    h = net.predict(image, outputs="relu1")
    before = [net.learnables[key] for key in keys]
    return [gl.dlgradient(h[place], before, retain_data=True) for place in places]


def places_to_check(h, seed=SEED, random=4):
    """The strongest output of each filter (away from the border), and a few others: (filter, i, j)."""
    inner = h[:, 1:-1, 1:-1]
    strongest = [(f, *np.add(np.unravel_index(np.argmax(inner[f]), inner[f].shape), 1)) for f in range(len(h))]
    others = np.random.default_rng(seed).integers(h.shape, size=(random, 3))
    return [tuple(int(k) for k in place) for place in (*strongest, *others)]


def largest_difference(matrix, h, places, rows):
    """The largest difference between rows of the matrix and gradients, and the largest entry of those rows."""
    expected = np.stack([np.concatenate([np.ravel(g) for g in row]) for row in rows])
    found = matrix[[np.ravel_multi_index(place, h.shape) for place in places]]
    return float(abs(found - expected).max()), float(abs(expected).max())


def seconds(function, *args, repeats=7):
    """The shortest time that a call takes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return min(times)


def time_in_words(t):
    return f"{t:,.2f} s" if t >= 1 else f"{t * 1e3:.3g} ms"


def bytes_in_words(n):
    return f"{n / 1e6:.2f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB"


# ----- the whole run --------------------------------------------------------------------------------------------------


def main(output):
    gl.rng(SEED)
    training, held_out = digits()
    print(f"Handwritten digits, 28 x 28: {len(training[0]):,} to train with, {len(held_out[0])} held out.\n")
    net = network()
    print(f"{net}\n")

    print(f"Training: {EPOCHS} epochs in batches of {BATCH}, stochastic gradient descent with momentum.")
    start = time.perf_counter()
    net, losses, accuracies = train(net, training, held_out)
    share = accuracies[-1][1]
    print(f"Held-out accuracy {share:.1%} ({round(share * len(held_out[0]))} of {len(held_out[0])}), after "
          f"{time_in_words(time.perf_counter() - start)}.\n")
    if share < GOOD_ENOUGH:
        sys.exit(f"The held-out accuracy is below {GOOD_ENOUGH:.0%}: something is wrong.")

    # One digit that the network has not seen, and its relu1: 16 filters x 28 x 28.
    digit = held_out[0][held_out[1].tolist().index(3)]
    h, probabilities = (np.asarray(y) for y in net.predict(digit, outputs=["relu1", "softmax"]))
    print(f"A held-out 3; the network says {probabilities.argmax()}, with probability {probabilities.max():.3f}.")

    start = time.perf_counter()
    J = gl.dlfeval(hidden_jacobian, net, digit)
    first = time.perf_counter() - start
    print(f"The Jacobian of its relu1 ({h.size:,} outputs) with respect to every learnable before that layer:")
    print(f"{J}")
    print(f"  held in factors: {bytes_in_words(J.nbytes)};  as a dense matrix: {bytes_in_words(J.dense_nbytes)}\n")

    matrix = np.asarray(J)
    places = places_to_check(h)
    compare(net, digit, h, J, matrix, places)
    time_both(net, digit, h, J, places, first)

    files = draw(output, np.asarray(digit)[0], h, J, matrix, places, losses, accuracies)
    print(f"Pictures, in {output.resolve()}:")
    for path, content in files:
        print(f"  {path.name:22}{content}")


def compare(net, digit, h, J, matrix, places):
    """Rows of the Jacobian with gradients; a difference ends the run."""
    rows = gl.dlfeval(rows_one_by_one, net, digit, places, list(J.columns))
    difference, largest = largest_difference(matrix, h, places, rows)
    print(f"Compared with dlgradient, one output at a time, in {len(places)} rows:")
    print(f"  largest difference {difference:.1e}, in entries of up to {largest:.2f}\n")
    if not difference <= 1e-5 * largest:
        sys.exit("The Jacobian and the gradients differ: something is wrong.")


def time_both(net, digit, h, J, places, first):
    """The Jacobian at once, and the loop, which would take too long in full."""
    keys = list(J.columns)
    structured = seconds(gl.dlfeval, hidden_jacobian, net, digit)
    as_matrix = structured + seconds(J.matrix)
    forward = seconds(gl.dlfeval, rows_one_by_one, net, digit, [], keys)
    loop = seconds(gl.dlfeval, rows_one_by_one, net, digit, places, keys)
    whole = forward + (loop - forward) / len(places) * h.size
    print("Times, the forward pass included, the shortest of several runs:")
    for what, time_taken, note in [
        ("the Jacobian in its factors", structured, f"the first call, which plans: {time_in_words(first)}"),
        ("the same, written out as a matrix", as_matrix, ""),
        (f"dlgradient in a loop, {len(places)} rows", loop, ""),
        (f"dlgradient in a loop, {h.size:,} rows", whole, f"extrapolated from the {len(places)} rows"),
    ]:
        print(f"  {what:36}{time_in_words(time_taken):>12}{f'   ({note})' if note else ''}")
    print(f"  The loop takes {whole / structured:,.0f} times as long as the factors, {whole / as_matrix:,.0f} times as "
          "long as the matrix.\n")


def draw(output, image, h, J, matrix, places, losses, accuracies):
    """Write the pictures: [(path, what it shows)]."""
    output.mkdir(parents=True, exist_ok=True)
    strongest = places[:len(h)]
    kernels = J["conv1", "weights"].dense().numpy()[..., 0, :, :]  # filter, i, j; filter, 3, 3
    return [
        pictures.training(output / "training.png", losses, accuracies),
        pictures.relu1_maps(output / "relu1_maps.png", image, h, strongest),
        pictures.jacobian_rows(output / "jacobian_rows.png", image, h, kernels, strongest),
        pictures.jacobian_matrix(output / "jacobian_matrix.png", matrix, J.columns, h.shape),
    ]


if __name__ == "__main__":
    gl.keep_memory()
    parser = argparse.ArgumentParser(
        description="Train on handwritten digits, then take the Jacobian of a hidden layer.")
    parser.add_argument("--output", type=Path, default=Path("output"),
                        help="the folder for the pictures (default: output)")
    main(parser.parse_args().output)
