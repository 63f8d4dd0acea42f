"""Densities and distribution functions of SciPy's `scipy.stats`, in its names and order of arguments, on dlarrays.

>>> import gradloom as gl
>>> from gradloom.interop import stats
>>> def likelihood(mean, x):
...     loss = -gl.sum(stats.norm.logpdf(x, mean, 2.0))
...     return gl.dlgradient(loss, mean)
>>> gl.dlfeval(likelihood, gl.dlarray(1.0), [1.0, 3.0])
dlarray float64 -0.5

SciPy's own make constants of their arguments. What a distribution function has no known derivative in (the shapes of
`t.cdf`, `gamma.cdf`, `beta.cdf`) is refused where it is asked for.

Source: SciPy reference, scipy.stats.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .numpy import special
from .protocol import array, gl, linalg

HALF_LOG_2PI = math.log(2 * math.pi) / 2


class _Family:
    """A family of distributions on an interval, with a location and a scale after its own parameters."""

    def __init__(self, shapes: int, logpdf: Callable[..., Any], cdf: Callable[..., Any], *, sf: Callable[..., Any],
                 logcdf: Any = None, between: tuple[float, float] = (-math.inf, math.inf)):
        self._shapes, self._logpdf, self._cdf, self._between = shapes, logpdf, cdf, between
        self._sf = sf
        self._logcdf = logcdf or (lambda *z: _log_of(cdf(*z), self._sf(*z)))

    def _standard(self, x: Any, args: tuple[Any, ...], loc: Any, scale: Any) -> tuple[Any, tuple[Any, ...], Any]:
        """(x - loc) / scale, the parameters of the family, and the scale."""
        places = [*args[self._shapes:], *([loc] if len(args) == self._shapes else [])]
        loc, scale = (*places, scale)[:2]
        return (array(x) - loc) / scale, args[:self._shapes], array(scale)

    def _inside(self, z: Any, function: Callable[..., Any], shapes: tuple[Any, ...], below: float,
                above: float) -> Any:
        """A function of z where the distribution lives, and what it is on either side."""
        low, high = self._between
        if math.isinf(low) and math.isinf(high):
            return function(*shapes, z)
        at = (gl.greater_equal(z, low), gl.less_equal(z, high))
        y = function(*shapes, gl.where(gl.logical_and(*at), z, 0.5))
        return gl.where(at[0], gl.where(at[1], y, above), below)

    def logpdf(self, x: Any, *args: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the density at x."""
        z, shapes, scale = self._standard(x, args, loc, scale)
        return self._inside(z, self._logpdf, shapes, -math.inf, -math.inf) - gl.log(scale)

    def pdf(self, x: Any, *args: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The density at x."""
        return gl.exp(self.logpdf(x, *args, loc=loc, scale=scale))

    def cdf(self, x: Any, *args: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The probability of at most x."""
        z, shapes, _ = self._standard(x, args, loc, scale)
        return self._inside(z, self._cdf, shapes, 0.0, 1.0)

    def sf(self, x: Any, *args: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The probability of more than x."""
        z, shapes, _ = self._standard(x, args, loc, scale)
        return self._inside(z, self._sf, shapes, 1.0, 0.0)

    def logcdf(self, x: Any, *args: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the probability of at most x."""
        z, shapes, _ = self._standard(x, args, loc, scale)
        return self._inside(z, self._logcdf, shapes, -math.inf, 0.0)


class _Normal(_Family):
    """The normal distribution, whose tails are symmetric."""

    def logsf(self, x: Any, *args: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
        """The logarithm of the probability of more than x."""
        z, _, _ = self._standard(x, args, loc, scale)
        return special.log_ndtr(-z)


def _log_of(p: Any, rest: Any) -> Any:
    """The logarithm of a probability, near 1 from what is missing."""
    return gl.where(gl.greater(p, 0.5), gl.log1p(-rest), gl.log(p))


def _ndtr(z: Any) -> Any:
    return gl.erfc(z * -0.5 ** 0.5) / 2


def _log_gamma_density(a: Any, z: Any) -> Any:
    return gl.xlogy(array(a) - 1, z) - z - gl.gammaln(array(a))


norm = _Normal(0, lambda z: -gl.square(z) / 2 - HALF_LOG_2PI, _ndtr, sf=lambda z: _ndtr(-z), logcdf=special.log_ndtr)
t = _Family(1, special.log_t_density, lambda v, z: special.stdtr(array(v), z),
            sf=lambda v, z: special.stdtr(array(v), -z))
gamma = _Family(1, _log_gamma_density, lambda a, z: special.gammainc(array(a), z),
                sf=lambda a, z: special.gammaincc(array(a), z), between=(0.0, math.inf))
chi2 = _Family(1, lambda v, z: _log_gamma_density(array(v) / 2, z / 2) - math.log(2),
               lambda v, z: special.gammainc(array(v) / 2, z / 2),
               sf=lambda v, z: special.gammaincc(array(v) / 2, z / 2), between=(0.0, math.inf))
beta = _Family(2, lambda a, b, z: (gl.xlogy(array(a) - 1, z) + special.xlog1py(array(b) - 1, -z)
                                   - special.betaln(array(a), array(b))),
               lambda a, b, z: special.betainc(array(a), array(b), z),
               sf=lambda a, b, z: special.betaincc(array(a), array(b), z), between=(0.0, 1.0))


class poisson:
    """Counts: the Poisson distribution of mean mu."""

    @staticmethod
    def logpmf(k: Any, mu: Any) -> Any:
        """The logarithm of the probability of k."""
        k = array(k)
        counts = gl.logical_and(gl.greater_equal(k, 0), gl.equal(k, gl.floor(k)))
        inside = gl.where(counts, k, 0.0)
        return gl.where(counts, gl.xlogy(inside, mu) - mu - gl.gammaln(inside + 1), -math.inf)

    @staticmethod
    def pmf(k: Any, mu: Any) -> Any:
        """The probability of k."""
        return gl.exp(poisson.logpmf(k, mu))

    @staticmethod
    def cdf(k: Any, mu: Any) -> Any:
        """The probability of at most k."""
        k = gl.floor(array(k))
        some = gl.greater_equal(k, 0)
        return gl.where(some, special.gammaincc(gl.where(some, k, 0.0) + 1, array(mu)), 0.0)


class dirichlet:
    """Shares that sum to 1 along the first axis: the Dirichlet distribution."""

    @staticmethod
    def logpdf(x: Any, alpha: Any) -> Any:
        """The logarithm of the density at x, of one array of shares or of several as columns."""
        x, alpha = array(x), array(alpha)
        powers = gl.reshape(alpha, (-1, *(1,) * (x.ndim - 1))) - 1
        return (gl.sum(gl.xlogy(powers, x), axis=0) + gl.gammaln(gl.sum(alpha)) - gl.sum(gl.gammaln(alpha)))

    @staticmethod
    def pdf(x: Any, alpha: Any) -> Any:
        """The density at x."""
        return gl.exp(dirichlet.logpdf(x, alpha))


class multivariate_normal:
    """Vectors, in the last axis: the normal distribution with a mean vector and a covariance matrix."""

    @staticmethod
    def logpdf(x: Any, mean: Any, cov: Any, allow_singular: bool = False) -> Any:
        """The logarithm of the density at x; on the span of a singular covariance where that is allowed."""
        away, cov = array(x) - mean, array(cov)
        if not allow_singular:
            factor = linalg.cholesky(cov)
            z = gl.matmul(away, linalg.inv(factor).mT)
            return (-gl.sum(gl.square(z), axis=-1) / 2 - cov.shape[-1] * HALF_LOG_2PI
                    - gl.sum(gl.log(gl.diagonal(factor))))
        values, vectors = linalg.eigh(cov)
        tolerance = 1e6 * gl.finfo(cov.dtype).eps
        kept = gl.greater(values, tolerance * gl.max(gl.abs(values)))
        scales, along = gl.where(kept, values, 1.0), gl.matmul(away, vectors)
        y = (-gl.sum(gl.where(kept, gl.square(along) / scales, 0.0), axis=-1) / 2
             - gl.sum(gl.where(kept, gl.log(scales) / 2 + HALF_LOG_2PI, 0.0)))
        outside = gl.sum(gl.where(kept, 0.0, gl.square(along)), axis=-1)
        return gl.where(gl.greater(outside, tolerance ** 2), -math.inf, y)

    @staticmethod
    def pdf(x: Any, mean: Any, cov: Any, allow_singular: bool = False) -> Any:
        """The density at x."""
        return gl.exp(multivariate_normal.logpdf(x, mean, cov, allow_singular))

    @staticmethod
    def entropy(mean: Any, cov: Any) -> Any:
        """The differential entropy, which the mean does not change."""
        factor = linalg.cholesky(array(cov))
        return factor.shape[-1] * (0.5 + HALF_LOG_2PI) + gl.sum(gl.log(gl.diagonal(factor))) + 0 * gl.sum(array(mean))


__all__ = ["beta", "chi2", "dirichlet", "gamma", "multivariate_normal", "norm", "poisson", "t"]
