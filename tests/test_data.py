"""Data sets are found, checked and named; the embedded one is what it says."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from minidl.data import Dataset, available, load, registry
from minidl.data.embedded import build, subset
from minidl.data.idx import write_idx
from minidl.errors import DataError, UnknownNameError

DEBIAN = registry.find("fashion-mnist").system_folder
needs_debian = pytest.mark.skipif(
    not os.path.isdir(DEBIAN), reason=f"dataset-fashion-mnist is not in {DEBIAN}"
)


@pytest.fixture(autouse=True)
def _empty_machine(monkeypatch, tmp_path):
    """No data set of the user's own decides how a test ends."""
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def python(*arguments):
    """Run this Python, warnings being errors, for at most 20 seconds."""
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command, timeout=20, capture_output=True, text=True, check=False
    )


def idx_folder(folder, labels=(3, 1, 2), size=28, test=2):
    """A folder with the four IDX files, filled with noise."""
    rng = np.random.default_rng(len(labels))
    folder.mkdir(parents=True, exist_ok=True)
    names = registry.IDX_FILES
    for part, count in ((0, len(labels)), (2, test)):
        images = rng.integers(0, 256, (count, size, size), dtype=np.uint8)
        write_idx(folder / names[part], images)
        write_idx(folder / names[part + 1], np.resize(labels, count).astype(np.uint8))
    return folder


# Data sets


def parts(**changes):
    x = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)
    y = np.array([0, 1, 1, 0])
    return {
        "name": "d",
        "x_train": x,
        "y_train": y,
        "x_test": x,
        "y_test": y,
        "classes": ["a", "b"],
    } | changes


def test_dataset_moments():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (5000, 2, 3, 3), dtype=np.uint8)
    y = np.zeros(5000, np.int64)
    data = Dataset(**parts(x_train=x, y_train=y, x_test=x, y_test=y))
    np.testing.assert_allclose(data.mean, (x / 255).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, (x / 255).std((0, 2, 3)), rtol=1e-12)
    assert data.shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": np.zeros(3, int)}, r"y_train .*\(4,\).*got int64 \(3,\)"),
        ({"y_test": np.zeros((4, 1), int)}, "y_test must be int64"),
        ({"y_test": np.zeros(4)}, "y_test must be int64 .*got float64"),
        ({"y_test": np.array([0, 1, 2, 0])}, r"y_test must be in 0..1; got 0..2"),
        ({"y_train": np.array([0, -1, 1, 0])}, r"in 0..1; got -1..1"),
        ({"x_train": np.zeros((4, 3, 3), np.uint8)}, r"x_train must be uint8 \(N, C"),
        ({"x_train": np.zeros((4, 2, 3, 3))}, "x_train must be uint8 .*got float64"),
        ({"x_test": np.zeros((0, 2, 3, 3), np.uint8)}, "at least one image"),
        ({"x_test": np.zeros((4, 1, 3, 3), np.uint8)}, r"x_test must .*\(2, 3, 3\)"),
    ],
)
def test_dataset_refuses_what_does_not_fit(changes, words):
    with pytest.raises(DataError, match=words):
        Dataset(**parts(**changes))


def test_default_is_the_embedded_set():
    data = load()
    assert data.name == "fashion-mnist-mini"
    assert data.x_train.shape == (5000, 1, 28, 28)
    assert data.x_test.shape == (1000, 1, 28, 28)
    assert np.bincount(data.y_train).tolist() == [500] * 10
    assert np.bincount(data.y_test).tolist() == [100] * 10
    assert len(set(data.y_train[:50].tolist())) > 5  # shuffled, not sorted
    # Trousers are dark in the middle of the lower rows; shirts are not.
    gap = data.x_train[:, 0, 20:27, 13:15].mean((1, 2))
    assert gap[data.y_train == 1].mean() < 0.5 * gap[data.y_train == 2].mean()


@needs_debian
def test_embedded_file_is_made_byte_for_byte(tmp_path):
    made = build(DEBIAN, tmp_path / "a.npz").read_bytes()
    with np.load(registry.EMBEDDED_FILE) as kept:
        for key, array in subset(load("fashion-mnist", DEBIAN)).items():
            np.testing.assert_array_equal(kept[key], array)
    assert build(DEBIAN, tmp_path / "b.npz").read_bytes() == made
    if "ng" not in zlib.ZLIB_RUNTIME_VERSION:  # zlib-ng packs the same bytes otherwise
        assert registry.EMBEDDED_FILE.read_bytes() == made


def test_embedded_command_says_what_is_wrong(tmp_path):
    run = python("-m", "minidl.data.embedded", str(tmp_path))
    assert run.returncode == 1
    assert run.stderr.startswith(f"data: {tmp_path} must hold")
    assert python("-m", "minidl.data.embedded", "-h").returncode == 2


def test_subset_needs_enough_images():
    mini = load()
    mini.y_train[:] = 0
    with pytest.raises(DataError, match="500 images of Trouser; got 0"):
        subset(mini)


# Look-up


def test_unknown_name_suggests():
    with pytest.raises(UnknownNameError, match="did you mean .*mnist"):
        load("mnits")


