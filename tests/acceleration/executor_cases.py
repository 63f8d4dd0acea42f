"""Programs for the executors: functions of arrays at special values, random chains of calls, and one with derivatives."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.acceleration import beside
from gradloom.acceleration.program import Program
from gradloom.acceleration.recorder import Recorder
from gradloom.machine.modes import under

NN = torch._C._nn
aten = torch.ops.aten
TYPES = (torch.float32, torch.float64)


@pytest.fixture
def nothing_compiled(monkeypatch):
    """Calls are replayed: what would be compiled beside them is seldom ready before a test ends, and takes half of its time."""
    monkeypatch.setattr(beside, "available", lambda: False)


def recorded(fun, *xs):
    """The program of a function of tensors, before anything is executed in another way."""
    recorder = Recorder(xs)
    results = under([recorder], fun, *xs)
    results = results if isinstance(results, tuple) else (results,)
    assert recorder.why is None
    return Program(recorder, [recorder.slot_of(y) for y in results]).improved()


def assert_same(found, expected, ulps=4.0, scale=None):
    """Equal but for rounding: of the result, and where terms cancel of what they are (`scale`)."""
    for x, y in zip(found, expected, strict=True):
        assert x.shape == y.shape and x.dtype is y.dtype and x.stride() == y.stride()
        if y.dtype is torch.bool:
            assert torch.equal(x, y)
            continue
        room = ulps * torch.finfo(y.dtype).eps
        if scale is not None:
            near = (x - y).abs() <= room * scale.nan_to_num(0.0, 0.0, 0.0)
            x, y = x.masked_fill(near, 0.0), y.masked_fill(near, 0.0)
        torch.testing.assert_close(x, y, rtol=room, atol=room * torch.finfo(y.dtype).tiny, equal_nan=True)


def special(dtype, rng):
    """Values at which functions do something of their own, and ordinary ones; a number that no vector length divides."""
    tiny = torch.finfo(dtype).tiny
    its = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e-30, tiny, -tiny, 20.5, -20.5, 88.9, -104.0, 709.0, -745.0, 1e20]
    return torch.cat([torch.tensor(its, dtype=dtype), torch.tensor(rng.normal(size=42) * 3, dtype=dtype)])


ONE = {
    "neg": torch.neg, "square": torch.square, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal, "abs": torch.abs, "sign": torch.sign,
    "floor": torch.floor, "ceil": torch.ceil, "trunc": torch.trunc, "round": torch.round, "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log,
    "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p, "sin": lambda x: torch.sin(x.clamp(-1e4, 1e4)), "cos": lambda x: torch.cos(x.clamp(-1e4, 1e4)),
    "tan": lambda x: torch.tan(x.clamp(-1e4, 1e4)), "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan,
    "atanh": torch.atanh, "erf": torch.erf, "erfc": torch.erfc, "sigmoid": torch.sigmoid, "relu": torch.relu,
    "leaky_relu": lambda x: NN.leaky_relu(x, 0.2), "softplus": lambda x: NN.softplus(x, 2, 17.0), "elu": lambda x: torch.ops.aten.elu(x), "silu": NN.silu, "hardtanh": lambda x: NN.hardtanh(x, -1.0, 1.0),
    "clamp": lambda x: torch.clamp(x, -0.7, 1.1), "clamp_min": lambda x: torch.clamp_min(x, 0.0), "clamp_max": lambda x: x.clamp(max=0.3), "threshold": lambda x: torch.threshold(x, 0.1, 3.0),
    "isnan": torch.isnan, "isinf": torch.isinf, "isfinite": torch.isfinite, "logical_not": torch.logical_not, "clone": torch.clone,
    "pow 2": lambda x: x**2, "pow 3": lambda x: x**3, "pow 0.5": lambda x: x**0.5, "pow -0.5": lambda x: x**-0.5, "pow -1": lambda x: x**-1, "pow -2": lambda x: x**-2,
    "pow 0": lambda x: x**0, "pow 1": lambda x: x**1, "pow 4": lambda x: x**4, "pow 1.7": lambda x: x**1.7, "3 ** x": lambda x: 3.0**x, "1 - x": lambda x: 1 - x, "2 / x": lambda x: 2 / x,
    "add alpha": lambda x: torch.add(x, 0.3, alpha=2), "to double": lambda x: (2 * x).double() * 3, "to float": lambda x: (2 * x).float() * 3, "full_like": lambda x: x + torch.full_like(x, 2.5),
}
TWO = {
    "mul": torch.mul, "div": torch.div, "add": torch.add, "sub": torch.sub, "add alpha": lambda a, b: torch.add(a, b, alpha=-0.01), "pow": torch.pow, "atan2": torch.atan2,
    "maximum": torch.maximum, "minimum": torch.minimum, "gt": torch.gt, "ge": torch.ge, "lt": torch.lt, "le": torch.le, "eq": torch.eq, "ne": torch.ne, "addcmul": lambda a, b: torch.addcmul(a, b, b, value=-2),
    "addcdiv": lambda a, b: torch.addcdiv(a, b, a, value=0.5), "where": lambda a, b: torch.where(a > b, a, b), "where number": lambda a, b: torch.where(a > b, a, 0.0),
    "masked_fill": lambda a, b: a.masked_fill(b > 0, 2.0), "lerp": lambda a, b: torch.lerp(a, b, 0.3), "tanh_backward": lambda a, b: aten.tanh_backward(a, b),
    "sigmoid_backward": lambda a, b: aten.sigmoid_backward(a, b), "threshold_backward": lambda a, b: aten.threshold_backward(a, b, 0.0),
    "softplus_backward": lambda a, b: aten.softplus_backward(a, b, 2, 17.0), "silu_backward": lambda a, b: aten.silu_backward(a, b), "mask product": lambda a, b: (a > 0) * b,
    "logical": lambda a, b: ((a > 0) & (b > 0)) | torch.logical_xor(a > 1, b > 1),
}


def chain(seed):
    """A random program of elementwise calls, views, sums, writes and products."""
    draw = np.random.default_rng(seed)
    shapes = [(4, 6), (4, 6), (6,), (4, 1), (), (4, 6)]
    plan = [(int(draw.integers(12)), *map(int, draw.integers(1000, size=3))) for _ in range(25)]

    def fun(*xs):
        pool = list(xs)
        for kind, i, j, k in plan:
            full, fitting = [p for p in pool if p.shape == (4, 6)], [p for p in pool if p.shape in ((4, 6), (6,), (4, 1), (1, 6), ())]
            c = fitting[k % len(fitting)]
            a4, b4 = full[i % len(full)], full[j % len(full)]
            if kind == 0:
                new = a4 * c
            elif kind == 1:
                new = torch.tanh(a4) + b4 * 0.5
            elif kind == 2:
                new = torch.where(a4 > b4, a4, torch.sigmoid(b4))
            elif kind == 3:
                new = torch.addcmul(a4, b4, c, value=-0.5)
            elif kind == 4:
                new = (a4 * b4).sum(k % 2, keepdim=bool(j % 2)).sin()
            elif kind == 5:
                new = a4.mean() - b4
            elif kind == 6:
                new = a4.clone()
                new[1:3] = b4[:2] * 2
            elif kind == 7:
                new = torch.cat([a4[:, 3:], b4[:, :3]], 1).exp().clamp(max=3.0)
            elif kind == 8:
                new = a4 * 1.0
                new.mul_(0.3).add_(b4)
            elif kind == 9:
                new = (a4 @ b4.mT @ a4) * 0.01
            elif kind == 10:
                new = (a4.mT.reshape(3, 8) * 2).reshape(6, 4).T + 1
            else:
                new = torch.relu(a4.reshape(2, 12) - 0.1).view(4, 6)
            pool.append(torch.tanh(new) if new.shape != (4, 6) else new.clamp(-5, 5))
        return tuple(pool[len(xs):])

    return fun, [torch.tensor(draw.normal(size=s)) for s in shapes]


def penalty(x, w):
    y = gl.sum(gl.tanh(w @ x) ** 2, axis=1)
    g = gl.dlgradient(gl.sum(y), x, enable_higher_derivatives=True)
    loss = gl.sum(y) + gl.mean(g**2)
    return loss, gl.dlgradient(loss, x, w)


def given(rng):
    return gl.dlarray(rng.normal(size=(5, 30))), gl.dlarray(rng.normal(size=(4, 5)))


def close(found, expected):
    for a, b in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        np.testing.assert_allclose(gl.extractdata(a), gl.extractdata(b), rtol=1e-11, atol=1e-12)


def wrong_in_threads(fast, rng, times):
    """What three threads find wrong that call `penalty` accelerated with the same arguments again and again."""
    cases = [(xs, gl.dlfeval(penalty, *xs)) for xs in (given(rng) for _ in range(20))]
    wrong = []

    def work():
        for _ in range(times):
            for xs, expected in cases:
                try:
                    close(gl.dlfeval(fast, *xs), expected)
                except Exception as error:
                    wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong
