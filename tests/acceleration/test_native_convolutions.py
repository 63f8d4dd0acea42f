"""Convolutions, and what is laid along a loop, in the executor "native"."""

from __future__ import annotations

import math

import pytest
import torch
from executor_cases import TYPES, assert_same, recorded
from helpers import stream

import gradloom as gl

pytest.importorskip("llvmlite")
from gradloom.acceleration.native import native
from gradloom.acceleration.native.convolutions import PATCHES

rng = stream(22)
# shape of x, shape of the weights, stride, padding, dilation, groups
CONVOLUTIONS = {
    "images": ((3, 2, 9, 11), (5, 2, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    "one image": ((1, 1, 28, 28), (20, 1, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    "padded": ((2, 3, 8, 7), (4, 3, 3, 5), (1, 1), (1, 2), (1, 1), 1),
    "strides": ((2, 3, 13, 12), (4, 3, 3, 3), (2, 3), (1, 1), (1, 1), 1),
    "dilated": ((2, 2, 13, 12), (4, 2, 3, 3), (1, 2), (2, 0), (2, 3), 1),
    "groups": ((2, 6, 9, 9), (12, 2, 3, 3), (1, 1), (1, 1), (1, 1), 3),
    "each channel by itself": ((2, 8, 10, 10), (16, 1, 3, 3), (1, 1), (1, 1), (1, 1), 8),
    "one by one": ((2, 5, 6, 7), (4, 5, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "sequences": ((3, 4, 40), (6, 4, 5), (2,), (2,), (1,), 1),
    "volumes": ((2, 2, 5, 6, 7), (3, 2, 2, 2, 3), (1, 1, 2), (1, 0, 1), (1, 1, 1), 1),
    "one place": ((2, 4, 3, 3), (5, 4, 3, 3), (1, 1), (0, 0), (1, 1), 1),
}


def given(name, dtype):
    shape, weights, *options, groups = CONVOLUTIONS[name]
    x, w, b = (torch.tensor(rng.uniform(0.5, 1, size=s), dtype=dtype) for s in (shape, weights, weights[:1]))
    stride, padding, dilation = options

    def convolve(x, w, b):
        return torch.convolution(x, w, b, stride, padding, dilation, False, (0,) * len(stride), groups)

    return convolve, x, w, b


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_that_are_loops(name, dtype):
    """With and without a bias, of every second number of an array too, and between other calls."""
    convolve, x, w, b = given(name, dtype)

    def thinned(x):
        return torch.stack([x, x - 1], -1)[..., 0]

    def fun(x, w, b):
        y = torch.relu(convolve(x + 1, w, b)) * 2
        return y, convolve(x, w, None), convolve(thinned(x * 2), w * w, b)[:, 1:], y.sum()

    run = native(recorded(fun, x, w, b))
    assert ("convolution" in run.__doc__) == (name == "one place")  # whose loop would be over four numbers
    for found, expected in zip(run(x, w, b), fun(x.double(), w.double(), b.double()), strict=True):
        torch.testing.assert_close(found, expected.to(dtype), rtol=64 * torch.finfo(dtype).eps, atol=0)


def test_special_values_reach_what_their_patches_reach():
    convolve, x, w, b = given("padded", torch.float64)
    x[0, 1, 2, 3], x[1, 0, 0, 0], b[2] = math.nan, math.inf, -math.inf
    fun = lambda x, w, b: (convolve(x, w, b) * 2,)
    assert_same(native(recorded(fun, x * 0 + 1, w, b * 0))(x, w, b), fun(x, w, b), 64, torch.tensor(64.0))


@pytest.mark.parametrize("other", ["large", "transposed", "channels last"])
def test_convolutions_that_stay_torchs(other):
    x, w = torch.tensor(rng.normal(size=(2, 4, 12, 12))), torch.tensor(rng.normal(size=(4, 4, 3, 3)))
    if other == "large":
        x = torch.tensor(rng.normal(size=(2, 4, 60, 60)))
        assert x.numel() * 9 > PATCHES
    elif other == "channels last":
        x = x.contiguous(memory_format=torch.channels_last)
    fun = lambda x, w: (torch.tanh(torch.convolution(x, w, None, (1, 1), (1, 1), (1, 1), other == "transposed", (0, 0), 1)) * 2 + 1,)
    run = native(recorded(fun, x, w))
    assert "convolution" in run.__doc__
    torch.testing.assert_close(run(x, w)[0], fun(x, w)[0], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_is_read_again_and_again_across_a_loop_is_laid_along_it(dtype):
    """Products of an array with channels last and a mask with channels first, once as it is and once computed there."""
    x, mask = (torch.tensor(rng.normal(size=s), dtype=dtype) for s in ((9, 6, 7, 16), (16, 6, 7)))

    def fun(x, mask):
        y = x.movedim(-1, 1) * mask
        return y, x.movedim(-1, 1) * torch.relu(mask) - y, (x.movedim(-1, 1) + mask * 2).sum(0)

    run = native(recorded(fun, x, mask))
    for found, expected in zip(run(x, mask), fun(x, mask), strict=True):
        assert found.stride() == expected.stride()
        torch.testing.assert_close(found, expected, rtol=64 * torch.finfo(dtype).eps, atol=64 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_slopes_of_softmax(axis, dtype):
    aten = torch.ops.aten
    g, x = (torch.tensor(rng.normal(size=(7, 5, 33)), dtype=dtype) for _ in range(2))

    def fun(g, x):
        y, z = torch.softmax(x, axis), torch.log_softmax(x, axis)
        return (aten._softmax_backward_data(g * 2, y, axis, g.dtype) + 1,
                aten._log_softmax_backward_data(g * 2, z, axis, g.dtype) + 1)

    run = native(recorded(fun, g, x))
    assert "backward" not in run.__doc__
    for found, expected in zip(run(g, x), fun(g.double(), x.double()), strict=True):
        torch.testing.assert_close(found, expected.to(dtype), rtol=64 * torch.finfo(dtype).eps, atol=64 * torch.finfo(dtype).eps)


def test_a_result_that_is_a_view_of_all_of_it_is_made_in_its_shape():
    """Where the array itself is a result too, or torch's calls read it, it stays a view of that."""
    def fun(x):
        y, z, w = x * x + 1, torch.sin(x) * x, torch.cos(x) * 3
        return y.reshape(-1), z, z.reshape(-1), w.mT, torch.cumsum(w, 0), (x - 1).reshape(3, 4)[1:]

    x = torch.tensor(rng.normal(size=(4, 3)))
    run = native(recorded(fun, x))
    found, expected = run(x), fun(x)
    assert_same(found, expected, 16)
    assert [y.stride() for y in found] == [y.stride() for y in expected]
    assert found[1].data_ptr() == found[2].data_ptr() and found[0]._base is None
    assert run(x)[0].data_ptr() != found[0].data_ptr()


@pytest.mark.parametrize("rate", [0.1, "an array"])
def test_a_step_with_momentum_is_one_loop(rate):
    """Heard call by call where its rate is a number, one step of the recording where that is an array; frozen parameters stay."""
    learn = gl.dlarray(0.1) if rate == "an array" else rate
    p = {"w": gl.dlarray(rng.normal(size=(30, 4))), "b": gl.dlarray(rng.normal(size=5))}
    g, v = ({k: gl.dlarray(rng.normal(size=x.shape)) for k, x in p.items()} for _ in range(2))
    fast = gl.dlaccelerate(lambda p, g, v, *rate: gl.sgdmupdate(p, g, v, learn_rate=rate[0] if rate else learn, momentum=0.9), executor="native")
    more = [learn] if rate == "an array" else []
    for _ in range(6):
        moved, velocity = fast(p, g, v, *more)
        for k in p:
            expected = 0.9 * v[k].numpy() - 0.1 * g[k].numpy()
            torch.testing.assert_close(torch.tensor(velocity[k].numpy()), torch.tensor(expected), rtol=1e-14, atol=1e-15)
            torch.testing.assert_close(torch.tensor(moved[k].numpy()), torch.tensor(p[k].numpy() + expected), rtol=1e-14, atol=1e-15)
        p, v = moved, velocity
    assert ("1 kernels" in fast.explain()) == (rate != "an array") and fast.hit_rate > 0


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_numbers_around_an_array(dtype):
    def fun(x):
        pad = torch.constant_pad_nd
        return (pad(x * 2, [1, 2]) + 1, pad(x.mT, [0, 1, 2, 0], -1.5) * 2, pad(x.sum(0), [3, 0]), pad(x, [1, 0, 0, 0, 2, 1]).sum(), pad(x, [0, 0]) * 3,
                pad(x, [-1, 2]) + 1)

    x, = (torch.tensor(rng.normal(size=(4, 6, 5)), dtype=dtype),)
    run = native(recorded(fun, x * 0))
    assert run.__doc__.count("constant_pad_nd") == 2  # its name, and the one that cuts something off
    for found, expected in zip(run(x), fun(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=64 * torch.finfo(dtype).eps, atol=64 * torch.finfo(dtype).eps)
        assert found.stride() == expected.stride()
