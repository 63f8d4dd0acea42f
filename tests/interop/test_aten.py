"""Torch functions on dlarrays through the ATen operations that they are made of: values, gradients and second derivatives are torch's own."""

import pytest
import torch
import torch.nn.functional as F

import gradloom as gl
from gradloom.interop.torch.aten import recording as aten

double = torch.float64


def made(seed, *shape):
    return torch.randn(shape, dtype=double, generator=torch.Generator().manual_seed(seed))


def positive(seed, *shape):
    return made(seed, *shape).abs() + 0.5


def symmetric(x):
    return x @ x.mT + 3 * torch.eye(x.shape[-1], dtype=x.dtype)


I2 = torch.tensor([[2, 0, 1, 1], [0, 2, 2, 1]])
ROW = torch.tensor([2, 0, 0])
MASK = torch.tensor([[True, False, True, False], [False, True, True, True], [True, True, False, False]])
LABELS = torch.tensor([1, 3, 0])
T = torch.tensor

# name: (function of arrays, their shapes); P: positive arrays.
POINTWISE = {
    "abs": torch.abs, "acos": lambda x: torch.acos(torch.tanh(x)), "acosh": lambda x: torch.acosh(1.5 + x * x), "asin": lambda x: torch.asin(x / 4),
    "asinh": torch.asinh, "atan": torch.atan, "atanh": lambda x: torch.atanh(x / 4), "ceil": lambda x: torch.ceil(x) * x, "celu": F.celu,
    "clamp": lambda x: torch.clamp(x, -0.5, 0.7), "clamp_max": lambda x: x.clamp_max(0.3), "clamp_tensor": lambda x: torch.clamp(x, min=T([0.1, 0.2, -1, 0.0])),
    "cos": torch.cos, "cosh": torch.cosh, "deg2rad": torch.deg2rad, "elu": lambda x: F.elu(x, 0.7), "erf": torch.erf, "erfc": torch.erfc, "exp": torch.exp,
    "exp2": torch.exp2, "expm1": torch.expm1, "frac": torch.frac, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardshrink": F.hardshrink, "hardsigmoid": F.hardsigmoid, "hardswish": F.hardswish, "hardtanh": lambda x: F.hardtanh(x, -0.4, 0.9),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "lgamma": lambda x: torch.lgamma(x.abs() + 1), "digamma": lambda x: torch.digamma(x.abs() + 1),
    "log_sigmoid": F.logsigmoid, "logit": lambda x: torch.logit(torch.sigmoid(x) * 0.9 + 0.05), "mish": F.mish, "nan_to_num": lambda x: torch.nan_to_num(x / x.sign()),
    "neg": torch.neg, "relu": F.relu, "relu6": lambda x: F.relu6(4 * x), "round": lambda x: torch.round(x) * x, "selu": F.selu, "sigmoid": torch.sigmoid,
    "sign": lambda x: torch.sign(x) * x, "silu": F.silu, "sin": torch.sin, "sinc": torch.sinc, "sinh": torch.sinh, "softplus": lambda x: F.softplus(x, 2, 3),
    "softshrink": F.softshrink, "softsign": F.softsign, "square": torch.square, "tan": lambda x: torch.tan(x / 3), "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink, "threshold": lambda x: F.threshold(x, 0.1, 5.0), "trunc": lambda x: torch.trunc(3 * x) * x, "pow": lambda x: x ** 3,
    "pow_base": lambda x: 2.0 ** x, "rsub": lambda x: 2 - x, "floor_div": lambda x: x * torch.div(x, 0.3, rounding_mode="floor"),
    "fmod": lambda x: torch.fmod(3 * x, 0.7), "remainder": lambda x: torch.remainder(3 * x, 0.7), "to_float": lambda x: x.to(torch.float64).type(torch.float64),
    "masked_fill": lambda x: x.masked_fill(MASK, 2.0), "where": lambda x: torch.where(x > 0, x * x, x.sin()), "glu": lambda x: F.glu(x, -1),
    "polygamma": lambda x: torch.polygamma(1, x.abs() + 1), "erfinv": lambda x: torch.erfinv(torch.tanh(x) * 0.9), "heaviside": lambda x: x * torch.heaviside(x.detach(), x.new_ones(())),
    "xlogy": lambda x: torch.xlogy(x, x * x + 1), "lerp": lambda x: torch.lerp(x, x * x, 0.3), "rrelu": lambda x: F.rrelu(x),
    "normalize": lambda x: F.normalize(x, dim=-1), "logaddexp": lambda x: torch.logaddexp(x, 2 * x), "cummax": lambda x: torch.cummax(x, 1)[0],
    "softmin": lambda x: F.softmin(x, dim=0), "softmax": lambda x: torch.softmax(x, 1), "log_softmax": lambda x: F.log_softmax(x, 0),
    "softmax_typed": lambda x: F.softmax(x, dim=1, dtype=torch.float64),
    "gumbel_noise_free": lambda x: F.layer_norm(x, (4,)),
}
REDUCTIONS = {
    "sum": torch.sum, "sum_dim": lambda x: x.sum((0, 1), keepdim=True), "mean": lambda x: x.mean(0), "var": lambda x: x.var(1), "var_0": lambda x: x.var(correction=0),
    "std": lambda x: x.std(0), "std_mean": lambda x: torch.std_mean(x, 1), "var_mean": lambda x: torch.var_mean(x), "amax": lambda x: x.amax(1), "amin": lambda x: x.amin((0, 1)),
    "max": torch.max, "max_dim": lambda x: x.max(1).values, "min_dim": lambda x: x.min(dim=0, keepdim=True)[0], "median": torch.median,
    "median_dim": lambda x: x.median(1)[0], "kthvalue": lambda x: torch.kthvalue(x, 2, dim=1)[0], "mode": lambda x: torch.mode(x, 1)[0],
    "logsumexp": lambda x: torch.logsumexp(x, 1), "norm": lambda x: x.norm(dim=1), "norm_1": lambda x: torch.linalg.vector_norm(x, 1), "norm_3": lambda x: x.norm(3),
    "norm_inf": lambda x: torch.linalg.vector_norm(x, float("inf"), dim=0), "prod": torch.prod, "prod_dim": lambda x: x.prod(1), "cumsum": lambda x: x.cumsum(0),
    "cumprod": lambda x: x.cumprod(1), "logcumsumexp": lambda x: x.logcumsumexp(1), "sort": lambda x: x.sort(1, descending=True)[0], "msort": torch.msort,
    "topk": lambda x: x.topk(2, 1)[0], "aminmax": lambda x: torch.aminmax(x, dim=1), "nansum": lambda x: torch.nansum(x), "nanmean": torch.nanmean,
    "diff": torch.diff, "trapezoid": lambda x: torch.trapezoid(x), "cov": torch.cov, "corrcoef": torch.corrcoef, "renorm": lambda x: torch.renorm(x, 2, 0, 1.0),
    "dist": lambda x: torch.dist(x, 2 * x.flip(0)), "count": lambda x: x * torch.count_nonzero(x > 0), "quantile": lambda x: torch.quantile(x, 0.4, dim=1),
    "argmax": lambda x: x * x.argmax(1, keepdim=True), "argsort": lambda x: x.gather(1, x.argsort(1)),
}
MOVEMENT = {
    "view": lambda x: x.view(2, 6) * 2, "reshape": lambda x: x.t().reshape(-1), "permute": lambda x: x.permute(1, 0), "movedim": lambda x: torch.movedim(x, 0, 1),
    "expand": lambda x: x[:, None].expand(3, 2, 4), "squeeze": lambda x: x[None].squeeze(), "select": lambda x: x[1], "slice": lambda x: x[:, ::2],
    "split": lambda x: torch.split(x, 3, dim=1), "chunk": lambda x: x.chunk(2, 1), "unbind": lambda x: x.unbind(0), "narrow": lambda x: x.narrow(1, 1, 2),
    "diagonal": lambda x: x.diagonal(1), "diag": torch.diag, "diag_embed": torch.diag_embed, "tril": torch.tril, "triu": lambda x: x.triu(1), "flip": lambda x: x.flip(0, 1),
    "roll": lambda x: x.roll((1, 2), (0, 1)), "rot90": torch.rot90, "repeat": lambda x: x.repeat(2, 1, 2), "tile": lambda x: x.tile(2), "unfold": lambda x: x.unfold(1, 2, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(T([1, 0, 2]), 0), "cat": lambda x: torch.cat([x, x * 2], 1), "stack": lambda x: torch.stack([x, x.sin()]),
    "hstack": lambda x: torch.hstack([x, x]), "vstack": lambda x: torch.vstack([x, x]), "index": lambda x: x[ROW, T([1, 3, 3])], "index_row": lambda x: x[ROW],
    "mask": lambda x: x[MASK], "index_none": lambda x: x[:, None, ROW], "index_select": lambda x: x.index_select(1, ROW), "gather": lambda x: x.gather(0, I2),
    "take": lambda x: torch.take(x, T([0, 5, 5])), "take_along_dim": lambda x: torch.take_along_dim(x, I2, 0), "masked_select": lambda x: torch.masked_select(x, MASK),
    "pad": lambda x: F.pad(x, (1, 2), value=3.0), "pad_negative": lambda x: F.pad(x, (-1, 2, 1, 0)), "pad_reflect": lambda x: F.pad(x[None], (1, 2), mode="reflect"),
    "pad_replicate": lambda x: F.pad(x[None], (2, 1), mode="replicate"), "pad_circular": lambda x: F.pad(x[None], (2, 1), mode="circular"),
    "scatter": lambda x: x.scatter(0, T([[2, 0, 1, 1], [0, 2, 2, 0]]), x[1:] * 2), "scatter_value": lambda x: x.scatter(1, T([[0], [2], [3]]), 1.5), "scatter_add": lambda x: x.scatter_add(0, I2, x[1:] * 3),
    "scatter_mean": lambda x: x.scatter_reduce(0, I2, x[1:] * 3, "mean"), "index_add": lambda x: x.index_add(1, ROW, x[:, :3]), "index_copy": lambda x: x.index_copy(0, T([2, 0]), x[:2] * 2),
    "index_fill": lambda x: x.index_fill(1, ROW, 7.0), "index_put": lambda x: x.index_put((ROW,), x[:1], accumulate=True), "masked_scatter": lambda x: x.masked_scatter(MASK, x.flip(0)),
    "as_strided": lambda x: x.clone().as_strided((2, 3), (4, 1), 1), "swapaxes": lambda x: x.swapaxes(0, 1), "ravel": torch.ravel, "flatten": torch.flatten,
    "unflatten": lambda x: x.unflatten(1, (2, 2)), "meshgrid": lambda x: torch.meshgrid(x[0], x[1], indexing="ij"), "block_diag": lambda x: torch.block_diag(x, x[:1]),
    "combinations": lambda x: torch.combinations(x[0]), "cartesian": lambda x: torch.cartesian_prod(x[0], x[1]), "slice_scatter": lambda x: x.slice_scatter(x[:, :2] * 3, 1, 1, 3),
    "tensor_split": lambda x: torch.tensor_split(x, 3, 1), "atleast_3d": torch.atleast_3d, "broadcast": lambda x: torch.broadcast_tensors(x, x[:1])[1],
    "clone": torch.clone, "contiguous": lambda x: x.t().contiguous(), "select_scatter": lambda x: x.select_scatter(x[0] * x[1], 0, 2), "put": lambda x: x.put(T([1, 2]), x[0, :2]),
}
SEVERAL = {
    "add": (lambda a, b: torch.add(a, b, alpha=2), (3, 4), (4,)), "sub": (lambda a, b: torch.sub(a, b, alpha=0.5), (3, 4), (3, 1)), "mul": (torch.mul, (3, 4), (4,)),
    "div": (lambda a, b: a / (b * b + 1), (3, 4), (4,)), "pow_both": (lambda a, b: (a * a + 1) ** b, (3,), (3,)), "atan2": (torch.atan2, (3, 4), (3, 4)),
    "hypot": (torch.hypot, (3,), (3,)), "maximum": (torch.maximum, (3, 4), (3, 4)), "fmin": (torch.fmin, (3, 4), (3, 4)), "logaddexp2": (torch.logaddexp2, (3,), (3,)),
    "addcmul": (lambda a, b, c: torch.addcmul(a, b, c, value=2), (3,), (3,), (3,)), "addcdiv": (lambda a, b, c: torch.addcdiv(a, b, c * c + 1, value=2), (3,), (3,), (3,)),
    "lerp_tensor": (torch.lerp, (3,), (3,), (3,)), "copysign": (lambda a, b: torch.copysign(a, b), (3,), (3,)), "fmod_two": (lambda a, b: torch.fmod(a, b.abs() + 0.1), (3,), (3,)),
    "mm": (torch.mm, (3, 4), (4, 2)), "bmm": (torch.bmm, (2, 3, 4), (2, 4, 2)), "matmul": (torch.matmul, (2, 1, 3, 4), (5, 4, 2)), "mv": (torch.mv, (3, 4), (4,)),
    "dot": (torch.dot, (3,), (3,)), "addmm": (lambda x, a, b: torch.addmm(x, a, b, beta=2, alpha=0.5), (2,), (3, 4), (4, 2)), "baddbmm": (torch.baddbmm, (2, 3, 2), (2, 3, 4), (2, 4, 2)),
    "addbmm": (torch.addbmm, (3, 2), (2, 3, 4), (2, 4, 2)), "addmv": (torch.addmv, (3,), (3, 4), (4,)), "addr": (torch.addr, (3, 4), (3,), (4,)), "outer": (torch.outer, (3,), (4,)),
    "linear": (F.linear, (2, 3, 4), (5, 4), (5,)), "bilinear": (F.bilinear, (3, 2), (3, 4), (5, 2, 4), (5,)), "einsum": (lambda a, b: torch.einsum("bij,bjk->bik", a, b), (2, 3, 4), (2, 4, 2)),
    "tensordot": (lambda a, b: torch.tensordot(a, b, 1), (2, 3, 4), (4, 2)), "kron": (torch.kron, (2, 3), (3, 2)), "cross": (lambda a, b: torch.linalg.cross(a, b), (4, 3), (4, 3)),
    "inner": (torch.inner, (3, 4), (2, 4)), "chain": (lambda a, b, c: torch.linalg.multi_dot([a, b, c]), (2, 3), (3, 4), (4, 2)), "cdist": (torch.cdist, (3, 4), (2, 4)),
    "cdist_1": (lambda a, b: torch.cdist(a, b, p=1.0), (3, 4), (2, 4)), "pdist": (lambda a: F.pdist(a), (4, 3)), "cosine": (F.cosine_similarity, (3, 4), (3, 4)),
    "pairwise": (F.pairwise_distance, (3, 4), (3, 4)), "conv1d": (F.conv1d, (2, 3, 7), (4, 3, 3), (4,)), "conv2d": (lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=2), (2, 4, 5, 5), (6, 2, 3, 3)),
    "conv2d_same": (lambda x, w: F.conv2d(x, w, padding="same"), (1, 2, 5, 4), (3, 2, 1, 3)), "conv_single": (F.conv1d, (3, 7), (4, 3, 3)),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 3, 3), (4, 3, 3, 3), (6,)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3, 4), w, b), (2, 3, 4), (3, 4), (3, 4)), "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (2, 4, 3), (4,), (4,)),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (4, 3, 2), (3,), (3,)), "instance_norm": (F.instance_norm, (2, 3, 4, 2)),
    "batch_norm_eval": (lambda x, w: F.batch_norm(x, torch.zeros(3, dtype=double), torch.ones(3, dtype=double) * 2, w), (4, 3), (3,)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (4,), w), (3, 4), (4,)), "local_response_norm": (lambda x: F.local_response_norm(x, 2), (2, 4, 3)),
    "prelu": (F.prelu, (2, 3, 4), (3,)), "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), (2, 3, 7)), "avg_pool_of_all": (lambda x: F.avg_pool2d(x, (900, 2), ceil_mode=True), (2, 3, 5, 4)), "avg_pool2d": (lambda x: F.avg_pool2d(x, (2, 3), ceil_mode=True), (2, 3, 5, 7)),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3), (2, 3, 9)), "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1, dilation=1), (2, 3, 7, 5)), "max_pool3d": (lambda x: F.max_pool3d(x, 2), (1, 2, 4, 4, 2)),
    "max_unpool2d": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), (1, 2, 4, 4)), "adaptive_avg": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (2, 2, 5, 4)),
    "adaptive_avg3d": (lambda x: F.adaptive_avg_pool3d(x, (2, 3, 1)), (1, 2, 3, 4, 2)), "adaptive_max": (lambda x: F.adaptive_max_pool1d(x, 3), (2, 2, 7)), "lp_pool": (lambda x: F.lp_pool2d(x, 2, 2), (1, 2, 4, 4)),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2), (1, 2, 3, 3)), "bilinear_up": (lambda x: F.interpolate(x, size=(5, 4), mode="bilinear", align_corners=True), (1, 2, 3, 3)),
    "bicubic": (lambda x: F.interpolate(x, size=(5, 4), mode="bicubic"), (1, 2, 3, 3)), "grid_sample": (lambda x, g: F.grid_sample(x, g.tanh(), align_corners=False), (1, 2, 4, 4), (1, 3, 3, 2)),
    "max_pool_ceil": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 3, 6, 4)), "max_pool_dilated": (lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2), (1, 2, 5, 4)),
    "max_pool_single": (lambda x: F.max_pool2d(x, (2, 3)), (2, 5, 6)), "max_pool3d_ceil": (lambda x: F.max_pool3d(x, 2, (2, 1, 3), (0, 1, 0), ceil_mode=True), (1, 2, 3, 3, 4)),
    "adaptive_max2d": (lambda x: F.adaptive_max_pool2d(x, (2, 3)), (1, 2, 5, 4)), "max_pool1d_ceil": (lambda x: F.max_pool1d(x, 3, 2, ceil_mode=True), (2, 3, 8)),
    "nearest_exact": (lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"), (2, 3, 4)), "linear_up": (lambda x: F.interpolate(x, scale_factor=1.5, mode="linear"), (2, 3, 5)),
    "trilinear": (lambda x: F.interpolate(x, scale_factor=(2, 1.5, 0.6), mode="trilinear"), (1, 2, 3, 4, 5)), "bilinear_scale": (lambda x: F.interpolate(x, scale_factor=(1.6, 0.7), mode="bilinear"), (1, 2, 4, 5)),
    "bilinear_aa": (lambda x: F.interpolate(x, scale_factor=(0.6, 1.5), mode="bilinear", antialias=True), (1, 2, 5, 4)), "bicubic_aa": (lambda x: F.interpolate(x, size=(3, 4), mode="bicubic", antialias=True), (1, 2, 6, 5)),
    "affine_grid": (lambda t: F.affine_grid(t, (2, 1, 3, 3), align_corners=False), (2, 2, 3)), "im2col": (lambda x: F.unfold(x, 2, padding=1), (1, 2, 3, 3)), "col2im": (lambda x: F.fold(x, (3, 3), 2), (1, 8, 4)),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (1, 4, 2, 3)), "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), (1, 1, 4, 2)), "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), (1, 4, 2, 2)),
    "embedding": (lambda w: F.embedding(I2, w, padding_idx=1), (3, 4)), "one_hot": (lambda x: x @ F.one_hot(LABELS, 4).to(double).t(), (2, 4)),
    "attention": (F.scaled_dot_product_attention, (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4)), "attention_causal": (lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True), (2, 3, 4), (2, 3, 4)),
    "attention_mask": (lambda q, k, m: F.scaled_dot_product_attention(q, k, k, attn_mask=m, scale=0.3), (1, 2, 3, 4), (1, 2, 3, 4), (3, 3)),
    "mse": (F.mse_loss, (3, 4), (3, 4)), "l1": (F.l1_loss, (3, 4), (3, 4)), "smooth_l1": (lambda a, b: F.smooth_l1_loss(a, b, beta=0.4), (3, 4), (3, 4)), "huber": (F.huber_loss, (3, 4), (3, 4)),
    "cross_entropy": (lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1), (3, 4)), "cross_entropy_soft": (lambda x, t: F.cross_entropy(x, t.softmax(-1)), (3, 4), (3, 4)),
    "cross_entropy_weights": (lambda x: F.cross_entropy(x, LABELS, weight=T([1.0, 2, 3, 4], dtype=double), ignore_index=3), (3, 4)), "nll_2d": (lambda x: F.nll_loss(x.log_softmax(1), I2[:, None] % 3), (2, 3, 1, 4)),
    "bce": (lambda x: F.binary_cross_entropy(x.sigmoid(), MASK.to(double)), (3, 4)), "bce_logits": (lambda x: F.binary_cross_entropy_with_logits(x, MASK.to(double), pos_weight=T([2.0])), (3, 4)),
    "kl_div": (lambda a, b: F.kl_div(a.log_softmax(-1), b.softmax(-1), reduction="batchmean"), (3, 4), (3, 4)), "poisson": (lambda x: F.poisson_nll_loss(x, MASK.to(double)), (3, 4)),
    "gaussian_nll": (lambda a, b, v: F.gaussian_nll_loss(a, b, v * v + 0.1), (3, 4), (3, 4), (3, 4)), "margin": (lambda a, b: F.margin_ranking_loss(a, b, T([1.0, -1, 1])), (3,), (3,)),
    "hinge": (lambda x: F.hinge_embedding_loss(x, T([1.0, -1, 1, -1])), (3, 4)), "soft_margin": (lambda x: F.soft_margin_loss(x, T([1.0, -1, 1, -1]).expand(3, 4)), (3, 4)),
    "multi_margin": (lambda x: F.multi_margin_loss(x, LABELS), (3, 4)), "multilabel_soft": (lambda x: F.multilabel_soft_margin_loss(x, MASK.to(double)), (3, 4)),
    "multilabel_margin": (lambda x: F.multilabel_margin_loss(x, T([[1, 0, -1, 2]] * 3)), (3, 4)),
    "triplet": (F.triplet_margin_loss, (3, 4), (3, 4), (3, 4)), "cosine_loss": (lambda a, b: F.cosine_embedding_loss(a, b, T([1.0, -1, 1])), (3, 4), (3, 4)),
    "det": (torch.linalg.det, (2, 3, 3)), "slogdet": (lambda x: torch.linalg.slogdet(x)[1], (3, 3)), "logdet": (lambda x: torch.logdet(symmetric(x)), (3, 3)), "inv": (torch.linalg.inv, (3, 3)),
    "solve": (torch.linalg.solve, (3, 3), (3, 2)), "solve_vector": (torch.linalg.solve, (3, 3), (3,)), "solve_right": (lambda a, b: torch.linalg.solve(a, b, left=False), (3, 3), (2, 3)),
    "cholesky": (lambda x: torch.linalg.cholesky(symmetric(x)), (2, 3, 3)), "solve_triangular": (lambda a, b: torch.linalg.solve_triangular(symmetric(a), b, upper=False), (3, 3), (3, 2)),
    "triangular_right": (lambda a, b: torch.linalg.solve_triangular(symmetric(a), b, upper=True, left=False, unitriangular=True), (3, 3), (2, 3)),
    "qr": (lambda x: torch.linalg.qr(x)[1].abs(), (4, 3)), "svdvals": (torch.linalg.svdvals, (3, 4)), "svd": (lambda x: torch.linalg.svd(x, full_matrices=False)[0].abs(), (3, 3)),
    "eigh": (lambda x: torch.linalg.eigh(symmetric(x))[1].abs(), (3, 3)), "eigvalsh": (lambda x: torch.linalg.eigvalsh(symmetric(x)), (3, 3)), "pinv": (torch.linalg.pinv, (4, 3)),
    "lstsq": (lambda a, b: torch.linalg.lstsq(a, b).solution, (5, 3), (5, 2)), "cholesky_inverse": (lambda x: torch.cholesky_inverse(torch.linalg.cholesky(symmetric(x))), (3, 3)),
    "matrix_exp": (torch.linalg.matrix_exp, (3, 3)), "matrix_power": (lambda x: torch.linalg.matrix_power(x, 3), (3, 3)), "matrix_norm": (torch.linalg.matrix_norm, (3, 4)),
    "nuclear": (lambda x: torch.linalg.matrix_norm(x, "nuc"), (3, 4)), "trace": (torch.trace, (3, 3)), "vander": (lambda x: torch.linalg.vander(x), (3,)),
    "fft": (lambda x: torch.fft.fft(x).abs(), (3, 6)), "rfft": (lambda x: torch.view_as_real(torch.fft.rfft(x, norm="ortho")), (3, 5)), "irfft": (lambda x: torch.fft.irfft(torch.fft.rfft(x) * 2, n=5), (3, 5)),
    "fft2": (lambda x: torch.fft.fft2(x).real, (3, 4)), "ifftn": (lambda x: torch.fft.ifftn(x).imag, (3, 4)), "irfftn": (lambda x: torch.fft.irfftn(torch.fft.rfftn(x) ** 2, s=(3, 4)), (3, 4)),
    "hfft": (lambda x: torch.fft.hfft(torch.complex(x, x * 2), n=6), (4,)), "fftshift": (torch.fft.fftshift, (3, 4)), "complex": (lambda a, b: torch.complex(a, b).exp().abs(), (3,), (3,)),
    "polar": (lambda a, b: torch.polar(a * a + 1, b).real, (3,), (3,)), "angle": (lambda a, b: torch.complex(a, b).angle(), (3,), (3,)), "stft": (lambda x: torch.stft(x, 8, 4, window=torch.hann_window(8, dtype=double), return_complex=True).abs(), (2, 24)),
    "view_as_complex": (lambda x: (torch.view_as_complex(x) ** 2).real, (3, 2)), "conj": (lambda a, b: (torch.complex(a, b).conj() * torch.complex(b, a)).imag, (3,), (3,)),
    "lstm_cell": (lambda x, h, c, w, r: torch._VF.lstm_cell(x, (h, c), w, r), (2, 3), (2, 4), (2, 4), (16, 3), (16, 4)),
    "gru_cell": (lambda x, h, w, r: torch._VF.gru_cell(x, h, w, r), (2, 3), (2, 4), (12, 3), (12, 4)), "checkpoint": (lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False), (3,)),
    "autocast_free": (lambda x: torch.special.expit(x) + torch.special.log1p(x * x) + torch.special.xlog1py(x, x * x), (3,)), "entr": (lambda x: torch.special.entr(x * x + 0.1), (3,)),
    "multigammaln": (lambda x: torch.special.multigammaln(x * x + 3, 2), (3,)), "searchsorted": (lambda x: x * torch.searchsorted(T([-1.0, 0, 1]), x.float()), (3,)),
}

