"""Layers of every kind of operation for networks of few numbers, of which second derivatives are taken one by one."""

from __future__ import annotations

import numpy as np

import gradloom as gl
from gradloom.core.array import dlarray

_stream = np.random.default_rng(3)


def normal(*shape, scale=1.0):
    return _stream.standard_normal(shape) * scale


D, N = 4, 5  # inputs, observations; hidden arrays are (N, 6)
MIX, CONV, KEYS = normal(6, 6, scale=0.5), normal(3, 1, 3), normal(2, 6, 3)
TABLE = gl.dlarray(normal(9, 6))


def attended(h, x):
    q, k = (gl.reshape(h @ dlarray(w), (N, 3, 1)) for w in KEYS)
    weights = gl.softmax(q @ gl.matrix_transpose(k), axis=-1)
    return h + gl.reshape(weights @ (k * k), (N, 3)) @ dlarray(MIX[:3])


def convolved(h, x):
    rows = gl.dlconv(gl.reshape(h, (N, 1, 6)), CONV, padding=1, data_format="BCS")
    return gl.mean(rows * rows, axis=1)


def normalized(h, x):
    return (h - gl.mean(h, axis=-1, keepdims=True)) / gl.sqrt(gl.var(h, axis=-1, keepdims=True) + 0.1)


LAYERS = [
    lambda h, x: gl.tanh(h @ dlarray(MIX)),
    lambda h, x: gl.silu(h @ dlarray(MIX)) + h,
    lambda h, x: gl.sin(h) * gl.sigmoid(h),
    lambda h, x: gl.softplus(h) / (1 + h * h),
    lambda h, x: gl.gelu(h) - gl.exp(-h * h),
    lambda h, x: gl.softmax(h, axis=-1) * 3,
    lambda h, x: gl.logsumexp(h, axis=-1, keepdims=True) * h,
    normalized,
    attended,
    convolved,
    lambda h, x: h * gl.prod(0.5 + gl.sigmoid(h), axis=-1, keepdims=True),
    lambda h, x: h * gl.max(h, axis=-1, keepdims=True),
    lambda h, x: gl.concat([gl.cos(h[:, 3:]), h[:, :3] ** 2 * 0.3], axis=1),
    lambda h, x: h + gl.sum(x * x, axis=1, keepdims=True),
    lambda h, x: gl.relu(h) ** 2 + gl.where(h > 0, gl.tanh(h), h),
    lambda h, x: gl.einsum("ni,nj,ij->ni", h, gl.tanh(h), MIX),
    lambda h, x: gl.hypot(h, 1 + gl.abs(h)) + gl.atan2(h, 2 + gl.cos(h)),
    lambda h, x: gl.flip(gl.square(h), axis=1) * 0.2 + gl.roll(h, 1, axis=1),
    lambda h, x: h * gl.take(TABLE, np.arange(N), axis=0),
    lambda h, x: gl.norm(h, axis=-1, keepdims=True) + gl.maximum(h, gl.flip(h, axis=1)) ** 3 * 0.1,
    lambda h, x: gl.permute_dims(gl.tanh(gl.permute_dims(h, (1, 0))), (1, 0)) ** 2,
]
