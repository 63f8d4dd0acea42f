"""Input layers, what they normalize, and the layer that undoes it."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def same(x, p, training):
    return x


def halved(x):
    return x / 2


def like(p, x):
    """Statistics of (*S, C) or (C,) beside x in torch's layout."""
    return p.movedim(-1, 0) if p.ndim > 1 else p.reshape(-1, *(1,) * (x.ndim - 2))


def zerocenter(x, p, training):
    return x - like(p["mean"], x)


def zscore(x, p, training):
    return (x - like(p["mean"], x)) / like(p["standard_deviation"], x)


def symmetric(x, p, training):
    low, high = like(p["min"], x), like(p["max"], x)
    return 2 * (x - low) / (high - low) - 1


def zero_one(x, p, training):
    low, high = like(p["min"], x), like(p["max"], x)
    return (x - low) / (high - low)


def inverse(function):
    """What undoes a normalization, found by its slope and its value at 0: all are straight lines."""
    def undone(x, p, training):
        at = function(torch.zeros_like(x), p, training)
        return (x - at) / (function(torch.ones_like(x), p, training) - at)
    return undone


CASES = {
    "FeatureInput": [
        case(L.FeatureInput(3), given("BC", 2, 3), equivalent=same), case(L.FeatureInput(3), given("C", 3), equivalent=same),
        case(L.FeatureInput(3, normalization="zscore", mean=[1.0, 2.0, 3.0], standard_deviation=[1.0, 2.0, 3.0]), given("BC", 2, 3), equivalent=zscore)],
    "ImageInput": [
        case(L.ImageInput((3, 4, 2)), given("BCSS", 2, 2, 3, 4), equivalent=same),
        case(L.ImageInput((3, 4, 2), normalization=halved), given("BCSS", 2, 2, 3, 4), equivalent=lambda x, p, training: x / 2),
        case(L.ImageInput((3, 4, 2), normalization="zerocenter", mean=torch.zeros(3, 4, 2)), given("BCSS", 2, 2, 3, 4), equivalent=zerocenter),
        case(L.ImageInput((2, 2, 3), normalization="rescale-symmetric", min=0, max=255), given("BCSS", 2, 3, 2, 2), equivalent=symmetric)],
    "Image3dInput": [
        case(L.Image3dInput((1, 2, 2, 3), normalization="rescale-zero-one", min=torch.zeros(3), max=torch.ones(3)), given("BCSSS", 2, 3, 1, 2, 2),
             equivalent=zero_one)],
    "SequenceInput": [
        case(L.SequenceInput(3), given("BCT", 2, 3, 4), equivalent=same),
        case(L.SequenceInput((2, 3), normalization="zerocenter", mean=torch.zeros(3)), given("BCST", 2, 3, 2, 2), equivalent=zerocenter)],
    "Input": [
        case(L.Input((None, 3, 2), "BCS"), given("BCS", 2, 3, 2), equivalent=same), case(L.Input((2, 3), "UC"), given("UC", 2, 3), equivalent=same)],
    "InverseNormalization": [
        case(L.InverseNormalization(mean=torch.zeros(3), standard_deviation=torch.ones(3)), given("BC", 2, 3), equivalent=inverse(zscore)),
        case(L.InverseNormalization(normalization="zerocenter", mean=torch.zeros(2, 3)), given("BCS", 2, 3, 2), equivalent=inverse(zerocenter)),
        case(L.InverseNormalization(normalization="rescale-symmetric", min=0, max=1), given("BC", 2, 3), equivalent=inverse(symmetric)),
        case(L.InverseNormalization(normalization="rescale-zero-one", min=0, max=1), given("BC", 2, 3), equivalent=inverse(zero_one))],
}
