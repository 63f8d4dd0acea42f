"""Copies of torch modules in which a call leaves nothing: what a call may change, and how it is put back."""
from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import logging
import operator
import random
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.errors import TypeRefused, line_of, user_site
from ...machine.caches import remembered
from ...machine.dtypes import Tensor
from ...machine.modes import under
from .aten.wrapped import Wrapped

# Shared by a copy with its module: code and what describes it, and what stands for something outside.
_SHARED = (types.ModuleType, type, logging.Logger, types.CodeType, inspect.Signature, dataclasses.Field,
           type(threading.Lock()), type(threading.RLock()))
_ATOMS = (int, float, complex, str, bytes, bool, type(None), range, slice, type(Ellipsis),
          torch.dtype, torch.device, torch.layout, torch.memory_format)
_ABSENT = object()
_CONTAINERS = (dict, list, set, deque, bytearray)


# ----- the graph of objects -----


def parts_of(x: Any) -> Iterator[Any]:
    """The objects that an object holds."""
    if isinstance(x, dict):
        yield from x.keys()
        yield from x.values()
    elif isinstance(x, (list, tuple, set, frozenset, deque)):
        yield from x
    elif isinstance(x, types.FunctionType):
        yield from (cell.cell_contents for cell in x.__closure__ or () if _filled(cell))
        yield from x.__defaults__ or ()
        yield x.__kwdefaults__
    elif isinstance(x, types.MethodType):
        yield x.__self__
        yield x.__func__
    elif isinstance(x, functools.partial):
        yield from (x.func, x.args, x.keywords)
    elif isinstance(x, types.BuiltinFunctionType):
        yield x.__self__
    elif isinstance(x, np.ndarray) and x.dtype.hasobject:
        yield from x.flat
    yield getattr(x, "__dict__", None)
    its: Any = type(x)
    for name in _slots(its):
        yield getattr(x, name, None)
    for kind in users_classes(its):  # what a class keeps for all its objects
        for value in vars(kind).values():
            if isinstance(value, (*_CONTAINERS, Tensor, np.ndarray, functools._lru_cache_wrapper)):
                yield value
            elif isinstance(value, types.FunctionType):
                yield from value.__defaults__ or ()
                yield value.__kwdefaults__


@remembered(None)
def users_classes(kind: Any) -> tuple[type, ...]:
    """The class and its bases, as far as users wrote them."""
    return tuple(base for base in kind.__mro__ if base.__module__.partition(".")[0] not in (
        "torch", "builtins", "typing", "collections", "abc", "numpy", "functools", "types", "enum", "dataclasses"))


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not _ABSENT
    except ValueError:
        return False


@remembered(None)
def _slots(kind: Any) -> tuple[str, ...]:
    """The slots of a class that holds them (torch's and Python's own have none that a call changes)."""
    names = []
    for base in kind.__mro__:
        its = vars(base).get("__slots__", ())
        names += [n for n in ((its,) if isinstance(its, str) else its) if n not in ("__dict__", "__weakref__")]
    return tuple(f"_{kind.__name__.lstrip('_')}{n}" if n.startswith("__") and not n.endswith("__")
                 else n for n in names)


def reached(*roots: Any) -> Iterator[Any]:
    """Every object that can be reached, each once; what is shared is not entered."""
    seen: dict[int, Any] = {}
    pending = list(roots)
    while pending:
        x = pending.pop()
        if isinstance(x, (*_ATOMS, *_SHARED)) or id(x) in seen:
            continue
        if isinstance(x, types.FunctionType) and (x.__module__ or "").startswith("torch."):
            continue
        seen[id(x)] = x
        yield x
        if not isinstance(x, (Wrapped, dlarray)):  # places of a copy, which its owner fills
            pending += parts_of(x)


def shared_code(root: Any) -> Iterator[Any]:
    """What an object has in common with its copies: functions and classes of the user's, Python modules, loggers."""
    for x in reached(root):
        if isinstance(x, (types.FunctionType, functools._lru_cache_wrapper)):
            yield x
        yield from users_classes(type(x))
        yield from (part for part in parts_of(x) if isinstance(part, (types.ModuleType, type, logging.Logger)))


# ----- copies -----


def copied(module: Any, memo: dict[int, Any]) -> Any:
    """A deep copy; functions that close over something get a copy of that as well, Python modules and locks are shared.

    `memo` holds what stands in the copy for some objects, by their ids.
    """
    return under([], _copied, module, memo)  # torch copies tensors with gradients off


