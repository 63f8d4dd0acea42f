"""From what was read of a mini-batch to its outputs."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import LETTERS
from ..core.options import dtype_asked
from .datastore import Part, Stacked
from .draws import drawing
from .output import Output
from .padding import Padding


class Maker:
    """From what was read of a mini-batch to its outputs."""

    def __init__(self, function: Callable[..., Any] | None, parts: Sequence[Part], formats: Any, cast: Any,
                 class_names: Any, padding: Padding, device: Any, masks: bool):
        self._function, self._parts, self.masks = function, parts, masks
        self._formats, self._cast, self._padding, self._device = formats, cast, padding, device
        self._class_names = class_names
        several = [x for x in (formats, cast) if isinstance(x, (list, tuple))]
        for its in formats if isinstance(formats, (list, tuple)) else [formats]:
            if its is not None and (not isinstance(its, str) or set(its) - set(LETTERS)):
                raise LabelError(f"a format has one letter of {', '.join(LETTERS)} for each axis, not {its!r}, at "
                                 f"{line_of(user_site())}; write formats=[\"BCSS\", \"B\"]")
        if len({len(x) for x in several}) > 1:
            raise ShapeError(f"formats names {len(formats)} outputs, cast {len(cast)}, at {line_of(user_site())}; give "
                             "one of each for every output")
        self._count = len(several[0]) if several else None
        known = len(parts) if function is None and parts else None
        if None not in (self._count, known) and self._count != known:
            raise ShapeError(f"formats or cast say {self._count} outputs, the data has {known}, at "
                             f"{line_of(user_site())}; give one for each")
        self._outputs = self._made_outputs(known or self._count or 1)

    def _made_outputs(self, count: int) -> list[Output]:
        formats = self._formats if isinstance(self._formats, (list, tuple)) else [self._formats] + [None] * (count - 1)
        forced = isinstance(self._cast, (list, tuple))
        casts = self._cast if forced else [self._cast] * count
        if len(formats) < count or len(casts) < count:
            raise ShapeError(f"the mini-batch has {count} outputs, formats or cast say {self._count}; give one of each")
        names = self._names(count)
        return [Output(k, (self._parts[k] if k < len(self._parts) and self._function is None else Part())._replace(
            class_names=names[k]), formats[k], None if casts[k] is None else dtype_asked(casts[k]), forced,
            self._padding, self._device) for k in range(count)]

    def _names(self, count: int) -> list[Any]:
        """The classes of each output: those of the data, else those that were given."""
        found = [self._parts[k].class_names if k < len(self._parts) else None for k in range(count)]
        return found if any(found) or self._class_names is None else [list(self._class_names)] * count

    def class_names(self) -> dict[int, Any]:
        """Of each output that the data has as classes."""
        found = {k: part.class_names for k, part in enumerate(self._parts) if part.class_names is not None}
        return found or ({len(self._outputs) - 1: list(self._class_names)} if self._class_names is not None else {})

    def made(self, columns: list[Any], key: tuple[int, ...], empty: bool = False) -> Any:
        """The outputs of a mini-batch, without its observations where it is to be `empty`; `key` decides what the
        function draws."""
        if self._function is not None:
            arguments = [self._argument(k, column) for k, column in enumerate(columns)]
            with drawing("function", *key):
                result = self._function(*arguments)
            columns = list(result) if isinstance(result, tuple) else [result]
            if any([column is None for column in columns]):
                raise TypeRefused("function= returned None; return the outputs, an array or a tuple of them")
        if len(columns) != len(self._outputs):
            self._outputs = self._made_outputs(len(columns))
        made = [output.made(column, empty) for output, column in zip(self._outputs, columns, strict=True)]
        arrays = [x for x, _ in made]
        if self.masks:
            arrays += [mask for _, mask in made if mask is not None]
        return arrays[0] if len(arrays) == 1 else tuple(arrays)

    def _argument(self, k: int, column: Any) -> Any:
        """What a function of the mini-batch is given."""
        if type(column) is not Stacked:
            return column
        if column.coded:
            names = self._parts[k].class_names
            assert names is not None
            return np.asarray(names)[column.array]
        if column.labels is not None or isinstance(column.array, torch.Tensor):
            value = column.array if isinstance(column.array, torch.Tensor) else torch.from_numpy(column.array)
            return dlarray._made(value, None, column.labels)
        return column.array


__all__ = ["Maker"]
