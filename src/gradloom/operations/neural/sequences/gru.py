"""The gru as one operation, its reset gate after the multiplication. Its derivative is linear in time, with known
coefficients.

With zx = W x + b, zh = R h + recurrent bias and dots for tangents, h_dot = slope zx_dot + slope' zh_dot + u h_dot at
each time step, so only R h_dot has to wait for the time step before. The pull is the same read backwards. Arrays are
(T, B, C), T at least 1.
"""
from __future__ import annotations

from typing import Any

import torch

from ....core.declare import general
from ....machine.dtypes import Tensor
from ...elementwise.functions import sigmoid, tanh
from ...matrices.contraction import matmul
from ...movement.axes import matrix_transpose
from ...movement.joining import concat
from ...sums.reduction import sum
from .lstm import (
    as_state,
    as_step,
    at,
    before,
    parts,
    previous_raw,
    refuse_complex,
    through_bias,
    through_weights,
    total,
    weights_bar,
)

aten = torch.ops.aten


def _gru_kernel(x: Tensor, h0: Tensor, input_weights: Tensor, recurrent_weights: Tensor, bias: Tensor,
                recurrent_bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """y; hidden: the gates and what the reset gate multiplies."""
    refuse_complex(x)
    gates = torch._C._nn.linear(x, input_weights, bias)
    n, weights, h = h0.shape[-1], recurrent_weights.t(), h0
    y, zh = x.new_empty((*x.shape[:2], n)), torch.empty_like(gates)
    steps = [a.unbind() for a in (y, zh, zh[..., :2 * n], zh[..., 2 * n:], gates[..., :2 * n], *gates.chunk(3, -1))]
    for out, product, from_state, gated, resets, r, u, candidate in zip(*steps, strict=True):
        if recurrent_bias is None:
            torch.mm(h, weights, out=product)
        else:
            torch.addmm(recurrent_bias, h, weights, out=product)
        resets.add_(from_state).sigmoid_()
        h = torch.lerp(candidate.addcmul_(r, gated).tanh_(), h, u, out=out)
    return y, gates, zh[..., 2 * n:]


def _slopes(previous: Any, r: Any, u: Any, n: Any, gated: Any) -> tuple[Any, Any]:
    """The slopes of the state in zx and in zh."""
    candidate = (1 - u) * (1 - n * n)
    reset, update = candidate * gated * r * (1 - r), (previous - n) * u * (1 - u)
    return concat([reset, update, candidate], axis=-1), concat([reset, update, candidate * r], axis=-1)


def _linearized(x: Any, h0: Any, input_weights: Any, recurrent_weights: Any, bias: Any, recurrent_bias: Any,
                y: Any) -> tuple[Any, Any, Any, Any]:
    """The state before each time step, the update gate, and the slopes of the state in zx and in zh."""
    previous = before(h0, y)
    xr, xu, xn = parts(matmul(x, matrix_transpose(input_weights)) + bias, 3)
    hr, hu, gated = parts(total(matmul(previous, matrix_transpose(recurrent_weights)), recurrent_bias), 3)
    r, u = sigmoid(xr + hr), sigmoid(xu + hu)
    return previous, u, *_slopes(previous, r, u, tanh(xn + r * gated), gated)


def _gru_push(x_dot: Any, h0_dot: Any, input_weights_dot: Any, recurrent_weights_dot: Any,
              bias_dot: Any, recurrent_bias_dot: Any, x: Any, h0: Any,
              input_weights: Any, recurrent_weights: Any, bias: Any, recurrent_bias: Any, y: Any, lead: Any) -> Any:
    previous, u, slope, recurrent_slope = _linearized(x, h0, input_weights, recurrent_weights, bias, recurrent_bias, y)
    weights = matrix_transpose(recurrent_weights)
    zx_dot = total(None if x_dot is None else matmul(x_dot, matrix_transpose(input_weights)),
                   through_weights(x, input_weights_dot, lead),
                   through_bias(bias_dot, x, lead))
    zh_dot = total(through_weights(previous, recurrent_weights_dot, lead), through_bias(recurrent_bias_dot, x, lead))
    direct = total(None if zx_dot is None else zx_dot * slope, None if zh_dot is None else zh_dot * recurrent_slope)
    direct = None if direct is None else total(*parts(direct, 3))
    h_dot, h_dots = as_step(h0_dot, lead), []
    for t in range(x.shape[0]):
        if h_dot is None:
            h_dot = at(direct, t)
        else:
            h_dot = total(at(direct, t), *parts(matmul(h_dot, weights) * at(recurrent_slope, t), 3), h_dot * at(u, t))
        h_dots.append(h_dot)
    return concat(h_dots, axis=-3)


def _gru_pull(y_bar: Any, x: Any, h0: Any, input_weights: Any, recurrent_weights: Any, bias: Any,
              recurrent_bias: Any, y: Any, wanted: Any) -> Any:
    previous, u, slope, recurrent_slope = _linearized(x, h0, input_weights, recurrent_weights, bias, recurrent_bias, y)
    carried, h_bars = None, []
    for t in reversed(range(x.shape[0])):
        h_bar = total(at(y_bar, t), carried)
        carried = matmul(concat([h_bar] * 3, axis=-1) * at(recurrent_slope, t), recurrent_weights) + h_bar * at(u, t)
        h_bars.append(h_bar)
    all_bars = concat([concat(h_bars[::-1], axis=-3)] * 3, axis=-1)
    zx_bar, zh_bar = all_bars * slope, all_bars * recurrent_slope
    return (matmul(zx_bar, input_weights) if wanted[0] else None, as_state(carried) if wanted[1] else None,
            weights_bar(zx_bar, x) if wanted[2] else None, weights_bar(zh_bar, previous) if wanted[3] else None,
            sum(zx_bar, axis=(-3, -2)) if wanted[4] else None, sum(zh_bar, axis=(-3, -2)) if wanted[5] else None)


def _gru_fused(y_bar: Tensor, x: Tensor, h0: Tensor, input_weights: Tensor, recurrent_weights: Tensor,
               y: Tensor, gates: Tensor, gated: Tensor,
               wanted: Any) -> Any:
    size, previous = h0.shape[-1], previous_raw(h0, y)
    r, u, n = gates.chunk(3, -1)
    candidate = aten.tanh_backward(1 - u, n)
    zx_bar, zh_bar = torch.empty_like(gates), torch.empty_like(gates)  # slopes, until they are multiplied
    zx_bar[..., :size] = aten.sigmoid_backward(candidate * gated, r)
    zx_bar[..., size:2 * size] = aten.sigmoid_backward(previous - n, u)
    zx_bar[..., 2 * size:] = candidate
    zh_bar[..., :2 * size] = zx_bar[..., :2 * size]
    torch.mul(candidate, r, out=zh_bar[..., 2 * size:])
    h_bars, carried = torch.empty_like(y), None
    for t in reversed(range(len(x))):
        h_bar = h_bars[t]
        if carried is None:
            h_bar.copy_(y_bar[t])
        else:
            torch.add(y_bar[t], carried, out=h_bar)
        z_bar = zh_bar[t]
        z_bar.unflatten(1, (3, size)).mul_(h_bar.unsqueeze(1))
        carried = torch.addmm(h_bar * u[t], z_bar, recurrent_weights)
    zx_bar.unflatten(2, (3, size)).mul_(h_bars.unsqueeze(2))
    zx_flat, zh_flat = zx_bar.flatten(0, 1), zh_bar.flatten(0, 1)
    return (torch.matmul(zx_bar, input_weights) if wanted[0] else None, carried,
            zx_flat.t() @ x.reshape(-1, x.shape[-1]) if wanted[2] else None,
            zh_flat.t() @ previous.flatten(0, 1) if wanted[3] else None, zx_flat.sum(0),
            zh_flat.sum(0) if wanted[5] else None)


gru_steps = general(
    "gru", _gru_kernel, ("x", "h0", "input_weights", "recurrent_weights", "bias", "recurrent_bias"),
    hidden=("gates", "gated"), push=_gru_push,
    pull=_gru_pull, fused_pull=_gru_fused, matlab="gru",
    samples=[((3, 2, 3), (2, 2), (6, 3), (6, 2), (6,), None, {}), ((2, 1, 2), (1, 1), (3, 2), (3, 1), (3,), (3,), {}),
             ((1, 0, 1), (0, 2), (6, 1), (6, 2), (6,), (6,), {})], real_only="gates are real")
gru_steps.opaque = True  # the kernel writes in place
