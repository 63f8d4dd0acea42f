"""Attention against torch's."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def heads(x, count):
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def attend(q, k, v, count, groups=None, causal=False, mask=None, scale=None):
    """(y, weights) for (B, T, C)."""
    groups = groups or count
    q, k, v = heads(q, count), heads(k, groups), heads(v, groups)
    k, v = (x.repeat_interleave(count // groups, 1) for x in (k, v))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    if mask is not None:
        scores = scores.masked_fill((mask == 0)[:, None, None], -torch.inf)
    weights = scores.softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2), weights


def self_attention(count, **options):
    """Projections around it."""
    def equivalent(x, mask=None, *, p, training):
        q, k, v = (x @ p[f"{name}_weights"].T + p[f"{name}_bias"] for name in ("query", "key", "value"))
        y, weights = attend(q, k, v, count, mask=mask, **options)
        y = y @ p["output_weights"].T + p["output_bias"]
        return y
    return equivalent


def scored(x, p, training):
    q, k, v = (x @ p[f"{name}_weights"].T + p[f"{name}_bias"] for name in ("query", "key", "value"))
    y, weights = attend(q, k, v, 2)
    return y @ p["output_weights"].T + p["output_bias"], weights


Q, K, V = given("BTC", 2, 2, 4), given("BTC", 2, 3, 4), given("BTC", 2, 3, 2)

CASES = {
    "Attention": [
        case(L.Attention(2), Q, K, V, equivalent=lambda q, k, v, p, training: attend(q, k, v, 2)[0]),
        case(L.Attention(2, attention_mask="causal", scale=0.7), Q, Q, Q, equivalent=lambda q, k, v, p, training: attend(q, k, v, 2, causal=True, scale=0.7)[0]),
        case(L.Attention(4, num_key_heads=2), given("BTC", 2, 2, 4), given("BTC", 2, 3, 2), given("BTC", 2, 3, 4),
             equivalent=lambda q, k, v, p, training: attend(q, k, v, 4, 2)[0]),
        case(L.Attention(2, has_scores_output=True), Q, K, V, equivalent=lambda q, k, v, p, training: attend(q, k, v, 2)),
        case(L.Attention(1, dropout_probability=0.4), given("BTC", 1, 2, 2), given("BTC", 1, 3, 2), given("BTC", 1, 3, 2),
             equivalent=lambda q, k, v, p, training: (attend(q, k, v, 1)[1] * (p["kept"] if training else 1.0) @ v[:, None]).squeeze(1),
             drawn=lambda run, q, k, v: {"kept": 3 * run(0 * q, k, gl.dlarray(gl.eye(3)[None], "BTC"))}),
    ],
    "SelfAttention": [
        case(L.SelfAttention(2, 4), given("BTC", 2, 3, 2), equivalent=self_attention(2)),
        case(L.SelfAttention(2, 2, num_value_channels=4, output_size=3, attention_mask="causal"), given("BTC", 2, 3, 2), equivalent=self_attention(2, causal=True)),
        case(L.SelfAttention(4, 4, num_key_heads=2), given("BTC", 1, 3, 2), equivalent=self_attention(4, groups=2)),
        case(L.SelfAttention(2, 2, has_scores_output=True), given("BTC", 2, 2, 2), equivalent=scored),
        case(L.SelfAttention(2, 2, has_padding_mask_input=True), given("BTC", 2, 3, 2), given("BT", 2, 3, kind="truth"), equivalent=self_attention(2)),
        case(L.SelfAttention(1, 2, has_padding_mask_input=True), given("BSC", 2, 3, 2), given("BS", 2, 3, kind="truth"), equivalent=self_attention(1)),
        case(L.SelfAttention(1, 2), given("BSC", 2, 3, 2), equivalent=self_attention(1)),
    ],
}
