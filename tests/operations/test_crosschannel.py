"""Cross-channel normalization against its formula written out, and against torch where the windows are the same."""

import pytest
import torch
import torch.nn.functional as F
from helpers import normal, within

import gradloom as gl
from gradloom.core.errors import LabelError, ShapeError, TypeRefused
from gradloom.core.tables import OPERATIONS
from gradloom.derivatives.words.evaluate import dlfeval, dlgradient

close = within(1e-12)

OPTIONS = {"alpha": 0.5, "beta": 0.6, "k": 1.5}


def formula(x, size, alpha=1e-4, beta=0.75, k=2.0):
    """Of (batch, channels, ...), channel by channel."""
    n = x.shape[1]
    sums = [x[:, max(c - (size - 1) // 2, 0):min(c + size // 2 + 1, n)].square().sum(1) for c in range(n)]
    return x / (k + alpha / size * torch.stack(sums, 1)) ** beta


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("layout", ["BCSS", "SSCB", "CBSS", "BSSC"])
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["defaults", "options"])
def test_values_and_gradients(size, layout, options):
    x, weight = 3 * normal(2, 4, 3, 2), normal(2, 4, 3, 2)
    theirs = x.clone().requires_grad_()
    y = formula(theirs, size, **options)
    (first,) = torch.autograd.grad((y * weight).sum(), theirs, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), theirs)
    seen = [k for k, letter in enumerate("BCSS") if letter != "S"], [2, 3]
    spatial = iter(seen[1])
    order = [next(spatial) if letter == "S" else "BC".index(letter) for letter in layout]
    put = lambda a: a.detach().permute(order).clone()

    def ours(x):
        y = gl.crosschannelnorm(x, size, **options)
        raw = dlgradient(gl.sum(y * gl.dlarray(put(weight))), x)
        g = dlgradient(gl.sum(y * gl.dlarray(put(weight))), x, enable_higher_derivatives=True)
        return y, raw, g, dlgradient(gl.sum(g * g), x)

    found = dlfeval(ours, gl.dlarray(put(x), layout))
    assert found[0].dims == layout
    for a, b in zip(found, (y, first, first, second), strict=True):
        close(a, put(b), 1e-10)
    close(gl.crosschannelnorm(put(x), size, data_format=layout, **options), put(y))


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_torch_agrees_in_odd_windows(size):
    x = normal(2, 6, 3, 2)
    close(gl.crosschannelnorm(x, size, data_format="BCSS", **OPTIONS), F.local_response_norm(x, size, **OPTIONS))


def test_degenerate_points():
    zero = gl.dlarray(torch.zeros(3, 2), "CB")
    y, g = dlfeval(lambda x: ((y := gl.crosschannelnorm(x, 3)), dlgradient(gl.sum(y), x)), zero)
    close(y, torch.zeros(3, 2))
    close(g, torch.full((3, 2), 2 ** -0.75))
    large = gl.dlarray([[1e4], [-1e4]], "CB")
    close(gl.crosschannelnorm(large, 1, alpha=1.0, beta=0.5, k=1.0), [[1.0], [-1.0]], 1e-8)
    assert gl.crosschannelnorm(gl.zeros((3, 0), "CB"), 5).shape == (3, 0)
    assert gl.crosschannelnorm(gl.zeros((0, 2), "CB"), 5).shape == (0, 2)
    assert gl.crosschannelnorm(gl.dlarray([[1, 2]], "CB", dtype="int64"), 1).dtype is torch.float64
    assert gl.crosschannelnorm(gl.ones((2, 2), "CB", dtype="float32"), 1).dtype is torch.float32


def test_a_planted_mistake_is_caught(monkeypatch):
    pull = OPERATIONS["crosschannelnorm"].fused_pull
    rule = pull.call
    monkeypatch.setattr(pull, "call", lambda *a: rule(*a) * 1.001)
    with pytest.raises(AssertionError):
        test_values_and_gradients(3, "BCSS", {})


def test_messages():
    x = gl.ones((3, 2), "CB")
    for wrong, kind, message in [
        (lambda: gl.crosschannelnorm(x, 0), ShapeError, "window_size is 0.*at least 1"),
        (lambda: gl.crosschannelnorm(x, 2.5), TypeRefused, "number of channels, not 2.5"),
        (lambda: gl.crosschannelnorm(x, 3, k=0), ShapeError, r"k above 0.*k=0.*write k=2"),
        (lambda: gl.crosschannelnorm(x, 3, alpha=-1), ShapeError, "alpha=-1"),
        (lambda: gl.crosschannelnorm(gl.ones((3, 2), "SB"), 3), LabelError, r"needs an axis C, x is 3\(S\) x 2\(B\)"),
        (lambda: gl.crosschannelnorm(gl.ones((3, 2)), 3), LabelError, "data_format="),
        (lambda: gl.crosschannelnorm(x * 1j, 3), TypeRefused, r"real numbers.*crosschannelnorm\(real\(x\)"),
    ]:
        with pytest.raises(kind, match=message) as caught:
            wrong()
        assert "test_crosschannel.py" in str(caught.value)
