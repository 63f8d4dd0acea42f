"""Checkpoints: training states in files, the last few of which are kept. A file that was not written whole is passed
over."""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..core.errors import FileRefused, GradloomError, line_of, user_site
from ..networks.network import dlnetwork
from ..storage import load, save
from .state import TrainingState

KEPT = 3
_NAME = re.compile(r"checkpoint_(\d+)\.safetensors")


class CheckpointFailed(GradloomError, OSError):
    """A checkpoint that could not be written: a full disk, a folder that is read-only."""


def save_checkpoint(state: TrainingState, folder: Any, /, *, keep: int = KEPT) -> Path:
    """Write a state into a folder, as checkpoint_<iteration>.safetensors, and keep the last `keep` of them.

    The file is there as a whole or not at all. The random generators of this thread are saved with the state.

    Raises CheckpointFailed (an OSError) where the folder cannot be written to, or is full; what was there stays.

    >>> import gradloom as gl, tempfile
    >>> net = gl.dlnetwork([gl.layers.FeatureInput(1), gl.layers.FullyConnected(1)])
    >>> folder = tempfile.mkdtemp()
    >>> gl.save_checkpoint(gl.TrainingState(net, "adam"), folder).name
    'checkpoint_000000000.safetensors'
    >>> gl.load_checkpoint(folder, net)
    TrainingState('adam', iteration=0, epoch=0)
    """
    folder = Path(folder)
    path = folder / f"checkpoint_{state.iteration:09d}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(path, state.container())
    except OSError as error:
        raise CheckpointFailed(
            f"the checkpoint {path} could not be written ({error.strerror or error}), at {line_of(user_site())}; the "
            "checkpoints before it are whole; make room, or write another checkpoint_path") from error
    for old in _sorted(folder)[:-keep]:
        if old != path:
            old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Any, network: dlnetwork, options: Any = None, /) -> TrainingState:
    """A state from a checkpoint, or from the newest whole one in a folder.

    `network` is one like that which was saved: the checkpoint has its parameters. `options` are those that training
    goes on with; without them the solver's defaults. `state.restore_random()` sets the random generators.

    Raises FileRefused where no checkpoint is whole, or it is none, FileNotFoundError where there is none.
    """
    path = Path(path)
    found = load(path) if path.is_file() else newest(path)
    if found is None:
        raise FileNotFoundError(f"there is no checkpoint in {path}, at {line_of(user_site())}; save_checkpoint(state, "
                                "folder) writes one")
    if not isinstance(found, dict) or not {"network", "solver", "solver_state"} <= {*found}:
        raise FileRefused(f"{path} holds {type(found).__name__}, and no state of training, at {line_of(user_site())}; "
                          "give what save_checkpoint wrote, or write gl.load(path)")
    return TrainingState.of_container(found, network, options)


def newest(folder: Path) -> dict[str, Any] | None:
    """What the newest whole checkpoint of a folder holds; None where there is no file of that name."""
    files = _sorted(folder)
    refused = None
    for path in reversed(files):
        try:
            return load(path)
        except FileRefused as error:
            refused = error
    if refused is not None:
        raise FileRefused(f"no checkpoint of {folder} can be read, at {line_of(user_site())}; the oldest: {refused}")
    return None


def _sorted(folder: Path) -> list[Path]:
    names = sorted(name for name in (os.listdir(folder) if folder.is_dir() else ()) if _NAME.fullmatch(name))
    return [folder / name for name in names]


__all__ = ["CheckpointFailed", "load_checkpoint", "newest", "save_checkpoint"]
