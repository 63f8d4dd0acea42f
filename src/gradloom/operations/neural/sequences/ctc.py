"""Connectionist temporal classification: minus the logarithm of the probability of a sequence of classes, over all ways
to align it."""
from __future__ import annotations

import operator
from typing import Any

import torch

from ....core.array import dlarray, labels_of, unlabelled
from ....core.declare import general, public
from ....core.errors import LabelError, ShapeError, TypeRefused, line_of, user_site
from ....core.labels import described
from ....machine.dtypes import Tensor, differentiable
from ....machine.questions import decided, spared
from ...elementwise.arithmetic import astype
from ...elementwise.choice import clip, where
from ...elementwise.mathematics import exp
from ...matrices.contraction import layout_of
from ...movement.axes import array, expand_dims, permute_dims, reshape
from ...movement.joining import concat, stack
from ...movement.selection import put, take_operation
from ...movement.slices import slice_axis
from ...sums.logsumexp import logsumexp
from ...sums.reduction import sum
from ..losses.crossentropy import check_probabilities, clipped_log, constant_like, log_slope, tiny
from ..losses.weighted_sums import predictions_of, targets_of
from ..softmax import log_softmax, softmax

aten = torch.ops.aten
NEVER = -1e30  # the logarithm of no probability: finite, so that differences and derivatives of it are numbers

# ----- the operation: x is (time, batch, classes), `steps` of them count; targets are (batch, length), `sizes` of them


def _kernel(x: Tensor, targets: Tensor, steps: Tensor, sizes: Tensor, blank: int,
            from_logits: bool) -> tuple[Tensor, ...]:
    if not x.numel():  # no time or no observations
        return torch.where(sizes > 0, torch.inf, x.new_zeros(x.shape[1])), x.new_empty(0), x
    logs = torch.log_softmax(x, -1) if from_logits else x.clamp_min(tiny(x)).log_()
    return *torch._ctc_loss(logs, targets, steps, sizes, blank), logs


def _shifted(a: Any, by: int) -> Any:
    """Each state in the place of the one `by` places after it (before it, if negative); what comes in is never
    reached."""
    count = a.shape[-1]
    size = min(abs(by), count)
    edge = constant_like(torch.full((*a.shape[:-1], size), NEVER, dtype=a.dtype, device=a.device), a)
    return concat([edge, slice_axis(a, -1, 0, count - size)] if by > 0 else [slice_axis(a, -1, size, count), edge],
                  axis=-1)


def _either(*parts: Any) -> Any:
    """log of the sum of exponentials."""
    return logsumexp(stack(parts, axis=-1), axis=-1)


def _occupancy(x: Any, targets: Any, steps: Any, sizes: Any, blank: int) -> Any:
    """For each time and observation the probability that the alignment shows each class there: minus the loss's
    derivative.

    Forwards and backwards over the states blank, target, blank, target, ..., blank, in logarithms and in library
    operations.
    """
    targets, steps, sizes = (a._value if type(a) is dlarray else a for a in (targets, steps, sizes))
    time, batch, classes = x.shape
    count = 2 * targets.shape[1] + 1
    device = x.device
    if not time or not batch or x.device.type == "meta":
        return x  # of the same shape and type, as the result is
    states = torch.full((batch, count), blank, device=device)
    states[:, 1::2] = targets
    ends, length = 2 * sizes[:, None], steps[:, None]
    place = torch.arange(count, device=device)
    repeated = states[:, 2:] == states[:, :-2]
    skips = torch.full((batch, count), NEVER, dtype=x.dtype, device=device)
    skips[:, 2:].masked_fill_(~repeated, 0)
    leap = constant_like(skips, x)  # over a blank, to another target
    leap_back = constant_like(torch.cat([skips[:, 2:], skips.new_full((batch, min(2, count)), NEVER)], 1)[:, :count], x)
    possible = length >= sizes[:, None] + (repeated[:, 1::2] & (place[3::2] <= ends)).sum(1, keepdim=True)

    def outside(mask: Tensor) -> Any:
        """0 where the mask holds, else never."""
        return constant_like(torch.zeros(mask.shape, dtype=x.dtype, device=device).masked_fill_(~mask, NEVER), x)

    flat = (torch.arange(batch, device=device)[:, None] * classes + states).reshape(-1)
    e = take_operation.apply((reshape(clip(x, NEVER, None), (time, batch * classes)),), {"where": flat, "axis": -1})
    e = reshape(e, (time, batch, count))
    steps_of = [reshape(slice_axis(e, -3, t, t + 1), (batch, count)) for t in range(time)]
    forwards, backwards = [steps_of[0] + outside(place < 2)], []
    for t in range(1, time):
        a = forwards[-1]
        forwards.append(_either(a, _shifted(a, 1), _shifted(a, 2) + leap) + steps_of[t])
    last = outside((place <= ends) & (place >= ends - 1))
    b = outside(place.expand(batch, count) < 0)
    for t in reversed(range(time)):
        a = b if t == time - 1 else b + steps_of[t + 1]
        onward = b if t == time - 1 else _either(a, _shifted(a, -1), _shifted(a, -2) + leap_back)
        b = where(length - 1 == t, last, where(length - 1 > t, onward, NEVER))
        backwards.append(b)
    total = [f + b for f, b in zip(forwards, reversed(backwards), strict=True)]
    z = logsumexp(total[0], axis=-1, keepdims=True)
    possible = possible & ((z._value if type(z) is dlarray else z) > NEVER / 2)  # nor what has probability 0
    share = exp(stack(total, axis=0) - where(possible, z, 0.0))
    inside = possible & (torch.arange(time, device=device)[:, None, None] < length)
    share = reshape(where(inside, share, 0.0), (time, batch * count))
    return reshape(put.apply((share,), {"where": flat, "axis": -1, "size": batch * classes}), (time, batch, classes))


