"""`x.__array_namespace__()`: the array API standard, and code of other libraries written for it, differentiated unchanged."""

import os
import textwrap
import warnings

import numpy as np
import pytest
import torch
from processes import run_forked
from protocol_checks import check

import gradloom as gl
from gradloom import array_api as xp


def test_the_namespace():
    x = gl.dlarray([1.0, 2.0])
    assert x.__array_namespace__() is xp and x.__array_namespace__(api_version="2024.12") is xp and xp.__array_api_version__ == "2024.12"
    with pytest.raises(gl.TypeRefused, match="2024.12"):
        x.__array_namespace__(api_version="1999.01")
    with pytest.raises(gl.LabelError, match=r"2\(C\).*stripdims\(x\)"):
        gl.dlarray([1.0, 2.0], "C").__array_namespace__()
    assert gl.dlfeval(lambda x: x.__array_namespace__(), x) is xp


def test_every_name_of_the_standard_is_there():
    assert [name for name in xp.STANDARD if not callable(getattr(xp, name, None))] == []
    reference = pytest.importorskip("array_api_strict")
    missing = [n for n in reference.__all__ if not hasattr(xp, n) and not n.startswith("_")]
    assert [n for n in missing if n not in ("uint16", "uint32", "uint64", *STRICT_ONLY)] == []
    for extension in ("linalg", "fft"):
        here = getattr(xp, extension)
        assert [n for n in getattr(reference, extension).__all__ if not hasattr(here, n) and not n.startswith("_")] == []


STRICT_ONLY = ("Device", "ArrayAPIStrictFlags", "array_api_strict_flags", "set_array_api_strict_flags", "get_array_api_strict_flags",
               "reset_array_api_strict_flags", "ArrayAPIStrictFlags", "broadcast_shapes", "isin")


def test_types_and_constants():
    assert xp.bool is torch.bool and xp.float32 is torch.float32 and xp.int64 is torch.int64 and xp.complex128 is torch.complex128
    assert xp.pi == np.pi and xp.e == np.e and xp.inf == np.inf and np.isnan(xp.nan) and xp.newaxis is None
    assert xp.finfo(xp.float32).eps == np.finfo("float32").eps and xp.iinfo(xp.int8).max == 127
    assert xp.isdtype(xp.float32, "real floating") and not xp.isdtype(xp.int8, "real floating") and xp.result_type(xp.int8, xp.int64) is xp.int64


def test_what_there_is():
    info = xp.__array_namespace_info__()
    assert info.default_device() in info.devices() and info.default_dtypes()["real floating"] is xp.float64
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"} and info.dtypes()["bool"] is xp.bool
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {"bool", "uint8"} and "float64" not in info.dtypes(kind="integral")
    assert info.capabilities()["boolean indexing"]


def test_integers_are_integers():
    for x in (xp.asarray([1, 2]), xp.asarray(3), xp.arange(3), xp.full((2,), 7), xp.asarray([[1], [2]])):
        assert x.dtype is xp.int64
    for x in (xp.asarray([1.0, 2]), xp.arange(0.0, 2.0), xp.full((2,), 7.0), xp.zeros(2), xp.ones((2, 1)), xp.empty(3), xp.eye(2), xp.linspace(0, 1, 3)):
        assert x.dtype is xp.float64
    assert xp.asarray([True]).dtype is xp.bool and xp.asarray([1j]).dtype is xp.complex128 and xp.asarray([1, 2], dtype=xp.float32).dtype is xp.float32
    assert xp.asarray(np.arange(2, dtype="int8")).dtype is xp.int8 and xp.arange(2, dtype=xp.float32).dtype is xp.float32
    assert xp.linspace(0, 1, 4, endpoint=False).tolist() == [0, 0.25, 0.5, 0.75] and xp.where(gl.dlarray([True]), 1, 2).dtype is xp.int64


