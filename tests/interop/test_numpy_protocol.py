"""NumPy's functions and ufuncs on dlarrays: each entry of the table against NumPy itself, its derivatives against differences."""

import inspect
import math
import warnings

import numpy as np
import pytest
from helpers import stream
from protocol_checks import arguments, check, leaves, numbers

import gradloom as gl
from gradloom.interop.numpy.functions import FUNCTIONS, UFUNCS

numbers_of = stream(1)
M = numbers_of.normal(size=(3, 3)) * 0.3 + np.diag([2.0, 3.0, 4.0])
FIXTURES = {
    "x": np.array([[0.3, -0.7, 1.1], [0.9, 0.2, -0.4]]),
    "y": np.array([[0.5, 0.1, -0.8], [-0.3, 0.6, 1.2]]),
    "v": np.array([0.7, -0.2, 0.4]),
    "w": np.array([0.25, 0.5, 0.85]),
    "m": M,
    "s": M @ M.T,
    "b": numbers_of.normal(size=(3, 2)),
    "t": numbers_of.normal(size=(2, 3, 2)),
    "c": np.array(0.8),
    "n": np.array([[1.0, 0.0, 2.0]]),
    "z": np.array([[0.3, np.nan, 1.1, 0.8], [np.nan, 0.2, -0.4, np.nan], [0.1, 0.7, -0.6, 0.4]]),
    "u": np.array([0.5, 1.7, 3.9, 0.2, 2.6]),
}
INDEX = np.array([[2, 0], [1, 1]])
MASK = np.array([[True, False, True], [True, True, False]])

