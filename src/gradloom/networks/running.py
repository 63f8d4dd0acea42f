"""The body of a network of layers: its layers without their parameters, where each parameter is, and how they run."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import GradloomError, TypeRefused, UnknownName, line_of, user_site
from ..core.labels import described
from ..machine.dtypes import COMPLEX_OF, REAL_OF
from ..operations.elementwise.arithmetic import astype
from ..vocabulary.options import unknown_option
from .backward import called
from .graph import Graph, Source
from .layer import ALLOWED, LEARNABLE, Layer, copied, options_of, written
from .layout import Layout
from .parameters import Key, common_type
from .registry import CATALOGUE
from .settings import UNREGULARIZED, USUAL, Setting, Settings
from .summary import arrays_described

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

    def run(self, values: Sequence[Any], xs: tuple[Any, ...], training: bool) -> tuple[Any, Any]:
        """The layer's outputs (an array, or a tuple of several) and the copy that holds its new states."""
        method = self.forward if training else self.predict
        try:
            if self.own_backward:
                return called(self, method, xs, values)
            layer = self.bound(values)
            y = method(layer, *xs)
        except Exception as error:
            error.add_note(f"in the layer {self.name!r}, {self.layer!r}")
            raise
        return y if type(y) is dlarray else self.checked(y), layer

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


class LayerGraph:
    """A graph of layers as the body of a network."""

    __slots__ = ("dtype", "expected", "graph", "input_layouts", "learnable_keys", "stages", "state_keys", "unset")
    columns = ("Layer", "Kind", "Output", "Learnables")
    separator = "/"

    def __init__(self, stages: Sequence[Stage], graph: Graph, input_layouts: tuple[Layout, ...] | None = None,
                 dtype: torch.dtype = torch.float32):
        self.graph = graph
        self.stages = tuple(stages)
        self.input_layouts = input_layouts  # with a batch of 1, None where nobody said
        self.dtype = dtype  # of what is yet to be initialised
        self.unset = [text for stage in stages if (text := stage.unset)]
        first = graph.nodes[0]
        # how many arrays it takes; a chain whose first layer names one input takes what that layer takes
        told = not graph.chain or len(first.inputs) > 1 or hasattr(self.stages[0].layer, "layout")
        self.expected = len(graph.input_names) if told else None
        self.learnable_keys: tuple[Key, ...] = tuple(key for s in stages for key in s.learnable_keys)
        self.state_keys: tuple[Key, ...] = tuple(key for s in stages for key in s.state_keys)
        learnables = {key: k for k, key in enumerate(self.learnable_keys)}
        states = {key: k for k, key in enumerate(self.state_keys, start=len(learnables))}
        for stage in stages:
            stage.place(learnables, states)

    def runs(self) -> list[Any]:
        """Its layers, and what they hold: functions, networks."""
        held = [x for stage in self.stages for name, x in options_of(stage.layer).items() if name != "name"]
        return [*held, *[stage.layer for stage in self.stages]]

    def reads(self) -> list[tuple[str, Callable[[], Any]]]:
        """Nothing else."""
        return []

    def usual_setting(self, key: Key) -> Setting:
        """How training treats a learnable unless it is told otherwise."""
        name, _, inside = key[0].partition("/")
        return self.stages[self.graph.places[name]].usual_setting(inside, key[1])

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs that no edge leads to."""
        return self.graph.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs that no edge leaves."""
        return self.graph.output_names

    # ----- running -----

    def run(self, values: list[Any], xs: tuple[Any, ...], training: bool, wanted: str | Sequence[str] | None,
            stateful: bool, options: dict[str, Any]) -> tuple[Any, list[Any] | None]:
        """The outputs that are asked for, and new states. Inputs are cast to the type of the learnables."""
        if options:
            word, value = next(iter(options.items()))
            called = "net.forward" if training else "net.predict"
            said = unknown_option(called, word, value, ("outputs", "return_state"))
            raise TypeRefused(f"a network of layers has no option {word}=, at {line_of(user_site())}{said}; its "
                              "options are outputs= and return_state=")
        count = len(self.learnable_keys)
        dtype = common_type(values[:count])
        xs = tuple([_entering(x, dtype) for x in xs])
        if self.expected is not None and len(xs) != self.expected:
            names = self.graph.input_names
            raise TypeRefused("the network takes " + ("one array" if len(names) == 1 else f"{len(names)} inputs "
                                                      f"({', '.join(names)})")
                              + f", {len(xs)} {'was' if len(xs) == 1 else 'were'} given, at {line_of(user_site())}; "
                              + ("write net(x)" if len(names) == 1 else "give one array for each"))
        if self.unset:
            raise GradloomError(f"the network is not initialised, at {line_of(user_site())}: {', '.join(self.unset)}; "
                                "write net = net.initialize(), with example arrays where no input layer says the size")
        graph = self.graph
        values = values.copy() if stateful else values  # which take the new states
        if wanted is not None or not graph.chain:
            y = self._run_planned(values, xs, training, wanted, stateful)
            return y, values[count:] if stateful else None
        # quick way of a chain: each layer hands on all that it returns; the plain one is below
        for stage in self.stages:
            y, layer = stage.run(values, xs, training)
            if stateful:
                stage.leave(layer, values, 0)
            if type(y) is tuple:
                xs = tuple([_made(x._value, x._node, x._labels) for x in y])
            else:
                xs = (_made(y._value, y._node, y._labels),)
        return (xs[0] if len(xs) == 1 else xs), values[count:] if stateful else None

    def _run_planned(self, values: list[Any], xs: tuple[Any, ...], training: bool, wanted: Any,
                     stateful: bool) -> Any:
        """What each layer returns is kept until it was read for the last time; new states go into `values`."""
        stages, graph = self.stages, self.graph
        plan = graph.plan(wanted, stateful)
        results: list[Any] = [None] * len(stages) + [xs]  # at place -1 what enters
        for k, sources, forgotten in plan.steps:
            results[k], layer = stages[k].run(values, self._read(sources, results), training)
            if stateful:
                stages[k].leave(layer, values, 0)
            for j in forgotten:
                results[j] = None
        chosen = tuple([one_output(results[k], stages[k], which) for k, which in plan.returned])
        return chosen[0] if plan.single else chosen

    def tried(self, values: list[Any], xs: tuple[Any, ...], measured: Any) -> Iterator[tuple[Stage, Any, Any]]:
        """Each layer, what it returns and what `measured(run)` says of its run: all layers in use, in their order."""
        results: list[Any] = [None] * len(self.stages) + [xs]
        for k in self.graph.order:
            inputs = self._read(self.graph.sources[k], results)
            results[k], said = measured(lambda k=k, inputs=inputs: self.stages[k].run(values, inputs, False)[0])
            yield self.stages[k], results[k], said

    def _read(self, sources: Sequence[Source], results: Sequence[Any]) -> tuple[Any, ...]:
        """Fresh handles to what a layer reads."""
        read: list[Any] = []
        for k, which in sources:
            y = results[k]
            if which is not None and k >= 0:
                read.append(one_output(y, self.stages[k], which))
            elif which is not None:
                read.append(y[which])
            else:
                read += y if type(y) is tuple else (y,)
        return tuple([_made(x._value, x._node, x._labels) for x in read])

    def reset(self, values: list[Any]) -> list[Any]:
        """Each layer's own `reset_state`."""
        values = values.copy()
        for stage in self.stages:
            stage.reset(values)
        return values

    def layers(self, values: list[Any], settings: Settings) -> tuple[Layer, ...]:
        """The layers, with their names, their parameters and their settings."""
        return tuple(stage.complete(values, settings) for stage in self.stages)

    # ----- printing -----

    def picture(self, values: list[Any]) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
        """What `plot` draws: (name, kind, sizes of the output) of each layer, and who reads whom."""
        def size(stage: Stage) -> str:  # of one observation
            return ", ".join(" x ".join(f"{n}{label if label != 'U' else ''}" for n, label in zip(
                layout.shape, layout.labels or "U" * len(layout.shape), strict=True) if label != "B")
                for layout in stage.layouts or ())

        parts = [(stage.name, written(stage.layer, named=False), size(stage)) for stage in self.stages]
        return parts, [(a.partition("/")[0], b.partition("/")[0]) for a, b in self.graph.connections]

    def heading(self, values: list[Any]) -> str:
        """How many layers and numbers, and of which type."""
        count = len(self.stages)
        return (f"dlnetwork of {count} layer{'s' * (count != 1)}, "
                f"{arrays_described(values[:len(self.learnable_keys)])}")

    def rows(self, values: list[Any]) -> list[tuple[str, ...]]:
        """Each layer's name, how it is written, the sizes of its outputs and how many numbers it has."""
        counts: dict[str, int] = {}
        for (layer, _), x in zip(self.learnable_keys, values, strict=False):
            counts[layer] = counts.get(layer, 0) + (x.size if type(x) is dlarray else 0)
        return [(stage.name, written(stage.layer, named=False),
                 ", ".join(described(layout.shape, layout.labels) for layout in stage.layouts or ()),
                 f"{counts[stage.name]:,}" if stage.name in counts else "") for stage in self.stages]


