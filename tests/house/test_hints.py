"""Words of MATLAB, PyTorch, Keras, JAX and NumPy: every entry of the tables is provoked, its message read, and the line that it shows is run."""
import inspect
import math

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.core.tables import PUBLIC
from gradloom.vocabulary import foreign, hints, options

MODULE = torch.nn.Linear(3, 2)


def small_network():
    return gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(3), gl.layers.ReLU(), gl.layers.Softmax()])


def run_line(line):
    """A line in a function that dlfeval runs, with what people have at hand there."""
    def fun(x):
        return gl.sum(x ** 2)

    def program(net, x):
        y = net(x)
        t = gl.dlarray([0, 1, 2], "B", dtype="int64")
        loss = gl.crossentropy(y, t)
        names = {
            "gl": gl, "np": np, "math": math, "torch": torch, "net": net, "x": x, "y": y, "z": gl.rand((3, 3), "BC"), "t": t, "loss": loss,
            "fun": fun, "data": [1.0, 2.0], "layers": [gl.layers.FeatureInput(3), gl.layers.FullyConnected(2)], "module": MODULE,
            "learnables": net.learnables, "state": net.state, "velocity": None, "digits": t, "images": gl.rand((2, 1, 4, 4), "BCSS"),
            "kernels": gl.rand((2, 1, 3, 3)), "weights": gl.rand((2, 3)), "bias": gl.rand((2,)), "offset": gl.zeros((3,)), "factor": gl.ones((3,)),
            "fast": FAST, "monitor": MONITOR, "layout": LAYOUT, "gradients": gl.dlgradient(loss, net.learnables, retain_data=True),
        }
        if "@" in line and "J" not in line:
            names |= {"x": gl.stripdims(x), "y": gl.stripdims(y)}
        if "J" in line:
            names |= {"x": (v := gl.stripdims(x)), "J": gl.dljacobian(v * v, v, enable_higher_derivatives=True), "z": v}
            names["J"] = J_RETURNED if "np.asarray" in line else names["J"]
        for value in ("np.", "list(", "float("):  # what leaves the library is written outside dlfeval
            if value in line:
                names |= {"x": gl.detach(x), "net": small_network(), "z": gl.detach(names["z"])}
        exec(line, names)

    gl.dlfeval(program, small_network(), gl.rand((3, 3), "BC"))


J_RETURNED = gl.dlfeval(lambda x: gl.dljacobian(x * x, x), gl.rand((3, 3)))
FAST, LAYOUT = gl.dlaccelerate(lambda x: 2 * x), gl.Layout((2, 3), "BC")
MONITOR = gl.TrainingProgressMonitor(metrics=["loss"], info=["epoch"])
PLACES = {
    "gl": (gl, foreign.MODULE), "layers": (gl.layers, foreign.LAYERS), "x": (gl.rand((2, 3)), foreign.ARRAY),
    "fast": (FAST, foreign.ACCELERATED), "monitor": (MONITOR, foreign.MONITOR), "layout": (LAYOUT, foreign.LAYOUT),
    "net": (small_network(), foreign.NETWORK), "net.learnables": (small_network().learnables, foreign.LEARNABLES), "J": (J_RETURNED, foreign.JACOBIAN),
}
WORDS = [(place, source, word) for place, (_, table) in PLACES.items() for source, words in table.items() for word in words]


@pytest.mark.parametrize(("place", "source", "word"), WORDS)
def test_a_word_of_another_library_shows_a_line_that_runs(place, source, word):
    thing, table = PLACES[place]
    line, _, reason = table[source][word].partition(" | ")
    with pytest.raises(AttributeError) as refused:
        getattr(thing, word)
    assert repr(word) in str(refused.value) and line in str(refused.value) and reason in str(refused.value)
    if "cuda" in line and "to(" in line and not torch.cuda.is_available():
        compile(line, word, "exec")
    else:
        run_line(line)


@pytest.mark.parametrize("word", ["nonsense(x)", "net.nonsense", "x.backward()", "gl.sum(x, axis=7)"])
def test_a_line_that_does_not_run_is_found(word):
    with pytest.raises((NameError, AttributeError, ValueError)):
        run_line(word)


def test_no_word_is_hinted_that_is_there():
    for _place, (thing, table) in PLACES.items():
        names = [word for words in table.values() for word in words]
        assert not [word for word in names if word in dir(thing)]


