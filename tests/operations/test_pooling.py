"""Pooling and unpooling: indices, formats, global windows, overlaps, kinks, memory layouts, errors. See also test_neural_operations."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from helpers import drawing, within

import gradloom as gl
from gradloom import LabelError, ShapeError, dlarray

close = within(1e-10)
drawn = drawing("pooling")

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
LAYOUT = {1: "BCS", 2: "BCSS", 3: "BCSSS"}


def agrees(ours, theirs, x, tolerance=1e-10):
    """The value, the gradient and a second derivative equal torch's."""
    leaf = x.clone().requires_grad_()
    y = theirs(leaf)
    weights, way = drawn(*y.shape, key="weights", dtype=x.dtype), drawn(*x.shape, key="way", dtype=x.dtype)
    (bar,) = torch.autograd.grad((y.sin() * weights).sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad((bar * way).sum(), leaf)

    def run(x):
        y = ours(x)
        bar = gl.dlgradient(gl.sum(gl.sin(y) * dlarray(weights)), x, enable_higher_derivatives=True)
        return y, bar, gl.dlgradient(gl.sum(bar * dlarray(way)), x)

    for a, b in zip(gl.dlfeval(run, dlarray(x)), (y, bar, second), strict=True):
        close(a, b.detach(), tolerance)
    close(ours(x), y.detach(), tolerance)  # tensors, and untraced
    close(ours(dlarray(x)), y.detach(), tolerance)


# ----- windows: many channels are laid out another way -----


@pytest.mark.parametrize("channels", [1, 3, 8, 12])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_windows(d, dtype, channels):
    x = drawn(2, channels, *(7, 6, 4)[:d], dtype=dtype)
    for size, stride, padding in [(2, 2, 0), (3, 1, 1), (2, 3, 1), (3, 2, 0)]:
        tolerance = 1e-10 if dtype is torch.float64 else 1e-5
        options = {"stride": stride, "padding": padding}
        agrees(lambda x, s=size, o=options: gl.maxpool(x, s, data_format=LAYOUT[d], **o), lambda x, s=size, o=options: MAX[d](x, s, **o), x, tolerance)
        agrees(lambda x, s=size, o=options: gl.avgpool(x, s, data_format=LAYOUT[d], **o), lambda x, s=size, o=options: AVERAGE[d](x, s, **o), x, tolerance)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_global_windows(d):
    x = drawn(2, 9, *(7, 6, 4)[:d])
    axes = tuple(range(2, 2 + d))
    agrees(lambda x: gl.maxpool(x, "global", data_format=LAYOUT[d]), lambda x: x.amax(axes, keepdim=True), x)
    agrees(lambda x: gl.avgpool(x, "global", data_format=LAYOUT[d]), lambda x: x.mean(axes, keepdim=True), x)


def test_global_windows_over_many_axes():
    x = drawn(2, 3, 2, 3, 2, 2)
    close(gl.maxpool(dlarray(x, "BCSSSS"), "global"), x.amax((2, 3, 4, 5), keepdim=True))
    with pytest.raises(ShapeError, match="1, 2 or 3 axes"):
        gl.maxpool(dlarray(x, "BCSSSS"), "global", return_indices=True)


# ----- which axes -----


def test_formats():
    x = drawn(2, 3, 6, 5, 4)  # B C S T S
    z = dlarray(x, "BCSTS")
    for word, pool in (("max", lambda x, size, axes: _windows(x, size, axes).amax(-1)), ("mean", lambda x, size, axes: _windows(x, size, axes).mean(-1))):
        ours = gl.maxpool if word == "max" else gl.avgpool
        close(ours(z, (2, 3)), pool(x, (2, 3), (2, 4)))
        close(ours(z, (2, 3), pool_format="S"), pool(x, (2, 3), (2, 4)))
        close(ours(z, (2, 3), pool_format="SS"), pool(x, (2, 3), (2, 4)))
        close(ours(z, 2, pool_format="T"), pool(x, (2,), (3,)))
        close(ours(z, (2, 3, 4), pool_format="ST"), pool(x, (2, 3, 4), (2, 4, 3)))
        close(ours(z, (4, 2, 3), pool_format="TSS"), pool(x, (4, 2, 3), (3, 2, 4)))
        close(ours(z, "global", pool_format="T"), pool(x, (5,), (3,)))
        assert gl.dims(ours(z, 2, pool_format="T")) == "BCSTS"
    close(gl.maxpool(dlarray(drawn(3, 6), "CT"), 2), drawn(3, 6).unfold(1, 2, 1).amax(-1))
    for wrong in ("X", "TT", "SSS", "C", ""):
        with pytest.raises(LabelError, match="pool_format|needs an axis"):
            gl.maxpool(z, 2, pool_format=wrong)


def _windows(x, sizes, axes):
    for size, axis in zip(sizes, axes, strict=True):
        x = x.unfold(axis, size, 1)
    return x.flatten(-len(sizes))


# ----- indices, unpooling -----


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_indices_and_unpooling(d, channels):
    x = drawn(2, channels, *(7, 6, 4)[:d])
    y, indices, size = gl.maxpool(x, 2, stride=2, data_format=LAYOUT[d], return_indices=True)
    expected, places = MAX[d](x, 2, 2, return_indices=True)
    close(y, expected), close(indices, places)
    assert size == tuple(x.shape) and type(indices) is torch.Tensor
    back = UNPOOL[d](expected, places, 2, 2, output_size=x.shape)
    close(gl.maxunpool(y, indices, size, data_format=LAYOUT[d]), back)
    way = drawn(*y.shape, key="way")
    agrees(lambda y: gl.maxunpool(y, indices, size, data_format=LAYOUT[d]), lambda y: UNPOOL[d](y, places, 2, 2, output_size=x.shape), way)


@pytest.mark.parametrize("layout", ["BCSS", "SSCB", "CSS", "SBSC", "TCSS"])
def test_indices_in_any_layout(layout):
    parts = {"B": [2], "C": [3], "T": [4], "S": [6, 5]}
    x = drawn(*[parts[letter].pop(0) for letter in layout])
    y, indices, size = gl.maxpool(dlarray(x, layout), (3, 2), stride=(3, 2), return_indices=True)
    assert gl.dims(y) == gl.dims(indices) == layout and not indices.traced and indices.dtype is torch.int64
    s = [k for k, letter in enumerate(layout) if letter == "S"]
    rest = [k for k in range(x.ndim) if k not in s]
    found = x.permute(*rest, *s).flatten(-2).gather(-1, indices._value.permute(*rest, *s).flatten(-2))
    close(found, y._value.permute(*rest, *s).flatten(-2))
    back = gl.maxunpool(y, indices, size)
    assert gl.dims(back) == layout and back.shape == tuple(x.shape)
    close(back, torch.where(torch.isin(x, y._value), x, torch.zeros_like(x)))


def test_indices_of_windows_over_time_and_global():
    x = dlarray(drawn(2, 3, 6), "BCT")
    y, indices, size = gl.maxpool(x, "global", return_indices=True)
    close(indices, x._value.argmax(-1, keepdim=True))
    close(gl.sum(gl.maxunpool(y, indices, size), axis="T"), x._value.amax(-1))
    z = dlarray(drawn(2, 3, 6, 4), "BCTS")
    y, indices, size = gl.maxpool(z, 2, stride=2, pool_format="T", return_indices=True)
    back = gl.maxunpool(y, indices, size, pool_format="T")
    assert back.shape == z.shape and int((back._value != 0).sum()) == math.prod(y.shape)


def test_an_autoencoder_of_pooling_and_unpooling():
    """Both at once, traced: the gradient of what is put back where it was found."""
    x = drawn(2, 3, 6, 4)

    def ours(x):
        y, indices, size = gl.maxpool(x, 2, stride=2, data_format="BCSS", return_indices=True)
        return gl.maxunpool(gl.sin(y), indices, size, data_format="BCSS")

    def theirs(x):
        y, indices = F.max_pool2d(x, 2, 2, return_indices=True)
        return F.max_unpool2d(torch.sin(y), indices, 2, 2, output_size=x.shape)

    agrees(ours, theirs, x)


def test_unpooling_trusts_only_what_it_knows():
    """Positions of windows that do not overlap are not checked again; over other axes or sizes, or written into since, they are."""
    z = dlarray(torch.zeros(1, 2, 4, 4, dtype=torch.float64), "BCTS")  # the first of equal ones: the same positions in both rows of windows
    y, indices, size = gl.maxpool(z, 2, stride=2, pool_format="TS", return_indices=True)
    assert gl.maxunpool(y + 1, indices, size, pool_format="TS")._value.sum() == 8
    with pytest.raises(ShapeError, match="there are 8 places"):
        gl.maxunpool(y, indices, (1, 2, 2, 4), pool_format="TS")
    with pytest.raises(ShapeError, match="there are 4 places"):
        gl.maxunpool(y, indices, (1, 2, 2, 4), pool_format="S")
    _, indices, size = gl.maxpool(z, (1, 2), stride=(1, 2), pool_format="TS", return_indices=True)
    with pytest.raises(ShapeError, match="there are 4 places"):
        gl.maxunpool(dlarray(torch.zeros(indices.shape), "BCTS"), indices, size, pool_format="S")
    x = torch.rand(1, 1, 4, dtype=torch.float64)
    y, indices, size = gl.maxpool(x, 2, stride=2, data_format="BCS", return_indices=True)
    indices.zero_()
    with pytest.raises(ShapeError, match="several values go to one place"):
        gl.maxunpool(y, indices, size, data_format="BCS")


@pytest.mark.parametrize("write", [lambda indices: indices.numpy(), lambda indices: indices.data, lambda indices: torch.from_dlpack(indices)])
def test_unpooling_does_not_trust_tensors(write):
    """Their memory can be written to without a trace."""
    y, indices, size = gl.maxpool(torch.arange(8.0).reshape(1, 1, 8), 2, stride=2, data_format="BCS", return_indices=True)
    write(indices)[0, 0, 0] = int(indices[0, 0, 1])
    with pytest.raises(ShapeError, match="several values go to one place"):
        gl.maxunpool(y, indices, size, data_format="BCS")


def test_messages_of_unpooling():
    x = dlarray(drawn(1, 2, 4, 4), "BCSS")
    y, indices, size = gl.maxpool(x, 2, stride=2, return_indices=True)
    with pytest.raises(ShapeError, match="several values go to one place"):
        gl.maxunpool(*gl.maxpool(dlarray(torch.eye(4).expand(1, 2, 4, 4), "BCSS"), 3, return_indices=True))
    with pytest.raises(ShapeError, match="reach from .* there are 4 places"):
        gl.maxunpool(y, indices + 4, (1, 2, 2, 2))
    with pytest.raises(ShapeError, match="equal to y's along all axes"):
        gl.maxunpool(y, indices, (1, 3, 4, 4))
    with pytest.raises(ShapeError, match="integers of y's shape"):
        gl.maxunpool(y, y, size)
    with pytest.raises(ShapeError, match="integers of y's shape.*return_indices=True"):
        gl.maxunpool(y, indices[:, :1], size)
    with pytest.raises(LabelError, match="data_format="):
        gl.maxunpool(y._value, indices._value, size)


# ----- kinks, not finite, empty -----


@pytest.mark.parametrize("channels", [1, 8])
def test_the_first_of_equal_values_wins(channels):
    x = torch.zeros(1, channels, 4, 4, dtype=torch.float64)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.maxpool(x, 2, stride=2)), x), dlarray(x, "BCSS"))
    expected = torch.zeros(4, 4, dtype=torch.float64)
    expected[::2, ::2] = 1
    close(g, expected.expand_as(x))
    line = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.maxpool(x, 3, stride=3)), x), dlarray(x.reshape(1, channels, 16), "BCS"))
    assert torch.nonzero(line._value[0, 0]).flatten().tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("channels", [1, 8])
