"""interface.md section 3: labels, axes, alignment by label, what is refused; and ravel (4.7)."""
import inspect
import itertools

import numpy as np
import pytest
import scipy.sparse
import torch
from helpers import stream

import gradloom as gl

rng = stream(0)


def labelled(labels, *shape):
    return gl.dlarray(rng.normal(size=shape), labels)


# ----- creation (3.1) ---------------------------------------------------------------------------------------------------


def test_arrays_are_kept_as_given():
    a = rng.normal(size=(2, 3, 4, 5))
    for labels in ("SSCB", "BCSS", "BSSC", "TUSB", "UUCU"):
        x = gl.dlarray(a, labels)
        assert x.dims == gl.dims(x) == labels and x.shape == a.shape and np.array_equal(x, a)
    assert gl.dlarray(a, "UUUU").dims == gl.dims(gl.dlarray(a)) == gl.dims(a) == gl.dims(torch.ones(2)) == ""
    assert gl.dlarray(a, "SSCB").sizes == {"S": (2, 3), "C": 4, "B": 5} and gl.dlarray(1.0, "").dims == ""
    assert gl.dims(gl.dlarray(gl.dlarray(a, "SSCB"), "BCSS")) == "BCSS" and gl.dlarray(gl.dlarray(a, "SSCB"), "UUUU").dims == ""
    assert gl.dlarray(gl.dlarray(a, "SSCB")).dims == "SSCB"


@pytest.mark.parametrize(("labels", "words"), [
    ("SSC", "4 x 3 x 2 x 2"), ("SSCBT", "name 5 axes"), ("CCSS", "'C' occurs 2 times"), ("BSBS", "at most once"), ("TTSS", "use S or U"),
    ("sscb", r"no label 's'.*S \(spatial\), C \(channel\), B \(batch\), T \(time\), U \(unspecified\)"), ("SSXB", "no label 'X'"), (4, "one letter per axis"),
    (("S", "S", "C", "B"), "a string"), ("NCHW", "no label 'N'"),
])
def test_labels_that_cannot_be(labels, words):
    with pytest.raises(gl.LabelError, match=words):
        gl.dlarray(np.zeros((4, 3, 2, 2)), labels)
    x = gl.dlarray(np.zeros((4, 3, 2, 2)), "SSCB")
    with pytest.raises(gl.LabelError):
        gl.dlarray(x, labels)
    assert x.dims == "SSCB"


def test_finddim_is_always_a_tuple():
    x = labelled("SCSB", 2, 3, 4, 5)
    assert (gl.finddim(x, "S"), gl.finddim(x, "C"), gl.finddim(x, "T"), gl.finddim(x, "CS")) == ((0, 2), (1,), (), (1, 0, 2))
    assert gl.finddim(np.zeros(3), "S") == gl.finddim(torch.zeros(3), "B") == ()
    for bad in ("X", "", 0, None, "s"):
        with pytest.raises(gl.LabelError, match="finddim"):
            gl.finddim(x, bad)


def test_stripdims():
    a = rng.normal(size=(2, 3, 4, 5))
    x = gl.dlarray(a, "BCSS")
    assert gl.stripdims(x).dims == "" and np.array_equal(gl.stripdims(x), a) and x.dims == "BCSS"
    y = gl.stripdims(x, "SSCB")
    assert y.dims == "" and np.array_equal(y, a.transpose(2, 3, 1, 0)) and np.array_equal(gl.stripdims(x, "BCSS"), a)
    assert gl.stripdims(np.ones(2)).tolist() == [1, 1] and isinstance(gl.stripdims(torch.ones(2)), torch.Tensor)
    for layout in ("SSC", "SSCT", "SSCBB", "", 5, "CBS"):
        with pytest.raises(gl.LabelError, match=r"test_labels.py.*stripdims\(x, 'BCSS'\)"):
            gl.stripdims(x, layout)
    with pytest.raises(gl.LabelError, match="label the array first"):
        gl.stripdims(a, "BCSS")

    def fun(x):  # the same place, or an operation
        y = gl.sum(gl.stripdims(x, "SSCB") * a.transpose(2, 3, 1, 0))
        return gl.dlgradient(y, gl.stripdims(x)), gl.dlgradient(y, gl.stripdims(x, "BCSS"))

    for g in gl.dlfeval(fun, x):
        assert np.array_equal(g, a)


