"""Products of a structured Jacobian's factors, and what convolutions make of them: equal to einsum and to torch in every memory layout."""

import gc
import itertools

import pytest
import torch
from helpers import drawing

import gradloom as gl
from gradloom.blocks import product
from gradloom.blocks.axis import Index, plain
from gradloom.blocks.block import Block, identity
from gradloom.blocks.dense import dense
from gradloom.blocks.factors import contracted, no_element_twice
from gradloom.blocks.term import Term
from gradloom.operations.neural.convolution import on_blocks as convolution_blocks
from gradloom.operations.neural.convolution import whole_axes

drawn = drawing()

N, A, C, S, T = Index(3), Index(4), Index(5), Index(6), Index(2)
CASES = [
    ((N, A, C, S), (N, S, T), (N, A, C, T)),  # a batch
    ((N, C, S, A), (S, T, N, C), (A, N, T)),  # two summed, a batch in between
    ((A, S), (S, T), (T, A)),  # no batch
    ((N, C, A, S), (C, N, S, T), (N, C, T, A)),  # two batches
    ((A, S, C), (S, T), (A, C, T)),
]


def laid_out(array, order):
    """The same array, its axes in another order in memory."""
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return array.permute(order).contiguous().permute(inverse)


def by_einsum(a, b, keep):
    number = {}
    operands = [x for array, ids in (a, b) for x in (array, [number.setdefault(i, len(number)) for i in ids])]
    return torch.einsum(*operands, [number[i] for i in keep])


