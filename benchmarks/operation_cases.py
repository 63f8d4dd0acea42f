"""For every public operation its work on about a megabyte, in gradloom and in torch.

A case gives two functions of the same arrays: a shape stands for normal numbers, `between` for others, integer and bool
arrays and what is `fixed` are constants. The cases of elementwise functions that torch has too are made from their
declarations.
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F

import gradloom as gl
from gradloom.core.tables import PUBLIC
from gradloom.interop.torch.twins import twin

X = (512, 512)
IMAGES = (32, 32, 16, 16)
MATRICES = (64, 64, 64)


@dataclass(frozen=True)
class Case:
    """`name` is the public function's, maybe with words after it. `gradient` is False where torch has none, and says
    why."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    inputs: tuple[Any, ...]
    gradient: bool = True
    compared: tuple[bool, bool] = (True, True)  # forward, with gradient
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Fixed:
    """A floating array that is a constant."""

    value: torch.Tensor


CASES: list[Case] = []
_numbers = torch.Generator().manual_seed(0)

# Public functions without a case, and why; discrete operations have none either.
WITHOUT = {
    "makes an array from nothing": "arange asarray empty empty_like eye fftfreq from_dlpack full full_like linspace "
                                   "ones ones_like rfftfreq zeros zeros_like",
    "answers without arithmetic": "array_equal can_cast dims finddim finfo iinfo isdtype result_type rng onehotdecode "
                                  "unique_counts unique_inverse unique_values",
    "declares an operation": "elementwise general multilinear",
    "has no counterpart in torch": "dlode45 scale",
    "only rearranges labels": "stripdims",
}


def between(low: float, high: float, *shape: int) -> torch.Tensor:
    return low + (high - low) * torch.rand(shape or X, generator=_numbers)


def integers(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=_numbers)


def shares(*shape: int) -> torch.Tensor:
    """Probabilities along the last axis."""
    return torch.softmax(torch.randn(shape, generator=_numbers), -1)


def complex_numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=_numbers)


def symmetric(*shape: int) -> torch.Tensor:
    """Positive definite, with eigenvalues that keep apart whatever is drawn."""
    a = torch.randn(shape, generator=_numbers)
    return a @ a.mT / shape[-1] + torch.diag(torch.arange(1.0, 2 * shape[-1], 2))


def regular(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_numbers) / shape[-1] ** 0.5 + 2 * torch.eye(*shape[-2:])


def made(spec: Any) -> Any:
    return torch.randn(spec, generator=_numbers) if isinstance(spec, tuple) else spec


def case(name: str, ours: Callable[..., Any], theirs: Callable[..., Any], *inputs: Any, **rest: Any) -> None:
    CASES.append(Case(name, ours, theirs, inputs, **rest))


# ----- elementwise, one array: those that torch has under a name of its own have their cases below -----

UNARY: dict[str, Callable[..., Any]] = {
    "round": torch.round,
    "acot": lambda x: torch.atan(1 / x), "acoth": lambda x: torch.atanh(1 / x), "acsc": lambda x: torch.asin(1 / x),
    "acsch": lambda x: torch.asinh(1 / x), "asec": lambda x: torch.acos(1 / x), "asech": lambda x: torch.acosh(1 / x),
    "cot": lambda x: 1 / torch.tan(x), "coth": lambda x: 1 / torch.tanh(x), "csc": lambda x: 1 / torch.sin(x),
    "csch": lambda x: 1 / torch.sinh(x),
    "sec": lambda x: 1 / torch.cos(x), "sech": lambda x: 1 / torch.cosh(x), "sinpi": lambda x: torch.sin(math.pi * x),
    "cospi": lambda x: torch.cos(math.pi * x), "erfcinv": lambda x: torch.special.ndtri(x / 2) * -math.sqrt(0.5),
    "gamma": lambda x: torch.exp(torch.lgamma(x)), "gelu": F.gelu, "elu": F.elu, "leakyrelu": F.leaky_relu,
    "softplus": F.softplus,
}
for word, function in UNARY.items():
    case(word, getattr(gl, word), function, between(*getattr(gl, word).operation.domain))
