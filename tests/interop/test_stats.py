"""Densities and distribution functions against scipy.stats, and their derivatives against differences of it."""

import numpy as np
import pytest
from helpers import stream, within

import gradloom as gl
from gradloom.interop import stats

scipy_stats = pytest.importorskip("scipy.stats")
RNG = stream(3)
X, POSITIVE, SHARES = RNG.normal(size=(4, 3)), RNG.uniform(0.2, 3.0, (4, 3)), RNG.uniform(0.05, 0.95, (4, 3))
LOC, SCALE, A, B = RNG.normal(size=3), RNG.uniform(0.5, 2.0, (4, 1)), RNG.uniform(1.2, 3.0, 3), RNG.uniform(1.2, 3.0, (4, 1))
COUNTS = np.array([[0.0, 1, 2], [3, 4, 0], [1, 1, 7], [2, 0, 5]])
# family, function: arguments, and which of them are differentiated
CASES = [
    *[("norm", f, (X, LOC, SCALE), (0, 1, 2)) for f in ("pdf", "logpdf", "cdf", "sf", "logcdf", "logsf")],
    *[("t", f, (X, A + 1, LOC, SCALE), (0, 1, 2, 3)) for f in ("pdf", "logpdf")],
    *[("t", f, (X, A + 1, LOC, SCALE), (0, 2, 3)) for f in ("cdf", "sf", "logcdf")],
    *[("gamma", f, (POSITIVE, A, 0.1, SCALE), (0, 1, 3)) for f in ("pdf", "logpdf")],
    *[("gamma", f, (POSITIVE, A), (0,)) for f in ("cdf", "sf", "logcdf")],
    *[("chi2", f, (POSITIVE, A), (0, 1)) for f in ("pdf", "logpdf")],
    *[("chi2", f, (POSITIVE, A), (0,)) for f in ("cdf", "sf")],
    *[("beta", f, (SHARES, A, B), (0, 1, 2)) for f in ("pdf", "logpdf")],
    ("beta", "cdf", (SHARES, A, B), (0,)),
    *[("poisson", f, (COUNTS, B), (1,)) for f in ("pmf", "logpmf", "cdf")],
    *[("dirichlet", f, (np.array([0.2, 0.5, 0.3]), A), (1,)) for f in ("pdf", "logpdf")],
    *[("multivariate_normal", f, (X, LOC, np.diag([1.0, 2.0, 0.5]) + 0.1), (0, 1)) for f in ("pdf", "logpdf")],
]


@pytest.mark.parametrize(("family", "function", "args", "wanted"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_values_and_derivatives_are_scipys(family, function, args, wanted):
    ours, theirs = getattr(getattr(stats, family), function), getattr(getattr(scipy_stats, family), function)
    within(1e-10)(ours(*map(gl.dlarray, args)), theirs(*args))
    weights = RNG.normal(size=np.shape(theirs(*args)))

    def gradients(*xs):
        places = list(args)
        for k, x in zip(wanted, xs, strict=True):
            places[k] = x
        return gl.dlgradient(gl.sum(ours(*places) * weights), xs)

    def varied(k, step):
        return np.sum(theirs(*[a + step if j == k else a for j, a in enumerate(args)]) * weights)

    found = gl.dlfeval(gradients, *[gl.dlarray(args[k]) for k in wanted])
    for k, g in zip(wanted, found, strict=True):
        direction = RNG.normal(size=np.shape(args[k]))
        difference = (varied(k, 1e-5 * direction) - varied(k, -1e-5 * direction)) / 2e-5
        assert np.sum(np.asarray(g) * direction) == pytest.approx(difference, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(("family", "shapes"), [("gamma", (2.0,)), ("chi2", (3.0,)), ("beta", (2.0, 1.5)), ("norm", ()), ("t", (4.0,))])
@pytest.mark.parametrize("function", ["pdf", "logpdf", "cdf", "sf", "logcdf"])
def test_outside_of_where_they_live(family, shapes, function):
    x = np.array([-2.0, -0.1, 0.4, 1.5])
    with np.errstate(divide="ignore"):
        expected = getattr(getattr(scipy_stats, family), function)(x, *shapes)
    within(1e-10)(getattr(getattr(stats, family), function)(gl.dlarray(x), *shapes), expected)
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(gl.exp(getattr(getattr(stats, family), function)(x, *shapes))), x), gl.dlarray(x))
    assert np.isfinite(np.asarray(g)).all()


def test_tails_of_the_normal_distribution():
    x = np.array([-40.0, -10.0, -1.0, 5.0, 30.0])
    within(1e-12)(stats.norm.logcdf(gl.dlarray(x)), scipy_stats.norm.logcdf(x))
    g = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(stats.norm.logcdf(x)), x), gl.dlarray(x))
    within(1e-10)(g, np.exp(scipy_stats.norm.logpdf(x) - scipy_stats.norm.logcdf(x)))