@pytest.mark.parametrize("word", sorted(foreign.PLANNED))
def test_a_planned_word_says_so_and_guesses_nothing(word):
    with pytest.raises(AttributeError, match="planned and not there yet") as refused:
        getattr(gl, word)
    assert "did you mean" not in str(refused.value) and foreign.PLANNED[word] in str(refused.value)


@pytest.mark.parametrize("word", sorted(foreign.PLANNED_OF_NETWORKS))
def test_a_planned_word_of_networks_says_so(word):
    with pytest.raises(AttributeError, match="planned and not there yet"):
        getattr(small_network(), word)


@pytest.mark.parametrize(("source", "word"), [(s, w) for s, words in foreign.PLANNED_AS.items() for w in words])
def test_other_words_for_what_is_planned(source, word):
    here = foreign.PLANNED_AS[source][word]
    things = [thing for thing, planned in ((gl, foreign.PLANNED), (small_network(), foreign.PLANNED_OF_NETWORKS)) if here in planned]
    assert things
    for thing in things:
        with pytest.raises(AttributeError, match=f"{source}'s {word} will be {here} here, which is planned and not there yet"):
            getattr(thing, word)


def test_functions_that_others_have_as_methods():
    x = gl.rand((2, 3))
    for name in ("exp", "softmax", "clip", "cumsum", "stripdims"):
        with pytest.raises(AttributeError, match=rf"write gl\.{name}\(x\)"):
            getattr(x, name)
    with pytest.raises(AttributeError, match=r"write gl\.solve\(x, \.\.\.\)"):
        x.solve
    assert all(hasattr(x, name) == (name in dir(x)) for name in PUBLIC)


def test_assigning_says_it_too():
    x = gl.rand((2, 3))
    with pytest.raises(AttributeError, match="what is passed to dlfeval is recorded"):
        x.requires_grad = True


# ----- options ----------------------------------------------------------------------------------------------------------------------------------

DATA = (gl.minibatchqueue, gl.ImageDatastore, gl.FileDatastore, gl.ArrayDatastore, gl.AugmentedImageDatastore)
CALLED = {name: thing for name, thing in {**{n: getattr(gl, n) for n in dir(gl)}, **{n: getattr(gl.layers, n) for n in gl.layers.__all__}}.items()
          if inspect.isfunction(thing) or inspect.isclass(thing) and issubclass(thing, gl.Layer) and thing is not gl.Layer
          or thing in DATA}
SPELLED = [(source, word, here) for source, words in options.SPELLED.items() for word, several in words.items() for here in several]


def parameters(thing):
    return inspect.signature(thing).parameters


@pytest.mark.parametrize(("source", "word", "here"), [
    *SPELLED, ("MATLAB", "RetainData", "retain_data"), ("MATLAB", "Padding", "padding"), ("MATLAB", "EnableHigherDerivatives", "enable_higher_derivatives"),
    ("MATLAB", "DilationFactor", "dilation_factor"), ("MATLAB", "Name", "name"), ("MATLAB", "DataFormat", "data_format"),
])
def test_an_option_by_another_name_is_shown_as_it_is_here(source, word, here):
    found = 0
    for name, thing in CALLED.items():
        its = parameters(thing)
        if here not in its or its[here].kind is inspect.Parameter.POSITIONAL_ONLY or word in its or options.spelled(word, list(its)) != (source, here):
            continue
        if any(p.kind is p.VAR_KEYWORD for p in its.values()) or name in PLAIN:
            continue
        with pytest.raises(gl.TypeRefused) as refused:
            thing(**{word: 3})
        assert f"{name}(..., {here}=3)" in str(refused.value)
        found += 1
    assert found or (word, here) in ALIASES, f"nothing here has {here}="


PLAIN = ("clip", "elu", "leakyrelu")  # without the wrapper that explains calls, which costs as much as a small array
ALIASES = {("dim", "axes"), ("dims", "axes"), ("axes", "axis"), ("weight", "weights"), ("eps", "epsilon"), ("negative_slope", "scale"), ("input_shape", "size")}


@pytest.mark.parametrize("word", sorted(options.NOT_NEEDED))
def test_an_option_that_nobody_needs_says_why(word):
    with pytest.raises(gl.TypeRefused) as refused:
        if word in ("drop_last", "shuffle"):
            gl.minibatchqueue(gl.ones(3), **{word: True})
        elif word == "TargetCategories":
            gl.crossentropy(gl.ones((1, 1)), gl.ones((1, 1)), TargetCategories="independent")
        elif word == "training":
            small_network().predict(gl.rand((3,), "C"), training=True)
        else:
            gl.layers.Convolution2d(3, 16, **{word: 1})
    assert options.NOT_NEEDED[word] in str(refused.value)


