"""Folders of files as observations, and images among them."""
from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import DataError, TypeRefused, line_of, needed, user_site
from .arrays import coded, parts_of, plain
from .called import explained_options
from .datastore import Datastore, Part, Stacked


class Files(Datastore):
    """What datastores of files share: which files, and their labels, given or the names of their folders."""

    def __init__(self, location: Any, include_subfolders: bool, extensions: Sequence[str] | None, label_source: Any,
                 labels: Any, data: Part):
        word = type(self).__name__
        if label_source not in ("foldernames", "none", None):
            raise TypeRefused(f"{word}: label_source is \"foldernames\" or None, not {label_source!r}, at "
                              f"{line_of(user_site())}; give labels of your own as labels=[...]")
        self._files = files_at(location, include_subfolders, extensions, word)
        self._places = np.arange(len(self._files))
        self._codes: np.ndarray | None = None
        words = labels
        if labels is None and label_source == "foldernames":
            words = [os.path.basename(os.path.dirname(os.path.abspath(file))) for file in self._files]
        self.parts = (data,)
        if words is not None:
            if len(words) != len(self._files):
                raise DataError(f"{word}: {len(words)} labels for {len(self._files)} files, at {line_of(user_site())}; "
                                "give one for each, in the order of ds.files")
            self._codes, _, names = coded(np.asarray([str(name) for name in words]), None)
            self.parts = (data, Part("label", None, names))

    @property
    def files(self) -> list[str]:
        """The paths of the files, in order."""
        return [self._files[place] for place in self._places]

    @property
    def labels(self) -> list[str] | None:
        """The label of each file, in order; None without labels."""
        names = self.class_names
        return None if names is None or self._codes is None else [names[k] for k in self._codes[self._places]]

    @property
    def class_names(self) -> list[str] | None:
        """The labels that there are, sorted."""
        return self.parts[-1].class_names if self._codes is not None else None

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        values = self.read_file(self._files[place])
        if self._codes is None:
            return values
        names = self.class_names
        assert names is not None
        return (*values, names[self._codes[place]])

    def batched(self, places: np.ndarray, draw: int) -> list[Any]:
        rows = []
        for place in places:
            try:
                rows.append(self.read_file(self._files[place]))
            except Exception as error:
                error.add_note(f"while reading {self.named(int(place))} of {self!r}")
                raise
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[]]
        return columns if self._codes is None else [*columns, Stacked(self._codes[places], 0, "B", True)]

    def read_file(self, file: str) -> tuple[Any, ...]:
        """The parts that a file holds."""
        raise NotImplementedError

    def named(self, place: int) -> str:
        return repr(self._files[place])


@explained_options
class FileDatastore(Files):
    """Files of any kind, each read by a function: `FileDatastore(path, read_function)`.

    path: a folder, a file, or a list of them. read_function(file) returns the data of one file: an array, or a tuple of
    arrays, of which each is a part of the observation (the first file is read at once, to see them).
    include_subfolders: with the folders in a folder. extensions: only the files that end so. label_source="foldernames"
    gives each file the name of its folder as a label; labels= gives them one by one.

    Raises DataError where there are no files, and what read_function raises, with the file's name.

    >>> import gradloom as gl, numpy as np, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> np.save(folder / "a.npy", np.ones(2)); np.save(folder / "b.npy", np.zeros(2))
    >>> gl.FileDatastore(folder, np.load, extensions=[".npy"]).read_all()
    [array([1., 1.]), array([0., 0.])]

    Source: MATLAB fileDatastore.
    """

    def __init__(self, path: Any, read_function: Callable[[str], Any], include_subfolders: bool = False, *,
                 extensions: Sequence[str] | None = None, label_source: str | None = None, labels: Any = None):
        if not callable(read_function):
            raise TypeRefused(f"FileDatastore takes a function that reads a file, not {type(read_function).__name__}, "
                              f"at {line_of(user_site())}; write FileDatastore(path, np.load)")
        self._read = read_function
        super().__init__(path, include_subfolders, extensions, label_source, labels, Part("data"))
        self.parts = (self.parts[0],) * len(self.read_file(self._files[0])) + self.parts[1:]

    def read_file(self, file: str) -> tuple[Any, ...]:
        return parts_of(self._read(file))


