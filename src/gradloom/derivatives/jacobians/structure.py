"""The structure-only walk: the push of a Block with arrays replaced by stand-ins that know shape and type.

It says what a structured Jacobian will hold, before anything is allocated, and whether observations are independent.
What it finds is kept by the trace's signature, so that the second call pays nothing.
"""
from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ...blocks.axis import Axis, plain
from ...blocks.block import Block, identity
from ...blocks.factors import spread_over, without_repeats
from ...blocks.term import Term
from ...core.errors import line_of
from ...core.trace import Node, ancestors
from ...machine.caches import cache
from ...machine.dtypes import NUMBER_TYPES, Tensor
from ...machine.questions import decided
from ..walks.push import push

KEPT_PLANS = 256
LARGEST_TABLE = 1 << 22  # positions that are compared one by one
_plans: OrderedDict[Any, Any] = cache(f"{__name__}._plans", OrderedDict())
_lock = threading.Lock()


def stand_ins(node: Node) -> list[Any]:
    """The node's values as arrays without data; integers, which select, stay real."""
    n = len(node.parents)
    dropped = node.dropped or ()
    made: list[Any] = []
    for k, value in enumerate(node.values):
        if k in dropped:
            source = node.parents[k] if k < n else node
            value = None if source is None else torch.empty(source.shape, dtype=source.dtype, device="meta")
        elif type(value) is tuple:
            value = tuple(map(_stand_in, value))
        else:
            value = _stand_in(value)
        made.append(value)
    return made


def _stand_in(value: Any) -> Any:
    if (isinstance(value, Tensor) and (value.dtype.is_floating_point or value.dtype.is_complex
                                       or value.dtype is torch.bool)):
        # repeated where the value is
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return value


def structure(u: Node, x: Node) -> Block | None:
    """d u / d x on stand-ins: what it will hold. None where u does not depend on x."""
    return push([u], {x: identity(x.shape, x.dtype, "meta")}, values_of=stand_ins)[0]


def depends(u: Node | None, x: Node | None) -> bool:
    """Whether the trace leads from x to u at all."""
    return u is not None and x is not None and x in ancestors([u], x.number)


def free_memory() -> int:
    """Bytes of memory that can be had now."""
    try:
        with open("/proc/meminfo") as info:
            for line in info:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 4 << 30


# ----- signatures -----------------------------------------------------------------------------------------------------


def signature(outputs: Sequence[Node], inputs: Sequence[Node], contents: bool = True) -> Any:
    """Equal for traces with the same operations, parameters, shapes and types; None where it cannot be told cheaply.

    `contents`: integers that select belong to it; without them it is enough to choose between walks, not to tell what
    they find.
    """
    order = ancestors(outputs, min(n.number for n in inputs))
    place = {node: k for k, node in enumerate(order)}
    rows = []
    for node in order:
        params = _frozen(node.params, contents)
        if params is None:
            return None
        rows.append((node.operation, params, tuple(-1 if p is None else place.get(p, -1) for p in node.parents),
                     node.shape, node.dtype,
                     tuple([_kind(v, contents) if type(v) not in NUMBER_TYPES else _number(node.operation, k, v)
                            for k, v in enumerate(node.values)])))
    return tuple(rows), tuple(place[n] for n in outputs), tuple(place.get(n, -1) for n in inputs)


def _kind(value: Any, contents: bool) -> Any:
    """Of a constant: shape and type; positions belong to the structure, as `stand_ins` leaves them as they are."""
    if isinstance(value, Tensor):
        return ((value.shape, value.dtype, _content(value)) if contents and _positions(value)
                else (value.shape, value.dtype))
    if type(value) is tuple:
        return tuple([_kind(v, contents) for v in value])
    return None if value is None else _exactly(value)


def _positions(value: Any) -> bool:
    """Whether it is an array that stays real where others are replaced by stand-ins."""
    return (isinstance(value, Tensor) and not (value.dtype.is_floating_point or value.dtype.is_complex
                                               or value.dtype is torch.bool))


def _content(value: Tensor) -> int:
    return hash(value.cpu().numpy().tobytes())


def _number(operation: Any, k: int, value: Any) -> Any:
    """Of a number among the operands: a rule that reads it may decide by it; where the partial is the number itself, only 0 decides."""
    stated = getattr(operation, "stated", None)
    decides = stated is None or k >= len(operation.inputs) or any(
        callable(p) and operation.inputs[k] in b.reads for p, b in zip(stated, operation.partials, strict=True))
    return _exactly(value) if decides or value == 0 else type(value)


def _exactly(value: Any) -> Any:
    """A number as a key: equal only to itself (1, 1.0 and True are equal in Python, and so are 0.0 and -0.0)."""
    return type(value), repr(value)


def _frozen(value: Any, contents: bool) -> Any:
    if isinstance(value, dict):
        items = [(k, _frozen(v, contents)) for k, v in value.items()]
        return None if any(v is None for _, v in items) else tuple(items)
    if isinstance(value, (tuple, list)):
        items = [_frozen(v, contents) for v in value]
        return None if any(v is None for v in items) else tuple(items)
    if isinstance(value, slice):
        return "slice", value.start, value.stop, value.step
    if isinstance(value, Tensor) and not contents:
        return value.shape, value.dtype
    if isinstance(value, Tensor):
        return (None if value.numel() > 1 << 16 or value.layout is not torch.strided
                else (value.shape, value.dtype, _content(value)))
    if isinstance(value, (float, complex)):
        return _exactly(value)
    if value is None or isinstance(value, (bool, int, str, torch.dtype, torch.Size)) or value is Ellipsis:
        return type(value), value
    return None


