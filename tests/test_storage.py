"""Checkpoints round-trip exactly, and damage of any kind is found."""

import json
import os

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from checkpoints import names, number, number_of, numbered
from minidl.files import atomic_write
from minidl.storage import load, load_latest, resolve, save
from minidl.errors import CheckpointError, DtypeError, FileError


# --- what goes in comes out ---------------------------------------------------------

grid = np.arange(24, dtype=np.float32).reshape(4, 6)
odd_nans = np.array([0x7FF8000000000123, 1 << 63], np.uint64).view(np.float64)
ARRAYS = {
    "plain": grid,
    "transposed": grid.T,
    "reversed": grid[::-1, ::-1],
    "strided": grid[::2, 1::3],
    "fortran": np.asfortranarray(grid),
    "broadcast": np.broadcast_to(np.float64(3), (2, 5)),
    "zero-d": np.array(2.5),
    "zero-d of a column": grid[1:, 2][1, ...],
    "empty": np.zeros((0, 3), np.float32),
    "empty transposed": np.zeros((3, 0, 2), np.int64).T,
    "bool": np.array([True, False, True]),
    "odd NaN and -0": odd_nans,
    "read-only": np.frombuffer(b"12345678", np.uint8),
    "big-endian": np.arange(6, dtype=">f4").reshape(2, 3).T,
    "big-endian int": np.array(258, ">i2"),
    "unaligned": np.frombuffer(b"x" + bytes(range(16)), np.float64, 2, offset=1),
    **{f"int{n}": np.array([-(2 ** (n - 1)), 5], f"int{n}") for n in (8, 16, 32, 64)},
    **{f"uint{n}": np.array([0, 2**n - 1], f"uint{n}") for n in (8, 16, 32, 64)},
    **{f"float{n}": np.array([-1.5, 2.0**-14], f"float{n}") for n in (16, 32, 64)},
    "a name/with.dots é": np.arange(2),
}


def test_every_layout_and_dtype_returns_whole_writable_and_contiguous(tmp_path):
    path = tmp_path / "all.safetensors"
    before = {name: array.tobytes() for name, array in ARRAYS.items()}
    save(path, ARRAYS, {})
    found, meta = load(path)
    assert meta == {}
    assert list(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        got = found[name]
        native = array.astype(array.dtype.newbyteorder("="), order="C")
        assert got.dtype == native.dtype and got.dtype.isnative, name
        assert got.shape == array.shape, name
        assert got.tobytes() == native.tobytes(), name
        assert got.flags.c_contiguous and got.flags.writeable, name
        got[...] = 0
        assert array.tobytes() == before[name], name


def test_the_file_is_plain_safetensors_for_other_programs(tmp_path):
    path = tmp_path / "last.safetensors"
    save(path, {"t": grid.T}, {"epoch": 3})
    with safetensors.safe_open(path, "np") as file:
        tags = file.metadata()
        np.testing.assert_array_equal(file.get_tensor("t"), grid.T)
    assert tags["format"] == "minidl-checkpoint" and tags["version"] == "1"
    assert json.loads(tags["meta"]) == {"epoch": 3}
    assert set(tags) == {"format", "version", "meta", "sha256"}


def test_no_arrays_at_all(tmp_path):
    save(tmp_path / "x", {}, {"only": "meta"})
    assert load(tmp_path / "x") == ({}, {"only": "meta"})


def test_meta_returns_exactly(tmp_path):
    generator = np.random.default_rng(7)
    meta = {
        "random": generator.bit_generator.state,
        "floats": [0.1, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3, float("inf")],
        "integers": [0, -(2**127), 2**128 - 1],
        "text": 'é "quoted" \\ \n \x00 \ud800 🙂',
        "rest": {"none": None, "yes": True, "nested": [[], {}, [{"": 1}]]},
        "a NumPy float": np.float64(0.1),
    }
    assert meta["random"]["state"]["state"] > 2**64
    save(tmp_path / "x", {}, meta)
    found = load(tmp_path / "x")[1]
    assert found == meta and repr(found["floats"]) == repr(meta["floats"])
    again = np.random.default_rng()
    again.bit_generator.state = found["random"]
    np.testing.assert_array_equal(again.normal(size=9), generator.normal(size=9))


def test_meta_may_hold_nan_and_tuples_return_as_lists(tmp_path):
    save(tmp_path / "x", {}, {"loss": float("nan"), "betas": (0.9, 0.999)})
    meta = load(tmp_path / "x")[1]
    assert meta["loss"] != meta["loss"] and meta["betas"] == [0.9, 0.999]


# --- what cannot be stored ----------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.array([None, 1], object),
        np.zeros(2, np.complex64),
        np.zeros(2, np.complex128),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.zeros(2, np.longdouble),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, [("x", np.float32)]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_an_unsupported_dtype_is_refused_by_name(two, array):
    with pytest.raises(DtypeError, match=r"checkpoint: arrays\['w'\] must be.*; got"):
        save(two / "last.safetensors", {"ok": grid, "w": array}, {})
    assert number_of(two / "last.safetensors") == 2


def circular():
    loop = {}
    loop["self"] = loop
    return loop


@pytest.mark.parametrize(
    ("arrays", "meta", "message"),
    [
        ({"w": [1.0]}, {}, r"arrays\['w'\] must be a NumPy array; got list"),
        ({"w": np.float64(1)}, {}, r"arrays\['w'\] must be a NumPy array; got float64"),
        ({3: grid}, {}, "a name must be text .*; got 3"),
        ({"__metadata__": grid}, {}, "a name must be text .*; got '__metadata__'"),
        ({"\ud800": grid}, {}, "names and meta must be storable"),
        ({}, [1], "meta must be a dict; got list"),
        ({}, {"a": {1: 2}}, r"a key of meta\['a'\] must be text; got 1"),
        ({}, {"a": [0, {2}]}, r"meta\['a'\]\[1\] must be a value .*; got set"),
        ({}, {"a": grid}, r"meta\['a'\] must be a value .*; got ndarray"),
        ({}, {"n": np.int64(3)}, r"meta\['n'\] must be a value .*; got int64"),
        ({}, circular(), "names and meta must be storable .*recursion"),
    ],
)
def test_what_cannot_return_as_it_was_is_refused(two, arrays, meta, message):
    with pytest.raises(CheckpointError, match="checkpoint: " + message):
        save(two / "last.safetensors", arrays, meta)
    assert number_of(two / "last.safetensors") == 2
    assert number_of(two / "previous.safetensors") == 1


# --- what cannot be read ------------------------------------------------------------


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"checkpoint: {path} must be ") and "; got " in text
    return text


