"""Packed sequences inside torch modules: values, gradients, second derivatives and Jacobians as torch has them."""

import pytest
import torch
from helpers import seed_torch
from torch import nn
from torch.nn.utils import rnn

import gradloom as gl
from gradloom.interop.torch import from_torch

double = torch.float64


class Packed(nn.Module):
    """A recurrent layer on sequences of several lengths, padded again."""

    def __init__(self, layer, lengths, sorted_=False, total=None, states=0):
        super().__init__()
        self.layer, self.lengths, self.sorted, self.total, self.states = layer, lengths, sorted_, total, states

    def forward(self, x):
        packed = rnn.pack_padded_sequence(x, self.lengths, batch_first=True, enforce_sorted=self.sorted)
        start = [torch.tanh(x.sum((1, 2)))[None, :, None] * torch.ones(4, dtype=double) for _ in range(self.states)]
        y, end = self.layer(packed, *([start[0] if self.states == 1 else tuple(start)] if start else []))
        y, _ = rnn.pad_packed_sequence(y, batch_first=True, padding_value=-1.0, total_length=self.total)
        return y, *(end if isinstance(end, tuple) else (end,))


class Listed(nn.Module):
    """Sequences in a list, which come back as one."""

    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(3, 4)

    def forward(self, x):
        y, _ = self.layer(rnn.pack_sequence([x[0], x[1, :3], x[2, :1]]))
        return (*rnn.unpack_sequence(y), y.data.sum())


MODULES = {
    **{f"{kind.__name__} {words}": lambda kind=kind, options=options: Packed(kind(3, 4, batch_first=True, **options), [2, 5, 5, 1])
       for kind in (nn.RNN, nn.LSTM, nn.GRU)
       for words, options in (("plain", {}), ("two layers both ways", {"num_layers": 2, "bidirectional": True}), ("without biases", {"bias": False, "num_layers": 2, "dropout": 0.3}))},
    "RNN relu": lambda: Packed(nn.RNN(3, 4, batch_first=True, nonlinearity="relu"), torch.tensor([5, 3, 3, 2]), True, 7),
    "LSTM projected": lambda: Packed(nn.LSTM(3, 4, batch_first=True, proj_size=2, bidirectional=True), [5, 3, 2, 2]),
    "LSTM from a state": lambda: Packed(nn.LSTM(3, 4, batch_first=True), [3, 5, 1, 2], states=2),
    "GRU from a state": lambda: Packed(nn.GRU(3, 4, batch_first=True), [5, 5, 5, 5], states=1),
    "in a list": Listed,
}


def leaves(found):
    return [part for part in found if part is not None]


@pytest.mark.parametrize("name", MODULES)
def test_packed_sequences_are_torchs(name):
    seed_torch(0)
    module = MODULES[name]().double().eval()
    x = torch.randn(4, 5, 3, dtype=double, requires_grad=True)
    theirs = leaves(module(x))
    weights = [torch.randn_like(y) for y in theirs]
    variables = [*module.parameters(), x]
    gradients = torch.autograd.grad(sum((y * w).sum() for y, w in zip(theirs, weights, strict=True)), variables, create_graph=True)
    bent = torch.autograd.grad(sum((g ** 2).sum() for g in gradients), variables, retain_graph=True)
    rows = [torch.autograd.grad(y, list(module.parameters()), retain_graph=True, allow_unused=True) for y in theirs[0].flatten()[:2]]
    net, at = from_torch(module), gl.dlarray(x.detach())

    for _ in range(2):  # the second call equals the first
        for own, y in zip(leaves(net(at)), theirs, strict=True):
            torch.testing.assert_close(own._value, y.detach())

    def walked(net, x):
        loss = sum(gl.sum(y * w) for y, w in zip(leaves(net(x)), weights, strict=True))
        first = gl.dlgradient(loss, (net.learnables, x), enable_higher_derivatives=True)
        second = gl.dlgradient(sum(gl.sum(g ** 2) for g in (*first[0].values(), first[1])), (net.learnables, x))
        return (*first[0].values(), first[1]), (*second[0].values(), second[1]), gl.dljacobian(gl.reshape(net(x)[0], (-1,))[:2], net.learnables).matrix()

    first, second, matrix = gl.dlfeval(walked, net, at)
    for own, expected in zip((*first, *second), (*gradients, *bent), strict=True):
        torch.testing.assert_close(own._value, expected.detach())
    torch.testing.assert_close(matrix._value, torch.stack([torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten() for g, p in zip(
        row, module.parameters(), strict=True)]) for row in rows]))


def test_dropout_between_layers_is_drawn_from_our_generator():
    net, x = from_torch(Packed(nn.LSTM(3, 4, 2, batch_first=True, dropout=0.5), [3, 5]).double()), gl.ones((2, 5, 3))
    gl.rng(0)
    first = net.forward(x)[0]
    gl.rng(0)
    assert bool(gl.all(first == net.forward(x)[0])) and not bool(gl.all(first == net.forward(x)[0]))


@pytest.mark.parametrize(("lengths", "said"), [([3, 5], "sorted in decreasing order"), ([5, 0], "greater than 0"), ([5], "batch_size")])
def test_lengths_that_do_not_fit_are_torchs_errors(lengths, said):
    net = from_torch(Packed(nn.GRU(3, 4, batch_first=True), lengths, True).double())
    with pytest.raises(RuntimeError, match=said):
        gl.dlfeval(lambda net, x: net(x), net, gl.ones((2, 5, 3)))


def test_packing_outside_of_a_module_is_refused():
    with pytest.raises(gl.TypeRefused, match=r"test_packed_sequences.py:\d+.*from_torch"):
        rnn.pack_padded_sequence(gl.ones((5, 2, 3)), [5, 2])
