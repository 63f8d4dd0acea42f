"""check_layer: a layer tried out, as a test run reports it."""
from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..acceleration.comparing import close
from ..acceleration.words import dlaccelerate
from ..core.array import dlarray
from ..core.errors import GradloomError, TypeRefused, line_of, user_site
from ..core.labels import described
from ..derivatives.own.checking import check_derivatives
from ..derivatives.words.evaluate import dlfeval
from ..derivatives.words.gradient import dlgradient
from ..machine.dtypes import COMPLEX_OF, NAMES, differentiable
from ..machine.random import random_state, restore_random_state
from ..operations.elementwise.arithmetic import conj, multiply, real
from ..operations.sums.reduction import sum
from ..storage.files import load, save
from ..storage.trees import NotHeld
from .building import is_input
from .layer import Layer, written
from .layout import Layout, layout_of
from .network import dlnetwork

BATCH = 3
CALLS = 6  # of an accelerated layer: three until it is recorded, and three that are replayed


class LayerFault(GradloomError, AssertionError):
    """A layer that does not do what layers do; the message is the report."""


@dataclass(frozen=True)
class Trial:
    """One thing that was tried: what, whether it held (None: it was left out) and what is to be said of it."""

    what: str
    ok: bool | None
    note: str = ""


@dataclass(frozen=True)
class LayerCheck:
    """What `check_layer` found: `ok`, `trials`, `failures`; it prints as a test run does."""

    layer: str
    trials: tuple[Trial, ...]

    @property
    def failures(self) -> list[Trial]:
        """What did not hold."""
        return [trial for trial in self.trials if trial.ok is False]

    @property
    def ok(self) -> bool:
        """Whether all that was tried held."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        wide = max(len(trial.what) for trial in self.trials)
        words = {True: "passed", False: "FAILED", None: "left out"}
        lines = [f"{trial.what.ljust(wide)}  {words[trial.ok]}{': ' + trial.note if trial.note else ''}"
                 for trial in self.trials]
        counts = ", ".join(f"{n} {word}" for ok, word in words.items()
                           if (n := len([t for t in self.trials if t.ok is ok])))
        return "\n".join([self.layer, *lines, counts])


def check_layer(layer: Layer, /, *layouts: Layout | dlarray, tolerance: float = 1e-6,
                raises: bool = True) -> LayerCheck:
    """Try a layer out on random arrays: what it is made of, its sizes, types and states, its derivatives of every
    order against finite differences, in use and in training, several observations at once, saving, and acceleration:
    what is replayed against the plain call.

    `layouts` say what enters, one for each input: `gl.Layout((2, 1), "CB")`, or an array like what enters. Of whole
    numbers and booleans only such an array says which there are: its entries are drawn from, in its type. An axis B is
    tried with other sizes too: in use, each observation is to give what it gives among others. `tolerance` is that of
    the derivatives.

    Returns a report that prints like a test run; with `raises`, a layer that fails is an error whose message is the
    report.

    >>> import gradloom as gl
    >>> report = gl.check_layer(gl.layers.FullyConnected(3), gl.Layout((2, 1), "CB"))
    >>> report.ok, report.trials[0].what
    (True, 'constructor')
    >>> gl.check_layer(gl.layers.Embedding(3, 10), gl.dlarray([[0, 9, 4]], "BT", dtype="int64")).ok
    True

    Source: MATLAB checkLayer.
    """
    if not isinstance(layer, Layer):
        raise TypeRefused(f"check_layer takes a layer, not {type(layer).__name__}, at {line_of(user_site())}; write "
                          "check_layer(MyLayer(...), gl.Layout((2, 1), \"CB\"))")
    given = () if is_input(layer) else layouts
    if is_input(layer):
        layouts = (layer.layout,)  # type: ignore[attr-defined]
    if not layouts or not all(isinstance(one, (Layout, dlarray)) for one in layouts):
        raise TypeRefused(f"check_layer takes a layout for each input of the layer, or an array like it, not "
                          f"{layouts!r}, at {line_of(user_site())}; write check_layer(layer, gl.Layout((2, 1), "
                          "\"CB\"))")
    empty = next((one for one in layouts if isinstance(one, dlarray) and not one.size), None)
    if empty is not None:
        raise TypeRefused(f"check_layer draws from the entries of {described(empty.shape, empty._labels)}, which has "
                          f"none, at {line_of(user_site())}; give an array with every number that may enter")
    trials = _Trials(layer, given, layouts, tolerance)
    report = LayerCheck(written(layer, named=True), tuple(trials.all()))
    if raises and not report.ok:
        raise LayerFault(f"{len(report.failures)} of {len(report.trials)} trials of {type(layer).__name__} failed, at "
                         f"{line_of(user_site())}; mend what is marked FAILED\n{report!r}")
    return report


class _LeftOut(Exception):
    """A trial that does not apply, and why."""


class _Trials:
    """The trials of one layer, each a method that raises where something does not hold."""

    def __init__(self, layer: Layer, given: Sequence[Layout | dlarray], entering: Sequence[Layout | dlarray],
                 tolerance: float):
        self.layer, self.given, self.entering, self.tolerance = layer, given, entering, tolerance
        self.layouts = [one if isinstance(one, Layout) else layout_of(one) for one in entering]
        self.net: Any = None
        self.used: tuple[str, list[Any]] | None = None  # what it returned in use: in words, and sizes
        self.random = torch.Generator().manual_seed(0)

    def all(self) -> list[Trial]:
        """Every trial, in order; those that need a network that could not be made are left out."""
        done = []
        for name in ("constructor", "initialize", "in use", "in training", "types", "states", "derivatives in use",
                     "derivatives in training", "several observations", "save and load", "accelerated"):
            trial: Callable[[], str] = getattr(self, "_" + name.replace(" ", "_"))
            try:
                if self.net is None and name not in ("constructor", "initialize"):
                    raise _LeftOut("the layer could not be initialised")
                done.append(Trial(name, True, trial() or ""))
            except _LeftOut as reason:
                done.append(Trial(name, None, str(reason)))
            except Exception as error:
                done.append(Trial(name, False, f"{type(error).__name__}: {error}"))
        return done

    def _xs(self, batch: int = 1, dtype: torch.dtype = torch.float64) -> list[Any]:
        found = []
        for layout, like in zip(self.layouts, self.entering, strict=True):
            letters = layout.labels or "U" * len(layout.shape)
            shape = [batch if letter == "B" else n for letter, n in zip(letters, layout.shape, strict=True)]
            its = like._value.dtype if isinstance(like, dlarray) else dtype
            if isinstance(like, dlarray) and not differentiable(its):
                at = torch.randint(0, like.size, shape, generator=self.random, device="cpu")
                drawn = like._value.cpu().reshape(-1)[at]
            else:
                its = COMPLEX_OF[dtype] if its.is_complex else dtype
                wide = COMPLEX_OF[torch.float64] if its.is_complex else torch.float64
                drawn = torch.randn(shape, generator=self.random, dtype=wide, device="cpu").to(its)
            found.append(dlarray._made(drawn, None, layout.labels))
        return found

    def _constructor(self) -> str:
        options = {f.name: getattr(self.layer, f.name) for f in dataclasses.fields(self.layer)}  # type: ignore[arg-type]
        made = type(self.layer)(**options)
        if written(made, named=True) != written(self.layer, named=True):
            raise ValueError(f"made again from its fields it is {written(made, named=True)}")
        return ""

    def _initialize(self) -> str:
        self.net = dlnetwork([self.layer], *self.given, dtype="float64")
        return ", ".join(f"{parameter} {described(x.shape, x._labels)}" for (_, parameter), x in
                         (*self.net.learnables.items(), *self.net.state.items()))

    def _sizes(self, run: Any) -> str:
        xs = self._xs(BATCH)
        before = [x._value.clone() for x in xs]
        ys = _several(run(*xs))
        for k, (x, old) in enumerate(zip(xs, before, strict=True)):
            if not _same(x._value, old):
                raise ValueError(f"input {k} was changed")
        for y in ys:
            if any("B" in (layout.labels or "") for layout in self.layouts) and "B" not in (y._labels or "B"):
                raise ValueError(f"the output {described(y.shape, y._labels)} has no axis B")
        names = self.net.layers[0].output_names
        if len(ys) < len(names) or 1 < len(names) < len(ys):  # of several outputs the first alone may have a name
            raise ValueError(f"it returns {len(ys)} output{'s' * (len(ys) != 1)} and names {len(names)} "
                             f"({', '.join(names)})")
        said = ", ".join(described(y.shape, y._labels) for y in ys)
        sizes = [y.sizes if y._labels else y.shape for y in ys]
        self.used = self.used or (said, sizes)
        if sizes != self.used[1]:  # the layers behind it know the sizes of its outputs in use
            raise ValueError(f"in training it gives {said}, in use {self.used[0]}")
        return said

    def _in_use(self) -> str:
        return self._sizes(self.net.predict)

    def _in_training(self) -> str:
        return self._sizes(self.net.forward)

    def _types(self) -> str:
        if not self.net.learnables and not any(differentiable(x._value.dtype) for x in self._xs()):
            raise _LeftOut("it has no learnables, and takes whole numbers")
        for dtype in (torch.float32, torch.float64):
            for y in _several(self.net.to(dtype=dtype).predict(*self._xs(BATCH, dtype))):
                if y._value.dtype.is_floating_point and y._value.dtype is not dtype:
                    raise TypeError(f"{NAMES[dtype]} gives {NAMES[y._value.dtype]}")
        return ""

    def _states(self) -> str:
        if not self.net.state:
            raise _LeftOut("it has none")
        _, state = self.net.forward(*self._xs(BATCH), return_state=True)
        for key, x in self.net.state.items():
            if _of_one(state[key]) != _of_one(x):  # a state may be one for each observation
                raise ValueError(f"{key[1]} of {described(x.shape, None)} becomes {described(state[key].shape, None)}")
        moved = self.net.replace(state=state)
        moved.reset_state().forward(*self._xs(BATCH))
        return ""

    def _derivatives(self, training: bool) -> str:
        net = self.net

        def in_use_or_training(*xs: Any) -> Any:
            its, xs = (net.replace(learnables=xs[0]), xs[1:]) if net.learnables else (net, xs)
            return its.forward(*xs) if training else its.predict(*xs)

        arguments, xs = [dict(net.learnables)] if net.learnables else [], self._xs(BATCH)
        if not arguments and not any(differentiable(x._value.dtype) for x in xs):
            raise _LeftOut("it has no learnables, and takes whole numbers")
        found = check_derivatives(in_use_or_training, *arguments, *xs, tolerance=self.tolerance)
        return f"{len(found.comparisons)} compared"

    def _derivatives_in_use(self) -> str:
        return self._derivatives(False)

    def _derivatives_in_training(self) -> str:
        if type(self.net.layers[0]).forward is Layer.forward:
            raise _LeftOut("forward is predict")
        return self._derivatives(True)

    def _several_observations(self) -> str:
        if not all("B" in (layout.labels or "") for layout in self.layouts):
            raise _LeftOut("no axis B in every layout")
        xs, drawn = self._xs(BATCH), random_state()
        together = _several(self.net.predict(*xs))
        for k in range(BATCH):
            restore_random_state(drawn)
            alone = _several(self.net.predict(*[x[x.at(B=slice(k, k + 1))] for x in xs]))
            for y, one in zip(together, alone, strict=True):
                if not np.allclose(np.asarray(y[y.at(B=slice(k, k + 1))]), np.asarray(one), rtol=1e-9, atol=1e-9):
                    raise ValueError(f"observation {k} gives something else alone than among {BATCH}")
        return ""

    def _save_and_load(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "layer.safetensors")
            try:
                save(path, self.net)
            except NotHeld as error:  # a function of the user's, which no file holds
                raise _LeftOut(str(error)) from None
            again = load(path, layers=[type(self.layer)])
        for key, x in (*self.net.learnables.items(), *self.net.state.items()):
            its = again.learnables[key] if key in again.learnables else again.state[key]
            if not _same(x._value, its._value):
                raise ValueError(f"{key[1]} comes back with other bits")
        return ""

    def _accelerated(self) -> str:
        net, plain = self.net, ""
        for run in (net.predict,) if type(net.layers[0]).forward is Layer.forward else (net.predict, net.forward):
            training = run == net.forward

            def step(net: Any, *xs: Any, training: bool = training) -> Any:
                y, state = (net.forward if training else net.predict)(*xs, return_state=True)
                total: Any = 0.0
                for part in _several(y):
                    if differentiable(part._value.dtype):
                        total = total + sum(real(multiply(part, conj(part))))
                variables = [x for x in (*net.learnables.values(), *xs) if differentiable(x._value.dtype)]
                if not variables or not isinstance(total, dlarray) or not total.traced:
                    return y, state
                return y, state, dlgradient(total, variables)

            fast = dlaccelerate(step)
            for k in range(CALLS):
                xs, drawn = self._xs(BATCH), random_state()
                found = dlfeval(fast, net, *xs)
                restore_random_state(drawn)
                expected = dlfeval(step, net, *xs)
                if not close(found, expected, self.tolerance):
                    raise ValueError(f"call {k} of the accelerated layer {'in training' if training else 'in use'} is "
                                     "not the plain one")
            plain = plain or ("" if fast.hit_rate else fast.why_not)
        if plain:
            raise _LeftOut(f"it stays plain: {plain}")
        return ""


def _of_one(x: dlarray) -> tuple[int, ...]:
    """The sizes of a state without its axis of observations."""
    labels = x._labels or "U" * x.ndim
    return tuple([n for n, letter in zip(x.shape, labels, strict=True) if letter != "B"])


def _several(y: Any) -> tuple[Any, ...]:
    return y if isinstance(y, tuple) else (y,)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(np.array_equal(a.detach().numpy(), b.detach().numpy(), equal_nan=True))


__all__ = ["LayerCheck", "LayerFault", "Trial", "check_layer"]
