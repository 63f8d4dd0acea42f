"""Reading 10,000 gray images of 28x28 (PNG, ten folders) in mini-batches of 128, each once, in float32, and their
classes: an ImageDatastore through minibatchqueue, in processes and in threads, beside torch's DataLoader, all with two
workers. Images as small as these are read by Python, whose lock threads wait for: processes are what they want.

DataLoader's workers are processes, which start anew in each pass as they do by default; with persistent_workers=True
they stay, which is measured too. All read with Pillow. The numbers that are compared are the sum of each image by its
class, whatever the order.
"""
from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import numpy as np
import torch

from .harness import Benchmark, Contender

COUNT, CLASSES, SIZE, BATCH, WORKERS = 10_000, 10, 28, 128, 2


def folder() -> str:
    """The images, made once a process: digits would look so, dark with some bright pixels."""
    if not hasattr(folder, "path"):
        from PIL import Image

        path = tempfile.mkdtemp(prefix="images")
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        rng = np.random.default_rng(0)
        for k in range(CLASSES):
            os.mkdir(os.path.join(path, str(k)))
        for k in range(COUNT):
            bright = rng.random((SIZE, SIZE)) > 0.8
            image = (rng.integers(1, 256, (SIZE, SIZE)) * bright).astype(np.uint8)
            Image.fromarray(image).save(os.path.join(path, str(k % CLASSES), f"{k}.png"))
        folder.path = path  # type: ignore[attr-defined]
    return folder.path  # type: ignore[attr-defined,no-any-return]


class Sums:
    """What a pass must come to: how many images of each class, and the sum of their pixels."""

    def __init__(self) -> None:
        self.counts, self.sums = np.zeros(CLASSES), np.zeros(CLASSES)

    def add(self, x: np.ndarray, t: np.ndarray) -> None:
        self.counts += np.bincount(t, minlength=CLASSES)
        self.sums += np.bincount(t, x.reshape(len(t), -1).sum(1, dtype=np.float64), CLASSES)

    def arrays(self) -> list[np.ndarray]:
        return [self.counts, self.sums]


# gradloom

def gradloom(workers: int, processes: bool = False):
    def setup():
        import gradloom as gl

        queue = gl.minibatchqueue(gl.ImageDatastore(folder()), BATCH, workers=workers, processes=processes)

        def read():
            found = Sums()
            queue.shuffle()
            for x, t in queue:
                found.add(np.asarray(x), np.asarray(t))
            return found

        return read

    return setup


# torch

class Images(torch.utils.data.Dataset):
    """What people write: the files and classes of the folders, each image opened with Pillow."""

    def __init__(self, path: str):
        self.items = [(os.path.join(path, name, file), k) for k, name in enumerate(sorted(os.listdir(path)))
                      for file in sorted(os.listdir(os.path.join(path, name)))]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, k: int):
        from PIL import Image

        path, label = self.items[k]
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image, dtype=np.float32))[None], label


def loader(**options):
    def setup():
        batches = torch.utils.data.DataLoader(Images(folder()), BATCH, shuffle=True, num_workers=WORKERS, **options)

        def read():
            found = Sums()
            for x, t in batches:
                found.add(x.numpy(), t.numpy())
            return found

        return read

    return setup


def reference() -> list[np.ndarray]:
    """Each image by itself."""
    from PIL import Image

    found = Sums()
    for k in range(COUNT):
        with Image.open(os.path.join(folder(), str(k % CLASSES), f"{k}.png")) as image:
            found.add(np.asarray(image)[None], np.array([k % CLASSES]))
    return found.arrays()


def benchmark() -> Benchmark:
    return Benchmark(
        "image_reading",
        f"{COUNT:,} images of {SIZE}x{SIZE} (PNG) in mini-batches of {BATCH}, shuffled, {WORKERS} workers",
        [
            Contender("gradloom", gradloom(WORKERS, True), "gradloom", target=1.0, numbers=Sums.arrays),
            Contender("gradloom, threads", gradloom(WORKERS), "information", numbers=Sums.arrays),
            Contender("gradloom, no workers", gradloom(0), "information", numbers=Sums.arrays),
            Contender("torch DataLoader", loader(), numbers=Sums.arrays),
            Contender("torch DataLoader, persistent workers", loader(persistent_workers=True), numbers=Sums.arrays),
        ],
        reference, tolerance=1e-6)
