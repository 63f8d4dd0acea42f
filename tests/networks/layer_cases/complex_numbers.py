"""Layers of complex numbers, and of Fourier coefficients, against torch's functions."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def connected(x, p, training):
    return x.to(torch.complex128) @ p["weights"].T + p["bias"]


def relu(x, p, training):
    return torch.complex(x.real.relu(), x.imag.relu())


def quarter(x, p, training):
    return torch.where((x.real >= 0) & (x.imag >= 0), x, 0)


def in_turn(x, p, training):
    return torch.stack([x.real, x.imag], 3).flatten(2, 3)


def spectral(modes):
    """The Fourier layer of Li et al. 2021: corner after corner of the coefficients."""
    def equivalent(x, p, training):
        n = len(modes)
        axes = list(range(-n, 0))
        f, w = torch.fft.rfftn(x, dim=axes), p["weights"]
        out = torch.zeros(len(x), w.shape[0], *f.shape[2:], dtype=f.dtype)
        corners = [[]]
        for m in modes[:-1]:
            corners = [[*c, s] for c in corners for s in (slice(0, m), slice(-m, None))]
        for c in corners:
            k = (slice(None), slice(None), *c, slice(0, modes[-1]))
            out[k] = torch.stack([(f[k] * w[o][(None, slice(None), *c, slice(0, modes[-1]))]).sum(1) for o in range(len(w))], 1)
        return torch.fft.irfftn(out, s=x.shape[2:], dim=axes)
    return equivalent


CASES = {
    "ComplexFullyConnected": [case(L.ComplexFullyConnected(2), given("BC", 2, 3, kind="complex"), equivalent=connected),
                              case(L.ComplexFullyConnected(2), given("BC", 2, 3), equivalent=connected)],
    "ComplexReLU": [case(L.ComplexReLU(), given("BC", 3, 2, kind="complex"), equivalent=relu),
                    case(L.ComplexReLU(), given("BC", 3, 2), equivalent=lambda x, p, training: x.relu())],
    "ZReLU": [case(L.ZReLU(), given("BC", 3, 4, kind="complex"), equivalent=quarter), case(L.ZReLU(), given("BC", 3, 2), equivalent=lambda x, p, training: x.relu())],
    "ComplexToReal": [case(L.ComplexToReal(), given("BC", 3, 2, kind="complex"), equivalent=lambda x, p, training: torch.view_as_real(x).flatten(1)),
                      case(L.ComplexToReal(operation_dimension="S"), given("BCSS", 2, 1, 3, 2, kind="complex"), equivalent=in_turn),
                      case(L.ComplexToReal(), given("BC", 2, 2), equivalent=lambda x, p, training: torch.stack([x, 0 * x], 2).flatten(1))],
    "RealToComplex": [case(L.RealToComplex(), given("BC", 3, 4), equivalent=lambda x, p, training: torch.complex(x[:, ::2], x[:, 1::2])),
                      case(L.RealToComplex(operation_dimension="T"), given("BTC", 2, 6, 2), equivalent=lambda x, p, training: torch.complex(x[:, ::2], x[:, 1::2]))],
    "SpectralConvolution1d": [case(L.SpectralConvolution1d(2, 2), given("BCS", 2, 2, 5), equivalent=spectral((2,))),
                              case(L.SpectralConvolution1d(3, 1), given("BCS", 1, 2, 6), equivalent=spectral((3,)))],
    "SpectralConvolution2d": [case(L.SpectralConvolution2d((1, 2), 2), given("BCSS", 1, 2, 3, 4), equivalent=spectral((1, 2)))],
    "SpectralConvolution3d": [case(L.SpectralConvolution3d(1, 2), given("BCSSS", 1, 1, 2, 3, 2), equivalent=spectral((1, 1, 1)))],
}
