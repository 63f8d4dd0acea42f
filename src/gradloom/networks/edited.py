"""The methods of a network that edit its layers: each gives another network."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from . import editing
from .body import WithBody
from .layer import Layer


class Edited(WithBody):
    """A network whose layers can be added, removed, connected and replaced; its values stay with them."""

    __slots__ = ()

    def add_layers(self, layers: Any, /, after: str | None = None) -> Self:
        """The network with a chain of layers more (or a list of chains), which reads the layer `after` ("layer", or
        "layer/output").

        As all methods that edit, it runs nothing and initialises nothing: `net.initialize()` does, when the edits are
        done. Parameters and settings stay with their layers, and what did not change is shared.

        >>> import gradloom as gl
        >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2, name="fc")])
        >>> net = net.add_layers([gl.layers.ReLU(), gl.layers.FullyConnected(1, name="last")], after="fc")
        >>> net.connections
        (('input', 'fc'), ('fc', 'relu'), ('relu', 'last'))
        >>> net.initialized, net.initialize().learnables["last", "weights"].shape
        (False, (1, 2))

        Source: MATLAB addLayers.
        """
        return editing.with_layers(self, layers, after)  # type: ignore[no-any-return]

    def remove_layers(self, names: Iterable[str] | str, /) -> Self:
        """The network without these layers, and without what led to them or from them.

        Source: MATLAB removeLayers.
        """
        return editing.without_layers(self, names)  # type: ignore[no-any-return]

    def connect_layers(self, source: str, target: str, /) -> Self:
        """The network with one connection more: from "layer" or "layer/output" to "layer" or "layer/input".

        Source: MATLAB connectLayers.
        """
        return editing.connected(self, source, target)  # type: ignore[no-any-return]

    def disconnect_layers(self, source: str, target: str, /) -> Self:
        """The network with one connection less, written as in `net.connections`.

        Source: MATLAB disconnectLayers.
        """
        return editing.disconnected(self, source, target)  # type: ignore[no-any-return]

    def replace_layer(self, name: str, layers: Any, /) -> Self:
        """The network with a layer, or a chain, in the place of the layer `name`: its connections go to the first and
        come from the last. A single layer without a name takes that of the old one.

        >>> import gradloom as gl
        >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(10), gl.layers.Softmax()])
        >>> net = net.replace_layer("fc", gl.layers.FullyConnected(2)).initialize()
        >>> net.output_names, net.learnables["fc", "weights"].shape
        (('softmax',), (2, 3))

        Source: MATLAB replaceLayer.
        """
        return editing.replaced(self, name, layers)  # type: ignore[no-any-return]

    def add_input_layer(self, layer: Layer, target: str | None = None, /) -> Self:
        """The network with an input layer before the input `target`; it may be left out where one alone has none.

        Source: MATLAB addInputLayer.
        """
        return editing.with_input(self, layer, target)  # type: ignore[no-any-return]

    def initialize(self, *examples: Any) -> Self:
        """The network with what is unset initialised, and nothing else changed; every size is checked.

        `examples` are arrays or layouts for the inputs that have no input layer, in their order.

        Raises a GradloomError that tells of everything that does not fit.

        Source: MATLAB initialize.
        """
        return editing.initialized(self, examples)  # type: ignore[no-any-return]


__all__ = ["Edited"]
