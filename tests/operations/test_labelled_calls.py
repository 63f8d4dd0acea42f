"""The order of a labelled array's axes never matters: public calls on permuted arrays give the permuted answer, gradient included,
at every size, 1 and 0 too."""

import itertools

import pytest
import torch
from helpers import seeded, uniform, within
from operation_checks import slope

import gradloom as gl
from gradloom import dlarray, dlfeval, dlgradient
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.core.tables import OPERATIONS

close = within(1e-9, typed=True, nan=True)

SIZES = {"B": 2, "C": 4, "S": (5, 3), "T": 3, "U": (2, 3)}
TABLE = dict(OPERATIONS)


def plain(*layout):
    """An array without labels: a weight, a bias."""
    return layout


def elementwise_calls():
    for name, o in TABLE.items():
        if isinstance(o, Elementwise) and o.public is not None and name not in CALLS:
            n = len(o.inputs)
            yield name, [(o.public, ["SCB"]) if n == 1 else (o.public, ["SCB", "BC"])]


# name of the operation -> calls: a function, and the layout of each argument (labels, or the sizes of an array without).
CALLS = {
    "astype": [(lambda x: gl.astype(x, "float64") * 2, ["CB"])],
    "where": [(lambda a, b: gl.where(a > b, a, b * b), ["CBS", "BC"]), (lambda a: gl.where(a > 0.7, a, 0.0), ["CB"])],
    "clip": [(lambda x: gl.clip(x, 0.1, 0.6), ["CBS"])],
    "complex": [(lambda a, b: gl.abs(gl.complex(a, b)), ["CBS", "BC"])],
    "power": [(lambda a, b: a**b, ["CB", "BCS"]), (lambda a: a**3, ["CB"]), (lambda a: 2.0**a, ["CB"])],
    "reshape": [
        (lambda x: gl.reshape(gl.stripdims(x, "BCS"), (-1,)), ["SCB"]),
        (lambda x: gl.expand_dims(gl.squeeze(gl.sum(x, axis="C", keepdims=True)), axis=0), ["SCB"]),
    ],
    "permute_dims": [(lambda x: gl.permute_dims(x, "BSC"), ["SCB"]), (lambda x: gl.permute_dims(x, "SCSB"), ["SCBS"])],
    "broadcast_to": [(lambda x: gl.broadcast_to(gl.stripdims(x, "CB"), (2, *gl.stripdims(x, "CB").shape)), ["CB"])],
    "take": [
        (lambda x: gl.take(x, [2, 0, 0], axis="T"), ["CTB"]),
        (lambda x: gl.flip(x, axis="T"), ["CTB"]),
        (lambda x: gl.roll(x, 1, axis="T"), ["CTB"]),
        (lambda x: gl.repeat(x, 2, axis="C"), ["CTB"]),
    ],
    "index": [(lambda x: x[x.at(T=1)], ["CTB"]), (lambda x: x[x.at(T=slice(0, 2), B=slice(None, None, 1))], ["BTC"])],
    "assign": [(lambda x: written(x), ["BTC"])],
    "concat": [(lambda x: gl.concat([x, x * 2], axis="C"), ["CB"])],
    "matmul": [(lambda x, w: gl.permute_dims(x, "BC") @ w, ["CB", plain(4, 2)])],
    "vecdot": [(lambda a, b: gl.vecdot(a, b, axis="T"), ["CTB", "CTB"]), (lambda a, b: gl.vecdot(a, b, axis="C"), ["CTB", "BC"])],
    "einsum": [(lambda x: gl.einsum("bc,bc->b", gl.stripdims(x, "BC"), gl.stripdims(x, "BC")), ["CB"])],
    "linear": [
        (gl.fullyconnect, ["CB", plain(2, 4), plain(2)]),
        (gl.fullyconnect, ["CBS", plain(3, 20), plain(3)]),
        (gl.fullyconnect, ["CBT", plain(3, 4), plain(3)]),
    ],
    "dlconv": [
        (lambda x, w, b: gl.dlconv(x, w, b, padding="same"), ["CBS", plain(3, 4, 2), plain(3)]),
        (lambda x, w: gl.dlconv(x, w, stride=(2, 1), padding=1, dilation_factor=(1, 2)), ["CBSS", plain(2, 2, 3, 2)]),
        (lambda x, w, b: gl.dlconv(x, w, b, padding="causal"), ["CBT", plain(3, 4, 2), plain(3)]),
        (lambda x, w: gl.dlconv(x, w, padding=[(1, 0)]), ["CS", plain(2, 4, 2)]),
    ],
    "dltranspconv": [
        (lambda x, w, b: gl.dltranspconv(x, w, b, cropping="same"), ["CBS", plain(4, 3, 2), plain(3)]),
        (lambda x, w: gl.dltranspconv(x, w, stride=(2, 1), cropping=1, dilation_factor=(1, 2)), ["CBSS", plain(4, 2, 3, 3)]),
        (lambda x, w, b: gl.dltranspconv(x, w, b, stride=2), ["CBT", plain(4, 3, 2), plain(3)]),
    ],
    "sum": [
        (lambda x: gl.sum(x, axis="C"), ["SCB"]),
        (lambda x: gl.sum(x, axis="SC"), ["SCBS"]),
        (lambda x: gl.sum(x, axis=("B", "C"), keepdims=True), ["SCB"]),
    ],
    "mean": [(lambda x: gl.mean(x, axis="C"), ["SCB"]), (lambda x: gl.mean(x, axis="S", keepdims=True), ["SCBS"])],
    "var": [(lambda x: gl.var(x, axis="C"), ["SCB"])],
    "std": [(lambda x: gl.std(x, axis="T", keepdims=True), ["TCB"])],
    "max": [(lambda x: gl.max(x, axis="C"), ["SCB"]), (lambda x: gl.max(x, axis="CS", keepdims=True), ["SCBS"])],
    "min": [(lambda x: gl.min(x, axis="T"), ["CTB"])],
    "prod": [(lambda x: gl.prod(x, axis="C"), ["SCB"])],
    "logsumexp": [(lambda x: gl.logsumexp(x, axis="C"), ["SCB"])],
    "softmax": [(gl.softmax, ["SCB"]), (lambda x: gl.softmax(x, axis="S"), ["SCB"])],
    "log_softmax": [(gl.log_softmax, ["SCB"])],
    "crossentropy": [
        (lambda y, t: gl.crossentropy(y, t, from_logits=True), ["CBS", "BSC"]),
        (lambda y, t: gl.crossentropy(y, t, classification_mode="multilabel", from_logits=True), ["CB", "BC"]),
    ],
    "mse": [(gl.mse, ["CBS", "BSC"])],
    "l1loss": [(gl.l1loss, ["CBS", "BSC"])],
    "l2loss": [(gl.l2loss, ["CBS", "BSC"])],
    "huber": [(lambda y, t: gl.huber(y, t, transition_point=0.3), ["CBS", "BSC"])],
    "batchnorm": [(lambda x, b, s: gl.batchnorm(x, b, s, epsilon=0.1)[0], ["CBS", plain(4), plain(4)])],
    "batchnorm_given": [(lambda x, b, s, m, v: gl.batchnorm(x, b, s, m, v * v + 1), ["CBS", plain(4), plain(4), plain(4), plain(4)])],
    "layernorm": [(lambda x, b, s: gl.layernorm(x, b, s, epsilon=0.1), ["CBS", plain(4), plain(4)])],
    "groupnorm": [(lambda x, b, s: gl.groupnorm(x, 2, b, s, epsilon=0.1), ["CBS", plain(4), plain(4)])],
    "instancenorm": [(lambda x, b, s: gl.instancenorm(x, b, s, epsilon=0.1), ["CBS", plain(4), plain(4)])],
    "crosschannelnorm": [(lambda x: gl.crosschannelnorm(x, 3, alpha=1.0), ["CBS"])],
    "attention": [
        (lambda q, k, v: gl.attention(q, k, v, 1), ["CTB", "TBC", "BTC"]),
        (lambda x: gl.attention(x, x, x, 1, attention_mask="causal", scale=0.5), ["CSB"]),
    ],
    "ctc": [(lambda y: gl.ctc(y, gl.zeros((y.sizes["B"], 1), "BT", dtype="int64"), blank_index="last", from_logits=True), ["CTB"])],
    "maxpool": [(lambda x: gl.maxpool(x, (2, 3), stride=2, padding=1), ["CBSS"]), (lambda x: gl.maxpool(x, 2), ["CBT"])],
    "maxunpool": [(lambda x: gl.maxunpool(*gl.maxpool(x, 2, stride=2, return_indices=True)), ["CBSS"])],
    "avgpool": [(lambda x: gl.avgpool(x, (2, 3), stride=2, padding=1), ["CBSS"])],
    "norm": [(lambda x: gl.norm(x, axis="C"), ["SCB"])],
    "polygamma": [(lambda x: gl.polygamma(1, x), ["CB"])],
    "erfcx": [(gl.erfcx, ["CB"])],
    "cumulative_sum": [(lambda x: gl.cumulative_sum(x, axis="T", include_initial=True), ["CTB"])],
    "diff": [(lambda x: gl.diff(x, axis="T"), ["CTB"])],
    "trapz": [(lambda x: gl.trapz(x, axis="T"), ["CTB"]), (lambda x: gl.trapz(x, dx=0.5, axis="S"), ["SCB"])],
    "cumulative_prod": [(lambda x: gl.cumulative_prod(x, axis="T"), ["CTB"])],
    "cummax": [(lambda x: gl.cummax(x, axis="T"), ["CTB"])],
    "cummin": [(lambda x: gl.cummin(x, axis="T"), ["CTB"])],
    "sort": [(lambda x: gl.sort(x, axis="C"), ["SCB"])],
    "topk": [(lambda x: gl.topk(x, 2, axis="C")[0], ["SCB"])],
    "order_statistics": [(lambda x: gl.median(x, axis="C"), ["SCB"]), (lambda x: gl.quantile(x, 0.3, axis="SC", keepdims=True), ["SCB"])],
    "take_along_axis": [(lambda x: gl.take_along_axis(x, gl.argsort(x, axis="T"), axis="T"), ["CTB"])],
    "cross": [(lambda a, b: gl.cross(a, b, axis="T"), ["CTB", "TB"])],
    "flip": [(lambda x: gl.flip(x, axis="T"), ["CTB"]), (lambda x: gl.flip(x, axis="SC"), ["SCB"])],
    "roll": [(lambda x: gl.roll(x, 2, axis="T"), ["CTB"])],
    "stack": [(lambda x: gl.stack([x, x * 2, x], axis=0), ["CTB"])],
    "fft": [(lambda x: gl.real(gl.fft(x, axis="T")), ["CTB"]), (lambda x: gl.abs(gl.ifft(gl.fft(x, axis="S") + 1, axis="S")), ["SCB"])],
    "rfft": [(lambda x: gl.imag(gl.rfft(x, axis="T")), ["CTB"])],
    "irfft": [(lambda x: gl.irfft(x, axis="T"), ["CTB"])],
    "lstm": [
        (lambda x, w, r, b: gl.lstm(x, gl.zeros(2), gl.zeros(2), w, r, b)[0], ["CTB", plain(8, 4), plain(8, 2), plain(8)]),
        (lambda x, h, c, w, r, b: gl.lstm(x, h, c, w, r, b)[0], ["TCB", "CB", "BC", plain(16, 4), plain(16, 4), plain(16)]),
    ],
    "gru": [(lambda x, h, w, r, b: gl.gru(x, h, w, r, b)[0], ["CTB", "BC", plain(12, 4), plain(12, 4), plain(12)])],
}

