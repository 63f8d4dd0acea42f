"""ATen's pointwise operations and reductions as functions of dlarrays. The argument names are ATen's."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..core.array import dlarray, raw
from ..core.operation import PUBLIC
from .aten import RULES, carries, detached
from .protocol import gl

_made = dlarray._made


def rule(*names: str) -> Callable[[Any], Any]:
    """The function answers the ATen operations of these names: `sum`, one overload `sum.dim_IntList`, torch's primitive `prims.sum`."""

    def tie(function: Any) -> Any:
        for name in names:
            RULES[name] = function
        return function

    return tie


def named(theirs: str, ours: str) -> None:
    """An ATen operation that is a public function under another name; where that is not there, torch's decomposition is taken."""
    RULES[theirs] = lambda *args: PUBLIC[ours](*args) if ours in PUBLIC else NotImplemented


def constant(x: torch.Tensor) -> dlarray:
    """A tensor made here as an array that carries no derivative."""
    return _made(x, None, None)


def axes(dim: Any) -> Any:
    """ATen's dim as axis: none or an empty list are all."""
    if dim is None or isinstance(dim, (list, tuple)) and not dim:
        return None
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def cast(x: Any, dtype: Any) -> Any:
    """The array in another type, where one is asked for."""
    if dtype is None or x.dtype is dtype:
        return x
    return gl.astype(gl.real(x) if x.dtype.is_complex and not dtype.is_complex else x, dtype)


# ----- pointwise -----

_SAME = """
abs acos acosh asin asinh atan atanh atan2 cos cosh digamma erf erfc erfinv exp exp2 expm1 hypot log log10 log1p log2 logaddexp logaddexp2 maximum
minimum reciprocal relu rsqrt sigmoid silu sin sinc sinh sqrt square tan tanh angle
"""
for _name in _SAME.split():
    named(_name, _name)
for _theirs, _ours in {"neg": "negative", "sgn": "sign", "sign": "sign", "fmax": "maximum", "fmin": "minimum", "pow": "power", "remainder": "mod",
                       "_conj": "conj", "_conj_physical": "conj", "conj_physical": "conj", "real": "real", "imag": "imag", "complex": "complex",
                       "positive": "positive", "prims.conj": "conj", "special_erfcx": "erfcx", "lgamma": "gammaln", "prims.lgamma": "gammaln",
                       "prims.erf_inv": "erfinv", "prims.erfcx": "erfcx"}.items():
    named(_theirs, _ours)


@rule("add")
def _add(a: Any, b: Any, *, alpha: Any = 1) -> Any:
    return gl.add(a, b if alpha == 1 else gl.multiply(b, alpha))


@rule("sub")
def _sub(a: Any, b: Any, *, alpha: Any = 1) -> Any:
    return gl.subtract(a, b if alpha == 1 else gl.multiply(b, alpha))


@rule("rsub")
def _rsub(a: Any, b: Any, alpha: Any = 1) -> Any:
    return gl.subtract(b, a if alpha == 1 else gl.multiply(a, alpha))


@rule("mul")
def _mul(a: Any, b: Any) -> Any:
    return gl.multiply(a, b)


