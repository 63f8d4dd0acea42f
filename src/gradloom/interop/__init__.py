"""Other libraries: their protocols, attached to dlarray by importing this package."""
from . import array_api, numpy_functions, torch_functions, torch_graph
