"""Layers over spatial axes: what they refuse and say, their initial values, and what the generated checks do not reach."""

import numpy as np
import pytest
import torch
from helpers import stream, within

import gradloom as gl

L, F = gl.layers, torch.nn.functional
RNG = stream(5)
close = within(1e-10)


def run(layer, *shape, labels):
    return gl.dlnetwork([layer], gl.zeros(shape, labels))


@pytest.mark.parametrize(("make", "said"), [
    (lambda: L.Convolution2d((3, 3, 3), 8), r"Convolution2d's filter_size is one positive integer or 2 of them, not \(3, 3, 3\)"),
    (lambda: L.Convolution1d(3, 0), r"Convolution1d's num_filters is a positive integer, not 0.*write num_filters=8"),
    (lambda: L.Convolution3d(3, 8, stride=0), r"Convolution3d's stride is one positive integer or 3 of them, not 0"),
    (lambda: L.GroupedConvolution2d(3, 1, "depthwise"), r"GroupedConvolution2d's num_groups is a positive integer, not 'depthwise'"),
    (lambda: L.MaxPooling1d((2, 2)), r"MaxPooling1d's pool_size is one positive integer, not \(2, 2\)"),
    (lambda: L.AdaptiveAveragePooling2d(0), r"AdaptiveAveragePooling2d's output_size is one positive integer or 2"),
    (lambda: L.Resize2d(2, scale=2), r"Resize2d takes output_size, scale or enable_reference_input=True, one of them.*Resize2d\(scale=2\)"),
    (lambda: L.Resize3d(), r"Resize3d takes output_size, scale or"),
    (lambda: L.Resize2d(scale=-1), r"scale is one positive number or 2 of them, not -1"),
    (lambda: L.Resize2d(2, method="bilinaer"), r"no method='bilinaer'; did you mean 'bilinear'.*'nearest', 'bilinear'"),
    (lambda: L.Resize3d(2, method="bilinear"), r"Resize3d has no method='bilinear'.*'trilinear'"),
    (lambda: L.Crop2d("middle"), r"Crop2d takes \"centercrop\" or where to begin along each of 2 axes, not 'middle'.*\(0, 0\)"),
    (lambda: L.Reshape((-1, -1)), r"at most one of them -1, not \(-1, -1\)"),
    (lambda: L.Permute("CT", (0, 0)), r"Permute takes the letters of axes and an order.*Permute\(\"CT\", \(1, 0\)\)"),
    (lambda: L.Indexing1d("end"), r"\"first\", \"last\", \"middle\" or an integer, not 'end'"),
    (lambda: L.DepthToSpace2d(2, mode="rcd"), r"no mode='rcd'.*mode=\"crd\""),
    (lambda: L.CrossChannelNormalization(2.5), r"window_channel_size is a positive integer, not 2.5"),
    (lambda: run(L.Convolution1d(2, 3), 4, 4, 2, labels="SSC"), r"'conv1d' \(Convolution1d\) works on one axis S \(or T\), x is 4\(S\) x 4\(S\) x 2\(C\)"),
    (lambda: run(L.Convolution2d(2, 3), 4, 4, labels="SS"), r"'conv' \(Convolution2d\) needs an axis C, its input is 4\(S\) x 4\(S\)"),
    (lambda: run(L.Convolution2d(2, 9, num_groups=3), 4, 4, 4, labels="SSC"), r"num_groups=3, which does not divide 4 channels and 9 filters"),
    (lambda: run(L.TransposedConvolution2d(2, 9, num_groups=3), 4, 4, 4, labels="SSC"), r"does not divide 4 channels and 9 filters"),
    (lambda: run(L.GroupedConvolution2d(2, 1, 3), 4, 4, 4, labels="SSC"), r"num_groups=3, which does not divide 4 channels"),
    (lambda: run(L.AveragePooling3d(2), 3, 4, labels="CB"), r"works on three axes S \(or two S and T\), x is 3\(C\) x 1\(B\)"),
    (lambda: run(L.GlobalMaxPooling2d(), 3, 4, labels="CB"), r"'gmpool' \(GlobalMaxPooling2d\) works on two axes S"),
    (lambda: run(L.Upsampling(2), 3, 4, labels="CB"), r"one, two or three axes S, x has 0"),
    (lambda: run(L.Padding("same"), 3, 4, labels="CS"), r"Padding's size is a number.*not 'same'"),
    (lambda: run(L.Padding(1), 3, 4, labels="CB"), r"needs an axis S"),
    (lambda: run(L.Reshape((5,)), 3, 4, labels="CB"), r"puts 3 entries into \(5,\)"),
    (lambda: run(L.Permute("CT", (1, 0)), 3, 4, labels="CB"), r"exchanges 'CT', x is 3\(C\) x 1\(B\)"),
    (lambda: run(L.Indexing1d(7), 3, 4, labels="CT"), r"takes entry 7 of 4"),
    (lambda: run(L.DepthToSpace2d(2), 3, 4, 4, labels="CSS"), r"blocks of 2 x 2 of 3 channels.*divisible by 4"),
    (lambda: run(L.SpaceToDepth(3), 3, 4, 4, labels="CSS"), r"blocks of 3 x 3.*divisible"),
])
def test_what_cannot_be_is_refused_with_the_line(make, said):
    with pytest.raises(ValueError, match=said) as error:
        make()
    assert " at test_spatial_layers.py:" in str(error.value)