def test_not_found_lists_places_and_remedies(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "mine"))
    row = registry.find("fashion-mnist")
    monkeypatch.setitem(vars(row), "system_folder", str(tmp_path / "system"))
    with pytest.raises(DataError) as caught:
        load("fashion-mnist")
    for word in (
        "mine",
        "cache/minidl/fashion-mnist",
        "system",
        "--data",
        "`minidl data fetch fashion-mnist`",
        "`apt-get install dataset-fashion-mnist`",
    ):
        assert word in str(caught.value)


def test_look_up_order(monkeypatch, tmp_path):
    def found():
        return load("fashion-mnist").x_train.shape[0]

    row = registry.find("fashion-mnist")
    monkeypatch.setitem(vars(row), "system_folder", str(tmp_path / "system"))
    idx_folder(tmp_path / "system", labels=[1])
    assert found() == 1
    idx_folder(tmp_path / "cache/minidl/fashion-mnist", labels=[1] * 2)
    assert found() == 2
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "mine"))
    idx_folder(tmp_path / "mine", labels=[1] * 3)
    assert found() == 3
    idx_folder(tmp_path / "mine/fashion-mnist", labels=[1] * 4)
    assert found() == 4
    given = idx_folder(tmp_path / "given", labels=[1] * 5)
    assert len(load("fashion-mnist", given).x_train) == 5
    # A folder that the user names is the only place looked in.
    with pytest.raises(DataError, match=r"got .*empty \(missing\)"):
        load("fashion-mnist", tmp_path / "empty")


def test_idx_folder_without_a_name(tmp_path):
    data = load(folder=idx_folder(tmp_path / "glyphs", labels=(3, 1, 2), size=5))
    assert (data.name, data.shape) == ("glyphs", (1, 5, 5))
    assert data.classes == ["0", "1", "2", "3"]
    with pytest.raises(DataError, match=r"images of \(1, 28, 28\); got \(1, 5, 5\)"):
        load("mnist", tmp_path / "glyphs")


def test_mnist_and_fashion_mnist_are_told_apart(monkeypatch, tmp_path):
    mnist = registry.find("mnist").first_labels
    idx_folder(tmp_path / "somewhere", labels=mnist, test=10)
    assert load(folder=tmp_path / "somewhere").name == "mnist"
    with pytest.raises(DataError, match="must hold fashion-mnist; got mnist"):
        load("fashion-mnist", tmp_path / "somewhere")
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "somewhere"))
    rows = {row.name: row for row in available()}
    assert rows["mnist"].where == str(tmp_path / "somewhere")
    assert rows["fashion-mnist"].where != str(tmp_path / "somewhere")
    assert load("mnist").y_test.tolist() == list(mnist)


def test_incomplete_folder_names_the_gap(tmp_path):
    folder = idx_folder(tmp_path / "part")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    for name in (None, "mnist"):
        with pytest.raises(DataError, match="all but t10k-labels-idx1-ubyte"):
            load(name, folder)
    with pytest.raises(DataError, match=r"single \.npz file; got none"):
        load(folder=tmp_path)


def test_idx_parts_swapped(tmp_path):
    folder = idx_folder(tmp_path / "swapped")
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros((3, 2), np.uint8))
    with pytest.raises(DataError, match=r"train-labels.* must be uint8 of rank 1"):
        load(folder=folder)


def test_available(tmp_path):
    rows = {row.name: row for row in available()}
    assert next(iter(rows)) == "fashion-mnist-mini"
    assert rows["fashion-mnist-mini"].where == "embedded"
    cifar = rows["cifar100"]
    assert (cifar.shape, cifar.classes, cifar.train) == ((3, 32, 32), 100, 50_000)
    assert not cifar.found
    assert cifar.where == "not found: minidl data fetch cifar100"
    assert all(row.licence for row in rows.values())
    names = registry.find("cifar100").classes
    assert names == sorted(names)


@needs_debian
def test_debian_fashion_mnist():
    data = load("fashion-mnist")
    assert len(data.x_train) == 60_000
    assert np.bincount(data.y_test).tolist() == [1000] * 10
    np.testing.assert_allclose([*data.mean, *data.std], [0.2860, 0.3530], atol=1e-4)
    assert load(folder=DEBIAN).name == "fashion-mnist"


def test_cifar10_folder_is_recognised(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for path in registry.find("cifar10").members:
        with open(tmp_path / path, "wb") as file:
            file.truncate(30_730_000)  # zeros that take no room on the disk
    data = load("cifar10", tmp_path)
    assert repr(data).startswith("Dataset('cifar10', (3, 32, 32), 50000 train, 10000")
    assert data.classes[9] == "truck"


def test_import_is_cheap():
    code = (
        "import sys, minidl.data; heavy = {'urllib.request', 'tarfile', 'gzip', 'rich',"
        " 'zipfile', 'http.client'} & set(sys.modules); print(*heavy)"
    )
    run = python("-c", code)
    assert (run.returncode, run.stdout.strip()) == (0, "")


def test_labels_beyond_all_reason_are_refused(tmp_path):
    """Before a list of a billion class names fills the memory."""
    x, y = np.zeros((2, 4, 4), np.uint8), np.array([0, 10**12])
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(DataError, match="own: labels must be in 0..99999"):
        load(folder=tmp_path / "own.npz")


def test_a_constant_channel_is_not_scaled():
    x, y = np.full((2, 1, 4, 4), 51, np.uint8), np.zeros(2, np.int64)
    data = Dataset("flat", x, y, x, y, ["a"])
    assert data.mean == pytest.approx((0.2,)) and data.std == (1.0,)
