"""The operations, a folder for each family. Importing this package fills the table and attaches the operators."""
from . import methods, own, walk_words
from .creation import arrays, data_types, random
from .elementwise import activations, arithmetic, choice, discrete, gamma_functions, mathematics, special
from .fourier import frequencies, transforms
from .matrices import affine, contraction, determinants, factorizations, inverses, linalg, spectral, stacks, triangles
from .movement import (
    along_axis,
    arrangement,
    assignment,
    axes,
    indexing,
    joining,
    labelling,
    selection,
    slices,
    vectors,
)
from .neural import attention, embedding, encoding, resizing, softmax
from .neural.convolution import convolution, transposed
from .neural.losses import losses
from .neural.normalization import crosschannel, normalization
from .neural.pooling import pooling, unpooling
from .neural.sequences import ctc, recurrent
from .positions import interpolation, searching, sorting
from .sums import differences, extremes, logsumexp, reduction, rescaling, scans
