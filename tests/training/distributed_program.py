"""What test_distributed runs in each of several processes, and alone: `python distributed_program.py CASE FOLDER`.

Each case writes what it found into FOLDER, as <case>_<processes>_<rank>.npz.
"""

import os
import signal
import sys
import time

import numpy as np
import torch

import gradloom as gl
from gradloom.training.distributed import failing as ends

L = gl.layers
if "BEGUN_BEFORE" in os.environ:  # by Ray Train, say, which then runs this
    torch.distributed.init_process_group("gloo")
    torch.distributed.get_backend = lambda: os.environ["BEGUN_BEFORE"]
RANK, SIZE = (int(os.environ.get(word, os.environ.get(slurm, default)))
              for word, slurm, default in (("RANK", "SLURM_PROCID", 0), ("WORLD_SIZE", "SLURM_NTASKS", 1)))
ENVIRONMENT = "parallel-cpu" if SIZE > 1 else "cpu"


def points(count=41):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 4))
    return x, np.argmax(x[:, :3] + 0.1 * rng.normal(size=(count, 3)), axis=1)


def network(*middle):
    # the numbers of process 0 are the network's, whatever the others drew
    gl.rng(RANK)
    return gl.dlnetwork([L.FeatureInput(4, normalization="zscore"), L.FullyConnected(8), *middle, L.Tanh(), L.FullyConnected(3), L.Softmax()], dtype="float64")


def options(solver="sgdm", **given):
    return gl.TrainingOptions(solver, **{"verbose": False, "mini_batch_size": 10, "execution_environment": ENVIRONMENT, **given})


def found(net, info, columns):
    return {"numbers": np.concatenate([np.ravel(np.asarray(p)) for p in (*net.learnables.values(), *net.state.values())]),
            **{name: info.training[name] for name in columns}, **{f"validation_{name}": info.validation[name] for name in columns if name in info.validation}}


def first_order():
    """Five mini-batches, the last with one observation; metrics that are sums of counts and of scores; an order that is drawn."""
    x, t = points()
    its = options("adam", max_epochs=3, shuffle="every-epoch", metrics=["accuracy", "auc"], validation_data=(x[:7], t[:7]), validation_frequency=2,
                  gradient_threshold=0.5, output_network="last-iteration")
    return found(*gl.trainnet(x, t, network(), "index-crossentropy", its), ["loss", "accuracy", "auc"])


def accumulated():
    x, t = points()
    return found(*gl.trainnet(x, t, network(), "index-crossentropy", options(max_epochs=2, accumulate=3)), ["loss"])


