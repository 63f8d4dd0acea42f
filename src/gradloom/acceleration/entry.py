"""The way in and out of a recording, written out as Python: what the key asks of the arguments, and how results are
dressed."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.array import dlarray
from ..core.containers import Structure, children_of, flatten, unflatten
from ..core.trace import live
from ..machine.dtypes import Tensor
from ..machine.memory import apart
from .program import Program
from .writing import Names

MISS = object()
_VALUES = (bool, int, float, complex, str, bytes, type(None))
SMALL = 1 << 16  # bytes of an array that is compared by what is in it


class NoKey(Exception):
    """An argument that cannot be part of a key."""


def key_of(leaves: Sequence[Any], structure: Structure) -> Any:
    """What calls of one kind have in common: structure, and of arrays shape, type, labels, strides and device; all
    else by value."""
    return structure, tuple([_leaf_key(x) for x in leaves])


def _leaf_key(x: Any) -> Any:
    if type(x) is dlarray:
        value = x._value
        return value.shape, value.dtype, x._labels, value.stride(), value.device
    if type(x) in _VALUES:
        return type(x), repr(x)
    if isinstance(x, (np.ndarray, np.generic)) and not x.dtype.hasobject and x.nbytes <= SMALL:
        return type(x), x.shape, x.dtype.str, x.tobytes()
    if isinstance(x, Tensor):
        raise NoKey("an argument is a tensor of torch's; pass dlarrays")
    if isinstance(x, np.ndarray):
        raise NoKey("an argument is a large NumPy array, whose numbers would be part of the key; pass dlarrays")
    try:
        hash(x)
    except TypeError:
        raise NoKey(f"an argument is a {type(x).__name__}, which cannot be compared; pass dlarrays, containers of them "
                    "and numbers") from None
    return type(x), x


class Entry:
    """One recording of one kind: `call(args, kwargs)` gives what the function gives, or MISS."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, program: Program,
                 run: Callable[..., Any], executor: str):
        self.program, self.run, self.executor = program, run, executor
        self.hits, self.verified = 0, False
        self.restores = program.draws and bool(program.guards)
        self._lines: list[str] = []
        self._values: list[str] = []
        self._count = 0
        self._names = Names({"dlarray": dlarray, "run": run, "made": dlarray._made, "unflatten": unflatten,
                             "flatten": flatten, "children_of": children_of, "MISS": MISS, "live": live,
                             "apart": apart})
        if args:
            places = [f"a{k}" for k in range(len(args))]
            self._lines.append(f"{', '.join(places)}, = args")
            for x, place in zip(args, places, strict=True):
                self._take(x, place)
        for name, x in kwargs.items():
            self._take(x, f"kwargs[{name!r}]")
        self._lines.append(f"found = run({', '.join(self._values)})")
        self._lines.append("if found is None: return MISS")
        self._dress(result)
        self.call = self._names.made("entry", ["args", "kwargs"], self._lines)

    # ----- the way in -----

    def _miss(self, condition: str) -> None:
        self._lines.append(f"if {condition}: return MISS")

    def _name(self) -> str:
        self._count += 1
        return f"x{self._count}"

    def _array(self, x: dlarray, place: str) -> None:
        v, value = self._name(), x._value
        self._lines.append(f"{v} = {place}._value")
        plain = value.ndim < 4 and value.is_contiguous() and 1 not in value.shape and 0 not in value.shape
        layout = f"not {v}.is_contiguous()" if plain else f"{v}.stride() != {value.stride()!r}"
        if value.ndim == 0:
            layout = "False"
        where = "" if value.is_cpu else f" or {v}.device != {self._names.of(value.device)}"
        cpu = f" or not {v}.is_cpu" if value.is_cpu else ""
        self._miss(f"{v}.shape != {self._names.of(value.shape)} or {v}.dtype is not {self._names.of(value.dtype)} or "
                   f"{place}._labels != {x._labels!r} or {layout}{where}{cpu} or "
                   f"{place}._node is not None and live({place}._node) is not None")
        self._values.append(v)

    def _take(self, x: Any, place: str) -> None:
        """The questions that an argument must answer as it did."""
        kind = type(x)
        if kind is dlarray:
            self._miss(f"type({place}) is not dlarray")
            self._array(x, place)
        elif kind in (list, tuple):
            self._miss(f"type({place}) is not {kind.__name__} or len({place}) != {len(x)}")
            self._several(x, place)
        elif kind is dict:
            self._miss(f"type({place}) is not dict or tuple({place}) != {self._names.of(tuple(x))}")
            self._several(list(x.values()), f"{place}.values()")
        elif kind in _VALUES:
            self._value(x, place)
        elif (inside := children_of(x)) is not None:
            children, rest = self._name(), self._name()
            self._miss(f"type({place}) is not {self._names.of(kind)}")
            self._lines.append(f"{children}, {rest} = children_of({place})")
            self._miss(f"{rest} != {self._names.of(inside[1])} or len({children}) != {len(inside[0])}")
            self._several(inside[0], children)
        else:
            self._other(x, place)

    def _several(self, xs: Sequence[Any], place: str) -> None:
        if xs:
            names = [self._name() for _ in xs]
            self._lines.append(f"{', '.join(names)}, = {place}")
            for x, name in zip(xs, names, strict=True):
                self._take(x, name)

    def _value(self, x: Any, place: str) -> None:
        if type(x) in (float, complex):  # signs of zeros, and what is not equal to itself
            self._miss(f"type({place}) is not {type(x).__name__} or repr({place}) != {repr(x)!r}")
        elif x is None or type(x) is bool:
            self._miss(f"{place} is not {x!r}")
        else:
            self._miss(f"type({place}) is not {type(x).__name__} or {place} != {x!r}")

    def _other(self, x: Any, place: str) -> None:
        """A container that others registered, or something by value: the general way."""
        leaves, structure = flatten(x)
        if len(leaves) == 1 and leaves[0] is x:
            kept = _leaf_key(x)

            def same(v: Any) -> bool:
                try:
                    return bool(_leaf_key(v) == kept)
                except NoKey:
                    return False

            self._miss(f"type({place}) is not {self._names.of(type(x))} or not {self._names.of(same)}({place})")
            return
        its, spec = self._name(), self._name()
        self._lines.append(f"{its}, {spec} = flatten({place})")
        self._miss(f"type({place}) is not {self._names.of(type(x))} or {spec} != {self._names.of(structure)}")
        self._several(leaves, its)

    # ----- the way out -----

    def _dress(self, result: Any) -> None:
        """Results as the function gives them: numbers alone lie apart from large arrays."""
        leaves, structure = flatten(result)
        arrays = [x for x in leaves if type(x) is dlarray]
        dressed = [f"made({self._placed(x, f'o{k}')}, None, {x._labels!r})" for k, x in enumerate(arrays)]
        if arrays:
            self._lines.append(f"{', '.join([f'o{k}' for k in range(len(arrays))])}, = found")
        if type(result) is dlarray:
            self._lines.append(f"return {dressed[0]}")
        elif type(result) is tuple and len(arrays) == len(result) == len(leaves):
            self._lines.append(f"return ({', '.join(dressed)},)")
        else:
            given = iter(dressed)
            parts = [next(given) if type(x) is dlarray else self._names.of(x) for x in leaves]
            self._lines.append(f"return unflatten({self._names.of(structure)}, [{', '.join(parts)}])")

    def _placed(self, x: dlarray, name: str) -> str:
        # where all that is made is small, no number lies where a large array had been
        return f"apart({name})" if x._value.numel() == 1 and x._value.is_cpu and not self.program.small else name


def plain_leaf(x: Any) -> bool:
    """Whether a result that is no array can be given out again: a number or a text."""
    return type(x) in _VALUES and not (type(x) is float and math.isnan(x))


__all__ = ["MISS", "Entry", "NoKey", "key_of", "plain_leaf"]
