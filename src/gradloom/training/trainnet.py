"""trainnet: train a network as the options say."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.array import dlarray
from ..core.errors import TypeRefused, line_of, user_site
from ..core.progress import watched
from ..data import minibatchqueue
from ..machine.random import random_state
from ..networks.network import dlnetwork
from ..vocabulary.hints import PropertiesOfMatlab
from .checkpoints import newest
from .displays.console import Console
from .displays.notebook import NotebookFigure
from .displays.page import LivePage
from .displays.report import Report
from .distributed.group import ALONE, Group
from .distributed.words import share, start
from .history import History
from .levenberg_marquardt import levenberg_marquardt
from .loop import Loop, Steps, first_order
from .losses import loss_of
from .metrics import Metric, metrics_of
from .monitor import Display, TrainingProgressMonitor
from .normalization import Targets, target_statistics, with_input_statistics
from .options import TrainingOptions
from .population import with_population_statistics
from .quasi_newton import quasi_newton
from .sources import queue_of
from .state import TrainingState


@dataclass(frozen=True)
class TrainingInfo(PropertiesOfMatlab):
    """What trainnet tells about a run: histories as tables, why it stopped, which iteration's network it returned."""

    training: History
    validation: History
    stop_reason: str
    iteration: int
    class_names: Any

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.5g}" for name, value in self.training.last().items())
        return f"TrainingInfo({self.stop_reason}; network of iteration {self.iteration}; {last})"


def trainnet(data: Any, /, *given: Any) -> tuple[dlnetwork, TrainingInfo]:
    """Train a network: `net, info = trainnet(data, net, loss, options)`, or `trainnet(x, t, net, loss, options)`.

    data: arrays, a datastore, a sequence or an iterable of observations, a minibatchqueue; its parts are what enters
    the network, then the targets. Arrays without labels are taken as the network's input layer has them, axis B first.
    loss: "crossentropy", "index-crossentropy", "binary-crossentropy", "mse", "mae", "huber", "l1loss", "l2loss", or a
    function of outputs and targets that returns the mean over the observations. Losses and metrics are sums that are
    divided once by their weights: any partition of the data gives the same numbers.

    The network is returned with `info`: info.training and info.validation are tables, info.stop_reason says why it
    ended, info.iteration which iteration's network this is, info.class_names the words of the classes. With validation
    data it is the best network unless output_network says otherwise. Ctrl-C ends training with the network so far. A
    loss that is not finite ends it, too, without the step of that loss.

    Raises TypeRefused for what is none of these, and ends with the errors of the data, the network and the files.

    >>> import gradloom as gl
    >>> gl.rng(0)
    >>> x = gl.rand((64, 1), labels="BC")
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    >>> options = gl.TrainingOptions("sgdm", initial_learn_rate=0.1, max_epochs=40, mini_batch_size=16, verbose=False)
    >>> net, info = gl.trainnet(x, 3 * x, net, "mse", options)
    >>> info.stop_reason, bool(info.training["loss"][-1] < 0.001)
    ('max_epochs was reached', True)

    Source: MATLAB trainnet.
    """
    data, net, loss, options = _arguments(data, given)
    group = _group(options)
    try:
        return _trained(data, net, loss, options, group)
    except BaseException as error:
        group.tell(error)
        raise


def _trained(data: Any, net: dlnetwork, loss: Any, options: TrainingOptions,
             group: Group) -> tuple[dlnetwork, TrainingInfo]:
    home = _device_of(net)
    device = group.device if _is_parallel(options) else _device(options)
    net = net if device is None or device == home else net.to(device=device)
    state, resumed = _state(net, options, group)
    queue = queue_of(data, net, options, loss, device)
    validation = None
    if options.validation_data is not None:
        validation = queue_of(options.validation_data, net, options, loss, device, queue.class_names)
    multilabel = loss == "binary-crossentropy" if isinstance(loss, str) else False
    metrics = metrics_of(options.metrics, multilabel)
    _check_objective(options, metrics)
    measured = loss_of(loss)
    if options.normalize_targets and not state.targets:
        state.targets = group.first(target_statistics(queue, len(net.input_names)))
    targets = Targets(state.targets) if options.normalize_targets else None
    if targets is not None:
        measured, metrics = targets.loss(measured), targets.metrics(metrics)
    if not resumed:
        state.network = with_input_statistics(net, queue, options.reset_input_normalization)
    monitor = _monitor(options, metrics, validation is not None, group.rank == 0)
    if group.size > 1:
        queue, validation = _shared(group, state, queue, validation, resumed)
    if resumed:
        state.restore_random()
    loop = Loop(state, queue, validation, measured, metrics, monitor, group)
    try:
        state = loop.run(_steps(options, loss))
    finally:
        monitor.status = loop.stop_reason or "ended by an error"
        monitor.finish()
    net, iteration = _chosen(state, options)
    if options.batch_normalization_statistics == "population":
        net = with_population_statistics(loop, net)
    group.check_same([*net.learnables.values(), *net.state.values()])
    net = net if targets is None else targets.finished(net)
    net = net if device is None or device == home else net.to(device=home)
    return net, TrainingInfo(state.training, state.validation, loop.stop_reason, iteration, queue.class_names)


def _steps(options: TrainingOptions, loss: Any) -> Steps:
    if options.solver == "lbfgs":
        return quasi_newton
    if options.solver == "lm":
        return levenberg_marquardt(loss)
    return first_order


