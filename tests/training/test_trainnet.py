"""trainnet: sums that are divided once, solvers, validation, ends, and the same bits twice."""

import numpy as np
import pandas
import pytest
import torch
from helpers import stream

import gradloom as gl

L = gl.layers
RNG = stream(1)


def points(count=60, classes=3):
    x = RNG.normal(size=(count, 4))
    return x, np.argmax(x[:, :classes] + 0.1 * RNG.normal(size=(count, classes)), axis=1)


def classifier(dtype="float64", normalized=False):
    gl.rng(3)
    middle = [L.BatchNormalization()] if normalized else []
    return gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(8), *middle, L.Tanh(), L.FullyConnected(3), L.Softmax()], dtype=dtype)


def options(solver="sgdm", **given):
    return gl.TrainingOptions(solver, **{"verbose": False, "max_epochs": 2, **given})


def numbers(net):
    return np.concatenate([np.ravel(p) for p in (*net.learnables.values(), *net.state.values())])


# ----- sums, not means -----


@pytest.mark.parametrize("loss", ["crossentropy", "mse", "huber", lambda y, t: gl.mse(y, t)])
@pytest.mark.parametrize(("size", "accumulate"), [(20, 3), (9, 7), (60, 1), (59, 2)])
def test_any_partition_of_the_data_gives_the_same_step(loss, size, accumulate):
    # 20 x 3, 9 x 6 and a rest of 6, the whole, and a rest of one
    x, t = points()
    if loss != "crossentropy":
        t = RNG.normal(size=(60, 3))
    whole = options(mini_batch_size=60, max_epochs=1, shuffle="never", momentum=0.0, initial_learn_rate=1.0)
    parts = options(mini_batch_size=size, accumulate=accumulate, max_epochs=1, shuffle="never", momentum=0.0,
                    initial_learn_rate=1.0)
    net = classifier()
    expected, info = gl.trainnet(x, t, net, loss, whole)
    found, other = gl.trainnet(x, t, net, loss, parts)
    assert other.iteration == info.iteration == 1
    assert abs(other.training["loss"][0] - info.training["loss"][0]) < 1e-12
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=0, atol=1e-12)
    assert abs(numbers(found) - numbers(net)).max() > 1e-3


def test_a_last_batch_of_one_counts_once():
    x, t = points(7)
    net = classifier()
    _, info = gl.trainnet(x, t, net, "crossentropy", options(mini_batch_size=3, max_epochs=1, shuffle="never",
                                                             validation_data=(x, t), metrics=["accuracy"]))
    assert list(info.training["iteration"]) == [1, 2, 3]
    y = gl.minibatchpredict(gl.trainnet(x, t, net, "crossentropy", options(
        mini_batch_size=3, max_epochs=1, shuffle="never"))[0], x, mini_batch_size=2)
    expected = -np.log(np.asarray(y)[np.arange(7), t]).mean()
    assert info.validation["loss"][-1] == pytest.approx(expected, abs=1e-12)
    assert info.validation["accuracy"][-1] == np.mean(np.asarray(y).argmax(1) == t)


def test_formats_are_those_of_the_parts_that_the_data_has():
    # a network of two inputs: sequences, and masks that are padded with zeros
    net = gl.dlnetwork([L.LSTM(3, output_mode="last", has_mask_input=True), L.FullyConnected(2), L.Softmax()],
                       gl.Layout((1, 1, 2), "BTC"), gl.Layout((1, 1), "BT"), dtype="float64")
    rng = np.random.default_rng(0)
    inputs = [(rng.normal(size=(n, 2)), np.ones(n)) for n in (3, 5, 2)]
    expected = np.concatenate([np.asarray(net.predict(gl.dlarray(x[None], "BTC"), gl.dlarray(m[None], "BT"))) for x, m in inputs])
    labelled = [(x, m, "ab"[k % 2]) for k, (x, m) in enumerate(inputs)]
    for data in (inputs, labelled, gl.minibatchqueue(inputs, 3, formats=["BTC", "BT"], cast="float64")):
        found = gl.minibatchpredict(net, data, mini_batch_size=3, input_data_formats=["BTC", "BT"])
        np.testing.assert_allclose(np.asarray(found), expected, atol=1e-15)
    short = gl.dlnetwork([L.SequenceInput(2), L.LSTM(3, output_mode="last")])
    assert gl.minibatchpredict(short, [x for x, _ in inputs], input_data_formats="BTC").sizes == {"B": 3, "C": 3}
    trained, _ = gl.trainnet(labelled, net, "crossentropy", options(max_epochs=1, input_data_formats=["BTC", "BT"]))
    assert abs(numbers(trained) - numbers(net)).max() > 0


