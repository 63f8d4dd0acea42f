"""Checkpoints: what resumes to the same bits, whenever it was killed; folders that cannot be written to."""

import os
import random
import shutil
import subprocess

import numpy as np
import pytest
from helpers import stream
from processes import Forked

import gradloom as gl
from gradloom.training.checkpoints import CheckpointFailed

L = gl.layers
RNG = stream(5)

PROGRAM = """
import sys, time
import numpy as np
import gradloom as gl
folder, out, environment, slow = sys.argv[1:5]
L = gl.layers
gl.rng(4)
x, t = gl.rand((50, 4), labels="BC"), gl.randint(0, 3, (50,), labels="B")
net = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(8), L.BatchNormalization(), L.Dropout(0.3), L.ReLU(),
                    L.FullyConnected(3), L.Softmax()])
net, info = gl.trainnet(x, t, net, "crossentropy", gl.TrainingOptions(
    "adam", max_epochs=6, mini_batch_size=7, accumulate=3, shuffle="every-epoch", verbose=False,
    checkpoint_path=folder, checkpoint_frequency=1, checkpoint_frequency_unit="iteration", resume=True,
    preprocessing_environment=environment, validation_data=(x, t), validation_frequency=4, average_weights=0.9,
    learn_rate_schedule="cosine", output_network="last-iteration",
    output_function=lambda told: time.sleep(float(slow))))
gl.save(out, {"learnables": net.learnables, "state": net.state, "loss": info.training["loss"],
              "validation": info.validation["loss"], "iteration": info.iteration})
"""


def run(folder, environment="serial", slow="0", wait=None):
    """The program to its end, or killed after `wait` seconds; whether it ended."""
    out = folder / "out.safetensors"
    process = Forked(PROGRAM, folder / "checkpoints", out, environment, slow)
    try:
        said = process.communicate(wait)
    except subprocess.TimeoutExpired:
        return False
    finally:
        process.end()
    assert process.returncode == 0, said
    return True


def results(folder):
    found = gl.load(folder / "out.safetensors")
    return [np.asarray(p) for p in (*found["learnables"].values(), *found["state"].values(), found["loss"],
                                    found["validation"])], found["iteration"]


@pytest.mark.parametrize(("kills", "environment"), [
    (2, "background"), pytest.param(3, "serial", marks=pytest.mark.slow), pytest.param(50, "background", marks=pytest.mark.slow)])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, kills, environment):
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    folder.mkdir()
    assert run(whole, environment)
    expected, iteration = results(whole)
    assert iteration == 18
    draw, count = random.Random(kills), 0
    while True:
        # killed at any moment: while it starts, while it trains (slowed down, so that it is often hit there), while it writes
        ended = run(folder, environment, "0.02" if count < kills else "0", draw.uniform(0.0, 1.2) if count < kills else None)
        for file in (folder / "checkpoints").glob("checkpoint_*.safetensors") if (folder / "checkpoints").is_dir() else ():
            assert gl.load(file)["iteration"] > 0  # each is whole; what was being written is a .part
        if not ended:
            count += 1
            continue
        found, other = results(folder)
        assert other == iteration
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        if count >= kills:
            break
        shutil.rmtree(folder / "checkpoints")  # once more from the beginning


# ----- in one process: stopped at every iteration -----


def trained(folder=None, **given):
    gl.rng(4)
    x, t = gl.rand((50, 4), labels="BC"), gl.randint(0, 3, (50,), labels="B")
    net = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(8), L.BatchNormalization(), L.Dropout(0.3), L.ReLU(),
                        L.FullyConnected(3), L.Softmax()])
    options = {"max_epochs": 3, "mini_batch_size": 7, "accumulate": 3, "shuffle": "every-epoch", "verbose": False,
               "validation_data": (x, t), "validation_frequency": 2, "average_weights": 0.9, **given}
    if folder is not None:
        options |= {"checkpoint_path": folder, "resume": True, "checkpoint_frequency_unit": "iteration"}
    return gl.trainnet(x, t, net, "crossentropy", gl.TrainingOptions(options.pop("solver", "adam"), **options))


def numbers(net):
    return np.concatenate([np.ravel(p) for p in (*net.learnables.values(), *net.state.values())])


@pytest.mark.parametrize("given", [{}, {"preprocessing_environment": "background"}, {"solver": "sgdm", "shuffle": "once"},
                                   {"solver": "rmsprop", "average_weights": None}])
def test_a_run_that_is_stopped_after_any_step_goes_on_to_the_same_bits(tmp_path, given):
    expected, info = trained(**given)
    for k in range(1, 9):
        folder = tmp_path / str(k)
        trained(folder, output_function=lambda told, k=k: told.get("iteration") == k, **given)
        gl.rng(99)  # the random numbers are those of the checkpoint
        found, other = trained(folder, **given)
        assert np.array_equal(numbers(found), numbers(expected)), k
        assert np.array_equal(other.training["loss"], info.training["loss"])
        assert np.array_equal(other.validation["loss"], info.validation["loss"])
        assert other.iteration == info.iteration


