"""What a function reads besides its arguments: found by following its code, and compared on each call.

Closure cells, globals, defaults, attributes of modules and of objects by the names that the code has. Numbers and text
are compared by value; arrays, networks, functions and classes by identity, arrays also by their versions; lists, dicts
and NumPy arrays by what is in them. What cannot be compared ends the recording with a reason.
"""
from __future__ import annotations

import contextlib
import datetime
import decimal
import dis
import enum
import fractions
import functools
import importlib.util
import os
import pathlib
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.containers import children_of
from ..machine.caches import remembered
from .recorder import plain_tensor
from .snapshots import MISSING, PLAIN, Unfollowed, snapshot
from .writing import Names

MOST = 1000  # places that are compared on each call
DEPTH = 6
# Kinds of things that stay as they are.
FIXED = (enum.Enum, re.Pattern, pathlib.PurePath, decimal.Decimal, fractions.Fraction, np.dtype, np.ufunc, torch.Size,
         torch.memory_format, torch.layout, torch._ops.OpOverload, torch._ops.OpOverloadPacket, datetime.date,
         datetime.timedelta, types.MethodDescriptorType, types.WrapperDescriptorType, types.GetSetDescriptorType,
         types.MemberDescriptorType, property, staticmethod, classmethod, torch.finfo, torch.iinfo)
BUILT_IN = (types.BuiltinFunctionType, types.MethodWrapperType)
# Modules whose functions act on the world, or read it.
ACTING = frozenset(("logging", "warnings", "random", "secrets", "uuid", "os", "subprocess", "socket", "threading",
                    "multiprocessing", "concurrent.futures", "asyncio", "queue", "io", "shutil", "tempfile", "sqlite3",
                    "pickle", "json", "csv", "contextvars", "gc", "sys", "importlib", "ctypes", "signal", "time"))
# What dataclasses write for themselves.
GENERATED = frozenset(("__init__", "__repr__", "__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__",
                       "__setattr__", "__delattr__", "__replace__", "__getstate__", "__setstate__"))
# What code with these names does is no matter of what it reads: it acts on the world, or reads by computed names.
ACTS = {"print": "prints", "open": "opens a file", "input": "asks the user", "exec": "runs text", "eval": "runs text",
        "globals": "reads globals by computed names", "setattr": "sets attributes by computed names",
        "manual_seed": "seeds a generator", "set_rng_state": "seeds a generator", "set_state": "seeds a generator",
        "seed": "seeds a generator", "rng": "seeds a generator", "perf_counter": "reads a clock",
        "time_ns": "reads a clock", "id": "asks where things lie", "monotonic": "reads a clock",
        "record_metrics": "reports", "is_grad_enabled": "asks for a setting of torch's",
        "get_num_threads": "asks for a setting of torch's", "geterr": "asks for a setting of NumPy's"}
_ROOTS = tuple({os.path.realpath(sysconfig.get_paths()[k]) + os.sep for k in ("stdlib", "purelib", "platlib")})
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = {"gradloom", "torch", "numpy", "scipy", "optree", "pandas", "jax", "builtins"}


