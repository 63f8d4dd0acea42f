"""One training step of a network beside the same module in torch: forward pass, cross-entropy, gradients, momentum
update and states. Both start from the same weights, and after one step must agree in loss, gradients and weights."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .harness import Benchmark, Contender, arrays

LEARN_RATE, MOMENTUM = 0.001, 0.9


@dataclass(frozen=True)
class Model:
    """A network of gradloom, the module of torch that is the same, and what they learn from.

    `network()` is a dlnetwork; `module()` has for each learnable (layer, parameter) a parameter that `name(key)` names,
    in the same layout; `logits(module, x)` is what its cross-entropy takes, (observations, classes). `labels` are those
    of `x` in torch's layout, `data()` gives x and class indices.
    """

    network: Callable[[], Any]
    module: Callable[[], torch.nn.Module]
    name: Callable[[tuple[str, str]], str]
    labels: str
    data: Callable[[], tuple[np.ndarray, np.ndarray]]
    logits: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor] = lambda module, x: module(x)
    targets: str = "B"


def learned(model: Model) -> dict[str, np.ndarray]:
    """{torch's name: the array with which both start}, in gradloom's order."""
    return {model.name(key): np.asarray(x) for key, x in model.network().learnables.items()}


def training_step(net: Any, x: Any, t: Any, loss_of: Callable[[Any, Any], Any], learn_rate: float,
                  accelerated: bool) -> Callable[[], Any]:
    """A step of gradloom with momentum: loss, gradients and the network after it."""
    import gradloom as gl

    velocity = None

    def loss_and_gradients(net, x, t):
        y, state = net.forward(x, return_state=True)
        loss = loss_of(y, t)
        return loss, state, gl.dlgradient(loss, net.learnables)

    function = gl.dlaccelerate(loss_and_gradients) if accelerated else loss_and_gradients

    def step():
        nonlocal net, velocity
        loss, state, gradients = gl.dlfeval(function, net, x, t)
        net = net.replace(state=state)
        net, velocity = gl.sgdmupdate(net, gradients, velocity, learn_rate=learn_rate, momentum=MOMENTUM)
        return loss, gradients, net

    return step


def gradloom(model: Model, accelerated: bool = False) -> Callable[[], Any]:
    import gradloom as gl

    inputs, classes = model.data()

    def loss_of(y, t):
        return gl.indexcrossentropy(y, t, from_logits=True, normalization_factor="target-included")

    return training_step(model.network(), gl.dlarray(inputs, model.labels), gl.dlarray(classes, model.targets), loss_of,
                         LEARN_RATE, accelerated)


def gradloom_numbers(result: Any) -> list[np.ndarray]:
    loss, gradients, net = result
    return arrays([loss, list(gradients.values()), list(net.learnables.values())])


def torch_training_step(loss_of: Callable[[Any, Any], Any], x: Any, t: Any, parameters: Any, learn_rate: float,
                        compiled: bool, kept: Any) -> Callable[[], Any]:
    """The same step of torch: the loss, and `kept`, which holds the parameters after it."""
    optimizer = torch.optim.SGD(parameters, lr=learn_rate, momentum=MOMENTUM)
    loss_function = torch.compile(loss_of) if compiled else loss_of

    def step():
        optimizer.zero_grad()
        loss = loss_function(x, t)
        loss.backward()
        optimizer.step()
        return loss, kept

    return step


def torch_step(model: Model, dtype: torch.dtype = torch.float32, memory_format: Any = None,
               compiled: bool = False) -> Callable[[], Any]:
    start = learned(model)
    module = model.module().to(dtype)
    module.load_state_dict({name: torch.tensor(value) for name, value in start.items()}, strict=False)
    inputs, classes = model.data()
    x, t = torch.tensor(inputs), torch.tensor(classes)
    if x.is_floating_point():
        x = x.to(dtype)
    if memory_format is not None:
        x, module = x.to(memory_format=memory_format), module.to(memory_format=memory_format)  # type: ignore[call-overload]

    def loss_of(x, t):
        return F.cross_entropy(model.logits(module, x), t.reshape(-1))

    return torch_training_step(loss_of, x, t, module.parameters(), LEARN_RATE, compiled,
                               [module.get_parameter(name) for name in start])


def torch_numbers(result: Any) -> list[np.ndarray]:
    """Copies: the next step overwrites them."""
    loss, parameters = result
    return [array.copy() for array in arrays([loss, [p.grad for p in parameters], parameters])]


def benchmark(name: str, work: str, model: Model, target: float, tolerance: float, images: bool = False) -> Benchmark:
    """The usual ways to take the step; those for images with torch's channels last, too."""
    return Benchmark(
        name, work,
        [
            Contender("gradloom", partial(gradloom, model), "gradloom", target, gradloom_numbers),
            Contender("gradloom, accelerated", partial(gradloom, model, accelerated=True), "gradloom", target,
                      gradloom_numbers),
            Contender("torch eager", partial(torch_step, model), numbers=torch_numbers),
            *([Contender("torch eager, channels last", partial(torch_step, model, memory_format=torch.channels_last),
                         "information", numbers=torch_numbers)] if images else []),
            Contender("torch.compile", partial(torch_step, model, compiled=True), "information", numbers=torch_numbers),
        ],
        lambda: torch_numbers(torch_step(model, torch.float64)()), tolerance)
