"""Models as people build them, beside the same model in plain torch with the same weights: what they return, and what they
return after one step of training."""

import itertools

import pytest
import torch
from helpers import seeded, tensor, uniform, within

import gradloom as gl

L, F = gl.layers, torch.nn.functional
close = within(1e-10)


def drawn(*shape):
    return uniform(shape, torch.float64, seeded("drawn", shape))


def random_weights(net):
    """The same network with parameters that hide nothing."""
    return net.replace(learnables={k: gl.dlarray(uniform(x.shape, torch.complex128 if x.dtype.is_complex else torch.float64, seeded(k), -0.5, 0.5))
                                   for k, x in net.learnables.items()})


def compare(net, xs, model, loss, torch_loss):
    """Values, and values after a step downhill, are those of model(p, *xs) with p the parameters by name."""
    net = random_weights(net)
    p = {"/".join(k): tensor(x).clone().requires_grad_() for k, x in net.learnables.items()}
    raw = [tensor(x) for x in xs]
    ours, theirs = net.predict(*xs), model(p, *raw)
    for y, its in zip(*((y if isinstance(y, tuple) else (y,)) for y in (ours, theirs)), strict=True):
        close(y, its)
    value, gradients = gl.dlfeval(lambda net: (lambda v: (v, gl.dlgradient(v, net.learnables)))(loss(net.forward(*xs))), net)
    expected = torch_loss(theirs)
    close(value, expected)
    bars = torch.autograd.grad(expected, list(p.values()))
    net = gl.dlupdate(lambda w, g: w - 0.1 * g, net, gradients)
    p = {k: (w - 0.1 * g).detach() for (k, w), g in zip(p.items(), bars, strict=True)}
    for y, its in zip(*((y if isinstance(y, tuple) else (y,)) for y in (net.predict(*xs), model(p, *raw))), strict=True):
        close(y, its)


def squares(y):
    return gl.sum(y ** 2)


def torch_squares(y):
    return (y ** 2).sum()


def torch_lstm(p, name, x, states=None):
    n = p[f"{name}/recurrent_weights"].shape[1]
    states = states or [torch.zeros(len(x), n, dtype=x.dtype)] * 2
    bias = p[f"{name}/bias"]
    y, h, c = torch.lstm(x, [s[None] for s in states], [p[f"{name}/input_weights"], p[f"{name}/recurrent_weights"], bias, torch.zeros_like(bias)],
                         True, 1, 0.0, False, False, True)
    return y, h[0], c[0]


def linear(p, name, x):
    return F.linear(x, p[f"{name}/weights"], p[f"{name}/bias"])


def test_sequence_to_label():
    net = gl.dlnetwork([L.LSTM(6, name="lstm1"), L.Dropout(0.0), L.LSTM(5, output_mode="last", name="lstm2"), L.FullyConnected(3), L.Softmax()],
                       gl.Layout((1, 1, 4), "BTC"), dtype="float64")

    def model(p, x):
        return linear(p, "fc", torch_lstm(p, "lstm2", torch_lstm(p, "lstm1", x)[0])[1]).softmax(-1)

    targets = gl.dlarray([0, 2], "B", dtype="int64")
    compare(net, [gl.dlarray(drawn(2, 7, 4), "BTC")], model, lambda y: gl.crossentropy(y, targets),
            lambda y: -(y[0, 0].log() + y[1, 2].log()) / 2)


def test_encoder_and_decoder_with_attention():
    """The encoder's last states begin the decoder, which looks back at all that the encoder wrote."""
    net = gl.dlnetwork(
        [[L.Embedding(4, 9, name="source"), L.LSTM(5, has_state_outputs=True, name="encoder")],
         [L.Embedding(4, 8, name="target"), L.LSTM(5, has_state_inputs=True, name="decoder"), L.Attention(1), L.Concatenation("C", 2), L.FullyConnected(8)]],
        gl.Layout((1, 3), "BT"), gl.Layout((1, 4), "BT"),
        connections=[("encoder/hidden", "decoder/hidden"), ("encoder/cell", "decoder/cell"), ("encoder/out", "attention/key"),
                     ("encoder/out", "attention/value"), ("decoder", "concat/in2")], dtype="float64")

    def model(p, source, target):
        keys, h, c = torch_lstm(p, "encoder", p["source/weights"][source.long()])
        y, _, _ = torch_lstm(p, "decoder", p["target/weights"][target.long()], [h, c])
        context = F.scaled_dot_product_attention(y, keys, keys)
        return linear(p, "fc", torch.cat([context, y], -1))

    xs = [gl.dlarray(torch.randint(0, n, (2, t), generator=seeded(n)).double(), "BT") for n, t in ((9, 6), (8, 4))]
    compare(net, xs, model, squares, torch_squares)