# ----- axis (3.2) ----------------------------------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "max", "min", "prod", "std", "var", "any", "all"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_over_axes(name):
    a = rng.normal(size=(2, 3, 4, 5))
    x, function = gl.dlarray(a, "SCSB"), getattr(gl, name)
    for axis, positions, labels in ((0, (0,), "CSB"), (-1, (3,), "SCS"), ("C", (1,), "SSB"), ("S", (0, 2), "CB"), (("S", "B"), (0, 2, 3), "C"), ("BS", (3, 0, 2), "C"),
                                    ((0, "B"), (0, 3), "CS"), ([1, -2], (1, 2), "SB"), (None, (0, 1, 2, 3), ""), ("SCB", (0, 1, 2, 3), ""),
                                    (np.int64(1), (1,), "SSB")):
        expected = getattr(np, name)(a, axis=tuple(positions))
        y, kept = function(x, axis=axis), function(x, axis=axis, keepdims=True)
        assert np.allclose(y, expected) and y.dims == labels and kept.dims == "SCSB", (name, axis)
        assert kept.shape == tuple(1 if k in positions else n for k, n in enumerate(a.shape)) and np.allclose(kept.reshape(expected.shape), expected)
        assert np.allclose(getattr(x, name)(axis=axis), expected)


@pytest.mark.parametrize("name", [*REDUCTIONS, "argmax", "argmin", "logsumexp", "norm"])
def test_matlabs_and_torchs_spellings_are_errors(name):
    x, function = labelled("CB", 2, 3), getattr(gl, name)
    for call in (lambda: function(x, 1), lambda: function(x, 0), lambda: function(x, "C")):
        with pytest.raises(TypeError, match=rf"test_labels.py.*write {name}\(x, axis=0\)") as caught:
            call()
        assert isinstance(caught.value, gl.TypeRefused)
    for call in (lambda: function(x, dim=1), lambda: function(x, dims=1), lambda: function(x, axes=1)):
        with pytest.raises(gl.TypeRefused, match=rf"the word is axis.*write {name}\(..., axis=1\)"):
            call()
    with pytest.raises(TypeError, match="keepdims=False"):
        function(x, keepdim=True)
    if name in ("max", "min"):
        with pytest.raises(TypeError, match=f"{name}imum"):
            function(x, x)
    assert list(inspect.signature(function).parameters)[:2] == ["x", "axis"] and function.__name__ == name and function.__module__ == "gradloom"


def test_every_function_with_an_axis_explains_dim():
    named = [f for f in (getattr(gl, n) for n in dir(gl)) if inspect.isfunction(f) and f.__module__ == "gradloom" and "axis" in inspect.signature(f).parameters]
    assert {"concat", "softmax", "flip", "expand_dims", "take"} <= {f.__name__ for f in named}
    for function in named:
        with pytest.raises(gl.TypeRefused, match="the word is axis"):
            function([gl.dlarray([1.0])], dim=0)
    for method in ("sum", "max", "argmin", "squeeze"):
        with pytest.raises(gl.TypeRefused, match="the word is axis"):
            getattr(gl.dlarray([1.0]), method)(dim=0)


def test_what_equals_an_axis_is_none():
    """Axes are looked up by the axis that was asked for: a float that equals one asked for before is still refused."""
    x = gl.zeros((2, 3))
    for good, bad in ((1, 1.0), ((0, 1), (0.0, 1)), ([0], [0.0])):
        assert gl.sum(x, axis=good).ndim == 2 - np.size(good)
        with pytest.raises(gl.LabelError, match="axis is an integer"):
            gl.sum(x, axis=bad)
    assert gl.sum(x, axis=1).shape == (2,) and gl.sum(x, axis=True).shape == (2,) and gl.sum(x, axis=(0, 1), keepdims=1).shape == (1, 1)
    assert int(gl.argmax(gl.dlarray(3.0))) == 0 and gl.argmax(gl.dlarray([[1.0, 5.0], [7.0, 2.0]]), axis=(0, 1)).item() == 2


def test_axes_that_are_not_there():
    x = labelled("CB", 2, 3)
    for axis, words in ((2, "out of range.*MATLAB's 1 is 0"), (-3, "out of range"), ("T", r"no axis carries the label 'T': the array is 2\(C\) x 3\(B\)"),
                        ("X", "no axis 'X'"), ((0, "C"), "twice"), ("CC", "twice"), (1.0, "integer"), ((0, 0), "twice"), ((0, -2), "twice")):
        with pytest.raises(gl.LabelError, match=words):
            gl.sum(x, axis=axis)
    with pytest.raises(gl.LabelError, match=r"unlabelled.*axis="):
        gl.sum(np.zeros((2, 3)), axis="C")


