"""Activations against torch's functions."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def images(layer, function):
    """On images, on features and on sequences."""
    return [case(layer, given(labels, *shape), equivalent=lambda x, p, training: function(x))
            for labels, shape in (("BCSS", (2, 3, 2, 2)), ("BC", (3, 4)), ("CT", (2, 3)))]


CASES = {
    "ReLU": images(L.ReLU(), torch.relu),
    "LeakyReLU": images(L.LeakyReLU(scale=0.2), lambda x: torch.where(x > 0, x, 0.2 * x)),
    "Tanh": images(L.Tanh(), torch.tanh),
    "Sigmoid": images(L.Sigmoid(), torch.sigmoid),
    "GELU": images(L.GELU(), torch.nn.functional.gelu) + images(L.GELU(approximation="tanh"), lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
    "Softmax": [case(L.Softmax(), given("BCSS", 2, 3, 2, 2), equivalent=lambda x, p, training: x.softmax(1)),
                case(L.Softmax(), given("BC", 3, 4), equivalent=lambda x, p, training: x.softmax(1)),
                case(L.Softmax(), given("CT", 2, 3), equivalent=lambda x, p, training: x.softmax(0))],
}
