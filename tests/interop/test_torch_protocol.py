"""torch's functions on dlarrays: each entry of the table against torch itself, its derivatives against differences."""

import operator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import stream
from processes import run_forked
from protocol_checks import arguments, check, leaves, numbers

import gradloom as gl
from gradloom.interop.torch.functions import FUNCTIONS, name_of

numbers_of = stream(2)
M = numbers_of.normal(size=(3, 3)) * 0.3 + np.diag([2.0, 3.0, 4.0])
FIXTURES = {
    "x": np.array([[0.3, -0.7, 1.1], [0.9, 0.2, -0.4]]),
    "y": np.array([[0.5, 0.1, -0.8], [-0.3, 0.6, 1.2]]),
    "p": np.array([[0.3, 0.55, 0.8], [0.45, 0.6, 0.7]]),
    "v": np.array([0.7, -0.2, 0.4]),
    "w": np.array([0.25, 0.5, 0.85]),
    "m": M,
    "b": numbers_of.normal(size=(3, 2)),
    "t": numbers_of.normal(size=(2, 3, 2)),
    "u": numbers_of.normal(size=(2, 2, 3)),
    "c": np.array(0.8),
    "n": np.array([[1.0, 0.0, 2.0]]),
    "d": np.array([[[1.0]], [[2.0]]]),
    "i1": numbers_of.normal(size=(2, 2, 6)),
    "i2": numbers_of.normal(size=(2, 2, 5, 6)),
    "i3": numbers_of.normal(size=(1, 2, 4, 4, 5)),
    "k1": numbers_of.normal(size=(3, 2, 3)),
    "k2": numbers_of.normal(size=(3, 2, 3, 2)),
    "g2": numbers_of.normal(size=(4, 1, 3, 2)),
    "k3": numbers_of.normal(size=(3, 2, 2, 2, 2)),
    "e": numbers_of.normal(size=(4, 3)),
    "q": numbers_of.normal(size=(2, 3, 4)),
    "s2": np.array([0.8, 1.3]),
    "o2": np.array([-0.3, 0.4]),
    "z": np.array([0.1, -0.9, 0.5, 0.2, 0.7, -0.4]).reshape(1, 6),
}
CLASSES, IDS = torch.tensor([2, 0]), torch.tensor([[1, 3], [0, 1]])
PLACES = torch.tensor([[2, 0], [1, 1]])
B = torch.tensor([[True, False, True], [False, False, True]])
IMAGE_CLASSES = torch.tensor([[0, 1], [1, -100]])

