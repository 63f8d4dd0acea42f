"""What recurrent layers have in common: sizes, states, masks, and what they return."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

import torch

from ..core.array import dlarray
from ..core.errors import ShapeError, line_of, user_site
from ..core.labels import described
from ..operations.elementwise.choice import where
from ..operations.matrices.contraction import matmul
from ..operations.movement.axes import matrix_transpose
from .initialize import Initializer, initial, zeros
from .layer import Layer
from .layout import Layout
from .options import check_choice, check_sizes, merged_size
from .spatial import called


class Recurrent(Layer):
    """A layer that reads a sequence step by step. Its states are fields: from call to call they are carried on, or they
    enter and leave as arrays.

    A layer says with `gates` how many blocks its weights have, with `state_names` its states, and with `steps` what it
    does.
    """

    hidden_size: int
    output_mode: str = field(default="sequence", kw_only=True)
    has_state_inputs: bool = field(default=False, kw_only=True)
    has_state_outputs: bool = field(default=False, kw_only=True)
    has_mask_input: bool = field(default=False, kw_only=True)
    input_weights_initializer: Initializer = field(default="glorot", kw_only=True)
    recurrent_weights_initializer: Initializer = field(default="orthogonal", kw_only=True)

    gates: ClassVar[int] = 4
    directions: ClassVar[int] = 1
    state_names: ClassVar[tuple[str, ...]] = ("hidden_state", "cell_state")

    def __post_init__(self) -> None:
        check_sizes(self, "hidden_size")
        check_choice(self, "output_mode", ("sequence", "last"))

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """in, then hidden and cell with `has_state_inputs`, then mask with `has_mask_input`."""
        states = tuple(name.removesuffix("_state") for name in self.state_names) if self.has_state_inputs else ()
        return ("in", *states, *(("mask",) if self.has_mask_input else ()))

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """out, then hidden and cell with `has_state_outputs`."""
        states = tuple(name.removesuffix("_state") for name in self.state_names) if self.has_state_outputs else ()
        return ("out", *states)

    def initial_weights(self, inputs: int, hidden: int) -> tuple[Any, Any]:
        """Input weights and recurrent weights for all gates, each direction drawn by itself."""
        rows = self.gates * self.hidden_size
        its = [(initial(self.input_weights_initializer, (rows, inputs)),
                initial(self.recurrent_weights_initializer, (rows, hidden))) for _ in range(self.directions)]
        return joined([w for w, _ in its]), joined([r for _, r in its])

    def initial_states(self) -> None:
        """States of zeros, where they are carried from call to call."""
        if not self.has_state_inputs:
            for name in self.state_names:
                setattr(self, name, zeros((self.directions * self.hidden_size,)))

    def reset_state(self) -> None:
        self.initial_states()

    def output_mask(self, mask: Any, y: Any) -> Any:
        return mask[0] if isinstance(mask, tuple) else mask

    def steps(self, x: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        """The states of all time steps, and the last ones."""
        raise NotImplementedError

    def predict(self, x: Any, *rest: Any, mask: Any = None) -> Any:
        others = list(rest)
        mask = mask[0] if isinstance(mask, tuple) else mask
        if self.has_mask_input:
            given = others.pop()
            mask = given if mask is None else where(mask, given, 0)
        states = others if self.has_state_inputs else [getattr(self, name) for name in self.state_names]
        if not self.has_state_inputs and "B" in states[0].dims:
            self._check_observations(x, states[0])
        y, *last = self.steps(x, states, mask)
        if not self.has_state_inputs:
            for name, value in zip(self.state_names, last, strict=True):
                setattr(self, name, value)
        y = y if self.output_mode == "sequence" else last[0]
        return (y, *last) if self.has_state_outputs else y

    def _check_observations(self, x: Any, state: Any) -> None:
        """A state that is carried on is of the observations that come next."""
        count = x.shape[x.dims.index("B")] if "B" in x.dims else 1
        held = state.shape[state.dims.index("B")]
        if held not in (1, count):
            raise ShapeError(
                f"{called(self)} carries the states of {held} observations, x "
                f"{described(x.shape, x._labels)} has {count}, at {line_of(user_site())}; for other sequences write "
                "net = net.reset_state()")


def initialize_projected(layer: Any, layout: Layout) -> None:
    """Weights and projectors of a layer whose gates see projections of x and of the hidden state."""
    p, q = layer.output_projector_size, layer.input_projector_size
    layer.input_weights, layer.recurrent_weights = layer.initial_weights(q, p)
    layer.input_projector = initial(layer.projector_initializer, (merged_size(layer, layout), q))
    layer.output_projector = initial(layer.projector_initializer, (layer.hidden_size, p))


def projected_weights(layer: Any) -> tuple[Any, Any]:
    """Its weights with the projectors in them: W Q' and R P'."""
    return (matmul(layer.input_weights, matrix_transpose(layer.input_projector)),
            matmul(layer.recurrent_weights, matrix_transpose(layer.output_projector)))


def joined(weights: list[Any]) -> Any:
    """Weights of several directions, one below the other."""
    if len(weights) == 1:
        return weights[0]
    return dlarray._made(torch.cat([dlarray(w)._value for w in weights]), None)


def unit_forget_gate(hidden: int, directions: int = 1) -> dlarray:
    """The bias of an lstm that forgets nothing at first: ones for the forget gate, else zeros.

    >>> from gradloom.networks.recurrent import unit_forget_gate
    >>> unit_forget_gate(1).tolist()
    [0.0, 1.0, 0.0, 0.0]

    Source: Jozefowicz, Zaremba, Sutskever 2015; MATLAB "unit-forget-gate".
    """
    bias = zeros((directions, 4, hidden))
    bias._value[:, 1] = 1
    return dlarray._made(bias._value.reshape(-1), None)


__all__ = ["Recurrent", "initialize_projected", "projected_weights", "unit_forget_gate"]
