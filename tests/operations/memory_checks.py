"""How numbers lie in memory changes no result: every argument and every cotangent laid out anew, each by itself.

The truth is the stated rule, walked recorded, on plain copies; what is held against it is the raw walk with its fused kernels.
"""

from __future__ import annotations

import math
import random
from typing import Any

import torch
from operation_cases import Case
from operation_checks import Traced, directions, same

from gradloom.derivatives.walks import pull as pulling

SINGLE = {torch.float64: torch.float32, torch.complex128: torch.complex64}
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-4}


def plain(x: Any) -> Any:
    return x.clone(memory_format=torch.contiguous_format)


def permuted(order: tuple[int, ...]) -> Any:
    """Its axes in another order in memory."""

    def lay(x: Any) -> Any:
        back = sorted(range(x.ndim), key=order.__getitem__)
        return x.permute(order).contiguous().permute(back)

    return lay


def sliced(x: Any) -> Any:
    """Inside a larger array, not at its start."""
    buffer = torch.full([n + 2 for n in x.shape], 77, dtype=x.dtype)
    inside = buffer[tuple(slice(1, n + 1) for n in x.shape)]
    return inside.copy_(x)


def stepped(x: Any) -> Any:
    """Every second number of a row."""
    return torch.stack((x, torch.full_like(x, 77)), -1)[..., 0]


def displaced(x: Any) -> Any:
    """Contiguous, from the second number of its memory."""
    return torch.full((x.numel() + 1,), 77, dtype=x.dtype)[1:].copy_(x.reshape(-1)).reshape(x.shape)


def odd_strides(stride: int, lay: Any = plain) -> Any:
    """Strides that mean nothing, along axes of size 1."""

    def odd(x: Any) -> Any:
        x = lay(x)
        return x.as_strided(x.shape, [stride if n == 1 else s for n, s in zip(x.shape, x.stride(), strict=True)], x.storage_offset())

    return odd


def expanded(*axes: int) -> Any:
    """One number for all places along some axes: other values than those given."""

    def lay(x: Any) -> Any:
        return plain(x[tuple(slice(0, 1) if k in axes else slice(None) for k in range(x.ndim))]).expand(x.shape)

    return lay


def layouts(x: Any, collapsing: bool) -> list[Any]:
    """Ways to lay an array out."""
    n = x.ndim
    if not n or not x.numel():
        return [plain]
    orders = {tuple(reversed(range(n))), (*range(1, n), 0), (n - 1, *range(n - 1)), (0, *range(2, n), *range(1, min(n, 2)))}
    if n > 2:
        orders |= {(1, 0, *range(2, n)), (*range(2, n), 0, 1)}
    found = [plain, sliced, stepped, displaced, *(permuted(o) for o in sorted(orders))]
    if 1 in x.shape:
        found += [odd_strides(stride, lay) for stride in (0, 1, 5, 1 << 20) for lay in (plain, *(permuted(o) for o in sorted(orders)))]
    if collapsing:
        found += [expanded(k) for k in range(n)] + [expanded(*range(n))]
    return found


def check_layouts(case: Case, draws: int, collapsing: bool = True, most: int | None = None) -> None:
    """Each argument laid out in each way, then `draws` random choices for all arguments and cotangents; forwards and backwards.

    At `most` so many of both types, drawn from all.
    """
    for dtype in (torch.float64, torch.float32):
        own = case if dtype is torch.float64 else case.at([x.to(SINGLE[x.dtype]) for x in case.values()])
        arrays = [k for k, x in enumerate(own.inputs) if isinstance(x, torch.Tensor)]
        bars = directions([y._value for y in Traced(own).outputs], "bars")
        choices = [layouts(own.inputs[k], collapsing and k in own.variables) for k in arrays] + [layouts(b, True) for b in bars]
        stream = random.Random(str(own))
        picks = [[lay if j == place else plain for j in range(len(choices))] for place, ways in enumerate(choices) for lay in ways]
        if len(choices) > 1 or draws < len(picks):
            picks += [[stream.choice(ways) for ways in choices] for _ in range(draws)]
        truths: dict[Any, Any] = {}
        for pick in picks if most is None or len(picks) <= most // 2 else stream.sample(picks, most // 2):
            inputs = list(own.inputs)
            for k, lay in zip(arrays, pick, strict=False):
                inputs[k] = lay(inputs[k])
            laid = [lay(b) for b, lay in zip(bars, pick[len(arrays):], strict=True)]
            check_one(Case(own.operation, tuple(inputs), own.params, own.constants), laid, TOLERANCE[dtype], truths)


