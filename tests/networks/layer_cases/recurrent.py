"""Recurrent layers against torch's, and, where torch has none, against their formulas step by step."""

import torch
from layer_checks import case, given

import gradloom as gl

L = gl.layers


def states_of(p, batch, names=("hidden_state", "cell_state")):
    return [p[name].expand(batch, -1) for name in names]


def lstm_of(x, h, c, w, r, b):
    """(y, h, c) of torch for x (B, T, C)."""
    y, h, c = torch.lstm(x, (h[None], c[None]), [w, r, b, torch.zeros_like(b)], True, 1, 0.0, False, False, True)
    return y, h[0], c[0]


def lstm(x, p, training):
    y, h, c = lstm_of(x, *states_of(p, len(x)), p["input_weights"], p["recurrent_weights"], p["bias"])
    return y, {"hidden_state": h, "cell_state": c}


def last_lstm(x, p, training):
    _, states = lstm(x, p, training)
    return states["hidden_state"], states


def lstm_with_states(x, h, c, p, training):
    return lstm_of(x, h, c, p["input_weights"], p["recurrent_weights"], p["bias"])


def steps(x, h, c, w, r, b, peephole=None, mask=None, gate=torch.sigmoid, state=torch.tanh):
    """The formula of one step after the other, x (B, T, C)."""
    n, ys = h.shape[-1], []
    pi, pf, po = torch.zeros(3, n, dtype=x.dtype) if peephole is None else peephole.reshape(3, n)
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ w.T + h @ r.T + b).split(n, 1)
        new = gate(f + pf * c) * c + gate(i + pi * c) * state(g)
        out = gate(o + po * new) * state(new)
        m = torch.ones(len(x), 1, dtype=torch.bool) if mask is None else mask[:, t, None] != 0
        h, c = torch.where(m, out, h), torch.where(m, new, c)
        ys.append(h)
    return torch.stack(ys, 1), h, c


def peephole(x, p, training):
    y, h, c = steps(x, *states_of(p, len(x)), p["input_weights"], p["recurrent_weights"], p["bias"], p["peephole_weights"])
    return y, {"hidden_state": h, "cell_state": c}


def hard(x):
    return (0.2 * x + 0.5).clip(0, 1)


def softsign(x, p, training):
    y, h, c = steps(x, *states_of(p, len(x)), p["input_weights"], p["recurrent_weights"], p["bias"], gate=hard, state=torch.nn.functional.softsign)
    return y, {"hidden_state": h, "cell_state": c}


def masked(x, mask, p, training):
    y, h, c = steps(x, *states_of(p, len(x)), p["input_weights"], p["recurrent_weights"], p["bias"], mask=mask)
    return h, {"hidden_state": h, "cell_state": c}


def projected(x, p, training):
    y, h, c = steps(x, *states_of(p, len(x)), p["input_weights"] @ p["input_projector"].T, p["recurrent_weights"] @ p["output_projector"].T, p["bias"])
    return y, {"hidden_state": h, "cell_state": c}


def both_ways(x, p, training, mask=None):
    halves = [w.chunk(2) for w in (p["input_weights"], p["recurrent_weights"], p["bias"])]
    states = [s.expand(len(x), -1).chunk(2, 1) for s in (p["hidden_state"], p["cell_state"])]
    found = []
    for k in range(2):
        flipped = [None if a is None else a.flip(1) if k else a for a in (x, mask)]
        y, h, c = steps(flipped[0], states[0][k], states[1][k], *[w[k] for w in halves], mask=flipped[1])
        found.append((y.flip(1) if k else y, h, c))
    y, h, c = (torch.cat(parts, -1) for parts in zip(*found, strict=True))
    return y, {"hidden_state": h, "cell_state": c}


def last_both_ways(x, mask, p, training):
    _, states = both_ways(x, p, training, mask)
    return states["hidden_state"], states


