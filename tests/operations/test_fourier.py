"""Fourier transforms against torch: values, gradients, sizes, norms, labels, errors."""
import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl
from gradloom.core.tables import OPERATIONS

RNG = stream(0)
REAL = RNG.standard_normal((3, 6, 5))
COMPLEX = REAL + 1j * RNG.standard_normal((3, 6, 5))
NORMS = ("backward", "ortho", "forward")


def both(name, x, **options):
    """The transform and its gradient, here and in torch."""
    theirs = {"axis": "dim", "axes": "dim"}
    t = torch.tensor(x, requires_grad=True)
    u = getattr(torch.fft, name)(t, **{theirs.get(k, k): v for k, v in options.items()})
    w = torch.tensor(RNG.standard_normal(u.shape) + (1j * RNG.standard_normal(u.shape) if u.is_complex() else 0))
    (expected,) = torch.autograd.grad((w * u).sum().real, t)

    def run(x):
        y = getattr(gl.fft, name)(x, **options)
        part = gl.sum(y * w.numpy())
        return y, gl.dlgradient(gl.real(part) if part.dtype.is_complex else part, x)

    y, g = gl.dlfeval(run, gl.dlarray(x))
    np.testing.assert_allclose(y, u.detach().resolve_conj(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(g, expected.resolve_conj(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 1, 2, 4, 5, 7, 8])
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize(("name", "x"), [("fft", REAL), ("fft", COMPLEX), ("ifft", COMPLEX), ("ifft", REAL), ("rfft", REAL), ("irfft", COMPLEX), ("irfft", REAL),
                                         ("hfft", COMPLEX), ("ihfft", REAL)])
def test_along_one_axis(name, x, axis, n, norm):
    both(name, x, axis=axis, n=n, norm=norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("options", [{}, {"axes": (0, -1)}, {"s": (4, 7)}, {"s": (2, 8), "axes": (2, 0)}, {"s": (3,), "axes": (1,)}], ids=str)
@pytest.mark.parametrize(("name", "x"), [("fftn", REAL), ("fftn", COMPLEX), ("ifftn", COMPLEX), ("rfftn", REAL), ("irfftn", COMPLEX)])
def test_along_several_axes(name, x, options, norm):
    if "s" in options and "axes" not in options:
        both(name, x, **options, axes=(-2, -1), norm=norm)
        np.testing.assert_allclose(getattr(gl, name)(x, **options), getattr(gl, name)(x, **options, axes=(-2, -1)))
    else:
        both(name, x, **options, norm=norm)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_frequencies(n):
    for ours, theirs in ((gl.fft.fftfreq, np.fft.fftfreq), (gl.fft.rfftfreq, np.fft.rfftfreq)):
        np.testing.assert_allclose(ours(n, d=0.25), theirs(n, 0.25), rtol=1e-15)
        assert ours(n, dtype="float32").dtype is torch.float32
    x = RNG.standard_normal((n, 4))
    for axes in (None, 0, (0, 1), [1]):
        np.testing.assert_array_equal(gl.fftshift(x, axes=axes), np.fft.fftshift(x, axes))
        np.testing.assert_array_equal(gl.ifftshift(x, axes=axes), np.fft.ifftshift(x, axes))
    assert gl.check_derivatives(gl.fftshift, gl.dlarray(x)).ok


def test_labels():
    x = gl.dlarray(RNG.standard_normal((2, 4, 6)), "BSS")
    y = gl.fft(x, axis="S")
    assert y.dims == "BSS"
    np.testing.assert_allclose(y, np.fft.fftn(x, axes=(1, 2)), atol=1e-12)
    assert gl.rfft(x, axis="B").shape == (2, 4, 6) and gl.rfftn(x, axes="S").shape == (2, 4, 4) and gl.irfftn(gl.rfftn(x, axes="S"), axes="S").dims == "BSS"
    np.testing.assert_allclose(gl.fft(gl.fftshift(x, axes="S"), axis="S", n=8), np.fft.fftn(np.fft.fftshift(x, axes=(1, 2)), s=(8, 8), axes=(1, 2)), atol=1e-12)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.abs(gl.fft(x, axis="S")) ** 2), x), x)
    assert g.dims == "BSS"
    np.testing.assert_allclose(g, 2 * 24 * np.asarray(x), rtol=1e-12)  # Parseval


