"""What recurrent layers carry from call to call, how they begin, and what they say."""

import numpy as np
import pytest
import torch
from helpers import seeded, tensor, uniform, within

import gradloom as gl
from gradloom.networks.initialize import orthogonal

L = gl.layers
close = within(1e-12)
KINDS = [L.LSTM, L.PeepholeLSTM, L.BiLSTM, L.GRU]


def drawn(*shape):
    return uniform(shape, torch.float64, seeded(shape))


@pytest.mark.parametrize("kind", [L.LSTM, L.PeepholeLSTM, L.GRU])
@pytest.mark.parametrize("labels", ["BTC", "CBT", "TC"])
def test_two_halves_of_a_sequence_are_the_whole_where_the_state_is_kept(kind, labels):
    x = gl.dlarray(drawn(*[{"B": 2, "T": 6, "C": 3}[c] for c in labels]), labels)
    net = gl.dlnetwork([kind(4)], x, dtype="float64")
    whole, end = net.predict(x, return_state=True)
    first, state = net.predict(gl.take(x, [0, 1, 2], axis="T"), return_state=True)
    second, state = net.replace(state=state).predict(gl.take(x, [3, 4, 5], axis="T"), return_state=True)
    close(gl.concat([first, second], axis="T"), whole)
    for a, b in zip(state.values(), end.values(), strict=True):
        close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_network_begins_anew(kind):
    x = gl.dlarray(drawn(2, 6, 3), "BTC")
    net = gl.dlnetwork([kind(4)], x, dtype="float64")
    y, state = net.predict(x, return_state=True)
    used = net.replace(state=state)
    assert float(gl.norm(used.predict(x) - y)) > 1e-3
    close(used.reset_state().predict(x), y)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_at_the_end_changes_nothing(kind):
    """What a mask leaves is the shorter sequence, whatever the padding holds, as torch's packed sequences say."""
    x, lengths = drawn(2, 6, 3), [3, 6]
    mask = torch.tensor([[t < n for t in range(6)] for n in lengths])
    net = gl.dlnetwork([kind(4, has_mask_input=True, output_mode="last")], gl.Layout((1, 6, 3), "BTC"), gl.Layout((1, 6), "BT"), dtype="float64")
    plain = gl.dlnetwork([kind(4, output_mode="last")], gl.Layout((1, 6, 3), "BTC"), dtype="float64").replace(
        learnables=dict(net.learnables))
    y = net(gl.dlarray(x, "BTC"), gl.dlarray(mask, "BT"))
    for k, n in enumerate(lengths):
        close(y[k], plain(gl.dlarray(x[k, :n], "TC")))
    other = x.clone()
    other[0, 3:] = 100.0
    close(net(gl.dlarray(other, "BTC"), gl.dlarray(mask, "BT")), y)


def test_packed_sequences_of_torch():
    lstm = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True, dtype=torch.float64)
    x, lengths = drawn(3, 5, 3), torch.tensor([5, 2, 3])
    net = gl.dlnetwork([L.BiLSTM(4, has_mask_input=True, output_mode="last")], gl.Layout((1, 5, 3), "BTC"), gl.Layout((1, 5), "BT"), dtype="float64")
    both = {word: torch.cat([getattr(lstm, f"{name}_l0"), getattr(lstm, f"{name}_l0_reverse")]).detach()
            for word, name in (("input_weights", "weight_ih"), ("recurrent_weights", "weight_hh"))}
    both["bias"] = torch.cat([lstm.bias_ih_l0 + lstm.bias_hh_l0, lstm.bias_ih_l0_reverse + lstm.bias_hh_l0_reverse]).detach()
    net = net.replace(learnables={("bilstm", word): value for word, value in both.items()})
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    _, (h, _) = lstm(packed)
    mask = torch.arange(5) < lengths[:, None]
    close(net(gl.dlarray(x, "BTC"), gl.dlarray(mask, "BT")), h.transpose(0, 1).flatten(1))


def test_another_batch_is_said_with_its_states():
    x = gl.dlarray(drawn(2, 6, 3), "BTC")
    net = gl.dlnetwork([L.LSTM(4)], x, dtype="float64")
    _, state = net.predict(x, return_state=True)
    with pytest.raises(gl.ShapeError, match=r"carries the states of 2 observations, x 3\(B\) x 6\(T\) x 3\(C\) has 3, at test_rec.*net\.reset_state"):
        net.replace(state=state).predict(gl.dlarray(drawn(3, 6, 3), "BTC"))


