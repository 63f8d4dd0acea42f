"""The lstm as one operation. Its derivative is linear in time, with coefficients that are known for all time steps at
once.

With z = W x + R h + b of the gates i, f, g, o, and dots for tangents, at each time step
    z_dot = (W x + R h + b)_dot,  c_dot = f c_dot + (slope z_dot)[i, f, g],  h_dot = (slope z_dot)[o] + through c_dot,
so only R h_dot has to wait for the time step before. The pull is the same read backwards. Arrays are (T, B, C), T at
least 1.
"""
from __future__ import annotations

from typing import Any

import torch

from ....core.array import dlarray
from ....core.kinds.general import General
from ....core.operation import item
from ....machine.dtypes import Tensor
from ....machine.modes import under
from ...elementwise.activations import sigmoid
from ...elementwise.mathematics import tanh
from ...matrices.contraction import matmul
from ...movement.axes import broadcast_to, matrix_transpose, reshape
from ...movement.joining import concat
from ...movement.slices import slice_axis
from ...sums.reduction import sum

aten = torch.ops.aten
LSTM_MODE = 2  # as ATen counts its recurrent layers

# ----- what the lstm shares with the gru -----


def at(x: Any, t: int) -> Any:
    """One time step, its axis of size 1; None stays None."""
    return None if x is None else slice_axis(x, -3, t, t + 1)


def parts(x: Any, count: int) -> list[Any]:
    """The blocks of gates along the last axis."""
    n = x.shape[-1] // count
    return [slice_axis(x, -1, k * n, (k + 1) * n) for k in range(count)]


def total(*terms: Any) -> Any:
    """The sum of those that are there, None without any."""
    found = None
    for term in terms:
        if term is not None:
            found = term if found is None else found + term
    return found


def as_step(x: Any, lead: tuple[int, ...]) -> Any:
    """A state (B, C) as a time step (1, B, C)."""
    return None if x is None else reshape(x, (*lead, 1, *x.shape[len(lead):]))


def as_state(x: Any) -> Any:
    return reshape(x, (*x.shape[:-3], *x.shape[-2:]))


def before(first: Any, steps: Any) -> Any:
    """The state that each time step starts from."""
    first = as_step(first, ())
    return concat([first, slice_axis(steps, -3, 0, steps.shape[-3] - 1)], axis=-3) if steps.shape[-3] > 1 else first


def through_weights(x: Any, weights_dot: Any, lead: tuple[int, ...]) -> Any:
    """x times a tangent of weights, for all time steps."""
    if weights_dot is None:
        return None
    return matmul(x, matrix_transpose(reshape(weights_dot, (*lead, 1, *weights_dot.shape[len(lead):]))
                                      if lead else weights_dot))


def through_bias(bias_dot: Any, x: Any, lead: tuple[int, ...]) -> Any:
    if bias_dot is None:
        return None
    return broadcast_to(reshape(bias_dot, (*lead, 1, 1, bias_dot.shape[-1])), (*lead, *x.shape[:2], bias_dot.shape[-1]))


def weights_bar(z_bar: Any, x: Any) -> Any:
    """The cotangent of weights that x was multiplied with, summed over time and batch."""
    flat = reshape(z_bar, (*z_bar.shape[:-3], z_bar.shape[-3] * z_bar.shape[-2], z_bar.shape[-1]))
    return matmul(matrix_transpose(flat), reshape(x, (x.shape[0] * x.shape[1], x.shape[2])))


def refuse_complex(x: Tensor) -> None:
    if x.is_complex():
        raise TypeError("its gates are not defined for complex numbers, dtype of x; write real(x)")


def previous_raw(first: Tensor, steps: Tensor) -> Tensor:
    return torch.cat((first.unsqueeze(0), steps[:-1]))


# ----- the kernel -----


def _lstm_kernel(x: Tensor, h0: Tensor, c0: Tensor, input_weights: Tensor, recurrent_weights: Tensor, bias: Tensor,
                 differentiated: bool) -> tuple[Tensor, ...]:
    """y, the last cell; hidden: y, the cells (the last, where oneDNN keeps the others in its workspace), the gates or
    that workspace."""
    refuse_complex(x)
    fast = _by_onednn(differentiated, x, h0, c0, input_weights, recurrent_weights, bias)
    if fast is not None:
        y, cell, workspace = fast
        return y, cell, y, cell, workspace
    gates = torch._C._nn.linear(x, input_weights, bias)
    n, weights = h0.shape[-1], recurrent_weights.t()
    y, cells = (x.new_empty((*x.shape[:2], n)) for _ in range(2))
    h, c = h0, c0
    steps = [a.unbind() for a in (y, cells, gates, gates[..., :2 * n], *gates.chunk(4, -1))]
    for out, cell, z, both, i, f, g, o in zip(*steps, strict=True):
        z.addmm_(h, weights)
        both.sigmoid_()
        c = torch.mul(f, c, out=cell).addcmul_(i, g.tanh_())
        h = torch.mul(o.sigmoid_(), c.tanh(), out=out)
    return y, cells[-1].clone(), y, cells, gates


