"""What operations compute with, as types: the values that rules run on, and what the walks need of them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch


class Value(Protocol):
    """A tensor, a dlarray or a Block: an input, an output, a tangent, a cotangent or a partial.

    Rules are written with the operators and with operations, which take all three; what an operator gives depends on
    what it meets, and is not said here.
    """

    @property
    def shape(self) -> Sequence[int]:
        """The sizes of its axes."""

    @property
    def ndim(self) -> int:
        """The number of its axes."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of its elements."""

    def __add__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...


Values = Sequence[Value | None]  # one for each input; None where there is none
Factor = Value | complex  # what a partial is: of arrays or a number


class Meets(Protocol):
    """Of an operation with vectors that belong to values: the rules that the walks complete where values meet."""

    def meets(self, y: Any, /) -> bool:
        """Whether two of the values are equal, or nearly."""
