"""Every option of training that changes numbers, beside a loop in plain torch that knows nothing of the library."""

import math

import numpy as np
import pytest
import torch
from helpers import stream

import gradloom as gl

L = gl.layers
RNG = stream(11)
COUNT = 57  # which no mini-batch size below divides


def network(normalized=False, classifies=True):
    gl.rng(3)
    middle, end = [L.BatchNormalization()] if normalized else [], [L.Softmax()] if classifies else []
    return gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(8), L.Tanh(), *middle, L.FullyConnected(3), *end], dtype="float64")


# ----- the loop in torch -----

SUMS = {
    "crossentropy": lambda y, t: torch.nn.functional.cross_entropy(y, t, reduction="sum"),
    "mse": lambda y, t: 0.5 * ((y - t) ** 2).sum(), "l2loss": lambda y, t: ((y - t) ** 2).sum(),
    "mae": lambda y, t: (y - t).abs().sum(), "l1loss": lambda y, t: (y - t).abs().sum(),
    "huber": lambda y, t: torch.nn.functional.huber_loss(y, t, reduction="sum")}
USUAL = {"rate": 0.01, "l2": 1e-4, "momentum": 0.9, "b1": 0.9, "b2": 0.999, "epsilon": 1e-8, "size": 10, "epochs": 3, "accumulate": 1,
         "threshold": math.inf, "method": "l2norm", "factors": {}, "decays": {}, "frozen": (), "average": None}


def forward(p, states, x):
    h = torch.tanh(x @ p["fc", "weights"].T + p["fc", "bias"])
    if states:
        mean, variance = h.mean(0), h.var(0, unbiased=False)
        h = (h - mean) / torch.sqrt(variance + 1e-5) * p["batchnorm", "scale"] + p["batchnorm", "offset"]
        for name, now in (("trained_mean", mean), ("trained_variance", variance)):
            states["batchnorm", name] = 0.9 * states["batchnorm", name] + 0.1 * now.detach()
    return h @ p["fc_1", "weights"].T + p["fc_1", "bias"]


def clipped(gradients, threshold, method):
    if method == "absolute-value":
        return {key: g.clamp(-threshold, threshold) for key, g in gradients.items()}
    norms = {key: float(torch.sqrt((g ** 2).sum())) for key, g in gradients.items()}
    if method == "global-l2norm":
        norms = dict.fromkeys(norms, math.sqrt(sum(n ** 2 for n in norms.values())))
    return {key: g * (threshold / norms[key] if norms[key] > threshold else 1.0) for key, g in gradients.items()}


def by_torch(net, x, t, loss, solver, order=None, **given):
    """{parameter: numbers} and the losses of a run."""
    its = USUAL | given
    p = {key: torch.tensor(np.array(v), requires_grad=key not in its["frozen"]) for key, v in net.learnables.items()}
    states = {key: torch.tensor(np.array(v)) for key, v in net.state.items()}
    x, t = torch.tensor(x), torch.tensor(t)
    first, second, average = ({key: torch.zeros_like(v) for key, v in p.items()} for _ in range(3))
    average = {key: v.detach().clone() for key, v in p.items()}
    step, losses = 0, []
    for epoch in range(1, its["epochs"] + 1):
        places = np.arange(len(x)) if order is None else order[epoch - 1]
        parts = [places[k:k + its["size"]] for k in range(0, len(places), its["size"])]
        for k in range(0, len(parts), its["accumulate"]):
            step += 1
            some = parts[k:k + its["accumulate"]]
            weight = sum(map(len, some))
            for v in p.values():
                v.grad = None
            total = 0.0
            for part in some:
                value = SUMS[loss](forward(p, states, x[part]), t[part]) / weight
                value.backward()
                total += value.item()
            losses.append(total)
            decay = {key: its["l2"] * its["decays"].get(key, 0.0 if key[1] == "bias" else 1.0) for key in p}
            g = {key: v.grad + (decay[key] * v.detach() if solver != "adamw" else 0) for key, v in p.items() if v.grad is not None}
            g = clipped(g, its["threshold"], its["method"])
            rate = its["rate"](step, epoch) if callable(its["rate"]) else its["rate"]
            for key, v in g.items():
                own = rate * its["factors"].get(key, 1.0)
                with torch.no_grad():
                    if solver == "sgdm":
                        first[key] = its["momentum"] * first[key] - own * v
                        p[key] += first[key]
                    elif solver == "rmsprop":
                        second[key] = its["b2"] * second[key] + (1 - its["b2"]) * v ** 2
                        p[key] -= own * v / (second[key].sqrt() + its["epsilon"])
                    else:
                        first[key] = its["b1"] * first[key] + (1 - its["b1"]) * v
                        second[key] = its["b2"] * second[key] + (1 - its["b2"]) * v ** 2
                        if solver == "adamw":
                            p[key] *= 1 - own * decay[key]
                        p[key] -= own * (first[key] / (1 - its["b1"] ** step)) / ((second[key] / (1 - its["b2"] ** step)).sqrt() + its["epsilon"])
            average = {key: its["average"] * v + (1 - its["average"]) * p[key].detach() if its["average"] else p[key].detach()
                       for key, v in average.items()}
    return {**{key: v.numpy() for key, v in average.items()}, **{key: v.numpy() for key, v in states.items()}}, losses