def _logs(x: Any, from_logits: bool) -> Any:
    return log_softmax(x, axis=-1) if from_logits else clipped_log(x)


def _push(x_dot: Any, x: Any, targets: Any, steps: Any, sizes: Any, blank: int, from_logits: bool) -> Any:
    shares = _occupancy(_logs(x, from_logits), targets, steps, sizes, blank)
    dot = x_dot - sum(x_dot * softmax(x, axis=-1), axis=-1, keepdims=True) if from_logits else x_dot * log_slope(x)
    return -sum(dot * shares, axis=(-3, -1))


def _pull(y_bar: Any, x: Any, targets: Any, steps: Any, sizes: Any, blank: int, from_logits: bool) -> Any:
    y_bar = reshape(y_bar, (*y_bar.shape[:-1], 1, y_bar.shape[-1], 1))
    bar = -(y_bar * _occupancy(_logs(x, from_logits), targets, steps, sizes, blank))
    x_bar = bar - sum(bar, axis=-1, keepdims=True) * softmax(x, axis=-1) if from_logits else bar * log_slope(x)
    return x_bar, None, None, None


def _fused(y_bar: Tensor, x: Tensor, y: Tensor, log_alpha: Tensor, logs: Tensor, targets: Tensor,
           steps: Tensor, sizes: Tensor, blank: int,
           from_logits: bool) -> Any:
    """torch's is the derivative in what went into log_softmax, (exp(logs) - occupancy) y_bar, where the loss is
    finite."""
    if not x.numel():
        return x, None, None, None
    y_bar = y_bar.masked_fill(y == torch.inf, 0)
    bar = aten._ctc_loss_backward(y_bar, logs, targets, steps, sizes, y, log_alpha, blank, True)
    if not from_logits:
        low = tiny(x)
        bar.div_(x.clamp_min(low)).sub_(y_bar[:, None])
        outside = torch.arange(x.shape[0], device=x.device)[:, None, None] >= steps[:, None]
        bar.masked_fill_(outside | (x < low), 0)
    return bar, None, None, None


def _of(*rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64, device="cpu")


_ctc = general(
    "ctc", _kernel, ("x", "targets", "steps", "sizes"), hidden=("log_alpha", "logs"), push=_push,
    pull=_pull, fused_pull=_fused, matlab="ctc",
    domain=(0.1, 0.9), samples=[((4, 2, 3), _of((1, 2), (2, 2)), _of(4, 3), _of(2, 2),
                                 {"blank": 0, "from_logits": True}),
                                ((5, 2, 3), _of((1, 0), (0, 0)), _of(5, 3), _of(1, 2),
                                 {"blank": 2, "from_logits": False}),
                                ((1, 1, 2), _of((1,)), _of(1), _of(1), {"blank": 0, "from_logits": False}),
                                ((3, 2, 2), _of((), ()), _of(3, 0), _of(0, 0), {"blank": 1, "from_logits": True}),
                                ((0, 2, 3), _of((), ()), _of(0, 0), _of(0, 0), {"blank": 0, "from_logits": False}),
                                ((2, 0, 3), torch.zeros((0, 1), dtype=torch.int64, device="cpu"),
                                 _of(), _of(), {"blank": 0, "from_logits": True})],
               real_only="losses take real predictions", without_half="torch has no kernel on the CPU",
               opaque=True)  # torch's derivative is that of something else

