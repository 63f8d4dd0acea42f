"""Networks and layers in files: a graph of layers as JSON and arrays, and back.

Layers are made from the register's classes, and from those that the reader hands over; nothing else is made or run.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import FileRefused, GradloomError, TypeRefused, line_of, user_site
from ..storage.trees import Reader, Writer, register
from .building import checked_layers, inputs_of, is_input, unique_names
from .graph import ENTERING, Graph, Node
from .layer import LEARNABLE, STATE, Layer, copied
from .layout import Layout, layout_of
from .network import dlnetwork, network_of
from .parameters import Learnables, arrays_of, common_type, keys_of, learnables_of
from .registry import CATALOGUE
from .running import LayerGraph, Stage

# ----- layers ---------------------------------------------------------------------------------------------------------


def _options(cls: type[Layer]) -> list[str]:
    """What a layer is made of, besides its name and its parameters."""
    return [f.name for f in dataclasses.fields(cls) if f.init and f.name != "name" and f.name not in cls.roles]


def _write_layer(layer: Layer, writer: Writer) -> dict[str, Any]:
    cls = type(layer)
    ours = CATALOGUE.get(cls.__name__) is cls
    its = {f: getattr(layer, f) for f in cls.roles if getattr(layer, f) is not None}
    return {"type": cls.__name__, "custom": not ours, "name": layer.name,
            "options": {option: writer.tree(getattr(layer, option), layer.name or cls.__name__, option)
                        for option in _options(cls)},
            "parameters": {f: writer.tree(x, layer.name or cls.__name__, f) for f, x in its.items()}}


def _read_layer(tree: dict[str, Any], reader: Reader) -> Layer:
    word = reader.of_type(tree["type"], str, "the type of a layer")
    custom = reader.of_type(tree["custom"], bool, f"custom of a layer {word}")
    if custom and word not in reader.classes:
        raise FileRefused(f"{reader.path} holds a custom layer {word}, which only its author's code can make; hand its "
                          f"class over, load(path, layers=[{word}])")
    cls: Any = reader.classes[word] if custom else CATALOGUE.get(word)
    if cls is None or not isinstance(cls, type) or not issubclass(cls, Layer):
        raise reader.refused(f"it holds a layer {word!r}, which the catalogue does not have")
    what = f"a layer {word}"
    options, parameters = (reader.of_type(tree[part], dict, f"the {part} of {what}") for part in ("options", "parameters"))
    reader.fields(options, _options(cls), what)
    if strange := set(parameters) - set(cls.roles):
        raise reader.refused(f"{what} has a parameter {min(strange)!r}, and there are {', '.join(cls.roles) or 'none'}")
    arrays = {f: reader.thing(x) for f, x in parameters.items()}
    if not all(isinstance(x, dlarray) for x in arrays.values()):
        raise reader.refused(f"a parameter of {what} is no dlarray")
    given = {option: reader.thing(x) for option, x in options.items()}
    try:
        return cls(**given, **arrays, name=tree["name"])
    except Exception as error:  # whatever a layer says of its options
        raise reader.refused(f"{what} cannot be made of what stands there ({error})") from None


# ----- networks -------------------------------------------------------------------------------------------------------


def connections_of(graph: Graph) -> list[list[str]] | None:
    """Who reads what, by name; None for a chain."""
    if graph.chain:
        return None
    nodes = graph.nodes
    return [[nodes[j].called(nodes[j].outputs, which or 0), node.called(node.inputs, i)]
            for node, sources in zip(nodes, graph.sources, strict=True)
            for i, (j, which) in enumerate(sources) if j != ENTERING]


def _write_network(net: dlnetwork, writer: Writer) -> dict[str, Any]:
    body = net._body
    if not isinstance(body, LayerGraph):
        raise TypeRefused(f"a network made from a torch module is code, which files do not hold, at "
                          f"{line_of(user_site())}; save its parameters, save_weights(net, path), and load them into "
                          "from_torch(module) with load_weights")
    return {"layers": [writer.tree(layer) for layer in net.layers], "connections": connections_of(body.graph),
            "layouts": [None if stage.layouts is None else [[list(x.shape), x.labels] for x in stage.layouts]
                        for stage in body.stages]}


def _read_network(tree: dict[str, Any], reader: Reader) -> dlnetwork:
    layers = [reader.thing(layer) for layer in reader.of_type(tree["layers"], list, "the layers of a network")]
    connections = tree["connections"]
    if connections is not None and not (type(connections) is list and all(
            type(c) is list and len(c) == 2 and all(type(end) is str for end in c) for c in connections)):
        raise reader.refused("the connections of a network are no pairs of names")
    layouts = [_layouts(x, reader) for x in reader.of_type(tree["layouts"], list, "the layouts of a network")]
    try:
        checked_layers(layers, connections is None)
        names = unique_names(layers)
        graph = Graph([Node(name, tuple(layer.input_names), tuple(layer.output_names))
                       for layer, name in zip(layers, names, strict=True)],
                      None if connections is None else [(a, b) for a, b in connections])
    except GradloomError as error:
        raise reader.refused(str(error)) from None
    if names != [layer.name for layer in layers] or len(layouts) != len(layers):
        raise reader.refused("the layers of a network have no names, or not as many layouts as there are layers")
    fields = [{role: [f for f, r in layer.roles.items() if r == role and getattr(layer, f) is not None]
               for role in (LEARNABLE, STATE)} for layer in layers]
    stages = [Stage(layer, name, its[LEARNABLE], its[STATE], its_layouts)
              for layer, name, its, its_layouts in zip(layers, names, fields, layouts, strict=True)]
    values = [getattr(layer, f) for role in (LEARNABLE, STATE)
              for layer, its in zip(layers, fields, strict=True) for f in its[role]]
    net = network_of(LayerGraph(stages, graph), values)
    _check_sizes(layers, graph, reader)
    return net


def _layouts(given: Any, reader: Reader) -> tuple[Layout, ...] | None:
    if given is None:
        return None
    found = []
    for item in reader.of_type(given, list, "the layouts of a layer"):
        if not (type(item) is list and len(item) == 2 and type(item[0]) is list
                and all(type(n) is int and n >= 0 for n in item[0])
                and (item[1] is None or type(item[1]) is str and len(item[1]) == len(item[0]))):
            raise reader.refused("a layout is no shape with labels")
        found.append(Layout(tuple(item[0]), item[1]))
    return tuple(found)


def _check_sizes(layers: Sequence[Layer], graph: Graph, reader: Reader) -> None:
    """Refuse parameters that do not fit: layers of the catalogue run on arrays without data, as far as what enters is
    known. A custom layer is its author's code, and runs when the network does."""
    learnables = [getattr(layer, f) for layer in layers for f, role in layer.roles.items() if role == LEARNABLE]
    dtype = common_type([x for x in learnables if x is not None]) or torch.float32
    results: list[Any] = [None] * (len(layers) + 1)
    for k in graph.order:
        layer = layers[k]
        if is_input(layer) and isinstance(layout := layer.layout, Layout):  # type: ignore[attr-defined]
            xs: Any = (_dataless(layout.shape, dtype, layout.labels),)
        else:
            xs = inputs_of(graph.sources[k], results)
        if xs is None or CATALOGUE.get(type(layer).__name__) is not type(layer):
            continue
        fields = {f: _dataless(x._value.shape, x._value.dtype, x._labels) for f in layer.roles if (x := getattr(layer, f)) is not None}
        try:
            y = copied(layer, fields, tuple(layer.roles)).predict(*xs)
        except GradloomError as error:
            if "meta" in str(error):  # it reads its numbers, and these have none
                continue
            seen = ", ".join(str(layout_of(x)) for x in xs)
            raise reader.refused(f"the layer {layer.name!r} cannot take {seen} ({error})") from None
        except (RuntimeError, NotImplementedError):
            continue  # a kernel that has no way without data
        results[k] = tuple(y) if isinstance(y, (tuple, list)) else (y,)