@pytest.mark.parametrize("xs, ys, keep", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_large_products_in_every_memory_layout(xs, ys, keep, dtype, monkeypatch):
    monkeypatch.setattr(product, "LARGE", 0)
    x, y = (drawn(*(i.size for i in ids), dtype=dtype) for ids in (xs, ys))
    for order, other in itertools.product(itertools.permutations(range(len(xs))), [range(len(ys)), range(len(ys))[::-1]]):
        a, b = (laid_out(x, order), xs), (laid_out(y, list(other)), ys)
        found = product.as_matrix_products(a, b, keep)
        torch.testing.assert_close(found, by_einsum((x, xs), (y, ys), keep), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(product.as_matrix_products(b, a, keep), found, rtol=1e-4, atol=1e-5)


def test_large_products_of_windows_repeats_and_sizes_of_one(monkeypatch):
    monkeypatch.setattr(product, "LARGE", 0)
    windows, one = drawn(3, 7).unfold(1, 2, 1), Index(1)  # (N, S, T), neighbours share memory
    a = drawn(3, 4, 6)
    found = product.as_matrix_products((a, (N, A, S)), (windows, (N, S, T)), (N, A, T))
    torch.testing.assert_close(found, torch.einsum("nas,nst->nat", a, windows))
    repeated = drawn(3, 1, 6).expand(3, 4, 6)
    found = product.as_matrix_products((repeated, (N, A, S)), (windows, (N, S, T)), (N, A, T))
    torch.testing.assert_close(found, torch.einsum("nas,nst->nat", repeated, windows))
    found = product.as_matrix_products((drawn(1, 6), (one, S)), (drawn(6, 2), (S, T)), (T, one))
    torch.testing.assert_close(found, (drawn(1, 6) @ drawn(6, 2)).mT)


def test_large_products_of_a_batch_of_none():
    none, a, s, t = Index(0), Index(128), Index(128), Index(128)
    found = contracted([(drawn(0, 128, 128), (none, a, s)), (drawn(0, 128, 128), (none, s, t))], (none, a, t))
    assert found.shape == (0, 128, 128)


def test_other_products_are_left_to_einsum(monkeypatch):
    x, y = drawn(3, 4, 6), drawn(3, 6, 2)
    assert product.as_matrix_products((x, (N, A, S)), (y, (N, S, T)), (N, A, T)) is None  # too small
    monkeypatch.setattr(product, "LARGE", 0)
    assert product.as_matrix_products((x, (N, A, S)), (y, (N, S, T)), (N, A)) is None  # one that only y has is summed
    assert product.as_matrix_products((x, (N, A, S)), (drawn(3, 6), (N, S)), (N, A)) is None  # a matrix times a vector
    assert product.as_matrix_products((x.to("meta"), (N, A, S)), (y.to("meta"), (N, S, T)), (N, A, T)) is None  # no data
    torch.testing.assert_close(contracted([(x, (N, A, S)), (y, (N, S, T))], (N, A)), torch.einsum("nas,nst->na", x, y))


def test_a_product_without_a_sum_lies_as_it_is_asked_for():
    found = contracted([(drawn(4, 6), (A, S)), (drawn(3, 6), (N, S))], (N, S, A))
    assert found.is_contiguous()
    torch.testing.assert_close(found, torch.einsum("as,ns->nsa", drawn(4, 6), drawn(3, 6)))


def scaled(factor, mask, along):
    """A term of one factor over (n, s, t), times a mask over some of its axes."""
    out = [plain(n) for n in factor.shape]
    ids = tuple(a.indices[0] for a in out)
    block = Block([Term([(factor, ids)], out, ())], factor.shape, (), factor.dtype, "cpu").scaled(mask)
    torch.testing.assert_close(dense(block), factor * mask)
    return block.terms[0].factors


def test_a_mask_is_multiplied_into_what_holds_its_indices_but_not_into_views():
    assert len(scaled(drawn(3, 4, 5), drawn(3, 1, 5, key=1), (0, 2))) == 1
    assert len(scaled(drawn(4, 5, 3).permute(2, 0, 1), drawn(4, 5, key=1), (1, 2))) == 1
    windows = drawn(3, 7).unfold(1, 2, 1)
    assert len(scaled(windows, drawn(6, 1, key=1), (1,))) == 2  # it would no longer be a view of 21 numbers
    assert len(scaled(drawn(3, 1, 5).expand(3, 4, 5), drawn(4, 1, key=1), (1,))) == 2


def test_memory_of_its_own():
    x = drawn(3, 4, 5)
    assert all(map(no_element_twice, (x, x.mT, x[:, ::2], x[:0], x[:1].expand(1, 4, 5), torch.zeros(()))))
    assert not any(map(no_element_twice, (x.expand(2, 3, 4, 5), x.unfold(2, 3, 1), torch.arange(6).as_strided((3, 3), (1, 1)))))


# ----- cotangents as images -----


def network(p, x, pooled):
    """Two convolutions, strided and in groups, and a dense layer."""
    h = gl.relu(gl.dlconv(x, p["a"], p["ab"], padding=1))
    h = gl.maxpool(h, 2, stride=2) if pooled else h
    h = gl.relu(gl.dlconv(h, p["b"], p["bb"], stride=(1, 2), padding="same"))
    return gl.fullyconnect(h, p["c"], p["cb"])


def parameters(channels, pooled, dtype):
    size = 4 * 2 if pooled else 8 * 4
    shapes = {"a": (6, channels, 3, 3), "ab": (6,), "b": (4, 3, 3, 3), "bb": (4,), "c": (3, 4 * size), "cb": (3,)}
    return {k: gl.dlarray(drawn(*s, dtype=dtype, key=k)) for k, s in shapes.items()}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("small", [True, False])
def test_jacobians_and_kernels_of_convolution_networks(channels, pooled, dtype, small, monkeypatch):
    """Row by row, whether products are large or not and images go at once or in pieces that do not divide their number."""
    if small:
        monkeypatch.setattr(product, "LARGE", 0)
        monkeypatch.setattr(whole_axes, "PIECE", 1)
    p = parameters(channels, pooled, dtype)
    x1, x2 = (gl.dlarray(drawn(n, channels, 8, 8, dtype=dtype, key=n), "BCSS") for n in (5, 3))

    def rows(p, x):
        u = network(p, x, pooled)
        return [gl.dlgradient(u[n, k], p) for n in range(u.shape[0]) for k in range(u.shape[1])]

    def whole(p, x1, x2):
        J1, J2 = gl.dljacobian(network(p, x1, pooled), p), gl.dljacobian(network(p, x2, pooled), p)
        return J1, J1 @ J2.T, J1.gram(), J1.row_norms()

    J, kernel, gram, norms = gl.dlfeval(whole, p, x1, x2)
    by_row = [torch.stack([torch.cat([g[k]._value.reshape(-1) for k in p]) for g in gl.dlfeval(rows, p, x)]) for x in (x1, x2)]
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if dtype is torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(torch.cat([torch.as_tensor(J[k].dense()._value).reshape(15, -1) for k in p], 1), by_row[0], **tolerance)
    torch.testing.assert_close(kernel._value.reshape(15, 9), by_row[0] @ by_row[1].mT, **tolerance)
    torch.testing.assert_close(gram._value.reshape(15, 15), by_row[0] @ by_row[0].mT, **tolerance)
    torch.testing.assert_close(norms._value.reshape(15), by_row[0].norm(dim=1), **tolerance)


def test_images_are_let_go_with_their_cotangent():
    """What convolutions keep of a cotangent for each other is in no cycle: its memory is free as soon as the walk has passed."""
    p, x = parameters(2, True, torch.float64), gl.dlarray(drawn(5, 2, 8, 8), "BCSS")
    gl.dlfeval(lambda p: gl.dljacobian(network(p, x, True), p), p)
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o) is Block for o in gc.get_objects())
        gl.dlfeval(lambda p: gl.dljacobian(network(p, x, True), p).row_norms(), p)
        assert sum(type(o) is Block for o in gc.get_objects()) == before
    finally:
        gc.enable()


def test_an_image_is_made_once():
    factor, mask = drawn(4, 2, 3), drawn(5, 2, 3, key=1)  # (a, c, s) and (n, c, s): their product is what convolutions read
    out = [plain(n) for n in (5, 2, 3)]
    row = plain(4)
    ids = [a.indices[0] for a in (*out, row)]
    block = Block([Term([(factor, (ids[3], *ids[1:3])), (mask, tuple(ids[:3]))], out, [out[0], row])], (5, 2, 3), (5, 4), torch.float64, "cpu")
    images = convolution_blocks.imaged(block)
    assert len(images.terms[0].factors) == 1 and convolution_blocks.imaged(block) is images
    torch.testing.assert_close(dense(images), dense(block))
    same = identity((5, 2, 3), torch.float64, "cpu")
    assert convolution_blocks.imaged(same).terms[0].factors == ()  # what is tied keeps its structure