def statistics():
    """Batch normalization over images, in a network within the network, too: the last mini-batch has one observation, and one process none."""
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(21, 2, 4, 4)) + 3, np.arange(21) % 3
    gl.rng(RANK)
    inner = gl.dlnetwork([L.Convolution2d(2, 3), L.BatchNormalization(mean_decay=0.3, variance_decay=0.2), L.Tanh()], initialize=False)
    net = gl.dlnetwork([L.ImageInput((4, 4, 2)), L.Convolution2d(3, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.Network(inner),
                        L.FullyConnected(3), L.Softmax()], dtype="float64")
    its = options(max_epochs=3, accumulate=2, mini_batch_size=4, metrics="accuracy", l2_regularization=0.01, batch_normalization_statistics="population")
    return found(*gl.trainnet(x, t, net, "crossentropy", its), ["loss", "accuracy"])


def sequences():
    rng = np.random.default_rng(1)
    x, t = [rng.normal(size=(4 + k % 3, 2)) for k in range(11)], np.arange(11) % 2
    gl.rng(0)
    net = gl.dlnetwork([L.SequenceInput(2), L.LSTM(3, output_mode="last"), L.FullyConnected(2), L.Softmax()], dtype="float64")
    return found(*gl.trainnet(x, t, net, "index-crossentropy", options(max_epochs=2, mini_batch_size=4, input_data_formats="BTC", sequence_length=6)), ["loss"])


def lbfgs():
    x, t = points()
    return found(*gl.trainnet(x, t, network(), "index-crossentropy", options("lbfgs", max_iterations=4)), ["loss"])


def lm():
    x, _ = points()
    its = options("lm", max_iterations=4, metrics=["rmse", "rsquared"])
    return found(*gl.trainnet(x, np.sin(x[:, :3]), network(), "mse", its), ["loss", "rmse", "rsquared"])


def dropped():
    """Random numbers: the masks of a process are its own, and the common stream stays common."""
    x, t = points()
    drawn = found(*gl.trainnet(x, t, network(L.Dropout(0.5)), "index-crossentropy", options(max_epochs=2)), ["loss"])
    return {**drawn, "next": np.asarray(gl.rand((3,)))}


def own_loop():
    """share and combine, with the statistics of batch normalization: they are those of all observations."""
    x, t = points()
    gl.rng(0)
    middle = L.BatchNormalization(mean_decay=0.3, variance_decay=0.2)
    net = gl.dlnetwork([L.FeatureInput(4), middle, L.FullyConnected(3), L.Softmax()], dtype="float64")
    queue = gl.minibatchqueue((x, t), 10, formats=["BC", "B"], cast="float64", seed=RANK)
    queue.shuffle()
    if SIZE > 1:
        gl.distributed.start()
        queue = gl.distributed.share(queue)

    def model_loss(net, x, t):
        y, moved = net.forward(x, return_state=True)
        loss = gl.indexcrossentropy(y, t)
        used = gl.indexcrossentropy(net.predict(x), t)
        return loss, used, gl.dlgradient(used, net.trainable), moved

    losses = []
    for xs, ts in queue:
        loss, gradients, moved = 0.0, net.trainable, net.state
        if xs.sizes["B"]:  # an empty part brings nothing
            _, loss, gradients, moved = gl.dlfeval(model_loss, net, xs, ts)
        if SIZE > 1:
            loss, gradients, moved = gl.distributed.combine(loss, gradients, moved, xs.sizes["B"], network=net)
        net, _ = gl.sgdmupdate(net.replace(state=moved), gradients, None, learn_rate=0.1)
        losses.append(float(loss))
    return {"numbers": np.concatenate([np.ravel(np.asarray(p)) for p in (*net.learnables.values(), *net.state.values())]), "loss": np.array(losses)}


def checkpointed():
    """The first process alone writes."""
    x, t = points()
    its = options("adam", max_epochs=3, shuffle="every-epoch", max_iterations=7, checkpoint_path=sys.argv[2] + "/checkpoints")
    return found(*gl.trainnet(x, t, network(), "index-crossentropy", its), ["loss"])


def large():
    """Gradients of more than a bucket, of two types, and messages longer than the first one."""
    group = gl.distributed.start()
    gradients = {"a": gl.full((7, 2 ** 20), RANK + 1.0, dtype="float32"), "b": gl.full((3,), RANK + 1.0), "c": gl.full((2, 2 ** 20), 2.0, dtype="float32")}
    loss, means, _ = gl.distributed.combine(float(RANK), gradients, None, RANK)
    column = group.gathered([torch.full((500 * RANK,), float(RANK)), None])
    return {"loss": np.array(loss), **{name: np.asarray(x).ravel()[:3] for name, x in means.items()}, "same": np.array([float(np.ptp(np.asarray(x))) for x in means.values()]),
            "sizes": np.array([len(x) for x, _ in column]), "last": np.array([float(x.sum()) for x, _ in column])}


def jacobian():
    """Rows shared out: of an array with more entries along axis 0 than processes, and of one with fewer."""
    gl.rng(0)
    net, x = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(8), L.Tanh(), L.FullyConnected(3)], dtype="float64"), gl.dlarray(points(5)[0], "BC")
    share, gather = (gl.distributed.share_rows, gl.distributed.gather_rows) if SIZE > 1 else (lambda u: u, lambda rows: rows)
    if SIZE > 1:
        gl.distributed.start()

    def rows(net, some):
        return gl.dljacobian(share(net.predict(x[:some])), net.learnables)

    found = {}
    for name, some in (("many", 5), ("few", 1)):
        its = gl.dlfeval(lambda net, some=some: rows(net, some), net)
        assert its.shape[0] <= 3 * -(-some // SIZE), its.shape
        found[name] = gather(its.matrix())
    return {"many": np.asarray(found["many"]), "few": np.asarray(found["few"])}


CASES = {case.__name__: case for case in (first_order, accumulated, statistics, sequences, lbfgs, lm, dropped, own_loop, checkpointed, jacobian)}


def failing(how):
    """Process 1 fails in the middle of training; one that is killed says nothing, however long the others listen."""
    x, t = points()
    if how == "killed":
        ends.PATIENCE = 1.0

    def loss(y, t):
        if RANK == 1 and failing.steps == 3:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("the data of process 1 is broken")
        failing.steps += 1
        return gl.mean(y * y)

    failing.steps = 0
    start = time.monotonic()
    try:
        gl.trainnet(x, t, network(), loss, options(max_epochs=5))
    finally:
        print(f"ended after {time.monotonic() - start:.1f} s", flush=True)


def resumed(iterations):
    """Training that ends after so many iterations, or goes on from where another number of processes ended."""
    x, t = points()
    its = options("adam", max_epochs=3, shuffle="every-epoch", max_iterations=int(iterations), checkpoint_path=sys.argv[2] + "/resumed", resume=True)
    return found(*gl.trainnet(x, t, network(), "index-crossentropy", its), ["loss", "iteration"])


def interrupted():
    """Process 1 alone gets a Ctrl-C; all end after the same step."""
    x, t = points()

    def loss(y, t):
        if RANK == 1 and interrupted.steps == 3:
            os.kill(os.getpid(), signal.SIGINT)
        interrupted.steps += 1
        return gl.mean(y * y)

    interrupted.steps = 0
    net, info = gl.trainnet(x, t, network(), loss, options(max_epochs=5))
    print(info.stop_reason, info.iteration, flush=True)


if __name__ == "__main__":
    case, folder = sys.argv[1:3]
    if case in ("raised", "killed"):
        failing(case)
    elif case == "interrupted":
        interrupted()
    elif case == "resumed":
        np.savez(f"{folder}/resumed_{sys.argv[3]}_{SIZE}_{RANK}.npz", **resumed(sys.argv[3]))
    else:
        for name in CASES if case == "all" else [case]:
            numbers = globals()[name]()
            np.savez(f"{folder}/{name}_{SIZE}_{RANK}.npz", **numbers)
        if case == "all" and SIZE > 1:
            np.savez(f"{folder}/large_{SIZE}_{RANK}.npz", **large())
