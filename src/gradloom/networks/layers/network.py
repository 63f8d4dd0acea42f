"""A network as a layer."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import TypeRefused, line_of, user_site
from ..body import WithBody, refilled
from ..layer import Layer
from ..layout import Layout
from ..masks import refuse


class Network(Layer):
    """A network as a layer of another: `network` runs with its own layers, in use or in training as the whole does.

    A dlnetwork in a list of layers becomes one. In a network its parameters are called ("block/conv1", "weights"),
    where "block" is the name of this layer. Its inputs and outputs are called as the network's.

    >>> import gradloom as gl
    >>> block = gl.dlnetwork([gl.layers.FullyConnected(2), gl.layers.ReLU()], gl.zeros((3, 1), "CB"))
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.Network(block, name="block")])
    >>> list(net.learnables)
    [('block/fc', 'weights'), ('block/fc', 'bias')]

    Source: MATLAB networkLayer.
    """

    network: Any

    matlab: ClassVar[str] = "networkLayer"

    def __post_init__(self) -> None:
        if not isinstance(self.network, WithBody):
            raise TypeRefused(f"Network takes a dlnetwork, not {type(self.network).__name__}, at "
                              f"{line_of(user_site())}; write Network(dlnetwork([...]))")

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the network."""
        names = self.network.input_names
        return names if len(names) > 1 else ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the network."""
        names = self.network.output_names
        return names if len(names) > 1 else ("out",)

    def initialize(self, *layouts: Layout) -> None:
        if not self.network.initialized:
            self.network = self.network.initialize(*layouts)

    def predict(self, *xs: Any, mask: Any = None) -> Any:
        return self._ran(self.network.predict, xs) if mask is None else self._masked(xs, mask, False)

    def forward(self, *xs: Any, mask: Any = None) -> Any:
        return self._ran(self.network.forward, xs) if mask is None else self._masked(xs, mask, True)

    def _masked(self, xs: Any, mask: Any, training: bool) -> Any:
        net = self.network
        if not net._body.takes_masks:
            raise refuse(self, "holds a network that is told nothing of padding", "write its layers here")
        y, states, left = net._body.run_masked(net._values, xs, mask, training, stateful=True)
        self.network = refilled(net, [*net._values[:len(net._body.learnable_keys)], *states])
        self.__dict__["left"] = left
        return y

    def output_mask(self, mask: Any, y: Any) -> Any:
        return self.__dict__.pop("left")

    def _ran(self, run: Any, xs: Any) -> Any:
        if not self.network.state:
            return run(*xs)
        y, state = run(*xs, return_state=True)
        self.network = self.network.replace(state=state)
        return y
