"""The catalogue of layers, public as `gradloom.layers`. Sizes are positional, everything else is given by keyword.

A layer is declared in one of the files here and enters itself into the register; nothing lists it.
"""
from __future__ import annotations

import importlib as _importlib
import pkgutil as _pkgutil
from typing import Any

from ...vocabulary.hints import of_layers
from ..registry import CATALOGUE as _CATALOGUE

for _file in _pkgutil.iter_modules(__path__):
    _importlib.import_module(f".{_file.name}", __name__)
globals().update(_CATALOGUE)
__all__ = sorted(_CATALOGUE)


def __getattr__(name: str) -> Any:
    raise AttributeError(of_layers(name, __all__))
