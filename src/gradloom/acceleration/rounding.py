"""How far a program's results move where its calls round otherwise: what two ways to compute them may differ by."""
from __future__ import annotations

from typing import Any

import torch

from ..machine.dtypes import Tensor
from ..machine.questions import decided
from .comparing import generators, leaves_alike, put_back
from .entry import MISS, Entry
from .program import Program
from .recorder import filled

RUNS = 4
ROUNDINGS = 2.0  # of its type's eps, by which a number that a call reads is moved at most
ROOM = 32.0  # times the movement that was seen


class _Disturbed:
    """A program's calls, each of which reads numbers that are moved by a few roundings: of its own, since what one
    call reads twice in another order, it rounds twice. Sums so move by what is added up, also where nothing is left of
    it, and what was float32 once moves by float32's roundings."""

    def __init__(self, program: Program, seed: int):
        self._program = program
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        program = self._program
        written = {s.root for step in program.steps for s in step.writes}
        values: dict[int, Any] = {n: x.clone() if n in written else x for n, x in program.constants.items()}
        values.update({s.number: x.clone() if s.root in written else x
                       for s, x in zip(program.inputs, inputs, strict=True)})
        for step in program.steps:
            if step.guard:
                continue
            its = values
            roots = {s.root for s in step.reads}
            if not step.writes and not any([s.root in roots for s in step.outputs]):  # no views, nothing in place
                its = {**values, **{s.number: self._moved(values[s.number]) for s in step.reads}}
            result = step.function(*filled(step.args, its), **filled(step.kwargs, its))
            values.update({s.number: x for s, x in step.made(result)})
        return tuple([self._moved(values[s.number]) for s in program.outputs])

    def _moved(self, x: Tensor) -> Tensor:
        if x.layout is not torch.strided or not (x.dtype.is_floating_point or x.dtype.is_complex):
            return x
        real = x.dtype.to_real()
        by = torch.rand(x.shape, dtype=torch.float64, generator=self._generator, device="cpu") * 2 - 1
        factor = 1 + (ROUNDINGS * torch.finfo(real).eps * by).to(device=x.device)
        return torch.empty_like(x).copy_(x * factor.to(real))


def by_rounding(entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any], found: Any, other: Any,
                state: Any) -> bool:
    """Whether another result of an entry's call lies as near to what was found as results do that are rounded
    otherwise. `state`: where the generators were at the call's begin, None where it draws nothing."""
    pairs = leaves_alike(other, found)
    if pairs is None:
        return False
    far = [torch.zeros(q.shape, dtype=torch.float64, device="cpu") for _, q in pairs]
    after = generators()
    try:
        for seed in range(RUNS):
            put_back(after if state is None else state)
            moved = entry.with_run(_Disturbed(entry.program, seed))(args, kwargs)
            its = leaves_alike(moved, found) if moved is not MISS else None
            if its is None:
                return False
            far = [torch.maximum(a, _apart(p, q)) for a, (p, q) in zip(far, its, strict=True)]
    finally:
        put_back(after)
    return all([_within(p, q, a) for a, (p, q) in zip(far, pairs, strict=True)])


def _apart(p: Tensor, q: Tensor) -> Tensor:
    """How far two arrays are apart, 0 where that is no number."""
    if not (q.dtype.is_floating_point or q.dtype.is_complex):
        return torch.zeros(q.shape, dtype=torch.float64, device="cpu")
    return (p - q).abs().to(device="cpu", dtype=torch.float64).nan_to_num(0.0, 0.0, 0.0)


def _within(p: Tensor, q: Tensor, far: Tensor) -> bool:
    if not (q.dtype.is_floating_point or q.dtype.is_complex):
        return torch.equal(p, q)
    # one number may have been moved little by chance
    room = ROOM * (far + (far.median() if far.numel() else 0.0))
    same = (p == q) | (p != p) & (q != q) | torch.isfinite(p) & torch.isfinite(q) & (
        (p - q).abs().double() <= room.to(q.device))
    return decided(same.all())


__all__ = ["by_rounding"]
