"""A layer's own backward as an operation: one node for the whole layer, whose rules are what the layer states.

Its inputs are what enters the layer, then its parameters: learnables and states, its own before those of the networks
that it holds. Its outputs are those of the layer and, where backward asks for their cotangents, the states that it
leaves; otherwise how these depend on the inputs is not known, and to differentiate through one is an error.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.array import dlarray
from ..core.errors import TraceError, TypeRefused, from_inside, line_of, user_site
from ..core.operation import Operation
from ..core.trace import Node, live
from ..derivatives.own.backward import OwnBackward, OwnBackwardOperation
from ..derivatives.own.function import remembered_array
from ..derivatives.walks.keys import Same
from ..machine.caches import remembered
from ..machine.dtypes import Tensor, differentiable
from .layer import Layer
from .parameters import placed

if TYPE_CHECKING:
    from .stage import Stage

MEMORY, STATE_BARS = "memory", "state_bars"  # what a layer's backward may ask for by name
LEFT = Operation("state", lambda x: x, ("x",))
LEFT.barrier = "a state that a layer with its own backward left"
LEFT.recomputable = False


@remembered()
def asked_of(kind: type[Layer]) -> frozenset[str]:
    """Of memory and state_bars, what a layer's backward asks for."""
    backward: Callable[..., Any] = kind.backward  # type: ignore[attr-defined]
    return frozenset((MEMORY, STATE_BARS)) & frozenset(inspect.signature(backward).parameters)


@remembered()
def _operation(outputs: int) -> OwnBackwardOperation:
    return OwnBackwardOperation("layer", outputs=outputs, own=True)


def parted(layer: Layer, y: Any) -> tuple[Any, tuple[Any, ...]]:
    """The outputs of a layer with its own backward, as it names them, and what it returned beyond: the memory."""
    count = len(layer.output_names)
    if not isinstance(y, (tuple, list)) or len(y) <= count:
        return y, ()
    if MEMORY not in asked_of(type(layer)):
        raise TypeRefused(
            f"{type(layer).__name__} returned {len(y)} results and names {count} output{'s' * (count != 1)} "
            f"({', '.join(layer.output_names)}), at {line_of(user_site())}; what comes after the outputs is kept for a "
            "backward with a parameter memory; name the others in output_names")
    return (tuple(y[:count]) if count > 1 else y[0]), tuple(y[count:])


