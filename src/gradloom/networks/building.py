"""Making a network: names for its layers, and parameters from the layouts that reach them."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import GradloomError, ShapeError, TypeRefused, line_of, user_site
from ..core.options import dtype_asked
from ..machine.dtypes import COMPLEX_OF, differentiable
from ..vocabulary.misspelled import nearest
from .backward import parted
from .body import WithBody
from .graph import Graph, Node, Source, ill_formed
from .layer import LEARNABLE, STATE, Layer, copied, written
from .layout import Layout, layout_of
from .nested import SharedStage, assignable, in_type, networks_in, stage_of
from .parameters import common_type
from .registry import CATALOGUE
from .running import LayerGraph
from .settings import Settings
from .stage import kind_of


def construct(layers: Any, examples: Sequence[Any], dtype: Any, edges: Iterable[tuple[str, str]] | None = None,
              outputs: Sequence[str] | str | None = None,
              initialize: bool = True) -> tuple[LayerGraph, list[Any], Settings]:
    """The body of a network of layers, the values of its parameters, learnables first, and their settings: a chain, or
    a graph of chains with edges such as ("relu1", "add/in2").
    """
    dtype = dtype_asked(dtype)
    if not dtype.is_floating_point:
        raise TypeRefused(
            f"the parameters of a network are floating numbers, not {str(dtype)[6:]}{_here()}; write dtype=\"float32\"")
    layers, chains = flattened(layers)
    faults: list[str] = []
    plain = chains is None and edges is None and outputs is None
    layers = checked_layers(layers, plain)
    names = unique_names(layers, None if plain else faults)
    nodes = nodes_of(layers, names, faults)
    if not plain:
        given = list(edges or ())
        edges = [*chain_edges(layers, nodes, chains or _between_inputs(layers), given, faults), *given]
        outputs = (outputs,) if isinstance(outputs, str) else outputs
    graph = Graph(nodes, edges, outputs, faults)
    return assembled([copied(layer, {"name": name}) for layer, name in zip(layers, names, strict=True)],
                     as_chain(graph), examples, dtype, initialize, faults)


def flattened(layers: Any) -> tuple[Any, list[range] | None]:
    """Layers one after the other, and where each chain among them stands: None where there is but the list itself."""
    if not isinstance(layers, (list, tuple)) or not any(isinstance(part, (list, tuple)) for part in layers):
        return layers, None
    flat: list[Any] = []
    chains = []
    for part in layers:
        its = part if isinstance(part, (list, tuple)) else [part]
        chains.append(range(len(flat), len(flat) + len(its)))
        flat += its
    return flat, chains


def _between_inputs(layers: Sequence[Layer]) -> list[range]:
    """The chains of one list: an input layer begins another."""
    starts = [k for k, layer in enumerate(layers) if k and is_input(layer)]
    return [range(a, b) for a, b in zip([0, *starts], [*starts, len(layers)], strict=True)]


def nodes_of(layers: Sequence[Layer], names: Sequence[str], faults: list[str]) -> list[Node]:
    """The place of each layer in a graph; a shared layer has the inputs and outputs of the one whose parameters it
    has."""
    known = dict(zip(names, layers, strict=True))
    nodes = []
    for layer, name in zip(layers, names, strict=True):
        its: Any = layer
        if (shares := getattr(layer, "shares", None)) is not None:
            its = known.get(shares)
            if its is None or getattr(its, "shares", None) is not None:
                said = (nearest(shares, [n for n in names if n != name]) if its is None
                        else f", which shares {its.shares!r} itself: write that")  # type: ignore[attr-defined]
                faults.append(f"the layer {name!r} shares the layer {shares!r}"
                              + (f", which is not there{said}" if its is None else said))
                its = layer
        nodes.append(Node(name, tuple(its.input_names), tuple(its.output_names)))
    return nodes


def chain_edges(layers: Sequence[Layer], nodes: Sequence[Node], chains: Sequence[range],
                edges: Sequence[Any], faults: list[str]) -> list[tuple[str, str]]:
    """The edges inside of chains: outputs to inputs by their places, where no edge that is given leads there."""
    given = {edge[1] for edge in edges if isinstance(edge, (tuple, list)) and len(edge) == 2}
    found = []
    for chain in chains:
        for k in chain[1:]:
            if is_input(layers[k]):
                faults.append(f"{nodes[k].name!r} is an input layer ({type(layers[k]).__name__}); it can only be the "
                              "first of a chain")
                continue
            source, target = nodes[k - 1], nodes[k]
            for o, i in zip(range(len(source.outputs)), range(len(target.inputs)), strict=False):
                end = target.called(target.inputs, i)
                if end not in given:
                    found.append((source.called(source.outputs, o), end))
    return found


def as_chain(graph: Graph) -> Graph:
    """The graph, as a chain where it is one: each layer reads the one before and nothing else."""
    n = len(graph.nodes)
    if (not graph.chain and graph.sources == [((k - 1, 0),) for k in range(n)] and graph.returned == ((n - 1, 0),)
        and all(len(node.outputs) == 1 for node in graph.nodes)):
        return Graph(graph.nodes)
    return graph


def assembled(layers: Sequence[Layer], graph: Graph, examples: Sequence[Any], dtype: torch.dtype, initialize: bool,
              faults: list[str], kept: Mapping[str, bool] | None = None,
              known: Settings | None = None) -> tuple[LayerGraph, list[Any], Settings]:
    """A body of named layers in a graph, its values and settings; all that is wrong is one error.

    `kept` are layers that a network has already, whose parameters stay as they are, and whether they are initialised;
    `known` are its settings.
    """
    kept = kept or {}
    entering = None
    if initialize:
        try:
            entering = first_inputs(layers, graph, examples, dtype, faults)
        except GradloomError:
            if not faults:
                raise
    # at places -1 (ENTERING) and -2 (NOWHERE) what enters, and nothing; None where nobody knows
    results: list[Any] = [None] * (len(layers) + 1) + [entering]
    made: dict[int, Layer] = {}
    complete, raised = dict(kept), []
    for k in graph.order:
        name = graph.nodes[k].name
        own = graph.places.get(getattr(layers[k], "shares", None) or name, k)
        owner = layers[own].name
        assert owner is not None
        inputs = inputs_of(graph.sources[k], results)
        try:
            if own not in made or inputs is not None and not complete[owner]:
                made[own] = initialized(layers[own], owner, inputs, dtype, owner in kept)
                complete[owner] = (kept.get(owner, False) or inputs is not None or not needs_size(layers[own]))
            results[k] = None if inputs is None else outputs_of(made[own], name, inputs)
        except Exception as error:
            if not initialize:
                raise
            raised.append((name, error))
            made.setdefault(own, layers[own])
            complete.setdefault(owner, False)
        node, before = graph.nodes[k], results[k - 1] if graph.chain and k else None
        if before is not None and 1 < len(node.inputs) != len(before):
            faults += [f"nothing leads into {node.called(node.inputs, i)!r}"
                       for i in range(len(before), len(node.inputs))]
    if len(raised) == 1 and not faults:
        raise raised[0][1]
    if raised or faults:
        raise ill_formed([*faults, *[f"the layer {name!r}: {error}" for name, error in raised]]) from (
            raised[0][1] if raised else None)
    layouts = [None if y is None else tuple(layout_of(x) for x in y) for y in results[:len(layers)]]
    body, values = bodied([made.get(k, layer) for k, layer in enumerate(layers)], graph, layouts, complete,
                          None if entering is None else tuple(layout_of(x) for x in entering), dtype)
    settings = (known or Settings((), {})).for_keys(body.learnable_keys, body.usual_setting,
                                                    lambda key: key[0].partition("/")[0] in kept)
    return body, values, settings


def bodied(layers: Sequence[Layer], graph: Graph, layouts: Sequence[Any], complete: Mapping[str, bool],
           entering: tuple[Layout, ...] | None, dtype: torch.dtype) -> tuple[LayerGraph, list[Any]]:
    """The body of layers with their parameters, and their values."""
    stages: list[Any] = [None] * len(layers)
    for shared in (False, True):  # those that share come after those that they share
        for k, layer in enumerate(layers):
            name = graph.nodes[k].name
            if (getattr(layer, "shares", None) is not None) is shared:
                stages[k] = (SharedStage(layer, name, stages[graph.places[layer.shares]], layouts[k])  # type: ignore[attr-defined]
                             if shared else stage_of(layer, name, layouts[k], complete.get(name, True)))
    values = [x for role in (LEARNABLE, STATE) for layer, stage in zip(layers, stages, strict=True)
              for x in stage.values(layer, role)]
    return LayerGraph(stages, graph, entering, dtype), values


def inputs_of(sources: Sequence[Source], results: Sequence[Any]) -> tuple[Any, ...] | None:
    """What a layer reads, from the tuples that layers before it returned; None where one is not known."""
    if any(results[k] is None for k, _ in sources):
        return None
    read: list[Any] = []
    for k, which in sources:
        read += results[k] if which is None else results[k][which:which + 1]
    return tuple(read)


def checked_layers(layers: Any, chain: bool = True) -> list[Layer]:
    """A list of layers, or an error that says what is not one."""
    if isinstance(layers, (Layer, WithBody)):
        layers = [layers]
    if not isinstance(layers, (list, tuple)):
        raise TypeRefused(
            f"dlnetwork takes a list of layers, not {type(layers).__name__}{_here()}; write dlnetwork(["
            "layers.FeatureInput(3), ...])")
    if not layers:
        raise TypeRefused(
            f"dlnetwork needs at least one layer{_here()}; write dlnetwork([layers.FeatureInput(3), "
            "layers.FullyConnected(2)])")
    layers = [CATALOGUE["Network"](layer) if isinstance(layer, WithBody) else layer for layer in layers]
    for k, layer in enumerate(layers):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeRefused(f"layer {k} is a class, not a layer{_here()}; write {layer.__name__}(...)")
        if not isinstance(layer, Layer):
            function = callable(layer) and not isinstance(layer, dlarray)
            hint = "; a function becomes a layer with layers.Function(fun)" if function else ""
            raise TypeRefused(f"layer {k} is {type(layer).__name__}, not a layer{_here()}"
                              + (hint or "; write one such as layers.ReLU()"))
        if type(layer).predict is Layer.predict:
            raise TypeRefused(f"the layer {type(layer).__name__} has no predict; write def predict(self, x) in it")
        if k and chain and is_input(layer):
            raise TypeRefused(f"layer {k} is an input layer, {written(layer, named=False)}, which can only be the first"
                              f"{_here()}")
    return list(layers)


def _here() -> str:
    return f", at {line_of(user_site())}"


def is_input(layer: Layer) -> bool:
    """Whether a layer says what enters the network."""
    return hasattr(layer, "layout")


def unique_names(layers: Sequence[Layer], faults: list[str] | None = None) -> list[str]:
    """Each layer's own name, or its kind's: relu, relu_1, ..."""
    taken: set[str] = set()
    for layer in layers:
        name = layer.name
        if name is None:
            continue
        if not isinstance(name, str) or not name or "/" in name:
            raise TypeRefused(f"a layer's name is a text without '/', not {name!r}{_here()}; outputs are written "
                              "layer/output")
        if name in taken:
            said, remedy = f"two layers are named {name!r}", "; give each a name of its own, or leave name out"
            if faults is None:
                raise TypeRefused(f"{said}{_here()}{remedy}")
            faults.append(said + remedy)
        taken.add(name)
    names = []
    for layer in layers:
        name = layer.name
        if name is None:
            stem = name = type(layer).default_name
            k = 0
            while name in taken:
                k += 1
                name = f"{stem}_{k}"
            taken.add(name)
        names.append(name)
    return names


def first_inputs(layers: Sequence[Layer], graph: Graph, examples: Sequence[Any], dtype: torch.dtype,
                 faults: list[str]) -> tuple[Any, ...] | None:
    """Zeros like what enters the network, with a batch of 1; None where nothing says it and nobody needs it."""
    said = [layers[k].layout if is_input(layers[k]) else None for k, _ in graph.entries]  # type: ignore[attr-defined]
    silent = [name for name, layout in zip(graph.input_names, said, strict=True) if layout is None]
    first = next((layers[k] for k, _ in graph.entries if is_input(layers[k])), None)
    if not silent and first is not None:
        if any(isinstance(x, Layer) for x in examples):
            raise TypeRefused(f"dlnetwork takes its layers as one list, at {line_of(user_site())}; write dlnetwork(["
                              f"{written(first, named=False)}, ...])")
        if examples:
            raise TypeRefused(
                f"the network begins with {first!r}, which says what enters it{_here()}; leave the examples out, or "
                "that layer")
    elif examples:
        if graph.chain:  # whose first layer takes as many as it takes
            return tuple(_entering(example, layers, dtype) for example in examples)
        if len(examples) != len(silent):
            raise TypeRefused(f"{len(examples)} examples were given for {len(silent)} inputs that no input layer "
                              f"describes ({', '.join(silent)}), at {line_of(user_site())}; give one for each, or "
                              "connect what feeds them")
    elif first is not None:
        faults += [f"nothing leads into {name!r}; connect it, or give an example of what enters there"
                   for name in silent]
        return None
    else:
        for layer in layers:
            if needs_size(layer):
                raise ShapeError(
                    f"the size of its input is needed to initialise {layer!r}{_here()}; begin with an input layer "
                    "(layers.ImageInput, layers.FeatureInput), or give an example: dlnetwork(layers, dlarray(x, "
                    "\"CB\"))")
        return None
    given = iter(examples)
    return tuple(_entering(next(given), layers, dtype) if layout is None else _zeros(layout, dtype) for layout in said)


def needs_size(layer: Layer) -> bool:
    """Whether a layer has something to initialise from the size of its input."""
    return type(layer).initialize is not Layer.initialize and (
        any(getattr(layer, f, None) is None for f in layer.roles)
        or any(not part.network.initialized for part in networks_in(layer)))


def _entering(example: Any, layers: Sequence[Layer], dtype: torch.dtype) -> dlarray:
    """Zeros like an example: in its type where that is whole numbers or truth values and nothing casts them, as the
    learnables do."""
    layout = _layout_given(example)
    x = layout if isinstance(example, Layout) else _array(example)
    cast = any(role == LEARNABLE for layer in layers for role in layer.roles.values()) or any(
        networks_in(layer) for layer in layers)
    its = None if isinstance(x, Layout) or cast or differentiable(x._value.dtype) else x._value.dtype
    return _zeros(layout, its or dtype)


def _layout_given(example: Any) -> Layout:
    if isinstance(example, (list, tuple)) and any(isinstance(one, str) for pair in example for one in (
            pair if isinstance(pair, (list, tuple)) else (pair,))):
        raise TypeRefused(f"{example!r} is no example of what enters the network, at {line_of(user_site())}; "
                          "connections are given by keyword: dlnetwork(layers, connections=[(\"relu1\", \"add/in2\")])")
    return example if isinstance(example, Layout) else layout_of(_array(example))


def _array(example: Any) -> dlarray:
    return example if isinstance(example, dlarray) else dlarray(example)


def stand_ins(given: Sequence[Any], values: Sequence[Any]) -> tuple[Any, ...]:
    """Zeros like what enters a network with these values, with a batch of 1."""
    dtype = common_type([x for x in values if x._value.dtype.is_floating_point]) or torch.float32
    return tuple(_zeros(_layout_given(one), dtype) for one in given)


def _zeros(layout: Layout, dtype: torch.dtype) -> dlarray:
    labels = layout.labels
    letters = labels or "U" * len(layout.shape)
    shape = [1 if letter == "B" else n for letter, n in zip(letters, layout.shape, strict=True)]
    return dlarray._made(torch.zeros(shape, dtype=dtype, device="cpu"), None, labels)


def initialized(layer: Layer, name: str, inputs: tuple[Any, ...] | None, dtype: torch.dtype,
                kept: bool = False) -> Layer:
    """The layer with its unset parameters filled, all of them dlarrays in the network's type; those of a layer that is
    `kept` stay as they are."""
    given = {f: getattr(layer, f) for f in layer.roles if getattr(layer, f) is not None}
    made = copied(layer, {"name": name}, (*layer.roles, *assignable(layer)))
    if inputs is not None and needs_size(layer):
        try:
            made.initialize(*[layout_of(x) for x in inputs])
        except Exception as error:
            error.add_note(
                f"while initialising the layer {name!r}, {layer!r}, for {', '.join(str(layout_of(x)) for x in inputs)}")
            raise
    fields = {f: getattr(made, f) for f in layer.roles} | given
    fields = {f: v if v is None or kept and f in given else parameter(v, name, f, dtype) for f, v in fields.items()}
    return copied(in_type(copied(made, fields), dtype, kept), {}, ())


def parameter(value: Any, layer: str, field: str, dtype: torch.dtype) -> dlarray:
    """A parameter in the network's type: real numbers as they are, complex ones in the complex type of that size."""
    if isinstance(value, bool):  # PyTorch's bias=False
        raise TypeRefused(f"the parameter {(layer, field)!r} is {value}, not an array; leave {field}= out: it starts "
                          "as its initializer says, and stays so where an update leaves its key out")
    try:
        value = value if isinstance(value, dlarray) else dlarray(value)
    except GradloomError as error:
        raise TypeRefused(
            f"the parameter {(layer, field)!r} is {type(value).__name__}, not an array: {error}") from None
    wanted = COMPLEX_OF[dtype] if value.dtype.is_complex else dtype
    return dlarray._made(value._value.to(wanted), None, value._labels)


def outputs_of(layer: Layer, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the layer makes of its inputs: run once on zeros, so that the next layer knows its layout."""
    if getattr(layer, "lacking", ()):  # its statistics come later, and change no size
        return inputs
    states = [f for f, role in layer.roles.items() if role == STATE]
    try:
        y = copied(layer, {}, (*states, *assignable(layer))).predict(*inputs)
    except Exception as error:
        seen = ", ".join(str(layout_of(x)) for x in inputs)
        error.add_note(
            f"in the layer {name!r}, {layer!r}, run on zeros ({seen}) to find its output's size, at "
            f"{line_of(user_site())}")
        raise
    if hasattr(layer, "backward"):
        y, _ = parted(layer, y)
    outputs = tuple(y) if isinstance(y, (tuple, list)) else (y,)
    if not outputs or not all(isinstance(part, dlarray) for part in outputs):
        raise TypeRefused(
            f"the layer {name!r} ({type(layer).__name__}) returned {kind_of(y)}{_here()}; return a dlarray (or a tuple "
            "of them) that is computed from its inputs")
    return outputs


__all__ = ["assembled", "bodied", "construct", "stand_ins"]
