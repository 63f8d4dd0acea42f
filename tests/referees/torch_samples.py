"""Torch's own samples (op_db) on dlarrays: what a function gives, and every derivative of it, against torch's.

A sample is a function with its arguments. `verdict` runs it and says "right", "refused" (by an error in words) or "nothing" (there is
no floating argument or result, or torch itself does not take it), and raises `Wrong` where a number, a shape or a type is not torch's
and where the error is none of this library.
"""

import copy
import warnings

import torch
from helpers import seed_torch
from torch.utils import _pytree

import gradloom as gl
from gradloom import GradloomError, dlarray
from gradloom.interop.torch import from_torch

ROUNDING = {torch.float64: 1e-7, torch.complex128: 1e-7, torch.float32: 2e-3, torch.complex64: 2e-3, torch.float16: 5e-2, torch.bfloat16: 5e-2,
            torch.complex32: 5e-2}
SINGLE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
BLOCK_AT_MOST = 100_000  # entries of a Jacobian


class Wrong(AssertionError):
    """A number, a shape or a type that is not torch's, or an error that is not in words."""


def is_floating(x):
    return isinstance(x, torch.Tensor) and (x.dtype.is_floating_point or x.dtype.is_complex)


def raw(x):
    return x._value if type(x) is dlarray else x


def results(made):
    """The arrays and numbers of whatever container a function returns."""
    return [x for x in _pytree.tree_leaves(made) if isinstance(x, torch.Tensor | dlarray | int | float | complex)]


class Sample:
    """A torch function with its arguments, of which the floating arrays are variables."""

    def __init__(self, op, sample):
        self.function, self.finish = op.op, sample.output_process_fn_grad
        self.leaves, self.structure = _pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
        self.places = [k for k, leaf in enumerate(self.leaves) if is_floating(leaf)]
        self.variables = [self.leaves[k].detach().clone() for k in self.places]
        self.single = any(x.dtype in SINGLE for x in self.variables)

    def doubled(self):
        """The same in double precision."""
        made = copy.copy(self)
        made.variables = [x.to(SINGLE.get(x.dtype, x.dtype)) for x in self.variables]
        return made

    def __call__(self, variables):
        leaves = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        for k, x in zip(self.places, variables, strict=True):
            leaves[k] = x
        first, args, kwargs = _pytree.tree_unflatten(leaves, self.structure)
        return self.finish(self.function(first, *args, **kwargs))

    def on_dlarrays(self, variables, as_module):
        return from_torch(_Module(self))(*variables) if as_module else self(list(variables))

    def __repr__(self):
        return repr(_pytree.tree_map(lambda x: f"{tuple(x.shape)} {x.dtype}" if isinstance(x, torch.Tensor) else x,
                                     _pytree.tree_unflatten(self.leaves, self.structure)))


class _Module(torch.nn.Module):
    def __init__(self, sample):
        super().__init__()
        self.sample = sample

    def forward(self, *variables):
        return self.sample(list(variables))


# ----- comparing ---------------------------------------------------------------------------------------------------------


def check_equal(found, expected, what, weight=0.0, rounding=0.0):
    """Shape, type and numbers; rounding is measured by the largest of the numbers, or by `weight`, what was added up."""
    if tuple(found.shape) != tuple(expected.shape) or found.dtype != expected.dtype:
        raise Wrong(f"{what}: {tuple(found.shape)} {found.dtype}, not {tuple(expected.shape)} {expected.dtype}")
    if expected.numel() == 0:
        return
    if not is_floating(expected):
        if not torch.equal(found, expected):
            raise Wrong(f"{what}: {found.flatten()[:8].tolist()}, not {expected.flatten()[:8].tolist()}")
        return
    found, expected = found.detach(), expected.detach()
    finite = expected.abs()[expected.isfinite()]
    rounding = max(ROUNDING[expected.dtype], rounding)
    scale = max(1.0, float(finite.max()) if finite.numel() else 1.0, weight)
    if not torch.allclose(found, expected, rtol=rounding, atol=rounding * scale, equal_nan=True):
        off = torch.nan_to_num((found.to(torch.complex128) - expected.to(torch.complex128)).abs(), nan=torch.inf).flatten().argmax()
        raise Wrong(f"{what}: {found.flatten()[off].item()} at {int(off)}, not {expected.flatten()[off].item()}")


def product(w, u):
    """The inner product of which gradients are the derivative: sum(real(conj(w) u))."""
    return (w.conj() * u).real.sum() if w.is_complex() or u.is_complex() else (w * u).sum()


def recorded_product(w, u):
    return gl.sum(gl.real(dlarray(w.conj().resolve_conj()) * u)) if w.is_complex() else gl.sum(dlarray(w) * u)


