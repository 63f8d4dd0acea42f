"""torch's default device plays no part: arrays are made where their operands are, or on the CPU, and nothing that is kept depends on it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import run_forked
from torch.utils._device import _device_constructors

import gradloom as gl

SOURCE = Path(gl.__file__).parent


def constructors_without_device(source):
    """Lines that make a tensor wherever torch's default happens to be."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and not any(k.arg in ("device", None) for k in node.keywords):
            parts, at = [], node.func
            while isinstance(at, ast.Attribute):
                parts.append(at.attr)
                at = at.value
            made = torch if isinstance(at, ast.Name) and at.id == "torch" else None
            for part in reversed(parts):
                made = getattr(made, part, None)
            if made in _device_constructors():
                found.append(node.lineno)
    return found


def test_every_tensor_is_made_on_a_device_that_is_said():
    assert [f"{f.relative_to(SOURCE)}:{n}" for f in sorted(SOURCE.rglob("*.py")) for n in constructors_without_device(f.read_text())] == []


@pytest.mark.parametrize(("text", "found"), [
    ("torch.zeros(2)", [1]), ("x = torch.fft.fftfreq(3)", [1]), ("torch.as_tensor(\n x)", [1]), ("torch.zeros(2, device=x.device)", []),
    ("torch.full((), 1, **made)", []), ("torch.zeros_like(x)", []), ("x.new_zeros(2)", []),
])
def test_the_search_finds_them(text, found):
    assert constructors_without_device(text) == found


