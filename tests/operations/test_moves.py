"""Reads at positions, products with vectors, differences: one operation each, in every way in which they are called."""
import numpy as np
import pytest
import torch

import gradloom as gl


def drawn(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(len(shape)))


I, J = torch.tensor([0, 2, 2, -1]), torch.tensor([1, -3, 0, 2])


@pytest.mark.parametrize(("function", "shapes"), [
    (lambda x: x[I, J], [(3, 4)]), (lambda x: x[:, I, J % 2], [(2, 3, 4)]), (lambda x: x[I.reshape(2, 2)], [(3, 4)]), (lambda x: x[1:, ::2], [(3, 4)]),
    (lambda w: gl.embed(gl.dlarray([[2, 0], [1, 1]], dtype="int64"), w), [(3, 4)]), (gl.matmul, [(3, 4), (4,)]), (gl.matmul, [(2, 3, 4), (4,)]),
    (gl.matmul, [(4,), (4,)]), (gl.outer, [(3,), (4,)]), (gl.vecdot, [(3, 4), (3, 4)]), (gl.kron, [(2, 3), (3, 2)]), (gl.trace, [(3, 3)]),
    (gl.diff, [(3, 4)]), (gl.trapz, [(3, 4)]), (lambda x: gl.tile(x, (2, 2)), [(3, 4)]), (lambda x: gl.roll(x, 5), [(3, 4)]), (gl.fftshift, [(3, 4)]),
    (lambda a, b: gl.ravel([a, b])[0], [(3, 4), (2,)]), (lambda a, b: gl.concat([a, b], axis=None), [(3, 4), (2,)])])
def test_one_operation_is_recorded(function, shapes):
    def recorded(*xs):
        trace = xs[0]._node.trace
        before = trace.number
        function(*xs)
        return trace.number - before

    assert gl.dlfeval(recorded, *[gl.dlarray(drawn(*shape)) for shape in shapes]) == 1


@pytest.mark.parametrize("shapes", [((3, 4), (4,)), ((2, 3, 4), (4,)), ((4,), (4, 3)), ((4,), (2, 4, 3)), ((4,), (4,)), ((1, 1), (1,)), ((0, 4), (4,)),
                                    ((3, 0), (0,)), ((0,), (0,))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128, torch.int64])
def test_products_with_vectors(shapes, dtype):
    a, b = (drawn(*s, dtype=dtype) if dtype is not torch.int64 else torch.arange(int(np.prod(s))).reshape(s) for s in shapes)
    expected = torch.matmul(a, b)
    found = gl.matmul(gl.dlarray(a), gl.dlarray(b))
    torch.testing.assert_close(found._value, expected)
    torch.testing.assert_close(gl.matmul(a, b), expected)
    if dtype is torch.int64:
        return
    w = drawn(*expected.shape, dtype=dtype)
    leaves = [t.clone().requires_grad_() for t in (a, b)]
    product = torch.matmul(*leaves) * w.conj()
    rivals = torch.autograd.grad(product.real.sum() if dtype.is_complex else product.sum(), leaves)

    def gradients(a, b, recorded):
        y = gl.matmul(a, b) * gl.dlarray(w.conj())
        return gl.dlgradient(gl.sum(gl.real(y) if dtype.is_complex else y), a, b, enable_higher_derivatives=recorded)

    for recorded in (False, True):
        for g, rival in zip(gl.dlfeval(gradients, gl.dlarray(a), gl.dlarray(b), recorded), rivals, strict=True):
            torch.testing.assert_close(g._value.resolve_conj(), rival.resolve_conj())


def test_the_hessian_of_a_product_with_one_vector_for_all_matrices():
    a, b = drawn(5, 2, 3), drawn(3)

    def f(b):
        return gl.sum(gl.sin(gl.matmul(gl.dlarray(a), b)) ** 2)

    H = gl.hessian(f)(gl.dlarray(b))
    torch.testing.assert_close(H._value, torch.autograd.functional.hessian(lambda b: ((a @ b).sin() ** 2).sum(), b))