def test_arguments_of_the_standard():
    x = gl.dlarray(np.arange(6.0).reshape(1, 2, 3))
    assert xp.squeeze(x, 0).shape == (2, 3) and xp.squeeze(x, axis=0).shape == (2, 3) and xp.reshape(x, shape=(3, 2)).shape == (3, 2)
    assert xp.concat([x, x], axis=None).shape == (12,) and xp.permute_dims(x, axes=(2, 0, 1)).shape == (3, 1, 2)
    assert xp.sum(x, axis=2, dtype=xp.float32).dtype is xp.float32 and xp.astype(x, xp.float32, copy=False).dtype is xp.float32
    assert [g.shape for g in xp.meshgrid(xp.arange(2), xp.arange(3), indexing="ij")] == [(2, 3), (2, 3)] and len(xp.unstack(x, axis=2)) == 3
    assert xp.from_dlpack(np.arange(3.0)).tolist() == [0, 1, 2] and xp.full_like(x, fill_value=2).shape == x.shape
    assert x.to_device("cpu").device == torch.device("cpu") and x.to_device(x.device).tolist() == x.tolist() and x.mT.shape == (1, 3, 2)
    assert np.from_dlpack(x).tolist() == x.tolist() and x.__dlpack_device__()[0] == 1
    assert xp.linalg.inv(gl.dlarray(np.eye(2))).tolist() == np.eye(2).tolist() and xp.fft.fft(xp.ones(2)).tolist() == [2, 0]


def test_a_mask_of_no_axes():
    x, yes, no = gl.dlarray(3.0), gl.dlarray(True), gl.dlarray(False)
    assert x[yes].tolist() == [3] and x[no].tolist() == [] and gl.dlarray([1.0, 2.0])[no].shape == (0, 2)

    def fun(x):
        y = x * x
        y[no] = 9.0
        z = x * x
        z[yes] = 5.0
        return gl.dlgradient(y + z + gl.sum((x * x)[yes]), x)

    assert gl.dlfeval(fun, x).item() == 12
    with pytest.raises(gl.TypeRefused):
        x[True]


def test_code_written_for_the_standard():
    def standard(x, y):
        xp_ = x.__array_namespace__() if hasattr(x, "__array_namespace__") else np
        centred = x - xp_.mean(x, axis=-1, keepdims=True)
        scaled = centred / xp_.sqrt(xp_.sum(xp_.square(centred), axis=-1, keepdims=True) + 1)
        w = xp_.where(y > 0, xp_.exp(-y), xp_.ones_like(y))
        parts = xp_.concat([xp_.matmul(scaled, xp_.matrix_transpose(scaled)), xp_.expand_dims(xp_.sum(w * scaled, axis=1), axis=1)], axis=1)
        return xp_.stack([xp_.tanh(parts), xp_.clip(parts, -0.3, 0.3)]), xp_.cumulative_sum(w, axis=1), xp_.linalg.norm(y) if xp_ is np else xp_.linalg.vector_norm(y)

    stream = np.random.default_rng(5)
    check(standard, standard, [stream.normal(size=(2, 3)), stream.normal(size=(2, 3))])


