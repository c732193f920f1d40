"""Batches can be repeated and resumed, and their threads leave no trace."""

import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest

from minidl.data import DataLoader, load, transforms
from minidl.errors import ArgumentError, DataError, DtypeError, ShapeError


def python(*arguments):
    """Run this Python, warnings being errors, for at most 20 seconds."""
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command, timeout=20, capture_output=True, text=True, check=False
    )


# Loader


def numbers(n=10):
    return np.arange(n * 2).reshape(n, 2), np.arange(n)


def jitter(x, rng):
    return x + rng.integers(0, 1000, x.shape)


def loader_threads():
    return [t for t in threading.enumerate() if t.name == "minidl-loader"]


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_loader_visits_every_sample_once(prefetch, shuffle):
    x, y = numbers()
    loader = DataLoader(x, y, 4, shuffle=shuffle, prefetch=prefetch)
    batches = list(loader)
    assert [len(b) for _, b in batches] == [4, 4, 2]
    assert len(loader) == 3
    seen = np.concatenate([b for _, b in batches])
    assert sorted(seen.tolist()) == y.tolist()
    assert (seen.tolist() == y.tolist()) is not shuffle
    for xb, yb in batches:
        np.testing.assert_array_equal(xb, x[yb])
        xb[:] = -1  # a batch is the consumer's own
    np.testing.assert_array_equal(x, numbers()[0])
    loader = DataLoader(x, y, 4, drop_last=True, prefetch=prefetch)
    assert [len(b) for _, b in loader] == [4, 4]
    assert len(loader) == 2
    assert not loader_threads()


def test_loader_repeats_and_resumes_for_any_depth():
    def batches(prefetch, number, start=0, seed=7):
        loader = DataLoader(*numbers(), 3, True, seed, False, jitter, prefetch)
        return [(a.tolist(), b.tolist()) for a, b in loader.epoch(number, start)]

    whole = batches(0, 5)
    assert len(whole) == 4
    for prefetch in (0, 1, 2, 9):
        for start in range(5):
            assert batches(prefetch, 5, start) == whole[start:]
    assert batches(2, 6) != whole
    assert batches(2, 5, seed=8) != whole
    noise = [np.array(a) - numbers()[0][b] for a, b in whole]
    assert not (noise[0] == noise[1]).all()  # every batch draws its own numbers


def test_successive_iterations_are_successive_epochs():
    loader = DataLoader(*numbers(), shuffle=True)
    first, second = ([b.tolist() for _, b in loader] for _ in range(2))
    assert first == [b.tolist() for _, b in loader.epoch(0)]
    assert second == [b.tolist() for _, b in loader.epoch(1)]
    assert first != second


def test_loader_makes_no_more_than_prefetch_batches_ahead():
    made = []

    def count(x, rng):
        made.append(len(x))
        return x

    batches = DataLoader(*numbers(100), 1, transform=count, prefetch=3).epoch()
    next(batches)
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)  # time enough to run ahead, if it did
    assert len(made) == 5  # one taken, three waiting, one that waits for room
    batches.close()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_transform_error_reaches_the_consumer_with_its_traceback(prefetch):
    def broken(x, rng):
        if 4 in x:
            raise KeyError("inside the transform")
        return x

    loader = DataLoader(*numbers(), 1, transform=broken, prefetch=prefetch)
    got = []
    with pytest.raises(KeyError, match="inside the transform") as caught:
        for _, y in loader:
            got.extend(y.tolist())
    assert got == [0, 1]
    frames = [f.name for f in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "broken"
    assert not loader_threads()


def test_breaking_off_stops_the_thread():
    before = threading.active_count()
    loader = DataLoader(*numbers(1000), 1, prefetch=2)
    for _ in loader:
        break
    assert threading.active_count() == before
    with pytest.raises(KeyboardInterrupt):
        for _ in loader:
            raise KeyboardInterrupt
    assert threading.active_count() == before
    batches = loader.epoch()
    next(batches)
    assert threading.active_count() == before + 1
    assert loader_threads()[0].daemon
    del batches
    assert threading.active_count() == before
    loader.epoch()  # never begun: no thread at all
    assert threading.active_count() == before


def test_half_used_iterator_does_not_hold_up_the_exit():
    code = (
        "import numpy as np; from minidl.data import DataLoader\n"
        "it = DataLoader(np.zeros((99, 2)), np.zeros(99), 1).epoch(); next(it)"
    )
    run = python("-c", code)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be an integer >= 1; got 0"),
        ({"batch_size": 2.0}, "batch_size must be an integer >= 1; got 2.0"),
        ({"batch_size": 11, "drop_last": True}, "<= 10 samples with drop_last; got 11"),
        ({"seed": -1}, "seed must be an integer >= 0; got -1"),
        ({"prefetch": -1}, "prefetch must be an integer >= 0; got -1"),
        ({"transform": 3}, "transform must be callable; got 3"),
    ],
)
def test_loader_options(options, words):
    with pytest.raises(ArgumentError, match=words):
        DataLoader(*numbers(), **options)


