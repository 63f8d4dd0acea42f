"""Recorded derivatives of every kind, through every operation and in every order of labels, differentiated once more.

The gradient of a weighted sum of what a word gives equals finite differences of it. With labels, what is computed in one order of axes is
what is computed in any other, moved.
"""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from helpers import seeded, uniform
from operation_cases import OUTPUTS, cases, is_variable
from operation_checks import slope
from operation_table import CHECKED, each

import gradloom as gl
from gradloom.core.array import dlarray
from gradloom.core.errors import BatchDependenceWarning, ShapeError

REAL = torch.float64


def weights(shape, *key):
    return dlarray(uniform(tuple(shape), REAL, seeded("weights", *key)))


def weighted(x, *key):
    return gl.sum(x * weights(x.shape, *key))


def laplacian(u, x):
    return weighted(gl.dllaplacian(weighted(u, "u"), x, tuple(range(x.ndim)))) if x.ndim else None


def laplacian_of_each(u, x):
    """The Laplacian of every element of u: no axis of x is one of observations."""
    return weighted(gl.dllaplacian(gl.reshape(u, (-1, *(1,) * x.ndim)), x, tuple(range(x.ndim)))) if x.ndim and x.size == 1 else None


def rows(u, x):
    return weighted(gl.dljacobian(gl.reshape(u, (-1,)), x, 0))


def rows_along_an_axis(u, x):
    return weighted(gl.dljacobian(u, x, u.ndim - 1)) if u.ndim and x.ndim else None


def divergence(u, x):
    return gl.sum(gl.dldivergence(u, x, tuple(range(x.ndim)))) if x.ndim and tuple(u.shape) == tuple(x.shape) else None


def divergence_along_an_axis(u, x):
    return weighted(gl.dldivergence(u, x, -1)) if x.ndim and tuple(u.shape) == tuple(x.shape) else None


def push(u, x):
    return weighted(gl.jvp(u, x, weights(x.shape, "v"), enable_higher_derivatives=True))


def pull(u, x):
    return weighted(gl.vjp(u, x, weights(u.shape, "w"), enable_higher_derivatives=True))


def product(u, x):
    return weighted(gl.dljacobian(u, x, enable_higher_derivatives=True) @ weights(x.shape, "v"))


def transposed_product(u, x):
    return weighted(gl.dljacobian(u, x, enable_higher_derivatives=True).T @ weights(u.shape, "w"))


def dense(u, x):
    return weighted(gl.dljacobian(u, x, enable_higher_derivatives=True).dense())


WORDS = [laplacian, laplacian_of_each, rows, rows_along_an_axis, divergence, divergence_along_an_axis, push, pull, product, transposed_product, dense]


def squared(y):
    return gl.real(y) ** 2 + gl.imag(y) * gl.real(y) if y.dtype.is_complex else y * y


def runs(operation):
    """(function of one array, its value): each variable of each case that is not large, behind a product that bends."""
    for case in cases(operation):
        for k in case.variables:
            x = case.inputs[k]
            if not x.numel() or x.is_complex() or not bool(x.isfinite().all()):
                continue

            def fun(x, case=case, k=k):
                given = [dlarray._made(v, None) if is_variable(v) else v for v in case.inputs]
                given[k] = x
                y = operation.apply(given, case.params)
                outputs = list(y if isinstance(y, tuple) else (y,))[:len(OUTPUTS.get(operation.name, (0,) * operation.outputs))]
                return [squared(o) for o in outputs if is_variable(o._value) and 0 < o.size <= 100]

            yield f"{case}, input {k}", fun, x


def value(fun, x, word):
    """The weighted sums of what a word gives of each output; None where it has no meaning for these shapes."""
    def run(x):
        parts = []
        for u in fun(x):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", BatchDependenceWarning)
                try:
                    part = word(u, x)
                except (ShapeError, gl.TraceError) as error:  # its axes are none of observations, or are mixed: words say so
                    if not any(words in str(error) for words in ("leave axis out", "same size", "not independent", "write dljacobian(u, x)")):
                        raise
                    part = None
            parts.append(part)
        return parts

    return run


@each(CHECKED)
def test_words_are_differentiated_again(operation):
    """On the two smallest runs of each operation; on all that are not large in the slow test."""
    words_again(operation, 2)


@pytest.mark.slow
@each(CHECKED)
def test_words_are_differentiated_again_in_every_case(operation):
    words_again(operation, 2, at_most=40)


def words_again(operation, most, at_most=0):
    count = 0
    smallest_first = sorted(runs(operation), key=lambda run: (run[2].numel() < 4, run[2].numel()))
    for what, fun, x in [run for k, run in enumerate(smallest_first) if k < most or run[2].numel() <= at_most]:
        for word in WORDS:
            parts = value(fun, x, word)
            live = [k for k, part in enumerate(gl.dlfeval(parts, dlarray(x))) if part is not None]
            if not live:
                continue

            def total(x, parts=parts, live=live):
                found = parts(x)
                return sum([found[k] for k in live[1:]], found[live[0]])

            count += 1
            way = uniform(x.shape, REAL, seeded("way"))
            found = gl.dlfeval(lambda x: gl.dlgradient(total(x), x), dlarray(x))._value
            (expected,) = slope(lambda v: [gl.dlfeval(total, dlarray(v[0]))._value], [x], [way], 2e-4)
            error = float(abs((found * way).sum() - expected) / (1 + abs(expected)))
            assert error < 1e-5, f"{what}, {word.__name__}: the gradient along a direction is {float((found * way).sum())}, differences say {float(expected)}"
    assert count, f"nothing of {operation.name} was run"


