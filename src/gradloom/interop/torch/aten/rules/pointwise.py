"""ATen's pointwise operations and reductions as functions of dlarrays. The argument names are ATen's."""
from __future__ import annotations

from typing import Any

import torch

from .....core.array import dlarray, raw
from .....core.errors import TypeRefused, line_of, user_site
from .....core.tables import OPERATIONS
from ....protocol import cast, constant, gl, mantissa_and_exponent
from ...table import FUNCTIONS, RULES, axes, rule
from ..values import carries, detached

_made = dlarray._made


# ----- pointwise -----

RULES["fmax"] = lambda a, b: gl.maximum(a, b)
RULES["fmin"] = lambda a, b: gl.minimum(a, b)


@rule("polar")
def _polar(a: Any, b: Any) -> Any:
    return gl.complex(a * gl.cos(b), a * gl.sin(b))


@rule("multilabel_margin_loss_forward")
def _multilabel_margin(x: Any, target: Any, reduction: int) -> Any:
    """Torch's own decomposition counts what follows the first -1."""
    rows, where = (x, target._value) if x.ndim == 2 else (gl.reshape(x, (1, -1)), target._value.reshape(1, -1))
    n = rows.shape[1]
    listed = (where >= 0).cumprod(1).bool()
    place = where.clamp(min=0)
    chosen = torch.zeros(tuple(rows.shape), dtype=torch.int64,
                         device=x.device).scatter_add_(1, place, listed.to(torch.int64)) > 0
    at = gl.take_along_axis(rows, constant(place), axis=1)
    margins = gl.relu(1 - gl.expand_dims(at, axis=2) + gl.expand_dims(rows, axis=1))
    counted = gl.where(constant(listed[:, :, None] & ~chosen[:, None, :]), margins, 0.0)
    y = gl.sum(counted, axis=(1, 2)) / n
    y = (y if x.ndim == 2 else y[0]) if reduction == 0 else gl.mean(y) if reduction == 1 else gl.sum(y)
    return y, constant(chosen.to(x.dtype).reshape(target.shape))


rule("frexp")(mantissa_and_exponent)


@rule("log_sigmoid_forward")
def _log_sigmoid(x: Any) -> Any:
    return -gl.softplus(-x), constant(x._value.new_empty(0))


@rule("_prelu_kernel")
def _prelu(x: Any, weight: Any) -> Any:
    return gl.where(constant(x._value > 0), x, weight * x)


@rule("_to_copy", "prims.convert_element_type")
def _to_copy(x: Any, dtype: Any = None, *, layout: Any = None, device: Any = None, pin_memory: Any = None,
             non_blocking: bool = False,
             memory_format: Any = None) -> Any:
    if dtype is torch.complex32:
        raise TypeRefused(f"there are no arrays of complex32, at {line_of(user_site())}; write complex64")
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


def total(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The sum over ATen's dim."""
    return gl.sum(x, axis=axes(dim), keepdims=keepdim)


@rule("prims.sum")
def _prims_sum(x: Any, dim: Any = None, *, output_dtype: Any = None) -> Any:
    return total(cast(x, output_dtype), dim)


@rule("aminmax")
def _aminmax(x: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    return FUNCTIONS["amin"](x, dim, keepdim), FUNCTIONS["amax"](x, dim, keepdim)


@rule("prims.var")
def _prims_var(x: Any, dim: Any = None, correction: Any = None, *, output_dtype: Any = None) -> Any:
    return FUNCTIONS["var"](cast(x, output_dtype), dim, correction=correction)


@rule("logcumsumexp")
def _logcumsumexp(x: Any, dim: int) -> Any:
    """Step by step, each stable by itself."""
    if not x.ndim:
        return x
    parts = [gl.take(x, [k], axis=dim) for k in range(x.shape[dim])]
    for k in range(1, len(parts)):
        parts[k] = gl.logsumexp(gl.concat([parts[k - 1], parts[k]], axis=dim), axis=dim, keepdims=True)
    y = gl.concat(parts, axis=dim)
    # torch's branch of the logarithm
    return y + constant(torch.logcumsumexp(raw(x), dim) - raw(y)) if y.dtype.is_complex else y


@rule("_softmax")
def _softmax(x: Any, dim: int, half_to_float: bool = False) -> Any:
    x = cast(x, torch.float32 if half_to_float else None)
    return FUNCTIONS["softmax"](x, dim)


@rule("_safe_softmax")
def _safe_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """0 where the whole row is -infinity, with derivative 0."""
    x = cast(x, dtype)
    y = OPERATIONS["attention_weights"].apply((gl.moveaxis(x, dim, -1) if x.ndim else gl.reshape(x, (1,)),),
                                              {"causal": False})
    return gl.moveaxis(y, -1, dim) if x.ndim else gl.reshape(y, ())


@rule("_log_softmax")
def _log_softmax(x: Any, dim: int, half_to_float: bool = False) -> Any:
    return FUNCTIONS["log_softmax"](x, dim, dtype=torch.float32 if half_to_float else None)


@rule("_cdist_forward")
def _cdist(a: Any, b: Any, p: float, mode: Any) -> Any:
    d = gl.expand_dims(a, axis=-2) - gl.expand_dims(b, axis=-3)
    return FUNCTIONS["norm"](d, p, -1)


@rule("_euclidean_dist")
def _euclidean(a: Any, b: Any) -> Any:
    return _cdist(a, b, 2.0, None)


@rule("_pdist_forward")
def _pdist(x: Any, p: float = 2) -> Any:
    i, j = torch.triu_indices(x.shape[0], x.shape[0], 1, device="cpu")
    return FUNCTIONS["norm"](gl.take(x, i, axis=0) - gl.take(x, j, axis=0), p, -1)


__all__ = ["axes", "carries", "cast", "constant", "raw", "total"]
