"""Random generators of our own: one per device and thread."""
from __future__ import annotations

import threading
from typing import Any

import torch

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
    table = _streams.__dict__
    return {"seed": table.get("seed", 0), "streams": {k: s.get_state() for k, s in table.items()
                                                      if isinstance(s, torch.Generator)}}


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue from a state that `random_state` returned."""
    seed(state["seed"])
    for key, value in state["streams"].items():
        generator(key).set_state(value)