# ----- operands -------------------------------------------------------------------------------------------------------


def _by_observation(a: Any, labels: str | None, order: str, what: str) -> Any:
    """Integers or a mask over time and observations as a tensor (batch, time). Labels are its own or `order`, y's
    without C."""
    a = array(a)
    shown, raw = described(a.shape, labels_of(a)), a._value if type(a) is dlarray else a
    if type(a) is dlarray:
        a._refuse_traced_float(f"ctc: {what}")
    labels = labels or order
    if "C" in labels and len(labels) == raw.ndim and raw.shape[labels.index("C")] == 1:
        raw, labels = raw.squeeze(labels.index("C")), labels.replace("C", "")
    if len(labels) != raw.ndim or set(labels) - {"T", "B"} or "T" not in labels:
        raise LabelError(
            f"ctc: {what} {shown} needs T and B, at {line_of(user_site())}; write dlarray({what}, \"BT\"), or leave it "
            f"unlabelled with the axes of y without C, {order!r}")
    return raw.movedim(labels.index("T"), -1) if "B" in labels else raw[None]


def _lengths(mask: Any, labels: str | None, order: str, like: Tensor, what: str) -> tuple[Tensor, Tensor | None]:
    """How many entries count of each observation, and their order if they are not the first ones."""
    if mask is None:
        return torch.full((like.shape[0],), like.shape[1], device=like.device), None
    there = _by_observation(mask, labels, order, what).to(like.device) != 0
    if tuple(there.shape) not in ((like.shape[0], like.shape[1]), (1, like.shape[1])):
        raise ShapeError(
            f"ctc: {what} has {there.shape[0]} observations of {there.shape[1]}, what it masks {like.shape[0]} of "
            f"{like.shape[1]}, at {line_of(user_site())}; the sizes of B and T must be the same")
    there = there.expand(like.shape[0], -1)
    lengths = there.sum(1)
    first = torch.arange(like.shape[1], device=like.device) < lengths[:, None]
    return (lengths, None if spared((first == there).all())
            else torch.argsort((~there).to(torch.uint8), dim=1, stable=True))


def _blank(blank_index: Any, classes: int) -> int:
    if blank_index == "last":
        return classes - 1
    try:
        k = operator.index(blank_index)
    except TypeError:
        raise TypeRefused(
            f"ctc: blank_index is a class counted from 0, or \"last\", not {blank_index!r:.60}, at "
            f"{line_of(user_site())}; write 0") from None
    if not -classes <= k < classes:
        raise ShapeError(
            f"ctc: blank_index is {k} of {classes} classes, at {line_of(user_site())}; it counts from 0 (MATLAB's 1 is "
            "0 here)")
    return k % classes