def _by_onednn(differentiated: bool, x: Tensor, h0: Tensor, c0: Tensor, *weights: Tensor) -> Any:
    """y, the last cell and what the pull needs, by the kernel that torch.lstm has for single precision on a CPU; None
    where it has none."""
    if (x.dtype is not torch.float32 or x.device.type != "cpu" or not x.numel() or not h0.numel()
        or not torch.backends.mkldnn.is_available()):
        return None
    x, h0, c0, *parameters = (a.contiguous() for a in (x, h0, c0, *weights))  # the kernel does not read strides
    y, _, cell, workspace = under(  # without gradients it keeps nothing for the pull
        [torch.enable_grad()], aten.mkldnn_rnn_layer, x, *parameters, torch.zeros_like(parameters[-1]), h0.unsqueeze(0),
        c0.unsqueeze(0), False, [], LSTM_MODE, h0.shape[-1], 1, True, False, False, differentiated)
    return None if workspace is None and differentiated else (y, cell.squeeze(0), workspace)


# ----- its derivative -----


def _linearized(x: Any, h0: Any, c0: Any, input_weights: Any, recurrent_weights: Any, bias: Any,
                states: Any) -> tuple[Any, Any, Any, Any]:
    """The state before each time step, the forget gate, the slopes of the cell and the state in z, and that of the
    state in the cell."""
    previous = before(h0, states)
    z = matmul(x, matrix_transpose(input_weights)) + matmul(previous, matrix_transpose(recurrent_weights)) + bias
    i, f, g, o = parts(z, 4)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    written, cells = i * g, [as_step(c0, ())]
    for t in range(x.shape[0]):
        cells.append(at(f, t) * cells[-1] + at(written, t))
    old, tc = concat(cells[:-1], axis=-3), tanh(concat(cells[1:], axis=-3))
    slope = concat([written * (1 - i), old * f * (1 - f), i * (1 - g * g), tc * o * (1 - o)], axis=-1)
    return previous, f, slope, o * (1 - tc * tc)


def _lstm_push(x_dot: Any, h0_dot: Any, c0_dot: Any, input_weights_dot: Any, recurrent_weights_dot: Any,
               bias_dot: Any, x: Any, h0: Any, c0: Any,
               input_weights: Any, recurrent_weights: Any, bias: Any, states: Any, lead: Any) -> Any:
    previous, f, slope, through = _linearized(x, h0, c0, input_weights, recurrent_weights, bias, states)
    weights = matrix_transpose(recurrent_weights)
    direct = total(None if x_dot is None else matmul(x_dot, matrix_transpose(input_weights)),
                   through_weights(x, input_weights_dot, lead),
                   through_weights(previous, recurrent_weights_dot, lead), through_bias(bias_dot, x, lead))
    h_dot, c_dot, h_dots = as_step(h0_dot, lead), as_step(c0_dot, lead), []
    for t in range(x.shape[0]):
        z_dot = total(at(direct, t), None if h_dot is None else matmul(h_dot, weights))
        i, f_, g, o = [None] * 4 if z_dot is None else parts(z_dot * at(slope, t), 4)
        c_dot = total(None if c_dot is None else c_dot * at(f, t), i, f_, g)
        h_dot = total(o, c_dot * at(through, t))
        h_dots.append(h_dot)
    return concat(h_dots, axis=-3), as_state(c_dot)


def _lstm_pull(y_bar: Any, x: Any, h0: Any, c0: Any, input_weights: Any, recurrent_weights: Any,
               bias: Any, states: Any, lead: Any,
               wanted: Any) -> Any:
    previous, f, slope, through = _linearized(x, h0, c0, input_weights, recurrent_weights, bias, states)
    h_bars, c_bar = y_bar[0], as_step(y_bar[1], lead)
    z_bar, z_bars = None, []
    for t in reversed(range(x.shape[0])):
        h_bar = total(at(h_bars, t), None if z_bar is None else matmul(z_bar, recurrent_weights))
        if h_bar is None:
            h_bar = c_bar * 0
        c_bar = total(c_bar, h_bar * at(through, t))
        z_bar = concat([c_bar, c_bar, c_bar, h_bar], axis=-1) * at(slope, t)
        c_bar = c_bar * at(f, t)
        z_bars.append(z_bar)
    all_bars = concat(z_bars[::-1], axis=-3)
    return (matmul(all_bars, input_weights) if wanted[0] else None, as_state(matmul(z_bar, recurrent_weights))
            if wanted[1] else None,
            as_state(c_bar) if wanted[2] else None, weights_bar(all_bars, x) if wanted[3] else None,
            weights_bar(all_bars, previous) if wanted[4] else None, sum(all_bars, axis=(-3, -2)) if wanted[5] else None)


