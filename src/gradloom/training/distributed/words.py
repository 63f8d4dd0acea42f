"""What a loop of one's own calls: start, share, combine."""
from __future__ import annotations

from typing import Any

import torch

from ...core.array import dlarray
from ...core.containers import flatten, unflatten
from ...core.errors import TypeRefused, line_of, user_site
from ...data import minibatchqueue
from ...networks.network import dlnetwork
from ...networks.parameters import learnables_of
from .group import Group, begin, begun_for, values_of
from .states import combined_state


def start(*, device: str = "auto", timeout: float = 1800.0) -> Group:
    """Meet the processes that were started with this one: `group = gl.distributed.start()`.

    The program is started by torchrun (`torchrun --nproc-per-node 2 program.py`), by Ray Train, or by Slurm's srun, and
    each process runs it. group.rank is the number of this process, group.size says how many there are,
    group.device where it computes: on its own GPU where each has one, unless device is "cpu" ("gpu" insists). They talk
    through torch.distributed, with gloo on CPUs and nccl on GPUs. timeout: the seconds after which a process that does
    not answer is given up. Called again it gives the same group.

    Raises TypeRefused where this process was not started with others.

    Source: torch.distributed, torchrun.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise TypeRefused(f"distributed.start: device is \"auto\", \"cpu\" or \"gpu\", not {device!r}, at "
                          f"{line_of(user_site())}; write start()")
    return begin(device, float(timeout))


def share(queue: minibatchqueue, /) -> minibatchqueue:
    """This process's part of each mini-batch: all processes together read what one would, in process 0's order.

    mini_batch_size is that of all processes together. Parts differ by one observation at most, and that of a small last
    mini-batch may be empty: give `combine` the weight 0 then.

    Raises DataError for data that has no parts (an iterable), or that is of another size on another process.

    Source: MATLAB partition of minibatchqueue.
    """
    group = begun_for("share")
    queue.restore(group.first(queue.state()))
    return queue.share(group.size, group.rank)


def combine(loss: Any, gradients: Any, state: Any = None, weight: float = 1.0, *,
            network: dlnetwork | None = None) -> tuple[float, Any, Any]:
    """Loss, gradients and state of all processes: `loss, gradients, state = gl.distributed.combine(...)`.

    loss: the mean over this process's observations, and gradients: those of it. weight: how many observations they are.
    Formula: loss = sum(weight loss) / sum(weight) over the processes, gradients alike: sums that are divided once, so
    that uneven parts count for what they have. A weight of 0 brings nothing, whatever the loss is. state: what
    `forward` returned with return_state=True, with network= the one that it was called on; of batch normalization the
    means and the variances are those of all observations, other states are means by weight, and a state with an axis B
    stays with its process. Every process gets the same bits.

    Raises TypeRefused for a state without its network, ProcessFailed where another process failed: with its name and
    its line.

    Source: Chan, Golub, LeVeque 1983 for the variances.
    """
    group = begun_for("combine")
    if state and network is None:
        raise TypeRefused(f"combine: a state is put together as its layers say, and their network is not given, at "
                          f"{line_of(user_site())}; write combine(loss, gradients, state, weight, network=net)")
    value, gradients = combined_gradients(group, loss, gradients, float(weight))
    if state and network is not None:
        found = combined_state(group, network, state, float(weight))
        keys = tuple(found)
        state = learnables_of(keys, [found[key] for key in keys])
    return value, gradients, state


def combined_gradients(group: Group, loss: Any, gradients: Any, weight: float) -> tuple[float, Any]:
    """The mean loss over all processes and its gradients."""
    mine = float(loss) * weight if weight else 0.0
    losses = group.gathered([torch.tensor([mine, weight], dtype=torch.float64, device="cpu")])
    total = sum([float(x[1]) for [x] in losses if x is not None])
    value = sum([float(x[0]) for [x] in losses if x is not None]) / total if total else float("nan")
    return value, summed_gradients(group, gradients, weight, total)


def summed_gradients(group: Group, gradients: Any, weight: float, total: float) -> Any:
    """weight times the gradients, summed over the processes and divided by the total."""
    arrays, structure = flatten(gradients)
    for x in arrays:
        if type(x) is not dlarray:
            raise TypeRefused(f"combine takes gradients in a container of dlarrays, {type(x).__name__} is in it, at "
                              f"{line_of(user_site())}; pass what dlgradient(loss, net.trainable) returned")
    values = values_of(arrays)
    values = [x * weight for x in values] if weight else [torch.zeros_like(x) for x in values]
    sums = [x / total for x in group.summed(values)]
    return unflatten(structure, [dlarray._made(x, None, old._labels) for x, old in zip(sums, arrays, strict=True)])


__all__ = ["combine", "share", "start", "summed_gradients"]