CALLS = {
    "frac": [lambda x: torch.frac(x * 3)], "deg2rad": [torch.deg2rad], "rad2deg": [torch.rad2deg],
    "round": [torch.round, lambda x: torch.round(x * 1.234567, decimals=2)],
    "nan_to_num": [lambda x: torch.nan_to_num(x, 0.5)],
    "bitwise_not": [lambda x: torch.bitwise_not(x > 0)],
    "bitwise_left_shift": [lambda x: torch.bitwise_left_shift(torch.trunc(x * 4).to(dtype=torch.int64), 2)],
    "bitwise_right_shift": [lambda x: torch.bitwise_right_shift(torch.trunc(x * 40).to(dtype=torch.int64), 2)],
    "polygamma": [lambda p: torch.polygamma(0, p), lambda p: torch.polygamma(2, p)],
    "special.polygamma": [lambda p: torch.special.polygamma(0, p), lambda p: torch.special.polygamma(2, p)],
    "vdot": [lambda v, w: torch.vdot(v, w)],
    "matmul": [lambda x, m: torch.matmul(x, m)], "__matmul__": [lambda x, m: FUNCTIONS["__matmul__"](x, m) if isinstance(x, gl.dlarray) else x @ m],
    "linalg.matmul": [lambda x, m: torch.linalg.matmul(x, m)],
    "add": [lambda x, v: torch.add(x, v), lambda x, v: torch.add(x, v, alpha=2)],
    "sub": [lambda x, v: torch.sub(x, v, alpha=3), lambda x: torch.sub(x, 2)], "subtract": [lambda x, v: torch.subtract(x, v)],
    "rsub": [lambda x, v: torch.rsub(x, v)],
    "div": [lambda x, p: torch.div(x, p), lambda x, p: torch.div(x, p, rounding_mode="floor"), lambda x, p: torch.div(x, p, rounding_mode="trunc")],
    "divide": [lambda x, p: torch.divide(x, p)],
    "pow": [lambda p, x: torch.pow(p, x), lambda x: torch.pow(x, 3)], "float_power": [lambda p, x: torch.float_power(p, x)],
    "mm": [lambda x, m: torch.mm(x, m)], "bmm": [lambda t, u: torch.bmm(t, u)], "mv": [lambda x, v: torch.mv(x, v)],
    "dot": [lambda v, w: torch.dot(v, w)], "lerp": [lambda x, y: torch.lerp(x, y, 0.3), lambda x, y, p: torch.lerp(x, y, p)],
    "addcmul": [lambda x, y, p: torch.addcmul(x, y, p, value=2)], "addcdiv": [lambda x, y, p: torch.addcdiv(x, y, p, value=0.5)],
    "addmm": [lambda v, x, m: torch.addmm(v, x, m, beta=2, alpha=0.5)], "addmv": [lambda o2, x, v: torch.addmv(o2, x, v)],
    "baddbmm": [lambda d, t, u: torch.baddbmm(d, t, u)],
    "clamp": [lambda x: torch.clamp(x, -0.5, 0.5), lambda x: torch.clamp(x, min=0.1)], "clip": [lambda x: torch.clip(x, max=0.5)],
    "clamp_min": [lambda x: torch.clamp_min(x, 0.1)], "clamp_max": [lambda x: torch.clamp_max(x, 0.1)],
    "where": [lambda x, y: torch.where(x > 0, x * y, y), lambda x: torch.where(B, x, 0.0), lambda x: torch.where(x > 0)],
    "masked_fill": [lambda x: torch.masked_fill(x, B, 2.0)],
    "sum": [lambda x: torch.sum(x), lambda x: torch.sum(x, 1), lambda x: torch.sum(x, dim=(0, 1), keepdim=True)],
    "mean": [lambda x: torch.mean(x), lambda x: torch.mean(x, dim=0, keepdim=True)], "prod": [lambda x: torch.prod(x), lambda x: torch.prod(x, 1)],
    "any": [lambda x: torch.any(x > 0, 0)], "all": [lambda x: torch.all(x > 0, dim=0)],
    "argmax": [lambda x: torch.argmax(x, 1), lambda x: torch.argmax(x)], "argmin": [lambda x: torch.argmin(x, dim=0, keepdim=True)],
    "amax": [lambda x: torch.amax(x, 1)], "amin": [lambda x: torch.amin(x, dim=(0, 1))],
    "logsumexp": [lambda x: torch.logsumexp(x, 1), lambda x: torch.logsumexp(x, (0, 1), keepdim=True)],
    "special.logsumexp": [lambda x: torch.special.logsumexp(x, 1)],
    "var": [lambda x: torch.var(x), lambda x: torch.var(x, 1, unbiased=False), lambda x: torch.var(x, dim=1, correction=0), lambda x: torch.var(x, False)],
    "std": [lambda x: torch.std(x), lambda x: torch.std(x, 1, keepdim=True)],
    "var_mean": [lambda x: torch.var_mean(x, 1)], "std_mean": [lambda x: torch.std_mean(x, dim=1, correction=0)],
    "max": [lambda x: torch.max(x), lambda x: torch.max(x, 1), lambda x: torch.max(x, dim=1, keepdim=True).values, lambda x, y: torch.max(x, y)],
    "min": [lambda x: torch.min(x), lambda x: torch.min(x, 0)[0], lambda x, y: torch.min(x, other=y)],
    "sort": [lambda x: torch.sort(x), lambda x: torch.sort(x, dim=0, descending=True)], "argsort": [lambda x: torch.argsort(x, 1)],
    "cumsum": [lambda x: torch.cumsum(x, 1)], "cumprod": [lambda x: torch.cumprod(x, dim=0)],
    "count_nonzero": [lambda n: torch.count_nonzero(n, dim=1)],
    "reshape": [lambda x: torch.reshape(x, (3, 2))], "ravel": [lambda x: torch.ravel(x)], "permute": [lambda t: torch.permute(t, (2, 0, 1))],
    "movedim": [lambda t: torch.movedim(t, 0, 2)], "moveaxis": [lambda t: torch.moveaxis(t, 0, 2)], "unsqueeze": [lambda x: torch.unsqueeze(x, -1)],
    "squeeze": [lambda n: torch.squeeze(n), lambda n: torch.squeeze(n, 0), lambda n: torch.squeeze(n, 1), lambda d: torch.squeeze(d, (1, 2))],
    "t": [lambda x: torch.t(x), lambda v: torch.t(v)], "adjoint": [lambda t: torch.adjoint(t)],
    "broadcast_to": [lambda v: torch.broadcast_to(v, (2, 3))], "broadcast_tensors": [lambda x, v: torch.broadcast_tensors(x, v)],
    "flip": [lambda x: torch.flip(x, (0, 1))], "fliplr": [lambda x: torch.fliplr(x)], "flipud": [lambda x: torch.flipud(x)],
    "roll": [lambda x: torch.roll(x, 1, 1), lambda x: torch.roll(x, 2), lambda x: torch.roll(x, (1, 2), dims=(0, 1))],
    "rot90": [lambda x: torch.rot90(x), lambda x: torch.rot90(x, -1, (0, 1))], "tile": [lambda x: torch.tile(x, (2, 1))],
    "diagonal": [lambda t: torch.diagonal(t, 0, 1, 2)], "diag": [lambda v: torch.diag(v, 1), lambda m: torch.diag(m)],
    "trace": [lambda m: torch.trace(m)], "tril": [lambda m: torch.tril(m, -1)], "triu": [lambda m: torch.triu(m, diagonal=1)],
    "narrow": [lambda x: torch.narrow(x, 1, 1, 2)], "select": [lambda x: torch.select(x, 1, 2)], "unbind": [lambda x: torch.unbind(x, 1)],
    "index_select": [lambda x: torch.index_select(x, 1, CLASSES)], "gather": [lambda x: torch.gather(x, 1, PLACES)],
    "take_along_dim": [lambda x: torch.take_along_dim(x, PLACES, 1)],
    "repeat_interleave": [lambda x: torch.repeat_interleave(x, 2, dim=1)], "transpose": [lambda t: torch.transpose(t, 0, 2)],
    "swapaxes": [lambda t: torch.swapaxes(t, 0, 1)], "swapdims": [lambda t: torch.swapdims(t, 0, 1)],
    "flatten": [lambda t: torch.flatten(t), lambda t: torch.flatten(t, 1)], "unflatten": [lambda z: torch.unflatten(z, 1, (2, 3))],
    "cat": [lambda x, y: torch.cat([x, y], dim=1), lambda x: torch.cat((x, torch.ones(1, 3, dtype=torch.float64)))],
    "concat": [lambda x, y: torch.concat([x, y])], "concatenate": [lambda x, y: torch.concatenate([x, y], 1)],
    "stack": [lambda x, y: torch.stack([x, y], dim=-1)], "vstack": [lambda x, v: torch.vstack([x, v])], "row_stack": [lambda x, v: torch.row_stack([x, v])],
    "hstack": [lambda x, y: torch.hstack([x, y])], "dstack": [lambda x, y: torch.dstack([x, y])],
    "column_stack": [lambda v, w: torch.column_stack([v, w])], "atleast_1d": [lambda c: torch.atleast_1d(c)],
    "atleast_2d": [lambda v: torch.atleast_2d(v)],
    "meshgrid": [lambda v, w: torch.meshgrid(v, w, indexing="ij"), lambda v, w: torch.meshgrid([v, w], indexing="xy")],
    "split": [lambda x: torch.split(x, 2, dim=1), lambda x: torch.split(x, [1, 2], 1)], "chunk": [lambda x: torch.chunk(x, 2, dim=1)],
    "tensor_split": [lambda x: torch.tensor_split(x, 2, dim=1)],
    "einsum": [lambda x, m: torch.einsum("ij,jk->ik", x, m)], "tensordot": [lambda x, m: torch.tensordot(x, m, dims=1)],
    "outer": [lambda v, w: torch.outer(v, w)], "ger": [lambda v, w: torch.ger(v, w)], "inner": [lambda x, y: torch.inner(x, y)],
    "kron": [lambda x, m: torch.kron(x, m)], "cross": [lambda x, y: torch.cross(x, y, dim=1)], "linalg.cross": [lambda x, y: torch.linalg.cross(x, y)],
    "diff": [lambda x: torch.diff(x, dim=0)], "trapezoid": [lambda x: torch.trapezoid(x, dx=0.5)], "trapz": [lambda x, w: torch.trapz(x, w)],
    "linalg.vecdot": [lambda x, y: torch.linalg.vecdot(x, y)], "linalg.multi_dot": [lambda x, m, b: torch.linalg.multi_dot([x, m, b])],
    "linalg.inv": [lambda m: torch.linalg.inv(m)], "linalg.det": [lambda m: torch.linalg.det(m)], "linalg.slogdet": [lambda m: torch.linalg.slogdet(m)],
    "linalg.svdvals": [lambda m: torch.linalg.svdvals(m)], "inverse": [lambda m: torch.inverse(m)], "det": [lambda m: torch.det(m)],
    "slogdet": [lambda m: torch.slogdet(m)],
    "linalg.solve": [lambda m, b: torch.linalg.solve(m, b), lambda m, x: torch.linalg.solve(m, x, left=False)],
    "linalg.cholesky": [lambda m: torch.linalg.cholesky(m @ m.T)], "linalg.qr": [lambda m: torch.abs(torch.linalg.qr(m)[1])],
    "linalg.svd": [lambda b: torch.linalg.svd(b)[1]], "linalg.eigh": [lambda m: torch.linalg.eigh(m)[0]],
    "linalg.eigvalsh": [lambda m: torch.linalg.eigvalsh(m, UPLO="U")], "linalg.matrix_power": [lambda m: torch.linalg.matrix_power(m, 3)],
    "linalg.vector_norm": [lambda x: torch.linalg.vector_norm(x, 3, dim=1)],
    "linalg.matrix_norm": [lambda m: torch.linalg.matrix_norm(m), lambda m: torch.linalg.matrix_norm(m, "nuc")],
    "linalg.norm": [lambda x: torch.linalg.norm(x, dim=1), lambda v: torch.linalg.norm(v, 1)],
    "norm": [lambda x: torch.norm(x), lambda x: torch.norm(x, p=3, dim=1), lambda x: torch.norm(x, dim=0, keepdim=True)],
    "zeros_like": [lambda x: torch.zeros_like(x)], "ones_like": [lambda x: torch.ones_like(x)], "full_like": [lambda x: torch.full_like(x, 2.0)],
    "clone": [lambda x: torch.clone(x)], "is_floating_point": [lambda x: torch.is_floating_point(x)], "is_complex": [lambda x: torch.is_complex(x)],
    "numel": [lambda x: torch.numel(x)], "is_nonzero": [lambda c: torch.is_nonzero(c)], "equal": [lambda x: torch.equal(x, x)],
    "allclose": [lambda x: torch.allclose(x, x + 1e-9)], "isclose": [lambda x: torch.isclose(x, x + 1e-9)],
    "empty_like": [lambda x: list(torch.empty_like(x).shape)], "complex": [lambda x, y: torch.complex(x, y)],
    "rand_like": [lambda x: list(torch.rand_like(x).shape)], "randn_like": [lambda x: list(torch.randn_like(x).shape)],
    "result_type": [lambda x: torch.result_type(x, 1).itemsize],
    # nn.functional
    "relu": [F.relu, lambda x: torch.relu(x), lambda x: F.relu(x, inplace=False)], "silu": [F.silu], "mish": [F.mish], "relu6": [lambda x: F.relu6(8 * x)],
    "hardtanh": [lambda x: F.hardtanh(x, -0.5, 0.6)], "leaky_relu": [lambda x: F.leaky_relu(x, 0.1)], "elu": [lambda x: F.elu(x, 0.7)],
    "gelu": [F.gelu, lambda x: F.gelu(x, approximate="tanh")], "selu": [F.selu], "celu": [lambda x: F.celu(x, 0.7)], "logsigmoid": [F.logsigmoid],
    "hardsigmoid": [lambda x: F.hardsigmoid(x * 4)], "hardswish": [lambda x: F.hardswish(x * 4)], "softsign": [F.softsign],
    "tanhshrink": [F.tanhshrink], "threshold": [lambda x: F.threshold(x, 0.25, 0.1)], "softplus": [F.softplus, lambda x: F.softplus(x, beta=2)],
    "softmax": [lambda x: F.softmax(x, dim=1), lambda x: torch.softmax(x, 0)], "softmin": [lambda x: F.softmin(x, dim=1)],
    "log_softmax": [lambda x: F.log_softmax(x, dim=-1)], "special.softmax": [lambda x: torch.special.softmax(x, 0)],
    "special.log_softmax": [lambda x: torch.special.log_softmax(x, 0)], "glu": [lambda z: F.glu(z)], "normalize": [lambda x: F.normalize(x), lambda x: F.normalize(x, 1, 0)],
    "dropout": [lambda x: F.dropout(x, 0.5, training=False)],
    "linear": [lambda x, m: F.linear(x, m), lambda x, m, v: F.linear(x, m, v), lambda q, e: F.linear(q, e.T), lambda v, m, w: F.linear(v, m, w)],
    "scaled_dot_product_attention": [lambda q: F.scaled_dot_product_attention(q, q * 2, q + 1), lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True),
                                     lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m, scale=0.3)],
    "nn.functional.embedding": [lambda e: F.embedding(IDS, e)],
    "conv1d": [lambda i1, k1: F.conv1d(i1, k1), lambda i1, k1, v: F.conv1d(i1, k1, v, padding="same")],
    "conv2d": [lambda i2, k2, v: F.conv2d(i2, k2, v, stride=(2, 1), padding=(1, 0), dilation=(1, 2)), lambda i2, g2: F.conv2d(i2, g2, groups=2),
               lambda i2, k2: F.conv2d(i2[0], k2)],
    "conv3d": [lambda i3, k3: F.conv3d(i3, k3)],
    "nn.functional.max_pool1d": [lambda i1: F.max_pool1d(i1, 2)], "nn.functional.max_pool2d": [lambda i2: F.max_pool2d(i2, (3, 2), stride=2, padding=(1, 0)), lambda i2: F.max_pool2d(i2[0], 2)],
    "nn.functional.max_pool3d": [lambda i3: F.max_pool3d(i3, 2)], "avg_pool1d": [lambda i1: F.avg_pool1d(i1, 2, padding=1)],
    "avg_pool2d": [lambda i2: F.avg_pool2d(i2, 3, 2, padding=1), lambda i2: F.avg_pool2d(i2, 3, 2, padding=1, count_include_pad=False)],
    "avg_pool3d": [lambda i3: F.avg_pool3d(i3, 2)], "nn.functional.adaptive_avg_pool1d": [lambda i1: F.adaptive_avg_pool1d(i1, 1)],
    "nn.functional.adaptive_avg_pool2d": [lambda i2: F.adaptive_avg_pool2d(i2, (1, 1))], "nn.functional.adaptive_avg_pool3d": [lambda i3: F.adaptive_avg_pool3d(i3, 1)],
    "nn.functional.adaptive_max_pool1d": [lambda i1: F.adaptive_max_pool1d(i1, 1)], "nn.functional.adaptive_max_pool2d": [lambda i2: F.adaptive_max_pool2d(i2, 1)],
    "nn.functional.adaptive_max_pool3d": [lambda i3: F.adaptive_max_pool3d(i3, 1)],
    "pad": [lambda x: F.pad(x, (1, 2)), lambda i2: F.pad(i2, (1, 0, 0, 2), value=0.5)],
    "layer_norm": [lambda x, v, w: F.layer_norm(x, (3,), v, w), lambda i2: F.layer_norm(i2, (5, 6), eps=1e-3)],
    "group_norm": [lambda i2, s2, o2: F.group_norm(i2, 2, s2, o2), lambda i2: F.group_norm(i2, 1)],
    "nn.functional.batch_norm": [lambda i2, s2, o2: F.batch_norm(i2, o2 * 0.1, s2, s2, o2), lambda i2, s2: F.batch_norm(i2, None, None, s2, training=True)],
    "nn.functional.instance_norm": [lambda i2, s2, o2: F.instance_norm(i2, weight=s2, bias=o2)],
    "nn.functional.mse_loss": [lambda x, y: F.mse_loss(x, y), lambda x, y: F.mse_loss(x, y, reduction="none")], "nn.functional.l1_loss": [lambda x, y: F.l1_loss(x, y, reduction="sum")],
    "nn.functional.smooth_l1_loss": [lambda x, y: F.smooth_l1_loss(x, y, beta=0.5)], "nn.functional.huber_loss": [lambda x, y: F.huber_loss(x, y, delta=0.45)],
    "nn.functional.binary_cross_entropy": [lambda p, x: F.binary_cross_entropy(p, torch.sigmoid(x)), lambda p: F.binary_cross_entropy(p, B.double(), reduction="sum")],
    "nn.functional.binary_cross_entropy_with_logits": [
        lambda x, p: F.binary_cross_entropy_with_logits(x, p), lambda x, p: F.binary_cross_entropy_with_logits(x, p, reduction="sum"),
        lambda x, p: F.binary_cross_entropy_with_logits(x, p, pos_weight=torch.tensor([1.0, 2.0, 3.0]).double())],
    "nn.functional.kl_div": [lambda x, p: F.kl_div(x, p, reduction="batchmean"), lambda x, y: F.kl_div(x, y, log_target=True, reduction="sum")],
    "nn.functional.nll_loss": [lambda x: F.nll_loss(x, CLASSES), lambda i2: F.nll_loss(i2[:, :, :2, 0], IMAGE_CLASSES), lambda v: F.nll_loss(v, CLASSES[0])],
    "nn.functional.cross_entropy": [lambda x: F.cross_entropy(x, CLASSES, reduction="sum"),
        lambda x: F.cross_entropy(x, CLASSES), lambda x, w: F.cross_entropy(x, CLASSES, weight=w), lambda x: F.cross_entropy(x, CLASSES, reduction="none"),
        lambda i2: F.cross_entropy(i2[:, :, :2, 0], IMAGE_CLASSES, reduction="sum"), lambda x, p: F.cross_entropy(x, p), lambda v: F.cross_entropy(v, CLASSES[0]),
        lambda x: F.cross_entropy(x, CLASSES, ignore_index=0), lambda x, p, w: F.cross_entropy(x, p, weight=w, reduction="sum")],
    "cosine_similarity": [lambda x, y: F.cosine_similarity(x, y)], "pairwise_distance": [lambda x, y: F.pairwise_distance(x, y)],
    "nn.functional.ctc_loss": [lambda q: F.ctc_loss(
        torch.log_softmax(torch.permute(q, (1, 0, 2)), 2), torch.tensor([[1, 3], [2, 2]]), (3, 3), (2, 2), reduction="sum", zero_infinity=True)],
    "log_sigmoid": [F.logsigmoid], "__getitem__": [lambda x: x[:, 1]],
}


