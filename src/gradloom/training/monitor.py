"""TrainingProgressMonitor: what training records and says about itself, and a request to stop; displays show it."""
from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

from ..core.errors import TypeRefused, line_of, user_site
from ..vocabulary.hints import MonitorWords
from ..vocabulary.misspelled import nearest


class Display(Protocol):
    """A place where a monitor is shown. What it is told stands in the monitor, too."""

    def start(self, monitor: TrainingProgressMonitor) -> None:
        """Training begins."""

    def record(self, step: float, values: dict[str, float]) -> None:
        """Metrics at a step."""

    def info(self, values: dict[str, Any]) -> None:
        """What is said beside them: text and numbers, the status and the progress among them."""

    def stop_requested(self) -> bool:
        """Whether somebody asked to stop, here."""

    def finish(self) -> None:
        """Training ended."""


class Silent:
    """A display that does nothing, for those that do a part."""

    def start(self, monitor: TrainingProgressMonitor) -> None:
        """Training begins."""
        self.monitor = monitor

    def record(self, step: float, values: dict[str, float]) -> None:
        """Metrics at a step."""

    def info(self, values: dict[str, Any]) -> None:
        """What is said beside them."""

    def stop_requested(self) -> bool:
        """Whether somebody asked to stop, here."""
        return False

    def finish(self) -> None:
        """Training ended."""