def test_types():
    assert gl.fft(np.ones(3, dtype="float32")).dtype is torch.complex64 and gl.irfft(np.ones(3, dtype="complex64")).dtype is torch.float32
    assert gl.fft([1, 2, 3]).dtype is torch.complex128 and type(gl.fft(torch.ones(3))) is torch.Tensor
    assert gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.abs(gl.rfft(x))), x), gl.dlarray(np.ones(3, dtype="float32"))).dtype is torch.float32
    assert gl.fft(np.ones((0, 3))).shape == gl.ifft(np.ones((0, 3))).shape == (0, 3) and gl.rfft(np.ones((0, 3))).shape == (0, 2)
    assert gl.irfft(np.ones((0, 3))).shape == (0, 4)


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: gl.fft(REAL, norm="half"), gl.ShapeError, 'norm is "backward", "ortho" or "forward", not \'half\''),
    (lambda: gl.rfft(COMPLEX), gl.TypeRefused, r"rfft takes real numbers, x is complex128, at test_fourier.py.*fft\(x\), or real\(x\)"),
    (lambda: gl.fft(REAL, n=0), gl.ShapeError, "at least one"),
    (lambda: gl.fft(np.ones((2, 0))), gl.ShapeError, "fft over 0 elements"),
    (lambda: gl.irfft(np.ones(1)), gl.ShapeError, "write n=1"),
    (lambda: gl.fftn(REAL, s=(2, 2), axes=(0,)), gl.ShapeError, "2 sizes for 1 axes"),
    (lambda: gl.fft(gl.dlarray(1.0)), gl.GradloomError, "axis|axes"),
    (lambda: gl.fft(REAL, dim=0), gl.TypeRefused, "write fft.*axis=0"),
    (lambda: gl.fft(np.ones(3, dtype="float16")), gl.TypeRefused, "half precision"),
])
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("function", [gl.fft, gl.rfft, lambda x: gl.irfft(x, n=5), lambda x: gl.irfft(x, n=4), gl.ihfft, lambda x: gl.hfft(x + 0j)])
def test_every_walk(function):
    assert gl.check_derivatives(lambda x: function(x) * gl.sum(x * x), gl.dlarray(RNG.standard_normal((2, 3))), order=2).ok


def test_structured_jacobians_keep_the_other_axes():
    x = gl.dlarray(RNG.standard_normal((50, 4)))
    assert gl.dlfeval(lambda x: gl.dljacobian(gl.rfft(x), x).nbytes, x) < 3000
    J = gl.dlfeval(lambda x: gl.dljacobian(gl.irfft(gl.rfft(x) * 2.0), x), x)
    np.testing.assert_allclose(J.matrix(), 2 * np.eye(200), atol=1e-12)


def test_the_family_and_its_name():
    assert gl.fft.fft is gl.fft and gl.fft.ifft is gl.ifft
    for name in ("fft", "ifft", "fftn", "ifftn", "rfft", "irfft", "rfftn", "irfftn", "hfft", "ihfft", "fftfreq", "rfftfreq", "fftshift", "ifftshift"):
        assert getattr(gl.fft, name) is getattr(gl, name)


def test_a_wrong_weight_is_found(monkeypatch):
    """A transpose without the weights of the half spectrum."""
    from gradloom.operations.fourier import transforms as fourier

    monkeypatch.setattr(fourier, "_weighted", lambda x, n, middle, axis: x)
    failures = gl.check_derivatives(gl.rfft, gl.dlarray(REAL), raises=False).failures
    assert {c.walk for c in failures} == {"pull", "transpose"} and "rfft" in OPERATIONS
