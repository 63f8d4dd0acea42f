"""Convolution and transposed convolution: every option against torch, labels, borders, errors, structure in higher derivatives."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import drawing, within

import gradloom as gl
from gradloom import LabelError, ShapeError, dlarray
from gradloom.operations.neural.convolution import kernels

close = within(1e-10)
drawn = drawing("convolution")

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
LAYOUT = {1: "BCS", 2: "BCSS", 3: "BCSSS"}


def agrees(ours, theirs, *arrays, tolerance=1e-10):
    """Values, gradients and Hessian-vector products equal torch's."""
    leaves = [a.clone().requires_grad_() for a in arrays]
    y = theirs(*leaves)
    weights, ways = drawn(*y.shape, key="weights", dtype=y.dtype), [drawn(*a.shape, key="ways", dtype=a.dtype) for a in arrays]
    bars = torch.autograd.grad((y.sin() * weights).sum(), leaves, create_graph=True)
    second = torch.autograd.grad(sum((b * w).sum() for b, w in zip(bars, ways, strict=True)), leaves)

    def run(*xs):
        y = ours(*xs)
        phi = gl.sum(gl.sin(gl.stripdims(y)) * dlarray(weights))
        bars = gl.dlgradient(phi, list(xs), enable_higher_derivatives=True)
        total = sum(gl.sum(gl.stripdims(b) * dlarray(w)) for b, w in zip(bars, ways, strict=True))
        return y, bars, gl.dlgradient(total, list(xs))

    value, first, again = gl.dlfeval(run, *[dlarray(a) for a in arrays])
    close(value, y.detach(), tolerance)
    for a, b in zip((*first, *again), (*bars, *second), strict=True):
        close(a, b.detach(), tolerance * 100)
    tensors = ours(*arrays)
    assert type(tensors) is torch.Tensor
    close(tensors, y.detach(), tolerance)


# ----- dlconv -----


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("stride", "dilation", "padding", "groups"), [
    (1, 1, 0, 1), (2, 1, 1, 1), (1, 2, 2, 2), (3, 1, 0, 4), (2, 2, 1, 2)])
