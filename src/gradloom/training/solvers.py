"""First-order solvers as training calls them: (network, gradients, state, number of the step, learning rate, options) to
(network, state)."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .adaptive import adamupdate, rmspropupdate
from .options import TrainingOptions
from .updates import sgdmupdate

SolverState = tuple[Any, ...]
Solver = Callable[[Any, Any, SolverState, int, float, TrainingOptions], tuple[Any, SolverState]]


def _sgdm(net: Any, gradients: Any, state: SolverState, step: int, rate: float, options: TrainingOptions) -> Any:
    net, velocity = sgdmupdate(net, gradients, *state, learn_rate=rate, momentum=options.momentum)
    return net, (velocity,)


def _adam(net: Any, gradients: Any, state: SolverState, step: int, rate: float, options: TrainingOptions) -> Any:
    decay = options.l2_regularization if options.solver == "adamw" else 0.0
    net, *averages = adamupdate(net, gradients, *(state or (None, None)), step, learn_rate=rate,
                                grad_decay=options.gradient_decay_factor,
                                sq_grad_decay=options.squared_gradient_decay_factor, epsilon=options.epsilon,
                                weight_decay=decay)
    return net, tuple(averages)


def _rmsprop(net: Any, gradients: Any, state: SolverState, step: int, rate: float, options: TrainingOptions) -> Any:
    net, squares = rmspropupdate(net, gradients, *state, learn_rate=rate,
                                 sq_grad_decay=options.squared_gradient_decay_factor, epsilon=options.epsilon)
    return net, (squares,)


BY_NAME: dict[str, Solver] = {"sgdm": _sgdm, "adam": _adam, "adamw": _adam, "rmsprop": _rmsprop}

__all__ = ["BY_NAME", "Solver", "SolverState"]
