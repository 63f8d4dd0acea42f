"""NumPy's products, differences, creation, linear algebra and Fourier transforms: adapters, as in table.py."""
from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray, raw
from ...core.errors import TypeRefused, line_of, user_site
from ...machine.questions import decided
from ...operations.neural.softmax import floating
from ..protocol import array, cast, fft, gl, linalg
from .table import FUNCTIONS, named_as_theirs, ravel, refuse

# ----- products -----


@named_as_theirs
def dot(a: Any, b: Any) -> Any:
    a, b = array(a), array(b)
    if not a.ndim or not b.ndim:
        return gl.multiply(a, b)
    return (gl.matmul(a, b) if a.ndim <= 2 and b.ndim <= 2
            else gl.tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),))))


@named_as_theirs
def inner(a: Any, b: Any) -> Any:
    a, b = array(a), array(b)
    return gl.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,))) if a.ndim and b.ndim else gl.multiply(a, b)


@named_as_theirs
def vdot(a: Any, b: Any) -> Any:
    return gl.sum(gl.conj(ravel(a)) * ravel(b))


@named_as_theirs
def einsum(*operands: Any) -> Any:
    if isinstance(operands[0], str):
        return gl.einsum(*operands)
    # each array with the list of its axes, and then that of the result
    arrays, axes = operands[:len(operands) // 2 * 2:2], operands[1::2]
    words = ["".join("..." if k is Ellipsis else string.ascii_letters[k] for k in its) for its in axes]
    to = operands[-1] if len(operands) % 2 else None
    result = "" if to is None else "->" + "".join("..." if k is Ellipsis else string.ascii_letters[k] for k in to)
    return gl.einsum(",".join(words) + result, *arrays)


@named_as_theirs
def outer(a: Any, b: Any) -> Any:
    return gl.outer(ravel(a), ravel(b))


FUNCTIONS["kron"] = lambda a, b: gl.kron(a, b)


@named_as_theirs
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    return gl.moveaxis(gl.cross(gl.moveaxis(a, axisa, -1), gl.moveaxis(b, axisb, -1)), -1, axisc)


# ----- differences and integrals -----


@named_as_theirs
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = array(a)
    ends = [e if e is None or np.ndim(e) else gl.full((*a.shape[:axis % a.ndim], 1, *a.shape[axis % a.ndim + 1:]), e)
            for e in (prepend, append)]
    return gl.diff(a, axis=axis, n=n, prepend=ends[0], append=ends[1])


@named_as_theirs
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    steps = gl.diff(ravel(ary))
    ends = [None if e is None else gl.astype(ravel(e), steps.dtype) for e in (to_begin, to_end)]
    return gl.concat([part for part in (ends[0], steps, ends[1]) if part is not None])


FUNCTIONS["trapezoid"] = lambda y, x=None, dx=1.0, axis=-1: gl.trapz(y, x=x, dx=dx, axis=axis)


@named_as_theirs
def polyval(p: Any, x: Any) -> Any:
    y = 0.0
    for c in array(p):
        y = y * x + c
    return y


@named_as_theirs
def round(a: Any, decimals: int = 0) -> Any:
    if array(a).dtype.is_complex:  # each part for itself
        return gl.complex(round(gl.real(a), decimals), round(gl.imag(a), decimals))
    return gl.round(a) if not decimals else gl.round(a * 10.0 ** decimals) / 10.0 ** decimals


FUNCTIONS["around"] = round
FUNCTIONS["fix"] = lambda x: gl.trunc(x)
FUNCTIONS["angle"] = lambda z, deg=False: gl.angle(z) * (180 / math.pi) if deg else gl.angle(z)


@named_as_theirs
def sinc(x: Any) -> Any:
    z = gl.multiply(x, math.pi)
    near = gl.abs(z) < 0.1  # there the quotient loses digits, and its derivatives more: Taylor's series, to rounding
    small, far = gl.where(near, z, 0.0), gl.where(near, 1.0, z)
    w = small * small
    return gl.where(near, 1 - w / 6 * (1 - w / 20 * (1 - w / 42 * (1 - w / 72 * (1 - w / 110)))), gl.sin(far) / far)


@named_as_theirs
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    a, b = (gl.astype(v, "float64") if v.dtype is torch.bool else v for v in map(array, (a, b)))
    same = gl.equal(a, b)
    near = gl.logical_and(gl.abs(gl.subtract(a, b)) <= atol + rtol * gl.abs(b), gl.isfinite(b))
    same = gl.logical_or(same, near)
    return gl.logical_or(same, gl.logical_and(gl.isnan(a), gl.isnan(b))) if equal_nan else same


FUNCTIONS["allclose"] = lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: bool(
    gl.all(isclose(a, b, rtol, atol, equal_nan)))
FUNCTIONS["array_equal"] = lambda a1, a2, equal_nan=False: gl.array_equal(a1, a2, equal_nan=equal_nan)


@named_as_theirs
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    x, xp, fp = array(x), array(xp), array(fp)
    if period is not None:  # the samples once round, and one more on each side
        x, xp, left, right = gl.mod(x, abs(period)), gl.mod(xp, abs(period)), None, None
        order = gl.argsort(xp)
        xp, fp = gl.take(xp, order, axis=0), gl.take(fp, order, axis=0)
        xp = gl.concat([xp[-1:] - abs(period), xp, xp[:1] + abs(period)], axis=0)
        fp = gl.concat([fp[-1:], fp, fp[:1]], axis=0)
    y = gl.interp1(xp, fp, gl.clip(x, xp[0], xp[-1]))
    y = gl.where(x < xp[0], fp[0] if left is None else left, y)
    return gl.where(x > xp[-1], fp[-1] if right is None else right, y)


# ----- creation: constants with x's labels -----


@named_as_theirs
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None, device: Any = None) -> Any:
    a = array(a)
    if shape is None:
        return gl.full_like(a, fill_value, dtype=dtype, device=device)
    return gl.full(tuple(np.atleast_1d(shape).tolist()), fill_value, like=a, dtype=dtype)


