"""What an option names, in the user's words."""
from __future__ import annotations

from typing import Any

import torch

from ..machine.dtypes import dtype_named
from .errors import TypeRefused, line_of, user_site


def dtype_asked(dtype: Any) -> torch.dtype:
    """The type that a user asks for by torch's, NumPy's or Python's type, or by its name."""
    try:
        return dtype_named(dtype)
    except TypeError as error:
        raise TypeRefused(f"{error}, at {line_of(user_site())}") from None


__all__ = ["dtype_asked"]