def torch_attention(p, name, x, heads, causal):
    q, k, v = (F.linear(x, p[f"{name}/{w}_weights"], p[f"{name}/{w}_bias"]).unflatten(-1, (heads, -1)).transpose(1, 2) for w in ("query", "key", "value"))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
    return F.linear(y, p[f"{name}/output_weights"], p[f"{name}/output_bias"])


def torch_norm(p, name, x):
    return F.layer_norm(x, x.shape[-1:], p[f"{name}/scale"], p[f"{name}/offset"])


def torch_block(p, name, x, heads, causal):
    x = x + torch_attention(p, f"{name}/attention", torch_norm(p, f"{name}/norm1", x), heads, causal)
    return x + linear(p, f"{name}/fc2", F.gelu(linear(p, f"{name}/fc1", torch_norm(p, f"{name}/norm2", x))))


def test_a_small_gpt():
    block = gl.transformer_block(8, 2, 16, attention_mask="causal")
    net = gl.dlnetwork(
        [[L.Identity(name="tokens"), L.Embedding(8, 11, name="embedding"), L.Addition(2, name="sum"), L.Network(block, name="block1"),
          L.Network(block, name="block2"), L.LayerNormalization(name="norm"), L.FullyConnected(11)], [L.PositionEmbedding(8, 10, name="position")]],
        gl.Layout((1, 5), "BT"), connections=[("tokens", "position"), ("position", "sum/in2")], dtype="float64")

    def model(p, tokens):
        x = p["embedding/weights"][tokens.long()] + p["position/weights"][:tokens.shape[1]]
        for name in ("block1", "block2"):
            x = torch_block(p, name, x, 2, True)
        return linear(p, "fc", torch_norm(p, "norm", x))

    tokens = torch.randint(0, 11, (2, 6), generator=seeded("tokens"))
    targets = torch.randint(0, 11, (2, 6), generator=seeded("targets"))
    compare(net, [gl.dlarray(tokens.double(), "BT")], model,
            lambda y: gl.indexcrossentropy(y, gl.dlarray(targets, "BT"), from_logits=True),
            lambda y: F.cross_entropy(y.flatten(0, 1), targets.flatten(), reduction="sum") / 2)


def test_a_vision_transformer():
    block = gl.transformer_block(8, 2, 16)
    net = gl.dlnetwork(
        [[L.ImageInput((8, 6, 3)), L.PatchEmbedding(2, 8, name="patches"), L.EmbeddingConcatenation(name="label"), L.Addition(2, name="sum"),
          L.Network(block, name="block"), L.LayerNormalization(name="norm", operation_dimension="channel-only"),
          L.Indexing1d("first"), L.FullyConnected(4)],
         [L.PositionEmbedding(8, 13, name="position")]],
        connections=[("label", "position"), ("position", "sum/in2")], dtype="float64")

    def model(p, x):
        x = F.conv2d(x, p["patches/weights"], p["patches/bias"], 2).flatten(2).mT
        x = torch.cat([p["label/weights"].expand(len(x), 1, -1), x], 1) + p["position/weights"]
        return linear(p, "fc", torch_norm(p, "norm", torch_block(p, "block", x, 2, False))[:, 0])

    compare(net, [gl.dlarray(drawn(2, 3, 8, 6), "BCSS")], model, squares, torch_squares)


def test_deeponet():
    """A branch that reads a function at its sensors, a trunk that reads a point, and the product of both."""
    net = gl.dlnetwork(
        [[L.FeatureInput(5, name="sensors"), L.FullyConnected(7, name="branch1"), L.Tanh(), L.FullyConnected(6, name="branch2"), L.Multiplication(2),
          L.Function(lambda x: gl.sum(x, axis="C", keepdims=True))],
         [L.FeatureInput(2, name="point"), L.FullyConnected(7, name="trunk1"), L.Swish(), L.FullyConnected(6, name="trunk2")]],
        connections=[("trunk2", "multiplication/in2")], dtype="float64")

    def model(p, u, x):
        b = linear(p, "branch2", linear(p, "branch1", u).tanh())
        return (b * linear(p, "trunk2", F.silu(linear(p, "trunk1", x)))).sum(-1, keepdim=True)

    compare(net, [gl.dlarray(drawn(4, 5), "BC"), gl.dlarray(drawn(4, 2), "BC")], model, squares, torch_squares)