def test_the_jacobian_of_a_matrix_times_a_vector_keeps_its_structure():
    w, x = drawn(6, 5), drawn(5)
    by_matrix = gl.dlfeval(lambda w: gl.dljacobian(gl.tanh(gl.matmul(w, gl.dlarray(x))), w), gl.dlarray(w))
    dense = torch.autograd.functional.jacobian(lambda w: (w @ x).tanh(), w)
    torch.testing.assert_close(by_matrix.dense()._value, dense)
    assert by_matrix.nbytes < dense.nbytes // 2
    by_vector = gl.dlfeval(lambda x: gl.dljacobian(gl.tanh(gl.matmul(gl.dlarray(w), x)), x), gl.dlarray(x))
    torch.testing.assert_close(by_vector.dense()._value, torch.autograd.functional.jacobian(lambda x: (w @ x).tanh(), x))


@pytest.mark.parametrize("read", [lambda x, k: x[k], lambda x, k: x[k, k], lambda x, k: gl.take(x, k, axis=0), lambda x, k: x[k.reshape(2, 1)],
                                  lambda x, k: x[k, :1]])
@pytest.mark.parametrize("kind", ["tensor", "numpy"])
def test_positions_that_change_afterwards_change_nothing(read, kind):
    k = torch.tensor([2, 0]) if kind == "tensor" else np.array([2, 0])
    x = gl.dlarray(drawn(3, 3))

    def gradient(x):
        y = gl.sum(read(x, k) ** 2)
        k[:] = 1
        return gl.dlgradient(y, x)

    found = gl.dlfeval(gradient, x)
    k[0], k[1] = 2, 0
    expected = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(read(x, k) ** 2), x), x)
    assert gl.array_equal(found, expected) and float(gl.sum(gl.abs(found))) > 0


@pytest.mark.parametrize("read", [lambda x: x[[0, 3], [0, 0]], lambda x: x[[0, 1], [0, -5]], lambda x: x[3, 0], lambda x: x[0:2, -5], lambda x: x[[0, 3]]])
@pytest.mark.parametrize("traced", [False, True])
def test_out_of_range_is_refused(read, traced):
    x = gl.zeros((3, 4))
    with pytest.raises(IndexError, match="out of range for axis .* of 3 x 4, at test_moves"):
        gl.dlfeval(read, x) if traced else read(x)


def test_an_infinite_sample_at_an_end():
    assert gl.trapz(gl.dlarray([float("inf"), 1.0, 2.0])).item() == float("inf")
    assert gl.trapz(gl.dlarray([1, 2, 4], dtype="int64")).item() == 4.5
    assert gl.trapz(gl.dlarray([1.5e308, 1.0, 1.5e308])).item() == 1.5e308  # the ends are not added first


def test_writes_of_a_part_by_slices_are_refused_where_they_do_not_fit():
    x = gl.zeros((3, 4))
    with pytest.raises(gl.ShapeError, match=r"values of shape 3 do not fit the place 2 x 4"):
        x[0:2] = gl.ones(3)
    with pytest.raises(IndexError, match="index 3 is out of range for axis 0 of 3 x 4"):
        x[3, 1:] = 1.0
    assert gl.array_equal(x, gl.zeros((3, 4)))
    x[:2, ::2] = [5.0, 6.0]
    assert gl.array_equal(x, np.array([[5.0, 0, 6, 0], [5, 0, 6, 0], [0, 0, 0, 0]]))


@pytest.mark.parametrize("made", [lambda i: i, torch.from_numpy])
@pytest.mark.parametrize("read", [
    lambda x, i: gl.take(x, i[:, 0], axis=0), lambda x, i: x[i[:, 0]], lambda x, i: x[i], lambda x, i: x[i, i], lambda x, i: gl.take_along_axis(x, i, axis=0)])
def test_positions_that_change_afterwards(read, made):
    """A gradient is that of what was read, whatever the caller does to the positions since."""
    def fun(x):
        i = made(np.array([[2, 1, 2], [0, 1, 2]]))
        y = read(x, i)
        weighted = gl.sum(y * np.arange(1.0, 1 + y.size).reshape(y.shape))
        before = gl.dlgradient(weighted, x, retain_data=True)
        i[...] = 0
        return before, gl.dlgradient(weighted, x)

    before, after = gl.dlfeval(fun, gl.dlarray(np.arange(9.0).reshape(3, 3)))
    np.testing.assert_array_equal(gl.extractdata(after), gl.extractdata(before))
