"""What is declared: operations by name, and the public functions."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .operation import Operation

OPERATIONS: dict[str, Operation] = {}
PUBLIC: dict[str, Callable[..., Any]] = {}
