"""Structured Jacobians: each equals torch.func.jacrev of the same function, and holds as few numbers as its structure allows.

A function is written once, in gradloom's operations: on dlarrays it is traced, on tensors torch differentiates its kernels.
"""

import math

import pytest
import torch
from helpers import block_of, drawing

import gradloom as gl
from gradloom import dlarray
from gradloom.blocks.block import identity
from gradloom.blocks.dense import borrow, dense, lent_memory, write, written
from gradloom.derivatives.walks import pull as pulling
from gradloom.derivatives.walks import push as pushing

drawn = drawing()


def stored(block):
    """How many numbers it holds, single numbers aside."""
    return sum(a.numel() for t in block.terms for a, ids in t.factors if ids)


def check(function, x):
    """The Block, equal to torch's Jacobian."""
    block, planned = block_of(function, x)
    expected = torch.func.jacrev(function)(x)
    torch.testing.assert_close(dense(block), expected, rtol=1e-10, atol=1e-12)
    assert (planned.nbytes, [t.pattern() for t in planned.terms]) == (block.nbytes, [t.pattern() for t in block.terms])
    return block


# ----- rules run on Blocks: softmax, layernorm, attention, recurrences ----------------------------------------------------


def layernorm(x):
    """Written out, in operations."""
    centred = x - gl.mean(x, axis=-1, keepdims=True)
    return centred / gl.sqrt(gl.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)


def test_softmax():
    block = check(lambda x: gl.softmax(x, axis=-1), drawn(5, 6))
    assert stored(block) <= 3 * 30  # diagonal in the rows, and an outer product in each
    block, _ = block_of(lambda x: gl.softmax(x, axis=-1), drawn(50, 60))
    assert stored(block) <= 3 * 3000


def test_layernorm():
    block = check(layernorm, drawn(5, 6))
    assert stored(block) <= 5 * 6 * 6 + 4 * 30
    check(
        lambda x: gl.layernorm(
            dlarray(x, "BC") if not isinstance(x, torch.Tensor) else x,
            torch.zeros(6, dtype=x.dtype),
            torch.ones(6, dtype=x.dtype),
            **({"data_format": "BC"} if isinstance(x, torch.Tensor) else {}),
        ),
        drawn(5, 6),
    )


def test_softmax_then_a_product_and_a_residual():
    w, square = drawn(6, 7, key=1), drawn(6, 6, key=2)
    block = check(lambda x: gl.softmax(x, axis=-1) @ w, drawn(5, 6))
    assert stored(block) < 5 * 7 * 5 * 6  # rows stay tied
    block = check(lambda x: x + gl.softmax(x, axis=-1) @ square, drawn(5, 6))
    assert stored(block) < 5 * 6 * 5 * 6


TOKENS, QUERY, KEY, VALUE = drawn(12, 16), drawn(16, 8, key="q") / 4, drawn(16, 8, key="k") / 4, drawn(16, 8, key="v") / 4


def attention(query, key, value):
    scores = (TOKENS @ query) @ gl.matrix_transpose(TOKENS @ key) / math.sqrt(8)
    return gl.softmax(scores, axis=-1) @ (TOKENS @ value)


def test_attention_with_respect_to_each_weight():
    block = check(lambda w: attention(w, KEY, VALUE), QUERY)
    assert stored(block) < 12 * 8 * 16 * 8
    check(lambda w: attention(QUERY, w, VALUE), KEY)
    block = check(lambda w: attention(QUERY, KEY, w), VALUE)
    assert stored(block) == 12 * 16  # softmax(...) @ tokens, the outputs tied


def recurrence(steps, inputs):
    def run(r):
        h = r[0:1] * 0
        for k in range(steps):
            h = gl.tanh(h @ r + inputs[k : k + 1])
        return h

    return run


def test_a_weight_shared_over_20_steps():
    inputs = drawn(20, 8)
    block = check(recurrence(20, inputs), drawn(8, 8) / 3)
    assert len(block.terms) <= 5
    assert stored(block) <= 2 * 8 * 64


