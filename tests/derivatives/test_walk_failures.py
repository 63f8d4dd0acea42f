"""A kernel that fails inside a walk: the operation, its shapes, the line that used it, the line that asked for the derivative."""

from __future__ import annotations

import pytest
import torch

import gradloom as gl
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.core.tables import OPERATIONS

REASONS = {
    "size": (RuntimeError("The size of tensor a (3) must match"), gl.ShapeError, "size of tensor"),
    "type": (RuntimeError('"exp_cpu" not implemented for \'Half\''), gl.TypeRefused, "not implemented"),
    "memory": (RuntimeError("[enforce fail] you tried to allocate 8000000000 bytes."), gl.ShapeError, "it takes 8 GB of memory"),
    "no memory": (MemoryError(), gl.ShapeError, "memory"),
}
WALKS = {
    "raw pull": lambda y, x: gl.dlgradient(y, x), "recorded pull": lambda y, x: gl.dlgradient(y, x, enable_higher_derivatives=True),
    "push": lambda y, x: gl.jvp(y, x, gl.ones(3)), "recorded push": lambda y, x: gl.jvp(y, x, gl.ones(3), enable_higher_derivatives=True),
    "rows": lambda y, x: gl.dljacobian(gl.reshape(y, (1,)), x, 0), "Laplacian": lambda y, x: gl.dllaplacian(y, x, 0),
    "partials": lambda y, x: gl.partials(y, x, [(0, 1)], 0), "structured Jacobian": lambda y, x: gl.dljacobian(y, x).dense(),
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("walk", WALKS)
def test_a_failing_kernel_is_said_with_both_lines(walk, reason, monkeypatch):
    error, kind, words = REASONS[reason]
    place = {"error": type(error)(*error.args)}
    exec(compile("def fails(*args, **kwargs):\n    raise error", gl.__file__, "exec"), place)  # as a kernel of the library, not as a user's rule
    fails = place["fails"]
    operation = OPERATIONS["sin"]
    assert isinstance(operation, Elementwise)

    def f(x):
        y = gl.sum(gl.sin(x) * x)
        monkeypatch.setattr(operation, "pull", fails)
        monkeypatch.setattr(operation, "push", fails)
        monkeypatch.setattr(operation, "raw_pulls", [fails])
        for rule in ("walk.elementwise_partials", "pushing.elementwise_partials", "jets.partials_of"):
            monkeypatch.setattr(f"gradloom.derivatives.curvature.{rule}", fails)
        return WALKS[walk](y, x)

    with pytest.raises(kind, match=words) as refused:
        gl.dlfeval(f, gl.dlarray([1.0, 2.0, 3.0]))
    said = str(refused.value)
    if "does not fit in memory" not in said:  # as a structured Jacobian says it
        assert said.startswith("the derivative of ") and "3" in said, said
        assert "test_walk_failures.py" in said.split("made in")[1].split(", cannot be computed")[0], said
        assert "test_walk_failures.py" in said.split("cannot be computed, at ")[1], said


def test_a_users_own_rule_keeps_its_own_error():
    mine = gl.elementwise("mine_fails", torch.sin, lambda x: [][0])
    with pytest.raises(IndexError, match="list index out of range"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(mine(x)), x), gl.dlarray([1.0, 2.0]))


FAILING = {
    "sin": (lambda x: gl.sin(x), lambda y, x: gl.dlgradient(gl.sum(y), x)),
    "exp": (lambda x: gl.exp(x), lambda y, x: gl.dlgradient(gl.sum(y), x)),
    "tanh": (lambda x: gl.tanh(x), lambda y, x: gl.dlgradient(gl.sum(y), x)),
    "softmax": (lambda x: gl.softmax(x, axis=0), lambda y, x: gl.dlgradient(gl.sum(y), x, enable_higher_derivatives=True)),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_kernel_that_really_fails_is_that_of_its_operation(name):
    """In the pull as it is written out, and in a rule that runs other operations of the library."""
    fun, word = FAILING[name]

    def f(x):
        y = fun(x)
        y._node.values = [None if v is None else torch.ones(7, dtype=torch.float64) for v in y._node.values]  # of another shape than it has
        return word(y, x)

    with pytest.raises(gl.ShapeError, match=rf"the derivative of {name}\(3\), made in test_walk_failures.py.*cannot be computed, at test_walk_failures.py"):
        gl.dlfeval(f, gl.dlarray([1.0, 2.0, 3.0]))
