"""Torch modules as networks: values, gradients, states and second derivatives are torch's own."""

import copy
import dataclasses
import inspect
import pickle
import threading

import pytest
import torch
from helpers import seed_torch
from torch import nn

import gradloom as gl
from gradloom.interop.torch import from_torch
from gradloom.interop.torch.aten.wrapped import Wrapped

double = torch.float64


def made(seed=0, *shape):
    return torch.randn(shape, dtype=double, generator=torch.Generator().manual_seed(seed))


def all_outputs(result):
    if isinstance(result, (tuple, list)):
        return [y for part in result for y in all_outputs(part)]
    return [] if result is None else [result]


def weighed(result, total, product):
    """A scalar that reads every output with its own weights."""
    loss = 0
    for k, y in enumerate(all_outputs(result)):
        weights = made(100 + k, *y.shape)
        loss = loss + total(product(y, weights)) + total(product(y * y, weights))
    return loss


def torch_loss(module, xs, options):
    result = module(*xs, **options)
    return result, weighed(result, torch.sum, lambda y, w: y * w)


def agree(module, *xs, training=True, tolerance=1e-9, **options):
    """from_torch's outputs, gradients and states equal torch's, in training or evaluation."""
    module = module.double()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    net = from_torch(module)
    rival = copy.deepcopy(module).train(training)
    xs = [x.clone().requires_grad_(x.is_floating_point()) for x in xs]
    floats = [x for x in xs if x.is_floating_point()]

    def fun(net, *xs):
        result, state = (net.forward if training else net.predict)(*xs, return_state=True, **options)
        loss = weighed(result, gl.sum, lambda y, w: y * gl.dlarray(w))
        targets = [net.learnables, *[x for x in xs if x.traced]]
        return result, state, loss, gl.dlgradient(loss, targets)

    result, state, loss, gradients = gl.dlfeval(fun, net, *[gl.dlarray(x.detach()) for x in xs])
    expected, expected_loss = torch_loss(rival, xs, options)
    parameters = [p for p in rival.parameters() if p.requires_grad]
    references = torch.autograd.grad(expected_loss, [*parameters, *floats], allow_unused=True)
    for y, e in zip(all_outputs(result), all_outputs(expected), strict=True):
        torch.testing.assert_close(y._value, e.detach(), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(loss._value, expected_loss.detach(), rtol=tolerance, atol=tolerance)
    ours = [*gradients[0].values(), *gradients[1:]]
    for g, r, p in zip(ours, references, [*parameters, *floats], strict=True):
        torch.testing.assert_close(g._value, torch.zeros_like(p) if r is None else r, rtol=tolerance, atol=tolerance)
    buffers = dict(rival.named_buffers())
    for (layer, name), value in state.items():
        key = f"{layer}.{name}" if layer else name
        if key in buffers:
            torch.testing.assert_close(value._value, buffers[key], rtol=tolerance, atol=tolerance)
    for k, v in module.state_dict().items():  # the module itself is untouched
        assert torch.equal(v, before[k])
        assert not isinstance(v, Wrapped)
    assert all(p.grad is None for p in module.parameters())
    return net


def agree_twice(module, x, training=True, tolerance=1e-8):
    """A Hessian-vector product with respect to the parameters equals torch's."""
    module = module.double().train(training)
    net = from_torch(module)
    parameters = [p for p in module.parameters() if p.requires_grad]
    vectors = [made(7 + k, *p.shape) for k, p in enumerate(parameters)]
    _, loss = torch_loss(copy.deepcopy(module), [x], {})
    rival = copy.deepcopy(module)
    own = [p for p in rival.parameters() if p.requires_grad]
    _, loss = torch_loss(rival, [x], {})
    first = torch.autograd.grad(loss, own, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(first, vectors, strict=True))
    second = torch.autograd.grad(along, own, allow_unused=True)

    def fun(net, x):
        result = (net.forward if training else net.predict)(x)
        loss = weighed(result, gl.sum, lambda y, w: y * gl.dlarray(w))
        gradients = gl.dlgradient(loss, net.learnables, enable_higher_derivatives=True)
        along = sum(gl.sum(g * gl.dlarray(v)) for g, v in zip(gradients.values(), vectors, strict=True))
        return gl.dlgradient(along, net.learnables)

    ours = gl.dlfeval(fun, net, gl.dlarray(x))
    for g, r, p in zip(ours.values(), second, own, strict=True):
        torch.testing.assert_close(g._value, torch.zeros_like(p) if r is None else r, rtol=tolerance, atol=tolerance)


def mlp():
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3))


