"""`dljacobian(u, x, axis)` from factors: images that are never multiplied out, small sums of terms, directions that go nowhere."""
import math

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl
from gradloom import dlarray
from gradloom.blocks.axis import Axis, Index, plain
from gradloom.blocks.block import Block
from gradloom.blocks.dense import dense
from gradloom.blocks.factors import contracted, two_of
from gradloom.blocks.term import Term
from gradloom.derivatives.jacobians import along_axis as batched
from gradloom.derivatives.walks import pieces
from gradloom.machine import products
from gradloom.operations.neural.convolution import columns as convolution_columns
from gradloom.operations.neural.convolution import whole_axes

RNG = stream(3)


@pytest.fixture
def used(monkeypatch):
    """How often columns were made instead of images; every walk goes through factors, and columns are made a row of places at a time."""
    calls = []

    def counted(*args, **options):
        calls.append(args)
        return convolution_columns.transposed_of_product(*args, **options)

    monkeypatch.setattr(whole_axes, "transposed_of_product", counted)
    monkeypatch.setattr(batched, "WORTHWHILE", 0)
    return calls


def rows(function, x, axis=1):
    """From factors, and by the plain walk that is recorded."""
    return [np.asarray(gl.dlfeval(lambda x, r=recorded: gl.dljacobian(function(x), x, axis, enable_higher_derivatives=r), gl.dlarray(x)))
            for recorded in (False, True)]


OPTIONS = [
    ((7, 6), (3, 2), {}), ((7, 6), (3, 2), {"stride": 2}), ((7, 6), (3, 2), {"padding": 1}), ((8, 7), (3, 2), {"stride": (3, 2), "padding": (1, 1)}),
    ((9, 7), (2, 3), {"dilation_factor": 2}), ((9, 7), (2, 2), {"dilation_factor": (1, 3), "stride": (2, 1), "padding": (1, 0)}),
    ((9,), (3,), {"stride": 2}), ((4, 5, 4), (2, 2, 3), {"padding": 1}), ((1, 6), (1, 3), {}), ((3, 3), (3, 3), {}), ((7, 2), (1, 1), {"stride": 2}),
]


@pytest.mark.parametrize("piece", [1, 1 << 22])
@pytest.mark.parametrize("sizes, kernel, options", OPTIONS, ids=str)
def test_columns_of_filters_equal_images(used, monkeypatch, sizes, kernel, options, piece):
    monkeypatch.setattr(convolution_columns, "PIECE", piece)
    channels = 2 * math.prod(kernel) + 1
    x, w, b = RNG.standard_normal((3, 2, *sizes)), RNG.standard_normal((channels, 2, *kernel)), RNG.standard_normal(channels)

    def network(x):
        h = gl.relu(gl.dlconv(x, w, b, data_format="BC" + "S" * len(sizes), **options))
        flat = gl.reshape(h, (3, -1))
        return gl.softmax(flat @ gl.dlarray(np.random.default_rng(0).standard_normal((flat.shape[1], 4))), axis=-1)

    found, expected = rows(network, x)
    assert bool(used) == (sizes not in ((3, 3), (7, 2)))  # of one place, or two, the rows are one array before they are convolved
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_images_that_are_the_same_everywhere_are_columns_too(used):
    x, w, v = RNG.standard_normal((3, 1, 6, 5)), RNG.standard_normal((12, 1, 3, 2)), RNG.standard_normal((12, 4))

    def mean(x):  # a mean over places: the weights that come back do not vary over them
        h = gl.dlconv(x, w, None, data_format="BCSS", padding=1)
        return (gl.mean(h, axis=(2, 3)) @ gl.dlarray(v)) * gl.sum(x, axis=(1, 2, 3), keepdims=True).reshape((3, 1))

    def columns(x):  # constant along one axis, not along the other
        h = gl.tanh(gl.dlconv(x, w, None, data_format="BCSS"))
        return gl.sum(h, axis=(2, 3)) @ gl.dlarray(v)

    def negative(x):
        return -2.5 * columns(x)

    for network in (mean, columns, negative):
        found, expected = rows(network, x)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert used


