"""Plain walks with a direction for each row or column, in pieces that stay in cache."""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from ...core.trace import Node
from ...machine.dtypes import Tensor
from .meetings import pull, push

PIECE = 1 << 20  # bytes of the widest array of one walk


def pulled(between: Collection[Node], seeds: dict[Node, Tensor], targets: Sequence[Node],
           finite_only: bool = False) -> list[Tensor]:
    """Cotangents (directions, *shape) of the targets from seeds (directions, u.size) of the outputs; `finite_only` as
    of `pull`."""
    return _in_pieces(between, seeds, targets,
                      lambda given, lead: pull(given, targets, lead=lead, finite_only=finite_only))


def pushed(between: Collection[Node], seeds: dict[Node, Tensor], outputs: Sequence[Node]) -> list[Tensor]:
    """Tangents (directions, *shape) of the outputs along seeds (directions, x.size) of the inputs."""
    return _in_pieces(between, seeds, outputs, lambda given, lead: push(outputs, given, lead=lead))


def _in_pieces(between: Collection[Node], seeds: dict[Node, Tensor], nodes: Sequence[Node],
               walk: Callable[[dict[Node, Tensor], tuple[int, ...]], Sequence[Any]]) -> list[Tensor]:
    """What a walk finds of some nodes; `between` are those that it visits."""
    count = len(next(iter(seeds.values())))
    pieces = _pieces(between, count)
    found: list[Any] = [None] * len(nodes)
    for start, stop in pieces:
        given = {node: seed[start:stop].reshape(-1, *node.shape) for node, seed in seeds.items()}
        for k, (node, part) in enumerate(zip(nodes, walk(given, (stop - start,)), strict=True)):
            if part is None:  # it meets nothing but zeros
                continue
            if len(pieces) == 1:
                found[k] = part
                continue
            if found[k] is None:
                found[k] = part.new_zeros((count, *node.shape))
            found[k][start:stop] = part
    device = next(iter(seeds.values())).device
    return [torch.zeros((count, *node.shape), dtype=node.dtype, device=device) if whole is None else whole
            for node, whole in zip(nodes, found, strict=True)]


def _pieces(between: Collection[Node], count: int) -> list[tuple[int, int]]:
    """Directions in groups of about one size, whose widest array is about as large as a piece.

    What is made of a variable is not passed on: it is written once, however wide it is.
    """
    widest = max([math.prod(node.shape) * node.dtype.itemsize for node in between
                  if node.shape is not None and node.parents], default=1)
    groups = min(max(round(count * widest / PIECE), 1), count)
    return [(k * count // groups, (k + 1) * count // groups) for k in range(groups)]


__all__ = ["pulled", "pushed"]
