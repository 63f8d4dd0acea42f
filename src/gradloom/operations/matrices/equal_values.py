"""Values that meet: what is known of eigenvectors and singular vectors where their values are equal, or nearly so.

Two vectors turn into each other by a numerator over the gap between their values. Where that gap is 0 the vectors are
a choice and have no derivative; in what does not depend on the choice the numerator is 0 as well, and the quotient
has a limit. That limit is not known where the vectors are made: it is in what was made of them. So the rules leave
near pairs out, and the walks put them back (derivatives/walks/meetings.py).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...core.array import raw
from ...machine.dtypes import Tensor
from ...machine.questions import decided
from ..elementwise.arithmetic import imag, real
from ..sums.reduction import sum
from .stacks import adjoint, column, constant_like, diagonal_of, hermitian, masked, on_diagonal, product, row

# ----- vectors that are unique but for their phase -----


def largest_entries(u: Any, pivots: Any) -> Any:
    return sum(masked(real(u), raw(pivots)), axis=-2)


def phase_push(u_dot: Any, u: Any, pivots: Any) -> Any:
    """How the phases turn so that the largest entries stay real: times 1j, for each column."""
    return row(sum(masked(imag(u_dot), raw(pivots)), axis=-2) / largest_entries(u, pivots)) * -1j


def phase_pull(turn_bar: Any, u: Any, pivots: Any) -> Any:
    return masked(row(turn_bar / largest_entries(u, pivots)) * -1j, raw(pivots))


# ----- gaps -----


class Meeting:
    """The rules of an operation whose outputs are values and their vectors, by kinds of gaps.

    `gaps` are linear in the values; `numerators` (of cotangents; None where there is none) and `turns` (of a tangent)
    are one array for each kind, in the shape of its gaps; `assembled` and `turned` make of the quotients the
    cotangent of x and the tangents of the outputs.
    """

    values = 0  # which output the values are
    vectors: tuple[int, ...] = ()  # and the vectors

    def gaps(self, s: Any, y: Sequence[Any]) -> list[Any]:
        raise NotImplementedError

    def idle(self, y: Sequence[Any]) -> list[bool]:
        """Of each kind, whether its diagonal holds no pairs."""
        raise NotImplementedError

    def numerators(self, y: Sequence[Any], bars: Sequence[Any], pivots: Any) -> list[Any]:
        raise NotImplementedError

    def assembled(self, y: Sequence[Any], quotients: Sequence[Any], values_bar: Any = None) -> Any:
        raise NotImplementedError

    def turns(self, y: Sequence[Any], x_dot: Any) -> list[Any]:
        raise NotImplementedError

    def turned(self, y: Sequence[Any], quotients: Sequence[Any], pivots: Any) -> list[Any]:
        """The tangents of the outputs, None for the values."""
        raise NotImplementedError

    def skews(self, vectors: Sequence[Any], bars: Sequence[Any]) -> list[Any]:
        """The skew parts of vectors.H bars of which the numerators of the first kinds are made."""
        raise NotImplementedError

    def lengths(self, bars: Sequence[Any]) -> Tensor:
        """How long the cotangents of each value's vectors are."""
        raise NotImplementedError

    # ----- which are near -----

    def largest(self, y: Sequence[Any]) -> Tensor:
        """The largest value of each matrix, by its size."""
        s = raw(y[self.values]).abs()
        return (s.amax(-1) if s.shape[-1] else s.sum(-1))[..., None, None]

    def near(self, y: Sequence[Any]) -> list[Tensor]:
        """Of each kind, the gaps that a quotient would lose a third of its digits in, or more."""
        limit = self.nearness(y)
        return [gap.abs() <= limit for gap in self.gaps(raw(y[self.values]), y)]

    def nearness(self, y: Sequence[Any]) -> Tensor:
        """Where a limit of two terms is as good as a quotient."""
        return torch.finfo(raw(y[self.values]).dtype).eps ** (1 / 3) * self.largest(y)

    def equal(self, y: Sequence[Any]) -> list[Tensor]:
        """Of each kind, the gaps that are nothing but rounding."""
        s = raw(y[self.values])
        limit = 10 * s.shape[-1] * torch.finfo(s.dtype).eps * self.largest(y)
        return [gap.abs() <= limit for gap in self.gaps(s, y)]

    def pairs(self, y: Sequence[Any]) -> list[Tensor]:
        """Of each kind, the near gaps that are between two values, not between one and itself."""
        return [near & ~torch.eye(near.shape[-1], dtype=torch.bool, device=near.device) if idle else near
                for near, idle in zip(self.near(y), self.idle(y), strict=True)]

    def meets(self, y: Sequence[Any]) -> bool:
        """Whether there are any: values are in order, so that neighbours tell; those near 0 meet their negatives."""
        s = raw(y[self.values])
        if s.is_meta or not s.numel():
            return False
        limit = self.nearness(y)[..., 0]
        if decided((s.diff(dim=-1).abs() <= limit).any()):
            return True
        return not all(self.idle(y)) and decided((s[..., -1:] <= limit).any())

    def inverses(self, y: Sequence[Any]) -> list[Any]:
        """1 / gaps, 0 for the near ones."""
        gaps = self.gaps(y[self.values], y)
        if raw(y[0]).is_meta:
            return [1 / gap for gap in gaps]
        return [inverse_where(gap, ~near) for gap, near in zip(gaps, self.near(y), strict=True)]

    def split(self, y: Sequence[Any]) -> Tensor:
        """A direction in which all near values part: each goes by its place among those near it, 1, 2, 3, ..."""
        s = raw(y[self.values])
        place = torch.arange(s.shape[-1], device=s.device).expand(s.shape)
        first = place.clone()
        first[..., 1:][s.diff(dim=-1).abs() <= self.nearness(y)[..., 0]] = 0
        return (place - first.cummax(-1).values + 1).to(s.dtype)


