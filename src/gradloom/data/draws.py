"""Random numbers of data that depend on where they are drawn and on nothing else: a seed, the pass over the data, the
place in it.

So the order of a shuffle, and what a function draws for a mini-batch, are the same with and without background threads,
and in a run that goes on from a saved place.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..machine.random import generator, random_state, restore_random_state, seed


def drawn_seed() -> int:
    """A seed from this thread's generator, so that `gl.rng(0)` decides it."""
    return int(torch.randint(2 ** 53, (), generator=generator(), dtype=torch.int64, device="cpu"))


def seed_of(*key: int | str) -> int:
    """A seed of 63 bits that the key decides."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def permutation(count: int, *key: int | str) -> np.ndarray:
    """The integers from 0 to count - 1 in an order that the key decides."""
    return torch.randperm(count, generator=torch.Generator("cpu").manual_seed(seed_of(*key)), device="cpu").numpy()


@contextmanager
def drawing(*key: int | str) -> Iterator[None]:
    """Inside, this thread's generators start from what the key decides; afterwards they are as they were."""
    before = random_state()
    seed(seed_of(*key))
    try:
        yield
    finally:
        restore_random_state(before)


__all__ = ["drawing", "drawn_seed", "permutation", "seed_of"]