CALLS = {
    "sum": [lambda x: np.sum(x), lambda x: np.sum(x, 0), lambda x: np.sum(x, axis=(0, 1), keepdims=True), lambda x: np.sum(x, axis=1, initial=2.0),
            lambda x: np.sum(x, where=MASK), lambda x: np.sum(x, axis=0, where=MASK, initial=2.0), lambda x: np.sum(x, where=[True, False, True])],
    "prod": [lambda x: np.prod(x, axis=1), lambda x: np.prod(x, initial=3.0), lambda x: np.prod(x, axis=1, where=MASK)],
    "mean": [lambda x: np.mean(x), lambda x: np.mean(x, 1, keepdims=True), lambda x: np.mean(x, axis=1, where=MASK, keepdims=True)],
    "var": [lambda x: np.var(x), lambda x: np.var(x, axis=1, ddof=1), lambda x: np.var(x, axis=1, correction=1),
            lambda x: np.var(x, axis=0, where=MASK), lambda x, y: np.var(x * (1 + 2j), axis=1, mean=np.mean(y, axis=1, keepdims=True))],
    "std": [lambda x: np.std(x, axis=1, ddof=1, keepdims=True), lambda x: np.std(x, where=MASK, ddof=1)],
    "max": [lambda x: np.max(x, axis=1), lambda x: np.max(x, axis=1, initial=0.95), lambda x: np.max(x, where=MASK, initial=-1.0)],
    "min": [lambda x: np.min(x), lambda x: x.min(axis=0), lambda x: np.min(x, axis=1, where=MASK, initial=0.5)],
    "amax": [lambda x: np.amax(x, 0)],
    "amin": [lambda x: np.amin(x, 0, keepdims=True)],
    "any": [lambda x: np.any(x > 0, axis=0), lambda x: np.any(x, axis=0, where=MASK)],
    "all": [lambda x: np.all(x > 0, axis=0), lambda x: np.all(x, axis=0, where=MASK)],
    "argmax": [lambda x: np.argmax(x, axis=1)],
    "argmin": [lambda x: np.argmin(x)],
    "median": [lambda x: np.median(x, axis=1), lambda x: np.median(x)],
    "quantile": [lambda x: np.quantile(x, 0.3, axis=1), lambda x: np.quantile(x, [[0.2, 0.7]], axis=0, keepdims=True), lambda x: np.quantile(x, [0.1, 0.6]),
                 lambda x: np.quantile(x, [0.35, 0.8], axis=1, method="hazen"), lambda x: np.quantile(x, 0.45, method="midpoint")],
    "percentile": [lambda x: np.percentile(x, 30, axis=1), lambda x: np.percentile(x, [10, 50, 90], axis=0), lambda x: np.percentile(x, 30, method="nearest")],
    "ptp": [lambda x: np.ptp(x, axis=1)],
    "average": [lambda x: np.average(x), lambda x, w: np.average(x, 1, w, True), lambda x, w: np.average(x, axis=1, weights=w)],
    "count_nonzero": [lambda n: np.count_nonzero(n, axis=1)],
    "cumsum": [lambda x: np.cumsum(x), lambda x: np.cumsum(x, axis=1)],
    "cumprod": [lambda x: np.cumprod(x, axis=0)],
    "cumulative_sum": [lambda x: np.cumulative_sum(x, axis=1, include_initial=True)],
    "cumulative_prod": [lambda x: np.cumulative_prod(x, axis=1)],
    "sort": [lambda x: np.sort(x), lambda x: np.sort(x, axis=None)],
    "argsort": [lambda x: np.argsort(x, axis=1)],
    "searchsorted": [lambda w: np.searchsorted(w, np.array([0.3, 0.6]))],
    "moveaxis": [lambda t: np.moveaxis(t, 0, -1), lambda t: np.moveaxis(t, source=(0, 1), destination=(-1, 0))],
    "broadcast_to": [lambda v: np.broadcast_to(v, (2, 3))],
    "tile": [lambda x: np.tile(x, (2, 1))],
    "tensordot": [lambda t, b: np.tensordot(t, b, axes=([1], [0])), lambda t, b: np.tensordot(t, b, ([1], [0]))],
    "outer": [lambda x, v: np.outer(x, v)],
    "real": [lambda x: np.real(x * 1j + x)],
    "imag": [lambda x: np.imag(x * 1j * x)],
    "matrix_transpose": [lambda t: np.matrix_transpose(t)],
    "expand_dims": [lambda x: np.expand_dims(x, 1)],
    "squeeze": [lambda n: np.squeeze(n, 0), lambda n: np.squeeze(n)],
    "flip": [lambda x: np.flip(x, 1), lambda x: np.flip(x)],
    "repeat": [lambda x: np.repeat(x, 2, axis=1), lambda x: np.repeat(x, [2, 0, 1], axis=1), lambda x: np.repeat(x, 2)],
    "reshape": [lambda x: np.reshape(x, (3, 2)), lambda x: np.reshape(x, -1), lambda x: np.reshape(x, (3, 2), order="F")],
    "ravel": [lambda x: np.ravel(x), lambda t: np.ravel(t, order="F"), lambda t: np.ravel(t, "F")],
    "transpose": [lambda t: np.transpose(t, (2, 0, 1)), lambda x: np.transpose(x)],
    "swapaxes": [lambda t: np.swapaxes(t, 0, 2)],
    "roll": [lambda x: np.roll(x, 1, axis=1), lambda x: np.roll(x, 2)],
    "rollaxis": [lambda t: np.rollaxis(t, 2), lambda t: np.rollaxis(t, 0, 2)],
    "rot90": [lambda x: np.rot90(x), lambda x: np.rot90(x, -1), lambda x: np.rot90(x, 2)],
    "fliplr": [lambda x: np.fliplr(x)],
    "flipud": [lambda x: np.flipud(x)],
    "atleast_1d": [lambda c: np.atleast_1d(c), lambda c, v: np.atleast_1d(c, v), lambda c: np.atleast_1d(c, 2.0)],
    "atleast_2d": [lambda v: np.atleast_2d(v)],
    "atleast_3d": [lambda v: np.atleast_3d(v), lambda x: np.atleast_3d(x)],
    "concatenate": [lambda x, y: np.concatenate([x, y], axis=1), lambda x, v: np.concatenate((x, v), None)],
    "concat": [lambda x, y: np.concat([x, y])],
    "stack": [lambda x, y: np.stack([x, y], axis=1)],
    "vstack": [lambda x, v: np.vstack([x, v])],
    "hstack": [lambda v, w: np.hstack([v, w]), lambda x, y: np.hstack((x, y))],
    "dstack": [lambda x, y: np.dstack([x, y])],
    "column_stack": [lambda v, w: np.column_stack([v, w])],
    "append": [lambda v, w: np.append(v, w)],
    "block": [lambda x, y: np.block([[x, y], [y, x]])],
    "array_split": [lambda v: np.array_split(v, 2)],
    "split": [lambda x: np.split(x, 3, axis=1), lambda x: np.split(x, [1], axis=1)],
    "vsplit": [lambda x: np.vsplit(x, 2)],
    "hsplit": [lambda x: np.hsplit(x, 3)],
    "unstack": [lambda x: np.unstack(x, axis=1)],
    "broadcast_arrays": [lambda x, v: np.broadcast_arrays(x, v)],
    "meshgrid": [lambda v, w: np.meshgrid(v, w), lambda v, w: np.meshgrid(v, w, indexing="ij", sparse=True)],
    "where": [lambda x, y: np.where(x > 0, x * y, y), lambda x: np.where(x > 0)],
    "nonzero": [lambda n: np.nonzero(n)],
    "argwhere": [lambda n: np.argwhere(n)],
    "flatnonzero": [lambda n: np.flatnonzero(n)],
    "select": [lambda x, y: np.select([x > 0.5, x > 0], [x, y * y], 0.1)],
    "take": [lambda x: np.take(x, INDEX, axis=1), lambda x: np.take(x, 4), lambda x: np.take(x, [0, 7], mode="wrap"),
             lambda x: np.take(x, [-3, 5], axis=1, mode="clip")],
    "take_along_axis": [lambda x: np.take_along_axis(x, INDEX, axis=1)],
    "clip": [lambda x: np.clip(x, -0.5, 0.5), lambda x: np.clip(x, None, 0.5), lambda x: np.clip(x, min=0.1)],
    "nan_to_num": [lambda x: np.nan_to_num(x), lambda z: np.nan_to_num(z, nan=0.3), lambda z, x: np.nan_to_num(z[:2, :3] + 1j * x, nan=0.3)],
    "pad": [lambda x: np.pad(x, 1), lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=2.0),
            lambda x: np.pad(x, 2, constant_values=((1.0, 2.0), (3.0, 4.0))), lambda x: np.pad(x, ((0, 0), (5, 1)), mode="edge"),
            lambda x: np.pad(x, (1, 4), mode="reflect"), lambda x: np.pad(x, 3, mode="symmetric"), lambda x: np.pad(x, (2, 4), mode="wrap"),
            lambda x: np.pad(x, ((3, 0), (1, 4)), mode="linear_ramp", end_values=(0.5, -1.0)), lambda x: np.pad(x, (1, 2), mode="linear_ramp"),
            lambda x: np.pad(x, 2, mode="maximum"), lambda x: np.pad(x, ((0, 1), (2, 1)), mode="minimum", stat_length=2),
            lambda x: np.pad(x, (1, 2), mode="mean", stat_length=((1, 2), (3, 9))), lambda x: np.pad(x, 1, mode="median"),
            lambda x: np.pad(x, 2, stat_length=None, mode="mean"), lambda x: np.pad(x, (7, 9), mode="reflect", reflect_type="odd"),
            lambda x: np.pad(x, (8, 5), mode="symmetric", reflect_type="odd"), lambda v: np.pad(v[:1], (2, 1), mode="reflect", reflect_type="odd")],
    "unique": [lambda x: np.unique(np.concat([x, x])), lambda x: np.unique(np.round(x), return_index=True, return_inverse=True, return_counts=True),
               lambda x: np.unique(np.concat([x, x[:1]]), axis=0)],
    "unique_all": [lambda x: np.unique_all(np.concat([x, x]))], "unique_counts": [lambda x: np.unique_counts(x)],
    "unique_inverse": [lambda x: np.unique_inverse(x)], "unique_values": [lambda x: np.sort(np.unique_values(np.concat([x, x])))],
    "nansum": [lambda x: np.nansum(np.where(x > 0, np.log(np.abs(x)), np.nan), axis=1), lambda x: np.nansum(x, keepdims=True),
               lambda z: np.nansum(z), lambda z: np.nansum(z, axis=1, keepdims=True)],
    "gradient": [lambda x: np.gradient(x, 0.5, axis=1), lambda x: np.gradient(x, 2.0, 0.25)[1], lambda x: np.gradient(x)[0],
                 lambda u: np.gradient(u, 0.3, edge_order=2), lambda u: np.gradient(u, np.array([0.0, 1.0, 1.5, 3.0, 3.2])),
                 lambda u: np.gradient(np.array([1.0, 3.0, 2.0, 5.0, 4.0]), u * 2 + np.array([0.0, 3.0, 6.0, 20.0, 30.0]), edge_order=2),
                 lambda t: np.gradient(t, 0.5, np.array([0.0, 1.0, 3.0]), 2.0)[1], lambda t: np.gradient(t, np.array([0.0, 1.0, 3.0]), axis=1, edge_order=2)],
    "convolve": [lambda v, c: np.convolve(v, np.stack([c, 2 * c])), lambda v, w: np.convolve(v, w, "same"),
                 lambda v, w: np.convolve(np.concatenate([v, w]), v, "valid")],
    "diagonal": [lambda t: np.diagonal(t), lambda m: np.diagonal(m, 1)],
    "trace": [lambda m: np.trace(m), lambda m: np.trace(m, -1)],
    "diag": [lambda v: np.diag(v), lambda v: np.diag(v, -1), lambda m: np.diag(m)],
    "tril": [lambda m: np.tril(m, -1)],
    "triu": [lambda m: np.triu(m)],
    "dot": [lambda x, v: np.dot(x, v), lambda x, t: np.dot(x, t), lambda c, x: np.dot(c, x)],
    "inner": [lambda x, y: np.inner(x, y)],
    "vdot": [lambda x, y: np.vdot(x, y)],
    "einsum": [lambda x, m: np.einsum("ij,jk->ik", x, m), lambda x, m: np.einsum(x, [0, 1], m, [1, 2]), lambda x, m: np.einsum(x, [0, 1], m, [1, 2], [2, 0]),
               lambda t, w: np.einsum(t, [..., 0, 1], w, [0])],
    "kron": [lambda x, v: np.kron(x, v), lambda m, x: np.kron(m, x)],
    "cross": [lambda x, y: np.cross(x, y)],
    "diff": [lambda x: np.diff(x), lambda x: np.diff(x, axis=0), lambda v: np.diff(v, n=2), lambda x: np.diff(x, prepend=0.5)],
    "ediff1d": [lambda x: np.ediff1d(x), lambda x, v: np.ediff1d(x, to_end=v, to_begin=2.0)],
    "trapezoid": [lambda x: np.trapezoid(x, dx=0.5), lambda x, w: np.trapezoid(x, w)],
    "polyval": [lambda v, x: np.polyval(v, x)],
    "round": [lambda x: np.round(x), lambda x, y: np.round(x * 3 + 1j * y, 1), lambda x: np.round(x * 1.234567, 2)],
    "around": [lambda x: np.around(x)],
    "fix": [lambda x: np.fix(x * 3)],
    "angle": [lambda x: np.angle(x + 1j), lambda x: np.angle(x + 1j, deg=True)],
    "sinc": [lambda x: np.sinc(x)],
    "isclose": [lambda x: np.isclose(x, x + 1e-9)],
    "allclose": [lambda x: np.allclose(x, x + 1e-9), lambda x: np.allclose(x, x + 1)],
    "array_equal": [lambda x: np.array_equal(x, x), lambda x, v: np.array_equal(x, v)],
    "interp": [lambda x, w, v: np.interp(x, w, v), lambda x, w, v: np.interp(x, w, v, left=0.1, right=0.2),
               lambda x, w, v: np.interp(x * 9, w * 7, v, period=2.5), lambda x, w, v: np.interp(x, w, v, left=3.0, period=-1.5)],
    "zeros_like": [lambda x: np.zeros_like(x)],
    "ones_like": [lambda x: np.ones_like(x), lambda x: np.ones_like(x, shape=(2, 2))],
    "empty_like": [lambda x: np.empty_like(x).shape],
    "full_like": [lambda x: np.full_like(x, 3.0)],
    "copy": [lambda x: np.copy(x)],
    "astype": [lambda x: np.astype(x, np.float64)],
    "shape": [lambda x: np.shape(x)],
    "ndim": [lambda x: np.ndim(x)],
    "size": [lambda x: np.size(x), lambda x: np.size(x, 1)],
    "iscomplexobj": [lambda x: np.iscomplexobj(x)],
    "isrealobj": [lambda x: np.isrealobj(x)],
    "linspace": [lambda v, w: np.linspace(v, w, 5), lambda c: np.linspace(0.0, c, 4, endpoint=False)],
    "linalg.inv": [lambda m: np.linalg.inv(m)],
    "linalg.det": [lambda m: np.linalg.det(m)],
    "linalg.slogdet": [lambda m: np.linalg.slogdet(m)],
    "linalg.solve": [lambda m, b: np.linalg.solve(m, b)],
    "linalg.svdvals": [lambda m: np.linalg.svdvals(m)],
    "linalg.vecdot": [lambda x, y: np.linalg.vecdot(x, y)],
    "linalg.matmul": [lambda x, m: np.linalg.matmul(x, m)],
    "linalg.matrix_transpose": [lambda x: np.linalg.matrix_transpose(x)],
    "linalg.tensordot": [lambda x, m: np.linalg.tensordot(x, m, axes=1)],
    "linalg.outer": [lambda v, w: np.linalg.outer(v, w)],
    "linalg.cross": [lambda x, y: np.linalg.cross(x, y)],
    "linalg.trace": [lambda m: np.linalg.trace(m, offset=1)],
    "linalg.diagonal": [lambda m: np.linalg.diagonal(m, offset=1)],
    "linalg.cholesky": [lambda m: np.linalg.cholesky(m @ m.T)],
    "linalg.qr": [lambda m: np.abs(np.linalg.qr(m)[1]), lambda m: np.abs(np.linalg.qr(m, mode="r"))],
    "linalg.pinv": [lambda b: np.linalg.pinv(b)],
    "linalg.matrix_power": [lambda m: np.linalg.matrix_power(m, 3)],
    "linalg.matrix_rank": [lambda m: np.linalg.matrix_rank(m)],
    "linalg.eigvals": [lambda m: np.linalg.eigvals(m), lambda m: np.linalg.eigvals(m - m.T + 3j * m)],
    "linalg.eig": [lambda m: np.linalg.eig(m)[0], lambda m: np.abs(np.linalg.eig(m).eigenvectors)],
    "i0": [lambda x: np.i0(x)],
    "real_if_close": [lambda x: np.real_if_close(x * (1 + 0j)), lambda x: np.real_if_close(x * (1 + 1e-9j)), lambda x: np.real_if_close(x)],
    "linalg.eigvalsh": [lambda m: np.linalg.eigvalsh(m), lambda m: np.linalg.eigvalsh(m, "U")],
    "linalg.eigh": [lambda m: np.linalg.eigh(m)[0], lambda m: np.abs(np.linalg.eigh(m).eigenvectors)],
    "linalg.svd": [lambda b: np.linalg.svd(b)[1], lambda b: np.linalg.svd(b, compute_uv=False)],
    "linalg.multi_dot": [lambda x, m, b: np.linalg.multi_dot([x, m, b])],
    "linalg.norm": [lambda x: np.linalg.norm(x), lambda x: np.linalg.norm(x, axis=1), lambda v: np.linalg.norm(v, 1), lambda m: np.linalg.norm(m, 2),
                    lambda v: np.linalg.norm(v, 3), lambda m: np.linalg.norm(m, np.inf), lambda t: np.linalg.norm(t, "fro", (0, 1), keepdims=True)],
    "linalg.vector_norm": [lambda x: np.linalg.vector_norm(x, axis=1, ord=3)],
    "linalg.matrix_norm": [lambda m: np.linalg.matrix_norm(m), lambda m: np.linalg.matrix_norm(m, ord="nuc")],
    "fft.fft": [lambda x: np.fft.fft(x), lambda x: np.fft.fft(x, 5, 0, "ortho")],
    "fft.ifft": [lambda x: np.fft.ifft(x)],
    "fft.rfft": [lambda x: np.fft.rfft(x)],
    "fft.irfft": [lambda x: np.fft.irfft(x * (1 + 2j), 4)],
    "fft.hfft": [lambda x: np.fft.hfft(x)],
    "fft.ihfft": [lambda x: np.fft.ihfft(x)],
    "fft.fftn": [lambda t: np.fft.fftn(t)],
    "fft.ifftn": [lambda t: np.fft.ifftn(t, axes=(0, 1))],
    "fft.rfftn": [lambda t: np.fft.rfftn(t)],
    "fft.irfftn": [lambda t: np.fft.irfftn(t * 1j, (2, 3, 2), (0, 1, 2))],
    "fft.fft2": [lambda x: np.fft.fft2(x)],
    "fft.ifft2": [lambda x: np.fft.ifft2(x)],
    "fft.rfft2": [lambda x: np.fft.rfft2(x)],
    "fft.irfft2": [lambda x: np.fft.irfft2(x * 1j)],
    "nanprod": [lambda z: np.nanprod(z), lambda z: np.nanprod(z, 0)],
    "nancumsum": [lambda z: np.nancumsum(z), lambda z: np.nancumsum(z, axis=1)],
    "nancumprod": [lambda z: np.nancumprod(z), lambda z: np.nancumprod(z, axis=0)],
    "nanmean": [lambda z: np.nanmean(z), lambda z: np.nanmean(z, axis=1), lambda z: np.nanmean(z, axis=(0, 1), keepdims=True), lambda x: np.nanmean(x, 0)],
    "nanvar": [lambda z: np.nanvar(z), lambda z: np.nanvar(z, axis=0, ddof=1, keepdims=True), lambda x: np.nanvar(x * (1 + 2j), axis=1)],
    "nanstd": [lambda z: np.nanstd(z), lambda z: np.nanstd(z, axis=1, ddof=0.5)],
    "nanmax": [lambda z: np.nanmax(z), lambda z: np.nanmax(z, axis=1, keepdims=True)],
    "nanmin": [lambda z: np.nanmin(z, axis=0)],
    "nanargmax": [lambda z: np.nanargmax(z), lambda z: np.nanargmax(z, axis=1)],
    "nanargmin": [lambda z: np.nanargmin(z, axis=0)],
    "nanmedian": [lambda z: np.nanmedian(z), lambda z: np.nanmedian(z, axis=1), lambda z: np.nanmedian(z, axis=0, keepdims=True)],
    "nanquantile": [lambda z: np.nanquantile(z, [0.2, 0.9], axis=1), lambda z: np.nanquantile(z, [[0.3], [0.55]], axis=(0, 1), keepdims=True)],
    "nanpercentile": [lambda z: np.nanpercentile(z, 35, axis=1), lambda x: np.nanpercentile(x, [10, 60], axis=0)],
    "cov": [lambda x: np.cov(x), lambda x: np.cov(x, rowvar=False, bias=True), lambda v, w: np.cov(v, w, ddof=0), lambda v: np.cov(v),
            lambda x, w: np.cov(x, ddof=0, aweights=w), lambda x: np.cov(x, fweights=[1, 2, 3]), lambda x, w: np.cov(x, fweights=[1, 0, 3], aweights=w),
            lambda x: np.cov(x * (1 + 2j) + 1j * x ** 2)],
    "corrcoef": [lambda x: np.corrcoef(x), lambda v, w: np.corrcoef(v, w)],
    "bincount": [lambda u: np.bincount(np.array([2, 0, 2, 5, 0]), weights=u), lambda u: np.bincount([1, 1, 0, 3, 1], u, minlength=8)],
    "digitize": [lambda u: np.digitize(u, [0.5, 1.0, 3.0]), lambda u: np.digitize(u, [0.5, 1.7, 3.0], right=True), lambda u: np.digitize(u, [3.0, 1.7, 0.5]),
                 lambda u: np.digitize(u, [3.0, 1.7, 0.5], right=True)],
    "unwrap": [lambda u: np.unwrap(u * 3), lambda t: np.unwrap(t * 5, axis=1), lambda u: np.unwrap(u * 2, discont=4.0), lambda u: np.unwrap(u, period=2.0),
               lambda u: np.unwrap(np.array([0.0, np.pi, 0.0, -np.pi, 0.0]) + 0 * u)],
    "isin": [lambda n: np.isin(n, [1.0, 2.0]), lambda n: np.isin(n, [0], invert=True)],
    "delete": [lambda x: np.delete(x, 1, axis=1), lambda x: np.delete(x, [0, 3]), lambda x: np.delete(x, slice(0, 2), axis=1)],
    "insert": [lambda x: np.insert(x, 1, 5.0, axis=1), lambda x, v: np.insert(x, 1, v, axis=0), lambda x, v: np.insert(x, [0, 2], 3.0, axis=1),
               lambda u, v: np.insert(u, 2, v), lambda u, v: np.insert(u, [0, 2, 2], v), lambda b: np.insert(b, 1, [[1.0], [2.0], [3.0]], axis=1),
               lambda b: np.insert(b, [1], [[1.0], [2.0], [3.0]], axis=1), lambda x: np.insert(x, -1, 4.0)],
    "resize": [lambda x: np.resize(x, (4, 4)), lambda x: np.resize(x, 5)],
    "compress": [lambda x: np.compress([True, False, True], x, axis=1), lambda x: np.compress([False, True, True], x)],
    "extract": [lambda x: np.extract(np.array([[1, 0, 1], [0, 1, 0]]), x), lambda x: np.extract(x > 0, x)],
    "choose": [lambda v, w: np.choose([0, 1, 0], [v, w]), lambda x, v: np.choose(np.array([[1, 0, 1]]), [x, v])],
    "piecewise": [lambda x: np.piecewise(x, [x < 0, x > 0.5], [lambda t: t ** 2, lambda t: 3 * t]), lambda v: np.piecewise(v, [v > 0], [np.log, 7.0]),
                  lambda x: np.piecewise(x, [x < 1, x < 0], [np.sin, np.cos, 2.0])],
    "partition": [lambda x: np.partition(x, [0, 1, 2], axis=1)],
    "argpartition": [lambda x: np.argpartition(x, [0, 1, 2], axis=1)],
    "dsplit": [lambda t: np.dsplit(t, 2)],
    "apply_along_axis": [lambda t: np.apply_along_axis(lambda r: r[:2] * r[0], 1, t), lambda x: np.apply_along_axis(np.sum, 0, x),
                         lambda x: np.apply_along_axis(lambda r: np.outer(r, r), -1, x)],
    "sliding_window_view": [lambda u: np.lib.stride_tricks.sliding_window_view(u, 3), lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)),
                            lambda t: np.lib.stride_tricks.sliding_window_view(t, 2, axis=1)],
    "diagflat": [lambda x: np.diagflat(x, 1)],
    "vander": [lambda v: np.vander(v), lambda v: np.vander(v, 4, increasing=True)],
    "polyfit": [lambda u, w: np.polyfit([0.0, 1.0, 2.0, 4.0, 5.0], u, 2), lambda u: np.polyfit(u, np.array([1.0, 3.0, 2.0, 0.0, 1.0]), 1),
                lambda u: np.polyfit(np.arange(5.0), u, 1, w=[1, 2, 1, 3, 1]), lambda b, v: np.polyfit(v, b, 1)],
    "polyder": [lambda u: np.polyder(u), lambda u: np.polyder(u, 3)],
    "polyint": [lambda u: np.polyint(u), lambda u: np.polyint(u, 2, [1.0, 3.0]), lambda u: np.polyint(u, k=2.0)],
    "polyadd": [lambda u, v: np.polyadd(u, v)],
    "polysub": [lambda v, u: np.polysub(v, u)],
    "correlate": [lambda u, v: np.correlate(u, v), lambda u, v: np.correlate(u, v, "full"), lambda u, v: np.correlate(u, v, "same"),
                  lambda u: np.correlate(u * (1 + 1j), u[:2] * 1j)],
    "logspace": [lambda c: np.logspace(c, 2.0, 5), lambda c: np.logspace(0.5, c, 4, endpoint=False, base=2.0)],
    "geomspace": [lambda c: np.geomspace(c, 5.0, 4), lambda c: np.geomspace(2.0, c, 3, endpoint=False)],
    "linalg.cond": [lambda m: np.linalg.cond(m), lambda m: np.linalg.cond(m, -2), lambda m: np.linalg.cond(m, "fro"), lambda m: np.linalg.cond(m, 1)],
    "linalg.tensorsolve": [lambda m, v: np.linalg.tensorsolve(m, v)],
    "linalg.tensorinv": [lambda m: np.linalg.tensorinv(m, 1)],
    "isreal": [lambda x: np.isreal(x * np.array([1, 1j, 1]))],
    "iscomplex": [lambda x: np.iscomplex(x * np.array([1, 1j, 1]))],
    "isposinf": [lambda z: np.isposinf(z)],
    "isneginf": [lambda z: np.isneginf(-np.inf + 0 * z)],
    "array_equiv": [lambda v: np.array_equiv(v, np.stack([v, v])), lambda v, w: np.array_equiv(v, w[:2])],
    "fft.fftshift": [lambda x: np.fft.fftshift(x)],
    "fft.ifftshift": [lambda x: np.fft.ifftshift(x, 1)],
}
# Answers, positions and shapes: no derivative is asked of them, or they are constants.
CONSTANT_NAMES = """
any all argmax argmin count_nonzero argsort searchsorted nonzero argwhere flatnonzero round around fix isclose allclose
array_equal nanargmax nanargmin digitize isin argpartition isreal iscomplex isposinf isneginf array_equiv
zeros_like ones_like empty_like full_like shape ndim size iscomplexobj isrealobj linalg.matrix_rank
"""
CONSTANT = set(CONSTANT_NAMES.split())
# Each returns four things or writes: they are there to say what to write.
REFUSALS = {"linalg.lstsq"}
WRITES = {"fill_diagonal", "put_along_axis", "copyto"}
TYPES = {"result_type", "tril_indices_from", "triu_indices_from"}