SCIPY = """
    import numpy as np, gradloom as gl
    from scipy import cluster, fft, integrate, optimize, signal, special, stats

    x, p = np.array([0.3, -0.7, 1.1, 0.4]), np.array([0.2, 0.3, 0.4, 0.1])
    matrix = np.abs(np.random.default_rng(0).normal(size=(6, 3))) + 0.1
    functions = {
        "logsumexp": (special.logsumexp, x), "softmax": (special.softmax, x), "log_softmax": (special.log_softmax, x),
        "xlogy": (lambda p: special.xlogy(p, p), p), "rel_entr": (lambda p: special.rel_entr(p, p * p), p),
        "rosen": (optimize.rosen, x), "rosen_der": (optimize.rosen_der, x), "rosen_hess": (optimize.rosen_hess, x),
        "gmean": (stats.gmean, p), "hmean": (stats.hmean, p), "pmean": (lambda p: stats.pmean(p, 3), p), "skew": (stats.skew, x),
        "kurtosis": (stats.kurtosis, x), "moment": (lambda x: stats.moment(x, 3), x), "sem": (stats.sem, p), "kstat": (lambda x: stats.kstat(x, 3), x),
        "circmean": (stats.circmean, x), "describe": (lambda x: stats.describe(x).variance, x), "fftconvolve": (lambda x: signal.fftconvolve(x, x), x),
        "hilbert": (lambda x: signal.hilbert(x), x), "fft": (fft.fft, x), "rfft": (fft.rfft, x), "fftn": (fft.fftn, matrix),
        "whiten": (cluster.vq.whiten, matrix), "trapezoid": (integrate.trapezoid, x), "cumulative_trapezoid": (integrate.cumulative_trapezoid, x),
        "tmean": (stats.tmean, p), "variation": (stats.variation, p), "gstd": (stats.gstd, p),
    }
    for name, (function, a) in functions.items():
        def run(z):
            y = function(z)
            assert type(y) is gl.dlarray and y.traced, name
            part = gl.real(y) if y.dtype.is_complex else y
            return y, gl.dlgradient(gl.sum(part * part * part), z)
        y, gradient = gl.dlfeval(run, gl.dlarray(a))
        np.testing.assert_allclose(gl.extractdata(y), function(a), rtol=1e-8, atol=1e-12, err_msg=name)
        u, h = np.cos(np.arange(a.size)).reshape(a.shape), 1e-6
        value = lambda z: np.sum(np.real(function(z)) ** 3)
        numeric = (value(a + h * u) - value(a - h * u)) / 2 / h
        np.testing.assert_allclose(np.sum(gl.extractdata(gradient) * u), numeric, rtol=1e-5, atol=1e-8, err_msg=name)
    print(len(functions))
    # its ufuncs are functions then, which find ours
    z = gl.dlarray(p)
    for name in ("erf", "expit", "gammaln", "j0", "y1", "rgamma", "psi", "ndtr"):
        function = getattr(special, name)
        def traced(z):
            y = function(z)
            return y, gl.dlgradient(gl.sum(y), z)
        y, gradient = gl.dlfeval(traced, z)
        np.testing.assert_allclose(gl.extractdata(y), function(p), rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(gl.extractdata(gradient), (function(p + 1e-6) - function(p - 1e-6)) / 2e-6, rtol=1e-6, err_msg=name)
    # what SciPy computes on NumPy arrays alone is an error, never a constant
    for function in (special.lambertw, fft.dct, signal.detrend):
        try:
            gl.dlfeval(function, gl.dlarray(x))
            print("silent", function)
        except gl.GradloomError:
            pass
"""


def in_a_process(code, **environment):
    ended, said = run_forked(textwrap.dedent(code), environment={**os.environ, **environment})
    assert ended == 0, said[-2000:]
    return said


def test_scipys_functions_differentiate_unchanged():
    assert in_a_process(SCIPY, SCIPY_ARRAY_API="1").split() == ["29"]


def test_scikit_learns_metrics_differentiate_unchanged():
    pytest.importorskip("sklearn")
    printed = in_a_process("""
        import numpy as np, gradloom as gl, sklearn
        from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
        sklearn.set_config(array_api_dispatch=True)
        a, b = np.array([1.0, 2.0, 4.0]), np.array([1.5, 1.8, 3.0])
        y = gl.dlarray(b)
        for metric in (mean_squared_error, mean_absolute_error, r2_score):
            np.testing.assert_allclose(float(metric(gl.dlarray(a), y)), metric(a, b))
        from sklearn.metrics.pairwise import euclidean_distances
        m = np.random.default_rng(0).normal(size=(4, 3))
        fun = lambda x: euclidean_distances(x, gl.dlarray(m), squared=True)
        def run(x):
            d = fun(x)
            return d, gl.dlgradient(gl.sum(d), x)
        d, g = gl.dlfeval(run, gl.dlarray(m[:2] + 1))
        np.testing.assert_allclose(gl.extractdata(d), euclidean_distances(m[:2] + 1, m, squared=True))
        np.testing.assert_allclose(gl.extractdata(g), 2 * (4 * (m[:2] + 1) - m.sum(0)), atol=1e-9)
        print("ok")
    """, SCIPY_ARRAY_API="1")
    assert printed.split() == ["ok"]


@pytest.mark.parametrize("name", ["array_api", "backend"])
def test_einops_rearranges(name):
    einops = pytest.importorskip("einops")
    if name == "array_api":
        words = pytest.importorskip("einops.array_api")
    else:
        import gradloom.interop.einops

        assert gradloom.interop.einops.Backend.framework_name == "gradloom"
        words = einops

    def call(x, pkg=words):
        return (pkg.rearrange(x, "a b (c d) -> d (a b) c", d=2), pkg.reduce(x, "a b c -> b", "mean"), pkg.repeat(x, "a b c -> a b c k", k=2),
                pkg.reduce(x, "a b c -> a () c", "max"), pkg.reduce(x, "a b c -> ", "sum"))

    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    check(lambda x: call(x), lambda x: call(x, einops), [x])


