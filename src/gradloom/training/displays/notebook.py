"""Training as a figure in a notebook, drawn anew while it runs."""
from __future__ import annotations

import time
from typing import Any

from ...core.errors import needed
from ..monitor import Silent, TrainingProgressMonitor


class NotebookFigure(Silent):
    """A figure (matplotlib) of every picture of the monitor, drawn anew at most every `seconds`."""

    def __init__(self, seconds: float = 2.0):
        self._seconds, self._drawn = seconds, 0.0
        self._handle: Any = None

    def start(self, monitor: TrainingProgressMonitor) -> None:
        """Make room for the figure."""
        super().start(monitor)
        self._matplotlib = needed("matplotlib", "a figure of training")
        display = needed("IPython.display", "a figure in a notebook")
        self._handle = display.display(self.figure(), display_id=True)

    def record(self, step: float, values: dict[str, float]) -> None:
        """Draw, where its time has come."""
        if time.monotonic() - self._drawn > self._seconds:
            self._draw()

    def finish(self) -> None:
        """Draw a last time."""
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._handle is not None:
            self._handle.update(self.figure())

    def figure(self) -> Any:
        """The curves as a matplotlib figure."""
        from matplotlib.figure import Figure

        pictures = self.monitor.pictures()
        figure = Figure(figsize=(5 * max(1, len(pictures)), 3), layout="constrained")
        for k, (name, metrics) in enumerate(pictures.items()):
            axes = figure.add_subplot(1, len(pictures), k + 1)
            for metric in metrics:
                axes.plot(*self.monitor.recorded[metric], label=metric)
            axes.set(title=name, xlabel=self.monitor.x_label, yscale=self.monitor.scales.get(name, "linear"))
            if len(metrics) > 1:
                axes.legend()
        return figure


__all__ = ["NotebookFigure"]
