"""Convolution layers over one, two and three axes, in groups, and transposed."""
from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.errors import ShapeError, line_of, user_site
from ...operations.movement.axes import moveaxis
from ...operations.neural.convolution.convolution import dlconv
from ...operations.neural.convolution.transposed import dltranspconv
from ..initialize import Initializer, initial
from ..layer import Layer, Learnable
from ..layout import Layout
from ..masks import refuse
from ..spatial import Sizes, called, check_count, letters_of, sizes_of
from ..windows import hides, windows_of


class _Filters(Layer):
    """What layers with filters over `rank` axes have in common."""

    filter_size: Sizes
    stride: Sizes = field(default=1, kw_only=True)
    dilation_factor: Sizes = field(default=1, kw_only=True)
    weights_initializer: Initializer = field(default="glorot", kw_only=True)
    bias_initializer: Initializer = field(default="zeros", kw_only=True)
    weights: Learnable
    bias: Learnable

    rank: ClassVar[int]

    if TYPE_CHECKING:  # of those that come in groups
        num_filters: int
        num_groups: Any

    def __post_init__(self) -> None:
        for word in ("filter_size", "stride", "dilation_factor"):
            sizes_of(getattr(self, word), self.rank, f"{type(self).__name__}'s {word}")
        for word in ("num_filters", "num_filters_per_group"):
            if hasattr(self, word):
                check_count(getattr(self, word), f"{type(self).__name__}'s {word}")
        groups = getattr(self, "num_groups", 1)
        if groups != "channel-wise":
            check_count(groups, f"{type(self).__name__}'s num_groups")

    def channels_of(self, layout: Layout) -> int:
        """How many channels its input has."""
        letters_of(layout.shape, layout.labels, self.rank, called(self))
        if "C" not in (layout.labels or ""):
            raise ShapeError(f"{called(self)} needs an axis C, its input is {layout}, at {line_of(user_site())}; label "
                             "the data, such as \"BCSS\"")
        channels: int = layout.sizes["C"]
        return channels

    def channels_in_groups(self, layout: Layout) -> int:
        """How many channels its input has, which come in `num_groups` groups, as its `num_filters` filters do."""
        channels, groups, filters = self.channels_of(layout), self.num_groups, self.num_filters
        if channels % groups or filters % groups:
            raise ShapeError(
                f"{called(self)} has num_groups={groups}, which does not divide {channels} channels and "
                f"{filters} filters, at {line_of(user_site())}; write a num_groups that divides both")
        return channels

    def window(self) -> tuple[int, ...]:
        """The filters' sizes along each axis."""
        return sizes_of(self.filter_size, self.rank, "filter_size")


class _Convolving(_Filters):
    padding: Any = field(default=0, kw_only=True)
    padding_value: Any = field(default=0, kw_only=True)

    onnx: ClassVar[str] = "Conv"

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        x = x if mask is None else windows_of(self).filled(x, mask)
        return dlconv(x, self.weights, self.bias, stride=self.stride, padding=self.padding,
                      dilation_factor=self.dilation_factor, padding_value=self.padding_value)

    def output_mask(self, mask: Any, y: Any) -> Any:
        return windows_of(self).output_mask(mask, y)