CALLS = [
    (lambda: gl.layers.LeakyReLU(0.2), r"scale is given by keyword: write LeakyReLU\(scale=0\.2\)"),
    (lambda: gl.layers.MaxPooling2d(2, 2), r"stride is given by keyword: write MaxPooling2d\(2, stride=2\)"),
    (lambda: gl.layers.GELU("tanh"), r"write GELU\(approximation='tanh'\)"),
    (lambda: gl.layers.Convolution2d(1, 16, 3), r"write Convolution2d\(filter_size, num_filters\), PyTorch's Conv2d\(in_channels"),
    (lambda: gl.layers.FullyConnected(3, 10), r"write FullyConnected\(output_size\)"),
    (lambda: gl.layers.Convolution2d(3, 16, "Padding", "same"), r"options are given by keyword: write Convolution2d\(\.\.\., padding='same'\)"),
    (lambda: gl.layers.FullyConnected(), "FullyConnected needs output_size, at test_hints"),
    (lambda: gl.maxpool(gl.rand((4, 4, 1), "SSC"), 2, "Stride", 2), r"write maxpool\(\.\.\., stride=2\)"),
    (lambda: gl.dlfeval(lambda x: gl.dlgradient(x[0], x, "RetainData", True), gl.ones(2)), r"write dlgradient\(\.\.\., retain_data=True\)"),
    (lambda: gl.dlfeval(lambda x: gl.dlgradient([x[0], x[1]], x), gl.ones(2)), r"2 results were given, at test_hints.*write dljacobian\(\[y1, y2\], x\)"),
    (lambda: small_network().predict(gl.rand((3,), "C"), Outputs="fc"), r"write net\.predict\(\.\.\., outputs='fc'\)"),
    (lambda: gl.ones(3)(1), r"counts from 0: x\[0\]"),
    (lambda: gl.ones((3, 3))(2, 3), r"counts from 0: x\[1, 2\]"),
    (lambda: gl.ones(3).to("cuda"), r'write x\.to\(device="cuda"\)'),
    (lambda: gl.ones(3).to(torch.float32), r'write x\.to\(dtype="float32"\)'),
    (lambda: small_network().to("cuda:0"), r'write net\.to\(device="cuda:0"\)'),
    (lambda: gl.ones(3).to(device="nowhere"), "no device 'nowhere'"),
    (lambda: gl.dlnetwork([gl.layers.FeatureInput(3), gl.layers.FullyConnected(2, bias=False)]), "leave bias= out"),
    (lambda: gl.sum(gl.ones(3), "all"), r"over all of them it is sum\(x\)"),
    (lambda: gl.concat(gl.ones(3), gl.ones(3)), r"write concat\(\[a, b\], axis=0\)"),
    (lambda: gl.layers.Convolution2d(3, 16, "Padding", "same", "Name", "c"), r"write Convolution2d\(\.\.\., padding='same', name='c'\)"),
    (lambda: gl.layers.ImageInput(28, 28, 1), r"write ImageInput\(\(height, width, channels\)\)"),
    (lambda: gl.dlnetwork(gl.layers.FeatureInput(3), gl.layers.ReLU()), r"takes its layers as one list, at test_hints.*write dlnetwork\(\[FeatureInput\(3\)"),
    (lambda: small_network().predict(gl.rand((3,), "C"), "relu"), r"write net\.predict\(x, outputs='relu'\)"),
    (lambda: small_network().forward(), "takes one array, 0 were given, at test_hints"),
    (lambda: gl.ones(3) ^ 2, r"a power is written x \*\* y"),
    (lambda: gl.dlfeval(gl.ones(3)), "dlfeval needs a function as its first argument, not dlarray"),
    (lambda: gl.dlupdate(gl.ones(3), gl.ones(3)), "dlupdate takes a function first, not dlarray"),
]


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_calls_that_others_write(call, message):
    with pytest.raises(gl.TypeRefused, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: gl.sum(gl.ones(3), axis="all"), "over all axes is one without axis="), (lambda: gl.randn(3, "single"), 'write dtype="float32"'),
    (lambda: gl.zeros(3, "like"), "write like=x"), (lambda: gl.reshape(gl.ones(6), 3, []), r"write reshape\(x, \(3, -1\)\)"),
])
def test_values_that_matlab_writes(call, message):
    with pytest.raises(gl.GradloomError, match=message):
        call()


