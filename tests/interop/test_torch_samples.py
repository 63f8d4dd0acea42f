"""Torch's own samples on dlarrays, of nearly 700 functions: value, gradient, second order, push and Block are torch's, or are refused in words.

What is refused, what is torch's convention or fault, and what has no floating arguments is named below; everything else is right.
A name that is listed may become right; one that is not listed may not be refused, and nothing may be wrong.
"""

import functools
import itertools
import warnings

import pytest

pytest.importorskip("expecttest")

import torch
from torch_samples import verdict

DTYPES = {"float64": torch.float64, "float32": torch.float32, "complex128": torch.complex128}

REFUSED = {
    "methods of tensors, which an array does not have": """
        item cauchy exponential geometric log_normal normal.in_place uniform contiguous sum_to_size expand expand_as to __radd__ __rmul__ reshape_as
        view view_as __getitem__ bfloat16 bool byte char double float half int long short cdouble cfloat chalf new_zeros new_ones new_empty
        new_empty_strided new_full unfold repeat resize_ resize_as_ zero_ mH to_sparse svd svd_lowrank pca_lowrank masked.sum masked.prod
        masked.cumsum masked.cumprod masked.amax masked.amin masked.argmax masked.argmin masked.mean masked.median masked.norm masked.var
        masked.std masked.softmax masked.log_softmax masked.softmin masked.normalize masked.logaddexp masked.logsumexp""",
    "no rule": """
        cholesky_solve diagonal_scatter i0 frexp geqrf lu_unpack lu lu_solve nn.functional.linear_cross_entropy.chunked
        nn.functional.linear_cross_entropy.chunked_none as_strided_scatter _upsample_bilinear2d_aa igamma igammac ormqr triangular_solve
        index_reduce.mean index_reduce.prod index_reduce.amin index_reduce.amax scatter histogramdd nn.functional.embedding_bag
        nn.functional.grid_sample grid_sampler_3d nn.functional.ctc_loss scatter_reduce.prod scatter_reduce.amin scatter_reduce.amax
        _segment_reduce.lengths _segment_reduce.offsets linalg.eig linalg.eigvals linalg.householder_product linalg.ldl_factor
        linalg.ldl_factor_ex linalg.ldl_solve linalg.lu_factor linalg.lu_factor_ex linalg.lu linalg.lu_solve special.i0e special.i1
        special.i1e special.zeta special.ndtri special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1
        special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v special.chebyshev_polynomial_w
        special.hermite_polynomial_h special.hermite_polynomial_he special.laguerre_polynomial_l special.legendre_polynomial_p
        special.modified_bessel_i0 special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1
        special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1 special.shifted_chebyshev_polynomial_t
        special.shifted_chebyshev_polynomial_u special.shifted_chebyshev_polynomial_v special.shifted_chebyshev_polynomial_w
        special.spherical_bessel_j0""",
    "the array given would be written to, or the gradient is that of nothing": "nn.functional.embedding",
    "running statistics would be written to": """
        _batch_norm_with_update native_batch_norm _native_batch_norm_legit nn.functional.instance_norm nn.functional.batch_norm""",
    "a draw from an array that is differentiated": "multinomial normal normal.number_mean bernoulli",
    "arrays without axes, and others of no or odd shapes": """
        cumsum cumprod max.reduction_with_dim min.reduction_with_dim softmax softmax.with_dtype nn.functional.softmin
        nn.functional.softmin.with_dtype nn.functional.normalize aminmax nn.functional.fractional_max_pool3d atleast_1d atleast_2d gather
        index_select sort cat take_along_dim trapz trapezoid logsumexp tensordot log_softmax log_softmax.with_dtype norm all any amax amin
        argmax argmin count_nonzero mean nanmean prod sum nansum argsort linalg.vector_norm linalg.norm linalg.norm.subgradients_at_zero
        linalg.solve nn.functional.cosine_similarity msort topk""",
}
NOTHING_NAMES = """
    arange broadcast_shapes sparse.sampled_addmm sparse.mm.reduce linspace linspace.tensor_overload logspace logspace.tensor_overload randn randint ones zeros full
    empty_strided empty eye empty_permuted scalar_tensor jiterator_unary jiterator_binary jiterator_4inputs_with_extra_args
    jiterator_binary_return_by_ref jiterator_2inputs_2outputs signal.windows.hamming signal.windows.hann signal.windows.bartlett
    signal.windows.blackman signal.windows.cosine signal.windows.exponential signal.windows.gaussian signal.windows.kaiser
    signal.windows.general_cosine signal.windows.general_hamming signal.windows.nuttall
"""
NOTHING = set(NOTHING_NAMES.split())
DERIVATIVES = ("gradient", "second", "push", "Block")
# In what torch differs, and why.
EXEMPT = {
    **dict.fromkeys(("nn.functional.max_unpool1d", "nn.functional.max_unpool2d", "nn.functional.max_unpool3d"), DERIVATIVES),  # of several values for
    # one place the last counts, and the others have no derivative; torch gives each that of the place
    "linalg.norm.subgradients_at_zero": DERIVATIVES,  # of equal extremes torch gives each a part; of a matrix of zeros any subgradient is right
    "linalg.pinv.hermitian": DERIVATIVES,  # of matrices that are not Hermitian; what torch gives is the gradient of nothing
    "special.entr": DERIVATIVES,  # at 0 and below it is a case of its own here, as in its definition; torch has inf and NaN
    "logcumsumexp": ("value 0",),  # complex: the logarithm is the principal one, torch's may be off by multiples of 2 pi i
}
EXEMPT_OF_TYPE = {
    ("nn.functional.multi_head_attention_forward", "float32"): ("Block",),  # of hundreds that cancel nothing is left; in double it is right
    **dict.fromkeys([(name, "complex128") for name in ("cholesky", "linalg.cholesky", "linalg.cholesky_ex")], DERIVATIVES),  # the factor's diagonal
    # is real; torch gives the imaginary part of a weight there a derivative
}
REFUSED_NAMES = {name for names in REFUSED.values() for name in names.split()}


