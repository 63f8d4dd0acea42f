"""Products of structured Jacobians against the products of their matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.blocks.block import identity
from gradloom.blocks.compose import composed, row_products
from gradloom.blocks.dense import dense
from gradloom.derivatives.walks.push import push


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def conv(x, w, **options):
    return gl.relu(gl.dlconv(x, w, np.zeros(w.shape[0]), data_format="BCSS", **options))


FUNCTIONS = {
    "dense layers": (lambda w, v, x: gl.tanh(gl.tanh(x @ w) @ v), (5, 6), (6, 3), (7, 5)),
    "softmax": (lambda w, x: gl.softmax(x @ w, axis=-1), (5, 6), (7, 5)),
    "convolutions": (lambda w, v, x: conv(conv(x, w, padding="same"), v, padding="same"), (3, 2, 3, 3), (4, 3, 3, 3), (2, 2, 6, 6)),
    "pooling": (lambda w, x: gl.maxpool(conv(x, w, padding="same"), 2, stride=2, data_format="BCSS"), (3, 2, 3, 3), (2, 2, 6, 6)),
    "a sum of everything": (lambda w, x: gl.sum(conv(x, w) ** 2, axis=(1, 2, 3)), (3, 2, 3, 3), (2, 2, 6, 6)),
    "flattened": (lambda w, v, x: gl.reshape(conv(x, w), (2, -1)) @ v, (3, 2, 3, 3), (48, 4), (2, 2, 6, 6)),
    "layernorm": (lambda w, x: gl.layernorm(x @ w, np.zeros(6), np.ones(6), data_format="BC"), (5, 6), (7, 5)),
    "regrouped": (lambda x: gl.reshape(gl.sin(gl.reshape(x, (6, 4))), (3, 8)), (2, 3, 4)),
    "slices": (lambda x: gl.concat([x[1:3] * x[0:2], gl.flip(x, axis=0)], axis=0), (4, 3)),
    "stretched": (lambda x: x[:, 0:1] + gl.sum(x, axis=0), (4, 3)),
    "repeated": (lambda x: x[[0, 2, 2, 1]] * 2, (4, 3)),
    "one with itself": (lambda x: x[:, None] * x[None, :], (4,)),
    "a number": (lambda x: gl.sum(x**2), (4, 3)),
    "of size 1": (lambda w, x: gl.tanh(x @ w), (3, 1), (1, 3)),
    "a permutation": (lambda x: gl.permute_dims(x**2, (1, 0)), (4, 3)),
    "an outer product, regrouped across its axes": (lambda x: gl.reshape(gl.reshape(x, (6, 1)) * gl.reshape(x, (1, 6)), (2, 18)), (2, 1, 3)),
    "a padded row": (lambda x: gl.pad(x**2, ((1, 0), (0, 2))), (2, 3)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_of_blocks_are_products_of_matrices(name):
    function, *shapes = FUNCTIONS[name]

    def run(*xs):
        u = function(*xs)
        blocks = [push([u._node], {x._node: identity(x.shape, x.dtype, "cpu")})[0] for x in xs]
        for x, block in zip(xs, blocks, strict=True):
            J = dense(block).reshape(u.size, x.size)
            for found, expected in [
                (dense(composed(block, block.transposed())).reshape(u.size, u.size), J @ J.T),
                (dense(composed(block.transposed(), block)).reshape(x.size, x.size), J.T @ J),
                (row_products(block, block).reshape(-1), (J * J).sum(1)),
                (row_products(block.transposed(), block.transposed()).reshape(-1), (J * J).sum(0)),
            ]:
                torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        return u

    gl.dlfeval(run, *[gl.dlarray(draw(*s)) for s in shapes])


def test_a_chain_of_two_functions_composes():
    """u(h(x)): d u / d h after d h / d x."""

    def run(w, v):
        h = gl.tanh(gl.dlarray(draw(7, 5)) @ w)
        u = gl.softmax(h @ v, axis=-1)
        eye = [identity(n.shape, n.dtype, "cpu") for n in (h, w)]
        first, second = push([u._node], {h._node: eye[0]})[0], push([h._node], {w._node: eye[1]})[0]
        whole = push([u._node], {w._node: eye[1]})[0]
        torch.testing.assert_close(dense(composed(first, second)), dense(whole), rtol=1e-12, atol=1e-12)
        return u

    gl.dlfeval(run, gl.dlarray(draw(5, 6)), gl.dlarray(draw(6, 4)))


def test_complex_jacobians_compose_with_their_conjugate_parts():
    def run(z):
        h = z * gl.conj(z) * z
        u = gl.conj(h * h)
        parts = [push([b._node], {a._node: identity(a.shape, a.dtype, "cpu")})[0] for a, b in ((h, u), (z, h), (z, u))]
        found = composed(parts[0], parts[1])
        for conjugate in (False, True):
            torch.testing.assert_close(dense(found, conjugate=conjugate), dense(parts[2], conjugate=conjugate))
        return u

    gl.dlfeval(run, gl.dlarray(draw(3) + 1j * draw(3)))
