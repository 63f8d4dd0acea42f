"""Random numbers from our own generators, one per device and thread. Shape first; what was drawn is a constant that
every walk reuses."""
from __future__ import annotations

import math
import operator
from typing import Any

import torch

from ...core.array import dlarray, labels_of
from ...core.declare import composite, discrete, public
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described, without
from ...core.operation import Operation
from ...core.options import dtype_asked
from ...core.trace import selected
from ...machine.dtypes import NUMBER_TYPES, Tensor, differentiable
from ...machine.questions import decided
from ...machine.random import generator, random_state, restore_random_state, seed
from ..elementwise.arithmetic import astype
from ..movement.axes import array
from ..neural.softmax import floating, one_axis
from .arrays import allocated, constant, sizes_of, type_and_device


@composite
def rng(state: Any = None, /) -> Any:
    """The random numbers of this thread: `rng(seed)` starts them anew, `s = rng()` saves where they are, `rng(s)`
    continues from there.

    The seed is an integer ("default" is 0, "shuffle" one that differs each time). NumPy's and torch's generators are
    not touched.

    >>> import gradloom as gl
    >>> gl.rng(1)
    >>> s = gl.rng()
    >>> a = gl.rand((3,))
    >>> gl.rng(s)
    >>> bool((gl.rand((3,)) == a).all())
    True

    Source: MATLAB rng.
    """
    if state is None:
        return random_state()
    if isinstance(state, dict):
        restore_random_state(state)
    elif state == "default":
        seed(0)
    elif state == "shuffle":
        seed(torch.Generator().seed() % 2 ** 53)
    else:
        try:
            seed(operator.index(state))
        except TypeError:
            raise TypeRefused(
                f"rng takes an integer, or what rng() returned, not {state!r:.60}, at {line_of(user_site())}; write "
                "rng(1)") from None
    return None


# ----- draws: operations without inputs, so that whatever records operations records them -----


def _draw(word: str, kernel: Any) -> Any:
    """A torch function that draws, from our generator of the device."""
    def draw(device: Any, **params: Any) -> Tensor:
        return allocated(word, params.get("shape", params.get("n")),
                         lambda: kernel(generator=generator(device), device=device, **params))

    return draw


_rand = discrete("rand", _draw("rand", lambda shape, **rest: torch.rand(shape, **rest)), (), matlab="rand")
_randn = discrete("randn", _draw("randn", lambda shape, **rest: torch.randn(shape, **rest)), (), matlab="randn")
_randint = discrete("randint",
                    _draw("randint", lambda low, high, shape, **rest: torch.randint(low, high, shape, **rest)),
                    (), matlab="randi")
_permutation = discrete("permutation", _draw("permutation", lambda n, **rest: torch.randperm(n, **rest)),
                        (), matlab="randperm")


def _bernoulli_kernel(p: Any, shape: Any, dtype: Any, device: Any, factor: Any) -> Tensor:
    drawn = allocated("bernoulli", shape, lambda: torch.empty(shape, dtype=dtype, device=device))
    drawn = drawn.bernoulli_(p.to(drawn.device) if isinstance(p, Tensor) else p, generator=generator(device))
    return drawn if factor == 1 else drawn.mul_(factor)


_bernoulli = discrete("bernoulli", _bernoulli_kernel, ("p",), matlab=None)


def _drawn(operation: Operation, shape: Any, labels: Any, like: Any, dtype: Any, device: Any) -> Any:
    made = type_and_device(like, dtype, device)
    if not differentiable(made["dtype"]):
        raise TypeRefused(
            f"{operation.name} draws floating numbers, not {str(made['dtype'])[6:]}, at {line_of(user_site())}; write "
            "dtype=\"float64\"")
    return constant(operation.apply((), {"shape": sizes_of(shape, operation.name), **made}),
                    labels, like, operation.name)


