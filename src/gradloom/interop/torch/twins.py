"""Torch's functions that are the same here, with the same arguments: the declarations of the operations say which.

What has other arguments in torch has an adapter in one of the other files, and its operation's declaration does not
name it.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...core.operation import Operation
from ...core.tables import PUBLIC
from ..protocol import cast
from .losses import FUNCTIONS  # after all adapters: what they state is not the same
from .table import RULES, axes

_FAMILIES: dict[str, Any] = {"linalg": torch.linalg, "fft": torch.fft, "special": torch.special}


def _there(name: str) -> Any:
    """Torch's function of a name, None where there is none."""
    family, _, word = name.rpartition(".")
    for place in [_FAMILIES.get(family)] if family else [torch, torch.nn.functional, torch.Tensor]:
        if (found := getattr(place, word, None)) is not None:
            return found
    return None


def _takes(function: Any) -> tuple[int, set[str]]:
    """How many arrays one of our functions takes, and its options."""
    parameters = inspect.signature(function).parameters.values()
    arrays = [p for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    return len(arrays), {p.name for p in parameters if p not in arrays}


def _twins(function: Any, plain: bool) -> Iterator[str]:
    """The names in torch of a public function; `plain`: one of one or two arrays, without options."""
    operation: Operation = function.operation
    if operation.torch is not None:
        yield from operation.torch
    elif (operation.kind == "elementwise" and plain and (theirs := _there(operation.name)) is not None
          and callable(theirs) and operation.name not in FUNCTIONS):
        yield operation.name


def _adapter(function: Any, name: str) -> Callable[..., Any]:
    """One of our functions with torch's argument names."""
    count, options = _takes(function)
    if count == 1 and {"axis", "keepdims"} <= options:
        return lambda input, dim=None, keepdim=False, *, dtype=None: function(
            cast(input, dtype), axis=axes(dim) if input.ndim else None, keepdims=keepdim)
    if options or count not in (1, 2):
        raise TypeError(
            f"{name} is said to be {function.__name__}{inspect.signature(function)}, whose arguments need an adapter")
    if count == 2:
        return lambda input, other: function(input, other)
    if name.startswith("linalg."):
        return lambda A: function(A)
    theirs = getattr(torch.nn.functional, name, None)
    if theirs is not None and not inspect.isbuiltin(theirs) and "inplace" in inspect.signature(theirs).parameters:
        return lambda input, inplace=False: function(input)
    return lambda input: function(input)


# by torch's name and the number of arguments: our functions that take these as they are
PASSED_ON: dict[tuple[str, int], Callable[..., Any]] = {}
TWINS: dict[str, tuple[str, ...]] = {}  # for each public function, the names of torch that are it


def twin(function: Any) -> Any:
    """Torch's own function that one of ours is, None where no declaration says so."""
    return next((found for name in TWINS.get(function.__name__, ()) if (found := _there(name)) is not None), None)


def _state(function: Any) -> None:
    count, options = _takes(function)
    plain = count in (1, 2) and not options
    TWINS[function.__name__] = names = tuple(_twins(function, plain))
    for name in names:
        if name.startswith("prims.") or name.startswith("_") and not name.startswith("__"):
            RULES[name] = function  # ATen's operations, whose arguments come by position
        elif _there(name) is None:
            raise AttributeError(f"torch has no {name}, which {function.__name__} is said to be")
        else:
            FUNCTIONS[name] = _adapter(function, name)
            if plain:
                PASSED_ON[name, count] = function


for _public in PUBLIC.values():
    if getattr(_public, "operation", None) is not None:
        _state(_public)
