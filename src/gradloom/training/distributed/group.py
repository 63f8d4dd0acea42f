"""The processes that train together: what they send each other.

Everything that is decided is decided of what all processes have: the same bytes in the same order, so that each comes
to the same bits. torch.distributed is imported where a group begins, and nowhere else.
"""
from __future__ import annotations

import atexit
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from ...core.array import dlarray
from ...core.errors import TypeRefused, line_of, user_site
from ...machine.dtypes import Tensor
from ...machine.questions import ends_recording
from ...storage.files import load, save
from .failing import ProcessFailed, Words
from .launch import device_of, place_in, place_of_this_process
from .packing import buckets, packed, unpacked

_HEAD = 2048  # bytes of which each process sends as many, at first
_LOOK = timedelta(seconds=1)  # how long to wait before looking whether another process failed


class Group:
    """Processes that train together, as one of them sees it: its number `rank`, how many there are (`size`), and the
    `device` on which it computes. A group of one sends nothing."""

    def __init__(self, rank: int = 0, size: int = 1, device: Any = "cpu", words: Words | None = None,
                 timeout: float = 0.0, nccl: bool = False, messages: Any = None):
        self.rank, self.size, self.device = rank, size, torch.device(device)
        self._words, self._timeout, self._nccl = words, timeout, nccl
        self._messages = messages  # torch's group for what is on the CPU; None: that for everything

    def __repr__(self) -> str:
        return f"Group(process {self.rank} of {self.size}, on {self.device})"

    # ----- what is sent -----

    def gathered(self, tensors: Sequence[Tensor | None]) -> list[list[Tensor | None]]:
        """What each process has, in the order of their numbers. Shapes may differ, and None is nothing."""
        if self.size == 1:
            return [list(tensors)]
        data = packed(tensors)
        head = torch.zeros(_HEAD, dtype=torch.uint8, device="cpu")
        _fill(head, len(data).to_bytes(8, "little") + data[:_HEAD - 8])
        heads = [_bytes(x) for x in self._all(head)]
        lengths = [int.from_bytes(x[:8], "little") for x in heads]
        rests = [b""] * self.size
        if max(lengths) > _HEAD - 8:
            rest = torch.zeros(max(lengths) - (_HEAD - 8), dtype=torch.uint8, device="cpu")
            _fill(rest, data[_HEAD - 8:])
            rests = [_bytes(x) for x in self._all(rest)]
        return [unpacked((head[8:] + rest)[:length]) for head, rest, length in zip(heads, rests, lengths, strict=True)]

    def _all(self, x: Tensor) -> list[Tensor]:
        found = [torch.empty_like(x) for _ in range(self.size)]
        self._wait([_torch().all_gather(found, x, group=self._messages, async_op=True)], False)
        return found

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums over the processes, in flat buckets: one all-reduce for each."""
        if self.size == 1:
            return list(tensors)
        found: list[Any] = [None] * len(tensors)
        sent = []
        for places in buckets(tensors):
            flat = torch.cat([tensors[k].detach().reshape(-1) for k in places])
            own = self._messages if flat.is_cpu else None
            sent.append((places, flat, _torch().all_reduce(flat, group=own, async_op=True)))
        self._wait([work for _, _, work in sent], self._nccl and any(flat.is_cuda for _, flat, _ in sent))
        for places, flat, _ in sent:
            for k, part in zip(places, flat.split([tensors[k].numel() for k in places]), strict=True):
                found[k] = part.reshape(tensors[k].shape)
        return found

    def first(self, tree: Any) -> Any:
        """What process 0 has: any container that files hold."""
        if self.size == 1:
            return tree
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sent.safetensors"
            mine = None
            if self.rank == 0:
                save(path, tree)
                mine = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
            length = self.gathered([None if mine is None else torch.tensor(len(mine), device="cpu")])[0][0]
            assert length is not None
            sent = torch.empty(int(length), dtype=torch.uint8, device="cpu") if mine is None else mine
            self._wait([_torch().broadcast(sent, 0, group=self._messages, async_op=True)], False)
            if self.rank == 0:
                return tree
            path.write_bytes(_bytes(sent))
            return load(path)

    def agreed(self, text: str) -> str:
        """A text of one process, where one has any: that with the smallest number."""
        mine = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) if text else None
        said = [x for [x] in self.gathered([mine]) if x is not None]
        return _bytes(said[0]).decode() if said else ""

    def check_same(self, arrays: Sequence[dlarray]) -> None:
        """Refuse arrays whose bits are not those of the other processes."""
        if self.size == 1:
            return
        digest = hashlib.blake2b(packed(values_of(arrays)), digest_size=16).digest()
        found = [x for [x] in self.gathered([torch.frombuffer(bytearray(digest), dtype=torch.uint8)]) if x is not None]
        others = [k for k, x in enumerate(found) if not torch.equal(x, found[0])]
        if others:
            raise self._failed(f"the network of process {others[0]} has other bits than that of process 0: the "
                               "processes run different code, libraries or processors")

    # ----- waiting, and what is said of failures -----

    def _wait(self, sent: Sequence[Any], polled: bool) -> None:
        """Wait for what was sent, and look each second whether another process failed."""
        ends_recording("it exchanges numbers with other processes")
        start = time.monotonic()
        for work in sent:
            while not self._done(work, start, polled):
                pass

    def _done(self, work: Any, start: float, polled: bool) -> bool:
        try:
            if polled:  # waiting for NCCL would only queue the wait on the GPU
                self._poll(work)
            if not polled or work.is_completed():
                work.wait(_LOOK)
                return True
        except RuntimeError as error:
            if work.is_completed():
                words = self._words.said() or self._words.of_the_dead() if self._words else str(error)
                raise self._failed(words) from error
        words = self._words.said() if self._words else ""
        if words:
            raise self._failed(words)
        if time.monotonic() - start > self._timeout:
            raise self._failed(f"another process did not answer for {self._timeout:g} seconds")
        return False

    @staticmethod
    def _poll(work: Any) -> None:
        end = time.monotonic() + _LOOK.total_seconds()
        while not work.is_completed() and time.monotonic() < end:
            time.sleep(1e-4)

    def _failed(self, words: str) -> ProcessFailed:
        if self._words is not None:
            self._words.linger()
        return ProcessFailed(f"process {self.rank} of {self.size} ends: {words}; this one was at "
                             f"{line_of(user_site())}; mend what is said there and start again, from a checkpoint "
                             "where there is one (resume=True), with any number of processes")

    def tell(self, error: BaseException) -> None:
        """Tell the other processes of an error that ends this one; they end with its words."""
        if self._words is not None:
            self._words.tell(error)


ALONE = Group()
_begun: list[Group] = []


def _torch() -> Any:
    import torch.distributed as distributed
    return distributed


def begun_for(word: str) -> Group:
    """The group of this process, for a word that cannot do without it."""
    if not _begun:
        raise TypeRefused(f"distributed.{word}: this process has not met the others, at {line_of(user_site())}; write "
                          "gl.distributed.start() first")
    return _begun[0]


def begin(wanted: str, timeout: float) -> Group:
    """Meet the other processes, or find them where this process has met them already."""
    if _begun:
        return _begun[0]
    distributed = _torch()
    messages = None
    if distributed.is_initialized():  # by Ray Train, or by the program
        place = place_in({**os.environ, "RANK": str(distributed.get_rank()),
                          "WORLD_SIZE": str(distributed.get_world_size())})
        device, words = device_of(place, wanted), None
        if distributed.get_backend() == "nccl":  # which sends nothing that is on a CPU
            messages = distributed.new_group(backend="gloo")
    else:
        from torch.distributed.rendezvous import rendezvous
        place = place_of_this_process()
        device = device_of(place, wanted)
        limit = timedelta(seconds=timeout)
        store, _, _ = next(iter(rendezvous("env://", timeout=limit)))
        its = {"backend": "cpu:gloo,cuda:nccl", "device_id": device} if device.type == "cuda" else {"backend": "gloo"}
        distributed.init_process_group(store=store, rank=place.rank, world_size=place.size, timeout=limit, **its)
        atexit.register(_end, distributed)
        keeps = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
        words = Words(distributed.PrefixStore("gradloom", store), place.rank, place.size, keeps)
    group = Group(place.rank, place.size, device, words, timeout, device.type == "cuda", messages)
    _begun.append(group)
    if words is not None:
        _tell_uncaught(words)
    return group


def _end(distributed: Any) -> None:
    """End the threads of the group before the interpreter ends: one that still runs then may abort the process."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _tell_uncaught(words: Words) -> None:
    """An error that ends the program is told to the other processes."""
    before = sys.excepthook

    def hook(kind: Any, error: Any, trace: Any) -> None:
        before(kind, error, trace)
        words.tell(error)

    sys.excepthook = hook


def values_of(arrays: Sequence[dlarray]) -> list[Tensor]:
    """The values of arrays, without their traces."""
    return [x._value.detach() for x in arrays]


def _bytes(x: Tensor) -> bytes:
    return x.numpy().tobytes()


def _fill(x: Tensor, data: bytes) -> None:
    if data:
        x[:len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)


__all__ = ["ALONE", "Group", "begin", "begun_for", "values_of"]
