"""Sequences of different lengths in one array: networks see each as if it were alone."""
import numpy as np
import pytest
import torch
from helpers import stream, within

import gradloom as gl

L = gl.layers
close = within(1e-12)
RNG = stream(12)
LENGTHS = (7, 3, 5)

CHAINS = {
    "lstm": [L.LSTM(5)], "lstm last": [L.LSTM(5, output_mode="last")], "gru": [L.GRU(5)],
    "gru before": [L.GRU(5, reset_gate_mode="before-multiplication")], "peephole": [L.PeepholeLSTM(3)],
    "gru bias": [L.GRU(3, reset_gate_mode="recurrent-bias-after-multiplication", output_mode="last")],
    "bilstm": [L.BiLSTM(5), L.BiLSTM(3, output_mode="last")], "projected": [L.LSTMProjected(5, 2, 2), L.GRUProjected(3, 2, 2)],
    "hard": [L.LSTM(5, gate_activation="hard-sigmoid", state_activation="softsign")],
    "attention": [L.SelfAttention(2, 4), L.LayerNormalization(), L.GlobalAveragePooling1d()],
    "causal": [L.SelfAttention(2, 4, attention_mask="causal")], "mean": [L.FullyConnected(3), L.GlobalAveragePooling1d()],
    "max": [L.FullyConnected(3), L.GlobalMaxPooling1d()], "last": [L.FullyConnected(3), L.Indexing1d("last")],
    "first": [L.FullyConnected(3), L.Indexing1d("first")],
    "middle": [L.FullyConnected(3), L.Indexing1d("middle")], "second last": [L.FullyConnected(3), L.Indexing1d(-2)],
    "same": [L.FullyConnected(3), L.Convolution1d(3, 4, padding="same"), L.ReLU(), L.Convolution1d(3, 2, padding="same"),
             L.GlobalMaxPooling1d()],
    "convolution causal": [L.FullyConnected(3), L.Convolution1d(3, 4, padding="causal", dilation_factor=2)],
    "shorter": [L.FullyConnected(3), L.Convolution1d(2, 4)],
    "strides": [L.FullyConnected(3), L.Convolution1d(3, 4, stride=2, padding=1), L.Convolution1d(2, 4, padding=1),
                L.GlobalAveragePooling1d()],
    "maxpool": [L.FullyConnected(3), L.MaxPooling1d(2, stride=2, padding=1)],
    "after maxpool": [L.MaxPooling1d(2, padding="same"), L.FullyConnected(3), L.Tanh()],
    "avgpool": [L.FullyConnected(3), L.AveragePooling1d(3, padding="same")],
    "avgpool mean": [L.FullyConnected(3), L.AveragePooling1d(3, stride=2, padding=1, padding_value="mean")],
    "nested": [gl.dlnetwork([L.FullyConnected(3), L.LSTM(2), L.Convolution1d(2, 3)], gl.Layout((1, 7, 4), "BTC"),
                            dtype="float64"), L.GlobalMaxPooling1d()],
    "transformer": [gl.transformer_block(4, 2, 8), L.GlobalAveragePooling1d()],
    "function": [L.Function(lambda x, *, mask=None: gl.where(mask, gl.tanh(x), 0) if mask is not None else gl.tanh(x))],
}
PLACES = {"positions": [L.Addition(), L.LSTM(3)], "waves": [L.Addition(), L.GlobalMaxPooling1d()]}


def chain(name):
    net = gl.dlnetwork(CHAINS[name], gl.Layout((1, 7, 4), "BTC"), dtype="float64")
    return net.replace(learnables={key: RNG.standard_normal(x.shape) * 0.5 for key, x in net.learnables.items()})


def with_positions(name):
    where = L.PositionEmbedding(4, 9, name="where") if name == "positions" else L.SinusoidalPositionEncoding(4, name="where")
    net = gl.dlnetwork([[L.SequenceInput(4, name="x"), *PLACES[name]], [where]],
                       connections=[("x", "where"), ("where", "addition/in2")], dtype="float64")
    return net.replace(learnables={key: RNG.standard_normal(x.shape) * 0.5 for key, x in net.learnables.items()})


def place(length, total, side):
    return slice(length) if side == "right" else slice(total - length, None)


