"""Every operation: value, gradient and gradient of the gradient, recorded at some values and replayed at others."""

from __future__ import annotations

import operation_cases
import pytest
import torch
from helpers import seeded

import gradloom as gl
from gradloom import dlarray
from gradloom.core.operation import OPERATIONS

WITHOUT = ("item", "variable", "identity", "ode", "layer", "unrecorded derivative", "recorded derivative")
TABLE = {n: o for n, o in OPERATIONS.items() if o.kind in ("elementwise", "multilinear", "general") and n not in WITHOUT}
# Operations that ask their arrays for numbers, and why; each stays plain.
PLAIN: dict[str, str] = {}


def differentiated(case, order):
    """A scalar of an operation's results with its gradient, and the gradient of that one's squares."""

    def inside(*xs):
        handles = list(case.inputs)
        for k, x in zip(case.variables, xs, strict=True):
            handles[k] = x
        total = 0.0
        for y in operation_cases.outputs_of(case, case.operation.apply(handles, case.params)):
            y = gl.real(y) if y._value.is_complex() else y
            weights = torch.arange(y._value.numel(), dtype=torch.float64).cos().reshape(y._value.shape)
            total = total + gl.sum(y * dlarray._made(weights, None))
        first = gl.dlgradient(total, *xs, enable_higher_derivatives=order == 2)
        firsts = first if type(first) is tuple else (first,)
        if order == 1:
            return (total, *firsts)
        squares = sum([gl.sum(gl.real(g * gl.conj(g))) for g in firsts], 0.0)
        second = gl.dlgradient(squares, *xs)
        return (total, *firsts, *(second if type(second) is tuple else (second,)))

    return inside


def places(case, key):
    """The case's values, and three more near them."""
    drawn = seeded(*key)
    values = case.values()
    yield values
    for _ in range(3):
        yield [v * 0.97 + 0.01 * torch.rand(v.shape, generator=drawn, dtype=v.dtype) * v for v in values]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", TABLE)
def test_every_operation_is_replayed_as_it_is(name, order):
    operation = TABLE[name]
    found = [c for c in operation_cases.cases(operation) if c.variables]
    replayed = 0
    for case in found[:3]:
        fun = differentiated(case, order)
        fast = gl.dlaccelerate(fun, executor="scalars")  # else four calls have loops compiled that none of them runs
        for values in places(case, (name, str(case))):
            try:
                expected = gl.dlfeval(fun, *[dlarray._made(v, None) for v in values])
            except gl.GradloomError:
                break  # outside of its domain, or without a second derivative
            got = gl.dlfeval(fast, *[dlarray._made(v, None) for v in values])
            for a, b in zip(got, expected, strict=True):
                assert a._value.dtype is b._value.dtype and a._labels == b._labels
                assert torch.allclose(a._value, b._value, rtol=1e-11, atol=1e-12, equal_nan=True), (case, fast.explain())
        else:
            assert "please report" not in fast.explain(), (case, fast.explain())
            replayed += fast.hit_rate > 0
            if not fast.hit_rate:
                print(name, case, fast.explain())
    if found:
        assert replayed or name in PLAIN