@pytest.mark.parametrize("sizes", [(12,), (8, 6)])
def test_fourier_neural_operator(sizes):
    n = len(sizes)
    spectral = (L.SpectralConvolution1d, L.SpectralConvolution2d)[n - 1]
    labels = "BC" + "S" * n

    def lift(size, name):
        return L.FullyConnected(size, operation_dimension="channel", name=name)

    net = gl.dlnetwork(
        [[lift(4, "lift"), spectral(2, 4, name="spectral"), L.Addition(2, name="sum"), L.GELU(), lift(1, "project")], [lift(4, "bypass")]],
        gl.Layout((1, 2, *sizes), labels), connections=[("lift", "bypass"), ("bypass", "sum/in2")], dtype="float64")

    def pointwise(p, name, x):
        return linear(p, name, x.movedim(1, -1)).movedim(-1, 1)

    def model(p, x):
        x = pointwise(p, "lift", x)
        axes = tuple(range(-n, 0))
        f, w = torch.fft.rfftn(x, dim=axes), p["spectral/weights"]
        out = torch.zeros(f.shape, dtype=f.dtype)
        for signs in itertools.product((slice(0, 2), slice(-2, None)), repeat=n - 1):
            k = (slice(None), slice(None), *signs, slice(0, 2))
            out[k] = torch.einsum("bi...,oi...->bo...", f[k], w[(slice(None), slice(None), *signs)])
        return pointwise(p, "project", F.gelu(torch.fft.irfftn(out, s=sizes, dim=axes) + pointwise(p, "bypass", x)))

    compare(net, [gl.dlarray(drawn(2, 2, *sizes), labels)], model, squares, torch_squares)


def test_variational_autoencoder():
    """Two networks and a sample between them, in a loss of one's own."""
    encoder = random_weights(gl.dlnetwork([L.FeatureInput(6), L.FullyConnected(5, name="e1"), L.ReLU(), L.FullyConnected(4, name="e2")], dtype="float64"))
    decoder = random_weights(gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(5, name="d1"), L.ReLU(), L.FullyConnected(6, name="d2"), L.Sigmoid()], dtype="float64"))
    x, noise = drawn(3, 6), drawn(3, 2)

    def loss(encoder, decoder, x, noise):
        code = encoder.forward(x)
        mean, log_variance = code[:, :2], code[:, 2:]
        y = decoder.forward(mean + gl.exp(0.5 * log_variance) * noise)
        divergence = -0.5 * gl.sum(1 + log_variance - mean ** 2 - gl.exp(log_variance))
        value = gl.sum((y - x) ** 2) + divergence
        return value, *gl.dlgradient(value, encoder.learnables, decoder.learnables)

    def torch_loss(p):
        mean, log_variance = linear(p, "e2", linear(p, "e1", x).relu()).split(2, 1)
        y = linear(p, "d2", linear(p, "d1", mean + (0.5 * log_variance).exp() * noise).relu()).sigmoid()
        return ((y - x) ** 2).sum() - 0.5 * (1 + log_variance - mean ** 2 - log_variance.exp()).sum()

    p = {"/".join(k): tensor(w).clone().requires_grad_() for net in (encoder, decoder) for k, w in net.learnables.items()}
    for _ in range(2):
        value, *gradients = gl.dlfeval(loss, encoder, decoder, gl.dlarray(x, "BC"), gl.dlarray(noise, "BC"))
        expected = torch_loss(p)
        close(value, expected)
        bars = torch.autograd.grad(expected, list(p.values()))
        encoder, decoder = (gl.dlupdate(lambda w, g: w - 0.1 * g, net, g) for net, g in zip((encoder, decoder), gradients, strict=True))
        p = {k: (w - 0.1 * g).detach().requires_grad_() for (k, w), g in zip(p.items(), bars, strict=True)}
