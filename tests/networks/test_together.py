"""Batch normalization of a mini-batch in parts: values, statistics and gradients are those of the whole."""

import itertools
import threading

import numpy as np
import pytest
import torch

import gradloom as gl
from gradloom.networks.together import is_together, shared_sum, together

L = gl.layers


def side_by_side(work, count):
    """work(k, summed) in `count` threads that sum what each brings: results in order."""
    barrier, brought, found, failed = threading.Barrier(count, timeout=60), [None] * count, [None] * count, []

    def run(k):
        def summed(x):
            brought[k] = x.detach()
            barrier.wait()
            total = torch.stack(brought).sum(0)
            barrier.wait()
            return total

        try:
            found[k] = work(k, summed)
        except BaseException as error:
            failed.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if failed:
        raise failed[0]
    return found


def model_loss(net, x, t, weight):
    y, state = net.forward(x, return_state=True)
    loss = gl.mse(y, t) * weight
    return loss, gl.dlgradient(loss, net.trainable), gl.dlgradient(loss, x), state


@pytest.mark.parametrize("cuts", [(0, 5, 9), (0, 1, 9), (0, 4, 8, 9)])
@pytest.mark.parametrize("labels", ["BCSS", "SSCB", "BSSC"])
def test_parts_give_what_the_whole_gives(cuts, labels):
    gl.rng(0)
    rng = np.random.default_rng(0)
    net = gl.dlnetwork([L.ImageInput((4, 4, 2)), L.Convolution2d(3, 3), L.BatchNormalization(mean_decay=0.3, variance_decay=0.2), L.Tanh(),
                        L.BatchNormalization(), L.FullyConnected(2)], dtype="float64")
    net = net.replace(learnables={key: gl.dlarray(rng.normal(size=p.shape)) for key, p in net.learnables.items()})
    shape = tuple({"B": 9, "C": 2, "S": 4}[letter] for letter in labels)
    x, t = gl.dlarray(rng.normal(size=shape) + 5, labels), gl.dlarray(rng.normal(size=(9, 2)), "BC")
    _, expected, x_bar, state = gl.dlfeval(model_loss, net, x, t, 9)
    parts = [slice(a, b) for a, b in itertools.pairwise(cuts)]

    def work(k, summed):
        with together(summed):
            return gl.dlfeval(model_loss, net, x[x.at(B=parts[k])], t[parts[k]], parts[k].stop - parts[k].start)

    found = side_by_side(work, len(parts))
    for key, whole in expected.items():
        total = sum(np.asarray(gradients[key]) for _, gradients, _, _ in found)
        np.testing.assert_allclose(total, np.asarray(whole), rtol=1e-10, atol=1e-11, err_msg=str(key))
    for part, (_, _, own, its) in zip(parts, found, strict=True):
        np.testing.assert_allclose(np.asarray(own), np.asarray(x_bar[x.at(B=part)]), rtol=1e-10, atol=1e-11)
        for key, whole in state.items():
            np.testing.assert_allclose(np.asarray(its[key]), np.asarray(whole), rtol=1e-12, err_msg=str(key))


def test_alone_nothing_is_summed():
    assert not is_together()
    x = gl.dlarray([1.0, 2.0])
    assert shared_sum.apply((x,), {}).tolist() == [1.0, 2.0]
    with pytest.raises(ZeroDivisionError), together(lambda x: 1 / 0):
        assert is_together()
        shared_sum.apply((x,), {})
    assert not is_together()