@pytest.mark.parametrize("groups, channels", [(1, 3), (2, 24)])
def test_where_columns_would_be_larger_or_are_in_groups_images_are_made(used, groups, channels):
    x, w, v = RNG.standard_normal((3, 2, 5, 5)), RNG.standard_normal((channels, 2 // groups, 3, 3)), RNG.standard_normal((9 * channels, 4))

    def network(x):
        h = gl.relu(gl.dlconv(x, w, None, data_format="BCSS"))
        return gl.softmax(gl.reshape(h, (3, 9 * channels)) @ gl.dlarray(v), axis=-1)

    found, expected = rows(network, x)
    assert not used
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_complex_columns(used):
    x, w = RNG.standard_normal((2, 1, 5, 4)), RNG.standard_normal((14, 1, 3, 2)) + 1j * RNG.standard_normal((14, 1, 3, 2))
    v = RNG.standard_normal((14 * 9, 3)) + 1j * RNG.standard_normal((14 * 9, 3))

    def network(x):
        h = gl.dlconv(x, w, None, data_format="BCSS")
        return gl.reshape(h * h, (2, 14 * 9)) @ gl.dlarray(v)

    def jacobian(x):
        return gl.dljacobian(network(x), x)

    found = np.asarray(gl.dlfeval(jacobian, gl.dlarray(x)).dense())
    tw, tv = torch.tensor(w), torch.tensor(v)

    def reference(x):
        h = torch.nn.functional.conv2d(x.to(torch.complex128), tw)
        return (h * h).reshape(2, -1) @ tv

    parts = [torch.func.jacrev(lambda x, p=p: getattr(reference(x), p))(torch.tensor(x)).numpy() for p in ("real", "imag")]
    np.testing.assert_allclose(found, parts[0] + 1j * parts[1], rtol=1e-9, atol=1e-9)


# ----- small sums of terms ---------------------------------------------------------------------------------------------------


def softmax_block(n=3, classes=4):
    """Rows of softmax: a diagonal and an outer product for each observation."""
    i, k, c = Index(n), Index(classes), Index(classes)
    y = torch.softmax(torch.tensor(RNG.standard_normal((n, classes))), 1)
    b, a, row = Axis((i,), n), Axis((c,), classes), Axis((k,), classes)
    terms = [Term([(y, (i, k))], [b, row], [row]), Term([(y, (i, k)), (y, (i, c))], [b, a], [row], -1)]
    return Block(terms, (n, classes), (classes,), torch.float64, "cpu")


def test_terms_among_the_entries_of_another_are_added_to_it_where_there_is_room():
    block = softmax_block()
    assert len(block.terms) == 2
    together = block.gathered(3 * 4 * 4)
    assert len(together.terms) == 1
    torch.testing.assert_close(dense(together), dense(block))
    assert block.gathered(3 * 4 * 4 - 1) is block


def test_terms_elsewhere_are_not_added_up():
    n = Index(4)
    near, far = torch.tensor([0, 1, 2, 3]), torch.tensor([1, 2, 3, -1])
    terms = [Term([(torch.ones(4, dtype=torch.float64), (n,))], [Axis((n,), 4)], [Axis((n,), 4, table)]) for table in (near, far)]
    block = Block(terms, (4,), (4,), torch.float64, "cpu")
    assert block.gathered(1000) is block


def test_the_rows_of_a_softmax_are_one_term_after_a_dense_layer():
    x, w, v = RNG.standard_normal((6, 5)), RNG.standard_normal((5, 40)), RNG.standard_normal((40, 3))

    def terms(x):
        u = gl.softmax(gl.tanh(x @ gl.dlarray(w)) @ gl.dlarray(v), axis=-1)
        out = [plain(n) for n in u.shape]
        seed = Block([Term((), out, [out[1]])], u.shape, [3], torch.float64, "cpu")
        (bar,) = batched.pull({u._node: seed}, [x._node], values_of=lambda node: node.values)
        assert len(bar.terms) == 1
        return gl.dljacobian(u, x, 1, enable_higher_derivatives=True) - dlarray._made(dense(bar.transposed()), None)

    assert float(gl.max(gl.abs(gl.dlfeval(terms, gl.dlarray(x))))) < 1e-12


# ----- Hessians in pieces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 3000, 1 << 20])
def test_hessians_of_parameters_in_one_vector(monkeypatch, piece):
    """Directions in some of the parameters only: the tangents of the others are absent."""
    monkeypatch.setattr(pieces, "PIECE", piece)
    x, y, p = RNG.standard_normal((9, 3)), RNG.standard_normal(9), RNG.standard_normal(3 * 4 + 4 + 4 + 1)

    def loss(tanh, mean, x, y):
        return lambda p: mean((tanh(x @ p[:12].reshape((3, 4)) + p[12:16]) @ p[16:20] + p[20] - y) ** 2)

    found = gl.hessian(loss(gl.tanh, gl.mean, gl.dlarray(x), y))(p)
    expected = torch.func.jacrev(torch.func.jacrev(loss(torch.tanh, torch.mean, torch.tensor(x), torch.tensor(y))))(torch.tensor(p))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-10, atol=1e-12)


def test_a_part_that_no_output_needs_has_no_derivative():
    found = gl.jacobian(lambda x: gl.concat([x[:2] * x[2:4], x[:2] ** 2]))(np.array([1.0, 2.0, 3.0, 4.0, 5.0][:4]))
    np.testing.assert_array_equal(found, [[3, 0, 1, 0], [0, 4, 0, 2], [2, 0, 0, 0], [0, 4, 0, 0]])


def test_directions_are_dealt_out_evenly():
    class Wide:
        shape, dtype, parents = (128, 32), torch.float32, (None,)

    sizes = [stop - start for start, stop in pieces._pieces([Wide()], 385)]
    assert sum(sizes) == 385 and max(sizes) - min(sizes) <= 1 and len(sizes) == 6
    assert pieces._pieces([Wide()], 1) == [(0, 1)]


# ----- products ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3, 1), (2, 4, 3, 1), (0, 3, 1), (1, 3, 1)])
def test_many_columns_by_one_matrix(shape):
    a, b = torch.tensor(RNG.standard_normal((4, 3))), torch.tensor(RNG.standard_normal(shape))
    for left in (a, a.mT.contiguous().mT):
        found = products.matrix_product(left, b)
        assert found.shape == (*shape[:-2], 4, 1)
        torch.testing.assert_close(found, torch.matmul(left, b))


def test_slices_of_wider_matrices_are_left_to_torch():
    wide = torch.ones(64, 3, 128)
    assert [products._dense(m) for m in (wide[:, 0], wide[:, 0].mT, wide[0], wide[0].mT, torch.ones(1, 4).expand(3, 4))] == [False, False, True, True, False]


def test_factors_are_multiplied_two_at_a_time():
    for trial in range(40):
        rng = np.random.default_rng(trial)
        ids = [Index(int(n)) for n in rng.integers(1, 4, 5)]
        held = [tuple(i for i in ids if rng.random() < 0.5) for _ in range(int(rng.integers(1, 6)))]
        factors = [(torch.tensor(rng.standard_normal([i.size for i in its])), its) for its in held]
        keep = tuple(i for i in ids if any(i in its for its in held) and rng.random() < 0.5)
        operands = [part for array, its in factors for part in (array, [ids.index(i) for i in its])]
        expected = torch.einsum(*operands, [ids.index(i) for i in keep])
        torch.testing.assert_close(contracted(factors, keep), expected)
        assert len(two_of(factors, keep)) <= 2


def test_evenly_spaced_positions():
    i, j = Index(3), Index(2)
    grid = torch.tensor([[1, 4], [3, 6], [5, 8]])
    assert Axis((i, j), 9, grid).affine() == (1, [2, 3])
    assert Axis((i, j), 9, grid + torch.tensor([[0, 0], [0, 1], [0, 0]])).affine() is None
    assert Axis((i,), 9, torch.tensor([4, 3, 2])).affine() is None
    assert Axis((i,), 9, torch.tensor([-1, 0, 1])).affine() is None
    assert Axis((), 9, torch.tensor(4)).affine() == (4, [])
    assert Axis((Index(1),), 9, torch.tensor([7])).affine() == (7, [0])
    assert Axis((Index(0),), 9, torch.zeros(0, dtype=torch.int64)).affine() is None
    assert Axis((i, j), 6).affine() == (0, [2, 1])