class Outside:
    """What one function reads from outside, as it is when this is made."""

    def __init__(self, function: Callable[..., Any], arguments: list[Any]):
        self.codes: dict[types.CodeType, None] = {}
        self.names: set[str] = set()
        self.places: list[tuple[str, Callable[[], Any]]] = []
        known = -1
        while known != len(self.codes):  # a new piece of code brings new names, under which more is found
            known = len(self.codes)
            self.places, self._seen = [], set[int]()
            self._follow(function, getattr(function, "__name__", "fun"), 0)
            for x in arguments:
                self._enter(x, "an argument", 0)
        del self._seen
        for name, what in ACTS.items():
            if name in self.names:
                raise Unfollowed(f"it {what} ({name})")
        if len(self.places) > MOST:
            raise Unfollowed(f"it reads {len(self.places):,} things from outside")
        self._rows = [(words, read, *snapshot(read(), words)) for words, read in self.places]
        self._unchanged = self._written_out()

    def __len__(self) -> int:
        return len(self._rows)

    def changed(self) -> str | None:
        """The words for the first thing that is not as it was."""
        try:
            if self._unchanged():  # quick way: all at once; the plain one, which knows the words, is below
                return None
            for words, read, kept, same in self._rows:
                value = read()
                if value is not kept if same is None else not same(value):
                    return words
        except Exception as error:
            return f"what it reads ({error})"
        return None

    def _written_out(self) -> Callable[..., Any]:
        """All comparisons as one expression."""
        bound: dict[str, Any] = {}

        def named(x: Any) -> str:
            bound[f"x{len(bound)}"] = x
            return f"x{len(bound) - 1}"

        parts = []
        for _, read, kept, same in self._rows:
            call = getattr(read, "func", None)
            if call is _contents and kept is not MISSING:
                text = f"{named(read.args[0])}.cell_contents"  # type: ignore[attr-defined]
            elif call is getattr and len(read.args) == 2:  # type: ignore[attr-defined]
                text = f"{named(read.args[0])}.{read.args[1]}"  # type: ignore[attr-defined]
            else:
                text = f"{named(read)}()"
            parts.append(f"{text} is {named(kept)}" if same is None else f"{named(same)}({text})")
        return Names(bound).made("unchanged", [], [f"return {' and '.join(parts) or 'True'}"])

    # ----- following code -----

    def _follow(self, f: Any, words: str, depth: int) -> None:
        """Whatever a callable reads."""
        if isinstance(f, functools.partial):
            self._enter(f.func, words, depth)
            for k in range(len(f.args)):
                self._place(functools.partial(_item, f.args, k), f"an argument of {words}", depth)
            for name in f.keywords:
                self._place(functools.partial(_item, f.keywords, name), f"{name} of {words}", depth)
            return
        inner = getattr(f, "__wrapped__", None)
        if inner is not None and inner is not f:  # a wrapper that keeps what it wraps, such as one that remembers
            self._enter(inner, words, depth)
            if not isinstance(f, (types.FunctionType, types.MethodType)):
                return
        if isinstance(f, types.MethodType):
            if type(f.__self__) is dlarray:  # total = weights.sum
                self._owner(f, words, depth)
            else:
                self._enter(f.__self__, f"{words}.__self__", depth)
            f = f.__func__
        if not isinstance(f, types.FunctionType):
            if isinstance(f, BUILT_IN):
                self._owner(f, words, depth)
            elif not isinstance(f, type) and not from_library(f):
                self._enter(f, words, depth)
            return
        if id(f) in self._seen:
            return
        if from_library(f) or f.__code__.co_filename.startswith((_HERE, *_ROOTS)):
            self._operation(f, words, depth)
            return
        self._seen.add(id(f))
        for code in _codes(f.__code__):
            if code not in self.codes:
                self.codes[code] = None
                self.names.update(code.co_names, _texts(code.co_consts))  # getattr(model, "rate")
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._place(functools.partial(_contents, cell), f"{name} (from around {words})", depth)
        for k in range(len(f.__defaults__ or ())):
            self._place(functools.partial(_default, f, k), f"a default of {words}", depth)
        for name in f.__kwdefaults__ or ():
            self._place(functools.partial(_default, f, name), f"the default of {name} in {words}", depth)
        for code in _codes(f.__code__):
            loaded, imported = _globals_loaded(code)
            for name in code.co_names:
                if name in loaded:  # also one that is not there yet
                    self._place(functools.partial(f.__globals__.get, name, MISSING), f"global {name}", depth)
                elif name in sys.modules:  # it imports it
                    self._enter(sys.modules[name], f"module {name}", depth)
            for name in imported:  # from .settings import rate
                with contextlib.suppress(ImportError, KeyError):
                    whole = importlib.util.resolve_name(name, f.__globals__.get("__package__"))
                    self._enter(sys.modules[whole], f"module {whole}", depth)
        self.places.append((f"the code of {words}", functools.partial(getattr, f, "__code__")))
        if f.__dict__:
            self._attributes(f, f.__dict__, words, depth)

    def _owner(self, f: Any, words: str, depth: int) -> None:
        """What a method that is built in belongs to: `get = settings.get`."""
        its = getattr(f, "__self__", None)
        if its is not None and not isinstance(its, (types.ModuleType, type)) and type(its).__name__ != "PyCapsule":
            self._place(functools.partial(getattr, f, "__self__"), f"{words}.__self__", depth + 1)

    def _operation(self, f: Any, words: str, depth: int) -> None:
        """What an operation of the user's runs: its kernel and its rules."""
        operation = getattr(f, "operation", None)
        self._seen.add(id(f))
        for value in list(vars(operation).values()) if operation is not None else ():
            for part in value if isinstance(value, (list, tuple)) else value.values() if isinstance(
                    value, dict) else (value,):
                if isinstance(part, types.FunctionType) and not from_library(part):
                    self._follow(part, f"{words}, {part.__name__}", depth)

    @property
    def _any_name(self) -> bool:
        """Whether attributes are read by names that are computed."""
        return not self.names.isdisjoint(("__dict__", "vars", "attrgetter", "methodcaller", "__getattr__", "dir"))

    def _place(self, read: Callable[[], Any], words: str, depth: int) -> None:
        """One thing that is read, and what is reached from it."""
        self.places.append((words, read))
        self._enter(read(), words, depth)

    def _enter(self, value: Any, words: str, depth: int) -> None:
        """What code reaches from a value."""
        kind = type(value)
        if kind in PLAIN or value is MISSING or id(value) in self._seen:
            return
        if depth > DEPTH:
            raise Unfollowed(f"{words} holds more than can be compared; pass it as an argument")
        if isinstance(value, (types.FunctionType, types.MethodType, functools.partial, functools._lru_cache_wrapper)):
            self._follow(value, words, depth)
        elif children_of(value) is not None:
            self._seen.add(id(value))
            if not from_library(kind):  # a dataclass of the user's
                self._class(kind, words, depth)
            children, rest = children_of(value)  # type: ignore[misc]
            for x in (*children, *(rest if isinstance(rest, tuple) else (rest,))):
                self._enter(x, words, depth + 1)
        elif hasattr(kind, "runs"):
            self._seen.add(id(value))
            for x in value.runs():
                self._enter(x, words, depth + 1)
            for its, read in value.reads():
                self._place(read, its, depth + 1)
        elif isinstance(value, types.ModuleType):
            self._module(value, words, depth)
        elif kind in (list, tuple, set, frozenset, dict) or isinstance(value, tuple) and hasattr(kind, "_fields"):
            self._seen.add(id(value))
            inside = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
            if len(inside) > MOST:
                raise Unfollowed(f"{words} holds {len(inside):,} things; pass it as an argument")
            for x in inside:
                self._enter(x, words, depth + 1)
        elif kind in (dlarray, np.ndarray) or isinstance(value, np.generic) or plain_tensor(value):
            return
        elif isinstance(value, type):
            if not from_library(value):
                self._seen.add(id(value))
                self._class(value, words, depth)
                if not from_library(kind):  # its own class
                    self._class(kind, words, depth)
        elif hasattr(kind, "__dlfeval__"):
            self._enter(value.function, words, depth)  # another accelerated function
        elif isinstance(value, BUILT_IN):
            self._owner(value, words, depth)
        elif isinstance(value, FIXED):
            return
        elif _own(kind) or kind is types.SimpleNamespace:
            self._object(value, words, depth)
        elif (getattr(kind, "__module__", "") or "").partition(".")[0] != "gradloom":
            raise Unfollowed(f"{words} is a {kind.__name__}, which can change unseen; pass what it holds as arguments")

    def _module(self, module: types.ModuleType, words: str, depth: int) -> None:
        """A module of the user's is read by names; a library's is as it is, but some act on the world."""
        if module.__name__ in ACTING:
            raise Unfollowed(f"it uses the module {module.__name__}")
        if not _library_module(module):
            self._seen.add(id(module))
            self._attributes(module, vars(module), words, depth)
            if "__getattr__" in vars(module):
                self._follow(module.__getattr__, f"{words}.__getattr__", depth)

    def _object(self, value: Any, words: str, depth: int) -> None:
        """An object of a class of the user's: its attributes by name, and which it has."""
        kind = type(value)
        self._seen.add(id(value))
        self._class(kind, words, depth)
        held = getattr(value, "__dict__", None)
        if held is not None:
            self.places.append((f"the attributes of {words}", functools.partial(tuple, held)))
            self._attributes(value, held, words, depth)
        for owner in kind.__mro__:
            its = owner.__dict__.get("__slots__", ())
            for name in (its,) if isinstance(its, str) else its:
                if name in self.names or self._any_name:
                    self._place(functools.partial(getattr, value, name, MISSING), f"{words}.{name}", depth + 1)

    def _class(self, kind: type, words: str, depth: int) -> None:
        """The methods and the values of a class that code names, or that are called unnamed: Python's own, and all of a
        class that stands under one of a library's, such as a layer."""
        called = any([owner is not object and from_library(owner) for owner in kind.__mro__])
        for owner in kind.__mro__:
            if owner is object or from_library(owner) or id(owner) in self._seen and owner is not kind:
                continue
            self._seen.add(id(owner))
            self.places.append((f"the attributes of {owner.__name__}", functools.partial(_names_of, owner)))
            for name, x in list(owner.__dict__.items()):
                if called or name in self.names or name.startswith("__") and callable(x) or isinstance(x, property):
                    for part in _parts(x):
                        if isinstance(part, types.FunctionType):
                            self.places.append((f"{owner.__name__}.{name}",
                                                functools.partial(owner.__dict__.get, name, MISSING)))
                            if name not in GENERATED or "__dataclass_fields__" not in owner.__dict__:
                                self._follow(part, f"{owner.__name__}.{name}", depth)
                        elif name in self.names and not isinstance(x, (types.MemberDescriptorType, property)):
                            self._place(functools.partial(owner.__dict__.get, name, MISSING),
                                        f"{owner.__name__}.{name}", depth + 1)

    def _attributes(self, owner: Any, held: dict[str, Any], words: str, depth: int) -> None:
        for name in list(held):
            if name in self.names or self._any_name:
                self._place(functools.partial(held.get, name, MISSING), f"{words}.{name}", depth + 1)


