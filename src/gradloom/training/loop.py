"""The loop: source -> queue -> step -> update -> what is told, over one state.

A run is a generator of steps (`first_order` here, those of lbfgs and lm in their files) that moves `loop.state` on and
yields what it recorded; the loop does what comes after a step, whatever the solver.
"""
from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..data import minibatchqueue
from ..data.draws import drawing, drawn_seed
from ..networks.network import dlnetwork
from ..networks.together import together
from .checkpoints import save_checkpoint
from .distributed.group import ALONE, Group
from .distributed.states import combined_state, shares_statistics, summed_by
from .evaluation import Differentiated, Part, Total, evaluated
from .losses import Loss
from .metrics import Metric
from .monitor import TrainingProgressMonitor
from .options import FIRST_ORDER, TrainingOptions
from .sources import Batch, batches, split
from .state import TrainingState

Steps = Callable[["Loop"], Iterator[dict[str, float]]]


class Loop:
    """One run of training: what it moves on is `state`, why it ended `stop_reason`."""

    def __init__(self, state: TrainingState, queue: minibatchqueue, validation: minibatchqueue | None, loss: Loss,
                 metrics: list[Metric], monitor: TrainingProgressMonitor, group: Group = ALONE):
        self.state, self.queue, self.validation = state, queue, validation
        self.loss, self.metrics, self.monitor = loss, metrics, monitor
        self.options: TrainingOptions = state.options
        self.group = group
        # a run that goes on from a checkpoint begins with plain steps: to come to the same bits, all of them are plain
        self.accelerated = self.options.acceleration == "auto" and self.options.checkpoint_path is None
        self.differentiated = Differentiated(loss, self.options.solver in FIRST_ORDER, bool(metrics), self.accelerated)
        self.stop_reason = ""
        self._interrupted = False
        self._only: Batch | None = None
        self._start = time.monotonic() - state.elapsed
        objective = {metric.name: metric for metric in metrics}.get(self.options.objective_metric_name)
        self._larger_is_better = objective is not None and objective.larger_is_better

    def run(self, steps: Steps) -> TrainingState:
        """Step by step until something ends it."""
        self._told("start", {})
        if self.state.data:
            self.queue.restore(self.state.data)
        self.stop_reason = self._reached()  # by a run that had ended, and is resumed
        try:
            with self._interrupts_after_a_step():
                for values in steps(self) if not self.stop_reason else ():
                    self.after(values)
                    if self.stop_reason:
                        break
                self._last_validation()
        except KeyboardInterrupt:
            if self.group.size > 1:
                raise
            self.stop_reason = "interrupted (Ctrl-C)"
        finally:
            self.queue.close()
            if self.validation is not None:
                self.validation.close()
        self.state.elapsed = self.elapsed
        self._told("done", {})
        return self.state

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resumption included."""
        return time.monotonic() - self._start

    def once_more(self) -> Iterator[Batch]:
        """A pass over all mini-batches, empty parts of this process, too; what is drawn for them is the same each
        time."""
        return batches(self.queue, len(self.state.network.input_names), self._seed)

    def everything(self) -> Iterator[Batch]:
        """All mini-batches of the data of which this process has a part; what is drawn for them is the same each
        time."""
        if self._only is not None:  # quick way: the one mini-batch that all data is; the plain one is below
            yield self._only
            return
        for count, batch in enumerate(self.once_more()):
            if self.group.size == 1 or not batch.is_empty:
                yield batch
                if not count and not self.queue.hasdata():
                    self._only = batch

    @property
    def _seed(self) -> int:
        """What decides all that is drawn for the data, in resumed runs, too."""
        return int(self.queue.state()["seed"])

    @contextmanager
    def _interrupts_after_a_step(self) -> Iterator[None]:
        """Processes that train together end after the same step: the first Ctrl-C waits for it, the second does
        not."""
        if self.group.size == 1 or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def wait(number: int, frame: Any) -> None:
            self._interrupted = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, wait)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # ----- after a step -----

    def after(self, values: dict[str, float]) -> None:
        """What follows a step: history, validation, what is told, checkpoints, and whether it was the last."""
        state, options = self.state, self.options
        state.elapsed = self.elapsed
        row = {"iteration": state.iteration, "epoch": state.epoch, "time": state.elapsed, **values}
        state.training.append(**row)
        if not math.isfinite(values["loss"]):
            self.stop_reason = f"the loss is {values['loss']} at iteration {state.iteration}"
            self.monitor.record(state.iteration, **values)
            return
        found = {}
        if self.validation is not None and (state.iteration % options.validation_frequency == 0 or options.dry_run):
            found = self._validate()
        self.monitor.record(state.iteration, **values, **found)
        row.update(found)
        self._tell_progress()
        told = self._told("iteration", row)
        if not self.stop_reason:
            self.stop_reason = self._reason(told)
        if self.group.size > 1:
            self.stop_reason = self.group.agreed(self.stop_reason)
        self._save()

    def _reason(self, told: Any) -> str:
        if isinstance(told, (bool, np.bool_)) and told:
            return "stopped by the output function"
        if self._interrupted:
            return "interrupted (Ctrl-C)"
        if self.monitor.stop:
            return "stopped by hand"
        if self.options.dry_run:
            return "dry run"
        return self._reached()

    def _reached(self) -> str:
        """Which limit is reached; "" where none is."""
        options, state = self.options, self.state
        if state.waited >= options.validation_patience:
            return "validation_patience was reached"
        if state.elapsed >= options.max_time:
            return "max_time was reached"
        if options.max_iterations is not None and state.iteration >= options.max_iterations:
            return "max_iterations was reached"
        if options.solver in FIRST_ORDER and state.epoch > options.max_epochs:  # of a run that goes on with fewer
            return "max_epochs was reached"
        return ""

    def _validate(self) -> dict[str, float]:
        assert self.validation is not None
        state, options = self.state, self.options
        network = state.averaged()
        values = evaluated(network, self.validation, self.loss, self.metrics, self.group, self._seed)
        state.validation.append(iteration=state.iteration, epoch=state.epoch, **values)
        value = values.get(options.objective_metric_name, math.nan)
        best = state.best.get("value", math.nan)
        if math.isnan(best) or (value > best if self._larger_is_better else value < best):
            state.best = {"value": value, "iteration": state.iteration, "network": network}
            state.waited = 0
        else:
            state.waited += 1
        return {f"validation_{name}": value for name, value in values.items()}

    def _last_validation(self) -> None:
        its = self.state.validation.last().get("iteration")
        if self.validation is not None and its != self.state.iteration and not self._broken():
            self.monitor.record(self.state.iteration, **self._validate())

    def _broken(self) -> bool:
        return not math.isfinite(self.state.training.last().get("loss", math.nan))

    def _told(self, when: str, row: dict[str, float]) -> Any:
        function = self.options.output_function
        return None if function is None or self.group.rank else function({"state": when, **row})

    def _tell_progress(self) -> None:
        """How far training is, by passes over the data or by iterations, whichever ends first."""
        if not self.monitor.displays:
            return
        options, state, count = self.options, self.state, self.queue.num_observations
        share = 0.0 if options.max_iterations is None else state.iteration / options.max_iterations
        if count and state.epoch and options.solver not in ("lbfgs", "lm"):
            position = self.queue.state()["position"] / count
            share = max(share, (state.epoch - 1 + min(position, 1.0)) / options.max_epochs)
        status = f"training, epoch {state.epoch} of {options.max_epochs}" if state.epoch else "training"
        if status != self.monitor.status:
            self.monitor.status = status
        self.monitor.progress = 100 * min(share, 1.0)

    def _save(self) -> None:
        options, state = self.options, self.state
        if options.checkpoint_path is None or options.dry_run or self.group.rank:
            return
        count, due = options.checkpoint_frequency, False
        if options.checkpoint_frequency_unit == "iteration" or options.solver in ("lbfgs", "lm"):
            due = state.iteration % count == 0
        elif not self.queue.hasdata():
            due = state.epoch % count == 0
        if due or self.stop_reason:
            state.data = self.queue.state()
            save_checkpoint(state, options.checkpoint_path)


def first_order(loop: Loop) -> Iterator[dict[str, float]]:
    """Steps of a first-order solver: gradients of one mini-batch, or of several that are accumulated."""
    options, queue = loop.options, loop.queue
    inputs = len(loop.state.network.input_names)
    loop.state.iterations_per_epoch = _steps_of_a_pass(queue, options.accumulate)
    if not loop.state.data:
        _begin(queue, options, first=True)
        loop.state.epoch = 1
    while True:
        if not queue.hasdata():
            if loop.state.epoch >= options.max_epochs:
                loop.stop_reason = "max_epochs was reached"
                return
            _begin(queue, options, first=False)
            loop.state.epoch += 1
        total, moved = Total(loop.metrics, loop.group), loop.state.network
        for _ in range(options.accumulate):
            if not queue.hasdata():
                break
            batch = split(queue.next(), inputs, queue.masks)
            moved = _moved(moved, part_of(loop, moved, batch, total, loop.differentiated.of))
        values = total.values()
        gradients = total.gradients(moved.trainable)
        loop.state = loop.state.step(values["loss"], gradients, state=moved.state)
        yield {**values, "learn_rate": loop.state.learn_rate}


def part_of(loop: Loop, net: dlnetwork, batch: Batch, total: Total, of: Callable[..., Part]) -> Any:
    """Add what `of` makes of a mini-batch to the total, and return the network's new state. Each of several processes
    draws from a stream of its own, which one number of the stream that they have in common begins."""
    if loop.group.size == 1:  # quick way: nobody else; the plain one is below
        part = of(net, batch)
        total.add(part, batch)
        return part.state
    seed, shares, empty = drawn_seed(), shares_statistics(net), batch.is_empty
    if empty and not shares:
        return combined_state(loop.group, net, None, 0)
    with drawing("process", seed, loop.group.rank):
        if shares:
            with together(summed_by(loop.group, not empty)):
                part = of(net, batch.of_zeros() if empty else batch, summed=True)
        else:
            part = of(net, batch)
    if empty:
        return combined_state(loop.group, net, None, 0)
    total.add(part, batch)
    return combined_state(loop.group, net, part.state, part.weight)


def _moved(net: dlnetwork, state: Any) -> dlnetwork:
    return net.replace(state=state) if state else net


def _begin(queue: minibatchqueue, options: TrainingOptions, first: bool) -> None:
    """A new pass, in a new order where the options say so. The order of an iterable is its own."""
    if (options.shuffle == "every-epoch" or options.shuffle == "once" and first) and (
            queue.can_shuffle or options.given("shuffle")):
        queue.shuffle()
    else:
        queue.reset()


def _steps_of_a_pass(queue: minibatchqueue, accumulate: int) -> int | None:
    try:
        return -(-len(queue) // accumulate)
    except TypeError:  # an iterable does not say how long it is
        return None


__all__ = ["Loop", "Steps", "first_order", "part_of"]
