"""LLVM's text made machine code by llvmlite, for this machine, and the vector functions that torch's library holds."""
from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import threading
import weakref
from collections import deque
from typing import Any, NamedTuple

import torch

from ...machine.caches import remembered

# Sleef's names of the functions that a rule may call: its most accurate versions, which torch itself calls.
_SLEEF = {"exp": "u10", "exp2": "u10", "expm1": "u10", "log": "u10", "log2": "u10", "log10": "u10", "log1p": "u10",
          "sin": "u10", "cos": "u10", "tan": "u10", "sinh": "u10", "cosh": "u10", "tanh": "u10", "asin": "u10",
          "acos": "u10", "atan": "u10", "atanh": "u10", "erf": "u10", "erfc": "u15",
          "pow": "u10", "atan2": "u10"}
lock = threading.RLock()  # llvmlite is not made for several threads
_left: deque[tuple[Any, Any]] = deque()  # engines that nobody needs, with the contexts that must outlive them
MOST = 64  # threads
PARALLEL = "GOMP_parallel"  # how torch's own library starts its threads
_THREADS = PARALLEL, "omp_get_thread_num", "omp_get_num_threads"
THREADS = {f"declare void @{PARALLEL}(ptr, ptr, i32, i32)",
           *[f"declare i32 @{word}()" for word in _THREADS[1:]]}  # as a module declares them


@remembered(1)
def available() -> bool:
    """Whether llvmlite is there."""
    return importlib.util.find_spec("llvmlite") is not None


class Target(NamedTuple):
    """What code is made for: lanes of a value, vector functions by (name, kind), and how many threads may
    share a loop: 1 where nobody starts any."""

    width: int
    functions: dict[tuple[str, str], tuple[str, int]]
    threads: int
    cpu: str
    features: str


@remembered(1)
def target() -> Target:
    """This machine."""
    import llvmlite.binding as llvm

    with lock:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        bits = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
        functions, threads = {}, 1
        if features.get("fma") or platform.machine() in ("aarch64", "arm64"):
            functions = {("fma", kind): ("", 0) for kind in ("float", "double")}
        folder = os.path.join(os.path.dirname(torch.__file__), "lib")
        library = _opened(folder, "torch_cpu")
        if library is not None:
            for name, accuracy in _SLEEF.items():
                for kind, letter, size in (("float", "f", 32), ("double", "d", 64)):
                    symbol = f"Sleef_{name}{letter}{bits // size}_{accuracy}"
                    address = _address(library, symbol)
                    if address:
                        llvm.add_symbol(symbol, address)
                        functions[name, kind] = symbol, bits // size
            # the threads that torch's own kernels run on, where it has them from GNU's library
            found = [_address(library, word) for word in _THREADS]
            if all(found):
                threads = min(os.cpu_count() or 1, MOST)
                for word, address in zip(_THREADS, found, strict=True):
                    llvm.add_symbol(word, address)
        return Target(bits // 32, functions, threads, llvm.get_host_cpu_name(), features.flatten())


def _opened(folder: str, name: str) -> Any:
    """A library of torch's that is loaded already."""
    form = {"Darwin": "lib{}.dylib", "Windows": "{}.dll"}.get(platform.system(), "lib{}.so")
    try:
        return ctypes.CDLL(os.path.join(folder, form.format(name)))
    except OSError:
        return None


def _address(library: Any, symbol: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None


def _let_go(engine: Any, context: Any) -> None:
    """Close what nobody needs: now, or where something is being compiled, with the next."""
    _left.append((engine, context))
    if lock.acquire(blocking=False):
        try:
            while _left:
                engine, context = _left.popleft()
                engine.close()
                context.close()
        finally:
            lock.release()


def share_of(count: int) -> list[str]:
    """The lines by which a thread learns its share of so many turns: from %low to before %high, as number %me."""
    return ["%thread = call i32 @omp_get_thread_num()", "%team = call i32 @omp_get_num_threads()",
            "%me = zext i32 %thread to i64", "%all = zext i32 %team to i64", "%after = add i64 %me, 1",
            f"%l = mul i64 %me, {count}", f"%h = mul i64 %after, {count}",
            "%low = udiv i64 %l, %all", "%high = udiv i64 %h, %all"]


class Compiled:
    """Machine code, which lives as long as this does."""

    def __init__(self, text: str):
        import llvmlite.binding as llvm

        its = target()
        with lock:
            machine = llvm.Target.from_default_triple().create_target_machine(
                cpu=its.cpu, features=its.features, opt=3, jit=True)
            context = llvm.create_context()
            module = llvm.parse_assembly(text, context=context)
            module.data_layout, module.triple = str(machine.target_data), machine.triple
            module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=2)
            builder = llvm.create_pass_builder(machine, options)
            builder.getModulePassManager().run(module, builder)
            self._engine = llvm.create_mcjit_compiler(module, machine)
            self._engine.finalize_object()
            # not in the garbage collector's order: an engine that is let go after its context ends the process
            weakref.finalize(self, _let_go, self._engine, context).atexit = False

    def function(self, name: str, arguments: int, small: bool) -> Any:
        """A function of so many addresses. A small one keeps Python's lock: letting it go costs more than it runs."""
        with lock:
            address = self._engine.get_function_address(name)
        kind = ctypes.PYFUNCTYPE if small else ctypes.CFUNCTYPE
        made = kind(None, *[ctypes.c_void_p] * arguments)(address)
        made.code = self  # type: ignore[attr-defined]
        return made


__all__ = ["PARALLEL", "THREADS", "Compiled", "Target", "available", "share_of", "target"]