# ----- the options -----

FACTORS = (lambda net: net.set_learn_rate_factor("fc", "weights", 2.5).set_l2_factor("fc", "bias", 0.7).set_l2_factor("fc_1", "weights", 3),
           {"factors": {("fc", "weights"): 2.5}, "decays": {("fc", "bias"): 0.7, ("fc_1", "weights"): 3.0}})
FROZEN = (lambda net: net.freeze("fc"), {"frozen": [("fc", "weights"), ("fc", "bias")]})
AS_IT_IS = (lambda net: net, {})
# name: (options of trainnet, the same for the loop, what is done to the network)
OPTIONS = {
    "as they are": ({}, {}, AS_IT_IS),
    "larger than the data": ({"mini_batch_size": 1000}, {"size": 1000}, AS_IT_IS),
    "mini-batches of one": ({"mini_batch_size": 1, "max_epochs": 1}, {"size": 1, "epochs": 1}, AS_IT_IS),
    "accumulated": ({"accumulate": 4}, {"accumulate": 4}, AS_IT_IS),
    "accumulated beyond an epoch": ({"accumulate": 50}, {"accumulate": 50}, AS_IT_IS),
    "regularized": ({"l2_regularization": 0.3}, {"l2": 0.3}, AS_IT_IS),
    "factors": ({"l2_regularization": 0.3}, {"l2": 0.3}, FACTORS),
    "frozen": ({"l2_regularization": 0.3}, {"l2": 0.3}, FROZEN),
    "averaged": ({"average_weights": 0.8, "accumulate": 2}, {"average": 0.8, "accumulate": 2}, AS_IT_IS),
    **{f"clipped, {method}": ({"gradient_threshold": 0.05, "gradient_threshold_method": method, "l2_regularization": 0.3},
                              {"threshold": 0.05, "method": method, "l2": 0.3}, AS_IT_IS)
       for method in ("l2norm", "global-l2norm", "absolute-value")},
    "clipped, frozen": ({"gradient_threshold": 0.05, "gradient_threshold_method": "global-l2norm"},
                        {"threshold": 0.05, "method": "global-l2norm"}, FROZEN),
    "piecewise": ({"learn_rate_schedule": "piecewise", "learn_rate_drop_period": 2, "learn_rate_drop_factor": 0.3},
                  {"rate": lambda step, epoch: 0.01 * 0.3 ** ((epoch - 1) // 2)}, AS_IT_IS),
    "a function": ({"learn_rate_schedule": lambda rate, step, epoch: rate / (step + 5 * epoch)},
                   {"rate": lambda step, epoch: 0.01 / (step + 5 * epoch)}, AS_IT_IS),
    "one after the other": ({"learn_rate_schedule": ["warmup", "piecewise"], "learn_rate_drop_period": 1, "learn_rate_drop_factor": 0.5},
                            {"rate": lambda step, epoch: 0.01 * (0.1 + 0.9 * (step - 1) / 5 if step <= 5 else 0.5 ** (epoch - 1))}, AS_IT_IS),
    "beyond an epoch": ({"learn_rate_schedule": [gl.warmup_learn_rate(num_steps=7), gl.exponential_learn_rate(drop_factor=0.5)]},
                        {"rate": lambda step, epoch: 0.01 * (0.1 + 0.9 * (step - 1) / 7 if step <= 7 else 0.5 ** (epoch - 2))}, AS_IT_IS),
    "accumulated with a schedule of epochs": (
        {"accumulate": 4, "learn_rate_schedule": [gl.warmup_learn_rate(num_steps=2), gl.exponential_learn_rate(drop_factor=0.5)]},
        {"accumulate": 4, "rate": lambda step, epoch: 0.01 * (0.1 + 0.9 * (step - 1) / 2 if step <= 2 else 0.5 ** (epoch - 2))}, AS_IT_IS),
    "numbers of NumPy": ({"mini_batch_size": np.int64(7), "max_epochs": 2.0, "l2_regularization": np.float64(0.3), "verbose": np.False_},
                         {"size": 7, "epochs": 2, "l2": 0.3}, AS_IT_IS),
}
OF_SOLVERS = {
    "sgdm without momentum": ("sgdm", {"momentum": 0.0}, {"momentum": 0.0}),
    "adam's factors": ("adam", {"gradient_decay_factor": 0.5, "squared_gradient_decay_factor": 0.9, "epsilon": 1e-3}, {"b1": 0.5, "b2": 0.9, "epsilon": 1e-3}),
    "adamw's factors": ("adamw", {"gradient_decay_factor": 0.0, "l2_regularization": 0.5}, {"b1": 0.0, "l2": 0.5}),
    "rmsprop's factors": ("rmsprop", {"squared_gradient_decay_factor": 0.5, "epsilon": 1e-2}, {"b2": 0.5, "epsilon": 1e-2}),
}


def compare(net, given, solver, options, its, loss="crossentropy", order=None):
    x, t = given
    found, info = gl.trainnet(x, t, net, loss, gl.TrainingOptions(solver, **{
        "verbose": False, "shuffle": "never", "max_epochs": 3, "mini_batch_size": 10, "initial_learn_rate": 0.01, **options}))
    expected, losses = by_torch(net, x, t, loss, solver, order, **({"b2": 0.9} if solver == "rmsprop" else {}) | its)
    np.testing.assert_allclose(info.training["loss"], losses, rtol=1e-12)
    for key, value in {**found.learnables, **found.state}.items():
        np.testing.assert_allclose(np.asarray(value), expected[key], rtol=0, atol=1e-12, err_msg=str(key))


def classes():
    return RNG.normal(size=(COUNT, 4)), RNG.integers(0, 3, COUNT)


@pytest.mark.parametrize("solver", ["sgdm", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name, solver):
    options, its, (changed, more) = OPTIONS[name]
    normalized = name != "mini-batches of one"  # which have no deviation
    net = changed(network(normalized))
    compare(net, classes(), solver, options, its | more)


@pytest.mark.parametrize("name", OF_SOLVERS)
def test_options_of_solvers(name):
    solver, options, its = OF_SOLVERS[name]
    compare(network(), classes(), solver, options, its)


@pytest.mark.parametrize("loss", [name for name in SUMS if name != "crossentropy"])
def test_losses(loss):
    compare(network(True, False), (RNG.normal(size=(COUNT, 4)), RNG.normal(size=(COUNT, 3))), "adam", {}, {}, loss)


@pytest.mark.parametrize("shuffle", ["never", "once", "every-epoch"])
@pytest.mark.parametrize("environment", ["serial", "background"])
def test_shuffling(shuffle, environment):
    """The order is what a metric sees of it: once the same in each epoch, or each time another."""
    x, t, seen = RNG.normal(size=(COUNT, 4)), RNG.normal(size=(COUNT, 3)), []
    given = {"shuffle": shuffle, "preprocessing_environment": environment}

    def note(y, targets):
        seen.append(np.array(targets))
        return 0.0

    options = gl.TrainingOptions("sgdm", verbose=False, max_epochs=3, mini_batch_size=10, metrics={"seen": note}, **given)
    net = network(False, False)
    gl.rng(7)
    gl.trainnet(x, t, net, "mse", options)
    places = {row.tobytes(): k for k, row in enumerate(t)}
    order = np.array([places[row.tobytes()] for row in np.concatenate(seen)]).reshape(3, COUNT)
    assert (np.sort(order) == np.arange(COUNT)).all()
    assert (order[0] == np.arange(COUNT)).all() == (shuffle == "never")
    assert (order[0] == order[1]).all() == (order[1] == order[2]).all() == (shuffle != "every-epoch")
    gl.rng(7)
    compare(net, (x, t), "sgdm", given, {}, "mse", order)


# ----- validation and metrics -----


@pytest.mark.parametrize("size", [1, 10, 13, 100])
def test_validation_counts_each_observation_once(size):
    """Validation data of another length than the training data, in mini-batches that do not divide it."""
    x, t = RNG.normal(size=(COUNT, 4)), RNG.normal(size=(COUNT, 3))
    other, target = RNG.normal(size=(13, 4)), RNG.normal(size=(13, 3))
    net, info = gl.trainnet(x, t, network(True, False), lambda y, t: gl.huber(y, t), gl.TrainingOptions(
        "sgdm", verbose=False, max_epochs=1, mini_batch_size=size, validation_data=(other, target), validation_frequency=4,
        metrics=["rmse", "rsquared", lambda y, t: gl.mean(gl.stripdims(gl.abs(y - t)))], output_network="last-iteration"))
    y = np.asarray(net.predict(gl.dlarray(other, "BC")))
    expected = {"loss": torch.nn.functional.huber_loss(torch.tensor(y), torch.tensor(target), reduction="sum").item() / 13,
                "rmse": np.sqrt(np.mean((y - target) ** 2)), "<lambda>": np.abs(y - target).mean(),
                "rsquared": 1 - ((y - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()}
    for name, value in expected.items():
        assert info.validation[name][-1] == pytest.approx(value, rel=1e-12), name
    steps = -(-COUNT // size)
    assert list(info.validation["iteration"]) == sorted({*range(4, steps + 1, 4), steps})


@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
def test_metrics_of_a_step_are_of_the_network_that_has_its_loss(solver):
    x, t = RNG.normal(size=(COUNT, 4)), RNG.normal(size=(COUNT, 3))
    net, info = gl.trainnet(x, t, network(False, False), "mse", gl.TrainingOptions(
        solver, verbose=False, max_iterations=3, mini_batch_size=10, metrics="rmse"))
    np.testing.assert_allclose(info.training["loss"], 1.5 * info.training["rmse"] ** 2, rtol=1e-12)
    y = np.asarray(net.predict(gl.dlarray(x, "BC")))
    assert info.training["loss"][-1] == pytest.approx(0.5 * ((y - t) ** 2).sum() / COUNT, rel=1e-12)


# ----- a loop of one's own -----


@pytest.mark.parametrize("solver", ["sgdm", "adam", "adamw", "rmsprop"])
def test_gradients_of_what_is_frozen_count_in_no_norm(solver):
    net = network().freeze("fc")
    options = gl.TrainingOptions(solver, gradient_threshold=0.5, gradient_threshold_method="global-l2norm", l2_regularization=0.1)
    every = {key: gl.ones(p.shape, like=p) for key, p in net.learnables.items()}
    some = {key: g for key, g in every.items() if key[0] != "fc"}
    states = [gl.TrainingState(net, options).step(1.0, its).step(1.0, its) for its in (every, some)]
    for key, p in net.learnables.items():
        first, second = (state.network.learnables[key].tolist() for state in states)
        assert first == second and (first == p.tolist()) == (key[0] == "fc")


def test_gradients_of_some_learnables_change_those():
    net = network()
    state = gl.TrainingState(net, gl.TrainingOptions("adam", gradient_threshold=0.5, l2_regularization=0.1))
    some = {("fc", "weights"): gl.ones((8, 4), dtype="float64")}
    state = state.step(1.0, some).step(1.0, some)
    assert [key for key, p in net.learnables.items() if p.tolist() != state.network.learnables[key].tolist()] == [("fc", "weights")]
    with pytest.raises(gl.GradloomError, match="no learnable .*did you mean 'fc'"):
        state.step(1.0, {("fcc", "weights"): gl.ones((8, 4))})
