"""Training in TensorBoard."""
from __future__ import annotations

from typing import Any

from ...core.errors import needed
from ..monitor import Silent, TrainingProgressMonitor


class TensorBoard(Silent):
    """Writes metrics as scalars, and what is said beside them as text, into a folder for TensorBoard."""

    def __init__(self, folder: Any = "runs"):
        self._folder = folder

    def start(self, monitor: TrainingProgressMonitor) -> None:
        """Open the folder."""
        super().start(monitor)
        needed("tensorboard", "a display in TensorBoard")
        self._writer = needed("torch.utils.tensorboard", "a display in TensorBoard").SummaryWriter(str(self._folder))

    def record(self, step: float, values: dict[str, float]) -> None:
        """One point of each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, int(step))

    def info(self, values: dict[str, Any]) -> None:
        """What is said, as text; the progress is seen in the curves."""
        for name, value in values.items():
            if name != "progress":
                self._writer.add_text(name, str(value))

    def finish(self) -> None:
        """Close the files."""
        self._writer.close()


__all__ = ["TensorBoard"]