def _like(fill: float) -> Any:
    return lambda a, dtype=None, *, shape=None, device=None: full_like(a, fill, dtype, shape=shape, device=device)


for _name, _fill in {"zeros_like": 0, "ones_like": 1, "empty_like": 0}.items():
    FUNCTIONS[_name] = _like(_fill)
FUNCTIONS["copy"] = lambda a: array(a).copy()
FUNCTIONS["astype"] = lambda x, dtype, /, *, copy=True, device=None: gl.astype(x, dtype)
FUNCTIONS["shape"] = lambda a: array(a).shape
FUNCTIONS["ndim"] = lambda a: a.ndim
FUNCTIONS["size"] = lambda a, axis=None: (
    a.size if axis is None else math.prod(np.take(a.shape, axis).reshape(-1).tolist()))
FUNCTIONS["iscomplexobj"] = lambda x: array(x).dtype.is_complex
FUNCTIONS["isrealobj"] = lambda x: not array(x).dtype.is_complex


@named_as_theirs
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False,
             dtype: Any = None, axis: int = 0) -> Any:
    start, stop = array(start), array(stop)
    rank, parts = max(start.ndim, stop.ndim), num - 1 if endpoint else num
    steps = np.arange(num, dtype=np.float64).reshape((-1,) + (1,) * rank) / max(parts, 1)
    y = cast(start * (1 - steps) + stop * steps, dtype)
    y = gl.moveaxis(y, 0, axis) if axis else y
    return (y, (stop - start) / parts if parts else (stop - start) * math.nan) if retstep else y


# ----- linear algebra -----

FUNCTIONS["linalg.inv"] = lambda a: linalg.inv(a)
FUNCTIONS["linalg.det"] = lambda a: linalg.det(a)
FUNCTIONS["linalg.slogdet"] = lambda a: linalg.slogdet(a)
FUNCTIONS["linalg.solve"] = lambda a, b: linalg.solve(a, b)
FUNCTIONS["linalg.svdvals"] = lambda x, /: linalg.svdvals(x)
FUNCTIONS["linalg.vecdot"] = lambda x1, x2, /, *, axis=-1: linalg.vecdot(x1, x2, axis=axis)
FUNCTIONS["linalg.matmul"] = lambda x1, x2, /: gl.matmul(x1, x2)
FUNCTIONS["linalg.matrix_transpose"] = lambda x, /: gl.matrix_transpose(x)
FUNCTIONS["linalg.tensordot"] = lambda x1, x2, /, *, axes=2: gl.tensordot(x1, x2, axes=axes)
FUNCTIONS["linalg.outer"] = lambda x1, x2, /: gl.outer(x1, x2)
FUNCTIONS["linalg.cross"] = lambda x1, x2, /, *, axis=-1: cross(x1, x2, axis=axis)
FUNCTIONS["linalg.trace"] = lambda x, /, *, offset=0, dtype=None: gl.trace(x, offset=offset, dtype=dtype)
FUNCTIONS["linalg.diagonal"] = lambda x, /, *, offset=0: gl.diagonal(x, offset=offset)
FUNCTIONS["linalg.cholesky"] = lambda a, /, *, upper=False: linalg.cholesky(
    as_read(floating(array(a)), "U" if upper else "L"), upper=upper)
