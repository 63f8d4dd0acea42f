"""Layers of gated recurrent units."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.neural.sequences.recurrent import RESET_GATE_MODES, gru
from ..initialize import Initializer, initial
from ..layer import Learnable, State
from ..layout import Layout
from ..options import check_choice, check_sizes, merged_size
from ..recurrent import Recurrent, initialize_projected, projected_weights


class GRU(Recurrent):
    """Gated recurrent units along T, `hidden_size` of them.

    Formula: r, u = sigmoid(W x + R h + b), n = tanh(W x + b + r (R h)), h = (1 - u) n + u h, each with its own rows of
    W, R and b, in the order r (reset), u (update), n (candidate). With `reset_gate_mode="before-multiplication"` n =
    tanh(W x + b + R (r h)); with "recurrent-bias-after-multiplication" R h has a bias of its own, the second half of b:
    PyTorch's. input_weights W: (3 hidden, channels); recurrent_weights R: (3 hidden, hidden); bias b: (3 hidden,) or
    (6 hidden,). S axes are merged into the channels.

    The output is h at all time steps, or at the last alone with `output_mode="last"`. hidden_state begins with zeros
    and is carried from call to call in the network's state; `net.reset_state()` begins anew. With
    `has_state_inputs=True` it is the input hidden instead, and with `has_state_outputs=True` an output of that name
    follows out. `has_mask_input=True` adds an input mask, in the layout of x without C, 1 for what is there and 0 for
    padding, where the state stays as it is.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.GRU(5)], gl.Layout((3, 1, 1), "CBT"))
    >>> net(gl.zeros((3, 2, 7), "CBT")).sizes
    {'C': 5, 'B': 2, 'T': 7}

    Source: Cho et al. 2014; MATLAB gruLayer.
    """

    reset_gate_mode: str = field(default="after-multiplication", kw_only=True)
    state_activation: str = field(default="tanh", kw_only=True)
    gate_activation: str = field(default="sigmoid", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    input_weights: Learnable
    recurrent_weights: Learnable
    bias: Learnable
    hidden_state: State

    gates: ClassVar[int] = 3
    state_names: ClassVar[tuple[str, ...]] = ("hidden_state",)
    matlab: ClassVar[str] = "gruLayer"
    onnx: ClassVar[str | None] = "GRU"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "reset_gate_mode", RESET_GATE_MODES)

    def initialize(self, layout: Layout, *others: Layout) -> None:
        self.input_weights, self.recurrent_weights = self.initial_weights(merged_size(self, layout), self.hidden_size)
        biases = 2 if self.reset_gate_mode.startswith("recurrent-bias") else 1
        self.bias = initial(self.bias_initializer, (3 * self.hidden_size * biases,))
        self.initial_states()

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        return self.run(x, states, mask, self.input_weights, self.recurrent_weights)

    def run(self, x: Any, states: list[Any], mask: Any, input_weights: Any, recurrent_weights: Any) -> tuple[Any, ...]:
        """All time steps, with these weights."""
        y: tuple[Any, ...] = gru(
            x, *states, input_weights, recurrent_weights, self.bias, reset_gate_mode=self.reset_gate_mode, mask=mask,
            state_activation=self.state_activation, gate_activation=self.gate_activation)
        return y


class GRUProjected(GRU):
    """Gated recurrent units with fewer weights: what enters the gates, and the hidden state, are projected first.

    Formula: as `GRU`, with W Q' in the place of W, and R P' in that of R. input_weights W: (3 hidden, q);
    recurrent_weights R: (3 hidden, p); input_projector Q: (channels, q); output_projector P: (hidden, p). The sizes are
    those of `output_projector_size` p and `input_projector_size` q. y has `hidden_size` channels.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.GRUProjected(5, 2, 1)], gl.Layout((3, 1, 1), "CBT"))
    >>> net.learnables["gruprojected", "recurrent_weights"].shape
    (15, 2)

    Source: MATLAB gruProjectedLayer.
    """

    output_projector_size: int
    input_projector_size: int
    projector_initializer: Initializer = field(default="orthogonal", kw_only=True)
    input_projector: Learnable
    output_projector: Learnable

    matlab: ClassVar[str] = "gruProjectedLayer"
    onnx: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "output_projector_size", "input_projector_size")

    def initialize(self, layout: Layout, *others: Layout) -> None:
        super().initialize(layout)
        initialize_projected(self, layout)

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        return self.run(x, states, mask, *projected_weights(self))


__all__ = ["GRU", "GRUProjected"]
