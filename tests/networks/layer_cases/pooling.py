"""Pooling against torch's."""

import torch
from layer_checks import case, given

import gradloom as gl

L, F = gl.layers, torch.nn.functional


def maxpool(d, *options, around=None):
    """torch's max pooling of d axes after -inf around x."""
    def equivalent(x, p, training):
        x = x if around is None else torch.constant_pad_nd(x, around, float("-inf"))
        return getattr(F, f"max_pool{d}d")(x, *options)
    return equivalent


def avgpool(d, *options, **named):
    """torch's average pooling of d axes."""
    return lambda x, p, training: getattr(F, f"avg_pool{d}d")(x, *options, **named)


def whole(reduce, axes, keepdim=True):
    """Over whole axes."""
    return lambda x, p, training: getattr(x, reduce)(axes, keepdim=keepdim)


def chosen(x, p, training):
    y, places = F.max_pool2d(x, 2, return_indices=True)
    return y, places, torch.tensor(x.shape[2:])


def unpooled(y, places, sizes, p, training):
    return F.max_unpool2d(y, places, 2, output_size=sizes.tolist())


def adaptive(x, p, training):
    return F.adaptive_avg_pool2d(x, (2, 3))


CASES = {
    "MaxPooling1d": [
        case(L.MaxPooling1d(2, stride=2, padding=((1, 0),)), given("BCS", 2, 2, 5), equivalent=maxpool(1, 2, 2, around=(1, 0))),
        case(L.MaxPooling1d(3), given("BCT", 2, 2, 5), equivalent=maxpool(1, 3, 1))],
    "MaxPooling2d": [
        case(L.MaxPooling2d((2, 3), stride=(2, 1), padding=((0, 1), (1, 1))), given("BCSS", 2, 2, 3, 4),
             equivalent=maxpool(2, (2, 3), (2, 1), around=(1, 1, 0, 1))),
        case(L.MaxPooling2d(2), given("BCST", 1, 2, 3, 4), equivalent=maxpool(2, 2, 1)),
        case(L.MaxPooling2d(2, stride=2, has_unpooling_outputs=True), given("BCSS", 2, 2, 4, 5), equivalent=chosen)],
    "MaxPooling3d": [
        case(L.MaxPooling3d((2, 1, 2), stride=(1, 2, 2), padding=((0, 0), (0, 0), (1, 0))), given("BCSSS", 2, 2, 2, 3, 3),
             equivalent=maxpool(3, (2, 1, 2), (1, 2, 2), around=(1, 0, 0, 0, 0, 0)))],
    "AveragePooling1d": [
        case(L.AveragePooling1d(2, stride=2, padding=1), given("BCS", 2, 2, 5), equivalent=avgpool(1, 2, 2, 1)),
        case(L.AveragePooling1d(3, padding=1, padding_value="mean"), given("CT", 2, 5), equivalent=avgpool(1, 3, 1, 1, count_include_pad=False))],
    "AveragePooling2d": [
        case(L.AveragePooling2d((2, 3), stride=(2, 1), padding=(1, 1)), given("BCSS", 2, 2, 3, 4), equivalent=avgpool(2, (2, 3), (2, 1), 1)),
        case(L.AveragePooling2d((2, 3), stride=(2, 1), padding=1, padding_value="mean"), given("CSS", 2, 3, 4),
             equivalent=avgpool(2, (2, 3), (2, 1), 1, count_include_pad=False))],
    "AveragePooling3d": [
        case(L.AveragePooling3d((2, 1, 2), stride=(1, 2, 2)), given("BCSSS", 2, 2, 2, 3, 3), equivalent=avgpool(3, (2, 1, 2), (1, 2, 2))),
        case(L.AveragePooling3d(2), given("BCSST", 1, 2, 2, 3, 2), equivalent=avgpool(3, 2, 1))],
    "GlobalAveragePooling1d": [
        case(L.GlobalAveragePooling1d(), given("BCS", 2, 2, 3), equivalent=whole("mean", (2,))),
        case(L.GlobalAveragePooling1d(), given("BCT", 2, 2, 3), equivalent=whole("mean", (2,), False))],
    "GlobalAveragePooling2d": [
        case(L.GlobalAveragePooling2d(), given("BCSS", 2, 2, 3, 4), equivalent=whole("mean", (2, 3))),
        case(L.GlobalAveragePooling2d(), given("BCST", 2, 2, 3, 4), equivalent=lambda x, p, training: x.mean((2, 3)).unsqueeze(2))],
    "GlobalAveragePooling3d": [case(L.GlobalAveragePooling3d(), given("BCSSS", 2, 2, 3, 2, 2), equivalent=whole("mean", (2, 3, 4)))],
    "GlobalMaxPooling1d": [
        case(L.GlobalMaxPooling1d(), given("BCS", 2, 2, 3), equivalent=whole("amax", (2,))),
        case(L.GlobalMaxPooling1d(), given("BCT", 2, 2, 3), equivalent=whole("amax", (2,), False))],
    "GlobalMaxPooling2d": [case(L.GlobalMaxPooling2d(), given("BCSS", 2, 2, 3, 4), equivalent=whole("amax", (2, 3)))],
    "GlobalMaxPooling3d": [case(L.GlobalMaxPooling3d(), given("BCSSS", 2, 2, 3, 2, 2), equivalent=whole("amax", (2, 3, 4)))],
    "AdaptiveAveragePooling2d": [
        case(L.AdaptiveAveragePooling2d((2, 3)), given("BCSS", 2, 2, 5, 4), equivalent=adaptive),
        case(L.AdaptiveAveragePooling2d((2, 3)), given("CSS", 2, 4, 6), equivalent=adaptive)],
    "MaxUnpooling2d": [
        case(L.MaxUnpooling2d(), given("BCSS", 2, 2, 2, 2), given("BCSS", 2, 2, 2, 2, values=(0, 2, 11, 13)),
             given("", 2, values=(4, 5)), equivalent=unpooled)],
}