case("gelu tanh", lambda x: gl.gelu(x, approximation="tanh"), lambda x: F.gelu(x, approximate="tanh"), X)
case("clip", lambda x: gl.clip(x, -0.5, 0.7), lambda x: torch.clamp(x, -0.5, 0.7), X)
case("erfcx", gl.erfcx, torch.special.erfcx, between(-1, 5), gradient=False)
case("polygamma", lambda x: gl.polygamma(1, x), lambda x: torch.polygamma(1, x), between(0.5, 3))
case("astype", lambda x: gl.astype(x, "float64"), lambda x: x.to(torch.float64), X)
for word in ("abs", "angle", "conj", "real", "imag"):
    case(f"{word} complex" if word == "abs" else word, getattr(gl, word),
         (lambda w: lambda x: getattr(torch, w)(x).resolve_conj().clone())(word)
         if word in ("conj", "real", "imag") else getattr(torch, word), complex_numbers(256, 512))
case("dropout", lambda x: gl.dropout(x, 0.5), lambda x: torch.dropout(x, 0.5, True), X, compared=(False, False))

# ----- elementwise, several arrays -----

for word in ("add", "subtract", "multiply", "maximum", "minimum", "copysign"):
    case(word, getattr(gl, word), getattr(torch, word), X, X)
case("add row", gl.add, torch.add, X, (512,))
case("multiply row", gl.multiply, torch.multiply, X, (512,))
case("multiply column", gl.multiply, torch.multiply, X, (512, 1))
for word in ("divide", "power", "logaddexp", "hypot", "atan2", "xlogy"):
    case(word, getattr(gl, word), {"power": torch.pow}.get(word) or getattr(torch, word), between(0.5, 2),
         between(0.5, 2))
case("power number", lambda x: gl.power(x, 3.0), lambda x: torch.pow(x, 3.0), between(0.5, 2))
case("pow", gl.pow, torch.pow, between(0.5, 2), between(0.5, 2))
case("mod", gl.mod, torch.remainder, X, between(0.5, 2))
case("remainder", gl.remainder, torch.remainder, X, between(0.5, 2))
case("fmod", gl.fmod, torch.fmod, X, between(0.5, 2))
case("floor_divide", gl.floor_divide, torch.floor_divide, X, between(0.5, 2), gradient=False)
case("nextafter", gl.nextafter, torch.nextafter, X, X, gradient=False)
case("beta", gl.beta, lambda a, b: torch.exp(torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)),
     between(0.5, 3), between(0.5, 3))
case("complex", gl.complex, torch.complex, (256, 512), (256, 512))
case("where", lambda a, b, c: gl.where(c, a, b), lambda a, b, c: torch.where(c, a, b), X, X, between(-1, 1) > 0)

# ----- reductions -----

for word in ("sum", "mean", "prod", "var", "std", "norm", "logsumexp", "max", "min"):
    ours = getattr(gl, word)
    torch_word = ({"norm": torch.linalg.vector_norm, "max": torch.amax, "min": torch.amin,
                   "prod": torch.prod}.get(word) or getattr(torch, word))
    numbers = between(0.99, 1.01) if word == "prod" else X
    more = {"correction": 0} if word in ("var", "std") else {}
    for k in (0, 1):
        extreme = ((lambda f: lambda x, dim: f(x, dim)[0])(getattr(torch, word)) if word in ("max", "min")
                   else torch_word)
        case(f"{word} axis {k}", lambda x, f=ours, k=k: f(x, axis=k),
             lambda x, f=extreme, k=k, m=more: f(x, dim=k, **m), numbers)
    case(word, ours, lambda x, f=torch_word, m=more: f(x, **m) if m else f(x, (0, 1))
         if f in (torch.logsumexp, torch.amax, torch.amin) else f(x), numbers)
    if word not in ("prod", "max", "min"):
        case(f"{word} axes", lambda x, f=ours: f(x, axis=(0, 2, 3)),
             lambda x, f=torch_word, m=more: f(x, dim=(0, 2, 3), **m), IMAGES)
