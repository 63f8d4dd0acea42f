"""Connectionist temporal classification against the sum over all alignments, and against torch."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import within

import gradloom as gl
from gradloom.core.errors import LabelError, ShapeError, TypeRefused
from gradloom.core.tables import OPERATIONS
from gradloom.derivatives.words.evaluate import dlfeval, dlgradient
from gradloom.derivatives.words.products import hvp

close = within(1e-10)

TIME, BATCH, CLASSES, LENGTH = 6, 5, 4, 3
STEPS, SIZES = [6, 4, 3, 6, 0], [3, 2, 1, 0, 0]
TARGETS = torch.tensor([[1, 1, 2], [3, 1, 0], [2, 0, 0], [0, 0, 0], [0, 0, 0]])


def logits(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masks():
    return torch.arange(TIME) < torch.tensor(STEPS)[:, None], torch.arange(LENGTH) < torch.tensor(SIZES)[:, None]


def merged(path, blank):
    """What an alignment says: repetitions merged, then blanks removed."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


def by_enumeration(p, target, blank):
    """-log of the sum over all alignments; p is (time, classes)."""
    total = 0.0
    for path in itertools.product(range(p.shape[1]), repeat=p.shape[0]):
        if merged(path, blank) == list(target):
            total = total + math.prod([p[t, k] for t, k in enumerate(path)])
    return -torch.log(torch.as_tensor(total, dtype=torch.float64))


@pytest.mark.parametrize("target", [[], [1], [1, 1], [2, 1], [1, 2, 1]])
@pytest.mark.parametrize("blank", [0, "last"])
def test_it_is_the_sum_over_all_alignments(target, blank):
    p = torch.softmax(logits(5, 3), -1)
    place = 0 if blank == 0 else 2
    target = target if blank == 0 else [k - 1 for k in target]
    expected = by_enumeration(p, target, place)
    found = gl.ctc(gl.dlarray(p, "TC"), gl.dlarray(target, "T", dtype="int64"), blank_index=blank)
    assert (found.dims, found.shape) == ("", ())
    close(found, expected)
    probability = p.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(by_enumeration(probability, target, place), probability)
    close(dlfeval(lambda p: dlgradient(gl.ctc(p, gl.dlarray(target, "T", dtype="int64"), blank_index=blank), p), gl.dlarray(p, "TC")), gradient)


def test_second_derivatives_are_those_of_the_sum():
    z, v = logits(4, 3), logits(4, 3, seed=1)
    hessian = torch.autograd.functional.hessian(lambda z: by_enumeration(torch.softmax(z, -1), [1, 1], 0), z)
    loss = lambda z: gl.ctc(z, [1, 1], from_logits=True, data_format="TC")
    close(dlfeval(lambda z: hvp(loss(z), z, gl.dlarray(v)), gl.dlarray(z)), torch.tensordot(hessian, v, dims=2))


@pytest.mark.parametrize("layout", ["TBC", "CBT", "BCT", "CTB"])
@pytest.mark.parametrize("labelled", [True, False])
def test_torch_agrees_on_lengths_and_labels(layout, labelled):
    z = logits(TIME, BATCH, CLASSES)
    theirs = z.clone().requires_grad_()
    parts = F.ctc_loss(theirs.log_softmax(-1), TARGETS, torch.tensor(STEPS), torch.tensor(SIZES), reduction="none")
    (gradient,) = torch.autograd.grad(parts.sum() / BATCH, theirs)
    order = ["TBC".index(letter) for letter in layout]
    y_mask, targets_mask = masks()
    y = z.permute(order)
    rest = layout.replace("C", "")
    put = lambda x: x if rest == "BT" else x.T
    if labelled:
        others = [gl.dlarray(TARGETS, "BT"), gl.dlarray(y_mask.T, "TB"), gl.dlarray(targets_mask[None], "CBT")]
    else:
        others = [put(TARGETS), put(y_mask), put(targets_mask)]
    options = {"from_logits": True, **({} if labelled else {"data_format": layout})}

    def ours(y):
        loss = gl.ctc(y, *others, **options)
        return loss, dlgradient(loss, y), gl.ctc(y, *others, reduction="none", **options)

    loss, found, each = dlfeval(ours, gl.dlarray(y.clone(), layout if labelled else None))
    close(loss, parts.detach().mean())
    close(each, parts.detach())
    close(found, gradient.permute(order))
    assert each.dims == ("B" if labelled else "") and loss.dims == ""
    as_probabilities = gl.ctc(gl.softmax(gl.dlarray(y.clone(), layout)), gl.dlarray(TARGETS, "BT"), gl.dlarray(y_mask, "BT"),
                              gl.dlarray(targets_mask, "BT"), normalization_factor="target-included")
    close(as_probabilities, parts.detach().sum() / sum(SIZES))
    close(gl.ctc(*([y, *others] if not labelled else [gl.dlarray(y.clone(), layout), *others]), normalization_factor="none", **options),
          parts.detach().sum())


