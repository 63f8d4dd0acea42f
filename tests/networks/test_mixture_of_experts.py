"""The mixture of experts of examples/: one expert is drawn for each observation in training, and its author keeps no books."""
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))  # it reads drawing.py beside it
_spec = importlib.util.spec_from_file_location("mixture_of_experts", EXAMPLES / "mixture_of_experts.py")
example = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = example  # dataclasses look their module up
_spec.loader.exec_module(example)
sys.path.remove(str(EXAMPLES))


def made():
    gl.rng(3)
    return example.network().to(dtype="float64"), gl.dlarray(np.linspace(-2, 2, 16).reshape(1, 16), "CB")


def test_every_derivative_uses_the_experts_that_were_drawn():
    net, x = made()

    def step(net, x):
        y = net.forward(x)
        return y, gl.dlgradient(gl.sum(y), net.learnables), gl.dljacobian(y, net.learnables)

    gl.rng(1)
    y, g, J = gl.dlfeval(step, net, x)
    p = net.learnables
    lines = [np.asarray(gl.fullyconnect(x, p[f"mixture/experts/{k}/fc", "weights"], p[f"mixture/experts/{k}/fc", "bias"]))[0] for k in range(3)]
    chosen = np.argmin([abs(line - np.asarray(y)[0]) for line in lines], axis=0)
    assert len(set(chosen)) > 1 and np.allclose(np.choose(chosen, lines), y)
    for k in range(3):
        np.testing.assert_allclose(g[f"mixture/experts/{k}/fc", "bias"], [np.sum(chosen == k)], rtol=1e-12)
        np.testing.assert_allclose(g[f"mixture/experts/{k}/fc", "weights"], [[np.sum(np.asarray(x)[0][chosen == k])]], rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(np.asarray(J[f"mixture/experts/{k}/fc", "bias"].dense()).reshape(16), chosen == k)
    gl.rng(1)
    assert np.array_equal(net.forward(x), y) and not np.array_equal(net.forward(x), y)


def test_the_choice_follows_the_gate():
    net, _ = made()
    x = gl.dlarray(np.full((1, 4000), 0.7), "CB")
    shares = np.asarray(gl.softmax(net["mixture"].gate(x)))[:, 0]
    lines = np.array([float(e(x)[0, 0]) for e in net["mixture"].experts])
    y = np.asarray(net.forward(x))[0]
    seen = [np.mean(np.isclose(y, line)) for line in lines]
    np.testing.assert_allclose(seen, shares, atol=4 * np.sqrt(0.25 / 4000))


@pytest.mark.slow
def test_it_learns():
    _, (_, after) = example.train()
    assert after < 0.02  # one line alone comes to 0.15
