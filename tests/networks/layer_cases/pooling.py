"""Pooling against torch's."""

import torch
from layer_checks import case, given

import gradloom as gl

L, F = gl.layers, torch.nn.functional

CASES = {
    "MaxPooling2d": [
        case(L.MaxPooling2d((2, 3), stride=(2, 1), padding=((0, 1), (1, 1))), given("BCSS", 2, 2, 3, 4),
             equivalent=lambda x, p, training: F.max_pool2d(torch.constant_pad_nd(x, (1, 1, 0, 1), float("-inf")), (2, 3), (2, 1)))],
    "AveragePooling2d": [
        case(L.AveragePooling2d((2, 3), stride=(2, 1), padding=(1, 1)), given("BCSS", 2, 2, 3, 4),
             equivalent=lambda x, p, training: F.avg_pool2d(x, (2, 3), (2, 1), 1)),
        case(L.AveragePooling2d((2, 3), stride=(2, 1), padding=1, padding_value="mean"), given("CSS", 2, 3, 4),
             equivalent=lambda x, p, training: F.avg_pool2d(x, (2, 3), (2, 1), 1, count_include_pad=False))],
    "GlobalAveragePooling2d": [
        case(L.GlobalAveragePooling2d(), given("BCSS", 2, 2, 3, 4), equivalent=lambda x, p, training: x.mean((2, 3), keepdim=True))],
}
