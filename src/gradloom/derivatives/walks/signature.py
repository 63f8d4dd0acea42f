"""Whether two traces are alike, node by node: what is kept of one may be used for the other.

`account` says once what a node is told by: its operation, its parameters, where its parents stand, shape and type. With
the constants that it reads, as far as they are asked for, three answers are made from it: `signature`, by which plans
are kept; `Signature`, which finds the nodes of a trace that are in the places of another's; and `checks`, which a walk
that was written out makes on its way.
"""
from __future__ import annotations

import enum
import functools
import types
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.kinds.elementwise import Elementwise
from ...core.trace import Node, ancestors
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.questions import decided
from .stand_ins import stays_real

# kept as they are, and compared by ==
PLAIN = frozenset((bool, int, float, complex, str, slice, torch.dtype, type(None), type(Ellipsis)))
# as keys: of one type they are equal only to themselves, which of floats 0.0 and -0.0 are not
HASHED = frozenset((bool, int, str, bytes, range, type(None), type(Ellipsis), torch.dtype, torch.device, torch.layout,
                    torch.memory_format, torch.Size, types.CodeType, object))
NOWHERE, OUTSIDE = -1, -2  # a parent that is a constant; one that is older than the walk
LARGEST = 1 << 16  # elements of an array that are read for a key
DEEPEST = 16  # objects in objects
HEAP = 1 << 9  # CPython's flag of a class that was made at run time


def account(node: Node, place: dict[Node | None, int]) -> tuple[Any, dict[str, Any], tuple[int, ...], Any, Any]:
    """What a node is told by: operation, parameters, the places of its parents, shape and type.

    `place` knows where the nodes of the walk stand, and None, as which a constant's parent stands, is NOWHERE.
    """
    return (node.operation, node.params, tuple([place.get(p, OUTSIDE) for p in node.parents]), node.shape, node.dtype)


def places_of(order: Iterable[Node]) -> dict[Node | None, int]:
    """Where each node stands."""
    place: dict[Node | None, int] = {node: k for k, node in enumerate(order)}
    place[None] = NOWHERE
    return place


# ----- a key ----------------------------------------------------------------------------------------------------------


def signature(outputs: Sequence[Node], inputs: Sequence[Node], contents: bool = True) -> Any:
    """A key that is equal for traces that are alike; None where that cannot be told cheaply.

    `contents`: integers that select belong to it; without them it is enough to choose between walks, not to tell what
    they find.
    """
    order = ancestors(outputs, min(n.number for n in inputs))
    place = places_of(order)
    rows = []
    for node in order:
        operation, params, places, shape, dtype = account(node, place)
        key = frozen(params, contents) if params else ()
        if key is None:
            return None
        rows.append((operation, key, places, shape, dtype,
                     tuple([_kind(v, contents) if type(v) not in NUMBER_TYPES else _number(operation, k, v)
                            for k, v in enumerate(node.values)])))
    return tuple(rows), tuple(place[n] for n in outputs), tuple(place.get(n, NOWHERE) for n in inputs)


def _kind(value: Any, contents: bool) -> Any:
    """Of a constant: shape and type; positions belong to the structure, as stand-ins leave them as they are."""
    if isinstance(value, Tensor):
        return ((value.shape, value.dtype, _content(value)) if contents and stays_real(value)
                else (value.shape, value.dtype))
    if type(value) is tuple:
        return tuple([_kind(v, contents) for v in value])
    return None if value is None else _exactly(value)


def _content(value: Tensor) -> int:
    if value.dtype.is_floating_point or value.dtype.is_complex:  # NumPy has not all of them
        value = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
    return hash(value.cpu().numpy().tobytes())


def _number(operation: Any, k: int, value: Any) -> Any:
    """Of a number among the operands: a rule that reads it may decide by it; where the partial is the number itself,
    only 0 decides."""
    stated = getattr(operation, "stated", None)
    decides = stated is None or k >= len(operation.inputs) or any(
        callable(p) and operation.inputs[k] in b.reads for p, b in zip(stated, operation.partials, strict=True))
    return _exactly(value) if decides or value == 0 else type(value)


