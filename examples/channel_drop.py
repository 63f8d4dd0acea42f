"""A layer that sets one channel, drawn at random, to zero in training.

    python examples/channel_drop.py [--output FOLDER]

The question: does automatic differentiation keep track of random numbers that a layer draws in `forward`? It does. The
draw is stored with the trace, and every derivative uses it: the gradient is zero in the channel that was dropped. The
layer's author keeps no books and writes no backward. """
from drawing import RED, bare, command_line, figure, saved
from matplotlib.patches import Rectangle

import gradloom as gl

L = gl.layers
CHANNELS = 5


class RandomChannelDrop(gl.Layer):
    """In training one of `channels` channels becomes zero; in use nothing changes."""

    channels: int

    def predict(self, x):
        return x

    def forward(self, x):
        dropped = gl.randint(0, self.channels)
        return gl.where(gl.dlarray(gl.arange(self.channels) == dropped, "C"), 0.0, x)


def network():
    return gl.dlnetwork([L.FeatureInput(10), L.FullyConnected(CHANNELS, name="fc1"),
                         RandomChannelDrop(CHANNELS, name="drop"), L.FullyConnected(1, name="fc2")])


def output_and_gradient(net, x):
    """What the layer returns, and the gradient of the network's output with respect to what the layer was given."""
    before, after, y = net.forward(x, outputs=["fc1", "drop", "fc2"])
    return after, gl.dlgradient(gl.sum(y), before)


def main(output, runs=5):
    gl.rng(4)
    net, x = network(), gl.rand((10, 3), "CB", dtype="float32")
    found = [gl.dlfeval(output_and_gradient, net, x) for _ in range(runs)]
    for k, (y, gradient) in enumerate(found, 1):
        zero = [c for c in range(CHANNELS) if not gl.any(y[c] != 0)]
        print(f"Run {k}: dropped channel {zero}, gradient zero in it: {not gl.any(gradient[zero] != 0)}")
    draw(output / "channel_drop.png", found)
    return found


def draw(path, found):
    fig = figure(1.9 * len(found) + 1, 6.2, "Each run drops another channel, and its gradient knows which")
    grid = fig.subplots(2, len(found))
    for row, words in enumerate(("output of the layer", "gradient with respect to\nits input")):
        arrays = [pair[row].numpy() for pair in found]
        top = max(abs(a).max() for a in arrays)
        for k, (axes, array) in enumerate(zip(grid[row], arrays, strict=True)):
            drawn = axes.imshow(array, cmap="RdBu_r", vmin=-top, vmax=top)
            bare(axes, f"run {k + 1}" if row == 0 else "")
            for c in range(CHANNELS):
                if not array[c].any():
                    axes.add_patch(Rectangle((-0.5, c - 0.5), array.shape[1], 1, fill=False, edgecolor=RED, lw=2.5))
        grid[row, 0].set_ylabel(words + "\n(channels down, 3 observations across)", fontsize=9)
        fig.colorbar(drawn, ax=grid[row], shrink=0.8)
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
