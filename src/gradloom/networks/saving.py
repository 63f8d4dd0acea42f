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
from ..machine.dtypes import DTYPES, NAMES, REAL_OF
from ..storage.trees import Reader, Writer, register
from .building import bodied, checked_layers, inputs_of, nodes_of, unique_names
from .fitting import check_given
from .graph import ENTERING, Graph
from .layer import Layer, copied
from .layout import Layout, layout_of
from .nested import assignable
from .network import dlnetwork, network_of
from .parameters import Learnables, arrays_of, common_type, keys_of, learnables_of
from .registry import CATALOGUE
from .running import LayerGraph
from .settings import USUAL, Setting, Settings

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
    options, parameters = (reader.of_type(tree[part], dict, f"the {part} of {what}")
                           for part in ("options", "parameters"))
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


def _write_network(net: dlnetwork, writer: Writer) -> dict[str, Any]:
    body = net._body
    if not isinstance(body, LayerGraph):
        raise TypeRefused(f"a network made from a torch module is code, which files do not hold, at "
                          f"{line_of(user_site())}; save its parameters, save_weights(net, path), and load them into "
                          "from_torch(module) with load_weights")
    graph = body.graph
    return {"layers": [writer.tree(layer) for layer in net.layers],
            "connections": None if graph.chain else [list(pair) for pair in graph.connections],
            "outputs": None if graph.outputs is None else list(graph.outputs),
            "inputs": _written_layouts(body.input_layouts),
            "layouts": [_written_layouts(stage.layouts) for stage in body.stages],
            "initialized": [stage.initialized for stage in body.stages], "dtype": NAMES[body.dtype],
            "settings": [[*key, its.learn_rate_factor, its.l2_factor, its.frozen]
                         for key, its in net.settings.items() if its != USUAL]}


def _written_layouts(layouts: Sequence[Layout] | None) -> list[Any] | None:
    return None if layouts is None else [[list(x.shape), x.labels] for x in layouts]


def _read_network(tree: dict[str, Any], reader: Reader) -> dlnetwork:
    layers = [reader.thing(layer) for layer in reader.of_type(tree["layers"], list, "the layers of a network")]
    layouts = [_layouts(x, reader) for x in reader.of_type(tree["layouts"], list, "the layouts of a network")]
    complete = reader.of_type(tree["initialized"], list, "what is initialized of a network")
    dtype = DTYPES.get(reader.of_type(tree["dtype"], str, "the type of a network"))
    if dtype is None or not dtype.is_floating_point or not len(layers) == len(layouts) == len(complete) or not all(
            type(done) is bool for done in complete):
        raise reader.refused("a network has other layers than it has layouts, or a type that is no type of numbers")
    graph = _graph(layers, tree, reader)
    entering = _layouts(tree["inputs"], reader)
    if entering is not None and len(entering) != len(graph.input_names):
        raise reader.refused(f"a network has {len(graph.input_names)} inputs and layouts of {len(entering)}")
    try:
        done = dict(zip([layer.name for layer in layers], complete, strict=True))
        body, values = bodied(layers, graph, layouts, done, entering, dtype)
    except GradloomError as error:
        raise reader.refused(str(error)) from None
    wide = common_type(values[:len(body.learnable_keys)]) or dtype
    _check_sizes(layers, graph, entering, REAL_OF.get(wide, wide), reader)
    return network_of(body, values, _settings(tree["settings"], body, reader))


def _graph(layers: list[Any], tree: dict[str, Any], reader: Reader) -> Graph:
    """Who reads what, as the file says it."""
    connections, outputs = tree["connections"], tree["outputs"]
    if connections is not None and not (type(connections) is list and all(
            type(pair) is list and len(pair) == 2 and all(type(end) is str for end in pair) for pair in connections)):
        raise reader.refused("the connections of a network are no pairs of names")
    if outputs is not None and not (type(outputs) is list and outputs and all(type(name) is str for name in outputs)):
        raise reader.refused("the outputs of a network are no names")
    faults: list[str] = []
    try:
        if checked_layers(layers, connections is None) != layers:
            raise reader.refused("a layer of a network is none")
        names = unique_names(layers)
        graph = Graph(nodes_of(layers, names, faults),
                      None if connections is None else [(a, b) for a, b in connections], outputs, faults)
    except GradloomError as error:
        raise error if isinstance(error, FileRefused) else reader.refused(str(error)) from None
    if faults:
        raise reader.refused("; ".join(faults)[:1000])
    if names != [layer.name for layer in layers]:
        raise reader.refused("the layers of a network have no names")
    return graph


def _layouts(given: Any, reader: Reader) -> tuple[Layout, ...] | None:
    if given is None:
        return None
    found = []
    for item in reader.of_type(given, list, "the layouts of a layer"):
        if not (type(item) is list and len(item) == 2 and type(item[0]) is list
                and all(type(n) is int for n in item[0]) and (item[1] is None or type(item[1]) is str)):
            raise reader.refused("a layout is no shape with labels")
        try:
            found.append(Layout(tuple(item[0]), item[1]))
        except GradloomError as error:
            raise reader.refused(f"a layout is no shape with labels: {error}") from None
    return tuple(found)


