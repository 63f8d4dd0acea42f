"""Whether a replayed result is the plain one, and the generators that both begin from."""
from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.containers import flatten
from ..machine.dtypes import Tensor
from ..machine.questions import decided, read
from ..machine.random import random_state, restore_random_state
from .entry import held_by, plain_leaf


def generators() -> Any:
    """Where this thread's generators and torch's are."""
    return random_state(), torch.default_generator.get_state()


def other_generators() -> Any:
    """Where Python's generator and NumPy's are, which a recording does not hear."""
    name, keys, *rest = np.random.get_state()  # type: ignore[misc]
    return random.getstate(), name, np.asarray(keys).tobytes(), rest


def put_back(state: Any) -> None:
    restore_random_state(state[0])
    torch.default_generator.set_state(state[1])


def close(a: Any, b: Any, tolerance: float | None) -> bool:
    """Whether two results are the same but for rounding."""
    pairs = leaves_alike(a, b)
    if pairs is None:
        return False
    sizes = [_largest(q) for _, q in pairs]
    largest = max(sizes, default=0.0)
    return all([_near(p, q, tolerance, size, largest) for (p, q), size in zip(pairs, sizes, strict=True)])


def telling(result: Any) -> bool:
    """Whether a result can show numbers in wrong places: not so where all of an array are one number."""
    arrays = [v for x in flatten(result)[0] for v in held_by(x) if v.numel() > 1]
    return not arrays or any([decided((v != v.reshape(-1)[0]).any()) for v in arrays])


def leaves_alike(a: Any, b: Any) -> list[tuple[Tensor, Tensor]] | None:
    """The tensors of two results side by side; None where something else about them is not the same."""
    (xs, one), (ys, other) = flatten(a), flatten(b)
    if one != other:
        return None
    pairs: list[tuple[Tensor, Tensor]] = []
    for x, y in zip(xs, ys, strict=True):
        held, other_held = held_by(x), held_by(y)
        if type(x) is not type(y) or len(held) != len(other_held) or not held and plain_leaf(x) and repr(x) != repr(y):
            return None
        if type(x) is dlarray and x._labels != y._labels:
            return None
        pairs += zip(held, other_held, strict=True)
    if any([p.shape != q.shape or p.dtype is not q.dtype or p.device != q.device for p, q in pairs]):
        return None
    return pairs


def same_layout(a: Any, b: Any) -> bool:
    """Whether two results lie alike in memory."""
    return all([_strides(p) == _strides(q) for x, y in zip(flatten(a)[0], flatten(b)[0], strict=True)
                for p, q in zip(held_by(x), held_by(y), strict=True)])


def _strides(x: Tensor) -> Any:
    """Of axes with more than one place: those of others mean nothing."""
    if x.layout is not torch.strided or not x.numel():
        return None
    return [t for n, t in zip(x.shape, x.stride(), strict=True) if n > 1]


def _largest(q: Tensor) -> float:
    """The size of a tensor's largest finite number."""
    if q.layout is not torch.strided or not (q.dtype.is_floating_point or q.dtype.is_complex):
        return 0.0
    finite = torch.isfinite(q)
    return read(q[finite].abs().max()) if decided(finite.any()) else 0.0


def _near(p: Tensor, q: Tensor, tolerance: float | None, size: float, largest: float) -> bool:
    """Whether two tensors are the same but for rounding: their own (`size` is that of q), and where they cancel to
    nothing, that of the largest number among the results."""
    if not (p.dtype.is_floating_point or p.dtype.is_complex):
        return torch.equal(p, q)
    eps = torch.finfo(p.dtype).eps
    room = tolerance if tolerance is not None else 100 * eps ** 0.75
    return torch.allclose(p, q, rtol=room, atol=room * size + 64 * eps * largest, equal_nan=True)


__all__ = ["close", "generators", "leaves_alike", "other_generators", "put_back", "same_layout", "telling"]