def is_in_words(error):
    """An error of this library, or Python's own for a method that an array does not have."""
    text = str(error)
    return isinstance(error, GradloomError) or isinstance(error, AttributeError) and "'dlarray' object has no attribute" in text or (
        isinstance(error, TypeError) and ("descriptor" in text and "dlarray" in text or "to() got an unexpected keyword argument" in text))


# ----- one sample ---------------------------------------------------------------------------------------------------------


def seeded():
    seed_torch(0)
    gl.rng(0)


def is_drawn(a, b):
    return isinstance(a, torch.Tensor) and (a.shape != b.shape or not torch.allclose(a, b, equal_nan=True))


def verdict(op, sample, as_module=False, exempt=()):
    """What comes of a sample; `exempt` names the walks in which this library's convention is not torch's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _verdict(op, Sample(op, sample), as_module, exempt)
        except GradloomError:
            return "refused"
        except Wrong as wrong:
            raise Wrong(f"{op.name}{Sample(op, sample)!r:.300}: {wrong}") from None
        except Exception as error:
            if is_in_words(error):
                return "refused"
            raise Wrong(f"{op.name}{Sample(op, sample)!r:.300}: {type(error).__name__}: {error}") from error


def _verdict(op, sample, as_module, exempt):
    if not sample.variables or any(x.layout is not torch.strided for x in sample.variables):
        return "nothing"
    try:
        seeded()
        expected = results(sample([x.clone() for x in sample.variables]))
        seed_torch(5)
        again = results(sample([x.clone() for x in sample.variables]))
    except Exception:
        return "nothing"  # torch refuses its own sample
    if not expected or any(isinstance(e, torch.Tensor) and e.layout is not torch.strided for e in expected):
        return "nothing"
    drawn = op.name.startswith(("empty", "new_empty")) or any(map(is_drawn, expected, again))
    arrays = [dlarray(x) for x in sample.variables]
    for how in ("untraced", "traced"):
        seeded()
        run = (lambda *xs: sample.on_dlarrays(xs, as_module)) if how == "untraced" else (
            lambda *xs: gl.dlfeval(lambda *ys: sample.on_dlarrays(ys, as_module), *xs))
        found = results(run(*arrays))
        if len(found) != len(expected):
            raise Wrong(f"{how}: {len(found)} results, not {len(expected)}")
        for k, (y, e) in enumerate(zip(found, expected, strict=True)):
            if not isinstance(e, torch.Tensor):
                if y != e and not (y != y and e != e):
                    raise Wrong(f"{how}, result {k}: {y}, not {e}")
            elif f"value {k}" not in exempt:
                check_equal(torch.empty_like(e, dtype=raw(y).dtype).copy_(e) if drawn and raw(y).shape == e.shape else raw(y), e, f"{how}, result {k}")
    # of masked functions at NaN or infinity the values are held alone: which entries of a derivative are NaN is nobody's promise
    strange = op.name.startswith("masked.") and not all(bool(x.isfinite().all()) for x in sample.variables)
    return "right" if drawn or strange or not op.supports_autograd else _derivatives(op, sample, as_module, exempt, arrays)


def _derivatives(op, sample, as_module, exempt, arrays):
    expected = _of_torch(op, sample)
    if expected is None:
        return "right"  # no derivative in torch
    try:
        return _check_derivatives(sample, as_module, exempt, arrays, expected)
    except Wrong:
        accurate = _of_torch(op, sample.doubled()) if sample.single else None
        if accurate is None:
            raise
    return _check_derivatives(sample, as_module, exempt, arrays, _rounded(accurate, expected))  # torch's own numbers may be far off in single precision


def _rounded(accurate, expected):
    """What torch finds in double precision, in the types of what it finds in single."""
    which, weights, gradients, directions, seconds = accurate
    if which != expected[0]:
        return expected
    kinds = [g.dtype for g in expected[2]]
    return which, expected[1], [g.to(t) for g, t in zip(gradients, kinds, strict=True)], expected[3], (
        None if seconds is None else [g.to(t) for g, t in zip(seconds, kinds, strict=True)])


def _check_derivatives(sample, as_module, exempt, arrays, expected):
    which, weights, gradients, directions, seconds = expected

    def outputs(xs):
        seeded()
        found = results(sample.on_dlarrays(xs, as_module))
        return [found[k] for k in which]

    def weighted(xs):
        return sum((recorded_product(w, u) for w, u in zip(weights, outputs(xs), strict=True)), start=0.0)

    def second(*xs):
        g = gl.dlgradient(weighted(xs), list(xs), enable_higher_derivatives=True)
        return gl.dlgradient(sum((recorded_product(v, u) for v, u in zip(directions, g, strict=True)), start=0.0), list(xs))

    def pushed(*xs):
        return gl.jvp(outputs(xs), list(xs), [dlarray(v) for v in directions])

    rounding = max(ROUNDING[x.dtype] for x in (*sample.variables, *weights))
    if "gradient" not in exempt:
        for k, (g, e) in enumerate(zip(gl.dlfeval(lambda *xs: gl.dlgradient(weighted(xs), list(xs)), *arrays), gradients, strict=True)):
            check_equal(raw(g), e, f"gradient {k}", rounding=rounding)
    if "push" not in exempt and all(x.numel() for x in sample.variables):
        found = sum(product(w, raw(u)).double() for w, u in zip(weights, gl.dlfeval(pushed, *arrays), strict=True))
        along = sum(product(v, g).double() for v, g in zip(directions, gradients, strict=True))
        size = sum(float((v.abs() * g.abs()).sum()) for v, g in zip(directions, gradients, strict=True))
        check_rounded(found, along, "push", size, rounding)
    if seconds is not None and "second" not in exempt:
        for k, (g, e) in enumerate(zip(gl.dlfeval(second, *arrays), seconds, strict=True)):
            check_equal(raw(g), e, f"second order {k}", rounding=rounding)
    entries = sum(x.numel() for x in sample.variables) * sum(w.numel() for w in weights)
    if "Block" not in exempt and entries <= BLOCK_AT_MOST:
        found, sizes = gl.dlfeval(lambda *xs: _weighted_rows(outputs(xs), list(xs), weights), *arrays)
        for k, (g, e) in enumerate(zip(found, gradients, strict=True)):
            check_equal(g.to(e.dtype), e, f"Block {k}", sizes[k], rounding)
    return "right"


def check_rounded(found, expected, what, size, rounding):
    found, expected = float(found), float(expected)
    if found != expected and not (found != found and expected != expected) and not abs(found - expected) <= rounding * (1 + size):
        raise Wrong(f"{what}: {found}, not {expected}")


def _weighted_rows(outputs, xs, weights):
    """The weighted sum of a Jacobian's rows, for each variable, and the largest sum of absolute terms in it."""
    sums = [torch.zeros(x.shape, dtype=x.dtype) for x in xs]
    sizes = [0.0] * len(xs)
    for w, u in zip(weights, outputs, strict=True):
        J = gl.dljacobian(u, xs)
        if w.is_complex() or any(x.dtype.is_complex for x in xs):
            parts = [raw(g) for g in J.T @ dlarray(w)]
        else:
            rows, columns = torch.as_tensor(raw(J.matrix())), [x.size for x in xs]
            parts = [p.reshape(x.shape) for p, x in zip((w.flatten().to(rows.dtype) @ rows).split(columns), xs, strict=True)]
            most = (w.flatten().abs().to(rows.dtype) @ rows.abs()).split(columns)
            sizes = [max(s, float(m.max())) if m.numel() else s for s, m in zip(sizes, most, strict=True)]
        sums = [s + p for s, p in zip(sums, parts, strict=True)]
    return sums, sizes


