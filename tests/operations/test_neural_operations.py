"""Softmax, losses, pooling, normalization, creation and random numbers, with torch as the referee."""

import itertools
import math

import block_checks
import numpy as np
import operation_checks as checks
import pytest
import torch
import torch.nn.functional as F
from helpers import seed_torch, within
from operation_cases import cases

import gradloom as gl
from gradloom import LabelError, ShapeError, TraceError, TypeRefused, dlarray, dlfeval, dlgradient, hvp, jvp, vjp
from gradloom.blocks.block import identity
from gradloom.blocks.dense import dense
from gradloom.core.kinds.general import General
from gradloom.core.tables import OPERATIONS
from gradloom.derivatives.walks.push import push
from gradloom.machine.memory import out_of_memory

close = within(1e-9)


def raw(x):
    return x._value


def constant(x, labels=None):
    return dlarray(x if isinstance(x, torch.Tensor) else np.asarray(x), labels)


# ----- edges that the declarations' own samples do not reach: sizes 0 and 1, no batches, no axes -------------------------


def windows(size, stride, before, after=None):
    return {"size": size, "stride": stride, "before": before, "after": after or before}


def means(size, stride, padding, count_padding=True):
    return {"size": size, "stride": stride, "padding": padding, "count_padding": count_padding}


def entropy(axis=-2, mode="single-label", from_logits=True, factor=0.5, reduction="sum"):
    return {"axis": axis, "mode": mode, "from_logits": from_logits, "clipped": True, "factor": factor, "reduction": reduction}


STEPS, LAST = {"factor": 0.25, "reduction": "sum", "delta": 0.7}, {"axis": -1, "epsilon": 0.1}
VECTOR = ((3,), (3,), (3,))
EDGES = {
    "maxpool": [((0, 2, 4, 4), windows((2, 2), (2, 1), (1, 0))), ((1, 1, 1, 2), windows((2, 2), (2, 1), (1, 0))),
                ((3,), windows((2,), (1,), (0,))),
                ((2, 1, 1, 1), windows((1, 1), (1, 1), (0, 0))), ((2, 1, 3, 3), windows((3, 3), (1, 1), (2, 2))),
                ((2, 3, 4), windows((3, 2), (2, 2), (0, 0), (2, 1))),
                ((2, 2, 3, 2, 2, 3), windows((2, 2, 2), (2, 1, 2), (1, 0, 1), (1, 1, 0)))],
    "avgpool": [((0, 2, 4, 4), means((2, 3), (1, 2), (1, 1))), ((1, 1, 1, 2), means((2, 3), (1, 2), (1, 1))),
                ((3,), means((2,), (1,), (0,))),
                ((1, 2, 3, 4, 3), means((2, 2, 2), (1, 2, 1), (0, 1, 1), False)), ((2, 5, 4), means((2, 2), (3, 3), (0, 1)))],
    "avgpool_transpose": [((1, 1, 1), {**means((2,), (1,), (0,)), "spatial": (2,)}),
                          ((0, 2, 2), {**means((2,), (2,), (0,)), "spatial": (5,)})],
    "batchnorm": [((1, 3), (3,), (3,), LAST), (*VECTOR, LAST), ((2, 1, 3), (1,), (1,), {"axis": -2, "epsilon": 0.1})],
    "batchnorm_given": [((1, 3), *VECTOR, (3,), LAST), ((3,), *VECTOR, (3,), LAST), ((0, 3), *VECTOR, (3,), LAST)],
    "layernorm": [(*VECTOR, LAST), ((2, 1), (1,), (1,), LAST), ((0, 3), (3,), (3,), LAST)],
    "groupnorm": [((4, 3), (4,), (4,), {"axis": -2, "rest": (-1,), "groups": 4, "epsilon": 0.1}),
                  ((4,), (4,), (4,), {"axis": -1, "rest": (), "groups": 2, "epsilon": 0.1}),
                  ((2, 3, 4, 2), (4,), (4,), {"axis": -2, "rest": (-1,), "groups": 2, "epsilon": 0.1}),
                  ((3, 4, 2, 2), (4,), (4,), {"axis": -3, "rest": (-4, -1), "groups": 1, "epsilon": 0.1})],
    "crossentropy": [((3, 0), (3, 0), None, entropy()), ((1, 2), (1, 2), None, entropy()), (*VECTOR, entropy(-1)),
                     ((3,), torch.tensor(1), None, entropy(-1)),
                     ((3,), torch.tensor(1), (3,), entropy(-1, reduction="none", factor=1)),
                     ((3, 4), torch.tensor([0, 1, 2, 1]), (1, 4), entropy()),
                     ((2, 3, 2), torch.tensor([[0, 2], [1, 1]]), (1, 3, 1), entropy(from_logits=False))],
    "mse": [((), (), None, STEPS), ((0, 3), (0, 3), None, STEPS), ((2, 1), (2, 1), (1, 1), STEPS)],
    "huber": [((), (), None, STEPS), ((0, 3), (0, 3), None, STEPS), ((2, 3), (2, 3), (1, 3), STEPS)],
}


@pytest.mark.parametrize(("name", "k"), [(name, k) for name, specs in EDGES.items() for k in range(len(specs))])
def test_edges(name, k):
    (case,) = cases(OPERATIONS[name], specs=[EDGES[name][k]])
    checks.check_push(case)
    checks.check_adjoint(case)
    checks.check_higher(case, 3)
    checks.check_leads(case)
    checks.check_types(case)
    block_checks.check_block(case)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types_stay(dtype):
    def walks(x, scale, offset):
        short = {"operation_dimension": "channel-only"}
        for y in (gl.maxpool(x, 2, stride=2), gl.maxpool(x, "global"), gl.avgpool(x, 2, padding="same"), gl.batchnorm(x, offset, scale)[0],
                  gl.batchnorm(x, offset, scale, offset, scale), gl.groupnorm(x, 2, offset, scale), gl.layernorm(x, offset, scale, **short),
                  gl.softmax(x), gl.log_softmax(x), gl.dropout(x), gl.crossentropy(gl.softmax(x), gl.softmax(x)), gl.mse(x, x * 2),
                  gl.crossentropy(x, gl.softmax(x), from_logits=True), gl.huber(x, x * 2), gl.l1loss(x, x * 2), gl.l2loss(x, x * 2)):
            assert y.dtype is dtype
            assert all(g.dtype is dtype for g in dlgradient(gl.sum(y), [x, scale, offset]))

    dlfeval(walks, gl.randn((2, 4, 6, 6), "BCSS", dtype=dtype), gl.ones(4, dtype=dtype), gl.zeros(4, dtype=dtype))