def test_one_step_is_torchs():
    x, t = points()
    net = classifier()
    weights = [torch.tensor(np.array(p), requires_grad=True) for p in net.learnables.values()]
    optimizer = torch.optim.SGD([{"params": weights, "weight_decay": 1e-2}], lr=0.1, momentum=0.9)
    for _ in range(3):
        h = torch.tanh(torch.tensor(x) @ weights[0].T + weights[1]) @ weights[2].T + weights[3]
        loss = torch.nn.functional.cross_entropy(h, torch.tensor(t))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net = net.set_l2_factor("fc", "bias", 1).set_l2_factor("fc_1", "bias", 1)
    found, info = gl.trainnet(x, t, net, "crossentropy", options(max_epochs=3, mini_batch_size=60, initial_learn_rate=0.1,
                                                                 l2_regularization=1e-2, shuffle="never"))
    for p, w in zip(found.learnables.values(), weights, strict=True):
        np.testing.assert_allclose(p, w.detach(), atol=1e-13)
    assert info.training["loss"][-1] == pytest.approx(loss.item(), abs=1e-13)


def test_targets_of_every_kind_give_the_same():
    x, t = points()
    net = classifier()
    hot = np.eye(3)[t]
    words = np.array(["ant", "bee", "cat"])[t]
    runs = [gl.trainnet(x, target, net, "crossentropy", options()) for target in (t, hot, words, list(words))]
    for found, _ in runs[1:]:
        np.testing.assert_allclose(numbers(found), numbers(runs[0][0]), atol=1e-12)
    assert runs[0][1].class_names is None and list(runs[2][1].class_names) == ["ant", "bee", "cat"]


NUMBERS = RNG.integers(0, 3, 57)


@pytest.mark.parametrize("given", [
    NUMBERS, NUMBERS.astype("int32"), NUMBERS.astype("uint8"), NUMBERS > 0, NUMBERS[:, None], NUMBERS.astype(float), list(map(int, NUMBERS)),
    list(map(float, NUMBERS)), gl.dlarray(NUMBERS.astype(float), "B"), gl.dlarray(NUMBERS.astype(float)), torch.tensor(NUMBERS)], ids=str)
@pytest.mark.parametrize("loss", ["mse", "binary-crossentropy", lambda y, t: gl.mse(y, t)])
def test_one_number_for_each_observation_is_one_channel(given, loss):
    """Targets of a loss that compares numbers, of whatever type; metrics take them alike."""
    binary = loss == "binary-crossentropy"
    if binary and getattr(given, "dims", ""):  # class indices, as their labels say
        with pytest.raises(gl.ShapeError, match="a target for every class, not class indices"):
            gl.trainnet(RNG.normal(size=(57, 4)), given > 0, gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(1), L.Sigmoid()]), loss, options())
        return
    if binary:
        given = [x > 0 for x in given] if isinstance(given, list) else given > 0
    x, truth = RNG.normal(size=(57, 4)), np.asarray(given, dtype=float).reshape(57)
    gl.rng(1)
    net = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(1), *([L.Sigmoid()] if binary else [])], dtype="float64")
    y = np.asarray(net.predict(gl.dlarray(x, "BC")))[:, 0]
    names = ["accuracy", "auc"] if binary else ["rmse", "rsquared"]
    _, info = gl.trainnet(x, given, net, loss, options(mini_batch_size=57, max_epochs=1, metrics=names, shuffle="never"))
    expected = -np.log(np.where(truth > 0, y, 1 - y)).mean() if binary else 0.5 * ((y - truth) ** 2).mean()
    assert info.training["loss"][0] == pytest.approx(expected, rel=1e-12)
    assert info.training[names[0]][0] == pytest.approx(((y >= 0.5) == truth).mean() if binary else np.sqrt(((y - truth) ** 2).mean()), rel=1e-12)


