"""Times contenders side by side in one process, after checking that they compute the same numbers.

A benchmark is a list of contenders and a reference. Each contender is called once for the check, then to warm up (of
gradloom until its compiler is done, which takes a core from everybody), and then again and again, interleaved with the
others, until it has used its seconds. What counts is the minimum; the median, and the share of the machine that other
processes used, show the noise. A floor is a contender too: it writes the bytes, or multiplies the flop, that the work
cannot do without.
"""
from __future__ import annotations

import gc
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

TURN = 0.02  # seconds a contender runs before the next one gets its turn
PAUSE = 0.001  # seconds between turns, in which the threads of the last contender stop spinning
LEAST = 3  # timed calls, however slow
SETTLED = 12  # calls in which an accelerated function is recorded, or a compiled one compared and raced
WAIT = 60.0  # seconds for what is compiled


def arrays(result: Any) -> list[np.ndarray]:
    """The arrays in a result of nested tuples and lists, as NumPy arrays."""
    if isinstance(result, (tuple, list)):
        return [array for part in result for array in arrays(part)]
    return [result.detach().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)]


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    `setup()` imports what it needs, prepares the inputs and returns the function without arguments that is timed.
    `role` is "gradloom", "rival" (gradloom is compared with the best of these), "information" or "floor".
    `target` is the ratio to the best rival that gradloom has promised to reach.
    `numbers(result)` gives the arrays to compare with the reference; it is not timed.
    `amount`, of a floor, is what it writes (B) or multiplies (flop), in `unit`.
    """

    name: str
    setup: Callable[[], Callable[[], Any]]
    role: str = "rival"
    target: float | None = None
    numbers: Callable[[Any], list[np.ndarray]] = arrays
    amount: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Benchmark:
    """Contenders for the same work. `reference()` gives the arrays that all must reproduce to `tolerance`
    (absolute)."""

    name: str
    work: str
    contenders: list[Contender]
    reference: Callable[[], list[np.ndarray]]
    tolerance: float
    further: Callable[[float], str] | None = None  # seconds -> more results, as Markdown


@dataclass
class Measurement:
    """What was seen of one contender; `failure` says why there are no times."""

    name: str
    role: str
    target: float | None
    first_call: float | None = None
    minimum: float | None = None
    median: float | None = None
    calls: int = 0
    error: float | None = None
    rate: str = ""
    failure: str = ""
    elsewhere: float = 0.0  # share of the machine that other processes used meanwhile
    run: Callable[[], Any] = lambda: None
    times: list[float] = field(default_factory=list)
    spent: float = 0.0

    def record(self) -> dict[str, Any]:
        """The results as plain data."""
        return {key: value for key, value in vars(self).items() if key not in ("run", "times", "spent")}


def writing(nbytes: int) -> Contender:
    """The floor of work that writes `nbytes`: filling memory that is already there."""

    def setup():
        buffer = torch.empty(nbytes // 4)
        return lambda: buffer.fill_(1.0)

    return Contender(f"floor: writing {nbytes / 1e6:.1f} MB", setup, "floor", amount=nbytes, unit="B/s")


def multiplying(flop: float) -> Contender:
    """The floor of work that multiplies and adds `flop` times in all: one square float32 matrix product of that
    size."""

    def setup():
        n = round((flop / 2) ** (1 / 3))
        a, b, c = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)
        return lambda: torch.mm(a, b, out=c)

    return Contender(f"floor: matrix product of {flop / 1e6:.0f} Mflop", setup, "floor", amount=flop, unit="flop/s")


def worst_difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest absolute difference; shapes must be the same."""
    shapes, expected_shapes = [a.shape for a in found], [b.shape for b in expected]
    assert shapes == expected_shapes, f"shapes {shapes} instead of {expected_shapes}"
    return max(float(np.max(np.abs(a - b))) for a, b in zip(found, expected, strict=True))


def prepare(contender: Contender, expected: list[np.ndarray] | None, tolerance: float) -> Measurement:
    """Set up, call once, compare, warm up. What does not run is reported; what computes something else is an error."""
    measurement = Measurement(contender.name, contender.role, contender.target)
    try:
        run = contender.setup()
        start = time.perf_counter()
        result = run()
        measurement.first_call = time.perf_counter() - start
        numbers = None if contender.role == "floor" or expected is None else contender.numbers(result)
        del result
        warm_up(run, contender.name.startswith("gradloom"))
    except ImportError as error:
        measurement.failure = f"does not import: {error}"
        return measurement
    except Exception as error:
        traceback.print_exc()
        measurement.failure = f"does not run: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return measurement
    if numbers is not None and expected is not None:
        measurement.error = worst = worst_difference(numbers, expected)
        said = f"{contender.name} differs from the reference by {worst:.1e}, allowed {tolerance:.0e}"
        assert worst <= tolerance, said
    measurement.run = run
    return measurement


def warm_up(run: Callable[[], Any], compiles: bool) -> None:
    """One call more; of what is compiled beside the calls, as many as it takes until it is known what answers."""
    run()
    if not compiles:
        return
    from gradloom.acceleration.background import working

    end = time.perf_counter() + WAIT
    for _ in range(SETTLED):
        run()
    while working() and time.perf_counter() < end:
        run()
    for _ in range(SETTLED):
        run()


def busy_elsewhere() -> float:
    """Seconds of processor time, since some moment, that other processes used or the host withheld."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK") - time.process_time()


def interleave(measurements: list[Measurement], seconds: float) -> None:
    """Let whoever has used least time run next, so that fast and slow contenders meet the same noise."""
    while waiting := [m for m in measurements if m.spent < seconds or len(m.times) < LEAST]:
        next_one = min(waiting, key=lambda m: m.spent)
        time.sleep(PAUSE)
        stop = time.perf_counter() + TURN
        while (start := time.perf_counter()) < stop:
            next_one.run()
            next_one.times.append(time.perf_counter() - start)
            next_one.spent += next_one.times[-1]


def measure(contenders: list[Contender], seconds: float, expected: list[np.ndarray] | None = None,
            tolerance: float = 0.0) -> list[Measurement]:
    """One measurement for each contender, in their order. Without `expected` nothing is compared."""
    measurements = [prepare(contender, expected, tolerance) for contender in contenders]
    gc.collect()
    gc.freeze()  # garbage collection stays on, as for users, but does not visit what the imports made
    start, busy = time.perf_counter(), busy_elsewhere()
    interleave([m for m in measurements if not m.failure], seconds)
    elsewhere = (busy_elsewhere() - busy) / (time.perf_counter() - start) / (os.cpu_count() or 1)
    gc.unfreeze()
    for contender, m in zip(contenders, measurements, strict=True):
        m.elsewhere = max(0.0, elsewhere)
        if m.times:
            m.minimum, m.median, m.calls = min(m.times), median(m.times), len(m.times)
        if m.minimum and contender.amount:
            m.rate = f"{contender.amount / m.minimum / 1e9:.0f} G{contender.unit}"
    return measurements