def test_residual_stacks_stay_bounded():
    weights = [drawn(6, 6, key=k) / 3 for k in range(12)]

    def stack(x):
        for w in weights:
            x = x + gl.tanh(x @ w)
        return x

    block = check(stack, drawn(4, 6))
    assert len(block.terms) <= 2
    assert stored(block) <= 2 * 4 * 36


# ----- dense layers: outer products stay outer products -------------------------------------------------------------------


def test_the_identity_holds_nothing():
    block, _ = block_of(lambda x: x + 0.0, drawn(30, 40))
    assert (len(block.terms), stored(block)) == (1, 0)
    assert torch.equal(dense(block), torch.eye(1200, dtype=torch.float64).reshape(30, 40, 30, 40))


def test_elementwise_is_a_diagonal():
    block = check(lambda x: gl.exp(gl.sin(x) * 2) + x * x, drawn(3, 4))
    assert stored(block) == 12


def test_a_dense_layer_is_an_outer_product():
    x = drawn(1, 20, key="x")
    block = check(lambda w: gl.tanh(x @ w), drawn(20, 7))
    assert stored(block) == 20 + 7
    assert "identity" not in repr(block)


def test_a_dense_layer_over_observations():
    w, x = drawn(20, 7, key="w"), drawn(5, 20)
    block = check(lambda x: gl.tanh(x @ w), x)
    assert stored(block) == 20 * 7 + 5 * 7  # the observations are tied
    block = check(lambda w: gl.tanh(x @ w), w)
    assert stored(block) == 5 * 20 + 5 * 7  # the outputs are tied
    block = check(lambda w: gl.sum(gl.tanh(x @ w), axis=0), w)
    assert stored(block) == 5 * 20 + 5 * 7  # a summed index: 135 numbers, 140 entries
    x = drawn(50, 20)
    assert stored(check(lambda w: gl.sum(gl.tanh(x @ w), axis=0), w)) == 20 * 7


def test_a_deeper_layer_keeps_the_factors():
    x, v, u = drawn(1, 30, key="x"), drawn(25, 20, key="v"), drawn(20, 10, key="u")
    block = check(lambda w: gl.tanh(gl.tanh(gl.tanh(x @ w) @ v) @ u), drawn(30, 25))
    assert stored(block) == 30 + 25 + 25 * 10  # against 10 x 750 entries


def test_biases_and_scales():
    x = drawn(6, 5, key="x")
    assert stored(check(lambda b: x + b, drawn(5))) == 0
    assert stored(check(lambda s: x * s, drawn(5))) == 30
    assert stored(check(lambda s: gl.sum(x * s, axis=0), drawn(5))) == 5
    assert stored(check(lambda b: gl.sum(x + b), drawn(5))) == 0


def test_einsum_with_ties_and_sums():
    a, b = drawn(3, 4, 5, key="a"), drawn(5, 2, key="b")
    assert stored(check(lambda x: gl.einsum("bij,jk,bi->bk", x, b, a[:, :, 0]), a)) <= 10 + 12
    check(lambda x: gl.einsum("ij,jk,kl->il", a[0], x, b), drawn(5, 5))
    check(lambda x: gl.einsum("ij,ij->", x, x), drawn(3, 4))
    check(lambda x: gl.einsum("ij,jk->ki", x, x), drawn(4, 4))


# ----- movement: axes are regrouped, selected, placed ---------------------------------------------------------------------

