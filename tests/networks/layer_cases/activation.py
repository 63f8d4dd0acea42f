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
    "ClippedReLU": images(L.ClippedReLU(0.5), lambda x: x.clip(0, 0.5)),
    "ELU": images(L.ELU(alpha=1.5), lambda x: torch.nn.functional.elu(x, 1.5)),
    "Swish": images(L.Swish(), torch.nn.functional.silu),
    "Softplus": images(L.Softplus(), torch.nn.functional.softplus),
    "Softsign": images(L.Softsign(), torch.nn.functional.softsign),
    "Mish": images(L.Mish(), torch.nn.functional.mish),
    "HardSigmoid": images(L.HardSigmoid(alpha=0.8), lambda x: (0.8 * x + 0.5).clip(0, 1)),
    "HardSwish": [case(L.HardSwish(), given("BC", 3, 4, high=5.0), equivalent=lambda x, p, training: x * (x + 3).clip(0, 6) / 6)],
    "PReLU": [case(L.PReLU(), given("BCSS", 2, 3, 2, 2), equivalent=lambda x, p, training: torch.nn.functional.prelu(x, p["alpha"])),
              case(L.PReLU(), given("BC", 3, 4), equivalent=lambda x, p, training: torch.nn.functional.prelu(x, p["alpha"]))],
    "Identity": images(L.Identity(), lambda x: x),
    "Scaling": images(L.Scaling(scale=-1.5, offset=0.25), lambda x: 0.25 - 1.5 * x),
    "Softmax": [case(L.Softmax(), given("BCSS", 2, 3, 2, 2), equivalent=lambda x, p, training: x.softmax(1)),
                case(L.Softmax(), given("BC", 3, 4), equivalent=lambda x, p, training: x.softmax(1)),
                case(L.Softmax(), given("CT", 2, 3), equivalent=lambda x, p, training: x.softmax(0))],
}
