"""Layers and networks: values with learnable parameters and states."""
from . import initialize, layers, saving
from .checking import check_layer
from .layer import Layer, Learnable, State
from .layout import Layout
from .network import dlnetwork
from .overview import summary
from .parameters import Learnables
from .picture import plot
from .transformer import transformer_block

__all__ = ["Layer", "Layout", "Learnable", "Learnables", "State", "check_layer", "dlnetwork",
           "initialize", "layers", "plot", "summary", "transformer_block"]
