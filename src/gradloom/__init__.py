"""gradloom: automatic differentiation for deep learning, with Jacobians that know their structure."""
from __future__ import annotations

import builtins as _builtins
from typing import Any as _Any

from . import operations as _operations
from .acceleration import AcceleratedFunction, dlaccelerate
from .core.array import dlarray
from .core.declare import explained as _explained
from .core.declare import explained_class as _explained_class
from .core.errors import (
    BatchDependenceWarning,
    DataError,
    FileRefused,
    GradloomError,
    GradloomWarning,
    IndexRefused,
    LabelError,
    NotFinite,
    ShapeError,
    TraceError,
    TypeRefused,
    UnknownName,
    ValueRefused,
)
from .core.finite import check_finite
from .core.tables import PUBLIC as _PUBLIC
from .data import (
    ArrayDatastore,
    AugmentedImageDatastore,
    CombinedDatastore,
    Datastore,
    FileDatastore,
    ImageDatastore,
    TableDatastore,
    TransformedDatastore,
    combine,
    confusionchart,
    confusionmat,
    count_each_label,
    minibatchqueue,
    padsequences,
    roc_chart,
    scores2label,
    split_each_label,
)
from .derivatives.curvature.laplacian import dldivergence, dllaplacian
from .derivatives.curvature.partials import partials
from .derivatives.jacobians.along_axis import dljacobian
from .derivatives.jacobians.jacobian import Jacobian
from .derivatives.ode.ode import dlode45
from .derivatives.own.checking import DerivativeCheck, DerivativeMismatch, check_derivatives
from .derivatives.own.checkpoint import checkpoint
from .derivatives.own.function import DifferentiableFunction
from .derivatives.words.evaluate import detach, dlfeval, extractdata, isdlarray
from .derivatives.words.functions import value_and_gradient
from .derivatives.words.gradient import dlgradient
from .derivatives.words.products import hvp, jvp, vjp
from .derivatives.words.solvers import hessian, jacobian, sparse_hessian, sparse_jacobian
from .interop import array_api
from .machine.memory import keep_memory
from .networks import (
    Layer,
    Layout,
    Learnable,
    Learnables,
    State,
    check_layer,
    dlnetwork,
    layers,
    plot,
    summary,
    transformer_block,
)
from .networks.weights import load_weights, save_weights
from .operations.matrices import linalg
from .storage.files import load, save
from .training import displays, distributed
from .training.adaptive import adamupdate, rmspropupdate
from .training.checkpoints import load_checkpoint, save_checkpoint
from .training.clipping import clip_gradients
from .training.lbfgs import LBFGSState, lbfgsupdate
from .training.monitor import TrainingProgressMonitor, group_subplot, record_metrics, update_info
from .training.options import TrainingOptions
from .training.prediction import minibatchpredict, testnet
from .training.schedules import (
    LearnRateSchedule,
    cosine_learn_rate,
    cyclical_learn_rate,
    exponential_learn_rate,
    piecewise_learn_rate,
    polynomial_learn_rate,
    scheduled_learn_rate,
    warmup_learn_rate,
)
from .training.state import TrainingState
from .training.trainnet import TrainingInfo, trainnet
from .training.updates import dlupdate, sgdmupdate
from .vocabulary.hints import of_module as _said_of
from .vocabulary.types import say_types as _say_types

__version__ = "0.1.0"

globals().update(_PUBLIC)
for _word in (adamupdate, check_derivatives, checkpoint,
              clip_gradients, combine, confusionchart, confusionmat, cosine_learn_rate,
              count_each_label, cyclical_learn_rate, dlaccelerate, dldivergence, dlgradient, dljacobian, dllaplacian,
              exponential_learn_rate, group_subplot, hessian, hvp, jacobian, jvp, keep_memory, lbfgsupdate, load,
              load_checkpoint, load_weights, minibatchpredict, padsequences, partials, piecewise_learn_rate,
              polynomial_learn_rate, record_metrics, rmspropupdate, roc_chart, save, save_checkpoint, save_weights,
              scheduled_learn_rate, scores2label, sgdmupdate, sparse_hessian, sparse_jacobian, split_each_label,
              testnet, trainnet, transformer_block, update_info, value_and_gradient, vjp, warmup_learn_rate):
    _word.__module__ = "gradloom"
    globals()[_word.__name__] = _explained(_word, always=True)
    _say_types(globals()[_word.__name__], one_array=False)
for _made in (ArrayDatastore, AugmentedImageDatastore, CombinedDatastore, FileDatastore, ImageDatastore, Learnables,
              TableDatastore, TrainingProgressMonitor, TrainingState, TransformedDatastore, minibatchqueue):
    _explained_class(_made)
for _name in linalg.__all__:  # as users meet them here
    setattr(linalg, _name, _PUBLIC.get(_name, getattr(linalg, _name)))
_WORDS = """
AcceleratedFunction ArrayDatastore AugmentedImageDatastore BatchDependenceWarning CombinedDatastore DataError
Datastore DerivativeCheck DerivativeMismatch DifferentiableFunction FileDatastore FileRefused GradloomError
GradloomWarning ImageDatastore IndexRefused Jacobian LBFGSState LabelError Layer Layout LearnRateSchedule Learnable
Learnables NotFinite ShapeError State TableDatastore TraceError TrainingInfo TrainingOptions
TrainingProgressMonitor TrainingState TransformedDatastore TypeRefused UnknownName ValueRefused adamupdate
array_api check_derivatives check_finite check_layer checkpoint clip_gradients combine confusionchart confusionmat
cosine_learn_rate count_each_label cyclical_learn_rate detach displays distributed dlaccelerate dlarray
dldivergence dlfeval dlgradient dljacobian dllaplacian dlnetwork dlupdate exponential_learn_rate extractdata
group_subplot hessian hvp isdlarray jacobian jvp keep_memory layers lbfgsupdate linalg load load_checkpoint
load_weights minibatchpredict minibatchqueue padsequences partials piecewise_learn_rate plot polynomial_learn_rate
record_metrics rmspropupdate roc_chart save save_checkpoint save_weights scheduled_learn_rate scores2label
sgdmupdate sparse_hessian sparse_jacobian split_each_label summary testnet trainnet transformer_block update_info
value_and_gradient vjp warmup_learn_rate
"""
_VOCABULARY = sorted({*_PUBLIC, *_WORDS.split(), *[name for name in globals() if name.startswith("__")]})
__all__ = [name for name in (*_PUBLIC, *_WORDS.split()) if not hasattr(_builtins, name)]


def __getattr__(name: str) -> _Any:
    raise AttributeError(_said_of(name, __dir__()))


def __dir__() -> list[str]:
    return _VOCABULARY
