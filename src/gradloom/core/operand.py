"""What operators and operations take beside numbers and tensors: dlarrays, and what answers for itself."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .operation import Operation


class Operand:
    """The base of what the arithmetic operators work on: dlarrays, and the structured Jacobians that rules run on.

    `operations/methods.py` attaches the operators.
    """

    __slots__ = ()
    __array_ufunc__ = None  # ndarray * x and np.float64(2) * x reach our operators
    __array_priority__ = 1000
    __pandas_priority__ = 10000  # so do those of Series and DataFrame
    structured = False  # a Jacobian by its structure, which stands in for a tangent or a cotangent

    if TYPE_CHECKING:  # attached there
        def __add__(self, other: Any, /) -> Any: ...
        def __sub__(self, other: Any, /) -> Any: ...
        def __mul__(self, other: Any, /) -> Any: ...
        def __truediv__(self, other: Any, /) -> Any: ...
        def __neg__(self) -> Any: ...

    def acted_on(self, operation: Operation, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        """The operation with this among its inputs: of what is no array and answers for itself."""
        raise NotImplementedError(f"{type(self).__name__} does not say what {operation.name} makes of it")

    def arrays(self) -> list[Any]:
        """The tensors that it holds."""
        raise NotImplementedError(f"{type(self).__name__} does not say which tensors it holds")
