"""Recurrent layers as functions of labelled arrays: lstm and gru. The operations behind them are in lstm.py and
gru.py."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ....core.array import dlarray, labels_of, raw, unlabelled
from ....core.declare import public
from ....core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ....core.labels import channel_last_order, described, tidy
from ....core.trace import live
from ....machine.dtypes import Tensor
from ...elementwise.activations import relu, sigmoid
from ...elementwise.choice import clip
from ...elementwise.mathematics import absolute, tanh
from ...matrices.contraction import layout_of, matmul, promoted_arrays
from ...movement.axes import array, broadcast_to, matrix_transpose, permute_dims, reshape
from ...movement.joining import concat
from ...movement.slices import slice_axis
from ..softmax import floating
from .gru import gru_steps
from .lstm import as_state, as_step, at, lstm_steps, parts
from .masked import masked

STATE_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"tanh": tanh, "softsign": lambda x: x / (1 + absolute(x)),
                                                      "relu": relu}
GATE_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": sigmoid,
                                                     "hard-sigmoid": lambda x: clip(0.2 * x + 0.5, 0, 1)}


class _Sequence:
    """x as (T, B, C), whichever of them it has, and the way back to its layout."""

    def __init__(self, x: Any, data_format: str | None, word: str):
        x = floating(x)
        labels = layout_of(x, data_format, word)
        self.word, self.shown = word, described(x.shape, labels)
        merged = channel_last_order(labels)
        if not merged or "U" in labels:
            raise LabelError(
                f"{word} needs an axis C or S, and no other than B and T beside it, x is {self.shown}, at "
                f"{line_of(user_site())}")
        if x.dtype.is_complex:
            raise TypeRefused(
                f"{word} takes real arrays, x is complex, at {line_of(user_site())}; write real(x), or stack its parts "
                "along C")
        self.labelled = labels_of(x) is not None
        channel = labels.index("C") if "C" in labels else merged[0]
        self.labels = "".join("C" if k == channel else letter for k, letter in enumerate(labels)
                              if k == channel or letter in "TB")
        order = [*[labels.index(letter) for letter in "TB" if letter in labels], *merged]
        x = permute_dims(unlabelled(x), order)
        sizes = [x.shape[("T" in labels) * (letter == "B")] if letter in labels else 1 for letter in "TB"]
        features = 1
        for k in range(len(order) - len(merged), x.ndim):
            features *= x.shape[k]
        self.x = reshape(x, (*sizes, features))

    @property
    def state_labels(self) -> str:
        return self.labels.replace("T", "")

    def refuse(self, what: str, remedy: str) -> ShapeError:
        return ShapeError(f"{self.word}: {what}, for x {self.shown}, at {line_of(user_site())}; {remedy}")

    def weights(self, input_weights: Any, recurrent_weights: Any, bias: Any, gates: int, biases: int = 1) -> list[Any]:
        """Weights that fit x and each other."""
        found = [unlabelled(floating(w)) for w in (input_weights, recurrent_weights, bias)]
        shapes = [tuple(w.shape) for w in found]
        n = shapes[1][-1] if len(shapes[1]) == 2 else -1
        if shapes != [(gates * n, self.x.shape[2]), (gates * n, n), (gates * n * biases,)]:
            several = f"{gates * biases} hidden" if biases > 1 else f"{gates} hidden"
            raise self.refuse(
                "input_weights {}, recurrent_weights {} and bias {} do not fit".format(
                    *[described(s, None) for s in shapes]),
                f"they are ({gates} hidden, {self.x.shape[2]}), ({gates} hidden, hidden) and ({several},)")
        return found

    def vector(self, w: Any, name: str, size: int) -> Any:
        """Weights that are a vector of this size."""
        w = unlabelled(floating(w))
        if tuple(w.shape) != (size,):
            raise self.refuse(f"{name} is {described(w.shape, None)}", f"it is ({size},)")
        return w

    def state(self, h: Any, hidden: int, name: str) -> Any:
        """An initial state as (B, C): one for each observation, or one for all."""
        h = floating(h)
        batch, given = self.x.shape[1], labels_of(h)
        of_each = described([{"C": hidden, "B": batch}[c] for c in self.state_labels], self.state_labels)
        expected = f"({hidden},) for all observations, or {of_each}"
        labels = given
        if labels is None:
            labels = "C" if h.ndim == 1 else "CB" if tuple(h.shape) == (hidden, 1) else self.state_labels
        if len(labels) != h.ndim or "C" not in labels or set(labels) - set("CBU") or labels.count("U") > 1:
            raise self.refuse(f"{name} is {described(h.shape, given)}", f"it is {expected}")
        order = [labels.index(c) for c in ("B", "U", "C") if c in labels]
        h = permute_dims(unlabelled(h), order)
        if h.ndim > 2 or h.shape[-1] != hidden or h.ndim == 2 and h.shape[0] not in (1, batch):
            raise self.refuse(f"{name} is {described(h.shape, None)} with its channels last", f"it is {expected}")
        return broadcast_to(h, (batch, hidden))

    def mask(self, given: Any) -> Tensor | None:
        """Which time steps are there, (T, B, 1) bools; None without a mask."""
        if given is None:
            return None
        given = array(given)
        own = self.labels.replace("C", "")
        labels = labels_of(given) or (own if given.ndim == len(own) else "")
        sizes = dict(zip("TB", self.x.shape, strict=False))
        if set(labels) - set(own) or "T" not in labels or any(n != sizes[c] for c, n in zip(labels, given.shape)):
            shown = described(given.shape, labels_of(given))
            raise self.refuse(f"mask is {shown}", "it has the axes T and B of x, 1 for what is there, 0 for padding")
        given = permute_dims(unlabelled(given), [labels.index(c) for c in "TB" if c in labels])
        given = reshape(given, (sizes["T"], given.shape[1] if given.ndim == 2 else 1, 1))
        return raw(given) != 0

    def returned(self, y: Any, labels: str) -> Any:
        """An array with the axes T, B, C in the layout of x."""
        have = "TBC"[-y.ndim:]
        y = reshape(y, tuple(n for n, c in zip(y.shape, have, strict=True) if c in labels))
        have = "".join(c for c in have if c in labels)
        y = permute_dims(y, tuple(have.index(c) for c in labels))
        return dlarray._made(y._value, y._node, tidy(labels)) if self.labelled and type(y) is dlarray else y

    def results(self, y: Any, *states: Any) -> tuple[Any, ...]:
        return self.returned(y, self.labels), *[self.returned(s, self.state_labels) for s in states]

    def empty(self, hidden: int, like: Any) -> Any:
        """No time steps."""
        raw = torch.empty((0, self.x.shape[1], hidden), dtype=like.dtype, device=like.device)
        return raw if isinstance(like, Tensor) else dlarray._made(raw, None)


def _activation(table: dict[str, Callable[[Any], Any]], name: str, option: str, word: str) -> Callable[[Any], Any]:
    if name not in table:
        raise ShapeError(
            f"{word}: {option} is one of {', '.join(repr(n) for n in table)}, not {name!r}, at {line_of(user_site())}")
    return table[name]


def _inputs(*arrays: Any) -> list[Any]:
    return promoted_arrays(*arrays)


@public(lstm_steps)
def lstm(x: Any, h0: Any, c0: Any, input_weights: Any, recurrent_weights: Any, bias: Any, /,
         *, peephole_weights: Any = None, mask: Any = None, state_activation: str = "tanh",
         gate_activation: str = "sigmoid", data_format: str | None = None) -> Any:
    """Long short-term memory along T: the states of all time steps, the last one, and the last cell, (y, h, c).

    Formula: i, f, o = sigmoid(W x + R h + b), g = tanh(W x + R h + b), c = f c + i g, h = o tanh(c), each with its own
    rows of W, R and b, in the order i (input), f (forget), g (cell), o (output). x: any layout of C (or S, merged into
    it), B and T; h0, c0: (hidden,) for all observations, or one for each, in the layout of x without T; input_weights:
    (4 hidden, channels); recurrent_weights: (4 hidden, hidden); bias: (4 hidden,); y: x's layout with hidden channels;
    h, c: the same without T. `state_activation` is "tanh", "softsign" or "relu", `gate_activation` "sigmoid" or
    "hard-sigmoid". peephole_weights: (3 hidden,), by which the gates i, f and o see the cell: i and f have p c of the
    step before in their sum, o that of its own step. mask: x's layout without C, 1 for what is there and 0 for padding,
    where the states stay as they are.
    Raises LabelError without C and S, ShapeError where weights or states do not fit, TypeRefused for complex x.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[[1.0, 2.0, 3.0]]], "CBT")
    >>> y, h, c = gl.lstm(x, [0.0], [0.0], gl.ones((4, 1)), gl.ones((4, 1)), gl.zeros((4,)))
    >>> y.dims, h.dims, y.shape, h.shape
    ('CBT', 'CB', (1, 1, 3), (1, 1))
    >>> bool(h == y[:, :, 2])
    True

    Source: Hochreiter and Schmidhuber 1997, Gers et al. 2000; peepholes: Gers and Schmidhuber 2000, ONNX LSTM; MATLAB
    lstm.
    """
    state = _activation(STATE_ACTIVATIONS, state_activation, "state_activation", "lstm")
    gate = _activation(GATE_ACTIVATIONS, gate_activation, "gate_activation", "lstm")
    s = _Sequence(x, data_format, "lstm")
    weights = s.weights(input_weights, recurrent_weights, bias, 4)
    n = weights[1].shape[1]
    peepholes = () if peephole_weights is None else (s.vector(peephole_weights, "peephole_weights", 3 * n),)
    seq, h, c, w, r, b, *p = _inputs(s.x, s.state(h0, n, "h0"), s.state(c0, n, "c0"), *weights, *peepholes)
    there = s.mask(mask)
    if not seq.shape[0]:
        return s.results(s.empty(n, seq), h, c)
    back = None
    if there is not None:
        back = masked(seq, w, there, (-1, 1, 0, 0), kept=False)
        seq, w = back.x, back.weights
    if (state_activation, gate_activation) == ("tanh", "sigmoid") and not p:
        inputs = (seq, h, c, w, r, b)
        differentiated = any(type(a) is dlarray and live(a._node) is not None for a in inputs)
        y, c = lstm_steps.apply(inputs, {"differentiated": differentiated})
    else:
        y, c = _lstm_in_steps(matmul(seq, matrix_transpose(w)) + b, as_step(h, ()), as_step(c, ()), matrix_transpose(r),
                              parts(p[0], 3) if p else None, state, gate)
    y = y if back is None else back.states(y, h)
    return s.results(y, _last(y), c)


def _lstm_in_steps(z: Any, h: Any, c: Any, weights: Any, peepholes: Any, state: Callable[[Any], Any],
                   gate: Callable[[Any], Any]) -> Any:
    """The lstm with any activations and peepholes, in other operations. z: the input's part of the gates."""
    steps = []
    for t in range(z.shape[0]):
        i, f, g, o = parts(at(z, t) + matmul(h, weights), 4)
        if peepholes is not None:
            i, f = i + peepholes[0] * c, f + peepholes[1] * c
        c = gate(f) * c + gate(i) * state(g)
        h = gate(o if peepholes is None else o + peepholes[2] * c) * state(c)
        steps.append(h)
    return concat(steps, axis=-3), as_state(c)