CASES = {name: (function, (3, 4)) for table in (POINTWISE, REDUCTIONS, MOVEMENT) for name, function in table.items()} | SEVERAL
# Torch has no second derivative of its own here.
FIRST_ONLY = {"cdist", "pdist", "cdist_1", "dist", "hardsigmoid", "multi_margin", "multilabel_margin"}
ROUGH = {"hardsigmoid": 1e-6}  # torch's own derivative has a sixth in single precision


def outputs(result):
    return [y for part in result for y in outputs(part)] if isinstance(result, (tuple, list)) else [result]


def weighed(result, total, constant):
    loss = 0
    for k, y in enumerate(outputs(result)):
        w = constant(made(50 + k, *y.shape))
        loss = loss + total(y * w) + total(y * y * w)
    return loss


@pytest.mark.parametrize("name", CASES)
def test_functions_agree_with_torch(name):
    function, *shapes = CASES[name]
    xs = [made(k, *shape).requires_grad_() for k, shape in enumerate(shapes)]
    vectors = [made(20 + k, *shape) for k, shape in enumerate(shapes)]
    second_order = name not in FIRST_ONLY

    def fun(*xs):
        result = aten.run(function, xs, {})
        loss = weighed(result, gl.sum, gl.dlarray)
        first = gl.dlgradient(loss, list(xs), retain_data=True, enable_higher_derivatives=True)
        along = sum(gl.sum(g * gl.dlarray(v)) for g, v in zip(first, vectors, strict=True))
        return result, first, gl.dlgradient(along, list(xs))

    result, first, second = gl.dlfeval(fun, *[gl.dlarray(x.detach()) for x in xs])
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        expected = function(*xs)
        loss = weighed(expected, torch.sum, lambda w: w)
        expected_first = torch.autograd.grad(loss, xs, create_graph=second_order, allow_unused=True)
    for y, e in zip(outputs(result), outputs(expected), strict=True):
        torch.testing.assert_close(y._value, e.detach(), rtol=1e-9, atol=1e-9)
    for g, e, x in zip(first, expected_first, xs, strict=True):
        torch.testing.assert_close(g._value, torch.zeros_like(x) if e is None else e, rtol=1e-8, atol=ROUGH.get(name, 1e-8))
    if second_order and any(e is not None and e.requires_grad for e in expected_first):
        along = sum((g * v).sum() for g, v in zip(expected_first, vectors, strict=True) if g is not None)
        for g, e, x in zip(second, torch.autograd.grad(along, xs, allow_unused=True), xs, strict=True):
            torch.testing.assert_close(g._value, torch.zeros_like(x) if e is None else e, rtol=1e-7, atol=1e-7)
    elif second_order:
        assert all(float(gl.max(gl.abs(g))) == 0 for g in second)