def test_every_entry_is_tried():
    assert sorted(set(FUNCTIONS) - REFUSALS - WRITES - TYPES - set(CALLS)) == []


@pytest.mark.parametrize(("name", "k"), [(name, k) for name in CALLS for k in range(len(CALLS[name]))], ids=str)
def test_functions_are_numpys(name, k):
    assert name in FUNCTIONS
    call = CALLS[name][k]
    arrays = arguments(call, FIXTURES)
    is_question = name in CONSTANT or name == "where" and k == 1
    check(call, call, arrays, differentiable=not is_question)


def by_name(call, arrays, defaults):
    """What a call gives where each argument of NumPy's functions is given by its name, and every default too."""
    plain = gl.dlarray.__array_function__

    def named(self, function, types, args, kwargs):
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return plain(self, function, types, args, kwargs)  # written in C
        if any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
            return plain(self, function, types, args, kwargs)
        bound = signature.bind(*args, **kwargs)
        if defaults:
            bound.apply_defaults()
        first = [k for k, p in signature.parameters.items() if p.kind is p.POSITIONAL_ONLY]
        others = next((k for k, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), None)
        rest = {k: v for k, v in bound.arguments.items() if k not in (*first, others)} | bound.arguments.get(others, {})
        return plain(self, function, types, tuple(bound.arguments[k] for k in first if k in bound.arguments), rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gl.dlarray, "__array_function__", named)
        return gl.dlfeval(call, *map(gl.dlarray, arrays))