# ----- solvers -----


@pytest.mark.parametrize(("solver", "given"), [
    ("sgdm", {"initial_learn_rate": 0.3}), ("adam", {"initial_learn_rate": 0.05}), ("adamw", {"initial_learn_rate": 0.05}),
    ("rmsprop", {"initial_learn_rate": 0.02}), ("lbfgs", {"max_iterations": 60})])
def test_every_solver_learns(solver, given):
    x, t = points(200)
    given = given if solver == "lbfgs" else {"max_epochs": 20, "mini_batch_size": 32, **given}
    net, info = gl.trainnet(x, t, classifier(), "crossentropy", gl.TrainingOptions(solver, verbose=False, **given))
    assert gl.testnet(net, (x, t), "accuracy") > 0.9
    assert info.training["loss"][-1] < info.training["loss"][0]


def test_lbfgs_in_pieces_is_lbfgs_of_the_whole():
    x, t = points()
    runs = [gl.trainnet(x, t, classifier(), "crossentropy", gl.TrainingOptions(
        "lbfgs", verbose=False, max_iterations=5, mini_batch_size=size)) for size in (60, 7)]
    np.testing.assert_allclose(numbers(runs[0][0]), numbers(runs[1][0]), rtol=1e-8)


def test_clipping_and_schedules_are_used():
    x, t = points()
    net = classifier()
    found, info = gl.trainnet(x, t, net, "crossentropy", options(
        mini_batch_size=60, max_epochs=3, shuffle="never", momentum=0.0, initial_learn_rate=1.0, l2_regularization=0,
        gradient_threshold=1e-3, gradient_threshold_method="global-l2norm", learn_rate_schedule="piecewise",
        learn_rate_drop_period=1, learn_rate_drop_factor=0.5))
    assert list(info.training["learn_rate"]) == [1.0, 0.5, 0.25]
    assert np.linalg.norm(numbers(found) - numbers(net)) <= 1.75e-3 * (1 + 1e-9)


def test_frozen_layers_and_factors():
    x, t = points()
    net = classifier().freeze("fc").set_learn_rate_factor("fc_1", "bias", 0)
    found, _ = gl.trainnet(x, t, net, "crossentropy", options())
    for key, p in net.learnables.items():
        assert bool((p == found.learnables[key]).all()) == (key != ("fc_1", "weights")), key


def test_averaged_weights():
    x, t = points()
    seen = []
    _, info = gl.trainnet(x, t, classifier(), "crossentropy", options(max_epochs=1, mini_batch_size=20, shuffle="never"))
    averaged, _ = gl.trainnet(x, t, classifier(), "crossentropy", options(
        max_epochs=1, mini_batch_size=20, shuffle="never", average_weights=0.5))
    state, expected = gl.TrainingState(classifier(), options()), numbers(classifier())
    queue = gl.minibatchqueue((gl.dlarray(x, "BC"), gl.dlarray(t, "B")), 20, cast="float64")

    def model_loss(net, x, t):
        loss = gl.crossentropy(net(x), t)
        return loss, gl.dlgradient(loss, net.learnables)

    for xs, ts in queue:
        loss, g = gl.dlfeval(model_loss, state.network, xs, ts)
        state = state.step(loss, g)
        seen.append(float(loss))
        expected = 0.5 * expected + 0.5 * numbers(state.network)
    np.testing.assert_allclose(numbers(averaged), expected, rtol=1e-12)
    np.testing.assert_allclose(seen, info.training["loss"], rtol=1e-12)


# ----- states, bits -----


def test_batch_normalization_moves_its_statistics():
    x, t = points()
    net = classifier("float32", normalized=True)
    found, _ = gl.trainnet(x, t, net, "crossentropy", options())
    assert abs(np.asarray(found.state["batchnorm", "trained_mean"])).max() > 1e-3