# ----- what is a constant, what is a draw, and what is refused -----


def gradient(function, *xs):
    return gl.dlfeval(lambda *xs: gl.dlgradient(gl.sum(aten.run(function, xs, {})), xs[0]), *[gl.dlarray(x) for x in xs])._value


X = made(0, 3, 4)


def test_results_carry_no_labels_and_gradients_carry_x_s():
    y, g = gl.dlfeval(lambda x: (y := aten.run(F.mish, (x,), {}), gl.dlgradient(gl.sum(y), x)), gl.dlarray(X, "CB"))
    assert y.dims == "" and g.dims == "CB"


def test_plain_tensors_are_constants_and_are_copied():
    table = made(1, 4)
    loss, g = gl.dlfeval(lambda x: (y := gl.sum(aten.run(torch.mul, (x, table), {})), table.zero_(), gl.dlgradient(y, x))[::2], gl.dlarray(X))
    assert torch.equal(g._value, made(1, 4).expand(3, 4)) and torch.equal(table, torch.zeros(4, dtype=double))
    computed = made(1, 4).requires_grad_() * 2
    with pytest.raises(TypeError, match="require gradients"):
        aten.run(torch.mul, (gl.dlarray(X), computed), {})


def test_values_of_all_kinds_without_a_trace():
    values, where = aten.run(torch.max, (gl.dlarray(X), 1), {})
    assert torch.equal(values._value, X.max(1)[0]) and torch.equal(where._value, X.max(1)[1]) and not where.traced
    assert aten.run(torch.allclose, (gl.dlarray(X), gl.dlarray(X)), {}) is True
    assert aten.run(torch.numel, (gl.dlarray(X),), {}) == 12