# ----- labelled with labelled (3.3) --------------------------------------------------------------------------------------------


def by_name(x):
    """The axes of a labelled array with names that tell several S apart."""
    seen = {}
    names = []
    for letter in x.dims:
        seen[letter] = seen.get(letter, -1) + 1
        names.append(f"{letter}{seen[letter]}")
    return names


@pytest.mark.parametrize(("a", "b", "labels"), [
    ("CB", "BC", "CB"), ("C", "B", "CB"), ("CB", "C", "CB"), ("B", "CB", "BC"), ("SSC", "CSS", "SSC"), ("SCS", "C", "SCS"), ("C", "SSB", "CSSB"),
    ("SSCB", "BSST", "SSCBT"), ("TC", "CT", "TC"), ("UC", "CU", "UC"), ("UUC", "CUU", "UUC"), ("BC", "TU", "BCTU"), ("SCS", "SBS", "SCSB"),
])
def test_operands_are_aligned_by_label(a, b, labels):
    sizes = {"S0": 2, "S1": 3, "C0": 4, "B0": 5, "T0": 6, "U0": 7, "U1": 1}
    x, y = (gl.dlarray(rng.normal(size=[sizes[name] for name in by_name(gl.zeros((1,) * len(t), t))]), t) for t in (a, b))
    names = by_name(gl.zeros((1,) * len(labels), labels))
    letters = {name: chr(97 + k) for k, name in enumerate(names)}
    spelled = ["".join(letters[n] for n in by_name(v)) for v in (x, y)]
    expected = np.einsum(f"{spelled[0]},{spelled[1]}->{''.join(letters.values())}", np.array(x), np.array(y))
    z = x * y
    assert z.dims == labels and np.allclose(z, expected)
    assert gl.where(x > 0, y, 0.0).shape == z.shape and (x < y).dims == labels and gl.maximum(x, y).dims == labels

    def slopes(x, y):
        return gl.dlgradient(gl.sum((x * y) ** 2), x, y)

    for g, v, w, k in zip(gl.dlfeval(slopes, x, y), (x, y), (y, x), (0, 1)):
        other = np.einsum(f"{''.join(letters.values())},{spelled[1 - k]}->{spelled[k]}", 2 * expected, np.array(w))
        assert g.dims == v.dims and np.allclose(g, other)


def test_axes_of_size_one_stretch_between_labelled_arrays():
    x, y = labelled("CB", 3, 1), labelled("BC", 4, 3)
    assert (x + y).shape == (3, 4) and np.allclose(x + y, np.array(x) + np.array(y).T)


@pytest.mark.parametrize(("a", "b", "words"), [
    (("SC", (2, 3)), ("SSC", (2, 2, 3)), "1 axes S on the left, 2 on the right.*stripdims"), (("UB", (2, 3)), ("UUB", (2, 2, 3)), "1 axes U"),
    (("CB", (3, 128)), ("CB", (4, 128)), r"3\(C\) x 128\(B\).*4\(C\) x 128\(B\)"), (("CB", (3, 4)), ("B", (5,)), r"3\(C\) x 4\(B\).*5\(B\)"),
])
def test_labels_and_sizes_that_do_not_match(a, b, words):
    x, y = labelled(a[0], *a[1]), labelled(b[0], *b[1])
    for call in (lambda: x + y, lambda: gl.dlfeval(lambda x, y: x * y, x, y), lambda: gl.where(x > 0, x, y)):
        with pytest.raises((gl.LabelError, gl.ShapeError), match=words) as caught:
            call()
        assert "test_labels.py" in str(caught.value)


# ----- labelled with unlabelled (3.3) ---------------------------------------------------------------------------------------------


def test_unlabelled_operands_align_at_the_end():
    x = labelled("BC", 4, 3)
    for other in (rng.normal(size=3), rng.normal(size=(4, 1)), rng.normal(size=(1, 3)), rng.normal(size=(4, 3)), rng.normal(size=(1,)), 2.0, np.array(3.0)):
        for y, expected in ((x - other, np.array(x) - other), (other - x, other - np.array(x))):
            assert y.dims == "BC" and np.allclose(y, expected)
    y = x + rng.normal(size=(2, 4, 3))
    assert y.dims == "UBC" and y.shape == (2, 4, 3)
    scalar = gl.dlarray(1.0)
    assert (x * scalar).dims == (scalar * x).dims == "BC" and (labelled("C", 3)[0] * x).dims == "BC"


