"""What the computer is: types, conversions, generators, products, layouts, memory, modes, caches, questions, shapes."""
