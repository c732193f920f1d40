"""Files of images are read exactly, and refused with the reason and the name."""

import gzip

import numpy as np
import pytest

from minidl.data import load
from minidl.data.cifar import read_cifar10, read_cifar100
from minidl.data.idx import read_idx, write_idx
from minidl.errors import (
    DataError,
)

# IDX


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), ()])
def test_idx_round_trip(tmp_path, dtype, shape):
    array = (np.arange(np.prod(shape)) * 3 - 5).astype(dtype).reshape(shape)
    path = tmp_path / "a.gz"  # the name lies on purpose
    write_idx(path, array)
    for _ in range(2):
        got = read_idx(path)
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(got, array)
        got[...] = 1  # writable
        path.write_bytes(gzip.compress(path.read_bytes()))


def test_idx_bytes_are_the_published_format(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes.fromhex("00000b02 00000001 00000002 0102 fffe"))
    np.testing.assert_array_equal(read_idx(path), [[258, -2]])
    write_idx(path, np.array([[258, -2]], np.int16))
    assert path.read_bytes().hex() == "00000b0200000001000000020102fffe"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]  # no temporary file is left


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:-1], "11 .*truncated"),
        (lambda b: b + b"\0", "13 .*trailing"),
        (lambda b: b[:9], "12 bytes; got 9"),
        (lambda b: b[:2], "4-byte magic number; got a file of 2 bytes"),
        (lambda b: b"", "got a file of 0 bytes"),
        (lambda b: b"\0\1" + b[2:], "magic number .*got 00 01 08 02"),
        (lambda b: b"\0\0\7" + b[3:], "magic number .*got 00 00 07 02"),
        (lambda b: gzip.compress(b)[:-4], "whole gzip"),
        (lambda b: gzip.compress(b)[:15], "whole gzip"),
        (lambda b: gzip.compress(b) + b"junk", "whole gzip"),
        (lambda b: gzip.compress(b)[:-8] + b"\0" * 8, "whole gzip"),
        (lambda b: gzip.compress(b[:-1]), "11 .*truncated"),
    ],
)
def test_idx_refuses_damage_and_names_the_file(tmp_path, change, words):
    path = tmp_path / "damaged-file"
    write_idx(path, np.zeros((3, 4), np.uint8))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path)
    assert "damaged-file must" in str(caught.value)


def test_idx_missing_file_and_foreign_type(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            read_idx(path)
    with pytest.raises(DataError, match="array must be one of .*got complex64"):
        write_idx(tmp_path / "x", np.zeros(2, np.complex64))


def test_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_idx(tmp_path / "a", np.zeros(3))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


# CIFAR


def cifar_file(path, labels, fill):
    records = [bytes([*label, *fill(i)]) for i, label in enumerate(labels)]
    path.write_bytes(b"".join(records))


def planes(i):
    """Red counts rows, green counts columns, blue is the record's number."""
    row, column = np.mgrid[:32, :32]
    return np.stack([row, column, np.full((32, 32), i)]).astype(np.uint8).ravel()


def test_cifar10_is_read_plane_by_plane_in_file_order(tmp_path):
    for number in range(1, 6):
        labels = [(number,), (number + 1,)]
        cifar_file(tmp_path / f"data_batch_{number}.bin", labels, planes)
    cifar_file(tmp_path / "test_batch.bin", [(9,), (0,)], planes)
    x, y, x_test, y_test = read_cifar10(tmp_path, records=2)
    assert y.tolist() == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    assert y_test.tolist() == [9, 0]
    assert x.shape == (10, 3, 32, 32)
    assert x_test.shape == (2, 3, 32, 32)
    assert (x[3, 0] == np.arange(32)[:, None]).all()
    assert (x[3, 1] == np.arange(32)).all()
    assert (x[3, 2] == 1).all()
    x[0] = 0  # writable
    with pytest.raises(DataError, match=r"data_batch_1.bin must be 9219 .*got 6146"):
        read_cifar10(tmp_path, records=3)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"test_batch.bin \(No such file"):
        read_cifar10(tmp_path, records=2)