def test_what_a_walk_dropped_is_computed_again():
    def walks(x):
        y = gl.maxpool(gl.dropout(gl.batchnorm(gl.tanh(x), 0, 1)[0]), 2, stride=2)
        z = gl.groupnorm(gl.softmax(y), 2, 0, 1)
        loss = gl.crossentropy(z, gl.softmax(y), from_logits=True) + gl.mse(z, y)
        return dlgradient(loss, x), dlgradient(loss, x), dlgradient(loss, x, enable_higher_derivatives=True)

    first, second, third = dlfeval(walks, gl.randn((3, 4, 6, 6), "BCSS"))
    close(first, second)
    close(first, third)


# ----- against torch, in every order of labels --------------------------------------------------------------------------


def compare(ours, theirs, arrays, layouts, result, tolerance=1e-9, second=True):
    """Value, gradient, vjp, jvp and Hessian-vector product of `ours` on labelled arrays, with those of `theirs` on tensors.

    Tensors are in the first layout. `layouts` are the layouts of the first array, `result` gives those of the result (None: a scalar).
    """
    first, *rest = (torch.as_tensor(a, dtype=torch.float64) for a in arrays)
    seed_torch(1)
    tensors = [a.clone().requires_grad_() for a in (first, *rest)]
    y = theirs(*tensors)
    w, v = torch.randn_like(y), [torch.randn_like(a) for a in tensors]
    loss = (w * y * y).sum()
    gradients = torch.autograd.grad(loss, tensors, create_graph=True)
    second = second and any(g.requires_grad for g in gradients)
    along = sum((g * d).sum() for g, d in zip(gradients, v))
    curvature = torch.autograd.grad(along, tensors, allow_unused=True, retain_graph=True) if second else None
    pulled = torch.autograd.grad(y, tensors, w, retain_graph=True)
    _, pushed = torch.autograd.functional.jvp(theirs, tuple(tensors), tuple(v))
    for layout in layouts:
        order = order_of(layouts[0], layout)
        back = None if result is None else order_of(result(layout), result(layouts[0]))

        def placed(a, order=order):
            return a.permute(order).contiguous()

        def derivatives(x, *others, back=back, placed=placed):
            xs = [x, *others]
            y = ours(*xs)
            z = y if back is None else gl.permute_dims(gl.stripdims(y), back)
            w_ = constant(w)
            directions = [constant(placed(v[0])), *map(constant, v[1:])]
            loss = gl.sum(w_ * z * z)
            tangents = [jvp(z, xs, directions), jvp(z, xs, directions, enable_higher_derivatives=True)]
            found = y, z, dlgradient(loss, xs), vjp(z, xs, w_), tangents
            return (*found, hvp(loss, xs, directions)) if curvature else found

        given = [constant(placed(first.detach()), layout), *(constant(a.detach()) for a in rest)]
        got = dlfeval(derivatives, *given)
        assert got[0].dims == ("" if result is None else result(layout))
        close(got[1], y.detach(), tolerance)
        for ours_, theirs_ in [(got[2], gradients), (got[3], pulled), *([(got[5], curvature)] if curvature else [])]:
            for k, (g, expected) in enumerate(zip(ours_, theirs_)):
                expected = torch.zeros_like(tensors[k]) if expected is None else expected.detach()
                assert g.dims == (layout if k == 0 else "")
                close(g, placed(expected) if k == 0 else expected, tolerance)
        for tangent in got[4]:
            close(tangent, pushed, tolerance)


@pytest.mark.parametrize(("walk", "mistake"), [("pull", lambda bars: [2 * bars[0], *bars[1:]]), ("push", lambda y_dot: 2 * y_dot)])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_planted_mistake_is_caught(monkeypatch, walk, mistake, recorded):
    right = getattr(General, walk)

    def wrong(self, v, *rest):
        result = right(self, v, *rest)
        return mistake(result) if self.name == "softmax" and recorded == isinstance(v[1], dlarray) else result

    monkeypatch.setattr(General, walk, wrong)
    with pytest.raises(AssertionError):
        compare(gl.softmax, lambda x: torch.softmax(x, 1), [normal(2, 3)], PLAIN, same)


def order_of(source, target):
    """The permutation that brings one layout into another; several S in their order."""
    left = list(source)
    order = []
    for letter in target:
        k = left.index(letter)
        left[k] = None
        order.append(k)
    return order


def same(layout):
    return layout


