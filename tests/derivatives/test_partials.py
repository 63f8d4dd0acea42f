"""`partials` against gradients of gradients: every operation, every order of labels, weights of a loss."""

import itertools
import warnings

import numpy as np
import pytest
from helpers import seeded, stream, uniform
from operation_cases import REAL, outputs_of
from operation_table import CHECKED, all_cases, each

import gradloom as gl
from gradloom import ShapeError, TraceError, TypeRefused, dlarray
from gradloom.core.tables import PUBLIC

RNG = stream(14)
ASKED = [(0,), (1,), (0, 0), (0, 1), (1, 1), (0, 0, 1)]
SUM = {(1,): 0.5, (0, 0): 1, (1, 0): -2, (1, 1): np.float64(3)}


def normal(*shape):
    return dlarray(RNG.standard_normal(shape))


def nested(u, x, words, take):
    """A derivative for each word, by a gradient for each letter; `take(g, k)` are the entries of coordinate k. Words share their beginnings."""
    gradients = {}

    def derivative(word):
        if not word:
            return u
        before = word[:-1]
        if before not in gradients:
            gradients[before] = gl.dlgradient(gl.sum(derivative(before)), x, enable_higher_derivatives=True)
        return take(gradients[before], word[-1])

    return [derivative(tuple(word)) for word in words]


def close(found, expected, what, tolerance=1e-10):
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * max(1.0, np.nanmax(np.abs(expected), initial=0.0)), err_msg=str(what))


# ----- every operation -----------------------------------------------------------------------------------------------------


def field(case):
    """A scalar of two coordinates: all variables of the operation move along both, and bend."""
    draws = seeded(str(case), "partials")
    values = case.values()
    ways = [[0.1 * uniform(x.shape, x.dtype, draws) for x in values] for _ in range(3)]
    weights = []

    def u(c):
        a, b = c[0], c[1]
        moved = [dlarray(x) + a * dlarray(p) + b * dlarray(q) + a * b * dlarray(r) for x, p, q, r in zip(values, *ways, strict=True)]
        total = 0.0
        for k, y in enumerate(outputs_of(case, case.operation.apply(case.at(moved).inputs, case.params))):
            if len(weights) <= k:
                weights.append(uniform(y.shape, REAL, draws))
            w = dlarray(weights[k])
            parts = (PUBLIC["real"](y), PUBLIC["imag"](y)) if y.dtype.is_complex else (y,)
            total = sum((PUBLIC["sum"](w * part) for part in parts), total)
        return total

    return u


