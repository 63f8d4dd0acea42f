"""Functions that read at positions, accelerated: other positions on each call, and errors for those out of range."""
import numpy as np
import pytest
from helpers import stream

import gradloom as gl

draws = stream(7)


def embedded(x, at):
    return gl.embed(at, x)


def taken(x, at):
    return gl.take(x, at[0], axis=0)


def indexed(x, at):
    return x[at]


def along(x, at):
    return gl.take_along_axis(x, at[:, :3], axis=0)


@pytest.mark.parametrize("read", [embedded, taken, indexed, along])
def test_positions_are_read_anew_on_each_call(read):
    def step(x, at):
        loss = gl.sum(gl.sin(read(x, at)))
        return loss, gl.dlgradient(loss, x)

    x, fast = gl.dlarray(draws.normal(size=(6, 3))), gl.dlaccelerate(step)
    for _ in range(6):
        at = gl.dlarray(draws.integers(0, 6, size=(3, 4)), dtype="int64")
        for found, expected in zip(gl.dlfeval(fast, x, at), gl.dlfeval(step, x, at), strict=True):
            np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12)
    assert fast.hit_rate == 50, fast.explain()
    far = gl.dlarray(np.full((3, 4), 6), dtype="int64")
    for call in (step, fast):
        with pytest.raises((ValueError, IndexError), match="index 6|6 to 6|from 6"):
            gl.dlfeval(call, x, far)


@pytest.mark.parametrize("read", [taken, indexed, along])
def test_negative_positions_after_others(read):
    """A recording without a negative position does not answer a call with one; one with negatives answers both."""
    def step(x, at):
        loss = gl.sum(gl.sin(read(x, at)))
        return loss, gl.dlgradient(loss, x)

    x, fast = gl.dlarray(draws.normal(size=(6, 3))), gl.dlaccelerate(step)
    for low, high in [(0, 6)] * 5 + [(-6, 0)] * 5 + [(-6, 6), (0, 6)]:
        at = gl.dlarray(draws.integers(low, high, size=(3, 4)), dtype="int64")
        for found, expected in zip(gl.dlfeval(fast, x, at), gl.dlfeval(step, x, at), strict=True):
            np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12)
    assert fast.hit_rate > 40, fast.explain()
