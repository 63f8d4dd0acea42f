"""Write src/gradloom/__init__.pyi: the signatures of what the table of operations declares, for editors and type checkers.

Run it with `make stub`; a test compares the file with what this would write.
"""
from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import gradloom as gl

STUB = Path(__file__).parents[1] / "src" / "gradloom" / "__init__.pyi"
RESULTS = {"__bool__": "bool", "__len__": "int", "__int__": "int", "__float__": "float", "__complex__": "builtins.complex", "__index__": "int",
           "__repr__": "str", "__format__": "str", "__contains__": "bool", "__iter__": "Iterator[dlarray]"}
SKIPPED = {"__init__", "__new__", "__class__", "__doc__", "__module__", "__slots__", "__hash__", "__dict__", "__weakref__", "__init_subclass__",
           "__subclasshook__", "__getattribute__", "__setattr__", "__delattr__", "__dir__", "__getstate__", "__reduce__", "__reduce_ex__",
           "__sizeof__", "__str__"}


def parameters(function: Any) -> str:
    """A signature's parameters with defaults, untyped ones as Any."""
    parts: list[str] = []
    found = list(inspect.signature(function).parameters.values())
    for k, p in enumerate(found):
        default = "" if p.default is p.empty else f" = {p.default!r}" if isinstance(p.default, (int, float, str, bool, tuple, type(None))) else " = ..."
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        if p.kind is p.KEYWORD_ONLY and not any(q.kind in (q.KEYWORD_ONLY, q.VAR_POSITIONAL) for q in found[:k]):
            parts.append("*")
        parts.append(prefix + p.name + (": Any" if p.name != "self" else "") + default)
        if p.kind is p.POSITIONAL_ONLY and not any(q.kind is q.POSITIONAL_ONLY for q in found[k + 1:]):
            parts.append("/")
    return ", ".join(parts)


def summary(thing: Any) -> str:
    """The first line of a docstring, as a docstring."""
    line = (inspect.getdoc(thing) or "").split("\n")[0].replace("\\", "\\\\")
    return f'"""{line}"""' if line else "..."


def array_class() -> list[str]:
    """The methods and operators of dlarray, most of them attached by declarations."""
    lines = ["class dlarray:", f"    {summary(gl.dlarray)}", f"    def __init__({parameters(gl.dlarray.__init__)}) -> None: ..."]
    for name in sorted(dir(gl.dlarray)):
        member = inspect.getattr_static(gl.dlarray, name)
        if name in SKIPPED or name.startswith("_") and not name.startswith("__") or name.startswith("__gradloom"):
            continue
        if getattr(object, name, None) is member and not inspect.isfunction(member):
            continue
        if isinstance(member, property):
            lines += ["    @property", f"    def {name}(self) -> Any: ..."]
        elif inspect.isfunction(member):
            text = parameters(member)
            first, _, rest = text.partition(", ")
            if first.partition(":")[0] != "self":
                text = "self" + (f", {rest}" if rest else "")
            ignored = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
            lines.append(f"    def {name}({text}) -> {RESULTS.get(name, 'Any')}: ...{ignored}")
    return lines


def text() -> str:
    """The whole stub."""
    lines = ["# Written by tools/make_stub.py: `make stub`.", "import builtins", "from collections.abc import Iterator", "from typing import Any", ""]
    functions = []
    for name in sorted(n for n in vars(gl) if not n.startswith("_")):
        thing = getattr(gl, name)
        if isinstance(thing, ModuleType):
            if name == "layers":
                lines.append("from .networks import layers as layers")
        elif isinstance(thing, type) and thing is not gl.dlarray or name in ("Learnable", "State"):
            module = getattr(thing, "__module__", "gradloom.networks.layer") if isinstance(thing, type) else "gradloom.networks.layer"
            lines.append(f"from {module.replace('gradloom', '', 1)} import {name} as {name}")
        elif inspect.isfunction(thing) or callable(thing) and thing is not gl.dlarray:
            functions += [f"def {name}({parameters(thing)}) -> Any:", f"    {summary(thing)}"]
    return "\n".join([*lines, "", "__version__: str", "__all__: list[str]", "", *array_class(), "", *functions, ""])


if __name__ == "__main__":
    STUB.write_text(text())
    print(f"wrote {STUB}")