CHAINS = {  # a chain of movements, a shape, and how many numbers its Block may hold
    "flatten": (lambda x: gl.flatten(x * x), (3, 4), 12),
    "reshape and back": (lambda x: gl.reshape(gl.sin(gl.reshape(x, (6, 2))), (3, 4)), (3, 4), 12),
    "split and merge": (lambda x: gl.reshape(gl.reshape(x, (2, 3, 4)) * 2, (6, 4)), (6, 4), 0),
    "no common refinement": (lambda x: gl.reshape(gl.sin(x), (4, 3)), (3, 4), 300),
    "transpose": (lambda x: gl.permute_dims(x * x, (2, 0, 1)), (2, 3, 4), 24),
    "slice": (lambda x: gl.sin(x)[1:3, ::2], (4, 5), 6),
    "integer": (lambda x: gl.sin(x)[2], (4, 5), 5),
    "rows and a new axis": (lambda x: gl.sin(x)[None, 1:, 3], (4, 5), 3),
    "pad": (lambda x: gl.pad(gl.sin(x), [(1, 2), (0, 3)]), (2, 3), 6),
    "slice of a pad": (lambda x: gl.pad(gl.sin(x), [(2, 2)])[1:5], (3,), 3),
    "pad of a slice": (lambda x: gl.pad(gl.sin(x)[1:3], [(0, 1)]) * 2, (4,), 2),
    "concat": (lambda x: gl.concat([x, gl.sin(x), x[:1]], axis=0), (3, 4), 12),
    "stack": (lambda x: gl.stack([x[0], x[2] * 3, gl.cos(x[0])]), (3, 4), 4),
    "flip": (lambda x: gl.flip(gl.sin(x), axis=(0, 1)), (3, 4), 12),
    "roll": (lambda x: gl.roll(gl.sin(x), 2, axis=1) - x, (3, 4), 12),
    "take with repeats": (lambda x: gl.take(gl.sin(x), [2, 0, 0, 2], axis=0), (3, 4), 16),
    "take then sum": (lambda x: gl.sum(gl.take(gl.sin(x), [2, 0, 0, 2], axis=0), axis=0), (3, 4), 16),
    "tile": (lambda x: gl.tile(gl.sin(x), (2, 2)), (2, 3), 24),
    "repeat": (lambda x: gl.repeat(x, 3, axis=0), (2, 3), 0),
    "broadcast": (lambda x: gl.broadcast_to(gl.sin(x), (5, 2, 3)), (2, 3), 6),
    "size 1 stretched and summed": (lambda x: gl.sum(gl.sin(x) + gl.reshape(x, (3, 1)), axis=0), (1, 3), 20),
    "differences": (lambda x: x[1:] * x[1:] - x[:-1], (6,), 5),
    "second differences": (lambda x: (lambda p: p[2:] - 2 * p[1:-1] + p[:-2])(gl.pad(x, [(1, 1)])), (6,), 0),
    "squares on the diagonal of a product": (
        lambda x: gl.reshape(gl.permute_dims(gl.reshape(x * x, (2, 2, 3)), (1, 0, 2)), (2, 6)),
        (4, 3),
        12,
    ),
    "scalar": (lambda x: gl.reshape(x * x, (1, 1)) + 1, (), 1),
    "an assignment": (lambda x: assigned(x), (4, 3), 24),
    "integer arrays": (lambda x: gl.sin(x)[torch.tensor([0, 2, 2]), torch.tensor([1, 1, 0])], (3, 4), 3),
    "sum over a placed axis": (lambda x: gl.sum(gl.pad(gl.sin(x), [(1, 2)]) * drawn(6), axis=0), (3,), 3),
    "product over a selected axis": (lambda x: gl.flip(gl.sin(x), axis=1) @ drawn(4, 2), (3, 4), 20),
    "product over a flattened axis": (lambda x: gl.reshape(gl.sin(x), (2, 12)) @ drawn(12, 2), (2, 3, 4), 48),
    "scale of a concatenation": (lambda x: gl.concat([x, x * 2], axis=1) * drawn(2, 6), (2, 3), 12),
}


def assigned(x):
    y = gl.sin(x) if isinstance(x, torch.Tensor) else gl.sin(x).copy()
    if isinstance(x, torch.Tensor):
        return torch.cat([y[:1], (x[2:3] * 2), y[2:]])
    y[1] = x[2] * 2
    return y


@pytest.mark.parametrize("name", CHAINS)
def test_movements(name):
    function, shape, most = CHAINS[name]
    block = check(function, drawn(*shape))
    assert stored(block) <= most, block