def _of_torch(op, sample):
    """Torch's gradient of a weighted sum of the results, and the gradient of a weighted sum of that; None where it has none."""
    stream = torch.Generator().manual_seed(0)

    def drawn_like(x):
        """Numbers that single precision has, so that they are the same in double."""
        return torch.randn(x.shape, dtype=torch.complex64 if x.dtype.is_complex else torch.float32, generator=stream).to(x.dtype)

    def or_zeros(found):
        return [torch.zeros_like(x) if g is None else g.detach() for g, x in zip(found, sample.variables, strict=True)]

    seeded()
    xs = [x.clone().requires_grad_() for x in sample.variables]
    try:
        made = results(sample(xs))
        which = [k for k, y in enumerate(made) if is_floating(y) and y.requires_grad]
        weights = [drawn_like(made[k]) for k in which]
        total = sum(product(w, made[k]) for w, k in zip(weights, which, strict=True))
        if not which:
            return None
        found = torch.autograd.grad(total, xs, create_graph=op.supports_gradgrad, allow_unused=True, retain_graph=True)
    except (RuntimeError, NotImplementedError):
        return None
    directions = [drawn_like(x) for x in xs]
    seconds = None
    if op.supports_gradgrad:
        along = sum(product(v, g) for v, g in zip(directions, found, strict=True) if g is not None)
        try:
            seconds = or_zeros(torch.autograd.grad(along, xs, allow_unused=True) if isinstance(along, torch.Tensor) and along.requires_grad else [None] * len(xs))
        except (RuntimeError, NotImplementedError):
            seconds = None
    if any(g is not None and g.layout is not torch.strided for g in found):
        return None
    return which, weights, or_zeros(found), directions, seconds
