"""Lanes to and from memory."""
from __future__ import annotations

from ..recorder import Slot
from .lanes import KINDS, SIZES, Lanes, Value


class Memory:
    """Loads and stores among the lines of some lanes. Truths lie as bytes."""

    def __init__(self, lanes: Lanes):
        self.lanes = lanes
        self._every = f"<{', '.join(['i1 true'] * lanes.width)}>"

    def at(self, pointer: str, size: int, *terms: tuple[str, int]) -> str:
        """An address some elements further on: of each term so many strides."""
        for index, stride in terms:
            if stride and index != "0":
                far = self.lanes.line(f"mul nsw i64 {index}, {stride * size}")
                pointer = self.lanes.line(f"getelementptr inbounds i8, ptr {pointer}, i64 {far}")
        return pointer

    def cleared(self, pointer: str, nbytes: int) -> None:
        self.lanes.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        self.lanes.lines.append(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 0, i64 {nbytes}, i1 false)")

    def spread(self, pointer: str, s: Slot) -> Value:
        """One number in all lanes."""
        kind, lanes = KINDS[s.dtype], self.lanes
        one = lanes.line(f"load {_stored(kind)}, ptr {pointer}")
        if kind == "i1":
            one = lanes.line(f"icmp ne i8 {one}, 0")
        return lanes.spread(kind, one)

    def load(self, pointer: str, stride: int, kind: str, mask: str | None) -> Value:
        """Elements a stride apart, those under the mask."""
        stored, size, lanes = _stored(kind), SIZES[kind], self.lanes
        t, m, width = lanes.type(stored), lanes.type("i1"), lanes.width
        if stride == 1 and mask is None:
            name = lanes.line(f"load {t}, ptr {pointer}, align {size}")
        else:
            word, form, where = self._where("load", "gather", pointer, stride, kind)
            lanes.declared.add(f"declare {t} @llvm.{word}({form}, i32, {m}, {t})")
            name = lanes.line(f"call {t} @llvm.{word}({form} {where}, i32 {size}, {m} {mask or self._every}, "
                              f"{t} zeroinitializer)")
        if kind == "i1":
            return lanes.made("i1", f"icmp ne <{width} x i8> {name}, zeroinitializer")
        return Value(lanes, kind, name)

    def store(self, value: Value, pointer: str, stride: int, mask: str | None) -> None:
        kind, name, lanes = value.kind, value.name, self.lanes
        t, m, size = lanes.type(_stored(kind)), lanes.type("i1"), SIZES[kind]
        if kind == "i1":
            name = lanes.line(f"zext {m} {name} to {t}")
        if stride == 1 and mask is None:
            lanes.lines.append(f"store {t} {name}, ptr {pointer}, align {size}")
            return
        word, form, where = self._where("store", "scatter", pointer, stride, kind)
        lanes.declared.add(f"declare void @llvm.{word}({t}, {form}, i32, {m})")
        lanes.lines.append(f"call void @llvm.{word}({t} {name}, {form} {where}, i32 {size}, {m} {mask or self._every})")

    def _where(self, near: str, far: str, pointer: str, stride: int, kind: str) -> tuple[str, str, str]:
        """Of a masked access: LLVM's word, the form of the address, the address."""
        width = self.lanes.width
        letters = f"v{width}{ {'float': 'f32', 'double': 'f64', 'i1': 'i8'}[kind]}"
        if stride == 1:
            return f"masked.{near}.{letters}.p0", "ptr", pointer
        every = ", ".join([f"i64 {k * stride * SIZES[kind]}" for k in range(width)])
        places = self.lanes.line(f"getelementptr i8, ptr {pointer}, <{width} x i64> <{every}>")
        return f"masked.{far}.{letters}.v{width}p0", f"<{width} x ptr>", places


def _stored(kind: str) -> str:
    return "i8" if kind == "i1" else kind


__all__ = ["Memory"]