def over_gaps(numerators: Sequence[Any], inverses: Sequence[Any]) -> list[Any]:
    return [None if n is None else n * inverse for n, inverse in zip(numerators, inverses, strict=True)]


def inverse_where(gap: Any, mask: Tensor) -> Any:
    """1 / gap where the mask holds, 0 elsewhere; nothing is selected, so that what is infinite stays so."""
    taken = constant_like(mask.to(raw(gap).dtype), gap)
    return taken / (gap + (1 - taken))


def _skew(x: Any) -> Any:
    return (x - adjoint(x)) * 0.5


# ----- the two -----


class Eigenvectors(Meeting):
    """x = v diag(w) v.H."""

    vectors = (1,)

    def gaps(self, s: Any, y: Sequence[Any]) -> list[Any]:
        return [row(s) - column(s)]

    def idle(self, y: Sequence[Any]) -> list[bool]:
        return [True]

    def numerators(self, y: Sequence[Any], bars: Sequence[Any], pivots: Any) -> list[Any]:
        v, v_bar = y[1], bars[1]
        if v.dtype.is_complex:
            v_bar = v_bar + phase_pull(imag(diagonal_of(v, v_bar)), v, pivots)
        return self.skews((None, v), (None, v_bar))

    def skews(self, vectors: Sequence[Any], bars: Sequence[Any]) -> list[Any]:
        return [_skew(product(adjoint(vectors[1]), bars[1]))]

    def assembled(self, y: Sequence[Any], quotients: Sequence[Any], values_bar: Any = None) -> Any:
        inside = quotients[0] if values_bar is None else quotients[0] + on_diagonal(values_bar)
        return hermitian(product(y[1], inside, adjoint(y[1])))

    def turns(self, y: Sequence[Any], x_dot: Any) -> list[Any]:
        return [product(adjoint(y[1]), product(hermitian(x_dot), y[1]))]

    def turned(self, y: Sequence[Any], quotients: Sequence[Any], pivots: Any) -> list[Any]:
        v_dot = product(y[1], quotients[0])
        return [None, v_dot + y[1] * phase_push(v_dot, y[1], pivots) if v_dot.dtype.is_complex else v_dot]

    def lengths(self, bars: Sequence[Any]) -> Tensor:
        return torch.linalg.vector_norm(raw(bars[1]), dim=-2)