def test_slices_of_a_wide_layer_hold_what_they_show():
    x = drawn(1, 50, key="x")
    block = check(lambda w: gl.tanh(x @ w)[:, 10:13], drawn(50, 20))
    assert stored(block) == 50 + 3


# ----- convolutions -----------------------------------------------------------------------------------------------------


def conv(x, w, b=None, **options):
    layout = "BC" + "S" * (w.ndim - 2)
    return (
        gl.dlconv(x, w, b, data_format=layout, **options)
        if isinstance(x, torch.Tensor) and isinstance(w, torch.Tensor)
        else gl.stripdims(gl.dlconv(dlarray(x, layout), w, b, **options))
    )


OPTIONS = [{}, {"padding": 1}, {"stride": 2}, {"stride": (2, 1), "padding": (0, 1)}, {"dilation_factor": 2, "padding": 2}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_convolution_with_respect_to_its_own_weight(options):
    x = drawn(2, 3, 6, 5, key="x")
    block = check(lambda w: conv(x, w, **options), drawn(4, 3, 3, 2))
    positions = math.prod(block.shape) // 4
    assert stored(block) == positions * 3 * 3 * 2  # the unfolded input; the filters are tied
    block = check(lambda w: gl.relu(conv(x, w, **options)), drawn(4, 3, 3, 2))
    assert stored(block) == positions * 3 * 3 * 2 + math.prod(block.shape)
    assert stored(check(lambda b: conv(x, drawn(4, 3, 3, 2), b, **options), drawn(4))) == 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("groups", [2, 4])
def test_groups(groups, options):
    x, w = drawn(2, 4, 6, 5, key="x"), drawn(4, 4 // groups, 3, 2)
    check(lambda w: conv(x, w, **options), w)
    check(lambda x: conv(x, w, **options), x)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_convolution_with_respect_to_its_input_is_a_window(options):
    w = drawn(4, 3, 3, 2)
    block = check(lambda x: conv(x, w, **options), drawn(2, 3, 6, 5))
    assert stored(block) == w.numel()
    assert not block.untied
    factor = math.prod(block.shape)
    block = check(lambda x: gl.tanh(conv(x, w, **options)), drawn(2, 3, 6, 5))
    assert stored(block) == w.numel() + factor


def test_a_window_after_a_window():
    w, v = drawn(2, 1, 2, 2, key="w"), drawn(3, 2, 2, 2, key="v")
    block = check(lambda x: conv(gl.tanh(conv(x, w)), v), drawn(1, 1, 7, 7))
    assert stored(block) < 3 * 25 * 49
    check(lambda x: conv(gl.tanh(conv(x, w, stride=2)), v, padding=1), drawn(2, 1, 6, 6))


def test_a_convolution_after_a_convolution_keeps_the_channels_tied():
    x, v = drawn(1, 2, 6, 6, key="x"), drawn(5, 4, 3, 3, key="v")
    block = check(lambda w: conv(gl.relu(conv(x, w)), v), drawn(4, 2, 3, 3))
    assert stored(block) == math.prod(block.shape) * 4 * 2 * 9  # all of it
    assert not block.untied
    block = check(lambda w: conv(gl.relu(conv(x, w, padding=1)), drawn(5, 4, 1, 1, key="1"), stride=2), drawn(4, 2, 3, 3))
    assert not block.untied
    block = check(lambda w: gl.relu(conv(gl.relu(conv(x, w, stride=2)), drawn(6, 2, 2, 2, key="g"))), drawn(4, 2, 3, 3))  # groups after


def test_a_network_of_images():
    x, v, u = drawn(2, 1, 8, 8, key="x"), drawn(6, 4, 3, 3, key="v"), drawn(6 * 16, 3, key="u")

    def network(w):
        h = gl.relu(conv(x, w))
        h = gl.relu(conv(h, v))
        return gl.softmax(gl.reshape(h, (2, -1)) @ u, axis=-1)

    check(network, drawn(4, 1, 3, 3))
    check(lambda u: gl.softmax(gl.reshape(gl.relu(conv(gl.relu(conv(x, drawn(4, 1, 3, 3))), v)), (2, -1)) @ u, axis=-1), u)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_windows_too(groups, options):
    x, w = drawn(2, 4, 6, 5, key="x"), drawn(4, 4 // groups, 3, 2)
    block = check(lambda x: conv(x, w, **options), x)
    assert (stored(block), block.untied) == (w.numel(), ())
    block = check(lambda w: conv(x, w, **options), w)
    assert (stored(block), block.untied) == (math.prod(block.shape[2:]) * 2 * 4 * 3 * 2, ())


def test_padding_with_a_border_selects():
    w = drawn(2, 1, 3, 3)
    for border in ("replicate", "symmetric-include-edge", "symmetric-exclude-edge", 2.0):
        block = check(lambda x, b=border: conv(x, w, padding=(1, 2), padding_value=b), drawn(2, 1, 5, 4))
        assert isinstance(border, str) or (stored(block), block.untied) == (w.numel(), ())
        check(lambda w, b=border: conv(drawn(2, 1, 5, 4, key="x"), w, padding=(1, 2), padding_value=b), w)


def transposed(x, w, **options):
    layout = "BC" + "S" * (w.ndim - 2)
    return gl.stripdims(gl.dltranspconv(x, w, data_format=layout, **options)) if isinstance(x, dlarray) or isinstance(w, dlarray) else (
        gl.dltranspconv(x, w, data_format=layout, **options)
    )


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"stride": (2, 1), "cropping": (1, 0)}, {"dilation_factor": 2, "cropping": ((1, 2), (0, 1))}], ids=str
)
def test_transposed_convolutions(options, groups):
    x, w = drawn(2, 4, 3, 4, key="x"), drawn(4, 2, 3, 2)
    block = check(lambda x: transposed(x, w, groups=groups, **options), x)
    assert (stored(block), block.untied) == (w.numel(), ())  # every input goes to its places through the filters alone
    block = check(lambda w: transposed(x, w, groups=groups, **options), w)
    assert (stored(block), block.untied) == (x.numel(), ())
    check(lambda x: conv(gl.tanh(transposed(x, w, groups=groups, **options)), drawn(3, 2 * groups, 2, 2)), x)
    check(lambda x: transposed(gl.tanh(conv(x, drawn(4, 4, 2, 2))), w, groups=groups, **options), x)
    check(lambda w: transposed(gl.tanh(conv(x, w)), drawn(3, 2, 2, 2, key="v"), **options), drawn(3, 4, 2, 2))