def test_scipys_ufuncs_record_without_a_switch():
    from scipy import special

    draw = np.random.default_rng(1)
    for name in ("erf", "erfc", "expit", "logit", "log_expit", "gammaln", "psi", "gamma", "erfinv", "erfcx", "ndtr", "entr",
                 "ndtri", "exp10", "erfi", "dawsn", "exp1", "expi", "cbrt"):
        check(getattr(special, name), getattr(special, name), [draw.uniform(0.2, 0.8, (2, 3))])
    for name in ("j0", "j1", "y0", "y1", "k0", "k1", "k0e", "k1e", "rgamma", "log_ndtr"):
        check(getattr(special, name), getattr(special, name), [draw.uniform(0.2, 3.8, (2, 3))])
    check(special.rgamma, special.rgamma, [np.array([-2.3, -0.4, 0.49, 0.51, 7.0])])
    check(special.log_ndtr, special.log_ndtr, [np.array([-40.0, -3.0, -1.0, -0.999, 0.0, 5.0])])
    for name in ("boxcox", "boxcox1p"):
        check(lambda x, name=name: getattr(special, name)(x, 0.0), lambda x, name=name: getattr(special, name)(x, 0.0), [draw.uniform(0.2, 0.8, (3,))])
    check(lambda x: special.pseudo_huber(0.0, x), lambda x: special.pseudo_huber(0.0, x), [draw.uniform(0.2, 0.8, (3,))])
    for name in ("xlogy", "rel_entr", "beta", "betaln", "xlog1py", "kl_div", "huber", "pseudo_huber", "boxcox", "boxcox1p"):
        check(getattr(special, name), getattr(special, name), [draw.uniform(0.2, 0.8, (2, 3)), draw.uniform(0.2, 0.8, (3,))])


@pytest.mark.parametrize(("name", "first"), [
    ("jv", [1.5]), ("jv", [np.array([0.0, 1.0, 2.5])]), ("yv", [2.0]), ("yn", [2]), ("iv", [0.5]), ("kv", [1.25]), ("kn", [3]),
    ("gammainc", [2.5]), ("gammainc", [np.array([[0.5], [3.0]])]), ("gammaincc", [1.0]), ("betainc", [0.7, 2.0]), ("betainc", [np.array([2.0, 1.0, 3.0]), 1.5]),
    ("betaincc", [0.7, 2.0]), ("kve", [1.25]), ("hyp0f1", [1.5]), ("hyp1f1", [0.5, 2.0])])
def test_scipys_functions_of_several_arguments_differentiate_in_the_last(name, first):
    """To second order; their orders and shapes are constants, and refused by name where a derivative in them is asked for."""
    from scipy import special

    function = getattr(special, name)
    x = np.random.default_rng(2).uniform(0.2, 0.9, (2, 3))
    check(lambda x: function(*first, x), lambda x: function(*first, x), [x])
    words = f"scipy.special.{name} has no derivative in" if name[-1] != "n" else "has no derivative in v"
    for k in range(len(first)):
        def along(a, k=k):
            y = gl.sum(function(*(a if j == k else f for j, f in enumerate(first)), x))
            with pytest.raises(gl.TypeRefused, match=words):
                gl.dlgradient(y, a)

        gl.dlfeval(along, gl.dlarray(np.asarray(first[k], dtype=float)))
    u = gl.dlarray(x, dtype="float32")
    assert function(*first, u).dtype is u.dtype or np.ndim(first[0])


