"""Networks on whole data sets: predictions, losses and metrics, and scores as words."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.array import dlarray
from ..core.errors import DataError, ShapeError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..networks.masks import predicted
from ..networks.network import dlnetwork
from .evaluation import evaluated
from .losses import loss_of
from .metrics import metrics_of
from .options import TrainingOptions
from .sources import batches, queue_of


def minibatchpredict(net: dlnetwork, data: Any, /, *, mini_batch_size: int = 128, outputs: Any = None,
                     input_data_formats: Any = None, uniform_output: bool = True) -> Any:
    """What a network predicts for a whole data set, one mini-batch at a time, put together along B.

    data: an array, a datastore, a sequence of observations, a minibatchqueue; what it has besides the network's inputs
    (targets) is passed over. `outputs` names layers, as in `net.predict`. With uniform_output=False each output is a
    list of one array for each observation, whose axis of time is as long as the observation.

    Raises ShapeError for outputs that do not fit together, as sequences of different lengths do not, DataError without
    observations.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.FullyConnected(3)])
    >>> gl.minibatchpredict(net, gl.zeros((300, 2), labels="BC")).sizes
    {'B': 300, 'C': 3}

    Source: MATLAB minibatchpredict.
    """
    options = TrainingOptions("sgdm", mini_batch_size=mini_batch_size, input_data_formats=input_data_formats)
    queue = queue_of(_alone(data), net, options, None, None)
    parts: list[tuple[Any, ...]] = []
    single = True
    try:
        for batch in batches(queue, len(net.input_names)):
            y, masks = predicted(net, batch.inputs, batch.input_masks, outputs)
            single = not isinstance(y, tuple)
            ys = (y,) if single else y
            parts.append(ys if uniform_output else tuple([_apart(y, mask) for y, mask in zip(ys, masks, strict=True)]))
    finally:
        queue.close()
    if not parts:
        raise DataError(f"minibatchpredict: the data has no observations, at {line_of(user_site())}; give some")
    columns = list(zip(*parts, strict=True))
    whole = tuple([_joined(column) if uniform_output else [y for part in column for y in part] for column in columns])
    return whole[0] if single else whole


def _alone(data: Any) -> Any:
    """An array that is the only part of the data."""
    return (data,) if isinstance(data, (dlarray, np.ndarray, torch.Tensor)) else data


def _joined(arrays: Sequence[Any]) -> dlarray:
    first = arrays[0]
    axis = _observed(first)
    for x in arrays:
        if x.shape[:axis] + x.shape[axis + 1:] != first.shape[:axis] + first.shape[axis + 1:]:
            raise ShapeError(f"minibatchpredict: outputs of {described(first.shape, first._labels)} and of "
                             f"{described(x.shape, x._labels)} do not fit into one array, at {line_of(user_site())}; "
                             "write uniform_output=False for a list with one for each observation")
    return dlarray._made(torch.cat([x._value for x in arrays], axis), None, first._labels)


def _observed(y: dlarray) -> int:
    """The axis of the observations."""
    if y._labels is None or "B" not in y._labels:
        raise ShapeError("minibatchpredict: an output has no axis B, so mini-batches cannot be put together, at "
                         f"{line_of(user_site())}; write net.predict(x)")
    return y._labels.index("B")


def _apart(y: dlarray, mask: Any) -> list[dlarray]:
    """One array for each observation, without its padding."""
    axis, labels = _observed(y), y.dims
    rest = labels.replace("B", "", 1)
    rows = y._value.unbind(axis)
    time = rest.find("T")
    if mask is not None:
        there = mask._value.movedim(mask._labels.index("B"), 0)
        rows = tuple([row.index_select(time, its.nonzero()[:, 0]) for row, its in zip(rows, there, strict=True)])
    return [dlarray._made(row, None, rest or None) for row in rows]


def testnet(net: dlnetwork, data: Any, /, *given: Any, mini_batch_size: int = 128, loss: Any = None,
            class_names: Any = None, input_data_formats: Any = None, target_data_formats: Any = None) -> Any:
    """Metrics of a network over a whole data set: one number for one name, a dict for several. `testnet(net, data,
    metrics)`, or `testnet(net, x, t, metrics)`.

    data: as for trainnet, (x, t) or a datastore. metrics: names ("accuracy", "precision", "recall", "fscore", "auc",
    "rmse", "mape", "rsquared"), "loss" with `loss=` given, or functions of outputs and targets. Precision, recall and
    F-score are averaged over the classes, each class with the same weight; percentages are only in mape. Targets that
    are words are classes in the order of `class_names`, those of the training (`info.class_names`); left out, the words
    that occur, sorted.

    >>> import gradloom as gl
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(2), gl.layers.Softmax()])
    >>> gl.testnet(net, ([[1.0, 2.0], [3.0, 0.0]], [1, 1]), "accuracy", input_data_formats="BC")
    0.5

    Source: MATLAB testnet.
    """
    if not 1 <= len(given) <= 2:
        raise TypeRefused(f"testnet takes a network, data and metrics, {2 + len(given)} values were given, at "
                          f"{line_of(user_site())}; write testnet(net, (x, t), \"accuracy\")")
    *more, metrics = given
    if more:
        data = (*_parts(data), *_parts(more[0]))
    single = isinstance(metrics, str) or callable(metrics)
    asked = [metrics] if single else metrics if isinstance(metrics, dict) else list(metrics)
    if "loss" in asked and loss is None:
        raise TypeRefused(f"testnet: the loss is asked for, and which it is is not said, at {line_of(user_site())}; "
                          "write loss=\"crossentropy\"")
    found = metrics_of(asked if isinstance(asked, dict) else [one for one in asked if one != "loss"],
                       loss == "binary-crossentropy")
    options = TrainingOptions("sgdm", mini_batch_size=mini_batch_size, input_data_formats=input_data_formats,
                              target_data_formats=target_data_formats)
    queue = queue_of(data, net, options, loss, None, class_names)
    try:
        values = evaluated(net, queue, _nothing if loss is None else loss_of(loss), found)
    finally:
        queue.close()
    if loss is None:
        del values["loss"]
    return next(iter(values.values())) if single else values


def _parts(data: Any) -> tuple[Any, ...]:
    return data if isinstance(data, tuple) else (data,)


def _nothing(ys: Any, ts: Any, masks: Any) -> Any:
    return dlarray(0.0), 1


__all__ = ["minibatchpredict", "testnet"]
