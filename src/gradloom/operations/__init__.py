"""The operations, a folder for each family. Importing this package fills the table and attaches the operators."""
import inspect as _inspect

from ..core.array import dlarray as _dlarray
from ..core.tables import PUBLIC as _PUBLIC
from ..vocabulary.hints import array_functions as _array_functions
from ..vocabulary.types import say_types as _say_types
from . import methods, own, walk_words
from .creation import arrays, data_types, random
from .elementwise import (
    activations,
    arithmetic,
    bessel,
    choice,
    discrete,
    gamma_functions,
    hard_activations,
    mathematics,
    special,
)
from .fourier import frequencies, transforms
from .matrices import (
    affine,
    contraction,
    determinants,
    eigenvalues,
    factorizations,
    inverses,
    linalg,
    lu,
    spectral,
    stacks,
    triangles,
)
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
from .neural.convolution import convolution, transposed, unfolding
from .neural.losses import losses
from .neural.normalization import crosschannel, normalization
from .neural.pooling import pooling, unpooling
from .neural.sequences import ctc, recurrent
from .positions import interpolation, searching, sorting
from .sums import differences, extremes, logsumexp, reduction, rescaling, scans

for _name, _function in _PUBLIC.items():
    _say_types(_function, one_array=True)
    _first, *_others = _inspect.signature(_function).parameters.values()
    if _first.name in ("x", "a"):  # of an array: people write x.exp()
        _more = any(p.default is p.empty and p.kind is not p.KEYWORD_ONLY for p in _others)
        _array_functions({_name: f"gl.{_name}(x, ...)" if _more else f"gl.{_name}(x)"}, _dlarray)