def _last(y: Any) -> Any:
    return as_state(at(y, y.shape[0] - 1))


RESET_GATE_MODES = ("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication")


@public(gru_steps)
def gru(x: Any, h0: Any, input_weights: Any, recurrent_weights: Any, bias: Any, /, *,
        reset_gate_mode: str = "after-multiplication", mask: Any = None,
        state_activation: str = "tanh", gate_activation: str = "sigmoid", data_format: str | None = None) -> Any:
    """The gated recurrent unit along T: the states of all time steps, and the last one, (y, h).

    Formula: r, u = sigmoid(W x + R h + b), n = tanh(W x + b + r (R h)), h = (1 - u) n + u h, each with its own rows of
    W, R and b, in the order r (reset), u (update), n (candidate). With `reset_gate_mode="before-multiplication"` n =
    tanh(W x + b + R (r h)); with "recurrent-bias-after-multiplication" R h has a bias of its own, the second half of
    `bias`: PyTorch's gru. x: any layout of C (or S, merged into it), B and T; h0: (hidden,) for all observations, or
    one for each, in the layout of x without T; input_weights: (3 hidden, channels); recurrent_weights: (3 hidden,
    hidden); bias: (3 hidden,) or (6 hidden,); y: x's layout with hidden channels; h: the same without T.
    `state_activation` is "tanh", "softsign" or "relu", `gate_activation` "sigmoid" or "hard-sigmoid". mask: x's layout
    without C, 1 for what is there and 0 for padding, where the state stays as it is.
    Raises LabelError without C and S, ShapeError where weights or states do not fit, TypeRefused for complex x.

    >>> import gradloom as gl
    >>> x = gl.dlarray([[[1.0, 2.0, 3.0]]], "CBT")
    >>> y, h = gl.gru(x, [0.0], gl.ones((3, 1)), gl.ones((3, 1)), gl.zeros((3,)))
    >>> y.dims, h.dims, y.shape, h.shape
    ('CBT', 'CB', (1, 1, 3), (1, 1))
    >>> bool(h == y[:, :, 2])
    True

    Source: Cho et al. 2014; MATLAB gru.
    """
    state = _activation(STATE_ACTIVATIONS, state_activation, "state_activation", "gru")
    gate = _activation(GATE_ACTIVATIONS, gate_activation, "gate_activation", "gru")
    if reset_gate_mode not in RESET_GATE_MODES:
        raise ShapeError(
            f"gru: reset_gate_mode is one of {', '.join(repr(m) for m in RESET_GATE_MODES)}, not {reset_gate_mode!r}, "
            f"at {line_of(user_site())}")
    s = _Sequence(x, data_format, "gru")
    two_biases = reset_gate_mode.startswith("recurrent-bias")
    weights = s.weights(input_weights, recurrent_weights, bias, 3, 2 if two_biases else 1)
    n = weights[1].shape[1]
    seq, h, w, r, b = _inputs(s.x, s.state(h0, n, "h0"), *weights)
    there = s.mask(mask)
    if not seq.shape[0]:
        return s.results(s.empty(n, seq), h)
    b, rb = (slice_axis(b, -1, 0, 3 * n), slice_axis(b, -1, 3 * n, 6 * n)) if two_biases else (b, None)
    if there is not None:
        seq, w, _ = masked(seq, w, there, (0, 1, 0), kept=True)
    if (state_activation, gate_activation) == ("tanh", "sigmoid") and reset_gate_mode != "before-multiplication":
        y = gru_steps.apply((seq, h, w, r, b, rb))
    else:
        y = _gru_in_steps(matmul(seq, matrix_transpose(w)) + b, as_step(h, ()), matrix_transpose(r), rb, state, gate,
                          reset_gate_mode == "before-multiplication")
    return s.results(y, _last(y))


def _gru_in_steps(z: Any, h: Any, weights: Any, recurrent_bias: Any, state: Callable[[Any], Any],
                  gate: Callable[[Any], Any], reset_first: bool) -> Any:
    """The gru with any activations and reset gate, in other operations. z: the input's part of the gates."""
    n = h.shape[-1]
    last_weights = slice_axis(weights, -1, 2 * n, 3 * n)
    steps = []
    for t in range(z.shape[0]):
        xr, xu, xn = parts(at(z, t), 3)
        zh = matmul(h, weights if not reset_first else slice_axis(weights, -1, 0, 2 * n))
        hr, hu, *gated = parts(zh if recurrent_bias is None else zh + recurrent_bias, 2 if reset_first else 3)
        r, u = gate(xr + hr), gate(xu + hu)
        candidate = state(xn + (matmul(r * h, last_weights) if reset_first else r * gated[0]))
        h = (1 - u) * candidate + u * h
        steps.append(h)
    return concat(steps, axis=-3)


__all__ = ["gru", "lstm"]
