"""Tridiagonal equations, by cyclic reduction: linear in the size, in a number of array operations that grows with its
logarithm."""
from __future__ import annotations

from typing import Any

import torch

from ...blocks import action
from ...core.declare import general
from ...core.operation import padded
from ...machine.dtypes import Tensor
from ..elementwise.arithmetic import conj
from ..movement.slices import pad_axis, slice_axis
from ..sums.reduction import sum


def _kernel(lower: Tensor, middle: Tensor, upper: Tensor, b: Tensor) -> Tensor:
    return _reduced(_with_row(lower, 0, True), middle, _with_row(upper, 0), b)


def _with_row(a: Tensor, value: float, first: bool = False) -> Tensor:
    row = a.new_full((*a.shape[:-2], 1, a.shape[-1]), value)
    return torch.cat([row, a] if first else [a, row], -2)


def _reduced(lower: Tensor, middle: Tensor, upper: Tensor, b: Tensor) -> Tensor:
    """Odd rows are eliminated from even ones, which are equations of half the size; then each odd one follows from its
    neighbours."""
    n = b.shape[-2]
    if n == 1:
        return b / middle
    odd = [a[..., 1::2, :] for a in (lower, middle, upper, b)]
    even = [a[..., ::2, :] for a in (lower, middle, upper, b)]
    m = even[1].shape[-2]
    # A row before the first and, where n is odd, one after the last, in which nothing is coupled.
    l0, d0, u0, b0 = (_with_row(a, v, True)[..., :m, :] for a, v in zip(odd, (0, 1, 0, 0), strict=True))
    l1, d1, u1, b1 = ((_with_row(a, v) if n % 2 else a) for a, v in zip(odd, (0, 1, 0, 0), strict=True))
    before, after = even[0] / d0, even[2] / d1
    x = _reduced(-before * l0, even[1] - before * u0 - after * l1, -after * u1, even[3] - before * b0 - after * b1)
    following = x[..., 1:, :] if n % 2 else _with_row(x[..., 1:, :], 0)
    between = (odd[3] - odd[0] * x[..., :n // 2, :] - odd[2] * following) / odd[1]
    y = x.new_empty((*x.shape[:-2], n, x.shape[-1]))
    y[..., ::2, :] = x
    y[..., 1::2, :] = between
    return y


def _ends(a: Any) -> tuple[Any, Any]:
    """All but the last row, all but the first."""
    n = a.shape[-2]
    return slice_axis(a, -2, 0, n - 1), slice_axis(a, -2, 1, n)


def _push(lower_dot: Any, middle_dot: Any, upper_dot: Any, b_dot: Any, lower: Any, middle: Any,
          upper: Any, y: Any, lead: Any, y_shape: Any) -> Any:
    rank = len(y_shape)
    first, last = _ends(y)
    side = None if b_dot is None else padded(b_dot, lead, rank)
    for dot, part, rows in ((lower_dot, first, (1, 0)), (middle_dot, y, (0, 0)), (upper_dot, last, (0, 1))):
        if dot is not None:
            term = pad_axis(padded(dot, lead, rank) * part, -2, *rows)
            side = -term if side is None else side - term
    return _tridiagonal.apply((lower, middle, upper, side))


def _pull(y_bar: Any, lower: Any, middle: Any, upper: Any, y: Any, wanted: Any) -> Any:
    b_bar = _tridiagonal.apply((conj(upper), conj(middle), conj(lower), y_bar))
    (bar0, bar1), (y0, y1) = _ends(b_bar), _ends(y)
    pairs = ((bar1, y0), (b_bar, y), (bar0, y1))
    return [*(-sum(bar * conj(part), axis=-1, keepdims=True) if want else None
              for (bar, part), want in zip(pairs, wanted, strict=False)), b_bar]


def _samples() -> list[Any]:
    def bands(n: int, dtype: Any = torch.float64) -> list[Tensor]:
        wave = torch.sin(torch.arange(3 * n, dtype=torch.float64, device="cpu").reshape(3, n, 1)
                         * 1.3 + 0.4).to(dtype) * (1 + 0.3j if dtype.is_complex else 1)
        return [wave[0, 1:], wave[1] + 4, wave[2, 1:]]

    return [*((*bands(n), (n, 2), {}) for n in (4, 5, 1, 2)), (*bands(3), (3, 0), {}), (*bands(7), (3, 7, 1), {}),
            (*bands(3, torch.complex128), torch.ones(3, 2, dtype=torch.complex128, device="cpu"), {})]


def _on_block(operation: Any, inputs: Any, params: Any) -> Any:
    *bands, block = inputs
    return action.through_arrays(block, lambda b, lead: operation.apply((*bands, b)), [block.ndim - 2],
                                 "a solution mixes the rows")


_tridiagonal = general("solve_tridiagonal", _kernel, ("lower", "middle", "upper", "b"), push=_push,
                       pull=_pull, act=_on_block, samples=_samples)


def tridiagonal_solution(lower: Any, middle: Any, upper: Any, b: Any) -> Any:
    """y of A y = b, in rules and composites: A has the columns `middle` (n, 1) on its diagonal, `lower` and `upper` (n
    - 1, 1) beside it.

    b and y are (n, m), n > 0. Nothing is exchanged: A is diagonally dominant, by rows or by columns.
    """
    return _tridiagonal.apply((lower, middle, upper, b))


__all__: list[str] = []
