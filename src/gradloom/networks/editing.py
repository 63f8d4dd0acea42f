"""Editing a network of layers by value: other layers, other connections. Parameters stay with their layers; nothing is
run, and new layers are initialised when the network is (`net.initialize()`)."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..core.errors import TypeRefused, UnknownName, line_of, user_site
from ..machine.dtypes import REAL_OF
from ..vocabulary.misspelled import nearest
from .body import filled
from .building import as_chain, assembled, chain_edges, checked_layers, flattened, is_input, nodes_of, unique_names
from .graph import Graph, ill_formed
from .layer import Layer, copied
from .nested import networks_in
from .parameters import common_type
from .running import LayerGraph

Edges = list[tuple[str, str]]


def graph_of(network: Any, word: str) -> LayerGraph:
    """The graph of layers that a network is, or an error that says what it is instead."""
    body = network._body
    if not isinstance(body, LayerGraph):
        raise TypeRefused(f"net.{word} is for networks of layers, this one is {body.heading(network._values)}, at "
                          f"{line_of(user_site())}; a network can be a layer of another: "
                          "dlnetwork([net, layers.Softmax()])")
    return body


def real_type(network: Any) -> torch.dtype:
    """The real type in which a network's parameters are made."""
    body = network._body
    dtype = common_type(network._values[:len(body.learnable_keys)])
    if dtype is None:
        return body.dtype  # type: ignore[no-any-return]
    return REAL_OF[dtype] if dtype.is_complex else dtype


def initialized(network: Any, examples: Sequence[Any]) -> Any:
    """The network with what is unset initialised, and every size checked."""
    body = graph_of(network, "initialize")
    return _rebuilt(network, network.layers, body.graph, {s.name: s.initialized and not s.unset for s in body.stages},
                    [], examples, True)


def layer_of(network: Any, name: Any) -> Layer:
    """A layer with its parameters, also one of a network in a layer."""
    body = graph_of(network, "layers")
    outer, _, inner = name.partition("/") if isinstance(name, str) else ("", "", "")
    if outer not in body.graph.places:
        raise UnknownName(f"no layer {name!r} in this network{nearest(outer, body.graph.places)}, at "
                          f"{line_of(user_site())}; its layers are {', '.join(body.graph.places)}")
    layer = body.stages[body.graph.places[outer]].complete(network._values, network._settings)
    if not inner:
        return layer
    for part in networks_in(layer):
        if (inner + "/").startswith(part.path + "/" if part.path else ""):
            rest = inner[len(part.path) + 1:] if part.path else inner
            return part.network[rest] if rest else part.network  # type: ignore[no-any-return]
    raise UnknownName(f"the layer {outer!r} has no network with a layer {inner!r}, at {line_of(user_site())}")


def with_layers(network: Any, layers: Any, after: str | None) -> Any:
    """The network with a chain, or several, at its end or behind a layer."""
    body = graph_of(network, "add_layers")
    _known(body, [] if after is None else [after.partition("/")[0]], "add_layers")
    new, edges, faults = _new_layers(network.layers, layers)
    its = [*body.graph.connections, *edges]
    if after is not None:
        its.append((after, str(new[0].name)))
    return _edited(network, [*network.layers, *new], its, new, faults)


def without_layers(network: Any, names: Iterable[str] | str) -> Any:
    """The network without some layers and all that leads to them or from them."""
    body = graph_of(network, "remove_layers")
    gone = {names} if isinstance(names, str) else set(names)
    _known(body, gone, "remove_layers")
    left = [layer for layer in network.layers if layer.name not in gone]
    if not left:
        raise TypeRefused(f"net.remove_layers of all layers leaves no network, at {line_of(user_site())}; make another "
                          "with dlnetwork(layers)")
    edges = [e for e in body.graph.connections if not {end.partition("/")[0] for end in e} & gone]
    return _edited(network, left, edges)


def connected(network: Any, source: str, target: str) -> Any:
    """The network with one connection more."""
    body = graph_of(network, "connect_layers")
    return _edited(network, network.layers, [*body.graph.connections, (source, target)])


def disconnected(network: Any, source: str, target: str) -> Any:
    """The network with one connection less."""
    body = graph_of(network, "disconnect_layers")
    edges, nodes = body.graph.connections, {node.name: node for node in body.graph.nodes}

    def whole(end: Any, kind: str) -> Any:  # "relu/in" is "relu", where that is all there is
        name, _, part = end.partition("/") if isinstance(end, str) else ("", "", "")
        return name if name in nodes and (part,) == tuple(getattr(nodes[name], kind)) else end

    found = (whole(source, "outputs"), whole(target, "inputs"))
    if found not in edges:
        raise UnknownName(f"net.disconnect_layers: nothing leads from {source!r} to {target!r}, at "
                          f"{line_of(user_site())}; the connections are {', '.join(map(repr, edges)) or 'none'}")
    return _edited(network, network.layers, [edge for edge in edges if edge != found])