def _transforms(name):
    """The ways a Fourier transform is tried."""
    function = getattr(torch.fft, name)
    if name in ("fft", "ifft", "rfft"):
        return [lambda x: function(x), lambda x: function(x, 4, dim=0, norm="ortho")]
    if name in ("irfft", "hfft", "irfft2", "irfftn"):
        return [lambda x: function(torch.complex(x, 2 * x), *([4] if name in ("irfft", "hfft") else []))]
    return [lambda x: function(x)]


CALLS |= {name: _transforms(name[4:]) for name in FUNCTIONS if name.startswith("fft.")}
# Functions of one or two arrays with the same name in torch, tried on p (all between 0 and 1) and on a row that broadcasts.
DOMAIN = {"acosh": 1.5, "arccosh": 1.5}
REFLECTED = {name for name in FUNCTIONS if name.startswith("__")} - {"__getitem__", "__matmul__"}


def found(name):
    """The function of torch that an entry is for."""
    if "." in name:
        return operator.attrgetter(name)(torch)
    return next((getattr(place, name) for place in (torch, F, torch.Tensor) if hasattr(place, name)), None)


def generated(name):
    function = found(name)
    if name in ("bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__"):
        return lambda p, w: function(p > 0.5, w > 0.5) if not isinstance(p, gl.dlarray) or not name.startswith("__") else FUNCTIONS[name](p > 0.5, w > 0.5)
    if name in REFLECTED:
        return lambda p, w: function(p, w) if isinstance(p, torch.Tensor) else FUNCTIONS[name](p, w)
    shift = DOMAIN.get(name, 0.0)
    try:
        function(torch.ones(2), torch.ones(2))
    except TypeError:
        return lambda p: function(p + shift)
    return lambda p, w: function(p, w)


