"""Layers of several inputs."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers

CASES = {
    "Addition": [
        case(L.Addition(2), given("BCSS", 2, 2, 2, 3), given("BCSS", 2, 2, 2, 3), equivalent=lambda a, b, p, training: a + b),
        case(L.Addition(3), given("BC", 2, 3), given("BC", 2, 3), given("C", 3), equivalent=lambda a, b, c, p, training: a + b + c)],
    "Multiplication": [
        case(L.Multiplication(2), given("BCS", 2, 2, 3), given("BCS", 2, 1, 3), equivalent=lambda a, b, p, training: a * b),
        case(L.Multiplication(3), given("BC", 2, 3), given("BC", 2, 3), given("BC", 2, 3), equivalent=lambda a, b, c, p, training: a * b * c)],
    "Concatenation": [
        case(L.Concatenation("S", 2), given("BCS", 2, 2, 3), given("BCS", 2, 2, 1), equivalent=lambda a, b, p, training: torch.cat([a, b], 2))],
    "DepthConcatenation": [
        case(L.DepthConcatenation(2), given("BCSS", 2, 2, 2, 2), given("BCSS", 2, 1, 2, 2), equivalent=lambda a, b, p, training: torch.cat([a, b], 1))],
}
