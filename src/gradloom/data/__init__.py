"""Data: datastores, and mini-batches of them."""
from .arrays import ArrayDatastore
from .combined import CombinedDatastore, combine
from .datastore import Datastore
from .padding import padsequences
from .queue import minibatchqueue

__all__ = ["ArrayDatastore", "CombinedDatastore", "Datastore", "combine", "minibatchqueue", "padsequences"]
