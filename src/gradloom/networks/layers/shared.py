"""A layer that shares another's parameters."""
from __future__ import annotations

from typing import Any, ClassVar

from ...core.errors import TypeRefused, line_of, user_site
from ..layer import Layer


class Shared(Layer):
    """Runs another layer of the same network, with that one's parameters and states: the weights are shared.

    `shares` is the other layer's name. Its gradient is the sum over both uses; in training its states move with each of
    them, in the order of the graph.

    >>> import gradloom as gl
    >>> L = gl.layers
    >>> net = gl.dlnetwork([[L.FeatureInput(3, name="left"), L.FullyConnected(2, name="encoder"), L.Addition()],
    ...                     [L.FeatureInput(3, name="right"), L.Shared("encoder")]],
    ...                    connections=[("shared", "addition/in2")])
    >>> list(net.learnables)
    [('encoder', 'weights'), ('encoder', 'bias')]

    Source: Siamese networks, Bromley and others 1993.
    """

    shares: str

    matlab: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not isinstance(self.shares, str) or not self.shares:
            raise TypeRefused(f"Shared takes the name of another layer, not {self.shares!r}, at "
                              f"{line_of(user_site())}; write Shared(\"encoder\")")

    def predict(self, *xs: Any) -> Any:
        raise TypeRefused(f"the layer {self.name!r} runs the layer {self.shares!r} of its network, at "
                          f"{line_of(user_site())}; run the network")
