"""Write what the register of layers says into the docs: the layers that there are, with what each holds, in
docs/networks.md, and MATLAB's names of these and of the layers that are left out in docs/matlab_names.md.

Run it with `make table`; a test compares the pages with what this would write.
"""
from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradloom  # noqa: F401  (whose layers enter themselves)
from gradloom.networks.registry import CATALOGUE
from gradloom.vocabulary.matlab import LAYERS, LEFT_OUT

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "matlab_names.md"
HEADING = "## Layers\n"
CATALOGUE_HEADING = "## The layers that there are\n"


def rows(names: dict[str, str]) -> str:
    """One row for each name."""
    return "".join(f"| `{matlab}` | `layers.{here}` |\n" for matlab, here in names.items())


def text(page: str) -> str:
    """The page of names with its section about layers written anew."""
    before = page[:page.index(HEADING)]
    head = "\n| MATLAB | gradloom |\n|---|---|\n"
    reasons = "".join(f"| `{matlab}` | {reason} |\n" for matlab, reason in LEFT_OUT.items())
    return (f"{before}{HEADING}{head}{rows(LAYERS)}\n\n### Layers left out\n\n| MATLAB | why |\n|---|---|\n"
            f"{reasons}")


def call(name: str, layer: Any) -> str:
    """A layer as it is written, with its options and their defaults."""
    shown: list[str] = []
    for f in sorted(dataclasses.fields(layer), key=lambda f: f.kw_only):
        if f.name == "name" or f.name in layer.roles:
            continue
        default = "" if f.default is dataclasses.MISSING else f"={f.default!r}"
        shown += (["*"] if f.kw_only and "*" not in shown else []) + [f.name + default]
    return f"{name}({', '.join(shown)})"


def catalogue(page: str) -> str:
    """The page about networks with its table of layers written anew."""
    start = page.index(CATALOGUE_HEADING)
    end = page.find("\n\n## ", start)
    table = "\n| layer | what it does | learnables; states | MATLAB | ONNX |\n|---|---|---|---|---|\n"
    for name, layer in sorted(CATALOGUE.items()):
        what = " ".join((inspect.getdoc(layer) or "").split("\n\n")[0].split())
        held = ["learnable", "state"]
        held = [", ".join(f"`{f}`" for f, role in layer.roles.items() if role == kind) for kind in held]
        table += f"| `{call(name, layer)}` | {what} | {'; '.join(h for h in held if h)} | "
        table += f"{layer.matlab or ''} | {layer.onnx or ''} |\n"
    return page[:start] + CATALOGUE_HEADING + table + (page[end:] if end >= 0 else "")


PAGES: dict[Path, Callable[[str], str]] = {PAGE: text, DOCS / "networks.md": catalogue}

if __name__ == "__main__":
    for path, written in PAGES.items():
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"wrote {path}")
