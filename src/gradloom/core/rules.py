"""Rules: functions whose parameter names say what they read, and functions that the library writes out.

What is written out has a name and a file of its own (`<gradloom tanh.pull_x>`), so that a profile and a traceback say
whose it is and show its line.
"""
from __future__ import annotations

import inspect
import itertools
import linecache
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ..machine.dtypes import NUMBER_TYPES
from .errors import WRITTEN

if TYPE_CHECKING:
    from .operation import Operation

Rule = Callable[..., Any]


class BoundRule:
    """A rule of an operation with its parameter names resolved to where the values are, once; `what` says which
    rule."""

    __slots__ = ("arguments", "call", "leads", "reads", "rule")

    def __init__(self, rule: Rule, operation: Operation, what: str = "rule"):
        names = list(inspect.signature(rule).parameters)
        slots = {name: k for k, name in enumerate((*operation.inputs, "y", *operation.hidden))}
        self.rule = rule
        self.leads = "lead" in names  # a fused pull that reads it serves cotangents with leading axes too
        self.reads: set[str] = set()
        arguments = []
        for name in names:
            stem = name.rsplit("_", 1)[0]
            if name in slots:
                self.reads.add(name)
                arguments.append(f"v[{slots[name]}]")
            elif name == "y_bar":
                arguments.append("g")
            elif name.endswith("_dot") and stem in slots:
                arguments.append(f"g[{slots[stem]}]")
            elif name == "y_shape":
                arguments.append("node.shape")
            elif name.endswith("_shape") and stem in slots:
                k = slots[stem]
                arguments.append(f"(node.parents[{k}].shape if node.parents[{k}] is not None else shape_of(v[{k}]))")
            elif name == "y_place":
                arguments.append("node")
            elif name.endswith("_place") and stem in slots:
                arguments.append(f"node.parents[{slots[stem]}]")
            elif name in ("lead", "wanted"):
                arguments.append(name)
            elif name == operation.leaves:
                arguments.append(f"(v[{len(slots)}] if len(v) > {len(slots)} else None)")
            else:
                arguments.append(f"p[{name!r}]")
        self.arguments = ", ".join(arguments)
        self.call = written(f"{operation.name}.{what}", "v, p, node, g, lead, wanted", f"return rule({self.arguments})",
                            rule=rule)


def written(name: str, parameters: str, *lines: str, **known: Any) -> Callable[..., Any]:
    """The function of these parameters and lines, with a name and a file of its own; its frames are this library's, not
    the user's."""
    text = [f"def written({parameters}):\n", *[f"    {line}\n" for line in lines]]
    files = itertools.chain([f"{WRITTEN}{name}>"], (f"{WRITTEN}{name}, {n}>" for n in itertools.count(2)))
    file = next(f for f in files if linecache.getlines(f) in ([], text))
    space = {**known, "shape_of": constant_shape}
    exec(compile("".join(text), file, "exec"), space)
    function = space.pop("written")
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)
    function.__name__ = function.__qualname__ = name
    linecache.cache[file] = (sum(map(len, text)), None, text, file)
    return function  # type: ignore[no-any-return]


def constant_shape(value: Any) -> Any:
    """The shape of a constant among an operation's inputs, a number included."""
    return torch.Size(()) if type(value) in NUMBER_TYPES else value.shape
