"""Jacobians of published architectures through `from_torch`, and gradients per sample, beside torch.func: time and peak
memory.

The Jacobian of three outputs by all parameters, in evaluation mode, against torch.func.jacrev of functional_call;
gradients of 64 losses, sample by sample, against vmap(grad). Forward pass and trace are timed too. Values are compared
first, in double precision: a relu that rounding turns is no mistake. "dense" writes what torch gives, an array for each
parameter; "as factors" is the structured Jacobian; "accelerated" is the same function in dlaccelerate, replayed, which
a way that is not is told apart from. Memory is the peak of what torch's allocator gave out during one call. What takes
more than LIMIT seconds is given up. Alone:
python -m benchmarks.architectures [names] [--seconds s] [--threads n] [--explain].
"""
from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch.func import functional_call, grad, jacrev, vmap

from .architecture_models import ARCHITECTURES, CLASSES, SAMPLED, SAMPLES, Model, varied
from .harness import Benchmark, Measurement, busy_elsewhere, interleave, warm_up
from .report import aligned, duration, number

LIMIT = 30  # seconds of a first call, after which what is slower is given up
DEAREST, MEDIAN, MEMORY = 1.1, 0.7, 1.2  # targets of Jacobians: each, in the middle, and of memory
FACTORS, MATRIX = 0.5, 1.0  # targets of gradients per sample
REPLAYED = "accelerated"  # what is so must be replayed once it is warm
SHARE = 10  # of the seconds for a contender, what one architecture gets
# relative to the largest entry of a part; Llama and T5 normalize in single precision whatever they are given
TOLERANCE = 1e-5


@dataclass
class Way:
    """One way to the same derivatives: the call, and what makes of its result the arrays that are compared, by the
    parameter's name."""

    name: str
    call: Callable[[], Any]
    arrays: Callable[[Any], dict[str, torch.Tensor]]
    target: float | None = None
    replayed: Any = None  # the accelerated function
    first: float | None = None
    least: float | None = None
    memory: int | None = None
    failure: str = ""


@dataclass
class Result:
    """The ways of one model, torch's first."""

    name: str
    ways: list[Way] = field(default_factory=list)

    def ratio(self, way: Way) -> float | None:
        """Of least times to torch's."""
        return way.least / self.ways[0].least if way.least and self.ways[0].least else None

    def memory_ratio(self, way: Way) -> float | None:
        return way.memory / self.ways[0].memory if way.memory and self.ways[0].memory else None


# ----- the ways -------------------------------------------------------------------------------------------------------


def joined(key: tuple[str, str]) -> str:
    return ".".join(part for part in key if part)


def parts(J: Any) -> dict[str, torch.Tensor]:
    """Each part written out."""
    return {joined(key): torch.as_tensor(J[key].dense().numpy()) for key in J.columns}


def tensors(arrays: Any) -> dict[str, torch.Tensor]:
    return {joined(key): torch.as_tensor(x.numpy()) for key, x in arrays.items()}


def split(matrix: Any, columns: Any) -> dict[str, torch.Tensor]:
    """The columns of a matrix by parameters."""
    whole = torch.as_tensor(matrix.numpy())
    return {joined(key): whole[:, at] for key, at in columns.items()}


def typed(made: tuple[torch.nn.Module, torch.Tensor], dtype: torch.dtype) -> tuple[torch.nn.Module, torch.Tensor]:
    module, x = made
    return varied(module).to(dtype), x.to(dtype) if x.is_floating_point() else x


def both(name: str, function: Callable[..., Any], given: tuple[Any, ...],
         arrays: Callable[[Any], dict[str, torch.Tensor]], target: float | None) -> list[Way]:
    """A function in dlfeval, plain and accelerated."""
    import gradloom as gl

    fast = gl.dlaccelerate(function)
    return [Way(name, lambda: gl.dlfeval(function, *given), arrays, target),
            Way(f"{name}, {REPLAYED}", lambda: gl.dlfeval(fast, *given), arrays, target, fast)]