def numbers(x: torch.Tensor) -> bytes:
    return x.contiguous().numpy().tobytes()


def stated(case: Case, bars: list[Any], known: dict[Any, Any]) -> tuple[list[Any], list[Any]]:
    """What the stated rule gives on plain copies, outputs and cotangents: computed once for the same numbers, however they lie."""
    key = (*(numbers(x) for x in case.inputs if isinstance(x, torch.Tensor)), *map(numbers, bars))
    if key not in known:
        truth = Traced(Case(case.operation, tuple(plain(x) if isinstance(x, torch.Tensor) else x for x in case.inputs), case.params, case.constants))
        known[key] = [y._value for y in truth.outputs], truth.pull([plain(b) for b in bars], recorded=True)
    return known[key]


def check_one(case: Case, bars: list[Any], tolerance: float, known: dict[Any, Any]) -> None:
    """One way to lie in memory."""
    what = f"{case}, strides {[x.stride() for x in case.inputs if isinstance(x, torch.Tensor)]}, cotangents {[b.stride() for b in bars]}"
    before = [plain(x) for x in case.values()], [plain(b) for b in bars]
    outputs, expected = stated(case, bars, known)
    traced = Traced(case)
    same([y._value for y in traced.outputs], outputs, what, tolerance)
    if all(math.isfinite(e.abs().sum()) for e in expected):
        found = pulling.pull(dict(zip(traced.nodes, bars, strict=True)), traced.variables)
        same([Traced._raw(b, x, False, ()) for b, x in zip(found, case.values(), strict=True)], expected, f"{what}: pull", tolerance)
    assert all(torch.equal(a, b) for a, b in zip((*case.values(), *bars), (*before[0], *before[1]), strict=True)), f"{what}: something was written to"


def options(*strides: int, **more: Any) -> dict[str, Any]:
    d = len(strides)
    return {"stride": strides, "padding": (0,) * d, "dilation": (1,) * d, "groups": 1} | more


