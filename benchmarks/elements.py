"""10,000 reads and 10,000 writes of single elements in a Python loop, and the gradient through all of them.

    for i in range(n): buffer[i] = sin(x[i]) * x[i - 1];    y = sum(buffer * buffer);    dy/dx

torch's functional ways are to collect the elements and stack them, or to make a new buffer for each write. The further
table shows whether time and memory grow linearly with n.
"""
from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from .harness import Benchmark, Contender, measure
from .report import aligned, duration

SIZES = (1_000, 2_000, 4_000, 10_000)


def start(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(n)


def by_hand(n: int) -> list[np.ndarray]:
    x = start(n)
    before, after = np.roll(x, 1), np.roll(x, -1)
    return [2 * np.sin(x) * np.cos(x) * before**2 + 2 * np.sin(after) ** 2 * x]


def gradloom(n: int):
    import gradloom as gl

    x0 = gl.dlarray(start(n))

    def gradient(x):
        buffer, previous = gl.zeros(n, like=x), x[-1]
        for i in range(n):
            current = x[i]
            buffer[i] = gl.sin(current) * previous
            previous = current
        return gl.dlgradient(gl.sum(buffer * buffer), x)

    return lambda: gl.dlfeval(gradient, x0)


def torch_stack(n: int):
    """Elements are read one by one, collected in a list and stacked."""
    x = torch.tensor(start(n), requires_grad=True)

    def run():
        collected, previous = [], x[-1]
        for i in range(n):
            current = x[i]
            collected.append(torch.sin(current) * previous)
            previous = current
        buffer = torch.stack(collected)
        return torch.autograd.grad((buffer * buffer).sum(), x)

    return run


def torch_unbind_stack(n: int):
    """As above, with all elements read at once: the quickest way that torch has, and no longer a read in the loop."""
    x = torch.tensor(start(n), requires_grad=True)

    def run():
        elements = x.unbind()
        collected, previous = [], elements[-1]
        for current in elements:
            collected.append(torch.sin(current) * previous)
            previous = current
        buffer = torch.stack(collected)
        return torch.autograd.grad((buffer * buffer).sum(), x)

    return run


def torch_functional_writes(n: int):
    """Each write makes a new buffer."""
    x = torch.tensor(start(n), requires_grad=True)
    positions = torch.arange(n).split(1)

    def run():
        buffer, previous = torch.zeros_like(x), x[-1]
        for i in range(n):
            current = x[i]
            buffer = torch.index_put(buffer, (positions[i],), torch.sin(current) * previous)
            previous = current
        return torch.autograd.grad((buffer * buffer).sum(), x)

    return run


def torch_writes_in_place(n: int):
    """torch rewrites the history of the buffer at each write."""
    x = torch.tensor(start(n), requires_grad=True)

    def run():
        buffer, previous = torch.zeros_like(x), x[-1]
        for i in range(n):
            current = x[i]
            buffer[i] = torch.sin(current) * previous
            previous = current
        return torch.autograd.grad((buffer * buffer).sum(), x)

    return run


WAYS = {
    "gradloom": gradloom,
    "torch, read and stack": torch_stack,
    "torch, unbind and stack": torch_unbind_stack,
    "torch, functional writes": torch_functional_writes,
    "torch, writes in place": torch_writes_in_place,
}


def contenders(n: int) -> list[Contender]:
    # no read in the loop
    roles = {"gradloom": "gradloom", "torch, writes in place": "information", "torch, unbind and stack": "information"}
    targets = {"gradloom": 1.0}
    return [Contender(name, partial(way, n), roles.get(name, "rival"), targets.get(name)) for name, way in WAYS.items()]


def kilobytes(line: str) -> int:
    """VmRSS (memory now) or VmHWM (its peak) of this process. `resource.ru_maxrss` would start from the parent's
    peak."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(text for text in status if text.startswith(line)).split()[1])


def peak_growth(name: str, n: int) -> str:
    """By how much one call raises the peak memory of a fresh process, in MB."""
    command = [sys.executable, "-m", "benchmarks.elements", name, str(n)]
    child = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    return f"{int(child.stdout) / 1024:.1f} MB" if child.returncode == 0 else "-"


def growth(seconds: float) -> str:
    """Time and peak memory for several n, and how much more the largest takes than the smallest."""
    times = {n: [m.minimum for m in measure(contenders(n), seconds / 4, by_hand(n), 1e-10)] for n in SIZES}
    rows = []
    for k, name in enumerate(WAYS):
        smallest, largest = times[SIZES[0]][k], times[SIZES[-1]][k]
        grown = f"{largest / smallest:.1f}" if smallest and largest else "-"
        rows.append([name, "time"] + [duration(times[n][k]) for n in SIZES] + [grown])
        rows.append(["", "memory"] + [peak_growth(name, n) if smallest else "-" for n in SIZES] + [""])
    return aligned(["contender", ""] + [f"n = {n:,}" for n in SIZES] + [f"growth (linear: {SIZES[-1] // SIZES[0]})"],
                   rows)


def benchmark() -> Benchmark:
    n = SIZES[-1]
    return Benchmark("elements", f"gradient through {n:,} reads and {n:,} writes of single elements, float64.",
                     contenders(n), lambda: by_hand(n), tolerance=1e-10, further=growth)


if __name__ == "__main__":
    way, size = WAYS[sys.argv[1]], int(sys.argv[2])
    way(10)()  # what the first call allocates once and for all
    run, before = way(size), kilobytes("VmRSS")
    run()
    print(max(0, kilobytes("VmHWM") - before))
