"""What is said where a kernel fails inside a walk: the operation, where it was used, and where its derivative was asked
for."""
from __future__ import annotations

from ...core.errors import GradloomError, ShapeError, TypeRefused, is_inside, line_of, user_site
from ...core.labels import described
from ...core.operation import reason_of
from ...core.trace import Node

# what kernels raise
FAILURES = (RuntimeError, TypeError, ValueError, IndexError, ArithmeticError, MemoryError, AssertionError)


def refuse_in_words(error: Exception) -> None:
    """Raise the error of a kernel anew, in words. It returns where the error has words already, or comes from a rule of
    the user's own.

    The node that was visited is read from the walk's frame, so that a walk that goes well pays nothing.
    """
    first = (error.__cause__ if isinstance(error, (ShapeError, TypeRefused))
             and " cannot be computed, at " in str(error) else error)
    if (not isinstance(first, FAILURES) or isinstance(first, GradloomError) or "; write " in str(first)
        or str(error).startswith("the derivative of ")):
        return
    node, at = None, error.__traceback__
    while at is not None:
        if not is_inside(at.tb_frame.f_code.co_filename):
            return  # a user's own rule, whose line the traceback shows
        visited = at.tb_frame.f_locals.get("node")
        # the walk's; rules run operations, which have nodes too
        node = visited if node is None and isinstance(visited, Node) else node
        at = at.tb_next
    if node is None or not node.parents:
        return
    shapes = ", ".join(described(p.shape, None) for p in node.parents if p is not None and p.shape is not None)
    kind, reason = reason_of(first)
    raise kind(
        f"the derivative of {node.operation.name}({shapes}), made in {line_of(node.site)}, cannot be computed, at "
        f"{line_of(user_site())}: {reason}") from first


__all__ = ["FAILURES", "refuse_in_words"]
