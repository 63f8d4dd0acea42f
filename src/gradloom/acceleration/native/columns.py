"""A formula for many arrays side by side, number by number, as one kernel for arrays of every size.

What a solver computes of all parameters, their gradients and averages is such a formula. A kernel of torch's for it
writes over what it reads; ours reads some columns of arrays, and writes others.
"""
from __future__ import annotations

import inspect
import logging
from array import array
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch

from ...machine.caches import remembered
from ...machine.dtypes import Tensor
from ...machine.layouts import laid_out_as
from ...machine.questions import read
from .compiling import PARALLEL, THREADS, Compiled, Target, available, target
from .lanes import KINDS, SIZES, Lanes, Value
from .loops import ATTRIBUTES
from .memory import Memory

LARGE = 1 << 13  # numbers from which on a kernel lets Python's lock go
SHARED = 1 << 15  # numbers from which on threads share the work

# A thread's part of every array; the last vector, if not whole, is the last thread's.
_TEXT = """define internal void @part(ptr %table, i64 %count, ptr %numbers, i64 %me, i64 %all) #0 {{
entry:
{given}
%after = add i64 %me, 1
%some = icmp ne i64 %count, 0
br i1 %some, label %array, label %done
array:
%k = phi i64 [ 0, %entry ], [ %k2, %arrayend ]
{pointers}
%blocks = udiv i64 %n, {width}
%l = mul i64 %blocks, %me
%low = udiv i64 %l, %all
%h = mul i64 %blocks, %after
%high = udiv i64 %h, %all
%any = icmp ult i64 %low, %high
br i1 %any, label %vector, label %rest
vector:
%b = phi i64 [ %low, %array ], [ %b2, %vector ]
%i = mul nuw nsw i64 %b, {width}
{whole}
%b2 = add nuw nsw i64 %b, 1
%more = icmp ult i64 %b2, %high
br i1 %more, label %vector, label %rest
rest:
%j = mul nuw nsw i64 %blocks, {width}
%left = sub i64 %n, %j
%mine = icmp eq i64 %after, %all
%over = icmp ne i64 %left, 0
%both = and i1 %mine, %over
br i1 %both, label %last, label %arrayend
last:
{mask}
{some}
br label %arrayend
arrayend:
%k2 = add nuw nsw i64 %k, 1
%again = icmp ult i64 %k2, %count
br i1 %again, label %array, label %done
done:
ret void
}}

define void @alone(ptr %table, ptr %count, ptr %numbers) #0 {{
%c = ptrtoint ptr %count to i64
call void @part(ptr %table, i64 %c, ptr %numbers, i64 0, i64 1)
ret void
}}
"""
_THREADS = """
define internal void @shared(ptr %data) #0 {{
%t = load ptr, ptr %data
%at1 = getelementptr ptr, ptr %data, i64 1
%c = load i64, ptr %at1
%at2 = getelementptr ptr, ptr %data, i64 2
%n = load ptr, ptr %at2
%thread = call i32 @omp_get_thread_num()
%team = call i32 @omp_get_num_threads()
%me = zext i32 %thread to i64
%all = zext i32 %team to i64
call void @part(ptr %t, i64 %c, ptr %n, i64 %me, i64 %all)
ret void
}}

define void @together(ptr %table, ptr %count, ptr %numbers, ptr %threads) #0 {{
%data = alloca ptr, i64 3
store ptr %table, ptr %data
%at1 = getelementptr ptr, ptr %data, i64 1
store ptr %count, ptr %at1
%at2 = getelementptr ptr, ptr %data, i64 2
store ptr %numbers, ptr %at2
%t = ptrtoint ptr %threads to i32
call void @{parallel}(ptr @shared, ptr %data, i32 %t, i32 0)
ret void
}}
"""


Formula = Callable[..., tuple[Any, ...]]
_PLAIN = {Tensor}  # no subclass: it may hold no numbers
_is_cpu = attrgetter("is_cpu")


class Columns:
    """The kernel of a formula, for one type of numbers. `formula` takes a value of each column that is read, then so
    many `numbers`, all by place, and returns a value for each of so many columns that are written."""

    def __init__(self, formula: Formula, dtype: torch.dtype, writes: int, numbers: int):
        its = target()
        self.threads = its.threads
        self.reads = len(inspect.signature(formula).parameters) - numbers
        code = Compiled(_text(formula, KINDS[dtype], self.reads, writes, numbers, its))
        self._small = code.function("alone", 3, True)
        self._alone = code.function("alone", 3, False)
        self._together = code.function("together", 4, False) if its.threads > 1 else None

    def __call__(self, tensors: Sequence[Tensor], written: Sequence[Sequence[Tensor]],
                 numbers: Sequence[float]) -> None:
        """Write columns of arrays, from those in `tensors`, one column after the other. The arrays of a row are of one
        size, and all arrays of the type and without gaps."""
        count = len(written[0])
        sizes = list(map(Tensor.numel, tensors[:count]))
        addresses = [address for column in (tensors, *written) for address in map(Tensor.data_ptr, column)]
        table = array("Q", addresses + sizes)
        given = array("d", numbers)
        at, of = table.buffer_info()[0], given.buffer_info()[0]
        total, threads = sum(sizes), min(torch.get_num_threads(), self.threads)
        if self._together is not None and total >= SHARED and threads > 1:
            self._together(at, count, of, threads)
        else:
            (self._small if total < LARGE else self._alone)(at, count, of)