def test_what_is_cut_lies_within():
    net = gl.dlnetwork([L.Crop2d((3, 0))])
    with pytest.raises(gl.ShapeError, match=r"cuts x 1\(C\) x 4\(S\) x 4\(S\) from 3 on to the size of 1\(C\) x 2\(S\) x 2\(S\)"):
        net(gl.zeros((1, 4, 4), "CSS"), gl.zeros((1, 2, 2), "CSS"))


@pytest.mark.parametrize(("layer", "inputs"), [
    (L.Convolution2d((3, 5), 64, weights_initializer="he"), 8 * 15), (L.GroupedConvolution2d(5, 32, 2, weights_initializer="he"), 4 * 25),
    (L.TransposedConvolution2d((3, 5), 64, weights_initializer="he"), 8 * 15)])
def test_initial_weights_count_the_inputs_of_an_output(layer, inputs):
    gl.rng(0)
    (net,) = [gl.dlnetwork([L.ImageInput((9, 9, 8)), layer])]
    weights = np.asarray(net.learnables[net.layers[1].name, "weights"])
    assert abs(weights.std() - np.sqrt(2 / inputs)) < 0.05 * np.sqrt(2 / inputs)


def test_an_initializer_is_given_the_shape_of_the_weights():
    seen = []
    gl.dlnetwork([L.ImageInput((4, 4, 6)), L.TransposedConvolution2d(2, 4, num_groups=2, weights_initializer=lambda s: seen.append(s) or gl.ones(s))])
    assert seen == [(6, 2, 2, 2)]


def test_pooled_and_unpooled_in_a_graph():
    """A SegNet: places go around the layers between, and the gradient through both is torch's."""
    trunk = [L.ImageInput((6, 4, 2)), L.MaxPooling2d(2, stride=2, has_unpooling_outputs=True, name="pool"), L.Convolution2d(1, 2, name="conv"),
             L.MaxUnpooling2d(name="unpool")]
    net = gl.dlnetwork([trunk[:2], trunk[2:]], connections=[("pool/out", "conv"), ("pool/indices", "unpool/indices"), ("pool/size", "unpool/size")],
                       dtype="float64")
    raw = torch.as_tensor(RNG.normal(size=(3, 2, 6, 4)), dtype=torch.float64)
    w, b = (torch.as_tensor(np.array(net.learnables["conv", name])) for name in ("weights", "bias"))

    def theirs(x):
        y, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(F.conv2d(y, w, b), places, 2, output_size=(6, 4))

    for labels in ("BCSS", "SSCB", "CSBS"):
        x = gl.permute_dims(gl.dlarray(raw, "BCSS"), labels)
        y, g = gl.dlfeval(lambda x: (net(x), gl.dlgradient(gl.sum(net(x) ** 2), x)), x)
        leaf = raw.clone().requires_grad_()
        close(gl.permute_dims(y, "BCSS"), theirs(raw))
        (theirs(leaf) ** 2).sum().backward()
        close(gl.permute_dims(g, "BCSS"), leaf.grad)


def test_default_names_are_matlabs():
    net = gl.dlnetwork([L.ImageInput((8, 8, 4)), L.GroupedConvolution2d(3, 1, "channel-wise"), L.TransposedConvolution2d(3, 4), L.GlobalMaxPooling2d()])
    assert [layer.name for layer in net.layers] == ["imageinput", "groupedconv", "transposed-conv", "gmpool"]