def _parts(x: Any) -> tuple[Any, ...]:
    """The functions of what stands in a class; what a cached property keeps is an attribute."""
    if isinstance(x, property):
        return x.fget, x.fset
    return (x.func if isinstance(x, functools.cached_property) else getattr(x, "__func__", x),)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            yield from _codes(c)


@remembered()
def _globals_loaded(code: types.CodeType) -> tuple[frozenset[str], list[str]]:
    """The names around its module that code loads or changes (others are those of attributes), and the modules that it
    imports by where they lie from it."""
    its = list(dis.get_instructions(code))
    imported = [(its[k - 2].argval, i.argval) for k, i in enumerate(its) if i.opname == "IMPORT_NAME"]
    return (frozenset([i.argval for i in its if "GLOBAL" in i.opname or i.opname in (
                "LOAD_NAME", "STORE_NAME", "DELETE_NAME")]),
            ["." * level + name for level, name in imported if level])


def _texts(constants: Any) -> list[str]:
    """The texts among constants that can be names."""
    return [text for c in constants for text in (_texts(c) if isinstance(c, (tuple, frozenset)) else (c,))
            if isinstance(text, str) and text.isidentifier()]


def _names_of(owner: type) -> tuple[str, ...]:
    return tuple(owner.__dict__)


def _own(kind: type) -> bool:
    """Whether objects of a class are all that its own code, and this library's, makes of them."""
    return not from_library(kind) and all([
        owner is object or not from_library(owner)
        or owner.__module__.partition(".")[0] in ("gradloom", "abc", "typing")
        for owner in kind.__mro__])


