"""einops on dlarrays: `import gradloom.interop.einops` makes `einops.rearrange(x, "b c h w -> b (c h w)")` record
(`einops.array_api` does without it)."""
from __future__ import annotations

from typing import Any

from einops._backends import AbstractBackend

from ..core.array import dlarray
from .protocol import gl


class Backend(AbstractBackend):  # type: ignore[misc]
    """What einops rearranges and reduces dlarrays with; it finds the class by itself. Labels are dropped: the pattern
    names the axes."""

    framework_name = "gradloom"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return type(tensor) is dlarray

    def from_numpy(self, x: Any) -> dlarray:
        return dlarray(x)

    def to_numpy(self, x: Any) -> Any:
        return x.numpy()

    def arange(self, start: int, stop: int) -> Any:
        return gl.arange(start, stop, dtype="int64")

    def reshape(self, x: Any, shape: Any) -> Any:
        return gl.reshape(gl.stripdims(x), tuple(shape))

    def transpose(self, x: Any, axes: Any) -> Any:
        return gl.permute_dims(gl.stripdims(x), tuple(axes))

    def reduce(self, x: Any, operation: str, axes: Any) -> Any:
        return getattr(gl, operation)(gl.stripdims(x), axis=tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: list[Any]) -> Any:
        return gl.stack([gl.stripdims(t) for t in tensors])

    def add_axis(self, x: Any, new_position: int) -> Any:
        return gl.expand_dims(gl.stripdims(x), axis=new_position)

    def tile(self, x: Any, repeats: Any) -> Any:
        return gl.tile(x, tuple(repeats))

    def concat(self, tensors: Any, axis: int) -> Any:
        return gl.concat([gl.stripdims(t) for t in tensors], axis=axis)

    def is_float_type(self, x: Any) -> bool:
        return bool(x.dtype.is_floating_point)

    def einsum(self, pattern: str, *x: Any) -> Any:
        return gl.einsum(pattern, *x)