def cnn():
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, stride=2, groups=2),
                         nn.BatchNorm2d(6, momentum=0.3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3), nn.LogSoftmax(-1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


class Writes(nn.Module):
    """Views of views, writes through them, buffers made inside, and a read of a view after a write elsewhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(made(1, 4, 4))
        self.register_buffer("seen", torch.zeros(4, dtype=double))

    def forward(self, x):
        y = x @ self.weight
        head, tail = y[:, :2], y[:, 2:]
        early = y.t()[1]
        head.mul_(2)
        tail[0].copy_(head[1] * 3)
        y[:, 3].add_(early)
        z = torch.zeros(3, 4, dtype=x.dtype)
        for k in range(3):
            z[k] = y[k] * (k + 1)
        z[z > 1] = 0.5
        z.view(-1)[::5] *= early.sum()
        out = torch.empty_like(z)
        out.copy_(z * y)
        self.seen.add_(out.detach().sum(0))
        return out, early


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", [
    (mlp, (6, 5)), (cnn, (4, 2, 9, 9)), (lambda: nn.BatchNorm1d(3), (5, 3)), (lambda: nn.BatchNorm1d(3, momentum=None), (5, 3, 2)),
    (lambda: nn.BatchNorm3d(2, track_running_stats=False), (3, 2, 2, 3, 2)), (Residual, (2, 3, 5, 5)),
    (lambda: nn.LSTM(3, 4), (5, 2, 3)), (lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), (2, 5, 3)),
    (lambda: nn.LSTM(3, 4, proj_size=2), (5, 2, 3)), (lambda: nn.GRU(3, 4), (5, 2, 3)),
    (lambda: nn.GRU(3, 4, num_layers=2, bidirectional=True, bias=False), (5, 2, 3)), (lambda: nn.RNN(3, 4, nonlinearity="relu"), (5, 2, 3)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (2, 5, 8)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, norm_first=True, activation="gelu"), (5, 2, 8)),
    (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2), (2, 5, 8)),
    (lambda: nn.GroupNorm(2, 4), (3, 4, 5)), (lambda: nn.LayerNorm((4, 5)), (3, 4, 5)), (lambda: nn.LayerNorm(5, elementwise_affine=False), (3, 4, 5)),
    (lambda: nn.RMSNorm(5), (3, 5)), (lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 4, 4)),
    (lambda: nn.LocalResponseNorm(2), (2, 4, 3)),
    (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), (2, 3, 4, 4)),
    (lambda: nn.ConvTranspose1d(4, 6, 3, groups=2, dilation=2), (2, 4, 5)), (lambda: nn.ConvTranspose3d(2, 2, 2), (1, 2, 3, 2, 2)),
    (lambda: nn.Conv1d(2, 3, 3, padding="same", padding_mode="reflect"), (2, 2, 6)), (lambda: nn.Conv2d(2, 3, 3, padding_mode="circular", padding=1), (2, 2, 4, 4)),
    (lambda: nn.Conv3d(2, 3, 2, dilation=2), (1, 2, 4, 4, 4)),
    (lambda: nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 5, 7)), (lambda: nn.AdaptiveMaxPool2d((3, 2)), (2, 3, 5, 7)), (lambda: nn.AdaptiveAvgPool1d(3), (2, 3, 7)),
    (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 3, 6, 8)), (lambda: nn.AvgPool3d(2, divisor_override=3), (1, 2, 4, 4, 4)),
    (lambda: nn.MaxPool1d(3, 2, dilation=2, ceil_mode=True), (2, 3, 9)), (lambda: nn.LPPool1d(2, 3), (2, 3, 9)),
    (lambda: nn.Upsample(scale_factor=2), (2, 3, 4, 4)), (lambda: nn.Upsample(size=(7, 5), mode="bilinear"), (2, 3, 4, 4)),
    (lambda: nn.Upsample(scale_factor=1.5, mode="bicubic", align_corners=True), (1, 2, 4, 4)),
    (lambda: nn.Upsample(scale_factor=2, mode="linear"), (2, 3, 4)), (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), (1, 2, 3, 2, 2)),
    (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (2, 4)), (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)), (2, 4)),
    (lambda: nn.PReLU(3), (2, 3, 4)), (lambda: nn.Sequential(nn.ZeroPad2d(1), nn.Softplus(2.0), nn.Softshrink(0.2)), (2, 3, 4, 4)),
    (lambda: nn.Sequential(nn.PixelShuffle(2), nn.ReflectionPad2d(1), nn.Unfold(2)), (2, 4, 3, 3)), (lambda: nn.Fold((4, 5), (2, 2)), (2, 12, 12)),
    (Writes, (3, 4)),
], ids=lambda case: getattr(case[0], "__name__", "") if case[0].__name__ != "<lambda>" else str(case[0].__code__.co_names[1:2]) + str(case[1]))
def test_modules_agree_with_torch(case, training):
    seed_torch(0)
    build, shape = case
    agree(build(), made(3, *shape), training=training)


def test_embedding_with_integers():
    seed_torch(0)
    model = nn.Sequential(nn.Embedding(7, 4, padding_idx=2), nn.Linear(4, 3))
    agree(model, torch.tensor([[1, 2, 2], [6, 0, 1]]))


@pytest.mark.parametrize("padding", [None, 4, 2])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bags(mode, padding):
    seed_torch(0)
    agree(nn.EmbeddingBag(5, 3, mode=mode, padding_idx=padding), torch.tensor([1, 4, 4, 0, 2]), offsets=torch.tensor([0, 2, 2]))
    agree(nn.EmbeddingBag(5, 3, mode=mode, padding_idx=padding, include_last_offset=True), torch.tensor([4, 4, 0, 2, 4]), offsets=torch.tensor([0, 2, 2, 5]))


@pytest.mark.parametrize("batch_first", [True, False])
def test_multi_head_attention(batch_first):
    seed_torch(0)
    q, k, v = made(1, 3, 4, 8), made(2, 3, 4, 6), made(3, 3, 4, 6)
    agree(nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=batch_first, add_bias_kv=True), q, k, v)
    layer = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    q = made(4, 4, 4, 8)
    for options in ({}, {"need_weights": False}, {"attn_mask": torch.ones(4, 4, dtype=torch.bool).triu(1)},
                    {"attn_mask": made(5, 4, 4), "average_attn_weights": False}, {"key_padding_mask": torch.eye(4, dtype=torch.bool), "need_weights": False}):
        for training in (True, False):
            agree(layer, q, q.clone(), q.clone(), training=training, **options)


def test_the_same_array_as_query_key_and_value():
    seed_torch(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True).double()
    x = made(1, 2, 5, 8)
    y, _ = from_torch(layer)(*[gl.dlarray(x)] * 3)
    torch.testing.assert_close(y._value, layer.eval()(x, x, x)[0].detach())


def test_transformer_decoder_and_lstm_with_states():
    seed_torch(0)
    agree(nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0), made(1, 5, 2, 8), made(2, 4, 2, 8))
    lstm = nn.LSTM(3, 4)
    net = from_torch(lstm.double())
    x, h, c = made(1, 5, 2, 3), made(2, 1, 2, 4), made(3, 1, 2, 4)
    y, (h1, c1) = net(gl.dlarray(x), (gl.dlarray(h), gl.dlarray(c)))
    e, (eh, ec) = lstm(x, (h, c))
    for a, b in ((y, e), (h1, eh), (c1, ec)):
        torch.testing.assert_close(a._value, b.detach())


def test_single_precision_takes_torch_s_fused_lstm():
    seed_torch(0)
    lstm = nn.LSTM(3, 4, bidirectional=True)
    net, x = from_torch(lstm), made(1, 5, 2, 3).float()

    def fun(net, x):
        loss = gl.sum(net(x)[0] ** 2)
        return loss, gl.dlgradient(loss, net.learnables)

    loss, gradients = gl.dlfeval(fun, net, gl.dlarray(x))
    expected = (lstm(x)[0] ** 2).sum()
    for g, r in zip(gradients.values(), torch.autograd.grad(expected, list(lstm.parameters())), strict=True):
        torch.testing.assert_close(g._value, r, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss._value, expected.detach())


@pytest.mark.parametrize("build, shape", [
    (mlp, (6, 5)), (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.AvgPool2d(2)), (3, 2, 6, 6)),
    (lambda: nn.LSTM(3, 4), (4, 2, 3)), (lambda: nn.GRU(3, 4, bidirectional=True), (4, 2, 3)),
    (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu"), (4, 2, 8)), (lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.SiLU()), (3, 4, 5)),
    (lambda: nn.Sequential(nn.ConvTranspose2d(2, 2, 3, stride=2), nn.Upsample(scale_factor=2, mode="bilinear")), (1, 2, 3, 3)), (Writes, (3, 4)),
], ids=range(8))
def test_hessian_vector_products(build, shape):
    seed_torch(0)
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):  # torch's fused attention has no second derivative
        agree_twice(build(), made(3, *shape))


def test_dropout_draws_are_recorded_and_drawn_from_our_generator():
    net = from_torch(nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.5), nn.Linear(50, 1)).double())
    x = gl.dlarray(made(0, 3, 4))

    def fun(net, x):
        loss = gl.sum(net.forward(x))
        return loss, gl.dlgradient(loss, net.learnables, retain_data=True), gl.dlgradient(loss, net.learnables)

    seed_torch(5)
    state = torch.get_rng_state()
    gl.rng(1)
    loss, first, second = gl.dlfeval(fun, net, x)
    gl.rng(1)
    again, third, _ = gl.dlfeval(fun, net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert float(loss) == float(again) and float(gl.dlfeval(fun, net, x)[0]) != float(loss)
    key = ("0", "weight")
    assert torch.equal(first[key]._value, second[key]._value) and torch.equal(first[key]._value, third[key]._value)
    rows = first[key]._value.abs().sum(1)
    assert 0 < int((rows == 0).sum()) < 50  # what was dropped has no gradient
    assert torch.equal(net(x)._value, net.predict(x)._value)


def test_shared_parameters_are_one():
    layer = nn.Linear(4, 4, bias=False)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    net = agree(model, made(0, 2, 4))
    assert list(net.learnables) == [("0", "weight")]


def test_frozen_parameters_are_state():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    net = agree(model, made(0, 2, 3))
    assert list(net.learnables) == [("1", "weight"), ("1", "bias")]
    assert list(net.state) == [("0", "weight"), ("0", "bias")]


def test_training_reaches_torch_s_parameters():
    seed_torch(0)
    module = cnn().double()
    net, rival = from_torch(module), copy.deepcopy(module).train()
    x, target = made(1, 4, 2, 9, 9), made(2, 4, 3)
    optimiser = torch.optim.SGD(rival.parameters(), lr=0.05, momentum=0.9)

    def fun(net, x):
        y, state = net.forward(x, return_state=True)
        loss = gl.sum((y - gl.dlarray(target)) ** 2)
        return loss, state, gl.dlgradient(loss, net.learnables)

    velocity = None
    for _ in range(4):
        loss, state, gradients = gl.dlfeval(fun, net, gl.dlarray(x))
        net = net.replace(state=state)
        net, velocity = gl.sgdmupdate(net, gradients, velocity, learn_rate=0.05, momentum=0.9)
        optimiser.zero_grad()
        expected = ((rival(x) - target) ** 2).sum()
        expected.backward()
        optimiser.step()
        torch.testing.assert_close(loss._value, expected.detach())
    for p, e in zip(net.learnables.values(), rival.parameters(), strict=True):
        torch.testing.assert_close(p._value, e.detach())
    halved = gl.dlupdate(lambda p: p / 2, net)
    assert torch.equal(halved.learnables["0", "bias"]._value, net.learnables["0", "bias"]._value / 2)
    torch.testing.assert_close(net.predict(gl.dlarray(x))._value, rival.eval()(x).detach())


def test_jacobian_with_respect_to_learnables():
    seed_torch(0)
    module = mlp().double()
    net, x = from_torch(module), made(0, 2, 5)
    J = gl.dlfeval(lambda net, x: gl.dljacobian(net(x), net.learnables), net, gl.dlarray(x))
    y = module(x)
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(e, list(module.parameters()), retain_graph=True)]) for e in y.flatten()]
    torch.testing.assert_close(torch.as_tensor(J.matrix()._value if hasattr(J.matrix(), "_value") else J.matrix()), torch.stack(rows))


def test_inputs_are_cast_to_the_learnables_and_results_carry_no_labels():
    net = from_torch(nn.Linear(3, 2))
    x = gl.dlarray(made(0, 4, 3), "BC")
    y, g = gl.dlfeval(lambda net, x: (net(x), gl.dlgradient(gl.sum(net(x)), x)), net, x)
    assert y.dtype is torch.float32 and y.dims == "" and g.dtype is torch.float64 and g.dims == "BC"


def test_a_network_is_a_value():
    module = nn.Linear(3, 2)
    net = from_torch(module)
    with torch.no_grad():
        module.weight.zero_()
    assert float(gl.sum(gl.abs(net.learnables["", "weight"]))) > 0
    with pytest.raises(TypeError, match="net.replace"):
        net.state = {}
    with pytest.raises(TypeError, match="torch.nn.Module"):
        from_torch(torch.relu)
    with pytest.raises(KeyError, match="no parameter"):
        net.replace(learnables={("x", "weight"): gl.zeros((2, 3))})
    assert "Linear, 8 learnables" in repr(net)
    zero = net.replace(learnables={("", "weight"): gl.zeros((2, 3), dtype="float32")})
    assert torch.equal(zero(gl.ones((1, 3)))._value[0], net.learnables["", "bias"]._value)


def test_another_type_and_a_copy():
    net, x = from_torch(cnn()), gl.dlarray(made(0, 2, 2, 9, 9))
    net(x)
    double_net = net.to(dtype="float64")
    y = double_net(x)
    assert y.dtype is double and net(x).dtype is torch.float32
    assert torch.equal(copy.deepcopy(double_net)(x)._value, y._value)
    moved = net.forward(x, return_state=True)[1]
    assert not torch.equal(moved["1", "running_mean"]._value, net.state["1", "running_mean"]._value)
    assert torch.equal(net.replace(state=moved).reset_state().state["1", "running_mean"]._value, net.state["1", "running_mean"]._value)
    with pytest.raises(TypeError, match="save net.learnables"):
        pickle.dumps(net)


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.last = None
        self.calls = 0

    def forward(self, x):
        if self.last is not None:
            x = x + self.last
        self.calls += 1
        self.last = self.linear(x)
        return self.last


def test_attributes_that_a_call_sets_are_forgotten():
    net, x = from_torch(Remembers()), gl.ones((1, 2), dtype="float32")
    assert torch.equal(net(x)._value, net(x)._value)


def test_no_grad_means_a_constant():
    class Target(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            with torch.no_grad():
                target = self.linear(x) * 2
            return self.linear(x) * target + self.linear(x.detach())

    seed_torch(0)
    agree(Target(), made(0, 2, 3))


def test_reference_to_a_method_and_a_list_of_modules():
    class Indirect(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.steps = [self.linear, self.step]

        def step(self, x):
            return torch.tanh(self.linear.weight.sum() * x)

        def forward(self, x):
            for step in self.steps:
                x = step(x)
            return x

    seed_torch(0)
    agree(Indirect(), made(0, 2, 3))


class Leaks(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.how = how
        self.plain = [torch.zeros(2)]

    def forward(self, x):
        y = self.linear(x)
        if self.how == "plain":
            self.plain[0][0] = y.sum()
        elif self.how == "item":
            return x * y.sum().item()
        elif self.how == "numpy":
            return x * torch.from_numpy(y.numpy())
        elif self.how == "tolist":
            return x * y.tolist()[0][0]
        elif self.how == "float":
            return x * float(y.sum())
        elif self.how == "backward":
            y.sum().backward()
        elif self.how == "hook":
            y.register_hook(lambda g: g * 2)
        elif self.how == "resize":
            return y.resize_(1)
        return y


@pytest.mark.parametrize("how, words", [
    ("plain", "plain tensor"), ("item", "item"), ("numpy", "constant of a traced array"), ("tolist", "tolist"), ("float", "float"),
    ("backward", "torch.autograd.grad"), ("hook", "hooks on gradients"), ("resize", "returns a new one")])
def test_what_would_lose_a_derivative_is_an_error(how, words):
    net = from_torch(Leaks(how))
    x = gl.ones((1, 2), dtype="float32")
    with pytest.raises((TypeError, RuntimeError), match=words):
        gl.dlfeval(lambda net, x: net(x), net, x)
    assert net.replace(learnables=net.learnables) is not net


def test_branches_on_values_are_followed():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            y = self.linear(x)
            return y * 2 if (y.sum() > 0).item() and y.sum() < 1e9 else y * 3

    seed_torch(0)
    for sign in (1, -1):
        agree(Branch(), sign * made(0, 2, 2))


def test_modules_run_in_several_threads():
    seed_torch(0)
    module = mlp().double()
    net = from_torch(module)
    results = {}

    def work(k):
        for _ in range(5):
            x = gl.dlarray(made(k, 4, 5))
            results[k] = gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x) ** 2), x), net, x)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(4):
        x = made(k, 4, 5).requires_grad_()
        (e,) = torch.autograd.grad((module(x) ** 2).sum(), x)
        torch.testing.assert_close(results[k]._value, e)


def test_a_packed_sequence_is_refused_with_the_way_on():
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(2, 2)])
    net = from_torch(torch.nn.LSTM(2, 3))
    for call in (lambda: net(packed), lambda: net.forward(packed), lambda: gl.dlarray(packed), lambda: gl.dlfeval(lambda: net(packed))):
        with pytest.raises(gl.TypeRefused, match="pad_packed_sequence"):
            call()


def test_what_was_computed_before_is_made_anew_or_refused():
    """weight_norm keeps the weights that it computed last as an attribute; one that nobody computes anew would be a constant."""
    with pytest.warns(FutureWarning):
        normed = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2).double())
    x = torch.randn(4, 3, dtype=torch.float64)
    expected = torch.autograd.grad((normed(x) ** 2).sum(), list(normed.parameters()))
    net = from_torch(normed)
    found = gl.dlfeval(lambda net, x: gl.dlgradient(gl.sum(net(x) ** 2), net.learnables), net, gl.dlarray(x))
    for own, theirs in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(own._value, theirs)

    class Kept(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.ones(3))
            self.twice = self.w * 2

        def forward(self, x):
            return x * self.twice

    with pytest.raises(gl.TypeRefused, match=r"was computed from tensors.*test_from_torch.py:\d+: return x \* self.twice"):
        from_torch(Kept())(gl.ones(3))


def test_decorators_that_close_over_descriptions_of_code_are_copied():
    """A signature and a dataclass's field have mapping proxies inside, which Python's copy refuses."""

    @dataclasses.dataclass
    class Options:
        scale: float = 2.0

    def decorated(function):
        signature, (field,) = inspect.signature(function), dataclasses.fields(Options)

        def called(*args):
            return function(*signature.bind(*args).args) * field.default

        return called

    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.call = decorated(self.linear)

        def forward(self, x):
            return self.call(x)

    module, x = Doubled(), torch.randn(4, 3)
    net = from_torch(module)
    torch.testing.assert_close(net(gl.dlarray(x))._value, module(x).detach())
