"""What every layer of the catalogue is held to, from a case alone: a layer, what enters it, and torch's equivalent.

The equivalent is a plain function of torch tensors, `equivalent(*xs, p, training)`: xs in the layout of the case, p the
parameters by name (learnables and states, and what `drawn` found). It returns the outputs, or (outputs, new states) where
training moves states. Outputs are compared in the layout that the layer gives for the case's own; a single one may be bare.
"""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from helpers import seeded, tensor, uniform, within

import gradloom as gl

LOOSE, TIGHT = 1e-5, 1e-10  # of float32 and float64
DIFFERENTIABLE = ("real", "complex")


@dataclass(frozen=True)
class Given:
    """One array that enters: its labels in torch's order, its sizes, and which numbers it holds."""

    labels: str
    shape: tuple[int, ...]
    kind: str = "real"  # "real", "complex", "index" (whole numbers from 0 to below high), "truth" or "values"
    low: float = -1.0
    high: float = 1.0
    values: tuple[int, ...] = ()  # the whole numbers themselves, repeated


def given(labels: str, *shape: int, kind: str = "real", low: float | None = None, high: float = 1.0,
          values: tuple[int, ...] = ()) -> Given:
    """`given("BCSS", 2, 3, 5, 4)`."""
    return Given(labels, shape, "values" if values else kind, -high if low is None else low, high, values)


@dataclass(frozen=True)
class Case:
    """A layer, what enters it, and torch's equivalent. A layer that draws random numbers in training says with
    `drawn(run, *xs)` which they were, by running the layer on other arrays: {name: array}, which join the parameters."""

    layer: Any
    inputs: tuple[Given, ...]
    equivalent: Callable[..., Any]
    drawn: Callable[..., dict[str, Any]] | None = None
    network: Callable[[torch.dtype], Any] | None = None  # for a layer that cannot stand alone: the network around it

    @property
    def modes(self) -> tuple[bool, ...]:
        """Inference, and training where it differs."""
        return (False, True) if type(self.layer).forward is not gl.Layer.forward else (False,)


def case(layer: Any, *entering: Given, equivalent: Callable[..., Any], drawn: Callable[..., dict[str, Any]] | None = None,
         network: Callable[[torch.dtype], Any] | None = None) -> Case:
    """`case(L.ReLU(), given("BC", 2, 3), equivalent=lambda x, p, training: x.relu())`."""
    return Case(layer, entering, equivalent, drawn, network)


# ----- both sides of a case -------------------------------------------------------------------------------------------


