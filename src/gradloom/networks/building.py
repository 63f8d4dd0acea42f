"""Making a network: names for its layers, and parameters from the layouts that reach them."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import GradloomError, ShapeError, TypeRefused, line_of, user_site
from ..machine.dtypes import COMPLEX_OF, dtype_named
from .graph import ENTERING, Graph, Node, Source
from .layer import LEARNABLE, STATE, Layer, copied
from .layout import Layout, layout_of
from .registry import CATALOGUE
from .running import LayerGraph, Stage, kind_of
from .settings import USUAL, Setting, Settings


def construct(layers: Any, examples: Sequence[Any], dtype: Any,
              edges: Iterable[tuple[str, str]] | None = None) -> tuple[LayerGraph, list[Any], Settings]:
    """The body of a network of layers, the values of its parameters, learnables first, and their settings: a chain, or
    a graph with edges such as ("relu1", "add/in2").
    """
    dtype = dtype_named(dtype)
    if not dtype.is_floating_point:
        raise TypeRefused(
            f"the parameters of a network are floating numbers, not {str(dtype)[6:]}; write dtype=\"float32\"")
    layers = checked_layers(layers, edges is None)
    names = unique_names(layers)
    graph = Graph([Node(name, tuple(layer.input_names), tuple(layer.output_names))
                   for layer, name in zip(layers, names, strict=True)], edges)
    entering = first_inputs(layers, graph, examples, dtype)
    stages: list[Any] = [None] * len(layers)
    results: list[Any] = [None] * len(layers) + [entering]  # at place -1 what enters; None where it is not known
    for k in graph.order:
        inputs = inputs_of(graph.sources[k], results)
        layer = initialized(layers[k], names[k], inputs, dtype)
        by_role = {role: [f for f, r in layer.roles.items() if r == role and getattr(layer, f) is not None]
                   for role in (LEARNABLE, STATE)}
        outputs = results[k] = None if inputs is None else outputs_of(layer, names[k], inputs)
        layouts = None if outputs is None else tuple(layout_of(y) for y in outputs)
        stages[k] = (layer, by_role, Stage(layer, names[k], by_role[LEARNABLE], by_role[STATE], layouts))
    values = [getattr(layer, f) for role in (LEARNABLE, STATE) for layer, by_role, _ in stages for f in by_role[role]]
    body = LayerGraph([stage for _, _, stage in stages], graph)
    kinds = {stage.name: stage.kind for stage in body.stages}
    settings = Settings(body.learnable_keys, {key: usual_setting(kinds[key[0]], key[1]) for key in body.learnable_keys})
    return body, values, settings


def usual_setting(kind: type[Layer], field: str) -> Setting:
    """How training treats a learnable unless it is told otherwise: as in MATLAB, the catalogue's biases are not
    regularized."""
    return UNREGULARIZED if field == "bias" and any(CATALOGUE.get(c.__name__) is c for c in kind.__mro__) else USUAL


UNREGULARIZED = Setting(l2_factor=0.0)


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
    if isinstance(layers, Layer):
        layers = [layers]
    if not isinstance(layers, (list, tuple)):
        raise TypeRefused(
            f"dlnetwork takes a list of layers, not {type(layers).__name__}; write dlnetwork([layers.FeatureInput(3), "
            "...])")
    if not layers:
        raise TypeRefused(
            "dlnetwork needs at least one layer; write dlnetwork([layers.FeatureInput(3), layers.FullyConnected(2)])")
    for k, layer in enumerate(layers):
        if isinstance(layer, type) and issubclass(layer, Layer):
            raise TypeRefused(f"layer {k} is the class {layer.__name__}, not a layer; write {layer.__name__}(...)")
        if not isinstance(layer, Layer):
            function = callable(layer) and not isinstance(layer, dlarray)
            hint = "; a function becomes a layer with layers.Function(fun)" if function else ""
            raise TypeRefused(f"layer {k} is {type(layer).__name__}, not a layer{hint}")
        if type(layer).predict is Layer.predict:
            raise TypeRefused(f"the layer {type(layer).__name__} has no predict; write def predict(self, x) in it")
        if k and chain and is_input(layer):
            raise TypeRefused(f"layer {k} is an input layer ({type(layer).__name__}); it can only be the first")
    return list(layers)


def is_input(layer: Layer) -> bool:
    """Whether a layer says what enters the network."""
    return hasattr(layer, "layout")


def unique_names(layers: Sequence[Layer]) -> list[str]:
    """Each layer's own name, or its kind's: relu, relu_1, ..."""
    taken: set[str] = set()
    for layer in layers:
        name = layer.name
        if name is None:
            continue
        if not isinstance(name, str) or not name or "/" in name:
            raise TypeRefused(f"a layer's name is a text without '/', not {name!r}; outputs are written layer/output")
        if name in taken:
            raise TypeRefused(f"two layers are named {name!r}; give each a name of its own, or leave name out")
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


def first_inputs(layers: Sequence[Layer], graph: Graph, examples: Sequence[Any],
                 dtype: torch.dtype) -> tuple[Any, ...] | None:
    """Zeros like what enters the network, with a batch of 1; None where nothing says it and nobody needs it."""
    readers = [k for k, sources in enumerate(graph.sources) for j, _ in sources if j == ENTERING]
    saying = [layers[k] for k in readers if is_input(layers[k])]
    if len(saying) == len(readers):
        if any(isinstance(x, Layer) for x in examples):
            raise TypeRefused(f"dlnetwork takes its layers as one list, at {line_of(user_site())}; write dlnetwork(["
                              f"{saying[0]!r}, ...])")
        if examples and saying:
            raise TypeRefused(
                f"the network begins with {saying[0]!r}, which says what enters it; leave the examples out, or that "
                "layer")
        return tuple(_zeros(layer.layout, dtype) for layer in saying)  # type: ignore[attr-defined]
    if examples:
        given = iter(examples)
        if graph.chain:
            return tuple(_zeros(_layout_given(example), dtype) for example in given)
        if len(examples) != len(readers) - len(saying):
            raise TypeRefused(f"{len(examples)} examples were given for {len(readers) - len(saying)} inputs that no "
                              f"input layer describes ({', '.join(graph.input_names)})")
        return tuple(_zeros(layers[k].layout if is_input(layers[k])  # type: ignore[attr-defined]
                            else _layout_given(next(given)), dtype) for k in readers)
    for layer in layers:
        if type(layer).initialize is not Layer.initialize and any(getattr(layer, f, None) is None for f in layer.roles):
            raise ShapeError(
                f"the size of its input is needed to initialise {layer!r}; begin with an input layer "
                "(layers.ImageInput, layers.FeatureInput), or give an example: dlnetwork(layers, dlarray(x, \"CB\"))")
    return None


def _layout_given(example: Any) -> Layout:
    return example if isinstance(example, Layout) else layout_of(_array(example))


def _array(example: Any) -> dlarray:
    return example if isinstance(example, dlarray) else dlarray(example)


def _zeros(layout: Layout, dtype: torch.dtype) -> dlarray:
    labels = layout.labels
    letters = labels or "U" * len(layout.shape)
    shape = [1 if letter == "B" else n for letter, n in zip(letters, layout.shape, strict=True)]
    return dlarray._made(torch.zeros(shape, dtype=dtype, device="cpu"), None, labels)


def initialized(layer: Layer, name: str, inputs: tuple[Any, ...] | None, dtype: torch.dtype) -> Layer:
    """The layer with its unset parameters filled, all of them dlarrays in the network's type."""
    given = {f: getattr(layer, f) for f in layer.roles if getattr(layer, f) is not None}
    made = copied(layer, {"name": name}, tuple(layer.roles))
    if inputs is not None and len(given) < len(layer.roles):
        try:
            made.initialize(*[layout_of(x) for x in inputs])
        except Exception as error:
            error.add_note(
                f"while initialising the layer {name!r}, {layer!r}, for {', '.join(str(layout_of(x)) for x in inputs)}")
            raise
    fields = {f: getattr(made, f) for f in layer.roles} | given
    return copied(made, {f: None if v is None else parameter(v, name, f, dtype) for f, v in fields.items()}, ())


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
    states = [f for f, role in layer.roles.items() if role == STATE]
    try:
        y = copied(layer, {}, states).predict(*inputs)
    except Exception as error:
        seen = ", ".join(str(layout_of(x)) for x in inputs)
        error.add_note(
            f"in the layer {name!r}, {layer!r}, run on zeros ({seen}) to find its output's size, at "
            f"{line_of(user_site())}")
        raise
    outputs = tuple(y) if isinstance(y, (tuple, list)) else (y,)
    if not outputs or not all(isinstance(part, dlarray) for part in outputs):
        raise TypeRefused(
            f"the layer {name!r} ({type(layer).__name__}) returned {kind_of(y)}; return a dlarray (or a tuple of them) "
            "that is computed from its inputs")
    return outputs


__all__ = ["construct"]
