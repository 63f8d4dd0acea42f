"""Normalization layers."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

import torch

from ...core.array import dlarray
from ...core.declare import discrete
from ...core.errors import ShapeError
from ...operations.neural.normalization.normalization import batchnorm
from ..initialize import ones, zeros
from ..layer import Layer, Learnable, State
from ..layout import Layout

MOVED = discrete("moving_average", lambda old, new, decay: torch.lerp(old, new.to(old.dtype), decay), ("old", "new"))


class BatchNormalization(Layer):
    """Each channel with mean 0 and variance 1 over the batch, then scaled and shifted.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset for each channel. In training mean and variance
    are the batch's, over all axes but C (the variance with n in its denominator), and the trained ones move: new =
    decay * batch + (1 - decay) * old. In use they are the trained ones. offset, scale, trained_mean, trained_variance:
    one number for each channel.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.BatchNormalization()])
    >>> list(net.state)
    [('batchnorm', 'trained_mean'), ('batchnorm', 'trained_variance')]

    Source: Ioffe and Szegedy 2015; MATLAB batchNormalizationLayer.
    """

    epsilon: float = field(default=1e-5, kw_only=True)
    mean_decay: float = field(default=0.1, kw_only=True)
    variance_decay: float = field(default=0.1, kw_only=True)
    offset: Learnable
    scale: Learnable
    trained_mean: State
    trained_variance: State

    matlab: ClassVar[str] = "batchNormalizationLayer"
    default_name: ClassVar[str] = "batchnorm"

    def initialize(self, layout: Layout) -> None:
        if "C" not in (layout.labels or ""):
            raise ShapeError(f"the layer {self.name!r} (BatchNormalization) needs an axis C, its input is {layout}; "
                             "label the data, such as \"CB\"")
        channels = (layout.sizes["C"],)
        self.offset, self.scale = zeros(channels), ones(channels)
        self.trained_mean, self.trained_variance = zeros(channels), ones(channels)

    def predict(self, x: Any) -> Any:
        return batchnorm(x, self.offset, self.scale, self.trained_mean, self.trained_variance, epsilon=self.epsilon)

    def forward(self, x: Any) -> Any:
        y, mean, variance = batchnorm(x, self.offset, self.scale, epsilon=self.epsilon)
        self.trained_mean = moved(self.trained_mean, mean, self.mean_decay)
        self.trained_variance = moved(self.trained_variance, variance, self.variance_decay)
        return y


def moved(old: dlarray, new: dlarray, decay: float) -> dlarray:
    """decay * new + (1 - decay) * old, a constant."""
    return dlarray._made(MOVED.apply((old._value, new._value), {"decay": decay}), None, old._labels)
