"""Values of several lanes, which write LLVM's text as they are computed with."""
from __future__ import annotations

import math
import struct
from typing import Any

import torch

KINDS = {torch.float32: "float", torch.float64: "double", torch.bool: "i1"}
SIZES = {"float": 4, "double": 8, "i1": 1}
_LETTERS = {"float": "f32", "double": "f64"}
WHOLE = {"float": 1.5 * 2.0 ** 23, "double": 1.5 * 2.0 ** 52}  # added to a number, it rounds that to a whole one


class NotFused(Exception):
    """A call that no loop takes."""


class Lanes:
    """The text of one straight piece of a loop. `width`: lanes of a value; `functions`: which vector functions there
    are, by (name, kind): (symbol, lanes that it takes)."""

    def __init__(self, width: int, functions: dict[tuple[str, str], tuple[str, int]]):
        self.width, self.functions = width, functions
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self._count = 0

    def fresh(self, word: str = "t") -> str:
        self._count += 1
        return f"%{word}{self._count}"

    def line(self, text: str, word: str = "t") -> str:
        """An instruction with a result; its name."""
        name = self.fresh(word)
        self.lines.append(f"{name} = {text}")
        return name

    def type(self, kind: str, width: int | None = None) -> str:
        return f"<{self.width if width is None else width} x {kind}>"

    def made(self, kind: str, text: str) -> Value:
        return Value(self, kind, self.line(text))

    def spread(self, kind: str, one: str) -> Value:
        """What one name is, in all lanes."""
        t = self.type(kind)
        first = self.line(f"insertelement {t} poison, {kind} {one}, i64 0")
        return self.made(kind, f"shufflevector {t} {first}, {t} poison, <{self.width} x i32> zeroinitializer")

    def number(self, x: Any, kind: str) -> Value:
        """The same number in all lanes."""
        if type(x) not in (int, float, bool):
            raise NotFused(f"a {type(x).__name__} among numbers")
        one = ("true" if x else "false") if kind == "i1" else literal(float(x), kind)
        return Value(self, kind, f"<{', '.join([f'{kind} {one}'] * self.width)}>")

    def intrinsic(self, name: str, *values: Value) -> Value:
        """One of LLVM's functions, which has all widths."""
        kind, t = values[0].kind, self.type(values[0].kind)
        symbol = f"llvm.{name}.v{self.width}{_LETTERS[kind]}"
        self.declared.add(f"declare {t} @{symbol}({', '.join([t] * len(values))})")
        return self.made(kind, f"call {t} @{symbol}({', '.join([f'{t} {v.name}' for v in values])})")

    def call(self, name: str, *values: Value) -> Value:
        """A vector function; in parts where it takes fewer lanes."""
        kind = values[0].kind
        if (name, kind) not in self.functions:
            raise NotFused(f"no vector {name} of {kind}")
        symbol, lanes = self.functions[name, kind]
        t = self.type(kind, lanes)
        self.declared.add(f"declare {t} @{symbol}({', '.join([t] * len(values))}) #1")
        parts = []
        for start in range(0, self.width, lanes):
            its = [v.name if lanes == self.width else self._shuffled(v.name, kind, self.width, start, lanes)
                   for v in values]
            parts.append(self.line(f"call {t} @{symbol}({', '.join([f'{t} {n}' for n in its])}) #1"))
        width = lanes
        while len(parts) > 1:
            t = self.type(kind, width)
            every = ", ".join([f"i32 {k}" for k in range(2 * width)])
            parts = [self.line(f"shufflevector {t} {a}, {t} {b}, <{2 * width} x i32> <{every}>")
                     for a, b in zip(parts[::2], parts[1::2], strict=True)]
            width *= 2
        return Value(self, kind, parts[0])

    def _shuffled(self, name: str, kind: str, width: int, start: int, lanes: int) -> str:
        t = self.type(kind, width)
        its = ", ".join([f"i32 {k}" for k in range(start, start + lanes)])
        return self.line(f"shufflevector {t} {name}, {t} poison, <{lanes} x i32> <{its}>")