# ----- what values select: winners ----------------------------------------------------------------------------------------


POOLS = [(2, {"stride": 2}), (2, {}), (3, {"stride": 2, "padding": 1}), ((2, 3), {"padding": "same"}), ("global", {})]


def pooled(x, size, **options):
    pool = options.pop("pool", gl.maxpool)
    return pool(x, size, data_format="BC" + "S" * (x.ndim - 2), **options)


@pytest.mark.parametrize(("size", "options"), POOLS, ids=str)
def test_a_maximum_is_a_selection(size, options):
    block = check(lambda x: pooled(x, size, **options), drawn(2, 3, 6, 5))
    assert (block.nbytes, block.untied, len(block.terms)) == (0, (), 1)  # no numbers at all
    assert block.terms[0].represented == math.prod(block.shape)
    block = check(lambda x: pooled(gl.tanh(x), size, **options), drawn(2, 3, 6, 5))
    assert (stored(block), block.untied) == (math.prod(block.shape), ())  # the factor, where the winners are
    small, exact = block_of(lambda x: pooled(x, size, **options), drawn(2, 3, 6, 5).float())[0], torch.float32
    assert small.dtype is exact and dense(small).sum() == math.prod(small.shape)  # one winner each


def test_winners_of_winners_and_of_windows():
    x, w, v = drawn(2, 1, 9, 8, key="x"), drawn(3, 1, 2, 2, key="w"), drawn(2, 3, 2, 2, key="v")
    block = check(lambda x: pooled(pooled(x, 2, stride=2), 2), x)
    assert (block.nbytes, block.untied) == (0, ())
    block = check(lambda x: pooled(gl.relu(conv(x, w)), 2, stride=2), x)
    assert not block.untied
    assert stored(block) <= math.prod(block.shape) * 5
    block = check(lambda w: pooled(gl.relu(conv(x, w)), 2, stride=2), w)
    assert stored(block) <= math.prod(block.shape) * 5  # the winners' patches, filters tied
    assert not block.untied
    check(lambda x: conv(pooled(gl.tanh(conv(x, w)), 2, stride=2), v), x)
    check(lambda w: gl.reshape(conv(pooled(gl.tanh(conv(x, w)), 2, stride=2), v), (2, -1)), w)
    check(lambda x: pooled(gl.softmax(gl.reshape(x, (2, 1, 72)), axis=-1), 3, stride=2), x)
    check(lambda x: gl.sum(gl.permute_dims(pooled(x, 2), (1, 3, 0, 2)) * 2.0, axis=1), x)
    check(lambda x: gl.reshape(pooled(x, 2, stride=2), (-1,)) @ drawn(32, 2), x)