@pytest.mark.parametrize("size", [60, 13, 7])
def test_population_statistics_are_those_of_all_data(size):
    """Of the first layer they do not depend on the mini-batches, of a later one and of one in a network within they are those of its inputs."""
    x, t = points()
    gl.rng(3)
    inner = gl.dlnetwork([L.FullyConnected(5), L.BatchNormalization(mean_decay=0.3, variance_decay=0.2)], initialize=False)
    net = gl.dlnetwork([L.FeatureInput(4), L.BatchNormalization(variance_decay=0.4), L.Network(inner), L.Tanh(), L.FullyConnected(3), L.Softmax()], dtype="float64")
    given = {"mini_batch_size": size, "max_epochs": 1, "shuffle": "never"}
    found, _ = gl.trainnet(x, t, net, "crossentropy", options(batch_normalization_statistics="population", **given))
    moving, _ = gl.trainnet(x, t, net, "crossentropy", options(**given))
    for key, p in moving.learnables.items():
        assert np.array_equal(p, found.learnables[key])
    np.testing.assert_allclose(found.state["batchnorm", "trained_mean"], x.mean(0), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.state["batchnorm", "trained_variance"], x.var(0), rtol=1e-13)
    p = {key: np.asarray(value) for key, value in found.learnables.items()}
    inside = []
    for part in np.split(x, range(size, 60, size)):
        y = (part - part.mean(0)) / np.sqrt(part.var(0) + 1e-5) * p["batchnorm", "scale"] + p["batchnorm", "offset"]
        inside.append(y @ p["network/fc", "weights"].T + p["network/fc", "bias"])
    np.testing.assert_allclose(found.state["network/batchnorm", "trained_mean"], np.concatenate(inside).mean(0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.state["network/batchnorm", "trained_variance"], np.concatenate(inside).var(0), rtol=1e-12)
    assert not gl.trainnet(x, t, classifier(), "crossentropy", options(batch_normalization_statistics="population", **given))[0].state


@pytest.mark.parametrize("environment", ["serial", "background"])
def test_the_same_seed_gives_the_same_bits(environment):
    x, t = points()
    runs = []
    for _ in range(2):
        net = classifier("float32", normalized=True)
        gl.rng(8)
        runs.append(gl.trainnet(x, t, net, "crossentropy", options(
            mini_batch_size=7, shuffle="every-epoch", preprocessing_environment=environment)))
    assert np.array_equal(numbers(runs[0][0]), numbers(runs[1][0]))
    assert np.array_equal(runs[0][1].training["loss"], runs[1][1].training["loss"])


@pytest.mark.slow  # four processes, each of which begins anew
def test_processes_that_read_ahead_give_the_same_bits():
    """They stay from one validation to the next, and end with the run."""
    x, t = points()
    runs = []
    for environment in ("serial", "parallel"):
        net = classifier("float32", normalized=True)
        gl.rng(8)
        runs.append(gl.trainnet(x, t, net, "crossentropy", options(
            mini_batch_size=7, shuffle="every-epoch", preprocessing_environment=environment, validation_data=(x, t), validation_frequency=4)))
    assert np.array_equal(numbers(runs[0][0]), numbers(runs[1][0]))
    assert np.array_equal(runs[0][1].validation["loss"], runs[1][1].validation["loss"])


# ----- validation and ends -----


def test_the_best_network_is_returned():
    x, t = points()
    wrong = (x, (t + 1) % 3)  # the better it learns, the worse it gets
    found, info = gl.trainnet(x, t, classifier(), "crossentropy", options(
        max_epochs=6, mini_batch_size=60, validation_data=wrong, validation_frequency=1, initial_learn_rate=0.5))
    assert info.iteration == info.validation["iteration"][np.argmin(info.validation["loss"])] < 6
    last, info = gl.trainnet(x, t, classifier(), "crossentropy", options(
        max_epochs=6, mini_batch_size=60, validation_data=wrong, validation_frequency=1, initial_learn_rate=0.5,
        output_network="last-iteration"))
    assert info.iteration == 6 and not np.array_equal(numbers(last), numbers(found))


def test_patience_ends_training():
    x, t = points()
    _, info = gl.trainnet(x, t, classifier(), "crossentropy", options(
        max_epochs=50, mini_batch_size=60, validation_data=(x, (t + 1) % 3), validation_frequency=1,
        validation_patience=2, initial_learn_rate=0.5))
    assert info.stop_reason == "validation_patience was reached"
    assert info.training["iteration"][-1] == info.iteration + 2


@pytest.mark.parametrize(("given", "reason", "iterations"), [
    ({"max_epochs": 2, "mini_batch_size": 30}, "max_epochs was reached", 4),
    ({"max_iterations": 3, "mini_batch_size": 30}, "max_iterations was reached", 3),
    ({"max_time": 1e-9}, "max_time was reached", 1),
    ({"dry_run": True}, "dry run", 1),
    ({"output_function": lambda told: told["state"] == "iteration" and told["iteration"] == 2, "mini_batch_size": 10},
     "stopped by the output function", 2),
    ({"output_function": lambda told: np.float64(told.get("iteration", 0)) == 2, "mini_batch_size": 10},
     "stopped by the output function", 2)])
def test_ends(given, reason, iterations):
    x, t = points()
    _, info = gl.trainnet(x, t, classifier(), "crossentropy", options(**given))
    assert info.stop_reason == reason and info.iteration == iterations == len(info.training["loss"])


def test_an_interrupt_ends_with_the_network_so_far():
    x, t = points()

    def interrupt(told):
        if told.get("iteration") == 3:
            raise KeyboardInterrupt

    found, info = gl.trainnet(x, t, classifier(), "crossentropy", options(mini_batch_size=10, output_function=interrupt))
    assert info.stop_reason == "interrupted (Ctrl-C)" and info.iteration == 3
    three, _ = gl.trainnet(x, t, classifier(), "crossentropy", options(mini_batch_size=10, max_iterations=3))
    assert found.learnables["fc", "weights"].shape == three.learnables["fc", "weights"].shape


def test_a_loss_that_is_not_finite_ends_before_its_step():
    x, t = points()
    x[45] = np.nan
    found, info = gl.trainnet(x, t, classifier(), lambda y, t: gl.crossentropy(gl.log(y), t, from_logits=True),
                              options(mini_batch_size=20, shuffle="never"))
    assert info.stop_reason == "the loss is nan at iteration 3"
    assert np.isfinite(numbers(found)).all()
    two, _ = gl.trainnet(x[:40], t[:40], classifier(), "crossentropy", options(mini_batch_size=20, shuffle="never", max_epochs=1))
    np.testing.assert_allclose(numbers(found), numbers(two), atol=1e-12)


# ----- data -----


def test_data_of_every_kind_gives_the_same():
    x, t = points()
    net = classifier()
    rows = [(gl.dlarray(a, "C"), int(b)) for a, b in zip(x, t, strict=True)]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(t)), batch_size=20)
    given = {"mini_batch_size": 20, "shuffle": "never"}
    expected, _ = gl.trainnet(x, t, net, "crossentropy", options(**given))
    table = pandas.DataFrame(x, columns=list("abcd"))
    for data, more in [((x, t), {}), ({"x": x, "t": t}, {}), ((table, pandas.Series(t)), {}), (rows, {}), (gl.combine(gl.ArrayDatastore(x), gl.ArrayDatastore(t)),
                                                  {"input_data_formats": "BC", "target_data_formats": "B"}),
                       (loader, {"input_data_formats": "BC", "target_data_formats": "B"}),
                       (gl.minibatchqueue((x, t), 20, formats=["BC", "B"], cast="float64"), {})]:
        found, _ = gl.trainnet(data, net, "crossentropy", options(**given, **more))
        np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-12)


