"""Images brought to one size, and changed by chance."""
from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.errors import DataError, ShapeError, TypeRefused, line_of, user_site
from .arrays import ArrayDatastore, plain
from .called import explained_options
from .datastore import Datastore, Derived
from .draws import seed_of

Range = tuple[float, float]


class Ranges(NamedTuple):
    """Between which bounds each change is drawn."""

    rotation: Range
    x_translation: Range
    y_translation: Range
    x_scale: Range
    y_scale: Range
    x_reflection: bool
    y_reflection: bool


@explained_options
class AugmentedImageDatastore(Derived):
    """Images of one size, each changed by chance whenever it is read: `AugmentedImageDatastore((28, 28), images)`.

    images: a datastore whose first part is an image, or an array of images BSSC. Each image is resized (bilinear;
    output_size_mode="centercrop" or "randcrop" cuts a part out instead, output_size=None leaves it as it is), and then
    rotated, scaled, reflected and shifted about its centre. rand_rotation is a range in degrees, counter-clockwise;
    rand_scale a range of factors, the same for both axes; rand_x_scale and rand_y_scale one for each;
    rand_x_translation and rand_y_translation ranges in pixels, to the right and downwards; rand_x_reflection=True turns
    left and right with probability 1/2, rand_y_reflection=True up and down. What comes from outside an image is
    fill_value. The draws depend on seed, on the image and on the pass: a resumed run sees the same images, with any
    number of workers. Images keep their type; bytes are rounded.

    Raises TypeRefused and ShapeError for options that do not fit.

    >>> import gradloom as gl, numpy as np
    >>> ds = gl.AugmentedImageDatastore((4, 4), np.ones((3, 8, 8, 1)), rand_x_reflection=True, rand_rotation=(-20, 20))
    >>> ds.read().shape
    (4, 4, 1)

    Source: MATLAB augmentedImageDatastore and imageDataAugmenter.
    """

    def __init__(self, output_size: Any, images: Any, *, output_size_mode: str = "resize",
                 rand_rotation: Any = (0, 0), rand_scale: Any = None, rand_x_scale: Any = (1, 1),
                 rand_y_scale: Any = (1, 1), rand_x_translation: Any = (0, 0), rand_y_translation: Any = (0, 0),
                 rand_x_reflection: bool = False, rand_y_reflection: bool = False, fill_value: float = 0.0,
                 seed: int = 0):
        site = line_of(user_site())
        self.store = store = images if isinstance(images, Datastore) else images_in(images)
        if output_size_mode not in ("resize", "centercrop", "randcrop"):
            raise TypeRefused(f"output_size_mode is \"resize\", \"centercrop\" or \"randcrop\", not "
                              f"{output_size_mode!r}, at {site}; write output_size_mode=\"resize\"")
        try:
            size = None if output_size is None else tuple(map(operator.index, tuple(output_size)[:2]))
        except TypeError:
            size = ()
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ShapeError(f"AugmentedImageDatastore: output_size={output_size!r}, at {site}; write (height, width)")
        self._size, self._mode = size, output_size_mode
        self._fill, self._seed = float(fill_value), operator.index(seed)
        if rand_scale is not None:
            rand_x_scale = rand_y_scale = rand_scale
        self._same_scale = rand_scale is not None
        self._ranges = Ranges(
            bounds("rand_rotation", rand_rotation, site), bounds("rand_x_translation", rand_x_translation, site),
            bounds("rand_y_translation", rand_y_translation, site), bounds("rand_x_scale", rand_x_scale, site),
            bounds("rand_y_scale", rand_y_scale, site), bool(rand_x_reflection), bool(rand_y_reflection))
        if min(*self._ranges.x_scale, *self._ranges.y_scale) <= 0:
            raise ShapeError(f"AugmentedImageDatastore: factors are positive numbers, at {site}; write "
                             "rand_scale=(0.9, 1.1)")
        first, *rest = store.parts
        self.parts = (first._replace(labels="SSC"), *rest)
        self._places = np.arange(len(store))
        self.depth = store.depth

    def observed(self, place: int, draw: int) -> tuple[Any, ...]:
        image, *rest = self.store.observed(int(self.store.places[place]), draw)
        image = np.asarray(plain(image))
        if image.ndim not in (2, 3):
            raise DataError(f"{self.named(place)} has shape {image.shape}; an image is height x width x channels")
        random = np.random.Generator(np.random.PCG64(seed_of("augment", self._seed, draw, place)))
        return (self._changed(image if image.ndim == 3 else image[..., None], random), *rest)

    def named(self, place: int) -> str:
        return self.store.named(int(self.store.places[place]))

    def _changed(self, image: np.ndarray, random: np.random.Generator) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64)).movedim(-1, 0)[None]
        ranges = self._ranges
        if self._size is not None and tuple(x.shape[2:]) != self._size:
            x = resized(x, self._size) if self._mode == "resize" else self._cut(x, random)
        angle = math.radians(random.uniform(*ranges.rotation))
        x_scale, y_scale = random.uniform(*ranges.x_scale), random.uniform(*ranges.y_scale)
        if self._same_scale:
            y_scale = x_scale
        shift = random.uniform(*ranges.x_translation), random.uniform(*ranges.y_translation)
        flipped = [axis for axis, flips in ((3, ranges.x_reflection), (2, ranges.y_reflection))
                   if flips and random.random() < 0.5]
        x = x.flip(flipped)
        turned = affine(angle, x_scale, y_scale)
        if not np.array_equal(turned, np.eye(2)) or shift != (0, 0):
            x = moved(x, turned, shift, self._fill)
        found = x[0].movedim(0, -1).numpy()
        if image.dtype.kind in "iu":
            limits = np.iinfo(image.dtype)
            found = np.rint(found).clip(limits.min, limits.max)
        return np.ascontiguousarray(found.astype(image.dtype))

    def _cut(self, x: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
        assert self._size is not None
        rest = [have - want for have, want in zip(x.shape[2:], self._size, strict=True)]
        if min(rest) < 0:
            raise DataError(f"an image of {x.shape[2]} x {x.shape[3]} has no part of {self._size[0]} x "
                            f"{self._size[1]}; write output_size_mode=\"resize\"")
        at = [int(random.integers(n + 1)) if self._mode == "randcrop" else n // 2 for n in rest]
        return x[:, :, at[0]:at[0] + self._size[0], at[1]:at[1] + self._size[1]]


def images_in(images: Any) -> Datastore:
    """An array of images as a datastore."""
    if getattr(images, "ndim", 0) not in (3, 4):
        raise TypeRefused(f"AugmentedImageDatastore takes a datastore of images or an array of them, not "
                          f"{type(images).__name__}, at {line_of(user_site())}; write "
                          "AugmentedImageDatastore((28, 28), gl.ImageDatastore(path))")
    return ArrayDatastore(images)


def bounds(name: str, given: Any, site: str) -> Range:
    """Two numbers in order, or an error."""
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not low <= high:
        raise ShapeError(f"AugmentedImageDatastore: {name}={given!r}, at {site}; write {name}=(low, high)")
    return low, high


def affine(angle: float, x_scale: float, y_scale: float) -> np.ndarray:
    """What maps (x, y) about the centre, y downwards: scaled, then turned counter-clockwise."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c * x_scale, s * y_scale], [-s * x_scale, c * y_scale]])


def resized(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Images (1, channels, height, width) in another size, bilinear; a smaller one averages, as Pillow's does."""
    return torch.ops.aten._upsample_bilinear2d_aa(x, list(size), False)


def moved(x: torch.Tensor, matrix: np.ndarray, shift: tuple[float, float], fill: float) -> torch.Tensor:
    """Images (1, channels, height, width) mapped about their centres and shifted, bilinear; `fill` outside."""
    height, width = x.shape[2:]
    inverse = torch.from_numpy(np.linalg.inv(matrix))
    ys = torch.arange(height, dtype=x.dtype, device=x.device) - (height - 1) / 2 - shift[1]
    xs = torch.arange(width, dtype=x.dtype, device=x.device) - (width - 1) / 2 - shift[0]
    places = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1) @ inverse.mT
    # -1 and 1 are the outer edges of the pixels
    scaled = places * (2 / torch.tensor([width, height], dtype=x.dtype, device=x.device))
    return torch.grid_sampler(x - fill, scaled[None], 0, 0, False) + fill


__all__ = ["AugmentedImageDatastore"]
