"""Datastores: images as Pillow reads them, files, tables, splits, changes by chance, and what is said of broken ones."""
import os
import sys

import numpy as np
import pytest
from helpers import stream

import gradloom as gl

Image = pytest.importorskip("PIL.Image")
RNG = stream(1)
COUNTS = {"cat": 5, "dog": 7, "äffchen": 4}


@pytest.fixture
def folder(tmp_path):
    """Folders of gray images of 6 x 5, and what is in each file."""
    for label, count in COUNTS.items():
        (tmp_path / label).mkdir()
        for k in range(count):
            Image.fromarray(RNG.integers(0, 256, (6, 5), dtype=np.uint8)).save(tmp_path / label / f"{k}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    return tmp_path


# ----- images -------------------------------------------------------------------------------------------------------


def test_images_are_pillow_s_arrays_and_labels_the_names_of_folders(folder):
    images = gl.ImageDatastore(folder)
    assert len(images) == 16 and images.class_names == ["cat", "dog", "äffchen"] == sorted(COUNTS)
    assert gl.count_each_label(images) == COUNTS
    for file, label, (image, its) in zip(images.files, images.labels, images, strict=True):
        assert os.path.basename(os.path.dirname(file)) == label == its
        with Image.open(file) as opened:
            np.testing.assert_array_equal(image[..., 0], np.asarray(opened))
        assert image.shape == (6, 5, 1) and image.dtype == np.uint8


@pytest.mark.parametrize("workers", [0, 2])
def test_mini_batches_of_images(folder, workers):
    images = gl.ImageDatastore(folder)
    queue = gl.minibatchqueue(images, 5, workers=workers, seed=2)
    queue.shuffle()
    found = {}
    for x, t in queue:
        assert x.dims == "BSSC" and t.dims == "B" and x.shape[1:] == (6, 5, 1) and str(x.dtype) == "torch.float32"
        for image, k in zip(np.array(x), np.array(t), strict=True):
            found[image.tobytes()] = queue.class_names[k]
    expected = {image.astype(np.float32).tobytes(): label for image, label in images}
    assert found == expected and max(image.max() for image, _ in images) > 100
    x, _ = gl.minibatchqueue(images, 5, formats=["BCSS", "B"]).next()
    assert x.dims == "BCSS" and x.shape == (5, 1, 6, 5)
    np.testing.assert_array_equal(np.array(x)[3, 0], images[3][0][..., 0])


MODES = {
    "L": ("png", (4, 3)), "RGB": ("png", (4, 3, 3)), "RGBA": ("png", (4, 3, 4)), "LA": ("png", (4, 3, 2)), "P": ("gif", (4, 3, 3)), "1": ("png", (4, 3)),
    "I;16": ("png", (4, 3)), "F": ("tiff", (4, 3)), "CMYK": ("tiff", (4, 3, 3)), "I": ("tiff", (4, 3)),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes(tmp_path, mode):
    ending, shape = MODES[mode]
    if mode == "I;16":
        image = Image.fromarray(RNG.integers(0, 2 ** 16, (4, 3), dtype=np.uint16))
    elif mode in ("F", "I"):
        image = Image.fromarray(RNG.integers(0, 900, (4, 3)).astype(np.float32 if mode == "F" else np.int32))
    else:
        image = Image.fromarray(RNG.integers(0, 256, (4, 3, 3), dtype=np.uint8)).convert(mode)
    image.save(tmp_path / f"x.{ending}")
    [found] = gl.ImageDatastore(tmp_path, label_source=None)
    with Image.open(tmp_path / f"x.{ending}") as opened:
        expected = np.asarray(opened.convert("RGB") if mode in ("P", "CMYK") else opened.convert("L") if mode == "1" else opened)
    assert found.shape == (*shape, 1)[:3] and found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected.reshape(found.shape))
    if mode == "I;16":
        assert found.max() > 255 and gl.minibatchqueue(gl.ImageDatastore(tmp_path, label_source=None), 1).next().dtype == gl.ones(1, dtype="float32").dtype


def test_one_mode_for_all(tmp_path):
    Image.new("L", (3, 4), 7).save(tmp_path / "a.png")
    Image.new("RGB", (3, 4), (1, 2, 3)).save(tmp_path / "b.bmp")
    assert [x.shape for x in gl.ImageDatastore(tmp_path, label_source=None, mode="RGB")] == [(4, 3, 3)] * 2
    with pytest.raises(gl.ShapeError, match="do not fit into one array; resize images with AugmentedImageDatastore"):
        gl.minibatchqueue(gl.ImageDatastore(tmp_path, label_source=None), 2).next()


@pytest.mark.parametrize("content", [b"", b"not an image", None])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_named(folder, content, workers):
    path = folder / "dog" / "3.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    images = gl.ImageDatastore(folder)
    with pytest.raises(gl.DataError, match=r"dog.3\.png' cannot be read as an image: .*images\.subset"):
        images.read_all()
    queue = gl.minibatchqueue(images, 4, workers=workers)
    with pytest.raises(gl.DataError, match=r"dog.3\.png") as caught:
        for _ in queue:
            pass
    assert any("test_datastores.py" in note for note in caught.value.__notes__)
    os.remove(path)
    with pytest.raises(gl.DataError, match=r"dog.3\.png' cannot be read as an image: no such file"):
        images.read_all()


def test_places_that_are_not_there(tmp_path):
    with pytest.raises(gl.DataError, match=r"there is no 'nowhere', at test_datastores.*current one is"):
        gl.ImageDatastore("nowhere")
    with pytest.raises(gl.DataError, match="no files in"):
        gl.ImageDatastore(tmp_path)
    with pytest.raises(gl.TypeRefused, match='label_source is "foldernames"'):
        gl.ImageDatastore(tmp_path, label_source="names")


@pytest.mark.skipif(sys.platform == "win32", reason="names of files are bytes elsewhere alone")
def test_names_that_are_no_text(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff.png")
    images = gl.ImageDatastore(tmp_path, label_source=None)
    assert images.read().shape == (2, 2, 1)
    os.remove(os.fsencode(tmp_path) + b"/\xff.png")
    with pytest.raises(gl.DataError, match=r"udcff\.png' cannot be read"):
        images.read_all()


def test_which_files(folder):
    assert len(gl.ImageDatastore([folder / "cat", folder / "dog" / "1.png"])) == 6
    with pytest.raises(gl.DataError, match="include_subfolders=True"):
        gl.ImageDatastore(folder, include_subfolders=False)
    assert gl.ImageDatastore(folder, extensions=["txt"]).files == [str(folder / "notes.txt")]
    own = gl.ImageDatastore(folder / "cat", labels=[1, 2, 1, 2, 1])
    assert own.class_names == ["1", "2"] and own.read()[1] == "1"
    with pytest.raises(gl.DataError, match="2 labels for 5 files"):
        gl.ImageDatastore(folder / "cat", labels=["a", "b"])
    read = gl.ImageDatastore(folder / "cat", read_function=lambda file: np.full((2, 2), 3.0), label_source=None)
    assert read.preview().shape == (2, 2, 1)


# ----- values -------------------------------------------------------------------------------------------------------


def kinds(folder):
    images = gl.ImageDatastore(folder)
    return [
        images, gl.FileDatastore(folder / "dog", lambda file: os.path.basename(file)), gl.ArrayDatastore(np.arange(9.0)), gl.ArrayDatastore(list("abcab")),
        gl.combine(images, gl.ArrayDatastore(np.arange(16))), images.transform(lambda image, label: (image.mean(), label)),
        gl.AugmentedImageDatastore((3, 3), images, rand_rotation=(-9, 9)),
    ]


def written(observation):
    return repr([np.asarray(part).tolist() for part in (observation if isinstance(observation, tuple) else (observation,))])


@pytest.mark.parametrize("which", range(7))
def test_what_every_datastore_does(folder, which):
    ds = kinds(folder)[which]
    n, everything = len(ds), [written(x) for x in ds.read_all()]
    assert everything == [written(ds[k]) for k in range(n)] == [written(x) for x in ds]
    read = []
    while ds.hasdata():
        read.append(ds.read())
    assert [written(x) for x in read][:n] == everything
    with pytest.raises(gl.DataError, match=rf"all {n} observations have been read, at test_datastores.*reset\(\)"):
        ds.read()
    ds.reset()
    assert ds.hasdata() and written(ds.preview()) == everything[0] and ds[-1] is not None
    with pytest.raises(IndexError):
        ds[n]
    assert [written(x) for x in ds.subset([2, 0])] == [everything[2], everything[0]]
    assert [written(x) for x in ds.subset(slice(1, None, 2))] == everything[1::2]
    assert [written(x) for x in ds.subset(np.arange(n) > 2)] == everything[3:]
    assert [written(x) for x in ds.subset([4, 3, 2]).subset([2, 0])] == [everything[2], everything[4]]
    assert [written(x) for k in range(3) for x in ds.partition(3, k)] == everything
    shuffled = ds.shuffle(seed=1)
    assert sorted(written(x) for x in shuffled) == sorted(everything) and [written(x) for x in shuffled] != everything
    assert [written(x) for x in ds.shuffle(seed=1)] == [written(x) for x in shuffled]
    assert [written(x) for x in ds] == everything, "a datastore is a value"
    assert type(ds.subset([0])) is type(ds) and f"of {n} observations" in repr(ds)
    with pytest.raises(gl.DataError, match=f"index {n} of {n} observations"):
        ds.subset([0, n])
    with pytest.raises(gl.TypeRefused, match="a list of integers, a slice or a mask"):
        ds.subset([0.5])


def test_shuffle_takes_its_seed_from_rng():
    ds = gl.ArrayDatastore(np.arange(50))
    gl.rng(1)
    first = ds.shuffle().read_all()
    gl.rng(1)
    assert ds.shuffle().read_all() == first != ds.shuffle().read_all()


def test_combined_stores_stay_in_step(folder):
    images = gl.ImageDatastore(folder).shuffle(seed=3)
    both = gl.combine(images, gl.ArrayDatastore(np.arange(16.0)))
    assert gl.count_each_label(both) == COUNTS
    some = both.subset([5, 1, 9])
    assert [(label, k) for _, label, k in some] == [(images[k][1], k) for k in (5, 1, 9)]
    x, t, k = gl.minibatchqueue(some, 3, formats=["BSSC", "B", "B"]).next()
    assert k.tolist() == [5, 1, 9] and [images.class_names[c] for c in t.tolist()] == [images[k][1] for k in (5, 1, 9)]
    np.testing.assert_array_equal(np.array(x)[2], images[9][0])
    with pytest.raises(gl.DataError, match="16, 3 observations does not fit"):
        gl.combine(images, gl.ArrayDatastore(np.arange(3)))
    with pytest.raises(gl.TypeRefused, match="takes datastores, not ndarray"):
        gl.combine(images, np.arange(16))


def test_transform(folder):
    images = gl.ImageDatastore(folder)
    halves = images.transform(lambda image, label: (image[:3] / 255, label))
    x, t = gl.minibatchqueue(halves, 16).next()
    assert x.dims == "BSSC" and x.shape == (16, 3, 5, 1) and float(gl.max(x)) <= 1 and halves.labels == images.labels
    assert gl.minibatchqueue(halves, 16).class_names == images.class_names and t.dims == "B"
    with pytest.raises(gl.DataError, match=r"gave 1 parts of an observation, 2 are expected \(image, label\).*parts=1"):
        images.transform(lambda image, label: image).read()
    alone = images.transform(lambda image, label: image, parts=1)
    assert gl.minibatchqueue(alone, 4).next().shape == (4, 6, 5, 1)
    with pytest.raises(TypeError, match="positional argument") as caught:
        gl.minibatchqueue(images.transform(lambda image: image), 4).next()
    assert any("0.png" in note for note in caught.value.__notes__)
    noisy = images.transform(lambda image, label: (image + gl.extractdata(gl.rand(image.shape)), label))
    twice = noisy.transform(lambda image, label: (image - gl.extractdata(gl.rand(image.shape)), label))
    assert len(np.unique(np.round(twice[0][0] - images[0][0], 6))) == images[0][0].size  # another draw, and not the first again
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(noisy, noisy, strict=True))
    passes = [np.array(x) for queue in [gl.minibatchqueue(noisy, 16, seed=1)] for _ in range(2) for x, _ in queue]
    assert not np.array_equal(*passes)


# ----- splits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("randomized", [False, True])
@pytest.mark.parametrize(("shares", "counts"), [
    ((3,), [{"cat": 3, "dog": 3, "äffchen": 3}, {"cat": 2, "dog": 4, "äffchen": 1}]),
    ((1, 2), [{"cat": 1, "dog": 1, "äffchen": 1}, {"cat": 2, "dog": 2, "äffchen": 2}, {"cat": 2, "dog": 4, "äffchen": 1}]),
    ((0.5,), [{"cat": 3, "dog": 4, "äffchen": 2}, {"cat": 2, "dog": 3, "äffchen": 2}]),
    ((0.5, 0.25, 0.25), [{"cat": 3, "dog": 4, "äffchen": 2}, {"cat": 1, "dog": 1, "äffchen": 1}, {"cat": 1, "dog": 2, "äffchen": 1}]),
    ((4,), [{"cat": 4, "dog": 4, "äffchen": 4}, {"cat": 1, "dog": 3}]),
])
def test_splits(folder, randomized, shares, counts):
    images = gl.ImageDatastore(folder)
    gl.rng(4)
    parts = gl.split_each_label(images, *shares, randomized=randomized)
    assert [gl.count_each_label(part) for part in parts] == counts
    assert sorted(file for part in parts for file in part.files) == sorted(images.files)
    assert all(part.class_names == images.class_names for part in parts), "an index means the same class in every part"
    gl.rng(4)
    assert gl.split_each_label(images, *shares, randomized=randomized)[0].files == parts[0].files
    plain = gl.split_each_label(images, *shares)
    if randomized:
        assert any(gl.split_each_label(images, *shares, randomized=True, seed=k)[0].files != plain[0].files for k in range(5))
    else:
        assert [os.path.basename(f) for f in plain[0].files if "cat" in f] == [f"{k}.png" for k in range(counts[0]["cat"])]


def test_a_random_split_is_fair():
    """Each of ten observations is in the first part in half of the splits."""
    ds = gl.ArrayDatastore(["a"] * 10)
    seen = np.zeros(10)
    for seed in range(2000):
        seen[gl.split_each_label(ds, 5, randomized=True, seed=seed)[0].places] += 1
    assert np.abs(seen - 1000).max() < 5 * np.sqrt(500)


@pytest.mark.parametrize(("shares", "message"), [
    ((5,), "label 'äffchen' has 4 observations, 5 are asked for, at test_datastores.*a fraction"), ((), "counts or fractions"),
    ((0.5, 0.6), "fractions that sum to 1.1"), ((-1,), "counts are integers from 0 on"), ((1.5,), "fractions are between 0 and 1"),
])
def test_splits_that_are_none(folder, shares, message):
    with pytest.raises(gl.GradloomError, match=message):
        gl.split_each_label(gl.ImageDatastore(folder), *shares)


def test_labels_that_are_not_there(folder):
    for ds in (gl.ArrayDatastore(np.ones(3)), gl.ImageDatastore(folder, label_source=None)):
        with pytest.raises(gl.TypeRefused, match="has no labels"):
            gl.count_each_label(ds)
    with pytest.raises(gl.TypeRefused, match="takes a datastore, not str"):
        gl.split_each_label("digits", 3)


# ----- changes by chance --------------------------------------------------------------------------------------------


OPTIONS = {"rand_rotation": (-40, 40), "rand_x_translation": (-3, 3), "rand_y_translation": (-2, 2), "rand_x_scale": (0.8, 1.3), "rand_y_scale": (0.7, 1.1),
           "rand_x_reflection": True, "rand_y_reflection": True}


def changed(image, **options):
    return gl.AugmentedImageDatastore(None, image[None], **options).read()


def test_reflections_shifts_and_right_angles():
    image = RNG.random((5, 5, 3))
    seen = [changed(image, rand_x_reflection=True, seed=k) for k in range(30)]
    flipped = [np.array_equal(x, image[:, ::-1]) for x in seen]
    assert 5 < sum(flipped) < 25 and all(f or np.array_equal(x, image) for f, x in zip(flipped, seen, strict=True))
    assert any(np.allclose(changed(image, rand_y_reflection=True, seed=k), image[::-1]) for k in range(20))
    np.testing.assert_allclose(changed(image, rand_rotation=(90, 90)), np.rot90(image), atol=1e-12)
    shifted = changed(image, rand_x_translation=(2, 2), rand_y_translation=(-1, -1), fill_value=7.0)
    np.testing.assert_allclose(shifted[:4, 2:], image[1:, :3], atol=1e-12)
    assert (shifted[4] == 7).all() and (shifted[:, :2] == 7).all()


@pytest.mark.parametrize(("angle", "x_scale", "y_scale", "shift"), [(25, 1, 1, (0, 0)), (0, 1.5, 0.7, (0, 0)), (-70, 0.8, 1.2, (1.5, -0.5))])
def test_changes_against_scipy(angle, x_scale, y_scale, shift):
    ndimage = pytest.importorskip("scipy.ndimage")
    image = RNG.random((9, 12))
    found = changed(image[..., None], rand_rotation=(angle, angle), rand_x_scale=(x_scale, x_scale), rand_y_scale=(y_scale, y_scale),
                    rand_x_translation=(shift[0],) * 2, rand_y_translation=(shift[1],) * 2, fill_value=0.5)
    a = np.radians(angle)  # (row, column) from the centre: rows go down, so that a turn to the left takes right to up
    forwards = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.diag([y_scale, x_scale])
    backwards, centre = np.linalg.inv(forwards), (np.array(image.shape) - 1) / 2
    offset = centre - backwards @ (centre + [shift[1], shift[0]])
    expected = ndimage.affine_transform(image, backwards, offset, order=1, mode="grid-constant", cval=0.5)
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-12)


