"""What the computer is: types, conversions, generators, products, memory."""
from .memory import keep_freed_memory

keep_freed_memory()