@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_full_batch_solvers_resume(tmp_path, solver):
    def fitted(folder=None, **given):
        gl.rng(1)
        x = gl.rand((30, 1), labels="BC", dtype="float64")
        net = gl.dlnetwork([L.FeatureInput(1), L.FullyConnected(5), L.Tanh(), L.FullyConnected(1)], dtype="float64")
        if folder is not None:
            given |= {"checkpoint_path": folder, "resume": True}
        return gl.trainnet(x, gl.sin(3 * x), net, "mse", gl.TrainingOptions(solver, verbose=False, **{"max_iterations": 9, **given}))

    expected, _ = fitted()
    fitted(tmp_path, max_iterations=4)
    found, info = fitted(tmp_path)
    assert list(info.training["iteration"]) == list(range(1, 10))
    assert np.array_equal(numbers(found), numbers(expected))


def test_the_last_ones_are_kept_and_half_written_ones_passed_over(tmp_path):
    _, info = trained(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"checkpoint_{k:09d}.safetensors" for k in (7, 8, 9)]
    files[-1].write_bytes(files[-1].read_bytes()[:-100])
    files[-2].write_bytes(b"")
    net = gl.dlnetwork([L.FeatureInput(4), L.FullyConnected(8), L.BatchNormalization(), L.Dropout(0.3), L.ReLU(),
                        L.FullyConnected(3), L.Softmax()])
    assert gl.load_checkpoint(tmp_path, net).iteration == 7
    again, other = trained(tmp_path)
    assert np.array_equal(other.training["loss"], info.training["loss"])
    for file in tmp_path.iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(gl.FileRefused, match="no checkpoint of .* can be read"):
        gl.load_checkpoint(tmp_path, net)


def test_a_folder_without_checkpoints(tmp_path):
    net = gl.dlnetwork([L.FeatureInput(1), L.FullyConnected(1)])
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in"):
        gl.load_checkpoint(tmp_path, net)
    state = gl.TrainingState(net, "adam")
    gl.save_checkpoint(state, tmp_path / "a" / "b")
    with pytest.raises(gl.TypeRefused, match="the checkpoint is of the solver 'adam', the options are of 'sgdm'"):
        gl.load_checkpoint(tmp_path / "a" / "b", net, gl.TrainingOptions("sgdm"))


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointFailed, match="could not be written .*make room, or write another checkpoint_path"):
        trained(tmp_path / "file" / "checkpoints")


def test_a_full_disk(tmp_path, monkeypatch):
    import errno

    from gradloom.training import checkpoints

    def full(tree, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    trained(tmp_path, max_epochs=1)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    monkeypatch.setattr(checkpoints, "save", full)
    with pytest.raises(CheckpointFailed, match="No space left on device"):
        trained(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_run_that_is_past_its_last_epoch_goes_no_further(tmp_path):
    x = np.linspace(-1, 1, 12)[:, None]
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    settings = {"mini_batch_size": 4, "verbose": False, "checkpoint_path": tmp_path, "resume": True}
    gl.trainnet((x, x), net, "mse", gl.TrainingOptions("sgdm", max_iterations=4, max_epochs=3, **settings))
    _, info = gl.trainnet((x, x), net, "mse", gl.TrainingOptions("sgdm", max_epochs=1, **settings))
    assert info.stop_reason == "max_epochs was reached" and info.iteration == 4


def test_what_is_no_checkpoint(tmp_path):
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    net.save(tmp_path / "net.safetensors")
    gl.save(tmp_path / "dict.safetensors", {"network": 1})
    for name, what in (("net", "dlnetwork"), ("dict", "dict")):
        with pytest.raises(gl.FileRefused, match=rf"holds {what}, and no state of training, at test_checkpoints\.py"):
            gl.load_checkpoint(tmp_path / f"{name}.safetensors", net)


def test_a_run_that_goes_on_without_validation_returns_its_last_network(tmp_path):
    x = np.linspace(-1, 1, 12)[:, None]
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    settings = {"max_epochs": 4, "mini_batch_size": 6, "verbose": False, "checkpoint_path": tmp_path, "resume": True}
    gl.trainnet((x, x), net, "mse", gl.TrainingOptions("sgdm", max_iterations=3, validation_data=(x, x), validation_frequency=1, **settings))
    found, info = gl.trainnet((x, x), net, "mse", gl.TrainingOptions("sgdm", **settings))
    assert info.iteration == info.training["iteration"][-1] == 8