def _copied(module: Any, memo: dict[int, Any]) -> Any:
    closures: list[tuple[types.FunctionType, types.FunctionType]] = []
    cells: dict[int, Any] = {}
    caches: list[Any] = []
    for x in reached(module):
        if isinstance(x, types.FunctionType) and (x.__closure__ or x.__defaults__ or x.__kwdefaults__ or x.__dict__):
            closure = tuple(cells.setdefault(id(cell), types.CellType()) for cell in x.__closure__ or ())
            made = types.FunctionType(x.__code__, x.__globals__, x.__name__, None, closure or None)
            memo[id(x)] = made
            closures.append((x, made))
        elif isinstance(x, functools._lru_cache_wrapper):
            caches.append(x)
        elif isinstance(x, Tensor) and not x.is_leaf:
            memo[id(x)] = x  # as weight_norm has, which computes it anew in each call; it is refused where it is read
        for part in parts_of(x):
            if isinstance(part, _SHARED):
                memo[id(part)] = part
    for x in caches:
        if id(x.__wrapped__) in memo:
            memo[id(x)] = functools.lru_cache(**x.cache_parameters())(memo[id(x.__wrapped__)])
    try:
        result = copy.deepcopy(module, memo)
        for old, new in closures:
            for cell in old.__closure__ or ():
                if _filled(cell) and not _filled(cells[id(cell)]):
                    cells[id(cell)].cell_contents = copy.deepcopy(cell.cell_contents, memo)
            new.__defaults__ = copy.deepcopy(old.__defaults__, memo)
            new.__kwdefaults__ = copy.deepcopy(old.__kwdefaults__, memo)
            new.__dict__.update(copy.deepcopy(old.__dict__, memo))
            new.__qualname__, new.__module__, new.__doc__ = old.__qualname__, old.__module__, old.__doc__
            new.__annotations__ = old.__annotations__
    except (TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise TypeRefused(
            f"from_torch cannot copy {_culprit(module)}: {error}, at {line_of(user_site())}; make it inside forward, "
            "or pass it as an argument") from None
    return result


def _culprit(module: Any) -> str:
    """The attribute that has no copy, by its name."""
    memo: dict[int, Any] = {}
    for name, part in module.named_modules():
        for word, value in vars(part).items():
            if word not in ("_modules", "_parameters", "_buffers"):
                try:
                    copy.deepcopy(value, memo)
                except Exception:
                    return f"the attribute {'.'.join(w for w in (name, word) if w)} of {type(module).__name__}"
    return f"this {type(module).__name__}"


# ----- what a call changes, and how it is put back -----


LARGE = 1 << 20  # bytes


class Contents:
    """All that can be reached from a module, as it is now, except for the values of its places.

    `whole` says whether all of it can be put back; a copy of which this is not true serves one call.
    """

    def __init__(self, module: Any, original: Any):
        self.whole = True
        self.empty: list[dict[Any, Any]] = []  # most of torch's
        self.dicts: list[tuple[dict[Any, Any], list[Any], list[Any]]] = []
        self.lists: list[tuple[list[Any], list[Any]]] = []
        self.others: list[tuple[Any, Any]] = []  # how it is put back, and what
        # those of classes, that all copies have
        self.shared = {id(x) for x in reached(original) if isinstance(x, Tensor)}
        theirs = {id(x) for x in (*original.modules(), *original.parameters(), *original.buffers())}
        classes: set[type] = set()
        for x in reached(module):
            if id(x) in theirs:
                raise TypeRefused(
                    f"{type(original).__name__} is held by something that cannot be copied with it, at "
                    f"{line_of(user_site())}; a cache or a built-in method of one of its objects, perhaps: reach it "
                    "through an attribute in forward instead")
            self._read(x)
            its: Any = type(x)
            classes.update(users_classes(its))
        for kind in classes:
            own = {k: v for k, v in vars(kind).items() if not k.startswith("__")}
            self.others.append((functools.partial(_class_restored, kind), own))

    def _read(self, x: Any) -> None:
        if isinstance(x, (Wrapped, dlarray)):
            return
        if isinstance(x, dict):
            if x:
                self.dicts.append((x, list(x.keys()), list(x.values())))
            else:
                self.empty.append(x)
        elif isinstance(x, list):
            self.lists.append((x, list(x)))
        elif isinstance(x, (set, deque)):
            self.others.append((functools.partial(_refilled, x), list(x)))
        elif isinstance(x, bytearray):
            self.others.append((functools.partial(_overwritten, x), bytes(x)))
        elif isinstance(x, Tensor):
            if x.nbytes <= LARGE or id(x) in self.shared:
                self.others.append((functools.partial(_tensor, x, x._version), x.detach().clone()))
            else:
                self.others.append((self._spent, (x, x._version)))
        elif isinstance(x, np.ndarray):
            if x.flags.writeable:
                self.others.append((functools.partial(np.copyto, x), x.copy()))
        elif isinstance(x, torch.Generator):
            self.others.append((x.set_state, x.get_state()))
        elif isinstance(x, random.Random):
            self.others.append((x.setstate, x.getstate()))
        elif isinstance(x, np.random.Generator):
            self.others.append((functools.partial(setattr, x.bit_generator, "state"),
                                copy.deepcopy(x.bit_generator.state)))
        elif isinstance(x, np.random.RandomState):
            self.others.append((x.set_state, x.get_state()))
        elif isinstance(x, types.FunctionType):
            for cell in x.__closure__ or ():
                if _filled(cell):
                    self.others.append((functools.partial(_closed, cell), cell.cell_contents))
        elif isinstance(x, functools._lru_cache_wrapper):
            self.others.append((functools.partial(_forgotten, x), x.cache_info().misses))
        elif isinstance(x, Iterator):
            self.whole = False  # where it stands is its own secret
        # made by a class statement: it may have become another class's
        if type(x).__flags__ & 1 << 9 and hasattr(x, "__dict__"):
            self.others.append((functools.partial(_classed, x), type(x)))
        its: Any = type(x)
        for name in _slots(its):
            self.others.append((functools.partial(_slot, x, name), getattr(x, name, _ABSENT)))

    def _spent(self, tensor: tuple[Tensor, int]) -> None:
        """A large tensor has no second copy: where it was written, the module's copy is spent."""
        if tensor[0]._version != tensor[1]:
            self.whole = False

    def restore(self) -> None:
        """Forget what was changed."""
        for x in self.empty:
            if x:
                (OrderedDict if isinstance(x, OrderedDict) else dict).clear(x)
        for x, keys, values in self.dicts:
            if len(x) == len(keys) and all(map(operator.is_, x.values(), values)) and all(map(operator.is_, x, keys)):
                continue
            kind: Any = OrderedDict if isinstance(x, OrderedDict) else dict
            kind.clear(x)
            for key, value in zip(keys, values, strict=True):
                kind.__setitem__(x, key, value)
        for now, before in self.lists:
            if len(now) != len(before) or not all(map(operator.is_, now, before)):
                list.__setitem__(now, slice(None), before)
        for put_back, was in self.others:
            put_back(was)


def _refilled(x: Any, before: list[Any]) -> None:
    if len(x) != len(before) or not all(map(operator.is_, x, before)):
        kind: Any = set if isinstance(x, set) else deque
        kind.clear(x)
        (set.update if isinstance(x, set) else deque.extend)(x, before)


def _overwritten(x: bytearray, before: bytes) -> None:
    x[:] = before


def _tensor(x: Tensor, version: int, before: Tensor) -> None:
    if x._version != version or x.shape != before.shape:
        under([torch.no_grad()], _refilled_tensor, x, before)


def _refilled_tensor(x: Tensor, before: Tensor) -> None:
    x.data = before.clone() if x.shape != before.shape or x.dtype is not before.dtype else x.data.copy_(before)


def _closed(cell: Any, before: Any) -> None:
    if not _filled(cell) or cell.cell_contents is not before:
        cell.cell_contents = before


def _classed(x: Any, before: type) -> None:
    if type(x) is not before:
        x.__class__ = before


def _slot(x: Any, name: str, before: Any) -> None:
    if getattr(x, name, _ABSENT) is not before:
        if before is _ABSENT:
            object.__delattr__(x, name)
        else:
            object.__setattr__(x, name, before)


def _class_restored(kind: type, before: dict[str, Any]) -> None:
    for name in [name for name in vars(kind) if not name.startswith("__") and name not in before]:
        delattr(kind, name)
    for name, value in before.items():
        if vars(kind).get(name, _ABSENT) is not value:
            setattr(kind, name, value)


def _forgotten(cache: Any, misses: int) -> None:
    if cache.cache_info().misses != misses:
        cache.cache_clear()  # its count of misses is 0 from now on: it is cleared after every call


__all__ = ["Contents", "copied", "reached"]