case("median", lambda x: gl.median(x, axis=1), lambda x: torch.median(x, 1)[0], (512, 511))
case("quantile", lambda x: gl.quantile(x, 0.3, axis=1), lambda x: torch.quantile(x, 0.3, 1), X)
case("vector_norm", lambda x: gl.vector_norm(x, axis=1, ord=3), lambda x: torch.linalg.vector_norm(x, 3, 1), X)
case("matrix_norm", gl.matrix_norm, torch.linalg.matrix_norm, MATRICES)
case("trapz", gl.trapz, torch.trapezoid, X)
case("normalize", lambda x: gl.normalize(x, axis=1), lambda x: (x - x.mean(1, True)) / x.std(1, keepdim=True), X)
case("rescale", lambda x: gl.rescale(x, axis=1), lambda x: (x - x.amin(1, True)) / (x.amax(1, True) - x.amin(1, True)),
     X)
case("vecdot", gl.vecdot, torch.linalg.vecdot, X, X)
case("trace", gl.trace, torch.trace, X)

# ----- scans, order -----

for k in (0, 1):
    case(f"cumsum axis {k}", lambda x, k=k: gl.cumsum(x, axis=k), lambda x, k=k: torch.cumsum(x, k), X)
    case(f"cumprod axis {k}", lambda x, k=k: gl.cumprod(x, axis=k), lambda x, k=k: torch.cumprod(x, k),
         between(0.95, 1.05))
    case(f"cummax axis {k}", lambda x, k=k: gl.cummax(x, axis=k), lambda x, k=k: torch.cummax(x, k)[0], X)
    case(f"cummin axis {k}", lambda x, k=k: gl.cummin(x, axis=k), lambda x, k=k: torch.cummin(x, k)[0], X)
    case(f"sort axis {k}", lambda x, k=k: gl.sort(x, axis=k), lambda x, k=k: torch.sort(x, dim=k, stable=True)[0], X)
case("cumulative_sum", lambda x: gl.cumulative_sum(x, axis=1), lambda x: torch.cumsum(x, 1), X)
case("cumulative_prod", lambda x: gl.cumulative_prod(x, axis=1), lambda x: torch.cumprod(x, 1), between(0.95, 1.05))
case("topk", lambda x: gl.topk(x, 8)[0], lambda x: torch.topk(x, 8)[0], X)
case("diff", gl.diff, torch.diff, X)

# ----- movement -----

case("reshape", lambda x: gl.reshape(x, (256, 1024)), lambda x: x.reshape(256, 1024), X)
case("flatten", gl.flatten, torch.flatten, X)
case("ravel", lambda a, b: gl.ravel([a, b])[0], lambda a, b: torch.cat([a.flatten(), b.flatten()]),
     (256, 512), (256, 512))
case("permute_dims", lambda x: gl.permute_dims(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), MATRICES)
case("transpose", gl.transpose, lambda x: x.T, X)
case("matrix_transpose", gl.matrix_transpose, lambda x: x.mT, MATRICES)
case("moveaxis", lambda x: gl.moveaxis(x, 0, 2), lambda x: torch.moveaxis(x, 0, 2), MATRICES)
case("expand_dims", lambda x: gl.expand_dims(x, axis=0), lambda x: x.unsqueeze(0), X)
case("squeeze", lambda x: gl.squeeze(x, axis=0), lambda x: x.squeeze(0), (1, 512, 512))
case("broadcast_to", lambda x: gl.broadcast_to(x, X), lambda x: x.broadcast_to(X), (512,))
case("broadcast_arrays", gl.broadcast_arrays, torch.broadcast_tensors, X, (512,))
case("meshgrid", lambda a, b: gl.meshgrid(a, b, indexing="ij"), lambda a, b: torch.meshgrid(a, b, indexing="ij"),
     (512,), (512,))