def normal(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


def positive(*shape):
    return np.random.default_rng(7).uniform(0.5, 2.0, size=shape)


IMAGES = ["BCSS", "BSSC", "SSCB", "CBSS", "SCSB"]


@pytest.mark.parametrize("shape", [(3, 4, 2, 5), (1, 4, 1, 1), (2, 1, 2, 2)])
def test_softmax(shape):
    compare(gl.softmax, lambda x: torch.softmax(x, 1), [normal(*shape)], IMAGES, same)
    compare(gl.log_softmax, lambda x: torch.log_softmax(x, 1), [normal(*shape)], IMAGES, same)


def test_softmax_along_another_axis():
    x = normal(3, 4)
    close(gl.softmax(constant(x), axis=0), torch.softmax(torch.as_tensor(x), 0))
    close(gl.softmax(constant(x, "BT"), axis="T"), torch.softmax(torch.as_tensor(x), 1))
    close(gl.softmax(constant(x), data_format="CB"), torch.softmax(torch.as_tensor(x), 0))
    assert isinstance(gl.softmax(torch.as_tensor(x), axis=0), torch.Tensor)
    close(gl.softmax(gl.dlarray([[1, 2]], dtype="int64"), axis=1).sum(), 1.0)
    close(gl.log_softmax(constant([-1000.0, 1000.0]), axis=0), [-2000.0, 0.0])


def test_softmax_asks_for_its_axis():
    with pytest.raises(LabelError, match=r'softmax.*unlabelled \(2 x 3\).*"BCSS" \(PyTorch\), "BSSC" \(Keras\), "SSCB" \(MATLAB\)'):
        gl.softmax(constant(np.zeros((2, 3))))
    with pytest.raises(LabelError, match=r"works along C, x is 2\(B\) x 3\(T\)"):
        gl.softmax(constant(np.zeros((2, 3)), "BT"))
    with pytest.raises(LabelError, match="one axis"):
        gl.softmax(constant(np.zeros((2, 3, 3)), "CSS"), axis="S")


# ----- losses -----

PLAIN = ["BC", "CB"]
SERIES = ["BCT", "CBT", "TBC", "CTB"]


def one_hot(classes, indices):
    return F.one_hot(torch.as_tensor(indices), classes).to(torch.float64)


@pytest.mark.parametrize("batch", [4, 1])
def test_crossentropy_of_logits(batch):
    x, t = normal(batch, 3), one_hot(3, [2, 0, 1, 1][:batch])
    expected = lambda x: F.cross_entropy(x, t)
    ours = lambda t: lambda x: gl.crossentropy(x, t, from_logits=True)
    compare(ours(constant(t, "BC")), expected, [x], PLAIN, None)
    compare(ours(gl.dlarray([2, 0, 1, 1][:batch], "B", dtype="int64")), expected, [x], PLAIN, None)
    compare(ours([2, 0, 1, 1][:batch]), expected, [x], PLAIN, None)
    compare(lambda x: gl.crossentropy(gl.softmax(x), constant(t, "BC")), expected, [x], PLAIN, None)
    compare(lambda x: gl.crossentropy(gl.softmax(x), [2, 0, 1, 1][:batch]), expected, [x], PLAIN, None)


def test_crossentropy_with_weights_mask_and_soft_targets():
    x, t = normal(4, 3, 5), torch.softmax(torch.as_tensor(normal(4, 3, 5) * 2), 1)
    weights = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    mask = (torch.arange(20).reshape(4, 5) % 3 > 0)
    for mean in ("batch-size", "all-elements", "mask-included", "none"):
        divisor = {"batch-size": 4, "all-elements": 60, "mask-included": float(mask.sum()), "none": 1}[mean]

        def theirs(x, t, weights, divisor=divisor):
            return -(torch.log_softmax(x, 1) * t * weights.reshape(3, 1) * mask.unsqueeze(1)).sum() / divisor

        for logits in (True, False):
            def ours(x, t, weights, logits=logits, mean=mean):
                x = x if logits else gl.softmax(x)
                options = dict(mask=constant(mask, "BT"), normalization_factor=mean, from_logits=logits)
                return gl.crossentropy(x, dlarray(t, "BCT"), weights, **options)

            compare(ours, theirs, [x, t, weights], SERIES, None)


def test_crossentropy_of_class_indices_with_weights_and_mask():
    x = normal(4, 3, 5)
    indices = torch.arange(20).reshape(4, 5) % 3
    weights = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    mask = indices != 1
    for logits in (True, False):
        options = dict(mask=constant(mask, "BT"), from_logits=logits)
        taken = (lambda x: x) if logits else gl.softmax
        compare(lambda x, w, taken=taken, options=options: gl.crossentropy(taken(x), constant(indices, "BT"), w, **options),
                lambda x, w: -(torch.log_softmax(x, 1).gather(1, indices.unsqueeze(1)).squeeze(1) * w[indices] * mask).sum() / 4,
                [x, weights], SERIES, None)
    hidden = torch.where(mask, indices, -100)
    options = dict(mask_index=-100, normalization_factor="target-included", from_logits=True)
    compare(lambda x: gl.indexcrossentropy(x, constant(hidden, "BT"), **options), lambda x: F.cross_entropy(x, hidden), [x], SERIES, None)
    for reduced in ("sum", "none"):
        compare(lambda x, reduced=reduced: gl.crossentropy(x, constant(indices, "BT"), from_logits=True, reduction=reduced),
                lambda x, reduced=reduced: F.cross_entropy(x, indices, reduction=reduced) / (4 if reduced == "sum" else 1), [x],
                SERIES, None if reduced == "sum" else lambda layout: layout.replace("C", ""))


def test_crossentropy_multilabel():
    x, t = normal(4, 3), positive(4, 3) / 2
    theirs = lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum") / 4
    for logits in (True, False):
        options = dict(classification_mode="multilabel", from_logits=logits)
        compare(lambda x, t, options=options: gl.crossentropy(x if options["from_logits"] else gl.sigmoid(x), dlarray(t, "BC"), **options),
                theirs, [x, t], PLAIN, None)
    compare(lambda x, t: gl.crossentropy(gl.sigmoid(x), dlarray(t, "BC"), classification_mode="multilabel", reduction="none"),
            lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"), [x, t], PLAIN, same)


def test_crossentropy_is_stable():
    huge = constant([[1000.0, -1000.0]], "BC")
    loss, g = dlfeval(lambda x: (gl.crossentropy(x, [1], from_logits=True), dlgradient(gl.crossentropy(x, [1], from_logits=True), x)), huge)
    close(loss, 2000.0)
    close(g, [[1.0, -1.0]])
    sure = constant([[1.0, 0.0]], "BC")
    for targets in ([1], constant([[0.0, 1.0]], "BC")):
        loss, g = dlfeval(lambda x: (gl.crossentropy(x, targets), dlgradient(gl.crossentropy(x, targets), x)), sure)  # noqa: B023
        assert 700 < float(loss) < 800
        assert np.isfinite(np.asarray(g)).all()
    both = dict(classification_mode="multilabel", from_logits=True)
    g = dlfeval(lambda x: dlgradient(gl.crossentropy(x, constant([[0.0, 1.0]]), **both), x), huge)
    close(g, [[1.0, -1.0]])


def test_what_a_mask_hides_may_be_nan():
    x, t = constant([[1.0, 2.0], [math.nan, math.inf]], "BC"), constant([[0.0, 1.0], [math.nan, 0.0]], "BC")
    mask = constant([1.0, 0.0], "B")
    for loss in (gl.mse, gl.l1loss, gl.l2loss, gl.huber, lambda *a, **k: gl.crossentropy(*a, from_logits=True, **k),
                 lambda *a, **k: gl.crossentropy(*a, classification_mode="multilabel", from_logits=True, **k)):
        value, g = dlfeval(lambda x: (loss(x, t, mask=mask), dlgradient(loss(x, t, mask=mask), x)), x)  # noqa: B023
        assert math.isfinite(float(value))
        assert (np.asarray(g)[1] == 0).all()
        assert np.isfinite(np.asarray(g)[0]).all()


@pytest.mark.parametrize("from_logits", [False, True])
def test_class_indices_that_are_none(from_logits):
    y = dlarray(np.full((3, 4), 1 / 3), "CB")
    for loss in (gl.crossentropy, gl.indexcrossentropy):
        with pytest.raises(ShapeError, match=r"index at targets\[2\] is -1, and the 3 classes along C are numbered from 0 to 2, at .*mask_index=-1\)$"):
            loss(y, [0, 1, -1, 3], from_logits=from_logits)
        with pytest.raises(ShapeError, match=r"targets\[3\] is 3, .*write targets - 1$"):
            loss(y, [1, 2, 1, 3], from_logits=from_logits)
    with pytest.raises(ShapeError, match=r"targets\[1, 0\] is 9, .*mask_index=9"):
        gl.crossentropy(dlarray(np.full((3, 2, 2), 1 / 3), "CBT"), [[0, 1], [9, 2]], from_logits=from_logits)


def test_crossentropy_messages():
    logits = constant(normal(4, 3), "BC")
    with pytest.raises(ShapeError, match=r"takes probabilities.*crossentropy\(softmax\(y\), targets\).*from_logits=True"):
        gl.crossentropy(logits, [0, 1, 2, 0])
    with pytest.raises(ShapeError, match="in their sum over C"):
        gl.crossentropy(gl.softmax(logits) * 0.99, [0, 1, 2, 0])
    gl.crossentropy(gl.softmax(logits) * 0.9995, [0, 1, 2, 0])
    with pytest.raises(LabelError, match='"BCSS" \\(PyTorch\\)'):
        gl.crossentropy(gl.stripdims(gl.softmax(logits)), [0, 1, 2, 0])
    with pytest.raises(LabelError, match="needs an axis C"):
        gl.crossentropy(constant(np.full((2, 2), 0.5), "BT"), np.zeros((2, 2)))
    with pytest.raises(TypeRefused, match='dlarray\\(targets, labels, dtype="int64"\\)'):
        gl.crossentropy(gl.softmax(logits), np.zeros(4))
    with pytest.raises(ShapeError, match=r"class indices 3 for y 4\(B\) x 3\(C\)"):
        gl.crossentropy(gl.softmax(logits), [0, 1, 2])
    with pytest.raises(LabelError, match="without C, 'B'"):
        gl.crossentropy(gl.softmax(logits), gl.dlarray([0, 1, 2, 0], "T", dtype="int64"))
    with pytest.raises(ShapeError, match="sizes must be the same"):
        gl.crossentropy(gl.softmax(logits), constant(np.zeros((3, 3)), "CB"))
    with pytest.raises(ShapeError, match="numbered from 0 to 2"):
        gl.crossentropy(gl.softmax(logits), [0, 1, 2, 3])
    with pytest.raises(ShapeError, match="class indices"):
        gl.crossentropy(gl.sigmoid(logits), [0, 1, 2, 0], classification_mode="multilabel")
    with pytest.raises(ShapeError, match="single-label"):
        gl.crossentropy(logits, [0, 1, 2, 0], classification_mode="single")


DIFFERENCES = {
    gl.mse: lambda d: d * d / 2, gl.l2loss: lambda d: d * d, gl.l1loss: torch.abs,
    gl.huber: lambda d: torch.where(d.abs() <= 1, d * d / 2, d.abs() - 0.5),
}


@pytest.mark.parametrize("loss", DIFFERENCES, ids=lambda loss: loss.__name__)
def test_losses_of_the_difference(loss):
    y, t, value = normal(4, 3, 5), normal(4, 3, 5)[::-1] * 2, DIFFERENCES[loss]
    labelled = lambda t: dlarray(t, "BCT")
    compare(lambda y, t: loss(y, labelled(t)), lambda y, t: value(y - t).sum() / 4, [y, t.copy()], SERIES, None)
    compare(lambda y, t: loss(y, labelled(t), reduction="none"), lambda y, t: value(y - t), [y, t.copy()], SERIES, same)
    weights, mask = positive(4, 3, 5), normal(4, 5) > 0
    kept = torch.as_tensor(mask).unsqueeze(1)
    compare(lambda y, t, w: loss(y, labelled(t), labelled(w), mask=constant(mask, "BT"), normalization_factor="mask-included"),
            lambda y, t, w: (value(y - t) * w * kept).sum() / kept.sum(), [y, t.copy(), weights], SERIES, None)


def test_losses_know_the_batch():
    y, t = normal(6, 2), normal(6, 2) * 0
    close(gl.mse(constant(y, "BC"), t), (y ** 2).sum() / 12)
    close(gl.mse(constant(y, "CB"), t), (y ** 2).sum() / 4)
    close(gl.mse(constant(y, "CT"), t), (y ** 2).sum() / 2)
    close(gl.mse(constant(y), t, data_format="BC"), (y ** 2).sum() / 12)
    close(gl.mse(constant(y), constant(t, "BC")), (y ** 2).sum() / 12)
    close(gl.mse(constant(y), t, normalization_factor="all-elements"), (y ** 2).mean() / 2)
    close(gl.huber(constant(y, "BC"), t, transition_point=0.1), F.huber_loss(torch.as_tensor(y), torch.as_tensor(t), delta=0.1) * 2)
    assert isinstance(gl.mse(torch.as_tensor(y), torch.as_tensor(t), data_format="BC"), torch.Tensor)
    assert "HALF the squared error over the batch size" in gl.mse.__doc__.splitlines()[0]
    with pytest.raises(LabelError, match="data_format="):
        gl.mse(constant(y), t)
    with pytest.raises(ShapeError, match="targets"):
        gl.mse(constant(y, "BC"), t[:, :1])
    with pytest.raises(ShapeError, match="transition_point"):
        gl.huber(constant(y, "BC"), t, transition_point=0)
    with pytest.raises(TypeRefused, match="real"):
        gl.mse(constant(y, "BC") * 1j, t)
    with pytest.raises(ShapeError, match="normalization_factor"):
        gl.mse(constant(y, "BC"), t, normalization_factor="batch")


@pytest.mark.parametrize("loss", ["crossentropy", "mse", "l1loss", "l2loss", "huber"])
def test_weights_format(loss):
    """Unlabelled weights with their own format; MATLAB's "UC" is one row."""
    y, t, w = gl.softmax(constant(normal(3, 4), "CB")), gl.softmax(constant(normal(3, 4) + 1, "CB")), torch.as_tensor(positive(3))
    function = getattr(gl, loss)
    expected = function(y, t, gl.dlarray(w, "C"))
    for shaped, layout in ((w, "C"), (w[None], "UC"), (w[:, None].expand(3, 4), "CB"), (w[None].expand(4, 3), "BC"), (w[None, :1] * 0 + 2, "UC")):
        if shaped.numel() > 1:
            close(function(y, t, shaped, weights_format=layout), expected)
            found = function(raw(y), raw(t), shaped, data_format="CB", weights_format=layout)
            assert isinstance(found, torch.Tensor)
            close(found, expected)
        else:
            close(function(y, t, shaped, weights_format=layout), 2 * function(y, t))
    each = positive(4)
    close(function(y, t, each, weights_format="B", reduction="none"), function(y, t, reduction="none") * gl.dlarray(each, "B"))
    with pytest.raises(LabelError, match="weights: x is labelled 'C' already"):
        function(y, t, gl.dlarray(w, "C"), weights_format="B")
    with pytest.raises(LabelError, match="has axes that y"):
        function(y, t, w, weights_format="T")


def test_target_included_counts_what_the_mask_leaves():
    y, mask = gl.softmax(constant(normal(3, 4), "CB")), gl.dlarray([1.0, 0.0, 1.0, 1.0], "B")
    indices = gl.dlarray([0, 1, 2, 0], "B", dtype="int64")
    expected = gl.crossentropy(y, indices, mask=mask, normalization_factor="none") / 3
    close(gl.crossentropy(y, indices, mask=mask, normalization_factor="target-included"), expected)
    hidden = gl.dlarray([0, 9, 2, 0], "B", dtype="int64")
    close(gl.indexcrossentropy(y, hidden, mask_index=9, normalization_factor="target-included"), expected)
    weights = positive(3)
    close(gl.indexcrossentropy(y, hidden, weights[None], mask_index=9, weights_format="UC"),
          gl.indexcrossentropy(y, hidden, gl.dlarray(weights, "C"), mask_index=9))
    close(gl.mse(y, gl.zeros((3, 4)), normalization_factor="target-included"), gl.mse(y, gl.zeros((3, 4)), normalization_factor="all-elements"))


def test_types_of_losses():
    y = gl.dlarray(normal(4, 3), "BC", dtype="float32")
    t = gl.dlarray([0, 1, 2, 0], "B", dtype="int32")
    assert gl.crossentropy(y, t, from_logits=True).dtype is torch.float32
    assert gl.crossentropy(y, one_hot(3, [0, 1, 2, 0]).bool().numpy(), from_logits=True).dtype is torch.float32
    loss, g = dlfeval(lambda y: (gl.mse(y, normal(4, 3)), dlgradient(gl.mse(y, normal(4, 3)), y)), y)
    assert (loss.dtype, g.dtype) == (torch.float64, torch.float32)


# ----- pooling -----


def torch_pool(kind, d):
    return getattr(F, f"{kind}_pool{d}d")


LAYOUTS = {1: ["BCS", "BSC", "SCB", "CSB"], 2: IMAGES, 3: ["BCSSS", "BSSSC", "SSSCB"]}


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 1, 1), (2, 3, 1), (3, 2, 0)])
def test_pooling(d, size, stride, padding):
    x = normal(2, 3, *(5, 6, 4)[:d])
    options = dict(stride=stride, padding=padding)
    compare(lambda x: gl.maxpool(x, size, **options), lambda x: torch_pool("max", d)(x, size, **options), [x], LAYOUTS[d], same)
    compare(lambda x: gl.avgpool(x, size, **options), lambda x: torch_pool("avg", d)(x, size, **options), [x], LAYOUTS[d], same)
    compare(lambda x: gl.avgpool(x, size, padding_value="mean", **options),
            lambda x: torch_pool("avg", d)(x, size, count_include_pad=False, **options), [x], LAYOUTS[d], same)


