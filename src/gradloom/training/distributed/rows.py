"""Rows of a Jacobian, shared out: each process has a part of them, and they travel when somebody asks."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...core.array import dlarray
from ...core.errors import ShapeError, TypeRefused, line_of, user_site
from ...core.labels import described
from ...operations.movement.axes import reshape
from ...operations.movement.labelling import stripdims
from .group import begun_for


def share_rows(u: Any, /) -> dlarray:
    """This process's part of u, whose Jacobian has this process's rows of the whole Jacobian.

    Process k of n has the entries of u from k/n to (k + 1)/n along axis 0, or of all entries in C order where that axis
    has fewer than n. So the parts differ by one entry of the axis at most, and `gather_rows` of their Jacobians'
    matrices, in the order of the processes, is the matrix of the whole. Nothing is sent.

    `J = gl.dlfeval(lambda net: gl.dljacobian(gl.distributed.share_rows(net.predict(x)), net.learnables), net)` has this
    process's rows, and `gl.distributed.gather_rows(J.matrix())` is the whole.

    Raises ShapeError for fewer entries than processes, TypeRefused for what is no dlarray or before `start()`.
    """
    group = begun_for("share_rows")
    if type(u) is not dlarray:
        raise TypeRefused(f"share_rows takes a dlarray, not {type(u).__name__}, at {line_of(user_site())}; share out "
                          "each array of a container by itself")
    if u.size < group.size:
        raise ShapeError(f"share_rows: {described(u.shape, u._labels)} has {u.size} entries for {group.size} "
                         f"processes, at {line_of(user_site())}; differentiate it on each of them")
    if u.shape[0] < group.size:
        u = reshape(stripdims(u), (-1,))
    count = u.shape[0]
    return u[group.rank * count // group.size:(group.rank + 1) * count // group.size]


def gather_rows(rows: Any, /) -> Any:
    """The rows of all processes, one below the other in the order of the processes, on each of them: an array like the
    one given, NumPy's or a dlarray (without a trace).

    Raises ShapeError where the rows of a process have another shape, TypeRefused before `start()`, ProcessFailed where
    another process failed.
    """
    group = begun_for("gather_rows")
    value = rows._value.detach() if type(rows) is dlarray else torch.from_numpy(np.ascontiguousarray(rows))
    if not value.ndim:
        raise ShapeError(f"gather_rows takes rows, not one number, at {line_of(user_site())}; write x[None]")
    parts = [x for [x] in group.gathered([value]) if x is not None]
    if others := [tuple(x.shape) for x in parts if x.shape[1:] != value.shape[1:]]:
        raise ShapeError(f"gather_rows: a process has rows {others[0]}, this one {tuple(value.shape)}, at "
                         f"{line_of(user_site())}; they may differ along axis 0 alone")
    whole = torch.cat([x.to(value.device) for x in parts])
    return dlarray._made(whole, None, rows._labels) if type(rows) is dlarray else whole.numpy()


__all__ = ["gather_rows", "share_rows"]