@public(_ctc)
def ctc(y: Any, targets: Any, y_mask: Any = None, targets_mask: Any = None, /, *, blank_index: Any = 0,
        reduction: str = "sum",
        normalization_factor: str = "batch-size", from_logits: bool = False, data_format: str | None = None) -> Any:
    """Minus the logarithm of the probability of the targets, over all ways to align them with y in time, over the batch
    size.

    Formula: -(1/N) sum over observations of log P(targets | y); P is the sum, over all sequences of classes that become
    the targets when repetitions are merged and then blanks removed, of the product over time of y[class]. N is the size
    of B, 1 when absent; with `normalization_factor` "target-included" (or "mask-included") the number of targets that
    count, with "none" 1.

    y: C, T and maybe B in any order, probabilities over C, as softmax gives them, clipped away from 0 before the
    logarithm; `from_logits=True` takes what goes into softmax. targets: T and B, class indices counted from 0, none of
    them the blank; unlabelled, they have y's axes without C. y_mask, targets_mask: 1 for what counts, 0 for padding,
    axes as those of targets (C of size 1 may be there). blank_index: the class of the blank, or "last". The result is
    an unlabelled scalar; `reduction="none"` gives one for each observation.

    Targets that do not fit into the time there is (one step for each, and one more between equal neighbours) have
    infinite loss and derivative 0. No targets at all is the alignment of blanks alone.

    Raises ShapeError for values outside [0, 1] or that do not sum to 1 over C to within 1e-3 (checked on the CPU),
    targets that are no classes or the blank, sizes that do not fit; LabelError where labels are missing.

    >>> import gradloom as gl
    >>> y = gl.dlarray([[0.5, 0.25], [0.5, 0.75]], "CT")
    >>> print(f"{gl.ctc(y, [1]):.4f}")
    0.1335

    Source: Graves, Fernandez, Gomez, Schmidhuber 2006; MATLAB ctc.
    """
    y, targets = predictions_of(y, "ctc"), targets_of(targets)
    if (reduction not in ("sum", "none")
        or normalization_factor not in ("batch-size", "target-included", "mask-included", "none")):
        raise ShapeError(
            "ctc: reduction is \"sum\" or \"none\", normalization_factor \"batch-size\", \"target-included\" or "
            f"\"none\", not {reduction!r}, {normalization_factor!r}, at {line_of(user_site())}")
    labels = layout_of(y, data_format, "ctc")
    if sorted(labels) not in (["B", "C", "T"], ["C", "T"]):
        raise LabelError(
            f"ctc: y {described(y.shape, labels)} needs the axes C, T and B, or C and T, at {line_of(user_site())}; "
            "write dlarray(y, \"CBT\")")
    if differentiable(targets.dtype):
        raise TypeRefused(
            f"ctc: targets are class indices, integers counted from 0, not {str(targets.dtype)[6:]}, at "
            f"{line_of(user_site())}; write dlarray(targets, \"BT\", dtype=\"int64\")")
    axis = labels.index("C") - y.ndim
    if not from_logits:
        check_probabilities(y, axis, y_mask is not None, "ctc")
    kept = "B" if labels_of(y) is not None and "B" in labels else None
    y = unlabelled(y)
    y = y if y.dtype in (torch.float32, torch.float64) else astype(y, "float32")
    x = permute_dims(y, tuple(labels.index(letter) for letter in "TBC" if letter in labels))
    x = x if "B" in labels else expand_dims(x, axis=1)
    time, batch, classes = x.shape
    order = labels.replace("C", "")
    words = _by_observation(targets, labels_of(targets), order, "targets").to(device=x.device, dtype=torch.int64)
    if words.shape[0] != batch:
        raise ShapeError(
            f"ctc: targets for {words.shape[0]} observations, y has {batch}, at {line_of(user_site())}; the sizes of B "
            "must be the same")
    sizes, moved = _lengths(targets_mask, labels_of(targets_mask), order, words, "targets_mask")
    blank = _blank(blank_index, classes)
    wrong = (words < 0) | (words >= classes) | (words == blank)
    if targets_mask is not None:
        words = words if moved is None else words.gather(1, moved)
        beyond = torch.arange(words.shape[1], device=x.device) >= sizes[:, None]
        wrong = (wrong if moved is None else wrong.gather(1, moved)) & ~beyond
        words = words.masked_fill(beyond, blank)
    if decided(wrong.any()):
        raise ShapeError(
            f"ctc: targets are classes 0 to {classes - 1} other than the blank, {blank}, at {line_of(user_site())}; "
            "write targets_mask= for padding, blank_index= for another blank")
    steps, moved = _lengths(y_mask, labels_of(y_mask), order, torch.empty((batch, time), device=x.device), "y_mask")
    if moved is not None:
        where_ = (moved.T * batch + torch.arange(batch, device=x.device)).reshape(-1)
        x = reshape(take_operation.apply((reshape(x, (time * batch, classes)),), {"where": where_, "axis": -2}),
                    (time, batch, classes))
    loss = _ctc.apply((x, words.contiguous(), steps, sizes), {"blank": blank, "from_logits": bool(from_logits)},
                      kept if reduction == "none" else None)
    if reduction == "none":
        return loss
    count = {"batch-size": batch, "none": 1}.get(normalization_factor)
    return sum(loss) / (int(sizes.sum()) if count is None else count)


__all__ = ["ctc"]