@pytest.mark.parametrize("defaults", [False, True], ids=["named", "with every default"])
@pytest.mark.parametrize("name", CALLS)
def test_arguments_have_numpys_names_and_defaults(name, defaults):
    for call in CALLS[name]:
        arrays = arguments(call, FIXTURES)
        for found, expected in zip(leaves(by_name(call, arrays, defaults)), leaves(call(*arrays)), strict=True):
            np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-9, atol=1e-9)


def numpys(name):
    module, _, last = name.rpartition(".")
    return getattr(getattr(np, module) if module else np, last, None) or getattr(np.lib.stride_tricks, last)


def parameters_of(name):
    """The parameters that NumPy gives a function, where it says."""
    try:
        return inspect.signature(numpys(name)).parameters
    except (TypeError, ValueError):
        return {}


UNTAKEN = [(name, p.name) for name in sorted(FUNCTIONS) for p in parameters_of(name).values()
           if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in inspect.signature(FUNCTIONS[name]).parameters]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - REFUSALS))
def test_an_adapter_has_the_names_that_numpy_gives(name):
    """By position only where NumPy has no name for it."""
    theirs, ours = parameters_of(name), inspect.signature(FUNCTIONS[name]).parameters
    if not theirs:
        pytest.skip("NumPy does not say")
    needed = [p.name for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    assert [n for n in needed if n not in ours] == []
    nameless = sum(p.kind is p.POSITIONAL_ONLY for p in theirs.values())
    closed = not any(p.kind is p.VAR_KEYWORD for p in theirs.values())
    unknown = [p.name for p in list(ours.values())[nameless:] if p.name not in theirs and p.kind is not p.VAR_POSITIONAL]
    assert not closed or name in ("max", "min", "amax", "amin") or unknown == []


@pytest.mark.parametrize(("name", "parameter"), UNTAKEN)
def test_what_an_operation_has_not_is_refused_by_its_name(name, parameter):
    """Or says only how NumPy works: the result is the same with it."""
    call = CALLS.get(name, [None])[0]
    if call is None:
        pytest.skip("it writes, or returns no array")
    strange = {"order": "K", "casting": "unsafe", "mode": "wrap", "out": np.zeros(1), "mean": 0.5, "kind": "stable"}.get(parameter, True)
    if parameter == "where":
        strange = np.array(True)
    plain = gl.dlarray.__array_function__

    def more(self, function, types, args, kwargs):
        return plain(self, function, types, args, {**kwargs, parameter: strange} if function is numpys(name) else kwargs)

    arrays = arguments(call, FIXTURES)
    heeded = parameter not in ("order", "casting", "subok", "hermitian", "overwrite_input", "assume_unique", "optimize")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gl.dlarray, "__array_function__", more)
        if heeded:
            with pytest.raises(gl.TypeRefused, match=rf"np\.{name.rpartition('.')[0]}.*{numpys(name).__name__} with {parameter}="):
                gl.dlfeval(call, *map(gl.dlarray, arrays))
            return
        found = leaves(gl.dlfeval(call, *map(gl.dlarray, arrays)))
    for part, expected in zip(found, leaves(call(*arrays)), strict=True):
        np.testing.assert_allclose(numbers(part), numbers(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("call", [
    lambda x: np.sum(x, 1, np.float32, None, True), lambda x: np.var(x, 1, None, None, 1, True), lambda x: np.max(x, 0, None, True, 0.5),
    lambda x: np.percentile(x, (10, 80), 1, None, False, "linear", True), lambda x: np.einsum(x, [0, 1], [1, 0]), lambda x: np.einsum(x, [0, 1], x, [2, 1], [0, 2]), lambda x: np.linspace(x[0], x[1], 4, True, True)[1], lambda x: np.linspace(x[0], x[1], 4, axis=1),
    lambda x: np.geomspace(x[0], 3 * x[0], 4, axis=1), lambda x: np.linalg.matrix_rank(x, 0.5), lambda x: np.empty_like(x, shape=(2,)) * 0])
def test_arguments_by_position_are_numpys(call):
    x = FIXTURES["x"]
    np.testing.assert_allclose(numbers(call(gl.dlarray(x))), call(x), rtol=1e-6)


@pytest.mark.parametrize("join", [lambda x: np.r_[x, x], lambda x: np.c_[x, x], lambda x: np.r_["-1", x, x]])
def test_r_and_c_say_what_to_write(join):
    """They make NumPy arrays of what they are given: nobody asks us."""
    def fun(x):
        with pytest.raises(gl.TraceError, match=r"np\.concatenate\(\[a, b\]\) instead of np\.r_\[a, b\]"):
            join(x)

    gl.dlfeval(fun, gl.dlarray(FIXTURES["x"]))
    np.testing.assert_array_equal(join(gl.dlarray(FIXTURES["x"])), join(FIXTURES["x"]))


# Where the arguments of a ufunc may be; (0.2, 0.8) otherwise. Integers and bools are drawn as such.
DOMAINS = {"arccosh": (1.2, 2.0), "mod": (2.1, 2.9), "remainder": (0.2, 0.8)}
INTEGERS = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift", "bitwise_count"}
QUESTIONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "signbit", "logical_and",
             "logical_or", "logical_not", "logical_xor", "floor", "ceil", "trunc", "rint", "sign", "floor_divide", "heaviside"}
SHAPED = {"matmul": ("x", "m"), "vecdot": ("x", "y"), "matvec": ("m", "v"), "vecmat": ("v", "m")}


@pytest.mark.parametrize("name", UFUNCS)
def test_ufuncs_are_numpys(name):
    ufunc = next(f for f in vars(np).values() if isinstance(f, np.ufunc) and f.__name__ == name)
    draw = np.random.default_rng(len(name))
    low, high = DOMAINS.get(name, (0.2, 0.8))
    shapes = [(2, 3), (3,)][: ufunc.nin]
    if name in SHAPED:
        arrays = [FIXTURES[k] for k in SHAPED[name]]
    elif name in INTEGERS:
        arrays = [draw.integers(1, 5, shape) for shape in shapes]
    else:
        arrays = [draw.uniform(low, high, shape) for shape in shapes]
        if name == "ldexp":
            arrays[1] = np.array([1, 2, 0])
    check(ufunc, ufunc, arrays, differentiable=name not in QUESTIONS and name not in INTEGERS)


REDUCTIONS = {
    "add.reduce": [lambda x: np.add.reduce(x), lambda x: np.add.reduce(x, axis=1, keepdims=True), lambda x: np.add.reduce(x, None)],
    "multiply.reduce": [lambda x: np.multiply.reduce(x, axis=1)],
    "maximum.reduce": [lambda x: np.maximum.reduce(x), lambda x: np.maximum.reduce(x, axis=1, initial=0.95)],
    "minimum.reduce": [lambda x: np.minimum.reduce(x, axis=1)],
    "logaddexp.reduce": [lambda x: np.logaddexp.reduce(x, axis=1)],
    "add.accumulate": [lambda x: np.add.accumulate(x), lambda x: np.add.accumulate(x, axis=1)],
    "multiply.accumulate": [lambda x: np.multiply.accumulate(x, axis=1)],
    "maximum.accumulate": [lambda x: np.maximum.accumulate(x, axis=1)],
    "outer": [lambda v, w: np.multiply.outer(v, w), lambda x, v: np.subtract.outer(x, v)],
}


@pytest.mark.parametrize(("name", "k"), [(name, k) for name in REDUCTIONS for k in range(len(REDUCTIONS[name]))], ids=str)
def test_ufunc_methods_are_numpys(name, k):
    call = REDUCTIONS[name][k]
    check(call, call, arguments(call, FIXTURES))


@pytest.mark.parametrize("mixed", [
    lambda a, x: a * x, lambda a, x: a + x, lambda a, x: a - x, lambda a, x: a / x, lambda a, x: a ** x, lambda a, x: np.float64(2) * x,
    lambda a, x: np.float32(2) - x, lambda a, x: a @ x.T, lambda a, x: np.add(a, x), lambda a, x: np.stack([a, x]), lambda a, x: a < x,
    lambda a, x: np.where(a > 0.3, x, a), lambda a, x: np.add(x, 1), lambda a, x: np.int64(2) ** x, lambda a, x: np.array(2.0) * x,
])
def test_constants_on_either_side(mixed):
    a, x = np.abs(FIXTURES["x"]) + 0.1, np.abs(FIXTURES["y"]) + 0.2
    check(lambda v: mixed(a, v), lambda v: mixed(a, v), [x], differentiable=mixed(a, x).dtype.kind == "f")


def test_labels_are_kept():
    x = gl.dlarray(FIXTURES["x"], "CB")
    assert np.sin(x).dims == "CB" and np.sum(x, axis=0).dims == "B" and np.sum(x, axis="C").dims == "B" and np.zeros_like(x).dims == "CB"
    assert (FIXTURES["x"] * x).dims == "CB" and np.add.reduce(x).dims == "B" and np.transpose(x).dims == "BC" and np.maximum(x, 0).dims == "CB"
    assert np.ones_like(x, shape=(2,)).dims == ""
    with pytest.raises(gl.ShapeError, match=r"2\(C\)"):
        np.add(gl.dlarray(np.ones((2, 1)), "CB"), np.ones(3))


def test_types_follow_the_operations():
    x = gl.dlarray(FIXTURES["x"], dtype="float32")
    assert str(np.sin(x).dtype) == "torch.float32" and str((np.float64(2) * x).dtype) == "torch.float32"
    assert str(np.sum(x, dtype=np.float64).dtype) == "torch.float64" and str(np.add(x, x, dtype="float64").dtype) == "torch.float64"


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: np.spacing(x), ["np.spacing", "extractdata"]),
    (lambda x: np.histogram(x), ["np.histogram", "extractdata"]),
    (lambda x: np.linalg.lstsq(x, x), ["gl.linalg.lstsq"]),
    (lambda x: np.add(x, 1, out=np.zeros((2, 3))), ["np.add", "out=", "a = a + x"]),
    (lambda x: np.sum(x, axis=0, out=np.zeros(3)), ["np.sum", "out="]),
    (lambda x: np.max(x, where=np.ones((2, 3), bool)), ["np.max", "where", "initial=number"]),
    (lambda x: np.sin(x, where=np.ones((2, 3), bool)), ["np.sin", "where"]),
    (lambda x: np.add.at(np.zeros((2, 3)), (0, 0), x), ["np.add.at", "x[i] = x[i] + v"]),
    (lambda x: np.add.reduceat(x, [0, 1]), ["np.add.reduceat", "np.sum"]),
    (lambda x: np.arctan2.reduce(x), ["np.arctan2.reduce", "np.sum"]),
    (lambda x: np.percentile(x, 30, weights=x), ["np.percentile", "weights", "leave weights out"]),
    (lambda x: np.pad(x, 1, mode=lambda row, widths, axis, options: None), ["np.pad", "mode", "np.concatenate"]),
    (lambda x: np.pad(x, 1, mode="mean", end_values=1.0), ["np.pad", "'mean'", "leave end_values out"]),
    (lambda x: np.spacing(x), ["np.spacing has no operation", "extractdata"]),
    (lambda x: np.emath.sqrt(x), ["np.emath.sqrt has no operation"]),
    (lambda x: np.histogram(x), ["np.histogram has no operation"]),
    (lambda x: np.put(x, [0], 1.0), ["np.put has no operation"]),
    (lambda x: np.frompyfunc(lambda a: a * 2, 1, 1)(x), ["the ufunc <lambda>"]),
    (lambda x: np.split(x, 2, axis=1), ["np.split", "array_split"]),
    (lambda x: np.take(x, [7], mode="nearest"), ["np.take", "mode"]),
])
def test_what_has_no_operation_says_so(call, words):
    def fun(x):
        with pytest.raises(gl.TypeRefused) as caught:
            call(x)
        return str(caught.value)

    message = gl.dlfeval(fun, gl.dlarray(FIXTURES["x"]))
    assert all(word in message for word in [*words, "test_numpy_protocol.py"]), message