# ----- labels -----------------------------------------------------------------------------------------------------------------


def parameter(*shape):
    return dlarray(uniform(shape, REAL, seeded("parameter", shape)))


SIZES = {"C": 4, "B": 3, "T": 5, "S": 5, "U": 2}
LABELLED = {
    "fullyconnect": ("CB", lambda x, w: gl.fullyconnect(x, w, parameter(3)), (3, 4)),
    "convolution": ("SCB", lambda x, w: gl.dlconv(x, w, parameter(2), padding="same"), (2, 4, 3)),
    "convolution over images": ("SSCB", lambda x, w: gl.dlconv(x, w, parameter(2), padding=1, stride=2), (2, 4, 3, 3)),
    "convolution over time": ("CBT", lambda x, w: gl.dlconv(x, w, parameter(2), padding="causal"), (2, 4, 3)),
    "transposed convolution": ("SCB", lambda x, w: gl.dltranspconv(x, w, parameter(2), stride=2), (4, 2, 3)),
    "avgpool": ("SCB", lambda x, w: gl.avgpool(x, 2, stride=2) * w, (1,)),
    "maxpool": ("SCB", lambda x, w: gl.maxpool(x, 2, stride=2) * w, (1,)),
    "batchnorm": ("SCB", lambda x, w: gl.batchnorm(x, parameter(4), w)[0], (4,)),
    "layernorm": ("SCB", lambda x, w: gl.layernorm(x, parameter(4), w), (4,)),
    "groupnorm": ("SCB", lambda x, w: gl.groupnorm(x, 2, parameter(4), w), (4,)),
    "softmax": ("CB", lambda x, w: gl.softmax(x * w), (1,)),
    "lstm": ("CBT", lambda x, w: gl.lstm(x, gl.zeros((2, 3), "CB"), gl.zeros((2, 3), "CB"), w, parameter(8, 2), parameter(8))[0], (8, 4)),
    "gru": ("CBT", lambda x, w: gl.gru(x, gl.zeros((2, 3), "CB"), w, parameter(6, 2), parameter(6))[0], (6, 4)),
    "embed": ("CB", lambda x, w: gl.fullyconnect(gl.tanh(x), w), (2, 4)),
    "a reduction": ("SCB", lambda x, w: gl.sum(x ** 3 * w, axis="S"), (1,)),
    "an einsum": ("CB", lambda x, w: gl.dlarray(gl.einsum("ij,kj->ik", gl.stripdims(x, "BC"), w), "BC"), (3, 4)),
    "a write": ("CB", lambda x, w: written(x, w), (1,)),
}


def written(x, w):
    y = x ** 2
    y[y.at(C=1)] = gl.sin(gl.stripdims(x)[x.at(C=0)]) * w
    return y


def in_words(u, x):
    """What physics-informed networks and penalties take of a network's output, as numbers that do not depend on the order of axes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BatchDependenceWarning)
        total = gl.sum(gl.dljacobian(u, x, "C") ** 2)
        total = total + gl.sum(gl.jvp(u, x, gl.ones_like(gl.detach(x)), enable_higher_derivatives=True) ** 2)
        total = total + gl.sum(gl.dlgradient(gl.sum(u ** 2), x, enable_higher_derivatives=True) ** 2)
        J = gl.dljacobian(u, x, enable_higher_derivatives=True)
        total = total + gl.sum((J @ gl.ones_like(gl.detach(x))) ** 2)
    return total


def with_observations(u, x):
    """The words that need observations which do not mix."""
    y = gl.sum(u, axis=tuple(k for k, letter in enumerate(u.dims) if letter != "B"))
    return gl.sum(gl.dllaplacian(y, x, tuple(k for k, letter in enumerate(x.dims) if letter != "B")) ** 2)


MIXING = ("batchnorm",)


@pytest.mark.parametrize("name", LABELLED)
def test_in_every_order_of_labels(name):
    labels, fun, shape = LABELLED[name]
    canonical = uniform([SIZES[letter] for letter in labels], REAL, seeded(name))
    w = dlarray(uniform(shape, REAL, seeded(name, "w")))

    def penalty(x, w):
        total = in_words(fun(x, w), x)
        return total if name in MIXING else total + with_observations(fun(x, w), x)

    def gradients(x, w):
        return penalty(x, w), *gl.dlgradient(penalty(x, w), x, w)

    expected = None
    for order in itertools.permutations(range(len(labels))):
        given = "".join(labels[k] for k in order)
        if [k for k in order if labels[k] == "S"] != [k for k, letter in enumerate(labels) if letter == "S"]:
            continue  # axes with one letter keep their order
        y, x_bar, w_bar = gl.dlfeval(gradients, dlarray(canonical.permute(order), given), w)
        back = x_bar._value.permute([order.index(k) for k in range(len(labels))])
        if expected is None:
            expected = y._value, back, w_bar._value
            ways = [uniform(a.shape, REAL, seeded("way", k)) for k, a in enumerate((canonical, w._value))]
            (difference,) = slope(lambda v: [gl.dlfeval(penalty, dlarray(v[0], labels), dlarray(v[1]))._value.reshape(())], [canonical, w._value], ways, 1e-3)
            found = (back * ways[0]).sum() + (w_bar._value * ways[1]).sum()
            assert math.isclose(float(found), float(difference), rel_tol=1e-6, abs_tol=1e-7), f"{given}: {float(found)}, differences say {float(difference)}"
        for a, b in zip((y._value, back, w_bar._value), expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9 * float(b.abs().max()), err_msg=f"{given} and {labels}")
