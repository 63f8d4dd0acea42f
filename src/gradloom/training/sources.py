"""Data as training reads it: mini-batches of inputs, targets and masks."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.array import dlarray
from ..core.errors import DataError, LabelError, TypeRefused, line_of, user_site
from ..core.labels import LAYOUTS, described
from ..data import Datastore, minibatchqueue
from ..data.arrays import parts_of
from ..machine.dtypes import NAMES, REAL_OF
from ..machine.questions import decided
from ..networks.masks import told
from ..networks.network import dlnetwork
from .losses import CLASSIFIES, COMPARES
from .options import TrainingOptions

AHEAD = 2  # threads, or processes, that read ahead where preprocessing_environment= says so


class Batch(NamedTuple):
    """One mini-batch: what enters the network, what is to come out, and which of their time steps are there (None: all
    of them)."""

    inputs: tuple[Any, ...]
    targets: tuple[Any, ...]
    masks: tuple[Any, ...]  # of the targets
    input_masks: tuple[Any, ...] | None = None

    def told(self, net: dlnetwork) -> dict[str, Any]:
        """The options with which a network runs on the inputs."""
        return {} if self.input_masks is None else told(net, self.input_masks)

    def shown(self, place: int) -> Any:
        """An input without padding."""
        return without_padding(self.inputs[place], None if self.input_masks is None else self.input_masks[place])

    @property
    def is_empty(self) -> bool:
        """Whether a process has no observation of it."""
        return any([type(x) is dlarray and "B" in x.dims and not x._value.shape[x.dims.index("B")]
                    for x in self.inputs])

    def of_zeros(self) -> Batch:
        """One observation of zeros, for a process that has none and must do what the others do."""
        return Batch(*[tuple([_of_zeros(x) for x in its]) for its in self[:3]])


def without_padding(x: Any, mask: Any) -> Any:
    """An array without the steps that are not there, the others as observations along B."""
    if mask is None:
        return x
    rest = [k for k, letter in enumerate(x.dims) if letter not in "BT"]
    order = [x.dims.index("B"), x.dims.index("T"), *rest]
    return dlarray._made(x._value.permute(order)[mask._value], None, "B" + "".join([x.dims[k] for k in rest]))


def _of_zeros(x: Any) -> Any:
    if type(x) is not dlarray or "B" not in x.dims:
        return x
    shape = [1 if letter == "B" else size for letter, size in zip(x.dims, x.shape, strict=True)]
    return dlarray._made(x._value.new_zeros(shape), None, x._labels)


def split(outputs: Any, inputs: int, masked: bool) -> Batch:
    """What a queue gave, as inputs, targets and their masks, which a `masked` queue gives after the outputs, one for
    each output with T."""
    arrays = outputs if isinstance(outputs, tuple) else (outputs,)
    if not masked or not any([_has_time(x) for x in arrays]):  # quick way: no masks; the plain one is below
        return Batch(arrays[:inputs], arrays[inputs:], (None,) * (len(arrays) - inputs))
    count = next(n for n in range(len(arrays), 0, -1) if n + sum([_has_time(x) for x in arrays[:n]]) == len(arrays))
    masks: list[Any] = [None] * count
    for place, mask in zip([k for k in range(count) if _has_time(arrays[k])], arrays[count:], strict=True):
        masks[place] = mask
    # an input without padding has no mask: layers run as they do on any array
    hiding = tuple([None if mask is None or decided(mask._value.all()) else mask for mask in masks[:inputs]])
    return Batch(tuple(arrays[:inputs]), tuple(arrays[inputs:count]), tuple(masks[inputs:count]),
                 None if all(mask is None for mask in hiding) else hiding)


def _has_time(x: Any) -> bool:
    labels = x._labels if type(x) is dlarray else None
    return labels is not None and "T" in labels and "B" in labels


def queue_of(data: Any, net: dlnetwork, options: TrainingOptions, loss: Any, device: Any,
             class_names: Any = None) -> minibatchqueue:
    """A queue over data: one that is given is used as it is. Words are classes in the order of `class_names`, where
    they are known: those of other data, in which some may not occur."""
    if isinstance(data, minibatchqueue):
        return data
    if isinstance(data, Mapping):
        data = tuple(data.values())
    if isinstance(data, tuple):
        data = tuple([np.asarray(x) if _is_numbers(x) else x for x in data])
    formats = _formats(data, net, options, loss)
    place = options.preprocessing_environment
    workers = 0 if place == "serial" else AHEAD
    if isinstance(data, tuple):
        data = tuple(_as_column(x, format) for x, format in zip(data, formats or [None] * len(data), strict=True))
    first = next((x for x in net.learnables.values()), None)
    cast = "float32" if first is None else NAMES[REAL_OF.get(first.dtype, first.dtype)]
    return minibatchqueue(data, options.mini_batch_size, formats=formats, cast=cast, workers=workers,
                          processes=place == "parallel", device=device, masks=True, class_names=class_names,
                          sequence_length=options.sequence_length,
                          sequence_padding_direction=options.sequence_padding_direction,
                          sequence_padding_value=options.sequence_padding_value)


def batches(queue: minibatchqueue, inputs: int, seed: int | None = None) -> Iterator[Batch]:
    """A pass over the data from its beginning: a new one, or, with a seed, one for which that seed alone decides what
    is drawn, so that it is the same again."""
    if seed is not None:
        queue.restore({**queue.state(), "seed": seed, "epoch": 0})
    queue.reset()
    while queue.hasdata():
        yield split(queue.next(), inputs, queue.masks)


# ----- labels where none are given -----


def _formats(data: Any, net: dlnetwork, options: TrainingOptions, loss: Any) -> list[str | None] | str | None:
    inputs = len(net.input_names)
    given = [*_listed(options.input_data_formats, inputs)]
    if not isinstance(data, tuple):
        if options.input_data_formats is None and options.target_data_formats is None:
            return None
        return [*given, *_listed(options.target_data_formats, max(_count_of_parts(data, inputs + 1) - inputs, 0))]
    targets = _listed(options.target_data_formats, max(len(data) - inputs, 0))
    compared = isinstance(loss, str)
    if len(data) < inputs + compared:
        raise DataError(f"the network takes {inputs} input{'s' * (inputs != 1)} ({', '.join(net.input_names)})"
                        f"{f', the loss {loss!r} a target' * compared}, and the data has {len(data)} "
                        f"part{'s' * (len(data) != 1)}, at {line_of(user_site())}; give (x1, x2, t)")
    formats = [format or _of_input(x, net, k) for k, (x, format) in enumerate(zip(data, given, strict=False))]
    formats += [format or _of_target(t, loss) for t, format in zip(data[inputs:], targets, strict=True)]
    return formats


def _count_of_parts(data: Any, guess: int) -> int:
    """How many parts an observation has; a guess where only reading in order would tell."""
    if isinstance(data, Datastore):
        return len(data.parts) or guess
    columns = data if isinstance(data, Mapping) else getattr(data, "columns", None)
    if columns is not None:
        return len(columns)
    return len(parts_of(data[0])) if hasattr(data, "__getitem__") and hasattr(data, "__len__") and len(data) else guess


def _is_numbers(x: Any) -> bool:
    """Whether it is a list of numbers, which has no axes yet."""
    return isinstance(x, list) and bool(x) and all(isinstance(one, (bool, int, float, np.generic)) for one in x)


def _listed(formats: Any, count: int) -> list[str | None]:
    if formats is None:
        return [None] * count
    found = [formats] if isinstance(formats, str) else list(formats)
    if len(found) != count:
        raise LabelError(f"{len(found)} data formats for {count} arrays, at {line_of(user_site())}; give one for each")
    return found


def _of_input(x: Any, net: dlnetwork, k: int) -> str | None:
    """The labels of an unlabelled array, where the network's input layer leaves no doubt."""
    shape = getattr(x, "shape", None)
    if shape is None or getattr(x, "dims", None) or isinstance(x, (Datastore, list, str)):
        return None
    size = [layer.size for layer in net.layers if hasattr(layer, "size") and hasattr(layer, "layout")][k:k + 1]
    rest = tuple(shape[1:])
    if size and isinstance(size[0], int):
        fitting = ["BC"] if rest == (size[0],) else []
    elif size:
        *spatial, channels = size[0]
        letters = "S" * len(spatial)
        known = {f"BC{letters}": (channels, *spatial), f"B{letters}C": (*spatial, channels)}
        fitting = [labels for labels, its in known.items() if its == rest]
    else:
        fitting = ["BC"] if len(rest) == 1 else []
    if len(fitting) != 1:
        raise LabelError(f"the axes of the input, {described(tuple(shape), None)}, are not known, at "
                         f"{line_of(user_site())}; write dlarray(x, labels), or input_data_formats=, such as {LAYOUTS}")
    return fitting[0]


