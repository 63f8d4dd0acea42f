"""A differential equation as a layer."""
from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from ...core.errors import TypeRefused, line_of, user_site
from ...derivatives.ode.ode import dlode45, times_of
from ..body import WithBody
from ..layer import Layer
from ..layout import Layout
from ..options import check_choice


class NeuralODE(Layer):
    """The solution of dy/dt = network(y), y(tspan[0]) = x, at the times that follow in `tspan`.

    Formula: that of `dlode45`, steps of Dormand and Prince's method of order 4(5). `tspan` is a list, a tuple or an
    array of times, all increasing or all decreasing. With two times y is the solution at
    the last, in the layout of x; with more, the solutions at tspan[1:] along a last axis T. `network` takes one array
    and returns one of its shape; it runs in use, not in training, whatever the layer does, so that each step sees the
    same function. Its parameters are called ("neuralode/fc", "weights"). `gradient_mode="adjoint"` solves the adjoint
    equation backwards, and its memory does not grow with the number of steps; "direct" differentiates the steps, to any
    order.

    >>> import gradloom as gl
    >>> function = gl.dlnetwork([gl.layers.FullyConnected(2), gl.layers.Tanh()], gl.zeros((2, 1), "CB"))
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.NeuralODE(function, (0.0, 1.0))])
    >>> net(gl.zeros((2, 3), "CB")).sizes
    {'C': 2, 'B': 3}

    Raises ShapeError where the network returns another shape, GradloomError where steps become too small.

    Source: Chen, Rubanova, Bettencourt, Duvenaud 2018; MATLAB neuralODELayer.
    """

    network: Any
    tspan: tuple[float, ...]
    gradient_mode: str = field(default="direct", kw_only=True)
    relative_tolerance: float = field(default=1e-3, kw_only=True)
    absolute_tolerance: float = field(default=1e-6, kw_only=True)
    initial_step_size: float | None = field(default=None, kw_only=True)
    max_step_size: float | None = field(default=None, kw_only=True)

    matlab: ClassVar[str] = "neuralODELayer"

    def __post_init__(self) -> None:
        if not isinstance(self.network, WithBody):
            raise TypeRefused(f"NeuralODE takes a dlnetwork, not {type(self.network).__name__}, at "
                              f"{line_of(user_site())}; write NeuralODE(dlnetwork([...]), (0.0, 1.0))")
        names = self.network._body.input_names
        if len(names) > 1:
            raise TypeRefused(f"NeuralODE takes a network of one input, y, not of {', '.join(names)}, at "
                              f"{line_of(user_site())}")
        self.__dict__["tspan"] = times_of(self.tspan, "NeuralODE")
        check_choice(self, "gradient_mode", ("direct", "adjoint"))

    def initialize(self, layout: Layout) -> None:
        if not self.network.initialized:
            self.network = self.network.initialize(layout)

    def predict(self, x: Any) -> Any:
        return dlode45(self.network, self.tspan, x, gradient_mode=self.gradient_mode,
                       relative_tolerance=self.relative_tolerance, absolute_tolerance=self.absolute_tolerance,
                       initial_step_size=self.initial_step_size, max_step_size=self.max_step_size)


__all__ = ["NeuralODE"]
