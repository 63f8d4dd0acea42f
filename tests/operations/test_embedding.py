"""embed against indexing of its weights."""

import numpy as np
import pytest
import torch

import gradloom as gl

WEIGHTS = torch.arange(12, dtype=torch.float64).reshape(4, 3) ** 2


@pytest.mark.parametrize(("labels", "shape", "expected"), [
    ("T", (5,), "TC"), ("BT", (2, 5), "BTC"), ("SSB", (2, 1, 3), "SSBC"), ("B", (0,), "BC"), ("BCT", (2, 1, 3), "BCT"), ("CB", (1, 3), "CB")])
def test_rows_of_the_weights_along_c(labels, shape, expected):
    x = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(0))
    rows = WEIGHTS[x]
    if "C" in labels:
        rows = rows.movedim(-1, labels.index("C")).squeeze(labels.index("C") + 1)
    y = gl.embed(gl.dlarray(x, labels), WEIGHTS)
    assert y.dims == expected
    torch.testing.assert_close(y._value, rows, rtol=0, atol=0)
    for found in (gl.embed(gl.dlarray(x), gl.dlarray(WEIGHTS), data_format=labels), gl.embed(x.numpy(), WEIGHTS.numpy(), data_format=labels)):
        assert found.dims == ""
        torch.testing.assert_close(found._value, rows, rtol=0, atol=0)
    assert isinstance(gl.embed(x, WEIGHTS, data_format=labels), torch.Tensor)


def test_scalars_lists_and_whole_floats_are_indices():
    assert gl.embed(2, WEIGHTS).tolist() == WEIGHTS[2].tolist()
    assert gl.embed([3, 0], WEIGHTS).tolist() == WEIGHTS[[3, 0]].tolist()
    assert gl.embed(gl.dlarray([3.0, 0.0]), WEIGHTS).tolist() == WEIGHTS[[3, 0]].tolist()


def test_repeated_indices_add_up():
    x = gl.dlarray([[1, 1, 3], [1, 0, 3]], "BT", dtype="int64")
    factor = gl.dlarray(torch.rand(2, 3, 3, dtype=torch.float64))
    found, second, pushed = gl.dlfeval(lambda w: _derivatives(x, w, factor), gl.dlarray(WEIGHTS))
    expected = torch.zeros(4, 3, dtype=torch.float64)
    for b, t in np.ndindex(2, 3):
        expected[int(x[b, t])] += factor._value[b, t]
    torch.testing.assert_close(found._value, expected)
    torch.testing.assert_close(second._value, 2 * torch.tensor([1.0, 3, 0, 2], dtype=torch.float64)[:, None].expand(4, 3))
    torch.testing.assert_close(pushed._value, torch.ones(2, 3, 3, dtype=torch.float64))


def _derivatives(x, w, factor):
    y = gl.embed(x, w)
    g = gl.dlgradient(gl.sum(y * y), w, enable_higher_derivatives=True)
    return gl.dlgradient(gl.sum(y * factor), w), gl.dlgradient(gl.sum(g), w), gl.jvp(y, w, gl.ones((4, 3)))


def test_the_jacobian_is_a_selector():
    x = gl.dlarray([2, 0, 2], "T", dtype="int64")
    J = gl.dlfeval(lambda w: gl.dljacobian(gl.embed(x, w), w), gl.dlarray(WEIGHTS))
    expected = torch.zeros(3, 3, 4, 3)
    for t, row in enumerate([2, 0, 2]):
        expected[t, torch.arange(3), row, torch.arange(3)] = 1
    np.testing.assert_array_equal(J.dense(), expected)
    assert J.nbytes < J.dense_nbytes / 4


def test_bad_indices_are_named():
    with pytest.raises(gl.ShapeError, match=r"index 4 at \(1, 0\) is not in 0 to 3.*count from 0"):
        gl.embed(gl.dlarray([[0, 1], [4, 9]], "BT", dtype="int64"), WEIGHTS)
    with pytest.raises(gl.ShapeError, match=r"index -1 at \(2,\)"):
        gl.embed([0, 1, -1], WEIGHTS)
    with pytest.raises(gl.ShapeError, match="index 0 given is not in 0 to -1"):
        gl.embed(0, torch.zeros(0, 3))
    with pytest.raises(gl.TypeRefused, match=r"0\.5 at \(1,\)"):
        gl.embed([1.0, 0.5], WEIGHTS)
    with pytest.raises(gl.TypeRefused, match="not bool"):
        gl.embed(np.array([True]), WEIGHTS)
    with pytest.raises(gl.ShapeError, match=r"\(vocabulary, embedding\)"):
        gl.embed([0], WEIGHTS[0])
    with pytest.raises(gl.LabelError, match=r"2\(C\) x 3\(B\) has some"):
        gl.embed(gl.dlarray(np.zeros((2, 3)), "CB"), WEIGHTS)
    with pytest.raises(gl.LabelError, match="contradicts"):
        gl.embed(gl.dlarray([0], "T"), WEIGHTS, data_format="B")