case("concat", lambda a, b: gl.concat([a, b], axis=1), lambda a, b: torch.cat([a, b], 1), (512, 256), (512, 256))
case("concat axis 0", lambda a, b: gl.concat([a, b]), lambda a, b: torch.cat([a, b]), (256, 512), (256, 512))
case("stack", lambda *a: gl.stack(a), lambda *a: torch.stack(a), *[(128, 512)] * 4)
case("stack last", lambda *a: gl.stack(a, axis=-1), lambda *a: torch.stack(a, -1), *[(128, 512)] * 4)
case("unstack", gl.unstack, torch.unbind, (8, 64, 512))
case("flip", lambda x: gl.flip(x, axis=1), lambda x: torch.flip(x, (1,)), X)
case("roll", lambda x: gl.roll(x, 5, axis=1), lambda x: torch.roll(x, 5, 1), X)
case("roll all", lambda x: gl.roll(x, 5), lambda x: torch.roll(x, 5), X)
case("tile", lambda x: gl.tile(x, (2, 2)), lambda x: torch.tile(x, (2, 2)), (256, 256))
case("repeat", lambda x: gl.repeat(x, 2, axis=1), lambda x: torch.repeat_interleave(x, 2, 1), (512, 256))
case("pad", lambda x: gl.pad(x, ((1, 2), (3, 4))), lambda x: F.pad(x, (3, 4, 1, 2)), X)
case("tril", gl.tril, torch.tril, X)
case("triu", gl.triu, torch.triu, X)
case("diag", gl.diag, torch.diag, (512,))
case("diagonal", gl.diagonal, torch.diagonal, X)
case("fftshift", gl.fftshift, torch.fft.fftshift, X)
case("ifftshift", gl.ifftshift, torch.fft.ifftshift, X)
case("take axis 0", lambda x, k: gl.take(x, k, axis=0), lambda x, k: torch.index_select(x, 0, k), X, integers(512, 512))
case("take axis 1", lambda x, k: gl.take(x, k, axis=1), lambda x, k: torch.index_select(x, 1, k), X, integers(512, 512))
case("take_along_axis", gl.take_along_axis, lambda x, k: torch.take_along_dim(x, k, -1), X, integers(512, 512, 512))
case("x[a:b]", lambda x: x[3:500, 5:], lambda x: x[3:500, 5:], X)
case("x[:, ::2]", lambda x: x[:, ::2], lambda x: x[:, ::2], X)
case("x[k]", lambda x, k: x[k], lambda x, k: x[k], X, integers(512, 512))
case("x[i, j]", lambda x, i, j: x[i, j], lambda x, i, j: x[i, j], X, integers(512, 4096), integers(512, 4096))
case("x[mask]", lambda x, m: x[m], lambda x, m: x[m], X, between(-1, 1) > 0)


def _written(x: Any, v: Any) -> Any:
    x = x.copy() if isinstance(x, gl.dlarray) else x.clone()
    x[10:200] = v
    return x


case("x[a:b] = v", _written, _written, X, (190, 512))

# ----- products -----

case("matmul", gl.matmul, torch.matmul, X, X)
case("matmul batch", gl.matmul, torch.matmul, MATRICES, MATRICES)
case("matmul vector", gl.matmul, torch.matmul, X, (512,))
case("einsum", lambda a, b: gl.einsum("bij,bjk->bik", a, b), lambda a, b: torch.einsum("bij,bjk->bik", a, b),
     MATRICES, MATRICES)
case("tensordot", lambda a, b: gl.tensordot(a, b, axes=1), lambda a, b: torch.tensordot(a, b, 1), X, X)
case("outer", gl.outer, torch.outer, (512,), (512,))
case("kron", gl.kron, torch.kron, (16, 16), (32, 32))
case("cross", gl.cross, torch.linalg.cross, (87381, 3), (87381, 3))
case("cross axis 0", lambda a, b: gl.cross(a, b, axis=0), lambda a, b: torch.linalg.cross(a, b, dim=0),
     (3, 87381), (3, 87381))
SPARSE = scipy.sparse.random_array((2048, 2048), density=0.01, format="csr", dtype=np.float32,
                                   rng=np.random.default_rng(0))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch says once that these matrices are in beta
    SPARSE_TORCH = torch.sparse_csr_tensor(*map(torch.from_numpy, (SPARSE.indptr, SPARSE.indices, SPARSE.data)),
                                           SPARSE.shape, check_invariants=False)
case("sparse_matmul", lambda x: gl.sparse_matmul(SPARSE, x), lambda x: SPARSE_TORCH @ x, (2048, 128))

# ----- linear algebra -----


def _squares(parts: Any) -> list[Any]:
    """Singular and eigenvectors have a sign that is free."""
    return [p * p for p in parts]