class SingularVectors(Meeting):
    """x = u diag(s) v.H: u and v turn together over s[j] - s[i] and against each other over s[j] + s[i], and to what
    is outside of the columns of either over s[j]."""

    values = 1
    vectors = (0, 2)

    def gaps(self, s: Any, y: Sequence[Any]) -> list[Any]:
        k = s.shape[-1]
        outside = [row(s)] * ((y[0].shape[-2] > k) + (y[2].shape[-1] > k))
        return [row(s) - column(s), row(s) + column(s), *outside]

    def idle(self, y: Sequence[Any]) -> list[bool]:
        k = y[1].shape[-1]
        return [True, not y[0].dtype.is_complex, *[False] * ((y[0].shape[-2] > k) + (y[2].shape[-1] > k))]

    def numerators(self, y: Sequence[Any], bars: Sequence[Any], pivots: Any) -> list[Any]:
        u, s, vh = y
        u_bar, _, vh_bar = bars
        v, v_bar, k = adjoint(vh), None if vh_bar is None else adjoint(vh_bar), s.shape[-1]
        if u.dtype.is_complex:
            parts = [imag(diagonal_of(a, bar)) for a, bar in ((u, u_bar), (v, v_bar)) if bar is not None]
            fixed = phase_pull(parts[0] if len(parts) == 1 else parts[0] + parts[1], u, pivots)
            u_bar = fixed if u_bar is None else u_bar + fixed
        found = self.skews((u, None, vh), (u_bar, None, vh_bar))
        for a, bar, size in ((u, u_bar, u.shape[-2]), (v, v_bar, vh.shape[-1])):
            if size > k:
                found.append(None if bar is None else bar - product(a, product(adjoint(a), bar)))
        return found

    def skews(self, vectors: Sequence[Any], bars: Sequence[Any]) -> list[Any]:
        of_u = None if bars[0] is None else _skew(product(adjoint(vectors[0]), bars[0]))
        of_v = None if bars[2] is None else _skew(product(vectors[2], adjoint(bars[2])))
        return [of_u, of_u] if of_v is None else [of_v, -of_v] if of_u is None else [of_u + of_v, of_u - of_v]

    def assembled(self, y: Sequence[Any], quotients: Sequence[Any], values_bar: Any = None) -> Any:
        u, s, vh = y
        inside = quotients[0] + quotients[1]
        left = product(u, inside if values_bar is None else inside + on_diagonal(values_bar))
        rest = list(quotients[2:])
        if u.shape[-2] > s.shape[-1] and (more := rest.pop(0)) is not None:
            left = left + more
        x_bar = product(left, vh)
        return x_bar + product(u, adjoint(rest[0])) if rest and rest[0] is not None else x_bar

    def turns(self, y: Sequence[Any], x_dot: Any) -> list[Any]:
        u, s, vh = y
        v, k = adjoint(vh), s.shape[-1]
        right = product(x_dot, v)
        inside = product(adjoint(u), right)
        star = adjoint(inside)
        found = [(inside + star) * 0.5, (inside - star) * 0.5]
        if u.shape[-2] > k:
            found.append(right - product(u, inside))
        if vh.shape[-1] > k:
            found.append(product(adjoint(x_dot), u) - product(v, star))
        return found

    def turned(self, y: Sequence[Any], quotients: Sequence[Any], pivots: Any) -> list[Any]:
        u, s, vh = y
        v = adjoint(vh)
        u_dot, v_dot = product(u, quotients[0] + quotients[1]), product(v, quotients[0] - quotients[1])
        rest = list(quotients[2:])
        if u.shape[-2] > s.shape[-1] and (more := rest.pop(0)) is not None:
            u_dot = u_dot + more
        if rest and rest[0] is not None:
            v_dot = v_dot + rest[0]
        if u_dot.dtype.is_complex:
            phase = phase_push(u_dot, u, pivots)
            u_dot, v_dot = u_dot + u * phase, v_dot + v * phase
        return [u_dot, None, adjoint(v_dot)]

    def lengths(self, bars: Sequence[Any]) -> Tensor:
        columns = [bars[0], None if bars[2] is None else adjoint(bars[2])]
        squares = [torch.linalg.vector_norm(raw(bar), dim=-2) for bar in columns if bar is not None]
        return squares[0] if len(squares) == 1 else torch.hypot(*squares)


__all__ = ["Eigenvectors", "Meeting", "SingularVectors", "inverse_where", "over_gaps"]
