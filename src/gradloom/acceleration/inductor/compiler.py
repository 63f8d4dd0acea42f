"""A graph as torch's compiler takes it, and what that makes of it. Of this library it needs nothing but itself."""
from __future__ import annotations

import operator
from typing import Any

import torch

CALLS = ("mkldnn._linear_pointwise.default",)  # what the compiler takes in frozen networks alone stays a call


def value(x: Any, arrays: dict[int, Any]) -> Any:
    """An argument as torch has it."""
    if type(x) is list:
        return [value(y, arrays) for y in x]
    if type(x) is not dict:
        return x
    ((kind, content),) = x.items()
    if kind == "array":
        return arrays[content]
    if kind == "float":
        return float(content)
    return torch.device(content) if kind == "device" else getattr(torch, content)


def operation_of(name: str) -> Any:
    return operator.attrgetter(name)(torch.ops)


def module_of(graph: dict[str, Any]) -> torch.fx.GraphModule:
    """The graph as torch's compiler takes it."""
    made = torch.fx.Graph()
    arrays = {number: made.placeholder(f"given_{number}") for number, *_ in graph["given"]}
    for name, args, kwargs, outputs in graph["nodes"]:
        node = made.call_function(operation_of(name), tuple(value(args, arrays)),
                                  {k: value(x, arrays) for k, x in kwargs.items()})
        several = type(outputs) is list
        for k, number in enumerate(outputs if several else [outputs]):
            if number is not None and number not in arrays:  # what was written into keeps its name
                arrays[number] = made.call_function(operator.getitem, (node, k)) if several else node
    made.output(tuple([arrays[number] for number in graph["outputs"]]))
    return torch.fx.GraphModule({}, made)


def compiled(graph: dict[str, Any]) -> bytes:
    """What `AOTCompiledArtifact.deserialize` takes."""
    from torch._inductor import mkldnn_lowerings as first  # which would take back what comes now
    from torch._inductor import standalone_compile
    from torch._inductor.fx_passes import mkldnn_fusion
    from torch._inductor.lowering import fallback_handler, lowerings

    assert first
    vars(mkldnn_fusion)["_mkldnn_fusion_init"] = lambda *_: None  # which would join such calls with what follows them
    for operation in map(operation_of, CALLS):
        lowerings[operation] = fallback_handler(operation)
    torch.set_num_threads(graph["threads"])
    inputs: list[Any] = [torch.empty_strided(shape, strides, dtype=value(dtype, {}), device="cpu")
                         for _, shape, strides, dtype in graph["given"]]
    with torch.no_grad():
        artifact: Any = standalone_compile(module_of(graph), inputs, dynamic_shapes="from_example_inputs", aot=True,
                                           donate_graph_module=True)
    return artifact.serialize()  # type: ignore[no-any-return]


__all__ = ["compiled", "module_of"]
