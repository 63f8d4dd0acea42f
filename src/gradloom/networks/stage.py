"""One layer in its place in a network, without its parameters: how it is filled with them, and run."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.array import dlarray
from ..core.errors import TypeRefused, line_of, user_site
from .backward import called
from .layer import ALLOWED, LEARNABLE, Layer, copied, options_of
from .layout import Layout
from .masks import Mask, left_by, takes_mask
from .parameters import Key
from .registry import CATALOGUE
from .settings import UNREGULARIZED, USUAL, Setting, Settings

_new = object.__new__
_made = dlarray._made
Values = Sequence[Any] | Mapping[int, Any]  # of a network's parameters by their places: all, or those that are read


class Stage:
    """One layer in its place in the network, without its parameters."""

    __slots__ = ("forward", "initialized", "kind", "layer", "layouts", "learnables", "name", "options", "outputs",
                 "own_backward", "parameters", "predict", "states")

    parts: Sequence[Any] = ()  # the networks that it holds

    def __init__(self, layer: Layer, name: str, learnables: Sequence[str], states: Sequence[str],
                 layouts: Sequence[Layout] | None, initialized: bool = True):
        kind = type(layer)
        self.kind = kind
        self.name = name
        self.options = {**options_of(layer), "name": name}
        self.layer = copied(layer, self.options, ())
        self.layouts = layouts  # of its outputs, None where it was never run
        self.outputs = tuple(layer.output_names)
        self.initialized = initialized
        self.learnables: list[tuple[str, int]] = [(field, -1) for field in learnables]
        self.states: list[tuple[str, int]] = [(field, -1) for field in states]
        self.parameters: list[tuple[str, int]] = []
        self.predict = kind.predict
        self.forward = kind.forward if kind.forward is not Layer.forward else kind.predict
        self.own_backward = hasattr(kind, "backward")

    @property
    def learnable_keys(self) -> list[Key]:
        """What its learnables are called in the network."""
        return [(self.name, field) for field, _ in self.learnables]

    @property
    def state_keys(self) -> list[Key]:
        """What its states are called in the network."""
        return [(self.name, field) for field, _ in self.states]

    @property
    def unset(self) -> str:
        """What is not initialised, for a message; "" where there is nothing."""
        if self.initialized:
            return ""
        there = {field for field, _ in (*self.learnables, *self.states)}
        fields = [field for field in self.kind.roles if field not in there]
        return f"{self.name} ({', '.join(fields)})" if fields else self.name

    def values(self, layer: Layer, role: str) -> list[Any]:
        """The learnables or the states of a layer that is as this one, in the order of their keys."""
        return [getattr(layer, field) for field, _ in (self.learnables if role == LEARNABLE else self.states)]

    @property
    def learnable_places(self) -> list[int]:
        """Where its learnables are among all of the network's parameters."""
        return [k for _, k in self.learnables]

    @property
    def state_places(self) -> list[int]:
        """Where its states are."""
        return [k for _, k in self.states]

    @property
    def parameter_names(self) -> list[str]:
        """What its learnables, then its states, are called inside of it."""
        return ["/".join([*layer.split("/")[1:], parameter])
                for layer, parameter in (*self.learnable_keys, *self.state_keys)]

    def place(self, learnables: dict[Key, int], states: dict[Key, int]) -> None:
        """Learn where this layer's parameters are among all of the network's."""
        self.learnables = [(field, learnables[self.name, field]) for field, _ in self.learnables]
        self.states = [(field, states[self.name, field]) for field, _ in self.states]
        self.parameters = [*self.learnables, *self.states]
        self.options = {**self.options, **{field: None for field in self.kind.roles},
                        ALLOWED: frozenset(field for field, _ in self.states)}
        self.layer = copied(self.layer, self.options, self.options[ALLOWED])

    def bound(self, values: Values) -> Any:
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

    def run(self, values: Sequence[Any], xs: tuple[Any, ...], training: bool,
            **told: Any) -> tuple[Any, Any]:
        """The layer's outputs (an array, or a tuple of several) and the copy that holds its new states. What it is
        `told` besides are masks."""
        method = self.forward if training else self.predict
        try:
            if self.own_backward:
                return called(self, method, xs, values)
            layer = self.bound(values)
            y = method(layer, *xs, **told)
        except Exception as error:
            error.add_note(f"in the layer {self.name!r}, {self.layer!r}")
            raise
        return y if type(y) is dlarray else self.checked(y), layer

    def run_masked(self, values: Sequence[Any], xs: tuple[Any, ...], masks: tuple[Mask, ...],
                   training: bool) -> tuple[Any, Any, tuple[Mask, ...]]:
        """`run` where some steps of the inputs are padding, and which steps of the outputs are there."""
        mask: Any = masks[0] if len(masks) == 1 else masks
        hides = any(one is not None for one in masks)
        told = hides and takes_mask(self.forward if training else self.predict)
        if told and self.own_backward:
            raise TypeRefused(
                f"the layer {self.name!r} ({self.kind.__name__}) has its own backward, and takes a mask, at "
                f"{line_of(user_site())}; make the mask one of its input_names")
        y, layer = self.run(values, xs, training, **({"mask": mask} if told else {}))
        ys = y if type(y) is tuple else (y,)
        if not hides:
            return y, layer, (None,) * len(ys)
        left = layer.output_mask(mask, y)
        its = left if type(left) is tuple else (left,) * len(ys)
        return y, layer, tuple([left_by(self, one, part, told) for one, part in zip(its, ys, strict=True)])

    def leave(self, layer: Any, states: list[Any] | dict[int, Any], offset: int) -> None:
        """Put the states that a call has left in a layer into their places in a list that begins at `offset`."""
        for field, k in self.states:
            value = layer.__dict__[field]
            states[k - offset] = value if type(value) is dlarray else dlarray(value)

    def usual_setting(self, inside: str, field: str) -> Setting:
        """How training treats a learnable unless it is told otherwise: as in MATLAB, the catalogue's biases are not
        regularized. `inside` is where it is in a nested network."""
        if field == "bias" and any(CATALOGUE.get(c.__name__) is c for c in self.kind.__mro__):
            return UNREGULARIZED
        return USUAL

    def reset(self, values: list[Any]) -> None:
        """Put the states that it starts from into their places."""
        layer = self.bound(values)
        layer.reset_state()
        self.leave(layer, values, 0)

    def checked(self, y: Any) -> Any:
        """What a layer returned: a dlarray or a tuple of them."""
        if isinstance(y, dlarray):
            return y
        if isinstance(y, (tuple, list)) and len(y) and all(isinstance(part, dlarray) for part in y):
            return tuple(y)
        raise TypeRefused(
            f"the layer {self.name!r} ({self.kind.__name__}) returned {kind_of(y)}; return a dlarray (or a tuple of "
            "them) that is computed from its inputs")

    def complete(self, values: Sequence[Any], settings: Settings) -> Layer:
        """The layer with its parameters, as the caller sees it; a network in it has its part of the settings."""
        return copied(self.layer, {field: _made(values[k]._value, values[k]._node, values[k]._labels)
                                   for field, k in self.parameters})


def kind_of(y: Any) -> str:
    """What a layer returned, for a message."""
    if isinstance(y, (tuple, list)):
        return f"a {type(y).__name__} of {', '.join(type(part).__name__ for part in y) or 'nothing'}"
    return f"{type(y).__name__}" if y is not None else "None"


__all__ = ["Stage", "Values", "kind_of"]