@pytest.mark.parametrize("call", [
    lambda x: np.lexsort((x[0], x[1])), lambda x: np.argpartition(x, 1), lambda x: np.diag_indices_from(x[:, :2]), lambda x: np.array_repr(x),
    lambda x: np.array2string(x), lambda x: np.common_type(x), lambda x: np.may_share_memory(x, x), lambda x: np.ravel_multi_index(np.nonzero(x), (2, 3)),
])
def test_positions_text_and_types_carry_no_derivative(call):
    """Of a traced array as of any other: what has no operation is computed of the values."""
    x = FIXTURES["x"]
    found, expected = gl.dlfeval(lambda x: call(x), gl.dlarray(x)), call(x)
    if isinstance(expected, str):
        assert found.replace("dlarray", "array") == expected
    else:
        np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("call", [lambda z: np.unique(z), lambda z: np.unique(z, equal_nan=False), lambda z: np.unique(z, axis=1, return_counts=True),
                                  lambda z: np.pad(np.astype(np.nan_to_num(z * 9), np.int64), (2, 3), mode="mean"), lambda z: np.frexp(z * 1e-310)])
def test_values_alone(call):
    z = FIXTURES["z"]
    for found, expected in zip(leaves(gl.dlfeval(call, gl.dlarray(z))), leaves(call(z)), strict=True):
        np.testing.assert_array_equal(numbers(found), expected)
        assert numbers(found).dtype == expected.dtype