def test_loc_and_scale_by_name_and_counts_that_are_none():
    within(1e-12)(stats.gamma.logpdf(gl.dlarray(X), 2.0, loc=-5.0, scale=2.0), scipy_stats.gamma.logpdf(X, 2.0, loc=-5.0, scale=2.0))
    within(1e-12)(stats.t.cdf(gl.dlarray(X), 2.0, scale=3.0), scipy_stats.t.cdf(X, 2.0, scale=3.0))
    k = np.array([-1.0, 0.5, 2.0])
    for function in ("pmf", "cdf"):
        within(1e-12)(getattr(stats.poisson, function)(gl.dlarray(k), 1.5), getattr(scipy_stats.poisson, function)(k, 1.5))


def test_covariances():
    """The derivative of the density in the covariance, symmetric changes of it; singular ones; the entropy."""
    cov, theirs = np.diag([1.0, 2.0, 0.5]) + 0.1, scipy_stats.multivariate_normal
    step = np.array([[0.3, 0.1, 0.0], [0.1, -0.2, 0.4], [0.0, 0.4, 0.1]])
    for ours, other in ((lambda c: gl.sum(stats.multivariate_normal.logpdf(X, LOC, c)), lambda c: theirs.logpdf(X, LOC, c).sum()),
                        (lambda c: stats.multivariate_normal.entropy(LOC, c), lambda c: theirs.entropy(LOC, c))):
        assert ours(gl.dlarray(cov)).item() == pytest.approx(other(cov))
        g = gl.dlfeval(lambda c, f=ours: gl.dlgradient(f(c), c), gl.dlarray(cov))
        assert np.sum(np.asarray(g) * step) == pytest.approx((other(cov + 1e-5 * step) - other(cov - 1e-5 * step)) / 2e-5, rel=1e-6)
    flat = np.diag([1.0, 2.0, 0.0])
    x = np.concatenate([X[:, :2], np.full((4, 1), LOC[2])], axis=1)
    within(1e-10)(stats.multivariate_normal.logpdf(gl.dlarray(x), LOC, flat, allow_singular=True), theirs.logpdf(x, LOC, flat, allow_singular=True))
    assert stats.multivariate_normal.logpdf(gl.dlarray(X), LOC, flat, True).tolist() == [-np.inf] * 4


def test_a_shape_without_a_known_derivative_is_refused():
    with pytest.raises(gl.TypeRefused, match="gammainc has no derivative in a"):
        gl.dlfeval(lambda a: gl.dlgradient(gl.sum(stats.gamma.cdf(POSITIVE, a)), a), gl.dlarray(A))


@pytest.mark.parametrize(("family", "shapes"), [("norm", ()), ("t", (1e7,)), ("gamma", (2.0,)), ("chi2", (4.0,)), ("beta", (2.0, 3.0))])
@pytest.mark.parametrize("function", ["sf", "logcdf"])
def test_what_is_missing_to_one(family, shapes, function):
    """Near 1 a probability says nothing of what is missing: that is not a difference."""
    x = np.array([1 - 1e-7, 1 - 1e-5]) if family == "beta" else np.array([9.0, 40.0, 300.0])
    ours = getattr(getattr(stats, family), function)
    np.testing.assert_allclose(ours(gl.dlarray(x), *shapes), getattr(getattr(scipy_stats, family), function)(x, *shapes), rtol=1e-8)
    slope = gl.dlfeval(lambda x: gl.dlgradient(gl.sum(ours(x, *shapes)), x), gl.dlarray(x))
    theirs = getattr(scipy_stats, family)
    expected = theirs.pdf(x, *shapes) / theirs.cdf(x, *shapes) if function == "logcdf" else -theirs.pdf(x, *shapes)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