def test_missing_folder_empty_and_foreign_files(tmp_path):
    path = tmp_path / "x.safetensors"
    assert "No such file" in refusal(path)
    assert "irectory" in refusal(tmp_path)
    junk = [b"", b"abc", b"\x80\x04pickle" * 30, b"\0" * 64, b"\xff" * 64]
    headers = [b"[1, 2]", b"{}x", b"\xff\xfe", b'"text"', b"null", b"[" * 99999]
    for data in junk + [len(h).to_bytes(8, "little") + h for h in headers]:
        path.write_bytes(data)
        assert "a whole safetensors file" in refusal(path), data[:20]


def test_foreign_safetensors_say_so(tmp_path):
    path = tmp_path / "x.safetensors"
    for tags in (None, {"format": "pt"}):
        safetensors.numpy.save_file({"w": grid}, path, metadata=tags)
        text = refusal(path)
        assert "a minidl checkpoint of format 'minidl-checkpoint'" in text
        assert "another program" in text
    header = b'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    assert "another program" in refusal(path)
    header = b'{"__metadata__":"text"}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refusal(path)


def test_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    numbered(path, 1)
    path.write_bytes(path.read_bytes().replace(b'"version":"1"', b'"version":"2"'))
    assert "of version '1'; got version '2'" in refusal(path)


