"""TrainingState: the one object that training moves on, that a checkpoint writes, and that processes agree on."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..core.errors import TypeRefused, line_of, user_site
from ..machine.random import random_state, restore_random_state
from ..networks.network import dlnetwork
from .clipping import clip_gradients
from .combination import combined
from .history import History
from .options import FIRST_ORDER, TrainingOptions
from .schedules import piecewise_learn_rate, scheduled_learn_rate
from .solvers import BY_NAME


class TrainingState:
    """Where training is: the network, the solver's state, counts, place in the data, best network, histories.

    `TrainingState(net, "adam")` begins; the second argument may be TrainingOptions. In a custom loop each step gives
    the next state, and what it was is not changed: `state = state.step(loss, gradients)`.

    network: the network so far. iteration: the steps that are behind, epoch: the passes that began. solver_state: what
    the solver carries. data: the place in the data, as `queue.state()` gives it. random: the random generators. best:
    the best network, with its iteration and objective. average: exponential averages of the learnables. targets: mean
    and deviation of the targets, where they are normalized. training, validation: the histories.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    >>> state = gl.TrainingState(net, gl.TrainingOptions("sgdm", initial_learn_rate=0.5, momentum=0.0))
    >>> ones = gl.dlupdate(lambda p: gl.ones(p.shape, like=p), net.learnables)
    >>> after = state.step(1.0, ones)
    >>> after.network.learnables["fc", "bias"], after.iteration
    (1 dlarray float32
    [-0.5], 1)
    """

    def __init__(self, network: dlnetwork, solver: Any = "sgdm", /):
        if not isinstance(network, dlnetwork):
            raise TypeRefused(f"TrainingState takes a network first, not {type(network).__name__}, at "
                              f"{line_of(user_site())}; write TrainingState(net, \"adam\")")
        self.options = solver if isinstance(solver, TrainingOptions) else TrainingOptions(solver)
        self.network = network
        self.solver_state: tuple[Any, ...] = ()
        self.iteration = self.epoch = 0
        self.iterations_per_epoch: int | None = None
        self.learn_rate = self.options.initial_learn_rate
        self.data: dict[str, Any] = {}
        self.random: dict[str, Any] = {}
        self.best: dict[str, Any] = {}
        self.waited = 0  # validations since the best one
        self.elapsed = 0.0  # seconds
        self.average: Any = None
        self.targets: dict[str, Any] = {}
        self.training, self.validation = History(), History()

    def __repr__(self) -> str:
        return f"TrainingState({self.options.solver!r}, iteration={self.iteration}, epoch={self.epoch})"

    # ----- a step -----

    def step(self, loss: Any, gradients: Any, *, state: Any = None) -> TrainingState:
        """The next state: L2 regularization, clipping, the schedule's learning rate, the solver's update.

        `gradients` is what dlgradient returned for `network.learnables` (or `network.trainable`, or for some of them,
        which then change alone); `state` what `forward` returned with return_state=True. Where the loss is not a finite
        number nothing is changed but the iteration: gradients of it are none. The solver is a first-order one.
        """
        options = self.options
        if options.solver not in FIRST_ORDER:
            raise TypeRefused(f"{options.solver} asks for values again and has no single steps, at "
                              f"{line_of(user_site())}; write trainnet, or a solver of {', '.join(FIRST_ORDER)}")
        new = self._copied()
        new.iteration += 1
        if not math.isfinite(float(loss)):
            return new
        net = self.network
        gradients = _of_trained(net, gradients)
        if options.l2_regularization and options.solver != "adamw":
            gradients = regularized(net, gradients, options.l2_regularization)
        if options.gradient_threshold != math.inf:
            gradients = clip_gradients(gradients, options.gradient_threshold, options.gradient_threshold_method)
        new.learn_rate = self._learn_rate(new.iteration)
        net, new.solver_state = BY_NAME[options.solver](net, gradients, self.solver_state, new.iteration,
                                                        new.learn_rate, options)
        new.network = net.replace(state=state) if state else net
        if options.average_weights is not None:
            decay = options.average_weights
            before = self.network.learnables if self.average is None else self.average
            new.average = combined(before, new.network.learnables, decay, 1 - decay)
        return new

    def advanced(self, network: dlnetwork, solver_state: tuple[Any, ...]) -> TrainingState:
        """The next state, of a solver that made its step itself."""
        new = self._copied()
        new.network, new.solver_state, new.iteration = network, solver_state, self.iteration + 1
        return new

    def _copied(self) -> TrainingState:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def _learn_rate(self, iteration: int) -> float:
        options = self.options
        schedule = options.learn_rate_schedule
        if isinstance(schedule, str) and schedule == "none":
            return options.initial_learn_rate
        its = list(schedule) if isinstance(schedule, (list, tuple)) else [schedule]
        for k, one in enumerate(its):
            if isinstance(one, str) and one == "piecewise":
                its[k] = piecewise_learn_rate(drop_factor=options.learn_rate_drop_factor,
                                              period=options.learn_rate_drop_period)
        return scheduled_learn_rate(its, options.initial_learn_rate, iteration, max(self.epoch, 1),
                                    self.iterations_per_epoch)

    def averaged(self) -> dlnetwork:
        """The network with the averages of its learnables, where they are kept."""
        return self.network if self.average is None else self.network.replace(learnables=self.average)

    # ----- as a container, for files -----

    def container(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as a container of arrays, numbers and text. Of networks it holds the
        parameters: their layers may have functions of yours, which no file holds."""
        best = {name: _parameters(value) if name == "network" else value for name, value in self.best.items()}
        return {
            "version": 1, "solver": self.options.solver, "network": _parameters(self.network),
            "solver_state": list(self.solver_state), "iteration": self.iteration, "epoch": self.epoch,
            "learn_rate": self.learn_rate, "data": self.data, "random": random_state(), "best": best,
            "waited": self.waited, "elapsed": self.elapsed, "average": self.average,
            "targets": self.targets,
            "training": {name: self.training[name] for name in self.training},
            "validation": {name: self.validation[name] for name in self.validation}}

    @classmethod
    def of_container(cls, given: dict[str, Any], network: dlnetwork, options: Any = None) -> TrainingState:
        """The state that a container holds, of a network like the one that it was saved from."""
        made = cls(network.replace(**given["network"]), given["solver"] if options is None else options)
        if made.options.solver != given["solver"]:
            raise TypeRefused(f"the checkpoint is of the solver {given['solver']!r}, the options are of "
                              f"{made.options.solver!r}, at {line_of(user_site())}; give the options of the run that "
                              "wrote it, or another checkpoint_path")
        for name in ("iteration", "epoch", "learn_rate", "data", "random", "waited", "elapsed", "average",
                     "targets"):
            setattr(made, name, given[name])
        made.best = {name: network.replace(**value) if name == "network" else value
                     for name, value in given["best"].items()}
        made.solver_state = tuple(given["solver_state"])
        made.training, made.validation = History(given["training"]), History(given["validation"])
        return made

    def restore_random(self) -> None:
        """Set this thread's random generators to where they were."""
        if self.random:
            restore_random_state(self.random)


def _parameters(network: dlnetwork) -> dict[str, Any]:
    return {"learnables": network.learnables, "state": network.state}


def _of_trained(net: dlnetwork, gradients: Any) -> Any:
    """Gradients without those of frozen parameters, which no norm counts."""
    keys, places = net.settings.trainable
    if places is None or not isinstance(gradients, Mapping):
        return gradients
    frozen = frozenset(net.settings) - frozenset(keys)
    return {key: g for key, g in gradients.items() if key not in frozen}


def regularized(net: dlnetwork, gradients: Any, factor: float) -> Any:
    """Gradients with factor times each weight added, as its L2 factor says."""
    weights: Mapping[Any, Any] = net.learnables
    factors = [factor * net.settings[key].l2_factor for key in gradients]
    if len(gradients) != len(weights):
        weights = {key: weights[key] for key in gradients}
    return combined(gradients, weights, 1.0, factors)


__all__ = ["TrainingState", "regularized"]
