"""The executor "native": elementwise chains as loops of our own, compiled by llvmlite where it is installed."""
from .background import jobs
from .compiling import available
from .executor import NotNative, native

__all__ = ["NotNative", "available", "jobs", "native"]