NAMES = [(name, call) for name in FUNCTIONS for call in CALLS.get(name) or [generated(name)]]
QUESTIONS_NAMES = """
any all argmax argmin argsort count_nonzero round fix trunc floor ceil sign sgn signbit isfinite isinf isnan logical_not eq ne gt ge lt
le not_equal greater greater_equal less less_equal logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not
bitwise_left_shift bitwise_right_shift __and__ __or__ __xor__ floor_divide __floordiv__ __rfloordiv__ zeros_like ones_like full_like is_floating_point is_complex numel
is_nonzero equal allclose isclose empty_like rand_like randn_like result_type imag
"""
QUESTIONS = set(QUESTIONS_NAMES.split())


@pytest.mark.parametrize(("name", "call"), NAMES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(NAMES)])
def test_functions_are_torchs(name, call):
    def truth(*arrays):
        return [numbers(part) for part in leaves(call(*(torch.tensor(a) for a in arrays)))]

    if name in ("imag", "__rmatmul__"):
        pytest.skip("torch has no imaginary part of a real tensor; __rmatmul__ is tried by mixed operands")
    arrays = arguments(call, FIXTURES) if call.__name__ == "<lambda>" else [FIXTURES["x"]]
    roundings = name == "div" and "rounding" in str(call.__code__.co_consts + call.__code__.co_names)
    floors = name == "where" and len(arrays) == 1 and "B" not in call.__code__.co_names
    check(call, truth, arrays, differentiable=not (name in QUESTIONS or floors or roundings))


