"""What a function reads besides its arguments: found by following its code, and compared on each call.

Closure cells, globals, defaults, attributes of modules and of objects by the names that the code has. Numbers and text
are compared by value; arrays, networks, functions and classes by identity, arrays also by their versions; lists, dicts
and NumPy arrays by what is in them. What cannot be compared ends the recording with a reason.
"""
from __future__ import annotations

import functools
import hashlib
import inspect
import os
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.containers import children_of
from ..core.trace import live
from ..machine.caches import remembered
from ..machine.dtypes import Tensor

MOST = 1000  # places that are compared on each call
DEPTH = 6
LARGE = 1 << 24  # bytes of a NumPy array: reading all of a larger one on each call costs more than it saves
PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, slice, type(Ellipsis), range)
MISSING = object()
# What code with these names does is no matter of what it reads: it acts on the world, or reads by computed names.
ACTS = {"print": "prints", "open": "opens a file", "input": "asks the user", "exec": "runs text", "eval": "runs text",
        "globals": "reads globals by computed names", "setattr": "sets attributes by computed names",
        "manual_seed": "seeds a generator", "set_rng_state": "seeds a generator", "set_state": "seeds a generator",
        "seed": "seeds a generator", "rng": "seeds a generator", "perf_counter": "reads a clock",
        "time_ns": "reads a clock", "monotonic": "reads a clock", "record_metrics": "reports"}
_ROOTS = tuple({os.path.realpath(sysconfig.get_paths()[k]) + os.sep for k in ("stdlib", "purelib", "platlib")})
_LIBRARIES = {"gradloom", "torch", "numpy", "scipy", "optree", "pandas", "jax", "builtins"}


class Unfollowed(Exception):
    """Something that a function reads and that cannot be compared."""


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
        self._rows = [(words, read, *_snapshot(read(), words)) for words, read in self.places]

    def changed(self) -> str | None:
        """The words for the first thing that is not as it was."""
        try:
            for words, read, kept, same in self._rows:
                value = read()
                if value is not kept if same is None else not same(value):
                    return words
        except Exception as error:
            return f"what it reads ({error})"
        return None

    # ----- following code -----

    def _follow(self, f: Any, words: str, depth: int) -> None:
        """Whatever a callable reads."""
        if isinstance(f, functools.partial):
            for part in (f.func, *f.args, *f.keywords.values()):
                self._enter(part, words, depth)
            return
        f = inspect.unwrap(f, stop=lambda g: from_library(g)) if isinstance(f, types.FunctionType) else f
        if isinstance(f, types.MethodType):
            self._enter(f.__self__, f"{words}.__self__", depth)
            f = f.__func__
        if not isinstance(f, types.FunctionType):
            if not isinstance(f, (types.BuiltinFunctionType, type)) and not from_library(f):
                self._enter(f, words, depth)
            return
        if id(f) in self._seen or from_library(f):
            return
        self._seen.add(id(f))
        for code in _codes(f.__code__):
            if code not in self.codes:
                self.codes[code] = None
                self.names.update(code.co_names)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._place(functools.partial(_contents, cell), f"{name} (from around {words})", depth)
        for k in range(len(f.__defaults__ or ())):
            self._place(functools.partial(_default, f, k), f"a default of {words}", depth)
        for name in f.__kwdefaults__ or ():
            self._place(functools.partial(_default, f, name), f"the default of {name} in {words}", depth)
        for code in _codes(f.__code__):
            for name in code.co_names:
                if name in f.__globals__:
                    self._place(functools.partial(f.__globals__.get, name, MISSING), f"global {name}", depth)

    def _place(self, read: Callable[[], Any], words: str, depth: int) -> None:
        """One thing that is read, and what is reached from it."""
        self.places.append((words, read))
        self._enter(read(), words, depth)

    def _enter(self, value: Any, words: str, depth: int) -> None:
        """What code reaches from a value."""
        kind = type(value)
        if kind in PLAIN or id(value) in self._seen:
            return
        if depth > DEPTH:
            raise Unfollowed(f"{words} holds more than can be compared; pass it as an argument")
        if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
            self._follow(value, words, depth)
        elif children_of(value) is not None:
            self._seen.add(id(value))
            children, rest = children_of(value)  # type: ignore[misc]
            for x in (*children, *(rest if isinstance(rest, tuple) else (rest,))):
                self._enter(x, words, depth + 1)
        elif hasattr(kind, "runs"):
            self._seen.add(id(value))
            its = value.runs()
            if its is None:
                raise Unfollowed(f"{words} is a network of a torch module, which can change")
            for x in its:
                self._enter(x, words, depth + 1)
        elif isinstance(value, types.ModuleType):
            if not _library_module(value):
                self._seen.add(id(value))
                self._attributes(value, vars(value), words, depth)
        elif isinstance(value, (list, tuple, set, frozenset, dict)):
            self._seen.add(id(value))
            inside = list(value.values()) if isinstance(value, dict) else list(value)
            if len(inside) > MOST:
                raise Unfollowed(f"{words} holds {len(inside):,} things; pass it as an argument")
            for x in inside:
                self._enter(x, words, depth + 1)
        elif isinstance(value, (dlarray, Tensor, np.ndarray, np.generic)):
            return
        elif isinstance(value, type):
            if not from_library(value):
                self._seen.add(id(value))
                self._class(value, words, depth)
        elif not from_library(kind):
            self._seen.add(id(value))
            self._class(kind, words, depth)
            self._attributes(value, getattr(value, "__dict__", {}), words, depth)
            for owner in kind.__mro__:
                its = owner.__dict__.get("__slots__", ())
                for name in (its,) if isinstance(its, str) else its:
                    if name in self.names:
                        self._place(functools.partial(getattr, value, name, MISSING), f"{words}.{name}", depth + 1)

    def _class(self, kind: type, words: str, depth: int) -> None:
        """The methods and the values of a class that code names, or that Python calls by itself."""
        for owner in kind.__mro__:
            if owner is object or from_library(owner) or id(owner) in self._seen and owner is not kind:
                continue
            self._seen.add(id(owner))
            for name, x in list(owner.__dict__.items()):
                if name in self.names or name.startswith("__") and callable(x) or isinstance(x, property):
                    for part in (x.fget, x.fset) if isinstance(x, property) else (getattr(x, "__func__", x),):
                        if isinstance(part, types.FunctionType):
                            self._follow(part, f"{owner.__name__}.{name}", depth)
                        elif name in self.names and not isinstance(x, (types.MemberDescriptorType, property)):
                            self._place(functools.partial(owner.__dict__.get, name, MISSING),
                                        f"{owner.__name__}.{name}", depth + 1)

    def _attributes(self, owner: Any, held: dict[str, Any], words: str, depth: int) -> None:
        for name in list(held):
            if name in self.names or "__dict__" in self.names or "vars" in self.names or "getattr" in self.names:
                self._place(functools.partial(held.get, name, MISSING), f"{words}.{name}", depth + 1)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            yield from _codes(c)


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
    name = getattr(module, "__name__", "") or ""
    if name.partition(".")[0] in _LIBRARIES or name.partition(".")[0] in sys.stdlib_module_names:
        return True
    file = getattr(module, "__file__", None)
    return file is None and name != "__main__" or file is not None and os.path.realpath(file).startswith(_ROOTS)


