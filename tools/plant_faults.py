"""Do the generated checks notice a wrong rule? Each rule of each operation is made wrong, one at a time: `make faults`.

A fault multiplies by 1.001 what one stated rule gives (a partial, one for complex numbers, a transpose, a monomial, a
push, a pull), one fused pull, or the action of an operation on a structured Jacobian. The operation's own cases are
then checked as the tests check them, in this process, until an assertion fails. A fault that no check notices is
listed, and the exit status is 1.

    python tools/plant_faults.py                      every operation
    python tools/plant_faults.py --only tanh conv     operations whose names begin so
    python tools/plant_faults.py --every 20           each twentieth operation
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), *(str(TESTS / floor) for floor in ("operations", "blocks"))]

import operation_checks as checks  # noqa: E402
import pytest  # noqa: E402
from block_checks import check_block  # noqa: E402
from operation_table import CHECKED, all_cases  # noqa: E402

from gradloom.blocks.block import Block  # noqa: E402
from gradloom.core.kinds.elementwise import Elementwise  # noqa: E402
from gradloom.core.kinds.general import General  # noqa: E402
from gradloom.core.kinds.multilinear import Multilinear  # noqa: E402

FACTOR = 1.001
STATED_WALKS = [getattr(kind, walk) for kind in (Elementwise, Multilinear, General) for walk in ("push", "pull")]


@dataclass(frozen=True)
class Fault:
    """One rule of one operation, and how it is made wrong."""

    operation: Any
    kind: str
    where: str
    plant: Callable[[pytest.MonkeyPatch], None]

    def __str__(self) -> str:
        return f"{self.operation.name}: {self.kind}{self.where and ' ' + self.where}"


# ----- what is made wrong -------------------------------------------------------------------------------------------


def off(found: Any) -> Any:
    """What a rule gives, times 1.001."""
    if isinstance(found, tuple | list):
        return type(found)(off(x) for x in found)
    if type(found) is Block:
        return found.times(FACTOR)  # not a product, which may be what is made wrong
    return None if found is None else found * FACTOR


def wrong(rule: Any) -> Any:
    """The same rule, reading the same, off by the factor; a number too."""
    if hasattr(rule, "call"):
        other, call = copy.copy(rule), rule.call
        other.call = lambda *given: off(call(*given))
        return other
    return (lambda *given, **options: off(rule(*given, **options))) if callable(rule) else rule * FACTOR


def at(operation: Any, attribute: str, key: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """Plants in an entry of a list or a dictionary that the operation holds."""
    def plant(patch: pytest.MonkeyPatch) -> None:
        held = copy.copy(getattr(operation, attribute))
        held[key] = wrong(held[key])
        patch.setattr(operation, attribute, held)
    return plant


def in_whole(operation: Any, attribute: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(operation, attribute, wrong(getattr(operation, attribute)))


def in_partial(operation: Any, k: int) -> Callable[[pytest.MonkeyPatch], None]:
    """In both forms of a partial: the rule, and the pull on tensors that was made from it."""
    def plant(patch: pytest.MonkeyPatch) -> None:
        at(operation, "partials", k)(patch)
        if operation.raw_pulls is not None and operation.fused(k) is None:
            at(operation, "raw_pulls", k)(patch)
    return plant


def in_fused(operation: Any, k: int) -> Callable[[pytest.MonkeyPatch], None]:
    """In both forms of the fused pull of an elementwise operation."""
    def plant(patch: pytest.MonkeyPatch) -> None:
        (at(operation, "fused_pull", k) if type(operation.fused_pull) is list
         else in_whole(operation, "fused_pull"))(patch)
        if operation.raw_pulls is not None:
            at(operation, "raw_pulls", k)(patch)
    return plant


def in_complex_partial(operation: Any, k: int, which: int) -> Callable[[pytest.MonkeyPatch], None]:
    def plant(patch: pytest.MonkeyPatch) -> None:
        pairs = [list(pair) for pair in operation.complex_partials]
        pairs[k][which] = wrong(pairs[k][which])
        patch.setattr(operation, "complex_partials", [tuple(pair) for pair in pairs])
    return plant


def in_action(operation: Any) -> Callable[[pytest.MonkeyPatch], None]:
    """In what the operation makes of a structured Jacobian."""
    def plant(patch: pytest.MonkeyPatch) -> None:
        act = Block.acted_on
        patch.setattr(Block, "acted_on", lambda block, other, inputs, params:
                      (off if other is operation else lambda found: found)(act(block, other, inputs, params)))
    return plant


# ----- every rule there is ------------------------------------------------------------------------------------------


def is_none(partial: Any) -> bool:
    """A partial declared as the number 0: there is nothing to multiply."""
    return not callable(partial) and not hasattr(partial, "call") and partial == 0


def faults_of(operation: Any) -> Iterator[Fault]:
    """A fault for each rule of an operation."""
    def fault(kind: str, where: str, plant: Any) -> Fault:
        return Fault(operation, kind, where, plant)

    own = [walk for walk in ("push", "pull") if getattr(type(operation), walk) not in STATED_WALKS]
    if isinstance(operation, Elementwise):
        for k, name in enumerate(operation.inputs):
            # else no walk reads it: it says that there is a derivative
            if not is_none(operation.partials[k]) and len(own) < 2:
                yield fault("partial", name, in_partial(operation, k))
            if operation.fused(k) is not None:
                yield fault("fused pull", name, in_fused(operation, k))
            for which, pair in enumerate(operation.complex_partials[k] if operation.complex_partials else ()):
                if not is_none(pair):
                    yield fault("complex partial", f"{name}, {'pq'[which]}", in_complex_partial(operation, k, which))
    elif isinstance(operation, Multilinear):
        fused = operation.fused_pull
        for name in operation.transposes:
            yield fault("transpose", name, at(operation, "transposes", name))
            if type(fused) is dict and fused[name] is not operation.transposes[name]:
                yield fault("fused pull", name, at(operation, "fused_pull", name))
        if fused and type(fused) is not dict:
            yield fault("fused pull", "", in_whole(operation, "fused_pull"))
        for term in operation.monomials:
            yield fault("monomial", " ".join(term), at(operation, "monomials", term))
    else:
        for walk in ("push", "pull"):
            yield fault(walk, "", in_whole(operation, f"{walk}_rule" if isinstance(operation, General) else walk))
        if getattr(operation, "fused_pull", None) is not None:
            yield fault("fused pull", "", in_whole(operation, "fused_pull"))
    # walks of a class of its own
    for walk in own if isinstance(operation, Elementwise | Multilinear | General) else ():
        yield fault(f"own {walk}", "", in_whole(operation, walk))


def acts(operation: Any) -> bool:
    """Whether the operation comes to act on a structured Jacobian in its own check."""
    found = False
    act = Block.acted_on

    def noted(block: Any, other: Any, inputs: Any, params: Any) -> Any:
        nonlocal found
        found = found or other is operation
        return act(block, other, inputs, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Block, "acted_on", noted)
        for case in all_cases(operation):
            check_block(case)
            if found:
                break
    return found


# ----- is it noticed? -----------------------------------------------------------------------------------------------


def noticed(fault: Fault) -> str | None:
    """The check that notices a fault, None where none does."""
    with pytest.MonkeyPatch.context() as patch:
        fault.plant(patch)
        for check in (check_block,) if fault.kind == "action" else (checks.check_adjoint, checks.check_push,
                                                                    _fused, check_block):
            if check is _fused and getattr(fault.operation, "fused_pull", None) is None:
                continue
            for case in all_cases(fault.operation):
                try:
                    check(case)
                except AssertionError:
                    return check.__name__.strip("_")
    return None


def _fused(case: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        checks.check_fused(case, patch)


def every_fault(only: tuple[str, ...] = (), every: int = 1) -> Iterator[Fault]:
    """All faults of each N-th operation, or of those whose names begin with one of `only`."""
    for name, operation in itertools.islice(CHECKED.items(), 0, None, every):
        if not only or name.startswith(only):
            yield from faults_of(operation)
            if acts(operation):
                yield Fault(operation, "action", "", in_action(operation))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="operations whose names begin so")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th operation")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start, planted, caught = time.perf_counter(), Counter[str](), Counter[str]()
    missed, failed = [], []
    for fault in every_fault(tuple(options.only), options.every):
        planted[fault.kind] += 1
        try:
            found = noticed(fault)
        except Exception as error:  # it cannot be planted, or what it makes does not fit: not noticed by a check
            failed.append(f"{fault}: {type(error).__name__}: {str(error)[:120]}")
            continue
        if found is None:
            missed.append(str(fault))
        else:
            caught[fault.kind] += 1
    print(f"{'kind':<18}{'planted':>8}{'caught':>8}")
    for kind in planted:
        print(f"{kind:<18}{planted[kind]:>8}{caught[kind]:>8}")
    print(f"{'together':<18}{planted.total():>8}{caught.total():>8}   in {time.perf_counter() - start:.0f} s")
    for line in missed:
        print(f"not noticed: {line}")
    for line in failed:
        print(f"not checked: {line}")
    return bool(missed or failed)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
