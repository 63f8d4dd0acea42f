"""Convolutions and the fully connected layer against torch's."""

import torch
from layer_checks import case, given

import gradloom as gl

L, F = gl.layers, torch.nn.functional


def connected(x, p, training):
    return x.flatten(1) @ p["weights"].T + p["bias"]


def conv(d, *options, around=None, **named):
    """torch's convolution of d axes after zeros around x."""
    def equivalent(x, p, training):
        x = x if around is None else torch.constant_pad_nd(x, around)
        return getattr(torch, f"conv{d}d")(x, p["weights"], p["bias"], *options, **named)
    return equivalent


def transposed(d, *options, cut=None, **named):
    """torch's transposed convolution of d axes, cut afterwards."""
    def equivalent(x, p, training):
        y = getattr(torch, f"conv_transpose{d}d")(x, p["weights"], p["bias"], *options, **named)
        return y if cut is None else torch.constant_pad_nd(y, [-n for n in cut])
    return equivalent


CASES = {
    "Convolution1d": [
        case(L.Convolution1d(3, 2, stride=2, padding=1), given("BCS", 2, 2, 5), equivalent=conv(1, 2, 1)),
        case(L.Convolution1d(2, 2, padding="causal", dilation_factor=2), given("BCT", 2, 3, 4), equivalent=conv(1, dilation=2, around=(2, 0))),
        case(L.Convolution1d(2, 4, num_groups=2), given("CS", 2, 4), equivalent=conv(1, groups=2)),
        case(L.Convolution1d(2, 1), given("BTCS", 2, 2, 2, 3),
             equivalent=lambda x, p, training: torch.conv1d(x.flatten(0, 1), p["weights"], p["bias"]).unflatten(0, (2, 2))),
    ],
    "Convolution2d": [
        case(L.Convolution2d((2, 3), 3, stride=(1, 2), padding=((0, 1), (1, 1)), dilation_factor=(2, 1)), given("BCSS", 2, 2, 4, 5),
             equivalent=conv(2, (1, 2), 0, (2, 1), around=(1, 1, 0, 1))),
        case(L.Convolution2d(3, 2, padding="same"), given("CSS", 2, 4, 3), equivalent=conv(2, padding=1)),
        case(L.Convolution2d(2, 4, num_groups=2), given("BCSS", 1, 4, 3, 3), equivalent=conv(2, groups=2)),
        case(L.Convolution2d(2, 2), given("BCST", 1, 2, 3, 3), equivalent=conv(2)),
        case(L.Convolution2d(3, 2, padding=1, padding_value="symmetric-exclude-edge"), given("BCSS", 1, 1, 3, 3),
             equivalent=lambda x, p, training: torch.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), p["weights"], p["bias"])),
    ],
    "Convolution3d": [
        case(L.Convolution3d((2, 1, 2), 2, stride=(1, 2, 1), padding=(1, 0, 0)), given("BCSSS", 2, 2, 2, 3, 2), equivalent=conv(3, (1, 2, 1), (1, 0, 0))),
        case(L.Convolution3d(2, 2, num_groups=2), given("BCSST", 1, 2, 2, 2, 3), equivalent=conv(3, groups=2)),
    ],
    "GroupedConvolution2d": [
        case(L.GroupedConvolution2d(2, 2, 2, stride=2, padding=1), given("BCSS", 2, 4, 3, 3), equivalent=conv(2, 2, 1, groups=2)),
        case(L.GroupedConvolution2d((1, 2), 2, "channel-wise", dilation_factor=2), given("CSS", 3, 3, 4), equivalent=conv(2, dilation=2, groups=3)),
    ],
    "TransposedConvolution1d": [
        case(L.TransposedConvolution1d(3, 2, stride=2, cropping=1), given("BCS", 2, 2, 3), equivalent=transposed(1, 2, 1)),
        case(L.TransposedConvolution1d(2, 2, num_groups=2), given("CT", 2, 4), equivalent=transposed(1, groups=2)),
    ],
    "TransposedConvolution2d": [
        case(L.TransposedConvolution2d((2, 3), 3, stride=(1, 2), cropping=((0, 1), (1, 1))), given("BCSS", 2, 2, 2, 3),
             equivalent=transposed(2, (1, 2), cut=(1, 1, 0, 1))),
        case(L.TransposedConvolution2d(3, 2, stride=2, cropping="same"), given("CSS", 2, 2, 3), equivalent=transposed(2, 2, cut=(0, 1, 0, 1))),
        case(L.TransposedConvolution2d(2, 4, num_groups=2, dilation_factor=2), given("BCST", 1, 4, 2, 2), equivalent=transposed(2, dilation=2, groups=2)),
    ],
    "TransposedConvolution3d": [
        case(L.TransposedConvolution3d(2, 2, stride=(1, 2, 1)), given("BCSSS", 2, 2, 2, 1, 2), equivalent=transposed(3, (1, 2, 1)))],
    "FullyConnected": [
        case(L.FullyConnected(3), given("BCSS", 2, 2, 3, 2), equivalent=connected),
        case(L.FullyConnected(3), given("BC", 2, 4), equivalent=connected),
        case(L.FullyConnected(3, operation_dimension="channel"), given("BSC", 2, 2, 4), equivalent=lambda x, p, training: x @ p["weights"].T + p["bias"]),
        case(L.FullyConnected(2), given("BTC", 2, 3, 4), equivalent=lambda x, p, training: x @ p["weights"].T + p["bias"]),
    ],
}