def test_integers_and_masks_convert_freely():
    def function(x):
        order = x.argsort(1)
        return x[0] * order.tolist()[0][0] + x[1] * int(order[0, 1]) + x[2] * (x > 0).sum().item() + x[2] * order.numpy()[0, 0]

    x = X.clone().requires_grad_()
    (e,) = torch.autograd.grad(function(x).sum(), x)
    torch.testing.assert_close(gradient(function, X), e)


@pytest.mark.parametrize("function, words", [
    (lambda x: x * x.sum().item(), "item"), (lambda x: x * float(x[0, 0]), "float"), (lambda x: x * x.tolist()[0][0], "tolist"),
    (lambda x: x * torch.tensor(x.numpy()), "constant of a traced array"), (lambda x: torch.special.bessel_j0(x), "special_bessel_j0.*no derivative"),
    (lambda x: x.add_(1), "writes into an array that it was given"), (lambda x: F.relu(x, inplace=True), "inplace"), (lambda x: x.view(-1).zero_(), "never change"),
    (lambda x: PLAIN.copy_(x), "plain tensor"), (lambda x: torch.sin(x, out=PLAIN), "plain tensor"), (lambda x: PLAIN[0].mul_(x[0, 0]), "plain tensor"),
    (lambda x: torch.bernoulli(x.sigmoid()), "draw"), (lambda x: x.resize_(2), "changes the shape"), (lambda x: x.clone().view(torch.int64), "bits"),
    (lambda x: x[5], "out of bounds"), (lambda x: x.reshape(5, 5), "invalid"), (lambda x: x @ x, "matmul|shapes"),
])
def test_what_cannot_be_recorded_is_an_error(function, words):
    with pytest.raises((TypeError, RuntimeError, ValueError, IndexError), match=words):
        gradient(function, X)
    assert torch.equal(PLAIN, torch.zeros(3, 4, dtype=double))