@explained_options
class ImageDatastore(Files):
    """Images in folders, in any format that Pillow reads: `ImageDatastore(path)`.

    path: a folder, an image, or a list of them. An observation is (image, label): the image as a NumPy array height x
    width x channels of the numbers in the file (0 to 255 where they are bytes: an input layer rescales them), gray ones
    with 1 channel, colours of a palette as RGB; the label as the name of its folder. label_source=None leaves the
    labels out; labels= gives them one by one. include_subfolders: with the folders in a folder. mode: one of Pillow's
    modes, "L" or "RGB", to which every image is converted. read_function(file): reads an image instead of Pillow.

    In a mini-batch images are BSSC, and labels are class indices B.

    Raises DataError where there are no images, or one cannot be read, with its name.

    >>> import gradloom as gl, numpy as np, pathlib, tempfile
    >>> from PIL import Image
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     Image.fromarray(np.zeros((28, 28), dtype=np.uint8)).save(folder / name / "1.png")
    >>> images = gl.ImageDatastore(folder)
    >>> image, label = images.read()
    >>> image.shape, label, images.class_names
    ((28, 28, 1), 'cat', ['cat', 'dog'])

    Source: MATLAB imageDatastore.
    """

    def __init__(self, path: Any, include_subfolders: bool = True, label_source: str | None = "foldernames", *,
                 mode: str | None = None, read_function: Callable[[str], Any] | None = None,
                 extensions: Sequence[str] | None = None, labels: Any = None):
        if read_function is not None and not callable(read_function):
            raise TypeRefused(f"ImageDatastore: read_function is {type(read_function).__name__}, at "
                              f"{line_of(user_site())}; give a function of a file's path")
        self._read, self._mode = read_function, mode
        if read_function is None:
            pillow = needed("PIL.Image", "ImageDatastore")
            known = pillow.registered_extensions()
            extensions = extensions or [extension for extension, kind in known.items() if kind in pillow.OPEN]
        super().__init__(path, include_subfolders, extensions, label_source, labels, Part("image", "SSC"))

    def read_file(self, file: str) -> tuple[Any, ...]:
        if self._read is not None:
            image = plain(self._read(file))
            return (image[..., None] if getattr(image, "ndim", 0) == 2 else image,)
        pillow = needed("PIL.Image", "ImageDatastore")
        try:
            with open(file, "rb", 0) as opened:  # Pillow reads from memory faster than from a file
                content = opened.read()
            with pillow.open(io.BytesIO(content)) as image:
                mode = self._mode or CONVERTED.get(image.mode)
                if mode is None and image.mode == "P":
                    mode = "RGBA" if "transparency" in image.info else "RGB"
                array = np.asarray(image if mode in (None, image.mode) else image.convert(mode))
        except Exception as error:  # Pillow's readers raise what they meet: OSError, SyntaxError, struct.error, ...
            reason = str(error) or type(error).__name__
            if isinstance(error, FileNotFoundError):
                reason = "no such file"
            elif isinstance(error, pillow.UnidentifiedImageError):
                reason = "its content is of no format that Pillow knows"
            raise DataError(f"{file!r} cannot be read as an image: {reason}; mend it, or leave it out with "
                            "images.subset([...])") from error
        return (array[..., None] if array.ndim == 2 else array,)


CONVERTED = {"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "PA": "RGBA", "La": "LA",
             "RGBa": "RGBA", "RGBX": "RGB"}


def files_at(location: Any, include_subfolders: bool, extensions: Sequence[str] | None, word: str) -> list[str]:
    """The files in a folder, sorted, or those that were given."""
    endings = None if extensions is None else tuple(
        ending.lower() if ending.startswith(".") else f".{ending.lower()}" for ending in extensions)
    given = [location] if isinstance(location, (str, os.PathLike)) else list(location)
    found: list[str] = []
    for path in [str(os.fspath(each)) for each in given]:
        if os.path.isdir(path):
            found += in_folder(path, include_subfolders, endings)
        elif os.path.exists(path):
            found.append(path)
        else:
            raise DataError(f"{word}: there is no {path!r}, at {line_of(user_site())}; give a folder that is there "
                            f"(the current one is {os.getcwd()!r})")
    if not found:
        raise DataError(f"{word}: no files in {given[0] if given else location!r}, at {line_of(user_site())}; give a "
                        "folder with files" + (" that end in extensions=" if extensions is not None else "")
                        + ("" if include_subfolders else ", or include_subfolders=True"))
    return found


def in_folder(folder: str, include_subfolders: bool, endings: tuple[str, ...] | None) -> list[str]:
    """The files of a folder in the order of their names, then those of the folders in it; hidden ones left out."""
    found: list[str] = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if include_subfolders else []
        found += [os.path.join(path, name) for name in sorted(files)
                  if not name.startswith(".") and (endings is None or name.lower().endswith(endings))]
    return found


__all__ = ["FileDatastore", "ImageDatastore"]
