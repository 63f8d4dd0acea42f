"""Where a value came from: what would be a constant by accident, or lose what it says, is refused."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.conversion import transform_of
from ..machine.dtypes import NUMBER_TYPES, Tensor
from .errors import TypeRefused, line_of, user_site


def refuse_computed(x: Tensor) -> None:
    """A torch tensor whose derivative torch is about to take would be a constant by accident; a masked one would lose
    its mask."""
    refuse_transform(x)
    if type(x) is not Tensor and hasattr(x, "_masked_mask"):
        raise TypeRefused(
            f"a masked tensor has no mask as a dlarray, at {line_of(user_site())}; write x.to_tensor(value), or pass "
            "x.get_data() and the mask and write gl.where(mask, x, value)")
    if x.requires_grad and not x.is_leaf:
        raise TypeRefused(
            "this torch tensor was computed from tensors that require gradients; as a dlarray it would be a constant, "
            f"at {line_of(user_site())}; write dlarray(tensor.detach()) to mean that")


def refuse_transform(x: Tensor) -> None:
    """A tensor of a transform of torch that is running: it would differentiate, or batch, what is computed from it."""
    transform = transform_of(x)
    if transform is not None:
        raise TypeRefused(
            f"this torch tensor belongs to {transform}, which is running; here it would be a constant, at "
            f"{line_of(user_site())}; take the derivative with gradloom (value_and_gradient, jacobian, jvp) on "
            "x.detach(), or stay with torch's functions")


def refuse_masked(x: Any) -> None:
    """NumPy's masked arrays, and lists of them, would lose their masks."""
    if isinstance(x, (list, tuple)):
        for part in x:
            if type(part) not in NUMBER_TYPES:
                refuse_masked(part)
    elif isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeRefused(f"a masked array has no mask as a dlarray, at {line_of(user_site())}; write x.filled(value), "
                          "or pass x.data and x.mask and write gl.where(mask, value, x)")
