"""Methods and attributes of torch's tensors on dlarrays, for torch's own code alone.

A function of torch's that is written in Python may ask its argument for `x.layout` or `x.expand(...)` before anything
else. There, and nowhere else, a dlarray answers: what is asked runs as torch code (aten/recording.py). Everywhere else
an array has the methods of this library, and asking for others is the usual AttributeError.
"""
from __future__ import annotations

import functools
import sys
from typing import Any

import torch

from ...core.array import dlarray
from ...machine.dtypes import Tensor
from .functions import fallback


class OfTensor:
    """A name that tensors have and arrays have not. As a descriptor it costs nothing where it is not used."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        asking = str(sys._getframe(1).f_globals.get("__name__", ""))
        if instance is None or asking.partition(".")[0] != "torch":
            for base in dlarray.__mro__[1:]:
                if self.name in vars(base):  # which may say what to write instead
                    return vars(base)[self.name].__get__(instance, owner)
            raise AttributeError(f"'dlarray' object has no attribute {self.name!r}")
        theirs = getattr(Tensor, self.name)
        if callable(theirs):
            return functools.partial(_called, theirs, instance)
        return fallback(_Attribute(self.name), (instance,), {}, self.name, "")

    def __set__(self, instance: Any, value: Any) -> None:
        for base in dlarray.__mro__[1:]:
            if hasattr(vars(base).get(self.name), "__set__"):  # which may say what to write instead
                vars(base)[self.name].__set__(instance, value)
        raise AttributeError(f"'dlarray' object has no attribute {self.name!r}")


class _Attribute:
    """Reading an attribute, as a function with a name."""

    def __init__(self, name: str):
        self.name = self.__name__ = name

    def __call__(self, x: Any) -> Any:
        return getattr(x, self.name)


def _called(method: Any, x: dlarray, *args: Any, **kwargs: Any) -> Any:
    return fallback(method, (x, *args), kwargs, method.__name__, "")


NAMES = frozenset(name for name in dir(torch.Tensor) if not name.startswith("_") and not hasattr(dlarray, name))


def _directory(self: dlarray) -> list[str]:
    return [name for name in super(dlarray, self).__dir__() if name not in NAMES]


for _name in NAMES:
    setattr(dlarray, _name, OfTensor(_name))
dlarray.__dir__ = _directory  # type: ignore[assignment, method-assign]
