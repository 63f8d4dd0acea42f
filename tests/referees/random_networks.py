"""Random networks: any layer and operation that networks use, in random order, with random labels in random order.

`network(seed, p, x)` makes the same choices at every call with the same seed: they depend on sizes alone. Weights are drawn when
they are first asked for, and some are used again wherever one of their shape is needed.
"""
import math
import random

import torch

import gradloom as gl

LAYOUTS = ["BC", "BCT", "BCT", "BCS", "BCSS"]
LARGEST = 120  # elements of an intermediate result
ROWS = 10  # most outputs


def uniform(r, shape):
    return torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=torch.Generator().manual_seed(r.randrange(1 << 30)))


class Weights:
    """Weights by name: `values` are drawn where they are missing."""

    def __init__(self, values=None):
        self.drawn = values is None
        self.values = {} if values is None else values
        self.used = {}

    def __call__(self, r, *shape):
        """A weight of some shape: sometimes one that is used already."""
        again, start = [k for k, s in self.used.items() if s == shape], uniform(r, shape)
        if r.random() < 0.3 and again:
            return self.values[r.choice(again)]
        name = f"w{len(self.used)}"
        self.used[name] = shape
        if self.drawn:
            self.values[name] = gl.dlarray(start * 0.8)
        return self.values[name]


class State:
    """What a step works on: h, its layout, labelled or not, the earlier results, and the weights."""

    def __init__(self, r, h, layout, bare, w):
        self.r, self.h, self.layout, self.bare, self.w, self.earlier = r, h, layout, bare, w, []

    def size(self, letter):
        return self.h.shape[self.layout.index(letter)]

    def axes(self, letters):
        return [k for k, letter in enumerate(self.layout) if letter in letters]

    @property
    def format(self):
        return {"data_format": self.layout} if self.bare else {}
    def labelled(self, h, layout):
        return h if self.bare else gl.dlarray(h, layout)

    def canonical(self):
        """h unlabelled as (B, C, the rest), and how to come back from that."""
        order = sorted(range(len(self.layout)), key=lambda k: "BCST".index(self.layout[k]))
        back = [order.index(k) for k in range(len(order))]
        return gl.permute_dims(gl.stripdims(self.h), order), lambda h: self.labelled(gl.permute_dims(h, back), self.layout)


# ----- steps: a state -> the new h, None where it does not fit; a step that changes the layout says so in the state -------------


def activation(s):
    f = s.r.choice([gl.relu, gl.tanh, gl.gelu, gl.sigmoid, gl.silu, gl.softplus, gl.elu, gl.leakyrelu, gl.sin, gl.erf, gl.square])
    return f(s.h)


def affine(s):
    shape = [n if s.r.random() < 0.6 and s.layout[k] != "B" else 1 for k, n in enumerate(s.h.shape)]
    factor, shift = (s.labelled(s.w(s.r, *shape), s.layout) for _ in range(2))
    return s.h * factor + shift


def skip(s):
    same = [h for h, layout in s.earlier if layout == s.layout and h.shape == s.h.shape]
    if not same:
        return None
    other = s.r.choice(same)
    return s.r.choice([lambda: s.h + other, lambda: s.h * gl.sigmoid(other), lambda: s.h - 0.5 * other, lambda: s.h / (1 + other**2)])()


def merged(s):
    n, inputs = s.r.randint(2, 4), math.prod(s.h.shape[k] for k in s.axes("CS"))
    y = gl.fullyconnect(s.h, s.w(s.r, n, inputs), s.r.choice([None, s.w(s.r, n)]), **s.format)
    s.layout = s.layout.replace("S", "")
    return y


def product(s):
    """Two dependent operands: a product of h with what is made of h."""
    h, back = s.canonical()
    shape = tuple(h.shape)
    rows = gl.reshape(h, (shape[0], shape[1], -1))
    scores = rows @ gl.matrix_transpose(gl.tanh(rows))
    mixed = (scores if s.r.random() < 0.5 else gl.softmax(scores, axis=-1)) @ rows
    return back(gl.reshape(mixed * 0.5, shape))


def projected(s):
    """A plain matrix product along the channels."""
    h, back = s.canonical()
    weights = s.w(s.r, s.size("C"), s.r.randint(1, 4))
    return back(gl.moveaxis(gl.moveaxis(h, 1, -1) @ weights, -1, 1))


def spatial(s):
    return [s.h.shape[k] for k in (s.axes("S") or s.axes("T"))]


