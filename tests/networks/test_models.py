"""Whole models of images beside the same models in torch: equal outputs, gradients, states and training steps from equal weights.

torch's are written here, as plain functions of its tensors and a dict of parameters by layer; so each takes ours as they are.
"""

import pytest
import torch
from helpers import seeded, tensor, uniform, within

import gradloom as gl

L, F = gl.layers, torch.nn.functional
close = within(1e-8)


class Torch:
    """Parameters by layer, and what layers do with them; batch normalization notes the states that it moves."""

    training = False

    def __init__(self, net):
        self.leaves = {k: tensor(x).clone().requires_grad_() for k, x in net.learnables.items()}
        self.states = {k: tensor(x).clone() for k, x in net.state.items()}

    def conv(self, name, x, **options):
        return F.conv2d(x, self.leaves[name, "weights"], self.leaves[name, "bias"], **options)

    def transposed(self, name, x, **options):
        return F.conv_transpose2d(x, self.leaves[name, "weights"], self.leaves[name, "bias"], **options)

    def linear(self, name, x):
        return F.linear(x.flatten(1), self.leaves[name, "weights"], self.leaves[name, "bias"])

    def norm(self, name, x):
        mean, variance = self.states[name, "trained_mean"], self.states[name, "trained_variance"]
        if self.training:
            with torch.no_grad():  # ours moves by the variance with n in its denominator
                self.states[name, "trained_mean"] = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
                self.states[name, "trained_variance"] = 0.9 * variance + 0.1 * x.var((0, 2, 3), correction=0)
        return F.batch_norm(x, mean.clone(), variance.clone(), self.leaves[name, "scale"], self.leaves[name, "offset"], self.training, 0.0, 1e-5)


# ----- LeNet ----------------------------------------------------------------------------------------------------------


def lenet():
    return gl.dlnetwork([
        L.ImageInput((12, 12, 1), normalization="rescale-zero-one", min=-1.0, max=1.0), L.Convolution2d(3, 4, padding="same", name="c1"), L.Tanh(),
        L.AveragePooling2d(2, stride=2), L.Convolution2d(3, 6, name="c2"), L.Tanh(), L.AveragePooling2d(2, stride=2),
        L.FullyConnected(8, name="f1"), L.Tanh(), L.FullyConnected(4, name="f2")], dtype="float64")


def torch_lenet(t, x):
    x = F.avg_pool2d(torch.tanh(t.conv("c1", (x + 1) / 2, padding=1)), 2)
    x = F.avg_pool2d(torch.tanh(t.conv("c2", x)), 2)
    return t.linear("f2", torch.tanh(t.linear("f1", x)))


# ----- ResNet-18, narrow ----------------------------------------------------------------------------------------------

WIDTHS = (4, 4, 6, 6)


def residual(name, channels, stride, shortcut):
    """A basic block: its main way, and what stands beside it where sizes change."""
    main = [L.Convolution2d(3, channels, stride=stride, padding=1, name=f"{name}c1"), L.BatchNormalization(name=f"{name}n1"), L.ReLU(name=f"{name}r1"),
            L.Convolution2d(3, channels, padding=1, name=f"{name}c2"), L.BatchNormalization(name=f"{name}n2"),
            L.Addition(2, name=f"{name}add"), L.ReLU(name=f"{name}r2")]
    side = [L.Convolution2d(1, channels, stride=stride, name=f"{name}c0"), L.BatchNormalization(name=f"{name}n0")] if shortcut else None
    return main, side


def resnet18():
    stem = [L.ImageInput((16, 16, 3), name="images"), L.Convolution2d(3, WIDTHS[0], padding=1, name="c"), L.BatchNormalization(name="n"),
            L.ReLU(name="r"), L.MaxPooling2d(3, stride=2, padding=1, name="pool")]
    trunk, sides, connections, before, channels = list(stem), [], [], "pool", WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for block in range(2):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            main, side = residual(name, width, stride, stride > 1 or width != channels)
            trunk += main
            if side is None:
                connections.append((before, f"{name}add/in2"))
            else:
                sides.append(side)
                connections += [(before, f"{name}c0"), (f"{name}n0", f"{name}add/in2")]
            before, channels = f"{name}r2", width
    trunk += [L.GlobalAveragePooling2d(name="gap"), L.FullyConnected(5, name="fc")]
    return gl.dlnetwork([trunk, *sides], connections=connections, dtype="float64")


def torch_resnet18(t, x):
    x, channels = F.max_pool2d(t.norm("n", t.conv("c", x, padding=1)).relu(), 3, 2, 1), WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for block in range(2):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            y = t.norm(f"{name}n1", t.conv(f"{name}c1", x, stride=stride, padding=1)).relu()
            y = t.norm(f"{name}n2", t.conv(f"{name}c2", y, padding=1))
            if stride > 1 or width != channels:
                x = t.norm(f"{name}n0", t.conv(f"{name}c0", x, stride=stride))
            x, channels = (y + x).relu(), width
    return t.linear("fc", x.mean((2, 3)))


# ----- MobileNet-like: inverted residuals -----------------------------------------------------------------------------


