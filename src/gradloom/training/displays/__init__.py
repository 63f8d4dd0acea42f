"""Where a monitor shows training: console, notebook, TensorBoard, a page on this machine, a report in a file."""
from .board import TensorBoard
from .console import Console
from .notebook import NotebookFigure
from .page import LivePage
from .report import Report

__all__ = ["Console", "LivePage", "NotebookFigure", "Report", "TensorBoard"]
