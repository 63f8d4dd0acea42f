"""Data: datastores, and mini-batches of them."""
from .arrays import ArrayDatastore
from .augmented import AugmentedImageDatastore
from .classes import confusionchart, confusionmat, roc_chart, scores2label
from .combined import CombinedDatastore, combine
from .datastore import Datastore
from .files import FileDatastore, ImageDatastore
from .padding import padsequences
from .queue import minibatchqueue
from .splitting import count_each_label, split_each_label
from .tables import TableDatastore
from .transformed import TransformedDatastore

__all__ = ["ArrayDatastore", "AugmentedImageDatastore", "CombinedDatastore", "Datastore", "FileDatastore",
           "ImageDatastore", "TableDatastore", "TransformedDatastore", "combine", "confusionchart", "confusionmat",
           "count_each_label", "minibatchqueue", "padsequences", "roc_chart", "scores2label",
           "split_each_label"]