def _lstm_fused(y_bar: Any, x: Tensor, h0: Tensor, c0: Tensor, input_weights: Tensor, recurrent_weights: Tensor,
                bias: Tensor, states: Tensor,
                cells: Tensor, workspace: Tensor) -> Any:
    h_bars, c_bar = y_bar
    if workspace.dtype is torch.uint8:
        x, h0, c0, input_weights, recurrent_weights, bias, states = (
            a.contiguous() for a in (x, h0, c0, input_weights, recurrent_weights, bias, states))
        h_bars, c_bar = (a if a is None else a.contiguous() for a in y_bar)
        zero = torch.zeros_like(h0)
        bars = aten.mkldnn_rnn_layer_backward(
            x, input_weights, recurrent_weights, bias, torch.zeros_like(bias), h0.unsqueeze(0), c0.unsqueeze(0), states,
            states[-1:], cells.unsqueeze(0), torch.zeros_like(states) if h_bars is None else h_bars, zero.unsqueeze(0),
            (zero if c_bar is None else c_bar).unsqueeze(0), False, LSTM_MODE, h0.shape[-1],
            1, True, True, False, [], False, workspace)
        return bars[0], bars[5].squeeze(0), bars[6].squeeze(0), bars[1], bars[2], bars[3]
    n = h0.shape[-1]
    i, f, g, o = workspace.chunk(4, -1)
    tc, z_bars = cells.tanh(), torch.empty_like(workspace)
    for slope, (gate, factor) in zip(z_bars.chunk(4, -1), ((i, g), (f, previous_raw(c0, cells)), (g, i), (o, tc)),
                                     strict=True):
        slope.copy_(aten.tanh_backward(factor, gate) if gate is g else aten.sigmoid_backward(factor, gate))
    through = aten.tanh_backward(o, tc)
    z_bar: Any = None
    c_bar = torch.zeros_like(c0) if c_bar is None else c_bar
    for t in reversed(range(len(x))):
        h_bar = torch.zeros_like(h0) if h_bars is None else h_bars[t]
        if z_bar is not None:
            h_bar = torch.addmm(h_bar, z_bar, recurrent_weights)
        c_bar = torch.addcmul(c_bar, h_bar, through[t])
        z_bar = z_bars[t]
        z_bar[:, :3 * n].unflatten(1, (3, n)).mul_(c_bar.unsqueeze(1))
        z_bar[:, 3 * n:].mul_(h_bar)
        c_bar = c_bar * f[t]
    flat = z_bars.flatten(0, 1)
    return (torch.matmul(z_bars, input_weights), torch.mm(z_bar, recurrent_weights), c_bar,
            flat.t() @ x.reshape(-1, x.shape[-1]),
            flat.t() @ previous_raw(h0, states).flatten(0, 1), flat.sum(0))


class _Lstm(General):
    """Two outputs, y and the last cell. Where a walk is recorded, its rules read y as the traced output that it is."""

    def _with_output(self, v: list[Any], node: Any) -> list[Any]:
        k = len(self.inputs) + 1
        return [*v[:k], item((v[k]._value,), node, 0, None), *v[k + 1:]] if type(v[k]) is dlarray else v

    def pull(self, v: list[Any], params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        if self.fused_pull is not None and not lead and type(y_bar[0] if y_bar[0] is not None else y_bar[1]) is Tensor:
            return self.fused_pull.call(v, params, node, y_bar, lead, wanted)
        return self.pull_rule.call(self._with_output(v, node), params, node, y_bar, lead, wanted)

    def push(self, v: list[Any], params: Any, node: Any, dots: Any, lead: Any) -> Any:
        return super().push(self._with_output(v, node), params, node, dots, lead)


lstm_steps = _Lstm("lstm", _lstm_kernel, ("x", "h0", "c0", "input_weights", "recurrent_weights", "bias"),
                   _lstm_push, _lstm_pull,
                   fused_pull=_lstm_fused, hidden=("states", "cells", "workspace"), outputs=2, matlab="lstm",
                   real_only="gates are real",
                   samples=[((t, b, c), (b, n), (b, n), (4 * n, c), (4 * n, n), (4 * n,), {"differentiated": True})
                            for t, b, c, n in ((3, 2, 3, 2), (1, 1, 2, 1), (2, 0, 1, 1))],
                   opaque=True)  # the kernel writes in place
