"""What is answered before torch takes it apart is what torch's own functions give: views and writes through them, results written in place."""

import types

import pytest
import torch
import torch.nn.functional as F
from helpers import seed_torch

import gradloom as gl
from gradloom.core.trace import ancestors
from gradloom.interop.torch import from_torch
from gradloom.interop.torch.aten import whole


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = torch.nn.Parameter(torch.linspace(-2, 3, 24, dtype=torch.float64).reshape(4, 6))

    def forward(self, x):
        return self.function(self.weight * 1.5, x)


def written_through(view):
    def run(w, x):
        view(w).mul_(x.sum())
        view(w).add_(1.0)
        return w * w

    return run


def kept_view(w, x):
    part = w.transpose(0, 1)[1:4]
    w.add_(x[:, :1])  # which the view sees
    return part * part


CASES = {
    "written view": written_through(lambda w: w.view(2, 12)),
    "written transpose": written_through(lambda w: w.transpose(0, 1)),
    "written permute": written_through(lambda w: w.permute(1, 0)[2:]),
    "written index": written_through(lambda w: w[1:3, ..., None, 2]),
    "written negative index": written_through(lambda w: w[-1]),
    "written flatten": written_through(lambda w: w.flatten()),
    "written squeeze": written_through(lambda w: w.unsqueeze(1).squeeze(1)),
    "written reshape of a copy": written_through(lambda w: w.t().reshape(24)),
    "written contiguous copy": written_through(lambda w: w.t().contiguous()),
    "a view sees writes": kept_view,
    "expanded": lambda w, x: w[:, None].expand(-1, 3, 6) * x[:, None],
    "relu_": lambda w, x: F.relu(w, inplace=True) + w,
    "positional inplace": lambda w, x: F.hardtanh(w, -1.0, 1.0, True) + w,
    "leaky positional inplace": lambda w, x: F.leaky_relu(w, 0.1, True) + w,
    "relu6 inplace": lambda w, x: F.relu6(w, True) * w,
    "add_ that broadcasts": lambda w, x: w.add_(x[:, :1]) * w,
    "axis by numpy's name": lambda w, x: w.mean(axis=1) + w.sum(axis=0).sum(),
    "addmm": lambda w, x: torch.addmm(x[:, :4], w, x.t(), beta=2, alpha=3),
    "constants": lambda w, x: torch.where(torch.arange(6) > 2, w, 0 * w) * torch.ones(6).cumsum(0),
    "padded": lambda w, x: F.pad(w, (1, 2, 0, 1)) ** 2 + F.pad(w, (1, 2, 0, 1), value=2.0) + 0 * F.pad(w, (0, 0, 0, 0)).sum(),
    "chunked": lambda w, x: torch.cat(w.chunk(4, 1), 0) + torch.stack(w.split(1)).sum(),
    "mixed types": lambda w, x: w * x.float() + torch.tensor(2),
    "under no_grad": lambda w, x: w * torch.no_grad()(lambda: w.view(24).view(4, 6) * x)(),
    "detached view": lambda w, x: w * w.detach().view(4, 6),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_torch_s(name):
    module = Module(CASES[name])
    x = torch.linspace(0.5, 1.5, 24, dtype=torch.float64).reshape(4, 6)
    expected = module(x)
    (slope,) = torch.autograd.grad((expected * torch.arange(expected.numel()).reshape(expected.shape)).sum(), [module.weight])

    def run(net, x):
        y = net(x)
        weighted = gl.sum(y * torch.arange(expected.numel()).reshape(expected.shape).double())
        return y, gl.dlgradient(weighted, net.learnables[("", "weight")])

    y, gradient = gl.dlfeval(run, from_torch(module), gl.dlarray(x))
    torch.testing.assert_close(torch.tensor(y.numpy()), expected.detach(), check_dtype=False)
    torch.testing.assert_close(torch.tensor(gradient.numpy()), slope)


def test_views_and_products_do_not_reach_the_dispatch_mode(monkeypatch):
    from gradloom.interop.torch.aten.mode import Functional

    seen = []
    answered = Functional.answered
    monkeypatch.setattr(Functional, "answered", lambda self, func, args, kwargs: seen.append(str(func)) or answered(self, func, args, kwargs))
    module = Module(lambda w, x: F.relu(w.view(24).reshape(4, 6).transpose(0, 1)[1:] @ w + 1.0).softmax(-1))
    gl.dlfeval(lambda net, x: net(x), from_torch(module), gl.dlarray(torch.ones(4, 6, dtype=torch.float64)))
    assert not [f for f in seen if not f.startswith(("aten.mm", "aten.matmul"))]


def test_attention_records_its_projections_as_dense_layers():
    """torch's function is Python of other functions, which are answered one by one."""
    seed_torch(0)
    net = from_torch(torch.nn.MultiheadAttention(8, 2, kdim=6, vdim=6).double())
    x, y = (gl.dlarray(torch.randn(3, 2, n, dtype=torch.float64)) for n in (8, 6))

    def run(net, x, y):
        found, _ = net(x, y, y)
        return [node.operation.name for node in ancestors([found._node], 0)]

    names = gl.dlfeval(run, net, x, y)
    assert names.count("linear") == 4 and names.count("matmul") == 2


def test_names_that_are_answered_are_there():
    from gradloom.interop.torch.table import FUNCTIONS

    assert all(hasattr(F, name) and type(getattr(F, name)) is types.FunctionType for name in whole.WRITTEN_OUT)
    assert [name for name in whole.ALIKE if name not in FUNCTIONS] == []
    assert [name for name in whole.INTO.values() if name not in FUNCTIONS] == []