class _Convolution(_Convolving):
    num_filters: int
    num_groups: int = field(default=1, kw_only=True)

    def initialize(self, layout: Layout) -> None:
        channels = self.channels_in_groups(layout)
        self.weights = initial(self.weights_initializer,
                               (self.num_filters, channels // self.num_groups, *self.window()))
        self.bias = initial(self.bias_initializer, (self.num_filters,))


class Convolution1d(_Convolution):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size` along S, or along T where there is no
    S.

    Formula: y[n, o, s] = bias[o] + sum over c, k of weights[o, c, k] x[n, c, stride s + dilation k - padding].
    weights: (filters, channels per group, size); bias: (filters,). Padding "causal" looks only backwards in time. The
    other options are those of Convolution2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Convolution1d(3, 8, padding="causal")], gl.zeros((4, 1, 6), "CBT"))
    >>> net(gl.zeros((4, 2, 10), "CBT")).sizes
    {'C': 8, 'B': 2, 'T': 10}

    Source: MATLAB convolution1dLayer.
    """

    matlab: ClassVar[str] = "convolution1dLayer"
    default_name: ClassVar[str] = "conv1d"
    rank: ClassVar[int] = 1


class Convolution2d(_Convolution):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size`, one number or (height, width).

    Formula: y[n, o, s] = bias[o] + sum over c, k of weights[o, c, k] x[n, c, stride s + dilation k - padding].
    x: any layout with two S (or one S and T), and C. weights: (filters, channels per group, height, width); bias:
    (filters,). `padding` is a number, one per axis, ((before, after), (before, after)), "same" or "causal", and holds
    `padding_value`: a number, "replicate", "symmetric-include-edge" or "symmetric-exclude-edge". `num_groups` divides
    channels and filters. Weights start as "glorot" (or "he", or a function of the shape) says.

    >>> import gradloom as gl
    >>> gl.layers.Convolution2d(3, 8, padding="same", name="conv1")
    Convolution2d(3, 8, padding='same', name='conv1')

    Source: MATLAB convolution2dLayer.
    """

    matlab: ClassVar[str] = "convolution2dLayer"
    default_name: ClassVar[str] = "conv"
    rank: ClassVar[int] = 2


class Convolution3d(_Convolution):
    """Convolution (cross-correlation) with `num_filters` filters of `filter_size`: one number, or (height, width,
    depth).

    x: any layout with three S (or two S and T), and C. weights: (filters, channels per group, height, width, depth);
    bias: (filters,). Formula and options are those of Convolution2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.Convolution3d(3, 4, stride=2, padding=1)], gl.zeros((1, 2, 8, 8, 8), "BCSSS"))
    >>> net(gl.zeros((5, 2, 8, 8, 8), "BCSSS")).sizes
    {'B': 5, 'C': 4, 'S': (4, 4, 4)}

    Source: MATLAB convolution3dLayer.
    """

    matlab: ClassVar[str] = "convolution3dLayer"
    default_name: ClassVar[str] = "conv3d"
    rank: ClassVar[int] = 3


class GroupedConvolution2d(_Convolving):
    """Convolution in which each group of channels has filters of its own; "channel-wise" is a group for each channel.

    Formula: that of Convolution2d with `num_filters_per_group` times `num_groups` filters, each of which sees the
    channels of its group. weights: (filters, channels per group, height, width); bias: (filters,).

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.ImageInput((8, 8, 6)), gl.layers.GroupedConvolution2d(3, 1, "channel-wise")])
    >>> net.learnables["groupedconv", "weights"].shape
    (6, 1, 3, 3)

    Source: MATLAB groupedConvolution2dLayer.
    """

    num_filters_per_group: int
    num_groups: int | str

    matlab: ClassVar[str] = "groupedConvolution2dLayer"
    default_name: ClassVar[str] = "groupedconv"
    rank: ClassVar[int] = 2

    def initialize(self, layout: Layout) -> None:
        channels = self.channels_of(layout)
        groups = channels if isinstance(self.num_groups, str) else self.num_groups
        if channels % groups:
            raise ShapeError(f"{called(self)} has num_groups={groups}, which does not divide {channels} channels, at "
                             f"{line_of(user_site())}; write a num_groups that divides them, or \"channel-wise\"")
        filters = self.num_filters_per_group * groups
        self.weights = initial(self.weights_initializer, (filters, channels // groups, *self.window()))
        self.bias = initial(self.bias_initializer, (filters,))


class _TransposedConvolution(_Filters):
    num_filters: int
    cropping: Any = field(default=0, kw_only=True)
    num_groups: int = field(default=1, kw_only=True)

    onnx: ClassVar[str] = "ConvTranspose"

    def initialize(self, layout: Layout) -> None:
        channels = self.channels_in_groups(layout)
        filters, how = self.num_filters // self.num_groups, self.weights_initializer
        # a named initializer counts the inputs of an output, which are the channels here
        self.weights = (moveaxis(initial(how, (filters, channels, *self.window())), 0, 1) if isinstance(how, str)
                        else initial(how, (channels, filters, *self.window())))
        self.bias = initial(self.bias_initializer, (self.num_filters,))

    def predict(self, x: Any, *, mask: Any = None) -> Any:
        if hides(self, x, mask):
            raise refuse(self, "spreads each step over several, and cannot keep padding out",
                         "put it before the sequences are padded")
        return dltranspconv(x, self.weights, self.bias, stride=self.stride, cropping=self.cropping,
                            dilation_factor=self.dilation_factor, groups=self.num_groups)


class TransposedConvolution1d(_TransposedConvolution):
    """Transposed convolution with `num_filters` filters of `filter_size` along S, or along T where there is no S.

    weights: (channels, filters per group, size); bias: (filters,). Formula and options are those of
    TransposedConvolution2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.TransposedConvolution1d(4, 3, stride=2, cropping=1)], gl.zeros((2, 5), "CT"))
    >>> net(gl.zeros((2, 5), "CT")).sizes
    {'C': 3, 'T': 10}

    Source: MATLAB transposedConv1dLayer.
    """

    matlab: ClassVar[str] = "transposedConv1dLayer"
    default_name: ClassVar[str] = "transposed-conv1d"
    rank: ClassVar[int] = 1


class TransposedConvolution2d(_TransposedConvolution):
    """Transposed convolution with `num_filters` filters of `filter_size`: it makes images larger by the stride.

    Formula: y[n, o, stride s + dilation k - cropping] += weights[c, o, k] x[n, c, s], plus bias[o]. x: any layout with
    two S (or one S and T), and C. weights: (channels, filters per group, height, width); bias: (filters,). The size
    along an axis is stride (n - 1) + dilation (size - 1) + 1, less what is cropped: a number, one per axis, ((before,
    after), (before, after)) or "same" (size n stride). `num_groups` divides channels and filters.

    >>> import gradloom as gl
    >>> layers = [gl.layers.ImageInput((4, 4, 8)), gl.layers.TransposedConvolution2d(2, 3, stride=2)]
    >>> gl.dlnetwork(layers)(gl.zeros((1, 8, 4, 4), "BCSS")).sizes
    {'B': 1, 'C': 3, 'S': (8, 8)}

    Source: MATLAB transposedConv2dLayer.
    """

    matlab: ClassVar[str] = "transposedConv2dLayer"
    default_name: ClassVar[str] = "transposed-conv"
    rank: ClassVar[int] = 2


class TransposedConvolution3d(_TransposedConvolution):
    """Transposed convolution with `num_filters` filters of `filter_size`, one number or (height, width, depth).

    x: any layout with three S (or two S and T), and C. weights: (channels, filters per group, height, width, depth);
    bias: (filters,). Formula and options are those of TransposedConvolution2d.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.TransposedConvolution3d(2, 3, stride=2)], gl.zeros((1, 2, 3, 3, 3), "BCSSS"))
    >>> net(gl.zeros((1, 2, 3, 3, 3), "BCSSS")).sizes
    {'B': 1, 'C': 3, 'S': (6, 6, 6)}

    Source: MATLAB transposedConv3dLayer.
    """

    matlab: ClassVar[str] = "transposedConv3dLayer"
    default_name: ClassVar[str] = "transposed-conv3d"
    rank: ClassVar[int] = 3
