"""A group as one function of LLVM's: loops over its shape, the last axis in lanes, the first shared by threads."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..recorder import Slot
from .compiling import PARALLEL, THREADS, Target, share_of
from .groups import Group
from .lanes import KINDS, SIZES, Lanes, NotFused, Value, literal
from .memory import Memory
from .places import Access, Part, Piece, Shape

BLOCK = 4096  # elements that are added up in lanes before they are added to what was
ROWS = 64  # rows that are added up in one go
WORK = 1 << 17  # places times pieces from which on threads share a loop
PRIVATE = 1 << 18  # bytes of the sums that threads keep for themselves
ATTRIBUTES = 'attributes #0 = { nounwind "min-legal-vector-width"="512" "prefer-vector-width"="512" }\n' \
             'attributes #1 = { nounwind willreturn memory(none) }\n'
REGISTERS = 12, 24  # vectors of sums that are kept at once, where a machine has 16 vector registers, and 32
JAM = 8  # rows of a result that are added up together
Offsets = list[tuple[str, int, int]]  # (index, axis, elements of the axis that it counts)
Dims = list[tuple[int, int, int]]  # (size, axis, elements of the axis in one step)


class Nest(NamedTuple):
    """Loops over a part of a shape. In the innermost one but the last axis, so many rows along `axis` are done
    together: what they read in common is read once, and their sums do not wait for each other."""

    offsets: Offsets
    dims: Dims
    rows: int = 1
    axis: int = 0


class Loop:
    """The text of a group's function. `stored`: roots that are read outside of the group. `operands`: the memory whose
    addresses it takes, in order; then, where it is `parallel`, how many threads there may be. Of a part of a tile
    (`adding`) the sums at these places are added to what is there, and no threads are started."""

    def __init__(self, group: Group | Part, stored: set[int], machine: Target, adding: set[Any] | None = None):
        self.lanes = Lanes(machine.width, machine.functions)
        self._memory = Memory(self.lanes)
        self.operands: list[Access] = []
        self._held: list[str] = []  # memory of the function's own, taken once
        self._private: dict[Any, str] = {}  # of a place that is added up to: a thread's own memory
        self._stored, self._pieces, self._labels = stored, group.pieces, 0
        self.given: dict[Any, Access] = {}  # of a place: the access as the group has it, with all axes
        shape = self._collapse()
        summed = [p for p in self._pieces if p.reduces]
        self._along = bool(summed) and summed[0].output.strides[-1] == 0  # sums along the last axis
        large = math.prod(shape) * len(self._pieces) >= WORK and machine.threads > 1 and adding is None
        nests = self._nests(shape, bool(summed) or large and len(shape) == 1)
        shared = [p for p in summed if p.output.strides[nests[0].dims[0][1]] == 0]  # to which several threads add
        private = sum([p.span for p in shared]) * machine.threads
        self.parallel = (large and len(nests[0].dims) > 1 and nests[0].dims[0][0] >= 2 * machine.threads
                         and private <= PRIVATE)
        added = {p.output.place for p in summed if adding and self.given[p.output.place].place in adding}
        self._once = self._added_once(shape) - {p.output.place for p in shared if self.parallel} - added
        for p in summed:
            if p.output.place not in self._once:
                if p.gaps:
                    raise NotFused("sums with gaps between them")
                if p.output.place not in added:
                    self._memory.cleared(self._pointer(p.output), p.span)
        self._part = ""
        if self.parallel:
            self._shared_out(nests.pop(0), shared, machine.threads)
        for nest in nests:
            self._nest(nest)
        self.lanes.lines.append("ret void")
        self._lines = [*self._held, *self.lanes.lines]

    def text(self) -> str:
        """Its functions, under NAME."""
        given = ", ".join([f"ptr %a{k}" for k in range(len(self.operands))] + ["i32 %threads"] * self.parallel)
        return self._part + "\n".join([f"define internal void @NAME({given}) noinline #0 {{", "entry:", *self._lines,
                                       "}\n"])

    # ----- threads -----

    def _shared_out(self, nest: Nest, shared: list[Piece], threads: int) -> None:
        """The loops of a nest in a function of their own, each thread a part of the first axis."""
        before, held = self.lanes.lines, self._held
        self.lanes.lines, self._held = [], []
        sizes = {p.output.place: p.span for p in shared}
        self._private = {place: f"%mine{k}" for k, place in enumerate(sizes)}
        self._nest(nest, part=True)
        body, self.lanes.lines, self._held, self._private = [*self._held, *self.lanes.lines], before, held, {}
        count = len(self.operands)
        header = []
        for k in range(count + len(sizes)):
            header += [f"%from{k} = getelementptr ptr, ptr %data, i64 {k}",
                       f"%{'a' if k < count else 'all'}{k if k < count else k - count} = load ptr, ptr %from{k}"]
        header += share_of(nest.dims[0][0])
        for k, size in enumerate(sizes.values()):
            header += [f"%far{k} = mul i64 %me, {size}", f"%mine{k} = getelementptr i8, ptr %all{k}, i64 %far{k}"]
        self._part = "\n".join(["define internal void @NAME_part(ptr %data) #0 {", "entry:", *header, *body,
                                "ret void", "}\n\n"])
        self.lanes.declared |= THREADS | {"declare i32 @llvm.umin.i32(i32, i32)"}
        every = [self._own(f"i8, i64 {size * threads}") for size in sizes.values()]
        for name, size in zip(every, sizes.values(), strict=True):
            self._memory.cleared(name, size * threads)
        data = self._own(f"ptr, i64 {count + len(sizes)}")
        for k, name in enumerate([*[f"%a{k}" for k in range(count)], *every]):
            self._do(f"store ptr {name}, ptr {self._line(f'getelementptr ptr, ptr {data}, i64 {k}')}")
        most = self._line(f"call i32 @llvm.umin.i32(i32 %threads, i32 {threads})")
        self._do(f"call void @{PARALLEL}(ptr @NAME_part, ptr {data}, i32 {most}, i32 0)")
        for name, p in zip(every, shared, strict=True):
            self._gathered(name, p, threads)

    def _gathered(self, name: str, p: Piece, threads: int) -> None:
        """What each thread added up for itself, added up."""
        kind, count, there = KINDS[p.output.slot.dtype], p.numbers, self._pointer(p.output)

        def thread(k: str) -> None:
            mine = self._memory.at(name, SIZES[kind], (k, count))
            self._vectors(count, lambda i, mask: self._added_to(there, mine, (i, 1), kind, mask))

        self._loop(threads, thread)

    def _added_to(self, there: str, here: str, term: tuple[str, int], kind: str, mask: str | None,
                  stride: int = 1, whole: bool = False, once: bool = False) -> None:
        """Some lanes of a row of sums added to what was, if there was anything. `whole`: all lanes of the row may be
        read."""
        index, far = term
        target = self._memory.at(there, SIZES[kind], (index, far))
        total = self._memory.load(self._memory.at(here, SIZES[kind], (index, 1)), 1, kind, None if whole else mask)
        if not once:
            total = self._memory.load(target, stride, kind, mask) + total
        self._memory.store(total, target, stride, mask)

    # ----- shape -----

    def _collapse(self) -> Shape:
        """Neighbouring axes that are one for everything become one."""
        shape, before = self._pieces[0].shape, self._pieces
        sizes: Shape = (1,)
        if not shape:
            self._pieces = [_over(p, (1,), lambda a: (1,)) for p in before]
        else:
            every = [a.strides for p in before for a in p.accesses()]
            kept = [k for k in range(len(shape)) if k == len(shape) - 1
                    or any([s[k] != s[k + 1] * shape[k + 1] for s in every])]
            sizes = tuple([math.prod(shape[a + 1:b + 1]) for a, b in zip([-1, *kept], kept, strict=False)])
            self._pieces = [_over(p, sizes, lambda a: tuple([a.strides[k] for k in kept])) for p in before]
        for p, old in zip(self._pieces, before, strict=True):
            self.given.update({a.place: its for a, its in zip(p.accesses(), old.accesses(), strict=True)})
        return sizes

    def _nests(self, shape: Shape, parts: bool) -> list[Nest]:
        """Loops that cover a shape. What is added up is added up in parts, whose errors do not pile up."""
        axes = [(n, k, 1) for k, n in enumerate(shape)]
        axis = len(shape) - 1 if self._along or len(shape) == 1 else len(shape) - 2
        most = BLOCK if axis == len(shape) - 1 else ROWS
        covers: list[tuple[Offsets, Dims]] = [([], [(shape[axis], axis, 1)])]
        if parts and shape[axis] > most:
            n, left = divmod(shape[axis], most)
            covers = [([], [(n, axis, most), (most, axis, 1)])]
            if left:
                covers.append(([(str(n * most), axis, 1)], [(left, axis, 1)]))
        rows = self._together(shape)
        if rows == 1:
            return [Nest(offsets, [*axes[:axis], *dims, *axes[axis + 1:]]) for offsets, dims in covers]
        n, left = divmod(shape[axis - 1], rows)
        blocks: list[tuple[Offsets, int, int]] = [([], n, rows)]
        if left:
            blocks.append(([(str(n * rows), axis - 1, 1)], 1, left))
        return [Nest([*start, *offsets], [*axes[:axis - 1], (count, axis - 1, its), *dims, *axes[axis + 1:]], its,
                     axis - 1) for start, count, its in blocks for offsets, dims in covers]

    def _added_once(self, shape: Shape) -> set[Any]:
        """The sums along the last axis but one that are added up in one go: nothing was there before."""
        if len(shape) < 2 or shape[-2] > ROWS:
            return set()
        return {p.output.place for p in self._pieces if p.reduces and p.output.strides[-2] == 0
                and all([*p.output.strides[:-2], p.output.strides[-1]])}

    def _together(self, shape: Shape) -> int:
        """How many rows of what is added up along the last axis but one are done together."""
        summed = [p for p in self._pieces if p.reduces and p.output.strides[-1] and not any(p.output.strides[-2:-1])]
        if len(shape) < 3 or not summed or len(self._pieces) > 4 or not all([p.output.strides[-3] for p in summed]):
            return 1
        vectors = sum([-(-shape[-1] // self.lanes.width) * p.size // 4 for p in summed])
        most = min(JAM, REGISTERS[self.lanes.width > 8] // vectors, shape[-3])
        even = [k for k in range(max(most // 2, 2), most + 1) if shape[-3] % k == 0]
        return max([*even[-1:], *[most] * (not even), 1])

    # ----- loops -----

    def _line(self, text: str) -> str:
        return self.lanes.line(text)

    def _do(self, text: str) -> None:
        self.lanes.lines.append(text)

    def _own(self, text: str) -> str:
        name = self.lanes.fresh("own")
        self._held.append(f"{name} = alloca {text}, align 64")
        return name

    def _pointer(self, a: Access) -> str:
        if a.place in self._private:
            return self._private[a.place]
        for k, known in enumerate(self.operands):
            if known.place == a.place and known.slot.dtype is a.slot.dtype:
                return f"%a{k}"
        self.operands.append(a)
        return f"%a{len(self.operands) - 1}"

    def _loop(self, n: int, body: Callable[[str], None], part: bool = False) -> None:
        """A loop of so many turns, or of a thread's part of them."""
        if n == 1 and not part:
            body("0")
            return
        self._labels += 1
        k = self._labels
        start, end = ("%low", "%high") if part else ("0", str(n))
        self._do(f"br label %before{k}")
        self._do(f"before{k}:")
        self._do(f"%some{k} = icmp ult i64 {start}, {end}")
        self._do(f"br i1 %some{k}, label %loop{k}, label %after{k}")
        self._do(f"loop{k}:")
        self._do(f"%i{k} = phi i64 [ {start}, %before{k} ], [ %next{k}, %end{k} ]")
        body(f"%i{k}")
        self._do(f"br label %end{k}")
        self._do(f"end{k}:")
        self._do(f"%next{k} = add nuw nsw i64 %i{k}, 1")
        self._do(f"%more{k} = icmp ult i64 %next{k}, {end}")
        self._do(f"br i1 %more{k}, label %loop{k}, label %after{k}")
        self._do(f"after{k}:")

    def _vectors(self, n: int, body: Callable[[str, str | None], None], unrolled: bool = False) -> None:
        """The last axis, in whole vectors and what is left of them: where a vector begins, and which lanes count."""
        width = self.lanes.width
        full, left = divmod(n, width)
        if unrolled:
            for k in range(full):
                body(str(k * width), None)
        elif full:
            self._loop(full, lambda i: body("0" if i == "0" else self._line(f"mul nuw nsw i64 {i}, {width}"), None))
        if left:
            mask = ", ".join([f"i1 {'true' if k < left else 'false'}" for k in range(width)])
            body(str(full * width), f"<{mask}>")

    def _nest(self, nest: Nest, part: bool = False) -> None:
        *outer, (n, _, _) = nest.dims
        scratch: list[dict[Any, str]] = [{} for _ in range(nest.rows)]
        for p in self._pieces:
            if p.reduces and not self._along and outer and p.output.strides[outer[-1][1]] == 0:
                t = self.lanes.type(KINDS[p.output.slot.dtype])
                for its in scratch:
                    its[p.output.place] = self._own(f"{t}, i64 {-(-n // self.lanes.width)}")
        self._level(nest, outer, nest.offsets, scratch, part)

    def _level(self, nest: Nest, outer: Dims, offsets: Offsets, scratch: list[dict[Any, str]], part: bool) -> None:
        n, axis, _ = nest.dims[-1]
        if not outer:
            self._row(n, axis, offsets, scratch[0], False)
            return
        (size, its, step), *inner = outer
        if inner:
            self._loop(size, lambda i: self._level(nest, inner, [*offsets, (i, its, step)], scratch, False), part)
            return
        rows = [p for p in self._pieces if p.reduces and p.output.place in scratch[0]]
        each = [([*offsets, (str(k), nest.axis, 1)], sums) for k, sums in enumerate(scratch)]
        for _, sums in each:
            for p in rows:
                self._memory.cleared(sums[p.output.place], -(-n // self.lanes.width) * self.lanes.width * p.size)

        def turn(i: str) -> None:
            for place, sums in each:
                self._row(n, axis, [*place, (i, its, step)], sums, nest.rows > 1)

        self._loop(size, turn, part)
        for place, sums in each:
            for p in rows:
                kind, far, once = KINDS[p.output.slot.dtype], p.output.strides[axis], p.output.place in self._once
                there, here = self._row_of(p.output, place), sums[p.output.place]
                self._vectors(n, lambda i, mask, there=there, here=here, kind=kind, far=far, once=once:  # type: ignore[misc]
                              self._added_to(there, here, (i, far), kind, mask, far, whole=True, once=once))

    def _row_of(self, a: Access, offsets: Offsets) -> str:
        return self._memory.at(self._pointer(a), SIZES[KINDS[a.slot.dtype]],
                               *((i, a.strides[k] * step) for i, k, step in offsets))

    def _row(self, n: int, axis: int, offsets: Offsets, scratch: dict[Any, str], unrolled: bool) -> None:
        """The loop over the last axis."""
        bases: dict[Any, str] = {}
        same: dict[Any, Value] = {}
        sums: dict[Any, str] = {}
        written: set[Any] = set()
        for p in self._pieces:
            for a in p.reads.values():
                if a.place in written or (a.place, a.slot.dtype) in bases:
                    continue
                bases[a.place, a.slot.dtype] = base = self._row_of(a, offsets)
                if a.strides[axis] == 0:
                    same[a.place] = self._memory.spread(base, a.slot)
            place = p.output.place
            if p.reduces and place in scratch:
                bases[place, None] = scratch[place]
            elif p.reduces or p.output.slot.root in self._stored:
                bases.setdefault((place, p.output.slot.dtype), self._row_of(p.output, offsets))
            if not p.reduces:
                written.add(place)
            elif self._along:
                t = self.lanes.type(KINDS[p.output.slot.dtype])
                sums[place] = self._own(t)
                self._do(f"store {t} zeroinitializer, ptr {sums[place]}")
        self._vectors(n, lambda i, mask: self._body(i, mask, axis, bases, same, sums), unrolled)
        for p in self._pieces:
            if p.reduces and p.output.place in sums:
                self._summed(p, sums[p.output.place], bases[p.output.place, p.output.slot.dtype])

    def _body(self, i: str, mask: str | None, axis: int, bases: dict[Any, str], same: dict[Any, Value],
              sums: dict[Any, str]) -> None:
        lanes, memory = self.lanes, self._memory
        values: dict[Any, Value] = dict(same)
        stores: dict[Any, tuple[Value, Access]] = {}
        for p in self._pieces:
            def read(s: Slot, p: Piece = p) -> Value:
                a = p.reads[s.number]
                if a.place not in values:
                    kind = KINDS[s.dtype]
                    there = memory.at(bases[a.place, s.dtype], SIZES[kind], (i, a.strides[axis]))
                    values[a.place] = memory.load(there, a.strides[axis], kind, mask)
                return values[a.place]

            value, a = p.compute(lanes, read), p.output
            kind = KINDS[a.slot.dtype]
            t = lanes.type(kind)
            if not p.reduces:
                values[a.place] = value
                if a.slot.root in self._stored:
                    stores[a.place] = value, a
            elif self._along:
                if mask is not None:
                    value = lanes.made(kind, f"select {lanes.type('i1')} {mask}, {t} {value.name}, {t} zeroinitializer")
                before = self._line(f"load {t}, ptr {sums[a.place]}, align 64")
                total = self._line(f"fadd contract {t} {before}, {value.name}")
                self._do(f"store {t} {total}, ptr {sums[a.place]}, align 64")
            else:
                row = bases.get((a.place, None))
                stride = 1 if row else a.strides[axis]
                there = memory.at(row or bases[a.place, a.slot.dtype], SIZES[kind], (i, stride))
                some = None if row else mask  # a row of the function's own has all lanes
                now = memory.load(there, stride, kind, some)
                memory.store(lanes.made(kind, f"fadd contract {t} {now.name}, {value.name}"), there, stride, some)
        for value, a in stores.values():
            there = memory.at(bases[a.place, a.slot.dtype], SIZES[KINDS[a.slot.dtype]], (i, a.strides[axis]))
            memory.store(value, there, a.strides[axis], mask)

    def _summed(self, p: Piece, total: str, there: str) -> None:
        """The lanes of a sum added up, and added to what was."""
        kind, width = KINDS[p.output.slot.dtype], self.lanes.width
        t = self.lanes.type(kind)
        symbol = f"llvm.vector.reduce.fadd.v{width}{'f32' if kind == 'float' else 'f64'}"
        self.lanes.declared.add(f"declare {kind} @{symbol}({kind}, {t})")
        its = self._line(f"load {t}, ptr {total}")
        one = self._line(f"call reassoc {kind} @{symbol}({kind} {literal(0.0, kind)}, {t} {its})")
        before = self._line(f"load {kind}, ptr {there}")
        self._do(f"store {kind} {self._line(f'fadd {kind} {before}, {one}')}, ptr {there}")


def _over(p: Piece, shape: Shape, strides: Callable[[Access], Sequence[int]]) -> Piece:
    """A piece over another shape."""
    return p.over(shape, lambda a: Access(a.slot, a.offset, tuple(strides(a))))


__all__ = ["ATTRIBUTES", "Loop"]
