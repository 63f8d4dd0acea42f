"""Products that sum over axes: matmul, einsum, tensordot, vecdot."""
from __future__ import annotations

import itertools
import math
import string
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from ...blocks import action
from ...core.array import among_dlarrays, dlarray, labels_of, unlabelled
from ...core.calls import broadcast_operands
from ...core.declare import composite, multilinear, public
from ...core.errors import LabelError, ShapeError, line_of, user_site
from ...core.kinds.multilinear import Multilinear
from ...core.labels import LAYOUTS, axes_of, checked, described, tidy, without
from ...core.tables import OPERATIONS
from ...machine.dtypes import Tensor, broadcast_shapes, computed_in, differentiable, promoted
from ...machine.products import matrix_product
from ..elementwise.arithmetic import astype, conj
from ..movement.axes import adjoint, array, expand_dims, matrix_transpose, permute_dims, reshape
from .vector_products import matvec, outer_operation, vecdot_operation


def promoted_arrays(*arrays: Any) -> list[Any]:
    """Arrays (None passes) in their common type: a recorded cast before the kernel."""
    arrays = tuple(among_dlarrays(arrays))
    dtypes = {a.dtype for a in arrays if a is not None}
    if len(dtypes) == 1:
        return list(arrays)
    dtype = common_type(arrays)
    return [a if a is None or a.dtype is dtype else astype(a, dtype) for a in arrays]


def common_type(arrays: Sequence[Any]) -> torch.dtype:
    """The type that arrays (None passes) are computed in: those without axes promote to another kind only."""
    there = [a for a in arrays if a is not None]
    return computed_in([a.dtype for a in there if a.ndim], [a.dtype for a in there if not a.ndim])


# ----- matmul -----

matmul_operation = multilinear(
    "matmul", matrix_product, ("a", "b"), axes="... i k, ... k j -> ... i j", act=action.contraction,
    broadcast=True, matlab="mtimes", whole_axes=(-1, -2), row_product=True,
    transposes={"a": lambda y_bar, b: matmul_operation.apply((y_bar, adjoint(b))),
                "b": lambda y_bar, a: matmul_operation.apply((adjoint(a), y_bar))},
    fused_pull={"a": lambda y_bar, b, lead: matrix_product(y_bar, b.mH),
                "b": lambda y_bar, a, lead: matrix_product(a.mH, y_bar)},
    samples=[((2, 3), (3, 4), {}), ((5, 2, 3), (3, 4), {}), ((2, 3), (5, 3, 4), {})],
    torch=("matmul", "linalg.matmul", "__matmul__"))


@public(matmul_operation)
def matmul(a: Any, b: Any, /) -> Any:
    """The matrix product over the last axis of a and the last but one (or only) axis of b; leading axes broadcast.

    With one labelled operand, the axis that the other brings takes the label of the contracted axis. Two labelled
    operands are refused: use fullyconnect, einsum, or stripdims. A SciPy sparse `a` is a constant.

    >>> import gradloom as gl
    >>> gl.matmul(gl.dlarray([[1.0, 2.0], [3.0, 4.0]]), gl.dlarray([1.0, 1.0]))
    2 dlarray float64
    [3. 7.]

    Source: array API matmul.
    """
    if not isinstance(a, dlarray) and hasattr(a, "tocsr"):
        return sparse_matmul(a, b)
    if not isinstance(b, dlarray) and hasattr(b, "tocsr"):
        return matrix_transpose(sparse_matmul(b.T, matrix_transpose(array(a))))
    a, b = array(a), array(b)
    la, lb = labels_of(a), labels_of(b)
    if la is not None and lb is not None:
        raise LabelError(
            f"the matrix product of {described(a.shape, la)} and {described(b.shape, lb)} is refused, at "
            f"{line_of(user_site())}; write fullyconnect(x, weights), einsum, or stripdims on one side")
    if not a.ndim or not b.ndim:
        raise ShapeError(f"the matrix product needs axes, at {line_of(user_site())}; write a * b for scalars")
    contracted = a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[0]
    if contracted[0] != contracted[1]:
        among_dlarrays((a, b))  # which refuses what is no array at all
        raise ShapeError(
            f"the matrix product of {described(a.shape, la)} and {described(b.shape, lb)}: {contracted[0]} columns "
            f"meet {contracted[1]} rows, at {line_of(user_site())}")
    a, b = promoted_arrays(a, b)
    row, column = a.ndim == 1, b.ndim == 1
    if row and column:
        y = (vecdot_operation.apply((a, b), {"axis": -1}) if differentiable(a.dtype)
             else reshape(matvec.apply((reshape(a, (1, -1)), b)), ()))
    elif row or column:
        y = matvec.apply((a, b) if column else (matrix_transpose(b), a))
    else:
        y = matmul_operation.apply((a, b))
    labels = la or lb
    if labels is not None and type(y) is dlarray:
        y._labels = tidy(_matmul_labels(la, lb, row, column, y.ndim))
    return y


