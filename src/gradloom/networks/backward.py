"""A layer's own backward as an operation: one node for the whole layer, whose rules are what the layer states."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.array import dlarray
from ..core.errors import TypeRefused
from ..derivatives.own.backward import OwnBackward, OwnBackwardOperation
from ..machine.dtypes import Tensor
from .layer import Layer, copied


class Call(OwnBackward):
    """One call of a layer: its inputs, then its learnables."""

    kind = "layer"

    def __init__(self, layer: Layer, method: Callable[..., Any], xs: Sequence[dlarray], fields: Sequence[str],
                 parameters: Sequence[dlarray], wrapped: Callable[[Any], dlarray]):
        self.word = f"{type(layer).__name__}.backward"
        self.layer, self.method, self.wrapped = layer, method, wrapped
        self.fields, self.count = tuple(fields), len(xs)
        self.names = [*[f"input {k}" for k in range(self.count)], *fields]
        self.labels = [x._labels for x in (*xs, *parameters)]
        self.shapes = [tuple(x._value.shape) for x in (*xs, *parameters)]
        self.states: Layer | None = None

    def bound(self, arrays: Sequence[Any]) -> Any:
        """The layer with these learnables."""
        allowed = [n for n, role in self.layer.roles.items() if role == "state"]
        return copied(self.layer, dict(zip(self.fields, arrays, strict=True)), allowed)

    def identified_by(self) -> Sequence[Any]:
        held = {name: value for name, value in self.layer.__dict__.items() if name not in self.fields}
        return [*self._told(), type(self.layer), held, self.fields]

    def run(self, values: Sequence[Tensor]) -> Tensor:
        arrays = [dlarray._made(v, None, its) for v, its in zip(values, self.labels, strict=True)]
        layer = self.bound(arrays[self.count:])
        y = self.wrapped(self.method(layer, *arrays[:self.count]))
        self.states, self.y_labels, self.y_likes = layer, [y._labels], [y._value.to("meta")]
        return y._value

    def backward(self, xs: Sequence[Any], ys: Sequence[Any], y_bars: Sequence[dlarray], wanted: Sequence[bool],
                 recorded: bool) -> Any:
        try:
            return self.bound(xs[self.count:]).backward(*xs[:self.count], ys[0], y_bars[0])
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # from inside
            inputs = ["x"] if self.count == 1 else [f"x{k + 1}" for k in range(self.count)]
            raise TypeRefused(
                f"{self.word} cannot be called with the layer's input{'s' * (self.count > 1)}, its output and the "
                f"cotangent of that: {error}; write def backward(self, {', '.join(inputs)}, y, y_bar)") from None


LAYER = OwnBackwardOperation("layer")


def called(layer: Layer, method: Callable[..., Any], xs: Sequence[dlarray], fields: Sequence[str],
           parameters: Sequence[dlarray],
           wrapped: Callable[[Any], Any]) -> tuple[dlarray, Layer]:
    """Run a layer as one operation: its output, and the copy that holds its new states."""

    def single(y: Any) -> dlarray:
        y = wrapped(y)
        if isinstance(y, tuple):
            raise TypeRefused(
                f"{type(layer).__name__} has its own backward and several outputs; return one output, or leave "
                "backward out")
        return y

    call = Call(layer, method, xs, fields, parameters, single)
    y = LAYER.apply((*xs, *parameters), {"call": call})
    assert call.states is not None
    states, call.states = call.states, None
    return y, states