def _arguments(data: Any, given: Sequence[Any]) -> tuple[Any, dlnetwork, Any, TrainingOptions]:
    way = "write trainnet(data, net, loss, options) or trainnet(x, t, net, loss, options)"
    if len(given) not in (3, 4):
        raise TypeRefused(f"trainnet takes 4 or 5 arguments, {1 + len(given)} were given, at {line_of(user_site())}; "
                          f"{way}")
    *more, net, loss, options = given
    if more:
        data = (*(data if isinstance(data, tuple) else (data,)), *(more[0] if isinstance(more[0], tuple) else more))
    if not isinstance(net, dlnetwork):
        raise TypeRefused(f"trainnet: the network is {type(net).__name__}, at {line_of(user_site())}; {way}, with "
                          "net = dlnetwork(layers)")
    if isinstance(options, str):
        options = TrainingOptions(options)
    if not isinstance(options, TrainingOptions):
        raise TypeRefused(f"trainnet: the options are {type(options).__name__}, at {line_of(user_site())}; write "
                          "TrainingOptions(\"adam\")")
    if isinstance(data, dlarray):
        raise TypeRefused(f"trainnet: the data is one array, without targets, at {line_of(user_site())}; {way}")
    return data, net, loss, options


def _device_of(net: dlnetwork) -> torch.device:
    first = next(iter(net.learnables.values()), None)
    return torch.device("cpu") if first is None else first.device


def _device(options: TrainingOptions) -> torch.device | None:
    """Where training runs: the GPU where there is one, unless the options say otherwise."""
    asked = options.execution_environment
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device("cuda" if asked == "gpu" else asked)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _is_parallel(options: TrainingOptions) -> bool:
    asked = options.execution_environment
    return isinstance(asked, str) and asked.partition("-")[0] == "parallel"


def _group(options: TrainingOptions) -> Group:
    """The processes that train together: those that were started, where the options want several."""
    if not _is_parallel(options):
        return ALONE
    return start(device=str(options.execution_environment).partition("-")[2] or "auto")


def _shared(group: Group, state: TrainingState, queue: minibatchqueue, validation: minibatchqueue | None,
            resumed: bool) -> tuple[minibatchqueue, minibatchqueue | None]:
    """This process's part of the data. The network and the random numbers are those of process 0."""
    if not resumed:
        net, device = state.network, _device_of(state.network)
        sent = group.first({"learnables": net.learnables, "state": net.state,
                            "random": random_state()["streams"]["cpu"]})
        if group.rank:
            state.network = net.replace(learnables=sent["learnables"], state=sent["state"]).to(device=device)
            state.random = {"seed": 0, "streams": {"cpu": sent["random"]}}
            state.restore_random()
    return share(queue), validation if validation is None else share(validation)


def _state(net: dlnetwork, options: TrainingOptions, group: Group) -> tuple[TrainingState, bool]:
    """A new state, or that of the newest whole checkpoint, where the options ask for it and there is one: what process
    0 finds."""
    found = newest(Path(options.checkpoint_path)) if options.resume and group.rank == 0 else None
    found = group.first(found) if options.resume else None
    return (TrainingState(net, options), False) if found is None else (
        TrainingState.of_container(found, net, options), True)


def _check_objective(options: TrainingOptions, metrics: Sequence[Metric]) -> None:
    names = ["loss", *[metric.name for metric in metrics]]
    if options.objective_metric_name not in names:
        raise TypeRefused(f"objective_metric_name is {options.objective_metric_name!r}, and what is measured is "
                          f"{', '.join(names)}, at {line_of(user_site())}; name one of them, or add it to metrics=")


def _chosen(state: TrainingState, options: TrainingOptions) -> tuple[dlnetwork, int]:
    """The network that is returned, and its iteration."""
    # a run that goes on without data to validate with has no best network any more
    if options.output_network != "last-iteration" and options.validation_data is not None and "network" in state.best:
        return state.best["network"], state.best["iteration"]
    return state.averaged(), state.iteration


# ----- what is seen -----


def _monitor(options: TrainingOptions, metrics: Sequence[Metric], validated: bool,
             shown: bool) -> TrainingProgressMonitor:
    """The monitor that was given, which is told to record what training records, or one that shows what the options
    ask for."""
    names = ["loss", *[metric.name for metric in metrics]]
    wanted = [*names, *([f"validation_{name}" for name in names] if validated else ()),
              *{"lm": ["damping"], "lbfgs": []}.get(options.solver, ["learn_rate"])]
    given = options.plots if shown and isinstance(options.plots, TrainingProgressMonitor) else None
    monitor = given or TrainingProgressMonitor(x_label="iteration")
    new = [name for name in wanted if name not in monitor.metrics]
    monitor.metrics = [*monitor.metrics, *new]
    for name in names if validated else ():
        if {name, f"validation_{name}"} <= {*new}:  # what was there is drawn as somebody said
            monitor.group(name, [name, f"validation_{name}"])
    if not shown:  # it is another process that shows
        return monitor
    if options.verbose:
        monitor.displays.append(Console(options.verbose_frequency))
    if options.plots == "training-progress":
        monitor.displays += _places(options)
    return monitor


def _places(options: TrainingOptions) -> list[Display]:
    """What this place can show: a figure in a notebook, a page where somebody sits at a terminal, and else a report."""
    if "ipykernel" in sys.modules:
        return [NotebookFigure()]
    if options.dry_run:
        return []
    return [LivePage(), Report(say=print)] if watched() else [Report(say=print)]


__all__ = ["TrainingInfo", "trainnet"]