def gru(x, p, training):
    """torch's, whose new gate has a bias inside the product with the reset gate."""
    b, rb = p["bias"].chunk(2)
    y, h = torch.gru(x, p["hidden_state"].expand(1, len(x), -1).contiguous(), [p["input_weights"], p["recurrent_weights"], b, rb], True, 1, 0.0, False, False, True)
    return y, {"hidden_state": h[0]}


def gru_steps(x, h, w, r, b, before=False, mask=None):
    n, ys = h.shape[-1], []
    for t in range(x.shape[1]):
        xr, xu, xn = (x[:, t] @ w.T + b).split(n, 1)
        rr, ru, rn = r.split(n)
        reset, update = torch.sigmoid(xr + h @ rr.T), torch.sigmoid(xu + h @ ru.T)
        new = torch.tanh(xn + ((reset * h) @ rn.T if before else reset * (h @ rn.T)))
        m = torch.ones(len(x), 1, dtype=torch.bool) if mask is None else mask[:, t, None] != 0
        h = torch.where(m, (1 - update) * new + update * h, h)
        ys.append(h)
    return torch.stack(ys, 1), h


def gru_before(x, p, training):
    y, h = gru_steps(x, p["hidden_state"].expand(len(x), -1), p["input_weights"], p["recurrent_weights"], p["bias"], True)
    return y, {"hidden_state": h}


def gru_after(x, p, training):
    y, h = gru_steps(x, p["hidden_state"].expand(len(x), -1), p["input_weights"], p["recurrent_weights"], p["bias"])
    return y, {"hidden_state": h}


def gru_masked(x, mask, p, training):
    y, h = gru_steps(x, p["hidden_state"].expand(len(x), -1), p["input_weights"], p["recurrent_weights"], p["bias"], mask=mask)
    return y, {"hidden_state": h}


def gru_with_states(x, h, p, training):
    return gru_steps(x, h, p["input_weights"], p["recurrent_weights"], p["bias"])


def gru_projected(x, p, training):
    y, h = gru_steps(x, p["hidden_state"].expand(len(x), -1), p["input_weights"] @ p["input_projector"].T, p["recurrent_weights"] @ p["output_projector"].T, p["bias"])
    return y, {"hidden_state": h}


X = given("BTC", 2, 3, 2)
MASK = given("BT", 2, 3, kind="truth")
H = given("BC", 2, 2)

CASES = {
    "LSTM": [case(L.LSTM(2), X, equivalent=lstm),
             case(L.LSTM(2, output_mode="last"), X, equivalent=last_lstm),
             case(L.LSTM(2, has_state_inputs=True, has_state_outputs=True), X, H, H, equivalent=lstm_with_states),
             case(L.LSTM(2, state_activation="softsign", gate_activation="hard-sigmoid"), X, equivalent=softsign),
             case(L.LSTM(2, output_mode="last", has_mask_input=True), X, MASK, equivalent=masked)],
    "PeepholeLSTM": [case(L.PeepholeLSTM(2), X, equivalent=peephole)],
    "LSTMProjected": [case(L.LSTMProjected(3, 2, 1), X, equivalent=projected)],
    "BiLSTM": [case(L.BiLSTM(2), X, equivalent=both_ways),
               case(L.BiLSTM(1, output_mode="last", has_mask_input=True), X, MASK, equivalent=last_both_ways)],
    "GRU": [case(L.GRU(2, reset_gate_mode="recurrent-bias-after-multiplication"), X, equivalent=gru),
            case(L.GRU(2), X, equivalent=gru_after),
            case(L.GRU(2, reset_gate_mode="before-multiplication"), X, equivalent=gru_before),
            case(L.GRU(2, has_mask_input=True), X, MASK, equivalent=gru_masked),
            case(L.GRU(2, has_state_inputs=True, has_state_outputs=True), X, H, equivalent=gru_with_states)],
    "GRUProjected": [case(L.GRUProjected(3, 2, 1), X, equivalent=gru_projected)],
}