def test_every_truncation_and_every_flipped_bit_is_found(tmp_path):
    path, bad = tmp_path / "good", tmp_path / "bad"
    save(path, {"w": grid[:2, :3], "b": np.array(True)}, {"epoch": 3, "loss": 0.5})
    data = path.read_bytes()
    arrays, meta = load(path)
    for length in range(len(data)):
        bad.write_bytes(data[:length])
        refusal(bad)
    bad.write_bytes(data + b"\0")
    refusal(bad)
    harmless = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        bad.write_bytes(flipped)
        try:
            found, found_meta = load(bad)
        except CheckpointError:
            continue
        # Only bits without a meaning may pass: white space, or a spelling of the JSON.
        harmless += 1
        assert found_meta == meta and found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert found[name].tobytes() == array.tobytes()
    assert harmless <= 16


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, tags: arrays.update(w=arrays["w"].reshape(6, 4)),
        lambda arrays, tags: arrays.update(w=arrays["w"].view(np.int32)),
        lambda arrays, tags: arrays.update(w=arrays["v"], v=arrays["w"]),
        lambda arrays, tags: arrays.pop("empty"),
        lambda arrays, tags: tags.update(meta='{"epoch": 4}'),
        lambda arrays, tags: tags.pop("meta"),
        lambda arrays, tags: tags.pop("sha256"),
    ],
    ids=["shape", "dtype", "names", "missing array", "meta", "no meta", "no sum"],
)
def test_a_valid_safetensors_file_with_other_content_is_damage(tmp_path, change):
    path = tmp_path / "x"
    save(path, {"w": grid, "v": grid + 1, "empty": np.zeros(0)}, {"epoch": 3})
    arrays = load(path)[0]
    with safetensors.safe_open(path, "np") as file:
        tags = file.metadata()
    change(arrays, tags)
    safetensors.numpy.save_file(arrays, path, metadata=tags)
    assert "as it was saved; got damage" in refusal(path)


# --- last, previous and which is read -----------------------------------------------


def test_the_checkpoint_before_is_kept(two):
    for n in (3, 4):
        numbered(two / "last.safetensors", n)
        assert number_of(two / "last.safetensors") == n
        assert number_of(two / "previous.safetensors") == n - 1
    assert names(two) == ["last.safetensors", "previous.safetensors"]


def test_other_names_are_replaced_without_a_previous(two):
    numbered(two / "best.safetensors", 8)
    numbered(two / "best.safetensors", 9)
    assert number_of(two / "best.safetensors") == 9
    assert number_of(two / "previous.safetensors") == 1


def test_load_latest_prefers_last_and_says_when_it_cannot(two):
    last, previous = two / "last.safetensors", two / "previous.safetensors"
    arrays, meta, path, warning = load_latest(two)
    assert (number(arrays, meta), path, warning) == (2, last, None)

    last.write_bytes(last.read_bytes()[:-1])
    arrays, meta, path, warning = load_latest(str(two))
    assert (number(arrays, meta), path) == (1, previous)
    assert warning.startswith(f"Falling back to {previous}, because {last} must be ")
    assert warning.endswith(".") and "\n" not in warning

    last.unlink()
    arrays, meta, path, warning = load_latest(two)
    assert (number(arrays, meta), path) == (1, previous) and "No such file" in warning

    previous.write_bytes(b"")
    with pytest.raises(CheckpointError, match="No such file.* and .*got 0 bytes"):
        load_latest(two)
    with pytest.raises(CheckpointError, match="checkpoint: .*nowhere must be a folder"):
        load_latest(two / "nowhere")


def test_a_damaged_last_never_displaces_a_whole_previous(two):
    (two / "last.safetensors").write_bytes(b"damage")
    numbered(two / "last.safetensors", 3)
    assert number_of(two / "last.safetensors") == 3
    assert number_of(two / "previous.safetensors") == 1


def test_resolve_takes_a_folder_or_a_file(two):
    last, previous = two / "last.safetensors", two / "previous.safetensors"
    for given, n, path in (two, 2, last), (last, 2, last), (str(previous), 1, previous):
        arrays, meta, found, warning = resolve(given)
        assert (number(arrays, meta), found, warning) == (n, path, None)
    last.write_bytes(b"damage")
    assert resolve(two)[2] == previous and "Falling back" in resolve(two)[3]
    with pytest.raises(CheckpointError, match=r"last\.safetensors must be"):
        resolve(last)


# --- other files --------------------------------------------------------------------


def test_atomic_write_replaces_text_and_bytes(tmp_path):
    path = tmp_path / "new" / "folder" / "history.csv"
    atomic_write(path, "épo\r\nch\n")
    assert path.read_bytes() == "épo\r\nch\n".encode()
    atomic_write(str(path), b"")
    assert path.read_bytes() == b""
    assert names(path.parent) == ["history.csv"]


def test_atomic_write_onto_a_folder_or_below_a_file_is_an_error(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for path in tmp_path / "folder", tmp_path / "file" / "below":
        with pytest.raises(FileError, match=f"cannot write {path}: "):
            atomic_write(path, "x")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.skipif(os.name != "posix", reason="needs a umask")
def test_the_umask_decides_who_may_read(tmp_path):
    before = os.umask(0o027)
    try:
        numbered(tmp_path / "last.safetensors", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "last.safetensors").stat().st_mode & 0o777 == 0o640
