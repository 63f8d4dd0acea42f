"""Differential equations against their solutions in closed form: linear ones, by the exponential of a matrix."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def exponential(*times):
    """dy/dt = W y + b, as d(y, 1)/dt = M (y, 1)."""
    def equivalent(x, p, training):
        n = x.shape[1]
        M = torch.cat([torch.cat([p["weights"], p["bias"][:, None]], 1), torch.zeros(1, n + 1, dtype=x.dtype)])
        start = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
        found = [(start @ torch.matrix_exp(t * M).T)[:, :n] for t in times]
        return found[0] if len(found) == 1 else torch.stack(found, -1)
    return equivalent


def linear(tspan, **options):
    return L.NeuralODE(gl.dlnetwork([L.FullyConnected(2)], gl.Layout((2, 1), "CB")), tspan, **options)


# ten steps of 0.01, whose error is below 1e-12
CASES = {
    "NeuralODE": [
        case(linear((0.0, 0.1)), given("BC", 2, 2), equivalent=exponential(0.1)),
        case(linear((0.0, 0.05, 0.1), max_step_size=0.01), given("BC", 1, 2), equivalent=exponential(0.05, 0.1))],
}