def test_a_ufunc_is_told_by_what_it_is():
    """Somebody's ufunc that is called `sigmoid`, or SciPy's `huber`, is not the operation of the name."""
    scipy_special, numba = pytest.importorskip("scipy.special"), pytest.importorskip("numba")
    mine = numba.vectorize(["float64(float64)"])(lambda x: x * 100)
    named = numba.vectorize(["float64(float64)"])(_sigmoid)
    x, delta = FIXTURES["v"], np.array([0.1, 1.0, 0.3])
    for ufunc in (mine, named):
        np.testing.assert_array_equal(ufunc(gl.dlarray(x)), ufunc(x))
        with pytest.raises(gl.TypeRefused, match=f"the ufunc {ufunc.__name__} has no operation"):
            gl.dlfeval(ufunc, gl.dlarray(x))
    check(lambda d, x: scipy_special.huber(d, x), scipy_special.huber, [delta, x])


def _sigmoid(x):
    return x * 100


_sigmoid.__name__ = _sigmoid.__qualname__ = "sigmoid"


def test_writes_give_the_handle_a_new_value():
    """As x[i] = v does: recorded, and nobody else's array is changed."""
    x, v = FIXTURES["m"], FIXTURES["v"]
    places = np.array([[2], [0], [1]])

    def write(x, v):
        a, b, c = x * 1, x * 1, x * 1
        np.fill_diagonal(a, v)
        np.put_along_axis(b, places, v[:, None] ** 2, 1)
        np.copyto(c, v * 2)
        return np.stack([a, b, c])

    def weighted(x, v):
        return np.sum(write(x, v) ** 2 * np.arange(1.0, 28.0).reshape(3, 3, 3))

    kept = gl.dlarray(x)
    y, g = gl.dlfeval(lambda x, v: (write(x, v), gl.dlgradient(weighted(x, v), x, v)), kept, gl.dlarray(v))
    np.testing.assert_array_equal(np.asarray(y), write(x, v))
    np.testing.assert_array_equal(np.asarray(kept), x)
    for k, at in enumerate((x, v)):
        for place in np.ndindex(at.shape):
            step = np.zeros_like(at)
            step[place] = 1e-6
            ends = [weighted(x + (k == 0) * s * (step if k == 0 else 0), v + (k == 1) * s * (step if k == 1 else 0)) for s in (1, -1)]
            assert np.asarray(g[k])[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_types_and_indices_are_numpys():
    x = gl.dlarray(FIXTURES["x"])
    assert np.result_type(x, np.float32(1)) == np.float64 and np.result_type(gl.ones(2, dtype="float32")) == np.float32
    for function in (np.tril_indices_from, np.triu_indices_from):
        assert all((a == b).all() for a, b in zip(function(x, 1), function(FIXTURES["x"], 1), strict=True))


def test_nan_of_integers_and_of_nothing_else():
    whole = gl.dlarray([3, 1, 2], dtype="int64")
    assert np.nanmax(whole).tolist() == 3 and np.nanargmin(whole).tolist() == 1 and np.nanmean(whole).item() == 2
    with pytest.warns(RuntimeWarning):
        np.nanmax(np.array([np.nan]))
    assert np.isnan(np.nanmax(gl.dlarray([np.nan])).item()) and np.isnan(np.nanmedian(gl.dlarray([np.nan])).item())
    with pytest.raises(ValueError, match="np.nanargmax where all are NaN"):
        np.nanargmax(gl.dlarray([[np.nan, np.nan], [1.0, 2.0]]), axis=1)
    with pytest.raises(gl.ShapeError, match="needs q from 0 to 1"):
        np.nanquantile(gl.dlarray([1.0]), 30)
    with pytest.raises(gl.ShapeError, match="np.choose among 2 arrays needs indices from 0 to 1"):
        np.choose(gl.dlarray([0, 2], dtype="int64"), [gl.ones(2), gl.ones(2)])
    with pytest.raises(gl.ShapeError, match="2 conditions and 1 functions"):
        np.piecewise(gl.ones(2), [np.array([True, False])] * 2, [np.sin])


def test_in_place_on_an_array_of_numpy_is_refused():
    def fun(x):
        a = np.zeros(2)
        with pytest.raises(TypeError):
            a += x
        with pytest.raises((gl.TraceError, ValueError)):
            a[0] = x[0]
        assert a.tolist() == [0, 0]

    gl.dlfeval(fun, gl.dlarray([1.0, 2.0]))


def test_untraced_arrays_are_constants_for_the_rest_of_numpy():
    x = gl.dlarray(FIXTURES["x"])
    assert np.array_equal(np.spacing(x), np.spacing(FIXTURES["x"])) and isinstance(np.roots(x[0]), np.ndarray)
    captured = gl.dlfeval(lambda y: np.spacing(x), gl.dlarray(1.0))
    assert np.array_equal(captured, np.spacing(FIXTURES["x"]))
    i = gl.dlarray([3, 5], dtype="int64")
    assert np.gcd(i, 15).tolist() == [3, 5]
    np.testing.assert_array_equal(x, FIXTURES["x"])
    np.testing.assert_allclose(np.sin(x), np.sin(FIXTURES["x"]))
    with pytest.raises(AssertionError):
        np.testing.assert_array_almost_equal(x, FIXTURES["x"] + 1)


def test_degenerate_points():
    def curvature(x):
        y = np.sinc(x)
        return y, gl.hvp(gl.sum(y), x, np.ones(3))

    y, second = gl.dlfeval(curvature, gl.dlarray([0.0, 1e-9, 0.02]))
    np.testing.assert_allclose(gl.extractdata(y), np.sinc([0.0, 1e-9, 0.02]), rtol=1e-15)
    z = np.pi * 0.02
    np.testing.assert_allclose(gl.extractdata(second), [-np.pi ** 2 / 3, -np.pi ** 2 / 3, np.pi ** 2 * (-1 / 3 + z ** 2 / 10 - z ** 4 / 168)], rtol=1e-9)
    slope = gl.dlfeval(lambda a: gl.dlgradient(gl.sum(np.logaddexp2(a, a)), a), gl.dlarray([-1e4, 0.0, 1e4, -np.inf]))
    np.testing.assert_allclose(gl.extractdata(slope)[:3], 1)
    assert np.isneginf(gl.extractdata(np.logaddexp2(gl.dlarray(-np.inf), -np.inf)))


def test_conversions_still_refuse():
    def fun(x):
        for convert in (np.asarray, np.array, lambda v: np.array([v, v]), lambda v: np.ndarray.sum(v), lambda v: np.testing.assert_allclose(v, 1)):
            with pytest.raises((gl.TraceError, TypeError)):
                convert(x)

    gl.dlfeval(fun, gl.dlarray(1.0))


def test_a_function_of_numpy_is_a_function_of_ours():
    """Rosenbrock's function as SciPy's users write it."""
    def rosenbrock(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0, axis=0)

    from scipy.optimize import rosen_der, rosen_hess
    point = np.array([1.3, 0.7, 0.8, 1.9])
    value, gradient = gl.value_and_gradient(rosenbrock)(point)
    np.testing.assert_allclose(gradient, rosen_der(point))
    hessian = [gl.dlfeval(lambda x, v: gl.hvp(rosenbrock(x), x, v), gl.dlarray(point), row) for row in np.eye(4)]
    np.testing.assert_allclose(np.stack([gl.extractdata(h) for h in hessian]), rosen_hess(point))
    assert value == pytest.approx(rosenbrock(point))


@pytest.mark.parametrize("way", [
    lambda x: np.nanmedian(x, axis=0), lambda x: np.nanquantile(x, [0.1, 0.5]), lambda x: np.nanpercentile(x, 30, axis=1),
    lambda x: np.correlate(x[0, :3], x[1], "same"), lambda x: np.correlate(x[0, :3] * 1j, x[1] * (1 + 2j), "same"), lambda x: np.correlate(x[1], x[0, :2], "same"),
    lambda x: np.insert(x, [1], np.arange(8).reshape(2, 4), axis=0), lambda x: np.insert(x, 1, np.arange(4).reshape(2, 2), axis=1),
    lambda x: np.var(x, axis=()), lambda x: np.std(x, axis=(), keepdims=True), lambda x: np.var(x * 1j, axis=()),
    lambda x: np.diff(x, n=0, prepend=0)])
def test_what_differs_only_in_odd_cases(way):
    """Integers that are halved, operands in the other order, several rows in one place, no axes."""
    x = np.array([[3, 1, 7, 2], [4, 4, 0, 9]])
    y, expected = gl.extractdata(way(gl.dlarray(x))), way(x)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected)


