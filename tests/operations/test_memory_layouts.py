"""Every operation on every layout of each argument and of the cotangent: see memory_checks."""

import memory_checks as checks
import numpy as np
import pytest
import torch
from operation_cases import cases
from operation_table import CHECKED, all_cases

import gradloom as gl
from gradloom.core.kinds.elementwise import Elementwise
from gradloom.machine.layouts import channels_last, settled

# One number for all places makes their matrices singular, or eigenvalues equal: the inputs are not expanded, the cotangents are.
SINGULAR = ("qr", "solve", "inv", "slogdet", "cholesky", "eigh", "svd", "eig", "lu")


def laid_out(operation):
    """The cases with something to lay out; of elementwise operations the real ones."""
    samples = checks.IMAGE_SAMPLES.get(operation.name)
    found = [*all_cases(operation), *(cases(operation, specs=samples) if samples else [])]
    return [case for case in found if any(isinstance(x, torch.Tensor) and x.ndim and x.numel() for x in case.inputs)
            and not (isinstance(operation, Elementwise) and any(x.is_complex() for x in case.values()))]


@pytest.mark.parametrize("name", list(CHECKED))
def test_any_layout_gives_what_the_stated_rule_gives(name):
    found = laid_out(CHECKED[name])
    assert found
    for case in found:
        checks.check_layouts(case, 2 if isinstance(CHECKED[name], Elementwise) else 6, name not in SINGULAR, most=40)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CHECKED))
def test_many_layouts_give_what_the_stated_rule_gives(name):
    for case in laid_out(CHECKED[name]):
        checks.check_layouts(case, 60, name not in SINGULAR)


def test_batchnorm_of_one_image_whose_channels_were_last():
    rng = np.random.default_rng(0)
    image, weights = gl.dlarray(rng.normal(size=(4, 5, 3))), gl.dlarray(rng.normal(size=(1, 3, 4, 5)))
    offset, scale = gl.dlarray(rng.normal(size=3)), gl.dlarray(rng.normal(size=3))

    def gradient(image, offset, scale, recorded):
        x = gl.permute_dims(image, (2, 0, 1))[None]
        y = gl.batchnorm(x, offset, scale, data_format="BCSS")[0]
        return gl.dlgradient(gl.sum(y * weights), image, offset, scale, enable_higher_derivatives=recorded)

    for raw, recorded in zip(*(gl.dlfeval(gradient, image, offset, scale, r) for r in (False, True)), strict=True):
        np.testing.assert_allclose(raw, recorded, atol=1e-12)


@pytest.mark.parametrize("labels", ["SSCB", "SSBC", "BSSC", "BCSS", "CBSS", "CSSB"])
def test_normalizations_of_one_image_in_any_order(labels):
    """A single observation: its axis of size 1 may have any stride, wherever it stands."""
    sizes = {"S": iter((6, 4)), "C": iter((3,)), "B": iter((1,))}
    x = gl.dlarray(np.random.default_rng(1).normal(size=[next(sizes[letter]) for letter in labels]), labels)
    for normalization in (gl.layernorm, lambda *a: gl.groupnorm(a[0], 3, *a[1:]), lambda *a: gl.groupnorm(a[0], 1, *a[1:]), gl.instancenorm,
                          lambda *a: gl.batchnorm(*a)[0]):
        def run(x, normalization=normalization, recorded=False):
            y = normalization(x, gl.dlarray([0.1, 0.2, 0.3]), gl.dlarray([1.0, 2.0, -1.0]))
            return y, gl.dlgradient(gl.sum(y ** 3), x, enable_higher_derivatives=recorded)

        y, g = gl.dlfeval(run, x)
        plain_y, plain_g = gl.dlfeval(lambda x, run=run: run(x, recorded=True), gl.dlarray(np.ascontiguousarray(gl.stripdims(x, "BCSS")), "BCSS"))
        assert y.dims == labels
        np.testing.assert_allclose(gl.stripdims(y, "BCSS"), plain_y, atol=1e-12)
        np.testing.assert_allclose(gl.stripdims(g, "BCSS"), plain_g, atol=1e-11)


def test_settled_is_the_same_memory_with_strides_that_mean_something():
    for shape in ((1, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (1, 1, 1, 1), (1, 3, 1, 2, 4), (3, 1), (1,), (2, 3)):
        x = torch.arange(float(np.prod(shape))).reshape(shape)
        for lay in [*checks.layouts(x, False), *([lambda x: x.contiguous(memory_format=torch.channels_last)] if x.ndim == 4 else [])]:
            laid = lay(x)
            y = settled(laid)
            assert torch.equal(y, x) and y.data_ptr() == laid.data_ptr()
            together = torch.empty(shape, memory_format=torch.channels_last).stride() if x.ndim == 4 else None
            if laid.is_contiguous():
                assert y.stride() == (together if laid.stride() == together else torch.empty(shape).stride())
            if x.ndim == 4:
                last = channels_last(laid)
                assert torch.equal(last, x) and last.stride() == torch.empty(shape, memory_format=torch.channels_last).stride()