FUNCTIONS["linalg.qr"] = lambda a, mode="reduced": linalg.qr(a, mode=mode) if mode != "r" else linalg.qr(a).R
FUNCTIONS["linalg.pinv"] = lambda a, rcond=None, *, rtol=None: linalg.pinv(a, rtol=rcond if rtol is None else rtol)
FUNCTIONS["linalg.matrix_power"] = lambda a, n: linalg.matrix_power(a, n)
FUNCTIONS["linalg.matrix_rank"] = lambda A, tol=None, *, rtol=None: (
    linalg.matrix_rank(A, rtol=rtol) if tol is None
    else gl.count_nonzero(linalg.svdvals(A) > np.asarray(tol)[..., None], axis=-1))
FUNCTIONS["linalg.eigvals"] = lambda a: _real_where_all_are(a, gl.eigvals(a))[0]
FUNCTIONS["linalg.eigvalsh"] = lambda a, UPLO="L": linalg.eigvalsh(_hermitian(a, UPLO))


def as_read(a: Any, triangle: str) -> Any:
    """The Hermitian matrix that one triangle of a says, with the derivative of (a + a.H) / 2."""
    value = raw(a)
    half = value.triu(1) if triangle.upper() == "U" else value.tril(-1)
    said = half + half.mH + torch.diag_embed(torch.real(value.diagonal(dim1=-2, dim2=-1)).to(value.dtype))
    return (a + gl.conj(gl.matrix_transpose(a))) / 2 + dlarray._made(said - (value + value.mH) / 2, None)


def _hermitian(a: Any, triangle: str) -> Any:
    """The matrix that one triangle of a says, as NumPy reads it."""
    half = gl.tril(a, k=-1) if triangle.upper() == "L" else gl.triu(a, k=1)
    return half + gl.conj(gl.matrix_transpose(half)) + gl.tril(gl.triu(gl.real(a)))


def _real_where_all_are(a: Any, w: Any, *others: Any) -> tuple[Any, ...]:
    """Eigenvalues, and what belongs to them, as NumPy gives them: real ones of a real matrix are real numbers."""
    real = not array(a).dtype.is_complex and decided((raw(w).imag == 0).all())
    return tuple([gl.real(v) for v in (w, *others)] if real else (w, *others))


@named_as_theirs
def eig(a: Any) -> Any:
    found = gl.eig(a)
    return found._make(_real_where_all_are(a, *found))


@named_as_theirs
def real_if_close(a: Any, tol: Any = 100) -> Any:
    a = array(a)
    if not a.dtype.is_complex:
        return a
    tol = tol * np.finfo(str(a.real.dtype).removeprefix("torch.")).eps if tol > 1 else tol
    return gl.real(a) if decided((raw(a).imag.abs() < tol).all()) else a


FUNCTIONS["i0"] = lambda x: gl.i0(x)


@named_as_theirs
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return linalg.svd(a, full_matrices=full_matrices) if compute_uv else linalg.svdvals(a)


@named_as_theirs
def eigh(a: Any, UPLO: str = "L") -> Any:
    return linalg.eigh(_hermitian(a, UPLO))


@named_as_theirs
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    raise TypeRefused(
        f"np.linalg.lstsq returns four things, at {line_of(user_site())}; write gl.linalg.lstsq(a, b), the solution "
        "alone")


@named_as_theirs
def multi_dot(arrays: Any) -> Any:
    first, *rest = arrays
    for a in rest:
        first = gl.matmul(first, a)
    return first