@pytest.mark.filterwarnings("ignore")  # of derivatives that do not exist, by both ways
@each(CHECKED)
def test_every_operation_to_third_order(operation):
    compared = 0
    found = all_cases(operation)
    for case in found[::max(1, len(found) // 8)]:
        u = field(case)

        def both(c, u=u):
            value = u(c)
            if not isinstance(value, dlarray):
                return None
            plain = gl.partials(value, c, ASKED, 0, enable_higher_derivatives=False)
            summed = gl.partials(value, c, SUM, 0), gl.partials(value, c, [(1,), SUM], 0, enable_higher_derivatives=False)[1]
            return plain, gl.partials(value, c, ASKED, 0), nested(value, c, ASKED, lambda g, k: g[k]), summed

        ways = gl.dlfeval(both, dlarray([0.0, 0.0]))
        for way in ways[3] if ways else ():
            close(way, sum([factor * np.asarray(ways[2][ASKED.index(tuple(sorted(word)))]) for word, factor in SUM.items()]), f"{case}: a sum", 1e-9)
        for way in ways[:2] if ways else ():
            for word, a, b in zip(ASKED, way, ways[2], strict=True):
                close(a, b, f"{case}: {word}", 1e-9)
                compared += 1
    assert compared


def test_laplacians_of_complex_operations_whose_real_derivative_is_zero():
    """sign and angle bend complex numbers, though their derivative on real ones is zero."""
    for word in ("sign", "angle"):
        def both(c, word=word):
            z = PUBLIC["complex"](1 + c[0] ** 2, 2 + c[1])
            y = PUBLIC[word](z)
            u = PUBLIC["real"](y) + PUBLIC["imag"](y)
            seconds = nested(u, c, [(0, 0), (1, 1)], lambda g, k: g[k])
            return gl.dllaplacian(u, c, 0), seconds[0] + seconds[1]

        found, expected = gl.dlfeval(both, dlarray([0.3, -0.2]))
        assert abs(expected.item()) > 0.01
        close(found, expected, word)


# ----- networks ------------------------------------------------------------------------------------------------------------

WORDS = ["x", "t", "xx", "xt", "tx", "xxt", "ttt", "xxtt"]


def at(g, letter, k):
    return g[g.at(**{letter: slice(k, k + 1)})]


@pytest.mark.parametrize("labels", [*map("".join, itertools.permutations("CSB"))])
def test_every_order_of_labels_and_the_weights_of_a_loss(labels):
    sizes = {"C": 2, "S": 3, "B": 4}
    x = dlarray(RNG.standard_normal([sizes[letter] for letter in labels]), labels)
    weights = [normal(5, 2), normal(5), normal(5, 5), normal(2, 5)]

    def field(x, w):
        a, b = at(x, "C", 0), at(x, "C", 1)
        h = gl.tanh(a * w[0][0, 0] + b * w[0][1, 1] + a * b * w[1][0])
        return gl.concat([gl.sin(h * w[2][0, 0] + a), h * gl.exp(b * w[2][1, 1]) * w[3][0, 0]], axis="C")

    def run(x, w):
        u = field(x, w)
        jets = gl.partials(u, x, WORDS, names="xt")
        places = [["xt".index(k) for k in word] for word in WORDS]
        channels = [nested(at(u, "C", c), x, places, lambda g, k: at(g, "C", k)) for c in range(2)]
        expected = [gl.concat(parts, axis="C") for parts in zip(*channels, strict=True)]
        found = [(a, b) for a, b in zip(jets, expected, strict=True)]
        gradients = [[gl.dlgradient(gl.sum(part ** 2), w, retain_data=True) for part in pair] for pair in found]
        return found, gradients

    found, gradients = gl.dlfeval(run, x, weights)
    for word, (a, b), (g, h) in zip(WORDS, found, gradients, strict=True):
        assert gl.dims(a) == labels and a.shape == b.shape
        close(a, b, word)
        for p, q in zip(g, h, strict=True):
            close(p, q, f"gradient of {word}")


def test_the_loss_of_burgers_and_its_gradient():
    widths = (2, 8, 8, 1)
    weights = [p for a, b in itertools.pairwise(widths) for p in (normal(a, b), normal(b))]
    x = normal(7, 2)

    def loss(weights, x, way):
        u = x
        for k in range(0, 4, 2):
            u = gl.tanh(u @ weights[k] + weights[k + 1])
        u = u @ weights[4] + weights[5]
        if way == "summed":
            u_x, heat = gl.partials(u, x, ["x", {"t": 1, "xx": -0.01 / np.pi}], 1, names="xt")
        else:
            u_x, u_t, u_xx = (gl.partials(u, x, ["x", "t", "xx"], 1, names="xt") if way == "ahead"
                              else nested(u, x, [(0,), (1,), (0, 0)], lambda g, k: g[:, k:k + 1]))
            heat = u_t - 0.01 / np.pi * u_xx
        value = gl.mean((heat + u * u_x) ** 2)
        return value, gl.dlgradient(value, weights)

    other, expected = gl.dlfeval(loss, weights, x, "nested")
    for way in ("ahead", "summed"):
        value, found = gl.dlfeval(loss, weights, x, way)
        close(value, other, "the loss")
        for a, b in zip(found, expected, strict=True):
            close(a, b, "its gradient")
        accelerated = gl.dlaccelerate(lambda w, x, way=way: gl.dlfeval(loss, w, x, way))
        for _ in range(5):
            again, gradient = accelerated(weights, x)
            close(again, value, "accelerated")
            for a, b in zip(gradient, found, strict=True):
                close(a, b, "accelerated gradient")


def test_equal_eigenvalues():
    """Of such a trace the derivatives come from walks in a row."""
    def both(c):
        m = gl.stack([gl.stack([1 + c[0] ** 2, c[0] * c[1]]), gl.stack([c[0] * c[1], 1 + c[1] ** 2])])
        _, v = gl.linalg.eigh(m)
        u = gl.sum((v * v) @ gl.ones((2,))) + gl.sum(m ** 3)
        return gl.partials(u, c, ASKED, 0), nested(u, c, ASKED, lambda g, k: g[k])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = gl.dlfeval(both, dlarray([0.0, 0.0]))
    for word, a, b in zip(ASKED, found, expected, strict=True):
        close(a, b, word)


def test_only_what_is_needed_is_carried(monkeypatch):
    """Of two layers "xx" alone takes a tangent of the first and a second order of the last; a second order of x is zero."""
    from gradloom.derivatives.curvature import jets

    seen = []
    original = jets.linear_part
    monkeypatch.setattr(jets, "linear_part", lambda *args: seen.append(args[0].operation.name) or original(*args))
    w, x = normal(3, 2), dlarray(RNG.standard_normal((2, 4)), "CB")
    counts = []
    for asked in (["xx"], ["x", "t", "xx"], ["x"], ["x", {"t": 1, "xx": -2}]):
        seen.clear()
        gl.dlfeval(lambda x, asked=asked: gl.partials(gl.tanh(gl.fullyconnect(gl.tanh(gl.fullyconnect(x, w)), gl.ones((3, 3)))), x, asked, names="xt"), x)
        counts.append(sum(name == "tanh" for name in seen))
    assert counts == [2, 5, 2, 4]  # a sum is carried as one


# ----- the word ------------------------------------------------------------------------------------------------------------


def test_names_and_positions():
    x = dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")

    def run(x):
        u = x[0:1] ** 3 * x[1:2]
        return (gl.partials(u, x, "xxt", names="xt"), gl.partials(u, x, [(0, 0, 1), 1]), gl.partials(u, x, [("x1", "x2"), "x2"], names=("x1", "x2")),
                gl.partials(u, x, ["tt"], names=["x", "t"]), gl.partials(x[0:1], x, ["x", "t", "xx"], names="xt"), gl.partials(1.0 * u, x, [], names="xt"))

    single, places, names, zero, linear, none = gl.dlfeval(run, x)
    close(single, [[6.0, 12.0]], "one text")
    close(places[0], [[6.0, 12.0]], "positions")
    close(places[1], [[1.0, 8.0]], "a position")
    close(names[0], [[3.0, 12.0]], "longer names")
    close(names[1], [[1.0, 8.0]], "a longer name alone")
    close(zero[0], [[0.0, 0.0]], "zero")
    close(np.concatenate([np.asarray(p) for p in linear]), [[1, 1], [0, 0], [0, 0]], "linear")
    assert none == () and gl.dims(single) == "CB"


def test_sums_of_derivatives():
    """Alone and beside others, of the third order too, of the first alone, of the same word twice, with zeros, of nothing."""
    x = dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")

    def run(x):
        u = x[0:1] ** 3 * x[1:2]
        return (gl.partials(u, x, {"xt": 1, "tx": 1, "x": -1}, names="xt"), *gl.partials(u, x, [{"xxt": 2, "t": 1}, "x", {"x": 1, "t": 2}], names="xt"),
                gl.partials(u, x, {"xx": 0, "tt": 0.0}, names="xt"), gl.partials(u, x, {}, names="xt"), gl.partials(x[0:1], x, {0: 2, (1, 1): 5}))

    for a, b in zip(gl.dlfeval(run, x), ([-3.0, -24.0], [13.0, 32.0], [9.0, 48.0], [11.0, 64.0], [0, 0], [0, 0], [2, 2]), strict=True):
        close(a, [b], "a sum")
        assert gl.dims(a) == "CB"


def test_what_is_refused():
    x = dlarray([[1.0, 2.0], [3.0, 4.0]], "CB")

    def refused(kind, match, run):
        with pytest.raises(kind, match=match):
            gl.dlfeval(run, x)

    refused(ValueError, "'xy' is no derivative by the coordinates 'x', 't'", lambda x: gl.partials(x[0:1], x, ["xy"], names="xt"))
    refused(ValueError, "'' is no derivative", lambda x: gl.partials(x[0:1], x, [""], names="xt"))
    refused(ValueError, "is no derivative by the coordinates 0, 1", lambda x: gl.partials(x[0:1], x, [(0, 2)]))
    refused(ValueError, "'xy' is no derivative by the coordinates 'x', 't'", lambda x: gl.partials(x[0:1], x, {"xy": 1}, names="xt"))
    refused(TypeRefused, "the factor of 'x' in a sum is a number, not dlarray.*by itself", lambda x: gl.partials(x[0:1], x, {"x": x[0, 0]}, names="xt"))
    refused(TypeRefused, "is a number, not bool", lambda x: gl.partials(x[0:1], x, [{"x": True}], names="xt"))
    refused(ShapeError, "write a different name for each", lambda x: gl.partials(x[0:1], x, ["x"], names="xyz"))
    refused(ShapeError, "write a different name for each", lambda x: gl.partials(x[0:1], x, ["x"], names="xx"))
    refused(ShapeError, "the coordinates stand along one axis", lambda x: gl.partials(x[0:1], x, ["x"], "CB", names="xt"))
    refused(ShapeError, "write dljacobian", lambda x: gl.partials(gl.sum(x), x, ["x"], names="xt"))
    refused(TraceError, "are not independent", lambda x: gl.partials(x - gl.mean(x, axis="B", keepdims=True), x, ["x"], names="xt"))
    refused(TypeRefused, "complex", lambda x: gl.partials(gl.exp(1j * x), x, ["x"], names="xt"))
    refused(TraceError, "was not recorded", lambda x: gl.dlgradient(gl.sum(gl.partials(x ** 3, x, "xx", names="xt", enable_higher_derivatives=False)), x))


# ----- dllaplacian ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("labels", ["CB", "BC", "CSB", "BSC", "SBC"])
def test_laplacian_with_its_gradient(labels, recorded):
    sizes = {"C": 4, "S": 3, "B": 5}
    x = dlarray(RNG.standard_normal([sizes[letter] for letter in labels]), labels)

    def run(x):
        u = gl.sum(gl.tanh(gl.sin(x) * gl.sum(x ** 2, axis="C", keepdims=True)), axis="C", keepdims=True)
        found = [gl.dllaplacian(u, x, "C", with_gradient=True, enable_higher_derivatives=recorded, **options)
                 for options in ({}, {"weights": [1.0, 0.0, -2.0, 0.0]}, {"weights": np.eye(4) + 0.1})]
        return found, gl.dlgradient(gl.sum(u), x, retain_data=True), gl.dllaplacian(u, x, "C"), gl.partials(u, x, [(0, 0), (2, 2)])

    found, gradient, laplacian, (first, third) = gl.dlfeval(run, x)
    close(found[0][1], laplacian, "Laplacian")
    close(found[1][1], first - 2 * third, "weights that are zero")
    for g, _ in found:
        assert gl.dims(g) == labels
        close(g, gradient, "gradient")


def test_a_gradient_of_several_channels_is_refused():
    with pytest.raises(ShapeError, match="of one channel"):
        gl.dlfeval(lambda x: gl.dllaplacian(x ** 2, x, "C", with_gradient=True), dlarray([[1.0, 2.0], [3.0, 4.0]], "CB"))


def test_entries_of_weight_zero_have_no_direction(monkeypatch):
    from gradloom.derivatives.curvature import walk

    seen = []
    original = walk.linear_part
    monkeypatch.setattr(walk, "linear_part", lambda node, parts, lead, *rest: seen.extend(lead) or original(node, parts, lead, *rest))
    x, w = normal(5, 6), normal(6, 3)
    found = gl.dlfeval(lambda x: gl.dllaplacian(gl.sum(gl.tanh(gl.tanh(x @ w) @ gl.ones((3, 3))), axis=1), x, 1, weights=[1, 0, 0, 2, 0, 0]), x)
    assert max(seen) == 2 and found.shape == (5,)