def test_no_entry_is_for_nothing():
    assert [name for name in FUNCTIONS if found(name) is None and name != "log_sigmoid"] == []


A = torch.tensor([[0.3, 0.8, 1.1], [0.9, 0.2, 0.4]], dtype=torch.float64)


@pytest.mark.parametrize("mixed", [
    lambda a, x: a + x, lambda a, x: x + a, lambda a, x: a - x, lambda a, x: a * x, lambda a, x: a / x, lambda a, x: a ** x, lambda a, x: a @ x.T,
    lambda a, x: torch.add(x, a), lambda a, x: torch.stack([a, x]), lambda a, x: torch.where(a > 0.5, x, a), lambda a, x: a.add(x),
    lambda a, x: a.matmul(x.T), lambda a, x: torch.maximum(a, x), lambda a, x: torch.einsum("ij,ij->i", a, x), lambda a, x: F.linear(a, x),
    lambda a, x: torch.cat([x, a]), lambda a, x: F.mse_loss(x, a),
])
def test_constants_on_either_side(mixed):
    x = np.abs(FIXTURES["y"]) + 0.2
    check(lambda v: mixed(A, v), lambda v: numbers(mixed(A, torch.tensor(v))), [x])


def test_labels_are_kept():
    x = gl.dlarray(FIXTURES["x"], "CB")
    assert torch.sin(x).dims == "CB" and torch.sum(x, 0).dims == "B" and torch.zeros_like(x).dims == "CB" and (A + x).dims == "CB"
    assert F.relu(x).dims == "CB" and torch.cat([x, x], dim=1).dims == "CB" and F.softmax(x, dim=0).dims == "CB" and torch.t(x).dims == "BC"
    image = gl.dlarray(FIXTURES["i2"], "BCSS")
    weights = torch.tensor(FIXTURES["k2"])
    line = gl.dlarray(FIXTURES["i1"], "BCS")
    assert F.adaptive_avg_pool1d(line, 1).dims == "BCS" == F.max_pool1d(line, 2).dims and F.avg_pool2d(image, 2).dims == "BCSS"
    assert torch.embedding(gl.dlarray(FIXTURES["e"]), IDS).shape == (2, 2, 3)  # whose arguments are the other way round
    assert F.conv2d(image, weights).dims == "BCSS" and F.max_pool2d(image, 2).dims == "BCSS" and F.layer_norm(image, (5, 6)).dims == "BCSS"


