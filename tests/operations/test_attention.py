"""Attention: every option against a formula in torch, labels, masks, degenerate points, structured Jacobians."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import normal, within

import gradloom as gl
from gradloom import LabelError, ShapeError, TraceError, TypeRefused, dlfeval, dlgradient
from gradloom.core.tables import OPERATIONS

close = within(1e-12)

B, H, TQ, TK, D = 2, 3, 5, 4, 2
HIDE = -torch.inf


def operands(values=D * H):
    return normal(B, TQ, D * H), normal(B, TK, D * H) * 1.1, normal(B, TK, values) + 0.3


def formula(q, k, v, heads=H, scale=None, bias=None):
    """(y, weights) of (batch, positions, channels), written out."""
    split = lambda x: x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)
    q, k, v = split(q), split(k), split(v)
    scores = q @ k.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if bias is not None:
        sees = (bias > HIDE).any(-1, keepdim=True)
        scores = scores + torch.where(sees, bias, 0.0)
    weights = torch.softmax(scores, -1)
    weights = weights if bias is None else weights * sees
    y = (weights @ v).transpose(1, 2)
    return y.reshape(*y.shape[:2], -1), weights


def masks():
    later = torch.ones(TQ, TK, dtype=torch.bool).triu(1)
    padding = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 0]])
    learned = normal(H, TQ, TK)
    seen = normal(TQ, TK) > -0.5
    return {
        "none": ({}, None),
        "causal": ({"attention_mask": "causal"}, torch.zeros(TQ, TK).masked_fill(later, HIDE)),
        "bools": ({"attention_mask": seen}, torch.zeros(TQ, TK).masked_fill(~seen, HIDE)),
        "integers": ({"attention_mask": seen.to(torch.int64)}, torch.zeros(TQ, TK).masked_fill(~seen, HIDE)),
        "learned": ({"attention_mask": learned}, learned),
        "padding": ({"padding_mask": padding}, torch.zeros(B, 1, 1, TK).masked_fill(padding[:, None, None] == 0, HIDE)),
        "padding and causal": ({"padding_mask": padding, "attention_mask": "causal"},
                               torch.zeros(B, 1, TQ, TK).masked_fill((padding[:, None, None] == 0) | later, HIDE)),
        "padding and learned": ({"padding_mask": padding, "attention_mask": learned}, learned.masked_fill(padding[:, None, None] == 0, HIDE)),
        "padding and bools": ({"padding_mask": padding, "attention_mask": seen},
                              torch.zeros(B, 1, TQ, TK).masked_fill((padding[:, None, None] == 0) | ~seen, HIDE)),
        "everything hidden from one query": ({"attention_mask": (torch.arange(TQ) != 1)[:, None].expand(TQ, TK)},
                                             torch.zeros(TQ, TK).masked_fill((torch.arange(TQ) == 1)[:, None], HIDE)),
    }


@pytest.mark.parametrize("values", [D * H, 5 * H], ids=["one kernel", "values of another size"])
@pytest.mark.parametrize("scale", [None, 0.4])
@pytest.mark.parametrize("mask", masks())
def test_values_and_gradients(mask, scale, values):
    options, bias = masks()[mask]
    options = options if scale is None else options | {"scale": scale}
    arrays = operands(values)
    weight = normal(B, TQ, values)
    theirs = [x.clone().requires_grad_() for x in arrays]
    y, p = formula(*theirs, scale=scale, bias=None if bias is None else bias.double())
    expected = torch.autograd.grad((y * weight).sum(), theirs)

    def ours(*x):
        y = gl.attention(*x, H, **options)
        return y, *dlgradient(gl.sum(y * gl.dlarray(weight)), *x)

    found = dlfeval(ours, *[gl.dlarray(x, "BTC") for x in arrays])
    assert found[0].dims == "BTC"
    close(found[0], y.detach())
    for a, b in zip(found[1:], expected, strict=True):
        close(a, b)
    again, weights = gl.attention(*[gl.dlarray(x, "BTC") for x in arrays], H, **options, return_weights=True)
    close(again, y.detach())
    close(weights, p.detach())
    assert weights.dims == "BUUU"


def test_a_learned_mask_and_a_learned_scale_have_gradients():
    q, k, v = operands()
    bias, scale = normal(H, TQ, TK), torch.tensor(0.7, dtype=torch.float64)
    theirs = [x.clone().requires_grad_() for x in (bias, scale)]
    expected = torch.autograd.grad(formula(q, k, v, bias=theirs[0], scale=theirs[1])[0].square().sum(), theirs)

    def ours(bias, scale):
        y = gl.attention(q, k, v, H, attention_mask=bias, scale=scale, data_format="BTC")
        return dlgradient(gl.sum(y * y), bias, scale)

    for a, b in zip(dlfeval(ours, gl.dlarray(bias), gl.dlarray(scale)), expected, strict=True):
        close(a, b)


@pytest.mark.parametrize("layout", ["BTC", "CTB", "TBC", "BSC", "SCB", "CBT", "BUC"])
@pytest.mark.parametrize("keys", ["BTC", "CSB"])
def test_labels_in_any_order(layout, keys):
    q, k, v = operands()
    y, _ = formula(q, k, v)

    def arranged(x, layout):
        return x.permute(["BTC".index("T" if letter in "SU" else letter) for letter in layout])

    for labelled in (True, False):
        if not labelled and layout != keys:
            continue
        put = (lambda x, layout: gl.dlarray(arranged(x, layout).clone(), layout)) if labelled else arranged
        found = gl.attention(put(q, layout), put(k, keys), put(v, keys), H, **({} if labelled else {"data_format": layout}))
        assert isinstance(found, gl.dlarray if labelled else torch.Tensor)
        assert not labelled or found.dims == layout
        close(found, arranged(y, layout))
        mask = gl.dlarray(torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]]), "TB".replace("T", keys.replace("C", "").replace("B", "")))
        padded = gl.attention(gl.dlarray(arranged(q, layout).clone(), layout), gl.dlarray(arranged(k, keys).clone(), keys),
                              gl.dlarray(arranged(v, keys).clone(), keys), H, padding_mask=mask)
        hidden = torch.zeros(B, 1, 1, TK).masked_fill(mask._value.T[:, None, None] == 0, HIDE)
        close(padded, arranged(formula(q, k, v, bias=hidden.double())[0], layout))


def test_without_a_batch_and_over_an_image():
    q, k, v = operands()
    y, weights = formula(q[:1], k[:1], v[:1])
    found, p = gl.attention(*[gl.dlarray(x[0], "TC") for x in (q, k, v)], H, return_weights=True)
    assert (found.dims, p.dims, p.shape) == ("TC", "", (H, TQ, TK))
    close(found, y[0])
    close(p, weights[0])
    image = normal(B, D * H, 2, 3)
    flat = image.flatten(2).mT
    found = gl.attention(*[gl.dlarray(image, "BCSS")] * 3, H)
    assert found.dims == "BCSS"
    close(found, formula(flat, flat, flat)[0].mT.reshape(image.shape))


def test_torch_agrees():
    q, k, v = (x.reshape(B, -1, H, D) for x in operands())
    expected = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=True).transpose(1, 2)
    close(gl.attention(*operands(), H, attention_mask="causal", data_format="BTC"), expected.flatten(2))


def test_a_query_that_sees_nothing_gives_zeros_and_no_nan():
    seen = np.array([[True, False], [False, False]])

    def all_of_it(q, k, v, **options):
        y = gl.attention(q, k, v, 1, attention_mask=seen, **options)
        y = y[0] if options else y
        first = dlgradient(gl.sum(y * y), q, enable_higher_derivatives=True)
        return y, first, dlgradient(gl.sum(first * first), k)

    arrays = [gl.dlarray(normal(1, 2, 2) + j, "BTC") for j in range(3)]
    for options in ({}, {"return_weights": True}):
        y, first, second = dlfeval(lambda *x, options=options: all_of_it(*x, **options), *arrays)
        assert np.isfinite(np.asarray(second)).all()
        close(y[:, 1], [[0.0, 0.0]])
        close(first[:, 1], [[0.0, 0.0]])
        close(y[:, 0], arrays[2][:, 0]._value)


def test_large_scores_are_stable():
    q = gl.dlarray([[[1e4], [-1e4]]], "BTC")

    def of(q):
        y = gl.attention(q, q, q, 1)
        return y, dlgradient(gl.sum(y), q)

    y, g = dlfeval(of, q)
    close(y, [[[1e4], [-1e4]]])
    assert np.isfinite(np.asarray(g)).all()


def test_sizes_of_nothing():
    empty = gl.dlarray(torch.zeros(2, 0, 4), "BTC")
    q = gl.dlarray(normal(2, 3, 4), "BTC")
    assert gl.attention(empty, q, q, 2).shape == (2, 0, 4)
    close(gl.attention(q, empty, empty, 2), torch.zeros(2, 3, 4))
    assert gl.attention(*[gl.dlarray(torch.zeros(0, 3, 4), "BTC")] * 3, 2).shape == (0, 3, 4)


def test_dropout_is_drawn_once_for_all_derivatives():
    arrays = [gl.dlarray(x, "BTC") for x in operands()]

    def ours(q, k, v):
        y, weights = gl.attention(q, k, v, H, dropout_probability=0.5, return_weights=True)
        return y, weights, dlgradient(gl.sum(y), v)

    gl.rng(0)
    y, weights, g = dlfeval(ours, *arrays)
    exact = gl.attention(*arrays, H, return_weights=True)[1]
    zero = np.array(weights == 0)
    assert 0.2 < zero.mean() < 0.8
    close(weights, torch.where(torch.as_tensor(zero), 0.0, 2 * exact._value))
    close(g, weights._value.sum(2).transpose(1, 2)[..., None].expand(-1, -1, -1, D).reshape(B, TK, -1))
    gl.rng(0)
    again = gl.attention(*arrays, H, dropout_probability=0.5)
    close(again, y._value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_types_stay(dtype):
    arrays = [x.to(dtype) for x in operands()]
    y = gl.attention(*arrays, H, padding_mask=np.ones((B, TK)), data_format="BTC")
    assert y.dtype is dtype
    close(y, formula(*[x.double() for x in arrays])[0], 1e-5 if dtype is torch.float32 else 3e-2)


def test_jacobians_with_respect_to_the_projections_are_structured():
    """For one sequence, as in a transformer: each weight's Jacobian is that of torch, and is held in less than its size.

    Of 24 tokens: for half of them the whole Jacobian in plain rows is as fast, and the plan may take it.
    """
    x, w = normal(24, 16), [normal(16, 8) / 4 + j / 10 for j in range(3)]

    def layer(wq, wk, wv):
        tokens = gl.dlarray(x)
        return gl.attention(tokens @ wq, tokens @ wk, tokens @ wv, 2, data_format="TC")

    for n in range(3):
        theirs = torch.func.jacrev(lambda wn, n=n: formula(*[(x @ (wn if j == n else w[j]))[None] for j in range(3)], heads=2)[0][0])(w[n])

        def jacobian(*weights, n=n):
            return gl.dljacobian(layer(*weights), weights[n])

        J = dlfeval(jacobian, *[gl.dlarray(a) for a in w])
        close(J.dense(), theirs, 1e-10)
        assert J.nbytes < J.dense_nbytes / 2


def test_a_planted_mistake_is_caught(monkeypatch):
    arrays = operands()
    push = OPERATIONS["attention"].push_rule
    rule = push.call
    y = normal(B, TQ, D * H)
    tangent = lambda: gl.dlfeval(lambda q: gl.jvp(gl.attention(q, *arrays[1:], H, data_format="BTC"), q, gl.dlarray(y)), gl.dlarray(arrays[0]))
    expected = torch.tensordot(torch.func.jacrev(lambda q: formula(q, *arrays[1:])[0])(arrays[0]), y, dims=3)
    close(tangent(), expected)
    monkeypatch.setattr(push, "call", lambda *a: rule(*a) * 1.01)
    with pytest.raises(AssertionError):
        close(tangent(), expected)


def test_messages():
    q, k, v = (gl.dlarray(x, "BTC") for x in operands())
    line = r"at test_attention\.py:\d+.*"
    for wrong, kind, message in [
        (lambda: gl.attention(q, k, v, 4), ShapeError, rf"num_heads is 4, {line}; it is an integer that divides the channels, 6"),
        (lambda: gl.attention(q, k, v, 0), ShapeError, "num_heads is 0"),
        (lambda: gl.attention(q, k[:, :, :3], v, 1), ShapeError, rf"q 2\(B\) x 5\(T\) x 6\(C\), k 2\(B\) x 4\(T\) x 3\(C\).*{line}; .*fullyconnect"),
        (lambda: gl.attention(q, k, v[:, :3], 1), ShapeError, "k has 4 positions, v 3"),
        (lambda: gl.attention(q[:1], k, v, 1), ShapeError, r"1, 2 and 2 observations.*sizes of B"),
        (lambda: gl.attention(q, k, v, 1, attention_mask="future"), ShapeError, '"none", "causal" or an array, not \'future\''),
        (lambda: gl.attention(q, k, v, 1, attention_mask=np.ones((TK, TQ))), ShapeError, rf"4 x 5 for 5 queries, 4 keys.*{line}; it is \(5, 4\)"),
        (lambda: gl.attention(q, k, v, 1, padding_mask=np.ones((B, TQ))), ShapeError, r"2 x 5 for k 2\(B\) x 4\(T\) x 6\(C\).*k's shape without C"),
        (lambda: gl.attention(q, k, v, 1, padding_mask=gl.ones((B, TQ), "BS")), LabelError, "has axes that k"),
        (lambda: gl.attention(q, k, v, 1, scale="large"), ShapeError, '"auto" or a number'),
        (lambda: gl.attention(q, k, v, 1, dropout_probability=2), ShapeError, "probability"),
        (lambda: gl.attention(gl.stripdims(q), k, v, 1), LabelError, "attention: q needs to know the axes.*data_format="),
        (lambda: gl.attention(gl.dlarray(q._value, "BSC")[:, 0], k, v, 1), LabelError, r"needs C and positions.*data_format=\"BTC\""),
        (lambda: gl.attention(q * 1j, k, v, 1), TypeRefused, r"real numbers.*attention\(real\(q\)"),
        (lambda: dlfeval(lambda s: gl.attention(q, k, v, 1, scale=float(s)), gl.dlarray(1.0)), TraceError, "traced"),
    ]:
        with pytest.raises(kind, match=message):
            wrong()
