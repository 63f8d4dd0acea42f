"""The operations, one family per file. Importing this package fills the table and attaches the operators."""
from . import (  # noqa: F401  (imported for their declarations)
    arithmetic,
    contraction,
    convolution,
    creation,
    discrete,
    elementwise,
    indexing,
    labelling,
    losses,
    movement,
    normalization,
    pooling,
    random,
    reduction,
    softmax,
    vectors,
)
