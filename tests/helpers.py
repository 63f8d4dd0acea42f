"""What tests of every floor share: random numbers of a test's own, arrays, comparison, and the one door to what is inside."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gradloom import dlarray
from gradloom.blocks.block import Block, identity
from gradloom.blocks.dense import dense
from gradloom.core.trace import Node, Trace
from gradloom.derivatives.jacobians.structure import structure
from gradloom.derivatives.walks.push import push
from gradloom.derivatives.words.marks import VARIABLE
from gradloom.machine import caches

# ----- random numbers -----------------------------------------------------------------------------------------------

_streams: dict[str, list[tuple[Any, int]]] = {}


def stream(seed: int) -> np.random.Generator:
    """A generator for the tests of the file that calls this: each test finds it at a start of its own.

    So what a test draws depends on its name alone, and not on which tests ran before it.
    """
    made = np.random.default_rng(seed)
    _streams.setdefault(sys._getframe(1).f_code.co_filename, []).append((made, seed))
    return made


def torch_stream(seed: int) -> torch.Generator:
    """The same of torch."""
    made = torch.Generator().manual_seed(seed)
    _streams.setdefault(sys._getframe(1).f_code.co_filename, []).append((made, seed))
    return made


def seed_torch(seed: int) -> None:
    """torch's own generator; torch.manual_seed also asks for three kinds of devices, and writes the stack down for each: milliseconds."""
    torch.default_generator.manual_seed(seed)


def start_streams(file: str, test: str) -> None:
    """The generators of a file, and torch's own, brought to the start of one of its tests."""
    key = zlib.crc32(test.encode())
    seed_torch(key)
    for made, seed in _streams.get(file, ()):
        if isinstance(made, torch.Generator):
            made.manual_seed(key + seed)
        else:
            made.bit_generator.state = np.random.default_rng((seed, key)).bit_generator.state


def seeded(*key: Any) -> torch.Generator:
    """torch's generator, its seed made from anything that can be written."""
    return torch.Generator().manual_seed(zlib.crc32(repr(key).encode()))


def uniform(shape: Any, dtype: Any, stream: torch.Generator, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    """Numbers between two bounds; complex ones have small imaginary parts, so that roots and logarithms are far from their cuts."""
    def draw(a: float, b: float) -> torch.Tensor:
        return torch.rand(tuple(shape), generator=stream, dtype=torch.float64) * (b - a) + a

    return torch.complex(draw(low, high), draw(-0.4, 0.4)).to(dtype) if dtype.is_complex else draw(low, high).to(dtype)


def drawing(*name: Any, low: float = -1.0, high: float = 1.0) -> Callable[..., torch.Tensor]:
    """`drawn(*shape, key=0, dtype=float64)`: uniform tensors that the name, the key and the shape decide."""
    def drawn(*shape: int, key: Any = 0, dtype: Any = torch.float64) -> torch.Tensor:
        return uniform(shape, dtype, seeded(*name, key, shape), low, high)

    return drawn


def normal(*shape: int, dtype: Any = torch.float64) -> torch.Tensor:
    """Normal numbers that the shape decides."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


# ----- comparison ---------------------------------------------------------------------------------------------------


def tensor(x: Any) -> torch.Tensor:
    """The numbers of an array, a tensor, or what either can be made of."""
    if isinstance(x, dlarray):
        return x._value
    return x.detach() if isinstance(x, torch.Tensor) else torch.as_tensor(np.array(x))


def within(tolerance: float, *, relative: float | None = None, typed: bool = False, nan: bool = False) -> Callable[..., None]:
    """`close(found, expected)`: equal in shape, and in numbers to a tolerance, both absolute and relative unless that is given.

    In the type of what was found, or `typed`, in one type; NaN equals NaN where `nan` says so.
    """
    def close(found: Any, expected: Any, tolerance: float = tolerance) -> None:
        a, b = tensor(found), tensor(expected)
        assert a.shape == b.shape, f"shape {tuple(a.shape)}, not {tuple(b.shape)}"
        torch.testing.assert_close(a, b if typed else b.to(a.dtype), rtol=tolerance if relative is None else relative, atol=tolerance,
                                   equal_nan=nan, check_stride=False)

    return close


# ----- the door to what is inside -----------------------------------------------------------------------------------


def variable(x: torch.Tensor, trace: Trace | None = None) -> Any:
    """A traced array: x as a variable of a trace, by itself of one of its own, which stays open."""
    return dlarray._made(x, Node(VARIABLE, trace or Trace(), (), [x], {}, x, None))


def node_of(x: Any) -> Node:
    """The place of a traced array."""
    assert x._node is not None, "not traced"
    return x._node


def traced(function: Any, *xs: torch.Tensor) -> tuple[Any, list[Node]]:
    """What a function makes of variables of one trace, and their places."""
    trace = Trace()
    variables = [variable(x, trace) for x in xs]
    return function(*variables), [node_of(v) for v in variables]


def block_of(function: Any, x: torch.Tensor) -> tuple[Block | None, Any]:
    """The structured Jacobian of function(x), pushed from the identity, and its structure without data."""
    y, (node,) = traced(function, x)
    (block,) = push([node_of(y)], {node: identity(x.shape, x.dtype, x.device)})
    return block, structure(node_of(y), node)


def jacobian_of(function: Any, x: Any) -> torch.Tensor:
    """The structured Jacobian as an array; zeros where there is none."""
    x = x if isinstance(x, torch.Tensor) else torch.as_tensor(x, dtype=torch.float64)
    y, (node,) = traced(function, x)
    (block,) = push([node_of(y)], {node: identity(x.shape, x.dtype, x.device)})
    return dense(block) if block is not None else torch.zeros((*y.shape, *x.shape), dtype=x.dtype)


def forget() -> None:
    """Empty every cache of the library: what was kept of earlier calls changes no result."""
    caches.clear()
