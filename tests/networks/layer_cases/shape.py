"""Layers that move entries and compute nothing, and layers of functions."""

from layer_checks import case, given

import gradloom as gl

L = gl.layers


def squared(x):
    return x * x + gl.sum(x, axis="C", keepdims=True)


CASES = {
    "Flatten": [
        case(L.Flatten(), given(labels, *shape), equivalent=lambda x, p, training: x.flatten(1))
        for labels, shape in (("BCS", (2, 3, 2)), ("BCSS", (2, 3, 2, 2)), ("BCSSS", (2, 2, 1, 3, 2)))],
    "Function": [case(L.Function(squared), given("BC", 2, 3), equivalent=lambda x, p, training: x * x + x.sum(1, keepdim=True))],
}