@public(_rand)
def rand(shape: Any = (), labels: str | None = None, *, like: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """Random numbers, uniform in [0, 1); float64 on the CPU, or the type and device of `like`.

    >>> import gradloom as gl
    >>> gl.rand((2, 3), "CB").sizes
    {'C': 2, 'B': 3}

    Source: MATLAB rand.
    """
    return _drawn(_rand, shape, labels, like, dtype, device)


@public(_randn)
def randn(shape: Any = (), labels: str | None = None, *, like: Any = None, dtype: Any = None,
          device: Any = None) -> Any:
    """Random numbers from the standard normal distribution; float64 on the CPU, or the type and device of `like`.

    >>> import gradloom as gl
    >>> gl.randn((2, 3), "CB").sizes
    {'C': 2, 'B': 3}

    Source: MATLAB randn.
    """
    return _drawn(_randn, shape, labels, like, dtype, device)


@public(_randint)
def randint(low: int, high: int, shape: Any = (), labels: str | None = None, *, like: Any = None, dtype: Any = None,
            device: Any = None) -> Any:
    """Random integers from low to high - 1; int64 unless `dtype` says otherwise. `like` gives the device alone.

    Raises ShapeError where high is not above low.

    >>> import gradloom as gl
    >>> gl.randint(5, 6, (2,))
    2 dlarray int64
    [5 5]

    Source: NumPy Generator.integers. MATLAB's randi includes the upper bound.
    """
    try:
        low, high = operator.index(low), operator.index(high)
    except TypeError:
        raise TypeRefused(f"randint takes integers, not {low!r:.60} and {high!r:.60}, at {line_of(user_site())}; "
                          "write randint(0, 10, shape)") from None
    if high <= low:
        raise ShapeError(
            f"randint({low}, {high}): high must be above low, since it is not drawn itself, at {line_of(user_site())}; "
            f"write randint({low}, {low + 1}, shape)")
    made = type_and_device(like, "int64" if dtype is None else dtype, device)
    return constant(_randint.apply((), {"low": low, "high": high, "shape": sizes_of(shape, "randint"), **made}),
                    labels, like, "randint")


@public(_permutation)
def permutation(n: int, /, *, device: Any = None) -> Any:
    """The integers 0 ... n - 1 in random order: an index, as in x[permutation(len(x))].

    >>> import gradloom as gl
    >>> sorted(gl.permutation(3).tolist())
    [0, 1, 2]

    Source: NumPy permutation, MATLAB randperm.
    """
    try:
        (count,) = sizes_of(operator.index(n), "permutation")
    except TypeError:
        raise TypeRefused(f"permutation takes how many there are, not {type(n).__name__}, at {line_of(user_site())}; "
                          "write x[permutation(len(x))]") from None
    device = torch.device("cpu" if device is None else device)
    return constant(_permutation.apply((), {"n": count, "device": device}), None, None, "permutation")


@public(_bernoulli)
def bernoulli(p: Any, shape: Any = None, labels: str | None = None, *, like: Any = None, dtype: Any = None,
              device: Any = None) -> Any:
    """Ones with probability p, else zeros; p is a number, or an array of probabilities that broadcasts to the shape.

    Without a shape the result has p's, with its labels. What is drawn carries no derivative, so a traced p is refused.

    >>> import gradloom as gl
    >>> gl.bernoulli(1.0, (2,))
    2 dlarray float64
    [1. 1.]

    Source: PyTorch bernoulli.
    """
    if type(p) in NUMBER_TYPES:
        check_probability(p, "bernoulli")
        made = type_and_device(like, dtype, device)
        shape = () if shape is None else shape
    else:
        p = array(p)
        if type(p) is dlarray:
            p._refuse_traced_float("bernoulli(p)")
            labels = p._labels if shape is None and labels is None else labels
        like = p if like is None else like
        made = type_and_device(like, dtype, device)
        shape = tuple(p.shape) if shape is None else shape
        p = p._value if type(p) is dlarray else p
        if p.is_complex():
            raise TypeRefused(f"bernoulli needs real probabilities, p is {str(p.dtype)[6:]}, at "
                              f"{line_of(user_site())}; write real(p)")
        if p.numel() and not p.is_meta and not decided(((p >= 0) & (p <= 1)).all()):
            raise ShapeError(
                f"bernoulli needs probabilities in [0, 1], p reaches from {p.min().item():.4g} to "
                f"{p.max().item():.4g}, at {line_of(user_site())}; write sigmoid(p), or clip(p, 0, 1)")
    return constant(_bernoulli.apply((p,), {"shape": sizes_of(shape, "bernoulli"), **made, "factor": 1}),
                    labels, like, "bernoulli")


def _categorical_kernel(p: Tensor, shape: Any, dtype: Any, from_logits: bool) -> Tensor:
    """One distribution along p's last axis for each element, by broadcasting: the class in whose part of [0, total) a
    number falls."""
    ends = (torch.softmax(p.double(), -1) if from_logits else p.double()).cumsum(-1)
    rest = len(shape) - p.ndim + 1
    own, many = shape[rest:], math.prod(shape[:rest])  # so many from each distribution
    ends = ends.expand(*own, ends.shape[-1]).contiguous()
    total = ends[..., -1:]
    drawn = torch.rand(shape, dtype=torch.float64, device=p.device,
                       generator=generator(p.device)).reshape(many, *own).movedim(0, -1)
    # below the total after rounding, too
    drawn = torch.minimum(drawn * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(ends, drawn.contiguous(), right=True).movedim(-1, 0).reshape(shape).to(dtype)


_categorical = discrete("categorical", _categorical_kernel, ("p",))


@public(_categorical)
def categorical(p: Any, shape: Any = None, labels: str | None = None, *, axis: Any = None, from_logits: bool = False,
                dtype: Any = "int64") -> Any:
    """Random classes 0, 1, 2, ...: each with its probability in p, or exp(p) over the sum of exp(p) with
    `from_logits=True`.

    p: nonnegative numbers along C, or `axis`, the only axis of a vector by itself; they need not sum to 1. Without a
    shape one class is drawn for each distribution, in p's shape and labels without that axis; else that many, p without
    its axis broadcasting to the shape. What is drawn carries no derivative, so a traced p is refused.
    Raises ShapeError for negative or not finite numbers, or a distribution of zeros.

    >>> import gradloom as gl
    >>> gl.categorical([0.0, 1.0, 0.0], (3,))
    3 dlarray int64
    [1 1 1]

    Source: NumPy Generator.choice, PyTorch Categorical.
    """
    p = floating(p)
    if type(p) is dlarray:
        p._refuse_traced_float("categorical(p)")
    if p.dtype.is_complex:
        raise TypeRefused(
            f"categorical takes real numbers, p is {str(p.dtype)[6:]}, at {line_of(user_site())}; write abs(p)")
    k = -1 if p.ndim == 1 and axis is None else one_axis(p, axis, None, "categorical")
    kept = without(labels_of(p), (k + p.ndim,)) if shape is None and labels is None else labels
    made = dtype_asked(dtype)
    if differentiable(made) or made is torch.bool:
        raise TypeRefused(
            f"categorical draws integers, not {str(made)[6:]}, at {line_of(user_site())}; write dtype=\"int64\"")
    raw = (p._value if type(p) is dlarray else p).movedim(k, -1)
    if raw.numel() and not raw.is_meta:
        largest = raw.amax(-1)  # NaN where one is
        good = torch.isfinite(largest) & (from_logits or (raw.amin(-1) >= 0) & (largest > 0))
        if not decided(good.all()):
            what = ("logits that are numbers, at least one above -infinity" if from_logits
                    else "finite numbers, none negative, not all 0")
            remedy = "check what made them" if from_logits else "write from_logits=True for logits"
            raise ShapeError(
                f"categorical needs {what}, p reaches from {raw.min().item():.4g} to {raw.max().item():.4g}, at "
                f"{line_of(user_site())}; {remedy}")
    sizes = tuple(raw.shape[:-1]) if shape is None else sizes_of(shape, "categorical")
    if not raw.shape[-1] or not _fits(raw.shape[:-1], sizes):
        raise ShapeError(
            f"categorical: p {described(p.shape, labels_of(p))} for shape {sizes}, at {line_of(user_site())}; p "
            "without its classes broadcasts to the shape, and there is at least one class")
    drawn = _categorical.apply((raw,), {"shape": sizes, "dtype": made, "from_logits": bool(from_logits)})
    return constant(drawn, kept, p, "categorical")


def _fits(shape: Any, sizes: Any) -> bool:
    """Whether a shape broadcasts to another."""
    return len(shape) <= len(sizes) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(sizes), strict=False))


