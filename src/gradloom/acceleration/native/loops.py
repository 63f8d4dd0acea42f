"""A group as one function of LLVM's: loops over its shape, the last axis in lanes."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..recorder import Slot
from .groups import Group
from .lanes import KINDS, SIZES, Lanes, Value, literal
from .pieces import Access, Piece, Shape, rows

BLOCK = 4096  # elements that are added up in lanes before they are added to what was
ROWS = 64  # rows that are added up in one go
ATTRIBUTES = 'attributes #0 = { nounwind "min-legal-vector-width"="512" "prefer-vector-width"="512" }\n' \
             'attributes #1 = { nounwind willreturn memory(none) }\n'


class Loop:
    """The text of a group's function. `stored`: roots that are read outside of the group. `operands`: the memory whose
    addresses it takes, in order."""

    def __init__(self, group: Group, stored: set[int], width: int, functions: Any):
        self.lanes = Lanes(width, functions)
        self.operands: list[Access] = []
        self._held: list[str] = []  # memory of the function's own, taken once
        self._stored = stored
        self._pieces = group.pieces
        self._labels = 0
        shape = self._collapse()
        summed = [p for p in self._pieces if p.reduces]
        self._along = bool(summed) and summed[0].output.strides[-1] == 0  # sums along the last axis
        for p in summed:
            self._cleared(p.output, _numel(p, shape))
        for offsets, dims in self._nests(shape, bool(summed)):
            self._nest(offsets, dims)
        self.lanes.lines.append("ret void")

    def text(self, name: str) -> str:
        given = ", ".join([f"ptr %a{k}" for k in range(len(self.operands))])
        return "\n".join([f"define internal void @{name}({given}) noinline #0 {{", "entry:",
                          *self._held, *self.lanes.lines, "}\n"])

    # ----- shape -----

    def _collapse(self) -> Shape:
        """Neighbouring axes that are one for everything become one."""
        shape = list(self._pieces[0].shape)
        every = [a.strides for p in self._pieces for a in p.accesses()]
        if not shape:
            self._pieces = [_single(p) for p in self._pieces]
            return (1,)
        kept = [k for k in range(len(shape)) if k == len(shape) - 1
                or any([s[k] != s[k + 1] * shape[k + 1] for s in every])]
        sizes, start = [], 0
        for k in kept:
            sizes.append(math.prod(shape[start:k + 1]))
            start = k + 1
        self._pieces = [_of_axes(p, kept) for p in self._pieces]
        return tuple(sizes)

    def _nests(self, shape: Shape, summed: bool) -> list[tuple[Any, Any]]:
        """([(where it begins, axis, step)], [(size, axis, step)]): what is added up is added up in parts, whose errors
        do not pile up."""
        axes = [(n, k, 1) for k, n in enumerate(shape)]
        axis = len(shape) - 1 if self._along else len(shape) - 2
        most = BLOCK if self._along else ROWS
        if not summed or axis < 0 or shape[axis] <= most:
            return [([], axes)]
        n, left = divmod(shape[axis], most)
        made: list[tuple[Any, Any]] = [([], [*axes[:axis], (n, axis, most), (most, axis, 1), *axes[axis + 1:]])]
        if left:
            made.append(([(str(n * most), axis, 1)], [*axes[:axis], (left, axis, 1), *axes[axis + 1:]]))
        return made

    # ----- loops -----

    def _line(self, text: str) -> str:
        return self.lanes.line(text)

    def _do(self, text: str) -> None:
        self.lanes.lines.append(text)

    def _loop(self, n: int, body: Callable[[str], None]) -> None:
        """A loop of so many turns."""
        if n == 1:
            body("0")
            return
        self._labels += 1
        k = self._labels
        self._do(f"br label %before{k}")
        self._do(f"before{k}:")
        self._do(f"br label %loop{k}")
        self._do(f"loop{k}:")
        self._do(f"%i{k} = phi i64 [ 0, %before{k} ], [ %next{k}, %end{k} ]")
        body(f"%i{k}")
        self._do(f"br label %end{k}")
        self._do(f"end{k}:")
        self._do(f"%next{k} = add nuw nsw i64 %i{k}, 1")
        self._do(f"%more{k} = icmp ult i64 %next{k}, {n}")
        self._do(f"br i1 %more{k}, label %loop{k}, label %after{k}")
        self._do(f"after{k}:")

    def _operand(self, a: Access) -> int:
        for k, known in enumerate(self.operands):
            if known.place == a.place and known.slot.dtype is a.slot.dtype:
                return k
        self.operands.append(a)
        return len(self.operands) - 1

    def _at(self, pointer: str, size: int, *terms: tuple[str, int]) -> str:
        """An address some elements further on: of each term so many strides."""
        for index, stride in terms:
            if stride and index != "0":
                far = self._line(f"mul nsw i64 {index}, {stride * size}")
                pointer = self._line(f"getelementptr inbounds i8, ptr {pointer}, i64 {far}")
        return pointer

    def _cleared(self, a: Access, count: int) -> None:
        size = SIZES[KINDS[a.slot.dtype]]
        self.lanes.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        self._do(f"call void @llvm.memset.p0.i64(ptr %a{self._operand(a)}, i8 0, i64 {count * size}, i1 false)")

    def _nest(self, offsets: Any, dims: Any) -> None:
        *outer, (n, axis, _) = dims
        scratch: dict[Any, str] = {}
        for p in self._pieces:
            if p.reduces and not self._along and outer and p.output.strides[outer[-1][1]] == 0:
                t = self.lanes.type(KINDS[p.output.slot.dtype])
                scratch[p.output.place] = self._own(f"{t}, i64 {-(-n // self.lanes.width)}")
        self._level(outer, 0, offsets, n, axis, scratch)

    def _own(self, text: str) -> str:
        name = self.lanes.fresh("own")
        self._held.append(f"{name} = alloca {text}, align 64")
        return name

    def _level(self, outer: Any, depth: int, offsets: Any, n: int, axis: int,
               scratch: dict[Any, str]) -> None:
        if depth == len(outer):
            self._row(n, axis, offsets, scratch)
            return
        size, its, step = outer[depth]

        def body(i: str) -> None:
            self._level(outer, depth + 1, [*offsets, (i, its, step)], n, axis, scratch)

        if depth != len(outer) - 1 or not scratch:
            self._loop(size, body)
            return
        for p in self._scratched(scratch):
            count = -(-n // self.lanes.width) * self.lanes.width * SIZES[KINDS[p.output.slot.dtype]]
            self.lanes.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
            self._do(f"call void @llvm.memset.p0.i64(ptr {scratch[p.output.place]}, i8 0, i64 {count}, i1 false)")
        self._loop(size, body)
        for p in self._scratched(scratch):
            self._flushed(p, scratch[p.output.place], n, axis, offsets)

    def _scratched(self, scratch: dict[Any, str]) -> list[Piece]:
        return [p for p in self._pieces if p.reduces and p.output.place in scratch]

    def _flushed(self, p: Piece, scratch: str, n: int, axis: int, offsets: Any) -> None:
        """A row of sums added to what was."""
        a, kind = p.output, KINDS[p.output.slot.dtype]
        base = self._row_of(a, offsets)

        def vector(i: str, mask: str | None) -> None:
            there = self._at(base, SIZES[kind], (i, a.strides[axis]))
            here = self._at(scratch, SIZES[kind], (i, 1))
            total = self._load(there, a.strides[axis], kind, mask) + self._load(here, 1, kind, mask)
            self._store(total, there, a.strides[axis], mask)

        self._vectors(n, vector)

    def _row_of(self, a: Access, offsets: Any) -> str:
        return self._at(f"%a{self._operand(a)}", SIZES[KINDS[a.slot.dtype]],
                        *((i, a.strides[k] * step) for i, k, step in offsets))

    def _vectors(self, n: int, body: Callable[[str, str | None], None]) -> None:
        """The last axis, in whole vectors and what is left of them: where a vector begins, and which lanes count."""
        width = self.lanes.width
        full, left = divmod(n, width)
        if full:
            self._loop(full, lambda i: body("0" if i == "0" else self._line(f"mul nuw nsw i64 {i}, {width}"), None))
        if left:
            mask = ", ".join([f"i1 {'true' if k < left else 'false'}" for k in range(width)])
            body(str(full * width), f"<{mask}>")

    def _row(self, n: int, axis: int, offsets: Any, scratch: dict[Any, str]) -> None:
        """The loop over the last axis."""
        lanes = self.lanes
        bases: dict[Any, str] = {}
        same: dict[Any, Value] = {}
        inner = {p.output.place for p in self._pieces if not p.reduces}
        for p in self._pieces:
            for a in p.reads.values():
                if a.place in inner and not self._read_first(a) or (a.place, a.slot.dtype) in bases:
                    continue
                bases[a.place, a.slot.dtype] = base = self._row_of(a, offsets)
                if a.strides[axis] == 0:
                    same[a.place] = self._spread(base, a.slot)
            if p.reduces or p.output.slot.root in self._stored:
                if p.reduces and p.output.place in scratch:
                    bases[p.output.place, None] = scratch[p.output.place]
                else:
                    bases.setdefault((p.output.place, p.output.slot.dtype), self._row_of(p.output, offsets))
        sums = {}
        if self._along:
            for p in self._pieces:
                if p.reduces:
                    t = lanes.type(KINDS[p.output.slot.dtype])
                    sums[p.output.place] = self._own(t)
                    self._do(f"store {t} zeroinitializer, ptr {sums[p.output.place]}")

        def vector(i: str, mask: str | None) -> None:
            self._body(i, mask, axis, bases, same, sums)

        self._vectors(n, vector)
        for p in self._pieces:
            if p.output.place in sums and p.reduces:
                self._summed(p, sums[p.output.place], bases[p.output.place, p.output.slot.dtype])

    def _read_first(self, a: Access) -> bool:
        """Whether a place is read before the group writes it."""
        for p in self._pieces:
            if any([b.place == a.place for b in p.reads.values()]):
                return True
            if p.output.place == a.place and not p.reduces:
                return False
        return False

    def _body(self, i: str, mask: str | None, axis: int, bases: dict[Any, str], same: dict[Any, Value],
              sums: dict[Any, str]) -> None:
        lanes = self.lanes
        values: dict[Any, Value] = dict(same)
        stores: dict[Any, tuple[Value, Access]] = {}
        for p in self._pieces:
            def read(s: Slot, p: Piece = p) -> Value:
                a = p.reads[s.number]
                if a.place not in values:
                    kind = KINDS[s.dtype]
                    there = self._at(bases[a.place, s.dtype], SIZES[kind], (i, a.strides[axis]))
                    values[a.place] = self._load(there, a.strides[axis], kind, mask)
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
                scratched = bases.get((a.place, None))
                stride = 1 if scratched else a.strides[axis]
                there = self._at(scratched or bases[a.place, a.slot.dtype], SIZES[kind], (i, stride))
                before = self._load(there, stride, kind, mask)
                total = lanes.made(kind, f"fadd contract {t} {before.name}, {value.name}")
                self._store(total, there, stride, mask)
        for value, a in stores.values():
            there = self._at(bases[a.place, a.slot.dtype], SIZES[KINDS[a.slot.dtype]], (i, a.strides[axis]))
            self._store(value, there, a.strides[axis], mask)

    def _summed(self, p: Piece, total: str, there: str) -> None:
        """The lanes of a sum added up, and added to what was."""
        kind, width = KINDS[p.output.slot.dtype], self.lanes.width
        t = self.lanes.type(kind)
        letters = "f32" if kind == "float" else "f64"
        symbol = f"llvm.vector.reduce.fadd.v{width}{letters}"
        self.lanes.declared.add(f"declare {kind} @{symbol}({kind}, {t})")
        its = self._line(f"load {t}, ptr {total}")
        one = self._line(f"call reassoc {kind} @{symbol}({kind} {literal(0.0, kind)}, {t} {its})")
        before = self._line(f"load {kind}, ptr {there}")
        self._do(f"store {kind} {self._line(f'fadd {kind} {before}, {one}')}, ptr {there}")

    # ----- memory -----

    def _spread(self, pointer: str, s: Slot) -> Value:
        """One number in all lanes."""
        kind = KINDS[s.dtype]
        width = self.lanes.width
        stored = "i8" if kind == "i1" else kind
        one = self._line(f"load {stored}, ptr {pointer}")
        if kind == "i1":
            one = self._line(f"icmp ne i8 {one}, 0")
        t = self.lanes.type(kind)
        first = self._line(f"insertelement {t} poison, {kind} {one}, i64 0")
        return self.lanes.made(kind, f"shufflevector {t} {first}, {t} poison, <{width} x i32> zeroinitializer")

    def _load(self, pointer: str, stride: int, kind: str, mask: str | None) -> Value:
        stored = "i8" if kind == "i1" else kind
        t, size = self.lanes.type(stored), SIZES[kind]
        if stride == 1 and mask is None:
            name = self._line(f"load {t}, ptr {pointer}, align {size}")
        elif stride == 1:
            name = self._masked(f"masked.load.v{self._letters(stored)}.p0", t, f"ptr {pointer}, i32 {size}",
                                "ptr, i32", mask)
        else:
            name = self._masked(f"masked.gather.v{self._letters(stored)}.v{self.lanes.width}p0", t,
                                f"<{self.lanes.width} x ptr> {self._places(pointer, stride, size)}, i32 {size}",
                                f"<{self.lanes.width} x ptr>, i32", mask)
        if kind == "i1":
            return self.lanes.made("i1", f"icmp ne {t} {name}, zeroinitializer")
        return Value(self.lanes, kind, name)

    def _store(self, value: Value, pointer: str, stride: int, mask: str | None) -> None:
        kind, name = value.kind, value.name
        stored = "i8" if kind == "i1" else kind
        t, size = self.lanes.type(stored), SIZES[kind]
        if kind == "i1":
            name = self._line(f"zext {self.lanes.type('i1')} {name} to {t}")
        if stride == 1 and mask is None:
            self._do(f"store {t} {name}, ptr {pointer}, align {size}")
            return
        if stride == 1:
            word, where, form = f"masked.store.v{self._letters(stored)}.p0", f"ptr {pointer}", "ptr"
        else:
            form = f"<{self.lanes.width} x ptr>"
            word = f"masked.scatter.v{self._letters(stored)}.v{self.lanes.width}p0"
            where = f"{form} {self._places(pointer, stride, size)}"
        m = self.lanes.type("i1")
        self.lanes.declared.add(f"declare void @llvm.{word}({t}, {form}, i32, {m})")
        self._do(f"call void @llvm.{word}({t} {name}, {where}, i32 {size}, {m} {mask or self._all()})")

    def _masked(self, word: str, t: str, given: str, form: str, mask: str | None) -> str:
        m = self.lanes.type("i1")
        self.lanes.declared.add(f"declare {t} @llvm.{word}({form}, {m}, {t})")
        return self._line(f"call {t} @llvm.{word}({given}, {m} {mask or self._all()}, {t} zeroinitializer)")

    def _places(self, pointer: str, stride: int, size: int) -> str:
        every = ", ".join([f"i64 {k * stride * size}" for k in range(self.lanes.width)])
        return self._line(f"getelementptr i8, ptr {pointer}, <{self.lanes.width} x i64> <{every}>")

    def _all(self) -> str:
        return f"<{', '.join(['i1 true'] * self.lanes.width)}>"

    def _letters(self, stored: str) -> str:
        return f"{self.lanes.width}{ {'float': 'f32', 'double': 'f64', 'i8': 'i8'}[stored]}"


def _of_axes(p: Piece, kept: Sequence[int]) -> Piece:
    """A piece with these of its axes, in this order."""
    new = object.__new__(Piece)
    new.compute, new.reduces, new.step = p.compute, p.reduces, p.step
    new.shape = tuple([p.shape[k] for k in kept])
    new.output = p.output.along(kept)
    new.reads = {n: a.along(kept) for n, a in p.reads.items()}
    return new


def _single(p: Piece) -> Piece:
    """A piece of one place, over one axis."""
    new = _of_axes(p, ())
    new.shape = (1,)
    new.output = Access(p.output.slot, p.output.offset, (1,))
    new.reads = {n: Access(a.slot, a.offset, (1,)) for n, a in p.reads.items()}
    return new


def _numel(p: Piece, shape: Shape) -> int:
    """How many numbers are added up to."""
    return math.prod([n for n, s in zip(shape, p.output.strides, strict=True) if s])


__all__ = ["ATTRIBUTES", "Loop", "rows"]