@pytest.mark.parametrize("padding", ["same", (1, 0), ((2, 1), (0, 2)), ((0, 1), (0, 0)), ((2, 2), (2, 2))])
@pytest.mark.parametrize(("size", "stride"), [((3, 3), (2, 2)), ((3, 4), (1, 2))])
@pytest.mark.parametrize("shape", [(2, 3, 6, 5), (1, 1, 4, 4)])
def test_padding(shape, size, stride, padding):
    x = normal(*shape)
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(shape[2:], size, stride)]
        pairs = [(t // 2, t - t // 2) for t in total]
    else:
        pairs = [p if isinstance(p, tuple) else (p, p) for p in padding]
    widths = [w for pair in reversed(pairs) for w in pair]
    largest = lambda x: F.max_pool2d(F.pad(x, widths, value=-1e30), size, stride)
    means = lambda x: F.avg_pool2d(F.pad(x, widths), size, stride)
    share = means(torch.ones(shape, dtype=torch.float64))
    compare(lambda x: gl.maxpool(x, size, stride=stride, padding=padding), largest, [x], ["BCSS", "SSCB"], same)
    compare(lambda x: gl.avgpool(x, size, stride=stride, padding=padding), means, [x], ["BCSS", "SSCB"], same)
    compare(lambda x: gl.avgpool(x, size, stride=stride, padding=padding, padding_value="mean"), lambda x: means(x) / share, [x],
            ["BCSS", "SSCB"], same)
    if padding == "same":
        assert gl.maxpool(constant(x, "BCSS"), size, stride=stride, padding="same").shape[2:] == tuple(
            -(-n // s) for n, s in zip(shape[2:], stride))


def test_same_padding_for_many_sizes():
    for n, k, s in itertools.product(range(1, 8), range(1, 5), range(1, 5)):
        x = torch.as_tensor(normal(1, 2, n))
        total = max((-(-n // s) - 1) * s + k - n, 0)
        padded = F.pad(x, (total // 2, total - total // 2), value=-1e30)
        expected, place = F.max_pool1d(padded, k, s, return_indices=True)
        y, g = dlfeval(lambda x: (y := gl.maxpool(x, k, stride=s, padding="same"), dlgradient(gl.sum(y), x)), constant(x, "BCS"))  # noqa: B023
        close(y, expected)
        slopes = torch.zeros_like(padded).scatter_add_(2, place, torch.ones_like(expected))
        close(g, slopes[..., total // 2:total // 2 + n])


@pytest.mark.parametrize("layout", ["BCSS", "SSCB", "CSS", "SS", "SST", "BTCSS", "SCSB"])
def test_pooling_without_and_beside_other_axes(layout):
    sizes = {"B": 2, "C": 3, "T": 2}
    spatial = iter((4, 5))
    x = torch.as_tensor(normal(*[sizes.get(letter) or next(spatial) for letter in layout]))
    y = gl.maxpool(constant(x, layout), 2, stride=2)
    axes = [k for k, letter in enumerate(layout) if letter == "S"]
    moved = x.movedim(axes, (-2, -1))
    expected = F.max_pool2d(moved.reshape(-1, 1, 4, 5), 2).reshape(*moved.shape[:-2], 2, 2).movedim((-2, -1), axes)
    assert y.dims == layout
    close(y, expected)
    assert gl.maxpool(constant(x), 2, stride=2, data_format=layout).dims == ""
    close(gl.maxpool(constant(x), 2, stride=2, data_format=layout), expected)


@pytest.mark.parametrize("layouts", [["BCSS", "SSCB"], ["BCS", "SCB"], ["BCSSSS", "SSSSCB"]])
def test_global_pooling(layouts):
    x = normal(*(2, 3, 4, 2, 3, 2)[:len(layouts[0])])
    spatial = tuple(range(2, len(layouts[0])))
    compare(lambda x: gl.maxpool(x, "global"), lambda x: x.amax(spatial, keepdim=True), [x], layouts, same)
    compare(lambda x: gl.avgpool(x, "global"), lambda x: x.mean(spatial, keepdim=True), [x], layouts, same)


def test_pooling_over_time_where_there_is_no_space():
    x = torch.as_tensor(normal(2, 3, 6))
    close(gl.maxpool(constant(x, "BCT"), 2, stride=2), F.max_pool1d(x, 2))


def test_the_first_of_equal_values_takes_the_derivative():
    g = dlfeval(lambda x: dlgradient(gl.sum(gl.maxpool(x, 2, stride=2)), x), gl.ones((1, 4), "CS"))
    close(g, [[1.0, 0.0, 1.0, 0.0]])
    empty = gl.full((1, 3, 3), -math.inf, "CSS")
    g = dlfeval(lambda x: dlgradient(gl.sum(gl.maxpool(x, 3, stride=3, padding=((2, 1), (0, 2)))), x), empty)
    assert float(gl.sum(g)) == 2.0  # two windows, each with an element of x


def test_channels_last_memory_stays():
    x = torch.randn(2, 6, 6, 8, dtype=torch.float64)
    y = gl.maxpool(constant(x, "BSSC"), 2, stride=2)
    assert raw(y).is_contiguous()
    tensor = x.permute(0, 3, 1, 2)
    assert gl.avgpool(tensor, 2, stride=2, data_format="BCSS").is_contiguous(memory_format=torch.channels_last)


def test_pooling_messages():
    x = constant(normal(1, 2, 4, 4), "BCSS")
    for options, message in [
        ((5,), "windows of 5 in an axis of 4"), (("all",), '"global"'), ((0,), "at least 1"), (((2, 2, 2),), "3 entries for 2 spatial axes"),
    ]:
        with pytest.raises(ShapeError, match=message):
            gl.maxpool(x, *options)
    with pytest.raises(ShapeError, match="less than the window"):
        gl.maxpool(x, 2, padding=2)
    with pytest.raises(LabelError, match=r"needs an axis S \(or T\), x is 2\(B\) x 3\(C\)"):
        gl.avgpool(constant(normal(2, 3), "BC"), 2)
    with pytest.raises(LabelError, match="data_format="):
        gl.avgpool(constant(normal(2, 3)), 2)
    with pytest.raises(ShapeError, match='0 or "mean"'):
        gl.avgpool(x, 2, padding_value=1)


def test_pooled_jacobians_keep_their_ties():
    x, weights = constant(normal(2, 1, 6, 6), "BCSS"), constant(normal(3, 1, 3, 3))
    for pool in (gl.maxpool, gl.avgpool):
        def blocks(x, weights, pool=pool):
            y = pool(gl.tanh(gl.dlconv(x, weights, constant(np.zeros(3)))), 2, stride=2)
            place = weights._node
            (block,) = push([y._node], {place: identity(place.shape, torch.float64, "cpu")})
            rows = [raw(dlgradient(y[at], weights, retain_data=True)) for at in itertools.product(*map(range, y.shape))]
            tied = all(set(term.out[1].indices) & term.in_indices() for term in block.terms)
            return dense(block), torch.stack(rows), tied

        whole, rows, tied = dlfeval(blocks, x, weights)
        close(whole.reshape(rows.shape), rows)
        assert tied


# ----- normalization -----


def statistics(x, axes, epsilon):
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(variance + epsilon)


@pytest.mark.parametrize(("shape", "layouts"), [
    ((3, 4, 2, 5), IMAGES), ((6, 3), PLAIN), ((3, 2, 4), SERIES), ((2, 3, 2, 2, 2), ["BCSSS", "SSSCB"]), ((4, 1, 2, 2), IMAGES)])
def test_batchnorm(shape, layouts):
    x, offset, scale = normal(*shape), normal(shape[1]), positive(shape[1])
    compare(lambda x, o, s: gl.batchnorm(x, o, s)[0], lambda x, o, s: F.batch_norm(x, None, None, s, o, True), [x, offset, scale], layouts,
            same)
    mean, variance = normal(shape[1]) + 1, positive(shape[1])
    theirs = lambda x, o, s, m, v: (x - over(m, x)) / torch.sqrt(over(v, x) + 0.1) * over(s, x) + over(o, x)
    compare(lambda *a: gl.batchnorm(*a, epsilon=0.1), theirs, [x, offset, scale, mean, variance], layouts, same)


def over(v, x):
    return v.reshape(1, -1, *(1,) * (x.ndim - 2))


@pytest.mark.parametrize("layout", [*IMAGES, "CSS", "CB"])
def test_batch_statistics(layout):
    sizes = {"B": 4, "C": 3}
    x = gl.randn([sizes.get(letter, 2) for letter in layout], layout)
    _, mean, variance = gl.batchnorm(x, 0, 1)
    rest = tuple(k for k, letter in enumerate(layout) if letter != "C")
    close(mean, np.asarray(x).mean(rest))
    close(variance, np.asarray(x).var(rest))
    y = gl.batchnorm(x, 0, 1, mean, variance)
    close(y, gl.batchnorm(x, 0, 1)[0])
    assert y.dims == layout and mean.dims == variance.dims == ""


def test_batchnorm_of_one_observation():
    y, mean, variance = gl.batchnorm(constant([[3.0], [4.0]], "CB"), [1.0, 2.0], 1.0)
    close(y, [[1.0], [2.0]])
    close(mean, [3.0, 4.0])
    close(variance, [0.0, 0.0])


def test_batch_statistics_carry_no_derivative_by_accident():
    x = constant(normal(4, 3), "BC")

    def through_mean(x):
        y, mean, _ = gl.batchnorm(x, 0, 1)
        return dlgradient(gl.sum(y) + gl.sum(mean), x)

    with pytest.raises(TraceError, match=r"test_neural_operations.*mean\(x, axis=...\) and var"):
        dlfeval(through_mean, x)

    def running(x, old):
        y, mean, _ = gl.batchnorm(x, 0, 1)
        return dlgradient(gl.sum(y * y), x), 0.9 * old + 0.1 * mean

    _, new = dlfeval(running, x, gl.zeros(3))
    close(new, 0.1 * np.asarray(x).mean(0))
    assert not new.traced


def test_batchnorm_modes():
    x = constant(normal(4, 3), "BC")
    y, mean, variance = gl.batchnorm(x, 0, 1, np.full(3, 5.0), np.full(3, 2.0), training=True, mean_decay=0.25, variance_decay=0.5)
    batch = gl.batchnorm(x, 0, 1)
    close(y, batch[0])
    close(mean, 0.25 * batch[1] + 0.75 * 5)
    close(variance, 0.5 * batch[2] + 0.5 * 2)
    running = gl.batchnorm(x.astype("float32"), 0, 1, gl.zeros((3, 1), "CB"), np.ones(3), training=True)
    assert running[0].dtype is torch.float32
    close(running[1], 0.1 * batch[1], 1e-6)
    assert isinstance(gl.batchnorm(raw(x), 0, 1, data_format="BC")[1], torch.Tensor)
    with pytest.raises(ShapeError, match="mean and variance together"):
        gl.batchnorm(x, 0, 1, np.zeros(3))
    with pytest.raises(ShapeError, match="needs statistics"):
        gl.batchnorm(x, 0, 1, training=False)
    with pytest.raises(ShapeError, match=r"scale 4 for x 4\(B\) x 3\(C\).*3 channels"):
        gl.batchnorm(x, 0, np.ones(4))
    with pytest.raises(ShapeError, match="along C"):
        gl.batchnorm(x, gl.zeros((3, 1), "BC"), 1)
    close(gl.batchnorm(x, gl.ones((3, 1), "CB"), 1)[0], gl.batchnorm(x, 1, 1)[0])
    with pytest.raises(LabelError, match="needs an axis C"):
        gl.batchnorm(constant(normal(4, 3), "BT"), 0, 1)
    with pytest.raises(LabelError, match="data_format="):
        gl.batchnorm(constant(normal(4, 3)), 0, 1)
    with pytest.raises(TypeRefused, match="real"):
        gl.batchnorm(x * 1j, 0, 1)


@pytest.mark.parametrize(("shape", "layouts"), [((4, 3), PLAIN), ((2, 4, 3), SERIES), ((3, 1), PLAIN)])
def test_layernorm_over_channels(shape, layouts):
    x, offset, scale = normal(*shape), normal(shape[1]), positive(shape[1])
    theirs = lambda x, o, s: F.layer_norm(x.movedim(1, -1), (shape[1],), s, o, 1e-5).movedim(-1, 1)
    compare(gl.layernorm, theirs, [x, offset, scale], layouts, same, tolerance=1e-8)


def test_layernorm_over_more():
    x, offset, scale = normal(2, 4, 3, 2), normal(4), positive(4)
    compare(gl.layernorm, lambda x, o, s: F.group_norm(x, 1, s, o), [x, offset, scale], IMAGES, same)
    compare(lambda x, o, s: gl.layernorm(x, o, s, operation_dimension="channel-only"),
            lambda x, o, s: F.layer_norm(x.movedim(1, -1), (4,), s, o).movedim(-1, 1), [x, offset, scale], IMAGES, same)
    series = ["BCST", "TSCB", "SCBT"]
    compare(gl.layernorm, lambda x, o, s: statistics(x, (1, 2), 1e-5) * over(s, x) + over(o, x), [x, offset, scale], series, same)
    compare(lambda x, o, s: gl.layernorm(x, o, s, operation_dimension="batch-excluded"),
            lambda x, o, s: statistics(x, (1, 2, 3), 1e-5) * over(s, x) + over(o, x), [x, offset, scale], series, same)
    with pytest.raises(ShapeError, match="channel-only"):
        gl.layernorm(gl.ones((2, 2), "CB"), 0, 1, operation_dimension="all")


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groupnorm(groups):
    ours, theirs = lambda x, o, s: gl.groupnorm(x, groups, o, s), lambda x, o, s: F.group_norm(x, groups, s, o)
    for x, layouts in [(normal(2, 4, 3, 2), IMAGES), (normal(1, 4, 6), ["BCT", "TCB"])]:
        compare(ours, theirs, [x, normal(4), positive(4)], layouts, same)


def test_instancenorm():
    x, offset, scale = normal(2, 4, 3, 2), normal(4), positive(4)
    compare(gl.instancenorm, lambda x, o, s: F.instance_norm(x, weight=s, bias=o), [x, offset, scale], IMAGES, same)
    close(gl.groupnorm(constant(x, "BCSS"), "channel-wise", offset, scale), gl.instancenorm(constant(x, "BCSS"), offset, scale))
    close(gl.groupnorm(constant(x, "BCSS"), "all-channels", offset, scale), gl.layernorm(constant(x, "BCSS"), offset, scale))
    with pytest.raises(ShapeError, match="divides the 4 channels"):
        gl.groupnorm(constant(x, "BCSS"), 3, offset, scale)


def test_types_of_normalization():
    x = gl.dlarray(normal(4, 3), "BC", dtype="float32")
    assert gl.batchnorm(x, 0, 1)[0].dtype is torch.float32
    assert gl.layernorm(x, np.zeros(3), np.ones(3)).dtype is torch.float64
    y, g = dlfeval(lambda x: (y := gl.batchnorm(x, 0, np.ones(3))[0], dlgradient(gl.sum(y * y * y), x)), x)
    assert (y.dtype, g.dtype) == (torch.float64, torch.float32)


# ----- creation -----


def test_creation():
    assert repr(gl.zeros((2,), "C")) == "2(C) dlarray float64\n[0. 0.]"
    assert gl.ones(3).shape == (3,) and gl.zeros(()).shape == () and gl.zeros([2, np.int64(3)]).shape == (2, 3)
    like = gl.dlarray(normal(2, 3), "CB", dtype="float32")
    made = gl.zeros((4,), like=like)
    assert (made.dtype, made.dims) == (torch.float32, "")
    assert gl.zeros((4,), like=like, dtype="int64").dtype is torch.int64
    for alike, value in ((gl.zeros_like, 0.0), (gl.ones_like, 1.0), (lambda x: gl.full_like(x, 2.5), 2.5)):
        made = alike(like)
        assert (made.dtype, made.dims, made.shape) == (torch.float32, "CB", (2, 3))
        assert (np.asarray(made) == value).all()
    assert [gl.full((2,), v).dtype for v in (True, 1j, 3)] == [torch.bool, torch.complex128, torch.float64]
    assert isinstance(gl.zeros_like(torch.zeros(2)), torch.Tensor) and isinstance(gl.zeros(2, like=torch.zeros(2)), torch.Tensor)
    close(gl.eye(2, 3, k=1), np.eye(2, 3, 1))
    close(gl.eye(2, k=5), np.zeros((2, 2)))
    close(gl.arange(1, 2, 0.25), np.arange(1, 2, 0.25))
    close(gl.arange(3, 0, -1), np.arange(3.0, 0, -1))
    assert gl.arange(3, 0).shape == (0,) and gl.arange(3, dtype="int64").dtype is torch.int64
    close(gl.linspace(0, 1, 4), np.linspace(0, 1, 4))
    assert gl.asarray([1, 2], "C").dims == "C"
    with pytest.raises(TypeRefused, match=r"zeros\(\(2, 3\), \"CB\"\)"):
        gl.zeros(2, 3)
    with pytest.raises(ShapeError, match=r"zeros\(\(2, 3\)\)"):
        gl.zeros((2, 0.5))
    with pytest.raises(ShapeError, match="not negative"):
        gl.zeros((2, -1))
    with pytest.raises(ShapeError, match="step of 0"):
        gl.arange(0, 1, 0)
    with pytest.raises(TypeRefused, match="full cannot write"):
        gl.full((2,), 1j, dtype="float32")


FAR = (10**7, 10**7)
TOO_LARGE = {
    "zeros": lambda: gl.zeros(FAR), "ones": lambda: gl.ones(FAR), "full": lambda: gl.full(FAR, 2), "eye": lambda: gl.eye(10**7), "arange": lambda: gl.arange(10**14),
    "linspace": lambda: gl.linspace(0, 1, 10**14), "rand": lambda: gl.rand(FAR), "randn": lambda: gl.randn(FAR), "randint": lambda: gl.randint(0, 2, FAR),
    "permutation": lambda: gl.permutation(10**14), "bernoulli": lambda: gl.bernoulli(0.5, FAR), "repeat": lambda: gl.repeat(gl.ones(1), 10**14),
    "zeros_like": lambda: gl.zeros_like(gl.broadcast_to(gl.ones(1), FAR)), "ones_like": lambda: gl.ones_like(gl.broadcast_to(gl.ones(1), FAR)),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_no_memory_holds(name):
    with pytest.raises(ShapeError, match=rf"^{name} of .* takes 800 TB of memory, which is not there, at test_neural.*write a smaller shape"):
        TOO_LARGE[name]()


def test_other_ways_to_run_out_of_memory():
    with pytest.raises(ShapeError, match="zeros of .* takes 400 TB of memory"):
        gl.zeros(FAR, like=torch.zeros(1))
    with pytest.raises(ShapeError, match="zeros of .* takes over 9 EB of memory"):
        gl.empty((10**12, 10**12))
    assert out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0")) == "20.00 GiB"
    assert out_of_memory(MemoryError()) is not None and out_of_memory(RuntimeError("size of tensor")) is None
    with pytest.raises(TypeRefused, match="full cannot write"):
        gl.full((2,), 300, dtype="uint8")


def test_what_is_created_from_a_traced_number():
    g = dlfeval(lambda x: dlgradient(gl.sum(gl.full((2, 3), x) * 2), x), gl.dlarray(4.0))
    close(g, 12.0)
    with pytest.raises(TraceError, match="constant of a traced array"):
        dlfeval(lambda x: gl.linspace(0, x, 3), gl.dlarray(4.0))
    with pytest.raises(TraceError, match="made inside the function"):
        dlfeval(lambda x: dlgradient(gl.sum(x * (y := gl.zeros(2))), y), gl.ones(2))


# ----- random numbers -----


def test_the_stream_is_our_own():
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    gl.rng(3)
    a = [gl.rand((2, 3)), gl.randn(4), gl.randint(0, 10, 5), gl.permutation(6), gl.bernoulli(0.5, (4,)), gl.dropout(gl.ones(8))]
    gl.rng(3)
    b = [gl.rand((2, 3)), gl.randn(4), gl.randint(0, 10, 5), gl.permutation(6), gl.bernoulli(0.5, (4,)), gl.dropout(gl.ones(8))]
    for one, other in zip(a, b):
        close(one, other)
    saved = gl.rng()
    c = gl.randn(4)
    gl.rng(saved)
    close(gl.randn(4), c)
    gl.rng(4)
    assert (np.asarray(gl.rand((2, 3))) != np.asarray(a[0])).all()
    assert (np.random.get_state()[1] == numpy_state).all() and torch.equal(torch.random.get_rng_state(), torch_state)
    gl.rng("shuffle")
    one = gl.rand(4)
    gl.rng("shuffle")
    assert (np.asarray(gl.rand(4)) != np.asarray(one)).any()
    with pytest.raises(TypeRefused, match=r"rng\(1\)"):
        gl.rng("often")
    gl.rng("default")


def test_random_numbers_are_what_they_say():
    gl.rng(0)
    like = gl.zeros(1, dtype="float32")
    u, n, k = gl.rand((1000, 20), "CB"), gl.randn((1000, 20), like=like), gl.randint(-2, 3, (1000,))
    assert u.dims == "CB" and float(gl.min(u)) >= 0 and float(gl.max(u)) < 1 and abs(float(gl.mean(u)) - 0.5) < 0.01
    assert n.dtype is torch.float32 and abs(float(gl.std(n)) - 1) < 0.02
    assert set(k.tolist()) == {-2, -1, 0, 1, 2} and k.dtype is torch.int64
    p = gl.permutation(50)
    assert sorted(p.tolist()) == list(range(50)) and p.tolist() != list(range(50))
    b = gl.bernoulli(0.3, (10000,))
    assert set(b.tolist()) == {0.0, 1.0} and abs(float(gl.mean(b)) - 0.3) < 0.02
    odds = gl.dlarray([[0.0, 1.0]], "CB")
    close(gl.bernoulli(odds), [[0.0, 1.0]])
    assert gl.bernoulli(odds).dims == "CB" and gl.bernoulli(odds, (5, 2)).shape == (5, 2)
    assert gl.bernoulli(0.5, 3, dtype="bool").dtype is torch.bool
    for bad, message in [(lambda: gl.randint(3, 3, 2), "high must be above low"), (lambda: gl.bernoulli(1.5, 2), "probability"),
                         (lambda: gl.bernoulli([0.5, 2.0]), "probabilities"), (lambda: gl.dropout(u, -0.1), "probability")]:
        with pytest.raises(ShapeError, match=message):
            bad()
    with pytest.raises(TypeRefused, match="floating numbers"):
        gl.rand(2, dtype="int64")
    with pytest.raises(TypeRefused, match=r"x\[permutation\(len\(x\)\)\]"):
        gl.permutation(u)
    with pytest.raises(TraceError, match="constant of a traced array"):
        dlfeval(gl.bernoulli, odds)


def test_dropout():
    gl.rng(0)
    x = gl.ones((100, 100), "CB")
    y = gl.dropout(x, 0.25)
    kept = np.asarray(y) != 0
    assert y.dims == "CB" and abs(kept.mean() - 0.75) < 0.02
    close(raw(y)[torch.as_tensor(kept)], np.full(kept.sum(), 1 / 0.75))
    close(gl.dropout(x, 1.0), np.zeros((100, 100)))
    close(gl.dropout(x, 0.0), np.ones((100, 100)))
    assert gl.dropout(gl.dlarray([1 + 1j])).dtype is torch.complex128
    assert isinstance(gl.dropout(torch.ones(3)), torch.Tensor) and gl.dropout(gl.ones(3, dtype="float32")).dtype is torch.float32


def test_every_derivative_reuses_the_draw():
    def walks(x):
        y = gl.dropout(x)
        loss = gl.sum(y ** 3)
        first = dlgradient(loss, x, retain_data=False)
        again = dlgradient(loss, x, enable_higher_derivatives=True)
        return y, first, again, hvp(loss, x, gl.ones_like(x)), jvp(y, x, gl.ones_like(x)), gl.dropout(x)

    x = gl.dlarray(positive(50))
    y, first, again, second, tangent, other = dlfeval(walks, x)
    mask = np.asarray(y) / np.asarray(x)
    y = np.asarray(y)
    for got, expected in [(first, 3 * mask * y ** 2), (again, 3 * mask * y ** 2), (second, 6 * mask ** 2 * y), (tangent, mask)]:
        close(got, expected)
    assert (np.asarray(other) != y).any()