class TrainingProgressMonitor(MonitorWords):
    """Metrics, information and a stop button for a training loop, yours or trainnet's (`plots=monitor`).

    metrics and info are names; recording one that was not named is an error. displays are places that show them
    (`gl.displays`): none shows nothing and keeps everything. `monitor.stop` is True once somebody asked to stop; the
    loop tests it. `progress` is 0 to 100, `status` a text; both are assigned. Time begins when the monitor is made.

    >>> import gradloom as gl
    >>> monitor = gl.TrainingProgressMonitor(metrics=["loss"], info=["epoch"], x_label="iteration")
    >>> for k in range(1, 4):
    ...     gl.record_metrics(monitor, k, loss=1 / k)
    >>> gl.update_info(monitor, epoch=1)
    >>> monitor.recorded["loss"]
    ([1, 2, 3], [1.0, 0.5, 0.3333333333333333])

    Source: MATLAB trainingProgressMonitor.
    """

    def __init__(self, *, metrics: Sequence[str] = (), info: Sequence[str] = (), x_label: str = "step",
                 displays: Sequence[Display] = ()):
        self._metrics, self._info_names = list(_names(metrics, "metrics")), list(_names(info, "info"))
        self.x_label = x_label
        self.displays = list(displays)
        self.recorded: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in self._metrics}
        self.said: dict[str, Any] = {name: "" for name in self._info_names}
        self.groups: dict[str, list[str]] = {}
        self.scales: dict[str, str] = {}
        self._began = time.monotonic()
        self._ended: float | None = None
        self._stop = self._started = False
        self._progress, self._status = 0.0, ""

    # ----- what it is -----

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is recorded."""
        return tuple(self._metrics)

    @metrics.setter
    def metrics(self, names: Sequence[str]) -> None:
        self._metrics = list(_names(names, "metrics"))
        self.recorded = {name: self.recorded.get(name, ([], [])) for name in self._metrics}

    @property
    def info_names(self) -> tuple[str, ...]:
        """The names of what is said beside the metrics."""
        return tuple(self._info_names)

    @property
    def elapsed(self) -> float:
        """Seconds since the monitor was made, until training ended."""
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    @property
    def stop(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop or any(display.stop_requested() for display in self.displays)

    @stop.setter
    def stop(self, value: bool) -> None:
        self._stop = bool(value)

    @property
    def progress(self) -> float:
        """How far training is, from 0 to 100."""
        return self._progress

    @progress.setter
    def progress(self, value: float) -> None:
        if not 0 <= value <= 100:
            raise TypeRefused(f"monitor.progress is a number from 0 to 100, not {value!r}, at {line_of(user_site())}; "
                              "write 100 * step / steps")
        self._progress = float(value)
        self._tell({"progress": self._progress})

    @property
    def status(self) -> str:
        """What training does now, in words."""
        return self._status

    @status.setter
    def status(self, value: str) -> None:
        self._status = str(value)
        self._tell({"status": self._status})

    # ----- the four words -----

    def start(self) -> None:
        """Training begins; recording does it, too."""
        if not self._started:
            self._started = True
            for display in self.displays:
                display.start(self)

    def record(self, step: float, /, **values: Any) -> None:
        """Metrics at a step."""
        self.start()
        found = {}
        for name, value in values.items():
            if name not in self.recorded:
                raise TypeRefused(f"the monitor records no metric {name!r}{nearest(name, self._metrics)}, at "
                                  f"{line_of(user_site())}; write TrainingProgressMonitor(metrics="
                                  f"{[*self._metrics, name]!r})")
            found[name] = float(value)
            steps, its = self.recorded[name]
            its.append(found[name])
            steps.append(step)
        for display in self.displays:
            display.record(step, found)

    def info(self, **values: Any) -> None:
        """What is said beside the metrics."""
        self.start()
        for name in values:
            if name not in self.said:
                raise TypeRefused(f"the monitor has no information {name!r}{nearest(name, self._info_names)}, at "
                                  f"{line_of(user_site())}; write TrainingProgressMonitor(info="
                                  f"{[*self._info_names, name]!r})")
        self.said.update(values)
        self._tell(values)

    def stop_requested(self) -> bool:
        """The same as `stop`."""
        return self.stop

    def finish(self) -> None:
        """Training ended: displays are closed, reports are written."""
        self.start()
        if self._ended is None:
            self._ended = time.monotonic()
            for display in self.displays:
                display.finish()

    # ----- how it looks -----

    def group(self, name: str, metrics: Sequence[str]) -> None:
        """Draw metrics in one picture."""
        for metric in _names(metrics, "metrics"):
            if metric not in self.recorded:
                raise TypeRefused(f"the monitor records no metric {metric!r}{nearest(metric, self._metrics)}, at "
                                  f"{line_of(user_site())}; name it in metrics=")
            for members in self.groups.values():
                if metric in members:
                    members.remove(metric)
        self.groups[name] = list(_names(metrics, "metrics"))

    def pictures(self) -> dict[str, list[str]]:
        """The metrics of each picture: the groups, and each metric that is in none."""
        grouped = {metric for members in self.groups.values() for metric in members}
        alone = {metric: [metric] for metric in self._metrics if metric not in grouped}
        return {**{name: its for name, its in self.groups.items() if its}, **alone}

    def _tell(self, values: dict[str, Any]) -> None:
        for display in self.displays if self._started else ():
            display.info(values)

    def __repr__(self) -> str:
        last = {name: its[-1] for name, (_, its) in self.recorded.items() if its}
        shown = ", ".join(f"{name}={value:.4g}" for name, value in last.items())
        return (f"TrainingProgressMonitor({shown}{', ' if shown else ''}progress={self._progress:.0f}, "
                f"status={self._status!r})")


def _names(given: Any, what: str) -> Sequence[str]:
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(name, str) for name in names):
        raise TypeRefused(f"{what} are names, not {given!r}, at {line_of(user_site())}; write {what}=[\"loss\"]")
    return names


# ----- MATLAB's functions -----


def record_metrics(monitor: TrainingProgressMonitor, step: float, /, **values: Any) -> None:
    """Record metrics at a step: `record_metrics(monitor, iteration, loss=loss)`.

    Source: MATLAB recordMetrics.
    """
    monitor.record(step, **{name: _plain(value) for name, value in values.items()})


def update_info(monitor: TrainingProgressMonitor, /, **values: Any) -> None:
    """Say what a monitor shows beside its metrics: `update_info(monitor, epoch=3)`.

    Source: MATLAB updateInfo.
    """
    monitor.info(**values)


def group_subplot(monitor: TrainingProgressMonitor, group: str, metrics: Sequence[str], /, *,
                  scale: str = "linear") -> None:
    """Draw metrics in one picture, with a "linear" or a "log" axis: `group_subplot(monitor, "losses", ["a", "b"])`.

    Source: MATLAB groupSubPlot and yscale.
    """
    if scale not in ("linear", "log"):
        raise TypeRefused(f"a scale is \"linear\" or \"log\", not {scale!r}, at {line_of(user_site())}")
    monitor.group(group, metrics)
    monitor.scales[group] = scale


def _plain(value: Any) -> float:
    value = value.item() if hasattr(value, "item") else value
    return math.nan if value is None else float(value)


__all__ = ["Display", "Silent", "TrainingProgressMonitor", "group_subplot", "record_metrics", "update_info"]
