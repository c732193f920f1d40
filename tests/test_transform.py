"""Shift and the Walsh-Hadamard transform: the rungs agree, and what papers state."""

import importlib

import numpy as np
import pytest

from minidl import functional as F
from minidl import kernels
from minidl.interchange import tensor
from minidl.testing import TOLERANCE

fwht = importlib.import_module("minidl.kernels.fwht")
shift = importlib.import_module("minidl.kernels.shift")
rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", range(0, 16))
def test_fwht_rungs_agree_at_every_length(bits, dtype):
    """Up to 2^15: several blocks, by rows (9 of them) and across rows (2 of them)."""
    n = 1 << bits
    rtol, atol = TOLERANCE[dtype]
    for rows in (1, 2, 9) if bits < 14 else (2,):
        x = rng.standard_normal((rows, n)).astype(dtype)
        expected, got = fwht.reference(x), fwht.cpu(x)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol, 30 * atol * np.sqrt(n))
        here = x.copy()
        assert fwht.in_place(here) is here
        np.testing.assert_array_equal(here, got)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", range(0, 11))
def test_fwht_of_many_short_rows(bits, dtype):
    """Full blocks of rows and what remains of them, each row as if it were alone."""
    x = rng.standard_normal((3 * 64 + 5, 1 << bits)).astype(dtype)
    y = fwht.cpu(x)
    rtol, atol = TOLERANCE[dtype]
    np.testing.assert_allclose(y, fwht.reference(x), rtol, 300 * atol)
    for row in (0, 64, 191, 192, 196):
        np.testing.assert_allclose(y[row], fwht.cpu(x[row]), rtol, 300 * atol)
    assert fwht.in_place(x) is x
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("bits", range(0, 11))
def test_row_i_in_sequency_order_changes_its_sign_i_times(bits):
    n = 1 << bits
    rows = F.to_sequency(F.fwht(tensor(np.eye(n)))).numpy().T
    changes = (np.diff(rows, axis=1) != 0).sum(1)
    np.testing.assert_array_equal(changes, np.arange(n))


def test_sequency_order_is_the_reversed_gray_code():
    for bits in (0, 1, 2, 3, 7, 12):
        n = 1 << bits
        digits = [f"{i ^ i >> 1:0{bits}b}"[::-1] for i in range(n)]
        order = kernels.sequency_order(n)
        assert order.dtype == "int64"
        assert order.tolist() == [int(d, 2) for d in digits]
    assert kernels.sequency_order(8).tolist() == [0, 4, 6, 2, 3, 7, 5, 1]
    long = kernels.sequency_order(1 << 20)
    np.testing.assert_array_equal(np.sort(long), np.arange(1 << 20))


def test_to_and_from_sequency_undo_each_other():
    x = tensor(rng.standard_normal((3, 2, 64)))
    y = F.to_sequency(x)
    np.testing.assert_array_equal(y.numpy(), x.numpy()[..., kernels.sequency_order(64)])
    np.testing.assert_array_equal(F.from_sequency(y).numpy(), x.numpy())
    np.testing.assert_array_equal(F.to_sequency(F.from_sequency(x)).numpy(), x.numpy())


def test_fwht_rows_longer_than_a_block_by_rows():
    x = rng.standard_normal((9, 4 * fwht.BLOCK))
    np.testing.assert_allclose(fwht.cpu(x), fwht.reference(x), atol=1e-10)


def test_fwht_on_strided_memory_and_leading_axes():
    x = rng.standard_normal((3, 2, 16))
    for view in (x[:, ::-1], x.transpose(1, 0, 2), np.asfortranarray(x), x[..., ::2]):
        np.testing.assert_allclose(fwht.fwht(view), fwht.reference(view.copy()))


def test_fwht_known_answers():
    """Sylvester's order; sums by hand."""
    for x, y in (
        ([1, 0, 1, 0, 0, 1, 1, 0], [4, 2, 0, -2, 0, 2, 0, 2]),
        (range(1, 9), [36, -4, -8, 0, -16, 0, 0, 0]),
    ):
        assert F.fwht(tensor(np.array(x, float))).tolist() == y


def test_fwht_is_its_own_inverse_and_keeps_energy():
    x = tensor(rng.standard_normal((5, 256)))
    y = F.fwht(x)
    np.testing.assert_allclose(F.fwht(y).numpy(), 256 * x.numpy(), atol=1e-11)
    energy = (x.numpy() ** 2).sum() * 256
    np.testing.assert_allclose((y.numpy() ** 2).sum(), energy)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shift_rungs_agree(dtype):
    for _ in range(40):
        n, c, h, w = rng.integers(0, 6, 4)
        x = rng.standard_normal((n, c, h, w)).astype(dtype)
        x = x[:, :, ::-1] if rng.random() < 0.3 else x
        dy, dx = map(tuple, rng.integers(-7, 8, (2, c)).tolist())
        np.testing.assert_array_equal(shift.cpu(x, dy, dx), shift.reference(x, dy, dx))


def test_shift_moves_down_and_right_and_zeros_enter():
    x = tensor(np.arange(1.0, 10).reshape(1, 1, 3, 3))
    assert F.shift(x, 1, 0).tolist() == [[[[0, 0, 0], [1, 2, 3], [4, 5, 6]]]]
    assert F.shift(x, 0, -1).tolist() == [[[[2, 3, 0], [5, 6, 0], [8, 9, 0]]]]
    assert not F.shift(x, 3, 0).numpy().any()
    assert not F.shift(x, 0, -(10**15)).numpy().any()


def test_shift_is_a_depthwise_convolution_with_one_weight():
    x = tensor(rng.standard_normal((2, 9, 5, 6)))
    c = np.arange(9)
    dy, dx = c // 3 - 1, c % 3 - 1
    weight = np.zeros((9, 1, 3, 3))
    weight[c, 0, 1 - dy, 1 - dx] = 1
    y = F.conv2d(x, tensor(weight), padding=1, groups=9)
    np.testing.assert_array_equal(F.shift(x, dy, dx).numpy(), y.numpy())
