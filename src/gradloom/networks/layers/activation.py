"""Activation layers: elementwise functions, and softmax over the channels."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...operations.elementwise import gelu, leakyrelu, relu, sigmoid, tanh
from ...operations.softmax import softmax
from ..layer import Layer


class ReLU(Layer):
    """max(x, 0), with derivative 0 at 0. Source: MATLAB reluLayer."""

    def predict(self, x: Any) -> Any:
        return relu(x)


class LeakyReLU(Layer):
    """x where x > 0, else `scale` x. Source: MATLAB leakyReluLayer."""

    scale: float = field(default=0.01, kw_only=True)

    def predict(self, x: Any) -> Any:
        return leakyrelu(x, self.scale)


class Tanh(Layer):
    """The hyperbolic tangent. Source: MATLAB tanhLayer."""

    def predict(self, x: Any) -> Any:
        return tanh(x)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)). Source: MATLAB sigmoidLayer."""

    def predict(self, x: Any) -> Any:
        return sigmoid(x)


class GELU(Layer):
    """x / 2 (1 + erf(x / sqrt(2))); `approximation="tanh"` is the cheaper formula with tanh. Source: MATLAB geluLayer."""

    approximation: str = field(default="none", kw_only=True)

    default_name: ClassVar[str] = "gelu"

    def predict(self, x: Any) -> Any:
        return gelu(x, approximation=self.approximation)


class Softmax(Layer):
    """Positive numbers that sum to 1 over C. Source: MATLAB softmaxLayer."""

    def predict(self, x: Any) -> Any:
        return softmax(x)
