"""What linear algebra shares: stacks of matrices in the last two axes, their products, triangles and labels."""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch

from ...core.array import dlarray, labels_of, unlabelled
from ...core.errors import GradloomError, ShapeError, line_of, user_site
from ...core.labels import described, tidy
from ...machine.dtypes import Tensor
from ..elementwise.arithmetic import conj, imag
from ..movement.axes import adjoint, expand_dims
from ..neural.softmax import floating
from ..sums.reduction import sum
from .contraction import matmul_operation, promoted_arrays


class LinAlgError(GradloomError, np.linalg.LinAlgError):
    """A matrix that has no inverse, is not positive definite, or holds NaN."""


def failed(what: str, remedy: str) -> LinAlgError:
    return LinAlgError(f"{what}, at {line_of(user_site())}; {remedy}")


def matrices(x: Any, word: str, square: bool = False) -> Any:
    """A floating array of at least two axes, without labels."""
    x = floating(x)
    if x.ndim < 2:
        raise ShapeError(
            f"{word} takes a matrix in the last two axes, x is {described(x.shape, labels_of(x))}, at "
            f"{line_of(user_site())}; reshape it, or write expand_dims(x, axis=0)")
    if square and x.shape[-1] != x.shape[-2]:
        remedy = "pinv or lstsq" if word in ("inv", "solve") else "x.mT @ x, or another function"
        raise ShapeError(
            f"{word} takes square matrices, x is {described(x.shape, labels_of(x))}, at {line_of(user_site())}; write "
            f"{remedy}")
    return unlabelled(x)


def leading(x: Any, own: int = 2) -> str | None:
    """Labels of a result: those of the leading axes, U for `own` axes of its own."""
    labels = labels_of(x)
    return None if labels is None else tidy(labels[:-2] + "U" * own)


def product(*factors: Any) -> Any:
    """The matrix product of several factors."""
    return functools.reduce(
        lambda a, b: matmul_operation.apply((a, b) if a.dtype is b.dtype else promoted_arrays(a, b)), factors)


def column(x: Any) -> Any:
    """One number for each matrix, to multiply its entries; or one for each row."""
    return expand_dims(x, axis=-1)


def triangle(x: Any, upper: bool, strict: bool = False) -> Any:
    """The entries of x in a triangle, 0 elsewhere."""
    like = torch.ones(x.shape[-2:], dtype=x.dtype, device=x.device)
    return x * (torch.triu(like, int(strict)) if upper else torch.tril(like, -int(strict)))


def hermitian(x: Any) -> Any:
    """(x + x.H) / 2."""
    return (x + adjoint(x)) * 0.5


def constant_like(value: Tensor, x: Any) -> Any:
    """A constant that meets x in an operation."""
    return dlarray._made(value.resolve_conj(), None) if type(x) is dlarray else value


def row(x: Any) -> Any:
    """One number for each column of a matrix."""
    return expand_dims(x, axis=-2)


def diagonal_of(a: Any, b: Any) -> Any:
    """The diagonal of a.H b."""
    return sum(conj(a) * b, axis=-2)


def on_diagonal(x: Any) -> Any:
    """Diagonal matrices."""
    return column(x) * constant_like(torch.eye(x.shape[-1], dtype=x.dtype, device=x.device), x)


def masked(x: Any, mask: Tensor) -> Any:
    return x * constant_like(mask.to(x.dtype), x)


def imaginary_diagonal(x: Any) -> Any:
    return masked(imag(x) * 1j, torch.eye(*x.shape[-2:], device=x.device))


def sample_matrix(n: int, *batch: int, dtype: Any = torch.float64) -> Tensor:
    """Well-conditioned matrices, all different, for the generated tests."""
    x = torch.cos(torch.arange(math.prod(batch) * n * n, dtype=torch.float64, device="cpu")
                  * 1.7 + 0.3).reshape(*batch, n, n)
    if dtype.is_complex:
        x = torch.complex(x, torch.sin(2.3 * x.flatten().cumsum(0)).reshape(x.shape) * 0.7)
    return x + torch.diag(torch.arange(n, dtype=torch.float64, device="cpu") * 1.5 + 2)


def both_types(*shapes: Any) -> list[Tensor]:
    return [sample_matrix(*shape, dtype=dtype) for dtype in (torch.float64, torch.complex128) for shape in shapes]


def sample_side(a: Tensor, k: int) -> Tensor:
    """A right-hand side for it, of its type."""
    x = torch.sin(torch.arange(math.prod(a.shape[:-1]) * k, dtype=torch.float64, device="cpu")
                  * 2.3 + 0.1).reshape(*a.shape[:-1], k)
    return x.to(a.dtype) * (1 + 0.5j if a.is_complex() else 1)