class Value:
    """The lanes of one quantity, of one kind: float, double, or the truths i1."""

    __slots__ = ("kind", "lanes", "name")

    def __init__(self, lanes: Lanes, kind: str, name: str):
        self.lanes, self.kind, self.name = lanes, kind, name

    def to(self, kind: str) -> Value:
        """The same in another kind."""
        if kind == self.kind:
            return self
        if kind == "i1":
            return self != 0.0
        word = "uitofp" if self.kind == "i1" else "fpext" if kind == "double" else "fptrunc"
        t = self.lanes.type
        return self.lanes.made(kind, f"{word} {t(self.kind)} {self.name} to {t(kind)}")

    def _pair(self, other: Any) -> tuple[Value, Value]:
        """Two operands of one kind: truths count as numbers beside numbers, a Python number takes the other's kind."""
        if not isinstance(other, Value):
            if self.kind == "i1" and type(other) is not bool:
                raise NotFused("truths beside a number")
            return self, self.lanes.number(other, self.kind)
        kind = max((self.kind, other.kind), key=SIZES.__getitem__)
        return self.to(kind), other.to(kind)

    def _binary(self, word: str, other: Any, swapped: bool = False) -> Value:
        a, b = self._pair(other)
        if a.kind == "i1":
            raise NotFused("arithmetic of truths")
        if swapped:
            a, b = b, a
        return self.lanes.made(a.kind, f"{word} {self.lanes.type(a.kind)} {a.name}, {b.name}")

    def _compared(self, word: str, other: Any) -> Value:
        a, b = self._pair(other)
        word = f"fcmp {word}" if a.kind != "i1" else {"oeq": "icmp eq", "une": "icmp ne"}.get(word, "")
        if not word:
            raise NotFused("an order of truths")
        return self.lanes.made("i1", f"{word} {self.lanes.type(a.kind)} {a.name}, {b.name}")

    def _logical(self, word: str, other: Any) -> Value:
        a, b = self.to("i1"), self._pair(other)[1].to("i1")
        return self.lanes.made("i1", f"{word} {self.lanes.type('i1')} {a.name}, {b.name}")

    def __add__(self, other: Any) -> Value:
        return self._binary("fadd", other)

    def __mul__(self, other: Any) -> Value:
        return self._binary("fmul", other)

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other: Any) -> Value:
        return self._binary("fsub", other)

    def __rsub__(self, other: Any) -> Value:
        return self._binary("fsub", other, swapped=True)

    def __truediv__(self, other: Any) -> Value:
        return self._binary("fdiv", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._binary("fdiv", other, swapped=True)

    def times_plus(self, factor: Any, term: Any) -> Value:
        """self factor + term, rounded once where the machine does that."""
        a, b = self._pair(factor)
        a, c = a._pair(term)
        if ("fma", a.kind) not in self.lanes.functions:
            return a * b + c
        return a.intrinsic("fma", b.to(a.kind), c)

    def __neg__(self) -> Value:
        if self.kind == "i1":
            raise NotFused("arithmetic of truths")
        return self.lanes.made(self.kind, f"fneg {self.lanes.type(self.kind)} {self.name}")

    def __lt__(self, other: Any) -> Value:
        return self._compared("olt", other)

    def __le__(self, other: Any) -> Value:
        return self._compared("ole", other)

    def __gt__(self, other: Any) -> Value:
        return self._compared("ogt", other)

    def __ge__(self, other: Any) -> Value:
        return self._compared("oge", other)

    def __eq__(self, other: Any) -> Value:  # type: ignore[override]
        return self._compared("oeq", other)

    def __ne__(self, other: Any) -> Value:  # type: ignore[override]
        return self._compared("une", other)

    __hash__ = None  # type: ignore[assignment]

    def __and__(self, other: Any) -> Value:
        return self._logical("and", other)

    def __or__(self, other: Any) -> Value:
        return self._logical("or", other)

    def __xor__(self, other: Any) -> Value:
        return self._logical("xor", other)

    def __abs__(self) -> Value:
        return self.intrinsic("fabs")

    def intrinsic(self, name: str, *others: Value) -> Value:
        if self.kind == "i1":
            raise NotFused(f"{name} of truths")
        return self.lanes.intrinsic(name, self, *others)

    def call(self, name: str, other: Any = None) -> Value:
        """A vector function of this, or of this and another."""
        return self.lanes.call(name, *(self._pair(other) if other is not None else (self,)))

    def power_of_two(self) -> Value:
        """2 to the whole number that a sum with WHOLE has in its last digits; the power is a normal number."""
        bits, digits, bias = (32, 23, 127) if self.kind == "float" else (64, 52, 1023)
        lanes, t, i = self.lanes, self.lanes.type(self.kind), self.lanes.type(f"i{bits}")

        def every(k: int) -> str:
            return f"<{', '.join([f'i{bits} {k}'] * lanes.width)}>"

        n = lanes.line(f"bitcast {t} {self.name} to {i}")
        n = lanes.line(f"add {i} {n}, {every(bias)}")
        n = lanes.line(f"shl {i} {n}, {every(digits)}")
        return lanes.made(self.kind, f"bitcast {i} {n} to {t}")

    def isnan(self) -> Value:
        return self.lanes.made("i1", f"fcmp uno {self.lanes.type(self.kind)} {self.name}, {self.name}")


def chosen(condition: Value, a: Any, b: Any) -> Value:
    """a where the condition holds, else b."""
    if not isinstance(a, Value) and not isinstance(b, Value):
        raise NotFused("a choice between numbers")
    a, b = a._pair(b) if isinstance(a, Value) else b._pair(a)[::-1]
    lanes, t = condition.lanes, condition.lanes.type(a.kind)
    truth = condition.to("i1")
    return lanes.made(a.kind, f"select {lanes.type('i1')} {truth.name}, {t} {a.name}, {t} {b.name}")


def literal(x: float, kind: str) -> str:
    """A number as LLVM writes it: the bits of the double that it is."""
    if kind == "float" and math.isfinite(x):
        x = float(torch.tensor(x, dtype=torch.float32, device="cpu"))
    return f"0x{struct.pack('>d', x).hex().upper()}"


__all__ = ["KINDS", "NotFused", "Lanes", "SIZES", "WHOLE", "Value", "chosen", "literal"]
