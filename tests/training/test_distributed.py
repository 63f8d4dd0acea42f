"""Several processes: the numbers of one, whatever the parts; the same bits on each; a failure ends all with its words."""

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import Forked

import gradloom as gl
from gradloom.training.distributed.launch import Place, device_of, place_of_this_process
from gradloom.training.distributed.packing import buckets, packed, unpacked

PROGRAM = Path(__file__).with_name("distributed_program.py")
pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")


def environment():
    paths = os.pathsep.join([str(Path(gl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE") and not k.startswith("SLURM")} | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}


def by_torch(size, port):
    return [{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size), "RANK": str(k)} for k in range(size)]


def by_slurm(size, port):
    """What srun says on one node; the port is that of the number of the job."""
    return [{"SLURM_PROCID": str(k), "SLURM_LOCALID": str(k), "SLURM_NTASKS": str(size), "SLURM_NODEID": "0", "SLURM_JOB_ID": str(20000 * 7 + port - 12000),
             "SLURM_STEP_TASKS_PER_NODE": str(size), "SLURM_STEP_NODELIST": "localhost"} for k in range(size)]


def by_ray(size, port):
    """What Ray Train says, which begins torch's group before the program runs."""
    return [{**its, "LOCAL_RANK": its["RANK"], "LOCAL_WORLD_SIZE": str(size), "NODE_RANK": "0", "BEGUN_BEFORE": "gloo"} for its in by_torch(size, port)]


def by_ray_with_gpus(size, port):
    """The same where torch's group sends nothing that is on a CPU."""
    return [its | {"BEGUN_BEFORE": "nccl"} for its in by_ray(size, port)]


def free_port():
    for port in range(12000 + os.getpid() % 19000, 32000):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def run(case, folder, size, *more, timeout=240, words=by_torch):
    """Run a case in several processes on the loopback (or alone): exit codes and what they said."""
    env = environment()
    its = words(size, free_port()) if size > 1 else [{}]
    started = [Forked(PROGRAM, case, folder, *more, environment=env | its[k]) for k in range(size)]
    try:
        said = [process.communicate(timeout) for process in started]
    finally:
        for process in started:
            process.end()
    return [process.returncode for process in started], said


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the cases find alone, in two and in three processes: {(case, size): one table for each process}."""
    folder = tmp_path_factory.mktemp("found")
    for size in (1, 2, 3):
        codes, said = run("all", folder, size)
        assert codes == [0] * size, said
    tables = {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}
    return lambda case, size: [tables[f"{case}_{size}_{k}"] for k in range(size)]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("case", ["first_order", "accumulated", "statistics", "sequences", "lbfgs", "lm", "own_loop", "checkpointed", "jacobian"])
def test_several_processes_find_what_one_finds(results, case, size):
    [alone] = results(case, 1)
    assert all(np.isfinite(numbers).all() for name, numbers in alone.items() if name != "auc")  # which one observation has none of
    for table in results(case, size):
        assert set(table) == set(alone)
        for name, expected in alone.items():
            np.testing.assert_allclose(table[name], expected, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("case", ["first_order", "statistics", "lm", "dropped", "own_loop"])
def test_each_process_has_the_same_bits(results, case, size):
    first, *others = results(case, size)
    for table in others:
        for name in first:
            assert table[name].tobytes() == first[name].tobytes(), name


def test_masks_of_processes_differ(results):
    # with the masks of one process on both halves, the step would be that of twice the half
    assert abs(results("dropped", 2)[0]["numbers"] - results("dropped", 1)[0]["numbers"]).max() > 1e-6


@pytest.mark.parametrize("size", [2, 3])
def test_more_than_a_bucket(results, size):
    # process k has the weight k, the loss k and the gradient k + 1
    weights = np.arange(size)
    for table in results("large", size):
        assert table["loss"] == pytest.approx((weights * weights).sum() / weights.sum(), rel=1e-15)
        mean = (weights * (weights + 1)).sum() / weights.sum()
        for name, expected in (("a", mean), ("b", mean), ("c", 2.0)):
            np.testing.assert_allclose(table[name], expected, rtol=1e-6)
        assert (table["same"] == 0).all()
        assert list(table["sizes"]) == [500 * k for k in range(size)]
        assert list(table["last"]) == [500.0 * k * k for k in range(size)]


@pytest.mark.parametrize(("how", "words"), [("raised", "ValueError: the data of process 1 is broken"), ("killed", "ended without a word")])
def test_a_process_that_fails_ends_the_others_with_its_name_and_the_line(tmp_path, how, words):
    codes, said = run(how, tmp_path, 2)
    assert 0 not in codes
    assert "ProcessFailed" in said[0] and "process 0 of 2 ends: process 1 (" in said[0] and words in said[0]
    if how == "raised":
        assert 'raise ValueError("the data of process 1 is broken")' in said[0].split("ProcessFailed")[1]
    assert float(said[0].split("ended after ")[1].split()[0]) < 20


def test_torchrun_starts_it(results, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(PROGRAM), "first_order", str(tmp_path)]
    done = subprocess.run(command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180, check=False)
    assert done.returncode == 0, done.stdout
    for k in range(2):
        found = dict(np.load(tmp_path / f"first_order_2_{k}.npz"))
        for name, expected in results("first_order", 2)[k].items():
            assert found[name].tobytes() == expected.tobytes(), name


@pytest.mark.parametrize("words", [by_slurm, by_ray, by_ray_with_gpus])
def test_slurm_and_ray_start_it(results, tmp_path, words):
    codes, said = run("first_order", tmp_path, 2, words=words)
    assert codes == [0, 0], said
    for k in range(2):
        found = dict(np.load(tmp_path / f"first_order_2_{k}.npz"))
        for name, expected in results("first_order", 2)[k].items():
            assert found[name].tobytes() == expected.tobytes(), name


@pytest.mark.parametrize(("said", "place", "address", "port"), [
    ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "7"}, (3, 4, 1, 2), "a", "7"),
    # torchrun inside of a job of Slurm: torch's words count
    ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (1, 2, 1, 2), "a", "7"),
    ({"SLURM_PROCID": "9", "SLURM_NTASKS": "11", "SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_TASKS_PER_NODE": "4(x2),3", "SLURM_JOB_ID": "20001",
      "SLURM_JOB_NODELIST": "gpu[003-005]"}, (9, 11, 1, 3), "gpu003", "12001"),
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_TASKS_PER_NODE": "8",
      "SLURM_STEP_NODELIST": "rack[2,4]-n[07-09,11],login", "SLURM_JOB_NODELIST": "other", "MASTER_PORT": "5"}, (0, 2, 0, 1), "rack2-n07", "5"),
    ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "1", "SLURM_JOB_NODELIST": "a.b-c,d", "MASTER_ADDR": "here", "WORLD_SIZE": "99"}, (1, 2, 1, 2), "here", "12000"),
])
def test_places_that_the_environment_says(monkeypatch, said, place, address, port):
    monkeypatch.setattr(os, "environ", dict(said))
    assert place_of_this_process() == place
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == (address, port)


@pytest.mark.parametrize(("place", "gpus", "said", "expected"), [
    ((5, 8, 1, 4), 4, {}, "cuda:1"), ((5, 8, 1, 4), 3, {}, "cpu"), ((1, 2, 1, 2), 1, {}, "cpu"), ((0, 1, 0, 1), 1, {}, "cuda:0"),
    ((5, 8, 1, 4), 1, {"SLURM_GPUS_PER_TASK": "1"}, "cuda:0")])
def test_each_process_has_a_gpu_where_there_are_enough(monkeypatch, place, gpus, said, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(os, "environ", dict(said))
    assert device_of(Place(*place), "auto") == torch.device(expected)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    for size, iterations in ((2, "4"), (1, "8"), (3, "15")):
        codes, said = run("resumed", tmp_path, size, iterations)
        assert codes == [0] * size, said
    other = tmp_path / "alone"
    other.mkdir()
    assert run("resumed", other, 1, "15")[0] == [0]
    found, expected = (dict(np.load(path)) for path in (tmp_path / "resumed_15_3_0.npz", other / "resumed_15_1_0.npz"))
    assert list(found["iteration"]) == list(range(1, 16))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11, atol=1e-11, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["raised", "killed"])
def test_all_of_three_processes_end(tmp_path, how):
    codes, said = run(how, tmp_path, 3)
    assert 0 not in codes
    assert all("ProcessFailed" in said[k] and "process 1 (" in said[k] for k in (0, 2)), said


@pytest.mark.slow
def test_an_interrupt_of_one_process_ends_all_after_the_same_step(tmp_path):
    codes, said = run("interrupted", tmp_path, 2)
    assert codes == [0, 0]
    assert all("interrupted (Ctrl-C) 4" in text for text in said), said


# ----- without other processes -----


def test_arrays_come_out_of_bytes_as_they_went_in():
    given = [torch.arange(5), None, torch.tensor(1.5), torch.zeros(0, 3), torch.tensor([True]), torch.tensor([1 + 2j]), torch.ones(3, dtype=torch.bfloat16)]
    found = unpacked(packed(given))
    assert len(found) == len(given)
    for x, y in zip(given, found, strict=True):
        assert (x is None and y is None) or (x.dtype == y.dtype and x.shape == y.shape and torch.equal(x, y))


def test_buckets_hold_one_type_each_and_every_array_once():
    tensors = [torch.empty(2 ** 20 * k, dtype=dtype) for k in (1, 5, 9) for dtype in (torch.float32, torch.float64)]
    found = list(buckets(tensors))
    assert sorted(k for places in found for k in places) == list(range(6))
    assert all(len({tensors[k].dtype for k in places}) == 1 for places in found)
    assert all(sum(tensors[k].nbytes for k in places) <= 25 * 2 ** 20 or len(places) == 1 for places in found)
    assert any(len(places) > 1 for places in found)


@pytest.mark.parametrize("decay", [0.1, 0.4])
def test_statistics_of_parts_are_those_of_the_whole(decay):
    x = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 100
    layer = gl.layers.BatchNormalization(mean_decay=decay, variance_decay=0.25)
    net = gl.dlnetwork([gl.layers.FeatureInput(4), layer], dtype="float64")

    def moved(rows):
        state = net.forward(gl.dlarray(rows, "BC"), return_state=True)[1]
        return {name: torch.from_numpy(np.array(value)) for (_, name), value in state.items()}

    bounds = [0, 3, 4, 17, 30]
    parts = [x[a:b] for a, b in itertools.pairwise(bounds)]
    found = layer.combined_state([moved(part) for part in parts], [len(part) / 30 for part in parts])
    for name, expected in moved(x).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=0)


def test_what_is_missing_is_said(monkeypatch):
    for word in ("RANK", "SLURM_PROCID", "WORLD_SIZE"):
        monkeypatch.delenv(word, raising=False)
    with pytest.raises(gl.TypeRefused, match="torchrun --nproc-per-node"):
        gl.distributed.start()
    with pytest.raises(gl.TypeRefused, match=r"gl\.distributed\.start\(\) first"):
        gl.distributed.combine(1.0, {}, None, 1)
    net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    with pytest.raises(gl.TypeRefused, match="torchrun"):
        gl.trainnet(gl.zeros((2, 1), "BC"), gl.zeros((2, 1), "BC"), net, "mse", gl.TrainingOptions("sgdm", execution_environment="parallel"))
    with pytest.raises(gl.TypeRefused, match="parallel-cpu"):
        gl.trainnet(gl.zeros((2, 1), "BC"), gl.zeros((2, 1), "BC"), net, "mse", gl.TrainingOptions("sgdm", execution_environment="parallel-tpu"))


def test_a_short_last_batch_trains_recurrent_layers():
    # their states are those of a mini-batch, and were once carried to the next
    x = np.random.default_rng(0).normal(size=(10, 5, 3))
    net = gl.dlnetwork([gl.layers.SequenceInput(3), gl.layers.LSTM(4, output_mode="last"), gl.layers.FullyConnected(2), gl.layers.Softmax()])
    options = gl.TrainingOptions("adam", mini_batch_size=4, max_epochs=1, verbose=False, input_data_formats="BTC")
    net, info = gl.trainnet(x, np.arange(10) % 2, net, "index-crossentropy", options)
    assert info.iteration == 3 and net.state["lstm", "hidden_state"].shape == (4,)