def _matmul_labels(la: str | None, lb: str | None, row: bool, column: bool, ndim: int) -> str | None:
    """Labels of the product: the axis that the unlabelled operand brings takes the contracted label."""
    if la is not None:
        kept = la[:-1] if column else la
        return "U" * (ndim - len(kept)) + kept
    assert lb is not None
    if row:
        kept = lb[:-2] + lb[-1:] if len(lb) > 1 else ""
    else:
        kept = lb
    return "U" * (ndim - len(kept)) + kept


# ----- a constant sparse matrix -----


def _sparse_kernel(x: Tensor, matrix: Tensor) -> Tensor:
    if x.dtype is not matrix.dtype:
        dtype = promoted(x.dtype, matrix.dtype)
        x, matrix = x.to(dtype), matrix.to(dtype)
    if x.is_meta:
        return x.new_empty((*x.shape[:-2], matrix.shape[0], x.shape[-1]))
    if x.ndim == 2:
        return matrix @ x
    flat = x.movedim(-2, 0)
    y = matrix @ flat.reshape(flat.shape[0], -1)
    return y.reshape(matrix.shape[0], *flat.shape[1:]).movedim(0, -2)


def _sparse_samples() -> list[Any]:
    places = torch.tensor([0, 2, 2, 3, 4], device="cpu"), torch.tensor([0, 2, 1, 2], device="cpu")
    real, complex_ = (_csr(*places, torch.tensor([1.0, -2.0, 0.5, 3.0 * unit], dtype=dtype, device="cpu"), (4, 3))
                      for unit, dtype in ((1, torch.float64), (1j, torch.complex128)))
    return [((3, 2), {"matrix": real}), ((2, 3, 2), {"matrix": real}), ((3, 1), {"matrix": real}),
            ((0, 3, 2), {"matrix": real}),
            ((3, 2), {"matrix": complex_})]


def _csr(starts: Tensor, columns: Tensor, data: Tensor, size: tuple[int, ...]) -> Tensor:
    filters = warnings.filters
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says once that these matrices are in beta
            return torch.sparse_csr_tensor(starts, columns, data, size=size, check_invariants=False, device="cpu")
    finally:
        warnings.filters = filters  # an interrupt may have come before the block's own end


def _sparse_transpose(y_bar: Any, matrix: Tensor) -> Any:
    return _sparse.apply((y_bar,), {"matrix": matrix.conj().t().to_sparse_csr()})


_sparse = multilinear("sparse_matmul", _sparse_kernel, transposes={"x": _sparse_transpose}, act=action.untying,
                      samples=_sparse_samples, sparse_matrix="matrix")


@composite
def sparse_matmul(a: Any, x: Any, /) -> Any:
    """A constant SciPy sparse matrix times x, a vector or a matrix.

    >>> import gradloom as gl, scipy.sparse
    >>> gl.sparse_matmul(scipy.sparse.eye_array(2), gl.dlarray([1.0, 2.0]))
    2 dlarray float64
    [1. 2.]
    """
    x = array(x)
    csr = a.tocsr()
    if csr.shape[1] != (x.shape[-2] if x.ndim > 1 else x.shape[0]):
        raise ShapeError(
            f"a sparse matrix of {csr.shape} times {described(x.shape, labels_of(x))}, at {line_of(user_site())}")
    dtype = torch.promote_types(x.dtype, torch.from_numpy(csr.data[:0].copy()).dtype)
    matrix = _csr(torch.as_tensor(csr.indptr, dtype=torch.int64, device=x.device),
                  torch.as_tensor(csr.indices, dtype=torch.int64, device=x.device),
                  # a copy: the caller may write into his matrix later
                  torch.tensor(csr.data, dtype=dtype, device=x.device), csr.shape)
    x = astype(x, dtype)
    y = _sparse.apply((expand_dims(x, axis=1) if x.ndim == 1 else x,), {"matrix": matrix})
    return reshape(y, (y.shape[0],)) if x.ndim == 1 else y


# ----- einsum -----


