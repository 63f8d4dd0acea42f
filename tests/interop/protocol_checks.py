"""How a function of another library is held equal to itself: its values, its gradient and a second derivative, on traced arrays."""

from __future__ import annotations

import inspect

import numpy as np
import torch

import gradloom as gl


def leaves(result):
    """The arrays and plain values of a result, in order."""
    if isinstance(result, (list, tuple)):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def numbers(x):
    """A leaf as NumPy has it."""
    if isinstance(x, gl.dlarray):
        return gl.extractdata(x)
    return x.detach().resolve_conj().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)


def weighted(result, like):
    """One real number from all floating outputs, and whether there is any."""
    total, found = 0.0, False
    stream = np.random.default_rng(3)
    for part in leaves(result):
        if not isinstance(part, (gl.dlarray, np.ndarray, np.floating, np.complexfloating)) or str(part.dtype).split(".")[-1][:5] not in ("float", "compl"):
            continue
        w = stream.uniform(0.5, 1.5, tuple(part.shape))
        if "complex" in str(part.dtype):
            total = total + (like.sum(like.real(part) * w) + like.sum(like.imag(part) * w * 0.7))
        else:
            total = total + like.sum(part * w)
        found = True
    return total, found


class Plain:
    """NumPy under the names that `weighted` uses."""

    sum, real, imag = staticmethod(np.sum), staticmethod(np.real), staticmethod(np.imag)


class Ours:
    """This library under the same names; a dlarray of constants keeps it honest: no protocol is used here."""

    sum, real, imag = staticmethod(gl.sum), staticmethod(gl.real), staticmethod(gl.imag)


def arguments(call, fixtures):
    return [fixtures[name] for name in inspect.signature(call).parameters]


def check(call, truth, arrays, differentiable=True, tolerance=1e-5):
    """`call` on traced dlarrays against `truth`, a function of NumPy arrays."""
    expected = leaves(truth(*arrays))
    inputs = [gl.dlarray(a) for a in arrays]
    found = []

    def value(*xs):
        result = call(*xs)
        found[:] = leaves(result)
        for part, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(numbers(part), numbers(wanted), rtol=1e-9, atol=1e-9)
            if np.ndim(numbers(wanted)):
                assert isinstance(part, gl.dlarray), f"{type(part)} is not recorded"
        return result

    floating = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]
    if not floating:
        gl.dlfeval(value, *inputs)
        return

    def gradients(*xs):
        total, there = weighted(value(*xs), Ours)
        return gl.dlgradient(total, *(xs[k] for k in floating)) if there and total.traced else None

    grads = gl.dlfeval(gradients, *inputs)
    if not differentiable:
        return
    assert grads is not None, "nothing was recorded"
    grads = [grads] if len(floating) == 1 else list(grads)
    step, stream = 1e-6, np.random.default_rng(4)
    directions = [stream.normal(size=arrays[k].shape) for k in floating]

    def moved(t):
        shifted = list(arrays)
        for k, u in zip(floating, directions, strict=True):
            shifted[k] = arrays[k] + t * u
        return shifted

    numeric = (weighted(truth(*moved(step)), Plain)[0] - weighted(truth(*moved(-step)), Plain)[0]) / (2 * step)
    along = sum(float(np.sum(gl.extractdata(g) * u)) for g, u in zip(grads, directions, strict=True))
    np.testing.assert_allclose(along, numeric, rtol=tolerance, atol=tolerance)

    def slope(*xs):  # once more: the gradient along the directions, differentiated along them
        total, _ = weighted(call(*xs), Ours)
        gs = gl.dlgradient(total, *(xs[k] for k in floating), enable_higher_derivatives=True)
        gs = (gs,) if len(floating) == 1 else gs
        first = sum((gl.sum(g * u) for g, u in zip(gs, directions, strict=True)), 0.0)
        second = gl.dlgradient(first, *(xs[k] for k in floating))
        second = (second,) if len(floating) == 1 else second
        return first, sum((gl.sum(g * u) for g, u in zip(second, directions, strict=True)), 0.0)

    _, second = gl.dlfeval(slope, *inputs)
    ahead, behind = (gl.dlfeval(slope, *(gl.dlarray(a) for a in moved(t)))[0] for t in (step, -step))
    np.testing.assert_allclose(float(second), (float(ahead) - float(behind)) / (2 * step), rtol=10 * tolerance, atol=10 * tolerance)