def test_scale_is_the_same_for_both_axes():
    image = np.zeros((41, 41, 1))
    image[10:31, 10:31] = 1
    for seed in range(5):
        found = changed(image, rand_scale=(0.5, 1.5), seed=seed)[..., 0]
        assert abs(found[20].sum() - found[:, 20].sum()) < 1e-9 and 10 < found[20].sum() < 32


def test_sizes():
    gray = RNG.integers(0, 256, (12, 9), dtype=np.uint8)
    found = gl.AugmentedImageDatastore((5, 7), gray[None, ..., None]).read()
    expected = np.asarray(Image.fromarray(gray).resize((7, 5), Image.Resampling.BILINEAR))
    assert found.dtype == np.uint8 and np.abs(found[..., 0].astype(int) - expected).max() <= 1
    assert np.array_equal(gl.AugmentedImageDatastore((4, 3), gray[None, ..., None], output_size_mode="centercrop").read()[..., 0], gray[4:8, 3:6])
    crops = [gl.AugmentedImageDatastore((4, 3), gray[None, ..., None], output_size_mode="randcrop", seed=k).read()[..., 0] for k in range(8)]
    windows = [gray[i:i + 4, j:j + 3].tobytes() for i in range(9) for j in range(7)]
    assert all(crop.tobytes() in windows for crop in crops) and len({crop.tobytes() for crop in crops}) > 3
    with pytest.raises(gl.DataError, match=r"no part of 20 x 3.*\"resize\""):
        gl.AugmentedImageDatastore((20, 3), gray[None, ..., None], output_size_mode="centercrop").read()