@pytest.mark.parametrize("swap", [False, True])
def test_an_unlabelled_operand_may_not_stretch_a_labelled_axis(swap):
    u, targets = labelled("BC", 5, 1), rng.normal(size=5)

    def minus(a, b):
        return b - a if swap else a - b

    for other in (targets, gl.dlarray(targets), torch.tensor(targets), targets.tolist(), rng.normal(size=(2, 1, 5))):
        for call in (lambda other=other: minus(u, other), lambda other=other: gl.dlfeval(lambda u: minus(u, other), u)):
            with pytest.raises(gl.ShapeError, match=r"test_labels.py") as caught:
                call()
            assert "5(B) x 1(C)" in str(caught.value) and "may not stretch" in str(caught.value)
    assert minus(u, gl.dlarray(targets, "B")).shape == (5, 1) and minus(u, targets[:, None]).shape == (5, 1)
    assert minus(gl.stripdims(u), targets).shape == (5, 5)  # NumPy's rule, where no label says otherwise
    a, b = labelled("CB", 1, 5), labelled("C", 4)  # two labelled operands decide the size together
    assert gl.where(gl.dlarray(np.ones((4, 5), bool)), a, b).shape == (4, 5)


def test_labels_of_everything_else():
    x = labelled("CB", 3, 4)
    assert gl.exp(x).dims == gl.relu(x).dims == (-x).dims == (x ** 2).dims == (2 ** x).dims == x.astype("float32").dims == x.conj().dims == "CB"
    assert gl.permute_dims(x, (1, 0)).dims == gl.permute_dims(x, "BC").dims == x.T.dims == x.mT.dims == x.H.dims == x.transpose().dims == "BC"
    assert gl.expand_dims(x, axis=1).dims == "CUB" and gl.squeeze(gl.expand_dims(x, axis=0)).dims == "CB" and gl.reshape(x, (12,)).dims == ""
    assert gl.concat([x, x], axis="B").dims == gl.flip(x, axis="C").dims == gl.roll(x, 1, axis="B").dims == gl.take(x, [0], axis="C").dims == "CB"
    assert gl.stack([x, x]).dims == "UCB" and gl.stack([x, x], axis=-1).dims == "CBU" and gl.dlarray([x, x]).dims == "UCB"
    assert gl.concat([x, np.ones((3, 2))], axis="B").dims == "CB" and gl.reshape(x, (3, 4)).dims == "CB"
    assert gl.argmax(x, axis="C").dims == "B" and gl.tile(x, (2, 1)).dims == gl.repeat(x, 2, axis="C").dims == "CB" and gl.tile(x, (2, 1, 1)).dims == "UCB"
    assert gl.broadcast_to(x, (2, 3, 4)).dims == "UCB" and gl.clip(x, 0, 1).dims == gl.var(x, axis="B", keepdims=True).dims == "CB"
    assert gl.moveaxis(x, "C", -1).dims == "BC"
    for bad in (lambda: gl.concat([x, gl.dlarray(np.array(x), "BC")]), lambda: gl.stack([x, labelled("SB", 3, 4)])):
        with pytest.raises(gl.LabelError, match="test_labels.py"):
            bad()


# ----- products (3.4) -------------------------------------------------------------------------------------------------------------


def test_matrix_products_contract_by_position():
    x, w, v = labelled("BC", 4, 3), rng.normal(size=(3, 5)), rng.normal(size=3)
    assert (x @ w).dims == "BC" and (x @ w).shape == (4, 5) and np.allclose(x @ w, np.array(x) @ w)
    assert (w.T @ x.T).dims == "CB" and (w.T @ x.T).shape == (5, 4)
    assert (x @ v).dims == "B" and (v @ x.T).dims == "B" and np.allclose(x @ v, np.array(x) @ v)
    y = labelled("SBC", 2, 4, 3) @ w
    assert (y.dims, y.shape) == ("SBC", (2, 4, 5)) and (w @ rng.normal(size=(5, 2))).shape == (3, 2)
    assert (labelled("C", 3) @ w).shape == (5,) and (w.T @ labelled("C", 3)).dims == "C"
    assert (np.ones((7, 1, 1)) @ labelled("BC", 1, 3)).dims == "UBC"
    with pytest.raises(gl.LabelError, match=r"4\(B\) x 3\(C\).*3\(C\) x 5\(B\).*fullyconnect.*einsum.*stripdims"):
        x @ labelled("CB", 3, 5)
    for a, b in ((x, np.ones((4, 2))), (np.ones(2), x), (x, np.ones(4))):
        with pytest.raises(gl.ShapeError, match=r"4\(B\) x 3\(C\).*columns meet"):
            a @ b
    with pytest.raises(gl.ShapeError, match=r"a \* b"):
        x @ 2.0
    assert gl.einsum("bc,cd->bd", x, w).dims == "" and gl.matmul(scipy.sparse.eye_array(3), gl.stripdims(x.T)).shape == (3, 4)


