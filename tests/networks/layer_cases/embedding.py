"""Embeddings of indices, positions and patches against torch's functions."""

import torch
from layer_checks import case, given

import gradloom as gl

L, F = gl.layers, torch.nn.functional


def looked_up(x, p, training):
    return p["weights"][x.long()]


def padded(x, p, training):
    return F.embedding(x.long(), p["weights"]) * (x != 1)[..., None]


def waves(x, p, training):
    t = torch.arange(x.shape[1], dtype=torch.float64)
    y = [torch.sin(t / 10000 ** (k / 5)) if k % 2 == 0 else torch.cos(t / 10000 ** ((k - 1) / 5)) for k in range(5)]
    return torch.stack(y, -1)


INDICES = given("BT", 2, 3, kind="index", high=4)

CASES = {
    "Embedding": [case(L.Embedding(2, 4), INDICES, equivalent=looked_up), case(L.Embedding(2, 4, padding_index=1), INDICES, equivalent=padded),
                  case(L.Embedding(3, 4), given("BCT", 2, 1, 3, kind="index", high=4), equivalent=lambda x, p, training: looked_up(x[:, 0], p, training).mT)],
    "WordEmbedding": [case(L.WordEmbedding(2, 4), INDICES, equivalent=looked_up)],
    "PositionEmbedding": [case(L.PositionEmbedding(2, 5), given("BTC", 2, 3, 2), equivalent=lambda x, p, training: p["weights"][:3]),
                          case(L.PositionEmbedding(2, 3), given("BCS", 2, 2, 3), equivalent=lambda x, p, training: p["weights"])],
    "SinusoidalPositionEncoding": [case(L.SinusoidalPositionEncoding(5), given("BTC", 1, 4, 2), equivalent=waves)],
    "PatchEmbedding": [
        case(L.PatchEmbedding(2, 3), given("BCSS", 2, 2, 4, 2), equivalent=lambda x, p, training: torch.conv2d(x, p["weights"], p["bias"], 2).flatten(2)),
        case(L.PatchEmbedding((1, 3), 2), given("BCSS", 1, 2, 2, 3), equivalent=lambda x, p, training: torch.conv2d(x, p["weights"], p["bias"], (1, 3)).flatten(2))],
    "EmbeddingConcatenation": [
        case(L.EmbeddingConcatenation(), given("BTC", 2, 3, 2), equivalent=lambda x, p, training: torch.cat([p["weights"].expand(2, 1, 2), x], 1)),
        case(L.EmbeddingConcatenation(), given("CS", 3, 2), equivalent=lambda x, p, training: torch.cat([p["weights"][:, None], x], 1))],
}