def test_extremes_over_axes_select():
    for f in (gl.max, gl.min):
        for axis in (0, -1, (0, 2)):
            block = check(lambda x, f=f, axis=axis: f(x, axis=axis), drawn(3, 4, 5))
            assert (block.nbytes, block.untied) == (0, ())


def test_means_of_windows_are_separable():
    for options in ({"stride": 2}, {"padding": 1}, {"padding": "same", "padding_value": "mean"}):
        block = check(lambda x, o=options: pooled(x, 3, pool=gl.avgpool, **o), drawn(2, 3, 8, 7))
        assert stored(block) <= 8 * 8 + 7 * 7 + 9 * 10 + math.prod(block.shape[2:])
        assert not block.untied


def test_positions_are_regrouped():
    """What was padded or selected stays so in another shape."""
    block = check(lambda x: gl.reshape(gl.pad(x, [(1, 2), (1, 1)]), (-1,)), drawn(3, 4))
    assert (block.nbytes, block.untied) == (0, ())
    block = check(lambda x: gl.reshape(gl.pad(x, [(1, 2)]), (2, 5)), drawn(7))
    assert (block.nbytes, block.untied) == (0, ())
    check(lambda x: gl.reshape(gl.pad(gl.sin(x), [(1, 2)]), (2, 5)) @ drawn(5, 3), drawn(7))
    check(lambda x: gl.reshape(gl.permute_dims(gl.pad(gl.sin(x), [(1, 0), (0, 2)]), (1, 0)), (4, 5)), drawn(3, 3))


def test_the_pool_forgets_patterns_that_values_made(monkeypatch):
    monkeypatch.setattr("gradloom.blocks.dense._pool", {})
    from gradloom.blocks import dense as module

    for k in range(module.PATTERNS_LIMIT + 9):
        x = drawn(1, 1, 4, 4, key=k)
        block = block_of(lambda x: pooled(x, 2, stride=2), x)[0]
        lent = borrow(block)
        memory = lent_memory(lent, block)
        write(block, memory, zeroed=True)
        written(lent, memory)
        assert lent.sum() == 4
    assert len(module._pool) <= module.PATTERNS_LIMIT + 1


def test_one_and_three_dimensions():
    w1, w3 = drawn(3, 2, 3), drawn(2, 1, 2, 1, 2)
    for options in ({}, {"stride": 2}, {"padding": "same"}, {"padding": "causal"}):
        assert not check(lambda x, o=options: conv(x, w1, **o), drawn(2, 2, 6)).untied
        check(lambda w, o=options: conv(drawn(2, 2, 6), w, **o), w1)
    check(lambda x: conv(x, w3), drawn(1, 1, 3, 2, 3))
    check(lambda w: conv(drawn(1, 1, 3, 2, 3), w), w3)


