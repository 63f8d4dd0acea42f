"""Other libraries: their protocols, attached to dlarray by importing this package."""
from . import array_api
from .numpy import functions as _numpy_functions
from .torch import functions as _torch_functions
from .torch import graph as _graph
from .torch import tensors as _torch_tensors
