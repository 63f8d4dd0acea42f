"""Shapes and types of operations on arrays without data, against torch's own; and what they spare a process."""

import itertools

import pytest
import torch
from processes import run_forked

from gradloom.machine.shapes import Shapes

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TYPES = (*FLOATS, torch.complex64, torch.complex128, torch.int64, torch.bool)


def empty(*shape, dtype=torch.float64):
    return torch.empty(shape, dtype=dtype, device="meta")


def told(result):
    return tuple(result.shape), result.dtype, result.device.type


def alike(call):
    """The answer under the mode, which is torch's."""
    expected = told(call())
    with Shapes():
        assert told(call()) == expected


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("a, b", [*itertools.product(TYPES, TYPES)])
def test_types_of_two_operands(a, b):
    for first, second in itertools.product((empty(3, 1, dtype=a), empty(dtype=a)), (empty(4, dtype=b), empty(dtype=b))):
        alike(lambda f=first, s=second: f * s)
        alike(lambda f=first, s=second: torch.where(empty(2, 1, 1, dtype=torch.bool), f, s))
        alike(lambda f=first, s=second: f == s)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", TYPES)
def test_types_with_numbers_and_of_functions(dtype):
    x = empty(2, 3, dtype=dtype)
    for number in (2, 2.0, 2j):
        for way in (torch.mul, torch.add):
            if dtype is not torch.float16 or number != 2j:
                alike(lambda w=way, n=number: w(x, n))
    for function in (torch.exp, torch.sin, torch.abs, torch.square):
        if not (dtype is torch.bool and function is torch.abs):
            alike(lambda f=function: f(x))
    for keep, dim in itertools.product((False, True), (0, -1, (0, 1))):
        alike(lambda k=keep, d=dim: x.sum(d, keepdim=k))
        if dtype in FLOATS:
            alike(lambda k=keep, d=dim: x.mean(d, keepdim=k))
            alike(lambda k=keep, d=dim: x.amax(d, keepdim=k))
            alike(lambda k=keep, d=dim: x.logsumexp(d, keepdim=k))
    alike(lambda: x.sum())
    alike(lambda: x.sum(0, dtype=torch.complex128))
    alike(lambda: x.cumsum(1))


@pytest.mark.parametrize("call", [
    lambda x: x @ x.mT, lambda x: x @ empty(4), lambda x: torch.bmm(empty(5, 3, 4), empty(5, 4, 2)),
    lambda x: torch.einsum("ij,kj->ik", x, x), lambda x: torch.tensordot(x, x.mT, 1), lambda x: torch.outer(x[0], x[1]),
    lambda x: torch.cat([x, x[:1]]), lambda x: torch.cat([x, x], -1), lambda x: x.flip(0), lambda x: x.roll(1, 0),
    lambda x: x.tril(), lambda x: x.softmax(0), lambda x: x.log_softmax(1), lambda x: x.mul_(x[0]),
    lambda x: torch.mul(x, 2, out=x), lambda x: torch.mul(x, x[0], out=x.new_empty(0)),
    lambda x: torch.ops.aten.softplus_backward(x, x, 1, 20), lambda x: torch.any(x > 0, 0), lambda x: x[None] + x,
    lambda x: torch.ops.aten.threshold_backward.grad_input(x, x, 0, grad_input=torch.empty_like(x)), lambda x: x.max(),
    lambda x: torch.ops.aten.elu_backward(x, 1.0, 1.0, 1.0, False, x), lambda x: x.mT.reshape(2, 6), lambda x: x.prod(0),
    lambda x: x.index_select(0, torch.tensor([0, 0])), lambda x: x.var(0), lambda x: torch.zeros_like(x, dtype=torch.int64),
    lambda x: torch.linalg.vector_norm(x, dim=1),
])
def test_shapes(call):
    alike(lambda: call(empty(3, 4)))


def test_what_does_not_fit_is_refused():
    for call in (lambda: empty(3) * empty(4), lambda: empty(2, 3) @ empty(2, 3), lambda: torch.cat([empty(2), empty(2, 2)])):
        with Shapes(), pytest.raises((RuntimeError, ValueError)):
            call()


def test_arrays_with_data_are_left_to_torch():
    x = torch.tensor([1.0, 2.0])
    with Shapes():
        assert (x * x).tolist() == [1.0, 4.0]
        assert x.sum().item() == 3.0


FIRST_USES = """
import sys
import gradloom as gl

def laplacian(after):
    w, v = gl.ones((2, 5)), gl.ones((5, 1))
    gl.dlfeval(lambda x: gl.dllaplacian(after(x @ w) @ v, x, 1), gl.dlarray([[1.0, 2.0], [3.0, 5.0]], dtype="float32"))

def jacobian():
    weights = [gl.ones((5, 5)) for _ in range(8)]
    def fun(weights, x):
        for w in weights:
            x = gl.tanh(x @ w)
        return gl.dljacobian(gl.sum(x ** 2, axis=1), weights)
    gl.dlfeval(fun, weights, gl.ones((4, 5)))

def convolution():
    def fun(w, x):
        g = gl.dlgradient(gl.sum(gl.dlconv(x, w, data_format="BCS") ** 2), w, enable_higher_derivatives=True)
        return gl.dljacobian(gl.reshape(g, (-1,)), w, 0)
    gl.dlfeval(fun, gl.ones((2, 3, 2)), gl.ones((4, 3, 5)))

uses = {"tanh": lambda: laplacian(gl.tanh), "relu": lambda: laplacian(lambda h: gl.relu(h) ** 2), "softplus": lambda: laplacian(gl.softplus),
        "softmax": lambda: laplacian(lambda h: gl.softmax(h, axis=1)), "elu": lambda: laplacian(gl.elu), "structured Jacobian": jacobian,
        "convolution": convolution, "largest": lambda: gl.hessian(lambda x: gl.sum(gl.max(x, axis=1) ** 2))(gl.ones((2, 3))),
        "exponential of a matrix": lambda: gl.jacobian(gl.expm)(gl.ones((2, 2)))}

for name, use in uses.items():
    use()
    print(name, *(module for module in ("torch._dynamo", "sympy") if module in sys.modules), sep=",")
"""


def test_first_uses_import_no_compiler():
    """Derivatives of every order through several functions, in a process of their own; the first line with a module is the guilty one."""
    code, said = run_forked(FIRST_USES)
    assert code == 0, said
    assert said.split("\n") == ["tanh", "relu", "softplus", "softmax", "elu", "structured Jacobian", "convolution", "largest",
                                       "exponential of a matrix", ""]
