"""Windows along T of sequences with padding: what convolution and pooling read, and which steps come of it."""
from __future__ import annotations

from typing import Any, NamedTuple

from ..operations.neural.spatial import pairs_of
from .masks import Mask, filled, refuse, resampled
from .spatial import called, letters_of, sizes_of


def hides(layer: Any, x: Any, mask: Mask) -> bool:
    """Whether padding lies along an axis that a layer works on."""
    return mask is not None and "T" in letters_of(x.shape, x._labels, layer.rank, called(layer))


class Windows(NamedTuple):
    """How a layer's windows go along its last axis."""

    layer: Any
    size: int
    stride: int
    padding: Any  # "same", "causal" or (before, after)

    def filled(self, x: Any, mask: Mask, value: Any = 0) -> Any:
        """x with `value` where padding is: as what windows find around a sequence."""
        if not hides(self.layer, x, mask):
            return x
        if getattr(self.layer, "padding_value", 0) not in (0, "mean") and self.padding != (0, 0):
            raise refuse(self.layer, f"has padding_value={self.layer.padding_value!r}, which would come after the "
                         "padding of a sequence and not after its end", "write padding_value=0")
        return filled(x, mask, value)

    def output_mask(self, mask: Any, y: Any) -> Any:
        """Which windows lie in a sequence with what is around it."""
        if not hides(self.layer, y, mask):
            return mask
        around = self.size - 1 if isinstance(self.padding, str) else sum(self.padding)
        if self.padding == "same" and self.stride > 1:
            raise refuse(self.layer, f"has padding=\"same\" with stride {self.stride}, which puts different amounts "
                         "around sequences of different lengths", f"write padding={(self.size - 1) // 2}")
        if self.stride == 1 and around == self.size - 1:  # as many steps as there were
            return mask
        return resampled(mask, y, lambda n: (n + around - self.size) // self.stride + 1, self.stride, self.layer)


def windows_of(layer: Any) -> Windows:
    """The windows of a layer along its last axis."""
    rank = layer.rank
    size, stride, dilation = (sizes_of(given, rank, word)[-1] for given, word in (
        (getattr(layer, "filter_size", None) or getattr(layer, "pool_size", None), "size"), (layer.stride, "stride"),
        (getattr(layer, "dilation_factor", 1), "dilation_factor")))
    padding = layer.padding
    return Windows(layer, (size - 1) * dilation + 1, stride, padding if isinstance(padding, str) else
                   pairs_of(padding, rank, "padding", "\"same\" or \"causal\"")[-1])


__all__ = ["Windows", "hides", "windows_of"]