def test_the_lines_shown_for_calls_run():
    assert gl.layers.LeakyReLU(scale=0.2).scale == 0.2 and gl.layers.MaxPooling2d(2, stride=2).stride == 2
    J = gl.dlfeval(lambda x: gl.dljacobian([x[0] * 2, x[1] * 3], x), gl.ones(2))
    assert J.matrix().tolist() == [[2, 0], [0, 3]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no CUDA device")
@pytest.mark.parametrize("call", [lambda: gl.ones(3).to(device="cuda"), lambda: small_network().to(device="cuda"), lambda: gl.zeros(3, device="cuda"),
                                  lambda: gl.dlarray([1.0], device="cuda"), lambda: gl.rand(3, device="cuda")])
def test_a_device_that_is_not_there(call):
    with pytest.raises(gl.TypeRefused, match=r'torch finds no CUDA device here.*write device="cpu"'):
        call()


def test_a_users_own_fields_may_have_those_names():
    class Mine(gl.Layer):
        weight: gl.Learnable
        data: float = 1.0

        def initialize(self, layout):
            self.weight = gl.ones((1,))

        def predict(self, x):
            return self.weight * x * self.data

    assert gl.dlnetwork([gl.layers.FeatureInput(2), Mine(3.0)])(gl.ones(2, "C")).tolist() == [3, 3]


@pytest.mark.parametrize("word", [word for table in foreign.METHODS for word in table["MATLAB"] if not hasattr(gl, word) and word not in ("Learnables", "Layers", "State")])
def test_methods_that_matlab_writes_as_functions(word):
    with pytest.raises(AttributeError, match="MATLAB's .* is written"):
        getattr(gl, word)


@pytest.mark.parametrize(("value", "word", "here"), [
    (gl.layers.FullyConnected(2), "WeightsInitializer", "weights_initializer"), (gl.layers.LSTM(2), "RecurrentWeights", "recurrent_weights"),
    (gl.LBFGSState(), "LineSearchStatus", "line_search_status"), (gl.TrainingOptions("sgdm"), "MaxEpochs", "max_epochs"),
    (gl.minibatchqueue(gl.ones(3)), "MiniBatchSize", "mini_batch_size"),
])
def test_properties_in_matlabs_spelling(value, word, here):
    with pytest.raises(AttributeError, match=f"no attribute '{word}': MATLAB's {word} is written {here} here"):
        getattr(value, word)
    getattr(value, here)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'$"):
        value.Nonsense


def test_a_property_of_matlab_is_not_assigned_in_silence():
    with pytest.raises(AttributeError, match='is written fast.check_mode = "tolerance" here'):
        FAST.CheckMode = "tolerance"


def test_a_guess_at_an_option_in_snake_case():
    with pytest.raises(gl.TypeRefused, match=r"write minibatchqueue\(\.\.\., formats='BC'\)"):
        gl.minibatchqueue(gl.ones((3, 2)), mini_batch_format="BC")


def test_an_own_backward_says_what_it_is_given():
    class Square(gl.Layer):
        def predict(self, x):
            return x * x

        def backward(self, x, y, y_bar, extra):
            return 2 * x * y_bar

    net = gl.dlnetwork([gl.layers.FeatureInput(2), Square()])
    with pytest.raises(gl.TypeRefused, match=r"missing 1 required positional argument: 'extra'; write def backward\(self, x, y, y_bar\)"):
        gl.dlfeval(lambda x: gl.dlgradient(gl.sum(net(x)), x), gl.rand((2, 3), "CB"))


@pytest.mark.parametrize("word", [gl.dldivergence, gl.dllaplacian, lambda u, x, axis: gl.partials(u, x, ["x", "t"], axis=axis, names="xt")])
@pytest.mark.parametrize("axis", ["B", 1])
def test_derivatives_are_not_summed_over_observations(word, axis):
    """MATLAB's 1 is C of "CB"; here it is B."""
    x = gl.rand((2, 2), "CB")
    with pytest.raises(gl.LabelError, match=r"axis 1 of x 2\(C\) x 2\(B\) is that of its observations.*MATLAB's 1 is 0 here"):
        gl.dlfeval(lambda x: word(x * x, x, axis), x)


def test_dir_shows_the_vocabulary_alone():
    assert {n for n in dir(gl) if not n.startswith("__")} == {*PUBLIC, *gl._WORDS.split()}
    assert not [name for name in dir(gl.ones(2)) if isinstance(inspect.getattr_static(gl.dlarray, name, None), hints.Hint)]
    assert "summary" not in dir(small_network()) and "learnables" in dir(small_network())
