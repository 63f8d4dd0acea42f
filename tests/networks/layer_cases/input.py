"""Input layers: what they take and return."""

from layer_checks import case, given

import gradloom as gl

L = gl.layers


def same(x, p, training):
    return x


CASES = {
    "FeatureInput": [case(L.FeatureInput(3), given("BC", 2, 3), equivalent=same), case(L.FeatureInput(3), given("C", 3), equivalent=same)],
    "ImageInput": [case(L.ImageInput((3, 4, 2)), given("BCSS", 2, 2, 3, 4), equivalent=same)],
}