def together(sequences, side):
    """The sequences in one array, padded with what is no number of theirs, and the mask."""
    total = max(map(len, sequences))
    x, mask = np.full((len(sequences), total, 4), 77.0), np.zeros((len(sequences), total), bool)
    for k, sequence in enumerate(sequences):
        its = place(len(sequence), total, side)
        x[k, its], mask[k, its] = sequence, True
    return x, mask


def loss(net, x, mask=None, kept=None):
    """A loss of the steps that are kept, and its gradients."""
    y = net.predict(x, mask=mask)
    if kept is not None and "T" in y.dims:
        y = gl.where(kept, y, 0)
    value = gl.sum(y ** 3)
    return value, gl.dlgradient(value, (net.trainable, x)), y


def check(net, side):
    sequences = [RNG.standard_normal((n, 4)) for n in LENGTHS]
    alone = [gl.dlfeval(loss, net, gl.dlarray(s[None], "BTC")) for s in sequences]
    steps = [y.sizes.get("T", 0) for _, _, y in alone]
    kept = np.zeros((3, max(steps)), bool)
    for k, n in enumerate(steps):
        kept[k, place(n, max(steps), side)] = True
    x, mask = together(sequences, side)
    value, (gradient, slope), _ = gl.dlfeval(loss, net, gl.dlarray(x, "BTC"), mask, gl.dlarray(kept, "BT"))
    close(value, sum(float(v) for v, _, _ in alone), 1e-12)
    for key, g in gradient.items():
        close(g, sum(np.asarray(its[key]) for _, (its, _), _ in alone), 1e-12)
    expected = np.zeros_like(x)
    for k, (_, (_, its), _) in enumerate(alone):
        expected[k, place(LENGTHS[k], 7, side)] = np.asarray(its)[0]
    close(slope, expected, 1e-12)  # that of padding is 0


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", CHAINS)
def test_padded_sequences_are_as_if_alone(name, side):
    check(chain(name), side)