def test_padding_never_wins_and_nan_is_seen(channels):
    x = torch.full((1, channels, 3, 3), -1e4, dtype=torch.float64)
    for padding in (1, "same", ((1, 0), (0, 1))):
        assert bool((gl.maxpool(x, 2, padding=padding, data_format="BCSS") == -1e4).all())
    x[..., 1, 1] = math.nan
    assert bool(gl.maxpool(x, 2, data_format="BCSS").isnan().all())
    assert bool(gl.maxpool(x.flatten(2), 9, data_format="BCS").isnan().all())
    x[..., 1, 1] = -math.inf
    assert bool((gl.maxpool(x, 2, data_format="BCSS") == -1e4).all())


def test_overlaps_add_up():
    """Every window that an entry wins counts: 3 x 3 windows around one peak."""
    x = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    x[0, 0, 2, 2] = 1
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.maxpool(x, 3)), x), dlarray(x, "BCSS"))
    assert g._value[0, 0, 2, 2] == 9 and g._value.sum() == 9
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.avgpool(x, 3)), x), dlarray(x, "BCSS"))
    close(g[0, 0] * 9, torch.outer(*[torch.tensor([1.0, 2, 3, 2, 1], dtype=torch.float64)] * 2))


def test_the_mean_of_what_is_no_padding():
    ones = torch.ones(1, 1, 4, 5, dtype=torch.float64)
    for padding, stride in itertools.product([1, "same", ((0, 2), (1, 0))], [1, 2]):
        y = gl.avgpool(ones, 3, padding=padding, stride=stride, padding_value="mean", data_format="BCSS")
        close(y, torch.ones_like(y))
    assert float(gl.avgpool(ones, 2, padding=1, data_format="BCSS")[0, 0, 0, 0]) == 0.25


def test_no_observations():
    x = torch.zeros(0, 3, 4, 4)
    for pool in (gl.maxpool, gl.avgpool):
        assert pool(x, 2, data_format="BCSS").shape == (0, 3, 3, 3)
        assert pool(x, "global", data_format="BCSS").shape == (0, 3, 1, 1)
    y, indices, size = gl.maxpool(x, 2, stride=2, data_format="BCSS", return_indices=True)
    assert gl.maxunpool(y, indices, size, data_format="BCSS").shape == x.shape


def test_laid_out_memory_changes_no_number():
    x = drawn(2, 16, 8, 6, dtype=torch.float32)
    for pool, size in itertools.product((gl.maxpool, gl.avgpool), (2, 3)):
        a = pool(x, size, data_format="BCSS")
        close(a, pool(x.contiguous(memory_format=torch.channels_last), size, data_format="BCSS"), 0)
        close(a, torch.stack([pool(x[:, k:k + 1], size, data_format="BCSS") for k in range(16)], 1).squeeze(2), 1e-6)
