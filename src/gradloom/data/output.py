"""One output of a mini-batch: from what was read to a labelled array."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import DataError, ShapeError
from ..core.labels import checked, described, positions
from ..machine.conversion import as_tensor
from ..machine.dtypes import COMPLEX_OF, Tensor
from .arrays import plain
from .datastore import Part, Stacked
from .padding import Padding, padded


class Output:
    """How one output is made: its labels, its type, its classes, its padding.

    The type is that of floating numbers and pixels; where it is `forced`, of integers too.
    """

    def __init__(self, number: int, part: Part, labels: str | None, dtype: torch.dtype | None, forced: bool,
                 padding: Padding, device: Any):
        self._number, self._part, self._format, self._padding = number, part, labels, padding
        self._dtype, self._forced, self._device = dtype, forced, device
        names = part.class_names
        self._codes = None if names is None else {str(name): k for k, name in enumerate(names)}

    def made(self, column: Any, empty: bool = False) -> tuple[dlarray, dlarray | None]:
        """The array, and its mask where there is an axis of time; without its observations where it is `empty`."""
        mask = None
        if isinstance(column, list):
            column, mask = self._stacked(column)
        if type(column) is not Stacked:
            column = self._given(column)
        value = column.array
        pixels = value.ndim > 1 and (value.dtype in _PIXELS)
        value = value if isinstance(value, Tensor) else as_tensor(value, copy=False)
        value, labels = self._labelled(value, column)
        if empty:
            value = value.narrow(labels.index("B") if labels is not None and "B" in labels else column.axis, 0, 0)
            mask = None if mask is None else mask[:0]
        if self._dtype is not None and not column.coded:
            value = self._cast(value, pixels)
        if self._device is not None:
            value = value.to(self._device)
        if labels is not None and "T" in labels and "B" in labels:
            size = value.shape[labels.index("B")], value.shape[labels.index("T")]
            known = torch.ones(size, dtype=torch.bool, device="cpu") if mask is None else torch.from_numpy(mask)
            return dlarray._made(value, None, labels), dlarray._made(known.to(value.device), None, "BT")
        return dlarray._made(value, None, labels), None

    def _cast(self, value: Tensor, pixels: bool) -> Tensor:
        dtype = self._dtype
        assert dtype is not None
        if value.is_complex():
            dtype = COMPLEX_OF.get(dtype, dtype)
        casts = self._forced or pixels or value.dtype.is_floating_point or value.is_complex()
        return value.to(dtype) if casts else value

    # ----- what came as a list, one entry for each observation -----

    def _stacked(self, column: list[Any]) -> tuple[Stacked, np.ndarray | None]:
        values = [plain(value) for value in column]
        if not values:
            raise DataError(f"output {self._number} is an empty list; give one entry for each observation")
        if isinstance(values[0], str):
            return Stacked(self._classes(values), 0, "B", True), None
        if isinstance(values[0], (bool, int, float, complex)):
            return Stacked(np.asarray(values)), None
        labels = values[0]._labels if type(values[0]) is dlarray else self._part.labels
        if labels is not None and len(labels) != values[0].ndim:
            labels = None  # a function on the way made something else of it
        if isinstance(values[0], (Tensor, dlarray)) and self._pads(labels, values[0].ndim) is None:
            tensors = [value._value if type(value) is dlarray else value for value in values]
            self._same_shapes([tuple(x.shape) for x in tensors], labels)
            axis = self._batch_axis(labels, tensors[0].ndim)
            return Stacked(torch.stack(tensors, axis), axis, _with_batch(labels, axis)), None
        arrays, mask = [np.asarray(value) for value in values], None
        axis = self._batch_axis(labels, arrays[0].ndim)
        if (time := self._pads(labels, arrays[0].ndim)) is not None:
            self._same_shapes([x.shape[:time] + x.shape[time + 1:] for x in arrays], None)
            arrays, mask = padded(arrays, time, self._padding)
        else:
            self._same_shapes([x.shape for x in arrays], labels)
        return Stacked(np.stack(arrays, axis), axis, _with_batch(labels, axis)), mask

    def _batch_axis(self, labels: str | None, ndim: int) -> int:
        """Where the observations go: where the format says so, and nothing is known of an observation's axes."""
        if labels is None and self._format is not None and len(self._format) == ndim + 1:
            return self._format.find("B") if "B" in self._format else 0
        return 0

    def _pads(self, labels: str | None, ndim: int) -> int | None:
        """The axis of time of an observation."""
        if labels is None and self._format is not None and len(self._format) == ndim + 1:
            labels = self._format.replace("B", "", 1)
        found = positions(labels, "T")
        return found[0] if found else None

    def _same_shapes(self, shapes: Sequence[tuple[int, ...]], labels: str | None) -> None:
        other = next((shape for shape in shapes if shape != shapes[0]), None)
        if other is not None:
            raise ShapeError(
                f"output {self._number}: observations of {described(shapes[0], labels)} and of "
                f"{described(other, labels)} do not fit into one array; resize images with AugmentedImageDatastore, "
                f"give sequences a format with T (formats={_with_time(shapes)!r}; of trainnet, "
                f"input_data_formats={_with_time(shapes)!r}), or put them together in function=")

    def _classes(self, words: Any) -> np.ndarray:
        if self._codes is None:
            raise DataError(f"output {self._number} is words ({words[0]!r}, ...) whose classes are not known; write "
                            "class_names=[\"cat\", \"dog\"]")
        try:
            return np.array([self._codes[str(word)] for word in words], dtype=np.int64)
        except KeyError as error:
            raise DataError(f"output {self._number}: {error.args[0]!r} is none of the {len(self._codes)} classes; add "
                            "it to class_names") from None

    # ----- what came as one array -----

    def _given(self, array: Any) -> Stacked:
        axis = self._format.find("B") if self._format is not None and "B" in self._format else 0
        if type(array) is dlarray:
            return Stacked(array._value, axis, array._labels)
        if isinstance(array, np.ndarray) and array.dtype.kind in "OUS":
            return Stacked(self._classes(array.ravel()).reshape(array.shape), 0, "B" if array.ndim == 1 else None, True)
        return Stacked(as_tensor(array), axis)

    def _labelled(self, value: Tensor, column: Stacked) -> tuple[Tensor, str | None]:
        wanted, known = self._format, column.labels
        if known is None and wanted is None:
            return value, "B" if column.coded and value.ndim == 1 else None
        if wanted is None or wanted == known:
            return value, known
        if known is not None:
            if sorted(known) != sorted(wanted):
                raise ShapeError(f"output {self._number} is {described(value.shape, known)}, its format {wanted!r} has "
                                 f"other letters; write formats={known!r}, in any order")
            order: list[int] = []
            for letter in wanted:
                order.append(next(k for k in positions(known, letter) if k not in order))
            return value.permute(order), wanted
        if len(wanted) != value.ndim:
            raise ShapeError(f"output {self._number} is {described(value.shape, None)}, its format {wanted!r} names "
                             f"{len(wanted)} axes; write one letter for each axis, B for the observations")
        if "B" in wanted and wanted.index("B") != column.axis:
            value = value.movedim(column.axis, wanted.index("B"))
        return value, checked(wanted, value.ndim)


_PIXELS = (torch.uint8, np.dtype("uint8"), np.dtype("uint16"))


def _with_time(shapes: Sequence[tuple[int, ...]]) -> str:
    """The format of sequences whose length is what differs between the observations."""
    differ = [k for k in range(2) if len({shape[k:k + 1] for shape in shapes}) > 1]
    return "TCB" if differ == [0] else "CTB"


def _with_batch(labels: str | None, axis: int) -> str | None:
    return None if labels is None else labels[:axis] + "B" + labels[axis:]


__all__ = ["Output"]
