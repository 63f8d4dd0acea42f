"""What is said of a name that is not there: whose word it is and the line to write here, that it is to come, or the
nearest names. One layer for the module, arrays, networks, their parameters, Jacobians and the catalogue of layers.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import foreign, matlab
from .foreign import PLANNED, PLANNED_AS, PLANNED_OF_NETWORKS, Table
from .misspelled import nearest


def written(name: str, table: Table) -> str | None:
    """`PyTorch's backward is written g = gl.dlgradient(loss, x) here (in a function that dlfeval runs)`."""
    for source, words in table.items():
        if name in words:
            line, _, reason = words[name].partition(" | ")
            return f"{source}'s {name} is written {line} here" + (f" ({reason})" if reason else "")
    return None


def to_come(name: str, planned: dict[str, str]) -> str | None:
    """That a word is planned and not there yet, and what does its work until then."""
    for source, words in PLANNED_AS.items():
        if words.get(name) in planned:
            here = words[name]
            return (f"{source}'s {name} will be {here} here, which is planned and not there yet"
                    + _meanwhile(planned[here]))
    return f"it is planned and not there yet{_meanwhile(planned[name])}" if name in planned else None


def _meanwhile(instead: str) -> str:
    return f"; until then: {instead}" if instead else ""


# ----- modules --------------------------------------------------------------------------------------------------------


def of_module(name: str, known: Iterable[str]) -> str:
    """What the AttributeError for a name that gradloom does not have says."""
    text = f"module 'gradloom' has no attribute {name!r}"
    if name.startswith("_"):  # no word of anybody's: tools ask every module for such names
        return text
    known = [k for k in known if not k.startswith("_")]
    if name in matlab.ABSENT:
        return (f"{text}: MATLAB's {name} has no counterpart here; "
                "write it in the operations that are (see docs/operations.md)")
    if name in matlab.LEFT_OUT and name not in matlab.FUNCTIONS:
        return f"{text}: MATLAB's {name} is left out here: {matlab.LEFT_OUT[name]}"
    said = written(name, foreign.MODULE) or to_come(name, PLANNED) or to_come(name, PLANNED_OF_NETWORKS)
    if said is None and name in matlab.table():
        said = _of_matlab(name, matlab.table()[name])
    for table in (foreign.LAYERS, *foreign.METHODS):
        said = said or written(name, table)
    if said is None and name in matlab.LAYERS.values():
        said = f"write gl.layers.{name}"
    if said is None:
        spellings = [s for s in (matlab.snake_case(name), name[:1].upper() + name[1:]) if s != name]
        said = next((_of_matlab(name, s) for s in spellings if s in known or s in PLANNED), None)
    return f"{text}: {said}" if said is not None else text + nearest(name, known)


def _of_matlab(name: str, here: str) -> str:
    """`MATLAB's permute is written permute_dims here`, or that what it is called here is to come."""
    if here in PLANNED:
        return f"MATLAB's {name} will be {here} here, which is planned and not there yet{_meanwhile(PLANNED[here])}"
    return f"MATLAB's {name} is written {here} here"


def of_layers(name: str, known: Iterable[str]) -> str:
    """What the AttributeError for a layer that is not in the catalogue says."""
    known = list(known)
    text = f"module 'gradloom.layers' has no attribute {name!r}"
    said = written(name, foreign.LAYERS)
    if said is not None:
        return f"{text}: {said}"
    if name in matlab.LEFT_OUT:
        return f"{text}: MATLAB's {name} is left out here: {matlab.LEFT_OUT[name]}"
    if matlab.LAYERS.get(name) in known:
        return f"{text}: MATLAB's {name} is written {matlab.LAYERS[name]} here"
    same = [k for k in known if k.lower() == name.lower()]
    return f"{text}: write {same[0]}" if same else text + nearest(name, known)


# ----- classes --------------------------------------------------------------------------------------------------------


class Hint:
    """A name that a class does not have: reading it is the AttributeError that says what to write.

    As a descriptor it costs nothing where it is not used; `__getattr__` would make every attribute of an array slower.
    """

    def __init__(self, kind: str, name: str, said: str):
        self.__doc__ = f"Not here: {said}."
        self._text = f"{kind} has no attribute {name!r}: {said}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        raise AttributeError(self._text)

    def __set__(self, instance: Any, value: Any) -> None:
        raise AttributeError(self._text)


class WordsOfOthers:
    """The base of classes of which other libraries have words that are not here; `dir` leaves them out."""

    __slots__ = ()

    def __init_subclass__(cls, *, kind: str | None = None, table: Table | None = None,
                          planned: dict[str, str] | None = None) -> None:
        super().__init_subclass__()
        if kind is None or table is None:
            return
        planned = planned or {}
        names = {name for words in table.values() for name in words} | {*planned} | {
            name for words in PLANNED_AS.values() for name, here in words.items() if here in planned}
        for name in sorted(names):
            setattr(cls, name, Hint(kind, name, written(name, table) or to_come(name, planned) or ""))

    def __dir__(self) -> list[str]:
        hints = {name for base in type(self).__mro__ for name, value in vars(base).items() if isinstance(value, Hint)}
        return [name for name in super().__dir__() if name not in hints]


class ArrayWords(WordsOfOthers, kind="a dlarray", table=foreign.ARRAY):
    """What is written otherwise here, of arrays."""

    __slots__ = ()


class NetworkWords(WordsOfOthers, kind="a dlnetwork", table=foreign.NETWORK, planned=PLANNED_OF_NETWORKS):
    """What is written otherwise here, of networks."""

    __slots__ = ()


class ParameterWords(WordsOfOthers, kind="net.learnables", table=foreign.LEARNABLES):
    """What is written otherwise here, of a network's parameters."""

    __slots__ = ()


class JacobianWords(WordsOfOthers, kind="a Jacobian", table=foreign.JACOBIAN):
    """What is written otherwise here, of Jacobians."""

    __slots__ = ()


class AcceleratedWords(WordsOfOthers, kind="an accelerated function", table=foreign.ACCELERATED):
    """What is written otherwise here, of accelerated functions."""

    __slots__ = ()


class MonitorWords(WordsOfOthers, kind="a monitor", table=foreign.MONITOR):
    """What is written otherwise here, of monitors."""

    __slots__ = ()


class LayoutWords(WordsOfOthers, kind="a Layout", table=foreign.LAYOUT):
    """What is written otherwise here, of layouts."""

    __slots__ = ()


class PropertiesOfMatlab:
    """The base of values whose fields MATLAB has in its own spelling, `Weights`, `GradientsNorm`: reading one says how
    it is written here."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if not name.startswith("_") and (here := matlab.snake_case(name)) != name and here in dir(self):
            text += f": MATLAB's {name} is written {here} here"
        raise AttributeError(text)


def array_functions(calls: dict[str, str], there: type) -> None:
    """Hints for functions that other libraries have as methods of arrays: x.exp() is gl.exp(x)."""
    for name, call in calls.items():
        if not any(name in vars(base) for base in there.__mro__):
            setattr(ArrayWords, name, Hint("a dlarray", name, f"it is a function here, write {call}"))


__all__ = ["AcceleratedWords", "ArrayWords", "Hint", "JacobianWords", "LayoutWords", "MonitorWords", "NetworkWords",
           "ParameterWords", "PropertiesOfMatlab", "WordsOfOthers", "array_functions", "of_layers", "of_module",
           "to_come", "written"]
