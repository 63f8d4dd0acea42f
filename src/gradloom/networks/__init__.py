"""Layers and networks: values with learnable parameters and states."""
from . import initialize, layers
from .layer import Layer, Layout, Learnable, State
from .learnables import Learnables, UnknownName
from .network import dlnetwork

__all__ = ["Layer", "Layout", "Learnable", "Learnables", "State", "UnknownName", "dlnetwork", "initialize", "layers"]