def test_padding_may_stand_anywhere():
    z = logits(TIME, 1, CLASSES)
    there, words = torch.tensor([[0, 1, 1, 0, 1, 1]]), gl.dlarray([[0, 2, 0, 1]], "BT", dtype="int64")
    short = z[there[0] != 0]
    expected = gl.ctc(gl.dlarray(short, "TBC"), gl.dlarray([[2, 1]], "BT", dtype="int64"), from_logits=True)

    def ours(y):
        loss = gl.ctc(y, words, gl.dlarray(there, "BT"), gl.dlarray([[0.0, 1, 0, 1]], "BT"), from_logits=True)
        return loss, dlgradient(loss, y)

    loss, g = dlfeval(ours, gl.dlarray(z, "TBC"))
    close(loss, expected)
    own = dlfeval(lambda y: dlgradient(gl.ctc(y, gl.dlarray([[2, 1]], "BT", dtype="int64"), from_logits=True), y), gl.dlarray(short, "TBC"))
    close(g[np.flatnonzero(there[0])], own._value)
    close(g[np.flatnonzero(there[0] == 0)], torch.zeros(2, 1, CLASSES))


@pytest.mark.parametrize("recorded", [False, True])
def test_what_does_not_fit_is_infinite_with_derivative_0(recorded):
    """Two equal targets need three steps; the other observation is untouched."""
    z = logits(2, 2, 3)
    words = gl.dlarray([[1, 1], [1, 2]], "BT", dtype="int64")

    def ours(y):
        each = gl.ctc(y, words, from_logits=True, reduction="none")
        g = dlgradient(gl.sum(each), y, enable_higher_derivatives=recorded)
        return each, g, dlgradient(gl.sum(g * g), y) if recorded else g

    each, g, second = dlfeval(ours, gl.dlarray(z, "TBC"))
    assert np.isinf(each[0].item()) and np.isfinite(each[1].item())
    close(g[:, 0], torch.zeros(2, 3))
    alone = dlfeval(lambda y: dlgradient(gl.ctc(y, words[1:], from_logits=True), y), gl.dlarray(z[:, 1:], "TBC"))
    close(g[:, 1:], alone._value)
    assert np.isfinite(np.asarray(second)).all()


def test_degenerate_points():
    one = gl.dlarray([[0.25], [0.75]], "CT")
    close(gl.ctc(one, [1]), -math.log(0.75))  # one step
    close(gl.ctc(one, gl.dlarray(torch.zeros(0, dtype=torch.int64), "T")), -math.log(0.25))  # no targets
    sure = gl.dlarray([[0.0, 1.0], [1.0, 0.0]], "CT")  # probabilities of 0 are clipped

    def of(y):
        loss = gl.ctc(y, [1])
        return loss, dlgradient(loss, y)

    loss, g = dlfeval(of, sure)
    close(loss, 0.0)
    assert np.isfinite(np.asarray(g)).all()
    far = gl.dlarray([[1e4, -1e4], [-1e4, 1e4]], "CT")
    loss, g = dlfeval(lambda y: ((v := gl.ctc(y, [1], from_logits=True)), dlgradient(v, y)), far)
    close(loss, 0.0)
    close(g, torch.zeros(2, 2))


def test_no_time_and_no_observations():
    one, none = gl.dlarray([[1]], "BT", dtype="int64"), gl.dlarray(torch.zeros((1, 0), dtype=torch.int64), "BT")
    for y in (gl.zeros((0, 1, 3), "TBC"), gl.dlarray(logits(4, 1, 3), "TBC")):
        for words, expected in ((none, 0.0), (one, math.inf)):
            close(gl.ctc(y, words, gl.zeros((1, y.shape[0]), "BT"), from_logits=True), expected)
    y = gl.zeros((4, 0, 3), "TBC")
    words = gl.dlarray(torch.zeros((0, 2), dtype=torch.int64), "BT")
    assert gl.ctc(y, words, from_logits=True, reduction="none").shape == (0,)
    assert dlfeval(lambda y: dlgradient(gl.ctc(y, words, from_logits=True, normalization_factor="none"), y), y).shape == (4, 0, 3)