def _entering(x: Any, dtype: torch.dtype | None) -> dlarray:
    """An input as a fresh handle in the type of the learnables; real stays real and complex complex."""
    if type(x) is not dlarray:
        if isinstance(x, str):
            raise TypeRefused(f"{x!r} is no array that enters the network, at {line_of(user_site())}; for the output "
                              f"of a layer write net.predict(x, outputs={x!r})")
        x = dlarray(x)
    its = x._value.dtype
    if dtype is None or its is dtype:
        return _made(x._value, x._node, x._labels)
    if its.is_complex != dtype.is_complex:
        dtype = COMPLEX_OF[dtype] if its.is_complex else REAL_OF[dtype]
    return astype(x, dtype)


def one_output(y: Any, stage: Stage, which: int | None) -> Any:
    """One output of a stage: the one that is asked for by its place among the names, or the only one."""
    count = len(y) if type(y) is tuple else 1
    names = stage.outputs
    if which is None and count > 1:
        raise UnknownName(
            f"the layer {stage.name!r} has {count} outputs, at {line_of(user_site())}; write one of "
            f"{', '.join(f'{stage.name}/{name}' for name in names)}")
    if which is not None and which >= count:
        raise GradloomError(
            f"the layer {stage.name!r} returned {count} output{'s' * (count != 1)} and names {len(names)}; give it as "
            "many output_names as it returns")
    y = y[which or 0] if type(y) is tuple else y
    return _made(y._value, y._node, y._labels)


__all__ = ["LayerGraph", "Stage", "Values", "kind_of", "one_output"]
