"""Who reads whom in a torch module, for a picture: its modules and the functions between them, as torch.fx records
them."""
from __future__ import annotations

from typing import Any

import torch

from ...core.errors import TypeRefused, line_of, user_site


def flow_of(module: torch.nn.Module) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """(name, kind, size) of each part, and the pairs of names between which arrays go; sizes are not known."""
    from torch import fx  # brings in what importing gradloom does without

    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:
        raise TypeRefused(f"torch.fx cannot follow {type(module).__name__} without running it ({error}), at "
                          f"{line_of(user_site())}; plot its parts, from_torch(part), or print(net)") from None
    named: dict[Any, str] = {}
    parts: list[tuple[str, str, str]] = []
    edges: list[tuple[str, str]] = []
    for node in traced.graph.nodes:
        if node.op in ("get_attr", "output"):
            continue
        named[node] = name = str(node.target) if node.op == "call_module" else node.name
        if name in [part[0] for part in parts]:  # a module that is used again
            named[node] = name = node.name
        kind = ("input" if node.op == "placeholder" else str(node.target) if node.op == "call_method"
                else node.target.__name__ if callable(node.target)
                else type(traced.get_submodule(str(node.target))).__name__)
        parts.append((name, kind, ""))
        edges += [(named[other], name) for other in node.all_input_nodes if other in named]
    return parts, edges


__all__ = ["flow_of"]