def full_name(op):
    return op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")


@functools.cache
def operations():
    """Torch's list of its functions, which takes seconds to make: not before a test asks."""
    import torch.testing._internal.common_methods_invocations as invocations

    invocations.wrapper_set_seed = lambda function, *args, **kwargs: function(*args, **kwargs)  # else every draw there is the same
    return {full_name(op): op for op in invocations.op_db}


def samples_of(op, dtype, count):
    """All samples, or a few that are spread over the first ones."""
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(itertools.islice(op.sample_inputs("cpu", dtype), None if count is None else 12))
    if count is None or len(samples) <= count:
        return samples
    return [samples[k * (len(samples) - 1) // max(count - 1, 1)] for k in range(count)]


def check(name, dtype, count, as_module=False):
    op = operations()[name]
    exempt = EXEMPT.get(name, EXEMPT_OF_TYPE.get((name, dtype), ()))
    found = {verdict(op, sample, as_module, exempt) for sample in samples_of(op, DTYPES[dtype], count)}
    assert name in REFUSED_NAMES or "refused" not in found, f"{name} is refused"
    assert name in NOTHING or found - {"nothing"} or count is not None, f"{name}: nothing was checked"


def check_part(part, parts, dtypes, count):
    """Some of the functions, in some types; what is wrong is gathered, so that one fault hides no other."""
    wrong = []
    cases = [(name, dtype) for name, op in operations().items() for dtype in DTYPES if DTYPES[dtype] in op.dtypes and dtype in dtypes]
    assert len(cases) > 500
    for name, dtype in cases[part::parts]:
        try:
            check(name, dtype, count[dtype])
        except AssertionError as error:
            wrong.append(f"{name}-{dtype}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", range(24))
def test_samples_are_torchs_or_refused(part):
    check_part(part, 24, ("float64", "complex128"), {"float64": 2, "complex128": 1})


@pytest.mark.slow
@pytest.mark.parametrize("part", range(96))
def test_all_samples_are_torchs_or_refused(part):
    check_part(part, 96, tuple(DTYPES), dict.fromkeys(DTYPES))


def test_most_are_right():
    assert len(REFUSED_NAMES & set(operations())) + len(NOTHING) < 0.4 * len(operations())
