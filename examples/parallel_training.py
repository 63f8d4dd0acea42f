"""Training in two processes finds the network that one finds.

    python examples/parallel_training.py [--output FOLDER]
    torchrun --nproc-per-node 2 examples/parallel_training.py [--output FOLDER]

One option is all that a program of several processes needs: `execution_environment="parallel"`. Started alone, this one
trains by itself, starts itself twice as torchrun would do it, and compares. Each process has its part of each
mini-batch. Losses and gradients are sums over all observations, added over the processes and divided once: so a smaller
last mini-batch, of which the parts differ, counts for what it has, and both ways give one curve, to rounding. """
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from drawing import BLUE, QUIET, RED, command_line, figure, saved, titled
from sklearn.datasets import load_digits

import gradloom as gl

L = gl.layers
RESULT, EPOCHS = "PARALLEL_TRAINING_RESULT", "PARALLEL_TRAINING_EPOCHS"  # what the two processes are told


def data():
    """Training images and held-out ones, each with their digits."""
    digits = load_digits()
    x, t = digits.images[:, None] / 16, digits.target
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order[:1341]], t[order[:1341]]), (x[order[1341:]], t[order[1341:]])


def train(environment, epochs):
    """The same lines in each process."""
    gl.rng(0)
    training, held_out = data()
    net = gl.dlnetwork([L.ImageInput((8, 8, 1)), L.Convolution2d(3, 16, padding="same"), L.LayerNormalization(),
                        L.ReLU(), L.MaxPooling2d(2, stride=2), L.FullyConnected(10), L.Softmax()], dtype="float64")
    options = gl.TrainingOptions(
        "sgdm", initial_learn_rate=0.05, max_epochs=epochs, mini_batch_size=100, shuffle="every-epoch",
        validation_data=held_out, validation_frequency=14, metrics="accuracy", output_network="last-iteration",
        input_data_formats="BCSS", execution_environment=environment, verbose=False)
    return gl.trainnet(*training, net, "index-crossentropy", options)


def numbers(net):
    return np.concatenate([p.numpy().ravel() for p in net.learnables.values()])


def in_two_processes(epochs):
    """What the first of two processes found: losses, seconds, and the numbers of its network."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port, result = free.getsockname()[1], Path(folder) / "found.npz"
        free.close()
        env = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                            RESULT: str(result), EPOCHS: str(epochs), "OMP_NUM_THREADS": "1"}
        started = [subprocess.Popen([sys.executable, __file__], env=env | {"RANK": str(k)}) for k in range(2)]
        try:
            if any([process.wait() for process in started]):
                sys.exit("One of the two processes failed; what it said stands above.")
        finally:
            for process in started:
                process.kill()
        return dict(np.load(result))


def main(output, epochs=10):
    if "RANK" in os.environ:  # one of several processes
        net, info = train("parallel-cpu", int(os.environ.get(EPOCHS, epochs)))
        if RESULT in os.environ and os.environ["RANK"] == "0":
            np.savez(os.environ[RESULT], loss=info.training["loss"], time=info.training["time"], numbers=numbers(net))
        elif RESULT not in os.environ:
            print(f"Process {os.environ['RANK']}: held-out accuracy {info.validation['accuracy'][-1]:.1%}.")
        return None
    net, info = train("cpu", epochs)
    two = in_two_processes(epochs)
    apart = np.abs(two["loss"] - info.training["loss"])
    difference, size = np.abs(two["numbers"] - numbers(net)).max(), np.abs(numbers(net)).max()
    print(f"Held-out accuracy {info.validation['accuracy'][-1]:.1%}. One process {info.training['time'][-1]:.1f} s, "
          f"two {two['time'][-1]:.1f} s.\nBetween one and two processes: losses differ by at most {apart.max():.1e}, "
          f"the networks' numbers, of up to {size:.2f}, by {difference:.1e}.")
    draw(output / "parallel_training.png", info, two["loss"], apart)
    return {"loss": info.training["loss"], "apart": apart, "difference": difference,
            "accuracy": info.validation["accuracy"][-1]}


def draw(path, info, losses, apart):
    fig = figure(11.5, 4.2, "One training, by one process and by two")
    left, right = fig.subplots(1, 2)
    steps = info.training["iteration"]
    left.semilogy(steps, info.training["loss"], color=QUIET, linewidth=4, alpha=0.45, label="one process")
    left.semilogy(steps, losses, color=BLUE, linewidth=1, label="two processes")
    left.legend(frameon=False)
    titled(left, "loss of each mini-batch", xlabel="step")
    right.semilogy(steps, np.maximum(apart, 1e-17), ".", color=RED, markersize=4)
    right.axhline(np.finfo(float).eps, color=QUIET, linestyle=":", label="rounding of a number near 1")
    right.legend(frameon=False)
    titled(right, "by how much the two losses differ (1e-17: not at all)", xlabel="step", ylim=(5e-18, 1e-13))
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
