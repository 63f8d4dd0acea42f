"""Containers: what holds several arrays. Lists, tuples, named tuples, dicts (in insertion order), dataclasses, tables,
Mappings.

A leaf is whatever is not a container. `flatten` gives the leaves and a structure that `unflatten` fills again.
"""
from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import optree

from .errors import ShapeError, line_of, user_site

NAMESPACE = "gradloom"
_insertion_order = optree.dict_insertion_ordered(True, namespace=NAMESPACE)
_insertion_order.__enter__()  # our namespace alone, for good: dicts keep the order they were written in

CHILDREN: dict[type, Callable[[Any], tuple[list[Any], Any]]] = {}
_plain: set[type] = {int, float, complex, bool, str, bytes, type(None)}


class Structure:
    """What remains of a container without its leaves."""

    __slots__ = ("_paths", "spec")

    def __init__(self, spec: Any):
        self.spec = spec
        self._paths: list[tuple[Any, ...]] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self.spec == other.spec

    def __hash__(self) -> int:
        return hash(self.spec)

    def paths(self) -> list[tuple[Any, ...]]:
        """One path of keys per leaf, in order."""
        if self._paths is None:
            self._paths = [()] if self.spec is None else [tuple(path) for path in optree.treespec_paths(self.spec)]
        return self._paths


_SINGLE = Structure(None)


def register(cls: type, flatten: Callable[[Any], tuple[list[Any], Any]], unflatten: Callable[[Any, list[Any]], Any],
             keys: Callable[[Any], list[Any]] | None = None) -> None:
    """Make a class a container: `flatten(x)` gives its children and the rest, `unflatten(rest, children)` builds it
    again."""

    CHILDREN[cls] = flatten

    def flatten_with_keys(x: Any) -> tuple[Any, ...]:
        children, rest = flatten(x)
        return (tuple(children), rest, tuple(keys(x))) if keys else (tuple(children), rest)

    optree.register_pytree_node(cls, flatten_with_keys, lambda rest, children: unflatten(rest, list(children)),
                                namespace=NAMESPACE)


def _register_dataclass(cls: type) -> None:
    names = [f.name for f in dataclasses.fields(cls)]

    def unflatten(_: Any, children: list[Any]) -> Any:
        made: Any = object.__new__(cls)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(made, name, child)
        return made

    register(cls, lambda x: ([getattr(x, n) for n in names], None), unflatten, lambda x: names)


def _register_mapping(cls: type) -> None:
    rebuild = getattr(cls, "from_items", None) or cls
    register(cls, lambda x: (list(x.values()), tuple(x.keys())),
             lambda keys, children: rebuild(dict(zip(keys, children, strict=True))),
             lambda x: list(x.keys()))


def _register_table(cls: type) -> None:
    def unflatten(rest: Any, children: list[Any]) -> Any:
        table = rest.value.copy()
        table["Value"] = sys.modules["pandas"].Series(children, index=table.index, dtype=object)
        return table

    register(cls, lambda x: (list(x["Value"]), _Opaque(x)), unflatten,
             lambda x: list(zip(x["Layer"], x["Parameter"], strict=True)))


class _Opaque:
    """A part of a structure that equals only itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value


def _made_container(x: Any) -> bool:
    """Register the type of a leaf that turns out to be a container."""
    cls = type(x)
    if cls in _plain:
        return False
    if getattr(cls, "__gradloom_leaf__", False):
        _plain.add(cls)
    elif dataclasses.is_dataclass(cls):
        _register_dataclass(cls)
        return True
    elif isinstance(x, Mapping) and (cls.__module__.startswith("gradloom.") or cls is MappingProxyType):
        _register_mapping(cls)
        return True
    elif cls.__module__.startswith("pandas") and cls.__name__ == "DataFrame":
        if not {"Layer", "Parameter", "Value"} <= set(x.columns):
            return False
        _register_table(cls)
        return True
    else:
        _plain.add(cls)
    return False


def children_of(x: Any) -> tuple[list[Any], Any] | None:
    """The children of a container of a registered class, and the rest of it; None for anything else."""
    told = CHILDREN.get(type(x))
    return None if told is None else told(x)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a container, in order, and its structure."""
    if type(tree) in _plain:
        return [tree], _SINGLE
    while True:
        leaves, spec = optree.tree_flatten(tree, namespace=NAMESPACE, none_is_leaf=True)
        if not any([type(leaf) not in _plain and _made_container(leaf) for leaf in leaves]):
            return leaves, Structure(spec)


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """A container with this structure and these leaves."""
    if structure.spec is None:
        return leaves[0]
    return optree.tree_unflatten(structure.spec, leaves)


def mapped(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """`function` over matching leaves of containers with the same structure."""
    leaves, structure = flatten(tree)
    columns = [leaves]
    for other in others:
        column, its = flatten(other)
        if len(column) != len(leaves):
            raise ShapeError(
                f"containers of {len(leaves)} and {len(column)} leaves do not match, at {line_of(user_site())}; give "
                "containers of one structure")
        columns.append(column)
    return unflatten(structure, [function(*row) for row in zip(*columns, strict=True)])
