"""Pooling and resizing of torch are operations of this library, one node each, and so cheap in structured Jacobians."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import gradloom as gl
from gradloom.core.trace import ancestors
from gradloom.interop.torch import from_torch


def made(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


ONE = {
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), (2, 3, 6, 4), ["maxpool"]),
    "max_pool2d, overlapping": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 7, 5), ["maxpool"]),
    "max_pool2d, ceil_mode": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 3, 6, 4), ["maxpool"]),
    "max_pool2d, dilation": (lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2), (1, 2, 5, 4), ["pool_pick"]),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), (1, 2, 4, 4, 2), ["maxpool"]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (2, 3)), (1, 2, 5, 4), ["pool_pick"]),
    "adaptive_avg_pool2d, even": (lambda x: F.adaptive_avg_pool2d(x, (2, 2)), (1, 2, 4, 6), ["avgpool"]),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), (1, 2, 3, 4), ["resize"]),
    "nearest-exact": (lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"), (2, 3, 4), ["resize"]),
    "linear": (lambda x: F.interpolate(x, scale_factor=1.5, mode="linear"), (2, 3, 5), ["resize"]),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=(1.6, 0.7), mode="bilinear"), (1, 2, 4, 5), ["resize"]),
    "bilinear, corners": (lambda x: F.interpolate(x, size=(5, 4), mode="bilinear", align_corners=True), (1, 2, 3, 3), ["resize"]),
    "bicubic": (lambda x: F.interpolate(x, size=(5, 4), mode="bicubic"), (1, 2, 3, 3), ["resize"]),
    "antialiased": (lambda x: F.interpolate(x, scale_factor=(0.6, 1.5), mode="bilinear", antialias=True), (1, 2, 5, 4), ["resize"]),
    "trilinear": (lambda x: F.interpolate(x, scale_factor=(2, 1.5, 0.6), mode="trilinear"), (1, 2, 3, 4, 5), ["resize"]),
    "constant padding": (lambda x: F.pad(x, (1, 2, 0, 1)), (1, 2, 3, 3), ["pad"]),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (1, 4, 2, 3), ["permute_dims", "reshape", "reshape"]),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), (1, 1, 4, 6), ["permute_dims", "reshape", "reshape"]),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 3), (1, 6, 2, 2), ["permute_dims", "reshape", "reshape"]),
}


class Called(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", ONE)
def test_a_window_is_one_node_and_its_structured_jacobian_is_torchs(name):
    function, shape, expected = ONE[name]
    x, w = made(0, *shape), made(1, *function(made(0, *shape)).shape)
    net = from_torch(Called(lambda x: function(x * x)))
    recorded = []

    def jacobian(x):
        y = net(x)
        recorded.extend(sorted(node.operation.name for node in ancestors([y._node], 0)))
        return gl.dljacobian(y, x), gl.dljacobian(gl.sum(y * gl.dlarray(w)), x)

    dense, row = gl.dlfeval(jacobian, gl.dlarray(x))
    assert [n for n in recorded if n not in ("variable", "square", "multiply")] == expected
    theirs = torch.autograd.functional.jacobian(lambda x: function(x * x), x)
    torch.testing.assert_close(dense.dense()._value, theirs)
    torch.testing.assert_close(row.dense()._value, (w.unsqueeze(-1) * theirs.reshape(w.shape + (-1,))).flatten(0, -2).sum(0).reshape(shape))
