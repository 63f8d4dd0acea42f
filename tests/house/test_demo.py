"""The digits example, piece by piece and small; the whole run is slow."""

import sys
from pathlib import Path

import numpy as np
import pytest

import gradloom as gl

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = ["jacobian_matrix.png", "jacobian_rows.png", "relu1_maps.png", "training.png"]


@pytest.fixture(scope="module")
def demo():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import digits
    finally:
        sys.path.remove(str(EXAMPLES))
    return digits


@pytest.fixture(scope="module")
def data(demo):
    return demo.digits()


@pytest.fixture(scope="module")
def trained(demo, data):
    """The network after two short epochs: (net, losses, accuracies)."""
    gl.rng(0)
    (images, classes), (held_images, held_classes) = data
    few = slice(0, 96)
    return demo.train(demo.network(), (images[few], classes[few]), (held_images[few], held_classes[few]), epochs=2)


@pytest.fixture(scope="module")
def found(demo, data, trained):
    """What the demo finds out about one digit."""
    net, digit = trained[0], data[1][0][0]
    h = np.asarray(net.predict(digit, outputs="relu1"))
    J = gl.dlfeval(demo.hidden_jacobian, net, digit)
    places = demo.places_to_check(h)
    rows = gl.dlfeval(demo.rows_one_by_one, net, digit, places, list(J.columns))
    return digit, h, J, np.array(J), places, rows


def test_the_digits(demo, data):
    (images, classes), (held_images, held_classes) = data
    assert (images.shape, images.dims, str(images.dtype)) == ((1437, 1, 28, 28), "BCSS", "torch.float32")
    assert held_images.shape == (360, 1, 28, 28)
    assert classes.dims == held_classes.dims == "B"
    assert set(classes.tolist()) == set(held_classes.tolist()) == set(range(10))
    assert gl.min(images).item() >= 0 and 0.9 < gl.max(images).item() <= 1
    assert np.array_equal(demo.digits()[1][0], held_images)


def test_training_begins(trained):
    net, losses, accuracies = trained
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert [batches for batches, _ in accuracies] == [0, 3, 6]
    assert accuracies[-1][1] > 0.2
    assert abs(np.asarray(net.state["batchnorm1", "trained_mean"])).max() > 0


def test_lines_without_a_terminal(demo, data, capfd):
    gl.rng(0)
    few = data[1][0][:32], data[1][1][:32]
    demo.train(demo.network(), few, few, epochs=1)
    out, err = capfd.readouterr()
    assert "epoch 1 of 1:  loss " in out and "held-out accuracy" in out
    assert err == ""


def test_the_jacobian_is_that_of_the_loop(demo, found):
    _, h, J, matrix, places, rows = found
    assert J.shape == matrix.shape == (12544, 192)
    assert list(J.columns) == [("conv1", "weights"), ("conv1", "bias"), ("batchnorm1", "offset"), ("batchnorm1", "scale")]
    assert len(places) == len(set(places)) == 20
    difference, largest = demo.largest_difference(matrix, h, places, rows)
    assert difference <= 1e-5 * largest
    assert largest > 0.1


def test_a_wrong_row_is_found(demo, found):
    _, h, _, matrix, places, rows = found
    wrong = matrix.copy()
    wrong[np.ravel_multi_index(places[7], h.shape), 5] += 0.5
    difference, _ = demo.largest_difference(wrong, h, places, rows)
    assert difference == pytest.approx(0.5)


def test_the_pictures(demo, found, trained, tmp_path):
    digit, h, J, matrix, places, _ = found
    _, losses, accuracies = trained
    written = demo.draw(tmp_path, np.asarray(digit)[0], h, J, matrix, places, losses, accuracies)
    assert sorted(path.name for path, _ in written) == sorted(path.name for path in tmp_path.iterdir()) == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path, _ in written)


@pytest.mark.slow
def test_the_whole_run(demo, tmp_path, capsys):
    demo.main(tmp_path / "pictures")
    printed = capsys.readouterr().out
    assert "Held-out accuracy 9" in printed
    assert "largest difference" in printed and "extrapolated from the 20 rows" in printed
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == PICTURES
    assert str((tmp_path / "pictures").resolve()) in printed
