"""A report of training as one HTML file that needs nothing else."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from ..monitor import Silent
from .curves import body_of, page_of


class Report(Silent):
    """Writes curves and information into one HTML file when training ends. `say` is told where."""

    def __init__(self, path: Any = "training_progress.html", *, title: str = "Training progress", say: Any = None):
        self.path, self._title, self._say = Path(path), title, say

    def finish(self) -> None:
        """Write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(page_of(body_of(self.monitor), self._title), encoding="utf-8")
        if self._say is not None:
            self._say(f"The report of training is in {self.path.resolve()}")


__all__ = ["Report"]
