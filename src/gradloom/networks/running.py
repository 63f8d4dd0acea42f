"""The body of a network of layers: its layers without their parameters, where each parameter is, and how they run."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..acceleration.accelerated import AcceleratedFunction
from ..core.array import dlarray
from ..core.errors import GradloomError, TypeRefused, UnknownName, line_of, user_site
from ..core.labels import described
from ..machine.dtypes import COMPLEX_OF, REAL_OF
from ..operations.elementwise.arithmetic import astype
from ..vocabulary.options import unknown_option
from .body import WithBody
from .graph import Graph, Source
from .layer import Layer, options_of, written
from .layout import Layout
from .masks import Mask, entering
from .parameters import Key, common_type
from .settings import Setting, Settings
from .stage import Stage
from .summary import arrays_described

_made = dlarray._made


class LayerGraph:
    """A graph of layers as the body of a network."""

    __slots__ = ("dtype", "expected", "fast", "graph", "input_layouts", "learnable_keys", "stages", "state_keys",
                 "unset")
    columns = ("Layer", "Kind", "Output", "Learnables")
    separator = "/"
    takes_masks = True

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

    def replayed(self) -> AcceleratedFunction:
        """What predicts with a network of it, in calls that are replayed."""
        fast: AcceleratedFunction | None = getattr(self, "fast", None)
        if fast is None:
            fast = self.fast = AcceleratedFunction(predict, "replay", quiet=True)
        return fast

    def __getstate__(self) -> Any:
        """Without the recordings."""
        return None, {name: getattr(self, name) for name in self.__slots__ if name != "fast"}

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
        mask = options.pop("mask", None)
        if options:
            word, value = next(iter(options.items()))
            called = "net.forward" if training else "net.predict"
            said = unknown_option(called, word, value, ("outputs", "return_state", "mask"))
            raise TypeRefused(f"a network of layers has no option {word}=, at {line_of(user_site())}{said}; its "
                              "options are outputs=, return_state= and mask=")
        y, states, _ = self.run_masked(values, xs, mask, training, wanted, stateful)
        return y, states

    def run_masked(self, values: list[Any], xs: tuple[Any, ...], mask: Any, training: bool,
                   wanted: str | Sequence[str] | None = None,
                   stateful: bool = False) -> tuple[Any, list[Any] | None, Any]:
        """Outputs, new states, and the mask of each output (None: no step of any is padding)."""
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
        masks = None if mask is None else entering(mask, xs, graph.input_names)
        if wanted is not None or not graph.chain or masks is not None:
            y, left = self._run_planned(values, xs, masks, training, wanted, stateful)
            return y, values[count:] if stateful else None, left
        # quick way of a chain: each layer hands on all that it returns; the plain one is below
        for stage in self.stages:
            y, layer = stage.run(values, xs, training)
            if stateful:
                stage.leave(layer, values, 0)
            if type(y) is tuple:
                xs = tuple([_made(x._value, x._node, x._labels) for x in y])
            else:
                xs = (_made(y._value, y._node, y._labels),)
        return (xs[0] if len(xs) == 1 else xs), values[count:] if stateful else None, None

    def _run_planned(self, values: list[Any], xs: tuple[Any, ...], masks: tuple[Mask, ...] | None, training: bool,
                     wanted: Any, stateful: bool) -> tuple[Any, Any]:
        """What each layer returns is kept until it was read for the last time; new states go into `values`."""
        stages, graph = self.stages, self.graph
        plan = graph.plan(wanted, stateful)
        results: list[Any] = [None] * len(stages) + [xs]  # at place -1 what enters
        left: list[Any] = [None] * len(stages) + [masks]
        for k, sources, forgotten in plan.steps:
            inputs = self._read(sources, results)
            if masks is None:
                results[k], layer = stages[k].run(values, inputs, training)
            else:
                results[k], layer, left[k] = stages[k].run_masked(values, inputs, _masks_of(sources, left), training)
            if stateful:
                stages[k].leave(layer, values, 0)
            for j in forgotten:
                results[j] = None
        if wanted is None and graph.chain:  # all that the last layer returns
            return results[len(stages) - 1], left[len(stages) - 1]
        chosen = tuple([one_output(results[k], stages[k], which) for k, which in plan.returned])
        return chosen[0] if plan.single else chosen, _masks_of(plan.returned, left) if masks is not None else None

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


def predict(net: WithBody, *xs: dlarray, outputs: Any = None) -> Any:
    """The outputs of a network in use."""
    return net._body.run(net._values, xs, False, outputs, False, {})[0]


def _masks_of(sources: Sequence[Source], left: Sequence[Any]) -> tuple[Mask, ...]:
    """The masks of what a layer reads."""
    found: list[Mask] = []
    for k, which in sources:
        found += left[k] if which is None else (left[k][which],)
    return tuple(found)


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


__all__ = ["LayerGraph", "one_output"]