@pytest.mark.parametrize("workers", [0, 3])
def test_draws_are_new_in_each_pass_and_the_same_when_resumed(folder, workers):
    images = gl.AugmentedImageDatastore((6, 6), gl.ImageDatastore(folder), **OPTIONS)
    whole = gl.minibatchqueue(images, 5, seed=8)
    batches, states = [], []
    for _ in range(2):
        whole.reset()
        while whole.hasdata():
            states.append(whole.state())
            batches.append(np.array(whole.next()[0]))
    assert not np.array_equal(batches[0], batches[4])
    for k in (0, 2, 5):
        resumed = gl.minibatchqueue(images, 5, workers=workers)
        resumed.restore(states[k])
        np.testing.assert_array_equal(np.array(resumed.next()[0]), batches[k])
        np.testing.assert_array_equal(np.array(resumed.next()[0]), batches[k + 1])


@pytest.mark.parametrize(("options", "message"), [
    ({"output_size_mode": "crop"}, 'is "resize"'), ({"rand_rotation": 20}, r"write rand_rotation=\(low, high\)"), ({"rand_scale": (0, 1)}, "positive"),
    ({"rand_x_translation": (3, -3)}, r"rand_x_translation=\(low, high\)"),
])
def test_options_that_do_not_fit(options, message):
    with pytest.raises(gl.GradloomError, match=message):
        gl.AugmentedImageDatastore((3, 3), np.ones((2, 4, 4, 1)), **options)
    with pytest.raises(gl.ShapeError, match=r"write \(height, width\)"):
        gl.AugmentedImageDatastore(28, np.ones((2, 4, 4, 1)))


