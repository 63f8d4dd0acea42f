"""What a recording knows of torch's calls: which only ask for shapes and types, which make Python's a value, which
draw, which have results of a shape that depends on values."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..machine.dtypes import Tensor
from ..machine.random import state_of

Call = Callable[..., Any]


def _of(owner: Any, *names: str) -> set[Any]:
    return {getattr(owner, name) for name in names if hasattr(owner, name)}


def _named(*names: str) -> set[Any]:
    """torch's functions and methods of these names."""
    return _of(torch, *names) | _of(Tensor, *names)


def _overloads(*names: str) -> set[Any]:
    """torch's operations of these names, which rules for its modules call."""
    return {getattr(packet, overload) for packet in [getattr(torch.ops.aten, name) for name in names]
            for overload in packet.overloads()}


# Questions whose answers depend on shapes, types and places alone.
METADATA = {getattr(Tensor, name).__get__ for name in (
    "shape", "dtype", "device", "ndim", "is_cuda", "is_cpu", "is_meta", "layout", "is_sparse", "is_sparse_csr",
    "requires_grad", "is_leaf", "itemsize", "nbytes", "_version", "_base", "grad_fn", "is_quantized", "is_mkldnn",
    "is_nested", "is_inference", "grad") if hasattr(getattr(Tensor, name), "__get__")}
METADATA |= _of(Tensor, "size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous", "element_size",
                "storage_offset", "untyped_storage", "get_device", "_is_view", "__len__", "__hash__", "is_same_size",
                "is_inference", "sparse_dim", "dense_dim", "_nnz", "dim_order")
METADATA |= _named("is_floating_point", "is_complex", "is_conj", "is_neg", "is_signed", "is_tensor", "result_type",
                   "promote_types", "can_cast", "broadcast_shapes", "broadcast_tensors_shape")

TRUTHS = _of(Tensor, "__bool__", "__contains__") | _named("is_nonzero", "equal", "allclose")
INTEGERS = _of(Tensor, "item", "__int__", "__index__", "tolist")  # where the tensor is one of integers or truths
VALUES = TRUTHS | INTEGERS | _of(
    Tensor, "__float__", "__complex__", "numpy", "__array__", "__repr__", "__format__", "__dlpack__", "data_ptr",
    "__deepcopy__", "__reduce_ex__", "storage", "const_data_ptr", "__cuda_array_interface__")
MOST = 64  # numbers of a tensor that a guard compares

_WHERE = torch.where
_INDEX = _overloads("index")
SHAPED = _named("nonzero", "masked_select", "unique", "bincount", "repeat_interleave", "unique_consecutive",
                "argwhere", "histc") | {_WHERE, Tensor.__getitem__, torch.nonzero_static} - {torch.histc, Tensor.histc}
SHAPED |= _INDEX | _overloads("nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive",
                              "unique_dim_consecutive", "bincount", "repeat_interleave", "argwhere")

_DRAWING = ("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli",
            "multinomial", "normal", "poisson", "binomial", "dropout", "native_dropout", "alpha_dropout", "rrelu",
            "feature_dropout", "feature_alpha_dropout", "bernoulli_", "uniform_", "normal_", "random_", "exponential_",
            "geometric_", "cauchy_", "log_normal_", "dropout_", "alpha_dropout_", "rrelu_", "_standard_gamma",
            "_sample_dirichlet")
DRAWS = _named(*_DRAWING)
DRAWN_BY_NAME = frozenset(_DRAWING) | {"dropout1d", "dropout2d", "dropout3d", "gumbel_softmax",
                                       "fractional_max_pool2d", "fractional_max_pool3d"}

FROM_SHAPES = _named("ones_like", "zeros_like", "full_like", "zeros", "ones", "full", "eye", "arange", "linspace",
                     "scalar_tensor", "tensor", "new_zeros", "new_ones", "new_full")
LIKE = _named("ones_like", "zeros_like", "full_like", "new_zeros", "new_ones", "new_full")
EMPTY = _named("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "empty_permuted")

# Views of all elements of an array, as they are.
REARRANGING = _named("reshape", "reshape_as", "view", "view_as", "expand", "expand_as", "broadcast_to", "permute",
                     "transpose", "swapaxes", "movedim", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous")

OPERATORS = {f: symbol for symbol, names in (("*", ("mul", "__mul__")), ("+", ("add", "__add__")),
                                             ("-", ("sub", "__sub__")), ("/", ("div", "__truediv__")))
             for f in _of(Tensor, *names)}

# Elementwise calls that can write where they are told.
INTO: dict[Any, Call] = {}
for _name, _plain in {"__mul__": "mul", "__add__": "add", "__sub__": "sub", "__truediv__": "div"}.items():
    INTO[getattr(Tensor, _name)] = getattr(torch, _plain)
for _name in ("mul", "add", "sub", "div", "addcmul", "neg", "tanh", "exp", "sigmoid", "sqrt", "log", "sin", "cos",
              "pow"):
    INTO[getattr(torch, _name)] = INTO[getattr(Tensor, _name)] = getattr(torch, _name)


def drawn(function: Any, kwargs: dict[str, Any]) -> bool:
    """Whether a call draws random numbers, or changes those that are drawn."""
    if function is state_of:
        return False
    return (function in DRAWS or any(isinstance(x, torch.Generator) for x in kwargs.values())
            or getattr(function, "__name__", "").partition(".")[0] in DRAWN_BY_NAME
            or "dropout_p" in kwargs and kwargs["dropout_p"] != 0)


def depends_on_values(function: Any, given: list[Tensor], args: tuple[Any, ...]) -> bool:
    """Whether the shape of a call's results does."""
    if function is Tensor.__getitem__ or function in _INDEX:
        return any([x.dtype in (torch.bool, torch.uint8) for x in given[1:]])
    return function is not _WHERE or len(args) == 1