def jacobian_ways(model: Model, dtype: torch.dtype) -> list[Way]:
    """Three outputs by all parameters."""
    import gradloom as gl
    from gradloom.interop.torch import from_torch

    torch.manual_seed(0)
    module, x = typed(model.make(), dtype)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    theirs = jacrev(lambda p: functional_call(module, p, (x,)))

    def factors(net: Any, x: Any) -> Any:
        return gl.dljacobian(net(x), net.learnables)

    def dense(net: Any, x: Any) -> Any:
        J = factors(net, x)
        return {key: J[key].dense() for key in J.columns}

    given = from_torch(module), gl.dlarray(x)
    return [Way("torch jacrev", lambda: theirs(parameters), dict), *both("dense", dense, given, tensors, DEAREST),
            *both("as factors", factors, given, parts, None)]


def sample_ways(model: Model, dtype: torch.dtype) -> list[Way]:
    """The gradients of 64 losses, sample by sample."""
    import gradloom as gl
    from gradloom.interop.torch import from_torch

    torch.manual_seed(0)
    module, x = typed(model.make(), dtype)
    labels = torch.randint(0, CLASSES, (SAMPLES,))
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    theirs = vmap(grad(lambda p, x, label: functional_call(module, p, (x[None], label[None]))[0]), (None, 0, 0))

    def factors(net: Any, x: Any, labels: Any) -> Any:
        return gl.dljacobian(net(x, labels), net.learnables)

    def matrix(net: Any, x: Any, labels: Any) -> Any:
        return factors(net, x, labels).matrix()

    given = from_torch(module), gl.dlarray(x), gl.dlarray(labels)
    columns = gl.dlfeval(factors, *given).columns
    return [Way("torch vmap(grad)", lambda: theirs(parameters, x, labels), dict),
            *both("as a matrix", matrix, given, lambda found: split(found, columns), MATRIX),
            *both("as factors", factors, given, parts, FACTORS)]


# ----- measuring ------------------------------------------------------------------------------------------------------


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Gives up what takes longer."""

    def give_up(*_: Any) -> None:
        raise TimeoutError(f"given up after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak(call: Callable[[], Any]) -> int:
    """The most bytes that torch's allocator had given out at once during a call, above what was there before."""
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    held = highest = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest


def settled(way: Way) -> Any:
    """What a way gives when it does what it will do from then on: an accelerated function is replayed, by the executor
    that stays."""
    fast, result = way.replayed, way.call()
    if fast is not None:
        warm_up(way.call, True)
        hits, result = fast.hit_rate, way.call()
        if fast.hit_rate <= hits:
            raise AssertionError(f"it is not replayed: {fast.why_not}")
    return result


def compared(ways: list[Way]) -> None:
    """Says of each way where it fails or differs from the first."""
    expected: dict[str, torch.Tensor] = {}
    for way in ways:
        try:
            with at_most(LIMIT):
                found = way.arrays(settled(way))
            expected = expected or found
            if list(found) != list(expected):
                raise AssertionError(f"parameters {[*found]} instead of {[*expected]}")
            for name, theirs in expected.items():
                error = float((found[name].reshape(theirs.shape) - theirs).abs().max())
                if not error <= TOLERANCE * max(float(theirs.abs().max()), 1e-3):
                    raise AssertionError(f"{name} differs by {error:.1e}")
        except Exception as error:
            way.failure = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"


def measured(model: Model, ways: Callable[[Model, torch.dtype], list[Way]], seconds: float) -> Result:
    """Compared, then timed in turns, then the memory of one call each."""
    result = Result(model.name, ways(model, torch.float32))
    exact = ways(model, torch.float64)
    compared(exact)
    for way, checked in zip(result.ways, exact, strict=True):
        way.failure = checked.failure
        if not way.failure:
            start = time.perf_counter()
            way.call()
            way.first = time.perf_counter() - start
            settled(way)
    timed = {id(way): Measurement(way.name, "", None, run=way.call) for way in result.ways if not way.failure}
    gc.collect()
    gc.freeze()
    interleave(list(timed.values()), seconds)
    gc.unfreeze()
    for way in result.ways:
        if not way.failure:
            way.least, way.memory = min(timed[id(way)].times), peak(way.call)
    return result


# ----- telling --------------------------------------------------------------------------------------------------------


def size(nbytes: int | None) -> str:
    return "-" if nbytes is None else f"{nbytes / 1e6:.1f} MB"