def test_options(d, stride, dilation, padding, groups):
    x, w, b = drawn(2, 4, 7, 6, 5)[(..., *(0,) * (3 - d))], drawn(8, 4 // groups, 3, 2, 2)[(..., *(0,) * (3 - d))], drawn(8)
    options = {"stride": stride, "padding": padding}
    agrees(lambda x, w, b: gl.dlconv(x, w, b, dilation_factor=dilation, data_format=LAYOUT[d], **options),
           lambda x, w, b: CONV[d](x, w, b, dilation=dilation, groups=groups, **options), x, w, b)
    close(gl.dlconv(x, w, data_format=LAYOUT[d], dilation_factor=dilation, **options), CONV[d](x, w, dilation=dilation, groups=groups, **options))


def test_options_for_each_axis():
    x, w, b = drawn(2, 3, 9, 8), drawn(4, 3, 3, 2), drawn(4)
    agrees(lambda x, w, b: gl.dlconv(x, w, b, stride=[2, 1], dilation_factor=(1, 3), padding=np.array([1, 2]), data_format="BCSS"),
           lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), dilation=(1, 3), padding=(1, 2)), x, w, b)
    agrees(lambda x, w, b: gl.dlconv(x, w, b, padding=((1, 2), (0, 3)), data_format="BCSS"),
           lambda x, w, b: F.conv2d(F.pad(x, (0, 3, 1, 2)), w, b), x, w, b)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("k", "dilation"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_same_and_causal(k, dilation, stride):
    w, b = drawn(2, 3, k), drawn(2)
    for n in (1, 4, 7):
        x = drawn(2, 3, n)
        y = gl.dlconv(x, w, b, padding="same", stride=stride, dilation_factor=dilation, data_format="BCS")
        assert y.shape[-1] == -(-n // stride)
        total = max((y.shape[-1] - 1) * stride + (k - 1) * dilation + 1 - n, 0)
        close(y, F.conv1d(F.pad(x, (total // 2, total - total // 2)), w, b, stride=stride, dilation=dilation))
    x = drawn(1, 3, 8)
    agrees(lambda x, w, b: gl.dlconv(x, w, b, padding="causal", dilation_factor=dilation, stride=stride, data_format="BCT"),
           lambda x, w, b: F.conv1d(F.pad(x, ((k - 1) * dilation, 0)), w, b, stride=stride, dilation=dilation), x, w, b)


def test_a_causal_convolution_does_not_look_ahead():
    x = dlarray(drawn(2, 7, 3), "CTB")
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.dlconv(x, drawn(1, 2, 3), padding="causal")[:, 3]), x), x)
    assert not g._value[:, 4:].any() and g._value[:, 1:4].all() and not g._value[:, 0].any()


NUMPY_MODES = {"replicate": "edge", "symmetric-include-edge": "symmetric", "symmetric-exclude-edge": "reflect"}


@pytest.mark.parametrize("value", [*NUMPY_MODES, 2.5, -1])
@pytest.mark.parametrize(("shape", "pairs"), [((2, 1, 4, 5), ((1, 2), (3, 0))), ((1, 1, 1, 3), ((2, 0), (1, 1))), ((1, 1, 3, 2), ((7, 5), (0, 4)))])
def test_padding_values(value, shape, pairs):
    x, w = drawn(*shape), drawn(2, 1, 2, 2)
    mode = {"mode": NUMPY_MODES[value]} if isinstance(value, str) else {"constant_values": value}
    index = torch.from_numpy(np.pad(np.arange(x.numel()).reshape(shape), ((0, 0), (0, 0), *pairs), **mode)) if isinstance(value, str) else None
    theirs = (lambda x: x.reshape(-1)[index]) if index is not None else (
        lambda x: F.pad(x, [p for pair in reversed(pairs) for p in pair], value=value))
    agrees(lambda x, w: gl.dlconv(x, w, padding=pairs, padding_value=value, data_format="BCSS"), lambda x, w: F.conv2d(theirs(x), w), x, w)


def test_borders_of_one_and_three_axes_and_of_same():
    for border, mode in (("replicate", "replicate"), ("symmetric-exclude-edge", "reflect")):
        x, w = drawn(2, 3, 6), drawn(1, 3, 3)
        agrees(lambda x, w, b=border: gl.dlconv(x, w, padding="same", padding_value=b, data_format="BCS"),
               lambda x, w, m=mode: F.conv1d(F.pad(x, (1, 1), mode=m), w), x, w)
        x, w = drawn(1, 2, 3, 4, 3), drawn(1, 2, 3, 3, 3)
        agrees(lambda x, w, b=border: gl.dlconv(x, w, padding=1, padding_value=b, data_format="BCSSS"),
               lambda x, w, m=mode: F.conv3d(F.pad(x, (1,) * 6, mode=m), w), x, w)


@pytest.mark.parametrize("layout", ["BCSS", "SSCB", "SCSB", "CSS", "TBCSS", "BSSCT"])
def test_layouts(layout):
    """Any order of axes, with batches, time or neither beside: the answer in the order of x."""
    sizes = {"B": [2], "C": [3], "T": [4], "S": [6, 5]}
    parts = {k: list(v) for k, v in sizes.items()}
    x = drawn(*[parts[letter].pop(0) for letter in layout])
    w, b = drawn(4, 3, 2, 3), drawn(4)
    y = gl.dlconv(dlarray(x, layout), w, b)
    assert gl.dims(y) == layout
    spatial = [k for k, letter in enumerate(layout) if letter == "S"]
    channel = layout.index("C")
    rest = [k for k in range(x.ndim) if k not in (*spatial, channel)]
    order = [*rest, channel, *spatial]
    flat = x.permute(order).reshape(-1, 3, 6, 5)
    expected = F.conv2d(flat, w, b).reshape(*[x.shape[k] for k in rest], 4, 5, 3).permute([order.index(k) for k in range(x.ndim)])
    close(y, expected)
    plain = gl.dlconv(dlarray(x), w, b, data_format=layout)
    assert gl.dims(plain) == "" and plain.shape == y.shape
    t = gl.dltranspconv(dlarray(x, layout), w.transpose(0, 1), b)
    assert gl.dims(t) == layout
    close(t, F.conv_transpose2d(flat, w.transpose(0, 1), b).reshape(*[x.shape[k] for k in rest], 4, 7, 7).permute([order.index(k) for k in range(x.ndim)]))


def test_over_time_where_the_weights_say_so():
    x = drawn(2, 3, 6, 5)  # B C S T
    close(gl.dlconv(dlarray(x, "BCST"), drawn(4, 3, 2)), F.conv1d(x.movedim(3, 1).reshape(10, 3, 6), drawn(4, 3, 2)).reshape(2, 5, 4, 5).movedim(1, 3))
    over_time = gl.dlconv(dlarray(x, "BCST"), dlarray(drawn(4, 3, 2), "UCT"))
    close(over_time, F.conv1d(x.movedim(2, 1).reshape(12, 3, 5), drawn(4, 3, 2)).reshape(2, 6, 4, 4).movedim(1, 2))
    assert gl.dims(over_time) == "BCST"
    both = F.conv2d(x, drawn(4, 3, 2, 3))
    close(gl.dlconv(dlarray(x, "BCST"), drawn(4, 3, 2, 3)), both)
    close(gl.dlconv(dlarray(x, "BCST"), dlarray(drawn(4, 3, 2, 3), "UCST")), both)
    close(gl.dltranspconv(dlarray(x, "BCST"), dlarray(drawn(3, 4, 2), "CUT")),
          F.conv_transpose1d(x.movedim(2, 1).reshape(12, 3, 5), drawn(3, 4, 2)).reshape(2, 6, 4, 6).movedim(1, 2))


# ----- dltranspconv -----


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("stride", "dilation", "cropping", "groups"), [
    (1, 1, 0, 1), (2, 1, 1, 1), (1, 2, 1, 2), (3, 1, 0, 4), (2, 3, 2, 2)])
def test_transposed_options(d, stride, dilation, cropping, groups):
    x, w, b = drawn(2, 4, 3, 4, 2)[(..., *(0,) * (3 - d))], drawn(4, 3, 3, 2, 4)[(..., *(0,) * (3 - d))], drawn(3 * groups)
    agrees(lambda x, w, b: gl.dltranspconv(x, w, b, stride=stride, dilation_factor=dilation, cropping=cropping, groups=groups, data_format=LAYOUT[d]),
           lambda x, w, b: TRANSPOSED[d](x, w, b, stride=stride, dilation=dilation, padding=cropping, groups=groups), x, w, b)


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_cropping_on_each_side(before, after, stride):
    x, w, b = drawn(2, 3, 4), drawn(3, 2, 5), drawn(2)
    agrees(lambda x, w, b: gl.dltranspconv(x, w, b, stride=stride, cropping=[(before, after)], data_format="BCS"),
           lambda x, w, b: (lambda y: y[..., before:y.shape[-1] - after])(F.conv_transpose1d(x, w, b, stride=stride)), x, w, b)


@pytest.mark.parametrize(("k", "stride"), list(itertools.product([1, 2, 3, 4], [1, 2, 3])))
def test_cropping_to_the_same(k, stride):
    x, w = drawn(1, 2, 5), drawn(2, 2, k)
    y = gl.dltranspconv(x, w, stride=stride, cropping="same", data_format="BCS")
    whole = F.pad(F.conv_transpose1d(x, w, stride=stride), (0, stride))
    start = max(k - stride, 0) // 2
    close(y, whole[..., start:start + 5 * stride])


def test_it_is_the_transpose_of_the_convolution():
    """<dlconv(x, w), y> = <x, dltranspconv(y, w)>: no option turned round."""
    options = {"stride": (2, 1), "dilation_factor": (1, 2)}
    x, w = drawn(2, 3, 9, 8), drawn(4, 3, 3, 2)
    y = gl.dlconv(x, w, padding=(1, 0), data_format="BCSS", **options)
    bar = drawn(*y.shape, key="bar")
    back = gl.dltranspconv(bar, w, cropping=(1, 0), data_format="BCSS", **options)
    assert abs((y * bar).sum() - (x * back).sum()) < 1e-10


# ----- types, sizes, memory, errors -----


def test_types():
    x, w = drawn(1, 2, 5, dtype=torch.float32), drawn(2, 2, 3)
    assert gl.dlconv(dlarray(x, "BCS"), w).dtype is torch.float64  # arrays promote
    assert gl.dlconv(dlarray(x, "BCS"), w.float(), drawn(2).float()).dtype is torch.float32
    z = torch.complex(drawn(1, 2, 5), drawn(1, 2, 5, key=1))
    close(gl.dlconv(z, w, data_format="BCS"), torch.complex(F.conv1d(z.real, w), F.conv1d(z.imag, w)))
    close(gl.dltranspconv(z, w, data_format="BCS"), torch.complex(F.conv_transpose1d(z.real, w), F.conv_transpose1d(z.imag, w)))
    agrees(lambda x, w: gl.dltranspconv(x, w, stride=2, data_format="BCSS"), lambda x, w: F.conv_transpose2d(x, w, stride=2),
           drawn(2, 8, 5, 5, dtype=torch.float32), drawn(8, 3, 3, 3, dtype=torch.float32), tolerance=1e-5)


def test_no_observations_and_single_places():
    assert gl.dlconv(drawn(0, 2, 5, 5), drawn(3, 2, 2, 2), data_format="BCSS").shape == (0, 3, 4, 4)
    assert gl.dltranspconv(drawn(0, 2, 5, 5), drawn(2, 3, 2, 2), data_format="BCSS").shape == (0, 3, 6, 6)
    agrees(lambda x, w: gl.dlconv(x, w, data_format="BCSS"), F.conv2d, drawn(1, 1, 1, 1), drawn(1, 1, 1, 1))
    agrees(lambda x, w: gl.dltranspconv(x, w, data_format="BCSS"), F.conv_transpose2d, drawn(1, 1, 1, 1), drawn(1, 1, 1, 1))


def test_bias_of_any_shape_with_as_many_elements():
    x, w, b = drawn(1, 2, 5), drawn(3, 2, 2), drawn(3)
    close(gl.dlconv(x, w, b.reshape(3, 1), data_format="BCS"), F.conv1d(x, w, b))
    g = gl.dlfeval(lambda b: gl.dlgradient(gl.sum(gl.dlconv(x, w, b, data_format="BCS")), b), dlarray(b.reshape(1, 3)))
    assert g.shape == (1, 3) and bool((g._value == 4).all())


X, W = drawn(1, 4, 5, 5), drawn(2, 4, 3, 3)
MESSAGES = [
    (lambda: gl.dlconv(X, W), LabelError, 'data_format=, such as "BCSS"'),
    (lambda: gl.dlconv(dlarray(X, "BSSS"), W), LabelError, "needs an axis C"),
    (lambda: gl.dlconv(dlarray(X[0, 0], "CB"), W[..., 0, 0]), LabelError, r"needs an axis S \(or T\), x is 5\(C\) x 5\(B\)"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W[0]), ShapeError, "needs weights of 4 axes .filters, channels per group"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), drawn(2, 3, 3, 3)), ShapeError, "do not divide into groups of 3"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), drawn(3, 2, 3, 3)), ShapeError, "do not divide into groups of 2"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, drawn(3)), ShapeError, "bias of 2 elements, not 3"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), drawn(2, 4, 6, 1)), ShapeError, "filters of 6 are larger than the padded input of 5"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding="full"), ShapeError, "\"same\" or \"causal\", not 'full'"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding=-1), ShapeError, "at least 0"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding=(1, 1, 1)), ShapeError, "3 entries for 2 spatial axes"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding=[(1, 1)]), ShapeError, "1 pairs for 2 spatial axes"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding=0.5), ShapeError, "is an integer"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, stride=0), ShapeError, "stride is 0.*at least 1"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, dilation_factor=(1, 0)), ShapeError, "dilation_factor is .1, 0.*at least 1"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding=1, padding_value="wrap"), ShapeError, "'replicate', 'symmetric-include-edge'"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), W, padding=1, padding_value=dlarray(1.0)), ShapeError, "padding_value is a constant"),
    (lambda: gl.dlconv(dlarray(X, "BCSS"), dlarray(W, "UCST")), LabelError, "do not fit x"),
    (lambda: gl.dltranspconv(dlarray(X, "BCSS"), W), ShapeError, "x needs 2 channels"),
    (lambda: gl.dltranspconv(dlarray(X, "BCSS"), drawn(4, 2, 3, 3), groups=3), ShapeError, "groups=3"),
    (lambda: gl.dltranspconv(dlarray(X, "BCSS"), drawn(4, 2, 3, 3), drawn(3)), ShapeError, "bias of 2 elements"),
    (lambda: gl.dltranspconv(dlarray(X, "BCSS"), drawn(4, 2, 3, 3), cropping=4), ShapeError, "of a result of 7 leaves nothing"),
    (lambda: gl.dltranspconv(dlarray(X, "BCSS"), drawn(4, 2, 3, 3), cropping="valid"), ShapeError, "\"same\", not 'valid'"),
]