IMAGES = [(1, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 5), (2, 3, 4, 1), (1, 3, 1, 5), (2, 3, 1, 1), (1, 1, 4, 5), (1, 3, 1, 1), (2, 3, 4, 5), (1, 3, 2, 1, 4)]
GROUPED = {"axis": -3, "rest": (-2, -1), "epsilon": 0.1}
WINDOW = {"size": (2, 1), "stride": (1, 1), "before": (0, 0), "after": (0, 0)}
MEANS = {"size": (2, 1), "stride": (1, 1), "padding": (0, 0), "count_padding": True}
# Samples of operations whose kernels ask how an array lies: images with axes of size 1 in every place.
IMAGE_SAMPLES: dict[str, Any] = {
    "batchnorm": [(s, (s[k],), (s[k],), {"axis": k - len(s), "epsilon": 0.1}) for s in IMAGES for k in (1, len(s) - 1)],
    "batchnorm_given": [(s, *[(s[k],)] * 4, {"axis": k - len(s), "epsilon": 0.1}) for s in IMAGES for k in (1, len(s) - 1)],
    "layernorm": [(s, (s[k],), (s[k],), {"axis": k - len(s), "epsilon": 0.1}) for s in IMAGES for k in (1, len(s) - 1)],
    "groupnorm": [
        *[(s, (s[1],), (s[1],), GROUPED | {"groups": g}) for s in IMAGES if len(s) == 4 for g in {1, s[1]}],
        *[(s[2:] + s[1::-1], (s[1],), (s[1],), {"axis": -2, "rest": (-4, -3), "groups": 1, "epsilon": 0.1}) for s in IMAGES if len(s) == 4],
        ((1, 3, 2, 1, 4), (3,), (3,), {"axis": -4, "rest": (-3, -2, -1), "groups": 3, "epsilon": 0.1}),
    ],
    "dlconv": [
        ((1, 4, 5, 1), (4, 2, 3, 1), (4,), options(1, 1, groups=2)), ((1, 4, 1, 5), (4, 2, 1, 3), (4,), options(1, 1, groups=2)),
        ((2, 1, 5, 4), (3, 1, 3, 1), (3,), options(1, 1)), ((1, 3, 5, 4), (1, 3, 1, 2), None, options(2, 1)),
        ((1, 4, 5, 4), (4, 1, 3, 1), (4,), options(1, 1, groups=4)), ((2, 4, 1, 1), (4, 4, 1, 1), (4,), options(1, 1)),
        ((2, 3, 1, 4), (1, 3, 1, 2), (1,), options(1, 1, dilation=(1, 2))), ((1, 2, 3, 1, 4), (2, 2, 2, 1, 1), (2,), options(1, 1, 1)),
        ((1, 1, 5), (3, 1, 2), (3,), options(1)), ((2, 3, 5), (3, 1, 2), (3,), options(1, groups=3)),
    ],
    "dltranspconv": [
        ((1, 4, 5, 1), (4, 2, 3, 1), (4,), options(1, 1, groups=2, sizes=(7, 1))), ((2, 3, 1, 4), (3, 1, 1, 2), (1,), options(1, 1, sizes=(1, 5))),
        ((1, 1, 3, 4), (1, 2, 1, 2), None, options(2, 1, sizes=(5, 5))), ((2, 4, 1, 1), (4, 1, 1, 1), (4,), options(1, 1, groups=4, sizes=(1, 1))),
        ((1, 2, 3, 1, 4), (2, 2, 2, 1, 1), (2,), options(1, 1, 1, sizes=(4, 1, 4))), ((1, 1, 4), (1, 3, 2), (3,), options(1, sizes=(5,))),
    ],
    "convolution_weight": [
        ((1, 4, 5, 1), (1, 4, 3, 1), options(1, 1, groups=2, kernel=(3, 1))), ((2, 3, 1, 4), (2, 1, 1, 3), options(1, 1, kernel=(1, 2))),
        ((1, 1, 5, 4), (1, 2, 5, 3), options(1, 1, kernel=(1, 2))), ((2, 4, 1, 1), (2, 4, 1, 1), options(1, 1, groups=4, kernel=(1, 1))),
    ],
    "maxpool": [(s, WINDOW) for s in [(1, 8, 4, 5), (2, 9, 2, 1), (1, 8, 3, 1), (2, 1, 4, 1), (1, 3, 2, 1), (8, 2, 1)]],
    "avgpool": [(s, MEANS) for s in [(1, 8, 4, 5), (2, 9, 2, 1), (1, 8, 3, 1), (2, 1, 4, 1), (1, 3, 2, 1), (8, 2, 1)]],
    "avgpool_transpose": [(s, MEANS | {"spatial": (s[-2] + 1, s[-1])}) for s in [(1, 8, 4, 5), (2, 9, 1, 1), (1, 8, 3, 1), (2, 1, 4, 1), (1, 3, 1, 1)]],
    "softmax": [(s, {"axis": k}) for s in [(1, 3, 1, 4), (2, 3, 4, 1)] for k in (-3, -2, -1)],
    "log_softmax": [(s, {"axis": k}) for s in [(1, 3, 1, 4), (2, 3, 4, 1)] for k in (-3, -2, -1)],
    "matmul": [((1, 3, 2), (2, 1), {}), ((2, 1, 3), (2, 3, 1), {}), ((1, 2, 3, 1), (1, 2, 1, 3), {}), ((3, 1, 3), (3, 4), {})],
    "linear": [((1, 3), (1, 3), (1,), {}), ((4, 1), (3, 1), (3,), {})],
    "linear_columns": [((3, 1), (1, 3), (1,), {}), ((1, 4), (3, 1), (3,), {})],
}
