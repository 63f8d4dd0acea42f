"""The matrix product by whichever library is faster equals torch's, in every memory layout."""

import pytest
import torch

from gradloom.machine import products

SIZES = [(3, 4, 5), (200, 100, 100), (1, 1200, 1000), (1200, 1000, 1), (1100, 1, 1000), (64, 300, 70), (0, 5, 2000), (50, 3000, 40), (300, 2000, 40), (40, 2000, 300)]


@pytest.mark.parametrize("m, k, n", SIZES)
@pytest.mark.parametrize("wider", [True, False])
def test_layouts(m, k, n, wider, monkeypatch):
    monkeypatch.setattr(products, "_WIDER", wider and hasattr(torch.ops.mkldnn, "_linear_pointwise"))
    a, b = torch.randn(m, k), torch.randn(k, n)
    expected = (a.double() @ b.double()).float()
    for left in (a, a.mT.contiguous().mT, torch.randn(m, 2 * k)[:, ::2].copy_(a)):
        for right in (b, b.mT.contiguous().mT, b.expand(1, k, n)[0]):
            torch.testing.assert_close(products.matrix_product(left, right), expected, rtol=1e-4, atol=1e-3)
            torch.testing.assert_close(products.affine_product(left, right.mT, torch.arange(n) * 1.0), expected + torch.arange(n), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(products.matrix_product(a.expand(2, m, k), b), expected.expand(2, m, n), rtol=1e-4, atol=1e-3)


def test_what_does_not_fit_is_refused_as_torch_does():
    with pytest.raises(RuntimeError):
        products.matrix_product(torch.randn(2000, 3), torch.randn(4, 2000))


def test_a_matrix_with_gaps_is_not_left_to_the_library_that_reads_it_element_by_element(monkeypatch):
    """Every second column, or one row again and again: a thousand times slower there."""
    monkeypatch.setattr(products, "_WIDER", True)
    taken = []
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda x, w, *rest: taken.append(w) or torch.nn.functional.linear(x, w, rest[0]), raising=False)
    a, b = torch.randn(2000, 100), torch.randn(100, 100, 2)
    for right, laid_out in ((b[..., 0], False), (b[:, :1, 0].expand(100, 100), False), (b[:, :, 0].contiguous(), True), (b[:, :, 0].contiguous().mT, True)):
        taken.clear()
        torch.testing.assert_close(products.matrix_product(a, right), a @ right, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(products.affine_product(a, right.mT, None), a @ right, rtol=1e-4, atol=1e-3)
        assert len(taken) == 2 * laid_out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
@pytest.mark.parametrize(("tall", "wide", "narrow"), [(40, 9, 2), (40, 9, 7), (40, 3, 2), (1, 5, 2), (0, 5, 2), (7, 2, 1)])
def test_a_wide_matrix_transposed_times_a_narrow_one(dtype, tall, wide, narrow):
    a, b = torch.randn(tall, wide, dtype=dtype), torch.randn(tall, narrow, dtype=dtype)
    for left in (a.mT, a.mH):
        torch.testing.assert_close(products.matrix_product(left, b), torch.matmul(left.resolve_conj().contiguous(), b))