def _of_target(t: Any, loss: Any) -> str | None:
    if isinstance(loss, str) and loss in COMPARES and _are_words(t):
        raise TypeRefused(f"the targets are words, which are classes, and the loss {loss!r} compares numbers, at "
                          f"{line_of(user_site())}; write \"crossentropy\", or give numbers")
    shape = getattr(t, "shape", None)
    if shape is None or getattr(t, "dims", None) or isinstance(t, Datastore):
        return None
    if len(shape) == 1:
        return "BC" if _is_column(t, loss) else "B"
    if len(shape) == 2:
        return "BC"
    raise LabelError(f"the axes of the targets, {described(tuple(shape), None)}, are not known, at "
                     f"{line_of(user_site())}; write dlarray(t, labels), or target_data_formats=")


def _is_column(t: Any, loss: Any) -> bool:
    """Whether one number for each observation is one channel: of a loss that compares numbers; of a function, which
    may be either, floating numbers alone."""
    kind = str(getattr(t, "dtype", "")).rpartition(".")[2]
    if isinstance(loss, str) and loss not in CLASSIFIES:
        return kind.startswith(("float", "bfloat", "int", "uint", "bool"))
    return kind.startswith(("float", "bfloat")) and loss not in CLASSIFIES


def _are_words(t: Any) -> bool:
    """Whether targets are words: an array, a list or a column of them."""
    if hasattr(getattr(t, "cat", t), "categories"):
        return True
    if isinstance(t, list):
        return bool(t) and isinstance(t[0], str)
    return getattr(getattr(t, "dtype", None), "kind", "") in "OU" and all(isinstance(x, str) for x in np.ravel(t)[:1])


def _as_column(x: Any, format: str | None) -> Any:
    """One number for each observation as one channel, in floating numbers: what it is compared with is that."""
    if format != "BC" or getattr(x, "ndim", 0) != 1:
        return x
    x = np.asarray(x)[:, None]
    return x if x.dtype.kind == "f" else x.astype(np.float64)


__all__ = ["Batch", "batches", "queue_of", "split", "without_padding"]