@pytest.mark.parametrize("k", range(len(MESSAGES)))
def test_messages(k):
    call, kind, message = MESSAGES[k]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "test_convolution.py" in str(caught.value), "it names the user's line"


def test_a_stencil_of_second_differences():
    """A known answer: the Laplacian of x^2 + 3 y^2 is 8 inside, by a stencil; reflecting borders keep a constant constant."""
    grid = torch.arange(6.0, dtype=torch.float64)
    u = (grid[:, None] ** 2 + 3 * grid[None] ** 2)[None, None]
    stencil = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)[None, None]
    assert bool((gl.dlconv(u, stencil, data_format="BCSS") == 8).all())
    for border in NUMPY_MODES:
        assert not gl.dlconv(torch.ones_like(u), stencil, padding=1, padding_value=border, data_format="BCSS").any()
    assert float(gl.dlconv(torch.ones_like(u), stencil, padding=1, data_format="BCSS")[0, 0, 0, 0]) == -2


def test_pad_takes_numpys_widths():
    x = np.arange(6.0).reshape(2, 3)
    for shape in ((6,), (2, 3), (1, 2, 3)):
        y = x.reshape(shape)
        for widths in (1, (1, 2), [(1, 0)], [(1,)], [[0, 3]], [(2, 1)] * y.ndim, [(k, 1) for k in range(y.ndim)], np.array([[1, 2]])):
            for mode in ("constant", "edge", "wrap"):
                np.testing.assert_array_equal(gl.pad(gl.dlarray(y), widths, mode=mode).numpy(), np.pad(y, widths, mode=mode))
                np.testing.assert_array_equal(np.asarray(np.pad(gl.dlarray(y), widths, mode=mode)), np.pad(y, widths, mode=mode))
    for wrong in ("x", [(1, 2, 3)], [(1, 2)] * 3, {0: 1}):
        with pytest.raises(gl.ShapeError, match=r"before, after.*as in \[\(0, 0\), \(1, 1\)\] for the last"):
            gl.pad(gl.dlarray(x), wrong)
    with pytest.raises(gl.ShapeError, match=r"each of the 3 axes"):
        gl.pad(gl.zeros((1, 2, 3)), [(1, 0), (0, 1)])  # the last two? NumPy does not guess either


