"""Networks as layers, and layers that share another's parameters."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def block(x, p, training):
    """A linear map, then batch normalization with its states."""
    y = x @ p["weights"].T + p["bias"]
    mean, variance = p["trained_mean"].clone(), p["trained_variance"].clone()
    if not training:
        return torch.tanh(torch.batch_norm(y, p["scale"], p["offset"], mean, variance, False, 0.0, 1e-5, False))
    moved = {"trained_mean": 0.1 * y.mean(0) + 0.9 * mean, "trained_variance": 0.1 * y.var(0, correction=0) + 0.9 * variance}
    return torch.tanh(torch.batch_norm(y, p["scale"], p["offset"], None, None, True, 0.0, 1e-5, False)), moved


def siamese(dtype):
    """Both inputs through one encoder."""
    left = [L.FeatureInput(3, name="left"), L.FullyConnected(2, name="encoder"), L.Tanh(), L.Concatenation("C", 2, name="both")]
    return gl.dlnetwork([left, [L.FeatureInput(3, name="right"), L.Shared("encoder")]], connections=[("shared", "both/in2")], dtype=dtype)


def encoded(a, b, p, training):
    return torch.cat([torch.tanh(a @ p["weights"].T + p["bias"]), b @ p["weights"].T + p["bias"]], 1)


INSIDE = gl.dlnetwork([L.FullyConnected(2), L.BatchNormalization(), L.Tanh()], gl.zeros((3, 1), "CB"))

CASES = {
    "Network": [case(L.Network(INSIDE), given("BC", 4, 3), equivalent=block)],
    "Shared": [case(L.Shared("encoder"), given("BC", 2, 3), given("BC", 2, 3), equivalent=encoded, network=siamese)],
}