class _Einsum(Multilinear):
    """A product of any number of operands, summed over the letters that the result lacks."""

    def kept(self, nodes: Sequence[Any], values: list[Any], output: Any, hidden: Sequence[Any] = ()) -> list[Any]:
        traced = [k for k, n in enumerate(nodes) if n is not None]
        return [None if traced == [k] else v for k, v in enumerate(values)] + [None]

    def pull(self, v: Any, params: Any, node: Any, y_bar: Any, lead: Any, wanted: Any) -> Any:
        inputs, out = params["letters"]
        dots = _letters_besides(inputs, len(lead))
        bars: list[Any] = []
        for k, letters in enumerate(inputs):
            if not wanted[k]:
                bars.append(None)
                continue
            others = [j for j in range(len(inputs)) if j != k]
            present = set(out).union(*[inputs[j] for j in others])
            found = "".join(c for c in letters if c in present)
            operands = [y_bar, *[conj(v[j]) if v[j].dtype.is_complex else v[j] for j in others]]
            bar = self.apply(operands, {"letters": ([dots + out, *[inputs[j] for j in others]], dots + found)})
            if found != letters:
                sizes = [n if c in present else 1 for c, n in zip(letters, node.parents[k].shape, strict=True)]
                bar = reshape(bar, (*bar.shape[:len(lead)], *sizes))
            bars.append(bar)
        return bars

    def push(self, v: Any, params: Any, node: Any, dots: Any, lead: Any) -> Any:
        inputs, out = params["letters"]
        e = _letters_besides(inputs, len(lead))
        y_dot = None
        for k, dot in enumerate(dots):
            if dot is not None:
                letters = [e + name if j == k else name for j, name in enumerate(inputs)]
                part = self.apply([dot if j == k else x for j, x in enumerate(v[:len(inputs)])],
                                  {"letters": (letters, e + out)})
                y_dot = part if y_dot is None else y_dot + part
        return y_dot


def _letters_besides(names: Sequence[str], count: int) -> str:
    """Letters for leading axes that no operand has: what a walk records names each of its axes."""
    taken = set("".join(names)) if count else ()
    return "".join(itertools.islice((c for c in string.ascii_letters if c not in taken), count))


def _einsum_kernel(*operands: Tensor, letters: Any) -> Tensor:
    dtype = common_type(operands)
    return torch.einsum(",".join(letters[0]) + "->" + letters[1], *[x.to(dtype) for x in operands])


_einsum = _Einsum("einsum", _einsum_kernel, ("operands",), [("operands",)], {}, act=action.contraction, samples=[
    ((2, 3), (3, 4), {"letters": (["ij", "jk"], "ik")}), ((2, 3), (3,), (2, 4), {"letters": (["ij", "j", "ik"], "ki")}),
    ((2, 3), {"letters": (["ij"], "j")}), ((2, 3), (4,), {"letters": (["ij", "k"], "ki")})],
                  axes=lambda inputs, params: ([list(names) for names in params["letters"][0]],
                                               list(params["letters"][1])))


@public(_einsum)
def einsum(equation: str, /, *operands: Any) -> Any:
    """A product of arrays summed over letters, in NumPy's notation: `einsum("ij,jk->ik", a, b)`. The result is
    unlabelled.

    >>> import gradloom as gl
    >>> gl.einsum("i,i->", gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, 4.0]))
    dlarray float64 11.0

    Source: NumPy einsum.
    """
    arrays = list(among_dlarrays([array(x) for x in operands]))
    left, arrow, out = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(arrays):
        raise ShapeError(
            f"einsum {equation!r} names {len(inputs)} operands, {len(arrays)} were given, at {line_of(user_site())}")
    spare = iter(c for c in string.ascii_letters if c not in equation)
    wide = max([x.ndim - len(names.replace("...", "")) for names, x in zip(inputs, arrays, strict=True)
                if "..." in names], default=0)
    batch = "".join(next(spare) for _ in range(wide))
    if not arrow:
        counts = "".join(inputs).replace("...", "")
        out = ("..." if "..." in left else "") + "".join(sorted(c for c in set(counts) if counts.count(c) == 1))
    out = out.replace("...", batch)
    names: list[str] = []
    for k, (letters, x) in enumerate(zip(inputs, arrays, strict=True)):
        letters = letters.replace("...", batch[wide - (x.ndim - len(letters.replace("...", ""))):]
                                  if "..." in letters else "")
        if len(letters) != x.ndim:
            raise ShapeError(f"einsum {equation!r}: operand {k} has {x.ndim} axes, at {line_of(user_site())}")
        names.append(letters)
    for k, letters in enumerate(names):  # a repeated letter is a diagonal: a product with an identity
        for d, c in enumerate(letters):
            if c in names[k][:d]:
                fresh = next(spare)
                names[k] = names[k][:d] + fresh + names[k][d + 1:]
                eye = torch.eye(arrays[k].shape[d], dtype=arrays[k].dtype, device=arrays[k].device)
                arrays.append(eye if isinstance(arrays[k], Tensor) else dlarray._made(eye, None))
                names.append(c + fresh)
    if any(type(x) is dlarray for x in arrays):
        arrays = [dlarray._made(x._value, x._node, None) if type(x) is dlarray else dlarray(x) for x in arrays]
    return _einsum.apply(arrays, {"letters": (names, out)})


