"""Edges that an operation's own samples do not reach: sizes 0 and 1, no axes, reshapes without a common refinement, many groups.

The form is that of `samples` in a declaration: the inputs (a shape, an array, a number or None each), then the parameters.
"""

import torch


def at(*positions):
    return torch.tensor(positions, dtype=torch.int64)


def convolution(*strides, padding=None, dilation=None, groups=1, **more):
    d = len(strides)
    return {"stride": strides, "padding": padding or (0,) * d, "dilation": dilation or (1,) * d, "groups": groups, **more}


def over(*axis, keepdims=False, **more):
    return {"axis": axis, "keepdims": keepdims, **more}


REDUCTIONS = [
    ((), over()),
    ((2, 3), over()),
    ((1, 3), over(-2)),
    ((2, 1, 3), over(-1, -3, keepdims=True)),
    ((3, 1), over(-1, -2)),
    ((0, 2), over(-1)),
]


def matrix_of(n):
    return torch.linspace(-0.5, 0.5, n * n, dtype=torch.float64).reshape(n, n)


TO_CPU = {"device": torch.device("cpu"), "origin": torch.device("cpu")}
CROSSENTROPY = {"axis": -2, "mode": "single-label", "from_logits": False, "clipped": True, "factor": 0.5, "reduction": "sum"}
LOSS = {"factor": 0.25, "reduction": "sum", "delta": 0.7}

