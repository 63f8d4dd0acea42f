"""The cross-channel normalization layer."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.neural.normalization.crosschannel import crosschannelnorm
from ..layer import Layer
from ..spatial import check_count


class CrossChannelNormalization(Layer):
    """Each element divided by a power of the mean square of the `window_channel_size` channels around its own (local
    response normalization).

    Formula: y[c] = x[c] / (k + alpha / window_channel_size * sum of x[j]**2)**beta, j over the window as far as there
    are channels.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.CrossChannelNormalization(3, alpha=3.0, beta=1.0, k=5.0)])
    >>> net(gl.dlarray([[3.0], [4.0]], "CB"))
    2(C) x 1(B) dlarray float64
    [[0.1       ]
     [0.13333333]]

    Source: Krizhevsky, Sutskever, Hinton 2012; MATLAB crossChannelNormalizationLayer.
    """

    window_channel_size: int
    alpha: float = field(default=1e-4, kw_only=True)
    beta: float = field(default=0.75, kw_only=True)
    k: float = field(default=2.0, kw_only=True)

    matlab: ClassVar[str] = "crossChannelNormalizationLayer"
    onnx: ClassVar[str] = "LRN"
    default_name: ClassVar[str] = "crossnorm"

    def __post_init__(self) -> None:
        check_count(self.window_channel_size, "CrossChannelNormalization's window_channel_size")

    def predict(self, x: Any) -> Any:
        return crosschannelnorm(x, self.window_channel_size, alpha=self.alpha, beta=self.beta, k=self.k)
