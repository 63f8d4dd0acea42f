"""Random generators of our own: one per device and thread."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from .questions import called

_streams = threading.local()


def generator(device: Any = "cpu") -> torch.Generator:
    """This thread's generator for a device, seeded with 0 until `seed` is called."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    key = str(device)
    table = _streams.__dict__
    if key not in table:
        stream = torch.Generator(device=device)
        stream.manual_seed(table.get("seed", 0))
        table[key] = stream
    return table[key]


def seed(value: int) -> None:
    """Start this thread's generators, on every device, from `value`."""
    table = _streams.__dict__
    table["seed"] = int(value)
    for stream in table.values():
        if isinstance(stream, torch.Generator):
            stream.manual_seed(int(value))


def random_state() -> dict[str, Any]:
    """The state of this thread's generators, for `restore_random_state`."""
    generator("cpu")
    return {"seed": _streams.__dict__.get("seed", 0), "streams": _states(_directly)}


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue from a state that `random_state` returned."""
    seed(state["seed"])
    for key, value in state["streams"].items():
        generator(key).set_state(value)


def state_of(*, generator: torch.Generator) -> torch.Tensor:
    """Where a generator is, as a call that recordings hear."""
    return generator.get_state()


def brought_to(state: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Bring a generator to a state, as a call that recordings hear."""
    with torch._C.DisableTorchFunction():  # one call, not those that it makes
        generator.set_state(state)
        return torch.empty(0, device="cpu")


class Draws:
    """The random numbers that one run of a function draws from this thread's generators, for the runs after it."""

    def __init__(self) -> None:
        self._before: dict[str, torch.Tensor] | None = None  # where the generators were; None where it draws none

    def kept(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """The first run."""
        generator("cpu")
        before, plain = _states(called), _states(_directly)
        result = function(*args)
        with torch._C.DisableTorchFunction():
            drawn = any([not torch.equal(state, plain[key]) for key, state in _states(_directly).items()
                         if key in plain])
        self._before = before if drawn else None
        return result

    def repeated(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """A run that draws the same numbers; the generators go on from where they are."""
        if self._before is None:
            return function(*args)
        now = _states(called)
        _bring_to(self._before)
        try:
            return function(*args)
        finally:
            _bring_to(now)


def _states(call: Callable[..., torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: call(state_of, generator=stream) for key, stream in _streams.__dict__.items()
            if isinstance(stream, torch.Generator)}


def _bring_to(states: dict[str, torch.Tensor]) -> None:
    for key, state in states.items():
        called(brought_to, state, generator=generator(key))


def _directly(function: Callable[..., torch.Tensor], **options: Any) -> torch.Tensor:
    return function(**options)
