"""What the computer is: types, conversions, generators, products, layouts, memory, modes, caches, questions."""
from .memory import keep_freed_memory

keep_freed_memory()