case("cholesky", gl.cholesky, torch.linalg.cholesky, symmetric(*MATRICES))
case("det", gl.det, torch.linalg.det, regular(*MATRICES) / 2)
case("slogdet", lambda x: gl.slogdet(x)[1], lambda x: torch.linalg.slogdet(x)[1], regular(*MATRICES))
case("inv", gl.inv, torch.linalg.inv, regular(*X))
case("inv batch", gl.inv, torch.linalg.inv, regular(*MATRICES))
case("solve", gl.solve, torch.linalg.solve, regular(*X), (512, 128))
case("solve batch", gl.solve, torch.linalg.solve, regular(*MATRICES), (64, 64, 16))
case("solve_triangular", gl.solve_triangular, lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
     regular(*X).tril(), (512, 128))
case("lstsq", gl.lstsq, lambda a, b: torch.linalg.pinv(a) @ b, (64, 128, 32), (64, 128, 4), tolerance=1e-3)
case("qr", gl.qr, torch.linalg.qr, (64, 128, 32), tolerance=1e-3)
case("svd", lambda x: _squares(gl.svd(x, full_matrices=False)),
     lambda x: _squares(torch.linalg.svd(x, full_matrices=False)), regular(64, 128, 32))
case("svdvals", gl.svdvals, torch.linalg.svdvals, regular(64, 64, 64))
case("eigh", lambda x: _squares(gl.eigh(x)), lambda x: _squares(torch.linalg.eigh(x)), symmetric(*MATRICES),
     tolerance=1e-3)
case("lu", lambda x: gl.lu(x)[1:], lambda x: torch.linalg.lu(x)[1:], regular(*MATRICES), tolerance=1e-3)
case("eig", lambda x: gl.abs(gl.eig(x).eigenvectors), lambda x: torch.linalg.eig(x).eigenvectors.abs(),
     symmetric(*MATRICES), tolerance=1e-2)
case("eigvals", lambda x: gl.real(gl.eigvals(x)), lambda x: torch.linalg.eigvals(x).real, symmetric(*MATRICES),
     tolerance=1e-3)
case("eigvalsh", gl.eigvalsh, torch.linalg.eigvalsh, symmetric(*MATRICES))
case("pinv", gl.pinv, torch.linalg.pinv, (64, 128, 32), tolerance=1e-3)
case("expm", gl.expm, torch.matrix_exp, regular(*MATRICES) / 4)
case("matrix_power", lambda x: gl.matrix_power(x, 3), lambda x: torch.linalg.matrix_power(x, 3), regular(*MATRICES))

# ----- Fourier -----

for word in ("fft", "ifft", "rfft", "ihfft", "fftn", "ifftn", "rfftn"):
    case(word, getattr(gl, word), getattr(torch.fft, word), X if word in ("rfft", "ihfft", "rfftn")
         else complex_numbers(256, 512))
for word in ("irfft", "hfft", "irfftn"):
    case(word, getattr(gl, word), getattr(torch.fft, word), complex_numbers(512, 257))

# ----- deep learning -----

SPATIAL = {"data_format": "BCSS"}
for ours, theirs in ((gl.softmax, torch.softmax), (gl.log_softmax, torch.log_softmax)):
    for k in (0, 1):
        case(f"{ours.__name__} axis {k}", lambda x, f=ours, k=k: f(x, axis=k), lambda x, f=theirs, k=k: f(x, k), X)
case("fullyconnect", lambda x, w, b: gl.fullyconnect(x, w, b, data_format="BC"), F.linear, X, (512, 512), (512,))
case("dlconv", lambda x, w, b: gl.dlconv(x, w, b, padding=1, **SPATIAL), lambda x, w, b: F.conv2d(x, w, b, padding=1),
     IMAGES, (32, 32, 3, 3), (32,))
case("dlconv channel-wise", lambda x, w, b: gl.dlconv(x, w, b, padding=1, **SPATIAL),
     lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=32),
     IMAGES, (32, 1, 3, 3), (32,))
case("dlconv 1-d", lambda x, w, b: gl.dlconv(x, w, b, data_format="BCS"), F.conv1d, (32, 32, 256), (32, 32, 5), (32,))
case("dltranspconv", lambda x, w, b: gl.dltranspconv(x, w, b, stride=2, **SPATIAL),
     lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2),
     (32, 32, 16, 16), (32, 16, 2, 2), (16,))
