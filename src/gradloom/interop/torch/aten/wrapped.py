"""What torch's functions see of a dlarray: a tensor without memory, whose views share a cell, so that writes are
functional."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from ....core.array import dlarray
from ....core.errors import TraceError, TypeRefused, line_of, user_site
from ....core.operation import NO_PARAMS, Operation
from ....core.trace import Node, live
from ....derivatives.words.marks import VARIABLE
from ....machine.dtypes import Tensor, differentiable
from ....machine.modes import under
from ...by_position import written_at
from .overloads import opname

_made = dlarray._made

OVERWRITTEN = Operation("overwritten", lambda x: x, ("x",))
OVERWRITTEN.recomputable = False  # its value is not its parent's
OVERWRITTEN.pull = lambda v, params, node, y_bar, lead, wanted: [y_bar]  # type: ignore[method-assign]
OVERWRITTEN.push = lambda v, params, node, dots, lead: dots[0]  # type: ignore[method-assign]


class Run:
    """One call of a torch function or module: while it lasts, its values count."""

    __slots__ = ("again", "mode", "over", "trace", "word")

    def __init__(self, word: str, mode: Any, trace: Any, again: Any):
        self.word = word
        self.again = again  # runs torch code as this is run
        self.mode = mode
        self.trace = trace
        self.over = False


class _Thread(threading.local):
    run: Run | None = None


thread = _Thread()  # where a run begins and ends it is assigned: an interrupt could come before a call


def running() -> Run | None:
    """What this thread is running."""
    return thread.run


class Cell:
    """What a wrapped tensor and its views share: the value, how often it was written, and what torch calls
    requires_grad and is_leaf."""

    __slots__ = ("leaf", "run", "value", "varies", "version")

    def __init__(self, value: dlarray, varies: bool = False, leaf: bool = False):
        self.value = value
        self.version = 0
        self.varies = varies
        self.leaf = leaf
        self.run = running()


class Wrapped(Tensor):
    """A dlarray as torch's functions see it: shape, type and strides, no memory."""

    _cell: Cell
    _constant: bool  # a view that carries no derivative: a detached one
    _steps: tuple[Step, ...]
    _known: tuple[int, dlarray] | None

    @staticmethod
    def __new__(cls, cell: Cell, steps: tuple[Step, ...] = (), known: dlarray | None = None, strides: Any = None,
                constant: bool = False) -> Wrapped:
        value = cell.value._value if known is None else known._value
        if torch.is_inference_mode_enabled():  # what is made there cannot be written later
            with torch._C._InferenceMode(False):
                return cls(cell, steps, known, strides, constant)
        made: Any = Tensor._make_wrapper_subclass(  # without strides: in C order
            cls, value.shape, strides=strides, dtype=value.dtype, device=value.device)
        made._cell = cell
        made._constant = constant
        made._steps = steps
        made._known = None if known is None else (cell.version, known)
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise TraceError(f"{func} meets a value of a torch function that has returned, at {line_of(user_site())}; "
                         "return it from the function or module instead of keeping it elsewhere")

    def array(self) -> dlarray:
        """The value, as it is now."""
        cell = self._cell
        if cell.varies and cell.run is not None and cell.run.over:
            raise TraceError(
                f"a value of {cell.run.word} that was kept from an earlier call, in a global or a cache, is read at "
                f"{line_of(user_site())}; keep it in the module, or compute it again")
        if not self._steps:
            return cell.value
        if self._known is None or self._known[0] != cell.version:
            value = cell.value
            for step in self._steps:
                value = step.of(value)
            self._known = (cell.version, value)
        return self._known[1]

    def write(self, value: dlarray, varies: bool, unseen: bool) -> None:
        """Put a value of this shape and type into the place; one that torch's autograd does not see changes numbers and
        no derivative."""
        cell = self._cell
        if self._steps:
            base = cell.value
            where = torch.arange(base.size, device=base.device).reshape(base.shape)
            for step in self._steps:
                where = step.positions(where)
            value = written_at(_made(base._value, None, None) if unseen else base, where, value)
        node = live(cell.value._node) if unseen else None
        if node is not None:
            made = Node(OVERWRITTEN, node.trace, (node,), [None, value._value], NO_PARAMS, value._value, user_site())
            value = _made(value._value, made, None)
        cell.value = value
        cell.version += 1
        cell.varies = cell.varies or varies
        cell.leaf = cell.leaf and not varies

    # What torch's autograd knows of a tensor.

    @property
    def requires_grad(self) -> bool:  # type: ignore[override]
        return self._cell.varies and not self._constant

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    @property
    def is_leaf(self) -> bool:  # type: ignore[override]
        return not self.requires_grad or self._cell.leaf and not self._steps

    @property
    def grad_fn(self) -> Any:  # type: ignore[override]
        return None if self.is_leaf else GradFunction(self)

    @property
    def grad(self) -> None:  # type: ignore[override]
        return None

    @property
    def data(self) -> Any:  # type: ignore[override]
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        under([torch.no_grad()], self.copy_, value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        if requires_grad == self.requires_grad:
            return self
        if not self.is_leaf:
            raise RuntimeError("you can only change requires_grad flags of leaf variables.")
        value = self.array()
        if not differentiable(value.dtype):
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        run = running()
        if not requires_grad:
            value = _made(value._value, None, None)
        elif live(value._node) is None and run is not None and run.trace is not None:
            value = variable(value, run.trace)
        self._cell, self._steps, self._known, self._constant = Cell(value, requires_grad, True), (), None, False
        return self

    def detach_(self) -> Any:
        self._cell = Cell(_made(self.array()._value, None, None))
        self._steps, self._known, self._constant = (), None, False
        return self

    def retain_grad(self) -> None:
        pass  # there is no .grad to keep

    def _refused(self, *args: Any, **options: Any) -> Any:
        raise TypeRefused(
            "backward() and hooks on gradients work on torch's own graph, which a value of gradloom has not, at "
            f"{line_of(user_site())}; write torch.autograd.grad(y, x, create_graph=True) inside, gl.dlgradient(y, x) "
            "outside, and a torch.autograd.Function to change a gradient on its way")

    backward = register_hook = register_post_accumulate_grad_hook = _refused  # type: ignore[assignment]

    # What takes a value out of torch follows the library's conversions.

    def __bool__(self) -> bool:
        return bool(self.array())

    def __int__(self) -> int:
        return int(self.array())

    def __float__(self) -> float:
        return float(self.array())

    def __complex__(self) -> complex:
        return complex(self.array())

    def __index__(self) -> int:
        return self.array().__index__()

    def item(self) -> Any:
        return self.array().item()

    def tolist(self) -> Any:
        return self.array().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        return self.array().numpy()

    def __array__(self, dtype: Any = None) -> Any:  # type: ignore[override]
        return self.array().__array__(dtype)

    def __format__(self, spec: str) -> str:
        return format(self.array(), spec) if not self.ndim else object.__format__(self, spec)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        cell = self._cell
        over = cell.run is not None and cell.run.over
        return f"<a torch function's {tuple(self.shape)}>" if over else f"<a torch function's {self.array()!r}>"

    def __deepcopy__(self, memo: Any) -> Wrapped:
        return wrapped(self.array(), self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeRefused(f"a value inside a torch function cannot be saved, at {line_of(user_site())}; return it")


class Step:
    """One view: what takes a base to its part, as an operation on dlarrays and as torch's own on positions."""

    __slots__ = ("after", "before", "func", "kwargs", "mode", "which")

    def __init__(self, mode: Any, func: Any, before: tuple[Any, ...], after: tuple[Any, ...],
                 kwargs: dict[str, Any], which: int | None):
        self.mode = mode
        self.func = func
        self.before = before
        self.after = after
        self.kwargs = kwargs
        self.which = which

    def of(self, base: dlarray) -> dlarray:
        result = self.mode.computed(self.func, (*self.before, base, *self.after), self.kwargs)
        return result if self.which is None else result[self.which]

    def positions(self, where: Tensor) -> Tensor:
        name = opname(self.func)
        if (name in ("view_as_real", "view_as_complex", "real", "imag") or name == "view"
            and self.func._overloadname == "dtype"):
            raise TypeRefused(f"a write through {name} of an array that is differentiated, at {line_of(user_site())}; "
                              "compute the real and imaginary parts and join them with torch.complex")
        if name in ("_conj", "_neg_view", "detach", "alias"):
            return where
        result = self.func(*self.before, where, *self.after, **self.kwargs)
        return result if self.which is None else result[self.which]


class GradFunction:
    """What `grad_fn` of a computed value is: torch's graph is not there, so nothing can be asked of it."""

    def __init__(self, of: Wrapped):
        self.of = of

    def name(self) -> str:
        return "GradloomBackward"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.of._refused()


def variable(value: dlarray, trace: Any) -> dlarray:
    """The values as a variable of a trace."""
    return _made(value._value, Node(VARIABLE, trace, (), [value._value], NO_PARAMS, value._value, user_site()), None)


def wrapped(value: dlarray, varies: bool = False, leaf: bool = False) -> Wrapped:
    """A place of its own that holds a value."""
    return Wrapped(Cell(value, varies and differentiable(value._value.dtype), leaf))


def wrapped_whole(part: Wrapped) -> Wrapped:
    """The whole array that this is a view of."""
    return Wrapped(part._cell, constant=part._constant)


def strided(part: Wrapped, size: Any, stride: Any, storage_offset: int | None = None) -> tuple[Any, Any, int]:
    """as_strided of a view in terms of the whole array."""
    if storage_offset is None:
        where = torch.arange(part._cell.value.size, device="cpu").reshape(part._cell.value.shape)
        for step in part._steps:
            where = step.positions(where)
        storage_offset = int(where.reshape(-1)[0]) if where.numel() else 0
    return size, stride, storage_offset


# ----- trees of arguments and results -----


def mapped(function: Callable[[Any], Any], x: Any) -> Any:
    """The function on every leaf of what operations take and return: numbers, arrays, lists of them (torch's own trees
    take ten times as long)."""
    kind = type(x)
    if kind is list or kind is tuple:
        made = [function(e) if type(e) in _LEAVES else mapped(function, e) for e in x]
        return made if kind is list else tuple(made)
    if kind is dict:
        return {k: mapped(function, e) for k, e in x.items()} if x else x
    if isinstance(x, tuple):
        return tuple([mapped(function, e) for e in x])
    return function(x)


_LEAVES = frozenset((Wrapped, dlarray, Tensor, int, float, bool, type(None)))  # most of them


def leaves_of(x: Any) -> list[Any]:
    """The leaves, in order."""
    found: list[Any] = []
    mapped(found.append, x)
    return found
