"""Counts the Python calls inside gradloom of a few everyday journeys, once everything is warm.

    python tools/count_calls.py            how many calls each journey makes
    python tools/count_calls.py jacobian   those of one journey, by function

A call is a "call" event of `sys.setprofile` whose code lies in src/gradloom, or was written out by it: functions,
methods, generators that are resumed and comprehensions alike. So the count is exact and the same on every machine.
"""
from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gradloom as gl

HOUSE = str(Path(gl.__file__).parent)
WARM = 40  # runs before the count: then walks have been written out and plans are known


def calls(journey: Callable[[], Any]) -> Counter[str]:
    """The calls inside gradloom while a journey runs once, by function."""
    found: list[Any] = []

    def hook(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            found.append(frame.f_code)

    sys.setprofile(hook)
    try:
        journey()
    finally:
        sys.setprofile(None)
    return Counter(_named(code) for code in found if code.co_filename.startswith((HOUSE, "<gradloom ")))


def _named(code: Any) -> str:
    return f"{code.co_filename.removeprefix(HOUSE).lstrip('/')} {code.co_qualname}"


def count(name: str) -> Counter[str]:
    """The calls of one journey that has been made before, by function."""
    start, runs = JOURNEYS[name]
    journey = start()
    for _ in range(runs):
        journey()
    return calls(journey)


# ----- the journeys ---------------------------------------------------------------------------------------------------


def rosenbrock() -> Callable[[], Any]:
    """Value and gradient of Rosenbrock's function, at a place in a program that was never met before."""
    x = gl.dlarray([-1.0, 2.0])

    def function(x: Any) -> Any:
        y = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        return y, gl.dlgradient(y, x)

    function.__code__ = function.__code__.replace()
    return lambda: gl.dlfeval(function, x)


def jacobian() -> Callable[[], Any]:
    """The structured Jacobian of two dense layers with respect to all their learnables."""
    net = gl.dlnetwork([gl.layers.FeatureInput(5), gl.layers.FullyConnected(7), gl.layers.Tanh(),
                        gl.layers.FullyConnected(3)])
    x = gl.dlarray(np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4), "CB")
    return lambda: gl.dlfeval(lambda net, x: gl.dljacobian(net.forward(x), net.learnables), net, x)


def torch_sin() -> Callable[[], Any]:
    """torch.sin of an untraced array."""
    x = gl.dlarray([1.0, 2.0])
    return lambda: torch.sin(x)


def numpy_sin() -> Callable[[], Any]:
    """np.sin of an untraced array."""
    x = gl.dlarray([1.0, 2.0])
    return lambda: np.sin(x)


class Cube(gl.Layer):
    """w x**3, with a backward of its own."""

    w: gl.Learnable

    def initialize(self, layout: Any) -> None:
        self.w = gl.full((1,), 2.0)

    def predict(self, x: Any) -> Any:
        return self.w * x ** 3

    def backward(self, x: Any, y: Any, y_bar: Any) -> Any:
        return 3 * self.w * x ** 2 * y_bar, gl.reshape(gl.sum(y_bar * x ** 3), (1,))


def own_backward() -> Callable[[], Any]:
    """A dense layer and one with a backward of its own, traced."""
    net = gl.dlnetwork([gl.layers.FeatureInput(5), gl.layers.FullyConnected(5), Cube()])
    x = gl.dlarray(np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4), "CB")
    return lambda: gl.dlfeval(lambda net, x: net.forward(x), net, x)


JOURNEYS: dict[str, tuple[Callable[[], Callable[[], Any]], int]] = {
    "rosenbrock": (rosenbrock, 3), "rosenbrock_written_out": (rosenbrock, WARM), "jacobian": (jacobian, WARM),
    "torch_sin": (torch_sin, WARM), "numpy_sin": (numpy_sin, WARM), "own_backward": (own_backward, WARM)}


def main() -> None:
    """Print what was asked for."""
    for name in sys.argv[1:]:
        for function, times in count(name).most_common():
            print(f"{times:5} {function}")
    for name in sys.argv[1:] or JOURNEYS:
        print(f"{count(name).total():5} {name}")


if __name__ == "__main__":
    main()
