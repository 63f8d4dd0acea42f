"""Which wave is it? Sequences of different lengths, classified by long short-term memory.

    python examples/sequence_classification.py [--output FOLDER]

Sines, triangles, squares and sawteeth, of any frequency, phase and height, under noise, 30 to 80 samples long. Each
mini-batch is padded to its longest, and the padding changes nothing: the network is told where each sequence ends. It
says one class at the end of a sequence. But it carries its
state from call to call: the trained network can listen to one sample after the other, and say after each what it
believes. Squares and sawteeth it soon knows; sines and triangles are hard to tell apart under noise. """
import numpy as np
from drawing import BLUE, GREEN, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers
WAVES = {
    "sine": lambda turn: np.sin(2 * np.pi * turn),
    "triangle": lambda turn: 4 * np.abs((turn + 0.25) % 1 - 0.5) - 1,
    "square": lambda turn: np.where(turn % 1 < 0.5, 1.0, -1.0),
    "sawtooth": lambda turn: 2 * (turn % 1) - 1,
}
NAMES = list(WAVES)
FORMAT = "BTC"


def waves(count, noise, rng):
    """A list of (sequence, name)."""
    found = []
    for k in range(count):
        name = NAMES[k % len(NAMES)]
        turn = np.arange(rng.integers(30, 81)) * rng.uniform(0.04, 0.09) + rng.uniform()
        wave = rng.uniform(0.7, 1.3) * WAVES[name](turn) + noise * rng.standard_normal(len(turn))
        found.append((wave[:, None].astype("float32"), name))
    return found


def network():
    layers = [L.SequenceInput(1), L.LSTM(48, output_mode="last"), L.FullyConnected(len(WAVES)), L.Softmax()]
    return gl.dlnetwork(layers)


def train(net, data, epochs):
    options = gl.TrainingOptions(
        "adam", initial_learn_rate=0.01, learn_rate_schedule=gl.cosine_learn_rate(period=epochs + 1), max_epochs=epochs,
        mini_batch_size=128, shuffle="every-epoch", gradient_threshold=1.0, metrics="accuracy",
        input_data_formats=FORMAT, verbose=False)
    return gl.trainnet(data, net, "crossentropy", options)


def beliefs(net, sequence):
    """The scores after each sample of one sequence: the network's state goes from call to call."""
    net, scores = net.reset_state(), []
    for sample in sequence:
        score, state = net.predict(gl.dlarray(sample[None, None], "BTC"), return_state=True)
        net = net.replace(state=state)
        scores.append(score.numpy()[0])
    return np.array(scores)


def main(output, count=3000, epochs=12, noise=0.2):
    gl.rng(0)
    net, info = train(network(), waves(count, noise, np.random.default_rng(0)), epochs)
    held_out = waves(1000, noise, np.random.default_rng(1))
    names = [name for _, name in held_out]
    scores = gl.minibatchpredict(net, held_out, mini_batch_size=250, input_data_formats=FORMAT)
    found = gl.scores2label(scores, info.class_names)
    accuracy = np.mean(np.array(found) == names)
    print(f"{len(info.training['loss'])} steps in {info.training['time'][-1]:.0f} s: accuracy in training "
          f"{np.mean(info.training['accuracy'][-10:]):.1%}, of 1,000 held-out waves {accuracy:.1%}.")
    heard = [held_out[names.index(name)][0] for name in NAMES]
    told = [beliefs(net, sequence) for sequence in heard]
    draw(output / "sequence_classification.png", heard, told, info.class_names, names, found, accuracy)
    return {"network": net, "accuracy": accuracy, "heard": heard, "told": told}


def draw(path, heard, told, class_names, names, found, accuracy):
    fig = figure(13, 5.6, "Waves under noise, heard sample by sample")
    left, right = fig.subfigures(1, 2, width_ratios=[2.3, 1])
    colours = dict(zip(NAMES, (BLUE, RED, GREEN, "#8456a6"), strict=True))
    grid = left.subplots(2, 4, sharex="col", height_ratios=[1, 1.1])
    for k, (name, sequence, scores) in enumerate(zip(NAMES, heard, told, strict=True)):
        above, below = grid[:, k]
        above.plot(sequence, ".-", color=colours[name], linewidth=0.8, markersize=3)
        titled(above, f"a {name}", ylim=(-2.3, 2.3))
        below.stackplot(np.arange(1, len(scores) + 1), *[scores[:, class_names.index(one)] for one in NAMES],
                        colors=[colours[one] for one in NAMES], alpha=0.85, labels=NAMES)
        titled(below, "", xlabel="samples heard", ylim=(0, 1), xlim=(1, len(scores)))
    grid[1, 0].set_ylabel("what the network believes")
    left.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    gl.confusionchart(names, found, class_names=NAMES, ax=(chart := right.subplots()))
    titled(chart, f"held out: {accuracy:.1%} right")
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
