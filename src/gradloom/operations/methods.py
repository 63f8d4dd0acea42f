"""Every operator, method and attribute of an array that is an operation, in one table."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never

import torch

from ..core.array import dlarray
from ..core.calls import left_to_the_other, reflected
from ..core.declare import multilinear
from ..core.errors import TypeRefused, line_of, user_site
from ..core.operand import Operand
from ..core.tables import PUBLIC
from ..machine.conversion import device_there
from ..machine.dtypes import DTYPES
from .elementwise import discrete
from .elementwise.arithmetic import (
    add,
    astype,
    conj,
    divide,
    floor_divide,
    imag,
    mod,
    multiply,
    negative,
    positive,
    power,
    real,
    subtract,
)
from .elementwise.mathematics import absolute
from .matrices.contraction import matmul
from .movement import axes
from .movement.assignment import setitem
from .movement.axes import adjoint, matrix_transposed, transposed
from .movement.indexing import getitem
from .sums import extremes, reduction

_transfer = multilinear("transfer", lambda x, device, origin: x.to(device),
                        transposes={
                            "x": lambda y_bar, device, origin: _transfer.apply(
                                (y_bar,), {"device": origin, "origin": device})},
                        axes="... -> ...",
                        samples=[((2, 3), {"device": torch.device("cpu"), "origin": torch.device("cpu")})])


def by_keyword(given: Sequence[Any], device: Any, called: str) -> torch.device | None:
    """The device that a call of `to` names, None where it names none; what is given by position is refused."""
    if given:
        name = str(given[0]).removeprefix("torch.") if isinstance(given[0], (str, torch.device, torch.dtype)) else "cpu"
        raise TypeRefused(f"{called} takes its options by keyword, at {line_of(user_site())}; write "
                          f"{called}({'dtype' if name in DTYPES else 'device'}=\"{name}\")")
    try:
        return None if device is None else device_there(device)
    except TypeError as error:
        raise TypeRefused(f"{called}: {error}, at {line_of(user_site())}") from None


def to(self: dlarray, *given: Never, device: Any = None, dtype: Any = None) -> dlarray:
    """The same values on another device, in another type, or both; recorded, so that a gradient is where x is, in x's
    type.

    >>> import gradloom as gl
    >>> gl.dlarray([1.0, 2.0]).to(dtype="float32").dtype
    torch.float32
    """
    x = dlarray(self)
    wanted = by_keyword(given, device, "x.to")
    if wanted is not None:
        if wanted.type == "cuda" and wanted.index is None:
            wanted = torch.device("cuda", torch.cuda.current_device())
        if wanted != x.device:
            x = _transfer.apply((x,), {"device": wanted, "origin": x.device}, x._labels)
    return x if dtype is None else astype(x, dtype)


def index_instead(self: dlarray, *index: Any, **options: Any) -> Any:
    """MATLAB's x(1): an error that says how an array is indexed here."""
    counted = [i - 1 if type(i) is int and i > 0 else "..." for i in index] or ["..."]
    raise TypeRefused(
        f"an array is no function, at {line_of(user_site())}; an index is written in brackets and counts from 0: "
        f"x[{', '.join(map(str, counted))}]. A library that calls what can be called takes np.asarray(x)")


def rounded(self: Any, decimals: int | None = None) -> Any:
    """round(x), round(x, 2): to as many decimals, halves to even."""
    if not decimals:
        return discrete.round(self)
    ten = 10.0 ** abs(decimals)
    if self.dtype.is_floating_point or self.dtype.is_complex:
        return discrete.round(self * ten) / ten if decimals > 0 else discrete.round(self / ten) * ten
    return discrete.round(self) if decimals > 0 else astype(discrete.round(self / ten) * ten, self.dtype)


def quotient_and_rest(a: Any, b: Any, /) -> Any:
    """divmod(a, b): (a // b, a % b)."""
    return (a // b, a % b)


# ----- all of them ----------------------------------------------------------------------------------------------------

OPERATORS: dict[str, Any] = {
    "__add__": add, "__radd__": add, "__sub__": subtract, "__rsub__": subtract, "__mul__": multiply,
    "__rmul__": multiply,
    "__truediv__": divide, "__rtruediv__": divide, "__floordiv__": floor_divide, "__rfloordiv__": floor_divide,
    "__mod__": mod, "__rmod__": mod, "__pow__": power, "__rpow__": power, "__matmul__": matmul, "__rmatmul__": matmul,
    "__neg__": negative, "__pos__": positive, "__abs__": absolute,
    "__floor__": discrete.floor, "__ceil__": discrete.ceil, "__trunc__": discrete.trunc,
    "__eq__": discrete.equal, "__ne__": discrete.not_equal, "__lt__": discrete.less, "__le__": discrete.less_equal,
    "__gt__": discrete.greater, "__ge__": discrete.greater_equal,
    "__and__": discrete.bitwise_and, "__rand__": discrete.bitwise_and,
    "__or__": discrete.bitwise_or, "__ror__": discrete.bitwise_or,
    "__xor__": discrete.bitwise_xor, "__rxor__": discrete.bitwise_xor,
    "__lshift__": discrete.bitwise_left_shift, "__rlshift__": discrete.bitwise_left_shift,
    "__rshift__": discrete.bitwise_right_shift, "__rrshift__": discrete.bitwise_right_shift,
    "__invert__": discrete.bitwise_invert,
}
ATTRIBUTES: dict[str, Any] = {
    "T": property(transposed, doc="All axes in reverse order."),
    "mT": property(matrix_transposed, doc="The last two axes exchanged."),
    "H": property(adjoint, doc="The conjugate of mT."), "mH": property(adjoint, doc="The conjugate of mT."),
    "real": property(real, doc="The real part."), "imag": property(imag, doc="The imaginary part."),
    "__round__": rounded, "__divmod__": quotient_and_rest, "__rdivmod__": reflected(quotient_and_rest),
    "__getitem__": getitem, "__call__": index_instead, "__setitem__": setitem, "conj": conj, "abs": absolute, "to": to,
}
METHODS = (reduction.sum, reduction.mean, reduction.var, reduction.std, reduction.all, reduction.any, extremes.max,
           extremes.min, extremes.argmax, extremes.argmin, extremes.prod, axes.reshape, axes.transpose, axes.squeeze,
           astype)


def _operator(name: str) -> Any:
    """A public function as a special method; of __radd__ and its like the operands come the other way round."""
    function = OPERATORS[name]
    operation = function.operation
    method = getattr(function, "operator", None) or (left_to_the_other(function) if len(operation.inputs) == 2
                                                     else function)
    # __rsub__ is reflected, of which there is a __sub__; __xor__ is not, though there is an __or__
    if operation.commutes or OPERATORS.get(f"__{name[3:]}") is not function:
        return method
    return getattr(function, "reflected", None) or reflected(method)


for _name in OPERATORS:
    setattr(Operand, _name, _operator(_name))
for _name, _attribute in {**ATTRIBUTES, **{f.__name__: PUBLIC[f.__name__] for f in METHODS}}.items():
    setattr(dlarray, _name, _attribute)