def _item(held: Any, key: Any) -> Any:
    return held[key]


def _default(f: types.FunctionType, place: int | str) -> Any:
    """A default of a function, by its position or its name."""
    if isinstance(place, str):
        return (f.__kwdefaults__ or {}).get(place, MISSING)
    return (f.__defaults__ or ())[place]


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _library_module(module: Any) -> bool:
    """By where its file lies: the user may have a folder that is called as a module of Python's is."""
    first = (getattr(module, "__name__", "") or "").partition(".")[0]
    if first in _LIBRARIES:
        return True
    root = sys.modules.get(first)
    if root is not None and root is not module and _library_module(root):
        return True
    its = getattr(module, "__dict__", {})  # and not what its __getattr__ makes of these names
    origin = getattr(its.get("__spec__"), "origin", None)
    files = [its.get("__file__"), *(its.get("__path__") or ())]  # a folder without __init__ has no file
    places = [os.path.realpath(file) for file in files if file]
    return origin in ("built-in", "frozen") or any([place.startswith(_ROOTS) for place in places])


@remembered(1024)
def _library_named(name: str) -> bool:
    root, module = name.partition(".")[0], sys.modules.get(name)
    if module is None:
        return root in _LIBRARIES or root in sys.stdlib_module_names and root != "__main__"
    return _library_module(module)


def from_library(x: Any) -> bool:
    """Whether a function or class is somebody's who keeps it as it is."""
    return _library_named(getattr(x, "__module__", None) or "builtins")


__all__ = ["Outside", "from_library"]
