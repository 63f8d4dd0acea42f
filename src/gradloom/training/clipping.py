"""Clipping of gradients: what is larger than a threshold is made as large as it."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..core.array import dlarray
from ..core.declare import discrete
from ..core.errors import TypeRefused, line_of, user_site
from ..core.trace import live
from ..machine.dtypes import HALF, REAL_OF, Tensor
from ..operations.elementwise.arithmetic import astype, imag, real
from ..operations.elementwise.choice import where
from ..operations.elementwise.mathematics import sqrt
from ..operations.sums.reduction import sum as sum_of
from ..vocabulary.misspelled import nearest
from .parameters import Parameters

_made = dlarray._made


def _norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The L2 norm of each, halves in single precision."""
    return [torch.linalg.vector_norm(x, dtype=_wide(x.dtype)) for x in tensors]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in HALF else dtype


def _factors(norms: Tensor, threshold: float) -> Tensor:
    """What brings arrays of these norms to the threshold; 1 for those below it."""
    return torch.where(norms > threshold, threshold / norms, torch.ones_like(norms))


def each_norm(*tensors: Tensor, threshold: float) -> tuple[Tensor, ...]:
    """Each array scaled by its own norm."""
    return tuple([x * _factors(norm, threshold).to(x.dtype) for x, norm in zip(tensors, _norms(tensors), strict=True)])


def joint_norm(*tensors: Tensor, threshold: float) -> tuple[Tensor, ...]:
    """All arrays scaled by the norm of all their numbers."""
    whole = torch.linalg.vector_norm(torch.stack([norm.to(torch.float64) for norm in _norms(tensors)]))
    factor = _factors(whole, threshold)
    return tuple([x * factor.to(REAL_OF.get(x.dtype, x.dtype)) for x in tensors])


def each_number(*tensors: Tensor, threshold: float) -> tuple[Tensor, ...]:
    """Each number by its own size; complex ones keep their direction."""
    return tuple([x * _factors(x.abs(), threshold) if x.is_complex() else x.clamp(-threshold, threshold)
                  for x in tensors])


METHODS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "l2norm": each_norm, "global-l2norm": joint_norm, "absolute-value": each_number}
CLIPPED = {method: discrete(f"clip_gradients_{method.replace('-', '_')}", kernel) for method, kernel in METHODS.items()}


def _recorded(arrays: Sequence[Any], threshold: float, method: str) -> list[Any]:
    """The same in operations; squares in double precision, where halves do not overflow."""
    def size(x: Any) -> Any:
        if not x.dtype.is_complex:
            return astype(x, torch.float64) ** 2
        return astype(real(x), torch.float64) ** 2 + astype(imag(x), torch.float64) ** 2

    def scaled(x: Any, square: Any) -> Any:
        large = square > threshold ** 2
        factor = where(large, threshold / sqrt(where(large, square, 1.0)), 1.0)
        return x * astype(factor, REAL_OF.get(x.dtype, x.dtype))

    if method == "absolute-value":
        return [scaled(x, size(x)) for x in arrays]
    squares = [sum_of(_unlabelled(size(x))) for x in arrays]
    whole: Any = None
    for square in squares if method == "global-l2norm" else ():
        whole = square if whole is None else whole + square
    return [scaled(x, square if whole is None else whole) for x, square in zip(arrays, squares, strict=True)]


def _unlabelled(x: Any) -> Any:
    return _made(x._value, x._node, None)


def clip_gradients(gradients: Any, threshold: float, method: str = "l2norm") -> Any:
    """Gradients of which none is larger than `threshold`: a container like the one given.

    method "l2norm" scales each array whose L2 norm is larger down to the threshold; "global-l2norm" scales all arrays
    by one factor where the norm of all their numbers is larger; "absolute-value" brings each number into [-threshold,
    threshold]. An infinite threshold changes nothing.

    Raises TypeRefused for a threshold that is not positive, and for another method.

    >>> import gradloom as gl
    >>> g = {"w": gl.dlarray([3.0, 4.0]), "b": gl.dlarray([0.0, 12.0])}
    >>> gl.clip_gradients(g, 2.5)["w"]
    2 dlarray float64
    [1.5 2. ]
    >>> gl.clip_gradients(g, 6.5, "global-l2norm")["b"]
    2 dlarray float64
    [0. 6.]

    Source: Pascanu, Mikolov, Bengio 2013; MATLAB trainingOptions, GradientThresholdMethod.
    """
    if method not in METHODS:
        raise TypeRefused(f"clip_gradients has no method {method!r}{nearest(str(method), METHODS)}, at "
                          f"{line_of(user_site())}; write one of {', '.join(METHODS)}")
    threshold = float(threshold)
    if not threshold > 0:
        raise TypeRefused(f"a threshold of gradients is positive, not {threshold!r}, at {line_of(user_site())}; write "
                          "float(\"inf\") for none")
    p = Parameters(gradients, "clip_gradients")
    if not p.arrays or threshold == float("inf"):
        return gradients
    if any([x._node is not None and live(x._node) is not None for x in p.arrays]):
        return p.refilled([_made(x._value, x._node, old._labels) for x, old in
                           zip(_recorded(p.arrays, threshold, method), p.arrays, strict=True)])
    found = CLIPPED[method].apply([x._value for x in p.arrays], {"threshold": threshold})
    return p.refilled([_made(x, None, old._labels) for x, old in zip(found, p.arrays, strict=True)])


__all__ = ["clip_gradients"]