def test_long_and_single_precision():
    """Probabilities of alignments far below what numbers can hold: logarithms all the way, in the stated rule too."""
    z = logits(300, 2, 20).float()
    z[..., 0] += 12  # the blank is nearly certain
    words = torch.arange(1, 16).repeat(2, 4)
    theirs = z.double().requires_grad_()
    parts = F.ctc_loss(theirs.log_softmax(-1), words, torch.tensor([300, 300]), torch.tensor([60, 60]), reduction="sum")
    (gradient,) = torch.autograd.grad(parts, theirs)

    def ours(y, recorded):
        loss = gl.ctc(y, gl.dlarray(words, "BT"), from_logits=True, normalization_factor="none")
        return loss, dlgradient(loss, y, enable_higher_derivatives=recorded)

    for recorded in (False, True):
        loss, g = dlfeval(lambda y, recorded=recorded: ours(y, recorded), gl.dlarray(z, "TBC"))
        assert g.dtype is torch.float32
        close(loss, parts.detach(), 1e-5)
        close(g, gradient, 2e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(dtype):
    y = gl.softmax(gl.dlarray(logits(5, 2, 3), "TBC").astype(dtype))
    words = gl.dlarray([[1, 2], [2, 1]], "BT", dtype="int64")
    loss, g = dlfeval(lambda y: ((v := gl.ctc(y, words)), dlgradient(v, y)), y)
    assert loss.dtype is torch.float32 and g.dtype is y.dtype
    logs = y._value.float().log()
    close(loss, F.ctc_loss(logs, torch.tensor([[1, 2], [2, 1]]), torch.tensor([5, 5]), torch.tensor([2, 2]), reduction="sum") / 2, 1e-5)


def test_a_planted_mistake_is_caught(monkeypatch):
    pull = OPERATIONS["ctc"].fused_pull
    rule = pull.call
    monkeypatch.setattr(pull, "call", lambda *a: (rule(*a)[0] * 1.001, None, None, None))
    with pytest.raises(AssertionError):
        test_torch_agrees_on_lengths_and_labels("TBC", True)


def test_messages():
    y = gl.softmax(gl.dlarray(logits(4, 2, 3), "TBC"))
    words = gl.dlarray([[1, 2], [2, 1]], "BT", dtype="int64")
    for wrong, kind, message in [
        (lambda: gl.ctc(gl.stripdims(y), words), LabelError, "ctc needs to know the axes.*data_format="),
        (lambda: gl.ctc(gl.dlarray(y._value, "SBC"), words), LabelError, r"y 4\(S\) x 2\(B\) x 3\(C\) needs the axes C, T and B"),
        (lambda: gl.ctc(y * 2, words), ShapeError, r"takes probabilities.*ctc\(softmax\(y\), targets\), or ctc\(y, targets, from_logits=True\)"),
        (lambda: gl.ctc(y, gl.dlarray([[1.0, 2.0], [2.0, 1.0]], "BT")), TypeRefused, "class indices.*int64"),
        (lambda: gl.ctc(y, gl.dlarray([[1, 3], [2, 1]], "BT", dtype="int64")), ShapeError, "classes 0 to 2 other than the blank, 0.*targets_mask="),
        (lambda: gl.ctc(y, gl.dlarray([[1, 0], [2, 1]], "BT", dtype="int64")), ShapeError, "other than the blank"),
        (lambda: gl.ctc(y, words, blank_index=3), ShapeError, r"blank_index is 3 of 3 classes.*counts from 0"),
        (lambda: gl.ctc(y, words, blank_index="first"), TypeRefused, 'or "last"'),
        (lambda: gl.ctc(y, words[:1]), ShapeError, "targets for 1 observations, y has 2"),
        (lambda: gl.ctc(y, gl.dlarray([[1, 2], [2, 1]], "BS", dtype="int64")), LabelError, r"targets 2\(B\) x 2\(S\) needs T and B.*'TB'"),
        (lambda: gl.ctc(y, words, gl.ones((2, 3), "BT")), ShapeError, "y_mask has 2 observations of 3, what it masks 2 of 4"),
        (lambda: gl.ctc(y, words, reduction="mean"), ShapeError, 'reduction is "sum" or "none".*\'mean\''),
        (lambda: gl.ctc(y * 1j, words), TypeRefused, "real predictions"),
    ]:
        with pytest.raises(kind, match=message) as caught:
            wrong()
        assert "test_ctc.py" in str(caught.value)