def test_padding_does_not_count():
    sequences = [RNG.normal(size=(n, 2)) for n in (3, 5, 4)]
    targets = [RNG.normal(size=(n, 1)) for n in (3, 5, 4)]
    gl.rng(0)
    net = gl.dlnetwork([L.FullyConnected(1)], gl.zeros((1, 2, 1), labels="BCT"), dtype="float64")
    data = [(gl.dlarray(a.T, "CT"), gl.dlarray(b.T, "CT")) for a, b in zip(sequences, targets, strict=True)]
    _, info = gl.trainnet(data, net, "l2loss", options(max_epochs=1, mini_batch_size=3, sequence_padding_value=9.0))
    w, b = (np.asarray(p) for p in net.learnables.values())
    expected = sum(((a @ w.T + b - t) ** 2).sum() for a, t in zip(sequences, targets, strict=True)) / 3
    assert info.training["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_several_inputs_and_a_column_of_targets():
    x, _ = points()
    net = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(1)], dtype="float64")
    _, info = gl.trainnet(x, x[:, 0], net, "mse", options(max_epochs=40, initial_learn_rate=0.1, mini_batch_size=20))
    assert info.training["loss"][-1] < 1e-4


@pytest.mark.parametrize(("call", "message"), [
    (lambda x, t, net: gl.trainnet(x, t, net, "crossentropi", options()), "no loss 'crossentropi'; did you mean 'crossentropy'"),
    (lambda x, t, net: gl.trainnet(x, t, net), "4 or 5 arguments"),
    (lambda x, t, net: gl.trainnet(x, t, [L.FullyConnected(1)], "mse", options()), "dlnetwork\\(layers\\)"),
    (lambda x, t, net: gl.trainnet(x, t, net, lambda y, t: y, options()), "the loss function returned 60\\(B\\) x 3\\(C\\)"),
    (lambda x, t, net: gl.trainnet(x, t, net, "mse", options(objective_metric_name="accuracy")), "objective_metric_name"),
    (lambda x, t, net: gl.trainnet(x, t, net, "mse", options(metrics="acuracy")), "did you mean 'accuracy'"),
    (lambda x, t, net: gl.trainnet(x[:, None], t, net, "mse", options()), "the axes of the input"),
    (lambda x, t, net: gl.trainnet(x, t, net, "mse", options(execution_environment="tpu")), "execution_environment"),
    (lambda x, t, net: gl.trainnet((x,), net, "mse", options()), "takes 1 input \\(input\\), the loss 'mse' a target, and the data has 1 part,"),
    (lambda x, t, net: gl.trainnet(x[:0], t[:0], net, "crossentropy", options()), "the data has no observations"),
    (lambda x, t, net: gl.trainnet(x, t, net, "crossentropy", options(validation_data=(x[:0], t[:0]))), "the data has no observations"),
])
def test_errors_say_what_to_write(call, message):
    x, t = points()
    with pytest.raises(gl.GradloomError, match=message):
        call(x, t, classifier())