BROAD = '''
import sys
import numpy as np
import torch
from numpy.testing import assert_allclose

where = sys.argv[1]
if where == "import":  # already while gradloom is imported
    torch.set_default_device("meta")
import gradloom as gl
from gradloom.machine import caches

rng = np.random.default_rng(0)
IMAGE, SIGNAL, MATRIX = rng.standard_normal((2, 3, 6, 6)), rng.standard_normal((4, 5)), rng.standard_normal((3, 3)) + 4 * np.eye(3)
W = rng.standard_normal((4, 3, 3, 3))


def conv(x, w):
    y = gl.relu(gl.dlconv(x, w, padding="same", data_format="BCSS"))
    y = gl.maxpool(y, 2, stride=2, data_format="BCSS")
    y = gl.batchnorm(y, gl.zeros(4, like=y), gl.ones(4, like=y), data_format="BCSS")[0]
    return gl.sum(gl.avgpool(y, 2, data_format="BCSS") ** 2) / 7.25


FUNCTIONS = {
    "numbers": lambda x: gl.sum(x * 1.7 + 2.3 / (x * x + 3.1) - 0.3 ** gl.abs(x)),
    "selection": lambda x: gl.sum(gl.where(x > 0.1, x, -0.2 * x)) + gl.max(x) + gl.sum(gl.max(x, axis=0)) + gl.sum(x[[2, 0, 0], [1, 1, 4]] ** 2),
    "sorted": lambda x: gl.sum(gl.sort(x, axis=1)[:, 1] ** 2) + gl.median(x) + gl.sum(gl.topk(x, 2)[0]) + gl.quantile(x, 0.3),
    "positions": lambda x: gl.sum(gl.take(x, [1, 3], axis=1) ** 3) + gl.sum(gl.take_along_axis(x, np.array([[0], [2], [1], [4]]), axis=1)),
    "moves": lambda x: gl.sum(gl.roll(x, 2) * gl.flip(x, axis=0) * gl.tile(x, (1, 1))) + gl.sum(gl.pad(x, ((1, 1), (0, 2)), mode="reflect") ** 2),
    "scans": lambda x: gl.sum(gl.cumsum(x, axis=1) ** 2) + gl.sum(gl.cummax(x, axis=0)) + gl.sum(gl.cumprod(x, axis=1)) + gl.trapz(gl.sum(x, axis=0)),
    "special": lambda x: gl.sum(gl.gamma(gl.abs(x) + 1) + gl.erfcx(x) + gl.softplus(x) + gl.gelu(x) + gl.silu(x)) + gl.logsumexp(x) + gl.norm(x),
    "transforms": lambda x: gl.sum(gl.abs(gl.rfft(x)) ** 2) + gl.sum(gl.real(gl.ifft(gl.fft(x)))) + gl.sum(gl.rfftfreq(5) * gl.abs(gl.rfft(x))[0, 0]),
    "softmax": lambda x: gl.sum(gl.softmax(x, axis=1) ** 2) + gl.crossentropy(gl.softmax(gl.dlarray(x, "BC")), gl.softmax(gl.dlarray(x * 2.0, "BC"))),
    "interpolated": lambda x: gl.sum(gl.interp1(np.arange(5.0), x[0], np.array([0.5, 2.25]), "spline")),
    "triangles": lambda x: gl.sum(gl.tril(x) ** 2) + gl.sum(gl.kron(x, x)) + gl.sum(gl.einsum("ij,kj->ik", x, x) ** 2),
    "writes": lambda x: written(x),
}


def written(x):
    y = gl.zeros_like(x)
    y[1:3, ::2] = x[1:3, ::2] ** 2
    y[0] = gl.sin(x[1])
    y[[3, 3], [0, 1]] = 2.5
    return gl.sum(y * y * 1.1)


def everything():
    found = {}
    for name, f in FUNCTIONS.items():
        found[name] = gl.value_and_gradient(f)(SIGNAL)
        found[name + ", Hessian"] = gl.hessian(f)(SIGNAL)
        found[name + ", Jacobian"] = gl.dlfeval(lambda x: gl.dljacobian(f(gl.tanh(x * 1.3)), x), gl.dlarray(SIGNAL)).dense()
        found[name + ", Laplacian"] = gl.dlfeval(lambda x: gl.dllaplacian(f(x), x, (0, 1)), gl.dlarray(SIGNAL))
    found["matrices"] = gl.value_and_gradient(lambda a: gl.det(a) + gl.sum(gl.inv(a)) + gl.sum(gl.expm(a / 9)) + gl.sum(gl.linalg.svdvals(a)))(MATRIX)
    found["conv"] = gl.dlfeval(lambda x, w: (conv(x, w), *gl.dlgradient(conv(x, w), x, w)), gl.dlarray(IMAGE), gl.dlarray(W))
    found["conv, Jacobian"] = gl.dlfeval(lambda x, w: gl.dljacobian(gl.relu(gl.dlconv(x, w, data_format="BCSS")), w), gl.dlarray(IMAGE), gl.dlarray(W)).dense()
    found["divergence"] = gl.dlfeval(lambda x: gl.dldivergence(gl.sin(x) * x * 1.9, x, "C"), gl.dlarray(SIGNAL, "BC"))
    found["sparse"] = gl.sparse_jacobian(lambda x: gl.roll(x, 1) * gl.sin(x) * 0.7, check=True)(SIGNAL[0]).toarray()
    found["sparse Hessian"] = gl.sparse_hessian(lambda x: gl.sum(gl.norm(gl.reshape(x, (5, 4)), axis=1)), check=True)(SIGNAL.reshape(-1)).toarray()
    net = gl.dlnetwork([gl.layers.FeatureInput(5), gl.layers.FullyConnected(3), gl.layers.ReLU(), gl.layers.FullyConnected(2), gl.layers.Softmax()])
    same = net.replace(learnables={k: gl.dlarray(np.cos(np.arange(v.size)).reshape(v.shape), dtype=v.dtype) for k, v in net.learnables.items()})
    loss = lambda n, x: gl.crossentropy(n.predict(x), gl.softmax(gl.dlarray(SIGNAL[:, :2], "BC")))
    found["network"] = gl.dlfeval(lambda n, x: tuple(gl.dlgradient(loss(n, x), n.learnables).values()), same, gl.dlarray(SIGNAL, "BC"))
    found["ode"] = gl.dlode45(lambda t, y, p: -p * y * 0.9, [0, 1], gl.dlarray([[1.0], [2.0]], "CB"), gl.dlarray(1.5))
    gl.rng(3)
    found["random"] = [gl.rand(3), gl.randn((2, 2)), gl.permutation(5), gl.randint(0, 9, 4)]
    found["made"] = [gl.zeros(2), gl.arange(3), gl.linspace(0, 1, 4), gl.eye(2), gl.full(2, 0.5), gl.dlarray([1.0, 2.0]), gl.dlarray(3.5)]
    return found


def compared(a, b, name):
    if isinstance(a, (list, tuple)):
        assert len(a) == len(b), name
        for p, q in zip(a, b):
            compared(p, q, name)
    else:
        assert str(getattr(a, "device", "cpu")) == "cpu", name
        assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-14, err_msg=name)


firsts = []
if where == "later":
    with torch.device("meta"):
        firsts.append(everything())
    caches.clear()
torch.set_default_device("meta")
firsts.append(everything())
torch.set_default_device(None)
second = everything()
for first in firsts:
    assert first.keys() == second.keys()
    for name in first:
        compared(first[name], second[name], name)
'''


@pytest.mark.parametrize("where", ["import", "later"])
def test_the_same_numbers_under_another_default_device(where, tmp_path):
    """In a process of its own: what is kept from the first use must serve afterwards. Later is in a `with`, and set."""
    if where == "later":
        code, said = run_forked(BROAD, where)
        assert code == 0, said
        return
    program = tmp_path / "broad.py"
    program.write_text(BROAD)
    subprocess.run([sys.executable, program, where], check=True, env=os.environ | {"PYTHONPATH": str(SOURCE.parent)})