@pytest.mark.parametrize("mask_of_heads", ["none", "causal"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_attention_reads_no_padding_whatever_it_holds(side, mask_of_heads):
    x, mask = together([RNG.standard_normal((n, 4)) for n in LENGTHS], side)
    own = gl.dlnetwork([L.SelfAttention(2, 4, attention_mask=mask_of_heads)], gl.Layout((1, 7, 4), "BTC"),
                       dtype="float64")
    of_three = gl.dlnetwork([L.Attention(2, attention_mask=mask_of_heads)], *[gl.Layout((1, 7, 4), "BTC")] * 3)
    for net, count in ((own, 1), (of_three, 3)):
        there = [mask] * count if count > 1 else mask
        y, z = [net.predict(*[gl.dlarray(np.where(mask[:, :, None], x, v), "BTC")] * count, mask=there).numpy()[mask]
                for v in (0, np.nan)]
        assert np.isfinite(y).all()
        close(y, z)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", PLACES)
def test_positions_count_from_where_a_sequence_begins(name, side):
    check(with_positions(name), side)


# ----- the operations -----


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_any_mask_leaves_states_as_they_are(kind):
    """Holes too, a sequence without any step, and whatever padding holds; first and second derivatives."""
    mask = np.array([[1, 1, 0, 1, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    gates = 4 if kind == "lstm" else 3
    arrays = [RNG.standard_normal(shape) for shape in ((4, 5, 2), (4, 3), (4, 3), (gates * 3, 2), (gates * 3, 3), (gates * 3,))]
    if kind == "gru":
        del arrays[2]

    def in_one(x, *rest):
        run = gl.lstm if kind == "lstm" else gl.gru
        return run(x, *rest, mask=gl.dlarray(mask, "BT"))

    def step_by_step(x, *rest):
        states, weights, found = list(rest[:gates - 2]), rest[gates - 2:], []
        for t in range(5):
            there = gl.dlarray(mask[:, t], "B")
            new = (gl.lstm if kind == "lstm" else gl.gru)(x[:, t:t + 1], *states, *weights)
            states = [gl.where(there, a, b) for a, b in zip(new[1:], states, strict=True)]
            found.append(states[0])
        return gl.stack(found, axis=1), *states

    def derivatives(function, *args):
        ys = [y - y ** 2 for y in function(*args)]
        value = sum(gl.sum(y) for y in ys)
        first = gl.dlgradient(value, list(args), enable_higher_derivatives=True)
        second = gl.dlgradient(sum(gl.sum(g ** 2) for g in first), list(args))
        return [*ys, *first, *second]

    args = [gl.dlarray(a, "BTC" if a.ndim == 3 else "BC" if a.shape[0] == 4 else None) for a in arrays]
    for a, b in zip(gl.dlfeval(derivatives, in_one, *args), gl.dlfeval(derivatives, step_by_step, *args), strict=True):
        close(gl.stripdims(a), gl.stripdims(b), 1e-12)
    arrays[0][~mask] = np.nan
    again = in_one(gl.dlarray(arrays[0], "BTC"), *args[1:])
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(again, in_one(*args), strict=True))


def test_recurrent_layers_in_single_precision():
    for kind in (L.LSTM, L.GRU):
        net = gl.dlnetwork([kind(8)], gl.Layout((1, 7, 4), "BTC"))
        x, mask = together([RNG.standard_normal((n, 4)).astype("float32") for n in LENGTHS], "left")
        y = net.predict(gl.dlarray(x, "BTC", dtype="float32"), mask=mask)
        close(y, net.to(dtype="float64").predict(gl.dlarray(x, "BTC"), mask=mask), 1e-6)


# ----- training -----


def test_batch_normalization_leaves_padding_out():
    net = gl.dlnetwork([L.BatchNormalization()], gl.Layout((1, 7, 4), "BTC"), dtype="float64")
    x, mask = together([RNG.standard_normal((n, 4)) for n in LENGTHS], "right")

    def gradient(net, x, mask):
        y, state = net.forward(x, mask=mask, return_state=True)
        value = gl.sum(gl.where(gl.dlarray(mask, "BT"), y, 0) ** 3) if mask is not None else gl.sum(y ** 3)
        return state, gl.dlgradient(value, (net.trainable, x))

    found, (g, slope) = gl.dlfeval(gradient, net, gl.dlarray(x, "BTC"), mask)
    expected, (h, its) = gl.dlfeval(gradient, net, gl.dlarray(x[mask], "BC"), None)
    for a, b in ((found, expected), (g, h)):
        for key in b:
            close(a[key], b[key], 1e-12)
    close(np.asarray(slope)[mask], its, 1e-11)
    assert not np.asarray(slope)[~mask].any()


def test_trainnet_with_sequences_of_different_lengths():
    """One step on all of them is the step on the sum of each alone; so are predictions and the statistics of data."""
    sequences = [RNG.standard_normal((n, 4)) + 3 for n in (7, 3, 5, 6)]
    targets = [RNG.standard_normal(2) for _ in sequences]
    layers = [L.SequenceInput(4, normalization="zscore"), L.LSTM(5), L.GlobalAveragePooling1d(), L.FullyConnected(2)]
    net = gl.dlnetwork(layers, dtype="float64")
    options = gl.TrainingOptions("sgdm", initial_learn_rate=0.1, momentum=0.0, max_epochs=1, mini_batch_size=4, l2_regularization=0.0,
                                 input_data_formats="BTC", target_data_formats="BC", shuffle="never", verbose=False)
    trained, info = gl.trainnet(list(zip(sequences, targets, strict=True)), net, "mse", options)
    every = np.concatenate(sequences)
    close(trained.state["sequenceinput", "mean"], every.mean(0), 1e-12)
    net = net.replace(state={key: trained.state[key] for key in net.state if "B" not in trained.state[key].dims
                             and key[0] == "sequenceinput"})

    def alone(net, x, t):
        value = gl.mse(net.forward(x), t)
        return value, gl.dlgradient(value, net.trainable)

    parts = [gl.dlfeval(alone, net, gl.dlarray(s[None], "BTC"), gl.dlarray(t[None], "BC"))
             for s, t in zip(sequences, targets, strict=True)]
    close(info.training["loss"][0], np.mean([float(v) for v, _ in parts]), 1e-12)
    for key, x in net.learnables.items():
        step = 0.1 * np.mean([np.asarray(g[key]) for _, g in parts], axis=0)
        close(trained.learnables[key], np.asarray(x) - step, 1e-12)
    scores = gl.minibatchpredict(net, sequences, mini_batch_size=3, input_data_formats="BTC")
    for k, s in enumerate(sequences):
        close(scores[k], net.predict(gl.dlarray(s[None], "BTC"))[0], 1e-12)
    of_each = gl.minibatchpredict(net, sequences, mini_batch_size=2, outputs="lstm", input_data_formats="BTC", uniform_output=False)
    for s, y in zip(sequences, of_each, strict=True):
        close(y, net.predict(gl.dlarray(s[None], "BTC"), outputs="lstm")[0], 1e-12)
    with pytest.raises(gl.ShapeError, match="uniform_output=False"):
        gl.minibatchpredict(net, sequences, mini_batch_size=2, outputs="lstm", input_data_formats="BTC")


def test_padding_at_either_end_trains_alike():
    sequences = [RNG.standard_normal((n, 4)) for n in (7, 3, 5, 6)]
    targets = [RNG.standard_normal((len(s), 2)) for s in sequences]
    net = gl.dlnetwork([L.SequenceInput(4), L.BiLSTM(3), L.FullyConnected(2)], dtype="float64")
    found = []
    for side in ("right", "left"):
        options = gl.TrainingOptions("adam", max_epochs=3, mini_batch_size=3, input_data_formats="BTC", verbose=False,
                                     target_data_formats="BTC", sequence_padding_direction=side, shuffle="never")
        found.append(gl.trainnet(list(zip(sequences, targets, strict=True)), net, "mse", options)[0])
    for key, x in found[0].learnables.items():
        close(x, found[1].learnables[key], 1e-12)


def test_a_queue_without_masks_keeps_its_targets():
    x, t = RNG.standard_normal((6, 5, 4)), RNG.standard_normal((6, 5, 2))
    queue = gl.minibatchqueue((x, t), 3, formats=["BTC", "BTC"], cast="float64")
    net = gl.dlnetwork([L.SequenceInput(4), L.LSTM(2)], dtype="float64")
    _, info = gl.trainnet(queue, net, "mse", gl.TrainingOptions("sgdm", max_epochs=2, verbose=False))
    assert len(info.training["loss"]) == 4 and not queue.masks


# ----- what layers of one's own do -----


class Mean(gl.Layer):
    """The mean over the steps that are there."""

    def predict(self, x, *, mask=None):
        if mask is None:
            return gl.mean(x, axis="T")
        return gl.sum(gl.where(mask, x, 0), axis="T") / gl.sum(mask.astype(x.dtype), axis="T")


class Half(gl.Layer):
    """Every second step."""

    def predict(self, x, *, mask=None):
        return x[x.at(T=slice(0, None, 2))]

    def output_mask(self, mask, y):
        return mask[mask.at(T=slice(0, None, 2))]


class Blind(gl.Layer):
    """The mean over all steps, padding or not."""

    def predict(self, x):
        return gl.mean(x, axis="T")


def test_layers_of_ones_own_are_told():
    x, mask = together([RNG.standard_normal((n, 4)) for n in LENGTHS], "right")
    net = gl.dlnetwork([Half(), Mean()], gl.Layout((1, 7, 4), "BTC"))
    y = net.predict(gl.dlarray(x, "BTC"), mask=gl.dlarray(mask, "BT"))
    close(y, [x[k, :n:2].mean(0) for k, n in enumerate(LENGTHS)], 1e-12)
    assert net(gl.dlarray(x, "BTC")).sizes == {"B": 3, "C": 4}


def test_a_mask_reaches_what_is_shared_and_what_is_nested():
    shared = gl.dlnetwork([[L.SequenceInput(4, name="a"), L.LSTM(3, name="lstm", output_mode="last", has_state_inputs=False),
                            L.Concatenation("C")], [L.SequenceInput(4, name="b"), L.Shared("lstm", name="again")]],
                          connections=[("again", "concat/in2")], dtype="float64")
    x, mask = together([RNG.standard_normal((n, 4)) for n in LENGTHS], "right")
    y = shared.predict(gl.dlarray(x, "BTC"), gl.dlarray(x[:, :3], "BTC"), mask=[mask, None])
    for k, n in enumerate(LENGTHS):
        alone = shared.predict(gl.dlarray(x[k:k + 1, :n], "BTC"), gl.dlarray(x[k:k + 1, :3], "BTC"))
        close(y[k], alone[0], 1e-12)


@pytest.mark.parametrize(("layers", "said"), [
    ([Blind()], "write def predict"),
    ([L.Function(lambda x: gl.mean(x, axis="T"))], "give the function a keyword"),
    ([L.Function(lambda x: x[:, ::2])], "output_mask"),
    ([L.Convolution1d(3, 2, stride=2, padding="same")], "write padding=1"),
    ([L.Convolution1d(3, 2, padding=1, padding_value="replicate")], "padding_value=0"),
    ([L.TransposedConvolution1d(3, 2)], "before the sequences are padded"),
    ([L.InstanceNormalization()], "channel-only"),
    ([L.LayerNormalization(operation_dimension="batch-excluded")], "channel-only"),
    ([L.Indexing1d(4)], "the shortest has 3 steps")])
def test_what_would_count_padding_is_refused(layers, said):
    net = gl.dlnetwork(layers, gl.Layout((1, 7, 4), "BTC"), dtype="float64")
    x, mask = together([RNG.standard_normal((n, 4)) for n in LENGTHS], "right")
    with pytest.raises(gl.GradloomError, match=said) as caught:
        net.predict(gl.dlarray(x, "BTC"), mask=mask)
    assert "test_masked_sequences.py" in str(caught.value)
    net.predict(gl.dlarray(x, "BTC"), mask=np.ones((3, 7)))  # hides nothing


@pytest.mark.parametrize(("mask", "said"), [
    (np.ones((3, 6)), "axes B and T of x"), (gl.dlarray(np.ones((3, 4)), "BC"), "axes B and T of x"),
    ([np.ones((3, 7)), None], "axes B and T|mask"), (gl.dlarray(np.ones(3), "B"), "axes B and T of x")])
def test_masks_that_do_not_fit_are_refused(mask, said):
    net = gl.dlnetwork([L.LSTM(2)], gl.Layout((1, 7, 4), "BTC"))
    with pytest.raises((gl.GradloomError, ValueError), match=said):
        net.predict(gl.zeros((3, 7, 4), "BTC"), mask=mask)


def test_a_mask_of_what_has_no_time_is_refused():
    net = gl.dlnetwork([L.FeatureInput(4)])
    with pytest.raises(gl.LabelError, match="label the axis of time T"):
        net.predict(gl.zeros((3, 4), "BC"), mask=np.ones(3))


def test_masked_networks_are_replayed():
    net = chain("bilstm")

    def step(net, x, mask):
        return loss(net, x, mask)[:2]

    fast = gl.dlaccelerate(step)
    for n in range(6):
        x, mask = together([np.random.default_rng(n).standard_normal((m, 4)) for m in ((7, 3, 5), (7, 2, 6))[n % 2]], "right")
        args = net, gl.dlarray(x, "BTC"), gl.dlarray(mask, "BT")
        (value, (g, _)), (same, (h, _)) = gl.dlfeval(fast, *args), gl.dlfeval(step, *args)
        close(value, same, 1e-12)
        for key in g:
            close(g[key], h[key], 1e-12)
    assert fast.hit_rate > 0


def test_masks_against_packed_sequences_of_torch():
    module = torch.nn.LSTM(4, 5, batch_first=True, dtype=torch.float64)
    net = gl.dlnetwork([L.LSTM(5)], gl.Layout((1, 7, 4), "BTC"), dtype="float64")
    net = net.replace(learnables={("lstm", "input_weights"): module.weight_ih_l0.detach(),
                                  ("lstm", "recurrent_weights"): module.weight_hh_l0.detach(),
                                  ("lstm", "bias"): (module.bias_ih_l0 + module.bias_hh_l0).detach()})
    x, mask = together([RNG.standard_normal((n, 4)) for n in LENGTHS], "right")
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), torch.tensor(LENGTHS), True, enforce_sorted=False)
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)
    y = net.predict(gl.dlarray(x, "BTC"), mask=mask)
    close(np.asarray(y)[mask], out.detach().numpy()[mask], 1e-12)