PLAIN = torch.zeros(3, 4, dtype=double)


def test_a_value_that_outlives_its_function_is_an_error():
    kept = []
    gradient(lambda x: kept.append(x * 2) or x, X)
    with pytest.raises(gl.TraceError, match="has returned"):
        kept[0] + 1


def test_no_grad_and_detach_are_constants():
    def function(x):
        with torch.no_grad():
            y = x * 3
            z = x[0]
        return x * y + x.detach() * x + z

    torch.testing.assert_close(gradient(function, X), 3 * X + X)


def test_a_write_without_gradients_keeps_the_derivative():
    def function(x):
        y = x * 2
        with torch.no_grad():
            y.clamp_(-1, 1)
        return y * y

    x = X.clone().requires_grad_()
    torch.testing.assert_close(gradient(function, X), 4 * (2 * X).clamp(-1, 1))
    assert x.requires_grad


class Cubed(torch.autograd.Function):
    """Its backward says twice the truth, so that it is seen whose is taken."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 6 * x ** 2 * g


class Modern(torch.autograd.Function):
    """Several outputs, one of them without a derivative, an option, what forward kept as an attribute, and an absent cotangent."""

    @staticmethod
    def forward(x, y, power):
        return x * y, (x > 0), torch.sin(y) ** power

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.x, ctx.y, ctx.power = inputs
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, g, _, h):
        assert ctx.needs_input_grad == (True, True, False)
        return g * ctx.y, g * ctx.x + h * ctx.power * torch.sin(ctx.y) ** (ctx.power - 1) * torch.cos(ctx.y), None


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.kept = torch.exp(x)
        return ctx.kept * 1

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * ctx.kept


class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Nested(torch.autograd.Function):
    """One whose forward and backward use another, a matrix of constants, and only the arguments that ask."""

    @staticmethod
    def forward(ctx, x, w, flag=True):
        ctx.save_for_backward(x, w)
        return Cubed.apply(x) @ w, None

    @staticmethod
    def backward(ctx, g, _):
        x, w = ctx.saved_tensors
        x_bar = 3 * x ** 2 * (g @ w.mT) if ctx.needs_input_grad[0] else None
        return x_bar, (Cubed.apply(x).mT @ g if ctx.needs_input_grad[1] else None), None


early = Cubed.apply


@pytest.mark.parametrize("function", [
    lambda x: Nested.apply(x, x.mT)[0], lambda x: Nested.apply(x.t(), torch.ones(3, 2, dtype=double))[0], lambda x: Nested.apply(torch.ones(2, 3, dtype=double), x, False)[0] ** 2,
    Cubed.apply, early, lambda x: early(x * 2) + x, lambda x: Cubed.apply(torch.linalg.inv(x @ x.mT + 1)),
    lambda x: sum(Modern.apply(x, x * 2, 3)[::2]) + Modern.apply(x, x, 2)[1], lambda x: Dirty.apply(x * 1) ** 2, lambda x: (y := x * 1, Dirty.apply(y), y ** 3)[2],
])
def test_a_function_with_its_own_backward_keeps_it(function):
    x = X.clone().requires_grad_()
    y = function(x)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first ** 2).sum(), x)

    def fun(x):
        y = aten.run(function, (x,), {})
        g = gl.dlgradient(gl.sum(y), x, enable_higher_derivatives=True)
        return y, g, gl.dlgradient(gl.sum(g ** 2), x)

    for ours, theirs in zip(gl.dlfeval(fun, gl.dlarray(X)), (y, first, second), strict=True):
        torch.testing.assert_close(ours._value, theirs.detach())
    torch.testing.assert_close(aten.run(function, (gl.dlarray(X),), {})._value, y.detach())


def test_a_backward_that_is_differentiable_once_is_taken_once():
    torch.testing.assert_close(gradient(Once.apply, X), X.exp())

    def twice(x):
        g = gl.dlgradient(gl.sum(aten.run(Once.apply, (x,), {})), x, enable_higher_derivatives=True)
        return gl.dlgradient(gl.sum(g), x)

    with pytest.raises(gl.TraceError, match=r"Once.backward"):
        gl.dlfeval(twice, gl.dlarray(X))
    x = X.clone().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(Cubed.apply(x).sum(), x)[0], 6 * X ** 2)  # torch's own is as it was


def test_linear_is_one_operation_and_torchs_refusals_stay():
    w, b = torch.rand(2, 4, dtype=double), torch.rand(2, dtype=double)
    for x in (X, X[0], X[:0], X.expand(2, 3, 4), X.expand(5, 2, 3, 4)):
        for bias in (b, None):
            def function(x, bias=bias):
                return F.linear(x * 2, w, bias).transpose(0, -1).clone()  # on a wrapped tensor, of which a view is taken

            torch.testing.assert_close(aten.run(function, (gl.dlarray(x),), {})._value, function(x))
    for bad in (lambda x: F.linear(x, w.float()), lambda x: F.linear(x, w[:, :3]), lambda x: F.linear(x, w, b[:1])):
        assert_same_outcome(bad)


def assert_same_outcome(function):
    """The value that torch gives, or an error where torch has one."""
    try:
        expected = function(X)
    except RuntimeError:
        with pytest.raises((RuntimeError, TypeError, ValueError)):
            aten.run(function, (gl.dlarray(X),), {})
    else:
        torch.testing.assert_close(aten.run(function, (gl.dlarray(X),), {})._value, expected)


def test_draws_come_from_our_generator_and_are_walked_as_they_were():
    before = torch.get_rng_state()

    def noisy(x):
        return F.dropout(x, 0.5) + x * torch.rand_like(x) + x * torch.randn(3, 4, dtype=double) + x * torch.randperm(4) + x * torch.empty(4, dtype=double).exponential_()

    def fun(x):
        y = gl.sum(aten.run(noisy, (x,), {}))
        return y, gl.dlgradient(y, x, retain_data=True), gl.dlgradient(y, x)

    gl.rng(3)
    y, g, h = gl.dlfeval(fun, gl.dlarray(X))
    gl.rng(3)
    again = gl.dlfeval(fun, gl.dlarray(X))[0]
    other = gl.dlfeval(fun, gl.dlarray(X))[0]
    assert torch.equal(torch.get_rng_state(), before)
    assert float(y) == float(again) != float(other) and torch.equal(g._value, h._value)
    torch.testing.assert_close((g._value * X).sum(), y._value)  # linear in x


def test_lazy_conjugation_is_resolved():
    z = torch.complex(made(0, 3), made(1, 3))

    def function(z):
        return (z.conj() * torch.view_as_complex(torch.view_as_real(z).flip(-1).contiguous())).imag + z.conj().imag

    w = z.clone().requires_grad_()
    (e,) = torch.autograd.grad(function(w).sum(), w)
    torch.testing.assert_close(gradient(function, z), e)


def test_views_see_writes_and_writes_through_views_reach_the_whole():
    def function(x):
        y = x * 1
        part = y.t()[1:3].unsqueeze(0)
        early = part * 1
        y[0] = 7.0
        part += x[:2].t()[:, 0].sum()
        y.diagonal().mul_(2)
        y.as_strided((2,), (5,), 1).neg_()
        part.select(1, 0).copy_(early[0, 0] * 3)
        y.zero_()
        y[:, ::3] += early.sum() * x[:, :2]
        return torch.cat([part.reshape(-1), y.reshape(-1)]) ** 2

    x = X.clone().requires_grad_()
    y = function(x)
    (e,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient(function, X), e)


def test_out_and_shape_changes_in_place():
    def function(x):
        out = torch.empty_like(x)
        torch.sin(x, out=out)
        out.t_().unsqueeze_(0)
        return out.squeeze_(0) @ x

    torch.testing.assert_close(aten.run(function, (gl.dlarray(X),), {})._value, X.sin().t() @ X)
    x = X.clone().requires_grad_()
    (e,) = torch.autograd.grad((x.sin().t() @ x).sum(), x)
    torch.testing.assert_close(gradient(function, X), e)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 0)])
def test_sizes_0_and_1(shape):
    x = made(0, *shape)
    for function in (lambda x: F.softplus(x).sum(0), lambda x: torch.cat([x, x]).t() @ torch.ones(2 * shape[0], 2, dtype=double), lambda x: F.layer_norm(x, (shape[1],)),
                     lambda x: x.repeat(2, 1)[::2], lambda x: x.cumsum(0).flip(1), lambda x: x.index_select(0, torch.arange(shape[0])), lambda x: F.pad(x, (1, 1))):
        t = x.clone().requires_grad_()
        y = function(t)
        (e,) = torch.autograd.grad((y * y).sum(), t)
        g = gl.dlfeval(lambda x, f=function: gl.dlgradient(gl.sum(aten.run(f, (x,), {}) ** 2), x), gl.dlarray(x))
        torch.testing.assert_close(g._value, e)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_types_are_kept(dtype):
    x = X.to(dtype)
    for function in (F.mish, lambda x: F.softmax(x, -1), lambda x: x * 2.5, lambda x: torch.mul(x, torch.tensor(2.0, dtype=double)), lambda x: F.layer_norm(x, (4,))):
        y, g = gl.dlfeval(lambda x, f=function: (y := aten.run(f, (x,), {}), gl.dlgradient(gl.sum(y), x)), gl.dlarray(x))
        assert y.dtype is dtype and g.dtype is dtype


@pytest.mark.parametrize("padding_idx", [-1, 3, -4])
def test_rows_of_an_embedding_that_are_not_learned(padding_idx):
    w, ids = torch.arange(8.0).reshape(4, 2), torch.tensor([0, 3, 3])
    rival = w.clone().requires_grad_()
    F.embedding(ids, rival, padding_idx=padding_idx).sum().backward()
    g = gl.dlfeval(lambda w: gl.dlgradient(gl.sum(F.embedding(ids, w, padding_idx=padding_idx)), w), gl.dlarray(w))
    assert torch.equal(g._value, rival.grad)


def test_an_embedding_s_scaled_gradient_is_refused():
    with pytest.raises(gl.TypeRefused, match="scale_grad_by_freq.*divide the gradient"):
        gl.dlfeval(lambda w: F.embedding(torch.tensor([0, 3, 3]), w, scale_grad_by_freq=True), gl.dlarray(torch.ones(4, 2)))
