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
def folder(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    demo.write_digits(folder)
    return folder


@pytest.fixture(scope="module")
def trained(demo, folder):
    """The network after two short epochs, and what trainnet tells: (net, info, a held-out digit)."""
    gl.rng(0)
    training, held_out = demo.datastores(folder, 8)
    held_out = held_out.subset(range(0, len(held_out), 20))
    net, info = demo.train(demo.network(), training, held_out, max_epochs=2, validation_frequency=10)
    return net, info, demo.as_array(held_out[0][0])


@pytest.fixture(scope="module")
def found(demo, trained):
    """What the demo finds out about one digit."""
    net, _, digit = trained
    h = np.asarray(net.predict(digit, outputs="relu1"))
    J = gl.dlfeval(demo.hidden_jacobian, net, digit)
    places = demo.places_to_check(h)
    rows = gl.dlfeval(demo.rows_one_by_one, net, digit, places, list(J.columns))
    return digit, h, J, np.array(J), places, rows


def test_the_digits(demo, folder):
    gl.rng(0)
    training, held_out = demo.datastores(folder)
    assert (len(training), len(held_out)) == (500, 1297)
    images, names = zip(*training, strict=True)
    assert {image.shape for image in images} == {(28, 28, 1)} and {str(image.dtype) for image in images} == {"uint8"}
    assert {name: names.count(name) for name in names} == {str(k): 50 for k in range(10)}
    assert min(image.min() for image in images) == 0 and max(image.max() for image in images) > 230
    digit = demo.as_array(images[0])
    assert (digit.shape, digit.dims) == ((1, 28, 28), "CSS") and np.array_equal(digit[0], images[0][..., 0])


def test_training_begins(trained):
    net, info, _ = trained
    assert info.iteration == 20 and list(info.validation["iteration"]) == [10, 20]
    assert info.training["loss"][-5:].mean() < info.training["loss"][:5].mean()
    assert info.validation["accuracy"][-1] > 0.2
    assert info.class_names == [str(k) for k in range(10)]
    assert abs(np.asarray(net.state["batchnorm1", "trained_mean"])).max() > 0


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
    written = demo.draw(tmp_path, np.asarray(digit)[0] / 255, h, J, matrix, places, trained[1])
    assert sorted(path.name for path, _ in written) == sorted(path.name for path in tmp_path.iterdir()) == PICTURES
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path, _ in written)


@pytest.mark.slow
def test_the_whole_run(demo, tmp_path, capsys):
    demo.main(tmp_path / "pictures")
    printed = capsys.readouterr().out
    share = float(printed.partition("Held-out accuracy ")[2].partition("%")[0])
    assert share >= 97
    assert "largest difference" in printed and "extrapolated from the 20 rows" in printed
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == sorted(["digits", "training.html", *PICTURES])
    assert str((tmp_path / "pictures").resolve()) in printed