def test_fullyconnect_does_not_depend_on_the_layout():
    a = rng.normal(size=(2, 3, 4, 5))  # C, S, S, B
    w, b = rng.normal(size=(6, 24)), rng.normal(size=6)
    expected = np.einsum("oi,ib->ob", w, a.reshape(24, 5)) + b[:, None]
    for order in itertools.permutations(range(4)):
        if order.index(1) > order.index(2):
            continue  # the S keep their order
        labels = "".join("CSSB"[k] for k in order)
        x = gl.dlarray(a.transpose(order), labels)
        y = gl.fullyconnect(x, w, b)
        assert set(y.dims) == set("CB") and np.allclose(gl.stripdims(y, "CB"), expected) and y.dims.index("C") == int(labels.index("C") > labels.index("B"))
        plain = gl.fullyconnect(gl.stripdims(x), w, b, data_format=labels)
        assert plain.dims == "" and np.array_equal(plain, y)
    assert gl.fullyconnect(labelled("CT", 3, 4), rng.normal(size=(2, 3))).dims == "CT"
    for bad in (lambda: gl.fullyconnect(a, w, b), lambda: gl.softmax(a), lambda: gl.dlconv(a, np.ones((2, 3, 1, 1)))):
        with pytest.raises(gl.LabelError, match=r'"BCSS" \(PyTorch\), "BSSC" \(Keras\), "SSCB" \(MATLAB\)'):
            bad()
    with pytest.raises(gl.LabelError, match="contradicts"):
        gl.fullyconnect(gl.dlarray(a, "CSSB"), w, b, data_format="BCSS")


# ----- ravel (4.7) -------------------------------------------------------------------------------------------------------------------


def test_ravel_and_back_are_recorded():
    tree = {"w": labelled("CB", 2, 3), "b": [gl.dlarray(4.0), np.ones(2, "float32")], "n": 7, "s": "text", "i": np.arange(2), "none": None}

    def fun(tree):
        vector, back = gl.ravel(tree)
        again = back(vector ** 2)
        y = gl.sum(again["w"] ** 2) + again["b"][0] * gl.sum(again["b"][1])
        return vector, again, gl.dlgradient(y, vector), gl.dlgradient(y, tree["w"], tree["b"][0])

    vector, again, v_bar, (w_bar, b_bar) = gl.dlfeval(fun, tree)
    w = np.array(tree["w"])
    assert vector.shape == (9,) and vector.dims == "" and np.array_equal(vector, np.concatenate([w.ravel(), [4], [1, 1]]))
    assert list(again) == list(tree) and again["w"].dims == "CB" and np.allclose(again["w"], w ** 2) and again["b"][1].dtype is torch.float32
    assert again["n"] == 7 and again["s"] == "text" and again["i"] is tree["i"] and again["none"] is None
    assert np.allclose(w_bar, 4 * w ** 3) and b_bar.item() == 8 * 2 and np.allclose(v_bar[:6], (4 * w ** 3).ravel()) and np.allclose(v_bar[6:], [16, 32, 32])


def test_ravel_of_odd_things():
    vector, back = gl.ravel([])
    assert vector.shape == (0,) and back(vector) == []
    vector, back = gl.ravel(gl.dlarray(3.0))
    assert vector.shape == (1,) and back(vector).shape == () and back(np.array([5.0])).item() == 5
    vector, back = gl.ravel([torch.ones(2), torch.zeros((1, 1))])
    assert isinstance(vector, torch.Tensor) and isinstance(back(vector)[1], torch.Tensor) and isinstance(back(np.ones(3))[0], gl.dlarray)
    vector, back = gl.ravel((gl.dlarray([1j]), gl.dlarray([2.0 + 0j])))
    assert vector.tolist() == [1j, 2]
    with pytest.raises(gl.TypeRefused, match="apart"):
        gl.ravel([gl.dlarray([1j]), gl.dlarray(1.0)])
    for bad in (np.ones(3), np.ones((2, 1)), 1.0):
        with pytest.raises(gl.ShapeError, match="2 elements"):
            back(bad)