def test_loader_data_and_position():
    x, y = numbers()
    with pytest.raises(DataError, match=r"same length; .*\(10, 2\) and \(9,\)"):
        DataLoader(x, y[:9])
    with pytest.raises(DataError, match="at least one sample"):
        DataLoader(x[:0], y[:0])
    with pytest.raises(DataError, match="same length"):
        DataLoader(x, 3)
    loader = DataLoader(x, y, 4)
    with pytest.raises(ArgumentError, match="start must be <= 3 batches; got 4"):
        loader.epoch(0, 4)
    with pytest.raises(ArgumentError, match="number must be an integer >= 0; got -1"):
        loader.epoch(-1)
    assert list(loader.epoch(0, 3)) == []


# Transforms


def images(n=64, c=3, h=6, w=5):
    rng = np.random.default_rng(1)
    return rng.integers(1, 256, (n, c, h, w), dtype=np.uint8), np.random.default_rng(2)


def test_to_float():
    x, rng = images()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.5)
    got = transforms.ToFloat(mean, std)(x.transpose(0, 1, 3, 2), rng)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    column = np.reshape([mean, std], (2, 3, 1, 1))
    want = (x.transpose(0, 1, 3, 2) / 255 - column[0]) / column[1]
    np.testing.assert_allclose(got, want, atol=2e-6)
    data = load()
    norm = transforms.ToFloat(data.mean, data.std)(data.x_train, rng)
    assert abs(norm.mean()) < 1e-4
    assert abs(norm.std() - 1) < 1e-4


def test_flip():
    x, rng = images()
    before = x.copy()
    got = transforms.RandomHorizontalFlip(0.5)(x, rng)
    mirrored = [(a == b[..., ::-1]).all() for a, b in zip(got, x, strict=True)]
    kept = [(a == b).all() for a, b in zip(got, x, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48
    assert (transforms.RandomHorizontalFlip(0)(x, rng) == x).all()
    assert (transforms.RandomHorizontalFlip(1)(x, rng) == x[..., ::-1]).all()
    np.testing.assert_array_equal(x, before)


def test_crop_is_a_shift_of_each_image():
    x, rng = images(200)
    n, _, h, w = x.shape
    p = 2
    got = transforms.RandomCrop(p)(x, rng)
    assert got.shape == x.shape
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    seen = set()
    for i in range(n):  # pixels are never 0, so a shift shows itself
        offsets = [
            (dy, dx)
            for dy in range(2 * p + 1)
            for dx in range(2 * p + 1)
            if (got[i] == padded[i, :, dy : dy + h, dx : dx + w]).all()
        ]
        assert len(offsets) == 1
        seen.update(offsets)
    assert len(seen) == 25  # every offset comes up
    assert (transforms.RandomCrop(0)(x, rng) == x).all()


def test_compose_runs_in_order_with_one_generator():
    x, _ = images(8)
    flip, crop = transforms.RandomHorizontalFlip(), transforms.RandomCrop(1)
    both = transforms.Compose(flip, crop)(x, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(both, crop(flip(x, rng), rng))
    assert transforms.Compose()(x, rng) is x


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: transforms.ToFloat((0.5,), (0.0,)), "std > 0"),
        (lambda: transforms.ToFloat((0.5,), (np.nan,)), "finite"),
        (lambda: transforms.ToFloat((0.5, 0.5), (1.0,)), "one entry for each channel"),
        (lambda: transforms.RandomHorizontalFlip(1.5), r"p must be in 0..1; got 1.5"),
        (lambda: transforms.RandomCrop(-1), "padding must be an integer >= 0; got -1"),
        (lambda: transforms.RandomCrop(1.0), "got 1.0"),
        (lambda: transforms.Compose(3), "callables?; got 3"),
    ],
)
def test_transform_options(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_transform_batches():
    x, rng = images()
    with pytest.raises(ShapeError, match=r"x must be \(B, C, H, W\); got \(3, 6, 5\)"):
        transforms.RandomCrop(1)(x[0], rng)
    with pytest.raises(DtypeError, match="x must be uint8; got float64"):
        transforms.ToFloat(0.5, 0.5)(x / 255, rng)
    with pytest.raises(ShapeError, match=r"2 channels; got \(64, 3, 6, 5\)"):
        transforms.ToFloat((0.5, 0.5), (0.5, 0.5))(x, rng)
