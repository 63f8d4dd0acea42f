"""The types that `help` shows: what an argument of a name takes, and what functions return.

Inside, an argument is Any: rules run on dlarrays, tensors and Blocks alike. A name means the same in every public
function, so its type is said once, here. ArrayLike is a dlarray, a NumPy array, a tensor, a number, or a list of them.
"""
from __future__ import annotations

import inspect
from typing import Any

_ARRAYS = (
    "x", "a", "b", "y", "u", "v", "w", "q", "k", "h0", "c0", "bias", "weights", "offset", "scale", "mean", "variance",
    "input_weights", "recurrent_weights", "peephole_weights", "targets", "mask", "padding_mask", "attention_mask",
    "y_mask", "targets_mask", "indices", "condition", "labels", "xq", "start", "stop", "step", "lower", "upper", "dx",
    "sorter", "arrays_and_dtypes",
)
ARGUMENTS = {
    **dict.fromkeys(_ARRAYS, "ArrayLike"),
    "axis": "int | str | Sequence[int | str] | None", "axes": "int | str | Sequence[int | str] | None",
    "dtype": "str | torch.dtype | None", "device": "str | torch.device | None", "like": "ArrayLike | None",
    "shape": "int | Sequence[int]", "stride": "int | Sequence[int]", "pool_size": "int | str | Sequence[int]",
    "padding": "int | str | Sequence", "dilation_factor": "int | Sequence[int]", "padding_value": "float | str",
    "min": "ArrayLike | None", "max": "ArrayLike | None", "fill_value": "complex | ArrayLike",
    "arrays": "Sequence[ArrayLike]", "operands": "ArrayLike", "repetitions": "int | Sequence[int]",
    "repeats": "int | Sequence[int]", "widths": "int | Sequence", "shift": "int | Sequence[int]",
    "prepend": "ArrayLike | None", "append": "ArrayLike | None", "source": "int | Sequence[int]",
    "destination": "int | Sequence[int]", "ord": "float | str", "tree": "container of dlarrays", "odefun": "Callable",
    "tspan": "Sequence[float]", "y0": "ArrayLike", "class_names": "Sequence[str | int] | None", "size": "Sequence[int]",
    "parameters": "dlnetwork | container of dlarrays", "gradients": "container of dlarrays",
    "velocity": "container of dlarrays | None", "num_groups": "int | str", "cropping": "int | str | Sequence",
    "kind": "str | Sequence[str]", "type": "torch.dtype | str | dlarray", "from_": "torch.dtype | str | dlarray",
    "to": "torch.dtype | str", "extrapolation": "str | float | None", "blank_index": "int | str", "p": "ArrayLike",
    "theta": "container of dlarrays", "state": "int | dict | None",
}
# Arguments that mean something else in one function.
IN_ONE = {
    **dict.fromkeys([("dlgradient", "targets"), ("dljacobian", "u"), ("dljacobian", "x"), ("jvp", "u"), ("jvp", "x"),
                     ("vjp", "u"), ("vjp", "x"), ("hvp", "x")], "dlarray | container of dlarrays"),
    ("jvp", "v"): "as x", ("hvp", "v"): "as x", ("vjp", "w"): "as u", ("dlgradient", "y"): "dlarray",
    ("hvp", "y"): "dlarray", ("topk", "k"): "int",
}
_PAIR, _SEVERAL = "tuple[dlarray, dlarray]", "dlarray | tuple[dlarray, ...]"
RETURNS = {
    "slogdet": _PAIR, "qr": _PAIR, "eigh": _PAIR, "eig": _PAIR, "lu": "tuple[dlarray, dlarray, dlarray]",
    "svd": "tuple[dlarray, dlarray, dlarray]", "topk": _PAIR,
    "maxpool": _SEVERAL, "batchnorm": _SEVERAL, "attention": _SEVERAL, "lstm": "tuple[dlarray, ...]",
    "gru": "tuple[dlarray, ...]", "rng": "dict | None", "dlode45": "dlarray | container of dlarrays",
    "sgdmupdate": "tuple[parameters, velocity], as given",
    "adamupdate": "tuple[parameters, average gradient, average squared gradient], as given",
    "rmspropupdate": "tuple[parameters, average squared gradient], as given",
    "lbfgsupdate": "tuple[parameters, LBFGSState], as given", "clip_gradients": "gradients, as given",
    "jvp": "dlarrays, in the container of u",
    "vjp": "dlarrays, in the container of x", "hvp": "dlarrays, in the container of x",
    "dlgradient": "gradients, in the containers of the targets", "dljacobian": "Jacobian, or dlarray along an axis",
}


class Shown(str):
    """A type in words, which `help` prints as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def say_types(function: Any, one_array: bool) -> None:
    """Give a function the signature that `help` shows; `one_array`: it returns a dlarray where nothing else is said."""
    name, found = function.__name__, inspect.signature(function)
    parameters = []
    for p in found.parameters.values():
        said = IN_ONE.get((name, p.name)) or (ARGUMENTS.get(p.name) if p.annotation in ("Any", p.empty) else None)
        annotation = said or (p.empty if p.annotation in ("Any", p.empty) else p.annotation)
        optional = " | None" if said and p.default is None and "None" not in said else ""
        parameters.append(p.replace(annotation=p.empty if annotation is p.empty else Shown(f"{annotation}{optional}")))
    returned = RETURNS.get(name) or ("dlarray" if found.return_annotation in ("Any", found.empty) and one_array
                                     else found.return_annotation)
    plain = returned in ("Any", found.empty)
    words = returned if plain or not one_array else returned.replace("Any", "dlarray")
    function.__signature__ = inspect.Signature(parameters, return_annotation=found.empty if plain else Shown(words))


__all__ = ["ARGUMENTS", "RETURNS", "say_types"]
