"""Layers that move entries and compute nothing, and layers of functions."""

import torch
from layer_checks import case, given

import gradloom as gl

L, F = gl.layers, torch.nn.functional


def squared(x):
    return x * x + gl.sum(x, axis="C", keepdims=True)


def plain(function):
    """An equivalent without parameters."""
    return lambda *xs, p, training: function(*xs)


def dcr(x, a, b):
    """ONNX's definition of DepthToSpace."""
    n, c, h, w = x.shape
    return x.reshape(n, a, b, c // (a * b), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (a * b), h * a, w * b)


def to_depth(x, a, b):
    """ONNX's definition of SpaceToDepth."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // a, a, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, a * b * c, h // a, w // b)


def nearest(x, size, rule):
    """Entries by a rule of (j, n, m), along the last axes."""
    for k, m in enumerate(size, start=-len(size)):
        n = x.shape[k]
        x = x.index_select(k, torch.tensor([min(max(rule(j, n, m), 0), n - 1) for j in range(m)]))
    return x


def linear(x, size, rule):
    """Between two entries by a rule of (j, n, m), along the last axes."""
    for k, m in enumerate(size, start=-len(size)):
        n = x.shape[k]
        at = torch.tensor([min(max(rule(j, n, m), 0.0), n - 1.0) for j in range(m)], dtype=torch.float64)
        low = at.floor().long()
        share = (at - low).reshape(-1, *(1,) * (-k - 1))
        x = x.index_select(k, low) * (1 - share) + x.index_select(k, (low + 1).clamp(max=n - 1)) * share
    return x


CASES = {
    "Flatten": [
        case(L.Flatten(), given(labels, *shape), equivalent=plain(lambda x: x.flatten(1)))
        for labels, shape in (("BCS", (2, 3, 2)), ("BCSS", (2, 3, 2, 2)), ("BCSSS", (2, 2, 1, 3, 2)))],
    "Function": [case(L.Function(squared), given("BC", 2, 3), equivalent=plain(lambda x: x * x + x.sum(1, keepdim=True))),
                 case(L.Function(gl.atan), given("BCS", 2, 3, 2), equivalent=plain(torch.atan))],
    "Reshape": [
        case(L.Reshape((2, 3, 2)), given("BC", 2, 12), equivalent=plain(lambda x: x.reshape(2, 2, 2, 3))),
        case(L.Reshape((-1, 6)), given("BCSS", 2, 2, 3, 2), equivalent=plain(lambda x: x.reshape(2, 6, 2))),
        case(L.Reshape((4,)), given("TCS", 3, 2, 2), equivalent=plain(lambda x: x.reshape(3, 4)))],
    "Permute": [
        case(L.Permute("CT", (1, 0)), given("BCT", 2, 3, 4), equivalent=plain(lambda x: x.mT)),
        case(L.Permute("SSC", (2, 0, 1)), given("BCSS", 2, 2, 3, 4), equivalent=plain(lambda x: x.permute(0, 3, 1, 2)))],
    "Indexing1d": [
        case(L.Indexing1d(index), given(labels, 2, 3, 5), equivalent=plain(lambda x, at=at: x[..., at]))
        for index, at, labels in (("last", 4, "BCT"), ("first", 0, "BCS"), ("middle", 2, "BCT"), (-2, 3, "BCS"))],
    "Padding": [
        case(L.Padding(((1, 2),)), given("BCS", 2, 2, 3), equivalent=plain(lambda x: F.pad(x, (1, 2)))),
        case(L.Padding((1, 2), padding_value=3.0), given("BCSS", 1, 2, 3, 2), equivalent=plain(lambda x: F.pad(x, (2, 2, 1, 1), value=3.0))),
        case(L.Padding(1, padding_value="replicate"), given("BCSSS", 1, 1, 2, 2, 2), equivalent=plain(lambda x: F.pad(x, (1,) * 6, mode="replicate"))),
        case(L.Padding(2, padding_value="symmetric-exclude-edge"), given("CSS", 2, 3, 3), equivalent=plain(lambda x: F.pad(x, (2,) * 4, mode="reflect")))],
    "Upsampling": [
        case(L.Upsampling((2, 3)), given("BCSS", 2, 2, 2, 3), equivalent=plain(lambda x: F.interpolate(x, scale_factor=(2, 3)))),
        case(L.Upsampling(2), given("BCS", 2, 2, 3), equivalent=plain(lambda x: x.repeat_interleave(2, 2)))],
    "Resize2d": [
        case(L.Resize2d((5, 2)), given("BCSS", 2, 2, 3, 4), equivalent=plain(lambda x: F.interpolate(x, (5, 2), mode="nearest-exact"))),
        case(L.Resize2d((5, 2), method="bilinear"), given("BCSS", 2, 2, 3, 4), equivalent=plain(lambda x: F.interpolate(x, (5, 2), mode="bilinear"))),
        case(L.Resize2d(scale=(2, 1.5), geometric_transform_mode="asymmetric", nearest_rounding_mode="floor"), given("CSS", 2, 3, 4),
             equivalent=plain(lambda x: F.interpolate(x[None], (6, 6), mode="nearest")[0])),
        case(L.Resize2d((5, 3), geometric_transform_mode="asymmetric"), given("CSS", 2, 3, 4),
             equivalent=plain(lambda x: nearest(x, (5, 3), lambda j, n, m: (2 * j * n + m) // (2 * m)))),
        case(L.Resize2d((5, 3), nearest_rounding_mode="floor"), given("CSS", 2, 3, 4),
             equivalent=plain(lambda x: nearest(x, (5, 3), lambda j, n, m: ((2 * j + 1) * n - m) // (2 * m)))),
        case(L.Resize2d((5, 3), method="bilinear", geometric_transform_mode="asymmetric"), given("CSS", 2, 3, 1),
             equivalent=plain(lambda x: linear(x, (5, 3), lambda j, n, m: j * n / m))),
        case(L.Resize2d(enable_reference_input=True), given("BCSS", 1, 2, 2, 3), given("BCSS", 1, 1, 3, 2),
             equivalent=plain(lambda x, r: F.interpolate(x, r.shape[2:], mode="nearest-exact")))],
    "Resize3d": [
        case(L.Resize3d(scale=2), given("BCSSS", 1, 1, 2, 2, 3), equivalent=plain(lambda x: F.interpolate(x, scale_factor=2))),
        case(L.Resize3d((3, 1, 2), method="trilinear"), given("BCSSS", 1, 2, 2, 2, 3),
             equivalent=plain(lambda x: F.interpolate(x, (3, 1, 2), mode="trilinear")))],
    "Crop2d": [
        case(L.Crop2d(), given("BCSS", 2, 2, 5, 4), given("BCSS", 2, 1, 2, 2), equivalent=plain(lambda x, r: x[:, :, 1:3, 1:3])),
        case(L.Crop2d((0, 2)), given("CSS", 2, 5, 4), given("CSS", 1, 2, 2), equivalent=plain(lambda x, r: x[:, 0:2, 2:4]))],
    "Crop3d": [
        case(L.Crop3d((0, 1, 0)), given("BCSSS", 1, 2, 2, 3, 2), given("BCSSS", 1, 1, 1, 2, 2), equivalent=plain(lambda x, r: x[:, :, 0:1, 1:3]))],
    "DepthToSpace2d": [
        case(L.DepthToSpace2d((2, 1)), given("BCSS", 2, 4, 2, 3), equivalent=plain(lambda x: dcr(x, 2, 1))),
        case(L.DepthToSpace2d(2), given("BCSS", 1, 8, 2, 1), equivalent=plain(lambda x: dcr(x, 2, 2))),
        case(L.DepthToSpace2d(2, mode="crd"), given("BCSS", 1, 8, 2, 1), equivalent=plain(lambda x: F.pixel_shuffle(x, 2)))],
    "SpaceToDepth": [
        case(L.SpaceToDepth((2, 3)), given("BCSS", 2, 2, 2, 3), equivalent=plain(lambda x: to_depth(x, 2, 3))),
        case(L.SpaceToDepth(2), given("BCSS", 1, 2, 4, 2), equivalent=plain(lambda x: to_depth(x, 2, 2)))],
}
