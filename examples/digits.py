"""Train a small network on handwritten digits, then take the Jacobian of its first hidden layer.

    python examples/digits.py [--output FOLDER]

The question that started gradloom, as it was asked: an image datastore over folders of digits, 50 of each for training
and the rest held out, four epochs of stochastic gradient descent with momentum. Then, for one digit that the network
has not seen: how does every one of the 12,544 outputs of the layer `relu1` change with every weight before that layer?
The answer is a 12,544 x 192 matrix. Row by row it takes 12,544 backward passes; `dljacobian` gives it at once, because
it keeps the structure that the chain rule leaves. Twenty rows are compared with `dlgradient`, and what was found is
drawn (digits_pictures.py). """
import argparse
import sys
import time
from pathlib import Path

import digits_pictures as pictures
import numpy as np
from PIL import Image
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

import gradloom as gl

SEED = 0
TRAIN_FILES = 50  # of each digit
GOOD_ENOUGH = 0.95


# ----- data and network -----------------------------------------------------------------------------------------------


def write_digits(folder):
    """Scikit-learn's handwritten digits as 28 x 28 images, in a folder for each digit: 0/0000.png and so on."""
    data = load_digits()
    framed = np.pad(data.images * (255 / 16), ((0, 0), (1, 1), (1, 1)))  # 8 x 8 pixels and an empty margin
    for k, (image, digit) in enumerate(zip(framed, data.target, strict=True)):
        path = folder / str(digit) / f"{k:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        large = zoom(image, 28 / 10, order=1, mode="nearest", grid_mode=True)
        Image.fromarray(np.round(large).astype("uint8")).save(path)


def datastores(folder, train_files=TRAIN_FILES):
    """The images to train with, and those that are held out. The names of their folders are their classes."""
    images = gl.ImageDatastore(folder, include_subfolders=True, label_source="foldernames")
    return gl.split_each_label(images, train_files, randomized=True)


def as_array(image):
    """An image as it was read, height x width x channel, as the network takes it."""
    return gl.dlarray(np.moveaxis(image, -1, 0).astype("float32"), "CSS")


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


def train(net, training, held_out, **changes):
    """The trained network, and what trainnet tells about the run."""
    options = gl.TrainingOptions("sgdm", **{
        "initial_learn_rate": 0.001, "max_epochs": 4, "mini_batch_size": 8, "shuffle": "every-epoch",
        "validation_data": held_out, "validation_frequency": 63, "metrics": "accuracy",
        "output_network": "last-iteration", "verbose": False, **changes})
    return gl.trainnet(training, net, "crossentropy", options)


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
    write_digits(output / "digits")
    training, held_out = datastores(output / "digits")
    print(f"Handwritten digits, 28 x 28: {len(training):,} to train with, {len(held_out):,} held out.\n")
    net = network()
    print(f"{net}\n")

    print("Training: 4 epochs, stochastic gradient descent with momentum.")
    start = time.perf_counter()
    net, info = train(net, training, held_out, verbose=True, plots=monitor(output))
    share = info.validation["accuracy"][-1]
    print(f"Held-out accuracy {share:.1%} ({round(share * len(held_out))} of {len(held_out):,}), after "
          f"{time_in_words(time.perf_counter() - start)}.\n")
    if share < GOOD_ENOUGH:
        sys.exit(f"The held-out accuracy is below {GOOD_ENOUGH:.0%}: something is wrong.")

    # One digit that the network has not seen, and its relu1: 16 filters x 28 x 28.
    digit = as_array(next(image for image, name in held_out if name == "3"))
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

    files = draw(output, np.asarray(digit)[0] / 255, h, J, matrix, places, info)
    print(f"Pictures, and training.html with its curves, in {output.resolve()}:")
    for path, content in files:
        print(f"  {path.name:22}{content}")


def monitor(output):
    """Training's curves in a file, when it ends."""
    return gl.TrainingProgressMonitor(x_label="iteration", displays=[gl.displays.Report(output / "training.html")])


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


def draw(output, image, h, J, matrix, places, info):
    """Write the pictures: [(path, what it shows)]."""
    output.mkdir(parents=True, exist_ok=True)
    accuracies = list(zip(info.validation["iteration"], info.validation["accuracy"], strict=True))
    strongest = places[:len(h)]
    kernels = J["conv1", "weights"].dense().numpy()[..., 0, :, :]  # filter, i, j; filter, 3, 3
    return [
        pictures.training(output / "training.png", info.training["loss"], accuracies),
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