def numbers(its: Given, k: int) -> torch.Tensor:
    """What enters, decided by the shape."""
    stream = seeded(k, its)
    if its.kind == "index":
        return torch.randint(0, int(its.high), its.shape, generator=stream)
    if its.kind == "values":
        return torch.tensor(its.values).repeat(math.prod(its.shape) // len(its.values)).reshape(its.shape)
    if its.kind == "truth":
        return torch.rand(its.shape, generator=stream) < 0.6
    return uniform(its.shape, torch.complex128 if its.kind == "complex" else torch.float64, stream, its.low, its.high)


def entering(case: Case, dtype: torch.dtype) -> list[Any]:
    """The arrays that enter, in the layout of the case."""
    made = []
    for k, its in enumerate(case.inputs):
        x = numbers(its, k)
        x = x.to(COMPLEX[dtype] if x.is_complex() else dtype) if its.kind in DIFFERENTIABLE else x
        made.append(gl.dlarray(x, its.labels or None))
    return made


COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def network(case: Case, dtype: torch.dtype) -> Any:
    """The layer as a network whose parameters are random, so that no zero or one hides anything."""
    needed = type(case.layer).initialize is not gl.Layer.initialize and not hasattr(case.layer, "layout")
    examples = [gl.Layout(its.shape, its.labels or None) for its in case.inputs] if needed else []
    net = gl.dlnetwork([case.layer], *examples, dtype=dtype) if case.network is None else case.network(dtype)

    def drawn(key: Any, x: Any) -> Any:
        low = 0.5 if "variance" in key[1] else -1.0
        return gl.dlarray(uniform(x.shape, COMPLEX[torch.float64] if x.dtype.is_complex else torch.float64, seeded(key, x.shape), low).to(x.dtype), x.dims or None)

    return net.replace(learnables={k: drawn(k, x) for k, x in net.learnables.items()}, state={k: drawn(k, x) for k, x in net.state.items()})


def run(net: Any, xs: Sequence[Any], training: bool) -> tuple[tuple[Any, ...], Any]:
    """The outputs and new states; a layer that draws draws the same each time."""
    gl.rng(7)
    y, state = (net.forward if training else net.predict)(*xs, return_state=True)
    return (y if isinstance(y, tuple) else (y,)), state


def parameters(case: Case, net: Any, xs: Sequence[Any], training: bool) -> dict[str, torch.Tensor]:
    """Learnables and states by name as torch tensors of double precision, and what the layer draws."""
    found = {name: wide(x) for mapping in (net.learnables, net.state) for (_, name), x in mapping.items()}
    if training and case.drawn is not None:
        order = [y.dims for y in run(net, [x for x in entering(case, torch.float64)], True)[0]][0]
        for name, x in case.drawn(lambda *others: run(net, others, True)[0][0], *xs).items():
            found[name] = wide(arranged(x, order))
    return found


def wide(x: Any) -> torch.Tensor:
    """The numbers in double precision."""
    x = tensor(x)
    return x.to(torch.complex128) if x.is_complex() else x.double() if x.is_floating_point() else x


def truth(case: Case, xs: Sequence[torch.Tensor], p: dict[str, torch.Tensor], training: bool) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
    """What torch's equivalent says: outputs, and the states that it moves."""
    found = case.equivalent(*xs, p=p, training=training)
    states: dict[str, Any] = {}
    if isinstance(found, tuple) and found and isinstance(found[-1], dict):
        found, states = (found[0] if len(found) == 2 else found[:-1]), found[-1]
    return (tuple(found) if isinstance(found, (tuple, list)) else (found,)), states


def arranged(x: Any, order: str) -> Any:
    """x with its axes in the order of these labels, where it has them."""
    return gl.permute_dims(x, order) if order and sorted(x.dims) == sorted(order) else x


def real_parts(ys: Sequence[Any], functions: Any) -> list[Any]:
    """Outputs that carry derivatives, complex ones as their real and imaginary part."""
    parts: list[Any] = []
    for y in ys:
        if y.dtype.is_complex:
            parts += [functions.real(y), functions.imag(y)]
        elif y.dtype.is_floating_point:
            parts.append(y)
    return parts


# ----- checks: values -------------------------------------------------------------------------------------------------


def check_values(case: Case) -> None:
    """Outputs and states are torch's, in float64 and float32, in training and in use; types are kept."""
    for dtype, tolerance in ((torch.float64, TIGHT), (torch.float32, LOOSE)):
        close = within(tolerance)
        net, xs = network(case, dtype), entering(case, dtype)
        for training in (False, True):
            ys, state = run(net, xs, training)
            expected, states = truth(case, [wide(x) for x in xs], parameters(case, net, xs, training), training)
            assert len(ys) == len(expected), f"{len(ys)} outputs, torch's equivalent has {len(expected)}"
            for y, its in zip(ys, expected, strict=True):
                assert not y.dtype.is_floating_point or y.dtype is dtype, f"{y.dtype} from {dtype}"
                close(wide(y), its)
            old = {name: wide(x) for (_, name), x in net.state.items()}
            for (_, name), value in state.items():
                assert value.dtype in (dtype, COMPLEX[dtype]), f"the state {name} became {value.dtype}"
                close(wide(value), states.get(name, old[name]))


def check_label_orders(case: Case) -> None:
    """Arrays with their axes in any order give the same numbers."""
    close = within(TIGHT)
    net, xs = network(case, torch.float64), entering(case, torch.float64)
    orders = [sorted(set(map("".join, itertools.permutations(x.dims)))) or [""] for x in xs]
    count = max(map(len, orders), default=1)
    for training in case.modes:
        names = [y.dims for y in run(net, xs, training)[0]]
        for k in range(count):
            moved = [arranged(x, its[(k * (j + 1)) % len(its)]) for j, (x, its) in enumerate(zip(xs, orders, strict=True))]
            ys, _ = run(net, moved, training)
            expected, _ = truth(case, [wide(x) for x in xs], parameters(case, net, moved, training), training)
            for y, its, order in zip(ys, expected, names, strict=True):
                assert sorted(y.dims) == sorted(order), f"labels {y.dims} for {[x.dims for x in moved]}"
                close(wide(arranged(y, order)), its)


# ----- checks: derivatives --------------------------------------------------------------------------------------------


class Sides:
    """A case ready to be differentiated: its variables by name (inputs by place, learnables by key), and both functions of
    them, as lists of real outputs."""

    def __init__(self, case: Case, dtype: torch.dtype, training: bool):
        self.case, self.training = case, training
        self.net, self.xs = network(case, dtype), entering(case, dtype)
        self.p = parameters(case, self.net, self.xs, training)
        self.leaves: dict[Any, Any] = {k: x for k, x in enumerate(self.xs) if case.inputs[k].kind in DIFFERENTIABLE}
        self.leaves.update(self.net.learnables.items())

    def ours(self, leaves: dict[Any, Any]) -> list[Any]:
        xs = [leaves.get(k, x) for k, x in enumerate(self.xs)]
        learnables = {k: leaves[k] for k in self.net.learnables}
        return real_parts(run(self.net.replace(learnables=learnables), xs, self.training)[0], gl)

    def torchs(self, leaves: dict[Any, torch.Tensor]) -> list[torch.Tensor]:
        xs = [leaves.get(k, wide(x)) for k, x in enumerate(self.xs)]
        p = {**self.p, **{k[1]: x for k, x in leaves.items() if isinstance(k, tuple)}}
        return real_parts(truth(self.case, xs, p, self.training)[0], torch)

    def torch_leaves(self) -> dict[Any, torch.Tensor]:
        return {k: wide(x).clone().requires_grad_() for k, x in self.leaves.items()}


def weighted(parts: Sequence[Any], squared: bool, sum_: Callable[[Any], Any]) -> Any:
    """One number from outputs, which weighs each of their entries by itself."""
    total: Any = 0.0
    for k, part in enumerate(parts):
        shape = tuple(part.shape)
        w = uniform(shape, torch.float64, seeded("weights", k, shape))
        if not isinstance(part, torch.Tensor):
            w = gl.dlarray(w.to(part.dtype), part.dims or None)
        total = total + sum_(w * part * (part if squared else 1.0))
    return total


def gradients(function: torch.Tensor, leaves: dict[Any, torch.Tensor], **options: Any) -> dict[Any, torch.Tensor]:
    """torch's gradient, zeros where nothing leads to a variable."""
    if not function.requires_grad:
        return {k: torch.zeros_like(x) for k, x in leaves.items()}
    found = torch.autograd.grad(function, list(leaves.values()), allow_unused=True, **options)
    return {k: torch.zeros_like(x) if g is None else g for (k, x), g in zip(leaves.items(), found, strict=True)}


def check_gradients(case: Case) -> None:
    """Gradients with respect to inputs and learnables, float64 and float32."""
    for dtype, tolerance in ((torch.float64, TIGHT), (torch.float32, LOOSE)):
        for training in case.modes:
            sides = Sides(case, dtype, training)
            if not sides.leaves or not sides.ours(sides.leaves):
                continue
            found = gl.dlfeval(lambda leaves, sides=sides: gl.dlgradient(weighted(sides.ours(leaves), False, gl.sum), leaves), sides.leaves)
            theirs = sides.torch_leaves()
            expected = gradients(weighted(sides.torchs(theirs), False, torch.sum), theirs)
            compare(found, expected, tolerance)


def compare(found: dict[Any, Any], expected: dict[Any, torch.Tensor], tolerance: float) -> None:
    close = within(tolerance)
    assert list(found) == list(expected)
    for key, g in found.items():
        try:
            close(wide(g), expected[key])
        except AssertionError as error:
            error.add_note(f"with respect to {f'input {key}' if isinstance(key, int) else key}")
            raise


def check_second_derivatives(case: Case) -> None:
    """The Hessian of a function of the outputs times a direction."""
    for training in case.modes:
        sides = Sides(case, torch.float64, training)
        if not sides.leaves or not sides.ours(sides.leaves):
            continue
        v = {k: uniform(x.shape, x.dtype, seeded("direction", k)) for k, x in sides.leaves.items()}
        ours = {k: gl.dlarray(d, sides.leaves[k].dims or None) for k, d in v.items()}
        found = gl.dlfeval(lambda leaves, sides=sides, ours=ours: gl.hvp(weighted(sides.ours(leaves), True, gl.sum), leaves, ours), sides.leaves)
        theirs = sides.torch_leaves()
        first = gradients(weighted(sides.torchs(theirs), True, torch.sum), theirs, create_graph=True)
        along = torch.stack([(g.conj() * v[k]).real.sum() for k, g in first.items()]).sum()
        compare(found, gradients(along, theirs), TIGHT)


def check_jacobian(case: Case) -> None:
    """The structured Jacobian of all outputs with respect to all variables, entry by entry."""
    close = within(TIGHT)
    for training in case.modes:
        sides = Sides(case, torch.float64, training)
        if not sides.leaves or not sides.ours(sides.leaves):
            continue
        found = gl.dlfeval(lambda leaves, sides=sides: [gl.dljacobian(u, leaves) for u in sides.ours(leaves)], sides.leaves)
        theirs = sides.torch_leaves()
        for J, u in zip(found, sides.torchs(theirs), strict=True):
            rows = [torch.cat([g.reshape(-1) for g in gradients(entry, theirs, retain_graph=True).values()]) for entry in u.reshape(-1)]
            close(wide(J.matrix()), torch.stack(rows) if rows else torch.zeros(0, sum(x.numel() for x in theirs.values())))


def parts_of(v: Any, likes: dict[int, Any], reshape: Callable[..., Any]) -> dict[Any, Any]:
    """Arrays like these from one vector of real numbers: the parts of complex ones lie side by side."""
    found, start = {}, 0
    for k, like in likes.items():
        shape = (*like.shape, 2) if like.dtype.is_complex else tuple(like.shape)
        part = reshape(v[start:start + math.prod(shape)], shape)
        start += math.prod(shape)
        part = part[..., 0] + 1j * part[..., 1] if like.dtype.is_complex else part
        found[k] = part if isinstance(like, torch.Tensor) else gl.dlarray(part, like.dims or None)
    return found


def check_laplacian(case: Case) -> None:
    """The Laplacian with respect to all that enters, summed with weights over the entries of the outputs."""
    close = within(TIGHT)
    for training in case.modes:
        sides = Sides(case, torch.float64, training)
        places = [k for k in sides.leaves if isinstance(k, int)]
        if not places or not sides.ours(sides.leaves):
            continue
        flat = torch.cat([torch.view_as_real(x).reshape(-1) if x.is_complex() else x.reshape(-1) for x in (wide(sides.leaves[k]) for k in places)])

        def laplacian(v: Any, sides: Sides = sides, places: Sequence[int] = places) -> list[Any]:
            us = sides.ours({**sides.leaves, **parts_of(gl.stripdims(v)[0], {k: sides.xs[k] for k in places}, gl.reshape)})
            return [gl.dllaplacian(gl.dlarray(gl.reshape(gl.stripdims(u), (1, -1)), "BC"), v, "C") for u in us]

        found = [gl.reshape(gl.stripdims(y), (-1,)) for y in gl.dlfeval(laplacian, gl.dlarray(flat[None], "BC"))]
        v = flat.clone().requires_grad_()
        its = parts_of(v, {k: wide(sides.xs[k]) for k in places}, torch.reshape)
        us = [u.reshape(-1) for u in sides.torchs({**{k: wide(x) for k, x in sides.leaves.items()}, **its})]
        (first,) = gradients(weighted(us, False, torch.sum), {"v": v}, create_graph=True).values()
        second = [gradients(first[k], {"v": v}, retain_graph=True)["v"][k] for k in range(len(v))]
        close(tensor(weighted(found, False, gl.sum)), torch.stack(second).sum())


# ----- checks: files --------------------------------------------------------------------------------------------------


def check_files(case: Case, folder: Any) -> None:
    """Pickled, and saved to a file where files are there, a network gives the same bits; a function of the user's own, which
    no file holds, is refused by name."""
    net, xs = network(case, torch.float32), entering(case, torch.float32)
    copies = [pickle.loads(pickle.dumps(net))]
    if hasattr(gl, "load"):
        own = [x for x in vars(case.layer).values() if callable(x) and getattr(x, "__module__", "").startswith("layer_cases")]
        if own:
            with pytest.raises(gl.TypeRefused, match=f"the function {own[0].__qualname__}"):
                net.save(folder / "layer.safetensors")
        else:
            net.save(folder / "layer.safetensors")
            copies.append(gl.load(folder / "layer.safetensors"))
    for other in copies:
        assert repr(other.layers) == repr(net.layers)
        for mapping, its in ((net.learnables, other.learnables), (net.state, other.state)):
            assert list(mapping) == list(its)
            assert all(torch.equal(tensor(a), tensor(b)) and a.dtype is b.dtype for a, b in zip(mapping.values(), its.values(), strict=True))
        for training in case.modes:
            assert all(torch.equal(tensor(a), tensor(b)) for a, b in zip(run(net, xs, training)[0], run(other, xs, training)[0], strict=True))


CHECKS = [check_values, check_label_orders, check_gradients, check_second_derivatives, check_jacobian, check_laplacian]
