"""python -m benchmarks.growth [--threads n] [--output folder]: how the cost of a structured Jacobian grows.

Time and bytes held against outputs, parameters, batch and depth, one at a time: as a Block, and dense into out=. Writes
growth.png and prints a table with the slope of each curve over its last steps, in doublings per doubling: what takes
time should grow no faster than the numbers that it stores.
"""
from __future__ import annotations

import argparse
import gc
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPEATS, LEAST = 7, 0.15  # the minimum of at least so many calls, and of so many seconds
STEEPER = 0.15  # doublings per doubling by which a curve may exceed what it stores: the noise of a shared machine
CURVES = {"as a Block": "tab:red", "dense into out=": "tab:blue"}


@dataclass(frozen=True)
class Growth:
    """`make(n)` gives (a function, its parameters), both for dlfeval; `sizes` are the n."""

    name: str
    what: str
    sizes: list[int]
    make: Callable[[int], tuple[Callable[[Any], Any], Any]]


def layers(widths: list[int], batch: int = 1) -> tuple[Callable[[Any], Any], Any]:
    """Fully connected layers with tanh."""
    import gradloom as gl

    gl.rng(0)
    x = gl.randn((batch, widths[0]), dtype="float32")
    parameters = {}
    for k, (a, b) in enumerate(itertools.pairwise(widths), 1):
        parameters[f"weights{k}"], parameters[f"bias{k}"] = gl.randn((a, b),
                                                                     dtype="float32") * a**-0.5, gl.zeros(
                                                                         b, dtype="float32")

    def network(p: Any) -> Any:
        h = x
        for k in range(1, len(widths)):
            h = gl.tanh(h @ p[f"weights{k}"] + p[f"bias{k}"])
        return h

    return network, parameters


def image(side: int) -> tuple[Callable[[Any], Any], Any]:
    """A convolution and a relu of an image: more outputs, the same parameters."""
    import gradloom as gl

    gl.rng(0)
    x = gl.randn((1, 1, side, side), dtype="float32")

    def network(p: Any) -> Any:
        return gl.relu(gl.dlconv(x, p["weights"], p["bias"], padding="same", data_format="BCSS"))

    return network, {"weights": gl.randn((16, 1, 3, 3), dtype="float32"), "bias": gl.zeros(16, dtype="float32")}


def growths() -> list[Growth]:
    """One for each thing that grows."""
    return [
        Growth("outputs", "convolution 3x3 to 16 filters, relu; pixels", [8, 16, 32, 64, 128], image),
        Growth("parameters", "n-64-64 tanh, 64 outputs; n inputs", [128, 512, 2048, 8192, 32768],
               lambda n: layers([n, 64, 64])),
        Growth("batch", "64-64-8 tanh; observations", [4, 16, 64, 256, 1024], lambda n: layers([64, 64, 8], n)),
        Growth("depth", "64-64-...-64 tanh; layers", [2, 4, 8, 16, 32, 64], lambda n: layers([64] * (n + 1))),
    ]


@dataclass
class Point:
    """One size: the number on the axis, the numbers that the Block stores and that the matrix has, and the seconds."""

    at: int
    held: int
    dense: int
    block: float
    out: float


def shortest(call: Callable[[], Any]) -> float:
    """The minimum of several calls; the first, which plans, is not counted."""
    call()
    gc.collect()
    times: list[float] = []
    while len(times) < REPEATS or sum(times) < LEAST:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def measured(growth: Growth, n: int) -> Point:
    import torch

    import gradloom as gl

    network, parameters = growth.make(n)

    def block() -> Any:
        return gl.dlfeval(lambda p: gl.dljacobian(network(p), p), parameters)

    J = block()
    memory = {key: torch.zeros((*J.u_shape, *J[key].x_shape)) for key in parameters}

    def out() -> None:
        found = block()
        for key, array in memory.items():
            found[key].dense(out=array)

    at = {"outputs": J.shape[0], "parameters": J.shape[1]}.get(growth.name, n)
    return Point(at, J.nbytes, J.dense_nbytes, shortest(block), shortest(out))


def slope(points: list[Point], of: str) -> float:
    """Doublings per doubling of what is on the axis, over the last two steps."""
    a, b = points[-3], points[-1]
    return math.log(getattr(b, of) / getattr(a, of)) / math.log(b.at / a.at)


def table(found: dict[str, list[Point]]) -> str:
    """The slopes of time and of what is stored, as Markdown."""
    lines = ["| grows with | curve | time | stored values | |", "|---|---|---:|---:|---|"]
    for name, points in found.items():
        for curve, seconds, stored in (("as a Block", "block", "held"), ("dense into out=", "out", "dense")):
            t, s = slope(points, seconds), slope(points, stored)
            lines.append(f"| {name} | {curve} | {t:.2f} | {s:.2f} | {'STEEPER' if t > s + STEEPER else ''} |")
    return "\n".join(lines)


def plot(found: dict[str, list[Point]], whats: dict[str, str], path: Path) -> None:
    """Time above, bytes below, one column for each thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullLocator

    figure, axes = plt.subplots(2, len(found), figsize=(4 * len(found), 7), sharex="col", layout="constrained")
    for column, (name, points) in enumerate(found.items()):
        at = [p.at for p in points]
        rows: list[tuple[str, list[tuple[str, str, str]]]] = [
            ("milliseconds", [("as a Block", "block", "held"), ("dense into out=", "out", "dense")]),
            ("megabytes", [("as a Block", "held", "held"), ("dense into out=", "dense", "dense")]),
        ]
        for row, (unit, curves) in enumerate(rows):
            ax = axes[row][column]
            for curve, of, stored in curves:
                scale = 1e3 if row == 0 else 1e-6
                values = [getattr(p, of) * scale for p in points]
                label = f"{curve}: slope {slope(points, of):.2f}"
                ax.loglog(at, values, "o-", color=CURVES[curve], label=label)
                if row == 0:
                    last = values[-1] / getattr(points[-1], stored)
                    parallel = [getattr(p, stored) * last for p in points]
                    ax.loglog(at, parallel, ":", color=CURVES[curve],
                              label=f"its stored values: {slope(points, stored):.2f}")
            ax.set_xticks(at, [f"{n / 1e6:.2g}M" if n >= 1e6 else f"{n / 1e3:.3g}k" if n >= 1e3
                               else str(n) for n in at])
            ax.xaxis.set_minor_locator(NullLocator())
            if row == 0:
                ax.set_title(f"{name}\n{whats[name]}", fontsize=10)
            else:
                ax.set_xlabel(name)
            if column == 0:
                ax.set_ylabel(unit)
            ax.grid(alpha=0.3)
            ax.legend(fontsize=8, loc="upper left")
            low, high = ax.get_ylim()
            ax.set_ylim(low, high * 12)
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth",
                                     description="how the cost of a structured Jacobian grows")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    from .__main__ import use_threads

    use_threads(given.threads)
    found = {}
    for growth in growths():
        found[growth.name] = [measured(growth, n) for n in growth.sizes]
    plot(found, {g.name: g.what for g in growths()}, given.output / "growth.png")
    print(table(found))


if __name__ == "__main__":
    main()