@pytest.mark.parametrize("dtypes", [("float64", "float64"), ("complex128", "float64"), ("float64", "complex128")])
@pytest.mark.parametrize("groups", [1, 2])
def test_filters_of_many_images_are_made_in_pieces(monkeypatch, groups, dtypes):
    """Cotangents of a filter for each of some images, so large that a few are made at a time: those of each image alone."""
    x, y = (torch.randn(7, 1, *shape, dtype=getattr(torch, dtype), generator=torch.Generator().manual_seed(1))
            for shape, dtype in zip(((4, 5, 6), (6, 3, 2)), dtypes, strict=True))
    options = (2, 1), (1, 0), (1, 2), groups, (2, 3)
    alone = torch.stack([kernels.to_weight(a, b, *options) for a, b in zip(x, y, strict=True)])
    calls = []
    monkeypatch.setattr(kernels, "PIECE", 3 * alone[0].numel() * alone.element_size() - 1)
    monkeypatch.setattr(kernels, "_by_parts", lambda run, a, b, g, plain=kernels._by_parts: calls.append(g) or plain(run, a, b, g))
    found = kernels.to_weight(x, y, *options)
    assert len(calls) == 4 and found.dtype is alone.dtype
    torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(3, 2), (8, 8), (7, 3)])
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("together", [False, True])
def test_filters_of_one_channel_on_small_images(monkeypatch, size, multiplier, together):
    """Rows of cotangents of filters of single channels: those of each row alone, by torch's kernel."""
    stream = torch.Generator().manual_seed(2)
    x, options = torch.randn(1, 6, *size, dtype=torch.float64, generator=stream), ((2, 1), (1, 2), (1, 2), 6, (3, 2))
    x = x.to(memory_format=torch.channels_last) if together else x
    image = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, s, p, d, k in zip(size, *options[:3], options[4], strict=True)]
    y = torch.randn(3, 1, 6 * multiplier, *image, dtype=torch.float64, generator=stream)
    alone = torch.stack([kernels.to_weight(x, row, *options) for row in y])
    made = []
    monkeypatch.setattr(kernels, "_each_channel", lambda *a, plain=kernels._each_channel: made.append(plain(*a)) or made[-1])
    found = kernels.to_weight(x, y, *options)
    assert made[-1] is not None and found.shape == alone.shape
    torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)