class Call(OwnBackward):
    """One call of a layer in its place in a network, with the values of the network's parameters."""

    kind = "layer"

    def __init__(self, stage: Stage, method: Callable[..., Any], xs: Sequence[dlarray], values: Sequence[dlarray]):
        self.stage, self.method = stage, method
        self.word = f"{stage.kind.__name__}.backward"
        self.asks = asked_of(stage.kind)
        self.count = len(xs)
        self.learned, self.held = stage.learnable_places, stage.state_places
        self.inputs = [*xs, *[values[k] for k in (*self.learned, *self.held)]]
        self.names = [*[f"input {k}" for k in range(self.count)], *stage.parameter_names]
        self.labels = [x._labels for x in self.inputs]
        self.shapes = [tuple(x._value.shape) for x in self.inputs]
        self.nodes: tuple[Node, ...] = tuple(x._node for x in self.inputs if live(x._node) is not None)  # type: ignore[misc]
        self.memory: tuple[Any, ...] = ()
        self.left: dict[int, Any] = {}  # the states after the call
        self.stated = [k for _, k in stage.states] if STATE_BARS in self.asks else []  # which of them are outputs

    def identified_by(self) -> Sequence[Any] | None:
        parts = self.stage.parts
        bodies = [part.network._body for part in parts]
        if any(body.runs() is None for body in bodies):
            return None
        fields = {part.field for part in parts}
        options = {name: value for name, value in self.stage.options.items() if name not in fields}
        return [*self._told(), self.stage.kind, options, [Same(body) for body in bodies], self.memory]

    def _bound(self, arrays: Sequence[Any]) -> Any:
        """The layer with these parameters."""
        return self.stage.bound(dict(zip((*self.learned, *self.held), arrays, strict=True)))

    def run(self, values: Sequence[Tensor]) -> Any:
        arrays = [dlarray._made(v, None, its) for v, its in zip(values, self.labels, strict=True)]
        layer = self._bound(arrays[self.count:])
        y, self.memory = parted(layer, self.method(layer, *arrays[:self.count]))
        y = self.stage.checked(y)
        ys = list(y) if isinstance(y, tuple) else [y]
        if len(ys) != len(self.stage.outputs):
            raise TypeRefused(
                f"{self.stage.kind.__name__} returned {len(ys)} outputs and names {len(self.stage.outputs)} "
                f"({', '.join(self.stage.outputs)}), at {line_of(user_site())}; return a tuple with one for each")
        self.left = {}
        self.stage.leave(layer, self.left, 0)
        results = [*ys, *[self.left[k] for k in self.stated]]
        self.y_labels, self.y_likes = [y._labels for y in results], [y._value.to("meta") for y in results]
        return tuple([y._value for y in results]) if len(results) > 1 else results[0]._value

    def result(self) -> tuple[Any, Layer]:
        """The outputs of the layer, recorded, and the copy that holds the states that it leaves."""
        made = _operation(len(self.stage.outputs) + len(self.stated)).apply(self.inputs, {"call": self})
        ys = made if isinstance(made, tuple) else (made,)
        n = len(self.stage.outputs)
        recorded = dict(zip(self.stated, ys[n:], strict=True))
        parameters = dict(zip((*self.learned, *self.held), self.inputs[self.count:], strict=True))
        for k in self.held:
            if self.left[k]._value is not parameters[k]._value:  # else it is the one that entered
                parameters[k] = recorded[k] if k in recorded else self._barred(self.left[k])
        self.left, self.inputs = {}, []
        return (ys[:n] if n > 1 else ys[0]), self.stage.bound(parameters)

    def _barred(self, state: dlarray) -> dlarray:
        """A state that the call left: it depends on the inputs, but how is not known."""
        if not self.nodes or not differentiable(state._value.dtype):
            return state
        remedy = f"state_bars among the parameters of {self.word}, which states its part then,"
        made = Node(LEFT, self.nodes[0].trace, self.nodes, [*[None] * len(self.nodes), state._value],
                    {"option": remedy}, state._value, user_site())
        return dlarray._made(state._value, made, state._labels)

    def backward(self, xs: Sequence[Any], ys: Sequence[Any], y_bars: Sequence[dlarray], wanted: Sequence[bool],
                 recorded: bool) -> Any:
        n, asked = len(self.stage.outputs), {}
        if MEMORY in self.asks:
            asked[MEMORY] = (tuple([remembered_array(m, self.nodes) for m in self.memory]) if recorded
                             else self.memory)
        if STATE_BARS in self.asks:
            asked[STATE_BARS] = tuple(y_bars[n:])
        layer = self._bound(xs[self.count:])
        try:
            stated = layer.backward(*xs[:self.count], *ys[:n], *y_bars[:n], **asked)
        except TypeError as error:
            if from_inside(error):
                raise
            given = [name + (str(k + 1) if count > 1 else "")
                     for name, count in (("x", self.count), ("y", n), ("y_bar", n)) for k in range(count)]
            raise TypeRefused(
                f"{self.word} cannot be called with the layer's inputs, its outputs and their cotangents: {error}; "
                f"write def backward(self, {', '.join([*given, *asked])})") from None
        return self._in_order(stated, wanted)

    def _in_order(self, stated: Any, wanted: Sequence[bool]) -> list[Any]:
        """What backward returned, as one cotangent for each input of the operation."""
        stage = self.stage
        fields, networks = [field for field, _ in stage.learnables], dict.fromkeys(part.field for part in stage.parts)
        states = [field for field, _ in stage.states] if STATE_BARS in self.asks else []
        bars = self._counted(stated, [*self.names[:self.count], *fields, *networks, *states])
        n = self.count + len(fields)
        found, its = bars[:n], dict(zip(networks, bars[n:], strict=False))
        for part in stage.parts:
            bar = its[part.field]
            keys = part.network._body.learnable_keys
            inner = dict.fromkeys(range(len(keys)))
            if bar is not None and part.place is not None:
                bar = bar[part.place]
            if bar is not None:
                if not isinstance(bar, Mapping):
                    raise TypeRefused(
                        f"{self.word} returned {type(bar).__name__} for the network {part.field}; return a Mapping "
                        f"{{(layer, parameter): cotangent}}, such as what dlgradient or vjp give for {part.field}."
                        "learnables, None where all are zero")
                inner.update(placed(bar, keys, f"the cotangent of {part.field} from {self.word}"))
            found += inner.values()
        found += bars[n + len(networks):]
        for name, want in zip(self.names[len(found):], wanted[len(found):], strict=True):
            if want:
                raise TraceError(
                    f"{self.word} says nothing of the state {name}, with respect to which is differentiated, at "
                    f"{line_of(user_site())}; "
                    + ("leave backward out" if STATE_BARS in self.asks else "give it a parameter state_bars, and let "
                       "it return the cotangent of each state after those of the learnables"))
        return [*found, *[None] * (len(self.names) - len(found))]


def called(stage: Stage, method: Callable[..., Any], xs: Sequence[dlarray],
           values: Sequence[dlarray]) -> tuple[Any, Layer]:
    """Run a layer as one operation: its outputs, and the copy that holds its new states."""
    return Call(stage, method, xs, values).result()
