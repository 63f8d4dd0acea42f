"""Normalizations and what is drawn in training."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def batchnorm(x, p, training, epsilon=1e-3, decay=0.25):
    mean, variance = p["trained_mean"].clone(), p["trained_variance"].clone()
    if not training:
        return torch.batch_norm(x, p["scale"], p["offset"], mean, variance, False, 0.0, epsilon, False)
    axes = [k for k in range(x.ndim) if k != 1]
    moved = {"trained_mean": decay * x.mean(axes) + (1 - decay) * mean,
             "trained_variance": 2 * decay * x.var(axes, correction=0) + (1 - 2 * decay) * variance}
    return torch.batch_norm(x, p["scale"], p["offset"], None, None, True, 0.0, epsilon, False), moved


F = torch.nn.functional


def groups(x, p, count):
    return F.group_norm(x, count, p["scale"], p["offset"], 1e-3)


def channels_last(x, p, training):
    return F.layer_norm(x, x.shape[-1:], p["scale"], p["offset"], 1e-3)


def crosschannel(x, p, training):
    """An odd window alone: torch's even one is another."""
    return torch.nn.functional.local_response_norm(x, 3, alpha=0.3, beta=0.6, k=1.5)


CASES = {
    "CrossChannelNormalization": [
        case(L.CrossChannelNormalization(3, alpha=0.3, beta=0.6, k=1.5), given(labels, *shape), equivalent=crosschannel)
        for labels, shape in (("BCS", (2, 4, 2)), ("BCSS", (2, 3, 2, 2)), ("BCSSS", (1, 4, 1, 2, 2)))],
    "BatchNormalization": [
        case(L.BatchNormalization(epsilon=1e-3, mean_decay=0.25, variance_decay=0.5), given(labels, *shape), equivalent=batchnorm)
        for labels, shape in (("BC", (4, 2)), ("BCS", (2, 2, 3)), ("BCSS", (2, 2, 2, 3)), ("BCSSS", (2, 2, 1, 2, 2)))],
    "Dropout": [
        case(L.Dropout(0.4), given(labels, *shape), equivalent=lambda x, p, training: x * p["kept"] if training else x,
             drawn=lambda run, x: {"kept": run(gl.ones_like(x))})
        for labels, shape in (("BCSS", (2, 3, 2, 3)), ("BC", (4, 5)))],
    "SpatialDropout": [
        case(L.SpatialDropout(0.4), given(labels, *shape), equivalent=lambda x, p, training: x * p["kept"] if training else x,
             drawn=lambda run, x: {"kept": gl.mean(run(gl.ones_like(x)), axis=tuple(k for k, c in enumerate(x.dims) if c not in "BC"), keepdims=True)
                                   if set(x.dims) - set("BC") else run(gl.ones_like(x))})
        for labels, shape in (("BCSS", (2, 3, 2, 3)), ("BCT", (3, 4, 2)), ("BC", (4, 3)))],
    "GaussianNoise": [
        case(L.GaussianNoise(0.3), given("BC", 4, 5), equivalent=lambda x, p, training: x + p["noise"] if training else x,
             drawn=lambda run, x: {"noise": run(gl.zeros_like(x))})],
    "LayerNormalization": [
        case(L.LayerNormalization(epsilon=1e-3), given("BTC", 2, 3, 4), equivalent=channels_last),
        case(L.LayerNormalization(epsilon=1e-3), given("BC", 3, 4), equivalent=channels_last),
        case(L.LayerNormalization(epsilon=1e-3), given("BCSS", 2, 3, 2, 2), equivalent=lambda x, p, training: groups(x, p, 1)),
        case(L.LayerNormalization(epsilon=1e-3, operation_dimension="channel-only"), given("BSC", 2, 2, 3), equivalent=channels_last),
        case(L.LayerNormalization(epsilon=1e-3, operation_dimension="batch-excluded"), given("BCT", 2, 2, 3), equivalent=lambda x, p, training: groups(x, p, 1))],
    "GroupNormalization": [
        case(L.GroupNormalization(count, epsilon=1e-3), given(labels, *shape), equivalent=lambda x, p, training, n=n: groups(x, p, n))
        for count, n, labels, shape in ((2, 2, "BCSS", (2, 4, 2, 2)), ("all-channels", 1, "BCS", (2, 3, 2)), ("channel-wise", 3, "BCT", (2, 3, 3)))],
    "InstanceNormalization": [
        case(L.InstanceNormalization(epsilon=1e-3), given(labels, *shape),
             equivalent=lambda x, p, training: F.instance_norm(x, weight=p["scale"], bias=p["offset"], eps=1e-3))
        for labels, shape in (("BCSS", (2, 2, 2, 3)), ("BCS", (2, 3, 3)))],
    "RMSNormalization": [
        case(L.RMSNormalization(epsilon=1e-3), given(labels, *shape), equivalent=lambda x, p, training: F.rms_norm(x, x.shape[-1:], p["scale"], 1e-3))
        for labels, shape in (("BTC", (2, 3, 4)), ("BC", (3, 4)))],
}
