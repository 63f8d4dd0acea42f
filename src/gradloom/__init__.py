"""gradloom: automatic differentiation for deep learning, with Jacobians that know their structure."""
from __future__ import annotations

import builtins as _builtins
from typing import Any as _Any

from . import operations as _operations  # noqa: F401  (fills the table)
from .core.array import dlarray
from .core.errors import BatchDependenceWarning, GradloomError, GradloomWarning, LabelError, ShapeError, TraceError, TypeRefused, nearest
from .core.operation import PUBLIC as _PUBLIC

__version__ = "0.1.0"

globals().update(_PUBLIC)
__all__ = [name for name in [*_PUBLIC, "BatchDependenceWarning", "GradloomError", "GradloomWarning", "LabelError", "ShapeError", "TraceError",
                             "TypeRefused", "dlarray"] if not hasattr(_builtins, name)]