# ----- what is done with a Block --------------------------------------------------------------------------------------------


def several():
    x, w = drawn(2, 6, key="x"), drawn(6, 6) / 2
    yield from (
        block_of(f, a)[0]
        for f, a in [
            (lambda w: gl.tanh(x @ w), w),
            (lambda x: x + gl.tanh(x @ w), x),
            (lambda x: gl.pad(gl.sin(x), [(1, 1), (0, 2)]), x),
            (lambda x: gl.softmax(x, axis=-1), x),
            (lambda x: gl.take(x, [3, 3, 1], axis=1) * 2, x),
        ]
    )


def test_writing_overwrites_the_whole_of_any_array():
    for block in several():
        expected = dense(block)
        shape = (*block.shape, *block.in_shape)
        for out in (
            torch.full(shape, torch.nan, dtype=torch.float64),
            torch.full((*shape, 2), torch.nan, dtype=torch.float64)[..., 1],
            torch.full(shape[::-1], torch.nan, dtype=torch.float64).permute(*reversed(range(len(shape)))),
        ):
            write(block, out)
            assert torch.equal(out, expected)


def test_pooled_memory_remembers_its_zeros():
    for block in several():
        expected = dense(block)
        for _ in range(3):
            lent = borrow(block)
            memory = lent_memory(lent, block)
            assert memory is not None
            write(block, memory, zeroed=True)
            written(lent, memory)
            assert torch.equal(torch.as_tensor(lent.copy()), expected)
            del lent, memory


def test_transposed_and_applied():
    for block in several():
        expected = dense(block)
        n = len(block.shape)
        turned = dense(block.transposed())
        torch.testing.assert_close(turned, expected.permute(*range(n, expected.ndim), *range(n)))
        v = drawn(*block.in_shape, key="v")
        torch.testing.assert_close(dense(block.applied(v)), torch.tensordot(expected, v, dims=v.ndim))
        w = drawn(*block.shape, key="w")
        torch.testing.assert_close(dense(block.transposed().applied(w)), torch.tensordot(w, expected, dims=w.ndim))


DROPPED = {
    "a place in a stack that is sorted along an axis of size 1": (lambda x: gl.sort(gl.stack([x, x * x]), axis=1), (1, 4)),
    "a place in a stack of triangles": (lambda x: gl.max(gl.permute_dims(gl.tril(gl.stack([x, x * x])), (2, 1, 0)), axis=2), (2, 2)),
    "a part of a flattened stack under a window": (
        lambda x: gl.dlconv(gl.reshape(gl.stack([x, gl.sin(x)]), (1, 1, 8)), drawn(2, 1, 2), None, padding=1, data_format="BCS"),
        (4,),
    ),
    "a trace of what was stretched": (lambda x: gl.sum(gl.diag(gl.broadcast_to(x, (3,)))), ()),
    "the same, padded": (lambda x: gl.sum(gl.pad(gl.diag(gl.broadcast_to(x, (3,))), [(1, 1)])), ()),
}


@pytest.mark.parametrize("name", DROPPED)
def test_axes_that_go_take_what_was_nowhere_with_them(name):
    function, shape = DROPPED[name]
    x = drawn(*shape) if shape else torch.tensor(2.0, dtype=torch.float64)

    def both(x):
        u = function(x)
        ahead = pushing.push([u._node], {x._node: identity(x.shape, x.dtype, "cpu")})[0]
        back = pulling.pull({u._node: identity(u.shape, u.dtype, "cpu")}, [x._node], values_of=lambda node: node.values)[0]
        expected = torch.func.jacrev(function)(x._value)
        torch.testing.assert_close(dense(ahead), expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(dense(back.transposed()), expected, rtol=1e-10, atol=1e-12)
        return u

    gl.dlfeval(both, dlarray(x))


def test_an_operation_that_cannot_act_says_so():
    with pytest.raises(gl.TypeRefused, match="sin"):
        gl.sin(next(several()))
    with pytest.raises(TypeError, match="linear"):
        block = next(several())
        block * block