def _settings(given: Any, body: LayerGraph, reader: Reader) -> Settings:
    changed: dict[Any, Setting] = {}
    for item in reader.of_type(given, list, "the settings of a network"):
        if type(item) is not list or [type(part) for part in item] != [str, str, float, float, bool]:
            raise reader.refused("a setting of a network is no layer, parameter, two factors and whether it is frozen")
        key = item[0], item[1]
        if key not in body.learnable_keys or key in changed:
            raise reader.refused(f"a setting is of {key!r}, which is no learnable, or stands there twice")
        try:
            changed[key] = Setting(*item[2:])
        except GradloomError as error:
            raise reader.refused(str(error)) from None
    return Settings(body.learnable_keys, changed)


def _check_sizes(layers: Sequence[Any], graph: Graph, entering: tuple[Layout, ...] | None, dtype: torch.dtype,
                 reader: Reader) -> None:
    """Refuse parameters that do not fit: layers of the catalogue run on no observations, where it is known what enters.
    A custom layer is its author's code, and runs when the network does."""
    results: list[Any] = [None] * (len(layers) + 2)  # at places -1 and -2 what enters, and nothing
    if entering is not None and all("B" in (layout.labels or "") for layout in entering):
        results[ENTERING] = tuple(_no_observations(layout, dtype, reader) for layout in entering)
    for k in graph.order:
        layer = layers[graph.places.get(getattr(layers[k], "shares", None) or "", k)]
        xs = inputs_of(graph.sources[k], results)
        if xs is None or CATALOGUE.get(type(layer).__name__) is not type(layer):
            continue
        try:
            check_given(layer, str(layer.name), [layout_of(x) for x in xs],
                        {field: getattr(layer, field) for field in layer.roles}, assignable(layer))
        except Exception as error:  # also of torch's, for sizes that no array has
            raise reader.refused(f"{layer!r} does not fit: {error}") from None
        try:
            y = copied(layer, {}, (*layer.roles, *assignable(layer))).predict(*xs)
        except Exception:
            _run_without_data(layer, xs, reader)
        else:
            results[k] = tuple(y) if isinstance(y, (tuple, list)) else (y,)


def _no_observations(layout: Layout, dtype: torch.dtype, reader: Reader) -> dlarray:
    shape = [0 if label == "B" else n for n, label in zip(layout.shape, layout.labels or "", strict=True)]
    try:
        return dlarray(dlarray._made(torch.empty(shape, dtype=dtype, device="cpu"), None, None), layout.labels)
    except (RuntimeError, ValueError):
        raise reader.refused(f"no memory holds what enters a network, or its labels are none ({layout})") from None


def _run_without_data(layer: Layer, xs: Sequence[Any], reader: Reader) -> None:
    """Whether a layer that does not take 0 observations takes one: an error that says why not, where it has no fault
    but that its arrays have no data. It takes torch seconds to get ready for these."""
    def dataless(x: Any) -> dlarray:
        return dlarray._made(torch.empty([n or 1 for n in x.shape], dtype=x.dtype, device="meta"), None, x._labels)

    fields = {f: dataless(x) for f in layer.roles if (x := getattr(layer, f)) is not None}
    try:
        copied(layer, fields, (*layer.roles, *assignable(layer))).predict(*[dataless(x) for x in xs])
    except Exception as error:  # whatever a layer says of options and arrays that do not fit
        if "meta" not in str(error):
            seen = ", ".join(str(layout_of(x)) for x in xs)
            raise reader.refused(f"the layer {layer.name!r} cannot take {seen} ({error})") from None


# ----- parameters and layouts -----------------------------------------------------------------------------------------


def _read_learnables(tree: dict[str, Any], reader: Reader) -> Learnables:
    keys = [tuple(key) if type(key) is list and [type(part) for part in key] == [str, str] else None
            for key in reader.of_type(tree["keys"], list, "the keys of parameters")]
    arrays = [reader.thing(x) for x in reader.of_type(tree["arrays"], list, "the arrays of parameters")]
    if None in keys or len(set(keys)) != len(keys) or len(keys) != len(arrays):
        raise reader.refused("parameters have keys that are no pairs, or stand twice, or others than there are arrays")
    return learnables_of(tuple(keys), arrays)  # type: ignore[arg-type]


register("layer", Layer, _write_layer, ("type", "custom", "name", "options", "parameters"), _read_layer, family=True)
register("network", dlnetwork, _write_network,
         ("layers", "connections", "outputs", "inputs", "layouts", "initialized", "dtype", "settings"), _read_network)
register("parameters", Learnables,
         lambda x, writer: {"keys": [list(key) for key in keys_of(x)],
                            "arrays": [writer.tree(a, *key) for key, a in zip(keys_of(x), arrays_of(x), strict=True)]},
         ("keys", "arrays"), _read_learnables)
register("layout", Layout, lambda x, writer: {"shape": list(x.shape), "labels": x.labels}, ("shape", "labels"),
         lambda tree, reader: (_layouts([[tree["shape"], tree["labels"]]], reader) or ())[0])