@rule("div")
def _div(a: Any, b: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is not None:
        return constant(torch.div(raw(a), raw(b), rounding_mode=rounding_mode))
    return gl.divide(a, b)


@rule("polar")
def _polar(a: Any, b: Any) -> Any:
    return gl.complex(a * gl.cos(b), a * gl.sin(b))


@rule("fmod")
def _fmod(a: Any, b: Any) -> Any:
    """a - trunc(a / b) b, with torch's own value."""
    a_raw, b_raw = raw(a), raw(b)
    value = torch.fmod(a_raw, b_raw)
    b = b if type(b) is dlarray else constant(torch.as_tensor(b, dtype=a.dtype, device=a.device))
    return constant(value) + (a - detached(a)) - constant(torch.trunc(a_raw / b_raw)) * (b - detached(b))


@rule("frac")
def _frac(x: Any) -> Any:
    return x - constant(torch.trunc(x._value))


@rule("addcmul")
def _addcmul(x: Any, a: Any, b: Any, *, value: Any = 1) -> Any:
    return _add(x, gl.multiply(a, b), alpha=value)


@rule("addcdiv")
def _addcdiv(x: Any, a: Any, b: Any, *, value: Any = 1) -> Any:
    return _add(x, gl.divide(a, b), alpha=value)


@rule("clamp", "clip")
def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    return gl.clip(x, min, max)


@rule("clamp_min")
def _clamp_min(x: Any, min: Any) -> Any:
    return gl.clip(x, min, None)


@rule("clamp_max")
def _clamp_max(x: Any, max: Any) -> Any:
    return gl.clip(x, None, max)


@rule("hardtanh")
def _hardtanh(x: Any, min_val: Any = -1, max_val: Any = 1) -> Any:
    """Torch's derivative on the bounds is 0."""
    inside = (x._value > min_val) & (x._value < max_val)
    return gl.where(constant(inside), x, constant(x._value.clamp(min_val, max_val)))


@rule("relu6")
def _relu6(x: Any) -> Any:
    return _hardtanh(x, 0, 6)


@rule("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar", "prims.where")
def _where(condition: Any, a: Any, b: Any) -> Any:
    return gl.where(condition, a, b)


@rule("masked_fill")
def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    return gl.where(mask, cast(value, x.dtype) if type(value) is dlarray else value, x)


@rule("gelu")
def _gelu(x: Any, *, approximate: str = "none") -> Any:
    return gl.gelu(x, approximation=approximate)


@rule("leaky_relu")
def _leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    return gl.leakyrelu(x, negative_slope)


@rule("elu")
def _elu(x: Any, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Any:
    if input_scale != 1:
        return NotImplemented
    y = gl.elu(x, alpha)
    return y if scale == 1 else y * scale


@rule("multilabel_margin_loss_forward")
def _multilabel_margin(x: Any, target: Any, reduction: int) -> Any:
    """Torch's own decomposition counts what follows the first -1."""
    rows, where = (x, target._value) if x.ndim == 2 else (gl.reshape(x, (1, -1)), target._value.reshape(1, -1))
    n = rows.shape[1]
    listed = (where >= 0).cumprod(1).bool()
    place = where.clamp(min=0)
    chosen = torch.zeros(tuple(rows.shape), dtype=torch.int64, device=x.device).scatter_add_(1, place, listed.to(torch.int64)) > 0
    at = gl.take_along_axis(rows, constant(place), axis=1)
    margins = gl.relu(1 - gl.expand_dims(at, axis=2) + gl.expand_dims(rows, axis=1))
    counted = gl.where(constant(listed[:, :, None] & ~chosen[:, None, :]), margins, 0.0)
    y = gl.sum(counted, axis=(1, 2)) / n
    y = (y if x.ndim == 2 else y[0]) if reduction == 0 else gl.mean(y) if reduction == 1 else gl.sum(y)
    return y, constant(chosen.to(x.dtype).reshape(target.shape))


@rule("celu")
def _celu(x: Any, alpha: Any = 1.0) -> Any:
    """alpha (exp(x / alpha) - 1) below 0."""
    low = gl.where(constant(x._value > 0), 0.0, x)
    return gl.where(constant(x._value > 0), x, alpha * gl.expm1(low / alpha))


@rule("softplus")
def _softplus(x: Any, beta: Any = 1, threshold: Any = 20) -> Any:
    y = gl.softplus(x if beta == 1 else x * beta)
    y = y if beta == 1 else y / beta
    beyond = x._value * beta > threshold
    return gl.where(constant(beyond), x, y) if bool(beyond.any()) else y


@rule("log_sigmoid_forward")
def _log_sigmoid(x: Any) -> Any:
    return -gl.softplus(-x), constant(x._value.new_empty(0))


@rule("_prelu_kernel")
def _prelu(x: Any, weight: Any) -> Any:
    return gl.where(constant(x._value > 0), x, weight * x)


@rule("polygamma")
def _polygamma(n: int, x: Any) -> Any:
    return PUBLIC["polygamma"](n, x) if "polygamma" in PUBLIC else gl.digamma(x) if n == 0 else NotImplemented


@rule("_to_copy", "prims.convert_element_type")
def _to_copy(x: Any, dtype: Any = None, *, layout: Any = None, device: Any = None, pin_memory: Any = None, non_blocking: bool = False,
             memory_format: Any = None) -> Any:
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        return constant(x._value.to(device=device, dtype=dtype))
    x = cast(x, dtype)
    return x.to(device=device) if device is not None and torch.device(device) != x.device else x


@rule("detach", "alias_detach")
def _detach(x: Any) -> Any:
    return detached(x)


@rule("bernoulli_")
def _bernoulli(x: Any, p: Any = 0.5) -> Any:
    return gl.bernoulli(p, tuple(x.shape), dtype=x.dtype, device=x.device)


@rule("uniform_")
def _uniform(x: Any, low: float = 0.0, high: float = 1.0) -> Any:
    return gl.rand(tuple(x.shape), dtype=x.dtype, device=x.device) * (high - low) + low


@rule("normal_")
def _normal(x: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    return gl.randn(tuple(x.shape), dtype=x.dtype, device=x.device) * std + mean


# ----- reductions -----


@rule("sum")
def total(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return gl.sum(cast(x, dtype), axis=axes(dim), keepdims=keepdim)


@rule("mean")
def _mean(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return gl.mean(cast(x, dtype), axis=axes(dim), keepdims=keepdim)


@rule("prod")
def _prod(x: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return gl.prod(cast(x, dtype), axis=axes(dim), keepdims=keepdim)


@rule("amax")
def _amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return gl.max(x, axis=axes(dim), keepdims=keepdim)


@rule("amin")
def _amin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return gl.min(x, axis=axes(dim), keepdims=keepdim)


@rule("aminmax")
def _aminmax(x: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    return _amin(x, dim, keepdim), _amax(x, dim, keepdim)


@rule("var.correction", "prims.var")
def _var(x: Any, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    return gl.var(x, axis=axes(dim), correction=1 if correction is None else correction, keepdims=keepdim)


@rule("std.correction")
def _std(x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Any:
    return gl.std(x, axis=axes(dim), correction=1 if correction is None else correction, keepdims=keepdim)


@rule("var_mean.correction")
def _var_mean(x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Any:
    return _var(x, dim, correction, keepdim), _mean(x, dim, keepdim)


@rule("std_mean.correction")
def _std_mean(x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Any:
    return _std(x, dim, correction=correction, keepdim=keepdim), _mean(x, dim, keepdim)


@rule("logsumexp")
def _logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    return gl.logsumexp(x, axis=axes(dim), keepdims=keepdim)


@rule("norm", "linalg_vector_norm")
def _norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    ord = 2 if ord is None else ord
    x = cast(x, dtype)
    if ord == 1:
        return gl.sum(gl.abs(x), axis=axes(dim), keepdims=keepdim)
    return gl.vector_norm(x, axis=axes(dim), keepdims=keepdim, ord=float(ord))


@rule("cumsum")
def _cumsum(x: Any, dim: int, *, dtype: Any = None) -> Any:
    return gl.cumulative_sum(cast(x, dtype), axis=dim) if x.ndim else x


@rule("cumprod")
def _cumprod(x: Any, dim: int, *, dtype: Any = None) -> Any:
    return gl.cumulative_prod(cast(x, dtype), axis=dim) if x.ndim else x


@rule("logcumsumexp")
def _logcumsumexp(x: Any, dim: int) -> Any:
    """Step by step, each stable by itself."""
    if not x.ndim:
        return x
    parts = [gl.take(x, [k], axis=dim) for k in range(x.shape[dim])]
    for k in range(1, len(parts)):
        parts[k] = gl.logsumexp(gl.concat([parts[k - 1], parts[k]], axis=dim), axis=dim, keepdims=True)
    return gl.concat(parts, axis=dim)


@rule("_softmax", "_safe_softmax")
def _softmax(x: Any, dim: int, half_to_float: Any = False) -> Any:
    x = cast(x, half_to_float if isinstance(half_to_float, torch.dtype) else torch.float32 if half_to_float else None)
    return gl.softmax(x, axis=dim) if x.ndim else gl.exp(x - x)


@rule("_log_softmax")
def _log_softmax(x: Any, dim: int, half_to_float: bool = False) -> Any:
    return gl.log_softmax(cast(x, torch.float32 if half_to_float else None), axis=dim) if x.ndim else x - x


@rule("_cdist_forward")
def _cdist(a: Any, b: Any, p: float, mode: Any) -> Any:
    d = gl.expand_dims(a, axis=-2) - gl.expand_dims(b, axis=-3)
    return _norm(d, p, -1)


@rule("_euclidean_dist")
def _euclidean(a: Any, b: Any) -> Any:
    return _cdist(a, b, 2.0, None)


@rule("_pdist_forward")
def _pdist(x: Any, p: float = 2) -> Any:
    i, j = torch.triu_indices(x.shape[0], x.shape[0], 1, device="cpu")
    return _norm(gl.take(x, i, axis=0) - gl.take(x, j, axis=0), p, -1)


__all__ = ["axes", "carries", "cast", "constant", "raw", "rule", "total"]