case("avgpool", lambda x: gl.avgpool(x, 2, stride=2, **SPATIAL), lambda x: F.avg_pool2d(x, 2), IMAGES)
case("maxpool", lambda x: gl.maxpool(x, 2, stride=2, **SPATIAL), lambda x: F.max_pool2d(x, 2), IMAGES)
_image = torch.randn(IMAGES, generator=_numbers)
_pooled, _indices, _size = gl.maxpool(gl.dlarray(_image), 2, stride=2, return_indices=True, **SPATIAL)
_torch_pooled, _torch_indices = F.max_pool2d(_image, 2, return_indices=True)
case("maxunpool", lambda y: gl.maxunpool(y, _indices, _size, **SPATIAL), lambda y: F.max_unpool2d(y, _torch_indices, 2),
     _torch_pooled)
case("batchnorm", lambda x, b, a: gl.batchnorm(x, b, a, **SPATIAL)[0],
     lambda x, b, a: F.batch_norm(x, None, None, a, b, True), IMAGES, (32,), (32,))
case("batchnorm given", lambda x, b, a, m, v: gl.batchnorm(x, b, a, m, v, training=False, **SPATIAL),
     lambda x, b, a, m, v: F.batch_norm(x, m, v, a, b, False), IMAGES, (32,), (32,), Fixed(torch.randn(32)),
     Fixed(between(0.5, 2, 32)))
case("layernorm", lambda x, b, a: gl.layernorm(x, b, a, data_format="BC"),
     lambda x, b, a: F.layer_norm(x, (512,), a, b), X, (512,), (512,))
case("groupnorm", lambda x, b, a: gl.groupnorm(x, 4, b, a, **SPATIAL), lambda x, b, a: F.group_norm(x, 4, a, b),
     IMAGES, (32,), (32,))
case("instancenorm", lambda x, b, a: gl.instancenorm(x, b, a, **SPATIAL),
     lambda x, b, a: F.instance_norm(x, None, None, a, b), IMAGES, (32,), (32,))
case("crosschannelnorm", lambda x: gl.crosschannelnorm(x, 5, **SPATIAL), lambda x: F.local_response_norm(x, 5, k=2.0),
     IMAGES)

TARGETS, CLASSES = Fixed(shares(512, 512)), integers(512, 512)
BC = {"data_format": "BC"}
case("crossentropy", lambda y, t: gl.crossentropy(y, t, **BC), lambda y, t: -(t * y.log()).sum() / 512,
     shares(512, 512), TARGETS)
case("crossentropy logits", lambda y, t: gl.crossentropy(y, t, from_logits=True, **BC), F.cross_entropy, X, TARGETS)
case("crossentropy multilabel", lambda y, t: gl.crossentropy(y, t, classification_mode="multilabel", **BC),
     lambda y, t: F.binary_cross_entropy(y, t, reduction="sum") / 512, between(0.1, 0.9), TARGETS)
case("crossentropy multilabel logits", lambda y, t: gl.crossentropy(y, t, classification_mode="multilabel",
                                                                    from_logits=True, **BC),
     lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="sum") / 512, X, TARGETS)
case("indexcrossentropy", lambda y, t: gl.indexcrossentropy(y, t, **BC), lambda y, t: F.nll_loss(y.log(), t),
     shares(512, 512), CLASSES)
case("indexcrossentropy logits", lambda y, t: gl.indexcrossentropy(y, t, from_logits=True, **BC),
     F.cross_entropy, X, CLASSES)
case("mse", lambda y, t: gl.mse(y, t, **BC), lambda y, t: F.mse_loss(y, t, reduction="sum") / 1024, X, X)
case("l1loss", lambda y, t: gl.l1loss(y, t, **BC), lambda y, t: F.l1_loss(y, t, reduction="sum") / 512, X, X)
case("l2loss", lambda y, t: gl.l2loss(y, t, **BC), lambda y, t: F.mse_loss(y, t, reduction="sum") / 512, X, X)
case("huber", lambda y, t: gl.huber(y, t, **BC), lambda y, t: F.huber_loss(y, t, reduction="sum") / 512, X, X)
case("huber none", lambda y, t: gl.huber(y, t, reduction="none", **BC),
     lambda y, t: F.huber_loss(y, t, reduction="none"), X, X)

