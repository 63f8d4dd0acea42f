"""The way in and out of a recording, written out as Python: what the key asks of the arguments, and how results are
dressed."""
from __future__ import annotations

import enum
import math
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.containers import Structure, children_of, flatten, unflatten
from ..core.trace import live
from ..machine.dtypes import Tensor
from ..machine.memory import alone
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
    if isinstance(x, (torch.dtype, torch.device, np.dtype, range, slice, enum.Enum, type(...))):
        return type(x), repr(x)
    if isinstance(x, (types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType)):
        return weakref.ref(x)  # the same one
    raise NoKey(f"an argument is a {type(x).__name__}, which can change unseen; pass dlarrays, containers of them and "
                "numbers")


class _Asking:
    """What the key asks of the arguments of one kind of calls, as lines of Python that end where it is another."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self._lines: list[str] = []
        self._values: list[str] = []
        self._count = self._inside = 0
        self._handles: list[str] = []  # where arrays are that the caller may hold
        self._places: dict[int, str] = {}  # of each of them: where it comes in
        self._names = Names({"dlarray": dlarray, "new": object.__new__, "unflatten": unflatten, "flatten": flatten,
                             "children_of": children_of, "MISS": MISS, "live": live, "alone": alone})
        if args:
            places = [f"a{k}" for k in range(len(args))]
            self._lines.append(f"{', '.join(places)}, = args")
            for x, place in zip(args, places, strict=True):
                self._take(x, place)
        for name, x in kwargs.items():
            self._take(x, f"kwargs[{name!r}]")
        if len(self._handles) > 1:  # the same array in two places is another kind
            self._miss(f"len({{{', '.join([f'id({h})' for h in self._handles])}}}) != {len(self._handles)}")

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
            if not self._inside:
                self._handles.append(place)
                self._places[id(x)] = place
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
            self._inside += 1
            self._several(inside[0], children)
            self._inside -= 1
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


class Refusal(_Asking):
    """Calls of one kind that stay plain: `call(args, kwargs)` gives MISS for those of another."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], why: str):
        super().__init__(args, kwargs)
        self.why = why
        self._lines.append("return None")
        self.call = self._names.made("refusal", ["args", "kwargs"], self._lines)


class Entry(_Asking):
    """One recording of one kind: `call(args, kwargs)` gives what the function gives, or MISS."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, program: Program,
                 run: Callable[..., Any], executor: str):
        super().__init__(args, kwargs)
        self.program, self.executor = program, executor
        self.hits, self.verified = 0, False
        self.settled = False  # nothing is to be looked at beside its call
        self.draws = program.draws
        self.notes: dict[str, str] = {}  # of each other executor: what runs, or why it does not
        self.outside: Any = None  # what its arguments run and read, where that is more than the function does
        # what a kernel refuses of other values, the plain call refuses, or knows what to do about
        self._lines += [f"try: found = run({', '.join(self._values)})", "except Exception: return MISS",
                        "if found is None: return MISS"]
        self._dress(result)
        self.call = self.with_run(run)

    def trust(self) -> None:
        """Its first result was the plain one."""
        self.verified = True
        self.settled = not self.draws and self.outside is None

    def with_run(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """The call with this in the place of what runs."""
        self._names.bound["run"] = run
        return self._names.made("entry", ["args", "kwargs"], self._lines)

    def _dress(self, result: Any) -> None:
        """Results as the function gives them: numbers alone lie apart from large arrays."""
        leaves, structure = flatten(result)
        made: list[str] = []
        parts, count, first = [], 0, {}  # type: ignore[var-annotated]
        for x in leaves:
            held = held_by(x)
            if id(x) in self._places:  # an argument, as it came
                parts.append(self._places[id(x)])
                count += len(held)
                continue
            if type(x) is dlarray and id(x) in first:  # one array in two places
                parts.append(first[id(x)])
                count += len(held)
                continue
            given = [f"o{k}" for k in range(count, count + len(held))]
            count += len(held)
            if type(x) is dlarray:
                first[id(x)] = f"h{len(first)}"
                made += self._array_made(first[id(x)], self._placed(x, given[0]), x._labels)
                parts.append(first[id(x)])
            elif hasattr(type(x), "__filled__"):
                emptied = x.__filled__([v.new_empty(0) for v in held])  # its structure; nothing of a call is kept alive
                parts.append(f"{self._names.of(emptied)}.__filled__([{', '.join(given)}])")
            else:
                parts.append(self._names.of(x))
        if count:
            self._lines.append(f"{', '.join([f'o{k}' for k in range(count)])}, = found")
        self._lines += made
        if len(leaves) == 1 and leaves[0] is result:
            self._lines.append(f"return {parts[0]}")
        elif type(result) is tuple and len(result) == len(leaves) and all(
                [x is y for x, y in zip(result, leaves, strict=True)]):
            self._lines.append(f"return ({', '.join(parts)},)")
        else:
            self._lines.append(f"return unflatten({self._names.of(structure)}, [{', '.join(parts)}])")

    def _array_made(self, name: str, value: str, labels: str | None) -> list[str]:
        """`dlarray._made` without the call."""
        return [f"{name} = new(dlarray)", f"{name}._value, {name}._labels = {value}, {labels!r}",
                f"{name}._node = {name}._note = None"]

    def _placed(self, x: dlarray, name: str) -> str:
        # where all that is made is small, no number lies where a large array had been
        its, small = x._value, self.program.small
        apart = its.numel() == 1 and its.is_cpu and its.layout is torch.strided and not small
        return f"alone({name})" if apart else name


def held_by(x: Any) -> list[Tensor]:
    """The tensors of which a result consists: one of an array, the factors of a Jacobian."""
    if type(x) is dlarray:
        return [x._value]
    return (x.__held__() or []) if hasattr(type(x), "__filled__") else []


def plain_leaf(x: Any) -> bool:
    """Whether a result that is no array can be given out again: a number or a text."""
    return type(x) in _VALUES and not (type(x) is float and math.isnan(x))


__all__ = ["MISS", "Entry", "NoKey", "Refusal", "held_by", "key_of", "plain_leaf"]
