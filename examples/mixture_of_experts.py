"""A mixture of experts whose gate picks one expert at random in training.

The layer draws in `forward`, and that is all: what was drawn is stored with the trace, every derivative uses that draw,
and the experts are networks in a field of the layer, whose parameters are trained with the others. In use, the experts
are weighed by the gate's probabilities.

    python examples/mixture_of_experts.py [--output FOLDER]
"""
from __future__ import annotations

import numpy as np
from drawing import BLUE, GREEN, QUIET, RED, command_line, figure, saved, titled

import gradloom as gl

L = gl.layers


class Experts(gl.Layer):
    """`experts` are networks; `gate` scores them for each observation."""

    experts: tuple
    gate: gl.dlnetwork

    def initialize(self, layout):
        self.experts = tuple(expert.initialize(layout) for expert in self.experts)
        self.gate = self.gate.initialize(layout)

    def predict(self, x):
        shares = gl.softmax(self.gate(x))
        return sum(share(shares, k) * expert(x) for k, expert in enumerate(self.experts))

    def forward(self, x):
        shares = gl.softmax(self.gate(x))
        # one expert for each observation: the largest of log p + Gumbel noise has probability p
        noise = -gl.log(-gl.log(gl.rand(shares.shape, like=shares)))
        chosen = gl.argmax(gl.log(shares) + noise, axis="C", keepdims=True)
        y = 0.0
        for k, expert in enumerate(self.experts):
            p = share(shares, k)
            # the weight is 1 or 0, with the derivative of the probability: so the gate learns, too (straight through)
            y = y + (gl.where(chosen == k, 1.0, 0.0) + (p - gl.detach(p))) * expert(x)
        return y


def share(shares, k):
    """The probability of expert k, one number for each observation."""
    return shares[shares.at(C=slice(k, k + 1))]


def network(count: int = 3) -> gl.dlnetwork:
    """One input, `count` straight lines to choose from, one output."""
    experts = tuple(gl.dlnetwork([L.FullyConnected(1)], initialize=False) for _ in range(count))
    gate = gl.dlnetwork([L.FullyConnected(8), L.Tanh(), L.FullyConnected(count)], initialize=False)
    return gl.dlnetwork([L.FeatureInput(1), Experts(experts, gate, name="mixture")])


def model_loss(net, x, t):
    loss = gl.mse(net.forward(x), t)
    return loss, gl.dlgradient(loss, net.trainable)


def train(steps: int = 1500, seed: int = 0) -> tuple[gl.dlnetwork, list[float]]:
    """Fit |x|, which two lines make together; returns the network and its error in use, at the start and at the end."""
    gl.rng(seed)
    net, velocity = network(), None
    x = 4 * gl.rand((1, 64), "CB", dtype="float32") - 2
    t = gl.abs(x)
    errors = [gl.mse(net(x), t).item()]
    for _ in range(steps):
        _, gradients = gl.dlfeval(model_loss, net, x, t)
        net, velocity = gl.sgdmupdate(net, gradients, velocity, 0.02, 0.9)
    return net, [*errors, gl.mse(net(x), t).item()]


def main(output, steps=1500):
    net, errors = train(steps)
    print(net.learnables)
    print(f"error before {errors[0]:.3f}, after {errors[1]:.4f}")
    draw(output / "mixture_of_experts.png", net)
    return errors


def draw(path, net):
    """What the mixture says, what each expert says, and whom the gate trusts."""
    x = gl.dlarray(np.linspace(-2, 2, 200, dtype="float32")[None], "CB")
    mixture, at = net["mixture"], x.numpy()[0]
    fig = figure(10, 4, "Experts, and the gate that chooses among them")
    left, right = fig.subplots(1, 2)
    left.plot(at, abs(at), color=QUIET, linewidth=4, alpha=0.5, label="|x|")
    shares = gl.softmax(mixture.gate(x)).numpy()
    for k, (expert, colour) in enumerate(zip(mixture.experts, (BLUE, RED, GREEN), strict=True)):
        left.plot(at, expert(x).numpy()[0], "--", color=colour, linewidth=1, label=f"expert {k}")
        right.plot(at, shares[k], color=colour)
    left.plot(at, net(x).numpy()[0], color="black", linewidth=1.2, label="the mixture")
    left.legend(frameon=False)
    titled(left, "outputs", xlabel="x", ylim=(-1, 3))
    titled(right, "the gate's probabilities", xlabel="x", ylim=(0, 1.02))
    saved(fig, path)


if __name__ == "__main__":
    command_line(main, __doc__)