def mobilenet():
    """Expansion, channel-wise convolution, projection; added where the sizes allow."""
    trunk = [L.ImageInput((10, 10, 3)), L.Convolution2d(3, 4, stride=2, padding="same", name="stem"), L.BatchNormalization(name="stemn"), L.ReLU(name="stemr")]
    connections, before = [], "stemr"
    for k, (channels, stride) in enumerate([(4, 1), (6, 2), (6, 1)]):
        trunk += [L.Convolution2d(1, 12, name=f"e{k}"), L.BatchNormalization(name=f"en{k}"), L.ReLU(name=f"er{k}"),
                  L.GroupedConvolution2d(3, 1, "channel-wise", stride=stride, padding=1, name=f"d{k}"), L.BatchNormalization(name=f"dn{k}"),
                  L.ReLU(name=f"dr{k}"), L.Convolution2d(1, channels, name=f"p{k}"), L.BatchNormalization(name=f"pn{k}")]
        if k != 1:
            trunk.append(L.Addition(2, name=f"add{k}"))
            connections.append((before, f"add{k}/in2"))
        before = trunk[-1].name
    trunk += [L.AdaptiveAveragePooling2d(2), L.FullyConnected(3, name="fc")]
    return gl.dlnetwork([trunk], connections=connections, dtype="float64")


def torch_mobilenet(t, x):
    x = t.norm("stemn", t.conv("stem", F.pad(x, (0, 1, 0, 1)), stride=2)).relu()
    for k, stride in enumerate((1, 2, 1)):
        y = t.norm(f"en{k}", t.conv(f"e{k}", x)).relu()
        y = t.norm(f"dn{k}", t.conv(f"d{k}", y, stride=stride, padding=1, groups=12)).relu()
        y = t.norm(f"pn{k}", t.conv(f"p{k}", y))
        x = y if k == 1 else x + y
    return t.linear("fc", F.adaptive_avg_pool2d(x, 2))


# ----- U-Net ----------------------------------------------------------------------------------------------------------


def twice(name, channels):
    return [L.Convolution2d(3, channels, padding="same", name=f"{name}a"), L.ReLU(name=f"{name}ra"),
            L.Convolution2d(3, channels, padding="same", name=f"{name}b"), L.ReLU(name=f"{name}rb")]


def unet():
    """Two levels: one upwards by a transposed convolution, one by resizing; the skipped parts are joined along C."""
    trunk = [L.ImageInput((8, 12, 2)), *twice("one", 3), L.MaxPooling2d(2, stride=2, name="down1"), *twice("two", 4),
             L.MaxPooling2d(2, stride=2, name="down2"), *twice("three", 5),
             L.TransposedConvolution2d(2, 4, stride=2, name="up2"), L.DepthConcatenation(2, name="join2"), *twice("four", 4),
             L.Resize2d(scale=2, method="bilinear", name="up1"), L.DepthConcatenation(2, name="join1"), *twice("five", 3), L.Convolution2d(1, 2, name="classes")]
    return gl.dlnetwork([trunk], connections=[("tworb", "join2/in2"), ("onerb", "join1/in2")], dtype="float64")


def torch_unet(t, x):
    def both(name, x):
        return t.conv(f"{name}b", t.conv(f"{name}a", x, padding=1).relu(), padding=1).relu()

    one = both("one", x)
    two = both("two", F.max_pool2d(one, 2))
    x = both("three", F.max_pool2d(two, 2))
    x = both("four", torch.cat([t.transposed("up2", x, stride=2), two], 1))
    x = F.interpolate(x, scale_factor=2, mode="bilinear")
    return t.conv("classes", both("five", torch.cat([x, one], 1)))


# ----- the comparison -------------------------------------------------------------------------------------------------

MODELS = {"lenet": (lenet, torch_lenet, (12, 12, 1)), "resnet18": (resnet18, torch_resnet18, (16, 16, 3)),
          "mobilenet": (mobilenet, torch_mobilenet, (10, 10, 3)), "unet": (unet, torch_unet, (8, 12, 2))}


def loss_of(net, x, t):
    y, state = net.forward(x, return_state=True)
    loss = gl.crossentropy(y, t, from_logits=True)
    return loss, gl.dlgradient(loss, net.learnables), state


@pytest.mark.parametrize("labels", ["BCSS", "SSCB"])
@pytest.mark.parametrize("name", MODELS)
def test_models_are_torchs(name, labels):
    make, function, (height, width, channels) = MODELS[name]
    gl.rng(1)
    net = make()
    raw = uniform((3, channels, height, width), torch.float64, seeded(name))
    x = gl.permute_dims(gl.dlarray(raw, "BCSS"), labels)
    t = Torch(net)
    expected = function(t, raw)
    close(gl.permute_dims(net(x), "BC" + "S" * (expected.ndim - 2)), expected)

    classes = torch.randint(0, expected.shape[1], (3, *expected.shape[2:]), generator=seeded("classes", name))
    targets = gl.dlarray(classes, "B" + "S" * (expected.ndim - 2))
    velocity, rule = None, torch.optim.SGD(t.leaves.values(), lr=0.05, momentum=0.9)
    t.training = True
    for _ in range(3):
        rule.zero_grad()
        theirs = F.cross_entropy(function(t, raw), classes, reduction="sum") / 3
        theirs.backward()
        loss, found, state = gl.dlfeval(loss_of, net, x, targets)
        close(loss, theirs)
        assert list(found) == list(t.leaves) and list(state) == list(t.states)
        for key, g in found.items():
            close(g, t.leaves[key].grad)
        rule.step()
        net, velocity = gl.sgdmupdate(net.replace(state=state), found, velocity, 0.05, 0.9)
    for key, value in {**net.learnables, **net.state}.items():
        close(value, {**t.leaves, **t.states}[key])
    t.training = False
    y = function(t, raw)
    close(gl.permute_dims(net(x), "BC" + "S" * (y.ndim - 2)), y)
    assert not torch.allclose(y, expected)
