"""The gradient of a network of 24 residual blocks, with what lies inside of each kept, or computed again.

What a checkpoint costs is its time over that without: at most 1.35, for less than half of the memory. A block is
x + gelu(norm(x) @ first + bias) @ second + bias, of width 128 with 512 inside, on 1,024 rows, float32. The further
table shows the peak of what each way allocates.
"""
from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, arrays
from .report import aligned

BLOCKS, ROWS, WIDTH, INSIDE = 24, 1024, 128, 512


def data() -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """The input, and for each block its four parameters."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    return normal(ROWS, WIDTH, scale=1.0), [
        [normal(WIDTH, INSIDE, scale=WIDTH**-0.5), normal(INSIDE, scale=0.1),
         normal(INSIDE, WIDTH, scale=INSIDE**-0.5), normal(WIDTH, scale=0.1)] for _ in range(BLOCKS)]


def gradloom(again: bool = False, accelerated: bool = False):
    import gradloom as gl

    x0, start = data()
    x0, start = gl.dlarray(x0), [[gl.dlarray(p) for p in block] for block in start]

    offset, scale = gl.zeros(WIDTH, dtype="float32"), gl.ones(WIDTH, dtype="float32")

    def block(x, first, bias, second, last):
        y = gl.gelu(gl.layernorm(x, offset, scale, data_format="BC") @ first + bias)
        return x + (y @ second + last)

    run = gl.checkpoint(block) if again else block

    def loss(parameters, x):
        for p in parameters:
            x = run(x, *p)
        value = gl.mean(x**2)
        return value, gl.dlgradient(value, parameters)

    function = gl.dlaccelerate(loss) if accelerated else loss
    return lambda: gl.dlfeval(function, start, x0)


def torch_setup(again: bool = False, dtype: torch.dtype = torch.float32):
    from torch.utils.checkpoint import checkpoint

    x0, start = data()
    x0 = torch.tensor(x0, dtype=dtype)
    parameters = [[torch.tensor(p, dtype=dtype, requires_grad=True) for p in block] for block in start]

    def block(x, first, bias, second, last):
        return x + (F.gelu(F.layer_norm(x, (WIDTH,)) @ first + bias) @ second + last)

    def run():
        x = x0
        for p in parameters:
            x = checkpoint(block, x, *p, use_reentrant=False) if again else block(x, *p)
        value = (x**2).mean()
        gradients = iter(torch.autograd.grad(value, [p for its in parameters for p in its]))
        return value.detach(), [[next(gradients) for _ in its] for its in parameters]

    return run


def peak(run) -> int:
    """The most bytes that one call has allocated at once, beyond what was there."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    held = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return int(held.max(initial=0))


def memory(seconds: float) -> str:
    """The peaks, and their ratios to torch's without checkpoints."""
    peaks = []
    for contender in contenders():
        run = contender.setup()
        for _ in range(4):
            run()
        peaks.append(peak(run))
    whole = peaks[[c.name for c in contenders()].index("torch eager")]
    rows = [[c.name, f"{p / 1e6:.1f} MB", f"{p / whole:.2f}"] for c, p in zip(contenders(), peaks, strict=True)]
    return aligned(["", "peak of memory", "of torch eager's"], rows)


def contenders() -> list[Contender]:
    return [
        Contender("gradloom", gradloom, "gradloom"),
        Contender("gradloom, checkpoint", partial(gradloom, again=True), "gradloom"),
        Contender("gradloom, accelerated", partial(gradloom, accelerated=True), "gradloom"),
        Contender("gradloom, checkpoint, accelerated", partial(gradloom, again=True, accelerated=True), "gradloom"),
        Contender("torch eager", torch_setup),
        Contender("torch checkpoint", partial(torch_setup, again=True), "information"),
    ]


def benchmark() -> Benchmark:
    exact = partial(torch_setup, dtype=torch.float64)
    return Benchmark(
        "checkpoint", "gradient of 24 residual blocks of width 128 with 512 inside, 1,024 rows, float32.",
        contenders(), lambda: arrays(exact()()), tolerance=1e-4, further=memory)
