"""Write the section of docs/matlab_names.md about layers: the register's names, then those of the layers to come.

Run it with `make table`; a test compares the page with what this would write.
"""
from __future__ import annotations

from pathlib import Path

import gradloom  # noqa: F401  (whose layers enter themselves)
from gradloom.vocabulary.matlab import LAYERS, PLANNED_LAYERS

PAGE = Path(__file__).parents[1] / "docs" / "matlab_names.md"
HEADING = "## Layers\n"


def rows(names: dict[str, str]) -> str:
    """One row for each name."""
    return "".join(f"| `{matlab}` | `layers.{here}` |\n" for matlab, here in names.items())


def text(page: str) -> str:
    """The page with its section about layers written anew."""
    before = page[:page.index(HEADING)]
    head = "\n| MATLAB | gradloom |\n|---|---|\n"
    return f"{before}{HEADING}{head}{rows(LAYERS)}\n\n### Layers to come\n{head}{rows(PLANNED_LAYERS)}"


if __name__ == "__main__":
    PAGE.write_text(text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
