"""`partials` against gradients of gradients: every operation, every order of labels, weights of a loss."""

import itertools

import numpy as np
import pytest
import torch
from helpers import seeded, stream, uniform
from operation_cases import REAL, complex_cases, outputs_of
from operation_table import CHECKED, all_cases, each

import gradloom as gl
from gradloom import BatchDependenceWarning, ShapeError, TraceError, TypeRefused, dlarray
from gradloom.core.tables import PUBLIC
from gradloom.derivatives.curvature import jets

RNG = stream(14)
ASKED = [(0,), (1,), (0, 0), (0, 1), (1, 1), (0, 0, 1)]


def normal(*shape):
    return dlarray(RNG.standard_normal(shape))


def nested(u, x, word, take):
    """One derivative by a gradient for each letter of its word; `take(g, k)` are the entries of coordinate k."""
    for k in word:
        u = take(gl.dlgradient(gl.sum(u), x, enable_higher_derivatives=True), k)
    return u


def close(found, expected, what, tolerance=1e-10):
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * max(1.0, np.nanmax(np.abs(expected), initial=0.0)), err_msg=str(what))


# ----- every operation -----------------------------------------------------------------------------------------------------


def field(case):
    """A scalar of two coordinates: all variables of the operation move along both, and bend."""
    draws = seeded(str(case), "partials")
    values = case.values()
    ways = [[0.1 * uniform(x.shape, x.dtype, draws) for x in values] for _ in range(3)]
    weights = []

    def u(c):
        a, b = c[0], c[1]
        moved = [dlarray(x) + a * dlarray(p) + b * dlarray(q) + a * b * dlarray(r) for x, p, q, r in zip(values, *ways, strict=True)]
        total = 0.0
        for k, y in enumerate(outputs_of(case, case.operation.apply(case.at(moved).inputs, case.params))):
            if len(weights) <= k:
                weights.append(uniform(y.shape, REAL, draws))
            w = dlarray(weights[k])
            parts = (PUBLIC["real"](y), PUBLIC["imag"](y)) if y.dtype.is_complex else (y,)
            total = sum((PUBLIC["sum"](w * part) for part in parts), total)
        return total

    return u


@pytest.mark.filterwarnings("ignore")  # of derivatives that do not exist, by both ways
@each(CHECKED)
def test_every_operation_to_third_order(operation):
    compared = 0
    for case in [*all_cases(operation), *complex_cases(operation)]:
        u = field(case)

        def both(c, u=u):
            value = u(c)
            if not isinstance(value, dlarray):
                return None
            plain = gl.partials(value, c, ASKED, 0, enable_higher_derivatives=False)
            return plain, gl.partials(value, c, ASKED, 0), [nested(value, c, word, lambda g, k: g[k]) for word in ASKED]

        found = gl.dlfeval(both, dlarray([0.0, 0.0]))
        for way in found[:2] if found else ():
            for word, a, b in zip(ASKED, way, found[2], strict=True):
                close(a, b, f"{case}: {word}", 1e-9)
                compared += 1
    assert compared
