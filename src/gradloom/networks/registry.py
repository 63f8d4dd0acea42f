"""The register of layers: each class of the catalogue enters itself where it is declared, and nobody lists it again.

`gradloom.layers`, its stub, MATLAB's names, the docs' table and the tests read it here.
"""
from __future__ import annotations

from typing import Any

from ..vocabulary.matlab import name_layer

CATALOGUE: dict[str, Any] = {}  # the layers of this library by name; those that users declare are their own
_HOME = f"{__name__.rpartition('.')[0]}.layers."


def enter(cls: Any) -> None:
    """Put a layer class of this library into the catalogue, and its MATLAB name into the vocabulary."""
    if not cls.__module__.startswith(_HOME) or cls.__name__.startswith("_"):
        return
    CATALOGUE[cls.__name__] = cls
    if cls.__dict__.get("matlab") is not None:
        name_layer(cls.matlab, cls.__name__)


__all__ = ["CATALOGUE", "enter"]
