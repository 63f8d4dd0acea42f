"""Networks in layers, and layers that share the parameters of another: their places among the parameters of the network
that they are in.

A network in a field of a layer "block" has its parameters as ("block/conv1", "weights"); where a layer has several, the
name of the field (and the place in its list) stands between: ("block/experts/0/fc", "weights").
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..core.errors import TypeRefused, line_of, user_site
from ..machine.dtypes import COMPLEX_OF, differentiable
from .body import WithBody, filled, refilled
from .layer import ALLOWED, LEARNABLE, STATE, Layer, copied
from .layout import Layout
from .parameters import Key
from .settings import Setting, Settings
from .stage import Stage, Values


@dataclass(frozen=True)
class Part:
    """A network in a layer: in which field, at which place of it (None: the field is the network), and its path."""

    field: str
    place: Any
    path: str
    network: Any


def networks_in(layer: Layer) -> list[Part]:
    """The networks that the fields of a layer hold, alone or in a list, a tuple or a dict."""
    found = []
    for f in dataclasses.fields(layer):  # type: ignore[arg-type]
        value = None if f.name in layer.roles else getattr(layer, f.name, None)
        if isinstance(value, WithBody):
            found.append(Part(f.name, None, f.name, value))
        elif isinstance(value, (list, tuple, dict)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            found += [Part(f.name, place, f"{f.name}/{place}", one) for place, one in items
                      if isinstance(one, WithBody)]
    return [dataclasses.replace(found[0], path="")] if len(found) == 1 else found


def with_networks(layer: Layer, networks: Sequence[tuple[Part, Any]]) -> dict[str, Any]:
    """The fields of a layer with other networks in their places."""
    fields: dict[str, Any] = {}
    for part, network in networks:
        if part.place is None:
            fields[part.field] = network
            continue
        if part.field not in fields:
            its = layer.__dict__[part.field]
            fields[part.field] = dict(its) if isinstance(its, dict) else list(its)
        fields[part.field][part.place] = network
    return {name: tuple(value) if isinstance(layer.__dict__[name], tuple) else value for name, value in fields.items()}


def assignable(layer: Layer) -> list[str]:
    """The fields that may take another network, while the layer is initialised or in a call: those that hold some, or
    nothing yet."""
    held = {part.field for part in networks_in(layer)}
    return [f.name for f in dataclasses.fields(layer)  # type: ignore[arg-type]
            if f.name in held or f.name not in ("name", *layer.roles) and getattr(layer, f.name, None) is None]


def in_type(layer: Any, dtype: torch.dtype, kept: bool) -> Any:
    """The layer with the parameters of its networks in a type, unless they are kept as they are."""
    parts = [] if kept else networks_in(layer)
    return copied(layer, with_networks(layer, [(part, _in_type(part.network, dtype)) for part in parts]))


def _in_type(network: Any, dtype: torch.dtype) -> Any:
    def cast(x: Any) -> Any:
        its = x._value.dtype
        if not differentiable(its) or its in (dtype, COMPLEX_OF[dtype]):
            return x
        return x._made(x._value.to(COMPLEX_OF[dtype] if its.is_complex else dtype), None, x._labels)

    return refilled(network, [cast(x) for x in network._values])


class NestedStage(Stage):
    """A layer that holds networks, in its place in a network."""

    __slots__ = ("parts", "places")

    def __init__(self, layer: Layer, name: str, learnables: Sequence[str], states: Sequence[str],
                 layouts: Sequence[Layout] | None, initialized: bool = True):
        super().__init__(layer, name, learnables, states, layouts, initialized)
        # the networks without their values
        self.parts = [dataclasses.replace(part, network=refilled(part.network, [])) for part in networks_in(layer)]
        self.places: list[list[int]] = [[] for _ in self.parts]

    def _keys(self, part: Part, keys: Sequence[Key]) -> list[Key]:
        return [("/".join(x for x in (self.name, part.path, layer) if x), parameter) for layer, parameter in keys]

    @property
    def learnable_keys(self) -> list[Key]:
        return [*super().learnable_keys, *[key for part in self.parts
                                           for key in self._keys(part, part.network._body.learnable_keys)]]

    @property
    def state_keys(self) -> list[Key]:
        return [*super().state_keys, *[key for part in self.parts
                                       for key in self._keys(part, part.network._body.state_keys)]]

    @property
    def learnable_places(self) -> list[int]:
        return [*super().learnable_places, *[k for part, places in zip(self.parts, self.places, strict=True)
                                             for k in places[:len(part.network._body.learnable_keys)]]]

    @property
    def state_places(self) -> list[int]:
        return [*super().state_places, *[k for part, places in zip(self.parts, self.places, strict=True)
                                         for k in places[len(part.network._body.learnable_keys):]]]

    @property
    def unset(self) -> str:
        its = [] if self.initialized else [self.name]
        return ", ".join([*its, *["/".join(x for x in (self.name, part.path, text) if x) for part in self.parts
                                  for text in getattr(part.network._body, "unset", ())]])

    def usual_setting(self, inside: str, field: str) -> Setting:
        for part in self.parts:
            if inside and (inside + "/").startswith(part.path + "/" if part.path else ""):
                return part.network._settings[inside[len(part.path) + 1:] if part.path else inside, field]
        return super().usual_setting(inside, field)

    def values(self, layer: Layer, role: str) -> list[Any]:
        found = super().values(layer, role)
        for part in networks_in(layer):
            count = len(part.network._body.learnable_keys)
            found += part.network._values[:count] if role == LEARNABLE else part.network._values[count:]
        return found

    def place(self, learnables: dict[Key, int], states: dict[Key, int]) -> None:
        super().place(learnables, states)
        self.places = [[*[learnables[key] for key in self._keys(part, part.network._body.learnable_keys)],
                        *[states[key] for key in self._keys(part, part.network._body.state_keys)]]
                       for part in self.parts]
        self.options = {**self.options, **with_networks(self.layer, [(part, part.network) for part in self.parts]),
                        ALLOWED: self.options[ALLOWED] | {part.field for part in self.parts}}
        self.layer = copied(self.layer, self.options, self.options[ALLOWED])

    def bound(self, values: Values) -> Any:
        made = super().bound(values)
        if made is self.layer:
            made = copied(self.layer, {}, self.options[ALLOWED])
        made.__dict__.update(self._filled(values))
        return made

    def _filled(self, values: Values) -> dict[str, Any]:
        return with_networks(self.layer, [
            (part, refilled(part.network, [x._made(x._value, x._node, x._labels) for x in [values[k] for k in places]]))
            for part, places in zip(self.parts, self.places, strict=True)])

    def _network(self, layer: Any, part: Part) -> Any:
        its = layer.__dict__[part.field]
        return its if part.place is None else its[part.place]

    def leave(self, layer: Any, states: list[Any] | dict[int, Any], offset: int) -> None:
        super().leave(layer, states, offset)
        for part, places in zip(self.parts, self.places, strict=True):
            network = self._network(layer, part)
            if not isinstance(network, WithBody) or network._body is not part.network._body:
                raise TypeRefused(
                    f"the layer {self.name!r} assigned another network to {part.field}, at {line_of(user_site())}; "
                    f"assign self.{part.field}.replace(state=state), with the state that its call returned")
            count = len(network._body.learnable_keys)
            for k, x in zip(places[count:], network._values[count:], strict=True):
                states[k - offset] = x

    def reset(self, values: list[Any]) -> None:
        layer = self.bound(values)
        layer.__dict__.update(with_networks(layer, [
            (part, self._network(layer, part).reset_state()) for part in self.parts]))
        layer.reset_state()
        self.leave(layer, values, 0)

    def complete(self, values: Sequence[Any], settings: Settings) -> Layer:
        made = copied(super().complete(values, settings), self._filled(values))
        its = []
        for part in networks_in(made):
            body = part.network._body
            keys = zip(body.learnable_keys, self._keys(part, body.learnable_keys), strict=True)
            its.append((part, filled(type(part.network), body, part.network._values,
                                     Settings(body.learnable_keys, {inner: settings[key] for inner, key in keys}))))
        return copied(made, with_networks(made, its))  # type: ignore[no-any-return]


class SharedStage(Stage):
    """A layer that runs another, with that one's parameters and states, in its place in a network."""

    __slots__ = ("shared",)

    def __init__(self, layer: Layer, name: str, shared: Stage, layouts: Sequence[Layout] | None):
        super().__init__(layer, name, (), (), layouts)
        self.shared = shared
        self.outputs = shared.outputs

    def run(self, values: Sequence[Any], xs: tuple[Any, ...], training: bool, **told: Any) -> tuple[Any, Any]:
        return self.shared.run(values, xs, training, **told)

    def run_masked(self, values: Sequence[Any], xs: tuple[Any, ...], masks: Any,
                   training: bool) -> tuple[Any, Any, Any]:
        return self.shared.run_masked(values, xs, masks, training)

    def leave(self, layer: Any, states: list[Any] | dict[int, Any], offset: int) -> None:
        self.shared.leave(layer, states, offset)

    def reset(self, values: list[Any]) -> None:
        """The layer that is shared does it."""


def stage_of(layer: Layer, name: str, layouts: Sequence[Layout] | None, initialized: bool = True) -> Stage:
    """A layer with its parameters in its place in a network."""
    learnables, states = ([f for f, r in layer.roles.items() if r == role and getattr(layer, f) is not None]
                          for role in (LEARNABLE, STATE))
    kind = NestedStage if networks_in(layer) else Stage
    return kind(layer, name, learnables, states, layouts, initialized)


__all__ = ["NestedStage", "SharedStage", "assignable", "in_type", "networks_in", "stage_of"]
