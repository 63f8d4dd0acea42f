"""That something was selected changes no derivative where everything is finite: every operation, of real and of complex arrays."""

import pytest
import torch
from helpers import seeded, uniform
from operation_cases import cases, complex_cases, outputs_of
from operation_table import CHECKED

import gradloom as gl
from gradloom import dlarray
from gradloom.blocks.block import identity
from gradloom.blocks.dense import dense
from gradloom.derivatives.walks.pull import pull

OF_REAL_ARRAYS = ("crossentropy", "ctc")  # of complex ones their recorded walk is refused


def derivatives(case, marked):
    """The gradient of a weighted sum, raw and recorded, and a push, of a case; of its variables, some behind an indexing."""
    values = case.values()

    def run(*xs):
        if marked:
            gl.where(dlarray([True]), gl.sum(gl.real(xs[0])), 0.0)
        given = iter(xs)
        at = case.variables
        ys = outputs_of(case, case.operation.apply([next(given) if k in at else x for k, x in enumerate(case.inputs)], case.params))
        weights = [dlarray(uniform(y.shape, y.dtype, seeded("w", k))) for k, y in enumerate(ys)]
        total = sum(gl.sum(gl.real(gl.conj(w) * y)) for w, y in zip(weights, ys, strict=True))
        directions = [dlarray(uniform(x.shape, x.dtype, seeded("v", k))) for k, x in enumerate(xs)]
        raw = gl.dlgradient(total, list(xs), retain_data=True)
        recorded = gl.dlgradient(total, list(xs), enable_higher_derivatives=True)
        return [g._value for g in (*raw, *recorded, gl.jvp(total, list(xs), directions))]

    return gl.dlfeval(run, *map(dlarray, values))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in CHECKED for k in ("real", "complex") if k == "real" or n not in OF_REAL_ARRAYS])
def test_a_mark_changes_nothing_where_all_is_finite(name, kind):
    operation = CHECKED[name]
    checked = 0
    for case in (cases if kind == "real" else complex_cases)(operation)[:6]:
        if not case.values() or not outputs_of(case, operation.run(case.inputs, case.params)[0]):
            continue
        plain, marked = derivatives(case, False), derivatives(case, True)
        if not all(torch.isfinite(x).all() for x in plain):
            continue
        for a, b in zip(plain, marked, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=lambda m, case=case: f"{case}: {m}")
        checked += 1
    assert checked or kind == "complex", f"{name}: nothing was checked"


@pytest.mark.parametrize("zeros", [True, False])
def test_a_structured_walk_backwards_takes_0_times_infinity_as_0(zeros):
    """What was not selected is walked through once more only where something is not finite."""
    x, w = torch.tensor([[0.0, 1.0, 4.0], [2.0, 0.0, 3.0]]).double() + (not zeros), dlarray([[1.0, -2.0, 0.5]])

    def run(x):
        u = gl.sum(gl.where(x > 0, gl.sqrt(x), 0.0) * w, axis=-1)
        (bar,) = pull({u._node: identity(u.shape, u.dtype, "cpu")}, [x._node], values_of=lambda node: node.values)
        assert x._node.trace.guarded
        return dense(bar)

    expected = torch.zeros(2, 3, 2).double()  # the Block is of x by u
    for k in range(2):
        expected[k, :, k] = torch.where(x[k] > 0, w._value[0] / (2 * x[k].sqrt()), 0.0)
    torch.testing.assert_close(gl.dlfeval(run, dlarray(x)), expected)