# ----- statistics of the data -----


def test_input_layers_get_the_statistics_of_the_data():
    x, t = points()
    x = 100 + 5 * x
    gl.rng(3)
    net = gl.dlnetwork([L.FeatureInput(4, normalization="zscore"), L.FullyConnected(3), L.Softmax()], dtype="float64")
    found, _ = gl.trainnet(x, t, net, "crossentropy", options(mini_batch_size=7, max_epochs=20))
    np.testing.assert_allclose(np.ravel(found.state["input", "mean"]), x.mean(0), rtol=1e-10)
    np.testing.assert_allclose(np.ravel(found.state["input", "standard_deviation"]), x.std(0), rtol=1e-10)
    assert gl.testnet(found, (x, t), "accuracy") > 0.8
    more, _ = gl.trainnet(x + 1, t, found, "crossentropy", options(max_epochs=1))
    np.testing.assert_allclose(np.ravel(more.state["input", "mean"]), x.mean(0) + 1, rtol=1e-10)
    kept, _ = gl.trainnet(x + 1, t, found, "crossentropy", options(max_epochs=1, reset_input_normalization=False))
    np.testing.assert_allclose(np.ravel(kept.state["input", "mean"]), x.mean(0), rtol=1e-10)


def test_normalized_targets_are_undone():
    x = RNG.normal(size=(80, 2))
    t = 1e3 + 50 * x @ np.array([[1.0, 2.0], [3.0, -1.0]])
    net = gl.dlnetwork([L.FeatureInput(2), L.FullyConnected(2)], dtype="float64")
    found, info = gl.trainnet(x, t, net, "mse", options(
        max_epochs=60, mini_batch_size=20, initial_learn_rate=0.1, l2_regularization=0, normalize_targets=True, metrics="rmse",
        validation_data=(x, t)))
    np.testing.assert_allclose(found.predict(gl.dlarray(x, "BC")), t, atol=0.05)
    assert info.training["loss"][0] < 10 and info.training["rmse"][0] > 50
    assert info.validation["rmse"][-1] < 0.02
    with pytest.raises(gl.TypeRefused, match="one target of floating numbers"):
        gl.trainnet(*points(), classifier(), "crossentropy", options(normalize_targets=True))


