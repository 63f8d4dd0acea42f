"""Training on the console: a table of lines, and on a terminal a bar below it."""
from __future__ import annotations

from typing import Any

from ...core.progress import watched
from ..monitor import Silent, TrainingProgressMonitor


class Console(Silent):
    """A line for every `frequency` steps and for each validation; a bar (tqdm, where it is installed) on a terminal."""

    def __init__(self, frequency: int = 50):
        self._frequency = frequency
        self._bar: Any = None
        self._headed = False
        self._last: tuple[float, dict[str, float]] | None = None
        self._shown = -1.0

    def start(self, monitor: TrainingProgressMonitor) -> None:
        """Open the bar."""
        super().start(monitor)
        if watched():
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return
            self._bar = tqdm(total=100, desc="training", unit="%", leave=False,
                             bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}")

    def record(self, step: float, values: dict[str, float]) -> None:
        """A line, where its time has come."""
        self._last = step, values
        if step == 1 or step % self._frequency == 0 or any(name.startswith("validation") for name in values):
            self._line(step, values)
        if self._bar is not None and "loss" in values:
            self._bar.set_postfix(loss=f"{values['loss']:.4g}", refresh=False)

    def info(self, values: dict[str, Any]) -> None:
        """Move the bar."""
        if self._bar is not None and "progress" in values:
            self._bar.update(values["progress"] - self._bar.n)

    def finish(self) -> None:
        """The last line, and how it ended."""
        if self._last is not None and self._last[0] != self._shown:
            self._line(*self._last)
        if self._bar is not None:
            self._bar.close()
        print(f"Training ended: {self.monitor.status}", flush=True)

    def _line(self, step: float, values: dict[str, float]) -> None:
        names = self.monitor.metrics
        if self._bar is not None:
            self._bar.clear()
        if not self._headed:
            self._headed = True
            print("  ".join([f"{self.monitor.x_label:>9}", f"{'time':>8}", *[f"{name:>{_width(name)}}" for name in names]]))
        cells = [f"{values[name]:{_width(name)}.5g}" if name in values else " " * _width(name) for name in names]
        print("  ".join([f"{step:9g}", f"{self.monitor.elapsed:7.1f}s", *cells]).rstrip(), flush=True)
        self._shown = step


def _width(name: str) -> int:
    return max(10, len(name))


__all__ = ["Console"]
