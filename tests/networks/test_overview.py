"""summary and plot: figures that are known by hand, any body, pictures whose boxes do not meet."""
import itertools

import pytest
import torch

import gradloom as gl
from gradloom.interop.torch import from_torch
from gradloom.networks.layered import arranged
from gradloom.networks.picture import grouped

L = gl.layers


def net():
    return gl.dlnetwork([L.ImageInput((8, 6, 2), name="in"), L.Convolution2d(3, 5, padding="same", name="conv"), L.BatchNormalization(name="bn"),
                         L.ReLU(name="relu"), L.Addition(name="add"), L.FullyConnected(4, name="fc")], connections=[("conv", "add/in2")])


def test_a_summary_counts_what_there_is():
    s = gl.summary(net())
    parts = {p.name: p for p in s.parts}
    assert parts["conv"].learnables == 5 * 2 * 9 + 5 and parts["conv"].output == "8(S) x 6(S) x 5(C) x 1(B)"
    assert parts["conv"].operations == 2 * 48 * 5 * 18 and parts["fc"].operations == 2 * 4 * 240
    assert parts["bn"].state == 10 and parts["bn"].bytes == 4 * 20 and s.operations == 2 * 48 * 90 + 2 * 960
    assert s.learnables == 95 + 10 + 964 and s.state == 10 and s.bytes == 4 * (s.learnables + 10)
    text = repr(s)
    assert "inputs: in; outputs: fc" in text and "Convolution2d(3, 5, padding='same')" in text and text.splitlines()[-1].startswith("total")
    assert "<td>conv</td>" in s._repr_html_() and "<table>" in s._repr_html_()


def test_examples_and_unfinished_networks():
    chain = gl.dlnetwork([L.FullyConnected(4, name="fc")], gl.zeros((3, 7), "CB"))
    assert gl.summary(chain).parts[0].operations == 24 and gl.summary(chain, gl.Layout((3, 1, 5), "CBT")).parts[0].operations == 120
    unfinished = gl.summary(gl.dlnetwork([L.FeatureInput(3), L.FullyConnected(4)], initialize=False))
    assert unfinished.parts[1].output is None and unfinished.operations is None


def test_any_body_has_a_summary_and_a_picture():
    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3, bias=False)

        def forward(self, x):
            return torch.relu(self.one(x)) + self.two(x)

    module = from_torch(Residual())
    s = gl.summary(module, gl.zeros((1, 3)))
    assert [(p.name, p.kind, p.output, p.learnables) for p in s.parts] == [("one", "Linear", "1 x 3", 12), ("two", "Linear", "1 x 3", 9)] and s.operations == 36
    ax = gl.plot(module)
    texts = {t.get_text() for t in ax.texts}
    assert {"x", "one", "relu", "two", "add", "Linear"} <= texts

    class Decides(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(TypeError, match="torch.fx cannot follow Decides"):
        gl.plot(from_torch(Decides()))
    nested = gl.dlnetwork([L.FeatureInput(3), L.Network(gl.dlnetwork([L.FullyConnected(2)], gl.zeros((3, 1), "CB")), name="block")])
    assert gl.summary(nested).parts[1].learnables == 8
    with pytest.raises(TypeError, match="summary takes a dlnetwork"):
        gl.summary(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="plot takes a dlnetwork"):
        gl.plot(3)


def test_a_picture_has_each_layer_and_draws_into_axes():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert gl.plot(net(), ax=ax) is ax
    assert {"in", "conv", "bn", "relu", "add", "fc", "8S x 6S x 5C", "ReLU()"} <= {t.get_text() for t in ax.texts}
    assert len(ax.patches) == 3 + 3  # boxes [in, conv], [bn, relu], [add, fc]; edges


def test_runs_of_layers_are_one_box():
    boxes, edges = grouped([(n, "", "") for n in "abcdef"], [("a", "b"), ("b", "c"), ("c", "d"), ("b", "e"), ("d", "f"), ("e", "f")])
    assert [[p[0] for p in box] for box in boxes] == [["a", "b"], ["c", "d"], ["e"], ["f"]] and edges == [(0, 1), (0, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("edges", [[(0, 1), (1, 2), (0, 2)], [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (1, 3)], [(0, 3), (0, 4), (1, 3), (1, 4), (2, 4), (3, 5), (4, 5), (2, 5)]])
def test_places_do_not_meet_and_edges_go_down(edges):
    widths = dict.fromkeys(sorted({node for edge in edges for node in edge}), 2.0)
    rows, middle, paths = arranged(edges, widths, 0.5)
    level = {node: k for k, row in enumerate(rows) for node in row}
    for row in rows:
        for a, b in itertools.pairwise(row):
            room = (widths.get(a, 0.25) + widths.get(b, 0.25)) / 2 + 0.5
            assert middle[b] - middle[a] >= room - 1e-9
    for path, (a, b) in zip(paths, edges, strict=True):
        assert path[0] == a and path[-1] == b and [level[p] for p in path] == list(range(level[a], level[b] + 1))


def test_a_crossing_that_can_be_avoided_is():
    rows, _, _ = arranged([("a", "x"), ("b", "y"), ("c", "z")], dict.fromkeys("abczyx", 1.0), 0.5)
    assert [n for n in rows[1] if n in "xyz"] == [{"a": "x", "b": "y", "c": "z"}[n] for n in rows[0]]