# Operations whose public function knows no labels, or that are used by others only.
WITHOUT_LABELS = {
    "put": "the transpose of take",
    "slice": "part of other operations",
    "pad": "its widths go by position",
    "tile": "its repetitions go by position",
    "sparse_matmul": "goes by position, as matmul",
    **dict.fromkeys(("outer", "kron"), "of arrays without labels"),
    "convolution_weight": "the transpose of dlconv",
    "embed_index": "the transpose of index",
    "gather": "part of max and min",
    "scatter": "part of max and min",
    "pool_pick": "part of maxpool",
    "pad_with": "part of dlconv",
    "pad_border": "part of dlconv",
    "pad_border_transpose": "part of dlconv",
    "avgpool_transpose": "the transpose of avgpool",
    "scale": "how a walk multiplies",
    "tril": "of the last two axes",
    "triu": "of the last two axes",
    **dict.fromkeys(
        ("solve", "solve_triangular", "inv", "pinv", "det", "slogdet", "cholesky", "qr", "eig", "eigvals", "lu", "eigh", "eigvalsh", "svd", "svdvals", "diagonal", "trace", "expm"),
        "of the matrices in the last two axes, by position",
    ),
}

# Sizes at which a call has no meaning, or does not fit the weights that it is called with.
NOT_AT = {
    ("index", "T1"),
    ("take", "T1"),
    ("assign", "T1"),
    ("linear", "C1"),
    ("linear", "S1"),
    ("matmul", "C1"),
    ("dlconv", "C1"),
    ("dltranspconv", "C1"),
    ("maxpool", "T1"),
    ("maxunpool", "S1"),
    ("batchnorm", "B0"),
    ("batchnorm", "C1"),
    ("batchnorm_given", "C1"),
    ("layernorm", "C1"),
    ("groupnorm", "C1"),
    ("instancenorm", "C1"),
    ("topk", "C1"),
    ("ctc", "C1"),
    ("cross", "T1"),
    ("irfft", "T1"),
    ("lstm", "C1"),
    ("gru", "C1"),
}


