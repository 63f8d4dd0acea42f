"""Convolutions and the fully connected layer against torch's."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def connected(x, p, training):
    return x.flatten(1) @ p["weights"].T + p["bias"]


CASES = {
    "Convolution2d": [
        case(L.Convolution2d((2, 3), 3, stride=(1, 2), padding=((0, 1), (1, 1)), dilation_factor=(2, 1)), given("BCSS", 2, 2, 4, 5),
             equivalent=lambda x, p, training: torch.conv2d(torch.constant_pad_nd(x, (1, 1, 0, 1)), p["weights"], p["bias"], (1, 2), 0, (2, 1))),
        case(L.Convolution2d(3, 2, padding="same"), given("CSS", 2, 4, 3),
             equivalent=lambda x, p, training: torch.conv2d(x, p["weights"], p["bias"], padding=1)),
    ],
    "FullyConnected": [
        case(L.FullyConnected(3), given("BCSS", 2, 2, 3, 2), equivalent=connected),
        case(L.FullyConnected(3), given("BC", 2, 4), equivalent=connected),
        case(L.FullyConnected(2), given("BTC", 2, 3, 4), equivalent=lambda x, p, training: x @ p["weights"].T + p["bias"]),
    ],
}