def replaced(network: Any, name: str, layers: Any) -> Any:
    """The network with a chain in the place of a layer: what led there leads to its first layer, what left it leaves
    its last, input by input and output by output in their order."""
    body = graph_of(network, "replace_layer")
    _known(body, [name], "replace_layer")
    k = body.graph.places[name]
    old = [layer for layer in network.layers if layer.name != name]
    if isinstance(layers, Layer) and layers.name is None or isinstance(layers, type(network)):
        [layers] = checked_layers(layers)
        layers = copied(layers, {"name": name})
    new, edges, faults = _new_layers(old, layers)
    first, last = nodes_of([new[0], new[-1]], ["a", "b"], [])
    node = body.graph.nodes[k]
    for source, target in body.graph.connections:
        edges.append((_moved(source, name, node.outputs, new[-1].name, last.outputs),
                      _moved(target, name, node.inputs, new[0].name, first.inputs)))
    outputs = body.graph.outputs
    if outputs is not None:
        outputs = [_moved(output, name, node.outputs, new[-1].name, last.outputs) for output in outputs]
    return _edited(network, [*old[:k], *new, *old[k:]], edges, new, faults, outputs)


def _moved(end: str, name: str, parts: Sequence[str], new: Any, names: Sequence[str]) -> str:
    """The end of an edge at a layer that another takes the place of."""
    layer, _, part = end.partition("/")
    if layer != name:
        return end
    which = parts.index(part) if part else 0
    if len(names) == 1 and which == 0:
        return str(new)
    return f"{new}/{names[which] if which < len(names) else part or parts[which]}"


def with_input(network: Any, layer: Layer, target: str | None) -> Any:
    """The network with an input layer in front, which leads to an input that nothing leads to."""
    body = graph_of(network, "add_input_layer")
    if not isinstance(layer, Layer) or not is_input(layer):
        raise TypeRefused(f"net.add_input_layer takes an input layer, not {layer!r}, at {line_of(user_site())}; write "
                          "net.add_input_layer(layers.FeatureInput(3))")
    free = [name for (k, _), name in zip(body.graph.entries, body.graph.input_names, strict=True)
            if not is_input(body.stages[k].layer)]
    if target is None:
        if len(free) != 1:
            raise TypeRefused(f"net.add_input_layer: {len(free)} inputs have no input layer"
                              f"{' (' + ', '.join(free) + ')' if free else ''}, at {line_of(user_site())}; "
                              + ("say which, as the second argument" if free else "there is none to add"))
        [target] = free
    old = network.layers
    new, _, faults = _new_layers(old, layer)
    return _edited(network, [*new, *old], [(str(new[0].name), target), *body.graph.connections], new, faults)


# ----- parts ----------------------------------------------------------------------------------------------------------


def _new_layers(old: Sequence[Layer], layers: Any) -> tuple[list[Layer], Edges, list[str]]:
    """New layers with names that no old one has, the edges inside their chains, and what is wrong."""
    faults: list[str] = []
    flat, chains = flattened(layers)
    new = checked_layers(flat, False)
    names = unique_names([*old, *new], faults)[len(old):]
    new = [copied(layer, {"name": name}) for layer, name in zip(new, names, strict=True)]
    everything = nodes_of([*old, *new], [*[str(layer.name) for layer in old], *names], faults)
    return new, chain_edges(new, everything[len(old):], chains or [range(len(new))], [], faults), faults


def _known(body: LayerGraph, names: Iterable[str], word: str) -> None:
    for name in names:
        if name not in body.graph.places:
            raise UnknownName(f"net.{word}: there is no layer {name!r}{nearest(name, body.graph.places)}, at "
                              f"{line_of(user_site())}; the layers are {', '.join(body.graph.places)}")


def _edited(network: Any, layers: Sequence[Layer], edges: Edges, new: Sequence[Layer] = (),
            faults: list[str] | None = None, outputs: Any = None) -> Any:
    """A network of these layers, some of them new, and edges; it is not run."""
    faults = [] if faults is None else faults
    body = network._body
    names = [str(layer.name) for layer in layers]
    if outputs is None and body.graph.outputs is not None:
        outputs = [name for name in body.graph.outputs if name.partition("/")[0] in names] or None
    graph = Graph(nodes_of(layers, names, faults), edges, outputs, faults)
    if faults:
        raise ill_formed(faults)
    kept = {}
    for layer in layers:
        k = body.graph.places.get(str(layer.name))
        if k is not None and not any(layer is one for one in new):
            kept[str(layer.name)] = body.stages[k].initialized and not body.stages[k].unset
    return _rebuilt(network, layers, as_chain(graph), kept, faults, (), False)


def _rebuilt(network: Any, layers: Sequence[Layer], graph: Graph, kept: dict[str, bool], faults: list[str],
             examples: Sequence[Any], initialize: bool) -> Any:
    body, values, settings = assembled(layers, graph, examples, real_type(network), initialize, faults, kept,
                                       network._settings)
    return filled(type(network), body, values, settings)