def written(x):
    y = x.copy()
    y[y.at(T=1, C=slice(0, 2))] = 3.0
    return y


def every_call():
    table = {**CALLS, **dict(elementwise_calls())}
    return [
        pytest.param(name, function, layouts, id=f"{name}-{k}")
        for name, calls in table.items()
        for k, (function, layouts) in enumerate(calls)
    ]


def drawn(layout, sizes, name, k):
    low, high = TABLE[name].domain if name in TABLE else (-2.0, 2.0)
    if not isinstance(layout, str):
        return dlarray(uniform(layout, torch.float64, seeded(name, k), low, high))
    left = {letter: iter(n if isinstance(n, tuple) else (n,)) for letter, n in sizes.items()}
    return dlarray(uniform([next(left[c]) for c in layout], torch.float64, seeded(name, k, layout), low, high), layout)


def orders(x):
    """Permutations of a labelled array's axes that keep axes with the same letter in order."""
    if not x.dims:
        return [tuple(range(x.ndim))]
    return [
        p for p in itertools.permutations(range(x.ndim)) if all(a < b or x.dims[a] != x.dims[b] for a, b in itertools.combinations(p, 2))
    ]


def permuted(x, order):
    return dlarray(x._value.permute(order).contiguous(), "".join(x.dims[k] for k in order)) if x.dims else x


