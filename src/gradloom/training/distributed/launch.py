"""Who this process is among those that were started together: what torchrun, Ray Train or Slurm say in the
environment."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

import torch

from ...core.errors import TypeRefused, line_of, user_site

WAY = "start the program by torchrun --nproc-per-node 2 program.py"


class Place(NamedTuple):
    """A process among `size` of them: its number, and its number and their count on this machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int


def place_of_this_process() -> Place:
    """What the environment says; Slurm's words are put into torch's, where those are missing."""
    env = os.environ
    if "RANK" not in env and "SLURM_PROCID" in env:
        env.update(_of_slurm(env))
    missing = [word for word in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if word not in env]
    if missing:
        raise TypeRefused(f"this process was not started with others: {', '.join(missing)} "
                          f"{'is' if len(missing) == 1 else 'are'} not in its environment, at "
                          f"{line_of(user_site())}; {WAY}")
    return place_in(env)


def place_in(env: Mapping[str, str]) -> Place:
    """The place that torch's words say."""
    rank, size = int(env["RANK"]), int(env["WORLD_SIZE"])
    return Place(rank, size, int(env.get("LOCAL_RANK", rank)), int(env.get("LOCAL_WORLD_SIZE", size)))


def _of_slurm(env: Mapping[str, str]) -> dict[str, str]:
    """What srun says, in torch's words. The processes meet on the first node of the list, at a port that the number of
    the job decides, unless MASTER_ADDR and MASTER_PORT say otherwise."""
    size = env.get("SLURM_NTASKS", "1")
    found = {"RANK": env["SLURM_PROCID"], "WORLD_SIZE": size, "LOCAL_RANK": env.get("SLURM_LOCALID", "0"),
             "LOCAL_WORLD_SIZE": size,
             "MASTER_PORT": env.get("MASTER_PORT", str(12000 + int(env.get("SLURM_JOB_ID", "0")) % 20000))}
    # "4(x2),3": four on each of two nodes, three on the next
    tasks = env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE", "")
    counts = [count for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks) for _ in range(int(times or 1))]
    node = int(env.get("SLURM_NODEID", "0"))
    if node < len(counts):
        found["LOCAL_WORLD_SIZE"] = counts[node]
    nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST", "")
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    if first is not None and "MASTER_ADDR" not in env:  # "gpu[03-05,9],login": gpu03
        found["MASTER_ADDR"] = re.sub(r"\[(\w+)[^\]]*\]", r"\1", first[0])
    return found


def device_of(place: Place, wanted: str) -> torch.device:
    """Where a process computes: a GPU of its own where `wanted` is "gpu", or "auto" and each process here has one."""
    count = torch.cuda.device_count() if wanted != "cpu" and torch.cuda.is_available() else 0
    if count == 1 and os.environ.get("SLURM_GPUS_PER_TASK") == "1":  # each process sees its own alone
        return torch.device("cuda", 0)
    enough = count > place.local_rank and count >= min(place.local_size, place.size)
    if wanted == "gpu" and not enough:
        raise TypeRefused(f"{place.local_size} processes on this machine want a GPU each, and it has {count}, at "
                          f"{line_of(user_site())}; start as many processes as it has GPUs, or write \"parallel-cpu\"")
    return torch.device("cuda", place.local_rank) if enough else torch.device("cpu")


__all__ = ["WAY", "Place", "device_of", "place_in", "place_of_this_process"]
