"""Tensors that are no arrays of numbers in a type that there is are refused where they come in, with what to write."""

from __future__ import annotations

import re
import warnings
from functools import cache

import numpy as np
import pytest
import torch

import gradloom as gl

NUMBERS = torch.tensor([1.0, 2.0, 3.0])
STRANGE = {  # how such a tensor is made, and what to write instead
    "quantized": (lambda: torch.quantize_per_tensor(NUMBERS, 0.1, 0, torch.quint8), "x.dequantize()"),
    **{name: (lambda name=name: NUMBERS.to(getattr(torch, name)), "x.to(torch.float32)")
       for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")},
    "complex32": (lambda: NUMBERS.to(torch.complex32), "x.to(torch.complex64)"),
    **{name: (lambda name=name: NUMBERS.to(getattr(torch, name)), "x.to(torch.int64)") for name in ("uint16", "uint32", "uint64")},
    "nested": (lambda: torch.nested.nested_tensor([NUMBERS, NUMBERS[:2]], layout=torch.jagged), "x.to_padded_tensor(0.0)"),
    "meta": (lambda: torch.empty(3, device="meta"), 'torch.empty_like(x, device="cpu")'),
    "sparse_coo": (NUMBERS.to_sparse, "x.to_dense()"),
    "sparse_csr": (lambda: torch.eye(3).to_sparse_csr(), "x.to_dense()"),
}


@cache
def strange(kind):
    """The tensor of a kind, made at its first test: torch imports its compiler for nested ones."""
    with warnings.catch_warnings():  # torch's, that these are experimental or on their way out
        warnings.simplefilter("ignore")
        return STRANGE[kind][0]()


def assigned(x, t):
    x = gl.dlarray(x)
    x[:] = t
    return x


NET = gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)])
DOORS = {
    "dlarray": lambda t, x: gl.dlarray(t), "labelled": lambda t, x: gl.dlarray(t, "C"), "shared": lambda t, x: gl.dlarray(t, copy=False),
    "asarray": lambda t, x: gl.asarray(t), "operator": lambda t, x: x * t, "operator on the other side": lambda t, x: t * x,
    "function": lambda t, x: gl.maximum(x, t), "atan2": lambda t, x: gl.atan2(t, x), "comparison": lambda t, x: gl.less(x, t),
    "where": lambda t, x: gl.where(x > 1, x, t), "concat": lambda t, x: gl.concat([x, t]), "stack": lambda t, x: gl.stack([t, x]),
    "matmul": lambda t, x: gl.matmul(x, t), "vecdot": lambda t, x: gl.vecdot(x, t), "einsum": lambda t, x: gl.einsum("i,i", x, t),
    "outer": lambda t, x: gl.outer(t, x), "clip": lambda t, x: gl.clip(x, t), "assignment": lambda t, x: assigned(x, t),
    "loss": lambda t, x: gl.mse(gl.dlarray(x, "B"), t), "function of NumPy": lambda t, x: gl.value_and_gradient(lambda v: gl.sum(v))(t),
    "jacobian": lambda t, x: gl.jacobian(lambda v: v)(t), "direction": lambda t, x: gl.dlfeval(lambda v: gl.jvp(v * v, v, t), x),
    "parameters": lambda t, x: NET.replace(learnables={("fc", "bias"): t}),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_array_is_refused_at_the_door(kind, door):
    tensor, way = strange(kind), STRANGE[kind][1]
    x = gl.dlarray([1.0, 2.0, 3.0])
    for run in (lambda: DOORS[door](tensor, x), lambda: gl.dlfeval(lambda v: DOORS[door](tensor, v), x)):
        with pytest.raises(gl.TypeRefused, match=re.escape(way)) as refused:
            run()
        assert "test_doors.py" in str(refused.value), "the line"
        if kind not in ("nested", "sparse_coo", "sparse_csr", "meta"):
            assert kind in str(refused.value) or kind == "quantized", "the type"


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "complex32", "uint16", "uint64"])
def test_a_type_that_is_asked_for_is_taken(kind):
    found = gl.dlarray(strange(kind), dtype="complex64" if kind == "complex32" else "float32")
    assert found.tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.complex32, torch.uint16, torch.uint64, torch.quint8])
def test_no_array_is_made_in_such_a_type(dtype):
    x = gl.dlarray([1.0, 2.0])
    for make in (lambda: gl.dlarray([1.0], dtype=dtype), lambda: gl.zeros(2, dtype=dtype), lambda: x.astype(dtype), lambda: x.to(dtype=dtype),
                 lambda: gl.astype(x, dtype), lambda: gl.full(2, 1, dtype=dtype), lambda: gl.sum(x, dtype=dtype), lambda: gl.rand(2, dtype=dtype),
                 lambda: NET.to(dtype=dtype)):
        with pytest.raises(TypeError, match=f"no arrays of {str(dtype)[6:]}; write one of bool, uint8"):
            make()


def test_no_array_is_made_without_values():
    x = gl.dlarray([1.0, 2.0])
    for make in (lambda: gl.dlarray([1.0], device="meta"), lambda: gl.dlarray(torch.ones(2), device="meta"), lambda: gl.zeros(2, device="meta"),
                 lambda: gl.ones_like(x, device="meta"), lambda: gl.arange(3, device="meta"), lambda: gl.rand(2, device="meta")):
        with pytest.raises(gl.TypeRefused, match='no device .*meta.*write device="cpu"|"meta" holds no values; write device="cpu"'):
            make()


def test_unsigned_integers_of_numpy_become_int64():
    assert gl.dlarray(np.array([1, 2], "uint16")).dtype is torch.int64
