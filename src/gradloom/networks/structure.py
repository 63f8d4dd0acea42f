"""What of a network does not change from step to step: its layers without their parameters, names, and where each parameter is."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.array import dlarray
from ..core.errors import GradloomError, TypeRefused, line_of, user_site
from ..vocabulary.misspelled import nearest
from .backward import called
from .layer import ALLOWED, Layer, Layout, copied, options_of
from .learnables import Key, UnknownName

_new = object.__new__
_made = dlarray._made


class Stage:
    """One layer in its place in the network."""

    __slots__ = ("forward", "kind", "layer", "layouts", "learnables", "name", "options", "own_backward",
                 "parameters", "predict", "states")

    def __init__(self, layer: Layer, name: str, learnables: Sequence[str], states: Sequence[str],
                 layouts: Sequence[Layout] | None):
        kind = type(layer)
        self.kind = kind
        self.name = name
        self.options = {**options_of(layer), "name": name}
        self.layer = copied(layer, self.options, ())
        self.layouts = layouts  # of its outputs, None where it was never run
        self.learnables: list[tuple[str, int]] = [(field, -1) for field in learnables]
        self.states: list[tuple[str, int]] = [(field, -1) for field in states]
        self.parameters: list[tuple[str, int]] = []
        self.predict = kind.predict
        self.forward = kind.forward if kind.forward is not Layer.forward else kind.predict
        self.own_backward = hasattr(kind, "backward")

    def place(self, learnables: dict[Key, int], states: dict[Key, int]) -> None:
        """Learn where this layer's parameters are among all of the network's."""
        self.learnables = [(field, learnables[self.name, field]) for field, _ in self.learnables]
        self.states = [(field, states[self.name, field]) for field, _ in self.states]
        self.parameters = [*self.learnables, *self.states]
        self.options = {**self.options, **{field: None for field in self.kind.roles},
                        ALLOWED: frozenset(field for field, _ in self.states)}
        self.layer = copied(self.layer, self.options, self.options[ALLOWED])

    def bound(self, values: Sequence[Any]) -> Any:
        """The layer with its parameters, as one call sees it: fresh handles, in a copy of its own."""
        if not self.parameters:
            return self.layer
        made = _new(self.kind)
        fields = made.__dict__
        fields.update(self.options)
        for field, k in self.parameters:
            x = values[k]
            fields[field] = _made(x._value, x._node, x._labels)
        return made

    def run(self, values: Sequence[Any], xs: tuple[Any, ...], training: bool) -> tuple[Any, Any]:
        """The layer's outputs (an array, or a tuple of several) and the copy that holds its new states."""
        layer = self.bound(values)
        method = self.forward if training else self.predict
        try:
            if self.own_backward:
                fields = [field for field, _ in self.learnables]
                return called(layer, method, xs, fields, [layer.__dict__[f] for f in fields], self.checked)
            y = method(layer, *xs)
        except Exception as error:
            error.add_note(f"in the layer {self.name!r}, {self.layer!r}")
            raise
        return y if type(y) is dlarray else self.checked(y), layer

    def checked(self, y: Any) -> Any:
        """What a layer returned: a dlarray or a tuple of them."""
        if isinstance(y, dlarray):
            return y
        if isinstance(y, (tuple, list)) and len(y) and all(isinstance(part, dlarray) for part in y):
            return tuple(y)
        raise TypeRefused(
            f"the layer {self.name!r} ({self.kind.__name__}) returned {kind_of(y)}; return a dlarray (or a tuple of them) "
                          "that is computed from its inputs")

    def complete(self, values: Sequence[Any]) -> Layer:
        """The layer with its parameters, as the caller sees it."""
        return copied(self.layer, {field: _made(values[k]._value, values[k]._node, values[k]._labels)
                                   for field, k in self.parameters})


def kind_of(y: Any) -> str:
    """What a layer returned, for a message."""
    if isinstance(y, (tuple, list)):
        return f"a {type(y).__name__} of {', '.join(type(part).__name__ for part in y) or 'nothing'}"
    return f"{type(y).__name__}" if y is not None else "None"


class Structure:
    """The stages of a network and the order of its parameters: first all learnables, then all states."""

    __slots__ = ("_chosen", "input_layouts", "keys", "learnable_keys", "places", "stages", "state_keys")

    def __init__(self, stages: Sequence[Stage], input_layouts: Sequence[Layout] | None):
        self.stages = tuple(stages)
        self.input_layouts = input_layouts
        self.learnable_keys: tuple[Key, ...] = tuple((s.name, f) for s in stages for f, _ in s.learnables)
        self.state_keys: tuple[Key, ...] = tuple((s.name, f) for s in stages for f, _ in s.states)
        self.keys = self.learnable_keys + self.state_keys
        learnables = {key: k for k, key in enumerate(self.learnable_keys)}
        states = {key: k for k, key in enumerate(self.state_keys, start=len(learnables))}
        for stage in stages:
            stage.place(learnables, states)
        self.places = {stage.name: k for k, stage in enumerate(stages)}
        self._chosen: dict[Any, list[tuple[int, int | None]]] = {}

    def chosen(self, outputs: str | tuple[str, ...]) -> list[tuple[int, int | None]]:
        """(stage, which of its outputs) for each name that is asked for."""
        found = self._chosen.get(outputs)
        if found is None:
            names = (outputs,) if isinstance(outputs, str) else outputs
            found = self._chosen[outputs] = [self._output(name) for name in names]
        return found

    def _output(self, name: Any) -> tuple[int, int | None]:
        if not isinstance(name, str):
            raise TypeRefused(
                f"outputs are names of layers, not {name!r}, at {line_of(user_site())}; write outputs=[\"relu\", \"fc\"]")
        layer, _, output = name.partition("/")
        if layer not in self.places:
            raise UnknownName(
                f"no layer {layer!r} in this network{nearest(layer, self.places)}, at {line_of(user_site())}; "
                              f"its layers are {', '.join(self.places)}")
        k = self.places[layer]
        names = self.stages[k].kind.output_names
        if not output:
            return k, None
        if output not in names:
            raise UnknownName(
                f"the layer {layer!r} has no output {output!r}{nearest(output, names)}, at {line_of(user_site())}; "
                              f"its outputs are {', '.join(names)}")
        return k, names.index(output)


def one_output(y: Any, stage: Stage, which: int | None) -> Any:
    """The output of a stage that was asked for by name."""
    if not isinstance(y, tuple):
        return _made(y._value, y._node, y._labels)
    if which is None:
        names = ", ".join(f"{stage.name}/{name}" for name in stage.kind.output_names)
        raise UnknownName(
            f"the layer {stage.name!r} has {len(y)} outputs, at {line_of(user_site())}; write one of {names}")
    if which >= len(y):
        raise GradloomError(
            f"the layer {stage.name!r} returned {len(y)} outputs and names {len(stage.kind.output_names)}; "
                            "give it as many output_names as it returns")
    return y[which]


__all__ = ["Stage", "Structure", "kind_of", "one_output"]
