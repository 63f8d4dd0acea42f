"""Measurements as one aligned table (also valid Markdown) and as a plot."""
from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {"gradloom": "tab:red", "rival": "tab:blue", "information": "lightsteelblue", "floor": "darkgrey"}
HEADER = ["benchmark", "contender", "minimum", "median", "first call", "ratio to rival", "of medians",
          "ratio to floor", "result"]
EXPLANATION = """\
*minimum* and *median* of the timed calls; *first call* includes compiling. *ratio to rival*: minimum over the minimum of the
best rival (*) of the same run; contenders for information (i) are not in it. *ratio to floor*: minimum over the time to write
the dense result into memory that is already there, or to multiply as much in one matrix product; what does not write the
dense result may lie below. A target is a *ratio to rival*: met or missed.

Virtual machines alternate between a fast and a slow state (here a factor of 1.8 for seconds at a time) as their neighbours on the
host work and rest; minima are comparable when every contender has seen the fast state, so give them enough `--seconds`.

`gradloom.keep_memory()` lets the process keep memory that arrays gave back (docs/decisions/0010), which the rivals of the same process profit
from: with GRADLOOM_KEEP_MEMORY=0 torch's jacfwd in h2 takes 4 to 5 times as long (the ratio is then 0.011 as a Block, 0.025 into the buffer), its
contraction in h9 1.8 times (0.41).
"""


def duration(seconds: float | None) -> str:
    """Three significant digits, in us, ms or s."""
    if seconds is None:
        return "-"
    value, unit = ((seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms") if seconds >= 1e-3
                   else (seconds * 1e6, "us"))
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def aligned(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns also line up as plain text; all but the first two columns to the right."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    left = [k < 2 or k == len(header) - 1 for k in range(len(header))]
    rule = [":".rjust(width + 2, "-") if not is_left else "-" * (width + 2)
            for width, is_left in zip(widths, left, strict=True)]

    def line(row: list[str]) -> str:
        cells = [cell.ljust(width) if is_left else cell.rjust(width)
                 for cell, width, is_left in zip(row, widths, left, strict=True)]
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(header), f"|{'|'.join(rule)}|", *map(line, rows)])


def number(value: float | None) -> str:
    """A ratio, to three places below 10."""
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.0f}"


def best(measurements: list[dict], role: str, key: str) -> float | None:
    """The least time of a role, if any was measured."""
    return min((m[key] for m in measurements if m["role"] == role and m[key] is not None), default=None)


def ratio(m: dict, measurements: list[dict], role: str, key: str) -> float | None:
    """A time over the best one of a role; a floor has none."""
    other = best(measurements, role, key)
    return None if m[key] is None or other is None or m["role"] == "floor" else m[key] / other


def verdict(m: dict, to_rival: float | None) -> str:
    """Whether the target was met, said plainly."""
    if m["failure"]:
        return m["failure"]
    if m["target"] is None or to_rival is None:
        return m["rate"]
    return f"target {m['target']:g}: {'met' if to_rival <= m['target'] else 'MISSED'}"


def rows(name: str, measurements: list[dict]) -> list[list[str]]:
    """The cells of one benchmark."""
    cells = []
    for m in measurements:
        to_rival = ratio(m, measurements, "rival", "minimum")
        mark = {"rival": " *", "information": " (i)"}.get(m["role"], "")
        of_medians, to_floor = ratio(m, measurements, "rival", "median"), ratio(m, measurements, "floor", "minimum")
        cells.append([name, m["name"] + mark, duration(m["minimum"]), duration(m["median"]), duration(m["first_call"]),
                      number(to_rival), number(of_medians), number(to_floor), verdict(m, to_rival)])
    return cells


def table(records: dict[str, Any]) -> str:
    """All benchmarks in one table."""
    return aligned(HEADER, [cells for name, record in records.items() for cells in rows(name, record["measurements"])])


def notes(records: dict[str, Any]) -> str:
    """What each benchmark measures, on which machine, how closely the contenders agreed, and further results."""
    parts = []
    for name, record in records.items():
        errors = [m["error"] for m in record["measurements"] if m["error"] is not None]
        agreed = f" All agree to {max(errors):.0e} (allowed {record['tolerance']:.0e})." if errors else ""
        elsewhere = max((m["elsewhere"] for m in record["measurements"]), default=0.0)
        noise = f"Other processes used {elsewhere:.0%} of the machine" + (": too noisy to publish."
                                                                          if elsewhere > 0.1 else ".")
        parts.append(
            f"**{name}**: {record['work']}{agreed}\n{record['machine']}, {record['date']}. "
            f"{noise}\n\n{record['further']}".strip())
    return "\n\n".join(parts) + "\n"


def write(records: dict[str, Any], folder: Path) -> None:
    """table.md and times.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(f"# Benchmarks\n\n{EXPLANATION}\n{table(records)}\n\n{notes(records)}")
    plot(records, folder / "times.png")


def plot(records: dict[str, Any], path: Path) -> None:
    """Minimum times as horizontal bars on a logarithmic axis, one panel for each benchmark."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    bars = {name: [m for m in record["measurements"] if m["minimum"] is not None] for name, record in records.items()
            if record["measurements"]}
    if not bars:
        return
    heights = [len(timed) + 1.5 for timed in bars.values()]
    size = (10, 0.32 * sum(heights) + 1)
    figure, panels = plt.subplots(len(bars), 1, figsize=size, height_ratios=heights, squeeze=False,
                                  layout="constrained")
    for panel, (name, timed) in zip(panels[:, 0], bars.items(), strict=True):
        times = [m["minimum"] * 1e3 for m in timed]
        drawn = panel.barh([m["name"] for m in timed], times, color=[COLOURS[m["role"]] for m in timed], height=0.75)
        panel.bar_label(drawn, [duration(m["minimum"]) for m in timed], padding=4, fontsize=8)
        panel.invert_yaxis()
        panel.set_xscale("log")
        panel.set_xlim(min(times) / 3, max(times) * 4)
        panel.set_title(name, loc="left", fontsize=10, fontweight="bold")
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("milliseconds (minimum, logarithmic; shorter is better)", fontsize=9)
    figure.legend(handles=[Patch(color=colour, label=role) for role, colour in COLOURS.items()],
                  loc="outside upper right", ncols=4, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
