"""A length has the slope 0 at 0 by convention, of which there is no derivative: every second-order walk there gives the right number or NaN, alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom import dlarray
from gradloom.core.tables import OPERATIONS


def at(x: Any, k: int) -> Any:
    """A coordinate, not selected: in a trace in which something was, 0 times what is no number is 0."""
    return gl.sum(x * np.eye(3)[k])


CENTRING = np.eye(3) - 1 / 3
LENGTHS: dict[str, tuple[Any, Any]] = {  # of three coordinates; and the matrix M of the quadratic form x' M x that its square is, if it is one
    "norm": (gl.norm, np.eye(3)),
    "norm along an axis": (lambda x: gl.sum(gl.norm(gl.reshape(x, (1, 3)), axis=1)), None),  # the square of a sum: not seen, NaN
    "vector_norm": (gl.vector_norm, np.eye(3)),
    "vector_norm 3": (lambda x: gl.vector_norm(x, ord=3), None),
    "vector_norm 1.5": (lambda x: gl.vector_norm(x, ord=1.5), None),
    "matrix_norm": (lambda x: gl.matrix_norm(gl.reshape(x, (3, 1))), np.eye(3)),
    "np.linalg.norm": (lambda x: np.linalg.norm(x), np.eye(3)),
    "torch.linalg.vector_norm": (lambda x: torch.linalg.vector_norm(x), np.eye(3)),
    "std": (gl.std, CENTRING / 3),
    "std with a correction": (lambda x: gl.std(x, correction=1), CENTRING / 2),
    "np.std": (lambda x: np.std(x), CENTRING / 3),
    "hypot": (lambda x: gl.hypot(at(x, 0), at(x, 1)), np.diag([1.0, 1, 0])),
    "np.hypot": (lambda x: np.hypot(at(x, 0), 2 * at(x, 2)), np.diag([1.0, 0, 4])),
    "hypot of a hypot": (lambda x: gl.hypot(gl.hypot(at(x, 0), at(x, 1)), at(x, 2)), np.eye(3)),
}
OPERATIONS_HERE = {"norm", "std", "hypot", "abs"}  # abs has a second derivative at 0 by convention too, 0: see test_special_values

OUTER: dict[str, tuple[Any, Any]] = {  # a function of the length, and twice its slope in the squared length at 0, if it has one
    "itself": (lambda y: y, None),
    "squared": (lambda y: y**2, 2.0),
    "square": (gl.square, 2.0),
    "exp(-y**2)": (lambda y: gl.exp(-(y**2)), -2.0),
    "sqrt(1 + y**2)": (lambda y: gl.sqrt(1 + y**2), 1.0),
    "y * y": (lambda y: y * y, 2.0),
    "y**4": (lambda y: y**4, 0.0),
    "cos": (gl.cos, -1.0),
    "sin": (gl.sin, None),
}
DIRECTIONS = np.array([[1.0, 2.0, -0.5], [0.3, -1.0, 2.0]])


def second_order(function: Any, at: Any) -> dict[str, tuple[np.ndarray, Any]]:
    """By the name of the walk: what it gives of the Hessian, and how that follows from it."""
    v, w = DIRECTIONS

    def inside(x: Any) -> Any:
        y = function(x)
        a, b = dlarray(v), dlarray(w)
        g = gl.dlgradient(y, x, enable_higher_derivatives=True)
        pushed = gl.jvp(y, x, a, enable_higher_derivatives=True)
        return {
            "slope": g,
            "raw slope": gl.dlgradient(y, x, retain_data=True),
            "pushed slope": pushed,
            "pull of pull": gl.dlgradient(gl.sum(g * a), x, retain_data=True),
            "push of pull": gl.jvp(g, x, a),
            "pull of push": gl.dlgradient(pushed, x, retain_data=True),
            "push of push": gl.jvp(pushed, x, b),
            "laplacian": gl.dllaplacian(y, x, 0),
            "hvp": gl.hvp(y, x, a),
            "rows": gl.dljacobian(g, x, 0),
            "jacobian": gl.dljacobian(g, x).dense(),
        }

    found = {name: np.asarray(value) for name, value in gl.dlfeval(inside, dlarray(at)).items()}
    found["hessian"] = gl.hessian(function)(np.array(at))
    return found


def from_hessian(walk: str, hessian: np.ndarray) -> np.ndarray:
    v, w = DIRECTIONS
    return {"push of push": v @ hessian @ w, "laplacian": np.trace(hessian), "rows": hessian, "jacobian": hessian, "hessian": hessian}.get(walk, hessian @ v)


def test_every_operation_whose_square_is_stated_is_here():
    assert {name for name, operation in OPERATIONS.items() if operation.squared is not None} == OPERATIONS_HERE


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("name", LENGTHS)
def test_second_derivatives_at_0_are_right_or_not_a_number(name, outer):
    length, form = LENGTHS[name]
    function, curvature = OUTER[outer]
    found = second_order(lambda x: function(length(x)), [0.0, 0.0, 0.0])
    for walk in ("slope", "raw slope", "pushed slope"):
        assert not found.pop(walk).any(), walk
    kinds = {walk: bool(np.isnan(value).any()) for walk, value in found.items()}
    if outer != "y**4":  # of which the right number, 0, may stand beside NaN
        assert len(set(kinds.values())) == 1, kinds
    for walk, value in found.items():
        if not kinds[walk]:
            assert curvature is not None and (form is not None or not curvature), f"a silent number: {walk} {value}"
            np.testing.assert_allclose(value, from_hessian(walk, curvature * (np.eye(3) if form is None else form)), atol=1e-13, err_msg=walk)
    if form is not None and outer in ("squared", "square", "exp(-y**2)", "sqrt(1 + y**2)", "y**4"):
        assert not any(kinds.values()), "the square of a length has all derivatives"


@pytest.mark.parametrize("name", LENGTHS)
def test_beside_0_nothing_changes(name):
    length, form = LENGTHS[name]
    at = np.array([0.3, -1.2, 0.7])
    for function in (lambda x: length(x), lambda x: length(x) ** 2):
        found = second_order(function, at)
        hessian = found["hessian"]
        h = 1e-4
        for i in range(3):
            step = h * np.eye(3)[i]
            gradients = [gl.value_and_gradient(function)(at + s * step)[1] for s in (1, -1)]
            np.testing.assert_allclose(hessian[i], (gradients[0] - gradients[1]) / (2 * h), atol=1e-6)
        for walk in ("pull of pull", "push of pull", "pull of push", "push of push", "laplacian", "hvp", "rows", "jacobian"):
            np.testing.assert_allclose(found[walk], from_hessian(walk, hessian), rtol=1e-10, atol=1e-12, err_msg=walk)
        if form is not None:
            np.testing.assert_allclose(gl.hessian(lambda x: length(x) ** 2)(at), 2 * form, atol=1e-12)


def test_the_issue_of_a_bell_in_three_dimensions():
    laplacian = gl.dlfeval(lambda x: gl.dllaplacian(gl.exp(-gl.norm(x, axis=1, keepdims=True) ** 2), x, 1), dlarray(np.zeros((2, 3))))
    np.testing.assert_allclose(np.asarray(laplacian), [[-6.0], [-6.0]])


@pytest.mark.parametrize("order", [1.5, 2.5, 3])
def test_one_entry_of_several_is_0(order):
    """|x| ** order has a second derivative at 0 that is 0, or infinite."""
    hessian = gl.hessian(lambda x: gl.vector_norm(x, ord=order))(np.array([0.0, 2.0]))
    if order < 2:
        assert not math.isfinite(hessian[0, 0])
    else:
        np.testing.assert_allclose(hessian, 0, atol=1e-12)


def test_the_square_of_a_complex_number():
    def bent(x: Any) -> Any:
        g = gl.dlgradient(gl.sum(gl.abs(x) ** 2), x, enable_higher_derivatives=True)
        return g, gl.dlgradient(gl.sum(gl.real(g)), x, retain_data=True)

    for at in ([0j, 1 + 2j], [0.0, -2.0]):
        g, h = gl.dlfeval(bent, dlarray(at))
        np.testing.assert_allclose(np.asarray(g), 2 * np.array(at))
        np.testing.assert_allclose(np.asarray(h), 2)


def test_a_convention_that_is_differentiated_is_found(monkeypatch):
    """Planted: the slope 0 at 0 taken for a constant."""
    operation: Any = OPERATIONS["inverse_length"]
    kernel = operation.kernel
    monkeypatch.setattr(operation, "kernel", lambda x, n: kernel(x, n).nan_to_num(0.0))
    with pytest.raises(AssertionError, match="a silent number"):
        test_second_derivatives_at_0_are_right_or_not_a_number("norm", "itself")