def test_a_write_is_refused():
    def fun(x):
        t = torch.zeros(2, 3, dtype=torch.float64)
        for write in (lambda: t.add_(x), lambda: t.__setitem__(0, x[0]), lambda: torch.add(t, x, out=t), lambda: t.copy_(x), lambda: t.mul_(x)):
            with pytest.raises((gl.GradloomError, TypeError, RuntimeError)):
                write()
        with pytest.raises(gl.TypeRefused, match=r"t = t \+ x"):
            t.add_(x)
        with pytest.raises(gl.TypeRefused, match="make t a dlarray"):
            t[0] = x[0]
        assert not t.any()
        kept = t
        t += x  # a new array, as everywhere
        assert isinstance(t, gl.dlarray) and t.traced and not kept.any()
        for convert in (torch.as_tensor, torch.tensor, torch.from_dlpack, lambda v: torch.tensor([v[0, 0], v[0, 1]])):
            with pytest.raises((gl.TraceError, RuntimeError, TypeError, ValueError)):
                convert(x)

    gl.dlfeval(fun, gl.dlarray(FIXTURES["x"]))


def test_tensors_that_were_computed_with_gradients_are_refused():
    leaf = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    x = gl.dlarray(FIXTURES["x"])
    for mixed in (lambda: torch.add(x, leaf * 2), lambda: (leaf * 2) + x, lambda: torch.cat([leaf * 2, x])):
        with pytest.raises(gl.TypeRefused, match="detach"):
            mixed()


