"""Who this process is among those that were started together: what torchrun, Ray Train or Slurm say in the
environment."""
from __future__ import annotations

import os
from typing import NamedTuple

import torch

from ...core.errors import TypeRefused, line_of, user_site

WAY = "start the program by torchrun --nproc-per-node 2 program.py"
_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}


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
        for word, slurm in _SLURM.items():
            env.setdefault(word, env.get(slurm, "0"))
        env.setdefault("MASTER_PORT", "29500")
    missing = [word for word in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if word not in env]
    if missing:
        more = ("; under Slurm write export MASTER_ADDR=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1) "
                "before srun" if "SLURM_PROCID" in env else "")
        raise TypeRefused(f"this process was not started with others: {', '.join(missing)} "
                          f"{'is' if len(missing) == 1 else 'are'} not in its environment, at "
                          f"{line_of(user_site())}; {WAY}{more}")
    rank, size = int(env["RANK"]), int(env["WORLD_SIZE"])
    return Place(rank, size, int(env.get("LOCAL_RANK", rank)), int(env.get("LOCAL_WORLD_SIZE", size)))


def device_of(place: Place, wanted: str) -> torch.device:
    """Where a process computes: a GPU of its own where `wanted` is "gpu", or "auto" and each process here has one."""
    count = torch.cuda.device_count() if wanted != "cpu" and torch.cuda.is_available() else 0
    enough = count > place.local_rank and count >= min(place.local_size, place.size)
    if wanted == "gpu" and not enough:
        raise TypeRefused(f"{place.local_size} processes on this machine want a GPU each, and it has {count}, at "
                          f"{line_of(user_site())}; start as many processes as it has GPUs, or write \"parallel-cpu\"")
    return torch.device("cuda", place.local_rank) if enough else torch.device("cpu")


__all__ = ["WAY", "Place", "device_of", "place_of_this_process"]