def columns_of(formula: Formula, tensors: Sequence[Tensor], writes: int, numbers: int) -> Columns | None:
    """The kernel of a formula for these columns of arrays in a row, if there is one."""
    dtype = tensors[0].dtype
    if (dtype not in KINDS or not available() or set(map(type, tensors)) != _PLAIN
            or not all(map(_is_cpu, tensors))):
        return None
    return _compiled(formula, dtype, writes, numbers)


def side_by_side(tensors: Sequence[Tensor], count: int) -> Sequence[Tensor]:
    """Columns of arrays in a row, those of a row laid out alike and without gaps: as the first would be if it were
    made anew. What lies otherwise is copied."""
    if all(map(Tensor.is_contiguous, tensors)):
        return tensors
    models = [torch.empty_like(x) for x in tensors[:count]]
    return laid_out_as(models * (len(tensors) // count), tensors)


@remembered(16)
def _compiled(formula: Formula, dtype: torch.dtype, writes: int, numbers: int) -> Columns | None:
    """A kernel that gave what the formula gives, on numbers of which some fill lanes and some do not."""
    try:
        its = Columns(formula, dtype, writes, numbers)
        if _right(its, formula, dtype, writes, numbers):
            return its
        reason = "it gave other numbers than rounding explains; please report it"
    except Exception as error:  # whatever this machine lacks: torch's own kernels stay
        reason = f"{type(error).__name__}: {error}"
    logging.getLogger("gradloom").warning("a formula was not compiled, torch's kernels run instead: %s", reason)
    return None


def _right(its: Columns, formula: Formula, dtype: torch.dtype, writes: int, numbers: int) -> bool:
    stream = torch.Generator("cpu").manual_seed(0)
    sizes = 3, 0, 1, 67

    def drawn(*shape: int) -> Tensor:
        return (0.5 + torch.rand(shape, dtype=torch.float64, generator=stream, device="cpu")).to(dtype)

    given = read(drawn(numbers))
    columns = [[drawn(n) for n in sizes] for _ in range(its.reads)]
    written = [[torch.empty_like(x) for x in columns[0]] for _ in range(writes)]
    its([x for column in columns for x in column], written, given)
    truth = formula(*[Exact(torch.cat(column).double()) for column in columns], *given)
    room = 64 * torch.finfo(dtype).eps
    return all([torch.allclose(torch.cat(column).double(), its.numbers, room, room)
                for column, its in zip(written, truth, strict=True)])


class Exact:
    """A value of a formula in double precision, as torch computes it."""

    def __init__(self, numbers: Tensor):
        self.numbers = numbers

    def __add__(self, other: Any) -> Exact:
        return Exact(self.numbers + _plain(other))

    def __sub__(self, other: Any) -> Exact:
        return Exact(self.numbers - _plain(other))

    def __mul__(self, other: Any) -> Exact:
        return Exact(self.numbers * _plain(other))

    def __truediv__(self, other: Any) -> Exact:
        return Exact(self.numbers / _plain(other))

    def times_plus(self, factor: Any, term: Any) -> Exact:
        return self * factor + term

    def intrinsic(self, name: str) -> Exact:
        return Exact(getattr(self.numbers, name)())


def _plain(x: Any) -> Any:
    return x.numbers if isinstance(x, Exact) else x


def _text(formula: Formula, kind: str, reads: int, writes: int, numbers: int,
          machine: Target) -> str:
    width, size = machine.width // (SIZES[kind] // 4), SIZES[kind]
    lanes = Lanes(width, machine.functions)
    memory = Memory(lanes)

    def block(lines: Callable[[], Any]) -> str:
        """The lines that something writes."""
        lanes.lines = []
        lines()
        return "\n".join(lanes.lines)

    every: list[Value] = []

    def given() -> None:
        for k in range(numbers):
            at = lanes.line(f"getelementptr double, ptr %numbers, i64 {k}")
            one = lanes.line(f"load double, ptr {at}")
            if kind == "float":
                one = lanes.line(f"fptrunc double {one} to float")
            every.append(lanes.spread(kind, one))

    def pointers() -> None:
        for c in range(reads + writes + 1):
            row = lanes.line(f"mul i64 %count, {c}")
            place = lanes.line(f"add i64 {row}, %k")
            at = lanes.line(f"getelementptr i64, ptr %table, i64 {place}")
            lanes.lines.append(f"%{f'a{c}' if c < reads + writes else 'n'} = load "
                               f"{'ptr' if c < reads + writes else 'i64'}, ptr {at}")

    def step(i: str, mask: str | None) -> None:
        its = [memory.load(memory.at(f"%a{c}", size, (i, 1)), 1, kind, mask) for c in range(reads)]
        for c, value in enumerate(formula(*its, *every), reads):
            memory.store(value, memory.at(f"%a{c}", size, (i, 1)), 1, mask)

    def mask() -> None:
        places = ", ".join([f"i64 {k}" for k in range(width)])
        most = lanes.spread("i64", "%left").name
        lanes.lines.append(f"%mask = icmp ult {lanes.type('i64')} <{places}>, {most}")

    text = _TEXT.format(width=width, given=block(given), pointers=block(pointers), mask=block(mask),
                        whole=block(lambda: step("%i", None)), some=block(lambda: step("%j", "%mask")))
    declared = set(lanes.declared)
    if machine.threads > 1:
        text += _THREADS.format(parallel=PARALLEL)
        declared |= THREADS
    return "\n".join([*sorted(declared), text, ATTRIBUTES])


__all__ = ["Columns", "columns_of", "side_by_side"]
