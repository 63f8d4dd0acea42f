"""Anything as a key: equal for what is equal in type and content, and none for what can change behind it."""
from __future__ import annotations

import enum
import functools
import types
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...machine.conversion import bytes_of
from ...machine.dtypes import Tensor

# as keys: of one type they are equal only to themselves, which of floats 0.0 and -0.0 are not
HASHED = frozenset((bool, int, str, bytes, range, type(None), type(Ellipsis), torch.dtype, torch.device, torch.layout,
                    torch.memory_format, torch.Size, types.CodeType, object))
LARGEST = 1 << 16  # elements of an array that are read for a key
DEEPEST = 16  # objects in objects
HEAP = 1 << 9  # CPython's flag of a class that was made at run time


def content_of(value: Tensor) -> int:
    """The elements of a tensor as a key."""
    return hash(bytes(bytes_of(value)))


def exactly(value: Any) -> Any:
    """A number as a key: equal only to itself (1, 1.0 and True are equal in Python, and so are 0.0 and -0.0)."""
    return type(value), repr(value)


def frozen(value: Any, contents: bool, told: bool = False, inside: tuple[int, ...] = ()) -> Any:
    """A parameter as a key, which is equal for what is equal in type and content; None where it cannot be told cheaply.

    Arrays are their shape, their type and, where `contents` asks for it, their elements; an object is what it says that
    it is identified by, and in that (`told`) objects are their class, the class's attributes and their fields. What a
    function reads from globals, a module, or a class as a value can change behind the key, and what an object holds
    outside its fields, as one does that is made by a compiled library, cannot be seen: they have none. `inside` are the
    objects that led here.
    """
    kind = type(value)
    if kind in HASHED or kind is Same:
        return kind, value
    if kind is float or kind is complex:
        return exactly(value)
    if kind is Tensor or kind is np.ndarray or isinstance(value, np.generic):
        return _frozen_array(value, contents)
    if kind is dlarray:
        return kind, value._labels, _frozen_array(value._value, contents)
    if kind is types.BuiltinFunctionType and isinstance(value.__self__, (types.ModuleType, types.NoneType)):
        return kind, value  # of a compiled module
    if isinstance(value, (enum.Enum, np.dtype)) or isinstance(value, type) and (told or not value.__flags__ & HEAP):
        return kind, value
    if id(value) in inside or len(inside) > DEEPEST:
        return None
    inside = (*inside, id(value))
    if kind is set or kind is frozenset:
        keys = [frozen(v, contents, told, inside) for v in value]
        return None if None in keys else (kind, frozenset(keys))
    parts = _parts_of(value, told)
    if parts is None:
        return None
    found: list[Any] = [kind]
    for part in parts:
        key = frozen(part, contents, told or hasattr(kind, "identified_by"), inside)
        if key is None:
            return None
        found.append(key)
    return tuple(found)


def _frozen_array(value: Any, contents: bool) -> Any:
    kind, shape, dtype = type(value), value.shape, value.dtype
    if not contents:
        return kind, shape, dtype
    if isinstance(value, Tensor):
        if value.is_meta:
            return kind, shape, dtype, "meta"
        known = value.numel() <= LARGEST and value.layout is torch.strided
        return (kind, shape, dtype, content_of(value)) if known else None
    return None if value.size > LARGEST or dtype.hasobject else (kind, shape, dtype, hash(value.tobytes()))


def _parts_of(value: Any, told: bool) -> Iterable[Any] | None:
    """What tells a value from others of its type; None where that cannot be told."""
    kind = type(value)
    if kind is tuple or kind is list:
        return value  # type: ignore[no-any-return]
    if kind is dict:
        return [*value, *value.values()]
    if kind is slice:
        return value.start, value.stop, value.step
    if kind is types.FunctionType:
        if value.__dict__ or _reads_globals(value.__code__, value.__globals__):
            return None
        try:
            closed = [cell.cell_contents for cell in value.__closure__ or ()]
        except ValueError:  # a name that is not assigned yet
            return None
        return [value.__code__, value.__defaults__, value.__kwdefaults__, *closed]
    if kind is types.MethodType:
        return value.__func__, value.__self__
    if kind is types.BuiltinFunctionType:
        return value.__name__, value.__self__
    if kind is functools.partial:
        return None if value.__dict__ else (value.func, value.args, value.keywords)
    if hasattr(kind, "identified_by"):
        return value.identified_by()  # type: ignore[no-any-return]
    return _fields_of(value) if told or kind.__module__.startswith("gradloom.") else None


def _reads_globals(code: types.CodeType, known: dict[str, Any]) -> bool:
    """Whether a function, or one that stands in it, reads a name of its module."""
    return (not known.keys().isdisjoint(code.co_names)
            or any(_reads_globals(part, known) for part in code.co_consts if type(part) is types.CodeType))


def _fields_of(value: Any) -> Iterable[Any] | None:
    """What an object of a class that is written in Python holds, and its class."""
    held: Iterable[Any] = ()
    names = []
    stated: list[Any] = []
    for base in type(value).__mro__[:-1]:
        if base in (tuple, list, dict, OrderedDict):
            held = value.items() if issubclass(base, dict) else value
            continue
        if not _in_python(base):
            return None
        attributes = vars(base)
        slots = attributes.get("__slots__", ())
        if not isinstance(slots, (str, tuple, list)):
            return None
        names += [n for n in ((slots,) if isinstance(slots, str) else slots) if n not in ("__dict__", "__weakref__")]
        if base.__module__.startswith("gradloom."):
            continue  # which nobody changes
        for name, attribute in attributes.items():
            if name not in UNTOLD:
                stated += [name, Same(attribute) if hasattr(type(attribute), "__get__") else attribute]
    if any(n.startswith("__") for n in names):
        return None
    slotted = [(n, getattr(value, n)) for n in names if hasattr(value, n)]
    return [tuple(held), stated, *slotted, getattr(value, "__dict__", None)]


UNTOLD = frozenset(("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__slots__", "__qualname__",
                    "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__orig_bases__",
                    "__parameters__", "__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__",
                    "__annotate_func__", "__annotations_cache__", "__slotnames__"))


class Same:
    """What never changes as a key (a method or a descriptor of a class, a body): itself, whatever it holds."""

    __slots__ = ("attribute",)

    def __init__(self, attribute: Any):
        self.attribute = attribute

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.attribute is self.attribute

    def __hash__(self) -> int:
        return id(self.attribute)


def _in_python(kind: type) -> bool:
    """Whether what a class adds to its base shows in fields: that of a compiled library may keep what none does."""
    held = vars(kind)
    return (bool(kind.__flags__ & HEAP) and not isinstance(held.get("__new__"), types.BuiltinFunctionType)
            and (kind.__basicsize__ == kind.__base__.__basicsize__  # type: ignore[union-attr]
                 or not held.keys().isdisjoint(("__slots__", "__dict__", "__weakref__"))))


__all__ = ["LARGEST", "Same", "content_of", "exactly", "frozen"]