def _dataless(shape: Sequence[int], dtype: torch.dtype, labels: str | None) -> dlarray:
    return dlarray._made(torch.empty(tuple(shape), dtype=dtype, device="meta"), None, labels)


# ----- parameters and layouts -----------------------------------------------------------------------------------------


def _read_learnables(tree: dict[str, Any], reader: Reader) -> Learnables:
    keys = [tuple(key) if type(key) is list and [type(part) for part in key] == [str, str] else None
            for key in reader.of_type(tree["keys"], list, "the keys of parameters")]
    arrays = [reader.thing(x) for x in reader.of_type(tree["arrays"], list, "the arrays of parameters")]
    if None in keys or len(set(keys)) != len(keys) or len(keys) != len(arrays):
        raise reader.refused("parameters have keys that are no pairs, or stand twice, or others than there are arrays")
    return learnables_of(tuple(keys), arrays)  # type: ignore[arg-type]


register("layer", Layer, _write_layer, ("type", "custom", "name", "options", "parameters"), _read_layer, family=True)
register("network", dlnetwork, _write_network, ("layers", "connections", "layouts"), _read_network)
register("parameters", Learnables,
         lambda x, writer: {"keys": [list(key) for key in keys_of(x)],
                            "arrays": [writer.tree(a, *key) for key, a in zip(keys_of(x), arrays_of(x), strict=True)]},
         ("keys", "arrays"), _read_learnables)
register("layout", Layout, lambda x, writer: {"shape": list(x.shape), "labels": x.labels}, ("shape", "labels"),
         lambda tree, reader: (_layouts([[tree["shape"], tree["labels"]]], reader) or ())[0])

__all__ = ["connections_of"]
