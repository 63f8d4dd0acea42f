"""Layers that change nothing, or only the scale."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ..layer import Layer


class Identity(Layer):
    """x as it is: a place in a graph that has a name.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Identity()])(gl.dlarray([1.0, 2.0]))
    2 dlarray float64
    [1. 2.]

    Source: MATLAB identityLayer.
    """

    matlab: ClassVar[str] = "identityLayer"
    onnx: ClassVar[str] = "Identity"

    def predict(self, x: Any) -> Any:
        return x


class Scaling(Layer):
    """scale x + offset, with numbers that training does not change.

    >>> import gradloom as gl
    >>> gl.dlnetwork([gl.layers.Scaling(scale=2.0, offset=1.0)])(gl.dlarray([1.0, 2.0]))
    2 dlarray float64
    [3. 5.]

    Source: MATLAB scalingLayer.
    """

    scale: float = field(default=1.0, kw_only=True)
    offset: float = field(default=0.0, kw_only=True)

    matlab: ClassVar[str] = "scalingLayer"

    def predict(self, x: Any) -> Any:
        return self.scale * x + self.offset


__all__ = ["Identity", "Scaling"]
