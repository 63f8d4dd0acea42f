"""The executor "native": a program as one Python function, in which chains of elementwise calls are kernels of our own.

Arrays that kernels make for each other and for torch's calls, and that nobody sees afterwards, lie in a workspace that
the recording keeps, as long as they are small; large ones are made anew, as torch's are.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ...machine.dtypes import Tensor
from ...machine.memory import readable_bytes
from ..program import Program
from ..recorder import Slot, Step
from ..writing import Names, statements
from .blocks import DECLARED, Blocks
from .compiling import Compiled, target
from .groups import Group, Grouped, is_view
from .lanes import KINDS, SIZES
from .loops import ATTRIBUTES, Loop
from .places import Access
from .tiles import Tile, tiled

try:  # what torch's compiler makes arrays with, in half the time of torch's own function
    from torch._C._dynamo.guards import _empty_strided_cpu as _empty  # type: ignore[attr-defined]
except ImportError:  # another version of torch
    def _empty(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.empty_strided(shape, strides, dtype=dtype, device="cpu")

KEPT = 1 << 20  # bytes of an array in the workspace
WORKSPACE = 1 << 23  # bytes of the workspace
LARGE = 1 << 15  # places times pieces from which on a kernel lets Python's lock go
_ALIGN = 64
_STRIDED = (torch.as_strided, Tensor.as_strided)


class NotNative(Exception):
    """A program in which no kernel of our own is worth while."""


def native(program: Program) -> Callable[..., Any]:
    """The program with its elementwise chains compiled; raises NotNative where it has none."""
    return _Native(program).function()


class _Native:
    def __init__(self, program: Program):
        its = target()
        self.program = program
        items = Grouped(program, its.width, its.functions).items
        self.items: list[Step | list[Group | Tile]] = [
            item if isinstance(item, Step) else tiled(item, its.threads) for item in items]
        if not any([isinstance(item, list) for item in self.items]):
            raise NotNative("no calls that could share a loop")
        self._machine = its
        self._times: dict[int, int] = {}  # of a root: when it was used last
        self._slots: dict[int, Slot] = {}
        self._made: dict[int, Group | Tile] = {}  # roots that a group makes
        self._users: dict[int, set[int]] = {}  # of a root: what reads it, by time
        self._survey()
        self._shown()
        self.workspace: dict[int, int] = {}  # of a root: where in the workspace
        self.size = 0
        self._plan()
        self._loops: dict[str, str] = {}  # text of a loop: its name
        self._declared: set[str] = set()
        self._count = 0  # of names
        self._parts: dict[str, None] = {}  # what threads run, in the order in which it is needed
        self._kernels: list[tuple[str, str, int, bool]] = []  # name, text, arguments, whether it is small

    def _timed(self) -> Iterator[tuple[int, Step | Group | Tile]]:
        time = 0
        for item in self.items:
            for one in item if isinstance(item, list) else [item]:
                yield time, one
                time += 1

    def _survey(self) -> None:
        p = self.program
        # constants, too, of which kernels read nothing but a view
        for s in (*p.inputs, *p.outputs, *[s for step in p.steps for s in step.reads if s.number in p.constants]):
            self._slots[s.number] = s
        self._held = {s.root for s in (*p.inputs, *p.outputs)} | p.shared
        self._held |= {s.root for step in p.steps for s in step.reads if s.number in p.constants}
        # a view whose beginning is told in the storage: the array must begin where it did
        self._held |= {s.root for step in p.steps if step.function in _STRIDED and len(step.args) + len(step.kwargs) > 3
                       for s in step.reads}
        self._there: set[int] = set()  # arrays that exist by the line that is written, and may be written over
        there = set(p.constants) | {s.number for s in p.inputs}
        for time, one in self._timed():
            if isinstance(one, Step):
                for s in (*one.reads, *one.outputs):
                    self._slots.setdefault(s.number, s)
                    self._times[s.root] = time
                for s in one.reads:
                    self._users.setdefault(s.root, set()).add(time)
                there |= {s.number for s in one.outputs}
                continue
            for piece in one.pieces:
                for a in piece.accesses():
                    self._slots.setdefault(a.slot.number, a.slot)
                    self._times[a.slot.root] = time
                for a in piece.reads.values():
                    self._users.setdefault(a.slot.root, set()).add(time)
                s = piece.output.slot
                if s.number == s.root and s.number not in there:
                    there.add(s.number)
                    self._made[s.root] = one
        for s in p.outputs:
            self._users.setdefault(s.root, set()).add(-1)

    def _shown(self) -> None:
        """What groups make for a result that is another view of all of it is made in that view's shape."""
        outputs = {s.number for s in self.program.outputs}
        steps = [item for item in self.items if isinstance(item, Step)]
        for root in self._made:
            readers = [step for step in steps if any([s.root == root for s in step.reads])]
            views = [s for step in readers for s in step.outputs]
            if root in outputs or len(readers) != 1 or len(views) != 1 or not is_view(readers[0]):
                continue
            (view,), made = views, self._slots[root]
            if view.number in outputs and view.offset == made.offset and dense(view) and dense(made) and (
                    math.prod(view.shape) == math.prod(made.shape)):
                self._slots[root] = view
                self.items = [item for item in self.items if item is not readers[0]]

    def _plan(self) -> None:
        """Places in the workspace, each used again as soon as it is free."""
        free: dict[int, list[int]] = {}
        ending: dict[int, list[int]] = {}
        for time, one in self._timed():
            if not isinstance(one, Step):
                for root in [r for r, g in self._made.items() if g is one]:
                    size = -(-_nbytes(self._slots[root]) // _ALIGN) * _ALIGN
                    if (root in self._held or size > KEPT or not dense(self._slots[root])
                            or not self._users.get(root, set()) - {time}):
                        continue
                    places = free.get(size)
                    if not places and self.size + size > WORKSPACE:
                        continue
                    if places:
                        self.workspace[root] = places.pop()
                    else:
                        self.workspace[root], self.size = self.size, self.size + size
                    ending.setdefault(self._times[root], []).append(root)
            for root in ending.pop(time, ()):
                size = -(-_nbytes(self._slots[root]) // _ALIGN) * _ALIGN
                free.setdefault(size, []).append(self.workspace[root])

    # ----- text -----

    def function(self) -> Callable[..., Any]:
        p = self.program
        names = Names({f"v{number}": x for number, x in p.constants.items()})
        names.bound.update({"empty": _empty, "threads": torch.get_num_threads})
        lines: list[tuple[str, set[int]]] = []  # a line, and the numbers of the slots whose names it reads or makes
        time = 0
        for item in self.items:
            if isinstance(item, Step):
                used = {s.number for s in (*item.reads, *item.outputs)}
                lines += [(line, used) for line in statements(item, names)]
                self._there |= {s.number for s in item.outputs}
                time += 1
            else:
                lines += self._called(item, time, names)
                time += len(item)
        views = sorted({n for _, used in lines for n in used if n in self.workspace})
        last = {n: k for k, (_, used) in enumerate(lines) for n in used}
        kept = {s.number for s in (*p.outputs, *p.inputs)} | set(p.constants) | set(views)
        body = []
        if self.size:
            body += ["space = take()", f"{', '.join(['base', 'memory', *[f'v{n}' for n in views]])} = space"]
        for k, (line, used) in enumerate(lines):
            body.append(line)
            gone = sorted([n for n in used if last[n] == k and n not in kept])
            if gone:
                body.append("del " + ", ".join([f"v{n}" for n in gone]))
        if self.size:
            body.append("give(space)")
        body.append("return (" + "".join([f"v{s.number}.clone(), " if s.number in p.constants else f"v{s.number}, "
                                          for s in p.outputs]) + ")")
        loops = [text.replace("@NAME", f"@{name}") for text, name in self._loops.items()]
        text = "\n".join([*sorted(self._declared), *loops, *self._parts, *[k[1] for k in self._kernels], ATTRIBUTES])
        code = Compiled(text)
        for name, _, count, small in self._kernels:
            names.bound[name] = code.function(name, count, small)
        if self.size:
            names.bound.update(_Workspaces(self.size, [(self.workspace[n], self._slots[n]) for n in views]).functions())
        made = names.made("native", [f"v{s.number}" for s in p.inputs], body)
        made.words = f"{len(self._kernels)} kernels, {readable_bytes(self.size)} kept"  # type: ignore[attr-defined]
        made.text = text  # type: ignore[attr-defined]
        return made

    def _stored(self, time: int) -> set[int]:
        """Roots that something else than this group reads."""
        return {root for root, users in self._users.items() if users - {time}}

    def _called(self, groups: list[Group | Tile], time: int, names: Names) -> list[tuple[str, set[int]]]:
        """The lines that make what these groups write, and run them as one kernel."""
        lines: list[tuple[str, set[int]]] = []
        given: dict[str, str] = {}  # the text of an address: its name in the kernel
        body: list[str] = []
        used: set[int] = set()
        work = 0
        spare: dict[Any, list[int]] = {}  # arrays that earlier groups of these read for the last time, by their kind
        for k, group in enumerate(groups):
            if k:
                self._spared(groups[k - 1], time + k - 1, spare)
            stored = self._stored(time + k)

            def pointer(a: Access, group: Group | Tile = group, k: int = k, body: list[str] = body) -> str:
                """The name of an address in the kernel."""
                root = a.slot.root
                if root in self._made and root not in self.workspace and self._made[root] is group and (
                        self._slots[root].number not in used):
                    lines.append(self._new(root, group, time + k, names, spare))
                    used.add(self._slots[root].number)
                address, number, far = self._address(a)
                if number is not None:
                    used.add(number)
                where = given.setdefault(address, f"%b{len(given)}")
                self._count += 1
                body.append(f"%p{self._count} = getelementptr i8, ptr {where}, i64 {far}")
                return f"%p{self._count}"

            work += math.prod(group.shape) * len(group.pieces)
            if isinstance(group, Tile):
                given.setdefault("threads()", "%threads")
                body += self._blocks(group, stored, pointer, given.setdefault("base", f"%b{len(given)}"))
                continue
            if not any([piece.output.slot.root in stored for piece in group.pieces]):
                continue
            loop = Loop(group, stored, self._machine)
            addresses = [f"ptr {pointer(a)}" for a in loop.operands]
            if loop.parallel:
                given.setdefault("threads()", "%threads")
                addresses.append("i32 %n")
            body.append(f"call void @{self._named(loop)}({', '.join(addresses)})")
        kernel = f"kernel{len(self._kernels)}"
        if "threads()" in given:
            body.insert(0, "%n = ptrtoint ptr %threads to i32")
        arguments = ", ".join([f"ptr {b}" for b in given.values()])
        text = "\n".join([f"define void @{kernel}({arguments}) #0 {{", *body, "ret void", "}\n"])
        self._kernels.append((kernel, text, len(given), work < LARGE))
        lines.append((f"{kernel}({', '.join(given)})", used))
        return lines

    def _named(self, loop: Loop) -> str:
        """The name of a loop's function, which is written once."""
        self._declared |= loop.lanes.declared
        return self._loops.setdefault(loop.text(), f"loop{len(self._loops)}")

    def _blocks(self, tile: Tile, stored: set[int], pointer: Callable[[Access], str], base: str) -> list[str]:
        """The lines of a kernel that run a tile."""
        reads = [{a.slot.root for p in g.pieces for a in p.reads.values()} for g in tile.groups]
        seen = [stored.union(*[r for j, r in enumerate(reads) if j != k]) for k in range(len(reads))]
        inner = {root: self._slots[root] for root, made in self._made.items() if made is tile and root not in stored
                 and root not in self.workspace and root not in self._held and dense(self._slots[root])}
        self._count += 1
        its = Blocks(f"tile{self._count}", tile, seen, inner, self._machine, self.size, base, pointer, self._named)
        self.size += its.size
        self._parts.update(dict.fromkeys(its.parts))
        self._declared |= DECLARED
        return its.lines

    def _address(self, a: Access) -> tuple[str, int | None, int]:
        """(an address as Python writes it, the slot whose name that needs, bytes from there)."""
        s, size = a.slot, SIZES[KINDS[a.slot.dtype]]
        if s.root in self.workspace:
            return "base", None, self.workspace[s.root] + (a.offset - self._slots[s.root].offset) * size
        root = self._slots.get(s.root)
        own = s.number in self.program.constants or any([s.number == i.number for i in self.program.inputs])
        carrier = s if own or root is None else root
        if carrier.number in self.program.folded and carrier.number in self.program.constants:
            return str(self.program.constants[carrier.number].data_ptr()), None, (a.offset - carrier.offset) * size
        return f"v{carrier.number}.data_ptr()", carrier.number, (a.offset - carrier.offset) * size

    def _spared(self, group: Group | Tile, time: int, spare: dict[Any, list[int]]) -> None:
        """The arrays that are needed no more after a group."""
        for root in dict.fromkeys([a.slot.root for p in group.pieces for a in p.accesses()]):
            s = self._slots.get(root)
            if (s is not None and s.whole and self._times[root] == time and root not in self._held
                    and root not in self.workspace and root in self._there):
                self._there.remove(root)
                spare.setdefault((s.shape, s.strides, s.dtype), []).append(root)

    def _new(self, root: int, group: Group | Tile, time: int, names: Names,
             spare: dict[Any, list[int]]) -> tuple[str, set[int]]:
        """The line that makes an array: anew, or in the place of one that was read for the last time."""
        s = self._slots[root]
        mine = [p for p in group.pieces if p.output.slot.root == root]
        # in the place of what the group reads only where each number is written where it was read
        if isinstance(group, Group) and s.whole and not any([p.reduces for p in mine]):
            for a in [a for p in group.pieces for a in p.reads.values()]:
                o = a.slot
                places = group.reads.get(o.root, set()) | group.writes.get(o.root, set())
                if (o.number == o.root and o.shape == s.shape and o.strides == s.strides and o.dtype is s.dtype
                        and o.root not in self._held and o.root not in self.workspace and self._times[o.root] == time
                        and len(places) == 1 and o.number in self._there
                        and all([p.output.strides == a.strides for p in mine])):
                    self._there.remove(o.number)
                    self._there.add(root)
                    return f"v{s.number} = v{o.number}", {s.number, o.number}
        self._there.add(root)
        if s.whole and (others := spare.get((s.shape, s.strides, s.dtype))):
            before = others.pop()
            return f"v{s.number} = v{before}", {s.number, before}
        return f"v{s.number} = empty({s.shape!r}, {s.strides!r}, {names.of(s.dtype)})", {s.number}


class _Workspaces:
    """Memory for the calls of a recording, one for each that runs at a time. The memory of a call is its address and
    the arrays in it that torch's calls read."""

    def __init__(self, size: int, views: list[tuple[int, Slot]]):
        self._size, self._views = size, views
        self._free: list[tuple[Any, ...]] = []

    def functions(self) -> dict[str, Any]:
        return {"take": self._take, "give": self._free.append}

    def _take(self) -> tuple[Any, ...]:
        try:
            return self._free.pop()
        except IndexError:
            return self._new()

    def _new(self) -> tuple[Any, ...]:
        memory = torch.empty(self._size + _ALIGN, dtype=torch.uint8, device="cpu")
        start = -memory.data_ptr() % _ALIGN
        made: list[Tensor] = []
        for place, s in self._views:
            part = memory[start + place:start + place + _nbytes(s)].view(s.dtype)
            made.append(part.as_strided(s.shape, s.strides or (), part.storage_offset()))
        return memory.data_ptr() + start, memory, *made


def dense(s: Slot) -> bool:
    """Whether a slot's elements lie without gaps."""
    return math.prod(s.shape) == 1 + sum([(n - 1) * t for n, t in zip(s.shape, s.strides or (), strict=True)])


def _nbytes(s: Slot) -> int:
    return math.prod(s.shape) * SIZES[KINDS[s.dtype]]


__all__ = ["NotNative", "native"]
