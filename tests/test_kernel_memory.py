"""Memory of large results: reused when it is free, and never before."""

import gc
import threading

import numpy as np
import pytest

from minidl.kernels import _memory

SHAPE = (64, 1024)  # float64: 512 KiB, above the least size that is kept


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    _memory.release()
    yield
    _memory.release()


def address(x):
    return x.__array_interface__["data"][0]


def test_freed_memory_serves_the_next_result_of_about_that_size():
    x = _memory.empty((64, 1030), np.float64)
    where = address(x)
    del x
    near = _memory.empty((64, 1027), np.float64)
    assert address(near) == where


def test_memory_in_use_is_not_given_out_while_any_view_lives():
    x = _memory.empty(SHAPE, np.float64)
    x[:] = 1
    view = x[3:5, ::2].T
    del x
    others = [_memory.zeros(SHAPE, np.float64) for _ in range(4)]
    assert (view == 1).all()
    assert len({address(other) for other in others}) == 4


def test_memory_that_was_given_out_again_is_not_given_out_twice():
    freed = address(_memory.empty(SHAPE, np.float64))
    first, second = (_memory.empty(SHAPE, np.float64) for _ in range(2))
    assert address(first) == freed
    assert address(second) != freed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0, 5), (3,), (1 << 18,), (512, 1025)])
def test_results_are_plain_arrays(shape, dtype):
    x = _memory.empty(shape, dtype)
    assert type(x) is np.ndarray and x.shape == shape and x.dtype == dtype
    assert x.flags.c_contiguous and x.flags.writeable and x.flags.aligned
    zeros = _memory.zeros(shape, dtype)
    assert not zeros.any()
    if x.nbytes >= _memory.LEAST:
        assert address(x) % _memory.LINE == 0


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(_memory, "MOST", 2 << 20)
    arrays = [_memory.empty(SHAPE, np.float64) for _ in range(8)]
    del arrays
    kept = sum(block.size for blocks in _memory._free.values() for block in blocks)
    assert 0 < kept <= 2 << 20 and kept == _memory._kept
    _memory.release()
    assert _memory._kept == 0 and not _memory._free


def test_threads_never_share_memory_in_use():
    wrong = []

    def work(number):
        for _ in range(200):
            x = _memory.empty(SHAPE, np.float64)
            x[0] = number
            if (x[0] != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
