"""The text of a tile: a function that each thread runs on its share of the blocks of rows, and the lines of a kernel
that start it, add up what threads have added up, and do the rows that are left."""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..recorder import Slot
from .compiling import PARALLEL, THREADS, Target, share_of
from .lanes import KINDS, SIZES
from .loops import Loop
from .places import Access
from .tiles import Tile

KEPT = 1 << 26  # bytes of what all threads keep for themselves
_ALIGN = 64
DECLARED = THREADS | {"declare i32 @llvm.umin.i32(i32, i32)", "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"}


class Blocks:
    """`seen`: of each group the roots that something else reads. `inner`: what nobody reads outside of the tile, of
    which threads keep a block. `start`: where in the workspace threads may keep that. `pointer` gives the name that an
    address has in the kernel, `named` that of a loop, `base` is the workspace's.

    `lines` are those of the kernel, `parts` functions of the module, `size` what is taken of the workspace.
    """

    def __init__(self, name: str, tile: Tile, seen: Sequence[Collection[int]], inner: dict[int, Slot], machine: Target,
                 start: int, base: str, pointer: Callable[[Access], str], named: Callable[[Loop], str]):
        self._name, self._tile, self._seen, self._machine = name, tile, seen, machine
        self._pointer, self._named, self._count = pointer, named, 0
        self._block = tile.block
        blocks, left = divmod(tile.count, self._block)
        self._done = blocks * self._block
        self._sums = tile.sums()
        far, self._mine = self._places(inner)
        self._sum_places: dict[Any, int] = {}
        for place, p in self._sums.items():
            self._sum_places[place] = far
            far += _aligned(p.span)
        threads = max(1, min(machine.threads, KEPT // max(far, 1)))
        self.size = far * threads
        self._known: dict[Any, str] = {}  # of memory that threads share: its name in the kernel
        self._shared: dict[str, int] = {}  # and where they find it
        inside = self._calls(self._block, "%mine", self._in_block)
        self.parts = [part_text(name, inside, len(self._shared), far, blocks)]
        own = f"%{name}"
        self.lines = [f"{own} = getelementptr i8, ptr {base}, i64 {start}",
                      f"{own}.data = alloca ptr, i64 {len(self._shared) + 1}"]
        if self._sums:
            self.lines.append(f"call void @llvm.memset.p0.i64(ptr {own}, i8 0, i64 {self.size}, i1 false)")
        for k, its in enumerate([*self._shared, own]):
            self.lines += [f"{own}.{k} = getelementptr ptr, ptr {own}.data, i64 {k}", f"store ptr {its}, ptr {own}.{k}"]
        self.lines += [f"{own}.most = call i32 @llvm.umin.i32(i32 %n, i32 {threads})",
                       f"call void @{PARALLEL}(ptr @{name}_part, ptr {own}.data, i32 {own}.most, i32 0)"]
        for place, p in self._sums.items():
            kind, end = KINDS[p.output.slot.dtype], self._where(p.output)
            self.parts.insert(0, gather_text(kind))
            self.lines.append(f"call void @llvm.memset.p0.i64(ptr {end}, i8 0, i64 {p.span}, i1 false)")
            its = self._further(self.lines, own, self._sum_places[place])
            given = f"ptr {end}, ptr {its}, i64 {p.numbers}, i64 {far}, i64 {threads}"
            self.lines.append(f"call void @gathered_{kind}({given})")
        self._sum_places = {}  # of the rows that are left there is one sum
        if left:
            self.lines += self._calls(left, own, self._behind)

    def _places(self, inner: dict[int, Slot]) -> tuple[int, dict[int, int]]:
        """Bytes of what a thread keeps of `inner`, and where each array is among them, used again as soon as it is
        free."""
        touched = [{a.slot.root for p in g.pieces for a in p.accesses()} for g in self._tile.groups]
        last = {root: k for k, its in enumerate(touched) for root in its}
        sizes = {root: _aligned(self._tile.stride(root) * self._block * SIZES[KINDS[s.dtype]])
                 for root, s in inner.items() if self._tile.stride(root) * self._tile.count == math.prod(s.shape)}
        total, found = 0, dict[int, int]()
        free: dict[int, list[int]] = {}
        for k, its in enumerate(touched):
            for root in sorted(its & sizes.keys() - found.keys()):
                places = free.get(sizes[root])
                if places:
                    found[root] = places.pop()
                else:
                    found[root], total = total, total + sizes[root]
            for root in its & found.keys():
                if last[root] == k:
                    free.setdefault(sizes[root], []).append(found[root])
        return total, found

    def _calls(self, rows: int, own: str, moved: Callable[[list[str], str, int], str]) -> list[str]:
        """The loops over so many rows, with a thread's own memory at `own`."""
        lines: list[str] = []
        for k, part in enumerate(self._tile.parts(rows)):
            loop = Loop(part, {*self._seen[k]}, self._machine, set(self._sums))
            names = []
            for operand in loop.operands:
                a, size = loop.given[operand.place], SIZES[KINDS[operand.slot.dtype]]
                if a.place in self._sum_places:
                    names.append(self._further(lines, own, self._sum_places[a.place]))
                elif a.slot.root in self._mine:
                    names.append(self._further(lines, own, self._mine[a.slot.root] + a.offset * size))
                else:
                    names.append(moved(lines, self._where(a), self._tile.row_of(k, a) * size))
            lines.append(f"call void @{self._named(loop)}({', '.join([f'ptr {n}' for n in names])})")
        return lines

    def _where(self, a: Access) -> str:
        key = a.slot.root, a.slot.number, a.offset
        if key not in self._known:
            self._known[key] = self._pointer(a)
        return self._known[key]

    def _further(self, lines: list[str], name: str, nbytes: int | str) -> str:
        self._count += 1
        lines.append(f"%{self._name}_{self._count} = getelementptr i8, ptr {name}, i64 {nbytes}")
        return f"%{self._name}_{self._count}"

    def _in_block(self, lines: list[str], name: str, row: int) -> str:
        """Memory that threads share, at the first row of a block."""
        place = self._shared.setdefault(name, len(self._shared))
        if not row:
            return f"%q{place}"
        self._count += 1
        far = f"%{self._name}_{self._count}"
        lines.append(f"{far} = mul i64 %b, {row * self._block}")
        return self._further(lines, f"%q{place}", far)

    def _behind(self, lines: list[str], name: str, row: int) -> str:
        """At the first row that is left."""
        return self._further(lines, name, row * self._done)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGN) * _ALIGN


def part_text(name: str, calls: Sequence[str], pointers: int, threads_bytes: int, blocks: int) -> str:
    """The function that each thread runs: its share of the blocks. `calls` are for block %b, with %q0, %q1, ... as the
    memory that threads share, and %mine, so many bytes of a thread's own."""
    lines = []
    for k in range(pointers + 1):
        lines += [f"%from{k} = getelementptr ptr, ptr %data, i64 {k}", f"%q{k} = load ptr, ptr %from{k}"]
    return "\n".join([
        f"define internal void @{name}_part(ptr %data) #0 {{", "entry:", *lines,
        *share_of(blocks), f"%far = mul i64 %me, {threads_bytes}",
        f"%mine = getelementptr i8, ptr %q{pointers}, i64 %far", "%some = icmp ult i64 %low, %high",
        "br i1 %some, label %loop, label %done", "loop:", "%b = phi i64 [ %low, %entry ], [ %then, %loop ]", *calls,
        "%then = add nuw nsw i64 %b, 1", "%more = icmp ult i64 %then, %high",
        "br i1 %more, label %loop, label %done", "done:", "ret void", "}\n"])


def gather_text(kind: str) -> str:
    """The function that adds what threads have added up to what is there."""
    given = "ptr %to, ptr %from, i64 %count, i64 %far, i64 %threads"
    return f"""define internal void @gathered_{kind}({given}) noinline #0 {{
entry:
br label %outer
outer:
%k = phi i64 [ 0, %entry ], [ %k1, %done ]
%o = mul i64 %k, %far
%mine = getelementptr i8, ptr %from, i64 %o
br label %inner
inner:
%i = phi i64 [ 0, %outer ], [ %i1, %inner ]
%p = getelementptr {kind}, ptr %mine, i64 %i
%q = getelementptr {kind}, ptr %to, i64 %i
%x = load {kind}, ptr %p
%y = load {kind}, ptr %q
%z = fadd {kind} %x, %y
store {kind} %z, ptr %q
%i1 = add nuw nsw i64 %i, 1
%more = icmp ult i64 %i1, %count
br i1 %more, label %inner, label %done
done:
%k1 = add nuw nsw i64 %k, 1
%again = icmp ult i64 %k1, %threads
br i1 %again, label %outer, label %end
end:
ret void
}}
"""


__all__ = ["DECLARED", "Blocks"]
