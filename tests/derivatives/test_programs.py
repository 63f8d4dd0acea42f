"""Random programs of reads, writes, products and reductions, with derivatives taken on the way, against torch."""
import numpy as np
import pytest
import torch

import gradloom as gl


class Both:
    """One array in both libraries; the sizes are large enough for a walk to drop what it has used."""

    def __init__(self, ours, its):
        self.ours, self.its = ours, its


def step(rng, pool):
    """One random operation on arrays of the pool; the result goes into the pool, writes replace."""
    a, b = pool[rng.integers(len(pool))], pool[rng.integers(len(pool))]
    i, j = sorted(int(n) for n in rng.integers(0, 20, size=2))
    kind = rng.integers(14)
    if kind == 0:
        pool.append(Both(a.ours * b.ours, a.its * b.its))
    elif kind == 1:
        pool.append(Both(a.ours + b.ours * 0.5, a.its + b.its * 0.5))
    elif kind == 2:
        pool.append(Both(gl.tanh(a.ours), torch.tanh(a.its)))
    elif kind == 3:
        pool.append(Both(gl.tanh(a.ours @ b.ours / 20), torch.tanh(a.its @ b.its / 20)))
    elif kind == 4:
        pool.append(Both(a.ours.T, a.its.T))
    elif kind == 5:
        pool.append(Both(a.ours.copy(), a.its))
    elif kind == 6:
        pool.append(Both(gl.concat([a.ours[i:], b.ours[:i]]), torch.cat([a.its[i:], b.its[:i]])))
    elif kind == 7:
        axis = int(rng.integers(2))
        pool.append(Both(a.ours - gl.mean(b.ours, axis=axis, keepdims=True), a.its - b.its.mean(axis, keepdim=True)))
    elif kind == 8:
        pool.append(Both(gl.where(a.ours > 0, b.ours, a.ours * 2), torch.where(a.its > 0, b.its, a.its * 2)))
    elif kind == 9:
        order = rng.integers(0, 20, size=20)
        pool.append(Both(a.ours[order], a.its[torch.tensor(order)]))
    elif kind == 10:  # an element, in a loop
        for k in range(3):
            a.ours[k, j] = a.ours[k + 1, i] * b.ours[k, k]
            value = a.its[k + 1, i] * b.its[k, k]
            a.its = a.its.clone()
            a.its[k, j] = value
    elif kind == 11:  # a slice
        value, its = (b.ours[i:j + 1] * 0.7, b.its[i:j + 1] * 0.7)
        a.ours[i:j + 1] = value
        a.its = a.its.clone()
        a.its[i:j + 1] = its
    elif kind == 12:  # positions, some of them twice
        rows = rng.integers(0, 20, size=5)
        value, its = b.ours[:5], b.its[:5]
        a.ours[rows] = value
        a.its = a.its.clone()
        for k, row in enumerate(rows):
            a.its[row] = its[k]
    else:  # a column of a transposed view of itself
        a.ours[:, i] = a.ours.T[:, j]
        column = a.its.T[:, j].clone()
        a.its = a.its.clone()
        a.its[:, i] = column


@pytest.mark.parametrize("seed", range(25))
def test_random_programs(seed):
    rng = np.random.default_rng(seed)
    starts = [rng.normal(size=(20, 20)) for _ in range(3)]
    checked = []

    def fun(*xs):
        variables = [torch.tensor(a, requires_grad=True) for a in starts]
        pool = [Both(x.copy(), v) for x, v in zip(xs, variables)]
        for k in range(30):
            step(rng, pool)
            del pool[:-8]
            if k % 7 == 6:
                y = pool[rng.integers(len(pool))]
                weights = rng.normal(size=(20, 20))
                options = [{}, {"retain_data": True}, {"enable_higher_derivatives": True}][rng.integers(3)]
                ours = gl.dlgradient(gl.sum(y.ours * weights), *xs, **options)
                its = torch.autograd.grad((y.its * torch.tensor(weights)).sum(), variables, retain_graph=True, materialize_grads=True)
                assert np.allclose(gl.extractdata(y.ours), y.its.detach(), rtol=1e-9)
                for g, expected in zip(ours, its, strict=True):
                    scale = float(expected.abs().max()) + 1
                    assert np.allclose(gl.extractdata(g) / scale, expected / scale, atol=1e-9), (seed, k)
                checked.append(k)
                if options.get("enable_higher_derivatives"):
                    second = gl.dlgradient(gl.sum(ours[0] ** 2), *xs, retain_data=True)
                    create, = torch.autograd.grad((y.its * torch.tensor(weights)).sum(), variables[0], create_graph=True, materialize_grads=True)
                    if create.requires_grad:
                        expected = torch.autograd.grad((create ** 2).sum(), variables, retain_graph=True, materialize_grads=True)
                        for g, e in zip(second, expected, strict=True):
                            scale = float(e.abs().max()) + 1
                            assert np.allclose(gl.extractdata(g) / scale, e / scale, atol=1e-8), (seed, k)
                    else:
                        assert all((gl.extractdata(g) == 0).all() for g in second)
        return pool[-1].ours

    gl.dlfeval(fun, *map(gl.dlarray, starts))
    assert len(checked) == 4
    for x, a in zip(map(gl.dlarray, starts), starts):
        assert np.array_equal(x, a)
