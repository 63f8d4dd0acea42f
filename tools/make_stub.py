"""Write the stubs: the signatures of what is declared in tables or made while importing, for editors and type checkers.

`src/gradloom/__init__.pyi` has the functions and the array, `networks/layers/__init__.pyi` the catalogue of layers,
`interop/array_api.pyi` the standard's namespace. Run it with `make stub`; a test compares the files with what this
would write.
"""
from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Never

import torch

import gradloom as gl
from gradloom.vocabulary.hints import Hint

SOURCE = Path(__file__).parents[1] / "src" / "gradloom"
RESULTS = {"__bool__": "bool", "__len__": "int", "__int__": "int", "__float__": "float",
           "__complex__": "builtins.complex", "__index__": "int",
           "__repr__": "str", "__format__": "str", "__contains__": "bool", "__iter__": "Iterator[dlarray]"}
SKIPPED = {"__call__", "__init__", "__new__", "__class__", "__doc__", "__module__", "__slots__", "__hash__",
           "__dict__", "__weakref__", "__init_subclass__",
           "__subclasshook__", "__getattribute__", "__setattr__", "__delattr__", "__dir__",
           "__getstate__", "__reduce__", "__reduce_ex__",
           "__sizeof__", "__str__"}
HEAD = ["# Written by tools/make_stub.py: `make stub`."]


def parameters(function: Any) -> str:
    """A signature's parameters with defaults, untyped ones as Any."""
    parts: list[str] = []
    found = list(inspect.signature(function).parameters.values())
    for k, p in enumerate(found):
        default = ("" if p.default is p.empty else f" = {p.default!r}"
                   if type(p.default) in (int, float, str, bool, tuple, type(None)) else " = ...")
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        if p.kind is p.KEYWORD_ONLY and not any(q.kind in (q.KEYWORD_ONLY, q.VAR_POSITIONAL) for q in found[:k]):
            parts.append("*")
        kind = "Never" if p.annotation in ("Never", Never) else "Any"
        parts.append(prefix + p.name + (f": {kind}" if p.name != "self" else "") + default)
        if p.kind is p.POSITIONAL_ONLY and not any(q.kind is q.POSITIONAL_ONLY for q in found[k + 1:]):
            parts.append("/")
    return ", ".join(parts)


def summary(thing: Any) -> str:
    """The first paragraph of a docstring, as a docstring."""
    line = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("\\", "\\\\")
    return f'"""{line}"""' if line else "..."


def array_class() -> list[str]:
    """The methods and operators of dlarray, most of them attached by declarations."""
    lines = ["class dlarray:", f"    {summary(gl.dlarray)}",
             f"    def __init__({parameters(gl.dlarray.__init__)}) -> None: ..."]
    for name in sorted(dir(gl.dlarray)):
        member = inspect.getattr_static(gl.dlarray, name)
        if name in SKIPPED or name.startswith("_") and not name.startswith("__") or name.startswith("__gradloom"):
            continue
        if isinstance(member, Hint) or getattr(object, name, None) is member and not inspect.isfunction(member):
            continue
        if isinstance(member, property):
            lines += ["    @property", f"    def {name}(self) -> Any: ..."]
        elif inspect.isfunction(member):
            text = parameters(member)
            first, _, rest = text.partition(", ")
            if first.partition(":")[0] != "self":
                text = "self" + (f", {rest}" if rest else "")
            lines.append(f"    def {name}({text}) -> {RESULTS.get(name, 'Any')}: ...")
    return lines


def function(name: str, thing: Any) -> list[str]:
    return [f"def {name}({parameters(thing)}) -> Any:", f"    {summary(thing)}"]


def vocabulary() -> str:
    """The stub of gradloom itself."""
    lines = [*HEAD, "import builtins", "from collections.abc import Iterator",
             "from typing import Any, Never", ""]
    functions = []
    for name in sorted({*gl._PUBLIC, *gl._WORDS.split()}):
        thing = getattr(gl, name)
        if isinstance(thing, ModuleType):
            package, _, own = thing.__name__.removeprefix("gradloom").rpartition(".")
            lines.append(f"from {package or '.'} import {own} as {name}")
        elif isinstance(thing, type) and thing is not gl.dlarray or name in ("Learnable", "State"):
            module = (getattr(thing, "__module__", "gradloom.networks.layer") if isinstance(thing, type)
                      else "gradloom.networks.layer")
            lines.append(f"from {module.replace('gradloom', '', 1)} import {name} as {name}")
        elif thing is not gl.dlarray:
            functions += function(name, thing)
    return "\n".join([*lines, "", "__version__: str", "__all__: list[str]", "", *array_class(), "", *functions, ""])


def layers() -> str:
    """The catalogue: what the constructor of each layer takes, its options and its parameters."""
    lines = [*HEAD, "from typing import Any", "", "from ..layer import Layer", ""]
    for name in sorted(gl.layers.__all__):
        layer = getattr(gl.layers, name)
        lines += [f"class {name}(Layer):", f"    {summary(layer)}",
                  f"    def __init__({parameters(layer.__init__)}) -> None: ..."]
        lines += [f"    {field.name}: Any" for field in dataclasses.fields(layer) if field.name != "name"]
    return "\n".join([*lines, "", f"__all__ = {sorted(gl.layers.__all__)!r}", ""])


def standard() -> str:
    """The array API's namespace, most of which is filled from tables."""
    xp, lines, rest = gl.array_api, [*HEAD, "from typing import Any", ""], []
    for name in sorted(n for n in vars(xp) if not n.startswith("_")):
        thing = getattr(xp, name)
        if isinstance(thing, SimpleNamespace):
            rest += [f"class _{name}:"] + [f"    @staticmethod\n    def {n}({parameters(f)}) -> Any: ..."
                                           for n, f in sorted(vars(thing).items())]
            rest.append(f"{name}: type[_{name}]")
        elif name in xp.STANDARD:
            rest += function(name, thing)
        elif isinstance(thing, (torch.dtype, float)) or name == "newaxis":  # types and constants
            rest.append(f"{name}: Any")
    return "\n".join([*lines, "__array_api_version__: str", *rest, "def __array_namespace_info__() -> Any: ...", ""])


STUBS = {SOURCE / "__init__.pyi": vocabulary, SOURCE / "networks" / "layers" / "__init__.pyi": layers,
         SOURCE / "interop" / "array_api.pyi": standard}

if __name__ == "__main__":
    for path, text in STUBS.items():
        path.write_text(text())
        print(f"wrote {path}")