def _exactly(value: Any) -> Any:
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
    if kind in HASHED or kind is _Same:
        return kind, value
    if kind is float or kind is complex:
        return _exactly(value)
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
        return (kind, shape, dtype, _content(value)) if known else None
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
                stated += [name, _Same(attribute) if hasattr(type(attribute), "__get__") else attribute]
    if any(n.startswith("__") for n in names):
        return None
    slotted = [(n, getattr(value, n)) for n in names if hasattr(value, n)]
    return [tuple(held), stated, *slotted, getattr(value, "__dict__", None)]


UNTOLD = frozenset(("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__slots__", "__qualname__",
                    "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__orig_bases__",
                    "__parameters__", "__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__",
                    "__annotate_func__", "__annotations_cache__", "__slotnames__"))


class _Same:
    """A method or a descriptor of a class as a key: itself, whatever it holds."""

    __slots__ = ("attribute",)

    def __init__(self, attribute: Any):
        self.attribute = attribute

    def __eq__(self, other: object) -> bool:
        return type(other) is _Same and other.attribute is self.attribute

    def __hash__(self) -> int:
        return id(self.attribute)


def _in_python(kind: type) -> bool:
    """Whether what a class adds to its base shows in fields: that of a compiled library may keep what none does."""
    held = vars(kind)
    return (bool(kind.__flags__ & HEAP) and not isinstance(held.get("__new__"), types.BuiltinFunctionType)
            and (kind.__basicsize__ == kind.__base__.__basicsize__  # type: ignore[union-attr]
                 or not held.keys().isdisjoint(("__slots__", "__dict__", "__weakref__"))))


# ----- the nodes in the places of another's ---------------------------------------------------------------------------


class Signature:
    """What a pattern rests on: the account of each node, and the constants that select. Numbers and floating constants
    are free."""

    def __init__(self, order: Sequence[Node]):
        place = places_of(order)
        self.x = order[0].shape, order[0].dtype
        self.count = len(order)
        self.nodes = []
        known: dict[Node, Any] = {}
        for k in range(len(order) - 1, 0, -1):
            node = order[k]
            node.restore(known)  # what a walk inside the function has dropped
            operation, params, places, shape, dtype = account(node, place)
            elementwise = isinstance(operation, Elementwise)
            follows = elementwise and all(p >= 0 for p in places)  # shape and type do, from those of the parents
            self.nodes.append((k, operation, _equal_to(params), places, None if follows else (shape, dtype),
                               None if elementwise else _selecting(node.values)))

    def order(self, u: Node, x: Node) -> list[Node] | None:
        """The nodes from x to u, each in the place of the one that it is like; None where the traces are not alike.

        The values that elementwise operations read are read anew.
        """
        if (x.shape, x.dtype) != self.x or (u is x) is (self.count > 1):
            return None
        known: dict[Node, Any] = {}
        found: list[Any] = [None] * self.count
        found[-1] = u
        found[0] = x
        for k, operation, equal, places, kind, selecting in self.nodes:
            node = found[k]  # put in its place by a child, which comes later in a trace
            parents = node.parents
            if node.dropped is not None:
                node.restore(known)
            if (node.operation is not operation or len(parents) != len(places) or kind is not None
                and (node.shape, node.dtype) != kind):
                return None
            if equal is not None and not equal(node.params):
                return None
            if selecting is not None:
                its = _selecting(node.values)
                if (its or selecting) and not same(its, selecting):
                    return None
            for parent, place in zip(parents, places, strict=False):
                if place >= 0:
                    other = found[place]
                    if other is None and parent is not None:
                        found[place] = parent
                    elif other is not parent or parent is None:
                        return None
                elif parent is not None if place == NOWHERE else parent is None or parent.number >= x.number:
                    return None
        return found


