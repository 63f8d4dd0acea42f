"""ADBench's hand tracking, simple and small: the Jacobian of 100 residuals in space by 26 angles and positions.

Formula: e_i = p_i - v(c_i), where v = sum over bones k of w_k A_k(theta) A_k(0)^-1 v_0, linear blend skinning; A_k is
the product of the bone's transformations and those above it, each turned by Euler angles; then the whole hand is turned
about an axis and moved. The skeleton and the mesh are made up, of the size of ADBench's: 22 bones, 544 vertices.
Source: Srajer, Kukelova, Fitzgibbon, "A benchmark of selected algorithmic differentiation tools", 2018.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from .harness import Benchmark, Contender, arrays

FINGERS, JOINTS, VERTICES, POINTS = 5, 4, 544, 100
PARENTS = [-1, 0] + [1 if j == 0 else 2 + JOINTS * f + j - 1 for f in range(FINGERS) for j in range(JOINTS)]
BONES = len(PARENTS)
ANGLES = 6 + 4 * FINGERS  # turn and place of the hand; of a finger two angles at its root, one at two further joints
# Where the angles of each bone come from, 26 being a zero.
PLACES = np.full((BONES, 3), ANGLES)
for _finger in range(FINGERS):
    _first, _bone = 6 + 4 * _finger, 2 + JOINTS * _finger
    PLACES[_bone, :2] = _first, _first + 1
    PLACES[_bone + 1, 0], PLACES[_bone + 2, 0] = _first + 2, _first + 3


def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    relatives = np.tile(np.eye(4), (BONES, 1, 1))
    relatives[:, :3, :3] = np.linalg.qr(rng.standard_normal((BONES, 3, 3)))[0]
    relatives[:, :3, 3] = rng.standard_normal((BONES, 3))
    absolutes: list[np.ndarray] = []
    for parent, relative in zip(PARENTS, relatives, strict=True):
        absolutes.append(relative if parent < 0 else absolutes[parent] @ relative)
    positions = np.concatenate([rng.standard_normal((3, VERTICES)), np.ones((1, VERTICES))])
    weights = rng.dirichlet(np.full(BONES, 0.2), VERTICES).T
    return {"theta": 0.3 * rng.standard_normal(ANGLES), "relatives": relatives,
            "inverses": np.linalg.inv(np.stack(absolutes)), "positions": positions, "weights": weights,
            "points": rng.standard_normal((3, POINTS)), "vertices": rng.integers(VERTICES, size=POINTS)}


def residuals(words: Any, its: dict[str, Any]):
    """In the words of any array library, of which `words` has sin, cos, sqrt, stack and concat."""
    def matrices(rows):
        return words.stack([words.stack(row, -1) for row in rows], -2)

    def euler(angles):
        (sx, sy, sz), (cx, cy, cz) = ([f(angles[:, k]) for k in range(3)] for f in (words.sin, words.cos))
        return matrices([[cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
                         [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
                         [-sy, sx * cy, cx * cy]])

    def about(axis):
        angle = words.sqrt((axis * axis).sum())
        s, c = words.sin(angle), words.cos(angle)
        x, y, z = (axis[k] / angle for k in range(3))
        d = 1 - c
        return matrices([[x * x * d + c, x * y * d - z * s, x * z * d + y * s],
                         [x * y * d + z * s, y * y * d + c, y * z * d - x * s],
                         [x * z * d - y * s, y * z * d + x * s, z * z * d + c]])

    def of(theta):
        turned = euler(words.concat([theta, its["zero"]])[its["places"]])
        relatives = words.concat([its["relatives"][:, :, :3] @ turned, its["relatives"][:, :, 3:]], -1)
        absolutes: list[Any] = []
        for k, parent in enumerate(PARENTS):
            absolutes.append(relatives[k] if parent < 0 else absolutes[parent] @ relatives[k])
        transforms = words.stack(absolutes, 0) @ its["inverses"]
        moved = (transforms[:, :3] @ its["positions"]) * its["weights"][:, None]
        vertices = about(theta[:3]) @ moved.sum(axis=0) + theta[3:6, None]
        return its["points"] - vertices[:, its["vertices"]]

    return of


class Words:
    """One library's functions."""

    def __init__(self, library: Any, stack: Any, concat: Any):
        self.sin, self.cos, self.sqrt, self.stack, self.concat = library.sin, library.cos, library.sqrt, stack, concat


def filled(array: Any) -> dict[str, Any]:
    """The data as arrays of a library; positions stay NumPy's."""
    its = {key: x if key == "vertices" else array(x) for key, x in data().items()}
    return {**its, "zero": array(np.zeros(1)), "places": PLACES}


def gradloom(accelerated: bool = False):
    import gradloom as gl

    its = filled(gl.dlarray)
    words = Words(gl, lambda parts, axis: gl.stack(parts, axis=axis),
                  lambda parts, axis=0: gl.concat(parts, axis=axis))
    f = residuals(words, its)

    def jacobian(theta):
        e = f(theta)
        return e, gl.dljacobian(e, theta).dense()

    function = gl.dlaccelerate(jacobian) if accelerated else jacobian
    return lambda: gl.dlfeval(function, its["theta"])


def torch_setup(word: str):
    its = filled(torch.from_numpy)
    its = {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in its.items()}
    f = residuals(Words(torch, torch.stack, lambda parts, axis=0: torch.cat(parts, axis)), its)

    def twice(theta):
        e = f(theta)
        return e, e

    run = getattr(torch.func, word)(twice, has_aux=True)
    return lambda: run(its["theta"])[::-1]


def jax_setup():
    import jax

    jax.config.update("jax_enable_x64", True)
    numpy = jax.numpy
    its = filled(numpy.asarray)
    f = residuals(Words(numpy, numpy.stack, lambda parts, axis=0: numpy.concatenate(parts, axis)), its)

    def twice(theta):
        e = f(theta)
        return e, e

    run = jax.jit(jax.jacfwd(twice, has_aux=True))
    return lambda: jax.block_until_ready(run(its["theta"])[::-1])


def benchmark() -> Benchmark:
    return Benchmark(
        "hand", f"residuals of ADBench's hand tracking and their Jacobian, {BONES} bones, {VERTICES} vertices, "
                f"{POINTS} points by {ANGLES} parameters, float64.",
        [
            Contender("gradloom", gradloom, "gradloom"),
            Contender("gradloom, accelerated", partial(gradloom, accelerated=True), "gradloom", 0.8),
            Contender("torch jacfwd", partial(torch_setup, "jacfwd")),
            Contender("torch jacrev", partial(torch_setup, "jacrev")),
            Contender("jax jit jacfwd", jax_setup),
        ],
        lambda: arrays(torch_setup("jacrev")()), tolerance=1e-9,
    )