def convolution(s):
    sizes, c = spatial(s), s.size("C")
    if not sizes:
        return None
    groups = s.r.choice([g for g in (1, 1, 2, 3, c) if c % g == 0])
    filters, width = groups * s.r.randint(1, 2), [s.r.randint(1, min(3, n)) for n in sizes]
    dilation = [s.r.choice([1, 2]) if n >= 2 * (k - 1) + 1 else 1 for n, k in zip(sizes, width)]
    padding = s.r.choice([0, 1, "same", "causal" if s.axes("T") and not s.axes("S") else 2, [(s.r.randint(0, 2), s.r.randint(0, 2)) for _ in sizes]])
    value = 0
    if padding in (0, 1) and min(sizes) > 1:
        value = s.r.choice([0, 0, 0.5, "replicate", "symmetric-include-edge", "symmetric-exclude-edge"])
    bias = s.r.choice([None, s.w(s.r, filters)])
    return gl.dlconv(s.h, s.w(s.r, filters, c // groups, *width), bias, stride=s.r.choice([1, 1, 2]), dilation_factor=dilation, padding=padding,
                     padding_value=value, **s.format)


def transposed(s):
    sizes, c = spatial(s), s.size("C")
    if not sizes:
        return None
    groups = s.r.choice([g for g in (1, 1, 2) if c % g == 0])
    width = [s.r.randint(1, 2) for _ in sizes]
    n, stride, dilation = s.r.randint(1, 2), s.r.choice([1, 2]), s.r.choice([1, 1, 2])
    cropping = s.r.choice([0, "same"]) if min(width) == 2 else 0
    return gl.dltranspconv(s.h, s.w(s.r, c, n, *width), s.w(s.r, n * groups), stride=stride, dilation_factor=dilation, groups=groups, cropping=cropping,
                           **s.format)


def pooling(s):
    sizes = spatial(s)
    if not sizes:
        return None
    f, width = s.r.choice([gl.maxpool, gl.avgpool]), s.r.choice([1, 2, 2, 3])
    if s.r.random() < 0.2:
        return f(s.h, "global", **s.format)
    width = min(width, *sizes)
    padding = s.r.choice([0, 0, "same", 1]) if width > 1 else 0
    return f(s.h, width, stride=s.r.choice([1, 2]), padding=padding, **s.format)


def normalization(s):
    c = s.size("C")
    kind = s.r.choice(["batch", "fixed", "layer", "group", "instance", "cross"])
    offset, scale = s.w(s.r, c), s.w(s.r, c)
    count = math.prod(s.h.shape[k] for k in s.axes("ST"))
    if kind == "batch":
        return gl.batchnorm(s.h, offset, scale, epsilon=0.1, **s.format)[0]
    if kind == "fixed":
        return gl.batchnorm(s.h, offset, scale, uniform(s.r, (c,)), uniform(s.r, (c,)) + 1.5, **s.format)
    if kind == "layer":
        return gl.layernorm(s.h, offset, scale, epsilon=0.1, operation_dimension=s.r.choice(["auto", "channel-only", "batch-excluded"]), **s.format)
    if kind == "cross":
        return gl.crosschannelnorm(s.h, s.r.choice([1, 2, 3]), alpha=0.7, **s.format)
    if count < 2:
        return None
    groups = s.r.choice([g for g in (1, 2, "all-channels", "channel-wise") if isinstance(g, str) or c % g == 0])
    return gl.instancenorm(s.h, offset, scale, epsilon=0.1, **s.format) if kind == "instance" else gl.groupnorm(s.h, groups, offset, scale, epsilon=0.1, **s.format)


def softmax(s):
    f, axis = s.r.choice([gl.softmax, gl.log_softmax]), s.r.choice(s.axes("CST"))
    return f(s.h, axis=axis)


def attention(s):
    if len(s.layout) != 3 or s.size("C") > 4:
        return None
    h, back = s.canonical()
    q, k, v = (back(gl.moveaxis(gl.moveaxis(h, 1, -1) @ s.w(s.r, s.size("C"), 2), -1, 1)) for _ in range(3))
    return gl.attention(q, k, v, s.r.choice([1, 2]), attention_mask=s.r.choice(["none", "causal"]), **s.format)


def recurrent(s):
    if "T" not in s.layout:
        return None
    c, n, starts = s.size("C"), 2, [torch.zeros(2, dtype=torch.float64), s.w(s.r, 2)]
    if s.r.random() < 0.5:
        return gl.lstm(s.h, s.r.choice(starts), s.r.choice(starts), s.w(s.r, 4 * n, c), s.w(s.r, 4 * n, n), s.w(s.r, 4 * n), **s.format)[0]
    mode = s.r.choice(["after-multiplication", "before-multiplication"])
    return gl.gru(s.h, s.r.choice(starts), s.w(s.r, 3 * n, c), s.w(s.r, 3 * n, n), s.w(s.r, 3 * n), reset_gate_mode=mode, **s.format)[0]


def embedding(s):
    """Tokens, one for each position, looked up and added."""
    h, back = s.canonical()
    tokens = [[s.r.randrange(3) for _ in range(h.shape[2] if h.ndim > 2 else 1)] for _ in range(h.shape[0])]
    rows = gl.embed(gl.dlarray(tokens, dtype="int64"), s.w(s.r, 3, h.shape[1]))  # (B, positions, C)
    rows = gl.moveaxis(rows, 2, 1) if h.ndim > 2 else rows[:, 0]
    return back(h + (gl.expand_dims(rows, axis=3) if h.ndim == 4 else rows))


def reduction(s):
    axes = s.axes("ST")
    if not axes:
        return None
    axis, f = s.r.choice(axes), s.r.choice([gl.sum, gl.mean, gl.max, gl.var, gl.norm, gl.logsumexp, gl.min, gl.prod])
    keep = s.r.random() < 0.5 or s.h.shape[axis] == 1
    if s.h.shape[axis] < 2 and f in (gl.var, gl.norm):
        return None
    y = f(s.h, axis=axis, keepdims=keep)
    if not keep:
        s.layout = s.layout[:axis] + s.layout[axis + 1:]
    return y


def joined(s):
    parts = [s.h, gl.sin(s.h), *[h for h, layout in s.earlier if layout == s.layout and h.shape == s.h.shape][:1]]
    s.r.shuffle(parts)
    return gl.concat(parts[:2], axis=s.r.choice(s.axes("CST")))


def sliced(s):
    a = s.r.choice(s.axes("CST"))
    n = s.h.shape[a]
    start = s.r.randrange(n)
    window = slice(start, s.r.randint(start + 1, n), s.r.choice([1, 1, 2]))
    return s.h[(*(slice(None),) * a, window)]


def moved(s):
    a = s.r.choice(s.axes("CST"))
    n = s.h.shape[a]
    return s.r.choice([
        lambda: gl.flip(s.h, axis=a), lambda: gl.roll(s.h, 1, axis=a), lambda: gl.take(s.h, [s.r.randrange(n) for _ in range(3)], axis=a),
        lambda: gl.pad(s.h, [(1, 1) if k == a else (0, 0) for k in range(s.h.ndim)]), lambda: gl.cumsum(s.h, axis=a), lambda: gl.repeat(s.h, 2, axis=a),
        lambda: gl.where(uniform(s.r, tuple(s.h.shape)) > 0, gl.stripdims(s.h), 0.3) if s.bare else s.h * 1.5,
    ])()


def permuted(s):
    order = s.r.sample(range(s.h.ndim), s.h.ndim)
    y = gl.permute_dims(s.h, order)
    s.layout = "".join(s.layout[k] for k in order)
    return y


def regrouped(s):
    """Pairs of positions become channels, by reshape."""
    h, back = s.canonical()
    if h.ndim != 3 or h.shape[2] % 2:
        return None
    b, c, n = h.shape
    return back(gl.reshape(gl.permute_dims(gl.reshape(h, (b, c, n // 2, 2)), (0, 1, 3, 2)), (b, 2 * c, n // 2)))


STEPS = [activation, affine, skip, merged, product, projected, convolution, transposed, pooling, normalization, softmax, attention, recurrent, embedding,
         reduction, joined, sliced, moved, permuted, regrouped]
OFTEN = [activation, activation, skip, convolution, convolution, pooling, normalization, attention, attention, recurrent, recurrent, regrouped]


def start(seed):
    """(x as an array, its layout, whether it goes without labels)."""
    r = random.Random(seed)
    layout = r.choice(LAYOUTS)
    layout = "".join(r.sample(layout, len(layout)))
    sizes = {"B": 2, "C": r.randint(1, 3), "T": r.randint(2, 3)}
    shape = [sizes[k] if k in sizes else r.randint(2, 4 if layout.count("S") == 1 else 3) for k in layout]
    bare = r.random() < 0.3
    return gl.dlarray(uniform(r, shape), None if bare else layout), layout, bare


def network(seed, w, x, used=None):
    """(u, its layout) of a random network; `used` collects the names of its steps."""
    _, layout, bare = start(seed)
    r = random.Random(seed + 10_000)
    s = State(r, x, layout, bare, w)
    depth = r.randint(2, 7)
    taken = 0
    for _ in range(12 * depth):
        if taken == depth:
            break
        step, before = r.choice(STEPS + OFTEN), (s.h, s.layout)
        h = step(s)
        if h is None or h.size > LARGEST or not h.size:
            s.h, s.layout = before
            continue
        s.earlier.append(before)
        s.h = h
        taken += 1
        if used is not None:
            used.append(step.__name__)
        assert bare or "".join(s.h.dims) == s.layout, (step.__name__, s.h.dims, s.layout)
    if s.h.size > ROWS:  # few enough outputs to differentiate one by one
        n = ROWS // 2 // 2 * 2
        flat = s.canonical()[0]
        flat = gl.reshape(flat, (flat.shape[0], -1))[:, :n]
        s.layout, s.h = "BC", flat if bare else gl.dlarray(flat, "BC")
    return s.h, s.layout