def _equal_to(params: dict[str, Any]) -> Callable[[dict[str, Any]], bool] | None:
    """Whether other parameters are equal to these; None where there are none."""
    if not params:
        return None
    if any(hasattr(value, "identified_by") for value in params.values()):
        key = frozen(params, True)  # now: the fields of a user's object can change
        return lambda its: key is not None and frozen(its, True) == key
    kept = _copied(params)
    return (lambda its: same(its, kept)) if _has_arrays(kept) else lambda its: _equal(its, kept)


def _copied(value: Any) -> Any:
    """Parameters as they are now: lists and arrays can be changed in place by whoever gave them."""
    if type(value) is dict:
        return {k: _copied(v) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if type(value) is np.ndarray:
        return value.copy()
    if type(value) is Tensor and value.layout is torch.strided and value.numel() <= LARGEST:
        return value.clone()
    return value


def _has_arrays(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_arrays, value.values()))
    return any(map(_has_arrays, value)) if isinstance(value, (tuple, list)) else type(value) not in PLAIN


def _selecting(values: Sequence[Any]) -> list[Any]:
    return [v for v in values if v is not None and _selects(v)]


def _selects(value: Any) -> bool:
    if type(value) is tuple:
        return any(map(_selects, value))
    return isinstance(value, Tensor) and not (value.dtype.is_floating_point or value.dtype.is_complex)


def _equal(a: Any, b: Any) -> bool:
    """Whether two parameters are equal, of which the second holds no arrays."""
    return not _has_arrays(a) and bool(a == b)


def same(a: Any, b: Any) -> bool:
    """Whether two parameters are equal, arrays by their elements."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        if a.shape != b.shape or a.dtype is not b.dtype or a.layout is not b.layout:
            return False
        if a.layout is torch.sparse_csr:
            return decided(lambda: all(torch.equal(f(a), f(b))
                                       for f in (Tensor.crow_indices, Tensor.col_indices, Tensor.values)))
        return decided(lambda: torch.equal(a, b))
    if isinstance(a, dlarray):
        return a._labels == b._labels and same(a._value, b._value)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    equal = a == b
    return isinstance(equal, (bool, np.bool_)) and bool(equal)  # what answers with an array is not known to be equal


# ----- written out ----------------------------------------------------------------------------------------------------


def checks(order: Sequence[Node], names: dict[Node, str], known: dict[str, Any], read: Collection[Node]) -> list[str]:
    """Lines that find the nodes of a trace in the places of these, newest first; the first and the last are given.

    They give the nodes their names, and return None where one is not alike, or a walk has dropped its values. What
    they refer to goes into `known`. `read` are the nodes whose parameters count.
    """
    place = places_of(order)
    found = {0, len(order) - 1}
    lines = []
    for node in order[:-1]:
        name = names[node]
        operation, params, places, shape, dtype = account(node, place)
        known |= {f"operation_{name}": operation, f"dtype_{name}": dtype}
        differs = [f"{name} is None", f"{name}.operation is not operation_{name}", f"{name}.dtype is not dtype_{name}",
                   f"{name}.shape != shape_{name}" if shape else f"{name}.shape", f"{name}.dropped is not None"]
        if shape:
            known[f"shape_{name}"] = shape
        if node in read:
            known[f"params_{name}"] = params
            differs.append(f"{name}.params != params_{name}")
        lines.append(f"if {' or '.join(differs)}: return None")
        parents, differs = [], []
        for k, at in enumerate(places):
            parents.append(f"{name}_{k}")
            if at == NOWHERE or at in found:
                differs.append(f"{parents[k]} is not {'None' if at == NOWHERE else names[order[at]]}")
            else:
                found.add(at)
                parents[k] = names[order[at]]
        lines.append(f"{', '.join(parents)}, = {name}.parents")
        if differs:
            lines.append(f"if {' or '.join(differs)}: return None")
    return lines


__all__ = ["Signature", "checks", "frozen", "same", "signature"]
