"""Every public operation on about a megabyte, forward and with gradient, beside torch eager: which are slower than 1.2
of it?

Forward is untraced. The gradient is that of the product of the result with fixed numbers, so that cotangents are dense,
and contains the forward pass. Values and gradients are compared first. What is slower than 1.2 is measured again,
longer, with the smaller ratio kept: noise only adds. Alone: python -m benchmarks.operations [names] [--seconds s]
prints the table for cases whose name has one of the words.
"""
from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .harness import Benchmark, Measurement, busy_elsewhere, interleave
from .operation_cases import CASES, Case, Fixed, made, missing
from .report import aligned, duration, number

LIMIT = 1.2
VIEW = 8e-6  # seconds; to read a megabyte takes longer
SHARE = 40  # of the seconds for a contender, what one way of one case gets
AGAIN = 4  # times as long


@dataclass
class Result:
    """Least times of one case: forward and with gradient, each for gradloom and torch."""

    name: str
    forward: tuple[float, float]
    gradient: tuple[float, float] | None


def outputs_of(y: Any) -> list[Any]:
    """The outputs that carry derivatives."""
    outputs = y if isinstance(y, (tuple, list)) else [y]
    return [o for o in outputs if o.dtype.is_floating_point or o.dtype.is_complex]


def ways(case: Case) -> tuple[list[Callable[[], Any]], list[Callable[[], Any]]]:
    """Forward, and with gradient, in gradloom and in torch."""
    import gradloom as gl

    torch.manual_seed(0)
    arrays = [made(spec) for spec in case.inputs]
    constant = [isinstance(a, Fixed) or not (a.is_floating_point() or a.is_complex()) for a in arrays]
    tensors = [a.value if isinstance(a, Fixed) else a for a in arrays]
    mine = [gl.dlarray(a) for a in tensors]
    forward = [lambda: case.ours(*mine), lambda: case.theirs(*tensors)]
    if not case.gradient:
        return forward, []
    weights = [torch.randn_like(o) for o in outputs_of(case.theirs(*tensors))]
    my_weights = [gl.dlarray(w) for w in weights]
    leaves = [t.clone() if c else t.clone().requires_grad_() for t, c in zip(tensors, constant, strict=True)]
    targets = [t for t, c in zip(leaves, constant, strict=True) if not c]

    def our_gradient(*xs: Any) -> Any:
        total = None
        for y, w in zip(outputs_of(case.ours(*xs)), my_weights, strict=True):
            part = gl.multiply(y, w) if y.size > 1 else y
            part = gl.sum(gl.real(part) if part.dtype.is_complex else part)
            total = part if total is None else total + part
        return gl.dlgradient(total, *[x for x, c in zip(xs, constant, strict=True) if not c])

    def their_gradient() -> Any:
        total = None
        for y, w in zip(outputs_of(case.theirs(*leaves)), weights, strict=True):
            part = y * w if y.numel() > 1 else y
            part = part.real.sum() if part.is_complex() else part.sum()
            total = part if total is None else total + part
        return torch.autograd.grad(total, targets)

    return forward, [lambda: gl.dlfeval(our_gradient, *mine), their_gradient]


def compare(case: Case, found: Any, expected: Any) -> None:
    for a, b in zip(outputs_of(found), outputs_of(expected), strict=True):
        a, b = torch.from_numpy(np.array(a)), b.detach()
        torch.testing.assert_close(a, b.resolve_conj(), rtol=case.tolerance,
                                   atol=case.tolerance * max(1.0, float(b.abs().max()) if b.numel() else 0.0),
                                   msg=lambda text: f"{case.name}: {text}", equal_nan=True)


def measured(case: Case, seconds: float) -> Result:
    forward, gradient = ways(case)
    for pair, compared in zip((forward, gradient), case.compared, strict=True):
        results = [way() for way in pair]
        if pair and compared:
            compare(case, *results)
    timed = [Measurement(case.name, "", None, run=way) for way in (*forward, *gradient)]
    interleave(timed, seconds)
    least = [min(m.times) for m in timed]
    return Result(case.name, (least[0], least[1]), (least[2], least[3]) if gradient else None)


def ratio(times: tuple[float, float] | None) -> float:
    return times[0] / times[1] if times else 0.0


def better(a: Result, b: Result) -> Result:
    gradient = min(a.gradient, b.gradient, key=ratio) if a.gradient and b.gradient else None
    return Result(a.name, min(a.forward, b.forward, key=ratio), gradient)


def all_measured(cases: list[Case], seconds: float) -> list[Result]:
    """The results of all cases, those that look slow measured again."""
    results = []
    for case in cases:
        print(f"\r{case.name:40}", end="", file=sys.stderr, flush=True)
        result = measured(case, seconds)
        if max(ratio(result.forward), ratio(result.gradient)) > LIMIT:
            result = better(result, measured(case, AGAIN * seconds))
        results.append(result)
    print("\r", end="", file=sys.stderr)
    return results


def shown(results: list[Result]) -> str:
    """The table, slowest with gradient first."""
    rows = []
    for r in sorted(results, key=lambda r: max(ratio(r.forward), ratio(r.gradient)), reverse=True):
        ours, theirs = r.gradient or (None, None)
        rows.append([r.name, *map(duration, r.forward), number(ratio(r.forward)), duration(ours), duration(theirs),
                     number(ratio(r.gradient) if r.gradient else None)])
    return aligned(["operation", "forward", "torch", "ratio", "with gradient", "torch", "ratio"], rows)


def worst(results: list[Result], times_of: Callable[[Result], tuple[float, float] | None]) -> str:
    ordered = sorted(results, key=lambda r: ratio(times_of(r)), reverse=True)
    slow = sum(ratio(times_of(r)) > LIMIT for r in ordered)
    slowest = ", ".join(f"{r.name} {ratio(times_of(r)):.2f}" for r in ordered[:5]) or "none"
    return f"{slowest}; {slow} of {len(ordered)} are above {LIMIT}"


def told(cases: list[Case], seconds: float) -> str:
    """The table and what stands out in it, as Markdown."""
    start, busy = time.perf_counter(), busy_elsewhere()
    gc.collect()
    gc.freeze()
    results = all_measured(cases, seconds)
    gc.unfreeze()
    elsewhere = (busy_elsewhere() - busy) / (time.perf_counter() - start) / (os.cpu_count() or 1)
    absent = missing()
    views = [r for r in results if r.forward[1] < VIEW]
    return "\n\n".join([
        shown(results),
        f"The five worst forward: {worst([r for r in results if r not in views], lambda r: r.forward)}.",
        f"The five worst of what touches next to no memory (torch takes less than {duration(VIEW)}; what is timed is "
        f"the call): {worst(views, lambda r: r.forward)}; at most "
        f"{duration(max((r.forward[0] for r in views), default=0.0))}.",
        f"The five worst with gradient: {worst(results, lambda r: r.gradient)}.",
        f"Without a case: {', '.join(absent) or 'none'}. Other processes used {max(0.0, elsewhere):.0%} of the "
        "machine.",
    ])


def benchmark() -> Benchmark:
    return Benchmark("operations", "every operation on about a megabyte, float32, beside torch eager.",
                     [], list, tolerance=0.0,
                     further=lambda seconds: told(CASES, seconds / SHARE))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(told([c for c in CASES if not given.names or c.name in given.names or c.name.split()[0] in given.names],
               given.seconds / SHARE))