def shown(results: list[Result]) -> str:
    """A line for each way of each model."""
    rows = []
    for r in results:
        for way in r.ways:
            ratio = r.ratio(way)
            verdict = way.failure or ("" if way.target is None or ratio is None else
                                      f"target {way.target:g}: {'met' if ratio <= way.target else 'MISSED'}")
            rows.append([r.name, way.name, duration(way.least), duration(way.first), number(ratio), size(way.memory),
                         number(r.memory_ratio(way)), verdict])
    return aligned(["model", "way", "minimum", "first call", "ratio", "peak memory", "ratio", "result"], rows)


def summary(results: list[Result], ratio_of: Callable[[Result, Way], float | None], name: str, targets: str) -> str:
    """The middle and the worst of the ways of a name."""
    found = {r.name: ratio_of(r, way) for r in results for way in r.ways if way.name == name}
    known = {model: x for model, x in found.items() if x is not None}
    if not known:
        return f"{name}: none."
    worst = max(known, key=lambda model: known[model])
    absent = f", without {', '.join(model for model in found if model not in known)}" if len(known) < len(found) else ""
    return f"{name} ({targets}): median {median(known.values()):.2f}, worst {known[worst]:.2f} ({worst}){absent}."


def tables(jacobians: list[Result], samples: list[Result]) -> list[str]:
    """Both tables, and summaries of the first."""
    sections = [shown(results) for results in (jacobians, samples) if results]
    if jacobians:
        sections[1:1] = [summary(jacobians, ratio_of, name, targets) for ratio_of, targets in
                         ((Result.ratio, f"time; targets: median {MEDIAN}, worst {DEAREST}"),
                          (Result.memory_ratio, f"peak memory; target: worst {MEMORY}"))
                         for name in ("dense", f"dense, {REPLAYED}")]
    return sections


def told(seconds: float, names: list[str] | None = None) -> str:
    """Both tables and their summaries, as Markdown."""
    warnings.filterwarnings("ignore", module="transformers")
    start, busy = time.perf_counter(), busy_elsewhere()
    found: list[list[Result]] = []
    for models, ways in ((ARCHITECTURES, jacobian_ways), (SAMPLED, sample_ways)):
        found.append([])
        for model in models:
            if not names or model.name in names:
                print(f"\r{model.name:40}", end="", file=sys.stderr, flush=True)
                found[-1].append(measured(model, ways, seconds))
    print("\r", end="", file=sys.stderr)
    elsewhere = (busy_elsewhere() - busy) / (time.perf_counter() - start) / (os.cpu_count() or 1)
    return "\n\n".join([*tables(*found), f"Other processes used {max(0.0, elsewhere):.0%} of the machine."])


def explained(names: list[str]) -> str:
    """Of each model's recorded trace, how many nodes of each operation there are."""
    from collections import Counter

    import gradloom as gl
    from gradloom.core.trace import ancestors
    from gradloom.interop.torch import from_torch

    def operations(net: Any, *xs: Any) -> str:
        y = net(*xs)
        order = ancestors([y._node], min(x._node.number for x in net.learnables.values()))
        counted = Counter(node.operation.name for node in order)
        return f"{sum(counted.values())} nodes: {', '.join(f'{name} {n}' for name, n in counted.most_common())}"

    lines = []
    for model in [*ARCHITECTURES, *SAMPLED]:
        if names and model.name not in names:
            continue
        torch.manual_seed(0)
        module, x = model.make()
        labels = [gl.dlarray(torch.randint(0, CLASSES, (SAMPLES,)))] if model in SAMPLED else []
        lines.append(f"{model.name}: {gl.dlfeval(operations, from_torch(varied(module)), gl.dlarray(x), *labels)}")
    return "\n\n".join(lines)


def benchmark() -> Benchmark:
    return Benchmark("architectures", "Jacobians of 3 outputs by all parameters of published architectures, and "
                     "gradients of 64 losses sample by sample, through from_torch, float32, beside torch.func.",
                     [], list, tolerance=0.0, further=lambda seconds: told(seconds / SHARE))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--explain", action="store_true", help="count the nodes of the traces instead")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    import gradloom

    gradloom.keep_memory()  # as the whole table's process does
    print(explained(given.names) if given.explain else told(given.seconds / SHARE, given.names))
