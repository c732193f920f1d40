"""Fastfood's loops: the rungs agree, for every shape and number of threads."""

import importlib

import numpy as np
import pytest

from minidl import functional as F
from minidl import kernels, threads
from minidl.autograd import grad
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import TOLERANCE, assert_close

# rows, width, blocks, d: one row, ragged groups of short rows, blocks of the transform
SHAPES = [
    (1, 1, 1, 1),
    (3, 2, 2, 2),
    (70, 5, 3, 8),
    (64, 64, 1, 64),
    (130, 30, 2, 32),
    (9, 500, 2, 512),
    (11, 1000, 1, 1024),
    (3, 4096, 2, 4096),
    (2, 5000, 1, 8192),
    (2, 30000, 1, 32768),
    (3, 9000, 2, 16384),  # the last block of the transform is all zeros
    (0, 4, 1, 4),
]


def drawn(rows, width, blocks, d, dtype="float64", seed=0):
    """x, e, s, g, b and p; numbers that keep results near 1."""
    r = Draw(seed)
    p = np.argsort(r.rng.random((blocks, d)), axis=1)
    x, e = r(rows, width), r(rows, blocks * d)
    s, g, b = r(blocks, d) / np.sqrt(d), r(blocks, d) / np.sqrt(d), r(blocks, d)
    return *(a.astype(dtype) for a in (x, e, s, g, b)), p


def close(got, expected, dtype):
    """Within float tolerance of the largest number of the result."""
    rtol, _ = TOLERANCE[dtype]
    assert got.dtype == expected.dtype == dtype and got.shape == expected.shape
    most = np.abs(expected).max(initial=0)
    assert np.abs(got - expected).max(initial=0) <= 3 * rtol * most


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rungs_agree(shape, dtype):
    x, e, s, g, b, p = drawn(*shape, dtype)
    k, width = kernels.fastfood, x.shape[1]
    close(k.cpu(x, s, g, b, p), k.reference(x, s, g, b, p), dtype)
    k = kernels.fastfood_input
    close(k.cpu(e, s, g, b, p, width), k.reference(e, s, g, b, p, width), dtype)
    k = kernels.fastfood_gradients
    found, expected = (f(x, e, s, g, b, p) for f in (k.cpu, k.reference))
    for got, right in zip(found, expected, strict=True):
        close(got, right, dtype)


@pytest.mark.parametrize("shape", [(9, 64, 1, 64), (5, 16, 3, 16), (4, 60, 2, 64)])
def test_large_results_go_past_the_caches(shape, monkeypatch):
    """The same numbers, whether rows begin where vectors do or not."""
    module = importlib.import_module("minidl.kernels.fastfood")
    x, e, s, g, b, p = drawn(*shape, "float32")
    results = []
    for large in (0, 1 << 40):
        monkeypatch.setattr(module, "LARGE", large)
        monkeypatch.setattr(module, "empty", aligned)
        y = kernels.fastfood(x, s, g, b, p)
        results.append([y, *kernels.fastfood_gradients(x, e, s, g, b, p)])
    assert module._streams(aligned((2, 64), "float32"), 64) is False  # 2^40 bytes
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(module, "LARGE", 0)
    assert module._streams(aligned((2, 64), "float32"), 64) is True
    assert module._streams(aligned((2, 64), "float32")[1:, 1:], 64) is False
    assert module._streams(aligned((2, 60), "float32"), 60) is False


def aligned(shape, dtype):
    """Memory that begins where a vector does."""
    memory = np.empty(int(np.prod(shape)) + 64, dtype)
    skip = -memory.ctypes.data % 64 // memory.itemsize
    return memory[skip : skip + int(np.prod(shape))].reshape(shape)


def test_the_reference_is_the_product_of_matrices():
    x, e, s, g, b, p = drawn(5, 6, 2, 8)
    h = kernels.fwht(np.eye(8))
    blocks = []
    for k in range(2):
        permutation = np.eye(8)[p[k]]
        v = np.diag(s[k]) @ h @ np.diag(g[k]) @ permutation @ h @ np.diag(b[k])
        blocks.append(x @ v[:, :6].T)
    y = np.concatenate(blocks, 1)
    assert_close(kernels.fastfood.reference(x, s, g, b, p), y, "float64", "product")


