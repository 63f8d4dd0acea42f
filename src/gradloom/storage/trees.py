"""Containers as JSON and a table of arrays, and back: the kinds of things that files hold, each by a name.

What JSON has stands there as it is; every other thing is a table whose "kind" is a name registered here, and nothing
else is ever made. A floor above registers what it has (`register`).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import FileRefused, TypeRefused, line_of, user_site
from ..core.tables import PUBLIC
from ..machine.conversion import as_tensor, refuse_strange, to_numpy
from ..machine.dtypes import DTYPES, NAMES, Tensor
from .format import refused

DEEPEST = 200  # containers in containers
ARRAY = ("array", "dtype", "shape")  # how an array of the table is spoken of


class NotHeld(TypeRefused):
    """A thing that files do not hold: a function that is not of this library, an object of another class."""


class Kind(NamedTuple):
    """A kind of thing: what it becomes in a file, the names of its fields there, and how it is made of them."""

    name: str
    write: Callable[[Any, Writer], dict[str, Any]]
    fields: tuple[str, ...]
    read: Callable[[dict[str, Any], Reader], Any]


KINDS: dict[str, Kind] = {}
BY_CLASS: dict[type, Kind] = {}
FAMILIES: dict[type, Kind] = {}  # of classes whose own classes are of that kind too


def register(name: str, cls: type, write: Callable[[Any, Writer], dict[str, Any]], fields: tuple[str, ...],
             read: Callable[[dict[str, Any], Reader], Any], *, family: bool = False) -> None:
    """Let files hold things of this class, of which `write` gives the fields, and `read` makes them again; of a
    `family`, things of classes under it too."""
    KINDS[name] = (FAMILIES if family else BY_CLASS)[cls] = Kind(name, write, fields, read)


class Writer:
    """One file that is being put together: its arrays by name."""

    def __init__(self, path: Any):
        self.path = path
        self.arrays: dict[str, Tensor] = {}
        self.trail: list[str] = []  # of keys, to the thing that is being written
        self._named: dict[int, str] = {}
        self._kept: list[Any] = []  # so that no two arrays have one id

    def tree(self, x: Any, *keys: Any) -> Any:
        """The JSON of a thing that stands under these keys."""
        self.trail += map(str, keys)
        if len(self.trail) > DEEPEST:
            raise TypeRefused(f"save: more than {DEEPEST} containers lie in each other, at {line_of(user_site())}; "
                              "does one hold itself?")
        found = self._tree(x)
        del self.trail[len(self.trail) - len(keys):]
        return found

    def _tree(self, x: Any) -> Any:
        cls = type(x)
        if x is None or cls in (bool, int, str) or cls is float and math.isfinite(x):
            return x
        if cls is list:
            return [self.tree(item, k) for k, item in enumerate(x)]
        kind = BY_CLASS.get(cls)
        if kind is None:
            kind = next((its for family, its in FAMILIES.items() if isinstance(x, family)), None)
        name = getattr(x, "__name__", None)
        if kind is None and isinstance(name, str) and PUBLIC.get(name) is x:
            return {"kind": "function", "name": name}
        if kind is None:
            raise self.not_held(self._described(x))
        return {"kind": kind.name, **kind.write(x, self)}

    def not_held(self, what: str) -> NotHeld:
        """What is said of the thing that is being written."""
        where = "[" + "][".join(map(repr, self.trail)) + "] is " if self.trail else "it is "
        return NotHeld(f"save: {where}{what}, which files do not hold, at {line_of(user_site())}; they hold dlarrays, "
                       "tensors and NumPy arrays of the types that those have, networks, numbers, text, lists, tuples "
                       "and dicts of them, and functions of this library by their names")

    @staticmethod
    def _described(x: Any) -> str:
        name = getattr(x, "__qualname__", None) if callable(x) else None
        if name:
            return f"the {'class' if isinstance(x, type) else 'function'} {name}"
        return f"of type {type(x).__qualname__}"

    def array(self, x: Tensor) -> dict[str, Any]:
        """An array that goes into the table, under the keys that lead to it; complex numbers as pairs. The same array
        in two places is there once."""
        try:
            refuse_strange(x)
        except TypeError as error:
            raise self.not_held(f"a tensor that is no array ({error})") from None
        name = self._named.get(id(x))
        if name is None:
            name = base = ".".join(self.trail) or "array"
            k = 0
            while name in self.arrays or name == "__metadata__":
                k += 1
                name = f"{base}.{k}"
            self.arrays[name] = torch.view_as_real(x.detach().resolve_conj()) if x.dtype.is_complex else x.detach()
            self._named[id(x)] = name
            self._kept.append(x)
        return {"array": name, "dtype": NAMES[x.dtype], "shape": list(x.shape)}


class Reader:
    """One file that is being read: its arrays by name, the custom layers that may stand in it, and who used what."""

    def __init__(self, path: Any, arrays: Mapping[str, Tensor], classes: Mapping[str, type]):
        self.path = path
        self.arrays = arrays
        self.classes = classes
        self.used: set[str] = set()
        self.depth = 0

    def thing(self, tree: Any) -> Any:
        """What a piece of JSON stands for."""
        if tree is None or type(tree) in (bool, int, float, str):
            return tree
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refused(f"more than {DEEPEST} containers lie in each other")
        if isinstance(tree, list):
            made = [self.thing(item) for item in tree]
        else:
            made = self._of_kind(tree)
        self.depth -= 1
        return made

    def _of_kind(self, tree: dict[str, Any]) -> Any:
        name = tree.get("kind")
        if not isinstance(name, str) or name not in KINDS:
            raise self.refused(f"it holds a thing of kind {name!r}, which is none that this version knows "
                               f"({', '.join(KINDS)})")
        kind = KINDS[name]
        self.fields(tree, ("kind", *kind.fields), f"a thing of kind {name!r}")
        return kind.read(tree, self)

    def fields(self, tree: Any, names: Sequence[str], what: str) -> None:
        """Exactly these fields, none missing and none more."""
        if not isinstance(tree, dict) or set(tree) != set(names):
            has = ", ".join(tree) if isinstance(tree, dict) else type(tree).__name__
            raise self.refused(f"{what} has the fields {has or 'none'}, not {', '.join(names)}")

    def of_type(self, tree: Any, cls: type, what: str) -> Any:
        """A piece of JSON that is of a type."""
        if type(tree) is not cls:
            raise self.refused(f"{what} is {type(tree).__name__}, not {cls.__name__}")
        return tree

    def array(self, tree: dict[str, Any]) -> Tensor:
        """An array of the table, in the type that it had."""
        name, dtype = tree["array"], tree["dtype"]
        if not isinstance(name, str) or name not in self.arrays:
            raise self.refused(f"it speaks of an array {name!r} that is not there")
        x = self.arrays[name]
        self.used.add(name)
        wanted = DTYPES.get(dtype) if isinstance(dtype, str) else None
        if wanted is not None and wanted.is_complex and x.dtype is wanted.to_real() and x.ndim and x.shape[-1] == 2:
            x = torch.view_as_complex(x)
        if wanted is None or x.dtype is not wanted or tree["shape"] != list(x.shape):
            raise self.refused(f"the array {name!r} is {NAMES[x.dtype]} {tuple(x.shape)}, and it speaks of {dtype!r} "
                               f"{tree['shape']!r}"[:300])
        return x

    def refused(self, reason: str) -> FileRefused:
        """What is said of this file."""
        return refused(self.path, reason)


# ----- the kinds that every file may hold -----------------------------------------------------------------------------


def _write_dlarray(x: dlarray, writer: Writer) -> dict[str, Any]:
    return {**writer.array(x._value), "labels": x._labels}


def _read_dlarray(tree: dict[str, Any], reader: Reader) -> dlarray:
    labels = tree["labels"]
    value = reader.array(tree)
    if labels is None:
        return dlarray._made(value, None, None)
    try:
        return dlarray(dlarray._made(value, None, None), reader.of_type(labels, str, "the labels of an array"))
    except ValueError as error:
        raise reader.refused(f"the array {tree['array']!r} has labels that do not fit ({error})") from None


def _write_dict(x: dict[Any, Any], writer: Writer) -> dict[str, Any]:
    return {"items": [[writer.tree(key), writer.tree(value, *(key if isinstance(key, tuple) else (key,)))]
                      for key, value in x.items()]}


def _read_dict(tree: dict[str, Any], reader: Reader) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for item in reader.of_type(tree["items"], list, "the items of a dict"):
        if type(item) is not list or len(item) != 2:
            raise reader.refused("an item of a dict is no pair")
        key = reader.thing(item[0])
        try:
            known = key in made
        except TypeError:
            raise reader.refused(f"a key of a dict is {type(key).__name__}") from None
        if known:
            raise reader.refused(f"a dict has the key {key!r} twice")
        made[key] = reader.thing(item[1])
    return made


def _number(tree: dict[str, Any], reader: Reader) -> Any:
    """A number that JSON has not, as Python writes it."""
    text = reader.of_type(tree["value"], str, "a number")
    try:
        return {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}[text]
    except KeyError:
        raise reader.refused(f"{text[:40]!r} is no number") from None


def _complex(tree: dict[str, Any], reader: Reader) -> complex:
    parts = reader.of_type(tree["parts"], list, "the parts of a complex number")
    found = [reader.thing(part) for part in parts]
    if [type(x) for x in found] != [float, float]:
        raise reader.refused("a complex number has other parts than two numbers")
    return complex(*found)


def _function(tree: dict[str, Any], reader: Reader) -> Any:
    name = reader.of_type(tree["name"], str, "the name of a function")
    if name not in PUBLIC:
        raise reader.refused(f"it names a function {name!r}, which this version does not have")
    return PUBLIC[name]


def _items(tree: dict[str, Any], reader: Reader) -> list[Any]:
    return [reader.thing(item) for item in reader.of_type(tree["items"], list, "the items of a container")]


def _write_numpy(x: Any, writer: Writer) -> dict[str, Any]:
    try:
        value = as_tensor(np.array(x, order="C"))
    except TypeError:
        value = None
    # some types are widened here
    if value is None or value.element_size() != x.dtype.itemsize or value.is_floating_point() != (x.dtype.kind == "f"):
        raise writer.not_held(f"an array of NumPy's {x.dtype}")
    return writer.array(value)


def _read_numpy(tree: dict[str, Any], reader: Reader) -> Any:
    value = reader.array(tree)
    if value.dtype is torch.bfloat16:
        raise reader.refused(f"the array {tree['array']!r} is of bfloat16, which NumPy has not")
    return to_numpy(value)


def _read_number(tree: dict[str, Any], reader: Reader) -> Any:
    value = _read_numpy(tree, reader)
    if value.ndim:
        raise reader.refused(f"a number of NumPy's has the shape {value.shape}")
    return value[()]


register("dlarray", dlarray, _write_dlarray, (*ARRAY, "labels"), _read_dlarray)
register("tensor", Tensor, lambda x, writer: writer.array(x), ARRAY,
         lambda tree, reader: reader.array(tree))
register("tuple", tuple, lambda x, writer: {"items": [writer.tree(item, k) for k, item in enumerate(x)]}, ("items",),
         lambda tree, reader: tuple(_items(tree, reader)))
register("dict", dict, _write_dict, ("items",), _read_dict)
register("float", float, lambda x, writer: {"value": repr(x)}, ("value",), _number)
register("complex", complex, lambda x, writer: {"parts": [writer.tree(x.real), writer.tree(x.imag)]}, ("parts",),
         _complex)
register("numpy", np.ndarray, _write_numpy, ARRAY, _read_numpy)
register("numpy number", np.generic, _write_numpy, ARRAY, _read_number, family=True)
KINDS["function"] = Kind("function", lambda x, writer: {"name": x.__name__}, ("name",), _function)

__all__ = ["NotHeld", "Reader", "Writer", "register"]
