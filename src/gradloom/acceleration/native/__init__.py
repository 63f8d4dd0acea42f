"""The executor "native": elementwise chains as loops of our own, compiled by llvmlite where it is installed."""
from ..background import Jobs
from .compiling import available
from .executor import NotNative, native

jobs = Jobs("gradloom compiles loops")

__all__ = ["NotNative", "available", "jobs", "native"]