@named_as_theirs
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = array(x)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if ord is None or len(axes) == 1:
        return gl.vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    y = gl.matrix_norm(gl.moveaxis(x, axes, (-2, -1)), ord=ord)
    return (gl.reshape(y, tuple(1 if k in [a % x.ndim for a in axes] else n for k, n in enumerate(x.shape)))
            if keepdims else y)


@named_as_theirs
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences, and at both ends one-sided ones of order `edge_order`, for one spacing of each axis or the
    places along it."""
    f = floating(array(f))
    axes = (tuple(range(f.ndim)) if axis is None else
            tuple(k % f.ndim for k in (axis if isinstance(axis, (tuple, list)) else (axis,))))
    if (edge_order not in (1, 2) or len(varargs) not in (0, 1, len(axes))
        or any(f.shape[k] < edge_order + 1 for k in axes)):
        raise TypeRefused(
            "np.gradient takes a spacing for each axis or one for all, edge_order 1 or 2, and one entry more than "
            f"that along each axis, at {line_of(user_site())}; write differences of slices for others")
    steps = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    parts = [gl.moveaxis(_slope(gl.moveaxis(f, k, 0), array(h), edge_order), 0, k)
             for k, h in zip(axes, steps, strict=True)]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _slope(f: Any, h: Any, edge_order: int) -> Any:
    """The derivative along the first axis of the parabola through three neighbours; at both ends that of the line
    through two, or of the next parabola."""
    h = gl.broadcast_to(h, (f.shape[0] - 1,)) if not h.ndim else gl.diff(h)
    h = gl.reshape(gl.astype(h, f.dtype), (-1, *(1,) * (f.ndim - 1)))
    slope = (f[1:] - f[:-1]) / h
    inner = (h[1:] * slope[:-1] + h[:-1] * slope[1:]) / (h[:-1] + h[1:])
    first, last = ((slope[:1], slope[-1:]) if edge_order == 1 else
                   (2 * slope[:1] - inner[:1], 2 * slope[-1:] - inner[-1:]))
    return gl.concat([first, inner, last], axis=0)


@named_as_theirs
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = array(a), array(v)
    refuse("convolve", mode=(mode if mode not in ("full", "same", "valid") else "full", "full"))
    if a.shape[0] < v.shape[0]:
        a, v = v, a
    n, m = a.shape[0], v.shape[0]
    windows = np.arange(n + m - 1)[:, None] + np.arange(m)
    y = gl.matmul(gl.reshape(gl.take(gl.pad(a, [(m - 1, m - 1)]), windows.ravel(), axis=0), windows.shape), gl.flip(v))
    return y if mode == "full" else y[m - 1:n] if mode == "valid" else y[(m - 1) // 2:(m - 1) // 2 + n]


FUNCTIONS["linalg.vector_norm"] = lambda x, /, *, axis=None, keepdims=False, ord=2: gl.vector_norm(
    x, axis=axis, keepdims=keepdims, ord=ord)
FUNCTIONS["linalg.matrix_norm"] = lambda x, /, *, keepdims=False, ord="fro": gl.matrix_norm(
    x, keepdims=keepdims, ord=ord)

for _name in ("svd", "eig", "eigh", "lstsq", "multi_dot", "norm"):
    FUNCTIONS[f"linalg.{_name}"] = FUNCTIONS.pop(_name)

# ----- Fourier transforms -----


def _transform(name: str) -> Any:
    return lambda a, n=None, axis=-1, norm=None: getattr(fft, name)(a, n=n, axis=axis, norm=norm or "backward")


def _transforms(name: str, axes: Any) -> Any:
    return lambda a, s=None, axes=axes, norm=None: getattr(fft, name)(a, s=s, axes=axes, norm=norm or "backward")


def _shift(name: str) -> Any:
    return lambda x, axes=None: getattr(fft, name)(x, axes=axes)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    FUNCTIONS[f"fft.{_name}"] = _transform(_name)
for _name in ("fftn", "ifftn", "rfftn", "irfftn"):
    FUNCTIONS[f"fft.{_name}"] = _transforms(_name, None)
    FUNCTIONS[f"fft.{_name[:-1]}2"] = _transforms(_name, (-2, -1))
for _name in ("fftshift", "ifftshift"):
    FUNCTIONS[f"fft.{_name}"] = _shift(_name)