def remembered(kind: str, outputs: Sequence[Node], inputs: Sequence[Node], find: Any, extra: Any = (),
               contents: bool = True) -> Any:
    """What `find()` says, kept by the trace's signature."""
    key = signature(outputs, inputs, contents)
    if key is None:
        return find()
    key = (kind, key, extra)
    with _lock:
        if key in _plans:
            _plans.move_to_end(key)
            return _plans[key]
    found = find()
    with _lock:
        _plans[key] = found
        while len(_plans) > KEPT_PLANS:
            _plans.popitem(last=False)
    return found


# ----- independence of observations -----------------------------------------------------------------------------------


Partners = dict[int, list[int]]  # for each batch axis of u, the axes of x that may carry the same observations


def independence(u: Node, x: Node, partners: Partners) -> tuple[str, str]:
    """("proved" | "disproved" | "unknown", reason): whether u at each position of its batch axes depends on x there
    alone.

    A tangent that differs from observation to observation is pushed through the trace's structure: if its tie to the
    observation survives, no operation mixed them.
    """
    key = tuple((k, tuple(js)) for k, js in partners.items())
    verdict, reason, at = remembered("independence", [u], [x], lambda: _independence(u, x, partners), key)
    if at is not None:  # a place in every trace alike: the line is this one's
        node = ancestors([u], x.number)[at]
        reason = f"{node.operation.name} mixes them, in {line_of(node.site)}"
    return verdict, reason


def _independence(u: Node, x: Node, partners: Partners) -> tuple[str, str, int | None]:
    """The verdict, its reason, and where in the trace the operation is that mixes observations."""
    x_axes = sorted({j for js in partners.values() for j in js})
    axes = [plain(n) for n in x.shape]
    others = [i for k, a in enumerate(axes) if k not in x_axes for i in a.indices]
    factor = torch.empty([i.size for i in others], dtype=x.dtype, device="meta")
    inn = [axes[j] for j in x_axes]
    seed = Block([Term([(factor, tuple(others))], axes, inn)], x.shape, [x.shape[j] for j in x_axes], x.dtype, "meta")
    try:
        block = push([u], {x: seed}, values_of=stand_ins)[0]
    except Exception as error:  # an operation that cannot run without data: no proof either way
        return "unknown", f"an operation between cannot be followed without its data ({str(error).splitlines()[0][:80]})", None
    if block is None:
        return "proved", "it does not depend on it at all", None
    pairing: dict[int, set[int]] = {k: set(js) for k, js in partners.items()}
    for term in block.terms:
        for k, allowed in pairing.items():
            allowed &= {x_axes[j] for j in _tied(term, k)}
    if all(pairing.values()) and _matching([sorted(js) for js in pairing.values()]):
        return "proved", "", None
    if block.untied:
        return "unknown", block.untied[0], None
    return "disproved", "some operation mixes them", _mixer(u, x, seed)


def _tied(term: Term, k: int) -> list[int]:
    """The in axes at whose very position out axis k always is."""
    return [j for j, b in enumerate(term.inn) if _same_places(term.out[k], b)]


def _same_places(a: Axis, b: Axis) -> bool:
    """Whether two axes are at the same position wherever both are somewhere."""
    if a.indices == b.indices and (a.positions is None) is (b.positions is None) and a.table_key == b.table_key:
        return True
    if a.positions is None and b.positions is None:
        return False
    ids = tuple(dict.fromkeys((*a.indices, *b.indices)))
    if math.prod(i.size for i in ids) > LARGEST_TABLE:
        return False
    one, other = (spread_over(*without_repeats(axis.table(), axis.indices), ids) for axis in (a, b))
    return decided(((one == other) | (one < 0) | (other < 0)).all())


def in_order(axis: Axis) -> bool:
    """Whether an axis of one index is at that index itself."""
    return axis.positions is None or decided((axis.positions == torch.arange(axis.size, device="cpu")).all())


def _matching(choices: list[list[int]]) -> bool:
    """Whether every batch axis of u can have an axis of x of its own."""
    return (not choices or any(_matching([[j for j in other if j != first] for other in choices[1:]])
                               for first in choices[0]))


def _mixer(u: Node, x: Node, seed: Block) -> int | None:
    """Which of the nodes that lead to u is the first to lose a tie that u has lost."""
    def lost_at(node: Node) -> set[int]:
        block = push([node], {x: seed}, values_of=stand_ins)[0]
        lost: set[int] = set()
        for term in block.terms if block is not None else ():
            lost |= set(range(len(term.inn))) - {j for k in range(len(term.out)) for j in _tied(term, k)}
        return lost

    lost = lost_at(u)
    for k, node in enumerate(ancestors([u], x.number)):
        if node is x or node.shape is None or not depends(node, x):
            continue
        try:
            if lost & lost_at(node):
                return k
        except Exception:  # it cannot be followed without its data; the next one may tell
            continue
    return None


def rests_on_positions(order: Iterable[Node]) -> bool:
    """Whether some structure rests on positions, which a plan that is kept without contents does not know."""
    return any(_positions(v) for node in order for v in (*node.values, *node.params.values()))


__all__ = ["depends", "free_memory", "identity", "independence", "remembered", "rests_on_positions",
           "signature", "stand_ins",
           "structure"]