def test_how_weights_begin():
    net = gl.dlnetwork([L.LSTM(6)], gl.Layout((3, 1, 1), "CBT"), dtype="float64")
    r = tensor(net.learnables["lstm", "recurrent_weights"]).reshape(4, 6, 6)
    assert (r @ r.mT - torch.eye(6)).abs().max() < 1e-5
    assert net.learnables["lstm", "bias"].tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12
    tall, wide = tensor(orthogonal((5, 3))), tensor(orthogonal((3, 5)))
    assert (tall.T @ tall - torch.eye(3)).abs().max() < 1e-5
    assert (wide @ wide.T - torch.eye(3)).abs().max() < 1e-5


@pytest.mark.parametrize(("make", "message"), [
    (lambda: L.LSTM(0), "LSTM's hidden_size is a positive integer, not 0"),
    (lambda: L.GRU(3, output_mode="final"), "GRU's output_mode is one of 'sequence', 'last', not 'final'"),
    (lambda: L.GRU(3, reset_gate_mode="after"), "GRU's reset_gate_mode is one of 'after-multiplication'"),
    (lambda: L.LSTMProjected(3, 0, 1), "LSTMProjected's output_projector_size is a positive integer"),
    (lambda: L.SelfAttention(3, 4), "num_heads divides num_key_channels, which 3 and 4 do not"),
    (lambda: L.Attention(4, num_key_heads=3), "num_key_heads divides num_heads, which 3 and 4 do not"),
    (lambda: L.ClippedReLU(-1.0), "ClippedReLU's ceiling is a number of at least 0, not -1.0"),
    (lambda: L.SpectralConvolution2d((1, 2, 3), 4), "num_modes is a positive integer, or 2 of them"),
    (lambda: gl.transformer_block(4, 2, 8, normalization="batch"), "normalization is one of 'layer', 'rms', not 'batch'"),
    (lambda: gl.dlnetwork([L.LSTM(3)], gl.Layout((2, 2), "BT")), "needs an axis C or S"),
    (lambda: gl.dlnetwork([L.PatchEmbedding(3, 4)], gl.Layout((1, 2, 8, 8), "BCSS")), "patches of 3, which divide the axes S"),
    (lambda: gl.dlnetwork([L.SpectralConvolution1d(5, 4)], gl.Layout((1, 2, 8), "BCS")), "at most half as many modes as points"),
    (lambda: gl.dlnetwork([L.PositionEmbedding(2, 3)], gl.Layout((1, 2, 8), "BCT")), r"has 3 positions, x is 1\(B\) x 2\(C\) x 8\(T\)"),
    (lambda: gl.dlnetwork([L.PReLU()], gl.Layout((2, 8), "BT")), r"the layer 'prelu' \(PReLU\) needs an axis C"),
    (lambda: gl.dlnetwork([L.Embedding(2, 3)], gl.Layout((2, 8), "BT")).to(dtype="float64").predict(gl.dlarray([3], "T")), "index 3"),
    (lambda: gl.dlnetwork([L.Embedding(2, 300)], gl.Layout((2, 8), "BT"), dtype="bfloat16"), "bfloat16, to which the network casts"),
    (lambda: L.NeuralODE(L.ReLU(), (0.0, 1.0)), "NeuralODE takes a dlnetwork, not ReLU"),
    (lambda: gl.lstm(gl.zeros((2, 3), "TC"), [0.0], [0.0], gl.ones((4, 3)), gl.ones((4, 1)), gl.zeros(4), mask=[1, 0, 1]), r"mask is .*3.*axes T and B of x"),
    (lambda: gl.lstm(gl.zeros((2, 3), "TC"), [0.0], [0.0], gl.ones((4, 3)), gl.ones((4, 1)), gl.zeros(4), peephole_weights=[1.0]), r"peephole_weights is .*it is \(3,\)"),
])
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(gl.GradloomError, match=message) as caught:
        make()
    assert "test_recurrent_layers.py" in str(caught.value)


def test_a_reset_keeps_what_training_has_found():
    net = gl.dlnetwork([L.SequenceInput(2), L.LSTM(3, name="lstm"), L.BatchNormalization(name="bn")], dtype="float64")
    _, state = net.forward(gl.ones((2, 4, 3), "CBT"), return_state=True)
    again = net.replace(state=state).reset_state()
    assert np.array_equal(again.state["lstm", "hidden_state"], np.zeros(3))
    assert np.array_equal(again.state["bn", "trained_mean"], state["bn", "trained_mean"])
    assert np.any(np.asarray(state["bn", "trained_mean"]))