WORDS = 1 + integers(63, 20, 32)
_steps, _lengths = torch.full((32,), 128), torch.full((32,), 20)
case("ctc", lambda y, t: gl.ctc(y, t, data_format="TBC"),
     lambda y, t: F.ctc_loss(y.log(), t.T, _steps, _lengths, reduction="sum") / 32, shares(128, 32, 64), WORDS,
     compared=(True, False))  # torch's gradient is the one in what went into log_softmax
case("ctc logits", lambda y, t: gl.ctc(y, t, data_format="TBC", from_logits=True),
     lambda y, t: F.ctc_loss(y.log_softmax(-1), t.T, _steps, _lengths, reduction="sum") / 32, (128, 32, 64), WORDS)
case("embed", lambda w, k: gl.embed(k, w), lambda w, k: F.embedding(k, w), (4096, 64), integers(4096, 64, 64))


def _heads(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(8, 128, 4, 64).transpose(1, 2)


def _torch_attention(q: Any, k: Any, v: Any, causal: bool = False) -> Any:
    return F.scaled_dot_product_attention(_heads(q), _heads(k), _heads(v),
                                          is_causal=causal).transpose(1, 2).reshape(8, 128, 256)


case("attention", lambda q, k, v: gl.attention(q, k, v, 4, data_format="BTC"), _torch_attention, *[(8, 128, 256)] * 3)
case("attention causal", lambda q, k, v: gl.attention(q, k, v, 4, attention_mask="causal", data_format="BTC"),
     lambda q, k, v: _torch_attention(q, k, v, True), *[(8, 128, 256)] * 3)


def _torch_lstm(x: Any, h: Any, c: Any, w: Any, r: Any, b: Any) -> Any:
    y, h, c = torch._VF.lstm(x, (h[None], c[None]), [w, r, b, torch.zeros_like(b)], True, 1, 0.0, True, False, False)
    return y, h[0], c[0]


def _torch_gru(x: Any, h: Any, w: Any, r: Any, b: Any) -> Any:
    y, h = torch._VF.gru(x, h[None], [w, r, b[:384], b[384:]], True, 1, 0.0, True, False, False)
    return y, h[0]


RECURRENT = ((32, 64, 128), (64, 128))
case("lstm", lambda *a: gl.lstm(*a, data_format="TBC"), _torch_lstm, *RECURRENT, (64, 128),
     between(-0.1, 0.1, 512, 128),
     between(-0.1, 0.1, 512, 128), (512,))
case("gru", lambda *a: gl.gru(*a, reset_gate_mode="recurrent-bias-after-multiplication", data_format="TBC"),
     _torch_gru, *RECURRENT,
     between(-0.1, 0.1, 384, 128), between(-0.1, 0.1, 384, 128), (768,))


def _torch_interp1(x: torch.Tensor, v: torch.Tensor, xq: torch.Tensor) -> torch.Tensor:
    k = (torch.searchsorted(x, xq, right=True) - 1).clamp(0, len(x) - 2)
    return v[k] + (v[k + 1] - v[k]) * ((xq - x[k]) / (x[k + 1] - x[k]))


case("interp1", lambda v, xq, x: gl.interp1(x, v, xq), lambda v, xq, x: _torch_interp1(x, v, xq),
     (1024,), between(0.01, 0.99),
     Fixed(torch.linspace(0, 1, 1024)), tolerance=1e-3)


# ----- elementwise, with a twin in torch and no case of their own above: on the domain that their declaration has -----

for word, function in sorted(PUBLIC.items()):
    operation: Any = getattr(function, "operation", None)
    if (operation is not None and operation.kind == "elementwise" and word not in {c.name for c in CASES}
        and (theirs := twin(function))):
        case(word, function, theirs, *(between(*operation.domain) for _ in operation.inputs))


def missing() -> list[str]:
    """Public functions that should have a case and do not."""
    excused = {word for words in WITHOUT.values() for word in words.split()} | {c.name.split()[0] for c in CASES}
    return sorted(n for n, f in PUBLIC.items() if n not in excused
                  and getattr(getattr(f, "operation", None), "kind", "") != "discrete")
