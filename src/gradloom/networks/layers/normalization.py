"""Normalization layers."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar

import torch

from ...core.array import dlarray
from ...core.declare import discrete
from ...machine.dtypes import Tensor
from ...operations.creation.arrays import full
from ...operations.elementwise.mathematics import rsqrt
from ...operations.movement.axes import broadcast_to, reshape
from ...operations.movement.joining import concat
from ...operations.movement.labelling import stripdims
from ...operations.neural.normalization.normalization import batchnorm, groupnorm, instancenorm, layernorm
from ...operations.sums.reduction import mean, sum
from ..initialize import ones, zeros
from ..layer import Layer, Learnable, State
from ..layout import Layout
from ..masks import filled, ones_where, refuse
from ..options import along_channels, channels_of, check_choice, check_sizes
from ..together import is_together, shared_sum

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
    onnx: ClassVar[str] = "BatchNormalization"
    default_name: ClassVar[str] = "batchnorm"

    def initialize(self, layout: Layout) -> None:
        channels = (channels_of(self, layout),)
        self.offset, self.scale = zeros(channels), ones(channels)
        self.trained_mean, self.trained_variance = zeros(channels), ones(channels)

    def predict(self, x: Any) -> Any:
        return batchnorm(x, self.offset, self.scale, self.trained_mean, self.trained_variance, epsilon=self.epsilon)

    def forward(self, x: Any, *, mask: Any = None) -> Any:
        if is_together() or mask is not None:
            middle, variance = _of_all(x, mask)
            y = batchnorm(x, self.offset, self.scale, middle, variance, epsilon=self.epsilon)
        else:  # quick way: the batch is here; what comes to the same is above
            y, middle, variance = batchnorm(x, self.offset, self.scale, epsilon=self.epsilon)
        self.trained_mean = moved(self.trained_mean, middle, self.mean_decay)
        self.trained_variance = moved(self.trained_variance, variance, self.variance_decay)
        return y

    def combined_state(self, states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
        """The trained statistics of processes that each saw a share of the batch: what the whole batch would have
        moved them to. Variances are put together with the shift of the means, of which a trained mean shows its
        decay's part. Source: Chan, Golub, LeVeque 1983."""
        means, variances = ([state[name].double() for state in states] for name in ("trained_mean", "trained_variance"))
        middle = torch.stack([share * x for share, x in zip(shares, means, strict=True)]).sum(0)
        factor = self.variance_decay / self.mean_decay ** 2 if self.mean_decay else 0.0
        variance = torch.stack([share * (v + factor * (m - middle) ** 2)
                                for share, m, v in zip(shares, means, variances, strict=True)]).sum(0)
        return {"trained_mean": middle, "trained_variance": variance}

    def population_state(self, states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
        """The statistics of all data, from what each of its mini-batches made of trained statistics that were 0, and
        its share of the observations. Trained statistics that do not move stay."""
        if not (self.mean_decay and self.variance_decay):
            return {}
        found = self.combined_state(states, shares)
        return {"trained_mean": found["trained_mean"] / self.mean_decay,
                "trained_variance": found["trained_variance"] / self.variance_decay}


def _of_all(x: Any, mask: Any = None) -> tuple[Any, Any]:
    """Mean and variance of each channel over the parts of all processes, without what a mask hides, recorded."""
    axes = tuple(k for k, letter in enumerate(x.dims) if letter != "C")
    channels = x.sizes["C"]
    total = _summed if is_together() else _own
    own = full((1,), x.size // channels, like=x) if mask is None else reshape(
        sum(broadcast_to(ones_where(x, mask), x.shape)) / channels, (1,))
    found = total(concat([stripdims(sum(filled(x, mask), axis=axes)), stripdims(own)]))
    middle, count = dlarray(found[:channels] / found[channels:], "C"), found[channels:]
    apart = total(stripdims(sum(filled((x - middle) ** 2, mask), axis=axes)))
    return middle, dlarray(apart / count, "C")


def _summed(x: Any) -> Any:
    return shared_sum.apply((x,), {})


def _own(x: Any) -> Any:
    return x


def moved(old: dlarray, new: dlarray, decay: float) -> dlarray:
    """decay * new + (1 - decay) * old, a constant."""
    return dlarray._made(MOVED.apply((old._value, new._value), {"decay": decay}), None, old._labels)


class _Scaled(Layer):
    """What normalizations without trained statistics have in common: an offset and a scale for each channel."""

    epsilon: float = field(default=1e-5, kw_only=True)
    offset: Learnable
    scale: Learnable

    def initialize(self, layout: Layout) -> None:
        channels = (channels_of(self, layout),)
        self.offset, self.scale = zeros(channels), ones(channels)

    def check_padding(self, mask: Any) -> None:
        """Refuse statistics over the steps of a sequence with padding."""
        if mask is not None:
            raise refuse(self, "has statistics over all steps of a sequence, padding among them",
                         "take LayerNormalization(operation_dimension=\"channel-only\")")


class LayerNormalization(_Scaled):
    """Each observation with mean 0 and variance 1, then scaled and shifted channel by channel.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset, the variance with n in its denominator. The
    statistics are over C ("channel-only"), over C and S ("spatial-channel"), or over all but B ("batch-excluded");
    "auto" is the second where x has S, else the first. offset, scale: one number for each channel.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.LayerNormalization(epsilon=0.0)])
    >>> net(gl.dlarray([1.0, 3.0], "C"))
    2(C) dlarray float32
    [-1.  1.]

    Source: Ba, Kiros, Hinton 2016; MATLAB layerNormalizationLayer.
    """

    operation_dimension: str = field(default="auto", kw_only=True)

    matlab: ClassVar[str] = "layerNormalizationLayer"
    onnx: ClassVar[str] = "LayerNormalization"
    default_name: ClassVar[str] = "layernorm"

    def __post_init__(self) -> None:
        check_choice(self, "operation_dimension", ("auto", "channel-only", "spatial-channel", "batch-excluded"))

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        if self.operation_dimension == "batch-excluded":
            self.check_padding(mask)
        return layernorm(x, self.offset, self.scale, epsilon=self.epsilon, operation_dimension=self.operation_dimension)


class GroupNormalization(_Scaled):
    """Each group of channels of each observation with mean 0 and variance 1, then scaled and shifted channel by
    channel.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset; the statistics are over S, T, U and the channels
    of a group, for each observation. `num_groups` divides the channels; "all-channels" is one group, "channel-wise" one
    for each channel. offset, scale: one number for each channel.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(4), gl.layers.GroupNormalization(2, epsilon=0.0)])
    >>> net(gl.dlarray([1.0, 3.0, 5.0, 9.0], "C"))
    4(C) dlarray float32
    [-1.  1. -1.  1.]

    Source: Wu and He 2018; MATLAB groupNormalizationLayer.
    """

    num_groups: int | str

    matlab: ClassVar[str] = "groupNormalizationLayer"
    onnx: ClassVar[str] = "GroupNormalization"
    default_name: ClassVar[str] = "groupnorm"

    def __post_init__(self) -> None:
        if isinstance(self.num_groups, str):
            check_choice(self, "num_groups", ("all-channels", "channel-wise"))
        else:
            check_sizes(self, "num_groups")

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        self.check_padding(mask)
        return groupnorm(x, self.num_groups, self.offset, self.scale, epsilon=self.epsilon)


class InstanceNormalization(_Scaled):
    """Each channel of each observation with mean 0 and variance 1, then scaled and shifted.

    Formula: y = scale (x - mean) / sqrt(variance + epsilon) + offset; the statistics are over S, T and U. offset,
    scale: one number for each channel.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.InstanceNormalization(epsilon=0.0)], gl.Layout((1, 2), "CS"))
    >>> net(gl.dlarray([[1.0, 3.0]], "CS"))
    1(C) x 2(S) dlarray float32
    [[-1.  1.]]

    Source: Ulyanov, Vedaldi, Lempitsky 2016; MATLAB instanceNormalizationLayer.
    """

    matlab: ClassVar[str] = "instanceNormalizationLayer"
    onnx: ClassVar[str] = "InstanceNormalization"
    default_name: ClassVar[str] = "instancenorm"

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        self.check_padding(mask)
        return instancenorm(x, self.offset, self.scale, epsilon=self.epsilon)


class RMSNormalization(Layer):
    """The channels of each position divided by the root of their mean square, then scaled.

    Formula: y = scale x / sqrt(mean over C of x^2 + epsilon). scale: one number for each channel. Nothing is
    subtracted and nothing added: what large language models do in the place of layer normalization.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.RMSNormalization(epsilon=0.0)])
    >>> net(gl.dlarray([3.0, -3.0], "C"))
    2(C) dlarray float32
    [ 1. -1.]

    Source: Zhang and Sennrich 2019; ONNX RMSNormalization.
    """

    epsilon: float = field(default=1e-5, kw_only=True)
    scale: Learnable

    onnx: ClassVar[str] = "RMSNormalization"
    default_name: ClassVar[str] = "rmsnorm"

    def initialize(self, layout: Layout) -> None:
        self.scale = ones((channels_of(self, layout),))

    def predict(self, x: Any) -> Any:
        return x * rsqrt(mean(x * x, axis="C", keepdims=True) + self.epsilon) * along_channels(self.scale)
