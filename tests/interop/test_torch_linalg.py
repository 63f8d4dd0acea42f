"""Torch's linear algebra on dlarrays, real and complex: values and gradients are torch's own, also of what only its ATen operations do."""
import numpy as np
import pytest
import torch
from helpers import within

import gradloom as gl
from gradloom.interop.torch.modules import from_torch

close = within(1e-9, nan=True)

L = torch.linalg


def made(shape, dtype, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def general(dtype, *batch):
    return made((*batch, 3, 3), dtype) + 2 * torch.eye(3, dtype=dtype)


def positive(dtype, *batch):
    a = made((*batch, 3, 3), dtype, 1)
    return a @ a.mH + torch.eye(3, dtype=dtype)


def indefinite(dtype, *batch):
    a = made((*batch, 3, 3), dtype, 2)
    return a + a.mH


def lower(dtype, *batch):
    return L.cholesky(positive(dtype, *batch))


def upper(dtype, *batch):
    return lower(dtype, *batch).mH.contiguous()


def with_side(matrix, *side):
    return lambda dtype, *batch: (matrix(dtype, *batch), made((*batch, *side), dtype, 3))


def shaped(*shape):
    return lambda dtype, *batch: made((*batch, *shape), dtype, 4)


# name: (function of arrays, what makes them, whether the derivative is along Hermitian matrices alone)
CASES = {
    "inv": (L.inv, general, False), "inverse": (torch.inverse, general, False), "inv_ex": (lambda a: L.inv_ex(a)[0], general, False),
    "det": (L.det, general, False), "torch det": (torch.det, general, False), "logdet": (lambda a: torch.logdet(a), positive, False),
    "slogdet": (lambda a: list(L.slogdet(a)), general, False), "solve": (L.solve, with_side(general, 3, 2), False),
    "solve vectors": (L.solve, with_side(general, 3), False), "solve from the right": (lambda a, b: L.solve(a, b, left=False), with_side(general, 2, 3), False),
    "solve_ex": (lambda a, b: L.solve_ex(a, b)[0], with_side(general, 3, 2), False),
    "triangular": (lambda a, b: L.solve_triangular(a, b, upper=False), with_side(lower, 3, 2), False),
    "triangular, upper": (lambda a, b: L.solve_triangular(a, b, upper=True), with_side(general, 3, 2), False),
    "triangular, right": (lambda a, b: L.solve_triangular(a, b, upper=True, left=False), with_side(general, 2, 3), False),
    "triangular, unit": (lambda a, b: L.solve_triangular(a, b, upper=False, unitriangular=True), with_side(general, 3, 2), False),
    "cholesky": (L.cholesky, positive, True), "cholesky, upper": (lambda a: L.cholesky(a, upper=True), positive, True),
    "cholesky_ex": (lambda a: L.cholesky_ex(a)[0], positive, True), "torch cholesky": (torch.cholesky, positive, True),
    "cholesky_inverse": (torch.cholesky_inverse, lower, False), "cholesky_inverse, upper": (lambda a: torch.cholesky_inverse(a, upper=True), upper, False),
    "qr": (lambda a: (lambda f: [f[0] @ f[1], f[0] @ f[0].mH])(L.qr(a)), shaped(4, 2), False),
    "svd": (lambda a: (lambda f: [(f[0] * f[1][..., None, :]) @ f[2], f[0] @ f[0].mH, f[1]])(L.svd(a, full_matrices=False)), shaped(4, 3), False),
    "svd, old": (lambda a: (lambda f: (f[0] * f[1][..., None, :] ** 2) @ f[2].mH)(torch.svd(a)), shaped(3, 4), False),
    "svdvals": (L.svdvals, shaped(3, 4), False), "eigvalsh": (L.eigvalsh, indefinite, True), "eigvalsh, U": (lambda a: L.eigvalsh(a, UPLO="U"), indefinite, True),
    "eigh": (lambda a: (lambda w, v: [w, (v * torch.exp(w)[..., None, :]) @ v.mH])(*L.eigh(a)), indefinite, True),
    "eigh, U": (lambda a: (lambda w, v: [w, (v * torch.exp(w)[..., None, :]) @ v.mH])(*L.eigh(a, UPLO="U")), indefinite, True),
    "pinv": (L.pinv, shaped(4, 3), False), "pinverse": (torch.pinverse, shaped(2, 4), False), "pinv, rtol": (lambda a: L.pinv(a, rtol=1e-12), shaped(4, 3), False),
    "pinv, hermitian": (lambda a: L.pinv(a, hermitian=True), indefinite, True), "lstsq": (lambda a, b: L.lstsq(a, b)[0], with_side(shaped(5, 3), 5, 2), False),
    "lstsq, residuals": (lambda a, b: list(L.lstsq(a, b, driver="gelsd"))[:2], with_side(shaped(5, 3), 5, 2), False),
    "lstsq, gels": (lambda a, b: list(L.lstsq(a, b, driver="gels"))[:2], with_side(shaped(5, 3), 5), False),
    "matrix_exp": (L.matrix_exp, general, False), "matrix_power": (lambda a: L.matrix_power(a, 3), general, False),
    "matrix_power, negative": (lambda a: L.matrix_power(a, -2), general, False), "multi_dot": (lambda a, b: L.multi_dot([a, b, a]), with_side(general, 3, 3), False),
    "matrix_norm": (L.matrix_norm, shaped(3, 4), False), "nuclear": (lambda a: L.matrix_norm(a, "nuc"), shaped(3, 4), False),
    "spectral norm": (lambda a: L.matrix_norm(a, 2), shaped(3, 4), False), "smallest": (lambda a: L.matrix_norm(a, -2), shaped(3, 4), False),
    "column norm": (lambda a: L.matrix_norm(a, 1), shaped(3, 4), False), "norm": (lambda a: L.norm(a, "fro", (-2, -1)), shaped(3, 4), False),
    "vector_norm": (lambda a: L.vector_norm(a, dim=-1), shaped(3, 4), False), "cond": (lambda a: L.cond(a), general, False),
    "tensorinv": (lambda a: L.tensorinv(a.reshape(3, 1, 3), ind=1), general, False), "tensorsolve": (lambda a, b: L.tensorsolve(a, b), with_side(general, 3), False),
    "cross": (lambda a, b: L.cross(a, b), with_side(general, 3, 3), False), "vecdot": (lambda a, b: L.vecdot(a, b), with_side(general, 3, 3), False),
    "vdot": (lambda a, b: torch.vdot(a.reshape(-1), b.reshape(-1)), with_side(general, 3, 3), False), "vander": (lambda a: L.vander(a[..., 0], N=4), general, False),
    "diagonal": (lambda a: L.diagonal(a), general, False), "trace": (lambda a: torch.sum(torch.diagonal(a, dim1=-2, dim2=-1), -1), general, False),
    "adjoints": (lambda a: a @ a.mH @ a.mH, general, False), "outer": (lambda a: torch.outer(a[..., 0], a[..., 1].conj()), general, False),
    "inner": (lambda a, b: torch.inner(a, b), with_side(general, 3), False), "addmm": (lambda a, b: torch.addmm(b, a, a, beta=0.5, alpha=2), with_side(general, 3, 3), False),
    "addr": (lambda a: torch.addr(a, a[0], a[1], beta=0.5, alpha=2), general, False), "chain_matmul": (lambda a, b: torch.linalg.multi_dot([a, b]), with_side(general, 3, 3), False),
    "cdist": (lambda a, b: torch.cdist(a.abs(), b.abs()), with_side(shaped(3, 4), 2, 4), False), "kron": (torch.kron, with_side(general, 2, 2), False),
}
ALONE = {"tensorinv", "tensorsolve", "vdot", "outer", "inner", "addmm", "addr", "multi_dot", "chain_matmul", "kron"}  # of single matrices


def total(y, module):
    """A real number of every entry, which does not treat them alike."""
    found = 0
    for part in y if isinstance(y, list) else [y]:
        weights = torch.cos(torch.arange(part.numel() if module is torch else part.size, dtype=torch.float64) * 1.3).reshape(tuple(part.shape))
        part = (part * weights).sum()
        found = found + (part.real + 0.7 * part.imag if part.dtype.is_complex else part)
    return found


@pytest.mark.filterwarnings("ignore:torch.cholesky is deprecated")
@pytest.mark.parametrize("batch", [(), (2,)], ids=["one", "stack"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", CASES)
def test_torch_linear_algebra(name, dtype, batch):
    function, make, along_hermitian = CASES[name]
    if batch and name in ALONE:
        batch = ()
    arrays = make(dtype, *batch)
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    leaves = [a.detach().clone().requires_grad_() for a in arrays]
    expected = function(*leaves)
    gradients = torch.autograd.grad(total(expected, torch), leaves)

    def run(*xs):
        y = function(*xs)
        found = gl.dlgradient(total(y, gl), *xs, retain_data=True)
        recorded = gl.dlgradient(total(y, gl), *xs, enable_higher_derivatives=True)
        return y, *[g if isinstance(g, tuple) else (g,) for g in (found, recorded)]

    y, *walks = gl.dlfeval(run, *[gl.dlarray(a) for a in arrays])
    for a, b in zip(y if isinstance(y, list) else [y], expected if isinstance(expected, list) else [expected], strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        close(a, b)
    for found in walks:
        for g, e in zip(found, gradients, strict=True):
            if along_hermitian:  # torch's derivative of complex Cholesky factors has a part that no Hermitian matrix meets
                g, e = (np.asarray(g) + np.conj(np.swapaxes(np.asarray(g), -1, -2))) / 2, (e + e.mH) / 2
            close(g, e, 1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", ["cholesky", "cholesky, upper", "cholesky_inverse", "cholesky_inverse, upper", "eigh, U", "eigvalsh", "pinv, hermitian", "lstsq, gels",
                                  "solve vectors", "solve from the right", "svd", "qr"])
def test_inside_a_module_they_are_the_same(name, dtype):
    """The way through ATen's operations, which torch code inside a module takes."""
    function, make, _ = CASES[name]

    class Module(torch.nn.Module):
        def forward(self, *xs):
            found = function(*xs)
            return found[0] if isinstance(found, list) else found

    arrays = make(dtype)
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    net = from_torch(Module())
    close(gl.dlfeval(lambda *xs: net(*xs), *[gl.dlarray(a) for a in arrays]), Module()(*arrays))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
def test_one_triangle_is_read_where_torch_reads_one(dtype):
    a = general(dtype) @ general(dtype).mH + torch.triu(made((3, 3), dtype, 9), 1)  # not Hermitian
    for function in (L.eigvalsh, lambda a: L.eigvalsh(a, UPLO="U"), L.cholesky, lambda a: L.pinv(a, hermitian=True), torch.cholesky_inverse,
                     lambda a: torch.cholesky_inverse(a, upper=True)):
        close(gl.dlfeval(function, gl.dlarray(a)), function(a))


@pytest.mark.parametrize("driver", ["gelsy", "gels", "gelsd", "gelss"])
@pytest.mark.parametrize("shapes", [((5, 3), (5, 2)), ((5, 3), (5,)), ((2, 5, 3), (2, 5, 2)), ((2, 5, 3), (2, 5)), ((3, 5), (3, 2)), ((3, 3), (3, 2))])
def test_all_that_lstsq_returns(shapes, driver):
    a, b = (made(s, torch.complex128, k) for k, s in enumerate(shapes))
    for found, expected in zip(gl.dlfeval(lambda a, b: tuple(L.lstsq(a, b, driver=driver)), gl.dlarray(a), gl.dlarray(b)), L.lstsq(a, b, driver=driver), strict=True):
        assert tuple(found.shape) == tuple(expected.shape) and found.dtype is expected.dtype
        close(found, expected)
    low = a[..., :1] * torch.ones(shapes[0][-1])
    if driver != "gels":
        for found, expected in zip(gl.dlfeval(lambda a, b: tuple(L.lstsq(a, b, driver=driver)), gl.dlarray(low), gl.dlarray(b)), L.lstsq(low, b, driver=driver), strict=True):
            assert tuple(found.shape) == tuple(expected.shape)
            close(found, expected)


def test_numpy_reads_one_triangle_too():
    a = (general(torch.complex128) @ general(torch.complex128).mH + torch.triu(made((3, 3), torch.complex128, 9), 1)).numpy()
    for function in (np.linalg.cholesky, lambda a: np.linalg.cholesky(a, upper=True), np.linalg.eigvalsh, lambda a: np.linalg.eigvalsh(a, "U")):
        np.testing.assert_allclose(np.asarray(gl.dlfeval(function, gl.dlarray(a))), function(a), atol=1e-12)
    x = gl.dlarray([[4, 2], [2, 3]], "CB")
    np.testing.assert_allclose(np.linalg.cholesky(x), np.linalg.cholesky([[4, 2], [2, 3]]))