EDGES = {
    "reshape": [
        ((1, 3, 1), {"shape": (3,)}),
        ((0, 3), {"shape": (3, 0, 2)}),
        ((6,), {"shape": (2, 3)}),
        ((2, 6), {"shape": (3, 4)}),
        ((4, 6), {"shape": (8, 3)}),
        ((), {"shape": (1, 1)}),
        ((1,), {"shape": ()}),
        ((2, 3, 4), {"shape": (6, 2, 2)}),
        ((3, 4), {"shape": (2, 6)}),
        ((2, 2, 3), {"shape": (4, 1, 3)}),
    ],
    "permute_dims": [((1, 3), {"axes": (-1, -2)}), ((2, 1, 3), {"axes": (-1, -3, -2)}), ((), {"axes": ()}), ((0, 2), {"axes": (-1, -2)})],
    "broadcast_to": [
        ((), {"shape": (2, 3)}),
        ((1, 3, 1), {"shape": (2, 3, 4)}),
        ((1,), {"shape": (0,)}),
        ((2, 3), {"shape": (1, 2, 3)}),
        ((3, 1), {"shape": (3, 3, 1)}),
        ((0, 1), {"shape": (0, 3)}),
    ],
    "take": [
        ((4,), {"where": at(), "axis": -1}),
        ((1, 3), {"where": at(0, 0, 0), "axis": -2}),
        ((2, 3), {"where": at(2, 1, 0), "axis": -1}),
        ((2, 1), {"where": at(0), "axis": -1}),
        ((2, 3, 2), {"where": at(1), "axis": -2}),
        ((0, 3), {"where": at(1, 1), "axis": -1}),
    ],
    "put": [
        ((1, 2), {"where": at(2), "axis": -2, "size": 4}),
        ((2, 3), {"where": at(0, 0, 0), "axis": -1, "size": 1}),
        ((0, 2), {"where": at(), "axis": -2, "size": 3}),
        ((2, 3), {"where": at(4, 0, 2), "axis": -1, "size": 5}),
    ],
    "concat": [((1, 3), (1, 3), {"axis": -2}), ((3,), {"axis": -1}), ((2, 1, 2), (2, 3, 2), {"axis": -2})],
    "slice": [
        ((4,), {"axis": -1, "start": 2, "stop": 2}),
        ((1, 3), {"axis": -2, "start": 0, "stop": 1}),
        ((2, 5), {"axis": -1, "start": 3, "stop": 4}),
        ((5, 2), {"axis": -2, "start": 0, "stop": 5}),
        ((0, 3), {"axis": -1, "start": 1, "stop": 3}),
    ],
    "pad": [
        ((1, 3), {"pairs": ((2, 0), (0, 0))}),
        ((0, 2), {"pairs": ((1, 1), (0, 0))}),
        ((3,), {"pairs": ((0, 0),)}),
        ((2, 1, 2), {"pairs": ((0, 1), (1, 0))}),
    ],
    "pad_with": [((1, 2), {"pairs": ((0, 1), (2, 0)), "value": 2.0}), ((0, 2), {"pairs": ((1, 1), (0, 0)), "value": -1.0})],
    "pad_border": [
        ((2, 1), {"pairs": ((0, 0), (2, 1)), "border": "symmetric-include-edge"}),
        ((2, 3, 1), {"pairs": ((1, 2), (1, 0)), "border": "replicate"}),
        ((2, 3), {"pairs": ((7, 5),), "border": "symmetric-exclude-edge"}),
        ((1, 2, 3, 2), {"pairs": ((1, 0), (2, 2), (1, 1)), "border": "symmetric-exclude-edge"}),
        ((2, 1, 2, 3, 2), {"pairs": ((1, 0), (2, 2), (1, 1)), "border": "replicate"}),
        ((0, 3), {"pairs": ((1, 2),), "border": "replicate"}),
    ],
    "matmul": [
        ((1, 3), (3, 1), {}),
        ((2, 1, 2, 3), (4, 3, 2), {}),
        ((0, 3), (3, 2), {}),
        ((2, 0), (0, 3), {}),
        ((1, 1), (1, 1), {}),
        ((2, 1), (1, 3), {}),
        ((3, 2, 3), (3, 3, 2), {}),
    ],
    "einsum": [
        ((2, 3, 4), (4, 3), (2, 2), {"letters": (["bij", "jk", "bc"], "kci")}),
        ((3,), (3,), {"letters": (["i", "i"], "")}),
        ((2, 1), (1, 3), {"letters": (["ij", "jk"], "ki")}),
        ((2, 3), {"letters": (["ij"], "ji")}),
        ((0, 2), (2, 3), {"letters": (["ij", "jk"], "ik")}),
        ((3,), (3,), (3,), {"letters": (["i", "i", "i"], "i")}),
        ((2, 3), (3, 2), {"letters": (["ij", "ji"], "")}),
    ],
    "linear_columns": [
        ((3, 5), (1, 3), (1,), {}),
        ((1, 1), (1, 1), (1,), {}),
        ((3, 0), (2, 3), (2,), {}),
        ((3, 2), (2, 3), (2,), {}),
        ((3, 1), (4, 3), None, {}),
    ],
    "linear": [
        ((5, 3), (1, 3), (1,), {}),
        ((1, 1), (1, 1), (1,), {}),
        ((0, 3), (2, 3), (2,), {}),
        ((2, 3), (2, 3), (2,), {}),
        ((1, 3), (4, 3), None, {}),
    ],
    "dlconv": [
        ((2, 3, 1, 1), (4, 3, 1, 1), (4,), convolution(1, 1)),
        ((1, 1, 4, 5, 3), (2, 1, 2, 2, 1), (2,), convolution(1, 2, 1, padding=(1, 0, 0))),
        ((2, 3, 6), (6, 1, 2), (6,), convolution(2, groups=3)),
        ((1, 2, 7), (3, 2, 2), (3,), convolution(3, padding=(1,), dilation=(2,))),
        ((3, 2, 4), (3, 2, 4), (3,), convolution(1)),
        ((2, 2, 3), (2, 2, 1), None, convolution(1)),
        ((0, 2, 4), (3, 2, 2), (3,), convolution(1)),
        ((1, 4, 5, 1), (4, 2, 3, 1), (4,), convolution(1, 1, groups=2)),
    ],
    "dltranspconv": [
        ((2, 3, 4), (3, 2, 2), None, convolution(2, sizes=(8,))),
        ((1, 4, 2, 2), (4, 1, 1, 1), (4,), convolution(1, 1, groups=4, sizes=(2, 2))),
        ((1, 2, 3), (2, 2, 2), (2,), convolution(3, padding=(1,), dilation=(2,), sizes=(7,))),
        ((0, 2, 3), (2, 3, 2), (3,), convolution(1, sizes=(4,))),
        ((1, 1, 2, 1, 2), (1, 2, 2, 2, 1), (2,), convolution(1, 2, 1, padding=(0, 0, 0), sizes=(3, 2, 2))),
    ],
    "convolution_weight": [
        ((2, 2, 8), (2, 3, 4), convolution(2, kernel=(2,))),
        ((1, 4, 2, 2), (1, 4, 2, 2), convolution(1, 1, groups=4, kernel=(1, 1))),
        ((0, 2, 4), (0, 3, 3), convolution(1, kernel=(2,))),
    ],
    "index": [
        ((4, 3), {"index": -1}),
        ((4, 3), {"index": (slice(None), -2)}),
        ((4, 3), {"index": (slice(2, 2),)}),
        ((4, 3), {"index": (None, 1, None, slice(1, None, 2))}),
        ((1, 3), {"index": (0,)}),
        ((2, 3, 2), {"index": (slice(None), slice(0, 2), 1)}),
        ((0, 3), {"index": (slice(None), 1)}),
    ],
    "embed_index": [
        ((), {"index": (1, 2), "shape": (4, 3), "lead": 0}),
        ((4,), {"index": (slice(None), -2), "shape": (4, 3), "lead": 0}),
        ((1, 1, 2, 1, 3), {"index": (slice(None), None, slice(0, 4, 2), None), "shape": (1, 4, 3), "lead": 0}),
        ((0,), {"index": (slice(None), 1), "shape": (0, 3), "lead": 0}),
    ],
    "assign": [
        ((4, 3), (), {"index": (slice(None, None, 2),)}),
        ((4, 3), (2, 1), {"index": (slice(1, 3), slice(None))}),
        ((3,), 2.0, {"index": (slice(0, 2),)}),
        ((2, 3), (1,), {"index": (1, slice(0, 2))}),
        ((2, 3), (3,), {"index": (slice(None), None, slice(None))}),
        ((0, 3), (0,), {"index": (slice(None), 1)}),
        ((1, 3), (1,), {"index": (0, slice(0, 1))}),
    ],
    "sum": REDUCTIONS,
    "mean": [*REDUCTIONS[:-1], ((0, 2), over(-1))],
    "var": [
        ((3,), over(-1, correction=0.5)), ((2, 1), over(-1, correction=0)), ((2, 3, 2), over(-2, -3, keepdims=True, correction=1)),
        ((0, 2), over(-1, correction=0)),
    ],
    "std": [
        ((3,), over(-1, correction=0)), ((2, 3, 2), over(-2, -3, keepdims=True, correction=1)),
        ((0, 2), over(-1, correction=0)),
        ((1, 3), over(-1, correction=1)),
    ],
    "max": [((3,), over(-1)), ((2, 1), over(-1)), ((0, 3), over(-1)), ((2, 0, 3), over(-1, -3))],
    "min": [((3,), over(-1)), ((2, 1), over(-2, keepdims=True)), ((0, 3), over(-1)), ((2, 0, 3), over(-1, -3, keepdims=True))],
    "prod": [((3,), over(-1)), ((2, 1), over(-1)), ((2, 0), over(-1)), ((0, 2), over(-2, keepdims=True)), ((2, 3, 2), over(-2, -3))],
    "logsumexp_share": [((3, 1), {"axis": (-1,)}), ((3,), {"axis": (-1,)}), ((0, 3), {"axis": (-1,)}), ((2, 0), {"axis": (-1,)})],
    "logsumexp": [((3, 1), over(-1)), ((3,), over(-1, keepdims=True)), ((2, 3), over(-1, -2)), ((0, 3), over(-1))],
    "gather": [
        ((3,), {"place": at(1)}), ((1, 3), {"place": at(2).reshape(1, 1)}),
        ((0, 3), {"place": torch.zeros(0, 1, dtype=torch.int64)}),
    ],
    "scatter": [
        ((), {"place": at(1), "size": 3}), ((1,), {"place": at(0).reshape(1, 1), "size": 1}),
        ((0,), {"place": torch.zeros(0, 1, dtype=torch.int64), "size": 3}),
        ((3,), {"place": at(0, 2, 1).reshape(3, 1), "size": 3}),
    ],
    "softmax": [((3,), {"axis": -1}), ((2, 1), {"axis": -1}), ((0, 3), {"axis": -1})],
    "log_softmax": [((3,), {"axis": -1}), ((2, 1), {"axis": -1}), ((0, 3), {"axis": -1})],
    "where": [
        (torch.tensor(True), (2, 3), (3,), {}),
        (torch.tensor([[True], [False]]), (), (2, 3), {}),
        (torch.zeros(0, 1, dtype=torch.bool), (1,), (0, 2), {}),
    ],
    "assign_at": [((1, 3), (1,), {"positions": at(2)}), ((3,), (0,), {"positions": at()})],
    "norm": [((3,), over(-1, keepdims=True)), ((0, 3), over(-1)), ((2, 1), over(-1))],
    "transfer": [((1, 3), TO_CPU), ((0, 2), TO_CPU), ((), TO_CPU)],
    "pad_border_transpose": [
        ((1, 3), {"pairs": ((1, 1),), "border": "replicate", "sizes": (1,)}),
        ((0, 3), {"pairs": ((1, 1),), "border": "replicate", "sizes": (1,)}),
    ],
    "window_sum": [((0, 3), {"axis": -1, "before": 1, "after": 1}), ((3,), {"axis": -1, "before": 0, "after": 0})],
    "crossentropy": [
        ((1, 3), (1, 3), None, CROSSENTROPY),
        ((3, 1), (3, 1), None, CROSSENTROPY | {"from_logits": True}),
        ((3, 0), (3, 0), None, CROSSENTROPY),
        ((3, 1), at(2), None, CROSSENTROPY),
    ],
    "l1loss": [((1, 3), (1, 3), None, LOSS), ((0, 3), (0, 3), None, LOSS), ((), (), None, LOSS)],
    "l2loss": [((1, 3), (1, 3), None, LOSS), ((0, 3), (0, 3), None, LOSS), ((), (), None, LOSS)],
    "mse": [((1, 3), (1, 3), None, LOSS), ((0, 3), (0, 3), None, LOSS), ((), (), None, LOSS)],
    "huber": [((1, 3), (1, 3), None, LOSS), ((0, 3), (0, 3), None, LOSS), ((), (), None, LOSS)],
    "batchnorm": [((3, 1), (1,), (1,), {"axis": -1, "epsilon": 0.1}), ((1, 2, 3), (2,), (2,), {"axis": -2, "epsilon": 0.1})],
    "batchnorm_given": [
        ((3, 1), (1,), (1,), (1,), (1,), {"axis": -1, "epsilon": 0.1}),
        ((0, 3), (3,), (3,), (3,), (3,), {"axis": -1, "epsilon": 0.1}),
    ],
    "layernorm": [
        ((1, 3), (3,), (3,), {"axis": -1, "epsilon": 0.1}),
        ((0, 3), (3,), (3,), {"axis": -1, "epsilon": 0.1}),
        ((3, 1), (1,), (1,), {"axis": -1, "epsilon": 0.1}),
    ],
    "groupnorm": [
        ((1, 3, 1), (3,), (3,), {"axis": -2, "rest": (-1,), "groups": 3, "epsilon": 0.1}),
        ((0, 3, 2), (3,), (3,), {"axis": -2, "rest": (-1,), "groups": 1, "epsilon": 0.1}),
    ],
    "pool_pick": [((1, 3), {"place": at(2, 0).reshape(1, 2), "d": 1}), ((0, 3), {"place": torch.zeros(0, 2, dtype=torch.int64), "d": 1})],
    "maxunpool": [
        ((1, 3), {"place": at(2, 0, 4).reshape(1, 3), "spatial": (5,)}),
        ((0, 3), {"place": torch.zeros(0, 3, dtype=torch.int64), "spatial": (5,)}),
    ],
    "maxpool": [
        ((0, 3, 5), {"size": (2,), "stride": (1,), "before": (0,), "after": (0,)}),
        ((1, 1), {"size": (1,), "stride": (1,), "before": (0,), "after": (0,)}),
    ],
    "avgpool": [
        ((0, 3, 5), {"size": (2,), "stride": (1,), "padding": (0,), "count_padding": True}),
        ((1, 1), {"size": (1,), "stride": (1,), "padding": (0,), "count_padding": True}),
    ],
    "avgpool_transpose": [
        ((0, 3, 4), {"size": (2,), "stride": (1,), "padding": (0,), "count_padding": True, "spatial": (5,)}),
        ((1, 1), {"size": (1,), "stride": (1,), "padding": (0,), "count_padding": True, "spatial": (1,)}),
    ],
    "topk": [((0, 3), {"axis": -1, "k": 2, "largest": True}), ((3, 1), {"axis": -1, "k": 1, "largest": False})],
    "expm_direction": [(matrix_of(3), matrix_of(3), {}), (matrix_of(0), matrix_of(0), {})],
    "fmod": [((0, 3), 3.0, {})],
    "cummax": [((3, 0), {"axis": -2})],
    "cummin": [((3, 0), {"axis": -2})],
}