def check_probability(p: Any, word: str) -> None:
    if not 0 <= p <= 1:
        raise ShapeError(
            f"{word} needs a probability in [0, 1], not {p!r}, at {line_of(user_site())}; write {word}(..., 0.5)")


@composite
def dropout(x: Any, probability: float = 0.5, /) -> Any:
    """x with each element set to 0 with the given probability, and the others divided by 1 - probability.

    Formula: y = m x / (1 - probability), m = 0 or 1, drawn anew at each call. Shape, labels and type of x. Every
    derivative uses the m of its forward pass. This is what a layer does in training; in prediction it does nothing.
    Raises ShapeError for a probability outside [0, 1].

    >>> import gradloom as gl
    >>> gl.dropout(gl.dlarray([1.0, 2.0]), 0.0)
    2 dlarray float64
    [1. 2.]

    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014; MATLAB dropoutLayer.
    """
    check_probability(probability, "dropout")
    x = array(x)
    if not differentiable(x.dtype):
        x = astype(x, dtype_asked("float64"))
    if probability == 0:
        return dlarray(x) if type(x) is dlarray else x
    real = x.dtype.to_real() if x.dtype.is_complex else x.dtype
    keep = 1 - probability
    mask = _bernoulli.apply((keep,), {"shape": tuple(x.shape), "dtype": real, "device": x.device,
                                      "factor": 1 / keep if keep else 1})
    selected(x)
    return x * (dlarray._made(mask, None, x._labels) if type(x) is dlarray else mask)


__all__ = ["bernoulli", "categorical", "dropout", "permutation", "rand", "randint", "randn", "rng"]