def test_positions_are_spread_over_the_array_that_is_written_to():
    x, places = np.arange(12.0).reshape(3, 4), np.array([[0, -1]])
    y, expected = gl.dlarray(x), x.copy()
    np.put_along_axis(y, places, 7.0, axis=1)
    np.put_along_axis(expected, places, 7.0, axis=1)
    np.testing.assert_array_equal(gl.extractdata(y), expected)

    def fun(x):
        z = x.copy()
        np.put_along_axis(z, places, gl.sum(x), axis=-1)
        return gl.dlgradient(gl.sum(z), x)

    np.testing.assert_array_equal(gl.extractdata(gl.dlfeval(fun, gl.dlarray(x))), [[6, 7, 7, 6]] * 3)


@pytest.mark.parametrize("mode", ["constant", "edge", "wrap"])
@pytest.mark.parametrize("widths", [1.5, True, [(0.5, 1.0), (1.0, 1.0)]])
def test_widths_are_integers(widths, mode):
    for pad in (np.pad, gl.pad):
        with pytest.raises(gl.ShapeError, match="pad of 2 x 3"):
            pad(gl.dlarray(np.ones((2, 3))), widths, mode=mode)


OF_NOTHING = {
    **{name: lambda x, name=name, **options: getattr(np, name)(x, **options)
       for name in ["sum", "prod", "mean", "var", "std", "any", "all", "max", "min", "ptp", "median", "nansum", "nanprod", "nanmean", "count_nonzero", "argmax"]},
    **{f"norm, ord {o}": lambda x, o=o, **options: np.linalg.vector_norm(x, ord=o, **options) for o in (0, 0.5, 1, 2, 3, math.inf, -math.inf)},
    **{name: lambda x, name=name, axis=None, keepdims=False: getattr(np, name)(x, axis=axis) for name in ["cumsum", "cumprod", "sort", "flip"]},
    "quantile": lambda x, **options: np.quantile(x, [0.2, 0.5], **options),
    "diff": lambda x, axis=None, keepdims=False: np.diff(x, axis=-1 if axis is None else axis),
}
REFUSED_OF_NOTHING = {"norm, ord inf", "norm, ord -inf", "median", "quantile"}  # the largest of nothing, the middle of nothing


@pytest.mark.parametrize("name", OF_NOTHING)
def test_reductions_of_no_elements_have_numpys_shapes_and_numbers(name):
    checked = 0
    for shape in ((0,), (2, 0), (0, 3), (2, 0, 1)):
        for axis in (None, *range(len(shape))):
            for keepdims in (False, True):
                x = np.zeros(shape)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        expected = OF_NOTHING[name](x, axis=axis, keepdims=keepdims)
                    except (ValueError, IndexError):
                        continue  # NumPy has none either
                try:
                    found = OF_NOTHING[name](gl.dlarray(x), axis=axis, keepdims=keepdims)
                except gl.ShapeError:
                    assert name in REFUSED_OF_NOTHING, f"{name}, {shape}, axis={axis}"
                    continue
                np.testing.assert_array_equal(numbers(found), expected, err_msg=f"{name}, {shape}, axis={axis}, keepdims={keepdims}")
                assert numbers(found).shape == np.shape(expected), f"{name}, {shape}, axis={axis}, keepdims={keepdims}"
                checked += 1
    assert checked
