"""The attributes and methods of an array that are operations: x.real, x.imag, x.conj(), x.abs(), x // y, x.to(device=,
dtype=)."""
from __future__ import annotations

from typing import Any

import torch

from ..core.array import dlarray
from ..core.declare import explained, multilinear
from ..core.errors import TypeRefused, line_of, user_site
from .elementwise.arithmetic import astype, conj, imag, real
from .elementwise.mathematics import absolute
from .movement.axes import squeeze

_transfer = multilinear("transfer", lambda x, device, origin: x.to(device),
                        transposes={
                            "x": lambda y_bar, device, origin: _transfer.apply(
                                (y_bar,), {"device": origin, "origin": device})},
                        axes="... -> ...",
                        samples=[((2, 3), {"device": torch.device("cpu"), "origin": torch.device("cpu")})])


def to(self: dlarray, *, device: Any = None, dtype: Any = None) -> dlarray:
    """The same values on another device, in another type, or both; recorded, so that a gradient is where x is, in x's
    type.

    >>> import gradloom as gl
    >>> gl.dlarray([1.0, 2.0]).to(dtype="float32").dtype
    torch.float32
    """
    x = dlarray(self)
    if device is not None:
        try:
            wanted = torch.device(device)
        except (RuntimeError, TypeError):
            raise TypeRefused(
                f"no device {device!r}, at {line_of(user_site())}; write device=\"cpu\" or device=\"cuda\"") from None
        if wanted.type == "cuda" and wanted.index is None and torch.cuda.is_available():
            wanted = torch.device("cuda", torch.cuda.current_device())
        if wanted != x.device:
            x = _transfer.apply((x,), {"device": wanted, "origin": x.device}, x._labels)
    return x if dtype is None else astype(x, dtype)


for _name, _attribute in {"real": property(real, doc="The real part."),
                          "imag": property(imag, doc="The imaginary part."), "conj": conj,
                          "abs": absolute, "to": to, "squeeze": explained(squeeze)}.items():
    setattr(dlarray, _name, _attribute)