def in_layout(y, labels):
    """The values of y with its axes in the order of `labels`."""
    assert sorted(y.dims) == sorted(labels), f"labelled {y.dims!r}, not {labels!r}"
    return gl.permute_dims(y, labels)._value if labels else y._value


def run(function, inputs):
    """The result, and the gradients of its weighted sum of squares."""

    def inside(*inputs):
        y = function(*inputs)
        g = dlgradient(gl.sum(y * y), *inputs)
        return y, g if isinstance(g, tuple) else (g,)

    return dlfeval(inside, *inputs)


def check_call(function, inputs):
    y, gradients = run(function, inputs)
    for x, g in zip(inputs, gradients, strict=True):
        assert (g.shape, g.dims) == (x.shape, x.dims)
    every = list(itertools.product(*[orders(x) for x in inputs]))
    for chosen in every[1 :: max(1, len(every) // 8)]:
        other, others = run(function, [permuted(x, p) for x, p in zip(inputs, chosen, strict=True)])
        close(in_layout(other, y.dims), y._value)
        for x, g, h in zip(inputs, gradients, others, strict=True):
            close(in_layout(h, x.dims), g._value)
    return y, gradients


def test_every_operation_with_a_public_function_is_called():
    known = {*CALLS, *dict(elementwise_calls()), *WITHOUT_LABELS}
    missing = {name for name, o in TABLE.items() if o.kind in ("elementwise", "multilinear", "general") and o.public is not None} - known
    assert not missing, "write a call in CALLS, or the reason in WITHOUT_LABELS"


@pytest.mark.parametrize(("name", "function", "layouts"), every_call())
def test_permuted_labels_give_the_permuted_answer(name, function, layouts):
    inputs = [drawn(layout, SIZES, name, k) for k, layout in enumerate(layouts)]
    _, gradients = check_call(function, inputs)
    dots = [uniform(x.shape, torch.float64, seeded("dot", k)) for k, x in enumerate(inputs)]

    def value(raw):
        y = function(*[dlarray(v, x.dims or None) for v, x in zip(raw, inputs, strict=True)])
        return [(y._value**2).sum()]

    (expected,) = slope(value, [x._value for x in inputs], dots)
    found = sum((g._value * d).sum() for g, d in zip(gradients, dots, strict=True))
    close(found, expected, 1e-7)


def every_size():
    for call in every_call():
        name, function, layouts = call.values
        letters = "".join(layout for layout in layouts if isinstance(layout, str))
        for size, changed in {"B1": {"B": 1}, "B0": {"B": 0}, "C1": {"C": 1}, "T1": {"T": 1}, "S1": {"S": (1, 3)}}.items():
            if size[0] in letters and (name, size) not in NOT_AT:
                yield pytest.param(name, function, layouts, changed, id=f"{call.id}-{size}")


@pytest.mark.parametrize(("name", "function", "layouts", "changed"), list(every_size()))
def test_sizes_0_and_1(name, function, layouts, changed):
    check_call(function, [drawn(layout, {**SIZES, **changed}, name, k) for k, layout in enumerate(layouts)])
