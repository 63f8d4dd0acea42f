"""Layers of long short-term memory."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.movement.joining import concat
from ...operations.movement.selection import flip
from ...operations.movement.slices import slice_axis
from ...operations.neural.sequences.recurrent import lstm
from ..initialize import Initializer, initial
from ..layer import Learnable, State
from ..layout import Layout
from ..options import check_sizes, merged_size
from ..recurrent import Recurrent, initialize_projected, projected_weights, unit_forget_gate


class LSTM(Recurrent):
    """Long short-term memory along T with `hidden_size` units.

    Formula: i, f, o = sigmoid(W x + R h + b), g = tanh(W x + R h + b), c = f c + i g, h = o tanh(c), each with its own
    rows of W, R and b, in the order i (input), f (forget), g (cell), o (output). input_weights W: (4 hidden, channels);
    recurrent_weights R: (4 hidden, hidden); bias b: (4 hidden,), at first 1 for f and else 0, or as `bias_initializer`
    says. S axes are merged into the channels.

    The output is h at all time steps, or at the last alone with `output_mode="last"`. hidden_state and cell_state begin
    with zeros and are carried from call to call in the network's state; `net.reset_state()` begins anew. With
    `has_state_inputs=True` they are the inputs hidden and cell instead, and with `has_state_outputs=True` outputs of
    those names follow out. `has_mask_input=True` adds an input mask, in the layout of x without C, 1 for what is there
    and 0 for padding, where the states stay as they are: the last h is that of the last step that is there.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.LSTM(5, output_mode="last")], gl.Layout((3, 1, 1), "CBT"))
    >>> y, state = net.predict(gl.zeros((3, 2, 7), "CBT"), return_state=True)
    >>> y.sizes, list(state)
    ({'C': 5, 'B': 2}, [('lstm', 'hidden_state'), ('lstm', 'cell_state')])

    Source: Hochreiter and Schmidhuber 1997, Gers et al. 2000; MATLAB lstmLayer.
    """

    state_activation: str = field(default="tanh", kw_only=True)
    gate_activation: str = field(default="sigmoid", kw_only=True)
    bias_initializer: Initializer = field(default="unit-forget-gate", kw_only=True)
    input_weights: Learnable
    recurrent_weights: Learnable
    bias: Learnable
    hidden_state: State
    cell_state: State

    matlab: ClassVar[str] = "lstmLayer"
    onnx: ClassVar[str | None] = "LSTM"

    def initialize(self, layout: Layout, *others: Layout) -> None:
        self.input_weights, self.recurrent_weights = self.initial_weights(merged_size(self, layout), self.hidden_size)
        n, d = self.hidden_size, self.directions
        self.bias = (unit_forget_gate(n, d) if self.bias_initializer == "unit-forget-gate"
                     else initial(self.bias_initializer, (4 * n * d,)))
        self.initial_states()

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        return self.run(x, states, mask, self.input_weights, self.recurrent_weights, self.bias)

    def run(self, x: Any, states: list[Any], mask: Any, *weights: Any, peephole_weights: Any = None) -> tuple[Any, ...]:
        """All time steps, with these weights."""
        y: tuple[Any, ...] = lstm(x, *states, *weights, mask=mask, peephole_weights=peephole_weights,
                                  state_activation=self.state_activation, gate_activation=self.gate_activation)
        return y


class PeepholeLSTM(LSTM):
    """Long short-term memory whose gates see the cell, too.

    Formula: i, f = sigmoid(W x + R h + b + p c), g = tanh(W x + R h + b), c' = f c + i g, o = sigmoid(W x + R h + b +
    p c'), h = o tanh(c'), each with its own rows of W, R, b and p. peephole_weights p: (3 hidden,), for i, f and o, at
    first 0. The rest is as in `LSTM`.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.PeepholeLSTM(5)], gl.Layout((3, 1, 1), "CBT"))
    >>> net.learnables["peepholelstm", "peephole_weights"].shape
    (15,)

    Source: Gers and Schmidhuber 2000; ONNX LSTM, whose input P has the order i, o, f.
    """

    peephole_weights_initializer: Initializer = field(default="zeros", kw_only=True)
    peephole_weights: Learnable

    matlab: ClassVar[None] = None  # type: ignore[assignment]

    def initialize(self, layout: Layout, *others: Layout) -> None:
        super().initialize(layout)
        self.peephole_weights = initial(self.peephole_weights_initializer, (3 * self.hidden_size,))

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        return self.run(x, states, mask, self.input_weights, self.recurrent_weights, self.bias,
                        peephole_weights=self.peephole_weights)


class LSTMProjected(LSTM):
    """Long short-term memory with fewer weights: what enters the gates, and the hidden state, are projected first.

    Formula: as `LSTM`, with W Q' in the place of W, and R P' in that of R. input_weights W: (4 hidden, q);
    recurrent_weights R: (4 hidden, p); input_projector Q: (channels, q); output_projector P: (hidden, p). The sizes are
    those of `output_projector_size` p and `input_projector_size` q. y has `hidden_size` channels: this is not
    PyTorch's proj_size, which projects what it returns.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.LSTMProjected(5, 2, 1)], gl.Layout((3, 1, 1), "CBT"))
    >>> net.learnables["lstmprojected", "recurrent_weights"].shape
    (20, 2)

    Source: MATLAB lstmProjectedLayer.
    """

    output_projector_size: int
    input_projector_size: int
    projector_initializer: Initializer = field(default="orthogonal", kw_only=True)
    input_projector: Learnable
    output_projector: Learnable

    matlab: ClassVar[str] = "lstmProjectedLayer"
    onnx: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "output_projector_size", "input_projector_size")

    def initialize(self, layout: Layout, *others: Layout) -> None:
        super().initialize(layout)
        initialize_projected(self, layout)

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        return self.run(x, states, mask, *projected_weights(self), self.bias)


class BiLSTM(LSTM):
    """Two layers of long short-term memory, one along T and one against it, their channels one after the other.

    Formula: `LSTM` of x, and of x in reverse and reversed again. The first half of the rows of input_weights (8 hidden,
    channels), recurrent_weights (8 hidden, hidden) and bias (8 hidden,) is that of the way along T, as the first half
    of the channels of the output, of hidden_state and of cell_state, which have 2 hidden. With `output_mode="last"`
    each way gives its own last state, that of the way back at the first time step.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.BiLSTM(5)], gl.Layout((3, 1, 1), "CBT"))
    >>> net(gl.zeros((3, 2, 7), "CBT")).sizes
    {'C': 10, 'B': 2, 'T': 7}

    Source: Schuster and Paliwal 1997; MATLAB bilstmLayer.
    """

    directions: ClassVar[int] = 2

    matlab: ClassVar[str] = "bilstmLayer"

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        n, found = self.hidden_size, []
        weights = self.input_weights, self.recurrent_weights, self.bias
        for k in range(2):
            back = k == 1 and "T" in x.dims
            its = [_half(w, 0, k, 4 * n) for w in weights]
            y, *last = self.run(reversed_in_time(x) if back else x, [_half(s, channels(s), k, n) for s in states],
                                reversed_in_time(mask) if back and mask is not None else mask, *its)
            found.append((reversed_in_time(y) if back else y, *last))
        return tuple(concat(list(both), axis="C") for both in zip(*found, strict=True))


def channels(state: Any) -> int:
    """Which axis of a state the channels are."""
    return state.dims.index("C") if state.dims else state.ndim - 1


def reversed_in_time(x: Any) -> Any:
    """x from its last time step to its first; an unlabelled mask has T last."""
    return flip(x, axis="T" if x.dims else -1)


def _half(x: Any, axis: int, k: int, n: int) -> Any:
    return slice_axis(x, axis - x.ndim, k * n, (k + 1) * n)


__all__ = ["LSTM", "BiLSTM", "LSTMProjected", "PeepholeLSTM"]