def test_what_has_no_operation_says_so():
    """In a process where the ATen operations are out of reach: the error names the function."""
    code = """
import sys
import torch, gradloom as gl
sys.modules["gradloom.interop.torch.aten.recording"] = None
try:
    gl.dlfeval(lambda x: torch.cumulative_trapezoid(x), gl.dlarray([[1.0, 2.0]]))
except gl.TypeRefused as error:
    print(error)
"""
    assert "torch.cumulative_trapezoid has no operation" in run_forked(code)[1]


def test_options_without_an_operation_go_to_the_operations_they_are_made_of(monkeypatch):
    aten = pytest.importorskip("gradloom.interop.torch.aten.recording")
    seen = []
    monkeypatch.setattr(aten, "run", lambda function, args, kwargs: seen.append((function, args, kwargs)) or args[0])
    x = gl.dlarray(FIXTURES["x"])
    F.cross_entropy(x, CLASSES, label_smoothing=0.1)
    torch.special.bessel_j0(x)
    assert seen[0][0] is F.cross_entropy and seen[0][2]["label_smoothing"] == 0.1 and name_of(seen[1][0]) == "special.bessel_j0"


def test_random_draws_are_recorded_and_ours():
    gl.rng(4)
    first = torch.rand_like(gl.dlarray(FIXTURES["x"]))
    gl.rng(4)
    assert first.tolist() == torch.rand_like(gl.dlarray(FIXTURES["x"])).tolist()
    y = F.dropout(gl.dlarray(np.ones(1000)), 0.25)
    assert 0.6 < float(np.mean(gl.extractdata(y) > 0)) < 0.9 and float(gl.mean(y)) == pytest.approx(1, abs=0.1)