def test_classes_that_do_not_occur_in_the_data_to_validate_with():
    x, t = points(120)
    words = np.array(["ant", "bee", "cat"])[t]
    some = t > 0
    net, info = gl.trainnet(x, words, classifier(), "crossentropy", options(
        max_epochs=30, mini_batch_size=20, initial_learn_rate=0.3, validation_data=(x[some], words[some]), metrics="accuracy"))
    assert info.validation["accuracy"][-1] > 0.8
    assert gl.testnet(net, (x[some], words[some]), "accuracy", class_names=info.class_names) > 0.8
    assert gl.testnet(net, (x[some], t[some]), "accuracy") > 0.8


@pytest.mark.parametrize("direction", ["right", "left"])
def test_predictions_of_sequences_are_as_long_as_they_are(direction):
    net = gl.dlnetwork([L.SequenceInput(2), L.FullyConnected(3)], dtype="float64")
    xs = [RNG.normal(size=(n, 2)) for n in (5, 7, 6, 2, 3)]
    queue = gl.minibatchqueue(xs, 2, formats="BTC", cast="float64", masks=True, sequence_padding_direction=direction)
    found = gl.minibatchpredict(net, queue, uniform_output=False)
    for x, y in zip(xs, found, strict=True):
        assert y.dims == "TC"
        np.testing.assert_allclose(y, np.asarray(net.predict(gl.dlarray(x, "TC"))), rtol=1e-14)
    with pytest.raises(gl.ShapeError, match=r"outputs of 2\(B\) x 7\(T\) x 3\(C\) and of 2\(B\) x 6.*write uniform_output=False"):
        gl.minibatchpredict(net, queue)
    x = RNG.normal(size=(5, 4))
    rows = gl.minibatchpredict(classifier(), x, mini_batch_size=2, uniform_output=False)
    np.testing.assert_allclose([row.tolist() for row in rows], gl.minibatchpredict(classifier(), x), rtol=1e-14)
    with pytest.raises(gl.DataError, match="no observations"):
        gl.minibatchpredict(classifier(), x[:0])


def test_predictions_of_sequences_whose_axes_are_named():
    """Without targets, and with two inputs: a format for each input is enough."""
    net = gl.dlnetwork([gl.layers.SequenceInput(3), gl.layers.LSTM(4, output_mode="last"), gl.layers.FullyConnected(2)])
    xs = [np.random.default_rng(n).random((n, 3), dtype="float32") for n in (5, 7, 6)]
    expected = np.stack([np.asarray(net.predict(gl.dlarray(x, "TC"))) for x in xs])
    for data in (xs, [(x, 0) for x in xs]):
        np.testing.assert_allclose(gl.minibatchpredict(net, data, mini_batch_size=1, input_data_formats="TCB"), expected.T, rtol=1e-5)
    two = gl.dlnetwork([gl.layers.FeatureInput(2, name="a"), gl.layers.FeatureInput(2, name="b"), gl.layers.Addition(2, name="add")],
                       connections=[("a", "add/in1"), ("b", "add/in2")])
    a, b = np.ones((4, 2), "float32"), np.arange(8, dtype="float32").reshape(4, 2)
    for data in (gl.combine(gl.ArrayDatastore(a), gl.ArrayDatastore(b)), gl.combine(gl.ArrayDatastore(a), gl.ArrayDatastore(b), gl.ArrayDatastore(b))):
        assert gl.minibatchpredict(two, data, input_data_formats=["BC", "BC"]).tolist() == (a + b).tolist()