def test_cifar100_takes_the_fine_label(tmp_path):
    cifar_file(tmp_path / "train.bin", [(1, 99), (2, 0), (3, 7)], planes)
    cifar_file(tmp_path / "test.bin", [(4, 50)], planes)
    x, y, x_test, y_test = read_cifar100(tmp_path, 3, 1)
    assert (y.tolist(), y_test.tolist()) == ([99, 0, 7], [50])
    assert (x[2, 2] == 2).all()
    assert x_test.shape == (1, 3, 32, 32)
    with pytest.raises(DataError, match=r"train.bin must be 153700000 bytes"):
        read_cifar100(tmp_path)


# A user's own .npz


def npz(path, **changes):
    x = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    y = np.array([0, 1, 2, 1])
    np.savez(path, **{"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes)
    return path


def test_npz_shapes(tmp_path):
    rng = np.random.default_rng(0)
    chw = rng.integers(0, 256, (4, 3, 8, 9), dtype=np.uint8)
    hwc = np.ascontiguousarray(chw.transpose(0, 2, 3, 1))
    for number, x in enumerate((chw, hwc)):
        data = load(folder=npz(tmp_path / f"{number}.npz", x_train=x, x_test=x))
        np.testing.assert_array_equal(data.x_train, chw)
        assert data.x_train.flags.c_contiguous
    column = np.array([[0], [1], [2], [3]])
    data = load(folder=npz(tmp_path / "own.npz", y_train=column))
    assert (data.name, data.shape, len(data.classes)) == ("own", (1, 5, 6), 4)
    named = npz(tmp_path / "sub.npz", classes=np.array(["x", "y", "z"]))
    assert load(folder=named).classes == ["x", "y", "z"]
    folder = tmp_path / "folder"
    folder.mkdir()
    npz(folder / "a.npz")
    assert load(folder=folder).name == "folder"
    npz(folder / "b.npz")
    with pytest.raises(DataError, match=r"a single .npz file; got 2 .npz files"):
        load(folder=folder)


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_npz_float_images(tmp_path, scale):
    levels = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    x = (levels * scale).astype(np.float32)
    dark = np.minimum(x, scale)  # level 1 at most: scaled like the training images
    data = load(folder=npz(tmp_path / "f.npz", x_train=x, x_test=dark))
    np.testing.assert_array_equal(data.x_train[:, 0], levels)
    np.testing.assert_array_equal(data.x_test[:, 0], np.minimum(levels, 1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test": np.full((4, 5, 6), np.nan)}, "x_test of .* finite; got NaN or inf"),
        ({"x_train": np.full((4, 5, 6), np.inf)}, "x_train of .* finite"),
        ({"x_train": np.full((4, 5, 6), -1)}, r"pixels in 0\.\.255 .*got -1\.\.-1"),
        ({"x_train": np.full((4, 5, 6), 256)}, r"got 256\.\.256"),
        ({"x_train": np.zeros((4, 5, 6), bool)}, "integer or float images; got bool"),
        ({"x_train": np.zeros((4, 5, 6, 7), int)}, r"4 channels; got \(4, 5, 6, 7"),
        ({"x_train": np.zeros((4, 30), int)}, r"got \(4, 30\)"),
        ({"y_train": np.zeros(4)}, "y_train of .* vector of integers; got float64"),
        ({"y_train": np.array([0, -1, 0, 0])}, r"y_train must be in 0"),
        ({"y_train": np.array([0, 1])}, r"y_train must be int64 \(4,\)"),
        ({"x_train": np.array([{}, 1, 2, 3])}, "Python objects"),
        ({"x_test": np.zeros((0, 5, 6))}, "at least one image"),
        ({"classes": np.arange(3)}, "vector of strings"),
        ({"classes": np.array(["a", "b"])}, r"must be in 0\.\.1; got 0\.\.2"),
    ],
)
def test_npz_refuses(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        load(folder=npz(tmp_path / "own.npz", **changes))


def test_npz_damage(tmp_path):
    path = npz(tmp_path / "own.npz")
    whole = path.read_bytes()
    scratched = whole[:200] + b"\xff" + whole[201:]
    for damaged in (b"", b"PK", whole[:-30], whole[:100], scratched):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"own\.npz"):
            load(folder=path)
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(DataError, match="must hold x_train, .* got x_train"):
        load(folder=path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="whole .npz archive"):
        load(folder=tmp_path / "one.npy")
