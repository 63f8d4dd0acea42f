"""Transfer learning: a torch module that reads digits learns to count their holes.

    python examples/transfer_learning.py [--output FOLDER]

A module is trained in torch, with torch's optimizer, to tell the ten digits apart. `from_torch` makes a network of it,
`freeze` leaves it as it is, and it stands as a layer in a `dlnetwork`, before a new head for another question: has the
digit no hole (1, 2, 3, 5, 7), one (0, 4, 6, 9) or two (8)? `trainnet` trains the head on one to eight images of each
digit, none of which torch has seen; nobody says which digits they are. Beside it a module of the same layers, but with
three scores, begins with random numbers and is trained as a whole on the same images. Both are tested on the rest. """
import numpy as np
import torch
from drawing import BLUE, GREEN, QUIET, RED, command_line, figure, saved, titled
from sklearn.datasets import load_digits
from torch import nn

import gradloom as gl
from gradloom.interop.torch import from_torch

L = gl.layers
TORCH_SEES = 1000
HOLES = np.array([1, 0, 0, 0, 1, 0, 1, 0, 2, 1])  # of each digit


def images():
    """Images (1, 8, 8) between 0 and 1, and which digits they are, in any order."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    return (digits.images[order, None] / 16).astype("float32"), digits.target[order]


def module_of(classes):
    """torch's part: an image's scores for so many classes."""
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, classes))


def trained_in_torch(x, digit, epochs):
    """The module, after torch taught it to read."""
    torch.manual_seed(0)
    module = module_of(10)
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    x, digit = torch.tensor(x), torch.tensor(digit)
    for _ in range(epochs):
        for some in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[some]), digit[some]).backward()
            optimizer.step()
    return module


def network(scores, *head):
    """torch's scores, whose axes get their labels, and a head."""
    return gl.dlnetwork([scores, L.Function(lambda x: gl.dlarray(x, "BC")), L.Softmax(), *head],
                        gl.Layout((1, 1, 8, 8), "BCSS"))


def with_new_head(scores):
    """A network that asks the ten probabilities for three classes."""
    return network(scores, L.FullyConnected(3), L.Softmax())


def train(net, x, t, steps, rate=0.01):
    options = gl.TrainingOptions("adam", initial_learn_rate=rate, max_epochs=steps, mini_batch_size=len(x),
                                 input_data_formats="BCSS", verbose=False)
    return gl.trainnet(x, t, net, "index-crossentropy", options)[0]


def main(output, counts=(1, 2, 3, 5, 8), draws=5, epochs=30, steps=100):
    gl.rng(0)
    x, digit = images()
    module = trained_in_torch(x[:TORCH_SEES], digit[:TORCH_SEES], epochs)
    frozen = from_torch(module).freeze()
    x, digit, holes = x[TORCH_SEES:], digit[TORCH_SEES:], HOLES[digit[TORCH_SEES:]]
    accuracies = {"transfer": [], "from scratch": []}
    for count in counts:
        found = {name: [] for name in accuracies}
        for draw_number in range(draws):
            order = np.random.default_rng(draw_number).permutation(len(x))
            some = np.concatenate([order[digit[order] == k][:count] for k in range(10)])
            rest = np.setdiff1d(order, some)
            torch.manual_seed(draw_number)
            fresh = network(from_torch(module_of(3)))
            for name, net, rate in (("transfer", with_new_head(frozen), 0.01), ("from scratch", fresh, 0.003)):
                net = train(net, x[some], holes[some], steps, rate)
                scores = gl.minibatchpredict(net, x[rest], mini_batch_size=1000, input_data_formats="BCSS")
                found[name].append(np.mean(scores.numpy().argmax(1) == holes[rest]))
        for name in accuracies:
            accuracies[name].append(found[name])
        print(f"{count} images of each digit: held-out accuracy " + ", ".join(
            f"{np.mean(found[name]):.1%} {name}" for name in accuracies) + f" (means of {draws} draws).")
    scores = frozen.predict(gl.dlarray(x)).numpy()
    draw(output / "transfer_learning.png", counts, accuracies, scores, digit, holes)
    return {"accuracies": accuracies, "module": module, "frozen": with_new_head(frozen)}


def draw(path, counts, accuracies, scores, digit, holes):
    fig = figure(11.5, 4.8, "How many holes has a digit? Asked of a torch module that was taught to read")
    left, right = fig.subplots(1, 2)
    for (name, found), colour in zip(accuracies.items(), (BLUE, RED), strict=True):
        found = 100 * np.array(found)
        left.plot(counts, found.mean(1), "o-", color=colour, label=name)
        left.fill_between(counts, found.min(1), found.max(1), color=colour, alpha=0.15, linewidth=0)
    left.legend(frameon=False, loc="lower right")
    titled(left, "held-out accuracy (shaded: best and worst draw)", xscale="log", ylim=(20, 100), ylabel="%",
           xlabel="images of each digit to learn from")
    left.set_xticks(counts, counts)
    left.minorticks_off()
    common = 100 * np.mean(holes == 0)
    left.axhline(common, color=QUIET, linestyle=":", linewidth=1)
    left.annotate("always saying none", (counts[-1], common), ha="right", va="bottom", fontsize=8, color=QUIET)
    middle = scores - scores.mean(0)
    plane = middle @ np.linalg.svd(middle, full_matrices=False)[2][:2].T
    right.scatter(*plane.T, alpha=0)  # digits, which are text, do not move the limits
    for k, (colour, name) in enumerate(((BLUE, "no hole"), (RED, "one"), (GREEN, "two"))):
        right.plot([], [], "o", color=colour, label=name)
        for place, one in zip(plane[holes == k], digit[holes == k], strict=True):
            right.text(*place, str(one), color=colour, fontsize=6.5, ha="center", va="center", alpha=0.8)
    right.legend(frameon=False, loc="upper right")
    titled(right, "the frozen module's scores of unseen images", xlabel="first principal component", ylabel="second",
           ylim=(None, 1.3 * plane[:, 1].max()))
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
