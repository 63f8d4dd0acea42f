"""Write docs/training_options.md: MATLAB's training options, what each is called here, and why some are not here."""
from __future__ import annotations

from pathlib import Path

from gradloom.training.options import FIELDS, SOLVERS, default_of
from gradloom.vocabulary.training_options import HERE, LEFT_OUT

PAGE = Path(__file__).parents[1] / "docs" / "training_options.md"


def page() -> str:
    """The whole page."""
    lines = ["# Training options", "",
             "The options of `TrainingOptions`, written by `tools/make_options_table.py`. `help(gl.TrainingOptions)` says",
             "what those do that MATLAB does not have.", "", "## MATLAB's", "",
             "| MATLAB | here | default | differs |", "|---|---|---|---|"]
    lines += [f"| `{name}` | `{ours}` | {default(ours)} | {differs} |" for name, (ours, differs) in HERE.items()]
    lines += ["", "## Ours besides", "", "| option | default | takes |", "|---|---|---|"]
    theirs = {ours for ours, _ in HERE.values()}
    lines += [f"| `{name}` | {default(name)} | {its.metadata['check'][1]} |" for name, its in FIELDS.items()
              if name not in theirs and name != "solver"]
    lines += ["", "## Not here", "", "| MATLAB | why |", "|---|---|"]
    lines += [f"| `{name}` | {why} |" for name, why in LEFT_OUT.items()]
    return "\n".join([*lines, ""])


def default(name: str) -> str:
    """The default of an option, and the solvers that have it."""
    its = FIELDS[name]
    values: dict[str, list[str]] = {}
    for solver in its.metadata["solvers"] or SOLVERS:
        values.setdefault(f"`{default_of(its, solver)!r}`", []).append(solver)
    if len(values) > 1:
        return ", ".join(f"{value} {' '.join(solvers)}" for value, solvers in values.items())
    whose = f" ({' '.join(its.metadata['solvers'])})" if its.metadata["solvers"] else ""
    return next(iter(values)) + whose


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