# ----- files and tables ---------------------------------------------------------------------------------------------


def test_files(tmp_path):
    for k in range(5):
        (tmp_path / "ab"[k % 2]).mkdir(exist_ok=True)
        np.savez(tmp_path / "ab"[k % 2] / f"{k}.npz", x=np.full(3, k), t=k / 2)

    def read(file):
        with np.load(file) as stored:
            return stored["x"], float(stored["t"])

    with pytest.raises(gl.DataError, match="include_subfolders=True"):
        gl.FileDatastore(tmp_path, read)
    ds = gl.FileDatastore(tmp_path, read, include_subfolders=True, extensions=[".npz"])
    x, t = gl.minibatchqueue(ds, 5, formats=["BC", "B"]).next()
    assert np.array(x)[:, 0].tolist() == [0, 2, 4, 1, 3] and t.tolist() == [0, 1, 2, 0.5, 1.5]
    ds = gl.FileDatastore(tmp_path, read, include_subfolders=True, label_source="foldernames")
    assert gl.minibatchqueue(ds, 5, formats=["BC", "B", "B"]).next()[2].tolist() == [0, 0, 0, 1, 1] and ds.labels == list("aaabb")


@pytest.mark.parametrize("kind", ["frame", "csv", "several"])
def test_tables(tmp_path, kind):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"length": RNG.random(7), "width": RNG.random(7), "size": np.arange(7), "kind": list("abcabca")})
    given = table
    if kind != "frame":
        table.iloc[:4].to_csv(tmp_path / "1.csv", index=False)
        table.iloc[4:].to_csv(tmp_path / "2.csv", index=False)
        table.to_csv(tmp_path / "all.csv", index=False)
        given = tmp_path / "all.csv" if kind == "csv" else [tmp_path / "1.csv", tmp_path / "2.csv"]
    ds = gl.TableDatastore(given, targets="kind")
    assert ds.feature_names == ["length", "width", "size"] and gl.count_each_label(ds) == {"a": 3, "b": 2, "c": 2}
    x, t = gl.minibatchqueue(ds, 7, cast="float64").next()
    assert (x.dims, t.dims) == ("BC", "B") and t.tolist() == [0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_array_equal(np.array(x), table[["length", "width", "size"]].to_numpy())
    row, word = ds.subset([4, 5])[1]
    assert word == "c" and row[2] == 5
    x, t = gl.minibatchqueue(gl.TableDatastore(given, ["size", "width"], features=["length"]), 7, cast="float64").next()
    np.testing.assert_array_equal(np.array(t), table[["size", "width"]].to_numpy())
    assert x.shape == (7, 1) and gl.minibatchqueue(gl.TableDatastore(given, features=["size"]), 7).next().tolist() == [[k] for k in range(7)]
    assert gl.minibatchqueue(gl.TableDatastore(given, "size", features=["width"]), 3).next()[1].tolist() == [0, 1, 2]


def test_tables_that_do_not_fit(tmp_path):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"x": [1.0, None], "kind": ["a", "b"]})
    with pytest.raises(gl.DataError, match="column 'x' has no entry in row 1.*dropna"):
        gl.TableDatastore(table, "kind")
    with pytest.raises(gl.DataError, match="no column 'kin'; did you mean 'kind'"):
        gl.TableDatastore(table, "kin")
    with pytest.raises(gl.TypeRefused, match="column 'kind' is words.*get_dummies"):
        gl.TableDatastore(table.dropna())
    with pytest.raises(gl.DataError, match="there is no 'no.csv'"):
        gl.TableDatastore("no.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(gl.DataError, match=r"bad\.csv' cannot be read as a table: .*line 3"):
        gl.TableDatastore(tmp_path / "bad.csv")
    with pytest.raises(gl.TypeRefused, match="a file, a list of files or a DataFrame"):
        gl.TableDatastore(3)