def test_scipys_functions_at_their_edges():
    from scipy import special

    def slope(function, x):
        return gl.extractdata(gl.dlfeval(lambda x: gl.dlgradient(gl.sum(function(x)), x), gl.dlarray(x)))

    np.testing.assert_allclose(slope(special.rgamma, [0.0, -1.0, -2.0, -3.0]), [1, -1, 2, -6], rtol=1e-12)
    np.testing.assert_allclose(slope(special.j1, [0.0]), [0.5])
    np.testing.assert_allclose(slope(special.j0, [0.0, -1.0]), [0, special.j1(1.0)], rtol=1e-13)
    np.testing.assert_allclose(slope(lambda x: special.gammainc(1.0, x), [0.0, 2.0]), [1, np.exp(-2)], rtol=1e-13)
    np.testing.assert_allclose(slope(lambda x: special.betainc(1.0, 1.0, x), [0.0, 0.3, 1.0]), [1, 1, 1], rtol=1e-13)
    assert special.jv(0, gl.dlarray(1, dtype="int64")).dtype is gl.dlarray(1.0).dtype


def test_a_function_of_scipy_without_its_switch_says_how():
    with pytest.raises(gl.TraceError, match="SCIPY_ARRAY_API=1"):
        in_trace = __import__("scipy.special").special.logsumexp
        gl.dlfeval(in_trace, gl.dlarray([1.0, 2.0]))


def test_special_functions_at_the_edges_of_their_domains():
    """Values are SciPy's outside of the domain, too; slopes where a formula written plainly would divide 0 by 0."""
    from scipy import special

    grid = np.meshgrid([0.0, -0.0, 1.0, 0.3, 2.0, -1.0], [0.0, -0.0, 1.0, 0.3, 2.0, -1.0])
    for name in ("beta", "betaln", "rel_entr", "kl_div", "xlog1py", "boxcox", "boxcox1p", "pseudo_huber", "yn", "kn"):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy's of orders that it cuts off
            expected = getattr(special, name)(*grid)
            np.testing.assert_allclose(getattr(special, name)(*map(gl.dlarray, grid)), expected, rtol=1e-12, err_msg=name)
    x = np.array([-3.0, 0.0, 0.5, 64.0])
    np.testing.assert_allclose(special.entr(gl.dlarray(x)), special.entr(x), rtol=1e-12)
    np.testing.assert_array_equal(np.cbrt(gl.dlarray(np.arange(9.0) ** 3)), np.arange(9.0))
    np.testing.assert_allclose(special.betaln(gl.dlarray(1e15), 0.5), -16.697023254530652, rtol=1e-12)

    def slope(fun, *values):
        """In the last argument."""
        return [gl.dlfeval(lambda x: gl.dlgradient(fun(*values[:-1], x), x), gl.dlarray(x)).item() for x in values[-1]]

    logs = np.log(3.0) ** np.array([2, 2, 3, 3]) / [2, 2, 3, 3]
    np.testing.assert_allclose(slope(special.boxcox, 3.0, [0.0, 1e-12]), logs[:2], rtol=1e-9)
    np.testing.assert_allclose(slope(special.boxcox1p, 2.0, [0.0, 1e-12]), logs[:2], rtol=1e-9)

    def curvature(p):
        return gl.dlgradient(gl.dlgradient(special.boxcox(3.0, p), p, enable_higher_derivatives=True), p)

    np.testing.assert_allclose([gl.dlfeval(curvature, gl.dlarray(p)).item() for p in (0.0, 1e-9)], logs[2:], rtol=1e-8)
    assert slope(lambda x: special.boxcox(x, 1.0), [0.0, 2.0]) == [1.0, 1.0]
    np.testing.assert_allclose(slope(lambda a: special.xlog1py(a, 0.3), [0.0, 1.0]), np.log(1.3), rtol=1e-12)
    assert slope(np.cbrt, [0.0, 8.0]) == [np.inf, 1 / 12]
    assert slope(lambda d: special.pseudo_huber(d, -2.0), [0.0]) == [2.0]
    bend = gl.hessian(lambda x: special.pseudo_huber(2.0, x))(gl.dlarray(0.0))
    assert np.asarray(bend) == 1.0  # there is no corner
    assert slope(lambda a: special.rel_entr(a, 0.3), [0.0]) == [0.0]
    np.testing.assert_allclose(slope(special.stdtr, np.inf, [0.3]), np.exp(-0.045) / np.sqrt(2 * np.pi), rtol=1e-12)
    np.testing.assert_allclose(slope(special.stdtr, 1e15, [0.3]), np.exp(-0.045) / np.sqrt(2 * np.pi), rtol=1e-12)