def layout_of(x: Any, data_format: str | None, word: str) -> str:
    """The labels of x, or the data_format of an unlabelled x."""
    labels = labels_of(x)
    if labels is not None:
        if data_format is not None and data_format != labels:
            raise LabelError(
                f"{word}: x is labelled {labels!r} already, data_format={data_format!r} contradicts it; leave "
                "data_format out")
        return labels
    if data_format is None:
        raise LabelError(
            f"{word} needs to know the axes of x, which is unlabelled ({described(x.shape, None)}), at "
            f"{line_of(user_site())}; write dlarray(x, labels) or data_format=, such as {LAYOUTS}")
    found = checked(data_format, x.ndim)
    return found if found is not None else data_format


# ----- composites -----


@public(outer_operation)
def outer(a: Any, b: Any, /) -> Any:
    """a[i] b[j] for two vectors.

    >>> import gradloom as gl
    >>> gl.outer(gl.dlarray([1.0, 2.0]), gl.dlarray([3.0]))
    2 x 1 dlarray float64
    [[3.]
     [6.]]
    """
    a, b = promoted_arrays(unlabelled(array(a)), unlabelled(array(b)))
    return outer_operation.apply([x if x.ndim == 1 else reshape(x, (-1,)) for x in (a, b)])


@composite
def tensordot(a: Any, b: Any, /, *, axes: Any = 2) -> Any:
    """The sum of products over axes: the last of a with the first of b, or two lists of axes.

    >>> import gradloom as gl
    >>> gl.tensordot(gl.ones((2, 3)), gl.ones((3, 4)), axes=1).shape
    (2, 4)

    Source: array API tensordot.
    """
    a, b = promoted_arrays(array(a), array(b))
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"tensordot of {described(a.shape, labels_of(a))} and {described(b.shape, labels_of(b))} over {axes} "
                f"axes, at {line_of(user_site())}; write axes=1, or name them in pairs: axes=([...], [...])")
        left, right = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        left, right = (axes_of(tuple(s) if isinstance(s, (tuple, list)) else s, x.ndim, labels_of(x))
                       for s, x in zip(axes, (a, b), strict=True))
    sizes = [a.shape[k] for k in left], [b.shape[k] for k in right]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"tensordot of {described(a.shape, labels_of(a))} and {described(b.shape, labels_of(b))}: axes of sizes "
            f"{tuple(sizes[0])} meet axes of sizes {tuple(sizes[1])}, at {line_of(user_site())}; name axes of equal "
            "sizes in pairs: axes=([...], [...])")
    rest_a, rest_b = [k for k in range(a.ndim) if k not in left], [k for k in range(b.ndim) if k not in right]
    shape_a, shape_b = tuple(a.shape[k] for k in rest_a), tuple(b.shape[k] for k in rest_b)
    count = math.prod(sizes[0])
    y = matmul(reshape(permute_dims(a, (*rest_a, *left)), (math.prod(shape_a), count)),
               reshape(permute_dims(b, (*right, *rest_b)), (count, math.prod(shape_b))))
    return reshape(y, (*shape_a, *shape_b))


@public(vecdot_operation)
def vecdot(a: Any, b: Any, /, *, axis: Any = -1) -> Any:
    """sum(conj(a) b) along an axis, which has one size in both; the other axes broadcast. Labels match by name.

    >>> import gradloom as gl
    >>> gl.vecdot(gl.dlarray([1.0, 2.0]), gl.dlarray([3.0, 4.0]))
    dlarray float64 11.0

    Source: array API vecdot.
    """
    a, b = array(a), array(b)
    shown = f"vecdot of {described(a.shape, labels_of(a))} and {described(b.shape, labels_of(b))} along axis {axis!r}"
    (a, b), labels = broadcast_operands(OPERATIONS["vecdot"], (a, b))
    try:
        shape = broadcast_shapes(a.shape, b.shape)
    except ValueError:
        shape = ()
    axes = [k - len(shape) for k in axes_of(axis, len(shape), labels, shape)] if shape else []
    if len(axes) != 1 or min(a.ndim, b.ndim) < -axes[0] or a.shape[axes[0]] != b.shape[axes[0]]:
        raise ShapeError(
            f"{shown}: vectors of one size are needed along one axis, in shapes that broadcast, at "
            f"{line_of(user_site())}; write sum(a * b, axis=...) where one of them is stretched")
    a, b = promoted_arrays(a, b)
    a = conj(a) if a.dtype.is_complex else a
    return vecdot_operation.apply((a, b), {"axis": axes[0]}, without(labels, [axes[0] + len(shape)]))


__all__ = ["einsum", "layout_of", "matmul", "outer", "promoted_arrays", "sparse_matmul", "tensordot",
           "vecdot"]