@remembered(1024)
def _library_named(name: str) -> bool:
    root = name.partition(".")[0]
    if root in _LIBRARIES or root in sys.stdlib_module_names and root != "__main__":
        return True
    module = sys.modules.get(name)
    return module is not None and _library_module(module)


def from_library(x: Any) -> bool:
    """Whether a function or class is somebody's who keeps it as it is."""
    return _library_named(getattr(x, "__module__", None) or "builtins")


# ----- comparing ------------------------------------------------------------------------------------------------------


def _snapshot(value: Any, words: str) -> tuple[Any, Callable[[Any], bool] | None]:
    """(what is kept, how it is compared): None for the same thing."""
    kind = type(value)
    if kind in (bool, type(None), type(Ellipsis)) or value is MISSING:
        return value, None
    if kind in PLAIN:
        text = repr(value)
        return None, lambda v: v is value or type(v) is kind and repr(v) == text
    if kind is dlarray:
        return None, _as_array(value, words)
    if isinstance(value, Tensor):
        return None, _as_tensor(value)
    if isinstance(value, np.ndarray):
        return None, _as_ndarray(value, words)
    if isinstance(value, np.generic):
        return None, lambda v: type(v) is kind and v.tobytes() == value.tobytes()
    if isinstance(value, (list, tuple)) and kind in (list, tuple):
        parts = [_part(x, words) for x in value]
        return None, lambda v: type(v) is kind and len(v) == len(parts) and all(
            [same(x) for same, x in zip(parts, v, strict=True)])
    if kind is dict:
        keys, held = list(value), [_part(x, words) for x in value.values()]
        return None, lambda v: type(v) is dict and list(v) == keys and all(
            [same(x) for same, x in zip(held, v.values(), strict=True)])
    if kind in (set, frozenset):
        members = frozenset(value)
        return None, lambda v: type(v) is kind and v == members
    inside = children_of(value)
    if inside is not None:
        children, rest = [_part(x, words) for x in inside[0]], inside[1]

        def same(v: Any) -> bool:
            its = children_of(v) if type(v) is kind else None
            return its is not None and its[1] == rest and len(its[0]) == len(children) and all(
                [alike(x) for alike, x in zip(children, its[0], strict=True)])

        return None, same
    return value, None


def _part(value: Any, words: str) -> Callable[[Any], bool]:
    kept, same = _snapshot(value, words)
    return same if same is not None else lambda v: v is kept


def _as_array(x: dlarray, words: str) -> Callable[[Any], bool]:
    if live(x._node) is not None:
        raise Unfollowed(f"{words} is traced; pass it as an argument")
    same, labels = _as_tensor(x._value), x._labels
    return lambda v: type(v) is dlarray and v._labels == labels and same(v._value) and live(v._node) is None


def _as_tensor(x: Tensor) -> Callable[[Any], bool]:
    ref: Any = weakref.ref(x)
    version = x._version  # an address is used again: identity is asked of the living

    def same(v: Any) -> bool:
        return v is not None and ref() is v and v._version == version

    return same


def _as_ndarray(x: np.ndarray, words: str) -> Callable[[Any], bool]:
    if x.dtype.hasobject:
        raise Unfollowed(f"{words} is an array of objects")
    if x.nbytes > LARGE:
        raise Unfollowed(f"{words} is a NumPy array of {x.nbytes:,} bytes, which would be compared on each call; "
                         "make it a dlarray, or pass it as an argument")
    shape, dtype, digest = x.shape, x.dtype, _digest(x)
    return lambda v: (type(v) is np.ndarray and v.shape == shape and v.dtype == dtype and _digest(v) == digest)


def _digest(x: np.ndarray) -> bytes:
    return x.tobytes() if x.nbytes <= 1 << 12 else hashlib.blake2b(x.tobytes()).digest()


__all__ = ["Outside", "Unfollowed", "from_library"]