def test_any_layout_and_kind_of_whole_numbers():
    x, e, s, g, b, p = drawn(6, 8, 2, 8)
    expected = kernels.fastfood_gradients(x, e, s, g, b, p)
    strange = [np.asfortranarray(a)[::-1][::-1] for a in (x, e, s, g, b)]
    turned = np.asfortranarray(p)
    back = kernels.fastfood_input(*strange[1:], turned, 8)
    assert np.array_equal(back, kernels.fastfood_input(e, s, g, b, p, 8))
    for kind in (np.int32, np.uint8, np.int64):
        found = kernels.fastfood_gradients(*strange, turned.astype(kind))
        for got, right in zip(found, expected):
            assert np.array_equal(got, right)
        y = kernels.fastfood(strange[0], *strange[2:], p.astype(kind))
        assert np.array_equal(y, kernels.fastfood(x, s, g, b, p))


@pytest.mark.parametrize("shape", [(300, 60, 2, 64), (70, 700, 2, 1024)], ids=str)
def test_threads_do_not_change_a_bit(shape):
    x, e, s, g, b, p = drawn(*shape, "float32")
    before, results = threads.get_num_threads(), []
    try:
        for count in range(1, before + 1):
            threads.set_num_threads(count)
            y = kernels.fastfood(x, s, g, b, p)
            back = kernels.fastfood_input(e, s, g, b, p, x.shape[1])
            results.append([y, back, *kernels.fastfood_gradients(x, e, s, g, b, p)])
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


def test_all_gradients_at_once_are_those_one_by_one():
    """Backward takes one pass; what is differentiated again goes op by op."""
    x, e, s, g, b, p = drawn(7, 6, 2, 8)
    leaves = [Tensor(a, True) for a in (x, s, g, b)]
    y = F.fastfood(*leaves, Tensor(p))
    together = grad(y, leaves, Tensor(e))
    y = F.fastfood(*leaves, Tensor(p))
    apart = grad(y, leaves, Tensor(e), create_graph=True)
    for one, other in zip(together, apart):
        assert not one.requires_grad and other.requires_grad
        assert_close(one.data, other.data, "float64", "gradient")


@pytest.mark.parametrize("wanted", ["xsgb", "sgb", "x", "g", "xs", "sb"])
def test_only_what_is_wanted_is_found(wanted):
    x, e, s, g, b, p = drawn(7, 6, 2, 8)
    by = kernels.fastfood_gradients.reference(x, e, s, g, b, p)
    expected = dict(zip("xsgb", by))
    arrays = dict(zip("xsgb", (x, s, g, b)))
    leaves = {k: Tensor(a, k in wanted) for k, a in arrays.items()}
    F.fastfood(*leaves.values(), Tensor(p)).backward(Tensor(e))
    for name, leaf in leaves.items():
        if name in wanted:
            assert_close(leaf.grad.data, expected[name], "float64", name)
        else:
            assert leaf.grad is None


def test_the_scale_may_wander_between_the_diagonals():
    """``sum s ds = sum g dg = sum b db = sum y e``, block by block."""
    x, e, s, g, b, p = drawn(7, 6, 3, 8)
    y = kernels.fastfood(x, s, g, b, p).reshape(7, 3, 8)
    total = (y * e.reshape(7, 3, 8)).sum((0, 2))
    _, *found = kernels.fastfood_gradients(x, e, s, g, b, p)
    for diagonal, derivative in zip((s, g, b), found):
        assert_close((diagonal * derivative).sum(1), total, "float64", "scale")


def test_ones_and_no_permutation_leave_everything_as_it_was():
    x = Draw(3)(5, 16)
    ones, p = np.ones((1, 16)), np.arange(16)[None]
    y = kernels.fastfood(x, ones / 16, ones, ones, p)
    assert_close(y, x, "float64", "identity")


def test_inputs_are_not_changed():
    arrays = drawn(20, 12, 2, 16)
    copies = [a.copy() for a in arrays]
    x, e, s, g, b, p = arrays
    kernels.fastfood(x, s, g, b, p)
    kernels.fastfood_input(e, s, g, b, p, 12)
    kernels.fastfood_gradients(*arrays)
    assert all(map(np.array_equal, arrays, copies))
